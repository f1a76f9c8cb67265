"""Cross-validation: every row left out once, and what is left out is scored by the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import poisson

import emframe
from emframe.selecting.validation import dealt, held_out

WEIGHTS = arrays(float, st.integers(5, 30), elements=st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.25]))


@given(WEIGHTS.filter(lambda w: np.floor(w).sum() >= 5), st.integers(2, 5), st.integers(0, 99))
def test_weights_are_dealt_out_whole(weights, folds, seed):
    parts = dealt(weights, folds, np.random.default_rng(seed))
    assert parts.sum(axis=0) == pytest.approx(weights)
    assert (parts >= 0).all()
    whole = np.floor(parts).sum(axis=1)
    assert whole.max() - whole.min() <= 1
    assert ((parts % 1 > 0).sum(axis=0) == (weights % 1 > 0)).all()  # what is over goes to one


@pytest.mark.parametrize("folds", [0, 1, 11])
def test_a_wrong_number_of_folds_is_told(folds):
    X = np.arange(10.0)
    with pytest.raises(ValueError, match="`folds` is"):
        emframe.select(("poisson", [1]), X, criterion="cv", folds=folds)


def test_leave_one_out_by_hand():
    X = np.random.default_rng(0).poisson(4, 12).astype(float)
    found = emframe.select(("poisson", [1]), X, criterion="cv", folds=12, n_starts=1)
    others = (X.sum() - X) / 11
    assert found.held_out[0] == pytest.approx(poisson.logpmf(X, others).sum())
    assert found.values[0] == pytest.approx(-2 * found.held_out[0])
    assert found.table[0]["cv"] == found.values[0]


def test_weights_count_as_rows():
    X, weights = np.arange(6.0), np.array([3.0, 0.0, 5.0, 4.0, 2.0, 1.0])
    model = emframe.Mixture("poisson")
    rows = model.rows(X, weights)
    parts = dealt(rows.weights, 15, np.random.default_rng(0))
    scored = held_out(model, X, rows, parts, 0, n_starts=1)
    long = np.repeat(X, weights.astype(int))
    others = (long.sum() - long) / 14
    assert scored == pytest.approx(poisson.logpmf(long, others).sum())


def test_it_prefers_the_number_of_components_that_is_there():
    rng = np.random.default_rng(1)
    X = np.concatenate([rng.normal(m, 1, 60) for m in (-4, 4)])
    found = emframe.select(("gaussian", [1, 2]), X, criterion="cv", rng=0, n_starts=2)
    assert found.best.model.n_components == 2
    assert "CV" in str(found)
    again = emframe.select(("gaussian", [1, 2]), X, criterion="cv", rng=0, n_starts=2)
    assert again.held_out == found.held_out


def test_a_row_that_the_others_make_impossible():
    """A positive count in a column where the other rows hold zeros alone."""
    X = np.zeros((8, 1))
    X[3] = 1.0
    found = emframe.select(("bernoulli", [1]), X, criterion="cv", folds=8, n_starts=1)
    assert found.values == (np.inf,)


def test_a_cut_short_validation_ranks_last():
    fits = emframe.select(("poisson", [1, 2]), np.arange(9.0), rng=0, n_starts=1).fits
    cut = emframe.Selection(fits, "cv", held_out=(-20.0,))
    assert cut.values == (40.0, np.inf)
    assert cut.best is fits[0]
