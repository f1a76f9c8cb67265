"""Sums over counts that keep their digits, near 1e12 as near 1.

A Poisson log density is made of three terms,

    log f(x | rate) = x log rate - rate - log x!

that near a count of 1e12 are 1e13 each, and leave a few nats of one another.  Told by what a rate
falls short of the best one for the count,

    log f(x | rate) = log f(x | x) - D(x, rate),      D(x, rate) = x log(x / rate) - (x - rate)

both terms are as small as what they stand for (Loader 2000, "Fast and accurate computation of
binomial probabilities"; Banerjee et al. 2005, JMLR 6, 1705).  For sums over rows the mean m takes
the place of x: ``sum log f(x | rate) = sum log f(x | m) - n D(m, rate)``, exactly.

One known case: ``2 D(x, rate)`` is the unit deviance of Poisson regression.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln, xlogy

from emframe.families import Moments
from emframe.spaces import Array

# From here on Stirling's series has all digits; below, log x! is small enough to have them itself.
SERIES_FROM = 16.0
# (x - rate) / (x + rate) below which D is told by a series: eight terms have all digits there.
NEAR = 0.1
_ARTANH = 1.0 / np.arange(3, 19, 2)


def divergence(x: Array, rates: Array) -> Array:
    """D(x, rate) = x log(x / rate) - (x - rate), entry by entry: 0 at x = rate, else above."""
    excess = x - rates
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        apart = np.where(x > 0, x * (np.log(x) - np.log(rates)), 0.0) - excess
        v = excess / (x + rates)
    near = np.abs(v) < NEAR
    if near.any():  # there the two terms cancel: log(x / rate) = 2 artanh v, by its series
        v = np.where(near, v, 0.0)
        tail = np.polynomial.polynomial.polyval(np.square(v), _ARTANH)
        apart = np.where(near, v * (excess + 2.0 * x * np.square(v) * tail), apart)
    return np.where(rates > 0, apart, np.where(x > 0, np.inf, 0.0))


def peak(x: Array) -> Array:
    """log f(x | x) = x log x - x - log x!, entry by entry: about -log(2 pi x) / 2."""
    y = np.maximum(x, SERIES_FROM)
    s = 1.0 / np.square(y)
    rest = (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188)))) / y
    small = xlogy(x, x) - x - gammaln(x + 1.0)
    return np.where(x < SERIES_FROM, small, -0.5 * np.log(2.0 * np.pi * y) - rest)


@dataclass(frozen=True)
class Counted:
    """What rows leave behind in each component; it adds, and so do `Moments` of x to it."""

    counts: Array  # (K,)    sum of resp
    means: Array  # (K, d)  sum of resp x / counts; 0 where there are none
    peak: float  # sum of resp log f(x | means): what no rates surpass

    @property
    def totals(self) -> Array:
        """Sums of resp x, (K, d)."""
        return self.counts[:, None] * self.means

    def __add__(self, other: Counted | Moments) -> Counted:
        other = counted(other)
        counts = self.counts + other.counts
        total = np.where(counts > 0, counts, 1.0)
        means = (self.totals + other.totals) / total[:, None]
        fall = sum(one.counts @ divergence(one.means, means).sum(axis=1) for one in (self, other))
        return Counted(counts, means, self.peak + other.peak - float(fall))

    def __mul__(self, factor: float) -> Counted:
        return Counted(self.counts * factor, self.means, self.peak * factor)

    def repeated(self, times: int) -> Counted:
        """The same components so many times."""
        means = np.tile(self.means, (times, 1))
        return Counted(np.tile(self.counts, times), means, self.peak * times)

    def taken(self, which: Any) -> Counted:
        """Some of the components; the peak is that of all."""
        return Counted(self.counts[which], self.means[which], self.peak)


def counted(sums: Counted | Moments) -> Counted:
    """The same sums told by their means; `Moments` are those of the statistic x."""
    if isinstance(sums, Counted):
        return sums
    n = sums.counts[:, None]
    means = np.divide(sums.totals, n, out=np.zeros_like(sums.totals), where=n > 0)
    return Counted(sums.counts, means, sums.base + float(np.sum(n * (xlogy(means, means) - means))))
