"""A corpus of files that are no saved fits, or not quite.

Each ends in a ValueError that begins with the path and names what is wrong, executes nothing, and
takes no more memory than the file is long.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import pickle
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats  # noqa: F401  (loaded by one of the files: before memory is watched)

import emframe

Parts = dict[str, bytes]
X = np.random.default_rng(0).normal(size=(40, 2)) + 3.0 * (np.arange(40) % 2)[:, None]
MEANS = "params/components.means.npy"
LIMIT = 8 << 20  # bytes that reading a forged file may take


@functools.cache
def fitted() -> emframe.Fit:
    return emframe.fit(emframe.Mixture("gaussian", 2), X, rng=0, n_starts=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    fitted().save(tmp_path / "a.fit")
    return tmp_path / "a.fit"


def parts(path: Path) -> Parts:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, entries: list[tuple[str, bytes]], compression: int = 0) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of what is twice
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in entries:
                archive.writestr(name, content)


def npy(array: Any, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def header(text: str, body: bytes = b"") -> bytes:
    """An npy entry with this header, whatever it says."""
    return b"\x93NUMPY\x01\x00\x76\x00" + text.encode().ljust(117) + b"\n" + body


class Evil:
    """Unpickling it would leave a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def entry(name: str, content: bytes | None) -> Callable[[Path], None]:
    """The fit with one entry replaced, added, or left out."""

    def damage(path: Path) -> None:
        held = parts(path)
        if content is None:
            del held[name]
        else:
            held[name] = content
        write(path, list(held.items()))

    return damage


def told(*keys: Any, value: Any) -> Callable[[Path], None]:
    """The fit whose document says something else at this place; ... takes it out."""

    def damage(path: Path) -> None:
        held = parts(path)
        document = json.loads(held["fit.json"])
        *above, last = keys
        place = functools.reduce(lambda node, key: node[key], above, document)
        if value is ...:
            del place[last]
        else:
            place[last] = value
        held["fit.json"] = json.dumps(document).encode()
        write(path, list(held.items()))

    return damage


