"""A multinomial logit: which of K a row is, by covariates, and the coefficients that say so best.

    log p(z = k | u) = b_k'u - log sum_l exp(b_l'u),        b_0 = 0,        u_0 = 1

The expected log probability of z is linear in the coefficients but for the last term,

    E log p(z | b) = sum_k b_k'c_k - sum_i t_i log sum_l exp(b_l'u_i),      c_k = sum_i r_ik u_i

so that all that a posterior leaves behind is c, (K, p); the rest is of the rows alone, whose
covariates stay where they are.  It is concave, and Newton's steps with the exact Hessian go to its
maximum (Boehning 1992, Ann. Inst. Statist. Math. 44, 197).  Along a step v the third derivative is
R times the second at most, R the most that the log odds of two components change in one row, so

    gain >= g'v - v'Hv (e^R - 1 - R) / R^2

(Bach 2010, Electron. J. Stat. 4, 384): of a Newton step with R <= 1 that is more than half of what
it promises, and nobody has to look.  A longer one is looked at, and halved until it rises.

One known case: with the intercept alone the probabilities are shares of c, the counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from emframe.core import Separated
from emframe.latents.odds import Expansion, design, expansion, log_odds, log_probabilities
from emframe.latents.ridge import NormalPrior
from emframe.spaces import EPS, Array

MOST_STEPS, MOST_HALVINGS = 25, 40
# A gain is what was promised where it is to this share.
PARABOLIC = 0.1
# Where the log odds of two components change by no more than this in any row a step is sure to gain
# 2 - 2 (e - 2) = 56 % of what the expansion promises.
SURE = 1.0
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
    local: Expansion | None = None  # where the posterior was taken
    prior: NormalPrior | None = None
    looks: dict[bytes, tuple[float, float]] = field(default_factory=dict, compare=False, repr=False)

    def __add__(self, other: LogitSums) -> LogitSums:
        local, own = None, (self.local, other.local)
        if own[0] is None or own[1] is None:
            local = None if self.rows and other.rows else own[0] or own[1]
        elif np.array_equal(own[0].at, own[1].at):
            local = own[0].plus(own[1])
        prior = self.prior or other.prior
        return LogitSums(self.cross + other.cross, self.rows + other.rows, local, prior)

    def __mul__(self, factor: float) -> LogitSums:
        local = None if self.local is None else self.local.scaled(factor)
        rows = tuple((u, t * factor) for u, t in self.rows)
        prior = None if self.prior is None else self.prior.scaled(factor)
        return LogitSums(self.cross * factor, rows, local, prior)

    @property
    def total(self) -> float:
        """The weight of all rows."""
        return float(sum(t.sum() for _, t in self.rows))

    def expanded(self, coefficients: Array) -> Expansion:
        """At these coefficients: as the posterior left it, or by a pass over the rows."""
        if self.local is not None and np.array_equal(self.local.at, coefficients):
            return self.local
        return reduce(Expansion.plus, (expansion(coefficients, u, t) for u, t in self.rows))

    def knowing(self, other: LogitSums) -> LogitSums:
        """The same, and what another posterior of the same rows knows of them."""
        if other.local is None:
            return self
        known = {other.local.at.tobytes(): (other.local.away, np.inf)}
        return replace(self, looks={**self.looks, **known})


def summed(u: Array, shares: Array) -> LogitSums:
    """The sums of rows u (b, q) by their shares (K, b)."""
    cross = np.concatenate([shares.sum(axis=1, keepdims=True), shares @ u], axis=1)
    return LogitSums(cross, ((u, shares.sum(axis=0)),))


def value(sums: LogitSums, coefficients: Array) -> float:
    """E log p(z | coefficients), nats."""
    if sums.local is not None and np.array_equal(sums.local.at, coefficients):
        return _apart(sums, coefficients) - sums.local.away
    return _apart(sums, coefficients) - _look(sums, coefficients)[0]


def _apart(sums: LogitSums, coefficients: Array) -> float:
    """What takes no pass over the rows: the linear part, and the prior."""
    prior = 0.0 if sums.prior is None else sums.prior.value(coefficients)
    return float((sums.cross * coefficients).sum()) + prior


def _look(sums: LogitSums, coefficients: Array) -> tuple[float, float]:
    """``away`` at these coefficients, and how far the log odds of a component range.

    The ledger asks for Q where the M-step has just looked, and rows are passed over once.
    """
    key = coefficients.tobytes()
    if key not in sums.looks:
        sums.looks.clear()
        sums.looks[key] = _looked(sums, coefficients)
    return sums.looks[key]


def _looked(sums: LogitSums, coefficients: Array) -> tuple[float, float]:
    away, low, high = 0.0, np.zeros(len(coefficients)), np.zeros(len(coefficients))
    for u, t in sums.rows:
        odds = log_odds(coefficients, u)
        low, high = np.minimum(low, odds.min(axis=1)), np.maximum(high, odds.max(axis=1))
        highest = reduce(np.maximum, odds)
        odds -= highest
        away += float((highest + np.log(np.exp(odds, out=odds).sum(axis=0))) @ t)
    return away, float((high - low).max())


def slope(sums: LogitSums, coefficients: Array) -> Array:
    """Gradient of `value`, (K, p)."""
    found = sums.cross - sums.expanded(coefficients).mean if sums.rows else sums.cross
    return np.asarray(found if sums.prior is None else found + sums.prior.slope(coefficients))


def _step(gradient: Array, curvature: Array) -> Array:
    """Newton's, (m,); along what the rows say nothing of there is none."""
    scale = np.sqrt(curvature.diagonal())
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    roots, axes = np.linalg.eigh(curvature * np.outer(inverse, inverse))
    kept = roots > len(roots) * EPS * roots.max(initial=0.0)
    along = axes[:, kept].T @ (gradient * inverse)
    return np.asarray((axes[:, kept] @ (along / roots[kept])) * inverse)


