"""Latent traits against ltm's and Bock and Aitkin's fits, direct optimisation, and the kit."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emframe_traits import LatentTrait
from scipy import integrate, optimize, stats
from scipy.special import expit, log_expit, logsumexp

import emframe
from emframe.testing import FamilyConformance

LAW = np.loadtxt(Path(__file__).parent / "latent-trait.csv", delimiter=",", skiprows=1)


class TestTwoParameters(FamilyConformance):
    """Everything that emframe asks of a family."""

    family = LatentTrait()


class TestOneParameter(FamilyConformance):
    """The same with a slope for all items."""

    family = LatentTrait("1PL")


def test_it_is_installed() -> None:
    assert isinstance(emframe.family("latent-trait"), LatentTrait)


def test_section_6_of_the_law_school_test_by_two_parameters() -> None:
    """Bock and Aitkin (1981), table 1; Rizopoulos (2006, J. Stat. Software 17(5)): -2466.653."""
    fit = emframe.fit(emframe.Mixture("latent-trait"), LAW, rng=0)
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(-2466.653, abs=1e-3)
    parts = fit.params.components
    np.testing.assert_allclose(parts.slopes[0], [0.83, 0.72, 0.89, 0.69, 0.66], atol=0.006)
    np.testing.assert_allclose(parts.intercepts[0], [2.77, 0.99, 0.25, 1.28, 2.05], atol=0.006)
    assert fit.n_parameters == 10


def test_the_same_by_one_parameter() -> None:
    """rasch(LSAT) of ltm (Rizopoulos 2006): -2466.938, slope 0.7551."""
    fit = emframe.fit(emframe.Mixture("latent-trait", model="1PL"), LAW, rng=0)
    assert fit.log_likelihood == pytest.approx(-2466.938, abs=1e-3)
    parts = fit.params.components
    assert parts.slopes[0] == pytest.approx(0.7551, abs=1e-4)
    given = [-3.6153, -1.3224, -0.3176, -1.7301, -2.7802]
    np.testing.assert_allclose(parts.difficulties[0], given, atol=2e-4)
    assert fit.n_parameters == 6


def direct(slopes: Any, intercepts: Any, x: Any) -> Any:
    """Log density of rows under one component, by Gauss-Hermite's rule; nan for no answer."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    logits = nodes[:, None] * slopes + intercepts
    rows = np.nan_to_num(x) @ logits.T + ~np.isnan(x) @ log_expit(-logits).T
    return logsumexp(rows + np.log(weights / weights.sum()), axis=1)


def test_two_classes_are_a_direct_optimum() -> None:
    rng = np.random.default_rng(5)
    family = LatentTrait("1PL")
    intercepts = np.array([[-2.0, -1.0, 0.0, 1.0, 2.0, 0.5], [2.0, 1.0, 0.0, -1.0, -2.0, 0.5]])
    true = family.parameters(np.array([1.5, 0.8]), intercepts)
    x = family.sample(true, np.repeat([0, 1], [500, 400]), rng)
    fit = emframe.fit(emframe.Mixture(family, 2), x, rng=0, n_starts=3)
    assert fit.converged

    def loss(point: Any) -> float:
        share = log_expit(np.array([point[0], -point[0]]))
        each = [direct(point[1 + 7 * k], point[2 + 7 * k : 8 + 7 * k], x) for k in (0, 1)]
        return -float(logsumexp(np.stack(each, axis=1) + share, axis=1).sum())

    parts, weights = fit.params.components, fit.params.weights
    own = [np.append(parts.slopes[k], parts.intercepts[k]) for k in (0, 1)]
    start = np.concatenate([[np.log(weights[0] / weights[1])], *own])
    assert -loss(start) == pytest.approx(fit.log_likelihood, rel=1e-9)
    found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-3})
    assert fit.log_likelihood == pytest.approx(-found.fun, rel=1e-8)


