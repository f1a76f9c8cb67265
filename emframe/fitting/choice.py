"""Which plan a fit has: by where the user starts, how many starts are wanted, and the size of data.

    start=                parameters, or ways on from the fit of a smaller model
    a number              so many starts, each run to its end
    a level, many rows    the search on a sample, and its best ends on all rows
    a level, few rows     all starts in one stack, where the model has one
    a level               starts one by one until they agree

Every plan goes on from its best end where that is a saddle.

One known case: a model of which one start is as good as many makes that one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emframe.core import Degenerate, MaxSeconds, Method, Rule
from emframe.engines import Serial
from emframe.fitting.ends import ends
from emframe.fitting.plans import LEVELS, Agreement, Given, Grown, Starts
from emframe.fitting.reseeding import Reseeding
from emframe.fitting.result import Fit
from emframe.fitting.saddles import Onward
from emframe.fitting.sampled import Sampled, sample_of
from emframe.fitting.search import Plan, Search
from emframe.fitting.shared import Running, Shared, beside
from emframe.fitting.stacked_growth import RULES as GROWTH
from emframe.fitting.stacked_growth import StackTogether
from emframe.fitting.stacked_plan import CLOSE, EFFORTS, Stacked, part_of, stack_for
from emframe.fitting.stacked_search import Thin
from emframe.fitting.task import Task
from emframe.messages.arguments import whole
from emframe.models.flat_stack import FlatStack

FEW_ROWS = 1000  # up to which a search that led to nothing that counts is followed by a long one


@dataclass(frozen=True)
class Choice:
    """The settings of a search, and the plans that they lead to."""

    n_starts: int | str
    tol: float
    max_iter: int
    method: Method
    stopping: Sequence[Rule]
    deadline: Sequence[MaxSeconds]
    is_ruled: bool  # by rules of the user's own, which see every step of every start
    rng: np.random.Generator
    callbacks: Sequence[Rule] = ()  # asked before the rules
    watchers: Sequence[Rule] = ()  # of progress, in this process alone
    workers: int = 1  # processes that a number of starts are shared out among

    def plan(self, task: Task, start: Any) -> tuple[Plan, Any]:
        """Where to start; and the parameters that are given for that, where there are any."""
        first, given = self._first(task, start)
        # From a given start nothing is random: its nudges are the same whatever the seed.
        rng = self.rng if given is None else np.random.default_rng(0)
        return Onward(first, task.under, task.expect, task.rows, rng, self.tol), given

    def _first(self, task: Task, start: Any) -> tuple[Plan, Any]:
        model, rows = task.under, task.rows
        if isinstance(start, Fit):
            params = model.embedded(start.model, start.params)
            if params is not None:
                reached = start.objective / task.unit
                most = self.n_starts if isinstance(self.n_starts, int) else None
                grown = Grown(model, start, params, reached, rows, self.rng, most)
                return self._together(grown, task), params
            start = start.params
        if start is not None:
            try:
                params = model.start(start, task.given, self.rng)
            except Degenerate as error:
                raise Degenerate(f"`start`: {task.tell(error)}", error.component) from error
            return Given(params), params
        if isinstance(self.n_starts, int):
            starts: Any = Starts(model, rows, self.rng, self.n_starts)
            between = beside(self.rng)
            if self.workers > 1:
                alone = replace(task, engine=Serial())  # with as many threads as processes
                rules = [*self.callbacks, *self._rules()]
                running = Running(alone, rules, self.method, self.watchers)
                starts = Shared(starts, running, self.workers)
            return Reseeding(starts, model, rows, between), None
        plan = self._agreeing(task, task)
        some = sample_of(model, rows, self.rng)
        if some is None:
            return plan, None

        def search_on(here: Any, judged: Any, tol: float) -> Search:
            return self._search(task.only(here), task.only(judged), tol)

        def plan_on(here: Any, judged: Any) -> Plan:
            return self._agreeing(task.only(here), task.only(judged), near=CLOSE)

        return (
            Sampled(model, rows, some, self.rng, search_on, plan_on, plan, task.expect),
            None,
        )

    def _search(self, task: Task, judged: Task, tol: float) -> Search:
        """A search on some rows to within `tol`; evidence is asked of those to be judged by."""
        rules = self._rules(tol)
        return Search(task.model, task.expect, rules, self.method, task.tell, judged.irregular)

    def _rules(self, tol: float = 0.0) -> list[Rule]:
        """What ends a start; `tol` nats are enough where `self.tol` is less."""
        return [*ends(max(self.tol, tol), self.max_iter), *self.stopping, *self.deadline]

    def _together(self, grown: Grown, task: Task) -> Plan:
        """The ways on from a smaller model: in one stack where that can be had as a table."""
        if isinstance(self.n_starts, int) or self.is_ruled or self.max_iter < GROWTH.most:
            return grown
        stack = stack_for(task.under, task.rows, task.survey, task.term)
        if not isinstance(stack, FlatStack):
            return grown
        return StackTogether(grown, stack, task.accused, self._is_over)

    def _agreeing(self, task: Task, judged: Task, near: float = 0.0) -> Plan:
        """Starts until they agree: in one stack where that can be had, else one by one."""
        assert isinstance(self.n_starts, str)
        model, rows, rng = task.under, task.rows, self.rng
        one_by_one = self._one_by_one(task, self.n_starts)
        effort = EFFORTS.get(self.n_starts)
        if effort is None or model.sole_start or self.max_iter < effort.rules.most:
            return one_by_one
        stack = None if self.is_ruled else stack_for(model, rows, task.survey, task.term)
        if stack is None:
            return one_by_one
        k = model.choices() or 0
        # Few rows have artefacts next to every optimum, and many starts cost little there.
        is_cheap = len(rows) <= FEW_ROWS
        level = "thorough" if is_cheap else self.n_starts
        long = self._one_by_one(task, level)

        def thin() -> Thin | None:
            """Some of the rows, where these are many for a stack."""
            part = part_of(stack, rng)
            if part is None:
                return None
            some, table = part
            return Thin(table, task.only(some).accused, len(some))

        accused, over = judged.accused, self._is_over
        return Stacked(stack, k, rng, effort, accused, over, long, thin, near, is_cheap)

    def _one_by_one(self, task: Task, level: str) -> Plan:
        joins = level != "thorough" and not self.is_ruled
        starts = Agreement(task.under, task.rows, self.rng, LEVELS[level], joins)
        return Reseeding(starts, task.under, task.rows, self.rng)

    def _is_over(self) -> bool:
        return any(rule([]) is not None for rule in self.deadline)


def processes(workers: Any, n_starts: int | str, start: Any, checkpoint: Any) -> int:
    """How many processes are to share the starts; raises as `emframe.fit` does."""
    workers = whole("workers", workers, 1)
    if workers > 1 and (start is not None or isinstance(n_starts, str)):
        what = f"n_starts={n_starts!r}" if start is None else "`start`"
        raise ValueError(
            f"`workers` is {workers}, and goes with a number of starts, which do not depend on one "
            f"another; with {what} pass workers=1, or a number such as n_starts=24 and no `start`."
        )
    if workers > 1 and checkpoint is not None:
        raise ValueError(
            f"`workers` is {workers}; a checkpoint is of starts that are run one after another: "
            "pass workers=1, or no `checkpoint`."
        )
    return workers


def wanted(n_starts: Any) -> int | str:
    """How many starts the user wants, or the level of a search until they agree."""
    levels = ", ".join(map(repr, LEVELS))
    if isinstance(n_starts, str):
        if n_starts not in LEVELS:
            raise ValueError(f"`n_starts` is {n_starts!r}; pass a whole number, or {levels}.")
        return n_starts
    return "default" if n_starts is None else whole("n_starts", n_starts, 1, f", or {levels}")
