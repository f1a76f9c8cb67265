"""Pairs and directions of many quasi-Newton ascents at once: the formulas of
`emframe.core.acceleration.Memory` with one axis more.

Each start has m pairs, oldest first; one that has fewer has rows of zeros in the place of the
others, and these take no part.

One known case: without a pair the direction is the EM step.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from emframe.models.stack import Mask
from emframe.spaces import Array

Pairs = tuple[Array, Array, Array]
"""s, y, h, each (S, m, p): the moves, the falls of the gradient along them, and of the EM step."""


def dots(one: Array, other: Array) -> Array:
    """The inner product of each row, (S,)."""
    return np.einsum("sp,sp->s", one, other)


def with_pair(old: Pairs, keeps: Mask, pair: Mask, new: Pairs, most: int) -> Pairs:
    """The pairs of all starts: those of `keeps` keep theirs, those of `pair` get a new one."""
    found = []
    some = bool(pair.any())
    first = 1 if some and old[0].shape[1] == most else 0
    all_keep, all_pair = bool(keeps.all()), bool(pair.all())
    for before, now in zip(old, new, strict=True):
        held = before if all_keep else np.where(keeps[:, None, None], before, 0.0)
        if some:
            last = now if all_pair else np.where(pair[:, None], now, 0.0)
            held = np.concatenate([held[:, first:], last[:, None]], axis=1)
        found.append(held)
    s, y, h = found
    return s, y, h


def directions(g: Array, f: Array, s: Array, y: Array, h: Array) -> tuple[Array, Mask]:
    """H g for each start, and which have pairs; see `emframe.core.acceleration`.

    A row of zeros stands for no pair: with 1 on the diagonal of R it takes no part.
    """
    m = s.shape[1]
    if m == 0:
        return f, np.zeros(len(g), dtype=bool)
    r = s @ y.swapaxes(1, 2)
    r *= _upper(m)
    on = r.reshape(len(r), -1)[:, :: m + 1]
    some = on > 0.0
    model = np.logical_or.reduce(some, axis=1)
    diagonal = np.where(some, on, 1.0)
    on[...] = diagonal
    inverse = np.linalg.inv(r)
    a = inverse @ (s @ g[:, :, None])
    rest = f[:, :, None] - h.swapaxes(1, 2) @ a
    back = diagonal[:, :, None] * a - y @ rest
    return (rest + s.swapaxes(1, 2) @ (inverse.swapaxes(1, 2) @ back))[:, :, 0], model


@cache
def _upper(m: int) -> Array:
    return np.triu(np.ones((m, m)))


def shorter(slope: Array, rise: Array) -> Array:
    """Where the parabola with this slope at 0 and this rise at 1 peaks, within [0.1, 0.5]."""
    finite = np.isfinite(rise)
    fall = slope - np.where(finite, rise, 0.0)
    peak = np.where(fall > 0.0, 0.5 * slope / np.where(fall > 0.0, fall, 1.0), 0.5)
    return np.where(finite, np.clip(peak, 0.1, 0.5), 0.25)
