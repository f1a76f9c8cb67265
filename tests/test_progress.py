"""Progress: what the meter says of steps, when a line is shown, and where."""

from __future__ import annotations

import math
import os
import pty
import subprocess
import sys
import types
from typing import Any

import numpy as np
import pytest

import emframe
from emframe.showing import progress
from emframe.showing.progress import (
    Lines,
    Meter,
    ProgressCell,
    ProgressLine,
    Terminal,
    duration,
    screen_for,
    watching,
)


def step(index: int, objective: float, remaining: float = math.inf) -> Any:
    return types.SimpleNamespace(index=index, objective=objective, remaining=remaining)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def meter(n_starts: int | None = None, tol: float = 1e-8) -> tuple[Meter, Clock]:
    clock = Clock()
    return Meter("a mixture", tol, n_starts, clock=clock), clock


def test_time_left_at_a_steady_rate() -> None:
    one, clock = meter()
    for index in range(5):
        one.see(step(index, -10.0 + index, 10.0 ** (-2 - index)))
        clock.now += 1.0
    assert one.seconds_left() == pytest.approx(2.0)  # from 1e-6 to 1e-8, tenfold a second
    text = one.words(step(4, -6.0, 1e-6))
    assert text == (
        "start 1, step 4, objective -6, 1.0e-06 nats to gain, about 2 s for this start, a mixture"
    )


def test_time_left_with_starts_to_come() -> None:
    one, clock = meter(n_starts=5)
    for _ in range(2):
        for index in range(5):
            one.see(step(index, -10.0 + index, 10.0 ** (-2 - index)))
            clock.now += 1.0
    # 2 s for this one, and three more at the 5 s that the first took
    assert one.seconds_left() == pytest.approx(17.0)
    assert "start 2 of 5" in one.words(step(4, -6.0))
    assert "(best -6)" in one.words(step(4, -6.0))


@pytest.mark.parametrize(
    "gains", [[], [1e-3], [math.inf, math.inf], [1e-3, 1e-3], [1e-4, 1e-3], [0.0, 0.0]]
)
def test_no_guess_where_there_is_no_rate(gains: list[float]) -> None:
    one, clock = meter()
    for index, gain in enumerate(gains):
        one.see(step(index, 0.0, gain))
        clock.now += 1.0
    assert one.seconds_left() is None
    assert "about" not in one.words(step(3, 0.0))


def test_a_start_forgets_the_rate_of_the_one_before() -> None:
    one, clock = meter()
    for index in range(3):
        one.see(step(index, 0.0, 10.0**-index))
        clock.now += 1.0
    one.see(step(0, -5.0, 1.0))
    assert one.seconds_left() is None
    assert one.starts == 2


def test_nothing_in_the_first_second_and_then_now_and_again() -> None:
    shown: list[str] = []
    screen = types.SimpleNamespace(every=0.5, show=shown.append, close=lambda: None)
    one, clock = meter()
    line = ProgressLine(screen, one)
    seen = []
    for index in range(30):
        line(step(index, 0.0))
        seen.append(len(shown))
        clock.now += 0.125
    assert seen[7:9] == [0, 1]  # at 0.875 s and at 1 s
    assert seen[12:14] == [2, 2]
    assert len(shown) == 6


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (59.4, "59 s"), (61, "2 min"), (3599, "1 h 0 min"), (3700, "1 h 2 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_where_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_in_notebook", lambda: False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert screen_for("auto") is None
    assert isinstance(screen_for(True), Lines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(screen_for("auto"), Terminal)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert screen_for("auto") is None
    with pytest.raises(ImportError, match=r"showing progress needs rich: .*emframe\[progress\]"):
        screen_for(True)
    monkeypatch.setattr(progress, "_in_notebook", lambda: True)
    assert isinstance(screen_for("auto"), ProgressCell)


def test_other_wishes_are_refused() -> None:
    with pytest.raises(ValueError, match="`progress` is 'yes'; pass True, False or 'auto'"):
        emframe.fit(emframe.Mixture("gaussian"), [1.0, 2.0], progress="yes")


def test_a_notebook_has_its_line_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    handle = types.SimpleNamespace(update=shown.append)

    def display(text: str, display_id: bool) -> Any:
        assert display_id
        shown.append(text)
        return handle

    module = types.SimpleNamespace(Pretty=lambda text: text, display=display)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(display=module))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    cell = ProgressCell()
    cell.show("one")
    cell.show("two")
    cell.close()
    assert shown == ["one", "two", ""]


def test_a_fit_shows_its_steps_and_is_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    X = emframe.dataset("faithful").X
    model = emframe.Mixture("gaussian", 2)
    plain = emframe.fit(model, X, rng=0, n_starts=2)
    assert capsys.readouterr().err == ""
    told = emframe.fit(model, X, rng=0, n_starts=2, progress=True)
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith("start 1 of 2, step 0, objective -")
    assert first.endswith("gaussian mixture, covariance=full, K = 2")
    assert np.array_equal(plain.trace, told.trace)


def test_the_line_goes_when_a_fit_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    screen = types.SimpleNamespace(every=0.0, show=lambda _: None, close=lambda: closed.append(1))
    monkeypatch.setattr(progress, "screen_for", lambda _: screen)

    def interrupted() -> None:
        with watching("auto", "a mixture", 1e-8, None) as callbacks:
            assert len(callbacks) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert closed == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="takes a pseudo-terminal")
def test_a_terminal_gets_the_line_and_a_pipe_nothing() -> None:
    code = (
        "import emframe; from emframe.showing import progress; progress.PATIENCE = 0.0;"
        "emframe.fit(emframe.Mixture('gaussian', 3), emframe.dataset('faithful').X,"
        " rng=0, n_starts=3, progress='auto')"
    )
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    piped = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True
    )
    assert piped.stderr == piped.stdout == ""
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stderr=theirs, env=env, check=True)
    os.close(theirs)
    with os.fdopen(ours, "rb") as terminal:
        seen = terminal.read1(1 << 16).decode()
    assert "start 1 of 3, step 0, objective" in seen
