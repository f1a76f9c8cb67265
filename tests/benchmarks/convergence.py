"""E-steps to the limit: plain EM, SQUAREM and the default, on a bed of problems.

    python tests/benchmarks/convergence.py [--starts 60] [NAME ...]

Counts the passes over the data until the log-likelihood is within 1e-8 of its limit, from the
same random starts for each method, and prints the medians as the table in docs/convergence.md.
Passes to different optima cannot be compared, so only starts from which all methods end at the
same one count; the table says how often the default ended at a lower or a higher one than EM.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

import emframe
from emframe.core import Degenerate, MaxIterations, RemainingGain, Stopped, run
from emframe.fitting import expectation
from emframe.fitting.movers import method_for

METHODS = {"EM": False, "SQUAREM": "squarem", "default": True}
NEAR = 1e-8  # nats from the limit


@dataclass(frozen=True)
class Problem:
    """A model, its data, and where to start (random starts unless given)."""

    model: emframe.Mixture
    data: Any
    start: Any = None


def gaussian(k: int, X: Any, **options: Any) -> Problem:
    return Problem(emframe.Mixture("gaussian", n_components=k, **options), X)


def death_notices() -> Problem:
    start = {"weights": [0.3, 0.7], "rates": [[1.0], [2.5]]}
    data = emframe.dataset("death_notices")
    return Problem(emframe.Mixture("poisson", n_components=2), data, start)


def overlapping() -> Problem:
    rng = np.random.default_rng(1)
    return gaussian(2, np.concatenate([rng.normal(0, 1, 300), rng.normal(2, 1, 200)]))


def clouds(n: int, d: int, k: int, apart: float) -> np.ndarray:
    """Rows of k Gaussian clouds, each a little oblique, with centres drawn `apart` as wide."""
    rng = np.random.default_rng(k)
    labels = rng.integers(k, size=n)
    shapes = np.eye(d) + 0.4 * rng.normal(size=(k, d, d)) / np.sqrt(d)
    centres = rng.normal(size=(k, d)) * apart
    return centres[labels] + np.einsum("nij,nj->ni", shapes[labels], rng.normal(size=(n, d)))


def classes() -> Problem:
    rng = np.random.default_rng(2)
    probs = rng.uniform(0.1, 0.9, size=(5, 10))
    X = (rng.random((1000, 10)) < probs[rng.integers(5, size=1000)]).astype(float)
    return Problem(emframe.Mixture("bernoulli", n_components=5), X)


def clear_classes() -> Problem:
    rng = np.random.default_rng(3)
    probs = rng.choice([0.04, 0.96], size=(3, 20))
    X = (rng.random((800, 20)) < probs[rng.integers(3, size=800)]).astype(float)
    return Problem(emframe.Mixture("bernoulli", n_components=3), X)


def clear_counts() -> Problem:
    rng = np.random.default_rng(4)
    X = rng.poisson(np.array([5.0, 40.0, 120.0])[rng.integers(3, size=600)])
    return Problem(emframe.Mixture("poisson", n_components=3), X)


def named(family: str, data: str, k: int, **options: Any) -> Problem:
    return Problem(emframe.Mixture(family, n_components=k, **options), emframe.dataset(data))


BED: dict[str, Callable[[], Problem]] = {
    "death notices, Poisson, K 2": death_notices,
    "overlapping, 1 column, K 2": overlapping,
    "clouds, 2 columns, K 5": lambda: gaussian(5, clouds(1000, 2, 5, 3.0)),
    "clouds, 6 columns, K 6": lambda: gaussian(6, clouds(1500, 6, 6, 1.2)),
    "Old Faithful, K 3": lambda: named("gaussian", "faithful", 3),
    "Old Faithful, tied, K 4": lambda: named("gaussian", "faithful", 4, covariance="tied"),
    "iris, diagonal, K 3": lambda: named("gaussian", "iris", 3, covariance="diag"),
    "latent classes, 10 items, K 5": classes,
    "earthquakes, Poisson, K 4": lambda: named("poisson", "earthquakes", 4),
    "carcinoma, K 3": lambda: named("bernoulli", "carcinoma", 3),
}
# Where EM itself is fast an acceleration has nothing to give, and must take nothing.
EASY: dict[str, Callable[[], Problem]] = {
    "well apart, 2 columns, K 3": lambda: gaussian(3, clouds(600, 2, 3, 12.0)),
    "well apart, 8 columns, K 4": lambda: gaussian(4, clouds(800, 8, 4, 6.0)),
    "well apart, tied, K 3": lambda: gaussian(3, clouds(500, 3, 3, 6.0), covariance="tied"),
    "well apart, diagonal, K 3": lambda: gaussian(3, clouds(1000, 5, 3, 6.0), covariance="diag"),
    "well apart, 20 items, K 3": clear_classes,
    "well apart, Poisson, K 3": clear_counts,
}


@dataclass(frozen=True)
class Count:
    """How one method fared from one start."""

    passes: float  # to within NEAR of its limit; inf where it did not get there
    limit: float
    falls: int  # steps that lowered the objective


def count(problem: Problem, params: Any, accelerate: Any) -> Count | None:
    """The passes that a method takes from a start; None where it degenerates."""
    model = problem.model
    data = problem.data
    rows = model.condense(model.rows(data, getattr(data, "weights", None)))
    expect = expectation(model, rows)
    seen: list[tuple[int, float]] = []

    def watch(steps: Any) -> None:
        seen.append((steps[-1].n_expectations, steps[-1].objective))

    rules = [watch, RemainingGain(1e-10), MaxIterations(50_000)]
    try:
        method = method_for(accelerate, model.contract)
        done = run(expect, params, rules=rules, method=method)
        if not done.status.usable or model.irregularities(done.step.expectation):
            return None
        polish = [RemainingGain(1e-11), MaxIterations(1000)]
        end = run(expect, done.step.params, rules=polish, method=method_for(True, model.contract))
    except (Degenerate, Stopped):
        return None
    limit = max(end.step.objective, done.step.objective)
    near = next((n for n, reached in seen if limit - reached <= NEAR), float("inf"))
    return Count(near, limit, int((np.diff([reached for _, reached in seen]) < 0).sum()))


def counts(problem: Problem, n_starts: int) -> list[dict[str, Count]]:
    """For each start from which every method ends at a regular optimum, the counts of all."""
    model, rng = problem.model, np.random.default_rng(0)
    rows = model.rows(problem.data, getattr(problem.data, "weights", None))
    if problem.start is not None:
        starts = [model.start(problem.start, rows, rng)]
    else:
        supply = (params for _, params in model.starts(rows, rng))
        starts = []
        while len(starts) < n_starts:
            params = next(supply)
            starts += [] if isinstance(params, Degenerate) else [params]
    table = []
    for params in starts:
        row = {name: count(problem, params, how) for name, how in METHODS.items()}
        whole = {name: one for name, one in row.items() if one is not None}
        if len(whole) == len(METHODS):
            table.append(whole)
    return table


def same(table: list[dict[str, Count]]) -> list[dict[str, Count]]:
    """The starts from which all methods end at the same optimum."""
    return [row for row in table if np.ptp([one.limit for one in row.values()]) < 1e-6]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=60, help="random starts of each problem")
    parser.add_argument("names", nargs="*", help="parts of the names of problems; all by default")
    options = parser.parse_args()
    head = f"| problem | starts | {' | '.join(METHODS)} | ended lower, higher than EM |"
    print(head, "| --- | --- |" + " --- |" * (len(METHODS) + 1), sep="\n")
    medians, falls = [], 0
    for name, problem in (BED | EASY).items():
        if options.names and not any(part in name for part in options.names):
            continue
        table = counts(problem(), options.starts)
        median = [float(np.median([row[how].passes for row in same(table)])) for how in METHODS]
        gaps = np.array([row["default"].limit - row["EM"].limit for row in table])
        basins = f"{(gaps < -1e-6).sum()}, {(gaps > 1e-6).sum()}"
        falls += sum(one.falls for row in table for one in row.values())
        medians += [median] if name in BED else []
        print(f"| {name} | {len(same(table))} | {_cells(median, 0)} | {basins} |", flush=True)
    means = np.exp(np.log(np.array(medians)).mean(axis=0))
    print(f"| geometric mean of the first {len(medians)} | | {_cells(means, 1)} | |")
    print(f"\nSteps that lowered the objective: {falls}.")


def _cells(numbers: Iterable[float], digits: int) -> str:
    return " | ".join(f"{number:.{digits}f}" for number in numbers)


if __name__ == "__main__":
    main()
