"""The words of a stack: many points of one model, and what is said of each of them.

Starts are rows: whatever has one value for each of S starts has the axis S first.  A stack is told
points, and tells for each where its EM step leads, how high it is and how the objective slopes.

One known case: of a single start these are what an `Expectation` says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emframe.core import Degenerate
from emframe.families import FamilyError
from emframe.spaces import Array

Mask = NDArray[np.bool_]
Order = NDArray[np.intp]

FAILURES = (Degenerate, FamilyError, np.linalg.LinAlgError)
"""What ends a start and no other."""


class Points(NamedTuple):
    """Parameters of S starts."""

    weights: Array  # (S, K)
    components: Any  # the stacked family's, of S K components, start after start


class Begun(NamedTuple):
    """Starts that are to climb."""

    kinds: tuple[str, ...]  # of all that were drawn
    points: Any  # of those that have a point
    which: Order  # which of them these are
    why: dict[int, str]  # what is wrong with the others
    beyond: tuple[Any, Order] | None = None  # points of the exact stack, and which have these


class StackSums(NamedTuple):
    """What the E-step of S points leaves behind."""

    loglik: Array  # (S,)
    entropy: Array  # (S,)
    counts: Array  # (S, K)
    sums: Any  # the family's, of S K components

    def of(self, starts: Order, k: int) -> StackSums | None:
        """Those of some starts; None where the family's do not come apart."""
        if not hasattr(self.sums, "taken"):
            return None
        each = (starts[:, None] * k + np.arange(k)).ravel()
        own = self.loglik[starts], self.entropy[starts], self.counts[starts]
        return StackSums(*own, self.sums.taken(each))


class Looks(NamedTuple):
    """What one pass says of S points."""

    objective: Array  # (S,), nats; -inf at a point that has none
    log_likelihood: Array  # (S,)
    em: Any  # the points where the EM step leads; where there is none, any
    em_x: Array  # (S, p) its coordinates
    gradient: Array  # (S, p) of the objective, in the same coordinates; 0 where there is none
    sound: Mask  # (S,)
    why: dict[int, str]  # of the points that are not, what is wrong
