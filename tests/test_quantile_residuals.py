"""Residuals by simulation: against distribution functions, and where the model does not hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import stats

import emframe

RNG = np.random.default_rng(0)
N = 300
FRAME = pd.DataFrame({"x": RNG.normal(size=N), "kind": RNG.integers(2, size=N)})
FRAME["y"] = np.where(FRAME.kind == 1, 4 + FRAME.x, -FRAME.x) + RNG.normal(scale=0.5, size=N)
FRAME["n"] = RNG.poisson(np.exp(1 + 0.3 * FRAME.x))
FRAME["over"] = RNG.negative_binomial(1, 0.2, N)


def fit(text: str, k: int = 1, **options: Any) -> emframe.Fit:
    return emframe.fit(emframe.formula(text, n_components=k, **options), FRAME, rng=0, n_starts=2)


def test_they_are_those_of_the_distribution_function() -> None:
    found = fit("y ~ x", 2, weights="~ kind")
    one, prior = found.params.components, np.asarray(found.prior_proba(FRAME))
    means = one.intercept + np.outer(FRAME.x, one.x)
    share = (prior * stats.norm.cdf(FRAME.y.to_numpy()[:, None], means, one.sigma)).sum(axis=1)
    near = found.residuals(FRAME, n_draws=1000, rng=0)
    assert near.index.equals(FRAME.index)
    assert np.abs(stats.norm.cdf(near) - share).max() < 5 * 0.5 / np.sqrt(1000)


@pytest.mark.parametrize(
    ("text", "family", "holds"),
    [
        ("n ~ x", "poisson", True),
        ("over ~ x", "poisson", False),
        ("over ~ 1", "negative-binomial", True),
    ],
)
def test_they_are_normal_where_the_model_holds(text: str, family: str, holds: bool) -> None:
    found = fit(text, family=family)
    p = stats.kstest(found.residuals(FRAME, rng=0), "norm").pvalue
    assert (p > 0.01) == holds
    canvas = Figure().subplots()
    found.plot(FRAME, "residuals", ax=canvas)
    _, inside, outside = canvas.lines
    assert len(inside.get_xdata()) + len(outside.get_xdata()) == N
    assert (len(outside.get_xdata()) < 0.2 * N) == holds


def test_a_rootogram_hangs_what_was_seen_from_what_is_expected() -> None:
    deaths = emframe.dataset("death_notices")
    found = emframe.fit(emframe.Mixture("poisson", 1), deaths)
    canvas = Figure().subplots()
    found.plot(deaths.X, "rootogram", ax=canvas, weights=deaths.weights)
    heights = np.array([bar.get_height() for bar in canvas.patches])
    assert heights[: len(deaths.X)] ** 2 == pytest.approx(deaths.weights)
    expected = 1096 * stats.poisson.pmf(np.arange(5), found["rates"].item())
    assert canvas.lines[0].get_ydata()[:5] ** 2 == pytest.approx(expected, rel=0.05)
    ends = np.array([bar.get_y() for bar in canvas.patches])
    assert ends[0] < -1  # more days without a death than one rate makes


def test_what_has_no_residuals_says_so() -> None:
    letters = FRAME.assign(a=np.where(FRAME.kind, "u", "v"), b="w")[["a"]]
    classes = emframe.fit(emframe.Mixture("categorical", 1), letters)
    with pytest.raises(TypeError, match=r"categories.*diagnostics"):
        classes.residuals(letters)
    both = emframe.fit(emframe.Mixture("gaussian", 1), FRAME[["x", "y"]])
    with pytest.raises(ValueError, match="`column` is None; residuals are of one of x, y"):
        both.residuals(FRAME)
    assert both.residuals(FRAME, column="y", rng=0).std() == pytest.approx(1, abs=0.1)
    with pytest.raises(ValueError, match=r"of counts, and 'y' holds none; use kind='residuals'"):
        both.plot(FRAME, "rootogram", column="y")
    with pytest.raises(TypeError, match="each with a z of its own"):
        emframe.fit(
            emframe.model("hidden-markov", family="poisson", n_states=1), FRAME.n
        ).residuals(FRAME.n)
