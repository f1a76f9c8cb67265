"""The gallery of families, written from what is installed.

    python docs/families.py [PAGE]

A family of another distribution of this repository is shown as soon as it is installed; its
formula and its call, where these are more than its name, stand here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import emframe
from emframe.parameters import leaves

PAGE = Path(__file__).parent / "families.md"

# Which families are shown together, by the first word of what they hold.
KINDS: dict[str, tuple[str, ...]] = {
    "Real numbers": ("gaussian", "normal", "student-t", "factor-analysis", "laplace", "uniform"),
    "Numbers above 0": ("exponential", "gamma", "weibull", "lognormal", "inverse-gaussian"),
    "Shares": ("beta", "dirichlet"),
    "Counts": ("poisson", "negative-binomial", "geometric", "binomial", "multinomial"),
    "Answers": ("bernoulli", "categorical"),
}
REGRESSIONS = "Regressions"
OTHERS = "Others"

# log f, in TeX; of several columns that are independent, that of one.
FORMULAS = {
    "gaussian": r"-\tfrac12 [\, d \ln 2\pi + \ln|\Sigma| + (x-\mu)'\Sigma^{-1}(x-\mu) \,]",
    "normal": r"-\tfrac12 [\, \ln 2\pi\sigma^2 + (x-\mu)^2 / \sigma^2 \,]",
    "student-t": r"c(\nu) - \tfrac12 \ln|\Sigma| - \tfrac{\nu+d}2 \ln(1 + \delta/\nu)",
    "factor-analysis": r"\ln N(x \mid \mu, L L' + \Psi)",
    "laplace": r"-\ln 2b - |x-m| / b",
    "uniform": r"-\ln V",
    "exponential": r"\ln\lambda - \lambda x",
    "gamma": r"a \ln\lambda - \ln\Gamma(a) + (a-1) \ln x - \lambda x",
    "weibull": r"\ln(c/s) + (c-1) \ln(x/s) - (x/s)^c",
    "lognormal": r"\ln N(\ln x \mid \mu, \Sigma) - \textstyle\sum_j \ln x_j",
    "inverse-gaussian": (
        r"\tfrac12 \ln\frac{\lambda}{2\pi x^3} - \frac{\lambda (x-\mu)^2}{2\mu^2 x}"
    ),
    "beta": r"(a-1) \ln x + (b-1) \ln(1-x) - \ln B(a, b)",
    "dirichlet": r"\textstyle\sum_j (a_j-1) \ln x_j + \ln\Gamma(\sum a) - \sum_j \ln\Gamma(a_j)",
    "poisson": r"x \ln\lambda - \lambda - \ln x!",
    "negative-binomial": (
        r"\ln \binom{x+a-1}{x} + a \ln\frac{a}{a+\mu} + x \ln\frac{\mu}{a+\mu}, \; a = 1/\alpha"
    ),
    "geometric": r"\ln p + x \ln(1-p)",
    "binomial": r"\ln \binom{m}{x} + x \ln p + (m-x) \ln(1-p)",
    "multinomial": r"\ln m! - \textstyle\sum_j \ln x_j! + \sum_j x_j \ln p_j",
    "bernoulli": r"x \ln p + (1-x) \ln(1-p)",
    "categorical": r"\ln p_{x}",
    "gaussian-regression": r"\ln N(y \mid \eta, \sigma^2), \; \eta = x'b",
    "poisson-regression": r"y \eta - e^\eta - \ln y!",
    "binomial-regression": r"\ln \binom{m}{y} + y \eta - m \ln(1 + e^\eta)",
    "negative-binomial-regression": r"\ln NB(y \mid \mu = e^\eta, \alpha)",
    "gamma-regression": r"a \ln a - \ln\Gamma(a) - \ln y - a (e^t - t), \; t = \ln y - \eta",
    "exponential-regression": r"-\eta - y e^{-\eta}",
    "weibull-regression": r"\ln c - \ln y + ct - e^{ct}, \; t = \ln y - \eta",
    "lognormal-regression": r"\ln N(\ln y \mid \eta, \sigma^2) - \ln y",
    "beta-regression": r"\ln Beta(y \mid \mu\phi, (1-\mu)\phi), \; \ln\frac{\mu}{1-\mu} = \eta",
    "multinomial-regression": r"\eta_y - \ln \textstyle\sum_j e^{\eta_j}, \; \eta_0 = 0",
    "ordinal-regression": r"\ln [\, F(\theta_y - \eta) - F(\theta_{y-1} - \eta) \,]",
    "student-t-regression": r"\ln t_\nu((y - \eta) / \sigma) - \ln\sigma",
}
# Settings without which a family is not to be had, or that its parameters wait for.
SETTINGS = {
    "binomial": "trials=10",
    "categorical": "levels=3",
    "multinomial-regression": 'response="y", predictors=("x",), levels=3',
    "ordinal-regression": 'response="y", predictors=("x",), levels=3',
    "ordinal-mixed": "levels=3",
    "uniform": "density=0.01",
}
LINE = 'response="y", predictors=("x",)'  # of every other regression
ELSEWHERE = ("flexmix", "mixtools", "mclust", "scipy", "Stata")

INTRODUCTION = """\
# Families

