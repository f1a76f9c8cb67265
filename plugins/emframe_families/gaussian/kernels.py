"""Four ways to take Gaussian components past the rows, and which to take.

quadratic   the exponential family: products of columns, and one matrix product each for E and M
linear      the same where all components share their covariance (`gaussian_expanded`)
triangular  triangles times rows, in strips (`gaussian_triangles`)
direct      each component about its own mean (`gaussian_direct`): nothing cancels

The first three work about one centre for all components.  `kernels` offers the cheapest, by a
model of their cost, that `digits_at_risk` says is safe, and then the direct form.  A triangle takes
a component's own whitened mean from its whitened rows before it squares: what an expanded square
loses of a log density, it loses the root of.

One known case: where clusters are a million standard deviations apart only the last is offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from math import log, pi
from typing import Any, NamedTuple

import numpy as np

from emframe.families import LOG_ZERO, Kernel, Survey
from emframe.spaces import Array
from emframe_families.gaussian.direct import Direct
from emframe_families.gaussian.expanded import Frame, digits_at_risk, linear, quadratic
from emframe_families.gaussian.triangles import STRIP, triangles

# The terms of an expanded square may exceed the result by this factor: three digits of sixteen,
# so that log-likelihoods of both forms agree to 1e-9 with room to spare.  Those of a triangle lose
# no more than that where it is by the square of it; but then moments about one centre, of which
# covariances are made, have nine digits left, as Q has where it is checked.
MOST_EXPANSION, MOST_MOMENTS = 1e3, 1e7
# The cost model: nanoseconds for a floating-point operation in a product of few rows, in one of
# all components' strips, and in a batch of small ones; and for all the ways of one number through
# the caches.  Only their ratios matter; tests/benchmarks/forms.py prints what they are read off.
PRODUCT, STRIPS, BATCHED, NUMBER = 0.027, 0.02, 0.038, 2.3
# What a component costs beyond its columns, in columns, where it has numbers of its own.
BESIDE = 4
# Nanoseconds that the other forms take longer to prepare and to finish.
PREPARE = 1e5


class Form(NamedTuple):
    """One of the ways about a common centre."""

    name: str
    make: Callable[..., Kernel]  # of means, whiten, constant, frame, statistics of all rows
    cost: Callable[[int, int], float]  # of K and d: nanoseconds a row, the softmax aside
    most: float = MOST_EXPANSION  # of the digits at risk that it is safe with


def kernels(form: str, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
    """The forms that are safe at these parameters, the cheapest first.

    form : which of `FORMS` there are: "tied" where the covariance is shared, "diag", or "full".
    """
    k, d = params.means.shape
    whiten, log_det = params.whitening
    if survey.partial and form == "tied":  # its sums are those of all rows, less the others'
        form = "diag" if whiten.ndim == 2 else "full"
    constant = np.maximum(constants, LOG_ZERO) - 0.5 * (d * log(2 * pi) + log_det)
    forms = worth_it(form, k, d, survey.n_rows, whiten.ndim == 2)
    if forms:
        frame = Frame.of(survey.statistics)
        at_risk = digits_at_risk(params.means - frame.centre, whiten, params.variances)
        safe = next((one for one in forms if at_risk <= one.most * survey.spare), None)
        if safe is not None:
            yield safe.make(params.means, whiten, constant, frame, survey.statistics)
    yield Direct(params.means, whiten, constant)


@lru_cache(maxsize=64)
def worth_it(form: str, k: int, d: int, n: int, diagonal: bool) -> tuple[Form, ...]:
    """The ways about a common centre, the cheapest first; none that n rows are too few for."""
    direct = n * direct_cost(k, d, diagonal)
    pays = [one for one in FORMS[form] if PREPARE + n * one.cost(k, d) < direct]
    return tuple(sorted(pays, key=lambda one: one.cost(k, d)))


def product_cost(k: int, p: int) -> float:
    """With p statistics and two products."""
    return p * (NUMBER + 4 * k * PRODUCT)


def triangle_cost(k: int, d: int) -> float:
    """With two triangles for each component, a strip beyond their half."""
    return k * (NUMBER * (d + BESIDE) + 4 * STRIPS * d * (d + STRIP) / 2)


def direct_cost(k: int, d: int, diagonal: bool) -> float:
    """Of the direct form."""
    return k * (NUMBER * (d + BESIDE) + (0.0 if diagonal else 2.25 * d * d * BATCHED))


_QUADRATIC = Form("quadratic", quadratic, lambda k, d: product_cost(k, d * (d + 3) // 2 + 1))
FORMS = {
    "full": (_QUADRATIC, Form("triangular", triangles, triangle_cost, MOST_MOMENTS)),
    "diag": (Form("quadratic", quadratic, lambda k, d: product_cost(k, 2 * d + 1)),),
    "tied": (Form("linear", linear, lambda k, d: product_cost(k, d + 1)),),
}
