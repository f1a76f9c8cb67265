"""Hidden Markov models over any family: z is a path through states that the rows are drawn from.

    p(x, z | theta) = p(z_1) f(x_1 | z_1) prod_t A[z_{t-1}, z_t] f(x_t | z_t)

It is `emframe.latents.Chain` times a family, with all that a mixture has.

One known case: runs of a single row make it a mixture, with the initial probabilities as weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe import Family, Mixture
from emframe.data.runs import Sequences
from emframe.families import Stack
from emframe.host import name_of
from emframe.latents import Chain
from emframe.models import ComponentModel, ComponentPrior, composed
from emframe.models.base import Covered
from emframe.recipes import describe


@dataclass(frozen=True, init=False)
class HiddenMarkov(ComponentModel):
    """A hidden Markov model whose states emit rows of a family.

    Data are one run of rows, a list of arrays (a run each), or `emframe.Sequences(x, lengths)`;
    row weights belong to runs.

    Parameters
    ----------
    family : name of a plugin, a `Family`, a `Mixture` (each state then emits rows of one), or a
        list of them: one for each state, or one for each group of states.
    n_states : K, by default 2; for a list of families a list of group sizes (default: one each).
    initial : "free" estimates p(z_1); "stationary" takes it from the transitions.
    **settings : of the family, when it is given by name, such as ``covariance="diag"``.
    """

    family: Family
    n_states: int
    initial: str
    pseudo: ComponentPrior | None = field(default=None, repr=False, compare=False)
    covered: Covered | None = field(default=None, repr=False, compare=False)

    name = "hidden-markov"

    def __init__(
        self,
        family: str | Family | Mixture | Sequence[str | Family | Mixture],
        n_states: int | Sequence[int] | None = None,
        initial: str = "free",
        **settings: Any,
    ) -> None:
        if initial not in {"free", "stationary"}:
            raise ValueError(f"`initial` is {initial!r}; expected 'free' or 'stationary'.")
        is_list = isinstance(family, Sequence) and not isinstance(family, str)
        if n_states is None and not is_list:
            n_states = 2
        resolved, k = composed(family, n_states, settings, "n_states")
        if resolved.in_runs:
            raise TypeError(
                f"the rows of {resolved.name!r} are runs, whose rows share one z; those of a chain "
                "have one each: pass the family that is grouped."
            )
        object.__setattr__(self, "family", resolved)
        object.__setattr__(self, "n_states", k)
        object.__setattr__(self, "initial", initial)

    @property
    def latent(self) -> Chain:
        return Chain(self.n_states, self.initial)

    def viterbi(self, params: Any, X: Any) -> NDArray[np.intp]:
        """The likeliest path of each run, end to end, (n,); in the order that `Sequences.by` had.

        Raises ValueError for a run that is impossible.
        """
        x = self.rows(X).x
        log_b = self.log_density(params, x)
        path = self.latent.viterbi(params, log_b, x)
        impossible = np.isneginf(self.latent.log_joint(params, log_b, x, path))
        if impossible.any():
            raise ValueError(
                f"`X` run {int(impossible.argmax())} ({int(impossible.sum())} such) is impossible "
                "along every path; see score_samples(X)."
            )
        return X.as_given(path) if isinstance(X, Sequences) else path

    @property
    def options(self) -> dict[str, Any]:
        """The settings, from which ``emframe.model(name, **options)`` makes the model again."""
        if isinstance(self.family, Stack):
            families = [name_of(one)["name"] for one in self.family.families]
            sizes = list(self.family.sizes)
            return {"family": families, "n_states": sizes, "initial": self.initial}
        family = name_of(self.family)
        # What a family was put together from is its recipe's to tell, in `describe`.
        settings = {} if self.family.maker else family["options"]
        own = {"n_states": self.n_states, "initial": self.initial}
        return {"family": family["name"], **own, **settings}

    def describe(self) -> dict[str, Any]:
        told: dict[str, Any] = {"model": self.name, "options": self.options}
        if isinstance(self.family, Stack):
            told["options"]["family"] = [describe(one) for one in self.family.families]
        elif self.family.maker:
            told["options"]["family"] = describe(self.family)
        return told

    def title(self) -> str:
        """For example ``hidden-markov, family=poisson, n_states=2, initial=free``."""
        return ", ".join([self.name, *(f"{key}={value}" for key, value in self.options.items())])
