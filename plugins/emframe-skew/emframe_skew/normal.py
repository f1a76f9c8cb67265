"""The skew normal family (Azzalini and Dalla Valle 1996, Biometrika 83, 715), in any dimension.

    x = xi + slope w + e,        w = |N(0, 1)|,  e ~ N(0, S)

    log f(x) = log 2 + log N(x | xi, S + slope slope') + log Phi(t)

with t the mean of w before the cut, given x, in its standard deviations.  The half-normal w is a
latent variable of the family's own.  Given x it is a normal variable that is cut off at 0, and
given w the family is a straight line, so both steps of EM are in closed form (Lin, Lee and Yen
2007, Statistica Sinica 17, 909; Pyne et al. 2009, PNAS 106, 8519).

One known case: with slope 0 it is the normal density.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import e, log, pi
from typing import Any

import numpy as np
from scipy.special import erfcx, log_ndtr

from emframe import Array, Family, PositiveDefinite, Real, parameter
from emframe.families import Completed, refuse_empty
from emframe.parameters import keep, pullback
from emframe_skew.lines import (
    Moments,
    Seen,
    by_moments,
    gradients,
    refuse_flat,
    regressed,
    squares_about,
)

FAR = -60.0  # below it moments of w are told by their series, which has all digits there


class Shaped:
    """What Azzalini's parameters are in terms of a line's."""

    locations: Array
    slopes: Array
    scatter: Array

    @property
    def scales(self) -> Array:
        """omega, (K, d): the root of the diagonal of Omega = S + slope slope'."""
        return np.sqrt(np.diagonal(self.scatter, axis1=1, axis2=2) + self.slopes**2)

    @property
    def shapes(self) -> Array:
        """alpha, (K, d), as in scipy's `skewnorm` and in sn of R."""
        solved = np.linalg.solve(self.scatter, self.slopes[:, :, None])[:, :, 0]
        steep = np.sqrt(1.0 + (self.slopes * solved).sum(axis=1))
        return np.asarray(self.scales * solved / steep[:, None])


@dataclass(frozen=True)
class SkewNormalParameters(Shaped):
    """Each component as a line along w: where it starts, its slope, the covariance about it."""

    locations: Array = parameter(Real(), shape="d")  # (K, d)
    slopes: Array = parameter(Real(), shape="d")  # (K, d)  above 0 with the long tail on the right
    covariances: Array = parameter(PositiveDefinite(), shape=("d", "d"))  # (K, d, d)

    @property
    def scatter(self) -> Array:  # type: ignore[override]
        """S, (K, d, d)."""
        return self.covariances


@dataclass(frozen=True)
class SkewNormal(Family):
    """Any number of real columns, each with a longer tail on one side."""

    name = "skew-normal"
    parameters = SkewNormalParameters
    support = Real()
    hides = True

    def log_density(self, params: SkewNormalParameters, x: Array) -> Array:
        seen = Seen.of_rows(params, x)
        plain = x.shape[1] * log(2.0 * pi) + seen.log_det + seen.distances
        return np.asarray(log(2.0) - 0.5 * plain + log_ndtr(seen.at / seen.width))

    def completed(self, params: SkewNormalParameters, x: Array, resp: Array) -> Completed:
        seen = Seen.of_rows(params, x)
        t = seen.at / seen.width
        first, second, _ = cut_normal(t)
        w, spread = seen.width * first, seen.width**2 * (second - first**2)
        found = Moments.of_rows(x, w, np.maximum(spread, 0.0), resp)
        return Completed(found, (resp * (np.log(seen.width) + cut_entropy(t, first))).sum(axis=0))

    def accumulate(self, x: Array, resp: Array) -> Moments:
        """With nothing known of w."""
        return Moments.of_x(x, resp)

    def expected(self, statistics: Moments, params: SkewNormalParameters) -> float:
        n, d = statistics.counts, params.slopes.shape[1]
        squares, of_w, log_det = squares_about(statistics, params)
        constant = log(2.0) - 0.5 * (d + 1) * log(2.0 * pi) - 0.5 * log_det
        return float(np.where(n > 0, n * constant - 0.5 * (squares + of_w), 0.0).sum())

    def m_step(self, statistics: Moments, previous: Any) -> SkewNormalParameters:
        empty = statistics.counts <= 0
        if previous is None:
            refuse_empty(empty)
        counts = np.where(empty, 1.0, statistics.counts)
        found = (regressed if statistics.knows_w else by_moments)(statistics, counts)
        refuse_flat(statistics, found, empty)
        params = SkewNormalParameters(*found)
        return keep(empty, previous, params) if empty.any() else params

    def gradient(self, statistics: Moments, params: SkewNormalParameters) -> Array:
        along = gradients(statistics, statistics.counts, params)
        return pullback(params, SkewNormalParameters(*along))

    def sample(self, params: SkewNormalParameters, labels: Any, rng: np.random.Generator) -> Array:
        return drawn(params, np.asarray(labels), rng, np.ones(len(labels)))

    def mean(self, params: SkewNormalParameters) -> Array:
        return np.asarray(params.locations + np.sqrt(2.0 / pi) * params.slopes)

    def variance(self, params: SkewNormalParameters) -> Array:
        return np.asarray(params.scales**2 - 2.0 / pi * params.slopes**2)


def drawn(params: Any, labels: Array, rng: np.random.Generator, u: Array) -> Array:
    """A row for each label, of which w and e are drawn at u times their precision, (n, d)."""
    w, noise = np.abs(rng.standard_normal(len(labels))), rng.standard_normal((len(labels), 1))
    if (d := params.slopes.shape[1]) > 1:
        noise = np.concatenate([noise, rng.standard_normal((len(labels), d - 1))], axis=1)
    errors = (np.linalg.cholesky(params.scatter)[labels] @ noise[:, :, None])[:, :, 0]
    off = params.slopes[labels] * w[:, None] + errors
    return np.asarray(params.locations[labels] + off / np.sqrt(u)[:, None])


def cut_normal(t: Array) -> tuple[Array, Array, Array]:
    """Mean and mean square of N(t, 1) cut off below 0, and log of what is left, Phi(t)."""
    below, tail = t < 0.0, 0.5 * erfcx(np.abs(t) / np.sqrt(2.0))
    with np.errstate(over="ignore"):
        half = 0.5 * t**2
    bell = np.exp(-half)
    left = np.where(below, tail, 1.0 - tail * bell)  # below 0 it is this times the bell
    hazard = np.where(below, 1.0, bell) / (np.sqrt(2.0 * pi) * left)
    log_left = np.log(left) - np.where(below, half, 0.0)
    first, second = t + hazard, 1.0 + t * (t + hazard)
    if (t < FAR).any():
        u = 1.0 / np.minimum(t, FAR) ** 2
        series = u * (2.0 - u * (10.0 - u * (74.0 - 706.0 * u)))
        first = np.where(t < FAR, np.sqrt(u) * (1.0 - series), first)
        second = np.where(t < FAR, series, second)
    return first, second, log_left


def cut_entropy(t: Array, first: Array) -> Array:
    """Its entropy, nats, from its mean."""
    return np.asarray(0.5 * log(2.0 * pi * e) + log_ndtr(t) - 0.5 * t * (first - t))
