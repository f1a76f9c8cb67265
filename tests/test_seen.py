"""What was seen of a row: bounds of a value, values that never reach the data, and gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

import emframe
from emframe import Array
from emframe.composing import Censored, Truncated
from emframe.engines import Workspace
from emframe.parameters import to_vector
from emframe.testing import check_family

nan, inf = np.nan, np.inf


def rows(n: int = 60, seed: int = 0) -> Array:
    """Exact, right, left and interval censored normal rows together, (n, 2)."""
    rng = np.random.default_rng(seed)
    y = rng.normal(1.0, 2.0, n)
    low, high = y.copy(), y.copy()
    low[: n // 5], high[: n // 5] = np.floor(y[: n // 5]), np.floor(y[: n // 5]) + 1.0
    right, left = slice(n // 5, 2 * n // 5), slice(2 * n // 5, 3 * n // 5)
    low[right], high[right] = y[right] - 0.4, nan
    low[left], high[left] = -inf, y[left] + 0.3
    return np.column_stack([low, high])


def loglik(law: Any, x: Array, weights: Any = 1.0) -> float:
    """Of rows (n, 2), by scipy's density and distribution function."""
    low, high = (
        np.where(np.isnan(x[:, 0]), -inf, x[:, 0]),
        np.where(np.isnan(x[:, 1]), inf, x[:, 1]),
    )
    exact = low == high
    each = np.where(exact, law.logpdf(np.where(exact, low, 0.5)), 0.0)
    with np.errstate(divide="ignore"):
        each = np.where(exact, each, np.log(law.cdf(high) - law.cdf(low)))
    return float((weights * each).sum())


# ---- censored


def test_a_censored_exponential_rate_is_deaths_over_time() -> None:
    rng = np.random.default_rng(1)
    life, end = rng.exponential(3.0, 200), rng.uniform(1.0, 6.0, 200)
    time, event = np.minimum(life, end), (life <= end).astype(float)
    weights = rng.integers(1, 4, 200).astype(float)
    model = emframe.Mixture(Censored("exponential", time=0, event=1), 1)
    fit = emframe.fit(model, np.column_stack([time, event]), weights=weights, rng=0, tol=1e-12)
    rate = (weights @ event) / (weights @ time)
    deaths = weights @ event
    assert fit.log_likelihood == pytest.approx(
        deaths * np.log(rate) - rate * (weights @ time), rel=1e-9
    )
    assert fit.params.components.rates[0, 0] == pytest.approx(rate, rel=1e-6)


def test_a_censored_normal_is_scipys() -> None:
    x = rows()
    top = optimize.minimize(
        lambda p: -loglik(stats.norm(p[0], np.exp(p[1])), x),
        [1.0, 0.7],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-13},
    )
    fit = emframe.fit(emframe.Mixture(Censored("normal", lower=0, upper=1), 1), x, rng=0, tol=1e-12)
    assert fit.log_likelihood == pytest.approx(-top.fun, rel=1e-9)


@pytest.mark.parametrize(
    ("family", "law", "params"),
    [
        ("normal", stats.norm(0.3, 1.7), {"means": [[0.3]], "covariances": [[[1.7**2]]]}),
        ("exponential", stats.expon(scale=1 / 0.6), {"rates": [[0.6]]}),
        ("weibull", stats.weibull_min(1.4, scale=2.0), {"shapes": [[1.4]], "scales": [[2.0]]}),
        ("gamma", stats.gamma(1.4, scale=2.0), {"shapes": [[1.4]], "rates": [[0.5]]}),
        (
            "lognormal",
            stats.lognorm(0.8, scale=np.exp(0.2)),
            {"means": [[0.2]], "covariances": [[[0.64]]]},
        ),
    ],
)
def test_each_kind_of_row_has_scipys_density(family: str, law: Any, params: Any) -> None:
    x = np.array([[1.3, 1.3], [0.4, 2.2], [0.9, nan], [-inf, 1.1], [nan, nan], [2.0, inf]])
    made = Censored(family, lower=0, upper=1)
    found = made.log_density(made.build(params), x)[:, 0]
    expected = [loglik(law, row[None]) for row in x]
    assert np.allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("far", [5.0, 30.0, 200.0])
