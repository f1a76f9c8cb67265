"""The gate: data enter as clean float64 rows, or are refused with the place and the remedy.

Nothing is imputed, clipped, dropped or cast with loss, and the caller's arrays are never touched:
families see read-only rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.blocks import Blocks, real_array
from emframe.frames import from_frame, is_frame
from emframe.refusals import LARGEST_WHOLE, TOO_LARGE, refusal, shown
from emframe.spaces import Array, Space

MOST_AT_ONCE = 1 << 16  # rows looked at together where nothing else says how many
STRIP = 64  # so many rows, and any number of these, divide well into tiles
_SMALL = 1 << 20  # numbers of which a copy is no burden


@dataclass(frozen=True)
class Table:
    """Numbers with names for their columns, and frequencies where each row stands for several.

    What a data frame is to pandas, in the least that a fit needs; `emframe.Dataset` is one.
    """

    X: Array  # (n, d)
    columns: tuple[str, ...]  # (d,)
    weights: Array | None  # (n,), which `emframe.fit` takes unless it is given others


@dataclass(frozen=True)
class Rows:
    """Validated data: rows, their frequency weights, and the names of the columns.

    The rows stay as they were given, in memory, in a file that is mapped to it, or in `Blocks`,
    and are read as float64 block by block.
    """

    source: NDArray[Any] | Blocks  # (n, d) real numbers
    weights: Array  # (n,), read-only; ones where the user gave none
    columns: tuple[str, ...]  # (d,)
    kept: NDArray[np.intp] | None = None  # (n,) where each row stood, if some were removed
    n_removed: int = 0  # rows of weight 0
    unit: float = 1.0  # what a weight of 1 stands for, where weights were far out of range

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def n_given(self) -> int:
        """Rows that the user gave, those of weight 0 included."""
        return len(self) + self.n_removed

    @property
    def numbers(self) -> NDArray[np.intp]:
        """Where each row stood in what the user gave, (n,)."""
        return np.arange(len(self)) if self.kept is None else self.kept

    @property
    def total(self) -> float:
        """Number of rows that the weights stand for."""
        return self.unit * float(self.weights.sum())

    @property
    def x(self) -> Array:
        """All rows at once, (n, d), read-only; a copy where they are not float64 in memory."""
        if isinstance(self.source, Blocks):
            return _read_only(np.concatenate([x for x, _ in self.blocks(len(self))]))
        return _as_floats(self.source)

    def blocks(self, size: int) -> Iterator[tuple[Array, Array]]:
        """Rows (b, d) and weights (b,) of one block after another, b at most `size`."""
        first = 0
        for array in _cut(self.source, size):
            part = slice(first, first + len(array))
            yield _as_floats(array), self.weights[part]
            first = part.stop

    def sample(self, most: int, rng: np.random.Generator) -> Rows:
        """These rows where they are no more than `most` in memory; else so many drawn from them.

        Drawn as often as their weights say, they stand for one row each.
        """
        n = len(self)
        if n <= most and not isinstance(self.source, Blocks):
            return self
        if n <= most:
            return replace(self, source=self.x)
        even = self.weights.strides == (0,)
        shares = None if even else self.weights / self.weights.sum()
        chosen = np.sort(rng.choice(n, size=most, p=shares))
        drawn, first = [], 0
        for array in _cut(self.source, MOST_AT_ONCE):
            last = first + len(array)
            mine = chosen[slice(*np.searchsorted(chosen, [first, last]))]
            drawn.append(_as_floats(array[mine - first]))
            first = last
        return Rows(_read_only(np.concatenate(drawn)), _ones(most), self.columns)

    def distinct(self) -> Rows:
        """Distinct rows with their weights added up, where that halves the rows or better.

        For rows of whole numbers; a first sample decides whether it is worth the sorting.
        """
        return _distinct(self)

    def n_distinct(self, at_most: int) -> int:
        """Number of distinct rows, counted no further than `at_most`."""
        seen: Array | None = None
        for x, _ in self.blocks(max(4 * at_most, 1024)):
            both = x if seen is None else np.concatenate([seen, x])
            seen = np.unique(both, axis=0)
            if len(seen) >= at_most:
                return at_most
        return 0 if seen is None else len(seen)


def as_rows(
    X: Any,
    *,
    supports: Sequence[Space],
    owner: str,
    weights: Any = None,
    takes_columns: bool = True,
    n_columns: int | None = None,
    columns: Sequence[str] | None = None,
    width: int | None = None,
) -> Rows:
    """Validate data for a model.

    Parameters
    ----------
    X : (n, d) array-like, data frame or `Table`; a 1-D array is n rows of one column.
    supports : spaces that every value has to lie in.
    owner : whose supports they are, for messages.
    weights : (n,) frequencies; rows of weight 0 are removed.
    takes_columns : whether more than one column is possible.
    n_columns : the number expected, where it is known.
    columns : names expected, where they are known; checked where X has names.
    width : the number of columns that the family takes, where that is settled.

    Raises
    ------
    TypeError, ValueError : naming the argument, the first offending row and column, and the
        remedy.
    """
    source, names = _given(X)
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
        raise ValueError(f"`X` has {d} columns; {owner} takes {width}.")
    if n_columns is not None and d != n_columns:
        raise ValueError(f"`X` has {d} columns; the model was fitted to {n_columns}.")
    if columns is not None and names is not None and tuple(columns) != names:
        raise ValueError(
            f"`X` has columns {', '.join(names)}; the model was fitted to {', '.join(columns)}."
        )
    labels = names or tuple(columns or (f"x{j}" for j in range(d)))
    rows = _without_zeros(Rows(source, _read_only(row_weights), labels))
    rows = in_range(rows)
    if rows.weights.strides != (0,) and (rows.weights == 1.0).all():  # to the bits as without
        rows = replace(rows, weights=_ones(len(rows)))
    _require(rows, supports, owner)
    if isinstance(rows.source, np.ndarray) and rows.source.size <= _SMALL:
        rows = replace(rows, source=_read_only(np.array(rows.x, order="C")))
    return rows


def in_range(rows: Any) -> Any:
    """The same rows, of weights whose sums are within the range of floating point."""
    return _in_units(rows, _unit(rows.weights, 1e-100))


def measured(rows: Any) -> Any:
    """The same rows, of which the heaviest has a weight near 1 where all had less.

    How near the maximum a fit comes is told in nats over all rows.  Of rows that stand for less
    than one each there would be too few, however the weights were meant.
    """
    return _in_units(rows, _unit(rows.weights, 1.0)) if hasattr(rows, "unit") else rows


def counted(rows: Any) -> Any:
    """The rows, whose weights are to count rows; ValueError where they are too far out for it."""
    unit = getattr(rows, "unit", 1.0)
    if unit != 1.0:
        raise ValueError(
            f"`weights` are near {unit:g}; here they count rows, so pass weights of an ordinary "
            "size."
        )
    return rows


def _in_units(rows: Any, unit: float) -> Any:
    """The same rows, with weights that count units of `unit`, a power of two."""
    if unit == 1.0:
        return rows
    weights = rows.weights / unit
    plain = _ones(len(weights)) if (weights == 1.0).all() else _read_only(weights)
    return replace(rows, weights=plain, unit=unit * rows.unit)


def chosen(X: Any, names: tuple[str, ...]) -> Any:
    """The columns of these names, in this order; X as it is where its columns have no names.

    Raises ValueError naming one that is missing.
    """
    if is_frame(X):
        values, known = from_frame(X, "X")
        X = values if known is None else Table(values, known, None)
    have = X.columns if isinstance(X, (Blocks, Table)) else None
    if have is None or have == names:
        return X
    missing = [name for name in names if name not in have]
    if missing or isinstance(X, Blocks):
        raise ValueError(
            f"`X` has the columns {', '.join(have)}; the model takes {', '.join(names)}"
            + (f", and {missing[0]!r} is not there." if missing else ", in this order.")
        )
    return Table(X.X[:, [have.index(name) for name in names]], names, X.weights)


def frequencies(X: Any, weights: Any) -> Any:
    """The weights that were given, or else those that a `Table` brings along."""
    return X.weights if weights is None and isinstance(X, Table) else weights


def as_weights(weights: Any, n: int) -> Array:
    """Validate frequency weights for n rows; ones where they are None."""
    if weights is None:
        return _ones(n)
    values = _as_floats(real_array(weights, "weights"))
    if values.shape != (n, 1):
        shape = np.shape(weights)
        raise ValueError(
            f"`weights` has shape {shape}, data has {n} rows; pass one weight per row."
        )
    flat = values[:, 0]
    bad = ~np.isfinite(flat) | (flat < 0)
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"`weights[{row}]` is {flat[row]} ({int(bad.sum())} such); weights are frequencies: "
            "finite and not negative."
        )
    if not flat.any():
        raise ValueError("`weights` are all zero, which removes every row.")
    return flat


def _given(X: Any) -> tuple[NDArray[Any] | Blocks, tuple[str, ...] | None]:
    """Real numbers (n, d) as they were given, and column names where X has them."""
    if isinstance(X, Blocks):
        return X, X.columns
    if is_frame(X):
        return from_frame(X, "X")
    names = X.columns if isinstance(X, Table) else None
    values = real_array(X.X if isinstance(X, Table) else X, "X")
    if names is not None and len(names) != values.shape[1]:
        raise ValueError(f"`X` has {values.shape[1]} columns and {len(names)} names for them.")
    return values, names


def _as_floats(array: NDArray[Any]) -> Array:
    """As read-only float64, (n, d); a view where it is float64 already."""
    if array.dtype == np.float64:
        return _read_only(array.view(np.ndarray))
    with np.errstate(over="ignore"):  # what does not fit is told by the gate
        return _read_only(np.asarray(array, dtype=np.float64))


def _cut(source: NDArray[Any] | Blocks, size: int) -> Iterator[NDArray[Any]]:
    """The rows of a source in arrays of at most `size`, as they were given."""
    for block in source if isinstance(source, Blocks) else (source,):
        step = _even(len(block), size)
        for first in range(0, len(block), step):
            yield block[first : first + step]


def _even(n: int, size: int) -> int:
    """Rows of each part, `size` at most, when n rows are shared out evenly.

    In parts of four, so that two or four threads end together, and whole numbers of strips.
    """
    parts = -(-n // size)
    if parts == 1:
        return size
    parts += -parts % 4
    return min(size, -(-n // (parts * STRIP)) * STRIP)


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
        weights=_read_only(rows.weights[kept]),
        kept=kept,
        n_removed=len(mask) - len(kept),
    )


def _distinct(rows: Rows) -> Rows:
    """See `Rows.distinct`.  Each block is condensed together with what the ones before it left."""
    x, weights = np.zeros((0, len(rows.columns))), np.zeros(0)
    for block, block_weights in rows.blocks(MOST_AT_ONCE):
        both = np.concatenate([x, block])
        _, first, inverse = np.unique(_keys(both), return_index=True, return_inverse=True)
        if 2 * len(first) > len(both):
            return rows
        x = both[first]
        each = np.concatenate([weights, block_weights])
        weights = np.bincount(inverse.ravel(), each).astype(float)
    return (
        rows
        if 2 * len(x) > len(rows)
        else Rows(_read_only(x), _read_only(weights), rows.columns, unit=rows.unit)
    )


def _keys(x: Array) -> NDArray[Any]:
    """One number for each row of whole numbers, equal where the rows are; (n,).

    Each column is a digit; where that makes too large a number, the row's bytes are the key.
    """
    low, high = x.min(axis=0), x.max(axis=0)
    with np.errstate(over="ignore"):  # of hundreds of columns, no number is large enough
        places = np.cumprod(np.append(1.0, high - low + 1.0))
    if places[-1] < LARGEST_WHOLE:
        return np.asarray((x - low) @ places[:-1])
    whole = np.ascontiguousarray(x + 0.0)  # -0.0 and 0.0 are one number
    return whole.view(np.dtype((np.void, whole.dtype.itemsize * whole.shape[1]))).ravel()


@dataclass(frozen=True)
class _Demand:
    """Something that every value has to be."""

    met: Callable[[NDArray[Any], Array], NDArray[np.bool_]]  # (as given, as float64) -> per value
    what: str
    remedy: str


def _require(rows: Rows, supports: Sequence[Space], owner: str) -> None:
    """Refuse data outside the supports, in one pass where there is nothing to refuse."""
    demands = [
        _Demand(
            lambda given, x: ~np.isinf(x) | np.isinf(given),
            "too large for float64",
            "rescale the column",
        ),
        _Demand(lambda _, x: np.isfinite(x), "missing or infinite", "remove or impute such rows"),
        _Demand(
            lambda given, _: _is_exact(given),
            *TOO_LARGE,
        ),
    ]
    demands += [
        _Demand(
            lambda _, x, space=space: _per_value(space.contains(x), x),  # type: ignore[misc]
            f"outside the support of {owner}",
            f"it takes {space.words}; {_remedy(space)}",
        )
        for space in supports
    ]
    least = max((space.least_range for space in supports), default=0.0)
    low, high = np.full(len(rows.columns), np.inf), np.full(len(rows.columns), -np.inf)
    for given in _cut(rows.source, MOST_AT_ONCE):
        x = _as_floats(given)
        for demand in demands:
            if not demand.met(given, x).all():
                raise ValueError(_refusal(rows, demand))
        if least > 0.0:
            low = np.minimum(low, _over_rows(np.minimum, x))
            high = np.maximum(high, _over_rows(np.maximum, x))
    narrow = (high > low) & (high / 2 - low / 2 < least / 2)
    if narrow.any():
        j = int(narrow.argmax())
        raise ValueError(
            f"`X` column {j} ({rows.columns[j]!r}) has values from {low[j]:g} to {high[j]:g}, too "
            f"close together for {owner}, whose squares of differences underflow; rescale the "
            "column."
        )


def _remedy(space: Space) -> str:
    limited = bool(getattr(space, "largest", np.inf) < np.finfo(float).max)
    return f"check the data{', rescale the column' * limited} or choose another family"


def _is_exact(given: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether integers are no larger than float64 can tell from their neighbours."""
    if given.dtype.kind not in "iu":
        return np.ones((1, 1), dtype=bool)
    return np.asarray((given <= LARGEST_WHOLE) & ((given >= 0) | (given >= -LARGEST_WHOLE)))


