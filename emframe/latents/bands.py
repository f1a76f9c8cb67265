"""Sums over all paths of a Markov chain as one triangular system of equations.

    a_t(j) = [ sum_i a_{t-1}(i) A_ij ] b_t(j)          forwards
    v_t(i) =   sum_j A_ij b_{t+1}(j) v_{t+1}(j)        backwards

(Baum et al. 1970; Rabiner 1989, Proc. IEEE 77, 257).  The first says (1 - N) a = s, where N couples
a row to the one before it and s holds p(z_1) b_1 where a run begins; the second is the transposed
system, with ones where a run ends.  Written row by row N is a band below the diagonal, so that BLAS
solves for any number of steps, and of runs, in one call.

What is solved for shrinks with every row.  So rows are taken a block at a time, what passes from
one to the next is rescaled, and a block in which too much is lost is halved.

One known case: without a coupling, that is with runs of a single row, a is s and v is 1.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from scipy.linalg.blas import dtbsv

from emframe.spaces import Array

# Sums below this may have lost a path that matters to underflow: those that do get lost are
# smaller still by a factor of 1e200.
LOST = 1e-100
_CACHE = 1 << 16  # numbers that a core's cache has room for
_LONGEST, _SHORTEST = 512, 16  # rows of a block


class Bands:
    """The system for rows of runs that stand end to end.

    Parameters
    ----------
    initial, matrix : p(z_1), (K,), and A, (K, K).
    b : (n, K) density of each row under each state over the largest of the row; taken over.
    firsts, lasts : (S,) where runs begin and end.
    """

    def __init__(
        self,
        initial: Array,
        matrix: Array,
        b: Array,
        firsts: NDArray[np.intp],
        lasts: NDArray[np.intp],
    ) -> None:
        n, k = b.shape
        self.matrix, self.firsts, self.lasts = matrix, firsts, lasts
        self._minus = -matrix
        self.source = np.zeros((n, k))
        self.source[firsts] = initial * b[firsts]
        self.coupled = b  # a row that begins a run is coupled to none before it
        self.coupled[firsts] = 0.0
        rows = min(max(_CACHE // (2 * k * k), _SHORTEST), _LONGEST, n)
        self._blocks = [(start, min(start + rows, n)) for start in range(0, n, rows)]
        # Below the diagonal of column (t, i) stand the coefficients of row (t + 1, j), K + j - i
        # places down.
        self._band = np.zeros((rows * k, 2 * k))
        size = self._band.itemsize
        self._below = as_strided(
            self._band.reshape(-1)[k:],
            shape=(rows - 1, k, k),
            strides=(2 * k * k * size, (2 * k - 1) * size, size),
        )

    def forwards(self) -> tuple[Array, Array, Array] | None:
        """a (n, K), its sum over the states (n,), and the log of each run's sum over paths (S,).

        a comes up to a factor for each row.  None where it underflows.
        """
        a, total = np.array(self.source), np.empty(len(self.source))
        waiting, done, ones = self._blocks[::-1], [], np.ones(len(self.matrix))
        while waiting:
            start, stop = waiting.pop()
            if start:
                before = a[start - 1] / total[start - 1]
                a[start] += (before @ self.matrix) * self.coupled[start]
            self._solve(a, start, stop, transposed=False)
            sums = np.matmul(a[start:stop], ones, out=total[start:stop])
            if sums.min() > LOST:
                done.append((start, stop))
            elif stop - start == 1:
                return None
            else:
                a[start:stop] = self.source[start:stop]
                middle = (start + stop) // 2
                waiting += [(middle, stop), (start, middle)]
        self._blocks = done
        logs = np.log(total[self.lasts])
        if len(done) > 1:
            starts = np.array([start for start, _ in done])
            run = np.searchsorted(self.firsts, starts, side="right") - 1
            carries = self.firsts[run] < starts  # a run goes on from one block to the next
            np.add.at(logs, run[carries], np.log(total[starts[carries] - 1]))
        return a, total, logs

    def backwards(self) -> Array:
        """v, (n, K), up to a factor for each row; after `forwards`, whose blocks it takes."""
        v = np.zeros_like(self.source)
        v[self.lasts] = 1.0
        for start, stop in reversed(self._blocks):
            if stop < len(v):
                after = self.matrix @ (self.coupled[stop] * v[stop])
                v[stop - 1] += after / (after.max() or 1.0)
            self._solve(v, start, stop, transposed=True)
        return v

    def _solve(self, x: Array, start: int, stop: int, *, transposed: bool) -> None:
        """Solve for rows start to stop of x (n, K), in place."""
        k, m = len(self.matrix), stop - start
        coupled = self.coupled[start + 1 : stop, None, :]
        np.multiply(self._minus, coupled, out=self._below[: m - 1])
        dtbsv(
            2 * k - 1,
            self._band[: m * k].T,
            x[start:stop].reshape(-1),
            lower=1,
            trans=int(transposed),
            diag=1,
            overwrite_x=1,
        )
