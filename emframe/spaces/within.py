"""As much of a space of single numbers as lies between two ends, both included.

One known case: between infinite ends it holds what the space does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import Array, Elementwise, Space
from emframe.spaces.ends import limits
from emframe.spaces.numbers import Interval


@dataclass(frozen=True, repr=False)
class Within(Elementwise):
    """Numbers of a continuous space between two ends."""

    space: Space
    low: float
    high: float

    @property
    def words(self) -> str:  # type: ignore[override]
        ends = [f"from {self.low:g}"] if np.isfinite(self.low) else []
        ends += [f"to {self.high:g}"] if np.isfinite(self.high) else []
        return " ".join([self.space.words, *ends])

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        low, high = self._ends
        return bool(np.isfinite(low) and np.isfinite(high))

    @property
    def largest(self) -> float:  # type: ignore[override]
        return self.space.largest

    @property
    def least_range(self) -> float:  # type: ignore[override]
        return self.space.least_range

    @property
    def _ends(self) -> tuple[float, float]:
        bottom, top = limits(self.space)
        return max(self.low, bottom), min(self.high, top)

    @property
    def _open(self) -> Elementwise:
        """The interval that coordinates are those of; an end is never quite reached."""
        return Interval(*self._ends)

    def contains(self, values: Array) -> NDArray[np.bool_]:
        inside = self.space.contains(values)
        return np.asarray(inside & (values >= self.low) & (values <= self.high))

    def forward(self, values: Array) -> Array:
        low, high = self._ends
        inner = np.clip(values, np.nextafter(low, np.inf), np.nextafter(high, -np.inf))
        return self._open.forward(inner)

    def backward(self, reals: Array) -> Array:
        return self._open.backward(reals)

    def slope(self, values: Array) -> Array:
        return self._open.slope(values)

    def __repr__(self) -> str:
        return f"Within({self.space!r}, {self.low:g}, {self.high:g})"
