"""When a run ends: nothing left to gain, or the cap on its steps.

One known case: with a cap of 0 a run ends where it starts.
"""

from __future__ import annotations

from emframe.core import MaxIterations, RemainingGain, Rule
from emframe.messages.arguments import real, whole


def ends(tol: float, max_iter: int) -> list[Rule]:
    """The rules that end a run: nothing left to gain, or the cap on its steps."""
    tol = real("tol", tol, "a number of nats, 0 or above", lambda nats: nats >= 0)
    return [RemainingGain(tol), MaxIterations(whole("max_iter", max_iter, 0))]