<!-- Written by docs/families.py; change that, and run it. -->

A family says what a row looks like in one component. Each of these is a name for
`emframe.Mixture`, for `emframe.Product`, for `emframe.ZeroInflated`, for the states of a hidden
Markov model and for the command line. Columns are independent given the component unless the line
says otherwise, and any number of them will do where parameters have an axis $d$. What is not here
may be had by `emframe.from_scipy`, by `emframe.from_logpdf`, or by [a plugin](plugins.md).

Each also tells what it knows of its distribution: `log_cdf`, `log_sf`, `mean`, `variance` and
`quantile` of `emframe.Family`.
"""
COMPOSED = """\
## Made of others

| what | call |
| --- | --- |
| more zeros than a family says | `emframe.ZeroInflated("poisson")` |
| zeros by themselves, and a family for the rest | `emframe.Hurdle("gamma")` |
| rows that are exactly one value | `emframe.Mixture([emframe.Point(0.0), "gamma"])` |
| zeros beside a regression | `emframe.Mixture(["poisson-regression", emframe.Point(0.0)])` |
| noise beside clusters | `emframe.Mixture(["gaussian", "uniform"], [3, 1])` |
| columns of different kinds | `emframe.Product({"height": "normal", "visits": "poisson"})` |
| a mixture as a component | `emframe.Mixture(emframe.Mixture("gaussian", 2), 3)` |
| rows that share one z | `emframe.Grouped("poisson")` |
| what a run of rows has once | `emframe.Once("weibull")` |
| something held | `emframe.fixed("normal", means=0.0)` |
| one number of it held, and nan free | `emframe.fixed("normal", means=[[0.0], [np.nan]])` |
| something shared | `emframe.tied("gamma", "shapes")` |
| in the order of the components | `emframe.ordered("poisson", "rates")` |
| equations, such as equal steps | `emframe.constrained("normal", means=[[1, -2, 1]])` |
"""


def call(name: str) -> str:
    """How a mixture of two components of a family is asked for."""
    settings = SETTINGS.get(name, LINE if name.endswith("-regression") else "")
    return f'emframe.Mixture("{name}", 2{", " * bool(settings)}{settings})'


def parameters(name: str) -> str:
    """Its fields with their axes after K."""
    model = eval(call(name), {"emframe": emframe})
    params = model.family.template({"K": 2, "d": model.family.width or 1})
    told = []
    for leaf in leaves(params):
        axes = ", ".join(map(str, leaf.declared.axes()))
        told.append(f"`{leaf.path}` ({axes})")
    return ", ".join(told)


def page() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_gallery(), COMPOSED, *_synonyms()])


def _gallery() -> Iterator[str]:
    known = emframe.families()
    shown = {name for names in KINDS.values() for name in names}
    regressions = tuple(name for name in known if name.endswith("-regression"))
    others = tuple(name for name in known if name not in {*shown, *regressions})
    for kind, names in {**KINDS, REGRESSIONS: regressions, OTHERS: others}.items():
        if not names:
            continue
        yield f"## {kind}\n"
        for name in names:
            entry = known[name]
            yield f"### {name}\n"
            yield f"{entry.summary}. Parameters: {parameters(name)}.\n"
            if name in FORMULAS:
                yield f"$$\n\\ln f = {FORMULAS[name]}\n$$\n"
            yield f"`{call(name)}`; {entry.reference}.\n"


def _synonyms() -> Iterator[str]:
    yield "## What they are called elsewhere\n"
    yield f"| here | {' | '.join(ELSEWHERE)} |"
    yield f"| --- |{' --- |' * len(ELSEWHERE)}"
    for name, entry in emframe.families().items():
        each = [[other for where, other in entry.synonyms if where == one] for one in ELSEWHERE]
        if any(each):
            cells = ("; ".join(f"`{other}`" for other in others) for others in each)
            yield f"| `{name}` | {' | '.join(cells)} |"
    yield "\nA name of this table that is asked for as a family is answered with its name here.\n"


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE).write_text(page(), encoding="utf-8")
