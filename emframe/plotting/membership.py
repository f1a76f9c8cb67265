"""How probable each component is along a column that the weights depend on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logsumexp, ndtri

from emframe.data.formulas import Design
from emframe.latents import Gate
from emframe.plotting.scene import Scene
from emframe.plotting.style import above, dash, hues, marker, tidy
from emframe.spaces import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID = 80  # points of a curve
LEVEL = 0.95


def membership(scene: Scene, ax: Axes) -> None:
    """p(z = k | u) along one column of the gate, the others at their means.

    A column of words has a point for each of its values.  Bands are 95 % intervals, by the delta
    method on the log odds, where standard errors were given.

    Raises ValueError without rows, for a model without a gate or a column that it does not read,
    and for a formula, whose columns do not move alone.
    """
    model: Any = scene.fit.model
    gate = getattr(model, "weights", None)
    if not isinstance(gate, Gate) or not gate.columns:
        raise ValueError(f"the weights of {model.title()} depend on no columns.")
    if scene.beside is None or scene.weights is None:
        raise ValueError("the means of covariates are not known; pass rows: fit.plot(X, ...).")
    column = gate.columns[0] if scene.along is None else scene.along
    if column not in gate.columns:
        told = ", ".join(map(repr, gate.columns))
        raise ValueError(f"`column` is {column!r}; the gate reads {told}.")
    place, told_levels = gate.columns.index(column), gate.levels or ()
    levels = [() if isinstance(one, Design) else one for one in told_levels]
    if any(isinstance(one, Design) for one in told_levels):
        raise ValueError(
            f"the gate reads a formula, {gate}, whose columns do not move alone; plot what "
            "fit.prior_proba(frame) gives for a frame of your own."
        )
    sizes = [max(len(one) - 1, 1) for one in levels]
    first, size, words = sum(sizes[:place]), sizes[place], levels[place]
    means = np.average(scene.beside, axis=0, weights=scene.weights)
    own = scene.beside[:, first]
    values: Array = np.linspace(own.min(), own.max(), GRID)
    rows = np.tile(means, (len(words) or GRID, 1))
    rows[:, first : first + size] = np.eye(len(words))[:, 1:] if words else values[:, None]
    at = np.arange(len(words)) if words else values

    def log_odds(params: Any) -> Array:
        log = model.latent.log_prior(params, rows)  # (n, K)
        others = (np.delete(log, k, axis=1) for k in range(log.shape[1]))
        return np.concatenate([log[:, k] - logsumexp(o, axis=1) for k, o in enumerate(others)])

    centre, half = log_odds(scene.fit.params), None
    if scene.errors is not None:
        half = float(ndtri(0.5 + LEVEL / 2)) * scene.errors.derived(log_odds).standard_errors
    for k, colour in enumerate(hues(ax, scene.k)):
        some = slice(k * len(rows), (k + 1) * len(rows))
        middle, label = expit(centre[some]), f"component {k}"
        low, high = (
            (middle, middle)
            if half is None
            else (expit(centre[some] + sign * half[some]) for sign in (-1.0, 1.0))
        )
        if words:
            reach = np.maximum([middle - low, high - middle], 0.0)
            ax.errorbar(at, middle, reach, color=colour, fmt=marker(k), capsize=3, label=label)
            continue
        ax.fill_between(at, low, high, color=colour, alpha=0.15, lw=0)
        ax.plot(at, middle, color=colour, ls=dash(k), lw=2.2, label=label)
    if words:
        ax.set_xticks(at, words)
        ax.set_xlim(-0.5, len(words) - 0.5)
    name = column if isinstance(column, str) else f"x{column}"
    ax.set(xlabel=name, ylabel="probability of the component", ylim=(-0.02, 1.02))
    above(ax, scene.k)
    tidy(ax)
