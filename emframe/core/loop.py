"""The loop.  `iterate` is EM itself, one audited step at a time; `run` drives it to an end.

    for step in iterate(expect, params):
        print(step.index, step.objective)

``expect(params)`` is the E-step and returns Q; that, and Q's own ``maximize``, is all it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from emframe.core.expectation import Contract, Degenerate, PassFailed
from emframe.core.ledger import Step, enter, open_ledger
from emframe.core.methods import EM, Expect, Method
from emframe.core.status import Status
from emframe.core.stopping import RemainingGain, Rule
from emframe.core.tolerance import RESOLUTION, within

P = TypeVar("P")


def iterate(
    expect: Expect[P],
    params: P,
    *,
    method: Method | None = None,
    contract: Contract = Contract.EXACT,
    after: tuple[Step[P], Any] | None = None,
) -> Iterator[Step[P]]:
    """Yield the start and then every step of EM from it, for as long as the caller asks.

    Parameters
    ----------
    expect : the E-step, ``expect(params) -> Expectation``.
    params : where to start.
    method : how to move; plain `EM` if None.
    contract : what the model promises of its M-step.
    after : a step and the method's state there, to go on after them in the place of a start.

    A step that breaks the contract is yielded with its ``breach`` and is the last one.
    `Degenerate`, raised by the model, passes through.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> model, x = emframe.Mixture("poisson", 2), np.array(counts, dtype=float)[:, None]
    >>> start = model.build({"weights": [0.5, 0.5], "rates": [[1.0], [5.0]]})
    >>> steps = emframe.iterate(lambda params: model.expect(params, x, np.ones(10)), start)
    >>> first, second = next(steps), next(steps)
    >>> second.objective > first.objective
    True
    """
    method = EM() if method is None else method
    if after is None:
        step = open_ledger(expect(params))
        yield step
        state = method.start(step.expectation)
    else:
        step, state = after
    while step.breach is None:
        try:
            move, state = method.advance(expect, step.expectation, state)
        except Degenerate as error:
            if error.reached is not None:
                yield enter(step, error.reached, contract)
            raise
        step = enter(step, move, contract)
        yield step


@dataclass(frozen=True)
class Midway(Generic[P]):
    """A run that is not over, and all that it takes to go on with it to the same bits."""

    steps: tuple[Step[P], ...]  # the last two accepted, newest last
    state: Any  # of the method, after the last of them
    trace: tuple[float, ...]
    gains: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Run(Generic[P]):
    """How a drive ended: the best point it reached, why it stopped, and the whole ledger."""

    status: Status
    message: str
    step: Step[P]
    trace: tuple[float, ...]  # objective of each accepted step; never decreases
    gains: tuple[tuple[float, float], ...]  # (gain in Q, gain in entropy) of each accepted step
    n_expectations: int  # E-steps spent, on rejected trials too
    starved: int | None = None  # the component that degenerated or is an artefact, where one is
    error: Exception | None = None  # what failed that was not the model, where that ended it


class Stopped(Exception):
    """A run that ended before it had a single point: its start was degenerate."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(message)
        self.status = status


def run(
    expect: Expect[P],
    params: P,
    *,
    rules: Sequence[Rule],
    method: Method | None = None,
    contract: Contract = Contract.EXACT,
    midway: Midway[P] | None = None,
    tell: Callable[[Degenerate], str] = str,
) -> Run[P]:
    """Iterate until a rule, a breach, a degenerate component, the keyboard or a failure ends it.

    With `midway` a run goes on from there, and `params` is only where it once began.  `tell` puts
    a degenerate component into words.

    Returns a `Run`, whatever the end; its point is the last accepted one.  Raises `Stopped`
    where the start itself has no finite objective, and KeyboardInterrupt and `PassFailed` where
    there is no point yet to return.
    """
    steps: list[Step[P]] = []  # the last two accepted
    trace: list[float] = []
    gains: list[tuple[float, float]] = []
    spent, after = 0, None
    if midway is not None:
        steps, trace, gains = list(midway.steps), list(midway.trace), list(midway.gains)
        spent, after = steps[-1].n_expectations, (steps[-1], midway.state)

    def end(status: Status, message: str = "", starved: int | None = None) -> Run[P]:
        text = (
            f"{message[:1].upper()}{message[1:]}. {status.message}" if message else status.message
        )
        return Run(status, text, steps[-1], tuple(trace), tuple(gains), spent, starved)

    try:
        for step in iterate(expect, params, method=method, contract=contract, after=after):
            spent = step.n_expectations
            if step.breach is not None:
                where = f"at step {step.index}, {step.breach.message}"
                if not steps:
                    raise Stopped(step.breach.status, where)
                return end(step.breach.status, where)
            if steps and contract.ascends and step.objective < steps[-1].objective:
                return end(_unresolved([steps[-1], step], rules))
            steps = [*steps[-1:], step]
            trace.append(step.objective)
            gains.append((step.gain_q, step.gain_entropy))
            for rule in rules:
                status = rule(steps)
                if status is not None:
                    return end(status)
    except Degenerate as error:
        if not steps:
            raise Stopped(error.status, tell(error)) from error
        why = f"after step {steps[-1].index}, {tell(error)}"
        return end(error.status, why, error.starved)
    except (KeyboardInterrupt, PassFailed) as stop:
        if not steps:
            raise
        return replace(end(*_cut(stop, steps[-1].index)), error=getattr(stop, "error", None))
    except Exception as error:
        error.add_note("at the start" if not steps else f"after step {steps[-1].index}")
        raise
    raise AssertionError("the loop of EM has no end of its own")


def _cut(stop: BaseException, index: int) -> tuple[Status, str]:
    """What ends a run that something other than the model cut short, and why."""
    if isinstance(stop, KeyboardInterrupt):
        return Status.INTERRUPTED, ""
    return Status.ENGINE_FAILED, f"after step {index}, {stop}"


def _unresolved(steps: Sequence[Step[Any]], rules: Sequence[Rule]) -> Status:
    """A fall too small to be a breach: the steps have become smaller than rounding.

    Where the fall is within the objective's resolution there is nothing left to gain that could
    be seen, nor where it is less than what `RemainingGain` calls nothing, and so is what remains;
    else the arithmetic is too rough to tell.
    """
    before, after = (step.objective for step in steps)
    settled = (rule(steps) for rule in rules if isinstance(rule, RemainingGain))
    is_rounding = before - after <= within(RESOLUTION, before, after)
    return Status.CONVERGED if is_rounding or any(settled) else Status.STALLED
