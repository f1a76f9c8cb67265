"""The criterion of each model of a selection, against its size.

The size is what the model counts: components, or what the entry of an announced model says that
sizes are.

One known case: of hidden Markov models it is the number of states.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emframe.fitting.result import Fit
from emframe.models.remedies import sized
from emframe.plotting.style import MUTED, dash, hues, ink, marker, tidy
from emframe.selecting.selection import Selection

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def choice(selection: Selection, ax: Axes) -> None:
    """The criterion of each model; the lowest is ringed, what is spurious or degenerate crossed."""
    groups: dict[str, list[tuple[Fit, float]]] = {}
    for one, value in zip(selection.fits, selection.values, strict=True):
        groups.setdefault(_kind(one), []).append((one, value))
    sizes = [_size(one) for one in selection.fits]
    numbered = all(size for _, size in sizes)
    for i, (name, members) in enumerate(groups.items()):
        members.sort(key=lambda pair: _size(pair[0])[1])
        at = [_size(one)[1] if numbered else i for one, _ in members]
        values = [value for _, value in members]
        ax.plot(at, values, color=hues(ax, i + 1)[i], ls=dash(i), marker=marker(i), label=name)
        for (one, value), where in zip(members, at, strict=True):
            if one.spurious or not one.status.usable:
                ax.plot(where, value, "x", color=ink(ax), ms=11, mew=1.2)
            if one is selection.best:
                ax.plot(where, value, "o", mfc="none", color=ink(ax), ms=14, mew=1.6)
                ax.annotate(
                    "lowest", (where, value), (0, -18), textcoords="offset points", ha="center",
                    va="top", fontsize="small",
                )  # fmt: skip
    if numbered:
        ax.set_xlabel(f"number of {' or '.join(dict.fromkeys(what for what, _ in sizes))}")
        ax.set_xticks(sorted({size for _, size in sizes}))
    else:
        ax.set_xticks(range(len(groups)), list(groups))
    ax.set_ylabel(selection.label)
    ax.margins(y=0.15)
    ax.grid(axis="y", color=MUTED, alpha=0.25, lw=0.6)
    if len(groups) > 1 and numbered:
        ax.legend(frameon=False, fontsize="small")
    tidy(ax)


def _size(fit: Fit) -> tuple[str, int]:
    """What the model counts, in a word, and how many it has; 0 where it comes in one size."""
    return sized(fit.model)


def _kind(fit: Fit) -> str:
    """The title without what says its size."""
    parts = fit.model.title().split(", ")
    size = f"={_size(fit)[1]}"
    return ", ".join(part for part in parts if not part.replace(" ", "").endswith(size))
