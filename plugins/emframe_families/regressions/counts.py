"""Counts given covariates: what Poisson and binomial regressions share, Newton's method on Q.

A density is told by what a mean falls short of the best for the count; see
`emframe_families.counting.sums`:

    log f(y) = best(y) - fall(y, eta)

With the log of a rate as eta, or the log odds of a probability, Q is concave in the coefficients,
and Newton's method finds its top: iteratively reweighted least squares (Nelder and Wedderburn 1972,
JRSS A 135, 370).  It is taken in directions in which the component's rows spread alike, so that no
units matter, and a step is halved until Q rises.  No smaller statistic than the rows will do.

One known case: without predictors a component's rate is the weighted mean of its counts.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from math import sqrt
from typing import Any

import numpy as np
from scipy.special import xlogy

from emframe import Degenerate
from emframe.core import EDGE
from emframe.families import refuse_empty
from emframe.numeric.climbed import Kept
from emframe.parameters import keep, pullback
from emframe.spaces import EPS, Array
from emframe_families.counting.sums import divergence
from emframe_families.regressions.base import Regression, triangles

TINY = float(np.finfo(float).tiny)

# A gain below this, per row, is lost in the rounding of Q.
SETTLED = 1e-14
CLOSE = 1e-7  # a gain that makes the next one nothing, where Q is a parabola
STEPS = 100
HALVINGS = 60
FAR = 3.0  # times the counts themselves, on the average: means that are far too high
# A direction is flat with less information than this per event and unit of spread, an event being
# what is off the end of what is possible: a count above 0, say.  Where Q rises for ever, every
# step of Newton's goes as far as the one before, and gains next to nothing.
SEPARATED = 1e-11
MARCHING = 0.3  # in logarithms of the means that a step moves; near a top they shrink to nothing
# Logarithms whose exponentials are out of the range of numbers, or nearly so.
LOWEST, HIGHEST = -600.0, 700.0


@dataclass(frozen=True)
class CountRegression(Regression):
    """What counts have in common: Newton's method on Q, from weighted rows."""

    effort = 6.0

    @abstractmethod
    def best(self, x: Array) -> Array:
        """The log density at the best mean for each row, (n,), nats."""

    @abstractmethod
    def fall(self, x: Array, eta: Array) -> Array:
        """What the log density falls short of that at linear predictors eta (n, K), nats."""

    @abstractmethod
    def rise(self, x: Array, eta: Array, move: Array) -> Array:
        """What the log density gains as eta moves, (n, K), to all digits of a small gain too."""

    @abstractmethod
    def mean_at(self, x: Array, eta: Array) -> Array:
        """Means at linear predictors eta (n, K)."""

    @abstractmethod
    def variance_at(self, x: Array, eta: Array) -> Array:
        """Variances there, which are the slopes of the means."""

    def events(self, x: Array) -> Array:
        """How far each response is from either end of what is possible together, (n, 1 or 2)."""
        return self.y(x)[:, None]

    @abstractmethod
    def rough(self, x: Array) -> Array:
        """Linear predictors near what each response says by itself, (n,)."""

    def offsets(self, x: Array) -> Array:
        """What is added to the linear predictor, (n,)."""
        return np.zeros(len(x))

    def eta(self, params: Any, x: Array) -> Array:
        """Linear predictors, (n, K)."""
        return self.design(x) @ self.coefficients(params).T + self.offsets(x)[:, None]

    # ---- E

    def log_density(self, params: Any, x: Array) -> Array:
        return self.best(x)[:, None] - self.fall(x, self.eta(params, x))

    def accumulate(self, x: Array, resp: Array) -> Kept:
        return Kept.of_rows(x, resp)

    def expected(self, statistics: Kept, params: Any) -> float:
        return statistics.expected(partial(self.log_density, params))

    # ---- M

    def m_step(self, statistics: Kept, previous: Any) -> Any:
        free = np.full((len(statistics.counts), len(self.terms)), np.nan)
        return self._maximised(statistics, previous, free)

    def m_step_given(
        self,
        statistics: Kept,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any | None:
        """What is held is an offset to the rest."""
        return None if shared else self._maximised(statistics, previous, self.known(like, held))

    def _maximised(self, statistics: Kept, previous: Any, known: Array) -> Any:
        """The M-step given the coefficients `known` (K, p), nan where none is."""
        counts = statistics.counts
        empty = counts <= TINY
        if previous is None:
            refuse_empty(empty)
        before = None if previous is None else self.coefficients(previous)
        found = np.zeros((len(counts), len(self.terms)))
        rate = self._rate(statistics)
        for k in map(int, np.flatnonzero(~empty)):
            start = None if before is None else before[k]
            found[k] = self._climbed(*statistics.of(k), start, k, known[k], rate)
        params = self.made(found)
        return keep(empty, previous, params) if empty.any() else params

    def _rate(self, statistics: Kept) -> float:
        """Events per row, whosever they are; no more than one, and of both kinds the rarer."""
        events: Any = 0.0
        for x, resp in statistics.blocks:
            events = events + resp.sum(axis=1) @ self.events(x)
        return float(min(1.0, events.min() / statistics.counts.sum()))

    def _climbed(
        self, x: Array, resp: Array, start: Array | None, k: int, known: Array, rate: float
    ) -> Array:
        """Coefficients (p,) at the top of Q of one component, by its rows and their shares.

        `known` (p,) are those that are held, and nan the others.  `rate` is of the events among
        all rows: of rare ones the whole of Q is as much smaller.
        """
        share, free = resp / resp.sum(), np.isnan(known)
        whole = self.design(x)
        design, offsets = whole[:, free], self.offsets(x) + whole[:, ~free] @ known[~free]
        terms = [term for term, one in zip(self.terms, free, strict=True) if one]
        start = None if start is None else start[free]
        root = triangles((np.sqrt(share)[:, None] * design)[None])[0]
        self.refuse_collinear(root, k, terms)
        if rate == 0.0:
            raise _separated(k)
        # In these directions the rows spread alike: sum share u u' = 1.
        u = np.linalg.solve(root.T, design.T).T
        y = self.y(x)

        def eta_at(point: Array) -> Array:
            return (u @ point + offsets)[:, None]

        at = u.T @ (share * (self.rough(x) - offsets))
        if start is not None and np.isfinite(self.mean_at(x, eta_at(root @ start))).all():
            at = root @ start
        settled, on_edge = SETTLED * rate, False
        for tries in range(STEPS):
            eta = eta_at(at)
            mean, spread = self.mean_at(x, eta)[:, 0], self.variance_at(x, eta)[:, 0]
            if not np.isfinite(mean).all():
                raise Degenerate(f"the offsets or predictors of component {k} lie too far apart", k)
            slope, bend = u.T @ (share * (y - mean)), (u * (share * spread)[:, None]).T @ u
            if tries == 0 and start is not None:
                on_edge = _least(bend) < SEPARATED * rate
            step = _solved(bend, slope)
            promised, move = 0.5 * float(slope @ step), (u @ step)[:, None]
            if not promised > settled:
                break
            too_high = FAR * float(share @ y) < float(share @ mean) and bool(y.any())
            length, gained = self._stepped(x, share, eta, move, too_high)
            at = at + length * step
            # What Q is off its parabola tells what one more step would gain, in the square.
            off = 1.5 * abs(gained - promised)
            if not length or (promised < CLOSE * rate and off < sqrt(promised * settled)):
                break
        flat = _least(bend) < SEPARATED * rate
        if flat and (on_edge or not _arrived(u, share * spread, slope, bend)):
            raise _separated(k)
        found = known.copy()
        found[free] = np.linalg.solve(root, at)
        return found

    def _stepped(
        self, x: Array, share: Array, eta: Array, move: Array, too_high: bool
    ) -> tuple[float, float]:
        """How much of a step of Newton's is taken, 0 for none, and what Q gains.

        It is halved until Q rises.  Where rates are far too high it is doubled while that gains:
        Newton's method alone takes a log rate down by one a step.  Nowhere else, or what rises for
        ever would be at its end before that shows.
        """

        def gain(length: float) -> float:
            return float(share @ self.rise(x, eta, length * move)[:, 0])

        tried = ((one, gain(one)) for one in (0.5**halved for halved in range(HALVINGS)))
        length, gained = next((pair for pair in tried if pair[1] > 0.0), (0.0, 0.0))
        if length == 1.0 and too_high:
            while (farther := gain(2.0 * length)) > gained:
                length, gained = 2.0 * length, farther
        return length, gained

    def gradient(self, statistics: Kept, params: Any) -> Array:
        along: Any = 0.0
        for x, resp in statistics.blocks:
            excess = self.y(x)[:, None] - self.mean_at(x, self.eta(params, x))
            along = along + (resp * excess).T @ self.design(x)
        return pullback(params, self.made(along))


def divergence_at(x: Array, log_rate: Array) -> Array:
    """D(x, rate), also where the rate is too small for a number, or too large for one."""
    low, high = log_rate < LOWEST, log_rate > HIGHEST
    plain = divergence(x, np.exp(np.where(low | high, 0.0, log_rate)))
    below = xlogy(x, x) - x - x * np.where(low, log_rate, 0.0)
    return np.where(low, below, np.where(high, np.inf, plain))


def _separated(k: int) -> Degenerate:
    return Degenerate(
        f"the responses of component {k} are separated: all lie at an end of what is possible "
        f"along some direction of the predictors, and a coefficient {EDGE}",
        k,
    )


def _least(bend: Array) -> float:
    return float(np.linalg.eigvalsh(bend)[0])


def _arrived(u: Array, told: Array, slope: Array, bend: Array) -> bool:
    """Whether Newton's steps along the flattest direction have come to their end.

    `told` is what each row says, (n,); the step is that of rows that tell of the direction.
    """
    values, vectors = np.linalg.eigh(bend)
    along = u @ vectors[:, 0]
    size = float(told @ np.abs(along) ** 3) * abs(float(vectors[:, 0] @ slope))
    return bool(values[0] > 0.0 and size <= MARCHING * values[0] ** 2)


def _solved(bend: Array, slope: Array) -> Array:
    """Newton's step; of a direction that is all but flat, a long one."""
    values, vectors = np.linalg.eigh(bend)
    floor = max(EPS * values[-1], TINY)
    return np.asarray(vectors @ ((vectors.T @ slope) / np.maximum(values, floor)))
