"""Successes among trials whose log odds are linear in covariates.

    log f(y | m, x) = log (m choose y) + y eta - m log(1 + exp(eta)),        eta = x'b

Successes and failures are Poisson counts given their total, and with mu = m / (1 + exp(-eta))

    log f = best(y) + best(m - y) - best(m) - D(y, mu) - D(m - y, m - mu)

has all its digits (Loader 2000).  Mixtures of single trials are not identified, unless they are
grouped (Follmann and Lambert 1991, J. Stat. Plan. Inference 27, 375).

One known case: with the intercept alone its logistic is the share of successes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, expit, log_expit

from emframe import Binary, NonNegativeInteger
from emframe.spaces import Array, ColumnsIn, Integers, Shape, Space
from emframe_families.counting.poisson import LARGEST
from emframe_families.counting.sums import peak
from emframe_families.regressions.base import Column
from emframe_families.regressions.counts import CountRegression, divergence_at


@dataclass(frozen=True)
class BinomialRegression(CountRegression):
    """Successes among trials, whose log odds are linear in the predictors.

    trials : the column that has their number; each row is one trial if None.
    """

    trials: Column | None = None

    name = "binomial-regression"
    extra = "trials"

    @property
    def spaces(self) -> tuple[Space, ...]:
        if self.trials is None:
            return (Binary(),)
        return (NonNegativeInteger(LARGEST), NonNegativeInteger(LARGEST))

    @property
    def support(self) -> Space:  # type: ignore[override]
        each = super().support
        assert isinstance(each, ColumnsIn)
        return each if self.trials is None else Among(each.spaces, *self.places[:2])

    def support_given(self, row: Array) -> Space:
        return Integers(0, float(self.among(row[None])[0]))

    def among(self, x: Array) -> Array:
        """The numbers of trials, (n,)."""
        return np.ones(len(x)) if self.trials is None else np.asarray(x[:, self.places[1]])

    def events(self, x: Array) -> Array:
        y = self.y(x)
        return np.stack([y, self.among(x) - y], axis=1)

    def best(self, x: Array) -> Array:
        y, m = self.y(x), self.among(x)
        return peak(y) + peak(np.maximum(m - y, 0.0)) - peak(m)

    def fall(self, x: Array, eta: Array) -> Array:
        y, m = self.y(x)[:, None], self.among(x)[:, None]
        size = np.log(np.maximum(m, 1.0))
        hits = divergence_at(y, size + log_expit(eta))
        misses = divergence_at(np.maximum(m - y, 0.0), size + log_expit(-eta))
        return np.where(y > m, np.inf, np.where(m > 0, hits + misses, 0.0))

    def log_cdf(self, params: Any, x: Array) -> Array:
        return self._tails(params, x)[0]

    def log_sf(self, params: Any, x: Array) -> Array:
        return self._tails(params, x)[1]

    def _tails(self, params: Any, x: Array) -> tuple[Array, Array]:
        y, m, eta = self.y(x)[:, None], self.among(x)[:, None], self.eta(params, x)
        left = np.where(y < m, m - y, 1.0)  # of all trials none is left over, and the tail is 0
        with np.errstate(divide="ignore"):
            below = np.log(betainc(left, y + 1.0, expit(-eta)))
            beyond = np.log(betainc(y + 1.0, left, expit(eta)))
        return np.where(y < m, below, 0.0), np.where(y < m, beyond, -np.inf)

    def rise(self, x: Array, eta: Array, move: Array) -> Array:
        y, m = self.y(x)[:, None], self.among(x)[:, None]
        short = np.abs(move) < 1.0
        growth = np.log1p(expit(eta) * np.expm1(np.where(short, move, 0.0)))
        growth = np.where(short, growth, log_expit(-eta) - log_expit(-eta - move))
        return y * move - m * growth

    def mean_at(self, x: Array, eta: Array) -> Array:
        return np.asarray(self.among(x)[:, None] * expit(eta))

    def variance_at(self, x: Array, eta: Array) -> Array:
        return self.mean_at(x, eta) * expit(-eta)

    def rough(self, x: Array) -> Array:
        y, m = self.y(x), self.among(x)
        return np.log((y + 0.5) / (m - y + 0.5))

    def draw(
        self, params: Any, x: Array, labels: NDArray[np.intp], rng: np.random.Generator
    ) -> Array:
        eta = self.eta(params, x)[np.arange(len(x)), labels]
        return rng.binomial(self.among(x).astype(np.int64), expit(eta)).astype(float)


@dataclass(frozen=True, repr=False)
class Among(ColumnsIn):
    """Columns of which one counts successes among the trials that another counts."""

    successes: int
    trials: int

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"{super().words}; no more successes than trials"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        held = super().contains(values)
        held[..., self.successes] &= values[..., self.successes] <= values[..., self.trials]
        return held

    def coordinates(self, values: Array) -> Array:
        reals = super().coordinates(values).reshape(values.shape)
        y, m = values[..., self.successes], values[..., self.trials]
        reals[..., self.successes] = np.log((y + 0.5) / (m - y + 0.5))
        return reals.ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        values = super().point(vector, shape)
        odds = np.reshape(vector, shape)[..., self.successes]
        values[..., self.successes] = np.floor((values[..., self.trials] + 1.0) * expit(odds))
        return values
