"""``emframe bench``: both sides do the same work; a table comes of it without a peer as well."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

import emframe
from emframe.cli import app
from emframe.cli import timing as benchmark
from emframe.cli.timing import Clock, DataShape, Problem

Bench = Callable[..., Result]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Run the command on runs that are too short to say much, and quick."""
    monkeypatch.setattr(benchmark, "PATIENCE", 0.0)
    return lambda *args: CliRunner().invoke(app, ("bench", "--turns", "1", *args))


@pytest.mark.parametrize(
    "text", ["1000x4", "0x4x3", "2x4x3", "10x0x3", "10x4x0", "axbxc", "10x-1x2"]
)
def test_a_shape_is_refused(bench: Bench, text: str) -> None:
    result = bench("--shape", text)
    assert result.exit_code == 2
    assert "ROWSxCOLUMNSxK" in result.stderr


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_both_sides_do_the_same_work(bench: Bench, structure: str) -> None:
    result = bench("--shape", "300x3x2", "--covariance", structure, "--json")
    (row,) = json.loads(result.stdout)["timings"]
    assert (row["rows"], row["columns"], row["components"]) == (300, 3, 2)
    assert row["apart"] < 1e-5  # scikit-learn adds 1e-6 to covariances
    assert row["emframe_seconds"] > 0
    assert row["times_faster"] == row["scikit_learn_seconds"] / row["emframe_seconds"]


def test_the_steps_are_those_of_a_fit() -> None:
    problem = Problem(DataShape(400, 2, 2))
    fit = emframe.fit(
        emframe.Mixture("gaussian", 2), problem.rows, start=problem.start, accelerate=False
    )
    assert benchmark.run(problem, 4).objective == pytest.approx(fit.trace[4], rel=1e-12)


def test_without_scikit_learn_it_is_our_side_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emframe.cli.timing.installed", lambda name: False)
    monkeypatch.setattr("emframe.cli.benchmarking.installed", lambda name: False)
    result = bench("--shape", "300x2x2", "--shape", "200x2x1")
    assert result.exit_code == 0
    assert "emframe, ms" in result.stdout
    assert "faster" not in result.stdout
    assert "emframe[sklearn]" in result.stdout


def test_a_clock_takes_what_is_done_once_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a clock of its own: 7 seconds once, and 2 a step."""
    now = 0.0

    def run(steps: int) -> None:
        nonlocal now
        now += 7.0 + 2.0 * steps

    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: now)
    clock = Clock(run)
    clock.turn()
    clock.turn()
    assert clock.step == 2.0
    assert len(clock.long) == len(clock.short) == 2
