"""Rows by what they hide: those that lack the same columns together.

One known case: rows without gaps are one group.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emframe.spaces import Array

MOST_BITS = 52  # columns whose gaps are told by one number

Mask = NDArray[np.bool_]


class Group(NamedTuple):
    """Rows of a block that hide the same columns."""

    key: bytes
    gaps: Mask  # (d,)
    rows: NDArray[np.intp]


def groups(x: Array) -> Iterator[Group]:
    """The rows x (n, d) by what they hide, each group in the order of its rows."""
    gaps = np.isnan(x)
    if not gaps.any():
        if len(x):
            yield Group(np.packbits(gaps[0]).tobytes(), gaps[0], np.arange(len(x)))
        return
    d = gaps.shape[1]
    if d <= MOST_BITS:
        codes: Any = gaps @ np.exp2(np.arange(d))
    else:
        codes = np.packbits(gaps, axis=1)
        codes = np.ascontiguousarray(codes).view(f"V{codes.shape[1]}").ravel()
        codes = np.unique(codes, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    ends = np.flatnonzero(np.diff(codes[order])) + 1
    for rows in np.split(order, ends):
        own = gaps[rows[0]]
        yield Group(np.packbits(own).tobytes(), own, rows)
