"""Coordinates of parameters, component by component: (K, p), a row to each.

Components do not meet in Q, so a numeric M-step moves each in coordinates of its own, and asks for
densities at many points at once as if they were as many components.

One known case: a rate and a mean per component have p = 2 coordinates, a root and the mean itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from emframe.parameters import Leaf, declarations, leaves
from emframe.spaces import Array


def size_of(leaf: Leaf) -> int:
    """Coordinates of one component's value."""
    return leaf.declared.space.n_coordinates((1, *np.shape(leaf.value)[1:]))


def coordinates(params: Any) -> Array:
    """Coordinates of each component, (K, p)."""
    parts = []
    for leaf in leaves(params):
        k = len(leaf.value)
        parts.append(leaf.declared.space.coordinates(leaf.value).reshape(k, -1))
    return np.concatenate(parts, axis=1)


def pulled_back(params: Any, slope: Any) -> Array:
    """Derivatives in the form of parameters as derivatives by the coordinates, (K, p)."""
    parts = [
        leaf.declared.space.pullback(leaf.value, along.value).reshape(len(leaf.value), -1)
        for leaf, along in zip(leaves(params), leaves(slope), strict=True)
    ]
    return np.concatenate(parts, axis=1)


def from_coordinates(like: Any, points: Array) -> Any:
    """Parameters of the class of `like` at coordinates (K, p)."""
    d = next((leaf.value.shape[1] for leaf in leaves(like) if leaf.declared.shape), 1)
    return at_coordinates(type(like), points, d)


def at_coordinates(kind: type, points: Array, d: int) -> Any:
    """Parameters of a class at coordinates (K, p), for data of d columns."""
    values, used = {}, 0
    for name, declared in declarations(kind).items():
        shape = (len(points), *(d if axis == "d" else int(axis) for axis in declared.shape))
        size = declared.space.n_coordinates((1, *shape[1:]))
        vector = np.ascontiguousarray(points[:, used : used + size]).ravel()
        values[name] = declared.space.point(vector, shape)
        used += size
    return kind(**values)
