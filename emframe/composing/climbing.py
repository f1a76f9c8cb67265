"""Newton's method on Q along a constraint, for components that meet only in what they share.

Beside the shared coordinates the second derivatives of Q are blocks, one for each component.  So
the difference of two gradients, taken along one coordinate of every component at once, is a column
of each block: the whole matrix takes as many gradients as one component has coordinates, and one
more for each that is shared.

A step is shortened until Q rises, and not taken otherwise.

One known case: for the means of normal densities Q is a parabola, and one step is exact.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emframe.numeric.newton import BEND, BEND_WITHIN, KEPT, Shape, newton
from emframe.spaces import Array

CLOSE = 1e-14  # of Q; a climb ends where about this share could still be gained
STEPS = 30
NEAR = 1e-3  # of a coordinate: a Newton step from a maximum that a climb reached is far shorter
NOTHING = 1e-8  # of Q, along a coordinate that does not bend it
LENGTHS = 0.25 ** np.arange(12)


def climb(
    value: Callable[[Array], float],
    slope: Callable[[Array], Array],
    start: Array,
    owner: NDArray[np.intp],
) -> Array:
    """Coordinates (p,) at which Q is no lower than at `start`.

    Parameters
    ----------
    value, slope : Q at coordinates, -inf outside its domain, and its gradient (p,).
    owner : (p,) the component that each coordinate belongs to, -1 where all share it.
    """
    at, here = start, value(start)
    if not len(at) or not np.isfinite(here):
        return start
    weight = max(abs(here), 1.0)
    columns = _columns(owner)
    span = np.sqrt(BEND) * np.where(at != 0.0, np.abs(at), 1.0)
    bend = None
    for _ in range(STEPS):
        ahead = slope(at)
        if bend is None:
            span, bend = _bend(slope, at, ahead, columns, owner, span, weight)
        direction, gain = _step(here, ahead, bend)
        if not gain > CLOSE * weight:
            break
        tried = ((at + length * direction) for length in LENGTHS)
        found = next(((one, new) for one in tried if (new := value(one)) > here), None)
        if found is None:
            break
        if abs(found[1] - here - gain) > KEPT * gain:
            bend = None  # not the parabola that it was taken for
        at, here = found
    return at


def is_top(
    value: Callable[[Array], float],
    slope: Callable[[Array], Array],
    at: Array,
    owner: NDArray[np.intp],
) -> bool:
    """Whether Q has a maximum where a climb ended, and does not rise for ever along some way.

    Where it rises for ever Newton's step stays as long as it was, however little is gained by it,
    or there is a slope and no bend at all.
    """
    here = value(at)
    if not np.isfinite(here):
        return False
    weight, ahead = max(abs(here), 1.0), slope(at)
    size = np.where(at != 0.0, np.abs(at), 1.0)
    _, bend = _bend(slope, at, ahead, _columns(owner), owner, np.sqrt(BEND) * size, weight)
    direction, _ = _step(here, ahead, bend)
    straight = (np.diagonal(bend) == 0.0) & (np.abs(ahead) * size > NOTHING * weight)
    near = np.abs(direction) <= NEAR * np.maximum(np.abs(at), 1.0)
    return bool(np.isfinite(direction).all() and near.all() and not straight.any())


def _columns(owner: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Coordinates that may be moved together: one of each component, or a shared one."""
    shared = [np.array([one]) for one in np.flatnonzero(owner < 0)]
    if (owner < 0).all():
        return shared
    each = [np.flatnonzero(owner == k) for k in range(owner.max() + 1)]
    return [*np.stack(each, axis=1), *shared]


def _bend(
    slope: Callable[[Array], Array],
    at: Array,
    ahead: Array,
    columns: list[NDArray[np.intp]],
    owner: NDArray[np.intp],
    span: Array,
    weight: float,
) -> tuple[Array, Array]:
    """Second derivatives (p, p) by differences of gradients, and the spans they were taken over."""
    p = len(at)
    bend = np.zeros((p, p))
    for moved in columns:
        for _ in range(12):
            step = np.zeros(p)
            step[moved] = span[moved]
            change = slope(at + step) - ahead
            size = np.abs(change[moved]) * span[moved] / weight
            settled = (size >= BEND_WITHIN[0]) & (size <= BEND_WITHIN[1])
            if settled.all():
                break
            with np.errstate(divide="ignore"):
                factor = np.where(np.isfinite(size), np.sqrt(BEND / size), 0.0)
            span[moved] *= np.where(settled, 1.0, np.clip(factor, 1e-3, 1e3))
        for one in moved:
            mine = (owner == owner[one]) | (owner[one] < 0)
            bend[mine, one] = change[mine] / step[one]
    met = (owner[:, None] < 0) & (owner >= 0)  # a component's move says the sum over all of them
    bend[met] = bend.T[met]
    return span, 0.5 * (bend + bend.T)


def _step(here: float, ahead: Array, bend: Array) -> tuple[Array, float]:
    """Newton's direction (p,), and the gain that it promises; a coordinate without a bend stays."""
    shape = Shape(np.array([here]), ahead[None], bend[None])
    direction, gain = newton(shape, np.diagonal(bend)[None] == 0.0)
    return direction[0], float(gain[0])
