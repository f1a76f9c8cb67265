"""The Dirichlet density whose mean logarithms are given: Newton's method, vectorised.

    psi(a_j) - psi(a_1 + ... + a_m) = g_j,        g_j = mean of log p_j

maximises ``log Gamma(sum a) - sum log Gamma(a_j) + sum a_j g_j``, which is concave.  Its Hessian is
a diagonal and one number, so a step costs no more than the gradient (Minka 2000, "Estimating a
Dirichlet distribution").

One known case: with m = 2 it is the beta density.
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, gammaln, polygamma

from emframe.spaces import Array

STEPS, HALVINGS = 200, 40
LEAST_SHARE = 0.1  # of a value that one step leaves: it stays above 0
ROUNDING = 1e-13
CLOSE = 1e-9  # of a value: so short a step of Newton's leaves an error in its square


def spread_of(g: Array) -> Array:
    """-log sum exp(g), (...): 0 where all rows are one point, else above."""
    top = g.max(axis=-1, keepdims=True)
    return -(top[..., 0] + np.log(np.exp(g - top).sum(axis=-1)))


def concentrations(g: Array) -> Array:
    """a (..., m) from mean logarithms g (..., m), of which no spread is 0."""
    m = g.shape[-1]
    spread = spread_of(g)[..., None]
    # Near a point the total is (m - 1) / (2 spread); far from one each is about -1 / g.
    a = np.exp(g + spread) * (0.5 * (m - 1) / spread)
    a = np.maximum(a, np.minimum(-1.0 / g, 1.0) * 0.5)
    here = _height(a, g)
    for _ in range(STEPS):
        total = a.sum(axis=-1, keepdims=True)
        slope = digamma(total) - digamma(a) + g
        bend, common = -polygamma(1, a), polygamma(1, total)
        shift = (slope / bend).sum(axis=-1, keepdims=True)
        shift = shift / (1.0 / common + (1.0 / bend).sum(axis=-1, keepdims=True))
        step = (shift - slope) / bend
        # No value falls below a share of itself in one step.
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(step < 0.0, (LEAST_SHARE - 1.0) * a / step, np.inf)
        length = np.minimum(1.0, room.min(axis=-1, keepdims=True))
        for _ in range(HALVINGS):
            there = _height(a + length * step, g)
            fell = there < here - ROUNDING * (1.0 + np.abs(here))
            if not fell.any():
                break
            length = np.where(fell[..., None], 0.5 * length, length)
        a, here = a + length * step, there
        if (np.abs(step) <= CLOSE * a).all():
            break
    return a


def _height(a: Array, g: Array) -> Array:
    return np.asarray(gammaln(a.sum(axis=-1)) + (a * g - gammaln(a)).sum(axis=-1))
