"""Columns of different kinds: a family whose density is the product of those of its parts.

    emframe.Product({"height": "gaussian", "visits": "poisson", "smoker": "bernoulli"})

Given the component, the groups of columns are independent, so log densities, statistics and Q are
sums over the parts, and the M-step is theirs side by side.

One known case: a product of Poisson columns is the Poisson family on all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.composing.constraints import m_step_within
from emframe.core import Contract
from emframe.families import (
    Axes,
    Completed,
    ConjugatePrior,
    Curve,
    Family,
    Kernel,
    Pieces,
    Survey,
    refuse_kept,
)
from emframe.families.joined import Multiplied
from emframe.families.pieces import refined
from emframe.families.rowwise import in_step
from emframe.families.stack import Sums, weakest
from emframe.host import family as named_family
from emframe.recipes import MAKERS
from emframe.records import identifier, record
from emframe.spaces import Array, Shape, Space

Key = str | int | tuple[Any, ...]


@dataclass(frozen=True)
class Part:
    """A group of columns and its family."""

    label: str  # of its parameters
    family: Family
    places: tuple[int, ...]  # where its columns stand in a row

    def of(self, x: Array) -> Array:
        """Its columns of rows x (n, d)."""
        return x[:, self.places]


@dataclass(frozen=True, init=False)
class Product(Family):
    """Independent groups of columns, each of a family of its own.

    Parameters
    ----------
    parts : families, or names of plugins, by column: a name, an index, or a tuple of either for
        a group. Named columns are found by name in a data frame, which may have others too;
        rows without names have them in the order given. Indices have to name every column.

    Raises
    ------
    TypeError, ValueError : for keys that are no columns, or name one twice; for a family of one
        column that is given a group.
    """

    parts: tuple[Part, ...]
    columns: tuple[str, ...] | None  # type: ignore[misc]

    name = "product"
    maker = "product"

    def __init__(self, parts: Mapping[Any, str | Family]) -> None:
        if not isinstance(parts, Mapping) or not parts:
            raise TypeError(
                f'`parts` is {parts!r}; pass a mapping of columns to families, {{"x": "poisson"}}.'
            )
        groups = [key if isinstance(key, tuple) else (key,) for key in parts]
        keys = [column for group in groups for column in group]
        named = all(isinstance(key, str) for key in keys)
        if not named and not all(isinstance(key, (int, np.integer)) for key in keys):
            raise TypeError(f"columns are all names or all indices; got {keys}.")
        if len(set(keys)) < len(keys):
            raise ValueError(f"a column belongs to one part; got {keys}.")
        if not named and sorted(keys) != list(range(len(keys))):
            raise ValueError(
                f"indices name every column, 0 to {len(keys) - 1} each once; got {sorted(keys)}."
            )
        made, first = [], 0
        for group, given in zip(groups, parts.values(), strict=True):
            places = tuple(range(first, first + len(group))) if named else tuple(map(int, group))
            made.append(Part(_label(group), _resolved(given, group), places))
            first += len(group)
        labels = [part.label for part in made]
        if len(set(labels)) < len(labels):
            raise ValueError(f"parts have to be told apart by their names; got {labels}.")
        object.__setattr__(self, "parts", tuple(made))
        object.__setattr__(self, "columns", tuple(keys) if named else None)

    def ingredients(self) -> dict[str, Any]:
        names: tuple[Any, ...] = self.columns or tuple(range(self.width))
        return {"parts": [[[names[j] for j in p.places], p.family] for p in self.parts]}

    # ---- declarations

    @property
    def parameters(self) -> type:
        """One field for each part, named for its columns, that holds the part's parameters."""
        return record("ProductParameters", {p.label: p.family.parameters for p in self.parts})

    @property
    def width(self) -> int:  # type: ignore[override]
        return sum(len(part.places) for part in self.parts)

    @property
    def is_settled(self) -> bool:  # type: ignore[override]
        return all(part.family.is_settled for part in self.parts)

    def settled(self, whole: Sums, columns: Sequence[str]) -> Product:
        def own(part: Part, sums: Any) -> Part:
            names = [columns[j] for j in part.places]
            return replace(part, family=part.family.settled(sums, names))

        pairs = zip(self.parts, whole.parts, strict=True)
        return self._of(own(part, sums) for part, sums in pairs)

    def _of(self, parts: Iterable[Part]) -> Product:
        """The same groups of columns, of these families."""
        made = copy(self)
        object.__setattr__(made, "parts", tuple(parts))
        return made

    @property
    def contract(self) -> Contract:  # type: ignore[override]
        return weakest(part.family for part in self.parts)

    @property
    def effort(self) -> float:  # type: ignore[override]
        return max(part.family.effort for part in self.parts)

    @property
    def support(self) -> Space:  # type: ignore[override]
        """Whole rows."""
        return RowsOf(tuple(Home(p.label, p.family.support, p.places) for p in self.parts))

    def each(self, k: int) -> tuple[Family, ...]:
        apart = zip(*(part.family.each(k) for part in self.parts), strict=True)
        return tuple(
            self._of(replace(part, family=one) for part, one in zip(self.parts, each, strict=True))
            for each in apart
        )

    def support_given(self, row: Array) -> Space:
        free = [j for j in range(self.width) if j not in self.covariates]
        homes = []
        for part in self.parts:
            own = tuple(free.index(place) for place in part.places if place in free)
            space = part.family.support_given(part.of(row[None])[0])
            homes += [Home(part.label, space, own)] if own else []
        return RowsOf(tuple(homes))

    @property
    def supports(self) -> tuple[Space, ...]:
        return tuple(
            AtColumns(space, part.places) for part in self.parts for space in part.family.supports
        )

    @property
    def takes_columns(self) -> bool:
        return self.width > 1

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(part.places[j] for part in self.parts for j in part.family.covariates)

    def given(self, x: Array) -> Product:
        other = copy(self)
        parts = tuple(replace(one, family=one.family.given(one.of(x))) for one in self.parts)
        object.__setattr__(other, "parts", parts)
        return other

    # ---- the five functions

    def log_density(self, params: Any, x: Array) -> Array:
        return np.asarray(sum(p.family.log_density(own, p.of(x)) for p, own in self._with(params)))

    def accumulate(self, x: Array, resp: Array) -> Sums:
        return Sums(tuple(part.family.accumulate(part.of(x), resp) for part in self.parts))

    def whole(self, x: Array, weights: Array) -> Sums:
        return Sums(tuple(part.family.whole(part.of(x), weights) for part in self.parts))

    @property
    def hides(self) -> bool:  # type: ignore[override]
        return any(part.family.hides for part in self.parts)

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        each = [part.family.completed(own, part.of(x), resp) for part, own in self._with(params)]
        return Completed(Sums(tuple(one.statistics for one in each)), sum(e.entropy for e in each))

    def refuse(self, whole: Sums, columns: Sequence[str]) -> None:
        for part, own in zip(self.parts, whole.parts, strict=True):
            part.family.refuse(own, [columns[j] for j in part.places])

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """Those of its parts, each on its own columns; the constants go with the first."""
        nothing = np.zeros_like(constants)
        pairs = enumerate(zip(self._with(params), survey.statistics.parts, strict=True))
        each = (
            part.family.kernels(own, nothing if p else constants, survey.of(whole))
            for p, ((part, own), whole) in pairs
        )
        places = tuple(part.places for part in self.parts)
        for kernels in in_step(each):
            yield Multiplied(kernels, places, Sums)

    def expected(self, statistics: Sums, params: Any) -> float:
        pairs = zip(self._with(params), statistics.parts, strict=True)
        return sum(part.family.expected(sums, own) for (part, own), sums in pairs)

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        pairs = zip(self._with(previous), statistics.parts, strict=True)
        return self._joined(part.family.m_step(sums, own) for (part, own), sums in pairs)

    def m_step_given(
        self,
        statistics: Sums,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any:
        """Each part's, given what of it is held or shared."""

        def own(part: Part, sums: Any, before: Any, near: Any) -> Any:
            prefix = f"{part.label}."
            return m_step_within(part.family, prefix, sums, before, near, held, shared)

        each = zip(self._with(previous), self._with(like), statistics.parts, strict=True)
        return self._joined(
            own(part, sums, before, near) for (part, before), (_, near), sums in each
        )

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        rows = np.zeros((len(labels), self.width))
        for part, own in self._with(params):
            drawn = np.asarray(part.family.sample(own, labels, rng), dtype=float)
            rows[:, part.places] = drawn[:, None] if drawn.ndim == 1 else drawn
        return rows

    # ---- the rest, part by part

    def gradient(self, statistics: Sums, params: Any) -> Array:
        pairs = zip(self._with(params), statistics.parts, strict=True)
        return np.concatenate([part.family.gradient(sums, own) for (part, own), sums in pairs])

    def conjugate_prior(self, prior: Any, whole: Sums, k: int) -> ConjugatePrior[Sums]:
        found = [
            part.family.conjugate_prior(prior, own, k)
            for part, own in zip(self.parts, whole.parts, strict=True)
        ]
        return ConjugatePrior(
            Sums(tuple(one.statistics for one in found)), sum(one.log_constant for one in found)
        )

    def freedom(self, params: Any, k: int) -> NDArray[np.intp]:
        """Of the parts that can shrink, together."""
        each = [part.family.freedom(own, k) for part, own in self._with(params)]
        return np.asarray(np.sum(each, axis=0))

    def axes(self, params: Any, x: Array, kept: Sequence[str] = (), **options: Any) -> Axes:
        """Those of all parts, side by side."""
        refuse_kept(self, kept, options)
        each = [part.family.axes(own, part.of(x)) for part, own in self._with(params)]
        ends = np.cumsum([len(one.low) for one in each])[:-1]

        def at(points: Array) -> Any:
            own = np.split(points, ends, axis=1)
            return self._joined(one.at(mine) for one, mine in zip(each, own, strict=True))

        def slack(centre: Array, point: Array) -> Array:
            own = zip(np.split(centre, ends, axis=1), np.split(point, ends, axis=1), strict=True)
            return np.sum([one.slack(*mine) for one, mine in zip(each, own, strict=True)], axis=0)

        curves = [one.curve for one in each if one.curve is not None]

        def natural(points: Array) -> Array:
            own = zip(curves, np.split(points, ends, axis=1), strict=True)
            return np.concatenate([one.natural(mine) for one, mine in own], axis=1)

        def least_variance(low: Array, high: Array) -> Array:
            own = zip(curves, *(np.split(end, ends, axis=1) for end in (low, high)), strict=True)
            return np.concatenate([one.least_variance(*mine) for one, *mine in own], axis=1)

        curve = None
        if len(curves) == len(each):
            statistics = np.concatenate([one.statistics for one in curves], axis=1)
            curve = Curve(statistics, natural, least_variance)
        return Axes(
            np.concatenate([one.low for one in each]),
            np.concatenate([one.high for one in each]),
            at,
            slack,
            ", ".join(dict.fromkeys(one.given for one in each if one.given)),
            all(one.holds_fit for one in each),
            curve,
        )

    def stacked(self, k: int) -> Product | None:
        parts = []
        for part in self.parts:
            own = part.family.stacked(k)
            if own is None:
                return None
            parts.append(replace(part, family=own))
        other = copy(self)
        object.__setattr__(other, "parts", tuple(parts))
        return other

    def pieces(self, params: Any, x: Any, shares: Array) -> Pieces:
        """Its components, and where those of a part are mixtures themselves, what these are of."""
        found, k = super().pieces(params, x, shares), shares.shape[1]
        for part, own in self._with(params):
            inner = part.family.pieces(own, part.of(x), shares)
            if len(inner.owners) > k:
                whole = part.family.log_density(own, part.of(x))
                found = refined(found, inner, whole, part.family.freedom(own, k), shares)
        return found

    def problem(self, params: Any, dims: Mapping[str, int], prefix: str = "") -> str | None:
        for part, own in self._with(params):
            within = {**dims, "d": len(part.places)}
            found = part.family.problem(own, within, f"{prefix}{part.label}.")
            if found:
                return found
        return None

    def build(self, values: Any) -> Any:
        labels = [part.label for part in self.parts]
        if set(values) != set(labels):
            raise TypeError(f"a product takes {', '.join(labels)}; got {', '.join(values)}.")
        return self._joined(part.family.build(values[part.label]) for part in self.parts)

    def template(self, dims: Mapping[str, int]) -> Any:
        return self._joined(
            part.family.template({**dims, "d": len(part.places)}) for part in self.parts
        )

    def _with(self, params: Any) -> Iterator[tuple[Part, Any]]:
        for part in self.parts:
            yield part, None if params is None else getattr(params, part.label)

    def _joined(self, each: Iterator[Any]) -> Any:
        return self.parameters(**dict(zip((p.label for p in self.parts), each, strict=True)))


@dataclass(frozen=True, repr=False)
class AtColumns(Space):
    """A space that some columns have to lie in, and the others need not."""

    space: Space
    places: tuple[int, ...]

    @property
    def words(self) -> str:  # type: ignore[override]
        return self.space.words

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        return self.space.discrete

    @property
    def missing(self) -> bool:  # type: ignore[override]
        return self.space.missing

    @property
    def largest(self) -> float:  # type: ignore[override]
        return self.space.largest

    def least_ranges(self, d: int) -> Array:
        least = np.zeros(d)
        least[list(self.places)] = self.space.least_ranges(len(self.places))
        return least

    def discrete_columns(self, d: int) -> NDArray[np.bool_]:
        which = np.zeros(d, dtype=bool)
        which[list(self.places)] = self.space.discrete_columns(len(self.places))
        return which

    def contains(self, values: Array) -> NDArray[np.bool_]:
        held = np.ones(values.shape, dtype=bool)
        own = np.asarray(self.space.contains(values[:, self.places]))
        held[:, self.places] = own if own.ndim == 2 else own[:, None]
        return held

    def __repr__(self) -> str:
        return f"AtColumns({self.space!r}, {self.places})"


@dataclass(frozen=True)
class Home:
    """A group of columns and where it lives."""

    label: str
    space: Space
    places: tuple[int, ...]


@dataclass(frozen=True, repr=False)
class RowsOf(Space):
    """Whole rows, each group of columns in a space of its own."""

    homes: tuple[Home, ...]

    n_event_axes = 1

    @property
    def words(self) -> str:  # type: ignore[override]
        return "; ".join(f"{home.label}: {home.space.words}" for home in self.homes)

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        return all(home.space.discrete for home in self.homes)

    @property
    def missing(self) -> bool:  # type: ignore[override]
        return any(home.space.missing for home in self.homes)

    def contains(self, values: Array) -> NDArray[np.bool_]:
        held = [np.asarray(home.space.contains(values[:, home.places])) for home in self.homes]
        return np.asarray(
            np.logical_and.reduce([one.reshape(len(values), -1).all(axis=1) for one in held])
        )

    def coordinates(self, values: Array) -> Array:
        own = [home.space.coordinates(values[:, home.places]) for home in self.homes]
        return np.concatenate(own)

    def point(self, vector: Array, shape: Shape) -> Array:
        values, used = np.zeros(shape), 0
        for home in self.homes:
            own = (*shape[:-1], len(home.places))
            size = home.space.n_coordinates(own)
            values[..., home.places] = home.space.point(vector[used : used + size], own)
            used += size
        return values

    def n_coordinates(self, shape: Shape) -> int:
        return sum(home.space.n_coordinates((*shape[:-1], len(home.places))) for home in self.homes)

    def __repr__(self) -> str:
        return f"RowsOf({self.words})"


def _label(group: tuple[Any, ...]) -> str:
    """A field name: columns without a name are x0, x1, ..."""
    words = [str(one) if isinstance(one, str) else f"x{one}" for one in group]
    return identifier("_".join(words))


def _resolved(given: str | Family, group: tuple[Any, ...]) -> Family:
    family = named_family(given) if isinstance(given, str) else given
    if not isinstance(family, Family):
        raise TypeError(f"{group}: {given!r} is no family; pass a plugin's name or a Family.")
    if len(group) > 1 and not family.takes_columns:
        raise TypeError(f"the family {family.name!r} takes one column; got the group {group}.")
    if family.in_runs:
        raise TypeError(
            f"{group}: the rows of {family.name!r} are runs, which no part of a row can be; group "
            "the product, emframe.Grouped(emframe.Product(...))."
        )
    if isinstance(group[0], str) and family.columns not in (None, group):
        raise ValueError(
            f"{family.name!r} takes the columns {', '.join(family.columns or ())}; got the group "
            f"{group}; name those, in that order."
        )
    if family.width not in (None, len(group)):
        raise TypeError(f"{family.name!r} takes {family.width} columns; got the group {group}.")
    return family


def _again(parts: list[Any]) -> Product:
    return Product({tuple(group): family for group, family in parts})


MAKERS["product"] = _again
