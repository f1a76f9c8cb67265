"""Whose claim it is that data lie in a space, for messages where some do not."""

from __future__ import annotations

from dataclasses import dataclass

from emframe.spaces.base import Space


@dataclass(frozen=True)
class Claim:
    """A space that rows have to lie in, and whose claim that is."""

    space: Space
    owner: str  # "the family 'poisson'"
    gaps: str = ""  # what can be done about missing values but to do without their rows
