"""Where EM starts: responsibilities, from which one M-step gives parameters.

No single kind of start wins on all data, so `portfolio` mixes them.  Columns are taken in units of
their own standard deviation, so a change of units changes no start.

One known case: with K = 1 every kind of start is the same, all responsibilities 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import ClusterError, kmeans2
from scipy.spatial.distance import cdist

from emframe.data import Rows
from emframe.refusals import shown
from emframe.spaces import Array

_REAL = ("k-means++", "rows", "spread", "partition", "rows", "spread", "k-means++", "random")
_DISCRETE = ("rows", "random", "spread", "rows", "partition")
_SAMPLE = 2000  # rows that k-means and random centres look at: enough to find the clusters


def kinds(is_real: bool) -> tuple[str, ...]:
    """The kinds of starts in the rotation for real data, or for discrete ones."""
    return _REAL if is_real else _DISCRETE


def portfolio(
    rows: Rows, k: int, rng: np.random.Generator, is_real: bool
) -> Iterator[tuple[str, Array]]:
    """A supply of (kind, responsibilities (n, K)), endless unless K = 1, in a fixed rotation.

    ========== ==========================================================================
    k-means++  nearest of the centres that k-means ends at (real data only)
    rows       overlapping clouds around K random rows
    spread     the same around rows drawn far apart, as k-means++ seeds are
    partition  each row to a component at random: all components start near the middle
    random     random soft responsibilities, nearer the middle still
    ========== ==========================================================================

    Centres find clusters and outliers; starts near the middle find broad and overlapping
    components, and avoid the spurious ones.
    """
    n = len(rows)
    if k == 1:
        yield "whole", np.ones((n, 1))
        return
    scaled = _scaled(rows)
    sample = _sample(scaled, rows.weights, rng)
    makers: dict[str, Callable[[], Array]] = {
        "k-means++": lambda: _nearest(scaled, _kmeans_centres(sample, k, rng)),
        "rows": lambda: _clouds(scaled, _distinct_rows(sample, k, rng)),
        "spread": lambda: _clouds(scaled, _spread_rows(sample, k, rng)),
        "partition": lambda: np.eye(k)[rng.integers(k, size=n)],
        "random": lambda: rng.dirichlet(np.ones(k), size=n),
    }
    for kind in cycle(kinds(is_real)):
        yield kind, makers[kind]()


def as_responsibilities(start: Any, n: int, k: int, name: str = "start") -> Array:
    """Responsibilities (n, K) from responsibilities or labels (n,), validated."""
    values = np.asarray(start)
    labels_or_rows = f"labels ({n},) or responsibilities ({n}, {k})"
    if values.dtype.kind not in "fiub":
        raise TypeError(
            f"`{name}` is {shown(start)}; pass {labels_or_rows}, parameters, a dict of arrays, or "
            "a callable."
        )
    if values.ndim == 0:
        raise TypeError(f"`{name}` is {shown(start)}; pass {labels_or_rows}.")
    if values.shape == (n,):
        return one_hot(values, k, name)
    if values.shape != (n, k):
        raise ValueError(f"`{name}` has shape {values.shape}; expected {labels_or_rows}.")
    resp = values.astype(float)
    sums = resp.sum(axis=1)
    fine = (resp >= 0).all(axis=1) & np.isclose(sums, 1.0, atol=1e-6)
    refuse_row(name, resp, ~fine, "rows of responsibilities are probabilities that sum to 1")
    return resp / sums[:, None]


def as_one_hot(z: NDArray[Any], n: int, k: int) -> Array:
    """One-hot rows (n, K) from such rows or labels (n,), validated."""
    if z.shape == (n,):
        return one_hot(z, k, "z")
    if z.shape != (n, k):
        expected = f"one-hot rows ({n}, {k}) or labels ({n},)"
        raise ValueError(f"`z` has shape {z.shape}; pass {expected}.")
    bad = ~((z == 0) | (z == 1)).all(axis=1) | (z.sum(axis=1) != 1)
    refuse_row("z", z, bad, "each row of a one-hot `z` has exactly one 1, and else 0")
    return z


def refuse_row(name: str, rows: Array, bad: NDArray[np.bool_], expected: str) -> None:
    """Raise ValueError where any row is bad, showing the first."""
    if bad.any():
        row = int(bad.argmax())
        told = np.array2string(rows[row], precision=6, separator=", ", threshold=6)
        raise ValueError(f"`{name}` row {row} is {told} ({int(bad.sum())} such); {expected}.")


def one_hot(labels: NDArray[Any], k: int, name: str = "labels") -> Array:
    """Integer labels 0 .. K-1 as one-hot rows (n, K)."""
    values = np.asarray(labels)
    fits = (values >= 0) & (values < k) & (values == np.floor(values))
    if not fits.all():
        row, count = int(fits.argmin()), int((~fits).sum())
        raise ValueError(
            f"`{name}[{row}]` is {values[row]} ({count} such); labels are whole numbers from 0 to "
            f"{k - 1}."
        )
    return np.eye(k)[values.astype(int)]


def _scaled(rows: Rows) -> Array:
    centred = rows.x - np.average(rows.x, axis=0, weights=rows.weights)
    sd = np.sqrt(np.average(centred**2, axis=0, weights=rows.weights))
    return centred / np.where(sd > 0, sd, 1.0)


def _sample(scaled: Array, weights: Array, rng: np.random.Generator) -> Array:
    """At most `_SAMPLE` rows, drawn as often as their weights say."""
    if len(scaled) <= _SAMPLE and np.ptp(weights) == 0:
        return scaled
    return scaled[rng.choice(len(scaled), size=_SAMPLE, p=weights / weights.sum())]


def _kmeans_centres(sample: Array, k: int, rng: np.random.Generator) -> Array:
    tries = 10 if len(np.unique(sample, axis=0)) >= k else 0
    for _ in range(tries):
        try:
            centres, _labels = kmeans2(sample, k, minit="++", missing="raise", rng=rng)
        except ClusterError:
            continue
        return np.asarray(centres)
    return _distinct_rows(sample, k, rng)


def _distinct_rows(sample: Array, k: int, rng: np.random.Generator) -> Array:
    """K rows, distinct where the sample has that many; under a prior it may have fewer than K."""
    order = rng.permutation(len(sample))
    chosen: list[int] = []
    for index in order:
        if all((sample[index] != sample[other]).any() for other in chosen):
            chosen.append(int(index))
        if len(chosen) == k:
            break
    spare = [int(index) for index in order if int(index) not in chosen]
    return sample[np.resize([*chosen, *spare], k)]


def _spread_rows(sample: Array, k: int, rng: np.random.Generator) -> Array:
    """K rows, each drawn with probability in the squared distance to those before it.

    The seeding of k-means++ (Arthur and Vassilvitskii 2007, section 2.2).
    """
    centres = [sample[rng.integers(len(sample))]]
    for _ in range(k - 1):
        distance = cdist(sample, np.array(centres), "sqeuclidean").min(axis=1)
        total = distance.sum()
        shares = distance / total if total > 0 else None
        centres.append(sample[rng.choice(len(sample), p=shares)])
    return np.array(centres)


def _nearest(scaled: Array, centres: Array) -> Array:
    labels = cdist(scaled, centres, "sqeuclidean").argmin(axis=1)
    return np.eye(len(centres))[labels]


def _clouds(scaled: Array, centres: Array) -> Array:
    """Responsibilities under equal spherical Gaussians at the centres, wide enough to overlap."""
    distance = cdist(scaled, centres, "sqeuclidean")
    width = distance.min(axis=1).mean() / scaled.shape[1]
    log_resp = -0.5 * (distance - distance.min(axis=1, keepdims=True)) / (width or 1.0)
    resp = np.exp(log_resp)
    return np.asarray(resp / resp.sum(axis=1, keepdims=True))
