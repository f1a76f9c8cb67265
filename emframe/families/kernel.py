"""How a family's components meet the data: block after block, E and M in one visit.

What the E-step makes of a block (its statistics, the whitened rows) the M-step needs again, so
a kernel hands both out together: the joint log densities, and a function that collects the sums
once the responsibilities are known.  It is made anew for each E-step, with all that depends on
the parameters alone worked out beforehand.

A kernel takes a constant for each component, whatever it stands for, and adds it to its log
density: the log weights of a mixture, which are natural parameters of the complete data (z, x) like
any others, or nothing.  A term that depends on the row alone does not change p(z | x), so a kernel
may leave it out of the blocks and add its sum at the end; unless it is a part of something else,
where the shares of its components need not add up to the row: see `Survey.partial`.

A family may have a latent of its own, which a row hides beside its component.  Then what is
collected are sums over rows that this latent completes, and its entropy goes with them.

Where its statistics of rows depend on no parameter a kernel can also meet rows that stay on a
device, `meet_on(block)`: it says the same products in the array API standard.

One known case: `Densities`, which asks the family's own two functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from emframe.engines import (
    MOST_ROWS,
    ResidentBlock,
    Statistics,
    Workspace,
    block_rows,
    products,
)
from emframe.spaces import Array

if TYPE_CHECKING:
    from emframe.families.base import Family

Which = NDArray[np.intp]
"""Numbers of some components, (C,), which ascend."""

# Stands for log 0 inside matrix products, where -inf times 0 would be nan: any product with it
# is far beyond what a density can be.
LOG_ZERO = -1e300


class NoSampler(TypeError):
    """The family cannot be drawn from until it is given a sampler of its own."""


class FamilyError(RuntimeError):
    """A family broke its own declaration: a wrong shape, a NaN, a parameter outside its space.

    Examples
    --------
    >>> issubclass(emframe.FamilyError, Exception)
    True
    """


class NoDensity(FamilyError, ArithmeticError):
    """A log density of NaN or +inf: an error of the family, unless it is asked far from any fit."""


@dataclass(frozen=True)
class Survey:
    """What is known of the data before the first E-step."""

    statistics: Any  # the family's `whole`
    n_rows: int  # rows that a pass reads
    spare: float = 1.0  # rounding that a pass may have, in units of what a fit bears: more where
    # points are only compared, and the best go on by passes of full precision
    partial: bool = False  # whether the shares of a row may sum to less than its weight, for other
    # components have the rest: nothing that the row has alone can be left out then
    beside: Any = None  # what a law of z knows of the columns that the family does not see

    def of(self, statistics: Any) -> Survey:
        """The same of a part, which has these statistics."""
        return replace(self, statistics=statistics)

    def of_some(self, statistics: Any) -> Survey:
        """The same of components among others, which have these statistics."""
        return replace(self, statistics=statistics, partial=True)


class Concluded(NamedTuple):
    """What a pass found."""

    statistics: Any  # the family's
    counts: Array  # (K,)  sums of responsibilities
    row_terms: float = 0.0  # sum over rows, weighted, of the terms that the blocks left out
    entropy: Any = 0.0  # (K,) of the family's own latent, weighted by responsibilities; nats


class Kernel(Protocol):
    """K components at fixed parameters.

    One whose components stand by themselves may have ``some(which)``, the kernel of these alone;
    see `alone`.
    """

    @property
    def form(self) -> str:
        """How it computes, in a word or two, for reports."""

    def rows(self, d: int) -> int:
        """Rows of d columns that a block should have."""

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Any]]:
        """The block x (b, d): constant_k + log f(x_i | theta_k), less terms of the row alone, as
        (K, b) that the caller may overwrite; and ``collect(resp)``, the sums of the block under
        responsibilities of that shape, row weights included.  Sums add.

        A kernel may lay the rows out in tiles, (tiles, K, b / tiles), and fill up the last one
        with rows of its own: they get weight 0."""

    def finish(self, sums: Any) -> Concluded | None:
        """What the sums over all rows come to; None where too many digits were lost."""


def can_meet(kernel: Kernel) -> bool:
    """Whether a kernel, and each that it is put together from, can meet rows on a device."""
    inner: tuple[Kernel, ...] = getattr(kernel, "kernels", ())
    return hasattr(kernel, "meet_on") and all(map(can_meet, inner))


def meet_on(kernel: Any, block: ResidentBlock) -> tuple[Any, Callable[[Any], Any]]:
    """What `Kernel.meet` gives, of rows on a device: (K, b) there, and ``collect`` as here."""
    met: tuple[Any, Callable[[Any], Any]] = kernel.meet_on(block)
    return met


def alone(kernel: Kernel, which: Which) -> Kernel | None:
    """The kernel of some components by themselves; None where there is no such form.

    Its sums, arrays or `Each` of them, lead with these, and are for the `finish` of the whole.
    Products (`in_tiles`) also take (T, C) components, those that each of T tiles of rows sees: of
    rows (T w, d), with sums that lead with (T, C).
    """
    found: Kernel | None = kernel.some(which) if hasattr(kernel, "some") else None
    return found


@dataclass(frozen=True)
class Densities:
    """The kernel of any family, from ``log_density`` and ``completed``."""

    family: Family
    params: Any
    constants: Array  # (K,)

    form = "densities"

    def rows(self, d: int) -> int:
        """A guess that serves most: a few arrays of shape (K, d) for each row."""
        return block_rows(2 * len(self.constants) * (d + 4))

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Any]]:
        density = checked_density(self.family, self.params, x, len(self.constants))
        joint = np.add(density.T, self.constants[:, None], out=work("joint", *density.T.shape))

        def collect(resp: Array) -> Gathered:
            own = resp.T.copy()  # a family may keep it; the workspace moves on
            own.flags.writeable = False
            return Gathered(*self.family.completed(self.params, x, own), resp.sum(axis=1))

        return joint, collect

    def finish(self, sums: Gathered) -> Concluded:
        return Concluded(sums.statistics, sums.counts, entropy=sums.entropy)


@dataclass(frozen=True)
class Gathered:
    """Statistics of any kind, the entropy of what completed the rows, and the counts of it."""

    statistics: Any
    entropy: Any  # (K,), or 0
    counts: Array  # (K,)

    def __add__(self, other: Gathered) -> Gathered:
        return Gathered(
            self.statistics + other.statistics,
            self.entropy + other.entropy,
            self.counts + other.counts,
        )


# Multiplications in one product of matrices, up to which BLAS may skip repacking its operands
# (OpenBLAS does, and is twice as fast then on the shapes met here).
SMALL_PRODUCT = 1_000_000
NARROWEST = 128  # rows of a tile, below which the calls cost more than the packing


def tile_rows(natural: Array) -> int:
    """Rows of a tile: so many that its product with `natural` (K, P) is a small one."""
    rows = SMALL_PRODUCT // natural.size
    return MOST_ROWS if rows < NARROWEST else min(rows, MOST_ROWS)


def tiled(rows: Array, most: int) -> Array:
    """Rows (b, d) in tiles (tiles, w, d) of w <= `most` rows: a view where b divides well.

    Elsewhere the last row is repeated until the last tile is full.
    """
    b, d = rows.shape
    fewest = -(-b // most)
    even = next((tiles for tiles in range(fewest, 2 * fewest) if b % tiles == 0), None)
    if even is None:
        width = -(-b // fewest)
        rest = np.broadcast_to(rows[-1], (fewest * width - b, d))
        return np.concatenate([rows, rest]).reshape(fewest, width, d)
    return rows.reshape(even, b // even, d)


def cut_for(natural: Array, rows: Array) -> Array:
    """Rows (b, d) in tiles for products with `natural` (K, P), or with one (C, P) for each tile."""
    if natural.ndim == 3:
        return rows.reshape(len(natural), -1, rows.shape[1])
    return tiled(rows, tile_rows(natural))


def untiled(tiles: Array, n: int) -> Array:
    """What a kernel hands out, (K, b) or (tiles, K, w), as (K, n): without rows of its own."""
    if tiles.ndim == 2 or len(tiles) == 1:
        return tiles.reshape(tiles.shape[-2:])[:, :n]
    return np.moveaxis(tiles, 1, 0).reshape(tiles.shape[1], -1)[:, :n]


def retiled(resp: Array, shape: tuple[int, ...]) -> Array:
    """Responsibilities (K, n) in the shape that a kernel handed out; its own rows weigh nothing."""
    *tiles, k, width = shape
    if math.prod(tiles) == 1 and resp.shape[1] == width:
        return resp.reshape(shape)
    full = np.zeros((k, math.prod(tiles) * width))
    full[:, : resp.shape[1]] = resp
    return np.ascontiguousarray(np.moveaxis(full.reshape(k, *tiles, width), 0, -2))


@dataclass(frozen=True)
class RowProducts:
    """The kernel of an exponential family: E and M are one matrix product each.

        joint = eta T' + constant,      sums = resp T

    with the statistics T (b, P) as the family states them, one row for each row.  The products
    are made in tiles of rows.
    """

    natural: Array  # (K, P); -inf where any statistic but 0 is impossible
    constant: Array  # (K,)  log weights less log-partition
    statistics: Callable[[Array], Array]  # x (b, d) -> T (b, P)
    conclude: Callable[[Array, Array], Concluded | None]  # `finish`, from totals and counts
    form: str = "products"
    in_tiles = True

    def rows(self, d: int) -> int:
        k, p = self.natural.shape[-2:]
        return block_rows(p + 2 * k)

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Array]]:
        t = cut_for(self.natural, self.statistics(x))
        tiles, width, _ = t.shape
        natural = np.maximum(self.natural, LOG_ZERO)
        joint = work("joint", tiles, natural.shape[-2], width)
        np.matmul(natural, t.transpose(0, 2, 1), out=joint)
        joint += np.maximum(self.constant, LOG_ZERO)[..., None]

        def collect(resp: Array) -> Array:
            if natural.ndim == 3:
                return np.concatenate([products(resp, t), resp.sum(axis=2)[..., None]], axis=2)
            return np.column_stack([products(resp, t).sum(axis=0), resp.sum(axis=(0, 2))])

        return joint, collect

    def meet_on(self, block: ResidentBlock) -> tuple[Any, Callable[[Any], Array]]:
        natural = np.maximum(np.column_stack([self.natural, self.constant]), LOG_ZERO)
        return products_on(block, BesideOne(self.statistics), natural)

    def finish(self, sums: Array) -> Concluded | None:
        return self.conclude(sums[:, :-1], sums[:, -1])

    def some(self, which: Which) -> RowProducts:
        return replace(self, natural=self.natural[which], constant=self.constant[which])


# Statistics from which on it pays, before the product, to turn the responsibilities round.
MANY_STATISTICS = 64


@dataclass(frozen=True)
class TiledProducts:
    """The same for statistics that have to be worked out and are many.

        joint = eta T,      sums = resp T'

    They are written feature-major, in tiles (tiles, P, w): each column of numbers is contiguous,
    and each product is small enough for the caches and for BLAS to do without repacking.  The
    last statistic is 1; its natural parameters are what is constant.
    """

    form: str
    natural: Array  # (K, P)
    write: Callable[[Array, Array], None]  # T of rows x (tiles, d, w), all but the last of the
    # P, written into (tiles, P - 1, w)
    conclude: Callable[[Array], Concluded | None]  # `finish`, from the sums (K, P)
    in_tiles = True

    def rows(self, d: int) -> int:
        k, p = self.natural.shape[-2:]
        return block_rows(p + d + 3 * k)

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Array]]:
        k, p = self.natural.shape[-2:]
        x = cut_for(self.natural, x)
        tiles, width, _ = x.shape
        t = work("statistics", tiles, p, width)
        self.write(x.transpose(0, 2, 1), t[:, :-1])
        t[:, -1] = 1.0
        joint = np.matmul(self.natural, t, out=work("joint", tiles, k, width))

        def collect(resp: Array) -> Array:
            if self.natural.ndim == 3:
                return products(resp, t.transpose(0, 2, 1))
            if p < MANY_STATISTICS:
                return products(resp, t.transpose(0, 2, 1)).sum(axis=0)
            turned = work("turned", tiles, width, k)
            np.copyto(turned, resp.transpose(0, 2, 1))
            return products(t, turned).sum(axis=0).T

        return joint, collect

    def meet_on(self, block: ResidentBlock) -> tuple[Any, Callable[[Any], Array]]:
        return products_on(block, Written(self.write, self.natural.shape[1]), self.natural)

    def finish(self, sums: Array) -> Concluded | None:
        return self.conclude(sums)

    def some(self, which: Which) -> TiledProducts:
        return replace(self, natural=self.natural[which])


# ---- the same on a device


def products_on(
    block: ResidentBlock, statistics: Statistics, natural: Array
) -> tuple[Any, Callable[[Any], Array]]:
    """``eta T'`` (K, b), and ``resp T`` (K, P) as numpy's, with the statistics T (b, P)."""
    t, device = block.of(statistics), block.device
    return device.to(natural) @ t.T, lambda resp: device.back(resp @ t)


@dataclass(frozen=True)
class BesideOne:
    """Statistics, and a last one that is 1."""

    statistics: Statistics

    def __call__(self, x: Array) -> Array:
        return np.column_stack([self.statistics(x), np.ones(len(x))])


@dataclass(frozen=True)
class Written:
    """The statistics that `TiledProducts` writes, row by row."""

    write: Callable[[Array, Array], None]
    n: int  # P, the last of which is 1

    def __call__(self, x: Array) -> Array:
        t = np.ones((1, self.n, len(x)))
        self.write(x.T[None], t[:, :-1])
        return t[0].T


def checked_density(family: Family, params: Any, x: Array, k: int) -> Array:
    """``family.log_density(params, x)``, (n, K), or FamilyError where it has no such answer."""
    density, shape = np.asarray(family.log_density(params, x)), (len(x), k)
    if density.shape != shape:
        raise FamilyError(
            f"{family.name}.log_density has shape {density.shape}; expected (n, K) = {shape}"
        )
    # One NaN or +inf anywhere shows in the maximum; only then is it looked for.
    if not density.max(initial=-np.inf) < np.inf:
        bad = np.isnan(density) | (density == np.inf)
        row, component = np.unravel_index(int(bad.argmax()), shape)
        raise NoDensity(
            f"{family.name}.log_density gave {density[row, component]} for row {row}, "
            f"component {component}"
        )
    return density
