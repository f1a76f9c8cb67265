"""Processes that hold parts, and work where they hold them.

Each has some of the parts, made from what it was given when it began; a task comes to it, and an
answer for each of its parts goes back.  One that dies, or says nothing for too long, is replaced by
another, which is given the same parts and the same task: what it answers is the same.

One known case: with one process all parts are in it.
"""

from __future__ import annotations

import pickle
import signal
import time
import weakref
from collections.abc import Iterable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from emframe.data.parts import Part, Task
from emframe.engines import EngineError

TRIES = 3  # processes that a part is given to in one pass before it is given up
BEGIN = 120.0  # seconds that a process may take to begin
LOOK = 0.5  # seconds between two looks at a clock
Request = tuple[int, bytes]


class Processes:
    """Parts in `n` processes, the first in the first, the second in the second, and so on in turn.

    They begin with the first task and end with this object, or by `close`.

    Raises ValueError for fewer than one process.
    """

    def __init__(self, parts: Sequence[Part], n: int, patience: float | None = None) -> None:
        if isinstance(n, bool) or int(n) != n or n < 1:
            raise ValueError(f"`workers` is {n!r}; pass a number of processes, 1 or more.")
        if patience is not None and not patience > 0:
            raise ValueError(f"`patience` is {patience!r}; pass seconds above 0, or None.")
        self.parts, self.patience = list(parts), patience
        self.n = min(int(n), len(self.parts))
        self._asked = 0
        self.members: dict[int, _Member] = {}
        self._end = weakref.finalize(self, _close, self.members)

    def __len__(self) -> int:
        return len(self.parts)

    def __reduce__(self) -> Any:
        return Processes, (self.parts, self.n, self.patience)

    def close(self) -> None:
        """End the processes; the next task begins others."""
        _close(self.members)

    def each(self, task: Task, args: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        """``task(part, *args[i])`` for part i; what goes wrong is that of a process, told."""
        self._asked += 1
        answers: dict[int, Any] = {}
        tries = dict.fromkeys(range(self.n), 0)
        requests = {
            m: pickle.dumps((self._asked, _sent((task, {i: args[i] for i in self._of(m)}))))
            for m in range(self.n)
        }
        waiting = set(range(self.n))
        for m in waiting:
            self._begin(m, requests[m], tries)
        while waiting:
            for m in self._heard(waiting):
                found = self.members[m].take(self._asked)
                if found is LOST:
                    self._begin(m, requests[m], tries)
                elif found is not None:
                    answers |= found
                    waiting.discard(m)
        return [answers[i] for i in range(len(self))]

    def _of(self, m: int) -> range:
        """The parts that process m holds."""
        return range(m, len(self), self.n)

    def _begin(self, m: int, request: bytes, tries: dict[int, int]) -> None:
        """Ask a process; another in its place where it is gone.

        Raises `EngineError` once `TRIES` of them were lost.
        """
        while True:
            member = self.members.get(m)
            if member is None or member.is_lost:
                if member is not None:
                    tries[m] += 1
                    member.end()
                if tries[m] >= TRIES:
                    del self.members[m]
                    own = ", ".join(map(str, self._of(m)))
                    raise EngineError(
                        f"{TRIES} processes that held the parts {own} of `X` were lost in one "
                        f"pass: the last {member.why if member else 'could not begin'}"
                    )
                self.members[m] = member = _Member({i: self.parts[i] for i in self._of(m)})
            if member.ask(request):
                return

    def _heard(self, waiting: set[int]) -> Iterable[int]:
        """Those that have something to say, or are lost; there is one at least."""
        by_pipe = {self.members[m].pipe: m for m in waiting}
        while True:
            ready = wait(list(by_pipe), timeout=None if self.patience is None else LOOK)
            if ready:
                return [by_pipe[pipe] for pipe in ready if isinstance(pipe, Connection)]
            late = [m for m in waiting if self.members[m].silent > (self.patience or 0.0)]
            for m in late:
                self.members[m].lose(f"said nothing for {self.patience:g} seconds")
            if late:
                return late


LOST = object()
BEGUN = 0  # in the place of the number of a request


class _Member:
    """One process, and the pipe to it."""

    def __init__(self, parts: dict[int, Part]) -> None:
        context = get_context("spawn")
        self.pipe, there = context.Pipe()
        self.why, self.since, self.has_begun = "", time.monotonic(), False
        self.process = context.Process(target=_work, args=(there, parts), daemon=True)
        try:
            self.process.start()
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            self.why = "could not begin"
            raise TypeError(f"a part of `X` cannot be sent to another process: {error}") from error
        finally:
            there.close()

    @property
    def silent(self) -> float:
        """Seconds since it was asked, or since it had begun if that was later."""
        allowed = 0.0 if self.has_begun else BEGIN
        return time.monotonic() - self.since - allowed

    @property
    def is_lost(self) -> bool:
        return bool(self.why)

    def lose(self, why: str) -> None:
        self.why = self.why or why

    def ask(self, request: bytes) -> bool:
        """Whether it could be asked."""
        self.since = time.monotonic()
        try:
            self.pipe.send_bytes(request)
        except (OSError, ValueError):
            self._gone()
        return not self.is_lost

    def take(self, number: int) -> Any:
        """What it answered to the request of this number; None for an answer to another, or `LOST`.

        Raises `EngineError` for an answer that could not be sent.
        """
        if self.is_lost:
            return LOST
        try:
            asked, found, error = self.pipe.recv()
        except (EOFError, OSError):
            self._gone()
            return LOST
        if asked != number:  # that it has begun, or to a pass that was interrupted
            if not self.has_begun:
                self.has_begun, self.since = True, time.monotonic()
            return None
        if error is not None:
            raise EngineError(f"a process that holds parts of `X` raised {error}")
        return found

    def _gone(self) -> None:
        self.process.join(timeout=1.0)
        self.lose(f"ended with exit code {self.process.exitcode}")

    def end(self) -> None:
        if self.process.pid is not None:
            self.process.kill()  # one that hangs, or was stopped, hears nothing else
            self.process.join()
        self.pipe.close()


def _close(members: dict[int, _Member]) -> None:
    while members:
        members.popitem()[1].end()


def _sent(request: Any) -> bytes:
    try:
        return pickle.dumps(request)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise EngineError(
            f"this cannot be sent to the processes that hold the parts of `X`: {error}; define it "
            "at the top of a module"
        ) from error


def _work(pipe: Connection, parts: dict[int, Part]) -> None:
    """The life of a process: what it is asked, it answers, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks
    pipe.send((BEGUN, None, None))
    while True:
        try:
            number, request = pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        try:
            task, args = pickle.loads(request)
            found = {i: task(parts[i], *own) for i, own in args.items()}
            told = pickle.dumps((number, found, None))
        except Exception as error:
            told = pickle.dumps((number, None, f"{type(error).__name__}: {error}".rstrip(".: ")))
        try:
            pipe.send_bytes(told)
        except OSError:
            return
