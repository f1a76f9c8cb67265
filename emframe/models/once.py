"""What a run has once: a family over runs of rows, of the one row that all rows of a run repeat.

    log f(x_1, ..., x_m | theta_k) = log f(x_1 | theta_k),      x_1 = ... = x_m

Beside a person's repeated measurements stand an outcome or the time of an event, which the long
format repeats in each row.  In a product with a family of the measurements both share one z:

    emframe.Product({
        ("y", "time"): emframe.family("linear-mixed"),
        ("years", "died"): emframe.Once(emframe.Censored("weibull", time="years", event="died")),
    })

One known case: with runs of one row each this is the family itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.data.runs import Sequences
from emframe.engines import Workspace
from emframe.families import Completed, Concluded, Family, Kernel, Survey, Wrapped, rowwise
from emframe.families.kernel import Gathered
from emframe.host import family as named_family
from emframe.host.recipes import MAKERS
from emframe.spaces import Array


@dataclass(frozen=True, init=False)
class Once(Wrapped):
    """Runs whose rows repeat one row of a family: what is said once of each run.

    Parameters
    ----------
    family : name of a plugin, or a `Family`.
    **options : settings of the family, when it is given by name.

    Rows that differ within a run are refused by ValueError.

    Examples
    --------
    >>> rows = emframe.Sequences([3, 3, 8, 8], lengths=[2, 2])
    >>> fit = emframe.fit(emframe.Mixture(emframe.Once("poisson"), 1), rows)
    >>> fit["rates"]
    array([[5.5]])
    """

    maker = "once"
    in_runs = True

    def __init__(self, family: str | Family, **options: Any) -> None:
        found = named_family(family, **options) if isinstance(family, str) else family
        if not isinstance(found, Family):
            raise TypeError(f"`family` is {family!r}; pass a plugin's name or a Family object.")
        if found.in_runs:
            raise TypeError(f"the rows of {found.name!r} are runs already; pass it as it is.")
        if options and not isinstance(family, str):
            raise TypeError(
                f"options {', '.join(options)} go with a family's name; this one is an object "
                "already."
            )
        object.__setattr__(self, "family", found)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"once {self.family.name}"

    def ingredients(self) -> dict[str, Any]:
        return {"family": self.family}

    def only(self, x: Any) -> Array:
        """The row of each run, (S, d); ValueError where rows of a run differ."""
        found: Array = x.derived("once", lambda: self._found(x))
        return found

    def _found(self, x: Sequences) -> Array:
        rows = np.ascontiguousarray(x.x[x.firsts])
        each = np.repeat(rows, x.lengths, axis=0)
        unlike = (x.x != each) & ~(np.isnan(x.x) & np.isnan(each))
        if unlike.any():
            row, column = np.argwhere(unlike)[0]
            run = int(np.searchsorted(x.lasts, row))
            name = column if self.columns is None else repr(self.columns[column])
            told = run if x.keys is None else x.keys[run]
            raise ValueError(
                f"column {name} differs between the rows of run {told}: it is "
                f"{each[row, column]:g} and {x.x[row, column]:g}; what a run has once is the same "
                "in all its rows. emframe.Grouped takes values that differ."
            )
        return rows

    # ---- what a run is

    def log_density(self, params: Any, x: Any) -> Array:
        """Of each run, (S, K)."""
        return self.family.log_density(params, self.only(x))

    def accumulate(self, x: Any, resp: Array) -> Any:
        return self.family.accumulate(self.only(x), resp)

    def completed(self, params: Any, x: Any, resp: Array) -> Completed:
        return self.family.completed(params, self.only(x), resp)

    def whole(self, x: Any, weights: Array) -> Any:
        return self.family.whole(self.only(x), weights)

    def points(self, x: Any) -> Array:
        rows = self.family.located(self.only(x))
        return rows[:, [j for j in range(rows.shape[1]) if j not in self.covariates]]

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        """The rows of one run, (n, d)."""
        drawn = np.asarray(self.family.sample(params, labels[:1], rng), dtype=float)
        return np.repeat(drawn.reshape(len(drawn), -1), len(labels), axis=0)

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """The family's, of one row for each run."""
        for kernel in self.family.kernels(params, constants, survey):
            yield OfOne(kernel, self.only)


@dataclass(frozen=True)
class OfOne:
    """The kernel of the one row that each run has."""

    kernel: Kernel
    only: Callable[[Any], Array]

    @property
    def form(self) -> str:
        return self.kernel.form

    def rows(self, d: int) -> int:
        return self.kernel.rows(d)

    def meet(self, x: Any, work: Workspace) -> tuple[Array, Callable[[Array], Any]]:
        met = rowwise(self.kernel, self.only(x), work)

        def collect(resp: Array) -> Gathered:
            return Gathered(met.collect(resp), 0.0, resp.sum(axis=1))

        return met.joint, collect

    def finish(self, sums: Gathered) -> Concluded | None:
        found = self.kernel.finish(sums.statistics)
        return None if found is None else found._replace(counts=sums.counts)


MAKERS["once"] = Once
