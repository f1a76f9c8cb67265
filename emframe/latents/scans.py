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
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emframe.data.runs import Sequences
from emframe.spaces import Array

# Steps between rescalings: few enough that a product of so many factors hardly underflows.
_STRIDE = 4
# What a step costs however small its arrays, in numbers multiplied meanwhile.
_OVERHEAD = 3000
_CACHE = 1 << 16  # numbers that a core's cache has room for
_SIDE_BY_SIDE = 64  # steps of a list that take as long as one of arrays
_PER_PRODUCT = 8  # times that a matrix product is faster, number by number, than a single one


class RealSums:
    """Sums and products of real numbers.  States lead and chunks or rows follow in memory."""

    unit = 1.0
    times: ClassVar[Any] = staticmethod(np.multiply)

    @staticmethod
    def lift(logs: Array) -> Array:
        """From logarithms."""
        return np.asarray(np.exp(logs))

    @staticmethod
    def through(matrix: Array, x: Array, out: Array | None = None) -> Array:
        """sum_i matrix_ij x_i, for x (..., K, C)."""
        return np.asarray(np.matmul(matrix.T, x, out=out))

    @staticmethod
    def across(matrices: Array, x: Array) -> Array:
        """sum_i matrix_ij x_i with its own matrix for each column: (K, K, C), (K, C)."""
        return np.asarray((matrices * x[:, None, :]).sum(axis=0))

    @staticmethod
    def joined(first: Array, second: Array) -> Array:
        """The product of two matrices in each column, (K, K, C)."""
        return np.asarray(np.einsum("ijc,jkc->ikc", first, second))

    @staticmethod
    def rescale(x: Array) -> Array:
        """Divide x (..., C) in place by the largest entry of each column; logs of those, (C,)."""
        scale = x.max(axis=tuple(range(x.ndim - 1)))
        x /= scale
        return np.asarray(np.log(scale))


class Logs:
    """The same on logarithms: slower, and without underflow."""

    unit = 0.0
    times: ClassVar[Any] = staticmethod(np.add)

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
    def through(cls, matrix: Array, x: Array, out: Array | None = None) -> Array:
        sums = cls.total(matrix[:, :, None] + x[..., :, None, :], -3)
        if out is not None:
            out[...] = sums
        return sums

    @classmethod
    def across(cls, matrices: Array, x: Array) -> Array:
        return cls.total(matrices + x[:, None, :], 0)

    @classmethod
    def joined(cls, first: Array, second: Array) -> Array:
        return cls.total(first[:, :, None, :] + second[None, :, :, :], 1)

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


Algebra = type[RealSums] | type[Logs]


@dataclass(frozen=True)
class Layout:
    """Chunks side by side, the longest first, so that those still running at a step lead.

    Rows in packed order stand step by step: first the first row of every chunk, then the second.
    """

    order: NDArray[np.intp]  # (n,) row at each packed place
    place: NDArray[np.intp]  # (n,) packed place of each row
    following: NDArray[np.intp]  # (n,) packed place of the row after each; of none, the first
    offsets: NDArray[np.intp]  # (L + 1,) where each step begins
    run: NDArray[np.intp]  # (C,) the run that the chunk is of
    last: NDArray[np.intp]  # (C,) packed place of the chunk's last row
    turn: NDArray[np.intp]  # (C,) the chunks in the order of their rows
    is_last: NDArray[np.bool_]  # (C,) whether the chunk ends its run, in that order

    @classmethod
    def whole(cls, lengths: NDArray[np.intp]) -> Layout:
        """Every run in one piece, for recursions that are no products of matrices."""
        return _layout(lengths.tobytes(), 0)

    def steps(self) -> list[tuple[int, int]]:
        """Bounds of each step in packed order."""
        return list(pairwise(self.offsets.tolist()))


def layout(lengths: NDArray[np.intp], k: int) -> Layout:
    """How runs of these lengths are cut and packed for K states."""
    return _layout(lengths.tobytes(), k)


