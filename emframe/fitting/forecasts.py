"""Responses that were not seen yet, of people some of whose responses were.

    E[y | seen]  =  sum_k p(z_k | seen) E[y | seen, z_k]

and the variance likewise, of what components say apart and of what they say each.  A family tells
its own of them (`Family.forecast`): by the posterior of a person's random effects.

One known case: of somebody who was never seen the forecast is the mean of all components' curves.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from emframe.data.frames import is_frame
from emframe.data.runs import Sequences, answered
from emframe.fitting.result import Fit


def forecast(fit: Fit, X: Any, at: Any) -> Any:
    """Mean and deviation of responses at the rows `at`; see `Fit.forecast`."""
    model: Any = fit.model
    family = getattr(model, "family", None)
    if family is None or not family.in_runs:
        raise TypeError(f"{model.title()} has no people to foretell anything of.")
    place = family.course()[0]
    seen = model.legend.in_runs(X)
    wanted = _without_responses(model.legend.in_runs(at), fit.columns[place], place)
    rows, there = model.rows(seen, columns=fit.columns), model.rows(wanted, columns=fit.columns)
    owners = _owners(rows.x, there.x)
    known = model.posterior(fit.params, rows.x)[1]
    shares = np.where((owners >= 0)[:, None], known[owners], model.prior_proba(fit.params, there.x))
    seen_x, there_x = (model.latent.seen(one.x) for one in (rows, there))
    each = family.forecast(fit.params.components, seen_x, there_x, owners)
    shares = np.repeat(shares, there.x.lengths, axis=0)
    means, variances = each
    mean = (shares * means).sum(axis=1)
    deviation = np.sqrt((shares * (variances + (means - mean[:, None]) ** 2)).sum(axis=1))
    found = wanted.as_given(np.column_stack([mean, deviation]))
    return answered(wanted, found, ("mean", "deviation"))


def _without_responses(at: Any, name: str, place: int) -> Sequences:
    """The rows with some number in the place of their responses, which nobody reads."""
    if not isinstance(at, Sequences):
        raise TypeError("`at` is no runs of rows; pass emframe.Sequences.by(rows, who).")
    if not is_frame(at.x):
        x = np.array(at.x, dtype=float)
        x[:, place] = 0.0
        return Sequences(x, at.lengths, at.keys, at.order, at.source)
    if not hasattr(at.x, "assign"):
        raise TypeError("`at` is no pandas data frame; pass that, or an array of all columns.")
    return Sequences(at.x.assign(**{name: 0.0}), at.lengths, at.keys, at.order, at.source)


def _owners(seen: Sequences, at: Sequences) -> Any:
    """Which run of those seen each belongs to, (S,); -1 for none."""
    if at.keys is None or seen.keys is None:
        if len(at) != len(seen):
            raise ValueError(
                f"`at` has {len(at)} runs and `X` has {len(seen)}; runs without keys belong "
                "together by their order. emframe.Sequences.by gives them keys."
            )
        return np.arange(len(at))
    places = {key: j for j, key in enumerate(seen.keys)}
    return np.array([places.get(key, -1) for key in at.keys], dtype=np.intp)
