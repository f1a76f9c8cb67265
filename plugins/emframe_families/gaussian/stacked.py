"""Gaussian components in groups: covariances have something in common within a group only.

Groups are starts of one mixture, say, that go through one set of products.  A shared covariance is
found for all groups at once, from the sum of each group's scatters; the other structures, whose
M-step is a search of its own, group by group.

One known case: with one group it is the family of that structure.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from emframe import Family
from emframe.core import Degenerate
from emframe.parameters import KEY, Declared, declarations
from emframe.spaces import Array, Groups
from emframe_families.gaussian.family import FLAT, POINT, TINY, Gaussian
from emframe_families.gaussian.kernels import kernels
from emframe_families.gaussian.parameters import PARAMETERS
from emframe_families.gaussian.scatter import SINGULAR, Scatter, smallest_correlations


@cache
def parameters(code: str, k: int) -> type:
    """The parameters of a structure, with covariances that have it in groups of k."""
    base = PARAMETERS[code]
    own = declarations(base)["covariances"]
    declared = Declared(Groups(own.space, k, own.shared), own.shape)
    field = dataclasses.field(metadata={KEY: declared})
    made = dataclasses.make_dataclass(
        f"{base.__name__}InGroups",
        [("covariances", Array, field)],
        bases=(base,),
        frozen=True,
        namespace={"shared": False},
    )
    made.__module__ = __name__
    return made


@dataclass(frozen=True)
class InGroups(Gaussian):
    """Any number of groups of k components, of a structure that couples those of a group."""

    k: int = 1

    @cached_property
    def parameters(self) -> type:
        return parameters(self.structure.code, self.k)

    def kernels(self, params: Any, constants: Array, survey: Any) -> Any:
        """The forms for covariances that differ, as those of groups do."""
        form = "diag" if self._diagonal else "full"
        yield from kernels(form, params, constants, survey)
        yield from Family.kernels(self, params, constants, survey)

    def m_step(self, statistics: Scatter, previous: Any) -> Any:
        if self.structure.is_shared:
            covariances = self._shared(statistics)
            if covariances is not None:
                return self.parameters(statistics.means, np.repeat(covariances, self.k, axis=0))
        groups = range(0, len(statistics.counts), self.k)
        found = [self._of_group(statistics, previous, first) for first in groups]
        means, covariances = (
            np.concatenate([getattr(one, name) for one in found])
            for name in ("means", "covariances")
        )
        return self.parameters(means, covariances)

    def _of_group(self, statistics: Scatter, previous: Any, first: int) -> Any:
        """The M-step of the group whose first component has this index."""
        own, alone = slice(first, first + self.k), Gaussian(self.covariance)
        if previous is not None:
            previous = alone.parameters(previous.means[own], previous.covariances[own])
        try:
            return alone.m_step(statistics.taken(own), previous)
        except Degenerate as error:
            component = first + (error.component or 0)
            raise Degenerate(error.reason, component, error.columns) from error

    def _shared(self, statistics: Scatter) -> Array | None:
        """The covariances (groups, d, d); None where one needs a closer look."""
        counts, means = statistics.counts, statistics.means
        if not counts.min() > TINY:
            return None
        d = means.shape[1]
        total = statistics.dof.reshape(-1, self.k).sum(axis=1)
        scatter = statistics.scatter.reshape(-1, self.k, *statistics.scatter.shape[1:])
        pooled = (scatter.sum(axis=1).T / total).T
        if self._diagonal:
            if self.structure.shape == "I":
                pooled = np.broadcast_to(pooled.mean(axis=1, keepdims=True), pooled.shape)
            covariances = pooled[:, :, None] * np.eye(d)
        else:
            covariances = 0.5 * (pooled + pooled.swapaxes(1, 2))
        variances = covariances.diagonal(0, 1, 2)
        if not (variances > 0).all():
            return None
        sd, apart = np.sqrt(variances), means.reshape(-1, self.k, d)
        share = counts.reshape(-1, self.k, 1)
        share = share / share.sum(axis=1, keepdims=True)
        off = np.abs(apart - (share * apart).sum(axis=1, keepdims=True))
        spread = (share * off).sum(axis=1) + sd
        if not (sd > np.maximum(FLAT * np.abs(apart).max(axis=1), POINT * spread)).all():
            return None
        if self._diagonal or d == 1:
            return covariances
        return covariances if (smallest_correlations(covariances) > SINGULAR).all() else None
