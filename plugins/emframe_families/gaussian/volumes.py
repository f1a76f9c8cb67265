"""Covariances of one shape with volumes of their own, and of shapes of their own with one volume.

Both minimise, over Sigma_k of the structure,

    1/2 sum_k [ n_k log|Sigma_k| + tr(W_k Sigma_k^-1) ]

for scatters W_k, as matrices or as their diagonals alone (Celeux and Govaert 1995, Pattern
Recognition 28, 781).

    own volumes    Sigma_k = lambda_k C.  With tau_k = -log lambda_k the best C is M / n,
                   M = sum_k exp(tau_k) W_k, and what is left is convex in tau:

                       1/2 [ n log|M| - d sum_k n_k tau_k ]

                   They alternate between lambda and C; here Newton's method goes to the minimum.
    equal volume   Sigma_k = lambda W_k / |W_k|^(1/d),  lambda = sum_k |W_k|^(1/d) / n

One known case: scatters that are multiples of one matrix have the covariances W_k / n_k either way.
"""

from __future__ import annotations

import numpy as np

from emframe.core import Degenerate
from emframe.spaces import Array
from emframe_families.gaussian.scatter import transposed

STEPS, HALVINGS = 100, 30
# A step that promises less than this share of the count is the last: Newton's next is rounding.
CLOSE = 1e-11
STATIONARY = 1e-5  # the slope that is left there, as a share of the count, unless there is no end
WIDEST = 5.0  # of a step in log volume


def own_volumes(scatter: Array, counts: Array) -> Array:
    """Sigma_k = lambda_k C, of the form of `scatter`: (K, d, d), or diagonals (K, d)."""
    k, d, total = len(counts), scatter.shape[1], counts.sum()
    _, share = _shared(scatter, np.zeros(k))
    tau = np.log(counts) - np.log(_sizes(share))
    log_det, share = _shared(scatter, tau)
    for _ in range(STEPS):
        value = total * log_det - d * float(counts @ tau)
        traces, flat = _sizes(share), share.reshape(k, -1)
        slope = total * traces - d * counts
        unit = np.sqrt(traces)  # small components bend little: each is measured by its own share
        # All volumes together are C's to give: along that direction nothing bends.
        bend = np.eye(k) - flat @ flat.T / np.outer(unit, unit) + np.outer(unit, unit) / d
        try:
            step = np.linalg.solve(bend, -slope / unit) / unit / total
        except np.linalg.LinAlgError:
            break
        is_last = not -slope @ step > CLOSE * total
        step /= max(1.0, float(np.abs(step).max()) / WIDEST)
        for _ in range(HALVINGS):
            there = _shared(scatter, tau + step)
            reached = total * there[0] - d * float(counts @ (tau + step))
            if is_last or reached < value:
                break
            step *= 0.5
        tau, (log_det, share) = tau + step, there
        if is_last:
            break
    if not np.abs(total * _trace(share) - d * counts).max() <= STATIONARY * total:
        raise Degenerate(
            "the shape that components share collapses: some of them hold too few rows, or rows "
            "in a plane"
        )
    lengths = (-1,) + (1,) * (scatter.ndim - 1)
    weighed = np.exp(tau - tau.mean()).reshape(lengths) * scatter
    return np.asarray(weighed.sum(axis=0) / total * np.exp(tau.mean() - tau).reshape(lengths))


def equal_volume(scatter: Array, counts: Array) -> Array:
    """Sigma_k of one determinant, of the form of `scatter`: (K, d, d), or diagonals (K, d)."""
    d = scatter.shape[1]
    with np.errstate(divide="ignore"):
        log_det = np.log(scatter).sum(axis=1) if scatter.ndim == 2 else log_determinants(scatter)
    if not np.isfinite(log_det).all():
        one = int(np.isfinite(log_det).argmin())
        raise Degenerate(f"component {one} is singular: its rows are too few, or in a plane", one)
    size = log_det / d
    level = size.max()
    size = np.exp(size - level) / np.exp(size - level).sum() * counts.sum()
    return np.asarray(scatter / size.reshape((-1,) + (1,) * (scatter.ndim - 1)))


def log_determinants(matrices: Array) -> Array:
    """log|W_k|, (K,), -inf where it is none; with the columns' units taken out first."""
    variances = matrices.diagonal(0, 1, 2)
    sd = np.sqrt(np.where(variances > 0, variances, 1.0))
    sign, rest = np.linalg.slogdet(matrices / sd[:, :, None] / sd[:, None, :])
    return np.asarray(np.where(sign > 0, rest + 2.0 * np.log(sd).sum(axis=1), -np.inf))


def _shared(scatter: Array, tau: Array) -> tuple[float, Array]:
    """log|M| and each component's share of M, whitened by it, so that the shares sum to 1."""
    level = tau.max()
    weight = np.exp(tau - level)
    d = scatter.shape[1]
    if scatter.ndim == 2:
        weighed = weight[:, None] * scatter
        whole = weighed.sum(axis=0)
        if not (whole > 0).all():
            raise Degenerate("the shared shape is singular: the rows lie in planes")
        return d * level + float(np.log(whole).sum()), weighed / whole
    weighed = weight[:, None, None] * scatter
    whole = weighed.sum(axis=0)
    sd = np.sqrt(whole.diagonal())
    try:
        factor = np.linalg.cholesky(whole / sd / sd[:, None])
    except np.linalg.LinAlgError as error:
        raise Degenerate("the shared shape is singular: the rows lie in planes") from error
    half = np.linalg.solve(factor, weighed / sd / sd[:, None])
    share = np.asarray(np.linalg.solve(factor, transposed(half)), dtype=float)
    return d * level + 2.0 * float(np.log(factor.diagonal() * sd).sum()), share


def _sizes(share: Array) -> Array:
    """The traces of the shares; of a scatter that is 0, or all rounding, it need not be above 0."""
    traces = _trace(share)
    if not (traces > 0).all():
        one = int((traces > 0).argmin())
        raise Degenerate(f"component {one} has no spread: it sits on a point", one)
    return traces


def _trace(matrices: Array) -> Array:
    if matrices.ndim == 2:
        return np.asarray(matrices.sum(axis=1))
    return np.asarray(np.einsum("kjj->k", matrices))
