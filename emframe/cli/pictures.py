"""``emframe fit --plot``: the chosen fit with its data, and beside it the choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import emframe
from emframe.messages.extras import extra
from emframe.spaces import Array


def require(path: str) -> None:
    """Refuse, before any work, a kind of file that cannot be drawn.

    Raises ImportError without matplotlib, ValueError for an ending that it does not know.
    """
    agg = extra("matplotlib.backends.backend_agg", "plot", "--plot")
    known = agg.FigureCanvasAgg.get_supported_filetypes()
    if Path(path).suffix.removeprefix(".").lower() not in known:
        raise ValueError(f"--plot {path}: the ending has to be one of {', '.join(sorted(known))}.")


def draw(selection: emframe.Selection, rows: Any, weights: Array | None, path: str) -> None:
    """Write a picture: the best fit, and with several models the criterion of each."""
    from matplotlib.figure import Figure

    several = len(selection.fits) > 1
    figure = Figure(figsize=(12.5 if several else 7.5, 5.5), layout="constrained", dpi=120)
    if several:
        left, right = figure.subplots(1, 2, width_ratios=[3, 2])
        selection.plot(ax=right)
    else:
        left = figure.subplots()
    selection.best.plot(rows, ax=left, weights=weights)
    left.set_title(selection.best.model.title(), loc="left", fontsize="medium", pad=24)
    figure.savefig(path)
