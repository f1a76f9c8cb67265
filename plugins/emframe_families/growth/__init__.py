"""Growth mixture models: trajectories of people, as linear mixed models and mixtures of them."""

from emframe_families.growth.count_mixed import BinomialMixed, PoissonMixed
from emframe_families.growth.linear_mixed import LinearMixed
from emframe_families.growth.ordinal_mixed import OrdinalMixed

__all__ = ["BinomialMixed", "LinearMixed", "OrdinalMixed", "PoissonMixed"]
