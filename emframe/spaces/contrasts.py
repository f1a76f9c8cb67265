"""Numbers against the first: log odds, of which the first is 0 because they are relative to it.

One known case: of two numbers the second alone is free.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import Array, Shape, Space, largest


class AgainstFirst(Space):
    """Real numbers along the last axis, the first of them 0; the others are its coordinates."""

    words = "finite real numbers, the first of them 0"
    n_event_axes = 1

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.asarray(np.isfinite(values).all(axis=-1) & (values[..., 0] == 0.0))

    def reordered(self, values: Array) -> Array:
        return values - values[..., :1]

    def coordinates(self, values: Array) -> Array:
        return np.asarray(values[..., 1:], dtype=float).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        values = np.zeros(shape)
        values[..., 1:] = np.reshape(vector, (*shape[:-1], shape[-1] - 1))
        return values

    def pullback(self, values: Array, gradient: Array) -> Array:
        return np.asarray(gradient[..., 1:], dtype=float).ravel()

    def units(self, values: Array) -> Array:
        sizes = np.abs(self.coordinates(values))
        return np.where(sizes > 0.0, sizes, largest(values))

    def n_coordinates(self, shape: Shape) -> int:
        return prod(shape[:-1]) * (shape[-1] - 1)

    def distinct(self, shape: Shape) -> NDArray[np.bool_]:
        shown = np.ones(shape, dtype=bool)
        shown[..., 0] = False
        return shown
