"""The Rayleigh family: the length of a vector with two independent N(0, scale**2) coordinates.

    f(x | scale) = x / scale**2  exp(-x**2 / (2 scale**2)),        x > 0

In exponential-family form T = x**2, eta = -1 / (2 scale**2), A = log scale**2, h = log x; the
mean of T is 2 scale**2.

One known case: the scale of a single component is the root mean square of the rows over sqrt 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe import Array, ExponentialFamily, FamilyEntry, Positive, hookimpl, parameter


@dataclass(frozen=True)
class RayleighParameters:
    """The scale of each component: the most probable value of x."""

    scale: Array = parameter(Positive())  # (K,)


@dataclass(frozen=True)
class Rayleigh(ExponentialFamily):
    """One column of positive numbers."""

    name = "rayleigh"
    parameters = RayleighParameters
    support = Positive()
    equivariant = ("scale",)

    def statistics(self, x: Array) -> Array:
        return np.square(x)

    def natural(self, params: RayleighParameters) -> Array:
        return np.asarray(-0.5 / np.square(params.scale))

    def log_partition(self, params: RayleighParameters) -> Array:
        return np.asarray(2.0 * np.log(params.scale))

    def from_mean(self, mean: Array) -> RayleighParameters:
        return RayleighParameters(np.sqrt(0.5 * mean))

    def log_base(self, x: Array) -> Array:
        return np.log(x)

    def sample(self, params: RayleighParameters, labels: Any, rng: np.random.Generator) -> Array:
        return rng.rayleigh(params.scale[labels])[:, None]


@hookimpl
def emframe_families() -> list[FamilyEntry]:
    """What this plugin brings."""
    return [
        FamilyEntry(
            "rayleigh",
            Rayleigh,
            "One column of positive numbers: lengths of two-dimensional normal vectors",
            "Rayleigh (1880), Philosophical Magazine 10, 73",
        )
    ]
