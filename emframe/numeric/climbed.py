"""A family known by its density alone: E keeps the rows, M climbs Q by values of the density.

There is no statistic smaller than the data, so S holds the rows and their responsibilities, and
adding two of them is putting one behind the other.  The M-step works in unconstrained coordinates
(see `emframe.numeric.newton`) and never lowers Q, which makes it generalised EM.

A start has no previous parameters to climb from.  It tries a table of values that the weighted
rows suggest (their mean, spread, quantiles, and plain numbers for shapes), takes the best, and
climbs from there.

One known case: for a normal density the parameters reached are the weighted mean and deviation.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.core import Contract, Degenerate
from emframe.families.base import Family
from emframe.numeric import newton
from emframe.numeric.componentwise import (
    at_coordinates,
    coordinates,
    from_coordinates,
    pulled_back,
    size_of,
)
from emframe.numeric.guesses import guesses
from emframe.numeric.inversion import inverted
from emframe.parameters import Leaf, keep, leaves, template
from emframe.spaces import EPS, Array

BLOCK = 1 << 13  # rows whose densities are summed at once in an M-step
HILLS = 4  # starts that a single component climbs from, for no other kind of start differs
APART = 0.05  # in natural units, or they are on the same hill
POINT = 16.0  # a density this many times the spacing of numbers wide is one number
EFFORT = 20.0  # evaluations of the density in a climb, and each costs more than a table's product


@dataclass(frozen=True)
class Kept:
    """Rows and responsibilities, block by block; they add by lying side by side."""

    blocks: tuple[tuple[Array, Array], ...]  # x (n, d) and resp (n, K) of each

    @classmethod
    def of_rows(cls, x: Array, resp: Array) -> Kept:
        """One block; the caller writes the next one's responsibilities where these are."""
        return cls(((x, np.array(resp)),))

    def __add__(self, other: Kept) -> Kept:
        return Kept(self.blocks + other.blocks)

    def __mul__(self, factor: float) -> Kept:
        return Kept(tuple((x, resp * factor) for x, resp in self.blocks))

    def regular(self) -> Kept:
        """The same rows in order of their values, in blocks of `BLOCK`, however they came.

        A climb ends where differences are lost in rounding, and at a kink, as of a median, that is
        felt in more digits than those of a sum; so sums are taken in one order.
        """
        x, resp = (np.concatenate(each) for each in zip(*self.blocks, strict=True))
        order = np.argsort(x[:, 0], kind="stable") if x.shape[1] == 1 else np.lexsort(x.T[::-1])
        x, resp = x[order], resp[order]
        firsts = range(0, len(x), BLOCK)
        return Kept(tuple((x[i : i + BLOCK], resp[i : i + BLOCK]) for i in firsts))

    @property
    def counts(self) -> Array:
        """Sum of responsibilities, (K,)."""
        return np.asarray(sum(resp.sum(axis=0) for _, resp in self.blocks))

    @property
    def spread(self) -> Array:
        """Deviation of all rows from their mean, (d,), whatever their shares."""
        x = (
            self.blocks[0][0]
            if len(self.blocks) == 1
            else np.concatenate([x for x, _ in self.blocks])
        )
        return np.asarray(x.std(axis=0))

    def expected(self, log_density: Callable[[Array], Array]) -> float:
        """Sum of resp times the log density x -> (n, K), where 0 times -inf is 0."""
        total = 0.0
        for x, resp in self.blocks:
            total += float((resp * np.where(resp > 0, log_density(x), 0.0)).sum())
        return total

    def of(self, k: int) -> tuple[Array, Array]:
        """The rows that component k has a share in, (m, d), and the shares, (m,)."""
        parts = [(x[resp[:, k] > 0], resp[resp[:, k] > 0, k]) for x, resp in self.blocks]
        return np.concatenate([x for x, _ in parts]), np.concatenate([w for _, w in parts])


