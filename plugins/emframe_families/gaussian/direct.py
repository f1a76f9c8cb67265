"""Gaussian components each about its own mean, so that no digit cancels.

    E:  log f(x) = constant - 1/2 |W (x - mu)|^2,   W' W = Sigma^-1, a triangle
    M:  the scatter about the current mean, corrected to the new one

One known case: a component of any size anywhere, at full precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.engines import ResidentBlock, Workspace, as_they_are, block_rows, products
from emframe.families import Concluded
from emframe.families.kernel import Which
from emframe.spaces import Array
from emframe_families.gaussian.expanded import MOST_AFTER, per_count
from emframe_families.gaussian.scatter import Scatter, own_moments, own_rows, transposed


@dataclass(frozen=True)
class Direct:
    """Rows centred at each component, then whitened."""

    means: Array  # (K, d)
    whiten: Array  # (K, d, d) lower triangles, or (K, d)
    constant: Array  # (K,)

    form = "direct"

    def rows(self, d: int) -> int:
        return block_rows(2 * len(self.means) * (d + 1) + d)

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Array]]:
        (k, d), b = self.means.shape, len(x)
        moved = work("moved", k, d + 1, b)  # with a last row for the counts
        centred, white = moved[:, :d], work("white", k, d, b)
        turned = work("x", d, b)
        np.copyto(turned, x.T)
        np.subtract(turned, self.means[:, :, None], out=centred)
        if self.whiten.ndim == 2:
            np.multiply(centred, self.whiten[:, :, None], out=white)
        else:
            _triangular_product(self.whiten, centred, out=white)
        np.square(white, out=white)
        joint = np.add.reduce(white, axis=1, out=work("joint", k, b))
        joint *= -0.5
        joint += self.constant[:, None]
        return joint, lambda resp: self._collect(moved, resp)

    def meet_on(self, block: ResidentBlock) -> tuple[Any, Callable[[Any], Array]]:
        """The same on a device, rows before columns."""
        x, (xp, to) = block.of(as_they_are), (block.device.xp, block.device.to)
        means, whiten = to(self.means), to(self.whiten)
        centred = x[None, :, :] - means[:, None, :]  # (K, b, d)
        diagonal = self.whiten.ndim == 2
        white = centred * whiten[:, None, :] if diagonal else centred @ xp.matrix_transpose(whiten)
        joint = to(self.constant)[:, None] - 0.5 * xp.sum(white * white, axis=2)

        def collect(resp: Any) -> Array:
            moved = xp.concat([centred, xp.ones_like(centred[:, :, :1])], axis=2)
            weighed = moved * resp[:, :, None]
            if diagonal:
                sums = [xp.sum(weighed, axis=1), xp.sum(weighed * moved, axis=1)]
                return block.device.back(xp.stack(sums, axis=2))
            return block.device.back(xp.matrix_transpose(moved) @ weighed)

        return joint, collect

    def _collect(self, moved: Array, resp: Array) -> Array:
        """Second moments about the current means of the centred row and 1, (K, d+1, d+1)."""
        moved[:, -1] = 1.0
        if self.whiten.ndim == 2:
            first = products(moved, resp[:, :, None])
            second = products(np.square(moved, out=moved), resp[:, :, None])
            return np.concatenate([first, second], axis=2)
        own = own_rows(resp, moved.shape[1] - 1)
        if own is not None:
            component, row = np.nonzero(own)
            return own_moments(moved[component, :, row], resp, own)
        moved *= np.sqrt(resp)[:, None, :]
        return products(moved, transposed(moved))

    def finish(self, sums: Array) -> Concluded | None:
        counts, first = sums[:, -1, -1], sums[:, :-1, -1]
        if self.whiten.ndim == 2:
            first, second = sums[:, :-1, 0], sums[:, :-1, 1]
        else:
            second = sums[:, :-1, :-1]
        shift = per_count(first, counts)
        if self.whiten.ndim == 2:
            spread = scatter = second - first * shift
        else:
            scatter = second - first[:, :, None] * shift[:, None, :]
            spread = scatter.diagonal(0, 1, 2)
        if not (first * shift / MOST_AFTER <= spread).all():
            return None
        return Concluded(Scatter(counts, self.means + shift, scatter, counts), counts)

    def some(self, which: Which) -> Direct:
        return Direct(self.means[which], self.whiten[which], self.constant[which])


def _triangular_product(lower: Array, x: Array, out: Array) -> None:
    """``lower @ x`` for stacks of lower triangles, strip by strip, most of the zeros left out."""
    d = lower.shape[1]
    strip = max(32, -(-d // 8))
    for first in range(0, d, strip):
        last = min(first + strip, d)
        np.matmul(lower[:, first:last, :last], x[:, :last], out=out[:, first:last])
