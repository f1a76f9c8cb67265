"""Beta columns: shares between 0 and 1, independent given the component.

    log f(x | a, b) = (a - 1) log x + (b - 1) log(1 - x) - log B(a, b),        0 < x < 1

The statistics are log x and log(1 - x), and the maximum is that of `log_means` with two of them.

One known case: with a = b = 1 it is the uniform density.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from scipy.special import betaln, digamma

from emframe import ExponentialFamily, Interval, Positive, parameter
from emframe.families import Moments
from emframe.parameters import pullback
from emframe.spaces import Array
from emframe_families.columns import Columns
from emframe_families.counting.halves import halves, refuse_points
from emframe_families.unit.log_means import concentrations, spread_of


@dataclass(frozen=True)
class BetaParameters:
    """The exponents of each column in each component; the mean is a / (a + b)."""

    a: Array = parameter(Positive(), shape="d")  # (K, d)
    b: Array = parameter(Positive(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Beta(Columns, ExponentialFamily):
    """Any number of independent beta columns.

    Rows at 0 or 1 have no density that is finite for all parameters, and are refused.
    """

    name = "beta"
    parameters = BetaParameters
    support = Interval(0.0, 1.0)

    def statistics(self, x: Array) -> Array:
        return np.concatenate([np.log(x), np.log1p(-x)], axis=1)

    def natural(self, params: BetaParameters) -> Array:
        return np.concatenate([params.a - 1.0, params.b - 1.0], axis=1)

    def log_partition(self, params: BetaParameters) -> Array:
        return np.asarray(betaln(params.a, params.b).sum(axis=1))

    def from_mean(self, mean: Array) -> BetaParameters:
        both = np.stack(halves(mean), axis=-1)
        refuse_points(spread_of(both), 1.0 + np.abs(both).max(axis=-1))
        found = concentrations(both)
        return BetaParameters(found[..., 0], found[..., 1])

    def gradient(self, statistics: Moments, params: BetaParameters) -> Array:
        n, (low, high) = statistics.counts[:, None], halves(statistics.totals)
        common = digamma(params.a + params.b)
        up, down = (n * (digamma(one) - common) for one in (params.a, params.b))
        return pullback(params, BetaParameters(low - up, high - down))

    def law(self, params: BetaParameters) -> Any:
        return scipy.stats.beta(params.a, params.b)

    def sample(self, params: BetaParameters, labels: Any, rng: np.random.Generator) -> Array:
        drawn = rng.beta(params.a[labels], params.b[labels])
        # What lies nearer to an end than numbers do is put on the number beside it.
        return np.clip(drawn, np.finfo(float).tiny, np.nextafter(1.0, 0.0))
