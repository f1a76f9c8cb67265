"""What sparse EM saves where components are many, and the memory that it and a stream take.

    python tests/benchmarks/thousands.py                       the tables
    python tests/benchmarks/thousands.py --into docs/scale.md  replace the page's tables

Processor time of one thread; the better of two turns.  Memory is the peak of what a pass has of its
own, beside the rows.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

import emframe
from emframe.core import RemainingGain, run
from emframe.fitting import expectation
from emframe.fitting.movers import method_for
from emframe.variants.sparse import Climb

K, D, SEEN = 1000, 32, 32
BLOCK = 50_000  # rows of a stream that are learned from at once
PASSES = [
    ("diag", 100_000),
    ("spherical", 100_000),
    ("tied", 100_000),
    ("full", 30_000),
    ("diag", 1_000_000),
]


def clouds(n: int) -> tuple[Any, Any]:
    """Rows of K Gaussians that overlap with a few of the others, and the centres."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(K, D))
    x = rng.normal(size=(n, D)) * rng.uniform(0.5, 1.0, size=(K, 1))[np.arange(n) % K]
    x += centres[np.arange(n) % K]
    return x, centres


def posed(covariance: str, n: int) -> tuple[Climb, Any]:
    """A climb, and parameters some way from where it leads."""
    x, centres = clouds(n)
    model = emframe.Mixture("gaussian", K, covariance=covariance)
    rng = np.random.default_rng(1)
    spread = np.broadcast_to(0.6 * np.eye(D), (K, D, D))
    values = {"means": centres + 0.1 * rng.normal(size=(K, D)), "covariances": spread}
    params = model.build({"weights": np.full(K, 1 / K), "components": values})
    rows, method = model.rows(x), method_for(True, model.contract)
    return Climb(model, rows, model.survey(rows), method, SEEN, 0.1, 1000), params


def seconds(call: Callable[[], Any], turns: int = 2) -> float:
    """Processor time of a call."""
    times = []
    for _ in range(turns):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return min(times)


def peak(call: Callable[[], Any]) -> float:
    """Megabytes that a call has at once."""
    tracemalloc.start()
    call()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found / 1e6


def of_passes() -> Iterator[str]:
    """A table of single E-steps, of all components and of those that are near."""
    yield f"K = {K:,}, {D} columns, each row sees {SEEN}:"
    yield ""
    heads = "all K, us a row", "near, us a row", "times faster", "to choose, us a row", "memory, MB"
    yield f"| covariance | rows | {' | '.join(heads)} |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for covariance, n in PASSES:
        climb, params = posed(covariance, n)
        groups = climb.begun(params)
        sparse, whole = climb.expectation(groups), expectation(climb.model, climb.rows)
        all_k = seconds(lambda: whole(params), 1)  # noqa: B023
        near = seconds(lambda: sparse(params))  # noqa: B023
        choose = seconds(lambda: climb.chosen(groups, params), 1)  # noqa: B023
        memory = peak(lambda: sparse(params))  # noqa: B023
        each = (1e6 * one / n for one in (all_k, near, choose))
        told = "{:.1f} | {:.2f} | {ratio:.1f} | {:.2f}".format(*each, ratio=all_k / near)
        yield f"| {covariance} | {n:,} | {told} | {memory:.0f} |"


def of_fits() -> Iterator[str]:
    """A table of whole climbs from one start."""
    climb, params = posed("diag", 30_000)
    found: dict[str, tuple[float, float, int]] = {}

    def of_all() -> None:
        done = run(
            expectation(climb.model, climb.rows),
            params,
            rules=[RemainingGain(climb.tol)],
            method=climb.method,
        )
        found["all K"] = (0.0, done.step.objective, done.n_expectations)

    def of_near() -> None:
        done = climb(params)
        exact = expectation(climb.model, climb.rows)(done.step.params).loglik
        found["near"] = (exact - done.step.objective, exact, done.n_expectations)

    yield "30,000 rows, diag, from one start, the log-likelihood at the end by one E-step of all K:"
    yield ""
    yield "| E-steps | s | number | F below the log-likelihood, nats | log-likelihood |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name, call in (("all K", of_all), ("near", of_near)):
        took = seconds(call, 1)
        below, reached, number = found[name]
        yield f"| {name} | {took:.1f} | {number} | {below:.1f} | {reached:,.1f} |"


def of_streams() -> Iterator[str]:
    """A table of streams from a file, of which each block is read once."""
    yield "| rows x 8, K = 8, full | blocks | one pass, ns a row | memory, MB |"
    yield "| ---: | ---: | ---: | ---: |"
    stepwise = emframe.Stepwise(emframe.Mixture("gaussian", 8))
    centres = 3.0 * np.random.default_rng(0).normal(size=(8, 8))
    with tempfile.NamedTemporaryFile() as file:
        for n in (500_000, 4_000_000):
            rows = np.memmap(file.name, dtype=float, mode="r+", shape=(n, 8))
            for first in range(0, n, BLOCK):
                noise = np.random.default_rng(first).normal(size=(BLOCK, 8))
                rows[first : first + BLOCK] = centres[np.arange(BLOCK) % 8] + noise
            begun = stepwise.begin(rows[:20_000], rng=0)

            def stream(n: int = n, rows: Any = rows, begun: Any = begun) -> None:
                for first in range(0, n, BLOCK):
                    begun = stepwise.update(begun, rows[first : first + BLOCK])

            took, memory = seconds(stream, 1), peak(stream)
            yield f"| {n:,} | {n // BLOCK} | {1e9 * took / n:.0f} | {memory:.1f} |"


TABLES: dict[str, Sequence[Callable[[], Iterator[str]]]] = {
    "thousands": (of_passes, of_fits),
    "streams": (of_streams,),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--into", type=Path, help="page whose tables are replaced")
    options = parser.parse_args()
    for mark, tables in TABLES.items():
        lines = []
        for line in chain.from_iterable(["", *table()] for table in tables):
            print(line, flush=True)
            lines.append(line)
        if options.into:
            text = options.into.read_text(encoding="utf-8")
            first, last = f"<!-- {mark} -->", f"<!-- of {mark} -->"
            told = "\n".join([first, *lines[1:], last])
            new, n = re.subn(f"{first}.*{last}", lambda _, told=told: told, text, flags=re.S)
            if n != 1:
                parser.error(f"{options.into} has no lines {first} and {last}")
            options.into.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
