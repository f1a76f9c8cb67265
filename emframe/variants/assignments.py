"""Q of a mixture whose rows are assigned otherwise than by the posterior.

For any distribution r of a one-hot z, Q is sum_ik r_ik log p(x_i, z_k | theta): the same sums over
rows as in EM, from other responsibilities.

One known case: with beta = 1 the tempered Q is EM's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
from scipy.special import entr, logsumexp, softmax

from emframe.core import Degenerate, Expectation
from emframe.data import Rows
from emframe.engines import block_rows
from emframe.models import Mixture, MixtureExpectation
from emframe.spaces import Array


class Assignment(NamedTuple):
    """What the rows of a block are assigned to."""

    resp: Array  # (n, K)  times row weights
    objective: float  # F, nats
    entropy: float  # its second term


def tempered(model: Mixture, rows: Rows, beta: float) -> Callable[[Any], Expectation[Any]]:
    """The E-step with responsibilities proportional to p(x, z_k)^beta; one-hot for inf."""

    def assign(joint: Array, weights: Array) -> Assignment:
        if math.isinf(beta):
            hard = np.eye(joint.shape[1])[joint.argmax(axis=1)]
            return Assignment(hard * weights[:, None], float(joint.max(axis=1) @ weights), 0.0)
        total = logsumexp(beta * joint, axis=1)
        resp = np.exp(beta * joint - total[:, None])
        entropy = float(entr(resp).sum(axis=1) @ weights) / beta
        return Assignment(resp * weights[:, None], float(total @ weights) / beta, entropy)

    return assigning(model, rows, assign)


def shaken(model: Mixture, rows: Rows, params: Any, beta: float, rng: np.random.Generator) -> Any:
    """The M-step from z drawn from the tempered posterior: a shake of the size of chance.

    Components that have become equal come apart; those far apart stay as they are.  A draw that
    leaves a component with too few rows changes nothing.
    """
    resp = softmax(beta * model.log_joint(params, rows.x), axis=1)
    # The last sum is left out: it is 1, or a rounding less.
    labels = (resp.cumsum(axis=1)[:, :-1] < rng.random((len(resp), 1))).sum(axis=1)
    try:
        return model.from_responsibilities(rows, np.eye(resp.shape[1])[labels])
    except Degenerate:
        return params


def assigning(
    model: Mixture, rows: Rows, assign: Callable[[Array, Array], Assignment]
) -> Callable[[Any], Expectation[Any]]:
    """The E-step by a rule that assigns rows from log p(x, z_k), (n, K), and their weights."""

    def of_block(params: Any, x: Array, weights: Array) -> MixtureExpectation:
        resp, reached, entropy = assign(model.log_joint(params, x), weights)
        statistics, inner = model.family.completed(params.components, x, resp)
        entropy += float(np.sum(inner))
        return MixtureExpectation(
            model.family, params, reached, entropy, resp.sum(axis=0), statistics
        )

    def expect(params: Any) -> Expectation[Any]:
        blocks = rows.blocks(block_rows(model.work(rows)))
        return reduce(add, (of_block(params, x, weights) for x, weights in blocks))

    return expect


def drawn(
    model: Mixture, rows: Rows, rng: np.random.Generator
) -> Callable[[Any], Expectation[Any]]:
    """The E-step with z drawn from its posterior, once for each of a row's whole weight.

    For any z at all log p(x) = log p(x, z) - log p(z | x), so with the surprise of the drawn z,
    -log p(z | x), in the place of the entropy the books balance as exactly as in EM.
    """

    def assign(joint: Array, weights: Array) -> Assignment:
        total = logsumexp(joint, axis=1)
        log_resp = joint - total[:, None]
        resp = np.exp(log_resp)
        times = rng.multinomial(weights.astype(int), resp / resp.sum(axis=1, keepdims=True))
        surprise = -float((times * np.where(times > 0, log_resp, 0.0)).sum())
        return Assignment(times.astype(float), float(total @ weights), surprise)

    return assigning(model, rows, assign)
