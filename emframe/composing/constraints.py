"""Parameters that are held at a value, or shared by all components.

    emframe.fixed("gaussian", means=0.0)
    emframe.tied("gaussian", "covariances")

The constraint is a declaration: a held parameter has no coordinates and a shared one a single set,
so the acceleration, the count of free parameters and standard errors keep to it by themselves.
The M-step starts from the family's own, puts it on the constraint, and climbs Q there: exact where
the other parameters do not depend on those held, and never a fall.

One known case: a Gaussian with tied covariances is ``covariance="tied"``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.composing.climbing import climb
from emframe.core import Contract, Degenerate
from emframe.families import Axes, Family, Pieces, Wrapped
from emframe.families.pieces import besides
from emframe.host import family as named_family
from emframe.parameters import (
    Declared,
    Leaf,
    declarations,
    from_vector,
    leaves,
    owners,
    rebuild,
    to_vector,
    valid,
)
from emframe.recipes import MAKERS
from emframe.records import record
from emframe.spaces import Array


@dataclass(frozen=True)
class Constrained(Wrapped):
    """A family with parameters held or shared; made by `fixed` and `tied`."""

    held: tuple[tuple[str, Any], ...] = ()  # field -> values as nested tuples
    shared: tuple[str, ...] = ()

    @property
    def maker(self) -> str:  # type: ignore[override]
        return "constrained"

    @property
    def contract(self) -> Contract:  # type: ignore[override]
        mine = self.family.contract
        return Contract.GENERALISED if mine is Contract.EXACT else mine

    @property
    def parameters(self) -> type:
        """The family's, with the constraints declared."""
        held = dict(self.held)

        def change(path: str, declared: Declared) -> Declared:
            return dataclasses.replace(
                declared,
                fixed=declared.fixed or path in held,
                shared=declared.shared or path in self.shared,
            )

        return _declared_as(self.family.parameters, change)

    def each(self, k: int) -> tuple[Family, ...]:
        """With what each component holds as its own."""
        declared = _fields(self.family.parameters)

        def own(path: str, value: Any, index: int) -> Any:
            if np.ndim(value) < len(declared[path].axes()) or not declared[path].per_component:
                return value
            return value[index if len(value) > 1 else 0]

        return tuple(
            Constrained(one, tuple((path, own(path, v, i)) for path, v in self.held), self.shared)
            for i, one in enumerate(self.family.each(k))
        )

    # ---- the five functions

    def log_density(self, params: Any, x: Array) -> Array:
        return self.family.log_density(self._free(params), x)

    def expected(self, statistics: Any, params: Any) -> float:
        return self.family.expected(statistics, self._free(params))

    def m_step(self, statistics: Any, previous: Any) -> Any:
        own = self.family.m_step(statistics, None if previous is None else self._free(previous))
        start = self.constrain(own)
        if previous is not None:
            before = self._value(statistics, previous)
            if not self._value(statistics, start) > before:
                start = previous
        return self._climbed(statistics, start)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return self.family.sample(self._free(params), labels, rng)

    # ---- the rest

    def gradient(self, statistics: Any, params: Any) -> Array:
        """The family's, less what is held, and summed over the components that share."""
        slope, used = self.family.gradient(statistics, self._free(params)), 0
        parts = []
        for mine, theirs in zip(leaves(params), leaves(self._free(params)), strict=True):
            size = theirs.declared.space.n_coordinates(theirs.free_shape)
            own = slope[used : used + size]
            used += size
            if mine.declared.fixed:
                continue
            if mine.declared.shared and not theirs.declared.shared:
                own = own.reshape(len(theirs.value), -1).sum(axis=0)
            parts.append(own)
        return np.concatenate(parts) if parts else np.zeros(0)

    def stacked(self, k: int) -> None:
        """None: what is climbed along the constraint is the Q of all components together."""

    def freedom(self, params: Any, k: int) -> NDArray[np.intp]:
        """The family's, of parameters that declare what is held or shared."""
        return self.family.freedom(params, k)

    def pieces(self, params: Any, x: Any, shares: Array) -> Pieces:
        found, k = self.family.pieces(self._free(params), x, shares), shares.shape[1]
        own = self.freedom(params, k)
        freedom = np.minimum(found.freedom, own[found.owners])
        others = np.minimum(found.others, besides(params, own)[found.owners])
        return found._replace(freedom=freedom, others=others)

    def axes(self, params: Any, x: Array, kept: Sequence[str] = (), **options: Any) -> Axes:
        """The family's, if it knows what to do with what is held or shared."""
        kept = (*kept, *dict(self.held), *self.shared)
        inner = self.family.axes(self._free(params), x, kept, **options)
        kind = self.parameters
        return dataclasses.replace(inner, at=lambda points: self._recast(kind, inner.at(points)))

    def problem(self, params: Any, dims: Mapping[str, int], prefix: str = "") -> str | None:
        found = self.family.problem(self._free(params), dims, prefix)
        if found:
            return found
        for leaf, wanted in zip(leaves(params), leaves(self.constrain(params)), strict=True):
            where, declared = f"`{prefix}{leaf.path}`", leaf.declared
            if declared.fixed and not np.array_equal(leaf.value, wanted.value):
                return f"{where} is {leaf.value}; it is held at {wanted.value[0]}"
            if declared.shared and not (leaf.value == leaf.value[:1]).all():
                return f"{where} differs between components; it is one value shared by all"
        return None

    def build(self, values: Any) -> Any:
        """Held parameters may be left out."""
        if isinstance(values, Mapping):
            k = next((len(np.atleast_1d(value)) for value in values.values()), 1)
            declared = declarations(self.family.parameters)
            values = dict(values)
            for path, held in self.held:
                if path in declared and path not in values:
                    values[path] = _repeated(held, k, len(declared[path].shape))
        return self._recast(self.parameters, self.family.build(values))

    def template(self, dims: Mapping[str, int]) -> Any:
        return self.constrain(self.family.template(dims))

    def ingredients(self) -> dict[str, Any]:
        return {"family": self.family, "held": dict(self.held), "shared": list(self.shared)}

    # ---- the constraint

    def constrain(self, params: Any) -> Any:
        """The nearest parameters that keep to it: held values put in, shared ones averaged.

        The average is one of coordinates, so that it lies in the space.
        """
        held = dict(self.held)

        def change(leaf: Leaf) -> Array:
            if leaf.path in held:
                wanted = np.array(held[leaf.path], dtype=float)
                return _filling(wanted, np.shape(leaf.value), leaf.path)
            if leaf.path in self.shared:
                space, shape = leaf.declared.space, np.shape(leaf.value)
                at = space.coordinates(leaf.value).reshape(shape[0], -1).mean(axis=0)
                return np.broadcast_to(space.point(at, (1, *shape[1:])), shape).copy()
            return leaf.value

        return self._recast(self.parameters, rebuild(params, change))

    def _free(self, params: Any) -> Any:
        return self._recast(self.family.parameters, params)

    def _recast(self, kind: Any, params: Any) -> Any:
        """The same values under another declaration of the same fields."""
        if isinstance(params, tuple):
            return params
        fields = dataclasses.fields(kind)
        declared = declarations(kind)
        values = {one.name: getattr(params, one.name) for one in fields}
        for one in fields:
            if one.name not in declared:
                values[one.name] = self._recast(one.type, values[one.name])
        return kind(**values)

    def _value(self, statistics: Any, params: Any) -> float:
        if not valid(params):
            return -np.inf
        try:
            with np.errstate(all="ignore"):
                found = self.expected(statistics, params)
        except (Degenerate, np.linalg.LinAlgError):
            return -np.inf
        return found if np.isfinite(found) else -np.inf

    def _climbed(self, statistics: Any, start: Any) -> Any:
        """The end of a climb of Q along the constraint, no lower than its start."""

        def value(at: Array) -> float:
            return self._value(statistics, from_vector(start, at))

        def slope(at: Array) -> Array:
            params = from_vector(start, at)
            return self.gradient(statistics, params) if valid(params) else np.full(len(at), np.nan)

        at = to_vector(start)
        with np.errstate(all="ignore"):
            end = climb(value, slope, at, owners(start))
        return start if end is at else from_vector(start, end)


