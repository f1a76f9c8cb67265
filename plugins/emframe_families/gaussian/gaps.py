"""Gaussian rows of which any entries may be missing: what a row hides is a latent of the family's.

    log f(x_o | mu, Sigma) is that of the columns o that a row shows,  N(mu_o, Sigma_oo)

The E-step completes the scatter of what is hidden by its conditional mean and covariance, and the
M-step is that of complete rows (Orchard and Woodbury 1972; Little and Rubin 2002, section 11.2), of
any of the fourteen structures.  Nothing is imputed before the fit: the likelihood is that of what
was seen, entries missing at random.

One known case: without gaps it is the Gaussian family.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from operator import add
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emframe import ConjugatePrior, Real
from emframe.engines import Workspace
from emframe.families import (
    Completed,
    Conditional,
    Densities,
    Kernel,
    Mask,
    Survey,
    groups,
    rowwise,
)
from emframe.families.at_start import AtStart
from emframe.families.rowwise import in_step
from emframe.spaces import Array
from emframe.spaces.missing import OrMissing
from emframe_families.gaussian import kernels as gaussian_kernels
from emframe_families.gaussian.family import LARGEST, LEAST_RANGE, Gaussian
from emframe_families.gaussian.parameters import DiagonalParameters, FullParameters
from emframe_families.gaussian.patterns import ByPattern, Hidden, Patterns, refuse_unseen
from emframe_families.gaussian.scatter import Scatter
from emframe_families.gaussian.shown import shown_squares

# Rows of a pattern below which products do not pay, and lose the digits of a scatter that is 0.
FEW_ROWS = 50


def gaussian(covariance: str = "full", missing: bool = False) -> Gaussian:
    """Any number of real columns, jointly normal within each component.

    Parameters
    ----------
    covariance : as of `Gaussian`.
    missing : whether entries of a row may be missing (nan).
    """
    if not isinstance(missing, (bool, np.bool_)):
        raise TypeError(f"`missing` is {missing!r}; pass True or False.")
    return GaussianWithGaps(covariance) if missing else Gaussian(covariance)


@dataclass(frozen=True)
class GaussianWithGaps(Gaussian):
    """The same, of rows that hide some of their columns."""

    missing: bool = True

    support: ClassVar[Any] = OrMissing(Real(largest=LARGEST, least_range=LEAST_RANGE))
    hides = True

    def __post_init__(self) -> None:
        super().__post_init__()

    def with_gaps(self) -> GaussianWithGaps:
        return self

    # ---- E

    def log_density(self, params: Any, x: Array) -> Array:
        found = np.zeros((len(x), len(params.means)))
        for group in groups(x):
            if not group.gaps.all():
                own = self._shown(params, group.gaps)
                shown = x[np.ix_(group.rows, ~group.gaps)]
                found[group.rows] = Gaussian.log_density(self, own, shown)
        return found

    def accumulate(self, x: Array, resp: Array) -> AtStart:  # type: ignore[override]
        return AtStart.of_rows(x, resp)

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        whole = self.whole(x, np.ones(len(x)))
        nothing = np.zeros(resp.shape[1])
        for kernel in self.kernels(params, nothing, Survey(whole, len(x))):
            met = rowwise(kernel, x, Workspace())
            found = kernel.finish(met.collect(np.ascontiguousarray(resp.T)))
            if found is not None:
                return Completed(found.statistics, found.entropy)
        raise AssertionError("the last of a family's kernels loses no digits")

    def whole(self, x: Array, weights: Array) -> Patterns:
        return Patterns.of(x, weights, lambda shown, w: Gaussian.accumulate(self, shown, w))

    def refuse(self, whole: Patterns, columns: Sequence[str]) -> None:
        """A column without any value."""
        refuse_unseen(whole.shown(), columns)

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """One of complete rows for each pattern of gaps; of independent columns by products."""
        if self._diagonal:
            yield from shown_squares(params, constants, survey)
        hidden, supplies, keys = {}, [], []
        blank: dict[bytes, Kernel | None] = {}
        alone = Gaussian(self.covariance)
        form = "diag" if self._diagonal else "full"
        for key, (gaps, shown, n) in survey.statistics.parts.items():
            hidden[key] = Hidden.of(params.means, params.covariances, gaps)
            if gaps.all():
                blank[key] = None
                continue
            keys.append(key)
            own = self._shown(params, gaps)
            plain = Densities(alone, own, constants)
            few = n < FEW_ROWS
            told = Survey(shown, n, survey.spare, partial=True)
            fast = () if few else gaussian_kernels.kernels(form, own, constants, told)
            supplies.append(chain(fast, (plain,)))
        for kernels in in_step(supplies):
            each: dict[bytes, Kernel | None] = {**blank, **dict(zip(keys, kernels, strict=True))}
            yield ByPattern(each, hidden, constants, self._diagonal)

    def _shown(self, params: Any, gaps: Mask) -> Any:
        """The parameters of the columns that a pattern shows."""
        kind = DiagonalParameters if self._diagonal else FullParameters
        return kind(params.means[:, ~gaps], params.covariances[:, ~gaps][:, :, ~gaps])

    # ---- M

    def m_step(self, statistics: Any, previous: Any) -> Any:
        return super().m_step(self._known(statistics, previous), previous)

    def _known(self, statistics: Any, previous: Any) -> Scatter:
        """The scatter of completed rows; at a start, with the columns' means in the gaps."""
        if isinstance(statistics, Scatter):
            return statistics
        if previous is not None:
            each = (self.completed(previous, x, r).statistics for x, r in statistics.blocks)
            return statistics.with_prior(reduce(add, each))
        return statistics.with_prior(self.filled(statistics))

    def filled(self, statistics: AtStart) -> Scatter:
        """The scatter of rows at a start, with the columns' means in their gaps."""
        x, resp = statistics.x, statistics.resp
        seen, weights = ~np.isnan(x), resp.sum(axis=1)
        total = weights @ seen
        means = weights @ np.where(seen, x, 0.0) / np.where(total > 0, total, 1.0)
        rows = np.where(seen, x, means)
        return Gaussian.accumulate(self, rows, resp)

    def stacked(self, k: int) -> Any:
        """Itself where components are apart; else none: groups of them know no gaps."""
        found = super().stacked(k)
        return found if found is self else None

    def flat(self, x: Array, weights: Array) -> None:
        """None: tables of rows have no gaps."""

    def conjugate_prior(self, prior: Any, whole: Any, k: int) -> ConjugatePrior[Scatter]:
        """The Gaussian family's, about rows that have the columns' means in their gaps."""
        return super().conjugate_prior(prior, whole.filled(), k)

    # ---- what is hidden

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        """x_m | x_o is normal about the regression on what shows, with one covariance for all."""
        told = Hidden.of(params.means, params.covariances, np.isnan(x[0]))
        means = told.filled(x)[:, :, hidden].swapaxes(0, 1)
        roots = np.linalg.cholesky(told.left)

        def draw(labels: NDArray[Any], rng: np.random.Generator) -> Array:
            normal = rng.standard_normal((len(labels), len(hidden)))
            off = np.einsum("nij,nj->ni", roots[labels], normal)
            return np.asarray(means[np.arange(len(labels)), labels] + off)

        return Conditional(means, np.broadcast_to(told.left, (len(x), *told.left.shape)), draw)
