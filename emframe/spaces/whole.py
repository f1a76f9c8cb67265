"""Spaces of whole numbers: what data count.

One known case: `Binary` holds what ``Integers(0, 1)`` does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import Array, Elementwise


@dataclass(frozen=True, repr=False)
class NonNegativeInteger(Elementwise):
    """Counts 0, 1, 2, ..., up to `largest`; a space of data.

    Examples
    --------
    >>> emframe.NonNegativeInteger().contains(np.array([2.0, 2.5]))
    array([ True, False])
    """

    largest: float = float(np.finfo(float).max)

    discrete = True

    @property
    def words(self) -> str:  # type: ignore[override]
        most = f" up to {self.largest:g}" if self.largest < np.finfo(float).max else ", 0 or above"
        return f"whole numbers{most}"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return (values >= 0) & (values <= self.largest) & (values == np.floor(values))

    def forward(self, values: Array) -> Array:
        return np.sqrt(values)

    def backward(self, reals: Array) -> Array:
        return np.rint(np.square(reals))


class Binary(Elementwise):
    """0 or 1; a space of data.

    Examples
    --------
    >>> emframe.Binary().contains(np.array([0.0, 1.0, 2.0]))
    array([ True,  True, False])
    """

    words = "0 or 1"
    discrete = True
    nominal = True
    n_codes = 2
    bounded = True

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return (values == 0) | (values == 1)

    def forward(self, values: Array) -> Array:
        return values - 0.5

    def backward(self, reals: Array) -> Array:
        return (reals > 0).astype(float)


@dataclass(frozen=True)
class Integers(Elementwise):
    """Whole numbers from `low` to `high`, both included; a space of data.

    Examples
    --------
    >>> emframe.Integers(0, 3).contains(np.array([0.0, 2.5, 4.0]))
    array([ True, False, False])
    """

    low: float = -np.inf
    high: float = np.inf

    discrete = True

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def nominal(self) -> bool:  # type: ignore[override]
        """Where there are two, as of a yes and a no."""
        return self.high - self.low == 1.0

    @property
    def words(self) -> str:  # type: ignore[override]
        ends = [f"from {self.low:g}"] if np.isfinite(self.low) else []
        ends += [f"to {self.high:g}"] if np.isfinite(self.high) else []
        return " ".join(["whole numbers", *ends])

    def contains(self, values: Array) -> NDArray[np.bool_]:
        whole = np.isfinite(values) & (values == np.floor(values))
        return np.asarray(whole & (values >= self.low) & (values <= self.high))

    def forward(self, values: Array) -> Array:
        if np.isfinite(self.low):
            return np.sqrt(values - self.low)
        return np.sqrt(self.high - values) if np.isfinite(self.high) else values

    def backward(self, reals: Array) -> Array:
        if np.isfinite(self.low):
            values = self.low + np.rint(np.square(reals))
        else:
            values = self.high - np.rint(np.square(reals)) if np.isfinite(self.high) else reals
        return np.clip(np.rint(values), self.low, self.high)


class Codes(Integers):
    """Whole numbers from `low` to `high` that stand for as many names; a space of data."""

    nominal = True

    @property
    def n_codes(self) -> float:  # type: ignore[override]
        return self.high - self.low + 1.0


class Ranks(Integers):
    """Whole numbers from `low` to `high` that stand for names in order; a space of data."""

    ranked = True

    @property
    def n_codes(self) -> float:  # type: ignore[override]
        return self.high - self.low + 1.0