@dataclass(frozen=True)
class Directions:
    """The coordinates of components (K, p) that are free, where others are known."""

    known: Array  # (K, p), nan where a coordinate is free; the same ones in each component

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """Which are free, (p,)."""
        return np.isnan(self.known[0])

    def cut(self, points: Array) -> Array:
        """The free ones of points (..., p)."""
        return points[..., self.free]

    def put(self, points: Array) -> Array:
        """All coordinates (..., K, p) of points (..., K, free)."""
        if self.free.all():
            return points
        whole = np.broadcast_to(self.known, (*points.shape[:-2], *self.known.shape)).copy()
        whole[..., self.free] = points
        return whole

    def value(self, value: newton.Value) -> newton.Value:
        """Q of the free ones."""
        return lambda points: value(self.put(points))

    def slope(self, slope: newton.Slope | None) -> newton.Slope | None:
        """Its derivatives by the free ones."""
        return None if slope is None else lambda points: self.cut(slope(self.put(points)))


class NumericFamily(Family):
    """Base of families that state `log_density`, for any number of components, and no M-step."""

    contract = Contract.GENERALISED
    effort = EFFORT

    @abstractmethod
    def log_density(self, params: Any, x: Array) -> Array:
        """Log density of each row under each component, (n, K), nats, all constants kept."""

    def accumulate(self, x: Array, resp: Array) -> Kept:
        return Kept.of_rows(x, resp)

    def expected(self, statistics: Kept, params: Any) -> float:
        return float(self._by_component(statistics, params).sum())

    def m_step(self, statistics: Kept, previous: Any) -> Any:
        size = sum(map(size_of, self._leaves(statistics)))
        free = np.full((len(statistics.counts), size), np.nan)
        return self._maximised(statistics, previous, Directions(free))

    def m_step_given(
        self,
        statistics: Kept,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any | None:
        """The same climb, along the coordinates that are free."""
        if shared:
            return None
        which = [np.full(size_of(leaf), leaf.path in held) for leaf in leaves(like)]
        known = np.where(np.concatenate(which), coordinates(like), np.nan)
        return self._maximised(statistics, previous, Directions(known))

    def _maximised(self, statistics: Kept, previous: Any, along: Directions) -> Any:
        statistics = statistics.regular()
        if previous is None:
            return self._begun(statistics, along)

        at = coordinates(previous)
        reached = along.put(
            newton.ascend(
                along.value(partial(self._values, statistics)),
                along.cut(at),
                statistics.counts,
                along.cut(self._unit(statistics)),
                along.slope(self._slope_of(statistics)),
                instead=lambda k: along.cut(self._ranked(statistics, k, along)[0]),
                brief=True,
            )
        )
        reached = self._on_rows(statistics, reached, along)
        stayed = (reached == at).all(axis=1)
        params = keep(stayed, previous, from_coordinates(previous, reached))
        self._refuse_points(statistics, params)
        return params

    def _begun(self, statistics: Kept, along: Directions) -> Any:
        """Parameters from the rows alone: the best of a table, climbed from to the top.

        A single component climbs from several, and the highest top counts.
        """
        d, counts, unit = self._d(statistics), statistics.counts, along.cut(self._unit(statistics))
        value = along.value(partial(self._values, statistics))
        slope = along.slope(self._slope_of(statistics))
        found, heights, failed = [], [], []
        for start in self._guesses(statistics, along):
            try:
                top = along.put(newton.ascend(value, along.cut(start), counts, unit, slope))
                params = at_coordinates(self.parameters, top, d)
                self._refuse_points(statistics, params)
            except Degenerate as error:
                failed.append(error)
                continue
            found.append(params)
            heights.append(float(value(along.cut(top)[None]).sum()))
        if not found:
            raise failed[0]
        return found[int(np.argmax(heights))]

    def _on_rows(self, statistics: Kept, at: Array, along: Directions) -> Array:
        """The same point, plain numbers moved onto the value of a row where Q is higher there.

        A density may have a kink where it is highest, as about a median, and then Q has one on a
        row: no parabola leads there, and in between it is straight.
        """
        best, first = at.copy(), 0
        here = self._values(statistics, at[None])[0]
        for leaf in self._leaves(statistics):
            size = size_of(leaf)
            places = range(first, first + size)
            first += size
            if type(leaf.declared.space).__name__ != "Real" or size not in (1, self._d(statistics)):
                continue
            for column, j in enumerate(places):
                if not along.free[j]:
                    continue
                values = np.sort(np.concatenate([x[:, column] for x, _ in statistics.blocks]))
                above = np.searchsorted(values, best[:, j])
                trials = np.stack([best, best])
                trials[0, :, j] = values[np.maximum(above - 1, 0)]
                trials[1, :, j] = values[np.minimum(above, len(values) - 1)]
                found = self._values(statistics, trials)
                for trial, height in zip(trials, found, strict=True):
                    higher = height > here
                    best[higher], here = trial[higher], np.maximum(here, height)
        return best

    def _refuse_points(self, statistics: Kept, params: Any) -> None:
        """Raise `Degenerate` where a density is narrower than the last bits of a row."""
        if any(space.discrete for space in self.supports):
            return
        for x, resp in statistics.blocks:
            room = np.maximum(np.abs(x), np.finfo(float).tiny)
            highest = -np.log(POINT * EPS * room).sum(axis=1)[:, None]
            with np.errstate(all="ignore"):  # a point may be narrower than numbers are
                narrow = (resp > 0) & (self.raw(params, x) > highest)
            if narrow.any():
                row, k = np.argwhere(narrow)[0]
                raise Degenerate(f"component {k} has shrunk to a point, {x[row]}", int(k))

    def gradient(self, statistics: Kept, params: Any) -> Array:
        statistics = statistics.regular()
        at, slope = coordinates(params), self._slope_of(statistics)
        if slope is None:
            value, unit = partial(self._values, statistics), self._unit(statistics)
            slopes = newton.slopes(value, at, statistics.counts, unit)
        else:
            found = slope(at[None])[0]
            slopes = np.where(np.isfinite(found), found, 0.0)  # 0 along an edge that has none
        parts, used = [], 0
        for leaf in leaves(params):
            size = size_of(leaf)
            parts.append(slopes[:, used : used + size].ravel())
            used += size
        return np.concatenate(parts)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        """By inverting the distribution function on a grid; for densities of one column."""
        return inverted(self, params, np.asarray(labels), rng)

    def raw(self, params: Any, x: Array) -> Array:
        """`log_density` at a trial point, where nan and inf are no news."""
        return np.asarray(self.log_density(params, x))

    # ---- Q by component

    def _by_component(self, statistics: Kept, params: Any) -> Array:
        """Sum of resp times log density, (K,); 0 times -inf counts as 0."""
        total: Any = 0.0
        for x, resp in statistics.blocks:
            total = total + _weighted(resp, self.log_density(params, x))
        return np.asarray(total)

    def _values(self, statistics: Kept, points: Array) -> Array:
        """The same at many coordinates at once, (m, K, p) -> (m, K); -inf where there is none."""
        m, k, p = points.shape
        total = np.zeros((m, k))
        with np.errstate(all="ignore"):  # a trial point may lie anywhere
            params = at_coordinates(self.parameters, points.reshape(m * k, p), self._d(statistics))
            for x, resp in statistics.blocks:
                density = self.raw(params, x).reshape(len(x), m, k)
                total += _weighted(resp[:, None], density)
        inside = _inside(params).reshape(m, k)  # rounding may put a point on an open end
        return np.where(inside & np.isfinite(total), total, -np.inf)

    @property
    def has_slope(self) -> bool:
        """Whether `slope` knows better than differences of values."""
        return False

    def slope(self, x: Array, weights: Array, params: Any) -> Any:
        """Derivatives of ``weights @ log_density(params, x)``, as parameters of the same form."""
        raise NotImplementedError(f"{self.name} knows its density by values alone")

    def _slope_of(self, statistics: Kept) -> newton.Slope | None:
        """`slope` in coordinates, (m, K, p) -> (m, K, p), each component on its own rows."""
        if not self.has_slope:
            return None
        d, held = self._d(statistics), [statistics.of(k) for k in range(len(statistics.counts))]

        def slope(points: Array) -> Array:
            found = np.zeros_like(points)
            for k, (x, weights) in enumerate(held):
                if len(x):
                    with np.errstate(all="ignore"):  # a trial point may lie anywhere
                        params = at_coordinates(self.parameters, points[:, k], d)
                        found[:, k] = pulled_back(params, self.slope(x, weights, params))
            return found

        return slope

    def _d(self, statistics: Kept) -> int:
        return int(statistics.blocks[0][0].shape[1])

    def _unit(self, statistics: Kept) -> Array:
        """The scale of each coordinate: the rows' own spread on the real line, 1 elsewhere."""
        return self._units(statistics.spread)

    def _units(self, spread: Array) -> Array:
        """The same from the spread of each column, (d,)."""
        units = []
        like_one = template(self.parameters, {"K": 1, "d": len(spread)})
        for leaf in leaves(like_one):
            plain = type(leaf.declared.space).__name__ in {"Real", "NonNegative"}
            like = np.ones(size_of(leaf))
            if plain:
                own = spread if len(like) == len(spread) else np.full(len(like), spread.mean())
                like = np.where(own > 0, own, 1.0)
            units.append(like)
        return np.concatenate(units)

    def _leaves(self, statistics: Kept) -> list[Leaf]:
        """The fields of one component."""
        return leaves(template(self.parameters, {"K": 1, "d": self._d(statistics)}))

    # ---- starts

    def guess(self, statistics: Kept) -> Any:
        """Parameters to climb from, (K,): for each component the best of a table of values.

        Raises `Degenerate` for a component without rows, or one that no value tried allows.
        """
        start = self._guesses(statistics)[0]
        return at_coordinates(self.parameters, start, self._d(statistics))

    def _ranked(self, statistics: Kept, k: int, along: Directions | None) -> Array:
        """Coordinates (m, p) that the rows suggest for component k, the best first."""
        x, weights = statistics.of(k)
        return guesses(self, x, weights, k, None if along is None else along.known[k])

    def _guesses(self, statistics: Kept, along: Directions | None = None) -> list[Array]:
        """Coordinates (K, p) to climb from; several of a single component, the best first."""
        tables = []
        for k, count in enumerate(statistics.counts):
            if not count > 0:
                raise Degenerate(f"component {k} starts without a row", k)
            tables.append(self._ranked(statistics, k, along))
        if len(tables) > 1:
            return [np.array([table[0] for table in tables])]
        unit, chosen = self._unit(statistics), tables[0][:1]
        for row in tables[0][1:]:
            if len(chosen) == HILLS:
                break
            if (np.abs(chosen - row) / unit > APART).any(axis=1).all():
                chosen = np.vstack([chosen, row])
        return [row[None] for row in chosen]


def _inside(params: Any) -> NDArray[np.bool_]:
    """Which components have all their values in the declared spaces, (K,)."""
    held = [
        leaf.declared.space.contains(leaf.value).reshape(len(leaf.value), -1).all(axis=1)
        for leaf in leaves(params)
    ]
    return np.asarray(np.logical_and.reduce(held))


def _weighted(resp: Array, density: Array) -> Array:
    """Sum over rows of resp times density, where 0 times anything is 0."""
    held = resp > 0
    return np.asarray((resp * np.where(held, density, 0.0)).sum(axis=0))