def test_answers_that_are_missing_are_left_out() -> None:
    """Of the density, and a fit is a direct optimum of that; without them nothing has changed."""
    x = LAW[::2].copy()
    x[np.random.default_rng(2).random(x.shape) < 0.3] = np.nan
    fit = emframe.fit(emframe.Mixture("latent-trait"), x, rng=0)
    assert fit.converged

    def loss(point: Any) -> float:
        return -float(direct(point[:5], point[5:], x).sum())

    parts = fit.params.components
    start = np.concatenate([parts.slopes[0], parts.intercepts[0]])
    assert -loss(start) == pytest.approx(fit.log_likelihood, rel=1e-9)
    found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-3})
    assert fit.log_likelihood == pytest.approx(-found.fun, rel=1e-8)
    x[:, 3] = np.nan
    family = LatentTrait()
    with pytest.raises(emframe.Degenerate, match="no row of component 0 has an answer to item 3"):
        family.m_step(family.accumulate(x, np.ones((len(x), 1))), None)


@pytest.mark.parametrize("model", ["1PL", "2PL"])
def test_all_patterns_of_answers_have_total_one(model: str) -> None:
    family = LatentTrait(model)
    slopes = np.array([[1.3, -0.4, 3.0, 0.0]]) if model == "2PL" else np.array([2.0])
    params = family.parameters(slopes, np.array([[0.3, -2.0, 1.0, 5.0]]))
    x = np.array(list(product([0.0, 1.0], repeat=4)))
    density = family.log_density(params, x)[:, 0]
    assert logsumexp(density) == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(density, direct(slopes[0], params.intercepts[0], x), rtol=1e-8)
    np.testing.assert_allclose(family.mean(params)[0], np.exp(density) @ x, rtol=1e-12)


def test_a_trait_is_told_by_its_posterior() -> None:
    family, x = LatentTrait(), np.array([[1.0, 0.0, 1.0]])
    params = family.parameters(np.array([[1.0, 2.0, 0.5]]), np.array([[0.2, -0.3, 1.0]]))
    names, mean, deviation = family.random_effects(params, x)

    def moment(power: int) -> float:
        def of(theta: float) -> float:
            p = expit(theta * params.slopes[0] + params.intercepts[0])
            seen = np.where(x[0] == 1.0, p, 1.0 - p).prod()
            return float(theta**power * seen * stats.norm.pdf(theta))

        return float(integrate.quad(of, -9.0, 9.0, epsabs=1e-13)[0])

    first, second = (moment(power) / moment(0) for power in (1, 2))
    assert names == ("trait",)
    assert mean[0, 0, 0] == pytest.approx(first, rel=1e-7)
    assert deviation[0, 0, 0] == pytest.approx(np.sqrt(second - first**2), rel=1e-7)


def test_many_items_are_no_patterns() -> None:
    """Beyond some number of items rows are taken as they are, with the same answer."""
    rng, family = np.random.default_rng(0), LatentTrait()
    x = (rng.random((40, 60)) < 0.5).astype(float)
    params = family.parameters(rng.normal(size=(2, 60)), rng.normal(size=(2, 60)))
    given = np.stack([direct(params.slopes[k], params.intercepts[k], x) for k in (0, 1)], axis=1)
    np.testing.assert_allclose(family.log_density(params, x), given, rtol=1e-6)
    few = family.parameters(params.slopes[:, :5], params.intercepts[:, :5])
    resp = rng.random((40, 2))
    whole = family.completed(few, x[:, :5], resp)
    each = [family.completed(few, x[i : i + 1, :5], resp[i : i + 1]) for i in range(40)]
    np.testing.assert_allclose(whole.entropy, sum(one.entropy for one in each), rtol=1e-12)
    yes = sum(one.statistics.yes for one in each)
    np.testing.assert_allclose(whole.statistics.yes, yes, rtol=1e-9, atol=1e-12)


def test_items_answered_alike_and_items_without_error_are_told() -> None:
    family = LatentTrait()
    alike = LAW.copy()
    alike[:, 1] = 1.0
    with pytest.raises(emframe.Degenerate, match="all answer item 1 alike"):
        family.m_step(family.accumulate(alike, np.ones((len(LAW), 1))), None)
    with pytest.raises(ValueError, match="expected '1PL' or '2PL'"):
        LatentTrait("3PL")
    with pytest.raises(ValueError, match="points"):
        LatentTrait(points=2)
