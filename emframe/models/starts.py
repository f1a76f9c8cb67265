"""Where EM starts: responsibilities, from which one M-step gives parameters.

No single kind of start wins on all data, so `portfolio` mixes them.  Distances between rows are
measured in one of two frames.  In `scaled`, columns are in units of their own standard deviation,
which shows clusters that are apart; in `whitened` no direction spreads more than another, which
shows those that lie side by side along one that all columns share, as sizes do (compare Scrucca
and Raftery 2015, Adv. Data Anal. Classif. 9, 447).  A change of units changes neither.
A missing value lies in the middle of its column.

One known case: with K = 1 every kind of start is the same, all responsibilities 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from emframe.data import Rows, filled, refuse_elsewhere
from emframe.messages.refusals import shown
from emframe.spaces import Array

_REAL = (
    "k-means++", "rows", "spread", "partition", "rows", "spread",
    "k-means++", "rows", "spread", "random", "rows", "spread",
)  # fmt: skip
_WHITENED = (0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0)  # the frame of each, where there are two
_DISCRETE = ("rows", "random", "spread", "rows", "partition")
_GIVEN = ("few", "partition", "few", "rows", "few", "k-means++", "few", "spread")
# Of many components random rows miss some, and starts near the middle take long to part.
_MANY, MANY = ("k-means++", "spread", "k-means++", "rows"), 12
# Rows that k-means and random centres look at: enough to find the clusters, and so many for each.
_SAMPLE, _FOR_EACH = 2000, 20


def kinds(is_real: bool, is_given: bool = False) -> tuple[str, ...]:
    """The kinds of starts in the rotation for real data, for discrete ones, or for regressions."""
    return _GIVEN if is_given else _REAL if is_real else _DISCRETE


def portfolio(
    rows: Rows, k: int, rng: np.random.Generator, is_real: bool, is_given: bool = False
) -> Iterator[tuple[str, Array]]:
    """A supply of (kind, responsibilities (n, K)), endless unless K = 1, in a fixed rotation.

    ========== ==========================================================================
    k-means++  nearest of the centres that k-means ends at (real data, or many components)
    rows       overlapping clouds around K random rows
    spread     the same around rows drawn far apart, as k-means++ seeds are
    partition  each row to a component at random: all components start near the middle
    random     random soft responsibilities, nearer the middle still
    few        a few random rows to each component, and an even share of all others, of as much
               weight together (densities given covariates only)
    ========== ==========================================================================

    Centres find clusters and outliers; starts near the middle find broad and overlapping
    components, and avoid the spurious ones.  Of real data with several columns each kind with
    centres sees the rows in either frame.  Where there are many components most start at centres.

    Lines cross, and rows near each other need not be of one; but a few rows say where a line may
    run (Rousseeuw 1984, JASA 79, 871), so that most starts of regressions are of that kind.
    """
    n = len(rows)
    if k == 1:
        yield "whole", np.ones((n, 1))
        return
    frames = [_scaled(rows)]
    if is_real and len(rows.columns) > 1:
        frames.append(_whitened(frames[0], rows.weights))
    chosen = _chosen(n, rows.weights, max(_SAMPLE, _FOR_EACH * k), rng)
    makers: dict[str, Callable[[Array, Array], Array]] = {
        "k-means++": lambda x, sample: _nearest(x, _kmeans_centres(sample, k, rng)),
        "rows": lambda x, sample: _clouds(x, _distinct_rows(sample, k, rng)),
        "spread": lambda x, sample: _clouds(x, _spread_rows(sample, k, rng)),
        "partition": lambda *_: np.eye(k)[rng.integers(k, size=n)],
        "random": lambda *_: rng.dirichlet(np.ones(k), size=n),
        "few": lambda *_: _few(n, k, 2 * len(rows.columns), rng),
    }
    samples = [frame[chosen] for frame in frames]
    names = _MANY if k >= MANY and not is_given else kinds(is_real, is_given)
    for kind, whitened in cycle(zip(names, _WHITENED, strict=False)):
        frame = min(whitened, len(frames) - 1)
        yield kind, makers[kind](frames[frame], samples[frame])


def _few(n: int, k: int, each: int, rng: np.random.Generator) -> Array:
    """Responsibilities of which half of a component's sum is on rows of its own."""
    each = max(1, min(each, n // (2 * k)))
    resp = np.full((n, k), each / n)
    own = rng.permutation(n)[: each * k]
    resp[own] += np.eye(k)[np.arange(len(own)) % k]
    return np.asarray(resp / resp.sum(axis=1, keepdims=True))


def as_responsibilities(start: Any, n: int, k: int, name: str = "start") -> Array:
    """Responsibilities (n, K) from responsibilities or labels (n,), validated."""
    refuse_elsewhere(start, name)
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
    x = filled(rows.x, rows.weights)
    centred = x - np.average(x, axis=0, weights=rows.weights)
    sd = np.sqrt(np.average(centred**2, axis=0, weights=rows.weights))
    return centred / np.where(sd > 0, sd, 1.0)


def _whitened(scaled: Array, weights: Array) -> Array:
    """Scaled rows, turned and stretched so that all directions spread alike.

    Directions without spread are left out, for what is there is rounding.
    """
    correlation = (scaled * weights[:, None]).T @ scaled / weights.sum()
    variances, directions = np.linalg.eigh(correlation)
    if not variances[-1] > 0.0:
        return scaled
    some = variances > 1e-10 * variances[-1]
    return np.asarray(scaled @ (directions[:, some] / np.sqrt(variances[some])))


def _chosen(
    n: int, weights: Array, most: int, rng: np.random.Generator
) -> NDArray[np.intp] | slice:
    """At most so many rows, drawn as often as their weights say."""
    if n <= most and np.ptp(weights) == 0:
        return slice(None)
    return rng.choice(n, size=most, p=weights / weights.sum())


def _kmeans_centres(sample: Array, k: int, rng: np.random.Generator) -> Array:
    tries = 10 if len(np.unique(sample, axis=0)) >= k else 0
    for _ in range(tries):
        seeds = _exchanged(sample, _spread_rows(sample, k, rng), rng)
        try:
            centres, _labels = scipy.cluster.vq.kmeans2(
                sample, seeds, minit="matrix", missing="raise", rng=rng
            )
        except scipy.cluster.vq.ClusterError:
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
    distance = np.full(len(sample), np.inf)
    for _ in range(k - 1):
        np.minimum(distance, _squares(sample, centres[-1][None])[:, 0], out=distance)
        total = distance.sum()
        shares = distance / total if total > 0 else None
        centres.append(sample[rng.choice(len(sample), p=shares)])
    return np.array(centres)


def _exchanged(sample: Array, centres: Array, rng: np.random.Generator) -> Array:
    """Centres (K, d) of which some have gone to rows that were far from all.

    Of many clusters a few are left without a seed, and k-means does not mend that.  So K times a
    row is drawn as a further seed would be, and takes the place of the centre that is missed
    least, if that makes the sum of squares smaller (Lattanzi and Sohler 2019, Proc. 36th ICML).
    """
    centres = centres.copy()
    distance = _squares(sample, centres)
    nearest = distance.argmin(axis=1)
    two = np.partition(distance, 1, axis=1)[:, :2]
    for _ in range(len(centres)):
        total = two[:, 0].sum()
        if not total > 0.0:
            break
        row = rng.choice(len(sample), p=two[:, 0] / total)
        to_row = np.square(sample - sample[row]).sum(axis=1)
        with_both = np.minimum(to_row, two[:, 0])
        missed = np.minimum(to_row, two[:, 1]) - with_both
        loss = np.bincount(nearest, missed, minlength=len(centres))
        least = int(loss.argmin())
        if with_both.sum() + loss[least] < total:
            near = np.minimum(distance[:, least], to_row) <= two[:, 1]
            centres[least], distance[:, least] = sample[row], to_row
            nearest[near] = distance[near].argmin(axis=1)
            two[near] = np.partition(distance[near], 1, axis=1)[:, :2]
    return centres


def _squares(x: Array, centres: Array) -> Array:
    """Squared distance of each row to each centre, (n, K)."""
    return np.asarray(scipy.spatial.distance.cdist(x, centres, "sqeuclidean"))


def _nearest(scaled: Array, centres: Array) -> Array:
    labels = _squares(scaled, centres).argmin(axis=1)
    return np.eye(len(centres))[labels]


def _clouds(scaled: Array, centres: Array) -> Array:
    """Responsibilities under equal spherical Gaussians at the centres, wide enough to overlap."""
    distance = _squares(scaled, centres)
    width = distance.min(axis=1).mean() / scaled.shape[1]
    log_resp = -0.5 * (distance - distance.min(axis=1, keepdims=True)) / (width or 1.0)
    resp = np.exp(log_resp)
    return np.asarray(resp / resp.sum(axis=1, keepdims=True))
