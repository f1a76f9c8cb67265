"""Series that follow a hidden one: linear Gaussian state space models of one state.

    z_1 = v_1,    z_t = persistence z_(t-1) + v_t,      v_t ~ N(0, 1)
    y_tj = mean_j + loading_j z_t + e_tj,               e_tj ~ N(0, noise_j)

A row is a run of rows, a series; its states are a latent path of the family's own.  E is Kalman's
filter and the smoother of Rauch, Tung and Striebel, M two regressions (Shumway and Stoffer 1982,
Journal of Time Series Analysis 3, 253).  The variance of v is 1, for loadings tell the scale, and a
series begins at its mean.  Any number may be missing (nan), or all of a row: the state goes on, and
what was not seen says nothing of it.

One known case: with loadings 0 every row is normal by itself; with persistence 1 the state is a
random walk, the local level model.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import e, log, pi
from typing import Any, NamedTuple

import numpy as np

from emframe import (
    Array,
    Degenerate,
    Family,
    FamilyEntry,
    OrMissing,
    Positive,
    Real,
    hookimpl,
    parameter,
)
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

    Of each column and the states where it was seen they are about their means, where no digit is
    lost.
    """

    rows: Array  # (K,)
    counts: Array  # (K, d)  of rows in which the column was seen
    means: Array  # (K, d)  of y
    places: Array  # (K, d)  of z in these rows
    spread: Array  # (K, d)  of y about its mean, summed
    along: Array  # (K, d)  of y and z
    states: Array  # (K, d)  of z about its mean
    steps: Array  # (K, 3)  sums of z_t^2, of z_t z_(t-1), of z_(t-1)^2

    def __add__(self, other: PathSums) -> PathSums:
        counts = self.counts + other.counts
        share = np.divide(other.counts, counts, out=np.zeros_like(counts), where=counts > 0)
        of_y, of_z = other.means - self.means, other.places - self.places
        weight = self.counts * share
        return PathSums(
            self.rows + other.rows,
            counts,
            self.means + share * of_y,
            self.places + share * of_z,
            self.spread + other.spread + weight * of_y**2,
            self.along + other.along + weight * of_y * of_z,
            self.states + other.states + weight * of_z**2,
            self.steps + other.steps,
        )

    def __mul__(self, factor: float) -> PathSums:
        sums = (self.spread, self.along, self.states, self.steps)
        return PathSums(
            self.rows * factor,
            self.counts * factor,
            self.means,
            self.places,
            *(one * factor for one in sums),
        )


class Paths(NamedTuple):
    """What series say of their states."""

    log_density: Array  # (S, K)
    means: Array  # (n, K)  of z, row by row
    variances: Array  # (n, K)
    steps: Array  # (S, K, 3)
    entropy: Array  # (S, K)  of the path, nats


