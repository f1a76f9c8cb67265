"""What `converged` promises, and that an acceleration takes nothing where EM is fast.

The data are drawn here, for these tests alone: no setting was tried on them.
"""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from scipy import stats

import emframe
from emframe import Positive
from emframe.core import Degenerate, MaxIterations, RemainingGain, run
from emframe.core.tolerance import RESOLUTION, within
from emframe.fitting import expectation
from emframe.fitting.movers import method_for

RNG = np.random.default_rng(20_26)


def clouds(n: int, d: int, k: int, apart: float) -> np.ndarray:
    """Rows of k oblique Gaussian clouds, no two centres nearer than `apart`."""
    centres = RNG.normal(size=(k, d))
    gaps = [np.linalg.norm(centres[i] - centres[j]) for i in range(k) for j in range(i)]
    shapes = np.eye(d) + 0.4 * RNG.normal(size=(k, d, d)) / np.sqrt(d)
    labels = RNG.integers(k, size=n)
    noise = np.einsum("nij,nj->ni", shapes[labels], RNG.normal(size=(n, d)))
    return centres[labels] * (apart / min(gaps, default=1.0)) + noise


def items(n: int, d: int, k: int, edge: float) -> np.ndarray:
    """Answers of k classes, yes with probabilities between `edge` and 1 - `edge`."""
    probs = RNG.uniform(edge, 1.0 - edge, size=(k, d))
    return (RNG.random((n, d)) < probs[RNG.integers(k, size=n)]).astype(float)


def counts(n: int, *rates: float) -> np.ndarray:
    return RNG.poisson(np.array(rates)[RNG.integers(len(rates), size=n)]).astype(float)


def with_gaps(X: np.ndarray, share: float) -> np.ndarray:
    X = np.where(RNG.random(X.shape) < share, np.nan, X)
    return X[~np.isnan(X).all(axis=1)]


def chain(n: int) -> np.ndarray:
    """A hidden state that stays for ten steps or so, and a count for each step."""
    state = np.cumsum(RNG.random(n) < 0.1) % 2
    return RNG.poisson(np.array([3.0, 8.0])[state]).astype(float)


def factors(n: int, d: int, q: int) -> np.ndarray:
    return RNG.normal(size=(n, q)) @ RNG.normal(size=(q, d)) + RNG.normal(size=(n, d))


def exponential(x: np.ndarray, rate: np.ndarray) -> np.ndarray:
    return np.log(rate) - rate * x


LANE = emframe.from_logpdf(exponential, {"rate": Positive()}, Positive())
GAMMA = emframe.from_scipy(stats.gamma)
TWO_KINDS = emframe.Product({0: "poisson", 1: "bernoulli"})
SPREADS = RNG.normal(size=200) * RNG.choice([1.0, 3.0], 200)
HALF = np.vstack([clouds(120, 2, 2, 1.5), clouds(120, 2, 1, 0.0) + 20.0])
MIXED = np.column_stack([counts(200, 2.0, 6.0), RNG.integers(2, size=200)]).astype(float)
# model, data, prior
FRESH = {
    "overlapping": (emframe.Mixture("gaussian", 2), clouds(200, 2, 2, 1.2), None),
    "half apart, half not": (emframe.Mixture("gaussian", 3, covariance="tied"), HALF, None),
    "too many": (emframe.Mixture("gaussian", 2, covariance="diag"), clouds(150, 2, 1, 0.0), None),
    "a prior": (emframe.Mixture("gaussian", 3), clouds(150, 2, 3, 2.0), "weak"),
    "turned": (emframe.Mixture("gaussian", 2, covariance="VEV"), clouds(200, 2, 2, 1.2), None),
    "classes": (emframe.Mixture("bernoulli", 3), items(300, 7, 3, 0.05), None),
    "counts": (emframe.Mixture("poisson", 2), counts(300, 2.0, 5.0), None),
    "of two kinds": (emframe.Mixture(TWO_KINDS, 2), MIXED, None),
    "held": (emframe.Mixture(emframe.fixed("gaussian", means=0.0), 2), SPREADS, None),
    "a density": (emframe.Mixture(LANE, 2), RNG.exponential(RNG.choice([1.0, 6.0], 200)), None),
    "scipy's gamma": (emframe.Mixture(GAMMA, 2), RNG.gamma(RNG.choice([2.0, 9.0], 150)), None),
    "a chain": (emframe.model("hidden-markov", family="poisson", n_states=2), chain(200), None),
    "factors": (emframe.model("factor-analysis", n_factors=2), factors(200, 7, 2), None),
    "gaps": (emframe.model("incomplete-gaussian"), with_gaps(clouds(150, 4, 1, 0.0), 0.25), None),
}  # fmt: skip


