"""Sums over all paths of a chain whose steps each have probabilities of their own.

    p(z | u) = p(z_1 | u_1) prod_t A_t[z_{t-1}, z_t],        A_t by covariates of the row t

Every row is a matrix, A_t with the density of the row beside it; the first of a run forgets what
came before.  Products of them up to each row and from each row on come by halving, all rows at
once (see `emframe.latents.scans`): first in numbers, and in logarithms where these underflow.

One known case: where A_t is the same for all rows it is `emframe.latents.paths`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, xlogy

from emframe.data.runs import Sequences
from emframe.latents.bands import LOST
from emframe.latents.scans import Algebra, Best, Logs, RealSums, picked, scan, traced
from emframe.spaces import Array


class Laws(NamedTuple):
    """Where paths begin and how they go on, in logs."""

    begins: Array  # (K, S)  log p(z_1) of each run
    steps: Array  # (K, K, n)  log p(z_t | z_{t-1}) of each row; of the first of a run nothing


@dataclass(frozen=True)
class VaryingPosterior:
    """p(z | x) of each run."""

    loglik: Array  # (S,)
    states: Array  # (K, n)
    steps: Array  # (K, K, n)  p(z_{t-1} = i, z_t = j | x); 0 at the first row of a run
    entropy: float  # of the paths, runs by their weights


def varying_posterior(
    laws: Laws, log_b: Array, runs: Sequences, weights: Array, beta: float = 1.0
) -> VaryingPosterior:
    """The posterior of the path, in proportion to p(x, z)^beta.

    log_b : (n, K) log density of each row under each state.

    A run that is impossible has log-likelihood -inf, and its states and steps are nan.
    """
    laws, log_b = Laws(beta * laws.begins, beta * laws.steps), beta * log_b.T
    with np.errstate(all="ignore"):
        found = _smoothed(RealSums, laws, log_b, runs)
        if found is None:
            found = _smoothed(Logs, laws, log_b, runs)
        assert found is not None  # logarithms do not underflow
        loglik, states, steps = found
        each = np.repeat(weights, runs.lengths)
        before = np.roll(states, 1, axis=1)
        share = np.divide(steps, before[:, None], out=np.ones_like(steps), where=steps > 0)
        entropy = float(entr(states[:, runs.firsts]).sum(axis=0) @ weights)
        entropy -= float(xlogy(steps, share).sum(axis=(0, 1)) @ each)
    return VaryingPosterior(loglik, states, steps, entropy)


def _matrices(algebra: Algebra, laws: Laws, log_b: Array, runs: Sequences) -> Array:
    """A_t with the density of row t, (K, K, n); at the first row of a run p(z_1) in each row."""
    logs = laws.steps + log_b
    logs[:, :, runs.firsts] = (laws.begins + log_b[:, runs.firsts])[None]
    highest = logs.max(axis=(0, 1))
    return algebra.lift(logs - np.where(np.isfinite(highest), highest, 0.0))


def _around(algebra: Algebra, laws: Laws, log_b: Array, runs: Sequences) -> tuple[Array, Array]:
    """Logs of the products before each row and from it on, (K, n), up to a factor for each row."""
    k = len(log_b)
    ends = np.full((k, 1), algebra.unit)
    before, after = scan(algebra, _matrices(algebra, laws, log_b, runs), ends, ends)
    return (np.log(before), np.log(after)) if algebra is RealSums else (before, after)


def _smoothed(
    algebra: Algebra, laws: Laws, log_b: Array, runs: Sequences
) -> tuple[Array, Array, Array] | None:
    """Log-likelihood (S,), states (K, n) and steps (K, K, n); None where numbers underflow."""
    before, from_here = _around(algebra, laws, log_b, runs)
    later = np.zeros_like(log_b)
    later[:, :-1] = from_here[:, 1:]
    later[:, runs.lasts] = 0.0
    before = before - _total(before)  # log p(z_{t-1} | the rows before)
    steps = laws.steps + before[:, None]
    steps[:, :, runs.firsts] = -np.inf
    predicted = Logs.total(steps, 0)
    predicted[:, runs.firsts] = laws.begins
    joint = predicted + log_b
    evidence = _total(joint)
    loglik = np.asarray(np.add.reduceat(evidence, runs.firsts))
    states = joint + later
    total = _total(states)
    kept = np.minimum(total - evidence - later.max(axis=0), evidence - log_b.max(axis=0))
    if algebra is RealSums and not kept.min() > np.log(LOST):
        return None
    states = np.exp(states - total)
    steps = np.exp(steps + (log_b + later - total))
    impossible = np.repeat(~np.isfinite(loglik), runs.lengths)
    loglik = np.where(np.isfinite(loglik), loglik, -np.inf)
    states[:, impossible] = steps[:, :, impossible] = np.nan
    return loglik, states, steps


def _total(logs: Array) -> Array:
    """log of the sum over states, (n,)."""
    highest = reduce(np.maximum, logs)
    highest = np.where(np.isfinite(highest), highest, 0.0)
    return np.asarray(highest + np.log(np.exp(logs - highest).sum(axis=0)))


def _filtered(laws: Laws, before: Array, log_b: Array, runs: Sequences, best: bool) -> Array:
    """Log of the sum, or the best, over paths up to each row, that row included, (K, n)."""
    ahead = (Best if best else Logs).total(laws.steps + before[:, None], 0)
    ahead[:, runs.firsts] = laws.begins
    return ahead + log_b


def varying_best(laws: Laws, log_b: Array, runs: Sequences) -> NDArray[np.intp]:
    """The likeliest path of each run, end to end, (n,)."""
    before = _around(Best, laws, log_b.T, runs)[0]
    back = (laws.steps + before[:, None]).argmax(axis=0).T
    last = _filtered(laws, before, log_b.T, runs, best=True).argmax(axis=0)
    return traced(runs, last, np.roll(back, -1, axis=0))


def varying_drawn(
    laws: Laws, log_b: Array, runs: Sequences, rng: np.random.Generator
) -> NDArray[np.intp]:
    """A path of each run drawn from its posterior, end to end, (n,)."""
    with np.errstate(invalid="ignore"):
        before = _around(Logs, laws, log_b.T, runs)[0]
        a = _filtered(laws, before, log_b.T, runs, best=False)
    draws = np.asarray(rng.random(a.shape[1]))
    ahead = np.roll(laws.steps, -1, axis=2)
    back = np.stack([picked(a + ahead[:, state], draws) for state in range(len(a))], 1)
    return traced(runs, picked(a, draws), back)
