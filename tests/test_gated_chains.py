"""Chains that depend on covariates, and chains of which some numbers are held, path by path."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm

import emframe
from emframe.data.runs import Sequences
from emframe.latents.paths import best_paths, path_posterior
from emframe.latents.varying import Laws, varying_best, varying_drawn, varying_posterior
from emframe.parameters import from_vector, n_free, to_vector

NAN = float("nan")


def scene(seed, k, lengths):
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    laws = Laws(
        log_softmax(rng.normal(size=(k, len(lengths))), axis=0),
        log_softmax(2.0 * rng.normal(size=(k, k, n)), axis=1),
    )
    runs = Sequences(np.zeros((n, 1)), np.array(lengths))
    return laws, 3.0 * rng.normal(size=(n, k)), runs, rng.integers(1, 4, size=len(lengths)) * 1.0


def every_path(laws, log_b, runs, s):
    """All paths of run s, and their joint log densities."""
    k, first, length = log_b.shape[1], runs.firsts[s], runs.lengths[s]
    paths = np.array(list(product(range(k), repeat=length)))
    found = laws.begins[paths[:, 0], s] + log_b[first, paths[:, 0]]
    for t in range(1, length):
        found = found + laws.steps[paths[:, t - 1], paths[:, t], first + t]
        found = found + log_b[first + t, paths[:, t]]
    return paths, found


@given(
    st.integers(0, 10_000),
    st.integers(1, 3),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.sampled_from([1.0, 0.4]),
)
@settings(max_examples=40, deadline=None)
def test_sums_over_paths_are_those_over_every_path(seed, k, lengths, beta):
    laws, log_b, runs, weights = scene(seed, k, lengths)
    found = varying_posterior(laws, log_b, runs, weights, beta)
    best = varying_best(laws, log_b, runs)
    entropy = 0.0
    for s in range(len(lengths)):
        paths, joint = every_path(laws, log_b, runs, s)
        total = logsumexp(beta * joint)
        share = np.exp(beta * joint - total)
        assert found.loglik[s] == pytest.approx(total)
        entropy -= weights[s] * (share * (beta * joint - total)).sum()
        first = runs.firsts[s]
        for t in range(lengths[s]):
            for j in range(k):
                here = share[paths[:, t] == j].sum()
                assert found.states[j, first + t] == pytest.approx(here, abs=1e-12)
                for i in range(k if t else 0):
                    both = share[(paths[:, t - 1] == i) & (paths[:, t] == j)].sum()
                    assert found.steps[i, j, first + t] == pytest.approx(both, abs=1e-12)
        own = paths[joint.argmax()]
        assert best[first : first + lengths[s]].tolist() == own.tolist()
    assert found.entropy == pytest.approx(entropy, abs=1e-10)


@pytest.mark.parametrize("spread", [1.0, 500.0])
def test_where_all_steps_are_alike_it_is_the_chain(spread):
    rng = np.random.default_rng(1)
    lengths = np.array([400, 1, 77])
    runs = Sequences(np.zeros((478, 1)), lengths)
    initial, matrix = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3), size=3)
    log_b, weights = spread * rng.normal(size=(478, 3)), np.array([1.0, 2.0, 3.0])
    laws = Laws(
        np.repeat(np.log(initial)[:, None], 3, axis=1),
        np.repeat(np.log(matrix)[:, :, None], 478, axis=2),
    )
    found = varying_posterior(laws, log_b, runs, weights)
    expected = path_posterior(initial, matrix, log_b, runs, weights)
    assert found.loglik == pytest.approx(expected.loglik, rel=1e-12)
    assert pytest.approx(expected.states, abs=1e-10) == found.states.T
    each = np.repeat(weights, lengths)
    assert (found.steps * each).sum(axis=2) == pytest.approx(expected.steps, abs=1e-8)
    assert found.entropy == pytest.approx(expected.entropy, abs=1e-7)
    assert (varying_best(laws, log_b, runs) == best_paths(initial, matrix, log_b, runs)).all()


def test_drawn_paths_come_as_often_as_they_are_likely():
    laws, log_b, runs, _ = scene(5, 2, [3])
    paths, joint = every_path(laws, log_b, runs, 0)
    rng = np.random.default_rng(0)
    drawn = [tuple(varying_drawn(laws, log_b, runs, rng).tolist()) for _ in range(3000)]
    for path, share in zip(
        map(tuple, paths.tolist()), np.exp(joint - logsumexp(joint)), strict=True
    ):
        error = np.sqrt(share * (1 - share) / 3000)
        assert abs(drawn.count(path) / 3000 - share) < 4 * error + 1e-9


def sequences(n_runs=30, length=12, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.normal(size=n_runs)
    t = rng.normal(size=(n_runs, length))
    rows = []
    for s in range(n_runs):
        z = int(rng.random() < 1 / (1 + np.exp(-age[s])))
        for u in t[s]:
            stay = 1 / (1 + np.exp(-1.0 - 1.5 * u))
            z = z if rng.random() < stay else 1 - z
            rows.append([rng.normal(2.5 * z, 1.0), u, age[s]])
    return Sequences(np.array(rows), np.full(n_runs, length))


RUNS = sequences()


def model(**laws):
    return emframe.model(
        "hidden-markov", family=emframe.fixed("gaussian", covariances=1.0), n_states=2, **laws
    )


def law(value, u):
    """log p of K choices at covariates (b, q), (b, K)."""
    odds = np.stack(list(vars(value).values()))  # (p, K)
    return log_softmax(np.column_stack([np.ones(len(u)), u]) @ odds, axis=1)


def loglik(params, runs, begin=(), step=()):
    """By the forward sums of all runs, which are of one length; by nothing of the package."""
    x = np.asarray(runs.x).reshape(len(runs.lengths), runs.lengths[0], -1)
    b = norm.logpdf(x[:, :, :1], params.components.means[:, 0], 1.0)
    with np.errstate(divide="ignore"):
        a = law(params.initial, x[:, 0, begin]) if begin else np.log(params.initial)
        a = a + b[:, 0]
        for t in range(1, x.shape[1]):
            if step:
                odds = np.stack(list(vars(params.transitions).values()))  # (p, K, K)
                u = np.column_stack([np.ones(len(x)), x[:, t, step]])
                log = log_softmax(np.einsum("sp,pij->sij", u, odds), axis=2)
            else:
                log = np.log(params.transitions)
            a = logsumexp(a[:, :, None] + log, axis=1) + b[:, t]
    return logsumexp(a, axis=1).sum()


LAWS = {
    "steps": ({"transitions": emframe.Gate(1)}, [0, 1], {"step": (1,)}, 2 + 1 + 4),
    "beginning": ({"initial": emframe.Gate(1)}, [0, 2], {"begin": (1,)}, 2 + 2 + 2),
    "both": (
        {"initial": emframe.Gate(2), "transitions": emframe.Gate(1)},
        [0, 1, 2],
        {"step": (1,), "begin": (2,)},
        2 + 2 + 4,
    ),
    "held": ({"transitions": [[0.8, 0.2], [NAN, NAN]]}, [0], {}, 2 + 1 + 1),
    "absorbing": ({"transitions": [[NAN, NAN], [0.0, 1.0]], "initial": [1.0, 0.0]}, [0], {}, 3),
    "steps, and a beginning that is held": (
        {"transitions": emframe.Gate(1), "initial": [0.5, 0.5]},
        [0, 1],
        {"step": (1,)},
        2 + 4,
    ),
}


@pytest.mark.parametrize("name", LAWS)
def test_the_maximum_is_that_of_the_likelihood(name):
    laws, columns, told, n_parameters = LAWS[name]
    runs = Sequences(np.ascontiguousarray(RUNS.x[:, columns]), RUNS.lengths)
    fit = emframe.fit(model(**laws), runs, rng=0, tol=1e-10, n_starts=4)
    assert fit.converged, fit.message
    assert fit.n_parameters == n_parameters
    assert fit.log_likelihood == pytest.approx(loglik(fit.params, runs, **told), abs=1e-8)

    def loss(vector):
        return -loglik(from_vector(fit.params, vector), runs, **told)

    best = minimize(loss, to_vector(fit.params) * 1.01 + 0.003, options={"gtol": 1e-5})
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-6)
    assert fit.log_likelihood >= -best.fun - 1e-8


@pytest.mark.parametrize("name", ["steps", "both", "held", "absorbing"])
def test_a_saved_chain_is_the_same(name, tmp_path):
    laws, columns, *_ = LAWS[name]
    runs = Sequences(np.ascontiguousarray(RUNS.x[:, columns]), RUNS.lengths)
    made = emframe.model("hidden-markov", family="gaussian", n_states=2, **laws)
    fit = emframe.fit(made, runs, rng=0, n_starts=1)
    fit.save(tmp_path / "one.fit")
    back = emframe.load(tmp_path / "one.fit")
    assert np.array_equal(back.predict_proba(runs), fit.predict_proba(runs))
    assert (back.viterbi(runs) == fit.viterbi(runs)).all()
    assert back.model == fit.model
    drawn, _ = fit.sample(7, 0, given=runs)
    assert drawn.shape == (7, len(columns))


def test_what_is_held_stays_and_zeros_are_not_counted():
    steps = [[0.9, 0.1, 0.0], [0.0, NAN, NAN], [0.0, 0.0, 1.0]]
    rng = np.random.default_rng(2)
    rows = [np.repeat([0.0, 6.0, 12.0], rng.integers(3, 9, size=3)) for _ in range(25)]
    runs = [row + rng.normal(size=len(row)) for row in rows]
    made = emframe.model(
        "hidden-markov", family="gaussian", n_states=3, initial=[1, 0, 0], transitions=steps
    )
    fit = emframe.fit(made, runs, rng=0)
    assert fit.params.transitions[[0, 2]].tolist() == [steps[0], steps[2]]
    assert fit.params.transitions[1, 0] == 0.0
    assert fit.params.components.means[:, 0] == pytest.approx([0.0, 6.0, 12.0], abs=0.5)
    assert fit.n_parameters == 6 + 1
    assert n_free(fit.params) == 7
    errors = fit.standard_errors(runs)
    assert errors.params.transitions[0].tolist() == [0.0, 0.0, 0.0]
    assert "held" not in fit.message


def test_words_and_names_go_with_runs_of_frames():
    frame = pd.DataFrame(np.asarray(RUNS.x), columns=["y", "t", "age"])
    frame["who"] = np.repeat(np.arange(30), 12)
    frame["kind"] = np.where(frame["age"] > 0, "old", "young")
    made = model(initial=emframe.Gate("kind"), transitions=emframe.Gate("t"))
    runs = emframe.Sequences.by(frame.drop(columns="age"), "who")
    fit = emframe.fit(made, runs, rng=0, n_starts=3)
    assert list(vars(fit.params.initial)) == ["intercept", "kind_young"]
    listed = [own.drop(columns=["who", "age"]) for _, own in frame.groupby("who")]
    again = emframe.fit(made, listed, start=fit.params)
    assert again.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-6)
    assert fit.component_columns == ("y",)


def test_a_chain_with_one_state_more_begins_at_the_smaller_one():
    runs = Sequences(np.ascontiguousarray(RUNS.x[:, :2]), RUNS.lengths)
    small = model(transitions=emframe.Gate(1)).settled(runs)
    fit = emframe.fit(small, runs, rng=0, n_starts=2)
    larger = emframe.model(
        "hidden-markov", family=small.family, n_states=3, transitions=small.transitions
    )
    point = larger.embedded(small, fit.params)
    q = larger.expect(point, larger.rows(runs).x, np.ones(30))
    assert q.loglik == pytest.approx(fit.log_likelihood, abs=1e-8)
    assert q.loglik == pytest.approx(q.value(point) + q.entropy, abs=1e-7)


REFUSED = {
    "rows that sum to more": ({"transitions": [[0.9, 0.2], [NAN, NAN]]}, "row 0 .* sums to 1.1"),
    "nothing left": ({"transitions": [[1.0, NAN], [NAN, NAN]]}, "sums to 1"),
    "another shape": ({"transitions": [[1.0]]}, "has shape"),
    "no probability": ({"initial": [-0.5, 1.5]}, "holds -0.5"),
    "stationary and held": (
        {"initial": "stationary", "transitions": [[NAN, NAN], [0.0, 1.0]]},
        "goes with transitions that are free",
    ),
    "a word": ({"initial": "fixed"}, "expected 'free', 'stationary', an emframe.Gate"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_law_is_refused(name):
    laws, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        model(**laws)
