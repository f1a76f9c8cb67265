"""Families that are wrong on purpose, each in one way, and the checks that have to say so.

Most are one method away from `Normal`, which is honest: independent normal columns, told in the
full lane by raw sums.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from emframe_families.counting.poisson import Poisson, PoissonParameters
from emframe_families.growth.linear_mixed import LinearMixed
from emframe_families.items.bernoulli import Bernoulli
from emframe_families.regressions.gaussian import GaussianRegression
from honest import Lifetimes
from scipy import special

import emframe
from emframe import Array, parameter
from emframe.families import Densities
from emframe.parameters import keep


@dataclass(frozen=True)
class NormalParameters:
    means: Array = parameter(emframe.Real(), shape="d")
    variances: Array = parameter(emframe.Positive(), shape="d")


@dataclass(frozen=True)
class Sums:
    counts: Array  # (K, 1)
    first: Array  # (K, d)
    second: Array  # (K, d)

    def __add__(self, other: Sums) -> Sums:
        return replace(
            self,
            counts=self.counts + other.counts,
            first=self.first + other.first,
            second=self.second + other.second,
        )


@dataclass(frozen=True)
class Normal(emframe.Family):
    name = "normal"
    parameters = NormalParameters
    support = emframe.Real()

    def log_density(self, params: Any, x: Array) -> Array:
        z2 = (x[:, None, :] - params.means) ** 2 / params.variances
        return -0.5 * (z2 + np.log(2 * np.pi * params.variances)).sum(axis=2)

    def accumulate(self, x: Array, resp: Array) -> Sums:
        return Sums(resp.sum(axis=0)[:, None], resp.T @ x, resp.T @ x**2)

    def expected(self, statistics: Sums, params: Any) -> float:
        s, mean = statistics, params.means
        about = s.second - 2 * mean * s.first + s.counts * mean**2
        constant = s.counts * np.log(2 * np.pi * params.variances)
        return float(-0.5 * (about / params.variances + constant).sum())

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        s = statistics
        empty = s.counts[:, 0] <= 0
        counts = np.where(empty[:, None], 1.0, s.counts)
        mean = s.first / counts
        variance = s.second / counts - mean**2
        if (variance[~empty] <= 1e-12).any() or (previous is None and empty.any()):
            raise emframe.Degenerate("too few rows")
        params = NormalParameters(mean, variance)
        return keep(empty, previous, params) if empty.any() else params

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return rng.normal(params.means[labels], np.sqrt(params.variances[labels]))


def changed(params: NormalParameters, **how: Any) -> NormalParameters:
    return replace(params, **{name: change(getattr(params, name)) for name, change in how.items()})


# ---- the density


class StopsCounting(Normal):
    """Takes the rows in parts of 1,000 and forgets the last one, where there are several."""

    def accumulate(self, x: Array, resp: Array) -> Sums:
        n = len(x) if len(x) < 1000 else len(x) // 1000 * 1000
        return super().accumulate(x[:n], resp[:n])


class SinglePrecisionRows(Normal):
    """Rounds the rows to single precision, in the density and in the sums alike."""

    def log_density(self, params: Any, x: Array) -> Array:
        return super().log_density(params, x.astype(np.float32).astype(float))

    def accumulate(self, x: Array, resp: Array) -> Sums:
        return super().accumulate(x.astype(np.float32).astype(float), resp)


class SinglePrecisionParameters(Normal):
    """Answers in single precision."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        found = super().m_step(statistics, previous)
        return changed(found, means=np.float32, variances=np.float32)


