"""Gaussian components whose squares are expanded about the centre of the data.

    quadratic   log f(x) = T(x) . eta,   T(x) = (x_i x_j for i <= j, x, 1),
                eta = (-1/2 L_ii, -L_ij, L mu, constant),   L = Sigma^-1

so E and M are one matrix product each, as of any exponential family.  Rows are centred and scaled
first.  Yet where a component is small against its distance from the centre digits cancel;
`digits_at_risk` bounds how many, and `resolved` looks again when the sums are there.

    linear      where all components share Sigma, x' L x is a term of the row alone: it leaves the
                responsibilities, and its sum over rows is known from the total scatter.

One known case: components at the centre of the data with the data's own spread lose nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emframe.core import Degenerate
from emframe.families import Concluded, TiledProducts
from emframe.spaces import Array
from emframe_families.gaussian.scatter import Scatter, least_determinant, transposed, whitening

# After an M-step the new components may be smaller; beyond this half of all digits are gone, and
# the pass is made again in the direct form.
MOST_AFTER = 1e8
# Standard deviations between this and its inverse have squares, and squares of squares, in range.
SMALL_UNIT = 1e-30
TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Frame:
    """Where the rows are centred and how they are scaled before they are squared."""

    centre: Array  # (d,)
    scale: Array  # (d,)

    @classmethod
    def of(cls, whole: Scatter) -> Frame:
        """About the mean of all rows, in their standard deviations.

        Digits are lost alike in any units; scaling keeps squares in the range of floating point,
        and where they are far within it the rows are left in their own units.
        """
        scatter = whole.scatter[0]
        variances = (scatter if scatter.ndim == 1 else np.diagonal(scatter)) / whole.counts[0]
        scale = np.sqrt(np.where(variances > 0, variances, 1.0))
        if scale.min() > SMALL_UNIT and scale.max() < 1 / SMALL_UNIT:
            scale = np.ones_like(scale)
        return cls(whole.means[0], scale)


def digits_at_risk(means: Array, whiten: Array, variances: Array) -> float:
    """The largest sum of absolute terms of a component's expanded square, per column.

    For rows within a standard deviation of its mean, where the square itself is about 1: times
    the rounding unit it bounds the error of a log density, and the relative error of a variance.

    means : (K, d) from the centre of the expansion.
    whiten : (K, d, d) or (K, d); variances : (K, d), of the columns.
    """
    if whiten.ndim == 2:
        return float((1.0 + np.abs(means * whiten)).max(initial=0.0) ** 2)
    precision = np.abs(transposed(whiten) @ whiten)
    reach = np.abs(means) + np.sqrt(variances)
    terms = reach * (precision @ reach[:, :, None])[:, :, 0]
    return float(terms.sum(axis=1).max()) / means.shape[1]


@dataclass(frozen=True)
class ColumnSquares:
    """Products of centred, scaled columns and the columns themselves: T but its last, 1."""

    frame: Frame
    diagonal: bool  # squares alone, and no products of two columns

    def __call__(self, x: Array, out: Array) -> None:
        d = x.shape[1]
        u = centred(x, self.frame, out=out[:, -d:])
        if self.diagonal:
            np.square(u, out=out[:, :d])
            return
        first = 0
        for j in range(d):
            np.multiply(u[:, j : j + 1], u[:, j:], out=out[:, first : first + d - j])
            first += d - j


@dataclass(frozen=True)
class SquaresConclusion:
    """What a pass found, from sums (K, P) of such statistics and 1."""

    frame: Frame
    diagonal: bool

    def __call__(self, sums: Array) -> Concluded | None:
        d = len(self.frame.centre)
        counts, first, second = sums[:, -1], sums[:, -1 - d : -1], sums[:, : -1 - d]
        if not self.diagonal:
            rows, columns = np.triu_indices(d)
            products, second = second, np.empty((len(counts), d, d))
            second[:, rows, columns] = second[:, columns, rows] = products
        return resolved(counts, first, second, self.frame)


def quadratic(
    means: Array, whiten: Array, constant: Array, frame: Frame, _: Scatter
) -> TiledProducts:
    """Squares and products of centred, scaled columns; their expectation is the M-step."""
    d, diagonal = means.shape[1], whiten.ndim == 2
    mu = (means - frame.centre) / frame.scale
    root = whiten * frame.scale
    if diagonal:
        slope, square = root**2 * mu, -0.5 * root**2
    else:
        rows, columns = np.triu_indices(d)
        precision = transposed(root) @ root
        slope = (precision @ mu[:, :, None])[:, :, 0]
        square = -precision[:, rows, columns]
        square[:, rows == columns] *= 0.5
    rest = constant - 0.5 * (slope * mu).sum(axis=1)
    natural = np.concatenate([square, slope, rest[:, None]], axis=1)
    conclude = SquaresConclusion(frame, diagonal)
    return TiledProducts("quadratic", natural, ColumnSquares(frame, diagonal), conclude)


@dataclass(frozen=True)
class Centred:
    """The columns, centred and scaled: T but its last, 1."""

    frame: Frame

    def __call__(self, x: Array, out: Array) -> None:
        centred(x, self.frame, out=out)


@dataclass(frozen=True)
class PooledConclusion:
    """What a pass found, from sums (K, d + 1) of the columns and 1, where all share Sigma.

    What the total scatter has beyond the means' own is the scatter within components.
    """

    frame: Frame
    total: Array  # (d, d) or (d,): scatter of all rows about the centre
    row_terms: float  # sum over rows of -1/2 x' L x

    def __call__(self, sums: Array) -> Concluded | None:
        counts, first, total = sums[:, -1], sums[:, :-1], self.total
        mean = per_count(first, counts)
        within = total - (first.T @ mean if total.ndim == 2 else (first * mean).sum(axis=0))
        if not _keeps_digits(np.abs(mean).max(axis=0)[None], within[None] / counts.sum()):
            return None
        # Only the sum over components is of use.
        k = len(counts)
        scatter = np.broadcast_to(within / k, (k, *within.shape))
        return Concluded(_in_units(counts, mean, scatter, self.frame), counts, self.row_terms)


def linear(
    means: Array, whiten: Array, constant: Array, frame: Frame, whole: Scatter
) -> TiledProducts:
    """A shared covariance: only x' L mu tells the components apart."""
    mu = (means - frame.centre) / frame.scale
    root = whiten[0] * frame.scale
    if root.ndim == 1:
        total = whole.scatter[0] / frame.scale / frame.scale  # about the centre
        slope, square = mu * root**2, root**2 @ total
    else:
        total = whole.scatter[0] / frame.scale[:, None] / frame.scale
        slope, square = mu @ (root.T @ root), ((root @ total) * root).sum()
    rest = constant - 0.5 * (slope * mu).sum(axis=1)
    conclude = PooledConclusion(frame, total, -0.5 * float(square))
    return TiledProducts("linear", np.column_stack([slope, rest]), Centred(frame), conclude)


