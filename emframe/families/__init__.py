"""What the author of a family sees.  No concrete family lives here: those are plugins."""

from emframe.families.base import ConjugatePrior, Family
from emframe.families.exponential import ExponentialFamily, Moments
from emframe.families.kernel import (
    LOG_ZERO,
    Concluded,
    Densities,
    FamilyError,
    Kernel,
    RowProducts,
    Survey,
    TiledProducts,
)
from emframe.families.stack import Stack

__all__ = [
    "LOG_ZERO",
    "Concluded",
    "ConjugatePrior",
    "Densities",
    "ExponentialFamily",
    "Family",
    "FamilyError",
    "Kernel",
    "Moments",
    "RowProducts",
    "Stack",
    "Survey",
    "TiledProducts",
]
