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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emframe.refusals import shown
from emframe.spaces import Array, Shape, Space
from emframe.spaces import slopes as quotients

KEY = "emframe"


@dataclass(frozen=True)
class Declared:
    """What a field declares: its space and its shape after the component axis."""

    space: Space
    shape: tuple[str | int, ...] = ()
    shared: bool = False  # one value for all components, repeated along K
    per_component: bool = True  # whether the axis K leads
    fixed: bool = False  # held at its value: it has no coordinates and is not counted

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
    value: Array

    @property
    def free_value(self) -> Array:
        """The part of the array that is free to vary: one component's, where all share it."""
        if self.declared.fixed:
            return self.value[:0]
        return self.value[:1] if self.declared.shared else self.value

    @property
    def free_shape(self) -> Shape:
        """Shape of `free_value`."""
        return self.free_value.shape


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


def leaves(params: Any, prefix: str = "") -> list[Leaf]:
    """Every declared array of a nest of parameters, in a fixed order."""
    found: list[Leaf] = []
    if isinstance(params, tuple):
        for index, item in enumerate(params):
            found += leaves(item, f"{prefix}{index}.")
        return found
    kind: Any = type(params)
    for name, declared in _layout(kind):
        value = getattr(params, name)
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
        value = getattr(params, name)
        if declared is None:
            found += _moving(value)
        elif not declared.fixed:
            found.append((declared.space, value[:1] if declared.shared else value))
    return found


def rebuild(params: Any, change: Callable[[Leaf], Array], prefix: str = "") -> Any:
    """The same nest with each array replaced by ``change(leaf)``, visited in order of `leaves`."""
    if isinstance(params, tuple):
        return tuple(rebuild(item, change, f"{prefix}{i}.") for i, item in enumerate(params))
    kind: Any = type(params)
    changed = {}
    for name, declared in _layout(kind):
        value = getattr(params, name)
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
    held, values = True, {}
    for name, declared in _layout(kind):
        value = getattr(params, name)
        values[name] = frozen(value) if declared is None else _read_only(value)
        held = held and values[name] is value
    return params if held else kind(**values)


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
    return all(a.path == b.path and np.array_equal(a.value, b.value) for a, b in pairs)


def keep(which: Any, previous: Any, params: Any) -> Any:
    """`params` with the components in the mask `which` taken from `previous`."""
    old = {leaf.path: leaf.value for leaf in leaves(previous)}

    def choose(leaf: Leaf) -> Array:
        if not leaf.declared.is_own:
            return leaf.value  # belongs to no single component
        mask = np.reshape(which, (-1, *[1] * (np.ndim(leaf.value) - 1)))
        return np.where(mask, old[leaf.path], leaf.value)

    return rebuild(params, choose)


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
        value = getattr(like, name)
        if declared is None:
            values[name], used = _placed(value, vector, used)
        elif declared.fixed:
            values[name] = value
        else:
            shape = (1, *value.shape[1:]) if declared.shared else value.shape
            first, used = used, used + declared.space.n_coordinates(shape)
            point = _read_only(declared.space.point(vector[first:used], shape))
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
        value, slope = getattr(params, name), getattr(gradient, name)
        if declared is None:
            found += _pulled(value, slope)
        elif declared.shared and not declared.fixed:
            along = slope.sum(axis=0, keepdims=True)
            found.append(declared.space.pullback(value[:1], along))
        elif not declared.fixed:
            found.append(declared.space.pullback(value, slope))
    return found


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
        value, other = getattr(params, name), getattr(like, name, None)
        if declared is None:
            if not valid(value, other):
                return False
            continue
        if other is not None and np.shape(value) != other.shape:
            return False
        if not declared.fixed and not declared.space.holds(value[:1] if declared.shared else value):
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
    declared, value = leaf.declared, np.asarray(leaf.value)
    expected = tuple(
        dims.get(axis, -1) if isinstance(axis, str) else axis for axis in declared.axes()
    )
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
