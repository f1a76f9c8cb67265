"""Parameters are frozen dataclasses whose fields declare where they live.

    @dataclass(frozen=True)
    class Rates:
        rates: Array = parameter(NonNegative(), shape=("d",))  # (K, d)

The leading axis K (components) is understood.  From the declaration alone come validation with
messages, coordinates (see `emframe.spaces`), the count of free parameters, saving and printing.
Parameters nest: a field may itself hold parameters, or a tuple of them.

One known case: ``n_free`` of a Poisson mixture's parameters with K rates is K + (K - 1).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from emframe.spaces import Array, Shape, Space

KEY = "emframe"


@dataclass(frozen=True)
class Declared:
    """What a field declares: its space and its shape after the component axis."""

    space: Space
    shape: tuple[str | int, ...] = ()
    shared: bool = False  # one value for all components, repeated along K
    per_component: bool = True  # whether the axis K leads
    fixed: bool = False  # held at its value: it has no coordinates and is not counted

    def space_of(self, held: Any) -> Space:
        """Where an array lives as it is stored: see `emframe.parameters.packing`."""
        packed = self.space.packed
        return self.space if packed is None or not self.is_packed(held) else packed

    def is_packed(self, held: Any) -> bool:
        """Whether an array is stored by fewer numbers than it is told by."""
        packs = self.space.packed is not None
        return packs and getattr(held, "ndim", -1) == len(self.axes()) - 1

    def axes(self) -> tuple[str | int, ...]:
        """The names of all axes, K included."""
        return ("K", *self.shape) if self.per_component else self.shape

    @property
    def is_own(self) -> bool:
        """Whether each component has a value, whatever those of the others.

        Not where one value of the space takes in the axis K, as covariances of equal volume do.
        """
        apart = self.space.n_event_axes <= len(self.shape)
        return self.per_component and not self.shared and apart


class Leaf(NamedTuple):
    """One declared array inside a nest of parameters."""

    path: str  # "components.means"
    declared: Declared
    held: Array  # as it is stored

    @property
    def value(self) -> Array:
        """The array as it is told, whole."""
        return self.declared.space.told(self.held) if self.is_packed else self.held

    @property
    def is_packed(self) -> bool:
        """Whether it is stored by fewer numbers."""
        return self.declared.is_packed(self.held)

    @property
    def free_value(self) -> Array:
        """The part of the array that is free to vary: one component's, where all share it."""
        if self.declared.fixed:
            return self.value[:0]
        return self.value[:1] if self.declared.shared else self.value

    @property
    def free_shape(self) -> Shape:
        """Shape of `free_value`."""
        held: Array = np.asarray(self.held)
        if self.declared.fixed or self.declared.shared:
            held = held[: 0 if self.declared.fixed else 1]
        return (*held.shape, *held.shape[-1:]) if self.is_packed else held.shape


def parameter(
    space: Space,
    shape: tuple[str | int, ...] | str | int = (),
    *,
    shared: bool = False,
    per_component: bool = True,
    fixed: bool = False,
) -> Any:
    """A dataclass field that holds an array in `space`, with the component axis K leading.

    Parameters
    ----------
    space : where each value lives.
    shape : axes after K; ``"d"`` stands for the number of columns of the data.
    shared : all components have the same value, counted once (a tied covariance).
    per_component : False for an array without the axis K.
    fixed : held at its value: no step moves it, and it is not counted.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Rates:
    ...     rates: emframe.Array = emframe.parameter(emframe.Positive(), shape="d")
    >>> Rates(np.ones((2, 3))).rates.shape
    (2, 3)
    """
    axes = (shape,) if isinstance(shape, (str, int)) else tuple(shape)
    return dataclasses.field(metadata={KEY: Declared(space, axes, shared, per_component, fixed)})


@cache
def declarations(kind: Any) -> dict[str, Declared]:
    """The declared fields of a parameter dataclass, in order."""
    if not dataclasses.is_dataclass(kind):
        raise TypeError(
            f"{kind.__name__} has to be a frozen dataclass with fields made by emframe.parameter"
        )
    return {
        field.name: field.metadata[KEY]
        for field in dataclasses.fields(kind)
        if KEY in field.metadata
    }


@cache
def _layout(kind: Any) -> tuple[tuple[str, Declared | None], ...]:
    """The fields of a parameter dataclass in order; None for one that holds parameters itself."""
    declared = declarations(kind)
    return tuple((field.name, declared.get(field.name)) for field in dataclasses.fields(kind))


