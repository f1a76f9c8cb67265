"""Factor analysis and probabilistic PCA: z is a few continuous factors behind many columns.

    x = mu + L z + e,        z ~ N(0, 1),        e ~ N(0, Psi),        so  x ~ N(mu, L L' + Psi)

Psi is diagonal, and in probabilistic PCA one variance for all columns.  Given x the factors are
normal with mean b (x - mu) and covariance V = 1 - b L, b = L' (L L' + Psi)^-1, so rows completed
by their factors' means, and V added once for each, are all that the M-step needs: it regresses
columns on factors (Rubin and Thayer 1982, Psychometrika 47, 69; Tipping and Bishop 1999, JRSS B
61, 611).

Rotated factors explain the same rows, so loadings are known up to rotation only and count for so
much less; `principal` turns them to principal axes.

One known case: without factors, L = 0, mu and Psi are the columns' means and variances.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log, nan, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from emframe import Array, Degenerate, Expectation, LatentModel, Positive, Real, parameter
from emframe.data import summed
from emframe.engines import Workspace, block_rows
from emframe.models import LatentExpectation, Posterior
from emframe.parameters import frozen, pullback
from emframe_families.factors.analyzers import FactorAnalyzers
from emframe_families.factors.regression import HEYWOOD
from emframe_families.factors.structure import (
    Rotatable,
    check_settings,
    principal_axes,
    refuse_many_factors,
    uniquenesses,
)
from emframe_families.gaussian.scatter import Scatter

# A share of its variance at which a column is well on its way to a Heywood case.
_SUSPECT = 1e-5
_RANDOM_STARTS = 7  # local maxima are rare
_MOST_ROWS = 20_000  # that a start looks at, drawn from the data where they are more


@dataclass(frozen=True)
class FactorParameters:
    """What the columns are on average, how they load on the factors, and their own variances."""

    means: Array = parameter(Real(), shape="d", per_component=False)  # (d,)
    loadings: Array = parameter(Rotatable(), shape=("d", "q"), per_component=False)  # (d, q)
    noise: Array = parameter(Positive(), shape="d", per_component=False)  # (d,)


@dataclass(frozen=True)
class PrincipalParameters:
    """The same with one noise variance for all columns."""

    means: Array = parameter(Real(), shape="d", per_component=False)  # (d,)
    loadings: Array = parameter(Rotatable(), shape=("d", "q"), per_component=False)  # (d, q)
    noise: Array = parameter(Positive(), shape=1, per_component=False)  # (1,)


@dataclass(frozen=True)
class FactorAnalysis(LatentModel):
    """Factor analysis of real columns by maximum likelihood.

    Parameters
    ----------
    n_factors : q.
    noise : "columns", a variance for each column (factor analysis), or "shared", one for all
        (probabilistic PCA).
    """

    n_factors: int = 1
    noise: str = "columns"

    name = "factor-analysis"
    sole_start = "all starts that end well end where principal factors lead to"

    def __post_init__(self) -> None:
        check_settings(self.n_factors, self.noise)

    @property
    def parameters(self) -> type:
        return FactorParameters if self.noise == "columns" else PrincipalParameters

    @property
    def dims(self) -> dict[str, int]:
        return {"q": self.n_factors}

    def require(self, rows: Any) -> None:
        """Refuse more factors than the columns' covariance can tell."""
        refuse_many_factors(self.n_factors, self.noise, len(rows.columns))

    # ---- E

    def survey(self, rows: Any) -> Scatter:
        """Count, mean and scatter of all rows, which are all that the likelihood depends on."""
        whole: Scatter = summed(rows, block_rows(self.work(rows)), _scatter)
        return whole

    def passes(self, params: Any, survey: Scatter) -> Iterator[OfMoments]:
        """From the survey alone: no row is looked at twice."""
        yield OfMoments(self, params, survey)

    def e_step(self, params: Any, x: Array, weights: Array) -> Posterior:
        return self.completed(params, _scatter(x, weights))

    def completed(self, params: Any, rows: Scatter) -> Posterior:
        """The E-step from the count, mean and scatter of rows."""
        (d, q), count = params.loadings.shape, float(rows.counts[0])
        factor, slope, left = self._regression(params)
        off = rows.means[0] - params.means
        about = rows.scatter[0] + count * np.outer(off, off)
        white = solve_triangular(factor, solve_triangular(factor, about, lower=True).T, lower=True)
        log_det = 2.0 * np.log(np.diagonal(factor)).sum()
        loglik = -0.5 * (count * (d * log(2 * pi) + log_det) + np.trace(white))
        entropy = 0.5 * count * (q * (1.0 + log(2 * pi)) + np.linalg.slogdet(left)[1])
        turn = np.vstack([np.eye(d), slope])  # a row, and the means of its factors
        mean, scatter = turn @ off, turn @ rows.scatter[0] @ turn.T
        scatter[d:, d:] += count * left
        mean[:d] += params.means
        sums = Scatter(rows.counts, mean[None], scatter[None], rows.counts)
        return Posterior(float(loglik), float(entropy), sums)

    def _regression(self, params: Any) -> tuple[Array, Array, Array]:
        """Cholesky factor of L L' + Psi (d, d), slope b (q, d) and V (q, q) of z given x."""
        d = len(params.means)
        noise = np.broadcast_to(params.noise, d)
        # V^-1 = 1 + L' Psi^-1 L, a sum, loses no digits where 1 - b L would.
        scaled = params.loadings / noise[:, None]
        try:
            left = np.linalg.inv(np.eye(self.n_factors) + params.loadings.T @ scaled)
            factor = np.linalg.cholesky(params.loadings @ params.loadings.T + np.diag(noise))
        except np.linalg.LinAlgError as error:
            raise Degenerate("the covariance of the columns is singular to rounding") from error
        left = 0.5 * (left + left.T)
        return factor, left @ scaled.T, left

    def posterior(self, params: Any, x: Array) -> tuple[Array, Array]:
        """Log density of each row (n,), and its factor scores E[z | x], (n, q)."""
        factor, slope, _ = self._regression(params)
        off = x - params.means
        white = solve_triangular(factor, off.T, lower=True)
        log_det = 2.0 * np.log(np.diagonal(factor)).sum()
        density = -0.5 * (x.shape[1] * log(2 * pi) + log_det + (white**2).sum(axis=0))
        return density, off @ slope.T

    # ---- M

    def expected(self, statistics: Scatter, params: Any) -> float:
        d, q, n = len(params.means), self.n_factors, float(statistics.counts[0])
        noise = np.broadcast_to(params.noise, d)
        _, _, residual, factors = self._moments(statistics, params)
        log_noise = n * (d * log(2 * pi) + np.log(noise).sum())
        return -0.5 * float(
            log_noise + (np.diagonal(residual) / noise).sum()
            + n * q * log(2 * pi) + np.trace(factors)
        )  # fmt: skip

    def _moments(self, statistics: Scatter, params: Any) -> tuple[Array, Array, Array, Array]:
        """With e = x - mu - L z, the sums of e, e z', e e' and z z'."""
        d = len(params.means)
        n, mean, scatter = statistics.counts[0], statistics.means[0], statistics.scatter[0]
        turn = np.hstack([np.eye(d), -params.loadings])
        e, z = turn @ mean - params.means, mean[d:]
        across = turn @ scatter
        residual = across @ turn.T + n * np.outer(e, e)
        factors = scatter[d:, d:] + n * np.outer(z, z)
        return n * e, across[:, d:] + n * np.outer(e, z), residual, factors

    def m_step(self, statistics: Scatter, previous: Any) -> Any:
        """Columns regressed on factors; noise is what is left."""
        d = len(previous.means)
        n, mean, scatter = statistics.counts[0], statistics.means[0], statistics.scatter[0]
        try:
            loadings = np.linalg.solve(scatter[d:, d:], scatter[d:, :d]).T
        except np.linalg.LinAlgError as error:
            raise Degenerate("the factors depend on one another: use fewer") from error
        means = mean[:d] - loadings @ mean[d:]
        turn = np.hstack([np.eye(d), -loadings])
        noise = np.einsum("ij,jk,ik->i", turn, scatter, turn) / n
        whole = np.diagonal(scatter)[:d] / n
        if self.noise == "shared":
            noise, whole = noise.mean(keepdims=True), whole.mean(keepdims=True)
        flat = ~(noise > HEYWOOD * whole)
        if flat.any():
            which = (
                f"column {int(flat.argmax())} has" if self.noise == "columns" else "columns have"
            )
            raise Degenerate(
                f"{which} no variance of its own left (a Heywood case): use fewer factors, or "
                "leave out columns that follow from others"
            )
        return self.parameters(means, loadings, noise)

    def gradient(self, statistics: Scatter, params: Any) -> Array:
        noise = np.broadcast_to(params.noise, len(params.means))
        e, across, residual, _ = self._moments(statistics, params)
        spread = 0.5 * (np.diagonal(residual) / noise - statistics.counts[0]) / noise
        if self.noise == "shared":
            spread = spread.sum(keepdims=True)
        return pullback(params, self.parameters(e / noise, across / noise[:, None], spread))

    def irregularities(self, q: Expectation[Any]) -> Mapping[int, str]:
        """Columns that are on their way to becoming a factor themselves: Heywood cases."""
        noise = np.broadcast_to(q.at.noise, len(q.at.means))
        whole = np.diagonal(self.covariance(q.at))
        return {
            int(j): f"column {j} has hardly a variance of its own, a Heywood case"
            for j in np.flatnonzero(noise < _SUSPECT * whole)
        }

    # ---- starts and draws

    def starts(self, rows: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
        """Principal factors with the noise that regression on the other columns leaves, then with
        random shares of the variances (Joereskog 1967, Psychometrika 32, 443)."""
        some = rows.sample(_MOST_ROWS, rng)
        x, weights = some.x, some.weights
        means = np.average(x, axis=0, weights=weights)
        off = x - means
        covariance = (off * weights[:, None]).T @ off / weights.sum()
        variances = np.diagonal(covariance)
        if not (variances > 0).all():
            column = int((~(variances > 0)).argmax())
            yield "principal", Degenerate(f"column {column} ({rows.columns[column]}) is constant")
            return
        sd = np.sqrt(variances)
        correlation = covariance / sd / sd[:, None]
        unique = uniquenesses(correlation[None], self.n_factors)[0]
        yield "principal", self._principal(means, correlation, sd, unique)
        for _ in range(_RANDOM_STARTS):
            yield (
                "random",
                self._principal(means, correlation, sd, rng.uniform(0.1, 0.9, size=len(means))),
            )

    def _principal(self, means: Array, correlation: Array, sd: Array, unique: Array) -> Any:
        """Parameters by principal factors, for given shares of the columns' own variance."""
        root = np.sqrt(unique)
        values, vectors = np.linalg.eigh(correlation / root / root[:, None])
        top = slice(-1, -1 - self.n_factors, -1)
        size = np.sqrt(np.maximum(values[top] - 1.0, 0.01))
        loadings = (sd * root)[:, None] * vectors[:, top] * size
        noise = unique * sd**2
        if self.noise == "shared":
            noise = noise.mean(keepdims=True)
        return frozen(self.parameters(means, loadings, noise))

    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[Array, NDArray[Any]]:
        """n rows (n, d) and the factors behind them (n, q)."""
        z = rng.standard_normal((n, self.n_factors))
        e = rng.standard_normal((n, len(params.means))) * np.sqrt(params.noise)
        return params.means + z @ params.loadings.T + e, z

    def complete_log_likelihood(self, params: Any, x: Array, z: NDArray[Any]) -> float:
        """Sum of log p(x, z) for factors z (n, q)."""
        if z.shape != (len(x), self.n_factors):
            raise ValueError(
                f"`z` has shape {z.shape}; pass the factors of each row, ({len(x)}, "
                f"{self.n_factors})."
            )
        e = x - params.means - z @ params.loadings.T
        noise = np.broadcast_to(params.noise, x.shape[1])
        given = len(x) * (np.log(2 * pi * noise)).sum() + (e**2 / noise).sum()
        return -0.5 * float(given + z.size * log(2 * pi) + (z**2).sum())

    # ---- after the fit

    def covariance(self, params: Any) -> Array:
        """What the model says of the columns' covariance, L L' + Psi, (d, d)."""
        noise = np.broadcast_to(params.noise, len(params.means))
        return np.asarray(params.loadings @ params.loadings.T + np.diag(noise))

    def principal(self, params: Any) -> Any:
        """The same model with its factors turned so that L' Psi^-1 L is diagonal and falling.

        Each factor is signed so that its loadings sum to 0 or above.
        """
        own = np.broadcast_to(params.noise, len(params.means))
        turned = principal_axes(params.loadings, own)
        return frozen(self.parameters(params.means, turned, params.noise))

    def as_component(self) -> FactorAnalyzers:
        """The family of which each component is such a model."""
        return FactorAnalyzers(self.n_factors, self.noise)


def _scatter(x: Array, weights: Array) -> Scatter:
    """Count, mean and scatter of rows (n, d) with frequency weights (n,)."""
    counts = np.array([weights.sum()])
    centre = x[0]  # keeps the digits of means far from the origin
    mean = centre + weights @ (x - centre) / counts[0]
    off = x - mean
    return Scatter(counts, mean[None], ((off * weights[:, None]).T @ off)[None], counts)


@dataclass(frozen=True)
class OfMoments:
    """The E-step at `params`, from what was known of all rows beforehand."""

    model: FactorAnalysis
    params: Any
    whole: Scatter

    def rows(self, d: int) -> int:
        return block_rows(d)

    def block(self, rows: Any, work: Workspace) -> float:
        """Nothing: a block has nothing to say that is not known."""
        return 0.0

    def finish(self, total: float) -> Expectation[Any]:
        found = self.model.completed(self.params, self.whole)
        return LatentExpectation(self.model, self.params, *found)

    def uncertainty(self, rows: Any, work: Workspace) -> float:
        """nan: factors are continuous."""
        return nan
