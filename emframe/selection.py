"""Choosing among models by a criterion: fit each, tabulate, take the lowest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.core import Degenerate
from emframe.data import frequencies
from emframe.fitting import Interrupted, Rng, fit
from emframe.models import Mixture, Model
from emframe.result import Fit

CRITERIA = ("bic", "aic", "icl")


@dataclass(frozen=True)
class Selection:
    """Several fits to the same data, and the criterion that ranks them."""

    fits: tuple[Fit, ...]
    criterion: str
    failures: tuple[tuple[str, str], ...] = ()  # (model, why) where no start had an objective

    @property
    def best(self) -> Fit:
        """The sound fit with the lowest criterion; a spurious one only if there is no other."""

        def rank(one: Fit) -> tuple[bool, bool, float]:
            return not one.status.usable, bool(one.spurious), getattr(one, self.criterion)

        return min(self.fits, key=rank)

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
                "status": one.status.value,
                "spurious": one.spurious,
                "best": one is best,
            }
            for one in self.fits
        ]

    def __str__(self) -> str:
        from emframe.report import selection_table

        return selection_table(self)


def select(
    models: Sequence[Model] | tuple[str, Iterable[int]],
    X: Any,
    *,
    criterion: str = "bic",
    rng: Rng = None,
    **options: Any,
) -> Selection:
    """Fit each model and rank them by a criterion (lower is better).

    Parameters
    ----------
    models : models, or a family's name with the numbers of components:
        ``("gaussian", range(1, 10))``.
    X : the data, as for `emframe.fit`.
    criterion : "bic", "aic" or "icl".
    rng : as for `emframe.fit`; each model gets a stream of its own.
    **options : passed on to `emframe.fit`.

    Raises
    ------
    ValueError : for an unknown criterion, or no models.
    Degenerate : where none of the models had a start with a finite objective.
    Interrupted : on Ctrl-C, with the best fit so far of any of the models in ``.fit``.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"`criterion` is {criterion!r}; expected one of {', '.join(CRITERIA)}.")
    candidates = _candidates(models)
    if not candidates:
        raise ValueError("`models` is empty; pass at least one model.")
    # What cannot be fitted is said before any work; the largest model usually comes last.
    for model in reversed(candidates):
        model.require(model.rows(X, frequencies(X, options.get("weights"))))
    streams = np.random.default_rng(rng).spawn(len(candidates))
    fits: list[Fit] = []
    failures: list[tuple[str, str]] = []
    for model, stream in zip(candidates, streams, strict=True):
        try:
            fits.append(fit(model, X, rng=stream, **options))
        except Degenerate as error:
            failures.append((model.title(), str(error)))
        except KeyboardInterrupt as stop:
            partial = [stop.fit] if isinstance(stop, Interrupted) else []
            if not fits and not partial:
                raise
            raise Interrupted(Selection((*fits, *partial), criterion).best) from stop
    if not fits:
        raise Degenerate(f"none of the {len(candidates)} models could be fitted: {failures[-1][1]}")
    return Selection(tuple(fits), criterion, tuple(failures))


def _candidates(models: Any) -> list[Model]:
    if isinstance(models, tuple) and len(models) == 2 and isinstance(models[0], str):
        name, sizes = models
        return [Mixture(name, n_components=int(k)) for k in sizes]
    return list(models)
