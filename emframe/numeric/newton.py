"""The numeric M-step: Newton's method on Q, from values of the density alone.

Components do not meet in Q, so each has a Newton step of its own, while a difference quotient for
all of them is one call of the density with more components.  A step is halved until that
component's part of Q rises and is not taken otherwise: generalised EM (Dempster, Laird and Rubin
1977, eq. 2.19).  Where Q has a kink or an edge, and so no Newton step, a simplex search goes on
(Nelder and Mead 1965, Computer Journal 7, 308).

Steps are measured by what they change in Q, never in the units of a coordinate.

One known case: for the mean of a normal density Q is a parabola, and one step is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from emframe.core import Degenerate
from emframe.spaces import Array

Value = Callable[[Array], Array]
"""Q of each component at its coordinates, nats: (m, K, p) -> (m, K), -inf where it has none."""

Slope = Callable[[Array], Array]
"""Its derivatives by the component's own coordinates, where they are known: -> (m, K, p)."""

# A difference quotient spans the change of coordinate that bends Q by this share of its weight:
# there truncation (h^4) and rounding (eps / h) both leave eight digits of the slope and more.
BEND = 1e-8
BEND_WITHIN = (1e-11, 1e-5)
# Where this share of its weight is gained on the way, a slope has its digits.
RISE = 1e-7
# A predicted gain below this, per row, is lost in the rounding of Q.
SETTLED = 1e-14
STEPS = 60
FARTHEST = 3.0  # natural units in one step; parabolas of a nearly flat Q promise tops beyond
KEPT = 0.1  # how near its promise a gain has to come to be called kept
SHORTER = 0.25 ** np.arange(1, 12)
ROUNDS = 6  # of simplex searches, each from the end of the one before and smaller
LATELY = 8  # steps over which a climb without an end is looked for
RUNAWAY = 10.0  # nats per row: what it gains over them, and a Newton climb near its end does not


class Beside(NamedTuple):
    """Q at a point, and a span to either side of it along each coordinate."""

    span: Array  # (K, p)
    here: Array  # (K,)
    up: Array  # (p, K)
    down: Array  # (p, K)

    def flat(self, weights: Array, unit: Array) -> NDArray[np.bool_]:
        """Coordinates along which Q changes in no digit that counts over a whole unit, (K, p)."""
        with np.errstate(invalid="ignore"):
            change = np.abs(self.up - self.here) + np.abs(self.down - self.here)
        return np.asarray((self.span >= unit) & (BEND_WITHIN[0] * weights[:, None] >= change.T))


class Shape(NamedTuple):
    """Q around a point, each component by itself."""

    value: Array  # (K,)
    slope: Array  # (K, p)
    bend: Array  # (K, p, p)


def ascend(
    value: Value,
    start: Array,
    weights: Array,
    unit: Array,
    slope: Slope | None = None,
    *,
    instead: Callable[[int], Array] | None = None,
    brief: bool = False,
) -> Array:
    """Coordinates (K, p) at which no component's part of Q is lower than at `start`.

    Parameters
    ----------
    value : Q by component.
    start : (K, p); a component for which Q is not finite there stays.
    weights : (K,) sums of responsibilities; a component of weight 0 stays where it is.
    unit : (p,) the natural scale of each coordinate, for a first guess.
    slope : derivatives of Q; by differences of its values where left out.
    instead : where to start with a component for which Q is not finite at `start`, (p,).
    brief : a component is done once a step brought what it promised: the parabola is that of Q
        then, and what a further step could add is of the second order.

    Raises `Degenerate` where Q goes on rising without an end.
    """
    at = start.copy()
    beside = settle(value, at, weights, unit)
    nowhere = np.flatnonzero((weights > 0) & ~np.isfinite(beside.here))
    if instead is not None and len(nowhere):
        at[nowhere] = [instead(int(k)) for k in nowhere]
        beside = settle(value, at, weights, unit)
    reached = beside.here
    trace = [reached]
    open_ = (weights > 0) & np.isfinite(reached)
    rough = np.zeros(len(at), dtype=bool)
    for _ in range(STEPS):
        shape = bent(value, at, beside) if slope is None else bent_along(slope, at, beside)
        direction, gain = newton(shape, beside.flat(weights, unit))
        with np.errstate(invalid="ignore"):
            far = (np.abs(direction) / unit).max(axis=1) / FARTHEST
            direction = direction / np.maximum(far, 1.0)[:, None]
        smooth = np.isfinite(gain) & np.isfinite(direction).all(axis=1)
        rough |= open_ & ~smooth
        open_ &= smooth & (gain > SETTLED * weights)
        if not open_.any():
            break
        moved, new = _best(value, at, reached, direction, open_)
        rough |= open_ & ~moved.any(axis=1) & (gain > 1e6 * SETTLED * weights)
        open_ &= moved.any(axis=1)
        if brief:
            open_ &= ~(np.abs(new - reached - gain) <= KEPT * gain)
        at, reached = at + moved, new
        trace.append(reached)
        runaway = open_ & (reached - trace[-LATELY:][0] > RUNAWAY * weights)
        if len(trace) > 2 * LATELY and runaway.any():
            k = int(runaway.argmax())
            raise Degenerate(f"the density of component {k} grows without bound on its rows", k)
        if not open_.any():
            break
        beside = look(value, at, _again(beside.span, shape, weights))
    for one in np.flatnonzero(rough | open_):
        unit = beside.span[one] / np.sqrt(BEND)
        for _ in range(ROUNDS):
            at[one], gained = _simplex(value, at, int(one), unit)
            if not gained > SETTLED * weights[one] or gained > RUNAWAY * weights[one]:
                break  # there, or on the way to a point, which is for others to judge
            unit = 0.1 * unit
    return at


