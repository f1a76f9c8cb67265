"""Two columns: rows in the colours of their responsibilities, and regions of the components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emframe.plotting.outlines import outlines, spread
from emframe.plotting.scene import Scene
from emframe.plotting.style import blended, dash, hues, legend, marker, tidy
from emframe.spaces import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID = 160
SHARES = (0.5, 0.9)
MOST_CODES = 12  # that are named along an axis


def plane(scene: Scene, ax: Axes) -> None:
    """Rows in two columns, and the regions that hold half and nine tenths of each component.

    A covariate runs across, and the regions are then bands about the lines of a regression.  Codes
    have no regions: rows stand by them, and along a covariate the share of those with a yes.

    Raises ValueError for another number of columns.
    """
    if len(scene.fit.component_columns) != 2:
        raise ValueError(
            f"a plane has two columns, and this fit has {len(scene.fit.component_columns)}; "
            f"{scene.remedy}."
        )
    colours = hues(ax, scene.k)
    places = sorted((0, 1), key=lambda j: j not in scene.covariates)
    if scene.points is not None:
        x, y = (spread(scene, j, scene.points[:, j]) for j in places)
        scatter(ax, x, y, scene, colours)
    if "codes" in scene.kinds:
        told = _lines(scene, ax, places, colours)
    else:
        told = _regions(scene, ax, places, colours)
    for k, colour in enumerate(colours):
        ax.plot([], [], color=colour, ls=dash(k), marker=marker(k), label=_name(scene, k))
    ax.set(
        xlabel=scene.fit.component_columns[places[0]], ylabel=scene.fit.component_columns[places[1]]
    )
    for j, axis in zip(places, (ax.xaxis, ax.yaxis), strict=True):
        codes = np.unique(scene.drawn[:, j])
        if scene.kinds[j] == "codes" and len(codes) <= MOST_CODES:
            axis.set_ticks(codes)
            name = scene.fit.component_columns[j]
            if name in scene.fit.levels:
                axis.set_ticks(codes, [scene.fit.levels[name][int(code)] for code in codes])
    legend(ax, scene.k, title=told, title_fontsize="small")
    tidy(ax)


def _lines(scene: Scene, ax: Axes, places: list[int], colours: list[str]) -> str:
    """What there is to draw of codes: nothing, or the share of a yes; and what the lines are."""
    drawn = [(k, line) for k in range(scene.k) for line in outlines(scene, k, *places)]
    for k, line in drawn:
        ax.plot(*line.T, color=colours[k], ls=dash(k), lw=1.5)
    column = scene.fit.component_columns[places[1]]
    yes = scene.fit.component_columns.value(column, 1)
    return f"lines are shares of {column} = {yes}" if drawn else ""


def _regions(scene: Scene, ax: Axes, places: list[int], colours: list[str]) -> str:
    """The regions by the density of each component on a grid, and what they hold."""
    across, up = np.meshgrid(*(_grid(scene, j) for j in places))
    grid = np.column_stack([across.ravel(), up.ravel()])[:, places]
    joint = scene.log_joint(grid)
    for k, colour in enumerate(colours):
        levels = sorted({scene.level(k, share) for share in SHARES})
        surface = joint[:, k].reshape(across.shape)
        if np.isfinite(levels).all() and len(levels) == len(SHARES):
            lowest = levels[0] - 1e3  # so that -inf outside the support makes no hole
            ax.contour(
                across, up, np.maximum(surface, lowest), levels=levels, colors=[colour],
                linestyles=[dash(k)], linewidths=1.5,
            )  # fmt: skip
    shares = " and ".join(f"{share:.0%}" for share in SHARES)
    return f"outlines hold {shares}"


def _grid(scene: Scene, j: int) -> Array:
    """Places along a column; whole ones along a count, which has no density between them."""
    low, high = scene.span(j, pad=0.08)
    places = np.linspace(low, high, GRID)
    if scene.kinds[j] != "counts":
        return places
    return np.unique(np.maximum(np.rint(places), scene.drawn[:, j].min()))


def scatter(ax: Axes, x: Array, y: Array, scene: Scene, colours: list[str], **options: Any) -> None:
    """Rows in blended colours, with the marker of the most probable component."""
    resp = np.ones((len(x), 1)) if scene.k == 1 or scene.resp is None else scene.resp
    shade, winner = blended(resp, colours), np.nan_to_num(resp).argmax(axis=1)
    options = {"s": 14.0, "alpha": 0.75, "linewidths": 0.0, **options}
    for k in np.unique(winner):
        mine = winner == k
        ax.scatter(x[mine], y[mine], c=shade[mine], marker=marker(int(k)), **options)


def _name(scene: Scene, k: int) -> str:
    return f"component {k}, {scene.shares[k]:.0%}"
