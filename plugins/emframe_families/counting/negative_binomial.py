"""Negative binomial columns: counts more spread than Poisson's, independent given the component.

    f(x | mu, alpha) = (x + a - 1 choose x) (a / (a + mu))^a (mu / (a + mu))^x,        a = 1 / alpha

with mean mu and variance mu + alpha mu^2.  Told by the dispersion alpha, which is one over the size
a (R's ``size`` and ``theta``), Poisson's law is the member with alpha = 0, and is at the maximum
where a component's counts are no more spread than that.  In the terms of `counts` no digit is lost:

    log f = 1/2-size terms:  log(a / (a + x)) + peak(a) + peak(x) - peak(a + x)
            - D(x, (x + a) mu / (a + mu)) - D(a, (x + a) a / (a + mu))

The best mean is that of the rows whatever alpha is; alpha is found by Newton's method in its
logarithm (Anscombe 1950, Biometrika 37, 358).  The rows stay in memory, distinct ones once.

One known case: with alpha = 1 it is the geometric family, of probability 1 / (1 + mu).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from scipy.special import digamma, polygamma

from emframe import NonNegative, NonNegativeInteger, parameter
from emframe.spaces import EPS, Array
from emframe_families.counting.halves import LOST
from emframe_families.counting.poisson import LARGEST
from emframe_families.counting.sums import divergence, peak
from emframe_families.kept_columns import KeptColumns

# With a larger size the density is Poisson's in all digits, for counts below a thousand million.
LARGEST_SIZE = 1e30
# Below this share of the counts a derivative by alpha is told by its limit.
SMALL = 1e-6
STEPS = 200
CLOSE = 1e-9  # of a logarithm: so short a step of Newton's leaves an error in its square


@dataclass(frozen=True)
class NegativeBinomialParameters:
    """Mean and dispersion of each column in each component."""

    means: Array = parameter(NonNegative(), shape="d")  # (K, d)
    dispersions: Array = parameter(NonNegative(), shape="d")  # (K, d)  one over the size


@dataclass(frozen=True)
class NegativeBinomial(KeptColumns):
    """Any number of independent negative binomial columns; distinct rows stay in memory."""

    name = "negative-binomial"
    parameters = NegativeBinomialParameters
    support = NonNegativeInteger(largest=LARGEST)

    def log_densities(self, params: NegativeBinomialParameters, x: Array) -> Array:
        return log_density(x, params.means, params.dispersions)

    def slopes(self, params: NegativeBinomialParameters, x: Array) -> NegativeBinomialParameters:
        mu, alpha = params.means, params.dispersions
        excess = x - mu
        share = np.divide(excess, mu, out=-np.ones_like(excess), where=mu > 0)
        return NegativeBinomialParameters(share / (1.0 + alpha * mu), by_dispersion(x, mu, alpha))

    def best(self, x: Array, weights: Array, k: int, previous: Any) -> tuple[Array, Array]:
        mu = weights @ x
        return mu, dispersion(x, weights, mu)

    def law(self, params: NegativeBinomialParameters) -> Any:
        """Poisson's where the dispersion is 0, as far as numbers can tell."""
        a = size_of(params.dispersions)
        return scipy.stats.nbinom(a, 1.0 / (1.0 + params.means / a))

    def mean(self, params: NegativeBinomialParameters) -> Array:
        return np.asarray(params.means)

    def variance(self, params: NegativeBinomialParameters) -> Array:
        return params.means + params.dispersions * params.means**2

    def sample(
        self, params: NegativeBinomialParameters, labels: Any, rng: np.random.Generator
    ) -> Array:
        """Poisson counts whose rates are gamma deviates."""
        mu, alpha = params.means[labels], params.dispersions[labels]
        drawn = rng.gamma(np.minimum(size_of(alpha), 1e15)) * alpha
        return rng.poisson(mu * np.where(alpha > 0.0, drawn, 1.0)).astype(float)


def size_of(alpha: Array) -> Array:
    """One over the dispersion, no larger than makes a difference."""
    return 1.0 / np.maximum(alpha, 1.0 / LARGEST_SIZE)


def log_density(x: Array, mu: Array, alpha: Array) -> Array:
    """log f of counts x at means and dispersions, entry by entry, nats."""
    a = size_of(alpha)
    total = x + a
    best = peak(x) + (peak(a) - peak(total)) - np.log1p(x / a)
    return best - divergence(x, total * (mu / (a + mu))) - divergence(a, total * (a / (a + mu)))


def by_dispersion(x: Array, mu: Array, alpha: Array) -> Array:
    """d log f / d alpha, entry by entry."""
    small = alpha * (x + mu + 1.0) < SMALL
    a = 1.0 / np.where(small, 1.0, alpha)
    by_size = digamma(x + a) - digamma(a) - np.log1p(mu / a) + (mu - x) / (a + mu)
    return np.where(small, 0.5 * ((x - mu) ** 2 - x), -(a**2) * by_size)


def dispersion(x: Array, weights: Array, mu: Array) -> Array:
    """The alpha (d,) at which rows x (n, d) are likeliest, given their means (d,).

    There is one above 0 if and only if the rows are more spread than Poisson counts, and then one
    alone (Simonsen 1976, Scand. Actuarial J. 1976, 220).
    """
    spread = weights @ (x - mu) ** 2
    over = spread - mu > LOST * EPS * (spread + mu)
    if not over.any():
        return np.zeros_like(mu)
    start = np.where(over, (spread - mu) / np.where(over, mu, 1.0) ** 2, 1.0)
    u = np.log(start)
    low, high = np.full_like(u, -np.inf), np.full_like(u, np.inf)
    for _ in range(STEPS):
        a = np.exp(-u)
        slope = np.exp(u) * (weights @ by_dispersion(x, mu, np.exp(u)))
        by_size = polygamma(1, x + a) - polygamma(1, a) + mu / (a * (a + mu))
        bend = -slope + a**2 * (weights @ (by_size - (mu - x) / (a + mu) ** 2))
        # The slope is above 0 to the left of the maximum, and below to the right.
        low, high = np.where(slope > 0.0, u, low), np.where(slope > 0.0, high, u)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(bend < 0.0, -slope / bend, np.sign(slope))
        new = u + np.clip(step, -2.0, 2.0)
        outside = (new <= low) | (new >= high)
        middle = np.where(np.isfinite(low) & np.isfinite(high), 0.5 * (low + high), new)
        new = np.where(outside, middle, new)
        done = np.abs(new - u) <= CLOSE
        u = new
        if (done | ~over).all():
            break
    return np.where(over, np.exp(u), 0.0)
