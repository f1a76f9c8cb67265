"""Independent normal columns with gaps by products: squares and values, 0 where nothing is shown.

    log f(x_o | mu, sigma) = sum over the columns j shown of
                             -1/2 [ log(2 pi sigma_j^2) + (x_j - mu_j)^2 / sigma_j^2 ]

What a row hides of a column is N(mu_j, sigma_j^2) whatever it shows, so the completed scatter
follows from what each column shows of each component, and no pattern of gaps is looked for.

One known case: without gaps it is the quadratic form of complete rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import pi
from typing import Any

import numpy as np

from emframe.engines import Workspace
from emframe.families import Concluded, RowProducts, ShownProducts, Survey
from emframe.spaces import Array
from emframe_families.gaussian.expanded import Frame, digits_at_risk, resolved
from emframe_families.gaussian.kernels import MOST_EXPANSION
from emframe_families.gaussian.scatter import Scatter


def squares(u: Array) -> Array:
    """Statistics of one column u (n, 1) in its frame, (n, 2)."""
    return np.concatenate([u, u * u], axis=1)


def as_they_are(totals: Array, counts: Array) -> Concluded:
    """Sums of u and of its square, and of the rows that show it, (3, K)."""
    return Concluded(np.vstack([totals.T, counts]), counts)


@dataclass(frozen=True)
class ShownSquares:
    """The kernel; it works about one centre for all components."""

    means: Array  # (K, d)
    variances: Array  # (K, d)
    constants: Array  # (K,)
    frame: Frame
    products: ShownProducts

    form = "quadratic"

    @classmethod
    def of(cls, means: Array, variances: Array, constants: Array, frame: Frame) -> ShownSquares:
        """At these parameters."""
        mu, precision = (means - frame.centre) / frame.scale, frame.scale**2 / variances
        constant = -0.5 * (np.log(2 * pi * variances) + precision * mu**2)
        each = [
            RowProducts(np.stack([p * m, -0.5 * p], axis=1), c, squares, as_they_are)
            for p, m, c in zip(precision.T, mu.T, constant.T, strict=True)
        ]
        products = ShownProducts.of(each, constants, 0.0, np.stack)
        return cls(means, variances, constants, frame, products)

    def rows(self, d: int) -> int:
        return self.products.rows(d)

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Any]]:
        u = np.subtract(x, self.frame.centre, out=work("framed", *x.shape))
        if (self.frame.scale != 1.0).any():
            u /= self.frame.scale
        return self.products.meet(u, work)

    def finish(self, sums: Any) -> Concluded | None:
        found = self.products.finish(sums)
        assert found is not None  # sums as they are lose nothing
        first, second, counts = found.statistics.transpose(1, 2, 0)  # (K, d) each
        each = (counts.ravel(), first.reshape(-1, 1), second.reshape(-1, 1))
        shown = resolved(*each, Frame(np.zeros(1), np.ones(1)))
        if shown is None:
            return None
        means, spread = (
            getattr(shown.statistics, name).reshape(counts.shape) for name in ("means", "scatter")
        )
        means, spread = self.frame.centre + self.frame.scale * means, self.frame.scale**2 * spread
        # What is hidden has the mean and the variance of its component.
        n = found.counts
        hidden = np.maximum(n[:, None] - counts, 0.0)
        share = np.divide(hidden, n[:, None], out=np.zeros_like(hidden), where=n[:, None] > 0)
        shift = self.means - means
        scatter = spread + hidden * self.variances + counts * share * shift**2
        entropy = 0.5 * (hidden * (1.0 + np.log(2 * pi * self.variances))).sum(axis=1)
        return Concluded(Scatter(n, means + share * shift, scatter, n), n, entropy=entropy)


def shown_squares(params: Any, constants: Array, survey: Survey) -> Iterator[ShownSquares]:
    """The kernel where expanded squares keep their digits; none elsewhere."""
    frame = Frame.of(survey.statistics.filled())
    variances = params.variances
    at_risk = digits_at_risk(params.means - frame.centre, 1.0 / np.sqrt(variances), variances)
    if at_risk <= MOST_EXPANSION * survey.spare:
        yield ShownSquares.of(params.means, variances, constants, frame)
