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

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from emframe.core import Degenerate
from emframe.families.base import Family
from emframe.spaces import Array

# What a row counts that a component makes impossible: the logarithm of the smallest number.  So a
# component held on a point still prefers the cluster with most of its rows on that point.
IMPOSSIBLE = float(np.log(np.finfo(float).tiny))


def assigned(
    families: Sequence[Family], x: Any, shares: Array, log_weights: Array | None = None
) -> NDArray[np.intp]:
    """The cluster that each component gets, (K,).

    Parameters
    ----------
    families : (K,) of each component, as `Family.each` says.
    x, shares : the rows, and how much of each is in each cluster (n, K), row weights included.
    log_weights : (K,) of components whose prior probabilities are held.
    """
    k = len(families)
    held = np.zeros(k) if log_weights is None else log_weights
    score = np.outer(shares.sum(axis=0), held)
    kinds = distinct(families)
    if len(kinds) == 1 and not np.ptp(held) > 0.0:
        return np.arange(k)
    for kind in kinds:
        density = likely(fitted(families[kind[0]], x, shares))
        score[:, kind] += (shares * density).sum(axis=0)[:, None]
    cluster, component = linear_sum_assignment(score, maximize=True)
    return np.asarray(cluster[np.argsort(component)])


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
