"""Families beside one another whose rows lie in unlike places: each has density 0 elsewhere.

    f(0 | gamma) = 0,        f(3.2 | a point at 0) = 0

A family is asked of rows of its own support alone, so that it need not know what lies outside.

One known case: families of one support are what they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.families.base import Completed, Family
from emframe.families.wrapped import Wrapped
from emframe.spaces import AnyOf, Array, Claim, ColumnsIn, Only, Space

PROBES = 257  # coordinates, by which one space is looked for in another


@dataclass(frozen=True)
class Elsewhere(Wrapped):
    """A family, of rows that may lie outside its support, where its density is 0.

    Parameters
    ----------
    places : the spaces that rows have to lie in.
    """

    places: tuple[Space, ...] = ()

    maker = "elsewhere"

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", tuple(self.places))

    @property
    def support(self) -> Space:  # type: ignore[override]
        return self.places[0]

    @property
    def supports(self) -> tuple[Space, ...]:
        return self.places

    def claims(self) -> tuple[Claim, ...]:
        return Family.claims(self)

    def log_density(self, params: Any, x: Array) -> Array:
        inside = within(self.family, x)
        if inside.all():
            return self.family.log_density(params, x)
        density = self.family.log_density(params, moved_in(self.family, x, inside))
        return np.where(inside[:, None], density, -np.inf)

    def accumulate(self, x: Array, resp: Array) -> Any:
        return self.family.accumulate(*self._own(x, resp))

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        return self.family.completed(params, *self._own(x, resp))

    def whole(self, x: Array, weights: Array) -> Any:
        rows, shares = self._own(x, weights[:, None])
        return self.family.whole(rows, shares[:, 0])

    def _own(self, x: Array, resp: Array) -> tuple[Array, Array]:
        """Rows of the support, and the shares of those that were there."""
        inside = within(self.family, x)
        if inside.all():
            return x, resp
        return moved_in(self.family, x, inside), np.where(inside[:, None], resp, 0.0)


def within(family: Family, x: Array) -> NDArray[np.bool_]:
    """Which rows lie in the support of a family, (n,)."""
    held = np.ones(len(x), dtype=bool)
    for space in family.supports:
        held &= np.asarray(space.contains(x)).reshape(len(x), -1).all(axis=1)
    return held


def moved_in(family: Family, x: Array, inside: NDArray[np.bool_]) -> Array:
    """Rows of the support: in the place of any other one that is, or the middle of it."""
    if inside.any():
        row = x[inside.argmax()]
    else:
        shape = (1, x.shape[1])
        row = family.support.point(np.zeros(family.support.n_coordinates(shape)), shape)[0]
    return np.where(inside[:, None], x, row)


def together(families: Sequence[Family]) -> tuple[Family, ...]:
    """The families as they take rows of any of their supports, where these are unlike.

    Supports of whole rows, and of several conditions, stay: all of these are to be met.
    """
    if len({family.supports for family in families}) == 1:
        return tuple(families)
    if any(len(one.supports) > 1 or one.support.n_event_axes for one in families):
        return tuple(families)
    union = _union([family.support for family in families])
    return tuple(one if one.support == union else Elsewhere(one, (union,)) for one in families)


def _union(spaces: Sequence[Space]) -> Space:
    """The space of all values of some spaces, column by column where one has unlike columns."""
    unlike = next((space for space in spaces if isinstance(space, ColumnsIn)), None)
    if unlike is not None:
        columns = range(len(unlike.spaces))
        return ColumnsIn(tuple(_union([space.column(j) for space in spaces]) for j in columns))
    # The widest alone where they lie in one another; of equal ones that with the nearest limit.
    left = sorted(dict.fromkeys(spaces), key=lambda space: -space.largest)
    for space in list(left):
        if any(other is not space and _covers(other, space) for other in left):
            left.remove(space)
    return left[0] if len(left) == 1 else AnyOf(tuple(left))


def is_mixed(families: Sequence[Family]) -> bool:
    """Whether a column is one of counts for some of the families and of real numbers for others.

    A point is of either.
    """
    d = next((one.width for one in families if one.width is not None), 1)
    kinds: dict[int, set[bool]] = {}
    for family in families:
        discrete, modelled = family.columns_modelled(d)
        for j in np.flatnonzero(modelled):
            if not any(isinstance(space.column(int(j)), Only) for space in family.supports):
                kinds.setdefault(int(j), set()).add(bool(discrete[j]))
    return any(len(kind) > 1 for kind in kinds.values())


def _covers(space: Space, other: Space) -> bool:
    """Whether values of another space, of all sizes, belong to this one."""
    reals = np.concatenate([[0.0, np.pi / 2], np.sinh(np.linspace(-12.0, 12.0, PROBES))])
    shape = (len(reals), 1)
    size = other.n_coordinates(shape) // len(reals)
    with np.errstate(all="ignore"):
        values = other.point(np.tile(reals, size), shape)
    held = np.asarray(other.contains(values)).ravel()
    return bool(np.asarray(space.contains(values)).ravel()[held].all())
