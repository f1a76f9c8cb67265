"""What the E-step leaves behind: sums over people from which Q is known at every parameter.

The posterior of u is kept as a function of beta.  A person's u is normal about

    u(beta) = g - H (beta - c),      H = M^-1 W'X / sigma,      with variance M^-1

where c is the beta of the E-step and g its mean there.  With d = (1, c - beta) everything is linear
in d: u is [g, H] d, and what it leaves of the responses is y - X beta - Z L u = [s, T] d.  So Q has
sums of products of these, and no person.

    square   sum r [s, T]'[s, T]              (1 + p)^2
    cross    sum r Z'[s, T]  (x)  [g, H]      (q (1 + p))^2
    outer    sum r Z'Z  (x)  [g, H][g, H]'    q^2 (q (1 + p))^2
    own      sum r [g, H][g, H]'              (q (1 + p))^2
    and of M^-1 the last two

They are told about a base, c and L: near it nothing is a small difference of large numbers.

One known case: at d = (1, 0, ..., 0) these are the sums of textbook EM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from emframe import Array
from emframe_families.growth.effects import EffectPoint, Effects


@dataclass(frozen=True)
class PersonMoments:
    """Sums at one beta, of u and of s = y - X beta - Z L u, with the L of the base."""

    base: Array  # (K, q, q)  L
    counts: Array  # (K,)  people
    visits: Array  # (K,)
    square: Array  # (K,)  s's, at the means of u
    cross: Array  # (K, q, q)  (Z's) u', at the means of u
    outer: Array  # (K, q, q, q, q)  [a, c, b, d]: (Z'Z)_ac m_b m_d, of the means
    outer_variance: Array  # (K, q, q, q, q)  the same of the variance
    own: Array  # (K, q, q)  E[u u']

    @property
    def whole(self) -> Array:
        """(Z'Z)_ac E[u_b u_d]."""
        return self.outer + self.outer_variance

    def bent(self, loading: Array) -> Array:
        """E[ Z'Z A u u' ] for loadings A (K, q, q)."""
        return np.einsum("kacbd,kcd->kab", self.whole, loading)

    def turned(self, loading: Array) -> Array:
        """E[ Z'(y - X beta - Z A u) u' ], the slope of what A leaves, (K, q, q)."""
        away = np.einsum("kacbd,kcd->kab", self.outer, loading - self.base)
        return self.cross - away - np.einsum("kacbd,kcd->kab", self.outer_variance, loading)

    def left(self, loading: Array) -> Array:
        """Sum of E|y - X beta - Z A u|^2, (K,)."""
        away = loading - self.base
        bent = np.einsum("kacbd,kcd->kab", self.outer, away)
        spread = np.einsum("kacbd,kcd->kab", self.outer_variance, loading)
        return self.square + ((bent - 2.0 * self.cross) * away + spread * loading).sum(axis=(1, 2))


@dataclass(frozen=True)
class GrowthSums:
    """Sums of K components about their bases; they add, and scale by a factor."""

    centre: Array  # (K, p)  c
    base: Array  # (K, q, q)  L
    counts: Array  # (K,)
    visits: Array  # (K,)
    square: Array  # (K, 1 + p, 1 + p)
    cross: Array  # (K, q, 1 + p, q, 1 + p)
    outer: Array  # (K, q, q, q, 1 + p, q, 1 + p)  [a, c, b, i, d, j]
    own: Array  # (K, q, 1 + p, q, 1 + p)
    outer_variance: Array  # (K, q, q, q, q)
    own_variance: Array  # (K, q, q)
    made_at: EffectPoint | None  # where the E-step was made; None of several E-steps

    def __add__(self, other: GrowthSums) -> GrowthSums:
        one, two = self.made_at, other.made_at
        same = one is two or (one is not None and two is not None and one.is_at(two))
        other = other if same else other.about(self.centre, self.base)
        return replace(
            self,
            made_at=one if same else None,
            **{name: getattr(self, name) + getattr(other, name) for name in _ADDED},
        )

    def __mul__(self, factor: float) -> GrowthSums:
        return replace(self, **{name: getattr(self, name) * factor for name in _ADDED})

    def about(self, centre: Array, base: Array) -> GrowthSums:
        """The same sums about another base."""
        k, p = centre.shape
        moved = np.repeat(np.eye(1 + p)[None], k, axis=0)  # d about one centre from the other
        moved[:, 1:, 0] = self.centre - centre
        square, cross = self._based(base)
        return replace(
            self,
            centre=centre,
            base=base,
            square=np.einsum("kij,kir,kjs->krs", square, moved, moved, optimize=True),
            cross=np.einsum("kaibj,kir,kjs->karbs", cross, moved, moved, optimize=True),
            outer=np.einsum("kacbidj,kir,kjs->kacbrds", self.outer, moved, moved, optimize=True),
            own=np.einsum("kbidj,kir,kjs->kbrds", self.own, moved, moved, optimize=True),
        )

    def _based(self, loading: Array) -> tuple[Array, Array]:
        """`square` and `cross` of y - X beta - Z A u at the means of u, in place of L."""
        away = loading - self.base
        if not away.any():
            return self.square, self.cross
        bent = np.einsum("kacbidj,kcd->kajbi", self.outer, away)  # Z'Z (A - L) u, by u
        shift = np.einsum("kab,kaibj->kij", away, self.cross)
        both = np.einsum("kab,kajbi->kij", away, bent)
        return self.square - shift - shift.swapaxes(1, 2) + both, self.cross - bent

    def at(self, coefficients: Array) -> PersonMoments:
        """The sums at beta (K, p)."""
        d = np.concatenate([np.ones((len(self.centre), 1)), self.centre - coefficients], axis=1)
        dd = d[:, :, None] * d[:, None, :]
        return PersonMoments(
            self.base,
            self.counts,
            self.visits,
            np.einsum("kij,kij->k", self.square, dd),
            np.einsum("kaibj,kij->kab", self.cross, dd),
            np.einsum("kacbidj,kij->kacbd", self.outer, dd),
            self.outer_variance,
            np.einsum("kbidj,kij->kbd", self.own, dd) + self.own_variance,
        )

    def quadratic(self, loading: Array, turn: Array, sigma: Array) -> Array:
        """K (K, 1 + p, 1 + p), with -1/2 d'K d all of Q that depends on beta.

        Parameters
        ----------
        loading : (K, q, q) A, with b = A u in the mean.
        turn : (K, q, q) B, with B u in the prior.
        sigma : (K,)
        """
        square, _ = self._based(loading)
        prior = np.einsum("kbd,kbidj->kij", turn.swapaxes(1, 2) @ turn, self.own)
        return np.asarray(square / (sigma**2)[:, None, None] + prior)


_ADDED = ("counts", "visits", "square", "cross", "outer", "own", "outer_variance", "own_variance")


def gathered(found: Effects, resp: Array) -> tuple[GrowthSums, Array]:
    """The sums of people completed by their u, and the entropy of u, (K,), nats.

    Parameters
    ----------
    found : the E-step.
    resp : (K, N) responsibilities, weights of people included.
    """
    people = found.people
    n, t, p = people.x.shape
    q, k = people.z.shape[2], len(resp)
    pairs = people.zz[:, *lower_triangle(q)]
    left = np.concatenate([pairs, np.ones((n, 1))], axis=1)  # Z'Z, and 1
    m = q * (1 + p)
    rows, columns = lower_triangle(m)
    square = np.empty((k, 1 + p, 1 + p))
    cross = np.empty((k, q, 1 + p, q, 1 + p))
    outer = np.empty((k, left.shape[1], m, m))
    spread = np.empty((k, left.shape[1], q, q))
    line = np.empty((n, t, 1 + p))  # [s, T]
    swing = np.empty((n, q, 1 + p))  # [g, H]
    fall = people.z.swapaxes(1, 2)
    for one in range(k):
        shared, share = found.of(one), resp[one]
        if one == 0 or len(found.variance) > 1:
            swing[:, :, 1:] = found.lean[shared]
            line[:, :, 1:] = people.x - people.z @ (found.at.roots[one] @ swing[:, :, 1:])
        line[:, :, 0], swing[:, :, 0] = found.left[one], found.mean[one]
        weighed = (line * share[:, None, None]).reshape(n * t, 1 + p)
        square[one] = weighed.T @ line.reshape(n * t, 1 + p)
        flat = swing.reshape(n, m)
        weighed = share[:, None] * (fall @ line).reshape(n, m)
        cross[one] = (weighed.T @ flat).reshape(q, 1 + p, q, 1 + p)
        weighed = share[:, None] * left
        products = weighed.T @ (flat[:, rows] * flat[:, columns])
        outer[one][:, rows, columns] = outer[one][:, columns, rows] = products
        spread[one] = (weighed.T @ found.variance[shared].reshape(n, q * q)).reshape(
            left.shape[1], q, q
        )
    outer = outer.reshape(k, left.shape[1], q, 1 + p, q, 1 + p)
    sums = GrowthSums(
        found.at.coefficients,
        found.at.roots,
        resp.sum(axis=1),
        resp @ people.visits,
        square,
        cross,
        _square(outer[:, :-1], q),
        outer[:, -1],
        _square(spread[:, :-1], q),
        spread[:, -1],
        found.at,
    )
    each = 0.5 * (q * (1.0 + np.log(2.0 * np.pi)) - found.log_det)  # of u: |M^-1| is its variance
    return sums, np.asarray((resp * each).sum(axis=1))


def side_by_side(each: Sequence[GrowthSums]) -> GrowthSums:
    """The sums of components that were told one by one, at one point each."""
    own = [name.name for name in fields(GrowthSums) if name.name != "made_at"]
    told = [one.made_at for one in each]
    at = None
    if all(one is not None for one in told):
        names = [one.name for one in fields(EffectPoint)]
        at = EffectPoint(*(np.concatenate([getattr(one, name) for one in told]) for name in names))
    return GrowthSums(
        **{name: np.concatenate([getattr(one, name) for one in each]) for name in own}, made_at=at
    )


@cache
def lower_triangle(size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the lower triangle of a square matrix."""
    return np.tril_indices(size)


def _square(pairs: Array, q: int) -> Array:
    """Entries of the lower triangle (K, q (q + 1) / 2, ...) as a square one (K, q, q, ...)."""
    rows, columns = lower_triangle(q)
    found = np.empty((len(pairs), q, q, *pairs.shape[2:]))
    found[:, rows, columns] = found[:, columns, rows] = pairs
    return found
