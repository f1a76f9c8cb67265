"""Classes of several populations, against fits of each alone and likelihoods written out."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logsumexp, xlogy
from scipy.stats import norm

import emframe
from emframe.parameters import to_vector
from emframe.spaces import Positive, UnitInterval
from emframe.spaces.groups import Common

RNG = np.random.default_rng(0)
N = 400
G = RNG.integers(0, 2, N)
Z = (RNG.random(N) < np.array([0.3, 0.6])[G]).astype(int)
PROBS = np.array([[[0.9, 0.8, 0.85, 0.9], [0.9, 0.8, 0.85, 0.5]], [[0.2, 0.1, 0.2, 0.1]] * 2])
ITEMS = (RNG.random((N, 4)) < PROBS[Z, G]).astype(float)
X = np.column_stack([G, ITEMS])
Y = RNG.normal(np.array([[0.0, 1.0], [6.0, 8.0]])[Z, G], 1.0 + Z)
FRAME = pd.DataFrame(ITEMS, columns=list("abcd")).assign(land=np.array(["fr", "uk"])[G])
GATE = emframe.Gate(0)


def fitted(family, x=X, gate=GATE, k=2, **options):
    options = {"rng": 0, "n_starts": 4, **options}
    return emframe.fit(emframe.Mixture(family, k, weights=gate), x, **options)


def test_with_nothing_equal_it_is_a_fit_of_each_group():
    whole = fitted(emframe.MultiGroup("bernoulli"))
    each = [
        emframe.fit(emframe.Mixture("bernoulli", 2), ITEMS[g == G], rng=0, n_starts=4)
        for g in (0, 1)
    ]
    assert whole.log_likelihood == pytest.approx(sum(f.log_likelihood for f in each), abs=1e-6)
    assert whole.n_parameters == sum(fit.n_parameters for fit in each)
    assert np.shape(whole.params.components.probs) == (2, 2, 4)


def test_with_all_equal_there_are_no_groups():
    one = fitted(emframe.MultiGroup("bernoulli", equal="probs"), n_starts=2)
    other = fitted("bernoulli", n_starts=2)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-7)
    assert one.n_parameters == other.n_parameters
    assert (one.params.components.probs[:, 0] == one.params.components.probs[:, 1]).all()


def test_the_maximum_is_that_of_the_likelihood():
    rows = np.column_stack([G, Y])
    fit = fitted(emframe.MultiGroup("gaussian", equal="covariances"), rows, gate=None, tol=1e-11)
    assert fit.n_parameters == 1 + 4 + 2

    def loss(b):
        share = np.array([expit(-b[0]), expit(b[0])])
        means, scales = b[1:5].reshape(2, 2), np.exp(b[5:])
        joint = np.log(share) + norm.logpdf(Y[:, None], means[:, G].T, scales)
        return -logsumexp(joint, axis=1).sum()

    own = fit.params.components
    scales = np.log(own.covariances[:, 0, 0, 0]) / 2
    odds = np.log(fit.params.weights[1] / fit.params.weights[0])
    at = np.concatenate([[odds], own.means.ravel(), scales])
    assert fit.log_likelihood == pytest.approx(-loss(at), rel=1e-11)
    best = minimize(loss, at * 1.001 + 0.001, jac="3-point", options={"gtol": 1e-7})
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-8)
    again = fitted(
        emframe.MultiGroup("gaussian", equal="covariances"),
        rows * [1.0, 1e-6],
        gate=None,
        start=fit.predict_proba(rows),
    )
    assert again.log_likelihood == pytest.approx(fit.log_likelihood + N * np.log(1e6), abs=1e-5)


def product(own):
    return emframe.Product({("a", "b", "c"): "bernoulli", own[0]: own[1]})


def test_some_columns_may_differ_and_words_tell_the_groups(tmp_path):
    gate = emframe.Gate("land")
    part = product((("land", "d"), emframe.MultiGroup("bernoulli")))
    fit = fitted(part, FRAME, gate)
    same = fitted(product(("d", "bernoulli")), FRAME, gate)
    test = fit.test(same)
    assert test.df == 2
    assert test.statistic == pytest.approx(2 * (fit.log_likelihood - same.log_likelihood))
    own = fit.params.components
    density = sum(
        xlogy(x[:, None], p) + xlogy(1 - x[:, None], 1 - p)
        for x, p in [
            *((ITEMS[:, j], own.a_b_c.probs[:, j]) for j in range(3)),
            (ITEMS[:, 3], own.land_d.probs[:, G, 0].T),
        ]
    )
    b = np.stack(list(vars(fit.params.gate).values()), axis=1)
    odds = np.column_stack([np.ones(N), G]) @ b.T
    prior = odds - logsumexp(odds, axis=1, keepdims=True)
    assert fit.log_likelihood == pytest.approx(logsumexp(prior + density, axis=1).sum(), rel=1e-10)
    fit.save(tmp_path / "one.fit")
    back = emframe.load(tmp_path / "one.fit")
    assert np.array_equal(back.score_samples(FRAME[::2]), fit.score_samples(FRAME[::2]))
    errors = fit.standard_errors(FRAME)
    assert np.isfinite(errors.params.components.land_d.probs).all()


def test_weights_are_frequencies_and_draws_are_of_the_groups():
    start = fitted(emframe.MultiGroup("bernoulli")).params
    times = np.random.default_rng(5).integers(0, 3, size=N)
    weighted = fitted(emframe.MultiGroup("bernoulli"), weights=times, start=start)
    repeated = fitted(emframe.MultiGroup("bernoulli"), np.repeat(X, times, axis=0), start=start)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, abs=1e-8)
    assert to_vector(weighted.params) == pytest.approx(to_vector(repeated.params), abs=1e-4)
    rows, z = weighted.sample(4000, 0, labels=True, given=X[G == 1])
    assert (rows[:, 0] == 1).all()
    k = z == 0
    wanted = weighted.params.components.probs[0, 1]
    assert np.abs(rows[k, 1:].mean(axis=0) - wanted).max() < 4 * 0.5 / np.sqrt(k.sum())


def test_a_family_that_names_its_columns_has_the_group_by_name():
    frame = pd.DataFrame({"y": Y, "x": RNG.normal(size=N), "g": G})
    regression = {"response": "y", "predictors": ("x",)}
    family = emframe.MultiGroup("gaussian-regression", by="g", **regression)
    fit = emframe.fit(emframe.Mixture(family, 1), frame, rng=0)
    each = sum(
        emframe.fit(
            emframe.Mixture("gaussian-regression", 1, **regression), part, rng=0
        ).log_likelihood
        for _, part in frame.groupby("g")
    )
    assert fit.log_likelihood == pytest.approx(each, rel=1e-10)


REFUSED = {
    "a name without names": (lambda: emframe.MultiGroup("poisson", by="g"), TypeError, "a place"),
    "no field": (
        lambda: emframe.MultiGroup("poisson", equal="means"),
        (TypeError, ValueError),
        "means",
    ),
    "no groups": (lambda: emframe.MultiGroup("poisson", n_groups=0), ValueError, "above 0"),
    "runs": (
        lambda: emframe.MultiGroup(emframe.Grouped("poisson")),
        TypeError,
        "a Family of rows",
    ),
    "a group without rows": (
        lambda: fitted(emframe.MultiGroup("bernoulli"), np.column_stack([2 * G, ITEMS]), None),
        ValueError,
        "no row of group 1",
    ),
    "no codes": (
        lambda: fitted(emframe.MultiGroup("bernoulli"), np.column_stack([G / 2, ITEMS]), None),
        ValueError,
        "column 0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_are_no_groups_is_refused(name):
    act, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        act()


@pytest.mark.parametrize(("space", "n_axes"), [(UnitInterval(), 1), (Positive(), 0)])
def test_what_members_have_in_common_goes_there_and_back(space, n_axes):
    shape = (3, 2, 4) if n_axes else (3, 2)
    common = Common(space, n_axes)
    vector = RNG.normal(size=common.n_coordinates(shape))
    values = common.point(vector, shape)
    assert values.shape == shape
    assert (values[:, 0] == values[:, 1]).all()
    assert common.point(common.coordinates(values), shape) == pytest.approx(values)
    assert np.asarray(common.contains(values)).all()
