"""The n of BIC and ICL: what has a z of its own, on every surface, and how another is chosen."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import emframe
from emframe.cli import app

RNG = np.random.default_rng(5)
N, T = 40, 5
KIND = RNG.integers(0, 2, N)
TIME = np.arange(T, dtype=float)
LEVEL, SLOPE = np.array([0.0, 2.0]), np.array([1.0, -0.5])
Y = LEVEL[KIND, None] + SLOPE[KIND, None] * TIME + RNG.normal(0, 0.6, (N, T))
LONG = pd.DataFrame({"y": Y.ravel(), "t": np.tile(TIME, N), "who": np.repeat(np.arange(N), T)})


@dataclass(frozen=True)
class Line:
    """The parameters of a course."""

    level: emframe.Array = emframe.parameter(emframe.Real())
    slope: emframe.Array = emframe.parameter(emframe.Real())
    sigma: emframe.Array = emframe.parameter(emframe.Positive())


class People(emframe.Family):
    """A person to a row, by the same regression: what `emframe.Grouped` is of long rows."""

    name, parameters, support, takes_columns = "people", Line, emframe.Real(), True
    long = emframe.family("gaussian-regression", response="y", predictors=("t",))

    def rows(self, x):
        return np.c_[x.ravel(), np.tile(TIME, len(x))]

    def own(self, params):
        return self.long.parameters(params.level, params.slope, params.sigma)

    def log_density(self, params, x):
        return self.long.log_density(self.own(params), self.rows(x)).reshape(len(x), T, -1).sum(1)

    def accumulate(self, x, resp):
        return self.long.accumulate(self.rows(x), np.repeat(resp, T, axis=0))

    def expected(self, statistics, params):
        return self.long.expected(statistics, self.own(params))

    def m_step(self, statistics, previous):
        before = None if previous is None else self.own(previous)
        found = self.long.m_step(statistics, before)
        return Line(found.intercept, found.t, found.sigma)

    def sample(self, params, labels, rng):
        mean = params.level[labels, None] + params.slope[labels, None] * TIME
        return mean + params.sigma[labels, None] * rng.normal(size=(len(labels), T))


def grouped(k: int) -> emframe.Mixture:
    lines = emframe.family("gaussian-regression", response="y", predictors=("t",))
    return emframe.Mixture(emframe.Grouped(lines), k)


RUNS = emframe.Sequences.by(LONG, "who")


def test_people_count_alike_whether_a_row_is_all_of_one_or_one_of_several() -> None:
    wide = emframe.fit(emframe.Mixture(People(), 2), Y, rng=0, n_starts=4)
    long = emframe.fit(grouped(2), RUNS, rng=0, n_starts=4)
    assert long.log_likelihood == pytest.approx(wide.log_likelihood, rel=1e-9)
    assert long.n_parameters == wide.n_parameters == 7
    expected = -2.0 * wide.log_likelihood + 7 * np.log(N)
    assert wide.bic == pytest.approx(expected, rel=1e-12)
    assert long.bic == pytest.approx(expected, rel=1e-9)
    assert long.icl == pytest.approx(wide.icl, rel=1e-8)
    assert (long.n_units, long.unit, long.n_rows, long.n_runs) == (N, "runs", N * T, N)
    assert f"{N * T} rows in {N} runs" in str(long)
    assert f"n = {N} runs" in str(long)


def test_a_state_is_of_a_row_so_that_chains_count_rows() -> None:
    chain = emframe.model("hidden-markov", family="gaussian")
    one = emframe.fit(chain, Y.ravel(), rng=0, n_starts=2)
    several = emframe.fit(chain, list(Y), rng=0, n_starts=2)
    for fit, runs in ((one, 1), (several, N)):
        p = 2 * 2 + 2 + 1  # means and variances, transitions, initial
        assert fit.bic == pytest.approx(-2 * fit.log_likelihood + p * np.log(N * T), rel=1e-12)
        assert fit.n_runs == runs
        assert f"n = {N * T} rows" in str(fit)
    assert several.counting("runs").bic == pytest.approx(
        -2 * several.log_likelihood + p * np.log(N), rel=1e-12
    )


def test_another_n_is_chosen_and_kept() -> None:
    fit = emframe.fit(grouped(2), RUNS, rng=0, n_starts=2)
    for count, n in (("rows", N * T), ("runs", N), (17, 17.0), (None, N)):
        other = fit.counting(count)
        expected = -2.0 * fit.log_likelihood + fit.n_parameters * np.log(n)
        assert other.bic == pytest.approx(expected, rel=1e-12)
        assert other.icl - other.bic == pytest.approx(fit.icl - fit.bic, abs=1e-9)
        assert other.aic == fit.aic
    doubled = emframe.fit(grouped(2), RUNS, weights=np.full(N, 2.0), rng=0, n_starts=2)
    assert (doubled.n_units, doubled.counting("rows").n_units) == (2 * N, 2 * N * T)


def test_it_is_saved(tmp_path) -> None:
    fit = emframe.fit(grouped(2), RUNS, rng=0, n_starts=2)
    for count in (None, "rows", 17.0):
        fit.counting(count).save(tmp_path / "fit.em")
        again = emframe.load(tmp_path / "fit.em")
        assert again.count == count
        assert again.bic == fit.counting(count).bic


def test_what_is_no_count_is_refused() -> None:
    plain = emframe.fit(emframe.Mixture("gaussian", 1), Y, rng=0)
    for count in ("people", 0, -1.0, True, np.nan, np.inf):
        with pytest.raises(ValueError, match="expected 'rows', 'runs', or a number above 0"):
            plain.counting(count)
    with pytest.raises(ValueError, match="the rows are in none; pass 'rows'"):
        plain.counting("runs")
    with pytest.raises(ValueError, match="the rows are in none; pass 'rows'"):
        emframe.select(("gaussian", [1, 2]), Y, count="runs", rng=0, n_starts=2)


def test_a_selection_charges_all_models_alike() -> None:
    sizes = [grouped(k) for k in (1, 2)]
    for count, n in ((None, N), ("rows", N * T)):
        chosen = emframe.select(sizes, RUNS, count=count, rng=0, n_starts=2)
        assert {one.n_units for one in chosen.fits} == {n}
        for value, one in zip(chosen.values, chosen.fits, strict=True):
            assert value == pytest.approx(-2 * one.log_likelihood + one.n_parameters * np.log(n))
        assert f"with n = {n}" in str(chosen)
    values = LONG[["y", "who"]]
    unlike = [
        emframe.Mixture(emframe.Grouped("gaussian"), 2),
        emframe.model("hidden-markov", family="gaussian"),
    ]
    runs = emframe.Sequences.by(values, "who")
    chosen = emframe.select(unlike, runs, rng=0, n_starts=2)
    assert {one.n_units for one in chosen.fits} == {N * T}


def test_the_command_line_counts_the_same(tmp_path) -> None:
    path = tmp_path / "long.csv"
    LONG[["y", "who"]].to_csv(path, index=False)
    call = [
        "fit", str(path), "--model", "hidden-markov", "--family", "gaussian", "--components", "2",
        "--runs", "who", "--starts", "2", "--json", "--workers", "1",
    ]  # fmt: skip
    for more, n in (([], N * T), (["--count", "runs"], N)):
        done = CliRunner().invoke(app, [*call, *more], prog_name="emframe")
        assert done.exit_code == 0, done.output
        best = json.loads(done.stdout)["best"]
        assert (best["n_rows"], best["n_runs"], best["n_units"]) == (N * T, N, n)
        expected = -2 * best["log_likelihood"] + best["n_parameters"] * np.log(n)
        assert best["bic"] == pytest.approx(expected, rel=1e-12)
