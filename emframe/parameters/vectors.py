"""Parameters as vectors: the coordinates of their spaces, one array after another.

What is held has no coordinates, and what components share has one set.  Acceleration, standard
errors and numeric M-steps know parameters by these alone.

One known case: ``from_vector(params, to_vector(params))`` is `params`, to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.parameters.declared import (
    _layout,
    _moving,
    _read_only,
    free_leaves,
    held,
)
from emframe.spaces import Array
from emframe.spaces import slopes as quotients


def n_free(params: Any) -> int:
    """Number of free parameters: what AIC and BIC count."""
    return sum(leaf.declared.space.n_free(leaf.free_shape) for leaf in free_leaves(params))


def to_vector(params: Any) -> Array:
    """Coordinates of all arrays, end to end."""
    parts = [space.coordinates(value) for space, value in _moving(params)]
    return np.concatenate(parts) if parts else np.zeros(0)


def units(params: Any) -> Array:
    """How far along each coordinate of `to_vector` matters; see `emframe.spaces.Space.units`."""
    parts = [space.units(value) for space, value in _moving(params)]
    return np.concatenate(parts) if parts else np.zeros(0)


def slopes(function: Callable[[Any], float], params: Any) -> Array:
    """Gradient of a function of parameters in their coordinates, by central differences, (m,)."""
    return quotients(
        lambda vector: function(from_vector(params, vector)), to_vector(params), units(params)
    )


def owners(params: Any) -> NDArray[np.intp]:
    """The component that each coordinate of `to_vector` belongs to; -1 where it is not one's."""
    parts = [np.zeros(0, dtype=np.intp)]
    for leaf in free_leaves(params):
        size = leaf.declared.space.n_coordinates(leaf.free_shape)
        own = leaf.declared.is_own
        k = leaf.free_shape[0] if own else 1
        parts.append(np.repeat(np.arange(k) if own else [-1], size // k))
    return np.concatenate(parts)


def from_vector(like: Any, vector: Array) -> Any:
    """Read-only parameters of the form of `like` at these coordinates; inverse of `to_vector`."""
    params, used = _placed(like, vector, 0)
    if used != len(vector):
        raise ValueError(f"`vector` has {len(vector)} coordinates; these parameters take {used}.")
    return params


def _placed(like: Any, vector: Array, used: int) -> tuple[Any, int]:
    """Parameters from the coordinates that follow the first `used`, and how many are used then."""
    if isinstance(like, tuple):
        items = []
        for item in like:
            one, used = _placed(item, vector, used)
            items.append(one)
        return tuple(items), used
    kind: Any = type(like)
    values = {}
    for name, declared in _layout(kind):
        value = held(like, name)
        if declared is None:
            values[name], used = _placed(value, vector, used)
        elif declared.fixed:
            values[name] = value
        else:
            shape = (1, *value.shape[1:]) if declared.shared else value.shape
            space = declared.space_of(value)
            first, used = used, used + space.n_coordinates(shape)
            point = _read_only(space.point(vector[first:used], shape))
            values[name] = np.broadcast_to(point, value.shape) if declared.shared else point
    return kind(**values), used


def pullback(params: Any, gradient: Any) -> Array:
    """A gradient as parameters of the same form, turned into one in coordinates."""
    parts = _pulled(params, gradient)
    return np.concatenate(parts) if parts else np.zeros(0)


def _pulled(params: Any, gradient: Any) -> list[Array]:
    """`pullback` array by array."""
    if isinstance(params, tuple):
        pairs = zip(params, gradient, strict=True)
        return [found for one, slope in pairs for found in _pulled(one, slope)]
    kind: Any = type(params)
    found: list[Array] = []
    for name, declared in _layout(kind):
        value, slope = held(params, name), held(gradient, name)
        if declared is not None and declared.is_packed(value) != declared.is_packed(slope):
            value, slope = getattr(params, name), getattr(gradient, name)
        if declared is None:
            found += _pulled(value, slope)
        elif declared.shared and not declared.fixed:
            along = slope.sum(axis=0, keepdims=True)
            found.append(declared.space_of(value).pullback(value[:1], along))
        elif not declared.fixed:
            found.append(declared.space_of(value).pullback(value, slope))
    return found
