"""Grades with a random effect: against clmm, dense quadrature, scipy, and binomial-mixed."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from scipy.special import logsumexp

import emframe
import emframe.testing
from emframe import Array, Sequences
from emframe.parameters import from_vector, to_vector

SETTINGS: dict[str, dict[str, Any]] = {
    "logit": {},
    "probit, all apart": {"link": "probit", "cuts": "each", "between": "each"},
    "no effect": {"random": (), "link": "probit"},
    "slope": {"random": "time", "common": ("sex",)},
}
every = pytest.mark.parametrize("setting", SETTINGS)


def people(n: int = 30, levels: int = 4) -> pd.DataFrame:
    """Two kinds of people, seen once to six times."""
    rng, rows = np.random.default_rng(3), []
    for who in range(n):
        times = np.sort(rng.uniform(0, 2, rng.integers(1, 7))).round(3)
        level = (1.5 - times if who % 3 == 0 else 0.8 * times) + 0.6 * rng.normal()
        cuts = np.linspace(-0.5, 1.5, levels - 1)
        y = (level[:, None] + rng.logistic(size=(len(times), 1)) * 0.6 > cuts).sum(axis=1)
        rows += [(who, *row, who % 2) for row in zip(y.astype(float), times, strict=True)]
    return pd.DataFrame(rows, columns=["who", "y", "time", "sex"])


@cache
def sample(n: int = 30, levels: int = 4) -> Sequences:
    return Sequences.by(people(n, levels), "who")


@cache
def fitted(setting: str, k: int = 2) -> emframe.Fit:
    model = emframe.Mixture("ordinal-mixed", k, **SETTINGS[setting])
    return emframe.fit(model, sample(), rng=0, n_starts=2)


GRID = np.linspace(-9, 9, 401)  # of u: the trapezoidal rule has all digits there


def dense(fit: emframe.Fit, params: Any) -> float:
    """The log-likelihood by scipy's distributions on a fine grid of u."""
    family, one, runs = fit.model.family, params.components, sample()
    law = stats.logistic if family.link == "logit" else stats.norm
    found = np.zeros((len(runs), len(params.weights)))
    for i, (first, length) in enumerate(zip(runs.firsts, runs.lengths, strict=True)):
        rows = runs.x.iloc[first : first + length].assign(intercept=1.0)
        y = rows.y.to_numpy(int)
        for k in range(found.shape[1]):
            names = ("intercept", *family.fixed, *family.common)
            eta = sum(getattr(one, name)[k] * rows[name].to_numpy() for name in names)[:, None]
            if family.random:
                d = np.sqrt(one.random_covariance[k, 0, 0])
                eta = eta + d * rows[family.random[0]].to_numpy()[:, None] * GRID
            ends = np.concatenate([[-np.inf, 0.0], np.cumsum(one.gaps[k]), [np.inf]])
            chance = law.cdf(ends[y + 1][:, None] - eta) - law.cdf(ends[y][:, None] - eta)
            whole = np.log(np.maximum(chance, 1e-300)).sum(axis=0)
            if family.random:
                step = np.log(GRID[1] - GRID[0])
                found[i, k] = logsumexp(whole + stats.norm.logpdf(GRID)) + step
            else:
                found[i, k] = whole[0]
    return float(logsumexp(found + np.log(params.weights), axis=1).sum())


@every
def test_it_is_the_maximum_of_the_integrals(setting: str) -> None:
    fit = fitted(setting)
    assert fit.converged
    at = to_vector(fit.params)
    assert fit.log_likelihood == pytest.approx(dense(fit, fit.params), abs=1e-6)
    away = from_vector(fit.params, at + 0.1 * np.random.default_rng(0).standard_normal(len(at)))
    there = emframe.fit(fit.model, sample(), start=away, max_iter=1)
    assert there.trace[0] == pytest.approx(dense(fit, away), abs=1e-6)

    if setting != "probit, all apart":
        return

    def loss(vector: Array) -> float:
        return -dense(fit, from_vector(fit.params, vector))

    end = optimize.minimize(loss, at, method="BFGS", options={"maxiter": 1, "gtol": 1e-3})
    assert -end.fun - fit.log_likelihood < 1e-5


