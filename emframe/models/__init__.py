"""Latent structures that compose families.  Each builds a Q, and so is fitted by the same loop."""

from emframe.data.runs import Sequences
from emframe.latents import MixtureParameters
from emframe.models.base import Covered, Model, observed
from emframe.models.component_model import ComponentModel
from emframe.models.expectation import ComponentPrior, ModelExpectation
from emframe.models.grouped import Grouped
from emframe.models.latent import LatentExpectation, LatentModel, Posterior
from emframe.models.mixture import Mixture
from emframe.models.mixture_parts import composed
from emframe.models.once import Once

__all__ = [
    "ComponentModel",
    "ComponentPrior",
    "Covered",
    "Grouped",
    "LatentExpectation",
    "LatentModel",
    "Mixture",
    "MixtureParameters",
    "Model",
    "ModelExpectation",
    "Once",
    "Posterior",
    "Sequences",
    "composed",
    "observed",
]
