"""From many starts to many ends: which starts to run, and when enough have been.

Every start is run to convergence, because what separates a good basin from a poor one shows late
in a run.  What is left of the budget goes to moves away from the best few optima, which may have
a better one next to them that no start of its own is likely to find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import nan
from typing import Any, NamedTuple

import numpy as np

from emframe.core import (
    Degenerate,
    Expectation,
    Method,
    Midway,
    Rule,
    Run,
    Status,
    Stopped,
    run,
)
from emframe.data import Rows
from emframe.fitting.optima import is_same, optima
from emframe.fitting.result import Fit, Start
from emframe.models import Model

# The default number of starts, where they are cheap: at least, and at most.  Where there are moves
# to follow fewer will do.
FEWEST_STARTS = 32
FEWEST_BEFORE_MOVES = 16
MOST_STARTS = 120
# Moves start from so many of the best optima in turn, and end when so many in a row led to none
# better: a number of moves for each time that the best was found among the starts, and at most.
PEAKS = 3
ROUNDS = 6
MOST_QUIET = 48
# The most E-steps that the default spends on all starts, and on data of any size the most
# numbers of work space (rows x components x columns) that these may pass through.
MOST_STEPS = 3500
MOST_NUMBERS = 5e8
# The share of them that starts may take; the rest is for moves.
SHARE_OF_STARTS = 0.5
# What starts from the optimum of a smaller model may take, as a share of the same.
SHARE_OF_GROWN = 0.25
# While no regular optimum was found the budget is so many times as large.
WITHOUT_ONE = 4.0


@dataclass(frozen=True)
class Attempt:
    """A start and, where it got that far, its run."""

    start: Start
    run: Run[Any] | None = None


class Begin(NamedTuple):
    """Where to start next."""

    kind: str
    params: Any  # or the Degenerate that came in the place of parameters
    parent: int | None = None  # index of the attempt that it moves away from
    grown: bool = False  # whether it is from the optimum of a smaller model


Plan = Callable[[Sequence[Attempt]], Iterator[Begin]]
"""``plan(attempts)`` says where to start next, and sees `attempts` grow as it does."""


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
class Thorough:
    """The default: the model's own starts until the best optimum was found often, then moves.

    While it is rare among them a better one may be rarer still, so the search goes on to the end
    of its budget: many starts where one E-step is little work, a few where it is much.
    """

    model: Model
    rows: Rows
    rng: np.random.Generator

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        most = allowed(self.model, self.rows)
        starts = (Begin(*begin) for begin in self.model.starts(self.rows, self.rng))
        for few in (FEWEST_BEFORE_MOVES, FEWEST_STARTS):
            for begin in starts if not _is_enough(attempts, few, most) else ():
                yield begin
                if _is_enough(attempts, few, most):
                    break
            n = len(attempts)
            yield from self._moves(attempts, max(most, spent(attempts) / SHARE_OF_STARTS))
            if len(attempts) > n:
                return

    def _moves(self, attempts: Sequence[Attempt], most: float) -> Iterator[Begin]:
        """Moves away from the best few optima in turn, the better ones that they lead to included.

        They end when so many in a row led to none better that, had each start been a move, the
        best would have been found `ROUNDS` times; the rarer it is the longer they go on.
        """
        supplies: dict[int, Iterator[tuple[str, Any]]] = {}
        best, quiet = _best(attempts), 0
        while best is not None and quiet < _patience(attempts):
            peaks = _peaks(attempts)
            peak = peaks[quiet % len(peaks)]
            assert peak.run is not None
            supply = supplies.setdefault(
                peak.start.index, self.model.moves(peak.run.step.params, self.rows, self.rng)
            )
            quiet += 1
            for move in islice(supply, 1):
                if spent(attempts) * (1 + 1 / len(attempts)) >= most:
                    return  # one more of the usual length would exceed the budget
                yield Begin(*move, peak.start.index)
            if _best(attempts) is not best:
                best, quiet = _best(attempts), 0


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
        best = _best(attempts)
        if best is None or best.start.objective < self.reached:
            yield Begin("smaller model", self.params, grown=True)


def allowed(model: Model, rows: Rows) -> float:
    """The most E-steps that the default spends on these rows."""
    numbers = len(rows) * model.work(rows) * model.effort
    return min(MOST_STEPS, MOST_NUMBERS / max(numbers, 1))


def spent(attempts: Sequence[Attempt]) -> int:
    """E-steps of all attempts."""
    return sum(one.start.n_iter for one in attempts)


def _is_enough(attempts: Sequence[Attempt], few: int, most: float) -> bool:
    """Whether the best optimum was found often and by a good share of the starts, or must do."""
    n, times = len(attempts), _times_found(attempts)
    share = 1.0 if _best(attempts) is not None else WITHOUT_ONE
    if n >= MOST_STARTS or spent(attempts) >= share * SHARE_OF_STARTS * most:
        return True
    return n >= few and times >= max(few, n / 2) / 4


def _patience(attempts: Sequence[Attempt]) -> float:
    """How many moves in a row may lead to no better optimum."""
    starts = sum(one.start.parent is None for one in attempts)
    return min(MOST_QUIET, ROUNDS * starts / max(_times_found(attempts), 1))


def _times_found(attempts: Sequence[Attempt]) -> int:
    """How many starts found the best optimum; 0 where it is not regular."""
    best = next(iter(optima(one.start for one in attempts)), None)
    return best.times if best is not None and best.is_regular else 0


def _peaks(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The first attempts that found the best few regular optima, the best first."""
    peaks: list[Attempt] = []
    for one in (one for one in attempts if one.run is not None and one.start.is_regular):
        if not any(is_same(one.start.objective, peak.start.objective) for peak in peaks):
            peaks.append(one)
    return sorted(peaks, key=lambda one: -one.start.objective)[:PEAKS]


