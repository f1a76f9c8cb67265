"""Parameters from what users write, and as what files hold: arrays by the paths of their fields.

One known case: ``nested(to_mapping(params))`` has the fields of `params` as keys.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from emframe.messages.refusals import shown
from emframe.parameters.declared import Leaf, declarations, frozen, leaves
from emframe.spaces import Array


def build(kind: type, values: Mapping[str, Any]) -> Any:
    """Parameters of a dataclass from a mapping of array-likes by field name, copied and frozen.

    Raises TypeError where names are missing or not known.
    """
    names = list(declarations(kind))
    missing, unknown = set(names) - set(values), set(values) - set(names)
    if missing or unknown:
        raise TypeError(
            f"{kind.__name__} takes {', '.join(names)}; "
            + "; ".join(
                f"{what}: {', '.join(sorted(which))}"
                for what, which in (("missing", missing), ("not known", unknown))
                if which
            )
        )
    return frozen(kind(**{name: real_values(name, values[name]) for name in names}))


def real_values(name: str, values: Any) -> Array:
    """A copy of array-like real numbers; TypeError or ValueError naming them where they are not."""
    try:
        found = np.asarray(values)
        if found.dtype.kind not in "fiub":
            raise TypeError("not real numbers")
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"`{name}` is {shown(values)}: {error}; pass an array of numbers."
        ) from None
    return np.array(found, dtype=float)


def template(kind: Any, dims: Mapping[str, int]) -> Any:
    """Parameters of the right shapes, all at the origin of the coordinates."""
    values = {}
    for name, declared in declarations(kind).items():
        shape = tuple(dims[axis] if isinstance(axis, str) else axis for axis in declared.axes())
        leaf = Leaf(name, declared, np.broadcast_to(0.0, shape))
        origin = np.zeros(declared.space.n_coordinates(leaf.free_shape))
        values[name] = np.broadcast_to(declared.space.point(origin, leaf.free_shape), shape)
    for one in dataclasses.fields(kind):
        if one.name not in values and dataclasses.is_dataclass(one.type):
            values[one.name] = template(one.type, dims)
    return kind(**values)


def n_columns_free(kind: type) -> bool:
    """Whether the family takes any number of columns: some field has the axis ``"d"``."""
    return any("d" in declared.shape for declared in declarations(kind).values())


def to_mapping(params: Any) -> dict[str, Array]:
    """All arrays by path, for files and frames."""
    return {leaf.path: np.asarray(leaf.value) for leaf in leaves(params)}


def nested(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Undo the paths of `to_mapping`: ``{"a.b": x}`` becomes ``{"a": {"b": x}}``."""
    tree: dict[str, Any] = {}
    for path, array in arrays.items():
        *parents, name = path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = array
    return tree
