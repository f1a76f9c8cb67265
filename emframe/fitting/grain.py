"""How fine some rows are recorded, and how far they spread: what a density is held against.

A density knows no bound, a probability is at most 1.  Values that are recorded to some precision
have a probability, the density times the step from one value to the next; so where the density of
a component exceeds one over the step, it is narrower than its values are known.

One known case: values rounded to one decimal have steps of 0.1, whatever their number.
"""

from __future__ import annotations

from functools import cached_property
from math import inf
from typing import Any

import numpy as np

from emframe.data import swept
from emframe.spaces import Array

SAME = 16 * np.finfo(float).eps  # values this near, relative to the column's largest, are equal
SORTED = 1 << 20  # rows among which the least step of a column is looked for


class Grain:
    """How fine the columns of some rows are: found when first asked for, and once."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    @cached_property
    def has_gaps(self) -> bool:
        """Whether some values are missing."""
        return any(swept(self._rows, SORTED, _has_gaps))

    @cached_property
    def steps(self) -> Array:
        """The least step between distinct values of each column, (d,)."""
        found: Array = np.minimum.reduce(swept(self._rows, SORTED, _steps))
        return found

    @cached_property
    def log_spread(self) -> Array:
        """Log standard deviation of what is seen of each column, (d,); 0 for a constant one."""
        n: Any = 0.0
        mean: Any = 0.0
        square: Any = 0.0
        for own, centre, within in swept(self._rows, SORTED, _moments):
            both = n + own
            square = square + within + (centre - mean) ** 2 * n * own / both
            mean, n = mean + (centre - mean) * own / both, both
        variance = square / n
        return np.asarray(0.5 * np.log(np.where(variance > 0, variance, 1.0)))


def _plain(block: Any) -> Array:
    return np.asarray(getattr(block, "x", block))


def _has_gaps(block: Any, _: Array) -> bool:
    return bool(np.isnan(_plain(block)).any())


def _steps(block: Any, _: Array) -> Array:
    return resolution(_plain(block))


def _moments(block: Any, _: Array) -> tuple[Any, Array, Array]:
    """What is seen of each column of a block: how often, its mean, its sum of squares about it."""
    x = _plain(block)
    seen = ~np.isnan(x)
    own = np.maximum(seen.sum(axis=0), 1)
    centre = np.where(seen, x, 0.0).sum(axis=0) / own
    within = (np.where(seen, x - centre, 0.0) ** 2).sum(axis=0)
    return own, centre, within


def resolution(x: Array) -> Array:
    """The least step between distinct values of each column, (d,); inf for a constant one."""
    steps = np.full(x.shape[1], inf)
    for c, column in enumerate(x.T):
        values = np.unique(column[~np.isnan(column)])
        gaps = np.diff(values)
        gaps = gaps[gaps > SAME * np.abs(values[[0, -1]]).max()] if len(values) else gaps
        steps[c] = gaps.min() if len(gaps) else inf
    return steps


def distinct(x: Array, share: Array) -> tuple[Array, Array]:
    """The distinct ones of rows (m, d), and the largest of the shares (m,) of those equal."""
    grid = np.maximum(SAME * np.nanmax(np.abs(x), axis=0, initial=0.0), np.finfo(float).tiny)
    with np.errstate(over="ignore"):
        steps = np.where(np.isnan(x), -np.inf, np.round(x / grid))
    _, first, of = np.unique(steps, axis=0, return_index=True, return_inverse=True)
    most = np.zeros(len(first))
    np.maximum.at(most, of.ravel(), share)
    return x[first], most
