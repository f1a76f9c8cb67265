"""`emframe.fit`: from several starts, run the loop to its end, and keep the best sound optimum.

Every start is run to convergence.  An optimum that only exists because the likelihood is
unbounded (a component on a handful of rows) is set aside while there is a regular one; a start
that degenerated is listed with its status.  What is not asked for in words is not done: no ridge,
no floor, no dropped row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from emframe.core import (
    EM,
    Coordinates,
    Callback,
    Degenerate,
    Expectation,
    MaxIterations,
    MaxSeconds,
    Method,
    QuasiNewton,
    RemainingGain,
    Rule,
    Run,
    Status,
    Step,
    Stopped,
    run,
)
from emframe.data import Rows, frequencies
from emframe.engines import Serial, block_rows
from emframe.models import Model
from emframe.optima import optima
from emframe.parameters import from_vector, problem, to_vector
from emframe.result import Fit, Start

Rng = int | np.random.Generator | np.random.SeedSequence | None

# The default number of starts, where they are cheap: at least, at most.
FEWEST_STARTS = 32
MOST_STARTS = 120
# Rows x columns x components times starts that the default number of starts may spend.
START_BUDGET = 20_000_000


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a fit; ``fit`` is the best so far."""

    def __init__(self, fit: Fit) -> None:
        super().__init__("interrupted; the best fit so far is in .fit")
        self.fit = fit


def fit(
    model: Model,
    X: Any,
    *,
    weights: Any = None,
    start: Any = None,
    n_starts: int | None = None,
    rng: Rng = None,
    tol: float = 1e-8,
    max_iter: int = 10_000,
    max_seconds: float | None = None,
    accelerate: bool = True,
    prior: Any = None,
    callbacks: Sequence[Callable[[Step[Any]], bool | None]] = (),
) -> Fit:
    """Fit a model by EM: maximum likelihood, or maximum a posteriori with a prior.

    Parameters
    ----------
    model : such as ``emframe.Mixture("gaussian", n_components=3)``.
    X : (n, d) rows; a 1-D array is n rows of one column; data frames, lists and the shipped
        data sets (`emframe.dataset`) are welcome.
    weights : (n,) frequencies. Weight 2 equals the row twice, weight 0 the row removed. A data set
        that has its own uses them unless others are given.
    start : parameters (``other.params``), a dict of arrays by field name with ``weights``,
        responsibilities (n, K), labels (n,), or a callable ``(x, rng) ->`` any of these. Then
        there is one start.
    n_starts : how many starts to run to convergence. By default until the best optimum was found
        again and again, within a budget.
    rng : int, Generator, SeedSequence or None, as for ``numpy.random.default_rng``.
    tol : stop when the estimated remaining gain of the objective is below this, in nats over all
        rows, at two successive steps.
    max_iter : cap on the steps of each start.
    max_seconds : cap on the time of the whole fit.
    accelerate : True for accelerated EM, False for plain EM.
    prior : None for maximum likelihood; ``"weak"`` for the family's data-scaled conjugate prior,
        which becomes part of the objective.
    callbacks : each is shown every `Step`; one that returns True stops that start.

    Returns
    -------
    Fit

    Raises
    ------
    TypeError, ValueError : for unusable arguments or data, naming the place and the remedy.
    Degenerate : where not one start had a finite objective.
    Interrupted : on Ctrl-C, with the best fit so far in ``.fit``.
    """
    _check_settings(tol, max_iter, max_seconds, n_starts)
    rows = model.rows(X, frequencies(X, weights))
    model.require(rows)
    generator = np.random.default_rng(rng)
    expect = expectation(model, rows, model.prior(prior, rows))
    rules: list[Rule] = [RemainingGain(tol), MaxIterations(max_iter)]
    rules += [] if max_seconds is None else [MaxSeconds(max_seconds)]
    rules += [Callback(callback) for callback in callbacks]
    supply: Iterator[tuple[str, Any]]
    if start is not None:
        supply, enough = iter([("given", model.start(start, rows, generator))]), _Exactly(1)
    else:
        supply = model.starts(rows, generator)
        enough = _Exactly(n_starts) if n_starts is not None else _Replicated(_cap(model, rows))
    runs = []
    for index, (kind, params) in enumerate(supply):
        one = _run_one(model, expect, index, kind, params, rules, _method(accelerate))
        runs.append(one)
        if one.start.status in {Status.INTERRUPTED, Status.MAX_SECONDS} or enough(runs):
            break
    result = _assemble(model, rows, prior, runs)
    if runs[-1].start.status is Status.INTERRUPTED:
        raise Interrupted(result)
    return result


