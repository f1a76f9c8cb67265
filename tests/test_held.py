"""What is held is never estimated: the maximum of what is left, by a search of another kind.

Each log-likelihood is written out here by scipy's densities and maximised by a simplex search over
plain numbers, from several places; none of it is a family's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy
from scipy import stats
from scipy.special import expit, logsumexp

import emframe
from emframe import Mixture, Product, family, fixed, tied
from emframe.parameters import leaves
from emframe.spaces import Array

Densities = Callable[[Array], list[Array]]


class Held(NamedTuple):
    """A mixture of which some is held, and its log densities by hand."""

    model: Any
    x: Any
    densities: Densities  # of free numbers, (n,) for each component
    starts: list[list[float]]  # of those numbers
    held: dict[str, float]  # paths of the parameters, and what they are held at


rng = np.random.default_rng(14)
N = 200
X = rng.normal(size=N)
Z = rng.random(N) < 0.4
COUNTS = np.where(Z, 0, rng.poisson(np.exp(1.0 + 0.5 * X)))
HITS = np.where(Z, 0, rng.binomial(5, expit(0.5 + X)))
TABLE = pd.DataFrame({"y": COUNTS, "x": X, "hits": HITS, "of": 5.0, "line": np.where(Z, 2.0, X)})
TABLE["far"] = np.where(Z, 2.0 + 3.0 * X, 9.0 - X + 0.5 * rng.normal(size=N))
SPIKE = np.concatenate([np.full(50, 5.0), rng.normal(size=70)])  # 50 equal readings
PLANE = np.column_stack([SPIKE, np.concatenate([np.full(50, 1.0), rng.normal(3.0, 2.0, 70)])])
ZEROS = np.concatenate([np.full(40, 2.0), rng.gamma(9.0, 1.0, 60)])


def poissons(**options: Any) -> Any:
    return family("poisson-regression", response="y", predictors=("x",), **options)


def binomials() -> Any:
    return family("binomial-regression", response="hits", trials="of", predictors=("x",))


def lines(response: str = "far") -> Any:
    return family("gaussian-regression", response=response, predictors=("x",))


def rates(intercept: float, slope: float) -> Array:
    return stats.poisson.logpmf(COUNTS, np.exp(intercept + slope * X))


def odds(intercept: float, slope: float) -> Array:
    return stats.binom.logpmf(HITS, 5, expit(intercept + slope * X))


def normal(mean: Any, log_sd: float, x: Array = SPIKE) -> Array:
    return stats.norm.logpdf(x, mean, np.exp(log_sd))


FAR = np.asarray(TABLE["far"])
CASES = {
    "Poisson regression, no rate": Held(
        Mixture([fixed(poissons(), intercept=-60.0, x=0.0), poissons()]),
        TABLE,
        lambda t: [rates(-60.0, 0.0), rates(t[0], t[1])],
        [[1.0, 0.5]],
        {"0.intercept": -60.0, "0.x": 0.0},
    ),
    "Poisson regression, all": Held(
        Mixture(fixed(poissons(), intercept=[-60.0, 1.0], x=[0.0, 0.5]), 2),
        TABLE,
        lambda t: [rates(-60.0, 0.0), rates(1.0, 0.5)],
        [[]],
        {"x": np.array([0.0, 0.5])},
    ),
    "Poisson regression, a slope": Held(
        Mixture([fixed(poissons(), intercept=-60.0, x=0.0), fixed(poissons(), x=0.25)]),
        TABLE,
        lambda t: [rates(-60.0, 0.0), rates(t[0], 0.25)],
        [[1.0]],
        {"0.x": 0.0, "1.x": 0.25},
    ),
    "binomial regression": Held(
        Mixture([fixed(binomials(), intercept=-30.0, x=0.0), binomials()]),
        TABLE,
        lambda t: [odds(-30.0, 0.0), odds(t[0], t[1])],
        [[0.5, 1.0]],
        {"0.intercept": -30.0},
    ),
    "Gaussian, 50 equal readings": Held(
        Mixture([fixed("gaussian", means=[5.0], covariances=[[0.01]]), "gaussian"]),
        SPIKE,
        lambda t: [normal(5.0, np.log(0.1)), normal(t[0], t[1])],
        [[0.0, 0.0], [2.0, 0.5]],
        {"0.means": 5.0, "0.covariances": 0.01},
    ),
    "Gaussian, both components": Held(
        Mixture(fixed("gaussian", means=[[5.0], [0.0]], covariances=[[[0.01]], [[1.0]]]), 2),
        SPIKE,
        lambda t: [normal(5.0, np.log(0.1)), normal(0.0, 0.0)],
        [[]],
        {"means": np.array([[5.0], [0.0]])},
    ),
    "Gaussian, covariances of equal readings": Held(
        Mixture(fixed("gaussian", covariances=[[0.25]]), 2),
        SPIKE,
        lambda t: [normal(t[0], np.log(0.5)), normal(t[1], np.log(0.5))],
        [[5.0, 0.0], [1.0, -1.0]],
        {"covariances": 0.25},
    ),
    "Gaussian, a mean beside equal readings": Held(
        Mixture([fixed("gaussian", means=[4.0]), "gaussian"]),
        SPIKE,
        lambda t: [normal(4.0, t[0]), normal(t[1], t[2])],
        [[0.0, 0.0, 0.0]],
        {"0.means": 4.0},
    ),
    "Gaussian, one width of equal readings": Held(
        Mixture(tied("gaussian", "covariances"), 2),
        SPIKE,
        lambda t: [normal(t[0], t[2]), normal(t[1], t[2])],
        [[5.0, 0.0, 0.0]],
        {},
    ),
    "student-t": Held(
        Mixture(
            [fixed("student-t", locations=[5.0], scale_matrices=[[0.01]], dof=4.0), "gaussian"]
        ),
        SPIKE,
        lambda t: [stats.t.logpdf(SPIKE, 4.0, 5.0, 0.1), normal(t[0], t[1])],
        [[0.0, 0.0]],
        {"0.dof": 4.0, "0.locations": 5.0},
    ),
    "student-t, scales": Held(
        Mixture([fixed("student-t", scale_matrices=[[0.01]], dof=4.0), "gaussian"]),
        SPIKE,
        lambda t: [stats.t.logpdf(SPIKE, 4.0, t[2], 0.1), normal(t[0], t[1])],
        [[0.0, 0.0, 5.0]],
        {"0.scale_matrices": 0.01},
    ),
    "gaussian regression, on its line": Held(
        Mixture(fixed(lines(), sigma=[0.2, 0.5]), 2),
        TABLE,
        lambda t: [
            normal(t[0] + t[1] * X, np.log(0.2), FAR),
            normal(t[2] + t[3] * X, np.log(0.5), FAR),
        ],
        [[2.0, 3.0, 9.0, -1.0], [9.0, -1.0, 2.0, 3.0]],
        {"sigma": np.array([0.2, 0.5])},
    ),
    "gaussian regression, one width": Held(
        Mixture(tied(lines(), "sigma"), 2),
        TABLE,
        lambda t: [normal(t[0] + t[1] * X, t[4], FAR), normal(t[2] + t[3] * X, t[4], FAR)],
        [[2.0, 3.0, 9.0, -1.0, -1.0]],
        {},
    ),
    "gaussian regression, a slope and a width": Held(
        Mixture([fixed(lines(), x=3.0, sigma=0.2), lines()]),
        TABLE,
        lambda t: [
            normal(t[0] + 3.0 * X, np.log(0.2), FAR),
            normal(t[1] + t[2] * X, t[3], FAR),
        ],
        [[2.0, 9.0, -1.0, -0.7]],
        {"0.x": 3.0},
    ),
    "gaussian regression, an intercept": Held(
        Mixture(fixed(lines(), intercept=[2.5, 8.5]), 2),
        TABLE,
        lambda t: [normal(2.5 + t[0] * X, t[1], FAR), normal(8.5 + t[2] * X, t[3], FAR)],
        [[3.0, 0.0, -1.0, 0.0]],
        {"intercept": np.array([2.5, 8.5])},
    ),
    "a density, all": Held(
        Mixture([fixed(emframe.from_scipy("norm"), loc=5.0, scale=0.1), "gaussian"]),
        SPIKE,
        lambda t: [normal(5.0, np.log(0.1)), normal(t[0], t[1])],
        [[0.0, 0.0]],
        {"0.loc": 5.0, "0.scale": 0.1},
    ),
    "a density, its scale": Held(
        Mixture([fixed(emframe.from_scipy("norm"), scale=0.1), emframe.from_scipy("norm")]),
        SPIKE,
        lambda t: [normal(t[2], np.log(0.1)), normal(t[0], t[1])],
        [[0.0, 0.0, 5.0]],
        {"0.scale": 0.1},
    ),
    "a density, its shape": Held(
        Mixture(fixed(emframe.from_scipy("gamma"), a=[30.0, 9.0]), 2),
        ZEROS,
        lambda t: [
            stats.gamma.logpdf(ZEROS, 30.0, 0.0, np.exp(t[0])),
            stats.gamma.logpdf(ZEROS, 9.0, 0.0, np.exp(t[1])),
        ],
        [[-2.7, 0.0], [-1.0, -1.0]],
        {"a": np.array([30.0, 9.0])},
    ),
    "a part of a product": Held(
        Mixture(
            fixed(
                Product({0: "gaussian", 1: "gaussian"}),
                **{"x0.means": [[5.0], [0.0]], "x0.covariances": [[[0.01]], [[1.0]]],
                   "x1.covariances": [[[1.0]], [[4.0]]]},
            ),
            2,
        ),
        PLANE,
        lambda t: [
            normal(5.0, np.log(0.1)) + normal(t[0], 0.0, PLANE[:, 1]),
            normal(0.0, 0.0) + normal(t[1], np.log(2.0), PLANE[:, 1]),
        ],
        [[1.0, 3.0]],
        {"x0.means": np.array([[5.0], [0.0]])},
    ),
    "grouped rows": Held(
        Mixture([fixed(emframe.Grouped("gaussian"), means=[5.0], covariances=[[0.01]]),
                 emframe.Grouped("gaussian")]),
        emframe.Sequences(SPIKE, np.full(12, 10)),
        lambda t: [
            normal(5.0, np.log(0.1)).reshape(12, 10).sum(axis=1),
            normal(t[0], t[1]).reshape(12, 10).sum(axis=1),
        ],
        [[0.0, 0.0]],
        {"0.means": 5.0},
    ),
    "in a mixture that is a component": Held(
        Mixture([Mixture([fixed("gaussian", means=[5.0], covariances=[[0.01]]), "gaussian"])]),
        SPIKE,
        lambda t: [normal(5.0, np.log(0.1)), normal(t[0], t[1])],
        [[0.0, 0.0]],
        {},
    ),
}  # fmt: skip


def maximum(case: Held) -> float:
    """The highest log-likelihood that a simplex search finds."""

    def fall(numbers: Array) -> float:
        densities = np.array(case.densities(numbers[1:]))
        with np.errstate(all="ignore"):
            picked = np.array([[expit(numbers[0])], [expit(-numbers[0])]])
            total = -logsumexp(densities + np.log(picked), axis=0).sum()
        return float(total) if np.isfinite(total) else 1e300

    best = np.inf
    for start in case.starts:
        at = np.array([0.0, *start])
        for _ in range(4):  # a simplex that has shrunk too soon is spread again
            end = scipy.optimize.minimize(
                fall, at, method="Nelder-Mead",
                options={"maxiter": 4000, "maxfev": 4000, "xatol": 1e-9, "fatol": 1e-11},
            )  # fmt: skip
            at = end.x
        best = min(best, end.fun)
    return -best


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_maximum_given_what_is_held(case: Held) -> None:
    fit = emframe.fit(case.model, case.x, rng=0)
    assert fit.converged
    assert not fit.spurious
    assert fit.log_likelihood == pytest.approx(maximum(case), abs=1e-5)
    values = {leaf.path.removeprefix("components."): leaf.value for leaf in leaves(fit.params)}
    for path, wanted in case.held.items():
        np.testing.assert_array_equal(values[path], np.broadcast_to(wanted, values[path].shape))


def test_what_is_tied_is_estimated_where_a_component_alone_would_be_a_point() -> None:
    """The labels put all equal readings, and all rows of one line, into a component."""
    spike = np.repeat([0, 1], [50, 70])
    for case, labels in (
        (CASES["Gaussian, one width of equal readings"], spike),
        (CASES["gaussian regression, one width"], np.where(Z, 0, 1)),
    ):
        fit = emframe.fit(case.model, case.x, start=labels)
        assert fit.converged
        assert fit.log_likelihood == pytest.approx(maximum(case), abs=1e-5)


def test_a_constraint_that_no_family_has_a_step_for_is_climbed() -> None:
    """Equal readings alone have no width, and one width for all components has a maximum."""
    model = Mixture(tied(emframe.from_scipy("norm"), "scale"), 2)
    fit = emframe.fit(model, SPIKE, start=np.repeat([0, 1], [50, 70]))
    wanted = maximum(CASES["Gaussian, one width of equal readings"])
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(wanted, abs=1e-5)


def test_states_that_are_held_are_not_estimated() -> None:
    """Runs of equal readings: the forward algorithm by hand, and transitions by a search."""
    z = np.repeat([0, 1, 0, 1, 0], [20, 30, 10, 25, 15])
    x = np.where(z == 0, 5.0, np.random.default_rng(0).normal(size=100))
    states = fixed("gaussian", means=[[5.0], [0.0]], covariances=[[[0.01]], [[1.0]]])
    model = emframe.model("hidden-markov", family=states, n_states=2)
    fit = emframe.fit(model, x, rng=0, n_starts=4)

    def fall(numbers: Array) -> float:
        begin, stay, leave = expit(numbers)
        ahead = np.log([begin, 1.0 - begin])
        step = np.log([[stay, 1.0 - stay], [leave, 1.0 - leave]])
        density = np.stack([normal(5.0, np.log(0.1), x), normal(0.0, 0.0, x)])
        ahead = ahead + density[:, 0]
        for t in range(1, len(x)):
            ahead = np.logaddexp.reduce(ahead[:, None] + step, axis=0) + density[:, t]
        return -float(logsumexp(ahead))

    end = scipy.optimize.minimize(
        fall, [5.0, 1.0, -1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}
    )
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(-end.fun, abs=1e-3)
    np.testing.assert_array_equal(fit.params.components.means, [[5.0], [0.0]])


def test_several_families_have_nothing_in_common_to_hold() -> None:
    mixture = Mixture([fixed("gaussian", means=0.0), "gaussian"])
    with pytest.raises(TypeError, match="components of several families have no parameters in"):
        tied(mixture, "covariances")
    with pytest.raises(TypeError, match="Hold those of each in the list"):
        fixed(mixture, means=0.0)


FREED: dict[str, tuple[str, str, float]] = {
    "gaussian": ("gaussian", "means", 0.0),
    "student-t": ("student-t", "locations", 0.0),
    "gamma": ("gamma", "rates", 1.0),
    "scipy's": ("from_scipy", "loc", 0.0),
}


@pytest.mark.parametrize("name", FREED)
def test_numbers_that_are_nan_are_free(name: str) -> None:
    """The maximum is that of two families, of which one has the number held."""
    kind, field, value = FREED[name]
    one = emframe.from_scipy("norm") if kind == "from_scipy" else family(kind)
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, 150), rng.normal(4, 2, 250)])
    x = np.abs(x) + 0.1 if kind == "gamma" else x
    axes = 1 if kind == "from_scipy" else 2
    held, freed = (np.full((1,) * axes, v) for v in (value, np.nan))
    both = Mixture(fixed(one, **{field: np.concatenate([held, freed])}), 2)
    apart = Mixture([fixed(one, **{field: held}), one])
    labels = np.repeat([0, 1], [150, 250])
    fit, other = (emframe.fit(model, x, start=labels) for model in (both, apart))
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-7)
    assert fit.n_parameters == other.n_parameters
    assert getattr(fit.params.components, field)[0] == value


def test_a_number_of_every_component_may_be_free(tmp_path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal([0.3, 0.2], 1.0, size=(200, 2))
    fit = emframe.fit(Mixture(fixed("gaussian", means=[np.nan, 0.0])), x, rng=0)
    mean, covariance = fit.params.components.means[0], fit.params.components.covariances[0]
    assert mean[1] == 0.0
    # Regression of the first column on the second, which has the mean 0 and its own moment.
    spread = (x[:, 1] ** 2).mean()
    slope = covariance[0, 1] / covariance[1, 1]
    assert covariance[1, 1] == pytest.approx(spread, rel=1e-6)
    assert mean[0] == pytest.approx((x[:, 0] - slope * x[:, 1]).mean(), abs=1e-6)
    assert fit.n_parameters == 4
    fit.save(tmp_path / "a.fit")
    assert emframe.load(tmp_path / "a.fit").model == fit.model
    errors = fit.standard_errors(x)
    assert np.isfinite(errors.params.components.means[0, 0])


def test_what_is_free_can_shrink_and_what_is_held_cannot() -> None:
    """Of two scales one is held: the other is a parameter that its component may shrink by."""
    mixture = Mixture(fixed("gamma", rates=[[1.0], [np.nan]], shapes=[[2.0], [np.nan]]), 2)
    params = mixture.family.template({"K": 2, "d": 1})
    assert list(mixture.family.freedom(params, 2)) == [0, 2]


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("gaussian", {"means": [[np.nan]]}, "`means` is nan throughout"),
        ("gaussian", {"covariances": [[[np.nan]], [[1.0]]]}, "which are held as a whole"),
        ("gamma", {"rates": [[np.nan], [-1.0]]}, "expected finite numbers above 0"),
    ],
)
def test_nan_where_it_frees_nothing_is_refused(name, values, message) -> None:
    with pytest.raises(ValueError, match=message):
        fixed(name, **values)


def test_what_is_shared_is_not_held_in_part() -> None:
    with pytest.raises(ValueError, match="shared by all components; hold it as a whole"):
        fixed(tied("gaussian", "means"), means=[[0.0], [np.nan]])
