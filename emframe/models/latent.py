"""A whole latent-variable model from two functions: the E-step and the M-step.

    e_step(params, x, weights)      log p(x), the entropy of p(z | x), and sums S over the rows
    expected(S, params)             Q(params | at): the complete-data log-likelihood, from S alone
    m_step(S, previous)             the parameters that maximise it

S adds over blocks of rows.  What z is, and what S holds, is the model's own affair: counts of
genes, moments of factors, expected transitions.  These are the words a `Family` uses; a family is
the part of a mixture that this is the whole of.

One known case: where S is the data's own sums and the entropy is 0 nothing is latent, and EM ends
after one step.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import nan
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emframe.composing import Copies
from emframe.core import Contract, Expectation
from emframe.data import Rows, as_rows, placed_rows
from emframe.families import Family, FamilyError, Pieces
from emframe.models.base import Pass, Plain
from emframe.models.component_starts import reweighted
from emframe.parameters import (
    build,
    equal,
    frozen,
    n_columns_free,
    near,
    problem,
    slopes,
    valid,
)
from emframe.spaces import Array, Real, Space


class Posterior(NamedTuple):
    """What an E-step leaves behind for some rows; nats, row weights included."""

    loglik: float
    entropy: float  # of p(z | x)
    statistics: Any  # S


@dataclass(frozen=True)
class LatentExpectation:
    """Q of a `LatentModel`, from its sums S."""

    model: LatentModel
    at: Any
    loglik: float
    entropy: float
    statistics: Any

    def value(self, params: Any) -> float:
        """Q(params | at)."""
        return self.model.expected(self.statistics, params)

    def maximize(self) -> Any:
        """The model's M-step, checked against the spaces it declared."""
        params = self.model.m_step(self.statistics, self.at)
        if not valid(params, self.at):
            wrong = problem(params, self.model.dims) or "parameters of another shape than before"
            raise FamilyError(f"{self.model.name}.m_step: {wrong}")
        return frozen(params)

    def gradient(self) -> Array:
        """Gradient of `value` at `at`, in the coordinates of the parameters' spaces."""
        return self.model.gradient(self.statistics, self.at)

    def scaled(self, factor: float) -> LatentExpectation:
        """Q of the same rows with `factor` times their weights.

        Raises TypeError where the model's sums do not scale.
        """
        try:
            statistics = self.statistics * factor
        except TypeError as error:
            raise TypeError(
                f"the sums of the model {self.model.name!r} cannot be scaled; give their class a "
                "`__mul__(factor)`."
            ) from error
        return dataclasses.replace(
            self,
            loglik=self.loglik * factor,
            entropy=self.entropy * factor,
            statistics=statistics,
        )

    def moved(self, at: Any) -> LatentExpectation:
        """The same sums, told as a Q at other parameters; see `ModelExpectation.moved`."""
        return dataclasses.replace(self, at=at)

    def __add__(self, other: LatentExpectation) -> LatentExpectation:
        if not equal(self.at, other.at):
            raise ValueError("Qs add only where they were taken at the same parameters")
        return dataclasses.replace(
            self,
            loglik=self.loglik + other.loglik,
            entropy=self.entropy + other.entropy,
            statistics=self.statistics + other.statistics,
        )


