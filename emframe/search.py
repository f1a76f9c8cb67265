"""From many starts to many ends: which starts to run, and when enough have been.

Every start is run to convergence, because what separates a good basin from a poor one shows late
in a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

from emframe.core import Degenerate, Expectation, Method, Rule, Run, Status, Stopped, run
from emframe.models import Model
from emframe.optima import optima
from emframe.result import Start

# The default number of starts, where they are cheap: at least, at most.
FEWEST_STARTS = 32
MOST_STARTS = 120
# The most E-steps that the default spends on all starts, and on data of any size the most
# numbers of work space (rows x components x columns) that these may pass through.
MOST_STEPS = 6000
MOST_NUMBERS = 5e8


@dataclass(frozen=True)
class Attempt:
    """A start and, where it got that far, its run."""

    start: Start
    run: Run[Any] | None = None


Enough = Callable[[Sequence[Attempt]], bool]


@dataclass(frozen=True)
class Exactly:
    """Enough after n starts."""

    n: int

    def __call__(self, attempts: Sequence[Attempt]) -> bool:
        return len(attempts) >= self.n


@dataclass(frozen=True)
class Replicated:
    """Enough when the best optimum was found many times over, and by a good share of the starts.

    While it is rare among them a better one may be rarer still, so the search goes on to the
    end of its budget.
    """

    most_steps: float

    def __call__(self, attempts: Sequence[Attempt]) -> bool:
        n = len(attempts)
        spent = sum(one.start.n_iter for one in attempts)
        if n >= MOST_STARTS or spent >= self.most_steps:
            return True
        if n < FEWEST_STARTS:
            return False
        found = optima([one.start.objective for one in attempts if one.start.is_regular])
        return bool(found) and found[0][1] >= max(8, n / 8)


def budget(work: int) -> Replicated:
    """The default: many starts where one E-step is little work, a few where it is much."""
    return Replicated(min(MOST_STEPS, MOST_NUMBERS / max(work, 1)))


@dataclass(frozen=True)
class Search:
    """Runs a model from one start after another."""

    model: Model
    expect: Callable[[Any], Expectation[Any]]
    rules: Sequence[Rule]
    method: Method

    def __call__(
        self, starts: Iterable[tuple[str, Any]], enough: Enough
    ) -> tuple[list[Attempt], bool]:
        """The attempts made, and whether the keyboard cut them short.

        Raises KeyboardInterrupt where it came before there was any point to keep.
        """
        attempts: list[Attempt] = []
        try:
            for index, (kind, params) in enumerate(starts):
                attempts.append(self.attempt(index, kind, params))
                status = attempts[-1].start.status
                if status is Status.INTERRUPTED:
                    return attempts, True
                if status is Status.MAX_SECONDS or enough(attempts):
                    break
        except KeyboardInterrupt:
            if not any(one.run for one in attempts):
                raise
            return attempts, True
        except Exception as error:
            error.add_note(f"while fitting a {self.model.title()}, start {len(attempts)}")
            if "read-only" in str(error):
                error.add_note("a family may not write into its arguments; copy the array first")
            raise
        return attempts, False

    def attempt(self, index: int, kind: str, params: Any) -> Attempt:
        """One start, run to its end."""
        if isinstance(params, Degenerate):
            return Attempt(Start(index, kind, Status.DEGENERATE, nan, nan, 0, str(params)))
        try:
            done = run(
                self.expect,
                params,
                rules=self.rules,
                method=self.method,
                contract=self.model.contract,
            )
        except Stopped as stopped:
            return Attempt(Start(index, kind, stopped.status, nan, nan, 1, str(stopped)))
        odd = self.model.irregularities(done.step.expectation)
        why = "; ".join(f"component {k}: {reason}" for k, reason in sorted(odd.items()))
        start = Start(
            index,
            kind,
            done.status,
            done.step.objective,
            done.step.expectation.loglik,
            done.n_expectations,
            done.message,
            why,
        )
        return Attempt(start, done)
