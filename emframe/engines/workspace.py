"""Arrays to write into, kept from block to block so that a pass over the data allocates nothing.

t = work("statistics", p, b)        # (p, b), contents undefined
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Workspace:
    """One array for each name; for one thread at a time.  Sent to another process it is empty."""

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}
        self._last: dict[str, Array] = {}  # as they were handed out, most often in the same shape
        self._rooms: dict[int, Workspace] = {}
        self._busy = threading.Lock()

    def __reduce__(self) -> Any:
        return Workspace, ()

    @contextmanager
    def in_use(self) -> Iterator[Workspace]:
        """This workspace for the duration.

        Raises RuntimeError where another thread is at work in it: both would write over the other.
        """
        if not self._busy.acquire(blocking=False):
            raise RuntimeError(
                "two threads are at work in one workspace, and would write over one another; pass "
                "`of_block` a Workspace() for each thread, or none, and it makes one."
            )
        try:
            yield self
        finally:
            self._busy.release()

    def __call__(self, name: str, *shape: int) -> Array:
        """The array of that name in this shape, contiguous, holding whatever it held."""
        last = self._last.get(name)
        if last is not None and last.shape == shape:
            return last
        size = prod(shape)
        flat = self._arrays.get(name)
        if flat is None or flat.size < size:
            flat = self._arrays[name] = np.empty(size)
        last = self._last[name] = flat[:size].reshape(shape)
        return last

    def room(self, number: int) -> Workspace:
        """A workspace of its own for one of several parts, whose arrays have the same names."""
        if number not in self._rooms:
            self._rooms[number] = Workspace()
        return self._rooms[number]


class Workspaces:
    """Workspaces to borrow: as many as there are threads at work at once."""

    def __init__(self) -> None:
        self._idle: list[Workspace] = []

    @contextmanager
    def borrow(self) -> Iterator[Workspace]:
        """A workspace for the duration, an idle one where there is one."""
        try:
            work = self._idle.pop()
        except IndexError:
            work = Workspace()
        try:
            yield work
        finally:
            self._idle.append(work)
