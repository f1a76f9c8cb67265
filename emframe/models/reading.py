"""Rows as a family reads them: of its columns, in its support, or refused with the place.

One known case: a family that names no columns reads them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from emframe.data import Rows, as_rows, chosen
from emframe.families import Family


def read(X: Any, family: Family, weights: Any, columns: Sequence[str] | None) -> Rows:
    """The rows of X for a family; what is raised is that of `emframe.data.as_rows`.

    Parameters
    ----------
    weights : (n,) frequencies, or None.
    columns : names of the columns of an earlier fit, which X is to have as well, or None.
    """
    names = family.columns
    found = as_rows(
        X if names is None else chosen(X, names),
        supports=family.supports,
        owner=f"the family {family.name!r}",
        weights=weights,
        takes_columns=family.takes_columns,
        n_columns=None if columns is None else len(columns),
        columns=columns,
        width=family.width,
        gaps=family.gaps,
    )
    return found if names is None else replace(found, columns=names)
