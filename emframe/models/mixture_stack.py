"""Many starts of one mixture as one: S points of K components are S K components of one family.

Components that are apart do not know of each other but through Bayes' rule, which sums over those
of a start, and through the weights, which sum to 1 within it.  So the family's own kernel, M-step
and gradient serve all starts at once, and a pass over small data costs about as much as that of a
single start.  What components share they share within a start: `Family.stacked`.

A start that degenerates is told by the component that does; it leaves, and the pass goes on
without it.

One known case: a stack of one start makes the E-step and the M-step of the mixture itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from emframe.core import Degenerate
from emframe.families import Kernel
from emframe.latents import OneHot
from emframe.latents.softmax import softmax
from emframe.models.component_model import ComponentModel
from emframe.models.expectation import ComponentPrior
from emframe.models.mixture_begins import MixtureBegins
from emframe.models.mixture_points import free
from emframe.models.model_pass import BlockSums
from emframe.models.stack import FAILURES, Looks, Order, Points, StackSums
from emframe.spaces import Array, Simplex

_SIMPLEX = Simplex()
# Digits that a pass may lose beyond those of a fit, as a factor: ends are told apart by 1e-3 nats.
SPARE = 1e3


@dataclass(frozen=True)
class MixtureStack(MixtureBegins):
    """The data of a mixture, and what it takes to move many points of it at once."""

    prior: ComponentPrior | None = None

    @classmethod
    def of(
        cls, model: Any, rows: Any, survey: Any, prior: ComponentPrior | None = None
    ) -> MixtureStack | None:
        """The stack of a model; None where it has no such form, and its starts go one by one.

        Parameters
        ----------
        model : `Model.under` the prior, where there is one.
        rows : all of them, condensed; they have to fit in memory.
        """
        kind = type(model)
        names = ("passes", "starts", "moves")
        same = all(getattr(kind, name, None) is getattr(ComponentModel, name) for name in names)
        if not same or type(model.latent) is not OneHot or model.family.in_runs:
            return None
        if model.latent.labelled:
            return None
        if not model.contract.ascends:
            return None
        family = model.family.stacked(model.latent.n)
        if family is None:
            return None
        pseudo = None if prior is None else prior.components
        if pseudo is not None and not _repeats(pseudo.statistics):
            return None
        rough = replace(survey, spare=SPARE)
        return cls(model, family, len(rows.columns), rows, rough, prior)

    def look(self, points: Points, *, slopes: bool = True) -> Looks:
        """One pass over the rows for all points.

        slopes : False leaves the gradient and the coordinates out, as 0, where EM alone moves.
        """
        every = np.arange(len(points.weights))
        alive, why, some, sums = every, dict[int, str](), points, None
        while len(alive):
            try:
                sums = self._e_step(some) if sums is None else sums
                looks = self._m_step(some, sums, slopes)
            except FAILURES as error:
                guilty = self._guilty(error, some)
                why |= {int(alive[start]): told for start, told in guilty.items()}
                stay = np.delete(np.arange(len(alive)), list(guilty))
                alive, some = alive[stay], self.take(some, stay)
                sums = None if sums is None else sums.of(stay, self.model.latent.n)
                continue
            sunk = np.flatnonzero(~looks.sound)
            why |= {int(alive[start]): "the M-step left its space" for start in sunk}
            if some is points:
                return looks._replace(why=why)
            return _spread(self, looks, alive, len(every), why)
        sizes = [leaf.declared.space.n_coordinates(leaf.value.shape) for leaf in free(points)]
        p = sum(sizes) // len(every) + (0 if self.holds_weights else points.weights.shape[1])
        nothing, x = np.full(len(every), -np.inf), np.zeros((len(every), p))
        return Looks(nothing, nothing, points, x, np.zeros(x.shape), nothing > 0, why)

    def _e_step(self, points: Points) -> StackSums:
        """What a pass over the rows leaves behind."""
        s, _ = points.weights.shape
        with np.errstate(divide="ignore"):
            log_weights = np.log(points.weights).ravel()
        for kernel in self.family.kernels(points.components, log_weights, self.survey):
            blocks = self.rows.blocks(kernel.rows(self.d))
            total = reduce(add, (self._block(kernel, s, *block) for block in blocks))
            found = kernel.finish(total.sums)
            if found is not None:
                counts = found.counts.reshape(s, -1)
                inner = np.broadcast_to(found.entropy, counts.size).reshape(counts.shape)
                entropy = total.entropy + inner.sum(axis=1)
                return StackSums(total.loglik + found.row_terms, entropy, counts, found.statistics)
        raise AssertionError("the last of a family's kernels loses no digits")

    def _block(self, kernel: Kernel, s: int, x: Array, weights: Array) -> BlockSums:
        joint, collect = kernel.meet(x, self.work)
        found = softmax(joint, x, weights, self.work, s)
        return BlockSums(found.loglik, found.entropy, None, collect(found.resp))

    def _m_step(self, points: Points, found: StackSums, slopes: bool) -> Looks:
        s, counts, sums, objective = len(points.weights), found.counts, found.sums, found.loglik
        if self.prior is not None and self.prior.components is not None:
            sums = sums + self.prior.components.statistics.repeated(s)
            objective = objective + self._log_prior(points)
        components = self.family.m_step(sums, points.components)
        weights = points.weights if self.holds_weights else counts / counts.sum(axis=1)[:, None]
        em = Points(weights, components)
        em_x = self.vectors(em)
        sound = np.isfinite(em_x).all(axis=1) & np.isfinite(objective)
        slope = np.zeros(em_x.shape)
        if slopes:
            slope = self._gradient(points, counts, self.family.gradient(sums, points.components))
        objective = np.where(sound, objective, -np.inf)
        return Looks(objective, found.loglik, em, em_x, slope, sound, {})

    def _gradient(self, points: Points, counts: Array, along: Array) -> Array:
        """The gradient of each start, (S, p), from that of the components, leaf after leaf."""
        s, used, parts = len(counts), 0, []
        if not self.holds_weights:
            w = points.weights
            share = np.divide(counts, w, out=np.zeros(w.shape), where=w > 0)
            parts.append(_SIMPLEX.pullback(w, share).reshape(s, -1))
        for leaf in free(points):
            size = leaf.declared.space.n_coordinates(leaf.value.shape)
            parts.append(along[used : used + size].reshape(s, -1))
            used += size
        return np.concatenate(parts, axis=1)

    def _log_prior(self, points: Points) -> Array:
        assert self.prior is not None
        each = range(len(points.weights))
        return np.array([self.prior.log_density(self.one(points, start)) for start in each])

    def _guilty(self, error: Exception, points: Points) -> dict[int, str]:
        """The starts that cannot go on, with the reason.  Raises where it was none by itself."""
        if isinstance(error, Degenerate) and error.component is not None:
            return {error.component // self.model.latent.n: str(error)}
        found = {}
        for start in range(len(points.weights)) if len(points.weights) > 1 else ():
            try:
                own = self.take(points, np.array([start]))
                self._m_step(own, self._e_step(own), True)
            except FAILURES as failure:
                found[start] = str(failure)
        if found or len(points.weights) > 1:
            if not found:
                raise error
            return found
        return {0: str(error)}


def _repeats(statistics: Any) -> bool:
    """Whether pseudo-data can be had for many starts, in all of their parts."""
    parts = getattr(statistics, "parts", (statistics,))
    return all(hasattr(part, "repeated") for part in parts)


def _spread(stack: MixtureStack, looks: Looks, alive: Order, s: int, why: dict[int, str]) -> Looks:
    """The looks of some of S points among all; the others' are of another, without objective."""
    place, there = np.zeros(s, dtype=np.intp), np.zeros(s, dtype=bool)
    place[alive], there[alive] = np.arange(len(alive)), True
    return Looks(
        np.where(there, looks.objective[place], -np.inf),
        np.where(there, looks.log_likelihood[place], -np.inf),
        stack.take(looks.em, place),
        looks.em_x[place],
        np.where(there[:, None], looks.gradient[place], 0.0),
        there & looks.sound[place],
        why,
    )
