"""How long an EM iteration takes on this machine, and how long scikit-learn's takes.

Both sides get the same rows and the same start, and run in turns in one process, so that what
else the machine does falls on both.  A step is the difference of a long run and one of a single
step, so that what is done once is not counted; ours are the audited steps of `emframe.iterate`.

A ratio means nothing where the two sides do different work, so the log-likelihoods after the same
number of steps are compared as well.

One known case: without scikit-learn the same table is measured, of our side alone.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from emframe.core import Step, iterate
from emframe.engines import engine_for, one_blas_thread
from emframe.fitting import expectation
from emframe.messages.extras import installed
from emframe.models import Mixture
from emframe.spaces import Array

SHORTEST, LONGEST = 5, 80  # steps of the long run, as many as take this time:
PATIENCE = 0.3  # seconds


@dataclass(frozen=True)
class DataShape:
    """Rows, columns and components of a problem."""

    n: int
    d: int
    k: int

    @classmethod
    def parse(cls, text: str) -> DataShape:
        """From ``100000x8x4``.  Raises ValueError for another form, or for fewer rows than K."""
        found = re.fullmatch(r"\s*([\d_]+)\s*x\s*(\d+)\s*x\s*(\d+)\s*", text)
        if found is None or "0" in (found[2], found[3]) or int(found[1]) < int(found[3]):
            raise ValueError(
                f"{text!r} is no ROWSxCOLUMNSxK, such as 100000x8x4, with at least K rows."
            )
        return cls(*map(int, found.groups()))


SHAPES = tuple(
    map(DataShape.parse, ("1000x4x3", "10000x4x3", "100000x2x5", "100000x8x8", "50000x32x8"))
)


@dataclass(frozen=True)
class Problem:
    """Rows from Gaussian components that overlap, and a start a little beside them."""

    shape: DataShape
    structure: str = "full"

    @cached_property
    def means(self) -> Array:
        """(K, d)"""
        return 1.5 * np.random.default_rng(0).normal(size=(self.shape.k, self.shape.d))

    @cached_property
    def rows(self) -> Array:
        """(n, d)"""
        rng = np.random.default_rng(1)
        labels = rng.integers(self.shape.k, size=self.shape.n)
        return self.means[labels] + rng.normal(size=(self.shape.n, self.shape.d))

    @cached_property
    def start(self) -> dict[str, Array]:
        """Equal weights, displaced means, unit covariances."""
        k, d = self.shape.k, self.shape.d
        return {
            "weights": np.full(k, 1.0 / k),
            "means": self.means + 0.3 * np.random.default_rng(2).normal(size=(k, d)),
            "covariances": np.broadcast_to(np.eye(d), (k, d, d)),
        }


@dataclass(frozen=True)
class Timing:
    """What was measured of one problem."""

    shape: DataShape
    ours: float  # seconds of an EM iteration
    theirs: float | None  # None without scikit-learn
    apart: float | None  # log-likelihoods after the same steps, nats a row

    @property
    def ratio(self) -> float | None:
        """How many times faster emframe is; below 1 where it is slower."""
        return None if self.theirs is None else self.theirs / self.ours


def measure(
    shape: DataShape, structure: str = "full", engine: Any = None, turns: int = 3
) -> Timing:
    """Time both sides in turns; `engine` is as for `emframe.fit`."""
    problem = Problem(shape, structure)
    ours = Clock(lambda steps: run(problem, steps, engine))
    if not installed("sklearn"):
        for _ in range(turns):
            ours.turn()
        return Timing(shape, ours.step, None, None)
    theirs = Clock(lambda steps: scikit_learn(problem, steps))
    for _ in range(turns):
        ours.turn()
        theirs.turn()
    # scikit-learn's bound is of its last E-step, and so of the parameters before its last M-step.
    reached = scikit_learn(problem, SHORTEST).lower_bound_
    apart = abs(reached - run(problem, SHORTEST - 1).objective / shape.n)
    return Timing(shape, ours.step, theirs.step, float(apart))


class Clock:
    """The time of a step: a run of many less one of a single, each the best of its turns."""

    def __init__(self, run: Callable[[int], object]) -> None:
        self.run = run
        self.steps = 0  # of the long run; the first turn chooses it
        self.short: list[float] = []
        self.long: list[float] = []

    @property
    def step(self) -> float:
        """Seconds; an upper bound where the difference is lost in the noise of the machine."""
        long = min(self.long)
        apart = (long - min(self.short)) / (self.steps - 1)
        return apart if apart > 0 else long / self.steps

    def turn(self) -> None:
        """Both runs once more."""
        if not self.steps:  # the runs that choose their number warm up as well
            self.steps = SHORTEST
            while self._seconds(self.steps) < PATIENCE and self.steps < LONGEST:
                self.steps = min(LONGEST, 4 * self.steps)
        self.short.append(self._seconds(1))
        self.long.append(self._seconds(self.steps))

    def _seconds(self, steps: int) -> float:
        begin = time.perf_counter()
        self.run(steps)
        return time.perf_counter() - begin


def run(problem: Problem, steps: int, engine: Any = None) -> Step[Any]:
    """The last of so many audited steps of ours."""
    model = Mixture("gaussian", problem.shape.k, covariance=problem.structure)
    with one_blas_thread():
        return next(islice(audited(model, problem.rows, problem.start, engine), steps, None))


def audited(
    model: Mixture, X: Any, start: Mapping[str, Any], engine: Any = None
) -> Iterator[Step[Any]]:
    """The start and then every step of plain EM, as `emframe.fit` would take them.

    The caller holds BLAS to one thread while it draws them.
    """
    model = model.settled(X)
    given = model.rows(X)
    rows = model.condense(given)
    runner = engine_for(engine, len(rows) * model.work(rows))
    params = model.start(start, given, np.random.default_rng(0))
    return iterate(expectation(model, rows, engine=runner), params)


def scikit_learn(problem: Problem, steps: int) -> Any:
    """scikit-learn's mixture after so many steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged is the intention
        return peer(problem.structure, problem.start, steps).fit(problem.rows)


def peer(structure: str, start: Mapping[str, Array], steps: int) -> Any:
    """scikit-learn's mixture, to take so many steps: at its defaults apart from the start.

    start : weights (K,), means (K, d), and unit covariances, which it takes as precisions.
    """
    from sklearn.mixture import GaussianMixture

    k, d = start["means"].shape
    identity = {
        "full": np.broadcast_to(np.eye(d), (k, d, d)),
        "tied": np.eye(d),
        "diag": np.ones((k, d)),
        "spherical": np.ones(k),
    }[structure]
    return GaussianMixture(
        k,
        covariance_type=structure,
        weights_init=start["weights"],
        means_init=start["means"],
        precisions_init=identity,
        max_iter=steps,
        tol=0.0,
    )
