"""Rows that another family describes after their columns are transformed, one to one.

    log f(x | theta) = log g(t(x) | theta) + sum_j log |t'(x_j)|

The sums are those of the transformed rows, and what the Jacobian adds is the row's alone.

One known case: with t = log and g normal it is the lognormal family.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe import Family
from emframe.engines import Workspace
from emframe.families import Completed, Concluded, ConjugatePrior, Kernel, Stand, Survey, Wrapped
from emframe.spaces import Array, Claim


@dataclass(frozen=True)
class WithJacobian:
    """Sums of transformed rows, and what their Jacobians come to; they add."""

    own: Any
    jacobian: float  # sum of resp log |t'|

    def __add__(self, other: Any) -> WithJacobian:
        more = with_jacobian(other)
        return WithJacobian(self.own + more.own, self.jacobian + more.jacobian)

    def __mul__(self, factor: float) -> WithJacobian:
        return WithJacobian(self.own * factor, self.jacobian * factor)


def with_jacobian(statistics: Any) -> WithJacobian:
    """The same sums; those of pseudo-data are of no row, and have no Jacobian."""
    return statistics if isinstance(statistics, WithJacobian) else WithJacobian(statistics, 0.0)


class Transformed(Wrapped):
    """Base of families of transformed columns; subclasses state the transformation."""

    gaps = ""

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """t(x), (n, d)."""

    @abstractmethod
    def backward(self, y: Array) -> Array:
        """Its inverse, (n, d)."""

    @abstractmethod
    def log_slope(self, x: Array) -> Array:
        """Sum over columns of log |t'(x)|, (n,)."""

    def log_density(self, params: Any, x: Array) -> Array:
        return self.family.log_density(params, self.forward(x)) + self.log_slope(x)[:, None]

    def accumulate(self, x: Array, resp: Array) -> WithJacobian:
        own = self.family.accumulate(self.forward(x), resp)
        return WithJacobian(own, float(resp.sum(axis=1) @ self.log_slope(x)))

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        found = self.family.completed(params, self.forward(x), resp)
        jacobian = float(resp.sum(axis=1) @ self.log_slope(x))
        return Completed(WithJacobian(found.statistics, jacobian), found.entropy)

    def whole(self, x: Array, weights: Array) -> WithJacobian:
        own = self.family.whole(self.forward(x), weights)
        return WithJacobian(own, float(weights @ self.log_slope(x)))

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        inner = survey.of(with_jacobian(survey.statistics).own)
        for kernel in self.family.kernels(params, constants, inner):
            yield OfTransformed(self, kernel)

    def claims(self) -> tuple[Claim, ...]:
        return Family.claims(self)

    def with_gaps(self) -> Family:
        """Leaves out terms, unless a family has something better."""
        return Family.with_gaps(self)

    def refuse(self, whole: Any, columns: Sequence[str]) -> None:
        self.family.refuse(with_jacobian(whole).own, columns)

    def expected(self, statistics: Any, params: Any) -> float:
        told = with_jacobian(statistics)
        return self.family.expected(told.own, params) + told.jacobian

    def gradient(self, statistics: Any, params: Any) -> Array:
        return self.family.gradient(with_jacobian(statistics).own, params)

    def m_step(self, statistics: Any, previous: Any) -> Any:
        return self.family.m_step(with_jacobian(statistics).own, previous)

    def m_step_given(
        self,
        statistics: Any,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any | None:
        own = with_jacobian(statistics).own
        return self.family.m_step_given(own, previous, like, held, shared)

    def conjugate_prior(self, prior: Any, whole: Any, k: int) -> ConjugatePrior[Any]:
        return self.family.conjugate_prior(prior, with_jacobian(whole).own, k)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return self.backward(self.family.sample(params, labels, rng))

    # ---- the distribution of a row, for a transformation that rises

    def log_cdf(self, params: Any, x: Array) -> Array:
        return self.family.log_cdf(params, self.forward(x))

    def log_sf(self, params: Any, x: Array) -> Array:
        return self.family.log_sf(params, self.forward(x))

    def quantile(self, params: Any, p: Array) -> Array:
        return self.backward(self.family.quantile(params, p))

    def truncated(self, params: Any, low: Array, high: Array) -> Stand:
        found = self.family.truncated(params, self._end(low), self._end(high))
        return Stand(self.backward(found.values), found.shares)

    def _end(self, x: Array) -> Array:
        """t(x) of an end, that of the support or an infinite one included."""
        with np.errstate(divide="ignore", invalid="ignore"):
            y = self.forward(np.where(np.isneginf(x), 0.0, x))
        return np.where(np.isneginf(x), -np.inf, y)

    def mean(self, params: Any) -> Array:
        raise self._without("mean in closed form")

    def variance(self, params: Any) -> Array:
        raise self._without("variance in closed form")


@dataclass(frozen=True)
class OfTransformed:
    """The kernel of transformed rows: another's, shown those."""

    outer: Transformed
    kernel: Kernel

    @property
    def form(self) -> str:
        return self.kernel.form

    def rows(self, d: int) -> int:
        return self.kernel.rows(d)

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], WithJacobian]]:
        joint, collect = self.kernel.meet(self.outer.forward(x), work)
        slope = self.outer.log_slope(x)
        # A kernel may have laid the rows out in tiles, (tiles, K, w), the last one filled up.
        laid = np.zeros(joint.size // joint.shape[-2])
        laid[: len(x)] = slope
        laid = laid.reshape(*joint.shape[:-2], 1, joint.shape[-1])
        joint += laid

        def collected(resp: Array) -> WithJacobian:
            return WithJacobian(
                collect(resp), float((resp.sum(axis=-2, keepdims=True) * laid).sum())
            )

        return joint, collected

    def finish(self, sums: WithJacobian) -> Concluded | None:
        found = self.kernel.finish(sums.own)
        if found is None:
            return None
        return found._replace(statistics=WithJacobian(found.statistics, sums.jacobian))
