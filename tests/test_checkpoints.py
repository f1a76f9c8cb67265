"""A fit that was stopped, by anything, goes on to the same bits; and Ctrl-C is heard at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutants import Normal

import emframe
from emframe import Status
from emframe.core import EM
from emframe.files import checkpoints
from emframe.files.fingerprints import fingerprint
from emframe.files.states import filled, flat
from emframe.parameters import leaves

RNG = np.random.default_rng(7)
X = np.concatenate([RNG.normal(0, 1, (60, 2)), RNG.normal(2, 1, (60, 2))])
MIXTURE = emframe.Mixture("gaussian", n_components=2)

FITS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "quasi-Newton": (MIXTURE, X, {"n_starts": 3}),
    "plain EM": (MIXTURE, X, {"n_starts": 2, "accelerate": False, "max_iter": 40}),
    "SQUAREM": (MIXTURE, X, {"n_starts": 2, "accelerate": "squarem"}),
    "weights, prior": (
        emframe.Mixture("gaussian", 3, covariance="tied"),
        X,
        {"n_starts": 2, "prior": "weak", "weights": np.arange(120) % 3},
    ),
    "counts": (emframe.Mixture("poisson", 2), np.floor(np.abs(3 * X)), {"n_starts": 3}),
    "a start given": (MIXTURE, X, {"start": np.repeat([0, 1], 60)}),
    "a family of one's own": (emframe.Mixture(Normal(), 2), X, {"n_starts": 2}),
    "two families": (emframe.Mixture(["gaussian", "gaussian"]), X, {"n_starts": 2}),
    "threads": (MIXTURE, X, {"n_starts": 2, "engine": 2}),
}


class PlugPulled(BaseException):
    """An end that nothing in a fit catches."""


@pytest.fixture(autouse=True)
def at_every_step(monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", 1e9)


def stop_at(n, error=PlugPulled):
    """A callback that ends the fit at its n-th step."""
    steps = iter(range(10**9))

    def stop(step):
        if next(steps) == n:
            raise error

    return stop


def bits(fit):
    """All of a fit that is numbers, as something that is equal where the bits are."""
    arrays = [leaf.value for leaf in leaves(fit.params)] + [fit.trace, fit.gains]
    numbers = (fit.log_likelihood, fit.objective, fit.entropy, fit.remaining)
    rest = (fit.classification_uncertainty, fit.n_iter, fit.best, fit.form, fit.status)
    return [array.tobytes() for array in arrays], numbers, rest, fit.message, repr(fit.starts)


def interrupted(model, data, path, at, **options):
    """A fit that was stopped at a step, and the one that goes on from there."""
    with pytest.raises(PlugPulled):
        emframe.fit(model, data, rng=0, checkpoint=path, callbacks=[stop_at(at)], **options)
    seen: list[Any] = []
    fit = emframe.fit(model, data, rng=0, checkpoint=path, callbacks=[seen.append], **options)
    return fit, len(seen)


@pytest.mark.parametrize("name", FITS)
def test_a_fit_that_goes_on_ends_at_the_same_bits(name, tmp_path):
    model, data, options = FITS[name]
    whole = emframe.fit(model, data, rng=0, **options)
    n = sum(len(start.trace) for start in whole.starts)
    for at in (0, 1, 2, n // 2, n - 1):
        path = tmp_path / f"{at}.checkpoint"
        fit, seen = interrupted(model, data, path, at, **options)
        assert bits(fit) == bits(whole), at
        assert seen <= n - at + 1, "steps were taken again"
        assert bits(emframe.fit(model, data, rng=0, checkpoint=path, **options)) == bits(whole)


def test_a_search_that_makes_moves_goes_on_too(tmp_path, monkeypatch):
    monkeypatch.setattr("emframe.fitting.plans.MOST_STEPS", 600)
    model = emframe.Mixture("gaussian", 3, covariance="tied")
    whole = emframe.fit(model, X, rng=0, n_starts="thorough")
    moved = [start.index for start in whole.starts if start.parent is not None]
    n = sum(len(start.trace) for start in whole.starts[: moved[-1]])
    fit, _ = interrupted(model, X, tmp_path / "moves", n + 3, n_starts="thorough")
    assert bits(fit) == bits(whole)


def test_a_search_in_one_stack_goes_on_too(tmp_path):
    model = emframe.Mixture("gaussian", 3)
    whole = emframe.fit(model, X, rng=0)
    fit, _ = interrupted(model, X, tmp_path / "stack", 1)
    assert bits(fit) == bits(whole)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(stops=st.lists(st.integers(0, 60), max_size=4))
def test_a_fit_may_be_stopped_again_and_again(stops, tmp_path_factory):
    path = tmp_path_factory.mktemp("often") / "checkpoint"
    for at in stops:
        try:
            emframe.fit(MIXTURE, X, rng=0, n_starts=2, checkpoint=path, callbacks=[stop_at(at)])
        except PlugPulled:
            continue
    fit = emframe.fit(MIXTURE, X, rng=0, n_starts=2, checkpoint=path)
    assert bits(fit) == bits(emframe.fit(MIXTURE, X, rng=0, n_starts=2))


def test_without_a_seed_the_random_numbers_go_on(tmp_path):
    path = tmp_path / "unseeded"
    with pytest.raises(PlugPulled):
        emframe.fit(MIXTURE, X, n_starts=3, checkpoint=path, callbacks=[stop_at(20)])
    first = emframe.fit(MIXTURE, X, n_starts=3, checkpoint=path)
    assert bits(emframe.fit(MIXTURE, X, n_starts=3, checkpoint=path)) == bits(first)


def test_a_fit_that_ran_out_of_time_or_was_interrupted_goes_on(tmp_path):
    path = tmp_path / "slow"
    whole = emframe.fit(MIXTURE, X, rng=0, n_starts=2)
    short = emframe.fit(MIXTURE, X, rng=0, n_starts=2, checkpoint=path, max_seconds=1e-9)
    assert short.status is Status.MAX_SECONDS
    with pytest.raises(emframe.Interrupted) as caught:
        emframe.fit(
            MIXTURE,
            X,
            rng=0,
            n_starts=2,
            checkpoint=path,
            callbacks=[stop_at(5, KeyboardInterrupt)],
        )
    assert np.isfinite(caught.value.fit.log_likelihood)
    assert bits(emframe.fit(MIXTURE, X, rng=0, n_starts=2, checkpoint=path)) == bits(whole)


def test_a_method_with_a_state_of_its_own_kind_begins_its_start_again(tmp_path):
    class Odd(EM):
        def start(self, q):
            return {"gain": super().start(q)}

        def advance(self, expect, q, state):
            move, gain = super().advance(expect, q, state["gain"])
            return move, {"gain": gain}

    options = {"n_starts": 2, "accelerate": lambda _: Odd(), "max_iter": 20}
    whole = emframe.fit(MIXTURE, X, rng=0, **options)
    fit, seen = interrupted(MIXTURE, X, tmp_path / "odd", 30, **options)
    assert bits(fit) == bits(whole)
    assert seen == 21  # the whole of the second start


# ---- what is refused, and what is only said


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"tol": 1e-6}, "tol"),
        ({"n_starts": 3}, "n_starts"),
        ({"rng": 1}, "generator"),
        ({"weights": np.arange(120)}, "data"),
        ({"prior": "weak"}, "prior"),
        ({"accelerate": False}, "accelerate"),
        ({"stopping": [emframe.stopping.max_expectations(9)]}, "stopping"),
        ({"start": np.repeat([0, 1], 60)}, "start"),
        ({"X": X + 1e-9}, "data"),
        ({"model": emframe.Mixture("gaussian", 3)}, "model"),
    ],
)
def test_the_checkpoint_of_another_fit_is_refused(change, named, tmp_path):
    path = tmp_path / "other"
    same = {"model": MIXTURE, "X": X, "rng": 0, "n_starts": 2, "checkpoint": path}
    emframe.fit(**same)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"other.* differs in: .*\b{named}\b"):
        emframe.fit(**{**same, **change})
    assert path.read_bytes() == before


def test_files_that_are_no_checkpoints_are_refused_and_left_alone(tmp_path):
    path = tmp_path / "spoilt"
    fit = emframe.fit(MIXTURE, X, rng=0, n_starts=2, checkpoint=path)
    whole = path.read_bytes()
    fit.save(tmp_path / "fit")
    with zipfile.ZipFile(tmp_path / "later", "w") as archive:
        archive.writestr("checkpoint.json", json.dumps({"emframe": 99}))
    with zipfile.ZipFile(tmp_path / "lacking", "w") as archive:
        archive.writestr("checkpoint.json", json.dumps({"emframe": 1, "starts": 3}))
    foreign = [(tmp_path / name).read_bytes() for name in ("fit", "later", "lacking")]
    cut = [whole[:size] for size in (0, 1, 100, len(whole) // 2, len(whole) - 1)]
    for content in [*foreign, *cut, b"text", whole[:200] + b"?" + whole[201:]]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"spoilt.*Delete it, or pass another path"):
            emframe.fit(MIXTURE, X, rng=0, n_starts=2, checkpoint=path)
        assert path.read_bytes() == content


def test_a_path_that_cannot_be_written_is_said_once_and_ends_nothing(tmp_path):
    path = tmp_path / "nowhere" / "checkpoint"
    with pytest.warns(RuntimeWarning, match=r"nowhere.*pass a path that can be written") as said:
        fit = emframe.fit(MIXTURE, X, rng=0, n_starts=2, checkpoint=path)
    assert len(said) == 1
    assert bits(fit) == bits(emframe.fit(MIXTURE, X, rng=0, n_starts=2))


def test_a_disk_that_fills_up_keeps_the_last_whole_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "full"
    replace, n = os.replace, iter(range(10**6))

    def full(*names):
        if next(n) >= 10:
            raise OSError(28, "No space left on device")
        replace(*names)

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        fit = emframe.fit(MIXTURE, X, rng=0, n_starts=2, checkpoint=path)
    monkeypatch.undo()
    assert [one.name for one in tmp_path.iterdir()] == ["full"]
    assert bits(emframe.fit(MIXTURE, X, rng=0, n_starts=2, checkpoint=path)) == bits(fit)


def test_other_arithmetic_is_said(tmp_path):
    path = tmp_path / "elsewhere"
    emframe.fit(MIXTURE, X, rng=0, n_starts=1, checkpoint=path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    document = json.loads(files["checkpoint.json"])
    document["starts"][0]["run"]["objective"] += 1e-9
    files["checkpoint.json"] = json.dumps(document).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.warns(RuntimeWarning, match="not to the same bits"):
        emframe.fit(MIXTURE, X, rng=0, n_starts=1, checkpoint=path)


# ---- values


class Both(NamedTuple):
    number: float
    inner: Any


def test_states_are_read_back_in_their_own_form():
    state = Both(np.inf, Both(3, Both(True, np.arange(4.0))))
    back = filled(state, flat(state))
    assert back.number == np.inf
    assert (back.inner.number, type(back.inner.number)) == (3, int)
    assert back.inner.inner.number is True
    assert np.array_equal(back.inner.inner.inner, np.arange(4.0))
    assert flat(None) == {}
    with pytest.raises(TypeError, match="dict"):
        flat(Both(1.0, {}))


def test_fingerprints_are_equal_where_values_are():
    one = [1.0, np.float64(2), X, {"a": None}, len, MIXTURE]
    assert json.dumps(fingerprint(one)) == json.dumps(fingerprint([*one[:2], X.copy(), *one[3:]]))
    assert fingerprint(X) != fingerprint(X.astype(np.float32))
    assert fingerprint(X) != fingerprint(X.T)


# ---- real signals

LONG = """
import signal, sys, time
import numpy as np
import emframe
from emframe.files import checkpoints

