"""Choosing among models by a criterion: fit each, tabulate, take the lowest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from emframe.arguments import Rng, generator_from
from emframe.core import Degenerate
from emframe.data import counted, frequencies
from emframe.fitting import Interrupted, fit, model_for
from emframe.models import Mixture, Model
from emframe.result import Fit
from emframe.validation import dealt, held_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CRITERIA = ("bic", "aic", "icl", "cv")
_LABELS = {
    "bic": "BIC",
    "aic": "AIC",
    "icl": "ICL",
    "cv": "-2 log-likelihood of the rows left out",
}


@dataclass(frozen=True)
class Selection:
    """Several fits to the same data, and the criterion that ranks them."""

    fits: tuple[Fit, ...]
    criterion: str
    failures: tuple[tuple[str, str], ...] = ()  # (model, why) where no start had an objective
    held_out: tuple[float, ...] = ()  # for "cv": log-likelihood of the rows left out, of each fit

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
        """The sound fit with the lowest criterion; a spurious one only if there is no other."""

        def rank(pair: tuple[Fit, float]) -> tuple[bool, bool, float]:
            one, value = pair
            return not one.status.usable, bool(one.spurious), value

        return min(zip(self.fits, self.values, strict=True), key=rank)[0]

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
                "best": one is best,
            }
            for one, value in zip(self.fits, self.values, strict=True)
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the criterion of each model against its number of components; needs matplotlib.

        The lowest is ringed; a fit that is spurious or degenerate is crossed out.
        """
        from emframe.plotting.choice import choice

        return choice(self, ax)

    def __str__(self) -> str:
        from emframe.report import selection_table

        return selection_table(self)

    def _repr_html_(self) -> str:
        from emframe.notebook import selection_html

        return selection_html(self)


def select(
    models: Sequence[Model] | tuple[str, Iterable[int]],
    X: Any,
    *,
    criterion: str = "bic",
    folds: int = 5,
    rng: Rng = None,
    **options: Any,
) -> Selection:
    """Fit each model and rank them by a criterion (lower is better).

    Models are fitted one after another, each on all the threads that its work is worth (see
    `engine` of `emframe.fit`); the random numbers of a model do not depend on those before it.

    Parameters
    ----------
    models : models, or a family's name with the numbers of components:
        ``("gaussian", range(1, 10))``.
    X : the data, as for `emframe.fit`.
    criterion : "bic", "aic", "icl", or "cv" for -2 times the cross-validated log-likelihood.
    folds : parts that the rows are dealt out to for "cv", each left out once.
    rng : as for `emframe.fit`; each model gets a stream of its own.
    **options : passed on to `emframe.fit`.

    Raises
    ------
    ValueError : for an unknown criterion, a wrong number of folds, or no models.
    Degenerate : where none of the models had a start with a finite objective.
    Interrupted : on Ctrl-C, with the best fit so far of any of the models in ``.fit``.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"`criterion` is {criterion!r}; expected one of {', '.join(CRITERIA)}.")
    candidates = _candidates(models)
    if not candidates:
        raise ValueError("`models` is empty; pass at least one model.")
    # What cannot be fitted is said before any work; the largest model usually comes last.
    for model in reversed(candidates if options.get("prior") is None else ()):
        model.require(model.rows(X, frequencies(X, options.get("weights"))))
    generator = generator_from(rng)
    streams = generator.spawn(len(candidates))
    rows = candidates[0].rows(X, frequencies(X, options.get("weights")))
    parts = dealt(counted(rows).weights, folds, generator) if criterion == "cv" else None
    fits: list[Fit] = []
    left_out: list[float] = []
    failures: list[tuple[str, str]] = []
    for model, stream in zip(candidates, streams, strict=True):
        try:
            fits.append(fit(model, X, rng=stream, **options))
            if parts is not None:  # the same parts for all, so that models are compared on them
                left_out.append(held_out(model, X, rows, parts, stream, **options))
        except Degenerate as error:
            failures.append((model.title(), str(error)))
        except KeyboardInterrupt as stop:
            partial = [stop.fit] if isinstance(stop, Interrupted) else []
            if not fits and not partial:
                raise
            cut = Selection((*fits, *partial), criterion, held_out=tuple(left_out))
            raise Interrupted(cut.best) from stop
    if not fits:
        raise Degenerate(f"none of the {len(candidates)} models could be fitted: {failures[-1][1]}")
    return Selection(tuple(fits), criterion, tuple(failures), tuple(left_out))


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
    return [model_for(model) for model in models]
