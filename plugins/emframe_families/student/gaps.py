"""t rows of which any entries may be missing, all rows that hide the same columns together.

    log f(x_o | mu, Sigma, dof) is that of the columns o that a row shows:  t(mu_o, Sigma_oo, dof)

A row tells of its precision u by what it shows, and u tells how far what it hides may lie from the
regression on what it shows (Liu 1995, J. Multivariate Analysis 53, 198; Liu and Rubin 1995):

    E[u] = (dof + |o|) / (dof + delta_o),     x_m | x_o, u ~ N( mu_m + B (x_o - mu_o), C / u )

so u (x - mu)(x - mu)' has the Gaussian's completed scatter, with r u for what shows and r for C.
Both u and x_m are integrated out of Q, and live inside the M-step, as u does without gaps.

One known case: where dof is held at inf this is the Gaussian family with gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Any, ClassVar, NamedTuple

import numpy as np

from emframe import Real
from emframe.engines import Workspace
from emframe.families import Concluded, Kernel, Survey
from emframe.spaces import Array, OrMissing
from emframe_families.gaussian.gaps import GaussianWithGaps
from emframe_families.gaussian.parameters import DiagonalParameters, FullParameters
from emframe_families.gaussian.patterns import ROWS, Hidden, Mask, groups, refuse_unseen
from emframe_families.gaussian.scatter import Scatter
from emframe_families.student.components import Components
from emframe_families.student.family import LARGEST, LEAST_RANGE, StudentT
from emframe_families.student.rows import Block, Held, Met


def student_t(
    covariance: str = "full", dof: str | float = "each", missing: bool = False
) -> StudentT:
    """Any number of real columns, jointly t within each component.

    Parameters
    ----------
    covariance, dof : as of `StudentT`.
    missing : whether entries of a row may be missing (nan).
    """
    if not isinstance(missing, (bool, np.bool_)):
        raise TypeError(f"`missing` is {missing!r}; pass True or False.")
    return StudentWithGaps(covariance, dof) if missing else StudentT(covariance, dof)


class Params(NamedTuple):
    """Parameters of the columns that a pattern shows."""

    locations: Array
    scale_matrices: Array
    dof: Array


@dataclass(frozen=True)
class OfPattern(Components):
    """The components of the columns that a pattern shows, and what they say of the others."""

    hidden: Hidden

    @property
    def normal(self) -> Any:
        kind = DiagonalParameters if self.gaussian.structure.is_diagonal else FullParameters
        return kind(self.params.locations, self.params.scale_matrices)

    def distances(self, x: Array) -> Array:
        if self.hidden.gaps.all():
            return np.zeros((len(self.params.dof), len(x)))
        return super().distances(x)

    def log_density(self, distance: Array) -> Array:
        return np.zeros_like(distance) if self.hidden.gaps.all() else super().log_density(distance)

    def scatter(self, x: Array, resp: Array, distance: Array) -> Scatter:
        shown = super().scatter(x, resp, distance)
        return self.hidden.completed(shown, resp.sum(axis=1))


@dataclass(frozen=True)
class ByPattern(Components):
    """All components; rows are shown to those of what they show, one pattern at a time."""

    patterns: dict[bytes, OfPattern] = field(default_factory=dict, compare=False)

    def shown(self, x: Array) -> OfPattern:
        """The components of the columns that rows x show, all of which show the same."""
        return self.of(np.isnan(x[0]))

    def of(self, gaps: Mask) -> OfPattern:
        """Those of one pattern, which are worked out once."""
        key = gaps.tobytes()
        if key not in self.patterns:
            locations, scales, dof = (
                self.params.locations,
                self.params.scale_matrices,
                self.params.dof,
            )
            own = Params(locations[:, ~gaps], scales[:, ~gaps][:, :, ~gaps], dof)
            hidden = Hidden.of(locations, scales, gaps)
            self.patterns[key] = OfPattern(self.gaussian, own, hidden)
        return self.patterns[key]

    def distances(self, x: Array) -> Array:
        own = self.shown(x)
        return own.distances(x[:, ~own.hidden.gaps])

    def scatter(self, x: Array, resp: Array, distance: Array) -> Scatter:
        own = self.shown(x)
        return own.scatter(x[:, ~own.hidden.gaps], resp, distance)


@dataclass(frozen=True)
class StudentWithGaps(StudentT):
    """The same, of rows that hide some of their columns."""

    missing: bool = True

    support: ClassVar[Any] = OrMissing(Real(largest=LARGEST, least_range=LEAST_RANGE))

    def with_gaps(self) -> StudentWithGaps:
        return self

    def _at(self, params: Any) -> ByPattern:
        return ByPattern(self._gaussian, params)

    # ---- E

    def log_density(self, params: Any, x: Array) -> Array:
        here, found = self._at(params), np.zeros((len(x), len(params.dof)))
        for group in groups(x):
            own = here.of(group.gaps)
            distance = own.distances(x[np.ix_(group.rows, ~group.gaps)])
            found[group.rows] = own.log_density(distance).T
        return found

    def accumulate(self, x: Array, resp: Array) -> Held:
        blocks = (
            Block(x[rows], np.array(resp[rows].T, order="C")) for _, _, rows in groups(x)
        )
        return Held(tuple(blocks))

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """One that shows each pattern to its own components."""
        yield PatternKernel(self._at(params), constants)

    def refuse(self, whole: Held, columns: Sequence[str]) -> None:
        """A column without any value."""
        shown = sum(float(resp.sum()) * ~np.isnan(x[0]) for x, resp in whole.blocks)
        refuse_unseen(np.asarray(shown), columns)

    def _plainly(self, statistics: Held) -> Scatter:
        """With the columns' means in the gaps."""
        told = GaussianWithGaps(self.covariance)
        each = (told.accumulate(x, resp.T) for x, resp in statistics.blocks)
        return told.begun(reduce(add, each))

    # ---- what is hidden

    def imputed(self, params: Any, x: Array, shares: Array) -> Array:
        """E[x | what is seen of x], (n, d): the rows with the mean of what they hide.

        shares : (n, K) of the components.

        nan where what is hidden has no mean: of a row that shows nothing, with dof of 1 or less.
        """
        here, filled = self._at(params), np.array(x)
        for group in groups(x):
            each = here.of(group.gaps).hidden.filled(x[group.rows])
            if group.gaps.all():
                each = np.where(params.dof[:, None, None] > 1.0, each, np.nan)
            mean = np.einsum("nk,knd->nd", shares[group.rows], each)
            filled[group.rows] = np.where(group.gaps, mean, x[group.rows])
        return filled


@dataclass(frozen=True)
class PatternKernel:
    """The kernel of t rows with gaps."""

    components: ByPattern
    constants: Array  # (K,)

    form = "patterns"

    def rows(self, d: int) -> int:
        return ROWS

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Held]]:
        here, found = self.components, list(groups(x))
        joint = work("patterns", len(self.constants), len(x))
        apart = [x[group.rows] for group in found]
        distances = tuple(map(here.distances, apart))
        for group, distance in zip(found, distances, strict=True):
            density = here.of(group.gaps).log_density(distance)
            joint[:, group.rows] = density + self.constants[:, None]

        def collect(resp: Array) -> Held:
            rows = zip(apart, found, strict=True)
            blocks = tuple(Block(own, np.take(resp, group.rows, axis=1)) for own, group in rows)
            told = zip(blocks, distances, strict=True)
            scatter = reduce(add, (here.scatter(*block, distance) for block, distance in told))
            return Held(blocks, met=Met(here.params, distances, scatter))

        return joint, collect

    def finish(self, sums: Held) -> Concluded:
        return Concluded(sums, sums.counts)
