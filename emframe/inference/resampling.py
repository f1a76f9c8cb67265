"""The bootstrap: the same fit to rows drawn anew.

Rows are drawn with replacement, which is drawing their frequency weights from a multinomial
(Efron 1979, Ann. Statist. 7, 1), or from the fitted model itself.  Each fit starts from the
original's parameters, and its components are put into the order in which they share rows best with
the original's, since labels mean nothing (Stephens 2000, JRSS B 62, 795).

`bootstrap_lrt` asks whether a larger model fits better than chance would make it.  Between
mixtures of K and K + 1 components twice the log-likelihood ratio has no chi-squared limit, so its
distribution is drawn from the smaller model (McLachlan 1987, Appl. Statist. 36, 318).

One known case: the standard deviation of replicated means of n rows is near s / sqrt(n).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from emframe.core import Degenerate
from emframe.data import PlacedRows, frequencies, summed
from emframe.data.labelled import LaidOut
from emframe.data.runs import per_row
from emframe.engines import block_rows
from emframe.fitting import fit as fit_model
from emframe.fitting.result import Fit
from emframe.fitting.tabled import Tabled
from emframe.messages.arguments import Rng, generator_from, whole
from emframe.messages.words import in_our_words
from emframe.models import Model, Sequences, observed
from emframe.models.components import interchangeable, taken
from emframe.spaces import Array


@dataclass(frozen=True)
class Replicates:
    """Parameters of the fits to rows drawn anew, their components in the original's order."""

    params: tuple[Any, ...]
    message: str  # how many fits had to be left out, and why; empty where none


def replicate(
    fit: Fit,
    X: Any,
    *,
    weights: Any = None,
    parametric: bool = False,
    n: int = 200,
    rng: Rng = None,
    engine: Any = None,
) -> Replicates:
    """Fit again to n samples of as many rows as the fit was made from.

    Parameters
    ----------
    parametric : draw rows from the fitted model instead of from X.

    Raises
    ------
    TypeError, ValueError : for what is no number of replicates, or fewer than two.
    Degenerate : where fewer than two of the fits had a sound end.
    """
    n = whole("n_replicates", n, 2, ", and some hundreds for intervals")
    model = fit.model
    rows = observed(model, X, weights, fit.columns)
    if len(rows) == 1 and not parametric:
        raise ValueError(
            "`method` 'bootstrap' draws rows (or runs of rows) anew, and there is one; pass "
            "method='parametric'."
        )
    size = rows.weights.sum()
    sound, lost = [], Counter[str]()
    for stream in generator_from(rng).spawn(n):
        if parametric:
            again_as: tuple[Any, Any] = sampled(model, fit.params, rows, stream), None
        else:
            counts = stream.multinomial(round(size), rows.weights / size)
            in_parts = isinstance(rows, PlacedRows)  # which stay there, of other weights
            again_as = (X, _spread(rows, counts)) if in_parts else (laid_out(model, rows.x), counts)
        drawn, each = again_as
        try:
            again = fit_model(
                model, drawn, weights=each, start=fit.params, prior=fit.prior, engine=engine
            )
        except Degenerate:
            lost["degenerate"] += 1
            continue
        _require_whole(again)
        if again.status.usable and not (again.spurious and not fit.spurious):
            sound.append(matched(model, fit.params, again.params, rows))
        else:
            lost[again.status.value if not again.status.usable else "spurious"] += 1
    if len(sound) < 2:
        raise Degenerate(f"{n - len(sound)} of {n} replicates failed: {_told(lost)}")
    message = f"{n - len(sound)} of {n} replicates left out: {_told(lost)}." if lost else ""
    return Replicates(tuple(sound), message)


def _spread(rows: Any, counts: NDArray[Any]) -> Array:
    """Counts of rows as weights of all that were given, (n,)."""
    found = np.zeros(rows.n_given)
    found[rows.numbers] = counts
    return found


