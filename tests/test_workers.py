"""Jobs shared by processes: the same results whoever does them, and nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

import emframe
from emframe.engines import Workspace, workers
from emframe.engines.workers import share


class Told(NamedTuple):
    value: object
    stopped: bool = False


def squared(x):
    return Told(x * x)


def fails(x):
    raise ZeroDivisionError(f"job {x}")


@dataclass(frozen=True)
class Elsewhere:
    """Waits in the caller until another process has taken a job as well."""

    flag: str
    caller: int
    then: str  # what another process does: "tell" or "die"

    def __call__(self):
        if os.getpid() != self.caller:
            with open(self.flag, "w"):
                pass
            if self.then == "die":
                os._exit(1)
            return Told(os.getpid())
        until = time.monotonic() + 60
        while not os.path.exists(self.flag) and time.monotonic() < until:
            time.sleep(0.01)
        return Told(os.getpid())


@pytest.mark.parametrize("n", [1, 2, 5])
def test_results_come_in_the_order_of_the_jobs(n):
    results, cut = share([partial(squared, x) for x in range(4)], n)
    assert [one.value for one in results] == [0, 1, 4, 9]
    assert not cut


def test_other_processes_take_their_share(tmp_path):
    job = Elsewhere(str(tmp_path / "flag"), os.getpid(), "tell")
    results, cut = share([job, job], 2)
    assert len({one.value for one in results}) == 2
    assert not cut


def test_what_a_dead_process_took_is_done_by_the_caller(tmp_path):
    job = Elsewhere(str(tmp_path / "flag"), os.getpid(), "die")
    results, cut = share([job, job], 2)
    assert {one.value for one in results} == {os.getpid()}
    assert not cut


@dataclass(frozen=True)
class Large:
    """Hands in more than a pipe holds; the caller waits until another process has taken three."""

    folder: str
    caller: int
    index: int

    def __call__(self):
        if os.getpid() != self.caller:
            with open(os.path.join(self.folder, str(self.index)), "w"):
                pass
            return Told(np.full(1_000_000, float(self.index)))
        until = time.monotonic() + 60
        while len(os.listdir(self.folder)) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        return Told(np.full(1_000_000, float(self.index)))


def test_no_process_waits_for_another_to_take_what_it_hands_in(tmp_path):
    results, cut = share([Large(str(tmp_path), os.getpid(), i) for i in range(5)], 2)
    assert [one.value[0] for one in results] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert len(list(tmp_path.iterdir())) >= 3
    assert not cut


@dataclass(frozen=True)
class Warned:
    """Says something, in whatever process it is done."""

    x: int

    def __call__(self):
        warnings.warn(f"job {self.x}", UserWarning, stacklevel=1)
        return Told(self.x)


@pytest.mark.parametrize("n", [1, 3])
def test_what_other_processes_warn_of_is_heard(n):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        share([Warned(x) for x in range(4)], n)
    assert sorted(str(one.message) for one in said) == [f"job {x}" for x in range(4)]


@pytest.mark.parametrize("n", [1, 2])
def test_what_a_job_raises_is_raised(n):
    with pytest.raises(ZeroDivisionError, match="job"):
        share([partial(fails, x) for x in range(3)], n)


def test_jobs_that_cannot_be_sent_are_told():
    with pytest.raises(TypeError, match="cannot be sent to another process"):
        share([lambda: Told(1), lambda: Told(2)], 2)


def stopped():
    return Told("by then", stopped=True)


def test_no_job_is_begun_after_one_was_stopped():
    jobs = [stopped, partial(squared, 2), partial(squared, 3)]
    assert share(jobs, 1) == ([Told("by then", stopped=True), None, None], True)


def test_a_stopped_job_stops_the_other_processes():
    results, cut = share([partial(squared, x) for x in range(200)] + [stopped], 2)
    assert results[-1] == Told("by then", stopped=True)
    assert cut
    assert None in results


@pytest.mark.parametrize("criterion", ["bic", "cv"])
def test_a_selection_is_the_same_with_any_number_of_workers(criterion):
    X = emframe.dataset("faithful").X[:60]
    one, two = (
        emframe.select(
            ("gaussian", range(1, 4)), X, criterion=criterion, folds=2, rng=0, n_starts=2, workers=n
        )
        for n in (1, 2)
    )
    assert one.values == two.values
    for mine, theirs in zip(one.fits, two.fits, strict=True):
        assert np.array_equal(mine.trace, theirs.trace)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "two"])
def test_a_wrong_number_of_workers_is_refused(wrong):
    with pytest.raises((TypeError, ValueError), match="`workers` is"):
        emframe.select(("gaussian", [1]), np.arange(9.0), workers=wrong)


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
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 4))
    options = {"rng": 0, "n_starts": 10_000, "tol": 0.0, "callbacks": [watch]}
    try:
        emframe.select(("gaussian", [6, 6]), X, workers=2, **options)
    except emframe.Interrupted as stop:
        print("kept", np.isfinite(stop.fit.log_likelihood))
"""


def test_a_job_is_not_begun_where_ctrl_c_came_between_it_and_the_draw():
    class Left:
        value = 1

        @contextmanager
        def get_lock(self):
            yield
            self.value = workers.STOP  # as soon as the job is drawn

    done = []
    before = signal.getsignal(signal.SIGINT)
    try:
        workers._member([lambda: done.append("job")], Left(), SimpleNamespace(send=done.append))
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_keeps_the_best_of_all_processes(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "under way\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out.splitlines()[-1] == "kept True"
    assert err == ""
    assert process.returncode == 0


def travelling() -> dict[str, Any]:
    X = np.random.default_rng(0).normal(size=(60, 2))
    counts, signs = np.floor(3 * X**2), (X > 0) * 1.0
    return {
        "gaussian": X,
        "student-t": X,
        "bernoulli": signs,
        "categorical": signs,
        "poisson": counts,
        "poisson-regression": np.column_stack([counts[:, 0], X[:, 1]]),
    }


@pytest.mark.parametrize("pickler", ["pickle", "cloudpickle"])
@pytest.mark.parametrize("name", travelling())
def test_fits_and_passes_travel(name: str, pickler: str) -> None:
    way, X = pytest.importorskip(pickler), travelling()[name]
    fit = emframe.fit(emframe.Mixture(name, 2), X, rng=0, n_starts=1)
    again = way.loads(way.dumps(fit))
    assert again.log_likelihood == fit.log_likelihood
    assert np.array_equal(again.score_samples(X), fit.score_samples(X))
    rows = fit.model.rows(X)
    block = (rows.x, np.ones(len(rows)))
    for one in fit.model.passes(fit.params, fit.model.survey(rows)):
        other = way.loads(way.dumps(one))
        here, there = (each.finish(each.block(block, Workspace())) for each in (one, other))
        assert there.loglik == here.loglik
