"""Distinct optima among the ends of several starts.

One known case: starts that all end in the same place are one optimum, found that many times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

from emframe.core import Status
from emframe.fitting.tabled import Tabled

# Two runs that end within this, relative to the objective, are taken for the same optimum.
SAME_OPTIMUM = 1e-6
JOINED = 0.01  # nats: within this of an arrived start, with no more ahead, a start is where it is
SAME = 1e-3  # nats: what is no reason to call one end better than another


class End(Protocol):
    """The end of a start, as far as it is looked at here; `emframe.Start` is one."""

    @property
    def status(self) -> Status: ...
    @property
    def objective(self) -> float: ...
    @property
    def log_likelihood(self) -> float: ...
    @property
    def spurious(self) -> str: ...
    @property
    def is_own(self) -> bool: ...
    @property
    def is_polish(self) -> bool: ...


@dataclass(frozen=True)
class Optimum:
    """Where some of the starts ended: one line of ``fit.optima``.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> fit.optima[0].is_regular
    True
    """

    objective: float
    log_likelihood: float
    times: int  # how many starts of their own ended here
    moves: int  # how many from another optimum, of this model or a smaller one, did
    status: Status
    spurious: str  # why it looks like an artefact; empty where it does not

    @property
    def is_regular(self) -> bool:
        """Whether it counts: sound and not spurious."""
        return self.status.usable and not self.spurious


class Optima(tuple[Optimum, ...], Tabled):
    """Distinct optima, the best first: a tuple that prints as a table."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each: its objective, how often it was found, and how it ended."""
        return [
            {
                "objective": one.objective,
                "starts": one.times,
                "moves": one.moves,
                "status": one.status.value,
                "spurious": one.spurious,
            }
            for one in self
        ]

    @property
    def brief(self) -> str:
        return f"{len(self)}, the best at {self[0].objective:.6f}" if self else "none"

    __str__, __repr__ = Tabled.__str__, Tabled.__repr__


def optima(ends: Iterable[End]) -> Optima:
    """Distinct optima, regular ones first, the highest first among each kind.

    A start that had no finite objective is nowhere, and so is one that was left before its end,
    or that ended at a saddle.
    """
    groups: list[list[End]] = []
    for end in sorted((e for e in ends if _is_somewhere(e)), key=_rank):
        if groups and _same(groups[-1][0], end):
            groups[-1].append(end)
        else:
            groups.append([end])
    return Optima(_optimum(group) for group in groups)


def chance_missed(ends: Iterable[End]) -> float:
    """The estimated chance that one more start would end at a better optimum, 0 to 1.

    After Good (1953, Biometrika 40, 237) the share of all starts that lead to optima not seen is
    about that of the optima seen once; with one added to both counts it does not come out as 0
    because few starts were made.  How often each is seen is all that counts (compare Finch,
    Mendell and Thode 1989, JASA 84, 1020).  What was left before its end is known to lead to none
    better.  Not every optimum that was not seen is better, and moves, which are no starts and left
    out, found none either: the chance is smaller than this says.
    """
    own = [one for one in ends if one.is_own]
    times = [one.times for one in optima(own) if one.is_regular]
    left = sum(one.status is Status.LEFT and not one.spurious for one in own)
    once = sum(n == 1 for n in times)
    return min(1.0, (once + 1) / (sum(times) + left + 1))


def _is_somewhere(end: End) -> bool:
    """Whether it ended at a point that counts: not at none, nor where it is known to be no end."""
    return isfinite(end.objective) and (end.status.is_optimum or not end.status.usable)


def is_same(one: float, other: float) -> bool:
    """Whether two objectives are of the same optimum."""
    return abs(one - other) <= SAME_OPTIMUM * (1.0 + max(abs(one), abs(other)))


def is_higher(objective: float, other: float) -> bool:
    """Whether an objective is that of a better optimum, and not of the same one."""
    return objective > other and not is_same(objective, other)


def _rank(end: End) -> tuple[bool, bool, float]:
    return not end.status.usable, bool(end.spurious), -end.objective


def _same(best: End, end: End) -> bool:
    return _rank(best)[:2] == _rank(end)[:2] and is_same(best.objective, end.objective)


def _optimum(group: Sequence[End]) -> Optimum:
    best, own = group[0], sum(end.is_own for end in group)
    return Optimum(
        best.objective,
        best.log_likelihood,
        own,
        sum(not (end.is_own or end.is_polish) for end in group),
        best.status,
        best.spurious,
    )
