"""Laplace columns: errors with a peak and heavy tails, independent given the component.

    log f(x | m, b) = -log(2 b) - |x - m| / b

The best location is a weighted median and the scale the mean distance from it, so the rows stay in
memory.  Where a weight sum is exactly halved any number between two rows will do, and the middle is
taken.

One known case: a single component has the sample median and the mean absolute deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import scipy

from emframe import Degenerate, Positive, Real, parameter
from emframe.spaces import EPS, Array
from emframe_families.counting.halves import LOST
from emframe_families.gaussian.family import LARGEST, LEAST_RANGE
from emframe_families.kept_columns import KeptColumns


@dataclass(frozen=True)
class LaplaceParameters:
    """Location and scale of each column in each component."""

    locations: Array = parameter(Real(), shape="d")  # (K, d)
    scales: Array = parameter(Positive(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Laplace(KeptColumns):
    """Any number of independent Laplace columns; the rows stay in memory."""

    name = "laplace"
    parameters = LaplaceParameters
    support = Real(largest=LARGEST, least_range=LEAST_RANGE)
    equivariant = ("scale", "shift")

    def log_densities(self, params: LaplaceParameters, x: Array) -> Array:
        return -log(2.0) - np.log(params.scales) - np.abs(x - params.locations) / params.scales

    def slopes(self, params: LaplaceParameters, x: Array) -> LaplaceParameters:
        away, b = x - params.locations, params.scales
        return LaplaceParameters(np.sign(away) / b, (np.abs(away) / b - 1.0) / b)

    def best(self, x: Array, weights: Array, k: int, previous: Any) -> tuple[Array, Array]:
        middle = np.array([_median(column, weights) for column in x.T])
        spread = weights @ np.abs(x - middle)
        if not (spread > LOST * EPS * np.abs(middle)).all():
            raise Degenerate(f"component {k} has shrunk to a point, {x[0]}", k)
        return middle, spread

    def law(self, params: LaplaceParameters) -> Any:
        return scipy.stats.laplace(params.locations, params.scales)

    def sample(self, params: LaplaceParameters, labels: Any, rng: np.random.Generator) -> Array:
        return rng.laplace(params.locations[labels], params.scales[labels])


def _median(column: Array, weights: Array) -> float:
    """The weighted median of numbers (n,): weights sum to 1."""
    order = np.argsort(column, kind="stable")
    below = np.cumsum(weights[order])
    at = min(int(np.searchsorted(below, 0.5)), len(column) - 1)
    here = column[order[at]]
    if below[at] == 0.5 and at + 1 < len(column):
        return float(0.5 * here + 0.5 * column[order[at + 1]])
    return float(here)
