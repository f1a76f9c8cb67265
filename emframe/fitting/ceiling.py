"""What no mixture of the components of a family surpasses, closed in on from below and above.

From any mixture f the log-likelihood of every other one is at most loglik(f) + n log(1 + d / n),
with d the supremum of D; see `emframe.fitting.gap`.  Each round adds components at the hills of D,
brings the weights of all to their best, moves the components by EM, and looks again: what is
reached rises, and the bound comes down to it.

One known case: for a Bernoulli family the rounds end at the saturated model, the shares of the
rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import logsumexp

from emframe.fitting.boxes import Peak
from emframe.fitting.field import Field
from emframe.fitting.support import best_weights, hills
from emframe.models import MixtureParameters
from emframe.models.components import taken
from emframe.parameters import Leaf, frozen, leaves, rebuild
from emframe.spaces import Array

MOST_ROUNDS = 100
SHARE = 0.1  # how near the bounds of D are brought in a round, as a share of it
# Of a distance between floor and ceiling: how near its best the weights are brought, and what a
# cycle of weights and moves has to gain to be followed by another.
WEIGHTS_SHARE, WORTH_A_CYCLE = 0.01, 0.01
MOST_CYCLES, MOVES = 20, 10


@dataclass(frozen=True)
class Blend:
    """A mixture of components of the fit, as they are, and of components in the box."""

    own: Any  # parameters of the former; None where there are none
    places: Array  # (m, p) of the latter
    weights: Array  # (K,) of the former and of the latter
    columns: Array  # (n, K) log densities of the rows

    @property
    def density(self) -> Array:
        """The log density of each row, (n,)."""
        return np.asarray(logsumexp(self.columns, axis=1, b=self.weights))

    def mixture(self, field: Field) -> MixtureParameters:
        """It in the form of a mixture's parameters."""
        if not len(self.places):
            return frozen(MixtureParameters(self.weights, self.own))
        placed = field.axes.at(self.places)
        components = placed if self.own is None else _joined(self.own, placed)
        return frozen(MixtureParameters(self.weights, components))

    def extended(self, field: Field, places: Array) -> Blend:
        """The same with components at more places, of weight 0 so far."""
        if not len(places):
            return self
        columns = np.concatenate([self.columns, field.density(field.axes.at(places))], axis=1)
        weights = np.concatenate([self.weights, np.zeros(len(places))])
        return replace(
            self, places=np.concatenate([self.places, places]), weights=weights, columns=columns
        )

    def weighted(self, field: Field, tol: float) -> tuple[Blend, float]:
        """With the best weights, to within `tol`, and without components of weight 0."""
        weights, value = best_weights(self.columns, field.weights, self.weights, tol)
        kept = np.flatnonzero(weights > 0)
        first = len(weights) - len(self.places)
        old, new = kept[kept < first], kept[kept >= first] - first
        own = taken(self.own, old) if len(old) else None
        return Blend(own, self.places[new], weights[kept], self.columns[:, kept]), value

    def moved(self, field: Field) -> Blend:
        """After some EM steps of the weights and of the components in the box."""
        curve, weights, places, columns = field.axes.curve, self.weights, self.places, self.columns
        if curve is None or not len(places):
            return self
        first = len(weights) - len(places)
        for _ in range(MOVES):
            with np.errstate(divide="ignore"):  # a weight may underflow on the way
                joint = columns + np.log(weights)
            resp = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
            resp *= field.weights[:, None]
            counts = resp.sum(axis=0)
            totals, shares = resp[:, first:].T @ curve.statistics, counts[first:, None]
            means = np.divide(totals, shares, out=places.copy(), where=shares > 0)
            places = np.clip(means, field.axes.low, field.axes.high)
            weights = counts / counts.sum()
            columns = np.concatenate(
                [columns[:, :first], field.density(field.axes.at(places))], axis=1
            )
        return Blend(self.own, places, weights, columns)


@dataclass(frozen=True)
class Enclosure:
    """Between what a mixture reaches and what none surpasses."""

    blend: Blend
    floor: float  # its log-likelihood
    ceiling: float
    peak: Peak  # of its D
    n_points: int  # components that were tried


def enclosed(
    field: Field, components: Any, weights: Array, peak: Peak, ceiling: float, tol: float,
    max_points: int,
) -> Enclosure:  # fmt: skip
    """The best of all mixtures, between a floor and a ceiling at most `tol` apart if all goes well.

    Parameters
    ----------
    components, weights : those of a fit.
    peak, ceiling : of D of that fit, and what follows from it.
    """
    if field.axes.holds_fit:
        none = np.zeros((0, len(field.axes.low)))
        blend = Blend(components, none, weights, field.density(components))
        found = Enclosure(blend, float(field.weights @ blend.density), ceiling, peak, peak.n_points)
    else:  # a floor has to be one of the mixtures in question
        places = 0.5 * field.axes.low[None] + 0.5 * field.axes.high[None]
        blend = Blend(None, places, np.ones(1), field.density(field.axes.at(places)))
        blend = blend.extended(field, hills(field.axes, peak.points, peak.values))
        blend, _ = _settled(field, blend, tol)
        found = _looked(field, blend, ceiling, peak.n_points, tol, max_points)
    for _ in range(MOST_ROUNDS):
        still = found.ceiling - found.floor
        if still <= tol or found.n_points >= max_points:
            break
        new = hills(field.axes, found.peak.points, found.peak.values)
        blend, floor = _settled(field, found.blend.extended(field, new), min(tol, still))
        after = _looked(field, blend, found.ceiling, found.n_points, tol, max_points)
        if not (floor > found.floor or after.ceiling < found.ceiling):
            break  # what is left is rounding
        found = after
    return found


def _settled(field: Field, blend: Blend, close: float) -> tuple[Blend, float]:
    """With weights and places at their best, as far as that pays, and the log-likelihood."""
    blend, floor = blend.weighted(field, WEIGHTS_SHARE * close)
    for _ in range(MOST_CYCLES):
        other, value = blend.moved(field).weighted(field, WEIGHTS_SHARE * close)
        if not value > floor:
            break
        gained, blend, floor = value - floor, other, value
        if gained < WORTH_A_CYCLE * close:
            break
    return blend, floor


def _looked(
    field: Field, blend: Blend, ceiling: float, n_points: int, tol: float, max_points: int
) -> Enclosure:
    """What is known from a mixture."""
    density = blend.density
    floor = float(field.weights @ density)
    peak = field.peak(density, 0.5 * tol, SHARE, max(max_points - n_points, 1), 0.0)
    ceiling = min(ceiling, floor + field.n * max(peak.upper, 0.0))
    return Enclosure(blend, floor, ceiling, peak, n_points + peak.n_points)


def _joined(one: Any, other: Any) -> Any:
    """The components of both."""
    others = {leaf.path: leaf.value for leaf in leaves(other)}

    def both(leaf: Leaf) -> Array:
        return np.concatenate([leaf.value, others[leaf.path]])

    return rebuild(one, both)
