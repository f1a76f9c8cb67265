"""The families, models and accelerations that come with emframe.

They reach the library by the road a third party's do: this module is named in the entry-point
group ``emframe`` and hands over its entries through the hooks.  emframe itself imports none of it.
"""

from emframe.core import QuasiNewton, Squarem
from emframe.host import AccelerationEntry, FamilyEntry, ModelEntry, hookimpl
from emframe_families.bernoulli import Bernoulli
from emframe_families.binomial_regression import BinomialRegression
from emframe_families.categorical import Categorical
from emframe_families.counting.binomial import Binomial
from emframe_families.counting.geometric import Geometric
from emframe_families.counting.multinomial import Multinomial
from emframe_families.counting.negative_binomial import NegativeBinomial
from emframe_families.factor_analysis import FactorAnalysis
from emframe_families.gaussian_gaps import gaussian
from emframe_families.gaussian_regression import GaussianRegression
from emframe_families.gene_counting import GeneCounting
from emframe_families.hidden_markov import HiddenMarkov
from emframe_families.incomplete_gaussian import IncompleteGaussian
from emframe_families.noise.uniform import Uniform
from emframe_families.poisson import Poisson
from emframe_families.poisson_regression import PoissonRegression
from emframe_families.positive.exponential import Exponential
from emframe_families.positive.gamma import Gamma
from emframe_families.positive.inverse_gaussian import InverseGaussian
from emframe_families.positive.lognormal import Lognormal
from emframe_families.positive.weibull import Weibull
from emframe_families.real.laplace import Laplace
from emframe_families.real.normal import Normal
from emframe_families.regressions.beta import BetaRegression
from emframe_families.regressions.gamma import ExponentialRegression, GammaRegression
from emframe_families.regressions.lognormal import LognormalRegression
from emframe_families.regressions.multinomial import MultinomialRegression
from emframe_families.regressions.negative_binomial import NegativeBinomialRegression
from emframe_families.regressions.ordinal import OrdinalRegression
from emframe_families.regressions.student import StudentRegression
from emframe_families.regressions.weibull import WeibullRegression
from emframe_families.student import StudentT
from emframe_families.unit.beta import Beta
from emframe_families.unit.dirichlet import Dirichlet


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
            "normal",
            Normal,
            "One normal column: the gaussian family by another name",
            "McLachlan and Peel (2000), Finite Mixture Models, chapter 3",
        ),
        FamilyEntry(
            "laplace",
            Laplace,
            "Independent columns with a peak and heavy tails",
            "Franczak, Browne and McNicholas (2014), IEEE TPAMI 36, 1149",
        ),
        FamilyEntry(
            "exponential",
            Exponential,
            "Independent columns of waiting times without memory",
            "Everitt and Hand (1981), Finite Mixture Distributions, section 3.1",
        ),
        FamilyEntry(
            "gamma",
            Gamma,
            "Independent columns above 0, by shape and rate",
            "Minka (2002), Estimating a gamma distribution",
        ),
        FamilyEntry(
            "weibull",
            Weibull,
            "Independent columns of times to failure, by shape and scale",
            "Cohen (1965), Technometrics 7, 579",
        ),
        FamilyEntry(
            "lognormal",
            Lognormal,
            "Columns above 0 whose logarithms are jointly normal",
            "Aitchison and Brown (1957), The Lognormal Distribution",
        ),
        FamilyEntry(
            "inverse-gaussian",
            InverseGaussian,
            "Independent columns of first passage times, by mean and shape",
            "Tweedie (1957), Ann. Math. Stat. 28, 362",
        ),
        FamilyEntry(
            "beta",
            Beta,
            "Independent columns of shares between 0 and 1",
            "Ji, Wu, Liu, Wang and Coombes (2005), Bioinformatics 21, 2118",
        ),
        FamilyEntry(
            "dirichlet",
            Dirichlet,
            "Compositions: shares that sum to 1",
            "Minka (2000), Estimating a Dirichlet distribution",
        ),
        FamilyEntry(
            "negative-binomial",
            NegativeBinomial,
            "Independent columns of counts more spread than Poisson's",
            "Anscombe (1950), Biometrika 37, 358",
        ),
        FamilyEntry(
            "geometric",
            Geometric,
            "Independent columns of failures before the first success",
            "Johnson, Kemp and Kotz (2005), Univariate Discrete Distributions, chapter 5",
        ),
        FamilyEntry(
            "binomial",
            Binomial,
            "Independent columns of successes among known trials",
            "Blischke (1964), JASA 59, 510",
        ),
        FamilyEntry(
            "multinomial",
            Multinomial,
            "How often each category came up, given the total",
            "Nigam, McCallum, Thrun and Mitchell (2000), Machine Learning 39, 103",
        ),
        FamilyEntry(
            "uniform",
            Uniform,
            "Noise: one density for all rows, over the volume of the data or as it is given",
            "Banfield and Raftery (1993), Biometrics 49, 803",
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
            "negative-binomial-regression",
            NegativeBinomialRegression,
            "A count more spread than Poisson's, whose log mean is linear in other columns",
            "Lawless (1987), Canadian J. Statistics 15, 209",
        ),
        FamilyEntry(
            "gamma-regression",
            GammaRegression,
            "A gamma response whose log mean is linear in other columns",
            "McCullagh and Nelder (1989), Generalized Linear Models, chapter 8",
        ),
        FamilyEntry(
            "exponential-regression",
            ExponentialRegression,
            "An exponential response whose log mean is linear in other columns",
            "Feigl and Zelen (1965), Biometrics 21, 826",
        ),
        FamilyEntry(
            "weibull-regression",
            WeibullRegression,
            "A time to failure whose log scale is linear in other columns",
            "Kalbfleisch and Prentice (2002), Statistical Analysis of Failure Time Data, 2.3",
        ),
        FamilyEntry(
            "lognormal-regression",
            LognormalRegression,
            "A response whose logarithm is normal on a line in other columns",
            "Lawless (2003), Statistical Models and Methods for Lifetime Data, chapter 6",
        ),
        FamilyEntry(
            "beta-regression",
            BetaRegression,
            "A share whose mean has log odds linear in other columns",
            "Ferrari and Cribari-Neto (2004), J. Applied Statistics 31, 799",
        ),
        FamilyEntry(
            "multinomial-regression",
            MultinomialRegression,
            "One of several answers, its log odds against the first linear in other columns",
            "McFadden (1974), in Zarembka, Frontiers in Econometrics, 105",
        ),
        FamilyEntry(
            "ordinal-regression",
            OrdinalRegression,
            "Grades in order, their cumulative log odds linear in other columns",
            "McCullagh (1980), JRSS B 42, 109",
        ),
        FamilyEntry(
            "student-t-regression",
            StudentRegression,
            "A response with heavy tails on a line in other columns",
            "Lange, Little and Taylor (1989), JASA 84, 881",
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
