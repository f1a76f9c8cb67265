"""Where to start, and when enough has been tried.

A plan hands out one start after another and sees how those before ended.  The default goes on
until starts agree; what is left of the budget goes to moves away from the best few optima, which
may have a better one next to them that no start of its own is likely to find.

One known case: where all starts end at one optimum the fewest are made, and a few moves.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from emframe.core import Status
from emframe.data import Rows
from emframe.fitting.result import Fit
from emframe.fitting.search import Attempt, Begin, Plan, best_of, peaks, spent, times_found
from emframe.models import Model

# The most E-steps that the default spends on all starts, and on data of any size the most
# numbers of work space (rows x components x columns) that these may pass through.
MOST_STEPS = 3500
MOST_NUMBERS = 5e8
# The share of them that starts may take; the rest is for moves.
SHARE_OF_STARTS = 0.5
# What starts from the optimum of a smaller model may take, as a share of the same.
SHARE_OF_GROWN = 0.25
# Every so many-th move is a child of two optima.
CROSSING = 3
# While no regular optimum was found the budget is so many times as large.
WITHOUT_ONE = 4.0


@dataclass(frozen=True)
class Level:
    """How much is done against the chance that a better optimum is missed."""

    before_moves: int  # the fewest starts, where there are moves to follow
    alike: int  # and where there are none, but all end alike
    fewest: int  # and where they do not
    most: int  # the most starts, however seldom the best was found
    rounds: float  # moves end when the best would have been found so many times by as many starts
    most_quiet: int  # and after so many in a row that led to none better


LEVELS = {
    "quick": Level(3, 4, 4, 12, 0.0, 0),
    "default": Level(6, 8, 16, 60, 3.0, 24),
    "thorough": Level(16, 32, 32, 120, 6.0, 48),
}


@dataclass(frozen=True)
class Given:
    """One start, from these parameters."""

    params: Any

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        yield Begin("given", self.params)


@dataclass(frozen=True)
class Starts:
    """The model's own starts, n of them."""

    model: Model
    rows: Rows
    rng: np.random.Generator
    n: int

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        for begin in islice(self.model.starts(self.rows, self.rng), self.n):
            yield Begin(*begin)


@dataclass(frozen=True)
class Agreement:
    """The model's own starts until the best optimum was found often, then moves.

    While it is rare among them a better one may be rarer still, so the search goes on to the end
    of its budget: many starts where one E-step is little work, a few where it is much.  Agreement
    of starts alone misleads, for next to an optimum that all of them find there may be a better
    one that none does: so there are moves as well.
    """

    model: Model
    rows: Rows
    rng: np.random.Generator
    level: Level = LEVELS["default"]
    joins: bool = False  # whether starts need not climb to the best end once more

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        for begin in self._begins(attempts):
            best = best_of(attempts) if self.joins else None
            yield begin if best is None else begin._replace(best=best.start)

    def _begins(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        most = allowed(self.model, self.rows)
        supply = self.model.starts(self.rows, self.rng)
        starts = (Begin(*begin) for begin in supply)
        if self.model.sole_start:
            yield from islice(starts, 1)
            if best_of(attempts) is not None:
                return
        for few in (self.level.before_moves, self.level.fewest):
            for begin in starts if not self._is_enough(attempts, few, most) else ():
                yield begin
                if self._is_enough(attempts, few, most):
                    break
            n = len(attempts)
            yield from self._moves(attempts, max(most, spent(attempts) / SHARE_OF_STARTS))
            if len(attempts) > n:
                return

    def _is_enough(self, attempts: Sequence[Attempt], few: int, most: float) -> bool:
        """Whether the best optimum was found often and by a good share of starts, or must do."""
        n, times = sum(one.start.parent is None for one in attempts), times_found(attempts)
        if best_of(attempts) is None and n >= self.level.fewest:
            apart = sum(one.start.status is Status.SEPARATED for one in attempts)
            if 2 * apart >= len(attempts):  # it is the data that have no maximum, not the starts
                return True
        share = 1.0 if best_of(attempts) is not None else WITHOUT_ONE
        if n >= share * self.level.most or spent(attempts) >= share * SHARE_OF_STARTS * most:
            return True
        if times == n >= self.level.alike:
            return True
        return n >= few and times >= max(2, max(few, n / 2) / 4)

    def _moves(self, attempts: Sequence[Attempt], most: float) -> Iterator[Begin]:
        """Moves away from the best few optima in turn, the better ones that they lead to included.

        They end when so many in a row led to none better that, had each start been a move, the
        best would have been found `Level.rounds` times; the rarer it is the longer they go on.
        """
        supplies: dict[tuple[int, int], Iterator[tuple[str, Any]]] = {}
        best, quiet = best_of(attempts), 0
        while best is not None and quiet < self._patience(attempts):
            tops = peaks(attempts)
            peak = tops[quiet % len(tops)]
            crosses = quiet % CROSSING == CROSSING - 1 and len(tops) > 1
            other = tops[(quiet + 1) % len(tops)] if crosses else peak
            parents = (peak.start.index, other.start.index)
            if parents not in supplies:
                supplies[parents] = self._ways(peak, other)
            supply = supplies[parents]
            quiet += 1
            for move in islice(supply, 1):
                if spent(attempts) * (1 + 1 / len(attempts)) >= most:
                    return  # one more of the usual length would exceed the budget
                yield Begin(*move, peak.start.index)
            if best_of(attempts) is not best:
                best, quiet = best_of(attempts), 0

    def _ways(self, peak: Attempt, other: Attempt) -> Iterator[tuple[str, Any]]:
        """Moves away from an optimum, or where the other is not the same one children of both."""
        assert peak.run is not None
        assert other.run is not None
        params, partner = peak.run.step.params, other.run.step.params
        if peak is other:
            return self.model.moves(params, self.rows, self.rng)
        return self.model.crossed(params, partner, self.rows, self.rng)

    def _patience(self, attempts: Sequence[Attempt]) -> float:
        """How many moves in a row may lead to no better optimum."""
        starts = sum(one.start.parent is None for one in attempts)
        return min(
            self.level.most_quiet, self.level.rounds * starts / max(times_found(attempts), 1)
        )


@dataclass(frozen=True)
class Grown:
    """From the optimum of a smaller model: ways on from there, and if need be that point itself.

    It is a point of this model, so the objective of the best end is no lower than there.
    """

    model: Model
    smaller: Fit
    params: Any  # the point of this model that is the smaller one at its optimum
    reached: float  # the objective there
    rows: Rows
    rng: np.random.Generator
    n: int | None  # at most so many; None for all that the budget has room for

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        most = SHARE_OF_GROWN * allowed(self.model, self.rows)
        below = self.smaller.model, self.smaller.params
        for begin in islice(self.model.grown(*below, self.rows, self.rng), self.n):
            yield Begin(*begin, grown=True)
            if self.n is None and spent(attempts) >= most:
                break
        best = best_of(attempts)
        if best is None or best.start.objective < self.reached:
            yield Begin("smaller model", self.params, grown=True)


def apart(plan: Plan, attempts: Sequence[Attempt]) -> Generator[Begin, None, list[Attempt]]:
    """The starts of a plan that sees no attempts but its own; what these came to."""
    mine: list[Attempt] = []
    for begin in plan(mine):
        yield begin
        mine.append(attempts[-1])
    return mine


def allowed(model: Model, rows: Rows) -> float:
    """The most E-steps that the default spends on these rows."""
    numbers = len(rows) * model.work(rows) * model.effort
    return min(MOST_STEPS, MOST_NUMBERS / max(numbers, 1))
