"""SQUAREM: two EM steps show how EM slows down, and a third goes where they were heading.

With r = M(x) - x and v = (M(M(x)) - M(x)) - r, along a direction where EM shrinks its error by the
ratio c the step r shrinks by c too, so v = (c - 1) r and the limit is reached by

    x + 2 a r + a^2 v,     a = |r| / |v| = 1 / (1 - c)

applied where both of the steps that c comes from are squared (Varadhan and Roland 2008, Scand. J.
Statist. 35, 335, scheme S3, eq. 10; its a is our -a).  One EM step from there steadies the other
directions.  The point counts only where the objective is no lower than it was; otherwise the
second EM step is taken, so that nothing can fall.

One known case: where EM converges by one ratio in all directions, one cycle reaches the limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from emframe.core.coordinates import Coordinates, Vector
from emframe.core.expectation import Degenerate, Expectation, objective
from emframe.core.methods import Expect, Move, aitken
from emframe.core.tolerance import NOISE, within

# The longest extrapolation allowed at first, and the factor by which it grows when it is reached
# and shrinks when it fails: those of the authors' package.
_LONGEST, _GROWTH = 1.0, 4.0
# Where EM does not slow down, nothing is known of its rate; it is taken for 1 - 1e-6.  Nor is it
# ever taken to be faster than 1 - 1 / 101, at which all that is ahead is fifty times the last gain:
# near a maximum no fifty EM steps gain more.
_SLOWEST, _FASTEST = 1e6, 101.0


class Cycle(NamedTuple):
    """Where the cycle stands: before its first EM step, or between the first and the second."""

    behind: Vector | None  # where the first EM step came from; None before it
    longest: float  # extrapolation allowed
    slowness: float  # 1 / (1 - c): the last, or half of the one before; nan while unknown


@dataclass(frozen=True)
class Squarem:
    """Squared extrapolation, monotone by construction: three E-steps a cycle.

    Parameters
    ----------
    coordinates : how the model's parameters are read as vectors.

    The gain still ahead is estimated as by `aitken`, from the last EM step's gain and the slowest
    ratio that the recent cycles saw.
    """

    coordinates: Coordinates

    def start(self, q: Expectation[Any]) -> Cycle:
        return Cycle(None, _LONGEST, math.nan)

    def advance(
        self, expect: Expect[Any], q: Expectation[Any], state: Cycle
    ) -> tuple[Move[Any], Cycle]:
        params, behind = q.maximize(), state.behind
        x = self.coordinates.to_vector(q.at)
        if behind is None:
            return _em(q, expect(params), state), state._replace(behind=x)
        r = x - behind
        v = self.coordinates.to_vector(params) - x - r
        a = _length(r, v)
        seen = min(a, _SLOWEST) if float(r @ v) < 0.0 else _SLOWEST
        # Nothing is larger than nan, so the first cycle's own ratio counts alone.
        slowness = max(seen, _FASTEST, state.slowness / 2.0)
        a = min(max(a, 1.0), state.longest)
        at_limit = a == state.longest
        on = Cycle(None, state.longest * _GROWTH if at_limit else state.longest, slowness)
        cost = 0
        if a > 1.0:
            trial = self.coordinates.expect(expect, q, behind + 2.0 * a * r + a * a * v)
            steady = None if trial is None else self._em_step(expect, trial)
            cost = (trial is not None) + (steady is not None)
            if trial is not None and steady is not None and objective(steady) >= objective(q):
                return replace(_em(trial, steady, on), is_em=False, cost=cost), on
            on = on._replace(longest=state.longest / _GROWTH if at_limit else state.longest)
        move = _em(q, expect(params), on)
        return replace(move, cost=cost + 1), on

    def _em_step(self, expect: Expect[Any], q: Expectation[Any]) -> Expectation[Any] | None:
        """One EM step from a trial point; None where there is none to take."""
        try:
            params = q.maximize()
        except Degenerate:
            return None
        return self.coordinates.expect(expect, q, self.coordinates.to_vector(params))


def _em(q: Expectation[Any], new: Expectation[Any], state: Cycle) -> Move[Any]:
    """The EM step from `q` to `new`, with the gain ahead at the ratio that the cycles saw."""
    gain, shrinks = objective(new) - objective(q), (1.0 - 1.0 / state.slowness) ** 2
    remaining = aitken(gain / shrinks, gain, noise=within(NOISE, objective(q)))
    return Move(new, is_em=True, remaining=remaining)


def _length(r: Vector, v: Vector) -> float:
    """|r| / |v|; inf where EM does not slow down at all."""
    bend = math.sqrt(float(v @ v))
    return math.sqrt(float(r @ r)) / bend if bend > 0.0 else math.inf
