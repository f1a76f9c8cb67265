"""Blocks on several threads; the sum is taken in the order of the blocks.

Workers draw blocks from one queue and hand in what they made of them.  Whatever is handed in is
added as soon as all that comes before it has been: the sum is the serial one, bit for bit, with
any number of threads, and no more results wait than there are threads.  numpy lets go of the
interpreter inside its loops, so the threads run side by side where it matters.

One known case: with one thread this is the serial engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from emframe.engines.workspace import Workspace, Workspaces

B = TypeVar("B")
Q = TypeVar("Q")


@dataclass(frozen=True)
class Threads:
    """The engine with `n` threads, the caller's own among them."""

    n: int
    workspaces: Workspaces = field(default_factory=Workspaces, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"`n` is {self.n}; pass 1 thread or more.")

    def sum(self, of_block: Callable[[B, Workspace], Q], blocks: Iterable[B]) -> Q:
        """``of_block(block, workspace)`` for each block, added up from first to last.

        What a block raises is raised here, once all threads have stopped; so is a
        KeyboardInterrupt.
        """
        shared: _Sum[B, Q] = _Sum(iter(blocks), lead=2 * self.n)

        def work_off() -> None:
            with self.workspaces.borrow() as work:
                shared.work_off(of_block, work)

        others = [threading.Thread(target=work_off, daemon=True) for _ in range(self.n - 1)]
        try:
            for thread in others:
                thread.start()
            work_off()
        except BaseException as error:
            shared.stop(error)
        for thread in others:
            if thread.ident is not None:  # Ctrl-C may come before all have begun
                thread.join()
        return shared.result()


class _Sum(Generic[B, Q]):
    """What the threads share: the blocks still to be done, and the sum so far."""

    def __init__(self, blocks: Iterator[B], lead: int) -> None:
        self._blocks = enumerate(blocks)
        self._lead = lead  # how far a thread may run ahead of the sum
        self._turn = threading.Condition()
        self._reading = threading.Lock()
        self._waiting: dict[int, Q] = {}
        self._added = 0
        self._total: Any = None
        self._error: BaseException | None = None

    def work_off(self, of_block: Callable[[B, Workspace], Q], work: Workspace) -> None:
        """Take block after block until there are none, or something went wrong."""
        try:
            while self._error is None:
                with self._reading:
                    index, block = next(self._blocks, (-1, None))
                if index < 0 or block is None:
                    return
                self._hand_in(index, of_block(block, work))
        except BaseException as error:
            self.stop(error)

    def stop(self, error: BaseException) -> None:
        """Let every thread finish its block and no more."""
        with self._turn:
            self._error = self._error or error
            self._turn.notify_all()

    def result(self) -> Q:
        if self._error is not None:
            raise self._error
        total: Q = self._total
        return total

    def _hand_in(self, index: int, part: Q) -> None:
        with self._turn:
            while index >= self._added + self._lead and self._error is None:
                self._turn.wait()
            self._waiting[index] = part
            if index != self._added:
                return
            while self._added in self._waiting:
                part = self._waiting.pop(self._added)
                self._total = part if self._added == 0 else self._total + part
                self._added += 1
            self._turn.notify_all()