class LatentModel(ABC):
    """Base of models that are not mixtures.  Subclass it as a frozen dataclass of settings.

    Examples
    --------
    >>> isinstance(emframe.model("factor-analysis", n_factors=1), emframe.LatentModel)
    True
    """

    name: ClassVar[str] = ""
    support: ClassVar[Space] = Real()
    sole_start: ClassVar[str] = ""  # why one start is as good as many, if it ends well
    priors: ClassVar[tuple[str, ...]] = ()  # the names that `prior` takes
    unit: ClassVar[str] = "rows"  # what has a z of its own; "runs" where a run's rows share one

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not callable(cls.choices):
            raise TypeError(f"`{cls.__name__}.choices` is no method; define `def choices(self):`.")

    # ---- what an author writes

    @property
    @abstractmethod
    def parameters(self) -> type:
        """The parameter dataclass (a class attribute will do)."""

    @abstractmethod
    def e_step(self, params: Any, x: Any, weights: Array) -> Posterior:
        """log p(x | params), entropy and sums of rows x (n, d) with frequency weights (n,)."""

    @abstractmethod
    def expected(self, statistics: Any, params: Any) -> float:
        """E[ log p(x, z | params) ] summed over the rows, nats, all constants kept."""

    @abstractmethod
    def m_step(self, statistics: Any, previous: Any) -> Any:
        """Parameters that maximise `expected`.

        Raises `emframe.Degenerate` where no finite maximum exists.
        """

    @abstractmethod
    def posterior(self, params: Any, x: Any) -> tuple[Array, Array]:
        """Log density of each row (n,), and the mean of z given x, a row to each."""

    @abstractmethod
    def starts(self, rows: Rows, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
        """A supply of (name of the kind of start, parameters)."""

    @abstractmethod
    def sample(self, params: Any, n: int, rng: np.random.Generator) -> tuple[Array, NDArray[Any]]:
        """n rows and the z behind them; whole numbers where z is a choice."""

    @abstractmethod
    def complete_log_likelihood(self, params: Any, x: Any, z: NDArray[Any]) -> float:
        """log p(x, z | params) summed over the rows, for known z as `sample` gives it."""

    # ---- what follows from it

    @property
    def contract(self) -> Contract:
        return Contract.EXACT

    @property
    def effort(self) -> float:
        """What an EM iteration costs, in passes of a cheap density over the rows."""
        return 1.0

    def choices(self) -> int | None:
        """How many values z chooses from; None where it is continuous."""
        return None

    @property
    def dims(self) -> Mapping[str, int]:
        """Sizes of named axes of the parameters that the settings fix, such as ``{"q": 2}``."""
        return {}

    @property
    def takes_columns(self) -> bool:
        """Whether the rows may have more than one column."""
        return n_columns_free(self.parameters)

    def expect(self, params: Any, x: Any, weights: Array) -> LatentExpectation:
        """Q(. | params) of rows x (n, d) with frequency weights (n,)."""
        return LatentExpectation(self, params, *self.e_step(params, x, weights))

    def gradient(self, statistics: Any, params: Any) -> Array:
        """Gradient of `expected` at `params`, in the coordinates of its spaces, (m,).

        By central differences, unless a model knows better.  It steers the acceleration.
        """
        return slopes(lambda beside: self.expected(statistics, beside), params)

    def settled(self, X: Any, weights: Any = None) -> LatentModel:
        """This model: it leaves no setting to the data, unless a model says so."""
        return self

    def rows(self, X: Any, weights: Any = None, columns: Any = None) -> Any:
        """Validate data; see `emframe.data.as_rows`."""
        found = placed_rows(partial(self.rows, columns=columns), X, weights)
        if found is not None:
            return found
        return as_rows(
            X,
            supports=(self.support,),
            owner=f"the model {self.name!r}",
            weights=weights,
            takes_columns=self.takes_columns,
            n_columns=None if columns is None else len(columns),
            columns=columns,
        )

    def require(self, rows: Any) -> None:
        """Refuse data that are too few to fit the model to: none are, unless a model says so."""

    def moves(self, params: Any, rows: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
        """No ways out of an optimum, unless a model knows some."""
        return iter(())

    def crossed(
        self, params: Any, other: Any, rows: Any, rng: np.random.Generator
    ) -> Iterator[tuple[str, Any]]:
        """No children of two optima, unless a model knows some."""
        return iter(())

    def taken_over(
        self, params: Any, rows: Any, mine: NDArray[np.bool_]
    ) -> Iterator[tuple[str, Any]]:
        """None: there are no components to give away, unless a model says so."""
        return iter(())

    def widened(self, params: Any, some: Any, rows: Any) -> Any:
        """The parameters as they are: all rows are possible, unless a model says otherwise."""
        return params

    def embedded(self, smaller: Any, params: Any) -> Any | None:
        """No smaller model is contained in this one, unless a model knows some."""
        return None

    def grown(
        self, smaller: Any, params: Any, rows: Any, rng: np.random.Generator
    ) -> Iterator[tuple[str, Any]]:
        """No starts from a smaller model, unless a model knows some."""
        return iter(())

    def condense(self, rows: Any) -> Any:
        """The rows as they are."""
        return rows

    def survey(self, rows: Any) -> Any:
        """What every E-step needs to know of all rows: nothing, unless a model says so."""
        return None

    def under(self, prior: None) -> LatentModel:
        """This model: it has no priors."""
        return self

    def given(self, x: Any, weights: Array | None = None) -> LatentModel:
        """This model: it has no covariates to draw at."""
        return self

    def passes(self, params: Any, survey: Any) -> Iterator[Pass]:
        """Q of each block, added up."""
        yield Plain(self, params)

    def work(self, rows: Any) -> int:
        return 8 * (len(rows.columns) + 8)

    def prior(self, prior: Any, survey: Any) -> None:
        """No term: a model of this kind knows no priors.  Raises ValueError where one is asked."""
        if prior is not None:
            raise ValueError(f"`prior` is {prior!r}; the model {self.name!r} knows: none.")

    def reseeded(self, params: Any, k: int, rows: Any, rng: np.random.Generator) -> Any | None:
        """None: a component has no other place to go to, unless a model says so."""
        return None

    def has_twins(self, params: Any, rows: Any) -> bool:
        """True: there are no components to tell apart, unless a model says so."""
        return True

    def nudged(self, params: Any, rows: Any, rng: np.random.Generator) -> Any | None:
        """The M-step on rows with random weights about their own."""
        return reweighted(self, params, rows, rng)

    def spared(self, params: Any, rows: Any, rng: np.random.Generator) -> Any | None:
        """None: no component can be spared, unless a model says so."""
        return None

    def start(self, start: Any, rows: Any, rng: np.random.Generator) -> Any:
        """Parameters from parameters, a mapping of arrays, or a callable."""
        if callable(start):
            start = start(rows.x, rng)
        if isinstance(start, Mapping):
            start = self.build(start)
        if not dataclasses.is_dataclass(start):
            raise TypeError(
                f"`start` is {type(start).__name__}; the model {self.name!r} takes parameters, a "
                "dict of arrays by field name, or a callable."
            )
        start = near(start)
        wrong = self.problem(start, len(rows.columns))
        if wrong:
            raise ValueError(f"`start`: {wrong}.")
        return start

    def irregularities(self, q: Expectation[Any]) -> Mapping[int, str]:
        return {}

    def undetermined(self, q: Expectation[Any]) -> str:
        """Nothing that is seen from Q alone, unless a model says so."""
        return ""

    def pieces(self, params: Any, x: Any) -> Pieces | None:
        """None: z is no choice among components, unless a model says so."""
        return None

    def columns_modelled(self, d: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """All of d columns, each as discrete as the support."""
        return np.full(d, self.support.discrete), np.ones(d, dtype=bool)

    def uncertainty(self, params: Any, x: Any, weights: Array) -> float:
        """-log of the posterior probability of the likeliest z; nan where z is continuous."""
        return nan

    def build(self, values: Any) -> Any:
        """Parameters from a mapping of array-likes by field name."""
        return build(self.parameters, values)

    def problem(self, params: Any, d: int) -> str | None:
        """What is wrong with parameters of this model for data of d columns, or None."""
        return problem(params, {"d": d, **self.dims})

    @property
    def options(self) -> dict[str, Any]:
        """The settings, from which ``emframe.model(name, **options)`` makes the model again."""
        own: Any = self
        fields = dataclasses.fields(own) if dataclasses.is_dataclass(own) else ()
        return {field.name: getattr(own, field.name) for field in fields}

    def as_component(self) -> Family:
        """The family of which each component is such a model."""
        return Copies(self)

    def ingredients(self) -> dict[str, Any]:
        """What it was made from, by keyword."""
        return self.options

    def describe(self) -> dict[str, Any]:
        return {"model": self.name, "options": self.options}

    def title(self) -> str:
        """For example ``factor-analysis, n_factors=2``."""
        return ", ".join([self.name, *(f"{key}={value}" for key, value in self.options.items())])
