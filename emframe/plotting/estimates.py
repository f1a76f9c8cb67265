"""Numbers of a table as points on a line, with the interval of each where it has one.

Quantities that are measured alike stand in one panel, and each panel has its own scale: means
beside covariances would hide one of the two.  Of several components each has its hue and marker.

One known case: the middle of an interval of a parameter is its estimate.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emframe.inference import Intervals, StandardErrors
from emframe.plotting.style import MUTED, above, hues, ink, marker, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from emframe.fitting.profiles import Profiles
    from emframe.fitting.tabled import Tabled

MOST = 60  # numbers that can be read


class Shown(NamedTuple):
    """One number: in which panel, on which line, of which component."""

    panel: str
    line: str
    component: int | None
    value: float
    low: float = np.nan
    high: float = np.nan


def errors(found: StandardErrors, ax: Axes) -> None:
    """Each parameter with its 95 % interval."""
    intervals(found.confint(), ax)


def intervals(found: Intervals, ax: Axes) -> None:
    """Each parameter with its interval; a bare point where there is none."""
    at = (_placed(row["parameter"]) for row in found.table)
    ends = ((row["estimate"], row["lower"], row["upper"]) for row in found.table)
    _panels([Shown(*where, *values) for where, values in zip(at, ends, strict=True)], ax)


def terms(found: Tabled, ax: Axes) -> None:
    """Functions of parameters, or of classes, with their 95 % intervals."""
    _panels(
        [
            Shown("", row["term"], row.get("class"), row["estimate"], row["lower"], row["upper"])
            for row in found.rows
        ],
        ax,
    )


def profiles(found: Profiles, ax: Axes) -> None:
    """What the components are beside each other, a panel for each kind of number."""
    rows = zip(found.names, found.values, strict=True)
    points = [
        Shown(name.partition("[")[0], _inside(name), k, float(value))
        for name, values in rows
        for k, value in enumerate(values)
    ]
    _panels(points, ax)


def _placed(name: str) -> tuple[str, str, int | None]:
    """``means[0, x]`` in the panel of the means, on the line x, of component 0."""
    panel, inside = name.partition("[")[0], _inside(name)
    first, _, rest = inside.partition(", ")
    return (panel, rest, int(first)) if first.isdecimal() else (panel, inside, None)


def _inside(name: str) -> str:
    return name.partition("[")[2].removesuffix("]")


def _panels(points: list[Shown], ax: Axes) -> None:
    """A panel below the other for each kind of number, as tall as it has lines.

    Raises ValueError for more lines than can be read.
    """
    panels: dict[str, list[Shown]] = {}
    for point in points:
        panels.setdefault(point.panel, []).append(point)
    lines = {panel: list(dict.fromkeys(one.line for one in own)) for panel, own in panels.items()}
    size = sum(map(len, lines.values()))
    if size > MOST:
        raise ValueError(
            f"{size} lines of numbers are too many to be read in a picture; see to_frame(), and "
            "draw some of them."
        )
    k = 1 + max((one.component or 0 for one in points), default=0)
    ax.set_axis_off()
    gaps = 0.9 * len(panels)  # for the numbers along each axis, in lines
    top, unit = 1.0, 1.0 / (size + gaps)
    for panel, own in panels.items():
        height = len(lines[panel]) * unit
        place = ax.inset_axes((0.0, top - height, 1.0, height))
        top -= height + gaps / len(panels) * unit
        place.set_facecolor(ax.get_facecolor())
        _panel(place, panel, own, lines[panel], k)
    if k > 1:
        colours = hues(ax, k)
        handles = [
            ax.plot([], [], ls="", color=colours[j], marker=marker(j), label=f"component {j}")[0]
            for j in range(k)
        ]
        above(ax, k, handles=handles)


def _panel(ax: Axes, name: str, points: Iterable[Shown], lines: list[str], k: int) -> None:
    colours = hues(ax, k)
    for one in points:
        own = one.component
        colour, mark = (ink(ax), "o") if own is None else (colours[own], marker(own))
        aside = 0.0 if own is None or k == 1 else 0.5 * (own / (k - 1) - 0.5)
        at = lines.index(one.line) + aside
        ax.plot(one.value, at, mark, color=colour, ms=5)
        if np.isfinite(one.low) and np.isfinite(one.high):
            ax.plot([one.low, one.high], [at, at], color=colour, lw=1.5)
    ax.set_yticks(range(len(lines)), [line or name for line in lines])
    ax.set_ylim(len(lines) - 0.4, -0.6)
    if any(lines):
        ax.set_ylabel(name, fontsize="small")
    ax.tick_params(labelsize="small")
    ax.grid(axis="x", color=MUTED, alpha=0.25, lw=0.6)
    tidy(ax)


def height(found: Any) -> float:
    """Inches that a picture of these numbers takes, in a figure of its own."""
    return min(max(2.5, 0.28 * len(found.rows)), 14.0)
