"""Families of directions against scipy, mpmath, direct optimisation, and the conformance kit."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from emframe_directions import (
    Angle,
    UnitVector,
    VonMises,
    VonMisesFisher,
    VonMisesFisherParameters,
    VonMisesParameters,
)
from emframe_directions.concentration import concentration, log_normaliser, mean_length
from scipy import optimize, stats

import emframe
from emframe.testing import FamilyConformance


class TestVonMises(FamilyConformance):
    """Everything that emframe asks of a family."""

    family = VonMises()


class TestVonMisesFisher(FamilyConformance):
    """Everything that emframe asks of a family."""

    family = VonMisesFisher()


def test_they_are_installed() -> None:
    assert isinstance(emframe.family("von-mises"), VonMises)
    assert isinstance(emframe.family("von-mises-fisher"), VonMisesFisher)


def unit_rows(n: int, d: int, rng: np.random.Generator) -> Any:
    x = rng.standard_normal((n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_the_density_of_angles_is_scipys() -> None:
    x = np.linspace(-np.pi, np.pi, 7)[:, None]
    kappa = np.array([1e-9, 0.3, 2.0, 40.0, 600.0])
    mu = np.array([0.0, -3.0, 1.0, 2.0, 3.1])
    ours = VonMises().log_density(VonMisesParameters(mu, kappa), x)
    theirs = stats.vonmises.logpdf(x, kappa, loc=mu)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("d", [2, 3, 4, 10])
def test_the_density_of_unit_vectors_is_scipys(d: int) -> None:
    rng = np.random.default_rng(d)
    x, mu, kappa = unit_rows(6, d, rng), unit_rows(3, d, rng), np.array([0.1, 4.0, 300.0])
    ours = VonMisesFisher().log_density(VonMisesFisherParameters(mu, kappa), x)
    theirs = [stats.vonmises_fisher(m, c).logpdf(x) for m, c in zip(mu, kappa, strict=True)]
    np.testing.assert_allclose(ours, np.transpose(theirs), rtol=1e-11, atol=1e-11)


def test_uniform_components_have_the_density_of_the_sphere() -> None:
    params = VonMisesFisherParameters(np.eye(3)[:1], np.zeros(1))
    ours = VonMisesFisher().log_density(params, np.eye(3))
    np.testing.assert_allclose(ours, -np.log(4 * np.pi), rtol=1e-15)


@pytest.mark.parametrize("d", [2, 3, 4, 51, 52, 54, 300, 1001])
@pytest.mark.parametrize("kappa", [1e-9, 1e-3, 1.0, 4.99, 5.01, 30.0, 9.9e3, 1.1e4, 1e6, 1e8])
def test_the_normaliser_has_its_digits_everywhere(d: int, kappa: float) -> None:
    """Against sixty digits; of the log normaliser those count that the log surface leaves."""
    with mpmath.workdps(60):
        nu, k = mpmath.mpf(d) / 2 - 1, mpmath.mpf(kappa)
        bessel = mpmath.besseli(nu, k)
        value = mpmath.log(mpmath.gamma(nu + 1) * (2 / k) ** nu * bessel)
        length = mpmath.besseli(nu + 1, k) / bessel
        value, length, short = float(value), float(length), float(1 - length)
    at = np.array([kappa])
    assert log_normaliser(d, at)[0] == pytest.approx(value, rel=1e-13, abs=1e-14 * d)
    assert mean_length(d, at)[0] == pytest.approx(length, rel=1e-12)
    # The length is a number beside 1, and tells kappa to as many digits as it has.
    lost = (4e-15 + 4e-16 * d) / short
    assert concentration(d, np.array([length]))[0] == pytest.approx(kappa, rel=1e-10 + lost)


def test_nothing_concentrates_nothing() -> None:
    np.testing.assert_array_equal(log_normaliser(3, np.zeros(1)), 0.0)
    np.testing.assert_array_equal(mean_length(3, np.zeros(1)), 0.0)
    np.testing.assert_array_equal(concentration(3, np.zeros(1)), 0.0)
    assert concentration(5, np.array([1e-200]))[0] == pytest.approx(5e-200, rel=1e-12)


def test_the_m_step_of_angles_is_a_direct_optimum() -> None:
    rng = np.random.default_rng(1)
    x = rng.vonmises(2.5, 3.0, 400)
    fit = emframe.fit(emframe.Mixture("von-mises"), x, rng=0)

    def loss(point: Any) -> float:
        return -float(stats.vonmises.logpdf(x, np.exp(point[1]), loc=point[0]).sum())

    found = optimize.minimize(loss, [2.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-10})
    found = optimize.minimize(loss, found.x, method="BFGS", options={"gtol": 1e-3})
    assert fit.log_likelihood == pytest.approx(-found.fun, rel=1e-8)
    assert fit.log_likelihood >= -found.fun - 1e-8 * abs(found.fun)
    assert fit.params.components.concentrations[0] == pytest.approx(np.exp(found.x[1]), rel=1e-4)


def test_two_components_of_angles_are_a_direct_optimum() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.vonmises(3.1, 8.0, 300), rng.vonmises(0.5, 2.0, 300)])  # over the seam
    fit = emframe.fit(emframe.Mixture("von-mises", n_components=2), x, rng=0)
    assert fit.converged

    def loss(point: Any) -> float:
        share = 1.0 / (1.0 + np.exp(-point[0]))
        each = [
            np.log(w) + stats.vonmises.logpdf(x, np.exp(point[i + 1]), loc=point[i])
            for w, i in ((share, 1), (1.0 - share, 3))
        ]
        return -float(np.logaddexp(*each).sum())

    found = optimize.minimize(
        loss, [0.0, 3.1, 2.0, 0.5, 0.7], method="BFGS", options={"gtol": 1e-3}
    )
    assert fit.log_likelihood == pytest.approx(-found.fun, rel=1e-8)
    assert fit.n_parameters == 5


@pytest.mark.parametrize("d", [2, 3, 8])
def test_the_m_step_of_unit_vectors_is_a_direct_optimum(d: int) -> None:
    rng = np.random.default_rng(d)
    x = stats.vonmises_fisher(np.eye(d)[1], 6.0).rvs(300, random_state=rng).reshape(-1, d)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    fit = emframe.fit(emframe.Mixture("von-mises-fisher"), x, rng=0)

    def loss(point: Any) -> float:
        kappa = float(np.linalg.norm(point))
        return -float(stats.vonmises_fisher(point / kappa, kappa).logpdf(x).sum())

    found = optimize.minimize(loss, 5.0 * x.mean(axis=0), method="BFGS", options={"gtol": 1e-4})
    assert fit.log_likelihood == pytest.approx(-found.fun, rel=1e-8)
    assert fit.n_parameters == d
    theirs = stats.vonmises_fisher.fit(x)
    np.testing.assert_allclose(fit.params.components.directions[0], theirs[0], atol=1e-10)
    assert fit.params.components.concentrations[0] == pytest.approx(theirs[1], rel=1e-6)


def test_two_dimensions_are_angles() -> None:
    x = np.random.default_rng(3).vonmises(-3.0, 4.0, 50)
    angles = emframe.fit(emframe.Mixture("von-mises"), x, rng=0)
    vectors = emframe.fit(
        emframe.Mixture("von-mises-fisher"), np.column_stack([np.cos(x), np.sin(x)]), rng=0
    )
    assert angles.log_likelihood == pytest.approx(vectors.log_likelihood, rel=1e-12)


@pytest.mark.parametrize(("d", "kappa"), [(2, 5.0), (3, 0.0), (3, 1e-3), (5, 20.0), (40, 1e7)])
def test_draws_have_the_mean_length(d: int, kappa: float) -> None:
    family, n = VonMisesFisher(), 20_000
    params = VonMisesFisherParameters(np.full((1, d), d**-0.5), np.array([kappa]))
    x = family.sample(params, np.zeros(n, dtype=int), np.random.default_rng(0))
    off = 1.0 - x @ params.directions[0]
    expected = 1.0 - mean_length(d, params.concentrations)[0]
    assert off.mean() == pytest.approx(expected, abs=5 * off.std() / np.sqrt(n))
    np.testing.assert_allclose(family.mean(params)[0], (1 - expected) * params.directions[0])


def test_three_components_on_the_sphere_are_told_apart() -> None:
    family, rng = VonMisesFisher(), np.random.default_rng(5)
    truth = VonMisesFisherParameters(np.eye(3), np.array([10.0, 30.0, 60.0]))
    labels = rng.integers(3, size=3000)
    x = family.sample(truth, labels, rng)
    fit = emframe.fit(emframe.Mixture("von-mises-fisher", n_components=3), x, rng=0)
    assert fit.converged
    order = np.argsort(fit.params.components.concentrations)
    np.testing.assert_allclose(fit.params.components.directions[order], np.eye(3), atol=0.05)
    assert fit.params.components.concentrations[order] == pytest.approx([10, 30, 60], rel=0.15)


def test_directions_that_are_alike_are_a_point() -> None:
    x = np.repeat([[0.6, 0.8]], 5, axis=0)
    family = VonMisesFisher()
    with pytest.raises(emframe.Degenerate, match="shrunk to a point"):
        family.m_step(family.accumulate(x, np.ones((5, 1))), None)


@pytest.mark.parametrize(
    ("name", "x", "words"),
    [
        ("von-mises", np.array([0.0, 1.0, 4.0]), "angles"),
        ("von-mises-fisher", np.array([[1.0, 0.0], [0.5, 0.5]]), "length 1"),
        ("von-mises-fisher", np.array([[1.0], [-1.0], [1.0]]), "two coordinates"),
    ],
)
def test_what_is_no_direction_is_refused(name: str, x: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        emframe.fit(emframe.Mixture(name), x, rng=0)


def test_spaces_map_coordinates_onto_directions() -> None:
    angle, sphere = Angle(), UnitVector()
    np.testing.assert_allclose(angle.point(np.array([1.0, 4.0]), (2,)), [1.0, 4.0 - 2 * np.pi])
    v = sphere.point(np.array([3.0, 4.0, 0.0, 0.0]), (2, 2))
    np.testing.assert_allclose(v, [[0.6, 0.8], [1.0, 0.0]])
    assert sphere.holds(v)
    assert sphere.n_free((2, 3)) == 4
    gradient = np.array([[1.0, 2.0], [3.0, 4.0]])
    numeric = super(UnitVector, sphere).pullback(v, gradient)
    np.testing.assert_allclose(sphere.pullback(v, gradient), numeric, atol=1e-8)
    rounded = v.astype(np.float32).astype(float)
    assert sphere.holds(sphere.near(rounded))


def test_fits_are_saved(tmp_path: Any) -> None:
    x = unit_rows(60, 3, np.random.default_rng(0))
    fit = emframe.fit(emframe.Mixture("von-mises-fisher"), x, rng=0)
    fit.save(tmp_path / "fit")
    again = emframe.load(tmp_path / "fit")
    np.testing.assert_array_equal(
        again.params.components.directions, fit.params.components.directions
    )
