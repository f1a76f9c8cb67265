"""Normal responses about a line: each component has coefficients and a standard deviation.

    log f(y | x) = -1/2 [ log(2 pi) + 2 log sigma + ((y - x'b) / sigma)^2 ]

The statistics are the triangle R of the rows (x, y), weighted by responsibilities: with X'X itself
half of the digits would be lost, and without it none are (Golub 1965, Numer. Math. 7, 206).

    sum_i r_i (y_i - x_i'b)^2 = |R (-b, 1)|^2,       R'R = sum_i r_i (x_i, y_i)(x_i, y_i)'

Two triangles merge to that of the one on top of the other.  The last entry of R is the length of
the least residual, which is sigma times the root of the count.

One known case: a single component is ordinary least squares, with the divisor n for sigma^2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, pi
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, log_ndtr

from emframe import ConjugatePrior, Degenerate, Positive, Real
from emframe.families import Stand, refuse_empty
from emframe.parameters import Declared, keep, pullback
from emframe.spaces import Array, Space
from emframe_families.real import normal_between
from emframe_families.regressions.base import LARGEST, LEAST_RANGE, Regression, triangles

TINY = float(np.finfo(float).tiny)
# Rows lie on the line where no more than this share of their responses' size is left of it, or
# where it is so much nearer to them than the lines are to all rows.
ON_THE_LINE, BESIDE_OTHERS = 1e-13, 1e-9


@dataclass(frozen=True)
class Triangle:
    """Counts and triangles; they merge by `+`, and scale by `*`."""

    counts: Array  # (K,)  sum of resp
    roots: Array  # (K, p + 1, p + 1)  R of the rows (x, y) times the root of resp

    def __add__(self, other: Triangle) -> Triangle:
        both = np.concatenate([self.roots, other.roots], axis=1)
        return Triangle(self.counts + other.counts, triangles(both))

    def __mul__(self, factor: float) -> Triangle:
        return Triangle(self.counts * factor, self.roots * np.sqrt(factor))

    def repeated(self, times: int) -> Triangle:
        """The same components so many times."""
        return Triangle(np.tile(self.counts, times), np.tile(self.roots, (times, 1, 1)))

    def residual(self, coefficients: Array) -> Array:
        """R (-b, 1), (K, p + 1): its square is the sum of squares about the line."""
        b = np.concatenate([-coefficients, np.ones((len(coefficients), 1))], axis=1)
        return np.asarray((self.roots @ b[:, :, None])[:, :, 0])


@dataclass(frozen=True)
class GaussianRegression(Regression):
    """A normal response, linear in the predictors, with a standard deviation per component."""

    name = "gaussian-regression"
    priors = ("weak",)
    own: ClassVar[Mapping[str, Declared]] = {"sigma": Declared(Positive())}

    @property
    def spaces(self) -> tuple[Space, ...]:
        return (Real(LARGEST, LEAST_RANGE),)

    # ---- E

    def log_density(self, params: Any, x: Array) -> Array:
        eta = self.design(x) @ self.coefficients(params).T
        away = (self.y(x)[:, None] - eta) / params.sigma
        return -0.5 * (log(2 * pi) + away**2) - np.log(params.sigma)

    def course(self, response: Any = None) -> tuple[int, tuple[int, ...]]:
        return self.places[0], self.covariates

    def response_at(self, params: Any, x: Array, response: Any = None) -> tuple[Array, Array]:
        means = self.design(x) @ self.coefficients(params).T
        return means, np.broadcast_to(params.sigma, means.shape)

    def accumulate(self, x: Array, resp: Array) -> Triangle:
        rows = np.concatenate([self.design(x), self.y(x)[:, None]], axis=1)
        weighted = np.sqrt(resp.T)[:, :, None] * rows
        return Triangle(resp.sum(axis=0), triangles(weighted))

    # ---- M

    def expected(self, statistics: Triangle, params: Any) -> float:
        counts, sigma = statistics.counts, params.sigma
        away = statistics.residual(self.coefficients(params)) / sigma[:, None]
        whole = counts * (log(2 * pi) + 2.0 * np.log(sigma)) + (away**2).sum(axis=1)
        return -0.5 * float(whole.sum())

    def m_step(self, statistics: Triangle, previous: Any) -> Any:
        free = np.full((len(statistics.counts), len(self.terms)), np.nan)
        return self._maximised(statistics, previous, free, None)

    def m_step_given(
        self,
        statistics: Triangle,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any | None:
        """The line through what the held coefficients leave of the response.

        No line depends on the widths, so one for all components is that about all lines.
        """
        if set(shared) - {"sigma"}:
            return None
        sigma = like.sigma if "sigma" in held else None
        known = self.known(like, held)
        return self._maximised(statistics, previous, known, sigma, bool(shared))

    def _maximised(
        self,
        statistics: Triangle,
        previous: Any,
        known: Array,
        held_sigma: Array | None,
        is_shared: bool = False,
    ) -> Any:
        """The M-step given the coefficients `known` (K, p), nan where none is, and sigma (K,)."""
        counts = statistics.counts
        empty = counts <= TINY
        if previous is None:
            refuse_empty(empty)
        free = np.isnan(known[0])
        roots, terms = statistics.roots, self.terms
        if not free.all():
            terms = tuple(term for term, one in zip(terms, free, strict=True) if one)
            left = statistics.residual(np.where(free, 0.0, known))
            roots = triangles(np.concatenate([roots[:, :, :-1][:, :, free], left[:, :, None]], 2))
        for one in np.flatnonzero(~empty):
            self.refuse_collinear(roots[one, :-1, :-1], int(one), terms)
        inner = np.where(empty[:, None, None], np.eye(len(terms)), roots[:, :-1, :-1])
        b = known.copy()
        b[:, free] = np.linalg.solve(inner, roots[:, :-1, -1:])[:, :, 0]
        sigma = held_sigma
        if sigma is None:
            squares = roots[:, -1, -1] ** 2
            if is_shared:
                squares, counts = (np.full(len(one), one.sum()) for one in (squares, counts))
            sigma = np.sqrt(squares / np.where(counts > 0, counts, 1.0))
            self._refuse_lines(statistics, b, sigma, ~empty)
            sigma = np.where(empty, 1.0, sigma)
        params = self.made(b, sigma=sigma)
        return keep(empty, previous, params) if empty.any() else params

    def _refuse_lines(
        self, statistics: Triangle, b: Array, sigma: Array, used: NDArray[np.bool_]
    ) -> None:
        """Raise where the rows of a component lie on its line, as far as rounding can tell."""
        counts = np.where(used, statistics.counts, 1.0)
        sizes = np.sqrt((statistics.roots**2).sum(axis=1) / counts[:, None])
        terms = sizes[:, -1] + (sizes[:, :-1] * np.abs(b)).sum(axis=1)
        usual = np.sqrt(statistics.counts @ sigma**2 / statistics.counts.sum())
        flat = used & ~(sigma > np.maximum(ON_THE_LINE * terms, BESIDE_OTHERS * usual))
        if flat.any():
            k = int(flat.argmax())
            raise Degenerate(f"the rows of component {k} lie on its line", k)

    def gradient(self, statistics: Triangle, params: Any) -> Array:
        sigma, roots = params.sigma, statistics.roots
        away = statistics.residual(self.coefficients(params)) / sigma[:, None]
        along = (roots[:, :, :-1].swapaxes(1, 2) @ away[:, :, None])[:, :, 0] / sigma[:, None]
        spread = ((away**2).sum(axis=1) - statistics.counts) / sigma
        return pullback(params, self.made(along, sigma=spread))

    # ---- the distribution of a response

    truncates = True

    def _away(self, params: Any, x: Array) -> Array:
        """Responses from the lines, in standard deviations, (n, K)."""
        eta = self.design(x) @ self.coefficients(params).T
        return np.asarray((self.y(x)[:, None] - eta) / params.sigma)

    def log_cdf(self, params: Any, x: Array) -> Array:
        return np.asarray(log_ndtr(self._away(params, x)))

    def log_sf(self, params: Any, x: Array) -> Array:
        return np.asarray(log_ndtr(-self._away(params, x)))

    def truncated(self, params: Any, low: Array, high: Array) -> Stand:
        eta = self.design(low) @ self.coefficients(params).T
        ends = (self.y(one)[:, None] for one in (low, high))
        return normal_between.stand(eta, params.sigma, *ends)

    # ---- the rest

    def draw(
        self, params: Any, x: Array, labels: NDArray[np.intp], rng: np.random.Generator
    ) -> Array:
        eta = (self.design(x) * self.coefficients(params)[labels]).sum(axis=1)
        return eta + params.sigma[labels] * rng.standard_normal(len(labels))

    def conjugate_prior(self, prior: Any, whole: Triangle, k: int) -> ConjugatePrior[Triangle]:
        """``"weak"``: a normal-inverse-gamma density about the regression of all rows.

        b ~ N(that of all rows, sigma^2 (kappa X'X / n)^-1) with kappa = 0.01, and sigma^2 ~ inverse
        gamma (3 / 2, s^2 / 2) with s^2 the residual variance over K^2: for the intercept alone that
        of Fraley and Raftery (2007, section 3.2).  Where all rows lie on one line the mean square
        of the responses stands for that variance.

        Raises `Degenerate` where columns of all rows are collinear.
        """
        if prior != "weak":
            return super().conjugate_prior(prior, whole, k)
        root, n, p, kappa, nu = whole.roots[0], whole.counts[0], len(self.terms), 0.01, 3.0
        self.refuse_collinear(root[:-1, :-1], 0)
        spread, size = root[-1, -1] ** 2 / n, float((root[:, -1] ** 2).sum()) / n
        spread = (spread if spread > ON_THE_LINE**2 * size else size or 1.0) / k**2
        pseudo = np.sqrt(kappa / n) * root
        pseudo[-1, -1] = np.sqrt(spread)
        counts = p + nu + 2.0  # twice the exponent of 1 / sigma^2
        normal = np.log(np.abs(pseudo.diagonal()[:-1])).sum()
        gamma = 0.5 * nu * log(0.5 * spread) - gammaln(0.5 * nu)
        surplus = 0.5 * (counts - p) * log(2 * pi)  # that `expected` subtracts
        return ConjugatePrior(
            Triangle(np.full(k, counts), np.repeat(pseudo[None], k, axis=0)),
            k * float(normal + gamma + surplus),
        )