def test_both_tails_keep_their_digits(far: float) -> None:
    """The probability of a far interval, where the distribution function is 0 or 1."""
    made = Censored("normal", lower=0, upper=1)
    params = made.build({"means": [[0.0]], "covariances": [[[1.0]]]})
    found = made.log_density(params, np.array([[far, far + 1.0], [-far - 1.0, -far]]))[:, 0]
    inside, _ = integrate.quad(lambda t: np.exp(-far * t - 0.5 * t**2), 0.0, 1.0, epsrel=1e-12)
    expected = -0.5 * far**2 - 0.5 * np.log(2 * np.pi) + np.log(inside)
    assert np.allclose(found, expected, rtol=1e-11)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(-6.0, -3.0))
def test_as_bins_shrink_binned_tends_to_exact(seed: int, log_width: float) -> None:
    width = 10.0**log_width
    y = np.random.default_rng(seed).normal(size=20)
    made = Censored("normal", lower=0, upper=1)
    params = made.build({"means": [[0.2]], "covariances": [[[1.3]]]})
    binned = made.log_density(params, np.column_stack([y - width / 2, y + width / 2]))
    exact = made.log_density(params, np.column_stack([y, y]))
    # Of a smooth density the difference is of the second order, but for rounding of the ends.
    assert np.abs(binned - np.log(width) - exact).max() < width**2 + 3e-14 / width


def test_counts_that_are_seen_in_classes() -> None:
    """Both ends of a class are possible counts."""
    made = Censored("poisson", lower=0, upper=1)
    law = stats.poisson(2.3)
    x = np.array([[1.0, 3.0], [nan, 2.0], [4.0, inf], [2.0, 2.0]])
    found = made.log_density(made.build({"rates": [[2.3]]}), x)[:, 0]
    expected = [law.pmf([1, 2, 3]).sum(), law.cdf(2), law.sf(3), law.pmf(2)]
    assert np.allclose(found, np.log(expected), rtol=1e-12)


