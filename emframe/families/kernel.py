"""How a family's components meet the data: block after block, E and M in one visit.

What the E-step makes of a block (its statistics, the whitened rows) the M-step needs again, so
a kernel hands both out together: the joint log densities, and a function that collects the sums
once the responsibilities are known.  It is made anew for each E-step, with all that depends on
the parameters alone worked out beforehand.

The log weights of the components are natural parameters of the complete data (z, x) like any
others, so they enter here; a term that depends on the row alone does not change p(z | x), so a
kernel may leave it out of the blocks and add its sum at the end.

One known case: `Densities`, which asks the family's own two functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from emframe.engines import Workspace
from emframe.spaces import Array

if TYPE_CHECKING:
    from emframe.families.base import Family

# Stands for log 0 inside matrix products, where -inf times 0 would be nan: any product with it
# is far beyond what a density can be.
LOG_ZERO = -1e300


class FamilyError(RuntimeError):
    """A family broke its own declaration: a wrong shape, a NaN, a parameter outside its space."""


@dataclass(frozen=True)
class Survey:
    """What is known of the data before the first E-step."""

    statistics: Any  # the family's `whole`
    n_rows: int  # rows that a pass reads


class Kernel(Protocol):
    """K components at fixed parameters."""

    @property
    def form(self) -> str:
        """How it computes, in a word or two, for reports."""

    def numbers(self, d: int) -> int:
        """Numbers of work space that a row of d columns takes."""

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Any]]:
        """The block x (b, d): log w_k + log f(x_i | theta_k), less terms of the row alone, as
        (K, b) that the caller may overwrite; and ``collect(resp)``, the sums of the block under
        responsibilities (K, b), row weights included.  Sums add."""

    def finish(self, sums: Any) -> tuple[Any, float] | None:
        """The family's statistics from the sums over all rows, and the sum over rows, with their
        weights, of the terms that were left out.  None where too many digits were lost."""


@dataclass(frozen=True)
class Densities:
    """The kernel of any family, from ``log_density`` and ``accumulate``."""

    family: Family
    params: Any
    log_weights: Array  # (K,)

    form = "densities"

    def numbers(self, d: int) -> int:
        """A guess that serves most: a few arrays of shape (K, d)."""
        return 2 * len(self.log_weights) * (d + 4)

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Any]]:
        density = checked_density(self.family, self.params, x, len(self.log_weights))
        joint = np.add(density.T, self.log_weights[:, None], out=work("joint", *density.T.shape))

        def collect(resp: Array) -> Any:
            view = resp.T
            view.flags.writeable = False
            return self.family.accumulate(x, view)

        return joint, collect

    def finish(self, sums: Any) -> tuple[Any, float]:
        return sums, 0.0


@dataclass(frozen=True)
class Products:
    """The kernel of an exponential family: E and M are one matrix product each.

        joint = eta T,      sums = resp T'

    with the statistics T (P, b) feature-major, so that the softmax over components runs along
    contiguous memory.  The last statistic is 1; its natural parameters are what is constant.
    """

    form: str
    natural: Array  # (K, P)
    statistics: Callable[[Array, Workspace], Array]  # block x (b, d) -> T (P, b)
    conclude: Callable[[Array], tuple[Any, float] | None]  # `finish`, from the sums (K, P)

    def numbers(self, d: int) -> int:
        k, p = self.natural.shape
        return p + d + 2 * k

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Array]]:
        t = self.statistics(x, work)
        joint = np.matmul(self.natural, t, out=work("joint", len(self.natural), len(x)))
        return joint, lambda resp: resp @ t.T

    def finish(self, sums: Array) -> tuple[Any, float] | None:
        return self.conclude(sums)


def feature_major(x: Array, work: Workspace) -> Array:
    """The block x (b, d) as (d, b) in contiguous memory."""
    turned = work("x", *x.T.shape)
    np.copyto(turned, x.T)
    return turned


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
        raise FamilyError(
            f"{family.name}.log_density gave {density[row, component]} for row {row}, "
            f"component {component}"
        )
    return density
