"""The shipped data sets: known facts of each, and the way they go into a fit."""

from __future__ import annotations

import numpy as np
import pytest

import emframe

# name: rows, total weight, columns, family, (a sum over all values times weights)
FACTS = {
    "faithful": (272, 272, ("eruptions", "waiting"), "gaussian", 948.677 + 19284.0),
    "death_notices": (10, 1096, ("deaths",), "poisson", 2364.0),
    "carcinoma": (118, 118, tuple("ABCDEFG"), "bernoulli", 384.0),
    "iris": (
        150,
        150,
        ("sepal_length", "sepal_width", "petal_length", "petal_width"),
        "gaussian",
        876.5 + 458.6 + 563.7 + 179.9,
    ),
    "earthquakes": (107, 107, ("count",), "poisson", 2072.0),
    "orthodont": (
        108,
        108,
        ("child", "age", "distance", "male"),
        "linear-mixed",
        1512.0 + 1188.0 + 2594.5 + 64.0,
    ),
}


def test_every_data_set_has_its_facts_here() -> None:
    assert set(emframe.datasets()) == set(FACTS)


@pytest.mark.parametrize(("name", "facts"), FACTS.items(), ids=FACTS)
def test_facts(name: str, facts: tuple[int, int, tuple[str, ...], str, float]) -> None:
    n, total, columns, family, everything = facts
    data = emframe.dataset(name)
    assert data.name == name
    assert data.X.shape == (n, len(columns))
    assert data.columns == columns
    assert data.family == family
    assert np.isfinite(data.X).all()
    weights = np.ones(n) if data.weights is None else data.weights
    assert weights.sum() == total
    assert (weights @ data.X).sum() == pytest.approx(everything, abs=1e-6)
    assert data.about == emframe.datasets()[name]
    assert data.source


def test_particulars() -> None:
    faithful = emframe.dataset("faithful").X
    assert faithful.min(axis=0) == pytest.approx([1.6, 43])
    assert faithful.max(axis=0) == pytest.approx([5.1, 96])
    deaths = emframe.dataset("death_notices")
    np.testing.assert_array_equal(deaths.X[:, 0], np.arange(10))
    np.testing.assert_array_equal(deaths.weights, [162, 267, 271, 185, 111, 61, 27, 8, 3, 1])
    slides = emframe.dataset("carcinoma").X
    assert set(np.unique(slides)) == {0, 1}
    assert len(np.unique(slides, axis=0)) == 20
    quakes = emframe.dataset("earthquakes").X[:, 0]
    assert (quakes.min(), quakes.max()) == (6, 41)


@pytest.mark.parametrize("name", sorted(set(FACTS) - {"orthodont"}))  # whose rows are in runs
def test_the_familys_own_mixture_fits(name: str) -> None:
    data = emframe.dataset(name)
    fit = emframe.fit(emframe.Mixture(data.family, 2), data, rng=0, n_starts=4)
    assert fit.converged
    assert fit.columns == data.columns
    assert fit.n_rows == FACTS[name][1]
    assert (np.diff(fit.trace) >= 0).all()


def test_a_data_set_brings_its_weights_unless_others_are_given() -> None:
    data, model = emframe.dataset("death_notices"), emframe.Mixture("poisson", 2)
    own = emframe.fit(model, data, rng=0, n_starts=2)
    assert (
        own.log_likelihood
        == emframe.fit(model, data.X, weights=data.weights, rng=0, n_starts=2).log_likelihood
    )
    assert emframe.fit(model, data, weights=np.ones(10), rng=0, n_starts=2).n_rows == 10


def test_predictions_are_of_every_row_whatever_the_weights() -> None:
    data = emframe.dataset("death_notices")
    fit = emframe.fit(emframe.Mixture("poisson", 2), data, rng=0, n_starts=2)
    assert fit.predict_proba(data).shape == (10, 2)
    np.testing.assert_array_equal(fit.predict(data), fit.predict(data.X))


def test_names_of_columns_are_checked_on_prediction() -> None:
    data = emframe.dataset("faithful")
    fit = emframe.fit(emframe.Mixture("gaussian", 2), data, rng=0, n_starts=2)
    with pytest.raises(ValueError, match="columns x0, x1; the model takes eruptions"):
        fit.predict(emframe.data.Table(data.X, ("x0", "x1"), None))


def test_a_table_needs_a_name_for_each_column() -> None:
    table = emframe.data.Table(np.ones((3, 2)), ("a",), None)
    with pytest.raises(ValueError, match="2 columns and 1 names"):
        emframe.fit(emframe.Mixture("poisson"), table)


@pytest.mark.parametrize(
    ("name", "said"), [("faithfull", "Did you mean 'faithful'"), ("zzz", "shipped: faithful, ")]
)
def test_an_unknown_data_set_answers_with_the_known_ones(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"no data set is called '{name}'") as caught:
        emframe.dataset(name)
    assert said in str(caught.value)
