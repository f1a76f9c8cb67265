"""What no mixture of the components of a family surpasses, closed in on from below and above.

From any mixture f the log-likelihood of every other one is at most loglik(f) + n log(1 + d / n),
with d the supremum of D; see `emframe.fitting.gap`.  Each round adds components at the hills of D,
brings all weights to their best, and looks again: what is reached rises, and the bound comes down
to it.

One known case: for a Bernoulli family the rounds end at the saturated model, the shares of the
rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import logsumexp

from emframe.families import Axes, Family
from emframe.fitting.boxes import Peak, highest
from emframe.fitting.support import best_weights, hills
from emframe.models import MixtureParameters
from emframe.models.components import taken
from emframe.parameters import Leaf, frozen, leaves, rebuild
from emframe.spaces import Array

MOST_ROUNDS = 100
NUMBERS_AT_ONCE = 1 << 20  # densities of rows under points, together
# How near the bounds of a round are brought to each other, as a share of the distance still open,
# and the weights to their best: the next round starts from better ones anyway.
SHARE, WEIGHTS_SHARE = 0.1, 0.01


@dataclass(frozen=True)
class Bound:
    """A mixture, and what is known from there."""

    mixture: MixtureParameters
    density: Array  # (n,) its log density
    log_likelihood: float
    peak: Peak  # of its D
    ceiling: float  # the lowest so far
    n_points: int = 0  # in all


@dataclass(frozen=True)
class Field:
    """D over the box of a family's axes, for whatever mixture."""

    family: Family
    axes: Axes
    x: Array  # (n, d)
    weights: Array  # (n,)

    @property
    def n(self) -> float:
        """Total weight of the rows."""
        return float(self.weights.sum())

    def mean_ratio(self, components: Any, density: Array) -> Array:
        """log(1 + D / n) of each component, of a mixture with this log density (n,)."""
        found = self._density(components)
        found += (np.log(self.weights / self.n) - density)[:, None]
        with np.errstate(divide="ignore", under="ignore"):
            return np.asarray(logsumexp(found, axis=0))

    def peak(self, density: Array, tol: float, max_points: int, known: float) -> Peak:
        """The maximum of log(1 + D / n), its bounds at most `tol` nats apart over all rows."""
        step = max(1, NUMBERS_AT_ONCE // len(self.x))

        def value(points: Array) -> Array:
            parts = (points[first : first + step] for first in range(0, len(points), step))
            each = [self.mean_ratio(self.axes.at(part), density) for part in parts]
            return np.concatenate(each)

        return highest(value, self.axes, tol / self.n, max_points, known)

    def closing(self, first: Bound, tol: float, max_points: int) -> Bound:
        """The rounds, until ceiling and floor are within `tol`, or as many boxes are looked at."""
        best = replace(first, n_points=first.peak.n_points)
        if not self.axes.holds_fit:  # what is reached has to be one of the mixtures in question
            best = self._anew(best, tol, max_points)
        for _ in range(MOST_ROUNDS):
            still = best.ceiling - best.log_likelihood
            room = max_points - best.n_points
            if still <= tol or room < 1:
                break
            mixture, columns = self._extended(best)
            close = max(0.5 * tol, SHARE * still)
            weights, value = best_weights(
                columns, self.weights, mixture.weights, 0.1 * min(close, WEIGHTS_SHARE * still)
            )
            kept = np.flatnonzero(weights > 0)
            mixture = MixtureParameters(weights[kept], taken(mixture.components, kept))
            after = self._looked(best, mixture, columns[:, kept], close, room)
            if not (value > best.log_likelihood or after.ceiling < best.ceiling):
                break  # what is left is rounding
            best = after
        return replace(best, mixture=frozen(best.mixture))

    def _anew(self, bound: Bound, tol: float, max_points: int) -> Bound:
        """A first mixture within the box: the component in its middle."""
        middle = 0.5 * self.axes.low + 0.5 * self.axes.high
        mixture = MixtureParameters(np.ones(1), self.axes.at(middle[None]))
        columns, room = self._density(mixture.components), max(max_points - bound.n_points, 1)
        return self._looked(bound, mixture, columns, tol, room)

    def _looked(
        self, before: Bound, mixture: MixtureParameters, columns: Array, tol: float, room: int
    ) -> Bound:
        """What is known from another mixture, of which `columns` (n, K) are the log densities."""
        density = logsumexp(columns, axis=1, b=mixture.weights)
        loglik = float(self.weights @ density)
        peak = self.peak(density, tol, room, 0.0)
        ceiling = min(before.ceiling, loglik + self.n * max(peak.upper, 0.0))
        return Bound(mixture, density, loglik, peak, ceiling, before.n_points + peak.n_points)

    def _extended(self, bound: Bound) -> tuple[MixtureParameters, Array]:
        """The mixture with components at the hills of D, of weight 0 so far, and log densities."""
        components, peak = bound.mixture.components, bound.peak
        if len(peak.points):  # none where only the weights are not yet at their best
            new = self.axes.at(hills(self.axes, peak.points, peak.values))
            components = _joined(components, new)
        columns = self._density(components)
        weights = np.zeros(columns.shape[1])
        weights[: len(bound.mixture.weights)] = bound.mixture.weights
        return MixtureParameters(weights, components), columns

    def _density(self, components: Any) -> Array:
        """Log densities of the rows, (n, m).  Raises ValueError for one without bound."""
        with np.errstate(invalid="ignore"):
            found = self.family.log_density(components, self.x)
        if np.isnan(found).any() or (found == math.inf).any():
            raise ValueError(
                f"a further component of {self.family.name!r} has a density without bound at a "
                "row, and adds without bound, so there is no certificate."
            )
        return found


def _joined(one: Any, other: Any) -> Any:
    """The components of both."""
    others = {leaf.path: leaf.value for leaf in leaves(other)}

    def both(leaf: Leaf) -> Array:
        return np.concatenate([leaf.value, others[leaf.path]])

    return rebuild(one, both)
