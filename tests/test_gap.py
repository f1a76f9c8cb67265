"""The certificate: against dense grids, sixty digits, saturated models and larger mixtures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

import emframe
from emframe import Array, ExponentialFamily, NonNegative, NonNegativeInteger, parameter
from emframe.families import Curve
from emframe.fitting.boxes import _bounded
from emframe.fitting.expansion import bound_around
from emframe.fitting.support import best_weights


def poisson(counts: Any, k: int, **options: Any) -> emframe.Fit:
    return emframe.fit(emframe.Mixture("poisson", k), counts, rng=0, n_starts=6, **options)


def slopes(fit: emframe.Fit, densities: Array, rows: Any, weights: Any = None) -> Array:
    """D at each of m further components, of log densities (m, n), by its definition."""
    w = np.ones(len(densities.T)) if weights is None else np.asarray(weights, dtype=float)
    ratio = np.exp(densities - np.asarray(fit.score_samples(rows)))
    return ratio @ w - w.sum()


# ---- known cases


def test_two_rows_in_sixty_digits() -> None:
    """One Poisson component on the counts 0 and 3: D is a function of one line."""
    found = poisson([0.0, 3.0], 1).gap([0.0, 3.0], tol=1e-9)
    with mpmath.workdps(60):
        mean = mpmath.mpf(3) / 2

        def slope(t: Any) -> Any:
            return mpmath.exp(mean - t) * (1 + (t / mean) ** 3) - 2

        inside = mpmath.findroot(lambda t: 3 * t**2 / mean**3 - 1 - (t / mean) ** 3, 2.8)
        highest = max(slope(mpmath.mpf(0)), slope(inside))
        assert slope(inside) < highest  # so a rate of 0 is best
        assert found.lower - 1e-12 <= highest <= found.upper
        assert found.upper - found.lower < 1.5e-3 * found.lower
        # The best of all are the two rates 0 and t, with weight p of the latter, by hand.
        best = mpmath.findroot(
            lambda p, t: [
                mpmath.diff(lambda q: mpmath.log(1 - q + q * mpmath.exp(-t)) + mpmath.log(q), p),
                mpmath.diff(
                    lambda s: mpmath.log(1 - p + p * mpmath.exp(-s)) + 3 * mpmath.log(s) - s, t
                ),
            ],
            (0.53, 2.8),
        )
        p, t = best
        top = mpmath.log(1 - p + p * mpmath.exp(-t)) + mpmath.log(p * t**3 / 6) - t
        assert found.reached - 1e-12 <= top <= found.ceiling
    assert found.at.rates.tolist() == [[0.0]]
    assert found.closed
    assert not found.is_maximum


def test_the_death_notices_need_three() -> None:
    notices = emframe.dataset("death_notices")
    two = poisson(notices, 2)
    start = {"weights": [0.001, 0.359, 0.64], "rates": [[0.0], [1.26], [2.66]]}
    three = emframe.fit(emframe.Mixture("poisson", 3), notices, start=start)
    assert three.gap(notices, tol=1e-5).is_maximum
    found = two.gap(notices, tol=1e-5)
    assert found.log_likelihood == pytest.approx(-1989.945860, abs=1e-6)
    assert found.reached - 1e-9 <= three.log_likelihood <= found.ceiling
    assert found.ceiling - three.log_likelihood < 2e-5
    rates = np.linspace(0, 9, 20_001)[:, None]
    on_grid = slopes(two, stats.poisson.logpmf(notices.X[:, 0], rates), notices, notices.weights)
    assert found.lower - 1e-9 <= on_grid.max() <= found.upper
    assert found.at.rates[0, 0] == rates[on_grid.argmax(), 0] == 0.0
    one = poisson(notices, 1).gap(notices)
    assert one.most == pytest.approx(three.log_likelihood - one.log_likelihood, abs=0.02)
    assert one.reached <= three.log_likelihood + 1e-9


def test_latent_classes_end_at_the_saturated_model() -> None:
    carcinoma = emframe.dataset("carcinoma")
    fit = emframe.fit(emframe.Mixture("bernoulli", 3), carcinoma, rng=0, n_starts=6)
    found = fit.gap(carcinoma, tol=1e-6)
    patterns, times = np.unique(carcinoma.X, axis=0, return_counts=True)
    n = len(carcinoma.X) if carcinoma.weights is None else carcinoma.weights.sum()
    if carcinoma.weights is not None:
        times = np.array(
            [carcinoma.weights[(p == carcinoma.X).all(axis=1)].sum() for p in patterns]
        )
    saturated = float(times @ np.log(times / n))
    assert found.reached - 1e-9 <= saturated <= found.ceiling
    assert found.ceiling - found.reached <= 1e-6
    highest = (times / np.exp(fit.score_samples(patterns))).max() - n
    assert found.lower == pytest.approx(highest, rel=1e-9)
    assert found.upper == pytest.approx(highest, rel=1e-9)


def test_missing_answers() -> None:
    rng = np.random.default_rng(2)
    x = (rng.random((60, 3)) < 0.4).astype(float)
    x[rng.random((60, 3)) < 0.2] = np.nan
    fit = emframe.fit(emframe.Mixture("bernoulli", 1, missing=True), x, rng=0)
    found = fit.gap(x)
    probs = np.array(np.meshgrid(*[[0.0, 0.3, 1.0]] * 3)).reshape(3, -1).T
    with np.errstate(divide="ignore"):
        terms = np.where(x == 1, np.log(probs[:, None]), np.log1p(-probs[:, None]))
    on_grid = slopes(fit, np.where(np.isnan(x), 0.0, terms).sum(axis=2), x)
    assert found.upper == pytest.approx(on_grid.max(), rel=1e-9)


# ---- properties


@given(
    counts=st.lists(st.integers(0, 12), min_size=3, max_size=25),
    data=st.data(),
    k=st.integers(1, 2),
)
def test_the_supremum_is_between_the_bounds(counts: list[int], data: Any, k: int) -> None:
    x = np.array(counts, dtype=float)
    w = np.array(data.draw(st.lists(st.integers(1, 9), min_size=len(x), max_size=len(x))))
    k = min(k, len(np.unique(x)))
    fit = poisson(x, k, weights=w)
    found = fit.gap(x, weights=w, tol=1e-4)
    grid = np.linspace(0, 13, 4_001)[:, None]
    highest = slopes(fit, stats.poisson.logpmf(x, grid), x, w).max()
    assert highest <= found.upper
    own = slopes(fit, stats.poisson.logpmf(x, fit.params.components.rates), x, w).max()
    assert found.lower >= 0.998 * min(highest, own) - 1e-3
    assert found.lower == pytest.approx(
        slopes(fit, stats.poisson.logpmf(x, found.at.rates), x, w)[0], abs=1e-6
    )
    assert 0 <= found.gain <= found.most + 1e-9
    assert found.log_likelihood <= found.reached + 1e-9 <= found.ceiling + 2e-9
    assert found.closed
    larger = poisson(x, min(k + 1, len(np.unique(x))), weights=w)
    assert larger.log_likelihood <= found.ceiling + 1e-9
    again = fit.gap(np.repeat(x, w), tol=1e-4)
    assert again.ceiling == pytest.approx(found.ceiling, abs=1e-9)
    assert again.upper == pytest.approx(found.upper, abs=1e-9)


@dataclass(frozen=True)
class ExponentialParameters:
    scale: Array = parameter(NonNegative())


@dataclass(frozen=True)
class Exponential(ExponentialFamily):
    name = "exponential"
    parameters = ExponentialParameters
    support = NonNegative()

    def statistics(self, x: Array) -> Array:
        return x

    def natural(self, params: ExponentialParameters) -> Array:
        with np.errstate(divide="ignore"):
            return -1.0 / params.scale

    def log_partition(self, params: ExponentialParameters) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(params.scale)

    def from_mean(self, mean: Array) -> ExponentialParameters:
        return ExponentialParameters(mean)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return rng.exponential(params.scale[labels])[:, None]


@dataclass(frozen=True)
class GeometricParameters:
    mean: Array = parameter(NonNegative())


@dataclass(frozen=True)
class Geometric(ExponentialFamily):
    """Failures before the first success; at a mean of 0 the natural parameter is -inf."""

    name = "geometric"
    parameters = GeometricParameters
    support = NonNegativeInteger()

    def statistics(self, x: Array) -> Array:
        return x

    def natural(self, params: GeometricParameters) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(params.mean) - np.log1p(params.mean)

    def log_partition(self, params: GeometricParameters) -> Array:
        return np.log1p(params.mean)

    def from_mean(self, mean: Array) -> GeometricParameters:
        return GeometricParameters(mean)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        return rng.geometric(1.0 / (1.0 + params.mean[labels]))[:, None] - 1.0


class TwoStatistics(Exponential):
    def statistics(self, x: Array) -> Array:
        return np.concatenate([x, x], axis=1)

    def natural(self, params: ExponentialParameters) -> Array:
        return np.repeat(-0.5 / params.scale[:, None], 2, axis=1)

    def from_mean(self, mean: Array) -> ExponentialParameters:
        return ExponentialParameters(mean[:, 0])


def positive(rng: np.random.Generator) -> Array:
    return rng.gamma(2.0, np.where(rng.random(80) < 0.5, 1.0, 4.0))[:, None]


def counted(rng: np.random.Generator, d: int = 2) -> Array:
    return rng.poisson(np.where(rng.random((80, 1)) < 0.5, 1.0, 6.0), (80, d)).astype(float)


def normal(rng: np.random.Generator, d: int = 2) -> Array:
    return rng.normal(np.where(rng.random((80, 1)) < 0.5, 0.0, 3.0), (1.0, 2.0)[:d], (80, d))


FAMILIES = {
    "poisson": ("poisson", counted),
    "tied": (emframe.family("gaussian", covariance="tied"), normal),
    "tied by name": (emframe.tied("gaussian", "covariances"), normal),
    "held": (emframe.fixed("gaussian", covariances=[[2.0, 0.3], [0.3, 1.0]]), normal),
    "EEI": (emframe.family("gaussian", covariance="EEI"), normal),
    "bernoulli": ("bernoulli", lambda rng: (counted(rng, 3) > 2).astype(float)),
    "geometric": (Geometric(), lambda rng: counted(rng, 1)),
    "exponential": (Exponential(), positive),
    "product": (
        emframe.Product({0: "poisson", 1: "bernoulli"}),
        lambda rng: np.minimum(counted(rng), [99.0, 1.0]),
    ),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_no_point_of_a_box_is_above_its_bound(name: str) -> None:
    family, rows = FAMILIES[name]
    rng = np.random.default_rng(1)
    x = rows(rng)
    fit = emframe.fit(emframe.Mixture(family, 1), x, rng=0)
    axes = fit.model.family.axes(fit.params.components, x)
    height = np.asarray(fit.score_samples(x))[:, None]

    def value(points: Array) -> Array:
        return logsumexp(fit.model.family.log_density(axes.at(points), x) - height, axis=0)

    p = len(axes.low)
    for _ in range(20):
        ends = rng.uniform(axes.low, axes.high, (2, p))
        low, high = ends.min(axis=0), ends.max(axis=0)
        low = np.where(rng.random(p) < 0.2, axes.low, low)
        high = np.where(rng.random(p) < 0.2, axes.high, high)
        bound, corners, values = _bounded(value, axes, low[None], high[None])
        inside = rng.uniform(low, high, (200, p))
        assert value(inside).max() <= bound[0] + 1e-12
        assert values == pytest.approx(value(corners), abs=1e-12)
        small = low + 1e-5 * (high - low)
        bound, _, values = _bounded(value, axes, low[None], small[None])
        assert bound[0] <= values.max() + 1e-2
        if axes.curve is None:
            continue
        for size in (1.0, 0.1, 0.01):  # from the centre, by the series
            end = low + size * (high - low)
            middle = 0.5 * (low + end)
            log_b = fit.model.family.log_density(axes.at(middle[None]), x) - height
            around = bound_around(log_b, axes.curve, middle[None], low[None], end[None])
            assert value(rng.uniform(low, end, (200, p))).max() <= around[0] + 1e-12
    # Outside the box all is lower than at the nearest point of it.
    outside = rng.uniform(axes.low - 1.0, axes.high + 1.0, (200, p))
    if name in ("tied", "tied by name", "held", "EEI"):
        assert (value(outside) <= value(np.clip(outside, axes.low, axes.high)) + 1e-12).all()


def test_the_series_is_of_third_order() -> None:
    """Where the rows about c have variance 1, as a normal component has, D is flat there.

    A box of half the size is then about eight times nearer; from its corners it is four times.
    """
    curve = Curve(np.array([[-1.0], [1.0]]), lambda means: means, lambda low, _: np.ones(low.shape))
    log_b = np.full((2, 1), -np.log(2.0))
    ends = [np.full((1, 1), size) for size in (0.02, 0.01)]
    wide, narrow = (bound_around(log_b, curve, 0 * end, -end, end)[0] for end in ends)
    assert wide == pytest.approx(0.02**3 / 6, rel=0.1)
    assert wide / narrow == pytest.approx(8.0, rel=0.05)


@pytest.mark.parametrize("name", FAMILIES)
def test_no_larger_mixture_is_above_the_ceiling(name: str) -> None:
    family, rows = FAMILIES[name]
    x = rows(np.random.default_rng(3))
    fit = emframe.fit(emframe.Mixture(family, 1), x, rng=0)
    found = fit.gap(x)
    assert found.closed
    assert found.gain <= found.most
    m = len(found.mixture.weights)
    model = emframe.Mixture(family, m)
    assert model.problem(found.mixture, x.shape[1]) is None
    assert model.posterior(found.mixture, x)[0].sum() == pytest.approx(found.reached, abs=1e-8)
    if not name.startswith(("tied", "EEI")):  # whose larger fits have another covariance
        for k in (2, 3):
            larger = emframe.fit(emframe.Mixture(family, k), x, rng=0, n_starts=4)
            assert larger.log_likelihood <= found.ceiling + 1e-9
    back = fit.gap(x[::-1])
    assert back.ceiling == pytest.approx(found.ceiling, abs=2 * found.tol)
    assert back.lower == pytest.approx(found.lower, rel=1e-3)


def test_two_columns_against_a_dense_grid() -> None:
    x = normal(np.random.default_rng(4))
    fit = emframe.fit(emframe.Mixture("gaussian", 2, covariance="tied"), x, rng=0, n_starts=4)
    found = fit.gap(x, tol=1e-3)
    centres = np.array(np.meshgrid(*np.linspace(x.min(axis=0), x.max(axis=0), 300).T))
    cov = fit.params.components.covariances[0]
    apart = x - centres.reshape(2, -1).T[:, None]
    distance = np.einsum("mnd,de,mne->mn", apart, np.linalg.inv(cov), apart)
    density = -0.5 * (distance + np.log(np.linalg.det(2 * np.pi * cov)))
    highest = slopes(fit, density, x).max()
    assert highest <= found.upper
    assert found.lower >= 0.998 * highest


def test_the_weight_and_the_gain_of_one_component() -> None:
    x = counted(np.random.default_rng(5), 1)
    fit = poisson(x, 1)
    found = fit.gap(x)
    ratio = np.exp(stats.poisson.logpmf(x[:, 0], found.at.rates[0, 0]) - fit.score_samples(x))
    best = minimize_scalar(
        lambda a: -np.log1p(a * (ratio - 1)).sum(),
        bounds=(0, 1),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert found.weight == pytest.approx(best.x, abs=1e-4)
    assert found.gain == pytest.approx(-best.fun, abs=1e-8)


# ---- Gaussians


def test_free_variances_have_a_certificate_above_a_least_one() -> None:
    rng = np.random.default_rng(6)
    x = np.r_[rng.normal(0, 1, 100), rng.normal(5, 0.5, 60)]
    fit = emframe.fit(emframe.Mixture("gaussian", 2), x, rng=0, n_starts=4)
    with pytest.raises(ValueError, match=r"without bound.*least_variance="):
        fit.gap(x)
    found = fit.gap(x, least_variance=0.2)
    assert found.given == "variances of at least 0.2"
    assert fit.params.components.covariances.min() > 0.2
    assert fit.log_likelihood < found.reached  # the fit is among them
    for least in (0.2, 0.21, 0.5):  # any variances above
        held = emframe.fixed("gaussian", covariances=[[least]])
        other = emframe.fit(emframe.Mixture(held, 6), x, rng=0, n_starts=3)
        assert other.log_likelihood <= found.ceiling + 1e-9
    wide = fit.gap(x, least_variance=1.0)  # the fit is not
    assert wide.ceiling < fit.log_likelihood
    assert "which is none of them, is above them all" in str(wide)
    held = emframe.fit(
        emframe.Mixture(emframe.fixed("gaussian", covariances=[[1.0]]), 3), x, rng=0, n_starts=3
    )
    assert held.log_likelihood <= wide.ceiling + 1e-9
    assert wide.reached <= wide.ceiling


def test_a_least_variance_for_each_column() -> None:
    x = normal(np.random.default_rng(7))
    fit = emframe.fit(emframe.Mixture("gaussian", 1), x, rng=0)
    found = fit.gap(x, least_variance=[0.9, 3.0])
    assert found.closed
    held = emframe.fixed("gaussian", covariances=[[0.9, 0.0], [0.0, 3.0]])
    other = emframe.fit(emframe.Mixture(held, 4), x, rng=0, n_starts=4)
    assert other.log_likelihood <= found.ceiling + 1e-9


# ---- bounds that do not meet, and extremes


def test_bounds_that_have_not_met_hold_all_the_same() -> None:
    notices = emframe.dataset("death_notices")
    fit = poisson(notices, 2)
    found = fit.gap(notices, max_points=40)
    full = fit.gap(notices, tol=1e-6)
    assert not found.closed
    assert not found.is_maximum
    assert found.lower <= full.upper
    assert full.lower <= found.upper
    assert full.reached <= found.ceiling
    assert "have not met" in str(found)


@pytest.mark.parametrize("factor", [1e-9, 1e6])
def test_units_do_not_matter(factor: float) -> None:
    x = normal(np.random.default_rng(8), 1)
    model = emframe.Mixture("gaussian", 2, covariance="tied")
    one, other = (emframe.fit(model, unit * x, rng=0, n_starts=4) for unit in (1.0, factor))
    mine, theirs = one.gap(x, tol=1e-3), other.gap(factor * x, tol=1e-3)
    assert theirs.most == pytest.approx(mine.most, abs=2e-3)
    assert theirs.lower == pytest.approx(mine.lower, rel=1e-3)


def test_large_counts() -> None:
    x = np.random.default_rng(9).poisson([2e9, 2.1e9], (60, 2)).reshape(-1).astype(float)
    found = poisson(x, 2).gap(x)
    assert found.closed
    assert found.most < 5.0


def test_a_fit_that_is_far_off() -> None:
    """One rate for the counts 1 and 1e6: at its mean both are impossible in floating point."""
    x = np.array([1.0, 1.0, 1e6, 1e6])
    found = poisson(x, 1).gap(x)
    best = 2 * (stats.poisson.logpmf(1, 1) + stats.poisson.logpmf(1e6, 1e6)) - 4 * np.log(2)
    assert found.closed
    assert found.reached <= best + 1e-6
    assert found.ceiling >= best - 1e-6
    assert found.upper == np.inf
    assert 0 < found.gain < found.most


def test_weights_of_components_that_exclude_each_other() -> None:
    with np.errstate(divide="ignore"):
        density = np.log(np.repeat(np.eye(3), [2, 3, 5], axis=0))
    weights, value = best_weights(density, np.ones(10), np.full(3, 1 / 3), 1e-12)
    assert weights == pytest.approx([0.2, 0.3, 0.5], abs=1e-9)
    assert value == pytest.approx(10 * stats.entropy([0.2, 0.3, 0.5]) * -1, abs=1e-9)


# ---- refusals


ROWS = normal(np.random.default_rng(0), 1)
COUNTS = counted(np.random.default_rng(0), 12)
REFUSED: dict[str, tuple[Any, Any, dict[str, Any], type[Exception], str]] = {
    "no bounds": (emframe.Mixture("student-t", 1), ROWS, {}, TypeError, "no bounds.*Families"),
    "stack": (emframe.Mixture(["gaussian"] * 2), ROWS, {}, TypeError, "of several; fit"),
    "held means": (
        emframe.Mixture(emframe.fixed("gaussian", means=0.0), 1), ROWS, {}, TypeError,
        "`means`.*held or shared.*fit without",
    ),
    "held weights": (
        emframe.Mixture("gaussian", 2, covariance="tied").fixed(weights=0.5), ROWS, {}, ValueError,
        "weights are held.*free them",
    ),
    "held covariances that differ": (
        emframe.Mixture(emframe.fixed("gaussian", covariances=[[[1.0]], [[2.0]]]), 2), ROWS, {},
        ValueError, "differ between components.*hold one",
    ),
    "not a mixture": (
        emframe.model("hidden-markov", family="gaussian", n_states=2), ROWS, {}, TypeError,
        "mixtures",
    ),
    "many columns": (emframe.Mixture("poisson", 1), COUNTS, {}, ValueError, "12 free.*fewer"),
    "two statistics": (
        emframe.Mixture(TwoStatistics(), 1), np.abs(ROWS), {}, TypeError, "2 statistics.*`axes`"
    ),
    "unknown option": (
        emframe.Mixture("poisson", 1), COUNTS[:, :1], {"least_rate": 1}, TypeError, "least_rate"
    ),
    "a tied least variance": (
        emframe.Mixture("gaussian", 1, covariance="tied"), ROWS, {"least_variance": 1}, ValueError,
        "leave it out",
    ),
    "a least variance of 0": (
        emframe.Mixture("gaussian", 1), ROWS, {"least_variance": 0}, ValueError, "above 0"
    ),
    "dependent covariances": (
        emframe.Mixture("gaussian", 1, covariance="VEI"), normal(np.random.default_rng(0)),
        {"least_variance": 1}, ValueError, "depends on the others",
    ),
    "tol": (emframe.Mixture("poisson", 1), COUNTS[:, :1], {"tol": 0}, ValueError, "above 0"),
    "points": (emframe.Mixture("poisson", 1), COUNTS[:, :1], {"max_points": 0}, ValueError, "1 or"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_to_do(name: str) -> None:
    model, rows, options, kind, words = REFUSED[name]
    fit = emframe.fit(model, rows, rng=0, n_starts=1)
    with pytest.raises(kind, match=words):
        fit.gap(rows, **options)


def test_a_prior_is_refused() -> None:
    fit = emframe.fit(emframe.Mixture("poisson", 2), COUNTS[:, :1], rng=0, prior="weak", n_starts=2)
    with pytest.raises(ValueError, match=r"under a prior.*fit without"):
        fit.gap(COUNTS[:, :1])


def test_rows_that_the_fit_rules_out_are_refused() -> None:
    fit = emframe.fit(emframe.Mixture("poisson", 1), np.zeros(5), rng=0)
    assert fit.gap(np.zeros(5)).is_maximum
    with pytest.raises(ValueError, match="impossible under the fit"):
        fit.gap([0.0, 1.0])


def test_a_density_without_bound_is_refused() -> None:
    """An exponential component whose scale goes to 0 closes in on a row of 0."""
    x = np.r_[0.0, positive(np.random.default_rng(0))[:, 0]]
    fit = emframe.fit(emframe.Mixture(Exponential(), 1), x, rng=0)
    with pytest.raises(ValueError, match="without bound"):
        fit.gap(x)
