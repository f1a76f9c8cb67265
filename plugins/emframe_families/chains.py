"""Sums over all paths of a Markov chain, for many runs of different lengths at once.

    a_t(j) = [ sum_i a_{t-1}(i) A_ij ] b_t(j)          forwards
    u_t(i) = b_t(i) [ sum_j A_ij u_{t+1}(j) ]          backwards

(Baum et al. 1970; Rabiner 1989, Proc. IEEE 77, 257).  Only what a sum and a product are differs
between the three uses: real numbers, rescaled now and then; logarithms, where even rescaled
numbers underflow; and the maximum with +, which finds the likeliest path (Viterbi 1967).

Each step of a recursion is a few array operations on all runs that are that long.  Few runs would
leave such arrays small, so a long run is cut into chunks that go side by side: the product of a
chunk's matrices carries a vector across it, and tells every chunk where it begins.

One known case: when the rows of A are all equal, the steps are independent and a is a mixture's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emframe.spaces import Array

# Steps between rescalings: few enough that a product of so many factors hardly underflows.
_STRIDE = 4
# What a step costs however small its arrays, in numbers multiplied meanwhile.
_OVERHEAD = 3000


class Real:
    """Sums and products of real numbers.  States lead and chunks or rows follow in memory."""

    unit = 1.0
    times = staticmethod(np.multiply)

    @staticmethod
    def lift(logs: Array) -> Array:
        """From logarithms."""
        return np.asarray(np.exp(logs))

    @staticmethod
    def through(matrix: Array, x: Array) -> Array:
        """sum_i matrix_ij x_i, for x (..., K, C)."""
        return np.asarray(matrix.T @ x)

    @staticmethod
    def across(matrices: Array, x: Array) -> Array:
        """sum_i matrix_ij x_i with its own matrix for each column: (K, K, C), (K, C)."""
        return np.asarray((matrices * x[:, None, :]).sum(axis=0))

    @staticmethod
    def rescale(x: Array) -> Array:
        """Divide x (..., C) in place by the largest entry of each column; logs of those, (C,)."""
        scale = x.max(axis=tuple(range(x.ndim - 1)))
        x /= scale
        return np.asarray(np.log(scale))


class Logs:
    """The same on logarithms: slower, and without underflow."""

    unit = 0.0
    times = staticmethod(np.add)

    @staticmethod
    def lift(logs: Array) -> Array:
        return logs

    @staticmethod
    def total(terms: Array, axis: int) -> Array:
        """log of the sum over an axis."""
        highest = terms.max(axis=axis, keepdims=True)
        highest = np.where(np.isfinite(highest), highest, 0.0)
        with np.errstate(divide="ignore"):
            sums = np.log(np.exp(terms - highest).sum(axis=axis, keepdims=True)) + highest
        return np.asarray(sums.squeeze(axis))

    @classmethod
    def through(cls, matrix: Array, x: Array) -> Array:
        return cls.total(matrix[:, :, None] + x[..., :, None, :], -3)

    @classmethod
    def across(cls, matrices: Array, x: Array) -> Array:
        return cls.total(matrices + x[:, None, :], 0)

    @staticmethod
    def rescale(x: Array) -> Array:
        scale = x.max(axis=tuple(range(x.ndim - 1)))
        scale = np.where(np.isfinite(scale), scale, 0.0)
        x -= scale
        return scale


class Best(Logs):
    """The largest term in place of the sum."""

    @staticmethod
    def total(terms: Array, axis: int) -> Array:
        return np.asarray(terms.max(axis=axis))


Algebra = type[Real] | type[Logs]


@dataclass(frozen=True)
class Layout:
    """Chunks side by side, the longest first, so that those still running at a step lead.

    Rows in packed order stand step by step: first the first row of every chunk, then the second.
    """

    order: NDArray[np.intp]  # (n,) row at each packed place
    place: NDArray[np.intp]  # (n,) packed place of each row
    offsets: NDArray[np.intp]  # (L + 1,) where each step begins
    run: NDArray[np.intp]  # (C,) the run that the chunk is of
    is_last: NDArray[np.bool_]  # (C,) whether the chunk ends its run
    last: NDArray[np.intp]  # (C,) packed place of the chunk's last row
    links: tuple[tuple[NDArray[np.intp], NDArray[np.intp]], ...]  # chunks and the ones that follow

    @property
    def n_chunks(self) -> int:
        return len(self.run)

    def steps(self) -> list[tuple[int, int]]:
        """Bounds of each step in packed order."""
        bounds = self.offsets.tolist()
        return list(zip(bounds[:-1], bounds[1:], strict=True))


def layout(lengths: NDArray[np.intp], k: int) -> Layout:
    """How runs of these lengths are cut and packed for K states."""
    return _layout(lengths.tobytes(), k)


@lru_cache(maxsize=16)
def _layout(key: bytes, k: int) -> Layout:
    lengths = np.frombuffer(key, dtype=np.intp)
    longest = _chunk_length(lengths, k)
    pieces = -(-lengths // longest)  # of each run
    run = np.repeat(np.arange(len(lengths)), pieces)
    rank = np.arange(len(run)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    # Pieces of a run differ in length by one at most.
    size = lengths[run] // pieces[run] + (rank < lengths[run] % pieces[run])
    start = np.cumsum(size) - size
    by_size = np.argsort(-size, kind="stable")
    where = np.argsort(by_size)
    size, start = size[by_size], start[by_size]
    running = len(size) - np.searchsorted(np.sort(size), np.arange(size[0]), side="right")
    offsets = np.concatenate([[0], np.cumsum(running)])
    step = np.repeat(np.arange(len(running)), running)
    chunk = np.arange(offsets[-1]) - offsets[step]
    links = []
    for later in range(1, int(pieces.max())):
        (after,) = np.nonzero(rank == later)
        links.append((where[after - 1], where[after]))
    order = start[chunk] + step
    return Layout(
        order,
        np.argsort(order),
        offsets,
        run[by_size],
        (rank == pieces[run] - 1)[by_size],
        offsets[size - 1] + np.arange(len(size)),
        tuple(links),
    )


def _chunk_length(lengths: NDArray[np.intp], k: int) -> int:
    """The length of chunk that makes the least work: overhead of steps against matrix products."""
    longest, n = int(lengths.max()), int(lengths.sum())
    whole = 6 * longest * _OVERHEAD
    best = max(1, round(np.sqrt(longest)))
    cut = 8 * (best + longest / best) * _OVERHEAD + 2.0 * n * k**3
    return longest if whole <= cut else best


class Ends(NamedTuple):
    """What the chunks meet at their ends."""

    entry: Array  # (K, C)  a_{t-1} A before the first row; the initial probabilities of a run
    factor: Array  # (C,)  log of what the entry was divided by, from the beginning of the run
    exit: Array  # (K, C)  A u_{t+1} after the last row; ones at the end of a run


def ends(algebra: Algebra, space: Layout, initial: Array, matrix: Array, b: Array) -> Ends:
    """Where chunks begin and end, from the products of their matrices.

    Parameters
    ----------
    initial, matrix, b : initial probabilities (K,), A (K, K), and emissions in packed order
        (K, n), all as the algebra's numbers.
    """
    k, c = len(initial), space.n_chunks
    entry, factor = np.repeat(initial[:, None], c, axis=1), np.zeros(c)
    follows = np.full((k, c), algebra.unit)  # u in the first row of the chunk that follows
    if not space.links:
        return Ends(entry, factor, follows)
    product, scale = _products(algebra, space, matrix, b)
    turned = np.ascontiguousarray(np.swapaxes(product, 0, 1))
    for step, (before, after) in enumerate(space.links):
        x = algebra.across(product[:, :, before], entry[:, before])
        factor[after] = factor[before] + scale[before]
        if step % _STRIDE == _STRIDE - 1:
            factor[after] += algebra.rescale(x)
        entry[:, after] = x
    for step, (before, after) in enumerate(reversed(space.links)):
        x = algebra.across(turned[:, :, after], follows[:, after])
        if step % _STRIDE == _STRIDE - 1:
            algebra.rescale(x)
        follows[:, before] = x
    return Ends(entry, factor, algebra.through(matrix.T, follows))


def _products(algebra: Algebra, space: Layout, matrix: Array, b: Array) -> tuple[Array, Array]:
    """diag(b_1) A diag(b_2) A ... over the rows of each chunk, (K, K, C), and log factors (C,)."""
    k = len(matrix)
    product = np.empty((k, k, space.n_chunks))
    product[:] = algebra.lift(np.where(np.eye(k) > 0, 0.0, -np.inf))[:, :, None]
    scales = np.zeros(space.n_chunks)
    for step, (start, stop) in enumerate(space.steps()):
        now = product[:, :, : stop - start]
        now[...] = algebra.through(matrix, algebra.times(now, b[:, start:stop]))
        if step % _STRIDE == _STRIDE - 1:
            scales[: stop - start] += algebra.rescale(now)
    return product, scales + algebra.rescale(product)


def forwards(
    algebra: Algebra, space: Layout, entry: Array, matrix: Array, b: Array
) -> tuple[Array, Array]:
    """a in packed order (K, n), up to a factor for each row, and the log of each chunk's, (C,)."""
    a, scales, x = np.empty_like(b), np.zeros(space.n_chunks), entry
    for step, (start, stop) in enumerate(space.steps()):
        now = a[:, start:stop]
        algebra.times(x[:, : stop - start], b[:, start:stop], out=now)
        if step % _STRIDE == _STRIDE - 1:
            scales[: stop - start] += algebra.rescale(now)
        x = algebra.through(matrix, now)
    return a, scales


def backwards(algebra: Algebra, space: Layout, exit_: Array, matrix: Array, b: Array) -> Array:
    """u in packed order (K, n), up to a factor for each row."""
    u, turned = np.empty_like(b), np.ascontiguousarray(matrix.T)
    u[:, space.last] = algebra.times(b[:, space.last], exit_)
    after = u[:, :0]
    for step, (start, stop) in enumerate(reversed(space.steps())):
        here = slice(start, start + after.shape[1])
        algebra.times(b[:, here], algebra.through(turned, after), out=u[:, here])
        after = u[:, start:stop]
        if step % _STRIDE == _STRIDE - 1:
            algebra.rescale(after)
    return u
