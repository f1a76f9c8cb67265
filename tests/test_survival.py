"""How long rows live: against R's survival package, and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emframe

nan = np.nan
I = np.arange(1.0, 31.0)
TIMES = np.exp(1.0 + 0.5 * np.cos(1.3 * I) + np.sin(7.1 * I))
DIED = (I % 4 != 0).astype(float)
ROWS = np.column_stack([TIMES, DIED])
CENSORED = emframe.Censored("weibull", time=0, event=1)


def fitted(family: Any = CENSORED, x: Any = ROWS, k: int = 1, **options: Any) -> Any:
    return emframe.fit(emframe.Mixture(family, k), x, rng=0, **options)


def test_kaplan_and_meier_are_rs() -> None:
    """summary(survfit(Surv(y, s) ~ 1), times = c(2, 4, 6))$surv, conf.type = "log-log"."""
    told = fitted().survival(ROWS, [2.0, 4.0, 6.0])
    wanted = [0.652173913043, 0.432672187148, 0.240373437304]
    low = [0.448976611643, 0.236598936222, 0.091059333951]
    high = [0.795995500216, 0.614505211665, 0.428232920882]
    assert told.observed == pytest.approx(wanted, rel=1e-10)
    assert told.low == pytest.approx(low, rel=1e-9)
    assert told.high == pytest.approx(high, rel=1e-9)


def test_turnbull_is_rs() -> None:
    """survfit(Surv(lo, hi, type = "interval2") ~ 1), which stops at about 1e-5."""
    low = np.floor(TIMES)
    rows = np.column_stack([low, np.where(DIED == 1.0, low + I % 3 + 0.5, nan)])
    made = emframe.Censored("weibull", lower=0, upper=1)
    told = fitted(made, rows).survival(rows)
    wanted = [0.9502193, 0.6973637, 0.6293328, 0.4597883, 0.4597756, 0.2739345, 0.1830721, 0.061024]
    assert told.observed[:8] == pytest.approx(wanted, abs=5e-5)
    assert told.low is None


def test_what_was_all_seen_is_the_empirical_distribution() -> None:
    told = fitted("gamma", TIMES, 2, n_starts=1).survival(TIMES)
    assert told.observed == pytest.approx(1.0 - np.arange(1, 31) / 30)
    assert told.weights @ told.observed_by_component == pytest.approx(told.observed, rel=1e-9)


def test_the_fitted_curve_is_the_mixtures() -> None:
    fit = fitted(k=2, n_starts=2)
    own, at = fit.params.components, np.array([0.0, 0.5, 2.0, 9.0])
    each = np.exp(-((at / own.scales) ** own.shapes))
    told = fit.survival(ROWS, at)
    assert told.fitted == pytest.approx(fit.params.weights @ each, rel=1e-12)
    assert told.fitted_by_component == pytest.approx(each, rel=1e-12)


def test_with_predictors_it_is_averaged_over_the_rows() -> None:
    x = np.column_stack([ROWS, np.cos(1.3 * I)])
    made = emframe.Censored("exponential-regression", time=0, event=1, predictors=(2,))
    fit = fitted(made, x)
    own = fit.params.components
    rates = np.exp(-own.intercept - own.x1 * x[:, 2])
    assert fit.survival(x, [2.0]).fitted[0] == pytest.approx(np.exp(-2.0 * rates).mean(), rel=1e-12)


def test_weights_are_frequencies_and_counts_live_in_whole_steps() -> None:
    fit, weights = fitted(), np.ones(30)
    weights[3] = 3.0
    twice = fit.survival(np.vstack([ROWS, ROWS[[3, 3]]]), [2.0, 4.0]).observed
    assert fit.survival(ROWS, [2.0, 4.0], weights=weights).observed == pytest.approx(twice)
    counts = np.floor(TIMES)
    told = fitted("poisson", counts).survival(counts, [-1.0, 2.0, 2.7])
    assert told.fitted[0] == 1.0
    assert told.fitted[1] == told.fitted[2]
    assert told.observed[1] == pytest.approx((counts > 2).mean())


def test_of_several_columns_or_of_runs_there_is_none() -> None:
    x = np.random.default_rng(0).normal(size=(30, 2))
    with pytest.raises(TypeError, match="no one column"):
        fitted("gaussian", x).survival(x)
    chain = emframe.fit(emframe.model("hidden-markov", family="normal", n_states=1), x[:, :1])
    with pytest.raises(TypeError, match=r"lives? for a time"):
        chain.survival(x[:, :1])


def test_it_is_drawn() -> None:
    pytest.importorskip("matplotlib").use("Agg")
    ax = fitted(k=2, n_starts=1).plot(ROWS, "survival")
    assert ax.get_ylabel() == "share that lives longer"
    assert len(ax.lines) == 6
