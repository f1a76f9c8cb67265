"""Rows, and runs of rows, as a family reads them: of its columns, in its support, or refused.

One known case: a family that names no columns reads them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data import Blocks, Rows, Table, as_rows, as_weights, chosen, in_range
from emframe.data.arrays import read_only
from emframe.data.blocks import real_array
from emframe.data.frames import from_frame, is_frame
from emframe.data.gaps import opened
from emframe.data.pairs import as_pairs
from emframe.data.runs import SequenceRows, Sequences
from emframe.families import Family
from emframe.families.stack import Stack
from emframe.spaces import Ends


def read(X: Any, family: Family, weights: Any, columns: Sequence[str] | None) -> Rows:
    """The rows of X for a family; what is raised is that of `emframe.data.as_rows`.

    Parameters
    ----------
    weights : (n,) frequencies, or None.
    columns : names of the columns of an earlier fit, which X is to have as well, or None.
    """
    names = family.columns
    if any(isinstance(getattr(space, "space", space), Ends) for space in family.supports):
        X = as_pairs(X)
    if all(space.missing for space in family.supports):
        X = opened(X)
    found = as_rows(
        X if names is None else chosen(X, names, family.covariates),
        covariates=family.covariates,
        claims=family.claims(),
        owner=owner_of_columns(family),
        weights=weights,
        takes_columns=family.takes_columns,
        n_columns=None if columns is None else len(columns),
        columns=columns,
        width=family.width,
    )
    if any(space.missing for space in family.supports):
        found = _without_ends(found)
    return found if names is None else replace(found, columns=names)


def _without_ends(rows: Rows) -> Rows:
    """The rows with nan for an end that is infinite, which a family that takes it has for none."""

    def told(x: NDArray[Any]) -> NDArray[Any]:
        endless = np.isinf(x)
        return np.where(endless, np.nan, x) if endless.any() else x

    source = rows.source
    if isinstance(source, Blocks):
        given = source
        return replace(rows, source=replace(given, read=lambda: map(told, given)))
    values = told(source)
    return rows if values is source else replace(rows, source=read_only(values))


def as_sequences(
    X: Any, family: Family, weights: Any, columns: Sequence[str] | None
) -> SequenceRows:
    """Validate runs of rows for a model over a family.

    Parameters
    ----------
    X : `Sequences`, a list of arrays or data frames (a run each), or anything else that is rows:
        then it is one run.
    weights : (S,) frequencies of the runs, or None; a run of weight 0 is removed.
    columns : names of the columns of an earlier fit, which X is to have as well, or None.

    What is raised is that of `emframe.data.as_rows`; rows are counted through all runs.
    """
    named = family.columns or columns
    given = X if isinstance(X, Sequences) else _runs(X, named, family.covariates)
    if weights is not None and np.shape(weights) != (len(given),):
        raise ValueError(
            f"`weights` has shape {np.shape(weights)}, the data are {len(given)} "
            f"{'run' if len(given) == 1 else 'runs'} of rows; pass one weight per run."
        )
    frequency = as_weights(weights, len(given))
    each = None if weights is None else np.repeat(frequency, given.lengths)
    rows = read(given.x, family, each, columns)
    kept = frequency > 0
    keys = None if given.keys is None else given.keys[kept]
    runs, numbers = Sequences(rows.x, given.lengths[kept], keys), np.flatnonzero(kept)
    places = np.arange(given.lengths.sum()) if given.order is None else given.order
    found = SequenceRows(
        runs,
        frequency[kept],
        rows.columns,
        numbers,
        len(kept),
        rows=places[np.repeat(kept, given.lengths)],
        n_rows_given=len(places),
    )
    return in_range(found)


def _runs(X: Any, names: Sequence[str] | None, covariates: Sequence[int]) -> Sequences:
    """One run, or those of a list of arrays or data frames, which may have other columns too.

    `names` are those of the columns that are read, where they are known.
    """
    if isinstance(X, np.ndarray) and X.ndim == 3:
        raise ValueError(
            f"`X` has shape {X.shape}. Where its {X.shape[0]} parts are runs of {X.shape[1]} rows, "
            "pass a list of them, list(X), or emframe.Sequences(x, lengths) of all rows end to end."
        )
    if not isinstance(X, (list, tuple)) or not any(hasattr(run, "shape") for run in X):
        if isinstance(X, Table):  # its weights, which are of rows, are the caller's to refuse
            return Sequences(replace(X, weights=None))
        return Sequences(X if hasattr(X, "__len__") else np.asarray(X))
    pairs = [
        _named(run if names is None else chosen(run, tuple(names), covariates), covariates)
        for run in X
    ]
    runs = [run for run, _ in pairs]
    widths = {run.shape[1:] for run in runs}
    if len(widths) > 1:
        shapes = ", ".join(str(run.shape) for run in runs[:4])
        raise ValueError(
            f"`X` has sequences of shapes {shapes}, ...; pass as many columns in each."
        )
    columns = pairs[0][1]
    other = next((names for _, names in pairs if names != columns), columns)
    if other != columns:
        raise ValueError(
            f"`X` has sequences with the columns {_told(columns)} and {_told(other)}; pass the "
            "same ones, in the same order."
        )
    rows, lengths = np.concatenate(runs), np.array([len(run) for run in runs])
    return Sequences(rows if columns is None else Table(rows, columns, None), lengths)


def _named(run: Any, covariates: Sequence[int]) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Its numbers (m, d), and the names of its columns where it has any."""
    if is_frame(run):
        return from_frame(run, "X", (), covariates)
    return (run.X, run.columns) if isinstance(run, Table) else (real_array(run, "X"), None)


def _told(columns: Sequence[str] | None) -> str:
    return "without names" if columns is None else ", ".join(columns)


def owner_of_columns(family: Family) -> str:
    """Who limits the number of columns, in words: a family, or the component that has it."""
    if isinstance(family, Stack):
        for k, one in enumerate(family.each(sum(family.sizes))):
            if not one.takes_columns or one.width is not None:
                return f"component {k}, the family {one.name!r},"
    return f"the family {family.name!r}"
