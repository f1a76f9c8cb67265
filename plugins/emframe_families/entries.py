"""The built-in families by name, what they are called elsewhere, and where each is written up.

One known case: scipy's ``nbinom`` is the family "negative-binomial".
"""

from emframe.host import FamilyEntry
from emframe_families.counting.binomial import Binomial
from emframe_families.counting.geometric import Geometric
from emframe_families.counting.multinomial import Multinomial
from emframe_families.counting.negative_binomial import NegativeBinomial
from emframe_families.counting.poisson import Poisson
from emframe_families.factors.analyzers import FactorAnalyzers
from emframe_families.gaussian.gaps import gaussian
from emframe_families.growth import BinomialMixed, LinearMixed, OrdinalMixed, PoissonMixed
from emframe_families.items.bernoulli import Bernoulli
from emframe_families.items.categorical import Categorical
from emframe_families.noise.uniform import Uniform
from emframe_families.positive.exponential import Exponential
from emframe_families.positive.gamma import Gamma
from emframe_families.positive.inverse_gaussian import InverseGaussian
from emframe_families.positive.lognormal import Lognormal
from emframe_families.positive.weibull import Weibull
from emframe_families.real.laplace import Laplace
from emframe_families.real.normal import Normal
from emframe_families.regressions.beta import BetaRegression
from emframe_families.regressions.binomial import BinomialRegression
from emframe_families.regressions.gamma import ExponentialRegression, GammaRegression
from emframe_families.regressions.gaussian import GaussianRegression
from emframe_families.regressions.lognormal import LognormalRegression
from emframe_families.regressions.multinomial import MultinomialRegression
from emframe_families.regressions.negative_binomial import NegativeBinomialRegression
from emframe_families.regressions.ordinal import OrdinalRegression
from emframe_families.regressions.poisson import PoissonRegression
from emframe_families.regressions.student import StudentRegression
from emframe_families.regressions.weibull import WeibullRegression
from emframe_families.student.gaps import student_t
from emframe_families.unit.beta import Beta
from emframe_families.unit.dirichlet import Dirichlet

