"""Tests of hypotheses on parameters, and standard errors of functions of them.

With h(theta) a function of the estimates, V their covariance and G = dh / dtheta,

    var h = G V G'                     the delta method
    W     = h' (G V G')^-1 h           about chi-squared where h(theta) = 0        (Wald 1943)
    LR    = 2 (loglik of the larger - loglik of the smaller)                       (Wilks 1938)

Neither holds on a boundary, and so not for a number of components: see `emframe.bootstrap_lrt`.

One known case: for one linear hypothesis W is the square of the estimate over its standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtrc, ndtri

from emframe.core.tolerance import NESTED, SINGULAR, within
from emframe.fitting.result import Fit
from emframe.fitting.tabled import Tabled
from emframe.inference.expressions import expressions, hypotheses
from emframe.inference.standard_errors import StandardErrors
from emframe.showing.tidy import entries, flat, like
from emframe.spaces import EPS, Array


@dataclass(frozen=True, repr=False)
class Derived(Tabled):
    """Functions of parameters, with their covariance.  See `StandardErrors.derived`.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> errors = fit.standard_errors(counts)
    >>> ratio = errors.derived("weights[0] / weights[1]")
    >>> ratio.names, len(ratio.standard_errors)
    (('weights[0] / weights[1]',), 1)
    """

    names: tuple[str, ...]  # (m,)
    estimates: Array  # (m,)
    covariance: Array  # (m, m); nan where a parameter has no standard error

    @property
    def standard_errors(self) -> Array:
        """Of the estimates, (m,)."""
        return np.sqrt(self.covariance.diagonal())

    def confint(self, level: float = 0.95) -> Array:
        """Wald intervals, (m, 2).  ValueError for a level that is not between 0 and 1."""
        if not 0.0 < level < 1.0:
            raise ValueError(f"`level` is {level}; pass a number between 0 and 1, such as 0.95.")
        half = float(ndtri(0.5 + level / 2.0)) * self.standard_errors
        return np.stack([self.estimates - half, self.estimates + half], axis=1)

    @property
    def brief(self) -> str:
        return ", ".join(self.names)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each function: its name, estimate, standard error, and 95 % interval."""
        return [
            {
                "term": name,
                "estimate": float(estimate),
                "standard_error": float(error),
                "lower": float(low),
                "upper": float(high),
            }
            for name, estimate, error, (low, high) in zip(
                self.names, self.estimates, self.standard_errors, self.confint(), strict=True
            )
        ]


