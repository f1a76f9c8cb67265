"""Responses that are counts: their log density, mean and variance at a linear predictor.

    Poisson     log f = y eta - exp(eta) - log y!
    binomial    log f = y eta - m log(1 + exp(eta)) + log (m choose y)

In both d log f / d eta = y - mean, and d mean / d eta = variance.

One known case: at eta = 0 a Poisson count has mean 1, and a single trial 1/2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, gammaln

from emframe import Array

HIGHEST = 700.0  # of a linear predictor: the exponential of more is no number


class Response(ABC):
    """A count y, with one number m beside it that is given: an offset, or trials."""

    @abstractmethod
    def constant(self, y: Array, m: Array) -> Array:
        """What of log f no linear predictor enters."""

    @abstractmethod
    def log_density(self, y: Array, m: Array, eta: Array) -> Array:
        """log f less `constant`; shapes broadcast."""

    @abstractmethod
    def mean(self, m: Array, eta: Array) -> Array:
        """The mean at eta."""

    @abstractmethod
    def variance(self, m: Array, mean: Array) -> Array:
        """The variance, from the mean."""

    def slopes(self, y: Array, m: Array, eta: Array) -> tuple[Array, Array]:
        """Derivatives of log f by eta: the first, and the second with its sign turned."""
        mean = self.mean(m, eta)
        return y - mean, self.variance(m, mean)

    @abstractmethod
    def rough(self, y: Array, m: Array) -> Array:
        """A linear predictor near what a count says by itself."""

    @abstractmethod
    def draw(self, m: Array, eta: Array, rng: np.random.Generator) -> Array:
        """A count for each eta."""


@dataclass(frozen=True)
class PoissonResponse(Response):
    """Counts; m is an offset, added to eta."""

    def constant(self, y: Array, m: Array) -> Array:
        return np.asarray(-gammaln(y + 1.0))

    def log_density(self, y: Array, m: Array, eta: Array) -> Array:
        return y * (eta + m) - self.mean(m, eta)

    def mean(self, m: Array, eta: Array) -> Array:
        return np.exp(np.minimum(eta + m, HIGHEST))

    def variance(self, m: Array, mean: Array) -> Array:
        return mean

    def rough(self, y: Array, m: Array) -> Array:
        return np.log(y + 0.5) - m

    def draw(self, m: Array, eta: Array, rng: np.random.Generator) -> Array:
        return rng.poisson(self.mean(m, eta)).astype(float)


@dataclass(frozen=True)
class BinomialResponse(Response):
    """Successes among m trials."""

    def constant(self, y: Array, m: Array) -> Array:
        return np.asarray(gammaln(m + 1.0) - gammaln(y + 1.0) - gammaln(m - y + 1.0))

    def log_density(self, y: Array, m: Array, eta: Array) -> Array:
        return y * eta - m * np.logaddexp(0.0, eta)

    def mean(self, m: Array, eta: Array) -> Array:
        return np.asarray(m * expit(eta))

    def variance(self, m: Array, mean: Array) -> Array:
        return np.where(m > 0, mean * (1.0 - mean / np.where(m > 0, m, 1.0)), 0.0)

    def rough(self, y: Array, m: Array) -> Array:
        return np.log((y + 0.5) / (m - y + 0.5))

    def draw(self, m: Array, eta: Array, rng: np.random.Generator) -> Array:
        return rng.binomial(m.astype(np.int64), expit(eta)).astype(float)
