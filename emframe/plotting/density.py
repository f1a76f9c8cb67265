"""One column: the data as a histogram or as bars, the density over it, and its components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emframe.plotting.scene import Scene
from emframe.plotting.style import MUTED, dash, hues, ink, legend, marker, tidy
from emframe.spaces import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID = 512
MOST_MARKERS = 40  # beyond so many values of a count a line shows them better


def density(scene: Scene, ax: Axes) -> None:
    """The density of one column, its components under it, each times its weight.

    Raises ValueError for data of more columns.
    """
    if len(scene.fit.component_columns) != 1:
        raise ValueError(
            f"a density is drawn for one column, and this fit has "
            f"{len(scene.fit.component_columns)}; "
            f"{scene.remedy}."
        )
    grid = _counts(scene) if scene.discrete else np.linspace(*scene.span(0), GRID)
    _data(scene, ax, grid)
    parts = np.exp(scene.log_joint(grid[:, None]))
    markers = scene.discrete and len(grid) <= MOST_MARKERS
    for k, (colour, part) in enumerate(zip(hues(ax, scene.k), parts.T, strict=True)):
        ax.plot(
            grid,
            part,
            color=colour,
            ls=dash(k),
            lw=1.8,
            marker=marker(k) if markers else None,
            ms=4.5,
            label=f"component {k}, {scene.shares[k]:.0%}",
        )
    if scene.k > 1:
        ax.plot(grid, parts.sum(axis=1), color=ink(ax), lw=1.2, zorder=3, label="all")
    ax.set(
        xlabel=scene.fit.component_columns[0], ylabel="probability" if scene.discrete else "density"
    )
    ax.set_ylim(bottom=0.0)
    legend(ax, scene.k)
    tidy(ax)


def _counts(scene: Scene) -> Array:
    low, high = scene.span(0, pad=0.0)
    return np.arange(np.floor(low), np.ceil(high) + 1.0)


def _data(scene: Scene, ax: Axes, grid: Array) -> None:
    """The rows behind the curves, on the same scale."""
    if scene.x is None or scene.weights is None or scene.points is None:
        return
    x, weights = scene.x[:, 0], scene.weights
    if scene.discrete:
        heights = np.bincount((x - grid[0]).astype(int), weights, minlength=len(grid))
        ax.bar(grid, heights / weights.sum(), width=0.85, color=MUTED, alpha=0.35, label="data")
        return
    edges = np.histogram_bin_edges(scene.points[:, 0], bins="fd")
    n_bins = int(np.clip(len(edges) - 1, 12, 80))
    ax.hist(
        x, n_bins, weights=weights, density=True, color=MUTED, alpha=0.35, edgecolor="none",
        label="data",
    )  # fmt: skip
