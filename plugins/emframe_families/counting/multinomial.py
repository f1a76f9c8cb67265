"""Multinomial rows: how often each of d categories came up, given how often any did.

    log f(x | p, m) = log m! - sum_j log x_j! + sum_j x_j log p_j,        m = sum_j x_j

A mixture of these sorts documents by their words (Nigam et al. 2000, Machine Learning 39, 103).
Where rows have unlike totals the density is one given each row's own.

One known case: the probabilities of a single component are the shares of all counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from emframe import ConjugatePrior, ExponentialFamily, Simplex, parameter
from emframe.families import Moments
from emframe.families.kernel import NoSampler
from emframe.parameters import pullback
from emframe.spaces import Array, Shape, Space
from emframe_families.counting.poisson import LARGEST
from emframe_families.items.answers import shares, slope

USUAL = 20.0  # a total in the middle, where none is certain


@dataclass(frozen=True, repr=False)
class Tallies(Space):
    """Whole rows of counts, which sum to a total where it is certain."""

    total: int | None = None

    n_event_axes = 1
    discrete = True
    bounded = True  # another unit than one is no count
    lower = 0.0

    @property
    def words(self) -> str:  # type: ignore[override]
        certain = "" if self.total is None else f" that sum to {self.total}"
        return f"whole numbers, 0 or above{certain}"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        whole = (values >= 0) & (values <= LARGEST) & (np.floor(values) == values)
        held = whole.all(axis=-1)
        return held if self.total is None else held & (values.sum(axis=-1) == self.total)

    def coordinates(self, values: Array) -> Array:
        return np.log(values + 0.5).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        """Counts near the shares that the exponentials have of the total; what is left over goes
        to the largest remainders."""
        reals = np.exp(np.clip(np.reshape(vector, shape), -50.0, 50.0))
        total = USUAL if self.total is None else float(self.total)
        wanted = total * reals / reals.sum(axis=-1, keepdims=True)
        counts = np.floor(wanted)
        left = total - counts.sum(axis=-1, keepdims=True)
        place = np.argsort(np.argsort(counts - wanted, axis=-1, kind="stable"), axis=-1)
        return counts + (place < left)

    def __repr__(self) -> str:
        return f"Tallies({self.total})"


@dataclass(frozen=True)
class MultinomialParameters:
    """Probability of each category in each component."""

    probs: Array = parameter(Simplex(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Multinomial(ExponentialFamily):
    """Counts of two or more categories, given their total.

    Parameters
    ----------
    trials : the total that every row has, to be held to and to draw; None where rows have unlike
        totals, each of which is given.
    """

    trials: int | None = None

    name = "multinomial"
    parameters = MultinomialParameters
    priors = ("weak",)

    def __post_init__(self) -> None:
        given: Any = self.trials
        if given is None:
            return
        if not isinstance(given, (int, np.integer)) or isinstance(given, bool) or given < 1:
            raise ValueError(
                f"`trials` is {given!r}; pass the total of every row, 1 or more, or None for rows "
                "of unlike totals."
            )
        object.__setattr__(self, "trials", int(given))

    @property
    def support(self) -> Space:  # type: ignore[override]
        return Tallies(self.trials)

    def statistics(self, x: Array) -> Array:
        return x

    def natural(self, params: MultinomialParameters) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(params.probs)

    def log_partition(self, params: MultinomialParameters) -> Array:
        return np.zeros(len(params.probs))

    def log_base(self, x: Array) -> Array:
        return np.asarray(gammaln(x.sum(axis=1) + 1.0) - gammaln(x + 1.0).sum(axis=1))

    def from_mean(self, mean: Array) -> MultinomialParameters:
        d = mean.shape[1]
        return MultinomialParameters(shares(mean, np.full((1, d), 1.0 / d)))

    def gradient(self, statistics: Moments, params: MultinomialParameters) -> Array:
        return pullback(params, MultinomialParameters(slope(statistics.totals, params.probs)))

    def sample(self, params: MultinomialParameters, labels: Any, rng: np.random.Generator) -> Array:
        if self.trials is None:
            raise NoSampler(
                "multinomial rows of unlike totals have none to draw at; pass trials= to the "
                "family."
            )
        return rng.multinomial(self.trials, params.probs[labels]).astype(float)

    def mean(self, params: MultinomialParameters) -> Array:
        return self._certain("mean") * params.probs

    def variance(self, params: MultinomialParameters) -> Array:
        return self._certain("variance") * params.probs * (1.0 - params.probs)

    def _certain(self, what: str) -> float:
        if self.trials is None:
            raise self._without(f"{what} where rows have unlike totals; pass trials=")
        return float(self.trials)

    def conjugate_prior(self, prior: Any, whole: Moments, k: int) -> ConjugatePrior[Moments]:
        """``"weak"``: Dirichlet densities worth one trial, with the data's shares as mode."""
        if prior != "weak":
            return super().conjugate_prior(prior, whole, k)
        share = np.repeat(self.from_mean(whole.totals).probs, k, axis=0)
        constant = gammaln(1.0 + share).sum(axis=1) - gammaln(1.0 + share.shape[1])
        return ConjugatePrior(Moments(share, np.ones(k), 0.0), -float(constant.sum()))
