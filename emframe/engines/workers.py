"""Independent jobs shared out among processes, the calling one among them.

The interpreter's lock lets one thread at a time do what small data ask for most, the steps between
the sweeps over rows; several processes have several interpreters.  Each draws the next job from
one counter, so that none waits while there is work; a job that a process took and did not hand
in, because it died, is done by the caller.  What a job gives does not depend on who did it.

One known case: with n = 1 no process is started, and the jobs are done one after another.
"""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pickle import PicklingError
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

_UNSENT = (AttributeError, TypeError, ValueError, PicklingError)  # as pickle says it
STOP = -1  # jobs left, once nobody is to begin one
NONE = -1  # in the place of a job's number: the end of what a process hands in
R = TypeVar("R")
Job = Callable[[], R]
"""Answers Ctrl-C with a result, of what there was by then; ``result.stopped`` says so."""


def share(jobs: Sequence[Job[Any]], n: int) -> tuple[list[Any], bool]:
    """The results of all jobs in their order, and whether Ctrl-C cut them short.

    With one process the jobs are done in order, with more the last is begun first: where they
    grow, no long one is left for the end.  A job that was not begun has the result None.

    Raises what a job raises, in whatever process it does; TypeError for jobs that cannot be sent
    to another process.
    """
    found: dict[int, Any] = {}
    if min(n, len(jobs)) < 2:
        for index, job in enumerate(jobs):
            found[index] = job()
            if found[index].stopped:
                break
    else:
        _share(jobs, min(n, len(jobs)) - 1, found)
    results = [found.get(index) for index in range(len(jobs))]
    return results, any(result is None or result.stopped for result in results)


def _share(jobs: Sequence[Job[Any]], others: int, found: dict[int, Any]) -> None:
    with _crew(jobs, others) as crew:
        try:
            for index in _draw(crew.left):
                found[index] = jobs[index]()
                if found[index].stopped:
                    raise KeyboardInterrupt
            crew.hand_in(found, len(jobs))
            for index in set(range(len(jobs))) - set(found):  # who took it is dead
                found[index] = jobs[index]()
        except KeyboardInterrupt:
            crew.stop()
            crew.hand_in(found, len(jobs))


@dataclass(frozen=True)
class _Crew:
    """The other processes, and the counter of the jobs that are left.

    What they hand in is taken from them at once, by a thread for each: a pipe holds little, and
    whoever waits for room in it does no job meanwhile.
    """

    left: Any
    members: list[tuple[Any, Connection, threading.Thread]] = field(default_factory=list)
    inbox: SimpleQueue[Any] = field(default_factory=SimpleQueue)
    ended: list[int] = field(default_factory=list)  # one entry for each that hands in no more

    def hand_in(self, found: dict[int, Any], total: int) -> None:
        """Wait for what the others have taken."""
        while len(found) < total and len(self.ended) < len(self.members):
            index, result, error, said = self.inbox.get()
            for one in said:  # a process of its own is nobody's to listen to
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
            if error is not None:
                raise error
            if index == NONE:
                self.ended.append(NONE)
            else:
                found[index] = result

    def stop(self) -> None:
        """Let nobody begin another job, and everybody end the one at hand."""
        self.left.value = STOP
        for process, *_ in self.members:
            if process.is_alive():
                os.kill(process.pid, signal.SIGINT)


@contextmanager
def _crew(jobs: Sequence[Job[Any]], n: int) -> Iterator[_Crew]:
    """So many processes that work off jobs, gone at the end whatever they were at."""
    context = get_context("spawn")
    crew = _Crew(context.Value("i", len(jobs)))
    try:
        with _deaf():  # they hear Ctrl-C while at a job, and not while they start
            for _ in range(n):
                here, there = context.Pipe(duplex=False)
                process = context.Process(
                    target=_member, args=(jobs, crew.left, there), daemon=True
                )
                try:
                    process.start()
                except _UNSENT as error:
                    raise TypeError(f"this cannot be sent to another process: {error}") from error
                finally:
                    there.close()
                listener = threading.Thread(target=_listen, args=(here, crew.inbox), daemon=True)
                listener.start()
                crew.members.append((process, here, listener))
        yield crew
    finally:
        for process, pipe, listener in crew.members:
            process.terminate()
            process.join()
            listener.join()
            pipe.close()


class _Said(NamedTuple):
    """A warning, and where it was given."""

    message: Warning
    category: type[Warning]
    filename: str
    lineno: int

    @classmethod
    def of(cls, one: warnings.WarningMessage) -> _Said:
        message = one.message if isinstance(one.message, Warning) else one.category(one.message)
        return cls(message, one.category, one.filename, one.lineno)


def _listen(pipe: Connection, inbox: SimpleQueue[Any]) -> None:
    """Put into the inbox what a process hands in, and at its end that there is no more."""
    try:
        while True:
            inbox.put(pipe.recv())
    except (EOFError, OSError):  # it has ended, or died
        inbox.put((NONE, None, None, ()))
    except Exception as error:  # what it sent makes nothing here
        inbox.put((NONE, None, error, ()))


def _draw(left: Any) -> Iterator[int]:
    """The jobs that this process is to do, drawn one by one from what is left."""
    while True:
        with left.get_lock():
            if left.value <= 0:
                return
            left.value -= 1
            index = left.value
        yield index


def _member(jobs: Sequence[Job[Any]], left: Any, out: Connection) -> None:
    """The work of another process."""
    for index in _draw(left):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            if left.value == STOP:  # said before this process could hear it
                return
            result, fault = None, None
            with warnings.catch_warnings(record=True) as said:
                try:
                    result = jobs[index]()
                except Exception as error:
                    fault = error
            out.send((index, result, fault, tuple(_Said.of(one) for one in said)))
        except KeyboardInterrupt:  # before the job could have answered
            return
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _deaf() -> Iterator[None]:
    """Without Ctrl-C for the moment, and so are processes that begin meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
