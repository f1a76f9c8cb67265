"""The command line: every command, its numbers against the API's, and what it says of bad input."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import emframe
from emframe import host
from emframe.cli import app, sheets
from emframe.cli.settings import settings
from emframe.data import Table

COUNTS = "day,count,times\n" + "".join(f"d{i},{i},{5 + (i * i) % 7}\n" for i in range(8))
Run = Callable[..., Result]


@pytest.fixture
def emf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line inside an empty folder, stdout piped."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)

    def run(*args: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, args, input=stdin, prog_name="emframe")

    return run


@pytest.fixture
def geyser(emf: Run) -> emframe.Fit:
    """A fit saved as geyser.fit in the working folder."""
    data = emframe.dataset("faithful")
    fit = emframe.fit(emframe.Mixture("gaussian", 2), data, rng=0, n_starts=2)
    fit.save("geyser.fit")
    return fit


def test_weights_depend_on_columns_and_words_are_categories(emf: Run) -> None:
    rng = np.random.default_rng(0)
    z = rng.integers(0, 2, size=120)
    kind = np.where(rng.random(120) < 0.2 + 0.6 * z, "b", "a")
    rows = [f"{y},{k},{label}" for y, k, label in zip(rng.poisson(2 + 8 * z), kind, z, strict=True)]
    Path("own.csv").write_text("y,kind,known\n" + "\n".join(rows), encoding="utf-8")
    args = ("fit", "own.csv", "--family", "poisson", "--components", "2")
    told = emf(*args, "--columns", "y", "--weights-on", "kind", "--save", "own.fit", "--json")
    best = json.loads(told.stdout)["best"]
    by_hand = np.column_stack([[float(row.split(",")[0]) for row in rows], kind == "b"])
    model = emframe.Mixture("poisson", 2, weights=emframe.Gate(1))
    fit = emframe.fit(model, by_hand, rng=0)
    assert best["log_likelihood"] == pytest.approx(fit.log_likelihood, abs=1e-6)
    lines = list(csv.DictReader(io.StringIO(emf("predict", "own.fit", "own.csv").stdout)))
    assert list(lines[0]) == ["y", "kind", "known", "label", "p0", "p1"]
    shares = emframe.load("own.fit").predict_proba(by_hand)
    assert [float(line["p1"]) for line in lines] == pytest.approx(shares[:, 1].tolist())
    labelled = emf(*args, "--columns", "y", "--labels", "known", "--json")
    whole = emframe.fit(emframe.Mixture("poisson", 2), by_hand[:, :1], labels=z, rng=0)
    found = json.loads(labelled.stdout)["best"]["log_likelihood"]
    assert found == pytest.approx(whole.log_likelihood, abs=1e-8)
    strange = Path("own.csv").read_text(encoding="utf-8").replace("a", "c", 5)
    Path("other.csv").write_text("y,kind,known\n" + strange.split("\n", 1)[1], encoding="utf-8")
    refused(emf("predict", "own.fit", "other.csv"), "line 5, column 'kind' is 'c'", "fitted: a, b")
    refused(emf("fit", "own.csv", "--model", "hidden-markov", "--labels", "known"), "with mixtures")


def refused(result: Result, *said: str, status: int = 2) -> None:
    """It ended as misuse does: nothing on stdout, one line on stderr."""
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    for part in said:
        assert part in result.stderr


def table_of(text: str) -> tuple[list[str], np.ndarray[Any, Any]]:
    header, *rows = list(csv.reader(io.StringIO(text)))
    return header, np.array(rows, dtype=float)


# ---- fit


def test_fit_shows_the_choice_the_parameters_and_the_verdict(emf: Run) -> None:
    result = emf("fit", "faithful", "--components", "1-3", "--starts", "5")
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert [line[:3] for line in lines[1:5]] == ["  K", "  1", "* 2", "  3"]
    assert "-1130.2640" in lines[3]
    assert "gaussian mixture, covariance=full, K = 2" in lines
    assert "       eruptions      waiting" in lines
    assert lines[-1].startswith("Converged: ")
    assert "\x1b" not in result.stdout


def test_the_death_notices(emf: Run) -> None:
    result = emf("fit", "death_notices", "--components", "2")
    assert result.exit_code == 0
    assert "log-likelihood -1989.94586" in result.stdout
    assert "1096 rows, columns deaths" in result.stdout


def test_the_json_is_the_apis_numbers(emf: Run) -> None:
    args = ("fit", "faithful", "--components", "1,3", "--starts", "3", "--seed", "7")
    result = emf(*args, "--covariance", "tied", "--criterion", "aic", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    models = [emframe.Mixture("gaussian", k, covariance="tied") for k in (1, 3)]
    data = emframe.dataset("faithful")
    chosen = emframe.select(models, data, criterion="aic", rng=7, n_starts=3)
    assert [one["aic"] for one in found["models"]] == [one.aic for one in chosen.fits]
    assert [one["best"] for one in found["models"]] == [one is chosen.best for one in chosen.fits]
    assert [one["n_components"] for one in found["models"]] == [[1], [3]]
    best = found["best"]
    for name in ("log_likelihood", "objective", "aic", "bic", "icl", "n_parameters", "n_rows"):
        assert best[name] == getattr(chosen.best, name)
    assert best["status"] == "converged"
    assert best["converged"] is True
    assert best["columns"] == ["eruptions", "waiting"]
    assert best["families"] == [{"name": "gaussian", "options": {"covariance": "tied"}}]
    params = chosen.best.params
    assert best["parameters"]["weights"] == params.weights.tolist()
    assert best["parameters"]["components"]["means"] == params.components.means.tolist()


def test_the_same_seed_gives_the_same_output(emf: Run) -> None:
    args = ("fit", "carcinoma", "--components", "2,3", "--starts", "2")
    assert emf(*args).stdout == emf(*args, "--seed", "0").stdout


HEADS = {"with a header": True, "without": False}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("headed", HEADS.values(), ids=HEADS)
def test_a_file_is_what_its_array_is(
    emf: Run, tmp_path: Path, headed: bool, delimiter: str
) -> None:
    data = emframe.dataset("faithful")
    rows = [[repr(float(value)) for value in row] for row in data.X]
    names = ['"the ""first"""', "second"]
    text = "\n".join(delimiter.join(row) for row in [*([names] if headed else []), *rows])
    (tmp_path / "d.csv").write_text("\ufeff\n" + text + "\n\n", encoding="utf-8")
    args = ("--family", "gaussian", "--components", "2", "--starts", "2", "--json")
    best = json.loads(emf("fit", "d.csv", *args).stdout)["best"]
    assert best["columns"] == (['the "first"', "second"] if headed else ["x0", "x1"])
    fit = emframe.select(("gaussian", [2]), data.X, rng=0, n_starts=2).best
    assert best["log_likelihood"] == fit.log_likelihood


