"""A multinomial logit: which of K a row is, by covariates, and the coefficients that say so best.

    log p(z = k | u) = b_k'u - log sum_l exp(b_l'u),        b_0 = 0,        u_0 = 1

The expected log probability of z is linear in the coefficients but for the last term,

    E log p(z | b) = sum_k b_k'c_k - sum_i t_i log sum_l exp(b_l'u_i),      c_k = sum_i r_ik u_i

so that all that a posterior leaves behind is c, (K, p); the rest is of the rows alone, whose
covariates stay where they are.  It is concave, and Newton's steps with the exact Hessian, halved
until it rises, go to its maximum (Boehning 1992, Ann. Inst. Statist. Math. 44, 197).

One known case: with the intercept alone the probabilities are shares of c, the counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np

from emframe.core import Degenerate
from emframe.spaces import EPS, Array

MOST_STEPS, MOST_HALVINGS = 25, 40
# Log odds that reach less far leave some doubt about every row.
FAR = 12.0
# So small a share of the information that equal odds for all rows would leave is none.
SEPARATED = 1e-7
# A column is collinear with those before it where no more than this share of its length is left.
COLLINEAR = 1e-9


@dataclass(frozen=True)
class LogitSums:
    """Sums of the posterior times covariates, and the rows that they are of; they add."""

    cross: Array  # (K, p)
    rows: tuple[tuple[Array, Array], ...] = ()  # covariates u (b, q), no intercept; weights (b,)

    def __add__(self, other: LogitSums) -> LogitSums:
        return LogitSums(self.cross + other.cross, self.rows + other.rows)

    def __mul__(self, factor: float) -> LogitSums:
        return LogitSums(self.cross * factor, tuple((u, t * factor) for u, t in self.rows))

    @property
    def total(self) -> float:
        """The weight of all rows."""
        return float(sum(t.sum() for _, t in self.rows))

    def blocks(self) -> Iterator[tuple[Array, Array]]:
        """Designs (p, b) and weights (b,)."""
        for u, t in self.rows:
            yield design(u), t


def design(u: Array) -> Array:
    """Ones and the covariates u (b, q), a row for each coefficient, (p, b)."""
    found = np.empty((u.shape[1] + 1, len(u)))
    found[0] = 1.0
    found[1:] = u.T
    return found


def log_odds(coefficients: Array, u: Array) -> Array:
    """b_k'u of rows u (b, q), (K, b); the first is 0."""
    found = coefficients[:, 1:] @ u.T
    found += coefficients[:, :1]
    return np.asarray(found)


def log_probabilities(coefficients: Array, u: Array) -> Array:
    """log p(z = k | u) of rows u (b, q), (K, b)."""
    found = log_odds(coefficients, u)
    found -= _log_total(found)
    return found


def _log_total(odds: Array) -> Array:
    """log sum_k exp of log odds (K, b), (b,)."""
    highest = reduce(np.maximum, odds)
    return np.asarray(highest + np.log(np.exp(odds - highest).sum(axis=0)))


def summed(u: Array, shares: Array) -> LogitSums:
    """The sums of rows u (b, q) by their shares (K, b), row weights included."""
    cross = np.concatenate([shares.sum(axis=1, keepdims=True), shares @ u], axis=1)
    return LogitSums(cross, ((u, shares.sum(axis=0)),))


def value(sums: LogitSums, coefficients: Array) -> float:
    """E log p(z | coefficients), nats."""
    away = sum(float(_log_total(coefficients @ x) @ t) for x, t in sums.blocks())
    return float((sums.cross * coefficients).sum()) - away


def slope(sums: LogitSums, coefficients: Array) -> Array:
    """Gradient of `value`, (K, p)."""
    found = np.array(sums.cross)
    for x, t in sums.blocks():
        found -= (_probabilities(coefficients, x) * t) @ x.T
    return found


def _probabilities(coefficients: Array, x: Array) -> Array:
    odds = coefficients @ x
    return np.asarray(np.exp(odds - _log_total(odds)))


def _slope_and_curvature(sums: LogitSums, coefficients: Array) -> tuple[Array, Array]:
    """Gradient (m,) and minus the Hessian (m, m), m = (K - 1) p, of all but the first's."""
    k, p = coefficients.shape
    cross, curvature = np.array(sums.cross), np.zeros((k - 1, p, k - 1, p))
    for x, t in sums.blocks():
        w = _probabilities(coefficients, x)
        weighted = w * t
        cross -= weighted @ x.T
        for j in range(1, k):
            for l in range(1, j + 1):
                each = weighted[j] * ((j == l) - w[l])
                block = (x * each) @ x.T
                curvature[j - 1, :, l - 1] = block
                curvature[l - 1, :, j - 1] = block
    m = (k - 1) * p
    return cross[1:].reshape(m), curvature.reshape(m, m)


