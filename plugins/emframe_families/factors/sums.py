"""What the M-step of factor analyzers needs: the scatter of rows, and a prior beside it.

Given the factors a column is regressed on them, so that a prior is conjugate which is normal about
means and loadings in units of the column's own variance, and inverse gamma about that.

One known case: sums that are added to those of a prior alone are the same rows under that prior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from math import log, pi
from operator import add
from typing import Any

import numpy as np
from scipy.special import gammaln

from emframe import Array
from emframe_families.gaussian.scatter import Scatter


@dataclass(frozen=True)
class FactorPrior:
    """A prior of each component, so many times: of column j

    psi_j ~ IG(shape, scale_j)
    mean_j ~ N(centre_j, psi_j / kappa),  loadings_j ~ N(0, psi_j / ridge)
    """

    times: Array  # (K,)
    centre: Array  # (d,)
    scale: Array  # as the noise of a component: (d,), or (1,)
    kappa: float = 0.01
    ridge: float = 0.01
    shape: float = 2.0

    def __add__(self, other: FactorPrior) -> FactorPrior:
        return self._of(self.times + other.times)

    def __mul__(self, factor: float) -> FactorPrior:
        return self._of(self.times * factor)

    def _of(self, times: Array) -> FactorPrior:
        return replace(self, times=times)

    def repeated(self, times: int) -> FactorPrior:
        """The same components so many times."""
        return self._of(np.tile(self.times, times))

    def squares(self, means: Array, loadings: Array) -> Array:
        """kappa (mean - centre)^2 + ridge |loadings|^2 of each column, so many times, (K, d)."""
        found = self.kappa * (means - self.centre) ** 2 + self.ridge * (loadings**2).sum(axis=2)
        return np.asarray(self.times[:, None] * found)

    def value(self, params: Any) -> float:
        """The log density, less `log_constant` for each component, nats."""
        noise, own = params.noise, params.own
        normal = 0.5 * (1.0 + params.loadings.shape[2]) * np.log(own).sum(axis=1)
        gamma = ((self.shape + 1.0) * np.log(noise) + self.scale / noise).sum(axis=1)
        squares = (self.squares(params.means, params.loadings) / own).sum()
        return float(-0.5 * squares - self.times @ (normal + gamma))

    def slopes(self, params: Any) -> tuple[Array, Array, Array]:
        """Of `value` along means, loadings and noise."""
        t, own, at = self.times[:, None], params.own, params.noise
        means = -t * self.kappa * (params.means - self.centre) / own
        loadings = -t[:, :, None] * self.ridge * params.loadings / own[:, :, None]
        squares = self.squares(params.means, params.loadings)
        power = np.broadcast_to(t * (1.0 + params.loadings.shape[2]), squares.shape)
        if at.shape[1] < own.shape[1]:  # one noise variance for all columns
            squares, power = (one.sum(axis=1, keepdims=True) for one in (squares, power))
        noise = 0.5 * (squares / at - power) / at
        return means, loadings, noise + t * (self.scale / at - (self.shape + 1.0)) / at

    def log_constant(self, q: int) -> float:
        """What normalises the density of a component with q factors, nats."""
        normal = log(self.kappa / (2 * pi)) + q * log(self.ridge / (2 * pi))
        gamma = (self.shape * np.log(self.scale) - gammaln(self.shape)).sum()
        return 0.5 * len(self.centre) * normal + float(gamma)


@dataclass(frozen=True)
class FactorSums:
    """What the M-step needs of rows, and a prior beside them; they add."""

    rows: Scatter | None  # None of a prior alone
    prior: FactorPrior | None = None

    def __add__(self, other: FactorSums) -> FactorSums:
        return FactorSums(_sum(self.rows, other.rows), _sum(self.prior, other.prior))

    def __mul__(self, factor: float) -> FactorSums:
        rows = None if self.rows is None else self.rows * factor
        return FactorSums(rows, None if self.prior is None else self.prior * factor)

    def repeated(self, times: int) -> FactorSums:
        """The same components so many times."""
        rows = None if self.rows is None else self.rows.repeated(times)
        return FactorSums(rows, None if self.prior is None else self.prior.repeated(times))


def _sum(one: Any, other: Any) -> Any:
    """The sum of what is there."""
    there = [each for each in (one, other) if each is not None]
    return reduce(add, there) if there else None
