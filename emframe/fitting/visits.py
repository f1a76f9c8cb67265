"""Observed against expected: what a fit leaves of responses, by visits and by components.

    marginal    y_it - sum_k p(z_k) E[y_it | z_k]               before anything is seen of person i
    subject     y_it - sum_k p(z_k | y_i) E[y_it | y_i, z_k]    given all visits of theirs

and of each component in windows along a column the mean response beside the mean of its curve at
the same visits, both weighted by p(z_k | y_i), which is what lcmm draws by ``which = "fit"``.

One known case: with one component and no random effects both residuals are those of a regression.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from emframe.data.runs import answered
from emframe.data.words import column_of
from emframe.fitting.courses import along_of, family_of_courses
from emframe.fitting.result import Fit
from emframe.fitting.tabled import Tabled
from emframe.spaces import Array

FEWEST = 2.0  # people who make an interval
NAMES = ("marginal_mean", "marginal", "subject_mean", "subject")


@dataclass(frozen=True, repr=False)
class ObservedMeans(Tabled):
    """Mean responses of components in windows along a column, and those of their curves there."""

    column: str
    edges: Array  # (m + 1,)
    at: Array  # (K, m)  mean of the column; nan in a window without visits, as all else
    observed: Array  # (K, m)
    lower: Array  # (K, m)  ends of the interval of `observed`; nan of fewer than two people
    upper: Array
    expected: Array  # (K, m)
    visits: Array  # (K, m)  sums of responsibilities
    level: float

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row for each component and window."""
        names = ("observed", "lower", "upper", "expected", "visits")
        return [
            {"component": k, self.column: float(self.at[k, j])}
            | {name: float(getattr(self, name)[k, j]) for name in names}
            for k in range(len(self.at))
            for j in range(len(self.edges) - 1)
        ]

    @property
    def brief(self) -> str:
        return f"along {self.column} in {len(self.edges) - 1} windows, {len(self.at)} components"


@dataclass(frozen=True)
class SeenVisits:
    """People as a family sees them, and what a fit says of their responses."""

    runs: Any
    y: Array  # (n,)
    means: Array  # (n, K)  of components, at the covariates of each visit
    shares: Array  # (S, K)
    weights: Array  # (S,)
    rows: Any  # as the model reads them
    places: Any  # (n,) where each visit stood in what was handed over

    @classmethod
    def of(cls, fit: Fit, X: Any, weights: Any = None, response: Any = None) -> SeenVisits:
        family, model = family_of_courses(fit, "residuals of visits"), _model(fit)
        if not family.in_runs:
            raise TypeError(f"{model.title()} has no people, each with several rows, to look at.")
        rows: Any = model.rows(X, weights, columns=fit.columns)
        runs = model.latent.seen(rows.x)
        means = family.response_at(fit.params.components, runs.x, response)[0]
        y = runs.x[:, family.course(response)[0]]
        shares = model.posterior(fit.params, rows.x)[1]
        return cls(runs, y, means, shares, rows.weights, rows.x, rows.rows)


def _model(fit: Fit) -> Any:
    """The model of components, which `family_of_courses` has made sure of."""
    return fit.model


def visit_residuals(fit: Fit, X: Any) -> Any:
    """Means and residuals of every visit; see `Fit.visit_residuals`."""
    seen, family = SeenVisits.of(fit, X), family_of_courses(fit, "residuals of visits")
    lengths = seen.runs.lengths
    prior = np.repeat(_model(fit).prior_proba(fit.params, seen.rows), lengths, axis=0)
    marginal = (prior * seen.means).sum(axis=1)
    each = np.arange(len(seen.runs))
    given = family.forecast(fit.params.components, seen.runs, seen.runs, each)[0]
    subject = (np.repeat(seen.shares, lengths, axis=0) * given).sum(axis=1)
    found = np.column_stack([marginal, seen.y - marginal, subject, seen.y - subject])
    return answered(X, X.as_given(found) if hasattr(X, "as_given") else found, NAMES)


def observed_means(
    fit: Fit, X: Any, column: str | None, windows: Any, interval: float, weights: Any, response: Any
) -> ObservedMeans:
    """Means by component and window; see `Fit.observed_means`."""
    if not 0.0 < interval < 1.0:
        raise ValueError(f"`interval` is {interval}; pass a number between 0 and 1, such as 0.95.")
    seen = SeenVisits.of(fit, X, weights, response)
    along = along_of(fit, column, response)
    time = _column(fit, X, seen, along)
    edges, place = windows_of(time, windows)
    m, k = len(edges) - 1, seen.shares.shape[1]
    who = np.repeat(np.arange(len(seen.runs)), seen.runs.lengths)
    own = (seen.shares * seen.weights[:, None])[who]  # (n, K)

    def totals(values: Array) -> Array:
        found = np.zeros((m + 1, k))
        np.add.at(found, place, values)
        return found[:m]

    visits = totals(own)
    with np.errstate(divide="ignore", invalid="ignore"):
        at, observed, expected = (
            totals(own * values) / visits for values in (time[:, None], seen.y[:, None], seen.means)
        )
    # Visits of one person go together: their sums are what is independent.
    off = seen.shares[who] * (seen.y[:, None] - np.vstack([observed, np.zeros(k)])[place])
    left, sizes = np.zeros((2, len(seen.runs), m + 1, k))
    np.add.at(left, (who, place), off)
    np.add.at(sizes, (who, place), seen.shares[who])
    with np.errstate(divide="ignore", invalid="ignore"):
        spread, squares = (
            np.einsum("s,smk->mk", seen.weights, one[:, :m] ** 2) for one in (left, sizes)
        )
        people = visits**2 / squares  # as many that count alike
        spread = np.where(people >= FEWEST, spread * people / (people - 1.0), np.nan)
        reach = float(ndtri(0.5 + interval / 2)) * np.sqrt(spread) / visits
    return ObservedMeans(
        along,
        edges,
        at=at.T,
        observed=observed.T,
        lower=(observed - reach).T,
        upper=(observed + reach).T,
        expected=expected.T,
        visits=visits.T,
        level=interval,
    )


def _column(fit: Fit, X: Any, seen: SeenVisits, name: str) -> Array:
    """A column of all visits: of the model, or of the frame that its columns were made from."""
    if name in fit.component_columns:
        return np.asarray(seen.runs.x[:, fit.component_columns.index(name)])
    values = column_of(getattr(X, "source", X), name).to_numpy()[seen.places]
    if np.asarray(values).dtype.kind not in "fiub":
        raise ValueError(f"`column` {name!r} holds words; name one of numbers.")
    return np.asarray(values, dtype=float)


def windows_of(values: Array, windows: Any) -> tuple[Array, NDArray[np.intp]]:
    """Edges of windows (m + 1,), and in which each value is; m for one in none of them.

    A number of windows has about as many values in each, or one for each value there is where
    there are no more; edges are taken as they are.
    """
    if isinstance(windows, (int, np.integer)) and not isinstance(windows, bool):
        if windows < 1:
            raise ValueError(f"`windows` is {windows}; pass their number, or their edges.")
        distinct = np.unique(values)
        if len(distinct) > windows:
            edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, windows + 1)))
        else:
            middles = 0.5 * (distinct[1:] + distinct[:-1])
            edges = np.concatenate([distinct[:1], middles, distinct[-1:]])
    else:
        edges = np.asarray(windows, dtype=float)
        if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
            raise ValueError("`windows` are no rising edges; pass their number, or two edges.")
    m = len(edges) - 1
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, m - 1)
    return edges, np.where((values < edges[0]) | (values > edges[-1]), m, place)
