"""Which two columns of a row tell of the value that a family models, and where its others stand.

A family of one column that is modelled, given any others, becomes one of two columns in its place:

    inner    (y, x_1, ..., x_p)        outer    (first, second, x_1, ..., x_p)

Columns are named, and the pair is found by name among others, or told by index; then what the
family is given has the other places, in their order.

One known case: of a family of one column the pair is the whole row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.families import Family, refuse_inner_gaps
from emframe.host import families, family_of
from emframe.host import family as named_family
from emframe.spaces import Array, Space

Column = str | int
# Settings of families that are columns.
GIVEN = ("predictors", "offset", "trials")


@dataclass(frozen=True)
class Pair:
    """Places of the pair in the outer row, and of what the inner family is given."""

    family: Family
    first: Column
    second: Column

    @property
    def places(self) -> tuple[int, int]:
        """Where the pair stands."""
        if isinstance(self.first, str):
            return 0, 1
        return int(self.first), int(self.second)

    @property
    def modelled(self) -> int:
        """Where the inner row has the value."""
        given = self.family.covariates
        return next(j for j in range(self.inner_width) if j not in given)

    @property
    def inner_width(self) -> int:
        """Columns of the inner row."""
        return self.family.width or 1

    @property
    def given(self) -> tuple[int, ...]:
        """Where the inner row has what is given, in order."""
        return tuple(sorted(self.family.covariates))

    @property
    def others(self) -> tuple[int, ...]:
        """Where the outer row has it, in the same order."""
        return tuple(j for j in range(self.inner_width + 1) if j not in self.places)

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the outer row's columns, where they have any."""
        if not isinstance(self.first, str):
            return None
        names = self.family.columns or ()
        return (self.first, str(self.second), *(names[j] for j in self.given))

    @property
    def space(self) -> Space:
        """Where the value lives."""
        return self.family.support.column(self.modelled)

    def inner(self, x: Array, values: Array) -> Array:
        """Inner rows (n, d - 1) of outer rows x (n, d), with values (n,) in their place."""
        rows = np.empty((len(x), self.inner_width))
        rows[:, self.given] = x[:, self.others]
        rows[:, self.modelled] = values
        return rows

    def outer(self, rows: Array, pairs: Array) -> Array:
        """Outer rows of inner rows (n, d - 1), with pairs (n, 2) in the place of the value."""
        x = np.empty((len(rows), self.inner_width + 1))
        x[:, self.others] = rows[:, self.given]
        x[:, self.places] = pairs
        return x


def settled(
    family: str | Family, pair: tuple[Any, Any], said: str, options: Mapping[str, Any]
) -> Pair:
    """The pair of columns of a family, and that family.

    Parameters
    ----------
    family : a name, or a `Family` of one column that is modelled.
    pair : the columns, by name or index.
    said : how they are called in messages, such as "`lower` and `upper`".
    options : settings of the family, when it is given by name.

    Raises TypeError and ValueError for what cannot be a pair, or a family.
    """
    first, second = pair
    named = isinstance(first, str) and isinstance(second, str)
    numbered = all(
        isinstance(one, (int, np.integer)) and not isinstance(one, bool) and one >= 0
        for one in pair
    )
    if not (named or numbered):
        raise TypeError(f"{said} are {first!r} and {second!r}; pass two names, or two indices.")
    if first == second:
        raise ValueError(f"{said} are both {first!r}; pass two different columns.")
    if isinstance(family, str):
        found = _made(family, pair, named, options)
    else:
        found = family_of(family, options)
    if not isinstance(found, Family) or found.in_runs:
        raise TypeError(
            f"`family` is {family!r}; pass a plugin's name, or a Family object whose rows are no "
            "runs."
        )
    refuse_inner_gaps(found, "Censored")
    width = found.width or 1
    modelled = [j for j in range(width) if j not in found.covariates]
    if len(modelled) != 1:
        raise TypeError(
            f"the family {found.name!r} models {len(modelled)} columns, and {said} tell of one; "
            "take a family of one column for each: emframe.Product({('lo', 'hi'): "
            "emframe.Censored(...), ...})."
        )
    if width > 1 and named != (found.columns is not None):
        raise TypeError(
            f"{said} are {first!r} and {second!r}, and {found.name!r} has its columns by "
            f"{'index' if named else 'name'}; tell all by name, or all by index."
        )
    if numbered and not max(pair) <= width:
        raise ValueError(f"{said} are {first} and {second}; the row has {width + 1} columns.")
    plain = (str(first), str(second)) if named else (int(first), int(second))
    made = Pair(found, *plain)
    twice = made.columns and next((one for one in made.columns if made.columns.count(one) > 1), "")
    if twice:
        raise ValueError(f"the column {twice!r} is in {said} and among those of {found.name!r}.")
    return made


def _made(name: str, pair: tuple[Any, Any], named: bool, options: Mapping[str, Any]) -> Family:
    """The family of a name; one of a response has the pair in its place."""
    if not _takes_response(name) or "response" in options:
        return named_family(name, **options)
    if named:
        return named_family(name, response=pair[0], **options)
    low, high = sorted(map(int, pair))

    def inner(column: Any) -> Any:
        """Where it stands among what is given, after the response."""
        if isinstance(column, (list, tuple)):
            return tuple(map(inner, column))
        if not isinstance(column, (int, np.integer)):
            return column
        return 1 + int(column) - (column > low) - (column > high)

    told = {key: inner(value) if key in GIVEN else value for key, value in options.items()}
    if "predictors" not in told:
        told["predictors"] = (1,)
    return named_family(name, response=0, **told)


def _takes_response(name: str) -> bool:
    found = families().get(name)
    if found is None:
        return False
    return found.takes("response")
