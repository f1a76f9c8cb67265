"""Many starts of one mixture as one: S points of K components are S K components of one family.

Components that are apart do not know of each other but through Bayes' rule, which sums over those
of a start, and through the weights, which sum to 1 within it.  So the family's own kernel, M-step
and gradient serve all starts at once, and a pass over small data costs about as much as that of a
single start.  What components share they share within a start: `Family.stacked`.

A start that degenerates is told by the component that does, leaves, and the pass is made again
without it.

One known case: a stack of one start makes the E-step and the M-step of the mixture itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emframe.core import Degenerate
from emframe.data import Rows, filled
from emframe.engines import Workspace
from emframe.families import Family, FamilyError, Survey, refuse_empty
from emframe.families.kernel import RowProducts, TiledProducts, retiled
from emframe.models.many_starts import many_moves, many_starts
from emframe.models.mixture import Mixture
from emframe.models.mixture_expectation import HeldWeights, MixtureParameters, MixturePrior
from emframe.models.mixture_pass import MixturePass
from emframe.parameters import Leaf, frozen, leaves, rebuild
from emframe.spaces import Array, Simplex

Mask = NDArray[np.bool_]
Order = NDArray[np.intp]

FAILURES = (Degenerate, FamilyError, np.linalg.LinAlgError)
"""What ends a start and no other."""


# Numbers of work space that first M-steps may take at once.
MOST_NUMBERS = 1 << 20
# Digits that a pass may lose beyond those of a fit, as a factor: ends are told apart by 1e-3 nats.
SPARE = 1e3


class Points(NamedTuple):
    """Parameters of S starts."""

    weights: Array  # (S, K)
    components: Any  # the stacked family's, of S K components, start after start


class Begun(NamedTuple):
    """Starts that are to climb."""

    kinds: tuple[str, ...]  # of all that were drawn
    points: Any  # of those that have a point
    which: Order  # which of them these are
    why: dict[int, str]  # what is wrong with the others


class Sums(NamedTuple):
    """What the E-step of S points leaves behind."""

    loglik: Array  # (S,)
    entropy: Array  # (S,)
    counts: Array  # (S, K)
    sums: Any  # the family's, of S K components

    def of(self, starts: Order, k: int) -> Sums | None:
        """Those of some starts; None where the family's do not come apart."""
        if not hasattr(self.sums, "taken"):
            return None
        each = (starts[:, None] * k + np.arange(k)).ravel()
        own = self.loglik[starts], self.entropy[starts], self.counts[starts]
        return Sums(*own, self.sums.taken(each))


class Looks(NamedTuple):
    """What one pass says of S points."""

    objective: Array  # (S,), nats; -inf at a point that has none
    log_likelihood: Array  # (S,)
    em: Any  # the points where the EM step leads; where there is none, any
    em_x: Array  # (S, p) its coordinates
    gradient: Array  # (S, p) of the objective, in the same coordinates; 0 where there is none
    sound: Mask  # (S,)
    why: dict[int, str]  # of the points that are not, what is wrong


