"""Cross-validation: what a model says of rows that it was not fitted to.

Each row is left out once, by folds, and the log-likelihood of the rows left out is summed
(Smyth 2000, Statistics and Computing 9, 63).  A weight is so many rows, and these are dealt out one
by one; what is over a whole number goes to one fold.

One known case: with a fold for each row this is the leave-one-out log-likelihood.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from emframe.core import Degenerate
from emframe.fitting import expectation, fit
from emframe.messages.arguments import Rng, generator_from
from emframe.models import Model
from emframe.spaces import Array


def dealt(weights: Array, folds: int, rng: np.random.Generator) -> Array:
    """Frequency weights dealt out at random to folds of equal size, (folds, n); they add up.

    Raises ValueError for fewer than two folds, or more than there are rows.
    """
    whole = np.floor(weights).astype(np.int64)
    if not 2 <= folds <= max(whole.sum(), np.count_nonzero(weights)):
        raise ValueError(
            f"`folds` is {folds}; pass 2 or more, and at most the number of rows (or runs), "
            f"{max(int(whole.sum()), np.count_nonzero(weights))}."
        )
    parts = np.zeros((folds, len(weights)))
    left = whole.copy()
    for fold in range(folds):
        size = (fold + 1) * int(whole.sum()) // folds - fold * int(whole.sum()) // folds
        hand = rng.multivariate_hypergeometric(left, size, method="marginals")
        parts[fold], left = hand, left - hand
    rest = weights - whole
    parts[rng.permutation(np.arange(len(weights)) % folds), np.arange(len(weights))] += rest
    return parts


def held_out(
    model: Model, X: Any, rows: Any, parts: Array, rng: Rng = None, **options: Any
) -> float:
    """Log-likelihood of each part under the model fitted to the others, added up; nats.

    -inf where the model degenerates without a part, or makes a row that was left out impossible.

    Parameters
    ----------
    X : the data, as they were given.
    rows : the same, validated.
    parts : weights of the rows in each fold, (folds, n).
    **options : passed on to `emframe.fit`.
    """
    total, streams = 0.0, generator_from(rng).spawn(len(parts))
    for part, stream in zip(parts, streams, strict=True):
        kept, left = np.zeros((2, rows.n_given))
        kept[rows.numbers], left[rows.numbers] = rows.weights - part, part
        try:
            found = fit(model, X, rng=stream, **{**options, "weights": kept})
            if found.error is not None:
                raise found.error
            total += expectation(model, model.rows(X, left))(found.params).loglik
        except Degenerate:
            return -np.inf
    return total if np.isfinite(total) else -np.inf
