"""One E-step of a latent times a family over all rows: Bayes' rule block by block, then a Q.

    log p(x_i, z) = log p(z) + log f(x_i | theta_z)        the latent's, and the kernel's, (K, b)

The kernel says how likely a block's rows are under each component; the latent says what each
component has of them; and the kernel collects its sums.  Nothing else is done to rows.

One known case: of a single component it is the sum of the family's own log densities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from emframe.engines import Workspace
from emframe.families import Family, Kernel, rowwise
from emframe.families.kernel import retiled
from emframe.latents import Latent
from emframe.models.expectation import ModelExpectation
from emframe.spaces import Array


class BlockSums(NamedTuple):
    """What a block leaves behind; blocks add."""

    loglik: Any  # a number, or one for each start
    entropy: Any
    choices: Any  # the latent's sums; None where the kernel's counts are all
    sums: Any  # the kernel's

    def __add__(self, other: BlockSums) -> BlockSums:  # type: ignore[override]
        return BlockSums(
            self.loglik + other.loglik,
            self.entropy + other.entropy,
            None if self.choices is None else self.choices + other.choices,
            self.sums + other.sums,
        )


@dataclass(frozen=True)
class ModelPass:
    """The E-step at `params`, by one kernel."""

    latent: Latent
    family: Family
    params: Any
    kernel: Kernel

    def rows(self, d: int) -> int:
        """Rows of d columns that a block should have."""
        return self.kernel.rows(d)

    def block(self, rows: tuple[Any, Array], work: Workspace) -> BlockSums:
        """The sums of rows x (b, d), or of whole runs, with frequency weights (b,)."""
        x, weights = rows
        joint, collect = self._met(x, work)
        found = self.latent.posterior(self.params, joint, x, weights, work)
        return BlockSums(found.loglik, found.entropy, found.sums, collect(found.resp))

    def finish(self, total: BlockSums) -> ModelExpectation | None:
        """Q of all rows from the sums over all blocks; None where too many digits were lost."""
        found = self.kernel.finish(total.sums)
        if found is None:
            return None
        hides_nothing = isinstance(found.entropy, float)
        return ModelExpectation(
            self.latent,
            self.family,
            self.params,
            total.loglik + found.row_terms,
            total.entropy + (found.entropy if hides_nothing else float(found.entropy.sum())),
            found.counts if total.choices is None else total.choices,
            found.statistics,
            form=self.kernel.form,
        )

    def uncertainty(self, rows: tuple[Any, Array], work: Workspace) -> float:
        """-log of the posterior probability of the likeliest z, summed over a block; nats."""
        x, weights = rows
        return self.latent.surprise(self.params, self._met(x, work)[0], x, weights, work)

    def _met(self, x: Any, work: Workspace) -> tuple[Array, Callable[[Array], Any]]:
        seen = self.latent.seen(x)
        met = self.kernel.meet if self.latent.in_tiles else partial(rowwise, self.kernel)
        joint, collect = met(seen, work)
        barred = self.latent.barred(x)
        return (joint if barred is None else joint + retiled(barred, joint.shape)), collect
