"""The skew normal family against scipy, direct optimisation, and emframe's conformance kit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from emframe_skew import SkewNormal, SkewNormalParameters, cut_normal
from scipy import integrate, optimize, stats

import emframe
from emframe.testing import FamilyConformance


class TestSkewNormal(FamilyConformance):
    """Everything that emframe asks of a family."""

    family = SkewNormal()


PARAMS = SkewNormalParameters(
    np.array([0.5, -1.0, 100.0]), np.array([2.0, -3.0, 0.0]), np.array([1.0, 0.01, 4.0])
)
LAW = stats.skewnorm(PARAMS.shapes, loc=PARAMS.locations, scale=PARAMS.scales)


def test_it_is_installed() -> None:
    assert isinstance(emframe.family("skew-normal"), SkewNormal)


def test_its_density_is_scipys() -> None:
    x = np.array([[-3.0], [0.0], [0.5], [4.0], [90.0]])
    np.testing.assert_allclose(SkewNormal().log_density(PARAMS, x), LAW.logpdf(x), rtol=1e-10)


def test_its_moments_are_scipys() -> None:
    np.testing.assert_allclose(SkewNormal().mean(PARAMS)[:, 0], LAW.mean(), rtol=1e-12)
    np.testing.assert_allclose(SkewNormal().variance(PARAMS)[:, 0], LAW.var(), rtol=1e-12)


@pytest.mark.parametrize("t", [-6.0, -0.3, 0.0, 2.0, 30.0])
def test_what_is_hidden_is_a_cut_normal(t: float) -> None:
    law = stats.truncnorm(-t, np.inf, loc=t)
    first, second, entropy = (float(v[0]) for v in cut_normal(np.array([t])))
    assert first == pytest.approx(law.mean(), rel=1e-9)
    assert second == pytest.approx(law.var() + law.mean() ** 2, rel=1e-7)

    def surprise(w: float) -> float:  # scipy's own entropy has no digits far out
        return -float(law.pdf(w) * law.logpdf(w))

    assert entropy == pytest.approx(integrate.quad(surprise, 0.0, max(t, 0.0) + 12.0)[0], rel=1e-7)


def test_far_out_what_is_hidden_is_exponential() -> None:
    """Its moments go on where their series takes over, and are those of rate |t| in the end."""
    beside = cut_normal(np.array([-60.0 - 1e-9, -60.0 + 1e-9]))
    for values in beside[:2]:
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
    assert fit.params.components.shapes[0] == pytest.approx(best.x[0], rel=1e-2, abs=1e-2)
    assert fit.n_parameters == 3


def test_two_components_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [
            stats.skewnorm.rvs(5, loc=0, scale=2, size=600, random_state=rng),
            stats.skewnorm.rvs(-4, loc=12, scale=3, size=400, random_state=rng),
        ]
    )
    fit = emframe.fit(emframe.Mixture("skew-normal", n_components=2), x, rng=0)
    assert fit.converged
    parts = fit.params.components
    order = np.argsort(parts.locations)
    assert parts.locations[order] == pytest.approx([0.0, 12.0], abs=0.3)
    assert parts.scales[order] == pytest.approx([2.0, 3.0], rel=0.15)
    np.testing.assert_array_equal(np.sign(parts.slopes[order]), [1.0, -1.0])

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


def test_rows_that_are_alike_are_a_point() -> None:
    family = SkewNormal()
    with pytest.raises(emframe.Degenerate, match="shrunk"):
        family.m_step(family.accumulate(np.full((5, 1), 7.0), np.ones((5, 1))), None)


def test_sums_of_blocks_far_from_the_origin_keep_their_digits() -> None:
    x = 1e8 + np.random.default_rng(0).gamma(2.0, size=(300, 1))
    family, resp = SkewNormal(), np.ones((300, 1))
    whole = family.accumulate(x, resp)
    parts = family.accumulate(x[:100], resp[:100]) + family.accumulate(x[100:], resp[100:])
    np.testing.assert_allclose(parts.squares[:, 0, 0], whole.squares[:, 0, 0], rtol=1e-7)
    np.testing.assert_allclose(parts.cubes, whole.cubes, rtol=1e-6)
