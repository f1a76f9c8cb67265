"""What the M-step of t components needs: the rows, and what the E-step made of them already.

The tail of a t density is no sum over rows of anything that knows no parameters, so the rows are
kept.  What else the E-step knows of a block goes with them: the rows' distances from the components
it was taken at, and their scatter with r u in the place of r.  At those parameters nothing is
computed twice; at others it is found from the rows.

One known case: `Held` from the family's own `accumulate` has met no parameters, and gives the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np

from emframe.engines import Workspace, block_rows
from emframe.families import Concluded
from emframe.spaces import Array
from emframe_families.gaussian.scatter import Scatter
from emframe_families.student.components import Components


class Block(NamedTuple):
    """Some rows."""

    x: Array  # (b, d)
    resp: Array  # (K, b)


@dataclass(frozen=True)
class Met:
    """What an E-step at `at` made of rows; it adds block by block."""

    at: Any
    distances: tuple[Array, ...]  # (K, b)  squared
    scatter: Scatter  # with r u in the place of r

    def __add__(self, other: Met) -> Met:
        return Met(self.at, self.distances + other.distances, self.scatter + other.scatter)


@dataclass(frozen=True)
class Pseudo:
    """What a prior adds to Q: pseudo-data given u = 1, and -rate / dof for each component."""

    scatter: Scatter
    rates: Array  # (K,)

    def __add__(self, other: Pseudo) -> Pseudo:
        return Pseudo(self.scatter + other.scatter, self.rates + other.rates)

    def __mul__(self, factor: float) -> Pseudo:
        return Pseudo(self.scatter * factor, self.rates * factor)

    def repeated(self, times: int) -> Pseudo:
        """The same components so many times."""
        return Pseudo(self.scatter.repeated(times), np.tile(self.rates, times))


@dataclass(frozen=True)
class Held:
    """Rows and responsibilities, block by block; they add by lying side by side."""

    blocks: tuple[Block, ...]
    pseudo: Pseudo | None = None
    met: Met | None = None

    def __add__(self, other: Held) -> Held:
        both = [one.pseudo for one in (self, other) if one.pseudo is not None]
        met = None
        if self.met is not None and other.met is not None and self.met.at is other.met.at:
            met = self.met + other.met
        return Held(self.blocks + other.blocks, reduce(add, both) if both else None, met)

    def __mul__(self, factor: float) -> Held:
        pseudo = None if self.pseudo is None else self.pseudo * factor
        return Held(tuple(Block(x, resp * factor) for x, resp in self.blocks), pseudo)

    def repeated(self, times: int) -> Held:
        """The same components so many times."""
        blocks = tuple(Block(x, np.tile(resp, (times, 1))) for x, resp in self.blocks)
        return Held(blocks, None if self.pseudo is None else self.pseudo.repeated(times))

    @property
    def counts(self) -> Array:
        """Sum of responsibilities, (K,)."""
        return np.asarray(sum(block.resp.sum(axis=1) for block in self.blocks))

    def distances(self, here: Components) -> tuple[Array, ...]:
        """Squared distances of each block's rows from these components, (K, b)."""
        if self.met is not None and self.met.at is here.params:
            return self.met.distances
        return tuple(here.distances(block.x) for block in self.blocks)

    def met_at(self, here: Components) -> Met:
        """What the E-step makes of the rows at these components, known already or not."""
        if self.met is not None and self.met.at is here.params:
            return self.met
        found = self.distances(here)
        blocks = zip(self.blocks, found, strict=True)
        return Met(
            here.params, found, reduce(add, (here.scatter(*b, delta) for b, delta in blocks))
        )


@dataclass(frozen=True)
class StudentKernel:
    """The kernel: joint densities by the distances, which the M-step is handed as well."""

    components: Components
    constants: Array  # (K,)

    form = "rows"

    def rows(self, d: int) -> int:
        return block_rows(3 * len(self.constants) * (d + 3))

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Held]]:
        here = self.components
        distance = here.distances(x)
        joint = here.log_density(distance) + self.constants[:, None]

        def collect(resp: Array) -> Held:
            block = Block(x, resp.copy())  # the workspace moves on
            met = Met(here.params, (distance,), here.scatter(*block, distance))
            return Held((block,), met=met)

        return joint, collect

    def finish(self, sums: Held) -> Concluded:
        return Concluded(sums, sums.counts)
