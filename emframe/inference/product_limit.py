"""The distribution that rows tell of without any model, where some tell bounds alone.

    S(t) = product over event times t_j <= t of (1 - d_j / n_j)            (Kaplan and Meier 1958)

where times are exact or right censored; else the masses p_j of the intervals between ends that hold
the most likelihood, by self-consistency, which is EM (Turnbull 1976, JRSS B 38, 290):

    p_j  <-  1/n sum_i a_ij p_j / sum_l a_il p_l,      a_ij whether row i may lie in interval j

How far its likelihood is from the highest is known at each step, n log max_j d_j, d_j the factor.

One known case: where all values were seen it is their empirical distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from emframe.spaces import Array, Bounds

NATS = 1e-6  # that the likelihood of the masses may still gain
STEPS = 100_000


@dataclass(frozen=True)
class ProductLimit:
    """A survival function that falls at some times, from 1."""

    times: Array  # (m,) in order
    survival: Array  # (m,) from each on
    log_variance: Array | None  # (m,) of log S, by Greenwood's formula; None with intervals

    def at(self, times: Array) -> Array:
        """The share that lives longer than each time."""
        return self._stepped(self.survival, times, 1.0)

    def interval(self, times: Array, level: float) -> tuple[Array, Array] | None:
        """Ends by log(-log S), within 0 and 1 (Kalbfleisch and Prentice 2002, section 1.4)."""
        if self.log_variance is None:
            return None
        survival, variance = self.at(times), self._stepped(self.log_variance, times, 0.0)
        inside = (survival > 0.0) & (survival < 1.0)
        log_s = np.log(np.where(inside, survival, 0.5))
        off = ndtri(0.5 + 0.5 * level) * np.sqrt(variance) / -log_s
        ends = (np.exp(log_s * np.exp(sign * off)) for sign in (1.0, -1.0))
        low, high = (np.where(inside, end, survival) for end in ends)
        return low, high

    def _stepped(self, values: Array, times: Array, first: float) -> Array:
        place = np.searchsorted(self.times, times, side="right")
        return np.concatenate([[first], values])[place]


def product_limit(bounds: Bounds, weights: Array, discrete: bool = False) -> ProductLimit:
    """From where the value of each row lies, and frequency weights (n,).

    discrete : whether values are whole, and both ends possible ones.
    """
    some = (weights > 0) & (np.isfinite(bounds.low) | np.isfinite(bounds.high))
    low, high, weights = bounds.low[some], bounds.high[some], weights[some]
    if ((low == high) | np.isposinf(high)).all() and not np.isneginf(low).any():
        return _kaplan_meier(low, low == high, weights)
    return _turnbull(low, high, weights, discrete)


def _kaplan_meier(time: Array, event: Array, weights: Array) -> ProductLimit:
    times, place = np.unique(time, return_inverse=True)
    died = np.bincount(place, weights * event, len(times))
    left = np.cumsum(np.bincount(place, weights, len(times))[::-1])[::-1]
    some = died > 0
    times, died, left = times[some], died[some], left[some]
    share = np.minimum(died / left, 1.0)
    with np.errstate(divide="ignore"):
        each = np.where(share < 1.0, share / (left * (1.0 - share)), np.inf)
    survival = np.asarray(np.cumprod(1.0 - share), dtype=float)
    return ProductLimit(times, survival, np.asarray(np.cumsum(each), dtype=float))


def _turnbull(low: Array, high: Array, weights: Array, discrete: bool) -> ProductLimit:
    # A value that was seen lies at its end; one beyond an end does not, unless both are possible.
    after = np.where((low == high) | discrete, 0.0, 2.0)
    ends = np.concatenate([np.stack([low, after]), np.stack([high, np.ones(len(high))])], axis=1)
    is_high = np.repeat([False, True], len(low))
    order = np.lexsort((ends[1], ends[0]))
    rank = np.empty(len(order), dtype=int)
    rank[order] = np.arange(len(order))
    sorted_high = is_high[order]
    first = np.flatnonzero(~sorted_high[:-1] & sorted_high[1:])  # a low end, and at once a high one
    value = ends[0][order]
    starts, stops = rank[: len(low)], rank[len(low) :]
    held = (starts[:, None] <= first) & (first + 1 <= stops[:, None])
    mass, total = np.full(len(first), 1.0 / len(first)), weights.sum()
    for _ in range(STEPS):
        each = weights / (held @ mass)
        factor = (each @ held) / total
        if total * np.log(factor.max()) <= NATS:
            break
        mass = mass * factor
    times = value[first + 1]
    falls = np.isfinite(times)
    return ProductLimit(times[falls], 1.0 - np.cumsum(mass[falls]), None)
