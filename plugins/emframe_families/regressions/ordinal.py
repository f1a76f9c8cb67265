"""Grades in order, by cumulative odds: a line, and thresholds that cut it into answers.

    log odds of y <= j  =  theta_j - x'b,        theta_0 < theta_1 < ... < theta_(m-2)

(McCullagh 1980, JRSS B 42, 109; in R ``MASS::polr``).  There is no intercept: the thresholds are.
Q is concave in thresholds and coefficients (Pratt 1981, JASA 76, 103).

One known case: without predictors the thresholds are the log odds of the cumulative shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from emframe import Real
from emframe.parameters import Declared, pullback
from emframe.parameters.records import record
from emframe.spaces import Array, Increasing, Ranks
from emframe_families.regressions.grades import GradeRegression

THRESHOLDS = "thresholds"


@dataclass(frozen=True)
class OrdinalRegression(GradeRegression):
    """Codes 0 .. m-1 in order; a positive coefficient raises them.

    The parameters are ``thresholds`` (K, m - 1), and a coefficient (K,) for each predictor.
    """

    intercept: bool = False

    name = "ordinal-regression"
    kind = Ranks

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.intercept:
            raise ValueError("`intercept` is True; the thresholds of ordinal-regression are that.")
        if THRESHOLDS in self.terms:
            raise ValueError(f"a coefficient cannot be called {THRESHOLDS!r}; rename that column.")

    @cached_property
    def parameters(self) -> type:
        fields = {THRESHOLDS: Declared(Increasing(), (self.m - 1,))}
        fields |= {term: Declared(Real()) for term in self.terms}
        return record("OrdinalRegressionParameters", fields)

    def predictors_of(self, params: Any, x: Array) -> Array:
        """theta_j - x'b, which rise with j."""
        eta = self.design(x) @ self.coefficients(params).T
        return params.thresholds - eta[:, :, None]

    def _ends(self, e: Array, y: NDArray[np.intp]) -> tuple[Array, Array]:
        """The predictors above and below the answers y, (n, ...), inf at the outermost."""
        wide = np.full((*e.shape[:-1], 1), np.inf)
        whole = np.concatenate([-wide, e, wide], axis=-1)
        place = y.reshape(-1, *[1] * (e.ndim - 1))
        return tuple(np.take_along_axis(whole, place + s, axis=-1)[..., 0] for s in (1, 0))  # type: ignore[return-value]

    def log_probs(self, e: Array, y: NDArray[np.intp]) -> Array:
        """log [F(u) - F(l)] = log F(u) + log F(-l) + log(1 - exp(l - u)), for logistic F."""
        upper, lower = self._ends(e, y)
        with np.errstate(divide="ignore", invalid="ignore"):
            gap = np.log(-np.expm1(lower - upper))
        return log_expit(upper) + log_expit(-lower) + np.where(np.isnan(gap), -np.inf, gap)

    def log_cdf(self, params: Any, x: Array) -> Array:
        upper, _ = self._ends(self.predictors_of(params, x), self.answers(x))
        return np.asarray(log_expit(upper))

    def log_sf(self, params: Any, x: Array) -> Array:
        upper, _ = self._ends(self.predictors_of(params, x), self.answers(x))
        return np.asarray(log_expit(-upper))

    def log_all(self, e: Array) -> Array:
        each = (self.log_probs(e, np.full(len(e), j)) for j in range(self.m))
        return np.stack(list(each), axis=1)

    def curvature(self, e: Array, y: NDArray[np.intp]) -> tuple[Array, Array]:
        upper, lower = self._ends(e, y)
        gap = upper - lower
        odds = np.where(np.isfinite(gap), 1.0 / np.expm1(gap), 0.0)
        sharp = odds * (1.0 + odds)  # what moves the ends apart or together
        n, r = e.shape
        slope, bend = np.zeros((n, r)), np.zeros((n, r, r))
        rows = np.arange(n)
        for at, end, sign in ((y, upper, 1.0), (y - 1, lower, -1.0)):
            here = (at >= 0) & (at < r)
            i, j, value = rows[here], at[here], end[here]
            slope[i, j] = sign * (expit(-sign * value) + odds[here])
            bend[i, j, j] = -expit(value) * expit(-value) - sharp[here]
        both = (y > 0) & (y < r)
        bend[rows[both], y[both], y[both] - 1] = bend[rows[both], y[both] - 1, y[both]] = sharp[
            both
        ]
        return slope, bend

    def loading(self, design: Array) -> Array:
        n, r = len(design), self.m - 1
        thresholds = np.broadcast_to(np.eye(r), (n, r, r))
        return np.concatenate([thresholds, np.repeat(-design[:, None, :], r, axis=1)], axis=2)

    def begun(self, design: Array, shares: Array) -> Array:
        below = np.cumsum(shares)[:-1]
        return np.concatenate([np.log(below / (1.0 - below)), np.zeros(design.shape[1])])

    def put(self, vectors: Array) -> Any:
        r = self.m - 1
        own = dict(zip(self.terms, np.ascontiguousarray(vectors[:, r:].T), strict=True))
        return self.parameters(thresholds=vectors[:, :r].copy(), **own)

    def taken(self, params: Any) -> Array:
        return np.concatenate([params.thresholds, self.coefficients(params)], axis=1)

    def gradient(self, statistics: Any, params: Any) -> Array:
        along: Any = 0.0
        for x, resp in statistics.blocks:
            e, y, whole = (
                self.predictors_of(params, x),
                self.answers(x),
                self.loading(self.design(x)),
            )
            each = np.stack([self.curvature(one, y)[0] for one in np.moveaxis(e, 1, 0)], axis=1)
            along = along + np.einsum("nk,nkr,nrp->kp", resp, each, whole)
        return pullback(params, self.put(along))
