"""Components that have shrunk to a point: their directions are alike to the last bits.

One known case: a single row has a mean of length 1.
"""

from __future__ import annotations

from emframe import Array, Degenerate
from emframe.spaces import EPS

LOST = 32.0  # where 1 - length is below so many last bits, none of its digits is left


def refuse_points(length: Array) -> None:
    """Raise `Degenerate` for the first component whose mean has length (K,) 1 but for rounding."""
    lost = ~(1.0 - length > LOST * EPS)
    if lost.any():
        k = int(lost.argmax())
        raise Degenerate(f"component {k} has shrunk to a point: its directions are all alike", k)
