"""Normal rows with missing values: z is the missing entries, and in a mixture the component too.

Where a row shows the columns o and hides the columns m, its hidden part is normal given x_o:

    x_m | x_o ~ N( mu_m + B (x_o - mu_o),  Sigma_mm - B Sigma_om ),        B = Sigma_mo Sigma_oo^-1

The E-step puts the mean in the gaps and adds the covariance to the scatter; the M-step is that of
complete rows (Orchard and Woodbury 1972; Little and Rubin 2002, section 11.2; for mixtures
Ghahramani and Jordan 1994).  Rows that hide the same columns are handled together.  Nothing is
imputed before the fit: the likelihood is that of what was seen, entries missing at random.

One known case: without gaps it is the mixture of the Gaussian family, and with K = 1 its first
step is the sample mean and covariance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import entr, logsumexp, xlogy

from emframe import Array, Degenerate, LatentModel, Simplex
from emframe.data import Table, as_rows, as_weights, chosen, filled, in_range
from emframe.families import Pieces
from emframe.models import MixtureParameters, Posterior, starts
from emframe.models.parting import alike, parted
from emframe.parameters import frozen, problem
from emframe.refusals import refuse_beyond
from emframe_families.gaussian import EPS, Gaussian
from emframe_families.gaussian_scatter import Scatter

# What rounding leaves of a column's variance that follows from the columns before it.
NOTHING = 16 * EPS
_BLOCK = 1 << 14  # rows of a block at least


@dataclass(frozen=True)
class IncompleteRows:
    """Validated rows with gaps, their weights, and the names of the columns."""

    x: Array  # (n, d), nan in the gaps
    weights: Array  # (n,)
    columns: tuple[str, ...]
    numbers: NDArray[np.intp]  # (n,) where each row stood in what the user gave
    n_given: int
    unit: float = 1.0  # what a weight of 1 stands for, where weights were far out of range

    def __len__(self) -> int:
        return len(self.x)

    @property
    def total(self) -> float:
        """Number of rows that the weights stand for."""
        return self.unit * float(self.weights.sum())

    def blocks(self, size: int) -> Iterator[tuple[Array, Array]]:
        """Rows and weights, `size` rows at a time or more, so that patterns come together."""
        size = max(size, _BLOCK)
        for first in range(0, len(self), size):
            yield self.x[first : first + size], self.weights[first : first + size]


@dataclass(frozen=True)
class MixtureSums:
    """Responsibilities and the family's sums of completed rows."""

    counts: Array  # (K,)
    components: Any

    def __add__(self, other: MixtureSums) -> MixtureSums:
        return MixtureSums(self.counts + other.counts, self.components + other.components)

    def __mul__(self, factor: float) -> MixtureSums:
        return MixtureSums(self.counts * factor, self.components * factor)


@dataclass(frozen=True)
class Completion:
    """Rows of one pattern of gaps, seen from each component."""

    log_density: Array  # (K, n)  of what the rows show
    filled: Array  # (K, n, d)  with the conditional mean in the gaps
    spread: Array  # (K, d, d)  conditional covariance, 0 where a column shows
    entropy: Array  # (K,)  of the hidden part of a row


