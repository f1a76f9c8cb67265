"""The parameters as profiles: a row for each number of a component, a column for each component.

One known case: of a latent class analysis the rows are the size and the share of each answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from emframe.fitting.result import Fit
from emframe.fitting.tabled import Tabled
from emframe.showing.tidy import entries, told
from emframe.spaces import Array

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, repr=False)
class Profiles(Tabled):
    """What each component looks like.  See `Fit.profiles`.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> fit.profiles().names
    ('weights', 'rates[x0]')
    """

    names: tuple[str, ...]  # (m,)  such as "means[waiting]"
    values: Array  # (m, K); what components share stands in each of them

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each number: its name, and its value in each component."""
        return [
            {"parameter": name, **{f"component {k}": float(v) for k, v in enumerate(row)}}
            for name, row in zip(self.names, self.values, strict=True)
        ]

    def to_frame(self) -> DataFrame:
        """`rows` as a data frame whose index is the names."""
        return super().to_frame().set_index("parameter")

    def to_csv(self, path: Any = None, **options: Any) -> str | None:
        """As CSV, by pandas and with its options; the text where there is no path."""
        return super().to_csv(path, **{"index": True, **options})

    def to_latex(self, path: Any = None, **options: Any) -> str | None:
        """As a LaTeX table, by pandas and with its options (it needs jinja2)."""
        return super().to_latex(path, **{"index": True, **options})

    @property
    def brief(self) -> str:
        return f"{len(self.names)} numbers of {self.values.shape[1]} components"


def profiles(fit: Fit) -> Profiles:
    """The `Profiles` of a fit; see `Fit.profiles`."""
    k = fit.model.choices()
    if k is None:
        raise TypeError(
            f"the z of a {fit.model.title()} model is continuous, so that there are no components "
            "to set beside each other; see to_frame()."
        )
    numbers = told(fit.params)
    found: dict[tuple[str, tuple[str, ...]], Array] = {}
    for entry in entries(fit.params, fit.component_columns):
        row = found.setdefault((entry.parameter, entry.place), np.full(k, np.nan))
        row[slice(None) if entry.component is None else entry.component] = numbers[entry.position]
    names = tuple(
        parameter + (f"[{', '.join(place)}]" if place else "") for parameter, place in found
    )
    return Profiles(names, np.array(list(found.values())).reshape(len(names), k))
