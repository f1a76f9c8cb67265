"""A family around another one: what it does not say itself is what that one says.

One known case: with nothing said it is the other family, under its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.core import Contract
from emframe.families.base import Completed, ConjugatePrior, Family, Stand
from emframe.families.conditional import Conditional
from emframe.families.kernel import Kernel, Survey
from emframe.families.outcomes import Outcome
from emframe.spaces import Array, Bounds, Claim, Space


@dataclass(frozen=True)
class Wrapped(Family):
    """Base of such families.

    Its kernels are the inner family's wherever it changes neither the density nor the sums; one
    that changes them goes by its own densities, if it says nothing else.
    """

    family: Family

    # ---- what is known before the data

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.family.name

    @property
    def parameters(self) -> type:
        return self.family.parameters

    @property
    def contract(self) -> Contract:  # type: ignore[override]
        return self.family.contract

    @property
    def effort(self) -> float:  # type: ignore[override]
        return self.family.effort

    @property
    def priors(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.family.priors

    # ---- rows

    @property
    def support(self) -> Space:  # type: ignore[override]
        return self.family.support

    @property
    def supports(self) -> tuple[Space, ...]:
        return self.family.supports

    def claims(self) -> tuple[Claim, ...]:
        return self.family.claims()

    @property
    def takes_columns(self) -> bool:
        return self.family.takes_columns

    @property
    def columns(self) -> tuple[str, ...] | None:  # type: ignore[override]
        return self.family.columns

    @property
    def width(self) -> int | None:  # type: ignore[override]
        return self.family.width

    @property
    def gaps(self) -> str:  # type: ignore[override]
        return self.family.gaps

    @property
    def in_runs(self) -> bool:  # type: ignore[override]
        return self.family.in_runs

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.family.covariates

    @property
    def is_settled(self) -> bool:  # type: ignore[override]
        return self.family.is_settled

    def settled(self, whole: Any, columns: Sequence[str]) -> Wrapped:
        return replace(self, family=self.family.settled(whole, columns))

    def spelt(self, names: Mapping[str, tuple[str, ...]]) -> Wrapped:
        inner = self.family.spelt(names)
        return self if inner is self.family else replace(self, family=inner)

    def parts_of(self, columns: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        return self.family.parts_of(columns)

    def given(self, x: Array) -> Wrapped:
        return replace(self, family=self.family.given(x))

    @property
    def fewest_columns(self) -> int:  # type: ignore[override]
        return self.family.fewest_columns

    def boundary(self, params: Any) -> str:
        return self.family.boundary(params)

    def points(self, x: Any) -> Array | None:
        return self.family.points(x)

    def course(self, response: Any = None) -> tuple[int, tuple[int, ...]]:
        return self.family.course(response)

    def response_at(self, params: Any, x: Array, response: Any = None) -> tuple[Array, Array]:
        return self.family.response_at(params, x, response)

    def forecast(self, params: Any, x: Any, at: Any, owners: Any) -> tuple[Array, Array]:
        return self.family.forecast(params, x, at, owners)

    def random_effects(self, params: Any, x: Any) -> tuple[tuple[str, ...], Array, Array]:
        return self.family.random_effects(params, x)

    def each(self, k: int) -> tuple[Family, ...]:
        return tuple(replace(self, family=one) for one in self.family.each(k))

    @property
    def has_places(self) -> bool:  # type: ignore[override]
        return self.family.has_places

    def arranged(self, x: Any, shares: Array) -> NDArray[np.intp] | None:
        return self.family.arranged(x, shares)

    def support_given(self, row: Array) -> Space:
        return self.family.support_given(row)

    def located(self, x: Array) -> Array:
        return self.family.located(x)

    def outcomes(self, row: Array) -> Sequence[Outcome] | None:
        return self.family.outcomes(row)

    # ---- E and M

    def log_density(self, params: Any, x: Array) -> Array:
        return self.family.log_density(params, x)

    def accumulate(self, x: Array, resp: Array) -> Any:
        return self.family.accumulate(x, resp)

    @property
    def hides(self) -> bool:  # type: ignore[override]
        return self.family.hides

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        return self.family.completed(params, x, resp)

    def whole(self, x: Array, weights: Array) -> Any:
        return self.family.whole(x, weights)

    def with_gaps(self) -> Family:
        return replace(self, family=self.family.with_gaps())

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        return self.family.conditional(params, x, hidden)

    def imputed(self, params: Any, x: Array, shares: Array) -> Array:
        return self.family.imputed(params, x, shares)

    def refuse(self, whole: Any, columns: Sequence[str]) -> None:
        self.family.refuse(whole, columns)

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        mine = {name: getattr(type(self), name) for name in ("log_density", "accumulate")}
        if any(own is not getattr(Wrapped, name) for name, own in mine.items()):
            yield from super().kernels(params, constants, survey)
        else:
            yield from self.family.kernels(params, constants, survey)

    def expected(self, statistics: Any, params: Any) -> float:
        return self.family.expected(statistics, params)

    def gradient(self, statistics: Any, params: Any) -> Array:
        return self.family.gradient(statistics, params)

    def m_step(self, statistics: Any, previous: Any) -> Any:
        return self.family.m_step(statistics, previous)

    def m_step_given(
        self,
        statistics: Any,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any | None:
        return self.family.m_step_given(statistics, previous, like, held, shared)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return self.family.sample(params, labels, rng)

    def conjugate_prior(self, prior: Any, whole: Any, k: int) -> ConjugatePrior[Any]:
        return self.family.conjugate_prior(prior, whole, k)

    def log_cdf(self, params: Any, x: Array) -> Array:
        return self.family.log_cdf(params, x)

    def log_sf(self, params: Any, x: Array) -> Array:
        return self.family.log_sf(params, x)

    def mean(self, params: Any) -> Array:
        return self.family.mean(params)

    def variance(self, params: Any) -> Array:
        return self.family.variance(params)

    def quantile(self, params: Any, p: Array) -> Array:
        return self.family.quantile(params, p)

    def survival(self, params: Any, x: Array, times: Array) -> Array:
        return self.family.survival(params, x, times)

    def bounds(self, x: Array) -> Bounds:
        return self.family.bounds(x)

    @property
    def truncates(self) -> bool:  # type: ignore[override]
        return self.family.truncates

    def truncated(self, params: Any, low: Array, high: Array) -> Stand:
        return self.family.truncated(params, low, high)

    # ---- parameters

    def stacked(self, k: int) -> Family | None:
        inner = self.family.stacked(k)
        return None if inner is None else replace(self, family=inner)

    def freedom(self, params: Any, k: int) -> NDArray[np.intp]:
        return self.family.freedom(params, k)

    def problem(self, params: Any, dims: Mapping[str, int], prefix: str = "") -> str | None:
        return self.family.problem(params, dims, prefix)

    def build(self, values: Any) -> Any:
        return self.family.build(values)

    def template(self, dims: Mapping[str, int]) -> Any:
        return self.family.template(dims)
