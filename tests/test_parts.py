"""Rows that lie in parts: everything that a fit asks of rows, by tasks that are sent to them.

The oracle is the same fit of the same rows in one array.  Parts are few and small here, and stay
where they are all the same: `never_brought` lets none come here but for a sample.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_abilities import ABILITIES, SUBJECTS, Subject

import emframe
from emframe import Part, Parts, Status
from emframe.data import placed, processes
from emframe.data.parts import Here, has_weights
from emframe.engines import EngineError

CLOSE = 1e-10  # relative: the same sums, added up otherwise
MODEL = emframe.Mixture("gaussian", 2)
X = SUBJECTS["mixture"].X


@pytest.fixture
def never_brought(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few rows are, they stay in their parts, and what brings them here raises."""
    sample, brought, allowed = placed.PlacedRows.sample, placed.PlacedBlocks.brought, [False]

    def sampled(self: Any, *args: Any) -> Any:
        allowed[0] = True
        try:
            return sample(self, *args)
        finally:
            allowed[0] = False

    def refused(self: Any) -> Iterator[Any]:
        assert allowed[0], "rows were brought from their parts"
        return brought(self)

    monkeypatch.setattr(placed, "FEW_ROWS", 0)
    monkeypatch.setattr(placed.PlacedRows, "sample", sampled)
    monkeypatch.setattr(placed.PlacedBlocks, "brought", refused)


def cut(x: Any, n: int = 3) -> list[Any]:
    """Rows, or runs of rows, in n parts of unlike sizes."""
    ends = [0, *np.sort(np.random.default_rng(5).choice(len(x) - 1, n - 1, replace=False) + 1)]
    return [x[first:last] for first, last in zip(ends, [*ends[1:], len(x)], strict=True)]


def alike(one: Any, other: Any) -> None:
    assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=CLOSE)
    assert one.status is other.status
    assert (one.n_rows, one.columns) == (other.n_rows, other.columns)


@pytest.mark.usefixtures("never_brought")
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_fit_over_parts_is_that_of_one_array(name: str) -> None:
    model, x = SUBJECTS[name]
    options: dict[str, Any] = {"rng": 0, "n_starts": 1, "max_iter": 30}
    whole, parts = emframe.fit(model, x, **options), Parts(cut(x))
    found = emframe.fit(model, parts, **options)
    alike(found, whole)
    for density, other in zip(found.posterior(parts), found.posterior(x), strict=True):
        np.testing.assert_allclose(density, other, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("never_brought")
@pytest.mark.parametrize(
    "ability", ["under_a_prior", "from_labels", "as_a_stream", "with_a_component_held"]
)
def test_what_a_model_can_it_can_over_parts(ability: str) -> None:
    for name in ("gaps", "chain"):
        model, x = SUBJECTS[name]
        ABILITIES[ability](Subject(model, Parts(cut(x))))


def _questions() -> dict[str, Callable[[Any, Any], Any]]:
    def errors(fit: Any, x: Any, **options: Any) -> Any:
        table = fit.standard_errors(x, **options).table
        return np.array([one["standard_error"] for one in table], dtype=float)

    return {
        "observed": errors,
        "sandwich": partial(errors, method="sandwich"),
        "scores": partial(errors, method="scores"),
        "clusters": partial(errors, method="sandwich", clusters=np.arange(120) // 2),
        "bootstrap": partial(errors, method="bootstrap", n_replicates=3, rng=0),
        "missing information": lambda fit, x: fit.information(x).rate,
        "diagnostics": lambda fit, x: fit.diagnostics(x).classes.errors,
        "log densities": lambda fit, x: fit.score_samples(x),
        "labels": lambda fit, x: fit.predict(x),
        "held out": lambda _, x: (
            emframe.select([MODEL], x, criterion="cv", folds=2, rng=0, n_starts=1).held_out
        ),
    }


@pytest.mark.usefixtures("never_brought")
@pytest.mark.parametrize("question", _questions())
def test_what_is_asked_of_rows_is_asked_of_their_parts(question: str) -> None:
    ask, fit = _questions()[question], emframe.fit(MODEL, X, rng=0)
    np.testing.assert_allclose(ask(fit, Parts(cut(X))), ask(fit, X), rtol=1e-6)


@pytest.mark.usefixtures("never_brought")
def test_weights_and_labels_lie_with_their_parts() -> None:
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(3)
    z = np.repeat([0, 1], 60)
    weights = rng.integers(0, 4, 120).astype(float)
    weights[:30] = 0.0  # some parts have no row left
    frame = pandas.DataFrame(X, columns=["a", "b"]).assign(
        w=weights, z=np.where(rng.random(120) < 0.2, z, -1), sex=np.where(z == 0, "f", "m")
    )
    frame.loc[[40, 100], "sex"] = ["m", "f"]
    frames = [frame[:20], frame[20:45], frame[45:45], frame[45:]]
    model = emframe.Mixture("gaussian", 2, weights=emframe.Gate("sex"))
    seen = frame[["a", "b", "sex"]]
    whole = emframe.fit(model, seen, weights=weights, labels=frame["z"], n_starts=1, rng=0)
    named = emframe.fit(model, Parts(frames), weights="w", labels="z", n_starts=1, rng=0)
    held = Parts(
        [one[["a", "b", "sex"]] for one in frames],
        weights=[one["w"] for one in frames],
        labels=[one["z"] for one in frames],
    )
    alike(named, whole)
    alike(emframe.fit(model, held, labels=True, n_starts=1, rng=0), whole)
    sent = emframe.fit(model, Parts([one[["a", "b", "sex"]] for one in frames]), weights=weights)
    assert sent.n_rows == weights.sum()
    assert len(whole.predict(Parts(frames))) == 120  # of weight 0 too


def test_a_stream_learns_from_parts_what_it_learns_from_one_array() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 2)) + 5.0 * rng.integers(2, size=(900, 1))
    stepwise = emframe.Stepwise(emframe.Mixture("gaussian", 2))
    begun = stepwise.begin(x[:300], rng=0)
    whole, in_parts = begun, begun
    for first in (300, 600):
        block = x[first : first + 300]
        whole = stepwise.update(whole, block)
        in_parts = stepwise.update(in_parts, Parts(np.array_split(block, 3)))
    assert in_parts.n_rows == 600.0
    assert in_parts.mean_log_density == pytest.approx(whole.mean_log_density, rel=1e-12)
    mine, theirs = (one.params.components.means for one in (in_parts, whole))
    assert mine == pytest.approx(theirs, rel=1e-10)


