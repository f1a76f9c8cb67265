"""The tail of a t distribution, as a function of t = 1 / dof, where 0 is the normal distribution.

With delta the squared distance (x - mu)' Sigma^-1 (x - mu) and y = t delta,

    log f = c(t) - 1/2 [ d log(2 pi) + log|Sigma| + log(1 + y) / t + d log(1 + y) ]

with c(t) = log Gamma((dof + d) / 2) - log Gamma(dof / 2) - d/2 log(dof / 2), which is 0 at t = 0;
and log(1 + y) / t is delta there.  Written so nothing overflows or cancels on the way to infinitely
many degrees of freedom, which are as ordinary an estimate as a rate of 0: the likelihood falls in
t from t = 0 on wherever the rows' tail is no heavier than a normal one.

One known case: at dof = 1 and d = 1 this is the Cauchy distribution, and c is log(2 / pi) / 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln, polygamma

from emframe.spaces import EPS, Array
from emframe.spaces.base import Elementwise

# A reciprocal of degrees of freedom below this changes nothing: 64 units of rounding.
NONE = 64 * EPS
# Up to here the series of h below is exact to rounding, and beyond it the gamma functions are.
NEAR_NORMAL = 0.02
# Its coefficients, of t, t^3, t^5, ... (from Stirling's series).
SERIES = np.array([-1 / 4, 1 / 24, -1 / 20, 17 / 112, -31 / 36])
POWERS = np.array([1.0, 3.0, 5.0, 7.0, 9.0])
# A climb that starts at the normal distribution starts here instead, at 20 degrees of freedom.
OFF_NORMAL = 0.05
# Of t: where all of a component's rows are at its location Q rises in t without end, and a climb
# does not go on to numbers that overflow: so few degrees of freedom are refused all the same.
HEAVIEST = 1e6
# Squared distances up to which their product with t, and up to which their square, is a number.
FARTHEST_OFF, FAR_SQUARED = 1e300, 1e150
STEPS = 12
FARTHEST = 2.0  # of log t in the first step; twice as far after each that led up
SETTLED = 1e-13  # a gain below this for each row is lost in the rounding of Q


class DegreesOfFreedom(Elementwise):
    """Numbers above 0 with infinity, by the root of their reciprocal: 0 is infinitely many.

    Where the reciprocal is lost in the rounding of an objective it is 0.
    """

    words = "numbers above 0, or inf"
    lower = 0.0

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return values > 0

    def forward(self, values: Array) -> Array:
        return 1.0 / np.sqrt(values)

    def backward(self, reals: Array) -> Array:
        t = np.square(reals)
        return np.divide(1.0, t, out=np.full_like(t, np.inf), where=t > NONE)

    def slope(self, values: Array) -> Array:
        finite = np.isfinite(values)
        return np.where(finite, -2.0 * np.where(finite, values, 0.0) ** 1.5, 0.0)

    def units(self, values: Array) -> Array:
        return np.ones(np.size(values))


def log_tail(distance: Array, dof: Array, d: int) -> Array:
    """log f + 1/2 (d log(2 pi) + log|Sigma|), (K, n), from squared distances (K, n)."""
    t = 1.0 / dof
    log = np.log1p(distance * t[:, None])
    return np.asarray(normaliser(t, d)[0][:, None] - 0.5 * (_per_t(log, distance, t) + d * log))


def normaliser(t: Array, d: int) -> Array:
    """c(t) and its first two derivatives with respect to log t, (3, K).

    Gamma functions half an integer apart are a product, for an odd d times one ratio a half apart:

        c(t) = sum_a log(1 + a t) + h(t),    a = d - 2, d - 4, ..., above 0,
        h(t) = log Gamma(z + 1/2) - log Gamma(z) - 1/2 log z,    z = 1 / (2 t);  0 for an even d
    """
    steps = np.arange(d - 2, 0, -2.0)[:, None] * t
    share = steps / (1.0 + steps)
    product = [np.log1p(steps), share, share * (1.0 - share)]
    total = np.array([part.sum(axis=0) for part in product])
    return total + _half(t) if d % 2 else total


def _half(t: Array) -> Array:
    """h(t) and its first two derivatives with respect to log t, (3, K)."""
    terms = SERIES[:, None] * np.minimum(t, NEAR_NORMAL) ** POWERS[:, None]
    near = np.array([(terms * POWERS[:, None] ** order).sum(axis=0) for order in range(3)])
    z = 0.5 / np.maximum(t, NEAR_NORMAL)
    first = digamma(z + 0.5) - digamma(z)
    second = polygamma(1, z + 0.5) - polygamma(1, z)
    far = np.array(
        [
            gammaln(z + 0.5) - gammaln(z) - 0.5 * np.log(z),
            0.5 - z * first,
            z * first + z**2 * second,
        ]
    )
    return np.where(t <= NEAR_NORMAL, near, far)


def _per_t(log: Array, distance: Array, t: Array) -> Array:
    """log(1 + y) / t, and its limit delta where t is 0."""
    free = (t > 0)[:, None]
    return np.divide(log, t[:, None], out=distance.copy(), where=np.broadcast_to(free, log.shape))


@dataclass(frozen=True)
class Tail:
    """Q as a function of t alone: the rows by their distances."""

    distances: tuple[Array, ...]  # (K, b), block by block
    resp: tuple[Array, ...]  # (K, b)
    widths: tuple[int, ...]  # columns that the rows of a block show
    rates: Array  # (K,)  of a prior: less rate t
    shared: bool = False  # one t for all components

    def __post_init__(self) -> None:
        if any(one.max(initial=0.0) > FARTHEST_OFF for one in self.distances):
            near = tuple(np.minimum(one, FARTHEST_OFF) for one in self.distances)
            object.__setattr__(self, "distances", near)

    @cached_property
    def by_width(self) -> dict[int, Array]:
        """Sums of responsibilities (K,) of rows that show so many columns."""
        found: dict[int, Array] = {}
        for d, resp in zip(self.widths, self.resp, strict=True):
            found[d] = found.get(d, 0.0) + resp.sum(axis=1)
        return found

    @property
    def counts(self) -> Array:
        """Sums of responsibilities, (K,)."""
        return np.asarray(sum(self.by_width.values()))

    def at(self, t: Array) -> Array:
        """Q at t (K,) and its first two derivatives with respect to log t, (3, K)."""
        total = sum(counts * normaliser(t, d) for d, counts in self.by_width.items())
        total = total - self.rates * t
        for d, distance, resp in zip(self.widths, self.distances, self.resp, strict=True):
            y = distance * t[:, None]
            log, rest = np.log1p(y), 1.0 / (1.0 + y)
            share = y * rest
            bend = share * rest
            own = np.divide(log, y, out=np.ones_like(y), where=y > 0) - rest
            for order, term in enumerate(
                (
                    -_per_t(log, distance, t) - d * log,
                    distance * own - d * share,
                    distance * (bend - own) - d * bend,
                )
            ):
                total[order] += 0.5 * np.einsum("kb,kb->k", resp, term)
        return self._pooled(total)

    def at_normal(self) -> Array:
        """Q at t = 0 and its derivative with respect to t, (2, K).

        Where delta is d on average, as at a maximum, the derivative is a quarter of how far the sum
        of delta^2 exceeds a normal kurtosis, d (d + 2) for each row (Mardia 1970, Biometrika 57,
        519).
        """
        total = np.zeros((2, len(self.rates)))
        total[1] = sum(n * 0.25 * d * (d - 2) for d, n in self.by_width.items()) - self.rates
        for d, distance, resp in zip(self.widths, self.distances, self.resp, strict=True):
            total[0] -= 0.5 * np.einsum("kb,kb->k", resp, distance)
            near = np.minimum(distance, FAR_SQUARED)  # all that is asked of it is its sign
            total[1] += 0.5 * np.einsum("kb,kb->k", resp, near * (0.5 * near - d))
        return self._pooled(total)

    def maximised(self, dof: Array) -> Array:
        """Degrees of freedom (K,) at which Q is highest, and no lower than at `dof`.

        Newton's method on log t; and where Q falls from t = 0 on, that end.  A component without
        rows keeps its own.
        """
        start = 1.0 / dof
        t = np.where(start > 0, start, OFF_NORMAL)
        weight = self._pooled(self.counts[None])[0]
        normal, slope = self.at_normal()
        here = self.at(t)
        before = np.where(start > 0, here[0], normal)
        ends = (slope <= 0) & (normal >= before)
        open_, limit = (weight > 0) & ~ends, np.full(len(t), FARTHEST)
        for _ in range(STEPS):
            # Where Q curves upwards there is no top to aim at, and it goes as far as it may.
            step = np.sign(here[1]) * limit
            np.divide(here[1], -here[2], out=step, where=here[2] < 0)
            step = np.clip(step, -limit, limit)
            open_ &= np.abs(step * here[1]) > SETTLED * weight
            if not open_.any():
                break
            trial = np.where(open_, t * np.exp(np.minimum(step, np.log(HEAVIEST / t))), t)
            there = self.at(trial)
            rises = open_ & (there[0] > here[0])
            t, here = np.where(rises, trial, t), np.where(rises, there, here)
            limit = np.where(rises, 2.0 * limit, 0.25 * np.abs(step))
        t = np.where(here[0] > before, t, start)
        t = np.where(ends, 0.0, t)
        found = np.divide(1.0, t, out=np.full_like(t, np.inf), where=t > 0)
        return np.where(weight > 0, found, dof)

    def _pooled(self, sums: Array) -> Array:
        """Sums of each component; of all of them where they share t."""
        if not self.shared:
            return sums
        return np.broadcast_to(sums.sum(axis=1, keepdims=True), sums.shape).copy()
