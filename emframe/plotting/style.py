"""Hues, markers and dashes by which components are told apart, on light paper and on dark.

The hues are those of Okabe and Ito (2008), which colour-blind readers can tell apart, in shades
that stand out from the background; a marker and a dash go with each, so that no picture depends
on hue alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from emframe.messages.extras import extra
from emframe.spaces import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIGHT = ("#0072b2", "#d55e00", "#009e73", "#b3578b", "#b87f00", "#3b9bd6")
DARK = ("#56b4e9", "#e69f00", "#2fc498", "#e5a1c9", "#f0e442", "#ff7f4d")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 2)),
    (0, (1, 1.4)),
    (0, (6, 2, 1, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
MUTED = "#8a8a8a"  # as far from white as from black
MOST_IN_LEGEND = 10


def axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """The Axes that was given, or one in a new figure.

    Raises ImportError where matplotlib is missing, naming the extra.
    """
    if ax is not None:
        return ax
    pyplot = extra("matplotlib.pyplot", "plot", "drawing")
    made: Axes = pyplot.subplots(figsize=size, layout="constrained")[1]
    return made


def is_dark(ax: Axes) -> bool:
    """Whether the background of the Axes is dark."""
    from matplotlib.colors import to_rgba

    *rgb, alpha = to_rgba(ax.get_facecolor())
    if alpha == 0.0:
        figure = ax.get_figure()
        *rgb, _ = to_rgba(figure.get_facecolor() if figure is not None else "white")
    return float(np.dot(rgb, (0.299, 0.587, 0.114))) < 0.5


def ink(ax: Axes) -> str:
    """The colour of what belongs to no component."""
    return "#dddddd" if is_dark(ax) else "#222222"


def hues(ax: Axes, k: int) -> list[str]:
    """A colour for each of K components; they repeat, with other markers and dashes."""
    palette = DARK if is_dark(ax) else LIGHT
    return [palette[i % len(palette)] for i in range(k)]


def marker(k: int) -> str:
    return MARKERS[k % len(MARKERS)]


def dash(k: int) -> Any:
    return DASHES[k % len(DASHES)]


def blended(resp: Array, colours: Sequence[str]) -> Array:
    """The colour of each row, (n, 3): those of the components in the shares of responsibility."""
    from matplotlib.colors import to_rgb

    return np.asarray(np.clip(np.nan_to_num(resp) @ np.array([to_rgb(c) for c in colours]), 0, 1))


def tidy(ax: Axes) -> None:
    """Fewer lines around the picture."""
    ax.spines[["top", "right"]].set_visible(False)


def legend(ax: Axes, k: int, **options: Any) -> None:
    """A legend of components, unless they are too many for one."""
    if k <= MOST_IN_LEGEND:
        ax.legend(frameon=False, fontsize="small", **options)


def above(ax: Axes, k: int, **options: Any) -> None:
    """The legend over the picture, where it hides nothing."""
    legend(ax, k, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(k, 5), **options)
