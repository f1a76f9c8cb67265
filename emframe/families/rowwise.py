"""A kernel's answer row by row, for a part of something larger.

A kernel lays rows out as it likes, in tiles, and is fastest on as many as its caches hold.  What
stands around it, a product, a chain, another mixture, wants one column for each row:

    joint (K, n),        collect(shares (K, n)) -> the kernel's sums

One known case: rows that are one block, and a kernel without tiles, are handed through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np

from emframe.engines import Workspace
from emframe.families.kernel import LOG_ZERO, Kernel, retiled, untiled
from emframe.spaces import Array

SPARE = 2  # times the rows of a kernel's block that it is shown at once


class Rowwise(NamedTuple):
    """What a kernel says of some rows."""

    joint: Array  # (K, n)  constant and log density, less terms of the row alone; -inf for 0
    collect: Callable[[Array], Any]  # from shares (K, n), row weights included


def rowwise(kernel: Kernel, x: Any, work: Workspace) -> Rowwise:
    """What a kernel says of rows x (n, d), or runs of them, in parts where they are many.

    The joint densities lie in the workspace, if they are one part.
    """
    parts = list(_parts(kernel, x))
    if len(parts) == 1:
        return _of_part(kernel, x, work)
    joint = np.empty((0, 0))
    for part in parts:
        own = _of_part(kernel, x[part], work).joint
        joint = np.empty((len(own), len(x))) if part.start == 0 else joint
        joint[:, part] = own

    def collect(shares: Array) -> Any:
        # What the parts were made of has gone, and is made again.
        each = (_of_part(kernel, x[part], work).collect(shares[:, part]) for part in parts)
        return reduce(add, each)

    return Rowwise(joint, collect)


def _parts(kernel: Kernel, x: Any) -> Iterator[slice]:
    if not hasattr(x, "shape"):  # runs of rows, which their kernel takes apart itself
        yield slice(0, len(x))
        return
    size = kernel.rows(x.shape[1])
    if len(x) <= SPARE * size:
        size = max(len(x), 1)
    yield from (slice(first, first + size) for first in range(0, max(len(x), 1), size))


def _of_part(kernel: Kernel, x: Any, work: Workspace) -> Rowwise:
    joint, collect = kernel.meet(x, work)
    log_b = untiled(joint, len(x))
    if log_b.size and log_b.min() < LOG_ZERO * 1e-100:  # what stands for log 0 in products
        log_b = np.where(log_b < LOG_ZERO * 1e-100, -np.inf, log_b)
    return Rowwise(log_b, lambda shares: collect(retiled(shares, joint.shape)))


def in_step(kernels: Iterable[Iterator[Kernel]]) -> Iterator[tuple[Kernel, ...]]:
    """The kernels of several parts, the first of each, then the next of each that has one."""
    supplies = list(kernels)
    here = [next(supply) for supply in supplies]
    while True:
        yield tuple(here)
        further = [next(supply, None) for supply in supplies]
        if all(one is None for one in further):
            return
        here = [old if new is None else new for old, new in zip(here, further, strict=True)]
