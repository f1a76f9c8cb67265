"""Two statistics of each column side by side: (K, 2 d) is (K, d) of the first, (K, d) of the other.

One known case: of one column they are the two numbers themselves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emframe import Degenerate
from emframe.spaces import EPS, Array

# Of a spread that is a difference of two means, no digit is left below so many of their last bits.
LOST = 16.0


def halves(both: Array) -> tuple[Array, Array]:
    """The first and the second statistic of each column, (K, d) each."""
    d = both.shape[1] // 2
    return both[:, :d], both[:, d:]


def refuse_points(spread: Array, size: Array) -> None:
    """Raise `Degenerate` for a component that has shrunk to a point in some column.

    Parameters
    ----------
    spread : (K, d) that is 0 where all rows of a component are alike.
    size : (K, d) of the terms whose difference it is.
    """
    refuse_where(~(spread > LOST * EPS * size), "has shrunk to a point in")


def refuse_where(lost: NDArray[np.bool_], what: str) -> None:
    """Raise `Degenerate` for the first component and column (K, d) in the mask."""
    if lost.any():
        k, column = map(int, np.argwhere(lost)[0])
        raise Degenerate(f"component {k} {what} column {column}", k)
