"""Residuals that are correlated in time: against nlme, dense densities, scipy, and symmetries."""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats
from scipy.special import logsumexp
from test_growth import ORTHODONT, SLEEP, data, people

import emframe
import emframe.testing
from emframe import Array, Sequences, Status
from emframe.parameters import from_vector, to_vector

# nlme 3.1.162: log-likelihood by ML, and what it prints of the residuals.  Of unstructured ones the
# first deviation, and of the others nlme's Phi, or Rho.
NLME: dict[str, tuple[str, dict[str, Any], float, float]] = {
    "ar1": ("orthodont", {**ORTHODONT, "random": (), "residual": "ar1"}, -227.11126758, 0.83131492),
    "compound": ("orthodont", {**ORTHODONT, "random": (), "residual": "compound"},
        -221.69477105, 0.67961736),
    "unstructured": ("orthodont", {**ORTHODONT, "random": (), "residual": "unstructured"},
        -215.85385944, 2.40274721),
    "ar1 beside levels": ("sleepstudy", {**SLEEP, "residual": "ar1"}, -872.4150448430, 0.64142391),
    "ar1 at uneven times": ("paquid_bvrt", {"response": "BVRT", "fixed": ("age65",),
        "common": ("CEP",), "random": (), "residual": "ar1"}, -4180.3205568614, 0.05193864),
}  # fmt: skip


@pytest.mark.parametrize("case", NLME)
def test_it_ends_where_nlme_does(case: str) -> None:
    name, settings, log_likelihood, printed = NLME[case]
    fit = emframe.fit(emframe.Mixture("linear-mixed", 1, **settings), data(name))
    one = fit.params.components
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=1e-6)
    found = {
        "ar1": lambda: np.exp(-1.0 / one.range[0]),
        "compound": lambda: one.correlation[0],
        "unstructured": lambda: np.sqrt(one.residual_covariance[0, 0, 0]),
    }[settings["residual"]]()
    assert found == pytest.approx(printed, rel=1e-4)


SETTINGS: dict[str, dict[str, Any]] = {
    "ar1": {"residual": "ar1", "random": ()},
    "ar1, all apart": {
        "residual": "ar1",
        "sigma": "each",
        "between": "each",
        "random": ("time",),
        "common": ("sex",),
    },
    "compound, slope": {"residual": "compound", "random": ("time",), "sigma": "each"},
    "unstructured": {"residual": "unstructured", "random": (), "along": "visit"},
    "unstructured, each": {
        "residual": "unstructured",
        "random": (),
        "sigma": "each",
        "along": "visit",
    },
}
every = pytest.mark.parametrize("setting", SETTINGS)


@cache
def frame() -> pd.DataFrame:
    made = people(36)
    made = made[made.groupby("who").cumcount() < 3]
    visit = made.groupby("who").cumcount().astype(float)
    made = made.assign(visit=np.where((made.who % 5 == 0) & (visit == 1), 2.0, visit))
    return made[~made.duplicated(["who", "visit"])]


def sample(of: pd.DataFrame | None = None) -> Sequences:
    return Sequences.by(frame() if of is None else of, "who")


@cache
def fitted(setting: str) -> emframe.Fit:
    model = emframe.Mixture("linear-mixed", 2, **SETTINGS[setting])
    return emframe.fit(model, sample(), rng=0, n_starts=2)


def dense(fit: emframe.Fit, params: Any) -> float:
    """The log-likelihood by covariance matrices of all visits of each person."""
    family, one, runs = fit.model.family, params.components, sample()
    found = np.zeros((len(runs), 2))
    for i, (first, length) in enumerate(zip(runs.firsts, runs.lengths, strict=True)):
        rows = runs.x.iloc[first : first + length].assign(intercept=1.0)
        away = np.abs(rows.time.to_numpy()[:, None] - rows.time.to_numpy())
        visit = rows.visit.to_numpy().astype(int)
        z = rows[list(family.random)].to_numpy(float)
        for k in range(2):
            if family.residual == "unstructured":
                cov = one.residual_covariance[k][np.ix_(visit, visit)]
            else:
                alike: Array = (
                    np.exp(-away / one.range[k])
                    if family.residual == "ar1"
                    else np.where(away == 0.0, 1.0, one.correlation[k])
                )
                cov = one.sigma[k] ** 2 * alike
            if family.random:
                cov = cov + z @ one.random_covariance[k] @ z.T
            names = family.terms.coefficients
            mean = sum(getattr(one, name)[k] * rows[name].to_numpy(float) for name in names)
            found[i, k] = stats.multivariate_normal.logpdf(rows.y, mean, cov)
    return float(logsumexp(found + np.log(params.weights), axis=1).sum())


@pytest.mark.parametrize("setting", ["ar1", "unstructured"])
def test_it_is_the_maximum_of_the_dense_likelihood(setting: str) -> None:
    fit = fitted(setting)
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(dense(fit, fit.params), rel=1e-11)
    at = to_vector(fit.params)
    end = optimize.minimize(
        lambda v: -dense(fit, from_vector(fit.params, v)), at, method="BFGS", options={"maxiter": 1}
    )
    assert -end.fun - fit.log_likelihood < 1e-8 * abs(fit.log_likelihood)


@pytest.mark.parametrize("setting", ["ar1, all apart", "compound, slope", "unstructured"])
def test_the_kit_finds_nothing(setting: str) -> None:
    few = sample(frame()[frame().who < 14])
    model = emframe.Mixture("linear-mixed", 2, **SETTINGS[setting]).settled(few)
    for result in emframe.testing.check_model(model, few):
        assert result.status != "failed", result


