"""Where parameters and data live.

A space says which values belong to it, in words for messages, and gives coordinates: a map from
flat real vectors onto the space and back.  The coordinates are those that steady the variance of
the usual estimates (a rate by its root, a probability by its angle, a simplex by the sphere, a
covariance by its log-Cholesky factor), so a quasi-Newton step or a difference quotient is equally
meaningful everywhere.  Every real vector is mapped into the space, and every value has finite
coordinates, those on the boundary of a closed space included.

One known case: ``UnitInterval().point(angle)`` is ``sin(angle) ** 2``, the arcsine transform of
Bartlett (1947, Biometrics 3, 39).
"""

from emframe.spaces.base import EPS, ROUNDED, Array, Shape, Space, slopes
from emframe.spaces.claims import Claim
from emframe.spaces.columns import ColumnsIn
from emframe.spaces.contrasts import AgainstFirst
from emframe.spaces.ends import Bounds, Ends, TimeAndEvent
from emframe.spaces.groups import Common, Groups
from emframe.spaces.held import HeldSimplex, held_probabilities
from emframe.spaces.matrices import PositiveDefinite, cholesky
from emframe.spaces.missing import OrMissing, OrNothing
from emframe.spaces.numbers import Interval, NonNegative, Positive, Real, Turn, UnitInterval
from emframe.spaces.ordered import Increasing
from emframe.spaces.restricted import Linear, PartlyHeld, Pooled, Restricted, Rising
from emframe.spaces.semidefinite import (
    PackedSemidefinite,
    PositiveSemidefinite,
    packed,
    triangular_root,
    unpacked,
)
from emframe.spaces.simplex import Simplex, Simplexes
from emframe.spaces.unions import AnyOf, Only
from emframe.spaces.whole import Binary, Codes, Integers, NonNegativeInteger, Ranks
from emframe.spaces.within import Within

__all__ = [
    "EPS",
    "ROUNDED",
    "AgainstFirst",
    "AnyOf",
    "Array",
    "Binary",
    "Bounds",
    "Claim",
    "Codes",
    "ColumnsIn",
    "Common",
    "Ends",
    "Groups",
    "HeldSimplex",
    "Increasing",
    "Integers",
    "Interval",
    "Linear",
    "NonNegative",
    "NonNegativeInteger",
    "Only",
    "OrMissing",
    "OrNothing",
    "PackedSemidefinite",
    "PartlyHeld",
    "Pooled",
    "Positive",
    "PositiveDefinite",
    "PositiveSemidefinite",
    "Ranks",
    "Real",
    "Restricted",
    "Rising",
    "Shape",
    "Simplex",
    "Simplexes",
    "Space",
    "TimeAndEvent",
    "Turn",
    "UnitInterval",
    "Within",
    "cholesky",
    "held_probabilities",
    "packed",
    "slopes",
    "triangular_root",
    "unpacked",
]
