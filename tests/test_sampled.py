"""Many rows: starts on a sample, the polish on all, and components too rare for a sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import emframe
from emframe.core import Status
from emframe.data import drawn
from emframe.fitting import overlooked, sampled
from emframe.parameters import to_vector

MODEL = emframe.Mixture("gaussian", n_components=3)


@pytest.fixture
def few(monkeypatch):
    """Samples of 200 rows, from 1000 on."""
    monkeypatch.setattr(sampled, "LARGE", 1000)
    monkeypatch.setattr(sampled, "FEWEST", 200)
    monkeypatch.setattr(sampled, "EACH", 5)
    monkeypatch.setattr(sampled, "RUNS", 10)
    monkeypatch.setattr(sampled, "HELD_OUT", 1500)


def clusters(n=3000, seed=0, shares=(0.5, 0.3, 0.2)):
    rng = np.random.default_rng(seed)
    labels = rng.choice(len(shares), size=n, p=shares)
    centres = 6.0 * np.array([[0, 0], [1, 0], [0, 1], [2, 2], [-3, -3], [3, -3]])[: len(shares)]
    return centres[labels] + rng.normal(size=(n, 2)), labels


def on_sample(fit):
    return [one for one in fit.starts if one.sample]


@pytest.mark.usefixtures("few")
def test_starts_are_made_on_a_sample_and_the_best_is_polished_on_all_rows():
    x, labels = clusters()
    fit = emframe.fit(MODEL, x, rng=0)
    *there, polish = fit.starts
    assert {one.sample for one in there} == {200}
    assert (polish.kind, polish.sample, polish.index) == ("polish", 0, fit.best)
    assert there[polish.parent] == fit.found_on_sample
    assert fit.converged
    assert fit.n_iter == polish.n_iter
    assert fit.log_likelihood == pytest.approx(
        emframe.fit(MODEL, x, start=labels).log_likelihood, abs=1e-6
    )
    # The sample's objective is on the scale of all rows, and no optimum of theirs.
    best = max(there, key=lambda one: one.objective)
    assert best.objective == pytest.approx(fit.objective, rel=0.05)
    assert [one.objective for one in fit.optima] == [fit.objective]


@pytest.mark.usefixtures("few")
def test_the_summary_says_how_often_the_best_was_found_on_the_sample():
    fit = emframe.fit(MODEL, clusters()[0], rng=0)
    ended = [one for one in on_sample(fit) if one.status.is_optimum]
    same = [one for one in ended if one.parent is None and one.is_regular]
    top = max(one.objective for one in same)
    times = sum(abs(one.objective - top) < 1e-2 for one in same)
    assert fit.n_found == times > 1
    own = sum(one.parent is None for one in on_sample(fit))
    told = str(fit)
    assert f"{own} starts" in told
    assert "on a sample of 200 rows" in told
    assert f"the best was found {times} times" in told
    assert f"polished on all rows, {fit.n_iter} E-step" in told


def a_coin():
    rng = np.random.default_rng(1)
    chances = np.array([[0.9, 0.8, 0.1, 0.2] * 6, [0.1, 0.3, 0.9, 0.8] * 6])
    labels = rng.choice(2, size=4000, p=[0.6, 0.4])
    return emframe.Mixture("bernoulli", 2), rng.random((4000, 24)) < chances[labels], labels


def counts():
    rng = np.random.default_rng(2)
    labels = rng.choice(2, size=4000)
    rates = np.array([[2.0, 30.0, 5.0], [20.0, 4.0, 50.0]])
    return emframe.Mixture("poisson", 2), rng.poisson(rates[labels]), labels


def words():
    """A category that two rows have, which no sample may make impossible."""
    rng = np.random.default_rng(3)
    labels = rng.choice(2, size=4000)
    x = (rng.integers(4, size=(4000, 8)) + 3 * labels[:, None]) % 7
    x[[5, 2000], 0] = 7
    return emframe.Mixture("categorical", 2), x, labels


def tails():
    x, labels = clusters()
    rng = np.random.default_rng(4)
    return emframe.Mixture("student-t", 3), x + 0.3 * rng.standard_t(3, size=x.shape), labels


def both():
    x, labels = clusters()
    rng = np.random.default_rng(5)
    family = emframe.Product({(0,): "poisson", (1, 2): "gaussian"})
    mixed = np.column_stack([rng.poisson(1.0 + 9.0 * labels), x])
    return emframe.Mixture(family, 3), mixed, labels


def structure(name):
    x, labels = clusters()
    return emframe.Mixture("gaussian", 3, covariance=name), x, labels


def groups():
    rng = np.random.default_rng(6)
    labels, lengths = rng.integers(3, size=600), rng.integers(3, 9, size=600)
    means = 3.0 * np.array([[0, 0], [1, 0], [0, 1]])[np.repeat(labels, lengths)]
    x = means + rng.normal(size=means.shape)
    model = emframe.Mixture(emframe.Grouped("gaussian"), 3)
    return model, emframe.Sequences(x, lengths), labels


def diag():
    return structure("diag")


def spheres():
    return structure("spherical")


def one_shape():
    return structure("tied")


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "case", [a_coin, counts, words, tails, both, groups, diag, spheres, one_shape]
)
def test_every_family_ends_where_the_true_labels_lead(case):
    model, x, labels = case()
    fit = emframe.fit(model, x, rng=0)
    assert on_sample(fit)
    assert fit.status.usable
    assert not fit.spurious
    reference = emframe.fit(model, x, start=labels)
    assert fit.log_likelihood >= reference.log_likelihood - 1e-3


@pytest.mark.usefixtures("few")
def test_states_of_a_chain_are_searched_on_whole_runs():
    rng = np.random.default_rng(7)
    states = np.repeat(rng.integers(2, size=800), rng.integers(2, 9, size=800))[:3000]
    x = 4.0 * states[:, None] + rng.normal(size=(3000, 1))
    runs = emframe.Sequences(x, np.full(150, 20))
    model = emframe.model("hidden-markov", family="gaussian", n_states=2)
    fit = emframe.fit(model, runs, rng=0)
    assert {one.sample for one in on_sample(fit)} == {400}  # 20 runs
    assert sorted(fit.params.components.means[:, 0]) == pytest.approx([0, 4], abs=0.1)
    assert not on_sample(emframe.fit(model, emframe.Sequences(x), rng=0))  # a run cannot be parted


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("options", [{"prior": "weak"}, {"weights": True}, {"weights": 1e-6}])
def test_priors_and_weights_count_as_they_do_on_all_rows(options):
    x, labels = clusters()
    if "weights" in options:
        unit = options["weights"]
        options = {"weights": unit * np.random.default_rng(8).integers(0, 4, size=len(x))}
    fit = emframe.fit(MODEL, x, rng=0, **options)
    reference = emframe.fit(MODEL, x, start=labels, **options)
    assert fit.objective == pytest.approx(reference.objective, rel=1e-9)
    assert on_sample(fit)
    best = fit.found_on_sample
    assert best.objective == pytest.approx(fit.objective, rel=0.06)
    if "prior" in options:  # weighs no more on the sample than on all rows
        there, here = best.objective - best.log_likelihood, fit.log_prior
        assert there == pytest.approx(here, rel=0.2)


@pytest.mark.usefixtures("few")
def test_blocks_and_threads_give_the_same_bits():
    x, _ = clusters()
    one = emframe.fit(MODEL, x, rng=3, engine="serial")
    two = emframe.fit(MODEL, x, rng=3, engine=2)
    parts = emframe.fit(MODEL, emframe.Blocks(lambda: np.split(x, [700, 701]), 3000, 2), rng=3)
    assert np.array_equal(to_vector(one.params), to_vector(two.params))
    assert [s.objective for s in on_sample(one)] == [s.objective for s in on_sample(parts)]
    assert parts.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-12)


@pytest.mark.usefixtures("few")
def test_numbers_of_starts_and_single_optima_take_all_rows():
    x, _ = clusters()
    assert not on_sample(emframe.fit(MODEL, x, n_starts=2, rng=0))
    assert not on_sample(emframe.fit(emframe.Mixture("gaussian", 1), x, rng=0))
    assert not on_sample(emframe.fit(MODEL, x[:900], rng=0))


@pytest.mark.usefixtures("few")
def test_where_nothing_converges_on_the_sample_all_rows_are_searched():
    fit = emframe.fit(MODEL, clusters()[0], rng=0, max_iter=1)
    assert fit.starts[fit.best].sample == 0
    assert fit.starts[fit.best].kind != "polish"
    assert fit.found_on_sample is None
    assert "none led to the optimum of all rows" in str(fit)


class Interrupting:
    """A rule that is a keyboard, after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def __call__(self, steps):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.usefixtures("few")
