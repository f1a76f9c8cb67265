"""Geometric columns: failures before the first success, independent given the component.

    log f(x | p) = log p + x log(1 - p),        x = 0, 1, 2, ...

A probability of 1 is at the maximum where a component holds only zeros.

One known case: the probability of a single component is 1 / (1 + mean).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from scipy.special import betaln

from emframe import ConjugatePrior, ExponentialFamily, NonNegativeInteger, UnitInterval, parameter
from emframe.families import Moments
from emframe.parameters import pullback
from emframe.spaces import Array
from emframe_families.columns import Columns
from emframe_families.counting.poisson import LARGEST


@dataclass(frozen=True)
class GeometricParameters:
    """Probability of success in each column of each component."""

    probs: Array = parameter(UnitInterval(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Geometric(Columns, ExponentialFamily):
    """Any number of independent geometric columns, counted from 0."""

    name = "geometric"
    parameters = GeometricParameters
    support = NonNegativeInteger(largest=LARGEST)
    priors = ("weak",)

    def statistics(self, x: Array) -> Array:
        return x

    def natural(self, params: GeometricParameters) -> Array:
        with np.errstate(divide="ignore"):
            return np.log1p(-params.probs)

    def log_partition(self, params: GeometricParameters) -> Array:
        with np.errstate(divide="ignore"):
            return -np.log(params.probs).sum(axis=1)

    def from_mean(self, mean: Array) -> GeometricParameters:
        return GeometricParameters(1.0 / (1.0 + mean))

    def gradient(self, statistics: Moments, params: GeometricParameters) -> Array:
        p, n, totals = params.probs, statistics.counts[:, None], statistics.totals
        failed = np.divide(totals, 1.0 - p, out=np.zeros_like(totals), where=p < 1.0)
        return pullback(params, GeometricParameters(n / p - failed))

    def law(self, params: GeometricParameters) -> Any:
        return scipy.stats.geom(params.probs, loc=-1)

    def sample(self, params: GeometricParameters, labels: Any, rng: np.random.Generator) -> Array:
        return rng.geometric(params.probs[labels]).astype(float) - 1.0

    def conjugate_prior(self, prior: Any, whole: Moments, k: int) -> ConjugatePrior[Moments]:
        """``"weak"``: independent beta densities worth one row, with the data's share as mode."""
        if prior != "weak":
            return super().conjugate_prior(prior, whole, k)
        mean = np.repeat(whole.totals / whole.counts[:, None], k, axis=0)
        constant = -float(betaln(2.0, 1.0 + mean).sum())
        return ConjugatePrior(Moments(mean, np.ones(k), 0.0), constant)
