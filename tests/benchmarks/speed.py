"""How fast an EM iteration is: beside peers, beside the machine's own limit, and as data grow.

    python tests/benchmarks/speed.py                        the table
    python tests/benchmarks/speed.py --only tied            the cases whose name has "tied"
    python tests/benchmarks/speed.py --growth growth.svg    curves in rows, columns, K, threads
    python tests/benchmarks/speed.py --into docs/performance.md    replace the page's tables

Only ratios mean something: both sides run in turns in one process, and the median of the turns
is told.  The peers are no dependencies: pip install scikit-learn stepmix pomegranate.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from cases import CASES, Case, ours, theirs
from machine import Machine, measure

import emframe
from emframe.engines import cores

MODULES = {"scikit-learn": "sklearn", "StepMix": "stepmix", "pomegranate": "pomegranate"}


def table(cases: Sequence[Case], machine: Machine, turns: int) -> Iterator[str]:
    """Lines of a Markdown table, as they are measured."""
    yield "| data | peer | peer, ms | emframe, ms | times faster | at least | x limit | threads |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for case in cases:
        if importlib.util.find_spec(MODULES[case.peer]) is None:
            yield f"| {case.name} | {case.peer} | not installed | | | | | |"
            continue
        mine, peers, single = [], [], []
        for _ in range(turns):
            mine.append(ours(case))
            peers.append(theirs(case))
            single.append(ours(case, engine="serial"))
        here, there, alone = (float(np.median(times)) for times in (mine, peers, single))
        limit = machine.seconds(*case.least())
        yield (
            f"| {case.name} | {case.peer} | {told(1e3 * there)} | {told(1e3 * here)} | "
            f"{there / here:.1f} | {case.target:g} | {here / limit:.1f} | {alone / here:.2f} |"
        )
        case.__dict__.pop("x", None)


def told(number: float) -> str:
    """Three digits, or all before the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def growth(path: Path) -> None:
    """Seconds of an iteration against rows, columns, K and threads, with lines for growth."""
    from matplotlib.figure import Figure

    def gaussian(n: int = 100_000, d: int = 8, k: int = 4) -> Case:
        return Case("gaussian", "full", n, d, k, "scikit-learn")

    sweeps: list[tuple[str, list[int], Callable[[int], float], float | None]] = [
        ("rows (8 columns, K = 4)", [10**3, 10**4, 10**5, 10**6, 10**7],
         lambda n: ours(gaussian(n=n), steps=3), 1.0),
        ("columns (100,000 rows, K = 4)", [2, 4, 8, 16, 32, 64, 128],
         lambda d: ours(gaussian(d=d), steps=3), 2.0),
        ("K (100,000 rows, 8 columns)", [2, 4, 8, 16, 32, 64],
         lambda k: ours(gaussian(k=k), steps=3), 1.0),
        ("threads (400,000 rows, 16 columns, K = 10)", list(range(1, cores() + 1)),
         lambda t: ours(gaussian(n=400_000, d=16, k=10), engine=t, steps=3), -1.0),
    ]  # fmt: skip
    figure = Figure(figsize=(9, 6), layout="constrained")
    for axes, (name, sizes, seconds, power) in zip(
        figure.subplots(2, 2).ravel(), sweeps, strict=True
    ):
        times = np.array([seconds(size) for size in sizes])
        print(name, dict(zip(sizes, np.round(1e3 * times, 2).tolist(), strict=True)), flush=True)
        axes.loglog(sizes, 1e3 * times, "o-", color="#0072b2")
        if power is not None:
            line = times[-1] * (np.array(sizes) / sizes[-1]) ** power
            axes.loglog(sizes, 1e3 * line, ":", color="#8a8a8a", label=f"power {power:g}")
            axes.legend(frameon=False)
        axes.set(xlabel=name, ylabel="milliseconds an iteration")
        if sizes[-1] < 1000:
            axes.set_xticks(sizes, list(map(str, sizes)))
            axes.set_xticks([], minor=True)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}" if times.max() < 3 * times.min() else "")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--turns", type=int, default=3, help="turns of each side")
    parser.add_argument("--growth", type=Path, help="draw the growth curves into this file")
    parser.add_argument("--into", type=Path, help="page whose measured part is replaced")
    options = parser.parse_args(arguments)
    if options.growth:
        growth(options.growth)
        return
    machine = measure(cores())
    head = f"emframe {emframe.__version__}, {time.strftime('%Y-%m-%d')}. {machine}."
    print(head, flush=True)
    lines = []
    for line in table([c for c in CASES if options.only in c.name], machine, options.turns):
        print(line, flush=True)
        lines.append(line)
    if options.into:
        text = options.into.read_text(encoding="utf-8")
        measured = "\n".join([head, "", *lines, ""])
        pattern = r"(<!-- measured -->\n).*?(<!-- end -->)"
        new, found = re.subn(pattern, lambda m: m[1] + measured + m[2], text, flags=re.DOTALL)
        if not found:
            parser.error(f"{options.into} has no lines <!-- measured --> and <!-- end -->")
        options.into.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