FAMILIES = [
    FamilyEntry(
        "gaussian",
        gaussian,
        "Normal rows; covariance full, diag, spherical, tied, or any of mclust's fourteen",
        "McLachlan and Peel (2000), Finite Mixture Models, chapter 3",
        synonyms=(
            ("mclust", "VVV"),
            ("mixtools", "mvnormalmixEM"),
            ("flexmix", "FLXMCmvnorm"),
            ("scipy", "multivariate_normal"),
            ("also", "mvn"),
            ("also", "multivariate-normal"),
            ("also", "gauss"),
        ),
    ),
    FamilyEntry(
        "bernoulli",
        Bernoulli,
        "Independent binary columns (latent class analysis)",
        "Bishop (2006), Pattern Recognition and Machine Learning, section 9.3.3",
        synonyms=(
            ("flexmix", "FLXMCmvbinary"),
            ("scipy", "bernoulli"),
            ("Stata", "gsem, lclass: logit"),
            ("also", "binary"),
            ("also", "latent-class"),
        ),
    ),
    FamilyEntry(
        "categorical",
        Categorical,
        "Independent columns of codes without an order (latent class analysis)",
        "Goodman (1974), Biometrika 61, 215",
        synonyms=(
            ("also", "poLCA"),
            ("also", "lca"),
            ("Stata", "gsem, lclass: mlogit"),
        ),
    ),
    FamilyEntry(
        "poisson",
        Poisson,
        "Independent columns of counts",
        "McLachlan and Peel (2000), Finite Mixture Models, section 5.3",
        synonyms=(
            ("flexmix", "FLXMCmvpois"),
            ("scipy", "poisson"),
            ("Stata", "fmm: poisson"),
        ),
    ),
    FamilyEntry(
        "student-t",
        student_t,
        "Rows with heavy tails; as gaussian, with degrees of freedom",
        "Peel and McLachlan (2000), Statistics and Computing 10, 339",
        synonyms=(
            ("scipy", "multivariate_t"),
            ("scipy", "t"),
            ("also", "student"),
            ("also", "teigen"),
        ),
    ),
    FamilyEntry(
        "factor-analysis",
        FactorAnalyzers,
        "Real columns with a few factors behind them (factor analyzers, or probabilistic PCA)",
        "Ghahramani and Hinton (1996); McNicholas and Murphy (2008), Stat. Comput. 18, 285",
        synonyms=(
            ("EMMIXmfa", "mfa"),
            ("pgmm", "pgmmEM"),
            ("also", "factor-analyzers"),
            ("also", "mfa"),
            ("also", "ppca"),
        ),
    ),
    FamilyEntry(
        "normal",
        Normal,
        "One normal column: the gaussian family by another name",
        "McLachlan and Peel (2000), Finite Mixture Models, chapter 3",
        synonyms=(
            ("mclust", "V"),
            ("mixtools", "normalmixEM"),
            ("flexmix", "FLXMCnorm1"),
            ("scipy", "norm"),
            ("Stata", "fmm: regress"),
        ),
    ),
    FamilyEntry(
        "laplace",
        Laplace,
        "Independent columns with a peak and heavy tails",
        "Franczak, Browne and McNicholas (2014), IEEE TPAMI 36, 1149",
        synonyms=(
            ("scipy", "laplace"),
            ("also", "double-exponential"),
        ),
    ),
    FamilyEntry(
        "exponential",
        Exponential,
        "Independent columns of waiting times without memory",
        "Everitt and Hand (1981), Finite Mixture Distributions, section 3.1",
        synonyms=(
            ("mixtools", "expRMM_EM"),
            ("scipy", "expon"),
            ("Stata", "fmm: streg, distribution(exponential)"),
            ("also", "exp"),
        ),
    ),
    FamilyEntry(
        "gamma",
        Gamma,
        "Independent columns above 0, by shape and rate",
        "Minka (2002), Estimating a gamma distribution",
        synonyms=(
            ("mixtools", "gammamixEM"),
            ("flexmix", 'FLXMRglm(family = "Gamma")'),
            ("scipy", "gamma"),
            ("Stata", "fmm: glm, family(gamma)"),
        ),
    ),
    FamilyEntry(
        "weibull",
        Weibull,
        "Independent columns of times to failure, by shape and scale",
        "Cohen (1965), Technometrics 7, 579",
        synonyms=(
            ("mixtools", "weibullRMM_SEM"),
            ("scipy", "weibull_min"),
            ("Stata", "fmm: streg, distribution(weibull)"),
        ),
    ),
    FamilyEntry(
        "lognormal",
        Lognormal,
        "Columns above 0 whose logarithms are jointly normal",
        "Aitchison and Brown (1957), The Lognormal Distribution",
        synonyms=(
            ("scipy", "lognorm"),
            ("Stata", "fmm: streg, distribution(lognormal)"),
            ("also", "log-normal"),
        ),
    ),
    FamilyEntry(
        "inverse-gaussian",
        InverseGaussian,
        "Independent columns of first passage times, by mean and shape",
        "Tweedie (1957), Ann. Math. Stat. 28, 362",
        synonyms=(
            ("scipy", "invgauss"),
            ("also", "wald"),
        ),
    ),
    FamilyEntry(
        "beta",
        Beta,
        "Independent columns of shares between 0 and 1",
        "Ji, Wu, Liu, Wang and Coombes (2005), Bioinformatics 21, 2118",
        synonyms=(
            ("scipy", "beta"),
            ("Stata", "fmm: betareg"),
        ),
    ),
    FamilyEntry(
        "dirichlet",
        Dirichlet,
        "Compositions: shares that sum to 1",
        "Minka (2000), Estimating a Dirichlet distribution",
        synonyms=(
            ("scipy", "dirichlet"),
            ("also", "compositional"),
        ),
    ),
    FamilyEntry(
        "negative-binomial",
        NegativeBinomial,
        "Independent columns of counts more spread than Poisson's",
        "Anscombe (1950), Biometrika 37, 358",
        synonyms=(
            ("flexmix", "countreg::FLXMRnegbin"),
            ("scipy", "nbinom"),
            ("Stata", "fmm: nbreg"),
            ("also", "negbin"),
            ("also", "nb"),
        ),
    ),
    FamilyEntry(
        "geometric",
        Geometric,
        "Independent columns of failures before the first success",
        "Johnson, Kemp and Kotz (2005), Univariate Discrete Distributions, chapter 5",
        synonyms=(("scipy", "geom"),),
    ),
    FamilyEntry(
        "binomial",
        Binomial,
        "Independent columns of successes among known trials",
        "Blischke (1964), JASA 59, 510",
        synonyms=(
            ("flexmix", 'FLXMRglm(family = "binomial")'),
            ("scipy", "binom"),
            ("Stata", "fmm: glm, family(binomial)"),
        ),
    ),
    FamilyEntry(
        "multinomial",
        Multinomial,
        "How often each category came up, given the total",
        "Nigam, McCallum, Thrun and Mitchell (2000), Machine Learning 39, 103",
        synonyms=(
            ("mixtools", "multmixEM"),
            ("scipy", "multinomial"),
        ),
    ),
    FamilyEntry(
        "uniform",
        Uniform,
        "Noise: one density for all rows, over the volume of the data or as it is given",
        "Banfield and Raftery (1993), Biometrics 49, 803",
        synonyms=(
            ("mclust", "noise"),
            ("scipy", "uniform"),
            ("also", "noise"),
        ),
    ),
    FamilyEntry(
        "gaussian-regression",
        GaussianRegression,
        "A normal response on a line in other columns",
        "DeSarbo and Cron (1988), J. Classification 5, 249",
        synonyms=(
            ("mixtools", "regmixEM"),
            ("flexmix", "FLXMRglm"),
            ("Stata", "fmm: regress"),
            ("also", "normal-regression"),
            ("also", "linear-regression"),
        ),
    ),
    FamilyEntry(
        "poisson-regression",
        PoissonRegression,
        "A count whose log rate is linear in other columns",
        "Wang, Puterman, Cockburn and Le (1996), Biometrics 52, 381",
        synonyms=(
            ("mixtools", "poisregmixEM"),
            ("flexmix", 'FLXMRglm(family = "poisson")'),
            ("Stata", "fmm: poisson"),
        ),
    ),
    FamilyEntry(
        "binomial-regression",
        BinomialRegression,
        "Successes among trials, their log odds linear in other columns",
        "Follmann and Lambert (1989), JASA 84, 295",
        synonyms=(
            ("mixtools", "logisregmixEM"),
            ("flexmix", 'FLXMRglm(family = "binomial")'),
            ("Stata", "fmm: logit"),
            ("also", "logistic-regression"),
            ("also", "logit"),
        ),
    ),
    FamilyEntry(
        "negative-binomial-regression",
        NegativeBinomialRegression,
        "A count more spread than Poisson's, whose log mean is linear in other columns",
        "Lawless (1987), Canadian J. Statistics 15, 209",
        synonyms=(
            ("flexmix", "countreg::FLXMRnegbin"),
            ("Stata", "fmm: nbreg"),
            ("also", "negbin-regression"),
            ("also", "nbreg"),
        ),
    ),
    FamilyEntry(
        "gamma-regression",
        GammaRegression,
        "A gamma response whose log mean is linear in other columns",
        "McCullagh and Nelder (1989), Generalized Linear Models, chapter 8",
        synonyms=(
            ("flexmix", 'FLXMRglm(family = "Gamma")'),
            ("Stata", "fmm: glm, family(gamma)"),
        ),
    ),
    FamilyEntry(
        "exponential-regression",
        ExponentialRegression,
        "An exponential response whose log mean is linear in other columns",
        "Feigl and Zelen (1965), Biometrics 21, 826",
        synonyms=(("Stata", "fmm: streg, distribution(exponential)"),),
    ),
    FamilyEntry(
        "weibull-regression",
        WeibullRegression,
        "A time to failure whose log scale is linear in other columns",
        "Kalbfleisch and Prentice (2002), Statistical Analysis of Failure Time Data, 2.3",
        synonyms=(
            ("Stata", "fmm: streg, distribution(weibull)"),
            ("also", "survreg"),
            ("also", "aft"),
        ),
    ),
    FamilyEntry(
        "lognormal-regression",
        LognormalRegression,
        "A response whose logarithm is normal on a line in other columns",
        "Lawless (2003), Statistical Models and Methods for Lifetime Data, chapter 6",
        synonyms=(("Stata", "fmm: streg, distribution(lognormal)"),),
    ),
    FamilyEntry(
        "beta-regression",
        BetaRegression,
        "A share whose mean has log odds linear in other columns",
        "Ferrari and Cribari-Neto (2004), J. Applied Statistics 31, 799",
        synonyms=(
            ("flexmix", "betareg::betamix"),
            ("Stata", "fmm: betareg"),
            ("also", "betareg"),
        ),
    ),
    FamilyEntry(
        "multinomial-regression",
        MultinomialRegression,
        "One of several answers, its log odds against the first linear in other columns",
        "McFadden (1974), in Zarembka, Frontiers in Econometrics, 105",
        synonyms=(
            ("flexmix", "FLXMRmultinom"),
            ("Stata", "fmm: mlogit"),
            ("also", "multinomial-logit"),
            ("also", "mlogit"),
            ("also", "multinom"),
        ),
    ),
    FamilyEntry(
        "ordinal-regression",
        OrdinalRegression,
        "Grades in order, their cumulative log odds linear in other columns",
        "McCullagh (1980), JRSS B 42, 109",
        synonyms=(
            ("Stata", "fmm: ologit"),
            ("also", "ordinal"),
            ("also", "ordinal-logit"),
            ("also", "ologit"),
            ("also", "polr"),
        ),
    ),
    FamilyEntry(
        "student-t-regression",
        StudentRegression,
        "A response with heavy tails on a line in other columns",
        "Lange, Little and Taylor (1989), JASA 84, 881",
        synonyms=(
            ("also", "t-regression"),
            ("also", "robust-regression"),
        ),
    ),
    FamilyEntry(
        "linear-mixed",
        LinearMixed,
        "Trajectories of people with random effects (growth mixtures); rows in runs",
        "Verbeke and Lesaffre (1996), JASA 91, 217; Laird and Ware (1982), Biometrics 38, 963",
        synonyms=(("lcmm", "hlme"), ("flexmix", "FLXMRlmm"), ("also", "growth")),
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
    FamilyEntry(
        "ordinal-mixed",
        OrdinalMixed,
        "Grades of people over time, by cumulative links with a random effect; rows in runs",
        "Hedeker and Gibbons (1994), Biometrics 50, 933",
        synonyms=(("ordinal", "clmm"), ("lcmm", "lcmm")),
    ),
]
