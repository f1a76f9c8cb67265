"""The gate: data enter as clean float64 rows, or are refused with the place and the remedy.

Nothing is imputed, clipped, dropped or cast with loss, and the caller's arrays are never touched:
families see read-only rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data.arrays import read_only
from emframe.data.blocks import Blocks, real_array
from emframe.data.demands import require
from emframe.data.elsewhere import refuse_elsewhere
from emframe.data.frames import from_frame, is_frame, names_of
from emframe.data.rows import Rows
from emframe.data.weights import as_weights, in_range, plain
from emframe.messages.refusals import several
from emframe.spaces import Array, Claim, Space

_SMALL = 1 << 20  # numbers of which a copy is no burden


@dataclass(frozen=True)
class Table:
    """Numbers with names for their columns, and frequencies where each row stands for several.

    What a data frame is to pandas, in the least that a fit needs; `emframe.Dataset` is one.
    """

    X: Array  # (n, d)
    columns: tuple[str, ...]  # (d,)
    weights: Array | None  # (n,), which `emframe.fit` takes unless it is given others


def as_rows(
    X: Any,
    *,
    supports: Sequence[Space] = (),
    owner: str,
    claims: Sequence[Claim] | None = None,
    covariates: Collection[str | int] = (),
    weights: Any = None,
    takes_columns: bool = True,
    n_columns: int | None = None,
    columns: Sequence[str] | None = None,
    width: int | None = None,
    gaps: str = "",
) -> Rows:
    """Validate data for a model.

    Parameters
    ----------
    X : (n, d) array-like, data frame or `Table`; a 1-D array is n rows of one column.
    supports : spaces that every value has to lie in.
    owner : whose supports they are, for messages.
    covariates : columns that are given and not modelled, by name or place, for messages.
    claims : the same where several parts of the owner have supports of their own.
    weights : (n,) frequencies; rows of weight 0 are removed.
    takes_columns : whether more than one column is possible.
    n_columns : the number expected, where it is known.
    columns : names expected, where they are known; found by name where X has names, whatever
        other columns there are.
    width : the number of columns that the family takes, where that is settled.
    gaps : what can be done about missing values but to do without their rows, for messages.

    Raises
    ------
    TypeError, ValueError : naming the argument, the first offending row and column, and the
        remedy.
    """
    if columns is not None:
        X = chosen(X, tuple(columns), covariates)
    source, names = _given(X, covariates)
    n, d = (source.n_rows, source.n_columns) if isinstance(source, Blocks) else source.shape
    row_weights = as_weights(weights, n)
    if n == 0:
        raise ValueError("`X` has no rows; pass at least one.")
    if d == 0:
        raise ValueError("`X` has no columns; pass at least one.")
    if not takes_columns and d != 1:
        raise ValueError(
            f"`X` has {d} columns, but {owner} is a density of one column; pass one column."
        )
    if width is not None and d != width:
        raise ValueError(f"`X` has {several(d, 'column')}; {owner} takes {width}.")
    if n_columns is not None and d != n_columns:
        raise ValueError(f"`X` has {several(d, 'column')}; the model was fitted to {n_columns}.")
    labels = names or tuple(columns or (f"x{j}" for j in range(d)))
    rows = in_range(_without_zeros(Rows(source, plain(row_weights), labels)))
    require(rows, claims or [Claim(space, owner, gaps) for space in supports], owner)
    if isinstance(rows.source, np.ndarray) and rows.source.size <= _SMALL:
        rows = replace(rows, source=read_only(np.array(rows.x, order="C")))
    return rows


def chosen(X: Any, names: tuple[str, ...], covariates: Collection[str | int] = ()) -> Any:
    """The columns of these names, in this order; X as it is where its columns have no names.

    `covariates` : as for `as_rows`.

    Raises ValueError naming one that is missing.
    """
    refuse_elsewhere(X, "X")
    have = names_of(X) if is_frame(X) else X.columns if isinstance(X, (Blocks, Table)) else None
    if not have or have == names:
        return X
    missing = [name for name in names if name not in have]
    if missing:
        raise ValueError(
            f"`X` has the columns {', '.join(have)}; the model takes {', '.join(names)}, and "
            f"{missing[0]!r} is not there."
        )
    if isinstance(X, Blocks):
        return X.of([have.index(name) for name in names])
    if is_frame(X):
        told = {one if isinstance(one, str) else names[one] for one in covariates}
        values, found = from_frame(X, "X", names, told)
        have = found or ()
        X = Table(values, have, None)
    return Table(X.X[:, [have.index(name) for name in names]], names, X.weights)


def _given(
    X: Any, covariates: Collection[str | int] = ()
) -> tuple[NDArray[Any] | Blocks, tuple[str, ...] | None]:
    """Real numbers (n, d) as they were given, and column names where X has them."""
    if isinstance(X, Blocks):
        return X, X.columns
    if is_frame(X):
        return from_frame(X, "X", (), covariates)
    names = X.columns if isinstance(X, Table) else None
    values = real_array(X.X if isinstance(X, Table) else X, "X")
    if names is not None and len(names) != values.shape[1]:
        raise ValueError(f"`X` has {values.shape[1]} columns and {len(names)} names for them.")
    return values, names


def _without_zeros(rows: Rows) -> Rows:
    """The rows of positive weight."""
    mask = rows.weights > 0
    if mask.all():
        return rows
    (kept,) = mask.nonzero()
    source = rows.source
    if isinstance(source, Blocks):
        given = source

        def read() -> Iterator[NDArray[Any]]:
            first = 0
            for block in given:
                yield block[mask[first : first + len(block)]]
                first += len(block)

        source = replace(given, read=read, n_rows=len(kept))
    else:
        source = source[kept]
    return replace(
        rows,
        source=source,
        weights=plain(rows.weights[kept]),
        kept=kept,
        n_removed=len(mask) - len(kept),
    )
