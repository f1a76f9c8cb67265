"""A family whose parameters are held at a value, shared by all components, in order, or related.

The constraint is a declaration (`emframe.composing.declaring` has the words for it): a held
parameter has no coordinates and a shared one a single set, so the acceleration, the count of free
parameters and standard errors keep to it by themselves.
What is held is not estimated, so where all is there is no M-step, and no component degenerates in
it.  What is left is estimated given that: by the family's own `m_step_given`, where it has one for
what is held; else the M-step starts from the family's unconstrained one, puts it on the constraint,
and climbs Q there, from where it was before if that is higher or the other has no maximum.  Under
an order it is that of what the order holds together: see `emframe.composing.in_order`.

One known case: a Gaussian with tied covariances is ``covariance="tied"``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.composing.climbing import climb, is_top
from emframe.composing.in_order import m_step_in_order
from emframe.core import Contract, Degenerate
from emframe.families import (
    Axes,
    Completed,
    Conditional,
    ConjugatePrior,
    Family,
    Kernel,
    Pieces,
    Survey,
    Wrapped,
)
from emframe.families.at_start import AtStart
from emframe.families.joined import Retold
from emframe.families.pieces import besides
from emframe.host.recipes import MAKERS
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
from emframe.parameters.records import identifier, record
from emframe.spaces import Array, PartlyHeld, Restricted, Rising


@dataclass(frozen=True)
class Sized:
    """A family's statistics with the numbers of components and columns that they are of.

    What is held has to be told for each component, and may be all that there is to tell.
    """

    own: Any
    k: int
    d: int

    def __add__(self, other: Any) -> Sized:
        return dataclasses.replace(self, own=self.own + _own(other))

    def __mul__(self, factor: float) -> Sized:
        return dataclasses.replace(self, own=self.own * factor)


def _own(statistics: Any) -> Any:
    """The family's statistics, also where these are no others."""
    return statistics.own if isinstance(statistics, Sized) else statistics


