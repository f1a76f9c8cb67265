"""Sparse EM: a table of families x the bound, its books, and the limits where it is EM."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp

import emframe
from emframe import Status, variants
from emframe.models.sparse_pass import SparsePass
from emframe.variants.sparse import Climb, RowGroups

K, SEEN = 6, 3
RNG = np.random.default_rng(7)
CENTRES = np.array([[0, 0], [9, 0], [0, 9], [9, 9], [4, 18], [20, 4]], dtype=float)
Z = np.arange(600) % K
REAL = CENTRES[Z] + RNG.normal(size=(600, 2)) * [1.0, 1.5]
COUNTS = RNG.poisson(np.geomspace(1.0, 300.0, K)[Z])[:, None].astype(float)
BITS = (RNG.random((600, 8)) < RNG.random((K, 8))[Z]).astype(float)
MODELS = {
    **{
        f"gaussian-{one}": (emframe.Mixture("gaussian", K, covariance=one), REAL)
        for one in ("full", "diag", "spherical", "tied", "VEI", "VVE")
    },
    "poisson": (emframe.Mixture("poisson", K), COUNTS),
    "bernoulli": (emframe.Mixture("bernoulli", K), BITS),
    "student-t": (emframe.Mixture("student-t", K), REAL),
    "product": (
        emframe.Mixture(emframe.Product({(0, 1): "gaussian", 2: "poisson"}), K),
        np.concatenate([REAL, COUNTS], axis=1),
    ),
    "unlike": (emframe.Mixture(["gaussian", "student-t"], [4, 2]), REAL),
    "held": (emframe.Mixture("gaussian", K).fixed(weights=1 / K), REAL),
}
FAR = (emframe.Mixture("gaussian", K, covariance="diag"), REAL + 1e7)  # which only `direct` takes
WEIGHTS = 1.0 + np.arange(600) % 3


def posed(model, x, weights=None, n_nearest=SEEN):
    """A climb, and parameters at which it may begin."""
    rows = model.rows(x, weights)
    params = model.start(Z, rows, np.random.default_rng(0))
    survey = model.survey(rows)
    return Climb(model, rows, survey, emframe.core.EM(), n_nearest, 1e-6, 1000), params


@pytest.mark.parametrize(("model", "x"), [*MODELS.values(), FAR], ids=[*MODELS, "far"])
def test_f_is_the_log_sum_over_what_a_row_sees_and_its_books_balance(model, x):
    climb, params = posed(model, x, WEIGHTS)
    sets = np.sort(np.argsort(np.random.default_rng(1).random((K, K)), axis=1)[:, :SEEN], axis=1)
    groups = RowGroups(Z.astype(np.uint8), sets)
    q = climb.expectation(groups)(params)
    joint = model.log_joint(params, x)
    seen = np.take_along_axis(joint, sets[Z], axis=1)
    assert q.loglik == pytest.approx(WEIGHTS @ logsumexp(seen, axis=1), rel=1e-9)
    assert q.loglik < WEIGHTS @ logsumexp(joint, axis=1)
    assert q.value(params) + q.entropy == pytest.approx(q.loglik, rel=1e-9)
    resp = np.zeros((len(x), K))
    np.put_along_axis(resp, sets[Z], np.exp(seen - logsumexp(seen, axis=1)[:, None]), axis=1)
    assert q.sums == pytest.approx(WEIGHTS @ resp, rel=1e-9)
    assert q.value(q.maximize()) >= q.value(params) - 1e-9 * abs(q.loglik)


@pytest.mark.parametrize(("model", "x"), MODELS.values(), ids=MODELS)
def test_where_each_row_sees_all_components_it_is_em(model, x):
    climb, params = posed(model, x, WEIGHTS)
    q = climb.expectation(RowGroups(Z.astype(np.uint8), np.tile(np.arange(K), (K, 1))))(params)
    whole = model.expect(params, x, WEIGHTS)
    assert q.loglik == pytest.approx(whole.loglik, rel=1e-10)
    assert q.entropy == pytest.approx(whole.entropy, rel=1e-8)
    assert q.value(q.maximize()) == pytest.approx(whole.value(whole.maximize()), rel=1e-9)


def test_groups_see_the_components_that_have_most_of_them():
    model, x = MODELS["gaussian-full"]
    climb, params = posed(model, x)
    groups = climb.chosen(
        RowGroups(np.zeros(len(x), np.uint8), np.tile(np.arange(K), (K, 1))), params
    )
    joint = model.log_joint(params, x)
    assert (groups.labels == joint.argmax(axis=1)).all()
    for component in range(K):
        own = joint[groups.labels == component]
        most = (own - own.max(axis=1, keepdims=True)).max(axis=0)
        assert component in groups.sets[component]
        nearest = set(np.argsort(-most)[:2])
        assert nearest <= set(groups.sets[component])


def test_a_component_that_is_near_nobody_is_seen_by_those_that_have_most_of_it():
    model, x = MODELS["gaussian-full"]
    climb, params = posed(model, x, n_nearest=2)
    means = params.components.means.copy()
    means[5] = [90.0, 80.0]
    far = replace(params, components=replace(params.components, means=means))
    assert not (np.argsort(-model.log_joint(far, x), axis=1)[:, :2] == 5).any()
    everywhere = RowGroups(np.zeros(len(x), np.uint8), np.tile(np.arange(K), (K, 1)))
    groups = climb.chosen(everywhere, far)
    assert len(np.unique(groups.sets[np.unique(groups.labels)])) == K


@pytest.mark.parametrize("name", ["gaussian-diag", "gaussian-tied", "poisson", "student-t"])
def test_f_never_falls_and_ends_below_the_likelihood_from_where_em_goes_on(name):
    model, x = MODELS[name]
    near = (Z + (RNG.random(len(Z)) < 0.1)) % K
    done = variants.sparse(model, x, SEEN, start=near, tol=1e-6)
    assert done.status is Status.CONVERGED
    assert (np.diff(done.trace) >= 0).all()
    assert len(done.gains) == len(done.trace)
    at_end = model.posterior(done.step.params, x)[0].sum()
    assert done.step.objective <= at_end
    fit = emframe.fit(model, x, start=done.step.params)
    assert fit.log_likelihood >= at_end - 1e-9 * abs(at_end)
    em = emframe.fit(model, x, start=near)
    assert fit.log_likelihood == pytest.approx(em.log_likelihood, abs=1e-5)


def test_a_choice_that_does_not_raise_f_is_left(monkeypatch):
    """Rows that are shown components far from them have less of F than before."""
    model, x = MODELS["gaussian-full"]
    climb, params = posed(model, x)
    blind = np.sort((np.arange(K)[:, None] + [1, 2, 3]) % K, axis=1)
    monkeypatch.setattr(Climb, "chosen", lambda self, groups, _: RowGroups(groups.labels, blind))
    done = climb(params)
    assert done.status is Status.CONVERGED
    assert (np.diff(done.trace) >= 0).all()


def test_an_interrupted_choice_loses_nothing(monkeypatch):
    model, x = MODELS["gaussian-full"]
    climb, params = posed(model, x)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Climb, "chosen", interrupted)
    done = climb(params)
    assert done.status is Status.INTERRUPTED
    assert len(done.trace) == 2


def test_rows_on_disk_are_seen_as_those_in_memory_are():
    model, x = MODELS["gaussian-diag"]
    whole = variants.sparse(model, x, SEEN, start=Z)
    blocks = emframe.Blocks(lambda: iter([x[:250], x[250:]]), *x.shape)
    parts = emframe.Parts([x[:250], x[250:]])
    for other in (blocks, parts):
        done = variants.sparse(model, other, SEEN, start=whole.step.params)
        assert done.step.objective == pytest.approx(whole.step.objective, abs=1e-3)


@pytest.mark.parametrize(
    "model",
    [
        emframe.model("hidden-markov", family="gaussian", n_states=2),
        emframe.Mixture("gaussian", 2, weights=emframe.Gate(1)),
    ],
    ids=["chain", "gate"],
)
def test_other_laws_of_z_are_refused(model):
    with pytest.raises(TypeError, match="mixtures of single rows"):
        variants.sparse(model, REAL)


def test_a_pass_travels():
    model, x = MODELS["gaussian-diag"]
    climb, params = posed(model, x)
    sets = np.tile(np.arange(SEEN), (K, 1))
    one = next(SparsePass.each(model, params, climb.survey, sets))
    there = pickle.loads(pickle.dumps(one))
    labels = Z.astype(np.uint8)
    assert there.block(x, WEIGHTS, labels).loglik == one.block(x, WEIGHTS, labels).loglik
