"""EM where rows are assigned to components: firmly, at a temperature, or by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from emframe.core import Contract, MaxIterations, Run, Status, run
from emframe.fitting import ends
from emframe.messages.arguments import Rng, whole
from emframe.models import ComponentModel
from emframe.variants.assignments import drawn, shaken, tempered
from emframe.variants.problem import model_with_components, pose


def classification(
    model: ComponentModel,
    X: Any,
    *,
    weights: Any = None,
    start: Any = None,
    rng: Rng = None,
    max_iter: int = 10_000,
) -> Run[Any]:
    """Classification EM: each row belongs to its most probable component.

    The objective is the classification likelihood, the sum over rows of max_k log p(x, z_k).  It
    ends where no row changes its component; the parameters are as for `emframe.fit`.
    """
    model = model_with_components(model, X, weights)
    problem = pose(model, X, weights, start, rng)
    expect = tempered(model, problem.rows, math.inf)
    return run(expect, problem.params, rules=ends(0.0, max_iter))


def annealed(
    model: ComponentModel,
    X: Any,
    temperatures: Sequence[float] = (5.0, 3.0, 2.0, 1.5, 1.2, 1.0),
    *,
    weights: Any = None,
    start: Any = None,
    rng: Rng = None,
    tol: float = 1e-8,
    max_iter: int = 10_000,
) -> Run[Any]:
    """Deterministic annealing: EM at each temperature 1 / beta in turn, from high to 1.

    At a high temperature F has few optima, and the start matters little; each next one is climbed
    from near where the last one ended, shaken by one draw of z: components that have become equal
    would stay equal at all temperatures.  Returns the run at the last, or the first one that did
    not end well.

    Parameters
    ----------
    temperatures : falling, and 1 at last, where F is the log-likelihood.
    """
    falls = all(hot > cool for hot, cool in pairwise(temperatures))
    if not temperatures or temperatures[-1] != 1.0 or not falls:
        raise ValueError(f"`temperatures` is {temperatures!r}; pass falling ones that end with 1.")
    model = model_with_components(model, X, weights)
    problem = pose(model, X, weights, start, rng)
    params = problem.params
    for number, temperature in enumerate(temperatures):
        beta = 1.0 / temperature
        if number > 0:
            params = shaken(model, problem.rows, params, beta, problem.rng)
        # Before the last the place is all that matters, and a thousandth of a nat is near enough.
        ahead = tol if temperature == 1.0 else max(tol, 1e-3)
        rules = ends(ahead, max_iter)
        done = run(
            tempered(model, problem.rows, beta), params, rules=rules, contract=model.contract
        )
        params = done.step.params
        if not done.status.usable or done.status is Status.INTERRUPTED:
            break
    return done


def stochastic(
    model: ComponentModel,
    X: Any,
    n_steps: int = 200,
    *,
    weights: Any = None,
    start: Any = None,
    rng: Rng = None,
) -> Run[Any]:
    """Stochastic EM: z is drawn from its posterior (Celeux and Diebolt 1985).

    The parameters are a Markov chain that moves about the maximum, and leaves poor ones; the run
    is `n_steps` steps of it.  Its objective is the log-likelihood, which rises on average only.
    """
    model = model_with_components(model, X, weights)
    problem = pose(model, X, weights, start, rng)
    if (problem.rows.weights != np.floor(problem.rows.weights)).any():
        raise ValueError(
            "stochastic EM draws a z for each row, so the weights have to be whole numbers."
        )
    expect = drawn(model, problem.rows, problem.rng)
    rules = [MaxIterations(whole("n_steps", n_steps, 0))]
    return run(expect, problem.params, rules=rules, contract=Contract.STOCHASTIC)