@pytest.mark.parametrize("columns", ["count", "1", " count "])
def test_columns_and_weights_by_name_and_number(emf: Run, tmp_path: Path, columns: str) -> None:
    (tmp_path / "c.csv").write_text(COUNTS)
    args = ("--family", "poisson", "--components", "2", "--starts", "3", "--json")
    x, times = np.arange(8), 5 + np.arange(8) ** 2 % 7
    fit = emframe.select(("poisson", [2]), x, weights=times, rng=0, n_starts=3).best
    for weights in ("times", "2"):
        result = emf("fit", "c.csv", "--columns", columns, "--weights", weights, *args)
        best = json.loads(result.stdout)["best"]
        assert best["log_likelihood"] == fit.log_likelihood
        assert best["n_rows"] == times.sum()
        assert best["columns"] == ["count"]


def test_the_weights_column_is_no_data(emf: Run) -> None:
    args = ("--family", "poisson", "--components", "1", "--weights", "n", "--json")
    best = json.loads(emf("fit", "-", *args, stdin="x,n\n1,2\n4,1\n").stdout)["best"]
    assert best["columns"] == ["x"]
    assert best["parameters"]["components"]["rates"] == [[2.0]]


def test_a_prior_is_shown(emf: Run) -> None:
    args = ("fit", "faithful", "--components", "2", "--starts", "2", "--prior", "weak")
    result = emf(*args)
    assert "prior weak: log prior" in result.stdout
    best = json.loads(emf(*args, "--json").stdout)["best"]
    assert best["prior"] == "weak"
    assert best["objective"] != best["log_likelihood"]


def test_a_fit_that_did_not_converge_says_so_and_ends_well(emf: Run) -> None:
    result = emf("fit", "faithful", "--components", "3", "--starts", "1", "--max-iter", "1")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].startswith("Not converged: ")
    assert "Raise max_iter" in result.stdout


def test_degenerate_data_end_with_1(emf: Run, tmp_path: Path) -> None:
    (tmp_path / "flat.csv").write_text("a,b\n" + "".join(f"{i},3\n" for i in range(9)))
    result = emf("fit", "flat.csv", "--family", "gaussian", "--components", "1")
    refused(result, "no spread in column 1", "Use a more restricted covariance", status=1)


