"""What may come in as data, and what is refused: where it stands, what it is, how many, the remedy.

One row of a table for each kind of input.  The same gate serves fit, predict, score and weights.
"""

from __future__ import annotations

import datetime
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

import emframe
from emframe.data import Table, as_rows
from emframe.sklearn import EMMixture
from emframe.spaces import Real

BASE = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
COLUMNS: dict[str, list[Any]] = {"a": [1, 3, 5], "b": [2.0, 4.0, 6.0]}
GAPS: dict[str, list[Any]] = {"a": [1, None, None], "b": [2.0, 4.0, 6.0]}


def gate(X: Any, **options: Any) -> Any:
    return as_rows(X, supports=[Real()], owner="the family 'test'", **options)


def locked(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


ACCEPTED = {
    "float64": BASE,
    "list": BASE.tolist(),
    "list of arrays": list(BASE),
    "tuple": tuple(map(tuple, BASE)),
    "float16": BASE.astype("f2"),
    "float32": BASE.astype("f4"),
    "longdouble": BASE.astype(np.longdouble),
    "big-endian": BASE.astype(">f8"),
    "big-endian integers": BASE.astype(">i4"),
    "int64": BASE.astype(int),
    "uint8": BASE.astype("u1"),
    "fortran": np.asfortranarray(BASE),
    "strided": np.repeat(BASE, 2, axis=0)[::2],
    "reversed": BASE[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": locked(BASE),
    "objects that are numbers": BASE.astype(object),
    "masked array without masks": np.ma.MaskedArray(BASE),
    "matrix": np.asarray(BASE).view(type("Sub", (np.ndarray,), {})),
    "table": Table(BASE, ("a", "b"), None),
    "pandas": pd.DataFrame(COLUMNS),
    "pandas, no names": pd.DataFrame(BASE),
    "pandas, nullable": pd.DataFrame(COLUMNS).convert_dtypes(),
    "pandas, arrow": pd.DataFrame(COLUMNS).convert_dtypes(dtype_backend="pyarrow"),
    "pandas, objects": pd.DataFrame(COLUMNS).astype(object),
    "polars": pl.DataFrame(COLUMNS),
    "polars, narrow": pl.DataFrame(COLUMNS, schema={"a": pl.Int8, "b": pl.Float32}),
    "pyarrow": pa.table(COLUMNS),
    "pyarrow record batch": pa.RecordBatch.from_pydict(COLUMNS),
}


@pytest.mark.parametrize("X", ACCEPTED.values(), ids=ACCEPTED)
def test_numbers_come_in_as_float64_rows(X: Any) -> None:
    rows = gate(X)
    assert rows.x.dtype == np.float64
    assert rows.x.dtype.isnative
    assert np.array_equal(rows.x, BASE)
    assert not rows.x.flags.writeable
    assert not rows.weights.flags.writeable


@pytest.mark.parametrize(
    ("X", "columns"),
    [
        (pd.DataFrame(COLUMNS), ("a", "b")),
        (pd.DataFrame(BASE), ("0", "1")),
        (pl.DataFrame(COLUMNS), ("a", "b")),
        (pa.table(COLUMNS), ("a", "b")),
        (pd.Series([1.0, 2.0], name="waiting"), ("waiting",)),
        (pd.Series([1.0, 2.0]), ("x0",)),
        (pl.Series("waiting", [1, 2]), ("waiting",)),
        (pa.chunked_array([[1, 2], [3]]), ("x0",)),
        (BASE, ("x0", "x1")),
    ],
    ids=["pandas", "numbered", "polars", "pyarrow", "series", "nameless", "pl", "chunks", "array"],
)
def test_columns_keep_their_names(X: Any, columns: tuple[str, ...]) -> None:
    assert gate(X).columns == columns


WORDS = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
DATE = datetime.date(2020, 1, 1)
LARGE = 2**60 + 1

REFUSED = {
    # missing and infinite
    "nan": ([1, np.nan, np.nan], r"row 1, column 0 \('x0'\) is nan.*2 such values\); remove or im"),
    "inf": ([[1, 2], [3, np.inf]], r"row 1, column 1 \('x1'\) is inf.*1 such value\); remove"),
    "None": ([1, None], r"row 1, column 0 \('x0'\) is None: not a real number.*pass real"),
    "masked": (
        np.ma.MaskedArray([[1.0, 2.0], [3.0, 4.0]], [[0, 0], [0, 1]]),
        r"row 1, column 1 \('x1'\) is 4.0: masked.*1 such value\); remove the rows",
    ),
    "pandas nan": (pd.DataFrame({"a": [1.0, None]}), r"row 1, column 0 \('a'\) is nan.*remove"),
    "pandas NA": (pd.DataFrame(GAPS).convert_dtypes(), r"row 1, column 0 \('a'\) is nan.*2 such"),
    "polars null": (pl.DataFrame(GAPS), r"row 1, column 0 \('a'\) is nan.*2 such"),
    "pyarrow null": (pa.table(GAPS), r"row 1, column 0 \('a'\) is nan.*2 such"),
    # no real numbers
    "words": (["1", "b"], r"row 0, column 0 \('x0'\) is '1': not a real number \(2 such"),
    "a word": ([[1, 2], [3, "b"]], r"row 1, column 1 \('x1'\) is 'b'.*1 such"),
    "array of words": (np.array(["a", "b"]), r"row 0.* is 'a': of dtype <U1 \(2 such"),
    "bytes": ([b"a"], r"row 0.*is b'a': not a real number"),
    "complex": ([1j, 2], r"row 0.*is 1j: not a real number \(1 such"),
    "complex array": (np.array([1j, 2]), r"row 0.*is 1j: of dtype complex128 \(2 such"),
    "datetime": (np.array(["2020-01-01"], dtype="M8[D]"), r"row 0.*datetime64\[D\] \(1 such"),
    "timedelta": (np.array([1], dtype="m8[s]"), r"row 0.*timedelta64\[s\] \(1 such"),
    "decimals": ([Decimal("1.5")], r"row 0.*is Decimal\('1.5'\)"),
    "dictionary": ([{"a": 1}], r"row 0.*is \{'a': 1\}: not a real number"),
    "structured": (np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]), r"row 0.*\(1, 2"),
    "pandas words": (WORDS, r"row 0, column 1 \('b'\) is 'x': of dtype .*2 such.*columns of numb"),
    "pandas a word": (pd.DataFrame({"a": [1, "x"]}), r"row 1, column 0 \('a'\) is 'x'.*1 such"),
    "pandas dates": (pd.DataFrame({"t": pd.to_datetime([DATE])}), r"column 0 \('t'\).*Datetime"),
    "pandas category": (pd.DataFrame({"a": pd.Categorical([1])}), r"column 0 \('a'\).*category"),
    "polars words": (pl.DataFrame({"a": ["x"]}), r"column 0 \('a'\) is 'x': of dtype String"),
    "polars dates": (pl.DataFrame({"t": [DATE]}), r"column 0 \('t'\).*of dtype Date"),
    "polars decimals": (pl.DataFrame({"a": [Decimal("1.5")]}), r"column 0 \('a'\).*Decimal"),
    "polars lists": (pl.DataFrame({"a": [[1, 2]]}), r"column 0 \('a'\).*of dtype List"),
    "polars lazy": (pl.DataFrame(COLUMNS).lazy(), r"`X` is a lazy frame.*collect"),
    "pyarrow words": (pa.table({"a": ["x"]}), r"column 0 \('a'\) is 'x': of dtype string"),
    "sparse matrix": (sparse.csr_matrix(BASE), r"`X` is sparse.*toarray"),
    "sparse array": (sparse.coo_array(BASE), r"`X` is sparse.*toarray"),
    # no table
    "ragged": (
        [[1, 2], [3]],
        "ragged: row 1 has length 1 and row 0 has 2; pass rows of equal length",
    ),
    "three axes": (np.zeros((2, 2, 2)), r"3 axes, shape \(2, 2, 2\); pass rows by columns"),
    "a number": (5.0, "`X` is 5.0; pass rows by columns"),
    "nothing": (None, "`X` is None; pass rows by columns"),
    "no rows": ([], "no rows"),
    "no columns": (np.zeros((3, 0)), "no columns"),
    "an empty frame": (pd.DataFrame(index=range(3)), "no columns"),
    "a column twice": (pd.DataFrame(BASE, columns=["a", "a"]), "two columns called 'a'; rename"),
    # what float64 does not hold
    "large": (np.array([1, LARGE]), r"row 1.*above 2\*\*53.*1 such value\); subtract"),
    "large objects": ([1, 10**400], r"row 1.*above 2\*\*53.*subtract"),
    "large in a list": ([1.5, LARGE, 2**70], r"row 1.*above 2\*\*53.*2 such"),
    "large in a mixed frame": (
        pd.DataFrame({"a": [0.5, 1.5], "b": [1, LARGE]}),
        rf"row 1, column 1 \('b'\) is {LARGE}: a whole number above 2\*\*53.*1 such",
    ),
    "large unsigned": (
        pl.DataFrame({"a": [2**63]}, schema={"a": pl.UInt64}),
        r"row 0, column 0 \('a'\) is 9223372036854775808: a whole number above",
    ),
    "longdouble": (np.array([1, 2], np.longdouble) * np.longdouble(10) ** 400, "too large for fl"),
}