def resolved(counts: Array, first: Array, second: Array, frame: Frame) -> Concluded | None:
    """Scatter from moments about the frame's centre; None where they no longer resolve it.

    counts : (K,); first : (K, d) sums; second : (K, d, d) sums of products, or (K, d) of squares.
    """
    mean = per_count(first, counts)
    across = first * mean if second.ndim == 2 else first[:, :, None] * mean[:, None, :]
    scatter = second - across
    some = counts > TINY
    if not _keeps_digits(mean[some], (scatter[some].T / counts[some]).T):
        return None
    return Concluded(_in_units(counts, mean, scatter, frame), counts)


def centred(x: Array, frame: Frame, out: Array) -> Array:
    """Rows x (..., d, w) in the frame."""
    np.subtract(x, frame.centre[:, None], out=out)
    if (frame.scale != 1.0).any():
        out /= frame.scale[:, None]
    return out


def per_count(sums: Array, counts: Array) -> Array:
    """Means from sums; 0 where there is nothing to average."""
    some = counts > TINY
    if some.all():
        return sums / counts[:, None]
    return np.divide(sums, counts[:, None], out=np.zeros(sums.shape), where=some[:, None])


def _keeps_digits(means: Array, covariances: Array) -> bool:
    """Whether components with these sums behind them were still resolved by an expansion.

    means : (K, d) in the frame.
    covariances : (K, d, d), or variances (K, d).
    """
    diagonal = covariances.ndim == 2
    variances = covariances if diagonal else covariances.diagonal(0, 1, 2)
    if not (variances > 0).all():
        return False
    if not diagonal and _surely(means, covariances, np.sqrt(variances)):
        return True
    try:
        whiten = 1 / np.sqrt(variances) if diagonal else whitening(covariances)[0]
    except Degenerate:
        return False
    return digits_at_risk(means, whiten, variances) <= MOST_AFTER


def _surely(means: Array, covariances: Array, sd: Array) -> bool:
    """Whether that follows from determinants alone, which cost less than precisions.

    With R a correlation matrix the eigenvalues but the least multiply to less than e, for they sum
    to d at most, so that |R^-1| in absolute terms stretches no vector by more than sqrt(d) e / det.
    """
    d = means.shape[1]
    reach = 1.0 + np.abs(means) / sd
    terms = float(np.einsum("kd,kd->k", reach, reach).max(initial=0.0)) / d
    return terms * np.e * np.sqrt(d) <= MOST_AFTER * least_determinant(covariances, sd)


def _in_units(counts: Array, mean: Array, scatter: Array, frame: Frame) -> Scatter:
    """Counts, means and scatter, from the frame back to the data's own units."""
    scale = frame.scale
    units = scale * scale if scatter.ndim == 2 else scale[:, None] * scale
    return Scatter(counts, frame.centre + scale * mean, scatter * units, counts)
