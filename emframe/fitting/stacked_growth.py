"""From the optimum of a smaller model, all ways on in one stack, and a run from the best end.

One known case: where one split leads higher than all others, the run is from its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from emframe.core import Status
from emframe.fitting.plans import Grown
from emframe.fitting.result import POLISH
from emframe.fitting.search import Attempt, Begin, best_of
from emframe.fitting.stacked_climb import climb
from emframe.fitting.stacked_ends import Ending, Stop
from emframe.fitting.stacked_front import Rules
from emframe.fitting.stacked_plan import listed
from emframe.models.flat_stack import FlatStack

MOST = 24  # ways on
RULES = Rules(plain=2)
BEHIND = (Ending.CAP, Ending.LEFT)


@dataclass(frozen=True)
class StackTogether:
    """`Grown`, with the ways on in one stack."""

    grown: Grown
    stack: FlatStack
    accused: Callable[[Any], str]  # why parameters are an artefact's
    is_over: Stop

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        plan = self.grown
        below = plan.smaller.model, plan.smaller.params
        ways = list(islice(plan.model.grown(*below, plan.rows, plan.rng), MOST))
        sound = [i for i, (_, params) in enumerate(ways) if not isinstance(params, Exception)]
        ends = {}
        if sound:
            points = self.stack.join([ways[i][1] for i in sound])
            found = climb(self.stack, points, RULES, suspect=self.accused, stop=self.is_over)
            ends = {i: replace(end, index=i) for i, end in zip(sound, found, strict=True)}
        first = len(attempts)
        for i, (kind, params) in enumerate(ways):
            end = ends.get(i)
            if end is None or end.ending is Ending.BEYOND:
                yield Begin(kind, params, grown=True)  # the ordinary loop loses no digits
                continue
            told = replace(listed(end, kind, first + i, None), grown=True)
            yield Begin(kind, None, grown=True, ended=told)
        highest = sorted(ends.values(), key=lambda end: -end.objective)
        if any(end.ending is Ending.INTERRUPTED for end in highest):
            at = highest[0]
            yield Begin(POLISH, at.params, first + at.index, True, early=Status.INTERRUPTED)
            return
        arrived = [end for end in highest if end.ending.is_found]
        for end in arrived or [end for end in highest if end.ending in BEHIND][:1]:
            yield Begin(POLISH, end.params, first + end.index, grown=True)
            if best_of(attempts) is not None:
                break
        best = best_of(attempts)
        if best is None or best.start.objective < plan.reached:
            yield Begin("smaller model", plan.params, grown=True)
