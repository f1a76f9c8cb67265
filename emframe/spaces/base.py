"""What every space answers, and what those of single numbers share.

One known case: a space whose `point` is the identity pulls a gradient back to itself.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Shape = tuple[int, ...]
EPS = float(np.finfo(float).eps)
# Quotients over a step and half of it that differ by less, relative, have their digits.
AGREES = 1e-6
# How far from a space rounding takes a value: a few units of single precision, relative.
ROUNDED = 1e-6


def slopes(function: Callable[[Array], float], at: Array, units: Array | None = None) -> Array:
    """Gradient of a function of a vector by central differences, (m,).

    `units` (m,) tell how far along each coordinate matters; see `Space.units`.  The step is their
    share of the cube root of the rounding unit, where truncation and rounding errors meet.  Without
    them a coordinate may have a unit or be a plain number, and what holds is told by the function:
    the step that goes with its size is good where half of it gives the same.
    """
    if units is None:
        sizes = np.abs(at)
        plain, own = (
            (slopes(function, at, some), slopes(function, at, 0.5 * some))
            for some in (np.maximum(1.0, sizes), np.where(sizes > 0.0, sizes, largest(at)))
        )
        off = [np.abs(whole - half) for whole, half in (plain, own)]
        agrees = off[1] <= AGREES * np.abs(own[0])
        return np.where(agrees | ~(off[0] <= off[1]), own[0], plain[0])
    gradient = np.empty_like(at)
    for j in range(len(at)):
        step = np.cbrt(EPS) * units[j]
        up, down = at.copy(), at.copy()
        up[j] += step
        down[j] -= step
        gradient[j] = (function(up) - function(down)) / (2.0 * step)
    return gradient


def largest(values: Array) -> float:
    """The size of the largest number; 1 where there is none but 0."""
    sizes = np.abs(values)
    return float(sizes.max(initial=0.0, where=np.isfinite(sizes))) or 1.0


class Space:
    """Base of all spaces.  A new one states `words`, `contains`, `coordinates` and `point`.

    ``n_event_axes`` trailing axes of an array make up one value (0: each entry is a value).  Where
    that takes in the axis K of a parameter, its components depend on each other.

    Examples
    --------
    >>> [space.words for space in (emframe.Positive(), emframe.Binary())]
    ['finite numbers above 0', '0 or 1']
    """

    words = "values"
    n_event_axes = 0
    discrete = False
    nominal = False  # whether values are names, of which neither order nor distance means anything
    n_codes: float = 0  # how many names values may stand for; 0 where they are numbers
    ranked = False  # whether these names have an order
    bounded = False
    is_scale = False  # whether a value may shrink towards 0, and a density to a point with it
    missing = False  # whether nan is among the values: one that was not observed
    least_range: float = 0.0
    largest: float = np.inf  # where what is too large may be told in other units
    packed: Space | None = None  # of fewer numbers that tell the same, by one axis less; see `told`
    lower, upper = -np.inf, np.inf  # what limits each entry of a value, attained or not

    @property
    def present(self) -> Space:
        """The space of what was observed: this one, unless values may be missing."""
        return self

    def least_ranges(self, d: int) -> Array:
        """`least_range` of each of d columns of data, (d,)."""
        return np.full(d, self.least_range)

    def columns_that_are(self, trait: str, d: int) -> NDArray[np.bool_]:
        """Which of d columns of data are "discrete", "nominal" or "ranked", (d,)."""
        return np.full(d, bool(getattr(self, trait)))

    def codes(self, d: int) -> Array:
        """`n_codes` of each of d columns of data, (d,)."""
        return np.full(d, float(self.n_codes))

    def covers(self, d: int) -> NDArray[np.bool_]:
        """Which of d columns of data it says anything of, (d,)."""
        return np.ones(d, dtype=bool)

    def told(self, packed: Array) -> Array:
        """The values that are stored as members of `packed`, read-only."""
        raise NotImplementedError

    def pack(self, values: Array) -> Array | None:
        """Values as members of `packed`; None where these could not tell them."""
        return None

    def column(self, j: int) -> Space:
        """Where column j of data lives."""
        return self

    def contains(self, values: Array) -> NDArray[np.bool_]:
        """Whether each value belongs: an array without the event axes."""
        raise NotImplementedError

    def holds(self, values: Array) -> bool:
        """Whether all values belong; every step of a fit asks, so a space may know a short way."""
        return bool(self.contains(values).all())

    def near(self, values: Array) -> Array:
        """The values themselves, or members that they are the single-precision rounding of.

        What users write down, or get from elsewhere, is right to some digits only.
        """
        return values

    def reordered(self, values: Array) -> Array:
        """Members that say the same as members of which the last axis changed its order."""
        return values

    def coordinates(self, values: Array) -> Array:
        """A flat real vector that `point` maps back to `values`."""
        raise NotImplementedError

    def point(self, vector: Array, shape: Shape) -> Array:
        """The values of the given shape at these coordinates; any real vector will do."""
        raise NotImplementedError

    def pullback(self, values: Array, gradient: Array) -> Array:
        """A gradient with respect to `values`, as one with respect to their coordinates.

        By central differences of `point`, unless a space knows better.
        """
        return slopes(
            lambda vector: float((self.point(vector, values.shape) * gradient).sum()),
            self.coordinates(values),
            self.units(values),
        )

    def units(self, values: Array) -> Array:
        """How far along each coordinate the values change by about their own size, (m,).

        Differences are measured in it, so that they do not depend on the units of the data.  Found
        by trying, unless a space knows better: each coordinate is moved until no number changes by
        more than the largest of `values`.
        """
        x, size = self.coordinates(values), largest(values)
        units = np.maximum(1.0, np.abs(x))
        for j in range(len(x)):

            def change(step: float, j: int = j) -> float:
                moved = x.copy()
                moved[j] += step
                with np.errstate(over="ignore", invalid="ignore"):
                    there = self.point(moved, values.shape)
                    gap = np.where(there == values, 0.0, np.abs(there - values))
                return float(np.where(np.isnan(gap), np.inf, gap).max(initial=0.0))

            # Between nothing and the coordinate itself, down to a factor of two.
            short, far = float(np.finfo(float).tiny), units[j]
            while far > 2.0 * short and max(change(far), change(-far)) > size:
                middle = sqrt(short) * sqrt(far)
                fits = max(change(middle), change(-middle)) <= size
                short, far = (middle, far) if fits else (short, middle)
            units[j] = far
        return units

    def n_coordinates(self, shape: Shape) -> int:
        """Length of the coordinate vector of values of this shape."""
        return prod(shape)

    def n_free(self, shape: Shape) -> int:
        """Number of free parameters (dimensions of the space) for values of this shape."""
        return self.n_coordinates(shape)

    def limits(self, shape: Shape) -> tuple[Array, Array]:
        """Lower and upper limit of each entry, attained or not: two arrays of this shape."""
        return np.full(shape, self.lower), np.full(shape, self.upper)

    def distinct(self, shape: Shape) -> NDArray[np.bool_]:
        """Which entries to show: not those that repeat another or are fixed by the structure."""
        return np.ones(shape, dtype=bool)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), tuple(vars(self).items())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Elementwise(Space):
    """A space of single numbers: subclasses map an array of reals of the same shape."""

    def forward(self, values: Array) -> Array:
        raise NotImplementedError

    def backward(self, reals: Array) -> Array:
        raise NotImplementedError

    def slope(self, values: Array) -> Array:
        """Derivative of `backward`, at the coordinates of `values`."""
        raise NotImplementedError

    def pullback(self, values: Array, gradient: Array) -> Array:
        return np.asarray(self.slope(values) * gradient).ravel()

    def coordinates(self, values: Array) -> Array:
        return np.asarray(self.forward(np.asarray(values, dtype=float)), dtype=float).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        return np.asarray(self.backward(np.reshape(vector, shape)), dtype=float)
