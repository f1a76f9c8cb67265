"""`emframe.fit`: from several starts, run the loop to its end, and keep the best sound optimum.

Every start is run to convergence.  An optimum that only exists because the likelihood is
unbounded (a component on a handful of rows) is set aside while there is a regular one; a start
that degenerated is listed with its status.  What is not asked for in words is not done: no ridge,
no floor, no dropped row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from emframe.arguments import Rng, callables, file, real, whole
from emframe.core import (
    Callback,
    Coordinates,
    Degenerate,
    Expectation,
    MaxIterations,
    MaxSeconds,
    Method,
    RemainingGain,
    Rule,
    Step,
)
from emframe.data import Rows, counted, frequencies, measured
from emframe.engines import Engine, Serial, engine_for, one_blas_thread
from emframe.files.checkpoints import earlier, generator_for
from emframe.files.fingerprints import settings
from emframe.files.resuming import resumable
from emframe.fitting.evidence import artefacts, told
from emframe.fitting.grain import Grain
from emframe.fitting.plans import LEVELS, Agreement, Given, Grown, Starts
from emframe.fitting.reseeding import Reseeding
from emframe.fitting.result import Fit
from emframe.fitting.saddles import Onward
from emframe.fitting.sampled import Sampled, sample_of
from emframe.fitting.search import Attempt, Plan, Search, highest, spent
from emframe.fitting.stacked_plan import CLOSE, EFFORTS, Stacked, stack_for
from emframe.host import model as named_model
from emframe.methods import method_for
from emframe.models import Model
from emframe.showing.progress import watching


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a fit; ``fit`` is the best so far."""

    def __init__(self, fit: Fit) -> None:
        super().__init__("interrupted; the best fit so far is in .fit")
        self.fit = fit


