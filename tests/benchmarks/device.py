"""What a device gains: a pass there and here, a whole fit there and here, and whether they agree.

    python tests/benchmarks/device.py                        on "cuda"
    python tests/benchmarks/device.py --engine cuda:1 --rows 1e7
    python tests/benchmarks/device.py --engine torch --rows 1e5    torch on the processor

Wall time, the median of some turns, after a first pass that brings the rows there.  Agreement is
the relative difference of log-likelihoods, and the largest of the parameters after an M-step.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import emframe
from emframe.engines import cores, engine_for
from emframe.fitting.task import Task
from emframe.parameters import leaves

Array = np.ndarray[Any, np.dtype[np.float64]]
RNG = np.random.default_rng(0)


def clouds(n: int, d: int, k: int) -> Array:
    """Rows of K Gaussians that overlap."""
    centres = 1.5 * RNG.normal(size=(k, d))
    return np.asarray(centres[RNG.integers(k, size=n)] + RNG.normal(size=(n, d)))


def counts(n: int, d: int, k: int) -> Array:
    """Rows of K Poisson components."""
    rates = RNG.uniform(1.0, 20.0, (k, d))
    return RNG.poisson(rates[RNG.integers(k, size=n)]).astype(float)


def answers(n: int, d: int, k: int) -> Array:
    """Binary rows of K classes."""
    probs = RNG.uniform(0.1, 0.9, (k, d))
    return (RNG.random((n, d)) < probs[RNG.integers(k, size=n)]).astype(float)


CASES: list[tuple[str, dict[str, Any], Callable[[int, int, int], Array], int, int]] = [
    ("gaussian", {}, clouds, 4, 8),
    ("gaussian", {}, clouds, 16, 10),
    ("gaussian", {}, clouds, 64, 10),
    ("gaussian", {"covariance": "diag"}, clouds, 16, 10),
    ("gaussian", {"covariance": "tied"}, clouds, 16, 10),
    ("poisson", {}, counts, 16, 10),
    ("bernoulli", {}, answers, 100, 10),
]


def seconds(call: Callable[[], Any], turns: int) -> float:
    """Wall time of a call, the median of some."""
    times = []
    for _ in range(turns):
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return float(np.median(times))


def line(case: tuple[Any, ...], n: int, engine: Any, turns: int, whole: bool) -> str:
    """One line of the table."""
    family, options, make, d, k = case
    x = make(n, d, k)
    model = emframe.Mixture(family, k, **options)
    here, there = (Task.of(model, x, None, None, one) for one in (None, engine))
    params = model.start(RNG.integers(k, size=n), here.given, RNG)
    began = time.perf_counter()
    q = there.expect(params)  # the first brings the rows there
    bring = time.perf_counter() - began
    own = here.expect(params)
    times = [seconds(lambda one=one: one.expect(params), turns) for one in (here, there)]
    off = abs(q.loglik / own.loglik - 1.0)
    pairs = zip(leaves(q.maximize()), leaves(own.maximize()), strict=True)
    moved = max(float(np.abs(a.value - b.value).max() / np.abs(b.value).max()) for a, b in pairs)
    told = f"| {family} {options.get('covariance', '')} | {n:,} x {d}, K = {k} | {q.form} | "
    told += f"{bring:.2f} | {1e3 * times[0]:.1f} | {1e3 * times[1]:.1f} | "
    told += f"{times[0] / times[1]:.1f} | {off:.0e} | {moved:.0e} |"
    if whole:
        each = []
        for one in (None, engine):
            began = time.perf_counter()
            fit = emframe.fit(model, x, rng=0, engine=one)
            each.append((time.perf_counter() - began, fit.log_likelihood))
        told += f" {each[0][0]:.1f} | {each[1][0]:.1f} | {abs(each[1][1] / each[0][1] - 1):.0e} |"
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--engine", default="cuda", help="cuda, cuda:1, or a library's name")
    parser.add_argument("--rows", type=float, default=1e6)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--fits", action="store_true", help="whole fits as well")
    options = parser.parse_args()
    is_cuda = options.engine.startswith("cuda")
    engine = engine_for(options.engine, 1) if is_cuda else emframe.Device(options.engine)
    print(f"{engine}; {cores()} cores here\n")
    heads = "family | data | form | first, s | here, ms | there, ms | times | loglik | M-step"
    heads += " | fit here, s | there, s | loglik" * options.fits
    print(f"| {heads} |\n|{' --- |' * (heads.count('|') + 1)}")
    for case in CASES:
        print(line(case, int(options.rows), engine, options.turns, options.fits), flush=True)


if __name__ == "__main__":
    main()