@pytest.mark.parametrize("setting", ["ar1", "unstructured"])
def test_no_order_of_rows_and_no_unit_matters(setting: str) -> None:
    fit, model = fitted(setting), emframe.Mixture("linear-mixed", 2, **SETTINGS[setting])
    shuffled = sample(frame().sample(frac=1.0, random_state=1))
    again = emframe.fit(model, shuffled, start=fit.params)
    assert again.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-6)
    other = frame().assign(y=1e6 * frame().y, time=1e-3 * frame().time)
    far = emframe.fit(model, sample(other), rng=0, n_starts=2)
    expected = fit.log_likelihood - len(sample().x) * np.log(1e6)
    assert far.log_likelihood == pytest.approx(expected, abs=1e-3)


def test_effects_are_posterior_means() -> None:
    """D Z' V^-1 (y - X beta), by matrices over all visits."""
    fit = fitted("ar1, all apart")
    one, found = fit.params.components, fit.random_effects(sample())
    for i in (0, 4):
        first, length = sample().firsts[i], sample().lengths[i]
        rows = sample().x.iloc[first : first + length]
        time = rows.time.to_numpy()
        for k in range(2):
            away = np.abs(time[:, None] - time)
            cov = one.sigma[k] ** 2 * np.exp(-away / one.range[k])
            d = one.random_covariance[k, 0, 0]
            left = rows.y - one.intercept[k] - one.time[k] * time - one.sex[k] * rows.sex
            gain = d * time @ np.linalg.inv(cov + d * np.outer(time, time))
            assert found.by_component[i, k, 0] == pytest.approx(gain @ left, rel=1e-7)


@every
def test_draws_have_the_covariance_of_visits(setting: str) -> None:
    fit = fitted(setting)
    rows = sample().x.iloc[:3][list(fit.columns)].to_numpy(float, copy=True)
    place = fit.columns.index("visit" if "visit" in fit.columns else "time")
    rows[:, place] = [1.0, 0.0, 2.0]
    family, rng = fit.model.family.given(rows), np.random.default_rng(0)
    one = fit.params.components
    drawn = np.array([family.errors(one, rows, 0, rng) for _ in range(3000)])
    away = np.abs(rows[:, place][:, None] - rows[:, place])
    order = np.ix_([1, 0, 2], [1, 0, 2])
    expected = {
        "ar1": lambda: one.sigma[0] ** 2 * np.exp(-away / one.range[0]),
        "compound": lambda: one.sigma[0] ** 2 * np.where(away == 0, 1.0, one.correlation[0]),
        "unstructured": lambda: one.residual_covariance[0][order],
    }[family.residual]()
    assert np.cov(drawn.T) == pytest.approx(expected, abs=0.15 * expected.max())


def test_it_is_saved_and_sent(tmp_path) -> None:
    for setting in ("ar1", "unstructured"):
        fit = fitted(setting)
        fit.save(tmp_path / "a.fit")
        again = emframe.load(tmp_path / "a.fit")
        assert again.model.family == fit.model.family
        assert pickle.loads(pickle.dumps(fit.model.family)) == fit.model.family
        assert (again.predict(sample()) == fit.predict(sample())).all()


def test_a_correlation_that_is_not_there_is_found_to_be_none() -> None:
    rng = np.random.default_rng(5)
    rows = np.column_stack([rng.standard_normal(400), np.tile(np.arange(4.0), 100)])
    runs = Sequences(rows, np.full(100, 4))
    plain = emframe.fit(emframe.Mixture("linear-mixed", 1, random=()), runs)
    for residual in ("ar1", "compound"):
        model = emframe.Mixture("linear-mixed", 1, random=(), residual=residual)
        fit = emframe.fit(model, runs)
        assert fit.converged
        assert -1e-6 < fit.log_likelihood - plain.log_likelihood < 3.0


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "both": ({"residual": "unstructured"}, r"pass random=\(\)"),
    "response": ({"residual": "ar1", "along": "y"}, "is the response"),
    "no time": ({"residual": "ar1", "fixed": ()}, "along='time'"),
    "a formula": ({"residual": "ar1", "fixed": "~ bs(time, df=4)"}, "along='time'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_do_not_go_together_are_refused(case: str) -> None:
    settings, said = REFUSED[case]
    with pytest.raises(ValueError, match=said):
        emframe.Mixture("linear-mixed", 2, **settings)


def test_times_that_say_nothing_are_refused() -> None:
    twice = Sequences(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]), [2, 1])
    with pytest.raises(ValueError, match="run 0 has two rows with the same 'time'"):
        emframe.fit(emframe.Mixture("linear-mixed", 1, random=(), residual="ar1"), twice)
    many = Sequences(np.column_stack([np.arange(60.0) % 7, np.arange(60.0)]), np.full(20, 3))
    model = emframe.Mixture("linear-mixed", 1, random=(), residual="unstructured")
    with pytest.raises(ValueError, match="seen at 60 times"):
        emframe.fit(model, many)
    fit = fitted("unstructured")
    strange = sample().x.iloc[:2].assign(visit=[0.0, 0.5])
    with pytest.raises(ValueError, match=r"a visit is at 0.5; .* at 0, 1, 2 alone"):
        fit.predict([strange])


def test_a_covariance_of_too_few_people_is_degenerate() -> None:
    runs = sample(frame()[frame().who < 3])
    model = emframe.Mixture("linear-mixed", 1, **SETTINGS["unstructured"])
    assert emframe.fit(model, runs).status is Status.DEGENERATE
