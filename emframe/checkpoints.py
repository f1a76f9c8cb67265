"""Checkpoints: a fit that was stopped, by anything, goes on from a file to the same bits.

A fit is a function of the data, the settings and the state of the generator, bit for bit.  So a
fit that goes on runs its plan again from the generator's first state: of a start that had ended,
the end is read and not run; one that was under way goes on from its last step, where Q is taken
again and so is the same.  A method's state is read back where it is made of numbers, arrays,
parameters and tuples of these with names; else that start begins again.  What a checkpoint holds
changes only how long a fit takes.

One known case: the checkpoint of a fit that ended gives that fit again.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from emframe.archives import FORMAT, read_archive, write_archive
from emframe.arguments import generator_from
from emframe.core import (
    Degenerate,
    Expectation,
    Method,
    Midway,
    Move,
    Rule,
    Run,
    Status,
    Step,
)
from emframe.core.ledger import open_ledger
from emframe.parameters import frozen, leaves, rebuild, valid
from emframe.saving import number_out, start_from, start_told
from emframe.search import Attempt, Begin, Search, leads
from emframe.spaces import Array

EVERY = 5.0  # seconds between two writings, at the least
SHARE = 0.02  # of the time that may go into them
_DOCUMENT = "checkpoint.json"
_STEP = ("objective", "gain_q", "gain_entropy", "remaining")
_ENDS_EARLY = (Status.INTERRUPTED, Status.MAX_SECONDS)  # by the clock or the keyboard: not ends


class Record(NamedTuple):
    """Something as JSON and arrays, which is how it stands in a file."""

    told: Any
    arrays: Mapping[str, Array]


class Earlier(NamedTuple):
    """What an earlier fit left in a file."""

    fit: dict[str, Any]  # its `settings`
    finished: tuple[Record, ...]  # each start that ended
    running: Record | None  # the one that had not


def earlier(path: Path) -> Earlier | None:
    """The checkpoint in a file; None where there is no file.

    Raises ValueError for what is no checkpoint, or is damaged.
    """
    try:
        document, arrays = read_archive(path, _DOCUMENT, "a checkpoint")
        finished = tuple(
            Record(told, _under(f"starts/{index}/", arrays))
            for index, told in enumerate(document["starts"])
        )
        for one in finished:
            start_from(one.told["start"])
        running = document["running"]
        if not isinstance(document["fit"], dict):
            raise TypeError("it does not say of which fit it is")
        return Earlier(
            document["fit"],
            finished,
            None if running is None else Record(running, _under("running/", arrays)),
        )
    except (FileNotFoundError, NotADirectoryError):  # there will be a warning that it stays so
        return None
    except ValueError as error:
        raise ValueError(f"{error}. Delete it, or pass another path.") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is a damaged checkpoint: {error}. Delete it, or pass another path."
        ) from error


def generator_for(rng: Any, before: Earlier | None) -> np.random.Generator:
    """The generator of a fit; where `rng` is None, that of the fit that goes on."""
    generator = generator_from(rng)
    if rng is None and before is not None:
        try:
            generator.bit_generator.state = before.fit["generator"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                "the checkpoint was begun with a generator of another kind; pass it as `rng`."
            ) from error
    return generator


@dataclass
class Checkpoint:
    """The file of one fit, and what is to be written into it.

    As a rule it is shown each accepted step, and stops nothing.  As a context it writes at the
    beginning, so that a path that cannot be written is known at once, and at every end.
    """

    path: Path
    fit: dict[str, Any]
    finished: list[Record] = field(default_factory=list)
    running: Record | None = None
    state: Any = None  # of the method, after the last step
    now: Midway[Any] | None = None
    due: float = 0.0
    warned: bool = False

    def __enter__(self) -> Checkpoint:
        self.write()
        return self

    def __exit__(self, *_: object) -> None:
        self.write()

    def __call__(self, steps: Sequence[Step[Any]]) -> None:
        """Take note of a step, and write where it is time to."""
        last = steps[-1]
        if last.index == 0:
            self.now, self.state = None, None
        else:
            before = steps[:1] if self.now is None else ()
            trace, gains = ((), ()) if self.now is None else (self.now.trace, self.now.gains)
            fresh = (*before, last)
            trace = (*trace, *(step.objective for step in fresh))
            gains = (*gains, *((step.gain_q, step.gain_entropy) for step in fresh))
            self.now = Midway(tuple(steps), self.state, trace, gains)
        if time.monotonic() >= self.due:
            self.write()

    def end(self, attempt: Attempt, is_best: bool) -> None:
        """Take note of a start that ended; its point is kept where it is the best so far."""
        told: dict[str, Any] = {"start": start_told(attempt.start), "run": None}
        arrays: dict[str, Array] = {}
        if is_best and attempt.run is not None:
            told["run"], step = _step_told(attempt.run.step), attempt.run.step
            arrays = {"gains": np.array(attempt.run.gains), **_arrays(step.params, "params/")}
        self.finished, self.now, self.running = (
            [*self.finished, Record(told, arrays)],
            None,
            None,
        )

    def write(self) -> None:
        """Write the file, whole or not at all; say so where that fails."""
        began = time.monotonic()
        running = self.running if self.now is None else _midway_told(self.now)
        document = {
            "emframe": FORMAT,
            "fit": self.fit,
            "starts": [one.told for one in self.finished],
            "running": None if running is None else running.told,
        }
        arrays = {} if running is None else _over("running/", running.arrays)
        for index, one in enumerate(self.finished):
            arrays |= _over(f"starts/{index}/", one.arrays)
        try:
            write_archive(self.path, _DOCUMENT, document, arrays)
        except OSError as error:
            if not self.warned:
                self.warned = True
                warnings.warn(
                    f"the checkpoint {self.path} cannot be written ({error.strerror or error}); "
                    "the fit goes on without it and tries again. Make room there, or pass a path "
                    "that can be written.",
                    RuntimeWarning,
                    stacklevel=2,
                )
        spent = time.monotonic() - began
        self.due = began + max(EVERY, spent / SHARE)


def checkpoint_for(path: Path, fit: dict[str, Any], before: Earlier | None) -> Checkpoint:
    """The checkpoint of a fit with these `settings`, which goes on from an earlier one.

    Raises ValueError where the earlier fit was another, naming in what they differ.
    """
    if before is None:
        return Checkpoint(path, fit)
    names = sorted({*fit, *before.fit})
    differ = [name for name in names if fit.get(name) != before.fit.get(name)]
    if differ:
        raise ValueError(
            f"{path} is the checkpoint of another fit, which differs in: {', '.join(differ)}. "
            "Pass what it was begun with, or another path."
        )
    return Checkpoint(path, fit, list(before.finished), before.running)


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
    with checkpoint_for(path, fit, before) as kept:
        yield Resumable(
            search.model,
            search.expect,
            [*search.rules, kept, *deadline],
            Noting(search.method, kept),
            search.tell,
            kept,
        )


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

    checkpoint: Checkpoint
    attempts: list[Attempt] = field(default_factory=list)

    def attempt(self, index: int, begin: Begin, midway: Midway[Any] | None = None) -> Attempt:
        """The end of this start, run or read."""
        known = self.checkpoint
        if index < len(known.finished):
            attempt = self._read(known.finished[index], begin)
        else:
            if known.running is not None and not isinstance(begin.params, Degenerate):
                midway = self._midway(known.running, begin.params)
                known.now = midway
            attempt = super().attempt(index, begin, midway)
        self.attempts.append(attempt)
        if index == len(known.finished) and attempt.start.status not in _ENDS_EARLY:
            known.end(attempt, leads(self.attempts))
        return attempt

    def _read(self, record: Record, begin: Begin) -> Attempt:
        start = start_from(record.told["start"])
        if (start.kind, start.parent) != (begin.kind, begin.parent):
            raise ValueError(f"{self.checkpoint.path} holds other starts than this fit makes.")
        told = record.told["run"]
        if told is None:
            return Attempt(start)
        step = self._step(told, begin.params, _under("params/", record.arrays))
        gains = _pairs(record.arrays["gains"])
        done = Run(start.status, start.message, step, start.trace, gains, start.n_iter)
        return Attempt(start, done)

    def _midway(self, record: Record, like: Any) -> Midway[Any] | None:
        """Where the start that was under way stood; None where its method's state was not told."""
        arrays = record.arrays
        if not record.told:
            return None
        steps = tuple(
            self._step(told, like, _under(f"{index}/", arrays))
            for index, told in enumerate(record.told)
        )
        try:
            state = filled(self.method.start(steps[-1].expectation), _under("state", arrays))
        except KeyError:
            return None
        trace = tuple(arrays["trace"].tolist())
        return Midway(steps, state, trace, _pairs(arrays["gains"]))

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


