"""How far two numbers may differ and still be called equal: the only tolerances of the core.

All are relative, to the numbers compared and to one nat.  The nat is no arbitrary unit: a change
of the data's units adds a constant to a log-likelihood and leaves its differences in nats alone.
"""

from __future__ import annotations

import sys

# A gain below this is no information at all: the last two bits of the objective.
NOISE = 4 * sys.float_info.epsilon
# Below this two objectives cannot be told apart: the rounding of a long pairwise sum, with room.
RESOLUTION = 64 * sys.float_info.epsilon
# An objective is summed from well-conditioned log densities; a fall beyond this is no rounding.
FALL = 1e-9
# Q is computed from moments, which squares the condition number of the data.
IDENTITY = 1e-6
# Information below this share of the complete data's is none: difference quotients of scores err
# by up to 3e-7 of it.
FLAT = 1e-6
# A number that moves by less than this share of its reach along a direction does not depend on it:
# the directions of difference quotients are good to 1e-6.
INDIFFERENT = 1e-4
# A parameter nearer to a limit of its space than this share of its standard error is on it: a
# fit that stops 1e-8 nats below the maximum is 1.4e-4 standard errors from it.
AT_LIMIT = 1e-3
# A point from which Newton's step would gain more than this, nats, is no maximum: it is more than
# a fifth of a standard error away.
SUMMIT = 0.02
# A probability this near to 0 or 1 is at that limit.  One among several that sum to 1 follows the
# others even where it cannot move by itself, by as small a share of itself as theirs.
NOUGHT = 1e-10

# A root of a correlation matrix below this share of the largest is none: hypotheses follow from
# one another.
SINGULAR = 1e-10
# Maxima of nested models this near to each other may be in either order: fits stop 1e-8 nats below.
NESTED = 1e-6


def within(tolerance: float, *numbers: float) -> float:
    """The absolute difference that `tolerance` allows between numbers of this size."""
    return tolerance * (1.0 + max(map(abs, numbers)))
