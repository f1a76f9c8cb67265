"""The default on small data: all starts climb in one stack, and the ordinary loop ends the best.

What the stack hands over has hardly anything left to gain, so that the run from it takes a step or
two; it is the run whose ledger and status the fit has.  Every start of the stack is listed with
its end, those that were left on the way as such.

One known case: where all starts agree one run follows, and it is the fit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nan
from typing import Any

import numpy as np

from emframe.core import PassFailed, Status
from emframe.data import PlacedRows
from emframe.fitting.plans import apart
from emframe.fitting.result import POLISH, Start
from emframe.fitting.sampled import weighing
from emframe.fitting.search import Attempt, Begin, Plan, best_of
from emframe.fitting.stacked_ends import Ending, StackedEnd, Supply
from emframe.fitting.stacked_search import NEAR, Effort, Found, Reached, Thin, search
from emframe.models import Model
from emframe.models.flat_stack import FlatStack
from emframe.models.mixture_stack import MixtureStack

EFFORTS = {
    "quick": Effort(
        first=12,
        stay=8,
        moves=6,
        of_three=(12, 6, 4),
        of_many=(8, 6, 4),
        agree=0.5,
        rounds=2,
        quiet=1,
    ),
    "default": Effort(),
}
# The numbers of work space (rows x components x columns) up to which starts climb in one stack.
MOST_NUMBERS = 1e6
# The same for starts in a table; and rows from which on their search begins on a part of these.
MOST_IN_TABLE, MANY_ROWS = 1e7, 4000
MANY = 12  # components, from where on starts that lose some are more to the point
FEWEST, EACH, SHARE = 2000, 20, 4  # rows of a part: so many, for each K (d + 1), one of so many
MOST_POLISHED = 4
# A run from an end that takes more E-steps than this is one along a flat direction, where ends
# that seem the same may not be.
SLOW = 8
OF_ARTEFACTS = 0.25  # of all ends: a surface on which a best one found once is in doubt
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
    Ending.BEYOND: Status.LEFT,
}


def stack_for(model: Model, rows: Any, survey: Any, term: Any) -> FlatStack | MixtureStack | None:
    """The stack of a model's starts on these rows; None where it has none or they are many.

    Or where they lie in parts: a stack has them here.
    """
    if isinstance(rows, PlacedRows):
        return None
    numbers = len(rows) * model.work(rows) * model.effort
    if numbers > (MOST_IN_TABLE if (model.choices() or 0) <= MANY else MOST_NUMBERS):
        return None
    stack = MixtureStack.of(model, rows, survey, term)
    if stack is None:
        return None
    return FlatStack.of(stack) or (stack if numbers <= MOST_NUMBERS else None)


def part_of(
    stack: FlatStack | MixtureStack, rng: np.random.Generator
) -> tuple[Any, FlatStack] | None:
    """Some rows of a table that a search can begin with, and their table, of the weight of all.

    None where the table is short, and where there is none.
    """
    if not isinstance(stack, FlatStack):
        return None
    rows, model = stack.exact.rows, stack.exact.model
    n, k = len(rows), model.latent.n
    size = max(FEWEST, n // SHARE, EACH * k * (len(rows.columns) + 1))
    if n < max(MANY_ROWS, 2 * size) or k == 1:
        return None
    some = rows.sample(size, rng)
    known = weighing(some, rows)
    exact = MixtureStack.of(model, known, model.survey(known))
    table = None if exact is None else FlatStack.of(exact)
    return None if table is None else (some, table)


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
    thin: Callable[[], Thin | None] = lambda: None  # some rows on which the search begins
    near: float = 0.0  # ends so many nats below the best are run to their end as well
    is_cheap: bool = False  # whether the other plan is made, too, where the best is in doubt

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        try:
            found = search(
                self.stack,
                self.rng,
                effort=self.effort,
                suspect=self.accused,
                stop=self.is_over,
                n_components=self.n_components,
                thin=self.thin(),
            )
        except (PassFailed, MemoryError):
            raise
        except Exception as error:  # a family that breaks its word, which each start will tell
            yield from self.instead(attempts)
            if best_of(attempts) is not None:  # or that breaks it in a stack alone
                warnings.warn(
                    f"starts went one by one, which takes longer, for together they raised "
                    f"{type(error).__name__}: {error}. If the family is your own, check it with "
                    "emframe.testing.check_family, or have its `stacked` return None.",
                    RuntimeWarning,
                    stacklevel=2,
                )
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
                yield Begin(POLISH, highest.params, first + highest.index, early=early)
            return
        mine: list[Attempt] = []
        for end in found.best[:MOST_POLISHED]:
            if best_of(mine) is not None and end.objective < found.objective - self.near:
                break
            yield Begin(POLISH, end.params, first + end.index)
            mine.append(attempts[-1])
        for end in _alike(found) if mine and mine[0].start.n_iter > SLOW else ():
            yield Begin(POLISH, end.params, first + end.index)
            mine.append(attempts[-1])
        if best_of(mine) is None or (self.is_cheap and _is_doubtful(found)):
            yield from apart(self.instead, attempts)

    def _told(self, one: Reached, first: int, found: Found) -> Start:
        """A start of the stack, in the words of the table."""
        parent = None if one.parent is None else first + one.parent
        told = listed(one.end, one.kind, first + one.end.index, parent)
        if one.end.ending is not Ending.JOINED or one.sample:
            return replace(told, sample=one.sample)
        height, loglik = _level(one.end, found)
        return replace(told, objective=height, log_likelihood=loglik)


def listed(end: StackedEnd, kind: str, index: int, parent: int | None) -> Start:
    """An end in the words of the table of starts."""
    status, is_odd = STATUS[end.ending], end.ending is Ending.SUSPECT
    is_somewhere = isfinite(end.objective)
    return Start(
        index,
        kind,
        status,
        end.objective if is_somewhere else nan,
        end.log_likelihood if is_somewhere else nan,
        end.n_steps,
        f"{end.why}. {status.message}" if end.why and not is_odd else status.message,
        spurious=end.why if is_odd else "",
        parent=parent,
    )


def _is_doubtful(found: Found) -> bool:
    """Whether the best was found once, while a good part of all ends were artefacts.

    Beside those a better one is easily overlooked, for it has neighbours that shrink.
    """
    odd = sum(one.end.ending in (Ending.SUSPECT, Ending.DEGENERATE) for one in found.reached)
    return found.times <= 1 and odd >= OF_ARTEFACTS * len(found.reached)


def _alike(found: Found) -> list[StackedEnd]:
    """Other ends that were taken for the best one, the highest first."""
    ends = [one.end for one in found.reached if one.end.ending.is_found and not one.sample]
    same = [end for end in ends if 0.0 < found.objective - end.objective < NEAR]
    return sorted(same, key=lambda end: -end.objective)[: MOST_POLISHED - 1]


def _level(end: StackedEnd, found: Found) -> tuple[float, float]:
    """Objective and log-likelihood of the optimum that an end joined."""
    tops = [one for one in found.best if one.objective >= end.objective - 1e-3]
    best = min(tops, key=lambda one: one.objective - end.objective, default=end)
    return best.objective, best.log_likelihood
