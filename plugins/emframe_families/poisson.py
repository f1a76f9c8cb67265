"""Poisson columns: counts, independent given the component.

    log f(x | rates) = sum_j x_j log rate_j  -  rate_j  -  log x_j!

Near a count of 1e12 those three terms are 1e13 each and leave a few nats of one another, so nothing
here is computed from them.  Told by what a rate falls short of the best one for the row,

    log f(x | rates) = sum_j log f(x_j | x_j) - D(x_j, rate_j)
    D(x, rate) = x log(x / rate) - (x - rate)

both terms are as small as what they stand for (Loader 2000, "Fast and accurate computation of
binomial probabilities"; Banerjee et al. 2005, JMLR 6, 1705).  For sums over rows the mean m takes
the place of x: ``sum log f(x | rate) = sum log f(x | m) - n D(m, rate)``, exactly.

One known case: the rate of a single component is the sample mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln, xlogy

from emframe import ConjugatePrior, Family, NonNegative, NonNegativeInteger, parameter
from emframe.families import Concluded, Kernel, Moments, RowProducts, Survey
from emframe.parameters import keep, pullback
from emframe.spaces import EPS, Array

LARGEST = 2.0**53  # beyond it float64 skips whole numbers
# Counts of a mean from here on are taken from it before they go into a product.
CENTRED_FROM = 100.0
# What a log density may lose in a matrix product, nats, before rows are taken one by one.
LOSS = 2e-12
# From here on Stirling's series has all digits; below, log x! is small enough to have them itself.
SERIES_FROM = 16.0
LEAST = 1e-290  # a responsibility below it is none: its share of a mean may underflow
# (x - rate) / (x + rate) below which D is told by a series: eight terms have all digits there.
NEAR = 0.1
_ARTANH = 1.0 / np.arange(3, 19, 2)


def divergence(x: Array, rates: Array) -> Array:
    """D(x, rate) = x log(x / rate) - (x - rate), entry by entry: 0 at x = rate, else above."""
    excess = x - rates
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        apart = np.where(x > 0, x * (np.log(x) - np.log(rates)), 0.0) - excess
        v = excess / (x + rates)
    near = np.abs(v) < NEAR
    if near.any():  # there the two terms cancel: log(x / rate) = 2 artanh v, by its series
        v = np.where(near, v, 0.0)
        tail = np.polynomial.polynomial.polyval(np.square(v), _ARTANH)
        apart = np.where(near, v * (excess + 2.0 * x * np.square(v) * tail), apart)
    return np.where(rates > 0, apart, np.where(x > 0, np.inf, 0.0))


def peak(x: Array) -> Array:
    """log f(x | x) = x log x - x - log x!, entry by entry: about -log(2 pi x) / 2."""
    y = np.maximum(x, SERIES_FROM)
    s = 1.0 / np.square(y)
    rest = (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188)))) / y
    small = xlogy(x, x) - x - gammaln(x + 1.0)
    return np.where(x < SERIES_FROM, small, -0.5 * np.log(2.0 * np.pi * y) - rest)


@dataclass(frozen=True)
class PoissonParameters:
    """Rate of each column in each component."""

    rates: Array = parameter(NonNegative(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Counted:
    """What rows leave behind in each component; it adds, and so do `Moments` of x to it."""

    counts: Array  # (K,)    sum of resp
    means: Array  # (K, d)  sum of resp x / counts; 0 where there are none
    peak: float  # sum of resp log f(x | means): what no rates surpass

    @property
    def totals(self) -> Array:
        """Sums of resp x, (K, d)."""
        return self.counts[:, None] * self.means

    def __add__(self, other: Counted | Moments) -> Counted:
        other = counted(other)
        counts = self.counts + other.counts
        total = np.where(counts > 0, counts, 1.0)
        means = (self.totals + other.totals) / total[:, None]
        fall = sum(one.counts @ divergence(one.means, means).sum(axis=1) for one in (self, other))
        return Counted(counts, means, self.peak + other.peak - float(fall))

    def __mul__(self, factor: float) -> Counted:
        return Counted(self.counts * factor, self.means, self.peak * factor)


def counted(sums: Counted | Moments) -> Counted:
    """The same sums told by their means; `Moments` are those of the statistic x."""
    if isinstance(sums, Counted):
        return sums
    n = sums.counts[:, None]
    means = np.divide(sums.totals, n, out=np.zeros_like(sums.totals), where=n > 0)
    return Counted(sums.counts, means, sums.base + float(np.sum(n * (xlogy(means, means) - means))))


@dataclass(frozen=True)
class Poisson(Family):
    """Any number of independent Poisson columns.

    A rate is 0 where a component holds only zeros in a column; a positive count is then
    impossible under that component.
    """

    name = "poisson"
    parameters = PoissonParameters
    support = NonNegativeInteger(largest=LARGEST)
    priors = ("weak",)

    def log_density(self, params: PoissonParameters, x: Array) -> Array:
        best = peak(x).sum(axis=1)
        return np.stack([best - divergence(x, rate).sum(axis=1) for rate in params.rates], axis=1)

    def accumulate(self, x: Array, resp: Array) -> Counted:
        counts = resp.sum(axis=0)
        shares = np.divide(resp, counts, out=np.zeros_like(resp), where=counts > 0).T
        means = shares @ x
        best, height = peak(x).sum(axis=1), 0.0
        for k, part in enumerate(resp.T):
            means[k] += shares[k] @ (x - means[k])  # what rounding left of large counts
            seen = part > LEAST
            height += float(part[seen] @ (best[seen] - divergence(x[seen], means[k]).sum(axis=1)))
        return Counted(counts, means, height)

    def kernels(
        self, params: PoissonParameters, log_weights: Array, survey: Survey
    ) -> Iterator[Kernel]:
        """Products of x with log rate, both told from a reference, where that loses nothing.

            log f(x | rate) = log f(x | ref) + (x - ref) log(rate / ref) - D(ref, rate)

        The reference is the mean of all rows.  It loses digits where one column has both small
        and very large counts.
        """
        rates, whole = params.rates, counted(survey.statistics)
        centre = whole.means[0]
        reference = np.where(centre > 0, centre, 1.0)
        with np.errstate(divide="ignore", under="ignore"):
            slopes = np.where(
                rates > 0.5 * reference,
                np.log1p((rates - reference) / reference),
                np.log(rates / reference),
            )
        # A rate of 0 makes a positive count impossible, which a product shows for x alone.
        origin = np.where((centre >= CENTRED_FROM) & (rates.min(axis=0) > 0), centre, 0.0)
        falls = np.where(origin > 0, divergence(origin, rates), rates - reference)
        possible = np.where(rates > 0, slopes, 0.0)
        reach = (np.abs(rates - origin) + np.sqrt(rates)) * np.abs(possible)
        if EPS * reach.max() <= LOSS:

            def conclude(totals: Array, counts: Array) -> Concluded:
                n = counts[:, None]
                means = origin + np.divide(totals, n, out=np.zeros_like(totals), where=n > 0)
                means[(means < 16 * EPS * origin) | (n <= 0)] = 0.0  # lost in rounding
                gained = counts @ divergence(means, reference).sum(axis=1)
                sums = Counted(counts, means, base + float(gained))
                return Concluded(sums, counts, base)

            base = whole.peak - float(
                whole.counts @ divergence(centre[None], reference).sum(axis=1)
            )
            shifted = origin.any()
            constant = log_weights - falls.sum(axis=1)
            yield RowProducts(slopes, constant, lambda x: x - origin if shifted else x, conclude)
        yield from super().kernels(params, log_weights, survey)

    def expected(self, statistics: Counted | Moments, params: PoissonParameters) -> float:
        sums = counted(statistics)
        # A mean that is lost in rounding is no evidence against a rate of 0.
        lost = (params.rates == 0) & (sums.means <= EPS)
        short = np.where(lost, 0.0, divergence(sums.means, params.rates)).sum(axis=1)
        return sums.peak - float(sums.counts @ np.where(sums.counts > 0, short, 0.0))

    def m_step(self, statistics: Counted | Moments, previous: Any) -> PoissonParameters:
        sums = counted(statistics)
        empty = sums.counts <= 0
        if not empty.any():
            return PoissonParameters(sums.means)
        pooled = sums.counts @ sums.means / sums.counts.sum()
        params = PoissonParameters(np.where(empty[:, None], pooled, sums.means))
        return params if previous is None else keep(empty, previous, params)

    def gradient(self, statistics: Counted | Moments, params: PoissonParameters) -> Array:
        sums, rates = counted(statistics), params.rates
        excess = sums.means - rates
        share = np.divide(excess, rates, out=-np.ones_like(rates), where=rates > 0)
        return pullback(params, PoissonParameters(sums.counts[:, None] * share))

    def sample(self, params: PoissonParameters, labels: Any, rng: np.random.Generator) -> Array:
        return rng.poisson(params.rates[labels]).astype(float)

    def conjugate_prior(
        self, prior: Any, whole: Counted | Moments, k: int
    ) -> ConjugatePrior[Counted]:
        """``"weak"``: independent gamma densities worth one row, with the data's mean as mode.

        Gamma(shape 1 + mean, rate 1) has log density mean log rate - rate - log Gamma(1 + mean):
        that of a row that is the mean.
        """
        if prior != "weak":
            return super().conjugate_prior(prior, whole, k)
        mean = np.broadcast_to(counted(whole).means, (k, counted(whole).means.shape[1]))
        return ConjugatePrior(Counted(np.ones(k), mean, float(peak(mean).sum())), 0.0)
