"""The skew t family against sn of R, its own closed form, integrals, and the conformance kit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from emframe_skew import SkewNormal, SkewNormalParameters, SkewT, SkewTParameters
from emframe_skew.scales import hidden, log_mass, points, stirling
from scipy import optimize, special, stats
from test_skew import athletes, slope_of

import emframe
from emframe.numeric import log_excess
from emframe.testing import FamilyConformance


class TestSkewT(FamilyConformance):
    """Everything that emframe asks of a family."""

    family = SkewT()


def one(omega: Any, alpha: Any, xi: Any, dof: float) -> SkewTParameters:
    omega, alpha = np.array(omega), np.array(alpha)
    slope = slope_of(omega, alpha)
    scatter = omega - np.outer(slope, slope)
    return SkewTParameters(np.array([xi]), slope[None], scatter[None], np.array([dof]))


def test_its_density_is_that_of_sn() -> None:
    """dmst of sn 2.1.0: xi = (.5, -1), Omega = (2, .5; .5, 1), alpha = (2, -3), nu = 3.5."""
    params = one([[2.0, 0.5], [0.5, 1.0]], [2.0, -3.0], [0.5, -1.0], 3.5)
    x = np.array([[0.0, 0.0], [1.0, -3.0], [-4.0, 2.0], [30.0, -20.0]])
    given = [-7.7543314013458, -3.9567292779120, -15.1351798659276, -17.5536042285045]
    np.testing.assert_allclose(SkewT().log_density(params, x)[:, 0], given, rtol=1e-11)


@pytest.mark.parametrize("dof", [0.5, 2.0, 30.0, 1e5])
@pytest.mark.parametrize("alpha", [-40.0, 0.0, 3.0])
def test_its_density_is_the_closed_form(dof: float, alpha: float) -> None:
    """2 t(z) T(alpha z sqrt((dof + 1) / (dof + z^2)); dof + 1) in one column."""
    z = np.array([-300.0, -4.0, -0.1, 0.0, 0.7, 5.0, 80.0])
    params = one([[4.0]], [alpha], [1.0], dof)
    inside = alpha * z * np.sqrt((dof + 1.0) / (dof + z**2))
    with np.errstate(divide="ignore"):
        tail = np.log(special.stdtr(dof + 1.0, inside))
    law = np.log(2.0) + stats.t(dof).logpdf(z) + tail - np.log(2.0)
    found = SkewT().log_density(params, (1.0 + 2.0 * z)[:, None])[:, 0]
    seen = np.isfinite(law)  # scipy's tail underflows
    np.testing.assert_allclose(found[seen], law[seen], rtol=2e-9, atol=2e-9)
    assert np.isfinite(found).all()


def test_with_many_degrees_of_freedom_it_is_skew_normal() -> None:
    params = one([[2.0, 0.5], [0.5, 1.0]], [2.0, -3.0], [0.5, -1.0], 1e9)
    normal = SkewNormalParameters(params.locations, params.slopes, params.scale_matrices)
    x = np.random.default_rng(0).normal(size=(20, 2))
    np.testing.assert_allclose(
        SkewT().log_density(params, x), SkewNormal().log_density(normal, x), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("dof", "d", "distance", "t"),
    [(1.0, 1, 2.0, 10.0), (4.0, 2, 3.0, -1.0), (4.0, 2, 300.0, -17.0), (50.0, 3, 2.0, 0.4)],
)
def test_what_is_hidden_is_as_integrals_say(dof: float, d: int, distance: float, t: float) -> None:
    """E of u, of u w, of u w^2, and the entropy, by sums over a fine grid of both."""
    a0, a, b = 0.5 * dof, 0.5 * (dof + d), 0.5 * (dof + distance)
    middle = np.log(a / (b + 0.5 * min(t, 0.0) ** 2))
    v = middle + np.linspace(-40.0, 12.0, 2001)[:, None] / np.sqrt(a)
    u = np.exp(v)
    nodes, weights = np.polynomial.legendre.leggauss(120)
    # w from 0 to where N(t, 1 / u) ends; of a far tail, where its exponential does.
    reach = 1.0 / np.sqrt(u) + np.where(t < 0, 1.0 / (np.sqrt(u) + abs(t) * u), 0.0)
    reach = np.where(t < 0, 40.0 * reach / (1.0 + abs(t) * np.sqrt(u)), max(t, 0.0) + 9.0 * reach)
    w, area = reach * (0.5 + 0.5 * nodes), reach * 0.5 * weights * (v[1] - v[0])
    log_law = a * v - b * u + 0.5 * v - 0.5 * u * (w - t) ** 2 - 0.5 * np.log(2.0 * np.pi)
    law = area * np.exp(log_law)
    mass = law.sum()
    arguments = np.array([dof]), d, np.array([[distance]]), np.array([[t]])
    constant = a0 * np.log(a0) - special.gammaln(a0)
    for found in (points(*arguments).log_mass, log_mass(*arguments)):
        assert found[0, 0] == pytest.approx(constant + np.log(mass), abs=1e-9)

    def mean(of: Any) -> float:
        return float((law * of).sum() / mass)

    known = (u, np.expm1(v) - v, u * w, u * w**2, np.log(mass) - log_law + v)
    for value, of in zip(hidden(*arguments), known, strict=True):
        assert value[0, 0] == pytest.approx(mean(of), rel=1e-8, abs=1e-10)


def test_however_many_degrees_of_freedom_no_digit_is_lost() -> None:
    """Beside the limit of the skew normal law the next term is of 1 / dof."""
    distances, t = np.array([[1.7], [9.0]]), np.array([[-4.0], [0.5]])
    limit = -0.5 * distances + special.log_ndtr(t)
    off = [log_mass(np.array([dof]), 1, distances, t) - limit for dof in (1e6, 1e8)]
    np.testing.assert_allclose(off[1], off[0] / 100.0, rtol=1e-4)
    by_rule = points(np.array([1e8]), 1, distances, t).log_mass - limit
    np.testing.assert_allclose(by_rule, off[1], rtol=1e-4)


def test_the_functions_of_half_the_degrees_of_freedom() -> None:
    a = np.array([0.2, 3.0, 29.999, 30.0, 1e6])
    plain = a * np.log(a) - a - special.gammaln(a)
    np.testing.assert_allclose(stirling(a), plain, rtol=1e-8)
    step = 1e-4 * a
    slope = (stirling(a + step) - stirling(a - step)) / (2.0 * step)
    np.testing.assert_allclose(log_excess(a)[0], slope, rtol=1e-6)


@pytest.mark.parametrize(
    ("columns", "log_likelihood", "dof"),
    [([0], -487.3458203836, 6.78677), ([0, 1], -1213.1073938953, 51.002)],
)
def test_it_ends_where_sn_does(columns: list[int], log_likelihood: float, dof: float) -> None:
    """selm(... ~ 1, family = "ST") of sn 2.1.0, on its Australian athletes."""
    fit = emframe.fit(emframe.Mixture("skew-t"), athletes()[:, columns], rng=0)
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=1e-7)
    assert fit.params.components.dof[0] == pytest.approx(dof, rel=1e-3)


def test_two_components_are_a_direct_optimum() -> None:
    rng = np.random.default_rng(3)
    true = SkewTParameters(
        np.array([[0.0], [10.0]]),
        np.array([[2.0], [-3.0]]),
        np.array([[[0.5]], [[1.0]]]),
        np.array([4.0, 6.0]),
    )
    labels = np.repeat([0, 1], [150, 100])
    x = SkewT().sample(true, labels, rng)
    fit = emframe.fit(emframe.Mixture("skew-t", 2), x, rng=0, n_starts=2)
    assert fit.converged

    def loss(point: Any) -> float:
        share = special.log_expit(np.array([point[0], -point[0]]))
        parts = SkewTParameters(
            point[1:3, None],
            point[3:5, None],
            np.exp(point[5:7])[:, None, None],
            np.exp(point[7:9]),
        )
        return -float(special.logsumexp(SkewT().log_density(parts, x) + share, axis=1).sum())

    parts = fit.params.components
    fields = (parts.locations, parts.slopes, np.log(parts.scale_matrices), np.log(parts.dof))
    share = np.log(fit.params.weights[0] / fit.params.weights[1])
    start = np.concatenate([[share], *(np.ravel(one) for one in fields)])
    assert -loss(start) == pytest.approx(fit.log_likelihood, rel=1e-11)
    found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-4})
    assert fit.log_likelihood == pytest.approx(-found.fun, rel=1e-8)


def test_its_moments_are_those_of_draws() -> None:
    params, labels = one([[3.0]], [4.0], [1.0], 12.0), np.zeros(200_000, dtype=int)
    x = SkewT().sample(params, labels, np.random.default_rng(0))
    assert SkewT().mean(params)[0] == pytest.approx(x.mean(axis=0), abs=0.02)
    assert SkewT().variance(params)[0] == pytest.approx(x.var(axis=0), rel=0.03)
    heavy = one([[3.0]], [4.0], [1.0], 1.5)
    assert np.isinf(SkewT().variance(heavy)).all()
    assert np.isnan(SkewT().mean(one([[3.0]], [4.0], [1.0], 1.0))).all()


def test_rows_may_lie_as_far_out_as_numbers_go() -> None:
    """T is 1 there, and the density falls as a power of the distance."""
    params = one([[1.0]], [1.0], [0.0], 0.5)
    x = np.array([[1e9], [1e12], [1e100]])
    fall = np.diff(SkewT().log_density(params, x)[:, 0]) / np.diff(np.log(x[:, 0]))
    np.testing.assert_allclose(fall, -1.5, rtol=1e-9)
