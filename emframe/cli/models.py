"""``--model NAME`` on the command line: models that are no mixtures of a family.

What the plugin's entry says of its factory decides what the options mean: a size goes where the
entry says that sizes go, a family where the factory takes one, and ``--option`` to whichever of
the two has a setting of that name.

One known case: ``--model hidden-markov --family poisson --components 2`` is
``emframe.model("hidden-markov", family="poisson", n_states=2)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import emframe
from emframe.cli import sheets
from emframe.cli.settings import family_of, settings
from emframe.host import models
from emframe.spaces import Array


def entry_of(name: str) -> emframe.ModelEntry:
    """The announced model of that name; ValueError, with the known ones, where there is none."""
    if name not in models():
        emframe.model(name)  # says so
    return models()[name]


def models_of(
    name: str, family: str | None, sizes: Sequence[int] | None, pairs: Iterable[str]
) -> list[Any]:
    """The model of that name in each of the sizes; in its own default size where they are None.

    Raises ValueError for a size or a family that it does not take.
    """
    entry = entry_of(name)
    if sizes is not None and not entry.size:
        raise ValueError(f"the model {name!r} comes in one size; leave --components out.")
    own: list[str] = []
    rest: list[str] = []
    for pair in pairs:
        takes = not entry.takes("family") or entry.takes(pair.partition("=")[0].strip())
        (own if takes else rest).append(pair)
    options = settings(own)
    if entry.takes("family"):
        if family is None:
            known = ", ".join(sorted(emframe.families()))
            raise ValueError(f"the model {name!r} needs --family; known: {known}.")
        options["family"] = family_of(family, rest)
    elif family is not None:
        raise ValueError(f"the model {name!r} takes no family; leave --family out.")
    if sizes is None:
        return [emframe.model(name, **options)]
    if entry.size in options:
        raise ValueError(f"the size is given twice: --components and --option {entry.size}=...")
    return [emframe.model(name, **options, **{entry.size: size}) for size in sizes]


def in_runs(
    sheet: sheets.Sheet, X: Any, weights: Array | None, column: str
) -> tuple[emframe.Sequences, Array | None]:
    """The rows of a frame or table as runs, one for each value of the column, and their weights.

    Raises ValueError where the rows of a run have different weights.
    """
    runs = emframe.Sequences.by(X, run_labels(sheet, column))
    if weights is not None:
        each = runs.regrouped(weights)
        weights = each[runs.firsts]
        if (np.repeat(weights, runs.lengths) != each).any():
            raise ValueError("--weights are those of runs; give every row of a run the same.")
    return runs, weights


def run_labels(sheet: sheets.Sheet, column: str) -> Any:
    """Which run each row belongs to, (n,)."""
    (which, *more) = sheet.find(column)
    if more:
        raise ValueError(f"--runs {column!r} names several columns; pass one.")
    cells = [row[which].strip() for row in sheet.cells]
    if "" in cells:
        raise ValueError(
            f"--runs {column!r} is empty in {cells.count('')} of {len(cells)} rows, first in row "
            f"{cells.index('')}; say to which run each belongs."
        )
    return np.array(cells)
