"""Many starts of one mixture as one table of coordinates: E and M are two matrix products.

Where a family has such a form (`emframe.families.flat`) a point of S starts is c (S, K, P), and
a pass makes natural parameters of it, the two products, and the coordinates of the M-step.
Nothing is frozen, checked or factored that a pass does not ask for.

The form loses digits where a component is small and far from the others.  A start that lost too
many cannot go on here: it is not sound, and goes on in `exact`, the stack that loses none.

One known case: a pass is that of `MixtureStack`, in other coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import log
from typing import Any

import numpy as np

from emframe.engines import Workspace
from emframe.families.flat import Flat
from emframe.latents import MixtureParameters
from emframe.models.mixture_stack import MixtureStack
from emframe.models.stack import Begun, Looks, Mask, Order
from emframe.parameters import frozen
from emframe.spaces import Array

# Numbers of a tile of responsibilities: it is to stay in the second cache for all that is done.
TILE = 1 << 16
# Totals of a row between these are exact to rounding.
SMALLEST, LARGEST = 1e-200, 1e200
LOST = "its components are too small for this form"
# Nats between heights of components, from where on one may be an artefact: of any weight, and of
# one with hardly any rows.  A little less than `emframe.fitting.evidence` asks for.
NARROW, BARELY, LIGHT = 2.9, 1.4, 0.06


@dataclass(frozen=True)
class FlatStack:
    """The data of a mixture as a table, and what it takes to move many points of it at once."""

    exact: MixtureStack  # the same by its own E-step and M-step, where starts go that lose digits
    form: Flat
    work: Workspace = field(default_factory=Workspace, repr=False, compare=False, kw_only=True)

    @classmethod
    def of(cls, exact: MixtureStack) -> FlatStack | None:
        """The same stack in this form; None where there is none."""
        if exact.prior is not None or exact.holds_weights:
            return None
        form = exact.model.family.flat(exact.rows.x, exact.rows.weights)
        return None if form is None else cls(exact, form)

    # ---- points

    def join(self, each: Sequence[MixtureParameters]) -> Array:
        """The points at the parameters of single starts."""
        weights, components = [one.weights for one in each], [one.components for one in each]
        return self.form.coordinates(weights, components)

    def one(self, points: Array, start: int) -> MixtureParameters:
        """The parameters of one start alone, as the model's own."""
        return frozen(MixtureParameters(*self.form.parameters(points[start])))

    def take(self, points: Array, starts: Order) -> Array:
        """The points of some starts, in this order."""
        return points[starts]

    def choose(self, which: Mask, points: Array, others: Array) -> Array:
        """Of each start in the mask its point, and of the rest that among the others."""
        return np.where(which[:, None, None], points, others)

    def together(self, parts: Sequence[Array]) -> Array:
        """All points of several parts, one after another."""
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def vectors(self, points: Array) -> Array:
        """Coordinates of each start, (S, p)."""
        return points.reshape(len(points), -1)

    def at(self, like: Array, x: Array) -> tuple[Array, Mask]:
        """The points at coordinates (S, p), all of which lie in the space."""
        return x.reshape(like.shape), np.ones(len(x), dtype=bool)

    def doubtful(self, points: Array) -> Mask:
        """Which starts may hold an artefact: a component much narrower than another, (S,)."""
        heights = self.form.heights(points)
        if heights is None:
            return np.zeros(len(points), dtype=bool)
        above = heights - np.minimum.reduce(heights, axis=1, keepdims=True)
        logs = points[..., 0]
        share = logs - np.logaddexp.reduce(logs, axis=1, keepdims=True)
        return np.asarray((above > np.where(share < log(LIGHT), BARELY, NARROW)).any(axis=1))

    # ---- a pass

    def look(self, points: Array, *, slopes: bool = True) -> Looks:
        """One pass over the rows for all points."""
        s = len(points)
        with np.errstate(all="ignore"):
            eta, told = self.form.natural(points)
            loglik, sums = self._e_step(eta)
            em, fine = self.form.m_step(sums, self._total)
            em_x = em.reshape(s, -1)
            # A number that is not finite makes its sums so.
            sums_of = np.add.reduce(em_x, axis=1) + loglik
            if slopes:
                gradient = self.form.gradient(points, sums, self._total, told).reshape(s, -1)
                sums_of += np.add.reduce(gradient, axis=1)
            else:
                gradient = np.zeros(em_x.shape)
            sound = np.isfinite(sums_of)
        if fine is not None:
            sound &= fine
        if sound.all():
            return Looks(loglik, loglik, em, em_x, gradient, sound, {})
        objective = np.where(sound, loglik, -np.inf)
        gradient = np.where(sound[:, None], gradient, 0.0)
        em = np.where(sound[:, None, None], em, points)
        why = {int(start): LOST for start in np.flatnonzero(~sound)}
        return Looks(objective, objective, em, em.reshape(s, -1), gradient, sound, why)

    def _e_step(self, eta: Array) -> tuple[Array, Array]:
        """Log-likelihoods (S,), and sums of the statistics (S, K, P)."""
        s, k, p = eta.shape
        flat, n = eta.reshape(s * k, p), len(self._weighed)
        tile = max(1, TILE // (s * k))
        loglik: Any = -self._surplus
        sums: Any = None
        for first in range(0, n, tile):
            rows = slice(first, min(first + tile, n))
            part, own = self._tile(flat, rows, s)
            loglik = loglik + part
            sums = own if sums is None else sums + own
        return loglik, sums.reshape(s, k, p)

    def _tile(self, flat: Array, rows: slice, s: int) -> tuple[Array, Array]:
        """The same of some rows."""
        sk, b = len(flat), rows.stop - rows.start
        table = self.form.table[:, rows]
        joint = np.matmul(flat, table, out=self.work("joint", sk, b))
        each = joint.reshape(s, -1, b)
        np.exp(each, out=each)
        total = np.add.reduce(each, axis=1, out=self.work("total", s, b))
        highest: Any = None
        if not (total.min() > SMALLEST and total.max() < LARGEST):
            np.matmul(flat, table, out=joint)
            highest = np.maximum.reduce(each, axis=1)
            each -= highest[:, None]
            np.exp(each, out=each)
            np.add.reduce(each, axis=1, out=total)
        share = np.divide(1.0, total, out=self.work("share", s, b))
        each *= share[:, None]
        rows_each = np.log(total, out=total)
        if highest is not None:
            rows_each = rows_each + highest
        return rows_each @ self._weights[rows], joint @ self._weighed[rows]

    @cached_property
    def _weights(self) -> Array:
        return np.ascontiguousarray(self.exact.rows.weights)

    @cached_property
    def _weighed(self) -> Array:
        """Statistics times the weights of their rows, (n, P)."""
        return np.ascontiguousarray((self.form.table * self._weights).T)

    @cached_property
    def _total(self) -> float:
        return float(self._weights.sum())

    @cached_property
    def _surplus(self) -> float:
        return self._total * self.form.surplus

    # ---- where to begin

    @property
    def is_given(self) -> bool:
        """Whether rows have covariates."""
        return self.exact.is_given

    def starts(self, n: int, rng: np.random.Generator, first: int = 0) -> Begun:
        """New starts of several kinds in turn, from the `first` place of the rotation on."""
        return self._begun(*self.exact.responsibilities(n, rng, first))

    def moves(self, params: MixtureParameters, n: int, rng: np.random.Generator) -> Begun:
        """Moves away from the parameters of one start; where K = 2 the same from anywhere."""
        return self._begun(*self.exact.moved(params, n, rng))

    def _begun(self, kinds: Sequence[str], resp: Array) -> Begun:
        """The M-steps from responsibilities; of those that lose digits by the exact form."""
        s, k, n = resp.shape
        if s == 0:
            return Begun((), None, np.arange(0), {})
        sums = resp.reshape(s * k, n) @ self._weighed
        with np.errstate(all="ignore"):
            points, fine = self.form.m_step(sums.reshape(s, k, -1), self._total)
            sound = np.isfinite(points.reshape(s, -1)).all(axis=1)
        if fine is not None:
            sound &= fine
        if sound.all():
            return Begun(tuple(kinds), points, np.arange(s), {})
        which, rest = np.flatnonzero(sound), np.flatnonzero(~sound)
        beyond, own, wrong = self.exact.begin(resp[rest])
        why = {int(rest[start]): told for start, told in wrong.items()}
        kept = points[which] if len(which) else None
        lost = None if beyond is None else (beyond, rest[own])
        return Begun(tuple(kinds), kept, which, why, lost)
