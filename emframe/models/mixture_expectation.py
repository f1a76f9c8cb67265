"""Q of a mixture: the sums over rows that its E-step leaves behind, and their maximiser.

    Q(theta | at) = sum_k N_k log w_k + sum_ik r_ik log f(x_i | theta_k),      N_k = sum_i r_ik

The weights maximise the first term (w_k = N_k / N) and the family's M-step the second (Bishop 2006,
eq. 9.22 and 9.40).  Weights that are held stay as they are, and the second term does not notice.

One known case: with one component the first term is 0 and Q is the family's own log-likelihood.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import xlogy

from emframe.families import ConjugatePrior, Family, FamilyError
from emframe.parameters import (
    equal,
    frozen,
    leaf_problem,
    leaves,
    parameter,
    real_values,
    valid,
)
from emframe.spaces import Array, Simplex

_SIMPLEX = Simplex()


@dataclass(frozen=True)
class MixtureParameters:
    """Prior probabilities of the components, and the components."""

    weights: Array = parameter(Simplex(), shape="K", per_component=False)  # (K,)
    components: Any = None  # the family's parameters; a tuple of them for a list of families

    def after(self, counts: Array, components: Any) -> MixtureParameters:
        """The weights that maximise sum_k N_k log w_k for counts (K,), and these components."""
        return MixtureParameters(counts / counts.sum(), components)

    def slope(self, counts: Array) -> Array:
        """Gradient of sum_k N_k log w_k in the coordinates of the weights."""
        w = self.weights
        share = counts / w if w.all() else np.divide(counts, w, out=np.zeros(len(w)), where=w > 0)
        return _SIMPLEX.pullback(w, share)


@dataclass(frozen=True)
class HeldWeights(MixtureParameters):
    """The same with prior probabilities that are known, and no part of what is estimated."""

    weights: Array = parameter(Simplex(), shape="K", per_component=False, fixed=True)  # (K,)

    def after(self, counts: Array, components: Any) -> MixtureParameters:
        return HeldWeights(self.weights, components)

    def slope(self, counts: Array) -> Array:
        return np.zeros(0)


def held_weights(value: Any, k: int) -> tuple[float, ...]:
    """Prior probabilities of k components from what the user holds them at.

    Raises ValueError where they are not probabilities that sum to 1.
    """
    given = Simplex().near(real_values("weights", value))
    weights = np.broadcast_to(given, k) if given.ndim == 0 else given
    if weights.shape != (k,) or not Simplex().contains(weights).all():
        raise ValueError(
            f"`weights` is held at {value}; expected {k} probabilities that sum to 1, or "
            f"{1 / k:g} for each."
        )
    return tuple(map(float, weights))


@dataclass(frozen=True)
class MixturePrior:
    """A prior on the components as pseudo-data; flat on the weights."""

    family: Family
    components: ConjugatePrior[Any]

    def log_density(self, params: MixtureParameters) -> float:
        """Log density at `params`, nats."""
        pseudo = self.family.expected(self.components.statistics, params.components)
        return pseudo + self.components.log_constant


@dataclass(frozen=True)
class MixtureExpectation:
    """Q of a mixture for some rows, from sufficient sums alone."""

    family: Family
    at: MixtureParameters
    loglik: float
    entropy: float  # -sum_ik r_ik log r_ik, row weights included
    counts: Array  # (K,)  sum of responsibilities
    statistics: Any  # the family's sums, weighted by responsibilities
    prior: MixturePrior | None = None
    form: str = ""  # how the kernel computed it

    @cached_property
    def log_prior(self) -> float:
        """Log density of the prior at `at`; 0 without one."""
        return 0.0 if self.prior is None else self.prior.log_density(self.at)

    @property
    def _with_prior(self) -> Any:
        """The family's sums and, where there is a prior, its pseudo-data."""
        if self.prior is None:
            return self.statistics
        return self.statistics + self.prior.components.statistics

    def value(self, params: MixtureParameters) -> float:
        """Q(params | at)."""
        prior = 0.0 if self.prior is None else self.prior.log_density(params)
        picking = float(xlogy(self.counts, params.weights).sum())
        return picking + self.family.expected(self.statistics, params.components) + prior

    def maximize(self) -> MixtureParameters:
        """Shares of responsibility as weights, and the family's M-step."""
        components = self.family.m_step(self._with_prior, self.at.components)
        params = self.at.after(self.counts, components)
        if not isinstance(components, self.family.parameters) or not valid(params, self.at):
            check_m_step(self.family, params)
        return frozen(params)

    def gradient(self) -> Array:
        """Gradient of `value` at `at`, in the coordinates of the parameters' spaces.

        By Fisher's identity it is also the gradient of the objective.
        """
        inner = self.family.gradient(self._with_prior, self.at.components)
        return np.concatenate([self.at.slope(self.counts), inner])

    def __add__(self, other: MixtureExpectation | MixturePrior) -> MixtureExpectation:
        if isinstance(other, MixturePrior):
            if self.prior is not None:
                raise ValueError("this Q already has a prior; add one, once, after the rows")
            return replace(self, prior=other)
        if not equal(self.at, other.at):
            raise ValueError("Qs add only where they were taken at the same parameters")
        return replace(
            self,
            loglik=self.loglik + other.loglik,
            entropy=self.entropy + other.entropy,
            counts=self.counts + other.counts,
            statistics=self.statistics + other.statistics,
            prior=self.prior or other.prior,
        )

    def scaled(self, factor: float) -> MixtureExpectation:
        """Q of the same rows with `factor` times their weights.

        Raises TypeError where the family's statistics do not scale.
        """
        try:
            statistics = self.statistics * factor
        except TypeError as error:
            raise TypeError(
                f"the statistics of the family {self.family.name!r} cannot be scaled; give their "
                "class a `__mul__(factor)`."
            ) from error
        return replace(
            self,
            loglik=self.loglik * factor,
            entropy=self.entropy * factor,
            counts=self.counts * factor,
            statistics=statistics,
        )

    def moved(self, at: MixtureParameters) -> MixtureExpectation:
        """The same sums, told as a Q at other parameters.

        What online EM adds up: rows whose posteriors were taken at different times.  The result
        is no certificate, for no single posterior is behind it.
        """
        return replace(self, at=at)


def composed_problem(family: Family, params: Any, dims: Mapping[str, int]) -> str | None:
    """What is wrong with parameters whose ``components`` are a family's, or None."""
    given, wanted = type(params.components), family.parameters
    if given is not wanted and given is not tuple:
        same = ", with what this family holds or shares" * (given.__name__ == wanted.__name__)
        return f"`components` is {given.__name__}; expected {wanted.__name__}{same}"
    own = (leaf for leaf in leaves(params) if not leaf.path.startswith("components."))
    found = (leaf_problem(leaf, dims) for leaf in own)
    wrong = next((text for text in found if text), None)
    return wrong or family.problem(params.components, dims, "components.")


def check_m_step(family: Family, params: MixtureParameters, d: int | None = None) -> None:
    """Raise FamilyError where an M-step answered with parameters outside their spaces.

    Or of other shapes than they declare, where the number of columns is known.
    """
    if not isinstance(params.components, family.parameters):
        given, wanted = type(params.components).__name__, family.parameters.__name__
        raise FamilyError(f"{family.name}.m_step returned a {given}; expected {wanted}")
    dims = {"K": len(params.weights)} | ({} if d is None else {"d": d})
    wrong = composed_problem(family, params, dims)
    if wrong:
        raise FamilyError(f"{family.name}.m_step: {wrong}")
