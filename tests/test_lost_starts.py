"""Starts that end early, and the search that goes on: a component lost, or an exception raised."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import pytest
from mutants import Normal

import emframe
from emframe import Mixture, Status
from emframe.fitting import search
from emframe.fitting.result import RESEEDED
from emframe.models import starts
from emframe.models.reseeding import placed, without
from emframe.spaces import Array

# ---- a component lost

K = 8
RNG = np.random.default_rng(2)
LABELS = np.repeat(np.arange(K), 40)
X = (10.0 * LABELS + RNG.normal(size=len(LABELS)))[:, None]
X[:3] = 0.0  # a point on which a component can end


@dataclass(frozen=True, init=False)
class Starving(Mixture):
    """A mixture that starts with a component on a point, and one on two clusters."""

    def starts(self, rows: Any, rng: Any) -> Any:
        while True:
            yield "starving", self.start_on_a_point()

    def start_on_a_point(self) -> Any:
        centres = 10.0 * np.arange(K)
        centres[[0, 1]] = 0.0, 0.3
        centres[5], centres[6] = 55.0, 10.0
        spread = np.ones(K)
        spread[0], spread[5] = 1e-6, 26.0
        return self.build(
            {
                "weights": np.full(K, 1 / K),
                "means": centres[:, None],
                "covariances": spread[:, None, None],
            }
        )


MODEL = Starving("gaussian", K)


def test_a_start_goes_on_with_a_lost_component_elsewhere(tmp_path: Any) -> None:
    truth = emframe.fit(Mixture("gaussian", K), X, start=LABELS)
    given = emframe.fit(MODEL, X, start=MODEL.start_on_a_point())
    assert given.status is Status.DEGENERATE  # what the user passes stays as it is
    fit = emframe.fit(MODEL, X, rng=0, n_starts=1)
    assert fit.log_likelihood == pytest.approx(truth.log_likelihood, abs=1e-6)
    died, again = fit.starts
    assert (died.status, died.parent, died.kind) == (Status.DEGENERATE, None, "starving")
    assert (again.status, again.parent, again.kind) == (Status.CONVERGED, 0, RESEEDED)
    assert again.is_own
    assert fit.n_found == 1
    assert "1 start and 1 start that went on with a starved component elsewhere" in str(fit)
    fit.save(tmp_path / "reseeded.fit")
    assert emframe.load(tmp_path / "reseeded.fit").starts == fit.starts


def test_a_search_that_was_stopped_goes_on_past_a_lost_component(tmp_path: Any) -> None:
    whole = emframe.fit(MODEL, X, rng=0, n_starts=3)
    path = tmp_path / "checkpoint"
    seen = [0]

    def stop(step: Any) -> None:
        seen[0] += step.index == 0
        if seen[0] == 3:
            raise KeyboardInterrupt

    with pytest.raises(emframe.Interrupted):
        emframe.fit(MODEL, X, rng=0, n_starts=3, checkpoint=path, callbacks=[stop])
    again = emframe.fit(MODEL, X, rng=0, n_starts=3, checkpoint=path)
    assert again.starts == whole.starts
    assert again.log_likelihood == whole.log_likelihood


def test_few_components_are_not_followed_up() -> None:
    """One of two or three that is lost is a third of the start, and another start is as good."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(size=(100, 1)), np.zeros((50, 1))])
    fit = emframe.fit(Mixture("gaussian", 3), rows, rng=0, n_starts=12)
    assert any(one.status is Status.DEGENERATE for one in fit.starts)
    assert not any(one.is_reseeded for one in fit.starts)


@pytest.mark.parametrize("k", [2, 5, 11])
def test_the_component_that_holds_two_clusters_is_halved(k: int) -> None:
    labels = np.where(LABELS == 3, 4, LABELS) if k != 11 else LABELS
    resp = np.eye(K)[labels] if k != 11 else np.eye(K)[np.where(LABELS == 7, 6, LABELS)]
    free = 3 if k != 11 else 7
    family = Mixture("gaussian", K).family
    scaled = X * float(k)  # a change of units changes nothing
    new = placed(family, resp, free, scaled, scaled, np.ones(len(X)), np.random.default_rng(k))
    changed = np.flatnonzero((new != resp).any(axis=0))
    assert set(changed) == ({3, 4} if k != 11 else {6, 7})
    assert new.sum(axis=1) == pytest.approx(np.ones(len(X)))


def test_what_a_component_had_goes_to_the_others() -> None:
    resp = np.array([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(without(resp, 0), [[0, 0.6, 0.4], [0, 0.5, 0.5]])


# ---- many components


def clusters(k: int, d: int, seed: int) -> tuple[Array, Any]:
    """K clusters of 40 rows each, 10 deviations apart."""
    rng = np.random.default_rng(seed)
    centres = [np.zeros(d)]
    while len(centres) < k:
        one = rng.uniform(0, 15.0 * k ** (1 / d), d) if d > 1 else np.array([10.0 * len(centres)])
        if min(np.linalg.norm(one - other) for other in centres) >= 10.0:
            centres.append(one)
    labels = np.repeat(np.arange(k), 40)
    return np.array(centres)[labels] + rng.normal(size=(40 * k, d)), labels


@pytest.mark.parametrize(
    ("k", "d"),
    [
        (20, 1),
        (60, 1),
        pytest.param(60, 5, marks=pytest.mark.deep),
        pytest.param(100, 3, marks=pytest.mark.deep),
    ],
)
def test_many_clusters_are_all_found(k: int, d: int) -> None:
    rows, labels = clusters(k, d, k + d)
    model = Mixture("gaussian", k)
    truth = emframe.fit(model, rows, start=labels)
    fit = emframe.fit(model, rows, rng=0)
    assert fit.log_likelihood > truth.log_likelihood - 1e-4
    assert fit.starts[0].objective > truth.log_likelihood - 1e-4  # the very first start


def test_many_clusters_of_answers_are_all_found() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), 50)
    chances = 0.05 + 0.9 * (rng.random((20, 40)) < 0.5)
    rows = (rng.random((1000, 40)) < chances[labels]).astype(float)
    model = Mixture("bernoulli", 20)
    truth = emframe.fit(model, rows, start=labels)
    assert emframe.fit(model, rows, rng=0).log_likelihood > truth.log_likelihood - 1e-4


