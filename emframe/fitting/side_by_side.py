"""Starts side by side: those of a model that has no stack of its own climb together all the same.

Each start has a pass of its own, as in the ordinary loop; what they share is the search, in which
a start leaves as soon as its end is known or does not matter.

One known case: one start side by side with none is a run of that start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from emframe.core import Degenerate, Expectation
from emframe.core.expectation import objective
from emframe.methods import gradient, point
from emframe.models import Model
from emframe.models.stack import FAILURES, Begun, Looks, Mask, Order
from emframe.parameters import frozen, to_vector
from emframe.spaces import Array

Points = tuple[Any, ...]


@dataclass
class SideBySide:
    """Points of any model, as a tuple of its parameters."""

    model: Model  # under its prior
    rows: Any
    expect: Callable[[Any], Expectation[Any]]  # the E-step over all rows, the prior included
    supply: Iterator[tuple[str, Any]] | None = field(default=None, repr=False)

    def join(self, each: Sequence[Any]) -> Points:
        return tuple(each)

    def together(self, parts: Sequence[Points]) -> Points:
        return tuple(one for part in parts for one in part)

    def one(self, points: Points, start: int) -> Any:
        return frozen(points[start])

    def take(self, points: Points, starts: Order) -> Points:
        return tuple(points[start] for start in starts)

    def choose(self, which: Mask, points: Points, others: Points) -> Points:
        each = zip(which, points, others, strict=True)
        return tuple(mine if chosen else other for chosen, mine, other in each)

    def vectors(self, points: Points) -> Array:
        return np.array([to_vector(one) for one in points])

    def at(self, like: Points, x: Array) -> tuple[Points, Mask]:
        inside: Mask = np.logical_and.reduce(np.isfinite(x), axis=1)
        found = list(like)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for start in map(int, np.flatnonzero(inside)):
                there = point(like[start], x[start])
                inside[start] = there is not None
                found[start] = like[start] if there is None else there
        return tuple(found), inside

    def look(self, points: Points, *, slopes: bool = True) -> Looks:
        x = self.vectors(points)
        s, slope, em_x = len(points), np.zeros(x.shape), x.copy()
        height, loglik = np.full(s, -np.inf), np.full(s, -np.inf)
        em, why = list(points), dict[int, str]()
        for start, one in enumerate(points):
            try:
                with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                    q = self.expect(one)
                    em[start] = q.maximize()
                    em_x[start] = to_vector(em[start])
                    slope[start] = gradient(q) if slopes else 0.0
            except FAILURES as error:
                why[start] = str(error)
                continue
            height[start], loglik[start] = objective(q), q.loglik
        sound = np.isfinite(height) & np.isfinite(em_x).all(axis=1)
        return Looks(np.where(sound, height, -np.inf), loglik, tuple(em), em_x, slope, sound, why)

    def starts(self, n: int, rng: np.random.Generator, first: int = 0) -> Begun:
        """The model's own starts, on from where the last call left."""
        if self.supply is None:
            self.supply = self.model.starts(self.rows, rng)
        return _begun(islice(self.supply, n))

    def moves(self, params: Any, n: int, rng: np.random.Generator) -> Begun:
        return _begun(islice(self.model.moves(params, self.rows, rng), n))


def _begun(supply: Iterator[tuple[str, Any]]) -> Begun:
    kinds, points, which, why = [], [], [], dict[int, str]()
    for i, (kind, params) in enumerate(supply):
        kinds.append(kind)
        if isinstance(params, Degenerate):
            why[i] = str(params)
            continue
        points.append(params)
        which.append(i)
    index = np.array(which, dtype=np.intp)
    return Begun(tuple(kinds), tuple(points) if points else None, index, why)
