"""Covariance matrices that may be singular, by a triangular root without a logarithm.

    D = L L',      L lower triangular, any real numbers

A variance may be 0, and a correlation 1: these are points of the space like others, with finite
coordinates.  The map is many to one (a column of L may have either sign), which no coordinate
method minds, and near a variance of 0 a function of D is a smooth function of L.

One known case: the matrix of zeros has coordinates 0, and so has the single variance 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import EPS, ROUNDED, Array, Shape, Space, largest

# A pivot below this share of its variance is rounding.
ROUNDING = 16.0 * EPS


def triangular_root(matrices: Array) -> Array:
    """L (..., q, q), lower triangular with L L' = D, for positive semidefinite D (..., q, q).

    A column of L is 0 where the pivot is: what is left of that variance is rounding.
    """
    q = matrices.shape[-1]
    root = np.zeros(matrices.shape)
    for j in range(q):
        row = root[..., j, :j]
        pivot = matrices[..., j, j] - (row**2).sum(axis=-1)
        used = pivot > ROUNDING * q * matrices[..., j, j]
        along = np.sqrt(np.where(used, pivot, 1.0))
        rest = matrices[..., j:, j] - (root[..., j:, :j] * row[..., None, :]).sum(axis=-1)
        root[..., j:, j] = np.where(used[..., None], rest / along[..., None], 0.0)
    return root


def unpacked(rows: Array) -> Array:
    """Symmetric matrices (..., q, q) from their lower triangles row by row."""
    q = round((np.sqrt(8 * rows.shape[-1] + 1) - 1) / 2)
    matrices = np.zeros((*rows.shape[:-1], q, q))
    i, j = np.tril_indices(q)
    matrices[..., i, j] = rows
    matrices[..., j, i] = rows
    return matrices


def packed(matrices: Array) -> Array:
    """The lower triangles of symmetric matrices (..., q, q), row by row."""
    i, j = np.tril_indices(matrices.shape[-1])
    return matrices[..., i, j]


class PackedSemidefinite(Space):
    """Rows that are lower triangles of positive semidefinite matrices, entry by entry."""

    n_event_axes = 1
    words = "lower triangles of covariance matrices, row by row: no eigenvalue below 0"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return PositiveSemidefinite().contains(unpacked(values))

    def coordinates(self, values: Array) -> Array:
        return packed(triangular_root(unpacked(values))).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        root = np.tril(unpacked(np.reshape(vector, shape)))
        return packed(root @ root.swapaxes(-1, -2))

    def n_coordinates(self, shape: Shape) -> int:
        return prod(shape)


@dataclass(frozen=True, repr=False)
class PositiveSemidefinite(Space):
    """Symmetric positive semidefinite matrices: covariances, variances of 0 included.

    ``structure`` restricts them: "full" or "diagonal".  The matrices are stored whole either way.

    Examples
    --------
    >>> emframe.PositiveSemidefinite().contains(np.ones((2, 2)))
    array(True)
    """

    structure: str = "full"
    n_event_axes = 2

    @property
    def words(self) -> str:  # type: ignore[override]
        kind = "diagonal" if self.structure == "diagonal" else "symmetric"
        return f"{kind} positive semidefinite matrices"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        finite = np.asarray(np.isfinite(values).all(axis=(-2, -1)))
        known = np.where(finite[..., None, None], values, 0.0)
        variances = np.diagonal(known, axis1=-2, axis2=-1)
        scale = np.sqrt(np.where(variances > 0.0, variances, 1.0))
        correlation = known / scale[..., :, None] / scale[..., None, :]
        inside = np.asarray(finite & (variances >= 0.0).all(axis=-1))
        if self.structure == "diagonal":
            plain = known == variances[..., None] * np.eye(known.shape[-1])
            return np.asarray(inside & plain.all(axis=(-2, -1)))
        slack = ROUNDING * known.shape[-1]
        gap = np.abs(correlation - correlation.swapaxes(-1, -2)).max(axis=(-2, -1), initial=0.0)
        least = np.linalg.eigvalsh(correlation).min(axis=-1, initial=0.0)
        return np.asarray(inside & (gap <= slack) & (least >= -slack))

    def near(self, values: Array) -> Array:
        if values.ndim < 2 or values.shape[-2] != values.shape[-1]:
            return values
        other = values.swapaxes(-1, -2)
        with np.errstate(invalid="ignore"):
            sd = np.sqrt(np.abs(np.diagonal(values, axis1=-2, axis2=-1)))
            off = np.abs(values - other) <= ROUNDED * sd[..., :, None] * sd[..., None, :]
        rounded = off.all(axis=(-2, -1), keepdims=True)
        return np.where(rounded & (values != other), values + 0.5 * (other - values), values)

    def _places(self, q: int) -> NDArray[np.intp]:
        """Where the coordinates stand among the numbers of L, row by row."""
        if self.structure == "diagonal":
            return np.arange(q) * (q + 1)
        rows, columns = np.tril_indices(q)
        return np.asarray(rows * q + columns)

    def _entries(self, roots: Array) -> Array:
        *batch, q, _ = roots.shape
        return np.asarray(roots.reshape(*batch, q * q)[..., self._places(q)].ravel())

    def coordinates(self, values: Array) -> Array:
        return self._entries(triangular_root(values))

    def root(self, vector: Array, shape: Shape) -> Array:
        """L of this shape at these coordinates."""
        *batch, q, _ = shape
        places = self._places(q)
        found = np.zeros((*batch, q * q))
        found[..., places] = np.reshape(vector, (*batch, len(places)))
        return found.reshape(shape)

    def point(self, vector: Array, shape: Shape) -> Array:
        root = self.root(vector, shape)
        return np.asarray(root @ root.swapaxes(-1, -2))

    def pullback(self, values: Array, gradient: Array) -> Array:
        return self.from_root((gradient + gradient.swapaxes(-1, -2)) @ triangular_root(values))

    def from_root(self, gradient: Array) -> Array:
        """A gradient with respect to the root L of values, as one with respect to coordinates.

        What a function does near a singular D is told by L alone.
        """
        return self._entries(gradient)

    def units(self, values: Array) -> Array:
        variances = np.diagonal(values, axis1=-2, axis2=-1)
        size = np.sqrt(np.where(variances > 0.0, variances, largest(variances)))
        return self._entries(np.broadcast_to(size[..., :, None], values.shape))

    def n_coordinates(self, shape: Shape) -> int:
        *batch, q, _ = shape
        return prod(batch) * len(self._places(q))

    def limits(self, shape: Shape) -> tuple[Array, Array]:
        on_diagonal = np.broadcast_to(np.eye(shape[-1], dtype=bool), shape)
        return np.where(on_diagonal, 0.0, -np.inf), np.full(shape, np.inf)

    def distinct(self, shape: Shape) -> NDArray[np.bool_]:
        shown = np.tri(shape[-1], dtype=bool)
        if self.structure == "diagonal":
            shown &= np.eye(shape[-1], dtype=bool)
        return np.broadcast_to(shown, shape)

    def __repr__(self) -> str:
        return f"PositiveSemidefinite({self.structure!r})"
