"""Series that follow a hidden one: linear Gaussian state space models of one state.

    z_1 = v_1,    z_t = persistence z_(t-1) + v_t,      v_t ~ N(0, 1)
    y_tj = mean_j + loading_j z_t + e_tj,               e_tj ~ N(0, noise_j)

A row is a run of rows, a series; its states are a latent path of the family's own.  E is Kalman's
filter and the smoother of Rauch, Tung and Striebel, M two regressions (Shumway and Stoffer 1982,
Journal of Time Series Analysis 3, 253).  The variance of v is 1, for loadings tell the scale, and a
series begins at its mean.

One known case: with loadings 0 every row is normal by itself; with persistence 1 the state is a
random walk, the local level model.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import e, log, pi
from typing import Any, NamedTuple

import numpy as np

from emframe import Array, Degenerate, Family, FamilyEntry, Positive, Real, hookimpl, parameter
from emframe.families import Completed, refuse_empty
from emframe.parameters import keep, pullback

LOST = 1e-6  # of a column's variance: with less noise it is its state, at the edge of the model
AT_START = 0.5  # of persistence, with nothing known


@dataclass(frozen=True)
class StateSpaceParameters:
    """How the state moves, and how each column follows it."""

    persistence: Array = parameter(Real())  # (K,)
    means: Array = parameter(Real(), shape="d")  # (K, d)
    loadings: Array = parameter(Real(), shape="d")  # (K, d)
    noise: Array = parameter(Positive(), shape="d")  # (K, d)  variances


@dataclass(frozen=True)
class PathSums:
    """Moments of states and rows, under the paths that the rows suggest; they add.

    Of rows and states together they are about their means, where no digit is lost.
    """

    counts: Array  # (K,)  of rows
    means: Array  # (K, d + 1)  of (y, z)
    spread: Array  # (K, d)  of y about its mean, summed
    along: Array  # (K, d)  of y and z
    states: Array  # (K,)  of z about its mean
    steps: Array  # (K, 3)  sums of z_t^2, of z_t z_(t-1), of z_(t-1)^2

    def __add__(self, other: PathSums) -> PathSums:
        counts = self.counts + other.counts
        share = np.divide(other.counts, counts, out=np.zeros_like(counts), where=counts > 0)
        gap = other.means - self.means
        weight = (self.counts * share)[:, None]
        return PathSums(
            counts,
            self.means + share[:, None] * gap,
            self.spread + other.spread + weight * gap[:, :-1] ** 2,
            self.along + other.along + weight * gap[:, :-1] * gap[:, -1:],
            self.states + other.states + (weight * gap[:, -1:] ** 2)[:, 0],
            self.steps + other.steps,
        )

    def __mul__(self, factor: float) -> PathSums:
        sums = (self.spread, self.along, self.states, self.steps)
        return PathSums(self.counts * factor, self.means, *(one * factor for one in sums))


class Paths(NamedTuple):
    """What series say of their states; T is the length of the longest."""

    log_density: Array  # (S, K)
    means: Array  # (n, K)  of z, row by row
    variances: Array  # (n, K)
    steps: Array  # (S, K, 3)
    entropy: Array  # (S, K)  of the path, nats


@dataclass(frozen=True)
class StateSpace(Family):
    """Series of any number of real columns that follow one hidden state."""

    name = "state-space"
    parameters = StateSpaceParameters
    support = Real()
    in_runs = True
    hides = True
    effort = 10.0

    def log_density(self, params: StateSpaceParameters, x: Any) -> Array:
        return paths(params, x).log_density

    def completed(self, params: StateSpaceParameters, x: Any, resp: Array) -> Completed:
        found = paths(params, x)
        each = np.repeat(resp, x.lengths, axis=0)
        steps = (resp[:, :, None] * found.steps).sum(axis=0)
        sums = gathered(np.asarray(x.x, dtype=float), found.means, found.variances, each, steps)
        return Completed(sums, (resp * found.entropy).sum(axis=0))

    def accumulate(self, x: Any, resp: Array) -> PathSums:
        """With the mean of a row's columns, in their deviations, in the place of its state."""
        y = np.asarray(x.x, dtype=float)
        sd = y.std(axis=0)
        z = ((y - y.mean(axis=0)) / np.where(sd > 0.0, sd, 1.0)).mean(axis=1)
        each = np.repeat(resp, x.lengths, axis=0)
        states = np.repeat(z[:, None], resp.shape[1], axis=1)
        last = np.concatenate([[0.0], z[:-1]])
        last[x.firsts] = 0.0
        products = np.stack([z**2, z * last, last**2], axis=1)
        steps = np.einsum("nk,nm->km", each, products)
        return gathered(y, states, np.full_like(states, 0.25), each, steps)

    def expected(self, statistics: PathSums, params: StateSpaceParameters) -> float:
        n, phi, loadings = statistics.counts, params.persistence, params.loadings
        now, both, before = statistics.steps.T
        of_state = -0.5 * (n * log(2.0 * pi) + now - 2.0 * phi * both + phi**2 * before)
        squares = self._squares(statistics, params.means, loadings)
        of_rows = -0.5 * (n[:, None] * np.log(2.0 * pi * params.noise) + squares / params.noise)
        return float(np.where(n > 0, of_state + of_rows.sum(axis=1), 0.0).sum())

    def _squares(self, sums: PathSums, means: Array, loadings: Array) -> Array:
        """Of what is left of the columns, summed over rows, (K, d)."""
        off = sums.means[:, :-1] - means - loadings * sums.means[:, -1:]
        about = sums.spread - 2.0 * loadings * sums.along + loadings**2 * sums.states[:, None]
        return np.asarray(np.maximum(about, 0.0) + sums.counts[:, None] * off**2)

    def m_step(self, statistics: PathSums, previous: Any) -> StateSpaceParameters:
        empty = statistics.counts <= 0
        if previous is None:
            refuse_empty(empty)
        n = np.where(empty, 1.0, statistics.counts)
        _, both, before = statistics.steps.T
        start = np.full(len(n), AT_START)
        phi = np.divide(both, before, out=start, where=before > 0.0)
        z = statistics.states[:, None]
        loadings = np.divide(
            statistics.along, z, out=np.zeros_like(statistics.along), where=z > 0.0
        )
        means = statistics.means[:, :-1] - loadings * statistics.means[:, -1:]
        noise = self._squares(statistics, means, loadings) / n[:, None]
        lost = ~empty[:, None] & ~(noise > LOST * statistics.spread / n[:, None])
        if lost.any():
            k, j = map(int, np.argwhere(lost)[0])
            raise Degenerate(f"column {j} of component {k} is its state, without noise", k)
        params = StateSpaceParameters(phi, means, loadings, np.where(empty[:, None], 1.0, noise))
        return keep(empty, previous, params) if empty.any() else params

    def gradient(self, statistics: PathSums, params: StateSpaceParameters) -> Array:
        n, phi = statistics.counts[:, None], params.persistence
        _, both, before = statistics.steps.T
        z, precision = statistics.means[:, -1:], 1.0 / params.noise
        off = statistics.means[:, :-1] - params.means - params.loadings * z
        along = statistics.along - params.loadings * statistics.states[:, None] + n * z * off
        squares = self._squares(statistics, params.means, params.loadings)
        by_noise = 0.5 * precision * (squares * precision - n)
        slopes = (both - phi * before, n * off * precision, along * precision, by_noise)
        return pullback(params, StateSpaceParameters(*slopes))

    def sample(self, params: StateSpaceParameters, labels: Any, rng: np.random.Generator) -> Array:
        """One series, of the component that the labels of its rows name, (n, d)."""
        labels = np.asarray(labels)
        z, shocks = np.zeros(len(labels)), rng.standard_normal(len(labels))
        for t, k in enumerate(labels):
            z[t] = (params.persistence[k] * z[t - 1] if t else 0.0) + shocks[t]
        noise = rng.standard_normal((len(labels), params.means.shape[1]))
        line = params.means[labels] + params.loadings[labels] * z[:, None]
        return np.asarray(line + np.sqrt(params.noise[labels]) * noise)


