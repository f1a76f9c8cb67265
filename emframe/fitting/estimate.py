"""`emframe.fit`: from several starts, run the loop to its end, and keep the best sound optimum.

Every start is run to convergence.  An optimum that only exists because the likelihood is
unbounded (a component on a handful of rows) is set aside while there is a regular one; a start
that degenerated is listed with its status.  What is not asked for in words is not done: no ridge,
no floor, no dropped row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from typing import Any, cast

import numpy as np

from emframe.core import (
    Callback,
    Coordinates,
    Degenerate,
    MaxSeconds,
    Method,
    PassFailed,
    Rule,
    Status,
    Step,
)
from emframe.data import Labelled, PlacedRows, brought_in, from_device, refuse_other_index
from emframe.engines import Audited, Device, one_blas_thread
from emframe.files.checkpoints import earlier, generator_for
from emframe.files.fingerprints import settings
from emframe.files.resuming import resumable
from emframe.fitting.choice import Choice, processes, wanted
from emframe.fitting.ends import ends
from emframe.fitting.movers import method_for
from emframe.fitting.result import Fit
from emframe.fitting.search import Attempt, Cut, Search, highest, spent
from emframe.fitting.task import Task
from emframe.host import model as named_model
from emframe.messages.arguments import Rng, callables, file, real
from emframe.messages.words import in_our_words
from emframe.models import Model
from emframe.models.remedies import remedies
from emframe.showing.progress import watching


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a fit; ``fit`` is the best so far.

    Examples
    --------
    >>> issubclass(emframe.Interrupted, KeyboardInterrupt)
    True
    """

    def __init__(self, fit: Fit) -> None:
        super().__init__("interrupted; the best fit so far is in .fit")
        self.fit = fit


