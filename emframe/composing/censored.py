"""Values of which bounds were seen: exact, right, left and interval censored rows together.

    emframe.Censored("weibull", time="days", event="died")
    emframe.Censored("normal", lower="lo", upper="hi")

A row tells of its value by two columns, and its density is that of what they say:

    log f(y)                    where it was seen
    log [F(upper) - F(lower)]   where it lies between two ends, of which either may be infinite

Where the family knows its moments between bounds E completes each row by them, which is exact EM
(Dempster, Laird and Rubin 1977, section 4.2; Tanner and Wong 1987); else M climbs the likelihood
of what was seen.

One known case: of rows that were all seen it is the family itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.composing.columns import AtColumns, Home, RowsOf
from emframe.composing.pairs import Pair, settled
from emframe.composing.unseen import Rough, Unseen
from emframe.families import Completed, Family, Outcome
from emframe.families.between import log_between, tails
from emframe.host.recipes import MAKERS
from emframe.messages.words import meant
from emframe.spaces import Array, Bounds, Claim, Ends, Integers, Interval, Real, Space, TimeAndEvent
from emframe.spaces.ends import limits

# Where between two ends, or beyond one in spreads of all ends, a row is looked for at a start.
BETWEEN = np.array([1.0, 3.0, 5.0]) / 6.0
BEYOND = np.array([0.1, 0.5, 1.2])


@dataclass(frozen=True, init=False)
class Censored(Unseen):
    """A family of one column of which some rows tell bounds alone.

    Parameters
    ----------
    family : name of a plugin, or a `Family`, of one column that is modelled, given any others.
    lower, upper : the columns with both ends, by name or index: equal where the value was seen,
        nan or infinite for an end that there is not.  Of whole numbers both are possible values.
    time, event : or those with a time, and 1 where it is the value, 0 where the value lies beyond.
    **options : settings of the family, when it is given by name; a response is told by the pair.

    The columns are the pair, followed by those that the family is given; or where their indices
    say.

    Raises
    ------
    TypeError, ValueError : for what is no pair of columns, or a family of more than one column.

    Examples
    --------
    >>> family = emframe.Censored("exponential", time=0, event=1)
    >>> rows = [[3.0, 1], [5.0, 0], [4.0, 1]]  # two deaths in 12 days
    >>> emframe.fit(emframe.Mixture(family, 1), rows)["rates"].round(4)
    array([[0.1667]])
    """

    family: Family
    lower: str | int | None
    upper: str | int | None
    time: str | int | None
    event: str | int | None

    maker = "censored"

    def __init__(
        self,
        family: str | Family,
        *,
        lower: str | int | None = None,
        upper: str | int | None = None,
        time: str | int | None = None,
        event: str | int | None = None,
        **options: Any,
    ) -> None:
        told = [lower, upper], [time, event]
        both = [all(one is not None for one in pair) for pair in told]
        some = [any(one is not None for one in pair) for pair in told]
        if both != some or sum(both) != 1:
            given = {"lower": lower, "upper": upper, "time": time, "event": event}
            said = ", ".join(f"{key}={one!r}" for key, one in given.items() if one is not None)
            wrong = (f"{name!r}: {meant(name, given)}" for name in options if meant(name, given))
            raise TypeError(
                "pass lower= and upper=, or time= and event=, both as columns; got "
                f"{said or 'none of them'}. {next(filter(None, wrong), '')}".rstrip()
            )
        said = "`lower` and `upper`" if both[0] else "`time` and `event`"
        start, stop = told[0] if both[0] else told[1]
        made = settled(family, (start, stop), said, options)
        first, second = made.first, made.second
        object.__setattr__(self, "family", made.family)
        for key, one in zip(("lower", "upper"), (first, second), strict=True):
            object.__setattr__(self, key, one if both[0] else None)
        for key, one in zip(("time", "event"), (first, second), strict=True):
            object.__setattr__(self, key, one if both[1] else None)
        object.__setattr__(self, "_covered", None)

    def ingredients(self) -> dict[str, Any]:
        names = ("lower", "upper") if self.time is None else ("time", "event")
        return {"family": self.family, **{name: getattr(self, name) for name in names}}

    # ---- rows

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"censored {self.family.name}"

    @cached_property
    def pair(self) -> Pair:
        """Where the two columns stand."""
        first, second = (self.lower, self.upper) if self.time is None else (self.time, self.event)
        assert first is not None
        assert second is not None
        return Pair(self.family, first, second)

    @cached_property
    def ends(self) -> Ends:
        """The space of the pair."""
        return (Ends if self.time is None else TimeAndEvent)(self.pair.space)

    @property
    def columns(self) -> tuple[str, ...] | None:  # type: ignore[override]
        return self.pair.columns

    @property
    def width(self) -> int:  # type: ignore[override]
        return self.pair.inner_width + 1

    @property
    def inner_width(self) -> int:
        return self.pair.inner_width

    @property
    def takes_columns(self) -> bool:
        return True

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.pair.others

    @property
    def support(self) -> Space:  # type: ignore[override]
        inner, pair = self.family.support, self.pair
        others = zip(pair.others, pair.given, strict=True)
        homes = [Home(f"x{out}", inner.column(j), (out,)) for out, j in others]
        return RowsOf((Home("bounds", self.ends, pair.places), *homes)) if homes else self._alone

    @property
    def _alone(self) -> Space:
        return self.ends if self.pair.places == (0, 1) else AtColumns(self.ends, self.pair.places)

    @property
    def supports(self) -> tuple[Space, ...]:
        inner, pair = self.family.support, self.pair
        others = zip(pair.others, pair.given, strict=True)
        given = (AtColumns(inner.column(j), (out,)) for out, j in others)
        return (AtColumns(self.ends, pair.places), *given)

    def claims(self) -> tuple[Claim, ...]:
        owner = f"the family {self.name!r}"
        return tuple(Claim(space, owner, self.gaps) for space in self.supports)

    def support_given(self, row: Array) -> Space:
        return self.ends

    def bounds(self, x: Array) -> Bounds:
        """Where the value of each row lies."""
        return self.ends.bounds(x[:, self.pair.places])

    def located(self, x: Array) -> Array:
        bounds, points = self.bounds(x), np.array(x)
        low, high = (np.where(np.isinf(end), np.nan, end) for end in bounds)
        middle = np.where(np.isnan(low), high, np.where(np.isnan(high), low, 0.5 * (low + high)))
        inside = self.ends.space.contains(middle)
        # In coordinates of the space, where times that differ by orders of magnitude are no clump.
        middle[inside] = self.ends.space.coordinates(middle[inside])
        middle[~inside] = np.nan
        points[:, self.pair.places] = np.stack([middle, np.zeros(len(x))], axis=1)
        return points

    def survival(self, params: Any, x: Array, times: Array) -> Array:
        inner = self.pair.inner(x, np.full(len(x), self._middle))
        return self.family.survival(params, inner, times)

    def value(self, x: Array) -> Array:
        bounds = self.bounds(x)
        return np.where(bounds.exact, bounds.low, np.nan)

    # ---- E

    @property
    def completes(self) -> bool:
        return self.family.truncates

    def log_density(self, params: Any, x: Array) -> Array:
        bounds = self.bounds(x)
        seen, bounded = _kinds(bounds)
        if seen.all():
            return self.family.log_density(params, self.pair.inner(x, bounds.low))
        parts = [(seen, self.family.log_density), (bounded, None)]
        found = np.zeros((len(x), self._size(params, x)))
        for which, density in parts:
            if which.any():
                own = Bounds(bounds.low[which], bounds.high[which])
                if density is None:
                    found[which] = self._log_probability(params, x[which], own)
                else:
                    found[which] = density(params, self.pair.inner(x[which], own.low))
        return found

    def _size(self, params: Any, x: Array) -> int:
        """How many components there are."""
        row = self.pair.inner(x[:1], np.array([self._middle]))
        return int(self.family.log_density(params, row).shape[1])

    @property
    def _middle(self) -> float:
        """Some value of the space."""
        return float(self.ends.space.point(np.full(1, 0.5), (1,))[0])

    def _log_probability(self, params: Any, x: Array, bounds: Bounds) -> Array:
        """Log probability between the ends of rows, (n, K)."""
        low, high = bounds
        if self.ends.discrete:
            low, high = np.ceil(low) - 1.0, np.floor(high)
        return log_between(self._tails(params, x, low), self._tails(params, x, high))

    def _tails(self, params: Any, x: Array, values: Array) -> tuple[Array, Array]:
        space = self.ends.space
        bottom, top = limits(space)
        inside = space.contains(np.where(np.isfinite(values), values, np.nan))
        below, above = ~inside & (values <= bottom), ~inside & (values >= top)
        rows = self.pair.inner(x, np.where(inside, values, self._middle))
        return tails(self.family, params, rows, below, above)

    def complete(self, params: Any, x: Array, resp: Array) -> Completed:
        bounds = self.bounds(x)
        seen, bounded = _kinds(bounds)
        parts, entropy = [], np.zeros(resp.shape[1])
        if seen.any() or not bounded.any():
            # Rows of which nothing was seen weigh nothing, and are no part of any sum.
            some = seen if seen.any() else np.arange(len(x)) == 0
            values = np.where(seen, bounds.low, self._middle)[some]
            own = resp[some] * seen[some][:, None]
            told = self.family.completed(params, self.pair.inner(x[some], values), own)
            parts.append(told.statistics)
            entropy = entropy + told.entropy
        if bounded.any():
            more, left = self._completed(params, x, resp, bounds, bounded)
            parts += more
            entropy = entropy + left
        return Completed(reduce(add, parts), entropy)

    def _completed(
        self, params: Any, x: Array, resp: Array, bounds: Bounds, which: NDArray[np.bool_]
    ) -> tuple[list[Any], Array]:
        """Sums over rows between ends, and the entropy of what lies there, log P - E log f."""
        x, resp = x[which], resp[which]
        own = Bounds(bounds.low[which], bounds.high[which])
        log_p = self._log_probability(params, x, own)
        low, high = (self.pair.inner(x, end) for end in own)
        stand = self.family.truncated(params, low, high)
        parts, entropy = self.stood_for(
            params, stand, lambda rows, values: self.pair.inner(x[rows], values), resp
        )
        if not parts:
            row = self.pair.inner(x[:1], np.array([self._middle]))
            parts = [self.family.completed(params, row, np.zeros((1, resp.shape[1]))).statistics]
        some = resp > 0
        return parts, entropy + (resp * np.where(some, log_p, 0.0)).sum(axis=0)

    # ---- to begin with

    def rough(self, x: Array) -> Rough:
        low, high = self.bounds(x)
        seen, bounded = _kinds(Bounds(low, high))
        ends = np.concatenate([one[np.isfinite(one)] for one in (low, high)])
        spread = float(ends.std()) if len(ends) else 0.0
        spread = spread or (float(np.abs(ends).max()) if len(ends) else 0.0) or 1.0
        bottom, top = limits(self.ends.space)
        first = np.maximum(low, bottom)[bounded][:, None]
        last = np.minimum(high, top)[bounded][:, None]
        with np.errstate(invalid="ignore"):
            between = first + BETWEEN * (last - first)
        above, below = first + spread * BEYOND, last - spread * BEYOND
        values = np.where(np.isinf(last), above, np.where(np.isinf(first), below, between))
        if self.ends.discrete:
            values = np.clip(np.rint(values), np.ceil(first), np.floor(last))
        owners = np.concatenate([np.flatnonzero(seen), np.repeat(np.flatnonzero(bounded), 3)])
        shares = np.concatenate([np.ones(int(seen.sum())), np.full(values.size, 1.0 / 3.0)])
        told = np.concatenate([low[seen], values.ravel()])
        return Rough(self.pair.inner(x[owners], told), owners.astype(np.intp), shares)

    # ---- draws, and what could have been seen

    def given(self, x: Array) -> Censored:
        """Draws have the bounds of rows x, taken in turn, where they lie within them.

        A value that falls where its row was censored is seen as that was; others as they are.
        Where all rows tell intervals that do not overlap, as bins with their counts do, a value is
        seen as the interval between the nearest of their ends.
        """
        other = copy(self)
        for key in ("pair", "ends", "climbing"):
            vars(other).pop(key, None)
        object.__setattr__(other, "_covered", np.array(x, dtype=float))
        return other

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        labels, covered = np.asarray(labels), vars(self)["_covered"]
        family = self.family
        if covered is None:
            drawn = np.asarray(family.sample(params, labels, rng), dtype=float)
            rows = drawn.reshape(len(labels), self.inner_width)
            y = rows[:, self.pair.modelled]
            return self.pair.outer(rows, self.ends.pairs(Bounds(y, y)))
        at = covered[np.arange(len(labels)) % len(covered)]
        if family.covariates:
            family = family.given(self.pair.inner(covered, np.full(len(covered), self._middle)))
        drawn = np.asarray(family.sample(params, labels, rng), dtype=float)
        rows = drawn.reshape(len(labels), self.inner_width)
        y, bounds = rows[:, self.pair.modelled], self.bounds(at)
        if _is_binned(self.bounds(covered)):
            return self.pair.outer(rows, self.ends.pairs(self._binned(y, covered)))
        hidden = ~bounds.exact & (y >= bounds.low) & (y <= bounds.high)
        told = Bounds(np.where(hidden, bounds.low, y), np.where(hidden, bounds.high, y))
        return self.pair.outer(rows, self.ends.pairs(told))

    def _binned(self, y: Array, covered: Array) -> Bounds:
        low, high = self.bounds(covered)
        if self.ends.discrete:
            starts = np.unique(np.concatenate([np.ceil(low), np.floor(high) + 1.0]))
            starts = np.concatenate([[-np.inf], starts[np.isfinite(starts)], [np.inf]])
            place = np.searchsorted(starts, y, side="right")
            return Bounds(starts[place - 1], starts[place] - 1.0)
        edges = np.unique(np.concatenate([low, high]))
        edges = np.concatenate([[-np.inf], edges[np.isfinite(edges)], [np.inf]])
        place = np.searchsorted(edges, y, side="left")
        return Bounds(edges[place - 1], edges[place])

    def outcomes(self, row: Array) -> Sequence[Outcome] | None:
        """The row itself where it tells bounds, and all values beside them, seen."""
        bounds = self.bounds(row[None])
        seen, bounded = _kinds(bounds)
        low, high = float(bounds.low[0]), float(bounds.high[0])
        value = self.pair.places if self.time is None else self.pair.places[:1]
        whole = np.array(row, dtype=float)
        if self.time is not None:
            whole[self.pair.places[1]] = 1.0
        if not bounded[0]:
            alone = [Outcome(row)] if not seen[0] else []
            return alone or [Outcome(whole, value, self.ends.space)]
        bottom, top = limits(self.ends.space)
        if self.ends.discrete:  # the last values there are may be seen
            bottom, top = bottom - 1.0, top + 1.0
        found = [Outcome(row)]
        for start, stop in ((bottom, low), (high, top)):
            space = _within(self.ends.space, start, stop)
            if space is not None:
                found.append(Outcome(whole, value, space))
        return found


def _kinds(bounds: Bounds) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows whose value was seen, and those of which at least one end was, (n,) both."""
    seen = bounds.exact
    return seen, ~seen & (np.isfinite(bounds.low) | np.isfinite(bounds.high))


def _is_binned(bounds: Bounds) -> bool:
    """Whether rows tell intervals alone, several of them, of which no two overlap."""
    seen, bounded = _kinds(bounds)
    if seen.any() or not bounded.any():
        return False
    low, high = np.unique(np.stack(bounds)[:, bounded], axis=1)
    return len(low) > 1 and bool((low[1:] >= high[:-1]).all())


def _within(space: Space, low: float, high: float) -> Space | None:
    """The values of a space between two ends that are themselves left out; None for none."""
    if space.discrete:
        first = low if np.isneginf(low) else np.floor(low) + 1.0
        last = np.ceil(high) - 1.0
        return Integers(first, last) if first <= last else None
    if not low < high:
        return None
    return Real() if np.isneginf(low) and np.isposinf(high) else Interval(low, high)


MAKERS["censored"] = Censored