def fit(
    model: Model | str,
    X: Any,
    *,
    weights: Any = None,
    start: Any = None,
    n_starts: int | str | None = "default",
    rng: Rng = None,
    tol: float = 1e-8,
    max_iter: int = 10_000,
    max_seconds: float | None = None,
    accelerate: bool | str | Callable[[Coordinates], Method] = True,
    prior: Any = None,
    engine: Any = None,
    progress: bool | str = False,
    stopping: Sequence[Rule] = (),
    callbacks: Sequence[Callable[[Step[Any]], bool | None]] = (),
    checkpoint: str | Path | None = None,
) -> Fit:
    """Fit a model by EM: maximum likelihood, or maximum a posteriori with a prior.

    Parameters
    ----------
    model : such as ``emframe.Mixture("gaussian", n_components=3)``, or the name of an installed
        model (``emframe.model(name)``).
    X : (n, d) rows; a 1-D array is n rows of one column; data frames, lists and the shipped
        data sets (`emframe.dataset`) are welcome, and so are data larger than memory: a numpy
        memory map, `emframe.Blocks`, `emframe.read_parquet`.
    weights : (n,) frequencies. Weight 2 equals the row twice, weight 0 the row removed. A data set
        that has its own uses them unless others are given.
    start : parameters (``other.params``), a dict of arrays by field name with ``weights``,
        responsibilities (n, K), labels (n,), or a callable ``(x, rng) ->`` any of these. Then
        there is one start. Or a `Fit` of a smaller model to the same data, the same but for fewer
        components: there are starts then with each of its components split in turn, and the
        objective does not end below its own, unless a prior charges for the component.
    n_starts : ``"quick"``, ``"default"`` or ``"thorough"``: until starts agree on the best optimum,
        within a budget of work, part of which goes to moves away from the best; or how many
        starts to run to convergence, and no moves. See ``fit.chance_missed``. Of many rows the
        levels search a sample, and polish the best end on all.
    rng : int, Generator, SeedSequence or None, as for ``numpy.random.default_rng``.
    tol : stop when the estimated remaining gain of the objective is below this, in nats over all
        rows, at two successive steps, or at one where it is a bound.
    max_iter : cap on the steps of each start.
    max_seconds : cap on the time of the whole fit.
    accelerate : True for accelerated EM, False for plain EM; the name of another acceleration
        (``"squarem"``, or one that a plugin brings); or a callable that takes
        `emframe.core.Coordinates` and makes an `emframe.core.Method`.
    prior : None for maximum likelihood; ``"weak"`` for the family's data-scaled conjugate prior,
        or a `ConjugatePrior` of one's own, which becomes part of the objective.
    engine : where blocks of rows run: None (threads where the work is worth them), "serial", a
        number of threads, or an object as `emframe.engines` describes.  The result is the same.
    progress : "auto" for a line in terminals and notebooks where the fit takes longer than a
        second (extra ``progress``); True also where stderr is a file, as a line now and then.
    stopping : further rules, each of which may stop a start; see `emframe.stopping`.
    callbacks : each is shown every `Step`; one that returns True stops that start.
    checkpoint : a file to write now and then. Where it is there already, the fit goes on from it
        and ends at the same bits as if it had never been stopped; with ``rng=None`` also by the
        same random numbers. It is refused where data or settings are others; callbacks may be. A
        disk that is full is warned of and does not end the fit.

    Returns
    -------
    Fit

    Raises
    ------
    TypeError, ValueError : for unusable arguments or data, naming the place and the remedy, and
        for a checkpoint that is damaged or of another fit.
    Degenerate : where not one start had a finite objective, or a sound one.
    Interrupted : on Ctrl-C, with the best fit so far in ``.fit``.
    """
    model = model_for(model).settled(X, weights)
    rules = ends(tol, max_iter)
    rules += callables("stopping", stopping, "rules, as emframe.stopping makes")
    deadline: list[Rule] = []
    if max_seconds is not None:
        fits = "a number of seconds above 0, or None"
        deadline = [MaxSeconds(real("max_seconds", max_seconds, fits, lambda s: s > 0))]
    n_starts = _wanted(n_starts)
    shown = callables("callbacks", callbacks, "functions of a Step")
    path = None if checkpoint is None else file("checkpoint", checkpoint)
    method = method_for(accelerate, model.contract)
    before = None if path is None else earlier(path)
    generator = generator_for(rng, before)
    many = 1 if start is not None else n_starts if isinstance(n_starts, int) else None
    many = None if isinstance(start, Fit) else many
    with one_blas_thread(), watching(progress, model.title(), tol, many) as watchers:
        data = _data(model, X, weights, prior, engine)
        unit = data.unit
        rules[:0] = [Callback(_in_nats(one, unit)) for one in (*watchers, *shown)]
        fresh = generator.bit_generator.state

        def tell(error: Degenerate) -> str:
            return error.told(data.given.columns)

        under = model.under(data.term)

        def within(some: _Data, judged: _Data, near: float = 0.0) -> Plan:
            """Starts until they agree: in one stack where that can be had, else one by one."""
            assert isinstance(n_starts, str)
            one_by_one = Reseeding(
                Agreement(under, some.rows, generator, LEVELS[n_starts]),
                under,
                some.rows,
                generator,
            )
            effort = EFFORTS.get(n_starts)
            # Callbacks and rules of one's own are shown every step, which a stack has none of.
            apart = shown or stopping or accelerate is not True
            if effort is None or apart or model.sole_start or max_iter < effort.rules.most:
                return one_by_one
            stack = stack_for(under, some.rows, some.survey, some.term)
            if stack is None:
                return one_by_one
            return Stacked(
                stack,
                model.choices() or 0,
                generator,
                effort,
                judged.accused(model),
                lambda: bool(deadline) and deadline[0]([]) is not None,
                one_by_one,
                near,
            )

        def on(rows: Any, judged: Any, tol_there: float) -> Search:
            some = data.only(rows, model.survey(rows))
            there = [*ends(max(tol, tol_there), max_iter), *stopping, *deadline]
            judge = data.only(judged, some.survey).irregular(model)
            return Search(model, some.expect(model), there, method, tell, judge)

        def plan_on(rows: Any, judged: Any) -> Plan:
            some = data.only(rows, model.survey(rows))
            return within(some, data.only(judged, some.survey), near=CLOSE)

        plan = _plan(under, data, generator, start, n_starts, tell)
        if plan is None:
            plan = within(data, data)
            some = sample_of(under, data.rows, generator)
            if some is not None:
                everything = data.expect(model)
                plan = Sampled(under, data.rows, some, generator, on, plan_on, plan, everything)
        expect = data.expect(model)
        search = Search(model, expect, rules, method, tell, data.irregular(model))
        onward = Onward(plan, under, expect, data.rows, generator, tol)
        if path is None:
            attempts, interrupted = replace(search, rules=[*rules, *deadline])(onward)
        else:
            described = settings(
                model,
                data.rows,
                fresh,
                start=plan.params if isinstance(plan, (Given, Grown)) else None,
                n_starts=n_starts,
                tol=tol,
                max_iter=max_iter,
                prior=prior,
                accelerate=method,
                stopping=stopping,
            )
            with resumable(search, path, described, before, deadline) as search:
                attempts, interrupted = search(onward)
        result = _weighed(_assemble(model, data, prior, attempts), unit)
    if interrupted:
        raise Interrupted(result)
    return result


