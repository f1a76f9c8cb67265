"""The M-step of factor analyzers: covariances S_k of the rows, and L_k L_k' + Psi_k fitted to them.

    minus twice the log-likelihood of component k is
        n_k ( d log(2 pi) + log|Sigma_k| + tr Sigma_k^-1 S_k ),      Sigma_k = L_k L_k' + Psi_k

Three ways lead there, each of which is an ascent from any point.

principal  one noise variance: L and Psi are the leading axes of S and the mean of what is left
           (Tipping and Bishop 1999, JRSS B 61, 611).  The maximum itself.
by turns   a variance for each column: L given Psi by the axes of Psi^-1/2 S Psi^-1/2 (Lawley
           1940), and each variance given all else in closed form (Zhao, Yu and Jiang 2008,
           Statistics and Computing 18, 109).  A column may be left without any: a Heywood case,
           for which the least is a share `HEYWOOD` of its variance.
completed  where components have loadings or noise in common, or hold some, or there is a prior:
           the factors are completed by their means and covariance, and columns are regressed on
           them (Rubin and Thayer 1982, Psychometrika 47, 69; Ghahramani and Hinton 1996).

Held means are a prior of infinite weight, so that a regression knows one kind of mean.

One known case: with S = L L' + Psi all three stand still.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emframe import Array
from emframe_families.factors.structure import covariances, uniquenesses
from emframe_families.factors.sums import FactorPrior
from emframe_families.gaussian.scatter import Scatter

# The least of its variance that a column keeps: the likelihood rises on to 0, by no more than this.
# One that is below it already, where steps were extrapolated, is not lifted, or Q would fall; down
# to where the digits of a covariance end.
HEYWOOD, LEAST = 1e-8, 1e-12
TURNS, FIRST_TURNS = 4, 20  # of a step; at a start, where nothing was found yet


@dataclass(frozen=True)
class Solution:
    """Components in the middle of an M-step."""

    means: Array  # (K, d)
    loadings: Array  # (K, d, q)
    own: Array  # (K, d)

    @property
    def q(self) -> int:
        return self.loadings.shape[2]

    @property
    def sigma(self) -> Array:
        return covariances(self.loadings, self.own)


def begun(spread: Array, q: int, shared: bool) -> tuple[Array, Array]:
    """Loadings and own variances by principal factors, from covariances (K, d, d)."""
    variances = np.diagonal(spread, axis1=1, axis2=2)
    sd = np.sqrt(variances)
    left = uniquenesses(spread / sd[:, :, None] / sd[:, None, :], q)
    own = left * variances
    if shared:
        own = np.broadcast_to(own.mean(axis=1, keepdims=True), own.shape)
    return leading(spread, own, q), own


def leading(spread: Array, own: Array, q: int) -> Array:
    """The best loadings (K, d, q) given the columns' own variances."""
    root = np.sqrt(own)
    values, axes = np.linalg.eigh(spread / root[:, :, None] / root[:, None, :])
    size = np.sqrt(np.maximum(values[:, None, -q:] - 1.0, 0.0))
    return np.asarray(root[:, :, None] * axes[:, :, -q:] * size)


def nearest(loadings: Array, like: Array) -> Array:
    """The same loadings turned as close to others as they can be (Schoenemann 1966)."""
    left, _, right = np.linalg.svd(loadings.swapaxes(1, 2) @ like)
    return np.asarray(loadings @ (left @ right))


def principal(spread: Array, q: int) -> tuple[Array, Array]:
    """The maximum where a component has one noise variance: loadings, and that, (K, d)."""
    values, axes = np.linalg.eigh(spread)
    d = spread.shape[1]
    noise = values[:, : d - q].mean(axis=1, keepdims=True)
    size = np.sqrt(np.maximum(values[:, None, d - q :] - noise[:, None], 0.0))
    return axes[:, :, d - q :] * size, np.broadcast_to(noise, (len(noise), d))


def by_turns(spread: Array, own: Array, q: int, turns: int) -> tuple[Array, Array]:
    """Loadings, then each column's own variance; and again."""
    variances = np.diagonal(spread, axis1=1, axis2=2)
    sd = np.sqrt(variances)
    correlations = spread / sd[:, :, None] / sd[:, None, :]
    own = np.maximum(own / variances, LEAST)
    least = np.minimum(own, HEYWOOD)
    for _ in range(turns):
        loadings = leading(correlations, own, q)
        own = _one_by_one(correlations, loadings, own, least)
    return sd[:, :, None] * loadings, own * variances


def _one_by_one(spread: Array, loadings: Array, own: Array, least: Array) -> Array:
    """Each variance at its best given the loadings and all others.

    With b the column of B = Sigma^-1, moving psi_j by t gives log|Sigma| + log(1 + t b_j) and
    takes t b' S b / (1 + t b_j) off the trace, which has one minimum at 1 + t b_j = b' S b / b_j.
    """
    own = own.copy()
    precision = np.linalg.inv(covariances(loadings, own))
    for j in range(own.shape[1]):
        b = precision[:, :, j]
        along = np.einsum("ki,kij,kj->k", b, spread, b)
        best = np.maximum(own[:, j] + (along - b[:, j]) / b[:, j] ** 2, least[:, j])
        moved, share = best - own[:, j], np.minimum(1.0, best / own[:, j])
        own[:, j] = best
        factor = moved / np.maximum(1.0 + moved * b[:, j], share)  # no less but by rounding
        precision = precision - factor[:, None, None] * b[:, :, None] * b[:, None, :]
    return own


