"""Every law of z under the kit for laws of z, and the kit on laws that are spoilt on purpose."""

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.special import entr

import emframe
from emframe.data.runs import Sequences
from emframe.latents import Chain, Gate, Gated, GatedChain, OneHot
from emframe.testing import LATENT_CHECKS, check_latent

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(40, 3))
RUNS = Sequences(RNG.normal(size=(40, 3)), np.array([1, 12, 7, 5, 15]))
GATE = Gate(1, 2, levels=((), ()))
ONE = Gate(1, levels=((),))
ODDS = {"intercept": [0.0, 0.4, -0.2], "x1": [0.0, 1.0, -0.5], "x2": [0.0, 0.3, 0.2]}
STEPS = {"intercept": np.zeros((3, 3)), "x1": np.zeros((3, 3))}
for value in STEPS.values():
    value[:, 1:] = RNG.normal(size=(3, 2))
INITIAL, MATRIX = RNG.dirichlet(np.ones(3)), RNG.dirichlet(np.ones(3), size=3)
PLAIN = {"initial": INITIAL, "transitions": MATRIX}
HELD = ((0.9, 0.1, 0.0), (0.0, None, None), (0.0, 0.0, 1.0))

LATENTS = {
    "one-hot": (OneHot(3), ROWS, {"weights": [0.2, 0.3, 0.5]}),
    "held": (OneHot(3, (0.2, 0.3, 0.5)), ROWS, {}),
    "gated": (Gated(3, GATE), ROWS, {"gate": ODDS}),
    "gate of no columns": (Gated(2, Gate(levels=())), ROWS, {"gate": {"intercept": [0.0, 0.7]}}),
    "chain": (Chain(3), RUNS, PLAIN),
    "stationary": (Chain(3, "stationary"), RUNS, {"transitions": MATRIX}),
    "held steps": (
        Chain(3, (0.5, 0.5, 0.0), HELD),
        RUNS,
        {
            "initial": [0.5, 0.5, 0.0],
            "transitions": [[0.9, 0.1, 0.0], [0.0, 0.6, 0.4], [0.0, 0.0, 1.0]],
        },
    ),
    "gated steps": (GatedChain(3, step_on=ONE), RUNS, {"initial": INITIAL, "transitions": STEPS}),
    "gated beginning": (
        GatedChain(3, begin_on=GATE),
        RUNS,
        {"initial": ODDS, "transitions": MATRIX},
    ),
    "both": (
        GatedChain(3, begin_on=ONE, step_on=Gate(2, levels=((),))),
        RUNS,
        {"initial": {k: ODDS[k] for k in ("intercept", "x1")},
         "transitions": {"intercept": STEPS["intercept"], "x2": STEPS["x1"]}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LATENTS)
def test_every_law_of_z_passes(name):
    results = check_latent(*LATENTS[name])
    assert [str(one) for one in results if one.status == "failed"] == []
    skipped = [one.name for one in results if one.status == "skipped"]
    assert skipped == (["slope"] if name == "held" else [])


class WrongEntropy(Gated):
    def posterior(self, *args):
        found = super().posterior(*args)
        return found._replace(entropy=1.1 * found.entropy)


class TimidShares(Gated):
    """Books that balance about shares that are not Bayes'."""

    def posterior(self, params, joint, x, weights, work):
        log_b = joint.T.copy()
        found = self.tempered(params, log_b, x, weights, 0.5)
        entropy = float((entr(found.resp / weights) * weights).sum())
        value = self.expected(found.sums, params) + (found.resp * log_b.T).sum()
        return found._replace(loglik=value + entropy, entropy=entropy)


class WrongAnswers(Gated):
    def given(self, params, log_b, x):
        loglik, shares = super().given(params, log_b, x)
        return loglik, shares**2 / (shares**2).sum(axis=1, keepdims=True)


class WrongSlope(Gated):
    def gradient(self, sums, params):
        return 1.05 * super().gradient(sums, params)


class FallingStep(Gated):
    def m_step(self, sums, previous):
        return {"gate": self.gate.made(-3.0 * self.gate.coefficients(previous.gate))}


class LazyStep(OneHot):
    def m_step(self, sums, previous):
        return {"weights": (previous.weights + sums / sums.sum()) / 2.0}


class ForgetfulBlocks(Gated):
    def posterior(self, params, joint, x, weights, work):
        found = super().posterior(params, joint, x, weights, work)
        short = replace(found.sums, rows=found.sums.rows[:1] if len(x) > 30 else (), local=None)
        return found._replace(sums=short)


class UncountedRows(Chain):
    def posterior(self, params, joint, x, weights, work):
        found = super().posterior(params, joint, x, weights, work)
        once = super().posterior(params, joint, x, np.ones(len(x)), work)
        return found._replace(sums=once.sums)


class LukewarmChain(GatedChain):
    def tempered(self, params, log_b, x, weights, beta):
        return super().tempered(params, log_b, x, weights, min(beta, 50.0))


class UnsurprisedDraws(Gated):
    def drawn(self, *args):
        return super().drawn(*args)._replace(entropy=0.0)


def spoilt(kind, name):
    latent, x, values = LATENTS[name]
    settings = {one.name: getattr(latent, one.name) for one in fields(latent)}
    return kind(**settings), x, values


# The check that a spoilt law fails, first of all where it fails several.
MUTANTS = {
    WrongEntropy: ("gated", "certificate"),
    TimidShares: ("gated", "bound"),
    WrongAnswers: ("gated", "answers"),
    WrongSlope: ("gated", "slope"),
    FallingStep: ("gated", "maximum"),
    LazyStep: ("one-hot", "maximum"),
    ForgetfulBlocks: ("gated", "blocks"),
    UncountedRows: ("chain", "frequencies"),
    LukewarmChain: ("gated steps", "tempering"),
    UnsurprisedDraws: ("gated", "draws"),
}


@pytest.mark.parametrize("kind", MUTANTS, ids=lambda kind: kind.__name__)
def test_a_spoilt_law_is_found_out(kind):
    name, check = MUTANTS[kind]
    failed = [one.name for one in check_latent(*spoilt(kind, name)) if one.status == "failed"]
    assert check in failed


def test_every_check_has_a_mutant():
    assert {check for _, check in MUTANTS.values()} == {one.__name__ for one in LATENT_CHECKS}
    assert emframe.testing.check_latent is check_latent
