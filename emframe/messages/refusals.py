"""How a bad value is told: where the first one stands, what it is, how many there are, the remedy.

One known case: ``X row 3, column 1 ('b') is nan: missing or infinite (2 such values); remove or
impute such rows.``
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_WHOLE = 2**53  # beyond it float64 skips whole numbers
TOO_LARGE = (
    "a whole number above 2**53, which float64 cannot tell from its neighbours",
    "subtract an offset or rescale",
)


_FIRST: ContextVar[int] = ContextVar("row of the whole that is the first here", default=0)


@contextmanager
def numbered_from(first: int) -> Iterator[None]:
    """For the duration rows are told by their numbers in a whole, the first here by `first`."""
    token = _FIRST.set(first)
    try:
        yield
    finally:
        _FIRST.reset(token)


def several(n: float, noun: str) -> str:
    """A number of things: ``1 row``, ``2 rows``, ``1.5 rows``."""
    return f"{n:.12g} {noun}{'' if n == 1 else 's'}"


def refuse_beyond(name: str, value: int, n: int, noun: str) -> None:
    """Raise ValueError for a setting that is larger than what the data have."""
    if value > n:
        runs = "; rows are put into runs by emframe.Sequences.by(X, 'id')" * (noun == "run")
        raise ValueError(
            f"`{name}` is {value}, but the data have {several(n, noun)}; pass at most {n}{runs}."
        )


def refusal(
    name: str, row: int, column: int, label: str, value: str, fault: str, count: int, remedy: str
) -> str:
    """The words for values that cannot be used, of which `value` in `row` is the first."""
    return (
        f"`{name}` row {_FIRST.get() + row}, column {column} ({label!r}) is {value}: {fault} "
        f"({several(count, 'such value')}); {remedy}."
    )


def refuse_where(
    bad: NDArray[np.bool_],
    values: NDArray[Any],
    name: str,
    labels: Sequence[str],
    fault: str,
    remedy: str,
    kind: type[Exception],
    first_column: int = 0,
) -> None:
    """Raise `kind` where any of the values (n, d) is bad; the columns count from `first_column`."""
    if bad.any():
        row, column = (int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
        value, where = shown(values[row, column]), first_column + column
        count = int(bad.sum())
        raise kind(refusal(name, row, where, labels[column], value, fault, count, remedy))


def refuse_objects(
    values: NDArray[Any],
    name: str,
    labels: Sequence[str],
    first_column: int = 0,
    missing: NDArray[np.bool_] | None = None,
) -> None:
    """Refuse objects (n, d) that are not real numbers, or whole ones that float64 cannot hold.

    Entries that are `missing` (n, d) may be anything.  Raises TypeError, ValueError.
    """
    told = np.zeros(values.shape, dtype=bool) if missing is None else missing
    odd = ~(told | np.frompyfunc(_is_real, 1, 1)(values).astype(bool))
    said = ("not a real number", "pass real numbers, and nan for what is missing")
    refuse_where(odd, values, name, labels, *said, TypeError, first_column)
    large = ~told & np.frompyfunc(_is_too_large, 1, 1)(values).astype(bool)
    refuse_where(large, values, name, labels, *TOO_LARGE, ValueError, first_column)


def shown(value: Any) -> str:
    """A value as it is written in a message."""
    plain = value.item() if isinstance(value, np.str_) else value
    text = str(value) if isinstance(value, (np.number, np.bool_)) else repr(plain)
    return text if len(text) <= 40 else text[:37] + "..."


def _is_real(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating, np.bool_))


def _is_too_large(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and abs(int(value)) > LARGEST_WHOLE