def _step(gradient: Array, curvature: Array) -> Array:
    """Newton's, (m,); along what the rows say nothing of there is none."""
    scale = np.sqrt(curvature.diagonal())
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    roots, axes = np.linalg.eigh(curvature * np.outer(inverse, inverse))
    kept = roots > len(roots) * EPS * roots.max(initial=0.0)
    along = axes[:, kept].T @ (gradient * inverse)
    return np.asarray((axes[:, kept] @ (along / roots[kept])) * inverse)


def climbed(sums: LogitSums, start: Array, most: int = MOST_STEPS) -> Array:
    """Coefficients (K, p) from `start` to the maximum of `value`, or `most` steps towards it.

    The value never falls.  Where there is no finite maximum, as where a covariate tells two
    components apart without error, the steps go on at about 1 in log odds each.
    """
    here, reached, noise = start, value(sums, start), EPS * sums.total
    for _ in range(most if len(start) > 1 else 0):
        gradient, curvature = _slope_and_curvature(sums, here)
        step = _step(gradient, curvature)
        promised = float(gradient @ step)  # twice the gain, were the value quadratic
        if not promised > noise:
            break
        whole = np.concatenate([np.zeros((1, start.shape[1])), step.reshape(-1, start.shape[1])])
        length = 1.0
        for _ in range(MOST_HALVINGS):
            there = here + length * whole
            found = value(sums, there)
            if found > reached:
                break
            length /= 2.0
        else:
            break
        here, reached = there, found
    return here


def refuse_separated(sums: LogitSums, coefficients: Array, names: tuple[str, ...]) -> None:
    """Raise `Degenerate` where a component is told from the others by covariates without error.

    Then the odds have no finite maximum.  It shows by what the rows say of the coefficients of
    component k, sum_i t_i w_ik (1 - w_ik) u_i u_i': along some direction next to nothing, beside
    what they would say were its probability the same for all of them.

    names : of the coefficients, the intercept first, (p,).
    """
    k, p = coefficients.shape
    if k == 1 or p == 1 or not _reach_far(sums, coefficients):
        return
    left, shares = np.zeros((k, p, p)), np.zeros(k)
    moments, total = np.zeros((p, p)), sums.total
    for x, t in sums.blocks():
        w = _probabilities(coefficients, x)
        shares += w @ t
        moments += (x * t) @ x.T
        for j in range(k):
            rest = np.delete(w, j, axis=0).sum(axis=0)  # 1 - w loses all digits near 1
            left[j] += (x * (t * w[j] * rest)) @ x.T
    root = np.linalg.cholesky(moments)
    spread = np.sqrt(np.maximum(moments.diagonal() / total - (moments[0] / total) ** 2, 0.0))
    for j in range(k):
        overall = shares[j] / total * (1.0 - shares[j] / total)
        if not overall > 0.0:
            continue
        inner = np.linalg.solve(root, np.linalg.solve(root, left[j]).T)
        roots, axes = np.linalg.eigh((inner + inner.T) / 2.0)
        if roots[0] < SEPARATED * overall:
            direction = np.abs(np.linalg.solve(root.T, axes[:, 0])) * spread
            column = names[1 + int(direction[1:].argmax())]
            raise Degenerate(
                f"component {j} is told from the others by {column!r} without error (separation): "
                f"its coefficient has no finite value; leave {column!r} out of the gate, put "
                "categories together, or take fewer components",
                j,
            )


def _reach_far(sums: LogitSums, coefficients: Array) -> bool:
    """Whether the log odds of some component range widely over the rows."""
    low, high = np.full(len(coefficients), np.inf), np.full(len(coefficients), -np.inf)
    for x, _ in sums.blocks():
        odds = coefficients @ x
        low, high = np.minimum(low, odds.min(axis=1)), np.maximum(high, odds.max(axis=1))
    return bool((high - low).max() > FAR)


def refuse_collinear(root: Array, names: tuple[str, ...]) -> None:
    """Raise ValueError where a covariate follows from those before it.

    root : (p, p) a triangle R with R'R the moments of the design.
    """
    left, whole = np.abs(root.diagonal()), np.sqrt((root**2).sum(axis=0))
    follows = ~(left > COLLINEAR * whole)
    if follows.any():
        j = int(follows.argmax())
        before = ", ".join(names[:j])
        raise ValueError(
            f"`X` column {names[j]!r} follows from {before} of the same gate, so that their "
            "coefficients are not determined; leave it out."
        )
