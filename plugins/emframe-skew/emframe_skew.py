"""The skew normal family (Azzalini 1985, Scandinavian Journal of Statistics 12, 171).

    x = xi + slope w + e,        w = |N(0, 1)|,  e ~ N(0, variance)

    log f(x) = log 2 + log phi((x - xi) / omega) - log omega + log Phi(alpha (x - xi) / omega)

with omega^2 = slope^2 + variance and alpha = slope / sqrt(variance).  The half-normal w is a latent
variable of the family's own.  Given x it is a normal variable that is cut off at 0, and given w the
family is a straight line, so both steps of EM are in closed form (Lin, Lee and Yen 2007, Statistica
Sinica 17, 909).

One known case: with slope 0 it is the normal density.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import e, log, pi
from typing import Any

import numpy as np
from scipy.special import erfcx, log_ndtr

from emframe import Array, Degenerate, Family, FamilyEntry, Positive, Real, hookimpl, parameter
from emframe.families import Completed, refuse_empty
from emframe.parameters import keep
from emframe.spaces import EPS

LOST = 64.0  # of a variance that is below so many last bits of what it is left of, no digit is
FAR = -60.0  # below it moments of w are told by their series, which has all digits there
STEEPEST = 0.99  # of the skewness that a skew normal can have, at a start


@dataclass(frozen=True)
class SkewNormalParameters:
    """Each component as a line along w: where it starts, its slope, the variance about it."""

    locations: Array = parameter(Real())  # (K,)
    slopes: Array = parameter(Real())  # (K,)  above 0 with the long tail on the right
    variances: Array = parameter(Positive())  # (K,)

    @property
    def scales(self) -> Array:
        """omega, (K,), as scipy's `scale`."""
        return np.hypot(self.slopes, np.sqrt(self.variances))

    @property
    def shapes(self) -> Array:
        """alpha, (K,), as scipy's `a`."""
        return np.asarray(self.slopes / np.sqrt(self.variances))


@dataclass(frozen=True)
class Line:
    """Weighted moments of (x, w) about their means; they add without loss of digits.

    The third moment of x is what a start is made of, before any w is known.
    """

    counts: Array  # (K,)
    means: Array  # (K, 2)
    squares: Array  # (K, 2, 2)
    cubes: Array  # (K,) of x

    def __add__(self, other: Line) -> Line:
        counts = self.counts + other.counts
        share = np.divide(other.counts, counts, out=np.zeros_like(counts), where=counts > 0)
        gap = other.means - self.means
        weight = self.counts * share
        dx = gap[:, 0]
        return Line(
            counts,
            self.means + share[:, None] * gap,
            self.squares + other.squares + weight[:, None, None] * gap[:, :, None] * gap[:, None],
            self.cubes
            + other.cubes
            + weight * (1.0 - 2.0 * share) * dx**3
            + 3.0 * dx * ((1.0 - share) * other.squares[:, 0, 0] - share * self.squares[:, 0, 0]),
        )

    def __mul__(self, factor: float) -> Line:
        return Line(self.counts * factor, self.means, self.squares * factor, self.cubes * factor)


