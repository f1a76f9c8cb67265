"""Rows, or runs of rows: what checks do with either, so that each check is written once.

What is independent is a row, or a run of rows (`emframe.Sequences`), and a check that turns,
repeats, weighs or leaves out rows does so with whole runs.  Of a family over runs the density is
one of all that a run holds; held at the covariates of one run it is that of a plain family with a
column for each value (see `given`).

One known case: where every run is one row nothing is different.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data.runs import Sequences
from emframe.families import Family
from emframe.spaces import Array

LONGEST = 4  # rows of a run


def at(x: Any, which: Any) -> Any:
    """Some of the rows, or runs, by places, a slice or a mask; in any order, and repeatedly."""
    if isinstance(x, Sequences):
        return x.at(np.arange(len(x))[which])
    return x[which]


def own_copy(x: Any) -> Any:
    """The same in arrays of its own, and nothing that was derived of it before."""
    return with_rows(x, rows_of(x).copy())


def rows_of(x: Any) -> Array:
    """All rows (n, d), those of all runs."""
    return np.asarray(x.x if isinstance(x, Sequences) else x)


def with_rows(x: Any, rows: Array) -> Any:
    """Other rows in the same runs; rows where there are none."""
    return Sequences(rows, x.lengths.copy()) if isinstance(x, Sequences) else rows


def joined(parts: Sequence[Any]) -> Any:
    """The rows, or runs, of several."""
    rows = np.concatenate([rows_of(part) for part in parts])
    if isinstance(parts[0], Sequences):
        return Sequences(rows, np.concatenate([part.lengths for part in parts]))
    return rows


def whole_runs(x: Any, of_rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether all rows of a run are such as asked (n,), for each run; of rows that itself."""
    if not isinstance(x, Sequences):
        return of_rows
    return np.asarray(np.logical_and.reduceat(of_rows, x.firsts), dtype=bool)


def laid_out(family: Family, n: int, rng: np.random.Generator) -> Any:
    """Runs of zeros for a family over runs, n of them; n rows for any other. Without columns."""
    if not family.in_runs:
        return np.zeros((n, 0))
    lengths = rng.integers(1, LONGEST + 1, size=n)
    return Sequences(np.zeros((lengths.sum(), 0)), lengths)


def drawn(family: Family, params: Any, labels: Any, x: Any, rng: np.random.Generator) -> Any:
    """What a family draws for labels: rows; or runs that have the lengths and terms of those of x.

    What is raised is what the family raises.
    """
    if not family.in_runs:
        return np.asarray(family.sample(params, labels, rng), dtype=float)
    runs = [
        np.asarray(family.given(one.x).sample(params, np.full(len(one.x), label), rng))
        for one, label in zip(map(x.__getitem__, range(len(x))), labels, strict=True)
    ]
    return with_rows(x, np.concatenate([run.reshape(len(run), -1) for run in runs]).astype(float))
