"""Positive responses whose log mean is linear: gamma with a common shape, and exponential.

    log f(y) = a log a - log Gamma(a) - log y - a (exp(t) - t),        t = log y - eta

so the coefficients do not depend on the shape a (McCullagh and Nelder 1989, chapter 8).

One known case: with the intercept alone and shape 1, exp(b) is the weighted mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from emframe import Positive
from emframe.families.base import log1mexp
from emframe.numeric import log_excess
from emframe.parameters import Declared
from emframe.spaces import Array
from emframe_families.counting.sums import peak
from emframe_families.positive.gamma import log_tails
from emframe_families.regressions.shaped import TINY, ShapedRegression, Shapes


@dataclass(frozen=True)
class GammaRegression(ShapedRegression):
    """A gamma response whose log mean is linear in the predictors, with a shape per component."""

    name = "gamma-regression"
    response_space = Positive()
    own: ClassVar[Mapping[str, Declared]] = {"shape": Declared(Positive())}

    def value(self, y: Array, eta: Array, shapes: Shapes) -> Array:
        (a,) = shapes
        t = np.log(y) - eta
        with np.errstate(over="ignore"):
            return peak(a) + np.log(a) - np.log(y) - a * (np.expm1(t) - t)

    def derivatives(
        self, y: Array, eta: Array, shapes: Shapes
    ) -> tuple[list[Array], list[list[Array]]]:
        (a,) = shapes
        t = np.log(y) - eta
        level, turn = log_excess(np.asarray(a))
        by_eta, by_shape = a * np.expm1(t), a * (level - np.expm1(t) + t)
        return [by_eta, by_shape], [[-a * np.exp(t)], [by_eta, by_shape + a**2 * turn]]

    def tails(self, y: Array, eta: Array, shapes: Shapes) -> tuple[Array, Array]:
        return log_tails(shapes[0], shapes[0] * y * np.exp(-eta))

    def rough(self, y: Array) -> Array:
        return np.log(y)

    def first(self, away: Array, share: Array) -> tuple[float, ...]:
        return (float(1.0 / (share @ away**2)),)

    def drawn(self, eta: Array, shapes: Shapes, rng: np.random.Generator) -> Array:
        return np.maximum(np.exp(eta) * rng.gamma(shapes[0]) / shapes[0], TINY)


@dataclass(frozen=True)
class ExponentialRegression(GammaRegression):
    """An exponential response whose log mean is linear in the predictors."""

    name = "exponential-regression"
    own: ClassVar[Mapping[str, Declared]] = {}

    def value(self, y: Array, eta: Array, shapes: Shapes) -> Array:
        return super().value(y, eta, (np.ones(()),))

    def derivatives(
        self, y: Array, eta: Array, shapes: Shapes
    ) -> tuple[list[Array], list[list[Array]]]:
        slopes, bends = super().derivatives(y, eta, (np.ones(()),))
        return slopes[:1], bends[:1]

    def tails(self, y: Array, eta: Array, shapes: Shapes) -> tuple[Array, Array]:
        beyond = -y * np.exp(-eta)
        return log1mexp(beyond), beyond

    def first(self, away: Array, share: Array) -> tuple[float, ...]:
        return ()

    def drawn(self, eta: Array, shapes: Shapes, rng: np.random.Generator) -> Array:
        return super().drawn(eta, (np.ones_like(eta),), rng)
