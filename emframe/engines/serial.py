"""One block after another, in the thread that asks.

Q is additive over rows, so Q of the data is the sum of the Qs of its blocks, and memory beyond
the data is that of one block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import TypeVar

from emframe.engines.workspace import Workspace, Workspaces

B = TypeVar("B")
Q = TypeVar("Q")


@dataclass(frozen=True)
class Serial:
    """The engine without threads."""

    workspaces: Workspaces = field(default_factory=Workspaces, repr=False, compare=False)

    def sum(self, of_block: Callable[[B, Workspace], Q], blocks: Iterable[B]) -> Q:
        """``of_block(block, workspace)`` for each block, added up from first to last."""
        with self.workspaces.borrow() as work:
            return reduce(add, (of_block(block, work) for block in blocks))
