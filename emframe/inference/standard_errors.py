"""Standard errors from Q: what the curvature of the objective says of its maximum.

At an interior maximum the estimates are about normal, with covariance V in unconstrained
coordinates, and with J, the derivative of the parameters with respect to those, J V J' is that of
the parameters (the delta method).  With H the observed information and B the sum over rows of
s s', s being a row's score,

    V = H^-1          "observed"     (Efron and Hinkley 1978, Biometrika 65, 457)
    V = B^-1          "scores"       (Berndt et al. 1974; Meilijson 1989, JRSS B 51, 127)
    V = H^-1 B H^-1   "sandwich"     right also for a wrong model (White 1982, Econometrica 50, 1)

H comes from `emframe.inference.information.sweep`, by Fisher's identity: the gradient of Q at
its own point is the score.  A family has to say nothing more than where its parameters live.

"bootstrap" and "parametric" fit again to rows drawn anew (`emframe.inference.resampling`).

One known case: the mean of n normal rows with standard deviation s has standard error s / sqrt(n).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, ndtri

from emframe.core.tolerance import AT_LIMIT, FLAT, INDIFFERENT, NOUGHT, SUMMIT
from emframe.data import swept
from emframe.data.placed import engine_sum
from emframe.engines import Workspace, block_rows, engine_for, one_blas_thread
from emframe.fitting.faces import face
from emframe.fitting.result import Fit
from emframe.fitting.tabled import Tabled
from emframe.inference.design import Sampling, labels_in
from emframe.inference.information import Information, information
from emframe.inference.resampling import Replicates, replicate
from emframe.messages.arguments import Rng
from emframe.models.remedies import remedies
from emframe.parameters import from_vector, frozen, to_vector, units
from emframe.showing.tidy import Entry, entries, flat, like, limits, told
from emframe.spaces import EPS, Array

if TYPE_CHECKING:
    from emframe.inference.hypotheses import Derived, HypothesisTest

RESAMPLING = ("bootstrap", "parametric")
METHODS = ("observed", "scores", "sandwich", *RESAMPLING)
MOST_NAMES = 4  # that a message spells out


class Regularity(Enum):
    """Whether the theory behind standard errors holds at a point.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> fit.standard_errors(counts).regularity.value
    'regular'
    """

    REGULAR = "regular"
    BOUNDARY = "boundary"
    FLAT = "flat"
    NO_MAXIMUM = "no_maximum"

    @property
    def message(self) -> str:
        """What it means and what to do about it."""
        return _MESSAGES[self]


_MESSAGES = {
    Regularity.REGULAR: "",
    Regularity.BOUNDARY: (
        "On the boundary of their spaces, and so without a standard error: {what}. The others are "
        "right given that these stay there. method='bootstrap' needs no interior."
    ),
    Regularity.FLAT: (
        "The data do not determine {what}, so these have no standard error; what does not depend "
        "on them has."
    ),
    Regularity.NO_MAXIMUM: (
        "Not a maximum: {what}. Standard errors mean little here; let the fit converge first, and "
        "pass the data and weights that it was made from."
    ),
}


@dataclass(frozen=True, repr=False)
class StandardErrors(Tabled):
    """Standard errors of the parameters of a fit.  See `Fit.standard_errors`.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 1), counts)
    >>> fit.standard_errors(counts).params.components.rates.round(3)
    array([[0.656]])
    """

    at: Any  # the estimates
    params: Any  # their standard errors, in the same form; nan where there is none
    factor: Array  # (q, r)  F, where F F' is the covariance of all q numbers in order of `leaves`
    method: str
    regularity: Regularity
    message: str  # what is not regular, and the remedy; empty where all is
    columns: tuple[str, ...]
    replicates: Array | None = None  # (B, q)  the parameters of the fits to rows drawn anew

    @property
    def covariance(self) -> Array:
        """Covariance of the estimates, (q, q), in order of `emframe.parameters.leaves`."""
        return np.asarray(self.factor @ self.factor.T)

    def confint(self, level: float = 0.95) -> Intervals:
        """Confidence intervals of each parameter.

        From curvature they are Wald intervals, taken on the logarithm of what is positive and the
        logit of what is between limits, so that none leaves its space.  From replicates
        they are the quantiles of these.

        Raises ValueError for a level that is not between 0 and 1.
        """
        if not 0.0 < level < 1.0:
            raise ValueError(f"`level` is {level}; pass a number between 0 and 1, such as 0.95.")
        tails = np.array([0.5 - level / 2, 0.5 + level / 2])
        if self.replicates is None:
            reach = float(ndtri(tails[1])) * flat(self.params)
            lower, upper = wald(flat(self.at), reach, *limits(self.at))
        else:
            lower, upper = _quantiles(self.replicates, tails)
        return Intervals(like(self.at, lower), like(self.at, upper), level, self)

    def derived(self, functions: str | Sequence[str] | Callable[[Any], Any]) -> Derived:
        """Functions of the parameters with standard errors, by the delta method.

            errors.derived(["means[1] - means[0]", "exp(x[1])"])
            errors.derived(lambda params: params.weights[0] / params.weights[1])

        Parameters
        ----------
        functions : text, or a list of texts, in the names of `table`, with the signs of
            arithmetic, exp, log and sqrt; or a callable of parameters that returns a number, or an
            array of them.

        Raises ValueError for an unknown name, with those that are near it.
        """
        return face("derived")(self, functions)

    def test(self, hypotheses: str | Sequence[str]) -> HypothesisTest:
        """The Wald test that all of these hypotheses hold.

            errors.test(["time[0] = time[1] = time[2]", "age[0] = 0"])

        Raises ValueError for what is no equation of parameters, for one without a standard error,
        and for hypotheses that follow from one another.
        """
        return face("wald_test")(self, hypotheses)

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row for each number: its name, the estimate and the standard error."""
        estimates, errors = told(self.at), flat(self.params)
        return [
            {
                "parameter": entry.label,
                "estimate": float(estimates[entry.position]),
                "standard_error": float(errors[entry.position]),
            }
            for entry in entries(self.at, self.columns)
        ]

    @property
    def brief(self) -> str:
        return f"{self.method}, {len(self.table)} numbers, {self.regularity.value}"

    def __str__(self) -> str:
        return face("errors_table")(self)


