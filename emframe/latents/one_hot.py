"""z by weights, which are the same for every row: the latent of a mixture.

    p(z) = prod_k w_k ^ z_k,        E log p(z | w) = sum_k N_k log w_k,        N_k = sum_i r_ik

Its sums are the counts N, and shares of them are the weights that maximise it (Bishop 2006, eq.
9.22).  Weights that are held stay as they are.

One known case: with one component the weight is 1 and nothing is expected of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import xlogy

from emframe.engines import Workspace
from emframe.latents.base import BlockPosterior, Latent, Order
from emframe.latents.softmax import bayes, drawn, softmax, tempered
from emframe.parameters import parameter, real_values
from emframe.spaces import Array, Simplex

_SIMPLEX = Simplex()


@dataclass(frozen=True)
class MixtureParameters:
    """Prior probabilities of the components, and the components."""

    weights: Array = parameter(Simplex(), shape="K", per_component=False)  # (K,)
    components: Any = None  # the family's parameters; a tuple of them for a list of families


@dataclass(frozen=True)
class HeldWeights(MixtureParameters):
    """The same with prior probabilities that are known, and no part of what is estimated."""

    weights: Array = parameter(Simplex(), shape="K", per_component=False, fixed=True)  # (K,)


@dataclass(frozen=True)
class OneHot(Latent):
    """z drawn by weights, row by row."""

    weights: tuple[float, ...] | None = None  # (K,), where they are held

    name = "one-hot"
    in_tiles = True

    @property
    def parameters(self) -> type:
        return MixtureParameters if self.weights is None else HeldWeights

    @property
    def held(self) -> tuple[float, ...] | None:
        return self.weights

    # ---- E and M

    def constants(self, params: Any) -> Array:
        return log(params.weights)

    def posterior(
        self, params: Any, joint: Array, x: Any, weights: Array, work: Workspace
    ) -> BlockPosterior:
        return softmax(joint, x, weights, work)

    def given(self, params: Any, log_b: Array, x: Any) -> tuple[Array, Array]:
        return bayes(log_b + log(params.weights))

    def expected(self, sums: Array, params: Any) -> float:
        return float(xlogy(sums, params.weights).sum())

    def m_step(self, sums: Array, previous: Any) -> dict[str, Array]:
        return {"weights": previous.weights if self.held else sums / sums.sum()}

    def gradient(self, sums: Array, params: Any) -> Array:
        if self.held:
            return np.zeros(0)
        w = params.weights
        share = sums / w if w.all() else np.divide(sums, w, out=np.zeros(len(w)), where=w > 0)
        return _SIMPLEX.pullback(w, share)

    def nothing(self) -> Array:
        return np.zeros(self.n)

    # ---- starts

    def begun(self, rows: Any, resp: Array) -> dict[str, Array]:
        if self.weights is not None:
            return {"weights": np.array(self.weights)}
        counts = rows.weights @ resp
        return {"weights": counts / counts.sum()}

    def occupancy(self, params: Any) -> Array:
        return np.asarray(params.weights)

    def doubled(self, twice: Any, times: Order) -> dict[str, Array]:
        return {"weights": twice.weights / times}

    def alike(self, other: Latent) -> bool:
        """Not where the weights of either are held."""
        return isinstance(other, OneHot) and (self.held, other.held) == (None, None)

    # ---- after a fit

    def surprise(self, params: Any, joint: Array, x: Any, weights: Array, work: Workspace) -> float:
        # Not of weighted rows, for beside a weight of 1e300 one of 1e-300 is 0.
        highest = softmax(joint, x, np.ones(len(x)), work).resp.max(axis=-2).ravel()[: len(x)]
        return -float(np.log(highest) @ weights)

    def log_prob(self, params: Any, x: Any, hot: Array) -> float:
        return float(xlogy(hot.sum(axis=0), params.weights).sum())

    def sample(self, params: Any, n: int, rng: np.random.Generator, x: Any = None) -> Order:
        return np.asarray(rng.choice(self.n, size=n, p=params.weights))

    def tempered(
        self, params: Any, log_b: Array, x: Any, weights: Array, beta: float
    ) -> BlockPosterior:
        return tempered(log_b + log(params.weights), weights, beta)

    def drawn(
        self, params: Any, log_b: Array, x: Any, weights: Array, rng: np.random.Generator
    ) -> BlockPosterior:
        return drawn(log_b + log(params.weights), weights, rng)

    # ---- parameters

    def build(self, values: Mapping[str, Any]) -> dict[str, Any]:
        weights = values.get("weights", self.weights)
        if weights is None:
            raise ValueError("`weights`, the K prior probabilities, are missing.")
        return {"weights": real_values("weights", weights)}

    def problem(self, params: Any) -> str | None:
        if self.weights is None or np.array_equal(params.weights, self.weights):
            return None
        return f"`weights` is {params.weights}; they are held at {self.weights}"


def held_weights(value: Any, k: int) -> tuple[float, ...]:
    """Prior probabilities of k components from what the user holds them at.

    Raises ValueError where they are not probabilities that sum to 1.
    """
    listed = [value] if isinstance(value, str) else value
    if isinstance(listed, (list, tuple)) and listed and all(isinstance(v, str) for v in listed):
        told = ", ".join(map(repr, listed))
        raise TypeError(
            f"`weights` is {value!r}; weights that depend on columns are emframe.Gate({told})."
        )
    given = Simplex().near(real_values("weights", value))
    weights = np.broadcast_to(given, k) if given.ndim == 0 else given
    if weights.shape != (k,) or not Simplex().contains(weights).all():
        raise ValueError(
            f"`weights` is held at {value}; expected {k} probabilities that sum to 1, or "
            f"{1 / k:g} for each."
        )
    return tuple(map(float, weights))


def log(weights: Array) -> Array:
    """log w, -inf for 0."""
    if weights.all():
        return np.asarray(np.log(weights))
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(weights))
