"""How well units are told apart: from their responsibilities r (n, K) and weights w alone.

A unit is what has a z of its own, a row or a run of rows.  It is assigned to the component that
has most of it.  With s for that choice,

    size of k             w . r_k / w . 1                       posterior mean, and share assigned
    average posterior     mean of r_k over the units assigned to k
    odds of being right   (a / (1 - a)) / (p / (1 - p))         a: average posterior, p: size
    error table           T[k, l] = sum of w r_k over the units assigned to l
    entropy R2            1 - sum of w H(r) / (w . 1 log K)     1: told apart, 0: not at all

(Nagin 2005, Group-Based Modeling of Development, chapter 5, who asks for an average posterior above
0.7 and odds above 5; Ramaswamy et al. 1993, Marketing Science 12, 103.)

One known case: where each r is 0 or 1 the error table is diagonal and the entropy R2 is 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import xlogy

from emframe.spaces import Array


@dataclass(frozen=True)
class ClassTable:
    """What the responsibilities say of K components; see the module."""

    errors: Array  # (K, K)  weight of units of component k (row) assigned to l (column)
    crossed: Array  # (K, K)  mean responsibility of k (column) among the units assigned to l (row)
    entropy: float  # sum over units of w H(r), nats

    @property
    def total(self) -> float:
        """Weight of all units."""
        return float(self.errors.sum())

    @property
    def sizes(self) -> Array:
        """Mean responsibility of each component, (K,); sums to 1."""
        return np.asarray(self.errors.sum(axis=1) / self.total)

    @property
    def assigned(self) -> Array:
        """Share of units assigned to each component, (K,); sums to 1."""
        return np.asarray(self.errors.sum(axis=0) / self.total)

    @property
    def average_posterior(self) -> Array:
        """Of each component among the units assigned to it, (K,); nan where there are none."""
        return np.diag(self.crossed).copy()

    @property
    def odds(self) -> Array:
        """Odds of correct classification, (K,): over those of assigning at random by size."""
        mean, size = self.average_posterior, self.sizes
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(mean / (1.0 - mean) / (size / (1.0 - size)))

    @property
    def error_rate(self) -> float:
        """Expected share of units that are assigned to another component than theirs."""
        return 1.0 - float(np.trace(self.errors)) / self.total

    @property
    def entropy_r2(self) -> float:
        """1 where components are told apart without doubt, 0 where not at all; nan for K = 1."""
        k = len(self.errors)
        return 1.0 - self.entropy / (self.total * float(np.log(k))) if k > 1 else float("nan")


def class_table(resp: Array, weights: Array) -> ClassTable:
    """The `ClassTable` of responsibilities (n, K) of units with these weights (n,)."""
    chosen = np.eye(resp.shape[1])[resp.argmax(axis=1)] * weights[:, None]
    errors = resp.T @ chosen
    with np.errstate(invalid="ignore"):
        crossed = (errors / chosen.sum(axis=0)).T
    return ClassTable(errors, crossed, -float(weights @ xlogy(resp, resp).sum(axis=1)))
