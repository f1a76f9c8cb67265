"""Unit vectors: von Mises-Fisher components, in any dimension from two on.

    log f(x | mu, kappa) = kappa mu . x - G_d(kappa) - log S_d,        |x| = |mu| = 1

with S_d the surface of the unit sphere, to which the density is relative, and G_d of
`concentration`.  In exponential-family form T = x and eta = kappa mu.  The mean of x has the
direction mu and the length A_d(kappa) (Banerjee, Dhillon, Ghosh and Sra 2005, Journal of Machine
Learning Research 6, 1345), of which kappa is found by Newton's method.

One known case: in two dimensions it is the von Mises density of the vector's angle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, pi
from typing import Any

import numpy as np
from scipy.special import gammaln

from emframe import Array, ExponentialFamily, NonNegative, parameter
from emframe.families import Moments
from emframe.parameters import pullback
from emframe_directions.concentration import concentration, log_normaliser, mean_length
from emframe_directions.points import refuse_points
from emframe_directions.spaces import UnitVector, unit


@dataclass(frozen=True)
class VonMisesFisherParameters:
    """Mean direction and concentration of each component."""

    directions: Array = parameter(UnitVector(), shape="d")  # (K, d)
    concentrations: Array = parameter(NonNegative())  # (K,)


@dataclass(frozen=True)
class VonMisesFisher(ExponentialFamily):
    """Unit vectors of any number of coordinates from two on."""

    name = "von-mises-fisher"
    parameters = VonMisesFisherParameters
    support = UnitVector()

    def statistics(self, x: Array) -> Array:
        return x

    def natural(self, params: VonMisesFisherParameters) -> Array:
        return np.asarray(params.concentrations[:, None] * params.directions)

    def log_partition(self, params: VonMisesFisherParameters) -> Array:
        d = params.directions.shape[1]
        log_surface = log(2.0) + 0.5 * d * log(pi) - float(gammaln(0.5 * d))
        return log_surface + log_normaliser(d, params.concentrations)

    def from_mean(self, mean: Array) -> VonMisesFisherParameters:
        length = np.linalg.norm(mean, axis=1)
        refuse_points(length)
        return VonMisesFisherParameters(unit(mean), concentration(mean.shape[1], length))

    def gradient(self, statistics: Moments, params: VonMisesFisherParameters) -> Array:
        kappa, mu, totals = params.concentrations, params.directions, statistics.totals
        expected = statistics.counts * mean_length(mu.shape[1], kappa)
        along = (mu * totals).sum(axis=1) - expected
        return pullback(params, VonMisesFisherParameters(kappa[:, None] * totals, along))

    def refuse(self, whole: Moments, columns: Sequence[str]) -> None:
        if len(columns) == 1:
            raise ValueError(
                f"a direction has two coordinates or more; there is one column, {columns[0]!r}. "
                "For angles pass the family 'von-mises'."
            )

    def mean(self, params: VonMisesFisherParameters) -> Array:
        length = mean_length(params.directions.shape[1], params.concentrations)
        return np.asarray(length[:, None] * params.directions)

    def sample(
        self, params: VonMisesFisherParameters, labels: Any, rng: np.random.Generator
    ) -> Array:
        """By rejection of the cosine with mu (Wood 1994, Commun. Stat. Simul. Comput. 23, 157)."""
        mu, kappa = params.directions[labels], params.concentrations[labels]
        cosine, sine = _cosines(kappa, mu.shape[1], rng)
        noise = rng.standard_normal(mu.shape)
        tangent = unit(noise - (noise * mu).sum(axis=1, keepdims=True) * mu)
        return unit(cosine[:, None] * mu + sine[:, None] * tangent)


def _cosines(kappa: Array, d: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Cosine and sine of the angle between a draw and its mean direction, (n,) each.

    With b = (d - 1) / (2 kappa + sqrt(4 kappa^2 + (d - 1)^2)) and a beta deviate z the proposal is
    w = (1 - (1 + b) z) / (1 - (1 - b) z); 1 - w is kept by itself, which is all that is left of it
    where kappa is large.
    """
    b = (d - 1) / (2.0 * kappa + np.hypot(2.0 * kappa, d - 1))
    short = np.zeros(len(kappa))  # 1 - w
    left = np.arange(len(kappa))
    while len(left):
        z = rng.beta(0.5 * (d - 1), 0.5 * (d - 1), size=len(left))
        here, share = b[left], 1.0 - (1.0 - b[left]) * z
        below = 2.0 * here * z / share
        # kappa (w - v) + (d - 1) log((1 - v w) / (1 - v^2)) with v = (1 - b) / (1 + b), at most 0.
        ratio = (1.0 + here) / (2.0 * share)
        gain = kappa[left] * (2.0 * here / (1.0 + here) - below) + (d - 1) * np.log(ratio)
        taken = np.log(rng.random(len(left))) <= gain
        short[left[taken]] = below[taken]
        left = left[~taken]
    return 1.0 - short, np.sqrt(short * (2.0 - short))
