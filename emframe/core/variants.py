"""Variants of EM that need nothing but Q: other M-steps, and E-steps on a part of the rows.

EM is coordinate ascent on one function of two things, the parameters and a distribution q of z
(Neal and Hinton 1998):

    F(q, theta) = E_q[ log p(x, z | theta) ] + entropy(q)

The E-step sets q to the posterior, where F is the log-likelihood; the M-step raises F in theta.
Any other order or size of steps climbs F as well: an M-step one block of parameters at a time
(`conditional`), or an E-step on one block of rows at a time (`Incremental`).

One known case: with one block of either kind the variant is EM.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from emframe.core.expectation import Expectation, objective
from emframe.core.methods import Expect, Move, aitken
from emframe.core.tolerance import NOISE, within

PartialStep = Callable[[Expectation[Any], Any], Any]
"""``step(q, params)`` gives parameters at which Q is no lower than at `params`."""


@dataclass(frozen=True)
class InTurn:
    """A Q whose M-step is a sequence of partial ones, each from where the last one left.

    Expectation conditional maximisation (Meng and Rubin 1993, Biometrika 80, 267), where each
    step maximises Q over some parameters with the others held; generalised EM, where each step
    only raises it.  Promises `Contract.GENERALISED`, so the objective never falls.
    """

    q: Expectation[Any]
    steps: Sequence[PartialStep]

    @property
    def at(self) -> Any:
        return self.q.at

    @property
    def loglik(self) -> float:
        return self.q.loglik

    @property
    def entropy(self) -> float:
        return self.q.entropy

    @property
    def log_prior(self) -> float:
        """That of the Q inside."""
        return objective(self.q) - self.q.loglik

    def value(self, params: Any) -> float:
        return self.q.value(params)

    def maximize(self) -> Any:
        """Every partial step in turn."""
        params = self.q.at
        for step in self.steps:
            params = step(self.q, params)
        return params

    def __add__(self, other: Any) -> InTurn:
        inner = other.q if isinstance(other, InTurn) else other
        return InTurn(self.q + inner, self.steps)


def conditional(expect: Expect[Any], steps: Sequence[PartialStep]) -> Expect[Any]:
    """The E-step whose Q is maximised by these partial steps, one after another."""
    return lambda params: InTurn(expect(params), steps)


@dataclass(frozen=True)
class Patchwork:
    """F(q, theta) where q was set block by block, each block at parameters of its own.

    Its ``loglik`` is F, a lower bound of the log-likelihood: they agree where all blocks are at
    `at`.  The Qs of the blocks have to be dataclasses with a field `at`, on which nothing but
    their addition depends.
    """

    at: Any
    parts: tuple[Any, ...]  # Q of each block of rows, at its own parameters

    @property
    def loglik(self) -> float:
        return self.value(self.at) + self.entropy

    @property
    def entropy(self) -> float:
        return sum(q.entropy for q in self.parts)

    @property
    def whole(self) -> Any:
        """The sum of the Qs: what is lost in the rounding of all rows is not seen in a block."""
        return reduce(add, (dataclasses.replace(q, at=self.at) for q in self.parts))

    def value(self, params: Any) -> float:
        return float(self.whole.value(params))

    def maximize(self) -> Any:
        return self.whole.maximize()

    def __add__(self, other: Patchwork) -> Patchwork:
        if other.at is not self.at:
            raise ValueError("patchworks add only where they are read at the same parameters")
        return Patchwork(self.at, self.parts + other.parts)

    def refreshed(self, index: int, expect: Expect[Any]) -> Patchwork:
        """The same with one block's q set to its posterior at `at`: F rises."""
        new = expect(self.at)
        return Patchwork(self.at, (*self.parts[:index], new, *self.parts[index + 1 :]))


@dataclass(frozen=True)
class Incremental:
    """Incremental EM: after each block's E-step an M-step on all (Neal and Hinton 1998, eq. 9).

    A move is one sweep over the blocks, which is the work of one E-step.  Promises that F never
    falls; the log-likelihood may, for a step.

    Parameters
    ----------
    blocks : the E-step of each block of rows.
    """

    blocks: Sequence[Expect[Any]]

    def expect(self, params: Any) -> Patchwork:
        """The start: every block at the same parameters, where F is the log-likelihood."""
        return Patchwork(params, tuple(expect(params) for expect in self.blocks))

    def start(self, q: Expectation[Any]) -> float:
        return math.nan

    def advance(
        self, expect: Expect[Any], q: Expectation[Any], state: float
    ) -> tuple[Move[Any], float]:
        assert isinstance(q, Patchwork)
        new: Patchwork = q
        for index, block in enumerate(self.blocks):
            new = new.refreshed(index, block)
            new = Patchwork(new.maximize(), new.parts)
        gain = objective(new) - objective(q)
        remaining = aitken(state, gain, noise=within(NOISE, objective(q)))
        return Move(new, is_em=False, remaining=remaining), gain
