"""What other libraries have for values of which bounds are known, as pairs (lower, upper).

    scipy.stats.CensoredData          uncensored, left, right and interval, in that order
    intervals of pandas               an index, an array, or a series of them
    (time, event), (lower, upper)     a tuple of two columns

One known case: an array of two columns is what it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def as_pairs(X: Any) -> Any:
    """Rows of two columns, (n, 2), where X is any of these; else X as it is."""
    if type(X).__name__ == "CensoredData":  # scipy.stats takes long to import, and need not be
        return _of_scipy(X)
    intervals = getattr(X, "array", X)  # of a series, what it holds
    if all(hasattr(intervals, name) for name in ("left", "right", "closed", "mid")):
        return np.column_stack(
            [np.asarray(intervals.left, float), np.asarray(intervals.right, float)]
        )
    if isinstance(X, tuple) and len(X) == 2 and all(np.ndim(one) == 1 for one in X):
        first, second = (np.asarray(one, dtype=float) for one in X)
        if len(first) != len(second):
            raise ValueError(
                f"`X` is a pair of columns of {len(first)} and {len(second)} rows; pass as many "
                "in each."
            )
        return np.column_stack([first, second])
    return X


def _of_scipy(X: Any) -> Any:
    """Scipy keeps the kinds apart, and tells them by these names alone."""
    exact, left, right, between = (
        np.asarray(getattr(X, name), dtype=float)
        for name in ("_uncensored", "_left", "_right", "_interval")
    )
    pairs = [
        np.column_stack([exact, exact]),
        np.column_stack([np.full(len(left), np.nan), left]),
        np.column_stack([right, np.full(len(right), np.nan)]),
        between.reshape(-1, 2),
    ]
    return np.concatenate(pairs)
