"""From a model and data to a `Fit`: starts, the runs from them, and the best sound end."""

from emframe.fitting.estimate import Interrupted, ends, expectation, fit, model_for
from emframe.fitting.optima import Optimum
from emframe.fitting.result import Fit, Start

__all__ = [
    "Fit",
    "Interrupted",
    "Optimum",
    "Start",
    "ends",
    "expectation",
    "fit",
    "model_for",
]
