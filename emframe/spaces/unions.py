"""Values that belong to one of several spaces, and a space of one value.

One known case: ``AnyOf((Only(0.0), Positive()))`` holds what `NonNegative` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import Array, Elementwise, Shape, Space


@dataclass(frozen=True, repr=False)
class Only(Elementwise):
    """One value, or a row of one value for each column; a space of data."""

    value: float | tuple[float, ...] = 0.0

    discrete = True
    bounded = True

    @property
    def words(self) -> str:  # type: ignore[override]
        each = self.value if isinstance(self.value, tuple) else (self.value,)
        return f"exactly {', '.join(f'{one:g}' for one in each)}"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.asarray(values == np.array(self.value))

    def forward(self, values: Array) -> Array:
        return np.zeros_like(values)

    def backward(self, reals: Array) -> Array:
        return np.broadcast_to(np.array(self.value, dtype=float), reals.shape).copy()

    def __repr__(self) -> str:
        return f"Only({self.value!r})"


@dataclass(frozen=True, repr=False)
class AnyOf(Space):
    """Values of one space or another; a space of data.

    The coordinates are one for each value, which tells the space, followed by those of each space.

    Raises ValueError for spaces whose values are whole rows.
    """

    spaces: tuple[Space, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "spaces", tuple(self.spaces))
        whole = [space for space in self.spaces if space.n_event_axes]
        if whole or not self.spaces:
            raise ValueError(f"{whole} have values of several numbers; pass spaces of single ones.")

    @property
    def words(self) -> str:  # type: ignore[override]
        return ", or ".join(space.words for space in self.spaces)

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        """Whether all are, but for spaces of one value, which any other may stand beside."""
        others = [space for space in self.spaces if not isinstance(space, Only)]
        return all(space.discrete for space in others)

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        return all(space.bounded for space in self.spaces)

    @property
    def largest(self) -> float:  # type: ignore[override]
        return min(space.largest for space in self.spaces)

    def least_ranges(self, d: int) -> Array:
        return np.asarray(np.max([space.least_ranges(d) for space in self.spaces], axis=0))

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.any([space.contains(values) for space in self.spaces], axis=0)

    def coordinates(self, values: Array) -> Array:
        held = np.array([space.contains(values) for space in self.spaces])
        parts = [held.argmax(axis=0).astype(float).ravel()]
        for space, mine in zip(self.spaces, held, strict=True):
            anything = space.point(np.zeros(space.n_coordinates(values.shape)), values.shape)
            parts.append(space.coordinates(np.where(mine, values, anything)))
        return np.concatenate(parts)

    def point(self, vector: Array, shape: Shape) -> Array:
        which = np.rint(np.abs(vector[: prod(shape)])).astype(int) % len(self.spaces)
        values, used = np.zeros(shape), prod(shape)
        for index, space in enumerate(self.spaces):
            size = space.n_coordinates(shape)
            own = space.point(vector[used : used + size], shape)
            values, used = np.where(which.reshape(shape) == index, own, values), used + size
        return values

    def n_coordinates(self, shape: Shape) -> int:
        return prod(shape) + sum(space.n_coordinates(shape) for space in self.spaces)

    def __repr__(self) -> str:
        return f"AnyOf({self.spaces})"