@lru_cache(maxsize=16)
def _layout(key: bytes, k: int) -> Layout:
    lengths = np.frombuffer(key, dtype=np.intp)
    pieces = -(-lengths // _chunk_length(lengths, k))  # of each run
    run = np.repeat(np.arange(len(lengths)), pieces)
    rank = np.arange(len(run)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    # Pieces of a run differ in length by one at most.
    size = lengths[run] // pieces[run] + (rank < lengths[run] % pieces[run])
    start = np.cumsum(size) - size
    by_size = np.argsort(-size, kind="stable")
    size, start = size[by_size], start[by_size]
    running = len(size) - np.searchsorted(np.sort(size), np.arange(size[0]), side="right")
    offsets = np.concatenate([[0], np.cumsum(running)])
    step = np.repeat(np.arange(len(running)), running)
    order = start[np.arange(offsets[-1]) - offsets[step]] + step
    place = np.argsort(order)
    return Layout(
        order,
        place,
        np.append(place[1:], 0),
        offsets,
        run[by_size],
        offsets[size - 1] + np.arange(len(size)),
        np.argsort(by_size),
        rank == pieces[run] - 1,
    )


def _chunk_length(lengths: NDArray[np.intp], k: int) -> int:
    """The longest chunk: all of a run, or a short one where cutting saves more than it costs.

    Chunks are few enough for the products of their matrices to stay in a core's cache.  With k = 0
    nothing is cut.
    """
    if k == 0:
        return int(lengths.max())
    longest, n = int(lengths.max()), int(lengths.sum())
    short = max(min(64, round(np.sqrt(longest / 8))), n * k * k // _CACHE, 1)
    whole = 2.0 * longest * _OVERHEAD
    cut = (3.0 * short + 8.0 * np.log2(n)) * _OVERHEAD + n * float(k) ** 3 / _PER_PRODUCT
    return longest if whole <= cut else short


class ChainEnds(NamedTuple):
    """What the chunks meet at their ends, up to a factor for each chunk."""

    entry: Array  # (K, C)  a_{t-1} A before the first row; the initial probabilities of a run
    exit: Array  # (K, C)  A u_{t+1} after the last row; ones at the end of a run


def ends(algebra: Algebra, space: Layout, initial: Array, matrix: Array, b: Array) -> ChainEnds:
    """Where chunks begin and end, from the products of their matrices.

    Parameters
    ----------
    initial, matrix, b : initial probabilities (K,), A (K, K), and emissions in packed order
        (K, n), all as the algebra's numbers.
    """
    k, c = len(initial), len(space.run)
    entry, follows = np.repeat(initial[:, None], c, axis=1), np.full((k, c), algebra.unit)
    if not space.is_last.all():
        product = _products(algebra, space, matrix, b)[:, :, space.turn]
        # A run that ends forgets: whatever came in, the initial probabilities go on.
        done = product[:, :, space.is_last]
        sums = algebra.across(np.swapaxes(done, 0, 1), np.full(done.shape[1:], algebra.unit))
        product[:, :, space.is_last] = algebra.times(sums[:, None, :], initial[None, :, None])
        entering, begun = scan(algebra, product, entry[:, :1], follows[:, :1])
        entry[:, space.turn] = entering
        ongoing = ~space.is_last[:-1]
        follows[:, space.turn[:-1][ongoing]] = begun[:, 1:][:, ongoing]
    return ChainEnds(entry, algebra.through(matrix.T, follows))


def _products(algebra: Algebra, space: Layout, matrix: Array, b: Array) -> Array:
    """diag(b_1) A diag(b_2) A ... over the rows of each chunk, (K, K, C), up to factors."""
    k = len(matrix)
    product = np.empty((k, k, len(space.run)))
    product[:] = algebra.lift(np.where(np.eye(k) > 0, 0.0, -np.inf))[:, :, None]
    spare = np.empty_like(product)
    for step, (start, stop) in enumerate(space.steps()):
        now, half = product[:, :, : stop - start], spare[:, :, : stop - start]
        algebra.through(matrix, algebra.times(now, b[:, start:stop], out=half), out=now)
        if step % _STRIDE == _STRIDE - 1:
            algebra.rescale(now)
    algebra.rescale(product)
    return product


def scan(algebra: Algebra, m: Array, begin: Array, end: Array) -> tuple[Array, Array]:
    """``begin m_0 ... m_{c-1}`` and ``m_c ... m_{C-1} end`` for each c, (K, C), up to factors.

    By halving: the products of neighbours are a chain half as long, whose answers are every other
    one of these (Blelloch 1990).
    """
    before, after = np.empty(m.shape[1:]), np.empty(m.shape[1:])
    turned = np.swapaxes(m, 0, 1)
    if m.shape[2] == 1:
        return begin, algebra.across(turned, end)
    pairs = algebra.joined(m[:, :, :-1:2], m[:, :, 1::2])
    algebra.rescale(pairs)
    odd = pairs.shape[2]
    before[:, ::2], after[:, ::2] = scan(
        algebra, np.concatenate([pairs, m[:, :, 2 * odd :]], axis=2), begin, end
    )
    before[:, 1::2] = algebra.across(m[:, :, :-1:2], before[:, :-1:2])
    later = np.concatenate([after[:, 2::2], end], axis=1)[:, :odd]
    after[:, 1::2] = algebra.across(turned[:, :, 1::2], later)
    algebra.rescale(before)
    algebra.rescale(after)
    return before, after


def forwards(
    algebra: Algebra, space: Layout, entry: Array, matrix: Array, b: Array
) -> tuple[Array, Array]:
    """a in packed order (K, n), up to a factor for each row, and the log of each chunk's, (C,)."""
    a, scales, x = np.empty_like(b), np.zeros(len(space.run)), entry
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


def picked(odds: Array, draws: Array) -> NDArray[np.intp]:
    """A state of each row, (n,), from log odds (K, n) and draws from the unit interval, (n,)."""
    highest = odds.max(axis=0)
    below = np.cumsum(np.exp(odds - np.where(np.isfinite(highest), highest, 0.0)), axis=0)
    return np.asarray((draws * below[-1] >= below[:-1]).sum(axis=0))


def traced(runs: Sequences, last: NDArray[np.intp], back: NDArray[np.intp]) -> NDArray[np.intp]:
    """A path of each run from its end, end to end, (n,).

    Many runs go side by side, from step to step; of a few, each goes row by row.

    Parameters
    ----------
    last : (n,) the state of each row, were it the last of its run.
    back : (n, K) the state of each row, by that of the row which follows it.
    """
    if len(runs) * _SIDE_BY_SIDE > len(runs.x):
        path = np.array(last, dtype=np.intp)
        space, inner = Layout.whole(runs.lengths), np.ones(len(path), dtype=bool)
        inner[runs.lasts] = False
        for start, stop in reversed(space.steps()):
            rows = space.order[start:stop]
            rows = rows[inner[rows]]
            path[rows] = back[rows, path[rows + 1]]
        return path
    states, table = last.tolist(), back.tolist()
    for first, end in zip(runs.firsts.tolist(), runs.lasts.tolist(), strict=True):
        state = states[end]
        for row in range(end - 1, first - 1, -1):
            state = states[row] = table[row][state]
    return np.array(states, dtype=np.intp)
