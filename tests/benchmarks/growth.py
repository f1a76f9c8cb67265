"""Growth mixtures: passes to the maximum, seconds for many visits, and what more people cost.

    python tests/benchmarks/growth.py               all of it
    python tests/benchmarks/growth.py --passes      the reference problems of tests/reference
    python tests/benchmarks/growth.py --visits      2,000 people of 65 visits, K = 3, ten starts
    python tests/benchmarks/growth.py --people      1e4 and 1e5 people

Times are of the processor, of the whole call, reading of the rows included; the seconds beside
them are those of a clock.  Passes are E-steps of a start that ended at an optimum.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize

import emframe

sys.path.insert(0, str(Path(__file__).parents[1]))
SLOPES = ("intercept", "time")


def people(n: int, visits: int, seed: int = 0) -> emframe.Sequences:
    """Three kinds of people, of whom each has a level and a slope, seen at times of their own."""
    rng = np.random.default_rng([n, visits, seed])
    kind = rng.choice(3, size=n, p=[0.5, 0.3, 0.2])
    lines = np.array([[0.0, 0.0], [1.0, 0.8], [4.0, -0.8]])[kind]
    own = rng.standard_normal((n, 2)) @ np.array([[0.7, 0.1], [0.0, 0.3]])
    time_ = np.sort(rng.uniform(0.0, 5.0, (n, visits)), axis=1)
    y = (lines + own)[:, :1] + (lines + own)[:, 1:] * time_ + 0.6 * rng.standard_normal(time_.shape)
    return emframe.Sequences(np.column_stack([y.ravel(), time_.ravel()]), np.full(n, visits))


def timed(call: Any) -> tuple[Any, float, float]:
    """What a call gives, its seconds of the processor, and those of a clock."""
    begun, clock = time.process_time(), time.perf_counter()
    found = call()
    return found, time.process_time() - begun, time.perf_counter() - clock


def passes() -> None:
    """Six random starts of each reference problem, and how far scipy gets from the best of them."""
    from test_growth import CASES, data

    every = []
    for case, (name, k, settings, best, *_) in CASES.items():
        model = emframe.Mixture("linear-mixed", k, **settings)
        fit = emframe.fit(model, data(name), rng=0, n_starts=6)
        ends = [one.n_iter for one in fit.starts if one.status.is_optimum]
        every += ends
        print(
            f"{case:20s} {len(ends)} of {len(fit.starts)} starts at an optimum, median passes "
            f"{np.median(ends):3.0f}, {fit.log_likelihood - best:+.1e} nats from the best known, "
            f"{climbed(model, fit, data(name)):.1e} more by scipy"
        )
    print(f"median of all starts: {np.median(every):.0f} passes, most {max(every)}")


def climbed(model: Any, fit: Any, runs: Any) -> float:
    """By how much scipy climbs on the marginal likelihood from there, as a share of it."""
    from emframe.parameters import from_vector, to_vector

    rows = model.rows(runs)

    def loss(vector: Any) -> float:
        return -float(model.posterior(from_vector(fit.params, vector), rows.x)[0].sum())

    end = optimize.minimize(loss, to_vector(fit.params), method="BFGS", options={"gtol": 1e-6})
    return max(-end.fun - fit.log_likelihood, 0.0) / abs(fit.log_likelihood)


def visits() -> None:
    runs = people(2000, 65)
    model = emframe.Mixture("linear-mixed", 3, random=SLOPES)
    fit, spent, clock = timed(lambda: emframe.fit(model, runs, rng=0, n_starts=10))
    ends = [one.n_iter for one in fit.starts if one.status.is_optimum]
    print(
        f"2,000 people of 65 visits, K = 3, ten starts: {spent:.1f} s of the processor, "
        f"{clock:.1f} s; {len(ends)} of {len(fit.starts)} ended at an optimum, median passes "
        f"{np.median(ends):.0f}, log-likelihood {fit.log_likelihood:.4f}"
    )


def growing() -> None:
    """One start from the same place, for each number of people."""
    model = emframe.Mixture("linear-mixed", 3, random=SLOPES)
    for n in (10_000, 100_000):
        runs = people(n, 10)
        start = emframe.fit(model, runs[:500], rng=0, n_starts=1).params
        fit, spent, _ = timed(lambda r=runs, s=start: emframe.fit(model, r, start=s))
        each = 1e6 * spent / (n * fit.n_iter)
        print(
            f"{n:7,d} people of 10 visits: {spent:5.1f} s, {fit.n_iter} passes, {each:.2f} "
            "microseconds for a person in a pass"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parts = {"passes": passes, "visits": visits, "people": growing}
    for name in parts:
        parser.add_argument(f"--{name}", action="store_true")
    asked = parser.parse_args()
    chosen = [name for name in parts if getattr(asked, name)] or list(parts)
    for name in chosen:
        parts[name]()
