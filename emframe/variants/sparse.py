"""Sparse EM, for mixtures of a hundred components or of thousands: each row sees those near it.

A row belongs to a few components, and of all K most shares are nothing.  So rows are in groups, by
the likeliest component of each, and those of a group see the components that have most of it
(`emframe.models.sparse_pass`).  While groups and sets stand, EM climbs a bound F of the
log-likelihood, and every step is audited by F as one of EM is by the log-likelihood.  From time to
time both are chosen anew, as components have moved, and the choice counts where it raises F.

So F never falls (Forster and Luecke 2018, "Can clustering scale sublinearly with its clusters?",
AISTATS, PMLR 84, 124; Hirschberger, Forster and Luecke 2022, IEEE TPAMI 44, 9552).

One known case: where each row sees all components this is EM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.core import Expectation, Method, Run, Status, Step, run
from emframe.data import summed, swept
from emframe.engines import Workspace
from emframe.families import Kernel, Survey
from emframe.families.kernel import untiled
from emframe.fitting import ends
from emframe.fitting.movers import method_for
from emframe.latents import OneHot
from emframe.messages.arguments import Rng, whole
from emframe.models import ComponentModel
from emframe.models.sparse_pass import Labels, SparsePass
from emframe.spaces import Array
from emframe.variants.problem import model_with_components, pose

# Rows of a group that tell which components are near it.
ENVOYS = 8
# A run ends where what is ahead is this share of what the last choice and its run gained.
SHARE = 0.1


@dataclass(frozen=True)
class RowGroups:
    """Who sees what."""

    labels: Labels  # (n,) the group of each row
    sets: NDArray[np.intp]  # (K, C) the components that the rows of each group see, ascending


@dataclass(frozen=True)
class Above:
    """Stops a run at once where it does not begin above a floor."""

    floor: float

    def __call__(self, steps: Sequence[Step[Any]]) -> Status | None:
        begins = len(steps) == 1
        return Status.STOPPED if begins and not steps[0].objective > self.floor else None


def sparse(
    model: ComponentModel | str,
    X: Any,
    n_nearest: int = 32,
    *,
    weights: Any = None,
    start: Any = None,
    rng: Rng = None,
    tol: float = 0.1,
    max_iter: int = 10_000,
) -> Run[Any]:
    """EM of mixtures of many components, of which each row sees those near it.

    The objective of the run is F, which is at most the log-likelihood.  `emframe.fit` with its
    parameters as ``start=`` goes on by exact EM: few steps, where what counts had been seen.

    Parameters
    ----------
    n_nearest : how many components each row sees.
    tol : ends where another choice of what is seen, and the steps after it, gain less, in nats.

    The other parameters are as for `emframe.fit`.  Raises TypeError for a model that is no mixture
    of rows, with weights that are the same for all of them.
    """
    model = model_with_components(model, X, weights)
    if not isinstance(model.latent, OneHot) or model.in_runs or model.labelled:
        raise TypeError(
            f"`model` is a {model.title()}; what a row sees is chosen in mixtures of single rows, "
            "with weights that are the same for all and no known labels."
        )
    n_nearest = min(whole("n_nearest", n_nearest, 1), model.latent.n)
    ends(tol, max_iter)  # refuses what these may not be, before any work
    problem = pose(model, X, weights, start, rng)
    survey, method = model.survey(problem.rows), method_for(True, model.contract)
    climb = Climb(model, problem.rows, survey, method, n_nearest, tol, max_iter)
    return climb(problem.params)


@dataclass(frozen=True)
class Climb:
    """The settings of a climb of F."""

    model: ComponentModel
    rows: Any
    survey: Survey
    method: Method
    n_nearest: int
    tol: float
    max_iter: int

    def __call__(self, params: Any) -> Run[Any]:
        """From parameters to where neither a step nor a choice gains `tol`."""
        groups, steps = self.begun(params), 1
        done = self._run(groups, params, self.tol, steps)
        gained = done.trace[-1] - done.trace[0]
        while goes_on(done) and gained > self.tol and len(done.trace) <= self.max_iter:
            try:
                anew = self.chosen(groups, done.step.params)
            except KeyboardInterrupt:
                return replace(done, status=Status.INTERRUPTED, message=Status.INTERRUPTED.message)
            before, ahead = done.step.objective, max(self.tol, SHARE * gained)
            found = self._run(anew, done.step.params, ahead, steps, Above(before), after=done)
            gained = found.step.objective - before
            if gained > 0.0:
                groups, done, steps = anew, joined(done, found), 2 * steps
        if not goes_on(done):
            return done
        last = self._run(groups, done.step.params, self.tol, self.max_iter, after=done)
        return joined(done, last)

    def _run(
        self,
        groups: RowGroups,
        params: Any,
        tol: float,
        steps: int,
        *rules: Any,
        after: Run[Any] | None = None,
    ) -> Run[Any]:
        left = self.max_iter if after is None else self.max_iter + 1 - len(after.trace)
        return run(
            self.expectation(groups),
            params,
            rules=[*rules, *ends(tol, min(steps, left))],
            method=self.method,
            contract=self.model.contract,
        )

    def expectation(self, groups: RowGroups) -> Callable[[Any], Expectation[Any]]:
        """The E-step over all rows, each of which sees what its group does."""

        def expect(params: Any) -> Expectation[Any]:
            for one in SparsePass.each(self.model, params, self.survey, groups.sets):
                q = one.finish(summed(self.rows, one.block_rows, one.block, groups.labels))
                if q is not None:
                    return q
            raise AssertionError("the last of a model's passes loses no digits")

        return expect

    def begun(self, params: Any) -> RowGroups:
        """Rows in the groups of the likeliest of all components."""
        kernel = next(self.model.passes(params, self.survey)).kernel
        size = kernel.rows(len(self.rows.columns))
        labels = np.concatenate(swept(self.rows, size, partial(_likeliest, kernel)))
        return self._grouped(params, labels.astype(np.min_scalar_type(self.model.latent.n - 1)))

    def chosen(self, groups: RowGroups, params: Any) -> RowGroups:
        """Rows in the groups of the likeliest components that they see, and what these see now."""
        one = next(SparsePass.each(self.model, params, self.survey, groups.sets))
        labels = swept(self.rows, one.block_rows, one.likeliest, groups.labels)
        return self._grouped(params, np.concatenate(labels))

    def _grouped(self, params: Any, labels: Labels) -> RowGroups:
        """Groups that see the components which have most of a few of their rows.

        A component that nobody sees would have no rows for ever: the group that has most of it
        sees it too, in the place of one that others see.
        """
        k, c = self.model.latent.n, self.n_nearest
        sizes = np.bincount(labels, minlength=k)
        used = np.flatnonzero(sizes)
        each = np.minimum(sizes[used], ENVOYS)
        ends = np.cumsum(each)
        begins = ends - each
        place = np.arange(ends[-1]) - np.repeat(begins, each)
        firsts = (np.cumsum(sizes) - sizes)[used]
        order = np.argsort(labels, kind="stable")
        envoys = order[np.repeat(firsts, each) + place * np.repeat(sizes[used] // each, each)]
        ascending = np.argsort(envoys)
        x = np.empty((len(envoys), len(self.rows.columns)))
        x[ascending] = self.rows.at(envoys[ascending])

        kernel, work = next(self.model.passes(params, self.survey)).kernel, Workspace()
        near = np.empty((len(used), c), dtype=np.intp)  # those that have most first
        most, owner = np.full(k, -np.inf), np.zeros(k, dtype=np.intp)
        step = max(1, kernel.rows(x.shape[1]) // ENVOYS)
        for first in range(0, len(used), step):
            part = slice(first, min(first + step, len(used)))
            mine = slice(begins[first], ends[part.stop - 1])
            joint = untiled(kernel.meet(x[mine], work)[0], mine.stop - mine.start)
            share = np.maximum.reduceat(
                joint - joint.max(axis=0), begins[part] - mine.start, axis=1
            )
            some = np.argpartition(-share, c - 1, axis=0)[:c]
            rank = np.argsort(-np.take_along_axis(share, some, axis=0), axis=0, kind="stable")
            near[part] = np.take_along_axis(some, rank, axis=0).T
            best = share.argmax(axis=1)
            better = share[np.arange(k), best] > most
            most[better], owner[better] = share[better, best[better]], first + best[better]
        times = np.bincount(near.ravel(), minlength=k)
        for unseen in np.flatnonzero(times == 0):
            group = near[owner[unseen]]
            spare = np.flatnonzero(times[group] > 1)
            if len(spare):
                times[group[spare[-1]]] -= 1
                times[unseen], group[spare[-1]] = 1, unseen
        sets = np.zeros((k, c), dtype=np.intp)
        sets[used] = np.sort(near, axis=1)
        return RowGroups(labels, sets)


def _likeliest(kernel: Kernel, x: Any, _: Array) -> NDArray[np.intp]:
    """The likeliest component of each row of a block."""
    joint, _collect = kernel.meet(x, Workspace())
    return np.asarray(joint.argmax(axis=-2).ravel()[: len(x)])


def goes_on(done: Run[Any]) -> bool:
    """Whether a run ended by its own rules."""
    return done.status in (Status.CONVERGED, Status.MAX_ITERATIONS)


def joined(before: Run[Any], after: Run[Any]) -> Run[Any]:
    """One run after another, from where that ended."""
    return replace(
        after,
        trace=before.trace + after.trace[1:],
        gains=before.gains + after.gains[1:],
        n_expectations=before.n_expectations + after.n_expectations,
    )
