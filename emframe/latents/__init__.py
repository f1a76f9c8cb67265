"""Where z comes from: the part p(z) of a model whose rows are drawn from one of K components.

`one_hot`  z by weights, the same for each row: a mixture
`chain`    z by the z of the row before: a hidden Markov model

A latent and a family make a model; neither knows the other.
"""

from emframe.latents.base import Latent, Posterior
from emframe.latents.chain import Chain, ChainParameters, StationaryParameters
from emframe.latents.one_hot import HeldWeights, MixtureParameters, OneHot, held_weights

__all__ = [
    "Chain",
    "ChainParameters",
    "HeldWeights",
    "Latent",
    "MixtureParameters",
    "OneHot",
    "Posterior",
    "StationaryParameters",
    "held_weights",
]
