"""What a check says: a result for the caller, and inside the kit a fault with its evidence."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Literal

import numpy as np

# Two computations of one number may differ by this, relative to the terms that were summed.
SAME = 1e-9


@dataclass(frozen=True)
class CheckResult:
    """The verdict of one check on one family."""

    name: str
    status: Literal["passed", "failed", "skipped"]
    reason: str = ""  # why it failed or was skipped, with the example; empty where it passed

    def __str__(self) -> str:
        return f"{self.name}: {self.status}" + (f"\n{self.reason}" if self.reason else "")


class Fault(AssertionError):
    """A property that does not hold.

    Parameters
    ----------
    expected : what an honest family does.
    found : what this one did.
    culprit : the methods to look at first.
    """

    def __init__(self, expected: str, found: str, culprit: str) -> None:
        super().__init__(f"expected {expected};\nfound {found}.\nLook first at: {culprit}.")


class Inapplicable(Exception):
    """A check that asks nothing of this family, with the reason."""


def agree(one: float, other: float, scale: float, tolerance: float = SAME) -> bool:
    """Whether two numbers are equal up to rounding of terms that sum to `scale` in size."""
    if one == other:
        return True
    return bool(np.isfinite(one) and np.isfinite(other)) and abs(one - other) <= tolerance * scale


def same(
    one: float, other: float, scale: float, expected: str, culprit: str, found: str = ""
) -> None:
    """Raise `Fault` unless two numbers agree."""
    if not agree(one, other, scale):
        gap = f"{one:.12g} and {other:.12g}, {one - other:.3g} nats apart"
        raise Fault(expected, f"{found}: {gap}" if found else gap, culprit)


def told(error: Exception) -> str:
    """An exception in a sentence, with the line that raised it."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} (line {where.lineno} of {where.filename})"