def held(params: Any, name: str) -> Any:
    """A field as it is stored."""
    try:
        return params.__dict__[name]
    except (AttributeError, KeyError):
        return getattr(params, name)


def leaves(params: Any, prefix: str = "") -> list[Leaf]:
    """Every declared array of a nest of parameters, in a fixed order."""
    found: list[Leaf] = []
    if isinstance(params, tuple):
        for index, item in enumerate(params):
            found += leaves(item, f"{prefix}{index}.")
        return found
    kind: Any = type(params)
    for name, declared in _layout(kind):
        value = held(params, name)
        if declared is None:
            found += leaves(value, f"{prefix}{name}.")
        else:
            found.append(Leaf(prefix + name, declared, value))
    return found


def free_leaves(params: Any) -> list[Leaf]:
    """Those that are not held: all that moves, and is counted."""
    return [leaf for leaf in leaves(params) if not leaf.declared.fixed]


def _moving(params: Any) -> list[tuple[Space, Array]]:
    """Space and `Leaf.free_value` of `free_leaves`, and no more: every step of a fit asks."""
    if isinstance(params, tuple):
        return [found for item in params for found in _moving(item)]
    kind: Any = type(params)
    found: list[tuple[Space, Array]] = []
    for name, declared in _layout(kind):
        value = held(params, name)
        if declared is None:
            found += _moving(value)
        elif not declared.fixed:
            found.append((declared.space_of(value), value[:1] if declared.shared else value))
    return found


def rebuild(params: Any, change: Callable[[Leaf], Array], prefix: str = "") -> Any:
    """The same nest with each array replaced by ``change(leaf)``, visited in order of `leaves`."""
    if isinstance(params, tuple):
        return tuple(rebuild(item, change, f"{prefix}{i}.") for i, item in enumerate(params))
    kind: Any = type(params)
    changed = {}
    for name, declared in _layout(kind):
        value = held(params, name)
        if declared is None:
            changed[name] = rebuild(value, change, f"{prefix}{name}.")
        else:
            changed[name] = change(Leaf(prefix + name, declared, value))
    return kind(**changed)


def frozen(params: Any) -> Any:
    """The same parameters as read-only float arrays; the very same object where they are that."""
    if isinstance(params, tuple):
        items = tuple(frozen(item) for item in params)
        same = all(new is old for new, old in zip(items, params, strict=True))
        return params if same else items
    kind: Any = type(params)
    same, values = True, {}
    for name, declared in _layout(kind):
        value = held(params, name)
        values[name] = frozen(value) if declared is None else _read_only(value)
        same = same and values[name] is value
    return params if same else kind(**values)


def _read_only(value: Any) -> Array:
    if type(value) is np.ndarray and value.dtype == float and not value.flags.writeable:
        return value
    array = np.asarray(value, dtype=float).view()
    array.flags.writeable = False
    return array


def near(params: Any) -> Any:
    """The same parameters, what is off its space by rounding moved into it; see `Space.near`."""

    def moved(leaf: Leaf) -> Array:
        value = np.asarray(leaf.value)
        return (
            leaf.declared.space.near(value.astype(float)) if value.dtype.kind in "fiub" else value
        )

    return rebuild(params, moved)


def is_frozen(params: Any) -> bool:
    """Whether nobody can write to what moves, so that what follows from it may be kept."""
    return not any(value.flags.writeable for _, value in _moving(params))


def equal(one: Any, other: Any) -> bool:
    """Whether two nests of parameters hold the same numbers."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    pairs = zip(leaves(one), leaves(other), strict=True)
    return all(a.path == b.path and _equal(a, b) for a, b in pairs)


def _equal(one: Leaf, other: Leaf) -> bool:
    if one.is_packed and other.is_packed:
        return np.array_equal(one.held, other.held)
    return np.array_equal(one.value, other.value)


def keep(which: Any, previous: Any, params: Any) -> Any:
    """`params` with the components in the mask `which` taken from `previous`."""
    old = {leaf.path: leaf.value for leaf in leaves(previous)}

    def choose(leaf: Leaf) -> Array:
        if not leaf.declared.is_own:
            return leaf.value  # belongs to no single component
        mask = np.reshape(which, (-1, *[1] * (np.ndim(leaf.value) - 1)))
        return np.where(mask, old[leaf.path], leaf.value)

    return rebuild(params, choose)
