"""One EM iteration of a hidden Markov model against hmmlearn's, from the same start.

    python tests/benchmarks/hidden_markov.py [--rows 300 3000 50000] [--states 2 5 15 40]

Prints the table of docs/performance.md: how many times faster emframe is than hmmlearn with its
default, ``implementation="log"``, and with ``"scaling"``.  The three take turns, and the shortest
of many times counts.  Each has one thread.  Needs hmmlearn.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from hmmlearn import hmm

import emframe
from emframe.engines import one_blas_thread
from emframe.fitting import expectation

Step = Callable[[], object]


def drawn(family: str, n: int, k: int, runs: int) -> tuple[emframe.Sequences, dict[str, Any]]:
    """Runs from a chain that stays for about five rows, and a start near the truth."""
    rng = np.random.default_rng(0)
    transitions = 0.8 * np.eye(k) + 0.2 * rng.dirichlet(np.ones(k), size=k)
    start: dict[str, Any] = {"initial": np.full(k, 1.0 / k), "transitions": transitions}
    if family == "gaussian":
        start |= {"means": 2.0 * np.arange(k)[:, None], "covariances": np.ones((k, 1, 1))}
    else:
        start["rates"] = 1.0 + 4.0 * np.arange(k)[:, None]
    model = emframe.model("hidden-markov", family=family, n_states=k)
    x, _ = model.sample(model.build(start), n, rng)
    return emframe.Sequences(x, np.full(runs, n // runs)), start


def ours(family: str, data: emframe.Sequences, start: dict[str, Any]) -> Step:
    """One E-step and one M-step from the start."""
    model = emframe.model("hidden-markov", family=family, n_states=len(start["initial"]))
    expect, params = expectation(model, model.rows(data)), model.build(start)
    return lambda: expect(params).maximize()


def theirs(family: str, data: emframe.Sequences, start: dict[str, Any], how: str) -> Step:
    """What `fit` of hmmlearn repeats."""
    options = {"implementation": how, "init_params": ""}
    k, x = len(start["initial"]), data.x
    if family == "gaussian":
        peer = hmm.GaussianHMM(k, covariance_type="full", **options)
    else:
        peer, x = hmm.PoissonHMM(k, **options), data.x.astype(int)

    def step() -> None:
        peer.startprob_, peer.transmat_ = start["initial"], start["transitions"]
        if family == "gaussian":
            peer.means_, peer._covars_ = start["means"], start["covariances"]
        else:
            peer.lambdas_ = start["rates"]
        statistics, _ = peer._do_estep(x, data.lengths)
        peer._do_mstep(statistics)

    peer._init(x, data.lengths)
    return step


def shortest(steps: list[Step], seconds: float) -> list[float]:
    """Seconds of each, of as many turns as there is time for, three at least."""
    best, turns, end = [np.inf] * len(steps), 0, time.perf_counter() + seconds
    while turns < 3 or time.perf_counter() < end:
        for index, step in enumerate(steps):
            begun = time.perf_counter()
            step()
            best[index] = min(best[index], time.perf_counter() - begun)
        turns += 1
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[300, 3000, 50000])
    parser.add_argument("--states", type=int, nargs="+", default=[2, 5, 15, 40])
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--families", nargs="+", default=["gaussian", "poisson"])
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # of the peer: more parameters than rows
    print("| family | rows | runs | states | emframe, ms | against log | against scaling |")
    print("|---|---|---|---|---|---|---|")
    with one_blas_thread():
        for family in options.families:
            for n in options.rows:
                for runs in options.runs:
                    for k in options.states:
                        data, start = drawn(family, n, k, runs)
                        peers = [theirs(family, data, start, how) for how in ("log", "scaling")]
                        mine, *others = shortest(
                            [ours(family, data, start), *peers], options.seconds
                        )
                        ratios = " | ".join(f"{one / mine:.1f} x" for one in others)
                        head = f"| {family} | {n:,} | {runs} | {k} "
                        print(f"{head}| {1e3 * mine:.2f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
