"""Rows whose component is known, or is one of some, against the likelihood written out."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp
from scipy.stats import poisson

import emframe
from emframe.parameters import from_vector, to_vector


def rows(n=300, seed=0):
    rng = np.random.default_rng(seed)
    u = rng.normal(size=n)
    z = (rng.random(n) < 1.0 / (1.0 + np.exp(-u))).astype(int)
    return np.column_stack([rng.poisson(np.array([3.0, 6.0])[z]), u]), z, rng


X, Z, RNG = rows()
KNOWN = np.where(RNG.random(len(Z)) < 0.3, Z, -1)
MASK = np.ones((len(Z), 3), dtype=bool)
MASK[KNOWN == 0, 2] = False
MASK[KNOWN == 1] = [False, True, False]


def density(params, x):
    return poisson.logpmf(x[:, :1], params.components.rates[:, 0])


def weights_of(params, x):
    if hasattr(params, "weights"):
        return np.log(params.weights)
    odds = np.stack([params.gate.intercept, params.gate.x1])
    return log_softmax(np.column_stack([np.ones(len(x)), x[:, 1]]) @ odds, axis=1)


def allowed_of(labels, k):
    labels = np.asarray(labels)
    return labels if labels.ndim == 2 else (labels[:, None] == np.arange(k)) | (labels[:, None] < 0)


MODELS = {
    "labels": (emframe.Mixture("poisson", 2), X[:, :1], KNOWN, 2),
    "sets of components": (emframe.Mixture("poisson", 3), X[:, :1], MASK, 3),
    "with a gate": (emframe.Mixture("poisson", 2, weights=emframe.Gate(1)), X, KNOWN, 2),
    "all rows": (emframe.Mixture("poisson", 2), X[:, :1], Z, 2),
    "held weights": (emframe.Mixture("poisson", 2, weights=[0.3, 0.7]), X[:, :1], KNOWN, 2),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_maximum_is_that_of_the_likelihood(name):
    model, x, labels, k = MODELS[name]
    fit = emframe.fit(model, x, labels=labels, rng=0, tol=1e-11)
    assert fit.converged, fit.message
    barred = np.where(allowed_of(labels, k), 0.0, -np.inf)

    def loglik(params):
        return logsumexp(weights_of(params, x) + density(params, x) + barred, axis=1).sum()

    assert fit.log_likelihood == pytest.approx(loglik(fit.params), abs=1e-9)

    def loss(vector):
        return -loglik(from_vector(fit.params, vector))

    start = to_vector(fit.params) * 1.01
    best = minimize(loss, start, jac="3-point", options={"gtol": 1e-7})
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-8)
    known = fit.predict_proba(emframe.Labelled(x, labels))
    assert (known[~allowed_of(labels, k)] == 0.0).all()
    # What is asked of rows alone knows none of their labels.
    joint = weights_of(fit.params, x) + density(fit.params, x)
    assert fit.predict_proba(x) == pytest.approx(np.exp(log_softmax(joint, axis=1)), abs=1e-12)


def test_where_all_is_known_each_component_is_that_of_its_rows():
    fit = emframe.fit(emframe.Mixture("poisson", 2), X[:, :1], labels=Z, rng=0)
    assert fit.params.weights == pytest.approx([1 - Z.mean(), Z.mean()])
    assert fit.params.components.rates[:, 0] == pytest.approx([X[k == Z, 0].mean() for k in (0, 1)])


@pytest.mark.parametrize("swap", [False, True])
def test_components_have_the_numbers_of_the_labels(swap):
    labels = np.where(KNOWN < 0, -1, 1 - KNOWN) if swap else KNOWN
    fit = emframe.fit(emframe.Mixture("poisson", 2), X[:, :1], labels=labels, rng=0)
    rates = fit.params.components.rates[:, 0]
    assert (rates[0] > rates[1]) == swap


SAME = {
    "none and nan": [None if k < 0 else float(k) for k in KNOWN],
    "floats with nan": np.where(KNOWN < 0, np.nan, KNOWN),
    "a series": pd.Series(KNOWN),
    "a mask": allowed_of(KNOWN, 2),
    "numbers for a mask": allowed_of(KNOWN, 2).astype(int),
}


@pytest.mark.parametrize("name", SAME)
def test_what_is_unknown_may_be_told_in_several_ways(name):
    model = emframe.Mixture("poisson", 2)
    expected = emframe.fit(model, X[:, :1], labels=KNOWN, rng=0)
    found = emframe.fit(model, X[:, :1], labels=SAME[name], rng=0)
    assert found.log_likelihood == expected.log_likelihood


def test_a_column_may_hold_them_and_weights_are_frequencies():
    frame = pd.DataFrame({"y": X[:, 0], "class": KNOWN})
    model = emframe.Mixture("poisson", 2)
    expected = emframe.fit(model, frame[["y"]], labels=KNOWN, rng=0)
    assert (
        emframe.fit(model, frame, labels="class", rng=0).log_likelihood == expected.log_likelihood
    )
    times = np.random.default_rng(2).integers(0, 3, size=len(KNOWN))
    start = expected.params
    weighted = emframe.fit(model, X[:, :1], labels=KNOWN, weights=times, start=start)
    repeated = emframe.fit(
        model, np.repeat(X[:, :1], times, axis=0), labels=np.repeat(KNOWN, times), start=start
    )
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, abs=1e-8)


def test_standard_errors_shrink_with_what_is_known():
    model = emframe.Mixture("poisson", 2)
    part = emframe.fit(model, X[:, :1], labels=KNOWN, rng=0)
    whole = emframe.fit(model, X[:, :1], labels=Z, rng=0)
    errors = [
        fit.standard_errors(emframe.Labelled(X[:, :1], known)).params.components.rates[:, 0]
        for fit, known in ((part, KNOWN), (whole, Z))
    ]
    assert (errors[0] > errors[1]).all()
    rates = whole.params.components.rates[:, 0]
    assert errors[1] == pytest.approx(np.sqrt(rates / np.bincount(Z)), rel=1e-4)


def test_states_of_a_chain_may_be_known_at_some_times():
    rng = np.random.default_rng(3)
    z = (np.cumsum(rng.random(200) < 0.15) % 2).astype(int)
    x = rng.normal(1.5 * z, 1.0)
    labels = np.where(rng.random(200) < 0.4, z, -1)
    model = emframe.model("hidden-markov", family="gaussian", n_states=2)
    fit = emframe.fit(model, x, labels=labels, rng=0)
    p = fit.params
    bars = np.where(allowed_of(labels, 2), 0.0, -np.inf)
    b = -0.5 * (x[:, None] - p.components.means[:, 0]) ** 2 / p.components.covariances[:, 0, 0]
    b = b - 0.5 * np.log(2 * np.pi * p.components.covariances[:, 0, 0]) + bars
    with np.errstate(divide="ignore"):
        a = np.log(p.initial) + b[0]
        for row in b[1:]:
            a = logsumexp(a[:, None] + np.log(p.transitions), axis=0) + row
    assert fit.log_likelihood == pytest.approx(logsumexp(a), abs=1e-8)
    path = fit.viterbi(emframe.Labelled(x, labels))
    assert (path[labels >= 0] == labels[labels >= 0]).all()


def people(n=60):
    """Rows of three visits each, in any order; what is known of people, and of their rows."""
    rng = np.random.default_rng(4)
    z = rng.integers(0, 2, size=n)
    who = rng.permutation(np.repeat(np.arange(n), 3))
    frame = pd.DataFrame({"who": who, "y": rng.normal(2.0 * z[who], 1.0)})
    known = np.where(np.arange(n) % 3 == 0, z, -1)
    runs = emframe.Sequences.by(frame, "who")
    return frame.assign(known=known[who]), runs, pd.Series(known).reindex(runs.keys)


def told_of_runs(form):
    """Runs, and their labels told in one of several ways."""
    frame, runs, known = people()
    rows, first = frame.known.to_numpy(), runs.order[runs.firsts]
    return {
        "of each row": (runs, rows),
        "of one row in three": (runs, np.where(np.isin(np.arange(len(rows)), first), rows, -1)),
        "of each run": (runs, known.to_numpy()),
        "by the keys of runs": (runs, known),
        "sets, of each run": (runs, allowed_of(known.to_numpy(), 2)),
        "a column": (emframe.Sequences.by(frame, "who"), "known"),
        "of runs in a list": ([one[["y"]] for _, one in frame.groupby("who", sort=False)], known),
    }[form]


TOLD = ("of each row", "of one row in three", "of each run", "by the keys of runs",
        "sets, of each run", "a column", "of runs in a list")  # fmt: skip


@pytest.mark.parametrize("form", TOLD)
def test_rows_of_a_run_that_share_a_component_know_it_together(form):
    frame, _, known = people()
    runs, labels = told_of_runs(form)
    labels = labels if form != "of runs in a list" else labels.to_numpy()
    model = emframe.Mixture(emframe.Grouped("gaussian"), 2)
    fit = emframe.fit(model, runs, labels=labels, rng=0, n_starts=2)
    p = fit.params
    rows = np.log(p.weights) / 3 - 0.5 * (
        (frame.y.to_numpy()[:, None] - p.components.means[:, 0]) ** 2
        / p.components.covariances[:, 0, 0]
        + np.log(2 * np.pi * p.components.covariances[:, 0, 0])
    )
    joint = pd.DataFrame(rows).groupby(frame.who.to_numpy()).sum()
    barred = np.where(allowed_of(known.sort_index().to_numpy(), 2), 0.0, -np.inf)
    assert fit.log_likelihood == pytest.approx(logsumexp(joint + barred, axis=1).sum(), abs=1e-8)
    assert fit.converged


AT_ODDS = {
    "rows of a run that differ": (lambda frame, known: frame.index % 2, "share one; give all rows"),
    "keys in another order": (lambda frame, known: known.sort_index(), "reindex"),
    "neither of rows nor runs": (lambda frame, known: [0, 1], "has shape"),
}


@pytest.mark.parametrize("name", AT_ODDS)
def test_labels_of_runs_that_cannot_be_are_refused(name):
    made, message = AT_ODDS[name]
    frame, runs, known = people()
    with pytest.raises(ValueError, match=message):
        emframe.fit(
            emframe.Mixture(emframe.Grouped("gaussian"), 2), runs, labels=made(frame, known)
        )


def test_a_label_for_each_run_says_nothing_of_the_states_of_a_chain():
    _, runs, known = people()
    with pytest.raises(ValueError, match="has shape"):
        emframe.fit(
            emframe.model("hidden-markov", family="gaussian", n_states=2),
            runs,
            labels=known.to_numpy(),
        )


REFUSED = {
    "another number of rows": (KNOWN[:-1], "has shape"),
    "a label beyond": (np.where(KNOWN == 1, 2, KNOWN), "expected 0 to 1, or -1, None or nan"),
    "a word": (np.where(KNOWN < 0, "a", "b"), "expected 0 to 1"),
    "nothing allowed": (np.zeros((len(KNOWN), 2)), "allows no component"),
    "shares": (np.full((len(KNOWN), 2), 0.5), "True or False"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_label_is_refused(name):
    labels, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        emframe.fit(emframe.Mixture("poisson", 2), X[:, :1], labels=labels)


def test_labels_go_with_components_and_rows_in_memory():
    with pytest.raises(TypeError, match="go with a model of components"):
        emframe.fit(
            "factor-analysis", np.random.default_rng(0).normal(size=(30, 4)), labels=[0] * 30
        )
    blocks = emframe.Blocks(lambda: [X[:, :1]], len(X), 1)
    with pytest.raises(TypeError, match="rows in memory"):
        emframe.fit(emframe.Mixture("poisson", 2), blocks, labels=KNOWN)


@pytest.mark.parametrize("method", ["bootstrap", "parametric"])
def test_rows_drawn_anew_keep_what_is_known_of_them(method):
    fit = emframe.fit(emframe.Mixture("poisson", 2), X[:, :1], labels=Z, rng=0)
    known = emframe.Labelled(X[:, :1], Z)
    errors = fit.standard_errors(known, method=method, n_replicates=20, rng=0)
    rates = fit.params.components.rates[:, 0]
    expected = np.sqrt(rates / np.bincount(Z))  # with all labels there, classes are groups
    assert errors.params.components.rates[:, 0] == pytest.approx(expected, rel=0.6)
    assert fit.sample(4, 0)[0].shape[0] == 4


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_fit_asks_rows_without_labels(name, tmp_path):
    model, x, labels, _ = MODELS[name]
    fit = emframe.fit(model, x, labels=labels, rng=0, n_starts=2)
    fit.save(tmp_path / "one.fit")
    back = emframe.load(tmp_path / "one.fit")
    assert np.array_equal(back.predict_proba(x), fit.predict_proba(x))
    assert "label" not in back.columns
    assert back.n_parameters == fit.n_parameters
