"""Engines of one's own: those that keep their word change nothing, all others are told.

A table of engines, each with one habit, and what every fit has to be under each of them.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, reduce
from operator import add
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import emframe
from emframe.core import Status
from emframe.engines import EngineError, Serial, Workspace, engine_for
from emframe.engines.tally import Tally, tally
from emframe.parameters import leaves

RNG = np.random.default_rng(5)
N = 40_000  # four blocks, of a model of runs as well
LABELS = RNG.integers(2, size=N)
X = RNG.normal(size=(N, 2)) + 2.0 * LABELS[:, None]
WEIGHTS = RNG.integers(1, 4, N).astype(float)
START = RNG.permutation(LABELS)
MODEL = emframe.Mixture("gaussian", n_components=2)
CHAIN = emframe.model("hidden-markov", family="gaussian", n_states=2)
RUNS = emframe.Sequences(np.tile(X, (2, 1)), np.full(2 * N // 100, 100))


@cache
def uncut() -> emframe.Fit:
    """The fit that no engine of one's own cuts short."""
    return emframe.fit(MODEL, X, start=START)


class Habit:
    """An engine that does what it is told with the parts of all blocks."""

    def __init__(self, habit: Callable[[Any, Any], Any]) -> None:
        self.habit = habit

    def sum(self, of_block: Any, blocks: Any) -> Any:
        return self.habit(of_block, blocks)


