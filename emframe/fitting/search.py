"""From many starts to many ends: each start is run until it converges, and the ends are compared.

Every start is run to convergence, because what separates a good basin from a poor one shows late
in a run.  Where to start is a plan's to say (`emframe.fitting.plans`), which sees the ends so far.

One known case: a plan of a single start makes one attempt, and its end is the best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any, NamedTuple

from emframe.core import (
    Degenerate,
    Expectation,
    Method,
    Midway,
    PassFailed,
    RemainingGain,
    Rule,
    Run,
    Status,
    Step,
    Stopped,
    run,
)
from emframe.data import is_unread
from emframe.fitting.optima import JOINED, SAME, is_same, optima
from emframe.fitting.result import POLISH, Fit, Start
from emframe.models import Model

# Moves start from so many of the best optima in turn.
PEAKS = 3
# Where so many starts failed, and none was sound, it is no accident.
FAILURES = 16


@dataclass(frozen=True)
class Attempt:
    """A start and, where it got that far, its run."""

    start: Start
    run: Run[Any] | None = None
    error: Exception | None = None  # what the model raised, where that ended it

    @property
    def starved(self) -> int | None:
        """The component that it lost, where that ended it."""
        return None if self.run is None else self.run.starved


class Begin(NamedTuple):
    """Where to start next; or a start that has come to its end elsewhere, only to be listed."""

    kind: str
    params: Any  # or the exception that came in the place of parameters, a Degenerate say
    parent: int | None = None  # index of the attempt that it moves away from
    grown: bool = False  # whether it is from the optimum of a smaller model
    ended: Start | None = None  # its end, where it has come to one
    from_saddle: bool = False  # whether what it moves away from turned out to be no maximum
    early: Status | None = None  # why it is not run, where the clock or the keyboard came before
    came: Any = None  # what it came to in another process (`emframe.fitting.shared.Came`)
    best: Start | None = None  # the best end so far, which it need not climb to once more


Cut = BaseException | None
"""What cut a search short: the keyboard, or what the engine or the source of the rows raised."""

Plan = Callable[[Sequence[Attempt]], Iterator[Begin]]
"""``plan(attempts)`` says where to start next, and sees `attempts` grow as it does."""


class Verdict(NamedTuple):
    """What is odd about an end."""

    why: str  # empty where nothing is
    artefact: int | None = None  # the first component that is an artefact, where one is


Irregular = Callable[[Expectation[Any]], Verdict]
"""Whether the point of a Q is an optimum that counts."""


@dataclass(frozen=True)
class Search:
    """Runs a model from one start after another."""

    model: Model
    expect: Callable[[Any], Expectation[Any]]
    rules: Sequence[Rule]
    method: Method
    tell: Callable[[Degenerate], str]  # what a degenerate component is said to be
    irregular: Irregular
    alone: Callable[[Any], Expectation[Any]] | None = None  # `expect` where its engine may be lost

    def __call__(self, plan: Plan) -> tuple[list[Attempt], Cut]:
        """The attempts made, and what cut them short.

        Raises KeyboardInterrupt, or what the engine or the source of the rows raised, where that
        came before there was any point to keep.
        """
        attempts: list[Attempt] = []
        try:
            for index, begin in enumerate(plan(attempts)):
                if begin.from_saddle:
                    _tell_saddles(attempts, begin.parent)
                attempts.append(self.attempt(index, begin))
                status = attempts[-1].start.status
                if status in (Status.INTERRUPTED, Status.ENGINE_FAILED):
                    return attempts, _cut(attempts)
                if status is Status.MAX_SECONDS:
                    break
                if sum(one.error is not None for one in attempts) >= FAILURES:
                    _raise_failed(attempts)
            _raise_failed(attempts)
        except KeyboardInterrupt as stop:
            if not any(one.run for one in attempts):
                raise
            return attempts, stop
        except PassFailed as failed:
            if not any(one.run for one in attempts):
                raise failed.error from failed.error.__cause__
            return attempts, failed.error
        except Exception as error:
            if is_unread(error) and any(one.run for one in attempts):
                return attempts, error
            raised = next((one.start.index for one in attempts if one.error is error), None)
            number = len(attempts) if raised is None else raised
            error.add_note(f"while fitting a {self.model.title()}, start {number}")
            if "read-only" in str(error):
                error.add_note("a family may not write into its arguments; copy the array first")
            raise
        return attempts, None

    def attempt(self, index: int, begin: Begin, midway: Midway[Any] | None = None) -> Attempt:
        """One start, run to its end; from `midway` on, where it got so far before."""
        kind, params, parent, grown, ended, _, early, came, best = begin
        if ended is not None:
            return Attempt(ended if ended.index == index else replace(ended, index=index))
        if came is not None:
            if came.error is not None:
                raise came.error
            return replace(came.attempt, start=replace(came.attempt.start, index=index))
        start = Start(index, kind, Status.DEGENERATE, nan, nan, 0, "", parent=parent, grown=grown)
        if isinstance(params, Degenerate):
            return Attempt(replace(start, message=self.tell(params)))
        if isinstance(params, Exception):
            return _failed(start, params)
        rules: Sequence[Rule] = self.rules if early is None else [lambda _: early]
        if best is not None:
            rules = [*rules, Joining(best)]
        expect = self.alone if early is not None and self.alone is not None else self.expect
        outside = Outside()
        try:
            done = run(
                expect,
                params,
                rules=[outside.noted(rule) for rule in rules],
                method=self.method,
                contract=self.model.contract,
                midway=midway,
                tell=self.tell,
            )
        except Stopped as stopped:
            return Attempt(replace(start, status=stopped.status, n_iter=1, message=str(stopped)))
        except PassFailed as failed:
            return self._without_engine(index, begin, failed)
        except Exception as error:
            if error is outside.raised or isinstance(error, MemoryError):
                raise
            return _failed(replace(start, n_iter=1), error)
        done, verdict = self._judged(done)
        if done.starved is None and verdict.artefact is not None:
            done = replace(done, starved=verdict.artefact)
        ended = replace(
            start,
            status=done.status,
            objective=done.step.objective,
            log_likelihood=done.step.expectation.loglik,
            n_iter=done.n_expectations,
            message=done.message,
            spurious=verdict.why,
            trace=done.trace,
        )
        if best is not None and done.status is Status.JOINED:
            level, loglik = best.objective, best.log_likelihood
            ended = replace(ended, objective=level, log_likelihood=loglik)
        return Attempt(ended, done)

    def _judged(self, done: Run[Any]) -> tuple[Run[Any], Verdict]:
        """A run and what is odd about its end; where its rows can no more be read, that is told."""
        try:
            return done, self.irregular(done.step.expectation)
        except Exception as error:
            if done.error is None and not is_unread(error):
                raise
            if done.error is None:
                status = Status.ENGINE_FAILED
                message = f"{PassFailed(error, begun=True)}. {status.message}"
                done = replace(done, status=status, message=message, error=error)
            return done, Verdict("")

    def _without_engine(self, index: int, begin: Begin, failed: PassFailed) -> Attempt:
        """A start whose first pass failed.

        Where it was to bring to the very end what had been found without the engine, that point is
        kept as it is.
        """
        status = Status.ENGINE_FAILED
        message = f"{failed}. {status.message}"
        if begin.kind == POLISH and begin.early is None and failed.begun:
            found = self.attempt(index, begin._replace(early=status))
            if found.run is not None:
                run = replace(found.run, message=message, error=failed.error)
                return Attempt(replace(found.start, message=message), run)
        start = Start(index, begin.kind, status, nan, nan, 1, message, parent=begin.parent)
        return Attempt(replace(start, grown=begin.grown), error=failed.error)


@dataclass(frozen=True)
class Joining:
    """A start that comes so near the best end, with no more ahead, is taken to end there."""

    best: Start

    def __call__(self, steps: Sequence[Step[Any]]) -> Status | None:
        level, here = self.best.objective, steps[-1]
        # What would end above it is on its way to another optimum.
        joins = here.objective > level - JOINED and here.objective + here.remaining < level + SAME
        return Status.JOINED if joins else None


@dataclass
class Outside:
    """Rules and callbacks: what they raise is not the model's."""

    raised: Exception | None = None

    def noted(self, rule: Rule) -> Rule:
        """The same rule; what it raises is kept."""
        if isinstance(rule, RemainingGain):
            return rule  # emframe's own, which the loop knows

        def ask(steps: Any) -> Status | None:
            try:
                return rule(steps)
            except Exception as error:
                self.raised = error
                raise

        return ask


