"""Gaussian components by triangles: half the work of square matrices, in products of full size.

With the root W of a component's precision, a lower triangle, and rows u centred in the frame,

    E:  log f(x) = constant - 1/2 |W u - W mu|^2
    M:  the second moments of (1, u), weighted by responsibilities; symmetric, so half are enough

Rows of a lower triangle end early.  Rows first .. last of all K triangles are one matrix, and its
product with the first columns of (1, u) is one large product without the zeros to the right: E
goes down the triangles strip by strip, and so does M down the moments.  No statistics are worked
out, which makes it the fastest form for many columns.  E loses fewer digits than an expanded
square, M as many.

One known case: with one strip this is whitening by one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from emframe.engines import Workspace, block_rows
from emframe.families import Concluded
from emframe.families.kernel import Which
from emframe.spaces import Array
from emframe_families.gaussian.expanded import Frame, centred, resolved
from emframe_families.gaussian.scatter import Scatter, own_moments, own_rows

# Rows of a strip: fewer leave out more of the zeros, more are faster products.
STRIP = 8
# A strip of a block comes back to the same rows again and again, which are to stay in the second
# cache meanwhile: a quarter of the usual working set.
NEARER = 4


@dataclass(frozen=True)
class Triangles:
    """K components in strips of their triangles."""

    roots: tuple[Array, ...]  # of each strip, (K * rows, columns) with -W mu before W, over sqrt 2
    constant: Array  # (K,)
    frame: Frame

    form = "triangular"

    def rows(self, d: int) -> int:
        return block_rows(NEARER * ((STRIP + 2) * len(self.constant) + d))

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Array]]:
        k, (b, d) = len(self.constant), x.shape
        u = work("u", d + 1, b)
        u[0] = 1.0
        centred(x.T, self.frame, out=u[1:])
        joint, part = work("joint", k, b), work("part", k, b)
        joint[...] = self.constant[:, None]
        for root in self.roots:
            y = work("strip", len(root), b)
            np.matmul(root, u[: root.shape[1]], out=y)
            y = y.reshape(k, -1, b)
            joint -= np.einsum("ksb,ksb->kb", y, y, out=part)
        return joint, lambda resp: _moments(u, resp, work)

    def finish(self, sums: Array) -> Concluded | None:
        lower = np.tril(sums)
        whole = lower + np.tril(sums, -1).swapaxes(1, 2)
        return resolved(whole[:, 0, 0], whole[:, 1:, 0], whole[:, 1:, 1:], self.frame)

    def some(self, which: Which) -> Triangles:
        k = len(self.constant)
        roots = (root.reshape(k, -1, root.shape[1])[which] for root in self.roots)
        own = tuple(root.reshape(-1, root.shape[2]) for root in roots)
        return Triangles(own, self.constant[which], self.frame)


def triangles(means: Array, whiten: Array, constant: Array, frame: Frame, _: Scatter) -> Triangles:
    """The kernel of components with means (K, d) and roots (K, d, d) of their precisions."""
    d = means.shape[1]
    mu = (means - frame.centre) / frame.scale
    root = whiten * (sqrt(0.5) * frame.scale)
    lines = np.concatenate([-(root @ mu[:, :, None]), root], axis=2)  # (K, d, d + 1)
    strips = [(first, min(first + STRIP, d)) for first in range(0, d, STRIP)]
    return Triangles(
        tuple(lines[:, first:last, : last + 1].reshape(-1, last + 1) for first, last in strips),
        constant,
        frame,
    )


def _moments(u: Array, resp: Array, work: Workspace) -> Array:
    """sum_i r_ik u_i u_i', its lower triangle at least, (K, d + 1, d + 1), of rows u (d + 1, b)."""
    (k, b), n = resp.shape, len(u)
    own = own_rows(resp, n - 1)
    if own is not None:
        return own_moments(u.T[np.nonzero(own)[1]], resp, own)
    sums = np.zeros((k, n, n))
    for first in range(0, n, STRIP):
        last = min(first + STRIP, n)
        weighed = work("strip", k, last - first, b)
        np.multiply(resp[:, None, :], u[first:last], out=weighed)
        # `dot` and not `matmul`, which keeps other threads from running; see `products`.
        strip = np.dot(weighed.reshape(-1, b), u[:last].T)
        sums[:, first:last, :last] = strip.reshape(k, -1, last)
    return sums
