"""Q of a latent times a family: the sums that an E-step leaves behind, and their maximiser.

    Q(theta | at) = E[ log p(z | alpha) ] + sum_ik r_ik log f(x_i | theta_k)

The latent's M-step maximises the first term and the family's the second (for a mixture Bishop 2006,
eq. 9.22 and 9.40).

One known case: with one component the first term is 0 and Q is the family's own log-likelihood.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from emframe.families import ConjugatePrior, Family, FamilyError
from emframe.latents import Latent
from emframe.parameters import equal, frozen, leaf_problem, leaves, valid
from emframe.spaces import Array


@dataclass(frozen=True)
class ComponentPrior:
    """A prior as pseudo-data, on the components, on where z comes from, or on both."""

    family: Family
    components: ConjugatePrior[Any] | None
    latent: Latent | None = None  # where there is a prior on its parameters
    choice: ConjugatePrior[Any] | None = None

    def log_density(self, params: Any) -> float:
        """Log density at `params`, nats."""
        found = 0.0
        if self.components is not None:
            pseudo = self.family.expected(self.components.statistics, params.components)
            found += pseudo + self.components.log_constant
        if self.latent is not None and self.choice is not None:
            pseudo = self.latent.expected(self.choice.statistics, params)
            found += pseudo + self.choice.log_constant
        return found


@dataclass(frozen=True)
class ModelExpectation:
    """Q of a model for some rows, from sufficient sums alone."""

    latent: Latent
    family: Family
    at: Any
    loglik: float
    entropy: float  # of z given x, and of what the family hides, row weights included; nats
    sums: Any  # the latent's: of a mixture the counts (K,), sums of responsibilities
    statistics: Any  # the family's sums, weighted by responsibilities
    prior: ComponentPrior | None = None
    form: str = ""  # how the kernel computed it

    @cached_property
    def log_prior(self) -> float:
        """Log density of the prior at `at`; 0 without one."""
        return 0.0 if self.prior is None else self.prior.log_density(self.at)

    @property
    def _with_prior(self) -> tuple[Any, Any]:
        """The sums of the latent and of the family, and where there is a prior its pseudo-data."""
        sums, statistics = self.sums, self.statistics
        if self.prior is not None and self.prior.choice is not None:
            sums = sums + self.prior.choice.statistics
        if self.prior is not None and self.prior.components is not None:
            statistics = statistics + self.prior.components.statistics
        return sums, statistics

    def value(self, params: Any) -> float:
        """Q(params | at)."""
        prior = 0.0 if self.prior is None else self.prior.log_density(params)
        picking = self.latent.expected(self.sums, params)
        return picking + self.family.expected(self.statistics, params.components) + prior

    def value_where(self, other: ModelExpectation) -> float:
        """Q at the point where `other` was taken, of the same rows, whose sums are made use of."""
        return replace(self, sums=self.latent.knowing(self.sums, other.sums)).value(other.at)

    def maximize(self) -> Any:
        """The M-steps of the latent and of the family."""
        sums, statistics = self._with_prior
        components = self.family.m_step(statistics, self.at.components)
        own = self.latent.m_step(sums, self.at)
        params = type(self.at)(**own, components=components)
        if not isinstance(components, self.family.parameters) or not valid(params, self.at):
            check_m_step(self.family, params, self.latent.n)
        return frozen(params)

    def gradient(self) -> Array:
        """Gradient of `value` at `at`, in the coordinates of the parameters' spaces.

        By Fisher's identity it is also the gradient of the objective.
        """
        sums, statistics = self._with_prior
        inner = self.family.gradient(statistics, self.at.components)
        return np.concatenate([self.latent.gradient(sums, self.at), inner])

    def __add__(self, other: ModelExpectation | ComponentPrior) -> ModelExpectation:
        if isinstance(other, ComponentPrior):
            if self.prior is not None:
                raise ValueError("this Q already has a prior; add one, once, after the rows")
            return replace(self, prior=other)
        if not equal(self.at, other.at):
            raise ValueError("Qs add only where they were taken at the same parameters")
        return replace(
            self,
            loglik=self.loglik + other.loglik,
            entropy=self.entropy + other.entropy,
            sums=self.sums + other.sums,
            statistics=self.statistics + other.statistics,
            prior=self.prior or other.prior,
        )

    def scaled(self, factor: float) -> ModelExpectation:
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
            sums=self.sums * factor,
            statistics=statistics,
        )

    def moved(self, at: Any) -> ModelExpectation:
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


def check_m_step(family: Family, params: Any, k: int, d: int | None = None) -> None:
    """Raise FamilyError where an M-step answered with parameters outside their spaces.

    Or of other shapes than they declare, where the number of columns is known.
    """
    if not isinstance(params.components, family.parameters):
        given, wanted = type(params.components).__name__, family.parameters.__name__
        raise FamilyError(f"{family.name}.m_step returned a {given}; expected {wanted}")
    dims = {"K": k} | ({} if d is None else {"d": d})
    wrong = composed_problem(family, params, dims)
    if wrong:
        raise FamilyError(f"{family.name}.m_step: {wrong}")
