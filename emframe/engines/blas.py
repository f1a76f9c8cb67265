"""BLAS held to one thread.

Threads of ours run block by block, each with its own small matrix products; inside those a second
BLAS thread costs more than it gives, and the rounding of a product would depend on their number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar

from threadpoolctl import ThreadpoolController


@cache
def _libraries() -> list[Any]:
    """The BLAS libraries that are loaded: to look takes a millisecond, so it is done once."""
    found = ThreadpoolController().select(user_api="blas")
    return list(found.lib_controllers)


def _set(limits: list[tuple[Any, int]], at_most: int | None = None) -> None:
    """Give each library its number of threads, or `at_most` so many, where it has another."""
    for library, n in limits:
        wanted = n if at_most is None else min(n, at_most)
        if library.num_threads != wanted:
            library.set_num_threads(wanted)


class _Held:
    """How many hold BLAS to one thread now: the last of them lets it go."""

    guard = threading.Lock()
    holders = 0
    limits: ClassVar[list[tuple[Any, int]]] = []  # each library, and its own number of threads


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread, in the whole process, for the duration; holders may overlap."""
    with _Held.guard:
        if _Held.holders == 0:
            _Held.limits = [(library, library.num_threads) for library in _libraries()]
            _set(_Held.limits, at_most=1)
        _Held.holders += 1
    try:
        yield
    finally:
        with _Held.guard:
            _Held.holders -= 1
            if _Held.holders == 0:
                _set(_Held.limits)
