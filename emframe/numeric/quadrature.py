"""Sums and integrals over a support that is known only through its space.

A continuous column is the image of the real line under a map that stretches its ends (the
double-exponential idea of Takahasi and Mori 1974, Publ. RIMS 9, 721), where the trapezoidal rule
converges fast; its ends are found by asking the space what it contains.  A discrete column is
listed.

One known case: the integral of a normal density over `Real` is 1 to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

from emframe.spaces import Array, Space

NEGLIGIBLE = 1e-8  # mass beyond the ends of a grid
SETTLED = 1e-6  # change of the total from one grid to the next
AGREEING = 1e-5  # how far the totals of a table and of every second row of it may lie apart


@dataclass(frozen=True)
class Line:
    """A column between two ends as the image of the real line."""

    low: float
    high: float

    def point(self, t: Array) -> Array:
        """Values of the column at reals."""
        if np.isfinite(self.low) and np.isfinite(self.high):
            return self.low + (self.high - self.low) * expit(t)
        if np.isfinite(self.low):
            return self.low + np.exp(t)
        if np.isfinite(self.high):
            return self.high - np.exp(-t)
        return np.sinh(t)

    def slope(self, t: Array) -> Array:
        """Derivative of `point`."""
        if np.isfinite(self.low) and np.isfinite(self.high):
            return (self.high - self.low) * expit(t) * expit(-t)
        if np.isfinite(self.low):
            return np.exp(t)
        if np.isfinite(self.high):
            return np.exp(-t)
        return np.cosh(t)

    def real(self, values: Array) -> Array:
        """Inverse of `point`."""
        if np.isfinite(self.low) and np.isfinite(self.high):
            return np.asarray(logit((values - self.low) / (self.high - self.low)))
        if np.isfinite(self.low):
            return np.log(values - self.low)
        if np.isfinite(self.high):
            return -np.log(self.high - values)
        return np.arcsinh(values)


def line(space: Space) -> Line:
    """The ends of a column of a continuous space."""
    inner = np.sort(space.point(np.linspace(-1.0, 1.0, 5), (5, 1)).ravel())[2]
    return Line(_end(space, inner, -1.0), _end(space, inner, 1.0))


def holds(space: Space, values: Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which values of a column belong to the space."""
    return np.asarray(space.contains(values[:, None])).reshape(len(values))


def _end(space: Space, inner: float, direction: float) -> float:
    inner, step = float(inner), 1.0
    while holds(space, np.array([inner + direction * step]))[0]:
        step *= 2.0
        if step > 1e50:
            return direction * np.inf
    outer = inner + direction * step
    for _ in range(200):
        middle = 0.5 * (inner + outer)
        if middle in (inner, outer):
            break
        if holds(space, np.array([middle]))[0]:
            inner = middle
        else:
            outer = middle
    return 0.0 if abs(inner) < 1e-50 else inner


def listed(space: Space, reach: int) -> Array:
    """The values of a discrete column up to `reach` in size, in order."""
    whole = np.arange(-reach, reach + 1, dtype=float)
    values = np.union1d(
        whole[holds(space, whole)], space.point(np.linspace(-5, 5, 401), (401, 1)).ravel()
    )
    return values[np.abs(values) <= reach]


@dataclass(frozen=True)
class Grid:
    """Points of one column with the mass of each under each component."""

    t: Array  # (m,) reals; the index where the column is discrete
    x: Array  # (m,) values
    mass: Array  # (m, K); sums to 1 under a density


Density = Callable[[Array], Array]  # rows (m, d) -> log density (m, K)


def grid(space: Space, log_density: Density, settled: float = SETTLED) -> Grid | None:
    """A grid fine and wide enough for a density of one column; None where there is none.

    A density so narrow or so heavy in its tails that no grid holds it has no answer here.
    `settled` is how far the totals of a grid and a coarser one may lie apart.
    """
    if space.discrete:
        return _listed_grid(space, log_density)
    return _real_grid(space, log_density, settled)


def _listed_grid(space: Space, log_density: Density) -> Grid | None:
    settled = None
    for reach in (256, 2048, 16384, 131072):
        x = listed(space, reach)
        mass = np.exp(log_density(x[:, None]))
        far = np.abs(x) > reach / 2
        if space.bounded or bool((mass[far].sum(axis=0) < NEGLIGIBLE).all()):
            settled = Grid(np.arange(len(x), dtype=float), x, mass)
            # Nothing at the ends may also mean that the most of it lies beyond them.
            if space.bounded or bool((mass.sum(axis=0) > 1.0 - SETTLED).all()):
                break
    return settled


def _real_grid(space: Space, log_density: Density, settled: float) -> Grid | None:
    column = line(space)
    for width in (25.0, 80.0, 200.0):
        for size in (2**13, 2**15, 2**17):
            t = np.linspace(-width, width, size + 1)
            x = column.point(t)
            kept = (x > column.low) & (x < column.high) & holds(space, x)
            t, x = t[kept], x[kept]
            h = 2.0 * width / size
            mass = np.exp(log_density(x[:, None])) * column.slope(t)[:, None] * h
            if (np.maximum(mass[0], mass[-1]) > h * NEGLIGIBLE).any():
                break  # the ends still carry mass: go further out
            totals = np.stack([step * mass[::step].sum(axis=0) for step in (1, 2, 4)])
            narrow = mass.max(axis=0) > 0.1 * totals[0]
            # Two halvings have to agree: at a kink, one may do so by chance.
            if not narrow.any() and (np.ptp(totals, axis=0) <= settled * (1 + totals[0])).all():
                return Grid(t, x, mass)
    return None


def plane(space: Space, log_density: Density, size: int = 400) -> Array | None:
    """Total mass of a density of two columns under each component, (K,); None where not found."""
    columns = [_side(space.column(j), size) for j in range(2)]
    (first, own), (second, other) = columns
    rows = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2)
    mass = np.exp(log_density(rows)) * np.outer(own, other).reshape(-1, 1)
    square = mass.reshape(len(first), len(second), -1)
    fine = square.sum(axis=(0, 1))
    if not any(space.column(j).discrete for j in range(2)):
        # A kink along a slant shows where both columns are taken by halves.
        halves = [4.0 * square[::2, start::2].sum(axis=(0, 1)) for start in (0, 1)]
        if (np.abs(fine - halves) > AGREEING * (1 + fine)).any():
            return None
    each = (space.column(0), square), (space.column(1), square.swapaxes(0, 1))
    return fine if all(_is_resolved(*one, fine) for one in each) else None


def _side(space: Space, size: int) -> tuple[Array, Array]:
    """Values of a column and the width of each, (m,) both."""
    if space.discrete:
        values = listed(space, size)
        return values, np.ones(len(values))
    column = line(space)
    width = 12.0 if np.isinf([column.low, column.high]).all() else 30.0
    t = np.linspace(-width, width, size + 1)
    values = column.point(t)
    kept = (values > column.low) & (values < column.high) & holds(space, values)
    return values[kept], column.slope(t[kept]) * (t[1] - t[0])


def _is_resolved(space: Space, square: Array, fine: Array) -> bool:
    """Whether a column's values, the first axis of masses (m, m', K), hold all of the total."""
    m = len(square)
    if space.discrete:
        return space.bounded or bool((square[m // 2 :].sum(axis=(0, 1)) < 1e-6).all())
    coarse = 2.0 * square[::2].sum(axis=(0, 1))
    rim = square[0].sum(axis=0) + square[-1].sum(axis=0)
    return bool((rim < 1e-6).all() and (np.abs(fine - coarse) < AGREEING * (1 + fine)).all())
