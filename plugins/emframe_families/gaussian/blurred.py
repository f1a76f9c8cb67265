"""Normal rows as they were measured, with errors of known covariances; what is behind them.

    x = y + e,    e ~ N(0, R R'),    y ~ N(mu, Sigma)

    x ~ N(mu, T),  T = Sigma + R R',      y | x ~ N( x - R R' T^-1 (x - mu),  R C R' ),
    C = (1 + R' Sigma^-1 R)^-1

Neither loses digits where errors are small, nor where they are large.  Of a column that was not
measured at all y is normal about its regression on the y of the others.

One known case: without errors y is x.
"""

from __future__ import annotations

from math import log, pi

import numpy as np

from emframe.families import Blurred, Mask, groups
from emframe.spaces import Array
from emframe_families.gaussian.patterns import Hidden


def blurred(means: Array, covariances: Array, x: Array, roots: Array) -> Blurred:
    """Rows x (n, d), nan where nothing was measured, with roots R (n, d, d) of their errors.

    means, covariances : (K, d) and (K, d, d) of the components.
    """
    (n, d), k = x.shape, len(means)
    found = Blurred(np.zeros((n, k)), np.zeros((n, k, d)), np.zeros((n, k, d, d)))
    for rows, gaps in ((group.rows, group.gaps) for group in groups(x)):
        if not gaps.any():
            own = _shown(means, covariances, x[rows], roots[rows])
        else:
            own = _in_part(means, covariances, x[rows], roots[rows], gaps)
        for whole, part in zip(found, own, strict=True):
            whole[rows] = part
    return found


def _shown(means: Array, covariances: Array, x: Array, roots: Array) -> Blurred:
    """Of rows that show all columns."""
    d = x.shape[1]
    r = roots[:, None]  # (n, 1, d, d)
    noise = r @ r.swapaxes(2, 3)
    away = x[:, None, :] - means
    root = np.linalg.cholesky(covariances + noise)
    z = np.linalg.solve(root, away[..., None])
    log_det = 2.0 * np.log(np.diagonal(root, axis1=2, axis2=3)).sum(axis=2)
    density = -0.5 * (d * log(2 * pi) + log_det + (z[..., 0] ** 2).sum(axis=2))
    back = noise @ np.linalg.solve(root.swapaxes(2, 3), z)
    inner = np.eye(d) + r.swapaxes(2, 3) @ np.linalg.inv(covariances) @ r
    sizes, turned = np.linalg.eigh(0.5 * (inner + inner.swapaxes(2, 3)))
    spread = r @ (turned / np.sqrt(sizes)[:, :, None, :])
    return Blurred(density, x[:, None, :] - back[..., 0], spread)


def _in_part(means: Array, covariances: Array, x: Array, roots: Array, gaps: Mask) -> Blurred:
    """Of rows that all lack the same columns."""
    (n, d), k, o = x.shape, len(means), int((~gaps).sum())
    told = Hidden.of(means, covariances, gaps)
    own = Blurred(np.zeros((n, k)), np.zeros((n, k, 0)), np.zeros((n, k, 0, 0)))
    if o:
        upper: Array = np.linalg.qr(roots[:, ~gaps].swapaxes(1, 2), mode="r")  # type: ignore[assignment]
        shown = covariances[:, ~gaps][:, :, ~gaps]
        own = _shown(means[:, ~gaps], shown, x[:, ~gaps], upper.swapaxes(1, 2))
    whole, spread = np.zeros((n, k, d)), np.zeros((n, k, d, d))
    off = own.means - means[:, ~gaps]
    whole[:, :, ~gaps] = own.means
    whole[:, :, gaps] = means[:, gaps] + np.einsum("kmo,nko->nkm", told.slope, off)
    spread[:, :, ~gaps, :o] = own.roots
    spread[:, :, gaps, :o] = told.slope @ own.roots
    spread[:, :, gaps, o:] = np.linalg.cholesky(told.left)
    return Blurred(own.log_density, whole, spread)
