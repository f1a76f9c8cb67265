"""Many rows: the search is made on a sample of them, and its best end is polished on all.

To find the basin of an optimum takes few rows, to find its bottom all of them.  So the whole
search is made on a sample, each row of which stands for its share of all: objective, prior and
remaining gain are then on the scale of all rows.  Only what is asked of evidence is asked of the
sample as it is, for that its rows stand for more makes none of them more telling.

What is handed over has converged there.  Where the sample cannot tell which of its ends is the
highest, rows that it does not hold are asked, to which no end could fit itself.  And rows of which
it has too few are searched once more (`emframe.fitting.overlooked`), for a component may be too
rare for any sample.

One known case: where all starts on the sample agree there is one run on all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from emframe.core import Degenerate, Expectation, Status, objective
from emframe.fitting.evidence import rows_in
from emframe.fitting.overlooked import Anew, densities, scarce_rows
from emframe.fitting.plans import allowed, apart
from emframe.fitting.result import POLISH
from emframe.fitting.saddles import Onward
from emframe.fitting.search import Attempt, Begin, Plan, Search, best_of, highest, peaks, spent
from emframe.models import Model
from emframe.parameters import n_free

# A sample has at least so many rows, so many for each component and column, and so many runs for
# each component: enough that one with a fifth of an even share can be told.
FEWEST, EACH, RUNS = 2000, 20, 40
# It pays where the data have so many rows, and so many times as many as the sample.
LARGE, TIMES = 20_000, 5
# Ends on the sample are this near to converged, in nats for a row that stands for one.
TOL = 1e-4
# Ends on the sample that may be the best one: those whose difference to it is within so many of
# its standard deviations, so many of them; and the rows that they are compared at.
DEVIATIONS, MOST, HELD_OUT = 3.0, 4, 100_000
LOOKS = 3  # at the rows that fit worst, each after one that led to a better end

On = Callable[[Any, Any, float], Search]
"""``on(rows, judged, tol)``: a search on these rows; evidence is asked of the others."""


class Contender(NamedTuple):
    """An end on a sample that may be the best of all rows."""

    end: Attempt
    params: Any
    value: float = 0.0  # of the objective, on the scale of all rows, at rows of which most are new


@dataclass(frozen=True)
class Sampled:
    """A search on a sample, from its best ends to those of all rows, and a second look."""

    model: Model  # with its prior
    rows: Any
    some: Any  # the sample, of which each row stands for one
    rng: np.random.Generator
    on: On
    plan: Callable[[Any, Any], Plan]  # of a search on rows; evidence is asked of the others
    on_all: Plan  # where the search on the sample leads to nothing that counts
    expect: Callable[[Any], Expectation[Any]]  # on all rows

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        plan = self.plan(self._known, self.some)
        ends = yield from self._searched(attempts, plan, self._known, self.some)
        ranked = self._ranked(contenders(self.model, ends, self.some))
        for _ in range(LOOKS if ranked else 0):
            scarce = scarce_rows(self.model, ranked[0].params, self.rows, self.some, self.rng)
            if scarce is None:
                break
            anew = Anew(self.model, ranked[0].params, scarce, self.rng)
            origin = ranked[0].end.start.index
            ends = yield from self._searched(
                attempts, anew, scarce.rows, scarce.as_one_each, origin
            )
            before, found = ranked[0], [Contender(one, params_of(one)) for one in anew.better(ends)]
            ranked = self._ranked([*ranked, *found], all_rows=True)
            if ranked[0].end is before.end:
                break
        mine = yield from self._polished(attempts, ranked)
        if best_of(mine) is None:
            yield from apart(self.on_all, attempts)

    @property
    def _known(self) -> Any:
        """The sample, of which each row stands for its share of all."""
        return weighing(self.some, self.rows)

    @property
    def _each(self) -> float:
        """The weight that a row of the sample stands for."""
        return float(self.rows.total / self.rows.unit / rows_in(self.some))

    def _searched(
        self,
        attempts: Sequence[Attempt],
        plan: Plan,
        known: Any,
        judged: Any,
        origin: int | None = None,
    ) -> Generator[Begin, None, list[Attempt]]:
        """The ends of a plan on some rows; they are listed, with the places they get there.

        Where the clock or the keyboard cut it short, the best point so far is all that follows.
        """
        search = self.on(known, judged, TOL * self._each)
        first = len(attempts)
        nudged = Onward(plan, self.model, search.expect, known, self.rng)
        found, cut = search(nudged)
        if cut is not None or found[-1].start.status is Status.MAX_SECONDS:
            status = Status.MAX_SECONDS if cut is None else Status.INTERRUPTED
            best = highest([one for one in found if one.run is not None]).run
            assert best is not None
            yield Begin(POLISH, best.step.params, early=status)
        ends = []
        for one in found:
            start = one.start
            parent = origin if start.parent is None else first + start.parent
            told = replace(start, index=len(attempts), parent=parent, sample=rows_in(judged))
            yield Begin(told.kind, None, parent, ended=told)
            ends.append(Attempt(told, one.run))
        return ends

    def _ranked(self, given: Sequence[Contender], all_rows: bool = False) -> list[Contender]:
        """The same at parameters that make all rows possible, by the objective at other rows."""
        if not given:
            return []
        held = self.rows
        expect = self.expect
        if rows_in(held) > HELD_OUT and not all_rows:
            some = self.rows.sample(HELD_OUT, self.rng)
            expect = self.on(weighing(some, self.rows), some, 0.0).expect
        found = []
        for one in given:
            try:
                params = self.model.widened(one.params, self._known, self.rows)
                value = objective(expect(params)) if len(given) > 1 else 0.0
            except Degenerate:
                continue
            found.append(Contender(one.end, params, value))
        return sorted(found, key=lambda one: -one.value)

    def _polished(
        self, attempts: Sequence[Attempt], ranked: Sequence[Contender]
    ) -> Generator[Begin, None, list[Attempt]]:
        """Runs on all rows: the first, others until one is regular, and any as near as noise.

        What the sample's own chance takes from an objective is half a nat for a parameter and row
        that a row of the sample stands for.
        """
        mine: list[Attempt] = []
        most = allowed(self.model, self.rows)
        for one in ranked:
            if best_of(mine) is not None:
                noise = 0.5 * n_free(one.params) * self._each
                is_near = one.value >= ranked[0].value - noise
                if not is_near or spent(mine) * (1 + 1 / len(mine)) >= most:
                    break
            yield Begin(POLISH, one.params, one.end.start.index)
            mine.append(attempts[-1])
        return mine


def sample_of(model: Model, rows: Any, rng: np.random.Generator) -> Any | None:
    """A sample that a search on all rows can begin with; None where it would not pay."""
    k = model.choices()
    n = rows_in(rows)
    size = max(FEWEST, EACH * (k or 1) * (len(rows.columns) + 1))
    if n > len(rows):  # whole runs
        size = max(size, RUNS * (k or 1) * n // len(rows))
    if k == 1 or n < max(LARGE, TIMES * size):
        return None
    some = rows.sample(size, rng)
    return some if n >= TIMES * rows_in(some) else None


def weighing(some: Any, rows: Any) -> Any:
    """Some rows, with as much weight as all."""
    weights = some.weights * (rows.total / rows.unit / (some.total / some.unit))
    return replace(some, weights=weights)


def contenders(model: Model, ends: Sequence[Attempt], some: Any) -> list[Contender]:
    """The best end on a sample, and those that may be better on all rows.

    The difference of two log-likelihoods is a sum over the rows of the sample, so its standard
    deviation is known (Vuong 1989, Econometrica 57, 307).  One end that looks like an artefact is
    among them if it is the highest: a component that is real may have too few rows in the sample.
    """
    arrived = [one for one in ends if one.start.status is Status.CONVERGED]
    tops = peaks(arrived, MOST)
    level = tops[0].start.objective if tops else -np.inf
    higher = [one for one in arrived if one.start.spurious and one.start.objective > level]
    accused = sorted(higher, key=lambda one: -one.start.objective)[:1]
    if not tops and not accused:
        return []
    first, *others = [*tops, *accused]
    at_first = densities(model, params_of(first), some.x)

    def may_be_better(one: Attempt) -> bool:
        gain = at_first - densities(model, params_of(one), some.x)
        return bool(gain.sum() <= DEVIATIONS * np.sqrt(len(gain)) * gain.std())

    return [Contender(one, params_of(one)) for one in (first, *filter(may_be_better, others))]


def params_of(end: Attempt) -> Any:
    """Where it ended."""
    assert end.run is not None
    return end.run.step.params
