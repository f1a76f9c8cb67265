"""How many numbers the data can determine of a model of discrete rows.

A likelihood sees the probabilities of what was observed and nothing else.  Of units that have a z
each, rows or runs, those that are alike in what is given have one distribution: as many numbers as
distinct outcomes were seen, and one fewer where all that there can be are among them, for then
they sum to 1 (Goodman 1974, Biometrika 61, 215).  Runs whose rows share a z are bags of rows, in no
order; those of fewer rows tell nothing that longer ones do not.

One known case: two yes/no items have four patterns, and three degrees of freedom.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from math import comb, inf, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data import PlacedRows, Rows, frequencies
from emframe.data.placed import PlacedRuns
from emframe.models import Model
from emframe.spaces import Array

Pattern = tuple[bytes, bytes, float]
"""What is given of a unit, its outcome, and how many outcomes there can be with that given."""


def freedom_of(model: Model, X: Any, weights: Any = None) -> float:
    """The degrees of freedom of the data for a model; inf for what is not discrete.

    Nor is there a bound for chains, whose order tells, or rows that are not in memory, unless those
    that lie in parts are few distinct ones.
    """
    rows: Any = model.rows(X, frequencies(X, weights))
    discrete, modelled = model.columns_modelled(len(rows.columns))
    if isinstance(rows, PlacedRows):
        rows = rows if isinstance(rows, PlacedRuns) else rows.distinct()
        if isinstance(rows, PlacedRows):
            return inf
    in_runs = not isinstance(rows, Rows) and hasattr(rows.x, "lengths")
    at_hand = model.unit == "runs" if in_runs else isinstance(rows, Rows) and rows.in_memory
    if not at_hand or not discrete[modelled].all():
        return inf
    x = rows.x.x if in_runs else rows.x
    lengths = rows.x.lengths if in_runs else np.ones(len(x), dtype=np.intp)
    outcomes = _outcomes(model, x, modelled)
    seen: dict[bytes, set[bytes]] = defaultdict(set)
    possible: dict[bytes, float] = {}
    for given, outcome, total in _patterns(x, modelled, lengths, outcomes):
        seen[given].add(outcome)
        possible[given] = total
    most = sum(min(len(seen[given]), total - 1) for given, total in possible.items())
    alike = modelled.all()  # with nothing given, short runs are parts of long ones
    return min(most, max(possible.values()) - 1) if alike else most


def _outcomes(model: Any, x: Array, modelled: NDArray[np.bool_]) -> float:
    """How many outcomes a row can have, of the values that were seen; inf where there is no end."""
    family = getattr(model, "family", None)
    if family is None:
        return inf
    d = x.shape[1]
    bounded = np.logical_or.reduce([one.columns_that_are("bounded", d) for one in family.supports])
    if not bounded[modelled].all():
        return inf
    columns = (column[~np.isnan(column)] for column in x[:, modelled].T)
    return float(prod(len(np.unique(column)) for column in columns))


def _patterns(
    x: Array, modelled: NDArray[np.bool_], lengths: NDArray[np.intp], outcomes: float
) -> Iterator[Pattern]:
    """The pattern of each unit; its rows count as a bag."""
    given, outcome = _codes(x[:, ~modelled]), _codes(x[:, modelled])
    unit = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((outcome, given, unit))
    given, outcome = given[order], outcome[order]
    totals: dict[bytes, float] = {}
    first = 0
    for length in lengths:
        mine = slice(first, first + int(length))
        first = mine.stop
        key = given[mine].tobytes()
        if key not in totals:
            totals[key] = _bags(given[mine], outcomes)
        yield key, outcome[mine].tobytes(), totals[key]


def _bags(given: NDArray[np.intp], outcomes: float) -> float:
    """How many bags of outcomes rows can have of which those with the same given are exchanged."""
    if outcomes == inf:
        return inf
    m = int(outcomes)
    return float(prod(comb(m + times - 1, times) for times in Counter(given.tolist()).values()))


def _codes(x: Array) -> NDArray[np.intp]:
    """A number for each distinct row, (n,); missing values are alike."""
    if not x.shape[1]:
        return np.zeros(len(x), dtype=np.intp)
    filled = np.where(np.isnan(x), -np.inf, x)
    return np.unique(filled, axis=0, return_inverse=True)[1].ravel().astype(np.intp)
