"""The estimator: settings under scikit-learn's names, and `emframe.fit` behind them.

Nothing is computed here.  The whole of what a fit returns, with its status and its trace, is
`EMMixture.fit_`.

One known case: ``EMMixture(random_state=0)`` reaches the parameters of ``emframe.fit(rng=0)``.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    DensityMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

import emframe
from emframe.data import Table, refuse_elsewhere
from emframe.data.formulas import is_formula
from emframe.data.frames import is_frame, names_of
from emframe.data.words import column_of, levels_of
from emframe.latents import Gate
from emframe.messages.arguments import real
from emframe.messages.refusals import several
from emframe.models import Mixture
from emframe.sklearn.attributes import attributes
from emframe.sklearn.kinds import OneKind
from emframe.sklearn.starting import given_start
from emframe.spaces import Array

# Of scikit-learn's checks; emframe's own gate tells where a number is that is not finite.
_TAKEN: Any = {"dtype": (np.float64, np.float32), "ensure_all_finite": False}

THEIR_REG_COVAR = 1e-6  # the default of scikit-learn, which a script may spell out


class EMMixture(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, BaseEstimator):
    """A mixture of any family, fitted by EM.

    X is an array of numbers, or a data frame, whose columns may hold words where the family takes
    them; see ``levels_``.

    Parameters
    ----------
    family : name of a plugin, a `Family`, or a list of them.
    n_components : number of components.
    covariance_type : "full", "tied", "diag" or "spherical", for a family with covariances.
    family_options : further settings of the family, by name.
    tol : estimated remaining gain at which a start has converged, nats over all rows. Stricter
        than scikit-learn's, which bounds the last step's gain per row.
    max_iter : cap on the steps of each start.
    n_init : number of starts, of several kinds in turn; None for the longer search of
        `emframe.fit`, which goes on until the best optimum was found many times.
    init_params : None for starts of several kinds in turn, or one of scikit-learn's: "kmeans",
        "k-means++", "random_from_data", "random".
    means_init : (K, d) to start from; then there is one start. What else it needs comes from one
        of the kind `init_params`, k-means where that is None, as in scikit-learn.
    weights_on : columns of X that the weights depend on, by name or by index; see `emframe.Gate`.
        The family sees the others, or those that it names.
    weights_init, precisions_init : more of that start, in scikit-learn's shapes.
    reg_covar : nothing is added to covariances: what is climbed is the likelihood, or that with a
        prior. 0 and scikit-learn's own 1e-6 leave it to `prior`; any other value stands for
        prior="weak" where `prior` is "auto", with a warning.
    prior : None for maximum likelihood, "weak" or a `ConjugatePrior` for its maximum a posteriori.
        "auto" is maximum likelihood wherever it exists, and where every start is degenerate, as
        with fewer rows than columns, the weak prior, with a warning.
    random_state : int, RandomState, Generator or None. numpy's global state is never used.
    warm_start : whether to start from the last fit's parameters.
    verbose : whether to show progress.
    verbose_interval : of no effect; progress is shown by time, not by steps.

    Attributes
    ----------
    fit_ : the `emframe.Fit`, from which the rest is read.
    weights_ : (K,) and each parameter of the family under its name with an underscore, such as
        ``means_`` (K, d), ``rates_``, ``probs_``. Weights that depend on columns as their mean over
        the rows.
    levels_ : for each column of words that is modelled its values, in the order of their codes.
    gate_intercept_, gate_coef_ : (K,) and (K, p), log odds against the first component, for the
        columns ``gate_names_``, (p,); where the weights depend on any.
    covariances_, precisions_, precisions_cholesky_ : of families that have covariances, in the
        shape that scikit-learn gives to the covariance_type.
    converged_, n_iter_ : whether the best start converged, and its steps: `max_iter` at most.
    lower_bounds_, lower_bound_ : the objective per row after each of its steps, and at the end.
    n_features_in_, feature_names_in_ : of the data.
    """

    def __init__(
        self,
        family: Any = "gaussian",
        n_components: Any = 1,
        *,
        covariance_type: str = "full",
        family_options: Mapping[str, Any] | None = None,
        weights_on: Any = None,
        tol: float = 1e-8,
        max_iter: int = 10_000,
        n_init: int | None = 10,
        init_params: str | None = None,
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        reg_covar: float = 0.0,
        prior: Any = "auto",
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        self.family = family
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.family_options = family_options
        self.weights_on = weights_on
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.reg_covar = reg_covar
        self.prior = prior
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    # ---- fitting

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> EMMixture:
        """Fit the mixture to X (n, d).

        `sample_weight` (n,) are frequencies: weight 2 equals the row twice, 0 the row removed.
        `y` is ignored.  Raises ValueError for unusable settings or data, and where the model is
        degenerate; warns with ConvergenceWarning where it did not converge.
        """
        start = self.fit_.params if self.warm_start and hasattr(self, "fit_") else None
        table = self._rows(X, reset=True)
        self._require_same(start, table)
        self.__dict__.pop("_stream", None)
        fit = self._fitted(table, sample_weight, start)
        self._show(fit, table, sample_weight)
        if not fit.converged or fit.spurious:
            text = f"{fit.message} {fit.spurious}".strip()
            warnings.warn(text, ConvergenceWarning, stacklevel=2)
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> EMMixture:
        """Learn from some more rows (n, d), which need not be kept: see `emframe.Stepwise`.

        The first call after a `fit`, or ever, fits its rows to convergence and begins a stream with
        them, so they have to tell the components apart; each call after it is one step on the
        average of all rows so far, the newer ones counting for more.  `fit_` is then of the rows of
        the last call, at the parameters of the stream.
        """
        stream = getattr(self, "_stream", None)
        table = self._rows(X, reset=stream is None)
        if stream is None:
            begun = self._fitted(table, sample_weight, None)
            self._online = emframe.Stepwise(begun.model)
            given = {"weights": sample_weight, "prior": begun.prior}
            self._stream = self._online.begin(table, start=begun.params, **given)
        else:
            self._stream = self._online.update(stream, table, weights=sample_weight)
        here = emframe.fit(
            self._online.model, table, weights=sample_weight, start=self._stream.params, max_iter=0
        )
        self._show(here, table, sample_weight)
        return self

    def _require_same(self, start: Any, x: Any) -> None:
        """Raise ValueError where `warm_start` would go on from a fit of another model."""
        if start is None:
            return
        model = self._model().settled(x)
        wrong = model.problem(start, len(model.rows(x).columns))
        if wrong:
            raise ValueError(
                f"`warm_start` goes on from the last fit, a {self.fit_.model.title()} of "
                f"{several(len(self.fit_.columns), 'column')}, which is no start for what is "
                f"asked now ({wrong}); leave the settings and columns as they were, or pass "
                "warm_start=False."
            )

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[np.intp]:
        """Fit, and the most probable component of each row, (n,)."""
        return self.fit(X, y, sample_weight).predict(X)

    def _fitted(self, table: Any, weights: Any, start: Any) -> emframe.Fit:
        if self.n_init is not None and self.n_init < 1:
            raise ValueError(f"`n_init` is {self.n_init}; pass 1 or more, or None.")
        model, seed = self._model(), _seed(self.random_state)
        wished = self._prior(model)
        auto = isinstance(wished, str) and wished == "auto"

        def fitted(prior: Any) -> tuple[emframe.Fit | None, str]:
            """The fit where there is one, and why it is degenerate where it is."""
            try:
                first = self._given_start(model, table, weights) if start is None else start
                fit = emframe.fit(
                    model,
                    table,
                    weights=weights,
                    start=first,
                    n_starts=None if first is not None else self.n_init,
                    rng=seed,
                    tol=self.tol,
                    max_iter=self.max_iter,
                    prior=prior,
                    progress=bool(self.verbose),
                )
            except emframe.Degenerate as error:
                return None, f"{str(error).rstrip('.')}."
            return fit, fit.message if fit.status.lacks_maximum else ""

        given = start is not None or self.means_init is not None
        fit, fault = fitted(None if auto else wished)
        if fault and auto and "weak" in model.family.priors:
            weak, still = fitted("weak")
            # One start that collapses is no word on the model, of which others may be sound.
            found = "the start that is given collapses" if given else "no maximum of the likelihood"
            if weak is not None and not still:
                text = f"{found}: {fault} This fit has prior='weak' instead."
                warnings.warn(text, stacklevel=3)
                return weak
            fit = None
        if fit is None and given:
            raise ValueError(
                f"the start that is given cannot be used: {fault} Pass another, or none for a "
                "search among many."
            )
        if fit is None:
            raise ValueError(f"the model is degenerate on these data: {fault}")
        return fit

    def _prior(self, model: Mixture) -> Any:
        """The prior that is meant: `prior`, or what stands for a `reg_covar` where that is free."""
        amount = real("reg_covar", self.reg_covar, "a number, 0 or above", lambda a: a >= 0)
        if amount in (0.0, THEIR_REG_COVAR):
            return self.prior
        auto = isinstance(self.prior, str) and self.prior == "auto"
        wished = "weak" if auto and "weak" in model.family.priors else self.prior
        warnings.warn(
            f"`reg_covar` is {amount:g}, but nothing is added to covariances here, so that what is "
            f"climbed is an objective of the data alone; prior={wished!r} stands in its place.",
            stacklevel=4,
        )
        return wished

    def _model(self) -> Mixture:
        if not isinstance(self.family_options, (Mapping, type(None))):
            raise TypeError(
                f"`family_options` is {self.family_options!r}; pass settings by name, "
                "{'missing': True}."
            )
        options = dict(self.family_options or {})
        if _takes_covariance(self.family):
            options.setdefault("covariance", self.covariance_type)
        elif self.covariance_type != "full":
            raise ValueError(
                f"`covariance_type` is {self.covariance_type!r}, but the family {self.family!r} "
                "has no such setting; leave it out."
            )
        if self.weights_on is not None:
            options["weights"] = Gate(*_listed(self.weights_on))
        if self.init_params is None:
            return Mixture(self.family, self.n_components, **options)
        return OneKind(self.init_params, self.family, self.n_components, **options)

    def _given_start(self, model: Mixture, table: Any, sample_weight: Any) -> Any:
        if self.means_init is not None:
            model = model.settled(table, sample_weight)
        return given_start(
            model,
            table,
            sample_weight,
            weights=self.weights_init,
            means=self.means_init,
            precisions=self.precisions_init,
            covariance_type=self.covariance_type,
            rng=np.random.default_rng(_seed(self.random_state)),
        )

    def _show(self, fit: emframe.Fit, table: Any, weights: Any) -> None:
        """Set what scikit-learn's users look for."""
        self.fit_ = fit
        self.levels_ = fit.levels
        self._n_features_out = fit.model.choices()
        shown = attributes(fit, self.max_iter)
        if self.weights_on is not None:
            shown["weights_"] = np.average(fit.prior_proba(table), axis=0, weights=weights)
        for name, value in shown.items():
            setattr(self, name, value)

    # ---- questions about rows

    def predict(self, X: Any) -> NDArray[np.intp]:
        """The most probable component of each row, (n,)."""
        x = self._rows(X)
        return np.asarray(self.fit_.predict(x))

    def predict_proba(self, X: Any) -> Array:
        """Responsibilities p(z | x), (n, K)."""
        x = self._rows(X)
        return np.asarray(self.fit_.predict_proba(x))

    def transform(self, X: Any) -> Array:
        """Responsibilities as features, (n, K)."""
        return self.predict_proba(X)

    def score_samples(self, X: Any) -> Array:
        """Log density of each row, (n,), nats."""
        x = self._rows(X)
        return np.asarray(self.fit_.score_samples(x))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Average log density of a row, nats; `sample_weight` (n,) are frequencies."""
        return float(np.average(self.score_samples(X), weights=sample_weight))

    def bic(self, X: Any) -> float:
        """-2 log-likelihood of X + parameters x log rows."""
        density = self.score_samples(X)
        return float(-2.0 * density.sum() + self.fit_.n_parameters * np.log(len(density)))

    def aic(self, X: Any) -> float:
        """-2 log-likelihood of X + 2 parameters."""
        return float(-2.0 * self.score_samples(X).sum() + 2.0 * self.fit_.n_parameters)

    def prior_proba(self, X: Any) -> Array:
        """p(z) of each row before the family's columns are seen, (n, K); see `weights_on`."""
        return np.asarray(self.fit_.prior_proba(self._rows(X)))

    def sample(self, n_samples: int = 1, given: Any = None) -> tuple[Array, NDArray[np.intp]]:
        """Draw rows (n, d) and the components (n,) that they come from.

        `given` (m, d) are rows that have what the family or the weights are given, which is drawn
        from theirs.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"`n_samples` is {n_samples}; pass 1 or above.")
        table = None if given is None else self._rows(given)
        seed = _seed(self.random_state)
        drawn, labels = self.fit_.sample(n_samples, rng=seed, labels=True, given=table)
        gate = getattr(self.fit_.model, "weights", None)
        if table is not None and isinstance(gate, Gate) and gate.named:  # its columns come last
            drawn = drawn[:, [self.fit_.columns.index(name) for name in table.columns]]
        return drawn, labels

    def _rows(self, X: Any, reset: bool = False) -> Any:
        """Numbers as a `Table`; a data frame as it is where words, or formulas, are read."""
        if not reset:
            check_is_fitted(self)
        refuse_elsewhere(X, "X")
        if is_frame(X) and names_of(X) and self._reads_words(X):
            validate_data(self, X, skip_check_array=True, reset=reset)
            return X
        if getattr(X, "dtype", np.dtype(float)).kind in "US":
            raise ValueError("`X` is an array of words; pass a data frame, with names for columns.")
        least = {"ensure_min_samples": 2} if reset else {}
        return self._named(np.asarray(validate_data(self, X, **_TAKEN, **least, reset=reset)))

    def _reads_words(self, frame: Any) -> bool:
        named = (*(self._model().family.columns or ()), *_listed(self.weights_on or ()))
        is_told = any(map(is_formula, named))
        return is_told or any(levels_of(column_of(frame, name)) for name in names_of(frame))

    def _named(self, x: Array) -> Table:
        """Rows with the names of their columns: those of the frame, or in the family's order."""
        d = x.shape[1]
        model = self._model()
        own = model.family.columns or ()
        gate = model.weights.columns if isinstance(model.weights, Gate) else ()
        free = [j for j in range(d) if j not in gate]
        names = [f"x{j}" for j in range(d)]
        if len(own) == len(free):
            for j, name in zip(free, own, strict=True):
                names[j] = name
        return Table(x, tuple(map(str, getattr(self, "feature_names_in_", names))), None)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        family = self._model().family
        minus_one, supports = np.full((1, family.width or 1), -1.0), family.supports
        tags.input_tags.positive_only = not all(one.contains(minus_one).all() for one in supports)
        return tags


def _listed(columns: Any) -> tuple[Any, ...]:
    """Columns as they are told to a gate: one alone, or several."""
    alone = isinstance(columns, (str, int, np.integer))
    return (columns,) if alone else tuple(columns)


def _takes_covariance(family: Any) -> bool:
    """Whether `family` names one with a setting ``covariance``."""
    entry = emframe.families().get(family) if isinstance(family, str) else None
    return entry is not None and entry.takes("covariance")


def _seed(random_state: Any) -> Any:
    """What `emframe.fit` takes as ``rng``: scikit-learn's RandomState gives a seed of its own."""
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(np.iinfo(np.int32).max))
    return random_state
