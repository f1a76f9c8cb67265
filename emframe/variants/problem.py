"""Data and a start, checked as `emframe.fit` does: what every driver begins with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from emframe.core import Degenerate, Status, Stopped
from emframe.data import Rows, frequencies
from emframe.fitting import model_for
from emframe.messages.arguments import Rng, generator_from
from emframe.models import ComponentModel, Model

# Starts that are tried for one that has an M-step.
_MOST_STARTS = 100


class Posed(NamedTuple):
    """A model, its data, where to start, and where randomness comes from."""

    model: Model
    rows: Rows
    params: Any
    rng: np.random.Generator


def model_with_components(model: Any, X: Any, weights: Any) -> ComponentModel:
    """The model that was passed, in which each row is drawn from one of several components."""
    found = model_for(model).settled(X, weights)
    if not isinstance(found, ComponentModel):
        raise TypeError(
            f"`model` is a {found.title()}; pass a model with components, such as a mixture or a "
            "hidden Markov model, for rows are assigned to components here."
        )
    return found


def pose(model: Model | str, X: Any, weights: Any, start: Any, rng: Rng) -> Posed:
    """The problem that these arguments of `emframe.fit` pose.

    Raises as it does for unusable ones, and `Stopped` where no start could be used.
    """
    model = model_for(model).settled(X, weights)
    generator = generator_from(rng)
    given = model.rows(X, frequencies(X, weights))
    model.require(given)
    rows = model.condense(given)
    if start is not None:
        return Posed(model, rows, model.start(start, given, generator), generator)
    return Posed(model, rows, _first_sound(model.starts(rows, generator)), generator)


def _first_sound(starts: Iterator[tuple[str, Any]]) -> Any:
    why = ""
    for _, params in islice(starts, _MOST_STARTS):
        if not isinstance(params, Degenerate):
            return params
        why = str(params)
    raise Stopped(Status.DEGENERATE, why)
