"""Stacks of covariances that depend on each other: where structures such as VEI or EVE live.

A stack is read as the coordinates of its matrices one by one, and a vector of coordinates is the
nearest stack that has the structure: like the radius of a simplex's sphere, what would leave the
structure is redundant.  No angle is needed, and so none goes round:

    diagonal   log standard deviations
    whole      a triangle T with T T' = Sigma, by the logarithm of its diagonal and, in units of
               |T|^(1/d), what is below                             (VEE, EVV)
    turned     the matrix logarithm, in the eigenvalues of which a shape is, and in the
               eigenvectors the orientation                         (EVE, VVE, EEV, VEV)

In each the mean of the diagonal is the volume and the rest the shape, so that what is equal is an
average over components.  To the nearest matrix logarithms of one shape lead the averages of their
sorted eigenvalues, and to those of one orientation the axes in common.

One known case: identity matrices have coordinates 0, whatever the structure.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from emframe import PositiveDefinite
from emframe.spaces import EPS, Array, Shape, cholesky
from emframe_families.gaussian.axes import Squares, common_axes
from emframe_families.gaussian.scatter import smallest_correlations, transposed
from emframe_families.gaussian.structures import Structure, symmetric

# How far from its structure a stack may be: a share of its standard deviations, or a logarithm.
CLOSE = 1e-8


@dataclass(frozen=True, repr=False)
class CovarianceStack(PositiveDefinite):
    """K positive definite matrices (K, d, d) of a structure that couples them.

    Parameters
    ----------
    structure : "full" or "diagonal", of each matrix by itself.
    code : the structure's, such as "VEI".
    """

    code: str = "VEI"
    n_event_axes = 3

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"{super().words} of the structure {self.code}"

    @property
    def _of(self) -> Structure:
        return Structure(self.code)

    def contains(self, values: Array) -> NDArray[np.bool_]:
        each = PositiveDefinite(self.structure).contains(values)
        try:
            return np.asarray(bool(each.all()) and self._has_structure(values))
        except np.linalg.LinAlgError:  # within rounding of a singular matrix
            return np.asarray(False)

    def _has_structure(self, values: Array) -> bool:
        """Whether rounding and no more keeps it from its structure."""
        if self._of.has_axes:
            sizes = np.linalg.eigvalsh(values)
            if not (sizes[:, 0] > EPS * sizes[:, -1]).all():
                return False
            logs = np.log(sizes)
            if self._of.orientation == "V":
                off = logs - self._even(logs)
            else:
                unit = values / np.einsum("kjj->k", values)[:, None, None]
                products = unit[:, None] @ unit
                if not np.abs(products - transposed(products)).max() <= CLOSE:
                    return False
                level = logs.mean(axis=1)
                off = level - level.mean() if self._of.volume == "E" else 0.0 * level
            noise = EPS * np.exp(logs[:, -1] - logs[:, 0]).max()
        else:
            sd = np.sqrt(values.diagonal(0, 1, 2))
            there = self.point(self.coordinates(values), values.shape)
            off = (values - there) / sd[:, :, None] / sd[:, None, :]
            if np.abs(off).max() <= CLOSE:
                return True
            noise = EPS / max(float(smallest_correlations(values).min()), EPS)
        return bool(np.abs(off).max() <= CLOSE + 64 * values.shape[-1] * noise)

    # ---- coordinates

    def coordinates(self, values: Array) -> Array:
        if self._of.is_diagonal:
            return super().coordinates(values)
        if self._of.has_axes:
            logs, axes = np.linalg.eigh(values)
            return _packed((axes * np.log(logs)[:, None, :]) @ transposed(axes)).ravel()
        triangle = cholesky(values)
        logs = np.log(triangle.diagonal(0, 1, 2))
        rows, columns = np.tril_indices(values.shape[-1], -1)
        below = triangle[:, rows, columns] / np.exp(logs.mean(axis=1, keepdims=True))
        return np.concatenate([logs, below], axis=1).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        k, d, _ = shape
        reals = np.reshape(vector, (k, -1))
        if not np.isfinite(reals).all():
            return np.full(shape, np.nan)  # no member either, and nothing has its axes
        with np.errstate(over="ignore", invalid="ignore"):  # inf is no member: treated as that
            if self._of.is_diagonal:
                return np.asarray(np.exp(2.0 * self._even(reals))[:, :, None] * np.eye(d))
            if self._of.has_axes:
                axes, logs = self._axes(_unpacked(reals, d))
                return symmetric((axes * np.exp(self._even(logs))[:, None, :]) @ transposed(axes))
            even = self._even(reals, d)
            triangle = np.zeros(shape)
            rows, columns = np.tril_indices(d, -1)
            unit = np.exp(even[:, :d].mean(axis=1, keepdims=True))
            triangle[:, rows, columns] = even[:, d:] * unit
            np.einsum("kjj->kj", triangle)[...] = np.exp(even[:, :d])
            return symmetric(triangle @ transposed(triangle))

    def pullback(self, values: Array, gradient: Array) -> Array:
        if self._of.is_diagonal:
            each = 2.0 * np.diagonal(values * gradient, axis1=-2, axis2=-1)
            return self._even(each).ravel()
        if self._of.has_axes:
            return self._turned_pullback(values, symmetric(gradient))
        triangle, d = cholesky(values), values.shape[-1]
        slope = 2.0 * symmetric(gradient) @ triangle
        rows, columns = np.tril_indices(d, -1)
        share = (slope * triangle)[:, rows, columns].sum(axis=1, keepdims=True) / d
        diagonal = triangle.diagonal(0, 1, 2)
        unit = np.exp(np.log(diagonal).mean(axis=1, keepdims=True))
        on = slope.diagonal(0, 1, 2) * diagonal + share
        return self._even(np.concatenate([on, slope[:, rows, columns] * unit], axis=1), d).ravel()

    def _turned_pullback(self, values: Array, gradient: Array) -> Array:
        """Through the derivative of the matrix exponential, and onto the structure's tangents."""
        d = values.shape[-1]
        axes, logs = self._axes(_unpacked(self.coordinates(values).reshape(len(values), -1), d))
        mean, half = (0.5 * (logs[:, :, None] + sign * logs[:, None, :]) for sign in (1.0, -1.0))
        ratio = np.divide(np.sinh(half), half, out=np.ones_like(half), where=half != 0.0)
        slope = transposed(axes) @ gradient @ axes * np.exp(mean) * ratio
        on = self._even(slope.diagonal(0, 1, 2))
        if self._of.orientation == "E":  # axes turn together: by so much for each gap of logarithms
            size = np.square(half).sum(axis=0)
            turn = np.divide((slope * half).sum(axis=0), size, out=np.zeros((d, d)), where=size > 0)
            slope = turn * half
        np.einsum("kjj->kj", slope)[...] = on
        return _packed(axes @ slope @ transposed(axes)).ravel()

    def units(self, values: Array) -> Array:
        k, d, _ = values.shape
        if self._of.is_diagonal or self._of.has_axes:  # logarithms all
            return np.ones(self.n_coordinates(values.shape))
        sd = np.sqrt(values.diagonal(0, 1, 2))
        unit = np.exp(np.log(cholesky(values).diagonal(0, 1, 2)).mean(axis=1, keepdims=True))
        below = sd[:, np.tril_indices(d, -1)[0]] / unit
        return np.concatenate([np.ones((k, d)), below], axis=1).ravel()

    # ---- the structure

    def axes(self, values: Array) -> Array:
        """The axes (d, d) that a stack of orientation E has in common."""
        logs = _unpacked(self.coordinates(values).reshape(len(values), -1), values.shape[-1])
        return np.asarray(self._axes(logs)[0][0])

    def _axes(self, logs: Array) -> tuple[Array, Array]:
        """Axes (K, d, d) or (1, d, d), and the diagonals of matrices along them, (K, d)."""
        if self._of.orientation == "V":
            values, axes = np.linalg.eigh(logs)
            return axes, values
        common = common_axes(logs, Squares())[None]
        return common, (transposed(common) @ logs @ common).diagonal(0, 1, 2)

    def _even(self, reals: Array, d: int | None = None) -> Array:
        """Rows with what is equal averaged over components; volumes are the means of d entries."""
        level = reals[:, :d].mean(axis=1, keepdims=True)
        form = reals.copy()
        form[:, :d] -= level
        if self._of.volume == "E":
            level = np.broadcast_to(level.mean(), level.shape)
        if self._of.shape == "E":
            form = np.broadcast_to(form.mean(axis=0), form.shape).copy()
        form[:, :d] += level
        return form

    def n_free(self, shape: Shape) -> int:
        return self._of.n_free(*shape[:2])

    def __repr__(self) -> str:
        return f"Stack({self.structure!r}, {self.code!r})"


def _packed(matrices: Array) -> Array:
    """Symmetric matrices as vectors of the same length: diagonals, and sqrt(2) times the rest."""
    rows, columns = np.tril_indices(matrices.shape[-1], -1)
    below = sqrt(2.0) * matrices[:, rows, columns]
    return np.concatenate([matrices.diagonal(0, 1, 2), below], axis=1)


def _unpacked(reals: Array, d: int) -> Array:
    matrices = np.zeros((len(reals), d, d))
    rows, columns = np.tril_indices(d, -1)
    matrices[:, rows, columns] = matrices[:, columns, rows] = reals[:, d:] / sqrt(2.0)
    np.einsum("kjj->kj", matrices)[...] = reals[:, :d]
    return matrices
