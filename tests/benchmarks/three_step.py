"""Bias and coverage of what classes go with: ``python three_step.py [replicates] [rows] [p]``.

Three classes of equal size, six binary items that are answered alike with probability p (0.8 is of
middling separation, 0.9 of a good one).  A covariate from 1 to 5 goes with the classes by log odds
2.3446 - x and -3.6554 + x against the first (Bakk, Tekle and Vermunt 2013; Bakk and Kuha 2018),
and a normal outcome has the means -1, 0 and 1.
"""

from __future__ import annotations

import sys

import numpy as np

import emframe

MEANS = np.array([-1.0, 0.0, 1.0])
ODDS = np.array([2.3446, -1.0, -3.6554, 1.0])  # of the second and third class: intercept, slope
METHODS = ("ml", "bch", "two-step", "modal", "proportional")
TRUTH = {"outcomes": MEANS, "predictors": ODDS}
Found = dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]


def replicate(seed: int, n: int, p: float) -> Found:
    """Estimates and standard errors by what is related and by method."""
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 6, size=n).astype(float)
    odds = np.column_stack([np.zeros(n), ODDS[0] + ODDS[1] * x, ODDS[2] + ODDS[3] * x])
    z = (odds + rng.gumbel(size=odds.shape)).argmax(axis=1)
    probs = np.array([[p] * 6, [p] * 3 + [1 - p] * 3, [1 - p] * 6])
    items = (rng.random((n, 6)) < probs[z]).astype(float)
    y = rng.normal(MEANS[z], 1.0)
    start = {"weights": [1 / 3] * 3, "probs": probs}  # keeps the numbers of the classes
    fit = emframe.fit(emframe.Mixture("bernoulli", 3), items, start=start)
    found: Found = {}
    for method in METHODS:
        for act, other in ((emframe.outcomes, y), (emframe.predictors, x)):
            one = act(fit, items, other, method=method)
            found[act.__name__, method] = one.estimates, one.standard_errors
    return found


def main(replicates: int = 200, n: int = 1000, p: float = 0.8) -> None:
    """Print a line for each method."""
    every = []
    for seed in range(replicates):
        try:
            every.append(replicate(seed, n, p))
        except emframe.Degenerate as error:  # told, and left out for all methods
            print(f"replicate {seed}: {error}")
    for what, truth in TRUTH.items():
        widths = [8 * len(truth)] * 4
        heads = zip(("bias", "sd", "mean error", "coverage of 95 %"), widths, strict=True)
        print(f"{what:14}" + " ".join(head.rjust(width) for head, width in heads))
        for method in METHODS:
            estimates, errors = (np.array([one[what, method][j] for one in every]) for j in (0, 1))
            inside = (np.abs(estimates - truth) < 1.96 * errors).mean(axis=0)
            bias = estimates.mean(axis=0) - truth
            columns = bias, estimates.std(axis=0), errors.mean(axis=0), inside
            told = ("".join(f"{value:8.3f}" for value in column) for column in columns)
            print(f"{method:14}" + " ".join(told))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *map(float, sys.argv[3:4]))
