"""Columns that are given and not modelled: numbers as they are, words as columns of 0 and 1.

    Covariates(("age", "sex"))        on a frame whose sex is "f" or "m":   age, sex_m

A column of words has an indicator for each of its values but the first, in order of the alphabet
(or in that of the categories, where the column has them).  A column may be a formula as well,
``"~ age * sex"``, and stands for those that it makes.  Which values there are is read off the data
by `settled`, once.

One known case: of columns of numbers alone they are these columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from emframe.data.blocks import Blocks, real_array
from emframe.data.formulas import Design, is_formula, names_in, read_off, refuse_learning
from emframe.data.frames import from_frame, is_frame, names_of
from emframe.data.gate import Table
from emframe.data.parts import Part
from emframe.data.runs import Sequences
from emframe.data.sources import in_parts
from emframe.data.words import Levels, codes_of, column_of, levels_of, refuse_gaps, telling
from emframe.messages.refusals import several
from emframe.spaces import Array

Column = str | int


@dataclass(frozen=True)
class Covariates:
    """Columns by name, by index or by formula, and the values of those that hold words."""

    columns: tuple[Column, ...]
    levels: tuple[Levels | Design, ...] | None = None  # one for each; None until read off the data

    def __post_init__(self) -> None:
        for column in self.columns:
            is_index = isinstance(column, (int, np.integer)) and not isinstance(column, bool)
            if not isinstance(column, str) and not (is_index and column >= 0):
                more = _spread(column)
                raise TypeError(
                    f"columns are told by name, or by index from 0; got {column!r}{more}."
                )
        own = tuple(str(c) if isinstance(c, str) else int(c) for c in self.columns)
        if len(set(own)) < len(own):
            raise ValueError(f"a column is named once; got {list(own)}.")
        if len({type(column) for column in own}) > 1:
            raise TypeError(f"columns are all names or all indices; got {list(own)}.")
        object.__setattr__(self, "columns", own)
        if self.levels is not None:
            levels = (one if isinstance(one, Design) else tuple(one) for one in self.levels)
            object.__setattr__(self, "levels", tuple(levels))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """What the columns of numbers that are made of them are called, (q,)."""
        pairs = zip(self.columns, self._levels, strict=True)
        return tuple(label for column, levels in pairs for label in _labels(column, levels))

    @property
    def spelt(self) -> dict[str, tuple[str, ...]]:
        """For each column told by name what its columns of numbers are called."""
        pairs = zip(self.columns, self._levels, strict=True)
        return {str(column): _labels(column, levels) for column, levels in pairs}

    @property
    def sources(self) -> tuple[Column, ...]:
        """The columns of a frame that are read, those inside formulas among them."""
        each = ((names_in(str(c)) if is_formula(c) else (c,)) for c in self.columns)
        return tuple(dict.fromkeys(one for some in each for one in some))

    @property
    def width(self) -> int:
        """How many columns of numbers they are, q."""
        return len(self.labels)

    @property
    def named(self) -> bool:
        """Whether the columns are told by name."""
        return isinstance(next(iter(self.columns), None), str)

    @property
    def _levels(self) -> tuple[Levels | Design, ...]:
        return ((),) * len(self.columns) if self.levels is None else self.levels

    def settled(self, X: Any) -> Covariates:
        """The same with the values of columns of words read off the data; itself where it has them.

        Raises ValueError for a column that is missing, one with a gap, or one with a single value.
        """
        if self.levels is not None:
            return self
        some = frames(X)
        levels: list[Levels | Design] = []
        for column in self.columns:
            if is_formula(column):
                if not some:
                    raise TypeError(
                        f"the formula {column!r} reads columns by name; pass a data frame."
                    )
                if in_parts(X) is not None:
                    refuse_learning(str(column))
                levels.append(read_off(str(column), some))
                continue
            found: dict[str, None] = {}
            for frame in some:
                own = column_of(frame, _name(frame, column))
                values = levels_of(own)
                if values:
                    refuse_gaps(own, str(own.name))
                found |= dict.fromkeys(values)
            if len(found) == 1:
                raise ValueError(
                    f"`X` column {column!r} is {next(iter(found))!r} in every row, and says "
                    "nothing of them; leave it out."
                )
            levels.append(tuple(found))
        return replace(self, levels=tuple(levels))

    def of(self, frame: Any) -> Array:
        """The columns of a frame as numbers, (n, q)."""
        parts = [np.zeros((len(frame), 0))]
        for column, levels in zip(self.columns, self._levels, strict=True):
            if isinstance(levels, Design):
                parts.append(levels.of(frame))
                continue
            name = _name(frame, column)
            if not levels:
                parts.append(from_frame(frame, "X", (name,))[0])
                continue
            own = column_of(frame, name)
            refuse_gaps(own, name)
            codes = codes_of(own, name, levels)
            parts.append((codes[:, None] == np.arange(1, len(levels))).astype(float))
        return np.concatenate([np.asarray(part, dtype=float) for part in parts], axis=1)


def _labels(column: Column, levels: Levels | Design) -> tuple[str, ...]:
    """What the columns of numbers that are made of a column are called."""
    if isinstance(levels, Design):
        return levels.labels
    label = column if isinstance(column, str) else f"x{column}"
    return tuple(f"{label}_{level}" for level in levels[1:]) if levels else (label,)


def _digest(part: Part) -> Any:
    """The rows of a part by which its words are told; None for numbers without names."""
    X = part.table()[0]
    X = X.x if isinstance(X, Sequences) else X
    return telling(X) if is_frame(X) and names_of(X) else None


def frames(X: Any) -> list[Any]:
    """The data frames that data are, one or several; none for numbers."""
    parts = in_parts(X)
    if parts is not None:
        return [one for one in parts.each(_digest) if one is not None]
    if isinstance(X, Sequences):
        return frames(X.x)
    if is_frame(X):
        return [X] if names_of(X) else []
    if isinstance(X, (list, tuple)):
        return [one for one in X if is_frame(one) and names_of(one)]
    return []


def beside(
    X: Any,
    covariates: Sequence[Covariates],
    family: tuple[str, ...] | None,
    width: int | None,
    reads_all: bool = False,
    told: Any = None,
) -> Any:
    """The columns of a family, and behind them those of all covariates, as one table of numbers.

    Parameters
    ----------
    X : a frame, `Table`, `Blocks` or array.  Without names for its columns, where the covariates
        have names, their columns are the last.
    family : the columns that the family reads, by name; None for those that are no covariates.
    width : how many it takes, where that is settled: as many as there are, and it reads them all.
    reads_all : whether it reads them all, however many there are.
    told : the frame that the covariates are in, where words of X have become codes.

    Raises ValueError for a column that is missing.
    """
    labels = tuple(label for one in covariates for label in one.labels)
    if is_frame(X) and names_of(X):
        names = names_of(X)
        given = {_name(X, column) for one in covariates for column in one.sources}
        own = family or _others(names, given, len(names) if reads_all else width)
        values, found = from_frame(X, "X", _there(own, names))
        places = [(found or ()).index(name) for name in own]
        whole = np.column_stack(
            [values[:, places], *[one.of(X if told is None else told) for one in covariates]]
        )
        return Table(whole, (*own, *labels), None)
    table: Any = X if isinstance(X, (Blocks, Table)) else real_array(X, "X")
    have = getattr(table, "columns", None)
    d = table.n_columns if isinstance(table, Blocks) else np.shape(getattr(table, "X", table))[1]
    columns: Sequence[Column] = [column for one in covariates for column in one.columns]
    if any(one.levels and any(one.levels) for one in covariates):
        columns = labels  # words, which in numbers can only be the indicators made of them
    place = [_place(column, have, d, labels) for column in columns]
    if family is not None and have is not None:
        own_places = [_place(name, have, d, ()) for name in family]
    else:
        own_places = [j for j in range(d) if reads_all or d == width or j not in set(place)]
    order = [*own_places, *place]
    names_in_order = None if have is None else (*(have[j] for j in own_places), *labels)
    if isinstance(table, Blocks):
        return replace(table.of(order), columns=names_in_order)
    numbers = np.asarray(getattr(table, "X", table))
    numbers = numbers if order == list(range(d)) else numbers[:, order]
    if names_in_order is None:
        names_in_order = (*(f"x{j}" for j in own_places), *labels)
    return Table(numbers, names_in_order, getattr(table, "weights", None))


def _others(names: tuple[str, ...], given: set[str], width: int | None) -> tuple[str, ...]:
    """The columns of a family that names none."""
    return tuple(name for name in names if len(names) == width or name not in given)


def _there(wanted: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    missing = next((name for name in wanted if name not in names), None)
    if missing is not None:
        raise ValueError(f"`X` has the columns {', '.join(names)}, and no {missing!r}.")
    return wanted


def _name(frame: Any, column: Column) -> str:
    """The name of a column of a frame; ValueError where it has none such."""
    names = names_of(frame)
    if isinstance(column, int):
        if column >= len(names):
            raise ValueError(f"`X` has {several(len(names), 'column')}, and no column {column}.")
        return names[column]
    return _there((column,), names)[0]


def _place(column: Column, have: tuple[str, ...] | None, d: int, labels: tuple[str, ...]) -> int:
    """Where a column stands in a table of d columns."""
    if isinstance(column, int):
        if column >= d:
            raise ValueError(f"`X` has {several(d, 'column')}, and no column {column}.")
        return column
    if have is not None:
        return have.index(_there((column,), tuple(have))[0])
    if column not in labels or d < len(labels):
        raise ValueError(
            f"`X` has {several(d, 'column')} without names, and {column!r} is one of the "
            f"{len(labels)} behind those of the family; pass a data frame, or these columns too."
        )
    return d - len(labels) + labels.index(column)


def _spread(given: Any) -> str:
    """What to write in the place of a list of columns; empty for anything else."""
    is_list = isinstance(given, (list, tuple))
    return f"; one after the other, {', '.join(map(repr, given))}" if is_list else ""
