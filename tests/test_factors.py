"""Factor analyzers where they are more than a row of the tables: their M-step, and its boundary."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from emframe_families.factors.analyzers import FactorAnalyzers, FactorSums
from emframe_families.gaussian.scatter import Scatter
from scipy.optimize import minimize
from scipy.stats import invgamma, multivariate_normal, norm

import emframe
from emframe import Mixture
from emframe.parameters import from_vector, frozen, to_vector

IRIS = emframe.dataset("iris").X


def components(family, k, d, seed=0):
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0.5, 2.0, size=(k, d if family.noise == "columns" else 1))
    loadings = rng.normal(size=(k, d, family.n_factors))
    return frozen(family.parameters(rng.normal(size=(k, d)), loadings, noise))


def sums(k, d, seed=0, n=60):
    """Of rows with two factors behind them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)) @ rng.normal(size=(2, d)) + rng.normal(size=(n, d))
    resp = rng.dirichlet(np.ones(k), size=n)
    return FactorAnalyzers().accumulate(x, resp)


@pytest.mark.parametrize("noise", ["columns", "shared"])
@pytest.mark.parametrize("q", [1, 2])
def test_the_density_is_that_of_a_normal_distribution(noise, q):
    family = emframe.family("factor-analysis", n_factors=q, noise=noise)
    params, x = components(family, 3, 5), np.random.default_rng(1).normal(size=(7, 5))
    for k, found in enumerate(family.log_density(params, x).T):
        covariance = params.loadings[k] @ params.loadings[k].T + np.diag(params.own[k])
        theirs = multivariate_normal(params.means[k], covariance)
        assert found == pytest.approx(theirs.logpdf(x), rel=1e-12)


@pytest.mark.parametrize("noise", ["columns", "shared"])
@pytest.mark.parametrize("prior", [None, "weak"])
@pytest.mark.parametrize("tied", [(), ("loadings",), ("noise",), ("loadings", "noise")])
def test_every_m_step_climbs_to_a_maximum(noise, prior, tied):
    """The eight models of parsimonious Gaussian mixtures; from steps on the same sums alone."""
    plain = FactorAnalyzers(noise=noise)
    family = emframe.tied(plain, *tied) if tied else plain
    rows = sums(2, 4)
    if prior:
        whole = plain.whole(IRIS, np.ones(len(IRIS)))
        rows = rows + plain.conjugate_prior(prior, whole, 2).statistics
    at, before = family.m_step(_sized(family, rows), None), -np.inf
    for _ in range(150):
        value = family.expected(rows, at)
        assert value >= before - 1e-10 * abs(value)
        before, at = value, family.m_step(rows, at)
    slope = family.gradient(rows, at)
    assert np.abs(slope).max() < 1e-3
    climbed = minimize(
        lambda v: -family.expected(rows, from_vector(at, v)),
        to_vector(at),
        jac=lambda v: -family.gradient(rows, from_vector(at, v)),
    )
    assert -climbed.fun <= before + 1e-7 * abs(before)


def _sized(family, rows):
    """As a constrained family is told its rows."""
    if isinstance(family, FactorAnalyzers):
        return rows
    from emframe.composing.constraints import Sized

    return Sized(rows, 2, 4)


@pytest.mark.parametrize(
    "held", [("means",), ("loadings",), ("noise",), ("means", "noise"), ("loadings", "noise")]
)
@pytest.mark.parametrize("prior", [None, "weak"])
def test_what_is_held_stays_and_the_rest_is_at_its_best(held, prior):
    plain, rows = FactorAnalyzers(), sums(2, 4)
    like = frozen(plain.m_step(sums(2, 4, seed=1), None))
    if prior:
        whole = plain.whole(IRIS, np.ones(len(IRIS)))
        rows = rows + plain.conjugate_prior(prior, whole, 2).statistics
    family = emframe.fixed(plain, **{name: getattr(like, name) for name in held})
    at = family.constrain(like)
    before = family.expected(rows, at)
    for _ in range(200):
        at = family.m_step(rows, at)
        value = family.expected(rows, at)
        assert value >= before - 1e-10 * abs(value)
        before = value
    for name in held:
        assert np.array_equal(getattr(at, name), getattr(like, name))
    assert np.abs(family.gradient(rows, at)).max() < 1e-2


def test_the_prior_is_that_of_a_regression_on_unit_factors():
    family = FactorAnalyzers(n_factors=2)
    whole = family.whole(IRIS, np.ones(len(IRIS)))
    prior = family.conjugate_prior("weak", whole, 3)
    params = components(family, 3, 4)
    variances = IRIS.var(axis=0, ddof=1) / 3 ** (2 / 4)
    sd = np.sqrt(params.noise / 0.01)
    wanted = (
        norm(IRIS.mean(axis=0), sd).logpdf(params.means).sum()
        + norm(0.0, sd[:, :, None]).logpdf(params.loadings).sum()
        + invgamma(2.0, scale=variances).logpdf(params.noise).sum()
    )
    found = family.expected(prior.statistics, params) + prior.log_constant
    assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("tied", "noise"), [*itertools.product(range(4), ["columns", "shared"])])
