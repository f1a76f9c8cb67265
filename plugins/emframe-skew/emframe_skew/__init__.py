"""Skew normal and skew t families, of any number of columns."""

from __future__ import annotations

from emframe import FamilyEntry, hookimpl
from emframe_skew.normal import SkewNormal, SkewNormalParameters
from emframe_skew.student import SkewT, SkewTParameters

__all__ = ["SkewNormal", "SkewNormalParameters", "SkewT", "SkewTParameters"]


@hookimpl
def emframe_families() -> list[FamilyEntry]:
    """What this plugin brings."""
    return [
        FamilyEntry(
            "skew-normal",
            SkewNormal,
            "Real columns with longer tails on one side",
            "Azzalini and Dalla Valle (1996), Biometrika 83, 715",
        ),
        FamilyEntry(
            "skew-t",
            SkewT,
            "Real columns with longer and heavier tails on one side",
            "Azzalini and Capitanio (2003), JRSS B 65, 367",
        ),
    ]
