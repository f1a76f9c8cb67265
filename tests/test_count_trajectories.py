"""Counts with a random effect: against dense quadrature, scipy, and regressions without one."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings as profile
from scipy import optimize, stats
from scipy.special import expit, logsumexp

import emframe
import emframe.testing
from emframe import Array, Sequences
from emframe.parameters import from_vector, to_vector

COLUMNS = ("y", "time", "m")
BESIDE = {"poisson-mixed": "offset", "binomial-mixed": "trials"}
SETTINGS: dict[str, dict[str, Any]] = {
    "level": {},
    "slope": {"random": "time"},
    "each": {"between": "each", "fixed": (), "common": ("time",)},
    "none": {"random": ()},
}
DEEP = profile.default.max_examples >= 200
few = pytest.mark.parametrize("setting", SETTINGS if DEEP else ("each",))
every = pytest.mark.parametrize("setting", SETTINGS)
kinds = pytest.mark.parametrize("name", BESIDE)


@cache
def sample(name: str, n: int = 40) -> Sequences:
    """Two kinds of people, seen once to seven times."""
    rng, rows = np.random.default_rng(0), []
    for person in range(n):
        times = np.sort(rng.uniform(0, 2, rng.integers(1, 8)))
        eta = (1.5 - 0.8 * times if person % 3 == 0 else 0.2 + 0.6 * times) + 0.7 * rng.normal()
        if name == "poisson-mixed":
            m = rng.normal(size=len(times)).round(2)
            y = rng.poisson(np.exp(eta + m))
        else:
            m = rng.integers(1, 6, len(times))
            y = rng.binomial(m, expit(eta - 0.5))
        rows += [(person, *row) for row in zip(y, times, m, strict=True)]
    return Sequences.by(pd.DataFrame(rows, columns=("who", *COLUMNS)), "who")


def mixture(name: str, setting: str, k: int = 2) -> emframe.Mixture:
    return emframe.Mixture(name, k, **{BESIDE[name]: "m"}, **SETTINGS[setting])


GRID = np.linspace(-9, 9, 601)  # of u: the trapezoidal rule has all digits there


def dense(model: emframe.Mixture, params: Any, runs: Sequences) -> Array:
    """Log density of each person, (N, K), by scipy's densities on a fine grid of u."""
    family, one = model.family, params.components
    found = np.zeros((len(runs), model.n_components))
    for i, (first, length) in enumerate(zip(runs.firsts, runs.lengths, strict=True)):
        part = runs.x.iloc[first : first + length].assign(intercept=1.0)
        for k in range(model.n_components):
            own = ("intercept", *family.fixed, *family.common)
            eta = sum(getattr(one, term)[k] * part[term].to_numpy() for term in own)
            eta = np.broadcast_to(eta[:, None], (length, len(GRID)))
            if family.random:
                d = np.sqrt(one.random_covariance[k, 0, 0])
                eta = eta + d * part[family.random[0]].to_numpy()[:, None] * GRID
            y, m = part.y.to_numpy()[:, None], part.m.to_numpy()[:, None]
            if model.family.name == "poisson-mixed":
                log_f = stats.poisson.logpmf(y, np.exp(eta + m))
            else:
                log_f = stats.binom.logpmf(y, m, expit(eta))
            whole = log_f.sum(axis=0) + stats.norm.logpdf(GRID)
            found[i, k] = logsumexp(whole) + np.log(GRID[1] - GRID[0])
    return found


def some_params(model: emframe.Mixture, runs: Sequences) -> Any:
    rows = model.rows(runs)
    start = next(model.starts(rows, np.random.default_rng(0)))[1]
    at = to_vector(start)
    return from_vector(start, at + 0.1 * np.random.default_rng(1).standard_normal(len(at)))


@kinds
@every
def test_the_density_is_the_integral(name: str, setting: str) -> None:
    model, runs = mixture(name, setting), sample(name)
    params = some_params(model, runs)
    found = model.family.log_density(params.components, model.rows(runs).x)
    assert found == pytest.approx(dense(model, params, runs), rel=1e-6, abs=1e-6)


@kinds
def test_more_nodes_make_the_error_smaller(name: str) -> None:
    runs, errors = sample(name), []
    for n in (1, 3, 9, 27):
        model = emframe.Mixture(name, 2, n_nodes=n, **{BESIDE[name]: "m"})
        params = some_params(mixture(name, "level"), runs)
        found = model.family.log_density(params.components, model.rows(runs).x)
        errors.append(np.abs(found - dense(model, params, runs)).max())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-8


@kinds
@every
@pytest.mark.parametrize("k", [1, 2] if DEEP else [2])
def test_the_kit_finds_nothing(name: str, setting: str, k: int) -> None:
    for result in emframe.testing.check_model(mixture(name, setting, k), sample(name)):
        assert result.status != "failed", result


