"""Trajectories of grades in order: cumulative links with a random effect.

    P(y_it <= j | z_ik = 1, u_i)  =  F(t_j - eta_it),       eta_it = x_it' beta_k + d_k z_it u_i,
    t_0 = 0,   t_j = g_1 + ... + g_j,      u_i ~ N(0, 1)

with F logistic or normal (McCullagh 1980, JRSS B 42, 109; Hedeker and Gibbons 1994, Biometrics 50,
933).  The lowest threshold is 0, so that components have intercepts; the gaps g between thresholds
are theirs together, which says that all use the grades alike, or each its own.  With F normal, and
gaps shared, this is lcmm's ``link="thresholds"``; in R ``ordinal::clmm`` has thresholds
t_j - intercept.

One known case: of two grades it is binomial-mixed of single trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit, log_expit, log_ndtr, ndtri

from emframe import Array, Positive
from emframe.families.between import log_between
from emframe.parameters import Declared
from emframe.parameters.records import record
from emframe.spaces import Ranks, Space
from emframe_families.growth.count_mixed import CountMixed, Observed
from emframe_families.growth.nodes import Visits
from emframe_families.growth.responses import Response
from emframe_families.items.answers import n_levels
from emframe_families.items.categorical import MOST_LEVELS

GAPS = "gaps"
LOG_ROOT = float(0.5 * np.log(2.0 * np.pi))


@dataclass(frozen=True)
class Grades(Response):
    """Grades between two thresholds each, (K, n), infinite for the outermost."""

    lower: Array
    upper: Array
    link: str

    def tails(self, e: Array) -> tuple[Array, Array]:
        """log F, and log (1 - F)."""
        log_f = log_expit if self.link == "logit" else log_ndtr
        return log_f(e), log_f(-e)

    def log_slope(self, e: Array) -> Array:
        """log F', F normal."""
        return -0.5 * e**2 - LOG_ROOT

    def turn(self, e: Array) -> Array:
        """F'' / F', F normal; anything where F' is 0."""
        return -np.where(np.isfinite(e), e, 0.0)

    def constant(self, y: Array, m: Array) -> Array:
        return np.zeros(len(y))

    @cached_property
    def log_gap(self) -> Array:
        """log (1 - exp(lower - upper)), of which logistic F has all that eta does not enter."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(-np.expm1(self.lower - self.upper)))

    @cached_property
    def odds(self) -> Array:
        """1 / (exp(upper - lower) - 1)."""
        with np.errstate(over="ignore"):
            return np.asarray(1.0 / np.expm1(self.upper - self.lower))

    def log_density(self, y: Array, m: Array, eta: Array) -> Array:
        if self.link == "logit":
            return log_expit(self.upper - eta) + log_expit(eta - self.lower) + self.log_gap
        return log_between(self.tails(self.lower - eta), self.tails(self.upper - eta))

    def by_ends(self, eta: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Derivatives by the upper and the lower end, and second ones with their sign turned:
        of both twice, and across."""
        low, high = self.lower - eta, self.upper - eta
        if self.link == "logit":
            above, below = expit(high), expit(low)
            sharp = self.odds * (1.0 + self.odds)
            rise, fall = 1.0 - above + self.odds, below + self.odds
            return rise, -fall, above * (1.0 - above) + sharp, below * (1.0 - below) + sharp, -sharp
        level = log_between(self.tails(low), self.tails(high))
        rise = np.exp(np.where(np.isfinite(high), self.log_slope(high), -np.inf) - level)
        fall = np.exp(np.where(np.isfinite(low), self.log_slope(low), -np.inf) - level)
        above = rise**2 - rise * self.turn(high)
        below = fall**2 + fall * self.turn(low)
        return rise, -fall, above, below, -rise * fall

    def slopes(self, y: Array, m: Array, eta: Array) -> tuple[Array, Array]:
        rise, fall, above, below, across = self.by_ends(eta)
        return -(rise + fall), np.maximum(above + below + 2.0 * across, 0.0)

    def mean(self, m: Array, eta: Array) -> Array:
        raise NotImplementedError("grades have no mean of their own")

    def variance(self, m: Array, mean: Array) -> Array:
        raise NotImplementedError("grades have no variance of their own")

    def rough(self, y: Array, m: Array) -> Array:
        raise NotImplementedError("see `RoughGrades`")

    def draw(self, m: Array, eta: Array, rng: np.random.Generator) -> Array:
        raise NotImplementedError("see `OrdinalMixed.sample`")


