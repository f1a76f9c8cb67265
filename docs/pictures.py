"""The pictures of the documentation, drawn from the library itself.

    python docs/pictures.py [FOLDER]

Two hues that colour-blind readers can tell apart (blue and orange of Okabe and Ito), and shape or
line style wherever a hue carries meaning.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from math import log
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import entr, gammaln, xlogy

import emframe
from emframe.data import Table

BLUE, ORANGE, INK, PALE = "#0072b2", "#d55e00", "#333333", "#8a8a8a"

STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": PALE,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.linewidth": 0.6,
    "figure.facecolor": "white",
    "svg.hashsalt": "emframe",
}


@contextmanager
def picture(
    path: Path, size: tuple[float, float], theme: dict[str, Any] | None = None
) -> Iterator[Figure]:
    """A figure that is saved to `path` at the end, the same bytes each time."""
    with mpl.rc_context({**STYLE, **(theme or {})}):
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        figure.savefig(path, metadata={"Date": None})


def middle_man(path: Path) -> None:
    """Waiting times with the z that drew them, without z, and with the posterior of z."""
    waiting = emframe.dataset("faithful").X[:, 1]
    # A start from short and long waits, so that component 0 is always the short one.
    fit = emframe.fit(
        emframe.Mixture("gaussian", n_components=2), waiting, start=(waiting > 65).astype(int)
    )
    weights = fit.params.weights
    rows, labels = fit.sample(272, rng=4, labels=True)
    drawn = rows[:, 0]
    grid = np.linspace(40, 100, 301)
    resp, density = fit.predict_proba(grid), np.exp(fit.score_samples(grid))
    bins = np.arange(40, 101, 3)
    scale = len(drawn) * 3  # density to counts per bin of three minutes
    names = [f"z = ({1 - k}, {k}), weight {weights[k]:.2f}" for k in (0, 1)]

    with picture(path, (10, 3.5)) as figure:
        joint, seen, inferred = figure.subplots(1, 3, sharex=True)
        bars = joint.hist(
            [drawn[labels == 0], drawn[labels == 1]], bins, stacked=True, color=[BLUE, ORANGE],
            label=names, alpha=0.85, edgecolor="white", linewidth=0.6,
        )[2]  # fmt: skip
        for bar in bars[1]:
            bar.set_hatch("////")
        joint.legend(frameon=False, loc="upper left", fontsize=9)
        joint.set_title("Drawn: first z, then x")
        joint.set(ylabel="rows", ylim=(0, 54))
        seen.hist(drawn, bins, color="#c9c9c9", edgecolor="white", linewidth=0.6)
        seen.plot(grid, density * scale, color=INK, lw=2)
        seen.annotate("p(x), summed over z", (76, density[180] * scale), (42, 46), color=INK)
        seen.set_title("Seen: x alone")
        seen.set(ylim=(0, 54), yticklabels=[])
        inferred.plot(grid, resp[:, 0], color=BLUE, lw=2)
        inferred.plot(grid, resp[:, 1], color=ORANGE, lw=2, ls="--")
        inferred.vlines(drawn[labels == 0], -0.12, -0.07, color=BLUE, lw=0.8)
        inferred.vlines(drawn[labels == 1], -0.19, -0.14, color=ORANGE, lw=0.8)
        inferred.text(41, 0.55, "p(z = (1, 0) | x)", color=BLUE, va="top")
        inferred.text(99, 0.55, "p(z = (0, 1) | x)", color=ORANGE, va="top", ha="right")
        inferred.set_title("Inferred: E[z | x], the responsibilities")
        inferred.set(ylim=(-0.22, 1.05), yticks=[0, 0.5, 1], xlim=(40, 100))
        figure.supxlabel("waiting time, minutes", fontsize=10, color=INK)


class Linkage:
    """Q of the linkage data of Dempster, Laird and Rubin (1977); see the page on the idea."""

    counts = (125, 18, 20, 34)

    def __init__(self, at: float) -> None:
        a, b, c, d = self.counts
        self.at = at
        self.share = at / (2 + at)
        self.loglik = a * log(0.5 + at / 4) + (b + c) * log((1 - at) / 4) + d * log(at / 4)
        self.entropy = float(a * (entr(self.share) + entr(1 - self.share)))

    def value(self, theta: float) -> float:
        a, b, c, d = self.counts
        hidden = a * self.share + d
        return float(
            xlogy(a * (1 - self.share), 0.5)
            + xlogy(hidden, theta / 4)
            + xlogy(b + c, (1 - theta) / 4)
        )

    def maximize(self) -> float:
        a, b, c, d = self.counts
        hidden = a * self.share + d
        return hidden / (hidden + b + c)


def bound(path: Path) -> None:
    """One step of EM from the side, and the ledger of the steps after it."""
    q = Linkage(0.1)
    steps = list(islice(emframe.iterate(Linkage, q.at), 8))
    grid = np.linspace(0.03, 0.93, 400)
    loglik = [Linkage(t).loglik for t in grid]
    lower = [q.value(t) + q.entropy for t in grid]
    new = steps[1].params

    with picture(path, (10, 3.9)) as figure:
        left, right = figure.subplots(1, 2)
        left.plot(grid, loglik, color=BLUE, lw=2)
        left.plot(grid, lower, color=ORANGE, lw=2, ls="--")
        left.text(0.98, -201, "log-likelihood", color=BLUE, ha="right")
        left.text(0.98, -278, "Q + entropy at old θ", color=ORANGE, ha="right")
        before, top, after = q.loglik, q.value(new) + q.entropy, steps[1].objective
        left.plot([q.at], [before], "o", color=INK)
        left.plot([new], [top], "o", color=ORANGE)
        left.plot([new], [after], "o", color=BLUE)
        left.annotate("", (new, top), (new, before), arrowprops={"arrowstyle": "<->", "color": INK})
        left.annotate("", (new, after), (new, top), arrowprops={"arrowstyle": "<->", "color": INK})
        left.text(new + 0.015, (top + before) / 2, "gain in Q", va="center", color=INK)
        left.text(new + 0.015, (top + after) / 2 - 1, "gain in entropy", va="center", color=INK)
        left.axhline(before, xmin=0.1, xmax=0.56, color=PALE, lw=0.8, ls=":")
        left.text(q.at + 0.02, before - 6, "old θ", color=INK)
        left.text(new + 0.015, before - 6, "new θ", color=INK)
        left.set(ylim=(-290, -194), xlabel="θ", ylabel="nats", xlim=(0, 1))
        left.set_title("One step: the bound touches, EM climbs to its top")

        index = [step.index for step in steps[1:]]
        right.semilogy(index, [s.gain_q for s in steps[1:]], "o-", color=ORANGE, label="gain in Q")
        right.semilogy(
            index, [s.gain_entropy for s in steps[1:]], "^--", color=BLUE, label="gain in entropy"
        )
        right.legend(frameon=False)
        right.set(xlabel="step", ylabel="nats", xticks=index)
        right.set_title("The ledger: both columns, step by step")


def certificate(path: Path) -> None:
    """D over the rates of a further component, for two components of the notices and for three."""
    rows = emframe.dataset("death_notices")
    grid = np.concatenate([np.linspace(0.0, 0.3, 121), np.linspace(0.3, 4.5, 400)])
    deaths, days = rows.X[:, 0], rows.weights
    assert days is not None
    further = np.exp(xlogy(deaths, grid[:, None]) - grid[:, None] - gammaln(deaths + 1.0))
    with picture(path, (10, 3.6)) as figure:
        for ax, k in zip(figure.subplots(1, 2), (2, 3), strict=True):
            start = {"weights": np.full(k, 1 / k), "rates": [[0.0], [1.3], [2.7]][-k:]}
            fit = emframe.fit(emframe.Mixture("poisson", n_components=k), rows, start=start)
            slope = further @ (days / np.exp(fit.score_samples(deaths))) - days.sum()
            ax.axhline(0.0, color=PALE, lw=0.8)
            ax.plot(grid, slope, color=BLUE, lw=2)
            rates = fit.params.components.rates[:, 0]
            ax.plot(rates, np.zeros(k), "o", color=ORANGE, label="components of the fit")
            ax.set(xlabel="rate of a further component", ylabel="D, nats", ylim=(-4, 6))
            ax.set_title(f"{k} components: {'room for more' if slope.max() > 1 else 'no room'}")
        ax.legend(frameon=False, loc="upper right")


def fitted(data: str, family: str, k: int, **options: Any) -> tuple[emframe.Dataset, emframe.Fit]:
    """A shipped data set and a mixture fitted to it."""
    rows = emframe.dataset(data)
    return rows, emframe.fit(emframe.Mixture(family, n_components=k), rows, rng=0, **options)


def density(ax: Axes) -> None:
    waiting = emframe.dataset("faithful").X[:, 1]
    emframe.fit(emframe.Mixture("gaussian", n_components=2), waiting, rng=0).plot(waiting, ax=ax)
    ax.set_xlabel("waiting time, minutes")


def plane(ax: Axes) -> None:
    rows, fit = fitted("faithful", "gaussian", 2)
    fit.plot(rows, ax=ax)


def pairs(ax: Axes) -> None:
    rows = emframe.dataset("iris")
    some = Table(rows.X[:, :3], rows.columns[:3], None)  # fewer panels, a smaller file
    emframe.fit(emframe.Mixture("gaussian", n_components=3), some, rng=0, n_starts=8).plot(
        some, ax=ax
    )


def profile(ax: Axes) -> None:
    rows, fit = fitted("carcinoma", "bernoulli", 3)
    fit.plot(rows, ax=ax, errors=fit.standard_errors(rows))


def trace(ax: Axes) -> None:
    _, fit = fitted("iris", "gaussian", 3, n_starts=12)
    fit.plot(kind="trace", ax=ax)


def choice(ax: Axes) -> None:
    rows = emframe.dataset("faithful")
    emframe.select(("gaussian", range(1, 6)), rows, rng=0, n_starts=8).plot(ax=ax)


def counts(ax: Axes) -> None:
    rows, fit = fitted("earthquakes", "poisson", 3)
    fit.plot(rows, ax=ax)


def uncertainty(ax: Axes) -> None:
    rows, fit = fitted("iris", "gaussian", 3, n_starts=8)
    fit.plot(rows, "uncertainty", ax=ax)


def night(ax: Axes) -> None:
    """The plane on a dark page."""
    plane(ax)


def lines(ax: Axes) -> None:
    rng = np.random.default_rng(0)
    x, z = rng.uniform(0, 10, size=240), rng.random(240) < 0.4
    y = np.where(z, 4 * x, 34 - 2 * x) + rng.normal(scale=3, size=240)
    rows = Table(np.column_stack([y, x]), ("y", "x"), None)
    model = emframe.Mixture("gaussian-regression", 2, response="y", predictors="x")
    emframe.fit(model, rows, rng=0, n_starts=8).plot(rows, ax=ax)


def rootogram(ax: Axes) -> None:
    """Counts of which some are never above 0, under a law that does not know it."""
    rng = np.random.default_rng(0)
    age = rng.uniform(20, 60, 300)
    visits = np.where(rng.random(300) < 0.35, 0, rng.poisson(np.exp(0.2 + 0.03 * age)))
    rows = Table(np.column_stack([visits, age]), ("visits", "age"), None)
    model = emframe.Mixture("poisson-regression", 1, response="visits", predictors="age")
    emframe.fit(model, rows).plot(rows, "rootogram", ax=ax)


def estimates(ax: Axes) -> None:
    """Numbers of a fit with their intervals, a panel for each kind."""
    data = emframe.dataset("faithful")
    fit = emframe.fit(emframe.Mixture("gaussian", 2), data, rng=0, n_starts=2)
    fit.standard_errors(data).plot(ax)


KINDS = (
    lines,
    density,
    counts,
    plane,
    pairs,
    profile,
    uncertainty,
    trace,
    choice,
    rootogram,
    estimates,
    night,
)
FITS = {one.__name__: one for one in KINDS}
NIGHT = {
    "figure.facecolor": "#131416",
    "axes.facecolor": "#131416",
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), "#dddddd"),
}


def main(folder: Path) -> None:
    """Draw all pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    middle_man(folder / "middle_man.svg")
    bound(folder / "bound.svg")
    certificate(folder / "certificate.svg")
    for name, draw in FITS.items():
        size = (7, 6.5) if name == "pairs" else (7, 4)
        with picture(folder / f"{name}.svg", size, NIGHT if name == "night" else None) as figure:
            draw(figure.subplots())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "_static")
