"""Rows that a fit describes worst, and a search among them for a component that it lacks.

A component too rare for a sample has no row in it, or a few, and on all rows a fit that lacks it
is a good optimum.  But its rows lie where the fit has next to no density.  So all rows are looked
at once, and those beyond where the fit's own tail would reach are put beside the sample, each with
the weight that it has among all; there they may have a component of their own, in the place of
one that can be spared.

Whatever the family, the log density of rows falls off about exponentially (of Gaussian ones it is
half a chi-squared variable, of Student's a multiple of one), so two quantiles of it tell how far
the tail reaches.

One known case: where the model is right no row is beyond, and there is nothing to search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.core import Status
from emframe.data import drawn
from emframe.engines import block_rows
from emframe.fitting.optima import is_same
from emframe.fitting.search import Attempt, Begin, best_of, peaks
from emframe.models import Model
from emframe.spaces import Array

NEAR, FAR = 0.10, 0.02  # shares of rows in the tail, by which its length is told
EXPECTED, FEWEST = 1.0, 6.0  # rows beyond the level were the fit right, and of a component
MOST = 400  # rows beyond it that are searched
MOVES = 6  # away from an end that is better


@dataclass(frozen=True)
class Beyond:
    """A sample, and the rows that fit worst beside it; together they stand for all rows."""

    rows: Any
    mine: NDArray[np.bool_]  # (n,) which are the ones that fit worst

    @property
    def as_one_each(self) -> Any:
        """The same, each row for itself."""
        return replace(self.rows, weights=np.ones(len(self.rows)))


@dataclass(frozen=True)
class Anew:
    """A plan: the end of a polish, others with a component for the rows that fit worst, moves."""

    model: Model
    params: Any  # where the polish ended
    far: Beyond
    rng: np.random.Generator

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        yield Begin("polished", self.params)
        for begin in self.model.taken_over(self.params, self.far.rows, self.far.mine):
            yield Begin(*begin, 0)
        best = best_of(attempts)
        if best is None or best.start.index == 0:
            return
        assert best.run is not None
        params = best.run.step.params
        for move in islice(self.model.moves(params, self.far.rows, self.rng), MOVES):
            yield Begin(*move, best.start.index)

    def better(self, ends: Sequence[Attempt]) -> list[Attempt]:
        """The best ends that are others than the first; whether they are better, all rows know.

        On a sample a component that could be spared may gain more by chance than a rare one is
        worth.
        """
        arrived = [one for one in ends[1:] if one.start.status is Status.CONVERGED]
        level = ends[0].start.objective
        return [one for one in peaks(arrived) if not is_same(one.start.objective, level)]


def far_rows(
    model: Model, params: Any, rows: Any, some: Any, rng: np.random.Generator
) -> Beyond | None:
    """The rows that fit worst, beside a sample; None where they are no more than there should be.

    Parameters
    ----------
    params : the fit to all rows.
    some : the sample, of which each row stands for as many.
    """
    k = model.choices()
    if k is None or k < 2:
        return None
    at_some = densities(model, params, some.x)
    near, far = np.quantile(at_some, [NEAR, FAR])
    total = float(rows.weights.sum())
    level = far - (near - far) * log(FAR * total / EXPECTED) / log(NEAR / FAR)
    beyond = _below(model, params, rows, level)
    weight = float(rows.weights[beyond].sum())
    if weight < FEWEST:
        return None
    own = rows.weights[beyond]
    if len(beyond) > MOST:
        beyond = beyond[drawn(own, MOST, rng)]
        own = np.full(MOST, weight / MOST)
    rest = np.flatnonzero(at_some >= level)
    others = np.full(len(rest), (total - weight) / len(rest))
    weights = np.concatenate([own, others])
    both = rows.of([rows.at(beyond), some.at(rest)], weights)
    mine = np.arange(len(weights)) < len(own)
    return Beyond(both, mine)


def densities(model: Model, params: Any, x: Any) -> Array:
    """Log density of each row; of a run, of each of its rows on average."""
    found = model.posterior(params, x)[0]
    return np.asarray(found / x.lengths if hasattr(x, "lengths") else found)


def _below(model: Model, params: Any, rows: Any, level: float) -> NDArray[np.intp]:
    """Indices of the rows whose log density is below a level, by one pass over all."""
    found, first = [np.zeros(0, dtype=np.intp)], 0
    for x, weights in rows.blocks(block_rows(model.work(rows))):
        found.append(first + np.flatnonzero(densities(model, params, x) < level))
        first += len(weights)
    return np.concatenate(found)