@in_our_words
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
    labels: Any = None,
    workers: int = 1,
) -> Fit:
    """Fit a model by EM: maximum likelihood, or maximum a posteriori with a prior.

    Parameters
    ----------
    model : such as ``emframe.Mixture("gaussian", n_components=3)``, or the name of an installed
        model (``emframe.model(name)``).
    X : (n, d) rows; a 1-D array is n rows of one column; data frames, lists and the shipped
        data sets (`emframe.dataset`) are welcome, and so are data larger than memory: a numpy
        memory map, `emframe.Blocks`, `emframe.read_parquet`. Of rows on a device, in float64,
        the passes run there.
    weights : (n,) frequencies. Weight 2 equals the row twice, weight 0 the row removed. A data set
        that has its own uses them unless others are given.
    start : parameters (``other.params``), a dict of arrays by field name with ``weights``,
        responsibilities (n, K), labels (n,), or a callable ``(x, rng) ->`` any of these. Then
        there is one start. Of rows in parts a callable is shown a sample. Or a `Fit` of a smaller
        model to the same data, the same but for fewer components: there are starts then with each
        of its components split in turn, and the objective does not end below its own, unless a
        prior charges for the component.
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
        or a `ConjugatePrior` of one's own, which becomes part of the objective.  Of a model with
        a gate ``"weak"`` takes in its coefficients; ``"ridge"``, or a `Ridge`, is for them alone.
    engine : where blocks of rows run: None (threads where the work is worth them), "serial", a
        number of threads, ``"cuda"`` or another `emframe.Device`, or an object as
        `emframe.engines` describes.  The result is the same.
        Where it fails, or what the rows are read from does, the fit ends with the best parameters
        by then, the status `Status.ENGINE_FAILED`, and what was raised in ``fit.error``.
    progress : "auto" for a line in terminals and notebooks where the fit takes longer than a
        second (extra ``progress``); True also where stderr is a file, as a line now and then.
    stopping : further rules, each of which may stop a start; see `emframe.stopping`.
    callbacks : each is shown every `Step`; one that returns True stops that start. Where starts
        of small data climb together, in one stack, only the steps of the best from there on are.
    checkpoint : a file to write now and then. Where it is there already, the fit goes on from it
        and ends at the same bits as if it had never been stopped; with ``rng=None`` also by the
        same random numbers. It is refused where data or settings are others; callbacks may be. A
        disk that is full is warned of and does not end the fit.
    labels : (n,) the component of each row where it is known, and -1, None or nan where it is
        not; or (n, K) True for each that it may be; or the name of a column with either. Of a
        hidden Markov model the states; where a run shares one component, one label for each run
        will do. To ask such a fit for standard errors, pass
        ``emframe.Labelled(X, labels)`` for the rows.
    workers : processes, this one included, that share out the starts where `n_starts` is a number;
        the fit is the same to the last bit. Each has a copy of the rows and works in one thread,
        which pays where there are many starts of small data. Model, data, rules and callbacks have
        to be picklable then, and are those of each process: a callback sees the steps of the starts
        that its process runs. A script that calls this has to guard its main part by
        ``if __name__ == "__main__":``, as the module `multiprocessing` asks.

    Returns
    -------
    Fit

    Raises
    ------
    TypeError, ValueError : for unusable arguments or data, naming the place and the remedy, and
        for a checkpoint that is damaged or of another fit.
    EngineError : where an engine of one's own fails before there is anything to return, naming what
        it did and what is expected of it.
    Degenerate : where not one start had a finite objective, or a sound one.
    Interrupted : on Ctrl-C, with the best fit so far in ``.fit``.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> fit.status.value, np.sort(fit["rates"].ravel()).round(1)
    ('converged', array([0.8, 7.7]))
    """
    model = model_for(model)
    X, device = from_device(X)
    engine = device if engine is None else engine
    X, weights, labels = brought_in(X, weights, labels)
    X = getattr(model, "in_groups", _as_they_are)(X)
    if labels is not None:
        X = Labelled.of(X, labels)
    if isinstance(X, Labelled):
        model = knowing(model)
    refuse_other_index(start, X, "start")
    model = model.settled(X, weights)
    rules = ends(tol, max_iter)
    rules += callables("stopping", stopping, "rules, as emframe.stopping makes")
    deadline: list[MaxSeconds] = []
    if max_seconds is not None:
        fits = "a number of seconds above 0, or None"
        deadline = [MaxSeconds(real("max_seconds", max_seconds, fits, lambda s: s > 0))]
    n_starts = wanted(n_starts)
    shown = callables("callbacks", callbacks, "functions of a Step")
    path = None if checkpoint is None else file("checkpoint", checkpoint)
    workers = processes(workers, n_starts, start, path)
    method = method_for(accelerate, model.contract)
    before = None if path is None else earlier(path)
    generator = generator_for(rng, before)
    many = 1 if start is not None else n_starts if isinstance(n_starts, int) else None
    many = None if isinstance(start, Fit) else many
    with one_blas_thread(), watching(progress, model.title(), tol, many) as watchers:
        task = Task.of(model, X, weights, prior, engine)
        if workers > 1 and isinstance(task.engine, (Audited, Device)):
            what = task.engine if isinstance(task.engine, Device) else "an object"
            raise ValueError(
                f"`workers` is {workers} and `engine` {what}; starts run in other processes, "
                "each in one thread: pass workers=1, or engine=None."
            )
        watched, told = (
            [Callback(_in_nats(one, task.unit)) for one in each] for each in (watchers, shown)
        )
        rules[:0] = [*watched, *told]
        fresh = generator.bit_generator.state
        # A stack of starts has no steps for rules of one's own to see, and one way to move.
        is_ruled = bool(stopping) or accelerate is not True
        choice = Choice(
            n_starts,
            tol,
            max_iter,
            method,
            stopping,
            deadline,
            is_ruled,
            generator,
            callbacks=told,
            watchers=watched,
            workers=workers,
        )
        plan, params = choice.plan(task, start)
        search = Search(
            model, task.expect, rules, method, task.tell, task.irregular, alone=task.alone
        )
        if path is None:
            attempts, cut = replace(search, rules=[*rules, *deadline])(plan)
        else:
            described = settings(
                model,
                task.rows,
                fresh,
                start=params,
                n_starts=n_starts,
                tol=tol,
                max_iter=max_iter,
                prior=prior,
                accelerate=method,
                stopping=stopping,
            )
            with resumable(search, path, described, before, deadline) as search:
                attempts, cut = search(plan)
        assembled, cut = _assemble(task, prior, attempts, cut)
        result = _weighed(assembled, task.unit)
    if isinstance(cut, KeyboardInterrupt):
        raise Interrupted(result)
    return result


def _as_they_are(X: Any) -> Any:
    """Rows of a model that has no groups by name."""
    return X


