"""Away from an optimum, but not far: merge two components and split one, or only split one.

A poor optimum of a mixture often has two components where one would do and one where two are
needed, and no small step leads from it to a better one.  So two components are merged and their
place is given to the parts of another (Ueda, Nakano, Ghahramani and Hinton 2000, Neural
Computation 12, 2109), or to parts of the two together, which then begin anew while all others
stay:

    merge  i, j   by the overlap of their responsibilities, the cosine of the two columns
    split  k      by how badly it describes its own rows, the divergence of the rows that it is
                  responsible for from its density (section 3.2)

The moves are tried from the most promising on, in rounds without end.  A component is cut across
a direction in one round and in the next a core is cut out of it, a tight cluster that a broad
component covers; which direction and which core is drawn at random.  Two that begin anew are
always cut that way: it is the move that leads to better optima most often.

Where there is room for a component more, one is split and none merged: from the optimum of a
mixture with K components that leads to optima of one with K + 1.

One known case: two components that are equal overlap entirely, and are merged first.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, cycle

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, xlogy

from emframe.spaces import Array

# How many pairs to merge, and how many other components to split in the place of each.
PAIRS, SPLITS = 6, 3
# How many of the components that overlap most, and of the lightest, are spared in turn.
SPARED = 3


def split_and_merge(
    resp: Array, log_density: Array, x: Array, weights: Array, rng: np.random.Generator
) -> Iterator[Array]:
    """Responsibilities (n, K) to start from, the most promising first.

    None where K < 3: to begin anew is then to begin.

    Parameters
    ----------
    resp : (n, K) at the optimum.
    log_density : (n, K) log density of each row under each component, there.
    x, weights : the rows (n, d) and their frequencies (n,).
    """
    k = resp.shape[1]
    if k < 3:
        return
    overlap = _overlap(resp, weights)
    misfit = _misfit(resp, log_density, weights)
    pairs = sorted(combinations(range(k), 2), key=lambda pair: -overlap[pair])
    worst = [int(index) for index in np.argsort(-misfit)]
    plan = [
        (rank + order, i, j, one)
        for rank, (i, j) in enumerate(pairs[:PAIRS])
        for order, one in enumerate([i, *(one for one in worst if one not in (i, j))][: 1 + SPLITS])
    ]
    plan.sort(key=lambda move: move[0])
    for cut, (_, i, j, one) in ((cut, move) for cut in cycle((across, _core)) for move in plan):
        new = resp.copy()
        new[:, i] += resp[:, j]
        whole = new[:, one]
        if not weights @ whole > 0:  # it has no rows to be split
            continue
        side = (_core if one == i else cut)(whole * weights, x, rng)
        new[:, j], new[:, one] = whole * side, whole * (1.0 - side)
        yield new


def crossed(one: Array, other: Array, weights: Array, rng: np.random.Generator) -> Array:
    """Responsibilities (n, K) of a child of two optima: each component is that of either.

    Components are matched by the rows that they share (an assignment problem), so that a child
    has each region once.  Where one optimum is better in some places and the other in others, a
    child may be better than both.
    """
    from scipy.optimize import linear_sum_assignment  # not with emframe: few searches come to it

    k = one.shape[1]
    inner = one.T @ (other * weights[:, None])
    partner = linear_sum_assignment(-inner / np.sqrt(_sizes(one, weights)[:, None]))[1]
    overlap = inner[np.arange(k), partner] / _sizes(one, weights)
    # Pairs that are alike in both are no choice: some of the half that differs most are taken.
    unlike = np.argsort(overlap)[: k // 2 + 1]
    chosen = rng.choice(unlike, size=int(rng.integers(1, k // 2 + 1)), replace=False)
    child = one.copy()
    child[:, chosen] = other[:, partner[chosen]]
    total = child.sum(axis=1, keepdims=True)
    # A row that neither parent's chosen components want goes where the first parent had it.
    return np.asarray(np.where(total > 1e-3, child / np.where(total > 0, total, 1.0), one))


def splits(
    resp: Array,
    log_density: Array,
    x: Array,
    weights: Array,
    kinds: NDArray[np.intp],
    room: NDArray[np.intp],
    rng: np.random.Generator,
) -> Iterator[Array]:
    """Responsibilities (n, K + sum of `room`) to start from: each component is split in turn.

    The one that describes its rows worst comes first.  Each is cut across a direction, and then a
    core is cut out of each.  Where there is room for several more, the heaviest are cut too.

    Parameters
    ----------
    resp, log_density, x, weights : as for `split_and_merge`.
    kinds : (K,) of what kind each component is; those of one kind stand side by side.
    room : for each kind, how many components more there are to be.
    """
    worst = np.argsort(-_misfit(resp, log_density, weights))
    heavy = weights @ resp > 0
    for cut, first in ((cut, one) for cut in (across, _core) for one in worst if heavy[one]):
        new, kind, left = resp, kinds, room.copy()
        one = int(first)
        while left[kind[one]] > 0:
            whole = new[:, one]
            side = (cut if new is resp else across)(whole * weights, x, rng)
            left[kind[one]] -= 1
            new = np.insert(new, one + 1, whole * side, axis=1)
            new[:, one] -= new[:, one + 1]
            kind = np.insert(kind, one, kind[one])
            one = int(np.argmax(np.where(left[kind] > 0, weights @ new, -1.0)))
        if new is not resp:
            yield new


def _sizes(resp: Array, weights: Array) -> Array:
    """Total of each column, (K,)."""
    return np.asarray(np.maximum(weights @ resp, np.finfo(float).tiny))


def taken_over(resp: Array, weights: Array, mine: NDArray[np.bool_]) -> Iterator[Array]:
    """Responsibilities (n, K) at which the rows `mine` (n,) are all that one component has.

    It is one that can be spared, and leaves its other rows to the one that it overlaps most: one
    of two that overlap much, or one that is light.
    """
    k = resp.shape[1]
    if k < 2:
        return
    overlap = _overlap(resp, weights)
    np.fill_diagonal(overlap, -1.0)
    counts = weights @ resp
    pairs = sorted(combinations(range(k), 2), key=lambda pair: -overlap[pair])
    lighter = [min(pair, key=lambda one: counts[one]) for pair in pairs[:SPARED]]
    lightest = [int(one) for one in np.argsort(counts)[:SPARED]]
    for one in dict.fromkeys([*lighter, *lightest]):
        new = resp.copy()
        new[:, overlap[one].argmax()] += new[:, one]
        new[:, one] = 0.0
        new[mine] = np.eye(k)[one]
        yield new


def _overlap(resp: Array, weights: Array) -> Array:
    """Cosine of each two columns of responsibilities, (K, K)."""
    inner = resp.T @ (resp * weights[:, None])
    size = np.sqrt(np.maximum(inner.diagonal(), np.finfo(float).tiny))
    return np.asarray(inner / np.outer(size, size))


def _misfit(resp: Array, log_density: Array, weights: Array) -> Array:
    """Divergence of the rows a component is responsible for from its density, nats, (K,).

    A constant for rows that are all different is left in: it is the same for all components.
    """
    share = resp * weights[:, None]
    share = share / np.maximum(share.sum(axis=0), np.finfo(float).tiny)
    finite = np.where(share > 0, log_density, 0.0)
    return np.asarray((xlogy(share, share) - share * finite).sum(axis=0))


def across(share: Array, x: Array, rng: np.random.Generator, steep: float = 1.0) -> Array:
    """How much of each row goes to one half of a component, (n,): from 0 to 1 along a direction.

    The direction is drawn so that one in which the rows spread more is cut more often.  Halves
    that overlap start as broad as the whole, and so away from the slivers of a sharp cut; a
    steeper one tells two clusters from one.
    """
    total = share.sum()
    centred = x - share @ x / total
    along = centred @ (rng.standard_normal(len(x)) * np.sqrt(share / total) @ centred)
    along = np.ldexp(along, -np.frexp(np.abs(along).max())[1])  # so that its squares are in range
    spread = np.sqrt(share @ along**2 / total)
    return np.asarray(expit(steep * along / spread)) if spread > 0 else np.full(len(x), 0.5)


def _core(share: Array, x: Array, rng: np.random.Generator) -> Array:
    """How much of each row belongs to a core of the component, (n,): 1 at a row drawn from it.

    Its width is drawn as well: it reaches to the row that a tenth to a half of the component are
    nearer than.  Columns count by how much the component spreads in them.
    """
    total = share.sum()
    spread = np.sqrt(share @ (x - share @ x / total) ** 2 / total)
    centre = x[rng.choice(len(x), p=share / total)]
    away = np.square((x - centre) / np.where(spread > 0, spread, 1.0)).sum(axis=1)
    order = np.argsort(away)
    reached = np.searchsorted(np.cumsum(share[order]), rng.uniform(0.1, 0.5) * total)
    width = away[order[min(reached, len(x) - 1)]]
    return np.asarray(np.exp(-away / width)) if width > 0 else (away <= 0).astype(float)