class Climbed(NamedTuple):
    """Where Newton's steps led."""

    coefficients: Array  # (K, p)
    reach: float  # how far the log odds of a component range over the rows


def climbed(sums: LogitSums, start: Array, most: int = MOST_STEPS) -> Climbed:
    """Coefficients from `start` towards the maximum of `value`, to where it is a parabola.

    The value never falls.  Where a step gains what the expansion about its beginning promised, the
    next would gain next to nothing beside it, and is left to the next M-step.  Where there is no
    finite maximum, as where a covariate tells two components apart without error, the steps go on
    at about 1 in log odds each, `most` of them.
    """
    here, reach, noise = start, 0.0, EPS * sums.total
    reached: float | None = None
    for _ in range(most if len(start) > 1 and sums.rows else 0):
        about = sums.expanded(here)
        gradient, curvature = sums.cross - about.mean, about.curvature
        if sums.prior is not None:
            gradient = gradient + sums.prior.slope(here)
            curvature = curvature + sums.prior.precision
        gradient = gradient[1:].ravel()
        step = _step(gradient, curvature)
        promised = 0.5 * float(gradient @ step)
        if not promised > noise:
            break
        reached = _apart(sums, here) - about.away
        whole = np.concatenate([np.zeros((1, start.shape[1])), step.reshape(-1, start.shape[1])])
        if about.spread(whole) <= SURE and about.reach(whole) < FAR:
            return Climbed(here + whole, about.reach(whole))
        length = 1.0
        for _ in range(MOST_HALVINGS):
            there = here + length * whole
            away, far = _look(sums, there)
            gain = _apart(sums, there) - away - reached
            if gain > 0.0:
                break
            length /= 2.0
        else:
            break
        here, reach = there, far
        if abs(gain - promised) <= PARABOLIC * promised:
            break
    return Climbed(here, reach)


def refuse_separated(sums: LogitSums, found: Climbed, names: tuple[str, ...]) -> None:
    """Raise `Separated` where a component is told from the others by covariates without error.

    Then the odds have no finite maximum.  It shows by what the rows say of the coefficients of
    component k, sum_i t_i w_ik (1 - w_ik) u_i u_i': along some direction next to nothing, beside
    what they would say were its probability the same for all of them.

    names : of the coefficients, the intercept first, (p,).  Under a prior there is a maximum.
    """
    coefficients = found.coefficients
    k, p = coefficients.shape
    if p == 1 or found.reach < FAR or sums.prior is not None:
        return
    left, shares = np.zeros((k, p, p)), np.zeros(k)
    moments, total = np.zeros((p, p)), sums.total
    for u, t in sums.rows:
        x, w = design(u), np.exp(log_probabilities(coefficients, u))
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
            raise Separated(
                f"component {j} is told from the others by {column!r} without error (separation): "
                f"its coefficient has no finite value; leave {column!r} out of the gate, put "
                "categories together, or take fewer components",
                j,
            )


def triangle(blocks: Iterable[tuple[Array, Array]], q: int) -> Array:
    """R (p, p) with R'R the moments of the design of covariates (b, q) and weights (b,)."""
    found: Any = np.zeros((0, q + 1))
    for u, t in blocks:
        found = np.linalg.qr(np.concatenate([found, (design(u) * np.sqrt(t)).T]), mode="r")
    return np.pad(found, ((0, max(0, q + 1 - len(found))), (0, 0)))


def joined(triangles: Sequence[Array]) -> Array:
    """The triangle (p, p) of all rows, from those of some each."""
    return np.asarray(np.linalg.qr(np.concatenate(triangles), mode="r"))


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