def slopes(value: Value, at: Array, weights: Array, unit: Array) -> Array:
    """Gradient of each component's part of Q, (K, p); 0 along an edge where it has none."""
    span, _, up, down = settle(value, at, weights, unit, RISE)
    with np.errstate(invalid="ignore"):
        found = (up - down).T / (2.0 * span)
    return np.where(np.isfinite(found) & (weights > 0)[:, None], found, 0.0)


def spans(value: Value, at: Array, weights: Array, unit: Array) -> Array:
    """How far to step for a difference quotient, (K, p)."""
    return settle(value, at, weights, unit).span


def settle(value: Value, at: Array, weights: Array, unit: Array, rise: float = np.inf) -> Beside:
    """Q beside a point, in spans that bend it by about `BEND`.

    Or, where only slopes are wanted, raise it by `rise`: a straight piece never bends.
    """
    span = np.broadcast_to(np.sqrt(BEND) * unit, at.shape).copy()
    scale = np.where(weights > 0, weights, 1.0)[:, None]
    settled = np.broadcast_to((weights <= 0)[:, None], at.shape).copy()
    for _ in range(12):
        beside = look(value, at, span)
        with np.errstate(invalid="ignore"):
            bend = np.abs(beside.up - 2.0 * beside.here + beside.down).T / scale
            enough = (bend >= BEND_WITHIN[0]) | (np.abs(beside.up - beside.down).T / scale >= rise)
        settled |= (enough & (bend <= BEND_WITHIN[1])) | beside.flat(weights, unit)
        if settled.all():
            return beside
        with np.errstate(divide="ignore"):
            factor = np.where(np.isfinite(bend), np.sqrt(BEND / bend), 0.0)
        # Below 1e-13 what bends is rounding.
        factor = np.where(bend < 1e-13, 100.0, np.clip(factor, 1e-2, 1e3))
        span = np.where(settled, span, span * factor)
    return look(value, at, span)


def look(value: Value, at: Array, span: Array) -> Beside:
    """Q at a point and beside it, in one call."""
    p = at.shape[1]
    single = _along(span)
    f = value(at + np.concatenate([np.zeros((1, *at.shape)), single, -single]))
    return Beside(span, f[0], f[1 : 1 + p], f[1 + p :])


def bent(value: Value, at: Array, beside: Beside) -> Shape:
    """Value, slope and second derivatives by central differences."""
    k, p = at.shape
    h, here, up, down = beside
    first, second = np.triu_indices(p, 1)
    with np.errstate(invalid="ignore"):
        slope = (up - down).T / (2.0 * h)
        bend = np.zeros((k, p, p))
        bend[:, range(p), range(p)] = (up - 2.0 * here + down).T / h**2
        if p > 1:
            single = _along(h)
            double = single[first] + single[second]
            f = value(at + np.concatenate([double, -double]))
            both = f[: len(first)] + f[len(first) :]
            sides = (up + down)[first] + (up + down)[second]
            cross = (both - sides + 2.0 * here).T / (2.0 * h[:, first] * h[:, second])
            bend[:, first, second] = bend[:, second, first] = cross
    return Shape(here, slope, bend)


