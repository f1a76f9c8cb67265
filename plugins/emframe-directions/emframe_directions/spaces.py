"""Where directions live.

One known case: of two coordinates a unit vector has one degree of freedom, its angle.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from emframe.spaces import EPS, ROUNDED, Array, Shape, Space


class Angle(Space):
    """Angles from -pi to pi, in radians, by any angle that is the same direction."""

    words = "angles from -pi to pi"
    bounded = True
    lower, upper = -np.pi, np.pi

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.abs(values) <= np.pi

    def coordinates(self, values: Array) -> Array:
        return np.asarray(values, dtype=float).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        reals, turn = np.reshape(vector, shape), 2.0 * np.pi
        return np.asarray(np.clip(reals - turn * np.rint(reals / turn), -np.pi, np.pi))

    def pullback(self, values: Array, gradient: Array) -> Array:
        return np.asarray(gradient, dtype=float).ravel()

    def units(self, values: Array) -> Array:
        return np.ones(np.size(values))


class UnitVector(Space):
    """Vectors of length 1 along the last axis, by any vector of the same direction.

    The length is redundant, so there is one coordinate more than free parameters.
    """

    words = "vectors of length 1 (x / numpy.linalg.norm(x, axis=1, keepdims=True) has such rows)"
    n_event_axes = 1
    bounded = True
    lower, upper = -1.0, 1.0

    def contains(self, values: Array) -> NDArray[np.bool_]:
        off = np.abs(np.square(values).sum(axis=-1) - 1.0)
        return np.asarray(off <= 8 * EPS * values.shape[-1])  # rounding of the division and the sum

    def near(self, values: Array) -> Array:
        if np.ndim(values) == 0:
            return values
        length = np.linalg.norm(values, axis=-1, keepdims=True)
        rounded = (np.abs(length - 1.0) <= ROUNDED) & ~self.contains(values)[..., None]
        return np.where(rounded, values / np.where(rounded, length, 1.0), values)

    def coordinates(self, values: Array) -> Array:
        return np.asarray(values, dtype=float).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        return unit(np.reshape(vector, shape))

    def pullback(self, values: Array, gradient: Array) -> Array:
        along = (values * gradient).sum(axis=-1, keepdims=True)
        return np.asarray((gradient - along * values).ravel())

    def units(self, values: Array) -> Array:
        return np.ones(self.n_coordinates(values.shape))

    def n_free(self, shape: Shape) -> int:
        return prod(shape[:-1]) * (shape[-1] - 1)

    def distinct(self, shape: Shape) -> NDArray[np.bool_]:
        return np.full(shape, shape[-1] > 1)


def unit(vectors: Array) -> Array:
    """Vectors (..., d) brought to length 1; the first axis where there is no direction."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    first = np.arange(vectors.shape[-1]) == 0
    scaled = np.where(largest == 0.0, first, vectors / np.where(largest == 0.0, 1.0, largest))
    return np.asarray(scaled / np.linalg.norm(scaled, axis=-1, keepdims=True))
