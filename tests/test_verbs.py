"""Every result has the same verbs: it prints, and gives a frame, a dict, CSV and LaTeX."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import emframe

X = np.random.default_rng(1).normal(size=(60, 2)) + 4.0 * (np.arange(60) >= 25)[:, None]
FIT = emframe.fit(emframe.Mixture("gaussian", 2), X, rng=0, n_starts=2)
ERRORS = FIT.standard_errors(X)
LIVES = np.random.default_rng(3).exponential(size=30)
COUNTS = np.random.default_rng(2).poisson(3, 60)
PEOPLE = pd.DataFrame({"id": np.arange(60) // 4, "time": np.arange(60) % 4, "y": X[:, 0]})
GROWTH = emframe.fit(
    emframe.Mixture("linear-mixed", 1, response="y", fixed=("time",), group="id"), PEOPLE
)
RESULTS: dict[str, Any] = {
    "fit": lambda: FIT,
    "optima": lambda: FIT.optima,
    "selection": lambda: emframe.select(("gaussian", [1, 2]), X, rng=0, n_starts=1),
    "standard errors": lambda: ERRORS,
    "intervals": ERRORS.confint,
    "derived": lambda: ERRORS.derived("means[0, x0] - means[1, x0]"),
    "test": lambda: ERRORS.test("means[0, x0] = means[1, x0]"),
    "ratio": lambda: emframe.bootstrap_lrt(
        emframe.Mixture("poisson", 1), emframe.Mixture("poisson", 2), COUNTS, n_replicates=2, rng=0
    ),
    "diagnostics": lambda: FIT.diagnostics(X),
    "information": lambda: FIT.information(X),
    "profiles": FIT.profiles,
    "predictors": lambda: emframe.predictors(FIT, X, np.arange(60.0)),
    "gap": lambda: emframe.fit(emframe.Mixture("poisson", 1), COUNTS).gap(COUNTS),
    "trajectories": lambda: GROWTH.trajectories([0.0, 1.0]),
    "random effects": lambda: GROWTH.random_effects(PEOPLE),
    "survival": lambda: emframe.fit(emframe.Mixture("exponential", 1), LIVES).survival(LIVES),
}


@pytest.mark.parametrize("case", RESULTS)
def test_every_result_has_the_same_verbs(case: str) -> None:
    result = RESULTS[case]()
    text, short = str(result), repr(result)
    assert text.strip()
    assert short.startswith(f"<{type(result).__name__}: ")
    assert "\n" not in short
    frame = result.to_frame()
    assert len(frame) > 0
    assert len(frame.columns) == len(set(frame.columns))
    assert result.to_csv().count("\n") == len(frame) + 1
    assert json.loads(json.dumps(result.to_dict(), default=str))
    assert result._repr_html_().startswith("<")
    canvas = Figure(layout="constrained").subplots()
    assert result.plot(ax=canvas) is canvas
    assert canvas.has_data() or canvas.child_axes
    canvas.get_figure().draw_without_rendering()


def test_intervals_are_drawn_where_they_are() -> None:
    ends, canvas = ERRORS.confint(), Figure().subplots()
    ends.plot(canvas)
    drawn = sorted(
        tuple(line.get_xdata())
        for panel in canvas.child_axes
        for line in panel.lines
        if len(line.get_xdata()) == 2
    )
    told = [(row["lower"], row["upper"]) for row in ends.table]
    assert drawn == pytest.approx(np.array(sorted(told)))


def test_latex_is_of_the_same_table() -> None:
    pytest.importorskip("jinja2")
    assert r"\begin{tabular}" in ERRORS.to_latex()
    assert r"\begin{tabular}" in FIT.to_latex()
    assert r"\begin{tabular}" in FIT.profiles().to_latex()
