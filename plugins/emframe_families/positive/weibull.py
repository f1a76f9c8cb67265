"""Weibull columns: times to failure whose hazard rises or falls as a power, independent given the
component.

    log f(x | c, s) = log(c / s) + (c - 1) log(x / s) - (x / s)^c,        x > 0

Given the shape c the scale is a power mean, and the shape solves

    sum w x^c log x / sum w x^c  -  1 / c  =  sum w log x

whose left side rises with c: Newton's method in log c (Cohen 1965, Technometrics 7, 579).  The rows
stay in memory.

One known case: with shape 1 it is the exponential family, of rate 1 / s.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt
from typing import Any

import numpy as np
import scipy

from emframe import Degenerate, Positive, parameter
from emframe.spaces import EPS, Array
from emframe_families.counting.halves import LOST
from emframe_families.kept_columns import KeptColumns

STEPS = 100
CLOSE = 1e-9  # of a logarithm: so short a step of Newton's leaves an error in its square


@dataclass(frozen=True)
class WeibullParameters:
    """Shape and scale of each column in each component."""

    shapes: Array = parameter(Positive(), shape="d")  # (K, d)
    scales: Array = parameter(Positive(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Weibull(KeptColumns):
    """Any number of independent Weibull columns; the rows stay in memory."""

    name = "weibull"
    parameters = WeibullParameters
    support = Positive()
    equivariant = ("scale",)

    def log_densities(self, params: WeibullParameters, x: Array) -> Array:
        c, away = params.shapes, np.log(x) - np.log(params.scales)
        with np.errstate(over="ignore", under="ignore"):
            return np.log(c) - np.log(x) + c * away - np.exp(c * away)

    def slopes(self, params: WeibullParameters, x: Array) -> WeibullParameters:
        c, away = params.shapes, np.log(x) - np.log(params.scales)
        rest = -np.expm1(c * away)  # 1 - (x / s)^c
        return WeibullParameters(1.0 / c + away * rest, -c / params.scales * rest)

    def best(self, x: Array, weights: Array, k: int, previous: Any) -> tuple[Array, Array]:
        logs = np.log(x)
        mean, top = weights @ logs, logs.max(axis=0)
        away = logs - mean
        spread = np.sqrt(weights @ away**2)
        lost = ~(spread > LOST * EPS * (1.0 + np.abs(mean)))
        if lost.any():
            raise Degenerate(f"component {k} has shrunk to a point, {x[0]}", k)
        c = pi / sqrt(6.0) / spread if previous is None else previous[0]
        reach = top - mean
        for _ in range(STEPS):
            power = weights[:, None] * np.exp(c * (away - reach))
            total = power.sum(axis=0)
            first = (power * away).sum(axis=0) / total
            second = (power * away**2).sum(axis=0) / total - first**2
            value, slope = first - 1.0 / c, np.maximum(second, 0.0) + 1.0 / c**2
            step = np.clip(-value / (c * slope), -1.0, 1.0)
            c = c * np.exp(step)
            if (np.abs(step) <= CLOSE).all():
                break
        power = weights @ np.exp(c * (away - reach))
        return c, np.exp(top + np.log(power) / c)

    def law(self, params: WeibullParameters) -> Any:
        return scipy.stats.weibull_min(params.shapes, scale=params.scales)

    def log_sf(self, params: WeibullParameters, x: Array) -> Array:
        if x.shape[1] > 1:
            return super().log_sf(params, x)
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(-((x / params.scales[:, 0]) ** params.shapes[:, 0]))

    def log_cdf(self, params: WeibullParameters, x: Array) -> Array:
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            power = (x[:, None, :] / params.scales) ** params.shapes
            return np.asarray(np.log(-np.expm1(-power)).sum(axis=2))

    def sample(self, params: WeibullParameters, labels: Any, rng: np.random.Generator) -> Array:
        drawn = params.scales[labels] * rng.weibull(params.shapes[labels])
        return np.maximum(drawn, np.finfo(float).tiny)  # a small shape underflows
