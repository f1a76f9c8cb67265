"""A component that starved is given a place elsewhere: half of the rows that are described worst.

Among many components one may lose its rows, or be left on a single point, while all others are
where they should be: then another one holds what two should.  Which that is, a trial shows.  Each
component is cut in two, a component is fitted to either half, and the one whose rows gain most by
that gives up half of them:

    gain of j = sum_i r_ij [ log (f_ja(x_i) + f_jb(x_i)) / 2 - log f_j(x_i) ]

The trials of all take two M-steps together, and a change of units changes none.

One known case: a component across two clusters gains more than those that have one each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from emframe.families import Family, fitted, likely
from emframe.models.moves import across
from emframe.spaces import Array

# How steep a cut is, in 1 / deviation of the rows: two clusters side by side lie at +-1, and are
# told apart; softer halves are both of both clusters, and gain nothing.
STEEP = 4.0


def without(resp: Array, k: int) -> Array:
    """Responsibilities (n, K) with the share of component k given to all others, as they stand.

    Rows that were of no other are shared out evenly.
    """
    rest = resp.copy()
    rest[:, k] = 0.0
    total = rest.sum(axis=1, keepdims=True)
    others = np.arange(resp.shape[1]) != k
    even = others / others.sum()
    return np.where(total > 0.0, rest / np.where(total > 0.0, total, 1.0), even)


def placed(
    family: Family,
    resp: Array,
    k: int,
    x: Any,
    points: Array,
    weights: Array,
    rng: np.random.Generator,
) -> Array:
    """Responsibilities (n, K) with component k on half of the rows of another.

    Parameters
    ----------
    family : of component k, as `Family.each` says.
    resp : (n, K) with nothing in column k.
    x, points : the rows as the family takes them, and as points in space.
    weights : (n,) frequencies.
    """
    shares = resp * weights[:, None]
    heavy = shares.sum(axis=0) > 0
    side = np.zeros(resp.shape)
    for j in np.flatnonzero(heavy):
        side[:, j] = across(shares[:, j], points, rng, STEEP)
    whole = likely(fitted(family, x, shares))
    one = likely(fitted(family, x, shares * side))
    other = likely(fitted(family, x, shares * (1.0 - side)))
    gain = (shares * (np.logaddexp(one, other) - np.log(2.0) - whole)).sum(axis=0)
    worst = int(np.argmax(np.where(heavy, gain, -np.inf)))
    new = resp.copy()
    new[:, k] = resp[:, worst] * side[:, worst]
    new[:, worst] -= new[:, k]
    return new
