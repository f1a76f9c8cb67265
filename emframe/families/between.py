"""The probability between two ends, to all digits in both tails.

    log P(a < Y < b) = log [F(b) - F(a)]            where a lies below the median,
                     = log [S(a) - S(b)]            where it lies above

Either is the difference of two small numbers whose logarithms are known, and not of two near 1.

One known case: between the ends of the support it is log 1.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emframe.families.base import log1mexp
from emframe.spaces import Array

HALF = float(np.log(0.5))


class Distribution(Protocol):
    """What is asked of a family here."""

    def log_cdf(self, params: Any, x: Array) -> Array:
        """(n, K)."""

    def log_sf(self, params: Any, x: Array) -> Array:
        """(n, K)."""


def tails(
    family: Distribution, params: Any, x: Array, below: NDArray[np.bool_], above: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Log probability up to rows x (n, d), and beyond them, (n, K) both; (n, 1) where none counts.

    below, above : (n,) rows whose value lies before or beyond all that is possible; what stands
        in their places is not looked at.
    """
    if (below | above).all():
        return np.where(below, -np.inf, 0.0)[:, None], np.where(above, -np.inf, 0.0)[:, None]
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        cdf, sf = family.log_cdf(params, x), family.log_sf(params, x)
    cdf = np.where(below[:, None], -np.inf, np.where(above[:, None], 0.0, cdf))
    sf = np.where(below[:, None], 0.0, np.where(above[:, None], -np.inf, sf))
    return np.minimum(cdf, 0.0), np.minimum(sf, 0.0)


def log_between(low: tuple[Array, Array], high: tuple[Array, Array]) -> Array:
    """Log probability between two values, (n, K), from the `tails` at them."""
    from_below = low[0] < HALF
    larger = np.where(from_below, high[0], low[1])
    smaller = np.where(from_below, low[0], high[1])
    with np.errstate(invalid="ignore"):
        gap = np.where(np.isneginf(smaller), -np.inf, np.minimum(smaller - larger, 0.0))
    return np.asarray(np.where(np.isneginf(larger), -np.inf, larger + log1mexp(gap)))
