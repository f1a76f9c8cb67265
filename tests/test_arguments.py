"""Arguments of `emframe.fit` and its relatives: a wrong one is told by name and value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emframe

X = np.random.default_rng(0).normal(size=(30, 2)) + 4.0 * (np.arange(30) % 2)[:, None]
NAN = float("nan")
WRONG: dict[str, tuple[Any, ...]] = {
    "tol": (NAN, -1.0, "1e-6", None, True, [1]),
    "max_iter": (-1, 10.5, "10", NAN, None, True),
    "n_starts": (0, -1, 2.5, "3", True),
    "max_seconds": (-1, 0, NAN, "3", True),
    "rng": ("abc", 1.5, -1, NAN, {}),
    "accelerate": ("fast", 3, None),
    "prior": ("strong", 1.0, [1]),
    "engine": ("gpu", 0, -2, 1.5),
    "stopping": ("x", 3),
    "callbacks": ("x", 3),
    "checkpoint": (3,),
    "start": ("kmeans", 3),
    "weights": ("abc", 3),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_argument_is_told_by_name_and_value(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        emframe.fit(emframe.Mixture("gaussian", 2), X, **{"rng": 0, name: value})
    assert f"`{name}` is {value!r}" in str(caught.value)


@pytest.mark.parametrize("name", ["stopping", "callbacks"])
def test_the_one_of_a_list_that_cannot_be_called_is_named(name: str) -> None:
    options = {"rng": 0, name: [lambda _: None, 7]}
    with pytest.raises(TypeError, match=rf"`{name}\[1\]` is 7; pass"):
        emframe.fit(emframe.Mixture("gaussian", 2), X, **options)


@pytest.mark.parametrize(
    "model", [None, 3, emframe.Mixture, emframe.family("gaussian")], ids=["None", "3", "class", "F"]
)
def test_what_is_no_model_is_told(model: Any) -> None:
    with pytest.raises(TypeError, match=r"`model` is .*; pass emframe.Mixture"):
        emframe.fit(model, X)


@pytest.mark.parametrize("models", ["gaussian", 3, ("gaussian", 3), ("gaussian", "12")])
def test_what_are_no_models_are_told(models: Any) -> None:
    with pytest.raises(TypeError, match="`models` is"):
        emframe.select(models, X)


@pytest.mark.parametrize("n", [-1, 2.5, "3", NAN, True, None])
def test_a_number_of_draws_is_a_whole_number(n: Any) -> None:
    fit = emframe.fit(emframe.Mixture("gaussian", 1), X)
    with pytest.raises(
        (TypeError, ValueError), match=r"`n` is .*; pass a whole number, 0 or above"
    ):
        fit.sample(n)


def test_weights_below_one_are_told_in_their_own_nats() -> None:
    """What callbacks see, and what is returned, is scaled; the fit is not."""
    seen: list[float] = []
    model, labels = emframe.Mixture("gaussian", 2), np.arange(30) % 2
    plain = emframe.fit(model, X, start=labels)
    small = emframe.fit(
        model,
        X,
        weights=np.full(30, 2.0**-40),
        start=labels,
        callbacks=[lambda step: seen.append(step.objective)],
    )
    assert np.array_equal(small.trace, 2.0**-40 * plain.trace)
    assert seen == small.trace.tolist()
    assert np.array_equal(small.params.components.means, plain.params.components.means)
    assert small.n_rows == 30 * 2.0**-40


def test_weights_that_count_rows_are_of_an_ordinary_size() -> None:
    weights, model = np.full(30, 1e-200), emframe.Mixture("gaussian", 1)
    fit = emframe.fit(model, X, weights=weights)
    with pytest.raises(ValueError, match=r"`weights` are near .*ordinary size"):
        fit.standard_errors(X, weights=weights)
    with pytest.raises(ValueError, match=r"`weights` are near .*ordinary size"):
        emframe.fit(model, X, weights=weights, prior="weak")
