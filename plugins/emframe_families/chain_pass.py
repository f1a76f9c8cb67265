"""One E-step of a hidden Markov model over many runs: a family's kernel, and sums over paths.

A row's share in a state is to the family what a mixture's responsibility is, so that the kernels
that are fast for a mixture are for a chain.  They are given no weights of components: what picks
the state is the path.  A term that depends on the row alone is a factor of every path, so it may
be left out of the blocks here as well.

One known case: runs of a single row make it the E-step of a mixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from emframe import Array, Degenerate
from emframe.engines import Workspace
from emframe.families import LOG_ZERO, Kernel
from emframe.families.kernel import retiled, untiled
from emframe.models.latent import LatentExpectation
from emframe.models.mixture_pass import BlockSums
from emframe_families.paths import path_posterior

_SPARE = 2  # times the rows of a kernel's block that it is shown at once


@dataclass(frozen=True)
class PathSums:
    """What is expected of the paths; it adds over runs."""

    begins: Array  # (K,)  runs by the state they begin in
    steps: Array  # (K, K)  steps from state to state
    emissions: Any  # the family's sums

    def __add__(self, other: PathSums) -> PathSums:
        return PathSums(
            self.begins + other.begins,
            self.steps + other.steps,
            self.emissions + other.emissions,
        )

    def __mul__(self, factor: float) -> PathSums:
        return PathSums(self.begins * factor, self.steps * factor, self.emissions * factor)


@dataclass(frozen=True)
class ChainPass:
    """The E-step at `params`, by one kernel of the family."""

    model: Any  # a `HiddenMarkov`
    params: Any
    kernel: Kernel

    def rows(self, d: int) -> int:
        """Rows of d columns that a block should have."""
        return self.kernel.rows(d)

    def block(self, runs: tuple[Any, Array], work: Workspace) -> BlockSums:
        """The `PathSums` of whole runs with frequency weights (S,), by the kernel's own sums."""
        x, weights = runs
        parts = list(self._parts(x.x))
        meet = self._meet(x.x, work) if len(parts) == 1 else None
        log_b = self._gathered(x.x, parts, work) if meet is None else meet[0]
        found = path_posterior(self.params.initial, self.params.transitions, log_b.T, x, weights)
        if not np.isfinite(found.loglik).all():
            run = int((~np.isfinite(found.loglik)).argmax())
            raise Degenerate(f"a run has density zero along every path: number {run} of its block")
        shares = found.states.T
        begins = shares[:, x.firsts] @ weights
        if (weights != 1.0).any():
            shares = shares * np.repeat(weights, x.lengths)
        if meet is None:  # what the blocks were made of has gone, and is made again
            sums = reduce(add, (self._meet(x.x[part], work)[1](shares[:, part]) for part in parts))
        else:
            sums = meet[1](shares)
        paths = PathSums(begins, found.steps, sums)
        return BlockSums(float(found.loglik @ weights), found.entropy, paths)

    def finish(self, total: BlockSums) -> LatentExpectation | None:
        """Q of all runs from the sums over all blocks; None where too many digits were lost."""
        found = self.kernel.finish(total.sums.emissions)
        if found is None:
            return None
        paths = PathSums(total.sums.begins, total.sums.steps, found.statistics)
        loglik = total.loglik + found.row_terms
        return LatentExpectation(self.model, self.params, loglik, total.entropy, paths)

    def uncertainty(self, runs: tuple[Any, Array], work: Workspace) -> float:
        """-log of the posterior probability of each run's likeliest path."""
        return float(self.model.uncertainty(self.params, *runs))

    def _parts(self, x: Array) -> Iterator[slice]:
        size = self.kernel.rows(x.shape[1])
        if len(x) <= _SPARE * size:
            size = len(x)
        return (slice(first, first + size) for first in range(0, len(x), size))

    def _gathered(self, x: Array, parts: list[slice], work: Workspace) -> Array:
        """log f(x_t | z_t = k), less terms of the row alone, of rows in several parts, (K, n)."""
        log_b = np.empty((len(self.params.transitions), len(x)))
        for part in parts:
            log_b[:, part] = self._meet(x[part], work)[0]
        return log_b

    def _meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Any]]:
        """The same of one part, (K, b), in the workspace; and its sums from shares (K, b)."""
        joint, collect = self.kernel.meet(x, work)
        log_b = untiled(joint, len(x))
        if log_b.min() < LOG_ZERO * 1e-100:  # what stands for log 0 in products
            log_b = np.where(log_b < LOG_ZERO * 1e-100, -np.inf, log_b)
        return log_b, lambda shares: collect(retiled(shares, joint.shape))
