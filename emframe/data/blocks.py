"""Data that are never held whole: rows that come block by block, as often as they are asked for.

    emframe.Blocks(lambda: (np.load(part) for part in parts), n_rows, n_columns)

EM passes over its data again and again, so a source has to start over each time; what it yields
may lie in files, in a database, or nowhere at all.

One known case: a single block that holds all rows is the array itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data.elsewhere import refuse_elsewhere
from emframe.data.frames import from_frame, is_frame
from emframe.messages.refusals import refuse_objects, refuse_where, shown

UNREAD = "while the blocks of `X` were read"


def is_unread(error: BaseException) -> bool:
    """Whether an exception is one of reading blocks, and so of the source and not of a model."""
    return UNREAD in getattr(error, "__notes__", ())


@dataclass(frozen=True)
class Blocks:
    """Rows that come block by block: data larger than memory, or made on the way.

    Parameters
    ----------
    read : called without arguments for each pass; gives an iterable of arrays (b, d), of any b,
        the same rows in the same order each time.
    n_rows, n_columns : rows of all blocks together, and columns of each.
    columns : their names.

    Examples
    --------
    >>> rows = np.array([[0.0], [1.0], [8.0], [9.0]])
    >>> blocks = emframe.Blocks(lambda: [rows[:2], rows[2:]], n_rows=4, n_columns=1)
    >>> emframe.fit(emframe.Mixture("poisson", 1), blocks)["rates"]
    array([[4.5]])
    """

    read: Callable[[], Iterable[Any]]
    n_rows: int
    n_columns: int
    columns: tuple[str, ...] | None = None

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """The blocks of one pass, as arrays of real numbers.

        Raises ValueError where they are not the rows that were announced.
        """
        try:
            yield from self._checked()
        except Exception as error:
            error.add_note(UNREAD)
            raise

    def _checked(self) -> Iterator[NDArray[Any]]:
        seen = 0
        for block in self.read():
            array = real_array(block, "a block of `X`")
            if array.shape[1] != self.n_columns:
                raise ValueError(
                    f"a block of `X` has shape {array.shape}; `Blocks` announced "
                    f"{self.n_columns} columns."
                )
            seen += len(array)
            if seen > self.n_rows:
                break
            yield array
        if seen != self.n_rows:
            more = "more than " if seen > self.n_rows else ""
            raise ValueError(
                f"`X` gave {more}{min(seen, self.n_rows)} rows; `Blocks` announced {self.n_rows}. "
                "Its callable has to start over each time it is called."
            )

    def of(self, places: Sequence[int]) -> Blocks:
        """The same rows, of the columns at these places, in this order."""
        names = None if self.columns is None else tuple(self.columns[j] for j in places)

        def read() -> Iterator[NDArray[Any]]:
            for block in self:
                yield block[:, places]

        return Blocks(read, self.n_rows, len(places), names)


def real_array(values: Any, name: str) -> NDArray[Any]:
    """An array (n, d) of real numbers of any type, not copied where it is one already."""
    refuse_elsewhere(values, name)
    if is_frame(values):
        return from_frame(values, name)[0]
    if hasattr(values, "toarray"):
        raise TypeError(f"`{name}` is sparse; pass a dense array (`{name}.toarray()`).")
    if not hasattr(values, "__array__") and (
        isinstance(values, (str, bytes, Mapping, Set)) or not hasattr(values, "__len__")
    ):
        raise TypeError(
            f"`{name}` is {shown(values)}; pass rows by columns: an array, a list of rows or a "
            "data frame."
        )
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        masked = _by_columns(np.ma.getmaskarray(values), name)
        told = ("masked, so missing", "remove the rows that hold masked entries")
        refuse_where(masked, _by_columns(values, name), name, _labels(masked), *told, TypeError)
    try:
        array = _by_columns(np.asarray(values), name)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(_ragged(values, name)) from error
    except RuntimeError as error:  # of a library that has arrays of its own
        raise TypeError(
            f"`{name}` is a {type(values).__name__} that numpy cannot read: {error}; pass it as a "
            "numpy array."
        ) from error
    if array.dtype.kind in "fiub":
        return array
    if array.dtype.kind == "O" or not hasattr(values, "dtype"):  # lists, as they were written
        objects = _by_columns(np.array(values, dtype=object), name)
        refuse_objects(objects, name, _labels(objects))
        return objects.astype(np.float64)
    told = (f"of dtype {array.dtype}", "pass real numbers")
    refuse_where(np.ones(array.shape, bool), array, name, _labels(array), *told, TypeError)
    return array.astype(np.float64)  # no value at all


def _ragged(values: Any, name: str) -> str:
    """Which row is of another length than the first, in words."""
    sizes = [
        np.shape(row) if hasattr(row, "shape") else len(row) if hasattr(row, "__len__") else 0
        for row in values
    ]
    odd = next((row for row, size in enumerate(sizes) if size != sizes[0]), 0)
    return (
        f"`{name}` is ragged: row {odd} has length {sizes[odd]} and row 0 has {sizes[0]}; pass "
        "rows of equal length."
    )


def _by_columns(array: Any, name: str) -> NDArray[Any]:
    """Rows by columns (n, d); one axis is one column."""
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise ValueError(
            f"`{name}` has {array.ndim} axes, shape {array.shape}; pass rows by columns (n, d)."
        )
    return np.asarray(array) if not isinstance(array, np.ma.MaskedArray) else array.data


def _labels(array: NDArray[Any]) -> list[str]:
    return [f"x{j}" for j in range(array.shape[1])]
