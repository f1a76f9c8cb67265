"""The criterion of each model of a selection, against the number of components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emframe.plotting.style import MUTED, axes, dash, hues, ink, marker, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from emframe.result import Fit
    from emframe.selection import Selection


def choice(selection: Selection, ax: Axes | None = None) -> Axes:
    """Draw a selection; see `emframe.Selection.plot`."""
    ax = axes(ax, size=(7.0, 4.5))
    groups: dict[str, list[tuple[Fit, float]]] = {}
    for one, value in zip(selection.fits, selection.values, strict=True):
        title = one.model.title()
        groups.setdefault(title.rpartition(", K = ")[0] or title, []).append((one, value))
    numbered = all(hasattr(one.model, "n_components") for one in selection.fits)
    for i, (name, members) in enumerate(groups.items()):
        colour = hues(ax, i + 1)[i]
        at = [getattr(one.model, "n_components", 0) if numbered else i for one, _ in members]
        order = np.argsort(at, kind="stable")
        where, values = np.array(at)[order], np.array([value for _, value in members])[order]
        ax.plot(where, values, color=colour, ls=dash(i), marker=marker(i), ms=6, label=name)
        odd = np.array([bool(one.spurious) or not one.status.usable for one, _ in members])[order]
        ax.plot(where[odd], values[odd], "x", color=ink(ax), ms=11, mew=1.2)
        best = [one is selection.best for one, _ in members]
        if any(best):
            chosen = int(np.argmax(np.array(best)[order]))
            ax.plot(where[chosen], values[chosen], "o", mfc="none", color=ink(ax), ms=14, mew=1.6)
            ax.annotate(
                "lowest", (where[chosen], values[chosen]), (0, -18), textcoords="offset points",
                ha="center", va="top", fontsize="small",
            )  # fmt: skip
    if numbered:
        ax.set_xlabel("number of components")
        ax.set_xticks(sorted({one.model.n_components for one in selection.fits}))  # type: ignore[attr-defined]
    else:
        ax.set_xticks(range(len(groups)), list(groups))
    ax.set_ylabel(selection.label)
    ax.margins(y=0.15)
    ax.grid(axis="y", color=MUTED, alpha=0.25, lw=0.6)
    if len(groups) > 1 and numbered:
        ax.legend(frameon=False, fontsize="small")
    tidy(ax)
    return ax
