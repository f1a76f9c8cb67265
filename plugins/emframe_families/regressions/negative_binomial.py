"""Counts more spread than Poisson's, whose log mean is linear.

    log mu = eta,        variance mu + alpha mu^2

(Lawless 1987, Canadian J. Statistics 15, 209; the density is that of `counting.negative_binomial`).
With the dispersion alpha = 0 it is the Poisson regression, and is at the maximum where a
component's counts are no more spread than that.

One known case: R's ``glm.nb`` has ``theta`` = 1 / alpha.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import betainc, betaincc, polygamma

from emframe import Contract, NonNegative, NonNegativeInteger
from emframe.parameters import Declared
from emframe.spaces import Array
from emframe_families.counting.negative_binomial import by_dispersion, log_density, size_of
from emframe_families.counting.poisson import LARGEST
from emframe_families.positive.gamma import log_tails
from emframe_families.regressions.shaped import ShapedRegression, Shapes


@dataclass(frozen=True)
class NegativeBinomialRegression(ShapedRegression):
    """A negative binomial count whose log mean is linear in the predictors."""

    name = "negative-binomial-regression"
    contract = Contract.GENERALISED
    response_space = NonNegativeInteger(LARGEST)
    own: ClassVar[Mapping[str, Declared]] = {"dispersion": Declared(NonNegative())}
    may_vanish = (True,)

    def value(self, y: Array, eta: Array, shapes: Shapes) -> Array:
        with np.errstate(over="ignore"):
            return log_density(y, np.exp(eta), shapes[0])

    def derivatives(
        self, y: Array, eta: Array, shapes: Shapes
    ) -> tuple[list[Array], list[list[Array]]]:
        alpha, mu = shapes[0], np.exp(eta)
        a, wide = size_of(alpha), 1.0 + alpha * mu
        by_log = alpha * by_dispersion(y, mu, alpha)
        by_size = polygamma(1, y + a) - polygamma(1, a) + mu / (a * (a + mu))
        turn = -by_log + a**2 * (by_size - (mu - y) / (a + mu) ** 2)
        by_eta = (y - mu) / wide
        by_both = -mu * (1.0 + alpha * y) / wide**2
        return [by_eta, by_log], [[by_both], [-alpha * mu * by_eta / wide, turn]]

    def tails(self, y: Array, eta: Array, shapes: Shapes) -> tuple[Array, Array]:
        mu, size = np.exp(eta), size_of(shapes[0])
        poisson = np.broadcast_to(shapes[0] == 0.0, np.shape(eta))
        beyond, below = log_tails(y + 1.0, mu)  # the y + 1st event comes before, or after
        share = mu / (size + mu)
        own = np.log(betaincc(y + 1.0, size, share)), np.log(betainc(y + 1.0, size, share))
        return np.where(poisson, below, own[0]), np.where(poisson, beyond, own[1])

    def rough(self, y: Array) -> Array:
        return np.log(y + 0.5)

    def first(self, away: Array, share: Array) -> tuple[float, ...]:
        return (0.5,)

    def drawn(self, eta: Array, shapes: Shapes, rng: np.random.Generator) -> Array:
        alpha = shapes[0]
        drawn = rng.gamma(np.minimum(size_of(alpha), 1e15)) * alpha
        return rng.poisson(np.exp(eta) * np.where(alpha > 0.0, drawn, 1.0)).astype(float)
