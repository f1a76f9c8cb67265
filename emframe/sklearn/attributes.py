"""A fit as the attributes that scikit-learn's users look for.

Each parameter of the family goes by its name with an underscore.  What is repeated along an axis
for emframe's sake is shown once, as scikit-learn does: a tied covariance is (d, d), a diagonal one
(K, d), a spherical one (K,).

One known case: a spherical covariance s I is the number s, and its precision 1 / s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

import emframe
from emframe.parameters import Leaf, leaves
from emframe.spaces import Array, PositiveDefinite


def attributes(fit: emframe.Fit, max_iter: int) -> dict[str, Any]:
    """Names, with scikit-learn's trailing underscore, and values."""
    # One, as there, where the start was the end already.
    steps = min(max(1, len(fit.trace) - 1), max_iter)
    shown: dict[str, Any] = {
        "converged_": fit.converged,
        "n_iter_": steps,
        "lower_bounds_": list(fit.trace / fit.n_rows),
        "lower_bound_": float(fit.trace[-1] / fit.n_rows),
    }
    for leaf in leaves(fit.params):
        name = leaf.path.removeprefix("components.")
        if "." in name:  # of one family among several: these are in fit_.params
            continue
        shown[f"{name}_"] = compact(leaf)
        if name == "covariances" and isinstance(leaf.declared.space, PositiveDefinite):
            root = precisions_cholesky(leaf)
            square = leaf.declared.space.structure == "full"
            shown["precisions_cholesky_"] = root
            shown["precisions_"] = root @ np.swapaxes(root, -1, -2) if square else root**2
    gate = getattr(fit.params, "gate", None)
    if gate is not None:
        intercept, *slopes = vars(gate).values()
        shown["gate_intercept_"] = np.array(intercept)
        shown["gate_coef_"] = np.array(slopes).T.reshape(len(intercept), -1)
        shown["gate_names_"] = np.array(list(vars(gate))[1:], dtype=object)
    return shown


def compact(leaf: Leaf) -> Array:
    """A parameter without the repetition that its declaration tells of."""
    value = leaf.value[0] if leaf.declared.shared else leaf.value
    space = leaf.declared.space
    if not isinstance(space, PositiveDefinite) or space.structure == "full":
        return np.array(value)
    diagonal = np.diagonal(value, axis1=-2, axis2=-1)
    return np.array(diagonal[..., 0] if space.structure == "spherical" else diagonal)


def precisions_cholesky(leaf: Leaf) -> Array:
    """U, upper triangular, with U U' the inverse of each covariance; 1 / sd of a diagonal one."""
    covariances = compact(leaf)
    if covariances.ndim < leaf.value.ndim - leaf.declared.shared:
        return np.asarray(1.0 / np.sqrt(covariances))
    d = covariances.shape[-1]
    roots = [
        solve_triangular(np.linalg.cholesky(one), np.eye(d), lower=True).T
        for one in covariances.reshape(-1, d, d)
    ]
    return np.reshape(roots, covariances.shape)
