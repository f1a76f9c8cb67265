"""Components that are alike, pushed apart: shares of the rows from which an M-step leaves a saddle.

Where components are alike, as where a smaller model is embedded in a larger one, EM stands still:
each gets the same share of every row, and the same parameters.  A linear look sees nothing there,
for at an embedded Gaussian the EM map has the eigenvalue 1 along the difference of the means, and
what there is to gain is of fourth order.  A finite push sees it in one step.

One known case: two components that are equal get the two sides of a cut through their rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emframe.spaces import Array

ALIKE = 0.1  # total variation of their shares of the rows, under which two components are alike
NOTHING = 1e-6  # of all rows: a component that has no more than this has none
PUSH = 1.0  # of a log share: about as far as a standard error


def alike(shares: Array, weights: Array) -> list[NDArray[np.intp]]:
    """Groups of components that share the rows alike, of shares (n, K) and row weights (n,)."""
    own = shares * weights[:, None]
    shape = own / np.maximum(own.sum(axis=0), np.finfo(float).tiny)
    left, groups = list(range(shape.shape[1])), []
    while left:
        j = left.pop(0)
        twins = [k for k in left if 0.5 * np.abs(shape[:, j] - shape[:, k]).sum() < ALIKE]
        left = [k for k in left if k not in twins]
        if twins:
            groups.append(np.array([j, *twins]))
    return groups


def spare(shares: Array, weights: Array) -> list[tuple[int, int]]:
    """Pairs of components, the second of which could be anywhere at no cost; arguments of `alike`.

    It is like the first one, which may have its rows, or has none.
    """
    own = weights @ shares
    none = np.flatnonzero(own <= NOTHING * own.sum())
    pairs = [(int(first), int(second)) for first, second, *_ in alike(shares, weights)]
    return pairs + [(int(own.argmax()), int(k)) for k in none if own.any()]


def parted(shares: Array, x: Array, weights: Array, rng: np.random.Generator) -> Array:
    """Shares of the rows (n, K), disturbed; those of each row add up to what they did.

    Each row's share in each component gets a factor of its own.  Components that are alike get the
    sides of random cuts through their rows, where independent factors would average out.  The cuts
    are anywhere, for what an equal share of a normal cluster has to gain may lie in its tail alone.

    Parameters
    ----------
    x, weights : the rows (n, d) as points in space, and their frequencies (n,).
    """
    push = rng.standard_normal(shares.shape)
    for group in alike(shares, weights):
        own = shares[:, group].sum(axis=1) * weights
        own = own / own.sum()
        centred = x - own @ x
        spread = np.sqrt(own @ centred**2)
        along = (centred / np.where(spread > 0, spread, 1.0)) @ rng.standard_normal(x.shape[1])
        even = np.full(len(group), 1.0 / len(group))
        sizes = even if rng.random() < 0.5 else rng.dirichlet(np.ones(len(group)))
        slices = _sliced(along, own, sizes)
        push[:, group] = np.where(slices[:, None] == np.arange(len(group)), 1.0, -1.0)
    total = shares.sum(axis=1, keepdims=True)
    pushed = shares * np.exp(PUSH * push)
    sums = pushed.sum(axis=1, keepdims=True)
    return np.asarray(pushed * np.divide(total, sums, out=np.ones_like(sums), where=sums > 0))


def _sliced(along: Array, own: Array, sizes: Array) -> NDArray[np.intp]:
    """Which slice each row (n,) lies in, from the lowest `along` up.

    Parameters
    ----------
    own : shares of the rows (n,), which sum to 1.
    sizes : of the slices, which do too.
    """
    order = np.argsort(along, kind="stable")
    below = np.empty(len(along))
    below[order] = np.cumsum(own[order]) - 0.5 * own[order]
    return np.searchsorted(np.cumsum(sizes)[:-1], below)
