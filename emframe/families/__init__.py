"""What the author of a family sees.  No concrete family lives here: those are plugins."""

from emframe.families.axes import Axes, Curve
from emframe.families.base import (
    Blurred,
    Completed,
    ConjugatePrior,
    Family,
    Stand,
    refuse_empty,
    refuse_kept,
)
from emframe.families.certain import Certain
from emframe.families.conditional import Conditional, of_any_row
from emframe.families.elsewhere import Elsewhere, is_mixed, together
from emframe.families.exponential import ExponentialFamily, Moments
from emframe.families.gaps import Gaps, refuse_inner_gaps
from emframe.families.kernel import (
    LOG_ZERO,
    Concluded,
    Densities,
    FamilyError,
    Kernel,
    NoDensity,
    RowProducts,
    Survey,
    TiledProducts,
)
from emframe.families.matching import distinct, exchanged, fitted, is_alike, likely, matched
from emframe.families.outcomes import Outcome
from emframe.families.patterns import Mask, groups
from emframe.families.pieces import Pieces
from emframe.families.rowwise import rowwise
from emframe.families.shown import ShownProducts
from emframe.families.stack import Stack
from emframe.families.wrapped import Wrapped

__all__ = [
    "LOG_ZERO",
    "Axes",
    "Blurred",
    "Certain",
    "Completed",
    "Concluded",
    "Conditional",
    "ConjugatePrior",
    "Curve",
    "Densities",
    "Elsewhere",
    "ExponentialFamily",
    "Family",
    "FamilyError",
    "Gaps",
    "Kernel",
    "Mask",
    "Moments",
    "NoDensity",
    "Outcome",
    "Pieces",
    "RowProducts",
    "ShownProducts",
    "Stack",
    "Stand",
    "Survey",
    "TiledProducts",
    "Wrapped",
    "distinct",
    "exchanged",
    "fitted",
    "groups",
    "is_alike",
    "is_mixed",
    "likely",
    "matched",
    "of_any_row",
    "refuse_empty",
    "refuse_inner_gaps",
    "refuse_kept",
    "rowwise",
    "together",
]
