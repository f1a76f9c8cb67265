"""The task of a fit: a model, its data, and what every E-step on them needs.

One known case: of a task without a prior the E-step is the sum of the model's over blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from emframe.core import Degenerate, Expectation, PassFailed
from emframe.data import PlacedBlocks, Rows, counted, frequencies, measured, warn_of_shares
from emframe.data.placed import engine_sum, here_if_few, refuse_engine
from emframe.engines import Audited, Device, Engine, EngineError, Reading, Serial, engine_for
from emframe.fitting.evidence import artefacts, told
from emframe.fitting.grain import Grain
from emframe.fitting.search import Verdict
from emframe.latents import leaves_components
from emframe.models import Model
from emframe.models.device_pass import OnDevice


@dataclass(frozen=True)
class Task:
    """A model and the data that it is to be fitted to."""

    model: Model
    given: Any  # the rows as they were given, validated
    rows: Any  # the same, condensed
    survey: Any
    term: Any  # of the prior; None without one
    engine: Engine

    @classmethod
    def of(cls, model: Model, X: Any, weights: Any, prior: Any, engine: Any) -> Task:
        """The task of what a user passes; raises as `emframe.fit` does."""
        given: Any = here_if_few(model.rows(X, frequencies(X, weights)))
        if weights is not None:
            warn_of_shares(given)
        if leaves_components(prior):
            model.require(given)
            given = measured(given)
        else:  # its pseudo-data stand in for rows that are lacking, and are worth so many of them
            given = counted(given)
        rows = model.condense(given)
        survey = model.survey(rows)
        runner = engine_for(engine, len(rows) * model.work(rows))
        refuse_engine(runner, rows)
        return cls(model, given, rows, survey, model.prior(prior, survey), runner)

    @property
    def unit(self) -> float:
        """What a weight of 1 of the rows stands for."""
        return getattr(self.given, "unit", 1.0)

    @cached_property
    def under(self) -> Model:
        """The model, with starts that know of the prior."""
        return self.model.under(self.term)

    def only(self, rows: Any) -> Task:
        """The same for some of the rows, few enough to do without an engine."""
        return replace(self, rows=rows, survey=self.model.survey(rows), engine=Serial())

    def tell(self, error: Degenerate) -> str:
        """What a degenerate component is said to be, its columns by their names."""
        return error.told(self.given.columns)

    @cached_property
    def expect(self) -> Callable[[Any], Expectation[Any]]:
        """The E-step; `PassFailed` where the engine or the source of the rows fails."""
        return _e_step(self.model, self.rows, self.term, self.survey, self.engine, self._on_device)

    @cached_property
    def alone(self) -> Callable[[Any], Expectation[Any]]:
        """The same in this process and thread, where the engine can no more be relied on."""
        return _e_step(
            self.model, self.rows, self.term, self.survey, self.engine_left, self._on_device
        )

    @cached_property
    def _on_device(self) -> OnDevice | None:
        return _resident(self.model, self.rows, self.survey, self.engine)

    @property
    def engine_left(self) -> Engine:
        """The engine that is left where one of the user's own may be lost: workers hear Ctrl-C."""
        return Serial() if isinstance(self.engine, Audited) else self.engine

    def uncertainty(self, params: Any, engine: Engine) -> float:
        """-sum of log max_k p(z_k | x) over all rows; raises as `expect` does."""
        passes, there = self.model.passes(params, self.survey), self._on_device
        if there is not None:
            return float(_asked(there.uncertainty, next(there.passes(passes)), begun=True))
        e_step = next(passes)
        blocks = self.rows.blocks(e_step.rows(len(self.rows.columns)))
        return float(_summed(engine, e_step.uncertainty, blocks, begun=True))

    @cached_property
    def _grain(self) -> Grain:
        return Grain(self.rows)

    def artefacts(self, params: Any) -> dict[int, str]:
        """Components that are artefacts, and why: none are under a prior on them."""
        if self.term is not None and self.term.components is not None:
            return {}
        return artefacts(self.model, params, self.rows, self._grain)

    def accused(self, params: Any) -> str:
        """Why parameters are those of an artefact; empty where they are not."""
        return told(self.artefacts(params))

    def irregular(self, q: Expectation[Any]) -> Verdict:
        """Whether the point of a Q is an optimum that counts, and if not why."""
        found = self.artefacts(q.at)
        odd = [told(found), *self.model.irregularities(q).values()]
        return Verdict("; ".join(filter(None, odd)), min(found, default=None))


def expectation(
    model: Model,
    rows: Rows,
    prior: Any = None,
    survey: Any = None,
    engine: Engine | None = None,
) -> Callable[[Any], Expectation[Any]]:
    """The E-step over all rows: a sum over blocks, and the prior once at the end.

    What the engine or the source of the rows raises is raised as it is.
    """
    engine = Serial() if engine is None else engine
    survey = model.survey(rows) if survey is None else survey
    there = _resident(model, rows, survey, engine)
    e_step = _e_step(model, rows, prior, survey, engine, there)

    def expect(params: Any) -> Expectation[Any]:
        try:
            return e_step(params)
        except PassFailed as failed:
            raise failed.error from failed.error.__cause__

    return expect


def _e_step(
    model: Model, rows: Rows, prior: Any, survey: Any, engine: Engine, there: OnDevice | None
) -> Callable[[Any], Expectation[Any]]:
    """The same, which raises `PassFailed` where a pass failed by no fault of the model."""
    d, begun = len(rows.columns), False

    def expect(params: Any) -> Expectation[Any]:
        nonlocal begun
        passes = model.passes(params, survey)
        for one in passes if there is None else there.passes(passes):
            if there is not None:
                total = _asked(there.total, one, begun=begun)
            else:
                total = _summed(engine, one.block, rows.blocks(one.rows(d)), begun)
            q = one.finish(total)
            begun = True
            if q is not None:
                return q if prior is None else q + prior
        raise AssertionError("the last of a model's passes loses no digits")

    return expect


def _resident(model: Model, rows: Rows, survey: Any, engine: Engine) -> OnDevice | None:
    """The rows where they stay, if the engine is a device; raises as `OnDevice` does."""
    return OnDevice(engine, model, rows, survey) if isinstance(engine, Device) else None


def _summed(engine: Engine, of_block: Any, blocks: Iterable[Any], begun: bool) -> Any:
    source = blocks if isinstance(blocks, PlacedBlocks) else Reading(blocks)
    return _asked(engine_sum, engine, of_block, source, begun=begun, source=source)


def _asked(ask: Callable[..., Any], *args: Any, begun: bool, source: Any = None) -> Any:
    try:
        return ask(*args)
    except Exception as error:
        if error is getattr(source, "error", None) or isinstance(error, EngineError):
            raise PassFailed(error, begun) from error
        raise
