"""The families, models and accelerations that come with emframe.

They reach the library by the road a third party's do: this module is named in the entry-point
group ``emframe`` and hands over its entries through the hooks.  emframe itself imports none of it.
"""

from emframe.core import QuasiNewton, Squarem
from emframe.host import AccelerationEntry, FamilyEntry, LatentEntry, ModelEntry, hookimpl
from emframe.latents import Chain, OneHot
from emframe_families.chain.composed import Composed
from emframe_families.chain.hidden_markov import HiddenMarkov
from emframe_families.entries import FAMILIES
from emframe_families.factors.factor_analysis import FactorAnalysis
from emframe_families.gaussian.incomplete import IncompleteGaussian
from emframe_families.genes.gene_counting import GeneCounting


@hookimpl
def emframe_families() -> list[FamilyEntry]:
    """The built-in families."""
    return FAMILIES


@hookimpl
def emframe_models() -> list[ModelEntry]:
    """The built-in models that are not mixtures of a family."""
    return [
        ModelEntry(
            "factor-analysis",
            FactorAnalysis,
            "Factor analysis, and probabilistic PCA with noise='shared'",
            "Rubin and Thayer (1982), Psychometrika 47, 69",
            size="n_factors",
        ),
        ModelEntry(
            "gene-counting",
            GeneCounting,
            "Allele frequencies from phenotypes: ABO blood groups, linkage",
            "Dempster, Laird and Rubin (1977), sections 1 and 4.1.1",
        ),
        ModelEntry(
            "hidden-markov",
            HiddenMarkov,
            "A Markov chain of hidden states over any family",
            "Rabiner (1989), Proc. IEEE 77, 257",
            size="n_states",
        ),
        ModelEntry(
            "composed",
            Composed,
            "Any law of z times any family, by their names",
            "McLachlan and Peel (2000), Finite Mixture Models, section 1.1",
            size="n",
        ),
        ModelEntry(
            "incomplete-gaussian",
            IncompleteGaussian,
            "Normal rows with missing values, and mixtures of them",
            "Little and Rubin (2002), Statistical Analysis with Missing Data, chapter 11",
            size="n_components",
        ),
    ]


@hookimpl
def emframe_accelerations() -> list[AccelerationEntry]:
    """The built-in accelerations."""
    return [
        AccelerationEntry(
            "quasi-newton",
            QuasiNewton,
            "EM as the preconditioner of a quasi-Newton ascent; the default",
            "Jamshidian and Jennrich (1997), JRSS B 59, 569",
        ),
        AccelerationEntry(
            "squarem",
            Squarem,
            "Squared extrapolation of two EM steps",
            "Varadhan and Roland (2008), Scand. J. Statist. 35, 335",
        ),
    ]


@hookimpl
def emframe_latents() -> list[LatentEntry]:
    """The built-in laws of z that need no more than the number of components."""
    return [
        LatentEntry(
            "one-hot",
            OneHot,
            "z by weights, the same for every row: a mixture",
            "McLachlan and Peel (2000), Finite Mixture Models, section 1.6",
        ),
        LatentEntry(
            "chain",
            Chain,
            "z by the z of the row before, along each run: a hidden Markov model",
            "Rabiner (1989), Proc. IEEE 77, 257",
        ),
    ]
