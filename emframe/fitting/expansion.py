"""A bound of D over a small box from its centre, to the third order of the size of the box.

For an exponential family and a centre c, with d = eta - eta_c and u_i = T_i - m_c,

    F(d)  =  sum_i a_i f_d(x_i)  =  exp(-K(d)) sum_i b_i exp(u_i . d),        b_i = a_i f_c(x_i)

where K is the divergence of d from c (see `emframe.families.axes`).  The sum is at most
``F_0 + g . d + d' H d / 2 + R`` with g and H its derivatives at c and R what is left of the series,
and K is at least ``q = sum_j v_j d_j^2 / 2``, v the least variances of T within the box.  So

    F  <=  F_0 + g . d + (d' H d / 2 - q F_0) + R + q |g . d| + q^2 / 2 (...)

Where F is flat, as it is around a maximum over all mixtures, g is small, H is about F_0 v, and what
is left is of third order: boxes can be far larger than for the bound from their corners.

One known case: for a normal mean with a single row at c itself g = H = 0, and F_0 is the bound.
"""

from __future__ import annotations

import numpy as np

from emframe.families import Curve
from emframe.spaces import Array


def bound_around(log_b: Array, curve: Curve, centres: Array, low: Array, high: Array) -> Array:
    """An upper bound of log F over each of m boxes, (m,); inf where there is none.

    Parameters
    ----------
    log_b : log of b_i at each centre, (n, m).
    centres, low, high : (m, p); a centre lies within its box.
    """
    with np.errstate(all="ignore"):  # what is not finite is no bound, and is told as that
        eta = curve.natural(centres)
        reach = np.maximum(curve.natural(high) - eta, eta - curve.natural(low))  # (m, p)
        b = np.exp(log_b).T  # (m, n)
        u = curve.statistics - centres[:, None, :]  # (m, n, p)
        total = b.sum(axis=1)
        weighted = b[:, :, None] * u
        slope = np.abs(weighted.sum(axis=1))  # (m, p)
        bend = np.swapaxes(weighted, 1, 2) @ u  # (m, p, p)
        far = (np.abs(u) @ reach[:, :, None])[:, :, 0]  # (m, n)
        rest = (b * far**3 * np.exp(far)).sum(axis=1) / 6.0

        variance = curve.least_variance(low, high)
        own = np.diagonal(bend, axis1=1, axis2=2)
        cross = np.abs(bend)
        np.einsum("mjj->mj", cross)[...] = 0.0
        along = (slope * reach).sum(axis=1)
        mixed = 0.5 * np.einsum("mj,mjk,mk->m", reach, cross, reach)
        excess = 0.5 * (np.maximum(own - total[:, None] * variance, 0.0) * reach**2).sum(axis=1)
        q = 0.5 * (variance * reach**2).sum(axis=1)
        square = mixed + 0.5 * (own * reach**2).sum(axis=1)
        bound = total + along + excess + mixed + rest + q * along
        bound += 0.5 * q**2 * (total + along + square + rest)
        found = np.log(bound)
    return np.where(np.isnan(found), np.inf, found)
