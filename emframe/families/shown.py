"""Columns that are independent given the component, each on the rows that show it.

    log f(x_i | theta_k) = sum_j s_ij log f(x_ij | theta_kj),       s_ij = 1 where row i shows j

In an exponential family the term of a column is s T(x) eta - s A.  So a gap has statistics of 0,
each column has one more, s itself, and E and M are one matrix product each as ever.  Any other
kernel goes past the rows that show its columns, and leaves the rest alone.

One known case: without gaps both say what the kernels of complete rows say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from emframe.engines import Workspace, block_rows, products
from emframe.families.joined import Each, Join, fewest_rows, forms, multiplied
from emframe.families.kernel import LOG_ZERO, Concluded, Kernel, RowProducts, tile_rows, tiled
from emframe.families.rowwise import rowwise
from emframe.spaces import Array


@dataclass(frozen=True)
class Alike:
    """Columns side by side whose statistics are one function of a value."""

    columns: slice
    kernels: tuple[RowProducts, ...]  # of each column by itself

    @cached_property
    def natural(self) -> Array:
        """Of each statistic, and of whether a column is shown, (P + 1, K, m)."""
        each = [np.column_stack([one.natural, one.constant]) for one in self.kernels]
        return np.maximum(np.ascontiguousarray(np.stack(each).T), LOG_ZERO)

    def statistics(self, x: Array, fill: float, work: Workspace) -> Array:
        """Of rows x (..., m), nan in gaps, where they have 0: (P + 1, ..., m)."""
        gaps, filled = np.isnan(x), work("filled", *x.shape)
        t = work("statistics", len(self.natural), *x.shape)
        t[-1] = ~gaps
        # The bits of nan and none are those of 0: there is no branch to guess wrong.
        keep = gaps.view(np.int8) - np.int8(1)
        np.bitwise_and(x.view(np.int64), keep, out=filled.view(np.int64))
        if fill:
            filled += fill * gaps
        for one, to in zip(self.kernels[0].statistics(filled.reshape(-1, 1)).T, t, strict=False):
            np.multiply(one.reshape(x.shape), t[-1], out=to)
        return t

    def concluded(self, sums: Array) -> list[Concluded | None]:
        """What a pass found of each column, from sums (P + 1, K, m)."""
        each = zip(self.kernels, sums.T, strict=True)
        return [one.conclude(own[:, :-1], own[:, -1]) for one, own in each]


@dataclass(frozen=True)
class ShownProducts:
    """The kernel of columns of an exponential family, from that of each by itself."""

    groups: tuple[Alike, ...]
    constants: Array  # (K,)
    fill: float  # a value of any column, which stands in gaps and does not count
    join: Join

    form = "products"

    @classmethod
    def of(
        cls, kernels: Sequence[RowProducts], constants: Array, fill: float, join: Join
    ) -> ShownProducts:
        """That of columns in their order."""
        groups, first = [], 0
        for _, own in groupby(kernels, lambda one: one.statistics):
            alike = tuple(own)
            groups.append(Alike(slice(first, first + len(alike)), alike))
            first += len(alike)
        return cls(tuple(groups), constants, fill, join)

    def rows(self, d: int) -> int:
        k = len(self.constants)
        return block_rows(sum(one.natural.size for one in self.groups) // k + 2 * d + 4 * k)

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Each]]:
        rows = tiled(x, tile_rows(self.groups[0].natural[0]))
        joint = work("joint", len(rows), len(self.constants), rows.shape[1])
        joint[...] = np.maximum(self.constants, LOG_ZERO)[:, None]
        each = []
        for g, group in enumerate(self.groups):
            own = work.room(g)
            t = group.statistics(rows[:, :, group.columns], self.fill, own)
            part = own("part", *joint.shape)
            for natural, one in zip(group.natural, t, strict=True):
                joint += np.matmul(natural, one.swapaxes(1, 2), out=part)
            each.append(t)

        def collect(resp: Array) -> Each:
            sums = [np.stack([products(resp, one).sum(axis=0) for one in t]) for t in each]
            return Each((*sums, resp.sum(axis=(0, 2))))

        return joint, collect

    def finish(self, sums: Each) -> Concluded | None:
        *own, counts = sums.parts
        pairs = zip(self.groups, own, strict=True)
        found = [one for group, mine in pairs for one in group.concluded(mine)]
        return multiplied(found, self.join, counts)


@dataclass(frozen=True)
class OnShown:
    """The kernel of groups of columns that a row shows or hides as a whole, by that of each."""

    kernels: tuple[Kernel, ...]
    # From d: the columns of each, and the one of them that tells whether they show; a row with all.
    groups: Callable[[int], list[tuple[list[int], int]]]
    anything: Callable[[int], Array]
    constants: Array  # (K,)
    join: Join

    @property
    def form(self) -> str:
        return forms(self.kernels)

    def rows(self, d: int) -> int:
        return fewest_rows(self.kernels, d)

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Each]]:
        joint = work("shown", len(self.constants), len(x))
        joint[...] = np.maximum(self.constants, LOG_ZERO)[:, None]
        each: list[Callable[[Array], Any]] = []
        pairs = zip(self.kernels, self.groups(x.shape[1]), strict=True)
        for room, (kernel, (columns, told)) in enumerate(pairs):
            seen = np.flatnonzero(~np.isnan(x[:, told]))
            none = not len(seen)  # then a row that weighs nothing: no sum is over no rows
            rows = self.anything(x.shape[1])[:, columns] if none else x[seen][:, columns]
            met = rowwise(kernel, rows, work.room(room))
            if not none:
                joint[:, seen] += met.joint
            each.append(_own(met.collect, seen))

        def collect(resp: Array) -> Each:
            counts = resp.sum(axis=1)
            return Each((*(own(resp) for own in each), counts))

        return joint, collect

    def finish(self, sums: Each) -> Concluded | None:
        *own, counts = sums.parts
        pairs = zip(self.kernels, own, strict=True)
        return multiplied([kernel.finish(mine) for kernel, mine in pairs], self.join, counts)


def _own(collect: Callable[[Array], Any], seen: Any) -> Callable[[Array], Any]:
    """The sums under the shares of the rows that are seen; none of them weighs nothing."""

    def of_all(resp: Array) -> Any:
        return collect(resp[:, seen] if len(seen) else np.zeros((len(resp), 1)))

    return of_all
