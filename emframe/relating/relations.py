"""Relations of classes to outcomes and to predictors, as tables with tests.

    emframe.outcomes(fit, X, income)            means of each class, and whether they differ
    emframe.predictors(fit, X, frame[["age"]])  log odds of each class against the first

One known case: of classes told apart without error these are the means, and the multinomial logit,
of known groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import chdtrc, ndtri

from emframe.data import frequencies, refuse_other_index
from emframe.data.blocks import real_array
from emframe.data.covariates import Covariates
from emframe.data.frames import is_frame, names_of
from emframe.fitting.result import Fit
from emframe.fitting.tabled import Tabled
from emframe.messages.refusals import shown
from emframe.relating.first_step import FirstStep
from emframe.relating.last_step import solved
from emframe.relating.likelihoods import METHODS, Membership, RelatedOutcome
from emframe.spaces import Array

if TYPE_CHECKING:
    pass

KINDS = ("normal", "binary", "count", "categorical")


@dataclass(frozen=True)
class Wald:
    """A test that several numbers are 0."""

    what: str
    statistic: float  # chi-squared
    df: int
    p_value: float


@dataclass(frozen=True, repr=False)
class Relation(Tabled):
    """What was found of classes and another column, or several.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> emframe.outcomes(fit, counts, np.arange(10.0)).labels
    ('mean', 'mean')
    """

    method: str
    labels: tuple[str, ...]  # (q,) of the estimates
    classes: tuple[int, ...]  # (q,) the class that each is of
    estimates: Array  # (q,)
    covariance: Array  # (q, q); the errors of the first step are in it
    tests: tuple[Wald, ...]  # over all classes first, then between pairs

    @property
    def standard_errors(self) -> Array:
        """Of the estimates, (q,)."""
        return np.sqrt(self.covariance.diagonal())

    def confint(self, level: float = 0.95) -> Array:
        """Wald intervals, (q, 2)."""
        half = ndtri(0.5 + level / 2.0) * self.standard_errors
        return np.stack([self.estimates - half, self.estimates + half], axis=1)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each estimate: its term and class, standard error, and 95 % interval."""
        ends = zip(self.estimates, self.standard_errors, self.confint(), strict=True)
        return [
            {
                "term": term,
                "class": k,
                "estimate": float(estimate),
                "standard_error": float(error),
                "lower": float(low),
                "upper": float(high),
            }
            for term, k, (estimate, error, (low, high)) in zip(
                self.labels, self.classes, ends, strict=True
            )
        ]

    @property
    def brief(self) -> str:
        return f"by {self.method}, {len(self.labels)} estimates"

    def __str__(self) -> str:
        lines = [f"by {self.method}", f"{'':24}{'estimate':>12}{'std. error':>12}"]
        rows = zip(self.labels, self.classes, self.estimates, self.standard_errors, strict=True)
        lines += [f"{f'{name}, class {k}':24}{b:12.5g}{e:12.5g}" for name, k, b, e in rows]
        lines += ["", f"{'Wald test':24}{'chi-squared':>12}{'df':>5}{'p':>10}"]
        lines += [f"{t.what:24}{t.statistic:12.3f}{t.df:5d}{t.p_value:10.4g}" for t in self.tests]
        return "\n".join(lines)


def outcomes(
    fit: Fit,
    X: Any,
    y: Any,
    *,
    kind: str | None = None,
    method: str = "ml",
    modal: bool = True,
    weights: Any = None,
) -> Relation:
    """How an outcome differs between the classes of a fitted mixture.

    Parameters
    ----------
    fit, X, weights : a mixture of rows, and the data that it was made from; a fit keeps none.
    y : (n,) the outcome of each row.
    kind : "normal", "binary" (0 and 1), "count" or "categorical"; by default "categorical" for
        words, "binary" for True and False, and "normal" else.
    method : "ml" (Vermunt 2010), "bch" (Bolck, Croon and Hagenaars 2004), "two-step" (Bakk and Kuha
        2018); or "modal" and "proportional", which take classes for known and are biased.
    modal : whether rows are assigned to their most probable class, or to each by its share.

    Of each class the mean is estimated, of categories their probabilities.  Standard errors have
    the uncertainty of the first step in them.

    Raises ValueError, TypeError for what does not go together; `emframe.Degenerate` where there is
    no finite maximum, as where a class has one outcome in all of its rows.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> later = np.array([3.0, 2, 3, 4, 3, 8, 9, 8, 7, 9])
    >>> emframe.outcomes(fit, counts, later).to_frame().shape[0]
    2
    """
    refuse_other_index(y, X, "y")
    first, rows = _first(fit, X, weights, method, modal)
    k = int(fit.model.choices() or 1)
    values, levels, found = _outcome(y, kind)
    _refuse_rows("y", values, rows.n_given)
    relation = RelatedOutcome(found, values[rows.numbers], k, levels)
    done = solved(method, first, relation)
    told = done.told.reshape(k, -1)
    names = levels or ({"normal": "mean", "binary": "probability", "count": "mean"}[found],)
    labels = tuple(name for _ in range(k) for name in names)
    own = np.arange(done.told.size).reshape(told.shape)
    free = own[:, 1:] if levels else own
    pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    tests = [_equal("all classes", done.told, done.covariance, free)] if k > 1 else []
    if k > 2:
        tests += [
            _equal(f"classes {i} and {j}", done.told, done.covariance, free[[i, j]])
            for i, j in pairs
        ]
    classes = tuple(int(c) for c in np.repeat(np.arange(k), told.shape[1]))
    return Relation(method, labels, classes, done.told, done.covariance, tuple(tests))


