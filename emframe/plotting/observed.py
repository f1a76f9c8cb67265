"""Mean responses of components in windows, with intervals, beside what their curves expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emframe.plotting.scene import Scene
from emframe.plotting.style import above, dash, hues, marker, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WINDOWS = 10
FEWEST = 1.0  # visits of a component in a window, for it to be shown


def observed(scene: Scene, ax: Axes) -> None:
    """Markers with 95 % intervals for what was observed, lines for what is expected.

    Raises ValueError without people, TypeError for a family without a response.
    """
    if scene.given is None:
        raise ValueError("what was observed is of people; pass them: fit.plot(X, 'observed').")
    fit = scene.fit
    column = None if scene.along is None else str(scene.along)
    found = fit.observed_means(
        scene.given, column=column, windows=WINDOWS, weights=scene.frequencies
    )
    for k, colour in enumerate(hues(ax, scene.k)):
        there = found.visits[k] >= FEWEST
        at, mean = found.at[k, there], found.observed[k, there]
        reach = (mean - found.lower[k, there], found.upper[k, there] - mean)
        ax.plot(at, found.expected[k, there], color=colour, ls=dash(k), lw=2.0)
        ax.errorbar(
            at, mean, yerr=reach, color=colour, ls="none", marker=marker(k), ms=5, capsize=2,
            lw=1.0, label=f"component {k}, {scene.shares[k]:.0%}",
        )  # fmt: skip
    ax.set(xlabel=found.column, ylabel=f"mean of {fit.columns[scene.family.course()[0]]}")
    above(ax, scene.k)
    tidy(ax)
