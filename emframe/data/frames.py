"""Data frames in: pandas, polars, pyarrow and what else narwhals knows, as one array with names.

A frame's columns are read by their own types, so that a missing value in a column of integers is
missing rather than a large float, and a column of words is refused by its name.

One known case: a frame of float64 columns is ``numpy.column_stack`` of them, under their names.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data.elsewhere import is_lazy, refuse_elsewhere
from emframe.messages.extras import extra
from emframe.messages.refusals import LARGEST_WHOLE, refusal, refuse_objects, shown

# What data frames and series have, and arrays have not.
_MARKS = ("__dataframe__", "__arrow_c_stream__", "__narwhals_dataframe__", "__narwhals_series__")


def is_frame(X: Any) -> bool:
    """Whether X is a data frame or a series of some library."""
    return is_lazy(X) or any(hasattr(X, mark) for mark in (*_MARKS, "iloc"))


def names_of(X: Any) -> tuple[str, ...]:
    """The names of the columns of a data frame; none of a series, or of a frame not yet made."""
    if is_lazy(X):
        return ()
    return tuple(map(str, getattr(X, "column_names", getattr(X, "columns", ()))))


def from_frame(
    X: Any, name: str, wanted: Collection[str] = (), covariates: Collection[str | int] = ()
) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """The numbers (n, d) of a data frame or series, and the names of its columns.

    Missing values become nan, whatever the type of the column.  A series without a name has no
    names.  Where some columns are `wanted`, no others are looked at.  Those that are `covariates`,
    by name or place, are told apart in messages: codes of theirs would be numbers to go by.

    Raises TypeError for a column that holds no real numbers, naming it, and for a lazy frame;
    ImportError where narwhals is missing.
    """
    refuse_elsewhere(X, name)
    nw = extra("narwhals", "dataframe", "reading data frames")
    given = names_of(X)
    twice = next((label for label in given if given.count(label) > 1), None)
    if twice is not None:
        raise ValueError(f"`{name}` has two columns called {twice!r}; rename one.")
    try:
        frame = nw.from_native(X, eager_only=True, allow_series=True, pass_through=True)
    except TypeError as error:  # rows that are somewhere else, in a database say
        raise TypeError(
            f"`{name}` is a {type(X).__name__} whose rows are not in memory; pass them as a frame "
            "of pandas, polars or pyarrow."
        ) from error
    if frame is X:  # of a library that narwhals has not heard of, but speaks Arrow
        frame = nw.from_arrow(X, backend="pyarrow")
    columns = [frame] if isinstance(frame, nw.Series) else list(frame.iter_columns())
    if wanted:
        columns = [column for column in columns if column.name in wanted]
    arrays = [
        _numbers(column, j, name, nw, j in covariates or str(column.name) in covariates)
        for j, column in enumerate(columns)
    ]
    values = np.column_stack(arrays) if arrays else np.zeros((len(frame), 0))
    unnamed = isinstance(frame, nw.Series) and frame.name in (None, "")
    return values, None if unnamed else tuple(str(column.name) for column in columns)


def without(X: Any, column: str) -> tuple[Any, NDArray[Any]]:
    """A frame or `Table` without a column, and that column, (n,), of whatever type.

    Raises TypeError for rows without names, ValueError where none is called so.
    """
    refuse_elsewhere(X, "X")
    frame = is_frame(X)
    names = getattr(X, "columns", None) if frame or hasattr(X, "X") else None
    if names is None:
        raise TypeError(f"`X` has no names for its columns, and so none is called {column!r}.")
    if column not in list(names):
        raise ValueError(f"`X` has the columns {', '.join(map(str, names))}, and no {column!r}.")
    if not frame:
        j = list(names).index(column)
        rest = tuple(name for name in names if name != column)
        return replace(X, X=np.delete(X.X, j, axis=1), columns=rest), X.X[:, j]
    nw = extra("narwhals", "dataframe", "reading data frames")
    whole = nw.from_native(X, eager_only=True)
    return whole.drop(column).to_native(), whole[column].to_numpy()


def taken(X: Any, order: NDArray[np.intp]) -> Any:
    """The rows of a frame or a series in this order."""
    nw = extra("narwhals", "dataframe", "reading data frames")
    return nw.from_native(X, eager_only=True, allow_series=True)[order.tolist()].to_native()


def aligned(X: Any, values: NDArray[Any], names: tuple[str, ...]) -> Any:
    """Values of the rows of X, carrying the index of X where it has one.

    A pandas frame gives a series (n,), or a frame (n, K) with these names for its columns; rows
    without an index are told apart by their order alone, and give the array itself; and so do
    values that are not one to a row, but one to a run of them.
    """
    if not hasattr(X, "iloc") or not hasattr(X, "index") or len(values) != len(X):
        return values
    nw = extra("narwhals", "dataframe", "reading data frames")
    backend = nw.from_native(X, eager_only=True, allow_series=True).implementation
    if values.ndim == 1:
        made = nw.new_series(names[0], values, backend=backend)
    else:
        made = nw.from_numpy(values, schema=list(names), backend=backend)
    return made.to_native().set_axis(X.index, axis=0)


def refuse_other_index(values: Any, X: Any, name: str) -> None:
    """Raise ValueError where `values` are indexed otherwise than the rows, or runs, they belong to.

    Of runs that were made by a label these are the labels.
    """
    if not _is_indexed(values):
        return
    X = X.X if hasattr(X, "labels") else X
    index, rows = getattr(X, "index", None), "X"
    if hasattr(X, "lengths"):
        of_runs = len(values) == len(X.lengths) and X.keys is not None
        rows = "X.keys" if of_runs else "X.source"
        index = X.keys if of_runs else getattr(X.source, "index", None)
    elif not _is_indexed(X):
        return
    if index is None or np.array_equal(np.asarray(values.index), np.asarray(index)):
        return
    where = rows if rows == "X.keys" else f"{rows}.index"
    raise ValueError(
        f"`{name}` has another index than `X`, and is not taken by position; pass "
        f"{name}.reindex({where}), or {name}.to_numpy() where the order is that of the rows."
    )


def _is_indexed(values: Any) -> bool:
    """Whether these are a series or frame of pandas, or alike."""
    return hasattr(values, "iloc") and hasattr(values, "index")


def refuse_dates(column: Any, j: int, name: str) -> None:
    """Raise TypeError for a column of dates, or of spans of time, which tell no unit."""
    label = str(column.name)
    is_span = "Duration" in str(column.dtype)
    span = f"X[{label!r}]" if is_span else f"(X[{label!r}] - X[{label!r}].min())"
    remedy = (
        "dates are numbers once it is said since when and in which unit; make a column of days, in "
        f"pandas {span}.dt.days"
    )
    value = shown(column[0]) if len(column) else "empty"
    fault = f"of dtype {column.dtype}"
    raise TypeError(refusal(name, 0, j, label, value, fault, len(column), remedy))


def _numbers(column: Any, j: int, name: str, nw: Any, is_covariate: bool) -> NDArray[Any]:
    """Column j, (n,), as real numbers; float64 with nan where it has missing values."""
    label, dtype, gaps = str(column.name), column.dtype, column.is_null().to_numpy()
    wide = (nw.Decimal, nw.Int128, nw.UInt128)
    if dtype.is_temporal():
        refuse_dates(column, j, name)
    if dtype == nw.Unknown:  # such as big-endian numbers, which numpy knows well
        values = np.asarray(column.to_numpy())
        if values.dtype.kind in "fiub":
            return values
    if dtype == nw.Object:  # Python's own numbers, or anything at all
        values = column.to_numpy()
        refuse_objects(values[:, None], name, [label], j, gaps[:, None])
    elif dtype != nw.Boolean and (dtype in wide or not dtype.is_numeric()):
        native = column.to_native()
        fault = f"of dtype {getattr(native, 'dtype', getattr(native, 'type', dtype))}"
        value = shown(column[0]) if len(column) else "empty"
        remedy = (
            f"pass columns of numbers, X[{label!r}] == {value} for one of two words; words go to "
            "the families 'categorical' and 'bernoulli', as responses to regressions of the "
            "families 'multinomial' and 'binomial'"
        )
        if is_covariate:
            remedy = (
                f"name the columns of the model, as in predictors=({label!r},): then words stand "
                "for an indicator of each of their values but the first"
            )
        raise TypeError(refusal(name, 0, j, label, value, fault, len(column), remedy))
    elif not gaps.any():
        values = np.asarray(column.to_numpy())
        if dtype.is_integer() and (values > LARGEST_WHOLE).any() | (values < -LARGEST_WHOLE).any():
            refuse_objects(values.astype(object)[:, None], name, [label], j)
        return values
    filled = np.full(len(column), np.nan)
    filled[~gaps] = column.drop_nulls().to_numpy()
    return filled
