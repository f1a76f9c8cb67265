"""Many columns: one parameter of each component along them, such as rates or probabilities.

A number for each column is a point on a line; shares that sum to 1 in each are a stack of bars.
"""

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

    Where that is a probability for each of several answers, there is a stack of bars for each
    component, the last answer on top and in the full colour.

    Real numbers are shown in standard deviations of their column from its mean, since columns
    may be in different units; so the data are needed for them.

    Raises ValueError where no parameter has a value for each column, and for errors of stacks.
    """
    leaf = scene.profiled
    if leaf is None:
        raise ValueError(
            f"no parameter of a {scene.fit.model.title()} has a value for each column; "
            f"{scene.remedy}."
        )
    name, place = leaf.path.rpartition(".")[2], np.arange(len(scene.fit.component_columns))
    if leaf.declared.space.n_event_axes:
        _stacks(scene, leaf, ax)
        return
    values, ends = np.asarray(leaf.value), _ends(scene, leaf)
    if isinstance(leaf.declared.space, Real):
        center, scale = _moments(scene)
        values, ends = (values - center) / scale, [(end - center) / scale for end in ends]
        name += ", standard deviations from the mean"
    k = len(values)
    aside = np.linspace(-0.12, 0.12, k) if k > 1 else np.zeros(1)
    for i, colour in enumerate(hues(ax, k)):
        at = place + aside[i]
        ax.plot(
            at, values[i], color=colour, ls=dash(i), marker=marker(i), ms=6, lw=1.5,
            label=_named(scene, i, k),
        )  # fmt: skip
        if ends:
            ax.vlines(at, ends[0][i], ends[1][i], color=colour, lw=1.5, alpha=0.8)
    _columns(scene, ax)
    if leaf.declared.space.bounded:
        ax.set_ylim(-0.03, 1.03)
    ax.grid(axis="x", color=MUTED, alpha=0.3, lw=0.6)
    ax.set_ylabel(name)
    above(ax, k)
    tidy(ax)


def _stacks(scene: Scene, leaf: Leaf, ax: Axes) -> None:
    """Shares (K, d, m) of m answers in each column, a stack for each component."""
    if scene.errors is not None:
        raise ValueError("stacks of shares show no intervals; leave `errors` out, or print them.")
    values = np.asarray(leaf.value)
    k, d, m = values.shape
    bottom, width = np.cumsum(values, axis=2) - values, 0.8 / k
    for i, colour in enumerate(hues(ax, k)):
        at = np.arange(d) + (i - 0.5 * (k - 1)) * width
        for answer in range(m):
            ax.bar(
                at, values[i, :, answer], 0.9 * width, bottom[i, :, answer], color=colour,
                alpha=(answer + 1) / m, label=_named(scene, i, k) if answer == m - 1 else None,
            )  # fmt: skip
            _told(scene, ax, at, values[i, :, answer], bottom[i, :, answer], answer)
    _columns(scene, ax)
    ax.set_ylim(0.0, 1.0)
    named = set(scene.fit.component_columns) <= set(scene.fit.levels)
    order = "" if named else f", from answer 0 up to answer {m - 1}"
    ax.set_ylabel(leaf.path.rpartition(".")[2] + order)
    above(ax, k)
    tidy(ax)


def _told(scene: Scene, ax: Axes, at: Array, height: Array, bottom: Array, code: int) -> None:
    """What a code stands for, within its bar where there is room for it."""
    for j, column in enumerate(scene.fit.component_columns):
        if column in scene.fit.levels and height[j] > 0.06:
            name = scene.fit.component_columns.value(column, code)
            ax.text(at[j], bottom[j] + height[j] / 2, name, ha="center", va="center", fontsize=7)


def _columns(scene: Scene, ax: Axes) -> None:
    """The names of the columns under the picture, slanted where they are long."""
    columns = scene.fit.component_columns
    of_values = scene.profiled is not None and scene.profiled.declared.space.n_event_axes
    names = columns if of_values else columns.shown("")
    ax.set_xticks(np.arange(len(columns)), names)
    if sum(map(len, scene.fit.component_columns)) > 60:
        ax.tick_params(axis="x", labelrotation=60)
        for text in ax.get_xticklabels():
            text.set_horizontalalignment("right")
            text.set_rotation_mode("anchor")


def _named(scene: Scene, i: int, k: int) -> str:
    return f"component {i}, {scene.shares[i]:.0%}" if k == scene.k else f"component {i}"


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
