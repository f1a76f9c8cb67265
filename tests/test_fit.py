"""`emframe.fit` and `Fit`: a table of models x what every fit answers."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import emframe
from emframe import FamilyError, Status
from emframe.families import Moments

RNG = np.random.default_rng(2024)
REAL = np.concatenate([RNG.normal(-3, 1, (60, 2)), RNG.normal(3, 2, (60, 2))])
COUNTS = np.concatenate([RNG.poisson(2, (60, 2)), RNG.poisson(9, (60, 2))]).astype(float)
CODES = RNG.integers(0, np.where(np.arange(150)[:, None] < 70, [2, 2, 3], [4, 4, 3])).astype(float)
GAPS = np.where(RNG.random(CODES.shape) < 0.1, np.nan, CODES)
BITS = (RNG.random((150, 5)) < np.where(np.arange(150)[:, None] < 70, 0.15, 0.85)).astype(float)

MODELS = {
    **{
        f"gaussian {structure}": (
            emframe.Mixture("gaussian", n_components=2, covariance=structure), REAL, p
        )
        for structure, p in [("full", 11), ("diag", 9), ("spherical", 7), ("tied", 8)]
    },
    "bernoulli": (emframe.Mixture("bernoulli", n_components=2), BITS, 11),
    "categorical": (emframe.Mixture("categorical", n_components=2), CODES, 1 + 2 * (3 + 3 + 2)),
    "categorical with gaps": (
        emframe.Mixture("categorical", n_components=2, levels=4, missing=True), GAPS, 1 + 2 * 9
    ),
    "poisson": (emframe.Mixture("poisson", n_components=2), COUNTS, 5),
    "student-t": (emframe.Mixture("student-t", n_components=2), REAL, 13),
    "gaussian regression": (emframe.Mixture("gaussian-regression", 2), REAL, 7),
    "poisson regression": (emframe.Mixture("poisson-regression", 2), COUNTS, 5),
    "gaussian + gaussian": (
        emframe.Mixture(["gaussian", emframe.family("gaussian", covariance="spherical")]),
        REAL,
        1 + 5 + 3,
    ),
    "groups": (
        emframe.Mixture(["gaussian", emframe.family("gaussian", covariance="tied")], [1, 2]),
        REAL,
        2 + 5 + 7,
    ),
}  # fmt: skip
models = pytest.mark.parametrize(("model", "X", "n_parameters"), MODELS.values(), ids=MODELS)


@models
def test_every_fit_answers(model, X, n_parameters, tmp_path):
    fit = emframe.fit(model, X, rng=0, n_starts=5)
    n, k = len(X), model.n_components
    assert fit.converged
    assert fit.status.message in fit.message
    assert fit.n_parameters == n_parameters
    assert fit.n_rows == n
    assert (np.diff(fit.trace) >= 0).all()
    assert fit.trace[-1] == fit.objective == fit.log_likelihood
    assert fit.gains.shape == (len(fit.trace), 2)
    assert fit.n_iter == sum(start.n_iter for start in fit.starts)
    assert len(fit.starts) == 5
    assert fit.params.weights.sum() == pytest.approx(1.0)

    score, resp = fit.score_samples(X), fit.predict_proba(X)
    assert score.shape == (n,)
    assert score.sum() == pytest.approx(fit.log_likelihood, rel=1e-12)
    assert resp.shape == (n, k)
    assert resp.sum(axis=1) == pytest.approx(np.ones(n))
    assert (fit.predict(X) == resp.argmax(axis=1)).all()

    assert fit.aic == pytest.approx(-2 * fit.log_likelihood + 2 * n_parameters)
    assert fit.bic == pytest.approx(-2 * fit.log_likelihood + n_parameters * np.log(n))
    assert fit.icl == pytest.approx(fit.bic - 2 * np.log(resp.max(axis=1)).sum())

    rows, z = fit.sample(7, rng=1, given=X)
    assert rows.shape == (7, X.shape[1])
    assert z.shape == (7, k)
    assert (z.sum(axis=1) == 1).all()
    same, labels = fit.sample(7, rng=1, labels=True, given=X)
    assert np.array_equal(rows, same)
    assert (labels == z.argmax(axis=1)).all()
    complete = fit.complete_log_likelihood(rows, z)
    assert complete == pytest.approx(fit.complete_log_likelihood(rows, labels))
    joint = fit.score_samples(rows) + np.log(fit.predict_proba(rows)[np.arange(7), labels])
    assert complete == pytest.approx(joint.sum())
    assert fit.sample(0, rng=0, given=X)[0].shape == (0, X.shape[1])

    path = tmp_path / "fit.em"
    fit.save(path)
    again = emframe.load(path)
    assert np.array_equal(again.score_samples(X), score)
    assert str(again) == str(fit)
    assert again.starts == fit.starts
    for name in ("log_likelihood", "icl", "status", "trace", "n_iter", "columns", "remaining"):
        assert np.array_equal(getattr(again, name), getattr(fit, name))


@models
def test_the_same_seed_gives_the_same_bits(model, X, n_parameters):
    one, other = (emframe.fit(model, X, rng=7, n_starts=3) for _ in range(2))
    assert np.array_equal(one.trace, other.trace)
    assert np.array_equal(one.score_samples(X), other.score_samples(X))


@models
def test_weights_are_frequencies(model, X, n_parameters):
    counts = np.random.default_rng(0).integers(0, 3, len(X))
    labels = np.random.default_rng(1).integers(0, model.n_components, len(X))
    weighted = emframe.fit(model, X, weights=counts, start=labels)
    repeated = emframe.fit(model, np.repeat(X, counts, axis=0), start=np.repeat(labels, counts))
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-9)
    assert weighted.n_rows == counts.sum()
    assert weighted.bic == pytest.approx(repeated.bic, rel=1e-9)


@models
def test_row_order_and_units_of_the_start_do_not_matter(model, X, n_parameters):
    order = np.random.default_rng(0).permutation(len(X))
    labels = np.random.default_rng(1).integers(0, model.n_components, len(X))
    one = emframe.fit(model, X, start=labels)
    other = emframe.fit(model, X[order], start=labels[order])
    assert other.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-9)


@models
def test_prior_is_part_of_the_objective(model, X, n_parameters):
    if model.family.name == "poisson-regression":
        with pytest.raises(ValueError, match="knows: none"):
            emframe.fit(model, X, prior="weak", rng=0)
        return
    fit = emframe.fit(model, X, prior="weak", rng=0, n_starts=3)
    assert fit.converged
    assert fit.objective == pytest.approx(fit.log_likelihood + fit.log_prior)
    assert fit.log_prior != 0
    assert (np.diff(fit.trace) >= 0).all()
    plain = emframe.fit(model, X, start=fit.params)
    assert plain.log_likelihood >= fit.log_likelihood


def test_a_prior_of_ones_own():
    """Gamma(3, 2) on the rate of one Poisson: the mode has a closed form."""
    pseudo = Moments(np.array([[2.0]]), np.array([2.0]), 0.0)
    prior = emframe.ConjugatePrior(pseudo, 3 * np.log(2.0) - np.log(2.0))
    fit = emframe.fit(emframe.Mixture("poisson"), COUNTS[:, 0], prior=prior)
    mode = (COUNTS[:, 0].sum() + 2) / (len(COUNTS) + 2)
    assert fit.params.components.rates[0, 0] == pytest.approx(mode)
    assert fit.log_prior == pytest.approx(stats.gamma(3, scale=0.5).logpdf(mode))
    assert fit.converged


@given(st.integers(0, 1000), st.sampled_from(sorted(MODELS)))
def test_the_objective_never_falls_from_any_start(seed, name):
    model, X, _ = MODELS[name]
    labels = np.random.default_rng(seed).integers(0, model.n_components, len(X))
    for accelerate in (True, False):
        fit = emframe.fit(model, X, start=labels, accelerate=accelerate, max_iter=30)
        assert (np.diff(fit.trace) >= 0).all()
        assert fit.status in {Status.CONVERGED, Status.MAX_ITERATIONS}
        assert (fit.gains[1:].sum(axis=1) >= -1e-8).all()


STARTS = {
    "parameters": lambda fit, X: fit.params,
    "mapping": lambda fit, X: {
        "weights": fit.params.weights,
        "means": fit.params.components.means,
        "covariances": fit.params.components.covariances,
    },
    "nested mapping": lambda fit, X: {
        "weights": fit.params.weights.tolist(),
        "components": {
            "means": fit.params.components.means.tolist(),
            "covariances": fit.params.components.covariances.tolist(),
        },
    },
    "responsibilities": lambda fit, X: fit.predict_proba(X),
    "labels": lambda fit, X: fit.predict(X),
    "callable": lambda fit, X: lambda x, rng: rng.permutation(fit.predict(x)),
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
def test_every_kind_of_start(start):
    model, X, _ = MODELS["gaussian full"]
    fit = emframe.fit(model, X, rng=0, n_starts=4)
    again = emframe.fit(model, X, start=start(fit, X), rng=0)
    assert len(again.starts) == 1
    assert again.starts[0].kind == "given"
    assert again.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-6)


@pytest.mark.parametrize(
    ("start", "error", "words"),
    [
        (np.ones((3, 2)), ValueError, r"`start` has shape \(3, 2\); expected labels \(120,\)"),
        (np.full(120, 5), ValueError, "labels are whole numbers from 0 to 1"),
        (np.full((120, 2), 0.7), ValueError, "sum to 1"),
        ("k-means", TypeError, "`start` is 'k-means'"),
        ({"means": np.zeros((2, 2))}, ValueError, "`weights`"),
        ({"weights": [0.5, 0.5], "means": np.zeros((2, 2))}, TypeError, "missing: covariances"),
        (
            {"weights": [0.5, 0.6], "means": np.zeros((2, 2)), "covariances": [np.eye(2)] * 2},
            ValueError,
            r"`weights` is \[0.5, 0.6\]",
        ),
        (
            {"weights": [0.5, 0.5], "means": np.zeros((2, 3)), "covariances": [np.eye(3)] * 2},
            ValueError,
            r"`components.means` has shape \(2, 3\); expected \(K, d\) = \(2, 2\)",
        ),
    ],
    ids=range(8),
)
def test_a_start_that_does_not_fit_is_refused(start, error, words):
    model, X, _ = MODELS["gaussian full"]
    with pytest.raises(error, match=words):
        emframe.fit(model, X, start=start)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tol": -1}, "`tol` is -1"),
        ({"tol": np.nan}, "`tol` is nan"),
        ({"max_iter": -1}, "`max_iter` is -1"),
        ({"max_seconds": 0}, "`max_seconds` is 0"),
        ({"n_starts": 0}, "`n_starts` is 0"),
        ({"prior": "strong"}, "`prior` is 'strong'; the family 'gaussian' knows: 'weak'"),
    ],
    ids=str,
)
def test_settings_are_checked(options, words):
    model, X, _ = MODELS["gaussian full"]
    with pytest.raises(ValueError, match=words):
        emframe.fit(model, X, **options)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("gausian",), ValueError, "Did you mean 'gaussian'"),
        (("gaussian", 0), ValueError, "`n_components` is 0"),
        (("gaussian", 2.5), TypeError, "whole number"),
        ((["gaussian", "poisson"], 3), ValueError, "for 2 families"),
        (([],), ValueError, "at least one"),
        ((3,), TypeError, "pass a plugin's name.*number of components is n_components=3"),
    ],
    ids=range(6),
)
def test_a_mixture_checks_its_settings(arguments, error, words):
    with pytest.raises(error, match=words):
        emframe.Mixture(*arguments)


def test_counts_mixed_with_real_numbers_are_warned_of():
    with pytest.warns(UserWarning, match="depends on the units"):
        model = emframe.Mixture(["gaussian", "poisson"])
    assert emframe.fit(model, COUNTS, rng=0, n_starts=3).converged


def test_known_cases():
    one = emframe.fit(emframe.Mixture("gaussian"), REAL)
    assert one.params.components.means[0] == pytest.approx(REAL.mean(axis=0))
    assert one.params.components.covariances[0] == pytest.approx(np.cov(REAL.T, ddof=0))
    normal = stats.multivariate_normal(REAL.mean(axis=0), np.cov(REAL.T, ddof=0))
    assert one.log_likelihood == pytest.approx(normal.logpdf(REAL).sum(), rel=1e-12)
    assert len(one.starts) == 1

    one = emframe.fit(emframe.Mixture("poisson"), COUNTS)
    assert one.params.components.rates[0] == pytest.approx(COUNTS.mean(axis=0))
    expected = stats.poisson(COUNTS.mean(axis=0)).logpmf(COUNTS).sum()
    assert one.log_likelihood == pytest.approx(expected, rel=1e-12)

    one = emframe.fit(emframe.Mixture("bernoulli"), BITS)
    expected = stats.bernoulli(BITS.mean(axis=0)).logpmf(BITS).sum()
    assert one.log_likelihood == pytest.approx(expected, rel=1e-12)


def test_far_from_the_origin_nothing_is_lost():
    model = emframe.Mixture("gaussian", n_components=2)
    labels = np.repeat([0, 1], 60)
    near = emframe.fit(model, REAL, start=labels)
    far = emframe.fit(model, REAL + 1e7, start=labels)
    assert far.log_likelihood == pytest.approx(near.log_likelihood, rel=1e-7)


@pytest.mark.parametrize("scale", [1e-100, 1e-6, 1e6, 1e100])
def test_a_change_of_units_shifts_the_likelihood_by_its_jacobian(scale):
    for structure in ("full", "diag", "tied"):
        model = emframe.Mixture("gaussian", n_components=2, covariance=structure)
        fit = emframe.fit(model, REAL, rng=0, n_starts=2)
        units = np.array([scale, 1.0])
        scaled = emframe.fit(model, REAL * units, rng=0, n_starts=2)
        shift = len(REAL) * np.log(scale)
        assert scaled.log_likelihood + shift == pytest.approx(fit.log_likelihood, abs=1e-6)
        assert scaled.converged


def test_degenerate_starts_are_set_aside_with_their_status():
    X = np.concatenate([REAL[:, 0], np.full(30, 50.0)])  # a point mass far away
    fit = emframe.fit(emframe.Mixture("gaussian", n_components=2), X, rng=0, n_starts=20)
    ends = {start.status for start in fit.starts}
    assert Status.DEGENERATE in ends
    assert np.isfinite(fit.log_likelihood)
    told = next(start for start in fit.starts if start.status is Status.DEGENERATE)
    assert "no spread in column 0" in told.message


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.c_[REAL, np.ones(120)], "no spread in column 2"),
        (np.c_[REAL, REAL.sum(axis=1)], "collinear"),
        (REAL[:2], "collinear, or are too few"),
    ],
    ids=["constant column", "collinear", "fewer rows than columns"],
)
def test_data_without_a_finite_maximum_are_said_to_have_none(X, words):
    with pytest.raises(emframe.Degenerate, match=words):
        emframe.fit(emframe.Mixture("gaussian"), X)


def test_a_prior_makes_degenerate_data_fit():
    X = np.r_[np.full(20, 5.0), RNG.normal(0, 1, 20)]
    fit = emframe.fit(emframe.Mixture("gaussian", n_components=2), X, prior="weak", rng=0)
    assert fit.converged
    assert not fit.spurious


def test_spurious_optima_are_told_and_never_preferred():
    X = np.r_[RNG.normal(0, 1, 100), RNG.normal(5, 1, 100), 30.0, 30.000001]
    fit = emframe.fit(emframe.Mixture("gaussian", n_components=2), X, rng=0, n_starts=30)
    spurious = [start for start in fit.starts if start.spurious and start.status.usable]
    assert spurious
    assert not fit.spurious
    assert max(start.objective for start in spurious) > fit.objective
    assert "Set aside" in str(fit)


def test_the_cap_is_not_convergence():
    model, X, _ = MODELS["gaussian full"]
    fit = emframe.fit(model, X, rng=0, n_starts=2, max_iter=1)
    assert not fit.converged
    assert fit.status is Status.MAX_ITERATIONS
    assert fit.score_samples(X).sum() == pytest.approx(fit.log_likelihood, rel=1e-12)
    assert "Not converged" in str(fit)
    assert emframe.fit(model, X, rng=0, max_seconds=1e-6).status is Status.MAX_SECONDS


@pytest.mark.parametrize("name", ["gaussian full", "poisson", "bernoulli"])
def test_converged_means_that_fifty_more_steps_gain_nothing(name):
    model, X, _ = MODELS[name]
    fit = emframe.fit(model, X, rng=0, n_starts=3)
    more = emframe.fit(model, X, start=fit.params, accelerate=False, tol=0, max_iter=50)
    assert more.log_likelihood - fit.log_likelihood < 1e-8


def test_callbacks_see_every_step_and_can_stop():
    model, X, _ = MODELS["gaussian full"]
    seen = []
    fit = emframe.fit(model, X, rng=0, n_starts=1, callbacks=[lambda s: seen.append(s.objective)])
    assert seen == fit.trace.tolist()
    stopped = emframe.fit(model, X, rng=0, n_starts=1, callbacks=[lambda s: s.index == 2])
    assert stopped.status is Status.STOPPED
    assert len(stopped.trace) == 3


@pytest.mark.parametrize("after", [1, 2, 40])
def test_ctrl_c_keeps_the_best_so_far(after):
    model, X, _ = MODELS["gaussian full"]
    calls = iter(range(10_000))

    def press(step):
        if next(calls) == after:
            raise KeyboardInterrupt

    with pytest.raises(emframe.Interrupted) as caught:
        emframe.fit(model, X, rng=0, n_starts="thorough", callbacks=[press])
    assert isinstance(caught.value, KeyboardInterrupt)
    assert np.isfinite(caught.value.fit.log_likelihood)
    assert caught.value.fit.predict(X).shape == (120,)


def test_impossible_rows_have_a_score_and_no_responsibilities():
    zeros = emframe.fit(emframe.Mixture("poisson"), np.zeros(5))
    assert zeros.score_samples([0, 3]).tolist() == [0.0, -np.inf]
    with pytest.raises(ValueError, match=r"row 1 .*density zero under every component"):
        zeros.predict([0, 3])


def test_wrong_z_is_refused():
    model, X, _ = MODELS["gaussian full"]
    fit = emframe.fit(model, X, rng=0, n_starts=1)
    for z, words in [
        (np.ones((120, 2)), "exactly one 1"),
        (np.full((120, 2), 0.5), "one-hot"),
        (np.zeros((3, 2)), "one-hot"),
        (np.full(120, 2), "whole numbers from 0 to 1"),
    ]:
        with pytest.raises(ValueError, match=words):
            fit.complete_log_likelihood(X, z)


def test_data_frames_keep_their_names_and_are_checked_by_them():
    frame = pd.DataFrame(REAL, columns=["height", "width"])
    fit = emframe.fit(MODELS["gaussian full"][0], frame, rng=0, n_starts=2)
    assert fit.columns == ("height", "width")
    assert "height" in str(fit)
    assert fit.predict(frame).shape == (120,)
    wider = frame.assign(who="a word")[["who", "width", "height"]]
    assert np.array_equal(fit.predict(wider), fit.predict(frame))
    with pytest.raises(ValueError, match="columns width; the model takes height, width, and 'hei"):
        fit.predict(frame[["width"]])


# ---- a family of the user's own: never trusted


@dataclass(frozen=True)
class Rate:
    rate: emframe.Array = emframe.parameter(emframe.Positive())


@dataclass(frozen=True)
class Exponential(emframe.ExponentialFamily):
    name = "waiting-time"
    parameters = Rate
    support = emframe.Positive()

    def statistics(self, x):
        return x

    def natural(self, params):
        return -params.rate

    def log_partition(self, params):
        return -np.log(params.rate)

    def from_mean(self, mean):
        return Rate(1 / mean)

    def sample(self, params, labels, rng):
        return rng.exponential(1 / params.rate[labels])


WAITING = np.random.default_rng(3).exponential(1, 200) * np.repeat([1, 8], 100)


def test_a_family_of_ten_lines_has_everything():
    fit = emframe.fit(emframe.Mixture(Exponential(), n_components=2), WAITING, rng=0)
    assert fit.converged
    assert fit.n_parameters == 3
    expected = np.log(
        fit.params.weights * fit.params.components.rate
        * np.exp(-WAITING[:, None] * fit.params.components.rate)
        @ np.ones(2)
    ).sum()  # fmt: skip
    assert fit.log_likelihood == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="density of one column"):
        emframe.fit(fit.model, np.ones((5, 2)))
    with pytest.raises(ValueError, match="outside the support of the family 'waiting-time'"):
        emframe.fit(fit.model, [1.0, 0.0])


def test_a_family_that_is_no_plugin_is_loaded_with_its_object(tmp_path):
    fit = emframe.fit(emframe.Mixture(Exponential(), n_components=2), WAITING, rng=0, n_starts=2)
    fit.save(tmp_path / "fit.em")
    with pytest.raises(ValueError, match=r"'waiting-time' is no installed plugin; pass the object"):
        emframe.load(tmp_path / "fit.em")
    again = emframe.load(tmp_path / "fit.em", family=Exponential())
    assert np.array_equal(again.score_samples(WAITING), fit.score_samples(WAITING))


def broken(**methods):
    return type("Broken", (Exponential,), methods)()


@pytest.mark.parametrize(
    ("family", "error", "words"),
    [
        (broken(log_density=lambda s, p, x: np.zeros((len(x), 7))), FamilyError, "shape"),
        (broken(log_density=lambda s, p, x: x * [np.nan, 1]), FamilyError, "nan for row 0"),
        (broken(log_density=lambda s, p, x: x * [1, np.inf]), FamilyError, "inf for row 0"),
        (broken(from_mean=lambda s, m: Rate(-m)), FamilyError, r"m_step: `components.rate\[0\]`"),
        (broken(from_mean=lambda s, m: Rate(m * np.nan)), FamilyError, "is nan"),
        (broken(from_mean=lambda s, m: Rate(np.ones(5))), FamilyError, r"shape \(5,\)"),
        (broken(natural=lambda s, p: np.full(2, np.nan)), FamilyError, "NaN"),
        (broken(statistics=lambda s, x: x[:3]), FamilyError, r"statistics\(x\) has shape"),
        (broken(log_partition=lambda s, p: {}["boom"]), KeyError, "boom"),
    ],
    ids=range(9),
)  # fmt: skip
def test_a_family_that_breaks_its_word_is_named(family, error, words):
    with pytest.raises(error, match=words):
        emframe.fit(emframe.Mixture(family, n_components=2), WAITING, rng=0)


def test_a_familys_own_error_says_where_it_happened():
    family = broken(log_partition=lambda s, p: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        emframe.fit(emframe.Mixture(family, n_components=2), WAITING, rng=0)
    assert any("waiting-time mixture" in note for note in caught.value.__notes__)


def test_a_family_cannot_write_into_the_data():
    def meddle(self, x):
        x[0] = 5
        return x

    with pytest.raises(ValueError, match="read-only"):
        emframe.fit(emframe.Mixture(broken(statistics=meddle)), WAITING)


@pytest.mark.parametrize("which", ["density", "m-step"])
def test_an_inconsistent_family_is_a_status_not_a_fit(which):
    wrong = {
        "density": broken(log_density=lambda s, p, x: Exponential.log_density(s, p, x) * 1.1),
        "m-step": broken(from_mean=lambda s, m: Rate(3 / m)),
    }[which]
    model = emframe.Mixture(wrong, n_components=2)
    if which == "density":
        with pytest.raises(emframe.Degenerate, match="entropy"):
            emframe.fit(model, WAITING, rng=0, n_starts=2)
    else:
        fit = emframe.fit(model, WAITING, rng=0, n_starts=2)
        assert fit.status is Status.M_STEP_BREACH
        assert not fit.converged


# ---- selection


def test_selection_takes_the_lowest_criterion():
    chosen = emframe.select(("gaussian", range(1, 4)), REAL, rng=0, n_starts=4)
    assert [row["n_parameters"] for row in chosen.table] == [5, 11, 17]
    assert chosen.best.bic == min(fit.bic for fit in chosen.fits)
    assert sum(row["best"] for row in chosen.table) == 1
    assert "BIC" in str(chosen)
    by_icl = emframe.select(
        [chosen.fits[0].model, chosen.fits[1].model], REAL, criterion="icl", rng=0
    )
    assert by_icl.best.icl == min(fit.icl for fit in by_icl.fits)
    with pytest.raises(ValueError, match="`criterion` is 'dic'"):
        emframe.select(("gaussian", [1]), REAL, criterion="dic")
    with pytest.raises(ValueError, match="empty"):
        emframe.select([], REAL)
    with pytest.raises(ValueError, match="`n_components` is 500"):
        emframe.select(("gaussian", [1, 500]), REAL)


def test_a_model_that_cannot_be_fitted_does_not_sink_the_others():
    X = np.c_[REAL, REAL.sum(axis=1)]
    tied, diag = (emframe.Mixture("gaussian", covariance=c) for c in ("tied", "diag"))
    chosen = emframe.select([tied, diag], X, rng=0)
    assert chosen.best.model == diag
    assert chosen.failures[0][0] == tied.title()
    assert "degenerate" in str(chosen)
    with pytest.raises(emframe.Degenerate, match=r"^the start cannot be used: the shared cov"):
        emframe.select([tied], X, rng=0, n_starts=3)
    with pytest.raises(emframe.Degenerate, match=r"^none of the 2 models could be fitted: the"):
        emframe.select([tied, tied], X, rng=0, n_starts=3)


# ---- files


def rewrite(path, change):
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["fit.json"] = json.dumps(change(json.loads(parts["fit.json"]))).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def pickled(path):
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"code": "runs"}], dtype=object))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("evil.npy", buffer.getvalue())


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(b"hello"), "not a saved fit"),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "not a saved fit"),
        (lambda path: rewrite(path, lambda doc: doc | {"emframe": 99}), "format 99"),
        (lambda path: rewrite(path, lambda doc: {}), "format None"),
        (lambda path: rewrite(path, lambda doc: doc | {"status": "fine"}), "'fine'"),
        (lambda path: rewrite(path, lambda doc: doc | {"columns": ["a"]}), "not valid"),
        (lambda path: rewrite(path, lambda doc: doc | {"model": {"model": "magic"}}), "magic"),
        (pickled, "not a saved fit"),
    ],
    ids=range(8),
)
def test_damaged_files_are_refused(damage, words, tmp_path):
    model, X, _ = MODELS["gaussian full"]
    path = tmp_path / "fit.em"
    emframe.fit(model, X, rng=0, n_starts=1).save(path)
    damage(path)
    with pytest.raises(ValueError, match=words):
        emframe.load(path)


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        emframe.load(tmp_path / "nothing.em")


ROUNDED = {
    "float32 weights": lambda x: x.astype(np.float32),
    "off by the last bits": lambda x: x * (1.0 + 3e-13),
}


@pytest.mark.parametrize("way", ROUNDED)
def test_starts_that_are_right_to_rounding_are_taken(way: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    model = emframe.Mixture("gaussian", 3)
    for _ in range(30):
        weights = rng.dirichlet(np.ones(3))
        roots = rng.normal(size=(3, 3, 5))
        covariances = roots @ roots.transpose(0, 2, 1)
        tilted = covariances * (1.0 + 1e-12 * np.tri(3, k=-1))
        start = {"weights": ROUNDED[way](weights), "means": X[:3], "covariances": tilted}
        fit = emframe.fit(model, X, start=start, max_iter=0)
        assert fit.params.weights == pytest.approx(weights, rel=1e-6)
        assert fit.params.weights.sum() == pytest.approx(1.0, abs=1e-15)
        assert fit.params.components.covariances == pytest.approx(covariances, rel=1e-11)
        again = emframe.fit(model, X, start=fit.params, max_iter=0)
        assert np.array_equal(again.params.weights, fit.params.weights)
    held = rng.dirichlet(np.ones(3)).astype(np.float32)
    assert emframe.fixed(model, weights=held).weights == pytest.approx(held, rel=1e-6)
    start["weights"] = np.array([0.2, 0.3, 0.51])
    with pytest.raises(ValueError, match="sum to 1"):
        emframe.fit(model, X, start=start)
    chain = emframe.model("hidden-markov", family="gaussian", n_states=3)
    begun = emframe.fit(chain, X, rng=0, n_starts=1, max_iter=1).params
    rough = dataclasses.replace(begun, transitions=begun.transitions.astype(np.float32))
    emframe.fit(chain, X, start=rough, max_iter=1)


@pytest.mark.parametrize("code", ["EII", "VEI", "EEE", "VEE", "EVV", "VVV"])
def test_covariances_held_to_rounding_are_taken_in_every_structure(code: str) -> None:
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(60, 3)), 5.0 + 2.0 * rng.normal(size=(60, 3))])
    family = emframe.family("gaussian", covariance=code)
    fit = emframe.fit(emframe.Mixture(family, 2), X, rng=0, n_starts=2)
    found = fit.params.components.covariances
    for rounded in (found.astype(np.float32), found * (1.0 + 1e-13 * rng.normal(size=(2, 3, 3)))):
        held = emframe.Mixture(emframe.fixed(family, covariances=rounded), 2)
        again = emframe.fit(held, X, rng=0, n_starts=2)
        assert again.log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-8)
        assert again.params.components.covariances == pytest.approx(found, rel=1e-6, abs=1e-6)
    tilted = found * (1.0 + 0.01 * np.tri(3, k=-1)) + 0.01 * np.tri(3, k=-1)
    with pytest.raises(ValueError, match=r"`covariances`"):
        emframe.fixed(family, covariances=tilted)


def test_what_components_share_is_held_at_one_value() -> None:
    tied = emframe.family("gaussian", covariance="tied")
    apart = np.stack([np.eye(2), 2.0 * np.eye(2)])
    with pytest.raises(ValueError, match="held at values that differ between components"):
        emframe.fixed(tied, covariances=apart)
    held = emframe.fixed("bernoulli", probs=np.float32([1.0, 1.0]) * np.float32(1.0000001))
    assert held.held == (("probs", (1.0, 1.0)),)
    with pytest.raises(ValueError, match="numbers from 0 to 1"):
        emframe.fixed("bernoulli", probs=1.00001)
