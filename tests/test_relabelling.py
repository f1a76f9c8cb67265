"""A fit in another order of its components is the same fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emframe
from emframe.spaces import Array

FAITHFUL = emframe.dataset("faithful")
THREE = emframe.fit(emframe.Mixture("gaussian", 3), FAITHFUL, rng=0)


def paths() -> Array:
    """Two states whose rates come in falling order."""
    rng = np.random.default_rng(0)
    states = np.repeat([0, 1, 0, 1], 50)
    return rng.poisson(np.where(states == 0, 20.0, 4.0)).astype(float)


# The same states, and a covariate that says more of them as time goes on.
DRIVEN = emframe.Sequences(np.column_stack([paths(), np.arange(200.0) / 100.0]), [20] * 10)
GATE = emframe.Gate(1)
CASES: dict[str, tuple[emframe.Fit, Any, str]] = {
    "means": (THREE, FAITHFUL, "means"),
    "weights": (THREE, FAITHFUL, "weights"),
    "a whole path": (THREE, FAITHFUL, "components.means"),
    "states": (
        emframe.fit(emframe.model("hidden-markov", family="poisson", n_states=2), paths(), rng=0),
        paths(),
        "rates",
    ),
    "a gate": (
        emframe.fit(emframe.Mixture("poisson", 3, weights=GATE), DRIVEN.x, rng=0, n_starts=2),
        DRIVEN.x,
        "rates",
    ),
    "gates of a chain": (
        emframe.fit(
            emframe.model(
                "hidden-markov", family="poisson", n_states=2, initial=GATE, transitions=GATE
            ),
            DRIVEN,
            prior="ridge",
            rng=0,
            n_starts=2,
        ),
        DRIVEN,
        "rates",
    ),
}


def values(fit: emframe.Fit, by: str) -> Array:
    name = by.rpartition(".")[-1]
    found = fit.params.weights if name == "weights" else getattr(fit.params.components, name)
    return np.asarray(found).reshape(len(found), -1)[:, 0]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_components_come_in_order_and_rows_keep_their_density(name: str, descending: bool) -> None:
    fit, x, by = CASES[name]
    found = emframe.relabelled(fit, by, descending=descending)
    ordered = values(found, by)
    assert (np.diff(ordered if not descending else ordered[::-1]) > 0).all()
    assert np.sort(ordered) == pytest.approx(np.sort(values(fit, by)))
    assert np.sum(found.score_samples(x)) == pytest.approx(np.sum(fit.score_samples(x)), rel=1e-12)
    order = np.argsort(values(fit, by))[:: -1 if descending else 1]
    assert found.predict_proba(x) == pytest.approx(fit.predict_proba(x)[:, order], abs=1e-9)


def test_transitions_move_with_their_states() -> None:
    fit, _, _ = CASES["states"]
    up, down = (emframe.relabelled(fit, "rates", descending=d).params for d in (False, True))
    assert np.array_equal(up.transitions, down.transitions[::-1, ::-1])
    assert np.array_equal(up.initial, down.initial[::-1])


def test_components_that_are_unlike_keep_their_places() -> None:
    x = FAITHFUL.X[:, 0]
    model = emframe.Mixture(["gaussian", "laplace"], [2, 1])
    fit = emframe.fit(model, x, rng=0, n_starts=3)
    found = emframe.relabelled(fit, "means", descending=True)
    assert (np.diff(found.params.components[0].means[:, 0]) < 0).all()
    assert np.array_equal(found.params.components[1].locations, fit.params.components[1].locations)
    held = emframe.Mixture(emframe.fixed("gaussian", means=[[4.0], [2.0]]), 2)
    fit = emframe.fit(held, x, rng=0)
    assert np.array_equal(
        emframe.relabelled(fit, "means").params.components.means, fit.params.components.means
    )
    weights = emframe.Mixture("gaussian", 2).fixed(weights=[0.7, 0.3])
    fit = emframe.fit(weights, x, rng=0)
    assert emframe.relabelled(fit, "means").params.weights == pytest.approx([0.7, 0.3])


@pytest.mark.parametrize(
    "held", [{"initial": [0.9, 0.1]}, {"transitions": [[0.9, 0.1], [np.nan, np.nan]]}]
)
def test_states_with_something_held_of_their_own_keep_their_places(held: dict[str, Any]) -> None:
    model = emframe.model("hidden-markov", family="poisson", n_states=2, **held)
    fit = emframe.fit(model, paths(), rng=0, n_starts=2)
    for descending in (False, True):
        found = emframe.relabelled(fit, "rates", descending=descending)
        assert np.array_equal(found["rates"], fit["rates"])


def test_a_parameter_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"`by` is 'rates'; .* weights, components.means, comp"):
        emframe.relabelled(THREE, "rates")


def test_a_model_without_components_is_refused() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 1)) + 0.5 * rng.normal(size=(60, 3))
    fit = emframe.fit(emframe.model("factor-analysis", n_factors=1), x, rng=0)
    with pytest.raises(TypeError, match="FactorAnalysis has no components to relabel"):
        emframe.relabelled(fit)