@dataclass(frozen=True, repr=False)
class HypothesisTest(Tabled):
    """A test with a chi-squared law.  See `Fit.test`.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> found = fit.test("rates[0, x0] = rates[1, x0]", counts)
    >>> found.df, found.p_value < 0.05
    (1, True)
    """

    kind: str  # "Wald" or "likelihood ratio"
    hypotheses: tuple[str, ...]
    statistic: float
    df: int
    differences: Derived | None = None  # left less right of each hypothesis; of a Wald test

    @property
    def p_value(self) -> float:
        """The chance of a statistic at least as large where the hypotheses hold."""
        return float(chdtrc(self.df, self.statistic))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row: what was tested, the statistic, its degrees of freedom, and p."""
        return [
            {
                "test": self.kind,
                "hypothesis": "; ".join(self.hypotheses),
                "statistic": self.statistic,
                "df": self.df,
                "p_value": self.p_value,
            }
        ]

    @property
    def brief(self) -> str:
        return f"{self.kind}, {self.statistic:.4f} on {self.df}, p = {self.p_value:.4g}"

    def __str__(self) -> str:
        return (
            f"{self.kind} test of {'; '.join(self.hypotheses)}\n"
            f"chi-squared {self.statistic:.4f} on {self.df} degrees of freedom, "
            f"p = {self.p_value:.4g}"
        )


def derived(
    errors: StandardErrors, functions: str | Sequence[str] | Callable[[Any], Any]
) -> Derived:
    """The `Derived` of functions; see `StandardErrors.derived`."""
    numbers = flat(errors.at)
    if callable(functions):
        values, slopes = _numeric(functions, errors.at, numbers)
        name = getattr(functions, "__name__", "function").replace("<lambda>", "function")
        names = (name,) if len(values) == 1 else tuple(f"{name}[{i}]" for i in range(len(values)))
    else:
        read = expressions(functions, entries(errors.at, errors.columns))
        values = np.array([float(one.value(numbers)) for one in read])
        slopes = np.array([one.slopes(numbers) for one in read])
        names = tuple(one.text for one in read)
    return Derived(names, values, _covariance(errors, slopes))


def wald_test(errors: StandardErrors, texts: str | Sequence[str]) -> HypothesisTest:
    """The Wald test that all of these hypotheses hold; see `StandardErrors.test`."""
    numbers = flat(errors.at)
    read = hypotheses(texts, entries(errors.at, errors.columns))
    values = np.array([float(one.value(numbers)) for one in read])
    found = Derived(
        tuple(one.text for one in read),
        values,
        _covariance(errors, np.array([one.slopes(numbers) for one in read])),
    )
    if np.isnan(found.covariance).any():
        what = found.names[int(np.isnan(found.standard_errors).argmax())]
        raise ValueError(
            f"{what!r} has a parameter without a standard error, so there is no Wald test: "
            f"{errors.message or 'it is held, or on the boundary of its space'}"
        )
    scale = found.standard_errors
    if not scale.all():
        what = found.names[int(np.argmin(scale))]
        raise ValueError(f"{what!r} is no question: no estimate that could vary is in it.")
    roots, axes = np.linalg.eigh(found.covariance / np.outer(scale, scale))
    if roots[0] <= SINGULAR * roots[-1]:
        raise ValueError(
            f"the hypotheses {'; '.join(found.names)} follow from one another, or contradict; "
            "leave one out."
        )
    statistic = float(((axes.T @ (values / scale)) ** 2 / roots).sum())
    return HypothesisTest("Wald", found.names, statistic, len(values), found)


def ratio_test(larger: Fit, smaller: Fit) -> HypothesisTest:
    """The likelihood-ratio test of a fit against one of a model that is a special case of it.

    Raises ValueError where the fits are of other data, other numbers of components, under a prior,
    or not nested as far as numbers tell.
    """
    if larger.n_parameters < smaller.n_parameters:
        larger, smaller = smaller, larger
    _require_nested(larger, smaller)
    statistic = max(0.0, 2.0 * (larger.log_likelihood - smaller.log_likelihood))
    what = f"{smaller.model.title()} ({smaller.n_parameters} parameters) within "
    what += f"{larger.model.title()} ({larger.n_parameters})"
    freedom = larger.n_parameters - smaller.n_parameters
    return HypothesisTest("likelihood ratio", (what,), statistic, freedom)


def hypothesis_test(
    fit: Fit,
    hypothesis: str | Sequence[str] | Fit,
    X: Any = None,
    *,
    errors: StandardErrors | None = None,
    **options: Any,
) -> HypothesisTest:
    """A test of hypotheses on a fit's parameters; see `Fit.test`."""
    if isinstance(hypothesis, Fit):
        return ratio_test(fit, hypothesis)
    if errors is None:
        if X is None:
            raise TypeError(
                "a Wald test takes the data, for a fit keeps none: fit.test(hypothesis, X), or "
                "errors=fit.standard_errors(X)."
            )
        errors = fit.standard_errors(X, **options)
    return wald_test(errors, hypothesis)


def _require_nested(larger: Fit, smaller: Fit) -> None:
    if larger.prior is not None or smaller.prior is not None:
        raise ValueError(
            "a likelihood-ratio test compares maxima of the likelihood; fit without a prior."
        )
    if larger.n_rows != smaller.n_rows:
        raise ValueError(
            f"one fit is of {larger.n_rows:g} rows, the other of {smaller.n_rows:g}; "
            "fit both to the same data."
        )
    if larger.model.choices() != smaller.model.choices():
        raise ValueError(
            f"the fits have {larger.model.choices()} and {smaller.model.choices()} components, "
            "whose ratio has no chi-squared law; see emframe.bootstrap_lrt."
        )
    if larger.n_parameters == smaller.n_parameters:
        raise ValueError(
            f"both fits have {larger.n_parameters} parameters, so that neither is within the "
            "other; compare them by BIC."
        )
    below, above = smaller.log_likelihood, larger.log_likelihood
    if below - above > within(NESTED, below, above):
        raise ValueError(
            f"the smaller model has the higher log-likelihood, {below:.6f} against {above:.6f}: it "
            "is not within the larger, or that one missed its best optimum; take more n_starts."
        )


def _covariance(errors: StandardErrors, slopes: Array) -> Array:
    """G V G', where a parameter without a standard error matters only if it is in it."""
    asked = np.flatnonzero(np.abs(slopes).sum(axis=0))
    slopes, factor = slopes[:, asked], errors.factor[asked]
    moved = slopes @ np.nan_to_num(factor)
    without = np.asarray(np.isnan(factor).any(axis=1))
    moved[((slopes != 0.0) & without).any(axis=1)] = np.nan
    return np.asarray(moved @ moved.T)


def _numeric(function: Callable[[Any], Any], params: Any, numbers: Array) -> tuple[Array, Array]:
    """Values (m,) and slopes (m, q) of a function of parameters, by central differences."""

    def at(point: Array) -> Array:
        return np.atleast_1d(np.asarray(function(like(params, point)), dtype=float)).ravel()

    columns = []
    for j, number in enumerate(numbers):
        step = np.zeros(len(numbers))
        step[j] = np.cbrt(EPS) * max(abs(number), np.cbrt(EPS))
        columns.append((at(numbers + step) - at(numbers - step)) / (2.0 * step[j]))
    return at(numbers), np.array(columns).T
