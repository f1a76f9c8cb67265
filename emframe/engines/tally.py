"""Which rows a sum was made of: a count and a fingerprint, which add as the sum itself does.

Each row, with its weight, has a number of 64 bits, and a set of rows the sum of its rows' numbers.
That does not depend on how rows are cut into blocks or in which order these are taken; a row left
out, taken twice, or taken with another weight changes it (but for a chance of 2**-64).

One known case: the tally of no rows is 0, and adding it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

# Odd, without a pattern: the multipliers of splitmix64 (Steele, Lea and Flood 2014).
_FIRST, _SECOND, _STEP = (
    np.uint64(number) for number in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15)
)


@dataclass(frozen=True)
class Tally:
    """Rows, their total weight, and their fingerprint.  Where rows come in runs, runs are rows."""

    rows: int = 0
    weight: float = 0.0
    print: int = 0  # modulo 2**64

    def __add__(self, other: Tally) -> Tally:
        both = (self.print + other.print) % 2**64
        return Tally(self.rows + other.rows, self.weight + other.weight, both)

    def is_of(self, other: Tally) -> bool:
        """Whether both are of the same rows; the weight is only for people, and has rounding."""
        return (self.rows, self.print) == (other.rows, other.print)

    def __str__(self) -> str:
        return f"{self.rows} rows of total weight {self.weight:.12g}"


def tally(block: Any) -> Tally:
    """The tally of a block: rows x (b, d), or runs of them, and their weights (b,).

    Raises TypeError for what is no such block.
    """
    try:
        x, weights = block
        runs = getattr(x, "lengths", None)
        table = _bits(x if runs is None else x.x)
        each, weights = _bits(weights), np.asarray(weights, dtype=np.float64)
        numbers = _numbers(table.reshape(len(table), -1))
        if runs is not None:
            numbers = _of_runs(numbers, np.asarray(runs))
        if numbers.shape != each.shape:
            raise ValueError(f"{len(numbers)} rows with weights of shape {each.shape}")
    except (TypeError, ValueError, AttributeError) as error:
        raise TypeError(
            f"`of_block` was given what is no block: {error}; pass the blocks as they come from "
            "`blocks`, each a pair of rows and their weights."
        ) from error
    whole = int(np.add.reduce(_mixed(numbers + _mixed(each)), dtype=np.uint64))
    return Tally(len(each), float(weights.sum()), whole)


def _bits(values: Any) -> Words:
    return np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)


def _mixed(words: Words) -> Words:
    """Each word stirred, so that sums of them are as good as random (the end of splitmix64)."""
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return np.asarray(words ^ (words >> np.uint64(31)))


def _numbers(table: Words) -> Words:
    """One number for each row (n, d) -> (n,), in which columns have places."""
    found = np.zeros(len(table), dtype=np.uint64)
    for column in table.T:
        found = _mixed(found * _STEP + column + _STEP)
    return found


def _of_runs(numbers: Words, lengths: NDArray[np.intp]) -> Words:
    """One number for each run, in which rows have places."""
    firsts = np.cumsum(lengths) - lengths
    if lengths.sum() != len(numbers) or (lengths < 1).any():
        raise ValueError(f"{len(numbers)} rows in runs of {int(lengths.sum())}")
    place = np.arange(len(numbers)) - np.repeat(firsts, lengths)
    placed = _mixed(numbers + _mixed(place.astype(np.uint64)))
    return np.asarray(np.add.reduceat(placed, firsts))
