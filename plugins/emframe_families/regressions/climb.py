"""Newton's method for the top of one component's Q, from its slope and its bend.

A bend that is no hill's is taken by the sizes of its curvatures, so that a saddle is left and not
sought, and a step is halved until Q rises (Nocedal and Wright 2006, section 3.4).

One known case: where Q is a parabola one step is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from emframe.spaces import Array

STEPS, HALVINGS = 200, 40
SETTLED = 1e-15  # a promised gain that is lost in the rounding of a mean of log densities
CLOSE = 1e-9  # a promised gain so small that Q is a parabola, and its last digits are rounding
ROUNDING = 1e-13
FLATTEST = 1e-12  # of the largest curvature


class Look(NamedTuple):
    """Q at a point, nats, with its first and second derivatives."""

    value: float
    slope: Array  # (m,)
    bend: Array  # (m, m)


def climb(
    look: Callable[[Array], Look], start: Array, reach: Array, steps: int = STEPS
) -> tuple[Array, Look]:
    """The top of Q, or as far as it rises, and what Q is there.

    Parameters
    ----------
    look : Q at a point, with -inf for its value where it has none.
    reach : (m,) how far one step may go along each coordinate.
    steps : how many are taken at most.
    """
    at, here = start, look(start)
    for _ in range(steps if len(start) else 0):
        step = _step(here)
        promised = 0.5 * float(here.slope @ step)
        if not promised > SETTLED:
            break
        step = step / max(1.0, float((np.abs(step) / reach).max()))
        slack = ROUNDING * (1.0 + abs(here.value)) if promised < CLOSE else 0.0
        for halved in range(HALVINGS):
            there = look(at + 0.5**halved * step)
            if there.value > here.value - slack:
                break
        else:
            break
        at, here = at + 0.5**halved * step, there
    return at, here


def _step(here: Look) -> Array:
    """Newton's step, in coordinates of unit curvature; along what is all but flat a long one."""
    scale = np.sqrt(np.abs(np.diagonal(here.bend)))
    scale = np.where(scale > 0.0, scale, 1.0)
    values, vectors = np.linalg.eigh(here.bend / np.outer(scale, scale))
    sizes = np.maximum(np.abs(values), FLATTEST * np.abs(values).max(initial=1e-300))
    return np.asarray(vectors @ ((vectors.T @ (here.slope / scale)) / sizes) / scale)
