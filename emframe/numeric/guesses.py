"""Where to begin with a density of which nothing is known but its values.

Weighted rows suggest values for each parameter: their mean, spread and quantiles, ratios of
these, and plain numbers for shapes.  Every combination is tried, on a few rows first, and the
best of them on more.

One known case: for a normal density the weighted mean and deviation are among them, and win.
"""

from __future__ import annotations

from itertools import product
from typing import Any, Protocol

import numpy as np

from emframe.core import Degenerate
from emframe.numeric.componentwise import at_coordinates
from emframe.parameters import declarations
from emframe.spaces import Array, PositiveDefinite, Simplex, Space

TRIED, AT_FIRST = 1000, 25  # about how many combinations of values, on so many rows
KEPT, LOOKED_AT = 100, 200  # how many of them, the best, are tried again, on more rows


class Guessed(Protocol):
    """What is asked of a family here."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def parameters(self) -> type:
        """The parameter dataclass."""

    def raw(self, params: Any, x: Array) -> Array:
        """Log densities (n, K), nan and inf among them."""


def guesses(family: Guessed, x: Array, weights: Array, k: int, known: Array | None = None) -> Array:
    """Coordinates that weighted rows suggest for one component, the best first, (m, p).

    With those that are `known` (p,), where they are not nan.
    """
    fields = declarations(family.parameters).items()
    each = round(TRIED ** (1.0 / len(fields)))
    lists = []
    stride = max(1, len(x) // LOOKED_AT)
    x, weights = x[::stride], weights[::stride]
    for _, declared in fields:
        lists.append(_suggestions(declared.space, declared.shape, x, weights)[: max(each, 3)])
    table = np.array([np.concatenate(row) for row in product(*lists)])
    if known is not None and not np.isnan(known).all():
        table = np.unique(np.where(np.isnan(known), table, known), axis=0)
    few = max(1, len(x) // AT_FIRST)
    best, _ = _ranked(family, table, x[::few], weights[::few])
    found, total = _ranked(family, best[:KEPT], x, weights)
    if not np.isfinite(total).any():  # a row that few values allow was not among the first
        found, total = _ranked(family, table, x, weights)
    if not np.isfinite(total).any():
        raise Degenerate(
            f"component {k} has rows that {family.name} gives no density under any parameters "
            "tried; pass start= to emframe.fit",
            k,
        )
    return np.asarray(found[np.isfinite(total)])


def _ranked(family: Guessed, table: Array, x: Array, weights: Array) -> tuple[Array, Array]:
    """Coordinates of one component, (m, p), by their Q on the rows, highest first; and that."""
    with np.errstate(all="ignore"):
        params = at_coordinates(family.parameters, table, x.shape[1])
        density = np.asarray(family.raw(params, x))
        total = weights @ np.where(np.isfinite(density), density, -np.inf)
    total = np.where(np.isnan(total), -np.inf, total)
    order = np.argsort(-total, kind="stable")
    return table[order], total[order]


def _suggestions(space: Space, shape: Any, x: Array, weights: Array) -> list[Array]:
    """Coordinates of values of one field that weighted rows suggest, the likeliest first."""
    d = x.shape[1]
    size = tuple(d if axis == "d" else axis for axis in shape)
    mean = np.average(x, axis=0, weights=weights)
    centred = x - mean
    variance = np.average(centred**2, axis=0, weights=weights)
    sd = np.sqrt(variance)
    low, middle, high = np.quantile(x, [0.1, 0.5, 0.9], axis=0)
    one = np.ones(d)
    if isinstance(space, PositiveDefinite):
        spread = np.diag(variance) if space.structure != "full" else (weights * centred.T) @ centred
        values = [spread / (weights.sum() if space.structure == "full" else 1.0), np.eye(d)]
    elif isinstance(space, Simplex):
        values = [np.full(size, 1.0 / size[-1])]
    else:
        with np.errstate(all="ignore"):
            ratio = mean / variance
            values = [mean, sd, one, middle, 1.0 / mean, 3.0 * one, 0.3 * one, variance]
            values += [mean * ratio, ratio, 0.0 * one, 0.1 * one, 10.0 * one, 1.0 / (1.0 + mean)]
            values += [low, high, -one, 0.5 * one, 0.9 * one, 1.0 / sd, np.log(np.abs(mean))]
            values += [-mean, 30.0 * one, 100.0 * one, -0.3 * one]
    shaped = []
    for value in values:
        full = value if np.shape(value) == size else np.broadcast_to(np.mean(value), size)
        with np.errstate(all="ignore"):
            inside = np.isfinite(full).all() and space.contains(np.asarray(full)[None]).all()
            at = space.coordinates(np.asarray(full)[None]) if inside else None
        if at is not None and np.isfinite(at).all():
            shaped.append(at)
    n = space.n_coordinates(size)
    # Steps through the coordinates themselves, so that no space is left without a value.
    return shaped + [np.full(n, at) for at in (0.0, -1.0, 1.0, -2.5, 2.5)]
