"""From many starts to many ends: which starts to run, and when enough have been.

Every start is run to convergence, because what separates a good basin from a poor one shows late
in a run.  What is left of the budget goes to moves away from the best optimum, which may have a
better one next to it that no start of its own is likely to find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from emframe.models import Model
from emframe.optima import is_higher, optima
from emframe.result import Start

# The default number of starts, where they are cheap: at least, at most.
FEWEST_STARTS = 32
MOST_STARTS = 120
# The most E-steps that the default spends on all starts, and on data of any size the most
# numbers of work space (rows x components x columns) that these may pass through.
MOST_STEPS = 3500
MOST_NUMBERS = 5e8
# The share of them that starts may take; the rest is for moves.
SHARE_OF_STARTS = 0.8
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
        numbers = len(self.rows) * self.model.work(self.rows) * self.model.effort
        most = min(MOST_STEPS, MOST_NUMBERS / max(numbers, 1))
        for begin in self.model.starts(self.rows, self.rng):
            yield Begin(*begin)
            share = 1.0 if _best(attempts) is not None else WITHOUT_ONE
            if spent(attempts) >= share * SHARE_OF_STARTS * most or _is_enough(attempts):
                break
        yield from self._moves(attempts, max(most, spent(attempts) / SHARE_OF_STARTS))

    def _moves(self, attempts: Sequence[Attempt], most: float) -> Iterator[Begin]:
        """Moves away from the best regular optimum, and from each better one they lead to."""
        best, tried = _best(attempts), None
        while best is not None and best is not tried:
            assert best.run is not None
            tried = best
            for kind, params in self.model.moves(best.run.step.params, self.rows, self.rng):
                if spent(attempts) * (1 + 1 / len(attempts)) > most:
                    return  # one more of the usual length would exceed the budget
                yield Begin(kind, params, best.start.index)
                best = _best(attempts)
                if best is not tried:
                    break


def spent(attempts: Sequence[Attempt]) -> int:
    """E-steps of all attempts."""
    return sum(one.start.n_iter for one in attempts)


def _is_enough(attempts: Sequence[Attempt]) -> bool:
    """Whether the best optimum was found many times over, and by a good share of the starts."""
    n = len(attempts)
    if n < FEWEST_STARTS:
        return False
    if n >= MOST_STARTS:
        return True
    best = next(iter(optima(one.start for one in attempts)), None)
    return best is not None and best.is_regular and best.times >= max(8, n / 8)


def _best(attempts: Sequence[Attempt]) -> Attempt | None:
    """The first attempt that found the best regular optimum; None while there is none."""
    best: Attempt | None = None
    for one in (one for one in attempts if one.run is not None and one.start.is_regular):
        if best is None or is_higher(one.start.objective, best.start.objective):
            best = one
    return best


def rank(one: Attempt) -> tuple[bool, bool, float]:
    """What makes one end better than another: sound, then regular, then high."""
    return one.start.status.usable, not one.start.spurious, one.start.objective


def leads(attempts: Sequence[Attempt]) -> bool:
    """Whether the newest attempt is now the best: no other's run is ever needed again."""
    newest, reached = attempts[-1], [one for one in attempts if one.run is not None]
    if newest.run is None:
        return False
    return newest is _best(attempts) or newest is max(reached, key=rank)


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
        kind, params, parent = begin
        if isinstance(params, Degenerate):
            return Attempt(
                Start(index, kind, Status.DEGENERATE, nan, nan, 0, self.tell(params), "", parent)
            )
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
            return Attempt(
                Start(index, kind, stopped.status, nan, nan, 1, str(stopped), "", parent)
            )
        odd = self.model.irregularities(done.step.expectation)
        why = "; ".join(f"component {k}: {reason}" for k, reason in sorted(odd.items()))
        start = Start(
            index,
            kind,
            done.status,
            done.step.objective,
            done.step.expectation.loglik,
            done.n_expectations,
            done.message,
            why,
            parent,
            done.trace,
        )
        return Attempt(start, done)
