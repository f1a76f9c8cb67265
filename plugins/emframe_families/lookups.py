"""Items with few answers, several at a time: a table of their joint answers, and a place in it.

Given the component items are independent, so of a few of them together the log density is a sum
that takes as many values as there are joint answers.  Those are worked out once for an E-step, and
a row looks up its own, where a product of matrices adds up a term for each answer to each item:

    log f(x_i) = sum_g table_g[ code of the answers of row i to the items of group g ]

The M-step counts the joint answers in the same way, and their counts add up to those of each item.

One known case: with one item to a group it is the sum over items of log p_j(x_j).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emframe.engines import Workspace, block_rows
from emframe.families import LOG_ZERO, Concluded, Moments, Survey
from emframe.spaces import Array

MOST_JOINT = 256  # joint answers in a table: those of ten components fill half a cache
MANY_ROWS = 10_000  # from here on the tables cost little beside the rows


@dataclass(frozen=True)
class Group:
    """Items that are looked up together."""

    steps: Array  # (d,)  codes @ steps is the place of the joint answer; 0 for other items
    statistics: Array  # (G, P)  of each joint answer, 0 for other items
    table: Array  # (K, G)  its log density

    @property
    def size(self) -> int:
        return len(self.statistics)


@dataclass(frozen=True)
class Lookups:
    """The kernel of an exponential family of independent items, by tables."""

    groups: tuple[Group, ...]
    constant: Array  # (K,)  log weights
    gap: Array | None  # (d,)  the code of an answer that is missing (nan); None where none is

    form = "lookups"

    def rows(self, d: int) -> int:
        return block_rows(2 * d + 3 * len(self.constant))

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Array]]:
        joint, found = (work(name, len(self.constant), len(x)) for name in ("joint", "found"))
        joint[:] = np.maximum(self.constant, LOG_ZERO)[:, None]
        places = self._places(x, work)
        for group, place in zip(self.groups, places, strict=True):
            joint += np.take(group.table, place, axis=1, out=found, mode="clip")

        def collect(resp: Array) -> Array:
            counts = [
                np.array([np.bincount(place, one, minlength=group.size) for one in resp])
                for group, place in zip(self.groups, places, strict=True)
            ]
            return np.column_stack([*counts, resp.sum(axis=1)])

        return joint, collect

    def _places(self, x: Array, work: Workspace) -> NDArray[np.intp]:
        """Where in the table of each group each row stands, (groups, b)."""
        if self.gap is not None:
            x = np.fmin(x, self.gap, out=work("codes", *x.shape))  # which passes over nan
        steps = np.array([group.steps for group in self.groups])
        told = np.matmul(steps, x.T, out=work("told", len(steps), len(x)))
        places = work("places", *told.shape).view(np.intp)
        np.copyto(places, told, casting="unsafe")
        return places

    def finish(self, sums: Array) -> Concluded:
        bounds = np.cumsum([group.size for group in self.groups])
        *each, _ = np.split(sums, bounds, axis=1)
        pairs = zip(each, self.groups, strict=True)
        totals = np.sum([counts @ group.statistics for counts, group in pairs], axis=0)
        return Concluded(Moments(totals, sums[:, -1], 0.0), sums[:, -1])


def lookups(
    natural: Array,
    log_weights: Array,
    statistics: Callable[[Array], Array],
    levels: NDArray[np.intp],
    missing: bool,
    survey: Survey,
) -> Iterator[Lookups]:
    """The kernel for items of so many `levels` (d,); none where rows are few or tables too large.

    Parameters
    ----------
    natural : (K, P); -inf where any statistic but 0 is impossible.
    statistics : x (b, d) -> T (b, P), 0 for an answer that is missing.
    """
    sizes = levels + missing
    if survey.n_rows < MANY_ROWS or sizes.max() > MOST_JOINT:
        return
    natural, groups = np.maximum(natural, LOG_ZERO), []
    for items in grouped(sizes):
        own, steps = sizes[items], np.zeros(len(sizes))
        steps[items] = np.cumprod([1, *own[:-1]])
        rows = np.full((own.prod(), len(sizes)), np.nan)
        rows[:, items] = np.arange(len(rows))[:, None] // steps[items] % own
        told = statistics(rows)
        groups.append(Group(steps, told, natural @ told.T))
    yield Lookups(tuple(groups), log_weights, levels.astype(float) if missing else None)


def grouped(sizes: NDArray[np.intp]) -> Iterator[slice]:
    """Items in their order, as many together as have few enough joint answers."""
    first, joint = 0, 1
    for item, size in enumerate(sizes):
        if joint * size > MOST_JOINT:
            yield slice(first, item)
            first, joint = item, 1
        joint *= size
    yield slice(first, len(sizes))
