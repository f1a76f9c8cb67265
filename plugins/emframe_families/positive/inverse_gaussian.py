"""Inverse Gaussian columns: first passage times of a drift, independent given the component.

    log f(x | mu, lam) = 1/2 log(lam / (2 pi x^3)) - lam (x - mu)^2 / (2 mu^2 x),        x > 0

The statistics are x and 1 / x, and the maximum is in closed form (Tweedie 1957, Ann. Math. Stat.
28, 362): mu is the mean, and 1 / lam = mean(1 / x) - 1 / mu.

One known case: the variance is mu^3 / lam.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi
from typing import Any

import numpy as np
import scipy

from emframe import ExponentialFamily, Positive, parameter
from emframe.families import Moments
from emframe.parameters import pullback
from emframe.spaces import Array
from emframe_families.columns import Columns
from emframe_families.counting.halves import halves, refuse_points


@dataclass(frozen=True)
class InverseGaussianParameters:
    """Mean and shape of each column in each component, both in the units of the column."""

    means: Array = parameter(Positive(), shape="d")  # (K, d)
    shapes: Array = parameter(Positive(), shape="d")  # (K, d)


@dataclass(frozen=True)
class InverseGaussian(Columns, ExponentialFamily):
    """Any number of independent inverse Gaussian columns."""

    name = "inverse-gaussian"
    parameters = InverseGaussianParameters
    support = Positive()
    equivariant = ("scale",)

    def statistics(self, x: Array) -> Array:
        return np.concatenate([x, 1.0 / x], axis=1)

    def natural(self, params: InverseGaussianParameters) -> Array:
        half = 0.5 * params.shapes
        return np.concatenate([-half / params.means**2, -half], axis=1)

    def log_partition(self, params: InverseGaussianParameters) -> Array:
        root = 0.5 * (np.log(params.shapes) - log(2 * pi))
        return -(params.shapes / params.means + root).sum(axis=1)

    def log_base(self, x: Array) -> Array:
        return -1.5 * np.log(x).sum(axis=1)

    def from_mean(self, mean: Array) -> InverseGaussianParameters:
        plain, inverse = halves(mean)
        spread = inverse - 1.0 / plain
        refuse_points(spread, inverse)
        return InverseGaussianParameters(plain, 1.0 / spread)

    def gradient(self, statistics: Moments, params: InverseGaussianParameters) -> Array:
        plain, inverse = halves(statistics.totals)
        mu, lam, n = params.means, params.shapes, statistics.counts[:, None]
        along = lam * (plain - n * mu) / mu**3
        spread = 0.5 * (n / lam - plain / mu**2 - inverse) + n / mu
        return pullback(params, InverseGaussianParameters(along, spread))

    def law(self, params: InverseGaussianParameters) -> Any:
        return scipy.stats.invgauss(params.means / params.shapes, scale=params.shapes)

    def sample(
        self, params: InverseGaussianParameters, labels: Any, rng: np.random.Generator
    ) -> Array:
        return rng.wald(params.means[labels], params.shapes[labels])
