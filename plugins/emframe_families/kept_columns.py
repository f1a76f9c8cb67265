"""Columns whose M-step needs the rows themselves: one component at a time, all columns at once.

No smaller statistic than the rows will do, so they stay in memory, with their responsibilities.  A
family states its density, what its rows say of the parameters, and where these are best:

    slopes(params, x)     d log f / d theta of each row, each column and each component
    best(x, weights, k)   the maximum of sum_i weights_i log f(x_i | theta), component by component

One known case: with equal weights `best` is the maximum likelihood estimate of a textbook.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any

import numpy as np

from emframe.families import refuse_empty
from emframe.numeric.climbed import Kept
from emframe.parameters import declarations, keep, pullback
from emframe.spaces import Array
from emframe_families.columns import Columns

TINY = float(np.finfo(float).tiny)


class KeptColumns(Columns):
    """Base of families of independent columns that keep the rows."""

    effort = 6.0

    @abstractmethod
    def log_densities(self, params: Any, x: Array) -> Array:
        """Log density of rows x (n, 1, d) in each column of each component, (n, K, d)."""

    @abstractmethod
    def slopes(self, params: Any, x: Array) -> Any:
        """Derivatives of that by the parameters, as parameters of arrays (n, K, d)."""

    @abstractmethod
    def best(self, x: Array, weights: Array, k: int, previous: Any) -> tuple[Array, ...]:
        """Each parameter (d,) where rows x (n, d) with these weights (n,), none 0, are likeliest.

        Parameters
        ----------
        k : the component, for messages.
        previous : parameters (d,) that it had before, or None: an iteration may begin there.

        Raises `emframe.Degenerate` where there is no finite maximum.
        """

    def log_density(self, params: Any, x: Array) -> Array:
        return np.asarray(self.log_densities(params, x[:, None, :]).sum(axis=2))

    def accumulate(self, x: Array, resp: Array) -> Kept:
        return Kept.of_rows(x, resp)

    def expected(self, statistics: Kept, params: Any) -> float:
        return statistics.expected(partial(self.log_density, params))

    def m_step(self, statistics: Kept, previous: Any) -> Any:
        statistics = statistics.regular()
        empty = statistics.counts <= TINY
        if previous is None:
            refuse_empty(empty)
        names = tuple(declarations(self.parameters))
        found = []
        for k in range(len(empty)):
            before = None if previous is None else tuple(getattr(previous, n)[k] for n in names)
            if empty[k]:
                assert before is not None
                found.append(before)
            else:
                x, weights = statistics.of(k)
                found.append(self.best(x, weights / weights.sum(), k, before))
        each = (np.stack(values) for values in zip(*found, strict=True))
        params = self.parameters(*each)
        return keep(empty, previous, params) if empty.any() else params

    def gradient(self, statistics: Kept, params: Any) -> Array:
        names = tuple(declarations(self.parameters))
        total: Any = 0.0
        for x, resp in statistics.blocks:
            along = self.slopes(params, x[:, None, :])
            rows = np.stack([getattr(along, name) for name in names])  # (P, n, K, d)
            total = total + np.einsum("nk,pnkd->pkd", resp, rows)
        return pullback(params, self.parameters(*total))
