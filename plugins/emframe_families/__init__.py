"""The families, models and accelerations that come with emframe.

They reach the library by the road a third party's do: this module is named in the entry-point
group ``emframe`` and hands over its entries through the hooks.  emframe itself imports none of it.
"""

from emframe.core import QuasiNewton, Squarem
from emframe.host import AccelerationEntry, FamilyEntry, ModelEntry, hookimpl
from emframe_families.bernoulli import Bernoulli
from emframe_families.binomial_regression import BinomialRegression
from emframe_families.categorical import Categorical
from emframe_families.factor_analysis import FactorAnalysis
from emframe_families.gaussian_gaps import gaussian
from emframe_families.gaussian_regression import GaussianRegression
from emframe_families.gene_counting import GeneCounting
from emframe_families.growth import BinomialMixed, LinearMixed, PoissonMixed
from emframe_families.hidden_markov import HiddenMarkov
from emframe_families.incomplete_gaussian import IncompleteGaussian
from emframe_families.poisson import Poisson
from emframe_families.poisson_regression import PoissonRegression
from emframe_families.student import StudentT


@hookimpl
def emframe_families() -> list[FamilyEntry]:
    """The built-in families."""
    return [
        FamilyEntry(
            "gaussian",
            gaussian,
            "Normal rows; covariance full, diag, spherical, tied, or any of mclust's fourteen",
            "McLachlan and Peel (2000), Finite Mixture Models, chapter 3",
        ),
        FamilyEntry(
            "bernoulli",
            Bernoulli,
            "Independent binary columns (latent class analysis)",
            "Bishop (2006), Pattern Recognition and Machine Learning, section 9.3.3",
        ),
        FamilyEntry(
            "categorical",
            Categorical,
            "Independent columns of codes without an order (latent class analysis)",
            "Goodman (1974), Biometrika 61, 215",
        ),
        FamilyEntry(
            "poisson",
            Poisson,
            "Independent columns of counts",
            "McLachlan and Peel (2000), Finite Mixture Models, section 5.3",
        ),
        FamilyEntry(
            "student-t",
            StudentT,
            "Rows with heavy tails; as gaussian, with degrees of freedom",
            "Peel and McLachlan (2000), Statistics and Computing 10, 339",
        ),
        FamilyEntry(
            "gaussian-regression",
            GaussianRegression,
            "A normal response on a line in other columns",
            "DeSarbo and Cron (1988), J. Classification 5, 249",
        ),
        FamilyEntry(
            "poisson-regression",
            PoissonRegression,
            "A count whose log rate is linear in other columns",
            "Wang, Puterman, Cockburn and Le (1996), Biometrics 52, 381",
        ),
        FamilyEntry(
            "binomial-regression",
            BinomialRegression,
            "Successes among trials, their log odds linear in other columns",
            "Follmann and Lambert (1989), JASA 84, 295",
        ),
        FamilyEntry(
            "linear-mixed",
            LinearMixed,
            "Trajectories of people with random effects (growth mixtures); rows in runs",
            "Verbeke and Lesaffre (1996), JASA 91, 217; Laird and Ware (1982), Biometrics 38, 963",
        ),
        FamilyEntry(
            "poisson-mixed",
            PoissonMixed,
            "Counts of people over time, with a random effect; rows in runs",
            "Breslow and Clayton (1993), JASA 88, 9",
        ),
        FamilyEntry(
            "binomial-mixed",
            BinomialMixed,
            "Successes of people over time, with a random effect; rows in runs",
            "Breslow and Clayton (1993), JASA 88, 9",
        ),
    ]


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
