"""Paths that begin as they go on: p(z_1) is the stationary distribution of the transitions.

    delta A = delta,        the part of Q that A enters:   sum S_ij log A_ij + sum B_i log delta_i

Its maximum has no closed form.  At it ``A_ij`` is in proportion to ``A_ij slope_ij``, row by row:
the growth transform of Baum and Eagon (1967, Bull. AMS 73, 360), repeated while it pays.

One known case: of two states that are left with probabilities a and b, delta = (b, a) / (a + b).
"""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

from emframe.core import Degenerate
from emframe.spaces import Array

GROWTHS = 20  # at most, in an M-step


def stationary(transitions: Array) -> Array:
    """delta with delta A = delta and sum 1, (K,).

    Raises Degenerate where there are several: states that the others never reach.
    """
    delta = np.maximum(_returned(transitions, np.ones(len(transitions)), turned=True), 0.0)
    return np.asarray(delta / delta.sum())


def value(begins: Array, steps: Array, transitions: Array) -> float:
    """The part of Q that the transitions enter."""
    chain = xlogy(steps, transitions).sum()
    return float(chain + xlogy(begins, stationary(transitions)).sum())


def slope(begins: Array, transitions: Array) -> Array:
    """Derivative of ``begins @ log(delta)`` by the transitions, (K, K).

    d delta = delta dA Z with Z = (1 - A + 1 u')^-1 for any u that does not sum to 0, because
    d delta (1 - A) = delta dA and d delta sums to 0 (Schweitzer 1968, J. Appl. Prob. 5, 401).
    """
    delta = stationary(transitions)
    return np.outer(delta, _returned(transitions, ratio(begins, delta)))


def climb(begins: Array, steps: Array, transitions: Array) -> Array:
    """Transitions that raise `value` from those given, nearly to its maximum."""
    reached = value(begins, steps, transitions)
    for _ in range(GROWTHS):
        up = slope(begins, transitions)
        # On a simplex a constant may be taken from a row of the slope; the least keeps it positive.
        grown = steps + transitions * (up - up.min(axis=1, keepdims=True))
        total = grown.sum(axis=1, keepdims=True)
        grown = np.where(total > 0, grown / np.where(total > 0, total, 1.0), transitions)
        raised = value(begins, steps, grown)
        if not raised > reached:
            break
        transitions, reached = grown, raised
    return transitions


def ratio(top: Array, bottom: Array) -> Array:
    """top / bottom, and 0 where the bottom is 0."""
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)


def _returned(transitions: Array, right: Array, *, turned: bool = False) -> Array:
    """(1 - A + 1 1')^-1 b, or by its transpose; Degenerate where A has several stationary ends."""
    k = len(transitions)
    matrix = np.eye(k) - transitions + 1.0
    try:
        return np.asarray(np.linalg.solve(matrix.T if turned else matrix, right), dtype=float)
    except np.linalg.LinAlgError as error:
        raise Degenerate(
            "the transitions have several stationary distributions, for some states never reach "
            "the others; use initial='free' or fewer states"
        ) from error