def text(old: bytes, new: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        held = parts(path)
        assert old in held["fit.json"]
        held["fit.json"] = held["fit.json"].replace(old, new, 1)
        write(path, list(held.items()))

    return damage


def whole(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def twice(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda path: write(path, [*parts(path).items(), (name, content)])


def compressed(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda path: write(
        path, [*(parts(path) | {name: content}).items()], zipfile.ZIP_DEFLATED
    )


def pickled(path: Path) -> None:
    evil = np.array([Evil(path.parent / "mark")], dtype=object)
    entry(MEANS, npy(evil, allow_pickle=True))(path)


def overlapping(path: Path) -> None:
    """Two names in the directory for the bytes of one entry."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        one, other = archive.getinfo("trace.npy"), archive.getinfo("gains.npy")
    directory = data.index(b"PK\x01\x02")
    place = data.index(b"gains.npy", directory) - 46
    assert data[place : place + 4] == b"PK\x01\x02"
    assert other.header_offset.to_bytes(4, "little") == bytes(data[place + 42 : place + 46])
    data[place + 42 : place + 46] = one.header_offset.to_bytes(4, "little")
    path.write_bytes(data)


def function(path: str) -> dict[str, Any]:
    params = {"mapping": [["rate", {"space": "Positive", "options": {}}]]}
    parts = {"logpdf": {"function": path}, "params": params}
    return {"made_by": "from_logpdf", "name": "a", "options": parts}


FAMILY, LOGLIK = ("model", "families", 0), ("numbers", "log_likelihood")
BOMB = 100 << 20

CORPUS: dict[str, tuple[Callable[[Path], None], str]] = {
    # not such a file
    "empty": (lambda path: path.write_bytes(b"") and None, "not a saved fit"),
    "text": (whole(b"hello"), "not a saved fit"),
    "a pickle": (whole(pickle.dumps([1, 2])), "not a saved fit"),
    "another zip": (lambda path: write(path, [("a.xml", b"<a/>")]), "no 'fit.json', but 'a.xml'"),
    "an npz": (lambda path: write(path, [("a.npy", npy(X))]), "no 'fit.json', but 'a.npy'"),
    "a checkpoint": (
        lambda path: write(path, [("checkpoint.json", b"{}")]),
        "no 'fit.json', but 'checkpoint.json'",
    ),
    # entries
    "no document": (entry("fit.json", None), "holds no 'fit.json'"),
    "no means": (entry(MEANS, None), "means"),
    "no trace": (entry("trace.npy", None), "'trace' is missing"),
    "an entry twice": (twice(MEANS, npy(np.zeros((2, 2)))), "means.npy' is there twice"),
    "the document twice": (twice("fit.json", b"{}"), "'fit.json' is there twice"),
    "a path upwards": (entry("../evil.npy", npy(X)), r"'\.\./evil.npy' is no name"),
    "a path inside": (entry("params/../../evil.npy", npy(X)), "is no name"),
    "an absolute path": (entry("/evil.npy", npy(X)), "'/evil.npy' is no name"),
    "a drive": (entry("C:\\evil.npy", npy(X)), "is no name"),
    "code beside": (entry("conftest.py", b"raise SystemExit"), "'conftest.py' is no name"),
    "an array beside": (entry("evil.npy", npy(X)), "'evil' belongs to no fit"),
    "a parameter beside": (entry("params/components.evil.npy", npy(X)), "not known: evil"),
    "entries that overlap": (overlapping, "not a saved fit, or is damaged"),
    # bombs
    "compressed numbers": (compressed(MEANS, bytes(BOMB)), "is compressed"),
    "a compressed document": (compressed("fit.json", b" " * BOMB), "is compressed"),
    "an array that says it is huge": (
        entry(MEANS, header("{'descr':'<f8','fortran_order':False,'shape':(10**9,10**9)}")),
        "means.npy: ",
    ),
    "an array of 24 GB": (
        entry(
            MEANS,
            header("{'descr':'<f8','fortran_order':False,'shape':(100000,30000)}", X.tobytes()),
        ),
        r"shape \(100000, 30000\) of float64 is not what its 640 bytes hold",
    ),
    # arrays
    "pickled objects": (pickled, "means.npy: object is not real numbers"),
    "code in a header": (
        entry(MEANS, header("{'descr': __import__('os').abort(), 'shape': ()}")),
        "means.npy: ",
    ),
    "a header that does not end": (entry(MEANS, b"\x93NUMPY\x01\x00\xff\xff{"), "means.npy: "),
    "a later npy": (entry(MEANS, b"\x93NUMPY\x09\x00" + bytes(200)), r"means.npy: .*\(9, 0\)"),
    "a negative shape": (
        entry(MEANS, header("{'descr':'<f8','fortran_order':False,'shape':(-2,-2)}", bytes(32))),
        "means.npy: ",
    ),
    "no bytes": (entry(MEANS, b""), "means.npy: "),
    "bytes too few": (entry(MEANS, npy(X[:2])[:-8]), "means.npy: .* 24 bytes"),
    "bytes too many": (entry(MEANS, npy(X[:2]) + b"more"), "means.npy: .* 36 bytes"),
    "whole numbers": (entry(MEANS, npy(np.zeros((2, 2), int))), "means.npy: int64"),
    "complex numbers": (entry(MEANS, npy(np.zeros((2, 2), complex))), "means.npy: complex128"),
    "records": (entry(MEANS, npy(np.zeros(2, [("a", "f8")]))), "means.npy: "),
    "words": (entry(MEANS, npy(np.array(["a"]))), "means.npy: <U1"),
    "dates": (entry(MEANS, npy(np.array(["2020"], "M8[D]"))), "means.npy: datetime64"),
    "another shape": (entry(MEANS, npy(np.zeros((3, 7)))), r"means` has shape \(3, 7\)"),
    "nan": (entry(MEANS, npy(np.full((2, 2), np.nan))), r"means\[0, 0\]` is nan"),
    "a covariance that is none": (
        entry("params/components.covariances.npy", npy(-np.stack([np.eye(2)] * 2))),
        r"covariances\[0\]` is",
    ),
    "weights that sum to 1.4": (entry("params/weights.npy", npy(np.array([0.5, 0.9]))), "weights"),
    "a flat trace of two axes": (entry("trace.npy", npy(X)), r"`trace` has shape \(40, 2\)"),
    "gains of one axis": (entry("gains.npy", npy(np.ones(3))), r"`gains` has shape \(3,\)"),
    # the document as text
    "an empty document": (entry("fit.json", b""), "fit.json: "),
    "bytes that are no text": (entry("fit.json", b"\xff\xfe\x00{"), "fit.json: "),
    "a list": (entry("fit.json", b"[1, 2]"), "fit.json holds .1, 2., not an object"),
    "NaN": (text(b'"n_iter"', b'"q": NaN, "n_iter"'), "NaN is no JSON"),
    "Infinity": (text(b'"n_iter"', b'"q": -Infinity, "n_iter"'), "-Infinity is no JSON"),
    "deep nesting": (entry("fit.json", b"[" * 200_000 + b"]" * 200_000), "nested too deeply"),
    "a key twice": (text(b'"n_iter"', b'"best": 0, "n_iter"'), "'best' is there twice"),
    "a number of 6000 digits": (text(b'"n_iter": ', b'"n_iter": ' + b"9" * 6000), "fit.json: "),
    # what the document says
    "a later format": (told("emframe", value=99), "format 99; .*Update emframe"),
    "no format": (told("emframe", value=...), "format None"),
    "a format in words": (told("emframe", value="1; import os"), "format '1; import os'"),
    "true as a format": (told("emframe", value=True), "format True"),
    "no family of that name": (told(*FAMILY, "name", value="os.system"), "'os.system' is no"),
    "no name": (told(*FAMILY, "name", value=None), "None is no installed plugin"),
    "a number for a family": (told(*FAMILY, value=7), "`family` is 7"),
    "no families": (told("model", "families", value=[]), "`families` are 0"),
    "another maker": (
        told(*FAMILY, value={"made_by": "eval", "name": "a", "options": {}}),
        "`made_by` is 'eval'; known: ",
    ),
    "a function of the system": (
        told(*FAMILY, value=function("os:system")),
        "os:system, and a file does not choose",
    ),
    "a function that is imported": (
        told(*FAMILY, value=function("json:loads")),
        r"a file does not choose.*allow=\[json.loads\]",
    ),
    "another space": (
        told(*FAMILY, value={"space": "Evil", "options": {}}),
        "`space` is 'Evil'; known: ",
    ),
    "no distribution of scipy": (
        told(*FAMILY, value={"made_by": "from_scipy", "name": "a", "options": {"dist": "os"}}),
        "os",
    ),
    "another setting": (told(*FAMILY, "options", value={"evil": 1}), "evil"),
    "another covariance": (told(*FAMILY, "options", "covariance", value="evil"), "'evil'"),
    "another model": (told("model", "model", value="os"), "'os'"),
    "K of 0": (told("model", "n_components", value=[0]), "`n_components` is 0"),
    "K in words": (told("model", "n_components", value=["2"]), "`n_components` is '2'"),
    "K of a billion": (told("model", "n_components", value=[10**9]), "weights"),
    "another status": (told("status", value="fine"), "`status` is 'fine'"),
    "a status that is a list": (told("status", value=["converged"]), "`status` is"),
    "a message that is a number": (told("message", value=5), "`message` is 5"),
    "a log-likelihood of nan": (told(*LOGLIK, value="nan"), "`log_likelihood` is nan"),
    "a log-likelihood in words": (told(*LOGLIK, value="abc"), "`log_likelihood` is 'abc'"),
    "no log-likelihood": (told(*LOGLIK, value=...), "'log_likelihood' is missing"),
    "fewer than no rows": (told("numbers", "n_rows", value=-5), "`n_rows` is -5"),
    "fewer than no steps": (told("n_iter", value=-3), "`n_iter` is -3"),
    "a best start that is not there": (told("best", value=99), "`best` is 99"),
    "a best start before the first": (told("best", value=-1), "`best` is -1"),
    "columns in one word": (told("columns", value="ab"), "`columns` is 'ab'"),
    "columns that are numbers": (told("columns", value=[1, 2]), r"`columns` are \[1, 2\]"),
    "a column too many": (told("columns", value=["a", "b", "c"]), "means` has shape"),
    "a prior that is an object": (told("prior", value={"a": 1}), "`prior` is {'a': 1}"),
    "no starts": (told("starts", value=None), "`starts` is None"),
    "a start that is a number": (told("starts", 0, value=3), "a start is 3"),
    "a start with more in it": (told("starts", 0, "evil", value=1), "the unknown `evil`"),
    "a start with less in it": (told("starts", 0, "kind", value=...), "has no `kind`"),
    "a start's status": (told("starts", 0, "status", value="x"), "`status` is 'x'"),
    "a start's trace": (told("starts", 0, "trace", value=["x"]), "`trace` is 'x'"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "words"), CORPUS.values(), ids=list(CORPUS))
def test_a_hostile_file_is_refused_and_executes_nothing(
    damage: Callable[[Path], None], words: str, path: Path
) -> None:
    damage(path)
    before = sorted(path.parent.iterdir())
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=words) as caught:
            emframe.load(path)
        assert tracemalloc.get_traced_memory()[1] < LIMIT
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(str(path))
    assert sorted(path.parent.iterdir()) == before


def test_a_truncated_file_is_refused_wherever_it_ends(path: Path) -> None:
    data = path.read_bytes()
    for length in range(0, len(data), 13):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match="not a saved fit, or is damaged"):
            emframe.load(path)


def test_a_flipped_bit_is_told_or_changes_nothing(path: Path) -> None:
    data, rng = path.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(len(data), size=300):
        spoilt = bytearray(data)
        spoilt[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoilt)
        with contextlib.suppress(ValueError):
            again = emframe.load(path)  # a bit that a reader passes over, such as one of a date
            assert again.log_likelihood == fitted().log_likelihood
            assert np.array_equal(again.score_samples(X), fitted().score_samples(X))


@pytest.mark.parametrize("damage", ["text", "pickled", "truncated", "compressed", "a fit"])
def test_a_hostile_checkpoint_is_refused_and_left_as_it_is(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"

    def fit() -> emframe.Fit:
        return emframe.fit(emframe.Mixture("gaussian", 2), X, rng=0, n_starts=2, checkpoint=path)

    done = fit()
    held = parts(path)
    if damage == "text":
        path.write_bytes(b"hello")
    elif damage == "pickled":
        evil = npy(np.array([Evil(tmp_path / "mark")], dtype=object), allow_pickle=True)
        write(path, [*held.items(), ("starts/9/evil.npy", evil)])
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "compressed":
        write(path, list(held.items()), zipfile.ZIP_DEFLATED)
    else:
        done.save(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="Delete it, or pass another path") as caught:
        fit()
    assert str(caught.value).startswith(str(path))
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize("path", [None, 7, b"a.fit", ""])
def test_what_is_no_path_is_told(path: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"`path` is .*; pass the path of a file"):
        emframe.load(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing"):
        fitted().save(tmp_path / "nothing" / "a.fit")
    with pytest.raises(FileNotFoundError, match="nothing"):
        emframe.load(tmp_path / "nothing" / "a.fit")


@dataclass(frozen=True)
class Rate:
    rate: Any = emframe.parameter(emframe.Positive(), per_component=False)  # ()


@dataclass(frozen=True)
class Lifetimes(emframe.LatentModel):
    """Exponential lifetimes, all of them seen: z is nothing."""

    scale: float = 1.0

    name = "lifetimes-of-ones-own"
    parameters = Rate
    support = emframe.NonNegative()

    def e_step(self, params, x, weights):
        total = np.array([weights.sum(), weights @ x[:, 0]])
        return emframe.models.latent.Posterior(self.expected(total, params), 0.0, total)

    def expected(self, statistics, params):
        return float(statistics[0] * np.log(params.rate) - params.rate * statistics[1])

    def m_step(self, statistics, previous):
        return Rate(np.array(statistics[0] / statistics[1]))

    def posterior(self, params, x):
        return np.log(params.rate) - params.rate * x[:, 0], x

    def sample(self, params, n, rng):
        drawn = rng.exponential(1.0 / params.rate, size=(n, 1))
        return drawn, drawn

    def complete_log_likelihood(self, params, x, z):
        return float(self.posterior(params, x)[0].sum())

    def starts(self, rows, rng):
        yield "one", Rate(np.array(self.scale))


def test_a_fit_of_a_model_of_ones_own_is_loaded_with_its_class(tmp_path: Path) -> None:
    X = np.random.default_rng(0).exponential(2.0, size=50)
    fit = emframe.fit(Lifetimes(scale=3.0), X)
    assert fit.params.rate == pytest.approx(1.0 / X.mean(), rel=1e-9)
    path = tmp_path / "own.emframe"
    fit.save(path)
    with pytest.raises(ValueError, match=r"needs what no file.*'lifetimes-of-ones-own'.*allow=\["):
        emframe.load(path)
    again = emframe.load(path, allow=[Lifetimes])
    assert again.model == fit.model
    assert again.params.rate == fit.params.rate
    assert again.score_samples(X) == pytest.approx(fit.score_samples(X), rel=1e-15)


def density_of_ones_own(x, mu):
    return -0.5 * (x - mu) ** 2 - 0.5 * np.log(2 * np.pi)


def test_what_a_file_may_not_choose_is_no_damage(tmp_path: Path) -> None:
    family = emframe.from_logpdf(density_of_ones_own, params={"mu": emframe.Real()})
    fit = emframe.fit(emframe.Mixture(family, 1), np.arange(9.0))
    fit.save(tmp_path / "f.emframe")
    with pytest.raises(ValueError, match="density_of_ones_own") as refusal:
        emframe.load(tmp_path / "f.emframe")
    assert "damaged" not in str(refusal.value)


OLD = ("hmm", "inc", "fa", "grp", "nest")


@pytest.mark.parametrize("name", OLD)
def test_files_of_the_first_version_load_and_say_the_same(name: str) -> None:
    """Saved by 0.1.0: a chain, rows with gaps, factors, grouped rows, nested mixtures."""
    fit = emframe.load(Path(__file__).parent / "fixtures" / f"{name}-0.1.0.fit")
    quakes = emframe.dataset("earthquakes").X
    faithful = emframe.dataset("faithful").X.copy()
    faithful[np.random.default_rng(0).random(faithful.shape) < 0.1] = np.nan
    rows = {
        "hmm": quakes,
        "inc": faithful,
        "fa": emframe.dataset("iris").X[:, :4],
        "grp": emframe.Sequences(quakes[:105], np.full(21, 5)),
        "nest": quakes,
    }[name]
    total = float(np.sum(np.asarray(fit.score_samples(rows))))
    assert total == pytest.approx(fit.log_likelihood, rel=1e-9)
    assert np.isfinite(fit.bic)
