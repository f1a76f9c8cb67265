"""Gaussian components as tables of coordinates, for many starts at once.

    c = (log w, b = W mu, W)    W a lower triangle with W' W = Sigma^-1, its diagonal in logs

in the frame of the data: about their mean, in their standard deviations.  These are as many
numbers as there are statistics (1, x, x x').  A diagonal W is a vector, of one number where it is
spherical.  What all components of a start share each of them has in its line: they begin alike,
and move alike, for each gets the mean of their gradients.

Squares are expanded about one centre, so small components far from it lose digits; `m_step` says
which starts lost too many.

One known case: a component at the mean of the data with their own spread has b = 0 and, where
columns are uncorrelated, a diagonal of 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.spaces import Array
from emframe_families.gaussian.parameters import of_spread
from emframe_families.gaussian.scatter import transposed

LOG_2PI = log(2.0 * pi)
# Digits lost: an expanded square has terms so many times as large as itself, at most.
MOST = 1e7
TINY = 1e-300
SUBSTITUTED = 3  # columns up to which triangles are inverted number by number


@dataclass(frozen=True)
class FlatFrame:
    """Some rows, centred and scaled."""

    kind: type  # of parameters
    u: Array  # (n, d) the rows in the frame
    centre: Array  # (d,)
    scale: Array  # (d,)
    shared: bool  # whether all components of a start have one covariance

    @property
    def d(self) -> int:
        return len(self.centre)

    @property
    def surplus(self) -> float:
        return float(np.log(self.scale).sum())

    def _parameters(self, c: Array, mu: Array, spread: Array) -> tuple[Array, Any]:
        """Weights and components from the frame back in the units of the data.

        spread : covariances (K, d, d) or variances (K, d).
        """
        weights = np.exp(c[:, 0] - c[:, 0].max())
        if spread.ndim == 2:
            spread = spread * self.scale * self.scale
        else:
            spread = spread * (self.scale[:, None] * self.scale)
            spread = 0.5 * (spread + transposed(spread))
        if self.shared:
            spread = np.repeat(spread[:1], len(c), axis=0)
        return weights / weights.sum(), of_spread(self.kind, mu * self.scale + self.centre, spread)

    def _framed(self, weights: Sequence[Array], components: Sequence[Any]) -> tuple[Array, ...]:
        """Log weights, means, and covariances or variances of some starts, in the frame."""
        with np.errstate(divide="ignore"):
            log_weights = np.maximum(np.log(np.array(weights)), log(TINY))
        mu = (np.array([one.means for one in components]) - self.centre) / self.scale
        sigma = np.array([one.spread for one in components])
        unit = self.scale * self.scale if sigma.ndim == 3 else self.scale[:, None] * self.scale
        return log_weights, mu, sigma / unit

    def _constant(self, log_weights: Array, b: Array, log_root: Array) -> Array:
        """The part of eta that no row changes, (S, K)."""
        total = np.log(np.add.reduce(np.exp(log_weights), axis=-1, keepdims=True))
        square = np.einsum("skd,skd->sk", b, b)
        square += self.d * LOG_2PI
        return np.asarray(log_weights - total + log_root - 0.5 * square)

    def _weight_gradient(self, c: Array, counts: Array, total: float) -> Array:
        w = np.exp(c[..., 0])
        return np.asarray(counts - total * w / np.add.reduce(w, axis=-1, keepdims=True))


@cache
def _below(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places below the diagonal of a square; and where each number of a square is in a triangle.

    A triangle has its diagonal first, and row by row what is below it.
    """
    i, j = np.tril_indices(d, -1)
    square = np.diag(np.arange(d))
    square[i, j] = square[j, i] = d + np.arange(len(i))
    return i * d + j, square.ravel()