CLMM = {
    "logit": (-154.87740649, [-1.755749, 0.296047, 1.775804], [0.283320, 0.230622], 0.873797),
    "probit": (-154.66971167, [-1.059308, 0.143789, 1.029827], [0.151863, 0.119680], 0.312844),
}


@pytest.mark.parametrize("link", CLMM)
def test_it_ends_where_clmm_does(link: str) -> None:
    """ordinal 2022.11-16, clmm(y ~ time + sex + (1 | who), nAGQ = 21)."""
    log_likelihood, thresholds, line, variance = CLMM[link]
    model = emframe.Mixture("ordinal-mixed", 1, fixed=("time", "sex"), link=link)
    fit = emframe.fit(model, sample())
    one = fit.params.components
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=1e-6)
    assert fit.n_parameters == 6
    found = np.concatenate([[0.0], np.cumsum(one.gaps[0])]) - one.intercept[0]
    assert found == pytest.approx(np.array(thresholds), abs=1e-3)
    assert [one.time[0], one.sex[0]] == pytest.approx(line, abs=1e-3)
    assert one.random_covariance[0, 0, 0] == pytest.approx(variance, abs=2e-3)


def test_the_kit_finds_nothing() -> None:
    few = sample(12)
    model = emframe.Mixture("ordinal-mixed", 2, levels=4, **SETTINGS["probit, all apart"])
    for result in emframe.testing.check_model(model, few):
        assert result.status != "failed", result


def test_of_two_grades_it_is_the_binomial_one() -> None:
    runs = sample(30, 2)
    two = emframe.fit(emframe.Mixture("ordinal-mixed", 1), runs)
    same = emframe.fit(emframe.Mixture("binomial-mixed", 1), runs)
    assert two.n_parameters == same.n_parameters
    assert two.log_likelihood == pytest.approx(same.log_likelihood, abs=1e-7)


def test_means_are_those_of_the_grades() -> None:
    fit = fitted("slope")
    found = fit.trajectories([0.5], given={"sex": 1.0})
    one = fit.params.components
    for k in range(2):
        eta = one.intercept[k] + 0.5 * one.time[k] + one.sex[k]
        eta = eta + 0.5 * np.sqrt(one.random_covariance[k, 0, 0]) * GRID
        ends = np.concatenate([[0.0], np.cumsum(one.gaps[k])])
        mean = stats.logistic.sf(ends[:, None] - eta).sum(axis=0)
        assert found.means[k, 0] == pytest.approx(
            float(mean @ stats.norm.pdf(GRID)) * (GRID[1] - GRID[0]), abs=1e-6
        )


def test_draws_have_the_chances_of_the_grades() -> None:
    fit = fitted("no effect")
    rows = np.column_stack([np.zeros(20_000), np.full(20_000, 0.7)])
    drawn = fit.model.family.given(rows).sample(
        fit.params.components, np.zeros(len(rows), int), np.random.default_rng(0)
    )
    one = fit.params.components
    ends = np.concatenate([[-np.inf, 0.0], np.cumsum(one.gaps[0]), [np.inf]])
    chances = np.diff(stats.norm.cdf(ends - one.intercept[0] - 0.7 * one.time[0]))
    shares = np.bincount(drawn[:, 0].astype(int), minlength=4) / len(rows)
    assert shares == pytest.approx(chances, abs=0.02)


def test_it_is_saved_and_read_again(tmp_path) -> None:
    fit = fitted("logit")
    fit.save(tmp_path / "a.fit")
    again = emframe.load(tmp_path / "a.fit")
    assert again.model.family == fit.model.family
    assert (again.predict(sample()) == fit.predict(sample())).all()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a link": ({"link": "cloglog"}, "'logit' or 'probit'"),
    "cuts": ({"cuts": "own"}, "'shared' or 'each'"),
    "levels": ({"levels": 1}, "2 or more"),
    "a name that is taken": ({"fixed": ("gaps",)}, "cannot be called"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_are_none_are_refused(case: str) -> None:
    settings, said = REFUSED[case]
    with pytest.raises(ValueError, match=said):
        emframe.Mixture("ordinal-mixed", 2, **settings)


def test_grades_with_gaps_are_refused() -> None:
    frame = people().assign(y=lambda one: 2.0 * one.y)
    with pytest.raises(ValueError, match="without gaps"):
        emframe.fit(emframe.Mixture("ordinal-mixed", 1), Sequences.by(frame, "who"))
