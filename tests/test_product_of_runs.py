"""Several outcomes of a person that share one z: products of families over runs."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import logsumexp

import emframe
import emframe.testing
from emframe import Array, Sequences

LINE = emframe.family("linear-mixed", random=("intercept", "time"))
WEIBULL = emframe.Once(emframe.Censored("weibull", time="years", event="died"))
COUNTS = emframe.family("poisson-mixed", response="falls", n_nodes=21)

MODELS: dict[str, emframe.Mixture] = {
    "event": emframe.Mixture(emframe.Product({("y", "time"): LINE, ("years", "died"): WEIBULL}), 2),
    "two courses, gate": emframe.Mixture(
        emframe.Product({("y", "time"): LINE, ("falls", "time"): COUNTS}),
        2,
        weights=emframe.Gate("sex"),
    ),
}


def people(n: int = 60) -> pd.DataFrame:
    """Two kinds of people, who were seen until they died or the study ended."""
    rng, rows = np.random.default_rng(0), []
    for who in range(n):
        kind, sex = who % 3 == 0, who % 2
        end, death = rng.uniform(2, 9), (3 if kind else 8) * rng.weibull(2.0)
        years, died = min(end, death), float(death <= end)
        time = np.append(0.0, rng.uniform(0, years, rng.integers(0, 5)))
        own = rng.normal(size=2) * [0.6, 0.2]
        line = (3 - 0.8 * time if kind else 2 + 0.1 * time) + own[0] + own[1] * time
        y = line + 0.4 * rng.normal(size=len(time))
        falls = rng.poisson(np.exp(0.2 + 0.8 * kind), len(time))
        rows += [(who, *row, years, died, sex) for row in zip(y, time, falls, strict=True)]
    return pd.DataFrame(rows, columns=["who", "y", "time", "falls", "years", "died", "sex"])


@cache
def runs() -> Sequences:
    return Sequences.by(people(), "who")


@cache
def fitted(case: str) -> emframe.Fit:
    return emframe.fit(MODELS[case], runs(), rng=0, n_starts=1)


def dense(one: Any) -> Array:
    """Log density of each person's visits and death under each component, by scipy."""
    found, line, event = np.zeros((len(runs()), 2)), one.y_time, one.years_died
    for i, (first, length) in enumerate(zip(runs().firsts, runs().lengths, strict=True)):
        rows = runs().x.iloc[first : first + length]
        z = np.column_stack([np.ones(length), rows.time])
        for k in range(2):
            cov = z @ line.random_covariance[k] @ z.T + line.sigma[k] ** 2 * np.eye(length)
            mean = z @ [line.intercept[k], line.time[k]]
            law = stats.weibull_min(event.shapes[k, 0], scale=event.scales[k, 0])
            ends = law.logpdf if rows.died.iloc[0] else law.logsf
            found[i, k] = stats.multivariate_normal.logpdf(rows.y, mean, cov) + ends(
                rows.years.iloc[0]
            )
    return found


def test_the_density_is_that_of_all_that_was_seen_of_a_person() -> None:
    fit = fitted("event")
    joint = dense(fit.params.components) + np.log(fit.params.weights)
    assert fit.log_likelihood == pytest.approx(logsumexp(joint, axis=1).sum(), rel=1e-12)
    shares = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    assert np.asarray(fit.predict_proba(runs())) == pytest.approx(shares, abs=1e-9)
    assert fit.converged
    assert fit.n_parameters == 1 + 4 + 3 + 1 + 4


def test_the_kit_finds_nothing() -> None:
    few = Sequences.by(people(9), "who")
    for result in emframe.testing.check_model(MODELS["event"], few):
        assert result.status != "failed", result


def test_what_a_person_has_once_counts_once() -> None:
    """A visit more of somebody changes nothing of an event."""
    model = emframe.Mixture(WEIBULL, 2)
    firsts = people().groupby("who").head(1)
    one = emframe.fit(model, runs(), rng=0, n_starts=2)
    two = emframe.fit(model, Sequences.by(firsts, "who"), start=one.params)
    rows = emframe.Mixture(WEIBULL.family, 2)
    three = emframe.fit(rows, firsts, start=one.params)
    for other in (two, three):
        assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-7)
        assert other.bic == pytest.approx(one.bic, abs=1e-6)