def fixed(family: Any, /, **values: Any) -> Any:
    """A family, or a model that has its own word for it, with some parameters held.

    Parameters
    ----------
    family : a family, or the name of a plugin; or a mixture, of which ``weights`` may be held too.
    **values : by field; one value for all components, or an array with the axis K. A field of a
        part of a product is written with a dot, ``**{"height.means": 0.0}``.

    Raises TypeError for an unknown field, ValueError for a value outside its space.
    """
    if hasattr(family, "fixed"):
        return family.fixed(**values)
    inner = _resolved(family)
    held = {path: _frozen(value) for path, value in values.items()}
    return _checked(Constrained(inner, tuple(held.items())), list(values))


def tied(family: Any, /, *names: str) -> Any:
    """A family, or a mixture, with some parameters shared by all components, and counted once.

    Raises TypeError for an unknown field.
    """
    if hasattr(family, "tied"):
        return family.tied(*names)
    return _checked(Constrained(_resolved(family), (), tuple(names)), list(names))


def _checked(family: Constrained, names: list[str]) -> Constrained:
    found = _fields(family.family.parameters)
    unknown = [name for name in names if name not in found]
    if unknown or not names:
        raise TypeError(
            f"the family {family.name!r} has the parameters {', '.join(found)}; got "
            f"{', '.join(unknown) or 'none'}."
        )
    for path, value in family.held:
        space = found[path].space
        array = np.atleast_1d(np.array(value, dtype=float))
        if array.ndim >= space.n_event_axes and not space.contains(array).all():
            raise ValueError(f"`{path}` is held at {value}; expected {space.words}.")
    return family


