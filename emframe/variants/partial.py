"""EM in parts: the M-step on some parameters at a time, or the E-step on some rows.

One known case: with one block of either kind this is EM.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy

from emframe.core import Contract, Expectation, Run, run
from emframe.core.variants import Incremental, PartialStep
from emframe.core.variants import conditional as with_steps
from emframe.fitting import ends, expectation
from emframe.messages.arguments import Rng
from emframe.models import Model
from emframe.parameters import from_vector, leaves, rebuild, to_vector, units, valid
from emframe.spaces import Array, slopes
from emframe.variants.problem import pose


def conditional(
    model: Model | str,
    X: Any,
    blocks: Sequence[str] = (),
    *,
    weights: Any = None,
    start: Any = None,
    rng: Rng = None,
    tol: float = 1e-8,
    max_iter: int = 10_000,
) -> Run[Any]:
    """Expectation conditional maximisation (Meng and Rubin 1993).

    Parameters
    ----------
    blocks : the beginning of the paths of each block of parameters, such as ``"weights"`` or
        ``"components.means"``; by default each array is one.

    Each conditional maximum is found numerically in the parameters' coordinates.  The other
    parameters are as for `emframe.fit`.
    """
    problem = pose(model, X, weights, start, rng)
    paths = [leaf.path for leaf in leaves(problem.params)]
    chosen = list(blocks) or paths
    unknown = [name for name in chosen if not any(path.startswith(name) for path in paths)]
    if unknown:
        raise ValueError(f"`blocks` has {unknown[0]!r}; the parameters are {', '.join(paths)}.")
    expect = with_steps(expectation(problem.model, problem.rows), [_over(name) for name in chosen])
    promised = problem.model.contract
    contract = Contract.GENERALISED if promised.ascends else promised
    return run(expect, problem.params, rules=ends(tol, max_iter), contract=contract)


def incremental(
    model: Model | str,
    X: Any,
    n_blocks: int = 8,
    *,
    weights: Any = None,
    start: Any = None,
    rng: Rng = None,
    tol: float = 1e-8,
    max_iter: int = 10_000,
) -> Run[Any]:
    """Incremental EM: an M-step after the E-step of each of `n_blocks` blocks of rows.

    The rows are dealt into the blocks in turn.  The other parameters are as for `emframe.fit`.
    """
    problem = pose(model, X, weights, start, rng)
    model, rows = problem.model, problem.rows
    if not 1 <= n_blocks <= len(rows):
        raise ValueError(f"`n_blocks` is {n_blocks}; pass 1 to {len(rows)}, the number of rows.")
    every = [np.arange(i, len(rows), n_blocks) for i in range(n_blocks)]
    parts = [(rows.at(which), rows.weights[which]) for which in every]
    method = Incremental([_of_block(model, x, w) for x, w in parts])
    return run(
        method.expect,
        problem.params,
        rules=ends(tol, max_iter),
        method=method,
        contract=model.contract,
    )


def _of_block(model: Model, x: Array, weights: Array) -> Callable[[Any], Expectation[Any]]:
    return lambda params: model.expect(params, x, weights)


def _over(name: str) -> PartialStep:
    """The partial M-step over the arrays whose path starts with `name`."""

    def step(q: Expectation[Any], params: Any) -> Any:
        x = to_vector(params)
        free = np.concatenate(
            [
                np.full(
                    leaf.declared.space.n_coordinates(leaf.free_shape), leaf.path.startswith(name)
                )
                for leaf in leaves(params)
            ]
        )

        def fall(part: Array) -> float:
            moved = x.copy()
            moved[free] = part
            with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
                there = from_vector(params, moved)
                reached = q.value(there) if valid(there) else -math.inf
            return -reached if math.isfinite(reached) else math.inf

        # Where it does not depend on the others, the maximum over this block is that of the M-step.
        unit = units(params)[free]
        begin = min(x[free], to_vector(q.maximize())[free], key=fall)
        options = {"ftol": 1e-14, "gtol": 1e-9}
        found = scipy.optimize.minimize(
            fall,
            begin,
            jac=lambda part: slopes(fall, part, unit),
            method="L-BFGS-B",
            options=options,
        )
        if not -found.fun > q.value(params):
            return params
        moved = x.copy()
        moved[free] = found.x
        new = {leaf.path: leaf.value for leaf in leaves(from_vector(params, moved))}
        return rebuild(
            params, lambda leaf: new[leaf.path] if leaf.path.startswith(name) else leaf.value
        )

    return step
