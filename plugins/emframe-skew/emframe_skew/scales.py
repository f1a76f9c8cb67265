"""How precise a row of a skew t component is: the hidden u, given x.

    u ~ Gamma(a0, rate a0),  a0 = dof / 2;      (x, w) | u  as those of a skew normal, over sqrt(u)

Given x, with D the squared distance and t the mean of w before the cut in its deviations, v = log u
has a density proportional to

    exp(a v - b e^v) Phi(t e^(v / 2)),      a = a0 + d / 2,  b = a0 + D / 2

which has one peak and falls off at least exponentially.  All that EM asks of u and w are integrals
over it, by the trapezoid rule in a variable along which it falls off still faster, where a few
dozen points have all digits (Takahasi and Mori 1974, Publ. RIMS 9, 721).

One known case: at t = 0 u has the gamma distribution of a t density's rows.
"""

from __future__ import annotations

from math import e, log, pi
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, stdtr

from emframe import Array
from emframe_skew.normal import cut_normal

POINTS = np.linspace(-7.2, 8.6, 49)  # of that variable, in widths of the peak
TURN = 0.03  # how soon it turns to run ahead of v on the left
SERIES_FROM = 30.0  # four terms of Stirling's series have all digits there
LEAST = 1e-250  # of a distribution function: below it the digits run out


class Points(NamedTuple):
    """u at the points of the rule: (J, n, K), but for the last."""

    v: Array  # log u
    root: Array  # of u
    bare: Array  # log of the density but for Phi, less what it is at the middle
    share: Array  # of the integral, which sum to 1
    cut: tuple[Array, Array]  # mean and mean square of w, in deviations at u
    total: Array  # (n, K)  log of the rule's sum
    log_mass: Array  # (n, K)  log of the integral, with the constants of u's own law


class Hidden(NamedTuple):
    """What x says of u and w, (n, K) each."""

    u: Array  # E[u]
    spread: Array  # E[u - 1 - log u], which is above 0
    uw: Array  # E[u w], in deviations of w at u = 1
    uww: Array  # E[u w^2]
    entropy: Array  # of u and w together, nats, with w in those deviations


def points(dof: Array, d: int, distances: Array, t: Array) -> Points:
    """The rule's points for rows of squared distances and t (n, K)."""
    a0 = 0.5 * dof
    a, b = a0 + 0.5 * d, a0 + 0.5 * distances
    more = 0.5 * np.minimum(t, 0.0) ** 2
    off = np.maximum(_gap(d, distances, more) / (b + more), -0.5)
    middle = np.where(off > -0.5, np.log1p(off), np.log(a / (b + more)))
    y = (POINTS - TURN * np.expm1(-POINTS))[:, None, None] / np.sqrt(a)
    stretch = (1.0 + TURN * np.exp(-POINTS))[:, None, None] / np.sqrt(a)
    rise = np.expm1(y)
    bare = a * (y - rise) + (a * more / (b + more)) * rise
    root = np.exp(0.5 * middle) * np.exp(0.5 * y)
    first, second, log_phi = cut_normal(t * root)
    log_share = bare + log_phi + np.log(stretch * (POINTS[1] - POINTS[0]))
    most = log_share.max(axis=0)
    share = np.exp(log_share - most)
    mass = share.sum(axis=0)
    share /= mass
    total = most + np.log(mass)
    level = middle_level(a0, d, distances, more)
    return Points(middle + y, root, bare, share, (first, second), total, level + total)


def _gap(d: int, distances: Array, more: Array | float) -> Array:
    """a - b - more, of which the degrees of freedom are no part however many they are."""
    return np.asarray(0.5 * (d - distances) - more)


def middle_level(a0: Array, d: int, distances: Array, more: Array | float) -> Array:
    """log of a0^a0 / Gamma(a0) e^(a v - b e^v) at e^v = a / (b + more); no terms that cancel."""
    a, b = a0 + 0.5 * d, a0 + 0.5 * distances
    at = b + more
    off = _gap(d, distances, more) / at
    with np.errstate(divide="ignore"):
        near = a * (np.log1p(off) - off) + off * _gap(d, distances, 0.0) - 0.5 * distances
    far = a * np.log(a / at) + (a0 - a * (b / at))
    return np.asarray(stirling(a0) + np.where(off > -0.5, near, far))


def log_mass(dof: Array, d: int, distances: Array, t: Array) -> Array:
    """`Points.log_mass`, by a t distribution function wherever that is a number."""
    a0 = 0.5 * dof
    a, b = a0 + 0.5 * d, a0 + 0.5 * distances
    inside = stdtr(2.0 * a, t * np.sqrt(a / b))
    held = inside > LEAST
    found = middle_level(a0, d, distances, 0.0) - stirling(a) + np.log(np.where(held, inside, 1.0))
    if not held.all():
        row, k = np.nonzero(~held)
        far = points(dof[k], d, distances[row, k][None], t[row, k][None])
        found[row, k] = far.log_mass[0]
    return np.asarray(found)


def hidden(dof: Array, d: int, distances: Array, t: Array) -> Hidden:
    """What those rows say of u and w."""
    rule = points(dof, d, distances, t)
    first, second = rule.cut
    at = t * rule.root

    def mean(of: Array) -> Array:
        return np.asarray(np.einsum("jnk,jnk->nk", rule.share, of))

    # Of v that is log-mass less log-density, whose Phi is that of w's own entropy below 0.
    of_w = 0.5 * log(2.0 * pi * e) - 0.5 * mean(at * (first - at))
    return Hidden(
        mean(rule.root**2),
        mean(np.expm1(rule.v) - rule.v),
        mean(rule.root * first),
        mean(second),
        rule.total - mean(rule.bare) + 0.5 * mean(rule.v) + of_w,
    )


def stirling(a: Array) -> Array:
    """a log a - a - log Gamma(a)."""
    far = a >= SERIES_FROM
    near, v = np.where(far, 1.0, a), 1.0 / np.where(far, a, SERIES_FROM)
    s = v * v
    series = -v * (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188))))
    plain = near * np.log(near) - near - gammaln(near)
    return np.where(far, -0.5 * (np.log(v) + log(2.0 * pi)) + series, plain)
