"""Is a component an artefact of an unbounded likelihood?  On evidence only, in any units.

Where a component can shrink, the likelihood has no bound: on a handful of rows that happen to lie
close together it may be as narrow as it likes (Day 1969, Biometrika 56, 463; McLachlan and Peel
2000, section 3.10).  That a component is narrow says nothing by itself, for two tight clusters
far apart are the plainest mixture there is.  So it is asked in turn:

    narrow    is it, at its own rows, more than `NARROW` nats higher than another, wider component
              that would have these rows otherwise?
    ties      is it a point, or narrower than its values were recorded?
    chance    m of n rows lie where a density higher by a factor e^b says so; by chance, the wider
              components put about n e^-b of them there.  The q rows that fix where a component is
              and how wide could be any q of n; that the other m - q came as well is the tail of a
              Poisson law.  The evidence is what is left of it in nats:

        (m - q) log((m - q) / B) - (m - q) + B - log C(n, q),      B = n e^-b

The density is that of the component's own fit, higher than of fresh rows by p / (m - q - 1) nats
a row, for p free parameters (Hurvich and Tsai 1989, Biometrika 76, 297).

One known case: two clusters of one scale are never suspect, however tight and however far apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil, inf, lgamma, log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from emframe.families import Pieces
from emframe.models import Model
from emframe.spaces import Array

NARROW = 3.0  # nats: under 1/20 of the volume of those that would have its rows otherwise
CHANCE = 3.0  # nats beyond the best place among n rows by chance: 1 in 20
SAME = 16 * np.finfo(float).eps  # values this near, relative to the column's largest, are equal
LEAST = 1e-9  # a smaller share of a row is none
FLOOR = -1e5  # nats: how improbable a row may be to the others and still be counted
BLOCK = 1 << 14  # rows looked at together
# Heights of many rows are read off a sample of so many first; a component with few of them, or
# within a nat of being narrow, is looked at on all.
ENOUGH, FEW = 20_000, 50.0


def artefacts(model: Model, params: Any, rows: Any) -> dict[int, str]:
    """Components of a fitted model that look like artefacts, and why.

    Not to be asked under a proper prior, which bounds the objective.

    Parameters
    ----------
    model : one that is made of components; others have none to judge.
    params : where a start ended.
    rows : the rows that it was fitted to.
    """
    stride = max(1, rows_in(rows) // ENOUGH)
    seen = _Heights.of(_blocks(model, params, rows, stride))
    if seen is None or not seen.suspects(margin=1.0 if stride > 1 else 0.0).any():
        return {}
    if stride > 1:
        seen = _Heights.of(_blocks(model, params, rows))
        assert seen is not None
    suspects = seen.suspects()
    if not suspects.any():
        return {}
    return _judged(model, params, rows, seen, np.flatnonzero(suspects))


def evidence(m: float, q: int, p: float, gain: float, n: float) -> float:
    """Nats by which m rows of a component beat the best place that n rows have by chance.

    Parameters
    ----------
    m, n : rows of the component, and of all.
    q : rows that fix where the component is, and how wide.
    p : its free parameters.
    gain : mean log density at its rows, less that of the wider ones, nats.
    """
    free = m - q
    if free <= 1.0:
        return -inf
    gain -= p / (free - 1.0)
    ways = lgamma(n + 1.0) - lgamma(q + 1.0) - lgamma(n - q + 1.0)
    expected = n * np.exp(min(-gain, 0.0))
    if free <= expected:
        return -ways
    return float(free * (log(free / n) + max(gain, 0.0) - 1.0) + expected - ways)


class _Heights:
    """How high each component stands at its own rows: minus its log volume, but for a constant."""

    def __init__(self, counts: Array, totals: Array, freedom: NDArray[np.intp]) -> None:
        self.counts = counts  # (J,)
        self.freedom = freedom  # (J,)
        self.heights = totals / np.maximum(counts, np.finfo(float).tiny)  # (J,)

    @classmethod
    def of(cls, blocks: Iterator[tuple[Pieces, Array, Any]]) -> _Heights | None:
        """From all blocks; None for a model without components, or of which none can shrink."""
        counts: Any = 0.0
        totals: Any = 0.0
        freedom = None
        for pieces, weights, _ in blocks:
            freedom = pieces.freedom
            if not freedom.any() or len(freedom) < 2:
                return None
            own = pieces.shares * weights[:, None]
            counts = counts + own.sum(axis=0)
            totals = totals + (own * np.where(own > 0, pieces.log_density, 0.0)).sum(axis=0)
        return None if freedom is None else cls(counts, totals, freedom)

    def wider(self, j: int, margin: float = 0.0) -> NDArray[np.bool_]:
        """Which components are wider than component j, (J,)."""
        return (self.heights < self.heights[j] - NARROW + margin) & (self.counts > 0)

    def suspects(self, margin: float = 0.0) -> NDArray[np.bool_]:
        """Which could be artefacts, (J,): narrow beside another; with a margin, those in doubt."""
        doubtful = (self.counts < FEW) if margin else np.zeros(len(self.counts), dtype=bool)
        narrow = np.array([self.wider(j, margin).any() for j in range(len(self.counts))])
        return (narrow & (self.counts > 0) | doubtful) & (self.freedom > 0)


def _judged(
    model: Model, params: Any, rows: Any, seen: _Heights, suspects: NDArray[np.intp]
) -> dict[int, str]:
    """The verdict on each suspect, by the component that it belongs to."""
    discrete, modelled = model.columns_modelled(len(rows.columns))
    steps = resolution(points(rows), discrete)[modelled]
    finest = -np.log(steps[np.isfinite(steps)]).sum()  # a probability is at most 1
    total = float(seen.counts.sum())
    gains = np.zeros(len(seen.counts))
    held: dict[int, list[tuple[Array, Array]]] = {int(j): [] for j in suspects}
    owners: NDArray[np.intp] | None = None
    for pieces, weights, x in _blocks(model, params, rows):
        owners, repeats = pieces.owners, len(x) / len(weights)
        most = finest * repeats if repeats > 1 else finest
        for j in map(int, suspects):
            own, wide = pieces.shares[:, j], seen.wider(j)
            mine = own > LEAST
            if not mine.any():
                continue
            log_shares = np.log(seen.counts[wide] / seen.counts[wide].sum())
            other = logsumexp(pieces.log_density[np.ix_(mine, wide)] + log_shares, axis=1)
            gain = np.minimum(pieces.log_density[mine, j], most) - np.maximum(other, FLOOR)
            gains[j] += (own[mine] * weights[mine]) @ gain
            if repeats <= 1:
                held[j].append((x[mine], own[mine]))
    assert owners is not None
    found: dict[int, str] = {}
    for j in map(int, suspects):
        m, p = float(seen.counts[j]), int(seen.freedom[j])
        q = ceil(p / max(int(modelled.sum()), 1))
        places = n_places(held[j]) if held[j] else m
        if places < 1.5 or (seen.heights[j] > finest and places < q + 0.5):
            why = "it is narrower than its values are recorded"
        elif evidence(m, q, p, gains[j] / m, total) < CHANCE:
            why = f"it is narrow, and chance puts {m:.3g} of {total:.6g} rows as near together"
        else:
            continue
        k = int(owners[j])
        inner = int((owners[:j] == k).sum()) if (owners == k).sum() > 1 else None
        found.setdefault(k, why if inner is None else f"inner component {inner}: {why}")
    return found


def resolution(x: Array, discrete: NDArray[np.bool_]) -> Array:
    """The recorded precision of each column, (d,): the least step between distinct values.

    1 for a discrete column, whose density is a probability; inf for a constant one.
    """
    steps = np.ones(x.shape[1])
    for c in np.flatnonzero(~discrete):
        values = np.unique(x[~np.isnan(x[:, c]), c])
        gaps = np.diff(values)
        gaps = gaps[gaps > SAME * np.abs(values[[0, -1]]).max()] if len(values) else gaps
        steps[c] = gaps.min() if len(gaps) else inf
    return steps


def n_places(parts: list[tuple[Array, Array]]) -> float:
    """How many distinct rows a component holds, from rows (m, d) and shares (m,) of each block.

    Equal rows count as one, with the largest of their shares.
    """
    x, share = (np.concatenate(each) for each in zip(*parts, strict=True))
    grid = np.maximum(SAME * np.nanmax(np.abs(x), axis=0, initial=0.0), np.finfo(float).tiny)
    with np.errstate(over="ignore"):
        steps = np.where(np.isnan(x), -np.inf, np.round(x / grid))
    _, of = np.unique(steps, axis=0, return_inverse=True)
    most = np.zeros(int(of.max()) + 1)
    np.maximum.at(most, of.ravel(), share)
    return float(most.sum())


def rows_in(rows: Any) -> int:
    """Number of rows, those of all runs together."""
    return len(getattr(rows.x, "x", rows.x)) if hasattr(rows, "means") else len(rows)


def points(rows: Any) -> Array:
    """All rows, one below the other, (n, d)."""
    return np.asarray(getattr(rows.x, "x", rows.x))


def _blocks(
    model: Model, params: Any, rows: Any, stride: int = 1
) -> Iterator[tuple[Pieces, Array, Any]]:
    """The pieces of each block, their rows' weights, and the rows; every so many-th row of it."""
    for block, each in rows.blocks(BLOCK):
        in_runs = hasattr(block, "lengths")
        step = 1 if in_runs else stride
        x, weights = (block, each) if step == 1 else (block[::step], each[::step])
        pieces = model.pieces(params, x)
        if pieces is None:
            return
        # What is found in the rows of a run has the weight of the run.
        within = in_runs and len(weights) < len(pieces.shares)
        yield pieces, np.repeat(weights, x.lengths) if within else weights, getattr(x, "x", x)


def told(found: Mapping[int, str]) -> str:
    """The verdict in words; empty where nothing was found."""
    return "; ".join(f"component {k}: {why}" for k, why in sorted(found.items()))