class RestartsEmpty(Normal):
    """Puts a component without rows at a random place."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        found = super().m_step(statistics, previous)
        empty = statistics.counts <= 0
        moved = np.random.default_rng().normal(size=found.means.shape)
        return changed(found, means=lambda means: np.where(empty, moved, means))


class OnlyTheMeanMoves(Normal):
    """A generalised M-step that fits the variance at a start, and never again."""

    contract = emframe.Contract.GENERALISED

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        found = super().m_step(statistics, previous)
        return found if previous is None else replace(found, variances=previous.variances)


class MakesWriteable(Normal):
    """Takes the lock off its argument, and centres it in place."""

    def accumulate(self, x: Array, resp: Array) -> Sums:
        x.flags.writeable = True
        x -= 0.0
        return super().accumulate(x, resp)


class WithoutConstant(Normal):
    """log_density and expected both lack log sqrt(2 pi) of every column."""

    def log_density(self, params: Any, x: Array) -> Array:
        return super().log_density(params, x) + 0.5 * x.shape[1] * math.log(2 * math.pi)

    def expected(self, statistics: Sums, params: Any) -> float:
        surplus = 0.5 * params.means.shape[1] * math.log(2 * math.pi)
        return super().expected(statistics, params) + surplus * float(statistics.counts.sum())


class ConstantOfOneColumn(WithoutConstant):
    """The constant of one column, however many there are."""

    def log_density(self, params: Any, x: Array) -> Array:
        return super().log_density(params, x) - 0.5 * math.log(2 * math.pi)

    def expected(self, statistics: Sums, params: Any) -> float:
        surplus = 0.5 * math.log(2 * math.pi) * float(statistics.counts.sum())
        return super().expected(statistics, params) - surplus


@dataclass(frozen=True)
class Textbook(emframe.ExponentialFamily):
    """Poisson columns as textbooks have them, which is right for counts of ordinary size."""

    name = "textbook-poisson"
    parameters = PoissonParameters
    support = emframe.NonNegativeInteger(largest=1e6)

    def statistics(self, x: Array) -> Array:
        return x

    def natural(self, params: Any) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(params.rates)

    def log_partition(self, params: Any) -> Array:
        return params.rates.sum(axis=1)

    def from_mean(self, mean: Array) -> Any:
        return PoissonParameters(mean)

    def log_base(self, x: Array) -> Array:
        return -special.gammaln(x + 1).sum(axis=1)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return rng.poisson(params.rates[labels]).astype(float)


class CountsInShort(Textbook):
    """Counts in 8 bits, which end at 127."""

    def statistics(self, x: Array) -> Array:
        return x.astype(np.int64).astype(np.int8).astype(float)


class WithoutBase(Textbook):
    """The base measure -log x! is left out."""

    def log_base(self, x: Array) -> Array:
        return np.zeros(len(x))


class FactorialOverflow(Textbook):
    """x! is computed before its logarithm is taken, and overflows at 171."""

    def log_base(self, x: Array) -> Array:
        return -np.log(special.factorial(x)).sum(axis=1)


class HalfTheSupport(Normal):
    """Declares a support on which its density has only part of its mass."""

    support = emframe.Positive()


class BatchCentred(Normal):
    """Subtracts the average log density of the batch."""

    def log_density(self, params: Any, x: Array) -> Array:
        density = super().log_density(params, x)
        return density - density.mean()


class BatchScaled(Normal):
    """Standardises the rows by the batch that they come in, a little."""

    def log_density(self, params: Any, x: Array) -> Array:
        return super().log_density(params, x - 1e-6 * x.mean(axis=0))


class AcrossComponents(Normal):
    """Returns log posteriors in place of log densities."""

    def log_density(self, params: Any, x: Array) -> Array:
        return np.asarray(special.log_softmax(super().log_density(params, x), axis=1))


class FirstVariance(Normal):
    """Every component is given the variances of the first, in the density and in its sum."""

    def log_density(self, params: Any, x: Array) -> Array:
        return super().log_density(changed(params, variances=lambda v: v[:1] + 0 * v), x)


class SecretlyTied(Normal):
    """Consistent throughout, but the variances of the first component serve all."""

    def _tie(self, params: Any) -> Any:
        return changed(params, variances=lambda v: v[:1] + 0 * v)

    def log_density(self, params: Any, x: Array) -> Array:
        return super().log_density(self._tie(params), x)

    def expected(self, statistics: Sums, params: Any) -> float:
        return super().expected(statistics, self._tie(params))

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        counts, params = statistics.counts, super().m_step(statistics, previous)
        return changed(params, variances=lambda v: (counts * v).sum(axis=0) / counts.sum() + 0 * v)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return super().sample(self._tie(params), labels, rng)


class Underflow(Normal):
    """Computes the density, then its logarithm."""

    def log_density(self, params: Any, x: Array) -> Array:
        return np.log(np.exp(super().log_density(params, x)))


class Floor(Normal):
    """A tiny number is added so that the logarithm exists."""

    def log_density(self, params: Any, x: Array) -> Array:
        return np.log(np.exp(super().log_density(params, x)) + 1e-300)


class NaNFarAway(Normal):
    """Infinity times zero in the tail."""

    def log_density(self, params: Any, x: Array) -> Array:
        z = np.abs(x[:, None, :] - params.means) / np.sqrt(params.variances)
        decay = (np.exp(z) * np.exp(-z)).sum(axis=2) / x.shape[1]
        return super().log_density(params, x) * decay


class CountsItsPiecesTwice(Normal):
    """The pieces of its components have all rows twice."""

    def pieces(self, params: Any, x: Array, shares: Array) -> Any:
        found = super().pieces(params, x, shares)
        return found._replace(shares=2.0 * found.shares)


class PiecesOfOthers(Normal):
    """What it says to be the density of a piece is that of one half as wide."""

    def pieces(self, params: Any, x: Array, shares: Array) -> Any:
        return super().pieces(changed(params, variances=lambda v: 0.25 * v), x, shares)


class FreeAndBounded(Poisson):
    """It says that a probability can shrink to a point."""

    def freedom(self, params: Any, k: int) -> Any:
        return np.ones(k, dtype=int)


class CutOff(Normal):
    """Impossible beyond thirty standard deviations."""

    def log_density(self, params: Any, x: Array) -> Array:
        z = np.abs(x[:, None, :] - params.means) / np.sqrt(params.variances)
        return np.where((z > 30).any(axis=2), -np.inf, super().log_density(params, x))


# ---- declarations


@dataclass(frozen=True)
class RealVariances:
    means: Array = parameter(emframe.Real(), shape="d")
    variances: Array = parameter(emframe.Real(), shape="d")


class WrongSpace(Normal):
    """Variances are declared real, so negative ones are valid."""

    parameters = RealVariances


@dataclass(frozen=True)
class ShortVariances:
    means: Array = parameter(emframe.UnitInterval(), shape="d")
    variances: Array = parameter(emframe.Positive(), shape="d")


class NarrowSpace(Normal):
    """Means are declared to lie between 0 and 1, which m_step does not know."""

    parameters = ShortVariances

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        params = super().m_step(statistics, None)
        return ShortVariances(params.means, params.variances)


class Transposed(Normal):
    """log_density of shape (K, n)."""

    def log_density(self, params: Any, x: Array) -> Array:
        return super().log_density(params, x).T


class Tuple(Normal):
    """m_step returns a dict in place of the declared dataclass."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        return vars(super().m_step(statistics, previous))


