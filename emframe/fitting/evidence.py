"""Is a component an artefact of an unbounded likelihood?  On evidence only, in any units.

Where a component can shrink, the likelihood has no bound: on a handful of rows that happen to lie
close together it may be as narrow as it likes (Day 1969, Biometrika 56, 463; McLachlan and Peel
2000, section 3.10).  That a component is narrow says nothing by itself, for two tight clusters
far apart are the plainest mixture there is.  So it is asked in turn:

    narrow    is it, at its own rows, more than `NARROW` nats higher than another, wider component
              that would have these rows otherwise?  `BARELY` is enough where it has hardly any,
              and chance alone puts as many there.
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

from collections.abc import Mapping, Sequence
from functools import partial, reduce
from math import ceil, inf, lgamma, log
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from emframe.data import PlacedRows, swept
from emframe.families import Pieces
from emframe.fitting.grain import Grain, distinct
from emframe.models import Model
from emframe.spaces import Array

NARROW = 3.0  # nats: under 1/20 of the volume of those that would have its rows otherwise
# The same for a component on hardly any rows, an overfit if it is less narrow: so many of all.
BARELY, LIGHT, LIGHT_IN_ONE = 1.5, 0.05, 0.03
CHANCE = 3.0  # nats beyond the best place among n rows by chance: 1 in 20
LEAST = 1e-9  # a smaller share of a row is none
SPARE = 4  # times as many rows as fix a component, in which these are looked for first
FLOOR = -1e5  # nats: how improbable a row may be to the others and still be counted
BLOCK = 1 << 14  # rows looked at together
# Heights of many rows are read off a sample of so many first; a component with few of them, or
# within a nat of being narrow, is looked at on all.
ENOUGH, FEW = 20_000, 50.0


def artefacts(model: Model, params: Any, rows: Any, grain: Grain | None = None) -> dict[int, str]:
    """Components of a fitted model that look like artefacts, and why.

    Not to be asked under a proper prior, which bounds the objective.

    Parameters
    ----------
    model : one that is made of components; others have none to judge.
    params : where a start ended.
    rows : the rows that it was fitted to.
    grain : of these rows, where there are more ends to judge.
    """
    grain = Grain(rows) if grain is None else grain
    stride = max(1, rows_in(rows) // ENOUGH)
    is_one = rows_in(rows) <= BLOCK and not isinstance(rows, PlacedRows)
    view = _View.of(model, params, rows, grain)._replace(keeps=is_one)
    first = swept(rows, BLOCK, partial(_heights, view._replace(stride=stride)))
    seen = _Heights.of(first)
    if seen is None or not seen.suspects(margin=1.0 if stride > 1 else 0.0).any():
        return {}
    if stride > 1:
        seen = _Heights.of(swept(rows, BLOCK, partial(_heights, view)))
        assert seen is not None
    suspects = np.flatnonzero(seen.suspects())
    if not len(suspects):
        return {}
    steps = np.where(np.isfinite(grain.steps), grain.steps, 1.0)
    if is_one and len(first) == 1:  # what a single block shows need not be asked for twice
        each = [_cases(first[0].look, seen, steps, suspects)]
    else:
        each = swept(rows, BLOCK, partial(_cases_of, view, seen, steps, suspects))
    cases = {int(j): reduce(_Case.joined, [found[int(j)] for found in each]) for j in suspects}
    found: dict[int, str] = {}
    for j, case in cases.items():
        why = case.verdict(float(seen.counts.sum()), seen.is_clear(j))
        if why:
            found.setdefault(int(seen.owners[j]), seen.inner(j) + why)
    return found


def evidence(m: float, q: float, p: float, gain: float, n: float, length: float = 1.0) -> float:
    """Nats by which m rows of a component beat the best place that n rows have by chance.

    Parameters
    ----------
    m, n : rows of the component, and of all; or runs of rows that belong together.
    q : so many of them fix where the component is, and how wide.
    p : its free parameters.
    gain : mean log density at its rows, or runs, less that of the wider ones, nats.
    length : rows of a run.
    """
    free = m - q
    if free <= 1.0 / length:
        return -inf
    gain -= p / (free - 1.0 / length)
    expected = n * np.exp(min(-gain, 0.0))
    if free <= expected:
        return -ways(n, q)
    return float(free * (log(free / n) + max(gain, 0.0) - 1.0) + expected - ways(n, q))


def ways(n: float, q: float) -> float:
    """Log of the number of ways to choose q of n rows: what chance has to choose from."""
    return lgamma(n + 1.0) - lgamma(q + 1.0) - lgamma(n - q + 1.0)


class _Look(NamedTuple):
    """What a block of rows shows; its units are rows, or runs of rows that share a component."""

    pieces: Pieces
    weights: Array  # (u,)
    x: Array  # (n, d)
    lengths: NDArray[np.intp] | None  # (u,) rows of each unit; None where each is a row
    cells: Array  # (u,)  values with a density of their own in each
    spread: Array  # (u,)  sum of the log standard deviations of their columns
    apart: NDArray[np.bool_]  # (d,)  columns by which rows differ: covariates, and with a density
    dense: NDArray[np.bool_]  # (d,)  columns with a density

    def by_unit(self, of_rows: Array) -> Array:
        """Sums over the rows of each unit, (u,)."""
        if self.lengths is None:
            return of_rows
        firsts = np.cumsum(self.lengths) - self.lengths
        return np.asarray(np.add.reduceat(of_rows, firsts))


class _Heights:
    """How high each component stands at its own rows: minus its log volume, but for a constant.

    The volume is that of a whole row in units of the columns' spread, whatever the row shows.
    """

    def __init__(self, pieces: Pieces, sums: Array, columns: int) -> None:
        self.freedom, self.others, self.owners = pieces.freedom, pieces.others, pieces.owners
        self.counts, self.shared, cells, totals = sums  # (J,) each
        self.heights = columns * totals / np.where(cells > 0, cells, 1.0)  # (J,)
        is_light = self.counts < (LIGHT_IN_ONE if columns == 1 else LIGHT) * self.counts.sum()
        self.narrow = np.where(is_light, BARELY, NARROW)  # (J,)

    @classmethod
    def of(cls, found: Sequence[_BlockHeights | None]) -> _Heights | None:
        """From all blocks; None for a model without components, or of which none can shrink."""
        each = [one for one in found if one is not None]
        if len(each) < len(found):
            return None
        return cls(each[-1].pieces, sum(one.sums for one in each), each[-1].columns)

    def wider(self, j: int, margin: float = 0.0) -> NDArray[np.bool_]:
        """Which components are wider than component j, (J,)."""
        return (self.heights < self.heights[j] - self.narrow[j] + margin) & (self.counts > 0)

    def is_clear(self, j: int) -> bool:
        """Whether component j is narrow by itself, and not only for one with hardly any rows."""
        return bool((self.heights[self.counts > 0] < self.heights[j] - NARROW).any())

    def suspects(self, margin: float = 0.0) -> NDArray[np.bool_]:
        """Which could be artefacts, (J,): narrow beside another; with a margin, those in doubt."""
        doubtful = (self.shared < FEW) if margin else np.zeros(len(self.counts), dtype=bool)
        narrow = np.array([self.wider(j, margin).any() for j in range(len(self.counts))])
        return (narrow & (self.counts > 0) | doubtful) & (self.freedom > 0)

    def inner(self, j: int) -> str:
        """Which of its owner's components it is, where there are several."""
        mates = np.flatnonzero(self.owners == self.owners[j])
        return f"inner component {int((mates < j).sum())}: " if len(mates) > 1 else ""