@kinds
@few
def test_it_is_the_maximum_of_the_integrals(name: str, setting: str) -> None:
    """Climbed by scipy from where it ended, by the fine grid alone: there is nothing higher."""
    model, runs = mixture(name, setting), sample(name)
    fit = emframe.fit(model, runs, rng=0, n_starts=3)

    def marginal(vector: Array) -> float:
        params = from_vector(fit.params, vector)
        return float(logsumexp(dense(model, params, runs) + np.log(params.weights), axis=1).sum())

    at = to_vector(fit.params)
    assert fit.log_likelihood == pytest.approx(marginal(at), abs=1e-5)
    end = optimize.minimize(
        lambda v: -marginal(v), at, method="BFGS", options={"maxiter": 3, "gtol": 1e-3}
    )
    assert -end.fun - fit.log_likelihood < 1e-5


@kinds
def test_without_random_effects_it_is_the_regression(name: str) -> None:
    runs = sample(name)
    regression = name.replace("mixed", "regression")
    fit = emframe.fit(mixture(name, "none", 1), runs)
    plain = emframe.Mixture(regression, 1, response="y", predictors="time", **{BESIDE[name]: "m"})
    same = emframe.fit(plain, runs.x)
    assert fit.log_likelihood == pytest.approx(same.log_likelihood, abs=1e-7)
    assert fit.params.components.time == pytest.approx(same.params.components.time, abs=1e-5)


@kinds
def test_random_effects_and_means_are_those_of_the_integral(name: str) -> None:
    model, runs = mixture(name, "level", 1), sample(name)
    fit = emframe.fit(model, runs)
    found = fit.random_effects(runs)
    one = fit.params.components
    d = np.sqrt(one.random_covariance[0, 0, 0])
    part = runs.x.iloc[runs.firsts[3] : runs.firsts[3] + runs.lengths[3]]
    eta = one.intercept[0] + one.time[0] * part.time.to_numpy()[:, None] + d * GRID
    y, m = part.y.to_numpy()[:, None], part.m.to_numpy()[:, None]
    poisson = name == "poisson-mixed"
    log_f = stats.poisson.logpmf(y, np.exp(eta + m)) if poisson else stats.binom.logpmf(
        y, m, expit(eta)
    )  # fmt: skip
    shares = np.exp(log_f.sum(axis=0) + stats.norm.logpdf(GRID))
    shares /= shares.sum()
    assert found.by_component[3, 0, 0] == pytest.approx(d * shares @ GRID, rel=1e-5)
    given = shares @ (np.exp(eta + m) if poisson else m * expit(eta)).T
    visits = runs.firsts[3] + np.arange(runs.lengths[3])
    told = fit.forecast(runs, runs).to_numpy()[visits]
    assert told[:, 0] == pytest.approx(given, rel=1e-5)
    assert fit.visit_residuals(runs).subject_mean.to_numpy()[visits] == pytest.approx(
        given, rel=1e-5
    )
    prior = stats.norm.pdf(GRID) * (GRID[1] - GRID[0])
    beside = 0.0 if poisson else 4.0
    eta = one.intercept[0] + one.time[0] * 1.0 + d * GRID
    mean = prior @ (np.exp(eta) if poisson else 4 * expit(eta))
    courses = fit.trajectories([1.0], given={"m": beside})
    assert courses.means[0, 0] == pytest.approx(mean, rel=1e-6)


@kinds
def test_draws_have_the_mean_of_the_fit(name: str) -> None:
    fit = emframe.fit(mixture(name, "level", 1), sample(name))
    row = np.array([[0.0, 1.0, 3.0 if name == "binomial-mixed" else 0.0]])
    family, rng = fit.model.family.given(row), np.random.default_rng(0)
    drawn = [family.sample(fit.params.components, [0], rng)[0, 0] for _ in range(8000)]
    mean, deviation = family.response_at(fit.params.components, row)
    assert np.mean(drawn) == pytest.approx(mean[0, 0], abs=5 * deviation[0, 0] / np.sqrt(8000))
    assert np.std(drawn) == pytest.approx(deviation[0, 0], rel=0.1)


@kinds
def test_a_variance_of_zero_is_reached(name: str) -> None:
    """Counts that vary less than chance has it leave nothing to random effects."""
    time = np.tile(np.arange(3.0), 20)
    y, m = (2 + time, 0 * time) if name == "poisson-mixed" else (2 + 0 * time, 4 + 0 * time)
    runs = Sequences(pd.DataFrame({"y": y, "time": time, "m": m}), np.full(20, 3))
    fit = emframe.fit(mixture(name, "level", 1), runs)
    assert fit.converged
    assert fit.params.components.random_covariance[0, 0, 0] < 1e-6


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "two random terms": ({"random": ("intercept", "time")}, ValueError, "takes one term"),
    "no nodes": ({"n_nodes": 0}, ValueError, "whole number"),
    "an unknown between": ({"between": "proportional"}, ValueError, "'shared' or 'each'"),
    "the column beside as a term": ({"offset": "time"}, ValueError, "cannot be in a term too"),
    "a response by number": ({"response": 0}, TypeError, "name of a column"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_are_none_are_refused(case: str) -> None:
    settings, kind, said = REFUSED[case]
    with pytest.raises(kind, match=said):
        emframe.Mixture("poisson-mixed", 2, **settings)
