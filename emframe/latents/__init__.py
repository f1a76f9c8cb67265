"""Where z comes from: the part p(z) of a model whose rows are drawn from one of K components.

`one_hot`  z by weights, the same for each row: a mixture
`gated`    z by weights that depend on covariates of the row: a mixture with a gate
`chain`    z by the z of the row before: a hidden Markov model
`gated_chain`  the same with a beginning, or steps, that depend on covariates

A latent and a family make a model; neither knows the other.
"""

from emframe.latents.base import BlockPosterior, Latent
from emframe.latents.chain import Chain, ChainParameters, StationaryParameters
from emframe.latents.gate import Gate
from emframe.latents.gated import Gated
from emframe.latents.gated_chain import GatedChain
from emframe.latents.one_hot import HeldWeights, MixtureParameters, OneHot, held_weights
from emframe.latents.ridge import RIDGE, Ridge, leaves_components

__all__ = [
    "RIDGE",
    "BlockPosterior",
    "Chain",
    "ChainParameters",
    "Gate",
    "Gated",
    "GatedChain",
    "HeldWeights",
    "Latent",
    "MixtureParameters",
    "OneHot",
    "Ridge",
    "StationaryParameters",
    "held_weights",
    "leaves_components",
]
