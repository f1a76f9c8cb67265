"""Validated data: rows that are read block by block, wherever they lie.

One known case: of rows in memory a block is a view.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data.arrays import Weighted, as_floats, ones, read_only
from emframe.data.blocks import Blocks
from emframe.messages.refusals import LARGEST_WHOLE
from emframe.spaces import Array

MOST_AT_ONCE = 1 << 16  # rows looked at together where nothing else says how many
STRIP = 64  # so many rows, and any number of these, divide well into tiles


@dataclass(frozen=True)
class Rows(Weighted):
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
    def n_single(self) -> int:
        """Single rows: all of them, as there are no runs."""
        return len(self)

    @property
    def n_given(self) -> int:
        """Rows that the user gave, those of weight 0 included."""
        return len(self) + self.n_removed

    @property
    def numbers(self) -> NDArray[np.intp]:
        """Where each row stood in what the user gave, (n,)."""
        return np.arange(len(self)) if self.kept is None else self.kept

    @property
    def in_memory(self) -> bool:
        """Whether all rows are at hand, and not read from elsewhere block by block."""
        return not isinstance(self.source, Blocks)

    @property
    def total(self) -> float:
        """Number of rows that the weights stand for."""
        return self.unit * float(self.weights.sum())

    @property
    def x(self) -> Array:
        """All rows at once, (n, d), read-only; a copy where they are not float64 in memory."""
        if isinstance(self.source, Blocks):
            return read_only(np.concatenate([x for x, _ in self.blocks(len(self))]))
        return as_floats(self.source)

    def blocks(self, size: int) -> Iterator[tuple[Array, Array]]:
        """Rows (b, d) and weights (b,) of one block after another, b at most `size`."""
        first = 0
        for array in cut(self.source, size):
            part = slice(first, first + len(array))
            yield as_floats(array), self.weights[part]
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
        return Rows(self.at(drawn(self.weights, most, rng)), ones(most), self.columns)

    def at(self, chosen: NDArray[np.intp]) -> Array:
        """The rows with these indices, which ascend, by one pass; read-only."""
        found, first = [], 0
        for array in cut(self.source, MOST_AT_ONCE):
            last = first + len(array)
            mine = chosen[slice(*np.searchsorted(chosen, [first, last]))]
            found.append(as_floats(array[mine - first]))
            first = last
        return read_only(np.concatenate(found))

    def of(self, parts: Sequence[Array], weights: Array) -> Rows:
        """Other rows of the same columns: parts (m, d), one below the other, and their weights."""
        return Rows(read_only(np.concatenate(parts)), read_only(weights), self.columns)

    def distinct(self) -> Rows:
        """Distinct rows with their weights added up, where that halves the rows or better.

        A first sample decides whether it is worth the sorting.
        """
        x, weights = np.zeros((0, len(self.columns))), np.zeros(0)
        for block, block_weights in self.blocks(MOST_AT_ONCE):
            both = np.concatenate([x, block])  # condensed with what the blocks before it left
            _, first, inverse = np.unique(_keys(both), return_index=True, return_inverse=True)
            if 2 * len(first) > len(both):
                return self
            x = both[first]
            each = np.concatenate([weights, block_weights])
            weights = np.bincount(inverse.ravel(), each).astype(float)
        if 2 * len(x) > len(self):
            return self
        return Rows(read_only(x), read_only(weights), self.columns, unit=self.unit)

    def n_distinct(self, at_most: int) -> int:
        """Number of distinct rows, counted no further than `at_most`."""
        return len(self.some_distinct(at_most))

    def some_distinct(self, at_most: int) -> Array:
        """Distinct rows, (m, d), `at_most` of them; what is missing is -inf, and equals itself."""
        seen = np.zeros((0, len(self.columns)))
        for x, _ in self.blocks(max(4 * at_most, 1024)):
            same = np.where(np.isnan(x), -np.inf, x)
            if not len(seen):
                first = set(map(tuple, same[: 4 * at_most].tolist()))
                if len(first) >= at_most:  # the first few tell, as a rule
                    return np.array(sorted(first)[:at_most]).reshape(-1, len(self.columns))
            seen = np.unique(np.concatenate([seen, same]), axis=0)
            if len(seen) >= at_most:
                return seen[:at_most]
        return seen


def drawn(weights: Array, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices of rows drawn as often as their weights say, in ascending order; (size,).

    One comes from each of `size` equal parts of the total weight: rows that lie in some order are
    drawn from all along it, and only one that weighs more than a part can come twice.
    """
    n = len(weights)
    places = (np.arange(size) + rng.random(size)) / size
    if weights.strides == (0,):
        chosen = (places * n).astype(np.intp)
    else:
        ends = np.cumsum(weights)
        chosen = np.searchsorted(ends, places * ends[-1], side="right")
    return np.minimum(chosen, n - 1)


def cut(source: NDArray[Any] | Blocks, size: int) -> Iterator[NDArray[Any]]:
    """The rows of a source in arrays of at most `size`, as they were given.

    Those of `Blocks` are the arrays that one array of all rows would be cut into: sums over them
    are in the same order, and to the same bits, whatever blocks they came in.
    """
    if not isinstance(source, Blocks):
        step = _even(len(source), size)
        for first in range(0, len(source), step):
            yield source[first : first + step]
        return
    step, held = _even(source.n_rows, size), list[NDArray[Any]]()
    for block in source:
        if held and held[0].dtype != block.dtype:  # together they would be cast
            yield np.concatenate(held)
            held = []
        first = 0
        while first < len(block):
            part = block[first : first + step - sum(map(len, held))]
            held.append(part)
            first += len(part)
            if sum(map(len, held)) == step:
                yield held[0] if len(held) == 1 else np.concatenate(held)
                held = []
    if held:
        yield held[0] if len(held) == 1 else np.concatenate(held)


def _even(n: int, size: int) -> int:
    """Rows of each part, `size` at most, when n rows are shared out evenly.

    In parts of four, so that two or four threads end together, and whole numbers of strips.
    """
    parts = -(-n // size)
    if parts == 1:
        return size
    parts += -parts % 4
    return min(size, -(-n // (parts * STRIP)) * STRIP)


def _keys(x: Array) -> NDArray[Any]:
    """One number for each row, equal where the rows are; (n,).

    Each column of whole numbers is a digit; where that makes too large a number, or numbers are
    not whole, the row's bytes are the key.
    """
    low, high = np.fmin.reduce(x, axis=0), np.fmax.reduce(x, axis=0)
    gaps = np.isnan(x)
    if gaps.any():  # what is missing is one digit more
        low = np.where(np.isnan(low), 0.0, low) - 1.0
        high = np.fmax(low, high)
        x = np.where(gaps, low, x)
    with np.errstate(over="ignore"):  # of hundreds of columns, no number is large enough
        places = np.cumprod(np.append(1.0, high - low + 1.0))
    if places[-1] < LARGEST_WHOLE and (x == np.floor(x)).all():
        return np.asarray((x - low) @ places[:-1])
    whole = np.ascontiguousarray(x + 0.0)  # -0.0 and 0.0 are one number
    return whole.view(np.dtype((np.void, whole.dtype.itemsize * whole.shape[1]))).ravel()