def test_bad_rows_are_refused_by_their_numbers_among_all() -> None:
    bad = X.copy()
    bad[70, 1] = np.nan
    with pytest.raises(ValueError, match="row 70, column 1") as refused:
        emframe.fit(MODEL, Parts([bad[:50], bad[50:60], bad[60:]]))
    assert "part 2 of `X`, whose first row is row 60" in refused.value.__notes__[0]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Parts([]), ValueError, "one part or more"),
        (lambda: Parts(X), TypeError, "a list with the rows of each part"),
        (lambda: Parts(cut(X), weights=[1.0]), ValueError, "each of the 3 parts"),
        (lambda: Parts(cut(X), workers=-1), ValueError, "1 or more"),
        (lambda: Parts([X[:0], X[:0]]), ValueError, "no rows"),
        (lambda: Parts([X, X[:, :1]]), ValueError, "part 1 of `X` has the columns"),
        (lambda: Parts([Part(X, np.ones(120)), Part(X)]), ValueError, "no weights"),
        (lambda: Parts(Here([Part(X)]), weights="w"), TypeError, "go with a list"),
    ],
)
def test_what_cannot_be_parts_is_refused(
    make: Callable[[], Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        emframe.fit(MODEL, make())


@pytest.mark.usefixtures("never_brought")
def test_labels_and_weights_that_are_not_with_their_parts_are_refused() -> None:
    with pytest.raises(TypeError, match="lie with their part"):
        emframe.fit(MODEL, Parts(cut(X)), labels=np.zeros(120))
    with pytest.raises(ValueError, match="shape \\(3,\\), data has 120 rows"):
        emframe.fit(MODEL, Parts(cut(X)), weights=np.ones(3))
    with pytest.raises(TypeError, match="worked on where they lie"):
        emframe.fit(MODEL, Parts(cut(X)), engine=_Engine())


class _Engine:
    def sum(self, of_block: Any, blocks: Any) -> Any:
        return sum(map(of_block, blocks))


def test_rows_that_have_to_come_together_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fit, there = emframe.fit(MODEL, X, rng=0), Parts(cut(X))
    poisson = emframe.fit(emframe.Mixture("poisson", 1), np.arange(9.0), rng=0)
    monkeypatch.setattr(placed, "FEW_ROWS", 8)
    counts = Parts([np.arange(4.0), np.arange(4.0, 9.0)])
    told = "all 9 rows of `X`, 0.0 MB, are brought here from their parts"
    with pytest.warns(UserWarning, match=told):
        gap = poisson.gap(counts)
    assert gap.most == pytest.approx(poisson.gap(np.arange(9.0)).most)
    fit.predict(there)  # of which nothing is told


# ---- places that fail


class Broken(Here):
    """Parts of which, from one call on, something is wrong."""

    calls = 0
    wrong: Callable[[list[Any]], Sequence[Any]]

    def each(self, task: Any, args: Any) -> Any:
        type(self).calls += 1
        found = list(super().each(task, args))
        return type(self).wrong(found) if type(self).calls > 9 else found


def _raises(found: list[Any]) -> list[Any]:
    raise OSError("the line is dead")


def _is_nan_once(found: list[Any]) -> list[Any]:
    if Broken.calls == 10:
        value = found[1].value
        if hasattr(value, "_replace"):
            found[1] = placed.replace(found[1], value=value._replace(loglik=np.nan))
    return found


WRONG: dict[str, tuple[Callable[[list[Any]], Any], str]] = {
    "raises": (_raises, "OSError: the line is dead"),
    "one is missing": (lambda found: found[:-1], r"the parts \[0, 1\], where there are 3"),
    "one comes twice": (lambda found: [found[0], *found[:2]], r"the parts \[0, 0, 1\]"),
    "another order": (lambda found: found[::-1], r"the parts \[2, 1, 0\]"),
    "other rows": (
        lambda found: [found[0], placed.replace(found[0], index=1), found[2]],
        "part 1 of `X` answered for .* rows",
    ),
    "nothing": (lambda found: [None] * 3, "None"),
    "nan once": (_is_nan_once, "part 1 of `X` answered nan, and then a number"),
}


@pytest.mark.usefixtures("never_brought")
@pytest.mark.parametrize("fault", WRONG)
def test_a_fault_ends_the_fit_with_the_best_parameters(fault: str) -> None:
    wrong, words = WRONG[fault]
    Broken.calls, Broken.wrong = 0, staticmethod(wrong)  # type: ignore[assignment]
    start = np.repeat([0, 1], 60)
    start[50:70] = 1 - start[50:70]
    begun = emframe.fit(MODEL, X, start=start, accelerate=False)
    fit = emframe.fit(
        MODEL, Parts(Broken([Part(x) for x in cut(X)])), start=start, accelerate=False
    )
    assert fit.status is Status.ENGINE_FAILED
    assert isinstance(fit.error, EngineError)
    with pytest.raises(EngineError, match=words):
        raise fit.error
    n = len(fit.trace)
    assert 1 <= n < len(begun.trace)
    np.testing.assert_allclose(fit.trace, begun.trace[:n], rtol=CLOSE)
    assert fit.n_rows == 120


def test_a_fault_before_there_is_anything_is_raised() -> None:
    Broken.calls, Broken.wrong = 9, staticmethod(_raises)  # type: ignore[assignment]
    with pytest.raises(EngineError, match="the line is dead"):
        emframe.fit(MODEL, Parts(Broken([Part(X)])))


def test_rows_that_change_between_passes_are_told() -> None:
    rng = np.random.default_rng(0)

    def drawn_anew() -> Any:
        return rng.normal(size=(30_000, 2))

    with pytest.raises(EngineError, match="but these are others"):
        emframe.fit(MODEL, Parts([drawn_anew], keep=False))


# ---- processes


def test_processes_hold_parts_and_give_the_same_bits(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = np.concatenate([X + 0.1 * k for k in range(200)])
    paths = [tmp_path / f"{i}.npy" for i in range(3)]
    for path, x in zip(paths, cut(big), strict=True):
        np.save(path, x)
    there = Parts([partial(np.load, path) for path in paths], workers=2, patience=60.0)
    found = emframe.fit(MODEL, there, rng=0)
    assert np.array_equal(found.trace, emframe.fit(MODEL, Parts(cut(big)), rng=0).trace)

    # Ones that die, or hang, are replaced, and what they are asked is asked again.
    places: Any = there.places

    def send(number: int) -> None:
        os.kill(places.members[0].process.pid, number)

    send(signal.SIGKILL)
    assert there.each(has_weights) == [False] * 3
    places.patience = 3.0
    send(signal.SIGSTOP)
    assert there.each(has_weights) == [False] * 3
    monkeypatch.setattr(processes, "TRIES", 1)
    send(signal.SIGKILL)
    with pytest.raises(EngineError, match=r"the parts 0, 2 of `X` were lost .* exit code -9"):
        there.each(has_weights)
    places.close()


SCRIPT = """
import signal
import numpy as np
import emframe

def watch(step):
    if step.index == 3:
        print("under way", flush=True)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is deaf
    X = np.random.default_rng(0).normal(size=(30_000, 4))
    parts = emframe.Parts([X[:10_000], X[10_000:]], workers=1)
    start = np.arange(30_000) % 6
    try:
        emframe.fit(
            emframe.Mixture("gaussian", 6), parts, start=start, tol=1e-300, accelerate=False,
            callbacks=[watch],
        )
    except emframe.Interrupted as stop:
        print("kept", np.isfinite(stop.fit.log_likelihood), len(stop.fit.trace) > 2)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_to_all_processes_keeps_the_best_so_far(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, str(path)], stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "under way\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert err == ""
    assert out.splitlines()[-1] == "kept True True"
    assert process.returncode == 0


def test_what_cannot_be_sent_to_a_process_is_told() -> None:
    with pytest.raises(EngineError, match="at the top of a module"):
        Parts(cut(X), workers=1).each(lambda part: None)


# ---- Dask


def test_dask_without_a_client() -> None:
    array = pytest.importorskip("dask.array")
    big = np.concatenate([X + 0.1 * k for k in range(200)])
    chunks = array.from_array(big, chunks=(10_000, 1))
    fit = emframe.fit(MODEL, chunks, rng=0)
    there = emframe.fit(MODEL, Parts([big[:10_000], big[10_000:20_000], big[20_000:]]), rng=0)
    assert np.array_equal(fit.trace, there.trace)
    shares = fit.predict_proba(chunks)
    assert shares.chunks == ((10_000, 10_000, 4_000), (2,))
    np.testing.assert_array_equal(shares.compute(), fit.predict_proba(big))
    np.testing.assert_array_equal(fit.predict(chunks).compute(), fit.predict(big))
    chain = emframe.model("hidden-markov", family="gaussian", n_states=2)
    with pytest.raises(TypeError, match="without regard to runs"):
        emframe.fit(chain, chunks)


BIG = np.concatenate([X + 0.1 * k for k in range(200)])


@contextmanager
def two_workers() -> Iterator[tuple[Any, Any, Any]]:
    """A cluster of two workers in this process, its client, and a frame in two parts."""
    pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    frames = pytest.importorskip("dask.dataframe")
    pandas = pytest.importorskip("pandas")
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            dashboard_address=None,
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        table = pandas.DataFrame(BIG, columns=["a", "b"]).assign(w=1.0)
        yield cluster, client, frames.from_pandas(table, npartitions=2)


def test_dask_on_a_cluster() -> None:
    here = emframe.fit(MODEL, Parts([BIG[:12_000], BIG[12_000:]]), rng=0)
    with two_workers() as (_, client, chunks):
        addresses = list(client.scheduler_info()["workers"])

        def lose_one(step: Any) -> None:
            """Its parts are made again by the other worker."""
            if len(addresses) == 2:
                client.retire_workers([addresses.pop()])

        fit = emframe.fit(MODEL, chunks, weights="w", rng=0, callbacks=[lose_one])
        assert len(addresses) == 1
        assert np.array_equal(fit.trace, here.trace)
        assert fit.columns == ("a", "b")
        labels = fit.predict(chunks)
        assert labels.npartitions == 2
        np.testing.assert_array_equal(labels.compute(), fit.predict(BIG))


def test_a_scheduler_that_is_gone_ends_the_fit_with_the_best_so_far() -> None:
    dask = pytest.importorskip("dask")
    start = np.repeat([0, 1], 12_000)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        two_workers() as (cluster, _, chunks),
    ):

        def lose_all(step: Any) -> None:
            if step.index == 2:
                cluster.sync(cluster.scheduler.close)

        cut_short = emframe.fit(MODEL, chunks, weights="w", start=start, callbacks=[lose_all])
    assert cut_short.status is Status.ENGINE_FAILED
    assert isinstance(cut_short.error, EngineError)
    whole = emframe.fit(MODEL, BIG, start=start, max_iter=2)
    np.testing.assert_allclose(cut_short.trace, whole.trace, rtol=CLOSE)
