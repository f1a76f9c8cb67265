"""Independent columns of a known law: distribution functions, moments and quantiles by scipy.

    P(X <= x) = prod_j F(x_j | theta_j)

A family of such columns states its law in the words of scipy.stats, for each column of each
component, and has all that follows from it.

One known case: the median of a normal column is its mean.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from emframe import Family
from emframe.spaces import Array


class Columns(Family):
    """Base of families whose columns are independent given the component."""

    gaps = "expect missing values: missing=True"

    @abstractmethod
    def law(self, params: Any) -> Any:
        """The distribution of each column of each component, (K, d), frozen, of scipy.stats."""

    def log_cdf(self, params: Any, x: Array) -> Array:
        with np.errstate(divide="ignore", under="ignore"):
            return np.asarray(self.law(params).logcdf(x[:, None, :]).sum(axis=2))

    def log_sf(self, params: Any, x: Array) -> Array:
        if x.shape[1] > 1:
            return super().log_sf(params, x)
        with np.errstate(divide="ignore", under="ignore"):
            return np.asarray(self.law(params).logsf(x[:, None, :])[:, :, 0])

    def mean(self, params: Any) -> Array:
        return np.asarray(self.law(params).mean(), dtype=float)

    def variance(self, params: Any) -> Array:
        return np.asarray(self.law(params).var(), dtype=float)

    def quantile(self, params: Any, p: Array) -> Array:
        each = np.asarray(p, dtype=float)[:, None, None]
        return np.asarray(self.law(params).ppf(each), dtype=float)
