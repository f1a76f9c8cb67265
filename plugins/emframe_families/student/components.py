"""t components at fixed parameters: distances, densities, and what each row counts for.

One known case: where all degrees of freedom are inf every row counts for 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log, pi
from typing import Any

import numpy as np

from emframe.parameters import held
from emframe.spaces import Array
from emframe_families.gaussian.family import Gaussian
from emframe_families.gaussian.scatter import Scatter, distances
from emframe_families.student.tail import log_tail


@dataclass(frozen=True)
class Components:
    """The components at `params`; what depends on these alone is worked out once."""

    gaussian: Gaussian  # the family of x given u = 1
    params: Any

    @cached_property
    def normal(self) -> Any:
        """Locations and scale matrices as a Gaussian's parameters."""
        return self.gaussian.parameters(self.params.locations, held(self.params, "scale_matrices"))

    def shown(self, x: Array) -> Components:
        """The components of the columns that rows x show: all of them."""
        return self

    def distances(self, x: Array) -> Array:
        """delta: squared distances of rows (b, d) in units of the scale matrices, (K, b)."""
        return distances(x, self.params.locations, self.normal.whitening[0])

    def log_density(self, distance: Array) -> Array:
        """Log density of rows at these squared distances, (K, b)."""
        d = self.params.locations.shape[1]
        of_scale = d * log(2 * pi) + self.normal.whitening[1]
        return log_tail(distance, self.params.dof, d) - 0.5 * of_scale[:, None]

    def precision(self, distance: Array) -> Array:
        """E[u | x] = (dof + d) / (dof + delta), (K, b)."""
        t, d = 1.0 / self.params.dof[:, None], self.params.locations.shape[1]
        return np.asarray((1.0 + d * t) / (1.0 + distance * t))

    def scatter(self, x: Array, resp: Array, distance: Array) -> Scatter:
        """The Gaussian's statistics of rows (b, d) with r u in the place of r, both (K, b)."""
        return self.gaussian.accumulate(x, (resp * self.precision(distance)).T)
