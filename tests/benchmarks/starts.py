"""The default call beside scikit-learn's: processor time over the whole fit, and who ends higher.

    python tests/benchmarks/starts.py [REPEATS]

Each line is one data set: milliseconds of emframe's default call, of scikit-learn's with one start
and with ten, their ratios, and by how much the log-likelihood is above that of each.  Both see the
same rows and run on one core; scikit-learn stops by its own rule, as its users have it.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from math import exp, log
from typing import Any

import numpy as np
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture

import emframe

Array = np.ndarray[Any, np.dtype[np.float64]]


def clouds(n: int, d: int, k: int, apart: float, seed: int = 0) -> Array:
    """Rows of K Gaussians whose centres are drawn `apart` standard deviations wide."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0.0, apart, (k, d))
    return np.asarray(centres[rng.integers(k, size=n)] + rng.normal(size=(n, d)))


CASES: dict[str, tuple[Callable[[], Array], int]] = {
    "iris, K = 3": (lambda: load_iris().data, 3),
    "faithful, K = 2": (lambda: np.array(emframe.dataset("faithful").X), 2),
    "faithful, K = 3": (lambda: np.array(emframe.dataset("faithful").X), 3),
    "1000 x 4, K = 5": (lambda: clouds(1000, 4, 5, 3.0), 5),
    "10,000 x 8, K = 5, overlapping": (lambda: clouds(10_000, 8, 5, 0.7), 5),
    "10,000 x 8, K = 5, apart": (lambda: clouds(10_000, 8, 5, 5.0), 5),
}


def timed(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The least processor time of some calls, and what the last of them returned."""
    best = np.inf
    for _ in range(repeats):
        began = time.process_time()
        found = call()
        best = min(best, time.process_time() - began)
    return best, found


def main(repeats: int) -> None:
    print(f"{'':32}{'emframe':>9}{'one':>9}{'ten':>9}{'/one':>7}{'/ten':>7}{'above':>20}")
    against_one, against_ten = [], []
    for name, (rows, k) in CASES.items():
        x = rows()

        def ours(x: Array = x, k: int = k) -> float:
            return emframe.fit(emframe.Mixture("gaussian", k), x, rng=0).log_likelihood

        def theirs(n_init: int, x: Array = x, k: int = k) -> float:
            model = GaussianMixture(k, n_init=n_init, random_state=0).fit(x)
            return float(model.score(x) * len(x))

        mine, level = timed(ours, repeats)
        one, level_one = timed(lambda: theirs(1), repeats)
        ten, level_ten = timed(lambda: theirs(10), repeats)
        against_one.append(mine / one)
        against_ten.append(mine / ten)
        print(
            f"{name:32}{1e3 * mine:9.1f}{1e3 * one:9.1f}{1e3 * ten:9.1f}{mine / one:7.2f}"
            f"{mine / ten:7.2f}{level - level_one:10.4f}{level - level_ten:10.4f}",
            flush=True,
        )
    for what, ratios in (("one", against_one), ("ten", against_ten)):
        print(f"geometric mean / {what}: {exp(sum(map(log, ratios)) / len(ratios)):.2f}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
