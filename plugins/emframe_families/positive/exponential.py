"""Exponential columns: waiting times without memory, independent given the component.

    log f(x | rate) = log rate - rate x,        x >= 0

One known case: the rate of a single component is one over the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from emframe import ConjugatePrior, ExponentialFamily, NonNegative, Positive, parameter
from emframe.families import Axes, Moments, Stand
from emframe.parameters import pullback
from emframe.spaces import Array
from emframe_families.columns import Columns
from emframe_families.counting.halves import refuse_where

SHORT = 0.1  # below it the mean is told by its series (Bernoulli's numbers), which has all digits


@dataclass(frozen=True)
class ExponentialParameters:
    """One over the mean of each column in each component."""

    rates: Array = parameter(Positive(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Exponential(Columns, ExponentialFamily):
    """Any number of independent exponential columns."""

    name = "exponential"
    parameters = ExponentialParameters
    support = NonNegative()
    priors = ("weak",)
    equivariant = ("scale",)
    truncates = True

    def statistics(self, x: Array) -> Array:
        return x

    def natural(self, params: ExponentialParameters) -> Array:
        return -params.rates

    def log_partition(self, params: ExponentialParameters) -> Array:
        return -np.log(params.rates).sum(axis=1)

    def from_mean(self, mean: Array) -> ExponentialParameters:
        refuse_where(~(mean > 0.0), "has only zeros in")
        return ExponentialParameters(1.0 / mean)

    def gradient(self, statistics: Moments, params: ExponentialParameters) -> Array:
        expected = statistics.counts[:, None] / params.rates
        return pullback(params, ExponentialParameters(expected - statistics.totals))

    def axes(self, params: Any, x: Array, kept: Sequence[str] = (), **options: Any) -> Axes:
        """The mean, from the lowest row to the highest, where no row is 0."""
        if not x.min() > 0.0:
            raise ValueError(
                "a row is 0, where the density of an exponential component grows without bound "
                "with its rate; no mixture is the best. Leave out such rows, or give them a "
                "component of their own, emframe.Point(0.0)."
            )
        return super().axes(params, x, kept, **options)

    def law(self, params: ExponentialParameters) -> Any:
        return scipy.stats.expon(scale=1.0 / params.rates)

    def log_sf(self, params: ExponentialParameters, x: Array) -> Array:
        return super().log_sf(params, x) if x.shape[1] > 1 else -params.rates[:, 0] * x

    def log_cdf(self, params: ExponentialParameters, x: Array) -> Array:
        with np.errstate(under="ignore", divide="ignore"):
            return np.asarray(np.log(-np.expm1(-params.rates * x[:, None, :])).sum(axis=2))

    def truncated(self, params: ExponentialParameters, low: Array, high: Array) -> Stand:
        """Of one column: the mean, which is a + 1 / rate - w / (exp(rate w) - 1), w = b - a."""
        if low.shape[1] > 1:
            return super().truncated(params, low, high)
        start = np.maximum(low, 0.0)
        width = params.rates[:, 0] * (high - start)
        values = start + mean_below(width) / params.rates[:, 0]
        return Stand(values[None], np.ones((1, *values.shape)))

    def sample(self, params: ExponentialParameters, labels: Any, rng: np.random.Generator) -> Array:
        return rng.exponential(1.0 / params.rates[labels])

    def conjugate_prior(self, prior: Any, whole: Moments, k: int) -> ConjugatePrior[Moments]:
        """``"weak"``: independent gamma densities worth one row, with the data's rate as mode.

        Gamma(shape 2, rate t) at t the data's mean: log rate - rate t + 2 log t.
        """
        if prior != "weak":
            return super().conjugate_prior(prior, whole, k)
        mean = np.repeat(whole.totals / whole.counts[:, None], k, axis=0)
        refuse_where(~(mean > 0.0), "has only zeros in")
        return ConjugatePrior(Moments(mean, np.ones(k), 0.0), 2.0 * float(np.log(mean).sum()))


def mean_below(width: Array) -> Array:
    """The mean of a draw of rate 1 that is less than `width`: 1 - w / (e^w - 1)."""
    with np.errstate(over="ignore", invalid="ignore"):
        plain = 1.0 - np.where(np.isinf(width), 0.0, width / np.expm1(width))
    w = np.where(width < SHORT, width, 0.0)
    series = w * (1 / 2 - w * (1 / 12 - w**2 * (1 / 720 - w**2 * (1 / 30240 - w**2 / 1209600))))
    return np.where(width < SHORT, series, plain)
