"""The posterior of a path through hidden states, and what EM needs of it.

    gamma_t(i) = p(z_t = i | x)             xi_t(i, j) = p(z_t = i, z_{t+1} = j | x)

come from the forward and backward sums (Rabiner 1989, eq. 27 and 37).  The path given x is again
a Markov chain, so its entropy is that of its first state plus those of its steps:

    H = H(gamma_1) - sum_t sum_ij xi_t(i, j) log [ xi_t(i, j) / gamma_t(i) ]

One known case: with runs of a single row there are no steps, and gamma is a mixture's posterior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, xlogy

from emframe.data.runs import Sequences
from emframe.latents.bands import LOST, Bands
from emframe.latents.scans import (
    Best,
    Logs,
    RealSums,
    backwards,
    ends,
    forwards,
    layout,
    picked,
    traced,
)
from emframe.spaces import Array

_FEW_RUNS, _FEW_ROWS, _MANY_STATES = 8, 1000, 32
_ROWS = 1 << 14  # of (K, K) matrices that are held at a time


@dataclass(frozen=True)
class PathPosterior:
    """p(z | x) of each run."""

    loglik: Array  # (S,)  log p(x) of each run
    states: Array  # (n, K)  gamma
    steps: Array  # (K, K)  sum of xi over the steps, runs by their weights
    entropy: float  # of the paths, runs by their weights


def path_posterior(
    initial: Array, transitions: Array, log_b: Array, runs: Sequences, weights: Array
) -> PathPosterior:
    """The posterior of the path through K states.

    Parameters
    ----------
    initial, transitions : p(z_1), (K,), and p(z_{t+1} | z_t), (K, K).
    log_b : (n, K) log density of each row under each state.
    runs, weights : where the runs are, and the frequency of each, (S,).

    A run that is impossible has log-likelihood -inf, and its states and steps are nan.
    """
    with np.errstate(all="ignore"):
        found = _by_numbers(initial, transitions, log_b, runs, weights)
    return found or _by_logs(initial, transitions, log_b, runs, weights)


def _by_numbers(
    initial: Array, matrix: Array, log_b: Array, runs: Sequences, weights: Array
) -> PathPosterior | None:
    """By rescaled numbers; None where they underflow."""
    highest = reduce(np.maximum, log_b.T)
    by = _by_bands if _suits_bands(runs, len(initial)) else _by_chunks
    found = by(initial, matrix, log_b, highest, runs)
    if found is None:
        return None
    a, after, logs = found
    loglik = np.add.reduceat(highest, runs.firsts) + logs
    v = matrix @ after  # p(all later rows | z_t), up to a factor
    v[:, runs.lasts] = 1.0
    states = a * v
    evidence = states.sum(axis=0)
    if not evidence.min() > LOST:
        return None
    states /= evidence
    repeated = np.repeat(weights, runs.lengths)
    a *= repeated / evidence  # now xi_t(i, j), weighted, is a_t(i) A_ij u_{t+1}(j)
    steps = matrix * (a @ after.T)
    # -sum xi log(xi / gamma), where xi / gamma = A_ij u_{t+1}(j) / v_t(i)
    entropy = entr(states[:, runs.firsts]).sum(axis=0) @ weights
    entropy += _times_log(states, v).sum(axis=0) @ repeated
    entropy -= np.vdot(a, np.matmul(xlogy(matrix, matrix), after, out=v))
    reached = np.matmul(matrix.T, a, out=v)
    reached *= after
    entropy -= _times_log(reached, after).sum()
    return PathPosterior(loglik, states.T, steps, float(entropy))


def _suits_bands(runs: Sequences, k: int) -> bool:
    """Whether one solve costs less than steps side by side: few runs, and short or of many states.

    Measured with tests/benchmarks/hidden_markov.py.
    """
    return len(runs) < _FEW_RUNS and (len(runs.x) <= _FEW_ROWS or k >= _MANY_STATES)


def _by_bands(
    initial: Array, matrix: Array, log_b: Array, highest: Array, runs: Sequences
) -> tuple[Array, Array, Array] | None:
    """a to sum 1 and u of the next row, (K, n), and the log of each run's sum, (S,), by `Bands`."""
    b = np.exp(log_b - highest[:, None], order="C")
    system = Bands(initial, matrix, b, runs.firsts, runs.lasts)
    found = system.forwards()
    if found is None:
        return None
    rows, total, logs = found
    # States lead and rows follow in memory: numpy is fast along long axes.
    a = np.divide(rows.T, total, out=np.empty(rows.shape[::-1]))
    after = np.zeros_like(a)
    np.multiply(system.coupled[1:].T, system.backwards()[1:].T, out=after[:, :-1])
    return a, after, logs


def _by_chunks(
    initial: Array, matrix: Array, log_b: Array, highest: Array, runs: Sequences
) -> tuple[Array, Array, Array] | None:
    """The same by `chains`, all runs and chunks of runs side by side."""
    space = layout(runs.lengths, len(initial))
    b = log_b.T - highest
    b = np.take(np.exp(b, out=b), space.order, axis=1)
    at = ends(RealSums, space, initial, matrix, b)
    entry = at.entry / at.entry.sum(axis=0)  # p(z_t | all rows before)
    a, scales = forwards(RealSums, space, entry, matrix, b)
    u = backwards(RealSums, space, at.exit, matrix, b)
    total = a.sum(axis=0)
    if not total.min() > LOST:
        return None
    logs = np.asarray(np.bincount(space.run, scales + np.log(total[space.last])), dtype=float)
    a /= total
    # Large arrays are used again, for a new one costs more than the arithmetic on it.
    a, after = _in_order(a, space.place, b), _in_order(u, space.following, a)
    after[:, runs.lasts] = 0.0
    return a, after, logs