def gathered(y: Array, z: Array, variances: Array, resp: Array, steps: Array) -> PathSums:
    """Sums over rows y (n, d), with means and variances of their states (n, K)."""
    counts = resp.sum(axis=0)
    share = resp / np.where(counts > 0, counts, 1.0)
    y_mean, z_mean = share.T @ y, (share * z).sum(axis=0)
    k, d = y_mean.shape
    spread, along = np.empty((k, d)), np.empty((k, d))
    off = z - z_mean
    for j in range(k):
        about = y - y_mean[j]
        spread[j] = resp[:, j] @ about**2
        along[j] = (resp[:, j] * off[:, j]) @ about
    states = (resp * (off**2 + variances)).sum(axis=0)
    return PathSums(counts, np.column_stack([y_mean, z_mean]), spread, along, states, steps)


def paths(params: StateSpaceParameters, x: Any) -> Paths:
    """Filter and smoother along all series at once, those still going at each step."""
    y, lengths, firsts = np.asarray(x.x, dtype=float), x.lengths, x.firsts
    phi, precision = params.persistence, 1.0 / params.noise
    off = y[:, None, :] - params.means
    told = np.einsum("nkd,kd->nk", off, params.loadings * precision)
    weight = (params.loadings**2 * precision).sum(axis=1)
    plain = (off**2 * precision).sum(axis=2) + np.log(2.0 * pi * params.noise).sum(axis=1)
    longest, k = int(lengths.max()), len(phi)
    log_density = -0.5 * np.add.reduceat(plain, firsts, axis=0)
    mean, variance = np.zeros_like(told), np.zeros((longest, k))
    predicted, guess = np.zeros((longest, k)), np.zeros((len(lengths), k))
    for t in range(longest):
        on = np.flatnonzero(lengths > t)
        at = firsts[on] + t
        predicted[t] = 1.0 + (phi**2 * variance[t - 1] if t else 0.0)
        variance[t] = 1.0 / (1.0 / predicted[t] + weight)
        mean[at] = variance[t] * (guess[on] / predicted[t] + told[at])
        gain = mean[at] ** 2 / variance[t] - guess[on] ** 2 / predicted[t]
        log_density[on] += 0.5 * (np.log(variance[t] / predicted[t]) + gain)
        guess[on] = phi * mean[at]
    spread = np.empty_like(told)
    steps, entropy = np.zeros((len(lengths), k, 3)), np.zeros((len(lengths), k))
    for t in range(longest - 1, -1, -1):
        last, on = np.flatnonzero(lengths == t + 1), np.flatnonzero(lengths > t + 1)
        spread[firsts[last] + t] = variance[t]
        entropy[last] += 0.5 * np.log(2.0 * pi * e * variance[t])
        if len(on):
            at = firsts[on] + t
            back = phi * variance[t] / predicted[t + 1]
            mean[at] += back * (mean[at + 1] - phi * mean[at])
            spread[at] = variance[t] + back**2 * (spread[at + 1] - predicted[t + 1])
            steps[on, :, 1] += back * spread[at + 1] + mean[at] * mean[at + 1]
            steps[on, :, 2] += spread[at] + mean[at] ** 2
            entropy[on] += 0.5 * np.log(2.0 * pi * e * variance[t] / predicted[t + 1])
    steps[:, :, 0] = np.add.reduceat(spread + mean**2, firsts, axis=0)
    return Paths(log_density, mean, spread, steps, entropy)


@hookimpl
def emframe_families() -> list[FamilyEntry]:
    """What this plugin brings."""
    return [
        FamilyEntry(
            "state-space",
            StateSpace,
            "Series that follow a hidden one: a linear Gaussian state space model of one state",
            "Shumway and Stoffer (1982), Journal of Time Series Analysis 3, 253",
        )
    ]
