"""Choosing among models by a criterion: fit each, tabulate, take the lowest."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emframe.core import Degenerate
from emframe.data import brought_in, counted, frequencies
from emframe.engines import EngineError
from emframe.engines.workers import share
from emframe.families.elsewhere import is_mixed
from emframe.fitting import Interrupted, fit, model_for
from emframe.fitting.faces import face
from emframe.fitting.result import Fit, checked_count
from emframe.fitting.tabled import Tabled
from emframe.messages.arguments import Rng, generator_from, whole
from emframe.models import ComponentModel, Mixture, Model
from emframe.selecting.freedom import freedom_of
from emframe.selecting.growing import Candidate, chains
from emframe.selecting.validation import dealt, held_out

if TYPE_CHECKING:
    pass

CRITERIA = ("bic", "aic", "icl", "cv")
_LABELS = {
    "bic": "BIC",
    "aic": "AIC",
    "icl": "ICL",
    "cv": "-2 log-likelihood of the rows left out",
}


@dataclass(frozen=True, repr=False)
class Selection(Tabled):
    """Several fits to the same data, and the criterion that ranks them.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> chosen = emframe.select(("poisson", [1, 2]), counts, rng=0)
    >>> chosen.best.model.n_components, len(chosen.table)
    (2, 2)
    """

    fits: tuple[Fit, ...]
    criterion: str
    failures: tuple[tuple[str, str], ...] = ()  # (model, why) where no start had an objective
    held_out: tuple[float, ...] = ()  # for "cv": log-likelihood of the rows left out, of each fit
    freedom: tuple[float, ...] = ()  # of the data, for each fit; see `freedom_of`

    def __getattr__(self, name: str) -> Any:
        """Refuse what a fit has and several fits have not, by where it is."""
        told = f" Ask its best fit: selection.best.{name}." if hasattr(Fit, name) else ""
        raise AttributeError(f"a Selection has no {name!r}.{told}")

    @property
    def label(self) -> str:
        """The criterion in words."""
        return _LABELS[self.criterion]

    @property
    def values(self) -> tuple[float, ...]:
        """The criterion of each fit, the lower the better; inf where cross-validation was cut."""
        if self.criterion != "cv":
            return tuple(getattr(one, self.criterion) for one in self.fits)
        missing = len(self.fits) - len(self.held_out)
        return (*(-2.0 * value for value in self.held_out), *[np.inf] * missing)

    @property
    def best(self) -> Fit:
        """The sound fit with the lowest criterion.

        One that is spurious, or that the data do not determine, only if there is no other.
        """

        def rank(triple: tuple[Fit, float, str]) -> tuple[bool, bool, bool, float]:
            one, value, loose = triple
            return not one.status.usable, bool(one.spurious), bool(loose), value

        return min(zip(self.fits, self.values, self.undetermined, strict=True), key=rank)[0]

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Why the data cannot determine the parameters of each fit; empty where they may."""
        return tuple(
            f"{fit.n_parameters} parameters on {most:g} degrees of freedom"
            if fit.n_parameters > most
            else ""
            for fit, most in zip(self.fits, self.freedom or [np.inf] * len(self.fits), strict=True)
        )

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row for each model, as dicts; ``best`` marks the chosen one."""
        best = self.best
        return [
            {
                "model": one.model.title(),
                "n_parameters": one.n_parameters,
                "log_likelihood": one.log_likelihood,
                "aic": one.aic,
                "bic": one.bic,
                "icl": one.icl,
                **({"cv": value} if self.criterion == "cv" else {}),
                "status": one.status.value,
                "spurious": one.spurious,
                "undetermined": loose,
                "best": one is best,
            }
            for one, value, loose in zip(self.fits, self.values, self.undetermined, strict=True)
        ]

    @property
    def brief(self) -> str:
        return f"{len(self.fits)} models, by {self.label} the best is {self.best.model.title()}"

    def __str__(self) -> str:
        return face("selection_table")(self)

    def _repr_html_(self) -> str:
        return face("selection_html")(self)


def select(
    models: Sequence[Model] | tuple[str, Iterable[int]],
    X: Any,
    *,
    criterion: str = "bic",
    folds: int = 5,
    count: str | float | None = None,
    rng: Rng = None,
    workers: int = 1,
    **options: Any,
) -> Selection:
    """Fit each model and rank them by a criterion (lower is better).

    Each is searched on its own. Then, from the smallest up, those that contain another of the
    models are searched again from its best fit: a mixture from the same one with fewer components,
    each of these split in turn. The better end counts, so a mixture does not end below one that it
    contains, unless a prior charges for the component. ``fit.starts`` lists these starts too, as
    ``"split of K = 2"`` or the like.

    The random numbers of a model are its own, so any number of workers gives the same selection.

    Parameters
    ----------
    models : models, or a family's name with the numbers of components:
        ``("gaussian", range(1, 10))``.
    X : the data, as for `emframe.fit`.
    criterion : "bic", "aic", "icl", or "cv" for -2 times the cross-validated log-likelihood.
    count : the n of BIC and ICL: "rows", "runs", or a number; see `emframe.Fit.counting`. By
        default what each model counts, and rows where some of the models count these and others
        runs, so that all are charged alike.
    folds : parts that the rows are dealt out to for "cv", each left out once.
    rng : as for `emframe.fit`; each model gets a stream of its own.
    workers : processes that share the models out among them, this one included. More than one
        pays for small data, where threads do not (see `engine` of `emframe.fit`). Models, data and
        options have to be picklable then, and a script that calls this has to guard its main part
        by ``if __name__ == "__main__":``, as the module `multiprocessing` asks.
    **options : passed on to `emframe.fit`. With ``n_starts`` no more than so many of a model's
        starts split another's components, ``max_seconds`` is for both of its searches, and with
        ``start`` there is no second one; nor where cross-validation fits it without a part. A
        ``checkpoint`` is of one search, so of one model and without cross-validation.

    Raises
    ------
    ValueError : for an unknown criterion or count, a wrong number of folds or workers, no models,
        or a checkpoint of more than one search.
    TypeError : where something cannot be sent to another worker.
    Degenerate : where none of the models had a start with a finite objective.
    EngineError : where an engine of one's own failed for all of them; as for `emframe.fit`.
    Interrupted : on Ctrl-C, with the best fit so far of any of the models in ``.fit``.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> emframe.select(("poisson", [1, 2, 3]), counts, rng=0).best.model.n_components
    2
    """
    if criterion not in CRITERIA:
        raise ValueError(f"`criterion` is {criterion!r}; expected one of {', '.join(CRITERIA)}.")
    whole("workers", workers, least=1)
    candidates = _candidates(models)
    if count is None and len({model.unit for model in candidates}) > 1:
        count = "rows"
    if not candidates:
        raise ValueError("`models` is empty; pass at least one model.")
    if options.get("checkpoint") is not None and (len(candidates) > 1 or criterion == "cv"):
        raise ValueError(
            "`checkpoint` is a file of one search, and this selection makes several; leave it out, "
            "or fit each model by emframe.fit with a file of its own."
        )
    X, options["weights"], _ = brought_in(X, options.get("weights"), None)
    candidates = [model.settled(X, options["weights"]) for model in candidates]
    if is_mixed([one.family for one in candidates if isinstance(one, ComponentModel)]):
        raise ValueError(
            "`models` has some of counts and some of real numbers for one column, and "
            "probabilities and densities have no common scale; compare families of one kind."
        )
    # What cannot be fitted is said before any work; the largest model usually comes last.
    for model in reversed(candidates if options.get("prior") is None else ()):
        model.require(model.rows(X, frequencies(X, options.get("weights"))))
    rows = candidates[0].rows(X, frequencies(X, options.get("weights")))
    count = checked_count(count, hasattr(rows, "n_runs"))
    generator = generator_from(rng)
    streams = generator.spawn(len(candidates))
    # The same parts for all, so that models are compared on them.
    parts = dealt(counted(rows).weights, folds, generator) if criterion == "cv" else None
    trials = [
        SelectionTrial(model, X, stream, (rows, parts) if parts is not None else None, options)
        for model, stream in zip(candidates, streams, strict=True)
    ]
    outcomes, cut = share(trials, workers)
    if not cut and options.get("start") is None:
        again = generator.spawn(len(candidates))
        outcomes, cut = _grown(candidates, outcomes, again, X, options, workers)
    done = [one for one in outcomes if one is not None]
    failures = tuple((one.title, one.failure) for one in done if one.failure)
    fits = tuple(one.fit.counting(count) for one in done if one.fit is not None)
    left_out = tuple(one.held_out for one in done if one.fit is not None and parts is not None)
    if not fits:
        if cut:
            raise KeyboardInterrupt
        failed = [one.error for one in done if isinstance(one.error, EngineError)]
        if failed:
            raise failed[-1]
        none = f"none of the {len(candidates)} models could be fitted: " * (len(candidates) > 1)
        raise Degenerate(none + failures[-1][1])
    is_free = options.get("prior") is None
    freedom = tuple(
        freedom_of(one.model, X, options.get("weights")) if is_free else np.inf for one in fits
    )
    selection = Selection(fits, criterion, failures, left_out, freedom)
    if cut:
        raise Interrupted(selection.best)
    return selection


class SearchOutcome(NamedTuple):
    """How a model fared."""

    title: str
    fit: Fit | None = None  # None where no start had an objective
    held_out: float | None = None  # for "cv"; -inf where it did not get that far
    failure: str = ""
    error: Exception | None = None  # that it stands for
    stopped: bool = False  # by Ctrl-C: the fit is the best by then
    seconds: float = 0.0  # that the fit took


@dataclass(frozen=True)
class SelectionTrial:
    """One of the models to try, with all that it takes."""

    model: Model
    X: Any
    rng: np.random.Generator
    dealt: tuple[Any, Any] | None  # for "cv": the rows, and the weights of each part
    options: Mapping[str, Any]

    def __call__(self) -> SearchOutcome:
        """Fit it, and for "cv" fit it again without each part."""
        title, found = self.model.title(), None
        unknown = None if self.dealt is None else -np.inf
        began = time.monotonic()
        try:
            found = fit(self.model, self.X, rng=self.rng, **self.options)
            took = time.monotonic() - began
            if self.dealt is None:
                return SearchOutcome(title, found, seconds=took)
            left_out = held_out(self.model, self.X, *self.dealt, self.rng, **self.options)
            return SearchOutcome(title, found, left_out, seconds=took)
        except (Degenerate, EngineError) as error:
            return SearchOutcome(title, held_out=unknown, failure=str(error), error=error)
        except Interrupted as stop:
            return SearchOutcome(title, found or stop.fit, unknown, stopped=True)
        except KeyboardInterrupt:
            return SearchOutcome(title, found, unknown, stopped=True)


def _grown(
    models: Sequence[Model],
    outcomes: Sequence[SearchOutcome],
    streams: Sequence[np.random.Generator],
    X: Any,
    options: Mapping[str, Any],
    workers: int,
) -> tuple[list[SearchOutcome], bool]:
    """The outcomes after the second search, and whether Ctrl-C cut it short: no fit is lost."""
    candidates = [
        Candidate(model, own.fit, own.seconds, rng)
        for model, own, rng in zip(models, outcomes, streams, strict=True)
    ]
    try:
        found, cut = share(chains(candidates, X, options), workers)
    except KeyboardInterrupt:  # between two chains
        return list(outcomes), True
    fits = {index: fit for chain in found if chain for index, fit in chain.fits.items()}
    return [
        own._replace(fit=fits.get(index, own.fit), failure="" if index in fits else own.failure)
        for index, own in enumerate(outcomes)
    ], cut


def _candidates(models: Any) -> list[Model]:
    if isinstance(models, tuple) and len(models) == 2 and isinstance(models[0], str):
        name, sizes = models
        if isinstance(sizes, str) or not isinstance(sizes, Iterable):
            raise TypeError(
                f"`models` is {models!r}; pass the numbers of components as a list or a range."
            )
        return [Mixture(name, n_components=k) for k in sizes]
    if isinstance(models, str) or not isinstance(models, Iterable):
        raise TypeError(
            f"`models` is {models!r}; pass a list of models, or a family's name with the numbers "
            'of components, ("gaussian", range(1, 10)).'
        )
    listed = list(models)
    if any(isinstance(one, (int, np.integer)) for one in listed):
        raise TypeError(
            f"`models` is {models!r}; pass a family's name with the numbers of components, "
            '("gaussian", range(1, 10)), or a list of models.'
        )
    return [model_for(model) for model in listed]
