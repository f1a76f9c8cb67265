"""Columns of different kinds: a family whose density is the product of those of its parts.

    emframe.Product({"height": "gaussian", "visits": "poisson", "smoker": "bernoulli"})

Given the component, the groups of columns are independent, so log densities, statistics and Q are
sums over the parts, and the M-step is theirs side by side.  A column that one part models may be
given to another, as a predictor is to a regression, f(x) f(y | x): the sums stay what they are.

Where the parts are of runs of rows, so is the product: of a person's measurements and the time of
an event, which share one z (Lin, Turnbull, McCulloch and Slate 2002, JASA 97, 53).

One known case: a product of Poisson columns is the Poisson family on all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.composing.columns import AtColumns, Home, RowsOf
from emframe.composing.constraints import m_step_within
from emframe.composing.parts import (
    ColumnsOf,
    labelled,
    ordered,
    refuse_rows_beside_runs,
    resolved,
)
from emframe.core import Contract
from emframe.families import (
    Axes,
    Completed,
    Conditional,
    ConjugatePrior,
    Curve,
    Family,
    Kernel,
    Pieces,
    Survey,
    refuse_kept,
)
from emframe.families.conditional import side_by_side
from emframe.families.joined import Multiplied
from emframe.families.pieces import refined
from emframe.families.rowwise import in_step
from emframe.families.stack import Sums, common_priors, weakest
from emframe.host import family as named_family
from emframe.host.recipes import MAKERS
from emframe.parameters.records import record
from emframe.spaces import Array, Claim, Space

Key = str | int | tuple[Any, ...]


@dataclass(frozen=True, init=False)
class Product(Family):
    """Independent groups of columns, each of a family of its own.

    Parameters
    ----------
    parts : families, or names of plugins, by column: a name, an index, or a tuple of either for
        a group; of a family that names its columns, such as a regression, the name of one of them
        will do. Named columns are found by name in a data frame, which may have others too;
        rows without names have them in the order given. Indices have to name every column. A
        column may be in several groups, where all but one of them read it as a covariate.

    missing : whether values may be missing (nan), of the families that are named.

    Raises
    ------
    TypeError, ValueError : for keys that are no columns, or name one twice; for a column that two
        parts model, or parts that are given each other's; for a family of one column that is
        given a group.

    Examples
    --------
    >>> family = emframe.Product({0: "poisson", 1: "bernoulli"})
    >>> rows = [[0, 0], [1, 0], [0, 1], [8, 1], [9, 1], [7, 0]]
    >>> emframe.fit(emframe.Mixture(family, 2), rows, rng=0)["probs"].shape
    (2, 1)
    """

    parts: tuple[ColumnsOf, ...]
    columns: tuple[str, ...] | None  # type: ignore[misc]
    covered: Array | None = field(default=None, repr=False, compare=False)  # see `given`

    name = "product"
    maker = "product"

    def __init__(self, parts: Mapping[Any, str | Family], *, missing: bool = False) -> None:
        if not isinstance(parts, Mapping) or not parts:
            raise TypeError(
                f'`parts` is {parts!r}; pass a mapping of columns to families, {{"x": "poisson"}}.'
            )
        if missing:
            parts = {
                key: named_family(one, missing=True) if isinstance(one, str) else one
                for key, one in parts.items()
            }
        groups = [_group(key, family) for key, family in parts.items()]
        keys = [column for group in groups for column in group]
        named = all(isinstance(key, str) for key in keys)
        if not named and not all(isinstance(key, (int, np.integer)) for key in keys):
            raise TypeError(f"columns are all names or all indices; got {keys}.")
        twice = next((group for group in groups if len(set(group)) < len(group)), None)
        if twice is not None:
            raise ValueError(f"a group names a column once; got {twice}.")
        distinct = tuple(dict.fromkeys(keys))
        if not named and sorted(distinct) != list(range(len(distinct))):
            raise ValueError(
                f"indices name every column, from 0 to {len(distinct) - 1}; got {sorted(distinct)}."
            )
        made = []
        for group, given in zip(groups, parts.values(), strict=True):
            places = tuple(distinct.index(key) if named else int(key) for key in group)
            made.append(ColumnsOf(labelled(group), resolved(given, group), places))
        ordered(made, distinct if named else tuple(range(len(distinct))))
        refuse_rows_beside_runs(made)
        labels = [part.label for part in made]
        if len(set(labels)) < len(labels):
            raise ValueError(f"parts have to be told apart by their names; got {labels}.")
        object.__setattr__(self, "parts", tuple(made))
        object.__setattr__(self, "columns", distinct if named else None)

    def ingredients(self) -> dict[str, Any]:
        names: tuple[Any, ...] = self.columns or tuple(range(self.width))
        return {"parts": [[[names[j] for j in p.places], p.family] for p in self.parts]}

    # ---- declarations

    @property
    def in_runs(self) -> bool:  # type: ignore[override]
        return self.parts[0].family.in_runs

    @property
    def parameters(self) -> type:
        """One field for each part, named for its columns, that holds the part's parameters."""
        return record("ProductParameters", {p.label: p.family.parameters for p in self.parts})

    @property
    def width(self) -> int:  # type: ignore[override]
        return len({place for part in self.parts for place in part.places})

    @property
    def is_settled(self) -> bool:  # type: ignore[override]
        return all(part.family.is_settled for part in self.parts)

    def settled(self, whole: Sums, columns: Sequence[str]) -> Product:
        def own(part: ColumnsOf, sums: Any) -> ColumnsOf:
            names = [columns[j] for j in part.places]
            return replace(part, family=part.family.settled(sums, names))

        pairs = zip(self.parts, whole.parts, strict=True)
        return self._of(own(part, sums) for part, sums in pairs)

    def spelt(self, names: Mapping[str, tuple[str, ...]]) -> Product:
        """Each part with its own; the columns stand in the order in which the parts name them."""
        if self.columns is None or not names:
            return self
        given = {self.columns[place] for part in self.parts for place in part.given}
        told = {name: own for name, own in names.items() if name in given}

        def respelt(part: ColumnsOf) -> tuple[tuple[str, ...], Family]:
            assert self.columns is not None
            own = tuple(self.columns[place] for place in part.places)
            family = part.family.spelt(told)
            return family.columns or own, family

        return Product(dict(map(respelt, self.parts)))

    def parts_of(self, columns: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for part in self.parts:
            own = tuple(columns[place] for place in part.places)
            found |= {part.label: own} | part.family.parts_of(own)
        return found

    def _of(self, parts: Iterable[ColumnsOf]) -> Product:
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
        """Whole rows; what a part models has the last word on a column that others are given."""
        order = reversed(ordered(self.parts))
        return RowsOf(tuple(Home(p.label, p.family.support, p.places) for p in order))

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
            own = tuple(map(free.index, part.modelled))
            space = part.family.support_given(part.of(row[None])[0])
            homes += [Home(part.label, space, own)] if own else []
        return RowsOf(tuple(homes))

    @property
    def supports(self) -> tuple[Space, ...]:
        return tuple(
            AtColumns(space, part.places) for part in self.parts for space in part.family.supports
        )

    def claims(self) -> tuple[Claim, ...]:
        """Those of each part, by its name."""
        return tuple(
            replace(
                one,
                space=AtColumns(one.space, part.places),
                owner=f"the part {part.label!r}, {one.owner}",
            )
            for part in self.parts
            for one in part.family.claims()
        )

    def located(self, x: Array) -> Array:
        points = np.array(x)
        for part in reversed(ordered(self.parts)):
            points[:, part.modelled] = part.family.located(part.of(x))[:, _own(part)]
        return points

    def points(self, x: Any) -> Array | None:
        """Where runs stand by each part, side by side."""
        each = [part.family.points(part.of(x)) for part in self.parts]
        if all(points is None for points in each):
            return None

        def means(part: ColumnsOf) -> Array:
            runs: Any = part.of(x)
            rows = part.family.located(runs.x)[:, _own(part)]
            return np.asarray(np.add.reduceat(rows, x.firsts, axis=0) / x.lengths[:, None])

        pairs = zip(self.parts, each, strict=True)
        return np.concatenate(
            [means(part) if points is None else points for part, points in pairs], axis=1
        )

    def course(self, response: Any = None) -> tuple[int, tuple[int, ...]]:
        part = self._running(response)
        place, along = part.family.course()
        return part.places[place], tuple(part.places[one] for one in along)

    def response_at(self, params: Any, x: Array, response: Any = None) -> tuple[Array, Array]:
        part = self._running(response)
        return part.family.response_at(getattr(params, part.label), part.of(x))

    def _running(self, response: Any = None) -> ColumnsOf:
        """The part whose response it is; the first that has one if None."""
        found: dict[Any, ColumnsOf] = {}
        for part in self.parts:
            try:
                place = part.places[part.family.course()[0]]
            except TypeError:
                continue
            found[place if self.columns is None else self.columns[place]] = part
        if not found:
            raise TypeError("no part of the product has a response that runs along a column.")
        if response is None:
            return next(iter(found.values()))
        if response not in found:
            known = ", ".join(map(repr, found))
            raise ValueError(f"`response` is {response!r}; expected one of {known}.")
        return found[response]

    def forecast(self, params: Any, x: Any, at: Any, owners: Any) -> tuple[Array, Array]:
        """Of the first response that runs along a column."""
        part = self._running()
        own = getattr(params, part.label)
        return part.family.forecast(own, part.of(x), part.of(at), owners)

    def random_effects(self, params: Any, x: Any) -> tuple[tuple[str, ...], Array, Array]:
        """Those of all parts that have any, with the label of the part where several have."""
        found = {}
        for part, own in self._with(params):
            try:
                found[part.label] = part.family.random_effects(own, part.of(x))
            except TypeError:
                continue
        if not found:
            return super().random_effects(params, x)
        several = len(found) > 1
        names = [
            f"{label}.{name}" * several or name for label, one in found.items() for name in one[0]
        ]
        means, deviations = (
            np.concatenate([one[j] for one in found.values()], axis=2) for j in (1, 2)
        )
        return tuple(names), means, deviations

    @property
    def priors(self) -> tuple[str, ...]:  # type: ignore[override]
        return common_priors(part.family for part in self.parts)

    @property
    def takes_columns(self) -> bool:
        return self.width > 1

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        modelled = {place for part in self.parts for place in part.modelled}
        given = dict.fromkeys(place for part in self.parts for place in part.given)
        return tuple(place for place in given if place not in modelled)

    def given(self, x: Array) -> Product:
        other = copy(self)
        object.__setattr__(other, "covered", np.array(x, dtype=float))
        return other

    def with_gaps(self) -> Product:
        """Of parts that all may lack values."""
        return self._of(replace(part, family=part.family.with_gaps()) for part in self.parts)

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

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        """Part by part, as they are independent."""
        parts, own = [], list(hidden)
        for part, theirs in self._with(params):
            mine = [j for j in hidden if j in part.places]
            if mine:
                there = np.array([part.places.index(j) for j in mine])
                found = part.family.conditional(theirs, part.of(x), there)
                parts.append(([own.index(j) for j in mine], found))
        return side_by_side(parts, len(own))

    def imputed(self, params: Any, x: Any, shares: Array) -> Array:
        """Part by part, where a part hides something."""
        filled = np.array(x.x if self.in_runs else x)
        for part, own in self._with(params):
            if np.isnan(filled[:, part.places]).any():
                filled[:, part.places] = part.family.imputed(own, part.of(x), shares)
        return filled

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

        def own(part: ColumnsOf, sums: Any, before: Any, near: Any) -> Any:
            prefix = f"{part.label}."
            return m_step_within(part.family, prefix, sums, before, near, held, shared)

        each = zip(self._with(previous), self._with(like), statistics.parts, strict=True)
        return self._joined(
            own(part, sums, before, near) for (part, before), (_, near), sums in each
        )

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        """First what is given, then each part at what those before it drew."""
        rows, outer = np.zeros((len(labels), self.width)), list(self.covariates)
        if self.covered is not None:
            rows[:, outer] = self.covered[np.arange(len(labels)) % len(self.covered)][:, outer]
        for part in ordered(self.parts):
            own = None if params is None else getattr(params, part.label)
            is_known = self.covered is not None or not set(part.given) & set(outer)
            family = part.family.given(part.of(rows)) if part.given and is_known else part.family
            drawn = np.asarray(family.sample(own, labels, rng), dtype=float)
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

    def _with(self, params: Any) -> Iterator[tuple[ColumnsOf, Any]]:
        for part in self.parts:
            yield part, None if params is None else getattr(params, part.label)

    def _joined(self, each: Iterator[Any]) -> Any:
        return self.parameters(**dict(zip((p.label for p in self.parts), each, strict=True)))


def _group(key: Any, family: Any) -> tuple[Any, ...]:
    """The columns of a part; those that its family names, where the key is one of them."""
    own = family.columns if isinstance(family, Family) else None
    if isinstance(key, str) and own is not None and key in own:
        return tuple(own)
    return key if isinstance(key, tuple) else (key,)


def _own(part: ColumnsOf) -> list[int]:
    """Which of a part's columns it models."""
    return [j for j in range(len(part.places)) if j not in part.family.covariates]


def _again(parts: list[Any]) -> Product:
    return Product({tuple(group): family for group, family in parts})


MAKERS["product"] = _again
