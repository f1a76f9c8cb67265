"""Rows in runs: answers come back where the rows stood, and what no data touch is told."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import emframe
from emframe.models.sequences import Sequences

LENGTHS = (7, 5, 8, 6)


def visits() -> tuple[pd.DataFrame, list[Any]]:
    """Rows of four people, one visit of each after the other, and the runs by themselves."""
    rng = np.random.default_rng(3)
    runs = [rng.poisson(np.where(rng.random(n) < 0.5, 1.0, 8.0)) for n in LENGTHS]
    rows = [("dbca"[i], runs[i][t]) for t in range(8) for i in range(4) if t < LENGTHS[i]]
    frame = pd.DataFrame(rows, columns=["id", "count"])
    frame.index = pd.Index([f"row {i}" for i in rng.permutation(len(frame))])
    return frame, runs


FRAME, RUNS = visits()
PEOPLE = Sequences.by(FRAME, "id")
CHAIN = emframe.fit(emframe.model("hidden-markov", family="poisson"), PEOPLE, rng=0, n_starts=2)


def by_hand(answers: list[Any]) -> Any:
    """Answers on each run alone, at the places of their rows in the frame."""
    taken = {name: iter(np.asarray(one)) for name, one in zip("dbca", answers, strict=True)}
    return np.array([next(taken[name]) for name in FRAME["id"]])


@pytest.mark.parametrize("ask", ["predict", "predict_proba", "latent", "viterbi"])
def test_what_is_said_of_rows_is_where_they_stood(ask: str) -> None:
    found = getattr(CHAIN, ask)(PEOPLE)
    alone = by_hand([getattr(CHAIN, ask)([run]) for run in RUNS])
    np.testing.assert_allclose(found, alone, atol=1e-12)
    assert found.index.equals(FRAME.index)
    FRAME.assign(**{"x": np.asarray(found)[:, 0] if found.ndim == 2 else found})


def test_arrays_and_polars_frames_come_back_in_their_order() -> None:
    import polars

    alone = by_hand([CHAIN.predict([run]) for run in RUNS])
    plain = Sequences.by(FRAME[["count"]].to_numpy(), FRAME["id"].to_numpy())
    np.testing.assert_array_equal(CHAIN.predict(plain), alone)
    np.testing.assert_array_equal(CHAIN.posterior(plain)[1].argmax(axis=1), alone)
    framed = polars.DataFrame({"id": FRAME["id"].tolist(), "count": FRAME["count"].tolist()})
    np.testing.assert_array_equal(CHAIN.predict(Sequences.by(framed, "id")), alone)


def test_what_is_said_of_runs_carries_their_keys() -> None:
    density = CHAIN.score_samples(PEOPLE)
    assert density.index.tolist() == list("dbca")
    alone = [CHAIN.score_samples([run])[0] for run in RUNS]
    np.testing.assert_allclose(density, alone, rtol=1e-12)
    groups = emframe.fit(emframe.Mixture(emframe.Grouped("poisson"), 2), PEOPLE, rng=0)
    assert groups.predict(PEOPLE).index.tolist() == list("dbca")
    assert groups.predict_proba(PEOPLE).index.tolist() == list("dbca")


def test_states_that_came_back_are_taken_back() -> None:
    """log p(x, z) of a path, row by row of its run."""
    path = CHAIN.viterbi(PEOPLE)
    found = CHAIN.complete_log_likelihood(PEOPLE, path)
    params, wanted = CHAIN.params, 0.0
    for name, run in zip("dbca", RUNS, strict=True):
        z = np.asarray(path[FRAME["id"] == name])
        rates = params.components.rates[:, 0]
        wanted += np.log(params.initial[z[0]]) + stats.poisson.logpmf(run, rates[z]).sum()
        wanted += np.log(params.transitions[z[:-1], z[1:]]).sum()
    assert found == pytest.approx(wanted, rel=1e-12)


def test_the_likeliest_path_is_the_best_of_all() -> None:
    params = CHAIN.params
    rates = params.components.rates[:, 0]

    def height(run: Any, z: Any) -> float:
        emitted = stats.poisson.logpmf(run, rates[z]).sum() + np.log(params.initial[z[0]])
        return float(emitted + np.log(params.transitions[z[:-1], z[1:]]).sum())

    best = []
    for run in RUNS:
        paths = (np.array(path) for path in product(range(2), repeat=len(run)))
        best.append(max(paths, key=lambda path: height(run, path)))
    np.testing.assert_array_equal(CHAIN.viterbi(PEOPLE), by_hand(best))
    np.testing.assert_array_equal(CHAIN.model.viterbi(CHAIN.params, PEOPLE), by_hand(best))
    np.testing.assert_array_equal(CHAIN.viterbi(RUNS), np.concatenate(best))


def test_only_paths_are_asked_for() -> None:
    fit = emframe.fit(emframe.Mixture("poisson", 2), FRAME[["count"]], rng=0, n_starts=1)
    with pytest.raises(TypeError, match="is no path through states; see predict"):
        fit.viterbi(FRAME[["count"]])


def test_an_impossible_run_has_no_path() -> None:
    start = {
        "initial": [1.0, 0.0],
        "transitions": [[1.0, 0.0], [0.0, 1.0]],
        "rates": [[0.0], [5.0]],
    }
    model = emframe.model("hidden-markov", family="poisson")
    params = model.build(start)
    with pytest.raises(ValueError, match=r"run 1 \(1 such\) is impossible along every path"):
        model.viterbi(params, [np.array([0.0, 0.0]), np.array([0.0, 3.0])])


def test_transitions_that_no_data_touch_are_told() -> None:
    model = emframe.model("hidden-markov", family="poisson")
    alone = emframe.fit(model, Sequences(FRAME[["count"]], np.ones(len(FRAME), dtype=int)), rng=0)
    assert "no row follows another in its run" in alone.message
    assert "no row follows another in its run" in str(alone)
    assert "say nothing" not in CHAIN.message
    # State 1 is seen at the end alone.
    runs = [np.array([0.0, 1.0, 0.0, 900.0])] * 3
    fit = emframe.fit(model, runs, rng=0)
    last = int(fit.params.components.rates[:, 0].argmax())
    assert f"transitions from state {last}: no row follows one" in fit.message


def test_an_array_of_three_axes_is_told_how_to_become_runs() -> None:
    cube = np.zeros((4, 7, 2))
    with pytest.raises(ValueError, match=r"pass a list of them, list\(X\), or emframe.Sequences"):
        emframe.fit(emframe.model("hidden-markov", family="gaussian"), cube)
    with pytest.raises(ValueError, match=r"4 parts are runs of 7 rows"):
        emframe.fit(emframe.Mixture(emframe.Grouped("gaussian"), 2), cube)
