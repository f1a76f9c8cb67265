"""Numbers in rising order, such as the thresholds between grades.

One known case: of one number it is the real line.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import Array, Shape, Space


class Increasing(Space):
    """Finite numbers along the last axis, each above the one before.

    By the first of them and the logarithms of the gaps.
    """

    words = "finite numbers, each above the one before"
    n_event_axes = 1

    def contains(self, values: Array) -> NDArray[np.bool_]:
        rising = (np.diff(values, axis=-1) > 0.0).all(axis=-1)
        return np.asarray(rising & np.isfinite(values).all(axis=-1))

    def coordinates(self, values: Array) -> Array:
        gaps = np.log(np.diff(values, axis=-1))
        return np.concatenate([values[..., :1], gaps], axis=-1).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        reals = np.reshape(vector, shape)
        with np.errstate(over="ignore"):  # inf is no member, and is treated as that
            steps = np.concatenate([reals[..., :1], np.exp(reals[..., 1:])], axis=-1)
        return np.cumsum(steps, axis=-1)

    def pullback(self, values: Array, gradient: Array) -> Array:
        above = np.cumsum(gradient[..., ::-1], axis=-1)[..., ::-1]
        gaps = np.concatenate([np.ones_like(values[..., :1]), np.diff(values, axis=-1)], axis=-1)
        return np.asarray(above * gaps).ravel()

    def units(self, values: Array) -> Array:
        return np.ones(np.size(values))
