"""Shares whose log odds have a linear mean: beta responses with a precision per component.

    y ~ Beta(mu phi, (1 - mu) phi),        log(mu / (1 - mu)) = eta

(Ferrari and Cribari-Neto 2004, J. Applied Statistics 31, 799).

One known case: with the intercept alone it is the beta family, of a + b = phi.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import betainc, betaincc, betaln, digamma, expit, logit, polygamma

from emframe import Contract, Interval, Positive
from emframe.parameters import Declared
from emframe.spaces import Array
from emframe_families.regressions.shaped import TINY, ShapedRegression, Shapes


@dataclass(frozen=True)
class BetaRegression(ShapedRegression):
    """A share between 0 and 1 whose mean has log odds linear in the predictors."""

    name = "beta-regression"
    contract = Contract.GENERALISED
    response_space = Interval(0.0, 1.0)
    own: ClassVar[Mapping[str, Declared]] = {"precision": Declared(Positive())}

    def value(self, y: Array, eta: Array, shapes: Shapes) -> Array:
        a, b = shapes[0] * expit(eta), shapes[0] * expit(-eta)
        return (a - 1.0) * np.log(y) + (b - 1.0) * np.log1p(-y) - betaln(a, b)

    def derivatives(
        self, y: Array, eta: Array, shapes: Shapes
    ) -> tuple[list[Array], list[list[Array]]]:
        (phi,), mu, rest = shapes, expit(eta), expit(-eta)
        a, b, bend = phi * mu, phi * rest, mu * rest
        off = logit(y) - digamma(a) + digamma(b)
        one, other = polygamma(1, a), polygamma(1, b)
        by_phi = phi * (mu * off + np.log1p(-y) - digamma(b) + digamma(phi))
        turn = phi**2 * (polygamma(1, phi) - mu**2 * one - rest**2 * other)
        both = phi * bend * (off * (rest - mu) - phi * bend * (one + other))
        cross = phi * bend * (off - phi * (mu * one - rest * other))
        return [phi * bend * off, by_phi], [[both], [cross, by_phi + turn]]

    def tails(self, y: Array, eta: Array, shapes: Shapes) -> tuple[Array, Array]:
        a, b = shapes[0] * expit(eta), shapes[0] * expit(-eta)
        return np.log(betainc(a, b, y)), np.log(betaincc(a, b, y))

    def rough(self, y: Array) -> Array:
        return np.asarray(logit(y))

    def first(self, away: Array, share: Array) -> tuple[float, ...]:
        return (float(4.0 / (share @ away**2)),)

    def drawn(self, eta: Array, shapes: Shapes, rng: np.random.Generator) -> Array:
        drawn = rng.beta(shapes[0] * expit(eta), shapes[0] * expit(-eta))
        return np.clip(drawn, TINY, np.nextafter(1.0, 0.0))
