"""Components that look at covariates, beside some that do not."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm, poisson

import emframe
from emframe.composing import Regardless
from emframe.parameters import to_vector
from emframe.testing import check_family

HERE = Path(__file__).parent / "reference"
GIVEN = ("fem", "mar", "kid5", "phd", "ment")
# pscl 1.5.5: zeroinfl(art ~ fem + mar + kid5 + phd + ment), and its standard errors.
PSCL = {
    "count": [0.640838033, -0.209144580, 0.103750938, -0.143319662, -0.00616605711, 0.0180977232],
    "zero": [-0.577060305, 0.109747179, -0.354013456, 0.217100599, 0.00127226119, -0.134113528],
    "errors": [0.50938657, 0.28008237, 0.31761142, 0.19648181, 0.14526286, 0.04524277],
    "log_likelihood": -1604.77285321048,
}
REGRESSION = emframe.family("poisson-regression", response="art", predictors=GIVEN)


def biochemists():
    pandas = pytest.importorskip("pandas")
    return pandas.read_csv(HERE / "biochemists.csv")


def test_zeros_by_a_gate_are_those_of_another_system(tmp_path):
    frame = biochemists()
    model = emframe.Mixture([REGRESSION, emframe.Point(0.0)], weights=emframe.Gate(*GIVEN))
    fit = emframe.fit(model, frame, rng=0, n_starts=2)
    assert fit.log_likelihood == pytest.approx(PSCL["log_likelihood"], abs=1e-7)
    assert fit.n_parameters == 12
    counted = [getattr(fit.params.components[0], name)[0] for name in ("intercept", *GIVEN)]
    zeros = [getattr(fit.params.gate, name)[1] for name in ("intercept", *GIVEN)]
    assert counted == pytest.approx(PSCL["count"], abs=2e-5)
    assert zeros == pytest.approx(PSCL["zero"], abs=1e-4)
    errors = fit.standard_errors(frame).params.gate
    own = [getattr(errors, name)[1] for name in ("intercept", *GIVEN)]
    assert own == pytest.approx(PSCL["errors"], rel=1e-3)
    fit.save(tmp_path / "one.fit")
    back = emframe.load(tmp_path / "one.fit")
    assert back.model == fit.model
    assert np.array_equal(back.score_samples(frame), fit.score_samples(frame))
    rows, z = fit.sample(300, 0, labels=True, given=frame)
    assert (rows[z == 1, 0] == 0).all()
    assert (rows[:, 1:6] == rows[:, 6:]).all()  # what the regression is given, and the gate


RNG = np.random.default_rng(0)
V = RNG.normal(size=200)
Z = RNG.random(200) < 0.3
LINE = emframe.family("gaussian-regression", response=1, predictors=(0,))
COUNTS = emframe.family("poisson-regression", response=1, predictors=(0,))
Y = np.where(Z, RNG.normal(-6, 1, 200), 1 + 2 * V + RNG.normal(0, 0.3, 200))
N = np.where(Z, RNG.poisson(9, 200), RNG.poisson(np.exp(0.3 + 0.5 * V)))


def line(p, x):
    return norm.logpdf(x[:, 1:], p.intercept + p.x0 * x[:, :1], p.sigma)


def log_line(p, x):
    return poisson.logpmf(x[:, 1:], np.exp(p.intercept + p.x0 * x[:, :1]))


BESIDE = {
    "gaussian": (
        [LINE, "gaussian"],
        Y,
        (line, lambda p, x: norm.logpdf(x[:, 1:], p.means[:, 0], p.covariances[:, 0, 0] ** 0.5)),
    ),
    "noise": (
        ["uniform", LINE],
        Y,
        (lambda p, x: np.full((200, 1), -np.log(np.ptp(Y))), line),
    ),
    "counts": (
        [emframe.Product({0: "poisson"}), COUNTS],
        N,
        (lambda p, x: poisson.logpmf(x[:, 1:], p.x0.rates[:, 0]), log_line),
    ),
    "point": (
        [COUNTS, emframe.Point(0.0)],
        N,
        (log_line, lambda p, x: np.log(np.where(x[:, 1:] == 0, 1.0, 1e-300))),
    ),
}


@pytest.mark.parametrize("name", BESIDE)
def test_the_likelihood_is_that_of_what_each_component_reads(name):
    families, y, densities = BESIDE[name]
    X = np.column_stack([V, y])
    fit = emframe.fit(emframe.Mixture(families), X, rng=0, n_starts=3)
    pairs = zip(densities, fit.params.components, strict=True)
    joint = np.concatenate([density(own, X) for density, own in pairs], axis=1)
    expected = logsumexp(joint + np.log(fit.params.weights), axis=1).sum()
    assert fit.log_likelihood == pytest.approx(expected, rel=1e-10)


def test_it_is_a_regression_whose_slope_is_held_at_0():
    X = np.column_stack([V, N])
    flat = emframe.fixed(COUNTS, x0=0.0)
    one = emframe.fit(emframe.Mixture([COUNTS, flat]), X, rng=0)
    other = emframe.fit(emframe.Mixture([COUNTS, "poisson"]), X, rng=0)
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-7)
    assert other.n_parameters == one.n_parameters
    rate = np.exp(to_vector(one.params.components[1])[0])
    assert other.params.components[1].rates[0, 0] == pytest.approx(rate, rel=1e-4)


def test_the_kit_accepts_it():
    results = check_family(Regardless(emframe.family("gaussian"), LINE), max_examples=3)
    assert not [str(result) for result in results if result.status != "passed"]


def test_what_reads_another_response_is_refused():
    with pytest.raises(ValueError, match="densities of unlike columns"):
        emframe.Mixture([LINE, emframe.Point((0.0, 1.0))])
    with pytest.warns(UserWarning, match="probabilities with densities"):
        emframe.Mixture(["gaussian", COUNTS])


def test_a_description_is_made_again():
    model = emframe.Mixture([LINE, emframe.Point(0.0)])
    assert json.loads(json.dumps(model.describe())) == model.describe()
