"""Draws from a density of one column that is known by its values alone.

A discrete column is listed, a continuous one mapped from the real line (see
`emframe.numeric.quadrature`);
the masses on that grid are added up and the sums inverted at uniform deviates.

One known case: of the density rate * exp(-rate * x) the draws are -log(u) / rate.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from emframe.families.kernel import NoSampler
from emframe.numeric.quadrature import Grid, grid, line
from emframe.parameters import Leaf, leaves, rebuild
from emframe.spaces import Array, Real, Space

NORMAL = 1e-2  # how far from 1 the mass of what is drawn from may lie
SETTLED = 1e-4  # relative error of a total; the distribution of the draws is good to about this


class Density(Protocol):
    """What is asked of a family here."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def support(self) -> Space:
        """Where the rows live."""

    @property
    def width(self) -> int | None:
        """Columns of a row, where that is settled."""

    def log_density(self, params: Any, x: Array) -> Array:
        """(n, K)."""


def inverted(family: Density, params: Any, labels: Any, rng: np.random.Generator) -> Array:
    """One row for each label, (n, 1).

    Raises NoSampler for a family of several columns and TypeError for a density that no grid holds:
    it has to bring a sampler of its own.
    """
    uniform = rng.random(len(labels))
    rows = np.zeros(len(labels))
    for k in np.unique(labels):
        mine = labels == k
        rows[mine] = _draw(family, component(params, int(k)), uniform[mine], int(k))
    return rows[:, None]


def component(params: Any, k: int) -> Any:
    """The parameters of one component, K = 1."""

    def take(leaf: Leaf) -> Array:
        return leaf.value[k : k + 1] if leaf.declared.per_component else leaf.value

    return rebuild(params, take)


def _draw(family: Density, params: Any, uniform: Array, k: int) -> Array:
    space: Space = family.support
    wide = (family.width or 1) > 1 or any(np.ndim(leaf.value) > 1 for leaf in leaves(params))
    if space.n_event_axes or wide:
        raise NoSampler(
            f"the family {family.name!r} has several columns and no sampler; pass sample=."
        )
    # On the real line the grid is laid about the density, wherever and however narrow it is.
    centre, unit = _middle(family, params) if type(space) is Real else (0.0, 1.0)

    def log_density(x: Array) -> Array:
        with np.errstate(all="ignore"):
            found = np.asarray(family.log_density(params, centre + unit * x))
        return np.where(np.isnan(found), -np.inf, found) + np.log(unit)

    table = grid(space, log_density, SETTLED)
    if table is None:
        raise TypeError(
            f"component {k} of {family.name} is too narrow or too heavy in its tails to be drawn "
            "from by its density alone; pass sample="
        )
    total = float(table.mass.sum())
    if abs(total - 1.0) > NORMAL:
        raise TypeError(
            f"component {k} of {family.name} has a total mass of {total:.6g} where it was looked "
            "for: its density lacks a constant, or lies too far out; pass sample="
        )
    return centre + unit * _inverse(space, table, uniform)


def _inverse(space: Space, table: Grid, uniform: Array) -> Array:
    mass = table.mass[:, 0]
    total = np.cumsum(mass)
    if space.discrete:
        place = np.searchsorted(total, uniform * total[-1], side="right")
        return table.x[np.minimum(place, len(mass) - 1)]
    below = total - 0.5 * mass
    held = np.concatenate([[True], np.diff(below) > 0])
    return line(space).point(np.interp(uniform * total[-1], below[held], table.t[held]))


def _middle(family: Density, params: Any) -> tuple[float, float]:
    """Where on the real line the density is, and how wide: about its highest point seen."""
    steps = np.concatenate([[0.0], np.geomspace(1e-8, 1e8, 200)])
    seeds = [0.0, *(float(np.ravel(leaf.value)[0]) for leaf in leaves(params))]
    tried = np.unique([seed + sign * steps for seed in seeds for sign in (-1.0, 1.0)])
    with np.errstate(all="ignore"):
        height = np.asarray(family.log_density(params, tried[:, None]))[:, 0]
    height = np.where(np.isfinite(height), height, -np.inf)
    centre, near = float(tried[height.argmax()]), tried[height > height.max() - 3.0]
    return centre, float(np.ptp(near)) / 6.0 or 1.0
