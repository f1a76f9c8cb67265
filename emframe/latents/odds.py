"""Log odds of rows by their covariates, and what they come to: probabilities and derivatives.

    A(b) = sum_i t_i log sum_k exp(b_k'u_i),      w_ik = exp(b_k'u_i) / sum_l exp(b_l'u_i)
    dA / db_k = sum_i t_i w_ik u_i,
    d2A / db_k db_l = sum_i t_i w_ik (1[k = l] - w_il) u_i u_i'

All is written feature-major, so that each term is a sweep along the rows, and the sums over rows
are products of matrices: of weights (m, b) with covariates, and with products of two of them.

One known case: with coefficients of 0 all probabilities are 1 / K.
"""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import numpy as np

from emframe.engines import Workspace
from emframe.spaces import Array

AT_ONCE = 1 << 17  # numbers of all terms of some rows, for which a core's caches have room
# Log odds so far from 0 have no exponential that can be summed as it is.
STEEP = 500.0
# Numbers from 1 to here are multiplied, so many together, and one logarithm is taken of them.
MODERATE, TOGETHER = 1e30, 8


class Expansion(NamedTuple):
    """The part that is of the rows alone at some coefficients, and its first two derivatives."""

    at: Array  # (K, p)
    away: float  # sum_i t_i log sum_k exp(b_k'u_i)
    mean: Array  # (K, p)  sum_i t_i w_ik u_i
    curvature: Array  # (m, m), m = (K - 1) p
    low: Array  # (p,)  the least and the largest of each covariate, 1 among them
    high: Array
    least: Array  # (K,)  of the log odds of each component
    most: Array

    def plus(self, other: Expansion) -> Expansion:
        """The same of the rows of both."""
        away, mean = self.away + other.away, self.mean + other.mean
        ends = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        odds = np.minimum(self.least, other.least), np.maximum(self.most, other.most)
        return Expansion(self.at, away, mean, self.curvature + other.curvature, *ends, *odds)

    def scaled(self, factor: float) -> Expansion:
        """The same of rows of so many times their weights."""
        sums = self.away * factor, self.mean * factor, self.curvature * factor
        return Expansion(self.at, *sums, *self[4:])

    def ends(self, coefficients: Array) -> tuple[Array, Array]:
        """Between what b_k'u lies for all rows, (K,) both, by the ends of each covariate."""
        each = coefficients * self.low, coefficients * self.high
        return np.minimum(*each).sum(axis=1), np.maximum(*each).sum(axis=1)

    def reach(self, step: Array) -> float:
        """How far the log odds of a component lie apart over the rows after a step, at most."""
        low, high = self.ends(step)
        return float((self.most + np.maximum(high, 0) - self.least - np.minimum(low, 0)).max())

    def spread(self, coefficients: Array) -> float:
        """How far those of two components lie apart in a row, at most."""
        pairs = (coefficients[:, None] - coefficients).reshape(-1, coefficients.shape[1])
        return float(self.ends(pairs)[1].max())


def design(u: Array, work: Workspace | None = None) -> Array:
    """Ones and the covariates u (b, q), a row for each coefficient, (p, b)."""
    found = (Workspace() if work is None else work)("design", u.shape[1] + 1, len(u))
    found[0] = 1.0
    found[1:] = u.T
    return found


def log_odds(coefficients: Array, u: Array) -> Array:
    """b_k'u of rows u (b, q), (K, b); the first is 0."""
    found = coefficients[:, 1:] @ u.T
    found += coefficients[:, :1]
    return np.asarray(found)


def log_probabilities(coefficients: Array, u: Array) -> Array:
    """log p(z = k | u) of rows u (b, q), (K, b)."""
    log = log_odds(coefficients, u)
    log -= reduce(np.maximum, log)
    log -= np.log(np.exp(log).sum(axis=0))
    return log


class RowOdds(NamedTuple):
    """What coefficients come to in each row."""

    design: Array  # (p, b)
    log: Array  # (K - 1, b)  b_k'u of all components but the first, whose own is 0
    proba: Array  # (K - 1, b)  their probabilities
    away: float  # sum_i t_i log sum_k exp(b_k'u_i)


