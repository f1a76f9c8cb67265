"""What a fit returns: parameters, how they were reached, and what can be asked of them.

All log-likelihoods are in nats, summed over rows times their weights, every constant kept.
Criteria are -2 log-likelihood plus a penalty, so lower is better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import isnan, log, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from emframe.core import Status
from emframe.data import Labelled, in_parts, planned, refuse_other_index, swept
from emframe.data.names import ColumnNames
from emframe.data.runs import Sequences, answered
from emframe.engines import block_rows
from emframe.fitting.faces import face
from emframe.fitting.optima import Optima, chance_missed, is_same, optima
from emframe.messages.arguments import Rng, generator_from, whole
from emframe.messages.words import of_a_fit
from emframe.models import Model
from emframe.models.starts import one_hot
from emframe.parameters import leaves, n_free
from emframe.spaces import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

    from emframe.fitting.conditional import ConditionalMixture
    from emframe.fitting.courses import RandomEffects, Trajectories
    from emframe.fitting.gap import Gap
    from emframe.fitting.profiles import Profiles
    from emframe.fitting.visits import ObservedMeans
    from emframe.inference import (
        Diagnostics,
        HypothesisTest,
        Information,
        Intervals,
        StandardErrors,
    )
    from emframe.inference.survival import Survival


POLISH = "polish"  # the kind of a run to its very end from where another start ended
RESEEDED = "re-seeded"  # the kind of a start that goes on from one that lost a component


@dataclass(frozen=True)
class Start:
    """One start and its end.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> fit.starts[fit.best].status.value
    'converged'
    """

    index: int
    kind: str  # "k-means++", "rows", ...
    status: Status
    objective: float  # nan where the start had no finite one
    log_likelihood: float
    n_iter: int  # E-steps
    message: str
    spurious: str = ""  # why the optimum looks like an artefact; empty where it does not
    parent: int | None = None  # the start whose optimum this one moved away from, for a move
    trace: tuple[float, ...] = ()  # objective after each accepted step
    grown: bool = False  # whether it began at the optimum of a smaller model
    sample: int = 0  # rows of the sample that it ran on, whose the objective is; 0 for all rows

    @property
    def is_own(self) -> bool:
        """Whether it did not begin at an optimum that another search had reached.

        Where a start that lost a component died is none.
        """
        return (self.parent is None or self.is_reseeded) and not self.grown

    @property
    def is_reseeded(self) -> bool:
        """Whether it went on from a start that lost a component, with that component elsewhere."""
        return self.kind == RESEEDED

    @property
    def is_polish(self) -> bool:
        """Whether it only brought the end of another start to its very end."""
        return self.kind == POLISH

    @property
    def is_regular(self) -> bool:
        """Whether it ended at an optimum that counts: sound and not spurious."""
        return self.status.usable and not self.spurious


def _as_given(X: Any, values: Array) -> Array:
    """Values of rows in the order in which the user gave them."""
    X = X.X if isinstance(X, Labelled) else X
    return X.as_given(values) if isinstance(X, Sequences) else values


def _of_rows(asked: Any, params: Any, x: Any, _: Array) -> Any:
    """What a method of a model says of rows x."""
    return asked(params, x)


def checked_count(count: Any, has_runs: bool) -> str | float | None:
    """What `Fit.counting` takes; ValueError for anything else."""
    if isinstance(count, str) and count == "runs" and not has_runs:
        raise ValueError("`count` is 'runs', but the rows are in none; pass 'rows', or a number.")
    if count is None or (isinstance(count, str) and count in {"rows", "runs"}):
        return count
    is_number = isinstance(count, (int, float, np.number)) and not isinstance(count, bool)
    if not is_number or not 0.0 < float(count) < np.inf:
        raise ValueError(f"`count` is {count!r}; expected 'rows', 'runs', or a number above 0.")
    return float(count)


@dataclass(frozen=True)
class Fit:
    """A fitted model.  See `emframe.fit`.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> fit.converged, fit.n_parameters
    (True, 3)
    >>> fit.predict([0, 9]).tolist() == fit.predict([1, 8]).tolist()
    True
    >>> np.sort(fit["rates"].ravel()).round(1)
    array([0.8, 7.7])
    """

    model: Model
    params: Any
    status: Status
    message: str  # what the status means for this fit, and the remedy
    log_likelihood: float  # nats, sum over rows times weights
    objective: float  # log_likelihood plus the log prior where there is one
    entropy: float  # of the posterior of z, sum over rows times weights
    classification_uncertainty: float  # -sum of log max_k p(z_k | x)
    trace: Array  # (n_steps,) objective after each accepted step; never decreases
    gains: Array  # (n_steps, 2) gain in Q and in entropy of each step; nan at the start
    remaining: float  # estimated gain still ahead at the end, nats
    n_iter: int  # E-steps over the whole data, all starts on them included
    n_rows: float  # total weight of the rows
    columns: tuple[str, ...]
    prior: Any
    best: int  # index of the start that won
    starts: tuple[Start, ...]
    form: str = ""  # how the E-steps were computed, such as "quadratic" or "direct"
    n_runs: float = nan  # total weight of the runs; nan where every row is by itself
    count: str | float | None = None  # what n of BIC counts, if not the model's; see `counting`
    error: Exception | None = field(default=None, repr=False, compare=False)
    """What the engine or the source of the rows raised, where that ended the fit; not saved."""

    @property
    def converged(self) -> bool:
        """Whether the estimated remaining gain is below tol."""
        return self.status is Status.CONVERGED

    @property
    def log_prior(self) -> float:
        """Log density of the prior at the parameters; 0 without one."""
        return self.objective - self.log_likelihood

    @property
    def spurious(self) -> str:
        """Why this optimum looks like an artefact of an unbounded likelihood; empty if not."""
        return self.starts[self.best].spurious

    @property
    def optima(self) -> Optima:
        """The distinct optima of all rows that the starts ended at, the best first."""
        return optima(one for one in self.starts if not one.sample)

    @property
    def n_found(self) -> int:
        """How many starts of their own found the optimum that this fit is at; 2 replicate it.

        1 where moves from other optima alone found it, which does not replicate it.

        Where it is the polish of one that was found on a sample, so many found that one there.
        """
        where = self.found_on_sample
        if where is not None:
            same = [one for one in self.starts if one.sample == where.sample]
            ends, here = optima(same), where.objective
        else:
            ends, here = self.optima, self.objective
        at = [one for one in ends if is_same(one.objective, here)]
        return sum(one.times for one in at) or min(1, sum(one.moves for one in at))

    @property
    def found_on_sample(self) -> Start | None:
        """The end on a sample whose polish on all rows this fit is; None where it is none."""
        start = self.starts[self.best]
        while start.parent is not None and not start.sample:
            start = self.starts[start.parent]
        return start if start.sample else None

    @property
    def chance_missed(self) -> float:
        """The estimated chance that one more start would find a better optimum, 0 to 1.

        From how often each optimum was found (Good 1953); moves are not counted as starts.  0 for
        the only start of a model of which one is as good as many.
        """
        if len(self.starts) == 1 and self.model.sole_start:
            return 0.0
        first = self.starts[0].sample  # where the search was made: on a sample, or on all rows
        return chance_missed(one for one in self.starts if one.sample == first)

    @property
    def component_columns(self) -> ColumnNames:
        """The names of the columns that components see: all but those that a gate reads."""
        beside = getattr(getattr(self.model, "latent", None), "beside", 0)
        family = getattr(self.model, "family", None)
        names = self.columns[: len(self.columns) - beside]
        return ColumnNames(names, self.levels, None if family is None else family.parts_of(names))

    @property
    def levels(self) -> dict[str, tuple[str, ...]]:
        """For each column of words that is modelled its values, in order of their codes."""
        legend = getattr(self.model, "legend", None)
        return {} if legend is None else dict(legend.levels)

    @property
    def n_parameters(self) -> int:
        """Number of free parameters."""
        return n_free(self.params)

    @property
    def aic(self) -> float:
        """-2 log-likelihood + 2 parameters (Akaike 1974)."""
        return -2.0 * self.log_likelihood + 2.0 * self.n_parameters

    @property
    def bic(self) -> float:
        """-2 log-likelihood + parameters x log n (Schwarz 1978); `n` is `n_units`."""
        return -2.0 * self.log_likelihood + self.n_parameters * log(self.n_units)

    @property
    def icl(self) -> float:
        """BIC + 2 x classification uncertainty (Biernacki, Celeux and Govaert 2000)."""
        return self.bic + 2.0 * self.classification_uncertainty

    @property
    def sabic(self) -> float:
        """BIC with (n + 2) / 24 in the place of n (Sclove 1987, Psychometrika 52, 333)."""
        return -2.0 * self.log_likelihood + self.n_parameters * log((self.n_units + 2.0) / 24.0)

    @property
    def caic(self) -> float:
        """-2 log-likelihood + parameters x (log n + 1) (Bozdogan 1987, Psychometrika 52, 345)."""
        return self.bic + self.n_parameters

    @property
    def relative_entropy(self) -> float:
        """1 - entropy / (n log K): 1 where components are told apart without doubt, 0: not at all.

        nan where z is no choice among two or more for each unit alone (a path, or continuous), and
        of a family that hides something of its own; ``fit.diagnostics(X)`` takes it from the rows.
        """
        k, latent = self.model.choices() or 1, getattr(self.model, "latent", None)
        family = getattr(self.model, "family", None)
        if k < 2 or family is None or family.hides or getattr(latent, "in_runs", False):
            return nan
        n = self.n_runs if self.model.unit == "runs" else self.n_rows
        return 1.0 - self.entropy / (n * log(k))

    @property
    def unit(self) -> str:
        """What `n_units` counts: "rows" or "runs"; "" where it is a number that was given.

        What has a z of its own, unless `counting` said otherwise: a row, or the run whose rows
        share one.  So people count alike whether a row is all of one or one of several.
        """
        count = self.model.unit if self.count is None else self.count
        return count if isinstance(count, str) else ""

    @property
    def n_units(self) -> float:
        """The n of BIC and ICL: the total weight of what `unit` names, or the number given."""
        if self.count is not None and not isinstance(self.count, str):
            return self.count
        return self.n_runs if self.unit == "runs" else self.n_rows

    def counting(self, count: str | float | None) -> Fit:
        """The same fit with another n in BIC and ICL.

            fit.counting("rows").bic

        Parameters
        ----------
        count : "rows", "runs", or a number above 0; None for what the model counts, see `unit`.

        Raises ValueError for anything else, and for runs of a fit whose rows are in none.
        """
        return replace(self, count=checked_count(count, has_runs=not isnan(self.n_runs)))

    # ---- questions about rows

    def _asked(self, X: Any) -> Any:
        """Rows, in runs where the model says which column tells of them."""
        grouped = getattr(self.model, "in_groups", None)
        parts = in_parts(X)
        if parts is not None:
            return parts
        return X if grouped is None else grouped(X)

    def _planned(self, X: Any, method: Any, names: tuple[str, ...], kind: type) -> Any:
        """What is asked of each row of Dask's, for later; None where it is asked now."""
        return None if getattr(self.model, "in_runs", False) else planned(X, method, names, kind)

    def score_samples(self, X: Any) -> Any:
        """Log density of each row, (n,), nats; a series with the index of X where it has one."""
        names = ("log_density",)
        later = self._planned(X, self.score_samples, names, float)
        if later is not None:
            return later
        X = self._asked(X)
        return answered(X, self.posterior(X)[0], names)

    def predict_proba(self, X: Any) -> Any:
        """Responsibilities p(z | x), (n, K); rows sum to 1.

        A frame with the index of X where X is a pandas one.

        Raises ValueError for a row that has density zero under every component, and TypeError
        where z is no choice among components.
        """
        if self.model.choices() is None:
            raise TypeError(
                f"the z of a {self.model.title()} model is continuous, and has no probabilities to "
                "list; see latent(X) for its mean."
            )
        names = self._numbered("p")
        later = self._planned(X, self.predict_proba, names, float)
        if later is not None:
            return later
        X = self._asked(X)
        density, resp = self.posterior(X)
        impossible = np.isneginf(density)
        if impossible.any():
            what = "run" if len(density) < len(resp) else "row"
            raise ValueError(
                f"`X` {what} {int(impossible.argmax())} ({int(impossible.sum())} such) has density "
                "zero under every component, so no responsibilities; see score_samples(X)."
            )
        return answered(X, resp, names)

    def _numbered(self, letter: str) -> tuple[str, ...]:
        """Names for what is said of each component."""
        return tuple(f"{letter}{k}" for k in range(self.model.choices() or 0))

    def prior_proba(self, X: Any) -> Any:
        """Prior probabilities p(z) of each row, (n, K): of a gate those at its covariates.

        Aligned like `predict_proba`.  Where the rows of a run share one z, a row for each run.

        Raises TypeError for a model whose z has none: a continuous one, or a path.
        """
        prior = getattr(self.model, "prior_proba", None)
        if prior is None or getattr(getattr(self.model, "latent", None), "in_runs", False):
            raise TypeError(
                f"a {self.model.title()} model has no prior probabilities of single rows; see "
                "predict_proba(X)."
            )
        names = self._numbered("p")
        later = self._planned(X, self.prior_proba, names, float)
        if later is not None:
            return later
        X = self._asked(X)
        rows = self.model.rows(X, columns=self.columns)
        of_block = partial(_of_rows, prior, self.params)
        found = np.concatenate(swept(rows, block_rows(self.model.work(rows)), of_block))
        return answered(X, _as_given(X, found), names)

    def latent(self, X: Any) -> Any:
        """E[z | x], a row to each row: responsibilities, factor scores, completed rows, ...

        A frame with the index of X where X is a pandas one.
        """
        X = self._asked(X)
        found = self.posterior(X)[1]
        return answered(X, found, tuple(f"z{k}" for k in range(found.shape[1])))

    def impute(self, X: Any) -> Any:
        """The rows with the mean of what is missing given what is seen, (n, d), E[x | seen].

        Of words, and of a code without an order, it is the likeliest one.  A frame with the index
        of X where X is a pandas one.

            fit = emframe.fit(emframe.Mixture("gaussian", 2, missing=True), X, rng=0)
            fit.impute(X)

        Raises TypeError for a model that takes no missing values.
        """
        if not hasattr(self.model, "imputed"):
            raise TypeError(f"a {self.model.title()} model has no missing values to fill in.")
        X = self._asked(X)
        rows = self.model.rows(X, columns=self.columns)
        of_block = partial(_of_rows, self.model.imputed, self.params)
        filled = _as_given(X, np.concatenate(swept(rows, len(rows), of_block)))
        columns = tuple(self.columns[: filled.shape[1]])
        told = answered(X, filled, columns)
        if not self.levels:
            return told
        words = cast(Any, self.model).legend.words(filled, columns)
        return words.set_axis(told.index, axis=0) if hasattr(told, "index") else words

    def conditional(
        self,
        X: Any = None,
        *,
        given: Sequence[str | int] | str | int | None = None,
        of: Sequence[str | int] | str | int | None = None,
    ) -> ConditionalMixture:
        """The law of some columns given others, a mixture again; of what was seen, row by row.

        With Gaussian components its mean is Gaussian mixture regression.

            law = fit.conditional({"eruptions": [2.0, 4.5]}, of="waiting")
            law.mean(), law.covariance(), law.weights, law.sample(100, rng=0)

        Parameters
        ----------
        X : the columns that are given, by name, as a frame or a mapping; or an array of those that
            `given` names in its order, or of all columns. None with nothing given: the marginal
            law, of one row.
        given : the columns that are, by name or index; the others may be anything in X.
        of : the columns whose law it is; all that are modelled and not given, where left out.

        Of a chain a row is given what all rows of its run show.

        Returns ``weights`` (n, K), ``means`` (n, K, m) and ``covariances`` (n, K, m, m) of the
        components, ``mean()`` (n, m) and ``covariance()`` (n, m, m), ``score_samples(values)``,
        nats, and ``sample(n, rng)``.

        Raises TypeError for a family that does not tell, ValueError for columns that are none.
        """
        return face("conditional")(self, X, given, of)

    def predict(self, X: Any) -> Any:
        """The most probable component of each row, (n,); aligned like `predict_proba`."""
        names = ("component",)
        later = self._planned(X, self.predict, names, int)
        if later is not None:
            return later
        X = self._asked(X)
        labels = np.asarray(self.predict_proba(X)).argmax(axis=1)
        return answered(X, labels, names)

    def viterbi(self, X: Any) -> Any:
        """The likeliest path of states of each run, a state to each row; aligned like `predict`.

        Raises TypeError for a model whose z is no path.
        """
        path = getattr(self.model, "viterbi", None)
        if path is None:
            raise TypeError(
                f"the z of a {self.model.title()} model is no path through states; see predict(X)."
            )
        X = self._asked(X)
        return answered(X, path(self.params, X, self.columns), ("state",))

    def complete_log_likelihood(self, X: Any, z: Any) -> float:
        """Sum over rows of log p(x, z | params), nats, for known z.

        Parameters
        ----------
        X : (n, d) rows.
        z : (n, K) one-hot rows, or integer labels (n,); what `sample` gives, where z is another.
        """
        refuse_other_index(z, X, "z")
        X = self._asked(X)
        rows, z = self.model.rows(X, columns=self.columns), np.asarray(z)
        plain = X.X if isinstance(X, Labelled) else X
        z = plain.regrouped(z) if isinstance(plain, Sequences) else z
        return self.model.complete_log_likelihood(self.params, rows.x, z)

    def sample(
        self, n: int, rng: Any = None, *, labels: bool = False, given: Any = None
    ) -> tuple[Any, NDArray[Any]]:
        """Draw n rows and their latent z: first z, then x given z.

        A regression says nothing of its covariates: `given` has rows whose covariates are drawn
        from, each as likely as another.

        Returns (rows (n, d), z one-hot (n, K)); with ``labels=True`` z is integer labels (n,).
        A continuous z is returned as it is.  Where columns that are modelled held words, the rows
        are a data frame that holds them as categories.
        """
        model = self.model
        if given is not None:
            model = model.given(model.rows(given, columns=self.columns).x)
        rows, drawn = model.sample(self.params, whole("n", n, 0), generator_from(rng))
        if self.levels:
            rows = cast(Any, self.model).legend.words(rows, self.columns)
        else:
            rows = getattr(model, "as_columns", np.asarray)(rows)
        k = self.model.choices()
        return rows, drawn if labels or k is None else one_hot(drawn, k)

    def posterior(self, X: Any) -> tuple[Array, Array]:
        """Log density (n,) and the mean of z given x, (n, K) where z is one-hot, in one pass.

        A row that is impossible under every component has -inf and a row of nan.
        """
        X = self._asked(X)
        rows = self.model.rows(X, columns=self.columns)
        of_block = partial(_of_rows, self.model.posterior, self.params)
        parts = swept(rows, block_rows(self.model.work(rows)), of_block)
        density, resp = (np.concatenate(each) for each in zip(*parts, strict=True))
        return _as_given(X, density), _as_given(X, resp)

    def survival(
        self, X: Any, times: Any = None, *, weights: Any = None, level: float = 0.95
    ) -> Survival:
        """The share that lives longer than each time: as rows tell it, and as the fit says.

        Rows may tell bounds alone (`emframe.Censored`): exact and right censored times give the
        estimate of Kaplan and Meier, with an interval by Greenwood's formula; others Turnbull's.

            told = fit.survival(X)
            told.times, told.observed, told.low, told.high, told.fitted, told.distance
            told.observed_by_component, told.fitted_by_component

        Parameters
        ----------
        times : (m,); where left out those at which the observed share falls.
        weights : (n,) frequencies of the rows.
        level : of the interval.

        Raises TypeError for a model of several columns, of runs, or without such a function.
        """
        return face("survival")(self, X, times, weights, level)

    # ---- courses over time

    def residuals(
        self, X: Any, *, column: str | None = None, n_draws: int = 250, rng: Rng = None
    ) -> Any:
        """Randomised quantile residuals, (n,): standard normal where the model holds.

        Each says where a row lies among `n_draws` that are drawn from the fit at its covariates, of
        any family, counts included.  Aligned like `predict`; nan for a row that hides the column.
        ``fit.plot(X, "residuals")`` shows them with an envelope.

        Parameters
        ----------
        X : (n, d) rows.
        column : of which, where several are modelled.

        Raises
        ------
        ValueError : for a column that is not modelled.
        TypeError : for categories, and for models whose rows have no z of their own.
        """
        return face("residuals")(self, X, column=column, n_draws=n_draws, rng=rng)

    def random_effects(self, X: Any) -> RandomEffects:
        """What is known of each person's random effects, given their rows.

        ``.means`` (N, q) are averaged over components by the person's responsibilities;
        ``.by_component`` and ``.deviations`` (N, K, q) are of each.

        Raises TypeError for a model without random effects.
        """
        return face("random_effects")(self, X)

    def forecast(self, X: Any, at: Any) -> Any:
        """What responses people will have, given those that they had, (n, 2): mean and deviation.

        Averaged over components by what X says of the person; what X has no row of is foretold
        by the components' weights alone.

        Parameters
        ----------
        X : rows of people, as for `predict`.
        at : the rows to foretell, in runs of the same keys; of the response nothing is read.

        A frame with the index of `at` where that is a pandas one.  Raises TypeError for a model
        without random effects, ValueError for runs that cannot be told apart.
        """
        return face("forecast")(self, X, at)

    def trajectories(
        self,
        times: Any,
        *,
        given: Mapping[str, float] | None = None,
        column: str | None = None,
        interval: float = 0.95,
        errors: StandardErrors | None = None,
        response: str | None = None,
    ) -> Trajectories:
        """The mean response of each component along a column, with intervals.

        Parameters
        ----------
        times : (m,) values of that column.
        given : values of the other covariates, by name.
        column : the column; the first covariate if None.
        interval : the level. ``.low`` and ``.high`` hold that share of the component's responses;
            ``.lower`` and ``.upper`` the mean, by the delta method, where there are errors.
        errors : ``fit.standard_errors(X)``; a fit keeps no data.
        response : its column, of a product that has several; the first if None.

        Raises TypeError for a model without a response, and ValueError for columns without a value.
        """
        return face("trajectories")(self, times, given, column, interval, errors, response)

    def observed_means(
        self,
        X: Any,
        *,
        column: str | None = None,
        windows: Any = 10,
        interval: float = 0.95,
        weights: Any = None,
        response: str | None = None,
    ) -> ObservedMeans:
        """Mean responses of each component in windows along a column, beside those it expects.

        Each visit counts for a component as its person does, by p(z | all their visits); what is
        expected is the component's curve at those visits, whatever their covariates.

        Parameters
        ----------
        X, weights : rows of people, as for `predict`, and the frequency of each person.
        column : along which; the first covariate if None.
        windows : their number, of about as many visits each, or one for each value of the column
            where there are no more; or their edges (m + 1,).
        interval : the level of the intervals of the means, over people (a person's visits go
            together).
        response : its column, of a product that has several; the first if None.

        Raises TypeError for a model without people, ValueError for columns or windows that are
        none.
        """
        return face("observed_means")(self, X, column, windows, interval, weights, response)

    def visit_residuals(self, X: Any) -> Any:
        """Means and residuals of every visit, (n, 4), in the order of the rows of X.

        ``marginal_mean`` is the mean over components before anything was seen of the person, and
        ``marginal`` what it leaves; ``subject_mean`` that given all visits of the person, their
        random effects included, and ``subject`` what that leaves.  A frame with the index of X
        where that is one of pandas.

        Raises TypeError for a model without people.
        """
        return face("visit_residuals")(self, X)

    # ---- how well the parameters are known

    def information(self, X: Any, weights: Any = None) -> Information:
        """How fast EM converges here, how much information is missing, and about what.

        Costs two E-steps for each free parameter, on the data that the fit was made from.  See
        `emframe.Information`.
        """
        return face("information")(self, X, weights)

    def standard_errors(
        self,
        X: Any,
        *,
        method: str = "observed",
        weights: Any = None,
        n_replicates: int = 200,
        rng: Any = None,
        engine: Any = None,
        clusters: Any = None,
        strata: Any = None,
    ) -> StandardErrors:
        """Standard errors of all parameters, in the form of the parameters.

        Parameters
        ----------
        X, weights : the data that the fit was made from; a fit keeps none.
        method : "observed" from the observed information; "scores" from the rows' scores, the
            empirical information; "sandwich" from both, right also where the model is wrong;
            "bootstrap" from rows drawn with replacement; "parametric" from rows drawn from the
            fit. The first three cost two E-steps for each parameter, the others a fit for each
            replicate.
        n_replicates : number of bootstrap samples.
        rng : of the bootstrap, as for `emframe.fit`.
        engine : as for `emframe.fit`.
        clusters, strata : (n,) labels of rows, of a "sandwich": rows of a cluster are not
            independent of each other (pupils of a class), clusters of a stratum were drawn
            within it.

        Returns
        -------
        StandardErrors
            ``.params`` holds them, ``.table`` lists them, ``.regularity`` says whether the theory
            behind them holds at this fit.

        Raises
        ------
        ValueError : for an unknown method, "scores" with a prior, clusters without "sandwich".
        Degenerate : where fewer than two bootstrap fits were sound.
        """
        return face("standard_errors")(
            self,
            X,
            method=method,
            weights=weights,
            n_replicates=n_replicates,
            rng=rng,
            engine=engine,
            clusters=clusters,
            strata=strata,
        )

    def confint(self, X: Any, level: float = 0.95, **options: Any) -> Intervals:
        """Confidence intervals of all parameters, at this level.

        The options are those of `standard_errors`.  From curvature they are Wald intervals on the
        logarithm of what is positive and the logit of probabilities; from a bootstrap, quantiles.
        """
        return self.standard_errors(X, **options).confint(level)

    def test(
        self,
        hypothesis: str | Sequence[str] | Fit,
        X: Any = None,
        *,
        errors: StandardErrors | None = None,
        **options: Any,
    ) -> HypothesisTest:
        """Test hypotheses on the parameters, or this fit against one of a special case of it.

            fit.test("time[0] = time[1]", X)      # Wald, in the names of fit.standard_errors(X)
            fit.test(smaller)                     # likelihood ratio of nested fits of the same data

        Parameters
        ----------
        hypothesis : an equation, such as ``"means[0, x] = means[1, x]"``, or several in a list that
            are tested together; or a `Fit`.
        X : the data that the fit was made from; a fit keeps none.
        errors : standard errors that were found already, in the place of X.
        **options : as for `standard_errors`, such as ``method="sandwich"``.

        Raises
        ------
        TypeError : where neither data nor errors are given.
        ValueError : for an unknown name or what is no equation; for a parameter without a
            standard error; for fits that are not nested, or differ in the number of components.
        """
        return face("hypothesis_test")(self, hypothesis, X, errors=errors, **options)

    def gap(
        self,
        X: Any,
        *,
        weights: Any = None,
        tol: float = 0.01,
        max_points: int = 100_000,
        **options: Any,
    ) -> Gap:
        """What further components could add at most, however many: a certificate.

            fit = emframe.fit(emframe.Mixture("poisson", 2), counts)
            print(fit.gap(counts).most)  # near 0: no mixture of Poisson components is better

        For mixtures of one family whose density can be bounded over a range of parameters:
        poisson, bernoulli, gaussian with one covariance or a least one, exponential families of
        one parameter, products of these. The page on certificates has the theory.

        Parameters
        ----------
        X, weights : the data that the fit was made from; a fit keeps none. Held in memory.
        tol : how near to each other the bounds are brought, nats.
        max_points : how many components are tried, at most, which decides how long it takes.
            Where bounds have not met by then, as with four free numbers of a component or more,
            they are told as they are.
        **options : what the family asks for: of a gaussian with free variances
            ``least_variance``, the least that a component may have, a number or one per column.

        Raises
        ------
        TypeError : for a model or a family that has no certificate.
        ValueError : where further components add without bound; where the fit was made under a
            prior, or with weights held; for a component of many free numbers.
        """
        return face("gap")(self, X, weights=weights, tol=tol, max_points=max_points, **options)

    def diagnostics(
        self,
        X: Any,
        *,
        weights: Any = None,
        n_replicates: int = 0,
        rng: Any = None,
        engine: Any = None,
    ) -> Diagnostics:
        """What to look at before a fit is believed.

            print(fit.diagnostics(X))

        Sizes of components, by mean responsibility and by assignment; average posteriors, odds of
        correct classification, the table of classification errors, entropy R2; criteria (aic, bic,
        sabic, caic, icl, awe); whether the data determine the parameters, and whether the optimum
        was replicated.  Of columns of categories also G2, X2 and what is left between pairs.

        Parameters
        ----------
        X, weights : the data that the fit was made from; a fit keeps none.
        n_replicates : tables drawn from the fit, and fitted again, for the p-values of G2 and X2;
            0 for those of the chi-squared law.
        rng, engine : as for `emframe.fit`.

        Raises
        ------
        TypeError : for a model whose z is no choice among components.
        ValueError : for replicates of what is no table.
        """
        return face("diagnostics")(
            self, X, weights=weights, n_replicates=n_replicates, rng=rng, engine=engine
        )

    # ---- showing

    def summary(self, errors: StandardErrors | None = None) -> str:
        """What `print` shows; with standard errors in brackets under the parameters, if given."""
        return face("summary")(self, errors)

    def profiles(self) -> Profiles:
        """The parameters of components side by side: a row for each, a column for each component.

        It prints, and has ``to_frame()``, ``to_csv(path)`` and ``to_latex(path)``.

        Raises TypeError for a model whose z is no choice among components.
        """
        return face("profiles")(self)

    def __getitem__(self, name: str) -> Array:
        """A parameter by its name: ``fit["means"]`` is ``fit.params.components.means``.

        Raises KeyError for a name that no parameter has, or several: with those there are.
        """
        known = {leaf.path.removeprefix("components."): leaf.value for leaf in leaves(self.params)}
        ends = [path for path in known if path.split(".")[-1] == name]
        path = name if name in known else ends[0] if len(ends) == 1 else None
        if path is None:
            which = "several parameters are" if ends else "no parameter is"
            raise KeyError(
                f"{which} called {name!r}; there are {', '.join(map(repr, ends or known))}"
            )
        return np.asarray(known[path])

    __iter__ = None  # a fit has names, and no first item

    def __getattr__(self, name: str) -> Any:
        """Refuse what other packages' fits have, by the name that it has here."""
        if hasattr(type(self), name):  # it has one, which failed
            return object.__getattribute__(self, name)
        told = of_a_fit(name)
        raise AttributeError(f"a Fit has no {name!r}.{told and f' {told}'}")

    def to_dict(self) -> dict[str, Any]:
        """The fit as plain Python: numbers, text, and lists for the parameters by their paths."""
        names = ("log_likelihood", "objective", "n_parameters", "aic", "bic", "icl", "n_rows")
        return {
            "model": self.model.title(),
            "status": self.status.value,
            "message": self.message,
            **{name: getattr(self, name) for name in names},
            "columns": list(self.columns),
            "levels": {name: list(levels) for name, levels in self.levels.items()},
            "parameters": {
                leaf.path: np.asarray(leaf.value).tolist() for leaf in leaves(self.params)
            },
        }

    def to_frame(self, errors: StandardErrors | None = None, level: float = 0.95) -> DataFrame:
        """The parameters as a tidy pandas data frame, a row for each number.

        The columns are ``parameter``, ``component``, ``column`` (and ``column_2`` of a covariance),
        ``estimate``, and where errors are given ``standard_error``, ``lower`` and ``upper``.

        Raises ImportError without pandas, naming the extra, and TypeError for what are no standard
        errors.
        """
        return face("parameter_frame")(self, errors, level)

    def to_csv(self, path: str | Path | None = None, **options: Any) -> str | None:
        """`to_frame` as CSV, by pandas and with its options; the text where there is no path."""
        return self.to_frame().to_csv(path, **{"index": False, **options})

    def to_latex(self, path: str | Path | None = None, **options: Any) -> str | None:
        """`to_frame` as a LaTeX table, by pandas and with its options (it needs jinja2)."""
        return self.to_frame().to_latex(path, **{"index": False, **options})

    def plot(
        self,
        X: Any = None,
        kind: str | None = None,
        *,
        ax: Axes | None = None,
        weights: Any = None,
        errors: StandardErrors | None = None,
        column: str | int | None = None,
        rng: Any = 0,
    ) -> Axes:
        """Draw the fit with matplotlib, and the rows with it where they are given.

        Parameters
        ----------
        X, weights : rows to show; a fit keeps none.
        kind : "density" of one column; "plane" of two, with the regions that hold half and nine
            tenths of each component; "pairs" of columns; "profile" of a parameter along the
            columns; "survival" beside what the rows tell of it; "residuals" with their envelope,
            "rootogram" of counts; "membership", the probability of each component along a column
            that the weights depend on; "trajectories" of components over those of people,
            "observed" means of components in windows beside those that they expect, "visits" with
            what is left of each; "states" of chains over time; "trace" of the objective from all
            starts; "uncertainty" of the rows' labels.
            By default the one that suits the number of columns and what they hold.
        ax : where to draw; by default a new figure.
        errors : standard errors; a profile, and membership, show 95 % intervals.
        column : along which membership, or what was observed, is shown, by default the first; or
            whose residuals are.
        rng : for the rows drawn from the fit that outlines are made from.

        Raises
        ------
        ImportError : without matplotlib, naming the extra.
        ValueError : for an unknown kind, or one that does not go with these columns.
        """
        options = {"ax": ax, "weights": weights, "errors": errors, "column": column, "rng": rng}
        return face("plot")(self, X, kind, **options)

    # ---- keeping

    def save(self, path: str | Path) -> None:
        """Write the fit to a file that `emframe.load` reads; no pickle, no code."""
        face("save")(self, path)

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return face("html")(self)

    def __repr__(self) -> str:
        return (
            f"<Fit: {self.model.title()}, log_likelihood={self.log_likelihood:.6f}, "
            f"{self.status.value}>"
        )
