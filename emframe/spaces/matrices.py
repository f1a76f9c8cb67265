"""Covariance matrices, by their log-Cholesky factor.

One known case: the identity matrix has coordinates 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from math import isfinite, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import EPS, ROUNDED, Array, Shape, Space


@cache
def _lower(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of the lower triangle among the numbers of a (d, d) matrix, and of the diagonal in it.

    Both row by row.
    """
    rows, columns = np.tril_indices(d)
    return rows * d + columns, np.flatnonzero(rows == columns)


def _triangle(matrices: NDArray[Any]) -> Array:
    """Lower triangles row by row, (..., d, d) -> (..., d (d + 1) / 2)."""
    d = matrices.shape[-1]
    return matrices.reshape(*matrices.shape[:-2], d * d).take(_lower(d)[0], axis=-1)


def _is_near(values: Array, other: Array) -> NDArray[np.bool_]:
    """Whether matrices (..., d, d) are others but for rounding to single precision, (..., 1, 1)."""
    sd = np.sqrt(np.abs(np.diagonal(values, axis1=-2, axis2=-1)))
    off = np.abs(values - other) <= ROUNDED * sd[..., :, None] * sd[..., None, :]
    return np.asarray(off.all(axis=(-2, -1), keepdims=True))


# Numbers in matrices up to which it is quicker to look whether they were factored before.
_FEW = 1 << 14


def cholesky(matrices: Array) -> Array:
    """Cholesky factors (..., d, d), lower and read-only; LinAlgError where there are none.

    Validity, coordinates, a density and a gradient at one point ask for the same factors, in
    parts of a program that know nothing of each other.  They are worked out for the first of them:
    those of the last few matrices are remembered, by the numbers themselves.
    """
    if matrices.size > _FEW or matrices.dtype != np.float64:
        return np.asarray(np.linalg.cholesky(matrices), dtype=float)
    return _factor(matrices.tobytes(), matrices.shape)


@lru_cache(maxsize=16)
def _factor(numbers: bytes, shape: Shape) -> Array:
    factor: Array = np.asarray(np.linalg.cholesky(np.frombuffer(numbers).reshape(shape)))
    factor.flags.writeable = False
    return factor


def _factors(matrices: Array) -> bool:
    """Whether all are symmetric to the last bit and have a Cholesky factor: the usual case."""
    if not (matrices == matrices.swapaxes(-1, -2)).all():
        return False
    try:
        factor = cholesky(matrices)
    except np.linalg.LinAlgError:
        return False
    return isfinite(np.vdot(factor, factor))  # the sum of their traces


@dataclass(frozen=True, repr=False)
class Variances(Space):
    """The diagonals (..., d) of matrices that have nothing else."""

    structure: str = "diagonal"  # or "spherical": one number for all columns
    n_event_axes = 1
    is_scale = True

    @property
    def words(self) -> str:  # type: ignore[override]
        return PositiveDefinite(self.structure).words

    def contains(self, values: Array) -> NDArray[np.bool_]:
        inside = np.isfinite(values).all(axis=-1) & (values > 0).all(axis=-1)
        if self.structure == "spherical":
            inside &= (values == values[..., :1]).all(axis=-1)
        return np.asarray(inside)

    def coordinates(self, values: Array) -> Array:
        own = values[..., :1] if self.structure == "spherical" else values
        return np.asarray(0.5 * np.log(own).ravel())

    def point(self, vector: Array, shape: Shape) -> Array:
        return np.broadcast_to(np.exp(2.0 * np.reshape(vector, (*shape[:-1], -1))), shape)

    def pullback(self, values: Array, gradient: Array) -> Array:
        each = 2.0 * values * gradient
        if self.structure == "spherical":
            each = each.sum(axis=-1)
        return np.asarray(each.ravel())

    def units(self, values: Array) -> Array:
        return np.ones(self.n_coordinates(values.shape))

    def n_coordinates(self, shape: Shape) -> int:
        return prod(shape[:-1]) if self.structure == "spherical" else prod(shape)


