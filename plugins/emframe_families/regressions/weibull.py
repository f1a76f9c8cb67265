"""Times to failure whose log scale is linear: accelerated failure times by Weibull's law.

    log f(y) = log c - log y + c t - exp(c t),        t = log y - eta

(Kalbfleisch and Prentice 2002, section 2.3).  A coefficient is a ratio of times, in logarithms;
times -c it is one of hazards.

One known case: with shape c = 1 it is the exponential regression.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi, sqrt
from typing import ClassVar

import numpy as np

from emframe import Positive
from emframe.families.base import log1mexp
from emframe.parameters import Declared
from emframe.spaces import Array
from emframe_families.regressions.shaped import TINY, ShapedRegression, Shapes


@dataclass(frozen=True)
class WeibullRegression(ShapedRegression):
    """A Weibull response whose log scale is linear in the predictors."""

    name = "weibull-regression"
    response_space = Positive()
    own: ClassVar[Mapping[str, Declared]] = {"shape": Declared(Positive())}

    def value(self, y: Array, eta: Array, shapes: Shapes) -> Array:
        (c,) = shapes
        v = c * (np.log(y) - eta)
        with np.errstate(over="ignore"):
            return np.log(c) - np.log(y) + v - np.exp(v)

    def derivatives(
        self, y: Array, eta: Array, shapes: Shapes
    ) -> tuple[list[Array], list[list[Array]]]:
        (c,) = shapes
        v = c * (np.log(y) - eta)
        rise, power = np.expm1(v), np.exp(v)
        cross = c * (rise + v * power)
        return [c * rise, 1.0 - v * rise], [[-(c**2) * power], [cross, -v * rise - v**2 * power]]

    def tails(self, y: Array, eta: Array, shapes: Shapes) -> tuple[Array, Array]:
        beyond = -np.exp(shapes[0] * (np.log(y) - eta))
        return log1mexp(beyond), beyond

    def rough(self, y: Array) -> Array:
        return np.log(y)

    def first(self, away: Array, share: Array) -> tuple[float, ...]:
        return (pi / sqrt(6.0) / float(np.sqrt(share @ away**2)),)

    def drawn(self, eta: Array, shapes: Shapes, rng: np.random.Generator) -> Array:
        return np.maximum(np.exp(eta) * rng.weibull(shapes[0]), TINY)
