"""Where blocks of rows run.  An engine maps block -> Q and reduces with +, in a fixed order.

Any object with ``sum(of_block, blocks)`` is one: it has to return what adding
``of_block(block, workspace)`` from the first block to the last would, and may work anywhere.

    class Pool:
        def __init__(self, n):
            self.pool = concurrent.futures.ThreadPoolExecutor(n)

        def sum(self, of_block, blocks):
            return sum(self.pool.map(of_block, blocks))

A block is a pair, of rows (b, d) or of runs of them, and their weights (b,).  Each pass has blocks
and weights of its own: those of a bootstrap or of a part of the rows are others.  A workspace is
for one thread at a time; without one, ``of_block(block)`` makes one.  In another order the sum is
the same but for rounding.  An engine that leaves something out, or keeps it from an earlier pass
where it is another in this one, is told, by an `EngineError`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

import numpy as np

from emframe.engines.audited import Audited, EngineError
from emframe.engines.blas import one_blas_thread
from emframe.engines.device import Device, cuda, device_of, on_host
from emframe.engines.products import products
from emframe.engines.reading import Reading
from emframe.engines.resident import Resident, ResidentBlock, Statistics, as_they_are
from emframe.engines.serial import Serial
from emframe.engines.threads import Threads
from emframe.engines.workspace import Workspace, Workspaces

__all__ = [
    "MOST_ROWS",
    "Audited",
    "Device",
    "Engine",
    "EngineError",
    "Reading",
    "Resident",
    "ResidentBlock",
    "Serial",
    "Statistics",
    "Threads",
    "Workspace",
    "Workspaces",
    "as_they_are",
    "block_rows",
    "cores",
    "device_of",
    "engine_for",
    "on_host",
    "one_blas_thread",
    "products",
]

B = TypeVar("B")
Q = TypeVar("Q")

# Numbers in the working set of a block, 8 MB of float64: small enough for the last cache, and
# large enough that threads seldom meet at the interpreter's lock.
WORKING_SET = 1 << 20
# A block has at least this many rows, or the products of matrices lose their speed, and at most
# this many, or there are too few blocks to share.
FEWEST_ROWS, MOST_ROWS = 256, 1 << 15
# Numbers passed through the working set in one pass that are worth the start of a thread.
WORTH_A_THREAD = 1 << 20


class Engine(Protocol):
    """Where the blocks of a pass run."""

    def sum(self, of_block: Callable[[B, Workspace], Q], blocks: Iterable[B]) -> Q:
        """``of_block(block, workspace)`` for each block, added up from first to last."""


def block_rows(numbers_per_row: int) -> int:
    """Rows per block when each needs so many numbers of work space."""
    return min(max(FEWEST_ROWS, WORKING_SET // max(1, numbers_per_row)), MOST_ROWS)


def engine_for(engine: Any, numbers: int) -> Engine:
    """The engine that ``engine=`` names, for passes that move so many numbers.

    None chooses threads where the work is worth them; "serial", a number of threads, "cuda" or a
    `Device` decide.  An engine of one's own is audited.
    """
    if engine is None:
        n = min(cores(), numbers // WORTH_A_THREAD)
        return Threads(n) if n > 1 else Serial()
    if engine == "serial":
        return Serial()
    if isinstance(engine, (int, np.integer)) and not isinstance(engine, bool):
        if engine < 1:
            raise ValueError(f"`engine` is {engine}; pass 1 thread or more.")
        return Threads(int(engine))
    if isinstance(engine, str) and engine.partition(":")[0] == "cuda":
        return cuda(engine)
    if type(engine) in (Serial, Threads, Device, Audited):
        known: Engine = engine
        return known
    if isinstance(engine, type) or not callable(getattr(engine, "sum", None)):
        raise TypeError(
            f"`engine` is {engine!r}; pass None, 'serial', a number of threads, 'cuda', an "
            "emframe.Device, or an object with a method `sum(of_block, blocks)`."
        )
    return Audited(engine)


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