class _BlockHeights(NamedTuple):
    """What a block adds to the heights."""

    pieces: Pieces  # of no rows: which they are, and how free
    sums: Any  # (4, J)
    columns: int
    look: _Look | None  # where there is no other block


def _heights(view: _View, block: Any, each: Array) -> _BlockHeights | None:
    look = view.look(block, each)
    if look is None or not look.pieces.freedom.any() or len(look.pieces.freedom) < 2:
        return None
    shares = look.pieces.shares
    own = shares * look.weights[:, None]
    density = np.where(own > 0, look.pieces.log_density, 0.0) + look.spread[:, None]
    sums = own.sum(axis=0), shares.sum(axis=0), look.cells @ own, (own * density).sum(axis=0)
    pieces = look.pieces._replace(log_density=density[:0], shares=shares[:0])
    kept = look if view.keeps else None
    return _BlockHeights(pieces, np.stack(sums), int(look.dense.sum()), kept)


class _Case:
    """What speaks for a suspect and against it, added up over blocks."""

    def __init__(self, p: int, others: int) -> None:
        self.p, self.others = p, others
        self.sums: Any = np.zeros(6)
        self.held: tuple[Array, Array] | None = None  # distinct rows and their largest shares

    def add(
        self, look: _Look, j: int, wider: NDArray[np.bool_], seen: _Heights, most: Array
    ) -> None:
        """What a block shows of piece j; `most` is the highest log density that a unit can have."""
        mine = look.pieces.shares[:, j] > LEAST
        if not mine.any():
            return
        share = look.pieces.shares[mine, j]
        own = share * look.weights[mine]
        log_shares = np.log(seen.counts[wider] / seen.counts[wider].sum())
        other = logsumexp(look.pieces.log_density[np.ix_(mine, wider)] + log_shares, axis=1)
        height = look.pieces.log_density[mine, j]
        rows = np.ones(len(share)) if look.lengths is None else look.lengths[mine]
        gain = np.minimum(height, most[mine]) - np.maximum(other, FLOOR)
        each = np.ones(len(share)), rows, look.cells[mine], height, most[mine], gain
        self.sums = self.sums + np.stack(each) @ own
        if self.places <= self.p + 1:  # more than fix it need not be counted
            which = mine if look.lengths is None else np.repeat(mine, look.lengths)
            per_row = share if look.lengths is None else np.repeat(share, look.lengths[mine])
            x = look.x[np.ix_(which, look.apart)]
            most_of_it = SPARE * (self.p + 2)
            if len(x) > most_of_it:  # those with the largest shares as a rule are enough
                first = np.argpartition(-per_row, most_of_it)[:most_of_it]
                self._hold(x[first], per_row[first])
            if self.places <= self.p + 1:
                self._hold(x, per_row)

    def _hold(self, x: Array, share: Array) -> None:
        if self.held is not None:
            x, share = np.concatenate([self.held[0], x]), np.concatenate([self.held[1], share])
        self.held = distinct(x, share)

    def joined(self, other: _Case) -> _Case:
        """The same of the blocks of both."""
        found = _Case(self.p, self.others)
        found.sums, found.held = self.sums + other.sums, self.held
        if other.held is not None and found.places <= self.p + 1:
            found._hold(*other.held)
        return found

    @property
    def places(self) -> float:
        """How many distinct rows it holds."""
        return 0.0 if self.held is None else float(self.held[1].sum())

    def verdict(self, total: float, is_clear: bool = True) -> str:
        """Why it is an artefact, of units of this total weight; empty where it is none.

        Where it is not clearly narrow, it is one only if chance puts no fewer rows there.
        """
        m = float(self.sums[0])
        if not m > 0:
            return ""
        length, cells, height, most, gain = self.sums[1:] / m
        # Rows that fix it; of equal rows their number of values is a mean, and so off by rounding.
        q = ceil(round(self.p * length / cells, 6)) if cells > 0 else self.p
        if self.places < 1.5 or (height > most and self.places < q + 0.5):
            return "it is narrower than its values are recorded"
        gain -= self.others / m  # what these gain by their own fit is bounded
        found = evidence(m, q / length, self.p, gain, total, length)
        if found < CHANCE and (is_clear or found <= -ways(total, q / length)):
            what = "rows" if length == 1.0 else "runs"
            return f"it is narrow, and chance puts {m:.3g} of {total:.6g} {what} as near together"
        return ""


