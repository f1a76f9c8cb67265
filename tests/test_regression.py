"""Regressions whose component z picks: against least squares, closed forms, and plain sums."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from scipy import optimize, special, stats

import emframe
from emframe.data import Table
from emframe.families.kernel import NoSampler
from emframe.spaces import Array

RNG = np.random.default_rng(3)
N = 90
X = RNG.normal(size=(N, 2))
M = RNG.integers(1, 30, size=N).astype(float)
OFFSET = RNG.normal(size=N)
ETA = 1.0 + X @ [0.5, -0.8]
Y = {
    "gaussian-regression": ETA + RNG.normal(size=N),
    "poisson-regression": RNG.poisson(np.exp(ETA + OFFSET)).astype(float),
    "binomial-regression": RNG.binomial(M.astype(int), 1 / (1 + np.exp(-ETA))).astype(float),
}
WEIGHTS = RNG.integers(1, 4, size=N).astype(float)
OPTIONS: dict[str, dict[str, Any]] = {
    "gaussian-regression": {"predictors": (1, 2)},
    "poisson-regression": {"predictors": (1, 2), "offset": 3},
    "binomial-regression": {"predictors": (1, 2), "trials": 3},
}
EXTRA = {"gaussian-regression": [], "poisson-regression": [OFFSET], "binomial-regression": [M]}
every = pytest.mark.parametrize("name", Y)


def rows(name: str) -> Array:
    return np.column_stack([Y[name], X, *EXTRA[name]])


def log_density(name: str, beta: Array, sigma: float = 1.0) -> Array:
    """Of the responses at coefficients, by scipy."""
    eta = beta[0] + X @ beta[1:]
    if name == "gaussian-regression":
        return stats.norm.logpdf(Y[name], eta, sigma)
    if name == "poisson-regression":
        return stats.poisson.logpmf(Y[name], np.exp(eta + OFFSET))
    return stats.binom.logpmf(Y[name], M, 1 / (1 + np.exp(-eta)))


@every
def test_one_component_is_the_ordinary_regression(name: str) -> None:
    fit = emframe.fit(emframe.Mixture(name, 1, **OPTIONS[name]), rows(name), weights=WEIGHTS)
    beta = fit.model.family.coefficients(fit.params.components)[0]
    sigma = getattr(fit.params.components, "sigma", np.ones(1))[0]
    assert fit.log_likelihood == pytest.approx(WEIGHTS @ log_density(name, beta, sigma), rel=1e-12)
    best = optimize.minimize(lambda b: -WEIGHTS @ log_density(name, b, sigma), np.zeros(3))
    assert beta == pytest.approx(best.x, abs=1e-4)
    if name == "gaussian-regression":
        residual = Y[name] - beta[0] - X @ beta[1:]
        assert sigma**2 == pytest.approx(np.average(residual**2, weights=WEIGHTS), rel=1e-12)


def test_the_weak_prior_is_normal_and_inverse_gamma() -> None:
    data = rows("gaussian-regression")
    fit = emframe.fit(
        emframe.Mixture("gaussian-regression", 2, **OPTIONS["gaussian-regression"]),
        data,
        prior="weak",
        start=np.arange(N) % 2,
    )
    design = np.column_stack([np.ones(N), X])
    about = np.linalg.lstsq(design, data[:, 0])[0]
    spread = np.mean((data[:, 0] - design @ about) ** 2) / 4
    precision = 0.01 * design.T @ design / N
    own, total = fit.params.components, 0.0
    for b, sigma in zip(fit.model.family.coefficients(own), own.sigma, strict=True):
        covariance = sigma**2 * np.linalg.inv(precision)
        total += stats.multivariate_normal.logpdf(b, about, covariance)
        total += stats.invgamma.logpdf(sigma**2, 1.5, scale=0.5 * spread)
    assert fit.log_prior == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("y", [2 * X[:, 0] + 1, np.zeros(N)], ids=["a line", "zeros"])
def test_under_a_prior_rows_on_a_line_have_a_fit(y: Array) -> None:
    model = emframe.Mixture("gaussian-regression", 2)
    fit = emframe.fit(model, np.column_stack([y, X[:, 0]]), prior="weak", rng=0, n_starts=2)
    assert fit.status.usable
    assert (fit.params.components.sigma > 0).all()


def test_no_digits_are_lost_far_from_the_origin() -> None:
    """With moments in the place of a triangle nothing of sigma would be left."""
    far = np.column_stack([1e6 * X[:, 0] + 1e-3 * RNG.normal(size=N), X[:, 0], X[:, 1]])
    fit = emframe.fit(emframe.Mixture("gaussian-regression", 1, predictors=(1, 2)), far)
    design = np.column_stack([np.ones(N), X])
    residual = far[:, 0] - design @ np.linalg.lstsq(design, far[:, 0])[0]
    assert fit.params.components.sigma[0] == pytest.approx(residual.std(), rel=1e-6)


def test_columns_are_found_by_name_and_name_the_coefficients() -> None:
    name = "poisson-regression"
    frame = pd.DataFrame({"log size": X[:, 0], "age": X[:, 1], "n": Y[name], "years": OFFSET})
    options = {"response": "n", "predictors": ["age", "log size"], "offset": "years"}
    fit = emframe.fit(emframe.Mixture(name, 1, **options), frame.assign(other=1.0))
    assert fit.columns == ("n", "years", "age", "log size")
    plain = emframe.fit(emframe.Mixture(name, 1, **OPTIONS[name]), rows(name)).params.components
    named = fit.params.components
    assert named.log_size == pytest.approx(plain.x1)
    assert named.age == pytest.approx(plain.x2)
    labels = [row["parameter"] for row in fit.standard_errors(frame).table]
    assert labels == ["intercept[0]", "age[0]", "log_size[0]"]


@pytest.mark.parametrize(
    ("column", "field"),
    [("class", "c_class"), ("Größe (m²)\n", "Größe__m2__"), ("None", "c_None"), ("कि", "क_")],
)
def test_a_column_of_any_name_is_fitted_saved_and_loaded(
    column: str, field: str, tmp_path: Path
) -> None:
    frame = pd.DataFrame({column: X[:, 0], "y": Y["gaussian-regression"]})
    line = emframe.family("gaussian-regression", response="y", predictors=column)
    for family in (line, emframe.Product({column: "gaussian"})):
        fit = emframe.fit(emframe.Mixture(family, 1), frame)
        assert hasattr(fit.params.components, field)
        fit.save(tmp_path / "saved.fit")
        again = emframe.load(tmp_path / "saved.fit")
        assert np.array_equal(again.score_samples(frame), fit.score_samples(frame))


def test_columns_told_by_numbers_of_numpy_are_saved(tmp_path: Path) -> None:
    options = {"response": np.int64(0), "predictors": np.arange(1, 3), "trials": np.int64(3)}
    model = emframe.Mixture("binomial-regression", 1, **options)
    emframe.fit(model, rows("binomial-regression")).save(tmp_path / "saved.fit")
    plain = emframe.Mixture("binomial-regression", 1, **OPTIONS["binomial-regression"])
    assert emframe.load(tmp_path / "saved.fit").model == model == plain


@pytest.mark.parametrize("unit", [1e-60, 1e60])
def test_units_of_predictors_change_nothing_but_slopes(unit: float) -> None:
    for name in ("gaussian-regression", "binomial-regression"):
        x, wide = rows(name), rows(name) * np.r_[1.0, unit, 1.0, np.ones(len(EXTRA[name]))]
        plain, other = (
            emframe.fit(
                emframe.Mixture(name, 2, **OPTIONS[name]),
                data,
                start=X[:, 0] > 0,
                accelerate=False,
                max_iter=50,
            )
            for data in (x, wide)
        )
        assert other.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-9)


@every
@pytest.mark.parametrize("unit", [5e-324, 1e-160, 1e160, 1e300])
def test_predictors_whose_coefficients_leave_floating_point_are_refused(
    name: str, unit: float
) -> None:
    data = rows(name) * np.r_[1.0, 1.0, unit, np.ones(len(EXTRA[name]))]
    with pytest.raises(ValueError, match=r"column 2 \('x2'\).*rescale the column"):
        emframe.fit(emframe.Mixture(name, 2, **OPTIONS[name]), data, rng=0)


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "mixed": ({"response": "y", "predictors": (1,)}, TypeError, "all names or all indices"),
    "twice": ({"response": 1}, ValueError, "one part"),
    "gap": ({"predictors": (2,)}, ValueError, "0 to 1 each once"),
    "words": ({"intercept": "no"}, TypeError, "`intercept` is 'no'; pass True or False"),
    "nothing": ({"predictors": (), "intercept": False}, ValueError, "no intercept"),
    "reserved": ({"response": "y", "predictors": ("sigma",)}, ValueError, "called 'sigma'"),
    "same": ({"response": "y", "predictors": ("a b", "a_b")}, ValueError, "called 'a_b'"),
}


@pytest.mark.parametrize(("options", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_are_no_columns_is_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        emframe.family("gaussian-regression", **options)


@pytest.mark.parametrize(
    ("name", "options", "x", "message"),
    [
        ("poisson-regression", {}, [[1.5, 0.0], [2, 1]], "row 0, column 0 .*whole numbers"),
        ("binomial-regression", {"trials": 1, "predictors": 2},
         [[2, 3, 0.5], [4, 3, 0.5]], "row 1, column 0 .*no more successes than trials"),
        ("binomial-regression", {}, [[0, 0.5], [2, 0.5]], "row 1, column 0 .*0 or 1"),
        ("poisson-regression", {"offset": 1, "predictors": 2},
         [[2, 3, 0.5], [4, 1e3, 0.5]], "row 1, column 1 .*up to 100 in size"),
        ("gaussian-regression", {}, [[1.0], [2.0]], "takes 2"),
    ],
)  # fmt: skip
def test_responses_outside_their_support_are_refused(
    name: str, options: dict[str, Any], x: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        emframe.fit(emframe.Mixture(name, 1, **options), np.array(x))


STEP = np.arange(12.0)
DEGENERATE = {
    "a line through all": ("gaussian-regression", 2 * STEP + 1, STEP, "lie on its line"),
    "collinear": ("gaussian-regression", STEP**2, np.full(12, 3.0), "x1.*collinear with intercept"),
    "too few": ("gaussian-regression", STEP[:1], STEP[:1], "x1.*too few"),
    "only zeros": ("poisson-regression", np.zeros(12), STEP, "separated"),
    "zeros on one side": ("poisson-regression", 2 * (STEP > 5), (STEP > 5) * 1.0, "separated"),
    "perfect separation": ("binomial-regression", (STEP > 5) * 1.0, STEP, "separated"),
    "one kind of answer": ("binomial-regression", np.ones(12), STEP, "separated"),
}


@pytest.mark.parametrize(("name", "y", "x", "message"), DEGENERATE.values(), ids=DEGENERATE)
def test_what_has_no_maximum_is_told_by_name(name: str, y: Array, x: Array, message: str) -> None:
    family = emframe.family(name)
    statistics = family.accumulate(np.column_stack([y, x]), np.ones((len(y), 1)))
    with pytest.raises(emframe.Degenerate, match=f"component 0.*{message}"):
        family.m_step(statistics, None)


@every
def test_draws_have_the_covariates_of_rows_that_are_given(name: str) -> None:
    data = rows(name)
    model = emframe.Mixture(name, 2, **OPTIONS[name])
    fit = emframe.fit(model, data, start=np.arange(N) % 2)
    with pytest.raises(NoSampler, match="given=X"):
        fit.sample(3, rng=0)
    drawn, z = fit.sample(500, rng=0, given=data)
    assert z.shape == (500, 2)
    there = {tuple(row) for row in data[:, 1:]}
    assert {tuple(row) for row in drawn[:, 1:]} <= there
    assert fit.score_samples(drawn).mean() == pytest.approx(fit.log_likelihood / N, abs=0.25)


def test_a_weighted_row_lends_its_covariates_more_often() -> None:
    model = emframe.Mixture("gaussian-regression", 1)
    there = model.given(np.array([[0.0, 1.0], [0.0, 2.0]]), np.array([9.0, 1.0]))
    params = model.build({"weights": [1.0], "intercept": [0.0], "x1": [1.0], "sigma": [1.0]})
    drawn, _ = there.sample(params, 4000, np.random.default_rng(0))
    assert (drawn[:, 1] == 1).mean() == pytest.approx(0.9, abs=0.03)


LINE = emframe.family("gaussian-regression", predictors=1)
COMPOSED: dict[str, Any] = {
    "product": emframe.Mixture(emframe.Product({(0, 1): LINE, (2, 3): "poisson-regression"}), 2),
    "list": emframe.Mixture([LINE, LINE], [1, 2]),
    "nested": emframe.Mixture([emframe.Mixture(LINE, 2), LINE]),
    "grouped": emframe.Mixture(emframe.Grouped(LINE), 2),
    "tied": emframe.Mixture(emframe.tied(LINE, "sigma"), 2),
    "chain": emframe.model("hidden-markov", family=LINE, n_states=2),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_the_covariates_of_a_draw_are_those_of_one_row(name: str) -> None:
    """Whatever the family is a part of: x and its copy in another part stay together."""
    x, model = RNG.permutation(N).astype(float), COMPOSED[name]
    data = np.column_stack([RNG.normal(size=N), x, RNG.poisson(3.0, size=N), x])
    data = data if name == "product" else data[:, :2]
    given = emframe.Sequences(data, np.full(N // 3, 3)) if name == "grouped" else data
    rows_ = model.rows(given)
    params = next(p for _, p in model.starts(rows_, RNG) if not isinstance(p, Exception))
    drawn, _ = model.given(rows_.x, rows_.weights).sample(params, 60, RNG)
    assert set(drawn[:, 1]) <= set(x)
    assert len(set(drawn[:, 1])) > 20
    assert drawn.shape == (60, data.shape[1])
    assert (drawn[:, 1] == drawn[:, -1 if name == "product" else 1]).all()


def named(**settings: Any) -> Any:
    return emframe.family("gaussian-regression", response="y", **settings)


@pytest.mark.parametrize(
    ("compose", "error", "words"),
    [
        (lambda: [named(predictors="x"), named(predictors=("x", "u"))], ValueError, "y given x, u"),
        (lambda: [LINE, named(predictors=())], ValueError, "column 1, and y"),
        (lambda: [LINE, emframe.Grouped(LINE)], TypeError, "runs of rows, and rows"),
        (lambda: emframe.Grouped(emframe.Grouped(LINE)), TypeError, "are runs already"),
        (lambda: [COMPOSED["grouped"], LINE], TypeError, "runs of rows, and rows"),
        (
            lambda: emframe.Product({0: emframe.Grouped("poisson"), 1: "poisson"}),
            TypeError,
            "say how a run has these",
        ),
        (
            lambda: emframe.Product({("x", "y"): named(predictors="x")}),
            ValueError,
            "takes the columns y, x; got the group",
        ),
    ],
    ids=["unlike", "fewer", "runs", "twice", "nested", "part", "order"],
)
def test_families_that_do_not_go_together_are_refused(
    compose: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        emframe.Mixture(compose())


def test_a_chain_of_runs_is_refused() -> None:
    with pytest.raises(TypeError, match="pass the family that is grouped"):
        emframe.model("hidden-markov", family=emframe.Grouped(LINE), n_states=2)


def test_counts_beyond_all_counts_are_not_drawn() -> None:
    name = "poisson-regression"
    fit = emframe.fit(emframe.Mixture(name, 1), rows(name)[:, :2])
    far = np.array([[0.0, 0.0], [0.0, 1e5 / fit.params.components.x1[0]]])
    with pytest.raises(ValueError, match=r"the log rate reaches 1\d+, and counts end"):
        fit.sample(4, rng=0, given=far)


def test_rows_of_a_component_need_not_lie_near_each_other() -> None:
    """Of 300 random starts none ends here: -149.861 is where they do."""
    name = "binomial-regression"
    fit = emframe.fit(emframe.Mixture(name, 2, **OPTIONS[name]), rows(name), rng=0)
    assert fit.log_likelihood == pytest.approx(-149.32672, abs=1e-4)
    each = fit.model.family.coefficients(fit.params.components)
    joint = (
        np.stack([log_density(name, beta) for beta in each]) + np.log(fit.params.weights)[:, None]
    )
    assert fit.log_likelihood == pytest.approx(special.logsumexp(joint, axis=0).sum(), rel=1e-10)


@every
def test_a_tied_slope_is_one_number(name: str) -> None:
    data = rows(name)
    model = emframe.tied(emframe.Mixture(name, 2, **OPTIONS[name]), "x2")
    free = emframe.Mixture(name, 2, **OPTIONS[name])
    tied = emframe.fit(model, data, rng=0)
    here = {name: value.tolist() for name, value in vars(tied.params.components).items()}
    # Of few rows and many optima the search for each may find another: the larger starts there.
    loose = emframe.fit(free, data, start={"weights": tied.params.weights, **here})
    assert np.ptp(tied.params.components.x2) == 0.0
    assert np.ptp(tied.params.components.x1) > 0.0
    assert tied.n_parameters == loose.n_parameters - 1
    assert tied.log_likelihood <= loose.log_likelihood + 1e-6


# ---- rows that share one z


def by_hand(fit: Any, runs: emframe.Sequences) -> tuple[Array, Array]:
    """Log density and responsibilities of each run, from the densities of its rows."""
    family = fit.model.family.family
    each = family.log_density(fit.params.components, np.asarray(runs.x))
    joint = np.array([part.sum(axis=0) for part in np.split(each, np.cumsum(runs.lengths)[:-1])])
    joint = np.exp(joint) * fit.params.weights
    return np.log(joint.sum(axis=1)), joint / joint.sum(axis=1, keepdims=True)


GROUPS = np.arange(N) // 3 % 20
GROUPED: dict[str, tuple[Any, Array]] = {
    **{name: (emframe.family(name, **OPTIONS[name]), rows(name)) for name in Y},
    "gaussian": (emframe.family("gaussian"), X),
    "tied": (emframe.tied("gaussian", "covariances"), X),
}


@pytest.mark.parametrize(("family", "x"), GROUPED.values(), ids=GROUPED)
def test_a_run_has_the_product_of_its_rows_densities(family: Any, x: Array, tmp_path: Any) -> None:
    runs = emframe.Sequences.by(x, GROUPS)
    fit = emframe.fit(emframe.Mixture(emframe.Grouped(family), 2), runs, rng=0, n_starts=2)
    assert (np.diff(fit.trace) >= 0).all()
    density, resp = by_hand(fit, runs)
    assert fit.score_samples(runs) == pytest.approx(density)
    assert fit.predict_proba(runs) == pytest.approx(resp)
    assert fit.log_likelihood == pytest.approx(density.sum())
    assert fit.n_rows == N
    drawn, z = fit.sample(6, rng=0, given=runs)
    assert drawn.shape == x[:6].shape
    assert (z == z[0]).all()  # one run, and so one z
    fit.save(tmp_path / "a.fit")
    assert emframe.load(tmp_path / "a.fit").model == fit.model


def test_runs_of_one_row_are_rows() -> None:
    x, start = rows("poisson-regression"), np.arange(N) % 2
    family = emframe.family("poisson-regression", **OPTIONS["poisson-regression"])
    runs = emframe.Sequences(x, np.ones(N, dtype=int))
    one = emframe.fit(emframe.Mixture(family, 2), x, start=start)
    other = emframe.fit(emframe.Mixture(emframe.Grouped(family), 2), runs, start=start)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-10)


def test_groups_are_a_column_or_labels_in_order_of_their_first_rows() -> None:
    words = np.array(["b", "a", "b", "c", "a"])
    x = np.arange(10.0).reshape(5, 2)
    frame = pd.DataFrame(x, columns=["u", "v"]).assign(who=words)
    table = Table(x, ("u", "v"), None)
    for given, groups in [(x, words), (frame, "who"), (table, words), (x, words.astype(object))]:
        runs = emframe.Sequences.by(given, groups)
        assert runs.keys.tolist() == ["b", "a", "c"]
        assert runs.lengths.tolist() == [2, 2, 1]
        values = np.asarray(getattr(runs.x, "X", runs.x))
        assert values[:, 0].tolist() == [0, 4, 2, 8, 6]
    assert emframe.Sequences.by(x, words)[1:].keys.tolist() == ["a", "c"]
    assert list(emframe.Sequences.by(frame, "who").x.columns) == ["u", "v"]
    assert emframe.Sequences.by(x, np.array([1, "1", 1, 1, "1"], dtype=object)).keys.tolist() == [
        1,
        "1",
    ]
    with pytest.raises(ValueError, match="no 'whom'"):
        emframe.Sequences.by(frame, "whom")
    with pytest.raises(TypeError, match="no names"):
        emframe.Sequences.by(x, "who")
    with pytest.raises(ValueError, match=r"shape \(4,\).*5 rows"):
        emframe.Sequences.by(x, words[:4])


@pytest.mark.parametrize("read", [pd.DataFrame, pl.DataFrame])
def test_a_frame_in_groups_may_have_columns_that_no_family_reads(read: Any) -> None:
    line = emframe.Grouped("gaussian-regression", response="y", predictors="x")
    columns = {"y": X[:, 0], "x": X[:, 1], "who": GROUPS.astype(str), "note": ["?"] * len(X)}
    runs = emframe.Sequences.by(read(columns), "who")
    fit = emframe.fit(emframe.Mixture(line, 2), runs, rng=0, n_starts=1)
    plain = emframe.Mixture(emframe.Grouped(LINE), 2)
    other = emframe.fit(plain, emframe.Sequences.by(X, GROUPS), rng=0, n_starts=1)
    assert fit.log_likelihood == other.log_likelihood
    listed = [run for _, run in pd.DataFrame(columns).groupby("who", sort=False)]
    assert emframe.fit(emframe.Mixture(line, 2), listed, rng=0, n_starts=1).log_likelihood == (
        pytest.approx(other.log_likelihood, rel=1e-12)
    )


MASKED = np.ma.masked_array(X, np.arange(X.size).reshape(X.shape) == 3)
WEIGHED = Table(X, ("y", "x"), np.full(len(X), 2.0))


@pytest.mark.parametrize(
    ("x", "groups", "error", "words"),
    [
        (MASKED, GROUPS, TypeError, "row 1, column 1.*masked"),
        (scipy.sparse.csr_array(X), GROUPS, TypeError, "sparse"),
        (emframe.Blocks(lambda: [X], *X.shape), GROUPS, TypeError, "pass rows by columns"),
        (WEIGHED, GROUPS, ValueError, "weights of its own"),
        (X, np.where(GROUPS == 1, np.nan, GROUPS), ValueError, r"groups\[\d+\]` is nan"),
        (X, [None, *GROUPS[1:]], ValueError, r"groups\[0\]` is None \(1 such\)"),
        (X, np.array([pd.NA, *GROUPS[1:]], dtype=object), ValueError, r"groups\[0\]` is <NA>"),
    ],
    ids=["masked", "sparse", "blocks", "weights", "nan", "None", "NA"],
)
def test_what_cannot_be_put_in_groups_is_refused(
    x: Any, groups: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        emframe.Sequences.by(x, groups)


def test_fewer_runs_than_components_are_refused() -> None:
    with pytest.raises(ValueError, match=r"3, but the data have 2 runs; pass"):
        emframe.fit(emframe.Mixture(emframe.Grouped("gaussian"), 3), [X[:40], X[40:]])


def test_a_large_sample_of_runs_starts_from_some_of_them() -> None:
    x = np.repeat(np.array([[0.0], [9.0]]), 500, axis=0) + RNG.normal(size=(1000, 1))
    rows_ = emframe.Mixture(emframe.Grouped("gaussian"), 2).rows(
        emframe.Sequences(x, np.full(200, 5)), weights=np.r_[np.ones(100), np.full(100, 3.0)]
    )
    some = rows_.sample(400, np.random.default_rng(0))
    assert (len(some), len(some.x.x)) == (80, 400)
    assert (some.means().x[:, 0] > 4.5).mean() == pytest.approx(0.75, abs=0.12)
    assert {tuple(run) for run in some.x.x.reshape(-1, 5)} <= {tuple(r) for r in x.reshape(-1, 5)}


def test_a_model_of_runs_is_described_in_words_and_in_json() -> None:
    model = emframe.Mixture(emframe.Grouped("gaussian", covariance="diag"), 2)
    assert model.title() == "grouped gaussian mixture, K = 2"
    assert "grouped" in json.dumps(model.describe())
    with pytest.raises(TypeError, match="covariance go with"):
        emframe.Grouped(emframe.family("gaussian"), covariance="diag")
    with pytest.raises(TypeError, match="plugin's name"):
        emframe.Grouped(3)  # type: ignore[arg-type]


def test_states_may_regress() -> None:
    """A chain of hidden states, each with a line of its own."""
    z = (np.arange(400) // 40) % 2
    x = RNG.uniform(0, 5, size=400)
    y = np.array([1.0, 6.0])[z] + np.array([2.0, -1.0])[z] * x + 0.5 * RNG.normal(size=400)
    model = emframe.model("hidden-markov", family="gaussian-regression", n_states=2)
    data = np.column_stack([y, x])
    fit = emframe.fit(model, data, rng=0, n_starts=4)
    assert np.sort(fit.params.components.x1) == pytest.approx([-1, 2], abs=0.1)
    assert fit.sample(5, rng=0, given=data)[0].shape == (5, 2)


RARE = {"5 in 1e5": (100_000, 5), "1 in 1e5": (100_000, 1), "20 in 1e6": (1_000_000, 20)}


@pytest.mark.parametrize("name", ["poisson-regression", "binomial-regression"])
@pytest.mark.parametrize("case", RARE)
def test_rare_events_are_not_separated(name: str, case: str) -> None:
    """A sample of the rows may have none of them; the score of all rows is 0 at the maximum."""
    n, events = RARE[case]
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=n), np.zeros(n)
    y[rng.choice(n, events, replace=False)] = 1.0
    fit = emframe.fit(emframe.Mixture(name, 1), np.column_stack([y, x]), rng=0)
    assert fit.converged
    intercept, slope = fit.model.family.coefficients(fit.params.components)[0]
    eta = intercept + slope * x
    mean = np.exp(eta) if name == "poisson-regression" else 1.0 / (1.0 + np.exp(-eta))
    assert [mean.sum(), mean @ x] == pytest.approx([events, x[y > 0].sum()], rel=1e-4)


def test_events_that_are_rare_by_their_weights_are_not_separated() -> None:
    x = np.repeat([0.0, 1.0], 2)
    data = np.column_stack([np.tile([0.0, 1.0], 2), x])
    weights = np.array([1e13, 2.0, 1e13, 6.0])
    fit = emframe.fit(emframe.Mixture("poisson-regression", 1), data, weights=weights, tol=1e-12)
    own = fit.params.components
    found = [own.intercept[0], own.x1[0]]
    assert found == pytest.approx([np.log(2e-13), np.log(3.0)], rel=1e-5)


@pytest.mark.parametrize("name", ["poisson-regression", "binomial-regression"])
def test_what_is_separated_is_refused(name: str) -> None:
    x = np.linspace(-1.0, 1.0, 50)
    with pytest.raises(emframe.Degenerate, match="separated"):
        emframe.fit(
            emframe.Mixture(name, 1),
            np.column_stack([(x > 0.3).astype(float), x + 0.0])
            if name == "binomial-regression"
            else np.column_stack([0.0 * x, x]),
            rng=0,
        )


def edged() -> tuple[Array, emframe.Mixture, Any]:
    """Two components of counts, one of which falls so fast that few rows tell of it."""
    rng = np.random.default_rng(91)
    x, first = rng.uniform(0, 10, 50), rng.random(50) < 0.5
    falling = rng.poisson(np.exp(1 + 0.5 * x)), rng.poisson(np.exp(0.7 - 0.8 * x))
    model = emframe.Mixture("poisson-regression", 2)
    values = {"weights": [0.5, 0.5], "intercept": [1.0, 0.7], "x1": [0.5, -0.8]}
    data = np.column_stack([np.where(first, *falling), x]).astype(float)
    return data, model, model.build(values)


@pytest.mark.parametrize("start", [-9.0, -4.0, 4.0])
@pytest.mark.parametrize("name", ["poisson-regression", "binomial-regression"])
def test_a_newton_step_that_is_too_long_is_halved(name: str, start: float) -> None:
    """From far off, whole steps go to where a mean is no number, or is 1."""
    groups = np.repeat([0.0, 1.0], 40)
    y = np.where(np.arange(80) % 4 == 0, 1.0, 0.0) + (np.arange(80) % 20 == 39 % 20)
    y = np.minimum(y, 1.0) if name == "binomial-regression" else y
    family = emframe.family(name)
    sums = family.accumulate(np.column_stack([y, groups]), np.ones((80, 1)))
    found = family.m_step(sums, family.build({"intercept": [start], "x1": [0.5 * start]}))
    first, second = (y[groups == one].mean() for one in (0.0, 1.0))

    def link(mean: float) -> float:
        return float(np.log(mean) - (np.log1p(-mean) if name == "binomial-regression" else 0.0))

    assert found.intercept[0] == pytest.approx(link(first), rel=1e-6)
    assert found.x1[0] == pytest.approx(link(second) - link(first), abs=1e-6)


@every
def test_predictors_that_are_nearly_alike_are_told_apart(name: str) -> None:
    """A column that is another but for a share of 1e-6 has a coefficient, and one of 1e-13 none."""
    noise = np.random.default_rng(4).normal(size=N)
    for share, is_told in ((1e-6, True), (1e-13, False)):
        data = rows(name)
        data[:, 2] = data[:, 1] + share * noise
        family = emframe.family(name, **OPTIONS[name])
        sums = family.accumulate(data, np.ones((N, 1)))
        if not is_told:
            with pytest.raises(emframe.Degenerate, match="collinear"):
                family.m_step(sums, None)
            continue
        apart = data.copy()
        apart[:, 2] = noise
        wanted = family.m_step(family.accumulate(apart, np.ones((N, 1))), None)
        found = family.m_step(sums, None)
        assert found.x2[0] * share == pytest.approx(wanted.x2[0], rel=1e-6)
        assert found.x1[0] + found.x2[0] == pytest.approx(wanted.x1[0], abs=1e-6 * abs(found.x2[0]))


def test_an_m_step_far_out_is_not_separated() -> None:
    """All but a share of 1e-7 of the counts are at one row, and still Q has a maximum."""
    data, model, params = edged()
    share = model.posterior(params, data)[1][:, 1]

    def fall(beta: Array) -> float:
        eta = beta[0] + beta[1] * data[:, 1]
        return float(-(share @ (data[:, 0] * eta - np.exp(eta))))

    options = {"xatol": 1e-10, "fatol": 1e-16, "maxiter": 20_000, "maxfev": 20_000}
    best = optimize.minimize(fall, [0.7, -0.8], method="Nelder-Mead", options=options)
    found = model.expect(params, data, np.ones(50)).maximize().components
    assert [found.intercept[1], found.x1[1]] == pytest.approx(best.x, rel=1e-4)


def test_the_summary_tells_of_edges_above_the_optimum() -> None:
    data, model, params = edged()
    fit = emframe.fit(model, data, rng=0, n_starts=8)
    above = [one for one in fit.starts if one.objective > fit.objective + 1.0]
    assert fit.converged
    assert {one.status for one in above} == {emframe.Status.DEGENERATE}
    highest = max(one.objective for one in above)
    told = f"{len(above)} starts of 8 rose above this optimum, to {highest:.6g} at least"
    assert told in fit.summary()
    on_edge = emframe.fit(model, data, start=params)
    assert on_edge.status is emframe.Status.DEGENERATE
    assert on_edge.log_likelihood > model.posterior(params, data)[0].sum() + 1.0


def test_newtons_method_comes_back_from_rates_that_are_far_too_high():
    """A log rate falls by one a step there, and Q is far off its parabola."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.poisson(2.0, 40), rng.normal(size=40)]).astype(float)
    family = emframe.family("poisson-regression")
    sums = family.accumulate(x, np.ones((40, 1)))
    far = family.build({"intercept": [690.0], "x1": [3.0]})
    best, found = family.m_step(sums, None), family.m_step(sums, far)
    assert family.expected(sums, found) == pytest.approx(family.expected(sums, best), rel=1e-12)


def test_a_hurdle_family_that_is_a_point_at_zero_has_no_density_beyond():
    family = emframe.Hurdle("poisson")
    params = family.build({"zeros": [0.5], "rest": {"rates": [[5e-324]]}})
    density = family.log_density(params, np.array([[0.0], [1.0], [1e4]]))
    assert not np.isnan(density).any()
    assert (density < np.inf).all()
