"""More than two columns: a panel for each pair, and each column's density along the diagonal.

The density of a pair is an integral over the other columns, which no family is asked for, so a
component is outlined by rows drawn from it; see ``emframe.plotting.outlines``.  Along the diagonal
stand histograms of those rows, but of a covariate, which no component says anything of, that of the
data alone.

One known case: of Gaussian components the outlines are those of their margins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtri

from emframe.plotting.outlines import ROOM, SHARE, outlines, spread
from emframe.plotting.plane import scatter
from emframe.plotting.scene import MOST_COLUMNS, Scene
from emframe.plotting.style import MUTED, above, dash, hues, marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 28
MOST_MARGIN = 0.25  # of the range of the rows, that outlines may add on either side


def pairs(scene: Scene, ax: Axes) -> None:
    """A square of panels inside the Axes.

    Raises ValueError for more columns than can be read.
    """
    columns = scene.fit.component_columns
    d = len(columns)
    if d > MOST_COLUMNS:
        raise ValueError(
            f"pairs of {d} columns make {d * d} panels; fit fewer columns, or {scene.remedy}."
        )
    colours = hues(ax, scene.k)
    ax.set_axis_off()
    side, gap = 1.0 / d, 0.10 / d
    spans = [_span(scene, j) for j in range(d)]
    for row in range(d):
        for column in range(d):
            panel = ax.inset_axes(
                (column * side + gap / 2, 1.0 - (row + 1) * side + gap / 2, side - gap, side - gap)
            )
            panel.set_facecolor(ax.get_facecolor())
            panel.set_xlim(*spans[column])
            if row == column:
                _margin(scene, panel, column, spans[column], colours)
            else:
                panel.set_ylim(*spans[row])
                _pair(scene, panel, column, row, colours)
            panel.tick_params(labelsize="x-small", length=2)
            panel.locator_params(nbins=3)
            if row == d - 1:
                panel.set_xlabel(columns[column], fontsize="small")
            else:
                panel.set_xticklabels([])
            if column == 0:
                panel.set_ylabel(columns[row], fontsize="small")
            else:
                panel.set_yticklabels([])
            if row == column:
                panel.set_yticks([])
    handles = [
        ax.plot([], [], color=colour, ls=dash(k), marker=marker(k), label=f"component {k}")[0]
        for k, colour in enumerate(colours)
    ]
    if scene.k > 1:
        above(ax, scene.k, handles=handles)


def _span(scene: Scene, j: int) -> tuple[float, float]:
    """The range of a column to show: with the outlines, where they reach beyond the rows."""
    low, high = scene.span(j)
    if scene.kinds[j] == "codes":
        return low - 2.0 * ROOM, high + 2.0 * ROOM
    if scene.kinds[j] == "given":
        return low, high
    most = MOST_MARGIN * (high - low)
    reach = np.sqrt(chdtri(2, 1.0 - SHARE))
    own = [scene.drawn[scene.labels == k, j] for k in range(scene.k)]
    ends = [(x.mean() - reach * x.std(), x.mean() + reach * x.std()) for x in own if len(x) > 2]
    return (
        max(low - most, min([low, *(first for first, _ in ends)])),
        min(high + most, max([high, *(last for _, last in ends)])),
    )


def _margin(
    scene: Scene, panel: Axes, j: int, span: tuple[float, float], colours: list[str]
) -> None:
    """One column: the rows' histogram in grey, the components' as lines, each in its share."""
    edges = np.linspace(*span, BINS + 1)
    width = edges[1] - edges[0]
    if scene.x is not None and scene.weights is not None:
        known = ~np.isnan(scene.x[:, j])
        heights, _ = np.histogram(scene.x[known, j], edges, weights=scene.weights[known])
        panel.stairs(heights / (heights.sum() * width), edges, fill=True, color=MUTED, alpha=0.35)
    if scene.kinds[j] == "given":
        return
    for k, colour in enumerate(colours):
        heights, _ = np.histogram(scene.drawn[scene.labels == k, j], edges)
        panel.stairs(heights / (len(scene.drawn) * width), edges, color=colour, ls=dash(k), lw=1.3)


def _pair(scene: Scene, panel: Axes, across: int, up: int, colours: list[str]) -> None:
    if scene.points is not None:
        x, y = (spread(scene, j, scene.points[:, j]) for j in (across, up))
        scatter(panel, x, y, scene, colours, s=6.0)
    for k, colour in enumerate(colours):
        for line in outlines(scene, k, across, up):
            panel.plot(*line.T, color=colour, ls=dash(k), lw=1.3)
