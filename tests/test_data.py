"""The gate: what comes in, as what, and what is refused with which words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

import emframe
from emframe.data import as_rows
from emframe.spaces import Binary, NonNegativeInteger, Real

BASE = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def gate(X, supports=None, **options):
    return as_rows(X, supports=supports or [Real()], owner="the family 'test'", **options)


def test_one_axis_is_one_column_and_names_are_kept():
    assert gate([1, 2, 3]).x.shape == (3, 1)
    assert gate([True, False]).x.ravel().tolist() == [1.0, 0.0]
    assert gate(pd.Series([1.0, 2.0], name="waiting")).columns == ("waiting",)
    assert gate(pd.DataFrame(BASE, columns=["a", "b"])).columns == ("a", "b")
    assert gate(BASE).columns == ("x0", "x1")


def test_the_callers_array_is_neither_changed_nor_shared():
    X = BASE.copy()
    rows = gate(X)
    X[0, 0] = 99
    assert rows.x[0, 0] == 1.0
    assert X.flags.writeable


@pytest.mark.parametrize(
    ("support", "X", "words"),
    [
        (NonNegativeInteger(), [0, 1, -2, -3], r"row 2.*is -2: outside the support.*2 such.*whole"),
        (NonNegativeInteger(), [0, 1.5], r"row 1.*is 1.5"),
        (Binary(), [[0, 1], [1, 2]], r"row 1, column 1 \('x1'\) is 2.*0 or 1"),
    ],
    ids=["negative", "half", "two"],
)
def test_data_outside_the_support(support, X, words):
    with pytest.raises(ValueError, match=words):
        gate(X, [support])


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.ones(2), r"`weights` has shape \(2,\), data has 3 rows; pass one weight per row"),
        ([1, -1, 1], r"`weights\[1\]` is -1"),
        ([1, np.nan, 1], r"`weights\[1\]` is nan"),
        ([np.inf, 1, 1], r"`weights\[0\]` is inf"),
        ([0, 0, 0], "all zero"),
    ],
    ids=["length", "negative", "nan", "inf", "zero"],
)
def test_weights_are_refused(weights, words):
    with pytest.raises(ValueError, match=words):
        gate(BASE, weights=weights)


def test_weights_are_numbers_and_no_name_of_a_column():
    with pytest.raises(TypeError, match="`weights` is 'days'; pass one weight per row, such as"):
        gate(BASE, weights="days")


def test_rows_of_weight_zero_are_gone_whatever_they_hold():
    X = BASE.copy()
    X[1] = np.nan
    rows = gate(X, weights=[1, 0, 2])
    assert np.array_equal(rows.x, BASE[[0, 2]])
    assert rows.weights.tolist() == [1, 2]
    X[2, 1] = np.inf
    with pytest.raises(ValueError, match=r"row 2, column 1"):  # the row of the caller's array
        gate(X, weights=[1, 0, 2])


def test_columns_have_to_match_those_of_the_fit():
    with pytest.raises(ValueError, match="2 columns; the model was fitted to 3"):
        gate(BASE, n_columns=3)
    with pytest.raises(ValueError, match="columns a, c; the model takes a, b, and 'b' is not th"):
        gate(pd.DataFrame(BASE, columns=["a", "c"]), columns=["a", "b"], n_columns=2)
    with pytest.raises(ValueError, match="a density of one column"):
        gate(BASE, takes_columns=False)


def test_columns_of_a_fit_are_found_by_name_whatever_else_there_is():
    frame = pd.DataFrame({"who": list("uvw"), "b": BASE[:, 1], "c": 7.0, "a": BASE[:, 0]})
    x, names = frame[["b", "c", "a"]].to_numpy(), ("b", "c", "a")
    table = emframe.data.Table(x, names, None)
    blocks = emframe.Blocks(lambda: [x[:2], x[2:]], 3, 3, names)
    for X in (frame, pl.from_pandas(frame), table, blocks):
        rows = gate(X, columns=["a", "b"], n_columns=2)
        assert rows.columns == ("a", "b")
        assert np.array_equal(rows.x, BASE)


def test_distinct_rows_are_counted_no_further_than_asked():
    rows = gate(np.repeat([1.0, 2.0, 3.0], 1000))
    assert rows.n_distinct(3) == 3
    assert rows.n_distinct(2) == 2
    assert rows.n_distinct(9) == 3


@pytest.mark.parametrize(
    ("k", "X", "words"),
    [
        (5, [1.0, 2, 3], "`n_components` is 5, but the data have 3 rows; pass at most 3"),
        (3, [1.0, 1, 2, 2], "`n_components` is 3, but the data have 2 distinct rows"),
    ],
    ids=["rows", "distinct"],
)
def test_more_components_than_the_data_can_have(k, X, words):
    with pytest.raises(ValueError, match=words):
        emframe.fit(emframe.Mixture("gaussian", n_components=k), X)