def sampled(model: Model, params: Any, rows: Any, rng: np.random.Generator) -> Any:
    """As many rows drawn from a model as there are, in runs as long as theirs.

    What is missing in these is missing there.
    """
    if not isinstance(rows.x, Sequences):
        model = model.given(rows.x, rows.weights)
        drawn = model.sample(params, round(rows.total), rng)[0]
        place = np.searchsorted(np.cumsum(rows.weights), np.arange(len(drawn)) + 0.5)
        return laid_out(model, _hidden(drawn, rows.x, np.minimum(place, len(rows) - 1)))
    times = np.rint(rows.weights).astype(int)
    lengths, firsts = np.repeat(rows.x.lengths, times), np.repeat(rows.x.firsts, times)
    places = np.repeat(np.arange(len(times)), times)
    runs = [
        _hidden(
            # At the covariates of the run itself.
            model.given(rows.at(np.array([place]))).sample(params, int(n), rng)[0],
            rows.x.x,
            first + np.arange(n),
        )
        for place, n, first in zip(places, lengths, firsts, strict=True)
    ]
    return laid_out(model, Sequences(np.concatenate(runs), lengths))


def laid_out(model: Any, x: Any) -> Any:
    """Rows as a model has them, told as such where it reads more than its family's columns."""
    latent = getattr(model, "latent", None)
    return x if latent is None or not latent.beside else LaidOut(x)


def _hidden(drawn: Array, x: Array, place: NDArray[np.intp]) -> Array:
    """Rows drawn, each less what its counterpart among the rows x hides: that at `place`, (n,)."""
    return np.where(np.isnan(x[place]), np.nan, drawn)


def _shared(model: Any, reference: Any, params: Any, x: Any, weights: Array) -> Array:
    """Rows of a block that each component has in common with each of a reference, (K, K)."""
    ours, theirs = (model.posterior(point, x)[1] for point in (reference, params))
    each = weights if len(ours) == len(weights) else per_row(x, weights)
    return np.asarray(np.nan_to_num(ours * each[:, None]).T @ np.nan_to_num(theirs))


def matched(model: Model, reference: Any, params: Any, rows: Any) -> Any:
    """`params` with its components in the order in which they share most rows with `reference`'s.

    The assignment maximises the sum over rows of r_k r'_k; those that no exchange leaves the
    same model (of unlike families, say) keep their places.  Where z is no choice there is nothing
    to match.
    """
    if model.choices() is None:
        return params
    of_block = partial(_shared, model, reference, params)
    shared = summed(rows, block_rows(model.work(rows)), of_block)
    may = np.zeros(shared.shape, dtype=bool)
    for places in interchangeable(model, params, len(shared)):
        may[np.ix_(places, places)] = True
    shared[~may] = -1.0
    return taken(params, scipy.optimize.linear_sum_assignment(shared, maximize=True)[1])


