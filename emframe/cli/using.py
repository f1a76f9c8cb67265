"""``emframe predict`` and ``emframe sample``: what a saved fit says of rows, and rows it draws."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import click
import numpy as np

import emframe
from emframe.cli import sheets
from emframe.cli.job import gated_by, laid_out, named_by
from emframe.cli.models import run_labels
from emframe.cli.settings import reading
from emframe.data.legend import Legend
from emframe.messages.refusals import several
from emframe.spaces import Array


@click.command()
@click.argument("saved")
@click.argument("data")
@click.option("--columns", metavar="A,B", help="In the order of the fit.  [default: by name]")
@click.option("--runs", metavar="COLUMN", help="Rows of one run are alike in it.")
@reading
def predict(
    saved: str, data: str, columns: str | None, runs: str | None, reading: sheets.TableReading
) -> None:
    """Label the rows of DATA by the fit in SAVED, as CSV.

    Each row comes back as it was, with the most probable component (label) and the probability
    of each (p0, p1, ...) appended; where the latent z is continuous, with its mean (z0, z1, ...).
    Columns are found by name; other columns pass through.

    \b
    emframe fit faithful --components 2 --save geyser.fit
    emframe predict geyser.fit faithful > labelled.csv
    emframe predict geyser.fit other.csv --columns duration,wait
    emframe sample geyser.fit -n 10 | emframe predict geyser.fit -
    """
    fit = emframe.load(saved)
    sheet = sheets.read(data, reading)
    wanted = named_by(fit.model) or tuple(
        dict.fromkeys([*fit.component_columns, *gated_by(fit.model)])
    )
    places = _columns(sheet, wanted, columns)
    called = list(sheet.names)
    for name, j in zip(wanted, places, strict=False):  # as the fit calls them
        called[j] = name
    found: Any = laid_out(replace(sheet, names=tuple(called)), [fit.model], places)
    runs = runs or getattr(fit.model, "legend", Legend()).group
    if runs is not None:
        found = emframe.Sequences.by(found, run_labels(sheet, runs))
    with sheet.telling_lines():
        _, latent = fit.posterior(found)
    if runs is not None and len(latent) < len(
        sheet.cells
    ):  # one z for the rows of a run, which has it in each
        place = {whose: i for i, whose in enumerate(found.keys)}
        latent = latent[[place[whose] for whose in run_labels(sheet, runs)]]
    is_choice = fit.model.choices() is not None
    added = ["label"] if is_choice else []
    added += [f"{'p' if is_choice else 'z'}{k}" for k in range(latent.shape[1])]
    taken = set(added) & set(sheet.names)
    if taken:
        raise ValueError(
            f"{sheet.origin} already has a column {min(taken)!r}; rename it, so that the "
            "predictions can be told apart."
        )
    impossible = int(np.isnan(latent).any(axis=1).sum())
    if impossible:
        rows = f"{several(impossible, 'row')} {'has' if impossible == 1 else 'have'}"
        click.echo(
            f"Warning: {rows} density zero under every component, and so no label.", err=True
        )
    told = _labelled if is_choice else lambda row: [sheets.exact(value) for value in row]
    pairs = zip(sheet.cells, latent, strict=True)
    _write([*sheet.names, *added], ([*cells, *told(row)] for cells, row in pairs))


@click.command()
@click.argument("saved")
@click.option("-n", "n", type=click.IntRange(min=0), required=True, metavar="N", help="Rows.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--labels", is_flag=True, help="Append the component that each row came from.")
def sample(saved: str, n: int, seed: int, labels: bool) -> None:
    """Draw N rows from the fit in SAVED, as CSV.

    \b
    emframe fit faithful --components 2 --save geyser.fit
    emframe sample geyser.fit -n 1000 --seed 1 > drawn.csv
    emframe sample geyser.fit -n 1000 --labels
    """
    fit = emframe.load(saved)
    rows, drawn = fit.sample(n, rng=seed, labels=True)
    drawn_rows = rows.to_numpy() if fit.levels else rows
    cells = [
        [value if isinstance(value, str) else sheets.exact(value) for value in row]
        for row in drawn_rows
    ]
    added: list[str] = []
    if labels and drawn.ndim == 1:
        added = ["label"]
        cells = [[*row, str(label)] for row, label in zip(cells, drawn, strict=True)]
    elif labels:  # z is continuous
        added = [f"z{j}" for j in range(drawn.shape[1])]
        cells = [[*row, *map(sheets.exact, z)] for row, z in zip(cells, drawn, strict=True)]
    _write([*fit.columns, *added], cells)


def _columns(sheet: sheets.Sheet, wanted: Sequence[str], chosen: str | None) -> list[int]:
    """The sheet's columns that the fit takes, in its order."""
    if chosen is not None:
        return sheet.find(chosen)
    if all(name in sheet.names for name in wanted):
        return [sheet.names.index(name) for name in wanted]
    if not sheet.has_header and len(sheet.names) == len(wanted):
        return list(range(len(wanted)))
    missing = next(name for name in wanted if name not in sheet.names)
    raise ValueError(
        f"{sheet.origin} has no column {missing!r}; the fit takes {', '.join(wanted)}. Name the "
        f"columns that stand for them with --columns; there are {', '.join(sheet.names)}."
    )


def _labelled(probabilities: Array) -> list[str]:
    """The most probable component and the probabilities; empty for a row that cannot be."""
    if np.isnan(probabilities).any():
        return [""] * (len(probabilities) + 1)
    return [str(probabilities.argmax()), *[sheets.exact(value) for value in probabilities]]


def _write(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
