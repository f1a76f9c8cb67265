"""Answers to questions that have no scale: their shares, where some were not given.

A missing answer has no statistics, so its question does not count for its row: the density of a
row is that of the answers that were given.  This is the likelihood where answers are missing at
random (Rubin 1976, Biometrika 63, 581).

One known case: where every question was answered, the shares are those of all rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from emframe.spaces import Array


def checked(missing: Any) -> None:
    """Raise TypeError unless a setting `missing` is True or False."""
    if not isinstance(missing, bool):
        raise TypeError(f"`missing` is {missing!r}; pass True or False.")


def n_levels(codes: Array) -> int:
    """How many levels the codes of a response (n,) tell of.

    Raises ValueError where they are no codes 0, 1, ... without gaps, two at the least.
    """
    seen = np.unique(codes)
    if not np.array_equal(seen, np.arange(len(seen))) or len(seen) < 2:
        told = ", ".join(f"{one:g}" for one in seen[:6]) + ", ..." * (len(seen) > 6)
        raise ValueError(
            f"the codes of the response are {told}; pass levels=, or codes 0, 1, ... without gaps."
        )
    return len(seen)


def shares(totals: Array, otherwise: Array) -> Array:
    """Probabilities of the answers from their counts, (K, d, m) -> (K, d, m).

    A question that no row of a component answers has those of `otherwise`, (K, d, m) or (d, m):
    any would do.
    """
    given = totals.sum(axis=-1, keepdims=True)
    if given.min(initial=np.inf) > 0:
        return np.asarray(totals / given)
    return np.where(given > 0, totals / np.where(given > 0, given, 1.0), otherwise)


def slope(totals: Array, probs: Array) -> Array:
    """Gradient of sum N log p: counts over probabilities, where these are above 0."""
    if probs.min(initial=1.0) > 0:
        return np.asarray(totals / probs)
    return np.divide(totals, probs, out=np.zeros_like(totals), where=probs > 0)
