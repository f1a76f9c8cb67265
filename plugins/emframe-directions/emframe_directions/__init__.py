"""Families of directions: angles, and unit vectors of any dimension."""

from __future__ import annotations

from emframe import FamilyEntry, hookimpl
from emframe_directions.circle import VonMises, VonMisesParameters
from emframe_directions.spaces import Angle, UnitVector
from emframe_directions.sphere import VonMisesFisher, VonMisesFisherParameters

__all__ = [
    "Angle",
    "UnitVector",
    "VonMises",
    "VonMisesFisher",
    "VonMisesFisherParameters",
    "VonMisesParameters",
]


@hookimpl
def emframe_families() -> list[FamilyEntry]:
    """What this plugin brings."""
    return [
        FamilyEntry(
            "von-mises",
            VonMises,
            "One column of angles from -pi to pi",
            "Mardia and Jupp (2000), Directional Statistics, section 3.5.4",
        ),
        FamilyEntry(
            "von-mises-fisher",
            VonMisesFisher,
            "Rows that are unit vectors: directions in space, documents by their words",
            "Banerjee et al. (2005), Journal of Machine Learning Research 6, 1345",
        ),
    ]
