"""Latent traits: answers to items that depend on how much of something a person has.

    theta ~ N(0, 1),      P(x_j = 1 | theta) = 1 / (1 + exp(-(slope_j theta + intercept_j)))

Given the trait theta the answers are independent.  It is a latent variable of the family's own, of
which the normal density is put on points that lie close together.  Then both steps of EM are exact:
E counts how many rows lie at each point, and how many of them say yes to each item; M is a logistic
regression of each item on the points (Bock and Aitkin 1981, Psychometrika 46, 443).

Answers may be missing (nan): they say nothing of the trait, as where items are left out at random.

The items of a component have a slope each (two parameters, 2PL; Birnbaum 1968) or one together
(1PL, the Rasch model with a free scale).  Components are classes of people for whom the items work
differently (Rost 1990, Applied Psychological Measurement 14, 271).

One known case: with slopes 0 it is the bernoulli family.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import entr, expit, log_expit, logsumexp

from emframe import (
    Array,
    Binary,
    Degenerate,
    Family,
    FamilyEntry,
    OrMissing,
    Real,
    hookimpl,
    parameter,
)
from emframe.families import Completed, refuse_empty
from emframe.parameters import keep, pullback

FARTHEST = 6.0  # standard deviations to which the points reach; beyond are 2e-9 of people
STEEPEST = 200.0  # slopes from which on answers follow from the trait, and nothing changes
STEPS, HALVINGS = 60, 40
SETTLED = 1e-15  # a promised gain, per row, that is lost in the rounding of Q
MOST_CODED = 33  # items whose answers together are one whole number
TINY = float(np.finfo(float).tiny)


class Items:
    """What both sets of parameters tell of items."""

    slopes: Array
    intercepts: Array

    @property
    def each_slope(self) -> Array:
        """The slope of each item, (K, d)."""
        slopes = np.asarray(self.slopes)
        return np.broadcast_to(slopes.reshape(len(slopes), -1), self.intercepts.shape)

    @property
    def difficulties(self) -> Array:
        """The trait at which half of the answers are yes, (K, d)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(-self.intercepts / self.each_slope)


@dataclass(frozen=True)
class TwoParameters(Items):
    """Each item by its slope and its intercept: log odds of yes as lines in the trait."""

    slopes: Array = parameter(Real(), shape="d")  # (K, d)
    intercepts: Array = parameter(Real(), shape="d")  # (K, d)


@dataclass(frozen=True)
class OneParameter(Items):
    """The same with one slope for all items of a component."""

    slopes: Array = parameter(Real())  # (K,)
    intercepts: Array = parameter(Real(), shape="d")  # (K, d)


@dataclass(frozen=True)
class Counts:
    """Expected numbers of rows at each point of the trait, and of answers there; they add."""

    rows: Array  # (K, Q)
    told: Array  # (K, Q, d)  of answers to each item
    yes: Array  # (K, Q, d)  of them

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.rows + other.rows, self.told + other.told, self.yes + other.yes)

    def __mul__(self, factor: float) -> Counts:
        return Counts(self.rows * factor, self.told * factor, self.yes * factor)


