"""One E-step of a mixture over all rows: Bayes' rule block by block, then the sums make a Q.

    log p(x_i, z_k) = log w_k + log f(x_i | theta_k)        the kernel's, (K, b)
    r_ik = p(z_k | x_i) = p(x_i, z_k) / sum_k p(x_i, z_k)   a softmax

(Bishop 2006, eq. 9.23).  Components lead and rows follow in memory, so every operation is a
sweep along rows.  A softmax does not change with a shift, so none is made unless a block needs
it: where every row's total is within the range of floating point, exp of the joint is enough.

One known case: with K = 1 the responsibilities are the weights of the rows and the entropy is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from emframe.core import Degenerate
from emframe.engines import Workspace
from emframe.families import LOG_ZERO, Family, FamilyError, Kernel
from emframe.models.mixture_expectation import MixtureExpectation, MixtureParameters
from emframe.spaces import Array

# Totals of a row between these are exact to rounding, and so is everything made of them, the ratio
# of a weight to a total included: a weight may be as large as 1e100, or as small.
_SMALLEST, _LARGEST = 1e-200, 1e200


class Posterior(NamedTuple):
    """p(z | x) of a block of rows, and what it says of them."""

    resp: Array  # (K, b), or in tiles; responsibilities times row weights
    loglik: Any  # a number, or one for each start
    entropy: Any
    collect: Callable[[Array], Any]  # the family's sums of the block, from `resp`


@dataclass(frozen=True)
class BlockSums:
    """What a block leaves behind; blocks add."""

    loglik: Any  # a number, or one for each start
    entropy: Any
    sums: Any  # the kernel's

    def __add__(self, other: BlockSums) -> BlockSums:
        return BlockSums(
            self.loglik + other.loglik,
            self.entropy + other.entropy,
            self.sums + other.sums,
        )


@dataclass(frozen=True)
class MixturePass:
    """The E-step at `params`, by one kernel."""

    family: Family
    params: MixtureParameters | None  # None where there are many
    kernel: Kernel
    n_starts: int | None = None  # S where the components are those of several, start after start

    def rows(self, d: int) -> int:
        """Rows of d columns that a block should have."""
        return self.kernel.rows(d)

    def block(self, rows: tuple[Array, Array], work: Workspace) -> BlockSums:
        """The sums of rows x (b, d) with frequency weights (b,)."""
        resp, loglik, entropy, collect = self.posterior(*rows, work)
        return BlockSums(loglik, entropy, collect(resp))

    def finish(self, total: BlockSums) -> MixtureExpectation | None:
        """Q of all rows from the sums over all blocks; None where too many digits were lost."""
        found = self.kernel.finish(total.sums)
        if found is None or self.params is None:
            return None
        return MixtureExpectation(
            self.family,
            self.params,
            total.loglik + found.row_terms,
            total.entropy + float(np.sum(found.entropy)),
            found.counts,
            found.statistics,
            form=self.kernel.form,
        )

    def uncertainty(self, rows: tuple[Array, Array], work: Workspace) -> float:
        """-sum of log max_k p(z_k | x) over a block of rows, nats, row weights included."""
        x, weights = rows
        # Not of weighted rows, for beside a weight of 1e300 one of 1e-300 is 0.
        highest = self.posterior(x, np.ones(len(x)), work).resp.max(axis=-2).ravel()[: len(x)]
        return -float(np.log(highest) @ weights)

    def posterior(self, x: Array, weights: Array, work: Workspace) -> Posterior:
        """Responsibilities of a block, in the workspace."""
        joint, collect = self.kernel.meet(x, work)
        *tiles, k, width = whole = joint.shape
        if joint.size > k * len(x):  # rows that fill up a tile weigh nothing
            weights = np.append(weights, np.zeros(joint.size // k - len(x)))
        weights = weights.reshape(*tiles, width)
        if self.n_starts is not None:
            joint = joint.reshape(-1, self.n_starts, k // self.n_starts, width)
            weights = weights.reshape(-1, 1, width)
        *rows, _, _ = joint.shape
        resp = work("resp", *joint.shape)
        total, share = work("total", *rows, width), work("share", *rows, width)
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            np.add.reduce(np.exp(joint, out=resp), axis=-2, out=total)
            shift: Any = 0.0
            if not (total.min() > _SMALLEST and total.max() < _LARGEST):
                highest = self._highest(joint, x)
                joint -= highest[..., None, :]
                np.maximum(joint, LOG_ZERO, out=joint)
                np.add.reduce(np.exp(joint, out=resp), axis=-2, out=total)
                shift = self._sum(highest, weights)
            resp *= np.divide(weights, total, out=share)[..., None, :]
            log_total = self._sum(np.log(total, out=total), weights)
            # -sum r log r, with log r = joint - log total.
            entropy = log_total - self._sum(resp, joint)
            if np.isnan(entropy).any():  # a component impossible for a row: 0 times -inf
                np.maximum(joint, LOG_ZERO, out=joint)
                entropy = log_total - self._sum(resp, joint)
        return Posterior(resp.reshape(whole), shift + log_total, entropy, collect)

    def _sum(self, one: Array, other: Array) -> Any:
        """The sum of their product, of each start where there are several."""
        if self.n_starts is None:
            return float(np.vdot(one, other))
        axes = "tsw" if one.ndim == 3 else "tskw"  # tiles, starts, components, rows
        return np.einsum(f"{axes},{axes}->s", one, other)

    def _highest(self, joint: Array, x: Array) -> Array:
        """The largest entry of each row, where all are what a log density may be."""
        highest = joint.max(axis=-2)
        if np.isnan(highest).any() or highest.max() > -LOG_ZERO * 1e-100:
            raise FamilyError(f"{self.family.name} gave a log density of {highest.max()}")
        if highest.min() < LOG_ZERO * 1e-100:
            component = None
            if self.n_starts is not None:  # of which start: told by its first component
                start = int(highest.min(axis=(0, 2)).argmin())
                component, highest = start * joint.shape[-2], highest[:, start]
            row = int(highest.argmin())
            raise Degenerate(f"a row has density zero under every component: {x[row]}", component)
        return np.asarray(highest)
