"""Derivatives of a log density by automatic differentiation, where a package for that is installed.

    import autograd.numpy as np

    def waiting(x, rate):
        return np.log(rate) - rate * x

    emframe.from_logpdf(waiting, params={"rate": Positive()}, support=Positive(), grad="autograd")

The packages differentiate what is written in their own numpy; of plain numpy they see nothing.
What is wanted is the slope of a weighted sum over rows, one product of a vector and a Jacobian
(reverse accumulation; Griewank and Walther 2008, Evaluating Derivatives, chapter 3).

One known case: for the density above, with weights w, the slope is sum_i w_i (1 / rate - x_i).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from emframe.messages.extras import extra
from emframe.spaces import Array

Values = Mapping[str, Array]
Density = Callable[[Any, Values], Any]
"""Log density of rows x at parameters by name, each (m, ...): -> (n, m)."""


def _autograd(density: Density, x: Array, values: Values, weights: Array) -> Values:
    import autograd
    import autograd.numpy as anp

    total = autograd.grad(lambda at: anp.sum(weights * density(x, at)))
    return total(dict(values))


@cache
def _jax_compiled() -> Callable[..., Values]:
    """The slope, compiled by jax once for each density and each number of rows and points."""
    import jax

    def slope(density: Density, x: Any, values: Values, weights: Any) -> Any:
        return jax.grad(lambda at: (weights * density(x, at)).sum())(values)

    return jax.jit(slope, static_argnums=0)


def _jax(density: Density, x: Array, values: Values, weights: Array) -> Values:
    # Numbers of rows change as shares underflow; powers of two are few to compile for.
    more = (1 << (len(x) - 1).bit_length()) - len(x)
    x = np.concatenate([x, np.broadcast_to(x[-1:], (more, *x.shape[1:]))])
    weights = np.concatenate([weights, np.zeros((more, *weights.shape[1:]))])
    return _jax_compiled()(density, x, dict(values), weights)


BACKENDS: Mapping[str, Callable[[Density, Array, Values, Array], Values]] = {
    "autograd": _autograd,
    "jax": _jax,
}


NEEDS: Mapping[str, Callable[[], object]] = {
    "autograd": lambda: extra("autograd", "autodiff", "grad='autograd'"),
    "jax": lambda: extra("jax", "jax", "grad='jax'"),
}


def require(backend: str) -> None:
    """Raise ValueError for a name that is no backend, ModuleNotFoundError for one not installed."""
    if backend not in BACKENDS:
        known = " or ".join(map(repr, BACKENDS))
        raise ValueError(f"`grad` is {backend!r}; pass a function, {known}.")
    NEEDS[backend]()


def slope_of_sum(
    backend: str, density: Density, x: Array, values: Values, weights: Array
) -> dict[str, Any]:
    """Derivatives of ``(weights * density(x, values)).sum()`` by each parameter, in their shapes.

    Parameters
    ----------
    backend : a key of `BACKENDS`.
    density : for jax it has to be hashable, and what it is known by when it is met again.
    weights : (n, 1) or (n, m).

    Raises TypeError where the backend cannot see through the density.
    """
    require(backend)
    try:
        found = BACKENDS[backend](density, x, values, weights)
    except Exception as error:
        raise TypeError(
            f"{backend} cannot differentiate the log density ({type(error).__name__}: {error}); "
            f"write it in {backend}'s own numpy, or leave grad= out."
        ) from error
    return {name: np.asarray(value, dtype=float) for name, value in found.items()}
