"""The ends of starts that climbed together: why each left, how high it was, and where.

    arrived     hardly anything was gained, and hardly anything is left to gain; of the highest
                nothing to speak of
    joined      an arrived start is as high to 0.01 nats, and hardly anything is ahead: found again
    left        the best is out of its reach, were it to gain many times what its next step does
    suspect     its point is an artefact of an unbounded likelihood, and another's is not
    degenerate  no EM step can be made from where it is
    beyond      its components became too small for the form of the stack: on in the exact one
    stalled     an EM step lowered its objective by rounding: nothing is left that could be seen
    cap         the passes, or the time, came to an end
    interrupted the keyboard ended the climb

One known case: of a single start that climbs to its end, `ahead` is below the tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from math import inf
from typing import Any, NamedTuple, Protocol

import numpy as np

from emframe.models.stack import Begun, Looks, Mask, Order
from emframe.spaces import Array

Suspect = Callable[[Any], str | bool]
"""``suspect(params)``: whether the parameters of one start look like an artefact, best in words."""
Stop = Callable[[], bool]
"""``stop()``: whether the time is up."""


class StartStack(Protocol):
    """Many points of one model, and what it takes to move them; see `MixtureStack`."""

    def join(self, each: Sequence[Any], /) -> Any: ...
    def one(self, points: Any, start: int, /) -> Any: ...
    def take(self, points: Any, starts: Order, /) -> Any: ...
    def choose(self, which: Mask, points: Any, others: Any, /) -> Any: ...
    def vectors(self, points: Any, /) -> Array: ...
    def at(self, like: Any, x: Array, /) -> tuple[Any, Mask]: ...
    def together(self, parts: Sequence[Any], /) -> Any: ...
    def look(self, points: Any, *, slopes: bool = True) -> Looks: ...


class Supply(StartStack, Protocol):
    """A stack that knows where to start."""

    @property
    def is_given(self) -> bool: ...

    def starts(self, n: int, rng: np.random.Generator, first: int = 0) -> Begun: ...
    def moves(self, params: Any, n: int, rng: np.random.Generator) -> Begun: ...


class Ending(Enum):
    """Why a start left the stack."""

    ARRIVED = "arrived"
    JOINED = "joined"
    LEFT = "left"
    SUSPECT = "suspect"
    DEGENERATE = "degenerate"
    BEYOND = "beyond"
    STALLED = "stalled"
    CAP = "cap"
    INTERRUPTED = "interrupted"

    @property
    def is_found(self) -> bool:
        """Whether it ended at an optimum, to the digits that tell optima apart."""
        return self in (Ending.ARRIVED, Ending.JOINED)


def of_unsound(stack: StartStack) -> Ending:
    """What becomes of a start of which a pass of the stack is not sound."""
    return Ending.DEGENERATE if getattr(stack, "exact", None) is None else Ending.BEYOND


class Place(NamedTuple):
    """One point among many: most ends are never looked at."""

    stack: StartStack
    points: Any
    start: int


@dataclass(frozen=True)
class StackedEnd:
    """Where a start left the stack."""

    index: int  # which start it was
    ending: Ending
    objective: float  # nats; -inf where it never had one
    log_likelihood: float
    n_steps: int  # E-steps that it took part in
    ahead: float = inf  # about what it could still gain, nats
    why: str = ""  # what degenerated, or looks like an artefact
    place: Place | None = field(default=None, repr=False, compare=False)

    @cached_property
    def params(self) -> Any:
        """The parameters of that start alone, frozen; None where it never had a point."""
        return None if self.place is None else self.place.stack.one(*self.place[1:])
