"""What the author of a family sees.  No concrete family lives here: those are plugins."""

from emframe.families.base import ConjugatePrior, Family, FamilyError
from emframe.families.exponential import ExponentialFamily, Moments
from emframe.families.stack import Stack

__all__ = ["ConjugatePrior", "ExponentialFamily", "Family", "FamilyError", "Moments", "Stack"]
