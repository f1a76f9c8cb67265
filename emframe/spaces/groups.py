"""Values that the components of a group share, or that depend on each other within it.

The leading axis holds groups of k components one after another, each a value of its own: k copies
of one, or k members of a space that takes in the axis of components.  So parameters of several
models of k components each are parameters like any others, with coordinates group after group.

One known case: with a single group it is the space itself, of a value that is shared or a stack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import Array, Shape, Space


@dataclass(frozen=True, repr=False)
class Groups(Space):
    """Groups of k along the leading axis.

    Parameters
    ----------
    space : of what a group shares, or of a whole group.
    k : components of a group.
    shared : whether all members of a group have the same value, which is counted once.
    """

    space: Space
    k: int
    shared: bool = True

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"{self.space.words}, in groups of {self.k}"

    @property
    def n_event_axes(self) -> int:  # type: ignore[override]
        return self.space.n_event_axes + self.shared

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        return self.space.bounded

    def contains(self, values: Array) -> NDArray[np.bool_]:
        """Whether each group belongs, (groups,) and the axes beyond one value."""
        if self.shared:
            return self.space.contains(values[:: self.k])
        return np.array([bool(self.space.contains(own).all()) for own in self._apart(values)])

    def near(self, values: Array) -> Array:
        return self.space.near(values)

    def coordinates(self, values: Array) -> Array:
        if self.shared:
            return self.space.coordinates(values[:: self.k])
        return np.concatenate([self.space.coordinates(own) for own in self._apart(values)])

    def point(self, vector: Array, shape: Shape) -> Array:
        groups = shape[0] // self.k
        if self.shared:
            return np.repeat(self.space.point(vector, (groups, *shape[1:])), self.k, axis=0)
        each = np.reshape(vector, (groups, -1))
        return np.concatenate([self.space.point(own, (self.k, *shape[1:])) for own in each])

    def pullback(self, values: Array, gradient: Array) -> Array:
        slopes = self._apart(gradient)
        if self.shared:
            return self.space.pullback(values[:: self.k], slopes.sum(axis=1))
        pairs = zip(self._apart(values), slopes, strict=True)
        return np.concatenate([self.space.pullback(own, slope) for own, slope in pairs])

    def units(self, values: Array) -> Array:
        if self.shared:
            return self.space.units(values[:: self.k])
        return np.concatenate([self.space.units(own) for own in self._apart(values)])

    def n_coordinates(self, shape: Shape) -> int:
        groups, one = shape[0] // self.k, (1 if self.shared else self.k, *shape[1:])
        return groups * self.space.n_coordinates(one)

    def n_free(self, shape: Shape) -> int:
        groups, one = shape[0] // self.k, (1 if self.shared else self.k, *shape[1:])
        return groups * self.space.n_free(one)

    def _apart(self, values: Array) -> Array:
        return np.asarray(values).reshape(-1, self.k, *np.shape(values)[1:])

    def __repr__(self) -> str:
        return f"Groups({self.space!r}, {self.k}, shared={self.shared})"


@dataclass(frozen=True, repr=False)
class Common(Space):
    """One value that all members of an axis have, which is the first of its event.

    One known case: with one member it is the space itself.

    n_axes : of a member, beside those of the space's own event.
    """

    space: Space
    n_axes: int = 0

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"{self.space.words}, the same for all"

    @property
    def n_event_axes(self) -> int:  # type: ignore[override]
        return self.space.n_event_axes + self.n_axes + 1

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        return self.space.bounded

    def _one(self, values: Array) -> Array:
        return np.take(values, 0, axis=values.ndim - self.n_event_axes)

    def _shape(self, shape: Shape) -> Shape:
        axis = len(shape) - self.n_event_axes
        return (*shape[:axis], *shape[axis + 1 :])

    def contains(self, values: Array) -> NDArray[np.bool_]:
        held = np.asarray(self.space.contains(self._one(values)))
        return np.asarray(held.all(axis=tuple(range(-self.n_axes, 0)))) if self.n_axes else held

    def near(self, values: Array) -> Array:
        return self.space.near(values)

    def coordinates(self, values: Array) -> Array:
        return self.space.coordinates(self._one(values))

    def point(self, coordinates: Array, shape: Shape) -> Array:
        one = self.space.point(coordinates, self._shape(shape))
        axis = len(shape) - self.n_event_axes
        return np.broadcast_to(np.expand_dims(one, axis), shape).copy()

    def pullback(self, values: Array, slopes: Array) -> Array:
        axis = values.ndim - self.n_event_axes
        return self.space.pullback(self._one(values), slopes.sum(axis=axis))

    def units(self, values: Array) -> Array:
        return self.space.units(self._one(values))

    def n_coordinates(self, shape: Shape) -> int:
        return self.space.n_coordinates(self._shape(shape))

    def n_free(self, shape: Shape) -> int:
        return self.space.n_free(self._shape(shape))

    def __repr__(self) -> str:
        return f"Common({self.space!r}, n_axes={self.n_axes})"
