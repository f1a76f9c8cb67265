"""The maximum of the relating step's likelihood, and its covariance with the first step's in it.

Both steps solve equations, sum_i w_i psi_i = 0, and the second has the parameters of the first in
it.  So each row moves the coefficients b directly, and through the first step's parameters a,

    phi_i = A^-1 [ psi_i + B J^-1 g_i ],        A = -d psi / d b,   B = d psi / d a

with g the rows' scores of the first step and J its information; and the covariance of b is
sum_i w_i phi_i phi_i' (Newey and McFadden 1994, section 6; Bakk, Oberski and Vermunt 2014,
Political Analysis 22, 520).  It holds too where the likelihood of the second step is none, as
under bch.

One known case: where classes are told apart without error B is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.core import Degenerate
from emframe.relating.first_step import Classes, FirstStep
from emframe.relating.likelihoods import (
    Membership,
    RelatedOutcome,
    by_terms,
    contributions,
    slopes,
)
from emframe.spaces import EPS, Array

MOST_STEPS, MOST_HALVINGS = 200, 40
SINGULAR = 1e-10  # a root of the information relative to the largest, that is none


@dataclass(frozen=True)
class Solved:
    """Coefficients, what is told of them, and its covariance."""

    coefficients: Array  # (m,)
    told: Array  # (q,)
    covariance: Array  # (q, q) of what is told


def solved(method: str, first: FirstStep, relation: RelatedOutcome | Membership) -> Solved:
    """The relating step by a method.

    Raises `Degenerate` where its likelihood has no finite maximum.
    """
    classes, w = first.here(), first.weights

    def rows(classes: Classes, b: NDArray[Any]) -> NDArray[Any]:
        return contributions(method, classes, relation.terms(b))

    def slope_at(b: Array) -> Array:
        weighing = by_terms(method, classes, relation.terms(b)) * w[:, None]
        return summed(weighing, relation.jacobian(b))

    here = partial(rows, classes)
    b = relation.start(classes.shares * w[:, None])
    value = float(w @ here(b))
    for _ in range(MOST_STEPS):
        slope = slope_at(b)
        step = _solve(_curvature(slope_at, b), slope)
        promised = float(slope @ step)
        if not promised > EPS * w.sum():
            break
        length = 1.0
        for _ in range(MOST_HALVINGS):
            there = b + length * step
            with np.errstate(over="ignore", invalid="ignore"):
                found = float(w @ here(there))
            if found > value:
                break
            length /= 2.0
        else:
            break
        b, value = there, found
    curvature = _curvature(slope_at, b)
    roots = np.linalg.eigvalsh(curvature)
    if not roots[0] > SINGULAR * roots[-1]:
        raise Degenerate(
            f"the relation by method={method!r} has no finite maximum: a class has the same "
            "outcome in all of its rows, or covariates tell classes apart without error; take "
            "fewer classes or covariates"
        )
    terms, jacobian = relation.terms(b), relation.jacobian(b)

    def slope_by(classes: Classes) -> Array:
        return summed(by_terms(method, classes, terms) * w[:, None], jacobian)

    psi = np.einsum("nk,nkm->nm", by_terms(method, classes, terms), jacobian)
    psi = psi + _carried(first, classes, slope_by)
    influence = np.linalg.solve(curvature, psi.T).T
    moved = influence @ slopes(relation.told, b).T
    return Solved(b, np.asarray(relation.told(b)), (moved * w[:, None]).T @ moved)


def _carried(first: FirstStep, classes: Classes, slope_by: Callable[[Classes], Array]) -> Array:
    """B J^-1 g_i of each row, (n, m)."""
    changes, scores, bends = [], [], []
    for step, low, high in first.neighbours():
        ends = [first.at(params, classes.assigned) for params in (low, high)]
        down, up = (slope_by(one) for one in ends)
        changes.append((up - down) / (2.0 * step))
        scores.append((ends[1].log_rows - ends[0].log_rows) / (2.0 * step))
        bends.append((first.gradient(high) - first.gradient(low)) / (2.0 * step))
    information = -np.array(bends)
    inverse = np.linalg.pinv((information + information.T) / 2.0, rcond=1e-8, hermitian=True)
    return np.asarray(np.stack(scores, axis=1) @ inverse @ np.array(changes))


def summed(weighing: Array, jacobian: Array) -> Array:
    """sum_it g_it da_it / db, (m,)."""
    return np.asarray(weighing.ravel() @ jacobian.reshape(weighing.size, -1))


def _curvature(slope_at: Callable[[Array], Array], b: Array) -> Array:
    """Minus the second derivative of the log-likelihood, (m, m), by differences of its slope."""
    columns = []
    for j in range(len(b)):
        step = np.cbrt(EPS) * max(1.0, abs(b[j]))
        move = np.zeros(len(b))
        move[j] = step
        columns.append((slope_at(b - move) - slope_at(b + move)) / (2.0 * step))
    found = np.array(columns)
    return np.asarray((found + found.T) / 2.0)


def _solve(curvature: Array, slope: Array) -> Array:
    """An ascending step: Newton's, with directions that bend upwards turned round."""
    roots, axes = np.linalg.eigh(curvature)
    size = np.maximum(np.abs(roots), SINGULAR * np.abs(roots).max(initial=1.0))
    return np.asarray(axes @ ((axes.T @ slope) / size))
