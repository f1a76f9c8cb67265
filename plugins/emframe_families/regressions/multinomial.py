"""One of several answers without an order, whose log odds against the first are linear.

    log p(y = j) - log p(y = 0) = x'b_j,        j = 1, ..., m - 1

(McFadden 1974; in R ``nnet::multinom``).

One known case: with the intercept alone the probabilities are the shares of the answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from emframe import Real
from emframe.parameters import Declared, pullback
from emframe.parameters.records import record
from emframe.spaces import Array
from emframe_families.regressions.grades import GradeRegression


@dataclass(frozen=True)
class MultinomialRegression(GradeRegression):
    """A code whose log odds against code 0 are linear in the predictors.

    Each coefficient has an axis of answers, (K, m - 1).
    """

    name = "multinomial-regression"

    @cached_property
    def parameters(self) -> type:
        fields = {term: Declared(Real(), (self.m - 1,)) for term in self.terms}
        return record("MultinomialRegressionParameters", fields)

    def predictors_of(self, params: Any, x: Array) -> Array:
        return np.einsum("np,kpj->nkj", self.design(x), self.coefficients(params))

    def log_all(self, e: Array) -> Array:
        first = np.zeros((*e.shape[:-1], 1))
        return np.asarray(log_softmax(np.concatenate([first, e], axis=-1), axis=-1))

    def log_probs(self, e: Array, y: NDArray[np.intp]) -> Array:
        place = y.reshape(-1, *[1] * (e.ndim - 1))
        return np.take_along_axis(self.log_all(e), place, axis=-1)[..., 0]

    def curvature(self, e: Array, y: NDArray[np.intp]) -> tuple[Array, Array]:
        probs = np.exp(self.log_all(e))[:, 1:]
        hit = y[:, None] == np.arange(1, self.m)
        return hit - probs, probs[:, :, None] * (probs[:, None, :] - np.eye(self.m - 1))

    def loading(self, design: Array) -> Array:
        each = np.einsum("np,ij->nipj", design, np.eye(self.m - 1))
        return each.reshape(len(design), self.m - 1, -1)

    def begun(self, design: Array, shares: Array) -> Array:
        start = np.zeros((len(self.terms), self.m - 1))
        if self.intercept:
            start[0] = np.log(shares[1:] / shares[0])
        return start.ravel()

    def put(self, vectors: Array) -> Any:
        return self.made(vectors.reshape(len(vectors), len(self.terms), -1))

    def made(self, coefficients: Array, **own: Array) -> Any:
        """Parameters from coefficients (K, p, m - 1)."""
        each = np.ascontiguousarray(np.moveaxis(coefficients, 1, 0))
        return self.parameters(**dict(zip(self.terms, each, strict=True)))

    def taken(self, params: Any) -> Array:
        coefficients = self.coefficients(params)
        return coefficients.reshape(len(coefficients), -1)

    def gradient(self, statistics: Any, params: Any) -> Array:
        along: Any = 0.0
        for x, resp in statistics.blocks:
            e, y = self.predictors_of(params, x), self.answers(x)
            each = np.stack([self.curvature(one, y)[0] for one in np.moveaxis(e, 1, 0)], axis=1)
            along = along + np.einsum("nk,np,nkj->kpj", resp, self.design(x), each)
        return pullback(params, self.made(along))
