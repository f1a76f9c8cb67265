"""Gaussian rows that hide some of their columns, all rows that hide the same ones together.

Where a row shows the columns o and hides the columns m, its hidden part is normal given x_o:

    x_m | x_o ~ N( mu_m + B (x_o - mu_o), C ),
    B = Sigma_mo Sigma_oo^-1,   C = Sigma_mm - B Sigma_om

So what such rows show is Gaussian with the means and covariances of o, and goes past them by any of
the Gaussian kernels; and their completed scatter follows from that of what they show:

    S = T S_oo T' + N C,        T = [1; B]

Nothing is computed for a row that a complete row would not need (Little and Rubin 2002, section
11.2; for mixtures Ghahramani and Jordan 1994).

One known case: rows that hide nothing are those of the Gaussian family, and T is 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log, pi
from typing import Any

import numpy as np

from emframe.core import Degenerate
from emframe.engines import Workspace
from emframe.families import Concluded, Kernel, Mask, groups, rowwise
from emframe.spaces import EPS, Array
from emframe_families.gaussian.scatter import Scatter, transposed

# What rounding leaves of a column's variance that follows from the columns before it.
NOTHING = 16 * EPS
ROWS = 1 << 17  # of a block, so that rows of a pattern come together


@dataclass(frozen=True)
class Patterns:
    """What all rows show, pattern by pattern; it adds."""

    d: int
    parts: dict[bytes, tuple[Mask, Scatter, int]]  # gaps, scatter of what shows, number of rows

    @classmethod
    def of(cls, x: Array, weights: Array, scatter: Callable[[Array, Array], Scatter]) -> Patterns:
        """Those of rows x (n, d) with weights (n,)."""
        found = {}
        for key, gaps, rows in groups(x):
            shown = x[np.ix_(rows, ~gaps)]
            found[key] = (gaps, scatter(shown, weights[rows, None]), len(rows))
        return cls(x.shape[1], found)

    def __add__(self, other: Patterns) -> Patterns:
        parts = dict(self.parts)
        for key, (gaps, scatter, n) in other.parts.items():
            if key in parts:
                _, mine, m = parts[key]
                parts[key] = (gaps, mine + scatter, m + n)
            else:
                parts[key] = (gaps, scatter, n)
        return Patterns(self.d, parts)

    def shown(self) -> Array:
        """The weight of the rows that show each column, (d,)."""
        total = np.zeros(self.d)
        for gaps, scatter, _ in self.parts.values():
            total[~gaps] += scatter.counts[0]
        return total

    def filled(self) -> Scatter:
        """The scatter of rows whose gaps hold the means of their columns."""
        shown, sums = self.shown(), np.zeros(self.d)
        for gaps, scatter, _ in self.parts.values():
            sums[~gaps] += scatter.counts[0] * scatter.means[0]
        means = sums / np.where(shown > 0, shown, 1.0)
        diagonal = all(one.scatter.ndim == 2 for _, one, _ in self.parts.values())
        spread = np.zeros(self.d if diagonal else (self.d, self.d))
        count = 0.0
        for gaps, scatter, _ in self.parts.values():
            about = scatter.about(means[None, ~gaps])
            spread[~gaps if diagonal else np.ix_(~gaps, ~gaps)] += about.scatter[0]
            count += float(scatter.counts[0])
        counts = np.array([count])
        return Scatter(counts, means[None], spread[None], counts)


def refuse_unseen(shown: Array, columns: Sequence[str]) -> None:
    """Raise where no row shows a column; `shown` (d,) is the weight of those that do."""
    empty = shown <= 0
    if empty.any():
        column = int(empty.argmax())
        raise ValueError(
            f"`X` column {column} ({columns[column]!r}) has no value at all; remove it."
        )


@dataclass(frozen=True)
class Hidden:
    """What K components say of the columns that a pattern hides, given those it shows."""

    gaps: Mask  # (d,)
    means: Array  # (K, d)
    slope: Array  # (K, m, o)  B
    left: Array  # (K, m, m)  C
    entropy: Array  # (K,)  of the hidden part of a row, nats

    @classmethod
    def of(cls, means: Array, covariances: Array, gaps: Mask) -> Hidden:
        """From the parameters of the components; `Degenerate` where one is singular."""
        shown, hidden = np.flatnonzero(~gaps), np.flatnonzero(gaps)
        # In units of each component's own standard deviations no choice of units matters.
        sd = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
        correlation = covariances / sd[:, :, None] / sd[:, None, :]
        # One factor of all columns, those that show first, judges and solves: R = L L' with
        #   L = [L_oo 0; L_mo L_mm],   R_oo = L_oo L_oo',   what is left of R_mm = L_mm L_mm'
        order, o = np.concatenate([shown, hidden]), len(shown)
        factor = _factors(correlation[:, order[:, None], order])
        own, across, left = factor[:, :o, :o], factor[:, o:, :o], factor[:, o:, o:]
        slope = np.swapaxes(np.linalg.solve(transposed(own), transposed(across)), 1, 2)
        slope = slope * sd[:, hidden, None] / sd[:, None, shown]
        left = left * sd[:, hidden, None]
        log_left = 2.0 * np.log(np.diagonal(left, axis1=1, axis2=2)).sum(axis=1)
        entropy = 0.5 * (len(hidden) * (1.0 + log(2 * pi)) + log_left)
        return cls(gaps, means, slope, left @ transposed(left), entropy)

    def completed(self, shown: Scatter, rows: Array | None = None) -> Scatter:
        """The scatter of completed rows, from that of what they show.

        rows : (K,) how often C counts; as often as the rows do, unless these are weighted.
        """
        (k, d), gaps, counts = self.means.shape, self.gaps, shown.counts
        rows = counts if rows is None else rows
        off = shown.means - self.means[:, ~gaps]
        means = np.empty((k, d))
        means[:, ~gaps] = shown.means
        means[:, gaps] = self.means[:, gaps] + (self.slope @ off[:, :, None])[:, :, 0]
        if shown.scatter.ndim == 2:  # columns that are independent
            spread = np.zeros((k, d))
            spread[:, ~gaps] = shown.scatter
            spread[:, gaps] = rows[:, None] * np.diagonal(self.left, axis1=1, axis2=2)
            return Scatter(counts, means, spread, counts)
        spread = np.empty((k, d, d))
        across = self.slope @ shown.scatter
        every = np.arange(k)
        spread[np.ix_(every, ~gaps, ~gaps)] = shown.scatter
        spread[np.ix_(every, gaps, ~gaps)] = across
        spread[np.ix_(every, ~gaps, gaps)] = transposed(across)
        left = across @ transposed(self.slope) + rows[:, None, None] * self.left
        spread[np.ix_(every, gaps, gaps)] = 0.5 * (left + transposed(left))
        return Scatter(counts, means, spread, counts)

    def filled(self, x: Array) -> Array:
        """Rows x (n, d) of the pattern with the conditional means in their gaps, (K, n, d)."""
        off = x[:, ~self.gaps] - self.means[:, None, ~self.gaps]
        rows = np.broadcast_to(x, (len(self.means), *x.shape)).copy()
        rows[:, :, self.gaps] = self.means[:, None, self.gaps] + off @ transposed(self.slope)
        return rows


@dataclass(frozen=True)
class PatternSums:
    """Sums of the kernels of some patterns, and what shows no column; they add."""

    parts: dict[bytes, Any]

    def __add__(self, other: PatternSums) -> PatternSums:
        parts = dict(self.parts)
        for key, sums in other.parts.items():
            parts[key] = parts[key] + sums if key in parts else sums
        return PatternSums(parts)


@dataclass(frozen=True)
class ByPattern:
    """The kernel of Gaussian rows with gaps: one of complete rows for each pattern."""

    kernels: dict[bytes, Kernel | None]  # None where nothing shows
    hidden: dict[bytes, Hidden]
    constants: Array  # (K,)
    diagonal: bool  # whether the columns are independent

    form = "patterns"

    def rows(self, d: int) -> int:
        return ROWS

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], PatternSums]]:
        found = list(groups(x))
        order = np.concatenate([group.rows for group in found])  # those of a pattern together
        ends = np.cumsum([len(group.rows) for group in found])
        own = [slice(end - len(group.rows), end) for group, end in zip(found, ends, strict=True)]
        together, apart = x[order], work("apart", len(self.constants), len(x))
        each: list[Callable[[Array], Any]] = []
        for room, (group, part) in enumerate(zip(found, own, strict=True)):
            kernel = self.kernels[group.key]
            if kernel is None:
                apart[:, part] = self.constants[:, None]
                each.append(_counts)
                continue
            shown = together[part] if not group.gaps.any() else together[part][:, ~group.gaps]
            met = rowwise(kernel, shown, work.room(room))
            apart[:, part] = met.joint
            each.append(met.collect)
        joint = work("patterns", *apart.shape)
        joint[:, order] = apart

        def collect(resp: Array) -> PatternSums:
            shares = np.take(resp, order, axis=1)
            every = zip(found, own, each, strict=True)
            return PatternSums({group.key: sums(shares[:, part]) for group, part, sums in every})

        return joint, collect

    def finish(self, sums: PatternSums) -> Concluded | None:
        total: Scatter | None = None
        entropy: Any = 0.0
        for key, own in sums.parts.items():
            kernel, hidden = self.kernels[key], self.hidden[key]
            shown = _nothing(own, self.diagonal) if kernel is None else kernel.finish(own)
            if shown is None:
                return None
            one = hidden.completed(shown.statistics)
            total = one if total is None else total + one
            entropy = entropy + one.counts * hidden.entropy
        assert total is not None  # a pass has rows
        return Concluded(total, total.counts, entropy=entropy)


def _counts(resp: Array) -> Array:
    return np.asarray(resp.sum(axis=1))


def _nothing(counts: Array, diagonal: bool) -> Concluded:
    k = len(counts)
    scatter = np.zeros((k, 0) if diagonal else (k, 0, 0))
    return Concluded(Scatter(counts, np.zeros((k, 0)), scatter, counts), counts)


def _factors(correlations: Array) -> Array:
    """Lower Cholesky factors of K correlation matrices, (K, d, d).

    Raises `Degenerate` where of a column nothing is left, given those before it, but rounding.
    """
    try:
        factors = np.asarray(np.linalg.cholesky(correlations), dtype=float)
        lost = (np.diagonal(factors, axis1=1, axis2=2) ** 2 <= NOTHING).any(axis=1)
    except np.linalg.LinAlgError:
        least = np.linalg.eigvalsh(np.nan_to_num(correlations))[:, 0]
        factors, lost = correlations, least <= least.min()
    if lost.any():
        k = int(lost.argmax())
        raise Degenerate(f"the covariance of component {k} is singular to rounding", k)
    return factors