@dataclass(frozen=True, repr=False)
class LikelihoodRatioTest(Tabled):
    """A likelihood-ratio test whose null distribution was drawn.  See `bootstrap_lrt`.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> one, two = (emframe.Mixture("poisson", k) for k in (1, 2))
    >>> emframe.bootstrap_lrt(one, two, counts, n_replicates=4, rng=0).p_value
    0.2
    """

    null: Fit
    alternative: Fit
    statistic: float  # twice the log-likelihood ratio, nats
    replicates: Array  # (B,)  the same for rows drawn from the null model
    message: str  # how many replicates had to be left out; empty where none
    stopped: bool = False  # whether enough were as large before all had been drawn

    @property
    def p_value(self) -> float:
        """Share of statistics at least as large, the observed one among them.

        Where drawing stopped at as many as that takes, their share of those drawn.
        """
        beyond = int((self.replicates >= self.statistic).sum())
        if self.stopped:
            return beyond / len(self.replicates)
        return (1 + beyond) / (1 + len(self.replicates))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row: both models, the statistic, how many were drawn, and p."""
        return [
            {
                "null": self.null.model.title(),
                "alternative": self.alternative.model.title(),
                "statistic": self.statistic,
                "n_replicates": len(self.replicates),
                "p_value": self.p_value,
            }
        ]

    @property
    def brief(self) -> str:
        return f"{self.statistic:.4f}, p = {self.p_value:.4g}"

    def __str__(self) -> str:
        lines = [
            f"{self.null.model.title()} against {self.alternative.model.title()}",
            f"2 log likelihood ratio {self.statistic:.4f}, p = {self.p_value:.4g} "
            f"({len(self.replicates)} samples from the former)",
        ]
        return "\n".join(lines + ([self.message] if self.message else []))


@in_our_words
def bootstrap_lrt(
    null: Model,
    alternative: Model,
    X: Any,
    *,
    weights: Any = None,
    n_replicates: int = 99,
    n_starts: int = 5,
    prior: Any = None,
    rng: Rng = None,
    engine: Any = None,
    stop_at: int | None = None,
) -> LikelihoodRatioTest:
    """Test a model against a larger one, such as K components against K + 1.

    Both are fitted to the rows and to samples drawn from the fitted null model, and p is the share
    of likelihood ratios that are as large (McLachlan 1987, Appl. Statist. 36, 318).

    Parameters
    ----------
    null, alternative : models, the first a special case of the second.
    X : the data, as for `emframe.fit`.
    weights : frequencies, as for `emframe.fit`.
    n_replicates : samples drawn; 99 is enough for a test at 5 %.
    n_starts : starts of the larger model on each sample; the smaller one starts from its fit.
        Where none of them ends at a regular optimum, as many more as `emframe.fit` thinks fit.
    prior : as for `emframe.fit`; "weak" keeps components of few rows from deciding the test.
    rng : as for `emframe.fit`.
    engine : as for `emframe.fit`.
    stop_at : stop drawing once so many ratios were as large (Besag and Clifford 1991, Biometrika
        78, 301), which saves most of the work where p is large: with 10, as a rule 20 samples
        at p = 0.5. None for all samples.

    Raises
    ------
    ValueError : where `alternative` has no more free parameters than `null`.
    Degenerate : where a model has no sound fit to the data, or to any of the samples.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> one, two = (emframe.Mixture("poisson", k) for k in (1, 2))
    >>> print(emframe.bootstrap_lrt(one, two, counts, n_replicates=9, rng=0).p_value)
    0.1
    """
    n_replicates = whole("n_replicates", n_replicates, 1, ", 99 to test at 5 %")
    if stop_at is not None:
        stop_at = whole("stop_at", stop_at, 1, ", such as 10, or None")
    generator = generator_from(rng)
    weights = frequencies(X, weights)
    alike: dict[str, Any] = {"prior": prior, "engine": engine}
    small = fit_model(null, X, weights=weights, rng=generator, **alike)
    large = fit_model(alternative, X, weights=weights, rng=generator, **alike)
    if large.n_parameters <= small.n_parameters:
        raise ValueError(
            f"`alternative` has {large.n_parameters} free parameters and `null` has "
            f"{small.n_parameters}; pass the smaller model first."
        )
    for one in (small, large):
        if not _is_sound(one):
            raise Degenerate(f"{one.model.title()}: {one.spurious or one.message}")
    null, alternative = small.model, large.model  # with what was left to the data
    rows = null.rows(X, weights)
    observed_ratio = _ratio(small, large)
    ratios, lost, beyond = [], 0, 0
    for stream in generator.spawn(n_replicates):
        drawn = sampled(null, small.params, rows, stream)
        try:
            below = fit_model(null, drawn, start=small.params, **alike)
            above = fit_model(alternative, drawn, n_starts=n_starts, rng=stream, **alike)
            if not _is_sound(above):
                above = fit_model(alternative, drawn, rng=stream, **alike)
        except Degenerate:
            lost += 1
            continue
        if _is_sound(below) and _is_sound(above):
            ratios.append(_ratio(below, above))
            beyond += ratios[-1] >= observed_ratio
        else:
            lost += 1
        if beyond == stop_at:
            break
    if not ratios:
        raise Degenerate(f"none of {n_replicates} samples had sound fits of both models")
    tried = len(ratios) + lost
    message = f"{lost} of {tried} samples left out: degenerate or spurious." if lost else ""
    return LikelihoodRatioTest(
        small, large, observed_ratio, np.array(ratios), message, beyond == stop_at
    )


def _ratio(small: Fit, large: Fit) -> float:
    """Twice the log-likelihood ratio; 0 where the larger model's starts missed the smaller one."""
    return max(0.0, 2.0 * (large.log_likelihood - small.log_likelihood))


def _require_whole(fit: Fit) -> None:
    """Raise what the engine raised where that cut a fit short, for it is none of the replicates."""
    if fit.error is not None:
        raise fit.error


def _is_sound(fit: Fit) -> bool:
    _require_whole(fit)
    return fit.status.usable and not fit.spurious


def _told(lost: Counter[str]) -> str:
    return ", ".join(f"{count} {why}" for why, count in sorted(lost.items()))
