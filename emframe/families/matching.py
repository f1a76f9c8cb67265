"""Which cluster goes to which component, where components are unlike.

A start is a partition of the rows, in no order that means anything; components may be of several
families, or hold parameters of their own, and then it matters which of them gets which cluster.
The best assignment is the one under which the rows are likeliest in all:

    maximise  sum_k score[c(k), k],     score[c, k] = sum_i r_ic [ log w_k + log f(x_i | theta_ck) ]

with theta_ck the M-step of component k on the shares of cluster c, and one cluster to each
component (Kuhn 1955, Naval Research Logistics Quarterly 2, 83).

One known case: components that are all alike get the clusters in the order in which they come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.core import Degenerate
from emframe.families.base import Family
from emframe.spaces import Array

# What a row counts that a component makes impossible: the logarithm of the smallest number.  So a
# component held on a point still prefers the cluster with most of its rows on that point.
IMPOSSIBLE = float(np.log(np.finfo(float).tiny))


def matched(
    families: Sequence[Family],
    x: Any,
    resp: Array,
    weights: Array,
    held: Sequence[float] | None = None,
    places: NDArray[np.intp] | None = None,
) -> Array:
    """Responsibilities (n, K) with each cluster in the column of the component that it goes to.

    Parameters
    ----------
    families : (K,) of each component, as `Family.each` says.
    x, weights : the rows and their frequencies (n,).
    held : (K,) prior probabilities of the components, where they are held.
    places : the columns that may change places; all, unless others stay.
    """
    order = np.arange(len(families))
    places = order.copy() if places is None else places
    families = [families[k] for k in places]
    held = None if held is None else [held[k] for k in places]
    if is_alike(families, held):
        return resp
    from scipy.optimize import linear_sum_assignment  # not with emframe: few models are unlike

    score = _scores(families, x, resp[:, places] * weights[:, None], held)
    cluster, component = linear_sum_assignment(score, maximize=True)
    order[places[component]] = places[cluster]
    return resp[:, order]


def exchanged(
    families: Sequence[Family],
    x: Any,
    resp: Array,
    weights: Array,
    held: Sequence[float] | None = None,
) -> Iterator[Array]:
    """Responsibilities (n, K) in which two components that are unlike have changed places.

    Those pairs come first that describe each other's rows best; none where all are alike.
    """
    if is_alike(families, held):
        return
    score = _scores(families, x, resp * weights[:, None], held)
    own = np.diag(score)
    each = families if held is None else list(zip(families, held, strict=True))
    pairs = [(i, j) for i, j in combinations(range(len(each)), 2) if each[i] != each[j]]
    gain = [score[i, j] + score[j, i] - own[i] - own[j] for i, j in pairs]
    for index in np.argsort(-np.array(gain), kind="stable"):
        i, j = pairs[index]
        order = np.arange(len(each))
        order[[i, j]] = j, i
        yield resp[:, order]


def is_alike(families: Sequence[Family], held: Sequence[float] | None = None) -> bool:
    """Whether all components are interchangeable."""
    return len(distinct(families)) == 1 and (held is None or len(set(held)) == 1)


def _scores(
    families: Sequence[Family], x: Any, shares: Array, held: Sequence[float] | None
) -> Array:
    """How well component k, fitted to cluster c, describes its rows, (K, K); `shares` as (n, K)."""
    k = len(families)
    weights = np.ones(k) if held is None else np.maximum(held, np.finfo(float).tiny)
    score = np.outer(shares.sum(axis=0), np.log(weights))
    for kind in distinct(families):
        density = likely(fitted(families[kind[0]], x, shares))
        score[:, kind] += (shares * density).sum(axis=0)[:, None]
    return score


def distinct(each: Sequence[Any]) -> list[list[int]]:
    """Which of them are equal, such as the families of components that are interchangeable."""
    kinds: list[list[int]] = []
    for index, one in enumerate(each):
        for kind in kinds:
            if each[kind[0]] == one:
                kind.append(index)
                break
        else:
            kinds.append([index])
    return kinds


def fitted(family: Family, x: Any, shares: Array) -> Array:
    """Log density of each row under the component fitted to each column of `shares`, (n, C).

    -inf under one that cannot be fitted.
    """
    try:
        params = family.m_step(family.accumulate(x, shares), None)
    except Degenerate:
        if shares.shape[1] == 1:
            return np.full(shares.shape, -np.inf)
        each = np.split(shares, shares.shape[1], axis=1)
        return np.concatenate([fitted(family, x, one) for one in each], axis=1)
    with np.errstate(all="ignore"):  # a row may be far from a component
        return np.asarray(family.log_density(params, x))


def likely(density: Array) -> Array:
    """Log densities within the range of numbers, what is undefined being impossible."""
    return np.clip(np.nan_to_num(density, nan=-np.inf), IMPOSSIBLE, -IMPOSSIBLE)
