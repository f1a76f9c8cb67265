"""Columns that are given and not modelled: numbers as they are, words as columns of 0 and 1.

    Covariates(("age", "sex"))        on a frame whose sex is "f" or "m":   age, sex_m

A column of words has an indicator for each of its values but the first, in order of the alphabet
(or in that of the categories, where the column has them).  Which values there are is read off the
data by `settled`, once.

One known case: of columns of numbers alone they are these columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from emframe.data.blocks import Blocks, real_array
from emframe.data.frames import from_frame, is_frame, names_of
from emframe.data.gate import Table
from emframe.data.parts import Part
from emframe.data.runs import Sequences
from emframe.data.sources import in_parts
from emframe.messages.extras import extra
from emframe.messages.refusals import several
from emframe.spaces import Array

Column = str | int
Levels = tuple[str, ...]  # the values of a column of words; none for a column of numbers


@dataclass(frozen=True)
class Covariates:
    """Columns by name or by index, and the values of those that hold words."""

    columns: tuple[Column, ...]
    levels: tuple[Levels, ...] | None = None  # one for each column; None until read off the data

    def __post_init__(self) -> None:
        for column in self.columns:
            is_index = isinstance(column, (int, np.integer)) and not isinstance(column, bool)
            if not isinstance(column, str) and not (is_index and column >= 0):
                raise TypeError(f"columns are told by name, or by index from 0; got {column!r}.")
        own = tuple(str(c) if isinstance(c, str) else int(c) for c in self.columns)
        if len(set(own)) < len(own):
            raise ValueError(f"a column is named once; got {list(own)}.")
        if len({type(column) for column in own}) > 1:
            raise TypeError(f"columns are all names or all indices; got {list(own)}.")
        object.__setattr__(self, "columns", own)
        if self.levels is not None:
            object.__setattr__(self, "levels", tuple(map(tuple, self.levels)))

    @property
    def labels(self) -> tuple[str, ...]:
        """What the columns of numbers that are made of them are called, (q,)."""
        found: list[str] = []
        for column, levels in zip(self.columns, self._levels, strict=True):
            label = column if isinstance(column, str) else f"x{column}"
            found += [f"{label}_{level}" for level in levels[1:]] if levels else [label]
        return tuple(found)

    @property
    def width(self) -> int:
        """How many columns of numbers they are, q."""
        return len(self.labels)

    @property
    def named(self) -> bool:
        """Whether the columns are told by name."""
        return isinstance(next(iter(self.columns), None), str)

    @property
    def _levels(self) -> tuple[Levels, ...]:
        return ((),) * len(self.columns) if self.levels is None else self.levels

    def settled(self, X: Any) -> Covariates:
        """The same with the values of columns of words read off the data; itself where it has them.

        Raises ValueError for a column that is missing, one with a gap, or one with a single value.
        """
        if self.levels is not None:
            return self
        parts = in_parts(X)
        each_part = [self._in_frames(X)] if parts is None else parts.each(_in_part, self)
        told = list(chain.from_iterable(each_part))
        levels = []
        for column, *each in zip(self.columns, *told, strict=True):
            found = dict.fromkeys(level for own in each for level in own)
            is_sorted = all(list(own) == sorted(own) for own in each)
            values = tuple(sorted(found) if is_sorted else found)
            if len(values) == 1:
                raise ValueError(
                    f"`X` column {column!r} is {values[0]!r} in every row, and says nothing of "
                    "them; leave it out."
                )
            levels.append(values)
        return replace(self, levels=tuple(levels))

    def _in_frames(self, X: Any) -> list[list[Levels]]:
        """The values of each column in each frame."""
        return [[_levels(frame, _name(frame, one)) for one in self.columns] for frame in frames(X)]

    def of(self, frame: Any) -> Array:
        """The columns of a frame as numbers, (n, q)."""
        parts = [np.zeros((len(frame), 0))]
        for column, levels in zip(self.columns, self._levels, strict=True):
            name = _name(frame, column)
            if not levels:
                parts.append(from_frame(frame, "X", (name,))[0])
                continue
            words = _words(frame, name)
            known = {level: j for j, level in enumerate(levels)}
            strange = next((j for j, word in enumerate(words) if word not in known), None)
            if strange is not None:
                raise ValueError(
                    f"`X` row {strange}, column {name!r} is {words[strange]!r}, which is none of "
                    f"the values that were fitted: {', '.join(levels)}."
                )
            codes = np.array([known[word] for word in words], dtype=np.intp)
            parts.append((codes[:, None] == np.arange(1, len(levels))).astype(float))
        return np.concatenate([np.asarray(part, dtype=float) for part in parts], axis=1)


def _in_part(part: Part, covariates: Covariates) -> list[list[Levels]]:
    return covariates._in_frames(part.table()[0])


def frames(X: Any) -> list[Any]:
    """The data frames that data are, one or several; none for numbers."""
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
) -> Any:
    """The columns of a family, and behind them those of all covariates, as one table of numbers.

    Parameters
    ----------
    X : a frame, `Table`, `Blocks` or array.  Without names for its columns, where the covariates
        have names, their columns are the last.
    family : the columns that the family reads, by name; None for those that are no covariates.
    width : how many it takes, where that is settled: as many as there are, and it reads them all.

    Raises ValueError for a column that is missing.
    """
    labels = tuple(label for one in covariates for label in one.labels)
    if is_frame(X) and names_of(X):
        names = names_of(X)
        given = {_name(X, column) for one in covariates for column in one.columns}
        own = family or _others(names, given, width)
        values, found = from_frame(X, "X", _there(own, names))
        places = [(found or ()).index(name) for name in own]
        whole = np.column_stack([values[:, places], *[one.of(X) for one in covariates]])
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
        own_places = [j for j in range(d) if d == width or j not in set(place)]
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


def _levels(frame: Any, name: str) -> Levels:
    """The values of a column of words, sorted, or as its categories are; none of numbers."""
    nw = extra("narwhals", "dataframe", "reading data frames")
    column = nw.from_native(frame, eager_only=True)[name]
    if column.dtype not in (nw.String, nw.Categorical, nw.Enum, nw.Object):
        return ()
    words = _words(frame, name)
    if column.dtype == nw.Object and all(_is_number(word) for word in column.to_list()):
        return ()
    seen = set(words)
    native = column.to_native()
    order = getattr(column.dtype, "categories", None)  # of an enumeration
    if order is None and hasattr(native, "cat"):
        order = getattr(native.cat, "categories", None)  # of pandas
    return tuple(sorted(seen) if order is None else (str(one) for one in order if str(one) in seen))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number))


def _words(frame: Any, name: str) -> list[str]:
    """The values of a column, as words; ValueError where one is missing."""
    nw = extra("narwhals", "dataframe", "reading data frames")
    column = nw.from_native(frame, eager_only=True)[name]
    gaps = np.flatnonzero(column.is_null().to_numpy())
    if len(gaps):
        raise ValueError(
            f"`X` row {gaps[0]}, column {name!r} is missing ({len(gaps)} such); remove such rows."
        )
    return [str(one) for one in column.to_list()]
