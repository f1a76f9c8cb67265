"""The way up: how far below the highest point each start was, step by step.

On a logarithmic scale a rate of convergence is a slope, and an optimum that is not the best is a
line that levels off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emframe.plotting.scene import Scene
from emframe.plotting.style import MUTED, hues, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOWEST = 1e-9  # nats; below this a gap is drawn as this


def trace(scene: Scene, ax: Axes) -> None:
    """The gap of every start on all rows to the highest objective of all, the best start in colour.

    Raises ValueError where the fit knows no traces, being from a file of an earlier version.
    """
    fit = scene.fit
    starts = [one for one in fit.starts if one.trace and not one.sample]
    if not starts:
        raise ValueError("this fit holds no traces of its starts; fit again to draw them.")
    top = max(max(one.trace) for one in starts)
    groups = (
        ("spurious or degenerate", [s for s in starts if not s.is_regular], MUTED, ":", "x"),
        ("other starts", [s for s in starts if s.is_regular], MUTED, "-", "o"),
        ("the best", [s for s in starts if s.index == fit.best], hues(ax, 2)[1], "-", "o"),
    )
    for name, members, colour, ls, end in groups:
        best = name == "the best"
        for i, one in enumerate(m for m in members if best or m.index != fit.best):
            gap = np.maximum(top - np.array(one.trace), LOWEST)
            ax.plot(gap, color=colour, ls=ls, lw=2.2 if best else 0.9, zorder=3 if best else 2)
            ax.plot(
                len(gap) - 1, gap[-1], end, color=colour, ms=6 if best else 4, zorder=4,
                label=name if i == 0 else None,
            )  # fmt: skip
    ax.set_yscale("log")
    ax.set(xlabel="step", ylabel=f"nats below {top:.3f}")
    ax.legend(frameon=False, fontsize="small")
    tidy(ax)
