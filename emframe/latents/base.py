"""A latent: a law of z, the choice among K components that a row comes from.

    log p(x, z | theta) = log p(z | alpha) + log f(x | z, beta)

The second term is the family's.  A latent says the first, and Bayes' rule with it:

    posterior(params, joint, ...)    p(z | x) of a block of rows, its entropy, and sums S of z
    expected(S, params)              E[ log p(z | params) ], from S alone
    m_step(S, previous)              the parameters that maximise it

Its parameters are fields of the model's, beside `components`.  The words are those of a `Family`,
and so is what holds: sums add over blocks, and settings are no fit.

One known case: with K = 1 there is nothing to choose, and all of them are 0 or 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emframe.core import Contract
from emframe.data import swept
from emframe.data.labelled import members
from emframe.data.runs import Sequences
from emframe.engines import Workspace
from emframe.families import ConjugatePrior
from emframe.latents.ridge import Ridge
from emframe.spaces import Array

Order = NDArray[np.intp]


class BlockPosterior(NamedTuple):
    """p(z | x) of a block of rows, row weights included."""

    resp: Array  # (K, b), or in tiles: what each component has of a row
    loglik: Any  # nats; a number, or one for each of several starts
    entropy: Any  # of z given x, nats
    sums: Any = None  # S, where it is more than the sums of `resp` over rows


def apart(x: Any, width: int) -> tuple[Any, Array]:
    """Rows, or runs, without their last columns, and these, (n, width); views."""
    if not width:
        return x, np.zeros((len(x), 0))
    if isinstance(x, Sequences):
        return Sequences(x.x[:, :-width], x.lengths), x.x[:, -width:]
    return x[:, :-width], x[:, -width:]


@dataclass(frozen=True)
class Latent(ABC):
    """Base of all laws of z.  Subclass it as a frozen dataclass of settings."""

    n: int  # K, how many components z chooses from
    labelled: bool = field(default=False, kw_only=True)
    # Whether rows have a column that tells what z may be; it stands before those of `width`.

    name: ClassVar[str] = ""
    word: ClassVar[str] = "n_components"  # what the argument for their number is called
    noun: ClassVar[str] = "component"  # what one of them is called
    contract: ClassVar[Contract] = Contract.EXACT
    in_runs: ClassVar[bool] = False  # whether rows come in runs, and each has a z of its own
    can_close: ClassVar[bool] = False  # whether a choice found impossible stays so ever after
    in_tiles: ClassVar[bool] = False  # whether `posterior` takes what a kernel lays out in tiles

    @property
    @abstractmethod
    def parameters(self) -> type:
        """The parameter dataclass of the model: the fields of p(z), then ``components``."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of its own fields."""
        return tuple(f.name for f in fields(self.parameters) if f.name != "components")

    @property
    def held(self) -> tuple[float, ...] | None:
        """Prior probabilities that are held, (K,); None where there are none."""
        return None

    # ---- rows

    @property
    def width(self) -> int:
        """How many covariates it reads: the last columns of each row."""
        return 0

    @property
    def beside(self) -> int:
        """How many columns of a row a family does not see: covariates, and what z may be."""
        return self.width + self.labelled

    def seen(self, x: Any) -> Any:
        """What a family sees of rows."""
        return apart(x, self.beside)[0]

    def seen_beside(self, x: Any) -> Array:
        """The columns of rows (n, d) that a family does not see."""
        return apart(x, self.beside)[1]

    def barred(self, x: Any) -> Array | None:
        """0 for what z may be and -inf for what it may not, (K, n); None where nothing is known.

        It is added to log densities.  Where the rows of a run share one z, it is what all of them
        allow.
        """
        if not self.labelled:
            return None
        codes = apart(x, self.beside)[1][:, 0]
        if isinstance(x, Sequences) and not self.in_runs:
            codes = np.bitwise_and.reduceat(codes.astype(np.int64), x.firsts)
        return np.where(members(codes, self.n), 0.0, -np.inf)

    def survey(self, rows: Any) -> Any:
        """What has to be known of its columns in all rows.

        Raises ValueError where these show that they cannot be used.
        """

    def ridge(self, ridge: Ridge, known: Any) -> ConjugatePrior[Any]:
        """The normal prior on its coefficients, as sums that are added to those of the rows.

        known : what `survey` found.

        Raises ValueError for a law that has none.
        """
        raise ValueError(
            f"`prior` is {ridge!r}; a ridge is for the coefficients of gates, and there are none "
            "here: leave it out, or pass an emframe.Gate as what z depends on."
        )

    def each(self, x: Any, weights: Array) -> Array:
        """The weight of each row that a family sees."""
        return weights

    # ---- E and M

    def constants(self, params: Any) -> Array:
        """What a kernel adds to the log density of each component, (K,)."""
        return np.zeros(self.n)

    @abstractmethod
    def posterior(
        self, params: Any, joint: Array, x: Any, weights: Array, work: Workspace
    ) -> BlockPosterior:
        """Bayes' rule for a block.

        Parameters
        ----------
        joint : `constants` and log densities as a kernel lays them out, (K, b) or in tiles; may be
            overwritten.
        x, weights : the rows, or runs, and their frequencies.

        Raises `emframe.Degenerate` for a row that has density 0 whatever z is.
        """

    @abstractmethod
    def given(self, params: Any, log_b: Array, x: Any) -> tuple[Array, Array]:
        """Log density of each row, or run, and p(z | x) of each row that a family sees, (n, K).

        log_b : (n, K) log densities under each component.  What is impossible has -inf and nan.
        """

    @abstractmethod
    def expected(self, sums: Any, params: Any) -> float:
        """E[ log p(z | params) ] summed over rows, nats."""

    def knowing(self, sums: Any, other: Any) -> Any:
        """S, and what `other`, the S of the same rows at other parameters, knows of them."""
        return sums

    @abstractmethod
    def m_step(self, sums: Any, previous: Any) -> dict[str, Array]:
        """The fields that maximise it."""

    @abstractmethod
    def gradient(self, sums: Any, params: Any) -> Array:
        """Gradient of `expected` at `params`, in the coordinates of its fields, (m,)."""

    @abstractmethod
    def nothing(self) -> Any:
        """The sums of no row."""

    def widened(self, sums: Any) -> Any:
        """The sums as if each choice had been made a little more: none is impossible then."""
        return sums

    # ---- starts

    @abstractmethod
    def begun(self, rows: Any, resp: Array) -> dict[str, Array]:
        """The fields at a start, from the shares of components in rows, (n, K)."""

    def begins(
        self, rows: Any, resp: Array, turn: int, rng: np.random.Generator
    ) -> dict[str, Array]:
        """The same, for the start of this number: a latent may begin in several moods in turn."""
        return self.begun(rows, resp)

    def _barred(self, x: Any, _: Array) -> Array | None:
        return self.barred(x)

    def ordered(self, rows: Any, resp: Array, alike: bool) -> Array:
        """Shares (n, K) in the order of components that goes best with what is known of z.

        alike : whether the components may change places, for all are of one family.
        """
        barred = swept(rows, 1 << 16, self._barred) if self.labelled else []
        known = [one for one in barred if one is not None]
        if not known:
            return resp
        allowed = (np.concatenate(known, axis=1) == 0.0).T.astype(float)
        if len(allowed) < len(resp):  # of runs
            allowed = np.repeat(allowed, rows.x.lengths, axis=0)
        if alike:
            from scipy.optimize import (
                linear_sum_assignment,  # not with emframe: few starts are told
            )

            told = allowed / allowed.sum(axis=1, keepdims=True)
            resp = resp[:, linear_sum_assignment(-(told.T @ resp))[1]]
        shares = resp * allowed
        total = shares.sum(axis=1, keepdims=True)
        return np.where(total > 0.0, shares, allowed) / np.where(
            total > 0.0, total, allowed.sum(axis=1, keepdims=True)
        )

    @abstractmethod
    def occupancy(self, params: Any) -> Array:
        """How much each component has in the long run, (K,)."""

    @abstractmethod
    def doubled(self, twice: Any, times: Order) -> dict[str, Array]:
        """The fields where component k of `twice` is one of `times[k]` that are alike."""

    def alike(self, other: Latent) -> bool:
        """Whether it is the same law, with more components or fewer."""
        return type(self) is type(other)

    # ---- after a fit

    @abstractmethod
    def surprise(self, params: Any, joint: Array, x: Any, weights: Array, work: Workspace) -> float:
        """-log of the posterior probability of the likeliest z, summed over rows, nats."""

    @abstractmethod
    def log_prob(self, params: Any, x: Any, hot: Array) -> float:
        """log p(z | params) summed over rows, for one-hot z (n, K)."""

    def log_prior(self, params: Any, x: Any) -> Array:
        """log p(z) of each row, or run, that has a z of its own, (n, K)."""
        return np.broadcast_to(self.constants(params), (len(x), self.n))

    @abstractmethod
    def sample(self, params: Any, n: int, rng: np.random.Generator, x: Any = None) -> Order:
        """z of n rows, (n,); where rows come in runs, of one run.

        x : (n, d) rows whose covariates they are drawn at, where it reads any.
        """

    def undetermined(self, sums: Any) -> str:
        """What the data say nothing of, in a sentence; empty for nothing."""
        return ""

    # ---- variants of EM

    @abstractmethod
    def tempered(
        self, params: Any, log_b: Array, x: Any, weights: Array, beta: float
    ) -> BlockPosterior:
        """p(x, z)^beta in the place of p(x, z); one-hot for beta = inf.

        log_b : (n, K).  `loglik` is the objective F, `entropy` its second term, H / beta.
        """

    @abstractmethod
    def drawn(
        self, params: Any, log_b: Array, x: Any, weights: Array, rng: np.random.Generator
    ) -> BlockPosterior:
        """z drawn from its posterior, once for each of a row's whole weight.

        The surprise of what was drawn, -log p(z | x), is in the place of the entropy.
        """

    # ---- parameters

    def build(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Its fields from those a user gives; ValueError for one that is missing."""
        missing = [name for name in self.fields if name not in values]
        if missing:
            raise ValueError(f"a start has to give `{missing[0]}`.")
        return {name: np.array(values[name], dtype=float) for name in self.fields}

    def problem(self, params: Any) -> str | None:
        """What is wrong with parameters beyond what their spaces say, or None."""
        return None

    def settled(self, rows: Any) -> Latent:
        """The same law with what it leaves to the data read off them."""
        return self
