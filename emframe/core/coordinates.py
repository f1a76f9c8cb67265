"""Parameters as points of a vector space, which is where an acceleration can go further than EM.

One known case: in the coordinate ``arcsin(sqrt(p))`` any real number is a probability.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.core.expectation import Degenerate, Expectation, objective
from emframe.core.methods import Expect

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Coordinates:
    """How parameters are read as real vectors: all that an acceleration knows of a model."""

    to_vector: Callable[[Any], Vector]
    from_vector: Callable[[Any, Vector], Any]  # (parameters of the same form, vector); None outside
    gradient: Callable[[Any], Vector]  # of q.value at q.at, in these coordinates

    def expect(
        self, expect: Expect[Any], q: Expectation[Any], x: Vector
    ) -> Expectation[Any] | None:
        """The E-step at a trial point x near that of `q`; None where it has no objective.

        None costs nothing where x is outside the model's domain.  A degenerate point is outside,
        and so is one that is too far out for arithmetic.
        """
        if not np.isfinite(x).all():
            return None
        # A trial may be anywhere, so that an overflow there is no news.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            params = self.from_vector(q.at, x)
            if params is None:
                return None
            try:
                new = expect(params)
            except (Degenerate, ArithmeticError):
                return None
        return new if math.isfinite(objective(new)) else None
