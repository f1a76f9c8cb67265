"""EM as the preconditioner of a quasi-Newton ascent.

At a point x, in unconstrained coordinates, one E-step gives three things without another pass over
the data: the gradient g of Q, which by Fisher's identity is that of the objective; the EM step
f = M(x) - x; and g . f / 2, about what that step will gain.  EM is itself a preconditioned gradient
ascent, f = P g (Xu and Jordan 1996, Neural Computation 8, 129; Salakhutdinov, Roweis and
Ghahramani 2003), and P is an excellent preconditioner.  So limited-memory BFGS is run with P as its
initial inverse Hessian: for each move s the fall y of the gradient is kept, and with it h = P y,
the fall of the EM step (compare Jamshidian and Jennrich 1997, JRSS B 59, 569).

Where the objective curves upwards, as near the saddle that equal components make, there is no
maximum to model, and the EM step is stretched instead (Salakhutdinov and Roweis 2003, ICML).

The objective cannot fall: a quasi-Newton point is taken only where it rises enough; otherwise the
EM step is, which cannot lower it, and the memory is dropped.

One known case: with an empty memory the direction is f, and the method is EM.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from emframe.core.coordinates import Coordinates, Vector
from emframe.core.expectation import Degenerate, Expectation, objective
from emframe.core.methods import Expect, Move
from emframe.core.tolerance import NOISE, RESOLUTION, within


class Memory(NamedTuple):
    """The last m moves, oldest first, one to a row."""

    s: Vector  # (m, p)  the moves
    y: Vector  # (m, p)  the falls of the gradient along them
    h: Vector  # (m, p)  the falls of the EM step: h = P y
    inverse: Vector  # (m, m)  of R, the upper triangle of s y'

    def __bool__(self) -> bool:
        return len(self.s) > 0

    def with_move(self, s: Vector, y: Vector, h: Vector, most: int) -> Memory:
        """One move more, and the oldest forgotten where there are too many.

        R gets a column c and a corner r, and its inverse the column -R^-1 c / r and the corner
        1 / r; forgetting takes the first row and column off both.
        """
        m, last = len(self.s), 1.0 / (s @ y)
        inverse = np.zeros((m + 1, m + 1))
        if m > 0:
            inverse[:m, :m] = self.inverse
            inverse[:m, m] = self.inverse @ (self.s @ y) * -last
        inverse[m, m] = last
        first = max(0, m + 1 - most)
        return Memory(
            np.concatenate((self.s[first:], s[None])),
            np.concatenate((self.y[first:], y[None])),
            np.concatenate((self.h[first:], h[None])),
            inverse[first:, first:],
        )

    def direction(self, g: Vector, f: Vector) -> Vector:
        """H g, where H is the BFGS inverse Hessian that starts from H0 = P: H0 g = f, H0 y = h.

        With R the upper triangle of s y' and D its diagonal, in the compact form of Byrd, Nocedal
        and Schnabel (1994, Math. Prog. 63, 129, eq. 2.21):

            a = R^-1 s g,    r = f - h' a,    H g = r + s' R^-T (D a - y r)
        """
        a = self.inverse @ (self.s @ g)
        r = f - a @ self.h
        return r + ((a / self.inverse.diagonal() - self.y @ r) @ self.inverse) @ self.s


class Outlook(NamedTuple):
    """What is known at a point, and what came before it: the state between moves."""

    x: Vector
    em_params: Any  # where the EM step leads
    em_x: Vector  # its coordinates
    f: Vector
    g: Vector
    direction: Vector
    memory: Memory
    objective: float
    gained: float  # objective here, less that of the start
    moves: int
    accelerating: bool
    stretch: float  # of the EM step, where the objective curves upwards
    before: float  # em_gain where the last move began, if that was the EM step; else nan
    em_gain: float  # what an EM step gains, nats: at least this, and at most twice as much

    @property
    def remaining(self) -> float:
        """About what all further steps can gain, nats.

        No less than fifty EM steps can gain, for near a maximum each gains less than the one
        before it.  What lies beyond is the model's to say, or after an EM step EM's own: where
        each leaves the share c of the error, and so c^2 of the gain, ``em_gain / (1 - c)``.  EM
        is not taken to be slower than 1 - 1e-6.
        """
        if self.memory:
            ahead = 0.5 * float(self.g @ self.direction)
        else:
            shrinks = 0.0 < self.em_gain < self.before
            c = math.sqrt(self.em_gain / self.before) if shrinks else 1.0
            ahead = self.em_gain / max(1.0 - c, 1e-6)
        return max(100.0 * self.em_gain, ahead, 0.0)

    @property
    def is_bound(self) -> bool:
        """Whether EM moved here and answers for what remains: no model of it could be wrong."""
        return not self.memory and self.before > 0.0


@dataclass(frozen=True)
class QuasiNewton:
    """EM-preconditioned limited-memory BFGS, monotone by construction.

    Parameters
    ----------
    coordinates : how the model's parameters are read as vectors.
    memory : number of pairs kept.
    patience : plain EM goes on until its predicted gain is below this share of the gain so far;
        while EM makes large strides it is the better judge of the basin.
    most_em : it goes on for no more moves than this, for near a saddle its strides are small and
        growing, and it would crawl there for thousands.
    quick : where an EM step leaves no more than this share of what it had to gain, the next move
        is an EM step again; no model of it is worth a trial.
    """

    coordinates: Coordinates
    memory: int = 20
    patience: float = 0.005
    most_em: int = 12
    quick: float = 0.02

    def start(self, q: Expectation[Any]) -> Outlook:
        x = self.coordinates.to_vector(q.at)
        return self._look(q, x, objective=objective(q), gained=0.0, moves=0, accelerating=False)

    def advance(
        self, expect: Expect[Any], q: Expectation[Any], state: Outlook
    ) -> tuple[Move[Any], Outlook]:
        # The whole quasi-Newton step first, then a shorter one, then EM's own.
        length, cost = 1.0, 0
        while (state.memory or state.stretch > 1.0) and length > 0.0:
            trial = self.coordinates.expect(expect, q, state.x + length * state.direction)
            cost += trial is not None
            slope = length * float(state.g @ state.direction)
            rise = -math.inf if trial is None else objective(trial) - state.objective
            if trial is not None and rise >= 1e-4 * max(0.5 * slope, state.em_gain):
                x = self.coordinates.to_vector(trial.at)
                return self._arrive(trial, x, state, cost, is_em=False)
            length = _interpolate(slope, rise) if length == 1.0 else 0.0
        state = state._replace(memory=_nothing(len(state.x)), stretch=1.0)
        new = expect(state.em_params)
        return self._arrive(new, state.em_x, state, cost + 1, is_em=True)

    def _arrive(
        self, new: Expectation[Any], x: Vector, old: Outlook, cost: int, *, is_em: bool
    ) -> tuple[Move[Any], Outlook]:
        """The move from `old` to `new`, at x, and the outlook there with the pair it taught."""
        reached = objective(new)
        gain = reached - old.objective
        try:
            here = self._look(
                new,
                x,
                objective=reached,
                gained=old.gained + gain,
                moves=old.moves + 1,
                accelerating=old.accelerating,
                before=old.em_gain if is_em else math.nan,
            )
        except Degenerate as error:  # what comes after it is no fault of the move's
            error.reached = Move(new, is_em=is_em, remaining=math.inf, cost=cost)
            raise
        is_quick = is_em and here.em_gain <= self.quick * old.em_gain
        if here.accelerating and not is_quick:
            here = self._learn(old, here, math.inf if is_em else gain)
        gain_is_noise = here.em_gain <= within(NOISE, reached) * 1e-3
        remaining = 0.0 if gain_is_noise else here.remaining
        move = Move(new, is_em=is_em, remaining=remaining, cost=cost, is_bound=here.is_bound)
        return move, here

    def _learn(self, old: Outlook, here: Outlook, gain: float) -> Outlook:
        """The outlook with the direction that the moves so far suggest.

        gain : of the last move; inf where that was EM's own.

        Where the objective curves upwards along the last move, as it does on leaving a saddle,
        that is no model of a maximum; then the EM step is stretched, twice as far each time.  And
        where EM is fast, a model whose move gained less than EM was sure to is a model of
        somewhere else: it is forgotten.
        """
        s, y, h = here.x - old.x, old.g - here.g, old.f - here.f
        along = float(s @ y)
        tiny = 1e-10 * float(np.abs(s) @ np.abs(y))  # the same in any units of the columns
        if along < -tiny:
            stretch = 2.0 * old.stretch
            return here._replace(stretch=stretch, direction=stretch * here.f)
        # y . h / s . y is the share of the way along s that one EM step goes.
        if along > tiny and gain < min(float(y @ h) / along, 1.0) * old.em_gain:
            return here
        safe = along > tiny and float(y @ h) > 0.0
        memory = old.memory.with_move(s, y, h, self.memory) if safe else old.memory
        direction = memory.direction(here.g, here.f)
        if float(here.g @ direction) <= 0.0:
            return here
        return here._replace(memory=memory, direction=direction)

    def _look(
        self,
        q: Expectation[Any],
        x: Vector,
        *,
        objective: float,
        gained: float,
        moves: int,
        accelerating: bool,
        before: float = math.nan,
    ) -> Outlook:
        """What is known at `q`, whose point is x, with what came before it."""
        em_params = q.maximize()
        em_x = self.coordinates.to_vector(em_params)
        f, g = em_x - x, self.coordinates.gradient(q)
        em_gain = _gain(q, em_params, 0.5 * float(g @ f))
        settled = em_gain <= self.patience * gained or moves >= self.most_em
        return Outlook(
            x,
            em_params,
            em_x,
            f,
            g,
            direction=f,
            memory=_nothing(len(x)),
            objective=objective,
            gained=gained,
            moves=moves,
            accelerating=accelerating or (moves > 0 and settled),
            stretch=1.0,
            before=before,
            em_gain=em_gain,
        )


def _gain(q: Expectation[Any], em_params: Any, along: float) -> float:
    """What the M-step gains in Q: half its slope along the step, which has digits where Q has none.

    On data close to singular the gradient may have none itself, and point down where the step leads
    up.  There Q is asked, which then tells the two apart, or says that there is nothing to gain.
    """
    if along > 0.0:
        return along
    here = q.value(q.at)
    rise = q.value(em_params) - here
    return rise if rise > within(RESOLUTION, here) else 0.0


@lru_cache(maxsize=16)
def _nothing(p: int) -> Memory:
    """No moves among points of p coordinates."""
    empty = np.zeros((0, p))
    return Memory(empty, empty, empty, np.zeros((0, 0)))


def _interpolate(slope: float, rise: float) -> float:
    """Where the parabola with this slope at 0 and this rise at 1 peaks, within [0.1, 0.5]."""
    if not math.isfinite(rise):
        return 0.25
    return min(max(0.5 * slope / (slope - rise), 0.1), 0.5) if slope > rise else 0.5
