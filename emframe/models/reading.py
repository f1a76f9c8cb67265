"""Rows, and runs of rows, as a family reads them: of its columns, in its support, or refused.

One known case: a family that names no columns reads them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.composing.columns import AtColumns
from emframe.data import Rows, Table, as_rows, as_weights, chosen, in_range
from emframe.data.arrays import read_only
from emframe.data.blocks import Blocks, real_array
from emframe.data.covariates import Covariates
from emframe.data.covariates import beside as joined
from emframe.data.frames import from_frame, is_frame
from emframe.data.gaps import opened
from emframe.data.labelled import Labelled, everything
from emframe.data.pairs import as_pairs
from emframe.data.runs import SequenceRows, Sequences
from emframe.families import Family
from emframe.families.stack import Stack
from emframe.messages.refusals import several
from emframe.spaces import Array, Claim, Ends, Real, Space
from emframe.spaces.missing import GONE, OrGone, OrMissing

LABEL = "label"  # what the column of `Labelled.codes` is called


@dataclass(frozen=True)
class BesideColumns:
    """What is read of rows beside what the components see."""

    gates: tuple[Covariates, ...] = ()
    n_components: int | None = None  # where it may be known which of them a row comes from
    is_there: bool = False  # whether rows come with these columns already, behind the family's
    told: Any = field(default=None, compare=False)  # the frame they are in, if not the family's

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its columns."""
        own = (LABEL,) * (self.n_components is not None)
        return own + tuple(label for gate in self.gates for label in gate.labels)

    @property
    def width(self) -> int:
        """The number of covariates."""
        return sum(gate.width for gate in self.gates)

    @property
    def n_columns(self) -> int:
        """The number of its columns."""
        return len(self.labels)


NOTHING = BesideColumns()


def read(
    X: Any,
    family: Family,
    weights: Any,
    columns: Sequence[str] | None,
    beside: BesideColumns = NOTHING,
    known: Labelled | None = None,
) -> Rows:
    """The rows of X for a family; what is raised is that of `emframe.data.as_rows`.

    Parameters
    ----------
    weights : (n,) frequencies, or None.
    columns : names of the columns of an earlier fit, which X is to have as well, or None.
    beside : what else is read: its columns are the last of the rows.
    known : what is known of the component of each row, where something is.
    """
    if beside != NOTHING:
        return _read_beside(X, family, weights, columns, beside, known)
    names = family.columns
    if any(isinstance(getattr(space, "space", space), Ends) for space in family.supports):
        X = as_pairs(X)
    if all(space.missing for space in family.supports):
        X = opened(X)
    found = as_rows(
        X if names is None else chosen(X, names, family.covariates),
        covariates=family.covariates,
        claims=[replace(one, space=_handed_over(one.space)) for one in family.claims()],
        owner=owner_of_columns(family),
        weights=weights,
        takes_columns=family.takes_columns,
        n_columns=None if columns is None else len(columns),
        columns=columns,
        width=family.width,
    )
    if any(space.missing for space in family.supports):
        found = _without_ends(found, family, len(found.columns))
    return found if names is None else replace(found, columns=names)


def _handed_over(space: Space) -> Space:
    """A space as rows come in: of codes that may be missing -1 is one that is."""
    if isinstance(space, AtColumns):
        return replace(space, space=_handed_over(space.space))
    return OrGone(space.space) if isinstance(space, OrMissing) and space.n_codes else space


def _without_ends(rows: Rows, family: Family, d: int) -> Rows:
    """The rows with nan for an end that is infinite, which a family that takes it has for none.

    And for a code of -1 among the first d columns, the family's, where a code may be missing.
    """
    coded = np.zeros(len(rows.columns), dtype=bool)
    for space in family.supports:
        if space.missing:
            coded[:d] |= space.codes(d) > 0

    def told(x: NDArray[Any]) -> NDArray[Any]:
        gone = np.isinf(x) | ((x == GONE) & coded)
        return np.where(gone, np.nan, x) if gone.any() else x

    source = rows.source
    if isinstance(source, Blocks):
        given = source
        return replace(rows, source=replace(given, read=lambda: map(told, given)))
    values = told(source)
    return rows if values is source else replace(rows, source=read_only(values))


