"""Blocks on their way to an engine, and what went wrong while they were read.

One known case: blocks that can be read come out as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


class Reading:
    """An iterator over blocks; ``error`` is what reading them raised, None for nothing."""

    def __init__(self, blocks: Iterable[Any]) -> None:
        self._blocks = iter(blocks)
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._blocks)
        except StopIteration:
            raise
        except Exception as error:
            self.error = error
            raise
