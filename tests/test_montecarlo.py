"""Monte Carlo EM: models that only draw from their posterior reach the maximum that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy.optimize import minimize
from scipy.special import gammaln, logsumexp

from emframe.core import (
    Contract,
    MaxIterations,
    MonteCarloEM,
    RemainingGain,
    Status,
    by_draws,
    run,
)


@dataclass(frozen=True)
class Linkage:
    """The linkage data; z is how many of the first 125 belong to the part t/4 (Wei and Tanner)."""

    spread: bool = True

    def draw(self, t: float, n: int, rng: np.random.Generator) -> np.ndarray:
        if not self.spread:
            return np.full(n, 125 * t / (2 + t))
        return rng.binomial(125, t / (2 + t), size=n)

    def log_joint(self, t: float, z: np.ndarray) -> np.ndarray:
        return (z + 34) * np.log(t) + 38 * np.log(1 - t)

    def maximize(self, z: np.ndarray, previous: float) -> float:
        return (z.mean() + 34) / (z.mean() + 72)


BEST = 0.6268214978709824


def drive(model: Any, start: Any, seed: int = 0, tol: float = 1e-3, **settings: Any) -> Any:
    return run(
        by_draws(model, np.random.default_rng(seed), 32),
        start,
        rules=[RemainingGain(tol), MaxIterations(200)],
        method=MonteCarloEM(**settings),
        contract=Contract.STOCHASTIC,
    )


@pytest.mark.parametrize("seed", range(5))
def test_it_reaches_the_maximum_within_its_own_error(seed):
    done = drive(Linkage(), 0.1, seed)
    assert done.status is Status.CONVERGED
    # Two nats of log-likelihood less a half are 0.05 in t; a gain of 1e-3 is 0.002.
    assert done.step.params == pytest.approx(BEST, abs=0.01)


def test_the_climb_is_that_of_the_log_likelihood():
    def loglik(t: float) -> float:
        return 125 * np.log(2 + t) + 38 * np.log(1 - t) + 34 * np.log(t)

    done = drive(Linkage(), 0.3)
    exact = loglik(done.step.params) - loglik(0.3)
    assert done.step.objective == pytest.approx(exact, rel=0.05)
    assert done.trace[0] == 0.0


def test_with_a_posterior_of_one_point_it_is_em():
    done = drive(Linkage(spread=False), 0.5, tol=1e-12)
    assert done.step.params == pytest.approx(BEST, abs=1e-6)
    steps = [0.5]
    for _ in range(2):
        z = 125 * steps[-1] / (2 + steps[-1])
        steps.append((z + 34) / (z + 72))
    assert steps[1] == pytest.approx(0.608247422680412)


def test_draws_grow_as_the_rise_falls_below_its_error():
    model, method = Linkage(), MonteCarloEM(most_draws=4096)
    expect = by_draws(model, np.random.default_rng(1), 16)
    _, far = method.advance(expect, expect(0.1), 16)
    _, near = method.advance(expect, expect(BEST), 16)
    assert far == 16
    assert near > 16


def test_the_same_seed_gives_the_same_run():
    one, other = (drive(Linkage(), 0.2, seed=3) for _ in range(2))
    assert one.trace == other.trace


@dataclass(frozen=True)
class OverdispersedCounts:
    """Counts with rate exp(mean + sd z), z standard normal; z by independent Metropolis steps."""

    x: np.ndarray

    def draw(self, params: tuple[float, float], n: int, rng: np.random.Generator) -> np.ndarray:
        mean, sd = params
        z = np.zeros(len(self.x))
        kept = []
        for sweep in range(50 + 3 * n):
            new = z + rng.normal(size=len(z))
            rise = self._log(mean, sd, new) - self._log(mean, sd, z)
            z = np.where(np.log(rng.random(len(z))) < rise, new, z)
            if sweep >= 50 and sweep % 3 == 0:
                kept.append(z)
        return mean + sd * np.array(kept[:n])  # the log rates, which are what is latent

    def _log(self, mean: float, sd: float, z: np.ndarray) -> np.ndarray:
        return self.x * (mean + sd * z) - np.exp(mean + sd * z) - 0.5 * z**2

    def log_joint(self, params: tuple[float, float], z: np.ndarray) -> np.ndarray:
        mean, sd = params
        normal = -0.5 * ((z - mean) / sd) ** 2 - np.log(sd)
        return (self.x * z - np.exp(z) + normal).sum(axis=1)

    def maximize(self, z: np.ndarray, previous: tuple[float, float]) -> tuple[float, float]:
        return float(z.mean()), float(z.std())


def test_a_posterior_that_is_only_sampled():
    rng = np.random.default_rng(5)
    x = rng.poisson(np.exp(1.0 + 0.7 * rng.normal(size=60))).astype(float)
    nodes, shares = hermegauss(60)

    def fall(v: np.ndarray) -> float:
        rate = v[0] + np.exp(v[1]) * nodes
        terms = x[:, None] * rate - np.exp(rate) - gammaln(x + 1)[:, None]
        return -float(logsumexp(terms, b=shares, axis=1).sum())

    best = minimize(fall, [0.5, -0.5])
    done = drive(OverdispersedCounts(x), (0.8, 0.5), tol=0.05, most_draws=2000)
    reached = fall(np.array([done.step.params[0], np.log(done.step.params[1])]))
    assert reached - best.fun < 0.1
    start = fall(np.array([0.8, np.log(0.5)]))
    assert done.step.objective == pytest.approx(start - reached, rel=0.1)


def test_what_is_refused():
    with pytest.raises(ValueError, match="`n_draws` is 1"):
        by_draws(Linkage(), np.random.default_rng(0), 1)
    expect = by_draws(Linkage(), np.random.default_rng(0), 4)
    with pytest.raises(TypeError, match="does not add over rows"):
        expect(0.5) + expect(0.5)
