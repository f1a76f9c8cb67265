"""A search that goes on from a checkpoint: ends are read, and only the rest is run.

One known case: where every start had ended, nothing is run.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from emframe.core import Expectation, Method, Midway, Move, Rule, Run, Status, Step
from emframe.core.ledger import open_ledger
from emframe.files.checkpoints import Checkpoint, Earlier, Record, checkpoint_for
from emframe.files.saving import start_from
from emframe.files.states import filled, pairs, under
from emframe.fitting.search import Attempt, Begin, Search, leads
from emframe.parameters import frozen, leaves, rebuild, valid
from emframe.spaces import Array

# Cut short by the keyboard, the clock or the engine: not ends.
_ENDS_EARLY = (Status.INTERRUPTED, Status.MAX_SECONDS, Status.ENGINE_FAILED)


@contextmanager
def resumable(
    search: Search,
    path: Path,
    fit: dict[str, Any],
    before: Earlier | None,
    deadline: Sequence[Rule] = (),
) -> Iterator[Search]:
    """The same search, which goes on from the earlier one and writes down where it stands.

    Takes note of the steps that no rule ends a run at, but for the `deadline`: that is no end.
    """
    with checkpoint_for(path, fit, before and _tried_again(before)) as kept:
        yield Resumable(
            search.model,
            search.expect,
            [*search.rules, kept, *deadline],
            Noting(search.method, kept),
            search.tell,
            search.irregular,
            search.alone,
            checkpoint=kept,
        )


def _tried_again(before: Earlier) -> Earlier:
    """An earlier fit but for the starts that failed last: what made them fail may be mended."""
    ended = list(before.finished)
    while ended and start_from(ended[-1].told["start"]).status is Status.FAILED:
        ended.pop()
    running = before.running if len(ended) == len(before.finished) else None
    return Earlier(before.fit, tuple(ended), running)


@dataclass(frozen=True)
class Noting:
    """A method whose state a checkpoint takes note of."""

    method: Method
    checkpoint: Checkpoint

    def start(self, q: Expectation[Any]) -> Any:
        return self.method.start(q)

    def advance(self, expect: Any, q: Expectation[Any], state: Any) -> tuple[Move[Any], Any]:
        move, new = self.method.advance(expect, q, state)
        self.checkpoint.state = new
        return move, new


@dataclass(frozen=True)
class Resumable(Search):
    """A search that takes note of each end, and does not run again what had ended before.

    Its method is one that is `Noting` for the same checkpoint.
    """

    checkpoint: Checkpoint = field(kw_only=True)
    attempts: list[Attempt] = field(default_factory=list)

    def attempt(self, index: int, begin: Begin, midway: Midway[Any] | None = None) -> Attempt:
        """The end of this start, run or read."""
        known = self.checkpoint
        if begin.early is not None:  # no end: the fit that goes on has time for what was cut short
            return super().attempt(index, begin)
        if index < len(known.finished):
            attempt = self._read(known.finished[index], begin)
        else:
            if known.running is not None and not isinstance(begin.params, Exception):
                midway = self._midway(known.running, begin.params)
                known.now = midway
            attempt = super().attempt(index, begin, midway)
        self.attempts.append(attempt)
        if index == len(known.finished) and attempt.start.status not in _ENDS_EARLY:
            known.end(attempt, leads(self.attempts) or attempt.starved is not None)
        return attempt

    def _read(self, record: Record, begin: Begin) -> Attempt:
        start = start_from(record.told["start"])
        if (start.kind, start.parent) != (begin.kind, begin.parent):
            raise ValueError(f"{self.checkpoint.path} holds other starts than this fit makes.")
        told = record.told["run"]
        if told is None:
            return Attempt(start)
        step = self._step(told, begin.params, under("params/", record.arrays))
        gains = pairs(record.arrays["gains"])
        done = Run(
            start.status, start.message, step, start.trace, gains, start.n_iter, told.get("starved")
        )
        return Attempt(start, done)

    def _midway(self, record: Record, like: Any) -> Midway[Any] | None:
        """Where the start that was under way stood; None where its method's state was not told."""
        arrays = record.arrays
        if not record.told:
            return None
        steps = tuple(
            self._step(told, like, under(f"{index}/", arrays))
            for index, told in enumerate(record.told)
        )
        try:
            state = filled(self.method.start(steps[-1].expectation), under("state", arrays))
        except KeyError:
            return None
        trace = tuple(arrays["trace"].tolist())
        return Midway(steps, state, trace, pairs(arrays["gains"]))

    def _step(self, told: Mapping[str, Any], like: Any, arrays: Mapping[str, Array]) -> Step[Any]:
        """A line of the ledger, with Q taken again at its parameters."""
        known = all(leaf.path in arrays for leaf in leaves(like))
        params = frozen(rebuild(like, lambda leaf: arrays[leaf.path])) if known else None
        if params is None or not valid(params, like):
            raise ValueError(f"{self.checkpoint.path} holds parameters that are not valid.")
        step = open_ledger(self.expect(params))
        if step.objective != float(told["objective"]):
            warnings.warn(
                f"{self.checkpoint.path} was written where arithmetic rounds otherwise; the fit "
                "goes on from it, but not to the same bits. For those, go on where it was begun.",
                RuntimeWarning,
                stacklevel=2,
            )
        return replace(
            step,
            index=int(told["index"]),
            n_expectations=int(told["n_expectations"]),
            gain_q=float(told["gain_q"]),
            gain_entropy=float(told["gain_entropy"]),
            remaining=float(told["remaining"]),
        )
