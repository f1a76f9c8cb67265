"""What every value has to be: one pass where all are, and the first that is not told by its place.

One known case: finite numbers of a family of real numbers are looked at once, and pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data.arrays import as_floats
from emframe.data.gaps import per_value, there
from emframe.data.rows import MOST_AT_ONCE, Rows, cut
from emframe.messages.refusals import LARGEST_WHOLE, TOO_LARGE, refusal, shown
from emframe.spaces import Array, Claim, Ends, OrNothing, Space


@dataclass(frozen=True)
class _Demand:
    """Something that every value has to be."""

    met: Callable[[NDArray[Any], Array], NDArray[np.bool_]]  # (as given, as float64) -> per value
    what: str
    remedy: Callable[[int], str]  # by the column of the first value that is not
    together: tuple[int, ...] = ()  # columns that tell of one value, and are shown side by side


def require(rows: Rows, claims: Sequence[Claim], owner: str) -> None:
    """Refuse data outside the spaces claimed, in one pass where there is nothing to refuse."""
    supports = [claim.space for claim in claims]
    d = len(rows.columns)

    def without_gaps(column: int) -> str:
        mine = [
            one
            for one in claims
            if one.space.covers(d)[column]
            and (not one.space.missing or isinstance(one.space, OrNothing))
        ]
        ways = {one.gaps for one in mine}
        way = ways.pop() if len(ways) == 1 else ""
        return "remove or impute such rows" + (f", or {way}" if way else "")

    demands = [
        _Demand(
            lambda given, x: ~np.isinf(x) | np.isinf(given),
            "too large for float64",
            lambda _: "rescale the column",
        ),
        _Demand(
            lambda _, x: there(x, supports),
            "missing or infinite",
            without_gaps,
        ),
        _Demand(
            lambda given, _: _is_exact(given),
            TOO_LARGE[0],
            lambda _: TOO_LARGE[1],
        ),
    ]
    demands += [
        _Demand(
            lambda _, x, space=one.space: per_value(space.contains(x), x),  # type: ignore[misc]
            f"outside the support of {one.owner}",
            lambda _, space=one.space: f"it takes {space.words}; {_remedy(space)}",  # type: ignore[misc]
            _pair(one.space),
        )
        for one in claims
    ]
    least = np.max([space.least_ranges(d) for space in supports], axis=0, initial=0.0)
    low, high = np.full(len(rows.columns), np.inf), np.full(len(rows.columns), -np.inf)
    for given in cut(rows.source, MOST_AT_ONCE):
        x = as_floats(given)
        plain = given.dtype == x.dtype and bool(np.isfinite(x).all())
        usual = plain and all(space.holds(x) for space in supports)
        for demand in () if usual else demands:
            if not demand.met(given, x).all():
                raise ValueError(_refusal(rows, demand))
        if least.any():
            low = np.minimum(low, _over_rows(np.minimum, x))
            high = np.maximum(high, _over_rows(np.maximum, x))
    narrow = (high > low) & (high / 2 - low / 2 < least / 2)
    if narrow.any():
        j = int(narrow.argmax())
        raise ValueError(
            f"`X` column {j} ({rows.columns[j]!r}) has values from {low[j]:g} to {high[j]:g}, too "
            f"close together for {owner}, whose squares of differences underflow; rescale the "
            "column."
        )


def _pair(space: Space) -> tuple[int, ...]:
    """The columns with both ends of a value; none of another space."""
    return getattr(space, "places", (0, 1)) if Ends in _kinds(space) else ()


def _kinds(space: Space) -> tuple[type, ...]:
    """What a space is, or the one that it has at some columns."""
    return type(getattr(space, "space", space)).__mro__


def _remedy(space: Space) -> str:
    limited = bool(space.largest < np.finfo(float).max)
    limited &= not space.discrete or bool(space.largest >= 2.0**53)
    return f"check the data{', rescale the column' * limited} or choose another family"


def _is_exact(given: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether integers are no larger than float64 can tell from their neighbours."""
    if given.dtype.kind not in "iu":
        return np.ones((1, 1), dtype=bool)
    return np.asarray((given <= LARGEST_WHOLE) & ((given >= 0) | (given >= -LARGEST_WHOLE)))


def _over_rows(best: np.ufunc, x: Array) -> Array:
    """``best.reduce(x, axis=0)``; numpy is slow at that where columns are few."""
    chunk = 64
    whole = len(x) - len(x) % chunk
    if whole == 0:
        return np.asarray(best.reduce(x, axis=0))
    wide = best.reduce(x[:whole].reshape(-1, chunk * x.shape[1]), axis=0)
    rest = [x[whole:]] if whole < len(x) else []
    return np.asarray(best.reduce(np.concatenate([wide.reshape(chunk, -1), *rest]), axis=0))


def _refusal(rows: Rows, demand: _Demand) -> str:
    """Where the first value that misses the demand stands, and how many there are."""
    count, first, where = 0, 0, (0, 0, "", "")
    for given in cut(rows.source, MOST_AT_ONCE):
        x = as_floats(given)
        bad = ~np.broadcast_to(demand.met(given, x), x.shape)
        if bad.any() and count == 0:
            row, column = (int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
            number = first + row if rows.kept is None else int(rows.kept[first + row])
            value = given[row, column]
            told = shown(value)
            if column in demand.together:
                others = [j for j in demand.together if j != column]
                said = (
                    f"column {j} ({rows.columns[j]!r}) is {shown(given[row, j])}" for j in others
                )
                told = ", and ".join([told, *said])
            where = (number, column, rows.columns[column], told)
        count += int(bad.sum())
        first += len(x)
    return refusal("X", *where, demand.what, count, demand.remedy(where[1]))
