"""Probability vectors, by the sphere.

One known case: the centre of the simplex is the vector of ones.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import EPS, Array, Shape, Space


class Simplex(Space):
    """Probability vectors along the last axis, by the sphere: w = v**2 / sum(v**2).

    The radius is redundant, so there is one coordinate more than free parameters.
    """

    words = "probabilities that sum to 1"
    n_event_axes = 1
    bounded = True
    lower, upper = 0.0, 1.0

    def contains(self, values: Array) -> NDArray[np.bool_]:
        off = np.abs(np.add.reduce(values, axis=-1) - 1)
        ulps = 8 * EPS * values.shape[-1]  # rounding of the division and the sum
        return np.asarray((values >= 0).all(axis=-1) & (off <= ulps))

    def coordinates(self, values: Array) -> Array:
        return np.sqrt(values).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        reals = np.reshape(vector, shape)
        reals = np.where((reals == 0).all(axis=-1, keepdims=True), 1.0, reals)
        squares = np.square(reals / np.abs(reals).max(axis=-1, keepdims=True))
        return np.asarray(squares / squares.sum(axis=-1, keepdims=True))

    def pullback(self, values: Array, gradient: Array) -> Array:
        mean = (values * gradient).sum(axis=-1, keepdims=True)
        return np.asarray((2.0 * np.sqrt(values) * (gradient - mean)).ravel())

    def n_free(self, shape: Shape) -> int:
        return prod(shape[:-1]) * (shape[-1] - 1)

    def distinct(self, shape: Shape) -> NDArray[np.bool_]:
        return np.full(shape, shape[-1] > 1)
