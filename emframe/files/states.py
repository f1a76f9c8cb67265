"""The state of a method as plain arrays, and back.

One known case: a number is an array of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from emframe.parameters import frozen, leaves, rebuild
from emframe.spaces import Array


def flat(state: Any, name: str = "") -> dict[str, Array]:
    """A method's state as arrays by name; None is left out.

    Raises TypeError for what is neither a number, an array, parameters nor a named tuple of them.
    """
    if state is None:
        return {}
    if isinstance(state, (bool, int, float, np.number)):
        return {name: np.array([float(state)])}
    if isinstance(state, np.ndarray) and state.dtype == np.float64:
        return {name: state}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        parts = zip(state._fields, state, strict=True)
        return {
            key: value for one, part in parts for key, value in flat(part, f"{name}/{one}").items()
        }
    if is_dataclass(state):
        return arrays_of(state, f"{name}/")
    raise TypeError(f"a state with a {type(state).__name__} in it is not told")


def filled(like: Any, arrays: Mapping[str, Array], name: str = "") -> Any:
    """The state that `flat` told, in the form of `like`.  KeyError where there is none."""
    if isinstance(like, tuple) and hasattr(like, "_fields"):
        parts = zip(like._fields, like, strict=True)
        return type(like)(*(filled(part, arrays, f"{name}/{one}") for one, part in parts))
    if like is None:
        return arrays.get(name)
    if isinstance(like, np.ndarray):
        return arrays[name]
    if is_dataclass(like):
        return frozen(rebuild(like, lambda leaf: arrays[f"{name}/{leaf.path}"]))
    return type(like)(arrays[name][0])


def arrays_of(params: Any, prefix: str) -> dict[str, Array]:
    """Each array of the parameters by its path, under a prefix."""
    return {prefix + leaf.path: np.asarray(leaf.value) for leaf in leaves(params)}


def pairs(gains: Array) -> tuple[tuple[float, float], ...]:
    """Gains (n, 2) as a ledger holds them."""
    return tuple((float(q), float(entropy)) for q, entropy in gains)


def under(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays whose names begin with the prefix, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def over(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays with the prefix before their names."""
    return {prefix + name: array for name, array in arrays.items()}
