"""Advice in messages exists for the model at hand, and speaks of the part that is meant."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy

import emframe
from emframe.models.remedies import remedies

RNG = np.random.default_rng(0)
GAMMA = emframe.from_scipy("gamma")
LINE = emframe.family("gaussian-regression", response="y", predictors=("x", "town"))


def mixture(family: Any, k: int | None = None, **options: Any) -> emframe.Mixture:
    return emframe.Mixture(family, k, **options)


ALL = "Use fewer components, a more restricted covariance, or prior='weak'."
REMEDIES: dict[str, tuple[Any, str]] = {
    "gaussian": (mixture("gaussian", 2), ALL),
    "one gaussian": (mixture("gaussian", 1, covariance="EII"), "Use prior='weak'."),
    "coupled": (
        mixture("gaussian", 2, covariance="VEV"),
        "Use fewer components or a more restricted covariance.",
    ),
    "density": (mixture(GAMMA, 2), "Use fewer components."),
    "counts": (mixture("poisson", 2), "Use fewer components or prior='weak'."),
    "one line": (mixture("poisson-regression", 1), ""),
    "lines": (
        mixture(emframe.family("poisson-regression", predictors=(1, 2)), 2),
        "Use fewer components or fewer predictors.",
    ),
    "all with a prior": (mixture(["gaussian", "student-t"]), ALL),
    "one without": (mixture(["poisson", emframe.from_scipy("nbinom")]), "Use fewer components."),
    "product": (mixture(emframe.Product({0: "gaussian", 1: "poisson"}), 2), ALL),
    "product without": (
        mixture(emframe.Product({0: "gaussian", 1: GAMMA}), 2),
        "Use fewer components or a more restricted covariance.",
    ),
    "runs": (mixture(emframe.Grouped("gaussian"), 2), ALL),
    "held": (mixture(emframe.fixed("gaussian", means=0.0), 2), ALL),
    "nested": (
        mixture(mixture("gaussian", 2), 2),
        ALL,
    ),
    "chain": (
        emframe.model("hidden-markov", family="gaussian"),
        "Use fewer states, a more restricted covariance, or prior='weak'.",
    ),
    "one state": (
        emframe.model("hidden-markov", family="poisson", n_states=1),
        "Use prior='weak'.",
    ),
    "factors": (emframe.model("factor-analysis", n_factors=2), "Use fewer factors."),
    "genes": (emframe.model("gene-counting", table="abo"), ""),
}


@pytest.mark.parametrize("case", REMEDIES)
def test_what_a_model_can_do_without_is_what_it_has(case: str) -> None:
    model, told = REMEDIES[case]
    assert remedies(model) == told
    assert "prior" not in remedies(model, "weak")


def rows_for(model: Any) -> Any:
    d = model.family.width or 1
    rows = RNG.poisson(np.where(np.arange(60) % 2 == 0, 3.0, 12.0), (d, 60)).T.astype(float) + 1.0
    return emframe.Sequences(rows, np.full(20, 3)) if model.family.in_runs else rows


@pytest.mark.parametrize(
    "case", [name for name, (_, told) in REMEDIES.items() if "prior='weak'" in told]
)
def test_a_prior_that_is_advised_is_taken(case: str) -> None:
    model = REMEDIES[case][0]
    fit = emframe.fit(model, rows_for(model), prior="weak", rng=0, n_starts=2)
    assert np.isfinite(fit.objective)


def test_a_fit_that_degenerates_is_told_what_its_model_has() -> None:
    X = np.column_stack([RNG.normal(size=30), np.zeros(30)])
    with pytest.raises(emframe.Degenerate, match=re.escape(ALL)):
        emframe.fit(mixture("gaussian", 2), X, rng=0, n_starts=2)
    line = mixture("gaussian-regression", 1)
    with pytest.raises(emframe.Degenerate) as caught:
        emframe.fit(line, np.column_stack([X[:, 0], np.ones(30)]), rng=0)
    assert "components" not in str(caught.value).rpartition("smaller.")[2]


def test_what_the_data_do_not_determine_is_told_what_its_model_has() -> None:
    X = RNG.integers(0, 2, (200, 2)).astype(float)
    fit = emframe.fit(mixture("bernoulli", 2), X, rng=0, n_starts=4)
    errors = fit.standard_errors(X)
    assert errors.message.endswith("Use fewer components or prior='weak'.")


MISSING = np.array([[1.0, 0.0], [np.nan, 1.0], [2.0, 1.0], [3.0, 0.0], [4.0, 1.0]])
EXPECTED = "impute such rows, or expect missing values: missing=True."
GAPS: dict[str, tuple[Any, str]] = {
    "gaussian": (mixture("gaussian", 2), EXPECTED),
    "coupled": (mixture("gaussian", 2, covariance="VEV"), EXPECTED),
    "runs": (mixture(emframe.Grouped("gaussian"), 2), EXPECTED),
    "several": (mixture(["student-t", "gaussian"]), EXPECTED),
    "chain": (emframe.model("hidden-markov", family="gaussian"), EXPECTED),
    "regression": (mixture("gaussian-regression", 1), "impute such rows."),
    "answers": (mixture("bernoulli", 2), "or expect missing answers: missing=True."),
    "a part that could": (
        mixture(emframe.Product({0: "bernoulli", 1: "poisson"}), 2),
        "or expect missing answers: missing=True.",
    ),
    "a part that could not": (
        mixture(emframe.Product({1: "bernoulli", 0: "uniform"}), 2),
        "impute such rows.",
    ),
    "counts": (mixture("poisson", 2), EXPECTED),
}
# Families that need no settings to be made.
PLAIN = [name for name in emframe.families() if not name.endswith(("-regression", "-mixed"))]


@pytest.mark.parametrize("name", PLAIN)
def test_missing_values_are_offered_where_they_are_taken(name: str) -> None:
    settings = {"trials": 3} if name == "binomial" else {}
    if emframe.family(name, **settings).gaps:
        emframe.family(name, missing=True, **settings)


def test_one_normal_column_may_have_missing_values() -> None:
    x = np.array([1.0, np.nan, 2.0, 4.0])
    fit = emframe.fit(mixture("normal", 1, missing=True), x, rng=0)
    wanted = scipy.stats.norm(7.0 / 3.0, np.sqrt(14.0 / 9.0)).logpdf([1.0, 2.0, 4.0]).sum()
    assert fit.log_likelihood == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("case", GAPS)
def test_a_model_for_missing_values_is_named_where_there_is_one(case: str) -> None:
    model, told = GAPS[case]
    with pytest.raises(ValueError, match=r"row 1, column 0 .* is nan") as caught:
        emframe.fit(model, MISSING, rng=0, n_starts=2)
    assert str(caught.value).endswith(told)


UNLIKE: dict[str, tuple[Any, Any, str]] = {
    "a list": (
        mixture(["poisson", emframe.from_scipy("nbinom")]),
        [1.0, 2.0, -3.0],
        "outside the support of component 0, the family 'poisson'",
    ),
    "groups": (
        mixture([emframe.from_scipy("lognorm"), emframe.from_scipy("gamma")], [1, 2]),
        [1.0, 2.0, -3.0, 4.0],
        "outside the support of component 0, the family 'lognorm'",
    ),
    "columns": (
        mixture([emframe.from_scipy("gamma"), emframe.from_scipy("lognorm")]),
        np.ones((4, 2)),
        "component 0, the family 'gamma', is a density of one column",
    ),
    "a product": (
        mixture(emframe.Product({"a": "gaussian", "b": "poisson"}), 2),
        pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1, -2, 3]}),
        "outside the support of the part 'b', the family 'poisson'",
    ),
    "a nest": (
        mixture(mixture("poisson", 2), 2),
        [1.5, 2.0, 3.0, 4.0],
        "outside the support of inner component 0, the family 'poisson'",
    ),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_a_refusal_speaks_of_the_component_and_its_family(case: str) -> None:
    model, X, told = UNLIKE[case]
    with pytest.raises(ValueError, match=re.escape(told)):
        emframe.fit(model, X, rng=0, n_starts=2)


TOWNS = pd.DataFrame(
    {
        "y": RNG.normal(size=30),
        "x": RNG.normal(size=30),
        "town": list("abc") * 10,
        "who": np.repeat(np.arange(10), 3),
    }
)


def test_a_category_as_a_predictor_is_no_code() -> None:
    """Where columns have no names: where they do, words stand for indicators."""
    with pytest.raises(TypeError, match=r"predictors=\('town',\)"):
        emframe.fit(mixture("gaussian-regression", 1), TOWNS[["y", "town"]], rng=0)
    named = mixture("gaussian-regression", 1, response="y", predictors=("town",))
    own = emframe.fit(named, TOWNS, rng=0).params.components
    means = TOWNS.groupby("town")["y"].mean()
    found = own.intercept[0] + np.array([0.0, own.town_b[0], own.town_c[0]])
    assert found == pytest.approx(means.to_numpy(), rel=1e-9)


def test_an_outcome_of_words_is_sent_to_the_family_of_categories() -> None:
    with pytest.raises(TypeError, match="words go to the families 'categorical'"):
        emframe.fit(mixture("poisson", 1), TOWNS[["town"]], rng=0)
    assert emframe.fit(mixture("categorical", 1), TOWNS[["town"]], rng=0).levels["town"]


@pytest.mark.parametrize("options", [{}, {"covariance": "tied"}, {"covariance": "VEV"}])
def test_missing_values_that_are_expected_are_taken(options: dict[str, Any]) -> None:
    X = np.vstack([RNG.normal(size=(40, 2)), RNG.normal(size=(40, 2)) + 6.0])
    X[::7, 0] = np.nan
    fit = emframe.fit(mixture("gaussian", 2, missing=True, **options), X, rng=0, n_starts=2)
    assert np.isfinite(fit.objective)
    assert (fit.predict(X)[:40] == fit.predict(X)[0]).mean() > 0.9
