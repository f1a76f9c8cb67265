"""Mixtures of factor analyzers: within each component a few factors stand behind many columns.

    x | k  =  mu_k + L_k z + e,   z ~ N(0, 1),  e ~ N(0, Psi_k),   so  N(mu_k, L_k L_k' + Psi_k)

A covariance of d columns then has d (q + 1) numbers, less the rotations, in the place of
d (d + 1) / 2 (Ghahramani and Hinton 1996; McLachlan and Peel 2000, chapter 8).  Here the factors
are integrated out: f is the normal density, with the kernels and the gaps of the Gaussian family,
and the factors live inside the M-step alone.  The less is missing, the fewer steps EM takes (Meng
and van Dyk 1997, JRSS B 59, 511, call it AECM).

    emframe.Mixture("factor-analysis", 3, n_factors=2)
    emframe.Mixture("factor-analysis", 3, n_factors=2).tied("noise")

Loadings and noise of each component or in common, and noise by columns or one: the eight models of
parsimonious Gaussian mixtures (McNicholas and Murphy 2008, Statistics and Computing 18, 285).

One known case: a single component is factor analysis, or, of one noise variance, probabilistic PCA.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe import Array, ConjugatePrior, Contract, Degenerate, Family, Real
from emframe.families import Blurred, Completed, Conditional, Kernel, Survey, refuse_empty
from emframe.families.at_start import AtStart
from emframe.families.joined import Retold
from emframe.parameters import keep, pullback
from emframe.spaces.missing import OrMissing
from emframe_families.factors.regression import (
    FIRST_TURNS,
    HEYWOOD,
    TURNS,
    OnFactors,
    Solution,
    begun,
    by_turns,
    nearest,
    principal,
)
from emframe_families.factors.structure import (
    check_settings,
    components,
    fewest_columns,
    principal_axes,
    refuse_many_factors,
)
from emframe_families.factors.sums import FactorPrior, FactorSums
from emframe_families.gaussian.family import FLAT, LARGEST, LEAST_RANGE, TINY
from emframe_families.gaussian.gaps import gaussian
from emframe_families.gaussian.patterns import Patterns
from emframe_families.gaussian.scatter import Scatter

NUMBERS = Real(largest=LARGEST, least_range=LEAST_RANGE)


@dataclass(frozen=True)
class FactorAnalyzers(Family):
    """Real columns, jointly normal within each component, with covariances of a few factors.

    The parameters are ``means`` (K, d), ``loadings`` (K, d, q) and ``noise`` (K, d), or (K, 1).

    Parameters
    ----------
    n_factors : q.
    noise : "columns", a variance for each column, or "shared", one for all columns of a component.
    missing : whether entries of a row may be missing (nan).
    """

    n_factors: int = 1
    noise: str = "columns"
    missing: bool = False

    name = "factor-analysis"
    contract = Contract.GENERALISED
    equivariant = ("scale", "shift")
    priors = ("weak",)
    gaps = "expect missing values: missing=True"
    blurs = True

    def __post_init__(self) -> None:
        check_settings(self.n_factors, self.noise)
        gaussian("full", self.missing)

    @property
    def support(self) -> Any:  # type: ignore[override]
        return OrMissing(NUMBERS) if self.missing else NUMBERS

    @property
    def hides(self) -> bool:  # type: ignore[override]
        return self.missing

    @property
    def fewest_columns(self) -> int:  # type: ignore[override]
        return fewest_columns(self.n_factors, self.noise)

    @property
    def parameters(self) -> type:
        return components(self.n_factors, self.noise)

    @cached_property
    def _gaussian(self) -> Any:
        """The Gaussian family, which the rows are of whatever is behind their covariances."""
        return gaussian("full", self.missing)

    # ---- E: that of normal components

    def log_density(self, params: Any, x: Array) -> Array:
        return self._gaussian.log_density(params.normal, x)

    def accumulate(self, x: Array, resp: Array) -> Any:
        rows: Any = self._gaussian.accumulate(x, resp)
        return rows if isinstance(rows, AtStart) else FactorSums(rows)

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        found = self._gaussian.completed(params.normal, x, resp)
        return found._replace(statistics=FactorSums(found.statistics))

    def whole(self, x: Array, weights: Array) -> Any:
        rows: Any = self._gaussian.whole(x, weights)
        return rows if isinstance(rows, Patterns) else FactorSums(rows)

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        told = survey.statistics
        inner = survey.of(told.rows) if isinstance(told, FactorSums) else survey
        for kernel in self._gaussian.kernels(params.normal, constants, inner):
            yield Retold(kernel, FactorSums)

    def refuse(self, whole: Any, columns: Sequence[str]) -> None:
        """More factors than the covariance tells; a column without any value."""
        refuse_many_factors(self.n_factors, self.noise, len(columns))
        if isinstance(whole, Patterns):
            self._gaussian.refuse(whole, columns)

    # ---- M

    def expected(self, statistics: FactorSums, params: Any) -> float:
        rows, prior = statistics.rows, statistics.prior
        total = 0.0 if rows is None else self._gaussian.expected(rows, params.normal)
        return total if prior is None else total + prior.value(params)

    def m_step(self, statistics: Any, previous: Any) -> Any:
        return self._maximised(statistics, previous, previous, (), ())

    def m_step_given(
        self,
        statistics: Any,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any | None:
        """Columns regressed on completed factors, given what is held or shared of the answer."""
        if "means" in shared:
            return None
        return self._maximised(statistics, previous, like, held, shared)

    def _maximised(
        self, told: Any, previous: Any, like: Any, held: tuple[str, ...], shared: tuple[str, ...]
    ) -> Any:
        sums = self._known(told, previous)
        rows = sums.rows
        if rows is None:
            raise Degenerate("there is no row to begin with")
        empty = rows.counts <= TINY
        if previous is None:
            refuse_empty(empty)
        safe = self._with_previous(rows, empty, previous) if empty.any() else rows
        if "means" in held:
            safe = safe.about(like.means)
        self._refuse_points(safe, shared="noise" in shared)
        plain = sums.prior is None and not shared and set(held) <= {"means"}
        if plain and self.noise == "shared":
            found = self._by_axes(safe, previous)
        elif plain:
            found = self._by_turns(safe, previous)
        else:
            found = self._regressed(safe, sums.prior, previous, like, held, shared)
        self._refuse_planes(found, safe, held)
        params = self.parameters(found.means, found.loadings, self._noise(found.own))
        return keep(empty, previous, params) if empty.any() else params

    def _noise(self, own: Array) -> Array:
        return own[:, :1].copy() if self.noise == "shared" else np.array(own)

    def _by_axes(self, rows: Scatter, previous: Any) -> Solution:
        loadings, own = principal(_spread(rows), self.n_factors)
        return Solution(rows.means, self._turned(loadings, previous), own)

    def _by_turns(self, rows: Scatter, previous: Any) -> Solution:
        spread = _spread(rows)
        if previous is None:
            _, own = begun(spread, self.n_factors, False)
            loadings, own = by_turns(spread, own, self.n_factors, FIRST_TURNS)
        else:
            loadings, own = by_turns(spread, previous.own, self.n_factors, TURNS)
        return Solution(rows.means, self._turned(loadings, previous), own)

    def _turned(self, loadings: Array, previous: Any) -> Array:
        """As before where they can be turned to it: what extrapolates steps has to meet them so."""
        return loadings if previous is None else nearest(loadings, previous.loadings)

    def _regressed(
        self,
        rows: Scatter,
        prior: FactorPrior | None,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Solution:
        if previous is None:
            loadings, own = begun(_spread(rows), self.n_factors, self.noise == "shared")
            at = Solution(rows.means, loadings, own)
        else:
            at = Solution(previous.means, previous.loadings, previous.own)
        if "means" in held:
            centre, weight = like.means, np.full(len(rows.counts), np.inf)
        elif prior is not None:
            centre = np.broadcast_to(prior.centre, rows.means.shape)
            weight = prior.times * prior.kappa
        else:
            centre, weight = rows.means, np.zeros(len(rows.counts))
        kinds = {
            name: "held" if name in held else "common" if name in shared else "own"
            for name in ("loadings", "noise")
        }
        at = Solution(
            like.means if "means" in held else at.means,
            like.loadings if "loadings" in held else _common(at.loadings, "loadings" in shared),
            like.own if "noise" in held else _common(at.own, "noise" in shared),
        )
        if set(held) >= {"loadings", "noise"} and np.isinf(weight).all():
            return at
        regression = OnFactors(
            rows, centre, weight, **kinds, one_noise=self.noise == "shared", prior=prior
        )
        for _ in range(FIRST_TURNS if previous is None else TURNS):
            at = regression.step(at)
        return at

    def _known(self, told: Any, previous: Any) -> FactorSums:
        """Sums of completed rows; at a start, with the columns' means in the gaps."""
        if isinstance(told, FactorSums):
            return told
        if previous is not None:
            each = (self.completed(previous, x, r).statistics for x, r in told.blocks)
            sums = reduce(add, each)
        else:
            sums = FactorSums(self._gaussian.filled(replace(told, prior=None)))
        found: FactorSums = told.with_prior(sums)
        return found

    def _with_previous(self, rows: Scatter, empty: NDArray[np.bool_], previous: Any) -> Scatter:
        """Components without rows as they were, at a weight that moves no other."""
        weight = TINY
        return Scatter(
            np.where(empty, weight, rows.counts),
            np.where(empty[:, None], previous.means, rows.means),
            np.where(empty[:, None, None], weight * previous.normal.covariances, rows.scatter),
            np.where(empty, weight, rows.dof),
        )

    def _refuse_points(self, rows: Scatter, shared: bool) -> None:
        """Raise where a component has no spread in a column; of all together, of shared noise."""
        spread = _spread(rows)
        if shared:
            share = rows.counts / rows.counts.sum()
            spread = np.broadcast_to(np.einsum("k,kij->ij", share, spread), spread.shape)
        sd = np.sqrt(np.diagonal(spread, axis1=1, axis2=2))
        self._gaussian.refuse_points(rows, sd, sd[:1] if shared else sd, shared=shared)

    def _refuse_planes(self, found: Solution, rows: Scatter, held: tuple[str, ...]) -> None:
        """Raise where more columns than factors are left without any noise."""
        if "noise" in held:
            return
        none = self._without_noise(found.own, np.diagonal(found.sigma, axis1=1, axis2=2))
        flat = none.sum(axis=1) > self.n_factors
        if flat.any():
            k = int(flat.argmax())
            raise Degenerate(
                f"component {k} is singular: its rows lie in a plane, with {{columns}} given by "
                f"{self.n_factors} factors without noise, or are too few",
                k,
                np.flatnonzero(none[k]).tolist(),
            )

    @staticmethod
    def _without_noise(own: Array, variances: Array) -> Array:
        """Which columns have no more of their own than the least, (K, d)."""
        return np.asarray(own <= 2.0 * HEYWOOD * variances)

    def gradient(self, statistics: FactorSums, params: Any) -> Array:
        rows, prior = statistics.rows, statistics.prior
        means, loadings = np.zeros_like(params.means), np.zeros_like(params.loadings)
        own = np.zeros_like(params.own)
        if rows is not None:
            precision = np.linalg.inv(params.normal.covariances)
            about = rows.about(params.means).scatter
            excess = precision @ about - rows.dof[:, None, None] * np.eye(own.shape[1])
            spread = 0.5 * excess @ precision
            off = rows.counts[:, None] * (rows.means - params.means)
            means = np.einsum("kij,kj->ki", precision, off)
            loadings = 2.0 * spread @ params.loadings
            own = np.diagonal(spread, axis1=1, axis2=2)
        noise = own.sum(axis=1, keepdims=True) if self.noise == "shared" else own
        if prior is not None:
            own_means, own_loadings, own_noise = prior.slopes(params)
            means, loadings, noise = means + own_means, loadings + own_loadings, noise + own_noise
        return pullback(params, self.parameters(means, loadings, noise))

    # ---- the rest

    def blurred(self, params: Any, x: Array, roots: Array) -> Blurred:
        return self._gaussian.blurred(params.normal, x, roots)

    def with_gaps(self) -> FactorAnalyzers:
        return replace(self, missing=True)

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        return self._gaussian.conditional(params.normal, x, hidden)

    def log_cdf(self, params: Any, x: Array) -> Array:
        return self._gaussian.log_cdf(params.normal, x)

    def log_sf(self, params: Any, x: Array) -> Array:
        return self._gaussian.log_sf(params.normal, x)

    def mean(self, params: Any) -> Array:
        return np.asarray(params.means)

    def variance(self, params: Any) -> Array:
        return self._gaussian.variance(params.normal)

    def quantile(self, params: Any, p: Array) -> Array:
        return self._gaussian.quantile(params.normal, p)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        z = rng.standard_normal((len(labels), self.n_factors))
        e = rng.standard_normal((len(labels), params.means.shape[1])) * np.sqrt(params.own[labels])
        return np.asarray(
            params.means[labels] + np.einsum("ndq,nq->nd", params.loadings[labels], z) + e
        )

    def conjugate_prior(self, prior: Any, whole: Any, k: int) -> ConjugatePrior[FactorSums]:
        """``"weak"``: columns regressed on factors, with little known of any of it.

        Given its variance psi a mean is normal about the centre of the data with variance
        psi / 0.01, and so are loadings about 0; psi is inverse gamma with shape 2 and, at its
        mean, the variance of the column over K^(2 / d), as in Fraley and Raftery (2007,
        J. Classification 24, 155).  A column without spread has the average of the others'.
        """
        if prior not in self.priors:
            return super().conjugate_prior(prior, whole, k)
        rows = whole.filled() if isinstance(whole, Patterns) else whole.rows
        total, centre = float(rows.counts[0]), rows.means[0]
        d = len(centre)
        variances = np.diagonal(rows.scatter[0]) / (total - 1.0 if total > 1.0 else total)
        magnitude = np.where(np.abs(centre) > LEAST_RANGE, centre**2, 1.0)
        flat = ~(np.sqrt(variances) > FLAT * np.abs(centre))
        variances = np.where(flat, magnitude, variances) / k ** (2.0 / d)
        own = variances if self.noise == "columns" else variances.mean(keepdims=True)
        pseudo = FactorPrior(np.ones(k), centre, own)
        return ConjugatePrior(FactorSums(None, pseudo), k * pseudo.log_constant(self.n_factors))

    def boundary(self, params: Any) -> str:
        """Heywood cases: columns that follow from the factors without any noise."""
        none = self._without_noise(params.own, self.variance(params))
        if not none.any():
            return ""
        k, j = (int(i) for i in np.argwhere(none)[0])
        return (
            f"column {j} has no variance of its own in component {k} (a Heywood case: the maximum "
            "lies on the boundary); use fewer factors, tied noise, or prior='weak'"
        )

    # ---- after the fit

    def scores(self, params: Any, x: Array) -> Array:
        """E[z | x, k], the factors of rows x (n, d) under each component, (n, K, q)."""
        normal = params.normal
        slope = np.linalg.solve(normal.covariances, params.loadings)  # (K, d, q)
        return np.einsum("nkd,kdq->nkq", x[:, None, :] - params.means, slope)

    def principal(self, params: Any) -> Any:
        """The same components with factors turned so that L' Psi^-1 L is diagonal and falling."""
        return replace(params, loadings=principal_axes(params.loadings, params.own))


def _spread(rows: Scatter) -> Array:
    """Covariances with divisor n, (K, d, d)."""
    return np.asarray(rows.scatter / rows.dof[:, None, None])


def _common(values: Array, shared: bool) -> Array:
    """One value for all components, where they share it."""
    return np.broadcast_to(values.mean(axis=0), values.shape) if shared else values
