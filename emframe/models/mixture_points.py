"""Points of many starts of a mixture: S of K components are S K components, start after start.

How they are put together and taken apart, and where they lie: coordinates (S, p) of which a row is
what `emframe.parameters.to_vector` says of that start alone.

One known case: put together and taken apart again, parameters are what they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from emframe.families import Family
from emframe.latents import HeldWeights, MixtureParameters
from emframe.models.component_model import ComponentModel
from emframe.models.stack import Mask, Order, Points
from emframe.parameters import Leaf, frozen, leaves, rebuild
from emframe.spaces import Array, Simplex

_SIMPLEX = Simplex()


@dataclass(frozen=True)
class MixturePoints:
    """The form of the points of a mixture.

    Parameters
    ----------
    family : of groups of K components; see `Family.stacked`.
    d : columns of the data.
    """

    model: ComponentModel
    family: Family
    d: int

    def join(self, each: Sequence[MixtureParameters]) -> Points:
        """The points at the parameters of single starts."""
        every = zip(*(leaves(one.components) for one in each), strict=True)
        values = iter([np.concatenate([leaf.value for leaf in own]) for own in every])
        like = self.family.template(self.dims)
        components = rebuild(like, lambda _: next(values))
        return Points(np.array([one.weights for one in each]), components)

    def one(self, points: Points, start: int) -> MixtureParameters:
        """The parameters of one start alone, as the model's own."""
        k = self.model.latent.n
        own = slice(start * k, (start + 1) * k)
        values = iter([leaf.value[own].copy() for leaf in leaves(points.components)])
        kind = MixtureParameters if self.model.latent.held is None else HeldWeights
        components = rebuild(self._like, lambda _: next(values))
        return frozen(kind(points.weights[start].copy(), components))

    def take(self, points: Points, starts: Order) -> Points:
        """The points of some starts, in this order."""
        k = self.model.latent.n
        each = (starts[:, None] * k + np.arange(k)).ravel()
        components = rebuild(points.components, lambda leaf: leaf.value[each])
        return Points(points.weights[starts], components)

    def choose(self, which: Mask, points: Points, others: Points) -> Points:
        """Of each start in the mask its point, and of the rest that among the others."""
        values = iter([leaf.value for leaf in leaves(others.components)])
        every = np.repeat(which, self.model.latent.n)

        def chosen(leaf: Leaf) -> Array:
            mask = every.reshape(-1, *[1] * (leaf.value.ndim - 1))
            return np.where(mask, leaf.value, next(values))

        weights = np.where(which[:, None], points.weights, others.weights)
        return Points(weights, rebuild(points.components, chosen))

    def vectors(self, points: Points) -> Array:
        """Coordinates of each start, (S, p), in the order of `emframe.parameters.to_vector`."""
        s = len(points.weights)
        parts = [] if self.holds_weights else [_SIMPLEX.coordinates(points.weights)]
        with np.errstate(divide="ignore", invalid="ignore"):
            parts += [leaf.declared.space.coordinates(leaf.value) for leaf in free(points)]
        return np.concatenate([part.reshape(s, -1) for part in parts], axis=1)

    def at(self, like: Points, x: Array) -> tuple[Points, Mask]:
        """The points at coordinates (S, p), and which lie in their spaces, (S,).

        One that does not is that of `like`.
        """
        s, used = len(x), 0
        inside: Mask = np.logical_and.reduce(np.isfinite(x), axis=1)
        if not inside.all():
            x = np.where(inside[:, None], x, self.vectors(like))
        weights = like.weights
        if not self.holds_weights:
            used = weights.shape[1]
            weights = _SIMPLEX.point(x[:, :used], weights.shape)

        def placed(leaf: Leaf) -> Array:
            nonlocal used, inside
            if leaf.declared.fixed:
                return leaf.value
            space, shape = leaf.declared.space, leaf.value.shape
            size = space.n_coordinates(shape) // s
            values = space.point(x[:, used : used + size].ravel(), shape)
            if not space.holds(values):
                own = space.contains(values).reshape(s, -1)
                inside = inside & np.logical_and.reduce(own, axis=1)
            used += size
            return values

        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            points = Points(weights, rebuild(like.components, placed))
        return (points if inside.all() else self.choose(inside, points, like)), inside

    def together(self, parts: Sequence[Points]) -> Points:
        """All points of several parts, one after another."""
        if len(parts) == 1:
            return parts[0]
        every = zip(*(leaves(part.components) for part in parts), strict=True)
        values = iter([np.concatenate([leaf.value for leaf in own]) for own in every])
        components = rebuild(parts[0].components, lambda _: next(values))
        return Points(np.concatenate([part.weights for part in parts]), components)

    @property
    def holds_weights(self) -> bool:
        return self.model.latent.held is not None

    @property
    def dims(self) -> dict[str, int]:
        return {"K": self.model.latent.n, "d": self.d}

    @cached_property
    def _like(self) -> Any:
        """Components of a single start, for their form alone."""
        return self.model.family.template(self.dims)


def free(points: Points) -> list[Leaf]:
    return [leaf for leaf in leaves(points.components) if not leaf.declared.fixed]
