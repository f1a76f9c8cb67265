"""Many columns: one parameter of each component along them, such as rates or probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emframe.parameters import Leaf, leaves
from emframe.plotting.scene import Scene
from emframe.plotting.style import MUTED, above, dash, hues, marker, tidy
from emframe.spaces import Array, Real

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def profile(scene: Scene, ax: Axes) -> None:
    """The first parameter that has a value for each column, one line for each component.

    Real numbers are shown in standard deviations of their column from its mean, since columns
    may be in different units; so the data are needed for them.

    Raises ValueError where no parameter has a value for each column.
    """
    leaf = profiled(scene)
    if leaf is None:
        raise ValueError(
            f"no parameter of a {scene.fit.model.title()} has a value for each column; use "
            "kind='density', 'plane' or 'pairs'."
        )
    name = leaf.path.rpartition(".")[2]
    values, ends = np.asarray(leaf.value), _ends(scene, leaf)
    if isinstance(leaf.declared.space, Real):
        center, scale = _moments(scene)
        values, ends = (values - center) / scale, [(end - center) / scale for end in ends]
        name += ", standard deviations from the mean"
    k, place = len(values), np.arange(values.shape[1])
    aside = np.linspace(-0.12, 0.12, k) if k > 1 else np.zeros(1)
    for i, colour in enumerate(hues(ax, k)):
        at = place + aside[i]
        ax.plot(
            at, values[i], color=colour, ls=dash(i), marker=marker(i), ms=6, lw=1.5,
            label=f"component {i}, {scene.shares[i]:.0%}" if k == scene.k else f"component {i}",
        )  # fmt: skip
        if ends:
            ax.vlines(at, ends[0][i], ends[1][i], color=colour, lw=1.5, alpha=0.8)
    ax.set_xticks(place, scene.fit.columns)
    if sum(map(len, scene.fit.columns)) > 60:
        ax.tick_params(axis="x", labelrotation=60)
        for text in ax.get_xticklabels():
            text.set_horizontalalignment("right")
            text.set_rotation_mode("anchor")
    if leaf.declared.space.bounded:
        ax.set_ylim(-0.03, 1.03)
    ax.grid(axis="x", color=MUTED, alpha=0.3, lw=0.6)
    ax.set_ylabel(name)
    above(ax, k)
    tidy(ax)


def profiled(scene: Scene) -> Leaf | None:
    """The first parameter that has a value for each column in each component."""
    d = len(scene.fit.columns)
    found = (
        leaf
        for leaf in leaves(scene.fit.params)
        if leaf.declared.axes() == ("K", "d") and np.shape(leaf.value)[1] == d
    )
    return next(found, None)


def _ends(scene: Scene, leaf: Leaf) -> list[Array]:
    """Both ends of the 95 % interval of each value, where standard errors were given."""
    if scene.errors is None:
        return []
    intervals = scene.errors.confint(0.95)
    return [
        next(np.asarray(one.value) for one in leaves(end) if one.path == leaf.path)
        for end in (intervals.lower, intervals.upper)
    ]


def _moments(scene: Scene) -> tuple[Array, Array]:
    """Mean and standard deviation of each column, of the rows or of what the fit draws."""
    x, weights = (scene.drawn, None) if scene.x is None else (scene.x, scene.weights)
    center = np.average(x, axis=0, weights=weights)
    spread = np.sqrt(np.average(np.square(x - center), axis=0, weights=weights))
    return center, np.where(spread > 0, spread, 1.0)
