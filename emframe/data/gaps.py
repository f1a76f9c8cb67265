"""Missing values, nan, in rows of a model whose spaces have them: which are let in, where they lie.

One known case: where no space has missing values, every value has to be finite.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emframe.spaces import Array, Space


def there(x: Array, supports: Sequence[Space]) -> NDArray[np.bool_]:
    """Whether each value is finite, or missing where every space has missing values; (n, d)."""
    found = np.isfinite(x)
    if found.all() or not any(space.missing for space in supports):
        return found
    allowed = np.isnan(x)
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
    gaps = np.isnan(x)
    if not gaps.any():
        return x
    seen = weights @ ~gaps
    means = weights @ np.where(gaps, 0.0, x) / np.where(seen > 0, seen, 1.0)
    return np.where(gaps, means, x)