def test_the_keyboard_and_the_clock_leave_the_best_point_so_far():
    x, _ = clusters()
    with pytest.raises(emframe.Interrupted) as caught:
        emframe.fit(MODEL, x, rng=0, stopping=[Interrupting(30)])
    fit = caught.value.fit
    assert fit.status is Status.INTERRUPTED
    assert fit.n_rows == 3000
    scores = np.asarray(fit.score_samples(x))
    assert fit.log_likelihood == pytest.approx(scores.sum(), rel=1e-9)
    short = emframe.fit(MODEL, x, rng=0, max_seconds=1e-6)
    assert short.status is Status.MAX_SECONDS
    assert np.isfinite(short.log_likelihood)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("cut", [30, "polish"])
def test_a_fit_that_was_cut_goes_on_to_the_same_bits(tmp_path: Path, cut):
    x, _ = clusters()
    path = tmp_path / "fit.checkpoint"
    whole = emframe.fit(MODEL, x, rng=0, accelerate=False)

    def stop(step):
        if cut == "polish" and step.index == 1:
            raise KeyboardInterrupt

    options = {"rng": 0, "accelerate": False, "checkpoint": path}
    if cut == "polish":
        with pytest.raises(emframe.Interrupted):
            emframe.fit(MODEL, x, callbacks=[stop], **options)
    else:
        emframe.fit(MODEL, x, max_seconds=1e-6, **options)
    again = emframe.fit(MODEL, x, **options)
    assert np.array_equal(to_vector(again.params), to_vector(whole.params))
    assert again.starts == whole.starts


