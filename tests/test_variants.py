"""Variants of EM: a table of drivers x the promise of each, and the limits where they are EM."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import emframe
from emframe import Contract, Status, variants
from emframe.core import MaxIterations, RemainingGain, run
from emframe.core.variants import InTurn, Patchwork
from emframe.fitting import expectation
from emframe.parameters import leaves

X = emframe.dataset("faithful").X
LABELS = (X[:, 0] > 3).astype(int)
GAUSSIAN = emframe.Mixture("gaussian", n_components=2)
POISSON = emframe.Mixture("poisson", n_components=2)
QUAKES = emframe.dataset("earthquakes").X
FACTORS = emframe.model("factor-analysis", n_factors=1)
HALVES = (QUAKES[:, 0] > 20).astype(int)

CLIMBERS = {
    "conditional": variants.conditional,
    "incremental": variants.incremental,
    "annealed": variants.annealed,
}
PROBLEMS = {"gaussian": (GAUSSIAN, X, LABELS), "poisson": (POISSON, QUAKES, HALVES)}


def same(one, other, rel=1e-5):
    for mine, theirs in zip(leaves(one), leaves(other), strict=True):
        assert mine.value == pytest.approx(theirs.value, rel=rel)


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
@pytest.mark.parametrize("driver", CLIMBERS.values(), ids=CLIMBERS)
def test_those_that_climb_the_likelihood_end_where_em_ends(driver, problem):
    model, data, labels = problem
    done = driver(model, data, start=labels, rng=0)
    fit = emframe.fit(model, data, start=labels)
    assert done.status is Status.CONVERGED
    assert (np.diff(done.trace) >= 0).all()
    assert done.step.objective == pytest.approx(fit.log_likelihood, abs=1e-6)
    assert np.sort(done.step.params.weights) == pytest.approx(np.sort(fit.params.weights), abs=1e-3)


def plain(model, data, labels, steps):
    rows = model.rows(data)
    start = model.start(labels, rows, np.random.default_rng())
    return run(expectation(model, rows), start, rules=[RemainingGain(0), MaxIterations(steps)])


@pytest.mark.parametrize(
    ("driver", "setting"),
    [
        (variants.incremental, {"n_blocks": 1}),
        (variants.annealed, {"temperatures": (1.0,)}),
        (variants.conditional, {"blocks": ("weights", "components")}),
    ],
    ids=["incremental", "annealed", "conditional"],
)
def test_the_known_case_is_em(driver, setting):
    done = driver(POISSON, QUAKES, start=HALVES, max_iter=6, tol=0, **setting)
    expected = plain(POISSON, QUAKES, HALVES, 6)
    same(done.step.params, expected.step.params)
    assert len(done.trace) == len(expected.trace)


def test_incremental_em_needs_fewer_passes_than_em():
    blocks = variants.incremental(GAUSSIAN, X, 16, start=np.arange(len(X)) % 2)
    whole = variants.incremental(GAUSSIAN, X, 1, start=np.arange(len(X)) % 2)
    assert blocks.n_expectations < whole.n_expectations


def test_conditional_steps_hold_the_other_parameters():
    rows = GAUSSIAN.rows(X)
    start = GAUSSIAN.start(LABELS, rows, np.random.default_rng())
    done = variants.conditional(GAUSSIAN, X, ["components.means"], start=LABELS, max_iter=5)
    assert (done.step.params.components.covariances == start.components.covariances).all()
    assert (done.step.params.components.means != start.components.means).any()
    assert (np.diff(done.trace) >= 0).all()


def test_classification_em_ends_at_a_partition_that_it_keeps():
    done = variants.classification(GAUSSIAN, X, start=LABELS)
    assert done.status is Status.CONVERGED
    assert (np.diff(done.trace) >= 0).all()
    joint = GAUSSIAN.log_joint(done.step.params, X)
    assert done.step.objective == pytest.approx(joint.max(axis=1).sum(), rel=1e-12)
    again = GAUSSIAN.from_responsibilities(GAUSSIAN.rows(X), np.eye(2)[joint.argmax(axis=1)])
    same(again, done.step.params, rel=1e-9)
    # Firm assignment is the harder problem: it cannot exceed the likelihood of the same point.
    assert done.step.objective < GAUSSIAN.posterior(done.step.params, X)[0].sum()


def test_classification_em_counts_a_weight_as_that_many_rows():
    weights = 1.0 + np.arange(len(X)) % 3
    repeated = np.repeat(np.arange(len(X)), weights.astype(int))
    one = variants.classification(GAUSSIAN, X, weights=weights, start=LABELS)
    other = variants.classification(GAUSSIAN, X[repeated], start=LABELS[repeated])
    assert one.trace == pytest.approx(other.trace, rel=1e-10)


def test_stochastic_em_moves_about_the_maximum():
    fit = emframe.fit(GAUSSIAN, X, start=LABELS)
    done = variants.stochastic(GAUSSIAN, X, 60, start=LABELS, rng=0)
    assert done.status is Status.MAX_ITERATIONS
    trace = np.array(done.trace)
    assert np.diff(trace).min() < 0  # no single step has to rise
    assert trace.max() <= fit.log_likelihood
    assert trace[-30:].mean() > fit.log_likelihood - 15
    assert done.trace == variants.stochastic(GAUSSIAN, X, 60, start=LABELS, rng=0).trace
    assert done.trace != variants.stochastic(GAUSSIAN, X, 60, start=LABELS, rng=1).trace


def test_annealing_forgets_a_poor_start():
    """Three groups; EM from two components on one of them and one on two stays there."""
    rng = np.random.default_rng(5)
    data = np.concatenate([rng.normal(centre, 1.0, 80) for centre in (-12.0, 0.0, 4.0)])
    poor = np.where(data > -6.0, 2, (data > -12.0).astype(int))
    model = emframe.Mixture("gaussian", n_components=3, covariance="tied")
    stuck = emframe.fit(model, data, start=poor, rng=0).starts[0]  # a saddle, which a nudge leaves
    best = emframe.fit(model, data, start=np.repeat([0, 1, 2], 80))
    done = variants.annealed(model, data, (40.0, 20.0, 10.0, 5.0, 2.0, 1.0), start=poor, rng=0)
    assert done.step.objective > stuck.log_likelihood + 5
    assert done.step.objective == pytest.approx(best.log_likelihood, abs=1e-6)


@given(st.floats(1e-2, 50.0) | st.just(np.inf), st.integers(0, 5))
@settings(max_examples=30)
def test_the_books_of_every_temperature_balance(beta, seed):
    model = emframe.Mixture("poisson", n_components=3)
    rows = model.rows(QUAKES)
    params = next(p for _, p in model.starts(rows, np.random.default_rng(seed)))
    q = variants.tempered(model, rows, beta)(params)
    assert q.value(params) + q.entropy == pytest.approx(q.loglik, rel=1e-9)
    assert q.value(q.maximize()) >= q.value(params) - 1e-9 * abs(q.loglik)


@dataclass(frozen=True)
class Forgetful:
    """A Q whose M-step goes back to where it is told."""

    q: object
    back: object

    def __getattr__(self, name):
        return getattr(self.q, name)

    def maximize(self):
        return self.back


def test_the_ledger_holds_a_variant_to_its_own_promise():
    """An M-step that lowers Q is a breach of those that climb, and none of the stochastic."""
    rows = POISSON.rows(QUAKES)
    good = emframe.fit(POISSON, QUAKES, start=HALVES).params
    bad = replace(good, weights=np.array([0.99, 0.01]))
    for beta in (0.5, 1.0, np.inf):
        expect = variants.tempered(POISSON, rows, beta)
        done = run(lambda p, e=expect: Forgetful(e(p), bad), good, rules=[MaxIterations(3)])
        assert done.status is Status.M_STEP_BREACH
    expect = variants.tempered(POISSON, rows, 1.0)
    done = run(
        lambda p: Forgetful(expect(p), bad),
        good,
        rules=[MaxIterations(3)],
        contract=Contract.STOCHASTIC,
    )
    assert done.status is Status.MAX_ITERATIONS


def test_a_patchwork_is_q_where_all_blocks_agree():
    rows = POISSON.rows(QUAKES)
    params = POISSON.start(HALVES, rows, np.random.default_rng())
    whole = POISSON.expect(params, rows.x, rows.weights)
    halves = [POISSON.expect(params, rows.x[i::2], rows.weights[i::2]) for i in range(2)]
    one, other = (Patchwork(params, (half,)) for half in halves)
    both = one + other
    assert both.loglik == pytest.approx(whole.loglik, rel=1e-12)
    assert both.entropy == pytest.approx(whole.entropy, rel=1e-12)
    same(both.maximize(), whole.maximize(), rel=1e-12)
    with pytest.raises(ValueError, match="read at the same parameters"):
        one + Patchwork(whole.maximize(), halves[1:])


def test_conditional_qs_add():
    rows = POISSON.rows(QUAKES)
    params = POISSON.start(HALVES, rows, np.random.default_rng())
    whole = POISSON.expect(params, rows.x, rows.weights)
    parts = [POISSON.expect(params, rows.x[i::2], rows.weights[i::2]) for i in range(2)]
    both = InTurn(parts[0], []) + InTurn(parts[1], [])
    assert both.loglik == pytest.approx(whole.loglik, rel=1e-12)
    assert both.maximize() is params


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: variants.annealed(POISSON, QUAKES, (2.0, 1.5)), "falling ones that end with 1"),
        (lambda: variants.annealed(POISSON, QUAKES, (1.5, 2.0, 1.0)), "falling ones"),
        (lambda: variants.annealed(POISSON, QUAKES, ()), "falling ones"),
        (lambda: variants.incremental(POISSON, QUAKES, 0), "`n_blocks` is 0; pass 1 to"),
        (lambda: variants.conditional(POISSON, QUAKES, ["means"]), "`blocks` has 'means'; the par"),
        (
            lambda: variants.stochastic(POISSON, QUAKES, weights=np.full(len(QUAKES), 0.5)),
            "the weights have to be whole numbers",
        ),
    ],
)
def test_settings_without_a_meaning_are_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: variants.classification(FACTORS, QUAKES), TypeError, "with components"),
        (lambda: variants.stochastic(FACTORS, QUAKES), TypeError, "with components"),
        (lambda: variants.annealed("poisson", QUAKES), ValueError, "poisson"),
        (lambda: variants.incremental(POISSON, QUAKES, max_iter=-1), ValueError, "`max_iter` is"),
        (lambda: variants.conditional(POISSON, QUAKES, tol=-1.0), ValueError, "`tol` is -1"),
        (lambda: variants.stochastic(POISSON, QUAKES, 0.5), TypeError, "`n_steps` is 0.5"),
    ],
)
def test_arguments_are_checked_as_those_of_a_fit_are(call, error, said):
    with pytest.raises(error, match=said):
        call()


@pytest.mark.parametrize("seed", range(3))
def test_what_is_lost_in_the_rounding_of_all_rows_is_not_held_against_a_block(seed):
    """A probability climbs to 1 - 1e-17, which is stored as 1, while a block still has a 0."""
    items = emframe.dataset("carcinoma")
    done = variants.incremental(emframe.Mixture("bernoulli", n_components=2), items, rng=seed)
    assert done.status is Status.CONVERGED
    assert done.step.objective == pytest.approx(-317.2568373, abs=1e-6)
