"""Latent structures that compose families.  Each builds a Q, and so is fitted by the same loop."""

from emframe.models.base import Model, observed
from emframe.models.grouped import Grouped
from emframe.models.latent import LatentExpectation, LatentModel, Posterior
from emframe.models.mixture import Mixture
from emframe.models.mixture_expectation import MixtureExpectation, MixtureParameters
from emframe.models.sequences import Sequences

__all__ = [
    "Grouped",
    "LatentExpectation",
    "LatentModel",
    "Mixture",
    "MixtureExpectation",
    "MixtureParameters",
    "Model",
    "Posterior",
    "Sequences",
    "observed",
]
