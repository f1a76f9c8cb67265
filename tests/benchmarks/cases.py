"""What is timed: data, a start, and one EM iteration of emframe and of a peer from that start.

The peer runs at its defaults, apart from the start and the number of iterations.  Its iteration
is the difference of two runs of unequal length, so what it does once is not counted; ours is
timed step by step, with the ledger's checks on.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

import emframe
from emframe.cli.timing import audited, peer
from emframe.engines import one_blas_thread

LEVELS = 4  # answers to each item of a categorical case


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    family: str
    structure: str  # "" where the family has none
    n: int
    d: int
    k: int
    peer: str
    target: float = 1.0  # how many times faster than the peer it should be

    @property
    def name(self) -> str:
        return f"{self.structure or self.family} {self.n:,} x {self.d}, K = {self.k}"

    @cached_property
    def start(self) -> dict[str, np.ndarray]:
        """Components drawn at random, with unit covariances."""
        rng = np.random.default_rng(0)
        weights, shape = np.full(self.k, 1.0 / self.k), (self.k, self.d)
        if self.family == "gaussian":
            eye = np.broadcast_to(np.eye(self.d), (self.k, self.d, self.d))
            return {"weights": weights, "means": 1.5 * rng.normal(size=shape), "covariances": eye}
        if self.family == "bernoulli":
            return {"weights": weights, "probs": rng.uniform(0.1, 0.9, shape)}
        if self.family == "categorical":
            return {"weights": weights, "probs": rng.dirichlet(np.ones(LEVELS), shape)}
        return {"weights": weights, "rates": rng.uniform(1.0, 9.0, shape)}

    @cached_property
    def x(self) -> np.ndarray:
        """Rows from the start itself."""
        rng = np.random.default_rng(1)
        labels = rng.integers(self.k, size=self.n)
        if self.family == "gaussian":
            return self.start["means"][labels] + rng.normal(size=(self.n, self.d))
        if self.family == "bernoulli":
            drawn = rng.random((self.n, self.d)) < self.start["probs"][labels]
            return drawn.astype(float)
        if self.family == "categorical":
            below = self.start["probs"].cumsum(axis=2)[labels, :, :-1]
            return (rng.random((self.n, self.d, 1)) >= below).sum(axis=2).astype(float)
        return rng.poisson(self.start["rates"][labels]).astype(float)

    def least(self) -> tuple[float, float, float]:
        """Flops of the products that an iteration needs, exponentials, and bytes to read."""
        n, d, k = self.n, self.d, self.k
        per_component = {
            ("gaussian", "full"): d * (d + 3) // 2 + 1,
            ("gaussian", "tied"): d + 1,
            ("gaussian", "spherical"): d + 2,
            ("gaussian", "diag"): 2 * d + 1,
            ("bernoulli", ""): d + 1,
            ("categorical", ""): d + 1,
            ("poisson", ""): d + 1,
        }[self.family, self.structure]
        return 4.0 * n * k * per_component, 1.0 * n * k, 8.0 * n * d


def ours(case: Case, engine: Any = None, steps: int = 6) -> float:
    """Median seconds of an audited EM step."""
    options = {"covariance": case.structure} if case.structure else {}
    model = emframe.Mixture(case.family, n_components=case.k, **options)
    with one_blas_thread():
        line = audited(model, case.x, case.start, engine)
        marks = [time.perf_counter() for _ in islice(line, steps + 1)]
    return float(np.median(np.diff(marks)))


def scikit_learn(case: Case, steps: int) -> Callable[[], object]:
    fit: Callable[[object], object] = peer(case.structure, case.start, steps).fit
    return fit


def stepmix(case: Case, steps: int) -> Callable[[], object]:
    from stepmix.stepmix import StepMix

    measurement = {"bernoulli": "binary"}.get(case.family, case.family)
    return StepMix(
        case.k, measurement=measurement, n_init=1, max_iter=steps, abs_tol=0, rel_tol=0,
        progress_bar=0, random_state=0,
    ).fit  # fmt: skip


def pomegranate(case: Case, steps: int) -> Callable[[], object]:
    import torch
    from pomegranate.distributions import Poisson
    from pomegranate.gmm import GeneralMixtureModel

    model = GeneralMixtureModel(
        [Poisson(torch.tensor(rate)) for rate in case.start["rates"]],
        priors=torch.tensor(case.start["weights"]),
        max_iter=steps,
        tol=0.0,
    )
    return lambda x: model.fit(torch.tensor(x))


PEERS = {"scikit-learn": scikit_learn, "StepMix": stepmix, "pomegranate": pomegranate}


# Seconds after which the threads of a peer's BLAS no longer wait for more work at full speed.
REST = 0.5


def theirs(case: Case, short: int = 1, long: int = 4) -> float:
    """Seconds of the peer's EM iteration; afterwards its threads are at rest."""

    def run(steps: int) -> float:
        fit: Any = PEERS[case.peer](case, steps)
        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged is the intention
            fit(case.x)
        return time.perf_counter() - begin

    run(short)
    seconds = (run(long) - run(short)) / (long - short)
    time.sleep(REST)
    return seconds


GAUSSIAN = [
    ("full", 1_000_000, 2, 5, 20.0), ("full", 200_000, 8, 8, 10.0), ("full", 200_000, 16, 10, 7.0),
    ("full", 100_000, 64, 20, 4.0), ("full", 40_000, 200, 8, 1.5), ("diag", 1_000_000, 2, 5, 10.0),
    ("diag", 500_000, 16, 10, 4.0), ("diag", 100_000, 64, 20, 1.0), ("tied", 200_000, 16, 10, 5.0),
    ("tied", 100_000, 64, 20, 1.0), ("spherical", 500_000, 2, 5, 1.0),
    ("spherical", 200_000, 16, 10, 1.0), ("full", 10_000, 4, 3, 1.0), ("full", 1_000, 4, 3, 1.0),
]  # fmt: skip
CASES = [
    *(Case("gaussian", s, n, d, k, "scikit-learn", target) for s, n, d, k, target in GAUSSIAN),
    Case("bernoulli", "", 100_000, 20, 5, "StepMix", 5.0),
    Case("bernoulli", "", 200_000, 100, 10, "StepMix", 2.5),
    Case("bernoulli", "", 1_000_000, 6, 3, "StepMix", 20.0),
    Case("categorical", "", 100_000, 20, 5, "StepMix", 5.0),
    Case("poisson", "", 200_000, 10, 5, "pomegranate", 1.0),
]