def test_weights_are_people_repeated() -> None:
    weights, each = np.arange(60) % 3, [group for _, group in people().groupby("who")]
    many = [one.assign(who=f"{i}.{t}") for i, one in enumerate(each) for t in range(weights[i])]
    start = fitted("event").params
    one = emframe.fit(MODELS["event"], runs(), weights=weights, start=start)
    other = emframe.fit(MODELS["event"], Sequences.by(pd.concat(many), "who"), start=start)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-6)


def test_rows_that_count_stand_beside_a_course() -> None:
    parts = {("y", "time"): LINE, "falls": emframe.Grouped("poisson")}
    fit = emframe.fit(emframe.Mixture(emframe.Product(parts), 1), runs())
    alone = emframe.fit(emframe.Mixture(LINE, 1), runs())
    falls = people().falls
    counts = stats.poisson.logpmf(falls, falls.mean()).sum()
    assert fit.log_likelihood == pytest.approx(alone.log_likelihood + counts, abs=1e-7)


def test_each_response_has_its_courses_and_effects() -> None:
    fit = fitted("two courses, gate")
    effects = fit.random_effects(runs())
    assert effects.names == ("y_time.intercept", "y_time.time", "falls_time.intercept")
    assert effects.by_component.shape == (60, 2, 3)
    line, counts = (fit.trajectories([0.0, 2.0], response=name) for name in (None, "falls"))
    one = fit.params.components
    assert line.means[:, 1] == pytest.approx(one.y_time.intercept + 2 * one.y_time.time)
    variance = one.falls_time.random_covariance[:, 0, 0]
    assert counts.means[:, 0] == pytest.approx(np.exp(one.falls_time.intercept + variance / 2))
    with pytest.raises(ValueError, match="'years'; expected one of 'y', 'falls'"):
        fit.trajectories([0.0], response="years")


def test_the_picture_is_of_the_first_course() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    ax = fitted("event").plot(runs(), "trajectories")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time", "y")
    matplotlib.pyplot.close("all")


def test_draws_repeat_what_a_person_has_once() -> None:
    rows, labels = fitted("event").sample(4, rng=0, given=runs())
    assert len(set(rows[:, 2])) == 1
    assert len(set(rows[:, 0])) == 4
    assert labels.argmax(axis=1).std() == 0


def test_a_fit_is_saved_and_read_again(tmp_path) -> None:
    fitted("event").save(tmp_path / "a.fit")
    again = emframe.load(tmp_path / "a.fit")
    assert (again.predict(runs()) == fitted("event").predict(runs())).all()


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(TypeError, match=r"emframe.Grouped\('poisson'\).*emframe.Once\('poisson'"):
        emframe.Product({("y", "time"): LINE, "falls": "poisson"})
    with pytest.raises(TypeError, match="runs already"):
        emframe.Once(LINE)
    with pytest.raises(TypeError, match="plugin's name or a Family"):
        emframe.Once(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="go with a family's name"):
        emframe.Once(emframe.family("poisson"), width=1)
    with pytest.raises(ValueError, match="column 'years' differs between the rows of run 0"):
        emframe.fit(emframe.Mixture(WEIBULL, 1), Sequences.by(_unlike(), "who"))


def _unlike() -> pd.DataFrame:
    frame = people()
    return frame.assign(years=frame.years + frame.time)


# ---- times to an event that depend on covariates: survival 3.5-3, survreg

SURVREG = {
    "weibull": (-255.584638011733, [1.070555123639, 0.591283646091]),
    "exponential": (-276.555899239399, [1.114528953093, 0.684757637392]),
    "lognormal": (-268.668913229566, [0.765729211856, 0.611223834306]),
}


@pytest.mark.parametrize("law", SURVREG)
def test_censored_regressions_are_those_of_survreg(law: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    years, end = np.exp(1 + 0.5 * x) * rng.weibull(1.7, 200), rng.uniform(0.5, 8, 200)
    frame = pd.DataFrame({"t": np.minimum(years, end), "d": (years <= end) * 1.0, "x": x})
    family = emframe.Censored(f"{law}-regression", time="t", event="d", predictors=("x",))
    fit = emframe.fit(emframe.Mixture(family, 1), frame)
    log_likelihood, line = SURVREG[law]
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=1e-7)
    one = fit.params.components
    assert [one.intercept[0], one.x[0]] == pytest.approx(line, abs=1e-5)
