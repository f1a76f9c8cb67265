"""States over time: how probable each is at each step of a chain, one above the other.

Of one run it is the smoothed probability of each state at each of its rows; of several the mean
over the runs that have come so far, the share of people in each state.

One known case: a chain of one state is a full band.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emframe.plotting.scene import Scene
from emframe.plotting.style import above, hues, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def states(scene: Scene, ax: Axes) -> None:
    """The share of each state at each step.  Raises ValueError without rows, or without a path."""
    if scene.runs is None or scene.run_weights is None:
        raise ValueError("states over time are those of chains; pass their rows: fit.plot(X, ...).")
    runs: Any = scene.runs
    model = scene.fit.model
    if not hasattr(model, "viterbi"):
        raise ValueError(f"the z of a {model.title()} is no path; {scene.remedy}.")
    resp = model.posterior(scene.fit.params, runs)[1]
    step = np.arange(len(resp)) - np.repeat(runs.firsts, runs.lengths)
    each = np.repeat(scene.run_weights, runs.lengths)
    total = np.bincount(step, each)
    shares = [np.bincount(step, each * one) / total for one in resp.T]
    ax.stackplot(
        np.arange(len(total)), shares, colors=hues(ax, scene.k), alpha=0.75, lw=0,
        labels=[f"state {k}" for k in range(scene.k)],
    )  # fmt: skip
    alone = len(runs) == 1
    ax.set(
        xlabel="row" if alone else "step of the run", xlim=(0, max(len(total) - 1, 1)),
        ylim=(0.0, 1.0), ylabel="probability of the state" if alone else "share in the state",
    )  # fmt: skip
    above(ax, scene.k)
    tidy(ax)
