"""Bernoulli columns: binary items, independent given the component (latent class analysis).

    log f(x | probs) = sum_j x_j log p_j + (1 - x_j) log(1 - p_j)

Told as an exponential family with one statistic per answer, x and 1 - x, and no log-partition:
so probabilities of exactly 0 and 1, common at the maximum of such models, need no special case,
and an answer that is missing has statistics of 0.

One known case: the probability of a single component is the share of ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import betaln

from emframe import Binary, ConjugatePrior, ExponentialFamily, Space, UnitInterval, parameter
from emframe.families import (
    Axes,
    Concluded,
    Conditional,
    Curve,
    Kernel,
    Moments,
    RowProducts,
    Survey,
    of_any_row,
    refuse_kept,
)
from emframe.parameters import pullback
from emframe.spaces import Array, OrMissing
from emframe_families.columns import Columns
from emframe_families.items.answers import checked, shares, slope
from emframe_families.items.lookups import lookups

# From here on the shorter form is worth the digits of the rarer answer that it may lose.
MANY_ROWS = 10_000


@dataclass(frozen=True)
class BernoulliParameters:
    """Probability of a 1 in each column of each component."""

    probs: Array = parameter(UnitInterval(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Bernoulli(Columns, ExponentialFamily):
    """Any number of independent binary columns.

    Parameters
    ----------
    missing : whether answers may be missing (nan). Then the density of a row is that of the
        answers that were given, as if the others had never been asked.
    """

    missing: bool = False

    name = "bernoulli"
    parameters = BernoulliParameters
    priors = ("weak",)
    gaps = "expect missing answers: missing=True"

    def __post_init__(self) -> None:
        checked(self.missing)

    @property
    def support(self) -> Space:  # type: ignore[override]
        return OrMissing(Binary()) if self.missing else Binary()

    def statistics(self, x: Array) -> Array:
        if self.missing:
            return np.concatenate([x == 1.0, x == 0.0], axis=1).astype(float)
        return np.concatenate([x, 1.0 - x], axis=1)

    def natural(self, params: BernoulliParameters) -> Array:
        with np.errstate(divide="ignore"):
            return np.concatenate([np.log(params.probs), np.log1p(-params.probs)], axis=1)

    def kernels(
        self, params: BernoulliParameters, constants: Array, survey: Survey
    ) -> Iterator[Kernel]:
        """With every probability inside (0, 1) and many rows, the usual form with x alone.

            log f = sum_j x_j log p_j / (1 - p_j) + sum_j log(1 - p_j)

        It has half the statistics; the other half is what the counts leave.  Where answers may be
        missing they do not tell, and tables do the work of products; see `lookups`.
        """
        probs = params.probs
        if self.missing:
            natural, levels = self.natural(params), np.full(probs.shape[1], 2)
            yield from lookups(natural, constants, self.statistics, levels, True, survey)
        elif survey.n_rows >= MANY_ROWS and probs.min() > 0.0 and probs.max() < 1.0:
            against = np.log1p(-probs)
            constant = constants + against.sum(axis=1)
            odds = np.log(probs) - against
            yield RowProducts(odds, constant, ones, conclude_ones, form="log odds")
        yield from super().kernels(params, constants, survey)

    def with_gaps(self) -> Bernoulli:
        return replace(self, missing=True)

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        return of_any_row(self, params, len(x), hidden)

    def log_partition(self, params: BernoulliParameters) -> Array:
        return np.zeros(len(params.probs))

    def from_mean(self, mean: Array) -> BernoulliParameters:
        return BernoulliParameters(shares(_answers(mean), np.array(0.5))[..., 0])

    def m_step(self, statistics: Moments, previous: Any) -> BernoulliParameters:
        """An item that a component's rows do not answer keeps its probability."""
        if previous is None or not self.missing:
            return super().m_step(statistics, previous)
        before = np.stack([previous.probs, 1.0 - previous.probs], axis=-1)
        return BernoulliParameters(shares(_answers(statistics.totals), before)[..., 0])

    def gradient(self, statistics: Moments, params: BernoulliParameters) -> Array:
        probs = params.probs
        d = probs.shape[1]
        yes, no = statistics.totals[:, :d], statistics.totals[:, d:]
        up, down = slope(yes, probs), slope(no, 1.0 - probs)
        return pullback(params, BernoulliParameters(up - down))

    def axes(self, params: Any, x: Array, kept: Sequence[str] = (), **options: Any) -> Axes:
        """The probabilities, from 0 to 1: along each a density is a straight line, and convex.

        So the best further component is sure of every answer, and a mixture of enough of them is
        the saturated model, whose probabilities are the shares of the rows.
        """
        refuse_kept(self, kept, options)

        def slack(centre: Array, point: Array) -> Array:
            return np.zeros(np.broadcast_shapes(centre.shape, point.shape)[0])

        def natural(probs: Array) -> Array:
            with np.errstate(divide="ignore"):
                return np.asarray(np.log(probs) - np.log1p(-probs))

        def least_variance(low: Array, high: Array) -> Array:
            return np.minimum(low * (1.0 - low), high * (1.0 - high))

        curve = None if self.missing else Curve(x, natural, least_variance)
        ends = np.zeros(x.shape[1]), np.ones(x.shape[1])
        return Axes(*ends, BernoulliParameters, slack, curve=curve)

    def law(self, params: BernoulliParameters) -> Any:
        return scipy.stats.bernoulli(params.probs)

    def sample(self, params: BernoulliParameters, labels: Any, rng: np.random.Generator) -> Array:
        probs = params.probs[labels]
        return (rng.random(probs.shape) < probs).astype(float)

    def conjugate_prior(self, prior: Any, whole: Moments, k: int) -> ConjugatePrior[Moments]:
        """``"weak"``: independent beta densities worth one row, with the data's shares as mode."""
        if prior != "weak":
            return super().conjugate_prior(prior, whole, k)
        share = np.repeat(self.from_mean(whole.totals).probs, k, axis=0)
        # No log-partition, so the count of the pseudo-rows enters nowhere but the mean's scale.
        statistics = Moments(np.concatenate([share, 1.0 - share], axis=1), np.ones(k), 0.0)
        return ConjugatePrior(statistics, -float(betaln(1.0 + share, 2.0 - share).sum()))


def ones(x: Array) -> Array:
    """The statistics of the shorter form: the answers themselves, (b, d)."""
    return x


def conclude_ones(totals: Array, counts: Array) -> Concluded:
    """What a pass found, from how many ones there were; the other answers are zeros."""
    zeros = np.maximum(counts[:, None] - totals, 0.0)
    return Concluded(Moments(np.concatenate([totals, zeros], axis=1), counts, 0.0), counts)


def _answers(statistics: Array) -> Array:
    """Statistics (K, 2 d) as counts of ones and zeros for each item, (K, d, 2)."""
    k, width = statistics.shape
    return statistics.reshape(k, 2, width // 2).swapaxes(1, 2)