@dataclass(frozen=True)
class IncompleteGaussian(LatentModel):
    """Normal rows, or a mixture of them, of which any entries may be missing (nan).

    Parameters
    ----------
    n_components : K.
    covariance : "full", "diag", "spherical" or "tied", as for the Gaussian family.
    """

    n_components: int = 1
    covariance: str = "full"

    name = "incomplete-gaussian"
    parameters = MixtureParameters

    def __post_init__(self) -> None:
        Gaussian(self.covariance)
        if self.n_components < 1:
            raise ValueError(f"`n_components` is {self.n_components}; pass 1 or more.")

    @property
    def family(self) -> Gaussian:
        """The family of the completed rows."""
        return Gaussian(self.covariance)

    @property
    def sole_start(self) -> str:  # type: ignore[override]
        return "with one component all starts are the same" if self.n_components == 1 else ""

    def choices(self) -> int:
        return self.n_components

    # ---- data

    def rows(self, X: Any, weights: Any = None, columns: Any = None) -> Any:
        """Validate data; nan, None, masked entries and a data frame's missing ones are gaps."""
        x, names = _with_gaps(X if columns is None else chosen(X, tuple(columns)))
        gaps = np.isnan(x)
        frequency = as_weights(weights, len(x))
        rows = as_rows(
            Table(np.where(gaps, 0.0, x), names or tuple(columns or _names(x)), None),
            supports=self.family.supports,
            owner=f"the model {self.name!r}",
            n_columns=None if columns is None else len(columns),
            columns=columns if names else None,
            weights=frequency,  # whatever a row of weight 0 holds
        )
        (kept,) = np.nonzero(frequency > 0)
        x = x[kept]
        empty = np.isnan(x).all(axis=0)
        if columns is None and empty.any():
            column = int(empty.argmax())
            raise ValueError(
                f"`X` column {column} ({rows.columns[column]!r}) has no value at all; remove it."
            )
        x.flags.writeable = False
        return in_range(IncompleteRows(x, frequency[kept], rows.columns, kept, len(frequency)))

    def require(self, rows: Any) -> None:
        """Refuse fewer rows than components."""
        refuse_beyond("n_components", self.n_components, len(rows), "row")

    def work(self, rows: Any) -> int:
        return self.n_components * (len(rows.columns) + 4) * 4

    # ---- E

    def e_step(
        self, params: MixtureParameters, x: Array, weights: Array, shares: Array | None = None
    ) -> Posterior:
        """Of rows x (n, d); with `shares` (n, K) those of the components stand in for p(z | x)."""
        loglik = entropy = 0.0
        sums: list[MixtureSums] = []
        for which, gaps in patterns(x):
            seen = self.complete(params, x[which], gaps)
            row_loglik, resp = _bayes(seen.log_density, params.weights)  # (n,), (K, n)
            resp = resp if shares is None else shares[which].T
            loglik += float(row_loglik @ weights[which])
            entropy += float(entr(resp).sum(axis=0) @ weights[which])
            resp = resp * weights[which]
            entropy += float(resp.sum(axis=1) @ seen.entropy)
            sums.append(MixtureSums(resp.sum(axis=1), self._scatter(seen, resp)))
        total = sums[0]
        for one in sums[1:]:
            total += one
        return Posterior(loglik, entropy, total)

    def complete(self, params: MixtureParameters, x: Array, gaps: NDArray[np.bool_]) -> Completion:
        """Rows x (n, d) that hide the columns where `gaps` (d,) is true, from each component."""
        means, covariances = params.components.means, params.components.covariances
        k, d = means.shape
        seen, hidden = np.flatnonzero(~gaps), np.flatnonzero(gaps)
        # In units of each component's own standard deviations no choice of units matters.
        sd = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
        correlation = covariances / sd[:, :, None] / sd[:, None, :]
        off = (x[:, seen] - means[:, None, seen]) / sd[:, None, seen]  # (K, n, o)
        # One factor of all columns, those that show first, judges and solves: R = L L' with
        #   L = [L_oo 0; L_mo L_mm],   R_oo = L_oo L_oo',   what is left of R_mm = L_mm L_mm'
        order, o = np.concatenate([seen, hidden]), len(seen)
        factor = _factors(_corner(correlation, order, order))
        own, across, left = factor[:, :o, :o], factor[:, o:, :o], factor[:, o:, o:]
        white = _solved(own, np.swapaxes(off, 1, 2))  # (K, o, n)
        log_det = 2.0 * np.log(np.diagonal(own, axis1=1, axis2=2) * sd[:, seen]).sum(axis=1)
        log_density = -0.5 * ((white**2).sum(axis=1) + log_det[:, None] + o * log(2 * pi))
        filled = np.broadcast_to(x, (k, *x.shape)).copy()
        mean = np.swapaxes(across @ white, 1, 2)  # of what is hidden, (K, n, m)
        filled[:, :, hidden] = means[:, None, hidden] + mean * sd[:, None, hidden]
        left = left * sd[:, hidden, None]
        spread = np.zeros((k, d, d))
        spread[np.ix_(np.arange(k), hidden, hidden)] = left @ np.swapaxes(left, 1, 2)
        log_left = 2.0 * np.log(np.diagonal(left, axis1=1, axis2=2)).sum(axis=1)
        entropy = 0.5 * (len(hidden) * (1.0 + log(2 * pi)) + log_left)
        return Completion(log_density, filled, spread, entropy)

    def _scatter(self, seen: Completion, resp: Array) -> Scatter:
        """The Gaussian family's sums of completed rows with responsibilities (K, n)."""
        counts = resp.sum(axis=1)
        safe = np.where(counts > 0, counts, 1.0)
        centre = seen.filled[:, :1]  # keeps the digits of means far from the origin
        means = centre[:, 0] + (resp[:, None] @ (seen.filled - centre))[:, 0] / safe[:, None]
        off = seen.filled - means[:, None]
        scatter = np.swapaxes(off * resp[:, :, None], 1, 2) @ off
        scatter = scatter + counts[:, None, None] * seen.spread
        if self.family.structure.is_diagonal:
            scatter = np.diagonal(scatter, axis1=1, axis2=2)
        return Scatter(counts, means, scatter, counts)

    def posterior(self, params: MixtureParameters, x: Array) -> tuple[Array, Array]:
        """Log density of what each row shows (n,), and p(component | that), (n, K)."""
        row_loglik, resp = np.empty(len(x)), np.empty((len(x), self.n_components))
        for which, gaps in patterns(x):
            log_density = self.complete(params, x[which], gaps).log_density
            row_loglik[which], turned = _bayes(log_density, params.weights)
            resp[which] = turned.T
        return row_loglik, resp

    def impute(self, params: MixtureParameters, X: Any) -> Array:
        """E[x | what is seen of x], (n, d): the rows with the mean of what is missing."""
        x = self.rows(X, columns=_names(np.empty((1, params.components.means.shape[1])))).x
        filled = np.array(x)
        for which, gaps in patterns(x):
            seen = self.complete(params, x[which], gaps)
            resp = _bayes(seen.log_density, params.weights)[1]
            filled[which] = np.where(gaps, np.einsum("kn,knd->nd", resp, seen.filled), x[which])
        return filled

    # ---- M

    def expected(self, statistics: MixtureSums, params: MixtureParameters) -> float:
        picking = float(xlogy(statistics.counts, params.weights).sum())
        return picking + self.family.expected(statistics.components, params.components)

    def m_step(self, statistics: MixtureSums, previous: MixtureParameters) -> MixtureParameters:
        components = self.family.m_step(statistics.components, previous.components)
        return MixtureParameters(statistics.counts / statistics.counts.sum(), components)

    def gradient(self, statistics: MixtureSums, params: MixtureParameters) -> Array:
        counts, weights = statistics.counts, params.weights
        share = np.divide(counts, weights, out=np.zeros_like(weights), where=weights > 0)
        within = self.family.gradient(statistics.components, params.components)
        return np.concatenate([Simplex().pullback(weights, share), within])

    def pieces(self, params: MixtureParameters, x: Array) -> Pieces:
        """Its components, at what each row shows."""
        k = self.n_components
        density, shares = np.empty((len(x), k)), np.empty((len(x), k))
        for which, gaps in patterns(x):
            log_density = self.complete(params, x[which], gaps).log_density
            density[which] = log_density.T
            shares[which] = _bayes(log_density, params.weights)[1].T
        freedom = self.family.freedom(params.components, k)
        return Pieces(density, shares, freedom, np.zeros(k, dtype=np.intp), np.arange(k))

    def columns_modelled(self, d: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return self.family.columns_modelled(d)

    def has_twins(self, params: MixtureParameters, rows: Any) -> bool:
        """Whether some components share the rows alike, or there is one only."""
        shares = self.posterior(params, rows.x)[1]
        return self.n_components == 1 or bool(alike(shares, rows.weights))

    def nudged(self, params: MixtureParameters, rows: Any, rng: np.random.Generator) -> Any:
        """The M-step on disturbed shares; of one component, on rows with random weights."""
        if self.n_components == 1:
            return super().nudged(params, rows, rng)
        shares = self.posterior(params, rows.x)[1]
        changed = parted(shares, filled(rows.x, rows.weights), rows.weights, rng)
        found = self.e_step(params, rows.x, rows.weights, changed)
        return self.m_step(found.statistics, params)

    # ---- starts, parameters and draws

    def starts(self, rows: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
        """Those of the mixture on rows whose gaps hold the means of the columns."""
        gaps = np.isnan(rows.x)
        counts = rows.weights @ ~gaps
        means = rows.weights @ np.where(gaps, 0.0, rows.x) / counts
        filled = np.where(gaps, means, rows.x)
        plain = as_rows(filled, supports=(), owner="", weights=rows.weights)
        for kind, resp in starts.portfolio(plain, self.n_components, rng, is_real=True):
            weighted = resp * rows.weights[:, None]
            try:
                components = self.family.m_step(self.family.accumulate(filled, weighted), None)
            except Degenerate as error:
                yield kind, error
                continue
            share = weighted.sum(axis=0)
            yield kind, frozen(MixtureParameters(share / share.sum(), components))

    def build(self, values: Mapping[str, Any]) -> MixtureParameters:
        """Parameters from ``{"weights": ..., "means": ..., "covariances": ...}``."""
        rest = {name: value for name, value in values.items() if name != "weights"}
        inner = rest["components"] if set(rest) == {"components"} else rest
        weights = np.array(values.get("weights", np.ones(1)), dtype=float)
        return frozen(MixtureParameters(weights, self.family.build(inner)))

    def problem(self, params: Any, d: int) -> str | None:
        return problem(params, {"K": self.n_components, "d": d})

    def uncertainty(self, params: MixtureParameters, x: Array, weights: Array) -> float:
        """-sum of log max_k p(component k | what is seen)."""
        return -float(np.log(self.posterior(params, x)[1].max(axis=1)) @ weights)

    def complete_log_likelihood(
        self, params: MixtureParameters, x: Array, z: NDArray[Any]
    ) -> float:
        """Sum of log p(what is seen, component), for one-hot z (n, K) or labels (n,)."""
        hot = starts.one_hot(z, self.n_components) if z.ndim == 1 else z
        row_loglik, resp = self.posterior(params, x)
        with np.errstate(divide="ignore"):
            return float((row_loglik + np.log(resp[hot == 1])).sum())

    def sample(
        self, params: MixtureParameters, n: int, rng: np.random.Generator
    ) -> tuple[Array, NDArray[Any]]:
        """n complete rows and their components."""
        labels = rng.choice(self.n_components, size=n, p=params.weights)
        return self.family.sample(params.components, labels, rng), labels


def patterns(x: Array) -> Iterator[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """For each set of columns that some rows hide: the numbers of those rows, and the mask (d,)."""
    gaps = np.isnan(x)
    key = np.packbits(gaps, axis=1)
    found, first, group = np.unique(
        np.ascontiguousarray(key).view(f"V{key.shape[1]}").ravel(),
        return_index=True,
        return_inverse=True,
    )
    order = np.argsort(group, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=len(found)))])
    for pattern, row in enumerate(first):
        yield order[bounds[pattern] : bounds[pattern + 1]], gaps[row]


