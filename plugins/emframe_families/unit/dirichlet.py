"""Dirichlet rows: compositions, several shares that sum to 1.

    log f(x | a) = sum_j (a_j - 1) log x_j + log Gamma(sum a) - sum_j log Gamma(a_j)

The density is with respect to all shares but one.  The statistics are log x_j; see `log_means`.

One known case: with two shares it is the beta density of either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln

from emframe import ExponentialFamily, Positive, Simplex, parameter
from emframe.families import Moments
from emframe.parameters import pullback
from emframe.spaces import Array, Shape
from emframe_families.counting.halves import refuse_points
from emframe_families.unit.log_means import concentrations, spread_of

TINY = float(np.finfo(float).tiny)


class Composition(Simplex):
    """Shares above 0 that sum to 1."""

    words = "shares above 0 that sum to 1"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.asarray(super().contains(values) & (values > 0.0).all(axis=-1))

    def holds(self, values: Array) -> bool:
        return bool(self.contains(values).all())

    def point(self, vector: Array, shape: Shape) -> Array:
        return _positive(super().point(vector, shape))


@dataclass(frozen=True)
class DirichletParameters:
    """The exponents of each component; the mean is their share of the total."""

    concentrations: Array = parameter(Positive(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Dirichlet(ExponentialFamily):
    """Compositions of any number of shares.  Rows with a share of 0 are refused."""

    name = "dirichlet"
    parameters = DirichletParameters
    support = Composition()

    def statistics(self, x: Array) -> Array:
        return np.log(x)

    def natural(self, params: DirichletParameters) -> Array:
        return params.concentrations - 1.0

    def log_partition(self, params: DirichletParameters) -> Array:
        a = params.concentrations
        return np.asarray(gammaln(a).sum(axis=1) - gammaln(a.sum(axis=1)))

    def from_mean(self, mean: Array) -> DirichletParameters:
        spread = spread_of(mean)
        refuse_points(spread[:, None], 1.0 + np.abs(mean).max(axis=1, keepdims=True))
        return DirichletParameters(concentrations(mean))

    def gradient(self, statistics: Moments, params: DirichletParameters) -> Array:
        a, n = params.concentrations, statistics.counts[:, None]
        expected = digamma(a) - digamma(a.sum(axis=1, keepdims=True))
        return pullback(params, DirichletParameters(statistics.totals - n * expected))

    def sample(self, params: DirichletParameters, labels: Any, rng: np.random.Generator) -> Array:
        a = params.concentrations[labels]
        # Gamma deviates by their logarithms, so that small exponents do not underflow.
        logs = np.log(rng.gamma(a + 1.0)) - rng.exponential(size=a.shape) / a
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
        return _positive(shares / shares.sum(axis=1, keepdims=True))

    def mean(self, params: DirichletParameters) -> Array:
        a = params.concentrations
        return a / a.sum(axis=1, keepdims=True)

    def variance(self, params: DirichletParameters) -> Array:
        mean = self.mean(params)
        return mean * (1.0 - mean) / (1.0 + params.concentrations.sum(axis=1, keepdims=True))


def _positive(shares: Array) -> Array:
    """Shares that numbers cannot tell from 0 as the smallest number."""
    return np.maximum(shares, TINY)
