"""Poisson columns: counts, independent given the component.

    log f(x | rates) = sum_j x_j log rate_j  -  rate_j  -  log x_j!

Near a count of 1e12 those terms cancel, so densities and sums are taken as `counts` has them: by
what rates fall short of the best.

    log f(x | rates) = sum_j log f(x_j | x_j) - D(x_j, rate_j)

One known case: the rate of a single component is the sample mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy

from emframe import ConjugatePrior, NonNegative, NonNegativeInteger, parameter
from emframe.families import (
    Axes,
    Concluded,
    Curve,
    Kernel,
    Moments,
    RowProducts,
    Survey,
    refuse_empty,
    refuse_kept,
)
from emframe.parameters import keep, pullback
from emframe.spaces import EPS, Array
from emframe_families.columns import Columns
from emframe_families.counting.sums import Counted, counted, divergence, peak

LARGEST = 2.0**53  # beyond it float64 skips whole numbers
# Counts of a mean from here on are taken from it before they go into a product.
CENTRED_FROM = 100.0
# What a log density may lose in a matrix product, nats, before rows are taken one by one.
LOSS = 2e-12
LEAST = 1e-290  # a responsibility below it is none: its share of a mean may underflow


@dataclass(frozen=True)
class PoissonParameters:
    """Rate of each column in each component."""

    rates: Array = parameter(NonNegative(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Shifted:
    """Counts less where they are reckoned from; as they are where that is None."""

    origin: Array | None  # (d,)

    def __call__(self, x: Array) -> Array:
        return x if self.origin is None else x - self.origin


@dataclass(frozen=True)
class WithReference:
    """Shifted counts, and beside them the log density of each row under the reference."""

    shifted: Shifted
    reference: Array  # (d,)

    def __call__(self, x: Array) -> Array:
        there = peak(x).sum(axis=1) - divergence(x, self.reference).sum(axis=1)
        return np.column_stack([self.shifted(x), there])


@dataclass(frozen=True)
class CountConclusion:
    """What a pass found, from totals of shifted counts."""

    origin: Array  # (d,)
    reference: Array  # (d,)
    base: float | None  # of all rows under the reference; None where it is the last of the totals

    def __call__(self, totals: Array, counts: Array) -> Concluded:
        if self.base is None:
            of_some = replace(self, base=float(totals[:, -1].sum()))
            return of_some(totals[:, :-1], counts)._replace(row_terms=0.0)
        n = counts[:, None]
        means = self.origin + np.divide(totals, n, out=np.zeros_like(totals), where=n > 0)
        means[(means < 16 * EPS * self.origin) | (n <= 0)] = 0.0  # lost in rounding
        gained = counts @ divergence(means, self.reference).sum(axis=1)
        sums = Counted(counts, means, self.base + float(gained))
        return Concluded(sums, counts, self.base)


@dataclass(frozen=True)
class Poisson(Columns):
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
        self, params: PoissonParameters, constants: Array, survey: Survey
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
        falls = rates - reference
        if shifted := bool(origin.any()):
            falls = np.where(origin > 0, divergence(origin, rates), falls)
        possible = np.where(rates > 0, slopes, 0.0)
        reach = (np.abs(rates - origin) + np.sqrt(rates)) * np.abs(possible)
        if EPS * reach.max() <= LOSS:
            # D(centre, reference), which are the same save in a column of zeros.
            base = whole.peak - float(whole.counts.sum() * (reference - centre).sum())
            constant = constants - falls.sum(axis=1)
            shift = Shifted(origin) if shifted else Shifted(None)
            if survey.partial:
                slopes = np.column_stack([slopes, np.ones(len(slopes))])
                beside = WithReference(shift, reference)
                yield RowProducts(
                    slopes, constant, beside, CountConclusion(origin, reference, None)
                )
            else:
                yield RowProducts(slopes, constant, shift, CountConclusion(origin, reference, base))
        yield from super().kernels(params, constants, survey)

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
        if empty.all():  # nothing to pool either
            if previous is None:
                refuse_empty(empty)
            return previous
        pooled = sums.counts @ sums.means / sums.counts.sum()
        params = PoissonParameters(np.where(empty[:, None], pooled, sums.means))
        return params if previous is None else keep(empty, previous, params)

    def gradient(self, statistics: Counted | Moments, params: PoissonParameters) -> Array:
        sums, rates = counted(statistics), params.rates
        excess = sums.means - rates
        share = np.divide(excess, rates, out=-np.ones_like(rates), where=rates > 0)
        return pullback(params, PoissonParameters(sums.counts[:, None] * share))

    def axes(self, params: Any, x: Array, kept: Sequence[str] = (), **options: Any) -> Axes:
        """The rates, each from the lowest count of its column to the highest."""
        refuse_kept(self, kept, options)

        def slack(centre: Array, point: Array) -> Array:
            return divergence(centre, point).sum(axis=1)

        def natural(rates: Array) -> Array:
            with np.errstate(divide="ignore"):
                return np.asarray(np.log(rates))

        curve = Curve(x, natural, np.minimum)
        return Axes(x.min(axis=0), x.max(axis=0), PoissonParameters, slack, curve=curve)

    def law(self, params: PoissonParameters) -> Any:
        return scipy.stats.poisson(params.rates)

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
