"""Finite mixtures: the latent z is one-hot, and picks the component that the row comes from.

    p(x, z | theta) = prod_k [ w_k f(x | theta_k) ] ^ z_k,        sum_k z_k = 1

It is `OneHot` times a family; see `emframe.models.component_model`.

One known case: with K = 1 every responsibility is 1 and Q is the log-likelihood of the family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from emframe.composing import Copies, Nested, fixed
from emframe.families import Family
from emframe.host import model as named_model
from emframe.host.recipes import MAKERS, describe
from emframe.latents import Gate, Gated, OneHot, held_weights
from emframe.models.base import Covered
from emframe.models.component_model import ComponentModel
from emframe.models.expectation import ComponentPrior
from emframe.models.grouped import Grouped
from emframe.models.mixture_parts import composed, parts, titled
from emframe.spaces import Array


@dataclass(frozen=True, init=False)
class Mixture(ComponentModel):
    """A finite mixture of the components of a family.

    Parameters
    ----------
    family : name of a plugin, a `Family`, a model (each component is then itself one), or a
        list of them: one for each component, or one for each group of components.
    n_components : K; for a list of families a list of group sizes (default: one each).
    columns : the columns of a frame that components read, by name, where their family does not
        name its own; by default all but those of a gate.
    group : the column of a frame that says which rows share one component, such as a person's;
        without it see `Grouped`.
    weights : by default estimated, the same for every row; an `emframe.Gate` for weights that
        depend on columns of the data; or (K,) probabilities that are held, see `fixed`.
    **options : settings of the family, when it is given by name, such as ``covariance="tied"``.

    Raises
    ------
    ValueError : for an unknown family, with the known ones and near misses; for a K below 1.

    Examples
    --------
    >>> emframe.Mixture("gaussian", 3, covariance="tied").title()
    'gaussian mixture, covariance=tied, K = 3'
    >>> emframe.Mixture(["gaussian", "uniform"], weights=(0.9, 0.1)).n_components
    2
    """

    family: Family
    n_components: int
    weights: tuple[float, ...] | Gate | None = None  # (K,), where they are held; see `fixed`
    pseudo: ComponentPrior | None = field(default=None, repr=False, compare=False)
    covered: Covered | None = field(default=None, repr=False, compare=False)
    labelled: bool = field(default=False, repr=False, compare=False)

    name = "mixture"

    def __init__(
        self,
        family: str | Family | Mixture | Sequence[str | Family | Mixture],
        n_components: int | Sequence[int] | None = None,
        weights: Gate | Sequence[float] | float | None = None,
        *,
        columns: Sequence[str] | str | None = None,
        group: str | None = None,
        **options: Any,
    ) -> None:
        resolved, k = composed(family, n_components, options)
        if group is not None and not resolved.in_runs:
            resolved = Grouped(resolved)
        self._read_columns(resolved, columns, group)
        if weights is not None:
            held = weights if isinstance(weights, Gate) else held_weights(weights, k)
            object.__setattr__(self, "weights", held)
        object.__setattr__(self, "family", resolved)
        object.__setattr__(self, "n_components", k)

    @cached_property
    def latent(self) -> OneHot | Gated:
        if isinstance(self.weights, Gate):
            return Gated(self.n_components, self.weights, labelled=self.labelled)
        return OneHot(self.n_components, self.weights, labelled=self.labelled)

    def fixed(self, **values: Any) -> Mixture:
        """The same mixture with parameters held; see `emframe.fixed`.

        Weights of 1/K, or any others that sum to 1, are the mixture's own; all else its family's.
        """
        changes: dict[str, Any] = {}
        if "weights" in values:
            changes["weights"] = held_weights(values.pop("weights"), self.n_components)
        if values:
            changes["family"] = fixed(self.family, **values)
        return self._with(**changes)

    def as_component(self) -> Family:
        """The family of which each component is such a mixture."""
        self._refuse_columns_inside()
        if isinstance(self.weights, Gate):
            raise TypeError(
                "a mixture whose weights depend on covariates is no component of another; let "
                "`weights=` of the outer one be the gate, or use weights that are the same."
            )
        if self.family.in_runs:
            return super().as_component()
        nested = Nested(self.family.each(self.n_components))
        return nested if self.weights is None else fixed(nested, shares=self.weights)

    def log_joint(self, params: Any, x: Array) -> Array:
        """log p(x, z_k = 1 | params) of each row, (n, K)."""
        return self.log_density(params, x) + self.latent.log_prior(params, x)

    def start(self, start: Any, rows: Any, rng: np.random.Generator) -> Any:
        found = super().start(start, rows, rng)
        held = self.latent.held
        return found if held is None else self.parameters(np.array(held), found.components)

    def describe(self) -> dict[str, Any]:
        """The model as JSON: names of registered families and their settings."""
        families, sizes = parts(self.family, self.n_components)
        return {
            "model": "mixture",
            "families": [describe(family) for family in families],
            "n_components": list(sizes),
            **self._weights_told(),
        }

    def _weights_told(self) -> dict[str, Any]:
        if self.weights is None:
            return {}
        if isinstance(self.weights, Gate):
            return {"weights": self.weights.describe()}
        return {"weights": list(self.weights)}

    def title(self) -> str:
        """For example ``gaussian mixture, covariance=full, K = 3``."""
        own = ""
        if isinstance(self.weights, Gate):
            own = f", weights on {', '.join(map(str, self.weights.columns))}"
        elif self.weights is not None:
            own = ", weights held"
        return f"{titled(self.family)}, K = {self.n_components}{own}"


def _copies(name: str, options: dict[str, Any]) -> Family:
    """Copies of the model of this name."""
    if name != Mixture.name:
        return Copies(named_model(name, **options))
    return Copies(Mixture(**options))


MAKERS["copies"] = _copies
