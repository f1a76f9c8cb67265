"""What the pictures draw from: rows, what the fit says of them, and rows drawn from the fit.

The region that holds a share of a component is the set where its density is highest; the level
is the quantile of the density at rows drawn from it (Hyndman 1996, Amer. Statist. 50, 120).

One known case: for a Gaussian component the regions are its ellipses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data import frequencies
from emframe.data.frames import is_frame
from emframe.data.runs import per_row
from emframe.data.words import column_of
from emframe.fitting.result import Fit
from emframe.inference import StandardErrors
from emframe.messages.arguments import generator_from
from emframe.models import Mixture, Sequences
from emframe.parameters import Leaf, leaves
from emframe.spaces import Array

MOST_COLUMNS = 6  # of which all pairs are drawn
MOST_POINTS = 4000  # rows that a picture shows; of more, a sample by their weights
DRAWN = 20_000  # rows drawn from the fit to find levels and shapes


@dataclass(frozen=True)
class Scene:
    """A fit, rows to show with it where there are any, and rows drawn from it."""

    fit: Fit
    x: Array | None  # (n, d)  all rows
    weights: Array | None  # (n,)
    points: Array | None  # (m, d)  the rows that are shown one by one
    sizes: Array | None  # (m,)  their weights
    resp: Array | None  # (m, K)  their responsibilities
    errors: StandardErrors | None
    drawn: Array  # (DRAWN, d)  from the fit
    labels: NDArray[Any]  # (DRAWN,)
    runs: Sequences | None = None  # all rows, where they come in runs
    run_resp: Array | None = None  # (S, K)  responsibilities of these, where each has one z
    beside: Array | None = None  # (n, q)  what a gate reads of all rows
    told: Callable[[str], NDArray[Any]] | None = None  # other columns of the frame they came in
    whole: Any = None  # (n, ...)  all rows as the model reads them, a gate's columns too
    rng: Any = 0
    run_weights: Array | None = None  # (S,)  of these runs
    given: Any = None  # the rows as they were handed over
    frequencies: Any = None  # and their weights
    along: str | int | None = None  # the column that a picture runs along, where it was said

    @property
    def k(self) -> int:
        """Number of components: 1 where z is no choice among several."""
        return self.fit.model.choices() or 1

    @property
    def discrete(self) -> bool:
        """Whether the fit draws whole numbers alone."""
        return bool((self.drawn == np.rint(self.drawn)).all())

    @property
    def family(self) -> Any:
        """The family of the components; None of a model that has none."""
        return getattr(self.fit.model, "family", None)

    @property
    def covariates(self) -> tuple[int, ...]:
        """The columns that are given, and not drawn by the fit."""
        return () if self.family is None else tuple(self.family.covariates)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """What each column is: "given", "codes", "counts" or "numbers", (d,)."""
        d = len(self.fit.component_columns)
        model: Any = self.fit.model
        spaces = self.family.supports if self.family is not None else (model.support,)
        nominal, discrete = (
            np.logical_or.reduce([space.columns_that_are(trait, d) for space in spaces])
            for trait in ("nominal", "discrete")
        )
        told = np.where(nominal, "codes", np.where(discrete, "counts", "numbers"))
        told[list(self.covariates)] = "given"
        return tuple(map(str, told))

    @cached_property
    def profiled(self) -> Leaf | None:
        """The first parameter that has a value, or shares, for each column in each component."""
        d = len(self.fit.component_columns)

        def suits(leaf: Leaf) -> bool:
            axes, shares = leaf.declared.axes(), leaf.declared.space.n_event_axes
            return axes[:2] == ("K", "d") and len(axes) == 2 + shares and shares < 2

        found = (leaf for leaf in leaves(self.fit.params) if suits(leaf))
        return next((leaf for leaf in found if np.shape(leaf.value)[1] == d), None)

    @cached_property
    def has_courses(self) -> bool:
        """Whether there are people, and a family that tells of their courses, to show."""
        if self.runs is None or self.run_resp is None or not self.covariates:
            return False
        try:
            self.family.random_effects(self.fit.params.components, self.runs[:1])
            return bool(self.family.course()[1])
        except TypeError:
            return False

    def column(self, name: str) -> NDArray[Any]:
        """A column of all rows: of the model, or of the frame that these were made from."""
        if name in self.fit.component_columns and self.x is not None:
            return self.x[:, self.fit.component_columns.index(name)]
        if self.told is None:
            raise ValueError(f"the rows have no column {name!r}; pass them in a data frame.")
        return self.told(name)

    def usual(self, name: str) -> Any:
        """The mean of a column of numbers, the commonest value of a column of words."""
        values = self.column(name)
        if values.dtype.kind in "fiub":
            return float(np.average(values.astype(float), weights=self.weights))
        found, counts = np.unique(values.astype(str), return_counts=True)
        return found[counts.argmax()]

    @property
    def possible(self) -> tuple[str, ...]:
        """The kinds of pictures that there are of this fit, those of its columns first."""
        d = len(self.fit.component_columns)
        there = {
            "trajectories": self.has_courses,
            "observed": self.has_courses,
            "visits": self.has_courses,
            "density": d == 1,
            "plane": d == 2,
            "states": self.runs is not None and hasattr(self.fit.model, "viterbi"),
            "pairs": 1 < d <= MOST_COLUMNS,
            "profile": self.profiled is not None,
            "membership": self.beside is not None and isinstance(self.fit.model, Mixture),
            "uncertainty": self.resp is not None and self.fit.model.choices() is not None,
            "trace": any(one.trace for one in self.fit.starts),
        }
        return tuple(kind for kind, drawn in there.items() if drawn)

    @property
    def remedy(self) -> str:
        """What to ask for in the place of a picture that there is not."""
        *others, last = map(repr, self.possible or ("",))
        if not self.possible:
            return "there is no picture of this fit"
        return f"use kind={', '.join(others)}{' or ' * bool(others)}{last}"

    @cached_property
    def shares(self) -> Array:
        """Share of each component, (K,): its weight, or else how often it was drawn."""
        if isinstance(self.fit.model, Mixture) and hasattr(self.fit.params, "weights"):
            return np.asarray(self.fit.params.weights)
        return np.bincount(self.labels, minlength=self.k) / len(self.labels)

    def log_joint(self, x: Array) -> Array:
        """log of share times density of each component at each row, (n, K)."""
        model, params = self.fit.model, self.fit.params
        family = self.family
        with np.errstate(divide="ignore"):
            if family is not None:
                if family.in_runs:  # each row by itself
                    x = Sequences(x, np.ones(len(x), dtype=np.intp))  # type: ignore[assignment]
                return np.asarray(family.log_density(params.components, x) + np.log(self.shares))
            density, resp = model.posterior(params, x)
            which = np.zeros((1, 1)) if model.choices() is None else np.log(resp)
        return np.where(np.isneginf(density)[:, None], -np.inf, density[:, None] + which)

    def level(self, k: int, share: float) -> float:
        """The log joint density above which that share of component k lies."""
        own = self.drawn[self.labels == k]
        return float(np.quantile(self.log_joint(own)[:, k], 1.0 - share)) if len(own) else np.inf

    def span(self, j: int, pad: float = 0.05) -> tuple[float, float]:
        """The range of a column to show: of the rows, or of nearly all that the fit draws."""
        if self.points is not None:
            low, high = np.nanmin(self.points[:, j]), np.nanmax(self.points[:, j])
        else:
            low, high = np.quantile(self.drawn[:, j], [0.0005, 0.9995])
        room = pad * (high - low) or pad * (abs(low) or 1.0)
        return float(low - room), float(high + room)


def scene(
    fit: Fit, X: Any = None, weights: Any = None, errors: StandardErrors | None = None, rng: Any = 0
) -> Scene:
    """A scene of a fit with the rows of X, or without any."""
    generator, model = generator_from(rng), fit.model
    rows = None if X is None else model.rows(X, frequencies(X, weights), columns=fit.columns)
    source = model if rows is None else model.given(rows.x, rows.weights)
    drawn, labels = _drawn(source, fit.params, rows, generator)
    if rows is None:
        return Scene(fit, None, None, None, None, None, errors, drawn, labels)
    given: Any = rows.x
    latent = getattr(model, "latent", None)
    x = given if latent is None or not latent.beside else latent.seen(given)
    x = x.x if isinstance(x, Sequences) else x
    beside = None
    if latent is not None and latent.width:
        flat = given.x if isinstance(given, Sequences) else given
        beside = np.asarray(flat)[:, -latent.width :]
    counts = per_row(given, rows.weights)
    some = np.arange(len(x))
    sizes = counts
    if len(x) > MOST_POINTS:
        some = np.sort(generator.choice(len(x), MOST_POINTS, p=counts / counts.sum()))
        sizes = np.ones(MOST_POINTS)
    # What is known of a row in a run depends on the others.
    whole = isinstance(given, Sequences)
    by_run = None
    resp = model.posterior(fit.params, given if whole else given[some])[1]
    if whole:
        by_run = resp if len(resp) == len(given) else None
        resp = (resp if len(resp) == len(x) else np.repeat(resp, given.lengths, axis=0))[some]
    runs = given if whole else None
    given_by = getattr(X, "source", None)
    frame, order = X if given_by is None else given_by, getattr(rows, "rows", None)
    told = None
    if whole and is_frame(frame):

        def told(name: str) -> NDArray[Any]:
            return np.asarray(column_of(frame, name).to_numpy())[order]

    shown = (x[some], sizes, resp)
    own = None if runs is not None else given
    of_runs = None if runs is None else rows.weights
    made = Scene(
        fit, x, counts, *shown, errors, drawn, labels, runs, by_run, beside, told, own, rng, of_runs
    )
    return replace(made, given=X, frequencies=weights)


def _drawn(
    model: Any, params: Any, rows: Any, rng: np.random.Generator
) -> tuple[Array, NDArray[np.intp]]:
    """Rows drawn one by one, each from a component that is drawn for it, and which; (DRAWN, d).

    Rows of a run would tell of the few components that it met, so that none is drawn whole: here
    components come by their weights, or by how often the rows given, if any, are in each.
    """
    if model.choices() is None:
        return model.sample(params, DRAWN, rng)[0], np.zeros(DRAWN, dtype=np.intp)
    family = getattr(model, "family", None)
    if family is None:
        drawn, labels = model.sample(params, DRAWN, rng)
        return drawn, np.asarray(labels)
    labels = rng.choice(model.choices(), size=DRAWN, p=_shares(model, params, rows, rng))
    covered = getattr(model, "covered", None)
    lent = family if covered is None else covered.lend(family, DRAWN, rng)
    drawn = np.asarray(lent.sample(params.components, labels, rng), dtype=float)
    return (drawn[:, None] if drawn.ndim == 1 else drawn), labels


def _shares(model: Any, params: Any, rows: Any, rng: np.random.Generator) -> Array:
    """How often each component is met, (K,)."""
    weights = getattr(params, "weights", None)
    if weights is not None:
        return np.asarray(weights)
    if rows is None and model.latent.width:  # there are no covariates to tell them by
        return np.asarray(model.latent.occupancy(params))
    if rows is None:
        labels = model.sample(params, DRAWN, rng)[1]
        return np.bincount(labels, minlength=model.choices()) / DRAWN
    resp = model.posterior(params, rows.x)[1]
    met = per_row(rows.x, rows.weights) @ np.nan_to_num(resp)
    return np.asarray(met / met.sum())
