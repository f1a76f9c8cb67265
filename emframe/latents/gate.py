"""Which columns say where z comes from: the settings of a law of z that depends on covariates.

    emframe.Mixture("gaussian", 3, weights=emframe.Gate("age", "sex"))

One known case: a gate of no columns is the same weights for every row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from emframe.data.covariates import Column, Covariates
from emframe.data.formulas import Design, has_constant, is_formula
from emframe.data.formulas import described as design
from emframe.data.words import Levels
from emframe.parameters import Declared
from emframe.parameters.records import identifier, record
from emframe.spaces import AgainstFirst, Array

INTERCEPT = "intercept"


@dataclass(frozen=True, init=False, repr=False)
class Gate(Covariates):
    """A multinomial logit on columns of the data, with an intercept.

    Its coefficients are log odds against the first component, whose own are 0.

    Parameters
    ----------
    *columns : names, or indices from 0.  A column of words stands for an indicator of each of its
        values but the first.  Or a formula, ``"~ age * sex"`` (extra ``formula``).  The model's
        family may read the same columns, if it names its own.
    levels : for each column its values, none for numbers; by default read off the data.

    Raises TypeError, ValueError for what are no columns, or a column named twice.

    Examples
    --------
    >>> rows = [[0, 20], [1, 31], [0, 42], [1, 28], [8, 35], [9, 50], [7, 44], [8, 27]]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2, weights=emframe.Gate(1)), rows, rng=0)
    >>> fit.params.gate.x1.shape
    (2,)
    """

    def __init__(self, *columns: Column, levels: tuple[Levels | Design, ...] | None = None) -> None:
        bare = next(
            (one for one in columns if is_formula(one) and not has_constant(str(one))), None
        )
        if bare is not None:
            raise ValueError(
                f"the gate {bare!r} leaves the intercept out, and a gate has one: leave out the 0."
            )
        object.__setattr__(self, "columns", tuple(columns))
        object.__setattr__(self, "levels", levels)
        self.__post_init__()

    def settled(self, X: Any) -> Gate:
        if self.levels is not None:
            return self
        found = Covariates(self.columns).settled(X)
        settled = Gate(*self.columns, levels=found.levels)
        clash = next((one for one in settled.names if settled.names.count(one) > 1), None)
        if clash is not None:
            raise ValueError(f"two coefficients would be called {clash!r}; rename a column.")
        return settled

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the coefficients, (p,): ``intercept``, then those of the columns."""
        return (INTERCEPT, *map(identifier, self.labels))

    @cached_property
    def parameters(self) -> type:
        """A field of shape (K,) for each coefficient, the first component's 0."""
        odds = Declared(AgainstFirst(), ("K",), per_component=False)
        return record("GateParameters", dict.fromkeys(self.names, odds))

    @cached_property
    def of_steps(self) -> type:
        """The same with a logit for each state that is left: fields (K, K), the first column 0."""
        odds = Declared(AgainstFirst(), ("K", "K"), per_component=False)
        return record("GateOfSteps", dict.fromkeys(self.names, odds))

    def coefficients(self, params: Any) -> Array:
        """Those of `parameters` as a matrix, (K, p), or of `of_steps` as K of them, (K, K, p)."""
        return np.stack([getattr(params, name) for name in self.names], axis=-1)

    def made(self, coefficients: Array) -> Any:
        """`parameters` from (K, p), or `of_steps` from (K, K, p); relative to the first."""
        odds = np.moveaxis(coefficients - coefficients[..., :1, :], -1, 0)
        kind = self.parameters if coefficients.ndim == 2 else self.of_steps
        return kind(**dict(zip(self.names, np.ascontiguousarray(odds), strict=True)))

    def build(self, name: str, told: Any, *, steps: bool = False) -> Any:
        """`parameters`, or `of_steps`, from a mapping of arrays by name.

        Raises ValueError for anything else.
        """
        kind = self.of_steps if steps else self.parameters
        if isinstance(told, kind):
            return told
        if not isinstance(told, Mapping) or set(told) != set(self.names):
            raise ValueError(
                f"`{name}` is {told!r}; expected a mapping of {', '.join(self.names)}: log odds "
                "of each component against the first, whose own are 0."
            )
        return kind(**{one: np.array(told[one], dtype=float) for one in self.names})

    def describe(self) -> dict[str, Any]:
        """The gate as JSON; `described` makes it again."""
        levels = None
        if self.levels is not None:
            levels = [
                one.describe() if isinstance(one, Design) else list(one) for one in self.levels
            ]
        return {"columns": list(self.columns), "levels": levels}

    def __repr__(self) -> str:
        return f"Gate({', '.join(map(repr, self.columns))})"


def described(told: Mapping[str, Any]) -> Gate:
    """The gate of what `Gate.describe` gave."""
    levels = told["levels"]
    if levels is not None:
        levels = tuple(design(one) if isinstance(one, Mapping) else tuple(one) for one in levels)
    return Gate(*told["columns"], levels=levels)
