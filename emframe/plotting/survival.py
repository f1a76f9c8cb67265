"""The share that lives longer: steps of what rows tell, and the curves of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emframe.inference.survival import Survival
from emframe.plotting.scene import Scene
from emframe.plotting.style import above, dash, hues, ink, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID = 200  # points of a curve


def survival(scene: Scene, ax: Axes) -> None:
    """Kaplan and Meier's steps with their interval, or Turnbull's, and the fit's curve over them.

    Of several components each has its own, in its colour, with rows by their responsibilities.

    Raises ValueError without rows, TypeError for a model of which no row lives for a time.
    """
    if scene.x is None:
        raise ValueError("survival is of rows; pass them: fit.plot(X, 'survival').")
    fit = scene.fit
    steps = fit.survival(scene.x, weights=scene.weights)
    last = float(steps.times[-1]) if len(steps.times) else 1.0
    first = min(0.0, float(steps.times[0])) if len(steps.times) else 0.0
    line = fit.survival(scene.x, np.linspace(first, last, GRID)[1:], weights=scene.weights)
    _drawn(steps, line, ax, first)
    ax.set_xlabel(fit.columns[0])


def curves(found: Survival, ax: Axes) -> None:
    """The same at the times that were asked for."""
    _drawn(found, found, ax, min(0.0, float(found.times[0])) if len(found.times) else 0.0)
    ax.set_xlabel("time")


def _drawn(steps: Survival, line: Survival, ax: Axes, first: float) -> None:
    k = len(steps.weights)
    at = np.concatenate([[first], steps.times])
    whole = np.concatenate([[1.0], steps.observed])
    ax.step(at, whole, where="post", color=ink(ax), lw=1.2, label="observed")
    if steps.low is not None and steps.high is not None:
        low, high = (np.concatenate([[1.0], end]) for end in (steps.low, steps.high))
        ax.fill_between(at, low, high, step="post", color=ink(ax), alpha=0.12, lw=0)
    ax.plot(line.times, line.fitted, color=ink(ax), lw=2.2, alpha=0.6, label="fitted")
    for j, colour in enumerate(hues(ax, k) if k > 1 else ()):
        own = np.concatenate([[1.0], steps.observed_by_component[j]])
        ax.step(at, own, where="post", color=colour, lw=0.9, alpha=0.7)
        ax.plot(
            line.times, line.fitted_by_component[j], color=colour, ls=dash(j), lw=1.8,
            label=f"component {j}, {steps.weights[j]:.0%}",
        )  # fmt: skip
    ax.set(ylabel="share that lives longer", ylim=(0.0, 1.02))
    above(ax, k + 2)
    tidy(ax)