def row_odds(coefficients: Array, u: Array, t: Array, work: Workspace) -> RowOdds:
    """Of rows u (b, q) of weights t (b,), in the workspace."""
    k, b = len(coefficients), len(u)
    x, log, w = design(u, work), work("log odds", k - 1, b), work("proba", k - 1, b)
    np.matmul(coefficients[1:], x, out=log)
    if log.max(initial=0.0) > STEEP:
        top = np.maximum(log.max(axis=0), 0.0)
        np.exp(np.subtract(log, top, out=w), out=w)
        total, away = w.sum(axis=0) + np.exp(-top), float(top @ t)
    else:
        total, away = np.add.reduce(np.exp(log, out=w), axis=0, out=work("total", b)), 0.0
        total += 1.0
    away += sum_of_logs(total, t)
    w /= total
    return RowOdds(x, log, w, away)


def expansion(coefficients: Array, u: Array, t: Array) -> Expansion:
    """Of rows u (b, q) of weights t (b,)."""
    work = Workspace()
    return expanded(coefficients, row_odds(coefficients, u, t, work), t, work)[0]


def expanded(
    coefficients: Array, found: RowOdds, t: Array, work: Workspace, shares: Array | None = None
) -> tuple[Expansion, Array]:
    """The expansion of rows of weights t (b,); and sums of their shares (K, b) times covariates.

    All are one product of matrices, block after block: of what is weighed, w_k, w_k (1[k = l] -
    w_l) and the shares, with the products of two covariates, among which are these themselves.
    """
    (k, p), b = coefficients.shape, len(t)
    pairs = [(j, l) for j in range(k - 1) for l in range(j + 1)]
    ends = np.cumsum([k - 1, len(pairs), 0 if shares is None else k])
    sums = np.zeros((ends[-1], p * (p + 1) // 2))
    size = max(AT_ONCE // max(sum(sums.shape), 1), 64)
    for first in range(0, b, size):
        some = slice(first, first + size)
        w, own = found.proba[:, some], t[some]
        weighing = work("weighing", int(ends[-1]), len(own))
        weighted, bends, rest = np.split(weighing, ends[:-1])
        np.multiply(w, own, out=weighted)
        for (j, l), to in zip(pairs, bends, strict=True):
            np.multiply(weighted[j], w[l], out=to)
            np.subtract(weighted[j] if j == l else 0.0, to, out=to)
        if shares is not None:
            rest[...] = shares[:, some]
        sums += weighing @ squares(found.design[:, some], work).T
    rows, columns = np.triu_indices(p)
    curvature = np.empty((k - 1, p, k - 1, p))
    for (j, l), told in zip(pairs, sums[ends[0] : ends[1]], strict=True):
        block = np.empty((p, p))
        block[rows, columns] = block[columns, rows] = told
        curvature[j, :, l] = curvature[l, :, j] = block
    mean = np.empty((k, p))
    mean[1:] = sums[: k - 1, :p]
    mean[0] = found.design @ t - mean[1:].sum(axis=0)
    m, x, log = (k - 1) * p, found.design, found.log
    about = Expansion(
        coefficients,
        found.away,
        mean,
        curvature.reshape(m, m),
        x.min(axis=1, initial=np.inf),
        x.max(axis=1, initial=-np.inf),
        np.append(0.0, log.min(axis=1, initial=0.0)),
        np.append(0.0, log.max(axis=1, initial=0.0)),
    )
    return about, sums[ends[1] :, :p]


def squares(x: Array, work: Workspace) -> Array:
    """Products of each two of the covariates x (p, b), those of the first with all first."""
    p, b = x.shape
    found, first = work("squares", p * (p + 1) // 2, b), 0
    for j in range(p):
        np.multiply(x[j], x[j:], out=found[first : first + p - j])
        first += p - j
    return found


def sum_of_logs(values: Array, t: Array) -> float:
    """sum_i t_i log v_i of numbers v from 1 on, (b,)."""
    alike = t.min(initial=np.inf) == t.max(initial=-np.inf)
    if alike and values.max() < MODERATE:
        many = len(values) - len(values) % TOGETHER
        product = np.multiply.reduce(values[:many].reshape(TOGETHER, -1), axis=0)
        return float(t[0] * (np.log(product).sum() + np.log(values[many:]).sum()))
    return float(np.log(values) @ t)
