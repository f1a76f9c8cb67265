"""Responsibilities for many starts and many moves at once: as `starts` and `moves`, side by side.

Each has the axes (S, K, n), so that what is drawn for one is drawn for all: seeds, clouds around
them, cuts of components.  On small data a start drawn by itself costs as much as several passes.

One known case: a move of which two components are equal merges those first.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from emframe.data import Rows
from emframe.models.moves import PAIRS, SPLITS, _misfit, _overlap
from emframe.models.starts import _few, _scaled, _whitened
from emframe.spaces import Array

# The rotation of kinds, each with its frame; see `emframe.models.starts`.
_REAL = (
    ("k-means++", 0), ("rows", 0), ("spread", 1), ("partition", 0),
    ("rows", 1), ("spread", 0), ("k-means++", 1), ("rows", 0),
)  # fmt: skip
_DISCRETE = (("rows", 0), ("random", 0), ("spread", 0), ("rows", 0), ("partition", 0))
_GIVEN = (
    ("few", 0), ("partition", 0), ("few", 0), ("rows", 0),
    ("few", 0), ("k-means++", 0), ("few", 0), ("spread", 0),
)  # fmt: skip
_SAMPLE = 500  # rows among which seeds are drawn
LLOYD = 2  # steps of k-means after its seeds: EM goes on from there


def many_starts(
    rows: Rows,
    k: int,
    n_starts: int,
    rng: np.random.Generator,
    is_real: bool,
    is_given: bool = False,
    first: int = 0,
) -> tuple[list[str], Array]:
    """Kinds and responsibilities (S, K, n) of starts, from the `first` of the rotation on."""
    n = len(rows)
    if k == 1:
        return ["whole"] * n_starts, np.ones((n_starts, 1, n))
    rotation = _GIVEN if is_given else _REAL if is_real else _DISCRETE
    chosen = [rotation[(first + i) % len(rotation)] for i in range(n_starts)]
    frames = [_scaled(rows)]
    if is_real and len(rows.columns) > 1:
        frames.append(_whitened(frames[0], rows.weights))
    sample = _sample(rows, rng)
    resp = np.empty((n_starts, k, n))
    clouds: dict[int, list[int]] = {}
    makers: dict[str, Callable[[], Array]] = {
        "partition": lambda: np.eye(k)[:, rng.integers(k, size=n)],
        "random": lambda: rng.dirichlet(np.ones(k), size=n).T,
        "few": lambda: _few(n, k, 2 * len(rows.columns), rng).T,
    }
    for start, (kind, frame) in enumerate(chosen):
        if kind in makers:
            resp[start] = makers[kind]()
        else:
            clouds.setdefault(min(frame, len(frames) - 1), []).append(start)
    for frame, starts in clouds.items():
        x, names = frames[frame], [chosen[start][0] for start in starts]
        resp[starts] = _around_seeds(x, x[sample], k, names, rng)
    return [kind for kind, _ in chosen], resp


def many_moves(
    resp: Array,
    log_density: Array,
    x: Array,
    weights: Array,
    n_moves: int,
    rng: np.random.Generator,
) -> Array:
    """Responsibilities (S, K, n) of moves away from an optimum; see `emframe.models.moves`.

    Parameters
    ----------
    resp, log_density : (K, n) at the optimum.
    x, weights : the rows (n, d) and their frequencies (n,).
    """
    k, n = resp.shape
    overlap = _overlap(resp.T, weights)
    misfit = _misfit(resp.T, log_density.T, weights)
    pairs = sorted(combinations(range(k), 2), key=lambda pair: -overlap[pair])
    worst = [int(index) for index in np.argsort(-misfit)]
    plan = [
        (rank + order, i, j, one)
        for rank, (i, j) in enumerate(pairs[:PAIRS])
        for order, one in enumerate([i, *(one for one in worst if one not in (i, j))][: 1 + SPLITS])
    ]
    plan.sort(key=lambda move: move[0])
    plan = (plan * (1 + n_moves // len(plan)))[:n_moves]
    merged, freed, parted = (np.array(each) for each in list(zip(*plan, strict=True))[1:])
    every = np.arange(len(plan))
    new = np.repeat(resp[None], len(plan), axis=0)
    new[every, merged] += resp[freed]
    whole = new[every, parted]  # (S, n)
    share = whole * weights
    cores = (parted == merged) | (every % 2 == 1)
    side = np.empty((len(plan), n))
    if cores.any():
        side[cores] = _cores(share[cores], x, rng)
    if not cores.all():
        side[~cores] = _cuts(share[~cores], x, rng)
    new[every, freed], new[every, parted] = whole * side, whole * (1.0 - side)
    return new


def _sample(rows: Rows, rng: np.random.Generator) -> NDArray[np.intp] | slice:
    """At most `_SAMPLE` rows, drawn as often as their weights say."""
    n = len(rows)
    if np.ptp(rows.weights) > 0:
        return rng.choice(n, size=_SAMPLE, p=rows.weights / rows.weights.sum())
    return slice(None) if n <= _SAMPLE else rng.choice(n, size=_SAMPLE, replace=False)


def _around_seeds(
    x: Array, sample: Array, k: int, kinds: list[str], rng: np.random.Generator
) -> Array:
    """Responsibilities (S, K, n) by nearness to seeds among the sample, for each kind."""
    names = np.array(kinds)
    centres = _seeds(sample, k, names != "rows", rng)
    hard = names == "k-means++"
    if hard.any():
        centres[hard] = _lloyd(sample, centres[hard])
    distance = _squares(x, centres)
    nearest = distance.min(axis=1)
    resp = np.empty(distance.shape)
    if hard.any():
        labels = distance[hard].argmin(axis=1)
        resp[hard] = labels[:, None, :] == np.arange(k)[:, None]
    if not hard.all():
        width = nearest[~hard].mean(axis=1) / x.shape[1]
        width = np.where(width > 0.0, width, 1.0)[:, None, None]
        clouds = np.exp((nearest[~hard][:, None, :] - distance[~hard]) / (2.0 * width))
        resp[~hard] = clouds / clouds.sum(axis=1)[:, None, :]
    return resp


def _seeds(sample: Array, k: int, far: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """K rows for each start, (S, K, d): drawn by squared distance where `far`, else distinct ones.

    Where the sample has too few distinct rows, any.
    """
    n, many = len(sample), len(far)
    picked = rng.integers(n, size=many)
    centres = np.empty((many, k, sample.shape[1]))
    nearest: Array | None = None
    for j in range(k):
        centres[:, j] = sample[picked]
        if j == k - 1:
            break
        away = _squares(sample, centres[:, j : j + 1])[:, 0]
        nearest = away if nearest is None else np.minimum(nearest, away)
        chance = np.where(far[:, None], nearest, nearest > 0.0)
        chance = np.where(nearest.max(axis=1)[:, None] > 0.0, chance, 1.0)
        picked = _drawn(chance, rng)
    return centres


def _drawn(chance: Array, rng: np.random.Generator) -> NDArray[np.intp]:
    """A column of each row, drawn with probabilities in proportion to its entries, (S,)."""
    below = np.cumsum(chance, axis=1)
    level = rng.random((len(chance), 1)) * below[:, -1:]
    return np.minimum((below <= level).sum(axis=1), chance.shape[1] - 1)


def _lloyd(sample: Array, centres: Array) -> Array:
    """The centres after a few steps of k-means; one that no row is nearest to stays."""
    s, k, d = centres.shape
    with_one = np.concatenate([sample, np.ones((len(sample), 1))], axis=1)
    for _ in range(LLOYD):
        labels = _squares(sample, centres).argmin(axis=1)
        own = (labels[:, None, :] == np.arange(k)[:, None]).astype(float)
        sums = (own.reshape(s * k, -1) @ with_one).reshape(s, k, d + 1)
        some = sums[..., d:] > 0.0
        centres = np.where(some, sums[..., :d] / np.where(some, sums[..., d:], 1.0), centres)
    return centres


def _squares(x: Array, centres: Array) -> Array:
    """Squared distances of rows (n, d) from centres (S, K, d), (S, K, n)."""
    s, k, d = centres.shape
    flat = centres.reshape(s * k, d)
    squares = flat @ (-2.0 * x.T)
    squares += (flat * flat).sum(axis=1)[:, None]
    squares += (x * x).sum(axis=1)
    return np.maximum(squares, 0.0, out=squares).reshape(s, k, len(x))


def _cuts(share: Array, x: Array, rng: np.random.Generator) -> Array:
    """How much of each row goes to one half of each component, (S, n); as `moves._across`."""
    total = share.sum(axis=1, keepdims=True)
    mean = share @ x / total
    noise = rng.standard_normal(share.shape) * np.sqrt(share / total)
    direction = noise @ x - noise.sum(axis=1, keepdims=True) * mean
    along = direction @ x.T - (direction * mean).sum(axis=1, keepdims=True)
    size = np.abs(along).max(axis=1, keepdims=True)
    along = np.ldexp(along, -np.frexp(size)[1])  # so that its squares are in range
    spread = np.sqrt((share * along**2).sum(axis=1, keepdims=True) / total)
    return np.where(spread > 0.0, expit(along / np.where(spread > 0.0, spread, 1.0)), 0.5)


def _cores(share: Array, x: Array, rng: np.random.Generator) -> Array:
    """How much of each row belongs to a core of each component, (S, n); as `moves._core`."""
    s, n = share.shape
    total = share.sum(axis=1, keepdims=True)
    mean = share @ x / total
    centre = x[_drawn(share, rng)]
    away = np.zeros((s, n))
    for j, column in enumerate(x.T):
        spread = np.sqrt(
            (share * (column - mean[:, j, None]) ** 2).sum(axis=1, keepdims=True) / total
        )
        away += ((column - centre[:, j, None]) / np.where(spread > 0.0, spread, 1.0)) ** 2
    order = np.argsort(away, axis=1, kind="stable")
    below = np.cumsum(np.take_along_axis(share, order, axis=1), axis=1)
    level = rng.uniform(0.1, 0.5, (s, 1)) * total
    reached = np.minimum((below < level).sum(axis=1), n - 1)
    width = away[np.arange(s), order[np.arange(s), reached]][:, None]
    soft = np.exp(-away / np.where(width > 0.0, width, 1.0))
    return np.where(width > 0.0, soft, (away <= 0.0).astype(float))
