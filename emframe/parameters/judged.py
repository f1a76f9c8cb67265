"""Whether parameters are what they were declared to be, and if not, what is wrong with them.

One known case: a rate below 0 has a problem, and the message names its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from emframe.parameters.declared import Leaf, _layout, held, leaves


def valid(params: Any, like: Any = None) -> bool:
    """Whether every array lies in its space, and has the shape that it has in `like`.

    The quick form of `problem`, for every step of a fit.
    """
    if isinstance(params, tuple):
        others = (None,) * len(params) if like is None else like
        return len(others) == len(params) and all(map(valid, params, others))
    kind: Any = type(params)
    if like is not None and type(like) is not kind:
        return False
    for name, declared in _layout(kind):
        value, other = held(params, name), None if like is None else held(like, name)
        if declared is not None and other is not None and np.ndim(value) != np.ndim(other):
            value, other = getattr(params, name), getattr(like, name)
        if declared is None:
            if not valid(value, other):
                return False
            continue
        if other is not None and np.shape(value) != other.shape:
            return False
        space = declared.space_of(value)
        if not declared.fixed and not space.holds(value[:1] if declared.shared else value):
            return False
    return True


def problem(params: Any, dims: Mapping[str, int], prefix: str = "") -> str | None:
    """What is wrong with parameters for these dimensions (``{"K": 3, "d": 2}``), or None.

    Dimensions that are not given may be anything; `prefix` leads the names in the message.
    """
    found = (leaf_problem(leaf, dims) for leaf in leaves(params, prefix))
    return next((text for text in found if text), None)


def leaf_problem(leaf: Leaf, dims: Mapping[str, int]) -> str | None:
    """What is wrong with one array, or None."""
    declared = leaf.declared
    expected = tuple(
        dims.get(axis, -1) if isinstance(axis, str) else axis for axis in declared.axes()
    )
    if leaf.is_packed and _packed_is_fine(leaf, expected):
        return None
    value = np.asarray(leaf.value)
    if value.dtype.kind not in "fiub":
        return f"`{leaf.path}` has dtype {value.dtype}; pass real numbers"
    if len(value.shape) != len(expected) or any(
        want not in (-1, have) for want, have in zip(expected, value.shape, strict=True)
    ):
        names = ", ".join(str(axis) for axis in declared.axes())
        wanted = ", ".join("any" if n < 0 else str(n) for n in expected)
        return f"`{leaf.path}` has shape {value.shape}; expected ({names}) = ({wanted})"
    outside = ~np.atleast_1d(declared.space.contains(value.astype(float)))
    if outside.any():
        axes = value.ndim - declared.space.n_event_axes
        first = np.unravel_index(int(outside.argmax()), outside.shape)[:axes]
        where = f"[{', '.join(str(int(i)) for i in first)}]" if first else ""
        entry = np.array2string(value[first], separator=", ", precision=6)
        return (
            f"`{leaf.path}{where}` is {entry.replace(chr(10), '')}; expected {declared.space.words}"
        )
    if declared.shared and not (value == value[:1]).all():
        return f"`{leaf.path}` differs between components; it is one value shared by all"
    return None


def _packed_is_fine(leaf: Leaf, expected: tuple[int, ...]) -> bool:
    """Whether nothing is wrong with an array that is stored by fewer numbers than it is told by."""
    held, wanted = leaf.held, expected[:-1]
    if any(want not in (-1, have) for want, have in zip(wanted, held.shape, strict=True)):
        return False
    alike = not leaf.declared.shared or bool((held == held[:1]).all())
    return alike and leaf.declared.space_of(held).holds(held)
