"""How well a model of categories fits the table of counts that its rows make.

A row is a cell.  With o the counts and e = n f(cell) those expected,

    G2 = 2 sum o log(o / e)        X2 = sum (o - e)^2 / e        over all cells

where a cell that was not seen adds nothing to G2 and e to X2, so that the sum over cells that were
seen suffices.  Both have cells - 1 - parameters degrees of freedom, and a chi-squared law where
every e is large; in sparse tables their law is drawn from the model instead (Collins, Fidler,
Wugalter and Long 1993, Multivariate Behavioral Research 28, 375).

What is left between two columns is the X2 of their own table, over its degrees of freedom: above
4 or so they have more in common than the components explain (Vermunt and Magidson 2005).

One known case: one component of a single column has e = o, and G2 = X2 = 0.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import combinations, product
from typing import Any

import numpy as np
from scipy.special import chdtrc, xlogy

from emframe.core import Degenerate
from emframe.data import Rows
from emframe.fitting import fit as fit_model
from emframe.fitting.result import Fit
from emframe.inference.resampling import sampled
from emframe.spaces import Array


@dataclass(frozen=True)
class PairResidual:
    """What a model leaves between two columns."""

    columns: tuple[str, str]
    statistic: float  # X2 of their table
    freedom: int

    @property
    def residual(self) -> float:
        """X2 over its degrees of freedom."""
        return self.statistic / self.freedom


@dataclass(frozen=True)
class Contingency:
    """Counts against those expected.  See the module."""

    likelihood_ratio: float  # G2
    pearson: float  # X2
    cells: float  # of the whole table, seen or not
    freedom: float  # cells - 1 - parameters
    replicates: Array | None = None  # (B, 2)  G2 and X2 of tables drawn from the fit
    message: str = ""  # which replicates were left out; empty where none

    @property
    def p_values(self) -> tuple[float, float]:
        """Of G2 and X2: by replicates where there are, else chi-squared; nan without freedom."""
        found = np.array([self.likelihood_ratio, self.pearson])
        if self.replicates is not None:
            beyond = (self.replicates >= found).sum(axis=0)
            first, second = (1.0 + beyond) / (1.0 + len(self.replicates))
        elif self.freedom < 1:
            return float("nan"), float("nan")
        else:
            first, second = chdtrc(self.freedom, found)
        return float(first), float(second)


def is_table(fit: Fit, rows: Any) -> bool:
    """Whether rows are cells: each column modelled and of few values, none of them missing."""
    if not isinstance(rows, Rows) or not rows.in_memory or np.isnan(rows.x).any():
        return False
    return _is_categories(fit, rows.x.shape[1])


def contingency(
    fit: Fit, rows: Any, n_replicates: int = 0, rng: np.random.Generator | None = None
) -> Contingency:
    """G2 and X2 of a fit to rows that are cells (`is_table`), with tables drawn from it if any.

    Raises `Degenerate` where none of the fits to these had a sound end.
    """
    cells = float(np.prod([len(np.unique(column)) for column in rows.x.T], dtype=float))
    found = _statistics(fit, rows)
    drawn, lost = [], Counter[str]()
    streams = [] if rng is None else rng.spawn(n_replicates)
    for stream in streams:
        x = sampled(fit.model, fit.params, rows, stream)
        try:
            again = fit_model(fit.model, x, start=fit.params, prior=fit.prior)
        except Degenerate:
            lost["degenerate"] += 1
            continue
        if again.error is not None:
            raise again.error
        if again.status.usable:
            drawn.append(_statistics(again, fit.model.rows(x, columns=fit.columns)))
        else:
            lost[again.status.value] += 1
    if streams and not drawn:
        raise Degenerate(f"none of {n_replicates} tables drawn from the fit had a sound fit")
    told = ", ".join(f"{count} {why}" for why, count in sorted(lost.items()))
    return Contingency(
        *found,
        cells=cells,
        freedom=cells - 1.0 - fit.n_parameters,
        replicates=np.array(drawn) if drawn else None,
        message=f"{lost.total()} of {n_replicates} tables left out: {told}." if lost else "",
    )


def _statistics(fit: Fit, rows: Any) -> tuple[float, float]:
    """G2 and X2."""
    seen, place = np.unique(rows.x, axis=0, return_inverse=True)
    counts = np.bincount(place.ravel(), weights=rows.weights)
    expected = counts.sum() * np.exp(fit.model.posterior(fit.params, seen)[0])
    unseen = max(0.0, float(counts.sum() - expected.sum()))
    with np.errstate(divide="ignore"):
        ratio = 2.0 * float((xlogy(counts, counts) - xlogy(counts, expected)).sum())
        return ratio, float(((counts - expected) ** 2 / expected).sum()) + unseen


def pair_residuals(fit: Fit, rows: Any) -> tuple[PairResidual, ...]:
    """The residual of each pair of columns, largest first; () where they are no categories.

    A pair's expected table is the density of rows that answer these two and nothing else, so the
    family has to know of missing answers (its `missing`); rows that lack one are left out.
    """
    model: Any = fit.model
    family: Any = getattr(model, "family", None)
    d = len(fit.columns)
    settings = [one.name for one in fields(family)] if is_dataclass(family) else []
    if not isinstance(rows, Rows) or not rows.in_memory or "missing" not in settings:
        return ()
    if not _is_categories(fit, d):
        return ()
    gaps = model.over(replace(family, missing=True))
    found = []
    for i, j in combinations(range(d), 2):
        both = ~np.isnan(rows.x[:, [i, j]]).any(axis=1)
        levels = [np.unique(rows.x[both, at]) for at in (i, j)]
        freedom = (len(levels[0]) - 1) * (len(levels[1]) - 1)
        if not freedom:
            continue
        cells = np.full((len(levels[0]) * len(levels[1]), d), np.nan)
        cells[:, [i, j]] = list(product(*levels))
        codes = [
            np.searchsorted(own, rows.x[both, at]) for own, at in zip(levels, (i, j), strict=True)
        ]
        place = codes[0] * len(levels[1]) + codes[1]
        counts = np.bincount(place, weights=rows.weights[both], minlength=len(cells))
        expected = counts.sum() * np.exp(gaps.posterior(fit.params, cells)[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(counts == expected, 0.0, (counts - expected) ** 2 / expected)
        found.append(PairResidual((fit.columns[i], fit.columns[j]), float(terms.sum()), freedom))
    return tuple(sorted(found, key=lambda one: -one.residual))


def _is_categories(fit: Fit, d: int) -> bool:
    """Whether each column is modelled, and has a bounded set of values."""
    family: Any = getattr(fit.model, "family", None)
    if family is None or fit.model.unit != "rows" or getattr(fit.model, "in_runs", False):
        return False
    discrete, modelled = fit.model.columns_modelled(d)
    bounded = np.logical_or.reduce([one.columns_that_are("bounded", d) for one in family.supports])
    return bool((discrete & modelled & bounded).all())
