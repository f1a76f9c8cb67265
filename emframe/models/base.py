"""What `emframe.fit` asks of a model: a way in for data, a Q for a block of rows, starts.

A mixture answers these; so can any other latent structure, and nothing downstream of here knows
which it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emframe.core import Contract, Expectation
from emframe.data import Rows, counted, frequencies
from emframe.engines import Workspace, block_rows
from emframe.families import Family, Pieces
from emframe.spaces import Array

Block = tuple[Array, Array]
"""Rows x (b, d) and their frequency weights (b,)."""


@dataclass(frozen=True)
class Covered:
    """Rows, or runs of them, whose covariates a model draws at, as often as their weights say."""

    x: Array  # (n, d)
    shares: Array  # (n,) of rows, or (S,) of runs; they sum to 1
    firsts: NDArray[np.intp] | None = None  # (S,) where runs begin
    lengths: NDArray[np.intp] | None = None  # (S,)

    def lend(self, family: Family, n: int, rng: np.random.Generator) -> Family:
        """The family with covariates for n rows to draw, each taken at random.

        Or run after run at random, each from its first row on, until there are n.
        """
        return family.given(self.drawn(n, rng))

    def drawn(self, n: int, rng: np.random.Generator) -> Array:
        """n of the rows, each taken at random, or run after run, (n, d)."""
        if self.firsts is None or self.lengths is None:
            return self.x[rng.choice(len(self.x), size=n, p=self.shares)]
        runs = rng.choice(len(self.firsts), size=n, p=self.shares)  # of one row or more each
        lengths = self.lengths[runs]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self.x[(np.repeat(self.firsts[runs], lengths) + within)[:n]]


def covered(family: Family, x: Any, weights: Array | None, width: int = 0) -> Covered | None:
    """What `Model.given` keeps of rows and their weights; None where there are no covariates.

    width : how many columns a latent reads.
    """
    if not family.covariates and not width:
        return None
    each = np.ones(len(x)) if weights is None else weights
    shares = each / each.sum()
    if hasattr(x, "lengths"):
        return Covered(x.x, shares, x.firsts, x.lengths)
    return Covered(x, shares)


class Pass(Protocol):
    """One E-step over the data: something that adds is made of each block, and of the sum a Q."""

    def rows(self, d: int) -> int:
        """Rows of d columns that a block should have."""

    def block(self, rows: Block, work: Workspace) -> Any:
        """What a block of rows leaves behind; it adds."""

    def finish(self, total: Any) -> Expectation[Any] | None:
        """Q, from the sum over all blocks; None where too many digits were lost."""

    def uncertainty(self, rows: Block, work: Workspace) -> float:
        """-log of the posterior probability of the likeliest z; nan where z is continuous."""


class Model(Protocol):
    """A latent-variable model over independent rows."""

    @property
    def contract(self) -> Contract:
        """What it promises of its M-step."""

    @property
    def effort(self) -> float:
        """What an EM iteration costs, in passes of a cheap density over the rows."""

    @property
    def priors(self) -> tuple[str, ...]:
        """The names that `prior` takes."""
        return ()

    @property
    def unit(self) -> str:
        """What has a z of its own: "rows", or "runs" where the rows of a run share one."""
        return "rows"

    def settled(self, X: Any, weights: Any = None) -> Model:
        """The same model with what its settings leave to the data read off them."""
        return self

    def rows(self, X: Any, weights: Any = None, columns: Any = None) -> Rows:
        """Validate data, or refuse them with a message that names the place."""

    def require(self, rows: Rows) -> None:
        """Refuse data that are too few to fit the model to."""

    def condense(self, rows: Rows) -> Rows:
        """The same data in fewer rows of more weight, where the model can."""

    def survey(self, rows: Rows) -> Any:
        """What every E-step needs to know of all rows, found once."""

    def passes(self, params: Any, survey: Any) -> Iterator[Pass]:
        """Ways to the Q at `params` of all rows, the fastest first; the last loses no digits."""

    def expect(self, params: Any, x: Array, weights: Array) -> Expectation[Any]:
        """Q(. | params) of one block of rows."""

    def work(self, rows: Rows) -> int:
        """Numbers of work space that `expect` needs for a row."""

    def prior(self, prior: Any, survey: Any) -> Any:
        """The term that `prior` adds to Q for these data."""

    def under(self, prior: Any) -> Model:
        """This model, with starts that know of the term of `Model.prior` (None for none)."""
        return self

    def given(self, x: Any, weights: Array | None = None) -> Model:
        """This model, with draws at covariates of these rows, by weights, where it has any."""
        return self

    @property
    def sole_start(self) -> str:
        """Why one start is as good as many, if it ends well; empty where it is not."""

    def starts(self, rows: Rows, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
        """An endless supply of (name of the kind of start, parameters)."""

    def moves(self, params: Any, rows: Rows, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
        """Ways out of the optimum `params`: (name of the kind of move, parameters) to start from.

        Those with the best prospects come first.  None, unless a model knows some.
        """

    def crossed(
        self, params: Any, other: Any, rows: Rows, rng: np.random.Generator
    ) -> Iterator[tuple[str, Any]]:
        """Children of two optima, as of `moves`.  None, unless a model knows some."""

    def taken_over(
        self, params: Any, rows: Rows, mine: NDArray[np.bool_]
    ) -> Iterator[tuple[str, Any]]:
        """Starts at which the rows `mine` have a component of their own, in the place of another.

        As of `moves`; none where a model has no components to give away.
        """

    def widened(self, params: Any, some: Rows, rows: Rows) -> Any:
        """Parameters near those found on `some` of the rows, at which all rows are possible.

        Raises `emframe.Degenerate` where there are none.
        """

    def embedded(self, smaller: Model, params: Any) -> Any | None:
        """The point of this model that is `smaller` at `params`: every row has the same density.

        None unless this model is `smaller` with more components, or the like.
        """

    def grown(
        self, smaller: Model, params: Any, rows: Rows, rng: np.random.Generator
    ) -> Iterator[tuple[str, Any]]:
        """Ways on from there: (name of the kind of start, parameters), as of `moves`."""

    def reseeded(self, params: Any, k: int, rows: Rows, rng: np.random.Generator) -> Any | None:
        """Parameters with component k, which starved at `params`, elsewhere; None for no way.

        Or the exception that came in their place, as of `starts` and `moves`.
        """

    def has_twins(self, params: Any, rows: Rows) -> bool:
        """Whether components are alike, or there are none to tell apart: a saddle may be near."""

    def nudged(self, params: Any, rows: Rows, rng: np.random.Generator) -> Any | None:
        """The M-step on the posterior at `params`, disturbed; None where there is no such step.

        Raises `emframe.Degenerate` where it leads to no parameters.
        """

    def spared(self, params: Any, rows: Rows, rng: np.random.Generator) -> Any | None:
        """One of two alike components moved to where it does more; None where there is no such
        place, or a model knows of none."""

    def start(self, start: Any, rows: Rows, rng: np.random.Generator) -> Any:
        """Parameters from what the user passed as ``start=``."""

    def irregularities(self, q: Expectation[Any]) -> Mapping[int, str]:
        """What at the point of `q` looks spurious by the model's own criteria, and why."""

    def undetermined(self, q: Expectation[Any]) -> str:
        """What the data say nothing of at the point of `q`, in a sentence; empty for nothing."""
        return ""

    def pieces(self, params: Any, x: Any) -> Pieces | None:
        """Its components at rows x, which one block has; None where it has none."""

    def columns_modelled(self, d: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which of d columns are discrete, and which no covariates; see `Family`."""

    def posterior(self, params: Any, x: Array) -> tuple[Array, Array]:
        """Log density of each row (n,), and the mean of z given x, which is p(z | x) (n, K)
        where z is one-hot."""

    def choices(self) -> int | None:
        """How many values z chooses from; None where it is continuous."""

    def complete_log_likelihood(self, params: Any, x: Array, z: np.ndarray[Any, Any]) -> float:
        """log p(x, z | params) summed over the rows, for known z."""

    def sample(
        self, params: Any, n: int, rng: np.random.Generator
    ) -> tuple[Array, np.ndarray[Any, Any]]:
        """n rows and the z behind them: whole numbers where it is a choice."""

    def build(self, values: Mapping[str, Any]) -> Any:
        """Parameters from a nest of mappings of array-likes."""

    def problem(self, params: Any, d: int) -> str | None:
        """What is wrong with parameters of this model for data of d columns, or None."""

    def describe(self) -> dict[str, Any]:
        """A JSON-able description from which the model can be made again."""

    def title(self) -> str:
        """The model in a few words."""


def observed(model: Model, X: Any, weights: Any = None, columns: Any = None) -> Any:
    """The rows that a fit was, or is to be, made from: validated, in as few as will do.

    `columns` are those of the fit, where there is one.  Raises as `emframe.fit` does, and
    ValueError for weights too far out to count rows by.
    """
    return model.condense(counted(model.rows(X, frequencies(X, weights), columns=columns)))


@dataclass(frozen=True)
class Plain:
    """The pass of a model that has nothing to prepare: Q of each block, added up."""

    model: Any  # a `LatentModel`
    params: Any

    def rows(self, d: int) -> int:
        return block_rows(64 * d)

    def block(self, rows: Block, work: Workspace) -> Expectation[Any]:
        return self.model.expect(self.params, *rows)

    def finish(self, total: Expectation[Any]) -> Expectation[Any]:
        return total

    def uncertainty(self, rows: Block, work: Workspace) -> float:
        return self.model.uncertainty(self.params, *rows)
