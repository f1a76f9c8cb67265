"""What a fit leaves of responses: against their means, and against normal quantiles.

Above the marginal residuals, which hold how people differ; below those that are left when all
visits of the person are known.  Each stands beside its quantiles, in standard deviations, over
those of a normal distribution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from emframe.fitting.visits import windows_of
from emframe.plotting.scene import MOST_POINTS, Scene
from emframe.plotting.style import MUTED, hues, ink, tidy
from emframe.spaces import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUPS = 12  # of residuals by their means, through whose own means a line is drawn


def visits(scene: Scene, ax: Axes) -> None:
    """Four panels inside the Axes.

    Raises ValueError without people, TypeError for a family without a response.
    """
    if scene.given is None:
        raise ValueError("residuals are of people; pass them: fit.plot(X, 'visits').")
    found = np.asarray(scene.fit.visit_residuals(scene.given), dtype=float)
    ax.set_axis_off()
    for row, what in enumerate(("marginal", "subject-specific")):
        means, left = found[:, 2 * row], found[:, 2 * row + 1]
        colour, bottom = hues(ax, 2)[row], 0.58 - 0.56 * row
        beside, normal = (ax.inset_axes((x, bottom, 0.41, 0.38)) for x in (0.06, 0.58))
        for panel in (beside, normal):
            panel.set_facecolor(ax.get_facecolor())
            panel.tick_params(labelsize="small")
            tidy(panel)
        _against(beside, means, left, colour)
        beside.set_title(f"{what} residuals", fontsize="small", loc="left")
        _quantiles(normal, left, colour)


def _against(panel: Axes, means: Array, left: Array, colour: str) -> None:
    stride = -(-len(left) // MOST_POINTS)
    panel.plot(means[::stride], left[::stride], ".", color=colour, ms=3, alpha=0.35)
    panel.axhline(0.0, color=MUTED, lw=1.0)
    place = windows_of(means, GROUPS)[1]
    counts = np.bincount(place)
    line = [np.bincount(place, one)[counts > 0] / counts[counts > 0] for one in (means, left)]
    panel.plot(*line, color=ink(panel), lw=1.6)
    panel.set_xlabel("mean", fontsize="small")
    panel.set_ylabel("residual", fontsize="small")


def _quantiles(panel: Axes, left: Array, colour: str) -> None:
    ordered = np.sort(left - left.mean()) / (left.std() or 1.0)
    normal = ndtri((np.arange(len(left)) + 0.5) / len(left))
    panel.plot(normal[[0, -1]], normal[[0, -1]], color=MUTED, lw=1.0)
    stride = -(-len(left) // MOST_POINTS)
    panel.plot(normal[::stride], ordered[::stride], ".", color=colour, ms=3)
    panel.set_xlabel("normal quantile", fontsize="small")
    panel.set_ylabel("residual in deviations", fontsize="small")
