"""The E-step of random effects: a person's density with b integrated out, and b given their rows.

    y = X beta_k + Z b + e,      b = L u,  u ~ N(0, I),      e ~ N(0, sigma^2 I)

With W = Z L / sigma, M = I + W'W and r = (y - X beta_k) / sigma,

    u | y ~ N(m, M^-1),      m = M^-1 W'r,
    -2 log f(y) = n log(2 pi sigma^2) + log|M| + |r - W m|^2 + |m|^2

(Laird and Ware 1982, Biometrics 38, 963), squares of differences and no difference of squares.
The variance D = L L' enters by its root L alone, and no eigenvalue of M is below 1: a variance of 0
is a case like others.

One known case: with L = 0 the rows are independent, and u is what it was before they were seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emframe import Array
from emframe_families.growth.people import People

LOG_TWO_PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True)
class EffectPoint:
    """Parameters of K components as arrays."""

    coefficients: Array  # (K, p)
    roots: Array  # (K, q, q)  L
    sigma: Array  # (K,)

    def is_at(self, other: EffectPoint) -> bool:
        """Whether both hold the same numbers."""
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("coefficients", "roots", "sigma")
        )


@dataclass(frozen=True)
class Effects:
    """What is known of the u of N people under K components.

    What no mean and no response enters has the axis G: K, or 1 where all components have the same
    D and sigma.
    """

    people: People
    at: EffectPoint
    left: Array  # (K, N, t)  y - X beta_k - Z L E[u | y]
    mean: Array  # (K, N, q)  E[u | y]
    lean: Array  # (G, N, q, p)  by how much it falls when beta rises: M^-1 W'X / sigma
    variance: Array  # (G, N, q, q)  M^-1
    log_det: Array  # (G, N)  of M
    log_density: Array  # (K, N)  nats

    def of(self, k: int) -> int:
        """Where component k has its part of the axis G."""
        return k if len(self.variance) > 1 else 0


def effects(people: People, at: EffectPoint, alike: bool) -> Effects:
    """The E-step at a point; `alike` says whether D and sigma are those of all components."""
    roots, sigma = (at.roots[:1], at.sigma[:1]) if alike else (at.roots, at.sigma)
    with np.errstate(over="ignore", invalid="ignore"):
        w = (people.z @ roots[:, None]) / sigma[:, None, None, None]  # (G, N, t, q)
        turned = w.swapaxes(2, 3)
        half, log_det = half_inverse(np.eye(roots.shape[-1]) + turned @ w)
        back = half.swapaxes(2, 3)
        r = people.residuals(at.coefficients) / sigma[:, None, None]
        mean = (back @ (half @ (turned @ r[..., None])))[..., 0]  # (K, N, q)
        lean = back @ (half @ (turned @ people.x)) / sigma[:, None, None, None]
        left = r - (w @ mean[..., None])[..., 0]
        quadratic = (left**2).sum(axis=2) + (mean**2).sum(axis=2)
        level = people.visits * (LOG_TWO_PI + 2.0 * np.log(sigma)[:, None]) + log_det
        density = -0.5 * (level + quadratic)
    # Where sigma is so small beside what varies that squares are no numbers, nothing is likely.
    density = np.where(np.isnan(density), -np.inf, density)
    left *= sigma[:, None, None]
    return Effects(people, at, left, mean, lean, back @ half, log_det, density)


def half_inverse(matrices: Array) -> tuple[Array, Array]:
    """C^-1 (..., q, q), with C C' = M, and log determinants of matrices M = I + W'W of few rows.

    Entry by entry of all matrices at a time: many small ones are no work for LAPACK, which is
    called for each.  No pivot is below 1, whatever rounding makes of it.
    """
    q = matrices.shape[-1]
    root, back = np.zeros(matrices.shape), np.zeros(matrices.shape)  # C, and its inverse
    log_det = np.zeros(matrices.shape[:-2])
    for i in range(q):
        for j in range(i):
            rest = matrices[..., i, j] - (root[..., i, :j] * root[..., j, :j]).sum(axis=-1)
            root[..., i, j] = rest / root[..., j, j]
        pivot = np.maximum(matrices[..., i, i] - (root[..., i, :i] ** 2).sum(axis=-1), 1.0)
        log_det += np.log(pivot)
        root[..., i, i] = np.sqrt(pivot)
        back[..., i, i] = 1.0 / root[..., i, i]
        for j in range(i):
            known = (root[..., i, j:i] * back[..., j:i, j]).sum(axis=-1)
            back[..., i, j] = -known * back[..., i, i]
    return back, log_det
