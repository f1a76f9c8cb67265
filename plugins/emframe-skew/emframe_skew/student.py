"""The skew t family (Azzalini and Capitanio 2003, JRSS B 65, 367), in any dimension.

    x = xi + (slope w + e) / sqrt(u),    w = |N(0, 1)|,  e ~ N(0, S),  u ~ Gamma(dof / 2, dof / 2)

    log f(x) = log 2 + log t(x | xi, S + slope slope', dof) + log T(...),

with T the distribution function of a t variable of dof + d degrees of freedom.  Both w and u are
latent variables of the family's own, as in Lin (2010, Statistics and Computing 20, 343) and Lee and
McLachlan (2014, Statistics and Computing 24, 181), and all that EM asks of them is worked out to
rounding: also E[log u | x], which has no closed form; see `scales`.

One known case: with slope 0 it is a t density, and as dof grows a skew normal one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi
from typing import Any

import numpy as np
from scipy.special import gammaln

from emframe import Array, Degenerate, Family, Positive, PositiveDefinite, Real, parameter
from emframe.families import Completed, refuse_empty
from emframe.numeric import gamma_shape, log_excess
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
from emframe_skew.normal import Shaped, drawn
from emframe_skew.scales import hidden, log_mass, stirling

FIRST = 8.0  # degrees of freedom of a start, which knows no tail yet
LARGEST = 1e10  # half of degrees of freedom from which on nothing changes
LEAST = 0.1  # with fewer, a core is no more than a point


@dataclass(frozen=True)
class SkewTParameters(Shaped):
    """Each component as a line along w, with a tail."""

    locations: Array = parameter(Real(), shape="d")  # (K, d)
    slopes: Array = parameter(Real(), shape="d")  # (K, d)  above 0 with the long tail on the right
    scale_matrices: Array = parameter(PositiveDefinite(), shape=("d", "d"))  # (K, d, d)
    dof: Array = parameter(Positive())  # (K,)  degrees of freedom

    @property
    def scatter(self) -> Array:  # type: ignore[override]
        """S, (K, d, d)."""
        return self.scale_matrices


@dataclass(frozen=True)
class Weighted:
    """Moments of (x, w) under weights resp E[u], and what u is; they add."""

    lines: Moments
    counts: Array  # (K,)  sums of resp
    spreads: Array  # (K,)  of resp E[u - 1 - log u]; nan with nothing known of u

    def __add__(self, other: Weighted) -> Weighted:
        return Weighted(
            self.lines + other.lines, self.counts + other.counts, self.spreads + other.spreads
        )

    def __mul__(self, factor: float) -> Weighted:
        return Weighted(self.lines * factor, self.counts * factor, self.spreads * factor)


@dataclass(frozen=True)
class SkewT(Family):
    """Any number of real columns, with a longer tail on one side and heavier ones on both."""

    name = "skew-t"
    parameters = SkewTParameters
    support = Real()
    hides = True
    effort = 20.0

    def log_density(self, params: SkewTParameters, x: Array) -> Array:
        seen, d = Seen.of_rows(params, x), x.shape[1]
        mass = log_mass(params.dof, d, seen.distances, seen.at / seen.width)
        return np.asarray(log(2.0) - 0.5 * (d * log(2.0 * pi) + seen.log_det) + mass)

    def completed(self, params: SkewTParameters, x: Array, resp: Array) -> Completed:
        seen = Seen.of_rows(params, x)
        found = hidden(params.dof, x.shape[1], seen.distances, seen.at / seen.width)
        w = seen.width * found.uw / found.u
        spread = seen.width**2 * (found.uww / found.u - (found.uw / found.u) ** 2)
        lines = Moments.of_rows(x, w, np.maximum(spread, 0.0), resp * found.u)
        sums = Weighted(lines, resp.sum(axis=0), (resp * found.spread).sum(axis=0))
        return Completed(sums, (resp * (np.log(seen.width) + found.entropy)).sum(axis=0))

    def accumulate(self, x: Array, resp: Array) -> Weighted:
        """With nothing known of w and u."""
        counts = resp.sum(axis=0)
        return Weighted(Moments.of_x(x, resp), counts, np.full_like(counts, np.nan))

    def expected(self, statistics: Weighted, params: SkewTParameters) -> float:
        n, d = statistics.counts, params.slopes.shape[1]
        squares, of_w, log_det = squares_about(statistics.lines, params)
        logs = statistics.lines.counts - n - statistics.spreads  # of E[log u]
        half = 0.5 * params.dof
        constant = log(2.0) - 0.5 * (d + 1) * log(2.0 * pi) - 0.5 * log_det + stirling(half)
        of_u = 0.5 * (d - 1) * logs - half * statistics.spreads
        return float(np.where(n > 0, n * constant + of_u - 0.5 * (squares + of_w), 0.0).sum())

    def m_step(self, statistics: Weighted, previous: Any) -> SkewTParameters:
        lines, empty = statistics.lines, statistics.counts <= 0
        if previous is None:
            refuse_empty(empty)
        counts = np.where(empty, 1.0, statistics.counts)
        is_start = not lines.knows_w
        found = (by_moments if is_start else regressed)(lines, counts)
        refuse_flat(lines, found, empty)
        location, slope, scatter = found
        if is_start:
            scatter = scatter * (1.0 - 2.0 / FIRST)
            dof = np.full(len(counts), FIRST)
        else:
            spread = np.where(empty, 1.0, statistics.spreads) / counts
            dof = 2.0 * np.minimum(gamma_shape(np.maximum(spread, 0.5 / LARGEST)), LARGEST)
        on_point = ~empty & (dof < LEAST)
        if on_point.any():
            k = int(on_point.argmax())
            why = f"with all other rows in a tail of {dof[k]:.2g} degrees of freedom"
            raise Degenerate(f"component {k} sits on a point, {why}", k)
        params = SkewTParameters(location, slope, scatter, dof)
        return keep(empty, previous, params) if empty.any() else params

    def gradient(self, statistics: Weighted, params: SkewTParameters) -> Array:
        along = gradients(statistics.lines, statistics.counts, params)
        by_dof = 0.5 * (statistics.counts * log_excess(0.5 * params.dof)[0] - statistics.spreads)
        return pullback(params, SkewTParameters(*along, by_dof))

    def sample(self, params: SkewTParameters, labels: Any, rng: np.random.Generator) -> Array:
        half = 0.5 * params.dof[labels]
        u = np.maximum(rng.gamma(half) / half, np.finfo(float).tiny)
        return drawn(params, np.asarray(labels), rng, u)

    def mean(self, params: SkewTParameters) -> Array:
        """nan where the tail has none."""
        return np.asarray(params.locations + _pull(params)[:, None] * params.slopes)

    def variance(self, params: SkewTParameters) -> Array:
        """inf where the tail has none, or nan where it has no mean either."""
        dof = params.dof[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            raw = np.where(dof > 2.0, dof / (dof - 2.0) * params.scales**2, np.inf)
        return np.asarray(raw - (_pull(params)[:, None] * params.slopes) ** 2)


def _pull(params: SkewTParameters) -> Array:
    """E[w / sqrt(u)], (K,); nan where there is none."""
    half = np.where(params.dof > 1.0, 0.5 * params.dof, np.nan)
    ratio = gammaln(half - 0.5) - gammaln(half) + 0.5 * np.log(half)
    return np.asarray(np.sqrt(2.0 / pi) * np.exp(ratio))