def bent_along(slope: Slope, at: Array, beside: Beside) -> Shape:
    """The same where slopes are known: second derivatives are differences of them."""
    h = beside.span
    found = slope(at + np.concatenate([np.zeros((1, *at.shape)), _along(h)]))
    with np.errstate(invalid="ignore"):
        bend = np.moveaxis((found[1:] - found[0]) / h.T[:, :, None], 0, 1)
        bend = 0.5 * (bend + np.swapaxes(bend, 1, 2))
    return Shape(beside.here, found[0], bend)


def newton(shape: Shape, flat: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Directions (K, p) and the gains (K,) that they promise; nan where there is no such step.

    Curvatures enter by their size, so that a saddle is left and not sought, in coordinates
    scaled to unit curvature.  A flat coordinate stays where it is.
    """
    k, p = shape.slope.shape
    direction, gain = np.full((k, p), np.nan), np.full(k, np.nan)
    curved = np.abs(np.diagonal(shape.bend, axis1=1, axis2=2))
    fine = np.isfinite(shape.bend).all(axis=(1, 2)) & np.isfinite(shape.slope).all(axis=1)
    fine &= ((curved > 0) | flat).all(axis=1)
    if fine.any():
        held = np.where(flat, np.inf, curved)[fine]
        unit = 1.0 / np.sqrt(held)
        values, vectors = np.linalg.eigh(shape.bend[fine] * unit[:, :, None] * unit[:, None, :])
        sizes = np.maximum(np.abs(values), 1e-6)
        slope = np.einsum("kji,kj->ki", vectors, shape.slope[fine] * unit)
        direction[fine] = np.einsum("kij,kj->ki", vectors, slope / sizes) * unit
        gain[fine] = 0.5 * (slope**2 / sizes).sum(axis=1)
    return direction, gain


def _best(
    value: Value, at: Array, reached: Array, direction: Array, which: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """The move of each component, whole or shortened, that raises its Q; 0 where none does."""
    moved, best = np.zeros_like(at), reached.copy()
    for lengths in (np.ones(1), SHORTER):
        left = which & ~moved.any(axis=1)
        if not left.any():
            break
        moves = lengths[:, None, None] * np.where(left[:, None], direction, 0.0)
        found = value(at + moves)
        chosen = found.argmax(axis=0)
        top = found[chosen, np.arange(len(at))]
        rise = left & (top > reached)
        moved[rise] = moves[chosen[rise], rise]
        best[rise] = top[rise]
    return moved, best


def _again(h: Array, shape: Shape, weights: Array) -> Array:
    """The spans for the next point, by the curvature at this one, within a factor of 30."""
    curved = np.abs(np.diagonal(shape.bend, axis1=1, axis2=2))
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.sqrt(BEND * weights[:, None] / curved)
    return np.where(np.isfinite(wanted), np.clip(wanted, h / 30.0, 30.0 * h), h)


def _simplex(value: Value, at: Array, k: int, unit: Array) -> tuple[Array, float]:
    """The end of a simplex search for one component, or where it was; and what was gained."""
    p = at.shape[1]

    def fall(step: Array) -> float:
        moved = at.copy()
        moved[k] = at[k] + unit * step
        found = float(value(moved[None])[0, k])
        return -found if np.isfinite(found) else np.inf

    corners = np.concatenate([np.zeros((1, p)), 0.1 * np.eye(p)])
    before = fall(corners[0])
    options = {"initial_simplex": corners, "xatol": 1e-9, "fatol": 1e-12 * (1.0 + abs(before))}
    end = scipy.optimize.minimize(
        fall, corners[0], method="Nelder-Mead", options={**options, "maxfev": 60 * p}
    )
    if not end.fun < before:
        return at[k], 0.0
    return at[k] + unit * end.x, before - float(end.fun)


def _along(h: Array) -> Array:
    """Steps along each coordinate in turn, (p, K, p)."""
    return np.asarray(np.eye(h.shape[1])[:, None, :] * h)
