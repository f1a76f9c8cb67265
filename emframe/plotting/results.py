"""What each result looks like: tests, optima, diagnostics, effects, courses.

Every result has ``plot()``, which looks here for the picture of its kind.

One known case: where no replicate of a test is as large as its statistic, the line of that stands
to the right of all bars.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import chdtri
from scipy.stats import chi2

from emframe.fitting.courses import RandomEffects, Trajectories
from emframe.fitting.gap import Gap
from emframe.fitting.optima import Optima
from emframe.fitting.profiles import Profiles
from emframe.fitting.tabled import Tabled
from emframe.inference import Intervals, StandardErrors
from emframe.inference.diagnostics import Diagnostics
from emframe.inference.hypotheses import Derived, HypothesisTest
from emframe.inference.information import Information
from emframe.inference.resampling import LikelihoodRatioTest
from emframe.inference.survival import Survival
from emframe.plotting.choice import choice
from emframe.plotting.estimates import errors, height, intervals, profiles, terms
from emframe.plotting.style import MUTED, above, axes, dash, hues, ink, marker, tidy
from emframe.plotting.survival import curves
from emframe.relating import Relation
from emframe.selecting.selection import Selection

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVEL = 1.96  # standard deviations to both sides, about 95 %


def result(found: Tabled, ax: Axes | None = None) -> Axes:
    """Draw a result; see `emframe.fitting.tabled.Tabled.plot`."""
    draw = next(one for kind, one in PICTURES.items() if isinstance(found, kind))
    is_list = draw in (errors, intervals, profiles, terms)
    canvas = axes(ax, size=(7.0, height(found) if is_list else 4.5))
    draw(found, canvas)
    return canvas


def law(found: HypothesisTest, ax: Axes) -> None:
    """The statistic, and the chi-squared law that it has where the hypotheses hold."""
    last = 1.15 * max(found.statistic, float(chdtri(found.df, 0.001)))
    at = np.linspace(last / 2000, last, 800)
    density = chi2.pdf(at, found.df)
    ax.plot(at, density, color=ink(ax), lw=1.2, label=f"chi-squared, {found.df}")
    beyond = at >= found.statistic
    ax.fill_between(at[beyond], density[beyond], color=hues(ax, 2)[1], alpha=0.5, lw=0)
    ax.set_ylim(0.0, 1.1 * float(density[at > last / 100].max()))
    _statistic(ax, found.statistic, found.p_value)


def drawn(found: LikelihoodRatioTest, ax: Axes) -> None:
    """The statistic, and those of the rows drawn from the smaller model."""
    bins = int(np.clip(np.sqrt(len(found.replicates)), 5, 40))
    ax.hist(found.replicates, bins, color=MUTED, alpha=0.5, label="drawn from the smaller model")
    _statistic(ax, found.statistic, found.p_value)
    ax.set_ylabel("samples")


def _statistic(ax: Axes, value: float, p: float) -> None:
    ax.axvline(value, color=hues(ax, 2)[1], lw=2.0, label=f"observed, p = {p:.3g}")
    ax.set_xlabel("statistic")
    above(ax, 2)
    tidy(ax)


def optima(found: Optima, ax: Axes) -> None:
    """How many starts ended at each optimum, and how far below the best regular one it is."""
    top = max((one.objective for one in found if one.is_regular), default=found[0].objective)
    kinds = (("regular", hues(ax, 1)[0], "o"), ("spurious or degenerate", MUTED, "x"))
    for name, colour, mark in kinds:
        mine = [one for one in found if one.is_regular == (name == "regular")]
        if mine:
            below = [one.objective - top for one in mine]
            ax.vlines(below, 0, [one.times + one.moves for one in mine], color=colour, lw=1.2)
            ax.plot(below, [one.times + one.moves for one in mine], mark, color=colour, label=name)
    ax.set(xlabel=f"nats from {top:.4f}", ylabel="starts and moves that ended there")
    ax.set_ylim(bottom=0.0)
    above(ax, 2)
    tidy(ax)


def diagnostics(found: Diagnostics, ax: Axes) -> None:
    """Of what components the rows are that were assigned to each: the table of errors as bars."""
    table = found.classes.errors / found.classes.total
    k = len(table)
    bottom = np.zeros(k)
    for j, colour in enumerate(hues(ax, k)):
        ax.bar(np.arange(k), table[j], 0.7, bottom, color=colour, label=f"of component {j}")
        bottom += table[j]
    ax.set_xticks(np.arange(k), [f"to {j}" for j in range(k)])
    ax.set(xlabel="assigned", ylabel="share of all rows")
    above(ax, k)
    tidy(ax)


def missing(found: Information, ax: Axes) -> None:
    """The fraction of information that is missing, direction by direction, largest first."""
    ax.bar(np.arange(1, len(found.missing) + 1), found.missing, color=hues(ax, 1)[0])
    ax.set(xlabel="direction", ylabel="fraction of missing information", ylim=(0.0, 1.0))
    tidy(ax)


def gap(found: Gap, ax: Axes) -> None:
    """The fit, the best mixture that was found, and what no mixture surpasses."""
    at = (found.log_likelihood, found.reached, found.ceiling)
    names = ("this fit", "reached", "no mixture above")
    for i, value in enumerate(at):
        ax.plot(value, i, marker(i), color=hues(ax, 3)[i], ms=8)
        ax.annotate(f"{value:.4f}", (value, i), (0, 8), textcoords="offset points", ha="center")
    ax.set_yticks(range(3), names)
    ax.set_ylim(-0.6, 2.9)
    ax.margins(x=0.25)
    ax.set_xlabel("log-likelihood, nats")
    tidy(ax)


def effects(found: RandomEffects, ax: Axes) -> None:
    """Each person's effects in order of their size, the largest last, and what is known of them."""
    means = np.asarray(found.means, dtype=float)
    n = len(found.names)
    within = np.square(found.deviations).mean(axis=1)
    between = np.square(found.by_component - means[:, None]).mean(axis=1)
    spread = LEVEL * np.sqrt(within + (between if found.by_component.shape[1] > 1 else 0.0))
    ax.set_axis_off()
    for j, name in enumerate(found.names):
        panel = ax.inset_axes((j / n + 0.05, 0.0, 0.95 / n - 0.05, 1.0))
        panel.set_facecolor(ax.get_facecolor())
        order = np.argsort(means[:, j], kind="stable")
        at = np.arange(len(order))
        panel.vlines(
            at, means[order, j] - spread[order, j], means[order, j] + spread[order, j],
            color=MUTED, lw=1.0, alpha=0.6,
        )  # fmt: skip
        panel.plot(at, means[order, j], ".", color=hues(panel, 1)[0], ms=4)
        panel.axhline(0.0, color=ink(panel), lw=0.6)
        panel.set(xlabel="people, in order", title=name)
        tidy(panel)


def courses(found: Trajectories, ax: Axes) -> None:
    """The mean of each component along the column, with the interval of the mean, or of people."""
    low, high = (found.low, found.high) if found.lower is None else (found.lower, found.upper)
    assert high is not None  # both ends or none
    for k, colour in enumerate(hues(ax, len(found.means))):
        ax.fill_between(found.times, low[k], high[k], color=colour, alpha=0.15, lw=0)
        ax.plot(
            found.times, found.means[k], color=colour, ls=dash(k), lw=2.2, label=f"component {k}"
        )
    ax.set(xlabel=found.column, ylabel="mean")
    above(ax, len(found.means))
    tidy(ax)


PICTURES: dict[type[Any], Callable[[Any, Any], Any]] = {
    StandardErrors: errors,
    Intervals: intervals,
    Derived: terms,
    Relation: terms,
    Profiles: profiles,
    HypothesisTest: law,
    LikelihoodRatioTest: drawn,
    Optima: optima,
    Diagnostics: diagnostics,
    Information: missing,
    Gap: gap,
    RandomEffects: effects,
    Trajectories: courses,
    Survival: curves,
    Selection: choice,
}
