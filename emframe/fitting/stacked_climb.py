"""Many starts climb together: for each EM-preconditioned quasi-Newton steps, all in one pass.

Each start moves as `emframe.core.acceleration` describes, by its own gradient, EM step and pairs:
the formulas there with one axis more.  A pass is one E-step of all that are still on the way; what
differs is where each tries to go next.

A start leaves as soon as its end is known or does not matter:

    arrived     hardly anything was gained, and hardly anything is left to gain; of the highest
                nothing to speak of
    joined      an arrived start is as high to 0.01 nats, and hardly anything is ahead: found again
    left        the best is out of its reach, were it to gain many times what its next step does
    suspect     its point is an artefact of an unbounded likelihood, and another's is not
    degenerate  no EM step can be made from where it is
    stalled     an EM step lowered its objective by rounding: nothing is left that could be seen
    cap         the passes, or the time, came to an end
    interrupted the keyboard ended the climb

The objective of a start cannot fall: a point is taken where it rises enough, or by an EM step.

One known case: a single start that never tries more than EM steps makes those of EM.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cache, cached_property
from math import inf
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from emframe.core.tolerance import RESOLUTION
from emframe.models.mixture_stack import Looks
from emframe.spaces import Array

Mask = NDArray[np.bool_]
Order = NDArray[np.intp]
Suspect = Callable[[Any], bool]
"""``suspect(params)``: whether the parameters of one start look like an artefact."""
Stop = Callable[[], bool]
"""``stop()``: whether the time is up."""

JOINED = 0.01  # nats: within this of an arrived start, with no more ahead, a start is where it is
SAME = 1e-3  # nats: what is no reason to call one end better than another
RISE = 1e-4  # of what a step promises, the least that it has to bring


class Ending(Enum):
    """Why a start left the stack."""

    ARRIVED = "arrived"
    JOINED = "joined"
    LEFT = "left"
    SUSPECT = "suspect"
    DEGENERATE = "degenerate"
    STALLED = "stalled"
    CAP = "cap"
    INTERRUPTED = "interrupted"

    @property
    def is_found(self) -> bool:
        """Whether it ended at an optimum, to the digits that tell optima apart."""
        return self in (Ending.ARRIVED, Ending.JOINED)


class Place(NamedTuple):
    """One point among many: most ends are never looked at."""

    stack: Stack
    points: Any
    start: int


@dataclass(frozen=True)
class End:
    """Where a start left the stack."""

    index: int  # which start it was
    ending: Ending
    objective: float  # nats; -inf where it never had one
    log_likelihood: float
    n_steps: int  # E-steps that it took part in
    ahead: float = inf  # about what it could still gain, nats
    why: str = ""  # what degenerated
    place: Place | None = field(default=None, repr=False, compare=False)

    @cached_property
    def params(self) -> Any:
        """The parameters of that start alone, frozen; None where it never had a point."""
        return None if self.place is None else self.place.stack.one(*self.place[1:])


class Stack(Protocol):
    """Many points of one model, and what it takes to move them; see `MixtureStack`."""

    def join(self, each: Sequence[Any], /) -> Any: ...
    def one(self, points: Any, start: int, /) -> Any: ...
    def take(self, points: Any, starts: Order, /) -> Any: ...
    def choose(self, which: Mask, points: Any, others: Any, /) -> Any: ...
    def vectors(self, points: Any, /) -> Array: ...
    def at(self, like: Any, x: Array, /) -> tuple[Any, Mask]: ...
    def together(self, parts: Sequence[Any], /) -> Any: ...
    def look(self, points: Any, *, slopes: bool = True) -> Looks: ...


@dataclass(frozen=True)
class Rules:
    """How starts move, and when they leave."""

    plain: int = 1  # EM steps of all starts before anything else
    patience: float = 0.02  # EM goes on until it gains less than this share of the gain so far
    latest: int = 8  # and for no more passes than this
    memory: int = 6  # pairs that each start keeps
    quick: float = 0.02  # EM that leaves this share of what it had to gain needs no model
    most: int = 150  # passes
    tol: float = 1e-5  # nats ahead, with which a start has arrived
    last: float = 1e-8  # the same for the one that is to be the best
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

    def compress(self, stack: Stack, stay: Order) -> Front:
        """The starts that stay."""
        kept = {
            name: stack.take(value, stay) if name in ("at", "em") else value[stay]
            for name, value in zip(self._fields, self, strict=True)
        }
        return Front(**kept)


def climb(
    stack: Stack,
    points: Any,
    rules: Rules | None = None,
    *,
    floor: float = -inf,
    suspect: Suspect | None = None,
    stop: Stop | None = None,
) -> list[End]:
    """Bring starts to their ends, in the order in which they were given.

    Parameters
    ----------
    points : of all starts, from ``stack.join`` or ``stack.begin``.
    floor : an objective that is known to be reached by an optimum.
    suspect : a cheap test of artefacts; asked of starts that would be the best, and of ends.
    stop : asked before each pass; True ends the climb where it is.

    Ctrl-C ends it as well, and the ends say so; before there is any point it passes through.
    """
    rules = Rules() if rules is None else rules
    ends = _Climb(stack, rules, suspect, floor, stop).run(points)
    return sorted(ends, key=lambda end: end.index)


class _Climb:
    """One climb: what is known of the best so far, and the ends of those who left."""

    def __init__(
        self, stack: Stack, rules: Rules, suspect: Suspect | None, floor: float, stop: Stop | None
    ) -> None:
        self.stack, self.rules, self.suspect, self.stop = stack, rules, suspect, stop
        self.floor, self.best, self.is_reached = floor, floor, floor > -inf
        self.ends: list[End] = []
        self.tail = 0  # checks since few were left that are below the best

    def run(self, points: Any) -> list[End]:
        rules = self.rules
        front = self._plain(points)
        passes, ending = rules.plain, Ending.CAP
        try:
            if front is not None and passes > 1:
                front = self._who_leaves(front, passes)
            while front is not None and passes < rules.most:
                if self.stop is not None and self.stop():
                    break
                front = self._pass(front, passes)
                passes += 1
        except KeyboardInterrupt:  # the last whole pass stands
            ending = Ending.INTERRUPTED
        if front is not None:
            gone = {end.index for end in self.ends}
            rest = np.array([i for i, one in enumerate(front.start) if int(one) not in gone])
            self._leave(front, rest.astype(np.intp), [ending] * len(rest))
        return self.ends

    # ---- EM alone

    def _plain(self, points: Any) -> Front | None:
        """The first EM steps, and the front after them."""
        stack = self.stack
        index: Order = np.arange(len(stack.vectors(points)))
        first = before = np.full(len(index), -inf)
        loglik, at = before, None
        for step in range(self.rules.plain + 1):
            is_last = step == self.rules.plain
            looks = stack.look(points, slopes=is_last)
            ok = looks.sound & (looks.objective >= before)
            if not ok.all():
                self._drop(index, ~ok, at, before, loglik, looks, step + 1)
                stay = np.flatnonzero(ok)
                index, first = index[stay], first[stay]
                if not len(stay):
                    return None
                points = stack.take(points, stay)
                looks = _taken(stack, looks, stay)
                before = before[stay]
            if step == 0:
                first = looks.objective
            if is_last:
                gain = looks.objective - before if step else np.full(len(index), inf)
                return self._front(index, points, looks, first, gain, step + 1)
            at, before, loglik, points = points, looks.objective, looks.log_likelihood, looks.em
        raise AssertionError("the last of the plain steps returns")

    def _drop(
        self,
        index: Order,
        which: Mask,
        at: Any,
        objective: Array,
        loglik: Array,
        looks: Looks,
        steps: int,
    ) -> None:
        """The ends of starts whose EM step led nowhere, at the point before it."""
        for i in map(int, np.flatnonzero(which)):
            place = None if at is None else Place(self.stack, at, i)
            fell = bool(looks.sound[i])
            ending = Ending.STALLED if fell else Ending.DEGENERATE
            value = float(objective[i]), float(loglik[i])
            why = looks.why.get(i, "")
            self.ends.append(End(int(index[i]), ending, *value, steps, why=why, place=place))

    def _front(
        self, index: Order, at: Any, looks: Looks, first: Array, gain: Array, steps: int
    ) -> Front:
        x, n = self.stack.vectors(at), len(index)
        f, none = looks.em_x - x, np.zeros((n, 0, x.shape[1]))
        em_gain = np.maximum(0.5 * _dots(looks.gradient, f), 0.0)
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

    # ---- one pass

    def _pass(self, old: Front, passes: int) -> Front | None:
        """A trial of every start, what it taught, where to try next, and who leaves."""
        stack = self.stack
        trial, tried, length = self._trial(old)
        looks = stack.look(trial)
        is_em = length == 0.0
        rise = np.where(looks.sound, looks.objective, -inf) - old.objective
        enough = RISE * np.maximum(0.5 * length * old.slope, old.em_gain)
        ok = np.where(is_em, looks.sound & (rise >= 0.0), rise >= enough)
        lost = is_em & ~ok
        here = self._moved(old, trial, tried, looks, ok, rise, is_em)
        here = self._aimed(here, old, ok, is_em, length, rise, passes)
        if lost.any():
            rest = self._lost(here, lost, looks)
            if rest is None:
                return None
            here = rest
        if passes % self.rules.check and len(here.start) > 1:
            return here
        return self._who_leaves(here, passes)

    def _trial(self, old: Front) -> tuple[Any, Array, Array]:
        """Points to look at, their coordinates, and how far along its direction each went.

        A start whose trial is outside its space makes its EM step, of length 0.
        """
        stack, length = self.stack, old.length
        if not length.any():
            return old.em, old.x + old.f, length
        x = old.x + length[:, None] * old.direction
        points, inside = stack.at(old.at, x)
        goes = inside & (length > 0.0)
        if goes.all():
            return points, x, length
        x = np.where(goes[:, None], x, old.x + old.f)
        return stack.choose(goes, points, old.em), x, np.where(goes, length, 0.0)

    def _moved(
        self,
        old: Front,
        trial: Any,
        x: Array,
        looks: Looks,
        ok: Mask,
        rise: Array,
        is_em: Mask,
    ) -> Front:
        """The front after the moves that are taken; others stay where they were."""
        f, g, steps = looks.em_x - x, looks.gradient, old.steps + 1
        em, objective, loglik, gain = looks.em, looks.objective, looks.log_likelihood, rise
        if not ok.all():
            o = ok[:, None]
            trial = self.stack.choose(ok, trial, old.at)
            em = self.stack.choose(ok, em, old.em)
            x, f, g = np.where(o, x, old.x), np.where(o, f, old.f), np.where(o, g, old.g)
            objective = np.where(ok, objective, old.objective)
            loglik, gain = np.where(ok, loglik, old.loglik), np.where(ok, rise, old.gain)
        return old._replace(
            at=trial, em=em, x=x, f=f, g=g, objective=objective, loglik=loglik, gain=gain,
            em_gain=np.maximum(0.5 * _dots(g, f), 0.0), steps=steps,
        )  # fmt: skip

    def _aimed(
        self,
        here: Front,
        old: Front,
        ok: Mask,
        is_em: Mask,
        length: Array,
        rise: Array,
        passes: int,
    ) -> Front:
        """The front with the direction that the moves so far suggest, and the length to try."""
        rules = self.rules
        settled = here.em_gain <= rules.patience * (here.objective - here.first)
        accelerating = here.accelerating | settled | (passes >= rules.latest)
        s, y, h = here.x - old.x, old.g - here.g, old.f - here.f
        along, ahead = _dots(s, y), _dots(y, h)
        tiny = 1e-10 * np.einsum("sp,sp->s", np.abs(s), np.abs(y))
        learns = ok & accelerating & ~(is_em & (here.em_gain <= rules.quick * old.em_gain))
        up = learns & (along < -tiny)
        sure = np.minimum(ahead / np.where(along > tiny, along, 1.0), 1.0) * old.em_gain
        weak = ~is_em & (along > tiny) & (rise < sure)
        pair = learns & ~up & ~weak & (along > tiny) & (ahead > 0.0)
        # A move that failed at full length is tried shorter, with what is known; one that fails
        # there is EM's next, and the memory begins anew.
        shorter = ~ok & ~is_em & (length == 1.0)
        keeps = np.where(ok, learns & ~up & ~weak & ~is_em, shorter)
        s, y, h = _with_pair(old, keeps, pair, (s, y, h), rules.memory)
        direction, model = _directions(here.g, here.f, s, y, h)
        slope = _dots(here.g, direction)
        useful = model & (slope > 0.0)
        if not useful[keeps].all():
            gone = keeps & ~useful & ok
            s, y, h = (np.where(gone[:, None, None], 0.0, one) for one in (s, y, h))
        stretch = np.where(up, 2.0 * old.stretch, np.where(shorter, old.stretch, 1.0))
        far = ~useful & (stretch > 1.0)
        direction = np.where(useful[:, None], direction, stretch[:, None] * here.f)
        slope = np.where(useful, slope, stretch * 2.0 * here.em_gain)
        whole = np.where(useful | far, 1.0, 0.0)
        tries = np.where(shorter, _shorter(old.slope, rise), np.where(ok | is_em, whole, 0.0))
        return here._replace(
            s=s, y=y, h=h, direction=direction, slope=slope, stretch=stretch, length=tries,
            accelerating=accelerating,
        )  # fmt: skip

    # ---- who leaves

    def _lost(self, here: Front, lost: Mask, looks: Looks) -> Front | None:
        """Those whose EM step has no point or fell: the one is degenerate, the other at its end."""
        which = np.flatnonzero(lost)
        endings = [Ending.STALLED if looks.sound[i] else Ending.DEGENERATE for i in which]
        return self._leave(here, which, endings, looks.why)

    def _who_leaves(self, here: Front, passes: int) -> Front | None:
        rules = self.rules
        ahead = np.maximum(here.em_gain, 0.5 * here.slope)
        resolution = RESOLUTION * (1.0 + np.abs(here.objective))
        still = np.maximum(ahead, 0.1 * here.gain)
        arrived = still < np.maximum(rules.tol, resolution)
        odd = self._odd(here, arrived)
        top = here.objective if odd is None else np.where(odd, -inf, here.objective)
        self.best = max(self.best, float(top.max()))
        regular = arrived if odd is None else arrived & ~odd
        if not self.is_reached and (regular & (here.objective >= self.best - SAME)).any():
            self.is_reached = True
        times = rules.late if self.is_reached else rules.bound
        reach = here.objective + times * np.maximum(here.gain, here.em_gain)
        left = reach < self.best - SAME
        joined = np.zeros(len(arrived), dtype=bool)
        if self.is_reached:
            joined = (here.objective > self.best - JOINED) & (ahead < JOINED)
            if odd is not None:
                joined &= ~odd
        suspects = np.zeros(len(arrived), dtype=bool)
        if odd is not None and self.best > -inf and passes >= rules.strict:
            suspects = odd
        # The highest goes on to its very end, which costs little while others are on their way.
        done = arrived & (still < np.maximum(rules.last, resolution))
        leader = int(np.argmax(top))
        if top[leader] >= self.best - SAME and top[leader] > self.floor + SAME:
            joined[leader] = False
            arrived[leader] &= done[leader]
        if self.is_reached and len(left) <= rules.few and top[leader] < self.best - SAME:
            self.tail += 1
            left |= self.tail * rules.check > rules.tail
        leaves = left | arrived | joined | suspects
        if not leaves.any():
            return here
        which = np.flatnonzero(leaves)
        endings = [
            Ending.SUSPECT
            if odd is not None and odd[i] and (suspects[i] or arrived[i])
            else Ending.ARRIVED
            if arrived[i]
            else Ending.JOINED
            if joined[i]
            else Ending.LEFT
            for i in which
        ]
        return self._leave(here, which, endings)

    def _odd(self, here: Front, arrived: Mask) -> Mask | None:
        """Which starts are suspect, of those that matter: the highest ones, and those at an end."""
        if self.suspect is None:
            return None
        odd = np.zeros(len(arrived), dtype=bool)
        asked = set[int]()
        for i in map(int, np.argsort(-here.objective, kind="stable")):
            if here.objective[i] <= self.best and not arrived[i]:
                continue
            odd[i] = self.suspect(self.stack.one(here.at, i))
            asked.add(i)
            if not odd[i]:  # none below it can be the best
                break
        for i in map(int, np.flatnonzero(arrived)):
            if i not in asked:
                odd[i] = self.suspect(self.stack.one(here.at, i))
        return odd

    def _leave(
        self,
        here: Front,
        which: Order,
        endings: Sequence[Ending],
        why: dict[int, str] | None = None,
    ) -> Front | None:
        """The front without those that leave."""
        for i, ending in zip(map(int, which), endings, strict=True):
            self.ends.append(
                End(
                    int(here.start[i]),
                    ending,
                    float(here.objective[i]),
                    float(here.loglik[i]),
                    int(here.steps[i]),
                    float(max(here.em_gain[i], 0.5 * here.slope[i])),
                    (why or {}).get(i, ""),
                    Place(self.stack, here.at, i),
                )
            )
        stay = np.delete(np.arange(len(here.start)), which)
        return here.compress(self.stack, stay) if len(stay) else None


def _dots(one: Array, other: Array) -> Array:
    """The inner product of each row, (S,)."""
    return np.einsum("sp,sp->s", one, other)


def _taken(stack: Stack, looks: Looks, stay: Order) -> Looks:
    """The looks of some starts."""
    return Looks(
        looks.objective[stay],
        looks.log_likelihood[stay],
        stack.take(looks.em, stay),
        looks.em_x[stay],
        looks.gradient[stay],
        looks.sound[stay],
        {},
    )


def _with_pair(
    old: Front, keeps: Array, pair: Mask, new: tuple[Array, Array, Array], most: int
) -> list[Array]:
    """The pairs of all starts: those kept, and the newest where it is one."""
    found = []
    some = bool(pair.any())
    first = 1 if some and old.s.shape[1] == most else 0
    all_keep, all_pair = bool(keeps.all()), bool(pair.all())
    for before, now in zip((old.s, old.y, old.h), new, strict=True):
        held = before if all_keep else np.where(keeps[:, None, None], before, 0.0)
        if some:
            last = now if all_pair else np.where(pair[:, None], now, 0.0)
            held = np.concatenate([held[:, first:], last[:, None]], axis=1)
        found.append(held)
    return found


def _directions(g: Array, f: Array, s: Array, y: Array, h: Array) -> tuple[Array, Mask]:
    """H g for each start, and which have pairs; see `emframe.core.acceleration.Memory`.

    A row of zeros stands for no pair: with 1 on the diagonal of R it takes no part.
    """
    m = s.shape[1]
    if m == 0:
        return f, np.zeros(len(g), dtype=bool)
    r = s @ y.swapaxes(1, 2)
    r *= _upper(m)
    on = r.reshape(len(r), -1)[:, :: m + 1]
    some = on > 0.0
    model = np.logical_or.reduce(some, axis=1)
    diagonal = np.where(some, on, 1.0)
    on[...] = diagonal
    inverse = np.linalg.inv(r)
    a = inverse @ (s @ g[:, :, None])
    rest = f[:, :, None] - h.swapaxes(1, 2) @ a
    back = diagonal[:, :, None] * a - y @ rest
    return (rest + s.swapaxes(1, 2) @ (inverse.swapaxes(1, 2) @ back))[:, :, 0], model


@cache
def _upper(m: int) -> Array:
    return np.triu(np.ones((m, m)))


def _shorter(slope: Array, rise: Array) -> Array:
    """Where the parabola with this slope at 0 and this rise at 1 peaks, within [0.1, 0.5]."""
    finite = np.isfinite(rise)
    fall = slope - np.where(finite, rise, 0.0)
    peak = np.where(fall > 0.0, 0.5 * slope / np.where(fall > 0.0, fall, 1.0), 0.5)
    return np.where(finite, np.clip(peak, 0.1, 0.5), 0.25)
