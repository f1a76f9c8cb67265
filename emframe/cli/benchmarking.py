"""``emframe bench``: how fast EM is on this machine, beside scikit-learn where that is there."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from importlib import metadata

import click

import emframe
from emframe.cli import screen
from emframe.cli.timing import SHAPES, DataShape, Timing, measure
from emframe.engines import cores
from emframe.messages.extras import installed


def _shape(
    ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]
) -> tuple[DataShape, ...]:
    try:
        return tuple(DataShape.parse(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


@click.command()
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    callback=_shape,
    metavar="NxDxK",
    help="Rows, columns and components; may be repeated.  [default: "
    + ", ".join(f"{one.n}x{one.d}x{one.k}" for one in SHAPES)
    + "]",
)
@click.option(
    "--covariance",
    type=click.Choice(["full", "tied", "diag", "spherical"]),
    default="full",
    show_default=True,
)
@click.option(
    "--turns",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    metavar="N",
    help="How often each side is timed; the best counts.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of emframe's.  [default: as many as the work is worth]",
)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON document, nothing else.")
def bench(
    shapes: tuple[DataShape, ...], covariance: str, turns: int, threads: int | None, as_json: bool
) -> None:
    """Time an EM iteration on this machine.

    Gaussian mixtures, beside scikit-learn's where that is installed: the same rows and start, in
    turns, each at its defaults. What one run does once is left out. "apart" is by how much the
    log-likelihoods of a row differ after the same steps, as a check that both did the same work.

    \b
    emframe bench
    emframe bench --shape 1000000x2x5 --threads 1
    emframe bench --covariance diag --json > bench.json

    Only the ratios carry over to other machines, and those with a grain of salt; let nothing
    else run meanwhile.
    """
    timings = list(_measured(shapes or SHAPES, covariance, threads, turns))
    about = _about(covariance, threads)
    if as_json:
        rows = [
            {
                "rows": one.shape.n,
                "columns": one.shape.d,
                "components": one.shape.k,
                "emframe_seconds": one.ours,
                "scikit_learn_seconds": one.theirs,
                "times_faster": one.ratio,
                "apart": one.apart,
            }
            for one in timings
        ]
        click.echo(json.dumps({**about, "timings": rows}, indent=1))
        return
    header = ["rows", "columns", "K", "emframe, ms", "scikit-learn, ms", "times faster", "apart"]
    body = [
        (
            f"{one.shape.n:,}",
            str(one.shape.d),
            str(one.shape.k),
            f"{1e3 * one.ours:.3g}",
            "-" if one.theirs is None else f"{1e3 * one.theirs:.3g}",
            "-" if one.ratio is None else f"{one.ratio:.1f}",
            "-" if one.apart is None else f"{one.apart:.0e}",
        )
        for one in timings
    ]
    alone = not installed("sklearn")
    kept = 4 if alone else len(header)
    screen.table(header[:kept], [row[:kept] for row in body], text_columns=())
    screen.say()
    screen.say(", ".join(f"{name} {value}" for name, value in about.items() if value is not None))
    if alone:
        screen.say("To compare: pip install 'emframe[sklearn]'.")


def _measured(
    shapes: tuple[DataShape, ...], covariance: str, threads: int | None, turns: int
) -> Iterator[Timing]:
    """The timings, with a line on stderr meanwhile where that is a terminal."""
    watched = sys.stderr.isatty()
    for i, one in enumerate(shapes, start=1):
        if watched:
            what = f"{i} of {len(shapes)}: {one.n:,} rows, {one.d} columns, K = {one.k}"
            click.echo(f"\r\x1b[K{what}", err=True, nl=False)
        try:
            yield measure(one, covariance, threads, turns)
        finally:
            if watched:
                click.echo("\r\x1b[K", err=True, nl=False)


def _about(covariance: str, threads: int | None) -> dict[str, str | int | None]:
    """What the numbers depend on."""
    versions = {
        name: metadata.version(name)
        for name in ("numpy", "scipy", "scikit-learn")
        if _is_there(name)
    }
    return {
        "emframe": emframe.__version__,
        **versions,
        "python": platform.python_version(),
        "covariance": covariance,
        "threads": threads,
        "cores": cores(),
        "machine": platform.machine(),
    }


def _is_there(name: str) -> bool:
    return installed({"scikit-learn": "sklearn"}.get(name, name))
