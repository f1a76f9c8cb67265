"""What processes and threads gain on this machine, and what a pass sends where it is sent away.

    python tests/benchmarks/scale.py                       the tables
    python tests/benchmarks/scale.py --into docs/scale.md  replace the page's tables

Both sides of a ratio run in turns, and the median of the turns is told.
"""

from __future__ import annotations

import argparse
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import emframe
from emframe.engines import Workspace, cores
from emframe.fitting.task import Task

Array = np.ndarray[Any, np.dtype[np.float64]]
RNG = np.random.default_rng(0)


def clouds(n: int, d: int, k: int) -> Array:
    """Rows of K Gaussians that overlap."""
    centres = 1.5 * RNG.normal(size=(k, d))
    return np.asarray(centres[RNG.integers(k, size=n)] + RNG.normal(size=(n, d)))


def answers(n: int, d: int, k: int) -> Array:
    """Binary rows of K classes."""
    probs = RNG.uniform(0.1, 0.9, (k, d))
    return (RNG.random((n, d)) < probs[RNG.integers(k, size=n)]).astype(float)


STARTS: list[tuple[int, int, int, int]] = [  # rows, columns, components, starts
    (1000, 4, 5, 24),
    (5000, 6, 8, 24),
    (20_000, 6, 8, 24),
]
PASSES: list[tuple[str, str, Callable[[], Array], int]] = [
    ("1e6 x 8, K = 8, full", "gaussian", lambda: clouds(1_000_000, 8, 8), 8),
    ("1e6 x 2, K = 4, full", "gaussian", lambda: clouds(1_000_000, 2, 4), 4),
    ("1e6 x 20, K = 5, binary", "bernoulli", lambda: answers(1_000_000, 20, 5), 5),
]


def seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def medians(calls: dict[Any, Callable[[], Any]], turns: int) -> dict[Any, float]:
    """The median time of each of some calls, made in turns."""
    times = [{key: seconds(call) for key, call in calls.items()} for _ in range(turns)]
    return {key: float(np.median([one[key] for one in times])) for key in calls}


def of_starts(turns: int) -> Iterator[str]:
    """A table of fits with so many starts, by one process with one thread and by all cores'."""
    n = cores()
    begin = np.median([seconds(_import) for _ in range(turns)])
    yield f"A process takes {begin:.1f} s to begin."
    yield ""
    yield f"| data | starts | 1 process, s | {n} processes, s | times faster |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for rows, d, k, starts in STARTS:
        x = clouds(rows, d, k)
        calls = {w: _fit(x, k, starts, w) for w in (1, n)}
        found = medians(calls, turns)
        yield (
            f"| {rows:,} x {d}, K = {k} | {starts} | {found[1]:.1f} | {found[n]:.1f} | "
            f"{found[1] / found[n]:.2f} |"
        )


def of_passes(turns: int) -> Iterator[str]:
    """A table of single passes, an E-step and the sums of its M-step."""
    n = cores()
    yield (
        f"| data | 1 thread, ns a row | {n} threads, ns a row | rows, MB | sent to a worker, kB "
        "| sent back, kB |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, family, make, k in PASSES:
        x, model = make(), emframe.Mixture(family, k)
        tasks = {threads: Task.of(model, x, None, None, threads) for threads in (1, n)}
        rows = tasks[1].rows
        params = model.start(RNG.integers(k, size=len(x)), tasks[1].given, RNG)
        found = medians({w: _expect(tasks[w], params) for w in tasks}, 3 * turns)
        one = next(model.passes(params, tasks[1].survey))
        sums = one.block(next(iter(rows.blocks(one.rows(x.shape[1])))), Workspace())
        each = [1e9 * found[w] / len(rows) for w in (1, n)]
        yield (
            f"| {name} | {each[0]:.0f} | {each[1]:.0f} | {rows.x.nbytes / 1e6:.0f} | "
            f"{len(pickle.dumps(one)) / 1e3:.1f} | {len(pickle.dumps(sums)) / 1e3:.1f} |"
        )


def _fit(x: Array, k: int, starts: int, workers: int) -> Callable[[], Any]:
    model = emframe.Mixture("gaussian", k)
    return lambda: emframe.fit(model, x, n_starts=starts, rng=0, engine="serial", workers=workers)


def _expect(task: Task, params: Any) -> Callable[[], Any]:
    return lambda: task.expect(params)


def _import() -> None:
    subprocess.run([sys.executable, "-c", "import emframe.fitting"], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--into", type=Path, help="page whose measured part is replaced")
    options = parser.parse_args()
    lines = [*of_starts(options.turns), "", *of_passes(options.turns)]
    print("\n".join(lines))
    if options.into:
        text = options.into.read_text(encoding="utf-8")
        measured = "<!-- measured -->\n" + "\n".join(lines) + "\n<!-- end -->"
        new, n = re.subn("<!-- measured -->.*<!-- end -->", lambda _: measured, text, flags=re.S)
        if n != 1:
            parser.error(f"{options.into} has no lines <!-- measured --> and <!-- end -->")
        options.into.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
