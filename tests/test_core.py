"""The loop, the ledger and the stopping rules, on models that are not mixtures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import entr, xlogy

import emframe
from emframe.core import (
    EM,
    Breach,
    Callback,
    Contract,
    Coordinates,
    Degenerate,
    HeldOut,
    MaxExpectations,
    MaxIterations,
    MaxSeconds,
    Move,
    ParameterChange,
    QuasiNewton,
    RemainingGain,
    Squarem,
    Status,
    Stopped,
    Together,
    iterate,
    run,
)
from emframe.core.methods import aitken
from emframe.engines import Serial
from emframe.families import NoDensity
from emframe.parameters import leaves

COUNTS = np.array([125.0, 18.0, 20.0, 34.0])


@dataclass(frozen=True)
class Linkage:
    """Q of the genetic linkage data (Dempster, Laird and Rubin 1977, section 1).

    Four cells with probabilities (1/2 + t/4, (1-t)/4, (1-t)/4, t/4); z splits the first cell
    into its parts 1/2 and t/4.
    """

    at: float
    wrong: str = ""

    @property
    def cells(self) -> np.ndarray:
        t = self.at
        return np.array([0.5 + t / 4, (1 - t) / 4, (1 - t) / 4, t / 4])

    @property
    def share(self) -> float:
        """Posterior probability of the part t/4 of the first cell."""
        return self.at / (2 + self.at)

    @property
    def loglik(self) -> float:
        return float(xlogy(COUNTS, self.cells).sum())

    @property
    def entropy(self) -> float:
        both = np.array([self.share, 1 - self.share])
        return float(COUNTS[0] * entr(both).sum())

    def value(self, t: float) -> float:
        z = COUNTS[0] * self.share * {"E": 0.9, "E, hardly": 0.999}.get(self.wrong, 1.0)
        split = xlogy(z, t / 4) + xlogy(COUNTS[0] - z, 0.5)
        return float(split + xlogy(COUNTS[1] + COUNTS[2], (1 - t) / 4) + xlogy(COUNTS[3], t / 4))

    def maximize(self) -> float:
        z = COUNTS[0] * self.share
        if self.wrong == "M":
            return 0.05
        return (z + COUNTS[3]) / (z + COUNTS[1:].sum())


BEST = 0.6268214978709824  # the positive root of 197 t^2 - 15 t - 68 = 0
ANGLE = Coordinates(
    lambda t: np.array([np.arcsin(np.sqrt(t))]),
    lambda _, v: float(np.sin(v[0]) ** 2),
    lambda q: np.array(
        [
            (q.value(np.sin(a + 1e-5) ** 2) - q.value(np.sin(a - 1e-5) ** 2)) / 2e-5
            for a in [np.arcsin(np.sqrt(q.at))]
        ]
    ),
)


def test_the_ledger_of_the_textbook_example():
    steps = [step for step, _ in zip(iterate(Linkage, 0.5), range(12), strict=False)]
    assert steps[0].params == 0.5
    assert steps[1].params == pytest.approx(0.608247423, abs=1e-9)  # table 1 of the paper
    assert steps[2].params == pytest.approx(0.624321051, abs=1e-9)
    assert steps[-1].params == pytest.approx(BEST, abs=1e-9)
    for before, after in pairwise(steps):
        gain = after.objective - before.objective
        assert after.gain_q + after.gain_entropy == pytest.approx(gain, abs=1e-10)
        assert after.gain_q >= -1e-12
        assert after.gain_entropy >= -1e-12
        assert after.breach is None
    assert [step.n_expectations for step in steps] == list(range(1, 13))


METHODS = {"em": EM(), "quasi-newton": QuasiNewton(ANGLE), "squarem": Squarem(ANGLE)}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@given(start=st.floats(0.01, 0.99))
def test_every_method_climbs_to_the_same_limit(method, start):
    done = run(Linkage, start, rules=[RemainingGain(1e-9)], method=method)
    assert done.status is Status.CONVERGED
    assert done.step.params == pytest.approx(BEST, abs=1e-5)
    assert (np.diff(done.trace) >= 0).all()
    assert done.trace[-1] == done.step.objective
    assert len(done.gains) == len(done.trace)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ("E", Status.E_STEP_BREACH),
        ("E, hardly", Status.E_STEP_BREACH),
        ("M", Status.M_STEP_BREACH),
    ],
)
def test_a_wrong_step_is_named(wrong, status):
    def expect(t):
        return Linkage(t, wrong)

    if wrong != "M":
        with pytest.raises(Stopped, match="entropy") as caught:
            run(expect, 0.5, rules=[MaxIterations(50)])
        assert caught.value.status is status
    else:
        done = run(expect, 0.5, rules=[MaxIterations(50)])
        assert done.status is status
        assert "step 1, the M-step lowered Q by" in done.message
        assert done.step.params == 0.5  # the last good point


def test_iterate_yields_the_breach_and_ends():
    steps = list(iterate(lambda t: Linkage(t, "M"), 0.5))
    assert len(steps) == 2
    assert isinstance(steps[-1].breach, Breach)
    assert steps[-1].breach.amount > 1


def test_a_stochastic_contract_is_not_held_to_ascent():
    done = run(
        lambda t: Linkage(t, "M"), 0.5, rules=[MaxIterations(3)], contract=Contract.STOCHASTIC
    )
    assert done.status is Status.MAX_ITERATIONS


@dataclass(frozen=True)
class Scripted:
    """A Q that reads its objective from a script: the parameters are the position in it."""

    at: int
    script: tuple[float, ...]

    @property
    def loglik(self) -> float:
        return self.script[self.at]

    entropy = 0.0

    def value(self, at: int) -> float:
        return self.script[at]

    def maximize(self) -> int:
        if self.at + 1 == len(self.script):
            raise Degenerate("component 1 sits on a point", 1)
        return self.at + 1


def scripted(*script: float, rules=()):
    return run(lambda at: Scripted(at, script), 0, rules=[*rules, MaxIterations(100)])


@pytest.mark.parametrize(
    ("script", "status", "trace"),
    [
        ((-5.0, -4.0, -3.0), Status.DEGENERATE, (-5.0, -4.0, -3.0)),
        ((-5.0, -4.0, -4.0 - 1e-14, -1.0), Status.CONVERGED, (-5.0, -4.0)),
        ((-5.0, -4.0, -4.0 - 1e-10, -1.0), Status.STALLED, (-5.0, -4.0)),
        ((-5.0, -4.0, -4.1, -1.0), Status.M_STEP_BREACH, (-5.0, -4.0)),
        ((-5.0, -4.0, float("nan"), -1.0), Status.E_STEP_BREACH, (-5.0, -4.0)),
        ((-5.0, -4.0, float("inf"), -1.0), Status.E_STEP_BREACH, (-5.0, -4.0)),
    ],
    ids=["degenerate", "below rounding", "rough arithmetic", "fell", "nan", "inf"],
)
def test_how_a_run_ends(script, status, trace):
    done = scripted(*script)
    assert done.status is status
    assert done.trace == trace
    assert done.step.objective == trace[-1]
    assert status.message in done.message
    assert done.status.usable == (
        status not in {Status.DEGENERATE, Status.FAILED, Status.E_STEP_BREACH, Status.M_STEP_BREACH}
    )


class Foretold:
    """EM that knows what is ahead."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead

    def start(self, q):
        return None

    def advance(self, expect, q, state):
        return Move(expect(q.maximize()), is_em=True, remaining=self.ahead, is_bound=True), None


