"""When to stop.  A rule looks at the ledger so far and answers with a `Status`, or None to go on.

A rule is any callable of that form, so a researcher's own is a function; the classes here are the
usual ones.  Rules in a list stop a run as soon as one of them does, and `Together` once all do.
They hold settings only, so the same rules serve every start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emframe.core.coordinates import Vector
from emframe.core.ledger import Step
from emframe.core.status import Status
from emframe.core.tolerance import RESOLUTION, within

Rule = Callable[[Sequence[Step[Any]]], Status | None]
"""``rule(steps)`` sees the last two steps, newest last."""


@dataclass(frozen=True)
class RemainingGain:
    """Converged once the estimated remaining gain is below `tol` nats at two successive steps.

    A statement about the distance to the limit, not about the last step, so that slow progress
    is not taken for arrival.  Where the method gives a bound, one step is enough.  Never finer
    than the objective's own rounding, and not where the last step lost more than that.
    """

    tol: float = 1e-8

    def __call__(self, steps: Sequence[Step[Any]]) -> Status | None:
        if len(steps) < 2:
            return None
        tol = max(self.tol, within(RESOLUTION, steps[-1].objective))
        before, here = steps[-2:]
        level = before.objective - here.objective <= tol
        near = level and here.remaining <= tol and (here.is_bound or before.remaining <= tol)
        return Status.CONVERGED if near else None


@dataclass(frozen=True)
class MaxIterations:
    """Stops after `n` steps beyond the start."""

    n: int

    def __call__(self, steps: Sequence[Step[Any]]) -> Status | None:
        return Status.MAX_ITERATIONS if steps[-1].index >= self.n else None


@dataclass(frozen=True)
class MaxExpectations:
    """Stops a run once it has spent `n` E-steps, rejected trials included."""

    n: int

    def __call__(self, steps: Sequence[Step[Any]]) -> Status | None:
        return Status.MAX_EXPECTATIONS if steps[-1].n_expectations >= self.n else None


@dataclass(frozen=True)
class MaxSeconds:
    """Stops at a deadline, `seconds` after the rule was made."""

    seconds: float
    began: float = field(default_factory=time.monotonic)

    def __call__(self, steps: Sequence[Step[Any]]) -> Status | None:
        return Status.MAX_SECONDS if time.monotonic() - self.began >= self.seconds else None


@dataclass(frozen=True)
class Callback:
    """Shows each step to a user's function, which stops the run by returning True."""

    function: Callable[[Step[Any]], bool | None]

    def __call__(self, steps: Sequence[Step[Any]]) -> Status | None:
        return Status.STOPPED if self.function(steps[-1]) is True else None


@dataclass(frozen=True)
class ParameterChange:
    """Stops where no coordinate moved by more than `tol`, relative to 1 + its size.

    A statement about the last step, so it is no convergence: a slow run takes small steps far
    from its limit.

    Parameters
    ----------
    tol : the largest change that counts as none.
    to_vector : the coordinates of parameters.
    """

    tol: float
    to_vector: Callable[[Any], Vector]

    def __call__(self, steps: Sequence[Step[Any]]) -> Status | None:
        if len(steps) < 2:
            return None
        before, here = (self.to_vector(step.params) for step in steps)
        still = (np.abs(here - before) <= self.tol * (1.0 + np.abs(here))).all()
        return Status.PARAMETER_CHANGE if still else None


@dataclass(frozen=True)
class HeldOut:
    """Stops where the log-likelihood of rows kept aside begins to fall (early stopping).

    Parameters
    ----------
    loglik : of the rows kept aside at given parameters, nats.
    """

    loglik: Callable[[Any], float]

    def __call__(self, steps: Sequence[Step[Any]]) -> Status | None:
        if len(steps) < 2:
            return None
        before, here = (self.loglik(step.params) for step in steps)
        return Status.HELD_OUT if before - here > within(RESOLUTION, before) else None


@dataclass(frozen=True)
class Together:
    """Stops once all of its rules would, with the status of the first."""

    rules: Sequence[Rule]

    def __call__(self, steps: Sequence[Step[Any]]) -> Status | None:
        answers = [rule(steps) for rule in self.rules]
        return answers[0] if answers and all(answers) else None
