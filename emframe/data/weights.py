"""Frequency weights: how often each row counts, in a unit in which their sums can be told.

Weight 2 is the row twice, weight 0 the row removed.

One known case: weights of 1 are no weights, to the bits.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from emframe.data.arrays import as_floats, ones, read_only
from emframe.data.blocks import real_array
from emframe.spaces import Array


def as_weights(weights: Any, n: int) -> Array:
    """Validate frequency weights for n rows; ones where they are None."""
    if weights is None:
        return ones(n)
    if isinstance(weights, str):
        raise TypeError(
            f"`weights` is {weights!r}; pass one weight per row, such as the values of that column."
        )
    values = as_floats(real_array(weights, "weights"))
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


def warn_of_shares(rows: Any) -> None:
    """Say so where the weights of a fit look like shares of 1, and count as a single row."""
    n, total = len(rows), rows.weight if hasattr(rows, "weight") else float(rows.weights.sum())
    if n > 1 and abs(total - 1.0) <= 1e-6:
        warnings.warn(
            f"`weights` sum to 1 over {n} rows; they are frequencies, so that these count as one "
            f"row, and BIC and standard errors with them. Pass weights * {n} for shares of rows.",
            stacklevel=4,
        )


def in_range(rows: Any) -> Any:
    """The same rows, of weights whose sums are within the range of floating point."""
    return in_units(rows, _unit(rows.heaviest, 1e-100, 1e100))


def measured(rows: Any) -> Any:
    """The same rows, of which the heaviest has a weight near 1 where all had less, or far more.

    How near the maximum a fit comes is told in nats over all rows.  Of rows that stand for less
    than one each there would be too few, however the weights were meant; of those that stand for
    1e12 no nat is resolved, and sums of large numbers would leave the range of floating point.
    """
    return in_units(rows, _unit(rows.heaviest, 1.0, 1e12)) if hasattr(rows, "unit") else rows


def counted(rows: Any) -> Any:
    """The rows, whose weights are to count rows; ValueError where they are too far out for it."""
    unit = getattr(rows, "unit", 1.0)
    if unit != 1.0:
        raise ValueError(
            f"`weights` are near {unit:g}; here they count rows, so pass weights of an ordinary "
            "size."
        )
    return rows


def in_units(rows: Any, unit: float) -> Any:
    """The same rows, with weights that count units of `unit`, a power of two."""
    if unit == 1.0:
        return rows
    if not rows.in_memory and hasattr(rows, "in_units"):  # which lie in parts
        return rows.in_units(unit)
    return replace(rows, weights=plain(rows.weights / unit), unit=unit * rows.unit)


def plain(weights: Array) -> Array:
    """The weights, read-only, in the memory of one number where all are 1.

    Weights of 1 are no weights: to the bits, what follows is the same with and without them.
    """
    if weights.strides == (0,):
        return weights
    return ones(len(weights)) if (weights == 1.0).all() else read_only(weights)


def _unit(largest: float, least: float, most: float) -> float:
    """1 where the largest weight is from `least` to `most`, and else a power of two near it."""
    return 1.0 if least <= largest < most else 2.0 ** round(np.log2(largest))