def expectation(
    model: Model, rows: Rows, prior: Any = None
) -> Callable[[Any], Expectation[Any]]:
    """The E-step over all rows: a sum over blocks, and the prior once at the end."""
    engine, per_block = Serial(), block_rows(model.work(rows))

    def expect(params: Any) -> Expectation[Any]:
        def block(part: slice) -> Expectation[Any]:
            return model.expect(params, rows.x[part], rows.weights[part])

        q = engine.sum(block, len(rows), per_block)
        return q if prior is None else q + prior

    return expect


class _One:
    """A start and, where it got that far, its run."""

    def __init__(self, start: Start, run: Run[Any] | None = None) -> None:
        self.start = start
        self.run = run


def _run_one(
    model: Model,
    expect: Callable[[Any], Expectation[Any]],
    index: int,
    kind: str,
    params: Any,
    rules: Sequence[Rule],
    method: Method,
) -> _One:
    nan = float("nan")
    if isinstance(params, Degenerate):
        return _One(Start(index, kind, Status.DEGENERATE, nan, nan, 0, str(params)))
    try:
        done = run(expect, params, rules=rules, method=method, contract=model.contract)
    except Stopped as stopped:
        return _One(Start(index, kind, stopped.status, nan, nan, 1, str(stopped)))
    except Exception as error:
        error.add_note(f"while fitting a {model.title()}, start {index} ({kind})")
        raise
    odd = model.irregularities(done.step.expectation)
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
    return _One(start, done)


def _assemble(model: Model, rows: Rows, prior: Any, runs: Sequence[_One]) -> Fit:
    """The Fit of the best run: sound before degenerate, regular before spurious, then highest."""
    with_point = [one for one in runs if one.run is not None]
    if not with_point:
        raise Degenerate(
            f"none of {len(runs)} starts had a finite objective: {runs[-1].start.message}. "
            f"{Status.DEGENERATE.message}"
        )

    def rank(one: _One) -> tuple[bool, bool, float]:
        return one.start.status.usable, not one.start.spurious, one.start.objective

    best = max(with_point, key=rank)
    done = best.run
    assert done is not None
    params = done.step.params
    uncertainty = 0.0
    per_block = block_rows(model.work(rows))
    for first in range(0, len(rows), per_block):
        part = slice(first, first + per_block)
        _, resp = model.posterior(params, rows.x[part])
        uncertainty -= float(np.log(resp.max(axis=1)) @ rows.weights[part])
    return Fit(
        model=model,
        params=params,
        status=done.status,
        message=done.message,
        log_likelihood=done.step.expectation.loglik,
        objective=done.step.objective,
        entropy=done.step.expectation.entropy,
        classification_uncertainty=uncertainty,
        trace=np.array(done.trace),
        gains=np.array(done.gains),
        remaining=done.step.remaining,
        n_iter=sum(one.start.n_iter for one in runs),
        n_rows=rows.total,
        columns=rows.columns,
        prior=prior,
        best=best.start.index,
        starts=tuple(one.start for one in runs),
    )


class _Exactly:
    """Enough after n starts."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __call__(self, runs: Sequence[_One]) -> bool:
        return len(runs) >= self.n


class _Replicated:
    """Enough when the best optimum is also the one that starts commonly find.

    While it is rare among them a better one may be rarer still, so the search goes on to the
    end of its budget.
    """

    def __init__(self, at_most: int) -> None:
        self.at_most = at_most

    def __call__(self, runs: Sequence[_One]) -> bool:
        if len(runs) >= self.at_most:
            return True
        found = optima(
            [
                one.start.objective
                for one in runs
                if one.run is not None and one.start.status.usable and not one.start.spurious
            ]
        )
        if len(runs) < FEWEST_STARTS or not found:
            return False
        return found[0][1] >= len(runs) / 4


def _cap(model: Model, rows: Rows) -> int:
    """The most starts that the default may run: many where they are cheap, a few where not."""
    cost = len(rows) * model.work(rows)
    return int(np.clip(START_BUDGET // cost, 4, MOST_STARTS))


def _method(accelerate: bool) -> Method:
    return QuasiNewton(Coordinates(to_vector, _from_vector, _gradient)) if accelerate else EM()


def _from_vector(like: Any, vector: Any) -> Any:
    """Parameters at these coordinates; None where rounding puts them outside their spaces."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        params = from_vector(like, vector)
        return None if problem(params, {}) else params


def _gradient(q: Any) -> Any:
    return q.gradient()


def _check_settings(
    tol: float, max_iter: int, max_seconds: float | None, n_starts: int | None
) -> None:
    if not tol >= 0:
        raise ValueError(f"`tol` is {tol}; pass a number of nats, 0 or above.")
    if max_iter < 0:
        raise ValueError(f"`max_iter` is {max_iter}; pass 0 or above.")
    if max_seconds is not None and not max_seconds > 0:
        raise ValueError(f"`max_seconds` is {max_seconds}; pass a positive number or None.")
    if n_starts is not None and n_starts < 1:
        raise ValueError(f"`n_starts` is {n_starts}; pass 1 or more, or None.")


