"""The shape of a gamma distribution from how far its mean log lies below the log of its mean.

    log a - psi(a) = log E[x] - E[log x]

by Newton's method for 1 / a (Minka 2002, "Estimating a gamma distribution").  Where a is large the
left side is the small difference of large terms, and is told by its series.

One known case: of an exponential distribution, a = 1, the right side is Euler's constant.
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, polygamma

from emframe.spaces import Array

SERIES_FROM = 30.0  # six terms of Stirling's series have all digits there
STEPS = 50
CLOSE = 1e-9  # of a value: so short a step of Newton's leaves an error in its square


def gamma_shape(spread: Array) -> Array:
    """The shape a with log a - psi(a) = spread, above 0, entry by entry."""
    a = (3.0 - spread + np.sqrt((spread - 3.0) ** 2 + 24.0 * spread)) / (12.0 * spread)
    for _ in range(STEPS):
        value, slope = log_excess(a)
        new = a / np.maximum(1.0 + (value - spread) / (slope * a), 0.1)
        done = np.abs(new - a) <= CLOSE * a
        a = new
        if done.all():
            break
    return a


def log_excess(a: Array) -> tuple[Array, Array]:
    """log a - psi(a), which is above 0, and its derivative, which is below."""
    far = a >= SERIES_FROM
    near, v = np.where(far, 1.0, a), 1.0 / np.where(far, a, SERIES_FROM)
    s = v * v
    value = v / 2 + s * (1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s / 132))))
    slope = -s / 2 - v * s * (1 / 6 - s * (1 / 30 - s * (1 / 42 - s * (1 / 30 - s * 5 / 66))))
    return (
        np.where(far, value, np.log(near) - digamma(near)),
        np.where(far, slope, 1.0 / near - polygamma(1, near)),
    )
