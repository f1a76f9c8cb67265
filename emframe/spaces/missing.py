"""Values, or whole rows, that may be missing: nan for what was not observed.

One known case: ``OrMissing(Binary())`` holds 0, 1 and nan.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from emframe.spaces.base import Array, Shape, Space

EMPTY = 1.0  # a coordinate above which a value is missing


GONE = -1.0  # what stands for a missing code, as pandas has it


class OrMissing(Space):
    """A space of single numbers, of which any may be missing (nan).

    The coordinates are the space's own, followed by one for each value: above 1 it is missing.

    Examples
    --------
    >>> emframe.OrMissing(emframe.Binary()).contains(np.array([0.0, np.nan, 2.0]))
    array([ True,  True, False])
    """

    missing = True

    def __init__(self, space: Space) -> None:
        if space.n_event_axes:
            raise ValueError(
                f"{space!r} has values of several numbers; pass a space of single ones."
            )
        self.space = space

    @property
    def present(self) -> Space:
        return self.space

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"{self.space.words}, or nan where a value is missing"

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        return self.space.discrete

    @property
    def nominal(self) -> bool:  # type: ignore[override]
        return self.space.nominal

    @property
    def n_codes(self) -> float:  # type: ignore[override]
        return self.space.n_codes

    @property
    def ranked(self) -> bool:  # type: ignore[override]
        return self.space.ranked

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        return self.space.bounded

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.isnan(values) | self.space.contains(values)

    def coordinates(self, values: Array) -> Array:
        gaps = np.isnan(values)
        anything = self.space.point(np.zeros(self.space.n_coordinates(values.shape)), values.shape)
        own = self.space.coordinates(np.where(gaps, anything, values))
        return np.concatenate([own, 2.0 * gaps.ravel()])

    def point(self, vector: Array, shape: Shape) -> Array:
        own, gaps = np.split(vector, [self.space.n_coordinates(shape)])
        return np.where(gaps.reshape(shape) > EMPTY, np.nan, self.space.point(own, shape))

    def n_coordinates(self, shape: Shape) -> int:
        return self.space.n_coordinates(shape) + prod(shape)

    def __repr__(self) -> str:
        return f"OrMissing({self.space!r})"


def _is_empty(values: Array) -> NDArray[np.bool_]:
    return np.asarray(np.isnan(values).all(axis=-1))


class OrNothing(Space):
    """Rows of a space, or rows of nan alone, of which nothing was observed.

    The coordinates are the space's own, followed by one for each row: above 1 it is missing.
    """

    missing = True
    n_event_axes = 1

    def __init__(self, space: Space) -> None:
        self.space = space

    @property
    def present(self) -> Space:
        return self.space

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"{self.space.words}, or nan in all columns where a row is missing"

    @property
    def discrete(self) -> bool:  # type: ignore[override]
        return self.space.discrete

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        return self.space.bounded

    @property
    def largest(self) -> float:  # type: ignore[override]
        return self.space.largest

    def least_ranges(self, d: int) -> Array:
        return self.space.least_ranges(d)

    def columns_that_are(self, trait: str, d: int) -> NDArray[np.bool_]:
        return self.space.columns_that_are(trait, d)

    def column(self, j: int) -> Space:
        return OrMissing(self.space.column(j))

    def contains(self, values: Array) -> NDArray[np.bool_]:
        inside = np.asarray(self.space.contains(values))
        whole = inside if inside.ndim < values.ndim else inside.all(axis=-1)
        return whole | _is_empty(values)

    def coordinates(self, values: Array) -> Array:
        gaps = _is_empty(values)
        anything = self.space.point(np.zeros(self.space.n_coordinates(values.shape)), values.shape)
        own = self.space.coordinates(np.where(gaps[..., None], anything, values))
        return np.concatenate([own, 2.0 * gaps.ravel()])

    def point(self, vector: Array, shape: Shape) -> Array:
        own, gaps = np.split(vector, [self.space.n_coordinates(shape)])
        empty = gaps.reshape(shape[:-1])[..., None] > EMPTY
        return np.where(empty, np.nan, self.space.point(own, shape))

    def n_coordinates(self, shape: Shape) -> int:
        return self.space.n_coordinates(shape) + prod(shape[:-1])

    def __repr__(self) -> str:
        return f"OrNothing({self.space!r})"


class OrGone(OrMissing):
    """Codes as they are handed over, of which -1 stands for one that is missing as well."""

    @property
    def words(self) -> str:  # type: ignore[override]
        return f"{self.space.words}, or nan or {GONE:g} where a value is missing"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return super().contains(values) | (values == GONE)
