"""Values of which some are held, whatever the others are.

One known case: where none is held, the coordinates are those of the space itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import Array, Shape, Space


@dataclass(frozen=True, repr=False)
class PartlyHeld(Space):
    """An array of single numbers of another space, some of which are held.

    Parameters
    ----------
    space : where each number lives.
    held : values as nested tuples, None where a number is free.
    n_event_axes : axes of the array: the whole of it is one value here.

    Raises ValueError for a space whose values are several numbers.
    """

    space: Space
    held: Any
    n_event_axes: int = 2

    def __post_init__(self) -> None:
        if self.space.n_event_axes:
            raise ValueError(
                f"its values are {self.space.words}, which are held as a whole; nan frees single "
                "numbers."
            )

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"{self.space.words}, and those that are held at their values"

    @property
    def is_scale(self) -> bool:  # type: ignore[override]
        return self.space.is_scale

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        return self.space.bounded

    def values(self, shape: Shape) -> Array:
        """The values that are held, nan where a number is free."""
        return np.broadcast_to(np.array(self.held, dtype=float), shape)

    def free(self, shape: Shape) -> NDArray[np.bool_]:
        """Which numbers are free."""
        return np.isnan(self.values(shape))

    def contains(self, values: Array) -> NDArray[np.bool_]:
        free, held = self.free(values.shape), self.values(values.shape)
        return np.asarray((np.where(free, self.space.contains(values), values == held)).all())

    def coordinates(self, values: Array) -> Array:
        return self.space.coordinates(np.asarray(values)[self.free(np.shape(values))])

    def point(self, vector: Array, shape: Shape) -> Array:
        free = self.free(shape)
        values = np.array(self.values(shape))
        values[free] = self.space.point(vector, (int(free.sum()),))
        return values

    def pullback(self, values: Array, gradient: Array) -> Array:
        free = self.free(values.shape)
        return self.space.pullback(values[free], gradient[free])

    def units(self, values: Array) -> Array:
        return self.space.units(values[self.free(values.shape)])

    def n_coordinates(self, shape: Shape) -> int:
        return int(self.free(shape).sum())

    def limits(self, shape: Shape) -> tuple[Array, Array]:
        return self.space.limits(shape)

    def __repr__(self) -> str:
        return f"PartlyHeld({self.space!r})"
