"""The maximum of a function over a box, between two bounds: branch and bound.

A box is bounded by what its corners say (see `emframe.families.axes`), or where that is lower by
what its centre says (see `emframe.fitting.expansion`).  Boxes whose bound is no
higher than the best corner found so far, or higher by no more than asked, are done with; the
others are halved along the axis that the bound owes most to, the highest first.

One known case: a function that is convex along each axis needs one box, and no halving.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emframe.families import Axes
from emframe.spaces import Array

CORNERS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Peak:
    """Where the best point lies, and what no point surpasses."""

    at: Array  # (p,)
    lower: float  # the value there
    upper: float  # of the whole box
    n_points: int  # corners that were looked at
    points: Array  # (m, p) corners that were looked at, of a value above what was known
    values: Array  # (m,)


def highest(
    value: Callable[[Array], Array],
    around: Callable[[Array, Array, Array], Array] | None,
    axes: Axes,
    tol: float,
    share: float,
    max_points: int,
    known: float,
) -> Peak:
    """The maximum of `value`, a logarithm, over the box of `axes`.

    Parameters
    ----------
    value : points (m, p) -> log F, (m,).
    around : centres, low and high ends of boxes (m, p) -> an upper bound of each, (m,), that is
        near where boxes are small; None where there is none.
    tol, share : how far apart the bounds may stay, outright or as a share of the maximum.
    max_points : how many corners are looked at, at most, beside those of the whole box.
    known : a value that is attained, maybe elsewhere; below it nothing is of interest.
    """
    low, high = axes.low[None].astype(float), axes.high[None].astype(float)
    at, best = low[0], -np.inf
    done = -np.inf  # the highest bound among boxes that are done with
    bound, n_points = np.zeros(0), 0
    open_low = open_high = np.zeros((0, low.shape[1]))
    seen: list[tuple[Array, Array]] = []
    while True:
        for part in _chunks(*low.shape):
            found, points, values = _bounded(value, axes, low[part], high[part])
            if around is not None:
                found = np.minimum(
                    found, around(_middles(low[part], high[part]), low[part], high[part])
                )
            top = int(values.argmax())
            if values[top] > best:
                at, best = points[top], float(values[top])
            seen.append((points[values > known], values[values > known]))
            bound, n_points = np.append(bound, found), n_points + len(points)
        open_low, open_high = np.concatenate([open_low, low]), np.concatenate([open_high, high])
        bar = max(best, known)
        enough = bound <= bar + max(tol, share * bar)
        done = max(done, float(bound[enough].max(initial=-np.inf)))
        open_low, open_high, bound = open_low[~enough], open_high[~enough], bound[~enough]
        room = (max_points - n_points) >> (1 + low.shape[1])  # boxes to halve
        if not len(bound) or room < 1:
            break
        order = np.argsort(-bound, kind="stable")
        chosen, rest = order[:room], order[room:]
        low, high = _halves(axes, open_low[chosen], open_high[chosen])
        open_low, open_high, bound = open_low[rest], open_high[rest], bound[rest]
    upper = max(done, float(bound.max(initial=-np.inf)), best)
    points, values = (np.concatenate(each) for each in zip(*seen, strict=True))
    return Peak(at, best, upper, n_points, points, values)


def _chunks(n: int, p: int) -> list[slice]:
    """Boxes whose corners are looked at together."""
    step = max(1, CORNERS_AT_ONCE >> p)
    return [slice(first, first + step) for first in range(0, n, step)]


def _bounded(
    value: Callable[[Array], Array], axes: Axes, low: Array, high: Array
) -> tuple[Array, Array, Array]:
    """An upper bound of each box (b,), and the corners of all with their values."""
    p = low.shape[1]
    upper = (np.arange(1 << p)[:, None] >> np.arange(p)) & 1 == 1  # (c, p) which end, by corner
    corners = np.where(upper, high[:, None], low[:, None]).reshape(-1, p)
    points, which = np.unique(corners, axis=0, return_inverse=True)
    values = value(points)
    centre = np.repeat(_centres(axes, low, high), 1 << p, axis=0)
    with np.errstate(invalid="ignore"):
        # A value of -inf with a slack of inf may be anything in between, so nothing is known.
        over = values[which.ravel()] + axes.slack(centre, corners)
    bound = np.where(np.isnan(over), np.inf, over).reshape(len(low), -1).max(axis=1)
    return bound, points, values


def _centres(axes: Axes, low: Array, high: Array) -> Array:
    """The middle of each box, but along an axis that ends on a boundary the end that is there.

    From the middle a boundary is infinitely far; from the boundary nothing is.
    """
    middle = _middles(low, high)
    centres = middle.copy()
    for j in range(low.shape[1]):
        for end in (low, high):
            far = np.isinf(_along(axes, middle, end, j))
            centres[far, j] = end[far, j]
    return centres


def _middles(low: Array, high: Array) -> Array:
    return 0.5 * low + 0.5 * high


def _along(axes: Axes, centre: Array, end: Array, j: int) -> Array:
    """The slack between the centre of each box and the middle of its face `end` on axis j."""
    face = centre.copy()
    face[:, j] = end[:, j]
    return axes.slack(centre, face)


def _halves(axes: Axes, low: Array, high: Array) -> tuple[Array, Array]:
    """Both halves of each box, (2 b, p) low and high ends."""
    centre = _centres(axes, low, high)
    p = low.shape[1]
    extent = [np.maximum(*(_along(axes, centre, end, j) for end in (low, high))) for j in range(p)]
    rows, axis = np.arange(len(low)), np.argmax(extent, axis=0)
    cut = 0.5 * low[rows, axis] + 0.5 * high[rows, axis]
    below, above = high.copy(), low.copy()
    below[rows, axis] = above[rows, axis] = cut
    return np.concatenate([low, above]), np.concatenate([below, high])
