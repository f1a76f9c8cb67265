"""Many starts climb together: for each EM-preconditioned quasi-Newton steps, all in one pass.

Each start moves as `emframe.core.acceleration` describes, by its own gradient, EM step and pairs:
the formulas there with one axis more.  A pass is one E-step of all that are still on the way; what
differs is where each tries to go next.

A start leaves as soon as its end is known or does not matter; `stacked_ends` has the reasons.

The objective of a start cannot fall: a point is taken where it rises enough, or by an EM step.

One known case: a single start that never tries more than EM steps makes those of EM.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np

from emframe.core.tolerance import RESOLUTION
from emframe.fitting.optima import JOINED, SAME
from emframe.fitting.stacked_ends import (
    Ending,
    Place,
    StackedEnd,
    StartStack,
    Stop,
    Suspect,
    of_unsound,
)
from emframe.fitting.stacked_front import Front, Rules, aimed, begun, moved, tried
from emframe.models.stack import Looks, Mask, Order
from emframe.spaces import Array

# Nats that a start has to rise before it is asked again whether it is an artefact: one that was
# none, for at its end it is asked in any case, and one that was.
STILL_SOUND, AFRESH = 10.0, 1.0
RISE = 1e-4  # of what a step promises, the least that it has to bring


def climb(
    stack: StartStack,
    points: Any,
    rules: Rules | None = None,
    *,
    floor: float = -inf,
    suspect: Suspect | None = None,
    stop: Stop | None = None,
) -> list[StackedEnd]:
    """Bring starts to their ends, in the order in which they were given.

    Parameters
    ----------
    points : of all starts, from ``stack.join`` or ``stack.begin``.
    floor : an objective that is known to be reached by an optimum.
    suspect : a cheap test of artefacts; asked of starts that would be the best, and of ends.
    stop : asked before each pass; True ends the climb where it is.

    Ctrl-C ends it as well, and the ends say so; before there is any point it passes through.
    """
    rules = Rules() if rules is None else rules
    ends = _Climb(stack, rules, suspect, floor, stop).run(points)
    return sorted(ends, key=lambda end: end.index)


class _Climb:
    """One climb: what is known of the best so far, and the ends of those who left."""

    def __init__(
        self,
        stack: StartStack,
        rules: Rules,
        suspect: Suspect | None,
        floor: float,
        stop: Stop | None,
    ) -> None:
        self.stack, self.rules, self.suspect, self.stop = stack, rules, suspect, stop
        self.floor, self.best, self.is_reached = floor, floor, floor > -inf
        self.sure = floor  # as `best`, of ends alone: what is on its way may turn out an artefact
        self.ends: list[StackedEnd] = []
        self.judged: dict[
            int, tuple[float, str | bool]
        ] = {}  # height at which each was, and the verdict
        self.tail = 0  # checks since few were left that are below the best

    def run(self, points: Any) -> list[StackedEnd]:
        rules = self.rules
        front = self._plain(points)
        passes, ending = rules.plain, Ending.CAP
        try:
            if front is not None and passes > 1:
                front = self._who_leaves(front, passes)
            while front is not None and passes < rules.most:
                if self.stop is not None and self.stop():
                    break
                front = self._pass(front, passes)
                passes += 1
        except KeyboardInterrupt:  # the last whole pass stands
            ending = Ending.INTERRUPTED
        if front is not None:
            gone = {end.index for end in self.ends}
            rest = np.array([i for i, one in enumerate(front.start) if int(one) not in gone])
            self._leave(front, rest.astype(np.intp), [ending] * len(rest))
        return self.ends

    # ---- EM alone

    def _plain(self, points: Any) -> Front | None:
        """The first EM steps, and the front after them."""
        stack = self.stack
        index: Order = np.arange(len(stack.vectors(points)))
        first = before = np.full(len(index), -inf)
        loglik, at = before, None
        for step in range(self.rules.plain + 1):
            is_last = step == self.rules.plain
            looks = stack.look(points, slopes=is_last)
            ok = looks.sound & (looks.objective >= before)
            if not ok.all():
                place = at
                if at is None and of_unsound(stack) is Ending.BEYOND:
                    place = points
                self._drop(index, ~ok, place, before, loglik, looks, step + 1)
                stay = np.flatnonzero(ok)
                index, first = index[stay], first[stay]
                if not len(stay):
                    return None
                points = stack.take(points, stay)
                looks = _taken(stack, looks, stay)
                before = before[stay]
            if step == 0:
                first = looks.objective
            if is_last:
                gain = looks.objective - before if step else np.full(len(index), inf)
                return begun(self.stack, index, points, looks, first, gain, step + 1)
            at, before, loglik, points = points, looks.objective, looks.log_likelihood, looks.em
        raise AssertionError("the last of the plain steps returns")

    def _drop(
        self,
        index: Order,
        which: Mask,
        at: Any,
        objective: Array,
        loglik: Array,
        looks: Looks,
        steps: int,
    ) -> None:
        """The ends of starts whose EM step led nowhere, at the point before it."""
        for i in map(int, np.flatnonzero(which)):
            place = None if at is None else Place(self.stack, at, i)
            fell = bool(looks.sound[i])
            ending = Ending.STALLED if fell else of_unsound(self.stack)
            value = float(objective[i]), float(loglik[i])
            why = looks.why.get(i, "")
            self.ends.append(StackedEnd(int(index[i]), ending, *value, steps, why=why, place=place))

    # ---- one pass

    def _pass(self, old: Front, passes: int) -> Front | None:
        """A trial of every start, what it taught, where to try next, and who leaves."""
        stack = self.stack
        points, x, length = tried(stack, old)
        looks = stack.look(points)
        is_em = length == 0.0
        rise = np.where(looks.sound, looks.objective, -inf) - old.objective
        enough = RISE * np.maximum(0.5 * length * old.slope, old.em_gain)
        ok = np.where(is_em, looks.sound & (rise >= 0.0), rise >= enough)
        lost = is_em & ~ok
        here = moved(stack, old, points, x, looks, ok, rise)
        here = aimed(self.rules, here, old, ok, is_em, length, rise, passes)
        if lost.any():
            rest = self._lost(here, lost, looks)
            if rest is None:
                return None
            here = rest
        if passes % self.rules.check and len(here.start) > 1:
            return here
        return self._who_leaves(here, passes)

    # ---- who leaves

    def _lost(self, here: Front, lost: Mask, looks: Looks) -> Front | None:
        """Those whose EM step has no point or fell: the one is degenerate, the other at its end."""
        which = np.flatnonzero(lost)
        lost_as = of_unsound(self.stack)
        endings = [Ending.STALLED if looks.sound[i] else lost_as for i in which]
        return self._leave(here, which, endings, looks.why)

    def _who_leaves(self, here: Front, passes: int) -> Front | None:
        rules = self.rules
        ahead = np.maximum(here.em_gain, 0.5 * here.slope)
        resolution = RESOLUTION * (1.0 + np.abs(here.objective))
        still = np.maximum(ahead, 0.1 * here.gain)
        arrived = still < np.maximum(rules.tol, resolution)
        odd = self._odd(here, arrived)
        top = here.objective if odd is None else np.where(odd, -inf, here.objective)
        self.best = max(self.sure, float(top.max()))
        regular = arrived if odd is None else arrived & ~odd
        if not self.is_reached and (regular & (here.objective >= self.best - SAME)).any():
            self.is_reached = True
        times = rules.late if self.is_reached else rules.bound
        reach = here.objective + times * np.maximum(here.gain, here.em_gain)
        left = reach < self.best - SAME
        joined = np.zeros(len(arrived), dtype=bool)
        if self.is_reached:
            # What would end above the best is on its way to another optimum.
            close = (here.objective > self.best - JOINED) & (ahead < JOINED)
            joined = close & (here.objective + ahead < self.best + SAME)
            if odd is not None:
                joined &= ~odd
        suspects = np.zeros(len(arrived), dtype=bool)
        if odd is not None and self.best > -inf and passes >= rules.strict:
            suspects = odd
        # The highest goes on to its very end, which costs little while others are on their way.
        done = arrived & (still < np.maximum(rules.last, resolution))
        leader = int(np.argmax(top))
        if top[leader] >= self.best - SAME and top[leader] > self.floor + SAME:
            joined[leader] = False
            arrived[leader] &= done[leader]
        if self.is_reached and len(left) <= rules.few and top[leader] < self.best - SAME:
            self.tail += 1
            left |= self.tail * rules.check > rules.tail
        leaves = left | arrived | joined | suspects
        if not leaves.any():
            return here
        which = np.flatnonzero(leaves)
        endings = [
            Ending.SUSPECT
            if odd is not None and odd[i] and (suspects[i] or arrived[i])
            else Ending.ARRIVED
            if arrived[i]
            else Ending.JOINED
            if joined[i]
            else Ending.LEFT
            for i in which
        ]
        why = {
            place: str(self.judged[int(here.start[i])][1])
            for place, (i, ending) in enumerate(zip(which, endings, strict=True))
            if ending is Ending.SUSPECT
        }
        return self._leave(here, which, endings, {int(which[p]): told for p, told in why.items()})

    def _odd(self, here: Front, arrived: Mask) -> Mask | None:
        """Which starts are suspect, of those that matter: the highest ones, and those at an end."""
        if self.suspect is None:
            return None
        doubtful = getattr(self.stack, "doubtful", None)
        asks = None if doubtful is None else doubtful(here.at)
        if asks is not None and not asks.any():
            return None
        odd = np.zeros(len(arrived), dtype=bool)
        highest = np.flatnonzero((here.objective > self.best) & ~arrived)
        for i in map(int, highest[np.argsort(-here.objective[highest], kind="stable")]):
            odd[i] = (asks is None or asks[i]) and bool(self._verdict(here, i))
            if not odd[i]:  # none below it can be the best
                break
        for i in map(int, np.flatnonzero(arrived)):
            odd[i] = (asks is None or asks[i]) and bool(self._verdict(here, i, True))
        return odd

    def _verdict(self, here: Front, i: int, at_end: bool = False) -> str | bool:
        """What is said of a start; it holds until that is a nat higher, or at its end."""
        assert self.suspect is not None
        start, height = int(here.start[i]), float(here.objective[i])
        if not at_end and start in self.judged:
            level, verdict = self.judged[start]
            if height < level + (AFRESH if verdict else STILL_SOUND):
                return verdict
        verdict = self.suspect(self.stack.one(here.at, i))
        self.judged[start] = height, verdict
        return verdict

    def _leave(
        self,
        here: Front,
        which: Order,
        endings: Sequence[Ending],
        why: dict[int, str] | None = None,
    ) -> Front | None:
        """The front without those that leave."""
        for i, ending in zip(map(int, which), endings, strict=True):
            if ending.is_found:
                self.sure = max(self.sure, float(here.objective[i]))
            self.ends.append(
                StackedEnd(
                    int(here.start[i]),
                    ending,
                    float(here.objective[i]),
                    float(here.loglik[i]),
                    int(here.steps[i]),
                    float(max(here.em_gain[i], 0.5 * here.slope[i])),
                    (why or {}).get(i, ""),
                    Place(self.stack, here.at, i),
                )
            )
        stay = np.delete(np.arange(len(here.start)), which)
        return here.compress(self.stack, stay) if len(stay) else None


def _taken(stack: StartStack, looks: Looks, stay: Order) -> Looks:
    """The looks of some starts."""
    return Looks(
        looks.objective[stay],
        looks.log_likelihood[stay],
        stack.take(looks.em, stay),
        looks.em_x[stay],
        looks.gradient[stay],
        looks.sound[stay],
        {},
    )
