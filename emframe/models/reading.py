"""Rows as a family reads them: of its columns, in its support, or refused with the place.

One known case: a family that names no columns reads them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from emframe.data import Rows, as_rows, chosen
from emframe.families import Family
from emframe.families.stack import Stack


def read(
    X: Any, family: Family, weights: Any, columns: Sequence[str] | None, gaps: str = ""
) -> Rows:
    """The rows of X for a family; what is raised is that of `emframe.data.as_rows`.

    Parameters
    ----------
    weights : (n,) frequencies, or None.
    columns : names of the columns of an earlier fit, which X is to have as well, or None.
    gaps : what there is for missing values where the family has no setting for it.
    """
    names = family.columns
    found = as_rows(
        X if names is None else chosen(X, names, family.covariates),
        covariates=family.covariates,
        claims=[replace(one, gaps=one.gaps or gaps) for one in family.claims()],
        owner=owner_of_columns(family),
        weights=weights,
        takes_columns=family.takes_columns,
        n_columns=None if columns is None else len(columns),
        columns=columns,
        width=family.width,
    )
    return found if names is None else replace(found, columns=names)


def owner_of_columns(family: Family) -> str:
    """Who limits the number of columns, in words: a family, or the component that has it."""
    if isinstance(family, Stack):
        for k, one in enumerate(family.each(sum(family.sizes))):
            if not one.takes_columns or one.width is not None:
                return f"component {k}, the family {one.name!r},"
    return f"the family {family.name!r}"
