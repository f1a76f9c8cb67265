"""Lognormal rows: numbers whose logarithms are jointly normal within each component.

    log f(x | mu, Sigma) = log N(log x | mu, Sigma) - sum_j log x_j,        x > 0

All structures of the Gaussian family's covariances are to be had, of the logarithms.

One known case: the median of a column is exp(mu).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe import Family, Positive
from emframe.families import Conditional
from emframe.spaces import Array, OrMissing, Space
from emframe_families.gaussian.gaps import gaussian
from emframe_families.transformed import Transformed


@dataclass(frozen=True)
class Lognormal(Transformed):
    """Any number of columns above 0, their logarithms jointly normal.

    The parameters are ``means`` (K, d) and ``covariances`` (K, d, d) of the logarithms.

    Parameters
    ----------
    covariance : the structure of the covariances, as of `gaussian`.
    missing : whether entries of a row may be missing (nan).
    """

    family: Family = field(init=False, repr=False, compare=False)
    covariance: str = "full"
    missing: bool = False

    name = "lognormal"
    equivariant = ("scale",)
    gaps = "expect missing values: missing=True"

    def __post_init__(self) -> None:
        object.__setattr__(self, "family", gaussian(self.covariance, self.missing))

    def ingredients(self) -> dict[str, Any]:
        return {"covariance": self.covariance, "missing": self.missing}

    @property
    def support(self) -> Space:  # type: ignore[override]
        return OrMissing(Positive()) if self.missing else Positive()

    def with_gaps(self) -> Lognormal:
        return replace(self, missing=True)

    @property
    def supports(self) -> tuple[Space, ...]:
        return (self.support,)

    def each(self, k: int) -> tuple[Family, ...]:
        return (self,) * k

    def stacked(self, k: int) -> None:
        """None: starts go one by one."""

    def forward(self, x: Array) -> Array:
        return np.log(x)

    def backward(self, y: Array) -> Array:
        return np.exp(y)

    def log_slope(self, x: Array) -> Array:
        return -np.nansum(np.log(x), axis=1)

    def mean(self, params: Any) -> Array:
        return np.exp(self.family.mean(params) + 0.5 * self.family.variance(params))

    def variance(self, params: Any) -> Array:
        return self.mean(params) ** 2 * np.expm1(self.family.variance(params))

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        """That of the logarithms, and moments by theirs."""
        own = self.family.conditional(params, self.forward(x), hidden)
        assert own.means is not None
        assert own.covariances is not None
        with np.errstate(over="ignore"):
            means = np.exp(own.means + 0.5 * np.diagonal(own.covariances, axis1=2, axis2=3))
            covariances = np.expm1(own.covariances) * means[:, :, :, None] * means[:, :, None]
        return Conditional(means, covariances, lambda z, rng: self.backward(own.draw(z, rng)))

    def imputed(self, params: Any, x: Array, shares: Array) -> Array:
        return Family.imputed(self, params, x, shares)