def test_a_chain_with_censored_emissions_is_the_sum_over_paths() -> None:
    x = np.array([[0.1, 0.1], [1.0, nan], [nan, nan], [-0.5, 0.5], [nan, 1.5]])
    model = emframe.model("hidden-markov", family=Censored("normal", lower=0, upper=1), n_states=2)
    params = {
        "initial": [0.3, 0.7],
        "transitions": [[0.8, 0.2], [0.4, 0.6]],
        "means": [[0.0], [1.5]],
        "covariances": [[[1.0]], [[0.5]]],
    }
    fit = emframe.fit(model, x, start=params, max_iter=0)
    laws = [stats.norm(0.0, 1.0), stats.norm(1.5, np.sqrt(0.5))]
    b = np.array([[np.exp(loglik(law, row[None])) for law in laws] for row in x])
    forward = np.array([0.3, 0.7]) * b[0]
    for row in b[1:]:
        forward = forward @ np.array([[0.8, 0.2], [0.4, 0.6]]) * row
    assert fit.log_likelihood == pytest.approx(np.log(forward.sum()), rel=1e-9)


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (
            [[0.0, 1.0], [3.0, 2.0]],
            r"row 1, column 0 \('x0'\) is 3.0, and column 1 \('x1'\) is 2.0",
        ),
        ([[0.0, 1.0], [inf, nan]], "row 1"),
    ],
)
def test_ends_that_are_none_are_refused(x: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        emframe.fit(emframe.Mixture(Censored("normal", lower=0, upper=1), 1), np.array(x))


@pytest.mark.parametrize(
    "settings_of",
    [
        {},
        {"lower": 0},
        {"lower": 0, "event": 1},
        {"lower": 0, "upper": 0},
        {"time": 0.5, "event": 1},
    ],
)
def test_what_is_no_pair_is_refused(settings_of: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=r"`?(lower|time|pass)"):
        Censored("normal", **settings_of)


def test_what_other_libraries_have_for_bounds() -> None:
    pandas = pytest.importorskip("pandas")
    made = Censored("normal", lower=0, upper=1)
    fit = emframe.fit(emframe.Mixture(made, 1), rows(), rng=0)
    told = stats.CensoredData([1.0, 2.0], left=[0.5], right=[3.0], interval=[[0.0, 1.5]])
    pairs = [[1.0, 1.0], [2.0, 2.0], [nan, 0.5], [3.0, nan], [0.0, 1.5]]
    assert np.array_equal(fit.score_samples(told), fit.score_samples(pairs))
    between = pandas.IntervalIndex.from_tuples([(0.0, 1.0), (1.0, 4.0)])
    expected = fit.score_samples([[0.0, 1.0], [1.0, 4.0]])
    assert np.array_equal(fit.score_samples(between), expected)
    assert np.array_equal(fit.score_samples(pandas.Series(between)), expected)
    columns = (np.array([0.0, 1.0]), np.array([1.0, 4.0]))
    assert np.array_equal(fit.score_samples(columns), expected)


# ---- truncated


def test_zero_truncated_counts_are_normalised_and_told() -> None:
    made = Truncated("poisson", low=1)
    params, law = made.build({"rates": [[0.7]]}), stats.poisson(0.7)
    counts = np.arange(1.0, 60.0)[:, None]
    assert np.exp(made.log_density(params, counts)).sum() == pytest.approx(1.0, rel=1e-12)
    # Of each that is seen P(0) / (1 - P(0)) are not.
    unseen = made.unseen(params, counts[:10], np.ones((10, 1)))
    assert unseen[0] == pytest.approx(10 * law.pmf(0) / law.sf(0), rel=1e-12)


def test_the_mean_of_zero_truncated_counts_is_met() -> None:
    """At the maximum rate / (1 - exp(-rate)) is the mean of the counts."""
    x = np.array([1, 1, 1, 2, 2, 3, 5.0])
    fit = emframe.fit(emframe.Mixture(Truncated("poisson", low=1), 1), x, rng=0, tol=1e-13)
    rate = optimize.brentq(lambda r: r / -np.expm1(-r) - x.mean(), 0.1, 9.0, xtol=1e-13)
    assert fit.params.components.rates[0, 0] == pytest.approx(rate, rel=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_truncation_at_the_ends_of_the_support_changes_nothing(seed: int) -> None:
    x = np.random.default_rng(seed).gamma(2.0, size=(12, 1))
    for family, ends in (("gamma", {"low": 0.0}), ("weibull", {"low": -3.0}), ("normal", {})):
        made = Truncated(family, **ends)
        params = made.template({"K": 2, "d": 1})
        plain = made.family.log_density(params, x)
        assert np.array_equal(made.log_density(params, x), plain)


def test_rows_beyond_the_ends_are_refused() -> None:
    with pytest.raises(ValueError, match="row 2"):
        emframe.fit(emframe.Mixture(Truncated("poisson", low=1), 1), [1.0, 2.0, 0.0])


def test_left_truncated_and_right_censored_together() -> None:
    made = Censored(Truncated("weibull", low=0.5), time=0, event=1)
    params, law = (
        made.build({"shapes": [[1.5]], "scales": [[2.0]]}),
        stats.weibull_min(1.5, scale=2.0),
    )
    found = made.log_density(params, np.array([[1.2, 1.0], [3.0, 0.0]]))[:, 0]
    expected = np.array([law.logpdf(1.2), law.logsf(3.0)]) - law.logsf(0.5)
    assert np.allclose(found, expected, rtol=1e-12)


# ---- errors of measurement


def noisy(n: int = 80, seed: int = 5) -> tuple[Array, Array]:
    """Rows (n, 2) about two centres, and the deviations of their errors."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n, 2)) + np.where(rng.random((n, 1)) < 0.4, 0.0, 5.0)
    s = rng.uniform(0.1, 1.5, (n, 2))
    return y + s * rng.normal(size=(n, 2)), s


def test_errors_add_to_the_covariance() -> None:
    x, s = noisy(9)
    made = emframe.Noisy("gaussian", values=(0, 1), errors=(2, 3))
    covariance = np.array([[1.3, 0.4], [0.4, 0.7]])
    params = made.build({"means": [[1.0, 2.0]], "covariances": [covariance]})
    found = made.log_density(params, np.hstack([x, s]))[:, 0]
    expected = [
        stats.multivariate_normal([1.0, 2.0], covariance + np.diag(e**2)).logpdf(row)
        for row, e in zip(x, s, strict=True)
    ]
    assert np.allclose(found, expected, rtol=1e-12)


def test_errors_of_zero_change_nothing() -> None:
    x, s = noisy()
    made = emframe.Noisy("gaussian", values=(0, 1), errors=(2, 3))
    fit = emframe.fit(emframe.Mixture(made, 2), np.hstack([x, 0.0 * s]), rng=0, n_starts=4)
    plain = emframe.fit(emframe.Mixture("gaussian", 2), x, rng=0, n_starts=4)
    assert fit.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-9)


def test_a_mean_under_errors_is_that_of_weighted_rows() -> None:
    """With one component and the variance held the mean is weighted by 1 / (v + s^2)."""
    x, s = noisy()
    made = emframe.Noisy("gaussian", values=0, errors=1)
    held = emframe.fixed(made, covariances=[[[2.0]]])
    fit = emframe.fit(emframe.Mixture(held, 1), np.column_stack([x[:, 0], s[:, 0]]), tol=1e-13)
    weights = 1.0 / (2.0 + s[:, 0] ** 2)
    mean = weights @ x[:, 0] / weights.sum()
    assert fit.params.components.means[0, 0] == pytest.approx(mean, rel=1e-6)


COVARIANCES = tuple(range(2, 5))


def correlated(n: int = 60, missing: bool = False) -> tuple[Array, Array]:
    """Rows (n, 2) about two centres, and the covariances of their errors, some singular."""
    rng = np.random.default_rng(8)
    roots = rng.normal(size=(n, 2, 2)) * rng.uniform(0.1, 1.0, (n, 1, 1))
    roots[:6], roots[6:12, 1] = 0.0, 0.0
    y = rng.normal(size=(n, 2)) + np.where(rng.random((n, 1)) < 0.4, 0.0, 5.0)
    x = y + np.einsum("nij,nj->ni", roots, rng.normal(size=(n, 2)))
    if missing:
        x[rng.random(x.shape) < 0.25] = nan
    return x, roots @ roots.swapaxes(1, 2)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_errors_that_depend_on_each_other(missing: bool, unit: float) -> None:
    """The fit is at the top of what scipy makes of the marginal densities."""
    x, errors = correlated(missing=missing)
    x, errors = unit * x, unit**2 * errors
    made = emframe.Noisy("gaussian", values=(0, 1), covariances=COVARIANCES, missing=missing)
    rows = emframe.Noisy.rows(x, errors)
    fit = emframe.fit(emframe.Mixture(made, 1), rows, rng=0, tol=1e-12)

    def height(mean: Array, covariance: Array) -> float:
        total = 0.0
        for row, own in zip(x, covariance + errors, strict=True):
            o = ~np.isnan(row)
            if o.any():
                law = stats.multivariate_normal(mean[o], own[np.ix_(o, o)])
                total += float(law.logpdf(row[o]))
        return total

    mean, covariance = fit.params.components.means[0], fit.params.components.covariances[0]
    assert fit.log_likelihood == pytest.approx(height(mean, covariance), rel=1e-10)
    for h in (0.01, -0.01):
        step = h * unit * np.array([1.0, 0.3])
        assert height(mean + step, covariance) < fit.log_likelihood
        for turn in (np.diag([1.0, 0.0]), np.array([[0.0, 1.0], [1.0, 0.0]])):
            assert height(mean, covariance + h * unit**2 * turn) < fit.log_likelihood


def test_errors_without_correlations_are_deviations() -> None:
    x, s = noisy(40)
    each = s[:, :, None] ** 2 * np.eye(2)
    one = emframe.Noisy("gaussian", values=(0, 1), errors=(2, 3))
    other = emframe.Noisy("gaussian", values=(0, 1), covariances=COVARIANCES)
    params = one.template({"K": 2, "d": 4})
    found = other.log_density(params, emframe.Noisy.rows(x, each))
    assert np.allclose(found, one.log_density(params, np.hstack([x, s])), rtol=1e-12)


def test_covariances_of_errors_that_are_none_are_refused() -> None:
    x, errors = correlated(12)
    made = emframe.Mixture(emframe.Noisy("gaussian", values=(0, 1), covariances=COVARIANCES), 1)
    errors[3] = [[1.0, 2.0], [2.0, 1.0]]
    with pytest.raises(ValueError, match=r"row 3, .*no eigenvalue below 0"):
        emframe.fit(made, emframe.Noisy.rows(x, errors))
    errors[4, 0, 1] += 1.0
    with pytest.raises(ValueError, match="4 is not symmetric"):
        emframe.Noisy.rows(x, errors)
    with pytest.raises(ValueError, match=r"d \(d \+ 1\) / 2"):
        emframe.Noisy("gaussian", values=(0, 1), covariances=(2, 3))


# ---- responses

I = np.arange(1.0, 31.0)
LINE = np.cos(1.3 * I)
TIMES = np.column_stack([np.exp(1.0 + 0.5 * LINE + np.sin(7.1 * I)), I % 4 != 0, LINE])


@pytest.mark.parametrize(
    ("family", "log_likelihood", "intercept", "slope"),
    [
        ("weibull", -54.059999284491, 1.522161819, 0.467829656),
        ("exponential", -57.529435809325, 1.504660579, 0.463983689),
        ("lognormal", -54.425811584143, 1.175628677, 0.416637339),
    ],
)
def test_times_to_failure_are_those_of_survreg(
    family: str, log_likelihood: float, intercept: float, slope: float
) -> None:
    """R, survival 3.5, survreg(Surv(y, s) ~ x)."""
    made = Censored(f"{family}-regression", time=0, event=1, predictors=(2,))
    fit = emframe.fit(emframe.Mixture(made, 1), TIMES, rng=0, tol=1e-12)
    assert fit.log_likelihood == pytest.approx(log_likelihood, rel=1e-9)
    own = fit.params.components
    assert (own.intercept[0], own.x1[0]) == pytest.approx((intercept, slope), rel=1e-4)


T = np.array([-1.0, 0.0, 0.5, 2.0])
MEANS = np.exp(0.3 + 0.7 * T)
ODDS = MEANS / (1.0 + MEANS)


@pytest.mark.parametrize(
    ("name", "own", "y", "laws"),
    [
        ("weibull", {"shape": [1.7]}, 1.0 + T**2, stats.weibull_min(1.7, scale=MEANS)),
        ("gamma", {"shape": [1.7]}, 1.0 + T**2, stats.gamma(1.7, scale=MEANS / 1.7)),
        ("exponential", {}, 1.0 + T**2, stats.expon(scale=MEANS)),
        (
            "student-t",
            {"sigma": [0.6], "dof": [3.5]},
            T,
            stats.t(3.5, np.log(MEANS), 0.6),
        ),
        ("student-t", {"sigma": [0.6], "dof": [inf]}, T, stats.norm(np.log(MEANS), 0.6)),
        ("poisson", {}, np.array([0.0, 1.0, 2.0, 9.0]), stats.poisson(MEANS)),
        (
            "negative-binomial",
            {"dispersion": [0.4]},
            np.array([0.0, 1.0, 2.0, 9.0]),
            stats.nbinom(2.5, 1.0 / (1.0 + 0.4 * MEANS)),
        ),
        (
            "negative-binomial",
            {"dispersion": [0.0]},
            np.array([0.0, 1.0, 2.0, 9.0]),
            stats.poisson(MEANS),
        ),
        (
            "beta",
            {"precision": [5.0]},
            np.array([0.1, 0.3, 0.6, 0.95]),
            stats.beta(5.0 * ODDS, 5.0 * (1.0 - ODDS)),
        ),
        ("binomial", {}, np.array([0.0, 1.0, 0.0, 1.0]), stats.binom(1, ODDS)),
    ],
)
def test_regressions_tell_their_tails(name: str, own: Any, y: Array, laws: Any) -> None:
    family = emframe.family(f"{name}-regression")
    params = family.build({"intercept": [0.3], "x1": [0.7], **own})
    x = np.column_stack([y, T])
    with np.errstate(divide="ignore"):
        below, beyond = laws.logcdf(y), laws.logsf(y)
    assert np.allclose(family.log_cdf(params, x)[:, 0], below, rtol=1e-12, atol=1e-15)
    assert np.allclose(family.log_sf(params, x)[:, 0], beyond, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("shape", "x"), [(0.3, 2000.0), (5.0, 1e4), (200.0, 1.0), (1e4, 2e4)])
def test_far_tails_of_gamma_keep_their_digits(shape: float, x: float) -> None:
    mpmath = pytest.importorskip("mpmath")
    family = emframe.family("gamma")
    params = family.build({"shapes": [[shape]], "rates": [[1.0]]})
    with mpmath.workdps(40):
        upper = x > shape
        ends = (x, mpmath.inf) if upper else (0, x)
        wanted = float(mpmath.log(mpmath.gammainc(shape, *ends, regularized=True)))
    tail = family.log_sf if upper else family.log_cdf
    assert wanted < -600.0
    assert tail(params, np.array([[x]]))[0, 0] == pytest.approx(wanted, rel=1e-13)


def test_zero_truncated_regressions_are_normalised() -> None:
    for name in ("poisson", "negative-binomial"):
        made = Truncated(f"{name}-regression", low=1)
        params = made.template({"K": 1, "d": 2})
        x = np.column_stack([np.arange(1.0, 400.0), np.full(399, 0.7)])
        assert np.exp(made.log_density(params, x)).sum() == pytest.approx(1.0, rel=1e-9)


# ---- gaps


@pytest.mark.parametrize("family", ["poisson", "exponential", "gamma", "weibull", "geometric"])
def test_what_is_missing_is_summed_out(family: str) -> None:
    """The density of what a row shows is the whole row's, summed or integrated over the rest."""
    made = emframe.family(family, missing=True)
    params = made.template({"K": 2, "d": 2})
    discrete = made.family.support.discrete
    seen = 2.0
    for k in range(2):

        def density(y: float, k: int = k) -> float:
            return float(np.exp(made.family.log_density(params, np.array([[seen, y]]))[0, k]))

        if discrete:
            total = sum(density(float(y)) for y in range(200))
        else:
            total = integrate.quad(density, 0.0, inf, epsrel=1e-11, limit=200)[0]
        found = np.exp(made.log_density(params, np.array([[seen, nan]]))[0, k])
        assert found == pytest.approx(total, rel=1e-9)


def test_gaps_in_a_mixture() -> None:
    rng = np.random.default_rng(3)
    x = rng.poisson([[2.0, 9.0, 4.0]] * 40 + [[8.0, 1.0, 4.0]] * 40).astype(float)
    x[rng.random(x.shape) < 0.2] = nan
    x[0] = nan
    fit = emframe.fit(emframe.Mixture("poisson", 2, missing=True), x, rng=0, n_starts=4)
    p = fit.params
    each = np.where(
        np.isnan(x)[:, None],
        0.0,
        stats.poisson(p.components.rates).logpmf(np.where(np.isnan(x), 0, x)[:, None]),
    )
    expected = np.log(np.exp(each.sum(axis=2)) @ p.weights).sum()
    assert fit.log_likelihood == pytest.approx(expected, rel=1e-9)
    assert np.allclose(fit.predict_proba(x)[0], p.weights, rtol=1e-12)


COUNTS = np.random.default_rng(1).poisson([[3.0, 9.0, 200.0]] * 40 + [[8.0, 1.0, 300.0]] * 40) * 1.0
COUNTS[np.random.default_rng(2).random(COUNTS.shape) < 0.2] = nan
COUNTS[0] = nan
POISSON, GEOMETRIC = (emframe.family(name, missing=True) for name in ("poisson", "geometric"))
ANYWHERE: dict[str, tuple[Any, str]] = {
    "alone": (emframe.Mixture(POISSON, 2), "products"),
    "in a list": (emframe.Mixture([POISSON, GEOMETRIC]), "products"),
    "in a product": (
        emframe.Mixture(emframe.Product({(0, 1): POISSON, 2: GEOMETRIC}), 2),
        "products",
    ),
    "tied": (emframe.tied(emframe.Mixture(POISSON, 2), "rates"), "products"),
    "held": (emframe.fixed(emframe.Mixture(POISSON, 2), rates=np.full((2, 3), 5.0)), "products"),
    "nested": (emframe.Mixture(emframe.Mixture(POISSON, 2), 2), "products"),
    "diagonal": (emframe.Mixture("gaussian", 2, covariance="diag", missing=True), "quadratic"),
    "kept rows": (emframe.Mixture("negative-binomial", 2, missing=True), "densities"),
}


@pytest.mark.parametrize("name", ANYWHERE)
def test_gaps_go_past_by_the_kernels_of_what_is_shown(name: str) -> None:
    """Wherever the family stands, and as the densities of what each row shows have it."""
    model, form = ANYWHERE[name]
    fit = emframe.fit(model, COUNTS, rng=0, n_starts=1, max_iter=2)
    rows = fit.model.rows(COUNTS)
    plain = fit.model.expect(fit.params, rows.x, rows.weights)
    one = next(fit.model.passes(fit.params, fit.model.survey(rows)))
    q = one.finish(one.block((rows.x, rows.weights), Workspace()))
    assert q.form == form
    assert q.loglik == pytest.approx(plain.loglik, rel=1e-12)
    assert q.entropy == pytest.approx(plain.entropy, rel=1e-9, abs=1e-9 * len(COUNTS))
    assert np.allclose(to_vector(q.maximize()), to_vector(plain.maximize()), rtol=1e-9, atol=1e-12)


def test_a_missing_response_says_nothing() -> None:
    rng = np.random.default_rng(4)
    t = rng.normal(size=30)
    x = np.column_stack([1.0 + 2.0 * t + rng.normal(size=30), t])
    holed = np.vstack([x, [[nan, 0.3], [nan, -2.0]]])
    model = emframe.Mixture("gaussian-regression", 1, missing=True)
    plain = emframe.fit(emframe.Mixture("gaussian-regression", 1), x, rng=0)
    fit = emframe.fit(model, holed, rng=0)
    assert fit.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-12)


SHARES = np.random.default_rng(2).dirichlet([2.0, 3.0, 4.0], size=40)
WHOLE: dict[str, tuple[Any, Any]] = {
    "dirichlet": (emframe.family("dirichlet"), SHARES),
    "multinomial": (emframe.family("multinomial"), np.floor(20 * SHARES)),
    "uniform": (emframe.family("uniform", low=(0.0,) * 3, high=(1.0,) * 3), SHARES),
    "zero-inflated": (emframe.ZeroInflated("poisson"), np.floor(6 * SHARES[:, :1])),
    "hurdle": (emframe.Hurdle("poisson"), np.floor(9 * SHARES[:, :1])),
    "truncated": (emframe.Truncated("poisson", low=1), 1.0 + np.floor(6 * SHARES[:, :1])),
    "from scipy": (emframe.from_scipy(stats.gumbel_r), SHARES[:, :1]),
}


@pytest.mark.parametrize("name", WHOLE)
def test_columns_that_go_together_are_missing_together(name: str) -> None:
    """Of any family a row that shows nothing says nothing; half of one is refused."""
    family, x = WHOLE[name]
    holed = np.vstack([x, np.full((3, x.shape[1]), nan)])
    fit = emframe.fit(emframe.Mixture(family, 1, missing=True), holed, rng=0)
    plain = emframe.fit(emframe.Mixture(family, 1), x, rng=0)
    assert fit.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-12)
    holed[0, -1] = nan
    if x.shape[1] > 1:
        with pytest.raises(ValueError, match=r"row 0.*nan in all columns"):
            emframe.fit(emframe.Mixture(family, 1, missing=True), holed)


