"""Gamma columns: positive numbers with a shape and a rate, independent given the component.

    log f(x | a, rate) = a log rate - log Gamma(a) + (a - 1) log x - rate x,        x > 0

The statistics are log x and x.  The best rate is a over the mean, and the shape solves

    log a - psi(a) = log mean(x) - mean(log x)

by Newton's method for 1 / a (Minka 2002, "Estimating a gamma distribution").  Where a is large the
left side is the small difference of large terms, and is told by its series.

One known case: with shape 1 it is the exponential family.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from scipy.special import digamma, gammainc, gammaincc, gammaln, polygamma

from emframe import ExponentialFamily, Positive, parameter
from emframe.families import Moments
from emframe.parameters import pullback
from emframe.spaces import Array
from emframe_families.columns import Columns
from emframe_families.counting.halves import halves, refuse_points

SERIES_FROM = 30.0  # six terms of Stirling's series have all digits there
STEPS = 50
CLOSE = 1e-9  # of a value: so short a step of Newton's leaves an error in its square


@dataclass(frozen=True)
class GammaParameters:
    """Shape and rate of each column in each component; the mean is one over the other."""

    shapes: Array = parameter(Positive(), shape="d")  # (K, d)
    rates: Array = parameter(Positive(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Gamma(Columns, ExponentialFamily):
    """Any number of independent gamma columns."""

    name = "gamma"
    parameters = GammaParameters
    support = Positive()
    equivariant = ("scale",)

    def statistics(self, x: Array) -> Array:
        return np.concatenate([np.log(x), x], axis=1)

    def natural(self, params: GammaParameters) -> Array:
        return np.concatenate([params.shapes - 1.0, -params.rates], axis=1)

    def log_partition(self, params: GammaParameters) -> Array:
        return (gammaln(params.shapes) - params.shapes * np.log(params.rates)).sum(axis=1)

    def from_mean(self, mean: Array) -> GammaParameters:
        mean_log, mean_x = halves(mean)
        log_mean = np.log(mean_x)
        spread = log_mean - mean_log
        refuse_points(spread, 1.0 + np.abs(log_mean))
        shapes = shape_of(spread)
        return GammaParameters(shapes, shapes / mean_x)

    def gradient(self, statistics: Moments, params: GammaParameters) -> Array:
        logs, plain = halves(statistics.totals)
        a, rate, n = params.shapes, params.rates, statistics.counts[:, None]
        along = GammaParameters(logs - n * (digamma(a) - np.log(rate)), n * a / rate - plain)
        return pullback(params, along)

    def law(self, params: GammaParameters) -> Any:
        return scipy.stats.gamma(params.shapes, scale=1.0 / params.rates)

    def log_sf(self, params: GammaParameters, x: Array) -> Array:
        if x.shape[1] > 1:
            return super().log_sf(params, x)
        scaled = params.rates[:, 0] * x
        with np.errstate(under="ignore", divide="ignore"):
            return np.asarray(np.log(gammaincc(params.shapes[:, 0], scaled)))

    def log_cdf(self, params: GammaParameters, x: Array) -> Array:
        with np.errstate(under="ignore", divide="ignore"):
            return np.asarray(np.log(gammainc(params.shapes, params.rates * x[:, None, :])).sum(2))

    def sample(self, params: GammaParameters, labels: Any, rng: np.random.Generator) -> Array:
        drawn = rng.gamma(params.shapes[labels]) / params.rates[labels]
        return np.maximum(drawn, np.finfo(float).tiny)  # a small shape underflows


def shape_of(spread: Array) -> Array:
    """The shape a with log a - psi(a) = spread, entry by entry."""
    a = (3.0 - spread + np.sqrt((spread - 3.0) ** 2 + 24.0 * spread)) / (12.0 * spread)
    for _ in range(STEPS):
        value, slope = excess(a)
        new = a / np.maximum(1.0 + (value - spread) / (slope * a), 0.1)
        done = np.abs(new - a) <= CLOSE * a
        a = new
        if done.all():
            break
    return a


def excess(a: Array) -> tuple[Array, Array]:
    """log a - psi(a), which is above 0, and its derivative, which is below."""
    far = a >= SERIES_FROM
    near, v = np.where(far, 1.0, a), 1.0 / np.where(far, a, SERIES_FROM)
    s = v * v
    value = v / 2 + s * (1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s / 132))))
    slope = -s / 2 - v * s * (1 / 6 - s * (1 / 30 - s * (1 / 42 - s * (1 / 30 - s * 5 / 66))))
    return (
        np.where(far, value, np.log(near) - digamma(near)),
        np.where(far, slope, 1.0 / near - polygamma(1, near)),
    )
