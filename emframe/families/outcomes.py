"""What could have been seen in the place of a row: where a density has its mass.

Most rows are one value of each column, and a density has its mass on the support.  Where a row says
how much of a value was seen, it has some of it on lines and some on single rows: of a time until
death within c years, with a column for whether it was the end,

    (t, 1) for t from 0 to c, a line;     (c, 0), one row;     total   int_0^c f dt + S(c) = 1

What is given, here c, is what all of these rows have in common.

One known case: a density of one column has one line, its support.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emframe.spaces import Array, Space


@dataclass(frozen=True)
class Outcome:
    """A row that may be seen, or a line of rows.

    Parameters
    ----------
    row : (d,) the row.
    columns : those that take any value of `space` along a line, all of them the same; none for the
        row alone.
    space : where that value lives; None for the row alone.

    Raises
    ------
    ValueError : for a `row` of another shape, columns that it has not, or a line without either.
    TypeError : for what is no space.
    """

    row: Array = field(compare=False)
    columns: tuple[int, ...] = ()
    space: Space | None = None

    def __post_init__(self) -> None:
        row = np.asarray(self.row, dtype=float)
        if row.ndim != 1:
            raise ValueError(f"`row` has shape {row.shape}; pass one row, (d,).")
        if (self.space is None) != (not self.columns):
            raise ValueError(
                f"`columns` is {self.columns} and `space` {self.space}; a line has both, and a "
                "row alone neither."
            )
        if self.space is not None and not isinstance(self.space, Space):
            raise TypeError(f"`space` is {self.space!r}; pass a space, such as emframe.Positive().")
        if not all(0 <= column < len(row) for column in self.columns):
            raise ValueError(f"`columns` is {self.columns}; the row has {len(row)}.")
        object.__setattr__(self, "row", row)

    def rows(self, values: Array) -> Array:
        """The rows of a line at values (n,), (n, d)."""
        rows = np.tile(self.row, (len(values), 1))
        rows[:, list(self.columns)] = values[:, None]
        return rows
