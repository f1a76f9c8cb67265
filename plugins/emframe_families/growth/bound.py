"""Q of a linear mixed model, with u free to be told in other units: the bound behind PX-EM.

The u of a person has no unit: b = L u is the same for u' = B u and L' = L B^-1.  A posterior of u
that was found at one L is therefore taken to another by the B that suits it best, and Q is

    Q(beta, L, sigma) = max over B of
        sum r [ E log N(y; X beta + Z L B u, sigma^2) + E log N(B u; 0, I) + log|B| ]

the expectations over the u(beta) of the E-step (see ``sums``).  Each choice of B, and of how u
moves with beta, is one of a distribution of u, so this is below the log-likelihood, which it meets
where the E-step was made (Jensen; Neal and Hinton 1998).  Textbook EM holds u where it is, and is
slow for it; a B that is free is the parameter expansion of Liu, Rubin and Wu (1998, Biometrika 85,
755), and a u that moves with beta the ECME of Liu and Rubin (1994, Biometrika 81, 633).

A lower triangle is all that B need be, and with it the maximum is one of a concave function.

One known case: where the E-step was made B is the identity.
"""

from __future__ import annotations

import numpy as np

from emframe import Array
from emframe_families.growth.effects import LOG_TWO_PI, EffectPoint
from emframe_families.growth.sums import GrowthSums, PersonMoments, lower_triangle

STEPS, HALVINGS = 60, 30
# Newton's decrement, per person, from which on its steps are rounding.
SETTLED = 1e-18
NEAREST = 0.9  # of the way to where B is singular, that a step goes at most


def value(sums: GrowthSums, point: EffectPoint, shared: bool) -> float:
    """Q there, nats; `shared` says whether all components have one L, and so one B."""
    moments = sums.at(point.coefficients)
    turn = best_turn(sums, moments, point, shared)
    left = moments.left(point.roots @ turn) / point.sigma**2
    size = (turn @ moments.own * turn).sum(axis=(1, 2))  # E|B u|^2
    stretch = np.log(np.diagonal(turn, axis1=1, axis2=2)).sum(axis=1)
    q = turn.shape[1]
    rows = moments.visits * (LOG_TWO_PI + 2.0 * np.log(point.sigma)) + left
    people = moments.counts * (q * LOG_TWO_PI - 2.0 * stretch) + size
    return -0.5 * float((rows + people).sum())


def slope(sums: GrowthSums, point: EffectPoint, shared: bool) -> EffectPoint:
    """Its derivatives by beta, L and sigma; at the best B they need no derivative of that."""
    moments = sums.at(point.coefficients)
    turn = best_turn(sums, moments, point, shared)
    loading = point.roots @ turn
    d = np.concatenate([np.ones((len(turn), 1)), sums.centre - point.coefficients], axis=1)
    bend = sums.quadratic(loading, turn, point.sigma)
    along = moments.turned(loading) / (point.sigma**2)[:, None, None]
    return EffectPoint(
        np.einsum("kij,kj->ki", bend, d)[:, 1:],
        along @ turn.swapaxes(1, 2),
        moments.left(loading) / point.sigma**3 - moments.visits / point.sigma,
    )


def best_turn(sums: GrowthSums, moments: PersonMoments, point: EffectPoint, shared: bool) -> Array:
    """B (K, q, q), lower triangular, of each component, or of all together."""
    k, q, _ = point.roots.shape
    found = np.repeat(np.eye(q)[None], k, axis=0)
    if q == 0 or (sums.made_at is not None and sums.made_at.is_at(point)):
        return found
    turned = point.roots.swapaxes(1, 2) / (point.sigma**2)[:, None, None]
    away = np.einsum("kacbd,kcd->kab", moments.outer, moments.base)
    pull = turned @ (moments.cross + away)
    inner = np.einsum("kxybd,kyc->kxbcd", moments.whole, point.roots)
    bend = np.einsum("kax,kxbcd->kabcd", turned, inner)
    bend += np.eye(q)[None, :, None, :, None] * moments.own[:, None, :, None, :]
    counts = moments.counts
    if shared:
        pull, bend, counts = (one.sum(axis=0, keepdims=True) for one in (pull, bend, counts))
    for one in np.flatnonzero(counts > 0):
        found[slice(None) if shared else one] = _highest(
            pull[one] / counts[one], bend[one] / counts[one]
        )
    return found


def _highest(pull: Array, bend: Array) -> Array:
    """Where B . pull - 1/2 B . bend . B + log|B| is highest, by Newton's method from B = I."""
    q = len(pull)
    rows, columns = lower_triangle(q)
    diagonal = np.flatnonzero(rows == columns)
    b = pull[rows, columns]
    h = bend[rows[:, None], columns[:, None], rows, columns]
    x = (rows == columns).astype(float)

    for _ in range(STEPS):
        plain = b - h @ x
        gradient = plain.copy()
        gradient[diagonal] += 1.0 / x[diagonal]
        curve = h.copy()
        curve[diagonal, diagonal] += 1.0 / x[diagonal] ** 2
        step = np.linalg.solve(curve, gradient)
        if not gradient @ step > SETTLED:
            break
        along, bent, growth = plain @ step, step @ h @ step, step[diagonal] / x[diagonal]
        lengths = 0.5 ** np.arange(HALVINGS)
        stays = lengths * growth.min() > -NEAREST
        with np.errstate(invalid="ignore", divide="ignore"):
            grown = np.log1p(lengths[:, None] * growth).sum(axis=1)
        gains = lengths * along - 0.5 * lengths**2 * bent + grown
        fine = np.flatnonzero(stays & (gains > 0.0))
        if not len(fine):
            break
        x = x + lengths[fine[0]] * step
    turn = np.zeros((q, q))
    turn[rows, columns] = x
    return turn
