"""A start that lost a component goes on with that component elsewhere.

Among many components one that starves, or is left on a point, ends a start whose others may all be
where they should be.  So the component gets a new place (`Model.reseeded`), and EM goes on from
there: as a start of its own in the table, whose parent is the one that died.

A start is followed up where no sound end is higher than the point where it died, for the others
have been bettered already.

A component that is an artefact has starved as well, if not to the end: it goes the same way.

One known case: a start that converges to a regular optimum is followed by none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.fitting.plans import allowed
from emframe.fitting.result import RESEEDED
from emframe.fitting.search import Attempt, Begin, Plan, best_of, spent
from emframe.models import Model

# A start may lose one in so many of its components, one after the other.
SHARE = 4


@dataclass(frozen=True)
class Reseeding:
    """A plan, each start of which is followed up where it lost a component."""

    plan: Plan
    model: Model
    rows: Any
    rng: np.random.Generator

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        for begin in self.plan(attempts):
            yield begin
            if begin.parent is None:
                yield from self._followed_up(attempts)

    def _followed_up(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        most = allowed(self.model, self.rows)
        for _ in range((self.model.choices() or 0) // SHARE):
            died = attempts[-1]
            if died.starved is None or died.run is None or spent(attempts) >= most:
                return
            best = best_of(attempts)
            if best is not None and best.start.objective > died.start.objective:
                return
            params = self.model.reseeded(died.run.step.params, died.starved, self.rows, self.rng)
            if params is None:
                return
            yield Begin(RESEEDED, params, died.start.index, died.start.grown)
