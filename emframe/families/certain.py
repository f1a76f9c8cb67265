"""Components with nothing to estimate: their densities are what they are.

The sum that Q needs of them is that of the log densities themselves, and the M-step gives the
parameters that there are.

One known case: a point mass.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.families.base import Family
from emframe.parameters import leaves
from emframe.spaces import Array


@dataclass(frozen=True)
class Total:
    """Sum of resp times log density, and the sizes that an M-step has to know; it adds."""

    value: float  # nats; -inf where a row is impossible that a component has a share in
    k: int
    d: int

    def __add__(self, other: Total) -> Total:
        return replace(self, value=self.value + other.value)

    def __mul__(self, factor: float) -> Total:
        return replace(self, value=self.value * factor if factor else 0.0)

    def repeated(self, times: int) -> Total:
        """The same components so many times."""
        return replace(self, value=self.value * times, k=self.k * times)


class Certain(Family):
    """Base of families whose parameters are all held."""

    @abstractmethod
    def held(self, k: int, d: int) -> Any:
        """The parameters of k components in d columns."""

    def accumulate(self, x: Array, resp: Array) -> Total:
        k, d = resp.shape[1], x.shape[1]
        density = self.log_density(self.held(k, d), x)
        return Total(float((resp * np.where(resp > 0, density, 0.0)).sum()), k, d)

    def expected(self, statistics: Total, params: Any) -> float:
        return statistics.value

    def m_step(self, statistics: Total, previous: Any) -> Any:
        return self.held(statistics.k, statistics.d)

    def gradient(self, statistics: Total, params: Any) -> Array:
        return np.zeros(0)

    def template(self, dims: Mapping[str, int]) -> Any:
        return self.held(dims["K"], dims.get("d", 1))

    def freedom(self, params: Any, k: int) -> NDArray[np.intp]:
        return np.zeros(k, dtype=np.intp)

    def problem(self, params: Any, dims: Mapping[str, int], prefix: str = "") -> str | None:
        found = super().problem(params, dims, prefix)
        if found:
            return found
        d = int(dims.get("d", self.width or 1))
        k = int(dims.get("K", len(leaves(params)[0].value)))
        for mine, wanted in zip(leaves(params), leaves(self.held(k, d)), strict=True):
            if not np.array_equal(mine.value, wanted.value):
                return f"`{prefix}{mine.path}` is {mine.value}; it is held at {wanted.value[0]}"
        return None
