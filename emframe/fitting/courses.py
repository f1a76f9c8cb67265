"""Courses over time: the mean curve of each component, and how single people are off it.

A family of trajectories says two things of itself (`Family.random_effects` and
`Family.response_at`); what is told here is made of these, of responsibilities and of standard
errors, for any such family.

One known case: without random effects, a component's people differ from its curve by errors alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from emframe.data.blocks import real_array
from emframe.data.formulas import is_formula, names_in
from emframe.data.runs import answered
from emframe.fitting.result import Fit
from emframe.fitting.tabled import Tabled
from emframe.inference import StandardErrors
from emframe.messages.extras import extra
from emframe.showing.tidy import flat, like
from emframe.spaces import Array, slopes


@dataclass(frozen=True, repr=False)
class RandomEffects(Tabled):
    """What is known of each person's random effects, given their rows."""

    names: tuple[str, ...]  # (q,)  their terms
    means: Any  # (N, q)  averaged over components; a frame with the people's keys where X has any
    by_component: Array  # (N, K, q)  posterior means given that a person is of component k
    deviations: Array  # (N, K, q)  posterior standard deviations likewise

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each person: their key, and the mean of each effect."""
        keys = getattr(self.means, "index", range(len(self.by_component)))
        means = np.asarray(self.means, dtype=float)
        return [
            {"person": key, **dict(zip(self.names, map(float, own), strict=True))}
            for key, own in zip(keys, means, strict=True)
        ]

    @property
    def brief(self) -> str:
        return f"{', '.join(self.names)} of {len(self.by_component)} people"


@dataclass(frozen=True, repr=False)
class Trajectories(Tabled):
    """The response of each component along a column, with two intervals at one level."""

    column: str
    times: Array  # (m,)
    means: Array  # (K, m)
    lower: Array | None  # (K, m)  ends of the interval of the mean; None without standard errors
    upper: Array | None
    low: Array  # (K, m)  between which the share `level` of the component's responses lies
    high: Array
    level: float

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row for each component and time."""
        more = {"low": self.low, "high": self.high}
        if self.lower is not None and self.upper is not None:
            more = {"lower": self.lower, "upper": self.upper, **more}
        return [
            {
                "component": k,
                self.column: float(time),
                "mean": float(self.means[k, j]),
                **{name: float(values[k, j]) for name, values in more.items()},
            }
            for k in range(len(self.means))
            for j, time in enumerate(self.times)
        ]

    @property
    def brief(self) -> str:
        return f"along {self.column} at {len(self.times)} values, {len(self.means)} components"


def random_effects(fit: Fit, X: Any) -> RandomEffects:
    """The random effects of the people of X; see `Fit.random_effects`."""
    family = family_of_courses(fit, "random effects")
    model: Any = fit.model
    rows = model.rows(X, columns=fit.columns)
    seen = model.latent.seen(rows.x)
    names, means, deviations = family.random_effects(fit.params.components, seen)
    shares = fit.model.posterior(fit.params, rows.x)[1]
    averaged = (shares[:, :, None] * means).sum(axis=1)
    return RandomEffects(names, answered(X, averaged, names), means, deviations)


def trajectories(
    fit: Fit,
    times: Sequence[float],
    given: Mapping[str, float] | None,
    column: str | None,
    interval: float,
    errors: StandardErrors | None,
    response: str | None = None,
) -> Trajectories:
    """The components' curves; see `Fit.trajectories`."""
    if not 0.0 < interval < 1.0:
        raise ValueError(f"`interval` is {interval}; pass a number between 0 and 1, such as 0.95.")
    family = family_of_courses(fit, "trajectories")
    if not family.covariates:
        raise TypeError(f"{fit.model.title()} is given no column along which a curve could run.")
    own = tuple(fit.columns[place] for place in family.course(response)[1])
    told = _given(fit)
    # In the place of what a formula or a word was made into stands what it was made from.
    covariates = own if told is None else _sources(told, own)
    along = covariates[0] if column is None else column
    others = dict(given or {})
    if along not in covariates:
        raise ValueError(f"`column` is {along!r}; expected one of {', '.join(covariates)}.")
    missing = [name for name in covariates if name not in others and name != along]
    strange = [name for name in others if name not in covariates or name == along]
    if missing or strange:
        what = f"{missing[0]!r} has no value" if missing else f"{strange[0]!r} is not one of them"
        rest = ", ".join(name for name in covariates if name != along) or "none"
        raise ValueError(f"`given` has a value for each other column, {rest}; {what}.")
    where = real_array(np.asarray(times, dtype=float), "times").ravel()
    values: dict[str, Any] = {name: where if name == along else others[name] for name in covariates}
    x = np.zeros((len(where), len(fit.component_columns)))
    if told is not None:
        pandas = extra("pandas", "formula", "formulas")
        frame = pandas.DataFrame(values, index=range(len(where)))
        there = dict(zip(told.labels, told.of(frame).T, strict=True))
        values = {name: there[name] if name in there else values[name] for name in own}
    for name in own:
        x[:, fit.columns.index(name)] = values[name]
    means, deviations = family.response_at(fit.params.components, x, response)
    reach = float(ndtri(0.5 + interval / 2))
    low, high = (means + sign * reach * deviations for sign in (-1.0, 1.0))
    lower = upper = None
    if errors is not None:
        off = reach * _deviations(family, errors, x, response)
        lower, upper = (means - off).T, (means + off).T
    return Trajectories(along, where, means.T, lower, upper, low.T, high.T, interval)


def _given(fit: Fit) -> Any:
    """What stands for predictors that were words or formulas; None where none were."""
    legend = getattr(fit.model, "legend", None)
    return None if legend is None else legend.given


def along_of(fit: Any, column: str | None, response: Any = None) -> str:
    """The covariate that is asked for, or the first; ValueError where it is none of them."""
    own = sources(fit, response)
    if column is not None and column not in own:
        raise ValueError(f"`column` is {column!r}; expected one of {', '.join(own)}.")
    if not own:
        raise TypeError(f"{fit.model.title()} is given no column along which a curve could run.")
    return own[0] if column is None else column


def sources(fit: Any, response: Any = None) -> tuple[str, ...]:
    """The columns of a frame that a response runs along, those inside formulas among them."""
    own = tuple(fit.columns[place] for place in fit.model.family.course(response)[1])
    told = _given(fit)
    return own if told is None else _sources(told, own)


def _sources(told: Any, own: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name in own:
        makers = [column for column, labels in told.spelt.items() if name in labels]
        for maker in makers or [name]:
            found |= dict.fromkeys(names_in(maker) if is_formula(maker) else (maker,))
    return tuple(found)


def _deviations(family: Any, errors: StandardErrors, x: Array, response: Any) -> Array:
    """Standard errors of the means at rows x, (m, K), by the delta method."""
    at = flat(errors.at)
    shape = family.response_at(errors.at.components, x, response)[0].shape
    found = np.zeros(shape)
    for place in np.ndindex(*shape):
        row = x[place[0] : place[0] + 1]

        def mean(numbers: Array, row: Array = row, k: int = place[1]) -> float:
            params = like(errors.at, numbers)
            return float(family.response_at(params.components, row, response)[0][0, k])

        found[place] = np.linalg.norm(slopes(mean, at) @ errors.factor)
    return found


def family_of_courses(fit: Fit, what: str) -> Any:
    """The family of a mixture; TypeError for a model that has none."""
    family = getattr(fit.model, "family", None)
    if family is None or not hasattr(fit.params, "components"):
        raise TypeError(f"{fit.model.title()} has no {what}; linear-mixed mixtures have.")
    return family
