"""Hidden Markov models against hmmlearn's, from the same start.

    python tests/benchmarks/hidden_markov.py [--rows 300 3000 50000] [--states 2 5 15 40]
    python tests/benchmarks/hidden_markov.py --fits --rows 300 3000 --states 2 5

Prints the tables of docs/performance.md: how many times faster emframe is than hmmlearn with its
default, ``implementation="log"``, and with ``"scaling"``; for one EM iteration, or with ``--fits``
for all that it takes until the log-likelihood is within 1e-6 of emframe's limit.  The three take
turns, and the shortest of many times counts.  Each has one thread.  Needs hmmlearn.
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
    peer, x = peer_of(family, data, start, how)

    def step() -> None:
        begin(peer, family, start)
        statistics, _ = peer._do_estep(x, data.lengths)
        peer._do_mstep(statistics)

    return step


def peer_of(
    family: str, data: emframe.Sequences, start: dict[str, Any], how: str
) -> tuple[Any, Any]:
    """A model of hmmlearn, and the rows as it takes them."""
    # Their priors keep hmmlearn's variances from its maximum; without them both climb one hill.
    options = {"implementation": how, "init_params": ""}
    k, x = len(start["initial"]), data.x
    if family == "gaussian":
        peer = hmm.GaussianHMM(k, covariance_type="full", covars_prior=0.0, **options)
    else:
        peer, x = hmm.PoissonHMM(k, **options), data.x.astype(int)
    peer._init(x, data.lengths)
    return peer, x


def begin(peer: Any, family: str, start: dict[str, Any]) -> None:
    """Put the peer at the start."""
    peer.startprob_, peer.transmat_ = start["initial"], start["transitions"]
    if family == "gaussian":
        peer.means_, peer._covars_ = start["means"], start["covariances"]
    else:
        peer.lambdas_ = start["rates"]


class Elsewhere(Exception):
    """The peer came to another optimum."""


def our_fit(
    family: str, data: emframe.Sequences, start: dict[str, Any], limit: list[float]
) -> Step:
    """A run to convergence from the start; leaves its log-likelihood in `limit`."""
    model = emframe.model("hidden-markov", family=family, n_states=len(start["initial"]))

    def fit() -> None:
        found = emframe.fit(model, data, start=start, rng=0)
        limit[0] = found.log_likelihood

    return fit


def their_fit(
    family: str, data: emframe.Sequences, start: dict[str, Any], how: str, limit: list[float]
) -> Step:
    """EM iterations of hmmlearn until it is within 1e-6 of `limit`, 3,000 at most."""
    peer, x = peer_of(family, data, start, how)

    def fit() -> None:
        begin(peer, family, start)
        for _ in range(3000):
            statistics, loglik = peer._do_estep(x, data.lengths)
            if loglik > limit[0] - 1e-6:
                return
            peer._do_mstep(statistics)
        raise Elsewhere

    return fit


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
    parser.add_argument("--fits", action="store_true", help="runs to convergence, not iterations")
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
                        if options.fits:
                            limit = [np.inf]
                            mine_first = our_fit(family, data, start, limit)
                            peers = [
                                their_fit(family, data, start, how, limit)
                                for how in ("log", "scaling")
                            ]
                        else:
                            mine_first = ours(family, data, start)
                            peers = [theirs(family, data, start, how) for how in ("log", "scaling")]
                        try:
                            mine, *others = shortest([mine_first, *peers], options.seconds)
                        except Elsewhere:
                            print(f"| {family} | {n:,} | {runs} | {k} | | another optimum | |")
                            continue
                        ratios = " | ".join(f"{one / mine:.1f} x" for one in others)
                        head = f"| {family} | {n:,} | {runs} | {k} "
                        print(f"{head}| {1e3 * mine:.2f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