checkpoints.EVERY, checkpoints.SHARE = 0.0, 1e9
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background is deaf
x = np.random.default_rng(0).normal(size=(20_000, 4))
model = emframe.Mixture("gaussian", 4)
tell = lambda step: print("step", flush=True) if step.index > 2 else None
try:
    emframe.fit(
        model, x, rng=0, n_starts=50, tol=0, engine=3, callbacks=[tell],
        checkpoint=sys.argv[1] or None,
    )
except emframe.Interrupted as stop:
    print("best", np.isfinite(stop.fit.log_likelihood), flush=True)
"""


def running(path=""):
    """A fit under way in a process of its own, on several threads."""
    process = subprocess.Popen(
        [sys.executable, "-c", LONG, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "step\n"
    return process


def test_a_killed_fit_leaves_a_whole_checkpoint(tmp_path):
    path = tmp_path / "killed"
    for wait in (0.0, 0.01, 0.037):
        process = running(path)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        before = checkpoints.earlier(path)
        assert before is not None
        assert before.running is not None or before.finished


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_ctrl_c_is_heard_while_threads_work(tmp_path):
    process = running(tmp_path / "interrupted")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out.endswith("best True\n")
    before = checkpoints.earlier(Path(tmp_path / "interrupted"))
    assert before is not None