@dataclass(frozen=True)
class OnFactors:
    """Columns regressed on completed factors, with what is known of the answer.

    Parameters
    ----------
    rows : of the components.
    centre, weight : what is known of means, (K, d), and how much it weighs, (K,): inf where they
        are held, 0 where they are free.
    loadings, noise : "own" of each component, "common" to all, or "held".
    one_noise : whether columns share their own variance.
    """

    rows: Scatter
    centre: Array
    weight: Array
    loadings: str = "own"
    noise: str = "own"
    one_noise: bool = False
    prior: FactorPrior | None = None

    def step(self, at: Solution) -> Solution:
        """Loadings, then means and noise given them.

        Loadings that nothing else is asked of go to their best first, which regression would reach
        in many steps.
        """
        n, mean, scatter = self.rows.counts, self.rows.means, self.rows.scatter
        q, t = at.q, self._times
        if self.loadings == "own" and self.prior is None:
            best = leading(scatter / self.rows.dof[:, None, None], at.own, q)
            at = Solution(mean, nearest(best, at.loadings), at.own)
        # E: factors have means z and scatter about these
        scaled = (at.loadings / at.own[:, :, None]).swapaxes(1, 2)  # (K, q, d)
        # V^-1 = 1 + L' Psi^-1 L, a sum, loses no digits where 1 - b L would.
        left = np.linalg.inv(np.eye(q) + scaled @ at.loadings)
        slope = left @ scaled
        z = np.einsum("kqd,kd->kq", slope, mean - at.means)
        across = scatter @ slope.swapaxes(1, 2)  # (K, d, q)
        within = slope @ across + n[:, None, None] * left
        # M: the means profiled out, each as far as it is free
        with np.errstate(invalid="ignore", divide="ignore"):
            held = np.isinf(self.weight)
            share = np.where(held, 1.0, self.weight / (n + self.weight))
        off, pull = mean - self.centre, n * share
        ridge = t * (0.0 if self.prior is None else self.prior.ridge)
        gram = within + pull[:, None, None] * z[:, :, None] * z[:, None, :]
        gram = gram + ridge[:, None, None] * np.eye(q)
        right = across + pull[:, None, None] * off[:, :, None] * z[:, None, :]
        loadings = self._loadings(at, gram, right)
        away = off - np.einsum("kdq,kq->kd", loadings, z)
        means = self.centre + (1.0 - share)[:, None] * away
        squares = (
            np.diagonal(scatter, axis1=1, axis2=2)
            - 2.0 * (loadings * across).sum(axis=2)
            + np.einsum("kdq,kqr,kdr->kd", loadings, within, loadings)
            + pull[:, None] * away**2
            + ridge[:, None] * (loadings**2).sum(axis=2)
        )
        return Solution(means, loadings, self._own(at, squares, q))

    @property
    def _times(self) -> Array:
        return np.zeros(len(self.rows.counts)) if self.prior is None else self.prior.times

    def _loadings(self, at: Solution, gram: Array, right: Array) -> Array:
        if self.loadings == "held":
            return at.loadings
        if self.loadings == "own":
            return np.asarray(np.linalg.solve(gram, right.swapaxes(1, 2)).swapaxes(1, 2))
        weights = 1.0 / at.own  # (K, d)
        gram = np.einsum("kd,kqr->dqr", weights, gram)
        right = np.einsum("kd,kdq->dq", weights, right)
        common = np.linalg.solve(gram, right[:, :, None])[:, :, 0]
        return np.broadcast_to(common, at.loadings.shape)

    def _own(self, at: Solution, squares: Array, q: int) -> Array:
        """What is left of the columns, by how many there are of it."""
        if self.noise == "held":
            return at.own
        t, d = self._times, squares.shape[1]
        total = np.broadcast_to(self.rows.dof[:, None], squares.shape)
        if self.prior is not None:
            held = np.isinf(self.weight)[:, None]
            off = np.where(held, self.centre - self.prior.centre, 0.0)
            squares = squares + (t * self.prior.kappa)[:, None] * off**2
            columns = d if self.one_noise else 1  # of a variance
            squares = squares + 2.0 * t[:, None] * self.prior.scale / columns
            total = total + t[:, None] * (1.0 + q + 2.0 * (self.prior.shape + 1.0) / columns)
        over = ((0,) if self.noise == "common" else ()) + ((1,) if self.one_noise else ())
        if over:
            squares, total = (one.sum(axis=over, keepdims=True) for one in (squares, total))
        variances = self._variances(over)
        least = np.clip(at.own, LEAST * variances, HEYWOOD * variances)
        return np.broadcast_to(np.maximum(squares / total, least), at.own.shape)

    def _variances(self, over: tuple[int, ...]) -> Array:
        """Of the columns, of all that have one noise variance."""
        squares, total = np.diagonal(self.rows.scatter, axis1=1, axis2=2), self.rows.dof[:, None]
        total = np.broadcast_to(total, squares.shape)
        if over:
            squares, total = (one.sum(axis=over, keepdims=True) for one in (squares, total))
        return squares / total
