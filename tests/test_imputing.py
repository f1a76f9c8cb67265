"""What is missing of a row, given what is seen of it: against the textbook's conditional means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emframe

RNG = np.random.default_rng(0)
Z = RNG.integers(2, size=200)


def holed(x: np.ndarray) -> np.ndarray:
    gaps = np.random.default_rng(1).random(x.shape) < 0.2
    gaps[np.arange(len(x)), np.arange(len(x)) % x.shape[1]] = False  # of each row something shows
    return np.where(gaps, np.nan, x)


NORMAL = holed(RNG.normal(size=(200, 3)) @ RNG.normal(size=(3, 3)) + 5.0 * Z[:, None])
COUNTS = holed(RNG.poisson(2.0 + 8.0 * Z[:, None], size=(200, 3)).astype(float))
ANSWERS = holed((RNG.random((200, 3)) < 0.15 + 0.7 * Z[:, None]).astype(float))


def test_a_normal_value_has_its_conditional_mean() -> None:
    fit = emframe.fit(emframe.Mixture("gaussian", 2, missing=True), NORMAL, rng=0)
    filled, shares = fit.impute(NORMAL), fit.predict_proba(NORMAL)
    own = fit.params.components
    for i in np.flatnonzero(np.isnan(NORMAL).any(axis=1))[:20]:
        m = np.isnan(NORMAL[i])
        mean = 0.0
        for k in range(2):
            mu, s = own.means[k], own.covariances[k]
            slope = s[np.ix_(m, ~m)] @ np.linalg.inv(s[np.ix_(~m, ~m)])
            mean = mean + shares[i, k] * (mu[m] + slope @ (NORMAL[i, ~m] - mu[~m]))
        assert filled[i, m] == pytest.approx(mean, rel=1e-9)
    assert np.array_equal(filled[~np.isnan(NORMAL)], NORMAL[~np.isnan(NORMAL)])


@pytest.mark.parametrize(
    ("family", "X", "mean"),
    [
        ("poisson", COUNTS, lambda own: own.rates),
        ("bernoulli", ANSWERS, lambda own: own.probs),
    ],
)
def test_independent_values_have_means_of_components(family: str, X: Any, mean: Any) -> None:
    fit = emframe.fit(emframe.Mixture(family, 2, missing=True), X, rng=0)
    wanted = np.asarray(fit.predict_proba(X)) @ mean(fit.params.components)
    assert fit.impute(X) == pytest.approx(np.where(np.isnan(X), wanted, X))


def test_a_code_is_the_likeliest_one_and_parts_are_filled_by_themselves() -> None:
    family = emframe.Product(
        {
            (0, 1): emframe.family("gaussian", missing=True),
            2: emframe.family("categorical", missing=True),
        }
    )
    X = np.column_stack([NORMAL[:, :2], ANSWERS[:, 2]])
    fit = emframe.fit(emframe.Mixture(family, 2), X, rng=0)
    filled = fit.impute(X)
    assert not np.isnan(filled).any()
    assert set(filled[:, 2]) <= {0.0, 1.0}
    assert np.array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])


def test_states_of_a_chain_fill_their_rows() -> None:
    runs = emframe.Sequences(NORMAL, np.full(20, 10))
    model = emframe.model("hidden-markov", family="gaussian", n_states=2, missing=True)
    filled = emframe.fit(model, runs, rng=0, n_starts=2).impute(runs)
    assert filled.shape == NORMAL.shape
    assert not np.isnan(filled).any()


def test_a_frame_keeps_its_names_and_what_takes_no_gaps_says_so() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(NORMAL, columns=["a", "b", "c"], index=np.arange(200) + 7)
    fit = emframe.fit(emframe.Mixture("gaussian", 2, missing=True), frame, rng=0, n_starts=2)
    filled = fit.impute(frame)
    assert list(filled.columns) == ["a", "b", "c"]
    assert list(filled.index) == list(frame.index)
    plain = emframe.fit(emframe.Mixture("gaussian", 1), np.nan_to_num(NORMAL))
    with pytest.raises(TypeError, match="'gaussian' has no missing values"):
        plain.impute(np.nan_to_num(NORMAL))
