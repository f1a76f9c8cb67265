"""A look at all rows, block by block, wherever they lie.

    swept(rows, size, of_block)       [of_block(x, weights) of every block], in their order
    summed(rows, size, of_block)      their sum

What goes with the rows, one entry to each, is handed over in slices.  Of rows in parts `of_block`
is sent to where they are, so it has to be picklable: a function, a method, a `partial` of either.

One known case: of rows in memory it is a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

from emframe.data.placed import PlacedBlocks, over


def swept(rows: Any, size: int, of_block: Callable[..., Any], *beside: Any) -> list[Any]:
    """``of_block(x, weights, *some)`` of every block, in their order."""
    found: list[Any] = _over(rows, size, False, of_block, *beside)
    return found


def summed(rows: Any, size: int, of_block: Callable[..., Any], *beside: Any) -> Any:
    """The same, added up from the first block to the last; of rows in parts, part by part."""
    return _over(rows, size, True, of_block, *beside)


def _over(rows: Any, size: int, is_sum: bool, of_block: Callable[..., Any], *beside: Any) -> Any:
    blocks = rows.blocks(size)
    if isinstance(blocks, PlacedBlocks):
        return blocks.over(is_sum, of_block, *beside)
    found = over(rows, size, of_block, *beside)
    return reduce(add, found) if is_sum else list(found)
