"""Rows beside what the fit would have drawn in their place: residuals, and counts as a rootogram.

A rootogram hangs the root of how often each count was seen from the root of how often it is
expected (Tukey 1977; Kleiber and Zeileis 2016, The American Statistician 70, 296): a bar that
does not reach the line at 0, or goes through it, is a count of which the model has too many, or too
few.  The bands hold 95 % of what is drawn from the fit itself.

One known case: where a count was seen as often as is expected, its bar ends at 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betaincinv, ndtri

from emframe.inference.residuals import draws, outcome, scores
from emframe.messages.arguments import generator_from
from emframe.plotting.scene import Scene
from emframe.plotting.style import MUTED, hues, ink, tidy
from emframe.spaces import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

N_DRAWS = 200
MOST_ROWS = 5000  # that are drawn anew; of more, so many by their weights
MOST_COUNTS = 60
TAILS = (0.025, 0.975)


def residuals(scene: Scene, ax: Axes) -> None:
    """Quantile residuals against those of a normal, with the band of their order statistics."""
    rng = generator_from(scene.rng)
    x, place = _rows(scene, rng), _place(scene)
    found = scores(scene.fit, x, place, N_DRAWS, rng)
    found = np.sort(found[~np.isnan(found)])
    n = len(found)
    rank = np.arange(1, n + 1)
    at = ndtri((rank - 0.5) / n)
    low, high = (ndtri(betaincinv(rank, n - rank + 1.0, tail)) for tail in TAILS)
    ax.fill_between(at, low, high, color=MUTED, alpha=0.3, lw=0)
    ax.plot(at, at, color=ink(ax), lw=1.0)
    outside = (found < low) | (found > high)
    one, other = hues(ax, 2)
    ax.plot(at[~outside], found[~outside], ".", color=one, ms=5)
    ax.plot(at[outside], found[outside], ".", color=other, ms=6)
    name = scene.fit.component_columns[place]
    ax.set(xlabel="normal quantiles", ylabel=f"quantile residuals of {name}")
    tidy(ax)


def rootogram(scene: Scene, ax: Axes) -> None:
    """A hanging rootogram.  Raises ValueError for a column that holds no counts."""
    rng = generator_from(scene.rng)
    x, place = _rows(scene, rng), _place(scene)
    name = scene.fit.component_columns[place]
    if scene.kinds[place] != "counts":
        raise ValueError(
            f"a rootogram is of counts, and {name!r} holds none; use kind='residuals'."
        )
    model: Any = scene.fit.model
    seen = model.latent.seen(x)[:, place]
    drawn = np.array(list(draws(scene.fit, x, place, N_DRAWS, rng)))
    drawn[:, np.isnan(seen)] = np.nan
    last = int(min(max(np.nanmax(seen), np.nanquantile(drawn, 0.999)), MOST_COUNTS - 1))
    counts = np.arange(last + 1)
    each = np.array([_frequencies(row, last) for row in drawn])
    expected, observed = np.sqrt(each.mean(axis=0)), np.sqrt(_frequencies(seen, last))
    ends = np.quantile(np.sqrt(each), TAILS, axis=0)
    one, other = hues(ax, 2)
    ax.bar(counts, observed, 0.8, expected - observed, color=one, alpha=0.45, label="seen")
    ax.plot(counts, expected, "o-", color=other, ms=4, lw=1.4, label="expected")
    ax.fill_between(
        counts, expected - ends[1], expected - ends[0], color=MUTED, alpha=0.4, lw=0, label="95 %"
    )
    ax.axhline(0.0, color=ink(ax), lw=1.0)
    ax.set(xlabel=name, ylabel="root of the number of rows")
    ax.legend(frameon=False, fontsize="small")
    tidy(ax)


def _frequencies(values: Array, last: int) -> Array:
    return np.bincount(values[values <= last].astype(int), minlength=last + 1).astype(float)


def _place(scene: Scene) -> int:
    return outcome(scene.fit, None if scene.along is None else str(scene.along))


def _rows(scene: Scene, rng: np.random.Generator) -> Array:
    """Rows as the model has them, each as often as its weight says."""
    if scene.whole is None or scene.weights is None:
        raise ValueError("residuals and rootograms are of rows; pass them: fit.plot(X, ...).")
    total = scene.weights.sum()
    if total <= MOST_ROWS and (scene.weights == np.rint(scene.weights)).all():
        return np.repeat(scene.whole, scene.weights.astype(int), axis=0)
    some = rng.choice(len(scene.whole), int(min(total, MOST_ROWS)), p=scene.weights / total)
    return scene.whole[some]
