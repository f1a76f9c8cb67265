"""What a new plugin starts from: the files of a whole distribution, with names to fill in.

The family in it is real, the exponential density in either lane, so that a plugin installs, passes
its tests and fits before a line of it is changed.
"""

from __future__ import annotations

PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.25"]
build-backend = "hatchling.build"

[project]
name = "emframe-$dashed"
version = "0.1.0"
description = "The $title family for emframe"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["emframe>=0.1", "numpy>=1.26"]

[project.optional-dependencies]
testing = ["emframe[testing]"]

[project.entry-points.emframe]
$name = "emframe_$name"

[tool.hatch.build.targets.wheel]
only-include = ["emframe_$name.py"]

[tool.hatch.build.targets.sdist]
include = ["emframe_$name.py", "tests"]

[tool.pytest.ini_options]
testpaths = ["tests"]
# Other plugins that are broken are no fault of this one.
filterwarnings = ["error", "default::emframe.PluginWarning"]
"""

EXPONENTIAL = '''\
"""The $title family.  As it stands: waiting times without memory.

    f(x | scale) = exp(-x / scale) / scale,        x > 0

In exponential-family form T = x, eta = -1 / scale, A = log scale; the mean of T is the scale.

One known case: the scale of a single component is the mean of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe import Array, ExponentialFamily, FamilyEntry, Positive, hookimpl, parameter


@dataclass(frozen=True)
class ${title}Parameters:
    """The scale of each component."""

    scale: Array = parameter(Positive())  # (K,)


@dataclass(frozen=True)
class $title(ExponentialFamily):
    """One column of positive numbers."""

    name = "$name"
    parameters = ${title}Parameters
    support = Positive()

    def statistics(self, x: Array) -> Array:
        return x

    def natural(self, params: ${title}Parameters) -> Array:
        return np.asarray(-1.0 / params.scale)

    def log_partition(self, params: ${title}Parameters) -> Array:
        return np.log(params.scale)

    def from_mean(self, mean: Array) -> ${title}Parameters:
        return ${title}Parameters(mean)

    def sample(
        self, params: ${title}Parameters, labels: Any, rng: np.random.Generator
    ) -> Array:
        return rng.exponential(params.scale[labels])[:, None]


@hookimpl
def emframe_families() -> list[FamilyEntry]:
    """What this plugin brings."""
    return [FamilyEntry("$name", $title, "One column of positive numbers")]
'''

DENSITY = '''\
"""The $title family, from its log density.  As it stands: waiting times without memory.

    f(x | scale) = exp(-x / scale) / scale,        x > 0

One known case: the scale of a single component is the mean of the rows.
"""

from __future__ import annotations

import numpy as np

from emframe import Array, Family, FamilyEntry, Positive, from_logpdf, hookimpl


def log_density(x: Array, scale: Array) -> Array:
    """x (n, 1) and scale (K,) broadcast to (n, K)."""
    return np.asarray(-x / scale - np.log(scale))


def $title() -> Family:
    """One column of positive numbers."""
    return from_logpdf(
        log_density, params={"scale": Positive()}, support=Positive(), name="$name"
    )


@hookimpl
def emframe_families() -> list[FamilyEntry]:
    """What this plugin brings."""
    return [FamilyEntry("$name", $title, "One column of positive numbers")]
'''

LANES = {"exponential": EXPONENTIAL, "density": DENSITY}

TEST = '''\
"""The $title family against scipy, its closed form, and emframe's conformance kit."""

from __future__ import annotations

import numpy as np
import pytest
from emframe_$name import $title
from scipy import stats

import emframe
from emframe.testing import FamilyConformance


class Test$title(FamilyConformance):
    """Everything that emframe asks of a family."""

    family = $title()


def test_it_is_installed() -> None:
    assert emframe.family("$name").name == "$name"


def test_its_density_is_scipys() -> None:
    x = np.array([[1e-6], [0.3], [2.0], [40.0]])
    scale = np.array([0.5, 3.0])
    params = $title().build({"scale": scale})
    ours = $title().log_density(params, x)
    np.testing.assert_allclose(ours, stats.expon.logpdf(x, scale=scale), rtol=1e-12)


def test_one_component_is_the_mean() -> None:
    x = np.array([0.5, 1.5, 2.5, 4.0])
    fit = emframe.fit(emframe.Mixture("$name"), x, rng=0)
    assert fit.params.components.scale == pytest.approx([x.mean()])


def test_two_components_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.exponential(1.0, 3000), rng.exponential(30.0, 2000)])
    fit = emframe.fit(emframe.Mixture("$name", n_components=2), x, rng=0, n_starts=4)
    assert fit.converged
    assert sorted(fit.params.components.scale) == pytest.approx([1.0, 30.0], rel=0.1)
    assert sorted(fit.params.weights) == pytest.approx([0.4, 0.6], abs=0.03)
'''

README = """\
# emframe-$dashed

The $title family for emframe.

```console
$$ pip install -e '.[testing]'
$$ emframe plugins
$$ emframe check $name
$$ emframe fit DATA --family $name --components 1-3
```

```python
import emframe

fit = emframe.fit(emframe.Mixture("$name", n_components=2), x, rng=0)
fit.params.components.scale  # (2,)
```

What makes it a plugin is in two places:

- `pyproject.toml` names the module in the entry-point group `emframe`;
- the module returns a `FamilyEntry` from the hook `emframe_families`.

The mathematics is in `emframe_$name.py`: the exponential density, to be replaced by yours.
`tests/test_$name.py` runs emframe's conformance kit on it:

```console
$$ pytest
```
"""
