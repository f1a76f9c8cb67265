"""Gamma columns: positive numbers with a shape and a rate, independent given the component.

    log f(x | a, rate) = a log rate - log Gamma(a) + (a - 1) log x - rate x,        x > 0

The statistics are log x and x.  The best rate is a over the mean, and the shape solves

    log a - psi(a) = log mean(x) - mean(log x)

by Newton's method; see `emframe.numeric.gamma_shape`.

One known case: with shape 1 it is the exponential family.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from scipy.special import digamma, gammainc, gammaincc, gammaln

from emframe import ExponentialFamily, Positive, parameter
from emframe.families import Moments
from emframe.numeric import gamma_shape
from emframe.parameters import pullback
from emframe.spaces import EPS, Array
from emframe_families.columns import Columns
from emframe_families.counting.halves import halves, refuse_points

# A tail below this, of logarithms, is soon lost as a number; it takes a few terms, and more where
# the shape is large.
FAINT, TERMS = -600.0, 5000


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
        shapes = gamma_shape(spread)
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
        return log_tails(params.shapes[:, 0], params.rates[:, 0] * x)[1]

    def log_cdf(self, params: GammaParameters, x: Array) -> Array:
        return log_tails(params.shapes, params.rates * x[:, None, :])[0].sum(axis=2)

    def sample(self, params: GammaParameters, labels: Any, rng: np.random.Generator) -> Array:
        drawn = rng.gamma(params.shapes[labels]) / params.rates[labels]
        return np.maximum(drawn, np.finfo(float).tiny)  # a small shape underflows


def log_tails(shape: Array, x: Array) -> tuple[Array, Array]:
    """log P(shape, x) and log Q(shape, x) of rate 1, entry by entry, nats.

    Where either is too small for a number it comes from its series, or its continued fraction
    (Abramowitz and Stegun 1964, 6.5.29 and 6.5.31), whose first terms then are enough.
    """
    with np.errstate(all="ignore"):
        below, beyond = np.log(gammainc(shape, x)), np.log(gammaincc(shape, x))
        shape, x = np.broadcast_arrays(shape, x)
        lost = (below < FAINT) & (x > 0)
        if lost.any():
            below = np.where(lost, 0.0, below)
            below[lost] = _series(shape[lost], x[lost])
        lost = (beyond < FAINT) & np.isfinite(x)
        if lost.any():
            beyond = np.where(lost, 0.0, beyond)
            beyond[lost] = _fraction(shape[lost], x[lost])
    return below, beyond


def _series(a: Array, x: Array) -> Array:
    """log P = a log x - x - log Gamma(a + 1) + log(1 + x / (a + 1) + ...)."""
    total, term = np.ones_like(x), np.ones_like(x)
    for n in range(1, TERMS):
        term = term * x / (a + n)
        total = total + term
        if (term <= EPS * total).all():
            break
    return np.asarray(a * np.log(x) - x - gammaln(a + 1.0) + np.log(total))


def _fraction(a: Array, x: Array) -> Array:
    """log Q = a log x - x - log Gamma(a) - log(x + 1 - a - 1 (1 - a) / (x + 3 - a - ...))."""
    found = up = x + 1.0 - a
    down = np.zeros_like(x)
    for n in range(1, TERMS):  # Lentz's method
        top, base = n * (a - n), x + 2.0 * n + 1.0 - a
        down = 1.0 / (base + top * down)
        up = base + top / up
        found = found * up * down
        if (np.abs(up * down - 1.0) <= EPS).all():
            break
    return np.asarray(a * np.log(x) - x - gammaln(a) - np.log(found))