def _wanted(n_starts: Any) -> int | str:
    """How many starts the user wants, or the level of a search until they agree."""
    levels = ", ".join(map(repr, LEVELS))
    if isinstance(n_starts, str):
        if n_starts not in LEVELS:
            raise ValueError(f"`n_starts` is {n_starts!r}; pass a whole number, or {levels}.")
        return n_starts
    return "default" if n_starts is None else whole("n_starts", n_starts, 1, f", or {levels}")


def ends(tol: float, max_iter: int) -> list[Rule]:
    """The rules that end a run: nothing left to gain, or the cap on its steps."""
    tol = real("tol", tol, "a number of nats, 0 or above", lambda nats: nats >= 0)
    return [RemainingGain(tol), MaxIterations(whole("max_iter", max_iter, 0))]


def model_for(model: Any) -> Model:
    """The model that `model` is or names."""
    if isinstance(model, str):
        return cast(Model, named_model(model))
    if isinstance(model, type) or not hasattr(model, "passes"):
        raise TypeError(
            f"`model` is {model!r}; pass emframe.Mixture(family, n_components), another model, or "
            "the name of one."
        )
    return cast(Model, model)


class _Data(NamedTuple):
    """The data of a fit, and what every E-step on them needs."""

    given: Any  # the rows as they were given, validated
    rows: Any  # the same, condensed
    survey: Any
    term: Any  # of the prior; None without one
    engine: Engine

    @property
    def unit(self) -> float:
        """What a weight of 1 of the rows stands for."""
        return getattr(self.given, "unit", 1.0)

    def only(self, rows: Any, survey: Any) -> _Data:
        """Some of the rows, few enough to do without an engine."""
        return self._replace(rows=rows, survey=survey, engine=Serial())

    def expect(self, model: Model) -> Callable[[Any], Expectation[Any]]:
        """The E-step."""
        return expectation(model, self.rows, self.term, self.survey, self.engine)

    def accused(self, model: Model) -> Callable[[Any], str]:
        """Why parameters are an artefact's: none are under a prior, nor without components."""
        if self.term is not None:
            return lambda _: ""
        grain = Grain(self.rows)
        return lambda params: told(artefacts(model, params, self.rows, grain))

    def irregular(self, model: Model) -> Callable[[Expectation[Any]], str]:
        """Why the point of a Q is no optimum that counts; empty where it is one."""
        accused = self.accused(model)

        def judge(q: Expectation[Any]) -> str:
            return "; ".join(filter(None, [accused(q.at), *model.irregularities(q).values()]))

        return judge


def _data(model: Model, X: Any, weights: Any, prior: Any, engine: Any) -> _Data:
    given: Any = model.rows(X, frequencies(X, weights))
    if prior is None:
        model.require(given)
        given = measured(given)
    else:  # its pseudo-data stand in for rows that the data lack, and are worth so many of them
        given = counted(given)
    rows = model.condense(given)
    survey = model.survey(rows)
    runner = engine_for(engine, len(rows) * model.work(rows))
    return _Data(given, rows, survey, model.prior(prior, survey), runner)


