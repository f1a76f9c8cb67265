"""Large data: does the default call find the reference optimum, and in what time beside a peer?

    python tests/benchmarks/large.py                two sets of each kind
    python tests/benchmarks/large.py --sets 13      as many as that
    python tests/benchmarks/large.py --rare         rare components, far from the others

The reference is the optimum that EM reaches from the true labels.  Times are of the processor, of
the whole call; the peer is scikit-learn's single start.  Set OMP_NUM_THREADS=1 for fair ratios.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import emframe

KINDS = ((100_000, 4, 8), (100_000, 8, 5), (1_000_000, 4, 8))
RARE = ((100_000, 4, 1e-3, 1), (100_000, 4, 1e-4, 1), (100_000, 8, 3e-4, 1), (100_000, 2, 1e-3, 2))


def apart(n: int, d: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Clusters with centres N(0, 3^2), unequal weights and covariances of condition 5."""
    rng = np.random.default_rng([n, d, k, seed])
    centres = 3.0 * rng.normal(size=(k, d))
    weights = np.maximum(rng.dirichlet(np.full(k, 2.0)), 0.02)
    labels = rng.choice(k, size=n, p=weights / weights.sum())
    x = np.empty((n, d))
    for one in range(k):
        turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
        mine = labels == one
        spread = 0.36 * np.geomspace(1.0, 5.0**0.5, d)
        x[mine] = centres[one] + rng.normal(size=(int(mine.sum()), d)) * spread @ turn.T
    return x, labels


def rare(n: int, d: int, share: float, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Four clusters, and some more of a small share, far from the others."""
    rng = np.random.default_rng([n, d, count, seed])
    centres = 3.0 * rng.normal(size=(4 + count, d))
    away = rng.normal(size=(count, d))
    centres[4:] = 14.0 * away / np.linalg.norm(away, axis=1, keepdims=True)
    weights = np.concatenate([rng.dirichlet(np.full(4, 5.0)), np.full(count, share)])
    labels = rng.choice(4 + count, size=n, p=weights / weights.sum())
    return centres[labels] + 0.6 * rng.normal(size=(n, d)), labels


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and the seconds of processor time that it took."""
    began = time.process_time()
    return call(), time.process_time() - began


def peer(x: np.ndarray, k: int, seed: int) -> tuple[float, float] | None:
    """Log-likelihood and seconds of scikit-learn's single start; None where it is missing."""
    try:
        from sklearn.mixture import GaussianMixture
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(k, random_state=seed)
        _, seconds = timed(lambda: model.fit(x))
    return model.score(x) * len(x), seconds


def line(name: str, x: np.ndarray, labels: np.ndarray, seed: int) -> str:
    """A row of the table."""
    k = int(labels.max()) + 1
    model = emframe.Mixture("gaussian", n_components=k)
    reference = emframe.fit(model, x, start=labels).log_likelihood
    fit, seconds = timed(lambda: emframe.fit(model, x, rng=seed))
    on_sample = sum(one.n_iter for one in fit.starts if one.sample)
    found = peer(x, k, seed)
    beside = "| | |" if found is None else f"| {found[0] - reference:,.1f} | {found[1]:.2f} |"
    return (
        f"| {name} | {fit.log_likelihood - reference:,.3f} | {seconds:.2f} | {on_sample} | "
        f"{fit.n_iter} {beside}"
    )


def table(sets: int, is_rare: bool) -> Iterator[str]:
    """Lines of a Markdown table, as they are measured."""
    yield "| data | nats above reference | s | E-steps, sample | all | peer, nats | peer, s |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for seed in range(sets):
        if is_rare:
            for n, d, share, count in RARE:
                name = f"{n:,} x {d}, {count} of share {share:g}"
                yield line(name, *rare(n, d, share, count, seed), seed)
        else:
            for n, d, k in KINDS:
                yield line(f"{n:,} x {d}, K = {k}", *apart(n, d, k, seed), seed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=2, help="data sets of each kind")
    parser.add_argument("--rare", action="store_true", help="rare components")
    asked = parser.parse_args()
    for one in table(asked.sets, asked.rare):
        print(one, flush=True)