@dataclass(frozen=True, repr=False)
class Intervals(Tabled):
    """Confidence intervals: two nests of parameters of the same form as the fit's.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> ends = fit.confint(counts, level=0.9)
    >>> bool((ends.lower.components.rates < ends.upper.components.rates).all())
    True
    """

    lower: Any
    upper: Any
    level: float
    errors: StandardErrors

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row for each number: its name, estimate, standard error, and both ends."""
        lower, upper = flat(self.lower), flat(self.upper)
        places = [entry.position for entry in entries(self.errors.at)]
        return [
            {**row, "lower": float(lower[i]), "upper": float(upper[i])}
            for row, i in zip(self.errors.table, places, strict=True)
        ]

    @property
    def brief(self) -> str:
        return f"{100 * self.level:g} %, {len(self.table)} numbers, {self.errors.method}"

    def __str__(self) -> str:
        return face("errors_table")(self.errors, self)


def standard_errors(
    fit: Fit,
    X: Any,
    *,
    method: str = "observed",
    weights: Any = None,
    n_replicates: int = 200,
    rng: Rng = None,
    engine: Any = None,
    clusters: Any = None,
    strata: Any = None,
) -> StandardErrors:
    """Standard errors of a fit's parameters; see `Fit.standard_errors`."""
    if method not in METHODS:
        raise ValueError(f"`method` is {method!r}; expected one of {', '.join(METHODS)}.")
    design = Sampling(labels_in(X, clusters), labels_in(X, strata))
    if design and method != "sandwich":
        raise ValueError(f"`method` is {method!r}; rows in clusters or strata take 'sandwich'.")
    if method in RESAMPLING:
        drawn = replicate(
            fit,
            X,
            weights=weights,
            parametric=method == "parametric",
            n=n_replicates,
            rng=rng,
            engine=engine,
        )
        return _from_replicates(fit, method, drawn)
    if method == "scores" and fit.prior is not None:
        raise ValueError(
            "`method` 'scores' knows the rows alone, and this fit has a prior; pass 'observed'."
        )
    return _from_curvature(fit, method, X, weights, design, engine)


