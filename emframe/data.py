"""The gate: data enter as clean float64 rows, or are refused with the place and the remedy.

Nothing is imputed, clipped, dropped or cast with loss, and the caller's arrays are never touched:
families see read-only rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.spaces import Array, Space

_LARGEST_WHOLE = 2**53  # beyond it float64 skips whole numbers


@dataclass(frozen=True)
class Table:
    """Numbers with names for their columns, and frequencies where each row stands for several.

    What a data frame is to pandas, in the least that a fit needs; `emframe.Dataset` is one.
    """

    X: Array  # (n, d)
    columns: tuple[str, ...]  # (d,)
    weights: Array | None  # (n,), which `emframe.fit` takes unless it is given others


@dataclass(frozen=True)
class Rows:
    """Validated data: rows, their frequency weights, and the names of the columns."""

    x: Array  # (n, d), read-only
    weights: Array  # (n,), read-only; ones where the user gave none
    columns: tuple[str, ...]  # (d,)
    numbers: NDArray[np.intp]  # (n,) where each row stood in what the user gave
    n_given: int  # rows that the user gave, those of weight 0 included

    def __len__(self) -> int:
        return len(self.x)

    @property
    def total(self) -> float:
        """Number of rows that the weights stand for."""
        return float(self.weights.sum())

    def n_distinct(self, at_most: int) -> int:
        """Number of distinct rows, counted no further than `at_most`."""
        for size in (4 * at_most, len(self.x)):
            distinct = len(np.unique(self.x[:size], axis=0))
            if distinct >= at_most:
                return at_most
        return distinct


def as_rows(
    X: Any,
    *,
    supports: Sequence[Space],
    owner: str,
    weights: Any = None,
    takes_columns: bool = True,
    n_columns: int | None = None,
    columns: Sequence[str] | None = None,
) -> Rows:
    """Validate data for a model.

    Parameters
    ----------
    X : (n, d) array-like, data frame or `Table`; a 1-D array is n rows of one column.
    supports : spaces that every value has to lie in.
    owner : whose supports they are, for messages.
    weights : (n,) frequencies; rows of weight 0 are removed.
    takes_columns : whether more than one column is possible.
    n_columns : the number expected, where it is known.
    columns : names expected, where they are known; checked where X has names.

    Raises
    ------
    TypeError, ValueError : naming the argument, the first offending row and column, and the
        remedy.
    """
    x, names = _numbers(X)
    row_weights = as_weights(weights, len(x))
    kept = row_weights > 0
    numbers = np.arange(len(x))
    if not kept.all():
        x, row_weights, numbers = x[kept], row_weights[kept], numbers[kept]
    if not len(x):
        raise ValueError("`X` has no rows; pass at least one.")
    d = x.shape[1]
    if d == 0:
        raise ValueError("`X` has no columns; pass at least one.")
    if not takes_columns and d != 1:
        raise ValueError(
            f"`X` has {d} columns, but {owner} is a density of one column; pass one column."
        )
    if n_columns is not None and d != n_columns:
        raise ValueError(f"`X` has {d} columns; the model was fitted to {n_columns}.")
    if columns is not None and names is not None and tuple(columns) != names:
        raise ValueError(
            f"`X` has columns {', '.join(names)}; the model was fitted to {', '.join(columns)}."
        )
    labels = names or tuple(columns or (f"x{j}" for j in range(d)))
    _refuse(
        ~np.isfinite(x), x, numbers, labels, "missing or infinite", "remove or impute such rows"
    )
    for space in supports:
        outside = ~space.contains(x)
        if outside.ndim == 1:  # the whole row is one value
            outside = np.broadcast_to(outside[:, None], x.shape)
        _refuse(
            outside,
            x,
            numbers,
            labels,
            f"outside the support of {owner}",
            f"it takes {space.words}; check the data or choose another family",
        )
    return Rows(_read_only(x), _read_only(row_weights), labels, numbers, len(kept))


def frequencies(X: Any, weights: Any) -> Any:
    """The weights that were given, or else those that a `Table` brings along."""
    return X.weights if weights is None and isinstance(X, Table) else weights


def as_weights(weights: Any, n: int) -> Array:
    """Validate frequency weights for n rows; ones where they are None."""
    if weights is None:
        return np.ones(n)
    values, _ = _numbers(weights, "weights")
    if values.shape != (n, 1):
        shape = np.shape(weights)
        raise ValueError(
            f"`weights` has shape {shape}, data has {n} rows; pass one weight per row."
        )
    flat = values[:, 0]
    bad = ~np.isfinite(flat) | (flat < 0)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"`weights[{row}]` is {flat[row]} ({int(bad.sum())} such); weights are frequencies: "
            "finite and not negative."
        )
    if not flat.any():
        raise ValueError("`weights` are all zero, which removes every row.")
    return flat


def _numbers(X: Any, name: str = "X") -> tuple[Array, tuple[str, ...] | None]:
    """Values as float64 (n, d), and column names where X has them."""
    if hasattr(X, "toarray"):
        raise TypeError(f"`{name}` is sparse; pass a dense array (`{name}.toarray()`).")
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise TypeError(f"`{name}` has masked entries; remove the rows that hold them.")
    names = _column_names(X)
    if names is not None:
        _refuse_columns(X, names)
    try:
        values = np.asarray(X.X if isinstance(X, Table) else X)
    except ValueError as error:
        raise ValueError(f"`{name}` is ragged; pass rows of equal length.") from error
    if values.dtype.kind == "O":  # a frame with columns of different number types
        values = _from_objects(values, name)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"`{name}` has dtype {values.dtype}; pass real numbers.")
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise ValueError(
            f"`{name}` has {values.ndim} axes, shape {values.shape}; pass rows by columns (n, d)."
        )
    if names is not None and len(names) != values.shape[1]:
        raise ValueError(f"`{name}` has {values.shape[1]} columns and {len(names)} names for them.")
    with np.errstate(over="ignore"):
        floats = np.array(values, dtype=np.float64, order="C")
    if values.dtype.kind in "iu" and values.size and np.abs(floats).max() > _LARGEST_WHOLE:
        raise ValueError(
            f"`{name}` holds whole numbers above 2**53, which float64 cannot tell apart; "
            "subtract an offset or rescale."
        )
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:
        lost = np.isinf(floats) & np.isfinite(values)
        _refuse(
            lost,
            floats,
            np.arange(len(floats)),
            names or tuple(map(str, range(values.shape[1]))),
            "too large for float64",
            "rescale the column",
        )
    return floats, names


def _column_names(X: Any) -> tuple[str, ...] | None:
    if isinstance(X, Table):
        return X.columns
    columns = getattr(X, "columns", None)
    if columns is None or not hasattr(X, "dtypes"):
        name = getattr(X, "name", None)  # a series
        is_series = name is not None and hasattr(X, "dtype") and getattr(X, "ndim", 1) == 1
        return (str(name),) if is_series else None
    return tuple(str(name) for name in columns)


def _refuse_columns(X: Any, names: tuple[str, ...]) -> None:
    """Refuse a data frame's columns that are not numbers, by name."""
    dtypes = getattr(X, "dtypes", ())
    # A series answers with one dtype, a frame with one for each column.
    each = dtypes if hasattr(dtypes, "__iter__") else [dtypes]
    for name, dtype in zip(names, each, strict=False):
        text = str(dtype).lower()
        if not any(kind in text for kind in ("int", "float", "bool", "double")):
            raise TypeError(f"`X` has column {name!r} of dtype {dtype}; pass columns of numbers.")


def _from_objects(values: NDArray[Any], name: str) -> Array:
    for index, value in np.ndenumerate(values):
        if isinstance(value, (str, bytes, complex)) or not np.isscalar(value):
            raise TypeError(
                f"`{name}{list(map(int, index))}` is {value!r}; pass real numbers only."
            )
    return values.astype(np.float64)


def _refuse(
    bad: NDArray[np.bool_],
    x: Array,
    numbers: NDArray[np.intp],
    labels: Sequence[str],
    what: str,
    remedy: str,
) -> None:
    if not bad.any():
        return
    row, column = (int(index) for index in np.unravel_index(int(bad.argmax()), bad.shape))
    count = int(bad.sum())
    raise ValueError(
        f"`X` row {int(numbers[row])}, column {column} ({labels[column]!r}) is "
        f"{x[row, column]:g}: {what} ({count} such value{'s' if count > 1 else ''}); {remedy}."
    )


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
