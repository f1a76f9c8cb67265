"""scikit-learn's ``weights_init``, ``means_init`` and ``precisions_init`` as a start of ours.

What is not given comes from a start that is made as others are, the likeliest of a few, with its
components in the order of the means: as in scikit-learn these say where a component begins, and not
which rows it has, for near a mean there may be none.

One known case: where all three are given, they are the start, and no row is looked at.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.metrics import pairwise_distances_argmin

from emframe.data import Table
from emframe.models import Mixture
from emframe.models.components import taken
from emframe.spaces import Array

TRIES = 6  # starts to look among
PLACES = ("means", "locations")  # what families call where their components are
FAINT = 0.1  # of every row, shared out where a component has none


def given_start(
    model: Mixture,
    table: Table,
    sample_weight: Any,
    *,
    weights: Any,
    means: Any,
    precisions: Any,
    covariance_type: str,
    rng: np.random.Generator,
) -> Any:
    """Parameters to start from, None where nothing is given.

    Raises ValueError for shapes that do not go with the model, and for weights or precisions
    without means; `Degenerate` where the M-step has no end.
    """
    if means is None:
        lone = next(
            (n for n, v in (("weights", weights), ("precisions", precisions)) if _is(v)), ""
        )
        if lone:
            raise ValueError(f"`{lone}_init` needs `means_init`, which says whose they are.")
        return None
    rows = model.rows(table, sample_weight)
    gated = model.latent.width > 0
    if gated and weights is not None:
        raise ValueError("`weights_init` are the same for all rows, and `weights_on` says not.")
    k, d = model.n_components, model.latent.seen(rows.x).shape[1]
    centres = _checked("means_init", means, (k, d))
    shapes = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}
    own: dict[str, Array] = {"means": centres}
    if precisions is not None and covariance_type not in shapes:
        raise ValueError(
            f"`precisions_init` goes with `covariance_type` {', '.join(shapes)}; it is "
            f"{covariance_type!r}."
        )
    if precisions is not None:
        checked = _checked("precisions_init", precisions, shapes[covariance_type])
        own["covariances"] = _covariances(checked, covariance_type, (k, d))
    told = None if weights is None else _checked("weights_init", weights, (k,))
    if told is not None and len(own) == 2:
        return {"weights": told, **own}
    params = _made(model, rows, centres, rng)
    fields = {name: value for name, value in own.items() if hasattr(params.components, name)}
    fields |= dict.fromkeys(_place(params.components, centres), centres)
    if "covariances" in own and "covariances" not in fields:
        raise ValueError(f"`precisions_init`: the family {model.family.name!r} has no covariances.")
    changed = {} if told is None else {"weights": told}
    components = replace(params.components, **fields) if fields else params.components
    return replace(params, components=components, **changed)


def _made(model: Mixture, rows: Any, centres: Array, rng: np.random.Generator) -> Any:
    """The likeliest of a few starts, in the order of the centres, for a family that has places.

    Else the centres tell of rows alone, which each go to the nearest; where one is nearest to none,
    all have some of every row.
    """
    seen = model.latent.seen(rows.x)
    made = (params for _, params in islice(model.starts(rows, rng), TRIES))
    found = [one for one in made if not isinstance(one, Exception)]
    if found and _place(found[0].components, centres):
        (name,) = _place(found[0].components, centres)
        params = max(found, key=lambda one: float(rows.weights @ model.posterior(one, rows.x)[0]))
        size = np.std(seen, axis=0)
        places = getattr(params.components, name)
        apart = cdist(centres / size, places / size, "sqeuclidean")
        best = taken(params, linear_sum_assignment(apart)[1])
        own = model.latent.doubled(best, np.ones(len(centres), dtype=np.intp))
        return replace(best, **own)
    k, labels = len(centres), np.zeros(rows.n_given, dtype=int)
    labels[rows.numbers] = nearest = pairwise_distances_argmin(seen, centres)
    if len(np.unique(nearest)) == k:
        return model.start(labels, rows, rng)
    return model.start((1.0 - FAINT) * np.eye(k)[labels] + FAINT / k, rows, rng)


def _place(components: Any, centres: Array) -> tuple[str, ...]:
    """The field that says where components are, of the shape of the centres; none without one."""
    names = (name for name in PLACES if np.shape(getattr(components, name, ())) == centres.shape)
    return tuple(names)[:1]


def _is(value: Any) -> bool:
    return value is not None


def _checked(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    array = np.array(value, dtype=float)
    if array.shape != shape:
        raise ValueError(f"`{name}` has shape {array.shape}; expected {shape}.")
    return array


def _covariances(precisions: Array, structure: str, sizes: tuple[int, int]) -> Array:
    """The inverses, (K, d, d) whatever the structure."""
    k, d = sizes
    if structure in ("full", "tied"):
        try:
            return np.array(np.broadcast_to(np.linalg.inv(precisions), (k, d, d)))
        except np.linalg.LinAlgError:
            raise ValueError("`precisions_init` has a matrix without an inverse.") from None
    with np.errstate(divide="ignore"):
        variances = 1.0 / precisions
    return np.array(variances.reshape(k, -1, 1) * np.eye(d))