@dataclass
class Thawed:
    means: Array = parameter(emframe.Real(), shape="d")
    variances: Array = parameter(emframe.Positive(), shape="d")


class NotFrozen(Normal):
    """Parameters that anybody may change."""

    parameters = Thawed


# ---- statistics


class ExpectedWithoutConstant(Normal):
    """`expected` lacks the constant that log_density has."""

    def expected(self, statistics: Sums, params: Any) -> float:
        surplus = 0.5 * math.log(2 * math.pi) * float(statistics.counts.sum())
        return super().expected(statistics, params) + surplus


class ExpectedAtItsOwnMean(Normal):
    """`expected` centres at the weighted mean, whatever the parameters."""

    def expected(self, statistics: Sums, params: Any) -> float:
        own = replace(params, means=statistics.first / np.maximum(statistics.counts, 1e-300))
        return super().expected(statistics, own)


class IgnoresResponsibilities(Normal):
    """Every component gets every row."""

    def accumulate(self, x: Array, resp: Array) -> Sums:
        return super().accumulate(x, np.broadcast_to(resp.mean(axis=1)[:, None], resp.shape))


class HardResponsibilities(Normal):
    """Rows go to the component that is most responsible."""

    def accumulate(self, x: Array, resp: Array) -> Sums:
        hard = (resp == resp.max(axis=1, keepdims=True)) * resp.sum(axis=1, keepdims=True)
        return super().accumulate(x, hard)


class DropsWeights(Normal):
    """Responsibilities are scaled to sum to 1, which takes the row weights out."""

    def accumulate(self, x: Array, resp: Array) -> Sums:
        sums = resp.sum(axis=1, keepdims=True)
        return super().accumulate(x, resp / np.where(sums > 0, sums, 1.0))


class WholeWeights(Normal):
    """Row weights are rounded to whole numbers; on a wholly weighted row nothing is wrong."""

    def accumulate(self, x: Array, resp: Array) -> Sums:
        sums = resp.sum(axis=1, keepdims=True)
        return super().accumulate(x, resp * np.maximum(np.rint(sums), 1) / np.maximum(sums, 1e-9))


class SinglePrecision(Normal):
    """Sums in float32."""

    def accumulate(self, x: Array, resp: Array) -> Sums:
        return super().accumulate(x.astype(np.float32), resp.astype(np.float32))


@dataclass(frozen=True)
class FirstBlock(Sums):
    def __add__(self, other: Sums) -> Sums:
        return self


class DropsSecondBlock(Normal):
    """+ returns its first summand."""

    def accumulate(self, x: Array, resp: Array) -> Sums:
        return FirstBlock(**vars(super().accumulate(x, resp)))


@dataclass(frozen=True)
class InPlace(Sums):
    def __add__(self, other: Sums) -> Sums:
        for name in ("counts", "first", "second"):
            getattr(self, name)[...] += getattr(other, name)
        return self


class AddsInPlace(Normal):
    """+ changes its first summand, and returns it."""

    def accumulate(self, x: Array, resp: Array) -> Sums:
        return InPlace(**vars(super().accumulate(x, resp)))


