"""Many rows: the search is made on a sample of them, and its best end is polished on all.

To find the basin of an optimum takes few rows, to find its bottom all of them.  So the whole
search is made on a sample, each row of which stands for its share of all: objective, prior and
remaining gain are then on the scale of all rows.  Only what is asked of evidence is asked of the
sample as it is, for that its rows stand for more makes none of them more telling.

What is handed over has converged there and is regular.  Where the sample cannot tell which of two
ends is the higher, both are polished, and all rows decide.  Then the rows that fit worst are
searched once more (`emframe.fitting.overlooked`), for a component may be too rare for any sample.

One known case: where all starts on the sample agree there is one run on all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emframe.core import Degenerate, Status
from emframe.fitting.evidence import rows_in
from emframe.fitting.overlooked import Anew, densities, far_rows
from emframe.fitting.plans import Agreement, Level
from emframe.fitting.saddles import Onward
from emframe.fitting.search import Attempt, Begin, Plan, Search, best_of, highest, peaks
from emframe.models import Model

# A sample has at least so many rows, so many for each component and column, and so many runs for
# each component: enough that one with a fifth of an even share can be told.
FEWEST, EACH, RUNS = 2000, 20, 40
# It pays where the data have so many times as many rows, and a pass over them so many numbers.
TIMES, NUMBERS = 5, 1e6
# Ends on the sample are this near to converged, in nats for a row that stands for one.
TOL = 1e-4
# The sample cannot tell ends apart whose difference is within so many of its standard deviations.
DEVIATIONS = 3.0
LOOKS = 3  # at the rows that fit worst, each after one that led to a better optimum

On = Callable[[Any, Any, float], Search]
"""``on(rows, judged, tol)``: a search on these rows; evidence is asked of the others."""


@dataclass(frozen=True)
class Sampled:
    """A search on a sample, from its best ends to those of all rows, and a second look."""

    model: Model  # with its prior
    rows: Any
    some: Any  # the sample, of which each row stands for one
    rng: np.random.Generator
    level: Level
    on: On

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        plan = Agreement(self.model, self.some, self.rng, self.level)
        ends = yield from self._searched(attempts, plan, self._known, self.some)
        mine = yield from self._polished(attempts, handed(self.model, ends, self.some))
        best = best_of(mine)
        if best is None:
            yield from self._on_all(attempts)
            return
        for _ in range(LOOKS):
            better = yield from self._second_look(attempts, best)
            if better is None:
                return
            best = better

    @property
    def _known(self) -> Any:
        """The sample, of which each row stands for its share of all."""
        return weighing(self.some, self.rows.total / self.rows.unit)

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
        each = self.rows.total / self.rows.unit / rows_in(judged)
        search = self.on(known, judged, TOL * each)
        first = len(attempts)
        nudged = Onward(plan, self.model, search.expect, known, self.rng)
        found, interrupted = search(nudged)
        if interrupted or found[-1].start.status is Status.MAX_SECONDS:
            status = Status.INTERRUPTED if interrupted else Status.MAX_SECONDS
            best = highest([one for one in found if one.run is not None]).run
            assert best is not None
            yield Begin("polish", best.step.params, early=status)
        ends = []
        for one in found:
            start = one.start
            parent = origin if start.parent is None else first + start.parent
            told = replace(start, index=len(attempts), parent=parent, sample=rows_in(judged))
            yield Begin(told.kind, None, parent, ended=told)
            ends.append(Attempt(told, one.run))
        return ends

    def _polished(
        self, attempts: Sequence[Attempt], ends: Sequence[Attempt]
    ) -> Generator[Begin, None, list[Attempt]]:
        """Runs on all rows, from where these ended on some."""
        mine = []
        for one in ends:
            assert one.run is not None
            try:
                params = self.model.widened(one.run.step.params, self._known, self.rows)
            except Degenerate as error:
                params = error
            yield Begin("polish", params, one.start.index)
            mine.append(attempts[-1])
        return mine

    def _second_look(
        self, attempts: Sequence[Attempt], best: Attempt
    ) -> Generator[Begin, None, Attempt | None]:
        """A better end, from a search where the rows that fit worst weigh more; None if none is."""
        assert best.run is not None
        params = best.run.step.params
        far = far_rows(self.model, params, self.rows, self.some, self.rng)
        if far is None:
            return None
        plan = Anew(self.model, params, far, self.rng)
        origin = best.start.index
        ends = yield from self._searched(attempts, plan, far.rows, far.as_one_each, origin)
        mine = yield from self._polished(attempts, plan.better(ends))
        found = best_of([best, *mine])
        return None if found is best else found

    def _on_all(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        """The search on all rows, for the one on the sample led to nothing that counts."""
        mine: list[Attempt] = []
        for begin in Agreement(self.model, self.rows, self.rng, self.level)(mine):
            yield begin
            mine.append(attempts[-1])


def sample_of(model: Model, rows: Any, rng: np.random.Generator) -> Any | None:
    """A sample that a search on all rows can begin with; None where it would not pay."""
    k = model.choices()
    n, numbers = rows_in(rows), len(rows) * model.work(rows) * model.effort
    size = max(FEWEST, EACH * (k or 1) * (len(rows.columns) + 1))
    if n > len(rows):  # whole runs
        size = max(size, RUNS * (k or 1) * n // len(rows))
    if k == 1 or numbers < NUMBERS or n < TIMES * size:
        return None
    some = rows.sample(size, rng)
    return some if n >= TIMES * rows_in(some) else None


def weighing(some: Any, total: float) -> Any:
    """The same rows, with as much weight as `total` rows."""
    weights = some.weights * (total / (some.total / some.unit))
    return replace(some, weights=weights)


def handed(model: Model, ends: Sequence[Attempt], some: Any) -> list[Attempt]:
    """The best end on a sample, and those that all rows may find to be better.

    The difference of two log-likelihoods is a sum over the rows of the sample, so its standard
    deviation is known (Vuong 1989, Econometrica 57, 307).
    """
    tops = peaks([one for one in ends if one.start.status is Status.CONVERGED])
    if not tops:
        return []
    best, *others = tops
    at_best = densities(model, _params(best), some.x)
    each = []
    for one in others:
        gain = at_best - densities(model, _params(one), some.x)
        if gain.sum() <= DEVIATIONS * np.sqrt(len(gain)) * gain.std():
            each.append(one)
    return [best, *each]


def _params(end: Attempt) -> Any:
    assert end.run is not None
    return end.run.step.params
