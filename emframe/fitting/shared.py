"""Starts of one fit, shared out among processes: the same ends, in the same order.

Starts that do not depend on one another are made here, one after another, and run to their ends by
whichever process is free.  The search then takes the ends in the order of the starts, as if it had
run them itself: what goes on from an end (a component that gets a new place, the way on from a
saddle) is done in this process.

One known case: with one process nothing is sent, and each start is run when its turn comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from emframe.core import MaxSeconds, Method, Rule, Status
from emframe.engines import one_blas_thread
from emframe.engines.workers import share
from emframe.fitting.plans import Starts
from emframe.fitting.search import Attempt, Begin, Search
from emframe.fitting.task import Task


class Came(NamedTuple):
    """What a start came to: its attempt, or what else was raised; neither where time was over."""

    attempt: Attempt | None = None
    error: Exception | None = None

    @property
    def stopped(self) -> bool:
        """Whether Ctrl-C ended it."""
        return self.attempt is not None and self.attempt.start.status is Status.INTERRUPTED

    @property
    def early(self) -> bool:
        """Whether the keyboard or the clock ended it."""
        return self.stopped or (
            self.attempt is not None and self.attempt.start.status is Status.MAX_SECONDS
        )

    @property
    def level(self) -> float:
        """The objective of its end; -inf where it has none."""
        run = None if self.attempt is None else self.attempt.run
        return -np.inf if run is None else run.step.objective


@dataclass(frozen=True)
class Running:
    """A task, and how starts of it are run: what all jobs of one fit have in common."""

    task: Task
    rules: Sequence[Rule]  # asked of every start, in whatever process
    method: Method
    watched: Sequence[Rule] = ()  # asked before them, and in this process alone

    @cached_property
    def search(self) -> Search:
        task, rules = self.task, [*self.watched, *self.rules]
        return Search(
            task.model, task.expect, rules, self.method, task.tell, task.irregular, task.alone
        )

    @property
    def is_over(self) -> bool:
        """Whether there is no time left to begin a start in."""
        return any(rule([]) is not None for rule in self.rules if isinstance(rule, MaxSeconds))

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """As it is sent: without the search, which every process makes for itself."""
        return Running, (replace(self.task), self.rules, self.method)


@dataclass(frozen=True)
class OneStart:
    """A start to be run to its end: a job for `emframe.engines.workers.share`."""

    running: Running
    index: int
    begin: Begin

    def __call__(self) -> Came:
        if self.index > 0 and self.running.is_over:
            return Came()
        try:
            with one_blas_thread():
                return Came(self.running.search.attempt(self.index, self.begin))
        except Exception as error:  # raised again when its turn comes
            return Came(error=error)


@dataclass(frozen=True)
class Shared:
    """A plan of starts that depend on nothing but the data, run by several processes."""

    starts: Starts
    running: Running
    workers: int

    def __call__(self, attempts: Sequence[Attempt]) -> Iterator[Begin]:
        jobs: list[OneStart] = []
        for index, begin in enumerate(self.starts(attempts)):
            jobs.append(OneStart(self.running, index, begin))
            if self.running.is_over:
                break
        came, cut = share(jobs, self.workers)
        done = [
            job.begin._replace(came=one)
            for job, one in zip(jobs, came, strict=True)
            if one is not None and (one.attempt or one.error)
        ]
        # The search ends at the first that was cut short: ends come before it, and of what was cut
        # the highest point.
        early = sorted((one for one in done if one.came.early), key=lambda one: -one.came.level)
        yield from (one for one in done if not one.came.early)
        yield from early
        if cut:
            raise KeyboardInterrupt


def beside(rng: np.random.Generator) -> np.random.Generator:
    """A generator of its own for what happens between starts, which leaves `rng` where it is.

    So the starts are the same whether or not anything happens between them.
    """
    with_same_state = np.random.Generator(type(rng.bit_generator)())
    with_same_state.bit_generator.state = rng.bit_generator.state
    return np.random.default_rng(with_same_state.integers(2**32, size=8))
