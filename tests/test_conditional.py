"""The law of some columns given others, against quadrature over the joint density of the fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import emframe

X = emframe.dataset("faithful").X
SHORT, LONG = 2.1, 4.4


def moments(fit: Any, eruption: float, y: Any, steps: Any) -> tuple[float, float, float]:
    """log p(x_0), and the mean and variance of x_1 given x_0, from the density of both.

    By the trapezoidal rule in a coordinate in which the density falls off faster than any power.
    """
    rows = np.column_stack([np.full(len(y), eruption), y])
    weights = np.exp(fit.score_samples(rows)) * steps
    mass = weights.sum()
    mean = weights @ y / mass
    return float(np.log(mass)), float(mean), float(weights @ (y - mean) ** 2 / mass)


U = np.linspace(-12.0, 12.0, 6001)
ON_THE_LINE = 70.0 + 10.0 * np.sinh(U), 10.0 * np.cosh(U) * (U[1] - U[0])
ABOVE_0 = 60.0 * np.exp(U / 4.0), 60.0 * np.exp(U / 4.0) * (U[1] - U[0]) / 4.0


@pytest.mark.parametrize(
    ("family", "line"),
    [
        ("gaussian", ON_THE_LINE),
        ("student-t", ON_THE_LINE),
        ("lognormal", ABOVE_0),
        (emframe.Mixture("gaussian", 2, covariance="diag"), ON_THE_LINE),
    ],
)
def test_moments_and_densities_are_those_of_the_joint_law(family: Any, line: Any) -> None:
    options = {"dof": 9.0} if family == "student-t" else {}
    fit = emframe.fit(emframe.Mixture(family, 2, **options), X, rng=0, n_starts=2)
    law = fit.conditional([[LONG], [SHORT]], given=[0])
    for row, eruption in enumerate((LONG, SHORT)):
        log_p, mean, variance = moments(fit, eruption, *line)
        assert law.mean()[row, 0] == pytest.approx(mean, rel=1e-9)
        assert law.covariance()[row, 0, 0] == pytest.approx(variance, rel=1e-8)
        joint = fit.score_samples([[eruption, 70.0]])[0]
        assert law.score_samples([70.0, 70.0])[row] == pytest.approx(joint - log_p, rel=1e-9)
    drawn = law.sample(4000, rng=1)
    assert drawn.shape == (4000, 2, 1)
    off = drawn.mean(axis=0) - law.mean()
    assert (np.abs(off) < 4.5 * np.sqrt(law.covariance()[:, :, 0] / 4000)).all()


def test_one_gaussian_component_is_least_squares() -> None:
    fit = emframe.fit(emframe.Mixture("gaussian", 1), X)
    slope, intercept = np.polyfit(X[:, 0], X[:, 1], 1)
    found = fit.conditional(X, given=[0]).mean()[:, 0]
    assert found == pytest.approx(intercept + slope * X[:, 0], rel=1e-9)


def test_nothing_given_is_the_marginal_law() -> None:
    """At the maximum the moments of a Gaussian mixture are those of the data."""
    fit = emframe.fit(emframe.Mixture("gaussian", 2), X, rng=0, tol=1e-12)
    law = fit.conditional(of=1)
    assert law.weights == pytest.approx(fit.params.weights[None])
    assert law.mean()[0, 0] == pytest.approx(X[:, 1].mean(), rel=1e-9)
    assert law.covariance()[0, 0, 0] == pytest.approx(X[:, 1].var(), rel=1e-7)


def test_frames_mappings_and_arrays_give_the_same() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["eruptions", "waiting"])
    fit = emframe.fit(emframe.Mixture("gaussian", 2), frame, rng=0, n_starts=2)
    expected = fit.conditional(frame, given="eruptions").mean()
    for law in (
        fit.conditional(frame[["eruptions"]]),
        fit.conditional({"eruptions": X[:, 0]}),
        fit.conditional(X[:, 0], given="eruptions"),
        fit.conditional(X, given=0, of="waiting"),
    ):
        assert np.array_equal(law.mean(), expected)
        assert (law.columns, law.given) == (("waiting",), ("eruptions",))
        assert repr(law) == "ConditionalMixture(waiting | eruptions; 272 rows, K = 2)"


def test_parts_that_are_independent_tell_by_the_weights_alone() -> None:
    rng = np.random.default_rng(0)
    z = rng.random(200) < 0.5
    rows = np.column_stack([rng.poisson(2.0 + 6.0 * z), rng.normal(4.0 * z)]).astype(float)
    family = emframe.Product({0: "poisson", 1: "normal"})
    fit = emframe.fit(emframe.Mixture(family, 2), rows, rng=0, n_starts=2)
    law = fit.conditional([[3.0]], given=[0])
    own = fit.params.components
    density = fit.params.weights * stats.poisson(own.x0.rates[:, 0]).pmf(3.0)
    weights = density / density.sum()
    assert law.weights[0] == pytest.approx(weights, rel=1e-12)
    assert law.mean()[0, 0] == pytest.approx(weights @ own.x1.means[:, 0], rel=1e-12)


def test_a_response_given_its_predictors() -> None:
    model = emframe.Mixture("gaussian-regression", 2, response=1, predictors=(0,))
    fit = emframe.fit(model, X, rng=0, n_starts=2)
    law, own = fit.conditional([[LONG]], given=[0]), fit.params.components
    lines = own.intercept + own.x0 * LONG
    assert law.mean()[0, 0] == pytest.approx(fit.params.weights @ lines, rel=1e-12)
    with pytest.raises(ValueError, match=r"given \['x0'\]"):
        fit.conditional([[70.0]], given=[1])


def test_rows_of_a_chain_are_given_what_their_runs_show() -> None:
    model = emframe.model("hidden-markov", family="gaussian", n_states=2)
    fit = emframe.fit(model, X, rng=0, n_starts=2)
    law = fit.conditional(emframe.Sequences(X), given=[0])
    assert law.mean().shape == (len(X), 1)
    with pytest.raises(TypeError, match="rows of a run"):
        law.score_samples(X[:, 1])


def test_codes_have_no_mean_and_are_drawn_all_the_same() -> None:
    codes = np.random.default_rng(0).integers(0, 3, (60, 3))
    fit = emframe.fit(emframe.Mixture("categorical", 2), codes, rng=0, n_starts=2)
    law = fit.conditional([[1]], given=[0])
    assert set(np.unique(law.sample(50, rng=0))) <= {0.0, 1.0, 2.0}
    with pytest.raises(TypeError, match="no mean"):
        law.mean()


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"given": [0, 1]}, "not given"),
        ({"given": "x7"}, "names 'x7'"),
        ({"given": [0], "of": [0]}, "not given"),
        ({"given": [0, 0]}, "once"),
    ],
)
def test_columns_that_are_none_are_refused(asked: dict[str, Any], told: str) -> None:
    fit = emframe.fit(emframe.Mixture("gaussian", 1), X)
    with pytest.raises(ValueError, match=told):
        fit.conditional(X, **asked)
    with pytest.raises(TypeError, match="pass `given=`"):
        fit.conditional(X)
