"""Rows that stay on a device: what kernels read of them is brought there once, not at each pass.

A kernel reads statistics T(x) of rows, in which no parameter enters, so they are worked out here,
by the declaration that numpy's executor has, and stay there: a pass sends parameters, and what
comes back are sums.

One known case: of a Gaussian in its direct form the statistics are the rows themselves.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from emframe.engines.device import Array, Device

KEPT = 4  # passes after which statistics that none of them read are let go of

Statistics = Callable[[Array], Array]
"""x (b, d) -> T (b, P)."""


class Resident:
    """Rows on a device, in blocks of the same size at each pass.

    Parameters
    ----------
    rows : what has ``rows.blocks(size)``.
    size : rows of a block.
    """

    def __init__(self, device: Device, rows: Any, size: int) -> None:
        self.device, self.rows, self.size = device, rows, size
        self._held: dict[Any, tuple[list[Any], int]] = {}
        self._passes = 0
        self._weights: list[Any] = []

    def blocks(self) -> Iterator[ResidentBlock]:
        """The blocks of one pass."""
        self._passes += 1
        old = self._passes - KEPT
        self._held = {key: held for key, held in self._held.items() if held[1] >= old}
        if not self._weights:
            self._weights = [self.device.to(w) for _, w in self.rows.blocks(self.size)]
        return (ResidentBlock(self, i, w) for i, w in enumerate(self._weights))

    def of(self, statistics: Statistics) -> list[Any]:
        """Statistics of all rows, block by block, on the device."""
        key = _value(statistics)
        found, _ = self._held.get(key, (None, 0))
        if found is None:
            found = [self.device.to(statistics(x)) for x, _ in self.rows.blocks(self.size)]
        self._held[key] = (found, self._passes)
        return found


@dataclass(frozen=True)
class ResidentBlock:
    """A block of rows on a device, as kernels meet it."""

    resident: Resident
    index: int
    weights: Any  # (b,) on the device
    places: tuple[int, ...] | None = None  # the columns that are seen; None for all

    @property
    def device(self) -> Device:
        return self.resident.device

    def at(self, places: tuple[int, ...]) -> ResidentBlock:
        """The same rows, of these columns."""
        seen = places if self.places is None else tuple(self.places[j] for j in places)
        return replace(self, places=seen)

    def row(self, i: int) -> Array:
        """Its i-th row."""
        x, _ = next(islice(self.resident.rows.blocks(self.resident.size), self.index, None))
        row: Array = x[i]
        return row

    def of(self, statistics: Statistics) -> Any:
        """Statistics of its rows, (b, P) on the device."""
        if self.places is not None:
            statistics = AtPlaces(statistics, self.places)
        return self.resident.of(statistics)[self.index]


@dataclass(frozen=True)
class AtPlaces:
    """Statistics of some columns."""

    statistics: Statistics
    places: tuple[int, ...]

    def __call__(self, x: Array) -> Array:
        return self.statistics(x[:, self.places])


def as_they_are(x: Array) -> Array:
    """The rows themselves."""
    return x


def _value(statistics: Statistics) -> Any:
    """What tells statistics apart: their bytes, or themselves where pickle does not know them."""
    try:
        return pickle.dumps(statistics)
    except Exception:
        return statistics
