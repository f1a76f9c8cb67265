"""Columns of words: their values in order, and the codes that stand for them.

    dog, cat, dog, None        levels cat, dog        codes 1, 0, 1, nan

Values are in order of the alphabet, or in that of the categories where the column has them (of
pandas, an enumeration of polars).

One known case: a column of numbers has no levels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from emframe.data.frames import is_frame, names_of
from emframe.messages.extras import extra
from emframe.messages.refusals import several
from emframe.spaces import Array

MOST_TOLD = 2000  # values of a column of words that rows in parts tell of
Levels = tuple[str, ...]  # the values of a column of words; none for a column of numbers


def column_of(frame: Any, name: str) -> Any:
    """The column of a frame with this name, or a series itself, as narwhals has it.

    Raises ValueError where there is none such.
    """
    nw = extra("narwhals", "dataframe", "reading data frames")
    whole = nw.from_native(frame, eager_only=True, allow_series=True)
    if isinstance(whole, nw.Series):
        return whole
    names = names_of(frame)
    if name not in names:
        raise ValueError(f"`X` has the columns {', '.join(names)}, and no {name!r}.")
    return whole[:, names.index(name)]


def levels_of(column: Any, always: bool = False, unseen: bool = False) -> Levels:
    """The values of a column of words, in order; none of numbers, unless `always` asks for them.

    unseen : whether categories that no row has are told as well.
    """
    nw = extra("narwhals", "dataframe", "reading data frames")
    dtype = column.dtype
    is_words = dtype in (nw.String, nw.Categorical, nw.Enum, nw.Object)
    if not is_words and not always:
        return ()
    values = column.drop_nulls().to_list()
    if dtype == nw.Object and not always and all(map(_is_number, values)):
        return ()
    native = column.to_native()
    order = getattr(dtype, "categories", None)  # of an enumeration
    if order is None and hasattr(native, "cat"):
        order = getattr(native.cat, "categories", None)  # of pandas
    if order is None:
        numbers = all(map(_is_number, values))
        return tuple(map(str, sorted(set(values)) if numbers else sorted(set(map(str, values)))))
    seen = set(map(str, values))
    return tuple(str(one) for one in order if unseen or str(one) in seen)


def telling(frame: Any) -> Any:
    """Some rows of a frame in which its columns of words hold all their values, up to so many.

    One with a gap among them, for each that has one.
    """
    nw = extra("narwhals", "dataframe", "reading data frames")
    whole = nw.from_native(frame, eager_only=True)
    rows = set(range(min(1, len(whole))))
    for column in whole.iter_columns():
        if not column.dtype.is_numeric():
            first: dict[Any, int] = {}
            for row, value in enumerate(column.to_list()):
                if len(first) < MOST_TOLD:
                    first.setdefault(value, row)
            rows |= set(first.values())
    return whole[sorted(rows)].to_native()


def is_ordered(column: Any) -> bool:
    """Whether a column of words has an order of its own."""
    nw = extra("narwhals", "dataframe", "reading data frames")
    native = column.to_native()
    return column.dtype == nw.Enum or bool(getattr(getattr(native, "cat", None), "ordered", False))


def words_of(column: Any, name: str, levels: Levels) -> list[str | None]:
    """The values of a column as words, None where one is missing.

    Raises ValueError for a value that is none of the levels.
    """
    gaps = column.is_null().to_numpy()
    words = [None if gap else str(w) for w, gap in zip(column.to_list(), gaps, strict=True)]
    known = {None, *levels}
    strange = next((j for j, word in enumerate(words) if word not in known), None)
    if strange is not None:
        raise ValueError(
            f"`X` row {strange}, column {name!r} is {words[strange]!r}, which is none of the "
            f"values that were fitted: {', '.join(levels)}."
        )
    return words


def codes_of(column: Any, name: str, levels: Levels) -> Array:
    """The place of each value among the levels, (n,); nan where it is missing.

    Raises ValueError for a value that is none of them.
    """
    place: dict[str | None, float] = {level: float(j) for j, level in enumerate(levels)}
    place[None] = np.nan
    return np.array([place[word] for word in words_of(column, name, levels)])


def refuse_gaps(column: Any, name: str) -> None:
    """Raise ValueError where a value of a column is missing."""
    gaps = np.flatnonzero(column.is_null().to_numpy())
    if len(gaps):
        raise ValueError(
            f"`X` row {gaps[0]}, column {name!r} is missing ({len(gaps)} such); remove such rows."
        )


def with_columns(frame: Any, made: dict[str, Array]) -> Any:
    """A frame with these columns beside its own, or in the place of those of the same name.

    Of a series the one column in its place.
    """
    nw = extra("narwhals", "dataframe", "reading data frames")
    whole = nw.from_native(frame, eager_only=True, allow_series=True)
    names = names_of(frame) if is_frame(frame) else ()
    is_series = isinstance(whole, nw.Series)
    own = {} if is_series else dict(zip(names, whole.columns, strict=True))
    series = [
        nw.new_series(own.get(name, name), values, backend=whole.implementation)
        for name, values in made.items()
    ]
    if is_series:
        (only,) = series
        native = only.alias(whole.name).to_native()
    else:
        native = whole.with_columns(*series).to_native()
    index = getattr(frame, "index", None)
    return native if index is None or not hasattr(frame, "iloc") else native.set_axis(index, axis=0)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number))


def told(names: tuple[str, ...]) -> str:
    """The first few of many values, in words."""
    more = f", and {several(len(names) - 6, 'other')}" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more
