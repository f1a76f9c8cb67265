"""Items with few answers, several at a time: a table of their joint answers, and a place in it.

Given the component items are independent, so of a few of them together the log density is a sum
that takes as many values as there are joint answers.  Those are worked out once for an E-step, and
a row looks up its own, where a product of matrices adds up a term for each answer to each item.
With J (b, G) the indicator of the joint answer that each row gives to each group of items,

    joint = J tables,      counts = J' resp

so E and M are one product each as ever, of a matrix that is all but empty; and the counts of joint
answers add up to those of each item.

One known case: with one item to a group it is the sum over items of log p_j(x_j).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from emframe.engines import Workspace, block_rows
from emframe.families import LOG_ZERO, Concluded, Moments, Survey
from emframe.spaces import Array

MOST_JOINT = 256  # joint answers in a table: those of ten components fill half a cache
MANY_ROWS = 10_000  # from here on the tables cost little beside the rows


@dataclass(frozen=True)
class Lookups:
    """The kernel of an exponential family of independent items, by tables."""

    steps: Array  # (d, groups)  codes @ steps is a row's place in the table of each group
    firsts: Array  # (groups,)  where the table of each group begins among all
    tables: Array  # (G, K)  log density of each joint answer
    statistics: Array  # (G, P)  of each joint answer, 0 for the items of other groups
    constant: Array  # (K,)  log weights
    gap: Array | None  # (d,)  the code of an answer that is missing (nan); None where none is

    form = "lookups"

    def rows(self, d: int) -> int:
        return block_rows(2 * d + 3 * len(self.constant))

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Array]]:
        answers = self._answers(x, work)
        joint = work("joint", len(self.constant), len(x))
        joint[...] = (answers @ self.tables).T
        joint += np.maximum(self.constant, LOG_ZERO)[:, None]

        def collect(resp: Array) -> Array:
            counts = answers.T @ np.ascontiguousarray(resp.T)
            return np.concatenate([counts, resp.sum(axis=1)[None]])

        return joint, collect

    def _answers(self, x: Array, work: Workspace) -> scipy.sparse.csr_array:
        """The indicator of each row's joint answers, (b, G)."""
        if self.gap is not None:
            x = np.fmin(x, self.gap, out=work("codes", *x.shape))  # which passes over nan
        (b, _), groups = x.shape, len(self.firsts)
        places = np.matmul(x, self.steps, out=work("places", b, groups))
        places += self.firsts
        each = (np.ones(places.size), places.ravel().astype(np.int32))
        begins = np.arange(0, places.size + 1, groups, dtype=np.int32)
        return scipy.sparse.csr_array((*each, begins), shape=(b, len(self.tables)))

    def finish(self, sums: Array) -> Concluded:
        counts = sums[-1]
        return Concluded(Moments(sums[:-1].T @ self.statistics, counts, 0.0), counts)


def lookups(
    natural: Array,
    constants: Array,
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
    groups = list(grouped(sizes))
    steps, told = np.zeros((len(sizes), len(groups))), []
    for g, items in enumerate(groups):
        own = sizes[items]
        steps[items, g] = np.cumprod([1, *own[:-1]])
        rows = np.full((own.prod(), len(sizes)), np.nan)
        rows[:, items] = np.arange(len(rows))[:, None] // steps[items, g] % own
        told.append(statistics(rows))
    firsts = np.cumsum([0, *(len(one) for one in told[:-1])]).astype(float)
    each = np.concatenate(told)
    tables = each @ np.maximum(natural, LOG_ZERO).T
    gap = levels.astype(float) if missing else None
    yield Lookups(steps, firsts, tables, each, constants, gap)


def grouped(sizes: NDArray[np.intp]) -> Iterator[slice]:
    """Items in their order, as many together as have few enough joint answers."""
    first, joint = 0, 1
    for item, size in enumerate(sizes):
        if joint * size > MOST_JOINT:
            yield slice(first, item)
            first, joint = item, 1
        joint *= size
    yield slice(first, len(sizes))
