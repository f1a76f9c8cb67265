"""Where the starts of a stack begin: the first M-steps of many responsibilities at once.

What a kernel collects is linear in the responsibilities, whatever the parameters; so where the
family has products for its sums, a kernel at any point makes those of all starts.

One known case: responsibilities of one start lead to where the mixture's own M-step does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from emframe.core import Degenerate
from emframe.data import Rows, filled
from emframe.engines import Workspace
from emframe.families import Survey, refuse_empty
from emframe.families.kernel import RowProducts, TiledProducts, retiled
from emframe.latents import MixtureParameters
from emframe.models.many_starts import many_moves, many_starts
from emframe.models.mixture_points import MixturePoints
from emframe.models.sparing import BROAD, FEWER, apart
from emframe.models.stack import FAILURES, Begun, Order, Points
from emframe.parameters import leaves, rebuild
from emframe.spaces import Array

# Numbers of work space that first M-steps may take at once.
MOST_NUMBERS = 1 << 20


@dataclass(frozen=True)
class MixtureBegins(MixturePoints):
    """The points of a mixture, and the data in which they begin."""

    rows: Rows
    survey: Survey
    work: Workspace = field(default_factory=Workspace, repr=False, compare=False, kw_only=True)

    def starts(self, n: int, rng: np.random.Generator, first: int = 0) -> Begun:
        """New starts of several kinds in turn, from the `first` place of the rotation on."""
        return self._all_begun(*self.responsibilities(n, rng, first))

    def moves(self, params: MixtureParameters, n: int, rng: np.random.Generator) -> Begun:
        """Moves away from the parameters of one start; where K = 2 the same from anywhere."""
        return self._all_begun(*self.moved(params, n, rng))

    @property
    def is_given(self) -> bool:
        """Whether rows have covariates: then a component's rows need not lie near each other."""
        return bool(self.model.family.covariates)

    def responsibilities(
        self, n: int, rng: np.random.Generator, first: int = 0
    ) -> tuple[list[str], Array]:
        """Kinds of new starts, and responsibilities (S, K, n) that they begin with."""
        discrete = any(space.discrete for space in self.model.family.supports)
        k = self.model.latent.n
        return many_starts(self._places, k, n, rng, not discrete, self.is_given, first)

    @property
    def _places(self) -> Rows:
        """The rows where distances between them are measured."""
        places = self.model.family.located(self.rows.x)
        return self.rows if places is self.rows.x else replace(self.rows, source=places)

    def moved(
        self, params: MixtureParameters, n: int, rng: np.random.Generator
    ) -> tuple[list[str], Array]:
        """Kinds of moves away from parameters, and responsibilities; none where K = 1."""
        k, x = self.model.latent.n, self.rows.x
        if k < 3:
            new = self._spared(n, rng) if k == 2 else np.zeros((0, k, len(x)))
            return ["spare"] * len(new), new
        density = self.model.family.log_density(params.components, x).T
        with np.errstate(divide="ignore"):
            joint = density + np.log(params.weights)[:, None]
        resp = np.exp(joint - joint.max(axis=0))
        resp /= resp.sum(axis=0)
        points_of = filled(self.model.family.located(x), self.rows.weights)
        new = many_moves(resp, density, points_of, self.rows.weights, n, rng)
        return ["split and merge"] * len(new), new

    def _spared(self, n: int, rng: np.random.Generator) -> Array:
        """One of two components for all rows, and the other where it does most, (S, 2, n)."""
        family, rows = self.model.family.each(2)[0], self.rows
        try:
            one = family.m_step(family.accumulate(rows.x, rows.weights[:, None]), None)
        except FAILURES:
            return np.zeros((0, 2, len(rows)))
        whole = np.asarray(family.log_density(one, rows.x))[:, 0]
        points = filled(family.located(rows.x), rows.weights)
        of_all = BROAD if family.freedom(one, 1).any() else FEWER
        return apart(family, whole, rows.x, points, rows.weights, n, rng, of_all)

    def _all_begun(self, kinds: list[str], resp: Array) -> Begun:
        return Begun(tuple(kinds), *self.begin(resp))

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
            return {error.component // self.model.latent.n: str(error)}
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
        if self.model.pseudo is not None and self.model.pseudo.components is not None:
            sums = sums + self.model.pseudo.components.statistics.repeated(s)
        components = self.family.m_step(sums, None)
        counts = counts.reshape(s, k)
        weights = counts / counts.sum(axis=1)[:, None]
        if self.model.latent.held is not None:
            weights = np.tile(self.model.latent.held, (s, 1))
        return Points(weights, components)

    def _accumulated(self, resp: Array) -> Any:
        """The family's sums from responsibilities (S K, n): by its products, where it has them.

        Those of a kernel are linear in the responsibilities, whatever the parameters.
        """
        x = self.rows.x
        like = None if self.family.hides else self._of_all_rows
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

    @cached_property
    def _of_all_rows(self) -> Any:
        """Stacked components that are all the one of all rows; None where there is no such."""
        try:
            one = self.model.family.m_step(self.survey.statistics, None)
        except FAILURES:
            return None
        values = iter([leaf.value for leaf in leaves(one)])
        return rebuild(self.family.template(self.dims), lambda _: next(values))