@dataclass(frozen=True)
class Averages(Sums):
    def __add__(self, other: Sums) -> Sums:
        both = super().__add__(other)
        mean = 0.5 * (self.first / self.counts + other.first / other.counts)
        return replace(both, first=mean * both.counts)


class MeanOfMeans(Normal):
    """+ averages the means of two blocks, as if they were of one size."""

    def accumulate(self, x: Array, resp: Array) -> Sums:
        return Averages(**vars(super().accumulate(x, resp)))


@dataclass(frozen=True)
class WithSpread(Sums):
    spread: Any = None

    def __add__(self, other: Sums) -> Sums:
        return super().__add__(other)  # the spread stays that of the first block


class StaleInBlocks(Normal):
    """A part that only m_step reads is not added up."""

    def accumulate(self, x: Array, resp: Array) -> Sums:
        sums = super().accumulate(x, resp)
        counts = np.maximum(sums.counts, 1e-300)
        spread = sums.second / counts - (sums.first / counts) ** 2
        return WithSpread(**vars(sums), spread=spread)

    def m_step(self, statistics: Any, previous: Any) -> Any:
        params = super().m_step(statistics, previous)
        spread = np.maximum(statistics.spread, 1e-9)
        return replace(params, variances=np.where(statistics.counts > 0, spread, params.variances))


class TrustsTheFirstRow(Normal):
    """The first row counts a little more than its weight."""

    def accumulate(self, x: Array, resp: Array) -> Sums:
        more = np.ones((len(x), 1))
        more[0] = 1.001
        return super().accumulate(x, resp * more)


# ---- the M-step


class Unbiased(Normal):
    """The variance with divisor n - 1."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        n = statistics.counts
        params = super().m_step(statistics, previous)
        grow = np.where(n > 1.5, n / np.maximum(n - 1, 0.5), 1.0)
        return changed(params, variances=lambda v: v * grow)


class BiasedMean(Normal):
    """Means are too large by one in a thousand."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        return changed(super().m_step(statistics, previous), means=lambda m: m * 1.001)


class PooledVariance(Normal):
    """A tenth of each variance comes from the other components."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        params = super().m_step(statistics, previous)
        return changed(params, variances=lambda v: 0.9 * v + 0.1 * v.mean(axis=0))


class EqualCounts(Normal):
    """Means are divided by the average count."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        params = super().m_step(statistics, previous)
        counts = statistics.counts
        return changed(params, means=lambda m: m * counts / counts.mean())


class Ridge(Normal):
    """A little is added to every variance, unasked and outside the objective."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        return changed(super().m_step(statistics, previous), variances=lambda v: v + 1e-3)


class TinyRidge(Normal):
    """The same, so small that only data in small units show it."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        return changed(super().m_step(statistics, previous), variances=lambda v: v + 1e-6)


class Clipped(Bernoulli):
    """Probabilities are kept from the boundary, where their maximum often is."""

    def from_mean(self, mean: Array) -> Any:
        return changed(super().from_mean(mean), probs=lambda p: np.clip(p, 0.01, 0.99))


class KeptOffZero(Bernoulli):
    """What was never seen keeps a probability of 1e-9, which costs next to nothing."""

    def from_mean(self, mean: Array) -> Any:
        return changed(super().from_mean(mean), probs=lambda p: np.clip(p, 1e-9, 1 - 1e-9))


@dataclass(frozen=True)
class MissingIsNo(Bernoulli):
    """An answer that is missing counts as one of them."""

    missing: bool = True

    def statistics(self, x: Array) -> Array:
        return super().statistics(np.nan_to_num(x))


class Stale(Normal):
    """Once it has parameters it returns them for ever."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        return super().m_step(statistics, None) if previous is None else previous


class StaleGeneralised(Stale):
    """The same, under a promise that it nearly keeps."""

    contract = emframe.Contract.GENERALISED


class Overshoots(Normal):
    """Goes three times as far as it should."""

    contract = emframe.Contract.GENERALISED

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        best = super().m_step(statistics, previous)
        if previous is None:
            return best
        return replace(best, means=previous.means + 3 * (best.means - previous.means))


class Drifts(Normal):
    """Where there is nothing left to gain it moves all the same."""

    contract = emframe.Contract.GENERALISED

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        best = super().m_step(statistics, previous)
        if previous is None:
            return best
        gain = self.expected(statistics, best) - self.expected(statistics, previous)
        return changed(best, means=lambda m: m + 0.3) if gain < 1.0 else best


class AlwaysDegenerate(Normal):
    """Never has an answer."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        raise emframe.Degenerate("not today")


