"""Classes related to other columns: against closed forms, scipy, and rows of a known law."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm

import emframe

PROBS = np.array([[0.9] * 5, [0.1] * 5])


def drawn(seed=0, n=600):
    rng = np.random.default_rng(seed)
    u = rng.normal(size=n)
    z = (rng.random(n) < 1.0 / (1.0 + np.exp(-0.2 - u))).astype(int)
    return (rng.random((n, 5)) < PROBS[z]).astype(float), z, u, rng


X, Z, U, RNG = drawn()
Y = RNG.normal(2.0 * Z, 1.0 + 0.5 * Z)
START = {"weights": [0.5, 0.5], "probs": PROBS}
FIT = emframe.fit(emframe.Mixture("bernoulli", 2), X, start=START)
SHARES = FIT.predict_proba(X)
HARD = np.eye(2)[SHARES.argmax(axis=1)]


def errors(assigned):
    return SHARES.T @ assigned / SHARES.sum(axis=0)[:, None]


ASSIGNED = {"modal": HARD, "proportional": SHARES}
NAIVE = ("modal", "proportional")


@pytest.mark.parametrize("method", NAIVE)
def test_classes_taken_for_known_have_the_means_of_their_rows(method):
    found = emframe.outcomes(FIT, X, Y, method=method)
    own = ASSIGNED[method]
    assert found.estimates == pytest.approx(own.T @ Y / own.sum(axis=0))


@pytest.mark.parametrize("modal", [True, False])
def test_bch_weighs_rows_by_the_inverse_of_the_errors(modal):
    own = HARD if modal else SHARES
    weights = own @ np.linalg.inv(errors(own))
    found = emframe.outcomes(FIT, X, Y, method="bch", modal=modal)
    assert found.estimates == pytest.approx(weights.T @ Y / weights.sum(axis=0))


def test_ml_is_the_maximum_of_its_likelihood():
    log_errors = np.log(errors(HARD))
    to = HARD.argmax(axis=1)

    def loss(b):
        joint = log_softmax([0.0, b[0]]) + norm.logpdf(Y[:, None], b[[1, 3]], np.exp(b[[2, 4]]))
        return -logsumexp(joint + log_errors[:, to].T, axis=1).sum()

    best = minimize(loss, [0.0, 0.0, 0.0, 2.0, 0.4], options={"gtol": 1e-6})
    found = emframe.outcomes(FIT, X, Y)
    assert found.estimates == pytest.approx(best.x[[1, 3]], abs=1e-5)


# StepMix 3.0.0 (Morin et al. 2023) on the same rows, to tolerances of 1e-12.  Its third step by ML
# holds the sizes of classes for an outcome, so that there is no number of the same model to take.
STEPMIX = {
    ("outcomes", "modal", True): [0.09143215, 2.01449565],
    ("outcomes", "proportional", False): [0.09684768, 1.99712255],
    ("outcomes", "bch", True): [0.06184652, 2.02419495],
    ("outcomes", "bch", False): [0.06123462, 2.02466823],
    ("predictors", "modal", True): [0.30656685, 0.96422834],
    ("predictors", "bch", True): [0.32834084, 0.99189864],
    ("predictors", "ml", True): [0.32910287, 0.99911286],
    ("predictors", "two-step", True): [0.33765455, 1.00458951],
}


@pytest.mark.parametrize("case", STEPMIX, ids=str)
def test_another_system_has_the_same_numbers(case):
    what, method, modal = case
    act, other = {"outcomes": (emframe.outcomes, Y), "predictors": (emframe.predictors, U)}[what]
    options = {"modal": modal} if method in ("ml", "bch") else {}
    found = act(FIT, X, other, method=method, **options)
    assert found.estimates == pytest.approx(STEPMIX[case], abs=2e-6)


def test_two_steps_hold_the_measurement():
    density = FIT.model.log_density(FIT.params, X)

    def loss(b):
        odds = np.column_stack([np.zeros(len(U)), b[0] + b[1] * U])
        return -logsumexp(log_softmax(odds, axis=1) + density, axis=1).sum()

    best = minimize(loss, [0.0, 0.5], options={"gtol": 1e-6})
    found = emframe.predictors(FIT, X, U, method="two-step")
    assert found.estimates == pytest.approx(best.x, abs=1e-5)
    # Beside the one-step model, which fits the measurement with it.
    one = emframe.fit(
        emframe.Mixture("bernoulli", 2, weights=emframe.Gate(5)), np.column_stack([X, U]), rng=0
    )
    slope = one.params.gate.x5[1] * (1 if one.params.components.probs[0, 0] > 0.5 else -1)
    assert found.estimates[1] == pytest.approx(slope, abs=0.1)


def test_kinds_of_outcomes_agree_where_they_are_the_same():
    y = (Y > 1.0).astype(float)
    binary = emframe.outcomes(FIT, X, y, kind="binary")
    words = np.where(y == 1, "yes", "no")
    several = emframe.outcomes(FIT, X, words)
    assert several.labels == ("no", "yes", "no", "yes")
    assert several.estimates[1::2] == pytest.approx(binary.estimates, abs=1e-6)
    assert several.standard_errors[1::2] == pytest.approx(binary.standard_errors, rel=1e-4)
    assert several.tests[0].statistic == pytest.approx(binary.tests[0].statistic, rel=1e-3)
    counts = RNG.poisson(np.array([1.0, 4.0])[Z])
    bch = emframe.outcomes(FIT, X, counts, kind="count", method="bch")
    plain = emframe.outcomes(FIT, X, counts, method="bch")
    assert bch.estimates == pytest.approx(plain.estimates, abs=1e-6)


def test_weights_are_frequencies():
    times = np.random.default_rng(1).integers(0, 3, size=len(X))
    repeated = [np.repeat(one, times, axis=0) for one in (X, Y, U)]
    whole = emframe.fit(emframe.Mixture("bernoulli", 2), repeated[0], start=FIT.params)
    for act, own, again in (
        (emframe.outcomes, Y, repeated[1]),
        (emframe.predictors, U, repeated[2]),
    ):
        weighted = act(whole, X, own, weights=times)
        expected = act(whole, repeated[0], again)
        assert weighted.estimates == pytest.approx(expected.estimates, abs=1e-6)
        assert weighted.covariance == pytest.approx(expected.covariance, rel=1e-3, abs=1e-8)


def test_classes_without_error_are_groups():
    z = np.repeat([0, 1, 2], 50)
    x = np.column_stack([np.random.default_rng(3).normal(100.0 * z, 1.0)])
    y = np.random.default_rng(4).normal(z, 1.0)
    fit = emframe.fit(emframe.Mixture("gaussian", 3), x, start=z)
    for method in ("ml", "bch", "modal", "proportional", "two-step"):
        found = emframe.outcomes(fit, x, y, method=method)
        means = np.array([y[z == k].mean() for k in range(3)])
        sd = np.array([y[z == k].std() for k in range(3)])
        assert found.estimates == pytest.approx(means, abs=1e-6)
        assert found.standard_errors == pytest.approx(sd / np.sqrt(50), rel=1e-3)
        assert found.tests[0].df == 2
        assert [one.what for one in found.tests[1:]] == [
            "classes 0 and 1",
            "classes 0 and 2",
            "classes 1 and 2",
        ]
        gap = (means[1] - means[0]) ** 2 / ((sd[:2] ** 2).sum() / 50)
        assert found.tests[1].statistic == pytest.approx(gap, rel=1e-2)


def test_words_predict_by_indicators_and_tables_are_told():
    frame = pd.DataFrame({"u": U, "side": np.where(U > 0.5, "b", "a")})
    found = emframe.predictors(FIT, X, frame)
    assert found.labels == ("intercept", "u", "side_b")
    table = found.to_frame()
    assert list(table["term"]) == list(found.labels)
    assert (table["lower"] < table["estimate"]).all()
    assert "Wald test" in str(found)


@pytest.mark.deep
def test_errors_are_those_of_repeated_draws():
    estimates, told = [], []
    for seed in range(40):
        x, z, u, rng = drawn(100 + seed, 400)
        fit = emframe.fit(emframe.Mixture("bernoulli", 2), x, start=START)
        y = rng.normal(2.0 * z, 1.0)
        both = emframe.outcomes(fit, x, y), emframe.predictors(fit, x, u)
        estimates.append(np.concatenate([one.estimates for one in both]))
        told.append(np.concatenate([one.standard_errors for one in both]))
    truth = np.array([0.0, 2.0, 0.2, 1.0])
    spread = np.std(estimates, axis=0, ddof=1)
    assert np.mean(told, axis=0) == pytest.approx(spread, rel=0.35)  # 3 errors of a spread of 40
    assert (np.abs(np.mean(estimates, axis=0) - truth) < 3.5 * spread / np.sqrt(40)).all()


REFUSED = {
    "a method": (lambda: emframe.outcomes(FIT, X, Y, method="mlx"), ValueError, "expected 'ml'"),
    "a kind": (lambda: emframe.outcomes(FIT, X, Y, kind="gamma"), ValueError, "expected 'normal'"),
    "rows": (lambda: emframe.outcomes(FIT, X, Y[1:]), ValueError, "has 599 rows"),
    "a gap": (
        lambda: emframe.predictors(FIT, X, np.where(U > 2, np.nan, U)),
        ValueError,
        "missing",
    ),
    "no binary": (lambda: emframe.outcomes(FIT, X, Y, kind="binary"), ValueError, "0 and 1 alone"),
    "no count": (lambda: emframe.outcomes(FIT, X, Y, kind="count"), ValueError, "whole numbers"),
    "one word": (lambda: emframe.outcomes(FIT, X, ["a"] * 600), ValueError, "in every row"),
    "words for numbers": (
        lambda: emframe.outcomes(FIT, X, np.where(Y > 0, "a", "b"), kind="count"),
        TypeError,
        "is numbers",
    ),
    "runs": (
        lambda: emframe.outcomes(
            emframe.fit(
                emframe.model("hidden-markov", family="bernoulli", n_states=2), X, n_starts=1, rng=0
            ),
            X,
            Y,
        ),
        TypeError,
        "no class for each row",
    ),
    "no maximum": (
        lambda: emframe.outcomes(FIT, X, SHARES.argmax(axis=1), kind="binary", method="modal"),
        emframe.Degenerate,
        "no finite maximum",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_related_is_refused(name):
    act, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        act()
