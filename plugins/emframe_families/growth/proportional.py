"""Covariances of components that are multiples of one: D_k = K s_k D, with shares s on the simplex.

    D = sum_k D_k / K,      s_k = tr D_k / sum_k tr D_k

Components differ in how much their people differ, and not in how (lcmm's ``nwg``).  A share may
be 0, where all people of a component are alike.  Shares add up to 1 whatever the order of
components, so none of them is the reference.

One known case: with shares of 1 / K all are D, and with K = 1 too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe import Array, PositiveSemidefinite, Simplex
from emframe.spaces import Shape, triangular_root

CLOSE = 1e-8  # how far from being multiples, as a share of the largest variance


@dataclass(frozen=True, repr=False)
class Proportional(PositiveSemidefinite):
    """K positive semidefinite matrices (K, q, q) that are multiples of each other."""

    n_event_axes = 3

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"{super().words} that are multiples of each other"

    def parts(self, values: Array) -> tuple[Array, Array]:
        """D (q, q) and the shares (K,)."""
        traces = np.einsum("kaa->k", values)
        total = traces.sum()
        k = len(traces)
        return values.mean(axis=0), traces / total if total > 0.0 else np.full(k, 1.0 / k)

    def contains(self, values: Array) -> NDArray[np.bool_]:
        each = PositiveSemidefinite(self.structure).contains(values)
        if not each.all():
            return np.asarray(False)
        mean, shares = self.parts(values)
        off = np.abs(values - len(values) * shares[:, None, None] * mean)
        sd = np.sqrt(np.abs(np.diagonal(mean)))
        return np.asarray(bool((off <= CLOSE * len(values) * sd[:, None] * sd).all()))

    def near(self, values: Array) -> Array:
        return super().near(values) if np.ndim(values) == 3 else values

    def coordinates(self, values: Array) -> Array:
        mean, shares = self.parts(values)
        return np.concatenate([super().coordinates(mean), Simplex().coordinates(shares)])

    def point(self, vector: Array, shape: Shape) -> Array:
        mean = super().point(vector[: -shape[0]], shape[1:])
        shares = Simplex().point(vector[-shape[0] :], shape[:1])
        return np.asarray(shape[0] * shares[:, None, None] * mean)

    def pullback(self, values: Array, gradient: Array) -> Array:
        both = gradient + gradient.swapaxes(-1, -2)
        return self.from_roots(values, both @ triangular_root(values))

    def from_roots(self, values: Array, gradient: Array) -> Array:
        """A gradient with respect to the roots L_k of values, as one in coordinates."""
        mean, shares = self.parts(values)
        k, root = len(shares), triangular_root(mean)
        scale = np.sqrt(k * shares)  # L_k = scale_k L
        along = (gradient * root).sum(axis=(1, 2))
        by_share = np.divide(0.5 * k * along, scale, out=np.zeros(k), where=scale > 0.0)
        of_mean = (scale[:, None, None] * gradient).sum(axis=0)
        return np.concatenate([self.from_root(of_mean), Simplex().pullback(shares, by_share)])

    def units(self, values: Array) -> Array:
        return np.concatenate([super().units(self.parts(values)[0]), np.ones(len(values))])

    def n_coordinates(self, shape: Shape) -> int:
        return super().n_coordinates(shape[1:]) + shape[0]

    def n_free(self, shape: Shape) -> int:
        return super().n_coordinates(shape[1:]) + shape[0] - 1

    def __repr__(self) -> str:
        return f"Proportional({self.structure!r})"


def rescaled(moments: Any, loading: Array, least: float) -> Array:
    """Loadings A_k, each times the number that is best for its component, (K, q, q)."""
    slope = (moments.turned(loading) * loading).sum(axis=(1, 2))
    bend = (moments.bent(loading) * loading).sum(axis=(1, 2))
    factor = 1.0 + np.divide(slope, bend, out=np.zeros(len(slope)), where=bend > 0.0)
    return np.asarray(np.maximum(factor, least)[:, None, None] * loading)