class EmptyIsNaN(Normal):
    """Divides by the count of a component without rows."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        params = super().m_step(statistics, previous)
        lost = statistics.counts <= 0
        return changed(params, means=lambda m: np.where(lost, np.nan, m))


class EmptyIsDegenerate(Normal):
    """Gives up where a component has no row."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        empty = statistics.counts[:, 0] <= 0
        if empty.any():
            raise emframe.Degenerate("no rows", int(empty.argmax()))
        return super().m_step(statistics, previous)


class HalvesTogether(Normal):
    """A generalised M-step that goes part of the way, as far as the farthest component may."""

    contract = emframe.Contract.GENERALISED

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        best = super().m_step(statistics, previous)
        if previous is None:
            return best
        move = best.means - previous.means
        return replace(best, means=previous.means + move / max(1.0, np.abs(move).max()))


class BreaksTiesByOrder(Normal):
    """Goes all the way for the first component, and half of it for the others."""

    contract = emframe.Contract.GENERALISED

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        best = super().m_step(statistics, previous)
        if previous is None:
            return best
        share = np.where(np.arange(len(best.means)) == 0, 1.0, 0.5)[:, None]
        return replace(best, means=previous.means + share * (best.means - previous.means))


# ---- the sampler


class VarianceForScale(Normal):
    """Takes the variance for the standard deviation."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return rng.normal(params.means[labels], params.variances[labels])


class ScaleOff(Normal):
    """Draws with a scale five percent too large."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return rng.normal(params.means[labels], 1.05 * np.sqrt(params.variances[labels]))


class WrongShape(Normal):
    """Right mean and variance, wrong distribution."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return rng.laplace(params.means[labels], np.sqrt(params.variances[labels] / 2))


class SortedByLabel(Normal):
    """Draws come back component after component."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return super().sample(params, np.sort(labels), rng)


class FirstComponentOnly(Normal):
    """All rows come from the first component."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return super().sample(params, np.zeros_like(labels), rng)


class DependentColumns(Normal):
    """One normal deviate serves all columns of a row."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        z = rng.standard_normal((len(labels), 1))
        return params.means[labels] + np.sqrt(params.variances[labels]) * z


class DependentRows(Normal):
    """Each deviate serves two rows."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        order = np.argsort(labels, kind="stable")
        n, d = len(labels), params.means.shape[1]
        z = np.empty((n, d))
        z[order] = np.repeat(rng.standard_normal((n // 2 + 1, d)), 2, axis=0)[:n]
        return params.means[labels] + np.sqrt(params.variances[labels]) * z


class DependentAnswers(Bernoulli):
    """One uniform deviate serves all columns of a row."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return (rng.random((len(labels), 1)) < params.probs[labels]).astype(float)


class CountsOff(Poisson):
    """Draws counts at a rate five percent too high."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return rng.poisson(1.05 * params.rates[labels]).astype(float)


class GlobalRandomness(Normal):
    """Draws from numpy's global state."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return np.random.normal(params.means[labels], np.sqrt(params.variances[labels]))  # noqa: NPY002


class OwnSeed(Normal):
    """The same rows at every call."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return super().sample(params, labels, np.random.default_rng(0))


class OwnEntropy(Normal):
    """A generator of its own."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return super().sample(params, labels, np.random.default_rng())


class SampleTransposed(Normal):
    """Rows and columns exchanged."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return super().sample(params, labels, rng).T


class NeedsLabels(Normal):
    """Fails where no row is asked for."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        assert labels.max() >= 0
        return super().sample(params, labels, rng)


class FractionalCounts(Poisson):
    """Draws that are no counts."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return rng.gamma(params.rates[labels])


# ---- manners


class CentresInPlace(Normal):
    """Centres the rows that it is given."""

    def accumulate(self, x: Array, resp: Array) -> Sums:
        middle = x.mean(axis=0)
        x -= middle
        sums = super().accumulate(x, resp)
        x += middle
        second = sums.second + 2 * middle * sums.first + sums.counts * middle**2
        return Sums(sums.counts, sums.first + sums.counts * middle, second)


class StandardisesStatistics(Normal):
    """m_step divides the statistics in place."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        params = super().m_step(statistics, previous)
        statistics.first[...] /= np.maximum(statistics.counts, 1e-300)
        return params


