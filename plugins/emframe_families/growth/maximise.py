"""The M-step of a linear mixed model: three steps, each to the top of Q in its own direction.

    beta    least squares with b integrated out: u moves with beta, which makes it generalised
            least squares under the variances that the E-step had (Liu and Rubin 1994)
    D       A, the regression of the residuals on Z u, lower triangular as L is;  S, the mean of
            u u';  D = A S A' (parameter expansion; Liu, Rubin and Wu 1998)
    sigma   the mean square of what A leaves

None lowers Q, and all come from the sums alone.  Directions of which the sums say nothing, as of a
slope where everybody was seen once, stay where they were.

One known case: without random effects beta is that of weighted least squares.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emframe import Array
from emframe.spaces import EPS
from emframe_families.growth.effects import EffectPoint
from emframe_families.growth.sums import GrowthSums, PersonMoments, lower_triangle

# Directions in which a scaled system bends by less than this share of the most are flat.
FLAT = 1e3 * EPS
LEAST = 0.1  # that a step leaves of a root's diagonal


def solved(matrix: Array, right: Array) -> Array:
    """The least solution of a positive semidefinite system, in units in which its diagonal is 1.

    Flat directions get 0.
    """
    diagonal = np.diagonal(matrix)
    unit = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    if not len(diagonal):
        return np.zeros(0)
    bends, directions = np.linalg.eigh(matrix / unit / unit[:, None])
    used = bends > FLAT * len(bends) * max(float(bends[-1]), 0.0)
    along = directions[:, used]
    return np.asarray(along @ ((along.T @ (right / unit)) / bends[used])) / unit


def best_coefficients(sums: GrowthSums, point: EffectPoint, slots: NDArray[np.intp]) -> Array:
    """beta (K, p).

    Parameters
    ----------
    slots : (K, p) which unknown each is: the same number where components share it, -1 where it
        is known and stays as it is.
    """
    k, q, _ = point.roots.shape
    turn = np.repeat(np.eye(q)[None], k, axis=0)
    d = np.concatenate([np.ones((k, 1)), sums.centre - point.coefficients], axis=1)
    bend = sums.quadratic(point.roots, turn, point.sigma)
    right = np.einsum("kij,kj->ki", bend, d)[:, 1:]
    size = int(slots.max(initial=-1)) + 1
    whole, pull = np.zeros((size, size)), np.zeros(size)
    for one in range(k):
        free = np.flatnonzero(slots[one] >= 0)
        at = slots[one, free]
        whole[np.ix_(at, at)] += bend[one, 1:, 1:][np.ix_(free, free)]
        pull[at] += right[one, free]
    step = np.append(solved(whole, pull), 0.0)  # slot -1 is the last, and has none
    return point.coefficients + step[slots]


def best_loadings(
    moments: PersonMoments, point: EffectPoint, scales: Array | None, diagonal: bool
) -> Array:
    """A (K, q, q), lower triangular: multiples of one, or each its own.

    It is a root of D as L is, so no entry of its diagonal changes sign.

    Parameters
    ----------
    scales : (K,) of each component's A, and L, in units of one for all; None where there is none.
    """
    found = point.roots.copy()
    q = found.shape[1]
    if q == 0:
        return found
    rows, columns = (np.arange(q),) * 2 if diagonal else lower_triangle(q)
    right = moments.turned(found)[:, rows, columns]
    bend = moments.whole[:, rows[:, None], rows, columns[:, None], columns]
    right, bend = right / (point.sigma**2)[:, None], bend / (point.sigma**2)[:, None, None]
    if scales is not None:
        right = np.einsum("k,ka->a", scales, right)[None]
        bend = np.einsum("k,kab->ab", scales**2, bend)[None]
        found = point.roots[[int(scales.argmax())]] / scales.max()
    step = np.zeros((len(right), q, q))
    for one in range(len(right)):
        step[one][rows, columns] = solved(bend[one], right[one])
        there = np.diagonal(found[one] + step[one])
        here = np.diagonal(found[one])
        over = there < LEAST * here
        if over.any():
            step[one] *= ((1.0 - LEAST) * here[over] / (here - there)[over]).min()
    found = found + step
    return found if scales is None else scales[:, None, None] * found


def spread_of(
    moments: PersonMoments, loading: Array, before: Array, shared: bool, diagonal: bool
) -> Array:
    """D (K, q, q) = A S A'; `before` for a component without people."""
    own, counts = moments.own, moments.counts
    if diagonal:  # A and B are then diagonal too
        own = own * np.eye(own.shape[1])
    if shared:
        own, counts = (np.broadcast_to(one.sum(axis=0), one.shape) for one in (own, counts))
    some = counts > 0
    mean = own / np.where(some, counts, 1.0)[:, None, None]
    spread = loading @ mean @ loading.swapaxes(1, 2)
    spread = 0.5 * (spread + spread.swapaxes(1, 2))
    return np.where(some[:, None, None], spread, before)


def best_sigma(moments: PersonMoments, loading: Array, before: Array, shared: bool) -> Array:
    """sigma (K,); `before` for a component without visits."""
    left, visits = moments.left(loading), moments.visits
    if shared:
        left, visits = (np.full(len(one), one.sum()) for one in (left, visits))
    some = visits > 0
    mean = np.maximum(left, 0.0) / np.where(some, visits, 1.0)
    return np.where(some, np.sqrt(mean), before)
