"""The search for the best optimum with all starts in one stack.

    1. Many starts make a few EM steps; those go on that are highest, or rising fast.
    2. They climb to their ends (`emframe.fitting.stacked_climb`); as many more follow where the
       best was found but once or twice.
    3. Where most of them found the best, that is all.  Else rounds: moves away from the best few
       ends, the ones left behind included, for the neighbour of the best is often one of them.
       With two components a move merges both and puts one where it does most, which is the same
       from anywhere; so it is made once, and after it new starts.  Where rows have covariates it
       is made though all starts agree: those of a component need not lie near each other.
    4. The best ends go on to where nothing is left to gain before they are ranked, for an end that
       has not arrived may yet slide to an artefact.

Agreement alone is no reason to stop below a high share: half of all starts may agree on an optimum
that a move leads out of.

One known case: with one component there is one start, one end, and no round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, NamedTuple

import numpy as np

from emframe.fitting.optima import SAME
from emframe.fitting.result import POLISH
from emframe.fitting.stacked_climb import climb
from emframe.fitting.stacked_ends import (
    Ending,
    Place,
    StackedEnd,
    StartStack,
    Stop,
    Supply,
    Suspect,
    of_unsound,
)
from emframe.fitting.stacked_front import Rules
from emframe.models.stack import Begun

NEAR = 0.02  # nats: ends this near each other are one optimum
MORE = 6  # moves from each peak while the best was not found often
WITHOUT_ONE = 3  # times that more starts are drawn while no sound end was found
LEFT_BEHIND = (Ending.LEFT, Ending.CAP, Ending.INTERRUPTED)
MEMORY_OF_ONE = 20  # pairs of an end that goes on alone
MOST_OF_ALL = 3  # rounds of moves on all rows, where a search began on some
ALMOST = 2.0  # nats below the best, from where on an end is looked at closely before it is a peak


@dataclass(frozen=True)
class Effort:
    """How much is tried."""

    first: int = 24  # starts that make the opening steps
    steps: int = 5  # EM steps of the opening
    stay: int = 16  # starts that go on from there
    gains: float = 5.0  # times its last gain, which a start's height is taken to be more
    moves: int = 12  # from each peak, in a round; more while the best was not found often
    # All three where K = 3, and one quiet round: few optima.
    of_three: tuple[int, int, int] = (20, 10, 6)
    # All three where the search begins on some of many rows, with moves from two peaks: starts of
    # many rows cost more, and part less.
    of_many: tuple[int, int, int] = (12, 8, 6)
    peaks: int = 3
    agree: float = 0.75  # share of the starts that found the best, with which that is all
    quiet: int = 2  # rounds in a row without a better end, with which that is all
    quiet_often: int = 1  # the same where starts found the best often, and moves none better
    often: int = 3  # times; while the best was found by fewer there are more starts, and more moves
    rounds: int = 12
    # Nats left to gain at the best ends; None leaves that to others.  The fit's own `tol` is of all
    # that may be ahead, of which the next step may gain little.
    last: float | None = 1e-10
    rules: Rules = Rules()
    of_moves: Rules = Rules(plain=2, late=30.0)  # the way to a better optimum may be slow at first
    # Where the search begins on some of many rows: nats ahead, with which a start has arrived
    # before the best end is known; moves on all rows that go on from the opening.
    rough: float = 5e-3
    of_all: int = 4
    repeated: int = 0  # times that the best was found, without which there are no rounds

    @property
    def roughly(self) -> Effort:
        """The same, with ends that have all but arrived."""
        rules, of_moves = (
            replace(one, tol=self.rough, last=self.rough) for one in (self.rules, self.of_moves)
        )
        return replace(self, rules=rules, of_moves=of_moves)

    def of(self, n_components: int, is_of_many: bool) -> Effort:
        """As much as a model of K components asks for, of rows as many as these."""
        first, stay, moves = self.first, self.stay, self.moves
        quiet, peaks = self.quiet, self.peaks
        if n_components == 3:
            (first, stay, moves), quiet = self.of_three, 1
        if is_of_many:
            few = zip((first, stay, moves), self.of_many, strict=True)
            first, stay, moves = (min(each) for each in few)
            peaks = min(peaks, 2)
        return replace(self, first=first, stay=stay, moves=moves, peaks=peaks, quiet=quiet)


class Reached(NamedTuple):
    """An end, and where it came from."""

    kind: str
    end: StackedEnd
    parent: int | None  # index of the end that it moved away from
    sample: int = 0  # rows on which it climbed, where these were not all


class Thin(NamedTuple):
    """Some of the rows, on which a search can begin."""

    stack: Supply  # of these rows, with as much weight as all
    suspect: Suspect | None  # asked of these rows as they are
    n_rows: int


@dataclass
class Found:
    """What a search found."""

    reached: list[Reached] = field(default_factory=list)  # every start and move, as they began
    best: list[StackedEnd] = field(default_factory=list)  # distinct sound ends, the highest first
    rounds: int = 0
    n_starts: int = 0  # of its own that were to climb to their ends
    times: int = 0  # how often the best was found, by starts and by moves
    is_interrupted: bool = False  # by the keyboard: what was found until then

    @property
    def objective(self) -> float:
        return self.best[0].objective if self.best else -inf


def search(
    stack: Supply,
    rng: np.random.Generator,
    *,
    effort: Effort | None = None,
    suspect: Suspect | None = None,
    stop: Stop | None = None,
    n_components: int = 0,
    thin: Thin | None = None,
) -> Found:
    """The ends of starts and moves, and the best of them.

    Parameters
    ----------
    suspect : a cheap test of artefacts, of the parameters of one start.
    stop : asked before each pass; True ends the search with what it has.
    n_components : K: with less than three a round is of new starts.
    thin : rows on which the search is made first; its best ends then climb on all.

    Raises KeyboardInterrupt where that came before any start had a point.
    """
    effort = (Effort() if effort is None else effort).of(n_components, thin is not None)
    return _Search(stack, rng, effort, suspect, stop, n_components, thin).run()


class _Over(Exception):
    """The search ends with what it has."""


class _Search:
    """A search under way: peaks, and what was found."""

    def __init__(
        self,
        stack: Supply,
        rng: np.random.Generator,
        effort: Effort,
        suspect: Suspect | None,
        stop: Stop | None,
        n_components: int,
        thin: Thin | None,
    ) -> None:
        self.stack, self.rng, self.effort = stack, rng, effort
        self.suspect, self.stop = suspect, stop
        self.k, self.thin = n_components, thin
        self.drawn = 0  # starts so far: where the rotation of kinds goes on
        self.found = Found()
        self.peaks: list[
            StackedEnd
        ] = []  # sound ends and those left behind, distinct, the best first

    def run(self) -> Found:
        try:
            self._searched()
        except KeyboardInterrupt:
            if not any(one.end.place for one in self.found.reached):
                raise
            self.found.is_interrupted = True
        except _Over:
            pass  # what was found until the time was up, or the keyboard said so, is the answer
        return self.found

    def _searched(self) -> Found:
        effort, found = self.effort, self.found
        if self.k == 1:
            self._from_starts(1, 1)
            return self._finished()
        if self.thin is not None and self._from_some(self.thin):
            return self._finished()
        first, stay = effort.first, effort.stay
        kept = self._from_starts(first, stay)
        tries = 0
        while not found.best and tries < WITHOUT_ONE:
            tries += 1
            if not self._further():
                kept = self._from_starts(2 * stay, 2 * stay)
        if self.k > 2 and found.times < min(effort.often, kept):
            kept += self._from_starts(first, stay)
        self._capped()
        found.n_starts = kept
        agree, quiet = found.times >= effort.agree * kept, 0
        enough = effort.quiet_often if self.k > 2 and found.times >= effort.often else effort.quiet
        if self.k == 2 and found.best and (not agree or self.stack.is_given):
            before = found.objective
            self._from_moves(1)
            self._capped()
            quiet = 0 if found.objective > before + _apart(before) else 1
            agree = agree and quiet == 1
        if not found.best or agree:
            return self._finished()
        while found.times >= effort.repeated and quiet < enough and found.rounds < effort.rounds:
            found.rounds += 1
            before = found.objective
            if self.k == 2:
                self._from_starts(first, stay)
            else:
                self._from_moves()
            self._capped()
            quiet += 1
            if found.objective > before + _apart(before):
                quiet, enough = 0, effort.quiet
        return self._finished()

    # ---- where to start

    def _from_starts(self, n: int, stay: int) -> int:
        """Climb from the most promising of n new starts; how many those are."""
        begun = self.stack.starts(n, self.rng, self.drawn)
        self.drawn += n
        base = self._enter(begun, None)
        index = base + begun.which
        if begun.points is not None:
            points, index = self._opened(begun.points, index, stay)
            if points is not None:
                self._climb(points, index, self.effort.rules)
        return len(index) + self._beyond([(begun, base)], self.effort.rules)

    def _from_some(self, thin: Thin) -> bool:
        """A whole search on some rows, its best ends on all, and moves from the best of these.

        The ends that were left there are among them, for on all rows another may be the best.
        Whether any end is sound.
        """
        whole, self.effort = self.effort, self.effort.roughly
        effort = replace(self.effort, last=None, rounds=1, repeated=2)
        part = _Search(thin.stack, self.rng, effort, thin.suspect, self.stop, self.k, None)
        part.run()
        self.found.reached = [one._replace(sample=thin.n_rows) for one in part.found.reached]
        if part.found.is_interrupted or (self.stop is not None and self.stop()):
            self.found.is_interrupted = part.found.is_interrupted
            raise _Over
        agree = part.found.times >= self.effort.agree * max(part.found.n_starts, 1)
        given = part.found.best[:1] if agree else [*part.peaks, *part.found.best[:1]]
        given = list({end.index: end for end in given}.values())
        if not given:
            return False
        base = len(self.found.reached)
        for i, end in enumerate(given):
            none = StackedEnd(base + i, Ending.LEFT, -inf, -inf, 0)
            self.found.reached.append(Reached(POLISH, none, end.index))
        points = self.stack.join([end.params for end in given])
        rules = replace(self.effort.rules, strict=2 * self.effort.rules.strict)
        self._climb(points, base + np.arange(len(given)), rules)
        self._beyond([], rules)
        tries = 0
        while not self.found.best and tries < WITHOUT_ONE and self._further():
            tries += 1
        rounds = 0 if agree or self.k == 2 else MOST_OF_ALL
        while self.found.best and rounds:
            rounds -= 1
            before = self.found.objective
            self._from_moves(1, self.effort.of_all)
            self._capped()
            if self.found.objective <= before + _apart(before):
                break
        self.effort = whole
        return bool(self.found.best)

    def _opened(self, points: Any, index: Any, stay: int) -> tuple[Any, Any]:
        """Points after the opening steps, those of the best prospects, and which these are."""
        stack, effort = self.stack, self.effort
        before = np.full(len(index), -inf)
        here = gain = before
        for step in range(effort.steps if len(index) > stay else 0):
            looks = stack.look(points, slopes=False)
            fine = np.flatnonzero(looks.sound)
            for i in map(int, np.flatnonzero(~looks.sound)):
                ending = of_unsound(stack)
                place = None if ending is Ending.DEGENERATE else Place(stack, points, i)
                self._end(int(index[i]), ending, before[i], place, step, looks.why[i])
            if not len(fine):
                return None, fine
            here = looks.objective[fine]
            with np.errstate(invalid="ignore"):
                gain = here - before[fine]
            index, before = index[fine], here
            points = looks.em if len(fine) == len(looks.sound) else stack.take(looks.em, fine)
        if len(index) <= stay:
            return points, index
        order = np.argsort(-(here + effort.gains * gain), kind="stable")
        for i in map(int, order[stay:]):
            place = Place(stack, points, i)
            self._end(int(index[i]), Ending.LEFT, here[i], place, effort.steps, "")
        chosen = np.sort(order[:stay])
        return stack.take(points, chosen), index[chosen]

    def _capped(self) -> None:
        """Climb on from what ran out of passes above the best: it would be that."""
        for _ in range(WITHOUT_ONE):
            level = self.found.objective + SAME
            capped = [
                end for end in self.peaks if end.ending is Ending.CAP and end.objective > level
            ]
            if not capped or not self.found.best:  # else `_further`
                return
            self.peaks = [end for end in self.peaks if end not in capped]
            points = self.stack.join([end.params for end in capped])
            index = np.array([end.index for end in capped])
            self._climb(points, index, replace(self.effort.rules, plain=0))
            self._beyond([], self.effort.rules)

    def _further(self) -> bool:
        """Climb on from the highest of those left behind; False where there are none.

        While nothing sound was found, what they were left for was none either.
        """
        behind = [
            one.end
            for one in self.found.reached
            if one.end.ending in LEFT_BEHIND and one.end.place and not one.sample
        ]
        highest = sorted(behind, key=lambda end: -end.objective)[: self.effort.peaks]
        if highest:
            points = self.stack.join([end.params for end in highest])
            index = np.array([end.index for end in highest])
            self._climb(points, index, replace(self.effort.rules, plain=0))
            self._beyond([], self.effort.rules)
        return bool(highest)

    def _from_moves(self, peaks: int | None = None, stay: int | None = None) -> None:
        """Climb from moves away from each of the peaks, or the most promising, all in one stack."""
        peaks = self.effort.peaks if peaks is None else peaks
        moves = self.effort.moves
        if self.found.times < self.effort.often:
            moves += MORE
        points, index, every = [], [], []
        for peak in self.peaks[:peaks]:
            begun = self.stack.moves(peak.params, moves, self.rng)
            base = self._enter(begun, peak.index)
            every.append((begun, base))
            if begun.points is not None:
                points.append(begun.points)
                index.append(base + begun.which)
        if points:
            together, which = self.stack.together(points), np.concatenate(index)
            together, which = self._opened(together, which, stay or len(which))
            if together is not None:
                self._climb(together, which, self.effort.of_moves)
        self._beyond(every, self.effort.of_moves)

    def _beyond(self, every: Sequence[tuple[Begun, int]], rules: Rules) -> int:
        """Those that lost digits climb on in the exact stack, but for artefacts; how many began so.

        Most of them are components that shrink to a point.
        """
        exact = getattr(self.stack, "exact", None)
        if exact is None:
            return 0
        points = [begun.beyond[0] for begun, _ in every if begun.beyond is not None]
        index = [base + begun.beyond[1] for begun, base in every if begun.beyond is not None]
        first = sum(map(len, index))
        for kind, end, parent, sample in list(self.found.reached):
            if end.ending is not Ending.BEYOND or sample:
                continue
            verdict = self.suspect is not None and self.suspect(end.params)
            if verdict:
                told = replace(end, ending=Ending.SUSPECT, why=str(verdict))
                self.found.reached[end.index] = Reached(kind, told, parent)
                continue
            points.append(exact.join([end.params]))
            index.append(np.array([end.index]))
        if points:
            self._climb(exact.together(points), np.concatenate(index), rules, exact)
        return first

    def _enter(self, begun: Begun, parent: int | None) -> int:
        """Put starts on the list, those without a point with their reason; the first's index."""
        base = len(self.found.reached)
        for i, kind in enumerate(begun.kinds):
            why = begun.why.get(i, "")
            end = StackedEnd(base + i, Ending.DEGENERATE, -inf, -inf, 0, why=why)
            self.found.reached.append(Reached(kind, end, parent))
        return base

    # ---- ends

    def _climb(
        self, points: Any, index: Any, rules: Rules, stack: StartStack | None = None
    ) -> None:
        floor, stack = self.found.objective, self.stack if stack is None else stack
        ends = climb(stack, points, rules, floor=floor, suspect=self.suspect, stop=self.stop)
        ends = [replace(end, index=int(index[end.index])) for end in ends]
        for end in ends:
            kind, begun, parent, _ = self.found.reached[end.index]
            whole = replace(end, n_steps=end.n_steps + begun.n_steps)
            self.found.reached[end.index] = Reached(kind, whole, parent)
        self._take(ends)
        self.found.is_interrupted = any(end.ending is Ending.INTERRUPTED for end in ends)
        if self.found.is_interrupted or (self.stop is not None and self.stop()):
            raise _Over

    def _end(
        self,
        index: int,
        ending: Ending,
        objective: float,
        place: Place | None,
        steps: int,
        why: str,
    ) -> None:
        kind, _, parent, _ = self.found.reached[index]
        height = float(objective)
        end = StackedEnd(index, ending, height, height, steps, why=why, place=place)
        self.found.reached[index] = Reached(kind, end, parent)

    def _take(self, ends: Sequence[StackedEnd]) -> None:
        """What the ends change of the best, how often it was found, and the peaks."""
        found = self.found
        best = found.objective
        sound = [end for end in ends if end.ending.is_found or _is_at_its_end(end)]
        for end in sorted(sound, key=lambda end: -end.objective):
            same = [one for one in found.best if abs(end.objective - one.objective) < NEAR]
            if not any(one.objective >= end.objective for one in same):
                found.best = [one for one in found.best if one not in same]
                found.best.append(end)
        found.best.sort(key=lambda end: -end.objective)
        if found.objective > best + _apart(best):
            found.times = 0
        found.times += sum(end.objective > found.objective - NEAR for end in sound)
        left = [end for end in ends if end.ending in LEFT_BEHIND]
        for end in sorted([*sound, *left], key=lambda end: -end.objective):
            if any(abs(end.objective - peak.objective) < NEAR for peak in self.peaks):
                continue
            is_high = end.objective > found.objective - ALMOST or len(self.peaks) < 3
            if end in left and is_high and self.suspect is not None and self.suspect(end.params):
                continue
            self.peaks.append(end)
        self.peaks.sort(key=lambda end: -end.objective)
        del self.peaks[2 * self.effort.peaks :]

    def _finished(self) -> Found:
        """The best ends brought to where nothing is left to gain, until one stays the highest."""
        found, done = self.found, list[StackedEnd]()
        if self.effort.last is None:
            return found
        rules = replace(
            self.effort.rules,
            plain=0,
            last=self.effort.last,
            check=1,
            memory=MEMORY_OF_ONE,
            most=WITHOUT_ONE * self.effort.rules.most,
        )
        for end in found.best:
            if done and end.objective < done[0].objective:
                break
            if end.ahead <= self.effort.last and end.ending is Ending.ARRIVED:
                done.append(end)
                done.sort(key=lambda end: -end.objective)
                continue
            stack = self.stack if end.place is None else end.place.stack
            further = climb(stack, stack.join([end.params]), rules)[0]
            verdict = self.suspect is not None and self.suspect(further.params)
            if verdict:
                further = replace(further, ending=Ending.SUSPECT, why=str(verdict))
            steps = end.n_steps + further.n_steps
            further = replace(further, index=end.index, n_steps=steps)
            kind, _, parent, _ = found.reached[end.index]
            found.reached[end.index] = Reached(kind, further, parent)
            if further.ending is not Ending.SUSPECT and further.objective > -inf:
                done.append(further)
                done.sort(key=lambda end: -end.objective)
        rest = [end for end in found.best if not any(end.index == one.index for one in done)]
        below = [end for end in rest if done and end.objective < done[0].objective]
        found.best = done + below
        return found


def _is_at_its_end(end: StackedEnd) -> bool:
    """Whether a start stalled where there was nothing to gain: that is rounding, and no fault."""
    return end.ending is Ending.STALLED and end.ahead < SAME


def _apart(objective: float) -> float:
    """By how much an end has to be higher to be a better one."""
    return 2.0 * SAME + 1e-6 * (1.0 + abs(objective)) if objective > -inf else 0.0