class WritesParameters(Normal):
    """sample takes the root of the variances in place, and squares them again."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        np.sqrt(params.variances, out=params.variances)
        drawn = rng.normal(params.means[labels], params.variances[labels])
        np.square(params.variances, out=params.variances)
        return drawn


@dataclass(frozen=True)
class Caches(Normal):
    """Keeps the statistics of the first rows of each shape."""

    kept: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False, init=False)

    def accumulate(self, x: Array, resp: Array) -> Sums:
        key = (*x.shape, resp.shape[1])
        self.kept[key] = self.kept.get(key, super().accumulate(x, resp))
        return self.kept[key]


@dataclass(frozen=True)
class Remembers(Normal):
    """Each M-step starts a little from the last one."""

    last: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False, init=False)

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        params = super().m_step(statistics, previous)
        before = self.last.get(params.means.shape, params.means)
        self.last[params.means.shape] = params.means
        return replace(params, means=(1 - 1e-9) * params.means + 1e-9 * before)


class Jitters(Normal):
    """A little noise of its own in every M-step."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        noise = 1e-9 * np.random.default_rng().standard_normal()
        return changed(super().m_step(statistics, previous), means=lambda m: m + noise)


@dataclass(frozen=True)
class HoldsLambda(Normal):
    """A setting that pickle cannot take."""

    link: Any = field(default=lambda x: x)


@dataclass(frozen=True)
class LosesSettings(Normal):
    """A setting that does not survive pickling."""

    power: float = 2.0

    def __getstate__(self) -> Any:
        return {}

    def __setstate__(self, state: Any) -> None:
        object.__setattr__(self, "power", 1.0)


# ---- what follows from density and M-step together


class GradientOfTheAverage(Normal):
    """`gradient` is per row, where a sum over rows belongs."""

    def gradient(self, statistics: Sums, params: Any) -> Array:
        return super().gradient(statistics, params) / (1.0 + float(statistics.counts.sum()))


class GradientUnconstrained(Normal):
    """`gradient` is with respect to the variances, not to their coordinates."""

    def gradient(self, statistics: Sums, params: Any) -> Array:
        along = super().gradient(statistics, params)
        half = len(along) // 2
        return np.concatenate([along[:half], along[half:] / params.variances.ravel()])


@dataclass(frozen=True)
class WithOffsets:
    means: Array = parameter(emframe.Real(), shape="d")
    variances: Array = parameter(emframe.Positive(), shape="d")
    offsets: Array = parameter(emframe.Real(), shape="d")


class CountsTwice(Normal):
    """A mean in two parts, of which only the sum matters."""

    parameters = WithOffsets

    def _plain(self, params: Any) -> NormalParameters:
        return NormalParameters(params.means + params.offsets, params.variances)

    def log_density(self, params: Any, x: Array) -> Array:
        return super().log_density(self._plain(params), x)

    def expected(self, statistics: Sums, params: Any) -> float:
        return super().expected(statistics, self._plain(params))

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        old = None if previous is None else self._plain(previous)
        new = super().m_step(statistics, old)
        return WithOffsets(new.means, new.variances, np.zeros_like(new.means))

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return super().sample(self._plain(params), labels, rng)


class NeverMovesTheVariance(Normal):
    """Keeps its promise not to lower Q, and never reaches a maximum."""

    contract = emframe.Contract.GENERALISED

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        new = super().m_step(statistics, previous)
        if previous is None:
            return changed(new, variances=np.ones_like)
        return replace(new, variances=previous.variances)


class FloorsTheVariance(Normal):
    """Generalised in name, and a floor in the units of one data set keeps it from rising."""

    contract = emframe.Contract.GENERALISED
    equivariant = ("scale", "shift")

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        return changed(
            super().m_step(statistics, previous), variances=lambda v: np.maximum(v, 1e-5)
        )


class CollapsesQuietly(Normal):
    """Divides whatever there is: a variance of 0, or a hair below."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        counts = np.maximum(statistics.counts, 1e-300)
        mean = statistics.first / counts
        return NormalParameters(mean, statistics.second / counts - mean**2)


class RaisesOnOneRow(Normal):
    """An exception of its own where there is no answer."""

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        try:
            return super().m_step(statistics, previous)
        except emframe.Degenerate as error:
            raise ZeroDivisionError("variance") from error


class BuildsInOrder(Normal):
    """Sorts the components of parameters that are given to it."""

    def build(self, values: Any) -> Any:
        order = np.argsort(np.asarray(values["means"])[:, 0])
        return super().build({name: np.asarray(value)[order] for name, value in values.items()})


@dataclass(frozen=True)
class KeepsASet(Normal):
    """A setting that no file holds."""

    columns_seen: frozenset[str] = frozenset({"a"})


# ---- densities given covariates


@dataclass(frozen=True)
class GivenWithoutConstant(GaussianRegression):
    """A constant that is missing from the density of the response."""

    def log_density(self, params: Any, x: Array) -> Array:
        return super().log_density(params, x) + 0.5 * np.log(2 * np.pi)


@dataclass(frozen=True)
class DrawsAboutTheOrigin(GaussianRegression):
    """Draws that forget their covariates."""

    def draw(self, params: Any, x: Array, labels: Any, rng: np.random.Generator) -> Array:
        return super().draw(params, np.zeros_like(x), labels, rng)


@dataclass(frozen=True)
class FloorGiven(GaussianRegression):
    """A floor under the density of the response, as for outliers."""

    def log_density(self, params: Any, x: Array) -> Array:
        return np.maximum(super().log_density(params, x), -50.0)


# ---- densities of what was seen of a value


@dataclass(frozen=True)
class EndsAtTheLimit(Lifetimes):
    """A time that had not ended counts as one that did, at half weight."""

    def statistics(self, x: Array) -> Array:
        return np.stack([x[:, 0], 0.5 + 0.5 * x[:, 1]], axis=1)


@dataclass(frozen=True)
class DrawsBeyondTheLimit(Lifetimes):
    """Draws of which none is beyond its limit: those are drawn again."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        limits = np.resize(self.limits, len(labels))
        rate = params.rate[labels]
        levels = rng.random(len(labels)) * -np.expm1(-rate * limits)
        return np.stack([-np.log1p(-levels) / rate, np.ones(len(labels))], axis=1)


