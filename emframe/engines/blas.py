"""BLAS held to one thread.

Threads of ours run block by block, each with its own small matrix products; inside those a second
BLAS thread costs more than it gives, and the rounding of a product would depend on their number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _controller() -> ThreadpoolController:
    """Looking up the loaded libraries takes a millisecond, so it is done once."""
    return ThreadpoolController()


class _Held:
    """How many hold BLAS to one thread now: the last of them lets it go."""

    guard = threading.Lock()
    holders = 0
    limits: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread, in the whole process, for the duration; holders may overlap."""
    with _Held.guard:
        if _Held.holders == 0:
            _Held.limits = _controller().limit(limits=1, user_api="blas")
        _Held.holders += 1
    try:
        yield
    finally:
        with _Held.guard:
            _Held.holders -= 1
            if _Held.holders == 0:
                _Held.limits.restore_original_limits()
