"""What the first step knows of each row's class, at its parameters and next to them.

    r_ik = p(z_i = k | x_i),     s_ik: the class that a row is assigned to, one-hot or its shares r
    D_ts = p(assigned to s | class t) = sum_i r_it s_is / sum_i r_it

(Bolck, Croon and Hagenaars 2004, Political Analysis 12, 3; Vermunt 2010, ibid. 18, 450.)

One known case: classes that are told apart without error have D = 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.fitting.result import Fit
from emframe.parameters import from_vector, to_vector, units
from emframe.spaces import EPS, Array


@dataclass(frozen=True)
class Classes:
    """The classes of rows at some parameters of the first step."""

    shares: Array  # r (n, K)
    assigned: Array  # s (n, K)
    errors: Array  # D (K, K)
    log_density: Array  # log f(x_i | theta_k), (n, K)
    log_rows: Array  # log f(x_i), (n,)


@dataclass(frozen=True)
class FirstStep:
    """A fit, and the rows that it was made from.

    modal : whether a row is assigned to its most probable class, or to each by its share.
    """

    fit: Fit
    x: Array  # (n, d)
    weights: Array  # (n,)
    modal: bool

    def at(self, params: Any, assigned: Array | None = None) -> Classes:
        """The classes at parameters; `assigned` where rows keep the class that they have."""
        model: Any = self.fit.model
        log_rows, shares = model.posterior(params, self.x)
        if assigned is None or not self.modal:
            hot = np.eye(shares.shape[1])[shares.argmax(axis=1)]
            assigned = hot if self.modal else shares
        weighted = shares * self.weights[:, None]
        errors = weighted.T @ assigned / weighted.sum(axis=0)[:, None]
        return Classes(shares, assigned, errors, model.log_density(params, self.x), log_rows)

    def here(self) -> Classes:
        """The classes at the fit."""
        return self.at(self.fit.params)

    def neighbours(self) -> Iterator[tuple[float, Any, Any]]:
        """For each coordinate of the parameters a step h, and the parameters at -h and at +h."""
        vector, size = to_vector(self.fit.params), units(self.fit.params)
        for j in range(len(vector)):
            step = np.cbrt(EPS) * size[j]
            move = np.zeros(len(vector))
            move[j] = step
            yield step, *(from_vector(self.fit.params, vector + sign * move) for sign in (-1, 1))

    def gradient(self, params: Any) -> Array:
        """Of the log-likelihood, in coordinates, (m,)."""
        model: Any = self.fit.model
        return np.asarray(model.expect(params, self.x, self.weights).gradient())