def wald(estimate: Array, reach: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Both ends of intervals that stay within limits; `reach` is a multiple of standard errors.

    It is laid off on a scale without limits, the logit between two of them and the logarithm
    from a single one, and taken there by the delta method.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        below, above = estimate - lower, upper - estimate

        def end(shift: Array) -> Array:
            between = lower + (upper - lower) * expit(
                np.log(below / above) + shift * (1.0 / below + 1.0 / above)
            )
            return np.select(
                [shift == 0.0, np.isfinite(below) & np.isfinite(above), np.isfinite(below)],
                [estimate, between, lower + below * np.exp(shift / below)],
                np.where(
                    np.isfinite(above), upper - above * np.exp(-shift / above), estimate + shift
                ),
            )

        return end(-reach), end(reach)


def derivative(params: Any) -> Array:
    """Derivative of every number of `params` with respect to its coordinates, (q, m)."""
    x = to_vector(params)
    steps = np.cbrt(EPS) * units(params)
    columns = [
        apart(flat(from_vector(params, x + shift)), flat(from_vector(params, x - shift)))
        / (2.0 * step)
        for step, shift in zip(steps, np.diag(steps), strict=True)
    ]
    return np.array(columns).reshape(len(x), -1).T


def lengths(rows: Array) -> Array:
    """Euclidean length of each row, (q,), whose squares may be beyond the range of numbers."""
    size = np.abs(rows).max(axis=1, initial=0.0)
    unit = np.where((size > 0.0) & np.isfinite(size), size, 1.0)
    return np.asarray(unit * np.sqrt(np.square(rows / unit[:, None]).sum(axis=1)))


def apart(one: Array, other: Array) -> Array:
    """``one - other``, and 0 where they are equal: a number at infinity is where it is."""
    return np.subtract(one, other, out=np.zeros_like(one), where=one != other)


def _from_curvature(
    fit: Fit, method: str, X: Any, weights: Any, design: Sampling, engine: Any
) -> StandardErrors:
    """V and J of the module's introduction, in units that make curvatures shares of Q's own."""
    found = information(fit, X, weights, engine)
    unit = found.scales
    curvature = found.observed * np.outer(unit, unit)
    spread = curvature if method == "observed" else _scores(fit, X, weights, found, design, engine)
    core = spread if method == "scores" else curvature
    values, vectors = np.linalg.eigh(core)
    flat_directions = vectors[:, values <= max(FLAT, found.error)]  # (p, f)
    jacobian = derivative(fit.params) @ (found.basis * unit)  # (q, p)
    if method == "sandwich":
        factor = jacobian @ _power(core, -1.0, found.error) @ _power(spread, 0.5)
    else:
        factor = jacobian @ _power(core, -0.5, found.error)
    # What does not move along a flat direction is determined all the same.
    along = lengths(jacobian @ flat_directions)
    factor[along > INDIFFERENT * lengths(jacobian)] = np.nan
    score = found.basis.T @ found.score * unit
    steep = _power(core, -0.5, found.error) @ score
    ahead = 0.5 * float(steep @ steep + np.square(flat_directions.T @ score).sum())
    return _assemble(fit, method, factor, ahead)


def _scores(
    fit: Fit, X: Any, weights: Any, found: Information, design: Sampling, engine: Any
) -> Array:
    """Sum over rows of s s', (p, p), with s in units of ``found.scales``.

    A row's score is the difference quotient of its log density; a direction's natural length for
    a single row is the root of the number of rows times that for all.  Of rows in clusters, s is
    the sum of a cluster, and the matrix that of `between`.
    """
    model, x = fit.model, to_vector(fit.params)
    rows = design.rows(model, X, weights, fit.columns)
    n, p = design.units(rows), len(found.scales)
    if n < p:
        raise ValueError(
            f"scores of {n:g} independent {design.unit} cannot tell {p} parameters; pass "
            "method='observed' or 'parametric'."
        )
    step = np.cbrt(EPS) * np.sqrt(rows.weight / rows.unit)
    around = [
        [from_vector(fit.params, x + sign * step * direction) for sign in (1.0, -1.0)]
        for direction in (found.basis * found.scales).T
    ]

    scores = _RowScores(model, around, step)
    size = block_rows(model.work(rows))
    with one_blas_thread():
        if design:
            return design.between(np.concatenate(swept(rows, size, scores.weighted)), rows)
        runner = engine_for(engine, len(rows) * model.work(rows))
        return engine_sum(runner, scores.squared, rows.blocks(size))


@dataclass(frozen=True)
class _RowScores:
    """Difference quotients of the log density of rows along some directions."""

    model: Any
    around: list[list[Any]]  # parameters on both sides, a pair for each direction
    step: float

    def __call__(self, x: Any) -> Array:
        """Of each row, or run, (n, p)."""
        found = np.empty((len(x), len(self.around)))
        for j, (up, down) in enumerate(self.around):
            above, below = (self.model.posterior(params, x)[0] for params in (up, down))
            found[:, j] = (above - below) / (2.0 * self.step)
        return found

    def weighted(self, x: Any, counts: Array) -> Array:
        return self(x) * counts[:, None]

    def squared(self, block: tuple[Any, Array], _: Workspace) -> Array:
        """Sum of s s' of a block, (p, p)."""
        scores, counts = self(block[0]), block[1]
        return np.asarray(scores.T @ (counts[:, None] * scores))


def _power(matrix: Array, exponent: float, error: float = 0.0) -> Array:
    """A power of a symmetric matrix by its eigenvalues; those that are none stay 0."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > max(FLAT, error)
    return np.asarray(vectors[:, kept] * values[kept] ** exponent @ vectors[:, kept].T)


def _assemble(fit: Fit, method: str, factor: Array, ahead: float) -> StandardErrors:
    """Standard errors from a factor of the covariance, and what is to be said of them."""
    estimates, errors = flat(fit.params), lengths(factor)
    lower, upper = limits(fit.params)
    distance = np.minimum(apart(estimates, lower), apart(upper, estimates))
    # What cannot move to both sides has no direction in the sweep, and so an error of 0.
    on_limit = (distance <= AT_LIMIT * errors) | (errors == 0.0)
    between = np.isfinite(lower) & np.isfinite(upper)
    on_limit |= between & (distance <= NOUGHT)
    shown = [one for one in entries(fit.params, fit.component_columns) if not one.fixed]
    fixed = [one for one in shown if on_limit[one.position]]
    loose = [one for one in shown if np.isnan(errors[one.position])]
    at = [one.position for one in fixed]
    errors[at], factor[at] = np.nan, np.nan
    what = ""
    if ahead > SUMMIT:
        regularity, what = Regularity.NO_MAXIMUM, f"a step uphill would gain {ahead:.3g} nats"
    elif loose:
        regularity, what = Regularity.FLAT, _names(loose)
    elif fixed:
        regularity, what = Regularity.BOUNDARY, _names(fixed)
    else:
        regularity = Regularity.REGULAR
    more = remedies(fit.model, fit.prior) if regularity is Regularity.FLAT else ""
    return StandardErrors(
        at=fit.params,
        params=frozen(like(fit.params, errors)),
        factor=factor,
        method=method,
        regularity=regularity,
        message=" ".join(filter(None, [regularity.message.format(what=what), more])),
        columns=fit.component_columns,
    )


def _names(some: Sequence[Entry]) -> str:
    """The first few names, and how many more there are."""
    told = ", ".join(one.label for one in some[:MOST_NAMES])
    return told + (f" and {len(some) - MOST_NAMES} more" if len(some) > MOST_NAMES else "")


def _quantiles(replicates: Array, shares: Array) -> Array:
    """Quantiles of each column, between two values where both are finite."""
    with np.errstate(invalid="ignore"):
        between = np.quantile(replicates, shares, axis=0)
    return np.where(
        np.isnan(between), np.quantile(replicates, shares, axis=0, method="nearest"), between
    )


def _from_replicates(fit: Fit, method: str, drawn: Replicates) -> StandardErrors:
    """Standard deviations of the replicates; none of a number that is infinite in one."""
    values = np.array([flat(params) for params in drawn.params])
    with np.errstate(invalid="ignore"):
        factor = (values - values.mean(axis=0)).T / np.sqrt(len(values) - 1)
    errors = lengths(factor)
    loose = [
        one for one in entries(fit.params, fit.component_columns) if np.isnan(errors[one.position])
    ]
    told = [drawn.message] if drawn.message else []
    if loose:
        told.append(
            f"Infinite in some replicates, and so without a standard error: {_names(loose)}; the "
            "intervals hold."
        )
    return StandardErrors(
        at=fit.params,
        params=frozen(like(fit.params, errors)),
        factor=factor,
        method=method,
        regularity=Regularity.REGULAR,
        message=" ".join(told),
        columns=fit.component_columns,
        replicates=values,
    )
