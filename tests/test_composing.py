"""Families made of families, each against the family or the formula that it has to equal."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import emframe
from emframe import Positive
from emframe.composing import Nested
from emframe.parameters import from_vector, n_free, to_vector
from emframe.spaces import Array, slopes
from emframe.testing import check_family

HERE = Path(__file__).parent / "reference"
FAITHFUL = np.asarray(emframe.dataset("faithful").X)
MIXED = {"height": "gaussian", "visits": "poisson", "smoker": "bernoulli"}


def people(n: int = 400) -> tuple[pd.DataFrame, Array]:
    rng = np.random.default_rng(0)
    z = rng.integers(2, size=n)
    columns = {
        "smoker": (rng.random(n) < np.array([0.2, 0.8])[z]).astype(int),
        "noise": rng.normal(size=n),
        "name": np.array(["Ann", "Bob"])[z],
        "height": rng.normal(np.array([160.0, 185.0])[z], 5.0),
        "visits": rng.poisson(np.array([1.0, 7.0])[z]),
    }
    return pd.DataFrame(columns), z


def kept(fit: Any, X: Any, tmp_path: Path) -> None:
    """A fit survives a file and a pickle."""
    fit.save(tmp_path / "a.fit")
    for again in (emframe.load(tmp_path / "a.fit"), pickle.loads(pickle.dumps(fit))):
        assert again.model == fit.model
        np.testing.assert_array_equal(again.score_samples(X), fit.score_samples(X))


FAMILIES = {
    "mixed": emframe.Product(MIXED),
    "groups": emframe.Product({(0, 2): "gaussian", 1: "poisson"}),
    "given": emframe.Product({(2, 0): emframe.family("gaussian-regression"), 1: "poisson"}),
    "chained": emframe.Product({(1, 0): emframe.family("gaussian-regression"), 0: "poisson"}),
    "tied": emframe.tied("poisson", "rates"),
    "fixed": emframe.fixed("gaussian", means=0.0),
    "fixed, and of one shape": emframe.fixed(
        emframe.family("gaussian", covariance="VEI"), means=0.0
    ),
    "turned, then tied": emframe.tied(emframe.family("gaussian", covariance="EEV"), "covariances"),
    "fixed and tied": emframe.tied(emframe.fixed("gaussian", means=0.0), "covariances"),
    "fixed in a product": emframe.fixed(
        emframe.Product({0: "poisson", 1: "poisson"}), **{"x0.rates": 2.0}
    ),
    "some answers missing": emframe.Product(
        {(0, 2): emframe.family("categorical", levels=(2, 3), missing=True), 1: "poisson"}
    ),
    "tied answers": emframe.tied(emframe.family("categorical", levels=3), "probs"),
    "nested": Nested((emframe.family("poisson"), emframe.family("poisson"))),
}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_families_made_of_families_pass_the_kit(family: Any) -> None:
    results = check_family(family, max_examples=3)
    assert not [str(result) for result in results if result.status == "failed"]


# ---- products


def test_a_product_of_poissons_is_the_poisson_family() -> None:
    x = np.random.default_rng(0).poisson([[2.0, 7.0]], size=(80, 2)).astype(float)
    one = emframe.fit(emframe.Mixture("poisson", 2), x, rng=0, n_starts=2)
    parts = emframe.Product({0: "poisson", 1: "poisson"})
    two = emframe.fit(emframe.Mixture(parts, 2), x, rng=0, n_starts=2)
    assert two.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-9)
    assert two.n_parameters == one.n_parameters


def test_mixed_columns_are_found_by_name(tmp_path: Path) -> None:
    frame, z = people()
    fit = emframe.fit(emframe.Mixture(emframe.Product(MIXED), 2), frame, rng=0, n_starts=3)
    assert fit.columns == ("height", "visits", "smoker")
    assert fit.n_parameters == 1 + 2 * (2 + 1 + 1)
    assert np.sort(fit.params.components.height.means[:, 0]) == pytest.approx([160, 185], abs=2)
    agreement = (fit.predict(frame) == z).mean()
    assert max(agreement, 1 - agreement) > 0.95
    # The same, whatever the order of the frame's columns, and without names in the model's order.
    np.testing.assert_array_equal(fit.predict(frame[frame.columns[::-1]]), fit.predict(frame))
    plain = frame[["height", "visits", "smoker"]].to_numpy()
    np.testing.assert_array_equal(fit.predict(plain), fit.predict(frame))
    assert fit.sample(5, rng=0)[0].shape == (5, 3)
    kept(fit, frame, tmp_path)


@pytest.mark.parametrize("unit", [1.0, 1e-300, 1e300])
def test_weights_of_mixed_columns_count_rows_in_any_unit(unit: float) -> None:
    frame, z = people(120)
    counts = np.arange(120) % 3
    model = emframe.Mixture(emframe.Product(MIXED), 2)
    told, labels = frame.loc[frame.index.repeat(counts)], np.repeat(z, counts)
    plain = emframe.fit(model, told, start=labels)
    found = emframe.fit(model, frame, weights=unit * counts, start=z)
    assert found.log_likelihood / unit == pytest.approx(plain.log_likelihood, rel=1e-9)
    assert to_vector(found.params) == pytest.approx(to_vector(plain.params), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.drop(columns="smoker"), "'smoker' is not there"),
        (lambda x: x.assign(visits=x.visits + 0.5), r"column 1 \('visits'\).*whole numbers"),
        (lambda x: x[["height", "visits"]].to_numpy(), "2 columns; .* takes 3"),
    ],
)
def test_data_that_do_not_fit_the_parts_are_refused(change: Any, message: str) -> None:
    model = emframe.Mixture(emframe.Product(MIXED), 2)
    with pytest.raises(ValueError, match=message):
        emframe.fit(model, change(people()[0]))


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({}, TypeError, "mapping of columns"),
        ({"a": "poisson", 1: "poisson"}, TypeError, "all names or all indices"),
        ({0: "poisson", 2: "poisson"}, ValueError, "every column, from 0 to 1; got"),
        (
            {"a": "poisson", ("a", "b"): "poisson"},
            ValueError,
            "'a' is modelled by two parts, 'a' and 'a_b'",
        ),
        ({("a", "a"): "gaussian"}, ValueError, "names a column once"),
        ({"y": "gaussian-regression"}, TypeError, r"response='y', predictors=\('x',\)"),
        ({("y", "a", "b"): "gaussian-regression"}, TypeError, r"predictors=\('a', 'b'\)"),
        ({0: "poisson-regression"}, TypeError, r"\(0, 1\): .*predictors=\(1,\)"),
        (
            {("a", "b"): "gaussian-regression", ("b", "a"): "gaussian-regression"},
            ValueError,
            "each other's outcomes in a circle",
        ),
        ({"a": 3}, TypeError, "is no family"),
        ({("a", "b"): emframe.from_scipy("norm")}, TypeError, "takes one column"),
    ],
)
def test_products_that_make_no_sense_are_refused(
    parts: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        emframe.Product(parts)


# ---- held and shared parameters


DIABETES = np.array(
    [row.split(",")[1:] for row in (HERE / "diabetes.csv").read_text().split()[1:]], dtype=float
)
EQUAL = {  # covariance -> log-likelihood and free parameters, by mclust with equalPro
    "tied": (-2486.07256196324, 15),
    "diag": (-2376.5704827597074, 18),
    "full": (-2313.37475211805, 27),
}


@pytest.mark.parametrize("covariance", EQUAL)
def test_equal_weights_reach_the_optimum_that_mclust_knows(covariance: str, tmp_path: Path) -> None:
    model = emframe.fixed(emframe.Mixture("gaussian", 3, covariance=covariance), weights=1 / 3)
    fit = emframe.fit(model, DIABETES, rng=0)
    assert (fit.log_likelihood, fit.n_parameters) == (
        pytest.approx(EQUAL[covariance][0], abs=1e-5),
        EQUAL[covariance][1],
    )
    np.testing.assert_array_equal(fit.params.weights, np.full(3, 1 / 3))
    kept(fit, DIABETES, tmp_path)


def test_weights_may_be_held_and_the_rest_as_well() -> None:
    model = emframe.Mixture("gaussian", 2)
    held = emframe.fixed(model, weights=[0.3, 0.7], means=[[2, 54], [4.3, 80]])
    fit = emframe.fit(emframe.tied(held, "covariances"), FAITHFUL, rng=0, n_starts=2)
    assert fit.converged
    errors = [row["standard_error"] for row in fit.standard_errors(FAITHFUL).table]
    assert fit.n_parameters == np.count_nonzero(errors) == 3
    assert fit.params.weights.tolist() == [0.3, 0.7]
    assert fit.params.components.means.tolist() == [[2.0, 54.0], [4.3, 80.0]]
    assert "weights held" in fit.model.title()


def test_a_mixture_with_held_weights_keeps_them_as_a_component() -> None:
    inner = emframe.fixed(emframe.Mixture("poisson", 2), weights=[0.3, 0.7])
    x = np.random.default_rng(0).poisson([[2.0], [9.0]] * 50).astype(float)
    fit = emframe.fit(emframe.Mixture(inner, 1), x, rng=0, n_starts=4)
    plain = emframe.fit(
        emframe.fixed(emframe.Mixture("poisson", 2), weights=[0.3, 0.7]), x, rng=0, n_starts=4
    )
    assert fit.params.components.shares.tolist() == [[0.3, 0.7]]
    assert fit.n_parameters == plain.n_parameters == 2
    assert fit.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-5)


@pytest.mark.parametrize("weights", [0.4, [0.5, 0.6], [0.2, 0.3, 0.5], "equal"])
def test_weights_that_cannot_be_held_are_refused(weights: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="`weights` is"):
        emframe.fixed(emframe.Mixture("gaussian", 2), weights=weights)


def test_a_start_may_leave_out_the_weights_that_are_held_and_not_move_them() -> None:
    model = emframe.fixed(emframe.Mixture("gaussian", 2), weights=0.5)
    start = {"means": [[2, 54], [4.3, 80]], "covariances": [np.diag([0.1, 40.0])] * 2}
    assert emframe.fit(model, FAITHFUL, start=start).params.weights.tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="held at"):
        emframe.fit(model, FAITHFUL, start={"weights": [0.3, 0.7], **start})


def test_tied_covariances_are_the_tied_gaussian(tmp_path: Path) -> None:
    ours = emframe.Mixture(emframe.tied("gaussian", "covariances"), 2)
    theirs = emframe.Mixture("gaussian", 2, covariance="tied")
    one = emframe.fit(ours, FAITHFUL, rng=0, n_starts=2)
    two = emframe.fit(theirs, FAITHFUL, rng=0, n_starts=2)
    assert one.n_parameters == two.n_parameters == 1 + 4 + 3
    assert one.log_likelihood == pytest.approx(two.log_likelihood, abs=1e-6)
    kept(one, FAITHFUL, tmp_path)


@pytest.mark.parametrize("accelerate", [True, False])
@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_held_means_hold(accelerate: bool, unit: float, tmp_path: Path) -> None:
    means = unit * np.array([[2.0, 54.0], [4.3, 80.0]])
    model = emframe.Mixture(emframe.fixed("gaussian", means=means), 2)
    x = unit * FAITHFUL
    fit = emframe.fit(model, x, rng=0, n_starts=1, accelerate=accelerate)
    assert fit.converged
    assert fit.n_parameters == 1 + 2 * 3
    np.testing.assert_array_equal(fit.params.components.means, means)
    # A covariance about a known mean is the weighted mean of squares, at the fixed point.
    resp = fit.predict_proba(x)
    for k in range(2):
        centred = x - means[k]
        wanted = (resp[:, k] * centred.T) @ centred / resp[:, k].sum()
        found = fit.params.components.covariances[k]
        np.testing.assert_allclose(found, wanted, rtol=1e-4)
    kept(fit, x, tmp_path)


def test_the_gradient_keeps_to_the_constraint() -> None:
    family = emframe.tied(
        emframe.fixed("gaussian", means=[[2.0, 54.0], [4.3, 80.0]]), "covariances"
    )
    resp = np.random.default_rng(0).dirichlet([1.0, 1.0], size=len(FAITHFUL))
    statistics = family.accumulate(FAITHFUL, resp)
    params = family.m_step(statistics, None)
    assert n_free(params) == len(to_vector(params)) == 3
    params = from_vector(params, to_vector(params) + 0.1)
    wanted = slopes(
        lambda v: family.expected(statistics, from_vector(params, v)), to_vector(params)
    )
    np.testing.assert_allclose(family.gradient(statistics, params), wanted, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: emframe.fixed("gaussian", mean=0.0), TypeError, "means, covariances; got mean"),
        (lambda: emframe.tied("gaussian"), TypeError, "got none"),
        (lambda: emframe.fixed("poisson", rates=-1.0), ValueError, "held at -1.0; expected finite"),
        (lambda: emframe.tied(3, "a"), TypeError, "pass a plugin's name"),
    ],
)
def test_constraints_that_make_no_sense_are_refused(
    make: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_values_held_for_another_number_of_components_are_refused() -> None:
    model = emframe.fixed(emframe.Mixture("poisson", 2), rates=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"`rates` is held at an array of shape \(3,\)"):
        emframe.fit(model, np.arange(9.0), rng=0)


def test_a_start_off_the_constraint_is_refused_and_one_may_leave_it_out() -> None:
    model = emframe.Mixture(emframe.fixed(emframe.from_scipy("gamma"), a=2.0), 2)
    x = FAITHFUL[:, 0]
    with pytest.raises(ValueError, match=r"`components.a` .*it is held at 2.0"):
        emframe.fit(model, x, start={"weights": [0.5, 0.5], "a": [1.0, 2.0], "scale": [1.0, 2.0]})
    fit = emframe.fit(model, x, start={"weights": [0.5, 0.5], "scale": [1.0, 2.0]})
    np.testing.assert_array_equal(fit.params.components.a, 2.0)


# ---- mixtures of mixtures


def test_a_mixture_of_mixtures_is_the_mixture_of_all(tmp_path: Path) -> None:
    inner = emframe.Mixture("gaussian", 2)
    nested = emframe.Mixture([inner, "gaussian"])
    fit = emframe.fit(nested, FAITHFUL, rng=0, n_starts=2)
    assert fit.converged
    assert fit.n_parameters == 3 * 5 + 2
    outer, (pair, single) = fit.params.weights, fit.params.components
    flat = {
        "weights": [outer[0] * pair.shares[0, 0], outer[0] * pair.shares[0, 1], outer[1]],
        "means": np.concatenate([pair.inner0.means, pair.inner1.means, single.means]),
        "covariances": np.concatenate(
            [pair.inner0.covariances, pair.inner1.covariances, single.covariances]
        ),
    }
    same = emframe.fit(emframe.Mixture("gaussian", 3), FAITHFUL, start=flat)
    assert same.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-6)
    kept(fit, FAITHFUL, tmp_path)


def test_an_outer_component_without_rows_keeps_what_it_has() -> None:
    family = Nested((emframe.family("poisson"), emframe.family("poisson")))
    before = family.build(
        {
            "shares": [[0.3, 0.7], [0.6, 0.4]],
            "inner0": {"rates": [[1.0], [2.0]]},
            "inner1": {"rates": [[5.0], [7.0]]},
        }
    )
    rows, resp = np.arange(6.0)[:, None], np.tile([1.0, 0.0], (6, 1))
    found = family.m_step(family.accumulate(rows, resp), before)
    assert found.shares[1] == pytest.approx([0.6, 0.4])
    assert [found.inner0.rates[1, 0], found.inner1.rates[1, 0]] == pytest.approx([2.0, 7.0])
    # The other one by Bayes' rule, written out.
    joint = np.array([0.3, 0.7]) * stats.poisson.pmf(rows, [1.0, 5.0])
    share = joint / joint.sum(axis=1, keepdims=True)
    assert found.shares[0] == pytest.approx(share.mean(axis=0))
    assert found.inner0.rates[0, 0] == pytest.approx(share[:, 0] @ rows[:, 0] / share[:, 0].sum())


def test_nested_mixtures_take_any_lane() -> None:
    def density(x: Array, rate: Array) -> Array:
        return np.asarray(np.log(rate) - rate * x)

    lane = emframe.from_logpdf(density, {"rate": Positive()}, Positive())
    model = emframe.Mixture([emframe.Mixture(lane, 2), emframe.from_scipy(stats.gamma)])
    fit = emframe.fit(model, FAITHFUL[:, 1], rng=0, n_starts=1)
    assert fit.status.usable
    assert (np.diff(fit.trace) >= 0).all()


# ---- a column that one part models and another is given


def on(response: str, *predictors: str, name: str = "gaussian-regression") -> emframe.Family:
    return emframe.family(name, response=response, predictors=predictors)


def test_a_gaussian_is_that_of_one_column_and_a_regression_on_it() -> None:
    """f(x) f(y | x) of normals is a normal in two columns, with as many parameters."""
    frame = pd.DataFrame(FAITHFUL, columns=["x", "y"])
    parts = emframe.Product({("y", "x"): on("y", "x"), "x": "gaussian"})
    chained = emframe.fit(emframe.Mixture(parts, 2), frame, rng=0)
    whole = emframe.fit(emframe.Mixture("gaussian", 2), frame, rng=0)
    assert chained.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-9)
    assert chained.n_parameters == whole.n_parameters == 11
    assert chained.bic == pytest.approx(whole.bic, rel=1e-9)
    drawn, labels = chained.sample(200_000, rng=0, labels=True)
    own = chained.params.components
    for k in range(2):
        mine = drawn[labels == k]
        order = whole.params.components.means[:, 0].argsort()[own.x.means[:, 0].argsort().argsort()]
        expected = whole.params.components.covariances[order[k]]
        found = np.cov(mine[:, ::-1].T)
        np.testing.assert_allclose(found, expected, rtol=0.05)


def test_parts_may_be_given_the_same_columns_and_each_others_outcomes(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    n = 300
    z = rng.integers(2, size=n)
    x = rng.normal(np.array([0.0, 4.0])[z])
    w = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "name": "a word",
            "w": w,
            "x": x,
            "y": rng.normal(np.array([1.0, -2.0])[z] + x, 0.5),
            "v": rng.poisson(np.exp(0.2 + 0.1 * x + 0.2 * w)),
        }
    )
    counts = on("v", "x", "w", name="poisson-regression")
    parts = emframe.Product({("v", "x", "w"): counts, ("y", "x"): on("y", "x"), "x": "gaussian"})
    assert (parts.columns, parts.covariates) == (("v", "x", "w", "y"), (2,))
    fit = emframe.fit(emframe.Mixture(parts, 2), frame, rng=0, n_starts=4)
    own = fit.params.components
    joint = [
        np.log(fit.params.weights[k])
        + stats.norm.logpdf(x, own.x.means[k, 0], np.sqrt(own.x.covariances[k, 0, 0]))
        + stats.norm.logpdf(frame.y, own.y_x.intercept[k] + own.y_x.x[k] * x, own.y_x.sigma[k])
        + stats.poisson.logpmf(
            frame.v, np.exp(own.v_x_w.intercept[k] + own.v_x_w.x[k] * x + own.v_x_w.w[k] * w)
        )
        for k in range(2)
    ]
    assert fit.log_likelihood == pytest.approx(np.logaddexp(*joint).sum(), rel=1e-12)
    drawn, labels = fit.sample(20_000, rng=0, labels=True, given=frame)
    assert set(drawn[:, 2]) <= set(w)
    for k in range(2):
        slope = np.polyfit(drawn[labels == k, 1], drawn[labels == k, 3], 1)[0]
        assert slope == pytest.approx(own.y_x.x[k], abs=0.05)
    kept(fit, frame, tmp_path)