@dataclass(frozen=True)
class LatentTrait(Family):
    """Items answered with 0 or 1, which have a trait in common; three or more tell of slopes.

    Parameters
    ----------
    model : "2PL", a slope for each item, or "1PL", one for all items of a component.
    points : how many points of the trait are looked at, evenly spaced within six deviations.
    """

    model: str = "2PL"
    points: int = 61

    name = "latent-trait"
    support = OrMissing(Binary())
    hides = True
    effort = 10.0
    fewest_columns = 3  # fewer say nothing of slopes

    def __post_init__(self) -> None:
        if self.model not in ("1PL", "2PL"):
            raise ValueError(f"`model` is {self.model!r}; expected '1PL' or '2PL'.")
        if isinstance(self.points, bool) or not isinstance(self.points, int) or self.points < 5:
            raise ValueError(f"`points` is {self.points!r}; expected a whole number, 5 or more.")

    @property
    def parameters(self) -> type:
        return TwoParameters if self.model == "2PL" else OneParameter

    @cached_property
    def trait(self) -> Array:
        """The points, (Q,)."""
        return np.linspace(-FARTHEST, FARTHEST, self.points)

    @cached_property
    def log_prior(self) -> Array:
        """log of the share of people at each, (Q,)."""
        density = -0.5 * self.trait**2
        return np.asarray(density - logsumexp(density))

    # ---- E

    def _logits(self, slopes: Array, intercepts: Array) -> Array:
        """Log odds of yes at each point, (K, Q, d)."""
        return slopes[:, None, :] * self.trait[:, None] + intercepts[:, None, :]

    def _joint(self, params: Any, x: Array) -> Array:
        """log p(x, theta) at each point, (n, K, Q)."""
        logits = self._logits(params.each_slope, params.intercepts)
        told, yes = answers(x)
        of_told = np.tensordot(told, log_expit(-logits), axes=(1, 2))
        return np.tensordot(yes, logits, axes=(1, 2)) + of_told + self.log_prior

    def log_density(self, params: Any, x: Array) -> Array:
        rows, back = distinct(x)
        return self._summed(params, rows)[1][back]

    def _posterior(self, params: Any, x: Array) -> Array:
        """p(theta | x) at each point, (n, K, Q)."""
        share, _ = self._summed(params, x)
        share /= share.sum(axis=2, keepdims=True)
        return share

    def _summed(self, params: Any, x: Array) -> tuple[Array, Array]:
        """Something proportional to that, and log p(x), (n, K)."""
        joint = self._joint(params, x)
        most = joint.max(axis=2, keepdims=True)
        np.subtract(joint, most, out=joint)
        np.exp(joint, out=joint)
        return joint, np.log(joint.sum(axis=2)) + most[:, :, 0]

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        rows, back = distinct(x)
        own = np.zeros((len(rows), resp.shape[1]))
        np.add.at(own, back, resp)
        share = self._posterior(params, rows)
        entropy = (own * entr(share).sum(axis=2)).sum(axis=0)
        share *= own[:, :, None]
        each = (np.tensordot(share, one, axes=(0, 0)) for one in answers(rows))
        return Completed(Counts(share.sum(axis=0), *each), entropy)

    def accumulate(self, x: Array, resp: Array) -> Counts:
        """With items of which nothing is known yet: all alike, and even."""
        k, d = resp.shape[1], x.shape[1]
        alike = TwoParameters(np.ones((k, d)), np.zeros((k, d)))
        found: Counts = self.completed(alike, x, resp).statistics
        return found

    def expected(self, statistics: Counts, params: Any) -> float:
        logits = self._logits(params.each_slope, params.intercepts)
        of_trait = float((statistics.rows @ self.log_prior).sum())
        return of_trait + float(self._by_item(statistics, logits).sum())

    def _by_item(self, sums: Counts, logits: Array) -> Array:
        """Q of each item, (K, d)."""
        no = sums.told - sums.yes
        return np.asarray((sums.yes * log_expit(logits) + no * log_expit(-logits)).sum(axis=1))

    # ---- M

    def m_step(self, statistics: Counts, previous: Any) -> Any:
        counts = statistics.rows.sum(axis=1)
        empty = counts <= TINY
        if previous is None:
            refuse_empty(empty)
        self._refuse_unanimous(statistics, counts, empty)
        shape = statistics.yes[:, 0].shape
        slopes, intercepts = np.ones(shape), np.zeros(shape)
        if previous is not None:
            slopes, intercepts = np.array(previous.each_slope), np.array(previous.intercepts)
        slopes, intercepts = self._climbed(statistics, slopes, intercepts, counts)
        steep = ~empty & (np.abs(slopes) > STEEPEST).any(axis=1)
        if steep.any():
            k = int(steep.argmax())
            j = int(np.abs(slopes[k]).argmax())
            raise Degenerate(f"answers to item {j} of component {k} follow from the trait", k)
        one = self.model == "1PL"
        params = self.parameters(slopes[:, 0].copy() if one else slopes, intercepts)
        return keep(empty, previous, params) if empty.any() else params

    def _climbed(
        self, sums: Counts, slopes: Array, intercepts: Array, counts: Array
    ) -> tuple[Array, Array]:
        """Newton's method on Q, which is concave, for all items at once; (K, d) both."""
        shared = self.model == "1PL"
        settled = SETTLED * counts[:, None]
        here = self._by_item(sums, self._logits(slopes, intercepts))
        for _ in range(STEPS):
            p = expit(self._logits(slopes, intercepts))
            excess = sums.yes - sums.told * p
            told = sums.told * p * (1.0 - p)
            level = np.maximum(told.sum(axis=1), TINY)
            middle = np.einsum("kqd,q->kd", told, self.trait) / level
            off = self.trait[:, None] - middle[:, None, :]
            bend, along = (told * off**2).sum(axis=1), (excess * off).sum(axis=1)
            rest = excess.sum(axis=1)
            if shared:
                bend, along = (
                    np.broadcast_to(one.sum(axis=1, keepdims=True), one.shape)
                    for one in (bend, along)
                )
            turn = np.divide(along, bend, out=np.zeros_like(rest), where=bend > TINY)
            shift = rest / level - middle * turn
            promised = 0.5 * (along * turn / (slopes.shape[1] if shared else 1) + rest**2 / level)
            open_ = np.maximum.reduce(promised, axis=1, keepdims=True) > settled
            open_ = np.broadcast_to(open_, promised.shape) if shared else promised > settled
            if not open_.any():
                break
            for halved in range(HALVINGS):
                length = np.where(open_, 0.5**halved, 0.0)
                there = slopes + length * turn, intercepts + length * shift
                reached = self._by_item(sums, self._logits(*there))
                gain = reached - here
                if shared:
                    gain = np.broadcast_to(gain.sum(axis=1, keepdims=True), gain.shape)
                taken = open_ & (gain > 0.0)
                slopes, intercepts = (
                    np.where(taken, new, old)
                    for new, old in zip(there, (slopes, intercepts), strict=True)
                )
                here = np.where(taken, reached, here)
                open_ = open_ & ~taken
                if not open_.any():
                    break
            if open_.all():
                break
        return slopes, intercepts

    def _refuse_unanimous(self, sums: Counts, counts: Array, empty: Any) -> None:
        yes, told = sums.yes.sum(axis=1), sums.told.sum(axis=1)
        no = told - yes
        least = 4.0 * np.finfo(float).eps * counts[:, None]
        alike = ~empty[:, None] & (np.minimum(yes, no) <= least)
        if alike.any():
            k, j = map(int, np.argwhere(alike)[0])
            if told[k, j] <= least[k, 0]:
                raise Degenerate(f"no row of component {k} has an answer to item {j}", k)
            raise Degenerate(
                f"rows of component {k} all answer item {j} alike: its intercept has no bound", k
            )

    def gradient(self, statistics: Counts, params: Any) -> Array:
        p = expit(self._logits(params.each_slope, params.intercepts))
        excess = statistics.yes - statistics.told * p
        by_slope = np.einsum("kqd,q->kd", excess, self.trait)
        if self.model == "1PL":
            by_slope = by_slope.sum(axis=1)
        return pullback(params, self.parameters(by_slope, excess.sum(axis=1)))

    # ---- after a fit

    def random_effects(self, params: Any, x: Any) -> tuple[tuple[str, ...], Array, Array]:
        """The trait: its posterior mean and deviation for each row in each component, (n, K, 1)."""
        share = self._posterior(params, np.asarray(x, dtype=float))
        mean = share @ self.trait
        square = share @ self.trait**2
        deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
        return ("trait",), mean[:, :, None], deviation[:, :, None]

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        theta = rng.standard_normal((len(labels), 1))
        p = expit(params.each_slope[labels] * theta + params.intercepts[labels])
        return (rng.random(p.shape) < p).astype(float)

    def mean(self, params: Any) -> Array:
        p = expit(self._logits(params.each_slope, params.intercepts))
        return np.asarray(np.einsum("kqd,q->kd", p, np.exp(self.log_prior)))

    def variance(self, params: Any) -> Array:
        mean = self.mean(params)
        return mean * (1.0 - mean)


def answers(x: Array) -> tuple[Array, Array]:
    """1 where there is an answer, and where it is yes, (n, d) each; 0 elsewhere."""
    told = ~np.isnan(x)
    return told.astype(float), np.where(told, x, 0.0)


def distinct(x: Array) -> tuple[Array, Any]:
    """The patterns among rows of 0, 1 and nan, and which each row has; few items have few."""
    if x.shape[1] > MOST_CODED:
        return x, slice(None)
    codes = np.where(np.isnan(x), 2.0, x) @ 3.0 ** np.arange(x.shape[1])
    _, first, back = np.unique(codes, return_index=True, return_inverse=True)
    return x[first], back


@hookimpl
def emframe_families() -> list[FamilyEntry]:
    """What this plugin brings."""
    return [
        FamilyEntry(
            "latent-trait",
            LatentTrait,
            "Items answered with 0 or 1 that have a trait in common (1PL, 2PL)",
            "Bock and Aitkin (1981), Psychometrika 46, 443",
        )
    ]
