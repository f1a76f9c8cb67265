"""The parts of a product: groups of columns, each with its family, and which is given whose.

A part is a density of some of its columns given the others, and these may be the outcomes of
another part.  As long as no two model the same column, and none is given its own outcome by way of
others, the product of the densities is one of all outcomes together.

One known case: of a part of x and a regression of y on x, that of x comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emframe.data.runs import of_columns
from emframe.families import Family
from emframe.host import family as named_family
from emframe.parameters.records import identifier


@dataclass(frozen=True)
class ColumnsOf:
    """A group of columns and its family."""

    label: str  # of its parameters
    family: Family
    places: tuple[int, ...]  # where its columns stand in a row

    def of(self, x: Any) -> Any:
        """Its columns of rows x (n, d), or of runs of rows."""
        return of_columns(x, self.places)

    @property
    def modelled(self) -> tuple[int, ...]:
        """Where the columns stand that it is a density of."""
        given = self.family.covariates
        return tuple(place for j, place in enumerate(self.places) if j not in given)

    @property
    def given(self) -> tuple[int, ...]:
        """Where the columns stand that it is a density given."""
        return tuple(self.places[j] for j in self.family.covariates)


def ordered(parts: Sequence[ColumnsOf], names: Sequence[Any] = ()) -> list[ColumnsOf]:
    """The parts, each after those that model what it is given; else in their order.

    Raises ValueError for a column that two parts model, and for parts in a circle.
    """
    owner: dict[int, ColumnsOf] = {}
    for part in parts:
        for place in part.modelled:
            if place in owner:
                name = repr(names[place]) if names else str(place)
                raise ValueError(
                    f"column {name} is modelled by two parts, {owner[place].label!r} and "
                    f"{part.label!r}; a column is the outcome of one part, and others may only be "
                    "given it, as the regressions are their predictors=."
                )
            owner[place] = part
    found: list[ColumnsOf] = []
    left = list(parts)
    while left:
        ready = next(
            (one for one in left if all(owner.get(place) not in left for place in one.given)), None
        )
        if ready is None:
            told = ", ".join(repr(one.label) for one in left)
            raise ValueError(
                f"the parts {told} are given each other's outcomes in a circle, which is no "
                "density of them together; take a predictor out of one of them."
            )
        found.append(ready)
        left.remove(ready)
    return found


def refuse_rows_beside_runs(parts: Sequence[ColumnsOf]) -> None:
    """Raise TypeError where some parts are of runs of rows, and others of single rows."""
    of_rows = [part for part in parts if not part.family.in_runs]
    if of_rows and len(of_rows) < len(parts):
        runs = next(part.family.name for part in parts if part.family.in_runs)
        name = of_rows[0].family.name
        raise TypeError(
            f"the rows of {runs!r} are runs, and those of {name!r} are single rows; say how a run "
            f"has these: emframe.Grouped({name!r}) where each row of it counts, "
            f"emframe.Once({name!r}) where it has one value that all its rows repeat."
        )


def labelled(group: tuple[Any, ...]) -> str:
    """A field name: columns without a name are x0, x1, ..."""
    words = [str(one) if isinstance(one, str) else f"x{one}" for one in group]
    return identifier("_".join(words))


def resolved(given: str | Family, group: tuple[Any, ...]) -> Family:
    family = named_family(given) if isinstance(given, str) else given
    if not isinstance(family, Family):
        raise TypeError(f"{group}: {given!r} is no family; pass a plugin's name or a Family.")
    if len(group) > 1 and not family.takes_columns:
        raise TypeError(f"the family {family.name!r} takes one column; got the group {group}.")
    if isinstance(group[0], str) and family.columns not in (None, group):
        raise ValueError(
            f"{family.name!r} takes the columns {', '.join(family.columns or ())}; got the group "
            f"{group}; name those, in that order: {{{family.columns}: ...}}."
        )
    if family.width not in (None, len(group)):
        told = _spelt(family, group)
        raise TypeError(
            f"{family.name!r} takes {family.width} columns; got the group {group}{told}."
        )
    return family


def _spelt(family: Family, group: tuple[Any, ...]) -> str:
    """How a family that takes predictors is told its columns; empty for any other."""
    if "predictors" not in family.ingredients():
        return ""
    if isinstance(group[0], str):
        y, *given = group if len(group) > 1 else (*group, "x")
        group, predictors = (y, *given), tuple(given)
    else:  # within the group they count from 0
        group = group if len(group) > 1 else (*group, group[0] + 1)
        y, predictors = 0, tuple(range(1, len(group)))
    return (
        "; the group has the response and all predictors, and the family says which is which: "
        f'{{{group}: emframe.family("{family.name}", response={y!r}, predictors={predictors})}}'
    )
