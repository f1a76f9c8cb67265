"""A normal prior on a gate's coefficients, against the posterior written out."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from scipy.stats import multivariate_normal, poisson

import emframe
from emframe.latents.ridge import normal_prior
from emframe.parameters import from_vector, to_vector

RNG = np.random.default_rng(1)
N, K = 150, 3
U = RNG.normal(size=(N, 2)) * [7.0, 0.1] + [50.0, 3.0]
Z = (U[:, 0] > 52).astype(int) + (U[:, 0] > 57)
X = np.column_stack([RNG.poisson(np.array([1, 12, 60])[Z]), U])
MODEL = emframe.Mixture("poisson", K, weights=emframe.Gate(1, 2))
RIDGE = emframe.Ridge(scale=1.5, intercept_scale=4.0)


def gate_of(params):
    return np.stack(list(vars(params.gate).values()), axis=1)  # (K, p)


def log_prior(b, scales, u=U):
    """Differences of independent normals, in units of deviations about the means."""
    mean, deviation = u.mean(axis=0), u.std(axis=0)
    own = np.column_stack([b[:, 0] + b[:, 1:] @ mean, b[:, 1:] * deviation])
    apart, k = own[1:] - own[0], len(b)
    shape = (np.eye(k - 1) + 1.0) / 2.0
    density = sum(
        multivariate_normal.logpdf(apart[:, j], cov=shape * scale**2)
        for j, scale in enumerate(scales)
    )
    return density + (k - 1) * np.log(deviation).sum()


@pytest.fixture(scope="module")
def ridged():
    return emframe.fit(MODEL, X, rng=0, prior=RIDGE, tol=1e-10, n_starts=4)


def test_separation_has_a_maximum_under_it(ridged):
    apart = emframe.fit(MODEL, X, rng=0, n_starts=2)
    assert apart.status is emframe.Status.SEPARATED
    assert "prior='ridge'" in apart.message
    assert ridged.converged, ridged.message
    assert ridged.log_prior == pytest.approx(log_prior(gate_of(ridged.params), (4, 1.5, 1.5)))


def test_the_maximum_is_that_of_the_posterior(ridged):
    def objective(params):
        prior = log_softmax(np.column_stack([np.ones(N), U]) @ gate_of(params).T, axis=1)
        density = poisson.logpmf(X[:, :1], params.components.rates[:, 0])
        own = log_prior(gate_of(params), (4, 1.5, 1.5))
        return logsumexp(prior + density, axis=1).sum() + own

    assert ridged.objective == pytest.approx(objective(ridged.params), rel=1e-10)
    flat = to_vector(ridged.params)
    best = minimize(
        lambda v: -objective(from_vector(ridged.params, v)),
        flat * 1.001,
        jac="3-point",
        options={"gtol": 1e-6},
    )
    assert ridged.objective == pytest.approx(-best.fun, abs=1e-7)


def test_it_has_no_first_component_and_no_units(ridged):
    order = np.array([2, 0, 1])
    b = gate_of(ridged.params)[order]
    told = dict(zip(vars(ridged.params.gate), (b - b[0]).T, strict=True))
    start = {"gate": told, "rates": ridged.params.components.rates[order]}
    again = emframe.fit(MODEL, X, start=start, prior=RIDGE, max_iter=1)
    assert again.trace[0] == pytest.approx(ridged.objective, rel=1e-12)
    other = X * [1.0, 1e6, 1e-6]
    scaled = emframe.fit(MODEL, other, rng=0, prior=RIDGE, n_starts=4)
    assert scaled.log_likelihood == pytest.approx(ridged.log_likelihood, abs=1e-6)
    assert scaled.score_samples(other) == pytest.approx(ridged.score_samples(X), abs=1e-5)


def test_weights_are_frequencies(ridged):
    times = np.random.default_rng(5).integers(0, 3, size=N)
    options = {"start": ridged.params, "prior": RIDGE}
    weighted = emframe.fit(MODEL, X, weights=times, **options)
    repeated = emframe.fit(MODEL, np.repeat(X, times, axis=0), **options)
    assert weighted.objective == pytest.approx(repeated.objective, abs=1e-8)


def test_the_names_of_priors_take_in_the_gate():
    rows = np.column_stack([X[:, 0] + RNG.normal(size=N), U])
    model = emframe.Mixture("gaussian", 2, weights=emframe.Gate(1))
    assert model.priors == ("weak", "ridge")
    for name, ridge in (("ridge", emframe.Ridge()), ("weak", emframe.Ridge(components="weak"))):
        by_name, by_hand = (
            emframe.fit(model, rows, rng=0, n_starts=2, prior=prior) for prior in (name, ridge)
        )
        assert by_name.objective == by_hand.objective
    assert by_name.log_prior != pytest.approx(0.0)


def test_a_fit_is_saved_with_it(ridged, tmp_path):
    ridged.save(tmp_path / "one.fit")
    assert emframe.load(tmp_path / "one.fit").prior == RIDGE


def test_in_chains_each_logit_has_it():
    rows = emframe.Sequences(RNG.normal(size=(40, 4)), [10] * 4)
    model = emframe.model(
        "hidden-markov",
        family="gaussian",
        n_states=2,
        initial=emframe.Gate(1),
        transitions=emframe.Gate(2, 3),
    )
    fit = emframe.fit(model, rows, rng=0, n_starts=2, prior=RIDGE)
    assert fit.converged, fit.message
    x = rows.x
    begin = np.stack(list(vars(fit.params.initial).values()), axis=-1)
    steps = np.stack(list(vars(fit.params.transitions).values()), axis=-1)
    later = np.delete(x, [0, 10, 20, 30], axis=0)[:, 2:]
    expected = log_prior(begin, (4, 1.5), x[::10, 1:2])
    expected += sum(log_prior(own, (4, 1.5, 1.5), later) for own in steps)
    assert fit.log_prior == pytest.approx(expected)


def test_the_density_integrates_to_1():
    root = np.linalg.qr(np.column_stack([np.ones(N), U[:, :1]]), mode="r")
    prior = normal_prior(RIDGE, 2, root)
    covariance = np.linalg.inv(prior.precision)
    b = np.array([[0.0, 0.0], [0.3, -0.01]])
    expected = multivariate_normal.logpdf(b[1], cov=covariance)
    assert prior.value(b) + prior.log_constant == pytest.approx(expected)


REFUSED = {
    "no scale": (lambda: emframe.Ridge(scale=0.0), "above 0"),
    "no number": (lambda: emframe.Ridge(intercept_scale="wide"), "above 0"),
    "no gate": (lambda: emframe.fit(emframe.Mixture("poisson", 2), X[:, :1], prior=RIDGE), "gates"),
    "a name": (lambda: emframe.fit(MODEL, X, prior="strong"), "knows: 'weak', 'ridge'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_ridge_is_refused(name):
    act, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        act()