def test_ctrl_c_shows_the_best_so_far(
    emf: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emframe_families.counting.poisson import Poisson

    usual, calls = Poisson.m_step, iter(range(40))

    def m_step(self: Poisson, statistics: Any, previous: Any) -> Any:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return usual(self, statistics, previous)

    monkeypatch.setattr(Poisson, "m_step", m_step)
    result = emf("fit", "earthquakes", "--components", "1-6", "--save", "so-far.fit")
    assert result.exit_code == 130
    assert "Interrupted: this is the best fit so far." in result.stdout
    fit = emframe.load(tmp_path / "so-far.fit")
    assert f"{fit.log_likelihood:.6f}" in result.stdout


def test_ctrl_c_before_anything_is_one_line(emf: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(emframe, "select", interrupt)
    refused(emf("fit", "faithful"), "interrupted", status=130)


def test_a_terminal_gets_the_same_words_in_colour(
    emf: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("fit", "death_notices", "--components", "1,2", "--starts", "1")
    plain = emf(*args).stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    coloured = CliRunner().invoke(app, args, color=True).stdout
    assert "\x1b[" in coloured
    bare = without_codes(coloured)
    words = {word for word in plain.split() if any(c.isalnum() for c in word)}
    assert words <= set(bare.split())


def test_a_narrow_terminal_cuts_no_number(emf: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    args = ("select", "death_notices", "--components", "1,2", "--starts", "1")
    plain = emf(*args).stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "30")
    narrow = without_codes(CliRunner().invoke(app, args, color=True).stdout)
    numbers = {word for word in plain.split() if any(c.isdigit() for c in word)}
    assert numbers <= set(narrow.split())


def without_codes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


# ---- what fit refuses

FILES: dict[str, str | bytes] = {
    "counts.csv": COUNTS,
    "word.csv": "a,b\n1,2\n3,oops\n",
    "decimal.csv": "a;b\n1,5;2\n",
    "ragged.csv": "a,b\n1,2\n3\n",
    "gap.csv": "a,b\n1,2\n\n3,4\n",
    "missing.csv": "a,b\n1,2\n3,NA\n,5\n",
    "mixed.csv": "5.1,setosa\n4.9,setosa\n",
    "empty.csv": "\n\n",
    "header.csv": "a,b\n",
    "twice.csv": "a,a\n1,2\n",
    "quote.csv": 'a,b\n1,"2\n',
    "negative.csv": "count\n3\n-1\n4\n",
    "underscore.csv": "a\n1_000\n",
    "latin.csv": b"a\n\xe9\n",
    "book.xlsx": b"PK\x03\x04\xff",
}
REFUSED: dict[str, tuple[str, tuple[str, ...]]] = {
    "unknown data set": ("fit faithfull", ("no file 'faithfull'", "Did you mean 'faithful'?")),
    "missing file": ("fit no/such.csv --family gaussian", ("there is no file 'no/such.csv'",)),
    "directory": ("fit . --family gaussian", ("'.' is a directory, and no data set is called",)),
    "no family for a file": ("fit word.csv", ("--family is needed", "known: bernoulli, ")),
    "unknown family": ("fit faithful --family gausian", ("Did you mean 'gaussian'?",)),
    "unknown option": ("fit faithful --familly x", ("No such option", "emframe fit --help")),
    "unknown command": ("fits faithful", ("No such command 'fits'",)),
    "no data": ("fit", ("Missing argument 'DATA'",)),
    "unknown setting": ("fit faithful --option cov=1", ("'cov'", "covariance='full'")),
    "setting the family lacks": ("fit earthquakes --covariance full", ("its settings: none",)),
    "wrong setting": ("fit faithful --covariance round", ("'round'", "full, diag, spherical")),
    "setting twice": (
        "fit faithful --covariance full --option covariance=tied",
        ("'covariance' is given twice",),
    ),
    "no key": ("fit faithful --option tied", ("expected KEY=VALUE",)),
    "more components than rows": ("fit earthquakes --components 1-500", ("`n_components` is 500",)),
    "no components": ("fit faithful --components 0", ("count from 1",)),
    "components backwards": ("fit faithful --components 4-2", ("count from 1",)),
    "components in words": ("fit faithful --components two", ("none of 3, 1-6, 1,2,5",)),
    "criterion": ("fit faithful --criterion dic", ("'bic', 'aic', 'icl'",)),
    "tol": ("fit faithful --components 1 --tol nan", ("`tol` is nan",)),
    "starts": ("fit faithful --starts 0", ("--starts",)),
    "prior": ("fit faithful --components 1 --prior strong", ("'strong'",)),
    "save where it cannot": ("fit faithful --save no/such.fit", ("--save no/such.fit",)),
    "outside the support": ("fit faithful --family poisson", ("row 0", "whole numbers")),
    "negative counts": ("fit negative.csv --family poisson", ("csv, line 3,", "'count'", "-1")),
    "no number": ("fit word.csv --family gaussian", ("line 3", "'b'", "'oops'", "--columns")),
    "decimal comma": ("fit decimal.csv --family gaussian", ("line 2", "--decimal , or")),
    "ragged": ("fit ragged.csv --family gaussian", ("line 3: 1 cell; line 1 has 2",)),
    "blank line": ("fit gap.csv --family gaussian", ("line 3: blank",)),
    "missing cell": ("fit missing.csv --family gaussian", ("csv, line 3,", "'b'", "nan: missing")),
    "header or not": ("fit mixed.csv --family gaussian", ("--header", "--no-header")),
    "header denied": ("fit word.csv --no-header --family gaussian", ("line 1", "'a'")),
    "empty": ("fit empty.csv --family gaussian", ("empty.csv is empty",)),
    "no rows": ("fit header.csv --family gaussian", ("no rows",)),
    "a name twice": ("fit twice.csv --family gaussian", ("two columns called 'a'",)),
    "open quote": ("fit quote.csv --family gaussian", ("quote.csv, line",)),
    "underscore": ("fit underscore.csv --family gaussian", ("'1_000'",)),
    "not utf-8": ("fit latin.csv --family gaussian", ("not UTF-8",)),
    "unknown column": (
        "fit counts.csv --family poisson --columns n",
        ("no column 'n'", "day, count, times", "0 to 2"),
    ),
    "column number": ("fit counts.csv --family poisson --columns 3", ("no column '3'",)),
    "column twice": ("fit counts.csv --family poisson --columns 1,count", ("twice",)),
    "two weights": ("fit counts.csv --family poisson --weights 1,2", ("several columns",)),
    "weights in words": ("fit counts.csv --family poisson --columns 1 --weights day", ("'d0'",)),
    "negative weights": (
        "fit negative.csv --family poisson --columns 0 --weights count",
        ("`weights[1]` is -1",),
    ),
    "weights on words": (
        "fit counts.csv --family poisson --columns 1 --weights day",
        ("how often each row counts", "--weights-on"),
    ),
    "a workbook": ("fit book.xlsx --family gaussian", ("a workbook", "save the table as CSV")),
    "their option": ("fit faithful --k 2", ("'--k'", "Did you mean --components?")),
    "their seed": ("fit faithful --random-state 2", ("Did you mean --seed?",)),
    "a colon": ("fit counts.csv --family count:poisson", ("after '='", "count=poisson")),
    "a formula's column": (
        "fit counts.csv --formula count~days",
        ("no column 'days'", "day, count, times"),
    ),
    "zeros of no formula": ("fit counts.csv --family poisson --zeros hurdle", ("with --formula",)),
    "words for a response": ("fit counts.csv --formula day~count", ("'d0'", "'multinomial'")),
    "a formula for a chain": (
        "fit counts.csv --formula count~times --model hidden-markov",
        ("go with mixtures",),
    ),
    "predict from nothing": ("predict no.fit faithful", ("no.fit",)),
    "predict from what is no fit": ("predict word.csv faithful", ("word.csv is not a saved fit",)),
    "sample without a number": ("sample word.csv", ("'-n'",)),
    "sample a negative number": ("sample word.csv -n -3", ("-3",)),
    "check an unknown family": ("check zzz", ("known: bernoulli",)),
}


@pytest.mark.parametrize(("command", "said"), REFUSED.values(), ids=REFUSED)
def test_refusals(emf: Run, tmp_path: Path, command: str, said: tuple[str, ...]) -> None:
    for name, content in FILES.items():
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(raw)
    refused(emf(*command.split()), *said)


def test_a_first_line_of_both_kinds_is_data_where_it_is_called_so(emf: Run) -> None:
    args = ("--family", "poisson", "--components", "1", "--columns", "0", "--json")
    text = "3,setosa\n5,virginica\n"
    best = json.loads(emf("fit", "-", "--no-header", *args, stdin=text).stdout)["best"]
    assert best["n_rows"] == 2


@dataclass(frozen=True)
class _Raises:
    error: Exception

    def __call__(self, *_: Any) -> Any:
        raise self.error


def test_a_family_that_fails_at_work_is_named_without_a_traceback(
    emf: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emframe_families.counting.poisson import Poisson

    monkeypatch.setattr(Poisson, "expected", _Raises(ZeroDivisionError("oops")))
    args = ("fit", "earthquakes", "--components", "2")
    refused(emf(*args), "ZeroDivisionError: oops", "poisson mixture, K = 2", status=1)
    result = emf("--traceback", *args)
    assert isinstance(result.exception, ZeroDivisionError)


# ---- predict and sample


def test_predict_appends_to_the_rows_as_they_came(emf: Run, geyser: emframe.Fit) -> None:
    text = 'note,waiting,eruptions\n"a, b",79,3.60\nc,54,1.8\n'
    result = emf("predict", "geyser.fit", "-", stdin=text)
    assert result.exit_code == 0
    header, *rows = list(csv.reader(io.StringIO(result.stdout)))
    assert header == ["note", "waiting", "eruptions", "label", "p0", "p1"]
    assert [row[:3] for row in rows] == [["a, b", "79", "3.60"], ["c", "54", "1.8"]]
    x = [[3.6, 79], [1.8, 54]]
    assert [int(row[3]) for row in rows] == geyser.predict(x).tolist()
    proba = np.array([row[4:] for row in rows], dtype=float)
    np.testing.assert_array_equal(proba, geyser.predict_proba(x))


def test_predict_takes_a_data_set_and_files_without_names(
    emf: Run, tmp_path: Path, geyser: emframe.Fit
) -> None:
    header, shipped = table_of(emf("predict", "geyser.fit", "faithful").stdout)
    assert header[:2] == ["eruptions", "waiting"]
    data = emframe.dataset("faithful").X
    np.testing.assert_array_equal(shipped[:, :2], data)
    np.savetxt(tmp_path / "bare.csv", data, delimiter=",", fmt="%.17g")
    header, bare = table_of(emf("predict", "geyser.fit", "bare.csv").stdout)
    assert header[:2] == ["x0", "x1"]
    np.testing.assert_array_equal(bare, shipped)
    swapped = "b,a\n" + "\n".join(f"{b!r},{a!r}" for a, b in data.tolist())
    result = emf("predict", "geyser.fit", "-", "--columns", "a,b", stdin=swapped)
    np.testing.assert_array_equal(table_of(result.stdout)[1][:, 2:], shipped[:, 2:])


PREDICT_REFUSED = {
    "other columns": ("a,b\n1,2\n", "has no column 'eruptions'"),
    "too few columns": ("1\n2\n", "has no column 'eruptions'"),
    "predicted already": ("eruptions,waiting,label\n1,2,0\n", "already has a column 'label'"),
    "missing": ("eruptions,waiting\n1,\n", "missing"),
}


@pytest.mark.parametrize(("text", "said"), PREDICT_REFUSED.values(), ids=PREDICT_REFUSED)
def test_predict_refuses(emf: Run, geyser: emframe.Fit, text: str, said: str) -> None:
    refused(emf("predict", "geyser.fit", "-", stdin=text), said)


def test_a_row_that_cannot_be_has_no_label(emf: Run) -> None:
    emf(
        "fit", "-", "--family", "poisson", "--components", "1", "--save", "z.fit", stdin="a\n0\n0\n"
    )
    result = emf("predict", "z.fit", "-", stdin="a\n0\n3\n")
    assert result.stdout == "a,label,p0\n0,0,1\n3,,\n"
    assert result.stderr.startswith("Warning: 1 row has density zero")


def test_a_broken_plugin_is_a_warning_in_one_line(
    emf: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = metadata.EntryPoint("odd", "no_such_module_anywhere", host.GROUP)
    usual = metadata.entry_points
    monkeypatch.setattr(metadata, "entry_points", lambda **which: [*usual(**which), point])
    monkeypatch.setattr(host.installed, "_installed", host.installed._Installed())
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = emf("fit", "earthquakes", "--components", "1")
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: plugin 'odd' of an unknown distribution: ModuleNot")
    assert result.stderr.count("\n") == 1


def test_sample_is_the_apis(emf: Run, geyser: emframe.Fit) -> None:
    result = emf("sample", "geyser.fit", "-n", "5", "--seed", "3", "--labels")
    header, drawn = table_of(result.stdout)
    rows, labels = geyser.sample(5, rng=3, labels=True)
    assert header == ["eruptions", "waiting", "label"]
    np.testing.assert_array_equal(drawn[:, :2], rows)
    np.testing.assert_array_equal(drawn[:, 2], labels)
    assert emf("sample", "geyser.fit", "-n", "0").stdout == "eruptions,waiting\n"


def test_counts_are_drawn_as_whole_numbers(emf: Run) -> None:
    emf("fit", "earthquakes", "--components", "2", "--starts", "1", "--save", "q.fit")
    lines = emf("sample", "q.fit", "-n", "20").stdout.split()
    assert lines[0] == "count"
    assert all(line.isdecimal() for line in lines[1:])


# ---- what is installed


def test_datasets(emf: Run) -> None:
    result = emf("datasets")
    assert result.exit_code == 0
    for name, about in emframe.datasets().items():
        assert any(line.startswith(name) and about in line for line in result.stdout.splitlines())


def test_plugins_shows_a_broken_one_and_ends_well(
    emf: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = host.PluginReport("odd", "emframe-odd", "0.3", error="ImportError: no such thing")
    monkeypatch.setattr(emframe, "plugins", lambda: (*host.plugins(), broken))
    result = emf("plugins")
    assert result.exit_code == 0
    assert "emframe_families" in result.stdout
    assert "'odd' of emframe-odd 0.3: ImportError: no such thing" in result.stdout


def test_check_runs_the_kit(emf: Run) -> None:
    result = emf("check", "bernoulli")
    assert result.exit_code == 0, result.output
    assert " 0 failed." in result.stdout


def test_check_ends_with_1_where_a_check_failed(emf: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def check_family(family: Any) -> list[Any]:
        outcome = types.SimpleNamespace
        return [
            outcome(name="density", status="passed", reason=""),
            outcome(name="ascent", status="failed", reason=f"{family.covariance}:\n it fell"),
        ]

    monkeypatch.setattr("emframe.testing.check_family", check_family)
    result = emf("check", "gaussian", "--option", "covariance=tied")
    assert result.exit_code == 1
    assert "ascent: failed\n  tied:\n   it fell" in result.stdout
    assert "2 checks, 1 failed." in result.stdout


def test_check_runs_the_kit_on_a_model(emf: Run) -> None:
    result = emf("check", "hidden-markov", "earthquakes")
    assert result.exit_code == 0, result.output
    assert " 0 failed." in result.stdout
    refused(emf("check", "hidden-markov"), "checked on data", "emframe check hidden-markov DATA")
    refused(emf("check", "poisson", "earthquakes"), "makes its own examples")


def test_a_model_that_is_no_mixture(emf: Run) -> None:
    command = "fit earthquakes --model hidden-markov --components 1,2 --json --save quakes.fit"
    told = json.loads(emf(*command.split()).stdout)
    assert [row["options"]["n_states"] for row in told["models"]] == [1, 2]
    best = told["best"]
    assert best["log_likelihood"] == pytest.approx(-341.8787, abs=1e-4)  # R's depmixS4
    assert emf(*command.replace(" --json", "").split()).stdout.startswith("2 models;")
    labelled = list(csv.DictReader(io.StringIO(emf("predict", "quakes.fit", "earthquakes").stdout)))
    fit = emframe.load("quakes.fit")
    wanted = fit.predict_proba(emframe.dataset("earthquakes").X)
    assert [float(row["p1"]) for row in labelled] == pytest.approx(list(wanted[:, 1]))
    drawn = emf("sample", "quakes.fit", "-n", "3", "--labels").stdout.splitlines()
    assert drawn[0] == "count,label"
    assert len(drawn) == 4


def test_rows_in_runs(emf: Run) -> None:
    runs = [[1, 2, 0, 1], [9, 8, 9, 11, 1], [0, 1, 12, 9]]
    lines = [f"{name},{count}" for name, run in zip("abc", runs, strict=True) for count in run]
    Path("visits.csv").write_text("\n".join(["patient,visits", *lines]))
    command = "fit visits.csv --model hidden-markov --family poisson --runs patient --starts 2"
    told = json.loads(emf(*command.split(), "--json", "--save", "visits.fit").stdout)
    model = emframe.model("hidden-markov", family="poisson")
    wanted = emframe.fit(model, [np.array(run) for run in runs], rng=0, n_starts=2)
    assert told["best"]["columns"] == ["visits"]
    assert told["best"]["log_likelihood"] == pytest.approx(wanted.log_likelihood, abs=1e-6)
    said = emf("predict", "visits.fit", "visits.csv", "--runs", "patient").stdout
    first = next(csv.DictReader(io.StringIO(said)))
    alone = wanted.posterior([np.array(runs[0])])[1][0]
    assert sorted([float(first["p0"]), float(first["p1"])]) == pytest.approx(
        sorted(alone), abs=1e-4
    )


def test_runs_need_not_be_sorted(emf: Run) -> None:
    """Rows of one patient belong together wherever they stand, and come back where they stood."""
    runs = [[1, 2, 0, 1, 0, 1], [9, 8, 9, 11, 1, 0], [0, 1, 12, 9, 9, 8]]
    lines = [f"{'abc'[i]},{runs[i][t]}" for t in range(6) for i in (1, 0, 2)]
    Path("visits.csv").write_text("\n".join(["patient,visits", *lines]))
    command = "fit visits.csv --model hidden-markov --family poisson --runs patient --starts 2"
    told = json.loads(emf(*command.split(), "--json", "--save", "visits.fit").stdout)
    model = emframe.model("hidden-markov", family="poisson")
    wanted = emframe.fit(model, [np.array(runs[i]) for i in (1, 0, 2)], rng=0, n_starts=2)
    assert told["best"]["log_likelihood"] == pytest.approx(wanted.log_likelihood, abs=1e-6)
    said = list(
        csv.DictReader(
            io.StringIO(emf(*["predict", "visits.fit", "visits.csv", "--runs", "patient"]).stdout)
        )
    )
    assert [f"{row['patient']},{row['visits']}" for row in said] == lines
    for i, name in enumerate("abc"):
        alone = wanted.predict([np.array(runs[i])]).tolist()
        assert [int(row["label"]) for row in said if row["patient"] == name] == alone


def test_words_in_a_file_are_words_in_the_fit(emf: Run) -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(2, size=80)
    town = np.where(rng.random(80) < 0.8, np.array(["sea", "hill"])[kind], "plain")
    sex, y = rng.choice(["f", "m"], 80), kind + rng.normal(size=80)
    lines = [f"{t};{s};{v:.3f}".replace(".", ",") for t, s, v in zip(town, sex, y, strict=True)]
    Path("towns.csv").write_text("\n".join(["town;sex;y", *lines]))
    told = ("--columns", "town,sex", "--components", "2", "--starts", "2", "--save", "t.fit")
    shown = emf("fit", "towns.csv", "--family", "categorical", *told)
    assert "plain 0." in shown.stdout
    assert emframe.load("t.fit").levels == {"town": ("hill", "plain", "sea"), "sex": ("f", "m")}
    assert emf("predict", "t.fit", "towns.csv").stdout.splitlines()[1].startswith(lines[0][:3])
    assert emf("sample", "t.fit", "-n", "3").stdout.split("\n")[1].split(",")[1] in ("f", "m")
    other = Path("towns.csv").read_text().replace("hill", "moon")
    refused(emf("predict", "t.fit", "-", stdin=other), "'moon'", "were fitted: hill, plain, sea")
    line = ("--family", "gaussian-regression", "--components", "1", "--option", "response=y")
    given = ("--option", "predictors=sex", "--decimal", ",", "--sep", ";")
    found = emf("fit", "towns.csv", *line, *given)
    assert "sex_m" in found.stdout
    refused(emf("fit", "towns.csv", *line, *given[:2]), "--decimal ,")


def test_a_formula_is_the_apis_and_dates_are_days(emf: Run) -> None:
    rng = np.random.default_rng(0)
    who, day = np.repeat(np.arange(20), 3), np.tile([0, 7, 14], 20)
    sex = np.array(["f", "m"])[who % 2]
    y = 3 + (who % 3 == 0) * 0.2 * day + (sex == "m") + rng.normal(scale=0.3, size=60)
    frame = pd.DataFrame({"who": who.astype(str), "day": day * 1.0, "sex": sex, "y": y.round(3)})
    date = pd.Timestamp("2024-02-25") + pd.to_timedelta(frame.day, unit="D")
    frame.assign(day=date.astype(str), other="x y").to_csv("v.csv", index=False)
    call = ("fit", "v.csv", "--formula", "y ~ day * sex", "--components", "2", "--starts", "2")
    more = ("--random", "~ 1", "--group", "who", "--weights-on", "sex")
    refused(emf(*call, *more), "line 2, column 'day': '2024-02-25'", "--since 2024-02-25")
    told = emf(*call, *more, "--since", "2024-02-25", "--save", "v.fit", "--json")
    model = emframe.formula(
        "y ~ day * sex", random="~ 1", group="who", weights="~ sex", n_components=2
    )
    fit = emframe.select([model], frame, rng=0, n_starts=2).best
    best = json.loads(told.stdout)["best"]
    assert best["log_likelihood"] == pytest.approx(fit.log_likelihood, rel=1e-10)
    head, *lines = Path("v.csv").read_text().splitlines()
    Path("v.csv").write_text("\n".join([head, *rng.permutation(lines)]))
    done = emf("predict", "v.fit", "v.csv", "--since", "2024-02-25")
    assert done.exit_code == 0, done.output
    said = list(csv.DictReader(io.StringIO(done.stdout)))
    assert said[0]["day"].startswith("2024-")
    labels = fit.predict(frame)
    assert all(int(one["label"]) == labels[one["who"]] for one in said)
    refused(emf("fit", "v.csv", "--family", "gaussian", "--random", "~ 1"), "goes with --formula")
    european = "day;y\n" + "".join(f"{d}.02.2024;{d},5\n" for d in range(10, 20))
    Path("e.csv").write_text(european)
    line = ("fit", "e.csv", "--formula", "y ~ day", "--components", "1")
    refused(emf(*line, "--decimal", ","), "'10.02.2024' is not a number; write dates as 2024-")
    Path("e.csv").write_text(european.replace(".02.2024", ",0"))
    refused(emf(*line), "line 2, column 'day': '10,0'", "--decimal ,")


def test_a_row_without_a_run_is_refused(emf: Run) -> None:
    Path("visits.csv").write_text("patient,visits\na,1\n ,2\na,3\n")
    result = emf("fit", "visits.csv", "--model", "hidden-markov", "--family", "poisson",
                 "--runs", "patient")  # fmt: skip
    assert result.exit_code == 2
    assert "--runs 'patient' is empty in 1 of 3 rows, first in row 1" in result.stderr


def test_a_continuous_z_is_told_by_its_mean(emf: Run) -> None:
    columns = "sepal_length,sepal_width,petal_width"
    result = emf(
        *["fit", "iris", "--model", "factor-analysis", "--save", "f.fit"], "--columns", columns
    )
    assert result.exit_code == 0, result.output
    header, *rows = emf("predict", "f.fit", "iris").stdout.splitlines()
    assert header.endswith(",z0")
    assert len(rows) == 150
    assert emf("sample", "f.fit", "-n", "2", "--labels").stdout.startswith(columns + ",z0\n")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("fit iris --model factor", "no model is called 'factor'"),
        ("fit iris --model factor-analysis --family gaussian", "takes no family"),
        ("fit counts.csv --model gene-counting --components 2", "comes in one size"),
        ("fit counts.csv --model hidden-markov", "needs --family"),
        ("fit iris --runs petal_width", "--runs goes with --model"),
        (
            "fit earthquakes --model hidden-markov --components 2 --option n_states=3",
            "given twice",
        ),
    ],
)
def test_models_are_refused(emf: Run, command: str, said: str) -> None:
    Path("counts.csv").write_text(COUNTS)
    refused(emf(*command.split()), said)


@pytest.mark.parametrize("command", ["", *app.commands])
def test_help_teaches_by_example(emf: Run, command: str) -> None:
    result = emf(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"  emframe {command}".rstrip() in result.stdout


def test_no_command_is_help(emf: Run) -> None:
    assert emf().stdout == emf("--help").stdout


# ---- products


PEOPLE = "age,visits,id\n" + "".join(
    f"{20 + 30 * (i % 2) + (i * 7) % 5},{1 + 6 * (i % 2) + i % 3},p{i}\n" for i in range(40)
)


def test_columns_may_have_families_of_their_own(emf: Run, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(PEOPLE)
    args = ("--components", "2", "--starts", "3", "--columns", "age,visits")
    spelt = ("--family", "age=gaussian, visits=poisson", "--covariance", "tied")
    result = emf("fit", "people.csv", *spelt, *args, "--json", "--save", "people.fit")
    best = json.loads(result.stdout)["best"]
    parts = {"age": emframe.family("gaussian", covariance="tied"), "visits": "poisson"}
    sheet = sheets.read("people.csv")
    X = Table(sheet.numbers([0, 1]), ("age", "visits"), None)
    model = emframe.Mixture(emframe.Product(parts), 2)
    fit = emframe.select([model], X, rng=0, n_starts=3).best
    assert best["log_likelihood"] == fit.log_likelihood
    result = emf("predict", "people.fit", "people.csv")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "age,visits,id,label,p0,p1"


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("age=gaussian,poisson", "expected COLUMN=NAME for each column"),
        ("age=gaussian,age=poisson", "expected COLUMN=NAME for each column"),
        ("age+=gaussian", "FIRST+SECOND=NAME"),
        ("age=gausian", "gausian"),
        ("age=poisson", "has a setting 'covariance'"),
    ],
)
def test_products_are_refused(emf: Run, family: str, said: str) -> None:
    args = ("--family", family, "--covariance", "tied")
    refused(emf("fit", "-", *args, stdin="age\n1\n2\n"), said)


NAMED = {
    "product": ["--family", "age=gaussian,visits=poisson"],
    "regression": [
        "--family", "poisson-regression", "--option", "response=visits",
        "--option", 'predictors=["age"]',
    ],
    "chain": ["--model", "hidden-markov", "--family", "age=gaussian,visits=poisson"],
}  # fmt: skip


@pytest.mark.parametrize("kind", NAMED)
def test_a_family_that_names_its_columns_asks_nothing_of_the_others(emf: Run, kind: str) -> None:
    path = Path("people.csv")
    path.write_text(PEOPLE)
    call = ["fit", str(path), *NAMED[kind], "--components", "2", "--starts", "2", "--json"]
    done = emf(*call)
    assert done.exit_code == 0, done.output
    best = json.loads(done.stdout)["best"]
    assert set(best["columns"]) == {"age", "visits"}
    only = json.loads(emf(*call, "--columns", "age,visits").stdout)["best"]
    assert best["log_likelihood"] == only["log_likelihood"]
    done = emf(*call, "--weights", "age")
    assert done.exit_code == 2
    assert "the column 'age' is one of the model's" in done.output
    path.write_text(PEOPLE.replace("visits", "calls", 1))
    done = emf(*call)
    assert done.exit_code == 2
    assert "has no column 'visits'; it has age, calls, id." in done.output


def test_select_reads_the_columns_that_its_families_name(emf: Run) -> None:
    path = Path("people.csv")
    path.write_text(PEOPLE)
    family = NAMED["regression"]
    done = emf("select", str(path), *family, "--components", "1", "--starts", "2", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["best"]["columns"] == ["visits", "age"]


# ---- select


def test_select_compares_structures_the_best_first(emf: Run) -> None:
    args = ("--covariance", "full,tied", "--components", "2,3", "--starts", "3")
    result = emf("select", "faithful", *args)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "4 models; * has the lowest BIC."
    names = [line[:24].rstrip() for line in lines[2:6]]
    assert names[0] == "* gaussian tied, K = 3"
    assert sorted(names[1:]) == [
        "  gaussian full, K = 2", "  gaussian full, K = 3", "  gaussian tied, K = 2",
    ]  # fmt: skip
    bics = [float(line.split()[-3]) for line in lines[2:6]]
    assert bics == sorted(bics)
    found = json.loads(emf("select", "faithful", *args, "--json").stdout)
    assert [one["bic"] for one in found["models"]] == sorted(one["bic"] for one in found["models"])
    assert found["best"]["families"][0]["options"] == {"covariance": "tied"}


def test_select_takes_all_structures_where_there_are_any(emf: Run) -> None:
    args = ("--components", "1", "--starts", "1", "--json")
    assert len(json.loads(emf("select", "iris", *args).stdout)["models"]) == 4
    assert len(json.loads(emf("select", "earthquakes", *args).stdout)["models"]) == 1
    one = json.loads(emf("select", "iris", *args, "--option", "covariance=diag").stdout)
    assert len(one["models"]) == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("faithful", "--family", "gaussian,poisson"), "no common scale"),
        (("faithful", "--family", "gausian"), "gausian"),
        (("faithful", "--family", "gaussian,,"), "empty part"),
        (("faithful", "--covariance", "round"), "'round'; expected one of full"),
        (("-",), "--family is needed"),
    ],
    ids=["kinds", "unknown", "empty", "structure", "none"],
)
def test_select_refuses(emf: Run, args: tuple[str, ...], said: str) -> None:
    refused(emf("select", *args, stdin="x\n1\n2\n"), said)


# ---- Parquet


@pytest.fixture
def parquet(tmp_path: Path) -> str:
    """Old Faithful with a column of words and one with a gap."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    X = emframe.dataset("faithful").X
    day = [f"d{i}" for i in range(len(X))]
    gap = [1] * (len(X) - 1) + [None]
    table = {"eruptions": X[:, 0], "waiting": X[:, 1].astype(int), "day": day, "gap": gap}
    pq.write_table(pa.table(table), tmp_path / "f.parquet")
    return "f.parquet"


def test_a_parquet_file_is_what_its_array_is(emf: Run, geyser: emframe.Fit, parquet: str) -> None:
    args = ("--columns", "eruptions,waiting", "--components", "2", "--starts", "2", "--json")
    best = json.loads(emf("fit", parquet, "--family", "gaussian", *args).stdout)["best"]
    fit = emframe.select(("gaussian", [2]), emframe.dataset("faithful").X, rng=0, n_starts=2).best
    assert best["log_likelihood"] == fit.log_likelihood
    result = emf("predict", "geyser.fit", parquet)
    header, *rows = list(csv.reader(io.StringIO(result.stdout)))
    assert header == ["eruptions", "waiting", "day", "gap", "label", "p0", "p1"]
    assert rows[0][:4] == ["3.6", "79", "d0", "1"]
    assert rows[-1][3] == ""
    labels = [int(row[4]) for row in rows]
    assert labels == geyser.predict(emframe.dataset("faithful").X).tolist()


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # of Dask itself, under pandas 3.1
def test_rows_on_dask_are_what_their_array_is(emf: Run, tmp_path: Path) -> None:
    pytest.importorskip("dask.dataframe")
    distributed = pytest.importorskip("distributed")
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    X, w = emframe.dataset("faithful").X, np.arange(272) % 3.0
    table = pa.table({"eruptions": X[:, 0], "waiting": X[:, 1], "w": w})
    (tmp_path / "rows").mkdir()
    for i, part in enumerate((table[:100], table[100:])):
        pq.write_table(part, tmp_path / "rows" / f"{i}.parquet")
    args = ("--family", "gaussian", "--components", "2", "--starts", "1", "--weights", "w")
    with distributed.Client(processes=False, n_workers=1, dashboard_address=None):
        run = emf("fit", "rows/*.parquet", *args, "--json", "--dask")
        assert run.exit_code == 0, run.output
        refused(emf("fit", "none/*.parquet", *args, "--dask"), "no Parquet file")
        refused(emf("fit", "rows", *args, "--dask", "--plot", "a.png"), "--plot draws rows")
        refused(emf("fit", "rows", *args, "--dask", "--labels", "w"), "do not go with --dask")
    best = json.loads(run.stdout)["best"]
    fit = emframe.fit(emframe.Mixture("gaussian", 2), X, weights=w, rng=0, n_starts=1)
    assert best["columns"] == ["eruptions", "waiting"]
    assert best["n_rows"] == w.sum()
    assert best["log_likelihood"] == pytest.approx(fit.log_likelihood, rel=1e-10)


def test_a_parquet_file_is_refused_by_row_and_column(emf: Run, parquet: str) -> None:
    args = ("fit", parquet, "--family", "gaussian")
    refused(emf(*args, "--columns", "day"), "row 0, column 'day': 'd0' is not a number")
    refused(emf(*args, "--columns", "gap"), "row 271, column 0 ('gap') is nan", "remove")
    whole = Path(parquet).read_bytes()
    Path(parquet).write_bytes(whole[:500])
    refused(emf(*args), "f.parquet is a damaged Parquet file")


def test_without_pyarrow_the_extra_is_named(
    emf: Run, parquet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused(emf("fit", parquet, "--family", "gaussian"), "pip install 'emframe[parquet]'")


def test_threads_and_progress_change_nothing_that_is_printed(emf: Run) -> None:
    args = ("fit", "earthquakes", "--components", "2", "--starts", "2")
    plain = emf(*args)
    assert emf(*args, "--threads", "2", "--no-progress").stdout == plain.stdout
    assert plain.stderr == ""
    assert emf(*args, "--threads", "0").exit_code == 2


# ---- the program


def program(*args: str, code: str = "") -> subprocess.CompletedProcess[str]:
    start = ["-c", code] if code else ["-m", "emframe"]
    env = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    return subprocess.run(
        [sys.executable, "-W", "error", *start, *args],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )


def test_python_m_emframe() -> None:
    done = program("fit", "earthquakes", "--components", "2", "--starts", "1")
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1].startswith("Converged: ")
    wrong = program("fit", "earthquake")
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    assert wrong.stderr.endswith("Did you mean 'earthquakes'?\n")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    "after", ["numpy.version", "numpy", "scipy.special", "emframe.fitting", "click", "emframe.cli"]
)
def test_ctrl_c_while_modules_are_imported_ends_quietly(after: str) -> None:
    """Sent once a module was imported; a command that gets so far waits for its standard input."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from emframe_command import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-c", code, "fit", "-", "--family", "gaussian"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any(line.rstrip().endswith(f" {after}") for line in process.stderr)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    said = [line for line in err.splitlines() if not line.startswith("import time:")]
    assert process.returncode == 130
    assert said in ([], ["Error: interrupted"])
    assert out == ""


def test_the_command_is_python_m_emframe() -> None:
    (script,) = metadata.entry_points(group="console_scripts", name="emframe")
    assert script.value == "emframe_command:main"
    done = program("datasets", code="from emframe_command import main; main()")
    assert done.returncode == 0
    assert done.stdout == program("datasets").stdout


@pytest.mark.parametrize("name", ["click", "rich"])
def test_without_the_extra_it_is_named(name: str) -> None:
    code = f"import sys; sys.modules[{name!r}] = None; from emframe.__main__ import main; main()"
    done = program(code=code)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"Error: the command line needs {name}: pip install 'emframe[cli]'\n"


# ---- parts


def test_settings_are_json_where_they_can_be() -> None:
    found = settings(["a=1", "b=2.5", "c=true", "d=tied", "e=[1, 2]", "f=x=y", "g="])
    assert found == {"a": 1, "b": 2.5, "c": True, "d": "tied", "e": [1, 2], "f": "x=y", "g": ""}
    assert settings(["dof=inf"]) == {"dof": np.inf}


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e300, -2.5e-17, 7.0, 0.0, 123456789.0])
def test_numbers_are_written_exactly(value: float) -> None:
    text = sheets.exact(value)
    assert float(text) == value
    assert not text.endswith(".0")


def test_a_table_of_a_sheet_goes_into_the_api() -> None:
    sheet = sheets.parse("a\tb\n1\t2\n3\t4\n", "here")
    table = Table(sheet.numbers([1]), ("b",), None)
    fit = emframe.fit(emframe.Mixture("poisson"), table)
    assert fit.columns == ("b",)
    assert fit.params.components.rates.tolist() == [[3.0]]


# ---- pictures and standard errors


@pytest.mark.parametrize(("ending", "components"), [("png", "1-2"), ("svg", "2"), ("pdf", "2")])
def test_a_picture_is_drawn(emf: Run, ending: str, components: str) -> None:
    args = ("faithful", "--components", components, "--starts", "2", "--plot", f"it.{ending}")
    result = emf("fit", *args)
    assert result.exit_code == 0, result.output
    assert result.stdout.rstrip().endswith(f"Drawn in it.{ending}.")
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert Path(f"it.{ending}").read_bytes().startswith(starts[ending])


@pytest.mark.parametrize(
    ("path", "said"), [("it.xyz", "the ending has to be one of"), ("no/it.png", "does not exist")]
)
def test_a_picture_that_cannot_be_written_is_refused_before_the_work(
    emf: Run, path: str, said: str
) -> None:
    refused(emf("fit", "faithful", "--components", "2", "--plot", path), said)


def test_standard_errors_are_the_apis(emf: Run) -> None:
    args = ("fit", "death_notices", "--components", "2", "--starts", "2", "--errors", "observed")
    best = json.loads(emf(*args, "--json").stdout)["best"]
    data = emframe.dataset("death_notices")
    model = emframe.Mixture("poisson", 2)
    fit = emframe.fit(model, data, start=best["parameters"])
    expected = fit.standard_errors(data).params
    assert best["standard_errors"]["weights"] == pytest.approx(expected.weights, rel=1e-3)
    rates = np.array(best["standard_errors"]["components"]["rates"])
    assert rates == pytest.approx(expected.components.rates, rel=1e-3)
    assert "(0.195)" in emf(*args).stdout
