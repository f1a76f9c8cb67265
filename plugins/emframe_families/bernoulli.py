"""Bernoulli columns: binary items, independent given the component (latent class analysis).

    log f(x | probs) = sum_j x_j log p_j + (1 - x_j) log(1 - p_j)

Told as an exponential family with one statistic per answer, x and 1 - x, and no log-partition:
so probabilities of exactly 0 and 1, common at the maximum of such models, need no special case.

One known case: the probability of a single component is the share of ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaln

from emframe import Binary, ConjugatePrior, ExponentialFamily, UnitInterval, parameter
from emframe.families import Concluded, Kernel, Moments, RowProducts, Survey
from emframe.parameters import pullback
from emframe.spaces import Array

# From here on the shorter form is worth the digits of the rarer answer that it may lose.
MANY_ROWS = 10_000


@dataclass(frozen=True)
class BernoulliParameters:
    """Probability of a 1 in each column of each component."""

    probs: Array = parameter(UnitInterval(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Bernoulli(ExponentialFamily):
    """Any number of independent binary columns."""

    name = "bernoulli"
    parameters = BernoulliParameters
    support = Binary()
    priors = ("weak",)

    def statistics(self, x: Array) -> Array:
        return np.concatenate([x, 1.0 - x], axis=1)

    def natural(self, params: BernoulliParameters) -> Array:
        with np.errstate(divide="ignore"):
            return np.concatenate([np.log(params.probs), np.log1p(-params.probs)], axis=1)

    def kernels(
        self, params: BernoulliParameters, log_weights: Array, survey: Survey
    ) -> Iterator[Kernel]:
        """With every probability inside (0, 1) and many rows, the usual form with x alone.

            log f = sum_j x_j log p_j / (1 - p_j) + sum_j log(1 - p_j)

        It has half the statistics; the other half is what the counts leave.
        """
        probs = params.probs
        if survey.n_rows >= MANY_ROWS and probs.min() > 0.0 and probs.max() < 1.0:
            against = np.log1p(-probs)

            def conclude(ones: Array, counts: Array) -> Concluded:
                zeros = np.maximum(counts[:, None] - ones, 0.0)
                totals = np.concatenate([ones, zeros], axis=1)
                return Concluded(Moments(totals, counts, 0.0), counts)

            constant = log_weights + against.sum(axis=1)
            odds = np.log(probs) - against
            yield RowProducts(odds, constant, lambda x: x, conclude, form="log odds")
        yield from super().kernels(params, log_weights, survey)

    def log_partition(self, params: BernoulliParameters) -> Array:
        return np.zeros(len(params.probs))

    def from_mean(self, mean: Array) -> BernoulliParameters:
        ones, zeros = np.split(mean, 2, axis=1)
        return BernoulliParameters(ones / (ones + zeros))

    def gradient(self, statistics: Moments, params: BernoulliParameters) -> Array:
        probs = params.probs
        ones, zeros = np.split(statistics.totals, 2, axis=1)
        up = np.divide(ones, probs, out=np.zeros_like(ones), where=probs > 0)
        down = np.divide(zeros, 1.0 - probs, out=np.zeros_like(zeros), where=probs < 1)
        return pullback(params, BernoulliParameters(up - down))

    def sample(self, params: BernoulliParameters, labels: Any, rng: np.random.Generator) -> Array:
        probs = params.probs[labels]
        return (rng.random(probs.shape) < probs).astype(float)

    def conjugate_prior(self, prior: Any, whole: Moments, k: int) -> ConjugatePrior[Moments]:
        """``"weak"``: independent beta densities worth one row, with the data's shares as mode."""
        if prior != "weak":
            return super().conjugate_prior(prior, whole, k)
        ones, zeros = np.split(whole.totals, 2, axis=1)
        share = np.broadcast_to(ones / (ones + zeros), (k, ones.shape[1]))
        # No log-partition, so the count of the pseudo-rows enters nowhere but the mean's scale.
        statistics = Moments(np.concatenate([share, 1.0 - share], axis=1), np.ones(k), 0.0)
        return ConjugatePrior(statistics, -float(betaln(1.0 + share, 2.0 - share).sum()))
