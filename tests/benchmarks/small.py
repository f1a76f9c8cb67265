"""What small data cost: the floor of a call, and one accelerated step, family by family.

    python tests/benchmarks/small.py                        the table
    python tests/benchmarks/small.py --only gaussian        the cases whose name has "gaussian"

A call is `emframe.fit` from a given start: one that may take no step, and one from the optimum,
which takes the two or three that it needs to say so.  A step is what each E-step of a run adds to
the first.  All is processor time, the least of many turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import emframe

TURNS = 25
Sample = Callable[[np.random.Generator], tuple[Any, Any]]  # data, and a start


@dataclass(frozen=True)
class Case:
    """A model of small data, with a start that is some way off."""

    name: str
    model: Any
    sample: Sample


def iris(_: np.random.Generator) -> tuple[Any, Any]:
    """150 x 4, cut in three by the first column."""
    X = emframe.dataset("iris").X
    return X, np.argsort(np.argsort(X[:, 0], kind="stable")) // 50


def bits(rng: np.random.Generator) -> tuple[Any, Any]:
    labels = rng.integers(3, size=150)
    rates = rng.uniform(0.1, 0.9, size=(3, 8))
    return (rng.random((150, 8)) < rates[labels]).astype(float), rng.integers(3, size=150)


def counts(rng: np.random.Generator) -> tuple[Any, Any]:
    labels = rng.integers(3, size=150)
    return rng.poisson(np.array([2.0, 5.0, 9.0])[labels]).astype(float), labels


def line(rng: np.random.Generator) -> tuple[Any, Any]:
    labels, x = rng.integers(2, size=150), rng.uniform(-1, 1, size=150)
    y = np.where(labels == 1, 1.0 + 2.0 * x, -x) + 0.5 * rng.normal(size=150)
    return np.column_stack([x, y]), (y > 0.5).astype(int)


def path(rng: np.random.Generator) -> tuple[Any, Any]:
    """Two runs of 75 rows from two states that last."""
    states = np.cumsum(rng.random(150) < 0.1) % 2
    x = rng.normal(size=(150, 1)) + 3.0 * states[:, None]
    components = {"means": [[0.5], [2.0]], "covariances": [[[1.0]], [[1.0]]]}
    start = {
        "initial": [0.5, 0.5],
        "transitions": [[0.8, 0.2], [0.2, 0.8]],
        "components": components,
    }
    return emframe.Sequences(x, [75, 75]), start


CASES = [
    *(
        Case(f"gaussian {name}", emframe.Mixture("gaussian", 3, covariance=name), iris)
        for name in ("full", "diag", "spherical", "tied", "VEE", "EVV")
    ),
    Case("student-t", emframe.Mixture("student-t", 3), iris),
    Case("bernoulli", emframe.Mixture("bernoulli", 3), bits),
    Case("poisson", emframe.Mixture("poisson", 3), counts),
    Case("gaussian-regression", emframe.Mixture("gaussian-regression", 2), line),
    Case("hidden Markov", emframe.model("hidden-markov", family="gaussian", n_states=2), path),
]


def seconds(call: Callable[[], Any]) -> float:
    """The least processor time of many calls."""
    best = np.inf
    for _ in range(TURNS):
        began = time.process_time()
        call()
        best = min(best, time.process_time() - began)
    return best


def table(cases: list[Case]) -> Iterator[str]:
    """Lines of a Markdown table, as they are measured."""
    yield "| 150 rows | no step, ms | from its end, ms | E-steps | step, us |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for case in cases:
        X, first = case.sample(np.random.default_rng(1))
        fit = partial(emframe.fit, case.model, X)
        first = fit(start=first, max_iter=0).params
        whole = fit(start=first)
        floor = seconds(partial(fit, start=first, max_iter=0))
        again = seconds(partial(fit, start=whole.params))
        n = whole.n_iter - 1
        step = (seconds(partial(fit, start=first)) - floor) / n
        yield f"| {case.name} | {1e3 * floor:.2f} | {1e3 * again:.2f} | {n} | {1e6 * step:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    given = parser.parse_args()
    for row in table([case for case in CASES if given.only in case.name]):
        print(row, flush=True)


if __name__ == "__main__":
    main()
