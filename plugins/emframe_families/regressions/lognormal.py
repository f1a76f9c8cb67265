"""Positive responses whose logarithm is normal about a line.

    log f(y) = log N(log y | x'b, sigma^2) - log y

One known case: a single component is ordinary least squares on the logarithms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from emframe import Family, Positive
from emframe.families import Stand
from emframe.spaces import Array, ColumnsIn, Space
from emframe_families.regressions.base import Column
from emframe_families.regressions.gaussian import GaussianRegression
from emframe_families.transformed import Transformed


@dataclass(frozen=True)
class LognormalRegression(Transformed):
    """A lognormal response, its logarithm linear in the predictors.

    Parameters
    ----------
    response, predictors, intercept : as of `gaussian-regression`.
    """

    family: GaussianRegression = field(init=False, repr=False, compare=False)
    response: Column = 0
    predictors: tuple[Column, ...] = (1,)
    intercept: bool = True
    covered: Array | None = field(default=None, repr=False, compare=False, kw_only=True)

    name = "lognormal-regression"

    def __post_init__(self) -> None:
        inner = GaussianRegression(
            self.response, self.predictors, self.intercept, covered=self.covered
        )
        object.__setattr__(self, "family", inner)
        for name in ("response", "predictors", "intercept"):
            object.__setattr__(self, name, getattr(inner, name))

    def spelt(self, names: Mapping[str, tuple[str, ...]]) -> LognormalRegression:
        return replace(self, predictors=self.family.spelt(names).predictors)

    def ingredients(self) -> dict[str, Any]:
        return self.family.ingredients()

    @property
    def support(self) -> Space:  # type: ignore[override]
        each = list(self.family.support.spaces)  # type: ignore[attr-defined]
        each[self.family.places[0]] = Positive()
        return ColumnsIn(tuple(each))

    @property
    def supports(self) -> tuple[Space, ...]:
        return (self.support,)

    def support_given(self, row: Array) -> Space:
        return Positive()

    def each(self, k: int) -> tuple[Family, ...]:
        return (self,) * k

    def stacked(self, k: int) -> LognormalRegression:
        return self

    def given(self, x: Array) -> LognormalRegression:
        return replace(self, covered=np.array(x, dtype=float))

    def forward(self, x: Array) -> Array:
        rows = x.copy()
        rows[:, self.family.places[0]] = np.log(self.family.y(x))
        return rows

    def backward(self, y: Array) -> Array:
        rows = y.copy()
        rows[:, self.family.places[0]] = np.exp(self.family.y(y))
        return rows

    def truncated(self, params: Any, low: Array, high: Array) -> Stand:
        found = self.family.truncated(params, self._end(low), self._end(high))
        return Stand(np.exp(found.values), found.shares)  # of the response alone

    def log_slope(self, x: Array) -> Array:
        return -np.log(self.family.y(x))
