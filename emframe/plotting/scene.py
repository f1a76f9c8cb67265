"""What the pictures draw from: rows, what the fit says of them, and rows drawn from the fit.

The region that holds a share of a component is the set where its density is highest; the level
is the quantile of the density at rows drawn from it (Hyndman 1996, Amer. Statist. 50, 120).

One known case: for a Gaussian component the regions are its ellipses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emframe.data import Rows, frequencies
from emframe.parameters import leaves
from emframe.spaces import Array, Simplex

if TYPE_CHECKING:
    from emframe.inference import StandardErrors
    from emframe.result import Fit

MOST_POINTS = 4000  # rows that a picture shows; of more, a sample by their weights
DRAWN = 20_000  # rows drawn from the fit to find levels and shapes


@dataclass(frozen=True)
class Scene:
    """A fit and, where there are any, rows to show with it."""

    fit: Fit
    rows: Rows | None  # all of them
    points: Array | None  # (n, d)  those that are shown one by one
    sizes: Array | None  # (n,)  their weights
    errors: StandardErrors | None
    drawn: Array  # (DRAWN, d)  from the fit
    labels: NDArray[Any]  # (DRAWN,)

    @property
    def k(self) -> int:
        """Number of components."""
        return int(self.fit.model.posterior(self.fit.params, self.drawn[:1])[1].shape[1])

    @property
    def discrete(self) -> bool:
        """Whether the fit draws whole numbers alone."""
        return bool((self.drawn == np.rint(self.drawn)).all())

    @cached_property
    def shares(self) -> Array:
        """Share of each component, (K,): its weight, or else how often it was drawn."""
        for leaf in leaves(self.fit.params):
            if leaf.declared.axes() == ("K",) and isinstance(leaf.declared.space, Simplex):
                return np.asarray(leaf.value)
        return np.bincount(self.labels, minlength=self.k) / len(self.labels)

    def log_joint(self, x: Array) -> Array:
        """log p(x, z_k = 1) of each row, (n, K)."""
        density, resp = self.fit.model.posterior(self.fit.params, x)
        with np.errstate(divide="ignore"):
            return np.where(np.isneginf(density)[:, None], -np.inf, density[:, None] + np.log(resp))

    def level(self, k: int, share: float) -> float:
        """The log joint density above which that share of component k lies."""
        own = self.drawn[self.labels == k]
        return float(np.quantile(self.log_joint(own)[:, k], 1.0 - share)) if len(own) else np.inf

    def span(self, j: int, pad: float = 0.05) -> tuple[float, float]:
        """The range of a column to show: of the rows, or of nearly all that the fit draws."""
        if self.points is not None:
            low, high = self.points[:, j].min(), self.points[:, j].max()
        else:
            low, high = np.quantile(self.drawn[:, j], [0.0005, 0.9995])
        room = pad * (high - low) or pad * (abs(low) or 1.0)
        return float(low - room), float(high + room)


def scene(
    fit: Fit, X: Any = None, weights: Any = None, errors: StandardErrors | None = None, rng: Any = 0
) -> Scene:
    """A scene of a fit with the rows of X, or without any."""
    generator = np.random.default_rng(rng)
    drawn, labels = fit.model.sample(fit.params, DRAWN, generator)
    if X is None:
        return Scene(fit, None, None, None, errors, drawn, labels)
    rows = fit.model.rows(X, frequencies(X, weights), columns=fit.columns)
    some = rows.sample(MOST_POINTS, generator)
    return Scene(fit, rows, some.x, some.weights, errors, drawn, labels)
