"""Kernels of families that are put together from others: each part goes past the rows by its own.

    product        log f(x | k) = sum_p log f_p(x_p | k)          parts add, with the same shares
    side by side   components 1..K_1 are of one family, ...       each part has its own shares
    within         f(x | k) = sum_j w_kj f_j(x | k)               a share of each share
    retold         f is another family's                          sums in other words

In a product the shares of a row are those of the row in every part, so that a part may leave out
what the row has alone.  Components side by side, or within others, share a row with strangers:
their kernels are made for a part (`Survey.partial`).

One known case: a product of one part, or a stack of one family, is that part's own kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import entr

from emframe.data.runs import of_columns
from emframe.engines import ResidentBlock, Workspace
from emframe.families.kernel import LOG_ZERO, Concluded, Kernel, Which, alone, meet_on
from emframe.families.rowwise import rowwise
from emframe.spaces import Array


@dataclass(frozen=True)
class Each:
    """Sums of several parts; they add part by part."""

    parts: tuple[Any, ...]

    def __add__(self, other: Each) -> Each:
        return Each(tuple(a + b for a, b in zip(self.parts, other.parts, strict=True)))


Join = Callable[[tuple[Any, ...]], Any]
"""What makes the statistics of the whole from those of its parts."""


def forms(kernels: tuple[Kernel, ...]) -> str:
    """How they compute, each way once."""
    return "+".join(dict.fromkeys(kernel.form for kernel in kernels))


def fewest_rows(kernels: tuple[Kernel, ...], d: int) -> int:
    """Rows of a block that is small enough for all."""
    return min(kernel.rows(d) for kernel in kernels)


def _finished(kernels: tuple[Kernel, ...], sums: Each) -> list[Concluded] | None:
    pairs = zip(kernels, sums.parts, strict=True)
    found = [kernel.finish(own) for kernel, own in pairs]
    return _all_of(found)


def _all_of(found: Sequence[Concluded | None]) -> list[Concluded] | None:
    some = [one for one in found if one is not None]
    return some if len(some) == len(found) else None


def multiplied(
    each: Sequence[Concluded | None], join: Join, counts: Array | None = None
) -> Concluded | None:
    """What was found of all groups of columns; None where too many digits were lost of one.

    `counts` are those of the first group, unless rows may hide it.
    """
    found = _all_of(each)
    if found is None:
        return None
    terms = sum(one.row_terms for one in found)
    statistics = join(tuple(one.statistics for one in found))
    counts = found[0].counts if counts is None else counts
    return Concluded(statistics, counts, terms, sum(one.entropy for one in found))


@dataclass(frozen=True)
class Multiplied:
    """The kernel of a product of groups of columns."""

    kernels: tuple[Kernel, ...]  # the first has the constants of the components
    places: tuple[tuple[int, ...], ...]  # the columns of each
    join: Join

    @property
    def form(self) -> str:
        return forms(self.kernels)

    def rows(self, d: int) -> int:
        return fewest_rows(self.kernels, d)

    def meet(self, x: Any, work: Workspace) -> tuple[Array, Callable[[Array], Each]]:
        pairs = enumerate(zip(self.kernels, self.places, strict=True))
        met = [rowwise(one, of_columns(x, places), work.room(p)) for p, (one, places) in pairs]
        joint = work("product", *met[0].joint.shape)
        np.copyto(joint, met[0].joint)
        for one in met[1:]:
            joint += one.joint
        return joint, lambda resp: Each(tuple(one.collect(resp) for one in met))

    def meet_on(self, block: ResidentBlock) -> tuple[Any, Callable[[Any], Each]]:
        pairs = zip(self.kernels, self.places, strict=True)
        joints, collects = zip(*(meet_on(one, block.at(own)) for one, own in pairs), strict=True)
        return sum(joints[1:], joints[0]), lambda resp: Each(tuple(one(resp) for one in collects))

    def finish(self, sums: Each) -> Concluded | None:
        pairs = zip(self.kernels, sums.parts, strict=True)
        return multiplied([kernel.finish(own) for kernel, own in pairs], self.join)

    def some(self, which: Which) -> Multiplied | None:
        each = [alone(one, which) for one in self.kernels]
        some = tuple(one for one in each if one is not None)
        return replace(self, kernels=some) if len(some) == len(each) else None


@dataclass(frozen=True)
class SideBySide:
    """The kernel of components that are of several families."""

    kernels: tuple[Kernel, ...]
    sizes: tuple[int, ...]  # components of each
    join: Join

    @property
    def form(self) -> str:
        return forms(self.kernels)

    def rows(self, d: int) -> int:
        return fewest_rows(self.kernels, d)

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Each]]:
        met = [rowwise(kernel, x, work.room(p)) for p, kernel in enumerate(self.kernels)]
        joint = work("beside", sum(self.sizes), len(x))
        np.concatenate([one.joint for one in met], out=joint)
        ends = np.cumsum(self.sizes)[:-1]

        def collect(resp: Array) -> Each:
            each = zip(met, np.split(resp, ends), strict=True)
            return Each(tuple(one.collect(own) for one, own in each))

        return joint, collect

    def meet_on(self, block: ResidentBlock) -> tuple[Any, Callable[[Any], Each]]:
        joints, collects = zip(*(meet_on(one, block) for one in self.kernels), strict=True)
        ends = np.cumsum((0, *self.sizes)).tolist()

        def collect(resp: Any) -> Each:
            each = zip(collects, pairwise(ends), strict=True)
            return Each(tuple(one(resp[first:last, :]) for one, (first, last) in each))

        return block.device.xp.concat(joints, axis=0), collect

    def finish(self, sums: Each) -> Concluded | None:
        found = _finished(self.kernels, sums)
        if found is None:
            return None
        entropy = [np.broadcast_to(one.entropy, len(one.counts)) for one in found]
        counts = np.concatenate([one.counts for one in found])
        statistics = self.join(tuple(one.statistics for one in found))
        return Concluded(statistics, counts, entropy=np.concatenate(entropy))


@dataclass(frozen=True)
class WithinSums:
    """What components that are mixtures leave behind; it adds."""

    shares: Array  # (K, J)  sums of the shares of each part of a component
    entropy: Array  # (K,)  of which part it is
    parts: Each

    def __add__(self, other: WithinSums) -> WithinSums:
        return WithinSums(
            self.shares + other.shares, self.entropy + other.entropy, self.parts + other.parts
        )


@dataclass(frozen=True)
class WithinKernel:
    """The kernel of components that are mixtures themselves, of J parts."""

    kernels: tuple[Kernel, ...]  # (J,), with the log weight of its part as the constant of each
    join: Callable[[Array, tuple[Any, ...]], Any]  # of the shares too

    @property
    def form(self) -> str:
        return forms(self.kernels)

    def rows(self, d: int) -> int:
        return fewest_rows(self.kernels, d)

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], WithinSums]]:
        met = [rowwise(kernel, x, work.room(p)) for p, kernel in enumerate(self.kernels)]
        k, n = met[0].joint.shape
        inner = np.maximum([one.joint for one in met], LOG_ZERO, out=work("in", len(met), k, n))
        highest = inner.max(axis=0)
        inner -= highest
        np.exp(inner, out=inner)
        total = inner.sum(axis=0)
        inner /= total
        joint = np.add(np.log(total), highest, out=work("within", k, n))

        def collect(resp: Array) -> WithinSums:
            each = [own * resp for own in inner]
            entropy = (entr(inner).sum(axis=0) * resp).sum(axis=1)
            shares = np.stack([own.sum(axis=1) for own in each], axis=1)
            pairs = zip(met, each, strict=True)
            return WithinSums(shares, entropy, Each(tuple(one.collect(own) for one, own in pairs)))

        return joint, collect

    def finish(self, sums: WithinSums) -> Concluded | None:
        found = _finished(self.kernels, sums.parts)
        if found is None:
            return None
        statistics = self.join(sums.shares, tuple(one.statistics for one in found))
        entropy = sums.entropy + sum(one.entropy for one in found)
        return Concluded(statistics, sums.shares.sum(axis=1), entropy=entropy)


@dataclass(frozen=True)
class Retold:
    """The kernel of another family, whose sums are told in other words."""

    kernel: Kernel
    tell: Callable[[Any], Any]  # statistics -> statistics

    @property
    def form(self) -> str:
        return self.kernel.form

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        return (self.kernel,)

    def rows(self, d: int) -> int:
        return self.kernel.rows(d)

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Any]]:
        return self.kernel.meet(x, work)

    def meet_on(self, block: ResidentBlock) -> tuple[Any, Callable[[Any], Any]]:
        return meet_on(self.kernel, block)

    def finish(self, sums: Any) -> Concluded | None:
        found = self.kernel.finish(sums)
        return None if found is None else found._replace(statistics=self.tell(found.statistics))

    def some(self, which: Which) -> Retold | None:
        own = alone(self.kernel, which)
        return None if own is None else replace(self, kernel=own)
