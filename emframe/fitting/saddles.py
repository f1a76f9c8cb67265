"""Is a point where EM stands still a maximum?  A nudge tells, and goes on from a saddle.

The posterior is disturbed, an ordinary M-step made on it, and the ascent followed for a few steps.
Where the objective comes out higher the point was no maximum, and the higher point is in hand.
The test is one-sided: a maximum can be bettered by it, and never refused.

One known case: the optimum of one Gaussian, told as a mixture of two equal ones, is left at once
where the rows come from two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from emframe.core import Expectation, PassFailed, Status, iterate
from emframe.data import is_unread
from emframe.fitting.evidence import rows_in
from emframe.fitting.movers import method_for
from emframe.fitting.optima import is_higher
from emframe.fitting.search import Attempt, Begin, Plan, highest
from emframe.models import Model

TRIES, STEPS = 4, 16  # where components are alike
LOOKS, PACES = 2, 10  # where there are none to tell apart
GLANCES, STRIDES = 1, 3  # elsewhere, where a saddle is rare
MOST_ROWS = 20_000  # more than these are not disturbed where nothing is alike
MOST_SADDLES = 5  # that are left, or ways on from one, one after the other
_AT_REST = (Status.CONVERGED, Status.SADDLE)


@dataclass(frozen=True)
class Onward:
    """A plan, and after it the way on from its best end, where that is a saddle."""

    plan: Plan
    model: Model
    expect: Callable[[Any], Expectation[Any]]
    rows: Any
    rng: np.random.Generator
    tol: float = 0.0  # nats: how near a maximum an end is asked to be

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        yield from self.plan(attempts)
        for _ in range(MOST_SADDLES):
            reached = [one for one in attempts if one.run is not None]
            best = highest(reached) if reached else None
            # From a saddle whose way on led to nothing sound there may be other ways.
            if best is None or best.start.spurious or best.start.status not in _AT_REST:
                return
            higher = escape(self.model, self.expect, best, self.rows, self.rng, self.tol)
            if higher is None:
                return
            yield Begin("nudged", higher, best.start.index, from_saddle=True)


def escape(
    model: Model,
    expect: Callable[[Any], Expectation[Any]],
    end: Attempt,
    rows: Any,
    rng: np.random.Generator,
    tol: float = 0.0,
) -> Any | None:
    """Parameters with an objective higher by more than tol, next to an end; None where none is.

    It costs an E-step or two to leave a saddle.
    """
    assert end.run is not None
    params, level = end.run.step.params, end.start.objective + tol
    twins = model.has_twins(params, rows)
    if not twins and rows_in(rows) > MOST_ROWS:
        return None
    is_whole = model.choices() in (None, 1)
    tries, steps = (
        (GLANCES, STRIDES) if not twins else (LOOKS, PACES) if is_whole else (TRIES, STEPS)
    )
    way = method_for(True, model.contract)
    # What a cut does not show may be a place far away, where one of two alike does more.
    ways = [model.nudged] * tries + [model.spared] * twins
    for disturbed in ways:
        try:
            at = disturbed(params, rows, rng)
            if at is None:
                continue
            moves = iterate(expect, at, method=way, contract=model.contract)
            for step in islice(moves, steps):
                if step.breach is None and is_higher(step.objective, level):
                    return step.params
        except Exception as error:
            if isinstance(error, PassFailed) or is_unread(error):
                raise
            continue  # the nudge led nowhere, and the end that it left is sound
    return None
