"""Q of a model whose rows are assigned to components otherwise than by the posterior.

For any distribution r of z, Q is E_r log p(x, z | theta): the same sums over rows as in EM, from
other shares.

One known case: with beta = 1 the tempered Q is EM's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from emframe.core import Degenerate, Expectation
from emframe.engines import block_rows
from emframe.latents import BlockPosterior
from emframe.models import ComponentModel, ModelExpectation
from emframe.spaces import Array

Assign = Callable[[Any, Array, Any, Array], BlockPosterior]
"""From parameters, log densities (n, K), rows or runs, and their weights: what they are given."""


def tempered(model: ComponentModel, rows: Any, beta: float) -> Callable[[Any], Expectation[Any]]:
    """The E-step with shares in proportion to p(x, z)^beta; one-hot for inf."""

    def assign(params: Any, log_b: Array, x: Any, weights: Array) -> BlockPosterior:
        return model.latent.tempered(params, log_b, x, weights, beta)

    return assigning(model, rows, assign)


def shaken(
    model: ComponentModel, rows: Any, params: Any, beta: float, rng: np.random.Generator
) -> Any:
    """The M-step from z drawn from the tempered posterior: a shake of the size of chance.

    Components that have become equal come apart; those far apart stay as they are.  A draw that
    leaves a component with too few rows changes nothing.
    """
    log_b = model.log_density(params, rows.x)
    ones = np.ones(len(rows))
    resp = model.latent.tempered(params, log_b, rows.x, ones, beta).resp.T
    # The last sum is left out: it is 1, or a rounding less.
    labels = (resp.cumsum(axis=1)[:, :-1] < rng.random((len(resp), 1))).sum(axis=1)
    try:
        return model.from_responsibilities(rows, np.eye(resp.shape[1])[labels])
    except Degenerate:
        return params


def assigning(
    model: ComponentModel, rows: Any, assign: Assign
) -> Callable[[Any], Expectation[Any]]:
    """The E-step by a rule that assigns rows to components."""
    latent, family = model.latent, model.family

    def of_block(params: Any, x: Any, weights: Array) -> ModelExpectation:
        found = assign(params, model.log_density(params, x), x, weights)
        shares = np.ascontiguousarray(found.resp.T)
        statistics, inner = family.completed(params.components, latent.seen(x), shares)
        sums = found.resp.sum(axis=1) if found.sums is None else found.sums
        entropy = found.entropy + float(np.sum(inner))
        return ModelExpectation(latent, family, params, found.loglik, entropy, sums, statistics)

    def expect(params: Any) -> Expectation[Any]:
        blocks = rows.blocks(block_rows(model.work(rows)))
        return reduce(add, (of_block(params, x, weights) for x, weights in blocks))

    return expect


def drawn(
    model: ComponentModel, rows: Any, rng: np.random.Generator
) -> Callable[[Any], Expectation[Any]]:
    """The E-step with z drawn from its posterior, once for each of a row's whole weight."""

    def assign(params: Any, log_b: Array, x: Any, weights: Array) -> BlockPosterior:
        return model.latent.drawn(params, log_b, x, weights, rng)

    return assigning(model, rows, assign)
