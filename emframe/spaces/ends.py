"""What was seen of a value: both ends of where it lies, or a time and whether it was the end.

Two columns tell of one value of another space.  Rows are pairs:

    (lower, upper)    the value where they are equal; else it lies between, or beyond the one end
    (time, event)     the time where event is 1; where it is 0 the value lies beyond

An end that is nan or infinite is none.  Of whole numbers both ends are possible values; what lies
beyond a time is later.

One known case: ``Ends(Real())`` holds (2, 2), (1, 3), (1, nan) and (nan, nan), and not (3, 1).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import Array, Shape, Space


class Bounds(NamedTuple):
    """Where a value lies, (n,) each; both the value itself where they are equal."""

    low: Array  # -inf for none
    high: Array  # inf for none

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Which are known, (n,)."""
        return np.asarray(self.low == self.high)


class Ends(Space):
    """Pairs (lower, upper) of where a value of another space lies."""

    missing = True

    def __init__(self, space: Space) -> None:
        if space.n_event_axes or space.missing:
            raise ValueError(f"{space!r} has no ends; pass a space of single numbers.")
        self.space = space

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        return self.space.discrete

    @property
    def largest(self) -> float:  # type: ignore[override]
        return self.space.largest

    @property
    def words(self) -> str:  # type: ignore[override]
        return (
            f"{self.space.words}, as a lower and an upper end that is no lower, nan or infinite "
            "where there is none, both the same where the value is known"
        )

    def bounds(self, pairs: Array) -> Bounds:
        """Where values lie, from pairs (n, 2)."""
        low, high = pairs[:, 0], pairs[:, 1]
        return Bounds(np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high))

    def pairs(self, bounds: Bounds) -> Array:
        """Pairs (n, 2) that say so."""
        ends = (np.where(np.isinf(one), np.nan, one) for one in bounds)
        return np.stack(list(ends), axis=1)

    def contains(self, values: Array) -> NDArray[np.bool_]:
        bounds = self.bounds(values)
        low, high = bounds
        bottom, top = limits(self.space)
        known = self.space.contains(np.where(np.isfinite(low), low, np.nan))
        first, last = (np.ceil(low), np.floor(high)) if self.discrete else (low, high)
        apart = (first <= last) if self.discrete else (low < high)
        # What is said to lie between has to lie in the space too, some of it at least.
        between = apart & ~np.isposinf(low) & ~np.isneginf(high)
        between &= (
            ((high >= bottom) & (low <= top)) if self.discrete else (high > bottom) & (low < top)
        )
        held = np.where(bounds.exact, known, between)
        return np.repeat(held[:, None], 2, axis=1)

    def coordinates(self, values: Array) -> Array:
        """Of each pair that of a value, and how much wider the pair is: below 0 for not at all."""
        low, high = self.bounds(values)
        one = np.where(np.isfinite(low), low, np.where(np.isfinite(high), high, self._middle()))
        at, exact = self.space.coordinates(one), low == high
        until = self.space.coordinates(np.where(np.isfinite(high), high, one))
        width = np.where(exact, -1.0, np.clip(until - at, 0.0, 0.999))
        width = np.where(np.isinf(low), 2.5, np.where(np.isinf(high), 1.5, width))
        return np.stack([at, width], axis=1).ravel()

    def _middle(self) -> float:
        return float(self.space.point(np.zeros(1), (1,))[0])

    def point(self, vector: Array, shape: Shape) -> Array:
        at, width = vector.reshape(-1, 2).T
        value = self.space.point(at, at.shape)
        further = self.space.coordinates(value) + np.clip(width, 0.0, 1.0)
        until = np.maximum(value, self.space.point(further, at.shape))
        low = np.where(width >= 2.0, -np.inf, value)
        high = np.where(width < 0.0, value, np.where(width < 1.0, until, np.inf))
        return self.pairs(Bounds(low, np.where(width >= 2.0, value, high))).reshape(shape)

    def n_coordinates(self, shape: Shape) -> int:
        return int(np.prod(shape))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.space!r})"


class TimeAndEvent(Ends):
    """Pairs (time, event): the value where event is 1, and what it lies beyond where it is 0."""

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"{self.space.words}, and 1 where that was the end or 0 where it was seen no longer"

    def bounds(self, pairs: Array) -> Bounds:
        time, event = pairs[:, 0], pairs[:, 1]
        none = np.isnan(time) | (np.isneginf(time) & (event == 0))
        after = np.floor(time) + 1.0 if self.discrete else time
        low = np.where(none, -np.inf, np.where(event == 1, time, after))
        return Bounds(low, np.where(none | (event != 1), np.inf, time))

    def pairs(self, bounds: Bounds) -> Array:
        low, high = bounds
        before = np.ceil(low) - 1.0 if self.discrete else low
        time = np.where(low == high, low, np.where(np.isinf(low), np.nan, before))
        return np.stack([time, (low == high).astype(float)], axis=1)

    def contains(self, values: Array) -> NDArray[np.bool_]:
        event = (values[:, 1] == 0) | (values[:, 1] == 1)
        return super().contains(values) & event[:, None]

    def point(self, vector: Array, shape: Shape) -> Array:
        at, width = vector.reshape(-1, 2).T
        value = self.space.point(at, at.shape)
        return np.stack([value, (width < 0.0).astype(float)], axis=1).reshape(shape)


def limits(space: Space) -> tuple[float, float]:
    """What limits single numbers of a space, attained or not."""
    if space.discrete and not hasattr(space, "low"):
        low = 0.0 if not space.contains(np.array([-1.0]))[0] else -np.inf
        return low, 1.0 if space.bounded else np.inf
    return float(getattr(space, "low", space.lower)), float(getattr(space, "high", space.upper))