@pytest.mark.usefixtures("few")
def test_a_saved_fit_remembers_the_sample(tmp_path):
    fit = emframe.fit(MODEL, clusters()[0], rng=0)
    fit.save(tmp_path / "fit.zip")
    again = emframe.load(tmp_path / "fit.zip")
    assert again.starts == fit.starts
    assert again.n_found == fit.n_found


# ---- the sample


def test_rows_are_drawn_as_often_as_their_weights_say():
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 30, size=400).astype(float)
    share = 100 * weights / weights.sum()
    times = np.mean([np.bincount(drawn(weights, 100, rng), minlength=400) for _ in range(4000)], 0)
    assert np.abs(times - share).max() < 0.05
    one = np.bincount(drawn(weights, 100, rng), minlength=400)
    assert (np.abs(one - share) < 2).all()
    assert not one[weights == 0].any()


def test_rows_in_a_period_are_drawn_from_all_of_it():
    even = np.broadcast_to(1.0, 40_000)
    of = drawn(even, 2000, np.random.default_rng(0)) % 20  # the parts are 20 rows long
    assert np.bincount(of, minlength=20).min() > 60
    assert len(np.unique(drawn(even, 2000, np.random.default_rng(1)))) == 2000


# ---- what a sample has too few rows of


def test_nothing_is_scarce_where_the_model_is_right():
    x, labels = clusters(20_000)
    fit = emframe.fit(MODEL, x, start=labels)
    rows = MODEL.rows(x)
    rng = np.random.default_rng(0)
    some = rows.sample(1000, rng)
    assert overlooked.scarce_rows(MODEL, fit.params, rows, some, rng) is None


def test_far_rows_and_light_components_stand_beside_the_sample_with_their_own_weight():
    x, labels = clusters(20_000, shares=(0.5, 0.493, 0.007))
    x = np.concatenate([x, 60.0 + np.random.default_rng(1).normal(size=(30, 2))])
    fit = emframe.fit(MODEL, x[:20_000], start=labels)
    rows = MODEL.rows(x)
    rng = np.random.default_rng(0)
    some = rows.sample(1000, rng)
    found = overlooked.scarce_rows(MODEL, fit.params, rows, some, rng)
    assert (found.rows.x[found.far] > 50).all()
    assert found.far.sum() == found.rows.weights[found.far].sum() == 30
    light = found.more & ~found.far
    assert light.sum() == pytest.approx((labels == 2).sum(), abs=5)
    assert found.rows.weights.sum() == pytest.approx(len(x))
    assert not (found.rows.x[~found.more] > 50).any()


@pytest.mark.parametrize("count", [60, 15])
def test_a_component_too_rare_for_the_sample_is_found(count):
    x, _ = clusters(60_000)
    x[:count] = 60.0 + np.random.default_rng(1).normal(size=(count, 2))
    model = emframe.Mixture("gaussian", 4)
    fit = emframe.fit(model, x, rng=0)
    assert fit.params.weights.min() == pytest.approx(count / 60_000, rel=1e-3)
    assert not fit.spurious
    assert "a second look" in str(fit)


def test_clusters_of_large_data_are_found():
    rng = np.random.default_rng(5)
    centres = 3.0 * rng.normal(size=(8, 4))
    labels = rng.choice(8, size=100_000, p=rng.dirichlet(np.full(8, 2.0)))
    x = centres[labels] + 0.5 * rng.normal(size=(100_000, 4))
    model = emframe.Mixture("gaussian", 8)
    fit = emframe.fit(model, x, rng=0)
    assert fit.log_likelihood >= emframe.fit(model, x, start=labels).log_likelihood - 1e-3
    assert fit.n_iter < 40
