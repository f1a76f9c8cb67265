"""An E-step in which each row sees a few of the components: those of its neighbourhood.

Rows are in groups, and the rows of group c see the components ``sets[c]``, as if there were no
others.  What is had of a row then is

    F_i  =  log sum_{k in its set} p(x_i, z_k)   <=   log p(x_i)

and the mean of z under the posterior within the set: a free energy, with which EM's books balance
as they do with the log-likelihood (Neal and Hinton 1998, section 5; Luecke and Eggert 2010, JMLR
11, 2855).  A group is one small block of any kernel, so that the E-step of K components takes the
time of a mixture of as many as a set has.

One known case: where each set holds all components this is the E-step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from emframe.engines import Workspace
from emframe.families import Densities, Kernel
from emframe.families.joined import Each
from emframe.families.kernel import Gathered, Which, alone, checked_density
from emframe.models.components import taken
from emframe.models.expectation import ModelExpectation
from emframe.models.model_pass import BlockSums, ModelPass
from emframe.spaces import Array

Labels = NDArray[np.unsignedinteger[Any]]
# Rows of a block for each group, on average, and of a tile where groups are met together: a group's
# last tile is filled up with rows that weigh nothing.
GROUP, TILE = 256, 32


class RowsInGroup(NamedTuple):
    """Rows that are met at once, and what they see."""

    which: NDArray[np.intp]  # (C,) the components that all of them see; or (T, C), of each tile
    mine: NDArray[np.intp]  # (m,) their places in the block
    weights: Array  # (m,), 0 where a row is there to fill up a tile
    kernel: Kernel


@dataclass(frozen=True)
class SparsePass:
    """The E-step of `whole` by a kernel that tells some of its components alone."""

    whole: ModelPass
    sets: NDArray[np.intp]  # (K, C) the components that the rows of each group see

    @classmethod
    def each(
        cls, model: Any, params: Any, survey: Any, sets: NDArray[np.intp]
    ) -> Iterator[SparsePass]:
        """The pass by each of a model's kernels that has such a form; the last always has."""
        for one in model.passes(params, survey):
            if alone(one.kernel, sets[0]) is not None:
                yield cls(one, sets)
        kernel = SomeDensities(model.family, params.components, model.latent.constants(params))
        yield cls(ModelPass(model.latent, model.family, params, kernel), sets)

    @property
    def block_rows(self) -> int:
        """Rows of a block."""
        return GROUP * len(self.sets)

    def block(self, x: Any, weights: Array, labels: Labels) -> BlockSums:
        """The sums of rows x (b, d) with frequency weights (b,), of these groups (b,)."""
        one, work = self.whole, Workspace()
        loglik, entropy, sums = 0.0, 0.0, None
        for seen in self._seen(x, weights, labels):
            rows = x[seen.mine]
            joint, collect = seen.kernel.meet(rows, work)
            found = one.latent.posterior(one.params, joint, rows, seen.weights, work)
            loglik, entropy = loglik + found.loglik, entropy + found.entropy
            sums = placed(sums, collect(found.resp), seen.which, len(self.sets))
        return BlockSums(loglik, entropy, None, sums)

    def finish(self, total: BlockSums) -> ModelExpectation | None:
        """Q of all rows, with F in the place of the log-likelihood."""
        return self.whole.finish(total)

    def likeliest(self, x: Any, weights: Array, labels: Labels) -> Labels:
        """The likeliest component of each row among those it sees, (b,)."""
        found, work = np.empty_like(labels), Workspace()
        for seen in self._seen(x, weights, labels):
            joint, _ = seen.kernel.meet(x[seen.mine], work)
            place = joint.argmax(axis=-2)
            which = np.broadcast_to(seen.which, (*joint.shape[:-2], joint.shape[-2]))
            found[seen.mine] = np.take_along_axis(which, place, axis=-1).ravel()[: len(seen.mine)]
        return found

    def _seen(self, x: Any, weights: Array, labels: Labels) -> Iterator[RowsInGroup]:
        """The rows of a block, group after group."""
        order = np.argsort(labels, kind="stable")
        sizes = np.bincount(labels, minlength=len(self.sets))
        if getattr(self.whole.kernel, "in_tiles", False):
            yield from self._in_tiles(x.shape[1], weights, order, sizes)
            return
        firsts = np.cumsum(sizes) - sizes
        for c in np.flatnonzero(sizes):
            kernel = _some(self.whole.kernel, self.sets[c])
            step = kernel.rows(x.shape[1])
            for begin in range(0, sizes[c], step):
                mine = order[firsts[c] :][begin : min(begin + step, sizes[c])]
                yield RowsInGroup(self.sets[c], mine, weights[mine], kernel)

    def _in_tiles(
        self, d: int, weights: Array, order: NDArray[np.intp], sizes: NDArray[np.intp]
    ) -> Iterator[RowsInGroup]:
        """The same in tiles of one group each, as many as are one block of the kernel."""
        tiles = -(-sizes // TILE)
        of_group = np.repeat(np.arange(len(sizes)), tiles)
        within = np.arange(len(of_group)) - np.repeat(np.cumsum(tiles) - tiles, tiles)
        place = within[:, None] * TILE + np.arange(TILE)
        last = sizes[of_group][:, None] - 1
        firsts = (np.cumsum(sizes) - sizes)[of_group][:, None]
        mine = order[firsts + np.minimum(place, last)]
        each = np.where(place <= last, weights[mine], 0.0)
        step = max(1, _some(self.whole.kernel, self.sets[:1]).rows(d) // TILE)
        for begin in range(0, len(mine), step):
            part = slice(begin, begin + step)
            which = self.sets[of_group[part]]
            kernel = _some(self.whole.kernel, which)
            yield RowsInGroup(which, mine[part].ravel(), each[part].ravel(), kernel)


def _some(kernel: Kernel, which: NDArray[np.intp]) -> Kernel:
    found = alone(kernel, which)
    assert found is not None
    return found


@dataclass(frozen=True)
class SomeDensities(Densities):
    """A family's own two functions: the density of some components, and the sums of all.

    It does without the one form that a family may lack, sums that lead with components.
    """

    which: Which | None = None

    def some(self, which: Which) -> SomeDensities:
        return replace(self, which=which)

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Gathered]]:
        assert self.which is not None
        k, which = len(self.constants), self.which
        unlike = isinstance(self.params, tuple)  # of which none may be left without a component
        some = self.params if unlike else taken(self.params, which)
        density = checked_density(self.family, some, x, k if unlike else len(which)).T
        joint = (density[which] if unlike else density) + self.constants[which, None]

        def collect(resp: Array) -> Gathered:
            shares = np.zeros((k, len(x)))
            shares[which] = resp
            found = self.family.completed(self.params, x, shares.T)
            return Gathered(*found, shares.sum(axis=1))

        return joint, collect


def placed(total: Any, sums: Any, which: NDArray[np.intp], k: int) -> Any:
    """Sums of some components added to those of all K: `total`, None for nothing yet.

    What is no array is of all K already.
    """
    if isinstance(sums, Each):
        pairs = zip(
            [None] * len(sums.parts) if total is None else total.parts, sums.parts, strict=True
        )
        return Each(tuple(placed(mine, own, which, k) for mine, own in pairs))
    if not isinstance(sums, np.ndarray):
        return sums if total is None else total + sums
    if which.ndim == 1:
        total = np.zeros((k, *sums.shape[1:])) if total is None else total
        total[which] += sums
        return total
    ends = np.arange(which.size + 1)
    to_all = csr_array((np.ones(which.size), which.ravel(), ends), shape=(which.size, k)).T
    found = (to_all @ sums.reshape(which.size, -1)).reshape(k, *sums.shape[2:])
    return found if total is None else total + found
