"""Parameters as one row for each number: what data frames, tables and intervals are made of.

An entry of an array is known by the array's name, its component and its place within that.
Numbers that repeat others (the upper triangle of a covariance, what all components share) or that
are fixed (the zeros of a diagonal covariance) are left out.

One known case: a Gaussian with two columns and a full covariance has five entries for a component,
two means, two variances and one covariance.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from emframe.core.tolerance import NOUGHT
from emframe.data.names import as_names
from emframe.parameters import Leaf, leaves, rebuild
from emframe.spaces import Array


class Entry(NamedTuple):
    """One number of a nest of parameters."""

    parameter: str  # "means"
    component: int | None  # None where it belongs to no single component
    place: tuple[str, ...]  # columns by their names, other axes by their index
    position: int  # in `flat(params)`
    fixed: bool  # held at its value

    @property
    def label(self) -> str:
        """For example ``means[0, waiting]``."""
        inside = [*([] if self.component is None else [str(self.component)]), *self.place]
        return self.parameter + (f"[{', '.join(inside)}]" if inside else "")


def entries(params: Any, columns: tuple[str, ...] = ()) -> list[Entry]:
    """The entries of a nest of parameters, in order; `columns` are the names along axes ``"d"``."""
    found: list[Entry] = []
    first = 0
    for leaf in leaves(params):
        value = np.asarray(leaf.value)
        axes = leaf.declared.axes()
        leads = int(axes[:1] == ("K",))  # how many axes are the component's
        shape = (1, *value.shape[1:]) if leaf.declared.shared else value.shape
        shown = np.broadcast_to(leaf.declared.space.distinct(shape), shape)
        told = as_names(columns)
        own, values = told.of(leaf.path), is_of_values(leaf)
        own = own if values else told.shown(leaf.path)
        for index in np.ndindex(*shape):
            if shown[index]:
                names = [
                    own[i] if axis == "d" and n == len(own) else str(i)
                    for axis, i, n in zip(axes, index, shape, strict=True)
                ]
                if values:
                    names[-1] = told.value(names[-2], index[-1])
                found.append(
                    Entry(
                        leaf.path.removeprefix("components."),
                        index[0] if leads and not leaf.declared.shared else None,
                        tuple(names[leads:]),
                        first + int(np.ravel_multi_index(index, value.shape)) if index else first,
                        leaf.declared.fixed,
                    )
                )
        first += value.size
    return found


def items(leaf: Leaf, columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that the rows of a component's block stand for; none where they do not.

    They do where each row is one value, such as the probabilities of the answers to an item.
    """
    own = as_names(columns).of(leaf.path)
    return own if is_of_values(leaf) and np.shape(leaf.value)[1:2] == (len(own),) else ()


def is_of_values(leaf: Leaf) -> bool:
    """Whether a component has a number for each value of each column, (d, m)."""
    axes = leaf.declared.shape
    return len(axes) == 2 and axes[0] == "d" and leaf.declared.space.n_event_axes == 1


def limits(params: Any) -> tuple[Array, Array]:
    """Lower and upper limit of every number, two arrays (q,)."""
    pairs = [leaf.declared.space.limits(np.shape(leaf.value)) for leaf in leaves(params)]
    lower, upper = zip(*pairs, strict=True)
    return np.concatenate([*map(np.ravel, lower)]), np.concatenate([*map(np.ravel, upper)])


def flat(params: Any) -> Array:
    """Every number of a nest of parameters, (q,), in order of `emframe.parameters.leaves`."""
    parts = [np.ravel(leaf.value) for leaf in leaves(params)]
    return np.concatenate(parts) if parts else np.zeros(0)


def told(params: Any) -> Array:
    """`flat` as it is shown: a probability on its boundary is 0 or 1, and not 1e-23."""
    numbers = flat(params)
    if not len(numbers):
        return numbers
    lower, upper = limits(params)
    between = np.isfinite(lower) & np.isfinite(upper)
    with np.errstate(invalid="ignore"):
        low = between & (numbers - lower <= NOUGHT)
        high = between & (upper - numbers <= NOUGHT)
    return np.where(low, lower, np.where(high, upper, numbers))


def like(params: Any, numbers: Array) -> Any:
    """A nest of the same form that holds these numbers, (q,); inverse of `flat`."""
    first = 0

    def take(leaf: Leaf) -> Array:
        nonlocal first
        size = np.size(leaf.value)
        values = np.reshape(numbers[first : first + size], np.shape(leaf.value))
        first += size
        return values

    return rebuild(params, take)
