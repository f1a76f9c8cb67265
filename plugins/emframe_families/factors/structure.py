"""Columns that load on a few factors: what that says of a covariance, L L' + Psi.

Rotated factors explain the same rows, so loadings are known up to rotation only and count for so
much less.

One known case: without factors, L = 0, the columns are independent with variances Psi.
"""

from __future__ import annotations

from functools import cache, cached_property
from itertools import count
from math import prod

import numpy as np

from emframe import Array, Positive, Real
from emframe.parameters import Declared
from emframe.parameters.records import record
from emframe.spaces import Shape
from emframe_families.gaussian.parameters import FullParameters

NOISE = ("columns", "shared")


class Rotatable(Real):
    """Matrices (d, q) that are known up to a rotation of their columns.

    Coordinates are the entries, q (q - 1) / 2 more than there are free parameters.
    """

    def n_free(self, shape: Shape) -> int:
        *several, d, q = shape
        return prod(several) * (d * q - q * (q - 1) // 2)


class Loaded:
    """What components with factors have, whatever their noise."""

    means: Array
    loadings: Array
    noise: Array

    @cached_property
    def own(self) -> Array:
        """The variance that each column has of its own, (K, d)."""
        return np.broadcast_to(self.noise, self.means.shape)

    @cached_property
    def normal(self) -> FullParameters:
        """The components as normal distributions: their factors integrated out."""
        return FullParameters(self.means, covariances(self.loadings, self.own))


@cache
def components(n_factors: int, noise: str) -> type:
    """The parameters of components with so many factors.

    What columns are on average, how they load on the factors, and the variances of their own; with
    one noise variance for all columns of a component, (K, 1).
    """
    fields = {
        "means": Declared(Real(), ("d",)),  # (K, d)
        "loadings": Declared(Rotatable(), ("d", n_factors)),  # (K, d, q)
        "noise": Declared(Positive(), ("d" if noise == "columns" else 1,)),  # (K, d)
    }
    return record("FactorComponents", fields, Loaded)


def check_settings(n_factors: int, noise: str) -> None:
    """Raise ValueError for settings that no model has."""
    if noise not in NOISE:
        raise ValueError(f"`noise` is {noise!r}; expected 'columns' or 'shared'.")
    if n_factors < 1:
        raise ValueError(f"`n_factors` is {n_factors}; pass 1 or more.")


def most_factors(d: int, noise: str) -> int:
    """The most factors that the covariance of d columns can tell."""
    own = d if noise == "columns" else 1
    free = (q for q in range(1, d) if d * q - q * (q - 1) // 2 + own <= d * (d + 1) // 2)
    return max(free, default=0)


def fewest_columns(n_factors: int, noise: str) -> int:
    """The fewest columns whose covariance tells so many factors."""
    return next(d for d in count(n_factors) if most_factors(d, noise) >= n_factors)


def refuse_many_factors(n_factors: int, noise: str, d: int) -> None:
    """Raise ValueError for more factors than the columns' covariance can tell."""
    most = most_factors(d, noise)
    if n_factors > most:
        raise ValueError(
            f"`n_factors` is {n_factors}; the covariance of {d} columns tells at most {most}."
        )


def covariances(loadings: Array, own: Array) -> Array:
    """L L' + Psi (..., d, d), symmetric to the last bit."""
    found = loadings @ loadings.swapaxes(-1, -2)
    found = 0.5 * (found + found.swapaxes(-1, -2))
    np.einsum("...jj->...j", found)[...] += own
    return np.asarray(found)


def principal_axes(loadings: Array, own: Array) -> Array:
    """The same loadings (..., d, q) turned so that L' Psi^-1 L is diagonal and falling.

    Each factor is signed so that its loadings sum to 0 or above.
    """
    turn = np.linalg.svd(loadings / np.sqrt(own)[..., None], full_matrices=False)[2]
    turned = loadings @ turn.swapaxes(-1, -2)
    signs = np.where(turned.sum(axis=-2, keepdims=True) < 0, -1.0, 1.0)
    return np.asarray(turned * signs)


def uniquenesses(correlations: Array, q: int) -> Array:
    """Shares of the variances to begin with: what regression on the other columns leaves.

    From correlations (..., d, d); Joereskog (1967, Psychometrika 32, 443).
    """
    d = correlations.shape[-1]
    left = np.full(correlations.shape[:-1], 0.5)
    regular = np.linalg.eigvalsh(correlations)[..., 0] > 1e-10
    inverse = np.linalg.inv(correlations[regular])
    left[regular] = (1.0 - 0.5 * q / d) / np.diagonal(inverse, axis1=-2, axis2=-1)
    return np.clip(left, 0.05, 1.0)