def _in_order(x: Array, places: NDArray[np.intp], out: Array) -> Array:
    """The columns of x at the given places; clipping, which nothing needs, saves a copy."""
    return np.take(x, places, axis=1, out=out, mode="clip")


def _times_log(x: Array, y: Array) -> Array:
    """x log y, where x is 0 wherever y is; y is overwritten."""
    np.maximum(y, np.finfo(float).tiny, out=y)
    np.log(y, out=y)
    y *= x
    return y


def _by_logs(
    initial: Array,
    transitions: Array,
    log_b: Array,
    runs: Sequences,
    weights: Array,
) -> PathPosterior:
    """By logarithms throughout."""
    space = layout(runs.lengths, len(initial))
    b = np.take(log_b.T, space.order, axis=1)
    with np.errstate(divide="ignore"):
        initial, matrix = np.log(initial), np.log(transitions)
    at = ends(Logs, space, initial, matrix, b)
    a, scales = forwards(Logs, space, at.entry - Logs.total(at.entry, 0), matrix, b)
    u = backwards(Logs, space, at.exit, matrix, b)
    loglik = np.zeros(len(runs))
    np.add.at(loglik, space.run, scales + Logs.total(a[:, space.last], 0))
    a, after = np.take(a, space.place, axis=1), np.take(u, space.following, axis=1)
    after[:, runs.lasts] = -np.inf
    v = Logs.through(matrix.T, after)
    v[:, runs.lasts] = 0.0
    evidence = Logs.total(a + v, 0)
    repeated = np.repeat(weights, runs.lengths)
    with np.errstate(invalid="ignore"):  # an impossible run: -inf less -inf
        states = np.exp(a + v - evidence)
        share = a - evidence
        entropy = float(entr(states[:, runs.firsts]).sum(axis=0) @ weights)
        steps = np.zeros_like(matrix)
        for start in range(0, a.shape[1], _ROWS):
            part = slice(start, start + _ROWS)
            xi = np.exp(share[:, None, part] + matrix[:, :, None] + after[None, :, part])
            gamma = np.broadcast_to(states[:, None, part], xi.shape)
            given = np.divide(xi, gamma, out=np.ones_like(xi), where=gamma > 0)
            steps += xi @ repeated[part]
            entropy -= float(xlogy(xi, given).sum(axis=(0, 1)) @ repeated[part])
    return PathPosterior(loglik, states.T, steps, entropy)


def best_paths(
    initial: Array, transitions: Array, log_b: Array, runs: Sequences
) -> NDArray[np.intp]:
    """The likeliest path of each run, end to end, (n,) (Viterbi 1967)."""
    k = len(initial)
    space = layout(runs.lengths, k)
    with np.errstate(divide="ignore"):
        log_initial, log_matrix = np.log(initial), np.log(transitions)
    b = np.take(log_b.T, space.order, axis=1)
    entry = ends(Best, space, log_initial, log_matrix, b).entry
    a = np.take(forwards(Best, space, entry, log_matrix, b)[0], space.place, axis=1)
    # Where the best path to state j of the next row comes from.
    back = np.stack([(a + step[:, None]).argmax(axis=0) for step in log_matrix.T], 1)
    return traced(runs, a.argmax(axis=0), back)


def tempered_paths(
    initial: Array, transitions: Array, log_b: Array, runs: Sequences, weights: Array, beta: float
) -> PathPosterior:
    """The posterior in proportion to p(x, z)^beta, whose factors are each raised to beta.

    They make a chain again, once each law sums to 1: what a row of transitions lacks is a factor of
    the row of data that is left by it.  `loglik` is log sum_z p(x, z)^beta.
    """
    begin, matrix = initial**beta, transitions**beta
    lacks = matrix.sum(axis=1)
    b = beta * log_b
    inner = np.delete(np.arange(len(b)), runs.lasts)
    b[inner] += np.log(lacks)
    found = _by_logs(begin / begin.sum(), matrix / lacks[:, None], b, runs, weights)
    return replace(found, loglik=found.loglik + np.log(begin.sum()))


def drawn_paths(
    initial: Array,
    transitions: Array,
    log_b: Array,
    runs: Sequences,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """A path of each run drawn from its posterior, end to end, (n,).

    Forward sums, then states from the last to the first (Chib 1996, J. Econometrics 75, 79).
    """
    k = len(initial)
    space = layout(runs.lengths, k)
    with np.errstate(divide="ignore"):
        log_initial, log_matrix = np.log(initial), np.log(transitions)
    b = np.take(log_b.T, space.order, axis=1)
    at = ends(Logs, space, log_initial, log_matrix, b)
    entry = at.entry - Logs.total(at.entry, 0)
    a = np.take(forwards(Logs, space, entry, log_matrix, b)[0], space.place, axis=1)
    draws = rng.random(len(runs.x))
    back = np.stack([picked(a + step[:, None], draws) for step in log_matrix.T], 1)
    return traced(runs, picked(a, draws), back)
