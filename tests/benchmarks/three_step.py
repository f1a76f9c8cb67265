"""Bias and coverage of classes related to an outcome: ``python three_step.py [replicates] [rows]``.

Three classes of equal size, six binary items that are answered alike with probability 0.8 (of
middling separation, as in Vermunt 2010, table 3), and a normal outcome whose means are -1, 0 and 1.
"""

from __future__ import annotations

import sys

import numpy as np

import emframe

PROBS = np.array([[0.8] * 6, [0.8] * 3 + [0.2] * 3, [0.2] * 6])
MEANS = np.array([-1.0, 0.0, 1.0])
METHODS = ("ml", "bch", "two-step", "modal", "proportional")


def replicate(seed: int, n: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Estimates and standard errors of the class means, by method."""
    rng = np.random.default_rng(seed)
    z = rng.choice(3, size=n)
    items = (rng.random((n, 6)) < PROBS[z]).astype(float)
    y = rng.normal(MEANS[z], 1.0)
    start = {"weights": [1 / 3] * 3, "probs": PROBS}  # keeps the numbers of the classes
    fit = emframe.fit(emframe.Mixture("bernoulli", 3), items, start=start)
    found = {method: emframe.outcomes(fit, items, y, method=method) for method in METHODS}
    return {method: (one.estimates, one.standard_errors) for method, one in found.items()}


def main(replicates: int = 200, n: int = 1000) -> None:
    """Print a line for each method."""
    every = [replicate(seed, n) for seed in range(replicates)]
    print(f"{'method':14}{'bias':>24}{'sd':>21}{'mean error':>21}{'coverage of 95 %':>24}")
    for method in METHODS:
        estimates, errors = (np.array([one[method][j] for one in every]) for j in (0, 1))
        inside = (np.abs(estimates - MEANS) < 1.96 * errors).mean(axis=0)
        columns = estimates.mean(axis=0) - MEANS, estimates.std(axis=0), errors.mean(axis=0), inside
        told = ("  ".join(f"{value:6.3f}" for value in column) for column in columns)
        print(f"{method:14}" + " ".join(told))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
