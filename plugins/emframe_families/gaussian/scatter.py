"""What a Gaussian M-step needs of its rows: counts, means, and scatter about the means.

Two sets merge by the update of Chan, Golub and LeVeque (1983, Am. Statist. 37, 242), so nothing is
lost when the data lie far from the origin.

One known case: the scatter of two single rows a and b is (a - b)(a - b)' / 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dtrtri

from emframe.core import Degenerate
from emframe.spaces import EPS, Array, cholesky

# Smallest eigenvalue of a correlation matrix.  Q is computed from moments and loses digits in
# proportion to its inverse; below this it would hold fewer than six.
SINGULAR = 1e-10
# Columns from which on it pays to look which responsibilities are of any account.
MANY_COLUMNS = 16
# Triangles for each of their rows from which on all are inverted together.
ROW_BY_ROW = 4
# Numbers of whitened rows that are held at a time.
AT_ONCE = 1 << 20
# A responsibility this far below the component's largest is lost in every sum, were its row 1e8
# standard deviations off.
NEGLIGIBLE = EPS**2


@dataclass(frozen=True)
class Scatter:
    """Counts, means and scatter about them; they merge by `+`, and scale by `*`.

    `dof` is the count that divides the scatter.  It differs from `counts` only in the pseudo-data
    of a prior, which may know more of the covariance than of the mean.
    """

    counts: Array  # (K,)
    means: Array  # (K, d)
    scatter: Array  # (K, d, d); its diagonal alone, (K, d), for diag and spherical
    dof: Array  # (K,)

    def __add__(self, other: Scatter) -> Scatter:
        counts = self.counts + other.counts
        share = np.divide(other.counts, counts, out=np.zeros_like(counts), where=counts > 0)
        shift = other.means - self.means
        between = (self.counts * share)[:, None] * shift
        spread = (
            between * shift if self.scatter.ndim == 2 else between[:, :, None] * shift[:, None, :]
        )
        return Scatter(
            counts,
            self.means + share[:, None] * shift,
            self.scatter + other.scatter + spread,
            self.dof + other.dof,
        )

    def about(self, means: Array) -> Scatter:
        """The same rows, told by their scatter about other means (K, d)."""
        shift = self.means - means
        moved = self.counts[:, None] * shift
        spread = moved * shift if self.scatter.ndim == 2 else moved[:, :, None] * shift[:, None, :]
        return Scatter(self.counts, means, self.scatter + spread, self.dof)

    def __mul__(self, factor: float) -> Scatter:
        return Scatter(self.counts * factor, self.means, self.scatter * factor, self.dof * factor)

    def repeated(self, times: int) -> Scatter:
        """The same components so many times."""
        every = np.tile(np.arange(len(self.counts)), times)
        return self.taken(every)

    def taken(self, which: slice | NDArray[np.intp]) -> Scatter:
        """Some of the components."""
        return Scatter(self.counts[which], self.means[which], self.scatter[which], self.dof[which])


def diagonals(values: Array) -> Array:
    """Diagonal matrices (K, d, d) with these values (K, d)."""
    k, d = values.shape
    matrices = np.zeros((k, d * d))
    matrices[:, :: d + 1] = values
    return matrices.reshape(k, d, d)


def transposed(matrices: Array) -> Array:
    return matrices.swapaxes(-1, -2)


def whitening(covariances: Array) -> tuple[Array, Array]:
    """W with W Sigma W' = 1, (K, d, d), and log|Sigma|, (K,); of variances (K, d) its diagonal.

    Cholesky and the inverse of a triangle do not mind the columns' units; a general inverse does.
    """
    if covariances.ndim == 2:
        return 1.0 / np.sqrt(covariances), np.log(covariances).sum(axis=1)
    try:
        factor = cholesky(covariances)
    except np.linalg.LinAlgError as error:
        k = next((k for k, one in enumerate(covariances) if not _has_factor(one)), 0)
        raise Degenerate(f"the covariance of component {k} is singular to rounding", k) from error
    log_det = 2.0 * np.log(factor.diagonal(0, 1, 2)).sum(axis=1)
    return inverses(factor), log_det


def inverses(lower: Array) -> Array:
    """The inverse of each lower triangle (K, d, d), row after row where they are many and small."""
    k, d, _ = lower.shape
    if k < ROW_BY_ROW * d:
        return np.array([dtrtri(triangle, lower=1)[0] for triangle in lower])
    found = np.zeros(lower.shape)
    on = 1.0 / lower.diagonal(0, 1, 2)
    found[:, 0, 0] = on[:, 0]
    for j in range(1, d):
        found[:, j : j + 1, :j] = lower[:, j : j + 1, :j] @ found[:, :j, :j]
        found[:, j, :j] *= -on[:, j : j + 1]
        found[:, j, j] = on[:, j]
    return found


def distances(x: Array, means: Array, whiten: Array) -> Array:
    """(x_i - mu_k)' Sigma_k^-1 (x_i - mu_k), (K, n), from what `whitening` gives."""
    found, step = np.empty((len(means), len(x))), max(1, AT_ONCE // max(1, means.size))
    for first in range(0, len(x), step):
        part = slice(first, first + step)
        centred = x[part].T - means[:, :, None]  # (K, d, b)
        if whiten.ndim == 2:
            white = np.multiply(centred, whiten[:, :, None], out=centred)
        else:
            white = whiten @ centred
        np.square(white, out=white).sum(axis=1, out=found[:, part])
    return found


def smallest_correlations(matrices: Array) -> Array:
    """The smallest eigenvalue of each matrix (K, d, d), the columns' units taken out, (K,)."""
    sd = np.sqrt(matrices.diagonal(0, 1, 2))
    return np.asarray(np.linalg.eigvalsh(matrices / sd[:, :, None] / sd[:, None, :])[:, 0])


def least_determinant(matrices: Array, sd: Array) -> float:
    """The smallest determinant of matrices (K, d, d) with the columns' units `sd` taken out.

    0 where it is lost in rounding.
    """
    try:
        roots = cholesky(matrices).diagonal(0, 1, 2) / sd
    except np.linalg.LinAlgError:
        return 0.0
    return float(np.multiply.reduce(roots, axis=1).min() ** 2)


def pooled(statistics: Scatter) -> Array:
    """Covariance of all rows about their common mean, (d, d)."""
    total = statistics.counts.sum()
    off = statistics.means - statistics.counts @ statistics.means / total
    between = (off * statistics.counts[:, None]).T @ off
    within = statistics.scatter.sum(axis=0)
    return (between + (np.diag(within) if within.ndim == 1 else within)) / total


def own_rows(resp: Array, d: int) -> NDArray[np.bool_] | None:
    """Which rows count for a component, as a mask like `resp` (K, b); None where too many do.

    Where clusters are apart most rows count for one component alone, and sums of products of d
    columns need no others.
    """
    if d < MANY_COLUMNS:
        return None
    counting = resp > NEGLIGIBLE * resp.max(axis=-1, keepdims=True)
    return counting if 2 * np.count_nonzero(counting) < counting.size else None


def own_moments(vectors: Array, resp: Array, own: NDArray[np.bool_]) -> Array:
    """sum_i r_ik v_ik v_ik' over each component's own rows, (K, m, m).

    vectors : (N, m), one for each True of `own` (K, w), in its order; overwritten.
    """
    vectors *= np.sqrt(resp[own])[:, None]
    ends = np.cumsum(np.count_nonzero(own, axis=1))[:-1]
    return np.stack([v.T @ v for v in np.split(vectors, ends)])


def _has_factor(covariance: Array) -> bool:
    """Whether a covariance (d, d) has a Cholesky factor."""
    try:
        np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return False
    return True
