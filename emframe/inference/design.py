"""How rows were sampled: in clusters, within strata.  What that makes of the sum of s s'.

With t_c the sum of the scores of cluster c, and the clusters of each stratum h apart,

    B = sum over h of  C_h / (C_h - 1)  sum over c in h of  (t_c - mean of h)(t_c - mean of h)'

(Binder 1983, Int. Stat. Rev. 51, 279); without strata the mean is 0 at a maximum, and this is what
Stata's vce(cluster) and R's sandwich::vcovCL compute of a likelihood.

One known case: where each row is a cluster B is n / (n - 1) times the sum of s s'.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data import frequencies, refuse_other_index
from emframe.data.frames import is_frame
from emframe.data.words import column_of
from emframe.models import Model, observed
from emframe.spaces import Array


def labels_in(X: Any, labels: Any) -> Any:
    """Labels (n,), where they are told by the name of a column of a frame; else as they are."""
    return column_of(X, labels).to_numpy() if isinstance(labels, str) and is_frame(X) else labels


@dataclass(frozen=True)
class Sampling:
    """Labels of the cluster and of the stratum of each row that was given; None for none."""

    clusters: Any = None
    strata: Any = None

    def __bool__(self) -> bool:
        return self.clusters is not None or self.strata is not None

    @property
    def unit(self) -> str:
        """What is independent, in words."""
        return "rows (or runs of rows)" if self.clusters is None else "clusters"

    def rows(self, model: Model, X: Any, weights: Any, columns: Any) -> Any:
        """The rows: each by itself where labels are to be matched, else in as few as will do."""
        if not self:
            return observed(model, X, weights, columns)
        refuse_other_index(self.clusters, X, "clusters")
        refuse_other_index(self.strata, X, "strata")
        return model.rows(X, frequencies(X, weights), columns=columns)

    def units(self, rows: Any) -> float:
        """How many independent units there are."""
        if self.clusters is None:
            return float(rows.weight / rows.unit)
        return float(len(np.unique(self._codes("clusters", self.clusters, rows))))

    def between(self, totals: Array, rows: Any) -> Array:
        """B of the module, (p, p), from weighted scores of rows (n, p).

        Raises ValueError for a stratum of one cluster, or a cluster in two strata.
        """
        n = len(totals)
        cluster = (
            np.arange(n) if self.clusters is None else self._codes("clusters", self.clusters, rows)
        )
        stratum = (
            np.zeros(n, dtype=np.intp)
            if self.strata is None
            else self._codes("strata", self.strata, rows)
        )
        _, first, place = np.unique(cluster, return_index=True, return_inverse=True)
        home = stratum[first]
        if (home[place] != stratum).any():
            row = int(rows.numbers[(home[place] != stratum).argmax()])
            raise ValueError(
                f"`strata` row {row} is in another stratum than its cluster was before; number "
                "clusters anew in each stratum."
            )
        sums = np.zeros((len(first), totals.shape[1]))
        np.add.at(sums, place, totals)
        found = np.zeros((totals.shape[1],) * 2)
        for one in np.unique(home):
            mine = sums[home == one]
            if len(mine) < 2:
                what = "the data have" if self.strata is None else "a stratum has"
                raise ValueError(
                    f"{what} one cluster only, whose spread nobody can tell; join it to another."
                )
            apart = mine if self.strata is None else mine - mine.mean(axis=0)
            found += len(mine) / (len(mine) - 1.0) * apart.T @ apart
        return found

    def _codes(self, name: str, labels: Any, rows: Any) -> NDArray[np.intp]:
        """A number for the label of each row that is used, (n,)."""
        if hasattr(rows, "n_runs"):
            raise TypeError(
                f"`{name}` go with single rows, and these are in runs, which are independent "
                "units already; leave it out."
            )
        values = np.asarray(labels)
        if values.shape != (rows.n_given,):
            raise ValueError(
                f"`{name}` has shape {values.shape}; pass one label for each of the "
                f"{rows.n_given} rows."
            )
        missing = np.array(
            [one is None or (isinstance(one, float) and isnan(one)) for one in values.tolist()],
            dtype=bool,
        )
        if missing.any():
            raise ValueError(f"`{name}` row {int(missing.argmax())} is missing; pass a label.")
        return np.unique(
            values.astype(str) if values.dtype == object else values, return_inverse=True
        )[1].ravel()[rows.numbers]