def _over_rows(best: np.ufunc, x: Array) -> Array:
    """``best.reduce(x, axis=0)``; numpy is slow at that where columns are few."""
    chunk = 64
    whole = len(x) - len(x) % chunk
    if whole == 0:
        return np.asarray(best.reduce(x, axis=0))
    wide = best.reduce(x[:whole].reshape(-1, chunk * x.shape[1]), axis=0)
    rest = [x[whole:]] if whole < len(x) else []
    return np.asarray(best.reduce(np.concatenate([wide.reshape(chunk, -1), *rest]), axis=0))


def _per_value(inside: NDArray[np.bool_], x: Array) -> NDArray[np.bool_]:
    """Where a whole row is one value, each of its entries shares its fate."""
    return inside if inside.ndim == x.ndim else np.broadcast_to(inside[:, None], x.shape)


def _refusal(rows: Rows, demand: _Demand) -> str:
    """Where the first value that misses the demand stands, and how many there are."""
    count, first, where = 0, 0, (0, 0, "", "")
    for given in _cut(rows.source, MOST_AT_ONCE):
        x = _as_floats(given)
        bad = ~np.broadcast_to(demand.met(given, x), x.shape)
        if bad.any() and count == 0:
            row, column = (int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
            number = first + row if rows.kept is None else int(rows.kept[first + row])
            value = given[row, column]
            where = (number, column, rows.columns[column], shown(value))
        count += int(bad.sum())
        first += len(x)
    return refusal("X", *where, demand.what, count, demand.remedy)


def _unit(weights: Array, least: float) -> float:
    """1 where the largest weight is from `least` to 1e100, and else a power of two near it."""
    largest = float(weights.max(initial=0.0))
    return 1.0 if least <= largest < 1e100 else 2.0 ** round(np.log2(largest))


def _ones(n: int) -> Array:
    """Weight 1 for n rows, in the memory of one number."""
    return np.broadcast_to(1.0, n)


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