def _cases_of(
    view: _View, seen: _Heights, steps: Array, suspects: NDArray[np.intp], block: Any, each: Array
) -> dict[int, _Case]:
    return _cases(view.look(block, each), seen, steps, suspects)


def _cases(
    look: _Look | None, seen: _Heights, steps: Array, suspects: NDArray[np.intp]
) -> dict[int, _Case]:
    """The case of each suspect, of one block."""
    assert look is not None
    fineness = np.where(look.dense, -np.log(steps), 0.0)  # a probability is at most 1
    most = look.by_unit(np.where(np.isnan(look.x), 0.0, fineness).sum(axis=1))
    cases = {int(j): _Case(int(seen.freedom[j]), int(seen.others[j])) for j in suspects}
    for j, case in cases.items():
        case.add(look, j, seen.wider(j), seen, most)
    return cases


def rows_in(rows: Any) -> int:
    """Number of rows, those of all runs together."""
    return int(rows.n_single) if hasattr(rows, "n_single") else len(rows)


class _View(NamedTuple):
    """How blocks are looked at: by which model, and in which units."""

    model: Any
    params: Any
    discrete: NDArray[np.bool_]  # (d,)
    modelled: NDArray[np.bool_]  # (d,)
    log_spread: Array | None  # (d,) where some values are missing; else None
    stride: int = 1  # every so many-th row alone
    keeps: bool = False  # whether what a block shows is handed on with its heights

    @classmethod
    def of(cls, model: Model, params: Any, rows: Any, grain: Grain) -> _View:
        columns = model.columns_modelled(len(rows.columns))
        return cls(model, params, *columns, grain.log_spread if grain.has_gaps else None)

    def look(self, block: Any, each: Array) -> _Look | None:
        """What a block shows; None where the model has no components."""
        dense = self.modelled & ~self.discrete
        in_runs = hasattr(block, "lengths")
        some = slice(None, None, self.stride)
        given, weights = (block, each) if in_runs else (block[some], each[some])
        pieces = self.model.pieces(self.params, given)
        if pieces is None:
            return None
        x = np.asarray(given.x if in_runs else given)
        lengths = given.lengths if in_runs and len(pieces.shares) == len(weights) else None
        if in_runs and lengths is None:  # what is found in the rows of a run has its weight
            weights = np.repeat(weights, given.lengths)
        gaps = np.isnan(x[:, dense])
        # Rows that show different columns are compared in units of these, others in any.
        spread = np.zeros(len(x)) if self.log_spread is None else ~gaps @ self.log_spread[dense]
        apart = ~(self.discrete & self.modelled)
        look = _Look(pieces, weights, x, lengths, (~gaps).sum(axis=1), spread, apart, dense)
        return look._replace(cells=look.by_unit(look.cells), spread=look.by_unit(look.spread))


def told(found: Mapping[int, str]) -> str:
    """The verdict in words; empty where nothing was found."""
    return "; ".join(f"component {k}: {why}" for k, why in sorted(found.items()))
