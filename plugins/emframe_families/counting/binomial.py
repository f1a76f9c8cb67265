"""Binomial columns: successes among a known number of trials, independent given the component.

    log f(x | p) = log (m choose x) + x log p + (m - x) log(1 - p)

Told with one statistic for successes and one for failures, as the Bernoulli family, so that
probabilities of exactly 0 and 1 need no special case.  Where each row has trials of its own, take
``binomial-regression`` with ``trials=`` and without predictors.

One known case: with one trial it is the Bernoulli family.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from scipy.special import betaln

from emframe import ConjugatePrior, ExponentialFamily, UnitInterval, parameter
from emframe.composing import AtColumns, Home, RowsOf
from emframe.families import Moments
from emframe.parameters import pullback
from emframe.spaces import Array, Integers, Space
from emframe_families.columns import Columns
from emframe_families.counting.halves import halves
from emframe_families.items.answers import slope

MOST_TRIALS = 10**9  # beyond it the terms of a log density lose the digits that count


@dataclass(frozen=True)
class BinomialParameters:
    """Probability of success in each column of each component."""

    probs: Array = parameter(UnitInterval(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Binomial(Columns, ExponentialFamily):
    """Any number of independent binomial columns.

    Parameters
    ----------
    trials : how many trials each row has: one number for all columns, or a tuple with one for
        each; up to 1e9.
    """

    trials: int | tuple[int, ...]

    name = "binomial"
    parameters = BinomialParameters
    priors = ("weak",)

    def __post_init__(self) -> None:
        given = np.atleast_1d(np.asarray(self.trials))
        sound = given.dtype.kind in "iu" and given.ndim == 1 and len(given)
        if not sound or given.min() < 1 or given.max() > MOST_TRIALS:
            raise ValueError(
                f"`trials` is {self.trials!r}; pass a whole number from 1 to {MOST_TRIALS}, or a "
                "tuple with one for each column. Where each row has its own, take the family "
                "'binomial-regression' with trials= and predictors=()."
            )
        one = np.ndim(self.trials) == 0
        object.__setattr__(self, "trials", int(given[0]) if one else tuple(map(int, given)))

    @property
    def _trials(self) -> Array:
        """Of each column, (d,), or of all, (1,)."""
        return np.atleast_1d(np.asarray(self.trials, dtype=float))

    @property
    def width(self) -> int | None:  # type: ignore[override]
        return len(self.trials) if isinstance(self.trials, tuple) else None

    @property
    def takes_columns(self) -> bool:
        return self.width != 1

    @property
    def support(self) -> Space:  # type: ignore[override]
        if isinstance(self.trials, tuple):
            return RowsOf(self._homes(self.trials))
        return Integers(0, self.trials)

    @property
    def supports(self) -> tuple[Space, ...]:
        if isinstance(self.trials, tuple):
            return tuple(AtColumns(one.space, one.places) for one in self._homes(self.trials))
        return (self.support,)

    @staticmethod
    def _homes(trials: tuple[int, ...]) -> tuple[Home, ...]:
        """Where each column lives."""
        return tuple(Home(f"{m} trials", Integers(0, m), (j,)) for j, m in enumerate(trials))

    def statistics(self, x: Array) -> Array:
        return np.concatenate([x, self._trials - x], axis=1)

    def natural(self, params: BinomialParameters) -> Array:
        with np.errstate(divide="ignore"):
            return np.concatenate([np.log(params.probs), np.log1p(-params.probs)], axis=1)

    def log_partition(self, params: BinomialParameters) -> Array:
        return np.zeros(len(params.probs))

    def log_base(self, x: Array) -> Array:
        m = self._trials
        return -(np.log1p(m) + betaln(x + 1.0, m - x + 1.0)).sum(axis=1)

    def from_mean(self, mean: Array) -> BinomialParameters:
        hits, misses = halves(mean)
        return BinomialParameters(hits / (hits + misses))

    def gradient(self, statistics: Moments, params: BinomialParameters) -> Array:
        hits, misses = halves(statistics.totals)
        along = slope(hits, params.probs) - slope(misses, 1.0 - params.probs)
        return pullback(params, BinomialParameters(along))

    def law(self, params: BinomialParameters) -> Any:
        return scipy.stats.binom(self._trials.astype(int), params.probs)

    def sample(self, params: BinomialParameters, labels: Any, rng: np.random.Generator) -> Array:
        return rng.binomial(self._trials.astype(int), params.probs[labels]).astype(float)

    def conjugate_prior(self, prior: Any, whole: Moments, k: int) -> ConjugatePrior[Moments]:
        """``"weak"``: independent beta densities worth one trial, the data's shares as mode."""
        if prior != "weak":
            return super().conjugate_prior(prior, whole, k)
        share = np.repeat(self.from_mean(whole.totals).probs, k, axis=0)
        # No log-partition, so the count of the pseudo-rows enters nowhere but the mean's scale.
        statistics = Moments(np.concatenate([share, 1.0 - share], axis=1), np.ones(k), 0.0)
        return ConjugatePrior(statistics, -float(betaln(1.0 + share, 2.0 - share).sum()))
