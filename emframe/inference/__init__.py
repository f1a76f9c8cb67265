"""How sure a fit is: standard errors, intervals, the information behind them, the bootstrap."""

from emframe.inference.diagnostics import Diagnostics
from emframe.inference.hypotheses import HypothesisTest
from emframe.inference.information import Information
from emframe.inference.resampling import LikelihoodRatioTest, bootstrap_lrt
from emframe.inference.standard_errors import (
    METHODS,
    Intervals,
    Regularity,
    StandardErrors,
    standard_errors,
)

__all__ = [
    "METHODS",
    "Diagnostics",
    "HypothesisTest",
    "Information",
    "Intervals",
    "LikelihoodRatioTest",
    "Regularity",
    "StandardErrors",
    "bootstrap_lrt",
    "standard_errors",
]
