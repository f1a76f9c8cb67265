"""Honest families from outside, one of each kind that a stranger may write.

They use the public names alone.  The kit has to accept them all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import optimize, special

import emframe
from emframe import Array, parameter
from emframe.families import Outcome
from emframe.spaces import ColumnsIn


@dataclass(frozen=True)
class RateParameters:
    rate: Array = parameter(emframe.Positive())


@dataclass(frozen=True)
class Exponential(emframe.ExponentialFamily):
    """The shortest there is: one statistic, its axis dropped."""

    name = "exponential"
    parameters = RateParameters
    support = emframe.Positive()

    def statistics(self, x: Array) -> Array:
        return x[:, 0]

    def natural(self, params: RateParameters) -> Array:
        return -params.rate

    def log_partition(self, params: RateParameters) -> Array:
        return -np.log(params.rate)

    def from_mean(self, mean: Array) -> RateParameters:
        return RateParameters(1 / mean)

    def sample(self, params: RateParameters, labels: Any, rng: np.random.Generator) -> Array:
        return rng.exponential(1 / params.rate[labels])


@dataclass(frozen=True)
class ScaleParameters:
    scales: Array = parameter(emframe.Positive(), shape="d")


@dataclass(frozen=True)
class Rayleigh(emframe.ExponentialFamily):
    """Any number of columns, with a base measure."""

    name = "rayleigh"
    parameters = ScaleParameters
    support = emframe.Positive()

    def statistics(self, x: Array) -> Array:
        return x**2

    def natural(self, params: ScaleParameters) -> Array:
        return -0.5 / params.scales**2

    def log_partition(self, params: ScaleParameters) -> Array:
        return 2 * np.log(params.scales).sum(axis=1)

    def from_mean(self, mean: Array) -> ScaleParameters:
        return ScaleParameters(np.sqrt(mean / 2))

    def log_base(self, x: Array) -> Array:
        return np.log(x).sum(axis=1)

    def sample(self, params: ScaleParameters, labels: Any, rng: np.random.Generator) -> Array:
        return rng.rayleigh(params.scales[labels])


@dataclass(frozen=True)
class ProbabilityParameters:
    probs: Array = parameter(emframe.UnitInterval())


@dataclass(frozen=True)
class Geometric(emframe.ExponentialFamily):
    """Failures before a success; a closed parameter space of which one end is no density."""

    name = "geometric"
    parameters = ProbabilityParameters
    support = emframe.NonNegativeInteger()

    def statistics(self, x: Array) -> Array:
        return x

    def natural(self, params: ProbabilityParameters) -> Array:
        return np.log1p(-params.probs)

    def log_partition(self, params: ProbabilityParameters) -> Array:
        return -np.log(params.probs)

    def from_mean(self, mean: Array) -> ProbabilityParameters:
        return ProbabilityParameters(1 / (1 + mean))

    def sample(self, params: ProbabilityParameters, labels: Any, rng: np.random.Generator) -> Array:
        return rng.geometric(params.probs[labels]) - 1.0


@dataclass(frozen=True)
class Binomial(emframe.ExponentialFamily):
    """Successes in a known number of trials; more are impossible under every parameter."""

    trials: int = 10

    name = "binomial"
    parameters = ProbabilityParameters
    support = emframe.NonNegativeInteger()

    def statistics(self, x: Array) -> Array:
        return np.concatenate([x, self.trials - x], axis=1)

    def natural(self, params: ProbabilityParameters) -> Array:
        return np.stack([np.log(params.probs), np.log1p(-params.probs)], axis=1)

    def log_partition(self, params: ProbabilityParameters) -> Array:
        return np.zeros(len(params.probs))

    def from_mean(self, mean: Array) -> ProbabilityParameters:
        return ProbabilityParameters(np.minimum(mean[:, 0] / self.trials, 1.0))

    def log_base(self, x: Array) -> Array:
        k, n = x[:, 0], float(self.trials)
        inside = -np.log(n + 1) - special.betaln(n - np.minimum(k, n) + 1, k + 1)
        return np.where(k <= n, inside, -np.inf)

    def sample(self, params: ProbabilityParameters, labels: Any, rng: np.random.Generator) -> Array:
        return rng.binomial(self.trials, params.probs[labels])


@dataclass(frozen=True)
class LocationScale:
    locations: Array = parameter(emframe.Real())
    scales: Array = parameter(emframe.Positive())


@dataclass(frozen=True)
class KeptRows:
    """Statistics of a family that has no sufficient ones: the rows themselves."""

    x: Array
    resp: Array

    def __add__(self, other: KeptRows) -> KeptRows:
        return KeptRows(np.append(self.x, other.x), np.concatenate([self.resp, other.resp]))


class RowKeeping(emframe.Family):
    """The full lane for one column, on kept rows."""

    def accumulate(self, x: Array, resp: Array) -> KeptRows:
        return KeptRows(x[:, 0].copy(), resp.copy())

    def expected(self, statistics: KeptRows, params: Any) -> float:
        density = self.log_density(params, statistics.x[:, None])
        return float(np.where(statistics.resp > 0, statistics.resp * density, 0.0).sum())


class Laplace(RowKeeping):
    """Not differentiable at its maximum; a plain class without settings."""

    name = "laplace"
    parameters = LocationScale

    def log_density(self, params: LocationScale, x: Array) -> Array:
        return -np.log(2 * params.scales) - np.abs(x - params.locations) / params.scales

    def m_step(self, statistics: KeptRows, previous: LocationScale | None) -> LocationScale:
        order = np.argsort(statistics.x)
        x, resp = statistics.x[order], statistics.resp[order]
        found = []
        for k, weight in enumerate(resp.T):
            if not weight.any():
                if previous is None:
                    raise emframe.Degenerate("no row", k)
                found.append((previous.locations[k], previous.scales[k]))
                continue
            median = x[np.searchsorted(np.cumsum(weight), 0.5 * weight.sum())]
            scale = weight @ np.abs(x - median) / weight.sum()
            if scale <= 0:
                raise emframe.Degenerate("all rows in one place", k)
            found.append((median, scale))
        return LocationScale(*np.array(found).T)

    def sample(self, params: LocationScale, labels: Any, rng: np.random.Generator) -> Array:
        return rng.laplace(params.locations[labels], params.scales[labels])


class Cauchy(RowKeeping):
    """Heavy tails, and a generalised M-step: one of reweighted least squares."""

    name = "cauchy"
    parameters = LocationScale
    contract = emframe.Contract.GENERALISED

    def log_density(self, params: LocationScale, x: Array) -> Array:
        z = (x - params.locations) / params.scales
        return -np.log(np.pi * params.scales) - np.log1p(z**2)

    def m_step(self, statistics: KeptRows, previous: LocationScale | None) -> LocationScale:
        x, resp = statistics.x[:, None], statistics.resp
        counts = resp.sum(axis=0)
        empty = counts <= 0
        if previous is None:
            middle = np.median(x)
            spread = np.median(np.abs(x - middle)) + 1e-3
            previous = LocationScale(np.full(len(counts), middle), np.full(len(counts), spread))
        z = (x - previous.locations) / previous.scales
        pull = resp * 2 / (1 + z**2)
        total = np.where(empty, 1.0, pull.sum(axis=0))
        location = (pull * x).sum(axis=0) / total
        variance = (pull * (x - location) ** 2).sum(axis=0) / np.where(empty, 1.0, counts)
        if not (variance[~empty] > 0).all():
            raise emframe.Degenerate("all rows in one place")
        return LocationScale(
            np.where(empty, previous.locations, location),
            np.where(empty, previous.scales, np.sqrt(variance)),
        )

    def sample(self, params: LocationScale, labels: Any, rng: np.random.Generator) -> Array:
        return params.locations[labels] + params.scales[labels] * rng.standard_cauchy(len(labels))


class Gumbel(RowKeeping):
    """A tail so steep that its log density overflows; an exact M-step by root finding."""

    name = "gumbel"
    parameters = LocationScale

    def log_density(self, params: LocationScale, x: Array) -> Array:
        z = (x - params.locations) / params.scales
        return -np.log(params.scales) - z - np.exp(-z)

    def m_step(self, statistics: KeptRows, previous: LocationScale | None) -> LocationScale:
        found = []
        for k, column in enumerate(statistics.resp.T):
            x, weight = statistics.x[column > 0], column[column > 0]
            total = weight.sum()
            if total <= 0:
                if previous is None:
                    raise emframe.Degenerate("no row", k)
                found.append((previous.locations[k], previous.scales[k]))
                continue
            mean, low = weight @ x / total, x.min()
            spread = np.sqrt(weight @ (x - mean) ** 2 / total)
            if spread <= 1e-12 * (1 + np.abs(mean)):
                raise emframe.Degenerate("all rows in one place", k)

            def slope(scale: float, tail: Array = x - low, weight: Array = weight) -> float:
                tilt = weight * np.exp(-tail / scale)
                return float(scale - weight @ tail / weight.sum() + tilt @ tail / tilt.sum())

            narrow, wide = 1e-4 * spread, 1e4 * spread
            if slope(narrow) * slope(wide) > 0:
                raise emframe.Degenerate("one row outweighs the others", k)
            scale = optimize.brentq(slope, narrow, wide, xtol=1e-14, rtol=1e-13)
            location = low - scale * np.log(weight @ np.exp(-(x - low) / scale) / total)
            found.append((location, scale))
        return LocationScale(*np.array(found).T)

    def sample(self, params: LocationScale, labels: Any, rng: np.random.Generator) -> Array:
        return rng.gumbel(params.locations[labels], params.scales[labels])


@dataclass(frozen=True)
class ShapeParameters:
    a: Array = parameter(emframe.Positive())
    b: Array = parameter(emframe.Positive())


@dataclass(frozen=True)
class Sums:
    totals: Array  # (K, 2)
    counts: Array  # (K,)

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.totals + other.totals, self.counts + other.counts)


@dataclass(frozen=True)
class Beta(emframe.Family):
    """A numeric M-step that stops early and accepts only an increase, of all components at once."""

    name = "beta"
    parameters = ShapeParameters
    support = emframe.UnitInterval()
    contract = emframe.Contract.GENERALISED

    def log_density(self, params: ShapeParameters, x: Array) -> Array:
        a, b = params.a, params.b
        return (a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - special.betaln(a, b)

    def accumulate(self, x: Array, resp: Array) -> Sums:
        terms = np.concatenate([np.log(x), np.log1p(-x)], axis=1)
        return Sums(resp.T @ terms, resp.sum(axis=0))

    def expected(self, statistics: Sums, params: ShapeParameters) -> float:
        a, b = params.a, params.b
        inner = statistics.totals[:, 0] * (a - 1) + statistics.totals[:, 1] * (b - 1)
        return float((inner - statistics.counts * special.betaln(a, b)).sum())

    def m_step(self, statistics: Sums, previous: ShapeParameters | None) -> ShapeParameters:
        k = len(statistics.counts)
        start = ShapeParameters(np.ones(k), np.ones(k)) if previous is None else previous
        if not (statistics.counts > 0).any():
            return start
        used = statistics.counts > 0

        def loss(vector: Array) -> float:
            a, b = np.exp(np.clip(vector, -20, 20)).reshape(2, k)
            params = ShapeParameters(np.where(used, a, start.a), np.where(used, b, start.b))
            return -self.expected(statistics, params)

        here = np.log(np.concatenate([start.a, start.b]))
        best = optimize.minimize(loss, here, method="BFGS", options={"maxiter": 15})
        if not best.fun <= loss(here):
            return start
        a, b = np.exp(np.clip(best.x, -20, 20)).reshape(2, k)
        return ShapeParameters(np.where(used, a, start.a), np.where(used, b, start.b))

    def stacked(self, k: int) -> None:
        """None: where the climb stops depends on all components."""

    def sample(self, params: ShapeParameters, labels: Any, rng: np.random.Generator) -> Array:
        return rng.beta(params.a[labels], params.b[labels])


class Answers(emframe.Space):
    """One of three answers, 0, 1 or 2: a space that emframe does not know."""

    words = "0, 1 or 2"
    discrete = True
    bounded = True

    def contains(self, values: Array) -> Any:
        return np.isin(values, (0.0, 1.0, 2.0))

    def coordinates(self, values: Array) -> Array:
        return np.ravel(values) - 1.0

    def point(self, vector: Array, shape: Any) -> Array:
        return np.clip(np.rint(np.reshape(vector, shape)), -1, 1) + 1.0


@dataclass(frozen=True)
class AnswerParameters:
    shares: Array = parameter(emframe.Simplex(), shape=3)


@dataclass(frozen=True)
class Categorical(emframe.ExponentialFamily):
    """A column of three answers, its statistics one-hot."""

    name = "categorical"
    parameters = AnswerParameters
    support = Answers()

    def statistics(self, x: Array) -> Array:
        return (x == np.arange(3)).astype(float)

    def natural(self, params: AnswerParameters) -> Array:
        return np.log(params.shares)

    def log_partition(self, params: AnswerParameters) -> Array:
        return np.zeros(len(params.shares))

    def from_mean(self, mean: Array) -> AnswerParameters:
        return AnswerParameters(mean / mean.sum(axis=1, keepdims=True))

    def sample(self, params: AnswerParameters, labels: Any, rng: np.random.Generator) -> Array:
        levels = np.cumsum(params.shares, axis=1)[:, :2]
        return (rng.random((len(labels), 1)) > levels[labels]).sum(axis=1)


class Circle(emframe.Space):
    """Angles in (-pi, pi]."""

    words = "angles above -pi, up to pi"
    bounded = True

    def contains(self, values: Array) -> Any:
        return (values > -np.pi) & (values <= np.pi)

    def coordinates(self, values: Array) -> Array:
        return np.ravel(values)

    def point(self, vector: Array, shape: Any) -> Array:
        return np.pi - np.mod(np.pi - np.reshape(vector, shape), 2 * np.pi)


@dataclass(frozen=True)
class AngleParameters:
    directions: Array = parameter(Circle())
    concentrations: Array = parameter(emframe.Positive())


class VonMises(emframe.ExponentialFamily):
    """Angles; the mean map is inverted by root finding."""

    name = "von mises"
    parameters = AngleParameters
    support = Circle()

    def statistics(self, x: Array) -> Array:
        return np.concatenate([np.cos(x), np.sin(x)], axis=1)

    def natural(self, params: AngleParameters) -> Array:
        angles = np.stack([np.cos(params.directions), np.sin(params.directions)], axis=1)
        return params.concentrations[:, None] * angles

    def log_partition(self, params: AngleParameters) -> Array:
        kappa = params.concentrations
        return np.log(2 * np.pi * special.i0e(kappa)) + kappa

    def from_mean(self, mean: Array) -> AngleParameters:
        lengths = np.hypot(mean[:, 0], mean[:, 1])
        found = []
        for k, length in enumerate(lengths):
            if not 1e-9 < length < 1 - 1e-9:
                raise emframe.Degenerate("no direction, or all rows in one", k)

            def gap(log_kappa: float, length: float = length) -> float:
                kappa = np.exp(log_kappa)
                return float(special.i1e(kappa) / special.i0e(kappa) - length)

            found.append(np.exp(optimize.brentq(gap, -25, 25, xtol=1e-13)))
        return AngleParameters(np.arctan2(mean[:, 1], mean[:, 0]), np.array(found))

    def sample(self, params: AngleParameters, labels: Any, rng: np.random.Generator) -> Array:
        return rng.vonmises(params.directions[labels], params.concentrations[labels])


@dataclass(frozen=True)
class DirichletParameters:
    concentrations: Array = parameter(emframe.Positive(), shape="d")


@dataclass(frozen=True)
class Dirichlet(emframe.ExponentialFamily):
    """Rows that are one value of a space; a generalised M-step (Minka 2000)."""

    name = "dirichlet"
    parameters = DirichletParameters
    support = emframe.Simplex()
    contract = emframe.Contract.GENERALISED

    def statistics(self, x: Array) -> Array:
        return np.log(x)

    def natural(self, params: DirichletParameters) -> Array:
        return params.concentrations - 1

    def log_partition(self, params: DirichletParameters) -> Array:
        alpha = params.concentrations
        return special.gammaln(alpha).sum(axis=1) - special.gammaln(alpha.sum(axis=1))

    def from_mean(self, mean: Array) -> DirichletParameters:
        raise NotImplementedError  # m_step has the previous parameters, which this lacks

    def m_step(self, statistics: Any, previous: Any) -> DirichletParameters:
        counts = statistics.counts[:, None]
        mean = statistics.totals / np.where(counts > 0, counts, 1.0)
        alpha = np.ones_like(mean) if previous is None else previous.concentrations
        target = special.digamma(alpha.sum(axis=1, keepdims=True)) + mean
        new = _inverse_digamma(target)
        return DirichletParameters(np.where(counts > 0, new, alpha))

    def sample(self, params: DirichletParameters, labels: Any, rng: np.random.Generator) -> Array:
        gammas = rng.standard_gamma(params.concentrations[labels])
        return gammas / gammas.sum(axis=1, keepdims=True)


def _inverse_digamma(y: Array) -> Array:
    x = np.where(y >= -2.22, np.exp(y) + 0.5, -1 / (y - special.digamma(1.0)))
    for _ in range(30):
        x = np.maximum(x - (special.digamma(x) - y) / special.polygamma(1, x), 1e-300)
    return np.asarray(x)


@dataclass(frozen=True)
class Lifetimes(emframe.ExponentialFamily):
    """Exponential times, of which those beyond the row's limit are known to be beyond it.

    Rows are (time, whether it was the end); of one that ended the limit is not told.
    """

    limits: tuple[float, ...] = (1.0,)  # of the rows that are drawn, in turn

    name = "lifetimes"
    parameters = RateParameters
    width = 2
    support = ColumnsIn((emframe.Positive(), emframe.Binary()))

    def statistics(self, x: Array) -> Array:
        return x

    def natural(self, params: RateParameters) -> Array:
        return np.stack([-params.rate, np.log(params.rate)], axis=1)

    def log_partition(self, params: RateParameters) -> Array:
        return np.zeros(len(params.rate))

    def from_mean(self, mean: Array) -> RateParameters:
        never = mean[:, 1] <= 0
        if never.any():
            raise emframe.Degenerate("no time has ended", int(never.argmax()))
        return RateParameters(mean[:, 1] / mean[:, 0])

    def given(self, x: Array) -> emframe.Family:
        return replace(self, limits=tuple(map(float, x[:, 0])))

    def outcomes(self, row: Array) -> list[Outcome]:
        end = float(row[0])
        return [Outcome([end, 1.0], (0,), emframe.Interval(0.0, end)), Outcome([end, 0.0])]

    def sample(self, params: RateParameters, labels: Any, rng: np.random.Generator) -> Array:
        limits = np.resize(self.limits, len(labels))
        times = rng.exponential(1 / params.rate[labels])
        return np.stack([np.minimum(times, limits), times < limits], axis=1).astype(float)


HONEST: tuple[emframe.Family, ...] = (
    Lifetimes(),
    Exponential(),
    Rayleigh(),
    Geometric(),
    Binomial(),
    Laplace(),
    Cauchy(),
    Gumbel(),
    Beta(),
    Categorical(),
    VonMises(),
    Dirichlet(),
)
