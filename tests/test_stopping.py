"""`emframe.fit(stopping=...)`: each rule by its name, and none of them called convergence."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import emframe
from emframe import Status, stopping
from emframe.core import RemainingGain

X = emframe.dataset("faithful").X
MODEL = emframe.Mixture("gaussian", n_components=3)
START = np.arange(len(X)) % 3

RULES = {
    "max_expectations": (stopping.max_expectations(7), Status.MAX_EXPECTATIONS),
    "parameter_change": (stopping.parameter_change(1e-3), Status.PARAMETER_CHANGE),
    "held_out": (stopping.held_out(MODEL, X[:20]), Status.HELD_OUT),
    "one's own": (lambda steps: Status.STOPPED if steps[-1].index == 4 else None, Status.STOPPED),
}


@pytest.mark.parametrize(("rule", "status"), RULES.values(), ids=RULES)
def test_a_fit_names_the_rule_that_stopped_it(rule, status):
    fit = emframe.fit(MODEL, X[20:], start=START[20:], stopping=[rule])
    assert fit.status is status
    assert not fit.converged
    assert status.message in fit.message
    assert "Not converged" in str(fit)
    assert emframe.fit(MODEL, X[20:], start=START[20:]).log_likelihood > fit.log_likelihood


def test_early_stopping_is_within_a_step_of_the_best_for_the_rows_kept_aside():
    seen = []
    emframe.fit(
        MODEL,
        X[20:],
        start=START[20:],
        stopping=[stopping.held_out(MODEL, X[:20])],
        callbacks=[lambda step: seen.append(step.params) and None],
    )
    expect = stopping.held_out(MODEL, X[:20]).loglik
    scores = [expect(params) for params in seen]
    assert scores[-1] < scores[-2] == max(scores)


def test_rules_together_stop_when_the_last_of_them_would():
    slow = stopping.together(RemainingGain(1e-2), lambda steps: Status.STOPPED)
    alone, both = (
        emframe.fit(MODEL, X, start=START, stopping=[rule], accelerate=False)
        for rule in (RemainingGain(1e-2), slow)
    )
    assert both.n_iter == alone.n_iter
    assert both.status is Status.CONVERGED


SLOW = {
    "death notices": (emframe.Mixture("poisson", 2), emframe.dataset("death_notices")),
    "three of Old Faithful": (MODEL, emframe.dataset("faithful")),
    "carcinoma": (emframe.Mixture("bernoulli", 3), emframe.dataset("carcinoma")),
}


@pytest.mark.parametrize("accelerate", [False, "squarem", True])
@pytest.mark.parametrize(("model", "data"), SLOW.values(), ids=SLOW)
def test_converged_means_that_fifty_more_steps_gain_less_than_tol(model, data, accelerate):
    for seed, tol in ((0, 1e-8), (1, 1e-4)):
        fit = emframe.fit(model, data, rng=seed, n_starts=1, tol=tol, accelerate=accelerate)
        assert fit.converged
        more = emframe.fit(model, data, start=fit.params, accelerate=False, tol=0, max_iter=50)
        assert more.log_likelihood - fit.log_likelihood < tol


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: stopping.max_expectations(0), "`n` is 0; pass 1 E-step or more"),
        (lambda: stopping.parameter_change(0.0), "`tol` is 0.0; pass a number above 0"),
        (stopping.together, "was given no rule"),
    ],
)
def test_settings_without_a_meaning_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_what_is_no_rule_is_refused():
    with pytest.raises(TypeError, match=r"`stopping\[0\]` is 500; pass rules"):
        emframe.fit(MODEL, X, stopping=[500])


def test_one_small_estimate_is_not_convergence():
    """An estimate may be small by chance; two in a row are taken for arrival, or one bound."""
    fit_to = RemainingGain(1e-8)
    far, near, bound = (
        SimpleNamespace(remaining=gain, objective=-10.0, is_bound=is_bound)
        for gain, is_bound in ((1.0, True), (1e-12, False), (1e-12, True))
    )
    assert fit_to([far, bound]) is Status.CONVERGED
    assert fit_to([far, near]) is None
    assert fit_to([near, far]) is None
    assert fit_to([near, near]) is Status.CONVERGED