def test_a_value_that_is_missing_is_missing_of_the_whole() -> None:
    """Within a family to which it is a value it would be no zero, with the density of that."""
    for wrap in (emframe.ZeroInflated, emframe.Hurdle):
        with pytest.raises(TypeError, match="missing of the whole"):
            wrap("poisson", missing=True)
    with pytest.raises(TypeError, match="leave out the rows"):
        emframe.family("linear-mixed", missing=True, response="y")


@pytest.mark.parametrize(
    "name", ["ordinal-regression", "multinomial-regression", "lognormal-regression"]
)
def test_responses_whose_levels_are_read_off_the_data_may_be_missing(name: str) -> None:
    rng = np.random.default_rng(4)
    t = rng.normal(size=60)
    y = np.digitize(t + rng.logistic(size=60), [-1.0, 1.0]) + (name[0] == "l")
    x = np.column_stack([y, t]).astype(float)
    holed = np.vstack([x, [[nan, 0.3], [nan, -2.0]]])
    fit = emframe.fit(emframe.Mixture(name, 1, missing=True), holed, rng=0)
    plain = emframe.fit(emframe.Mixture(name, 1), x, rng=0)
    assert fit.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-12)


T_SHAPE = np.array([[2.0, 0.7, 0.1], [0.7, 1.0, -0.3], [0.1, -0.3, 0.5]])