@dataclass(frozen=True)
class RoughGrades(Grades):
    """What a grade says by itself: the middle of its share of all grades."""

    levels: int = 2

    def rough(self, y: Array, m: Array) -> Array:
        share = (y + 0.5) / self.levels
        return np.log(share / (1.0 - share))


@dataclass(frozen=True)
class OrdinalMixed(CountMixed):
    """Codes 0 .. m-1 in order, whose latent level varies from person to person.

    link : ``"logit"`` or ``"probit"``.
    cuts : whether components have the same gaps between thresholds, ``"shared"``, or ``"each"``.
    levels : how many grades there are; None for those that the data have.
    """

    link: str = "logit"
    cuts: str = "shared"
    levels: int | None = None

    name = "ordinal-mixed"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in {"link": ("logit", "probit"), "cuts": ("shared", "each")}.items():
            if getattr(self, name) not in known:
                told = " or ".join(map(repr, known))
                raise ValueError(f"`{name}` is {getattr(self, name)!r}; expected {told}.")
        given: Any = self.levels
        if given is not None and (
            not isinstance(given, (int, np.integer)) or isinstance(given, bool) or given < 2
        ):
            raise ValueError(f"`levels` is {given!r}; pass a whole number, 2 or more, or None.")
        if GAPS in self.terms.coefficients:
            raise ValueError(f"a coefficient cannot be called {GAPS!r}; rename that column.")

    @property
    def _beside(self) -> str | None:
        return None

    # ---- how many grades

    @property
    def is_settled(self) -> bool:  # type: ignore[override]
        return self.levels is not None

    def settled(self, whole: Observed, columns: Sequence[str]) -> OrdinalMixed:
        if self.levels is not None:
            return self
        codes = np.concatenate([self.visits(runs).y for runs, *_ in whole.blocks])
        return replace(self, levels=n_levels(codes))

    @property
    def m(self) -> int:
        """The number of grades."""
        if self.levels is None:
            raise ValueError(
                f"the levels of {self.name!r} are left to the data, which were not seen yet; pass "
                "levels=, or take what `settled(X)` of the model gives."
            )
        return self.levels

    @property
    def spaces(self) -> tuple[Space, Space]:
        grades = Ranks(0, (self.levels or MOST_LEVELS) - 1)
        return grades, grades

    def plain(self, n: int) -> Array:
        return np.zeros(n)

    @property
    def kind(self) -> Response:  # type: ignore[override]
        nothing = np.zeros((0, 0))
        return RoughGrades(nothing, nothing, self.link, self.m)

    # ---- thresholds

    @cached_property
    def parameters(self) -> type:
        """Those of `CountMixed`, and ``gaps`` (K, m - 2) between thresholds, if any."""
        found = dict(self._declared)
        if self.m > 2:
            found[GAPS] = Declared(Positive(), (self.m - 2,), shared=self.extras_shared)
        return record("OrdinalMixedParameters", found)

    @property
    def extras_shared(self) -> bool:
        return self.cuts == "shared"

    def extras(self, params: Any) -> Array:
        """The logarithms of gaps."""
        k = len(self.arrays(params)[0])
        return np.log(getattr(params, GAPS)) if self.m > 2 else np.zeros((k, 0))

    def extras_begun(self, statistics: Observed, k: int) -> Array:
        every = np.concatenate([self.visits(runs).y for runs, *_ in statistics.blocks])
        counts = np.bincount(every.astype(np.intp), minlength=self.m) + 0.5
        below = np.cumsum(counts)[:-1] / counts.sum()
        ends = np.log(below / (1.0 - below)) if self.link == "logit" else ndtri(below)
        return np.broadcast_to(np.log(np.diff(ends)), (k, self.m - 2)).copy()

    def made(self, beta: Array, deviation: Array, extras: Array) -> Any:
        gaps = {GAPS: np.exp(extras)} if self.m > 2 else {}
        return self.parameters(**self.told(beta, deviation), **gaps)

    def thresholds(self, params: Any) -> Array:
        """All of them, -inf and inf at the ends, (K, m + 1)."""
        k = len(self.arrays(params)[0])
        inner = np.zeros((k, self.m - 1))
        if self.m > 2:
            inner[:, 1:] = np.cumsum(getattr(params, GAPS), axis=1)
        wide = np.full((k, 1), np.inf)
        return np.concatenate([-wide, inner, wide], axis=1)

    def kind_at(self, params: Any, visits: Visits) -> Response:
        ends, codes = self.thresholds(params), visits.y.astype(np.intp)
        return Grades(ends[:, codes], ends[:, codes + 1], self.link)

    def extra_sums(self, statistics: Observed, params: Any) -> tuple[Array, Array]:
        beta, deviation = self.arrays(params)
        (k, p), e = beta.shape, self.m - 2
        slope, bend = np.zeros((k, e)), np.zeros((k, p + 1 + e, e))
        if e == 0:
            return slope, bend
        for block in statistics.blocks:
            visits, found = self.visits(block[0]), self._found(block, params)
            eta, swing = beta @ visits.x.T, deviation[:, None] * visits.z
            kind = self.kind_at(params, visits)
            assert isinstance(kind, Grades)
            codes = visits.y.astype(np.intp)
            # Which threshold, of those not held, is the upper end of a visit, and the lower.
            places = np.arange(1, e + 1)
            top, bottoms = (1.0 * (one[:, None] == places) for one in (codes, codes - 1))
            for node, share in zip(found.nodes, found.shares, strict=True):
                u, own = visits.spread(node), visits.spread(share * block[1].T)
                rise, fall, above, below, across = (
                    own * one for one in kind.by_ends(eta + swing * u)
                )
                slope += rise @ top + fall @ bottoms
                along = -(above + across), -(below + across)  # by eta, with each end
                for end, which in zip(along, (top, bottoms), strict=True):
                    bend[:, :p] += np.einsum("kn,ni,ne->kie", end, visits.x, which, optimize=True)
                    bend[:, p] += (end * u * visits.z) @ which
                square = np.einsum("kn,ne,nf->kef", above, top, top, optimize=True)
                square += np.einsum("kn,ne,nf->kef", below, bottoms, bottoms, optimize=True)
                mixed = np.einsum("kn,ne,nf->kef", across, top, bottoms, optimize=True)
                bend[:, p + 1 :] += square + mixed + mixed.swapaxes(1, 2)
        # From thresholds to the logarithms of gaps: t_j is the sum of the gaps up to it.
        gaps = getattr(params, GAPS)
        turn = np.tril(np.ones((e, e)))[None] * gaps[:, None, :]  # (K, thresholds, gaps)
        slope = np.einsum("kt,ktg->kg", slope, turn)
        bend = bend @ turn
        bend[:, p + 1 :] = turn.swapaxes(1, 2) @ bend[:, p + 1 :]
        return slope, bend

    # ---- the rest

    def chances(self, params: Any, eta: Array) -> Array:
        """Of each grade, (m, ..., n, K), at linear predictors (..., n, K)."""
        ends = self.thresholds(params)
        law = Grades(ends[:, :0], ends[:, :0], self.link)
        each = [
            log_between(law.tails(ends[:, j] - eta), law.tails(ends[:, j + 1] - eta))
            for j in range(self.m)
        ]
        return np.exp(np.stack(each))

    def moments_at(self, params: Any, x: Array, eta: Array) -> tuple[Array, Array]:
        """Means and variances of the codes."""
        chances = self.chances(params, eta)
        codes = np.arange(self.m)[:, None, None, None]
        means = (codes * chances).sum(axis=0)
        return means, (chances * (codes - means) ** 2).sum(axis=0)

    def drawn(
        self, params: Any, rows: Array, eta: Array, k: int, rng: np.random.Generator
    ) -> Array:
        chances = self.chances(params, eta[:, None])[:, :, k]
        below = np.cumsum(chances, axis=0)
        return (rng.random(len(eta)) * below[-1] >= below).sum(axis=0).astype(float)
