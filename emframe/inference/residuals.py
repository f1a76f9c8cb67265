"""Residuals by simulation: where a number that was seen lies among those the fit would have drawn.

At the covariates of row i draw y*_1 ... y*_m from the fitted mixture, its z anew each time.  Then

    u_i = (draws below y_i  +  v (draws equal to y_i + 1)) / (m + 1),   v uniform on 0 to 1
    r_i = Phi^-1(u_i)

and r is standard normal where the model holds, whatever the family, counts included (randomised
quantile residuals; Dunn and Smyth 1996, J. Comp. Graph. Statist. 5, 236; by simulation, Hartig's
DHARMa).  Of n such residuals the i-th smallest u has a Beta(i, n - i + 1) law, which gives the
envelope of their picture.

One known case: draws of the fit itself have residuals with mean 0 and deviation 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import ndtri

from emframe.data.runs import answered
from emframe.fitting.result import Fit
from emframe.messages.arguments import Rng, generator_from, whole
from emframe.spaces import Array


def residuals(
    fit: Fit, X: Any, *, column: str | None = None, n_draws: int = 250, rng: Rng = None
) -> Any:
    """Randomised quantile residuals, (n,); see `Fit.residuals`."""
    n_draws = whole("n_draws", n_draws, 1, ", some hundreds")
    place = outcome(fit, column)
    x = fit.model.rows(X, columns=fit.columns).x
    return answered(X, scores(fit, x, place, n_draws, generator_from(rng)), ("residual",))


def scores(fit: Fit, x: Array, place: int, n_draws: int, rng: np.random.Generator) -> Array:
    """The residuals of rows as the model has them, (n,); nan where nothing was seen."""
    model: Any = fit.model
    seen = model.latent.seen(x)[:, place]
    below, equal = np.zeros(len(x)), np.zeros(len(x))
    for drawn in draws(fit, x, place, n_draws, rng):
        below += drawn < seen
        equal += drawn == seen
    share = (below + rng.random(len(x)) * (equal + 1.0)) / (n_draws + 1.0)
    return np.asarray(np.where(np.isnan(seen), np.nan, ndtri(share)))


def draws(fit: Fit, x: Array, place: int, n: int, rng: np.random.Generator) -> Iterator[Array]:
    """The column of all rows drawn anew at their covariates, (n,), n times."""
    model: Any = fit.model
    shares = np.cumsum(model.prior_proba(fit.params, x), axis=1)
    family = model.family.given(model.latent.seen(x))
    for _ in range(n):
        labels = (rng.random((len(x), 1)) * shares[:, -1:] > shares).sum(axis=1)
        rows = np.asarray(family.sample(fit.params.components, labels, rng), dtype=float)
        yield rows.reshape(len(x), -1)[:, place]


def outcome(fit: Fit, column: str | None) -> int:
    """The place of the column that is modelled; ValueError where it is not told which."""
    model: Any = fit.model
    family = getattr(model, "family", None)
    if family is None or model.in_runs:
        raise TypeError(
            f"residuals are of rows, each with a z of its own; a {model.title()} has none such."
        )
    names = fit.component_columns
    nominal = np.logical_or.reduce(
        [space.columns_that_are("nominal", len(names)) for space in family.supports]
    )
    there = [name for j, name in enumerate(names) if j not in family.covariates and not nominal[j]]
    if column is None and len(there) == 1:
        return names.index(there[0])
    if column in there:
        return names.index(column)
    if not there:
        raise TypeError(
            f"a {model.title()} models categories, which have no order to be far out in; see "
            "fit.diagnostics(X)."
        )
    raise ValueError(f"`column` is {column!r}; residuals are of one of {', '.join(there)}.")
