"""The skew normal family against scipy, sn of R, direct optimisation, and the conformance kit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from emframe_skew import SkewNormal, SkewNormalParameters
from emframe_skew.normal import cut_entropy, cut_normal
from scipy import integrate, optimize, stats

import emframe
from emframe.testing import FamilyConformance


class TestSkewNormal(FamilyConformance):
    """Everything that emframe asks of a family."""

    family = SkewNormal()


PARAMS = SkewNormalParameters(
    np.array([[0.5], [-1.0], [100.0]]),
    np.array([[2.0], [-3.0], [0.0]]),
    np.array([1.0, 0.01, 4.0])[:, None, None],
)
LAW = stats.skewnorm(PARAMS.shapes[:, 0], PARAMS.locations[:, 0], PARAMS.scales[:, 0])


def test_it_is_installed() -> None:
    assert isinstance(emframe.family("skew-normal"), SkewNormal)


def test_its_density_is_scipys() -> None:
    x = np.array([[-3.0], [0.0], [0.5], [4.0], [90.0]])
    np.testing.assert_allclose(SkewNormal().log_density(PARAMS, x), LAW.logpdf(x), rtol=1e-10)


def test_its_moments_are_scipys() -> None:
    np.testing.assert_allclose(SkewNormal().mean(PARAMS)[:, 0], LAW.mean(), rtol=1e-12)
    np.testing.assert_allclose(SkewNormal().variance(PARAMS)[:, 0], LAW.var(), rtol=1e-12)


def test_its_density_is_that_of_sn_in_two_columns() -> None:
    """dmsn of sn 2.1.0: xi = (.5, -1), Omega = (2, .5; .5, 1), alpha = (2, -3)."""
    omega, alpha = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([2.0, -3.0])
    slope = slope_of(omega, alpha)
    scatter = omega - np.outer(slope, slope)
    params = SkewNormalParameters(np.array([[0.5, -1.0]]), slope[None], scatter[None])
    np.testing.assert_allclose(params.shapes[0], alpha, rtol=1e-12)
    x = np.array([[0.0, 0.0], [1.0, -3.0], [-4.0, 2.0], [30.0, -20.0]])
    given = [-11.3735153357346, -4.0673949226842, -137.8910568595263, -616.4959663512457]
    np.testing.assert_allclose(SkewNormal().log_density(params, x)[:, 0], given, rtol=1e-12)


def slope_of(omega: Any, alpha: Any) -> Any:
    """What Azzalini's parameters are as a slope along w."""
    scales = np.sqrt(np.diagonal(omega))
    leaning = omega @ (alpha / scales) / scales
    return scales * leaning / np.sqrt(1.0 + alpha @ leaning)


@pytest.mark.parametrize("t", [-6.0, -0.3, 0.0, 2.0, 30.0])
def test_what_is_hidden_is_a_cut_normal(t: float) -> None:
    law = stats.truncnorm(-t, np.inf, loc=t)
    first, second, log_left = cut_normal(np.array([t]))
    assert log_left[0] == pytest.approx(stats.norm.logcdf(t), rel=1e-12, abs=1e-15)
    entropy = cut_entropy(np.array([t]), first)
    assert first[0] == pytest.approx(law.mean(), rel=1e-9)
    assert second[0] == pytest.approx(law.var() + law.mean() ** 2, rel=1e-7)

    def surprise(w: float) -> float:  # scipy's own entropy has no digits far out
        return -float(law.pdf(w) * law.logpdf(w))

    assert entropy[0] == pytest.approx(
        integrate.quad(surprise, 0.0, max(t, 0.0) + 12.0)[0], rel=1e-7
    )


def test_far_out_what_is_hidden_is_exponential() -> None:
    """Its moments go on where their series takes over, and are those of rate |t| in the end."""
    beside = cut_normal(np.array([-60.0 - 1e-9, -60.0 + 1e-9]))
    for values in beside:
        assert values[0] == pytest.approx(values[1], rel=1e-8)
    first, second, _ = cut_normal(np.array([-1e6]))
    assert first[0] == pytest.approx(1e-6, rel=1e-11)
    assert second[0] == pytest.approx(2e-12, rel=1e-11)


