"""Bayes' rule for rows that have a z of their own each: a softmax.

    r_ik = p(z_k | x_i) = p(x_i, z_k) / sum_k p(x_i, z_k)

(Bishop 2006, eq. 9.23).  Components lead and rows follow in memory, so every operation is a
sweep along rows.  A softmax does not change with a shift, so none is made unless a block needs
it: where every row's total is within the range of floating point, exp of the joint is enough.

One known case: with K = 1 the responsibilities are the weights of the rows and the entropy is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import entr, logsumexp

from emframe.core import Degenerate
from emframe.engines import Workspace
from emframe.families import LOG_ZERO, NoDensity
from emframe.latents.base import BlockPosterior
from emframe.spaces import Array

# Totals of a row between these are exact to rounding, and so is everything made of them, the ratio
# of a weight to a total included: a weight may be as large as 1e100, or as small.
_SMALLEST, _LARGEST = 1e-200, 1e200


def softmax(
    joint: Array, x: Any, weights: Array, work: Workspace, n_starts: int | None = None
) -> BlockPosterior:
    """Responsibilities of a block, in the workspace.

    Parameters
    ----------
    joint : log p(x, z_k), (K, b) or in tiles, which is overwritten.
    n_starts : S where the components are those of several starts, start after start.
    """
    *tiles, k, width = whole = joint.shape
    if joint.size > k * len(x):  # rows that fill up a tile weigh nothing
        weights = np.append(weights, np.zeros(joint.size // k - len(x)))
    weights = weights.reshape(*tiles, width)
    if n_starts is not None:
        joint = joint.reshape(-1, n_starts, k // n_starts, width)
        weights = weights.reshape(-1, 1, width)
    *rows, _, _ = joint.shape
    resp = work("resp", *joint.shape)
    total, share = work("total", *rows, width), work("share", *rows, width)
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        np.add.reduce(np.exp(joint, out=resp), axis=-2, out=total)
        shift: Any = 0.0
        if not (total.min() > _SMALLEST and total.max() < _LARGEST):
            highest = _highest(joint, x, n_starts)
            joint -= highest[..., None, :]
            np.maximum(joint, LOG_ZERO, out=joint)
            np.add.reduce(np.exp(joint, out=resp), axis=-2, out=total)
            shift = _sum(highest, weights, n_starts)
        resp *= np.divide(weights, total, out=share)[..., None, :]
        log_total = _sum(np.log(total, out=total), weights, n_starts)
        # -sum r log r, with log r = joint - log total.
        entropy = log_total - _sum(resp, joint, n_starts)
        if np.isnan(entropy).any():  # a component impossible for a row: 0 times -inf
            np.maximum(joint, LOG_ZERO, out=joint)
            entropy = log_total - _sum(resp, joint, n_starts)
    return BlockPosterior(resp.reshape(whole), shift + log_total, entropy)


def _sum(one: Array, other: Array, n_starts: int | None) -> Any:
    """The sum of their product, of each start where there are several."""
    if n_starts is None:
        return float(np.vdot(one, other))
    axes = "tsw" if one.ndim == 3 else "tskw"  # tiles, starts, components, rows
    return np.einsum(f"{axes},{axes}->s", one, other)


def _highest(joint: Array, x: Any, n_starts: int | None) -> Array:
    """The largest entry of each row, where all are what a log density may be."""
    highest = joint.max(axis=-2)
    if np.isnan(highest).any() or highest.max() > -LOG_ZERO * 1e-100:
        raise NoDensity(f"a component gave a log density of {highest.max()}")
    if highest.min() < LOG_ZERO * 1e-100:
        component = None
        if n_starts is not None:  # of which start: told by its first component
            start = int(highest.min(axis=(0, 2)).argmin())
            component, highest = start * joint.shape[-2], highest[:, start]
        row = int(highest.argmin())
        raise Degenerate(f"a row has density zero under every component: {x[row]}", component)
    return np.asarray(highest)


def bayes(joint: Array) -> tuple[Array, Array]:
    """log sum_k p(x, z_k), (n,), and p(z | x), (n, K), from log p(x, z_k), (n, K).

    A row that is impossible under every component has -inf, and no responsibilities (nan).
    """
    highest = joint.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # a row impossible everywhere: -inf less -inf
        resp = np.exp(joint - highest)
        total = resp.sum(axis=1, keepdims=True)
        resp /= total
        row_loglik = (highest + np.log(total))[:, 0]
    row_loglik[np.isnan(row_loglik)] = -np.inf
    return row_loglik, resp


def tempered(joint: Array, weights: Array, beta: float) -> BlockPosterior:
    """Responsibilities in proportion to p(x, z_k)^beta, (K, n); one-hot for inf."""
    if np.isinf(beta):
        hard = np.eye(joint.shape[1])[joint.argmax(axis=1)]
        return BlockPosterior((hard * weights[:, None]).T, float(joint.max(axis=1) @ weights), 0.0)
    total = logsumexp(beta * joint, axis=1)
    resp = np.exp(beta * joint - total[:, None])
    entropy = float(entr(resp).sum(axis=1) @ weights) / beta
    return BlockPosterior((resp * weights[:, None]).T, float(total @ weights) / beta, entropy)


def drawn(joint: Array, weights: Array, rng: np.random.Generator) -> BlockPosterior:
    """z drawn from its posterior, once for each of a row's whole weight.

    For any z at all log p(x) = log p(x, z) - log p(z | x), so with the surprise of the drawn z,
    -log p(z | x), in the place of the entropy the books balance as exactly as in EM.
    """
    total = logsumexp(joint, axis=1)
    log_resp = joint - total[:, None]
    resp = np.exp(log_resp)
    times = rng.multinomial(weights.astype(int), resp / resp.sum(axis=1, keepdims=True))
    surprise = -float((times * np.where(times > 0, log_resp, 0.0)).sum())
    return BlockPosterior(times.T.astype(float), float(total @ weights), surprise)
