"""Parameters as a list of components, to be taken in any order, or several times.

With several families side by side, each keeps its own components.

One known case: in the order 0, 1, ..., K - 1 they are what they were.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.families import Family, distinct
from emframe.parameters import Leaf, leaves, rebuild
from emframe.spaces import Array


def taken(params: Any, order: NDArray[np.intp]) -> Any:
    """Parameters of the components `order`, along every axis ``"K"``.

    With several families `order` does not mix them: first those of the first, and so on.
    """
    group = groups(params, int(order.max()) + 1)
    names = list(dict.fromkeys(family_of(leaf) for leaf in leaves(params) if family_of(leaf)))

    def of_leaf(leaf: Leaf) -> Array:
        value, own = np.asarray(leaf.value), order
        if family_of(leaf):
            mine = names.index(family_of(leaf))
            own = order[group[order] == mine] - np.flatnonzero(group == mine)[0]
        for axis, name in enumerate(leaf.declared.axes()):
            if name == "K":
                value = np.take(value, own, axis=axis)
        return leaf.declared.space.reordered(value)

    return rebuild(params, of_leaf)


def interchangeable(model: Any, params: Any, k: int) -> list[list[int]]:
    """The places among which components may change theirs, and the model be the same.

    Those of several families, with something held of their own, or in an order, keep to themselves.
    """
    family = getattr(model, "family", None)
    if not isinstance(family, Family):
        return distinct(groups(params, k).tolist())
    each: list[Any] = list(range(k) if family.has_places else family.each(k))
    for name in ("weights", "initial"):
        held = getattr(model, name, None)
        if isinstance(held, tuple):
            each = list(zip(each, held, strict=True))
    if isinstance(getattr(model, "transitions", None), tuple):
        each = list(enumerate(each))  # of a matrix, every row and column is a state's own
    return distinct(each)


def groups(params: Any, k: int) -> NDArray[np.intp]:
    """The family of each of K components, (K,), counted from 0."""
    sizes = {
        family_of(leaf): len(leaf.value)
        for leaf in leaves(params)
        if family_of(leaf) and leaf.declared.axes()[:1] == ("K",)
    }
    if not sizes:
        return np.zeros(k, dtype=np.intp)
    return np.repeat(np.arange(len(sizes)), list(sizes.values()))


def family_of(leaf: Leaf) -> str:
    """Which of several families a leaf belongs to, by the numbers in its path; empty for one."""
    return ".".join(part for part in leaf.path.split(".") if part.isdigit())
