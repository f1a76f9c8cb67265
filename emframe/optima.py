"""Distinct optima among the ends of several starts.

One known case: starts that all end in the same place are one optimum, found that many times.
"""

from __future__ import annotations

from collections.abc import Sequence

# Two runs that end within this, relative to the objective, are taken for the same optimum.
SAME_OPTIMUM = 1e-6


def optima(objectives: Sequence[float]) -> list[tuple[float, int]]:
    """Distinct optima, highest first, each with how often it was found."""
    groups: list[tuple[float, int]] = []
    for value in sorted(objectives, reverse=True):
        if groups and groups[-1][0] - value <= SAME_OPTIMUM * (1.0 + abs(value)):
            groups[-1] = (groups[-1][0], groups[-1][1] + 1)
        else:
            groups.append((value, 1))
    return groups
