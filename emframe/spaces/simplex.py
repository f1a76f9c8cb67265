"""Probability vectors, by the sphere.

One known case: the centre of the simplex is the vector of ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import EPS, ROUNDED, Array, Shape, Space


class Simplex(Space):
    """Probability vectors along the last axis, by the sphere: w = v**2 / sum(v**2).

    The radius is redundant, so there is one coordinate more than free parameters.

    Examples
    --------
    >>> emframe.Simplex().contains(np.array([0.2, 0.8]))
    array(True)
    """

    words = "probabilities that sum to 1"
    n_event_axes = 1
    bounded = True
    lower, upper = 0.0, 1.0

    def contains(self, values: Array) -> NDArray[np.bool_]:
        off = np.abs(np.add.reduce(values, axis=-1) - 1)
        ulps = 8 * EPS * values.shape[-1]  # rounding of the division and the sum
        return np.asarray((values >= 0).all(axis=-1) & (off <= ulps))

    def holds(self, values: Array) -> bool:
        if values.ndim != 1:
            return super().holds(values)
        off = abs(float(np.add.reduce(values)) - 1.0)
        return off <= 8 * EPS * len(values) and bool(values.min() >= 0.0)

    def near(self, values: Array) -> Array:
        if np.ndim(values) == 0:
            return values
        total = np.add.reduce(values, axis=-1, keepdims=True)
        rounded = (np.abs(total - 1.0) <= ROUNDED) & ~self.contains(values)[..., None]
        return np.where(rounded, values / np.where(rounded, total, 1.0), values)

    def coordinates(self, values: Array) -> Array:
        return np.sqrt(values).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        reals = np.reshape(vector, shape)
        largest = np.maximum.reduce(np.abs(reals), axis=-1, keepdims=True)
        if not largest.all():
            reals = np.where(largest == 0, 1.0, reals)
            largest = np.where(largest == 0, 1.0, largest)
        squares = np.square(reals / largest)
        squares /= np.add.reduce(squares, axis=-1, keepdims=True)
        return squares

    def pullback(self, values: Array, gradient: Array) -> Array:
        mean = np.add.reduce(values * gradient, axis=-1, keepdims=True)
        return np.asarray((2.0 * np.sqrt(values) * (gradient - mean)).ravel())

    def units(self, values: Array) -> Array:
        return np.ones(self.n_coordinates(values.shape))

    def n_free(self, shape: Shape) -> int:
        return prod(shape[:-1]) * (shape[-1] - 1)

    def distinct(self, shape: Shape) -> NDArray[np.bool_]:
        return np.full(shape, shape[-1] > 1)


@dataclass(frozen=True, repr=False)
class Simplexes(Simplex):
    """Probability vectors of unlike lengths, as rows of one array (..., d, m) filled up with 0.

    A probability beyond the length of its row is 0, has no coordinate and is not counted.

    Parameters
    ----------
    lengths : (d,) of the rows; m is the largest.

    One known case: where all lengths are m, it is the simplex.
    """

    lengths: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "lengths", tuple(map(int, self.lengths)))

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Which entries belong to their row, (d, m)."""
        lengths = np.array(self.lengths)
        return np.asarray(np.arange(lengths.max()) < lengths[:, None])

    def contains(self, values: Array) -> NDArray[np.bool_]:
        if values.shape[-2:] != self.inside.shape:
            return np.zeros(values.shape[:-1], dtype=bool)
        beyond = (values != 0) & ~self.inside
        return super().contains(values) & ~beyond.any(axis=-1)

    def coordinates(self, values: Array) -> Array:
        return np.sqrt(values[..., self.inside]).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        reals = np.zeros(shape)
        reals[..., self.inside] = np.reshape(vector, (*shape[:-2], -1))
        nowhere = (reals == 0).all(axis=-1, keepdims=True) & self.inside
        return super().point(np.where(nowhere, 1.0, reals), shape)

    def pullback(self, values: Array, gradient: Array) -> Array:
        whole = super().pullback(values, gradient).reshape(values.shape)
        return np.asarray(whole[..., self.inside].ravel())

    def n_coordinates(self, shape: Shape) -> int:
        return prod(shape[:-2]) * sum(self.lengths)

    def n_free(self, shape: Shape) -> int:
        return prod(shape[:-2]) * (sum(self.lengths) - len(self.lengths))

    def distinct(self, shape: Shape) -> NDArray[np.bool_]:
        shown = self.inside & (np.array(self.lengths) > 1)[:, None]
        return np.broadcast_to(shown, shape)

    def __repr__(self) -> str:
        return f"Simplexes({self.lengths})"
