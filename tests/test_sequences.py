"""Rows in runs: answers come back where the rows stood, and what no data touch is told."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import logsumexp

import emframe
from emframe.data.runs import Sequences
from emframe.latents.scans import traced

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


@pytest.mark.parametrize("of_runs", [False, True])
def test_what_is_filled_in_is_filled_in_where_it_was_missing(of_runs: bool) -> None:
    """Rows that show all come back as they are; the others with the means of their states."""
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
    frame["id"] = np.tile(np.arange(12), 5)
    hidden = rng.random((60, 2)) < 0.2
    shown = frame[["a", "b"]].mask(hidden).assign(id=frame["id"])
    family = emframe.family("gaussian", missing=True, covariance="diag")
    model = (
        emframe.Mixture(emframe.Grouped(family), 2)
        if of_runs
        else emframe.model("hidden-markov", family=family)
    )
    runs = Sequences.by(shown, "id")
    fit = emframe.fit(model, runs, rng=0, n_starts=1, max_iter=3)
    resp = np.asarray(fit.predict_proba(runs))
    each = resp[frame["id"]] if of_runs else resp
    wanted = np.where(hidden, each @ fit.params.components.means, frame[["a", "b"]])
    np.testing.assert_allclose(fit.impute(runs), wanted, rtol=1e-12)


@pytest.mark.parametrize("gated", [False, True])
def test_many_runs_side_by_side_are_those_one_by_one(gated: bool) -> None:
    """The likeliest paths of 120 short runs, as of each by itself."""
    rng = np.random.default_rng(5)
    lengths = rng.integers(1, 7, size=120)
    frame = pd.DataFrame({"x": rng.normal(size=lengths.sum()), "t": rng.normal(size=lengths.sum())})
    frame["id"] = rng.permutation(np.repeat(np.arange(120), lengths))
    frame = frame if gated else frame.drop(columns="t")
    steps = {"transitions": emframe.Gate("t")} if gated else {}
    model = emframe.model("hidden-markov", family="normal", n_states=3, **steps)
    runs = Sequences.by(frame, "id")
    fit = emframe.fit(model, runs, rng=0, n_starts=1, max_iter=2)
    path = fit.viterbi(runs)
    for name, own in frame.groupby("id"):
        alone = fit.viterbi(Sequences.by(own, "id"))
        np.testing.assert_array_equal(path[frame["id"] == name], alone)


def test_paths_traced_in_steps_are_those_traced_row_by_row() -> None:
    rng = np.random.default_rng(6)
    lengths = rng.integers(1, 90, size=50)
    last, back = rng.integers(3, size=lengths.sum()), rng.integers(3, size=(lengths.sum(), 3))
    found = traced(Sequences(np.zeros((lengths.sum(), 1)), lengths), last, back)
    first = 0
    for n in lengths:
        run = Sequences(np.zeros((n, 1)), np.array([n]))
        part = slice(first, first + n)
        np.testing.assert_array_equal(found[part], traced(run, last[part], back[part]))
        first += n


OTHER = pd.Series(np.ones(4), index=list("abcd"))  # the runs come as d, b, c, a
BACKWARDS = FRAME.index[::-1]
MISALIGNED = {
    "weights": lambda: emframe.fit(CHAIN.model, PEOPLE, weights=OTHER, rng=0, n_starts=1),
    "labels": lambda: emframe.fit(
        CHAIN.model, PEOPLE, labels=pd.Series(0, index=BACKWARDS), rng=0, n_starts=1
    ),
    "start": lambda: emframe.fit(
        CHAIN.model, PEOPLE, start=pd.Series(0, index=BACKWARDS), rng=0, n_starts=1
    ),
    "groups": lambda: Sequences.by(FRAME, pd.Series(0, index=BACKWARDS)),
    "z": lambda: CHAIN.complete_log_likelihood(PEOPLE, pd.Series(0, index=BACKWARDS)),
    "y": lambda: emframe.outcomes(MIXED, FRAME[["count"]], pd.Series(0.0, index=BACKWARDS)),
    "clusters": lambda: MIXED.standard_errors(
        FRAME[["count"]], method="sandwich", clusters=pd.Series(0, index=BACKWARDS)
    ),
}
MIXED = emframe.fit(emframe.Mixture("poisson", 2), FRAME[["count"]], rng=0, n_starts=2)


@pytest.mark.parametrize("name", MISALIGNED)
def test_what_has_another_index_is_not_taken_by_position(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` has another index than `X`.*{name}.reindex"):
        MISALIGNED[name]()


def test_an_index_of_the_labels_of_runs_is_taken() -> None:
    weights = pd.Series(2.0, list("dbca"))
    doubled = emframe.fit(CHAIN.model, PEOPLE, weights=weights, start=CHAIN.params)
    assert doubled.log_likelihood == pytest.approx(2.0 * CHAIN.log_likelihood, rel=1e-9)


@pytest.mark.parametrize(
    "labels", [np.array([3, 1, 3, 2]), np.array(["c", "a", "c", "b"]), np.array([3.0, 1, 3, 2])]
)
def test_groups_are_in_the_order_of_their_first_rows_whatever_their_labels(labels: Any) -> None:
    x = np.arange(4.0)[:, None]
    found, objects = Sequences.by(x, labels), Sequences.by(x, labels.astype(object))
    for one in (found, objects):
        assert one.order.tolist() == [0, 2, 1, 3]
        assert one.keys.tolist() == labels[[0, 1, 3]].tolist()
    unknown = np.array([1.0, np.nan])
    for one in (unknown, unknown.astype(object)):
        with pytest.raises(ValueError, match=r"`groups\[1\]` is nan \(1 such\)"):
            Sequences.by(x[:2], one)


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


# ---- states that are mixtures, or of several families


def walk(n: int = 300) -> tuple[Any, Any]:
    """Rows of a sticky chain of two states, the first of two kinds of rows."""
    rng = np.random.default_rng(8)
    z = np.cumsum(rng.random(n) < 0.05) % 2
    kind = rng.random(n) < 0.5
    x = np.where(z == 0, np.where(kind, -4.0, 4.0), 0.0) + 0.7 * rng.normal(size=n)
    return x, z


def forward(params: Any, density: Any) -> float:
    """log p(x) of one run from log densities (K, n), by the textbook."""
    with np.errstate(divide="ignore"):
        begin, step = np.log(params.initial), np.log(params.transitions)
    ahead = begin + density[:, 0]
    for t in range(1, density.shape[1]):
        ahead = logsumexp(ahead[:, None] + step, axis=0) + density[:, t]
    return float(logsumexp(ahead))


def test_states_may_be_mixtures(tmp_path: Any) -> None:
    x, z = walk()
    pair = emframe.Mixture("gaussian", 2)
    model = emframe.model("hidden-markov", family=pair, n_states=2)
    fit = emframe.fit(model, x, start=z)
    parts = fit.params.components
    density = np.zeros((2, len(x)))
    for k in range(2):
        inner = [
            np.log(parts.shares[k, j])
            + stats.norm.logpdf(x, one.means[k, 0], np.sqrt(one.covariances[k, 0, 0]))
            for j, one in enumerate((parts.inner0, parts.inner1))
        ]
        density[k] = logsumexp(inner, axis=0)
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(forward(fit.params, density), abs=1e-8)
    found = fit.viterbi(x)
    assert max(np.mean(found == z), np.mean(found != z)) > 0.95
    fit.save(tmp_path / "a.fit")
    again = emframe.load(tmp_path / "a.fit")
    assert again.model == model
    np.testing.assert_array_equal(again.predict(x), fit.predict(x))


def test_one_state_that_is_a_mixture_is_that_mixture() -> None:
    x, _ = walk()
    model = emframe.model("hidden-markov", family=emframe.Mixture("gaussian", 3), n_states=1)
    chain = emframe.fit(model, x, rng=0, n_starts=4)
    plain = emframe.fit(emframe.Mixture("gaussian", 3), x, rng=0)
    assert chain.n_parameters == plain.n_parameters
    assert chain.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-4)


def test_states_may_be_of_several_families(tmp_path: Any) -> None:
    rng = np.random.default_rng(9)
    z = np.cumsum(rng.random(150) < 0.05) % 2
    x = np.where(z == 0, rng.laplace(0.0, 1.0, 150), rng.normal(8.0, 2.0, 150))
    laplace = emframe.from_scipy("laplace")
    model = emframe.model("hidden-markov", family=[laplace, "gaussian"])
    assert (model.n_states, model.title()) == (
        2,
        "hidden-markov, family=['laplace', 'gaussian'], n_states=[1, 1], initial=free",
    )
    fit = emframe.fit(model, x, rng=0, n_starts=4)
    one, two = fit.params.components
    density = np.stack([
        stats.laplace.logpdf(x, one.loc[0], one.scale[0]),
        stats.norm.logpdf(x, two.means[0, 0], np.sqrt(two.covariances[0, 0, 0])),
    ])  # fmt: skip
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(forward(fit.params, density), abs=1e-8)
    assert np.mean(fit.predict(x) == z) > 0.97
    fit.save(tmp_path / "a.fit")
    again = emframe.load(tmp_path / "a.fit")
    np.testing.assert_array_equal(again.predict(x), fit.predict(x))
    again = emframe.fit(model, x, start=fit.params)
    assert again.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-6)
    values = {"initial": [0.5, 0.5], "transitions": np.full((2, 2), 0.5)}
    told = {**values, "components": [{"loc": [0.0], "scale": [1.0]},
                                     {"means": [[8.0]], "covariances": [[[4.0]]]}]}  # fmt: skip
    named = emframe.fit(model, x, start=told)
    assert named.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-5)
    assert len(fit.to_frame()) == 2 + 4 + 4
    assert fit.sample(5, rng=0)[0].shape == (5, 1)
    grouped = emframe.model("hidden-markov", family=["gaussian", laplace], n_states=[2, 1])
    assert grouped.n_states == 3
    assert emframe.fit(grouped, x, rng=0, n_starts=2).status.usable


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"family": ["gaussian", "poisson"], "n_states": 2}, ValueError, "`n_states` is 2 for 2"),
        ({"family": []}, ValueError, "empty list"),
        ({"family": CHAIN.model}, TypeError, "are runs, whose rows share one z"),
        ({"family": emframe.Mixture(emframe.Grouped("poisson"), 2)}, TypeError, "are runs"),
        ({"family": 3}, TypeError, "number of components is n_states=3"),
        ({"family": "gaussian", "n_states": 2.5}, TypeError, "`n_states` is 2.5"),
        ({"family": emframe.Mixture("poisson"), "covariance": "full"}, TypeError, "an object alr"),
    ],
)
def test_states_that_make_no_chain_are_refused(
    options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        emframe.model("hidden-markov", **options)
