"""The scikit-learn estimator: its checks, its company, and its own mixture examples beside it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_iris, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import emframe
from emframe.sklearn import EMMixture

FAITHFUL = emframe.dataset("faithful").X
STRUCTURES = ["full", "tied", "diag", "spherical"]


@pytest.mark.filterwarnings("ignore:no maximum of the likelihood:UserWarning")
@pytest.mark.parametrize("options", [{}, {"covariance_type": "diag"}], ids=str)
def test_scikit_learns_own_checks_pass(options: dict[str, Any]) -> None:
    results = check_estimator(EMMixture(**options), on_fail=None, on_skip=None)
    failed = [(one["check_name"], one["exception"]) for one in results if one["status"] == "failed"]
    assert not failed
    assert sum(one["status"] == "passed" for one in results) > 40


def test_it_is_emframes_fit() -> None:
    estimator = EMMixture(n_components=2, random_state=0).fit(FAITHFUL)
    fit = emframe.fit(emframe.Mixture("gaussian", 2), FAITHFUL, rng=0, n_starts=10)
    assert np.array_equal(estimator.means_, fit.params.components.means)
    assert estimator.fit_.log_likelihood == fit.log_likelihood
    assert estimator.score(FAITHFUL) * 272 == pytest.approx(fit.log_likelihood, rel=1e-12)
    assert estimator.bic(FAITHFUL) == pytest.approx(fit.bic, rel=1e-12)
    assert estimator.aic(FAITHFUL) == pytest.approx(fit.aic, rel=1e-12)
    assert estimator.converged_
    assert estimator.lower_bounds_[-1] == estimator.lower_bound_
    assert estimator.lower_bound_ == pytest.approx(estimator.score(FAITHFUL), rel=1e-12)
    assert np.array_equal(estimator.transform(FAITHFUL), estimator.predict_proba(FAITHFUL))
    assert np.array_equal(estimator.predict(FAITHFUL), estimator.fit_.predict(FAITHFUL))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_attributes_are_shaped_as_scikit_learn_shapes_them(structure: str) -> None:
    options = {"n_components": 2, "covariance_type": structure, "random_state": 0}
    ours = EMMixture(**options).fit(FAITHFUL)
    theirs = GaussianMixture(**options, tol=1e-10, max_iter=1000, reg_covar=0).fit(FAITHFUL)
    order, same = np.argsort(ours.weights_), np.argsort(theirs.weights_)
    one_for_all = structure == "tied"
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        if not (one_for_all and mine.ndim == 2 and name != "means_"):
            mine, other = mine[order], other[same]
        assert mine.shape == other.shape
        assert mine == pytest.approx(other, rel=1e-4, abs=1e-4), name


def test_reg_covar_is_answered_with_a_prior() -> None:
    plain = EMMixture(n_components=2, random_state=0).fit(FAITHFUL)
    theirs = EMMixture(n_components=2, random_state=0, reg_covar=1e-6).fit(FAITHFUL)
    assert np.array_equal(theirs.means_, plain.means_)
    with pytest.warns(UserWarning, match="`reg_covar` is 0.01.*prior='weak' stands in its place"):
        given = EMMixture(n_components=2, random_state=0, reg_covar=0.01).fit(FAITHFUL)
    weak = EMMixture(n_components=2, random_state=0, prior="weak").fit(FAITHFUL)
    assert np.array_equal(given.means_, weak.means_)


def test_any_family_by_its_name() -> None:
    rates = np.repeat([2.0, 15.0], 60)[:, None]
    X = np.random.default_rng(0).poisson(rates, (120, 2))
    counts = EMMixture("poisson", n_components=2, random_state=0).fit(X)
    assert np.sort(counts.rates_[:, 0]) == pytest.approx([2.0, 15.0], abs=1.0)
    assert not hasattr(counts, "covariances_")
    assert clone(counts).__sklearn_tags__().input_tags.positive_only
    assert not EMMixture().__sklearn_tags__().input_tags.positive_only
    rows, labels = counts.sample(5)
    assert rows.shape == (5, 2)
    assert labels.shape == (5,)
    two = EMMixture(["gaussian", "gaussian"], None, covariance_type="full", random_state=0)
    assert two.fit(FAITHFUL).fit_.converged


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("method", ["fit", "predict", "score_samples", "fit_predict"])
@pytest.mark.parametrize("frame", [False, True])
def test_a_number_that_is_not_finite_is_told_by_row_and_column(
    value: float, method: str, frame: bool
) -> None:
    spoilt = FAITHFUL.copy()
    spoilt[7, 1] = value
    X: Any = pd.DataFrame(spoilt, columns=["eruptions", "waiting"]) if frame else spoilt
    label = "waiting" if frame else "x1"
    estimator = EMMixture(random_state=0, n_init=1).fit(type(X)(X[:7]) if frame else FAITHFUL)
    with pytest.raises(ValueError, match=rf"`X` row 7, column 1 \('{label}'\) is {value}: missing"):
        getattr(estimator, method)(X)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"family": "gausian"}, "gausian.*Did you mean|gausian.*gaussian"),
        ({"family": "poisson", "covariance_type": "diag"}, "`covariance_type` is 'diag', but the"),
        ({"covariance_type": "round"}, "'round'; expected one of full"),
        ({"init_params": "best"}, "`init_params` is 'best'; expected None or one of kmeans"),
        ({"means_init": [[0.0]]}, r"`means_init` has shape \(1, 1\); expected \(1, 2\)"),
        ({"tol": -1.0}, "`tol` is -1.0"),
        ({"n_components": 0}, "`n_components` is 0"),
        ({"n_components": 300}, "`n_components` is 300, but the data have 272 rows"),
        ({"prior": "strong"}, "`prior` is 'strong'; the family 'gaussian' knows: 'weak'"),
        ({"n_init": 0}, "`n_init` is 0"),
        ({"reg_covar": -1.0}, "`reg_covar` is -1.0; pass a number, 0 or above"),
        ({"weights_init": [1.0]}, "`weights_init` needs `means_init`"),
        ({"precisions_init": [[1.0]]}, "`precisions_init` needs `means_init`"),
        (
            {"covariance_type": "VEI", "means_init": [[3.0, 70.0]], "precisions_init": [1.0]},
            "goes with `covariance_type` full, tied, diag, spherical",
        ),
        (
            {"means_init": [[3.0, 70.0]], "weights_init": [0.5, 0.5]},
            r"`weights_init` has shape \(2,\)",
        ),
        ({"means_init": [[3.0, 70.0]], "weights_init": [0.5]}, "`start`: .*weights"),
        ({"means_init": [[3.0, 70.0]], "precisions_init": [1.0]}, r"expected \(1, 2, 2\)"),
        (
            {"means_init": [[3.0, 70.0]], "precisions_init": np.zeros((1, 2, 2))},
            "without an inverse",
        ),
        (
            {"family": "poisson", "means_init": [[3.0, 70.0]], "precisions_init": np.eye(2)[None]},
            "has no covariances|whole numbers",
        ),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_misuse_is_told_when_it_is_fitted(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EMMixture(**options).fit(FAITHFUL)


# ---- in company


def test_pipeline_and_set_output() -> None:
    frame = pd.DataFrame(FAITHFUL, columns=["eruptions", "waiting"])
    line = make_pipeline(StandardScaler(), EMMixture(n_components=2, random_state=0))
    shown = line.set_output(transform="pandas").fit_transform(frame)
    assert list(shown.columns) == ["emmixture0", "emmixture1"]
    assert shown.sum(axis=1).to_numpy() == pytest.approx(1.0)
    assert line[-1].fit_.columns == ("eruptions", "waiting")
    assert (line.predict(frame) == shown.to_numpy().argmax(axis=1)).all()


def test_grid_search_clones_and_scores() -> None:
    grid = {"n_components": [1, 2], "covariance_type": ["full", "tied"]}
    search = GridSearchCV(EMMixture(random_state=0, n_init=3), grid, cv=3)
    shuffled = np.random.default_rng(0).permutation(FAITHFUL)
    assert search.fit(shuffled).best_params_["n_components"] == 2


def test_weights_are_frequencies_and_are_routed() -> None:
    w = np.random.default_rng(0).integers(0, 3, len(FAITHFUL))
    one = EMMixture(n_components=2, random_state=0).fit(FAITHFUL, sample_weight=w)
    two = EMMixture(n_components=2, random_state=0).fit(np.repeat(FAITHFUL, w, axis=0))
    assert one.fit_.log_likelihood == pytest.approx(two.fit_.log_likelihood, rel=1e-9)
    repeated = two.score(np.repeat(FAITHFUL, w, axis=0))
    assert one.score(FAITHFUL, sample_weight=w) == pytest.approx(repeated, rel=1e-9)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = EMMixture(n_components=2, random_state=0)
        routed.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        line = make_pipeline(scaler, routed)
        fitted = line.fit(FAITHFUL, sample_weight=w)
        assert fitted[-1].fit_.n_rows == w.sum()
        cross_validate(routed, FAITHFUL, params={"sample_weight": w}, cv=2, error_score="raise")


def test_warm_start_goes_on_from_the_last_fit() -> None:
    estimator = EMMixture(n_components=3, random_state=0, warm_start=True, max_iter=3, n_init=1)
    bounds = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(3):
            bounds.append(estimator.fit(FAITHFUL).lower_bound_)
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[2]
    assert estimator.lower_bounds_[0] == pytest.approx(bounds[1], rel=1e-12)


def test_warm_start_after_a_change_says_what_changed() -> None:
    estimator = EMMixture(n_components=2, random_state=0, warm_start=True, n_init=1)
    estimator.fit(FAITHFUL)
    for change, X in (
        ({"n_components": 3}, FAITHFUL),
        ({"n_components": 2, "covariance_type": "tied"}, FAITHFUL),
        ({"covariance_type": "full"}, FAITHFUL[:, :1]),
    ):
        with pytest.raises(ValueError, match="`warm_start` goes on from the last fit, a gaussian"):
            estimator.set_params(**change).fit(X)
    estimator.set_params(n_components=3, warm_start=False).fit(FAITHFUL)
    answers = np.random.default_rng(0).integers(0, 3, (60, 3))
    codes = EMMixture("categorical", n_components=2, warm_start=True, random_state=0, n_init=1)
    assert codes.fit(answers).fit(answers).converged_


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_start_is_taken_as_given(structure: str) -> None:
    """Both sides are shown after one step from it, and their bound is that of the start."""
    precisions = {
        "full": np.linalg.inv([[[0.2, 0.5], [0.5, 30.0]], [[0.1, 0.1], [0.1, 40.0]]]),
        "tied": np.linalg.inv([[0.2, 0.5], [0.5, 30.0]]),
        "diag": np.array([[5.0, 0.03], [10.0, 0.02]]),
        "spherical": np.array([0.03, 0.05]),
    }[structure]
    options: dict[str, Any] = {
        "n_components": 2,
        "covariance_type": structure,
        "weights_init": [0.3, 0.7],
        "means_init": [[2.0, 55.0], [4.3, 80.0]],
        "precisions_init": precisions,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = GaussianMixture(**options, max_iter=1).fit(FAITHFUL)
        ours = EMMixture(**options, max_iter=0).fit(FAITHFUL)
        some = EMMixture(**{**options, "precisions_init": None}, max_iter=0).fit(FAITHFUL)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-10)
    assert some.weights_ == pytest.approx([0.3, 0.7])
    assert np.array_equal(some.means_, options["means_init"])
    assert len(some.fit_.starts) == 1


def test_random_states() -> None:
    def means(state: Any) -> np.ndarray:
        return EMMixture(n_components=2, random_state=state, n_init=2).fit(FAITHFUL).means_

    assert np.array_equal(means(3), means(3))
    first, again = (means(np.random.RandomState(3)) for _ in range(2))
    assert np.array_equal(first, again)
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - that it is left alone
    means(None)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_an_unfinished_fit_warns() -> None:
    with pytest.warns(ConvergenceWarning, match="Raise max_iter"):
        EMMixture(n_components=3, random_state=0, max_iter=1).fit(FAITHFUL)


def test_where_no_maximum_exists_the_prior_is_told() -> None:
    X = np.random.default_rng(0).normal(size=(10, 20))
    with pytest.warns(UserWarning, match="no maximum of the likelihood.*prior='weak' instead"):
        estimator = EMMixture(random_state=0).fit(X)
    assert estimator.fit_.prior == "weak"
    assert estimator.converged_
    with pytest.raises(ValueError, match="degenerate on these data"):
        EMMixture(prior=None).fit(X)


# ---- scikit-learn's mixture examples, with only the class changed


def sine() -> np.ndarray:
    """plot_gmm_sin: 100 points along a noisy sine."""
    rng = np.random.RandomState(0)
    x = np.arange(100) * 4.0 * np.pi / 100 - 6.0
    noise = rng.normal(size=(100, 2)) * [0.1, 0.6]
    return np.column_stack([x, 3.0 * np.sin(x)]) + noise


def ellipsoids(distance: tuple[float, float]) -> np.ndarray:
    """plot_gmm and plot_gmm_selection: a stretched cloud and a round one."""
    rng = np.random.RandomState(0)
    stretched = rng.randn(500, 2) @ np.array([[0.0, -0.1], [1.7, 0.4]])
    return np.r_[stretched, 0.7 * rng.randn(500, 2) + np.array(distance)]


def density() -> np.ndarray:
    """plot_gmm_pdf: two clouds far apart."""
    rng = np.random.RandomState(0)
    shifted = rng.randn(300, 2) + np.array([20, 20])
    return np.vstack([shifted, rng.randn(300, 2) @ np.array([[0.0, -0.7], [3.5, 0.7]])])


def four() -> np.ndarray:
    """plot_gmm_covariances: four components of different shapes."""
    rng = np.random.RandomState(4)
    means = [(0, 0), (-2, 2), (-3, -2), (5, 0)]
    covariances = [np.eye(2), np.diag([1, 5]), [[3, 1], [1, 3]], np.eye(2)]
    labels = rng.choice(4, size=100, p=[0.3, 0.3, 0.3, 0.1])
    drawn = [rng.multivariate_normal(means[k], covariances[k]) for k in labels]
    return np.array(drawn)


def blobs() -> np.ndarray:
    """plot_gmm_init: four blobs."""
    return make_blobs(n_samples=4000, centers=4, cluster_std=0.60, random_state=0)[0][:, ::-1]


EXAMPLES: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "sine": (sine(), {"n_components": 10, "covariance_type": "full", "max_iter": 100}),
    "ellipsoids": (ellipsoids((-6, 3)), {"n_components": 5, "covariance_type": "full"}),
    "density": (density(), {"n_components": 2, "covariance_type": "full"}),
    "blobs": (blobs(), {"n_components": 4, "tol": 1e-9, "max_iter": 2000}),
    **{
        f"four {kind}": (four(), {"n_components": 4, "covariance_type": kind, "max_iter": 20})
        for kind in STRUCTURES
    },
    **{
        f"iris {kind}": (
            load_iris().data,
            {"n_components": 3, "covariance_type": kind, "max_iter": 20},
        )
        for kind in STRUCTURES
    },
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", EXAMPLES)
def test_their_examples_end_no_lower(name: str) -> None:
    X, options = EXAMPLES[name]
    theirs, ours = (
        kind(**options, random_state=0).fit(X).score(X) * len(X)
        for kind in (GaussianMixture, EMMixture)
    )
    assert ours >= theirs - 1e-6


def test_their_example_of_initial_means() -> None:
    X = blobs()
    for method in ("kmeans", "k-means++", "random"):
        rng = np.random.RandomState(1234)
        with pytest.warns(ConvergenceWarning):
            at_start = EMMixture(
                n_components=4, init_params=method, tol=1e-9, max_iter=0, random_state=rng
            ).fit(X)
        estimator = EMMixture(
            n_components=4,
            means_init=at_start.means_,
            tol=1e-9,
            max_iter=2000,
            random_state=rng,
        )
        theirs = GaussianMixture(4, means_init=at_start.means_, tol=1e-9, max_iter=2000)
        assert estimator.fit(X).n_iter_ >= 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            theirs.set_params(random_state=0).fit(X)
        assert estimator.score(X) >= theirs.score(X) - 1e-6
        assert estimator.score(X) == pytest.approx(-12666.96876 / 4000, abs=1e-6)


def test_their_example_of_selection() -> None:
    X = ellipsoids((-4, 1))
    grid = {"n_components": [1, 2, 3], "covariance_type": STRUCTURES}
    search = GridSearchCV(
        EMMixture(n_init=2, random_state=0), grid, scoring=lambda one, X: -one.bic(X), cv=3
    )
    assert search.fit(X).best_params_ == {"covariance_type": "full", "n_components": 2}
    assert search.best_estimator_.covariances_.shape == (2, 2, 2)
    assert search.predict(X).shape == (1000,)


def test_a_product_takes_its_columns_from_a_frame() -> None:
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "other": rng.normal(size=90),
            "visits": rng.poisson(4.0, 90),
            "height": rng.normal(size=90),
        }
    )
    family = emframe.Product({"height": "gaussian", "visits": "poisson"})
    one = EMMixture(family, n_components=2, n_init=2, random_state=0)
    by_name = one.fit(frame).predict_proba(frame)
    rows = frame[["height", "visits"]].to_numpy()
    by_place = one.fit(rows).predict_proba(rows)
    np.testing.assert_array_equal(by_name, by_place)


def test_means_alone_are_a_start_as_in_scikit_learn():
    """Its example of initialisations: from means in the middle too it is at the maximum."""
    X = make_blobs(n_samples=4000, centers=4, cluster_std=0.60, random_state=0)[0][:, ::-1]
    reached = []
    for seed in range(8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it stops before its first step
            ends = GaussianMixture(4, init_params="random", max_iter=0, random_state=seed)
            means = ends.fit(X).means_
        found = EMMixture(n_components=4, means_init=means, random_state=seed).fit(X)
        reached.append(found.fit_.log_likelihood)
    assert reached == pytest.approx([-12666.97] * 8, abs=0.01)


@pytest.mark.parametrize("family", ["poisson", "laplace"])
def test_a_centre_that_is_nearest_to_no_row_is_no_fault_of_the_start(family):
    rng = np.random.default_rng(0)
    X = rng.poisson(np.repeat([2.0, 20.0], 40))[:, None].astype(float)
    X += 0.0 if family == "poisson" else rng.normal(size=X.shape)
    model = EMMixture(n_components=2, family=family, means_init=[[1.0], [90.0]], random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = model.fit(X).fit_
    wanted = emframe.fit(emframe.Mixture(family, 2), X, start=np.repeat([0, 1], 40))
    assert found.log_likelihood == pytest.approx(wanted.log_likelihood, rel=1e-9)


def test_a_given_start_that_collapses_is_no_word_on_the_model():
    X = np.concatenate([np.random.default_rng(0).normal(size=(60, 1)), np.full((5, 1), 9.0)])
    means = [[0.0], [9.0]]
    with pytest.warns(UserWarning, match="start that is given collapses") as told:
        found = EMMixture(n_components=2, means_init=means, random_state=0).fit(X)
    assert found.fit_.prior == "weak"
    assert not any("no maximum" in str(one.message) for one in told)


@pytest.mark.parametrize("max_iter", [1, 2, 3])
def test_no_more_steps_than_max_iter(max_iter):
    X = np.random.default_rng(0).normal(size=(200, 2))
    for n_init in (1, 10, None):
        estimator = EMMixture(n_components=3, max_iter=max_iter, n_init=n_init, random_state=0)
        with pytest.warns(ConvergenceWarning):
            assert estimator.fit(X).n_iter_ == max_iter


def test_weights_may_depend_on_columns() -> None:
    rng = np.random.default_rng(0)
    u = rng.normal(size=300)
    z = (rng.random(300) < 1.0 / (1.0 + np.exp(-0.3 - 1.2 * u))).astype(int)
    frame = pd.DataFrame({"u": u, "y": rng.normal(4.0 * z, 1.0)})
    options: dict[str, Any] = {"n_components": 2, "n_init": 2, "random_state": 0}
    named = EMMixture(**options, weights_on="u").fit(frame)
    placed = EMMixture(**options, weights_on=[0]).fit(frame.to_numpy())
    fit = emframe.fit(
        emframe.Mixture("gaussian", 2, weights=emframe.Gate("u")), frame, rng=0, n_starts=2
    )
    assert named.fit_.log_likelihood == fit.log_likelihood
    assert placed.score(frame.to_numpy()) == pytest.approx(named.score(frame), rel=1e-12)
    assert named.weights_ == pytest.approx(fit.prior_proba(frame).mean(axis=0))
    assert named.gate_coef_ == pytest.approx(fit.params.gate.u[:, None])
    assert list(named.gate_names_) == ["u"]
    assert named.means_.shape == (2, 1)
    assert named.prior_proba(frame) == pytest.approx(fit.prior_proba(frame).to_numpy())
    for estimator, X in ((named, frame), (placed, frame.to_numpy())):
        drawn, _ = estimator.sample(40, given=X)
        assert np.isin(drawn[:, 0], u).all()
    begun = EMMixture(**options, weights_on="u", means_init=[[5.0], [-1.0]]).fit(frame)
    assert begun.means_[0, 0] > begun.means_[1, 0]
    assert begun.fit_.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-6)
    with pytest.raises(ValueError, match="`weights_on` says not"):
        EMMixture(weights_on="u", weights_init=[1.0], means_init=[[0.0]]).fit(frame)


def test_words_and_formulas_are_read_off_frames() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(2, size=200)
    frame = pd.DataFrame({"x": rng.normal(size=200), "sex": rng.choice(["f", "m"], 200)})
    frame["y"] = 3 * kind + frame.x + (frame.sex == "m") + rng.normal(scale=0.2, size=200)
    for name in ("a", "b"):
        frame[name] = np.where(rng.random(200) < 0.1 + 0.8 * kind, "yes", "no")
    items = EMMixture("categorical", 2, random_state=0, n_init=3).fit(frame[["a", "b"]])
    wanted = emframe.fit(emframe.Mixture("categorical", 2), frame[["a", "b"]], rng=0, n_starts=3)
    assert items.levels_ == {"a": ("no", "yes"), "b": ("no", "yes")}
    assert items.score(frame[["a", "b"]]) * 200 == pytest.approx(wanted.log_likelihood)
    assert set(items.sample(4)[0].a) <= {"no", "yes"}
    strange = frame[["a", "b"]].replace("yes", "maybe")
    with pytest.raises(ValueError, match="'maybe', which is none of the values that were fitted"):
        items.predict(strange)
    line = {"response": "y", "predictors": "~ x + sex"}
    told = {"family_options": line, "weights_on": "a", "n_init": 3}
    own = EMMixture("gaussian-regression", 2, **told, random_state=0)
    model = emframe.Mixture("gaussian-regression", 2, weights=emframe.Gate("a"), **line)
    own.fit(frame)
    best = emframe.fit(model, frame, rng=0, n_starts=3)
    assert own.score(frame) * 200 == pytest.approx(best.log_likelihood)
    assert own.gate_names_.tolist() == ["a_yes"]
    assert own.predict(frame[::-1])[::-1].tolist() == own.predict(frame).tolist()
    again = clone(own).set_params(warm_start=True).fit(frame).fit(frame)
    assert again.score(frame) == pytest.approx(own.score(frame))


def test_rows_that_come_by_and_by() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 2)) + 5.0 * rng.integers(2, size=1000)[:, None]
    online = EMMixture(n_components=2, n_init=2, random_state=0)
    for block in np.split(X, 5):
        online.partial_fit(block)
    stream = emframe.Stepwise(emframe.Mixture("gaussian", 2))
    begun = emframe.fit(emframe.Mixture("gaussian", 2), X[:200], rng=0, n_starts=2)
    told = stream.begin(X[:200], start=begun.params)
    for block in np.split(X, 5)[1:]:
        told = stream.update(told, block)
    np.testing.assert_allclose(online.means_, told.params.components.means, rtol=1e-6)
    whole = EMMixture(n_components=2, n_init=2, random_state=0).fit(X)
    assert online.score(X) == pytest.approx(whole.score(X), abs=0.02)
    doubled = (
        EMMixture(n_components=2, n_init=2, random_state=0)
        .partial_fit(X[:500])
        .partial_fit(X[:500])
    )
    weighted = EMMixture(n_components=2, n_init=2, random_state=0).partial_fit(X[:500])
    weighted.partial_fit(X[:500], sample_weight=np.full(500, 3.0))  # of the same rows
    np.testing.assert_allclose(doubled.means_, weighted.means_, rtol=1e-8)
    with pytest.raises(ValueError, match="features"):
        online.partial_fit(X[:, :1])
    assert not hasattr(online.fit(X[:200]), "_stream")
