"""State space models against one joint Gaussian density of a whole series, and the kit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from emframe_statespace import StateSpace, StateSpaceParameters, paths
from scipy import optimize, stats
from scipy.special import log_expit, logsumexp

import emframe
from emframe.testing import check_model

PARAMS = StateSpaceParameters(
    np.array([0.8, 1.0]),
    np.array([[1.0, -2.0], [10.0, 0.0]]),
    np.array([[1.5, -0.7], [0.4, 0.0]]),
    np.array([[0.5, 2.0], [1.0, 0.1]]),
)


def joint(params: StateSpaceParameters, k: int, n: int) -> tuple[Any, Any, Any]:
    """Covariances of the states, of states with rows, and of rows laid end to end."""
    phi = params.persistence[k]
    powers = np.tril(phi ** np.maximum(np.subtract.outer(np.arange(n), np.arange(n)), 0))
    states = powers @ powers.T
    c = params.loadings[k]
    rows = np.kron(states, np.outer(c, c)) + np.kron(np.eye(n), np.diag(params.noise[k]))
    return states, np.kron(states, c[None]), rows


def brute(params: StateSpaceParameters, k: int, y: Any) -> float:
    rows = joint(params, k, len(y))[2]
    mean = np.tile(params.means[k], len(y))
    return float(stats.multivariate_normal(mean, rows).logpdf(np.ravel(y)))


def series(lengths: list[int], seed: int = 0, params: Any = PARAMS, k: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    family = StateSpace()
    runs = [family.sample(params, np.full(n, k), rng) for n in lengths]
    return emframe.Sequences(np.concatenate(runs), lengths)


def test_it_is_installed() -> None:
    assert isinstance(emframe.family("state-space"), StateSpace)


@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_everything_that_emframe_asks_of_a_model(gaps: float) -> None:
    model, runs = emframe.Mixture("state-space", 2), series([5, 3, 8, 1, 6, 4, 9, 7])
    x = np.where(np.random.default_rng(1).random(runs.x.shape) < gaps, np.nan, runs.x)
    results = check_model(model, emframe.Sequences(x, runs.lengths))
    assert not [str(one) for one in results if one.status == "failed"]


def test_density_and_states_are_those_of_the_joint_gaussian() -> None:
    runs = series([4, 1, 6])
    found, family = paths(PARAMS, runs), StateSpace()
    for s, (first, n) in enumerate(zip(runs.firsts, runs.lengths, strict=True)):
        y = runs.x[first : first + n]
        for k in (0, 1):
            states, cross, rows = joint(PARAMS, k, n)
            gain = np.linalg.solve(rows, cross.T).T
            mean = gain @ (np.ravel(y) - np.tile(PARAMS.means[k], n))
            left = states - gain @ cross.T
            square = left + np.outer(mean, mean)
            own = slice(first, first + n)
            assert found.log_density[s, k] == pytest.approx(brute(PARAMS, k, y), rel=1e-10)
            np.testing.assert_allclose(found.means[own, k], mean, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(found.variances[own, k], np.diag(left), rtol=1e-9)
            steps = [np.trace(square), np.trace(square, offset=1), np.trace(square[:-1, :-1])]
            np.testing.assert_allclose(found.steps[s, k], steps, rtol=1e-9, atol=1e-12)
            entropy = 0.5 * np.linalg.slogdet(2.0 * np.pi * np.e * left)[1]
            assert found.entropy[s, k] == pytest.approx(entropy, rel=1e-9)
    np.testing.assert_array_equal(family.log_density(PARAMS, runs), found.log_density)


def test_what_is_missing_is_left_out_of_the_joint_gaussian() -> None:
    runs = series([4, 1, 6])
    x = np.array(runs.x)
    x[[0, 2, 7], [1, 0, 0]] = x[8] = np.nan
    found = paths(PARAMS, emframe.Sequences(x, runs.lengths))
    for s, (first, n) in enumerate(zip(runs.firsts, runs.lengths, strict=True)):
        own, seen = slice(first, first + n), ~np.isnan(np.ravel(x[first : first + n]))
        y = np.ravel(x[own])[seen]
        for k in (0, 1):
            states, cross, rows = joint(PARAMS, k, n)
            cross, rows = cross[:, seen], rows[np.ix_(seen, seen)]
            mean = np.tile(PARAMS.means[k], n)[seen]
            law = stats.multivariate_normal(mean, rows)
            assert found.log_density[s, k] == pytest.approx(float(law.logpdf(y)), rel=1e-10)
            gain = np.linalg.solve(rows, cross.T).T
            left = states - gain @ cross.T
            np.testing.assert_allclose(
                found.means[own, k], gain @ (y - mean), rtol=1e-9, atol=1e-12
            )
            np.testing.assert_allclose(found.variances[own, k], np.diag(left), rtol=1e-9)


def test_series_with_gaps_end_at_a_direct_optimum() -> None:
    runs = series([25, 30, 20, 25, 15])
    x = np.where(np.random.default_rng(3).random(runs.x.shape) < 0.2, np.nan, runs.x)
    gaps = emframe.Sequences(x, runs.lengths)
    fit = emframe.fit(emframe.Mixture("state-space"), gaps, rng=0)
    assert fit.converged

    def loss(point: Any) -> float:
        return -float(StateSpace().log_density(as_params(point, 1, 2), gaps).sum())

    start = as_vector(fit.params.components)
    found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-4})
    assert fit.log_likelihood == pytest.approx(-found.fun, rel=1e-8)


FIELDS = ("persistence", "means", "loadings", "noise")


def as_vector(params: Any) -> Any:
    parts = (params.persistence, params.means, params.loadings, np.log(params.noise))
    return np.concatenate([np.ravel(one) for one in parts])


def as_params(point: Any, k: int, d: int) -> StateSpaceParameters:
    phi, rest = point[:k], point[k:].reshape(3, k, d)
    return StateSpaceParameters(phi, rest[0], rest[1], np.exp(rest[2]))


def test_one_component_is_a_direct_optimum() -> None:
    runs = series([25, 30, 20, 25, 15])
    fit = emframe.fit(emframe.Mixture("state-space"), runs, rng=0)
    assert fit.converged
    assert fit.n_parameters == 7

    def loss(point: Any) -> float:
        return -float(StateSpace().log_density(as_params(point, 1, 2), runs).sum())

    start = as_vector(fit.params.components)
    found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-4})
    assert fit.log_likelihood == pytest.approx(-found.fun, rel=1e-8)
    true = as_vector(StateSpaceParameters(*(getattr(PARAMS, one)[:1] for one in FIELDS)))
    other = optimize.minimize(loss, true, method="BFGS", options={"gtol": 1e-4})
    assert fit.log_likelihood == pytest.approx(-other.fun, rel=1e-8)


def test_two_clusters_of_series_are_a_direct_optimum() -> None:
    runs = [series([12] * 14, 1, k=0), series([12] * 10, 2, k=1)]
    both = emframe.Sequences(np.concatenate([one.x for one in runs]), [12] * 24)
    fit = emframe.fit(emframe.Mixture("state-space", 2), both, rng=0, n_starts=4)
    assert fit.converged
    labels = fit.predict(both)
    assert len(set(labels[:14])) == len(set(labels[14:])) == 1

    def loss(point: Any) -> float:
        share = log_expit(np.array([point[0], -point[0]]))
        density = StateSpace().log_density(as_params(point[1:], 2, 2), both) + share
        return -float(logsumexp(density, axis=1).sum())

    weights = fit.params.weights
    start = np.append(np.log(weights[0] / weights[1]), as_vector(fit.params.components))
    assert -loss(start) == pytest.approx(fit.log_likelihood, rel=1e-10)
    found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-3})
    assert fit.log_likelihood == pytest.approx(-found.fun, rel=1e-8)


def test_a_column_without_noise_is_told() -> None:
    family = StateSpace()
    runs = emframe.Sequences(np.full((6, 1), 3.0), [6])
    with pytest.raises(emframe.Degenerate, match="without noise"):
        family.m_step(family.accumulate(runs, np.ones((1, 1))), None)
    fit = emframe.fit(emframe.Mixture("state-space"), series([10, 12, 8, 9]), rng=0)
    assert fit.status is emframe.Status.DEGENERATE
    assert "column 0 of component 0 is its state" in fit.message


def test_units_origins_and_weights_of_series() -> None:
    runs, model = series([25, 30, 20, 25]), emframe.Mixture("state-space")
    plain = emframe.fit(model, runs, rng=0)
    moved = emframe.Sequences(1e6 * runs.x - 1e9, runs.lengths)
    fit = emframe.fit(model, moved, rng=0)
    shifted = plain.log_likelihood - runs.x.size * np.log(1e6)
    assert fit.log_likelihood == pytest.approx(shifted, abs=1e-6)
    twice = emframe.Sequences(np.concatenate([runs.x, runs.x[:25]]), [25, 30, 20, 25, 25])
    weighted = emframe.fit(model, runs, weights=[2, 1, 1, 1], rng=0).log_likelihood
    assert emframe.fit(model, twice, rng=0).log_likelihood == pytest.approx(weighted, abs=1e-7)
