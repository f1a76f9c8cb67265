"""Sequences: rows in an order that matters, in runs that are independent of each other.

What is independent, and so what Q is additive over, is the run.  A model over sequences is handed
blocks of whole runs; within one, rows stand one below the other with the lengths beside them.

One known case: with all lengths 1 nothing is left of the order, and these are plain rows.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from emframe.data.arrays import Weighted
from emframe.data.blocks import real_array
from emframe.data.elsewhere import refuse_elsewhere
from emframe.data.frames import aligned, is_frame, refuse_other_index, taken, without
from emframe.data.gate import Table
from emframe.data.labelled import Labelled
from emframe.data.rows import Rows, drawn
from emframe.spaces import Array

T = TypeVar("T")

# Rows of a block: enough that work on a row outweighs the overhead of a call.
BLOCK = 1 << 15
_DERIVED = "derived from them"


@dataclass(frozen=True)
class Sequences:
    """Runs of rows, end to end.

    Parameters
    ----------
    x : (n, d) rows of all runs, or (n,) for one column; whatever `emframe.fit` takes for rows.
    lengths : (S,) rows of each run, in order; one run if None.

    Examples
    --------
    >>> runs = emframe.Sequences.by(np.array([5, 6, 7, 8]), np.array(["a", "b", "a", "b"]))
    >>> runs.keys.tolist(), runs.lengths.tolist(), runs.x.ravel().tolist()
    (['a', 'b'], [2, 2], [5, 7, 6, 8])
    """

    x: Any
    lengths: Any = None
    keys: Any = None  # (S,) what each run is called, where `by` made them
    order: Any = None  # (n,) where each row stood in what `by` was given
    source: Any = field(default=None, repr=False)  # and that itself, whose index answers carry

    def __post_init__(self) -> None:
        refuse_elsewhere(self.x, "x")
        n = len(self.x.X if isinstance(self.x, Table) else self.x)
        if isinstance(self.x, Table) and self.x.weights is not None:
            raise ValueError(
                "`x` has weights of its own, and those of a model of runs belong to the runs; pass "
                "its X alone, and `weights=` for the runs to the fit."
            )
        lengths = np.array([n]) if self.lengths is None else np.asarray(self.lengths)
        whole = lengths.ndim == 1 and lengths.dtype.kind in "iu" and (lengths > 0).all()
        if not whole or lengths.sum() != n:
            raise ValueError(
                f"`lengths` is {np.array2string(lengths, threshold=8)}, the data have "
                f"{n} rows; pass whole numbers above 0 that sum to the number of rows."
            )
        object.__setattr__(self, "lengths", lengths.astype(np.intp))

    @classmethod
    def by(cls, X: Any, groups: Any) -> Sequences:
        """A run for each group of rows, in order of their first rows.

        Parameters
        ----------
        groups : (n,) to which each row belongs, or the name of the column of X that says so, which
            is then none of the rows.

        Raises ValueError for a column that is missing, or labels that are not one to a row.
        A frame stays one, and may have columns that a model with names of its own never reads.
        What a fit says of the rows comes back in the order in which they were given here.
        """
        refuse_elsewhere(X, "X")
        if isinstance(groups, str):
            X, groups = without(X, groups)
        else:
            refuse_other_index(groups, X, "groups")
        table = isinstance(X, Table)
        labels = np.asarray(groups)
        rows = X if is_frame(X) else real_array(X.X if table else X, "X")
        if labels.shape != (len(rows),):
            raise ValueError(
                f"`groups` has shape {labels.shape}, the data have {len(rows)} rows; pass one "
                "label for each."
            )
        known = _are_known(labels)
        if not known.all():
            row = int(known.argmin())
            raise ValueError(
                f"`groups[{row}]` is {labels[row]} ({int((~known).sum())} such); pass the rows "
                "that belong to a group, or a label of its own for each of the others."
            )
        place, first = _places(labels)
        order = np.argsort(place, kind="stable")
        x = taken(X, order) if is_frame(X) else rows[order]
        runs = replace(X, X=x) if table else x
        return cls(runs, np.bincount(place), labels[first], order, X)

    def __len__(self) -> int:
        return len(self.lengths)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "`X` is divided into runs, but to this model every row is its own; pass the rows "
            "alone, or a model of runs: emframe.Mixture(..., group='id'), emframe.Grouped(family)."
        )

    def __getitem__(self, part: slice | int) -> Sequences:
        """Some of the runs, by a slice without a stride, or one by its number."""
        if not isinstance(part, slice):
            place = range(len(self))[part]
            part = slice(place, place + 1)
        bounds = np.concatenate([[0], np.cumsum(self.lengths)])
        lengths = self.lengths[part]
        first = bounds[:-1][part][0] if len(lengths) else 0
        keys = None if self.keys is None else self.keys[part]
        return Sequences(self.x[first : first + lengths.sum()], lengths, keys)

    def at(self, chosen: NDArray[np.intp]) -> Sequences:
        """The runs with these indices, of rows in an array."""
        lengths = self.lengths[chosen]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return Sequences(self.x[np.repeat(self.firsts[chosen], lengths) + within], lengths)

    def derived(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` makes of these runs: made at the first call with this key, and kept.

        A pass comes by the same runs each time, and a family may need to read them only once.
        """
        kept: dict[Hashable, Any] = self.__dict__.setdefault(_DERIVED, {})
        if key not in kept:
            kept[key] = make()
        return kept[key]

    def of_columns(self, places: tuple[int, ...]) -> Sequences:
        """The same runs with these columns alone, of validated ones: made once, and kept."""

        def made() -> Sequences:
            return Sequences(np.ascontiguousarray(self.x[:, places]), self.lengths, self.keys)

        return self.derived(("columns", places), made)

    def __getstate__(self) -> dict[str, Any]:
        """Without what was derived: it is made anew where the runs arrive."""
        return {name: value for name, value in self.__dict__.items() if name != _DERIVED}

    def regrouped(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of rows in the order that `by` was given, one run behind the other."""
        if self.order is None or len(values) != len(self.order):
            return values
        return values[self.order]

    def as_given(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of the rows of all runs, in the order that `by` was given; the runs keep theirs.

        With one row to a run both orders are the same.
        """
        if self.order is None or len(values) != len(self.order):
            return values
        back = np.empty_like(values)
        back[self.order] = values
        return back

    @cached_property
    def firsts(self) -> NDArray[np.intp]:
        """Where each run begins, (S,)."""
        return np.asarray(np.cumsum(self.lengths) - self.lengths)

    @cached_property
    def lasts(self) -> NDArray[np.intp]:
        """Where the last row of each run is, (S,)."""
        return np.asarray(np.cumsum(self.lengths) - 1)


def answered(X: Any, values: NDArray[Any], names: tuple[str, ...]) -> Any:
    """What is said of rows as they were given, with their index, or of runs with their keys."""
    X = X.X if isinstance(X, Labelled) else X
    if not isinstance(X, Sequences):
        return aligned(X, values, names)
    source = X.source
    if len(values) == X.lengths.sum() or not hasattr(source, "iloc"):
        return aligned(source, values, names)
    firsts = X.order[X.firsts]
    return aligned(taken(source, firsts), values, names).set_axis(X.keys, axis=0)


def of_columns(x: Any, places: tuple[int, ...]) -> Any:
    """Some columns of rows (n, d), or of runs of rows.

    Of rows a slice where the columns stand side by side, which copies nothing.
    """
    if isinstance(x, Sequences):
        return x.of_columns(places)
    first, n = places[0], len(places)
    if places == tuple(range(first, first + n)):
        return x[:, first : first + n]
    return x[:, list(places)]


def per_row(x: Any, weights: Array) -> Array:
    """The weight of each row: that of its run, where rows come in runs."""
    return np.repeat(weights, x.lengths) if isinstance(x, Sequences) else weights


@dataclass(frozen=True)
class SequenceRows(Weighted):
    """Validated runs, the frequency of each, and the names of the columns."""

    x: Sequences  # its x is (n, d), read-only
    weights: Array  # (S,)
    columns: tuple[str, ...]  # (d,)
    numbers: NDArray[np.intp]  # (S,) where each run stood in what the user gave
    n_given: int  # runs that the user gave, those of weight 0 included
    unit: float = 1.0  # what a weight of 1 stands for, where weights were far out of range
    rows: NDArray[np.intp] | None = None  # (n,) where each row stood in what the user gave
    n_rows_given: int = 0  # rows of all runs that the user gave
    in_memory = True

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def n_single(self) -> int:
        """Single rows, those of all runs together."""
        return len(self.x.x)

    def of_rows(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of all rows that the user gave, as those of the rows that are left."""
        return values if self.rows is None else values[self.rows]

    @property
    def total(self) -> float:
        """Number of rows that the weights stand for."""
        return self.unit * float(self.weights @ self.x.lengths)

    @property
    def n_runs(self) -> float:
        """Number of runs that the weights stand for."""
        return self.unit * float(self.weights.sum())

    def sample(self, most: int, rng: np.random.Generator) -> SequenceRows:
        """These runs where they have no more than `most` rows; else some, drawn by their weights.

        Drawn as often as their weights say, they stand for one run each.
        """
        n = len(self.x.x)
        if n <= most:
            return self
        size = max(1, most * len(self) // n)
        return replace(self, x=self.at(drawn(self.weights, size, rng)), weights=np.ones(size))

    def at(self, chosen: NDArray[np.intp]) -> Sequences:
        """The runs with these indices."""
        return self.x.at(chosen)

    def of(self, parts: Sequence[Sequences], weights: Array) -> SequenceRows:
        """Other runs of the same columns, those of all parts, and their weights."""
        x = np.concatenate([part.x for part in parts])
        lengths = np.concatenate([part.lengths for part in parts])
        n = len(lengths)
        return SequenceRows(Sequences(x, lengths), weights, self.columns, np.arange(n), n)

    def means(self) -> Rows:
        """The mean row of each run, with the weights of the runs."""
        totals = np.add.reduceat(self.x.x, self.x.firsts, axis=0)
        return Rows(totals / self.x.lengths[:, None], self.weights, self.columns)

    def blocks(self, size: int) -> Iterator[tuple[Sequences, Array]]:
        """Whole runs and their weights, a block at a time, of `size` rows or a few more.

        The same blocks at each call, with what was derived of them; they are views.
        """
        size = max(size, BLOCK)
        if len(self.x.x) <= size:
            yield self.x, self.weights
            return
        for part, runs in self.x.derived(size, lambda: list(self._cut(size))):
            yield runs, self.weights[part]

    def _cut(self, size: int) -> Iterator[tuple[slice, Sequences]]:
        ends, first = np.cumsum(self.x.lengths), 0
        while first < len(self):
            begun = ends[first] - self.x.lengths[first]
            last = int(np.searchsorted(ends, begun + size)) + 1
            part = slice(first, last)
            yield part, self.x[part]
            first = last


def _places(labels: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The group of each label, (n,), in the order of their first rows; and these, (S,)."""
    if labels.dtype.kind in "biufUSmM":
        _, firsts, codes = np.unique(labels, return_index=True, return_inverse=True)
        order = np.argsort(firsts)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return rank[codes], firsts[order]
    found: dict[Any, int] = {}
    place = np.array([found.setdefault(one, len(found)) for one in labels], dtype=np.intp)
    return place, np.unique(place, return_index=True)[1]


def _are_known(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Which labels say anything, (n,)."""
    if labels.dtype.kind in "biufUS":
        return np.asarray(labels == labels)  # noqa: PLR0124
    return np.array([_is_known(label) for label in labels], dtype=bool)


def _is_known(label: Any) -> bool:
    """Whether a label says anything: not where it is None, nan, or pandas' NA."""
    try:
        return label is not None and bool(label == label)  # noqa: PLR0124
    except TypeError:  # NA equals nothing, and does not say that it does not
        return False
