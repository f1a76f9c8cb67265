"""Probabilities of which some are known: the others share what these leave.

    [[0.9, 0.1, nan],          row 0 is known but for what cannot be: nothing is left for it
     [0.0, nan, nan], ...]     row 1 never goes back, and is free otherwise

One known case: where nothing is known it is the simplex.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import Array, Shape
from emframe.spaces.simplex import Simplex


@dataclass(frozen=True, repr=False)
class HeldSimplex(Simplex):
    """Probability vectors along the last axis of one array, with numbers that are held.

    Parameters
    ----------
    held : the array as nested tuples, None where it is free.
    """

    held: Any

    @cached_property
    def values(self) -> Array:
        """What is held, nan where it is free."""
        return np.array(self.held, dtype=float)

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """Which entries are free."""
        return np.isnan(self.values)

    @cached_property
    def left(self) -> Array:
        """What is left for the free entries of each vector, 0 where there are none."""
        return np.where(self.free.any(axis=-1), 1.0 - np.nansum(self.values, axis=-1), 0.0)

    @property
    def n_event_axes(self) -> int:  # type: ignore[override]
        return self.free.ndim

    @property
    def words(self) -> str:  # type: ignore[override]
        return "probabilities that sum to 1, with the numbers that are held"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        if values.shape != self.free.shape:
            return np.zeros((), dtype=bool)
        same = values[~self.free] == self.values[~self.free]
        return np.asarray(super().contains(values).all() & same.all())

    def holds(self, values: Array) -> bool:
        return bool(self.contains(values))

    def near(self, values: Array) -> Array:
        return values if values.shape != self.free.shape else self.shared(values)

    def shared(self, amounts: Array) -> Array:
        """The array whose free entries are in proportion to amounts; equal where all are 0."""
        own = np.where(self.free, amounts, 0.0)
        total = own.sum(axis=-1, keepdims=True)
        own = np.where(total > 0.0, own, self.free.astype(float))
        total = own.sum(axis=-1, keepdims=True)
        share = np.divide(own, total, out=np.zeros_like(own), where=total > 0.0)
        return np.where(self.free, share * self.left[..., None], self.values)

    def coordinates(self, values: Array) -> Array:
        return np.sqrt(self._shares(values))[self.free]

    def _shares(self, values: Array) -> Array:
        left = self.left[..., None]
        return np.divide(values, left, out=np.zeros(values.shape), where=(left > 0.0) & self.free)

    def point(self, vector: Array, shape: Shape) -> Array:
        reals = np.zeros(shape)
        reals[self.free] = vector
        largest = np.abs(reals).max(axis=-1, keepdims=True, initial=0.0)
        return self.shared(np.square(reals / np.where(largest > 0.0, largest, 1.0)))

    def pullback(self, values: Array, gradient: Array) -> Array:
        share = self._shares(values)
        along = np.where(self.free, gradient * self.left[..., None], 0.0)
        mean = (share * along).sum(axis=-1, keepdims=True)
        return np.asarray((2.0 * np.sqrt(share) * (along - mean))[self.free])

    def units(self, values: Array) -> Array:
        return np.ones(int(self.free.sum()))

    def n_coordinates(self, shape: Shape) -> int:
        return int(self.free.sum())

    def n_free(self, shape: Shape) -> int:
        return int(np.maximum(self.free.sum(axis=-1) - 1, 0).sum())

    def distinct(self, shape: Shape) -> NDArray[np.bool_]:
        return self.free & (self.free.sum(axis=-1, keepdims=True) > 1)


def held_probabilities(name: str, value: Any, shape: Shape) -> Any:
    """Nested tuples of probabilities, None where free, from what a user gives.

    Raises ValueError for another shape, numbers that are no probabilities, or ones that leave
    nothing for what is free, or too little.
    """
    array = np.array(value, dtype=float)
    if array.shape != shape:
        raise ValueError(f"`{name}` has shape {array.shape}; expected {shape}, nan where free.")
    given = array[~np.isnan(array)]
    total, free = np.nansum(array, axis=-1), np.isnan(array).any(axis=-1)
    if not ((given >= 0.0) & (given <= 1.0)).all():
        raise ValueError(
            f"`{name}` holds {given[(given < 0) | (given > 1)][0]:g}; expected 0 to 1."
        )
    rounding = 1e-12 * shape[-1]  # of numbers written down, such as thirds
    off = np.where(free, total >= 1.0, np.abs(total - 1.0) > rounding)
    if off.any():
        row = int(np.atleast_1d(off).argmax())
        where = f"row {row} of `{name}`" if array.ndim > 1 else f"`{name}`"
        raise ValueError(
            f"{where} sums to {np.atleast_1d(total)[row]:g}; what is held sums to 1, or to less "
            "where something is free (nan)."
        )
    array = np.where(free[..., None], array, array / np.where(free, 1.0, total)[..., None])
    return _tuples(array.tolist())


def _tuples(value: Any) -> Any:
    """Nested lists as tuples, None for nan: equal settings then are equal."""
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    return None if np.isnan(value) else value
