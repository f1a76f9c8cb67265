"""Rows about a line: what both families know of a row once its place w along the line is.

    x = xi + slope w + e,        w = |N(0, 1)|,  e ~ N(0, S)

Given w a component is a regression of x on w, so both its M-step and its Q need no more than the
weighted moments of (x, w).  They are kept about their means, where no digit is lost.

One known case: with slope 0 it is a normal density, whatever w is.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any, Protocol

import numpy as np

from emframe import Array, Degenerate
from emframe.spaces import EPS, cholesky

LOST = 1e-10  # of the rows' variance; of moments, which square it, too few digits are left below
STEEPEST_SLOPE = 1e3  # in deviations about the line: beyond it nothing but the end changes
STEEPEST = 0.98  # of what (1 - 2 / pi) slope^2 can be of the variance, at a start
SHARE = 2.0 / pi  # of slope^2, which is in the mean of x and not in its variance


@dataclass(frozen=True)
class Moments:
    """Weighted moments of (x, w) about their means; they add.

    The third moments of x are what a start is made of, before any w is known.
    """

    counts: Array  # (K,)  sums of weights
    means: Array  # (K, d + 1)
    squares: Array  # (K, d + 1, d + 1)
    cubes: Array  # (K, d) of x

    def __add__(self, other: Moments) -> Moments:
        counts = self.counts + other.counts
        share = np.divide(other.counts, counts, out=np.zeros_like(counts), where=counts > 0)
        gap, weight = other.means - self.means, self.counts * share
        dx, own, its = gap[:, :-1], _variances(self)[:, :-1], _variances(other)[:, :-1]
        cubes = self.cubes + other.cubes + (weight * (1.0 - 2.0 * share))[:, None] * dx**3
        return Moments(
            counts,
            self.means + share[:, None] * gap,
            self.squares + other.squares + weight[:, None, None] * gap[:, :, None] * gap[:, None],
            cubes + 3.0 * dx * ((1.0 - share)[:, None] * its - share[:, None] * own),
        )

    def __mul__(self, factor: float) -> Moments:
        return Moments(self.counts * factor, self.means, self.squares * factor, self.cubes * factor)

    @classmethod
    def of_rows(cls, x: Array, w: Array, spread: Array, weights: Array) -> Moments:
        """Of rows x (n, d), with the mean and variance (n, K) of their w, under weights (n, K)."""
        counts = weights.sum(axis=0)
        share = weights / np.where(counts > 0, counts, 1.0)
        x_mean, w_mean = share.T @ x, (share * w).sum(axis=0)
        k, d = x_mean.shape
        squares, cubes = np.empty((k, d + 1, d + 1)), np.empty((k, d))
        for j in range(k):
            off = np.column_stack([x - x_mean[j], w[:, j] - w_mean[j]])
            squares[j] = (weights[:, j] * off.T) @ off
            squares[j, d, d] += weights[:, j] @ spread[:, j]
            cubes[j] = weights[:, j] @ off[:, :d] ** 3
        return cls(counts, np.column_stack([x_mean, w_mean]), squares, cubes)

    @classmethod
    def of_x(cls, x: Array, weights: Array) -> Moments:
        """The same with nothing known of w."""
        nothing = np.full(weights.shape, np.nan)
        return cls.of_rows(x, nothing, nothing, weights)

    @property
    def knows_w(self) -> bool:
        """Whether every component that has rows has their w too."""
        return not np.isnan(self.means[self.counts > 0, -1]).any()


def _variances(moments: Moments) -> Array:
    return np.diagonal(moments.squares, axis1=1, axis2=2)


class OnLines(Protocol):
    """Components as lines along w."""

    @property
    def locations(self) -> Array: ...  # (K, d)  where w is 0
    @property
    def slopes(self) -> Array: ...  # (K, d)
    @property
    def scatter(self) -> Array: ...  # (K, d, d) about the line


@dataclass(frozen=True)
class Seen:
    """What rows say of w: it is N(at, width^2) cut off below 0, by x alone (a column of K)."""

    distances: Array  # (n, K)  (x - xi)' (S + slope slope')^-1 (x - xi)
    at: Array  # (n, K)
    width: Array  # (K,)
    log_det: Array  # (K,)  of S + slope slope'

    @classmethod
    def of_rows(cls, params: OnLines, x: Array) -> Seen:
        slopes, scatter = params.slopes, params.scatter
        whole = root(scatter + slopes[:, :, None] * slopes[:, None])
        off = np.swapaxes(x - params.locations[:, None], 1, 2)  # (K, d, n)
        both = np.linalg.solve(whole, np.concatenate([off, slopes[:, :, None]], axis=2))
        rows, along = both[:, :, :-1], both[:, :, -1]
        steep = np.linalg.solve(root(scatter), slopes[:, :, None])[:, :, 0]
        diagonal = np.diagonal(whole, axis1=1, axis2=2)
        return cls(
            np.einsum("kdn,kdn->nk", rows, rows),
            np.einsum("kdn,kd->nk", rows, along),
            1.0 / np.sqrt(1.0 + (steep**2).sum(axis=1)),
            2.0 * np.log(diagonal).sum(axis=1),
        )


def squares_about(moments: Moments, params: OnLines) -> tuple[Array, Array, Array]:
    """Sums that Q needs, by component: (x - xi - slope w)' S^-1 (...), w^2, and log|S|; (K,)."""
    lower = root(params.scatter)
    residual, squares = _residuals(moments, params)
    inverse = np.linalg.inv(lower)
    shift = (inverse @ residual[:, :, None])[:, :, 0]
    total = ((inverse @ squares) * inverse).sum(axis=(1, 2)) + moments.counts * (shift**2).sum(
        axis=1
    )
    of_w = moments.squares[:, -1, -1] + moments.counts * moments.means[:, -1] ** 2
    log_det = 2.0 * np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    return total, of_w, log_det


