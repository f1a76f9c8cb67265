"""The law of some columns given others: of a mixture it is a mixture again.

    p(x_m | x_o) = sum_k w_k(x_o) f_k(x_m | x_o),      w_k(x_o) = w_k f_k(x_o) / sum_l w_l f_l(x_o)

The weights are the responsibilities of rows that show x_o alone, so they come from the model's own
E-step on rows with gaps; what a component says of x_m given x_o is `Family.conditional`.  Of joint
Gaussians its mean is a plane, and that of the mixture a smooth regression (Ghahramani and Jordan
1994; Sung 2004, Gaussian Mixture Regression and Classification).

One known case: with one Gaussian component the mean is the least-squares line of the same data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data.frames import is_frame, names_of
from emframe.data.runs import Sequences
from emframe.families.conditional import Conditional
from emframe.fitting.result import Fit
from emframe.messages.arguments import generator_from, whole
from emframe.messages.extras import extra
from emframe.models import ComponentModel
from emframe.spaces import Array

Column = str | int


@dataclass(frozen=True, repr=False)
class ConditionalMixture:
    """What is known of some columns of n rows, given others of them."""

    columns: tuple[str, ...]  # (m,)  those that it is a law of
    given: tuple[str, ...]  # those that were seen
    weights: Array  # (n, K)  shares of the components, given what was seen
    components: Conditional
    model: ComponentModel  # of rows with gaps
    params: Any
    seen: Any  # rows, or runs, as the model takes them, nan in all columns but the given ones
    places: NDArray[np.intp]  # (m,)  of the columns in a row
    names: tuple[str, ...]

    def __repr__(self) -> str:
        what, given = ", ".join(self.columns), ", ".join(self.given)
        n, k = self.weights.shape
        return f"ConditionalMixture({what}{' | ' * bool(given)}{given}; {n} rows, K = {k})"

    @property
    def means(self) -> Array:
        """The mean of each component, (n, K, m).

        TypeError where components have none that the family tells.
        """
        return _told(self.components.means, "mean")

    @property
    def covariances(self) -> Array:
        """The covariance of each component, (n, K, m, m); likewise."""
        return _told(self.components.covariances, "covariance")

    def mean(self) -> Array:
        """E[x_m | x_o], (n, m)."""
        return np.einsum("nk,nkm->nm", self.weights, self.means)

    def covariance(self) -> Array:
        """The covariance of x_m given x_o, (n, m, m): within components, and between them."""
        off = self.means - self.mean()[:, None]
        within = np.einsum("nk,nkij->nij", self.weights, self.covariances)
        return within + np.einsum("nk,nki,nkj->nij", self.weights, off, off)

    def score_samples(self, values: Any) -> Array:
        """log p(x_m | x_o) of a value for each row, (n,), nats.

        values : (n, m), or (n,) for one column.

        TypeError for runs, whose rows have no density of their own.
        """
        if isinstance(self.seen, Sequences):
            raise TypeError("rows of a run have no density apart from each other; see sample().")
        own = np.asarray(values, dtype=float).reshape(len(self.weights), len(self.places))
        rows = np.array(self.seen)
        rows[:, self.places] = own
        both = (self.model.posterior(self.params, x)[0] for x in (rows, self.seen))
        return np.asarray(next(both) - next(both))

    def sample(self, n: int = 1, rng: Any = None) -> Array:
        """Draws of x_m for each row, (n draws, rows, m): first the component, then its value."""
        source, shares = generator_from(rng), np.cumsum(self.weights, axis=1)
        drawn = []
        for _ in range(whole("n", n, 0)):
            uniform = source.random((len(shares), 1)) * shares[:, -1:]
            labels = np.minimum((uniform >= shares).sum(axis=1), shares.shape[1] - 1)
            drawn.append(self.components.draw(labels, source))
        return np.array(drawn).reshape(len(drawn), len(shares), len(self.places))


def conditional(
    fit: Fit, X: Any, given: Sequence[Column] | Column | None, of: Sequence[Column] | Column | None
) -> ConditionalMixture:
    """See `Fit.conditional`."""
    model = fit.model
    if not isinstance(model, ComponentModel):
        raise TypeError(f"a {model.title()} model has no columns that are given others.")
    outer = model.over(model.family.with_gaps())
    d = len(fit.columns) - model.latent.beside
    names = tuple(fit.columns[:d])
    told = _given(X, given, names)
    covariates = set(model.family.covariates)
    missing = covariates - set(told)
    if missing:
        raise ValueError(
            f"the model is a law given {[names[j] for j in sorted(missing)]}; pass these as well."
        )
    asked = _places(of, names, "of") if of is not None else None
    if asked is None:
        asked = [j for j in range(d) if j not in told and j not in covariates]
    wrong = [names[j] for j in asked if j in told or j in covariates]
    if wrong or not asked:
        raise ValueError(
            f"`of` is {[names[j] for j in asked]} and `given` {[names[j] for j in told]}; pass "
            "columns that are modelled, and are not given."
            + f" Of {wrong} this model has no law."
            * bool(set(asked) & covariates)
        )
    hidden = np.array([j for j in range(d) if j not in told])
    rows = outer.rows(_blanked(X, names, told, hidden, model.latent.beside), columns=fit.columns)
    x, weights = rows.x, outer.posterior(fit.params, rows.x)[1]
    seen = outer.latent.seen(x)
    family = outer.family
    all_of = family.conditional(fit.params.components, getattr(seen, "x", seen), hidden)
    own = all_of.taken([list(hidden).index(j) for j in asked])
    return ConditionalMixture(
        tuple(names[j] for j in asked),
        tuple(names[j] for j in told),
        np.asarray(weights),
        own,
        outer,
        fit.params,
        x,
        np.array(asked),
        names,
    )


def _told(found: Array | None, what: str) -> Array:
    if found is None:
        raise TypeError(f"the components tell no {what} of these columns; see sample().")
    return found


def _given(X: Any, given: Any, names: tuple[str, ...]) -> list[int]:
    """Places of the columns that are given."""
    if given is not None:
        return _places(given, names, "given")
    if X is None:
        return []
    if isinstance(X, Mapping) or is_frame(X):
        here = set(X) if isinstance(X, Mapping) else set(names_of(X))
        found = [j for j, name in enumerate(names) if name in here]
        if len(found) < len(names):
            return found
    raise TypeError(
        f"pass `given=`, the columns of {list(names)} whose values are those of X; or X with "
        "these columns alone, by name."
    )


def _places(columns: Any, names: tuple[str, ...], what: str) -> list[int]:
    """Where columns stand, by name or index."""
    listed = [columns] if isinstance(columns, (str, int, np.integer)) else list(columns)
    found = []
    for one in listed:
        if isinstance(one, str) and one in names:
            found.append(names.index(one))
        elif isinstance(one, (int, np.integer)) and 0 <= one < len(names):
            found.append(int(one))
        else:
            raise ValueError(f"`{what}` names {one!r}; the columns are {list(names)}.")
    if len(set(found)) < len(found):
        raise ValueError(f"`{what}` is {listed}; pass each column once.")
    return found


def _blanked(
    X: Any, names: tuple[str, ...], told: list[int], hidden: NDArray[np.intp], beside: int
) -> Any:
    """X in all columns of the model, with nan in those that are hidden."""
    if isinstance(X, Sequences):
        return replace(X, x=_blanked(X.x, names, told, hidden, beside))
    if is_frame(X):
        nw = extra("narwhals", "dataframe", "reading data frames")
        frame = nw.from_native(X, eager_only=True)
        others = [one for one in frame.columns if one not in names]
        empty = (nw.lit(np.nan).alias(names[j]) for j in hidden)
        return frame.with_columns(*empty).select(*names, *others).to_native()
    if X is None:
        X = np.zeros((1, 0))
    if isinstance(X, Mapping):
        X = np.column_stack([np.atleast_1d(np.asarray(X[names[j]], float)) for j in told])
    x = np.asarray(X, dtype=float)
    x = x.reshape(-1, len(told)) if x.ndim < 2 else x
    d = len(names)
    if x.shape[1] == d + beside:
        full = np.array(x)
    elif x.shape[1] == len(told) + beside:
        full = np.full((len(x), d + beside), np.nan)
        full[:, told] = x[:, : len(told)]
        full[:, d:] = x[:, len(told) :]
    else:
        raise ValueError(
            f"`X` has {x.shape[1]} columns; pass the {len(told)} that are given, or all "
            f"{d + beside}."
        )
    full[:, hidden] = np.nan
    return full
