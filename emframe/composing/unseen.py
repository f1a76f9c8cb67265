"""A family of which something of each row was not seen: two ways to its M-step.

    completing    E completes the family's own sums by what is hidden, and M is the family's own
    climbing      M climbs the likelihood of what was seen: generalised EM, with nothing hidden

The first is there where the family knows the moments of what is hidden, and is as quick as the
family; the second needs no more than the density of what was seen.

One known case: where all was seen both come to the family's own M-step.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emframe.core import Contract, Degenerate
from emframe.families import (
    Completed,
    Conditional,
    Densities,
    Family,
    Kernel,
    Stand,
    Survey,
    Wrapped,
)
from emframe.families.at_start import AtStart
from emframe.numeric.climbed import EFFORT, POINT, Directions, Kept, NumericFamily
from emframe.numeric.componentwise import coordinates
from emframe.spaces import EPS, Array, Space


class Rough(NamedTuple):
    """Rows of the family that stand for what was seen, to begin with."""

    rows: Array  # (m, d)
    owners: NDArray[np.intp]  # (m,) the row that each stands for
    shares: Array  # (m,) of it

    def sums(self, weights: Array) -> Array:
        """What rows (n, K) weigh, as these have it, (m, K)."""
        return np.asarray(weights[self.owners] * self.shares[:, None])


@dataclass(frozen=True, init=False)
class Unseen(Wrapped):
    """Base of such families; their parameters are those of the family inside."""

    # ---- what a subclass says

    @property
    def completes(self) -> bool:
        """Whether the family inside knows the moments of what is hidden; see `complete`."""
        return False

    def complete(self, params: Any, x: Array, resp: Array) -> Completed:
        """The family's own sums, completed, and the entropy of what completes them."""
        raise self._without("moments of what is hidden")

    @abstractmethod
    def rough(self, x: Array) -> Rough:
        """Rows to begin with."""

    @abstractmethod
    def value(self, x: Array) -> Array:
        """What was seen of the column that is modelled, (n,); nan where it is not known."""

    @property
    @abstractmethod
    def inner_width(self) -> int:
        """Columns of a row of the family inside."""

    # ---- sums of what was not seen

    def stood_for(
        self,
        params: Any,
        stand: Stand,
        rows: Callable[[NDArray[np.intp], Array], Array],
        own: Array,
    ) -> tuple[list[Any], Array]:
        """Sums over values that stand for what was not seen, and what they leave of entropy.

        Parameters
        ----------
        rows : rows of the family (m, d) from indices (m,) and values (m,) of its column.
        own : (n, K) how many of these each row stands for, for each component.

        The entropy of y is -E log f but for a constant, and log f is linear in the sums; so the
        values have its expectation.
        """
        m, k = len(stand.values), own.shape[1]
        parts, entropy = [], np.zeros(k)
        for one in range(k):
            mine = np.flatnonzero(own[:, one] > 0)
            if not len(mine):
                continue
            values = rows(np.tile(mine, m), stand.values[:, mine, one].ravel())
            shares = np.zeros((len(values), k))
            shares[:, one] = (stand.shares[:, mine, one] * own[mine, one]).ravel()
            entropy[one] -= shares[:, one] @ self.family.log_density(params, values)[:, one]
            found = self.family.completed(params, values, shares)
            entropy = entropy + found.entropy
            parts.append(found.statistics)
        return parts, entropy

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        raise self._without("law of one of its columns given others")

    # ---- what follows

    def with_gaps(self) -> Family:
        """Rows that tell nothing of the value leave out its term."""
        return Family.with_gaps(self)

    @property
    def contract(self) -> Contract:  # type: ignore[override]
        return self.family.contract if self.completes else Contract.GENERALISED

    @property
    def effort(self) -> float:  # type: ignore[override]
        return self.family.effort + 1.0 if self.completes else EFFORT

    @property
    def priors(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.family.priors if self.completes else ()

    @property
    def hides(self) -> bool:  # type: ignore[override]
        return self.completes

    @cached_property
    def climbing(self) -> Climbing:
        """The way by the density alone."""
        return Climbing(self)

    def accumulate(self, x: Array, resp: Array) -> Any:
        return AtStart.of_rows(x, resp) if self.completes else Kept.of_rows(x, resp)

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        if self.completes:
            return self.complete(params, x, resp)
        return Completed(self.accumulate(x, resp), 0.0)

    def whole(self, x: Array, weights: Array) -> Any:
        """The family's, of rows that stand for what was seen."""
        found = self.rough(x)
        return self.family.whole(found.rows, found.sums(weights[:, None])[:, 0])

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        yield Densities(self, params, constants)

    def expected(self, statistics: Any, params: Any) -> float:
        if self.completes:
            return self.family.expected(statistics, params)
        return self.climbing.expected(statistics, params)

    def gradient(self, statistics: Any, params: Any) -> Array:
        if self.completes:
            return self.family.gradient(statistics, params)
        return self.climbing.gradient(statistics, params)

    def m_step(self, statistics: Any, previous: Any) -> Any:
        if self.completes:
            return self.family.m_step(self._known(statistics, previous), previous)
        return self.climbing.m_step(statistics, previous)

    def m_step_given(
        self,
        statistics: Any,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any | None:
        if self.completes:
            sums = self._known(statistics, previous)
            return self.family.m_step_given(sums, previous, like, held, shared)
        return self.climbing.m_step_given(statistics, previous, like, held, shared)

    def _known(self, statistics: Any, previous: Any) -> Any:
        """The family's sums, where they are still those of rows at a start."""
        if not isinstance(statistics, AtStart):
            return statistics
        if previous is not None:
            each = (self.complete(previous, x, r).statistics for x, r in statistics.blocks)
            return statistics.with_prior(reduce(add, each))
        return statistics.with_prior(self.roughly(statistics.x, statistics.resp))

    def roughly(self, x: Array, resp: Array) -> Any:
        """The family's sums of rows that stand for what was seen."""
        found = self.rough(x)
        return self.family.accumulate(found.rows, found.sums(resp))

    def stacked(self, k: int) -> Any:
        """Itself where components are apart and each M-step is its own; else none."""
        return self if self.completes and self.family.stacked(k) is self.family else None

    def flat(self, x: Array, weights: Array) -> None:
        """None: tables are of rows that were seen."""

    def template(self, dims: Any) -> Any:
        return self.family.template({**dims, "d": self.inner_width})

    def problem(self, params: Any, dims: Any, prefix: str = "") -> str | None:
        return self.family.problem(params, {**dims, "d": self.inner_width}, prefix)


@dataclass(frozen=True)
class Climbing(NumericFamily):
    """The likelihood of what was seen, as a numeric family has it."""

    outer: Unseen

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.outer.name

    @property
    def parameters(self) -> type:
        return self.outer.parameters

    @property
    def supports(self) -> tuple[Space, ...]:
        return self.outer.supports

    def log_density(self, params: Any, x: Array) -> Array:
        return self.outer.log_density(params, x)

    # ---- where to begin: at the family's own M-step on rows that stand for what was seen

    def _begun(self, statistics: Kept, along: Directions) -> Any:
        x, resp = (np.concatenate(each) for each in zip(*statistics.blocks, strict=True))
        start = self.outer.family.m_step(self.outer.roughly(x, resp), None)
        return self._maximised(statistics, start, along)

    def _ranked(self, statistics: Kept, k: int, along: Directions | None) -> Array:
        x, weights = statistics.of(k)
        sums = self.outer.roughly(x, weights[:, None])
        at = coordinates(self.outer.family.m_step(sums, None))
        return at if along is None else np.where(np.isnan(along.known[k]), at, along.known[k])

    def _d(self, statistics: Kept) -> int:
        return self.outer.inner_width

    def _unit(self, statistics: Kept) -> Array:
        if self.outer.family.covariates:  # of coefficients, which have no unit of the rows
            return self._units(np.ones(self.outer.inner_width))
        rows = np.concatenate([self.outer.rough(x).rows for x, _ in statistics.blocks])
        return self._units(rows.std(axis=0))

    def _refuse_points(self, statistics: Kept, params: Any) -> None:
        if any(space.discrete for space in self.supports):
            return
        for x, resp in statistics.blocks:
            y = self.outer.value(x)
            seen = np.isfinite(y)
            room = np.maximum(np.abs(y[seen]), np.finfo(float).tiny)
            highest = -np.log(POINT * EPS * room)[:, None]
            with np.errstate(all="ignore"):
                narrow = (resp[seen] > 0) & (self.raw(params, x[seen]) > highest)
            if narrow.any():
                row, k = np.argwhere(narrow)[0]
                raise Degenerate(f"component {k} has shrunk to a point, {y[seen][row]:g}", int(k))
