"""Columns that each live in a space of their own.

One known case: columns of one space are that space.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import Array, Shape, Space


@dataclass(frozen=True, repr=False)
class ColumnsIn(Space):
    """Columns that each live in a space of their own."""

    spaces: tuple[Space, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "spaces", tuple(self.spaces))

    @property
    def words(self) -> str:  # type: ignore[override]
        return "; ".join(f"column {j}: {space.words}" for j, space in enumerate(self.spaces))

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        return all(space.discrete for space in self.spaces)

    @property
    def missing(self) -> bool:  # type: ignore[override]
        return any(space.missing for space in self.spaces)

    @property
    def largest(self) -> float:  # type: ignore[override]
        return min(space.largest for space in self.spaces)

    def least_ranges(self, d: int) -> Array:
        return np.array([space.least_range for space in self.spaces])

    def columns_that_are(self, trait: str, d: int) -> NDArray[np.bool_]:
        return np.array([bool(getattr(space, trait)) for space in self.spaces])

    def codes(self, d: int) -> Array:
        return np.array([float(space.n_codes) for space in self.spaces])

    def column(self, j: int) -> Space:
        return self.spaces[j]

    def contains(self, values: Array) -> NDArray[np.bool_]:
        held = [space.contains(values[..., j]) for j, space in enumerate(self.spaces)]
        return np.stack(held, axis=-1)

    def coordinates(self, values: Array) -> Array:
        each = [space.coordinates(values[..., j]) for j, space in enumerate(self.spaces)]
        # Side by side for each row, unless a column needs more than one for a value.
        return np.concatenate(each) if self.missing else np.stack(each, axis=-1).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        own = shape[:-1]
        if self.missing:
            sizes = [space.n_coordinates(own) for space in self.spaces]
            reals = np.split(vector, np.cumsum(sizes)[:-1])
        else:
            reals = [one.ravel() for one in np.moveaxis(np.reshape(vector, shape), -1, 0)]
        pairs = zip(self.spaces, reals, strict=True)
        return np.stack([space.point(one, own) for space, one in pairs], axis=-1)

    def n_coordinates(self, shape: Shape) -> int:
        return sum(space.n_coordinates(shape[:-1]) for space in self.spaces)

    def __repr__(self) -> str:
        return f"ColumnsIn({self.spaces})"