@dataclass(frozen=True)
class Constrained(Wrapped):
    """A family with parameters held, shared, in order or related."""

    held: tuple[tuple[str, Any], ...] = ()  # field -> values as nested tuples, None where free
    shared: tuple[str, ...] = ()
    rules: tuple[tuple[str, Restricted], ...] = ()  # field -> what its numbers keep to

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
        held, rules = dict(self.held), self.all_rules

        def change(path: str, declared: Declared) -> Declared:
            if path in rules:
                space = rules[path].of(declared.space, len(declared.axes()))
                return dataclasses.replace(declared, space=space)
            return dataclasses.replace(
                declared,
                fixed=declared.fixed or path in held,
                shared=declared.shared or path in self.shared,
            )

        return _declared_as(self.family.parameters, change)

    @property
    def all_rules(self) -> dict[str, Restricted]:
        """What the numbers of fields keep to, those of which some are held among them."""
        partly = {path: PartlyHeld(held=value) for path, value in self.held if has_free(value)}
        return partly | dict(self.rules)

    @property
    def has_places(self) -> bool:  # type: ignore[override]
        return bool(self.rules) or self.family.has_places

    def arranged(self, x: Any, shares: Array) -> NDArray[np.intp] | None:
        """The order in which clusters, fitted without a rule, go best with the first one."""
        if not self.rules or len(set(self.each(shares.shape[1]))) > 1:
            return None
        path, rule = self.rules[0]
        try:
            found = self.family.m_step(self.family.accumulate(x, shares), None)
        except Degenerate:
            return None
        return rule.order(next(leaf.value for leaf in leaves(found) if leaf.path == path))

    def each(self, k: int) -> tuple[Family, ...]:
        """With what each component holds as its own."""
        declared = fields_by_path(self.family.parameters)

        def own(path: str, value: Any, index: int) -> Any:
            if np.ndim(value) < len(declared[path].axes()) or not declared[path].per_component:
                return value
            return value[index if len(value) > 1 else 0]

        def of(one: Family, i: int) -> Family:
            values = ((path, own(path, value, i)) for path, value in self.held)
            mine = tuple((path, value) for path, value in values if not is_free(value))
            return Constrained(one, mine, self.shared) if mine or self.shared else one

        return tuple(of(one, i) for i, one in enumerate(self.family.each(k)))

    # ---- the five functions

    def log_density(self, params: Any, x: Array) -> Array:
        return self.family.log_density(self._free(params), x)

    def response_at(self, params: Any, x: Array, response: Any = None) -> tuple[Array, Array]:
        return self.family.response_at(self._free(params), x, response)

    def forecast(self, params: Any, x: Any, at: Any, owners: Any) -> tuple[Array, Array]:
        return self.family.forecast(self._free(params), x, at, owners)

    def random_effects(self, params: Any, x: Any) -> tuple[tuple[str, ...], Array, Array]:
        return self.family.random_effects(self._free(params), x)

    def boundary(self, params: Any) -> str:
        return self.family.boundary(self._free(params))

    def accumulate(self, x: Array, resp: Array) -> Sized:
        return Sized(self.family.accumulate(x, resp), resp.shape[1], _width(x))

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        found = self.family.completed(self._free(params), x, resp)
        return found._replace(statistics=Sized(found.statistics, resp.shape[1], _width(x)))

    def survival(self, params: Any, x: Array, times: Array) -> Array:
        return self.family.survival(self._free(params), x, times)

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        return self.family.conditional(self._free(params), x, hidden)

    def imputed(self, params: Any, x: Array, shares: Array) -> Array:
        return self.family.imputed(self._free(params), x, shares)

    def refuse(self, whole: Any, columns: Sequence[str]) -> None:
        self.family.refuse(_own(whole), columns)

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """The family's: a constraint changes what parameters may be, and nothing at given ones."""
        tell = partial(Sized, k=len(constants), d=survey.statistics.d)
        inner = survey.of(survey.statistics.own)
        for kernel in self.family.kernels(self._free(params), constants, inner):
            yield Retold(kernel, tell)

    def whole(self, x: Array, weights: Array) -> Sized:
        return Sized(self.family.whole(x, weights), 1, _width(x))

    def settled(self, whole: Any, columns: Sequence[str]) -> Constrained:
        return dataclasses.replace(self, family=self.family.settled(_own(whole), columns))

    def spelt(self, names: Mapping[str, tuple[str, ...]]) -> Constrained:
        """With what is shared of a coefficient shared of each that stands in its place."""
        family = self.family.spelt(names)
        renamed = {identifier(old): tuple(map(identifier, new)) for old, new in names.items()}

        def now(path: str) -> list[str]:
            before, dot, last = path.rpartition(".")
            return [before + dot + one for one in renamed.get(last, (last,))]

        unlike = ((path, now(path)) for path, value in self.held if now(path) != [path] and value)
        for path, many in unlike:  # 0 for one is 0 for each of them
            raise ValueError(
                f"`fixed` holds {path!r}, which is a column of words and has the coefficients "
                f"{', '.join(many)}; make columns of 0 and 1 of it, and hold theirs."
            )
        held = tuple((one, value) for path, value in self.held for one in now(path))
        shared = tuple(one for path in self.shared for one in now(path))
        rules = tuple((one, rule) for path, rule in self.rules for one in now(path))
        paths = [*shared, *(path for path, _ in (*held, *rules))]
        lost = next((path for path in paths if path not in fields_by_path(family.parameters)), None)
        if lost is not None:
            raise ValueError(
                f"{lost!r}, which is constrained, has another name once words are columns of "
                "numbers; make columns of 0 and 1 of them first."
            )
        return dataclasses.replace(self, family=family, held=held, shared=shared, rules=rules)

    def conjugate_prior(self, prior: Any, whole: Any, k: int) -> ConjugatePrior[Any]:
        return self.family.conjugate_prior(prior, _own(whole), k)

    def expected(self, statistics: Any, params: Any) -> float:
        return self.family.expected(_own(statistics), self._free(params))

    def m_step(self, statistics: Any, previous: Any) -> Any:
        return self._m_step(_own(statistics), previous, self._like(statistics, previous))

    def m_step_given(
        self,
        statistics: Any,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any:
        """Its own M-step, of all that is held and shared together."""
        return m_step_within(self, "", statistics, previous, like, held, shared)

    def _m_step(self, statistics: Any, previous: Any, like: Any) -> Any:
        """The M-step, where `like` keeps to the constraint."""
        if self._holds_all:
            return like
        before = None if previous is None else self._free(previous)
        if isinstance(statistics, AtStart):  # rows that nothing has completed yet
            at = self.family.m_step(statistics, None) if before is None else before
            like = self.constrain(at)
            each = (self.family.completed(at, x, r).statistics for x, r in statistics.blocks)
            statistics = statistics.with_prior(reduce(add, each))
        if any(isinstance(rule, Rising) for _, rule in self.rules):
            return m_step_in_order(self, statistics, previous, like)
        found = None
        if not self.all_rules:
            held, near = tuple(dict(self.held)), self._free(like)
            found = self.family.m_step_given(statistics, before, near, held, self.shared)
        if found is not None:
            return self.constrain(found)
        failed: Degenerate | None = None
        try:
            starts = [self.constrain(self.family.m_step(statistics, before))]
        except Degenerate as error:
            failed, starts = error, []
        start = max([*starts, like], key=lambda one: self._value(statistics, one))
        end = self._climbed(statistics, start)
        if failed is not None and not self._is_top(statistics, end):
            raise failed
        return end

    @property
    def _holds_all(self) -> bool:
        """Whether nothing is left to estimate."""
        held = {path for path, value in self.held if not has_free(value)}
        found = fields_by_path(self.family.parameters)
        return all(path in held or declared.fixed for path, declared in found.items())

    def _like(self, statistics: Any, previous: Any) -> Any:
        """Parameters that keep to the constraint: those before, or some in the middle."""
        if previous is not None:
            return self.constrain(previous)
        if not isinstance(statistics, Sized):  # of a prior, without a row
            raise Degenerate("there is no row to begin with")
        return self.template({"K": statistics.k, "d": statistics.d})

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return self.family.sample(self._free(params), labels, rng)

    # ---- the rest

    def gradient(self, statistics: Any, params: Any) -> Array:
        """The family's, less what is held, and summed over the components that share."""
        parts = []
        for mine, theirs, own in self.slopes(statistics, params):
            declared = mine.declared
            if isinstance(declared.space, Restricted):
                parts.append(declared.space.along(mine.value, own))
            elif declared.shared and not theirs.declared.shared and not declared.fixed:
                parts.append(own.reshape(len(theirs.value), -1).sum(axis=0))
            elif not declared.fixed:
                parts.append(own)
        return np.concatenate(parts) if parts else np.zeros(0)

    def slopes(self, statistics: Any, params: Any) -> Iterator[tuple[Leaf, Leaf, Array]]:
        """Each array, that array of the family without constraints, and the slope of its own."""
        slope, used = self.family.gradient(_own(statistics), self._free(params)), 0
        for mine, theirs in zip(leaves(params), leaves(self._free(params)), strict=True):
            size = theirs.declared.space.n_coordinates(theirs.free_shape)
            yield mine, theirs, slope[used : used + size]
            used += size

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
        kept = (*kept, *dict(self.held), *self.shared, *dict(self.rules))
        inner = self.family.axes(self._free(params), x, kept, **options)
        kind = self.parameters
        return dataclasses.replace(inner, at=lambda points: recast(kind, inner.at(points)))

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
            if isinstance(declared.space, Restricted) and not declared.space.holds(leaf.value):
                return f"{where} is {leaf.value.tolist()}; expected {declared.space.words}"
        return None

    def build(self, values: Any) -> Any:
        """Held parameters may be left out."""
        if isinstance(values, Mapping):
            k = next((len(np.atleast_1d(value)) for value in values.values()), 1)
            declared = declarations(self.family.parameters)
            values = dict(values)
            for path, held in self.held:
                if path in declared and path not in values and not has_free(held):
                    values[path] = _repeated(held, k, len(declared[path].shape))
        return recast(self.parameters, self.family.build(values))

    def template(self, dims: Mapping[str, int]) -> Any:
        return self.constrain(self.family.template(dims))

    def ingredients(self) -> dict[str, Any]:
        made = {"family": self.family, "held": dict(self.held), "shared": list(self.shared)}
        return made | ({"rules": dict(self.rules)} if self.rules else {})

    # ---- the constraint

    def constrain(self, params: Any) -> Any:
        """The nearest parameters that keep to it: held values put in, shared ones averaged.

        The average is one of coordinates, so that it lies in the space.
        """
        held, rules = dict(self.held), self.all_rules

        def change(leaf: Leaf) -> Array:
            if leaf.path in rules:
                return rules[leaf.path].nearest(leaf.value)
            if leaf.path in held:
                return _filling(np.array(held[leaf.path]), np.shape(leaf.value), leaf.path)
            if leaf.path in self.shared:
                space, shape = leaf.declared.space, np.shape(leaf.value)
                at = space.coordinates(leaf.value).reshape(shape[0], -1).mean(axis=0)
                return np.broadcast_to(space.point(at, (1, *shape[1:])), shape).copy()
            return leaf.value

        return recast(self.parameters, rebuild(params, change))

    def _free(self, params: Any) -> Any:
        return recast(self.family.parameters, params)

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
        at = to_vector(start)
        with np.errstate(all="ignore"):
            end = climb(*self._along(statistics, start), at, owners(start))
        return start if end is at else from_vector(start, end)

    def _is_top(self, statistics: Any, params: Any) -> bool:
        """Whether Q has a maximum there, along the constraint."""
        with np.errstate(all="ignore"):
            along = self._along(statistics, params)
            return is_top(*along, to_vector(params), owners(params))

    def _along(
        self, statistics: Any, like: Any
    ) -> tuple[Callable[[Array], float], Callable[[Array], Array]]:
        """Q and its gradient by the coordinates that are free."""

        def value(at: Array) -> float:
            return self._value(statistics, from_vector(like, at))

        def slope(at: Array) -> Array:
            params = from_vector(like, at)
            try:
                if valid(params):
                    return self.gradient(statistics, params)
            except Degenerate:  # valid, but for rounding
                pass
            return np.full(len(at), np.nan)

        return value, slope


def conditioned(
    family: Family,
    held: Mapping[str, Any],
    shared: Sequence[str],
    rules: Mapping[str, Restricted] | None = None,
) -> Constrained:
    """The family with these held, shared and restricted, beside what already is."""
    own = family if isinstance(family, Constrained) else Constrained(family)
    held = dict(own.held) | dict(held)
    shared = tuple(dict.fromkeys((*own.shared, *shared)))
    rules = dict(own.rules) | dict(rules or {})
    return dataclasses.replace(
        own, held=tuple(held.items()), shared=shared, rules=tuple(rules.items())
    )


def m_step_within(
    family: Family,
    prefix: str,
    statistics: Any,
    previous: Any,
    like: Any,
    held: tuple[str, ...],
    shared: tuple[str, ...],
) -> Any:
    """The M-step of a part of a family, of which some may be held or shared.

    Parameters
    ----------
    prefix : what the names of the part's fields begin with.
    statistics, previous, like : of the part.
    held, shared : of the whole family.
    """
    n = len(prefix)
    mine = [path[n:] for path in held if path.startswith(prefix)]
    common = tuple(path[n:] for path in shared if path.startswith(prefix))
    if not mine and not common:
        return family.m_step(statistics, previous)
    own = {leaf.path: nested(leaf.value) for leaf in leaves(like) if leaf.path in mine}
    part = conditioned(family, own, common)
    before = None if previous is None else part.constrain(previous)
    return recast(family.parameters, part._m_step(_own(statistics), before, part.constrain(like)))


def has_free(value: Any) -> bool:
    """Whether some number of nested tuples is free."""
    return any(map(has_free, value)) if isinstance(value, (list, tuple)) else value is None


def is_free(value: Any) -> bool:
    """Whether all of them are."""
    return all(map(is_free, value)) if isinstance(value, (list, tuple)) else value is None


def recast(kind: Any, params: Any) -> Any:
    """The same values under another declaration of the same fields."""
    if isinstance(params, tuple):
        return params
    declared = declarations(kind)
    values = {
        one.name: getattr(params, one.name)
        if one.name in declared
        else recast(one.type, getattr(params, one.name))
        for one in dataclasses.fields(kind)
    }
    return kind(**values)


def _width(x: Any) -> int:
    """Columns of rows, or of runs of rows."""
    return int(np.shape(getattr(x, "x", x))[1])


def nested(value: Any) -> Any:
    """An array as nested tuples, which compare and are saved: None for nan, which does not."""
    array = np.asarray(value, dtype=float)
    if array.ndim:
        return tuple(nested(one) for one in array)
    return None if np.isnan(array) else float(array)


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


def fields_by_path(kind: Any, prefix: str = "") -> dict[str, Declared]:
    """The declared fields of a parameter class and of those nested in it, by path."""
    declared = declarations(kind)
    found: dict[str, Declared] = {}
    for one in dataclasses.fields(kind):
        if one.name in declared:
            found[prefix + one.name] = declared[one.name]
        else:
            found |= fields_by_path(one.type, f"{prefix}{one.name}.")
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


def _again(
    family: Family,
    held: dict[str, Any],
    shared: list[str],
    rules: dict[str, Restricted] | None = None,
) -> Constrained:
    values = {path: nested(value) for path, value in held.items()}
    found = {path: rule.frozen() for path, rule in (rules or {}).items()}
    return conditioned(family, values, shared, found)


MAKERS["constrained"] = _again