@pytest.mark.parametrize(("X", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_and_how(X: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        gate(X)
    assert re.search(words, str(caught.value)), caught.value
    assert "`X`" in str(caught.value)


@pytest.mark.parametrize(
    "weights", [pd.Series([1, 2, 1]), pl.Series([1, 2, 1]), [1, 2, 1], np.float32([1, 2, 1])]
)
def test_weights_come_in_as_data_do(weights: Any) -> None:
    assert gate(BASE, weights=weights).weights.tolist() == [1, 2, 1]


def test_refused_weights_are_called_weights() -> None:
    with pytest.raises(TypeError, match=r"`weights` row 2, column 0 .* is 'x'"):
        gate(BASE, weights=[1, 2, "x"])


@given(
    hnp.arrays(
        st.sampled_from(["f4", "f8", ">f8", "i2", "u1", "?"]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=5),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
def test_every_way_in_gives_the_same_rows(array: np.ndarray) -> None:
    columns = {f"c{j}": column for j, column in enumerate(array.T)}
    native = {name: np.array(c.astype(c.dtype.newbyteorder("="))) for name, c in columns.items()}
    expected = array.astype(float)
    for X in (array, array.tolist(), pd.DataFrame(columns), pl.DataFrame(native), pa.table(native)):
        assert np.array_equal(gate(X).x, expected)


FIT = emframe.fit(emframe.Mixture("gaussian", 2), emframe.dataset("faithful"), rng=0, n_starts=2)


# ---- what is not in memory


class Untouched:
    """Values that nobody may ask for."""

    shape, ndim = (3, 2), 2

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("the values were read")

    def __len__(self) -> int:
        return 3


class Graph(Untouched):
    """An array that is worked out elsewhere, as those of Dask and of xarray over it."""

    def __dask_graph__(self) -> Any:
        return {"a": 1}

    def compute(self) -> Any:
        return BASE


class Chunks(Untouched):
    chunks = ((2, 1), (2,))

    def compute(self) -> Any:
        return BASE


class Frame(Graph):
    columns = ("a", "b")
    iloc = partitions = npartitions = None


class Tensor(Untouched):
    def __init__(self, gradient: bool = False, device: str = "cpu", is_sparse: bool = False):
        self.requires_grad, self.is_sparse = gradient, is_sparse
        self.device = type("device", (), {"type": device})()

    def detach(self) -> Any:
        return BASE


class OnDevice(Untouched):
    __cuda_array_interface__ = None

    def get(self) -> Any:
        return BASE


ELSEWHERE = {
    "a graph": (Graph(), r"not worked out yet; pass X.compute\(\), or an array .* of Dask"),
    "chunks": (Chunks(), r"not worked out yet; pass X.compute\(\)"),
    "a frame": (Frame(), r"not worked out yet; pass X.compute\(\)"),
    "a list of them": ([Graph(), Graph()], r"`X\[0\]` is .*; pass X\[0\].compute\(\)"),
    "a gradient": (Tensor(gradient=True), r"requires a gradient; pass X.detach\(\)\.$"),
    "a device": (Tensor(device="cuda"), r"on a device; pass X.cpu\(\)\.$"),
    "both": (
        Tensor(gradient=True, device="cuda", is_sparse=True),
        r"a gradient and that is sparse and on a device; pass X.detach\(\).to_dense\(\).cpu\(\)",
    ),
    "rows with gradients": ([Tensor(gradient=True)] * 3, r"`X\[0\]` is a tensor that requires"),
    "another device": (OnDevice(), r"OnDevice on a device; pass X.get\(\)"),
    "a file": ("rows.parquet", r"name of a file, 'rows.parquet'.*emframe.read_parquet\(X\)"),
    "a path": (Path("rows.csv"), r"name of a file, 'rows.csv'.*another library reads"),
    "files": (
        ["a.parquet", "b.parquet"],
        r"names of files, 'a.parquet'.*emframe.read_parquet\(X\)",
    ),
    "paths": ([Path("a.parquet")], r"name of a file, 'a.parquet'"),
    "lazy": (pl.DataFrame(COLUMNS).lazy(), r"lazy frame; pass its rows \(`X.collect\(\)`\)"),
    "a data set": (ds.dataset(pa.table(COLUMNS)), r"still to be read; pass X.to_table\(\)"),
}

CHAIN = emframe.model("hidden-markov", family="gaussian", n_states=2)
TWO = emframe.Mixture("gaussian", 2)
SKLEARN = EMMixture(n_components=2).fit(emframe.dataset("faithful").X)
SURFACES = {
    "fit": lambda X: emframe.fit(TWO, X),
    "fit by a start": lambda X: emframe.fit(TWO, X, start=[0, 1, 1]),
    "fit a chain": lambda X: emframe.fit(CHAIN, X),
    "fit words": lambda X: emframe.fit(emframe.Mixture("categorical", 2), X),
    "runs": lambda X: emframe.Sequences.by(X, "a"),
    "select": lambda X: emframe.select(("gaussian", [1, 2]), X),
    "predict": FIT.predict,
    "predict_proba": FIT.predict_proba,
    "score_samples": FIT.score_samples,
    "standard_errors": FIT.standard_errors,
    "bootstrap": lambda X: FIT.standard_errors(X, method="bootstrap", n_replicates=2),
    "bootstrap_lrt": lambda X: emframe.bootstrap_lrt(emframe.Mixture("gaussian", 1), TWO, X),
    "online": lambda X: emframe.Stepwise(TWO).begin(X),
    "scikit-learn fit": lambda X: EMMixture(n_components=2).fit(X),
    "scikit-learn predict": SKLEARN.predict,
}


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(("X", "words"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_is_not_in_memory_is_refused_before_it_is_read(
    surface: str, X: Any, words: str
) -> None:
    with pytest.raises(TypeError) as caught:
        SURFACES[surface](X)
    assert re.search(words, str(caught.value)), caught.value


@pytest.mark.parametrize("name", ["weights", "start"])
def test_so_are_weights_and_starts(name: str) -> None:
    for X in (Graph(), Tensor(gradient=True), pl.DataFrame(COLUMNS).lazy()):
        with pytest.raises(TypeError, match=rf"`{name}` is .*; pass .*{name}\.\w+\(\)"):
            emframe.fit(TWO, BASE, **{name: X})


def test_what_is_there_is_taken_whatever_else_it_can_do() -> None:
    """A graph that is empty, as that of xarray over numpy, and a tensor without a gradient."""

    class There(Graph):
        __len__ = BASE.__len__

        def __dask_graph__(self) -> None:
            return None

        def __array__(self, *_: Any, **__: Any) -> Any:
            return BASE

    class Plain(Tensor):
        def __array__(self, *_: Any, **__: Any) -> Any:
            return BASE

    for X in (There(), Plain()):
        assert np.array_equal(gate(X).x, BASE)


def test_an_array_that_numpy_cannot_read_is_told() -> None:
    class Odd(Untouched):
        def __array__(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("no numbers for you")

    with pytest.raises(TypeError, match="Odd that numpy cannot read: no numbers for you; pass it"):
        gate(Odd())


@pytest.mark.parametrize("kind", ["array", "narrow chunks", "column", "frame", "series"])
def test_data_of_dask_are_those_in_memory(kind: str) -> None:
    dask_array = pytest.importorskip("dask.array")
    dask_frame = pytest.importorskip("dask.dataframe")
    rows = emframe.dataset("faithful").X
    frame = dask_frame.from_pandas(pd.DataFrame(rows, columns=["a", "b"]), npartitions=3)
    made = {
        "array": lambda: dask_array.from_array(rows, chunks=(100, 2)),
        "narrow chunks": lambda: dask_array.from_array(rows, chunks=(50, 1)),
        "column": lambda: dask_array.from_array(rows[:, 0], chunks=100),
        "frame": lambda: frame,
        "series": lambda: frame["a"],
    }
    X = made[kind]()
    found = emframe.fit(TWO, X, rng=0, n_starts=1)
    here = emframe.fit(TWO, rows[:, : found.params.components.means.shape[1]], rng=0, n_starts=1)
    assert found.log_likelihood == here.log_likelihood


def test_a_list_of_parquet_files_is_read_one_after_another(tmp_path: Path) -> None:
    rows = emframe.dataset("faithful").X
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for file, part in zip(files, (rows[:100], rows[100:]), strict=True):
        pd.DataFrame(part, columns=["a", "b"]).to_parquet(file)
    source = emframe.read_parquet(files, rows=64)
    assert (source.n_rows, source.columns) == (272, ("a", "b"))
    assert np.array_equal(np.concatenate(list(source)), rows)
    pd.DataFrame({"b": [1.0]}).to_parquet(files[1])
    with pytest.raises(ValueError, match=r"b\.parquet has no column 'a'; it has b"):
        emframe.read_parquet(files)
    with pytest.raises(ValueError, match="empty list; pass the path"):
        emframe.read_parquet([])


# ---- out again


def test_a_pandas_frame_gives_answers_with_its_index() -> None:
    data = emframe.dataset("faithful")
    frame = pd.DataFrame(data.X, columns=data.columns, index=[f"r{i}" for i in range(272)])[::-1]
    plain = data.X[::-1]
    labels, resp, density = FIT.predict(frame), FIT.predict_proba(frame), FIT.score_samples(frame)
    for answer in (labels, resp, density):
        assert answer.index.equals(frame.index)
    assert isinstance(labels, pd.Series)
    assert list(resp.columns) == ["p0", "p1"]
    assert np.array_equal(labels, FIT.predict(plain))
    assert np.array_equal(resp, FIT.predict_proba(plain))
    assert np.array_equal(density, FIT.score_samples(plain))


def test_rows_without_an_index_give_arrays() -> None:
    X = emframe.dataset("faithful").X
    for given_ in (X, pl.DataFrame(X, schema=["eruptions", "waiting"]), X.tolist()):
        assert isinstance(FIT.predict(given_), np.ndarray)


def test_other_columns_are_refused_by_predict_too() -> None:
    with pytest.raises(ValueError, match="columns waiting, minutes; the model takes eruptions"):
        FIT.predict(pl.DataFrame({"waiting": [1.0], "minutes": [2.0]}))


def test_without_narwhals_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(ImportError, match=r"data frames needs narwhals: .*emframe\[dataframe\]"):
        gate(pd.DataFrame(COLUMNS))
    assert len(gate(BASE)) == 3


def test_a_series_of_weights_goes_by_its_index() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=50)})
    weights = pd.Series(rng.integers(1, 4, size=50).astype(float))
    model = emframe.Mixture("gaussian", 1)
    turned = weights.iloc[::-1]
    with pytest.raises(ValueError, match=r"another index than `X`.*reindex"):
        emframe.fit(model, frame, weights=turned)
    fit = emframe.fit(model, frame, weights=turned.reindex(frame.index))
    mean = np.average(frame["x"], weights=weights)
    assert fit.params.components.means.item() == pytest.approx(mean, rel=1e-12)
    emframe.fit(model, frame, weights=turned.to_numpy())


def test_weights_that_sum_to_one_are_told() -> None:
    X = np.random.default_rng(0).normal(size=50)
    with pytest.warns(UserWarning, match="sum to 1 over 50 rows.*weights \\* 50"):
        fit = emframe.fit(emframe.Mixture("gaussian", 1), X, weights=np.full(50, 1 / 50))
    assert fit.n_rows == pytest.approx(1.0)