def _bayes(log_density: Array, weights: Array) -> tuple[Array, Array]:
    """Log density of each row under the mixture (n,), and responsibilities (K, n)."""
    with np.errstate(divide="ignore"):
        joint = log_density + np.log(weights)[:, None]
    total = np.asarray(logsumexp(joint, axis=0))
    return total, np.exp(joint - total)


def _factors(correlations: Array) -> Array:
    """Lower Cholesky factors of K correlation matrices, (K, d, d).

    Raises `Degenerate` where of a column nothing is left, given those before it, but rounding.
    """
    try:
        factors = np.asarray(np.linalg.cholesky(correlations), dtype=float)
        lost = (np.diagonal(factors, axis1=1, axis2=2) ** 2 <= NOTHING).any(axis=1)
    except np.linalg.LinAlgError:
        least = np.linalg.eigvalsh(np.nan_to_num(correlations))[:, 0]
        factors, lost = correlations, least <= least.min()
    if lost.any():
        k = int(lost.argmax())
        raise Degenerate(f"the covariance of component {k} is singular to rounding", k)
    return factors


def _solved(factors: Array, right: Array) -> Array:
    """L^-1 b for K lower triangles and right sides, (K, o, n)."""
    pairs = zip(factors, right, strict=True)
    return np.stack([solve_triangular(one, b, lower=True, check_finite=False) for one, b in pairs])


def _corner(matrices: Array, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Array:
    return matrices[:, rows[:, None], columns]


def _names(x: Array) -> tuple[str, ...]:
    return tuple(f"x{j}" for j in range(x.shape[1]))


def _with_gaps(X: Any) -> tuple[Array, tuple[str, ...] | None]:
    """Values as float64 (n, d) with nan in the gaps, and column names where X has them."""
    if isinstance(X, Table):
        return np.array(X.X, dtype=float), X.columns
    names = tuple(map(str, X.columns)) if hasattr(X, "columns") else None
    if hasattr(X, "to_numpy"):
        x = np.asarray(X.to_numpy(dtype=float, na_value=np.nan))
    else:
        x = np.array(np.ma.filled(np.ma.asarray(X, dtype=None).astype(float), np.nan))
    return (x[:, None] if x.ndim == 1 else x), names