def t_rows(n: int = 120, unit: float = 1.0) -> Array:
    rng = np.random.default_rng(6)
    x = stats.multivariate_t(shape=T_SHAPE, df=4).rvs(n, random_state=rng)
    x[rng.random(x.shape) < 0.2] = nan
    return np.asarray(unit * x)


def t_loglik(x: Array, location: Array, scale: Array, dof: float) -> float:
    total = 0.0
    for row in x:
        o = ~np.isnan(row)
        if o.any():
            law = stats.multivariate_t(location[o], scale[np.ix_(o, o)], df=dof)
            total += float(law.logpdf(row[o]))
    return total


@pytest.mark.parametrize("unit", [1.0, 1e-6])
def test_t_rows_with_gaps_are_at_the_top_of_the_marginal_densities(unit: float) -> None:
    x = t_rows(unit=unit)
    fit = emframe.fit(emframe.Mixture("student-t", 1, missing=True), x, rng=0, tol=1e-12)
    own = fit.params.components
    at = own.locations[0], own.scale_matrices[0], float(own.dof[0])
    assert fit.log_likelihood == pytest.approx(t_loglik(x, *at), rel=1e-10)
    for h in (1.0, -1.0):  # no way up by any of these
        for moved in (
            (at[0] + h * unit * np.array([0.02, 0.0, 0.0]), at[1], at[2]),
            (at[0] + h * unit * np.array([0.0, 0.01, 0.01]), at[1], at[2]),
            (at[0], at[1] * (1.0 + 0.02 * h), at[2]),
            (at[0], at[1] + h * unit**2 * np.diag([0.02, 0.0, 0.0]), at[2]),
            (at[0], at[1], at[2] * (1.0 + 0.05 * h)),
        ):
            assert t_loglik(x, *moved) < fit.log_likelihood


