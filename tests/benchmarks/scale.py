"""What a second process gains, and what a pass costs and sends where it is sent away.

    python tests/benchmarks/scale.py                       the tables
    python tests/benchmarks/scale.py --into docs/scale.md  replace the page's tables

Processor time is told, which other work on the machine hardly changes: of two processes that of the
busier, for which the fit waits.  Both sides of a ratio run in turns; the medians are told.
"""

from __future__ import annotations

import argparse
import os
import pickle
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

import emframe
from emframe import Part, Parts
from emframe.engines import Workspace
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
    """Processor time of a call, in this process or in those that it starts, whichever is more."""
    before = spent()
    call()
    return max(after - began for began, after in zip(before, spent(), strict=True))


def spent() -> tuple[float, float]:
    """Processor time of this process, and of those that it has started and seen end."""
    each = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own, others = (one.ru_utime + one.ru_stime for one in each)
    return own, others


def medians(calls: dict[Any, Callable[[], Any]], turns: int) -> dict[Any, float]:
    """The median time of each of some calls, made in turns."""
    times = [{key: seconds(call) for key, call in calls.items()} for _ in range(turns)]
    return {key: float(np.median([one[key] for one in times])) for key in calls}


def of_starts(turns: int) -> Iterator[str]:
    """A table of fits with so many starts, by one process and by two, each in one thread."""
    begin = np.median([seconds(_import) for _ in range(turns)])
    yield f"A process takes {begin:.1f} s of a processor to begin."
    yield ""
    yield "| data | starts | 1 process, s | the busier of 2, s | times faster |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for rows, d, k, starts in STARTS:
        x = clouds(rows, d, k)
        calls = {w: _fit(x, k, starts, w) for w in (1, 2)}
        found = medians(calls, turns)
        yield (
            f"| {rows:,} x {d}, K = {k} | {starts} | {found[1]:.1f} | {found[2]:.1f} | "
            f"{found[1] / found[2]:.2f} |"
        )


def of_passes(turns: int) -> Iterator[str]:
    """A table of single passes, an E-step and the sums of its M-step."""
    yield "| data | 1 thread, ns a row | rows, MB | a pass, kB | its sums, kB |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name, family, make, k in PASSES:
        x, model = make(), emframe.Mixture(family, k)
        task = Task.of(model, x, None, None, "serial")
        rows = task.rows
        params = model.start(RNG.integers(k, size=len(x)), task.given, RNG)
        found = medians({"E-step": _expect(task, params)}, 3 * turns)["E-step"]
        one = next(model.passes(params, task.survey))
        sums = one.block(next(iter(rows.blocks(one.rows(x.shape[1])))), Workspace())
        yield (
            f"| {name} | {1e9 * found / len(rows):.0f} | {rows.x.nbytes / 1e6:.0f} | "
            f"{len(pickle.dumps(one)) / 1e3:.1f} | {len(pickle.dumps(sums)) / 1e3:.1f} |"
        )


def of_parts(turns: int) -> Iterator[str]:
    """A table of passes over rows in four parts, which processes and workers of Dask hold."""
    heads = "one array, s", "1 process", "the busier of 2", "of 2 on Dask", "times faster"
    yield f"| data in 4 parts | {' | '.join(heads)} |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, family, make, k in PASSES[:1]:  # of which a pass takes longest
        x, model = make(), emframe.Mixture(family, k)
        labels = RNG.integers(k, size=len(x))
        task = Task.of(model, x, None, None, "serial")
        params = model.start(labels, task.given, RNG)
        one = medians({"E-step": _expect(task, params)}, turns)["E-step"]
        parts = [Parts(np.split(x, 4), workers=workers) for workers in (1, 2)]
        found = [_of_workers(model, params, one, turns) for one in parts]
        found.append(_on_dask(model, params, x, turns))
        times = " | ".join(f"{seconds:.3f}" for seconds in (one, *found))
        yield f"| {name} | {times} | {one / found[1]:.2f} |"


def _of_workers(model: Any, params: Any, parts: Parts, turns: int) -> float:
    """Processor time of a pass in the busiest process that holds parts."""
    task = Task.of(model, parts, None, None, None)
    task.expect(params)
    before = dict(parts.each(_spent_here))
    for _ in range(turns):
        task.expect(params)
    after = dict(parts.each(_spent_here))
    if hasattr(parts.places, "close"):
        parts.places.close()
    return max(after[pid] - before[pid] for pid in before) / turns


def _on_dask(model: Any, params: Any, x: Array, turns: int) -> float:
    import dask.array
    import distributed

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as own,
        distributed.Client(own),
    ):
        chunks = dask.array.from_array(x, chunks=(len(x) // 4, x.shape[1]))
        return _of_workers(model, params, Parts(chunks), turns)


def _spent_here(_: Part) -> tuple[int, float]:
    return os.getpid(), time.process_time()


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
    every = (of_starts, of_passes, of_parts)
    lines = list(chain.from_iterable(["", *one(options.turns)] for one in every))[1:]
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
