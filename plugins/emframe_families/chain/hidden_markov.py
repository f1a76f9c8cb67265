"""Hidden Markov models over any family: z is a path through states that the rows are drawn from.

    p(x, z | theta) = p(z_1) f(x_1 | z_1) prod_t A[z_{t-1}, z_t] f(x_t | z_t)

It is `emframe.latents.Chain` times a family, with all that a mixture has.

One known case: runs of a single row make it a mixture, with the initial probabilities as weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe import Family, Labelled, Mixture
from emframe.data.runs import Sequences
from emframe.families import Stack
from emframe.host import name_of
from emframe.host.recipes import describe
from emframe.latents import Chain, Gate, GatedChain
from emframe.latents.gate import described
from emframe.models import ComponentModel, ComponentPrior, Covered, composed
from emframe.spaces import held_probabilities


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
    initial : "free" estimates p(z_1); "stationary" takes it from the transitions; an `emframe.Gate`
        lets it depend on columns of the first row of a run; K numbers are held, but for nan.
    transitions : by default free, the same at all times; an `emframe.Gate` lets the probabilities
        of a step depend on columns of the row that is stepped to, with a logit for each state that
        is left; numbers (K, K) are held, but for nan, which is free.
    columns : the columns of a frame that the states emit, by name, where their family does not
        name its own; by default all but those of gates.
    group : the column of a frame that says whose rows are of one run, in order; without it see
        `emframe.Sequences.by`.
    **settings : of the family, when it is given by name, such as ``covariance="diag"``.
    """

    family: Family
    n_states: int
    initial: str | Gate | tuple[float | None, ...]
    transitions: Gate | tuple[tuple[float | None, ...], ...] | None = None
    pseudo: ComponentPrior | None = field(default=None, repr=False, compare=False)
    covered: Covered | None = field(default=None, repr=False, compare=False)
    labelled: bool = field(default=False, repr=False, compare=False)

    name = "hidden-markov"

    def __init__(
        self,
        family: str | Family | Mixture | Sequence[str | Family | Mixture],
        n_states: int | Sequence[int] | None = None,
        initial: str | Gate | Sequence[float] = "free",
        transitions: Gate | Sequence[Sequence[float]] | None = None,
        *,
        columns: Sequence[str] | str | None = None,
        group: str | None = None,
        **settings: Any,
    ) -> None:
        if isinstance(initial, str) and initial not in {"free", "stationary"}:
            raise ValueError(
                f"`initial` is {initial!r}; expected 'free', 'stationary', an emframe.Gate, or "
                "numbers that are held."
            )
        if isinstance(initial, str) and initial == "stationary" and transitions is not None:
            raise ValueError(
                "`initial` is 'stationary', which goes with transitions that are free and the same "
                "at all times; use initial='free'."
            )
        is_list = isinstance(family, Sequence) and not isinstance(family, str)
        if n_states is None and not is_list:
            n_states = 2
        resolved, k = composed(family, n_states, settings, "n_states")
        if resolved.in_runs:
            raise TypeError(
                f"the rows of {resolved.name!r} are runs, whose rows share one z; those of a chain "
                "have one each: pass the family that is grouped."
            )
        self._read_columns(resolved, columns, group)
        object.__setattr__(self, "family", resolved)
        object.__setattr__(self, "n_states", k)
        object.__setattr__(self, "initial", _law("initial", initial, (k,)))
        object.__setattr__(self, "transitions", _law("transitions", transitions, (k, k)))

    @cached_property
    def latent(self) -> Chain:
        begin_on = self.initial if isinstance(self.initial, Gate) else None
        step_on = self.transitions if isinstance(self.transitions, Gate) else None
        initial = "free" if isinstance(self.initial, Gate) else self.initial
        steps = None if isinstance(self.transitions, Gate) else self.transitions
        if begin_on is None and step_on is None:
            return Chain(self.n_states, initial, steps, labelled=self.labelled)
        gates = {"begin_on": begin_on, "step_on": step_on}
        return GatedChain(self.n_states, initial, steps, labelled=self.labelled, **gates)

    def viterbi(
        self, params: Any, X: Any, columns: Sequence[str] | None = None
    ) -> NDArray[np.intp]:
        """The likeliest path of each run, end to end, (n,); in the order that `Sequences.by` had.

        columns : names of the columns of an earlier fit, which X is to have as well, or None.

        Raises ValueError for a run that is impossible.
        """
        x = self.rows(X, columns=columns).x
        log_b = self.log_density(params, x)
        path = self.latent.viterbi(params, log_b, x)
        impossible = np.isneginf(self.latent.log_joint(params, log_b, x, path))
        if impossible.any():
            raise ValueError(
                f"`X` run {int(impossible.argmax())} ({int(impossible.sum())} such) is impossible "
                "along every path; see score_samples(X)."
            )
        given = X.X if isinstance(X, Labelled) else X
        return given.as_given(path) if isinstance(given, Sequences) else path

    @property
    def options(self) -> dict[str, Any]:
        """The settings, from which ``emframe.model(name, **options)`` makes the model again."""
        if isinstance(self.family, Stack):
            families = [name_of(one)["name"] for one in self.family.families]
            sizes = list(self.family.sizes)
            return {"family": families, "n_states": sizes, **self._laws}
        family = name_of(self.family)
        # What a family was put together from is its recipe's to tell, in `describe`.
        settings = {} if self.family.maker else family["options"]
        return {"family": family["name"], "n_states": self.n_states, **self._laws, **settings}

    @property
    def _laws(self) -> dict[str, Any]:
        """The settings of the chain, as JSON."""
        told = {"initial": self.initial, "transitions": self.transitions}
        return {
            name: one.describe() if isinstance(one, Gate) else one
            for name, one in told.items()
            if one is not None
        }

    def describe(self) -> dict[str, Any]:
        told: dict[str, Any] = {"model": self.name, "options": self.options}
        if isinstance(self.family, Stack):
            told["options"]["family"] = [describe(one) for one in self.family.families]
        elif self.family.maker:
            told["options"]["family"] = describe(self.family)
        return told

    def title(self) -> str:
        """For example ``hidden-markov, family=poisson, n_states=2, initial=free``."""
        laws = {"initial": self.initial, "transitions": self.transitions}
        told = {key: laws.get(key, value) for key, value in self.options.items()}
        return ", ".join([self.name, *(f"{key}={value}" for key, value in told.items())])


def _law(name: str, given: Any, shape: tuple[int, ...]) -> Any:
    """A law of a chain as a setting: a word, a gate, or numbers that are held, as tuples."""
    if given is None or isinstance(given, (str, Gate)):
        return given
    if isinstance(given, Mapping):
        return described(given)
    return held_probabilities(name, given, shape)
