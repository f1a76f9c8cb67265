"""A person's rows in as few numbers as say the same: the triangle of their terms and responses.

    [U_i  y_i] = Q_i R_i,      |y - U g|^2 = |R (-g, 1)|^2    for every g

so that R_i, of no more rows than there are terms and one, stands for all visits of person i.  It
is made once, in one reading of the rows; a pass over people then costs the same however often each
was seen.  A triangle has the digits that cross products lose: residuals are differences of
numbers of the size of y, not of y^2 (Golub 1965, Numer. Math. 7, 206).

One known case: a person with fewer visits than terms keeps their rows as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe import Array
from emframe_families.growth.terms import Terms


@dataclass(frozen=True)
class People:
    """N people by their triangles."""

    terms: Terms
    roots: Array  # (N, t, c)  R of the distinct terms and the response, filled up with rows of 0
    visits: Array  # (N,)

    @classmethod
    def of(cls, terms: Terms, runs: Any) -> People:
        """The people of `emframe.Sequences`, a run each: found once, and kept with the runs."""
        return runs.derived(terms, lambda: condensed(terms, runs.x, runs.lengths))

    def __len__(self) -> int:
        return len(self.visits)

    @cached_property
    def x(self) -> Array:
        """Rows of the terms with fixed coefficients, (N, t, p)."""
        return np.ascontiguousarray(self.roots[:, :, self.terms.x_places])

    @cached_property
    def z(self) -> Array:
        """Rows of the terms with random coefficients, (N, t, q)."""
        return np.ascontiguousarray(self.roots[:, :, self.terms.z_places])

    @cached_property
    def y(self) -> Array:
        """Responses, (N, t)."""
        return np.ascontiguousarray(self.roots[:, :, -1])

    @cached_property
    def zz(self) -> Array:
        """Z'Z of each, (N, q, q)."""
        return self.z.swapaxes(1, 2) @ self.z

    def residuals(self, coefficients: Array) -> Array:
        """y - X beta_k, (K, N, t), for coefficients (K, p)."""
        return self.y - np.moveaxis(self.x @ coefficients.T, 2, 0)


def condensed(terms: Terms, rows: Array, lengths: NDArray[np.intp]) -> People:
    """The triangle of each run of rows (n, d)."""
    return triangles(terms, terms.values(rows), lengths)


def triangles(terms: Terms, values: Array, lengths: NDArray[np.intp]) -> People:
    """The same of terms (n, c); people with as many visits are factored together."""
    firsts = np.cumsum(lengths) - lengths
    c = values.shape[1]
    roots = np.zeros((len(lengths), min(c, int(lengths.max(initial=1))), c))
    for visits in np.unique(lengths):
        mine = np.flatnonzero(lengths == visits)
        block = values[firsts[mine][:, None] + np.arange(visits)]
        if visits > c:
            block = np.linalg.qr(block, mode="r")
        roots[mine, : block.shape[1]] = block
    return People(terms, roots, lengths.astype(float))
