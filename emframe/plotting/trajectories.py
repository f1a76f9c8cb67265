"""Curves of components over the courses of people, thin lines in their component's colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emframe.fitting.courses import sources
from emframe.plotting.scene import Scene
from emframe.plotting.style import above, blended, dash, hues, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PEOPLE = 200  # whose courses are shown; of more, every so many-th
GRID = 60  # points of a curve
LEVEL = 0.95


def trajectories(scene: Scene, ax: Axes) -> None:
    """The mean curve of each component along the first covariate, the others at their means.

    A band is the 95 % interval of the curve where standard errors were given, and else holds 95 %
    of the component's people.

    Raises ValueError without people, TypeError for a family without a response.
    """
    if scene.runs is None or scene.run_resp is None or scene.x is None:
        raise ValueError("trajectories are of people; pass them: fit.plot(X, 'trajectories').")
    fit, columns = scene.fit, scene.fit.columns
    if not scene.covariates or scene.family is None:
        raise ValueError(f"{fit.model.title()} is given no column along which a curve could run.")
    response = scene.family.course()[0]
    along, *others = sources(fit)
    at = scene.column(along).astype(float)
    colours = hues(ax, scene.k)
    shades = blended(scene.run_resp, colours)
    stride = -(-len(scene.runs) // MOST_PEOPLE)
    for run in range(0, len(scene.runs), stride):
        first = scene.runs.firsts[run]
        mine = np.arange(first, first + scene.runs.lengths[run])
        mine = mine[np.argsort(at[mine], kind="stable")]
        ax.plot(
            at[mine], scene.runs.x[mine, response], "." if len(mine) == 1 else "-",
            color=shades[run], lw=0.7, ms=3, alpha=0.35,
        )  # fmt: skip
    times = np.linspace(at.min(), at.max(), GRID)
    found = fit.trajectories(
        times,
        given={name: scene.usual(name) for name in others},
        column=along,
        interval=LEVEL,
        errors=scene.errors,
    )
    low, high = (found.low, found.high) if found.lower is None else (found.lower, found.upper)
    assert high is not None  # both ends or none
    for k, colour in enumerate(colours):
        ax.fill_between(times, low[k], high[k], color=colour, alpha=0.12, lw=0)
        ax.plot(
            times, found.means[k], color=colour, ls=dash(k), lw=2.2,
            label=f"component {k}, {scene.shares[k]:.0%}",
        )  # fmt: skip
    ax.set(xlabel=along, ylabel=columns[response])
    above(ax, scene.k)
    tidy(ax)
