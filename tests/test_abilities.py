"""What a mixture can do every model with components can: a table of models times abilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import emframe
from emframe import variants
from emframe.models import observed


class Subject(NamedTuple):
    """A model, and data for it."""

    model: Any
    X: Any


def _rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.vstack([rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 5.0])


def _four_columns() -> np.ndarray:
    rng = np.random.default_rng(3)
    behind = np.vstack([rng.normal(size=(60, 1)), rng.normal(size=(60, 1)) + 6.0])
    return behind @ rng.normal(size=(1, 4)) + rng.normal(size=(120, 4))


def _with_gaps() -> np.ndarray:
    x = _rows()
    x[np.random.default_rng(1).random(x.shape) < 0.1] = np.nan
    return x


def _runs(of_kinds: bool = False) -> emframe.Sequences:
    rng = np.random.default_rng(2)
    z = [[0]]
    for run in range(24):
        stay = 0.95 if of_kinds and run % 2 else 0.5
        path = [rng.integers(2)]
        for _ in range(19):
            path.append(path[-1] if rng.random() < stay else 1 - path[-1])
        z.append(path)
    states = np.concatenate(z[1:])
    rows = rng.normal(np.array([0.0, 5.0])[states])[:, None]
    return emframe.Sequences(rows, np.full(24, 20))


CHAIN = emframe.model("hidden-markov", family="gaussian", n_states=2)
SUBJECTS = {
    "mixture": Subject(emframe.Mixture("gaussian", 2), _rows()),
    "gaps": Subject(emframe.Mixture("gaussian", 2, missing=True), _with_gaps()),
    "old name of gaps": Subject(emframe.model("incomplete-gaussian", n_components=2), _with_gaps()),
    "factors": Subject(emframe.Mixture("factor-analysis", 2), _four_columns()),
    "nested": Subject(emframe.Mixture(emframe.Mixture("gaussian", 2), 2), _rows()),
    "product": Subject(
        emframe.Mixture(emframe.Product({0: "gaussian", 1: "gaussian"}), 2), _rows()
    ),
    "chain": Subject(CHAIN, _runs()),
    "stationary chain": Subject(
        emframe.model("hidden-markov", family="gaussian", initial="stationary"), _runs()
    ),
    "chain of mixtures": Subject(
        emframe.model("hidden-markov", family=emframe.Mixture("gaussian", 2), n_states=2), _runs()
    ),
    "mixture of chains": Subject(emframe.Mixture(CHAIN, 2), _runs(of_kinds=True)),
    "grouped": Subject(
        emframe.Mixture(emframe.Grouped("gaussian"), 2),
        emframe.Sequences(_rows()[:, :1], np.full(30, 4)),
    ),
}


def fitted(subject: Subject, **options: Any) -> emframe.Fit:
    return emframe.fit(subject.model, subject.X, rng=0, **{"n_starts": 2, **options})


def under_a_prior(subject: Subject) -> None:
    fit = fitted(subject, prior="weak")
    assert fit.status.usable
    assert np.isfinite(fit.objective)
    assert fit.objective != fit.log_likelihood


def from_responsibilities(subject: Subject) -> None:
    fit = fitted(subject)
    shares = fit.predict_proba(subject.X)
    again = emframe.fit(subject.model, subject.X, start=np.asarray(shares))
    assert again.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-3)


def from_labels(subject: Subject) -> None:
    fit = fitted(subject)
    labels = np.asarray(fit.predict(subject.X))
    again = emframe.fit(subject.model, subject.X, start=labels)
    assert again.log_likelihood == pytest.approx(fit.log_likelihood, abs=1e-3)


def as_a_stream(subject: Subject) -> None:
    online = emframe.Stepwise(subject.model)
    stream = online.begin(subject.X, rng=0, n_starts=1)
    stream = online.update(stream, subject.X)
    assert np.isfinite(stream.mean_log_density)


def by_classification(subject: Subject) -> None:
    fit = fitted(subject)
    run = variants.classification(subject.model, subject.X, start=fit.params)
    assert run.status.usable
    assert all(b >= a - 1e-9 * abs(a) for a, b in zip(run.trace, run.trace[1:], strict=False))
    assert run.step.objective <= fit.log_likelihood + 1e-6 * abs(fit.log_likelihood)


def by_annealing(subject: Subject) -> None:
    fit = fitted(subject)
    run = variants.annealed(subject.model, subject.X, (1.5, 1.0), start=fit.params, rng=0)
    assert run.status.usable
    assert run.step.objective <= fit.log_likelihood + 1.0


def by_draws(subject: Subject) -> None:
    fit = fitted(subject)
    run = variants.stochastic(subject.model, subject.X, 3, start=fit.params, rng=0)
    assert np.isfinite(run.step.objective)


def with_its_sums_certified(subject: Subject) -> None:
    fit = fitted(subject)
    rows = observed(fit.model, subject.X)
    q = fit.model.expect(fit.params, rows.x, rows.weights)
    assert q.value(fit.params) + q.entropy == pytest.approx(q.loglik, rel=1e-10)
    for one in fit.model.passes(fit.params, fit.model.survey(rows)):
        work = emframe.engines.Workspace()
        found = one.finish(one.block((rows.x, rows.weights), work))
        if found is not None:
            assert found.loglik == pytest.approx(q.loglik, rel=1e-9)
            assert found.entropy == pytest.approx(q.entropy, rel=1e-7, abs=1e-7)
            assert found.value(fit.params) == pytest.approx(q.value(fit.params), rel=1e-9)


def with_the_slope_of_its_likelihood(subject: Subject) -> None:
    from emframe.parameters import from_vector, to_vector

    fit = fitted(subject, max_iter=2, n_starts=1)
    rows = observed(fit.model, subject.X)
    q = fit.model.expect(fit.params, rows.x, rows.weights)
    at, slope = to_vector(fit.params), q.gradient()
    assert slope.shape == at.shape
    for j in range(0, len(at), max(1, len(at) // 5)):
        step = np.zeros_like(at)
        step[j] = 1e-5
        up, down = (
            fit.model.posterior(from_vector(fit.params, at + side * step), rows.x)[0] @ rows.weights
            for side in (1.0, -1.0)
        )
        assert slope[j] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-3)


def with_a_component_held(subject: Subject) -> None:
    fields = emframe.parameters.leaves(fitted(subject, n_starts=1).params)
    means = next(leaf for leaf in fields if leaf.path.endswith("means"))
    path = means.path.removeprefix("components.")
    held = emframe.fixed(subject.model, **{path: np.asarray(means.value)})
    fit = emframe.fit(held, subject.X, rng=0, n_starts=1)
    found = {leaf.path: leaf.value for leaf in emframe.parameters.leaves(fit.params)}
    assert found[means.path] == pytest.approx(means.value)
    beside = (path.replace("means", name) for name in ("covariances", "noise"))
    spreads = next(name for name in beside if f"components.{name}" in found)
    tied = emframe.tied(subject.model, spreads)
    shared = emframe.fit(tied, subject.X, rng=0, n_starts=1).params
    found = {leaf.path: leaf.value for leaf in emframe.parameters.leaves(shared)}
    one, other = found[f"components.{spreads}"][:2]
    assert one == pytest.approx(other)


def saved_and_loaded(subject: Subject, tmp_path: Any = None) -> None:
    import tempfile
    from pathlib import Path

    fit = fitted(subject)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fit.npz"
        fit.save(path)
        again = emframe.load(path)
    assert again.log_likelihood == fit.log_likelihood
    assert again.model.title() == fit.model.title()
    assert np.array_equal(again.predict(subject.X), fit.predict(subject.X))


def drawn_from(subject: Subject) -> None:
    fit = fitted(subject)
    rows, z = fit.sample(30, rng=0)
    assert len(rows) == len(z) == 30
    assert set(np.unique(z)) <= {0, 1}


ABILITIES: dict[str, Callable[[Subject], None]] = {
    one.__name__: one
    for one in (
        under_a_prior,
        from_responsibilities,
        from_labels,
        as_a_stream,
        by_classification,
        by_annealing,
        by_draws,
        with_its_sums_certified,
        with_the_slope_of_its_likelihood,
        with_a_component_held,
        saved_and_loaded,
        drawn_from,
    )
}


@pytest.mark.parametrize("ability", ABILITIES)
@pytest.mark.parametrize("name", SUBJECTS)
def test_what_a_mixture_can_every_model_can(name: str, ability: str) -> None:
    ABILITIES[ability](SUBJECTS[name])


GROWING = {
    "mixture": lambda k: emframe.Mixture("gaussian", k),
    "gaps": lambda k: emframe.Mixture("gaussian", k, missing=True),
    "chain": lambda k: emframe.model("hidden-markov", family="gaussian", n_states=k),
}


@pytest.mark.parametrize("name", GROWING)
def test_a_larger_model_never_ends_below_one_that_it_contains(name: str) -> None:
    make, X = GROWING[name], SUBJECTS[name].X
    small = emframe.fit(make(1), X, rng=0)
    large = emframe.fit(make(2), X, start=small, rng=0)
    assert large.log_likelihood > small.log_likelihood
