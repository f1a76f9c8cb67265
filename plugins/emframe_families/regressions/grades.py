"""Responses that are one of several answers: what multinomial and ordinal logits share.

    z ~ w,      y | x, z_k = 1  ~  p_k(y | x),      y = 0, 1, ..., m - 1

The log probability of an answer is a concave function of some predictors e_1 .. e_r of the row, and
these are linear in the parameters, so that Q is concave and Newton's method finds its top.  It is
taken in directions in which the component's rows spread alike.  No smaller statistic than the rows
will do, so they stay in memory.

One known case: with two answers both are the binomial regression of one trial.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emframe import Degenerate
from emframe.core import EDGE
from emframe.families import refuse_empty
from emframe.numeric.climbed import Kept
from emframe.parameters import keep
from emframe.spaces import Array, Codes, Integers, Space
from emframe_families.items.answers import n_levels
from emframe_families.items.categorical import MOST_LEVELS
from emframe_families.regressions.base import Regression, triangles
from emframe_families.regressions.climb import Look, climb

TINY = float(np.finfo(float).tiny)
# A direction is flat with less information than this per row of the rarest answer.
SEPARATED = 1e-11


@dataclass(frozen=True)
class GradeRegression(Regression):
    """Base of regressions of codes 0 .. m-1.

    Parameters
    ----------
    levels : how many answers there are, 2 or more; None for those that the data have, each of
        which has to occur then.
    """

    levels: int | None = None

    kind: ClassVar[type[Integers]] = Codes  # what the answers are
    effort = 8.0

    def __post_init__(self) -> None:
        super().__post_init__()
        given: Any = self.levels
        if given is None:
            return
        if not isinstance(given, (int, np.integer)) or isinstance(given, bool) or given < 2:
            raise ValueError(f"`levels` is {given!r}; pass a whole number, 2 or more, or None.")
        object.__setattr__(self, "levels", int(given))

    # ---- how many answers

    @property
    def is_settled(self) -> bool:  # type: ignore[override]
        return self.levels is not None

    def settled(self, whole: Kept, columns: Sequence[str]) -> GradeRegression:
        if self.levels is not None:
            return self
        codes = np.concatenate([self.y(x) for x, _ in whole.blocks])
        return replace(self, levels=n_levels(codes))

    @property
    def m(self) -> int:
        """The number of answers."""
        if self.levels is None:
            raise ValueError(
                f"the levels of the family {self.name!r} are left to the data, which were not seen "
                "yet; pass levels=, or take what `settled(X)` of the model gives."
            )
        return self.levels

    @property
    def spaces(self) -> tuple[Space, ...]:
        return (self.kind(0, (self.levels or MOST_LEVELS) - 1),)

    def answers(self, x: Array) -> NDArray[np.intp]:
        """The codes, (n,)."""
        return self.y(x).astype(np.intp)

    # ---- what a family of these says

    @abstractmethod
    def predictors_of(self, params: Any, x: Array) -> Array:
        """Predictors of the rows, (n, K, r)."""

    @abstractmethod
    def log_probs(self, e: Array, y: NDArray[np.intp]) -> Array:
        """Log probability of the answers y (n,) at predictors (n, ..., r), (n, ...)."""

    @abstractmethod
    def log_all(self, e: Array) -> Array:
        """Log probability of each answer at predictors (n, r), (n, m)."""

    @abstractmethod
    def curvature(self, e: Array, y: NDArray[np.intp]) -> tuple[Array, Array]:
        """Derivatives of that by the predictors, (n, r) and (n, r, r), at predictors (n, r)."""

    @abstractmethod
    def loading(self, design: Array) -> Array:
        """How the predictors go with the free parameters of one component, (n, r, P)."""

    @abstractmethod
    def begun(self, design: Array, shares: Array) -> Array:
        """Parameters (P,) of a component that has these shares of the answers, (m,)."""

    @abstractmethod
    def put(self, vectors: Array) -> Any:
        """Parameters from those of each component, (K, P), in the order of `loading`."""

    @abstractmethod
    def taken(self, params: Any) -> Array:
        """The same as vectors, (K, P)."""

    # ---- E

    def log_density(self, params: Any, x: Array) -> Array:
        return self.log_probs(self.predictors_of(params, x), self.answers(x))

    def accumulate(self, x: Array, resp: Array) -> Kept:
        return Kept.of_rows(x, resp)

    def expected(self, statistics: Kept, params: Any) -> float:
        return statistics.expected(partial(self.log_density, params))

    # ---- M

    def m_step(self, statistics: Kept, previous: Any) -> Any:
        statistics = statistics.regular()
        empty = statistics.counts <= TINY
        if previous is None:
            refuse_empty(empty)
        before = None if previous is None else self.taken(previous)
        found = []
        for k in range(len(empty)):
            start = None if before is None else before[k]
            found.append(start if empty[k] else self._climbed(*statistics.of(k), start, k))
        params = self.put(np.array(found))
        return keep(empty, previous, params) if empty.any() else params

    def _climbed(self, x: Array, resp: Array, start: Array | None, k: int) -> Array:
        """Parameters (P,) at the top of Q of one component."""
        share, y, design = resp / resp.sum(), self.answers(x), self.design(x)
        root = triangles((np.sqrt(share)[:, None] * design)[None])[0]
        self.refuse_collinear(root, k)
        shares: Array = np.bincount(y, share, self.m).astype(float)
        if not (shares > 0.0).all():
            raise self._separated(k)
        # In these directions what the rows say spreads alike: sum share V'V = 1.
        whole = self.loading(design)
        each = whole.reshape(-1, whole.shape[-1])
        turn = triangles((np.sqrt(np.repeat(share, whole.shape[1]))[:, None] * each)[None])[0]
        along = np.linalg.solve(turn.T, each.T).T.reshape(whole.shape)

        def look(point: Array) -> Look:
            e = along @ point
            with np.errstate(all="ignore"):  # a trial point may lie anywhere
                value = float(share @ self.log_probs(e, y))
                slope, bend = self.curvature(e, y)
                first = np.einsum("n,nrp,nr->p", share, along, slope)
                second = np.einsum("n,nrp,nrs,nsq->pq", share, along, bend, along, optimize=True)
            if np.isfinite(value) and np.isfinite(first).all() and np.isfinite(second).all():
                return Look(value, first, second)
            return Look(-np.inf, np.zeros_like(first), np.eye(len(first)))

        starts = [turn @ self.begun(design, shares)]
        if start is not None:
            starts.append(turn @ start)
        best = max(starts, key=lambda one: look(one).value)
        top, here = climb(look, best, np.full(len(best), np.inf))
        found = np.asarray(np.linalg.solve(turn, top))
        with np.errstate(all="ignore"):
            sound = np.isfinite(self.log_probs(whole @ found, y)).all()
        flat = float(np.linalg.eigvalsh(-here.bend)[0]) < SEPARATED * float(shares.min())
        if flat or not sound:
            raise self._separated(k)
        return found

    def _separated(self, k: int) -> Degenerate:
        return Degenerate(
            f"the answers of component {k} are separated: along some direction of the predictors "
            f"they change all at once, or one never occurs, and a coefficient {EDGE}",
            k,
        )

    # ---- draws

    def draw(
        self, params: Any, x: Array, labels: NDArray[np.intp], rng: np.random.Generator
    ) -> Array:
        e = self.predictors_of(params, x)[np.arange(len(x)), labels]
        below = np.cumsum(np.exp(self.log_all(e)), axis=1)
        return (rng.random((len(x), 1)) * below[:, -1:] >= below).sum(axis=1).astype(float)
