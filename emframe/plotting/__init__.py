"""Pictures of fits, with matplotlib.

A picture knows no family.  It asks the model for what every model has: the density and the
responsibilities of rows, rows drawn with their labels, and parameters that declare where they
live.  So a family that somebody writes tomorrow is drawn like the ones that are here.

Each picture is drawn on one Axes, which it is given or makes, and returns it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from emframe.fitting.result import Fit
from emframe.inference import StandardErrors
from emframe.plotting.density import density
from emframe.plotting.membership import membership
from emframe.plotting.observed import observed
from emframe.plotting.pairs import pairs
from emframe.plotting.plane import plane
from emframe.plotting.profiles import profile
from emframe.plotting.scene import Scene, scene
from emframe.plotting.simulated import residuals, rootogram
from emframe.plotting.states import states
from emframe.plotting.style import axes
from emframe.plotting.survival import survival
from emframe.plotting.traces import trace
from emframe.plotting.trajectories import trajectories
from emframe.plotting.uncertainty import uncertainty
from emframe.plotting.visits import visits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS: dict[str, Callable[[Scene, Any], None]] = {
    "density": density,
    "plane": plane,
    "pairs": pairs,
    "profile": profile,
    "survival": survival,
    "residuals": residuals,
    "rootogram": rootogram,
    "membership": membership,
    "trajectories": trajectories,
    "observed": observed,
    "visits": visits,
    "states": states,
    "trace": trace,
    "uncertainty": uncertainty,
}
OF_A_COLUMN = ("membership", "residuals", "rootogram", "observed")


def plot(
    fit: Fit,
    X: Any = None,
    kind: str | None = None,
    *,
    ax: Axes | None = None,
    weights: Any = None,
    errors: StandardErrors | None = None,
    column: str | int | None = None,
    rng: Any = 0,
) -> Axes:
    """Draw a fit; see `emframe.Fit.plot`."""
    if isinstance(X, str) and X in KINDS:
        raise TypeError(f"`X` is {X!r}; rows come first: fit.plot(X, {X!r}).")
    if kind is not None and kind not in KINDS:
        raise ValueError(f"`kind` is {kind!r}; expected one of {', '.join(KINDS)}.")
    if column is not None and kind not in OF_A_COLUMN:
        told = ", ".join(map(repr, OF_A_COLUMN))
        raise ValueError(f"`column` goes with kind={told}; `kind` is {kind!r}.")
    shown = replace(scene(fit, X, weights, errors, rng), along=column)
    name = kind or suited(shown)
    canvas = axes(ax, size=(7.5, 7.0) if name == "pairs" else (7.0, 4.5))
    KINDS[name](shown, canvas)
    return canvas


def suited(shown: Scene) -> str:
    """The kind of picture for a number of columns and the space they live in."""
    if shown.has_courses:
        return "trajectories"
    if shown.discrete and len(shown.fit.component_columns) > 1 and shown.profiled is not None:
        return "profile"
    if not shown.possible:
        raise ValueError(f"{shown.remedy}; fit again to draw its starts.")
    return shown.possible[0]
