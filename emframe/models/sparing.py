"""Where components are alike one can be spared: is there a place where it would do more?

Of two components that are alike one may have the weight of both, and the other none, at no cost;
without weight it may be anywhere.  So if there is any place theta where

    D(theta) = sum_i w_i f_theta(x_i) / f(x_i) - n  >  0,

the directional derivative of the log-likelihood towards a component there (Lindsay 1983, Ann.
Statist. 11, 86), the point is no maximum: it is on a ridge that leads up from elsewhere.  That
place may be far from the components that are alike, where no cut through their rows finds it.

Two components that are not alike can be made so: one has the rows of both, and the other is put
where it does most.  Of a mixture of two that is a start which no random draw may find: of 90 rows
of a binomial regression the two components that fit best are one for four rows of five and one for
a few that no ball of rows holds, and 300 of 300 random starts end below.

One known case: of three Poisson components for the daily death notices of Hasselblad two end alike,
and a third of rate 0 does more than either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from emframe.families import Family, fitted, likely
from emframe.spaces import Array

PLACES = 40  # rows that a component is tried about
SHARES = (0.01, 0.1)  # of all rows, that it is tried on
BROAD = (0.1, 0.25)  # the same where a few rows are always better, for a density that can shrink
FEWER = (0.05, 0.15, 0.4)  # the same where all starts are to be different
OTHER = 0.9  # the overlap of the shares from where on two are about the same
CLEAR = 1e-6  # of the rows: a derivative that is no rounding


def spared(
    family: Family,
    resp: Array,
    twins: tuple[int, int],
    row_loglik: Array,
    x: Any,
    points: Array,
    weights: Array,
    rng: np.random.Generator,
    of_all: tuple[float, ...] = SHARES,
) -> Array | None:
    """Responsibilities (n, K) with one of two twins elsewhere; None where no place tried is better.

    Parameters
    ----------
    family : of a single component, as `Family.each` says.
    row_loglik : (n,) log density of each row.
    x, points : the rows as the family takes them, and as points in space (n, d).
    weights : (n,) frequencies.
    of_all : shares of all rows that a component is tried on.
    """
    log_density = likely(fitted(family, x, _cores(points, weights, rng, of_all)))
    slope, ratio = _slopes(log_density, row_loglik, weights)
    best = int(np.argmax(slope))
    if not slope[best] > CLEAR * weights.sum():
        return None
    stays, goes = twins
    new = resp.copy()
    new[:, stays] += new[:, goes]
    own = _shares(slope[best], ratio[:, best], weights)
    new *= 1.0 - own[:, None]
    new[:, goes] = own
    return new


def apart(
    family: Family,
    row_loglik: Array,
    x: Any,
    points: Array,
    weights: Array,
    n_starts: int,
    rng: np.random.Generator,
    of_all: tuple[float, ...] = FEWER,
) -> Array:
    """Responsibilities (S, 2, n) of a component for all rows and another where it does most.

    At most `n_starts`, the steepest first, of which no two have about the same rows.

    Parameters
    ----------
    row_loglik : (n,) log density of each row under the component that is fitted to all.
    family, x, points, weights, of_all : as for `spared`.
    """
    log_density = likely(fitted(family, x, _cores(points, weights, rng, of_all)))
    slope, ratio = _slopes(log_density, row_loglik, weights)
    found: list[Array] = []
    for one in np.argsort(-slope, kind="stable"):
        if len(found) == n_starts or not slope[one] > CLEAR * weights.sum():
            break
        own = _shares(slope[one], ratio[:, one], weights)
        if all(_overlap(own, other, weights) < OTHER for other in found):
            found.append(own)
    each = np.array(found).reshape(len(found), len(points))
    return np.stack([1.0 - each, each], axis=1)


def _cores(
    points: Array, weights: Array, rng: np.random.Generator, of_all: tuple[float, ...]
) -> Array:
    """Weights (n, C) of the rows about some of them, as many as are these shares of all."""
    n, total = len(points), weights.sum()
    centres = rng.permutation(n)[:PLACES]
    spread = np.sqrt(weights @ np.square(points - weights @ points / total) / total)
    scaled = points / np.where(spread > 0, spread, 1.0)
    cores = []
    for centre in centres:
        away = np.square(scaled - scaled[centre]).sum(axis=1)
        order = np.argsort(away, kind="stable")
        reached = np.cumsum(weights[order])
        for share in of_all:
            last = min(int(np.searchsorted(reached, share * total)), n - 1)
            cores.append(away <= away[order[last]])
    return np.stack(cores, axis=1) * weights[:, None]


def _slopes(log_density: Array, row_loglik: Array, weights: Array) -> tuple[Array, Array]:
    """D of each candidate (C,), and the ratios of densities that it is a sum of, (n, C)."""
    with np.errstate(over="ignore"):
        ratio = np.exp(log_density - row_loglik[:, None])
    slope = weights @ ratio - weights.sum()
    return np.where(np.isfinite(slope), slope, -np.inf), ratio


def _shares(slope: float, ratio: Array, weights: Array) -> Array:
    """The rows' shares (n,) in a new component at Newton's weight: an EM step from there rises."""
    lift = ratio - 1.0
    weight = min(float(slope / (weights @ lift**2)), 0.5)
    return np.asarray(weight * ratio / (1.0 + weight * lift))


def _overlap(one: Array, other: Array, weights: Array) -> float:
    """The cosine of two columns of shares."""
    sizes = (weights @ one**2) * (weights @ other**2)
    return float(weights @ (one * other) / np.sqrt(sizes)) if sizes > 0 else 0.0
