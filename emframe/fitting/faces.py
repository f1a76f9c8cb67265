"""What a result is asked for that lives in a room above it: its faces, each found when asked for.

A fit can be shown, drawn, saved and judged, and none of the rooms that do so is needed to make one.
So a result knows them by name alone, and nothing below imports what is above.

One known case: ``face("summary")(fit)`` is the text of `Fit.summary`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

FACES = {
    "conditional": "emframe.fitting.conditional",
    "derived": "emframe.inference.hypotheses",
    "diagnostics": "emframe.inference.diagnostics",
    "diagnostics_html": "emframe.showing.diagnostics",
    "diagnostics_text": "emframe.showing.diagnostics",
    "errors_table": "emframe.showing.report",
    "forecast": "emframe.fitting.forecasts",
    "observed_means": "emframe.fitting.visits",
    "frame_of": "emframe.showing.parameter_frame",
    "gap": "emframe.fitting.gap",
    "html": "emframe.showing.notebook",
    "hypothesis_test": "emframe.inference.hypotheses",
    "information": "emframe.inference.information",
    "parameter_frame": "emframe.showing.parameter_frame",
    "plot": "emframe.plotting",
    "profiles": "emframe.fitting.profiles",
    "random_effects": "emframe.fitting.courses",
    "residuals": "emframe.inference.residuals",
    "result": "emframe.plotting.results",
    "rows_html": "emframe.showing.notebook",
    "rows_text": "emframe.showing.report",
    "save": "emframe.files.saving",
    "selection_html": "emframe.showing.notebook",
    "selection_table": "emframe.showing.report",
    "standard_errors": "emframe.inference",
    "survival": "emframe.inference.survival",
    "summary": "emframe.showing.report",
    "trajectories": "emframe.fitting.courses",
    "visit_residuals": "emframe.fitting.visits",
    "wald_test": "emframe.inference.hypotheses",
}


def face(name: str) -> Callable[..., Any]:
    """The function of this name, from the room that has it."""
    found: Callable[..., Any] = getattr(import_module(FACES[name]), name)
    return found
