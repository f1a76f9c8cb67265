"""Poisson counts whose log rate is linear in covariates, with an offset where exposures differ.

    log f(y | x) = y eta - exp(eta) - log y!,        eta = x'b + offset

One known case: with the intercept alone and no offset, exp(b) is the weighted mean of the counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe import NonNegativeInteger, Real
from emframe.spaces import Array, Space
from emframe_families.counting.poisson import LARGEST
from emframe_families.counting.sums import peak
from emframe_families.positive.gamma import log_tails
from emframe_families.regressions.base import Column
from emframe_families.regressions.counts import CountRegression, divergence_at

MOST_OFFSET = 100.0  # an exposure of 1e43; with larger ones rates soon are no numbers


@dataclass(frozen=True)
class PoissonRegression(CountRegression):
    """Counts whose log rate is linear in the predictors.

    offset : a column that is added to the log rate as it is, such as the log of an exposure; up
        to 100 in size.
    """

    offset: Column | None = None

    name = "poisson-regression"
    extra = "offset"

    @property
    def spaces(self) -> tuple[Space, ...]:
        return (NonNegativeInteger(LARGEST), *[Real(MOST_OFFSET)] * len(self._extra))

    def offsets(self, x: Array) -> Array:
        return x[:, self.places[1]] if self._extra else super().offsets(x)

    def best(self, x: Array) -> Array:
        return peak(self.y(x))

    def fall(self, x: Array, eta: Array) -> Array:
        return divergence_at(self.y(x)[:, None], eta)

    def log_cdf(self, params: Any, x: Array) -> Array:
        return self._tails(params, x)[1]

    def log_sf(self, params: Any, x: Array) -> Array:
        return self._tails(params, x)[0]

    def _tails(self, params: Any, x: Array) -> tuple[Array, Array]:
        """The y + 1st event of a Poisson process comes before time 1, or after it."""
        return log_tails(self.y(x)[:, None] + 1.0, self.mean_at(x, self.eta(params, x)))

    def rise(self, x: Array, eta: Array, move: Array) -> Array:
        with np.errstate(over="ignore"):
            return self.y(x)[:, None] * move - self.mean_at(x, eta) * np.expm1(move)

    def mean_at(self, x: Array, eta: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.exp(eta)

    def variance_at(self, x: Array, eta: Array) -> Array:
        return self.mean_at(x, eta)

    def rough(self, x: Array) -> Array:
        return np.log(self.y(x) + 0.5)

    def draw(
        self, params: Any, x: Array, labels: NDArray[np.intp], rng: np.random.Generator
    ) -> Array:
        eta = self.eta(params, x)[np.arange(len(x)), labels]
        highest = eta.max(initial=-np.inf)
        if highest > np.log(LARGEST):
            raise ValueError(
                f"at the covariates to draw at the log rate reaches {highest:g}, and counts end at "
                f"{LARGEST:g}; pass covariates nearer to those of the fit."
            )
        return rng.poisson(np.exp(eta)).astype(float)