# ---- values as arrays, and back


def flat(state: Any, name: str = "") -> dict[str, Array]:
    """A method's state as arrays by name; None is left out.

    Raises TypeError for what is neither a number, an array, parameters nor a named tuple of them.
    """
    if state is None:
        return {}
    if isinstance(state, (bool, int, float, np.number)):
        return {name: np.array([float(state)])}
    if isinstance(state, np.ndarray) and state.dtype == np.float64:
        return {name: state}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        parts = zip(state._fields, state, strict=True)
        return {
            key: value for one, part in parts for key, value in flat(part, f"{name}/{one}").items()
        }
    if is_dataclass(state):
        return _arrays(state, f"{name}/")
    raise TypeError(f"a state with a {type(state).__name__} in it is not told")


def filled(like: Any, arrays: Mapping[str, Array], name: str = "") -> Any:
    """The state that `flat` told, in the form of `like`.  KeyError where there is none."""
    if isinstance(like, tuple) and hasattr(like, "_fields"):
        parts = zip(like._fields, like, strict=True)
        return type(like)(*(filled(part, arrays, f"{name}/{one}") for one, part in parts))
    if like is None:
        return arrays.get(name)
    if isinstance(like, np.ndarray):
        return arrays[name]
    if is_dataclass(like):
        return frozen(rebuild(like, lambda leaf: arrays[f"{name}/{leaf.path}"]))
    return type(like)(arrays[name][0])


def _midway_told(now: Midway[Any]) -> Record:
    arrays = {"trace": np.array(now.trace), "gains": np.array(now.gains)}
    for index, step in enumerate(now.steps):
        arrays |= _arrays(step.params, f"{index}/")
    try:
        arrays |= flat(now.state, "state")
    except TypeError:
        return Record([], {})
    return Record([_step_told(step) for step in now.steps], arrays)


def _step_told(step: Step[Any]) -> dict[str, Any]:
    numbers = {name: number_out(getattr(step, name)) for name in _STEP}
    return {"index": step.index, "n_expectations": step.n_expectations, **numbers}


def _arrays(params: Any, prefix: str) -> dict[str, Array]:
    return {prefix + leaf.path: np.asarray(leaf.value) for leaf in leaves(params)}


def _pairs(gains: Array) -> tuple[tuple[float, float], ...]:
    return tuple((float(q), float(entropy)) for q, entropy in gains)


def _under(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _over(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {prefix + name: array for name, array in arrays.items()}
