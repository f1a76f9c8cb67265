"""An engine of one's own, held to its word: the sum is of all rows, with the weights of this pass.

What a block leaves behind carries the `Tally` of its rows through the engine, wherever that works,
and adds up with it.  At the end the tally has to be that of the blocks handed out: an engine that
kept its rows from another pass, left a block out or took one twice is told, and its sum not used.
What the model raises travels in the same way, as a value, so that whatever an engine raises is the
engine's own.

One known case: an engine that adds up what ``of_block`` gives for each block is passed through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import NoneType
from typing import Any

from emframe.engines.reading import Reading
from emframe.engines.tally import Tally, tally
from emframe.engines.workspace import Workspace

EXPECTED = (
    "an engine's `sum(of_block, blocks)` returns of_block(block, workspace) of every block of "
    "this pass, each once, added up; blocks and their weights are others in other passes"
)


class EngineError(RuntimeError):
    """An engine of one's own that failed, or did not keep to what `emframe.engines` asks of it."""


@dataclass(frozen=True)
class AuditedPart:
    """What blocks left behind, the rows that it was made of, and what the model raised there."""

    value: Any  # None where the model raised something
    seen: Tally
    error: Exception | None = None

    def __add__(self, other: Any) -> AuditedPart:
        if not isinstance(other, AuditedPart):
            return NotImplemented
        error = self.error or other.error
        value = self.value + other.value if error is None else None
        return AuditedPart(value, self.seen + other.seen, error)

    def __radd__(self, other: Any) -> AuditedPart:
        """0 + part, with which Python's own ``sum`` begins."""
        return self if type(other) is int and other == 0 else NotImplemented


@dataclass(frozen=True)
class OfBlock:
    """What an engine calls for each block, in whatever thread or process it likes."""

    function: Callable[[Any, Workspace], Any]

    def __call__(self, block: Any, work: Workspace | None = None) -> AuditedPart:
        """The part of one block.  Each thread has a workspace of its own; None makes one.

        Raises TypeError for what is no block.
        """
        if not isinstance(work, (Workspace, NoneType)):
            raise TypeError(
                f"`of_block` was given {type(work).__name__} for a workspace; pass "
                "emframe.engines.Workspace(), one for each thread, or none."
            )
        seen = tally(block)
        with (Workspace() if work is None else work).in_use() as mine:
            try:
                return AuditedPart(self.function(block, mine), seen)
            except Exception as error:
                return AuditedPart(None, seen, error)


@dataclass(frozen=True)
class Audited:
    """An engine of one's own; `sum` is its sum, or the error that says why it is none."""

    engine: Any

    def sum(self, of_block: Callable[[Any, Workspace], Any], blocks: Iterable[Any]) -> Any:
        """``of_block(block, workspace)`` for each block, added up.

        Raises what `of_block` raises and what reading the blocks raises as it is, and
        `EngineError` for whatever else goes wrong.
        """
        source = Reading(blocks)
        given = [Tally()]

        def handed_out() -> Iterator[Any]:
            for block in source:
                given[0] += tally(block)
                yield block

        name = type(self.engine).__name__
        try:
            found = self.engine.sum(OfBlock(of_block), handed_out())
        except Exception as error:
            if source.error is not None:
                raise source.error from None
            raise EngineError(f"the engine {name} raised {_told(error)}") from error
        if source.error is not None:
            raise source.error
        if not isinstance(found, AuditedPart):
            raise EngineError(f"the engine {name} returned {_shown(found)}; {EXPECTED}.")
        taken = given[0]
        for block in source:  # what the engine never asked for
            given[0] += tally(block)
        if not found.seen.is_of(given[0]):
            raise EngineError(
                f"this pass has {given[0]}; the engine {name} took {taken}, and its sum is of "
                f"{found.seen}{_odd(found.seen, given[0])}. {EXPECTED[0].upper()}{EXPECTED[1:]}."
            )
        if found.error is not None:
            raise found.error
        return found.value


def _odd(seen: Tally, given: Tally) -> str:
    """What is odd about a tally whose numbers look right."""
    same = seen.rows == given.rows and f"{seen}" == f"{given}"
    return ", but these are others, or have other weights" if same else ""


def _shown(found: Any) -> str:
    kind = type(found).__name__
    return "None" if found is None else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(".: ")
