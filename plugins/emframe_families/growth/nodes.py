"""Adaptive Gauss-Hermite quadrature over one random effect, of all people at once.

    f(y) = integral exp(h(u)) du
    h(u) = sum_t log f(y_t | eta_t + s_t u) - u^2 / 2 - log(2 pi) / 2

For each person the nodes lie about the mode of h, as far apart as its curvature says (Liu and
Pierce 1994, Biometrika 81, 624).  With one node this is Laplace's approximation.

One known case: with s = 0 the integrand is normal, and the quadrature exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from emframe import Array
from emframe_families.growth.responses import Response

STEPS = 100
FARTHEST = 2.0  # that a step towards the mode goes, in standard deviations of u
SETTLED = 1e-9
LOG_TWO_PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True)
class Visits:
    """Visits of N people, end to end."""

    x: Array  # (n, p)
    z: Array  # (n,)
    y: Array  # (n,)
    beside: Array  # (n,)  offsets, or trials
    firsts: NDArray[np.intp]  # (N,)
    lengths: NDArray[np.intp]  # (N,)

    def totals(self, values: Array) -> Array:
        """Of each person, (..., N), from values of visits (..., n)."""
        return np.asarray(np.add.reduceat(values, self.firsts, axis=-1))

    def spread(self, values: Array) -> Array:
        """For each visit the value of its person: (..., N) -> (..., n)."""
        return np.repeat(values, self.lengths, axis=-1)


@dataclass(frozen=True)
class Integrated:
    """The densities of people, and where their u is."""

    log_density: Array  # (K, N)
    nodes: Array  # (M, K, N)  values of u
    shares: Array  # (M, K, N)  of the posterior

    @property
    def mean(self) -> Array:
        """E[u | y], (K, N)."""
        return np.asarray((self.shares * self.nodes).sum(axis=0))

    @property
    def variance(self) -> Array:
        """Var[u | y], (K, N)."""
        return np.asarray((self.shares * (self.nodes - self.mean) ** 2).sum(axis=0))


@cache
def rule(n: int) -> tuple[Array, Array]:
    """Points a and log weights with exp(a^2) of the n-point Gauss-Hermite rule."""
    points, weights = np.polynomial.hermite.hermgauss(n)
    return points, np.log(weights) + points**2


def integrated(
    response: Response, visits: Visits, eta: Array, swing: Array, n_nodes: int
) -> Integrated:
    """The quadrature at linear predictors eta (K, n), where u moves each by swing (K, n)."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = _integrated(response, visits, eta, swing, n_nodes)
    # Where means are so large that they are no numbers, nothing is likely.
    density = np.where(np.isfinite(found.log_density), found.log_density, -np.inf)
    return replace(found, log_density=density)


def _integrated(
    response: Response, visits: Visits, eta: Array, swing: Array, n_nodes: int
) -> Integrated:
    y, m = visits.y, visits.beside
    u = np.zeros((len(eta), len(visits.firsts)))
    for _ in range(STEPS):
        rise, curve = response.slopes(y, m, eta + swing * visits.spread(u))
        slope = visits.totals(swing * rise) - u
        bend = visits.totals(swing**2 * curve) + 1.0
        step = np.clip(slope / bend, -FARTHEST, FARTHEST)
        u = u + step
        if np.abs(step).max() <= SETTLED:
            break
    points, log_weights = rule(n_nodes)
    width = np.sqrt(2.0 / bend)
    nodes = u + points[:, None, None] * width
    log_terms = np.empty(nodes.shape)
    for at, node in enumerate(nodes):
        density = response.log_density(y, m, eta + swing * visits.spread(node))
        log_terms[at] = visits.totals(density) - 0.5 * (node**2 + LOG_TWO_PI) + log_weights[at]
    total = logsumexp(log_terms, axis=0)
    shares = np.exp(log_terms - total)
    log_density = total + np.log(width) + visits.totals(response.constant(y, m))
    return Integrated(log_density, nodes, shares)
