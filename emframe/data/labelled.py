"""Rows of which it is known, for some or all, which component they come from, or may come from.

    emframe.fit(model, X, labels=z)        z: 0, 1, ..., and -1, None or nan where it is unknown

What is known of a row is a set of components, kept as one number with a bit for each, so that it
travels with the row wherever that goes.

One known case: where nothing is known of any row, every set is that of all components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data.blocks import Blocks
from emframe.data.frames import refuse_other_index, without
from emframe.messages.refusals import shown
from emframe.spaces import Array

MOST = 52  # components: bits that a float64 holds exactly


@dataclass(frozen=True)
class LaidOut:
    """Rows, or runs, with their columns as a model has them: its family's, then what is beside."""

    x: Any


@dataclass(frozen=True)
class Labelled:
    """Rows, and what is known of the component of each.

    Parameters
    ----------
    X : what `emframe.fit` takes for rows, or for runs of rows.
    labels : (n,) components from 0, with -1, None or nan where unknown; or (n, K) with True, or 1,
        for each component that a row may come from.  Where the rows of a run share one component,
        as the visits of a person do, also (S,) or (S, K): a label for each run, in their order.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> known = [0, 0, -1, -1, -1, 1, 1, -1, -1, -1]  # -1 where nothing is known
    >>> rows = emframe.Labelled(counts, known)
    >>> emframe.fit(emframe.Mixture("poisson", 2), rows, rng=0).predict(rows).tolist()
    [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    """

    X: Any
    labels: Any

    @classmethod
    def of(cls, X: Any, labels: Any) -> Labelled:
        """The same, where `labels` may be the name of a column of X, which is then none of rows."""
        if isinstance(X, Blocks):
            raise TypeError("`labels` belong to rows in memory, and `X` is read block by block.")
        if not isinstance(labels, str):
            return cls(X, labels)
        if hasattr(X, "lengths"):  # runs
            rest, own = without(X.x, labels)
            return cls(replace(X, x=rest), X.as_given(np.asarray(own)))
        rest, own = without(X, labels)
        return cls(rest, own)

    def of_rows(self, lengths: NDArray[np.intp]) -> Labelled:
        """The same with a label for each row, where there may be one for each run of such lengths.

        Raises ValueError for a series whose index is not that of the runs.
        """
        told = np.shape(self.labels)[:1]
        if told != np.shape(lengths) or told == (lengths.sum(),):
            return self
        refuse_other_index(self.labels, self.X, "labels")
        each = np.repeat(np.asarray(self.labels), lengths, axis=0)
        return replace(self, labels=self.X.as_given(each) if hasattr(self.X, "lengths") else each)

    def codes(self, k: int, n: int) -> Array:
        """The sets of components as numbers, (n,): of n rows in the order in which they stand.

        Raises ValueError for labels of another number of rows, or of no component.
        """
        if k > MOST:
            raise ValueError(f"`labels` go with at most {MOST} components; there are {k}.")
        given = self.labels
        refuse_other_index(given, self.X, "labels")
        values = np.asarray(given.to_numpy() if hasattr(given, "to_numpy") else given)
        if values.shape not in {(n,), (n, k)}:
            raise ValueError(
                f"`labels` has shape {values.shape}, the data have {n} rows; pass one label for "
                f"each, or what each may be, ({n}, {k})."
            )
        allowed = values if values.ndim == 2 else _one_hot(values, k)
        if values.ndim == 2 and not np.isin(values, (0, 1)).all():
            raise ValueError("`labels` of shape (n, K) are True or False, or 1 or 0.")
        found = allowed.astype(float) @ np.exp2(np.arange(k))
        if not found.all():
            row = int((found == 0).argmax())
            raise ValueError(f"`labels[{row}]` allows no component; allow one or more.")
        return self.X.regrouped(found) if hasattr(self.X, "lengths") else np.asarray(found)


def everything(k: int, n: int) -> Array:
    """The codes of n rows of which nothing is known, (n,)."""
    return np.full(n, float(2**k - 1))


def members(codes: Array, k: int) -> NDArray[np.bool_]:
    """Which components are in each set, (K, n)."""
    whole = codes.astype(np.int64)
    return np.asarray((whole >> np.arange(k)[:, None]) & 1 == 1)


def _one_hot(labels: NDArray[Any], k: int) -> NDArray[np.bool_]:
    """(n,) labels as what each row may be, (n, K); all where a label is missing."""
    allowed = np.zeros((len(labels), k), dtype=bool)
    each: Sequence[Any] = labels.tolist()
    for row, label in enumerate(each):
        if _is_missing(label):
            allowed[row] = True
        elif isinstance(label, (int, float)) and float(label).is_integer() and 0 <= label < k:
            allowed[row, int(label)] = True
        else:
            raise ValueError(
                f"`labels[{row}]` is {shown(label)}; expected 0 to {k - 1}, or -1, None or nan "
                "where it is unknown."
            )
    return allowed


def _is_missing(label: Any) -> bool:
    """Whether a label is -1, None, nan or pandas' NA."""
    try:
        return label is None or bool(label != label) or label == -1  # noqa: PLR0124
    except TypeError:  # NA is different from nothing, and does not say that it is
        return True