@pytest.mark.parametrize("covariance", ["full", "EVI"])
def test_t_rows_without_a_tail_are_normal_ones(covariance: str) -> None:
    x = t_rows()
    settings_of = {"covariance": covariance, "missing": True}
    one = emframe.fit(emframe.Mixture("student-t", 2, dof=inf, **settings_of), x, rng=0, n_starts=2)
    start = {
        "weights": one.params.weights,
        "means": one.params.components.locations,
        "covariances": one.params.components.scale_matrices,
    }
    other = emframe.fit(emframe.Mixture("gaussian", 2, **settings_of), x, start=start)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-9)


# ---- the kit, and what it has to reject


@dataclass(frozen=True, init=False)
class CountsTheTimeOnly(Censored):
    """A time that was not the end has the density of one that was."""

    def log_density(self, params: Any, x: Array) -> Array:
        rows = np.array(x)
        rows[:, 1] = np.where(np.isnan(rows[:, 0]), rows[:, 1], 1.0)
        return super().log_density(params, rows)


@dataclass(frozen=True, init=False)
class ForgetsTheUnseen(Truncated):
    """Rows beyond the ends have their probability still."""

    def log_seen(self, params: Any, x: Array) -> Array:
        return np.zeros((1, 1))


HONEST = {
    "censored normal": Censored("normal", lower=0, upper=1),
    "censored exponential": Censored("exponential", time=0, event=1),
    "tobit": Censored("gaussian-regression", lower=0, upper=1, predictors=(2,)),
    "truncated weibull": Truncated("weibull", high=2.0),
    "noisy gaussian": emframe.Noisy("gaussian", values=(0, 1), errors=(2, 3)),
    "poisson with gaps": emframe.family("poisson", missing=True),
    "exponential with gaps": emframe.family("exponential", missing=True),
    "diagonal with gaps": emframe.family("gaussian", covariance="diag", missing=True),
}


@pytest.mark.parametrize("family", HONEST.values(), ids=HONEST)
def test_the_kit_passes(family: emframe.Family) -> None:
    wrong = [one for one in check_family(family, max_examples=3) if one.status == "failed"]
    assert wrong == []


@pytest.mark.parametrize(
    "mutant",
    [CountsTheTimeOnly("exponential", time=0, event=1), ForgetsTheUnseen("weibull", high=2.0)],
)
def test_the_kit_rejects(mutant: emframe.Family) -> None:
    verdicts = {one.name: one.status for one in check_family(mutant, max_examples=2)}
    assert verdicts["normalised"] == "failed"