@dataclass(frozen=True)
class ForgetsAnOutcome(Lifetimes):
    """It says that all times end."""

    def outcomes(self, row: Array) -> Any:
        return super().outcomes(row)[:1]


# ---- the kernels


@dataclass(frozen=True)
class WithoutRowTerms(Densities):
    """Leaves a term of the rows out of the blocks, and never puts it back."""

    form = "shortened"

    def meet(self, x: Array, work: Any) -> Any:
        joint, collect = super().meet(x, work)
        joint -= (x**2).sum(axis=1)
        return joint, collect


@dataclass(frozen=True)
class WithoutWeights(Densities):
    """Forgets the prior weights of the components."""

    form = "weightless"

    def meet(self, x: Array, work: Any) -> Any:
        joint, collect = super().meet(x, work)
        joint -= self.log_weights[:, None]
        return joint, collect


class LosesRowTerms(Normal):
    def kernels(self, params: Any, log_weights: Array, survey: Any) -> Any:
        yield WithoutRowTerms(self, params, log_weights)


@dataclass(frozen=True)
class SharesATerm(Densities):
    """Leaves the density of the first component out of the rows, and puts back what it has."""

    form = "of the first"

    def meet(self, x: Array, work: Any) -> Any:
        joint, collect = super().meet(x, work)
        return joint - joint[:1], lambda resp: Shortened(collect(resp), resp @ joint[0])

    def finish(self, sums: Any) -> Any:
        found = super().finish(sums.own)
        return found._replace(row_terms=float(sums.left_out.sum()))


@dataclass(frozen=True)
class Shortened:
    own: Any
    left_out: Array  # (K,)

    def __add__(self, other: Any) -> Any:
        return Shortened(self.own + other.own, self.left_out + other.left_out)


class MeetsTheFirst(Normal):
    """Right for one mixture, and wrong for several that are stacked."""

    def kernels(self, params: Any, log_weights: Array, survey: Any) -> Any:
        yield SharesATerm(self, params, log_weights)


class FastAndWrong(Normal):
    """Wrong only where rows are many."""

    def kernels(self, params: Any, log_weights: Array, survey: Any) -> Any:
        if survey.n_rows > 1000:
            yield WithoutWeights(self, params, log_weights)
        yield from super().kernels(params, log_weights, survey)


class DrawsPeopleApart(LinearMixed):
    """People who differ from each other by four times as much as the density says."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        wide = replace(params, random_covariance=16.0 * params.random_covariance)
        return super().sample(wide, labels, rng)


class VisitsApart(LinearMixed):
    """The density of visits as if each were another person's: right where there is one."""

    def log_density(self, params: Any, x: Any) -> Array:
        alone = emframe.Sequences(x.x, np.ones(len(x.x), dtype=int))
        return np.add.reduceat(super().log_density(params, alone), x.firsts, axis=0)


class PeopleOfOneVisit(LinearMixed):
    """Everything beyond a person's first visit is lost on the way into the sums."""

    def completed(self, params: Any, x: Any, resp: Array) -> Any:
        first = emframe.Sequences(x.x[x.firsts], np.ones(len(x), dtype=int))
        return super().completed(params, first, resp)


class RunsInPairs(LinearMixed):
    """Two people who stand side by side are taken for one, now and then."""

    def log_density(self, params: Any, x: Any) -> Array:
        found = super().log_density(params, x)
        return found + 1e-3 * (x.lengths == np.roll(x.lengths, 1))[:, None]


