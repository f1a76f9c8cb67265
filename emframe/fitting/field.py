"""D of a mixture over all components that could be added to it: its values, and its supremum.

    D(t)  =  sum_i w_i f_t(x_i) / f(x_i)  -  n

It is worked with as ``log(1 + D / n)``, the log of the mean of f_t / f over the rows.

One known case: over the components of the mixture itself, by their weights, D is 0 on average.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp

from emframe.families import Axes, Family
from emframe.fitting.boxes import Peak, highest
from emframe.fitting.expansion import bound_around
from emframe.spaces import Array

NUMBERS_AT_ONCE = 1 << 20  # densities of rows under points, together


@dataclass(frozen=True)
class Field:
    """Rows, and the components of a family over the box of its axes."""

    family: Family
    axes: Axes
    x: Array  # (n, d)
    weights: Array  # (n,)

    @property
    def n(self) -> float:
        """Total weight of the rows."""
        return float(self.weights.sum())

    def density(self, components: Any) -> Array:
        """Log densities of the rows, (n, m).  Raises ValueError for one without bound."""
        with np.errstate(invalid="ignore"):
            found = self.family.log_density(components, self.x)
        if np.isnan(found).any() or (found == math.inf).any():
            raise ValueError(
                f"a further component of {self.family.name!r} has a density without bound at a "
                "row, and adds without bound, so there is no certificate."
            )
        return found

    def mean_ratio(self, components: Any, density: Array) -> Array:
        """log(1 + D / n) of each component, of a mixture with this log density (n,)."""
        with np.errstate(divide="ignore", under="ignore"):
            return np.asarray(logsumexp(self._shares(components, density), axis=0))

    def peak(self, density: Array, tol: float, share: float, max_points: int, known: float) -> Peak:
        """The maximum of log(1 + D / n).

        Its bounds are at most `tol` nats apart over all rows, or this share of it.
        """
        axes = self.axes

        def value(points: Array) -> Array:
            each = [self.mean_ratio(axes.at(points[part]), density) for part in self._parts(points)]
            return np.concatenate(each)

        def around(centres: Array, low: Array, high: Array) -> Array:
            assert axes.curve is not None
            each = [
                bound_around(
                    self._shares(axes.at(centres[part]), density),
                    axes.curve,
                    *(ends[part] for ends in (centres, low, high)),
                )
                for part in self._parts(centres, centres.shape[1])
            ]
            return np.concatenate(each)

        near: Callable[[Array, Array, Array], Array] | None = around if axes.curve else None
        return highest(value, near, axes, tol / self.n, share, max_points, known)

    def _shares(self, components: Any, density: Array) -> Array:
        """log of w / n f_t / f at each row, (n, m)."""
        return self.density(components) + (np.log(self.weights / self.n) - density)[:, None]

    def _parts(self, points: Array, numbers: int = 1) -> Iterator[slice]:
        """Points that are taken together, where each needs so many numbers per row."""
        step = max(1, NUMBERS_AT_ONCE // (len(self.x) * numbers))
        return (slice(first, first + step) for first in range(0, len(points), step))
