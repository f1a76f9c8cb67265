"""Angles: von Mises components.

    log f(x | mu, kappa) = kappa cos(x - mu) - log(2 pi I_0(kappa)),        -pi <= x <= pi

In exponential-family form T = (cos x, sin x) and eta = kappa (cos mu, sin mu).  The mean of T has
the direction mu and the length A_2(kappa), so the maximum is its direction, and the kappa of its
length; see `concentration`.

One known case: with kappa 0 it is the uniform density on the circle, and mu says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi
from typing import Any

import numpy as np

from emframe import Array, ExponentialFamily, NonNegative, parameter
from emframe.families import Moments
from emframe.parameters import pullback
from emframe.spaces import Turn
from emframe_directions.concentration import concentration, log_normaliser, mean_length
from emframe_directions.points import refuse_points
from emframe_directions.spaces import Angle


@dataclass(frozen=True)
class VonMisesParameters:
    """Mean direction, in radians, and concentration of each component."""

    angles: Array = parameter(Angle())  # (K,)
    concentrations: Array = parameter(NonNegative())  # (K,)


@dataclass(frozen=True)
class VonMises(ExponentialFamily):
    """One column of angles, in radians."""

    name = "von-mises"
    parameters = VonMisesParameters
    support = Turn(-pi, pi)

    def statistics(self, x: Array) -> Array:
        return np.column_stack([np.cos(x), np.sin(x)])

    def natural(self, params: VonMisesParameters) -> Array:
        along = np.column_stack([np.cos(params.angles), np.sin(params.angles)])
        return np.asarray(params.concentrations[:, None] * along)

    def log_partition(self, params: VonMisesParameters) -> Array:
        return log(2.0 * pi) + log_normaliser(2, params.concentrations)

    def from_mean(self, mean: Array) -> VonMisesParameters:
        length = np.hypot(mean[:, 0], mean[:, 1])
        refuse_points(length)
        angles = np.arctan2(mean[:, 1], mean[:, 0])
        return VonMisesParameters(angles, concentration(2, length))

    def gradient(self, statistics: Moments, params: VonMisesParameters) -> Array:
        kappa, (cos, sin) = params.concentrations, statistics.totals.T
        c, s = np.cos(params.angles), np.sin(params.angles)
        along = cos * c + sin * s - statistics.counts * mean_length(2, kappa)
        return pullback(params, VonMisesParameters(kappa * (sin * c - cos * s), along))

    def sample(self, params: VonMisesParameters, labels: Any, rng: np.random.Generator) -> Array:
        drawn = rng.vonmises(params.angles[labels], params.concentrations[labels])
        return np.asarray(self.support.wrapped(drawn)[:, None])
