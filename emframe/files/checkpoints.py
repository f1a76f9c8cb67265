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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from emframe.core import (
    Midway,
    Step,
)
from emframe.files.archives import FORMAT, read_archive, write_archive
from emframe.files.saving import number_out, start_from, start_told
from emframe.files.states import arrays_of, flat, over, under
from emframe.fitting.search import Attempt
from emframe.messages.arguments import generator_from
from emframe.spaces import Array

EVERY = 5.0  # seconds between two writings, at the least
SHARE = 0.02  # of the time that may go into them
_DOCUMENT = "checkpoint.json"
_STEP = ("objective", "gain_q", "gain_entropy", "remaining")


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
            Record(told, under(f"starts/{index}/", arrays))
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
            None if running is None else Record(running, under("running/", arrays)),
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

    def end(self, attempt: Attempt, is_needed: bool) -> None:
        """Take note of a start that ended, and of its point where that `is_needed` again."""
        told: dict[str, Any] = {"start": start_told(attempt.start), "run": None}
        arrays: dict[str, Array] = {}
        if is_needed and attempt.run is not None:
            step = attempt.run.step
            told["run"] = {**_step_told(step), "starved": attempt.starved}
            arrays = {"gains": np.array(attempt.run.gains), **arrays_of(step.params, "params/")}
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
        arrays = {} if running is None else over("running/", running.arrays)
        for index, one in enumerate(self.finished):
            arrays |= over(f"starts/{index}/", one.arrays)
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


def _midway_told(now: Midway[Any]) -> Record:
    arrays = {"trace": np.array(now.trace), "gains": np.array(now.gains)}
    for index, step in enumerate(now.steps):
        arrays |= arrays_of(step.params, f"{index}/")
    try:
        arrays |= flat(now.state, "state")
    except TypeError:
        return Record([], {})
    return Record([_step_told(step) for step in now.steps], arrays)


def _step_told(step: Step[Any]) -> dict[str, Any]:
    numbers = {name: number_out(getattr(step, name)) for name in _STEP}
    return {"index": step.index, "n_expectations": step.n_expectations, **numbers}