@dataclass(frozen=True)
class Triangular(FlatFrame):
    """Whole covariances."""

    @cached_property
    def table(self) -> Array:
        x = np.ascontiguousarray(self.u.T)
        i, j = np.tril_indices(self.d, -1)
        return np.concatenate([np.ones((1, x.shape[1])), x, x * x, x[i] * x[j]])

    def _square(self, c: Array, root: Array) -> Array:
        """W of each component, (..., d, d), from coordinates and the diagonal."""
        d = self.d
        flat = np.zeros((*c.shape[:-1], d * d))
        flat[..., :: d + 1] = root
        flat[..., _below(d)[0]] = c[..., 1 + 2 * d :]
        return flat.reshape(*c.shape[:-1], d, d)

    def _write(self, white: Array, mu: Array, out: Array) -> Array:
        """Put W and W mu among the coordinates, and what bounds |W|^2 of each component."""
        d = self.d
        np.matmul(white, mu[..., None], out=out[..., 1 : 1 + d, None])
        flat = white.reshape(*white.shape[:-2], d * d)
        triangle = out[..., 1 + d :]
        triangle[..., :d] = flat[..., :: d + 1]
        triangle[..., d:] = flat.take(_below(d)[0], axis=-1)
        size = np.einsum("skp,skp->sk", triangle, triangle)
        np.log(triangle[..., :d], out=triangle[..., :d])
        return np.asarray(size)

    def natural(self, c: Array) -> tuple[Array, Any]:
        d = self.d
        logs, b = c[..., 1 + d : 1 + 2 * d], c[..., 1 : 1 + d]
        root = np.exp(logs)
        white = self._square(c, root)
        turned = transposed(white)
        eta = np.empty(c.shape)
        eta[..., 0] = self._constant(c[..., 0], b, np.add.reduce(logs, axis=-1))
        np.matmul(turned, b[..., None], out=eta[..., 1 : 1 + d, None])
        precision = (turned @ white).reshape(*c.shape[:2], d * d)
        np.multiply(precision[..., :: d + 1], -0.5, out=eta[..., 1 + d : 1 + 2 * d])
        np.negative(precision.take(_below(d)[0], axis=-1), out=eta[..., 1 + 2 * d :])
        return eta, (white, root)

    def m_step(self, sums: Array, total: float) -> tuple[Array, NDArray[Any] | None]:
        d = self.d
        s, k, _ = sums.shape
        counts = np.maximum(sums[..., :1], TINY)
        per_count = sums[..., 1:] / counts
        mu = per_count[..., :d]
        sigma = per_count[..., d:].take(_below(d)[1], axis=-1).reshape(s, k, d, d)
        if self.shared:
            share = counts / total
            sigma = np.add.reduce(share[..., None] * sigma, axis=1, keepdims=True)
            sigma -= transposed(share * mu)[:, None] @ mu[:, None]
        else:
            sigma -= mu[..., :, None] * mu[..., None, :]
        factor, fine = _factor(sigma)
        out = np.empty(sums.shape)
        np.log(counts[..., 0] / total, out=out[..., 0])
        size = self._write(_inverse(factor), mu, out)
        # The terms of an expanded square are at most the trace of the precision times these.
        reach = np.einsum("skd,skd->sk", mu, mu)
        reach += np.einsum("skdd->sk", sigma)
        most = np.maximum.reduce(size * reach, axis=-1)
        if fine is None and most.max() < MOST * d:
            return out, None
        keeps = most < MOST * d
        return out, keeps if fine is None else keeps & fine

    def gradient(self, c: Array, sums: Array, total: float, told: Any) -> Array:
        d = self.d
        s, k, _ = c.shape
        below, square = _below(d)
        white, root = told
        b, first, counts = c[..., 1 : 1 + d], sums[..., 1 : 1 + d], sums[..., :1]
        second = sums[..., 1 + d :].take(square, axis=-1).reshape(s, k, d, d)
        g = np.empty(c.shape)
        g[..., 0] = self._weight_gradient(c, counts[..., 0], total)
        np.subtract((white @ first[..., None])[..., 0], counts * b, out=g[..., 1 : 1 + d])
        slope = b[..., :, None] * first[..., None, :]
        slope -= white @ second
        flat, along = slope.reshape(s, k, d * d), g[..., 1 + d :]
        np.multiply(flat[..., :: d + 1], root, out=along[..., :d])
        along[..., :d] += counts
        along[..., d:] = flat.take(below, axis=-1)
        if self.shared:
            along[...] = np.add.reduce(along, axis=1, keepdims=True) / k
        return g

    def coordinates(self, weights: Sequence[Array], components: Sequence[Any]) -> Array:
        log_weights, mu, sigma = self._framed(weights, components)
        d = self.d
        out = np.empty((*log_weights.shape, 1 + d + d * (d + 1) // 2))
        out[..., 0] = log_weights
        self._write(_inverse(np.asarray(np.linalg.cholesky(sigma))), mu, out)
        return out

    def parameters(self, c: Array) -> tuple[Array, Any]:
        d = self.d
        back = _inverse(self._square(c, np.exp(c[:, 1 + d : 1 + 2 * d]))[None])[0]
        mu = (back @ c[:, 1 : 1 + d, None])[:, :, 0]
        return self._parameters(c, mu, back @ transposed(back))

    def heights(self, c: Array) -> Array | None:
        if self.shared:
            return None
        return np.asarray(np.add.reduce(c[..., 1 + self.d : 1 + 2 * self.d], axis=-1))


@dataclass(frozen=True)
class Diagonal(FlatFrame):
    """Variances of columns; of all columns together where `spherical`, in one unit."""

    spherical: bool = False

    @cached_property
    def table(self) -> Array:
        x = np.ascontiguousarray(self.u.T)
        squares = x * x
        if self.spherical:
            squares = np.add.reduce(squares, axis=0, keepdims=True)
        return np.concatenate([np.ones((1, x.shape[1])), x, squares])

    @property
    def _each(self) -> int:
        """Columns of which one number is the width."""
        return self.d if self.spherical else 1

    def natural(self, c: Array) -> tuple[Array, Any]:
        d = self.d
        logs, b = c[..., 1 + d :], c[..., 1 : 1 + d]
        root = np.exp(logs)
        eta = np.empty(c.shape)
        eta[..., 0] = self._constant(c[..., 0], b, self._each * np.add.reduce(logs, axis=-1))
        np.multiply(b, root, out=eta[..., 1 : 1 + d])
        np.multiply(root, root, out=eta[..., 1 + d :])
        eta[..., 1 + d :] *= -0.5
        return eta, root

    def m_step(self, sums: Array, total: float) -> tuple[Array, NDArray[Any] | None]:
        d = self.d
        counts = np.maximum(sums[..., :1], TINY)
        per_count = sums[..., 1:] / counts
        mu, moments = per_count[..., :d], per_count[..., d:]
        squares = mu * mu
        if self.spherical:
            squares = np.add.reduce(squares, axis=-1, keepdims=True)
        variance = moments - squares
        if self.shared:
            variance = np.add.reduce(counts * variance, axis=1, keepdims=True) / total
        keeps = moments < MOST * variance
        fine = None
        if not keeps.all():
            fine = np.logical_and.reduce(keeps, axis=(1, 2))
            variance = np.where(variance > 0.0, variance, 1.0)
        variance = variance / self._each
        logs = np.log(variance)
        logs *= -0.5
        out = np.empty(sums.shape)
        np.log(counts[..., 0] / total, out=out[..., 0])
        np.multiply(mu, np.exp(logs), out=out[..., 1 : 1 + d])
        out[..., 1 + d :] = logs
        return out, fine

    def gradient(self, c: Array, sums: Array, total: float, told: Any) -> Array:
        d, root = self.d, told
        b, first, counts = c[..., 1 : 1 + d], sums[..., 1 : 1 + d], sums[..., :1]
        g = np.empty(c.shape)
        g[..., 0] = self._weight_gradient(c, counts[..., 0], total)
        moved = root * first
        np.subtract(moved, counts * b, out=g[..., 1 : 1 + d])
        across = b * moved
        if self.spherical:
            across = np.add.reduce(across, axis=-1, keepdims=True)
        across += self._each * counts
        across -= root * root * sums[..., 1 + d :]
        g[..., 1 + d :] = (
            np.add.reduce(across, axis=1, keepdims=True) / c.shape[1] if (self.shared) else across
        )
        return g

    def coordinates(self, weights: Sequence[Array], components: Sequence[Any]) -> Array:
        log_weights, mu, sigma = self._framed(weights, components)
        logs = -0.5 * np.log(sigma)
        b = mu * np.exp(logs)
        if self.spherical:
            logs = logs[..., :1]
        return np.concatenate([log_weights[..., None], b, logs], axis=-1)

    def parameters(self, c: Array) -> tuple[Array, Any]:
        d = self.d
        width = np.exp(-c[:, 1 + d :])
        spread = np.broadcast_to(width**2, (len(c), d))
        return self._parameters(c, c[:, 1 : 1 + d] * width, spread)

    def heights(self, c: Array) -> Array | None:
        if self.shared:
            return None
        return np.asarray(self._each * np.add.reduce(c[..., 1 + self.d :], axis=-1))


CODES = {"VVV", "EEE", "VVI", "EEI", "VII", "EII"}


def flat(code: str, kind: type, x: Array, weights: Array) -> Triangular | Diagonal | None:
    """The form of a structure about rows x (n, d) of these weights; None where it has none."""
    if code not in CODES:
        return None
    total = weights.sum()
    centre = weights @ x / total
    u = x - centre
    variances = weights @ (u * u) / total
    if code.endswith("II"):
        variances = np.full(len(centre), variances.mean())
    if not (variances > 0.0).all() or not np.isfinite(variances).all():
        return None
    scale = np.sqrt(variances)
    shared = code.startswith("E")
    u /= scale
    if code.endswith("I"):
        return Diagonal(kind, u, centre, scale, shared, spherical=code.endswith("II"))
    return Triangular(kind, u, centre, scale, shared)


def _factor(sigma: Array) -> tuple[Array, NDArray[Any] | None]:
    """Cholesky factors (S, K, d, d), and which starts have them; None where all do."""
    try:
        return np.asarray(np.linalg.cholesky(sigma)), None
    except np.linalg.LinAlgError:
        pass  # one has none: which, is asked below
    unit = np.eye(sigma.shape[-1])
    some = np.asarray(np.isfinite(sigma).all(axis=(2, 3)))
    sigma = np.where(some[..., None, None], sigma, unit)
    some &= np.linalg.eigvalsh(sigma)[..., 0] > 1.0 / MOST
    factor = np.linalg.cholesky(np.where(some[..., None, None], sigma, unit))
    return np.asarray(factor), np.asarray(some.all(axis=1))


def _inverse(lower: Array) -> Array:
    """Inverses of lower triangles (..., d, d); above the diagonal there may be dust."""
    d = lower.shape[-1]
    if d > SUBSTITUTED:
        return np.asarray(np.linalg.inv(lower))
    out = np.zeros(lower.shape)
    for i in range(d):
        on = 1.0 / lower[..., i, i]
        out[..., i, i] = on
        for j in range(i):
            inner = lower[..., i, j] * out[..., j, j]
            for m in range(j + 1, i):
                inner = inner + lower[..., i, m] * out[..., m, j]
            out[..., i, j] = -on * inner
    return out