def _residuals(moments: Moments, params: OnLines) -> tuple[Array, Array]:
    """Of x about the line: the mean, (K, d), and the moments about it, (K, d, d)."""
    slopes = params.slopes
    d = slopes.shape[1]
    along = np.concatenate(
        [np.broadcast_to(np.eye(d), (len(slopes), d, d)), -slopes[:, :, None]], axis=2
    )
    mean = moments.means[:, :d] - params.locations - slopes * moments.means[:, d:]
    return mean, along @ moments.squares @ np.swapaxes(along, 1, 2)


def gradients(moments: Moments, counts: Array, params: OnLines) -> tuple[Array, Array, Array]:
    """Derivatives of Q by locations, slopes and scatter, of which there are `counts` (K,)."""
    precision = np.linalg.inv(params.scatter)
    mean, squares = _residuals(moments, params)
    n, w = moments.counts[:, None], moments.means[:, -1:]
    xw = moments.squares[:, :-1, -1] - params.slopes * moments.squares[:, -1:, -1]
    about = squares + n[:, :, None] * mean[:, :, None] * mean[:, None]
    spread = 0.5 * (precision @ about @ precision - counts[:, None, None] * precision)
    by_location = (precision @ (n * mean)[:, :, None])[:, :, 0]
    by_slope = (precision @ (xw + n * w * mean)[:, :, None])[:, :, 0]
    return by_location, by_slope, spread


def regressed(moments: Moments, counts: Array) -> tuple[Array, Array, Array]:
    """Locations, slopes and scatter at the top of Q; the last is by `counts` (K,), all above 0."""
    d = moments.cubes.shape[1]
    xw, ww = moments.squares[:, :d, d], moments.squares[:, d:, d]
    slopes = np.divide(xw, ww, out=np.zeros_like(xw), where=ww > 0)
    scatter = moments.squares[:, :d, :d] - slopes[:, :, None] * xw[:, None]
    locations = moments.means[:, :d] - slopes * moments.means[:, d:]
    return locations, slopes, _symmetric(scatter) / counts[:, None, None]


def by_moments(moments: Moments, counts: Array) -> tuple[Array, Array, Array]:
    """The same with the means, variances and skewnesses of the rows, for a start.

    A skewness beyond that of a component is taken as the largest, and one near 0 as small: at
    slope 0 the likelihood is stationary, and EM would stay there.
    """
    d = moments.cubes.shape[1]
    covariance = moments.squares[:, :d, :d] / counts[:, None, None]
    sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    cube = np.cbrt(2.0 * (moments.cubes / counts[:, None]) / (4.0 - pi))
    share = np.divide(cube, sd, out=np.zeros_like(sd), where=sd > 0)  # slope sqrt(2 / pi) / sd
    share = np.where(np.abs(share) < 0.1, np.copysign(0.1, share), np.clip(share, -1.0, 1.0))
    slopes = share * sd / np.sqrt(SHARE)
    # S = covariance - (1 - 2 / pi) slope slope' has to be positive definite.
    unit = np.where(sd > 0, sd, 1.0)
    correlation = covariance / unit[:, :, None] / unit[:, None]
    inverse = np.linalg.pinv(correlation, hermitian=True)
    size = (1.0 / SHARE - 1.0) * np.einsum("ki,kij,kj->k", share, inverse, share)
    slopes = slopes * np.sqrt(STEEPEST / np.maximum(size, STEEPEST))[:, None]
    locations = moments.means[:, :d] - np.sqrt(SHARE) * slopes
    return locations, slopes, covariance - (1.0 - SHARE) * slopes[:, :, None] * slopes[:, None]


def refuse_flat(moments: Moments, found: tuple[Array, Array, Array], empty: Any) -> None:
    """Raise `Degenerate` for a component (K,) that is next to no density along some direction.

    found : locations, slopes and scatter, the last of which is made that of a row where `empty`.
    """
    _, slopes, scatter = found
    d = slopes.shape[1]
    scatter[empty] = np.eye(d)
    about = moments.squares[:, range(d), range(d)] / np.where(empty, 1.0, moments.counts)[:, None]
    level = np.where(empty[:, None], 1.0, about + EPS * moments.means[:, :d] ** 2)
    unit = np.sqrt(np.where(level > 0, level, 1.0))
    scaled, along = scatter / unit[:, :, None] / unit[:, None], slopes / unit
    flat = ~empty & ~(np.linalg.eigvalsh(scaled)[:, 0] > LOST)
    if flat.any():
        k = int(flat.argmax())
        what = "a point" if d == 1 else "a point or a plane"
        raise Degenerate(f"component {k} has shrunk to {what}", k)
    solved = np.linalg.solve(scaled, along[:, :, None])[:, :, 0]
    steep = ~empty & ((along * solved).sum(axis=1) > STEEPEST_SLOPE**2)
    if steep.any():
        k = int(steep.argmax())
        raise Degenerate(
            f"component {k} has shrunk to a half-normal density: the likelihood is highest at an "
            "infinite shape",
            k,
        )


def root(matrices: Array) -> Array:
    """Cholesky factors (K, d, d); Raises `Degenerate` for the first that rounding leaves none."""
    try:
        return cholesky(matrices)
    except np.linalg.LinAlgError:
        least = np.linalg.eigvalsh(matrices)[:, 0] / np.trace(matrices, axis1=1, axis2=2)
        k = int(least.argmin())
        raise Degenerate(f"component {k} has shrunk to a plane", k) from None


def _symmetric(matrices: Array) -> Array:
    return np.asarray(0.5 * (matrices + np.swapaxes(matrices, 1, 2)))
