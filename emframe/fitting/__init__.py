"""From a model and data to a `Fit`: starts, the runs from them, and the best sound end."""

from emframe.fitting.ends import ends
from emframe.fitting.estimate import Interrupted, fit, model_for
from emframe.fitting.optima import Optimum
from emframe.fitting.result import Fit, Start
from emframe.fitting.task import expectation

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
