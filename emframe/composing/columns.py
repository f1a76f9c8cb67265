"""Where the rows of a product live: some columns in one space, others in another.

One known case: with a single group of all columns it is the space of that group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emframe.spaces import Array, Shape, Space


class AtSome(Space):
    """A space that some columns have to lie in, and the others need not."""

    space: Space

    def at(self, d: int) -> list[int]:
        """Which of d columns."""
        raise NotImplementedError

    @property
    def words(self) -> str:  # type: ignore[override]
        return self.space.words

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        return self.space.discrete

    @property
    def missing(self) -> bool:  # type: ignore[override]
        return self.space.missing

    @property
    def largest(self) -> float:  # type: ignore[override]
        return self.space.largest

    def least_ranges(self, d: int) -> Array:
        least, at = np.zeros(d), self.at(d)
        least[at] = self.space.least_ranges(len(at))
        return least

    def columns_that_are(self, trait: str, d: int) -> NDArray[np.bool_]:
        which, at = np.zeros(d, dtype=bool), self.at(d)
        which[at] = self.space.columns_that_are(trait, len(at))
        return which

    def codes(self, d: int) -> Array:
        found, at = np.zeros(d), self.at(d)
        found[at] = self.space.codes(len(at))
        return found

    def contains(self, values: Array) -> NDArray[np.bool_]:
        held, at = np.ones(values.shape, dtype=bool), self.at(values.shape[1])
        own = np.asarray(self.space.contains(values[:, at]))
        held[:, at] = own if own.ndim == 2 else own[:, None]
        return held


@dataclass(frozen=True, repr=False)
class AtColumns(AtSome):
    """A space that the columns at some places have to lie in."""

    space: Space
    places: tuple[int, ...]

    def at(self, d: int) -> list[int]:
        return list(self.places)

    def covers(self, d: int) -> NDArray[np.bool_]:
        which = np.zeros(d, dtype=bool)
        which[self.at(d)] = True
        return which

    def __repr__(self) -> str:
        return f"AtColumns({self.space!r}, {self.places})"


@dataclass(frozen=True, repr=False)
class AllBut(AtSome):
    """A space that all columns but one have to lie in, however many there are."""

    space: Space
    place: int

    def at(self, d: int) -> list[int]:
        return [j for j in range(d) if j != self.place]

    def covers(self, d: int) -> NDArray[np.bool_]:
        return np.insert(self.space.covers(d - 1), self.place, False)

    def __repr__(self) -> str:
        return f"AllBut({self.space!r}, {self.place})"


@dataclass(frozen=True)
class Home:
    """A group of columns and where it lives."""

    label: str
    space: Space
    places: tuple[int, ...]


@dataclass(frozen=True, repr=False)
class RowsOf(Space):
    """Whole rows, each group of columns in a space of its own."""

    homes: tuple[Home, ...]

    n_event_axes = 1

    @property
    def words(self) -> str:  # type: ignore[override]
        return "; ".join(f"{home.label}: {home.space.words}" for home in self.homes)

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        return all(home.space.discrete for home in self.homes)

    @property
    def missing(self) -> bool:  # type: ignore[override]
        return any(home.space.missing for home in self.homes)

    def contains(self, values: Array) -> NDArray[np.bool_]:
        held = [np.asarray(home.space.contains(values[:, home.places])) for home in self.homes]
        return np.asarray(
            np.logical_and.reduce([one.reshape(len(values), -1).all(axis=1) for one in held])
        )

    def coordinates(self, values: Array) -> Array:
        own = [home.space.coordinates(values[:, home.places]) for home in self.homes]
        return np.concatenate(own)

    def point(self, vector: Array, shape: Shape) -> Array:
        values, used = np.zeros(shape), 0
        for home in self.homes:
            own = (*shape[:-1], len(home.places))
            size = home.space.n_coordinates(own)
            values[..., home.places] = home.space.point(vector[used : used + size], own)
            used += size
        return values

    def n_coordinates(self, shape: Shape) -> int:
        return sum(home.space.n_coordinates((*shape[:-1], len(home.places))) for home in self.homes)

    def __repr__(self) -> str:
        return f"RowsOf({self.words})"