def _cut(attempts: Sequence[Attempt]) -> BaseException:
    """What cut the last attempt short that was not the model; raised where no point is to keep."""
    last = attempts[-1]
    if last.start.status is Status.INTERRUPTED:
        return KeyboardInterrupt()
    error = last.error if last.run is None else last.run.error
    assert error is not None
    if not any(one.run for one in attempts):
        raise error
    return error


def _failed(start: Start, error: Exception) -> Attempt:
    """A start that the model's exception ended."""
    why = f"{type(error).__name__}: {error}. {Status.FAILED.message}"
    return Attempt(replace(start, status=Status.FAILED, message=why), error=error)


def _raise_failed(attempts: Sequence[Attempt]) -> None:
    """Raise what the model raised first, unless a start came to a sound end all the same."""
    errors = [one.error for one in attempts if one.error is not None]
    if errors and not any(one.run is not None and one.start.status.usable for one in attempts):
        raise errors[0]


def _tell_saddles(attempts: list[Attempt], parent: int | None) -> None:
    """Put down as saddles the end that a nudge left, and all that ended where it did."""
    level = next(one.start.objective for one in attempts if one.start.index == parent)
    for place, one in enumerate(attempts):
        start = one.start
        if one.start.sample:
            continue
        if start.status is Status.CONVERGED and is_same(start.objective, level):
            told = replace(start, status=Status.SADDLE, message=Status.SADDLE.message)
            run = one.run and replace(one.run, status=told.status, message=told.message)
            attempts[place] = Attempt(told, run)


def spent(attempts: Sequence[Attempt]) -> int:
    """E-steps of all attempts, but for those on samples."""
    return sum(one.start.n_iter for one in attempts if not one.start.sample)


def times_found(attempts: Sequence[Attempt]) -> int:
    """How many starts found the best optimum; 0 where it is not regular."""
    best = next(iter(optima(one.start for one in attempts)), None)
    return best.times if best is not None and best.is_regular else 0


def peaks(attempts: Sequence[Attempt], most: int = PEAKS) -> list[Attempt]:
    """The first attempts that found the best few regular optima, the best first."""
    found: list[Attempt] = []
    for one in (one for one in attempts if one.run is not None and one.start.is_regular):
        if not any(is_same(one.start.objective, peak.start.objective) for peak in found):
            found.append(one)
    return sorted(found, key=lambda one: -one.start.objective)[:most]


def best_of(attempts: Sequence[Attempt]) -> Attempt | None:
    """The first attempt that found the best regular optimum; None while there is none."""
    return next(iter(peaks(attempts)), None)


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
    return any(newest is one for one in (*peaks(attempts), highest(reached)))