def _best(attempts: Sequence[Attempt]) -> Attempt | None:
    """The first attempt that found the best regular optimum; None while there is none."""
    return next(iter(_peaks(attempts)), None)


def rank(one: Start | Fit) -> tuple[bool, bool, float]:
    """What makes one end better than another: sound, then regular, then high."""
    return one.status.usable, not one.spurious, one.objective


def highest(reached: Sequence[Attempt]) -> Attempt:
    """The attempt with the best end."""
    return max(reached, key=lambda one: rank(one.start))


def leads(attempts: Sequence[Attempt]) -> bool:
    """Whether the newest attempt is the best now or a peak: no other's run is needed again."""
    newest, reached = attempts[-1], [one for one in attempts if one.run is not None]
    if newest.run is None:
        return False
    return any(newest is one for one in (*_peaks(attempts), highest(reached)))


@dataclass(frozen=True)
class Search:
    """Runs a model from one start after another."""

    model: Model
    expect: Callable[[Any], Expectation[Any]]
    rules: Sequence[Rule]
    method: Method
    tell: Callable[[Degenerate], str]  # what a degenerate component is said to be

    def __call__(self, plan: Plan) -> tuple[list[Attempt], bool]:
        """The attempts made, and whether the keyboard cut them short.

        Raises KeyboardInterrupt where it came before there was any point to keep.
        """
        attempts: list[Attempt] = []
        try:
            for index, begin in enumerate(plan(attempts)):
                attempts.append(self.attempt(index, begin))
                status = attempts[-1].start.status
                if status is Status.INTERRUPTED:
                    return attempts, True
                if status is Status.MAX_SECONDS:
                    break
        except KeyboardInterrupt:
            if not any(one.run for one in attempts):
                raise
            return attempts, True
        except Exception as error:
            error.add_note(f"while fitting a {self.model.title()}, start {len(attempts)}")
            if "read-only" in str(error):
                error.add_note("a family may not write into its arguments; copy the array first")
            raise
        return attempts, False

    def attempt(self, index: int, begin: Begin, midway: Midway[Any] | None = None) -> Attempt:
        """One start, run to its end; from `midway` on, where it got so far before."""
        kind, params, parent, grown = begin
        start = Start(index, kind, Status.DEGENERATE, nan, nan, 0, "", parent=parent, grown=grown)
        if isinstance(params, Degenerate):
            return Attempt(replace(start, message=self.tell(params)))
        try:
            done = run(
                self.expect,
                params,
                rules=self.rules,
                method=self.method,
                contract=self.model.contract,
                midway=midway,
                tell=self.tell,
            )
        except Stopped as stopped:
            return Attempt(replace(start, status=stopped.status, n_iter=1, message=str(stopped)))
        odd = self.model.irregularities(done.step.expectation)
        why = "; ".join(f"component {k}: {reason}" for k, reason in sorted(odd.items()))
        ended = replace(
            start,
            status=done.status,
            objective=done.step.objective,
            log_likelihood=done.step.expectation.loglik,
            n_iter=done.n_expectations,
            message=done.message,
            spurious=why,
            trace=done.trace,
        )
        return Attempt(ended, done)