class Keeps:
    """An engine whose workers keep their rows, as on a cluster."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def sum(self, of_block: Any, blocks: Any) -> Any:
        self.kept = self.kept or list(blocks)
        return reduce(add, (of_block(block, Workspace()) for block in self.kept))


class FailsAt:
    """An engine that is sound until its n-th pass."""

    def __init__(self, n: int, failure: Callable[[], Any]) -> None:
        self.n, self.failure, self.passes = n, failure, 0

    def sum(self, of_block: Any, blocks: Any) -> Any:
        self.passes += 1
        return sum(map(of_block, blocks)) if self.passes < self.n else self.failure()


def in_a_pool(of_block: Any, blocks: Any) -> Any:
    with ThreadPoolExecutor(3) as pool:
        return sum(pool.map(of_block, blocks))


def in_processes(of_block: Any, blocks: Any) -> Any:
    with joblib.parallel_config("loky", max_nbytes=None):  # as they are, and not through a file
        return sum(joblib.Parallel(2)(joblib.delayed(of_block)(block) for block in blocks))


def finer(of_block: Any, blocks: Any) -> Any:
    parts = (
        of_block((x[i : i + 999], w[i : i + 999]), Workspace())
        for x, w in blocks
        for i in range(0, len(w), 999)
    )
    return reduce(add, parts)


HONEST = {
    "one by one": lambda of_block, blocks: sum(of_block(block) for block in blocks),
    "the last first": lambda of_block, blocks: sum(map(of_block, reversed(list(blocks)))),
    "a pool": in_a_pool,
    "processes": in_processes,
    "finer blocks": finer,
    "twice, and once counted": lambda of_block, blocks: sum(
        (of_block(block), of_block(block))[0] for block in blocks
    ),
}


def same(fit: Any, other: Any) -> None:
    assert fit.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-10)
    assert fit.classification_uncertainty == pytest.approx(
        other.classification_uncertainty, rel=1e-6
    )
    for mine, theirs in zip(leaves(fit.params), leaves(other.params), strict=True):
        assert mine.value == pytest.approx(theirs.value, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", HONEST)
def test_an_engine_that_keeps_its_word_changes_nothing(name: str) -> None:
    engine = Habit(HONEST[name])
    for weights in (None, WEIGHTS):
        options: dict[str, Any] = {"start": START, "weights": weights, "max_iter": 3}
        alone = emframe.fit(MODEL, X, engine="serial", **options)
        fit = emframe.fit(MODEL, X, engine=engine, **options)
        assert fit.status is alone.status
        assert fit.error is None
        same(fit, alone)


@pytest.mark.parametrize("name", [name for name in HONEST if name != "finer blocks"])
def test_runs_are_counted_as_runs(name: str) -> None:
    options: dict[str, Any] = {"rng": 0, "n_starts": 1, "max_iter": 3}
    alone = emframe.fit(CHAIN, RUNS, engine="serial", **options)
    same(emframe.fit(CHAIN, RUNS, engine=Habit(HONEST[name]), **options), alone)


@pytest.mark.parametrize("method", ["observed", "scores", "bootstrap"])
def test_standard_errors_are_those_without_it(method: str) -> None:
    fit = emframe.fit(MODEL, X, start=LABELS)
    options: dict[str, Any] = {"method": method, "rng": 0}
    if method == "bootstrap":
        options["n_replicates"] = 3
    engine = Habit(HONEST["the last first"])
    found = fit.standard_errors(X, engine=engine, **options)
    alone = fit.standard_errors(X, engine="serial", **options)
    for mine, theirs in zip(leaves(found.params), leaves(alone.params), strict=True):
        assert mine.value == pytest.approx(theirs.value, rel=1e-3)


# ---- engines that do not keep their word


def other_weights(of_block: Any, blocks: Any) -> Any:
    """The right rows and the right total, but some rows have the weights of others."""
    return sum(of_block((x, w[::-1])) for x, w in blocks)


def one_for_another(of_block: Any, blocks: Any) -> Any:
    first, _, *others = blocks
    return sum(map(of_block, [first, first, *others]))


def narrow(of_block: Any, blocks: Any) -> Any:
    return sum(of_block((x.astype(np.float32), w)) for x, w in blocks)


def shared(of_block: Any, blocks: Any) -> Any:
    """Two threads in one workspace, the second while the first is at work."""
    work, begun, done = Workspace(), threading.Event(), threading.Event()

    def holds() -> None:
        with work.in_use():
            begun.set()
            done.wait()

    thread = threading.Thread(target=holds)
    thread.start()
    begun.wait()
    try:
        return sum(of_block(block, work) for block in blocks)
    finally:
        done.set()
        thread.join()


WRONG = {
    "drops one": (lambda f, blocks: sum(map(f, list(blocks)[1:])), "its sum is of 2"),
    "stops early": (lambda f, blocks: f(next(blocks)), "has 40000 rows .* took 10048 rows"),
    "takes one twice": (lambda f, blocks: sum(f(b) for b in [*list(blocks)[:1] * 2]), "its sum"),
    "one for another": (
        one_for_another,
        "took 40000 rows of total weight 79913, and its sum is of 40000",
    ),
    "nothing": (lambda f, blocks: None, "returned None"),
    "a list": (lambda f, blocks: list(map(f, blocks)), "returned a list"),
    "zero": (lambda f, blocks: 0, "returned an int"),
    "weights of others": (other_weights, "have other weights"),
    "narrow rows": (narrow, "but these are others"),
    "rows alone": (lambda f, blocks: sum(f(x) for x, _ in blocks), "what is no block"),
    "no workspace": (lambda f, blocks: sum(f(b, {}) for b in blocks), "dict for a workspace"),
    "a shared workspace": (shared, "two threads are at work in one workspace"),
    "adds something": (lambda f, blocks: sum(map(f, blocks), 1), "raised TypeError"),
    "takes apart": (lambda f, blocks: sum(f(b).loglik for b in blocks), "raised AttributeError"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_engine_that_breaks_its_word_is_told(name: str) -> None:
    habit, words = WRONG[name]
    engine = Habit(habit)
    with pytest.raises(EngineError, match=words) as caught:
        emframe.fit(MODEL, X, start=START, weights=WEIGHTS, engine=engine)
    assert "the engine Habit" in str(caught.value)
    fit = emframe.fit(MODEL, X, start=LABELS, weights=WEIGHTS)
    for method in ("observed", "scores"):
        with pytest.raises(EngineError, match="the engine Habit"):  # of fewer blocks or more
            fit.standard_errors(X, weights=WEIGHTS, engine=engine, method=method)


def test_rows_that_are_kept_are_right_or_told() -> None:
    engine = Keeps()
    plain = emframe.fit(MODEL, X, start=START)
    same(emframe.fit(MODEL, X, start=START, engine=engine), plain)
    with pytest.raises(EngineError, match=r"this pass has 40000 rows .* Keeps took 0 rows"):
        emframe.fit(MODEL, X, start=START, weights=WEIGHTS, engine=engine)
    with pytest.raises(EngineError, match="blocks and their weights are others in other passes"):
        plain.standard_errors(X, method="bootstrap", engine=engine, rng=0)
    with pytest.raises(EngineError, match="but these are others"):
        emframe.fit(MODEL, X[::-1] + 1.0, start=START, engine=engine)
    weighted = emframe.fit(MODEL, X, start=START, weights=WEIGHTS)
    same(emframe.fit(MODEL, X, start=START, weights=WEIGHTS, engine=Keeps()), weighted)


@pytest.mark.parametrize(
    "wrong", [sum, Keeps, type("Sums", (), {"sum": 3})()], ids=["function", "class", "number"]
)
def test_what_has_no_method_to_sum_by_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="a method `sum"):
        engine_for(wrong, 1)


def test_what_the_model_raises_is_raised_as_its_own() -> None:
    engine = engine_for(Habit(HONEST["a pool"]), 1)

    def fails(block: Any, _: Workspace) -> Any:
        raise ZeroDivisionError(f"{len(block[0])} rows")

    with pytest.raises(ZeroDivisionError, match="3 rows"):
        engine.sum(fails, [(np.zeros((n, 1)), np.ones(n)) for n in (3, 4)])


@pytest.mark.parametrize("name", ["one by one", "processes"])
def test_a_degenerate_component_is_the_same_status(name: str) -> None:
    rows = np.concatenate([RNG.normal(size=(200, 1)), np.full((200, 1), 50.0)])
    start = {"weights": [0.5, 0.5], "means": [[0.0], [50.0]], "covariances": [[[1.0]], [[1e-9]]]}
    told = [
        emframe.fit(MODEL, rows, engine=engine, start=start, max_iter=9)
        for engine in ("serial", Habit(HONEST[name]))
    ]
    assert told[0].status is told[1].status is Status.DEGENERATE
    assert told[0].message == told[1].message
    assert told[1].error is None


# ---- what fails in the middle


def gone() -> Any:
    raise OSError("the worker is gone")


FAILURES = {
    "raises": (gone, "OSError: the worker is gone"),
    "None": (lambda: None, "returned None"),
}


@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_keeps_the_best_point(n: int, name: str) -> None:
    failure, words = FAILURES[name]
    plain: dict[str, Any] = {"start": START, "accelerate": False}
    fit = emframe.fit(MODEL, X, engine=FailsAt(n, failure), **plain)
    until = emframe.fit(MODEL, X, max_iter=n - 2, **plain)  # whose last E-step is the one before
    assert fit.status is fit.starts[0].status is Status.ENGINE_FAILED
    assert not fit.converged
    assert words in fit.message
    assert "start=fit.params" in fit.message
    assert isinstance(fit.error, EngineError)
    same(fit, until)
    assert len(fit.trace) == n - 1
    onward = emframe.fit(MODEL, X, start=fit.params)
    assert onward.status is Status.CONVERGED
    same(onward, uncut())


def test_a_failure_before_there_is_a_point_is_raised() -> None:
    with pytest.raises(EngineError, match="the engine FailsAt raised OSError") as caught:
        emframe.fit(MODEL, X, start=START, engine=FailsAt(1, gone))
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(("few", "n"), [(400, 2), (400, 3), (400, 6), (N, 2), (N, 3), (N, 7)])
def test_a_search_that_fails_anywhere_keeps_the_best(few: int, n: int) -> None:
    x = X[:: N // few]
    engine = FailsAt(n, gone)
    fit = emframe.fit(MODEL, x, rng=0, engine=engine)
    assert engine.passes == n  # it is not asked again
    assert fit.status is Status.ENGINE_FAILED
    assert isinstance(fit.error.__cause__, OSError)
    best = emframe.fit(MODEL, x, rng=0).log_likelihood
    assert fit.log_likelihood == pytest.approx(best, rel=1e-2)
    assert np.isfinite(fit.icl)
    density = fit.score_samples(x)
    assert fit.log_likelihood == pytest.approx(density.sum(), rel=1e-10)


def test_one_start_of_several_that_fails_leaves_the_others() -> None:
    whole = emframe.fit(MODEL, X, rng=0, n_starts=1, engine=(engine := FailsAt(10**6, gone)))
    fit = emframe.fit(MODEL, X, rng=0, n_starts=2, engine=FailsAt(engine.passes + 1, gone))
    assert fit.status is Status.ENGINE_FAILED
    assert fit.starts[0].status is Status.CONVERGED
    assert fit.log_likelihood == whole.log_likelihood


def test_a_failure_in_the_last_pass_costs_nothing() -> None:
    counts = FailsAt(10**6, gone)
    whole = emframe.fit(MODEL, X, start=START, engine=counts)
    fit = emframe.fit(MODEL, X, start=START, engine=FailsAt(counts.passes, gone))
    assert fit.status is Status.ENGINE_FAILED
    assert fit.starts[0].status is Status.CONVERGED
    same(fit, whole)


def interrupted() -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("options", [{"start": START}, {"rng": 0}], ids=["a start", "a search"])
def test_an_engine_that_was_interrupted_is_not_asked_again(n: int, options: Any) -> None:
    """Its workers may have heard Ctrl-C as well, and would never answer."""
    engine = FailsAt(n, interrupted)
    with pytest.raises(emframe.Interrupted) as caught:
        emframe.fit(MODEL, X, engine=engine, **options)
    assert engine.passes == n
    fit = caught.value.fit
    assert fit.status is Status.INTERRUPTED
    assert fit.log_likelihood == pytest.approx(fit.score_samples(X).sum(), rel=1e-10)
    assert np.isfinite(fit.icl)


def test_ctrl_c_in_the_last_pass_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FailsAt(3, interrupted)
    monkeypatch.setattr(Serial, "sum", lambda *_: interrupted())
    with pytest.raises(emframe.Interrupted) as caught:
        emframe.fit(MODEL, X, start=START, engine=engine)
    assert len(caught.value.fit.trace) == 2
    assert np.isnan(caught.value.fit.icl)


def failing_source(n: int) -> emframe.Blocks:
    """Rows of which the n-th reading breaks off."""
    read = [0]

    def blocks() -> Iterator[Any]:
        read[0] += 1
        yield X[:30_000]
        if read[0] >= n:
            raise OSError("the disk is gone")
        yield X[30_000:]

    return emframe.Blocks(blocks, N, 2)


@pytest.mark.parametrize(
    "engine", ["serial", 2, Habit(HONEST["a pool"])], ids=["serial", "2", "own"]
)
def test_rows_that_can_no_more_be_read_are_a_failure_too(engine: Any) -> None:
    options: dict[str, Any] = {"start": START, "accelerate": False, "engine": engine}
    fit = emframe.fit(MODEL, failing_source(9), **options)
    assert fit.status is Status.ENGINE_FAILED
    assert isinstance(fit.error, OSError)
    assert "the disk is gone" in fit.message
    whole = emframe.fit(MODEL, X, start=START, accelerate=False, max_iter=9)
    assert list(fit.trace) == pytest.approx(whole.trace[: len(fit.trace)], rel=1e-12)
    assert len(fit.trace) > 1
    with pytest.raises(OSError, match="the disk is gone"):
        emframe.fit(MODEL, failing_source(1), **options)


@pytest.mark.parametrize("before", range(6))
def test_nor_can_they_be_read_to_judge_an_end(before: int) -> None:
    """The last readings of a fit: its last step, the verdict on its end, its saddle, its icl."""
    reads = [0]

    def blocks(last: int) -> Iterator[Any]:
        reads[0] += 1
        if reads[0] > last:
            raise OSError("the disk is gone")
        yield X

    def fitted(last: int) -> Any:
        reads[0] = 0
        return emframe.fit(MODEL, emframe.Blocks(lambda: blocks(last), N, 2), start=LABELS)

    whole = fitted(10**6)
    fit = fitted(reads[0] - 1 - before)
    assert fit.status is Status.ENGINE_FAILED
    assert isinstance(fit.error, OSError)
    assert "while the blocks of `X` were read" in fit.error.__notes__
    assert fit.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-6)


def test_a_checkpoint_goes_on_after_a_failure_to_the_same_bits(tmp_path: Any) -> None:
    options: dict[str, Any] = {"rng": 0, "n_starts": 2, "checkpoint": tmp_path / "fit.ckpt"}
    fit = emframe.fit(MODEL, X, engine=FailsAt(7, gone), **options)
    assert fit.status is Status.ENGINE_FAILED
    fit = emframe.fit(MODEL, X, engine="serial", **options)
    whole = emframe.fit(MODEL, X, engine="serial", rng=0, n_starts=2)
    assert fit.log_likelihood == whole.log_likelihood
    assert np.array_equal(fit.trace, whole.trace)


def test_a_selection_keeps_what_was_fitted() -> None:
    small = X[::100]
    counts = FailsAt(10**6, gone)
    emframe.select(("gaussian", [1]), small, rng=0, engine=counts)
    engine = FailsAt(counts.passes + 1, gone)
    chosen = emframe.select(("gaussian", [1, 2]), small, rng=0, engine=engine)
    assert [fit.status for fit in chosen.fits] == [Status.CONVERGED]
    assert "OSError: the worker is gone" in chosen.failures[0][1]
    with pytest.raises(EngineError, match="the worker is gone"):
        emframe.select(("gaussian", [1, 2]), small, rng=0, engine=FailsAt(1, gone))


def test_a_replicate_that_was_cut_short_is_none() -> None:
    small = X[::100]
    fit = emframe.fit(MODEL, small, rng=0)
    for n in (1, 2, 9):
        with pytest.raises(EngineError, match="the worker is gone"):
            fit.standard_errors(small, method="bootstrap", engine=FailsAt(n, gone), rng=0)
        with pytest.raises(EngineError, match="the worker is gone"):
            emframe.bootstrap_lrt(
                MODEL, emframe.Mixture("gaussian", 3), small, engine=FailsAt(n, gone), rng=0
            )


def test_a_fit_that_failed_is_saved_and_sent(tmp_path: Any) -> None:
    fit = emframe.fit(MODEL, X, start=START, engine=FailsAt(3, gone))
    fit.save(tmp_path / "a.fit")
    again = emframe.load(tmp_path / "a.fit")
    assert (again.status, again.message) == (fit.status, fit.message)
    assert str(pickle.loads(pickle.dumps(fit)).error) == str(fit.error)


# ---- tallies


@given(st.integers(1, 60), st.integers(1, 4), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_a_tally_is_of_the_rows_and_not_of_the_blocks(n: int, d: int, cut: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w, order = (
        rng.integers(3, size=(n, d)) * 1.0,
        rng.integers(1, 3, n) * 1.0,
        rng.permutation(n),
    )
    whole = tally((x, w))
    parts = (tally((x[order][i : i + cut], w[order][i : i + cut])) for i in range(0, n, cut))
    assert reduce(add, parts, Tally()).is_of(whole)
    assert (whole.rows, whole.weight) == (n, w.sum())
    row, column = rng.integers(n), rng.integers(d)
    for other_x, other_w in ((x.copy(), w), (x, w.copy())):
        if other_x is x:
            other_w[row] += 1.0
        else:
            other_x[row, column] += 1.0
        assert not tally((other_x, other_w)).is_of(whole)
    swapped = x[:, ::-1]
    assert tally((swapped, w)).is_of(whole) == bool(
        sorted(map(tuple, np.column_stack([swapped, w])))
        == sorted(map(tuple, np.column_stack([x, w])))
    )


def test_runs_of_other_lengths_or_in_another_order_are_others() -> None:
    x = np.arange(12.0).reshape(6, 2)
    whole = tally((emframe.Sequences(x, [2, 4]), np.ones(2)))
    assert whole.rows == 2
    both = [
        (emframe.Sequences(x[2:], [4]), np.ones(1)),
        (emframe.Sequences(x[:2], [2]), np.ones(1)),
    ]
    assert reduce(add, map(tally, both)).is_of(whole)
    assert not tally((emframe.Sequences(x, [4, 2]), np.ones(2))).is_of(whole)
    turned = np.concatenate([x[:2], x[2:][::-1]])
    assert not tally((emframe.Sequences(turned, [2, 4]), np.ones(2))).is_of(whole)


def test_a_workspace_is_sent_empty_and_is_for_one_thread() -> None:
    work = Workspace()
    work("a", 1000)[:] = 1.0
    assert len(pickle.dumps(work)) < 200
    with work.in_use(), pytest.raises(RuntimeError, match="a Workspace\\(\\) for each thread"):
        work.in_use().__enter__()
    with work.in_use() as again:
        assert again is work