def _plan(
    model: Model,
    data: _Data,
    rng: np.random.Generator,
    start: Any,
    n_starts: int | str,
    tell: Callable[[Degenerate], str],
) -> Plan | None:
    """Where to start, as the user says or so many times; None where starts are to agree."""
    if isinstance(start, Fit):
        params = model.embedded(start.model, start.params)
        if params is not None:
            reached = start.objective / data.unit
            most = n_starts if isinstance(n_starts, int) else None
            return Grown(model, start, params, reached, data.rows, rng, most)
        start = start.params
    if start is not None:
        try:
            return Given(model.start(start, data.given, rng))
        except Degenerate as error:
            raise Degenerate(f"`start`: {tell(error)}", error.component) from error
    if isinstance(n_starts, int):
        return Reseeding(Starts(model, data.rows, rng, n_starts), model, data.rows, rng)
    return None


def expectation(
    model: Model,
    rows: Rows,
    prior: Any = None,
    survey: Any = None,
    engine: Engine | None = None,
) -> Callable[[Any], Expectation[Any]]:
    """The E-step over all rows: a sum over blocks, and the prior once at the end."""
    engine = Serial() if engine is None else engine
    survey = model.survey(rows) if survey is None else survey
    d = len(rows.columns)

    def expect(params: Any) -> Expectation[Any]:
        for one in model.passes(params, survey):
            q = one.finish(engine.sum(one.block, rows.blocks(one.rows(d))))
            if q is not None:
                return q if prior is None else q + prior
        raise AssertionError("the last of a model's passes loses no digits")

    return expect


def _assemble(model: Model, data: _Data, prior: Any, attempts: Sequence[Attempt]) -> Fit:
    """The Fit of the best run: sound before degenerate, regular before spurious, then highest."""
    with_point = [one for one in attempts if one.run is not None]
    if not with_point:
        last = attempts[-1].start
        n = len(attempts)
        none = "the start cannot" if n == 1 else f"none of {n} starts can"
        raise Degenerate(f"{none} be used: {last.message}. {last.status.message}")

    best = highest(with_point)
    done = best.run
    assert done is not None
    params = done.step.params

    rows = data.rows
    e_step = next(model.passes(params, data.survey))
    return Fit(
        model=model,
        params=params,
        status=done.status,
        message=done.message,
        log_likelihood=done.step.expectation.loglik,
        objective=done.step.objective,
        entropy=done.step.expectation.entropy,
        classification_uncertainty=data.engine.sum(
            e_step.uncertainty, rows.blocks(e_step.rows(len(rows.columns)))
        ),
        form=getattr(done.step.expectation, "form", ""),
        trace=np.array(done.trace),
        gains=np.array(done.gains),
        remaining=done.step.remaining,
        n_iter=spent(attempts),
        n_rows=rows.total,
        columns=rows.columns,
        prior=prior,
        best=best.start.index,
        starts=tuple(one.start for one in attempts),
    )


def _weighed(fit: Fit, unit: float) -> Fit:
    """The fit in the units of the user's weights; those of the rows were theirs over `unit`."""
    if unit == 1.0:
        return fit
    return replace(
        fit,
        log_likelihood=unit * fit.log_likelihood,
        objective=unit * fit.objective,
        entropy=unit * fit.entropy,
        classification_uncertainty=unit * fit.classification_uncertainty,
        trace=unit * fit.trace,
        gains=unit * fit.gains,
        remaining=unit * fit.remaining,
        starts=tuple(
            replace(
                start,
                objective=unit * start.objective,
                log_likelihood=unit * start.log_likelihood,
            )
            for start in fit.starts
        ),
    )


def _in_nats(
    function: Callable[[Step[Any]], bool | None], unit: float
) -> Callable[[Step[Any]], bool | None]:
    """A callback that is shown the numbers of the user's weights."""
    if unit == 1.0:
        return function
    amounts = ("objective", "log_prior", "q_at", "gain_q", "gain_entropy", "remaining")
    return lambda step: function(
        replace(step, **{name: unit * getattr(step, name) for name in amounts})
    )