def test_the_eight_models_have_as_many_parameters_as_they_were_published_with(tied, noise):
    """McNicholas and Murphy (2008), table 1; d = 4, q = 2, K = 3."""
    names = [(), ("loadings",), ("noise",), ("loadings", "noise")][tied]
    model = Mixture("factor-analysis", 3, n_factors=2, noise=noise)
    model = model.tied(*names) if names else model
    params = model.family.template({"K": 3, "d": 4})
    of_loadings = 4 * 2 - 1
    of_noise = 4 if noise == "columns" else 1
    wanted = 12 + of_loadings * (1 if "loadings" in names else 3)
    wanted += of_noise * (1 if "noise" in names else 3)
    assert emframe.parameters.n_free(params) == wanted


def test_one_component_is_factor_analysis():
    one = emframe.fit(Mixture("factor-analysis", 1), IRIS, rng=0)
    other = emframe.fit(emframe.model("factor-analysis"), IRIS, rng=0)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-5)
    assert one.n_parameters == other.n_parameters
    assert emframe.model("factor-analysis", n_factors=2).as_component() == FactorAnalyzers(2)


def test_gaps_are_integrated_out():
    x = IRIS.copy()
    x[np.random.default_rng(0).random(x.shape) < 0.1] = np.nan
    fit = emframe.fit(Mixture("factor-analysis", 2, missing=True), x, rng=0, n_starts=2)
    assert fit.status.usable
    components = fit.params.components
    covariances = components.loadings @ components.loadings.swapaxes(1, 2)
    total = 0.0
    for row in x:
        seen = ~np.isnan(row)
        each = [
            weight
            * multivariate_normal(mean[seen], (covariance + np.diag(own))[np.ix_(seen, seen)]).pdf(
                row[seen]
            )
            for weight, mean, covariance, own in zip(
                fit.params.weights, components.means, covariances, components.own, strict=True
            )
        ]
        total += np.log(sum(each))
    assert fit.log_likelihood == pytest.approx(total, rel=1e-10)


def test_columns_without_noise_are_told():
    """A Heywood case is a maximum on the boundary; more of them than factors are a plane."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 4))
    x[:, 1] = x[:, 0] + 0.1 * x[:, 1]
    x[:, 2] += 0.3 * x[:, 0]
    fit = emframe.fit(Mixture("factor-analysis", 1), x, rng=0)
    assert fit.converged
    assert "Heywood" in fit.message
    x[:, 1] = x[:, 0] * 2.0 + 1.0
    with pytest.raises(emframe.Degenerate, match="lie in a plane, with columns 0"):
        emframe.fit(Mixture("factor-analysis", 1), x, rng=0)


def test_scores_and_axes():
    family = FactorAnalyzers(n_factors=2)
    params, x = components(family, 2, 5), np.random.default_rng(1).normal(size=(6, 5))
    found = family.scores(params, x)
    inner = np.linalg.inv(
        np.eye(2) + params.loadings[1].T @ (params.loadings[1] / params.noise[1][:, None])
    )
    slope = inner @ (params.loadings[1] / params.noise[1][:, None]).T
    assert found[:, 1] == pytest.approx((x - params.means[1]) @ slope.T, rel=1e-10)
    turned = family.principal(params)
    assert family.log_density(turned, x) == pytest.approx(family.log_density(params, x), rel=1e-12)
    crossed = turned.loadings[0].T @ (turned.loadings[0] / turned.noise[0][:, None])
    assert abs(crossed[0, 1]) < 1e-12 * crossed[0, 0]
    assert crossed[0, 0] > crossed[1, 1]


def test_sums_add_and_scale():
    a, b = sums(2, 3, 0), sums(2, 3, 1)
    assert isinstance(a.rows, Scatter)
    prior = FactorAnalyzers().conjugate_prior("weak", a.__class__(a.rows.taken(slice(0, 1))), 2)
    both = (a + b + prior.statistics) * 0.5
    assert isinstance(both, FactorSums)
    assert both.rows.counts == pytest.approx(0.5 * (a.rows.counts + b.rows.counts))
    assert both.prior.times == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_factors": 0}, "pass 1 or more"),
        ({"noise": "none"}, "expected 'columns' or 'shared'"),
        ({"n_factors": 2}, "tells at most 1"),
    ],
)
def test_what_no_model_has_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        emframe.fit(Mixture("factor-analysis", 2, **options), IRIS, rng=0)