def _read_beside(
    X: Any,
    family: Family,
    weights: Any,
    columns: Sequence[str] | None,
    beside: BesideColumns,
    known: Labelled | None,
) -> Rows:
    """The rows of a family, and behind its columns what else is read."""
    q = beside.n_columns
    told = None if columns is None else tuple(columns[: len(columns) - q])
    if all(space.missing for space in family.supports):
        X = opened(X)
    if beside.is_there:
        d = np.shape(X)[1] - q
        names = family.columns or told or tuple(f"x{j}" for j in range(d))
        table: Any = Table(np.asarray(X), (*names, *beside.labels), None)
        q_covariates = q
    else:
        named = family.columns or told
        table = joined(X, beside.gates, named, family.width, reads_all(family), beside.told)
        q_covariates = beside.width
    d = (table.n_columns if isinstance(table, Blocks) else table.X.shape[1]) - q_covariates
    width = family.width if family.takes_columns else 1
    width = len(told) if told is not None else width
    if d < 1 or (width is not None and d != width):
        raise ValueError(
            f"`X` leaves {several(max(d, 0), 'column')} for {owner_of_columns(family)} beside the "
            f"{beside.width} of the gate; it takes {'1 or more' if width is None else width}."
        )
    if beside.n_components is not None and not beside.is_there:
        n = table.n_rows if isinstance(table, Blocks) else len(table.X)
        k = beside.n_components
        table = _with_codes(table, d, everything(k, n) if known is None else known.codes(k, n))
    own = tuple(range(d))
    claims = [
        replace(one, space=AtColumns(_handed_over(one.space), own)) for one in family.claims()
    ]
    if q:
        claims.append(Claim(AtColumns(Real(), tuple(range(d, d + q))), "the gate"))
    found = as_rows(
        table,
        covariates=[*family.covariates, *range(d, d + q)],
        claims=claims,
        owner=owner_of_columns(family),
        weights=weights,
    )
    if any(space.missing for space in family.supports):
        found = _without_ends(found, family, d)
    return replace(found, columns=(family.columns or told or found.columns[:d]) + beside.labels)


def reads_all(family: Family) -> bool:
    """Whether a family reads the columns of a gate too: it tells places, of rows of any width."""
    return family.width is None and bool(family.covariates)


def _with_codes(table: Any, d: int, codes: Array) -> Table:
    """A table with one more column, behind the first d."""
    if isinstance(table, Blocks):
        raise TypeError(
            "rows of which a component may be known are held in memory; `X` is read block by block."
        )
    names = (*table.columns[:d], LABEL, *table.columns[d:])
    whole = np.column_stack([table.X[:, :d], codes, table.X[:, d:]])
    return Table(whole, names, table.weights)


def as_sequences(
    X: Any,
    family: Family,
    weights: Any,
    columns: Sequence[str] | None,
    beside: BesideColumns = NOTHING,
    known: Labelled | None = None,
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
    if beside.gates and isinstance(X, (list, tuple)) and any(hasattr(run, "shape") for run in X):
        told = None if columns is None else tuple(columns[: len(columns) - beside.n_columns])
        own = family.columns or told
        tables = [joined(run, beside.gates, own, family.width, reads_all(family)) for run in X]
        whole = Table(np.concatenate([one.X for one in tables]), tables[0].columns, None)
        X = Sequences(whole, np.array([len(one.X) for one in tables]))
        beside = replace(beside, gates=(_behind(beside.gates),))
    given = X if isinstance(X, Sequences) else _runs(X, named, family.covariates)
    if weights is not None and np.shape(weights) != (len(given),):
        raise ValueError(
            f"`weights` has shape {np.shape(weights)}, the data are {len(given)} "
            f"{'run' if len(given) == 1 else 'runs'} of rows; pass one weight per run."
        )
    frequency = as_weights(weights, len(given))
    each = None if weights is None else np.repeat(frequency, given.lengths)
    if known is not None and family.in_runs:
        known = known.of_rows(given.lengths)
    rows = read(given.x, family, each, columns, beside, known)
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
    if family.in_runs and beside.width:
        _refuse_unlike_within(found, beside.width)
    if family.in_runs and known is not None:
        _refuse_at_odds(found, beside.n_columns)
    return in_range(found)


def _behind(gates: Sequence[Covariates]) -> Covariates:
    """The columns of gates as those of one, which are numbers by now."""
    return Covariates(tuple(label for gate in gates for label in gate.labels))


def _refuse_unlike_within(rows: SequenceRows, q: int) -> None:
    """Raise ValueError where a run that has one z has several values of a covariate."""
    runs = rows.x
    u = runs.x[:, runs.x.shape[1] - q :]
    unlike = u != np.repeat(u[runs.firsts], runs.lengths, axis=0)
    if unlike.any():
        row, column = np.argwhere(unlike)[0]
        run = int(rows.numbers[np.searchsorted(runs.lasts, row)])
        raise ValueError(
            f"`X` column {rows.columns[len(rows.columns) - q + column]!r} differs between the rows "
            f"of run {run}, which share one component; a gate reads columns that are the same "
            "within a run."
        )


def _refuse_at_odds(rows: SequenceRows, q: int) -> None:
    """Raise ValueError where the labels of the rows of a run, which has one z, bar each other."""
    runs = rows.x
    codes = runs.x[:, runs.x.shape[1] - q].astype(np.int64)
    barred = np.bitwise_and.reduceat(codes, runs.firsts) == 0
    if barred.any():
        place = int(barred.argmax())
        name = rows.numbers[place] if runs.keys is None else runs.keys[place]
        raise ValueError(
            f"`labels` of the rows of run {name} name different components, and its rows share one;"
            " give all rows of a run the same label, or -1."
        )


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