@dataclass(frozen=True)
class StateSpace(Family):
    """Series of any number of real columns, with gaps, that follow one hidden state."""

    name = "state-space"
    parameters = StateSpaceParameters
    support = OrMissing(Real())
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
        seen = ~np.isnan(y)
        n = np.maximum(seen.sum(axis=0), 1)
        off = np.where(seen, y - np.where(seen, y, 0.0).sum(axis=0) / n, 0.0)
        sd = np.sqrt((off**2).sum(axis=0) / n)
        z = (off / np.where(sd > 0.0, sd, 1.0)).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        each = np.repeat(resp, x.lengths, axis=0)
        states = np.repeat(z[:, None], resp.shape[1], axis=1)
        last = np.concatenate([[0.0], z[:-1]])
        last[x.firsts] = 0.0
        products = np.stack([z**2, z * last, last**2], axis=1)
        steps = np.einsum("nk,nm->km", each, products)
        return gathered(y, states, np.full_like(states, 0.25), each, steps)

    def expected(self, statistics: PathSums, params: StateSpaceParameters) -> float:
        n, phi, loadings = statistics.rows, params.persistence, params.loadings
        now, both, before = statistics.steps.T
        of_state = -0.5 * (n * log(2.0 * pi) + now - 2.0 * phi * both + phi**2 * before)
        squares = self._squares(statistics, params.means, loadings)
        of_rows = statistics.counts * np.log(2.0 * pi * params.noise) + squares / params.noise
        return float(np.where(n > 0, of_state - 0.5 * of_rows.sum(axis=1), 0.0).sum())

    def _squares(self, sums: PathSums, means: Array, loadings: Array) -> Array:
        """Of what is left of the columns, summed over rows, (K, d)."""
        off = sums.means - means - loadings * sums.places
        about = sums.spread - 2.0 * loadings * sums.along + loadings**2 * sums.states
        return np.asarray(np.maximum(about, 0.0) + sums.counts * off**2)

    def m_step(self, statistics: PathSums, previous: Any) -> StateSpaceParameters:
        empty = statistics.rows <= 0
        if previous is None:
            refuse_empty(empty)
        n = np.where(empty[:, None], 1.0, statistics.counts)
        unseen = n <= 0.0
        if unseen.any():
            k, j = map(int, np.argwhere(unseen)[0])
            raise Degenerate(f"no row of component {k} has a value in column {j}", k)
        _, both, before = statistics.steps.T
        start = np.full(len(n), AT_START)
        phi = np.divide(both, before, out=start, where=before > 0.0)
        z = statistics.states
        loadings = np.divide(
            statistics.along, z, out=np.zeros_like(statistics.along), where=z > 0.0
        )
        means = statistics.means - loadings * statistics.places
        noise = self._squares(statistics, means, loadings) / n
        lost = ~empty[:, None] & ~(noise > LOST * statistics.spread / n)
        if lost.any():
            k, j = map(int, np.argwhere(lost)[0])
            raise Degenerate(f"column {j} of component {k} is its state, without noise", k)
        params = StateSpaceParameters(phi, means, loadings, np.where(empty[:, None], 1.0, noise))
        return keep(empty, previous, params) if empty.any() else params

    def gradient(self, statistics: PathSums, params: StateSpaceParameters) -> Array:
        n, phi = statistics.counts, params.persistence
        _, both, before = statistics.steps.T
        z, precision = statistics.places, 1.0 / params.noise
        off = statistics.means - params.means - params.loadings * z
        along = statistics.along - params.loadings * statistics.states + n * z * off
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
    seen = ~np.isnan(y)
    y = np.where(seen, y, 0.0)
    counts = resp.T @ seen
    n = np.where(counts > 0, counts, 1.0)
    means, places = resp.T @ y / n, (resp * z).T @ seen / n
    spread, along, states = (np.empty(counts.shape) for _ in range(3))
    for j in range(len(counts)):
        about, off = (y - means[j]) * seen, z[:, j, None] - places[j]
        spread[j] = resp[:, j] @ about**2
        along[j] = resp[:, j] @ (about * off)
        states[j] = resp[:, j] @ ((off**2 + variances[:, j, None]) * seen)
    return PathSums(resp.sum(axis=0), counts, means, places, spread, along, states, steps)


def paths(params: StateSpaceParameters, x: Any) -> Paths:
    """Filter and smoother along all series at once, those still going at each step."""
    y, lengths, firsts = np.asarray(x.x, dtype=float), x.lengths, x.firsts
    phi, precision = params.persistence, 1.0 / params.noise
    seen = ~np.isnan(y)
    off = np.where(seen[:, None], y[:, None, :] - params.means, 0.0)
    told = np.einsum("nkd,kd->nk", off, params.loadings * precision)
    weight = seen @ (params.loadings**2 * precision).T
    plain = (off**2 * precision).sum(axis=2) + seen @ np.log(2.0 * pi * params.noise).T
    longest, k = int(lengths.max()), len(phi)
    log_density = -0.5 * np.add.reduceat(plain, firsts, axis=0)
    mean, variance, predicted = (np.zeros_like(told) for _ in range(3))
    guess = np.zeros((len(lengths), k))
    for t in range(longest):
        on = np.flatnonzero(lengths > t)
        at = firsts[on] + t
        predicted[at] = 1.0 + (phi**2 * variance[at - 1] if t else 0.0)
        variance[at] = 1.0 / (1.0 / predicted[at] + weight[at])
        mean[at] = variance[at] * (guess[on] / predicted[at] + told[at])
        gain = mean[at] ** 2 / variance[at] - guess[on] ** 2 / predicted[at]
        log_density[on] += 0.5 * (np.log(variance[at] / predicted[at]) + gain)
        guess[on] = phi * mean[at]
    spread = np.empty_like(told)
    steps, entropy = np.zeros((len(lengths), k, 3)), np.zeros((len(lengths), k))
    for t in range(longest - 1, -1, -1):
        last, on = np.flatnonzero(lengths == t + 1), np.flatnonzero(lengths > t + 1)
        end, at = firsts[last] + t, firsts[on] + t
        spread[end] = variance[end]
        entropy[last] += 0.5 * np.log(2.0 * pi * e * variance[end])
        if len(on):
            back = phi * variance[at] / predicted[at + 1]
            mean[at] += back * (mean[at + 1] - phi * mean[at])
            spread[at] = variance[at] + back**2 * (spread[at + 1] - predicted[at + 1])
            steps[on, :, 1] += back * spread[at + 1] + mean[at] * mean[at + 1]
            steps[on, :, 2] += spread[at] + mean[at] ** 2
            entropy[on] += 0.5 * np.log(2.0 * pi * e * variance[at] / predicted[at + 1])
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
