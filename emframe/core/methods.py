"""Ways to move from one Q to the next.  Plain EM is the first; an acceleration is another.

A method holds its settings; what it remembers between steps is a state that the loop hands back
to it.  So a run can be stopped anywhere and taken up again, and nothing is hidden in an object.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from emframe.core.expectation import Expectation, objective
from emframe.core.tolerance import NOISE, within

P = TypeVar("P")
Expect = Callable[[P], Expectation[P]]


@dataclass(frozen=True)
class Move(Generic[P]):
    """Where a method went: the Q there, and what it cost."""

    expectation: Expectation[P]
    is_em: bool  # reached by maximize() alone, so that Q must have risen
    remaining: float  # estimated gain of the objective still ahead, nats; inf while unknown
    cost: int = 1  # E-steps spent, rejected trials included
    is_bound: bool = False  # fifty EM steps gain no more than `remaining`, whatever came before


class Method(Protocol):
    """Accepts one point after another; none may lower the objective of an honest model."""

    def start(self, q: Expectation[Any]) -> Any:
        """The state before the first move."""

    def advance(
        self, expect: Expect[Any], q: Expectation[Any], state: Any
    ) -> tuple[Move[Any], Any]:
        """One accepted move from `q`, and the state for the next."""


@dataclass(frozen=True)
class EM:
    """Plain EM: take Q, go to its maximiser.

    The gain still ahead is Aitken's: when gains shrink by the ratio r from step to step, what
    is left is ``gain * r / (1 - r)`` (Boehning et al. 1994, Ann. Inst. Statist. Math. 46, 373).
    The state is the last gain.
    """

    def start(self, q: Expectation[Any]) -> float:
        return math.nan

    def advance(
        self, expect: Expect[Any], q: Expectation[Any], state: float
    ) -> tuple[Move[Any], float]:
        new = expect(q.maximize())
        gain = objective(new) - objective(q)
        remaining = aitken(state, gain, noise=within(NOISE, objective(q)))
        return Move(new, is_em=True, remaining=remaining), gain


def aitken(previous: float, gain: float, noise: float = 0.0) -> float:
    """Gain still ahead, in nats, from two successive gains; inf where they do not shrink.

    A gain that is lost in the objective's `noise` is a fixed point: nothing is ahead.
    """
    if abs(gain) <= noise:
        return 0.0
    if not 0.0 < gain < previous:
        return math.inf
    ratio = gain / previous
    return gain * ratio / (1.0 - ratio)
