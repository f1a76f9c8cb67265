"""The words of other packages for what is called something else here.

People come from scikit-learn, mclust, flexmix, poLCA or lcmm, and type what they know.  An argument
of another's name is refused, as any unknown one, and told by ours.

One known case: ``emframe.fit(model, X, random_state=0)`` is a TypeError: "... did you mean rng?".
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

OURS = {
    "rng": ("random_state", "seed", "random_seed", "set_seed"),
    "n_starts": ("n_init", "nrep", "n_restarts", "nstart", "restarts"),
    "max_iter": ("maxiter", "maxit", "max_iterations", "n_iter", "itermax", "iter_max"),
    "tol": ("eps", "tolerance", "convergence", "epsilon"),
    "weights": ("sample_weight", "freq", "frequencies"),
    "start": ("init", "init_params", "means_init", "resp_init", "probs_start", "B", "warm_start"),
    "progress": ("verbose", "verbosity"),
    "engine": ("n_jobs", "n_workers", "n_threads"),
    "labels": ("known", "cluster", "classes"),
    "n_components": ("n_clusters", "nclass", "n_classes", "ng", "k", "K", "G"),
    "n_states": ("nstates", "n_hidden"),
    "covariance": ("covariance_type", "modelNames", "model_names"),
    "n_replicates": ("n_boot", "nboot", "n_bootstrap", "n_samples", "R"),
    "X": ("lengths",),
    "event": ("status", "observed", "died"),
    "time": ("times", "duration", "durations"),
    "lower": ("left",),
    "upper": ("right",),
    "prior": ("reg_covar", "regularization", "regularisation"),
}
MEANT = {theirs: ours for ours, many in OURS.items() for theirs in many}
OF_THE_MODEL = {
    "n_components": "n_components of the model, as in emframe.Mixture(family, n_components)",
    "n_states": "n_states of the model, as in emframe.model('hidden-markov', n_states=3)",
    "covariance": "covariance of the model, as in emframe.Mixture(family, 2, covariance='diag')",
}
OF_THE_FIT = (
    "rng",
    "n_starts",
    "max_iter",
    "tol",
    "start",
    "progress",
    "engine",
    "labels",
    "prior",
)
WHY = {
    "X": "emframe.Sequences(X, lengths) as X, for rows in runs",
    "prior": (
        "prior='weak', which keeps covariances from collapsing (nothing is added to them here)"
    ),
}


# Attributes of fits elsewhere, and where a fit has them here.
ATTRIBUTES = {
    "labels_": "fit.predict(X)",
    "weights_": "fit.params.weights",
    "converged_": "fit.converged",
    "n_iter_": "fit.n_iter",
    "lower_bound_": "fit.log_likelihood",
    "loglik": "fit.log_likelihood",
    "logLik": "fit.log_likelihood",
    "llf": "fit.log_likelihood",
    "df": "fit.n_parameters",
    "npar": "fit.n_parameters",
    "posterior_proba": "fit.predict_proba(X)",
    "responsibilities": "fit.predict_proba(X)",
    "score": "fit.score_samples(X), a log density for each row",
    "classification": "fit.predict(X)",
    "coef_": 'fit["NAME"] with the name of a coefficient, or fit.profiles()',
    "transmat_": "fit.params.transitions",
    "startprob_": "fit.params.initial",
    "bse": "fit.standard_errors(X)",
    "conf_int": "fit.confint(X)",
}


def of_a_fit(name: str) -> str:
    """Where a fit has what is called `name` elsewhere, as a sentence; "" where nowhere."""
    if name.startswith("__"):
        return ""
    if name in ATTRIBUTES:
        return f"Did you mean {ATTRIBUTES[name]}?"
    plain = name.rstrip("_")
    return f"Parameters are under fit.params, and by name fit[{plain!r}]; see print(fit)."


def of_a_model(name: str) -> str:
    """How to have what models elsewhere have as a method, as a sentence; "" for no such."""
    if name in ("fit", "fit_predict", "fit_transform"):
        return "A model holds settings; fit it by emframe.fit(model, X)."
    if name in ("predict", "predict_proba", "score", "score_samples", "bic", "aic", "transform"):
        return f"A fit answers: fit = emframe.fit(model, X), then fit.{name}."
    return ""


def meant(name: str, known: Iterable[str]) -> str:
    """What an unknown argument stands for among the known ones, as a question; "" if nothing."""
    here = set(known)
    ours = MEANT.get(name, name)
    if ours in here:
        return f"Did you mean {WHY.get(ours, ours)}?"
    if ours in OF_THE_MODEL and not here & set(OF_THE_MODEL):
        return f"Did you mean {OF_THE_MODEL[ours]}?"
    if ours in OF_THE_FIT and "rng" not in here:
        return f"Did you mean {WHY.get(ours, ours)} of emframe.fit?"
    near = get_close_matches(name, sorted(here), n=1)
    return f"Did you mean {near[0]}?" if near else ""


def in_our_words(function: Callable[P, R]) -> Callable[P, R]:
    """The function; of an argument that it does not have its TypeError says what is meant."""
    parameters = inspect.signature(function).parameters
    kinds = [one.kind for one in parameters.values()]
    most = sum(kind in (kind.POSITIONAL_ONLY, kind.POSITIONAL_OR_KEYWORD) for kind in kinds)
    is_open = any(kind is kind.VAR_KEYWORD for kind in kinds)

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        if len(args) > most:
            first = list(parameters)[:most]
            rest = [n for n, one in parameters.items() if one.kind is one.KEYWORD_ONLY]
            raise TypeError(
                f"{function.__name__}() takes {', '.join(first)} by place, and by name "
                f"{', '.join(rest)}; got {len(args)} by place."
            )
        for name in kwargs:
            if name not in parameters and not is_open:
                told = meant(name, parameters) or f"It takes {', '.join(parameters)}."
                raise TypeError(f"{function.__name__}() has no argument {name!r}. {told}")
        return function(*args, **kwargs)

    return called