def _resolved(family: str | Family) -> Family:
    found = named_family(family) if isinstance(family, str) else family
    if not isinstance(found, Family):
        raise TypeError(f"`family` is {family!r}; pass a plugin's name or a Family object.")
    return found


def _frozen(value: Any) -> Any:
    """An array as nested tuples, which compare and are saved."""
    array = np.asarray(value, dtype=float)
    return float(array) if array.ndim == 0 else tuple(_frozen(one) for one in array)


def _filling(value: Array, shape: tuple[int, ...], path: str) -> Array:
    """A held value for each component, or ValueError where it does not go with their number."""
    try:
        return np.broadcast_to(value, shape).copy()
    except ValueError:
        raise ValueError(
            f"`{path}` is held at an array of shape {value.shape}; pass one value for all "
            f"components, or an array of shape {shape}."
        ) from None


def _repeated(value: Any, k: int, axes: int) -> Array:
    array = np.array(value, dtype=float)
    return array if array.ndim > axes else np.broadcast_to(array, (k, *array.shape)).copy()


def _fields(kind: Any, prefix: str = "") -> dict[str, Declared]:
    """The declared fields of a parameter class and of those nested in it, by path."""
    declared = declarations(kind)
    found: dict[str, Declared] = {}
    for one in dataclasses.fields(kind):
        if one.name in declared:
            found[prefix + one.name] = declared[one.name]
        else:
            found |= _fields(one.type, f"{prefix}{one.name}.")
    return found


def _declared_as(kind: Any, change: Callable[[str, Declared], Declared], prefix: str = "") -> type:
    """A parameter class with other declarations for the same fields."""
    declared = declarations(kind)
    fields = {
        one.name: change(prefix + one.name, declared[one.name])
        if one.name in declared
        else _declared_as(one.type, change, f"{prefix}{one.name}.")
        for one in dataclasses.fields(kind)
    }
    return record(kind.__name__, fields)


def _again(family: Family, held: dict[str, Any], shared: list[str]) -> Constrained:
    values = {path: _frozen(value) for path, value in held.items()}
    return Constrained(family, tuple(values.items()), tuple(shared))


MAKERS["constrained"] = _again
