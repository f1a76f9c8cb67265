"""Axes that several symmetric matrices share as nearly as they can.

    minimise h(w) over rotations D,    w_kj = (D' W_k D)_jj

for a criterion h of the diagonals alone.  With h = sum_kj n_k log w_kj / 2 these are the common
principal components of Flury (1984, JASA 79, 892), where he and Gautschi turn two axes at a time.
Here all axes turn at once, by Newton's method: D (1 + S + S^2 / 2) with S' = -S changes w to second
order by

    2 (V S)_jj + (V S S)_jj - (S V S)_jj,    V = D' W D

A step is along the absolute curvature, so that it leaves a saddle, and is halved until h falls.

One known case: the axes of matrices that have their eigenvectors in common are those eigenvectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emframe.spaces import EPS, Array

STEPS = 60
# A step that promises less than this share of h is taken on trust, for h no longer tells; and it is
# the last.
CLOSE = 1e-12
STATIONARY = 1e-14  # a slope of this share of h is none
WIDEST = 0.5  # radians of a step
FLATTEST = 1e-9  # the least curvature that is told from none, as a share of the largest
# With more pairs of axes than this the curvature of each pair alone has to do.
MOST_PAIRS = 300


class Criterion(Protocol):
    """What the axes minimise, of diagonals w (K, d)."""

    def value(self, w: Array) -> float:
        """h(w)."""

    def slope(self, w: Array) -> Array:
        """Its gradient (K, d)."""

    def bend(self, w: Array, moves: Array) -> Array:
        """How the gradient changes along each of the moves, (K, d, m)."""


@dataclass(frozen=True)
class OwnVolumes:
    """Half the sum of n_k log w_kj: variances of each component's own (VVE)."""

    counts: Array  # (K,)

    def value(self, w: Array) -> float:
        return 0.5 * float(self.counts @ np.log(w).sum(axis=1))

    def slope(self, w: Array) -> Array:
        return np.asarray(0.5 * self.counts[:, None] / w)

    def bend(self, w: Array, moves: Array) -> Array:
        return np.asarray(-(self.slope(w) / w)[:, :, None] * moves)


@dataclass(frozen=True)
class EqualVolume:
    """n d / 2 times the log of the sum of geometric means of w_k: one volume for all (EVE)."""

    counts: Array  # (K,)

    def _shares(self, w: Array) -> tuple[float, Array]:
        level = np.log(w).mean(axis=1)
        size = np.exp(level - level.max())
        return float(level.max() + np.log(size.sum())), size / size.sum()

    def value(self, w: Array) -> float:
        return 0.5 * float(self.counts.sum()) * w.shape[1] * self._shares(w)[0]

    def slope(self, w: Array) -> Array:
        return np.asarray(0.5 * self.counts.sum() * self._shares(w)[1][:, None] / w)

    def bend(self, w: Array, moves: Array) -> Array:
        share = self._shares(w)[1]
        relative = moves / w[:, :, None]
        levels = relative.mean(axis=1)  # (K, m)
        shift = (levels - share @ levels)[:, None]
        return np.asarray(self.slope(w)[:, :, None] * (shift - relative))


@dataclass(frozen=True)
class Squares:
    """Minus half the sum of squares of w: the nearest matrices with common axes."""

    def value(self, w: Array) -> float:
        return -0.5 * float(np.vdot(w, w))

    def slope(self, w: Array) -> Array:
        return -w

    def bend(self, w: Array, moves: Array) -> Array:
        return -moves


def common_axes(matrices: Array, criterion: Criterion, start: Array | None = None) -> Array:
    """D (d, d), orthogonal: a local minimum of the criterion on symmetric matrices (K, d, d).

    Parameters
    ----------
    start : where to begin; None for the best of the matrices' own axes and those of their sum.
    """
    axes = _best_of_own(matrices, criterion) if start is None else start
    if len(axes) == 1:
        return axes
    turned = axes.T @ matrices @ axes
    here = criterion.value(turned.diagonal(0, 1, 2))
    for _ in range(STEPS):
        if not np.isfinite(here):
            break
        slope = _slope(turned, criterion)
        if np.abs(slope).max() <= STATIONARY * (1.0 + abs(here)):
            break
        step = _downhill(slope, _curvature(turned, criterion))
        gain = -0.5 * float(slope @ step)
        if not gain > 0.0:
            break
        is_last = gain <= CLOSE * (1.0 + abs(here))
        length = min(1.0, WIDEST / float(np.abs(step).max()))
        for _ in range(30):
            new = axes @ _rotation(_skew(length * step, len(axes)))
            there = new.T @ matrices @ new
            reached = criterion.value(there.diagonal(0, 1, 2))
            if is_last or reached < here:
                axes, turned, here = new, there, reached
                break
            length *= 0.5
        else:
            break
        if is_last:
            break
    return axes


