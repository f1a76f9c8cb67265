"""One block after another, on one core.

Q is additive over rows, so Q of the data is the sum of the Qs of its blocks, and memory beyond
the data is that of one block.  The blocks and the order of the sum depend on shapes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TypeVar

Q = TypeVar("Q")

# Numbers in the working set of a block: 2 MB of float64, about the size of a core's cache.
WORKING_SET = 1 << 18


def block_rows(numbers_per_row: int) -> int:
    """Rows per block when each needs so many numbers of work space."""
    return max(64, WORKING_SET // max(1, numbers_per_row))


@dataclass(frozen=True)
class Serial:
    """The engine without threads."""

    def sum(self, expect: Callable[[slice], Q], n_rows: int, per_block: int) -> Q:
        """``expect(block)`` for each block of rows, added up from first to last."""
        starts = range(0, n_rows, per_block)
        return reduce(add, (expect(slice(s, min(s + per_block, n_rows))) for s in starts))
