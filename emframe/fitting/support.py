"""The weights of a mixture whose components are given, and which components to give it next.

The log-likelihood is concave in the weights p.  Its second-order expansion at p is a sum of
squares,

    - 1/2 sum_i w_i (sum_k s_ik q_k - 2)^2  +  constant,      s_ik = f_k(x_i) / sum_l p_l f_l(x_i)

to be maximised over q >= 0 with sum 1, and the step towards it is shortened until the
log-likelihood rises (Wang 2007, JRSS B 69, 185).

One known case: with components that exclude each other the weights are the shares of their rows.
"""

from __future__ import annotations

import numpy as np
import scipy
from scipy.special import logsumexp

from emframe.core.tolerance import NOISE, within
from emframe.families import Axes
from emframe.spaces import Array

MOST_STEPS, MOST_HALVINGS = 100, 30
RISE = 0.1  # of the rise that the slope promises, that a step has to keep
STEEP = 1e6  # a ratio of densities from which on the expansion says little
FIRST = 0.05  # the weight that new components get together, where it says little
# Points this near are of one hill: in divergence, or as a share of the box along each axis.
SAME_HILL, SAME_PLACE = 0.1, 0.05
MOST_HILLS = 64


def best_weights(density: Array, rows: Array, start: Array, tol: float) -> tuple[Array, float]:
    """The weights (m,) that maximise the log-likelihood to within `tol` nats, and its value.

    Parameters
    ----------
    density : log densities of the rows under the components, (n, m).
    rows : weights of the rows, (n,).
    start : weights (m,) to start from; the value is not below theirs, but for rounding.
    """
    n = rows.sum()
    weights, best = start, mixed(density, rows, start)
    ratio = _ratio(density, weights)
    if ratio.max() > STEEP:
        new = start == 0
        spread = np.where(new, FIRST / max(int(new.sum()), 1), (1.0 - FIRST) * start)
        spread /= spread.sum()
        if (value := mixed(density, rows, spread)) > best:
            weights, best, ratio = spread, value, _ratio(density, spread)
    for _ in range(MOST_STEPS):
        slope = rows @ ratio - n
        if slope.max() <= tol:
            break
        aim = _expanded(ratio, rows)
        promised = float(slope @ (aim - weights))
        step = 1.0
        for _ in range(MOST_HALVINGS):
            trial = weights + step * (aim - weights)
            value = mixed(density, rows, trial)
            if value >= best + RISE * step * promised - within(NOISE, best):
                break
            step *= 0.5
        else:
            break
        weights, best = trial, value
        ratio = _ratio(density, weights)
    return weights, best


def mixed(density: Array, rows: Array, weights: Array) -> float:
    """The log-likelihood of a mixture with these log densities (n, m) and weights (m,)."""
    return float(rows @ logsumexp(density, axis=1, b=weights))


def hills(axes: Axes, points: Array, values: Array) -> Array:
    """Of points (m, p) the highest, the next highest that is not on its hill, and so on."""
    order = np.argsort(-values, kind="stable")
    span = np.where(axes.high > axes.low, axes.high - axes.low, 1.0)
    found: list[Array] = []
    while len(order) and len(found) < MOST_HILLS:
        top, order = points[order[0]], order[1:]
        found.append(top)
        others = points[order]
        apart = axes.slack(np.broadcast_to(top, others.shape), others) > SAME_HILL
        order = order[apart | (np.abs(others - top) > SAME_PLACE * span).any(axis=1)]
    return np.array(found).reshape(-1, points.shape[1])


def _ratio(density: Array, weights: Array) -> Array:
    """Densities of the components over that of the mixture, (n, m)."""
    total = logsumexp(density, axis=1, b=weights, keepdims=True)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.exp(density - total))


def _expanded(ratio: Array, rows: Array) -> Array:
    """The maximiser (m,) of the second-order expansion, on the simplex.

    A least-squares problem with a sum of 1 is one of non-negative least squares: minimise
    ``|(S - 2) q|^2 + (sum q - 1)^2`` and scale q to sum to 1 (Dax 1990).
    """
    scale = np.sqrt(rows / rows.sum())[:, None]
    square = np.linalg.qr(scale * (np.minimum(ratio, STEEP) - 2.0), mode="r")
    m = ratio.shape[1]
    rows_and_sum = np.vstack([square, np.ones((1, m))])
    aim = np.append(np.zeros(len(square)), 1.0)
    found, _ = scipy.optimize.nnls(rows_and_sum, aim, maxiter=100 * m)
    return np.asarray(found / found.sum())