@pytest.mark.parametrize(
    ("ahead", "fall", "status"),
    [
        (1e-12, 1e-10, Status.CONVERGED),
        (1e-3, 1e-10, Status.STALLED),
        (1e-12, 1e-7, Status.STALLED),
    ],
)
def test_rounding_where_nothing_is_ahead_is_no_fault(ahead, fall, status):
    script = (-500.0, -500.0 - fall, -1.0)
    done = run(
        lambda at: Scripted(at, script), 0, rules=[RemainingGain(1e-8)], method=Foretold(ahead)
    )
    assert done.status is status
    assert done.trace == script[:1]


def test_a_large_gain_after_small_ones_is_not_taken_for_convergence():
    plateau = [-10.0 + 1e-9 * 1.5**i for i in range(20)] + [-1.0, -0.9, -0.89]
    done = scripted(*plateau, rules=[RemainingGain(1e-8), MaxIterations(22)])
    assert done.trace[-1] == -0.89


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        (MaxIterations(3), Status.MAX_ITERATIONS),
        (MaxSeconds(1e-9), Status.MAX_SECONDS),
        (Callback(lambda step: step.index == 2), Status.STOPPED),
        (RemainingGain(1e-6), Status.CONVERGED),
        (MaxExpectations(3), Status.MAX_EXPECTATIONS),
        (ParameterChange(1e-3, ANGLE.to_vector), Status.PARAMETER_CHANGE),
        (HeldOut(lambda t: -abs(t - 0.62)), Status.HELD_OUT),
        (Together([RemainingGain(1e-2), MaxIterations(9)]), Status.CONVERGED),
        (lambda steps: Status.STOPPED if steps[-1].params > 0.6 else None, Status.STOPPED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_rules_name_their_status(rule, status):
    done = run(Linkage, 0.5, rules=[rule, MaxIterations(1000)])
    assert done.status is status
    assert done.status.usable
    assert status.message in done.message


def test_where_each_rule_stops():
    """From 1/2 EM goes to 0.608, 0.6243, 0.6265, ...: changes of 0.108, 0.016, 0.002."""

    def last(rule):
        return run(Linkage, 0.5, rules=[rule, MaxIterations(10)]).step

    assert last(MaxExpectations(3)).n_expectations == 3
    assert last(HeldOut(lambda t: -abs(t - 0.62))).index == 3  # past 0.62 and farther
    assert last(ParameterChange(5e-3, lambda t: np.array([t]))).index == 3
    assert last(Together([RemainingGain(1e-2), MaxIterations(9)])).index == 9
    assert last(HeldOut(lambda t: 0.0)).index == 10


def test_the_keyboard_ends_a_run_with_its_best_point():
    def press(step):
        if step.index == 3:
            raise KeyboardInterrupt

    done = run(Linkage, 0.5, rules=[Callback(press)])
    assert done.status is Status.INTERRUPTED
    assert done.step.index == 3

    def at_once(t):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(at_once, 0.5, rules=[])


def test_a_log_prior_is_part_of_the_objective():
    @dataclass(frozen=True)
    class WithPrior(Linkage):
        @property
        def log_prior(self):
            return float(np.log(self.at) + np.log1p(-self.at))

        def value(self, t):
            return super().value(t) + float(np.log(t) + np.log1p(-t))

        def maximize(self):
            z = COUNTS[0] * self.share
            return (z + COUNTS[3] + 1) / (z + COUNTS[1:].sum() + 2)

    done = run(WithPrior, 0.5, rules=[RemainingGain(1e-9)])
    assert done.status is Status.CONVERGED
    last = done.step
    assert last.objective == pytest.approx(last.expectation.loglik + last.log_prior)
    assert last.log_prior == pytest.approx(np.log(last.params) + np.log1p(-last.params))
    assert last.params < BEST


@given(st.floats(1e-6, 1.0), st.floats(0.01, 0.99))
def test_aitken_is_exact_for_geometric_gains(gain, ratio):
    remaining = gain * ratio * ratio / (1 - ratio)
    assert aitken(gain, gain * ratio) == pytest.approx(remaining, rel=1e-9)
    assert aitken(gain * ratio, gain) == np.inf
    assert aitken(np.nan, gain) == np.inf
    assert aitken(gain, 1e-16, noise=1e-15) == 0.0


def test_acceleration_on_the_slow_example():
    """Times death notices from (0.3, 1, 2.5): EM takes 2055 steps in the SQUAREM paper."""
    data = emframe.dataset("death_notices")
    model = emframe.Mixture("poisson", n_components=2)
    start = {"weights": [0.3, 0.7], "rates": [[1.0], [2.5]]}
    fast, squared, slow = (
        emframe.fit(model, data, start=start, accelerate=how) for how in (True, "squarem", False)
    )
    assert fast.log_likelihood == pytest.approx(-1989.9458598829, abs=1e-8)
    assert slow.log_likelihood == pytest.approx(-1989.9458598829, abs=1e-7)
    assert squared.log_likelihood == pytest.approx(-1989.9458598829, abs=1e-7)
    assert fast.n_iter <= 30 < squared.n_iter < 120
    assert slow.n_iter > 1000


def test_acceleration_leaves_a_saddle_in_strides():
    """Two nearly equal components: EM crawls for thousands of steps before it sees them apart."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(-2, 1, 100), rng.normal(2, 1, 100)])
    model = emframe.Mixture("gaussian", n_components=2, covariance="tied")
    resp = 0.5 + 1e-2 * np.sign(X[:, None]) * [1, -1]
    fit = emframe.fit(model, X, start=resp)
    assert fit.n_iter < 150
    assert fit.log_likelihood == pytest.approx(emframe.fit(model, X, rng=0).log_likelihood)


def test_a_sum_of_qs_is_the_q_of_all_rows_and_other_parameters_are_refused():
    model = emframe.Mixture("poisson", n_components=2)
    rows = model.rows(emframe.dataset("earthquakes").X)
    params = model.build({"weights": [0.4, 0.6], "rates": [[15.0], [25.0]]})
    whole = model.expect(params, rows.x, rows.weights)
    blocks = [slice(i, i + 20) for i in range(0, 107, 20)]
    first, *others = [model.expect(params, rows.x[b], rows.weights[b]) for b in blocks]
    parts = sum(others, start=first)
    assert parts.loglik == pytest.approx(whole.loglik, rel=1e-12)
    assert parts.entropy == pytest.approx(whole.entropy, rel=1e-12)
    other = model.build({"weights": [0.4, 0.6], "rates": [[16.0], [25.0]]})
    assert parts.value(other) == pytest.approx(whole.value(other), rel=1e-12)
    with pytest.raises(ValueError, match="same parameters"):
        whole + model.expect(other, rows.x, rows.weights)
    prior = model.prior("weak", model.survey(rows))
    with pytest.raises(ValueError, match="already has a prior"):
        replace(whole, prior=prior) + prior


def test_a_model_without_a_gradient_is_accelerated_by_differences():
    """A Q that only has what the contract asks for is climbed as fast."""
    data = emframe.dataset("death_notices")

    class Bare:
        def __init__(self, q):
            self.at, self.loglik, self.entropy = q.at, q.loglik, q.entropy
            self.value, self.maximize, self.statistics = q.value, q.maximize, q.statistics

        def __add__(self, other):
            raise AssertionError("one block")

    class BareMixture(emframe.Mixture):
        def expect(self, params, x, weights):
            return Bare(super().expect(params, x, weights))

        def irregularities(self, q):
            return {}

    start = {"weights": [0.3, 0.7], "rates": [[1.0], [2.5]]}
    fit = emframe.fit(BareMixture("poisson", n_components=2), data, start=start)
    assert fit.log_likelihood == pytest.approx(-1989.9458598829, abs=1e-8)
    assert fit.n_iter <= 30


@pytest.mark.parametrize("per_block", [1, 7, 64, 1000])
@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_any_size_of_block_gives_the_same_q(family, per_block):
    model = emframe.Mixture(family, n_components=3)
    rows = model.rows(np.random.default_rng(0).poisson(50, (150, 2)))
    params = next(p for _, p in model.starts(rows, np.random.default_rng(1)))
    whole = model.expect(params, rows.x, rows.weights)

    def of_block(block, _):
        return model.expect(params, *block)

    q = Serial().sum(of_block, rows.blocks(per_block))
    assert q.loglik == pytest.approx(whole.loglik, rel=1e-12)
    assert q.entropy == pytest.approx(whole.entropy, rel=1e-10)
    assert q.value(params) == pytest.approx(whole.value(params), rel=1e-10)
    best, expected = q.maximize(), whole.maximize()
    for mine, theirs in zip(leaves(best), leaves(expected), strict=True):
        assert mine.value == pytest.approx(theirs.value, rel=1e-10)


@pytest.mark.parametrize("error", [emframe.Degenerate("a point"), NoDensity("nan")])
def test_a_trial_that_has_no_density_is_none(error: Exception) -> None:
    """A trial may lie anywhere; an EM step from the same place says what is wrong, if anything."""

    def expect(_: Any) -> Any:
        raise error

    space = Coordinates(lambda p: np.array([p]), lambda _, x: float(x[0]), lambda _: np.zeros(1))
    assert space.expect(expect, Linkage(0.5), np.array([1e300])) is None