@dataclass(frozen=True)
class SkewNormal(Family):
    """One column of real numbers with a longer tail on one side."""

    name = "skew-normal"
    parameters = SkewNormalParameters
    support = Real()
    hides = True

    def log_density(self, params: SkewNormalParameters, x: Array) -> Array:
        omega = params.scales
        z = (x - params.locations) / omega
        return 0.5 * log(2.0 / pi) - np.log(omega) - 0.5 * z**2 + log_ndtr(params.shapes * z)

    def completed(self, params: SkewNormalParameters, x: Array, resp: Array) -> Completed:
        omega, alpha = params.scales, params.shapes
        t = alpha * ((x - params.locations) / omega)  # mean of w before the cut, in its deviations
        s = np.sqrt(params.variances) / omega  # that deviation
        first, second, entropy = cut_normal(t)
        w, spread = s * first, s**2 * (second - first**2)
        found = line(x, w, np.maximum(spread, 0.0), resp)
        return Completed(found, (resp * (np.log(s) + entropy)).sum(axis=0))

    def accumulate(self, x: Array, resp: Array) -> Line:
        """With nothing known of w, (n, K)."""
        nothing = np.full(resp.shape, np.nan)
        return line(x, nothing, nothing, resp)

    def expected(self, statistics: Line, params: SkewNormalParameters) -> float:
        n, (x, w) = statistics.counts, statistics.means.T
        slope = params.slopes
        residual = x - params.locations - slope * w
        along = np.stack([np.ones_like(slope), -slope], axis=1)
        squares = np.einsum("ki,kij,kj->k", along, statistics.squares, along) + n * residual**2
        of_w = statistics.squares[:, 1, 1] + n * w**2
        constant = -log(pi) - 0.5 * np.log(params.variances)
        terms = n * constant - 0.5 * squares / params.variances - 0.5 * of_w
        return float(np.where(n > 0, terms, 0.0).sum())

    def m_step(self, statistics: Line, previous: Any) -> SkewNormalParameters:
        empty = statistics.counts <= 0
        if previous is None:
            refuse_empty(empty)
        n = np.where(empty, 1.0, statistics.counts)
        if np.isnan(statistics.means[~empty, 1]).any():
            found = self._by_moments(statistics, n)
        else:
            xx, xw, ww = (statistics.squares[:, i, j] / n for i, j in ((0, 0), (0, 1), (1, 1)))
            slope = np.divide(xw, ww, out=np.zeros_like(xw), where=ww > 0)
            x, w = statistics.means.T
            found = (x - slope * w, slope, xx - slope * xw)
        location, slope, variance = found
        size = statistics.squares[:, 0, 0] / n
        lost = ~empty & ~(variance > LOST * EPS * (size + EPS * statistics.means[:, 0] ** 2))
        if lost.any():
            k = int(lost.argmax())
            raise Degenerate(f"component {k} has shrunk to a point or to a half-normal density", k)
        params = SkewNormalParameters(location, slope, np.where(empty, 1.0, variance))
        return params if previous is None else keep(empty, previous, params)

    def _by_moments(self, sums: Line, n: Array) -> tuple[Array, Array, Array]:
        """Location, slope and variance with the mean, variance and skewness of the rows.

        A skewness beyond that of a skew normal is taken as the largest, and one near 0 as small:
        at slope 0 the likelihood is stationary, and EM would stay there.
        """
        variance = sums.squares[:, 0, 0] / n
        sd = np.sqrt(variance)
        cube = np.cbrt(2.0 * (sums.cubes / n) / (4.0 - pi))
        share = np.divide(cube, sd, out=np.zeros_like(sd), where=sd > 0)  # slope sqrt(2 / pi) / sd
        most = STEEPEST * np.sqrt(2.0 / (pi - 2.0))
        share = np.where(np.abs(share) < 0.1, np.copysign(0.1, share), np.clip(share, -most, most))
        omega2 = variance * (1.0 + share**2)
        slope = share * sd * np.sqrt(pi / 2.0)
        return sums.means[:, 0] - share * sd, slope, omega2 - slope**2

    def sample(self, params: SkewNormalParameters, labels: Any, rng: np.random.Generator) -> Array:
        w, noise = np.abs(rng.standard_normal(len(labels))), rng.standard_normal(len(labels))
        about = np.sqrt(params.variances[labels]) * noise
        return np.asarray(params.locations[labels] + params.slopes[labels] * w + about)[:, None]

    def mean(self, params: SkewNormalParameters) -> Array:
        return (params.locations + np.sqrt(2.0 / pi) * params.slopes)[:, None]

    def variance(self, params: SkewNormalParameters) -> Array:
        return (params.variances + (1.0 - 2.0 / pi) * params.slopes**2)[:, None]


def line(x: Array, w: Array, spread: Array, resp: Array) -> Line:
    """Sums over rows x (n, 1), with the means and variances (n, K) of what each hides."""
    counts = resp.sum(axis=0)
    share = resp / np.where(counts > 0, counts, 1.0)
    x_mean, w_mean = (share * x).sum(axis=0), (share * w).sum(axis=0)
    dx, dw = x - x_mean, w - w_mean
    xw = (resp * dx * dw).sum(axis=0)
    squares = np.array([[(resp * dx**2).sum(axis=0), xw], [xw, (resp * (dw**2 + spread)).sum(0)]])
    means = np.column_stack([x_mean, w_mean])
    return Line(counts, means, squares.transpose(2, 0, 1), (resp * dx**3).sum(axis=0))


def cut_normal(t: Array) -> tuple[Array, Array, Array]:
    """Mean, mean square, and entropy in nats of N(t, 1) cut off below 0."""
    near = np.maximum(t, FAR)
    with np.errstate(over="ignore"):  # where nothing is cut off
        hazard = np.sqrt(2.0 / pi) / erfcx(-near / np.sqrt(2.0))
    u = 1.0 / np.minimum(t, FAR) ** 2
    series = np.sqrt(u) * (1.0 - u * (2.0 - u * (10.0 - u * (74.0 - 706.0 * u))))
    first = np.where(t < FAR, series, near + hazard)
    second = np.where(t < FAR, u * (2.0 - u * (10.0 - u * (74.0 - 706.0 * u))), 1.0 + near * first)
    entropy = 0.5 * log(2.0 * pi * e) + log_ndtr(t) - 0.5 * t * (first - t)
    return first, second, entropy


@hookimpl
def emframe_families() -> list[FamilyEntry]:
    """What this plugin brings."""
    return [
        FamilyEntry(
            "skew-normal",
            SkewNormal,
            "One column of real numbers with a longer tail on one side",
            "Azzalini (1985), Scandinavian Journal of Statistics 12, 171",
        )
    ]
