"""Rows of which a sample says too little, and a search among them for a component that lacks.

A component too rare for a sample has no row in it, or a few, and on all rows a fit that lacks it
is a good optimum.  But its rows lie where the fit has next to no density, or share a component so
light that the sample cannot tell it from one.  So all rows are looked at once, and both kinds are
put beside the sample, each with the weight that it has among all.  There the rows that fit worst
may have a component of their own, in the place of one that can be spared, and components may
split and merge.

Whatever the family, the log density of rows falls off about exponentially (of Gaussian ones it is
half a chi-squared variable, of Student's a multiple of one), so two quantiles of it tell how far
the tail reaches.

One known case: where the model is right and no component is light, there is nothing to search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.core import Status
from emframe.data import drawn, swept
from emframe.engines import block_rows
from emframe.fitting.optima import is_same
from emframe.fitting.search import Attempt, Begin, best_of, peaks
from emframe.models import Model
from emframe.spaces import Array

NEAR, FAR = 0.10, 0.02  # shares of rows in the tail, by which its length is told
EXPECTED, FEWEST = 1.0, 6.0  # rows beyond the level were the fit right, and of a component
LIGHT = 4  # rows of a sample for each column and one, below which a component is light
MOST = 400  # rows of each kind that are searched
ROUNDS, MOVES = 3, 8  # moves away from the best end, and from better ones that they lead to
GAIN = 0.5  # nats by which an end describes these rows better, each of them on average


@dataclass(frozen=True)
class Scarce:
    """A sample, and rows of which it has too few beside it; together they stand for all rows."""

    rows: Any
    far: NDArray[np.bool_]  # (n,) which fit worst
    more: NDArray[np.bool_]  # (n,) which are not of the sample, those included

    @property
    def as_one_each(self) -> Any:
        """The same, each row for itself."""
        return replace(self.rows, weights=np.ones(len(self.rows)))


@dataclass(frozen=True)
class Anew:
    """A plan: the best end so far, a component for the rows that it fits worst, and moves."""

    model: Model
    params: Any  # of the best end so far
    scarce: Scarce
    rng: np.random.Generator

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        rows, far = self.scarce.rows, self.scarce.far
        yield Begin("second look", self.params)
        for begin in self.model.taken_over(self.params, rows, far) if far.any() else ():
            yield Begin(*begin, 0)
        for _ in range(ROUNDS):
            best = best_of(attempts)
            if best is None or best.run is None:
                return
            moves = self.model.moves(best.run.step.params, rows, self.rng)
            for move in islice(moves, MOVES):
                yield Begin(*move, best.start.index)
                if best_of(attempts) is not best:
                    break
            else:
                return

    def better(self, ends: Sequence[Attempt]) -> list[Attempt]:
        """The best ends that describe better what was scarce; whether they are, all rows know.

        On a sample a component that could be spared may gain more by chance than a rare one is
        worth.
        """
        x, more = self.scarce.rows.x, self.scarce.more
        weights = np.where(more, self.scarce.rows.weights, 0.0)
        before = densities(self.model, self.params, x)
        level = ends[0].start.objective

        def is_better(one: Attempt) -> bool:
            if one.run is None or is_same(one.start.objective, level):
                return False
            gain = densities(self.model, one.run.step.params, x) - before
            return bool(gain @ weights >= GAIN * weights.sum())

        arrived = [one for one in ends[1:] if one.start.status is Status.CONVERGED]
        return peaks([one for one in arrived if is_better(one)])


def scarce_rows(
    model: Model, params: Any, rows: Any, some: Any, rng: np.random.Generator
) -> Scarce | None:
    """Rows of which a sample has too few, beside it; None where there are none.

    Parameters
    ----------
    params : a fit that describes all rows, but for what the sample did not tell.
    some : the sample, of which each row stands for as many.
    """
    k = model.choices()
    if k is None or k < 2:
        return None
    shares = model.posterior(params, some.x)[1]
    if len(shares) != len(some):  # states of a chain, which no row has alone
        return None
    at_some = densities(model, params, some.x)
    near, far = np.quantile(at_some, [NEAR, FAR])
    total = rows.weight / rows.unit
    level = far - (near - far) * log(FAR * total / EXPECTED) / log(NEAR / FAR)
    light = np.flatnonzero(shares.sum(axis=0) < LIGHT * (len(rows.columns) + 1))
    kinds = _kinds(model, params, rows, level, light)
    if rows.weights[kinds[0]].sum() < FEWEST:
        kinds[0] = kinds[0][:0]
    if not any(map(len, kinds)):
        return None
    parts, weights, known = [], [], 0.0
    for kind in kinds:
        own = rows.weights[kind]
        weight = float(own.sum())
        many = len(kind) > MOST
        parts.append(kind[drawn(own, MOST, rng)] if many else kind)
        weights.append(np.full(MOST, weight / MOST) if many else own)
        known += weight
    is_rest = at_some >= level if len(kinds[0]) else np.ones(len(some), dtype=bool)
    rest = np.flatnonzero(is_rest & ~np.isin(shares.argmax(axis=1), light))
    weights.append(np.full(len(rest), (total - known) / len(rest)))
    both = rows.of([*map(rows.at, parts), some.at(rest)], np.concatenate(weights))
    place, n = np.arange(len(both)), sum(map(len, parts))
    return Scarce(both, place < len(parts[0]), place < n)


def densities(model: Model, params: Any, x: Any) -> Array:
    """Log density of each row; of a run, of each of its rows on average."""
    return _per_row(model.posterior(params, x)[0], x)


def _per_row(density: Array, x: Any) -> Array:
    return np.asarray(density / x.lengths if hasattr(x, "lengths") else density)


def _kinds(
    model: Model, params: Any, rows: Any, level: float, light: NDArray[np.intp]
) -> list[NDArray[np.intp]]:
    """Indices of the rows whose log density is below a level, and of those of light components.

    By one pass over all rows.
    """
    found: list[list[NDArray[np.intp]]] = [[np.zeros(0, dtype=np.intp)] for _ in (0, *light)]
    of_block = partial(_kinds_of, model, params, level, light)
    first = 0
    for n, *each in swept(rows, block_rows(model.work(rows)), of_block):
        for kind, own in zip(found, each, strict=True):
            kind.append(first + own)
        first += n
    return [np.concatenate(each) for each in found]


def _kinds_of(
    model: Model, params: Any, level: float, light: NDArray[np.intp], x: Any, weights: Array
) -> list[Any]:
    """How many rows a block has, and which are of each kind."""
    density, shares = model.posterior(params, x)
    far = _per_row(density, x) < level
    of = np.where(far, -1, shares.argmax(axis=1)) if len(light) else np.zeros(0)
    return [len(weights), np.flatnonzero(far), *(np.flatnonzero(of == one) for one in light)]
