"""Starts of one fit, shared out among processes: the same fit whoever runs them."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emframe
from emframe.core import Status
from emframe.data.rows import Rows
from emframe.fitting.shared import beside

RNG = np.random.default_rng(3)
GROUP = np.arange(240) % 3
X = RNG.normal(size=(240, 2)) * (1.0 + GROUP[:, None]) + 3.0 * (GROUP[:, None] == 2)
COUNTS = RNG.poisson(2.0 + 5.0 * GROUP)[:, None].astype(float)
WEIGHTS = RNG.integers(1, 4, len(X)) * 1e9  # so large that the fit has units of its own
RUNS = emframe.Sequences(X, np.full(24, 10))
CHAIN = emframe.model("hidden-markov", family="gaussian", n_states=3)

FITS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "rows": (emframe.Mixture("gaussian", 4), X, {}),
    "components that starve": (emframe.Mixture("gaussian", 12), X, {}),
    "weights, prior, plain steps": (
        emframe.Mixture("gaussian", 3),
        X,
        {"weights": WEIGHTS, "prior": "weak", "accelerate": False, "max_iter": 30},
    ),
    "rows that repeat": (emframe.Mixture("poisson", 3), COUNTS, {}),
    "runs": (CHAIN, RUNS, {}),
}


def told(fit: emframe.Fit) -> list[Any]:
    """All that is to be the same, to the last bit."""
    starts = [
        (s.index, s.kind, s.parent, s.status, s.objective, s.n_iter, s.spurious, s.message)
        for s in fit.starts
    ]
    rest = (fit.log_likelihood, fit.classification_uncertainty, fit.n_iter, fit.best, fit.status)
    return [repr(starts), rest, fit.trace.tobytes(), fit.gains.tobytes(), repr(fit.params)]


@pytest.mark.parametrize("name", FITS)
def test_the_same_fit_with_any_number_of_processes(name: str) -> None:
    model, rows, options = FITS[name]
    one, two = (emframe.fit(model, rows, n_starts=6, rng=0, workers=n, **options) for n in (1, 2))
    assert told(two) == told(one)
    if name == "components that starve":
        assert any(start.parent is not None for start in one.starts)


class AtHome:
    """A callback that leaves the number of its process, and while it is the only one takes time."""

    def __init__(self, flag: str) -> None:
        self.flag = flag

    def __call__(self, step: Any) -> None:
        Path(self.flag, str(os.getpid())).touch()
        if len(list(Path(self.flag).iterdir())) < 2:
            time.sleep(0.05)


def test_other_processes_run_starts_and_show_them_to_callbacks(tmp_path: Path) -> None:
    many = emframe.Mixture("gaussian", 6)
    rows = np.random.default_rng(0).normal(size=(2000, 4))
    emframe.fit(
        many,
        rows,
        n_starts=30,
        rng=0,
        workers=2,
        tol=0.0,
        max_iter=30,
        callbacks=[AtHome(str(tmp_path))],
    )
    assert len(list(tmp_path.iterdir())) == 2


class Fails:
    """A callback that raises."""

    def __call__(self, step: Any) -> None:
        raise ZeroDivisionError("of the callback")


def test_what_a_callback_raises_is_raised_with_its_place() -> None:
    with pytest.raises(ZeroDivisionError, match="of the callback") as caught:
        emframe.fit(
            emframe.Mixture("gaussian", 2), X, n_starts=3, rng=0, workers=2, callbacks=[Fails()]
        )
    assert any("start 0" in note for note in caught.value.__notes__)


def test_a_deadline_keeps_the_ends_before_it() -> None:
    rows = np.random.default_rng(0).normal(size=(2000, 4))
    began = time.monotonic()
    fit = emframe.fit(
        emframe.Mixture("gaussian", 6), rows, n_starts=5000, rng=0, workers=2, max_seconds=2.0
    )
    assert time.monotonic() - began < 60
    assert np.isfinite(fit.log_likelihood)
    statuses = [start.status for start in fit.starts]
    assert statuses[-1] is Status.MAX_SECONDS
    assert Status.MAX_SECONDS not in statuses[:-1]
    assert fit.log_likelihood == max(
        start.objective for start in fit.starts if start.status.usable and start.is_regular
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0, "n_starts": 3}, "`workers` is 0"),
        ({"workers": True, "n_starts": 3}, "`workers` is True"),
        ({"workers": 2}, "n_starts='default'.*pass workers=1"),
        ({"workers": 2, "start": GROUP % 2}, "`start`.*pass workers=1"),
        ({"workers": 2, "n_starts": 3, "checkpoint": "here"}, "a checkpoint.*pass workers=1"),
        (
            {"workers": 2, "n_starts": 3, "engine": type("Own", (), {"sum": None})()},
            "`engine`",
        ),
        ({"workers": 2, "n_starts": 3, "callbacks": [lambda step: None]}, "cannot be sent"),
    ],
)
def test_what_cannot_be_shared_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        emframe.fit(emframe.Mixture("gaussian", 2), X, rng=0, **options)


class Adds:
    """An engine of one's own that is sound."""

    def sum(self, of_block: Any, blocks: Any) -> Any:
        return sum(map(of_block, blocks))


def test_an_engine_of_ones_own_stays_in_its_process() -> None:
    with pytest.raises(ValueError, match=re.escape("`engine` an object")):
        emframe.fit(emframe.Mixture("gaussian", 2), X, n_starts=3, workers=2, engine=Adds())


def test_weights_that_are_all_one_are_sent_as_such() -> None:
    rows = emframe.Mixture("gaussian", 2).rows(X)
    again = pickle.loads(pickle.dumps(rows))
    assert again.weights.strides == rows.weights.strides == (0,)
    assert np.array_equal(again.weights, np.ones(len(X)))
    weighted = Rows(X, WEIGHTS, ("a", "b"))
    assert np.array_equal(pickle.loads(pickle.dumps(weighted)).weights, WEIGHTS)


def test_what_happens_between_starts_leaves_their_random_numbers_alone() -> None:
    one, two = np.random.default_rng(7), np.random.default_rng(7)
    other = beside(one)
    other.random(1000)
    assert one.random() == two.random()
    assert beside(one).random() != beside(np.random.default_rng(7)).random()


SCRIPT = """
import os
import signal
import numpy as np
import emframe

CALLER = os.environ.setdefault("CALLER", str(os.getpid()))

def watch(step):
    if step.index == 3 and CALLER == str(os.getpid()):
        print("under way", flush=True)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is deaf
    X = np.random.default_rng(0).normal(size=(3000, 4))
    try:
        emframe.fit(
            emframe.Mixture("gaussian", 6), X, rng=0, n_starts=200, tol=0.0, workers=2,
            callbacks=[watch],
        )
    except emframe.Interrupted as stop:
        print("kept", np.isfinite(stop.fit.log_likelihood))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_keeps_the_best_of_all_processes(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "under way\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert err == ""
    assert out.splitlines()[-1] == "kept True"
    assert process.returncode == 0
