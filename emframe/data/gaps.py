"""Missing values, nan, in rows of a model whose spaces have them: which are let in, where they lie.

One known case: where no space has missing values, every value has to be finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.spaces import Array, Space


def there(x: Array, supports: Sequence[Space]) -> NDArray[np.bool_]:
    """Whether each value is finite, or every space has one that is missing or infinite; (n, d)."""
    found = np.isfinite(x)
    if found.all() or not any(space.missing for space in supports):
        return found
    allowed = ~found
    for space in supports:
        allowed &= per_value(space.contains(x), x)
    return found | allowed


def per_value(inside: NDArray[np.bool_], x: Array) -> NDArray[np.bool_]:
    """Where a whole row is one value, each of its entries shares its fate."""
    return inside if inside.ndim == x.ndim else np.broadcast_to(inside[:, None], x.shape)


def filled(x: Array, weights: Array) -> Array:
    """The rows as points in space: a missing value lies in the middle of its column.

    To measure distances by, where a start or a move wants some; no likelihood sees it.
    """
    gaps = ~np.isfinite(x)
    if not gaps.any():
        return x
    seen = weights @ ~gaps
    means = weights @ np.where(gaps, 0.0, x) / np.where(seen > 0, seen, 1.0)
    return np.where(gaps, means, x)


def opened(X: Any) -> Any:
    """Rows in which what stands for nothing, a mask or None, is nan; others as they are."""
    if isinstance(X, np.ma.MaskedArray):
        return np.ma.filled(X.astype(float), np.nan)
    is_plain = isinstance(X, (list, tuple)) or getattr(X, "dtype", None) == np.dtype(object)
    if is_plain and not hasattr(X, "columns"):
        values = np.array(X, dtype=object)
        nothing = np.array([one is None for one in values.ravel()]).reshape(values.shape)
        if nothing.any():
            return np.where(nothing, np.nan, values).astype(float)
    return X
