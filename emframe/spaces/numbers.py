"""Spaces of one real number each.

One known case: ``UnitInterval().point(angle)`` is ``sin(angle) ** 2``, the arcsine transform of
Bartlett (1947, Biometrics 3, 39).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import ROUNDED, Array, Elementwise, largest


@dataclass(frozen=True, repr=False)
class Real(Elementwise):
    """The real line, or as much of it as arithmetic can handle.

    Parameters
    ----------
    largest : the largest absolute value.
    least_range : data in this space whose column spans less than this, but not nothing, are
        refused: what is made of their differences would underflow.

    Examples
    --------
    >>> emframe.Real().contains(np.array([1.0, np.inf]))
    array([ True, False])
    """

    largest: float = float(np.finfo(float).max)
    least_range: float = 0.0

    @property
    def words(self) -> str:  # type: ignore[override]
        most = f" up to {self.largest:g} in size" if self.largest < np.finfo(float).max else ""
        return f"finite real numbers{most}"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.abs(values) <= self.largest

    def holds(self, values: Array) -> bool:
        return bool(np.abs(values).max(initial=0.0) <= self.largest)

    def coordinates(self, values: Array) -> Array:
        return np.asarray(values, dtype=float).ravel()

    def pullback(self, values: Array, gradient: Array) -> Array:
        return np.asarray(gradient, dtype=float).ravel()

    def forward(self, values: Array) -> Array:
        return values

    def backward(self, reals: Array) -> Array:
        return reals

    def slope(self, values: Array) -> Array:
        return np.ones(values.shape)

    def units(self, values: Array) -> Array:
        sizes = np.abs(values).ravel()
        return np.where(sizes > 0.0, sizes, largest(values))


class Positive(Elementwise):
    """The open half line (0, inf), by its logarithm.

    Examples
    --------
    >>> emframe.Positive().contains(np.array([0.0, 1.0]))
    array([False,  True])
    """

    words = "finite numbers above 0"
    lower = 0.0
    is_scale = True

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.isfinite(values) & (values > 0)

    def holds(self, values: Array) -> bool:
        return bool(values.min(initial=1.0) > 0.0 and values.max(initial=1.0) < np.inf)

    def forward(self, values: Array) -> Array:
        return np.log(values)

    def backward(self, reals: Array) -> Array:
        with np.errstate(over="ignore"):  # inf is no member, and is treated as that
            return np.exp(reals)

    def slope(self, values: Array) -> Array:
        return values

    def units(self, values: Array) -> Array:
        return np.ones(np.size(values))


class NonNegative(Elementwise):
    """The closed half line [0, inf), by its square root (steady for rates).

    Examples
    --------
    >>> emframe.NonNegative().contains(np.array([-1.0, 0.0]))
    array([False,  True])
    """

    words = "finite numbers, 0 or above"
    lower = 0.0
    is_scale = True

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.isfinite(values) & (values >= 0)

    def holds(self, values: Array) -> bool:
        return bool(values.min(initial=0.0) >= 0.0 and values.max(initial=0.0) < np.inf)

    def forward(self, values: Array) -> Array:
        return np.sqrt(values)

    def backward(self, reals: Array) -> Array:
        return np.square(reals)

    def slope(self, values: Array) -> Array:
        return 2.0 * np.sqrt(values)

    def units(self, values: Array) -> Array:
        return np.sqrt(np.where(values > 0.0, values, largest(values))).ravel()


class UnitInterval(Elementwise):
    """The closed interval [0, 1], by the angle (steady for probabilities).

    Examples
    --------
    >>> emframe.UnitInterval().contains(np.array([0.0, 0.5, 1.5]))
    array([ True,  True, False])
    """

    words = "numbers from 0 to 1"
    bounded = True
    lower, upper = 0.0, 1.0

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return (values >= 0) & (values <= 1)

    def holds(self, values: Array) -> bool:
        return bool(values.min(initial=0.0) >= 0.0 and values.max(initial=1.0) <= 1.0)

    def near(self, values: Array) -> Array:
        inside = np.clip(values, 0.0, 1.0)
        return np.where(np.abs(values - inside) <= ROUNDED, inside, values)

    def forward(self, values: Array) -> Array:
        return np.arcsin(np.sqrt(values))

    def backward(self, reals: Array) -> Array:
        return np.square(np.sin(reals))

    def slope(self, values: Array) -> Array:
        return 2.0 * np.sqrt(values * (1.0 - values))

    def units(self, values: Array) -> Array:
        return np.ones(np.size(values))


@dataclass(frozen=True)
class Interval(Elementwise):
    """The open interval between two ends, of which one may be infinite.

    By the logarithm of the distance from the end, or the log odds of the distances from both.

    Examples
    --------
    >>> emframe.Interval(0.0, 2.0).contains(np.array([-1.0, 1.0]))
    array([False,  True])
    """

    low: float = 0.0
    high: float = 1.0

    is_scale = True

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"`low` is {self.low} and `high` {self.high}; pass low < high.")
        if np.isinf(self.low) and np.isinf(self.high):
            raise ValueError("an interval without an end is emframe.Real().")

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def words(self) -> str:  # type: ignore[override]
        if np.isinf(self.high):
            return f"finite numbers above {self.low:g}"
        if np.isinf(self.low):
            return f"finite numbers below {self.high:g}"
        return f"numbers between {self.low:g} and {self.high:g}, the ends left out"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.isfinite(values) & (values > self.low) & (values < self.high)

    def forward(self, values: Array) -> Array:
        above = np.log(values - self.low) if np.isfinite(self.low) else 0.0
        below = np.log(self.high - values) if np.isfinite(self.high) else 0.0
        return np.asarray(above - below)

    def backward(self, reals: Array) -> Array:
        with np.errstate(over="ignore"):  # a value at an end is no member, and is treated as that
            if np.isinf(self.high):
                return self.low + np.exp(reals)
            if np.isinf(self.low):
                return self.high - np.exp(-reals)
            # From the nearer end, so that no digit of the distance is lost there.
            near = (self.high - self.low) / (1.0 + np.exp(np.abs(reals)))
            return np.where(reals < 0, self.low + near, self.high - near)

    def slope(self, values: Array) -> Array:
        above, below = values - self.low, self.high - values
        if np.isinf(self.high):
            return above
        return below if np.isinf(self.low) else above * below / (self.high - self.low)

    def units(self, values: Array) -> Array:
        return np.ones(np.size(values))


class Turn(Interval):
    """One turn of a circle about 0, both ends of it the same place; a space of data.

    Parameters
    ----------
    low, high : minus and plus half a turn, pi where angles are in radians.
    """

    @property
    def words(self) -> str:  # type: ignore[override]
        scale = self.high / np.pi
        way = "numpy.angle(numpy.exp(1j * x))"
        if scale != 1.0:
            way = f"{scale:.6g} * numpy.angle(numpy.exp(1j * x / {scale:.6g}))"
        return (
            f"angles from {self.low:.6g} to {self.high:.6g}, a turn about 0 ({way} brings any x "
            "there)"
        )

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.abs(values) <= self.high

    def wrapped(self, values: Array) -> Array:
        """Where any values are on the circle."""
        turn = self.high - self.low
        return np.asarray(np.clip(values - turn * np.rint(values / turn), self.low, self.high))