def test_every_cluster_gets_a_seed() -> None:
    rows, labels = clusters(100, 3, 0)
    scaled = rows / rows.std(axis=0)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        seeds = starts._exchanged(scaled, starts._spread_rows(scaled, 100, rng), rng)
        nearest = np.square(scaled[:, None] - seeds).sum(axis=2).argmin(axis=0)
        assert len(set(labels[nearest])) == 100


# ---- an exception raised

ROWS = np.asarray(emframe.dataset("faithful").X)[::4]


class Fragile(Normal):
    """A family whose density is infinite where a mean lies too high at a trial."""

    failing: ClassVar[set[int]] = set()
    calls: ClassVar[list[int]] = []

    def m_step(self, statistics: Any, previous: Any) -> Any:
        if previous is None:
            self.calls.append(len(self.calls))
            if self.calls[-1] in self.failing:
                raise emframe.FamilyError("no finite density at a trial point")
        return super().m_step(statistics, previous)


class FragileLater(Fragile):
    """The same after the first step of a start."""

    def m_step(self, statistics: Any, previous: Any) -> Any:
        if previous is not None and len(self.calls) - 1 in self.failing:
            raise emframe.FamilyError("no finite density at a trial point")
        self.calls.extend([len(self.calls)] if previous is None else [])
        return Normal.m_step(self, statistics, previous)


@pytest.fixture(autouse=True)
def nothing_fails() -> Any:
    Fragile.failing.clear()
    Fragile.calls.clear()


@pytest.mark.parametrize("family", [Fragile, FragileLater])
@pytest.mark.parametrize("failing", [{0}, {1, 3}, {0, 1, 2}])
def test_a_start_that_fails_is_listed(family: Any, failing: set[int]) -> None:
    Fragile.failing.update(failing)
    fit = emframe.fit(Mixture(family(), 2), ROWS, rng=0, n_starts=4)
    assert fit.converged
    assert {one.index for one in fit.starts if one.status is Status.FAILED} == failing
    told = fit.starts[min(failing)]
    assert "no finite density at a trial point" in told.message
    assert np.isnan(told.objective)
    assert not told.status.usable
    assert f"{len(failing)} failed" in str(fit)
    assert "no finite density at a trial point" in str(fit)


@pytest.mark.parametrize("family", [Fragile, FragileLater])
@pytest.mark.parametrize("n_starts", [1, 3, "default"])
def test_where_every_start_fails_the_first_error_is_raised(family: Any, n_starts: Any) -> None:
    Fragile.failing.update(range(1000))
    with pytest.raises(emframe.FamilyError, match="at a trial point") as caught:
        emframe.fit(Mixture(family(), 2), ROWS, rng=0, n_starts=n_starts)
    assert any("normal mixture, K = 2, start" in note for note in caught.value.__notes__)
    assert "m_step" in {entry.name for entry in caught.traceback}
    assert len(Fragile.calls) <= 2 * search.FAILURES


def test_the_exception_of_a_callback_ends_the_fit_at_once() -> None:
    def refuse(step: Any) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        emframe.fit(Mixture(Fragile(), 2), ROWS, rng=0, n_starts=4, callbacks=[refuse])
    assert len(Fragile.calls) == 1


def test_what_failed_last_is_tried_again(tmp_path: Any) -> None:
    """A family that was mended goes on from the checkpoint of the fit that it ended."""
    path, model = tmp_path / "checkpoint", Mixture(Fragile(), 2)
    Fragile.failing.update(range(1000))
    with pytest.raises(emframe.FamilyError):
        emframe.fit(model, ROWS, rng=0, n_starts=3, checkpoint=path)
    Fragile.failing.clear()
    fit = emframe.fit(model, ROWS, rng=0, n_starts=3, checkpoint=path)
    assert [one.status for one in fit.starts] == [Status.CONVERGED] * 3


def test_a_search_goes_on_past_a_start_that_failed(tmp_path: Any) -> None:
    path, model = tmp_path / "checkpoint", Mixture(Fragile(), 2)
    Fragile.failing.add(0)
    first = emframe.fit(model, ROWS, rng=0, n_starts=3, checkpoint=path)
    again = emframe.fit(model, ROWS, rng=0, n_starts=3, checkpoint=path)
    told = [[(one.kind, one.status, one.trace) for one in fit.starts] for fit in (first, again)]
    assert told[0] == told[1]
    assert told[0][0][1] is Status.FAILED


def test_a_failed_status_has_a_remedy() -> None:
    assert "check_family" in Status.FAILED.message
    assert not Status.FAILED.usable
    assert not Status.FAILED.is_optimum


def test_a_supply_of_starts_outlives_one_that_fails() -> None:
    Fragile.failing.add(1)
    model = Mixture(Fragile(), 2)
    made = list(islice(model.starts(model.rows(ROWS), np.random.default_rng(0)), 3))
    assert [isinstance(params, Exception) for _, params in made] == [False, True, False]