@dataclass(frozen=True)
class MixtureStack:
    """The data of a mixture, and what it takes to move many points of it at once."""

    model: Mixture
    family: Family  # of the groups
    rows: Rows
    survey: Survey
    prior: MixturePrior | None = None
    work: Workspace = field(default_factory=Workspace, repr=False, compare=False)

    @classmethod
    def of(
        cls, model: Any, rows: Any, survey: Any, prior: MixturePrior | None = None
    ) -> MixtureStack | None:
        """The stack of a model; None where it has no such form, and its starts go one by one."""
        if getattr(type(model), "passes", None) is not Mixture.passes or model.family.in_runs:
            return None
        if not model.contract.ascends:
            return None
        family = model.family.stacked(model.n_components)
        if family is None:
            return None
        if prior is not None and not _repeats(prior.components.statistics):
            return None
        return cls(model, family, rows, replace(survey, spare=SPARE), prior)

    # ---- points

    def join(self, each: Sequence[MixtureParameters]) -> Points:
        """The points at the parameters of single starts."""
        every = zip(*(leaves(one.components) for one in each), strict=True)
        values = iter([np.concatenate([leaf.value for leaf in own]) for own in every])
        like = self.family.template(self._dims)
        components = rebuild(like, lambda _: next(values))
        return Points(np.array([one.weights for one in each]), components)

    def one(self, points: Points, start: int) -> MixtureParameters:
        """The parameters of one start alone, as the model's own."""
        k = self.model.n_components
        own = slice(start * k, (start + 1) * k)
        values = iter([leaf.value[own].copy() for leaf in leaves(points.components)])
        kind = MixtureParameters if self.model.weights is None else HeldWeights
        components = rebuild(self._like, lambda _: next(values))
        return frozen(kind(points.weights[start].copy(), components))

    def take(self, points: Points, starts: Order) -> Points:
        """The points of some starts, in this order."""
        k = self.model.n_components
        each = (starts[:, None] * k + np.arange(k)).ravel()
        components = rebuild(points.components, lambda leaf: leaf.value[each])
        return Points(points.weights[starts], components)

    def choose(self, which: Mask, points: Points, others: Points) -> Points:
        """Of each start in the mask its point, and of the rest that among the others."""
        values = iter([leaf.value for leaf in leaves(others.components)])
        every = np.repeat(which, self.model.n_components)

        def chosen(leaf: Leaf) -> Array:
            mask = every.reshape(-1, *[1] * (leaf.value.ndim - 1))
            return np.where(mask, leaf.value, next(values))

        weights = np.where(which[:, None], points.weights, others.weights)
        return Points(weights, rebuild(points.components, chosen))

    def vectors(self, points: Points) -> Array:
        """Coordinates of each start, (S, p), in the order of `emframe.parameters.to_vector`."""
        s = len(points.weights)
        parts = [] if self._holds_weights else [Simplex().coordinates(points.weights)]
        with np.errstate(divide="ignore", invalid="ignore"):
            parts += [leaf.declared.space.coordinates(leaf.value) for leaf in _free(points)]
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
        if not self._holds_weights:
            used = weights.shape[1]
            weights = Simplex().point(x[:, :used], weights.shape)

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

    # ---- E and M

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
                sums = None if sums is None else sums.of(stay, self.model.n_components)
                continue
            sunk = np.flatnonzero(~looks.sound)
            why |= {int(alive[start]): "the M-step left its space" for start in sunk}
            if some is points:
                return looks._replace(why=why)
            return _spread(self, looks, alive, len(every), why)
        sizes = [leaf.declared.space.n_coordinates(leaf.value.shape) for leaf in _free(points)]
        p = sum(sizes) // len(every) + (0 if self._holds_weights else points.weights.shape[1])
        nothing, x = np.full(len(every), -np.inf), np.zeros((len(every), p))
        return Looks(nothing, nothing, points, x, np.zeros(x.shape), nothing > 0, why)

    def _e_step(self, points: Points) -> Sums:
        """What a pass over the rows leaves behind."""
        s, _ = points.weights.shape
        with np.errstate(divide="ignore"):
            log_weights = np.log(points.weights).ravel()
        d = len(self.rows.columns)
        for kernel in self.family.kernels(points.components, log_weights, self.survey):
            one = MixturePass(self.family, None, kernel, n_starts=s)
            blocks = self.rows.blocks(one.rows(d))
            total = reduce(add, (one.block(block, self.work) for block in blocks))
            found = kernel.finish(total.sums)
            if found is not None:
                counts = found.counts.reshape(s, -1)
                return Sums(total.loglik + found.row_terms, total.entropy, counts, found.statistics)
        raise AssertionError("the last of a family's kernels loses no digits")

    def _m_step(self, points: Points, found: Sums, slopes: bool) -> Looks:
        s, counts, sums, objective = len(points.weights), found.counts, found.sums, found.loglik
        if self.prior is not None:
            sums = sums + self.prior.components.statistics.repeated(s)
            objective = objective + self._log_prior(points)
        components = self.family.m_step(sums, points.components)
        weights = points.weights if self._holds_weights else counts / counts.sum(axis=1)[:, None]
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
        if not self._holds_weights:
            w = points.weights
            share = np.divide(counts, w, out=np.zeros(w.shape), where=w > 0)
            parts.append(Simplex().pullback(w, share).reshape(s, -1))
        for leaf in _free(points):
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
            return {error.component // self.model.n_components: str(error)}
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

    def begin(self, resp: Array) -> tuple[Points | None, Order, dict[int, str]]:
        """The M-steps from responsibilities (S, K, n), row weights not included.

        The points of the starts that have one, which these are, and what is wrong with the others.
        """
        k, n = resp.shape[1:]
        at_once = max(1, MOST_NUMBERS // (k * n * len(self.rows.columns)))
        parts, alive, why = [], np.arange(0), dict[int, str]()
        for first in range(0, len(resp), at_once):
            points, own, wrong = self._begun(resp[first : first + at_once])
            why |= {first + start: told for start, told in wrong.items()}
            if points is not None:
                parts.append(points)
                alive = np.append(alive, first + own)
        return self.together(parts) if parts else None, alive, why

    def together(self, parts: Sequence[Points]) -> Points:
        """All points of several parts, one after another."""
        if len(parts) == 1:
            return parts[0]
        every = zip(*(leaves(part.components) for part in parts), strict=True)
        values = iter([np.concatenate([leaf.value for leaf in own]) for own in every])
        components = rebuild(parts[0].components, lambda _: next(values))
        return Points(np.concatenate([part.weights for part in parts]), components)

    def _begun(self, resp: Array) -> tuple[Points | None, Order, dict[int, str]]:
        alive, why = np.arange(len(resp)), dict[int, str]()
        while len(alive):
            try:
                return self._first(resp[alive]), alive, why
            except Degenerate as error:
                guilty = self._guilty_start(error, resp[alive])
                why |= {int(alive[start]): told for start, told in guilty.items()}
                alive = np.delete(alive, list(guilty))
        return None, alive, why

    def _guilty_start(self, error: Degenerate, resp: Array) -> dict[int, str]:
        if error.component is not None:
            return {error.component // self.model.n_components: str(error)}
        found = {}
        for start in range(len(resp)):
            try:
                self._first(resp[start : start + 1])
            except Degenerate as failure:
                found[start] = str(failure)
        if not found:
            raise error
        return found

    def _first(self, resp: Array) -> Points:
        """The M-steps without points before them."""
        s, k, n = resp.shape
        each = (resp * self.rows.weights).reshape(s * k, n)
        counts = np.add.reduce(each, axis=1)
        refuse_empty(counts <= 0.0)
        sums = self._accumulated(each)
        if self.model.pseudo is not None:
            sums = sums + self.model.pseudo.components.statistics.repeated(s)
        components = self.family.m_step(sums, None)
        counts = counts.reshape(s, k)
        weights = counts / counts.sum(axis=1)[:, None]
        if self.model.weights is not None:
            weights = np.tile(self.model.weights, (s, 1))
        return Points(weights, components)

    def _accumulated(self, resp: Array) -> Any:
        """The family's sums from responsibilities (S K, n): by its products, where it has them.

        Those of a kernel are linear in the responsibilities, whatever the parameters.
        """
        x, like = self.rows.x, self._of_all_rows
        if like is not None:
            components = rebuild(like, lambda leaf: np.repeat(leaf.value[:1], len(resp), axis=0))
            kernels = self.family.kernels(components, np.zeros(len(resp)), self.survey)
            kernel = next(kernels)
            if isinstance(kernel, (RowProducts, TiledProducts)) and len(x) <= kernel.rows(
                x.shape[1]
            ):
                joint, collect = kernel.meet(x, self.work)
                found = kernel.finish(collect(retiled(resp, joint.shape)))
                if found is not None:
                    return found.statistics
        return self.family.accumulate(x, resp.T)

    # ---- starts and moves

    def starts(self, n: int, rng: np.random.Generator, first: int = 0) -> Begun:
        """New starts of several kinds in turn, from the `first` place of the rotation on."""
        covariates = bool(self.model.family.covariates)
        discrete = any(space.discrete for space in self.model.family.supports)
        names, resp = many_starts(
            self.rows, self.model.n_components, n, rng, not discrete, covariates, first
        )
        points, which, why = self.begin(resp)
        return Begun(tuple(names), points, which, why)

    def moves(self, params: MixtureParameters, n: int, rng: np.random.Generator) -> Begun:
        """Split-and-merge moves away from the parameters of one start; none where K < 3."""
        k, x = self.model.n_components, self.rows.x
        if k < 3:
            return Begun((), None, np.arange(0), {})
        density = self.model.family.log_density(params.components, x).T
        with np.errstate(divide="ignore"):
            joint = density + np.log(params.weights)[:, None]
        resp = np.exp(joint - joint.max(axis=0))
        resp /= resp.sum(axis=0)
        points_of = filled(x, self.rows.weights)
        new = many_moves(resp, density, points_of, self.rows.weights, n, rng)
        points, which, why = self.begin(new)
        return Begun(("split and merge",) * len(new), points, which, why)

    # ---- what is worked out once

    @property
    def _holds_weights(self) -> bool:
        return self.model.weights is not None

    @property
    def _dims(self) -> dict[str, int]:
        return {"K": self.model.n_components, "d": len(self.rows.columns)}

    @cached_property
    def _of_all_rows(self) -> Any:
        """Stacked components that are all the one of all rows; None where there is no such."""
        try:
            one = self.model.family.m_step(self.survey.statistics, None)
        except FAILURES:
            return None
        values = iter([leaf.value for leaf in leaves(one)])
        return rebuild(self.family.template(self._dims), lambda _: next(values))

    @cached_property
    def _like(self) -> Any:
        """Components of a single start, for their form alone."""
        return self.model.family.template(self._dims)


def _repeats(statistics: Any) -> bool:
    """Whether pseudo-data can be had for many starts, in all of their parts."""
    parts = getattr(statistics, "parts", (statistics,))
    return all(hasattr(part, "repeated") for part in parts)


def _free(points: Points) -> list[Leaf]:
    return [leaf for leaf in leaves(points.components) if not leaf.declared.fixed]


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