@cache
def _pairs(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs i < j of axes, two arrays (m,)."""
    rows, columns = np.triu_indices(d, 1)
    return rows, columns


def _skew(turns: Array, d: int) -> Array:
    """The skew matrices (..., d, d) that turn i towards j by so much, for turns (..., m)."""
    rows, columns = _pairs(d)
    matrix = np.zeros((*turns.shape[:-1], d, d))
    matrix[..., rows, columns] = turns
    matrix[..., columns, rows] = -turns
    return matrix


def _best_of_own(matrices: Array, criterion: Criterion) -> Array:
    candidates = np.linalg.eigh(np.concatenate([matrices, matrices.sum(axis=0)[None]]))[1]
    diagonals = np.einsum("cij,kil,clj->ckj", candidates, matrices, candidates, optimize=True)
    return np.asarray(candidates[int(np.argmin([criterion.value(w) for w in diagonals]))])


def _slope(turned: Array, criterion: Criterion) -> Array:
    """Gradient along the turns of each pair, (m,)."""
    rows, columns = _pairs(turned.shape[-1])
    first = criterion.slope(turned.diagonal(0, 1, 2))
    along = turned[:, rows, columns] * (first[:, columns] - first[:, rows])
    return np.asarray(2.0 * along.sum(axis=0))


def _curvature(turned: Array, criterion: Criterion) -> Array:
    """Second derivatives (m, m), or of each pair alone (m,) where they are many."""
    d = turned.shape[-1]
    rows, columns = _pairs(d)
    m, w = len(rows), turned.diagonal(0, 1, 2)
    first, pairs = criterion.slope(w), np.arange(m)
    moves = np.zeros((*w.shape, m))  # of w, to first order
    moves[:, columns, pairs] = 2.0 * turned[:, rows, columns]
    moves[:, rows, pairs] = -2.0 * turned[:, rows, columns]
    bends = criterion.bend(w, moves)
    if m > MOST_PAIRS:
        apart = (first[:, rows] - first[:, columns]) * (w[:, columns] - w[:, rows])
        return np.asarray(2.0 * apart.sum(axis=0) + (moves * bends).sum(axis=(0, 1)))
    # The second-order change is - tr(U S V S) + tr(U V S S), with U the diagonal of `first`.
    weighed = first.T @ turned.reshape(len(w), -1)
    weighed = weighed.reshape(d, d, d)
    basis = _skew(np.eye(m), d)
    left = np.einsum("abc,pab->pac", weighed, basis) - np.einsum("aab->ab", weighed) @ basis
    second = left.reshape(m, -1) @ basis.reshape(m, -1).T
    bent = moves.reshape(-1, m).T @ bends.reshape(-1, m)
    return np.asarray(second + second.T + 0.5 * (bent + bent.T))


def _downhill(slope: Array, curvature: Array) -> Array:
    """Newton's step by the absolute curvature; what has no curvature to speak of turns little."""
    if curvature.ndim == 1:
        size = np.abs(curvature)
        return np.asarray(-slope / np.maximum(size, max(FLATTEST * size.max(), EPS**4)))
    values, vectors = np.linalg.eigh(curvature)
    size = np.abs(values)
    size = np.maximum(size, max(FLATTEST * size.max(), EPS**4))
    return np.asarray(-vectors @ ((vectors.T @ slope) / size))


def _rotation(skew: Array) -> Array:
    """The rotation (1 - S / 2)^-1 (1 + S / 2), which is exp(S) to second order (Cayley)."""
    one = np.eye(len(skew))
    return np.asarray(np.linalg.solve(one - 0.5 * skew, one + 0.5 * skew), dtype=float)
