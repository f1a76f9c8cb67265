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
from dataclasses import astuple, dataclass, field
from functools import reduce
from operator import add
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emframe import Real
from emframe.engines import Workspace
from emframe.families import Concluded, Conditional, Kernel, Mask, Survey, groups
from emframe.spaces import Array, OrMissing
from emframe_families.gaussian.family import LARGEST, LEAST_RANGE
from emframe_families.gaussian.parameters import DiagonalParameters, FullParameters
from emframe_families.gaussian.patterns import ROWS, Hidden, refuse_unseen
from emframe_families.gaussian.scatter import Scatter
from emframe_families.student.components import Components
from emframe_families.student.family import StudentT
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
class SeenComponents(Components):
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

    def _at(self, params: Any) -> SeenComponents:
        return SeenComponents(self._gaussian, params)

    # ---- E

    def log_density(self, params: Any, x: Array) -> Array:
        here, found = self._at(params), np.zeros((len(x), len(params.dof)))
        for group in groups(x):
            own = here.of(group.gaps)
            distance = own.distances(x[np.ix_(group.rows, ~group.gaps)])
            found[group.rows] = own.log_density(distance).T
        return found

    def accumulate(self, x: Array, resp: Array) -> Held:
        blocks = (Block(x[rows], np.array(resp[rows].T, order="C")) for _, _, rows in groups(x))
        return Held(tuple(blocks))

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """One that shows each pattern to its own components."""
        yield PatternKernel(self._at(params), constants)

    def refuse(self, whole: Held, columns: Sequence[str]) -> None:
        """A column without any value."""
        shown = sum(float(resp.sum()) * ~np.isnan(x[0]) for x, resp in whole.blocks)
        refuse_unseen(np.asarray(shown), columns)

    def _plainly(self, statistics: Held) -> Scatter:
        """With each component's own means in the gaps; those of all rows where it sees none."""
        x = np.concatenate([block.x for block in statistics.blocks])
        resp = np.concatenate([block.resp for block in statistics.blocks], axis=1)
        seen, values = ~np.isnan(x), np.nan_to_num(x)
        mean_of_all = values.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        shown = resp @ seen
        means = np.where(shown > 0, (resp @ values) / np.where(shown > 0, shown, 1.0), mean_of_all)
        each = [
            self._gaussian.accumulate(np.where(seen, x, mean), own[:, None])
            for mean, own in zip(means, resp, strict=True)
        ]
        return Scatter(*map(np.concatenate, zip(*map(astuple, each), strict=True)))

    # ---- what is hidden

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        """x_m | x_o is t about the regression, its scale C (dof + delta) / (dof + |o|).

        It has dof + |o| degrees of freedom; nan and inf where it has no mean, or no variance.
        """
        here = self._at(params).of(np.isnan(x[0]))
        told, shown = here.hidden, x[:, ~here.hidden.gaps]
        means = told.filled(x)[:, :, hidden].swapaxes(0, 1)
        stretch = 1.0 / here.precision(here.distances(shown)).T
        dof = params.dof + shown.shape[1]
        more = np.divide(dof, dof - 2.0, out=np.ones_like(dof), where=np.isfinite(dof) & (dof > 2))
        wide = np.where(dof > 2.0, more, np.where(dof > 1.0, np.inf, np.nan))
        on = np.eye(len(hidden), dtype=bool)
        with np.errstate(invalid="ignore"):
            covariances = (stretch * wide)[:, :, None, None] * told.left
        covariances = np.where(on | np.isfinite(covariances), covariances, np.nan)
        roots = np.linalg.cholesky(told.left)

        def draw(labels: NDArray[Any], rng: np.random.Generator) -> Array:
            each, half = np.arange(len(labels)), 0.5 * dof[labels]
            normal = rng.standard_normal((len(labels), len(hidden)))
            finite = np.isfinite(half)
            shape = np.where(finite, half, 1.0)
            u = np.where(finite, rng.gamma(shape) / shape, 1.0)
            spread = np.sqrt(stretch[each, labels] / u)[:, None]
            off = np.einsum("nij,nj->ni", roots[labels], normal)
            return np.asarray(means[each, labels] + spread * off)

        return Conditional(np.where(dof[:, None] > 1.0, means, np.nan), covariances, draw)


@dataclass(frozen=True)
class PatternKernel:
    """The kernel of t rows with gaps."""

    components: SeenComponents
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
