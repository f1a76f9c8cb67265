"""Where components are alike one can be spared: is there a place where it would do more?

Of two components that are alike one may have the weight of both, and the other none, at no cost;
without weight it may be anywhere.  So if there is any place theta where

    D(theta) = sum_i w_i f_theta(x_i) / f(x_i) - n  >  0,

the directional derivative of the log-likelihood towards a component there (Lindsay 1983, Ann.
Statist. 11, 86), the point is no maximum: it is on a ridge that leads up from elsewhere.  That
place may be far from the components that are alike, where no cut through their rows finds it.

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
    log_density = likely(fitted(family, x, np.stack(cores, axis=1) * weights[:, None]))
    with np.errstate(over="ignore"):
        ratio = np.exp(log_density - row_loglik[:, None])  # (n, C)
    slope = weights @ ratio - total
    slope = np.where(np.isfinite(slope), slope, -np.inf)
    best = int(np.argmax(slope))
    if not slope[best] > CLEAR * total:
        return None
    # Newton's weight of the new component, and the E-step with it: an EM step from there rises.
    lift = ratio[:, best] - 1.0
    weight = min(slope[best] / (weights @ lift**2), 0.5)
    own = weight * ratio[:, best] / (1.0 + weight * lift)
    new = resp.copy()
    stays, goes = twins
    new[:, stays] += new[:, goes]
    new[:, goes] = 0.0
    new *= 1.0 - own[:, None]
    new[:, goes] = own
    return new
