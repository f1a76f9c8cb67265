"""Single numbers of another space, of several components, that are not free of each other.

    PartlyHeld    some are held
    Rising        each is no less than that of the component before
    Linear        combinations of those of all components are known
    Pooled        some are one number

Their coordinates are made of those of the other space where that is what they limit, so that a
rate is steady whatever holds it; what is linear is so in the numbers themselves.  Of numbers in
order the gaps are squares, and may be 0.

One known case: numbers that nothing limits have the coordinates of the space itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import EPS, Array, Elementwise, Shape, Space, largest
from emframe.spaces.numbers import Real

MOST_ORDERS = 5  # components whose orders are tried one by one
DIGITS = 256.0 * EPS  # of a sum over components, relative to its terms


@dataclass(frozen=True, repr=False)
class Restricted(Space):
    """Base of these.

    Parameters
    ----------
    space : where each number lives.
    n_event_axes : axes of the array, K first: the whole of it is one value here.

    Raises ValueError for a space whose values are several numbers.
    """

    space: Space = Real()
    n_event_axes: int = 2

    def __post_init__(self) -> None:
        if not isinstance(self.space, Elementwise):
            raise ValueError(
                f"its values are {self.space.words}, which are several numbers each; only single "
                "numbers can be held, ordered or related one by one."
            )

    def of(self, space: Space, n_axes: int) -> Self:
        """The same restriction of numbers of another space."""
        return replace(self, space=space, n_event_axes=n_axes)

    def frozen(self) -> Self:
        """The same with lists, as files tell them, as tuples."""
        changes = {name: _tuples(value) for name, value in vars(self).items() if name[0] != "_"}
        return replace(self, **changes)

    @property
    def is_scale(self) -> bool:  # type: ignore[override]
        return self.space.is_scale

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        return self.space.bounded

    def along(self, values: Array, slope: Array) -> Array:
        """A gradient by the coordinates of the space, as one by these."""
        raise NotImplementedError

    def nearest(self, values: Array) -> Array:
        """Values that keep to it, near others that may not; a value that leaves the space stays."""
        raise NotImplementedError

    def order(self, values: Array) -> NDArray[np.intp]:
        """The order (K,) of components in which values go best with it."""
        return np.arange(len(values))

    def own(self, shape: Shape) -> NDArray[np.intp]:
        """How many numbers each component has for itself, (K,)."""
        return np.zeros(shape[0], dtype=np.intp)

    def pullback(self, values: Array, gradient: Array) -> Array:
        return self.along(values, self.space.pullback(values, gradient))

    def limits(self, shape: Shape) -> tuple[Array, Array]:
        return self.space.limits(shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.space!r})"


@dataclass(frozen=True, repr=False)
class PartlyHeld(Restricted):
    """Numbers of which some are held.

    Parameters
    ----------
    held : values as nested tuples, None where a number is free.
    """

    held: Any = None

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"{self.space.words}, and those that are held at their values"

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

    def along(self, values: Array, slope: Array) -> Array:
        return slope[self.free(values.shape).ravel()]

    def nearest(self, values: Array) -> Array:
        return np.where(self.free(np.shape(values)), values, self.values(np.shape(values)))

    def own(self, shape: Shape) -> NDArray[np.intp]:
        return self.free(shape).reshape(shape[0], -1).sum(axis=1)

    def units(self, values: Array) -> Array:
        return self.space.units(values[self.free(values.shape)])

    def n_coordinates(self, shape: Shape) -> int:
        return int(self.free(shape).sum())


@dataclass(frozen=True, repr=False)
class Rising(Restricted):
    """Numbers that rise, or stay, from each component to the next: in each column by itself.

    By the coordinate of the first, and the roots of the gaps between coordinates, which may be 0.
    """

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"{self.space.words}, those of each component no less than of the one before"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        rising = (np.diff(values, axis=0) >= 0.0).all()
        return np.asarray(rising and self.space.holds(values))

    def _reals(self, values: Array) -> Array:
        return self.space.coordinates(values).reshape(np.shape(values))

    def coordinates(self, values: Array) -> Array:
        reals = self._reals(values)
        gaps = np.sqrt(np.maximum(np.diff(reals, axis=0), 0.0))
        return np.concatenate([reals[:1], gaps]).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        reals = np.reshape(vector, shape)
        ends = np.array([self.space.lower, self.space.upper])
        with np.errstate(all="ignore"):
            low, high = self.space.coordinates(ends)  # past them some spaces turn back
        first = low + np.abs(reals[:1] - low) if np.isfinite(low) else reals[:1]
        reals = np.cumsum(np.concatenate([first, np.square(reals[1:])]), axis=0)
        values = self.space.point(np.fmin(reals, high).ravel(), shape)
        return np.maximum.accumulate(values, axis=0)  # but for rounding they rise already

    def along(self, values: Array, slope: Array) -> Array:
        above = np.cumsum(slope.reshape(values.shape)[::-1], axis=0)[::-1]
        gaps = 2.0 * np.sqrt(np.maximum(np.diff(self._reals(values), axis=0), 0.0))
        return np.concatenate([above[:1], gaps * above[1:]]).ravel()

    def nearest(self, values: Array) -> Array:
        """Those of least squares: runs that fall are replaced by their means."""
        from scipy.optimize import isotonic_regression  # not with emframe: few models need it

        columns = np.asarray(values, dtype=float).reshape(len(values), -1).T
        found = [isotonic_regression(column).x for column in columns]
        return np.reshape(np.transpose(found), np.shape(values))

    def order(self, values: Array) -> NDArray[np.intp]:
        ranks = np.argsort(np.argsort(values.reshape(len(values), -1), axis=0), axis=0)
        return np.argsort(ranks.sum(axis=1), kind="stable")

    def own(self, shape: Shape) -> NDArray[np.intp]:
        return np.full(shape[0], int(np.prod(shape[1:])), dtype=np.intp)

    def units(self, values: Array) -> Array:
        units = self.space.units(values).reshape(values.shape)
        return np.concatenate([units[:1], np.sqrt(units[1:])]).ravel()


@dataclass(frozen=True, repr=False)
class Linear(Restricted):
    """Numbers x (K, ...) with C x = c for C (m, K) and c (m,): in each column by itself.

    By x = x0 + N u, where x0 is the least x that satisfies it and N an orthonormal basis of what C
    takes to 0.

    Parameters
    ----------
    contrasts, constants : C and c as nested tuples.

    Raises ValueError for equations that contradict each other, or leave nothing free.
    """

    contrasts: Any = ()
    constants: Any = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        gap = np.abs(self._c @ self._least - np.array(self.constants))
        if (gap > DIGITS * (np.abs(self._c) @ np.abs(self._least) + 1.0) * self._k).any():
            raise ValueError("the equations contradict each other; no values satisfy them all.")
        if not self._free.shape[1]:
            raise ValueError("the equations leave nothing free; hold the values, emframe.fixed.")

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"{self.space.words}, with {self._c.tolist()} x = {list(self.constants)}"

    @cached_property
    def _c(self) -> Array:
        return np.array(self.contrasts, dtype=float)

    @property
    def _k(self) -> int:
        return self._c.shape[1]

    @cached_property
    def _least(self) -> Array:
        return np.asarray(np.linalg.pinv(self._c) @ np.array(self.constants, dtype=float))

    @cached_property
    def _free(self) -> Array:
        """N (K, K - rank)."""
        _, sizes, right = np.linalg.svd(self._c)
        rank = int((sizes > DIGITS * sizes.max(initial=0.0)).sum())
        return np.ascontiguousarray(right[rank:].T)

    def _columns(self, values: Array) -> Array:
        """Values with one trailing axis, (K, m)."""
        if len(values) != self._k:
            raise ValueError(
                f"contrasts of {self._k} components do not go with {len(values)} of them."
            )
        return np.reshape(np.asarray(values, dtype=float), (self._k, -1))

    def contains(self, values: Array) -> NDArray[np.bool_]:
        x, c = self._columns(values), np.array(self.constants)[:, None]
        off = np.abs(self._c @ x - c) > DIGITS * (np.abs(self._c) @ np.abs(x) + np.abs(c))
        return np.asarray(self.space.holds(values) and not off.any())

    def near(self, values: Array) -> Array:
        moved, size = self.nearest(values), np.abs(values).max(initial=0.0)
        return moved if np.abs(moved - values).max(initial=0.0) <= 1e-6 * size else values

    def coordinates(self, values: Array) -> Array:
        return (self._free.T @ (self._columns(values) - self._least[:, None])).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        free = np.reshape(vector, (self._free.shape[1], -1))
        return np.reshape(self._least[:, None] + self._free @ free, shape)

    def along(self, values: Array, slope: Array) -> Array:
        bends = self.space.pullback(values, np.ones(np.shape(values)))
        return (self._free.T @ self._columns((slope / bends).reshape(values.shape))).ravel()

    def nearest(self, values: Array) -> Array:
        return self.point(self.coordinates(values), np.shape(values))

    def order(self, values: Array) -> NDArray[np.intp]:
        """That of the least sum of squares from it."""
        x = self._columns(values)
        if self._k > MOST_ORDERS:
            return np.argsort(x.sum(axis=1), kind="stable")
        orders = np.array(list(permutations(range(self._k))))
        moved = x[orders] - self._least[:, None]
        off = np.square(moved - self._free @ (self._free.T @ moved)).sum(axis=(1, 2))
        return orders[off.argmin()]

    def units(self, values: Array) -> Array:
        size = np.abs(self._columns(values)).max(axis=0)
        size = np.where(size > 0.0, size, largest(values))
        return np.tile(size, self._free.shape[1])

    def n_coordinates(self, shape: Shape) -> int:
        return self._free.shape[1] * int(np.prod(shape[1:]))


@dataclass(frozen=True, repr=False)
class Pooled(Restricted):
    """Numbers of which some are one, as what order holds together is.

    Parameters
    ----------
    pools : nested tuples of the numbers' pools, 0 and up; those of one pool are equal.
    """

    pools: Any = ()

    @cached_property
    def _places(self) -> NDArray[np.intp]:
        return np.ravel(np.array(self.pools, dtype=np.intp))

    @cached_property
    def _firsts(self) -> NDArray[np.intp]:
        return np.unique(self._places, return_index=True)[1]

    def contains(self, values: Array) -> NDArray[np.bool_]:
        flat = np.ravel(values)
        same = (flat[self._firsts][self._places] == flat).all()
        return np.asarray(same and self.space.holds(values))

    def coordinates(self, values: Array) -> Array:
        return self.space.coordinates(np.ravel(values)[self._firsts])

    def point(self, vector: Array, shape: Shape) -> Array:
        return self.space.point(vector, (len(vector),))[self._places].reshape(shape)

    def along(self, values: Array, slope: Array) -> Array:
        return np.asarray(np.bincount(self._places, slope), dtype=float)

    def nearest(self, values: Array) -> Array:
        sums = np.bincount(self._places, np.ravel(values))
        return (sums / np.bincount(self._places))[self._places].reshape(np.shape(values))

    def units(self, values: Array) -> Array:
        return self.space.units(np.ravel(values)[self._firsts])

    def n_coordinates(self, shape: Shape) -> int:
        return len(self._firsts)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
