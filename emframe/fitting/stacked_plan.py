"""The default on small data: all starts climb in one stack, and the ordinary loop ends the best.

What the stack hands over has hardly anything left to gain, so that the run from it takes a step or
two; it is the run whose ledger and status the fit has.  Every start of the stack is listed with
its end, those that were left on the way as such.

One known case: where all starts agree one run follows, and it is the fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from typing import Any

import numpy as np

from emframe.core import Status
from emframe.fitting.plans import apart
from emframe.fitting.result import Start
from emframe.fitting.search import Attempt, Begin, Plan, best_of
from emframe.fitting.stacked_ends import End, Ending, Supply
from emframe.fitting.stacked_search import Effort, Found, Reached, search
from emframe.models import Model
from emframe.models.mixture_stack import MixtureStack

EFFORTS = {
    "quick": Effort(first=12, stay=8, moves=6, agree=0.5, rounds=2, quiet=1),
    "default": Effort(),
}
# The numbers of work space (rows x components x columns) up to which starts climb in one stack.
MOST_NUMBERS = 1e6
MOST_POLISHED = 4
CLOSE = 20.0  # nats below the best end on a sample, from where on another may be the best of all
STATUS = {
    Ending.ARRIVED: Status.CONVERGED,
    Ending.JOINED: Status.JOINED,
    Ending.LEFT: Status.LEFT,
    Ending.SUSPECT: Status.LEFT,
    Ending.CAP: Status.LEFT,
    Ending.INTERRUPTED: Status.LEFT,
    Ending.STALLED: Status.STALLED,
    Ending.DEGENERATE: Status.DEGENERATE,
}


def stack_for(model: Model, rows: Any, survey: Any, term: Any) -> MixtureStack | None:
    """The stack of a model's starts on these rows; None where it has none or they are many."""
    if len(rows) * model.work(rows) * model.effort > MOST_NUMBERS:
        return None
    return MixtureStack.of(model, rows, survey, term)


@dataclass(frozen=True)
class Stacked:
    """A search in one stack, and runs from its best ends; if none is sound, another plan."""

    stack: Supply
    n_components: int
    rng: np.random.Generator
    effort: Effort
    accused: Callable[[Any], str]  # why parameters are an artefact's; empty where they are not
    is_over: Callable[[], bool]  # whether the time is up
    instead: Plan
    near: float = 0.0  # ends so many nats below the best are run to their end as well

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        try:
            found = search(
                self.stack,
                self.rng,
                effort=self.effort,
                suspect=lambda params: bool(self.accused(params)),
                stop=self.is_over,
                n_components=self.n_components,
            )
        except Exception:  # a family that breaks its word, which a start of its own will tell
            yield from self.instead(attempts)
            return
        first = len(attempts)
        for one in found.reached:
            told = self._told(one, first, found)
            yield Begin(told.kind, None, told.parent, ended=told)
        early = Status.MAX_SECONDS if self.is_over() else None
        early = Status.INTERRUPTED if found.is_interrupted else early
        if early is not None:
            highest = max((one.end for one in found.reached), key=lambda end: end.objective)
            if highest.params is not None:
                yield Begin("polish", highest.params, first + highest.index, early=early)
            return
        mine: list[Attempt] = []
        for end in found.best[:MOST_POLISHED]:
            if best_of(mine) is not None and end.objective < found.objective - self.near:
                break
            yield Begin("polish", end.params, first + end.index)
            mine.append(attempts[-1])
        if best_of(mine) is None:
            yield from apart(self.instead, attempts)

    def _told(self, one: Reached, first: int, found: Found) -> Start:
        """A start of the stack, in the words of the table."""
        end = one.end
        status = STATUS[end.ending]
        height, loglik = _level(end, found)
        told = Start(
            first + end.index,
            one.kind,
            status,
            height,
            loglik,
            end.n_steps,
            f"{end.why}. {status.message}" if end.why else status.message,
            parent=None if one.parent is None else first + one.parent,
        )
        if end.ending is not Ending.SUSPECT:
            return told
        return replace(told, spurious=self.accused(end.params))


def _level(end: End, found: Found) -> tuple[float, float]:
    """Objective and log-likelihood: those of the optimum that an end joined, else its own."""
    if not isfinite(end.objective):
        return nan, nan
    if end.ending is Ending.JOINED:
        tops = [one for one in found.best if one.objective >= end.objective - 1e-3]
        best = min(tops, key=lambda one: one.objective - end.objective, default=end)
        return best.objective, best.log_likelihood
    return end.objective, end.log_likelihood
