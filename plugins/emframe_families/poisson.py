"""Poisson columns: counts, independent given the component.

    log f(x | rates) = sum_j x_j log rate_j  -  sum_j rate_j  -  sum_j log x_j!

One known case: the rate of a single component is the sample mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from emframe import ConjugatePrior, ExponentialFamily, NonNegative, NonNegativeInteger, parameter
from emframe.families import Moments
from emframe.parameters import pullback
from emframe.spaces import Array

# Of x log rate - rate - log x! hardly anything is left where x is large: beyond this, fewer
# than six digits.
LARGEST = 2.0**32


@dataclass(frozen=True)
class PoissonParameters:
    """Rate of each column in each component."""

    rates: Array = parameter(NonNegative(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Poisson(ExponentialFamily):
    """Any number of independent Poisson columns.

    A rate is 0 where a component holds only zeros in a column; a positive count is then
    impossible under that component.
    """

    name = "poisson"
    parameters = PoissonParameters
    support = NonNegativeInteger(largest=LARGEST)
    priors = ("weak",)

    def statistics(self, x: Array) -> Array:
        return x

    def natural(self, params: PoissonParameters) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(params.rates)

    def log_partition(self, params: PoissonParameters) -> Array:
        return np.asarray(params.rates.sum(axis=1))

    def from_mean(self, mean: Array) -> PoissonParameters:
        return PoissonParameters(mean)

    def gradient(self, statistics: Moments, params: PoissonParameters) -> Array:
        rates, totals = params.rates, statistics.totals
        share = np.divide(totals, rates, out=np.zeros_like(totals), where=rates > 0)
        return pullback(params, PoissonParameters(share - statistics.counts[:, None]))

    def log_base(self, x: Array) -> Array:
        return -np.asarray(gammaln(x + 1).sum(axis=1))

    def sample(self, params: PoissonParameters, labels: Any, rng: np.random.Generator) -> Array:
        return rng.poisson(params.rates[labels]).astype(float)

    def conjugate_prior(self, prior: Any, whole: Moments, k: int) -> ConjugatePrior[Moments]:
        """``"weak"``: independent gamma densities worth one row, with the data's mean as mode.

        Gamma(shape a, rate 1) has log density (a - 1) log rate - rate - log Gamma(a).
        """
        if prior != "weak":
            return super().conjugate_prior(prior, whole, k)
        mean = whole.totals / whole.counts[:, None]
        shape = np.broadcast_to(1.0 + mean, (k, mean.shape[1]))
        # One pseudo-row per component has sum_j rate_j, which is Moments' count of 1.
        statistics = Moments(shape - 1.0, np.ones(k), 0.0)
        return ConjugatePrior(statistics, -float(gammaln(shape).sum()))
