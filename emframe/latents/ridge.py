"""A normal prior on the coefficients of a gate, under which they are finite whatever the data.

With the covariates in units of their standard deviations, about their means, each component has
odds of its own, normal and independent; what is known is their differences, so

    b_k - b_l  ~  N(0, scale^2)        of each covariate, for any two components k, l

whichever component comes first.  It is proper, and the same of any units (Gelman, Jakulin, Pittau
and Su 2008, Annals of Applied Statistics 2, 1360, on weak priors of this kind).

One known case: as the scale grows the maximum goes to that of the likelihood.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.spaces import Array

RIDGE = "ridge"  # the name of `Ridge()`


@dataclass(frozen=True)
class Ridge:
    """A normal prior on the coefficients of a model's gates.

    Parameters
    ----------
    scale : standard deviation of the log odds between two components, for one standard deviation
        of a covariate.
    intercept_scale : the same of the log odds of a row at the mean of all covariates.
    components : the prior of the components beside it: None for none, "weak", or a
        `ConjugatePrior`.

    Raises ValueError for a scale that is not above 0 and finite.

    Examples
    --------
    >>> emframe.Ridge(scale=1.0).scale
    1.0
    """

    scale: float = 2.5
    intercept_scale: float = 10.0
    components: Any = None

    def __post_init__(self) -> None:
        for name in ("scale", "intercept_scale"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
                raise ValueError(f"`{name}` is {value!r}; pass a number above 0.")
            if not 0.0 < value < math.inf:
                raise ValueError(f"`{name}` is {value!r}; pass a finite number above 0.")
            object.__setattr__(self, name, float(value))


def leaves_components(prior: Any) -> bool:
    """Whether a prior, as `emframe.fit` takes it, says nothing of the components."""
    if isinstance(prior, Ridge):
        return prior.components is None
    return prior is None or (isinstance(prior, str) and prior == RIDGE)


@dataclass(frozen=True)
class NormalPrior:
    """A normal density of the coefficients, about 0, less its constant."""

    precision: Array  # (m, m), m = (K - 1) p

    def value(self, coefficients: Array) -> float:
        """Of coefficients (K, p), nats."""
        b = _against_first(coefficients)
        return -0.5 * float(b @ self.precision @ b)

    def slope(self, coefficients: Array) -> Array:
        """Its gradient, (K, p)."""
        found = np.zeros(coefficients.shape)
        found[1:].ravel()[:] = -self.precision @ _against_first(coefficients)
        return found

    def scaled(self, factor: float) -> NormalPrior:
        """So many of them."""
        return NormalPrior(self.precision * factor)

    @property
    def log_constant(self) -> float:
        """What normalises it, nats."""
        m = len(self.precision)
        return 0.5 * float(np.linalg.slogdet(self.precision)[1]) - 0.5 * m * math.log(2.0 * math.pi)


def normal_prior(ridge: Ridge, k: int, root: Array) -> NormalPrior:
    """That of the coefficients of K components.

    root : (p, p) a triangle R with R'R the moments of the design, ones first.
    """
    p, n = len(root), abs(root[0, 0])
    turned = np.diag(np.sqrt((root[1:] ** 2).sum(axis=0)) / n)  # the deviations of covariates
    turned[0] = root[0] / root[0, 0]  # 1, and their means
    scales = np.array([ridge.intercept_scale] + [ridge.scale] * (p - 1))
    own = (turned / scales[:, None]).T @ (turned / scales[:, None])
    between = 2.0 * (np.eye(k - 1) - 1.0 / k)
    return NormalPrior(np.kron(between, own))


def _against_first(coefficients: Array) -> Array:
    return np.asarray((coefficients - coefficients[:1])[1:].ravel())