@pytest.mark.parametrize("accelerate", [True, "squarem", False])
@pytest.mark.parametrize(("model", "X", "prior"), FRESH.values(), ids=FRESH)
def test_converged_means_that_fifty_more_steps_gain_less_than_tol(model, X, prior, accelerate):
    for seed, tol in ((11, 1e-8), (12, 1e-6)):
        fit = emframe.fit(
            model, X, prior=prior, rng=seed, n_starts=1, tol=tol, accelerate=accelerate
        )
        assert fit.converged
        more = emframe.fit(
            model, X, prior=prior, start=fit.params, accelerate=False, tol=0, max_iter=50
        )
        assert more.objective - fit.objective < tol + within(RESOLUTION, fit.objective)


APART = {
    "full": (emframe.Mixture("gaussian", 3), clouds(400, 2, 3, 9.0)),
    "full, 6 columns": (emframe.Mixture("gaussian", 4), clouds(600, 6, 4, 8.0)),
    "diag": (emframe.Mixture("gaussian", 3, covariance="diag"), clouds(400, 4, 3, 8.0)),
    "spherical": (emframe.Mixture("gaussian", 3, covariance="spherical"), clouds(400, 3, 3, 9.0)),
    "tied": (emframe.Mixture("gaussian", 3, covariance="tied"), clouds(400, 3, 3, 8.0)),
    "VEE": (emframe.Mixture("gaussian", 3, covariance="VEE"), clouds(400, 3, 3, 8.0)),
    "VVE": (emframe.Mixture("gaussian", 3, covariance="VVE"), clouds(400, 3, 3, 8.0)),
    "classes": (emframe.Mixture("bernoulli", 2), items(400, 40, 2, 0.01)),
    "counts": (emframe.Mixture("poisson", 3), counts(400, 3.0, 40.0, 150.0)),
}


def passes(expect, params, contract, accelerate):
    """Passes to within 1e-8 of the limit, passes to `converged`, and the limit.

    None where a component degenerates.
    """
    seen, converged = [], []

    def watch(steps):
        seen.append((steps[-1].n_expectations, steps[-1].objective))
        if RemainingGain(1e-8)(steps) is not None:
            converged.append(steps[-1].n_expectations)

    rules = [watch, RemainingGain(1e-10), MaxIterations(2000)]
    try:
        end = run(expect, params, rules=rules, method=method_for(accelerate, contract))
    except Degenerate:
        return None
    limit = end.step.objective
    near = next(n for n, reached in seen if limit - reached <= 1e-8)
    return near, next(iter(converged), end.n_expectations), limit


@pytest.mark.parametrize(("model", "X"), APART.values(), ids=APART)
def test_where_clusters_are_apart_the_default_takes_no_more_passes_than_em(model, X):
    """In the median over starts of all kinds that lead both to the best optimum."""
    rows = model.condense(model.rows(X))
    expect = expectation(model, rows)
    supply = (params for _, params in model.starts(rows, np.random.default_rng(3)))
    starts = [params for params in islice(supply, 36) if not isinstance(params, Exception)]
    both = [[passes(expect, one, model.contract, how) for how in (False, True)] for one in starts]
    best = max(end[2] for pair in both for end in pair if end is not None)
    counted = [
        [end[:2] for end in pair]
        for pair in both
        if all(end is not None and best - end[2] < 1e-6 for end in pair)
    ]
    assert len(counted) >= 3
    em, default = np.median(counted, axis=0)
    assert (default <= 1.1 * em).all()
