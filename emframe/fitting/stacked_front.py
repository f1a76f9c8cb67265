"""Many ascents side by side: where each start is, where it tries to go next, and what that taught.

A pass asks for a trial of every start, looks at all, takes those that rise enough, learns from
them, and aims anew.  A trial that does not is followed by a shorter one, and that by the EM step
with the memory begun anew; where the objective curves upwards the EM step is stretched.

One known case: while no start is `accelerating` every trial is an EM step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from emframe.fitting.stacked_ends import StartStack
from emframe.fitting.stacked_memory import directions, dots, shorter, with_pair
from emframe.models.stack import Looks, Mask, Order
from emframe.spaces import Array


@dataclass(frozen=True)
class Rules:
    """How starts move, and when they leave."""

    plain: int = 1  # EM steps of all starts before anything else
    patience: float = 0.02  # EM goes on until it gains less than this share of the gain so far
    latest: int = 8  # and for no more passes than this
    memory: int = 10  # pairs that each start keeps
    quick: float = 0.02  # EM that leaves this share of what it had to gain needs no model
    most: int = 150  # passes
    tol: float = 1e-5  # nats ahead, with which a start has arrived
    last: float = 1e-10  # the same for the one that is to be the best
    bound: float = 30.0  # times its next gain, which a start is given to reach the best
    late: float = 8.0  # the same once the best has arrived
    strict: int = 12  # passes after which suspect starts leave
    check: int = 2  # who leaves is asked at every such pass
    few: int = 3  # starts that, where the best has arrived, are too few to wait for
    tail: int = 4  # passes that they get


class Front(NamedTuple):
    """Where all starts are, and what is known there: a row to each start."""

    start: Order  # (S,) which it is
    at: Any  # the points
    em: Any  # where the EM steps lead
    x: Array  # (S, p)
    f: Array  # (S, p)  the EM steps
    g: Array  # (S, p)  the gradients
    direction: Array  # (S, p)
    s: Array  # (S, m, p)  the moves so far, oldest first; rows of 0 for none
    y: Array  # (S, m, p)  the falls of the gradient along them
    h: Array  # (S, m, p)  the falls of the EM step
    objective: Array  # (S,)
    loglik: Array  # (S,)
    first: Array  # (S,) objective where it began
    gain: Array  # (S,) of the last move
    em_gain: Array  # (S,) what an EM step gains
    slope: Array  # (S,) along the direction
    stretch: Array  # (S,) of the EM step
    length: Array  # (S,) of the trial: 0 for the EM step
    accelerating: Mask
    steps: Order  # (S,) E-steps so far

    def compress(self, stack: StartStack, stay: Order) -> Front:
        """The starts that stay."""
        kept = {
            name: stack.take(value, stay) if name in ("at", "em") else value[stay]
            for name, value in zip(self._fields, self, strict=True)
        }
        return Front(**kept)


def begun(
    stack: StartStack, index: Order, at: Any, looks: Looks, first: Array, gain: Array, steps: int
) -> Front:
    """The front at points that EM alone has led to."""
    x, n = stack.vectors(at), len(index)
    f, none = looks.em_x - x, np.zeros((n, 0, x.shape[1]))
    em_gain = np.maximum(0.5 * dots(looks.gradient, f), 0.0)
    return Front(
        index,
        at,
        looks.em,
        x,
        f,
        looks.gradient,
        direction=f,
        s=none,
        y=none,
        h=none,
        objective=looks.objective,
        loglik=looks.log_likelihood,
        first=first,
        gain=gain,
        em_gain=em_gain,
        slope=2.0 * em_gain,
        stretch=np.ones(n),
        length=np.zeros(n),
        accelerating=np.zeros(n, dtype=bool),
        steps=np.full(n, steps),
    )


def tried(stack: StartStack, old: Front) -> tuple[Any, Array, Array]:
    """Points to look at, their coordinates, and how far along its direction each went.

    A start whose trial is outside its space makes its EM step, of length 0.
    """
    length = old.length
    if not length.any():
        return old.em, old.x + old.f, length
    x = old.x + length[:, None] * old.direction
    points, inside = stack.at(old.at, x)
    goes = inside & (length > 0.0)
    if goes.all():
        return points, x, length
    x = np.where(goes[:, None], x, old.x + old.f)
    return stack.choose(goes, points, old.em), x, np.where(goes, length, 0.0)


def moved(
    stack: StartStack,
    old: Front,
    trial: Any,
    x: Array,
    looks: Looks,
    ok: Mask,
    rise: Array,
) -> Front:
    """The front after the moves that are taken; others stay where they were."""
    f, g, steps = looks.em_x - x, looks.gradient, old.steps + 1
    em, objective, loglik, gain = looks.em, looks.objective, looks.log_likelihood, rise
    if not ok.all():
        o = ok[:, None]
        trial = stack.choose(ok, trial, old.at)
        em = stack.choose(ok, em, old.em)
        x, f, g = np.where(o, x, old.x), np.where(o, f, old.f), np.where(o, g, old.g)
        objective = np.where(ok, objective, old.objective)
        loglik, gain = np.where(ok, loglik, old.loglik), np.where(ok, rise, old.gain)
    return old._replace(
        at=trial, em=em, x=x, f=f, g=g, objective=objective, loglik=loglik, gain=gain,
        em_gain=np.maximum(0.5 * dots(g, f), 0.0), steps=steps,
    )  # fmt: skip


def aimed(
    rules: Rules,
    here: Front,
    old: Front,
    ok: Mask,
    is_em: Mask,
    length: Array,
    rise: Array,
    passes: int,
) -> Front:
    """The front with the direction that the moves so far suggest, and the length to try."""
    settled = here.em_gain <= rules.patience * (here.objective - here.first)
    accelerating = here.accelerating | settled | (passes >= rules.latest)
    s, y, h = here.x - old.x, old.g - here.g, old.f - here.f
    along, ahead = dots(s, y), dots(y, h)
    tiny = 1e-10 * np.einsum("sp,sp->s", np.abs(s), np.abs(y))
    learns = ok & accelerating & ~(is_em & (here.em_gain <= rules.quick * old.em_gain))
    up = learns & (along < -tiny)
    sure = np.minimum(ahead / np.where(along > tiny, along, 1.0), 1.0) * old.em_gain
    weak = ~is_em & (along > tiny) & (rise < sure)
    pair = learns & ~up & ~weak & (along > tiny) & (ahead > 0.0)
    # A move that failed at full length is tried shorter, with what is known; one that fails
    # there is EM's next, and the memory begins anew.
    again = ~ok & ~is_em & (length == 1.0)
    keeps = np.where(ok, learns & ~up & ~weak & ~is_em, again)
    s, y, h = with_pair((old.s, old.y, old.h), keeps, pair, (s, y, h), rules.memory)
    direction, model = directions(here.g, here.f, s, y, h)
    slope = dots(here.g, direction)
    useful = model & (slope > 0.0)
    if not useful[keeps].all():
        gone = keeps & ~useful & ok
        s, y, h = (np.where(gone[:, None, None], 0.0, one) for one in (s, y, h))
    stretch = np.where(up, 2.0 * old.stretch, np.where(again, old.stretch, 1.0))
    far = ~useful & (stretch > 1.0)
    direction = np.where(useful[:, None], direction, stretch[:, None] * here.f)
    slope = np.where(useful, slope, stretch * 2.0 * here.em_gain)
    whole = np.where(useful | far, 1.0, 0.0)
    tries = np.where(again, shorter(old.slope, rise), np.where(ok | is_em, whole, 0.0))
    return here._replace(
        s=s, y=y, h=h, direction=direction, slope=slope, stretch=stretch, length=tries,
        accelerating=accelerating,
    )  # fmt: skip