# Families over runs, beside `emframe.Grouped` of each that is wrong by rows.
OVER_RUNS: dict[type[emframe.Family], tuple[str, ...]] = {
    DrawsPeopleApart: ("sample",),
    VisitsApart: ("identity",),
    PeopleOfOneVisit: ("identity",),
    RunsInPairs: ("order", "weights"),
}
MUTANTS: dict[type[emframe.Family], tuple[str, ...]] = {
    GivenWithoutConstant: ("normalised",),
    DrawsAboutTheOrigin: ("sample",),
    FloorGiven: ("finite",),
    EndsAtTheLimit: ("normalised",),
    ForgetsAnOutcome: ("normalised", "sample"),
    DrawsBeyondTheLimit: ("sample",),
    StopsCounting: ("large",),
    SinglePrecisionRows: ("precision",),
    SinglePrecisionParameters: ("declaration",),
    CountsInShort: ("m_step",),
    RestartsEmpty: ("empty",),
    OnlyTheMeanMoves: ("recovery",),
    MakesWriteable: ("mutation",),
    WithoutConstant: ("normalised",),
    MissingIsNo: ("normalised",),
    ConstantOfOneColumn: ("normalised",),
    WithoutBase: ("normalised",),
    FactorialOverflow: ("finite",),
    HalfTheSupport: ("normalised", "draws"),
    BatchCentred: ("order", "identity"),
    BatchScaled: ("order",),
    AcrossComponents: ("components", "identity"),
    FirstVariance: ("components",),
    SecretlyTied: ("components",),
    Underflow: ("finite",),
    Floor: ("finite",),
    NaNFarAway: ("finite",),
    CutOff: ("finite",),
    WrongSpace: ("declaration",),
    NarrowSpace: ("declaration",),
    Transposed: ("declaration",),
    Tuple: ("declaration",),
    NotFrozen: ("declaration",),
    ExpectedWithoutConstant: ("identity", "ascent"),
    ExpectedAtItsOwnMean: ("identity",),
    IgnoresResponsibilities: ("identity", "ascent"),
    HardResponsibilities: ("identity", "ascent"),
    DropsWeights: ("weights", "identity"),
    WholeWeights: ("weights",),
    SinglePrecision: ("identity",),
    DropsSecondBlock: ("blocks",),
    AddsInPlace: ("blocks",),
    MeanOfMeans: ("blocks",),
    StaleInBlocks: ("blocks",),
    TrustsTheFirstRow: ("order", "blocks", "weights"),
    Unbiased: ("m_step",),
    BiasedMean: ("m_step",),
    EqualCounts: ("m_step", "ascent"),
    Ridge: ("m_step",),
    TinyRidge: ("m_step",),
    Clipped: ("m_step",),
    KeptOffZero: ("m_step",),
    Stale: ("m_step",),
    StaleGeneralised: ("m_step",),
    HalvesTogether: ("separate",),
    BreaksTiesByOrder: ("separate",),
    MeetsTheFirst: ("separate",),
    PooledVariance: ("m_step", "separate"),
    Overshoots: ("m_step", "ascent"),
    Drifts: ("ascent",),
    AlwaysDegenerate: ("m_step", "ascent", "declaration"),
    EmptyIsNaN: ("empty",),
    EmptyIsDegenerate: ("empty",),
    VarianceForScale: ("sample",),
    ScaleOff: ("sample",),
    WrongShape: ("sample",),
    SortedByLabel: ("sample",),
    FirstComponentOnly: ("sample",),
    DependentColumns: ("sample",),
    DependentRows: ("sample",),
    DependentAnswers: ("sample",),
    CountsOff: ("sample",),
    GlobalRandomness: ("draws",),
    OwnSeed: ("draws",),
    OwnEntropy: ("draws",),
    SampleTransposed: ("draws",),
    NeedsLabels: ("draws",),
    FractionalCounts: ("draws",),
    CentresInPlace: ("mutation",),
    StandardisesStatistics: ("mutation",),
    WritesParameters: ("mutation",),
    Caches: ("stateless",),
    Remembers: ("stateless",),
    Jitters: ("stateless",),
    HoldsLambda: ("pickle",),
    LosesSettings: ("pickle",),
    GradientOfTheAverage: ("fisher",),
    GradientUnconstrained: ("fisher",),
    CountsTwice: ("information",),
    NeverMovesTheVariance: ("recovery",),
    FloorsTheVariance: ("units",),
    CollapsesQuietly: ("degenerate",),
    RaisesOnOneRow: ("degenerate",),
    BuildsInOrder: ("saves",),
    KeepsASet: ("saves",),
    LosesRowTerms: ("passes",),
    FastAndWrong: ("passes",),
    CountsItsPiecesTwice: ("pieces",),
    PiecesOfOthers: ("pieces",),
    FreeAndBounded: ("pieces",),
}