@dataclass(frozen=True, repr=False)
class PositiveDefinite(Space):
    """Symmetric positive definite matrices, by the Cholesky factor with a log diagonal.

    ``structure`` restricts them: "full", "diagonal", or "spherical" (one variance for all
    columns).  The matrices are told whole whatever the structure, and where they have no more than
    a diagonal parameters may store that alone; see `emframe.parameters.packing`.

    Examples
    --------
    >>> emframe.PositiveDefinite().contains(np.array([[2.0, 1.0], [1.0, 2.0]]))
    array(True)
    """

    structure: str = "full"
    n_event_axes = 2
    is_scale = True

    @property
    def words(self) -> str:  # type: ignore[override]
        kind = {"full": "", "diagonal": "diagonal ", "spherical": "spherical "}[self.structure]
        return f"{kind}symmetric positive definite matrices"

    @property
    def packed(self) -> Space | None:  # type: ignore[override]
        is_plain = self.structure != "full" and self.n_event_axes == 2
        return Variances(self.structure) if is_plain else None

    def told(self, packed: Array) -> Array:
        d = packed.shape[-1]
        values = np.zeros((*packed.shape[:-1], d * d))
        values[..., :: d + 1] = packed
        values.flags.writeable = False
        return values.reshape(*packed.shape, d)

    def pack(self, values: Array) -> Array | None:
        if values.shape[-1] != values.shape[-2]:
            return None
        on = np.diagonal(values, axis1=-2, axis2=-1)
        if np.count_nonzero(values) != np.count_nonzero(on):
            return None
        packed = np.array(on)
        packed.flags.writeable = values.flags.writeable
        return packed

    def contains(self, values: Array) -> NDArray[np.bool_]:
        if self.structure == "full" and _factors(values):
            return np.ones(values.shape[:-2], dtype=bool)
        variances = np.diagonal(values, axis1=-2, axis2=-1)
        if not (np.isfinite(values).all() and (variances > 0).all()):
            # Judge the others alone, so that one bad matrix spoils no factorisation.
            finite = np.isfinite(values).all(axis=(-2, -1)) & (variances > 0).all(axis=-1)
            inside = np.zeros(finite.shape, dtype=bool)
            inside[finite] = self.contains(values[finite]) if finite.any() else False
            return inside
        if self.structure != "full":
            plain = (values == variances[..., None] * np.eye(values.shape[-1])).all(axis=(-2, -1))
            one = self.structure == "diagonal" or (variances == variances[..., :1]).all(axis=-1)
            return np.asarray(plain & one)
        # Scaling to correlation matrices makes the test independent of the columns' units.
        scale = np.sqrt(variances)
        correlation = values / scale[..., :, None] / scale[..., None, :]
        gap = np.abs(correlation - np.swapaxes(correlation, -1, -2)).max(axis=(-2, -1))
        symmetric = gap <= 8 * EPS * values.shape[-1]
        try:
            np.linalg.cholesky(correlation)
        except np.linalg.LinAlgError:  # some are not, and it does not say which
            return np.asarray(symmetric & (np.linalg.eigvalsh(correlation)[..., 0] > 0))
        return np.asarray(symmetric)

    def near(self, values: Array) -> Array:
        if values.ndim < self.n_event_axes or values.shape[-2] != values.shape[-1]:
            return values
        other = values.swapaxes(-1, -2)
        with np.errstate(invalid="ignore"):
            rounded = _is_near(values, other)
        even = np.where(rounded & (values != other), values + 0.5 * (other - values), values)
        if self.contains(even).all() or not PositiveDefinite().contains(even).all():
            return even
        there = self.point(self.coordinates(even), even.shape)
        return np.where(_is_near(even, there), there, even)

    def holds(self, values: Array) -> bool:
        if self.n_event_axes == 2 and self._usual(values):
            return True
        return super().holds(values)

    def _usual(self, values: Array) -> bool:
        """Whether all are members at first sight, which nearly all are that a step comes to."""
        if self.structure == "full":
            return _factors(values)
        variances = values.diagonal(0, -2, -1)
        plain = np.count_nonzero(values) == variances.size  # nothing off the diagonal
        if not (plain and variances.min() > 0.0 and variances.max() < np.inf):
            return False
        return self.structure == "diagonal" or bool((variances == variances[..., :1]).all())

    def coordinates(self, values: Array) -> Array:
        if self.structure == "full":
            entries = _triangle(cholesky(values))
            diagonal = _lower(values.shape[-1])[1]
            entries[..., diagonal] = np.log(entries[..., diagonal])
            return entries.ravel()
        variances = np.diagonal(values, axis1=-2, axis2=-1)
        if self.structure == "spherical":
            variances = variances[..., :1]
        return np.asarray(0.5 * np.log(variances).ravel())

    def point(self, vector: Array, shape: Shape) -> Array:
        *batch, d, _ = shape
        if self.structure == "full":
            places, _ = _lower(d)
            factor = np.zeros((*batch, d * d))
            factor[..., places] = np.reshape(vector, (*batch, len(places)))
            factor[..., :: d + 1] = np.exp(factor[..., :: d + 1])
            factor = factor.reshape(shape)
            return factor @ factor.swapaxes(-1, -2)
        matrices = np.zeros((*batch, d * d))
        matrices[..., :: d + 1] = np.exp(2.0 * np.reshape(vector, (*batch, -1)))
        return matrices.reshape(shape)

    def pullback(self, values: Array, gradient: Array) -> Array:
        if self.structure == "full":
            factor = cholesky(values)
            entries = _triangle((gradient + gradient.swapaxes(-1, -2)) @ factor)
            entries[..., _lower(values.shape[-1])[1]] *= factor.diagonal(0, -2, -1)
            return entries.ravel()
        each = 2.0 * np.diagonal(values * gradient, axis1=-2, axis2=-1)
        if self.structure == "spherical":
            each = each.sum(axis=-1)
        return np.asarray(each.ravel())

    def units(self, values: Array) -> Array:
        if self.structure != "full":
            return np.ones(self.n_coordinates(values.shape))
        sd = np.sqrt(np.diagonal(values, axis1=-2, axis2=-1))
        entries = _triangle(np.broadcast_to(sd[..., :, None], values.shape))
        entries[..., _lower(values.shape[-1])[1]] = 1.0  # logarithms
        return entries.ravel()

    def n_coordinates(self, shape: Shape) -> int:
        *batch, d, _ = shape
        per_matrix = {"full": d * (d + 1) // 2, "diagonal": d, "spherical": 1}[self.structure]
        return prod(batch) * per_matrix

    def limits(self, shape: Shape) -> tuple[Array, Array]:
        on_diagonal = np.broadcast_to(np.eye(shape[-1], dtype=bool), shape)
        return np.where(on_diagonal, 0.0, -np.inf), np.full(shape, np.inf)

    def distinct(self, shape: Shape) -> NDArray[np.bool_]:
        shown = np.tri(shape[-1], dtype=bool)
        if self.structure != "full":
            shown &= np.eye(shape[-1], dtype=bool)
        if self.structure == "spherical":
            shown[1:] = False
        return np.broadcast_to(shown, shape)

    def __repr__(self) -> str:
        return f"PositiveDefinite({self.structure!r})"