@pytest.mark.parametrize(("alpha", "n"), [(4.0, 500), (-8.0, 400), (1.0, 800), (0.0, 300)])
def test_one_component_is_a_direct_optimum(alpha: float, n: int) -> None:
    x = stats.skewnorm.rvs(alpha, loc=100.0, scale=3.0, size=n, random_state=int(n))
    fit = emframe.fit(emframe.Mixture("skew-normal"), x, rng=0)
    assert fit.converged

    def loss(point: Any) -> float:
        return -float(stats.skewnorm.logpdf(x, point[0], point[1], np.exp(point[2])).sum())

    ends = [
        optimize.minimize(
            loss,
            [shape, x.mean(), np.log(x.std())],
            method="Nelder-Mead",
            options={"maxiter": 4000, "xatol": 1e-9, "fatol": 1e-10},
        )
        for shape in (3.0, -3.0)
    ]
    best = min(ends, key=lambda end: end.fun)
    assert fit.log_likelihood == pytest.approx(-best.fun, rel=1e-8)
    assert fit.params.components.shapes[0, 0] == pytest.approx(best.x[0], rel=1e-2, abs=1e-2)
    assert fit.n_parameters == 3


def test_two_components_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [
            stats.skewnorm.rvs(5, loc=0, scale=2, size=600, random_state=rng),
            stats.skewnorm.rvs(-4, loc=12, scale=3, size=400, random_state=rng),
        ]
    )
    fit = emframe.fit(emframe.Mixture("skew-normal", 2), x, rng=0)
    parts = fit.params.components
    order = np.argsort(parts.locations[:, 0])
    assert parts.locations[order, 0] == pytest.approx([0.0, 12.0], abs=0.3)
    assert parts.scales[order, 0] == pytest.approx([2.0, 3.0], rel=0.15)
    np.testing.assert_array_equal(np.sign(parts.slopes[order, 0]), [1.0, -1.0])

    def loss(point: Any) -> float:
        share = 1.0 / (1.0 + np.exp(-point[0]))
        each = [
            np.log(w) + stats.skewnorm.logpdf(x, *point[i : i + 2], np.exp(point[i + 2]))
            for w, i in ((share, 1), (1.0 - share, 4))
        ]
        return -float(np.logaddexp(*each).sum())

    start = [0.4, 5.0, 0.0, np.log(2.0), -4.0, 12.0, np.log(3.0)]
    found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-2})
    assert fit.log_likelihood == pytest.approx(-found.fun, rel=1e-8)


def test_two_columns_end_where_sn_does() -> None:
    """selm(cbind(BMI, LBM) ~ 1, family = "SN") of sn 2.1.0, on its Australian athletes."""
    fit = emframe.fit(emframe.Mixture("skew-normal"), athletes(), rng=0)
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(-1213.2608555907, abs=1e-8)
    np.testing.assert_allclose(fit.params.components.shapes[0], [5.51533, -2.30218], rtol=1e-4)
    assert fit.n_parameters == 7


def athletes() -> Any:
    """Body mass index and lean body mass of 202 athletes (Cook and Weisberg 1994)."""
    from pathlib import Path

    return np.loadtxt(Path(__file__).parent / "skew-t.csv", delimiter=",", skiprows=1)


def test_units_and_origins_do_not_matter() -> None:
    x, unit, shift = athletes(), np.array([1e6, 1e-4]), np.array([-3e6, 5.0])
    fits = [
        emframe.fit(emframe.Mixture("skew-normal"), one, rng=0) for one in (x, unit * x + shift)
    ]
    moved = fits[0].log_likelihood - len(x) * np.log(unit).sum()
    assert fits[1].log_likelihood == pytest.approx(moved, abs=1e-6)


def test_rows_that_are_alike_are_a_point() -> None:
    family = SkewNormal()
    for d in (1, 2):
        with pytest.raises(emframe.Degenerate, match="shrunk to a point"):
            family.m_step(family.accumulate(np.full((5, d), 7.0), np.ones((5, 1))), None)


def test_rows_of_a_half_normal_density_are_told() -> None:
    x = np.abs(np.random.default_rng(0).standard_normal(3000))
    fit = emframe.fit(emframe.Mixture("skew-normal"), x, rng=0)
    assert fit.status is emframe.Status.DEGENERATE
    assert "half-normal" in fit.message


def test_sums_of_blocks_far_from_the_origin_keep_their_digits() -> None:
    x = 1e8 + np.random.default_rng(0).gamma(2.0, size=(300, 1))
    family, resp = SkewNormal(), np.ones((300, 1))
    whole = family.accumulate(x, resp)
    parts = family.accumulate(x[:100], resp[:100]) + family.accumulate(x[100:], resp[100:])
    np.testing.assert_allclose(parts.squares[:, 0, 0], whole.squares[:, 0, 0], rtol=1e-7)
    np.testing.assert_allclose(parts.cubes, whole.cubes, rtol=1e-6)