def predictors(
    fit: Fit,
    X: Any,
    u: Any,
    *,
    method: str = "ml",
    modal: bool = True,
    weights: Any = None,
) -> Relation:
    """How membership of the classes of a fitted mixture depends on covariates.

    Parameters
    ----------
    u : (n, q) covariates, a frame or an array; words stand for indicators of all but the first.

    The others, and what is raised, are those of `outcomes`.  Estimates are log odds against class
    0; the tests are of each covariate over all classes.  In one step: `emframe.Gate`.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> age = np.array([20.0, 35, 28, 41, 30, 33, 52, 47, 25, 60])
    >>> emframe.predictors(fit, counts, age).labels
    ('intercept', 'u0')
    """
    refuse_other_index(u, X, "u")
    first, rows = _first(fit, X, weights, method, modal)
    k = int(fit.model.choices() or 1)
    if k < 2:
        raise ValueError("with one class there is no membership to predict.")
    if is_frame(u) and names_of(u):
        given = Covariates(names_of(u)).settled(u)
        values, names = given.of(u), given.labels
    else:
        values = np.asarray(real_array(u, "u"), dtype=float)
        names = tuple(f"u{j}" for j in range(values.shape[1]))
    _refuse_rows("u", values, rows.n_given)
    own = values[rows.numbers]
    relation = Membership(np.column_stack([np.ones(len(own)), own]), k)
    done = solved(method, first, relation)
    places = np.arange(done.told.size).reshape(k - 1, -1)
    tests = tuple(
        _zero(name, done.told, done.covariance, places[:, 1 + j]) for j, name in enumerate(names)
    )
    labels = tuple(name for _ in range(1, k) for name in ("intercept", *names))
    classes = tuple(int(c) for c in np.repeat(np.arange(1, k), places.shape[1]))
    return Relation(method, labels, classes, done.told, done.covariance, tests)


def _first(fit: Fit, X: Any, weights: Any, method: str, modal: bool) -> tuple[FirstStep, Any]:
    """The first step and its rows; refuses models whose rows have no class of their own."""
    if method not in METHODS:
        raise ValueError(f"`method` is {method!r}; expected {', '.join(map(repr, METHODS))}.")
    latent = getattr(fit.model, "latent", None)
    if latent is None or getattr(fit.model, "in_runs", False):
        raise TypeError(
            f"a {fit.model.title()} model has no class for each row; pass a fit of a mixture."
        )
    rows = fit.model.rows(X, frequencies(X, weights), columns=fit.columns)
    assigned = method == "modal" or (modal and method != "proportional")
    return FirstStep(fit, rows.x, np.asarray(rows.weights), assigned), rows


def _refuse_rows(name: str, values: Array, n: int) -> None:
    if len(values) != n:
        raise ValueError(f"`{name}` has {len(values)} rows, the data have {n}; pass one for each.")
    if not np.isfinite(values).all():
        row = int(np.argmax(~np.isfinite(values).reshape(len(values), -1).all(axis=1)))
        raise ValueError(
            f"`{name}` row {row} is missing or infinite; leave such rows out of both steps."
        )


def _outcome(y: Any, kind: str | None) -> tuple[Array, tuple[str, ...], str]:
    """The outcome as numbers, its levels where it has any, and its kind."""
    values = np.asarray(y.to_numpy() if hasattr(y, "to_numpy") else y)
    if kind is None:
        kind = {"b": "binary", "U": "categorical", "O": "categorical"}.get(
            values.dtype.kind, "normal"
        )
    if kind not in KINDS:
        raise ValueError(f"`kind` is {kind!r}; expected {', '.join(map(repr, KINDS))}.")
    if values.ndim != 1:
        raise ValueError(f"`y` has shape {values.shape}; pass one outcome for each row.")
    if kind == "categorical":
        words = [str(one) for one in values.tolist()]
        levels = tuple(sorted(set(words)))
        if len(levels) < 2:
            raise ValueError(f"`y` is {levels[0]!r} in every row; there is nothing to relate.")
        return np.array([levels.index(word) for word in words], dtype=float), levels, kind
    if values.dtype.kind not in "fiub":
        raise TypeError(f"`y` holds {shown(values[0])}; a {kind} outcome is numbers.")
    numbers = values.astype(float)
    if kind == "binary" and not np.isin(numbers, (0.0, 1.0)).all():
        raise ValueError("`y` is not of 0 and 1 alone; pass kind='categorical' or another.")
    if kind == "count" and not ((numbers >= 0) & (numbers == np.floor(numbers))).all():
        raise ValueError("`y` is not of whole numbers from 0 alone; pass kind='normal'.")
    return numbers, (), kind


def _equal(what: str, estimates: Array, covariance: Array, places: Any) -> Wald:
    """The test that numbers, a row for each class, are the same in all rows."""
    k, q = places.shape
    contrast = np.zeros(((k - 1) * q, len(estimates)))
    for i in range(1, k):
        for j in range(q):
            row = (i - 1) * q + j
            contrast[row, places[i, j]], contrast[row, places[0, j]] = 1.0, -1.0
    return _wald(what, contrast @ estimates, contrast @ covariance @ contrast.T)


def _zero(what: str, estimates: Array, covariance: Array, places: Any) -> Wald:
    return _wald(what, estimates[places], covariance[np.ix_(places, places)])


def _wald(what: str, numbers: Array, covariance: Array) -> Wald:
    statistic = float(numbers @ np.linalg.solve(covariance, numbers))
    df = len(numbers)
    return Wald(what, statistic, df, float(chdtrc(df, statistic)))