def knowing(model: Model) -> Model:
    """The model for rows of which the component may be known.

    Raises TypeError for one whose z is no choice among components.
    """
    known = getattr(model, "with_labels", None)
    if known is None:
        raise TypeError(
            f"`labels` go with a model of components or states; {model.title()} has none."
        )
    return cast(Model, known())


def model_for(model: Any) -> Model:
    """The model that `model` is or names."""
    if isinstance(model, str):
        return cast(Model, named_model(model))
    if isinstance(model, type) or not hasattr(model, "passes"):
        if hasattr(model, "__array__"):
            raise TypeError(
                f"`model` is data of shape {np.shape(model)}; the model comes first, then the "
                "data: emframe.fit(model, X)."
            )
        if hasattr(model, "params") and hasattr(model, "model"):
            raise TypeError("`model` is a fit; pass its model, fit.model.")
        raise TypeError(
            f"`model` is {model!r}; pass emframe.Mixture(family, n_components), another model, or "
            "the name of one."
        )
    return cast(Model, model)


def _assemble(task: Task, prior: Any, attempts: Sequence[Attempt], cut: Cut) -> tuple[Fit, Cut]:
    """The Fit of the best run: sound before degenerate, regular before spurious, then highest.

    With what cut the fit short, be it in the last pass over the rows.
    """
    with_point = [one for one in attempts if one.run is not None]
    if not with_point:
        failed = [one.start for one in attempts if not one.start.status.usable]
        last = failed[-1] if failed else attempts[-1].start
        n = len(attempts)
        none = "the start cannot" if n == 1 else f"none of {n} starts can"
        told = f"{none} be used: {last.message}. {last.status.message}"
        more = remedies(task.model, prior) if last.status.lacks_maximum else ""
        raise Degenerate(f"{told} {more}".rstrip())

    best = highest(with_point)
    done = best.run
    assert done is not None
    params = done.step.params

    rows = task.rows
    uncertainty, cut = _uncertainty(task, params, cut)
    error = cut if isinstance(cut, Exception) else None
    status, message = done.status, done.message
    if error is not None and done.error is None:  # outside of the start that is returned
        status = Status.ENGINE_FAILED
        message = f"{PassFailed(error, begun=True)}. {status.message}"
    untold = task.model.undetermined(done.step.expectation)
    more = remedies(task.model, prior) if status.lacks_maximum else ""
    found = Fit(
        model=task.model,
        params=params,
        status=status,
        message=" ".join(filter(None, [message, more, untold])),
        log_likelihood=done.step.expectation.loglik,
        objective=done.step.objective,
        entropy=done.step.expectation.entropy,
        classification_uncertainty=uncertainty,
        form=getattr(done.step.expectation, "form", ""),
        trace=np.array(done.trace),
        gains=np.array(done.gains),
        remaining=done.step.remaining,
        n_iter=spent(attempts),
        n_rows=rows.total,
        n_runs=getattr(rows, "n_runs", np.nan),
        columns=rows.columns,
        prior=prior,
        best=best.start.index,
        starts=tuple(one.start for one in attempts),
        error=error,
    )
    return found, cut


def _uncertainty(task: Task, params: Any, cut: Cut) -> tuple[float, Cut]:
    """The classification uncertainty, by one pass, and what cut the fit short by then.

    Nothing that goes wrong here loses the fit: an engine of the user's own that has failed, or may
    have lost its workers to Ctrl-C, is not asked again, and nan stands for a pass that was not
    made.
    """
    if cut is not None and isinstance(task.rows, PlacedRows):
        return nan, cut  # whatever was interrupted there is not asked again
    if cut is None:
        try:
            return task.uncertainty(params, task.engine), None
        except KeyboardInterrupt as stop:
            return nan, stop
        except PassFailed as failed:
            cut = failed.error
            if task.engine_left is task.engine:
                return nan, cut
    try:
        return task.uncertainty(params, task.engine_left), cut
    except KeyboardInterrupt as stop:
        return nan, stop
    except PassFailed:
        return nan, cut


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
    return function if unit == 1.0 else InUnits(function, unit)


@dataclass(frozen=True)
class InUnits:
    """A callback, and what a weight of 1 of the rows stands for."""

    function: Callable[[Step[Any]], bool | None]
    unit: float

    def __call__(self, step: Step[Any]) -> bool | None:
        amounts = ("objective", "log_prior", "q_at", "gain_q", "gain_entropy", "remaining")
        return self.function(
            replace(step, **{name: self.unit * getattr(step, name) for name in amounts})
        )
