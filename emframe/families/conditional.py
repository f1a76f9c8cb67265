"""What components say of the columns that rows hide, given those they show.

One known case: where columns are independent it is what they say of them in any row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emframe.spaces import Array

Draw = Callable[[NDArray[Any], np.random.Generator], Array]


class Conditional(NamedTuple):
    """The law of m hidden columns of n rows under each of K components."""

    means: Array | None  # (n, K, m); None where the family tells none
    covariances: Array | None  # (n, K, m, m)
    draw: Draw  # from labels (n,) and a generator, (n, m)

    def taken(self, which: Sequence[int]) -> Conditional:
        """That of some of the columns."""
        some = list(which)
        means = None if self.means is None else self.means[:, :, some]
        covariances = None
        if self.covariances is not None:
            covariances = self.covariances[:, :, some][:, :, :, some]
        return Conditional(means, covariances, lambda labels, rng: self.draw(labels, rng)[:, some])


def of_any_row(family: Any, params: Any, n: int, hidden: NDArray[np.intp]) -> Conditional:
    """What independent columns are in any of n rows."""

    def draw(labels: NDArray[Any], rng: np.random.Generator) -> Array:
        rows = np.asarray(family.sample(params, labels, rng), dtype=float)
        return rows.reshape(len(labels), -1)[:, hidden]

    try:
        means, variances = (
            np.asarray(one(params))[:, hidden] for one in (family.mean, family.variance)
        )
    except TypeError:  # a family that does not tell them can be drawn from all the same
        return Conditional(None, None, draw)
    k, m = means.shape
    covariances = variances[:, :, None] * np.eye(m)
    return Conditional(
        np.broadcast_to(means, (n, k, m)), np.broadcast_to(covariances, (n, k, m, m)), draw
    )


def side_by_side(parts: Sequence[tuple[list[int], Conditional]], m: int) -> Conditional:
    """That of columns of which groups are independent, by their places among all m."""

    def draw(labels: NDArray[Any], rng: np.random.Generator) -> Array:
        rows = np.empty((len(labels), m))
        for places, part in parts:
            rows[:, places] = part.draw(labels, rng)
        return rows

    if any(part.means is None or part.covariances is None for _, part in parts):
        return Conditional(None, None, draw)
    shape = parts[0][1].means.shape[:2]  # type: ignore[union-attr]
    means, covariances = np.zeros((*shape, m)), np.zeros((*shape, m, m))
    for places, part in parts:
        means[:, :, places] = part.means
        covariances[:, :, np.array(places)[:, None], places] = part.covariances
    return Conditional(means, covariances, draw)


def of_unlike(each: Sequence[Conditional], sizes: Sequence[int]) -> Conditional:
    """That of components of several families, so many of each, one after the other."""
    ends = np.cumsum(sizes)

    def draw(labels: NDArray[Any], rng: np.random.Generator) -> Array:
        rows = None
        for one, end, size in zip(each, ends, sizes, strict=True):
            mine = (labels >= end - size) & (labels < end)
            drawn = one.draw(np.where(mine, labels - end + size, 0), rng)
            rows = np.zeros_like(drawn) if rows is None else rows
            rows[mine] = drawn[mine]
        assert rows is not None
        return rows

    means = [one.means for one in each if one.means is not None]
    covariances = [one.covariances for one in each if one.covariances is not None]
    if len(means) < len(each):
        return Conditional(None, None, draw)
    return Conditional(np.concatenate(means, axis=1), np.concatenate(covariances, axis=1), draw)


def of_either(each: Sequence[Conditional], shares: Array) -> Conditional:
    """That of components which are mixtures of several, with shares (n, K, J) of each row."""

    def draw(labels: NDArray[Any], rng: np.random.Generator) -> Array:
        below = shares[np.arange(len(labels)), labels].cumsum(axis=1)
        which = (rng.random((len(labels), 1)) * below[:, -1:] >= below[:, :-1]).sum(axis=1)
        drawn = np.stack([one.draw(labels, rng) for one in each])
        return np.asarray(drawn[which, np.arange(len(labels))])

    told = [(one.means, one.covariances) for one in each]
    means = [mean for mean, spread in told if mean is not None and spread is not None]
    spreads = [spread for mean, spread in told if mean is not None and spread is not None]
    if len(means) < len(each):
        return Conditional(None, None, draw)
    mean = np.einsum("nkj,jnkm->nkm", shares, means)
    off = np.array(means) - mean
    within = np.einsum("nkj,jnkab->nkab", shares, spreads)
    return Conditional(mean, within + np.einsum("nkj,jnka,jnkb->nkab", shares, off, off), draw)
