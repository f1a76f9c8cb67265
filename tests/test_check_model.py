"""The kit for whole models: honest ones pass, and each mutant fails the checks that are its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emframe
from emframe.latents import MixtureParameters
from emframe.models.expectation import ModelExpectation
from emframe.spaces import Array
from emframe.testing import MODEL_CHECKS, check_model

GEYSER = np.asarray(emframe.dataset("faithful").X)[::6]
NAMES = [check.__name__ for check in MODEL_CHECKS]

HONEST = {
    "gaussian": emframe.Mixture("gaussian", 2),
    "tied": emframe.Mixture("gaussian", 2, covariance="tied"),
    "product": emframe.Mixture(emframe.Product({0: "gaussian", 1: "gaussian"}), 2),
    "held": emframe.Mixture(emframe.fixed("gaussian", means=[[2.0, 54.0], [4.3, 80.0]]), 2),
    "nested": emframe.Mixture([emframe.Mixture("gaussian", 2), "gaussian"]),
}


@pytest.mark.parametrize("model", HONEST.values(), ids=HONEST)
def test_honest_models_are_accepted(model: Any) -> None:
    results = check_model(model, GEYSER)
    assert [result.name for result in results] == NAMES
    assert not [str(result) for result in results if result.status != "passed"]


def with_gaps() -> Array:
    x = GEYSER.copy()
    x[::3, 1] = np.nan
    return x


OTHERS = {
    "chains": (
        emframe.model("hidden-markov", family="gaussian", n_states=2),
        emframe.Sequences(GEYSER, [20, 6, 20]),
    ),
    "chains of a density": (
        emframe.model("hidden-markov", family=emframe.from_scipy("gamma"), n_states=2),
        emframe.Sequences(GEYSER[:, :1], [20, 6, 20]),
    ),
    "groups": (
        emframe.Mixture(emframe.Grouped("gaussian"), 2),
        emframe.Sequences(GEYSER, np.r_[np.full(20, 2), 3, 3]),
    ),
    "groups of regressions": (
        emframe.Mixture(emframe.Grouped("gaussian-regression"), 2),
        emframe.Sequences(GEYSER, np.r_[np.full(20, 2), 3, 3]),
    ),
    "factors": (emframe.model("factor-analysis", n_factors=1), emframe.dataset("iris").X[::5]),
    "gaps": (emframe.model("incomplete-gaussian"), with_gaps()),
}


@pytest.mark.parametrize(("model", "x"), OTHERS.values(), ids=OTHERS)
def test_honest_models_that_are_no_mixtures_are_accepted(model: Any, x: Any) -> None:
    results = check_model(model, x)
    assert not [str(result) for result in results if result.status != "passed"]


def test_a_chain_of_a_family_put_together_in_place_is_saved(tmp_path: Path) -> None:
    model, x = OTHERS["chains of a density"]
    fit = emframe.fit(model, x, rng=0, n_starts=1)
    fit.save(tmp_path / "a.fit")
    assert emframe.load(tmp_path / "a.fit").model == model
    assert model.title() == "hidden-markov, family=gamma, n_states=2, initial=free"


class Changed(emframe.Mixture):
    """A mixture whose Q is changed after the E-step."""

    def change(self, q: ModelExpectation, x: Array, weights: Array) -> Any:
        raise NotImplementedError

    def expect(self, params: Any, x: Array, weights: Array) -> Any:
        return self.change(super().expect(params, x, weights), x, weights)


class EntropyForgotten(Changed):
    def change(self, q: Any, x: Array, weights: Array) -> Any:
        return replace(q, entropy=0.0)


class ConstantForgotten(Changed):
    def change(self, q: Any, x: Array, weights: Array) -> Any:
        return replace(q, loglik=q.loglik + len(x))


class WeightsForgotten(Changed):
    def change(self, q: Any, x: Array, weights: Array) -> Any:
        return emframe.Mixture.expect(self, q.at, x, np.ones(len(x)))


class PosteriorOfElsewhere(Changed):
    """The statistics are of a posterior that is sharpened, the log-likelihood is not."""

    def change(self, q: Any, x: Array, weights: Array) -> Any:
        _, resp = self.posterior(q.at, x)
        hard = (resp == resp.max(axis=1, keepdims=True)) * weights[:, None]
        return replace(q, statistics=self.family.accumulate(x, hard), counts=hard.sum(axis=0))


@dataclass(frozen=True)
class LazyQ(ModelExpectation):
    def maximize(self) -> Any:
        new = super().maximize()
        return replace(new, weights=self.at.weights)


@dataclass(frozen=True)
class WildQ(ModelExpectation):
    def maximize(self) -> Any:
        new = super().maximize()
        means = new.components.means + 10.0
        return replace(new, components=replace(new.components, means=means))


@dataclass(frozen=True)
class SteepQ(ModelExpectation):
    def gradient(self) -> Array:
        return 2.0 * super().gradient()


@dataclass(frozen=True)
class FirstQ(ModelExpectation):
    def __add__(self, other: Any) -> Any:
        return self


@dataclass(frozen=True)
class CarelessQ(ModelExpectation):
    def __add__(self, other: Any) -> Any:
        return super().__add__(replace(other, at=self.at))


def with_q(kind: type) -> type[Changed]:
    """A mixture whose Q is of another class."""

    class WithQ(Changed):
        def change(self, q: Any, x: Array, weights: Array) -> Any:
            return kind(**vars(q))

    return WithQ


class Turned(emframe.Mixture):
    """Parameters come back from a file with the weights turned round."""

    def build(self, values: Any) -> Any:
        built = super().build(values)
        return MixtureParameters(built.weights[::-1], built.components)


class OwnSeed(emframe.Mixture):
    def sample(self, params: Any, n: int, rng: Any) -> Any:
        return super().sample(params, n, np.random.default_rng())


MUTANTS: dict[str, tuple[type[emframe.Mixture], tuple[str, ...]]] = {
    "entropy forgotten": (EntropyForgotten, ("certificate", "ascent")),
    "constant forgotten": (ConstantForgotten, ("certificate",)),
    "weights forgotten": (WeightsForgotten, ("weights",)),
    "posterior of elsewhere": (PosteriorOfElsewhere, ("certificate", "fisher", "bound")),
    "maximize is lazy": (with_q(LazyQ), ("maximum",)),
    "maximize is wild": (with_q(WildQ), ("maximum", "ascent")),
    "gradient is steep": (with_q(SteepQ), ("fisher",)),
    "+ keeps the first": (with_q(FirstQ), ("blocks",)),
    "+ does not look": (with_q(CarelessQ), ("blocks",)),
    "build turns round": (Turned, ("files",)),
    "own seed": (OwnSeed, ("problems",)),
}


@pytest.mark.parametrize(("kind", "names"), MUTANTS.values(), ids=MUTANTS)
def test_wrong_models_are_rejected(kind: type[emframe.Mixture], names: tuple[str, ...]) -> None:
    found = check_model(kind("gaussian", 2), GEYSER)
    failed = {result.name for result in found if result.status == "failed"}
    assert set(names) <= failed


def test_every_check_has_a_mutant() -> None:
    assert {name for _, names in MUTANTS.values() for name in names} == set(NAMES)


def test_expected_failures_are_excused() -> None:
    model = OwnSeed("gaussian", 2)
    results = {r.name: r for r in check_model(model, GEYSER, expected_failures={"problems": "so"})}
    assert results["problems"].status == "skipped"
    with pytest.raises(ValueError, match="the checks are problems"):
        check_model(model, GEYSER, expected_failures={"smaple": "typo"})
