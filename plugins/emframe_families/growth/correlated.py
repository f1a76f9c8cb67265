"""Trajectories whose residuals are correlated: linear mixed models by whitened rows.

    y_i | z_ik = 1, b_i  ~  N(X_i beta_k + Z_i b_i, sigma_k^2 R_i)

With R_i known this is a linear mixed model of A_i y_i on A_i X_i and A_i Z_i (see ``residuals``).
The M-step has two parts: that of the model with independent residuals, at R as it was, and a step
of the parameters of R.  Both raise the likelihood of what was seen, of which Q is here, b
integrated out: ECME (Liu and Rubin 1994, Biometrika 81, 633), with nothing hidden.

One known case: with residuals that are hardly correlated it is the model without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add
from types import SimpleNamespace
from typing import Any

import numpy as np

from emframe import Array, Degenerate
from emframe.data.formulas import is_formula
from emframe.families import Completed, Kernel, Survey, refuse_empty
from emframe.families.kernel import Densities
from emframe.numeric.climbed import Kept
from emframe.parameters import Declared, equal, rebuild
from emframe.parameters.records import record
from emframe_families.growth.beginning import begun
from emframe_families.growth.effects import EffectPoint, Effects, effects
from emframe_families.growth.linear_mixed import LinearMixed
from emframe_families.growth.people import triangles
from emframe_families.growth.residuals import LAWS, MOST_TIMES, InTime, Law, Unstructured
from emframe_families.growth.sums import GrowthSums, gathered, side_by_side

LATEST = 2  # E-steps that are kept


@dataclass(frozen=True)
class Times:
    """The distinct times of visits; they add."""

    times: frozenset[float]

    def __add__(self, other: Times) -> Times:
        return Times(self.times | other.times)


class CorrelatedMixed(LinearMixed):
    """`linear-mixed` with a law of residuals."""

    hides = False
    effort = 12.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.residual == "unstructured" and self.random:
            raise ValueError(
                f"`random` is {list(self.random)} beside an unstructured covariance, which says "
                "all that random effects could; pass random=()."
            )
        if self.along is not None and not isinstance(self.along, str):
            raise TypeError(f"`along` is {self.along!r}; pass the name of the column of times.")
        if self.along == self.response:
            raise ValueError(f"`along` is {self.along!r}, which is the response.")
        terms = (*self.fixed, *self.common, *self.random)
        if self.along is None and (len(self.terms.columns) < 2 or any(map(is_formula, terms))):
            raise ValueError("which column has the times is not told; name it, along='time'.")

    # ---- columns, and times

    @property
    def time_column(self) -> str:
        """The column of times: the first that a term reads, if none is named."""
        return self.terms.columns[1] if self.along is None else self.along

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(dict.fromkeys((*self.terms.columns, self.time_column)))

    @property
    def width(self) -> int:  # type: ignore[override]
        return len(self.columns)

    @property
    def is_settled(self) -> bool:  # type: ignore[override]
        return self.residual != "unstructured" or self.times is not None

    def whole(self, x: Any, weights: Array) -> Any:
        if self.is_settled:
            return super().whole(x, weights)
        return Times(frozenset(x.x[:, self.columns.index(self.time_column)].tolist()))

    def settled(self, whole: Any, columns: Sequence[str]) -> LinearMixed:
        if self.is_settled:
            return self
        if len(whole.times) > MOST_TIMES:
            raise ValueError(
                f"people were seen at {len(whole.times)} times, and an unstructured covariance has "
                f"{MOST_TIMES} at most; take residual='ar1', or random effects."
            )
        return replace(self, times=tuple(sorted(whole.times)))

    @property
    def has_sigma(self) -> bool:
        return self.law.has_sigma

    @cached_property
    def law(self) -> Law:
        """The law of R."""
        if self.residual == "unstructured":
            return Unstructured(self.times or ())
        return LAWS[self.residual]()

    def visits(self, runs: Any) -> InTime:
        """The visits of `emframe.Sequences` in order of time, laid out once."""

        def made() -> InTime:
            times = runs.x[:, self.columns.index(self.time_column)]
            who = np.repeat(np.arange(len(runs)), runs.lengths)
            order = np.lexsort((times, who))
            values = self.terms.values(runs.x)[order]
            found = InTime(values, times[order], runs.firsts, runs.lengths)
            twice = found.first_repeated()
            if twice is not None and self.residual != "compound":
                name = twice if runs.keys is None else runs.keys[twice]
                raise ValueError(
                    f"run {name} has two rows with the same {self.time_column!r}; visits at one "
                    f"time have no correlation by {self.residual!r}: give them times of their own, "
                    "or their mean."
                )
            return found

        return runs.derived(("visits", self.terms, self.time_column, self.residual), made)

    # ---- parameters

    @cached_property
    def parameters(self) -> type:
        """That of independent residuals, and the parameter of R, shared where sigma is."""
        inner = super().parameters
        own = Declared(self.law.space, self.law.shape, shared=self.sigma == "shared")
        found = {
            name: declared
            for name, declared in self._declared.items()
            if self.has_sigma or name != "sigma"
        }
        assert inner
        return record("CorrelatedMixedParameters", {**found, self.law.field: own})

    def point(self, params: Any) -> EffectPoint:
        if self.has_sigma:
            return super().point(params)
        ones = np.ones(len(self.of_law(params)))
        return EffectPoint(self.coefficients(params), np.zeros((len(ones), 0, 0)), ones)

    def of_law(self, params: Any) -> Array:
        """The parameters of R, (K, ...)."""
        return np.asarray(getattr(params, self.law.field))

    def made(self, coefficients: Array, covariance: Array, sigma: Array) -> Any:
        """Parameters with those of R unknown, nan."""
        names = self.terms.coefficients
        found = dict(zip(names, np.ascontiguousarray(coefficients.T), strict=True))
        if self.random:
            found["random_covariance"] = covariance
        if self.has_sigma:
            found["sigma"] = sigma
        return self.parameters(
            **found, **{self.law.field: np.full((len(sigma), *self.law.shape), np.nan)}
        )

    # ---- E

    def each_effects(self, params: Any, runs: Any) -> list[tuple[Effects, Array]]:
        """Random effects with log|A| (S,), of all components, or one by one where R differs.

        Those at the last few parameters are kept with the runs.
        """
        latest = runs.derived(("correlated", self), list)
        for at, found in tuple(latest):
            if equal(at, params):
                return list(found)
        visits, point, laws = self.visits(runs), self.point(params), self.of_law(params)
        together = self.sigma == "shared" or len(laws) == 1
        alike = together and (self.between == "shared" or not self.random)
        found = []
        for k in range(1 if together else len(laws)):
            white, more = self.law.whitened(laws[k], visits, visits.values)
            people = triangles(self.terms, white, visits.lengths)
            own = slice(None) if together else slice(k, k + 1)
            at = EffectPoint(point.coefficients[own], point.roots[own], point.sigma[own])
            found.append((effects(people, at, alike), more))
        mine = rebuild(params, lambda leaf: np.array(leaf.value))  # the caller's may be written to
        latest[:] = [(mine, found), *latest[: LATEST - 1]]
        return found

    def log_density(self, params: Any, x: Any) -> Array:
        each = [one.log_density + more for one, more in self.each_effects(params, x)]
        density = np.concatenate(each).T
        return np.where(np.isnan(density), -np.inf, density)

    def completed(self, params: Any, x: Any, resp: Array) -> Completed:
        return Completed(Kept.of_rows(x, resp), 0.0)

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        yield Densities(self, params, constants)

    def expected(self, statistics: Kept, params: Any) -> float:
        return statistics.expected(lambda x: self.log_density(params, x))

    def sums(self, statistics: Kept, params: Any) -> GrowthSums:
        """Those of whitened rows, completed at `params`."""

        def own(x: Any, resp: Array) -> GrowthSums:
            each = [one for one, _ in self.each_effects(params, x)]
            if len(each) == 1:
                return gathered(each[0], resp.T)[0]
            pairs = zip(each, resp.T, strict=True)
            return side_by_side([gathered(one, share[None])[0] for one, share in pairs])

        return reduce(add, (own(x, resp) for x, resp in statistics.blocks))

    def law_slopes(self, statistics: Kept, params: Any) -> Array:
        """Of the expected log density by the parameters of R, (K, ...)."""
        laws, point = self.of_law(params), self.point(params)
        found = np.zeros(laws.shape)
        places = self.terms.x_places, self.terms.z_places
        for runs, resp in statistics.blocks:
            visits, each = self.visits(runs), self.each_effects(params, runs)
            x, z = (visits.values[:, one] for one in places)
            for k in range(len(laws)):
                one, inner = (each[0][0], k) if len(each) == 1 else (each[k][0], 0)
                root, sigma = point.roots[k], point.sigma[k]
                own = visits.spread(one.mean[inner] @ root.T)
                left = visits.values[:, -1] - x @ point.coefficients[k] - (z * own).sum(axis=1)
                spread = root @ one.variance[one.of(inner)] @ root.T / sigma**2
                found[k] += self.law.slope(laws[k], visits, left / sigma, z, spread, resp[:, k])
        return found

    def gradient(self, statistics: Kept, params: Any) -> Array:
        shared = self.sigma == "shared"
        slopes, laws = self.law_slopes(statistics, params), self.of_law(params)
        if shared:
            slopes, laws = slopes.sum(axis=0, keepdims=True), laws[:1]
        rest = super().gradient(self.sums(statistics, params), params)
        return np.concatenate([rest, self.law.space.pullback(laws, slopes).ravel()])

    # ---- M

    def m_step_given(
        self,
        statistics: Kept,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any:
        field = self.law.field
        if previous is None:
            previous = self._first(statistics)
            previous = replace(previous, **{name: getattr(like, name) for name in held})
        if not self.has_sigma:
            ones = np.ones(len(self.of_law(previous)))
            own, like_inner = (*held, "sigma"), SimpleNamespace(sigma=ones)
        else:
            own, like_inner = held, like
        found = self._stepped(self.sums(statistics, previous), previous, like_inner, own, shared)
        found = replace(found, **{field: self.of_law(previous)})
        if field in held:
            return found
        return self._law_stepped(statistics, found, self.sigma == "shared" or field in shared)

    def _law_stepped(self, statistics: Kept, params: Any, together: bool) -> Any:
        """The parameters after a step of R."""
        field, laws, counts = self.law.field, np.array(self.of_law(params)), statistics.counts
        k = len(laws)
        for one in range(1 if together else k):
            which = slice(None) if together else slice(one, one + 1)

            def at(value: Any, which: slice = which) -> Any:
                other = laws.copy()
                other[which] = value
                return replace(params, **{field: other})

            def slope(value: Any, at: Callable[[Any], Any] = at, which: slice = which) -> Any:
                return self.law_slopes(statistics, at(value))[which].sum(axis=0)

            def height(value: Any, at: Callable[[Any], Any] = at) -> float:
                return self.expected(statistics, at(value))

            count = float(counts[which].sum())
            if count > 0.0:
                found = self.law.stepped(laws[one], count, slope, height)
                if self.law.is_singular(found):
                    raise Degenerate(
                        f"{field} has become singular: people are too few for it",
                        None if together else one,
                    )
                laws[which] = found
        return replace(params, **{field: laws})

    def _first(self, statistics: Kept) -> Any:
        """Where visits are independent, and R somewhere."""
        refuse_empty(statistics.counts <= 0)
        point = begun(self.terms, statistics.blocks)
        if not point.sigma.min() > 0.0:
            raise Degenerate("the rows lie on the lines of their components")
        params = self.made(
            point.coefficients, point.roots @ point.roots.swapaxes(1, 2), point.sigma
        )
        visits = self.visits(statistics.blocks[0][0])
        value = self.law.begun(visits, float(point.sigma.mean()))
        laws = np.broadcast_to(value, self.of_law(params).shape).copy()
        return replace(params, **{self.law.field: laws})

    # ---- the rest

    def response_at(self, params: Any, x: Array, response: Any = None) -> tuple[Array, Array]:
        values, point = self.terms.values(x), self.point(params)
        times = x[:, self.columns.index(self.time_column)]
        means = values[:, self.terms.x_places] @ point.coefficients.T
        swings = values[:, self.terms.z_places] @ point.roots  # (K, n, q)
        own = np.array([self.law.variance(one, times) for one in self.of_law(params)])
        return means, np.sqrt((swings**2).sum(axis=2) + point.sigma[:, None] ** 2 * own).T

    def forecast(self, params: Any, x: Any, at: Any, owners: Any) -> tuple[Array, Array]:
        raise TypeError(f"forecasts beside residuals that are {self.residual!r} are not known.")

    def random_effects(self, params: Any, x: Any) -> tuple[tuple[str, ...], Array, Array]:
        each = [self.told(one) for one, _ in self.each_effects(params, x)]
        means, deviations = (np.concatenate([one[j] for one in each], axis=1) for j in (0, 1))
        return self.random, means, deviations

    def errors(self, params: Any, rows: Array, k: int, rng: np.random.Generator) -> Array:
        """At one time they are one."""
        times = rows[:, self.columns.index(self.time_column)]
        places = np.arange(len(rows))
        if self.residual != "compound":
            times, places = np.unique(times, return_inverse=True)
        n = len(times)
        visits = InTime(np.empty((n, 0)), times, np.zeros(1, dtype=np.intp), np.array([n]))
        white = self.law.whitened(self.of_law(params)[k], visits, np.eye(n))[0]
        found = np.linalg.solve(white, rng.standard_normal(n))
        return np.asarray(self.point(params).sigma[k] * found[places])
