"""Responses with heavy tails about a line: t with a width and degrees of freedom per component.

    log f(y) = c(t) - log sigma - 1/2 [ log(2 pi) + (1 / t + 1) log(1 + t v^2) ],
    v = (y - eta) / sigma,    t = 1 / dof

(Lange, Little and Taylor 1989, JASA 84, 881; c is that of `student_tail`).  At t = 0 it is the
normal regression, and is at the maximum where a component's tails are no heavier.

One known case: with dof = inf the line is that of least squares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, pi
from typing import Any, ClassVar

import numpy as np
from scipy.special import log_ndtr, stdtr

from emframe import Contract, Positive, Real
from emframe.parameters import Declared
from emframe.spaces import Array
from emframe_families.regressions.base import LARGEST, LEAST_RANGE
from emframe_families.regressions.shaped import ShapedRegression, Shapes
from emframe_families.student.tail import DegreesOfFreedom, normaliser


@dataclass(frozen=True)
class StudentRegression(ShapedRegression):
    """A t response, linear in the predictors."""

    name = "student-t-regression"
    contract = Contract.GENERALISED
    response_space = Real(LARGEST, LEAST_RANGE)
    own: ClassVar[Mapping[str, Declared]] = {
        "sigma": Declared(Positive()),
        "dof": Declared(DegreesOfFreedom()),
    }
    may_vanish = (False, True)

    def shapes(self, params: Any) -> Shapes:
        return params.sigma, 1.0 / params.dof

    def told(self, shapes: Shapes) -> dict[str, Array]:
        sigma, t = shapes
        return {"sigma": sigma, "dof": np.divide(1.0, t, out=np.full_like(t, np.inf), where=t > 0)}

    def by_shape(self, slopes: Shapes, shapes: Shapes) -> Shapes:
        (by_sigma, by_t), (sigma, t) = slopes, shapes
        return by_sigma / sigma, np.where(t > 0.0, -t * by_t, 0.0)

    def value(self, y: Array, eta: Array, shapes: Shapes) -> Array:
        sigma, t = shapes
        v = (y - eta) / sigma
        grown = np.log1p(t * v**2)
        per_t = np.where(t > 0.0, grown / np.where(t > 0.0, t, 1.0), v**2)
        return _constant(t)[0] - np.log(sigma) - 0.5 * (log(2 * pi) + per_t + grown)

    def derivatives(
        self, y: Array, eta: Array, shapes: Shapes
    ) -> tuple[list[Array], list[list[Array]]]:
        sigma, t = shapes
        v = (y - eta) / sigma
        far = t * v**2
        pull, square, off = (1.0 + t) * v / (1.0 + far), (1.0 + far) ** 2, v * (t - far)
        share = far / (1.0 + far)
        rest = (np.log1p(far) - share) / t
        _, level, turn = _constant(t)
        second = turn - 0.5 * (rest - share**2 / t + share * (1.0 - share))
        by_eta = -(1.0 + t) * (1.0 - far) / square / sigma**2
        across = -2.0 * (1.0 + t) * v / square
        slopes = [pull / sigma, pull * v - 1.0, level + 0.5 * (rest - share)]
        rows = [[by_eta], [across / sigma, across * v]]
        return slopes, [*rows, [off / square / sigma, off * v / square, second]]

    def tails(self, y: Array, eta: Array, shapes: Shapes) -> tuple[Array, Array]:
        sigma, t = shapes
        v, normal = (y - eta) / sigma, np.broadcast_to(t == 0.0, np.shape(eta))
        dof = 1.0 / np.where(t > 0.0, t, 1.0)
        below, beyond = (np.where(normal, log_ndtr(s), np.log(stdtr(dof, s))) for s in (v, -v))
        return below, beyond

    def rough(self, y: Array) -> Array:
        return y

    def first(self, away: Array, share: Array) -> tuple[float, ...]:
        return float(np.sqrt(0.7 * (share @ away**2))), 0.125

    def drawn(self, eta: Array, shapes: Shapes, rng: np.random.Generator) -> Array:
        sigma, t = shapes
        normal, squares = rng.standard_normal(len(eta)), np.ones(len(eta))
        heavy = t > 0.0
        squares[heavy] = t[heavy] * rng.chisquare(1.0 / t[heavy])
        return eta + sigma * normal / np.sqrt(squares)


def _constant(t: Array) -> Array:
    """c(t) and its derivatives by log t, (3, ...)."""
    return normaliser(np.atleast_1d(t), 1).reshape(3, *np.shape(t))
