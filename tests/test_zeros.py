"""Zeros of their own, points, noise, and components whose supports are unlike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.special import expit, gammaln
from test_reference import column

import emframe
from emframe.families import Elsewhere, together
from emframe.spaces import AnyOf, Array, NonNegativeInteger, Only, Positive, Real
from emframe.testing import CHECKS, check_family
from emframe.testing.conformance import columns_of
from emframe.testing.trial import examine


def rain(seed: int = 0, n: int = 400) -> Array:
    """Days without rain, and gamma amounts on the others."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < 0.3, 0.0, rng.gamma(3.0, 2.0, n))


def visits(seed: int = 0, n: int = 400) -> Array:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < 0.4, 0.0, rng.poisson(2.5, n)).astype(float)


# ---- zero-inflated, hurdle


def test_a_zero_inflated_family_is_a_point_beside_the_family() -> None:
    x = visits()
    own = emframe.fit(emframe.Mixture(emframe.ZeroInflated("poisson")), x, rng=0)
    beside = emframe.fit(emframe.Mixture([emframe.Point(0.0), "poisson"]), x, rng=0)
    assert own.log_likelihood == pytest.approx(beside.log_likelihood, abs=1e-8)
    assert own.n_parameters == beside.n_parameters == 2
    assert own.params.components.zeros[0] == pytest.approx(beside.params.weights[0], abs=1e-5)


def test_a_hurdle_is_two_maxima_one_beside_the_other() -> None:
    """The share of zeros, and the maximum of the law that has none."""
    x = visits()
    above = x[x > 0]

    def fall(log_rate: float) -> float:
        rate = np.exp(log_rate)
        each = above * log_rate - rate - gammaln(above + 1) - np.log(-np.expm1(-rate))
        return -float(each.sum())

    best = optimize.minimize_scalar(
        fall, bounds=(-5, 5), options={"xatol": 1e-12}, method="bounded"
    )
    zeros = (x == 0).mean()
    split = (x == 0).sum() * np.log(zeros) + (x > 0).sum() * np.log(1 - zeros)
    fit = emframe.fit(emframe.Mixture(emframe.Hurdle("poisson")), x, rng=0)
    assert fit.log_likelihood == pytest.approx(split - best.fun, abs=1e-8)
    assert fit.params.components.zeros[0] == pytest.approx(zeros, rel=1e-12)
    assert fit.params.components.rest.rates[0, 0] == pytest.approx(np.exp(best.x), rel=1e-4)


@pytest.mark.parametrize("wrapper", [emframe.ZeroInflated, emframe.Hurdle])
def test_numbers_without_gaps_have_no_zeros_of_their_own(wrapper: Any) -> None:
    x = rain()
    fit = emframe.fit(emframe.Mixture(wrapper("gamma")), x, rng=0)
    zeros = (x == 0).mean()
    plain = emframe.fit(emframe.Mixture("gamma"), x[x > 0], rng=0)
    split = (x == 0).sum() * np.log(zeros) + (x > 0).sum() * np.log(1 - zeros)
    assert fit.log_likelihood == pytest.approx(split + plain.log_likelihood, abs=1e-8)
    assert fit.n_parameters == 3
    real = emframe.fit(emframe.Mixture(wrapper("gaussian")), x, rng=0)  # 0 has a density here
    amounts = emframe.fit(emframe.Mixture("gaussian"), x[x > 0], rng=0)
    assert real.log_likelihood == pytest.approx(split + amounts.log_likelihood, abs=1e-8)


def test_a_zero_inflated_regression_by_a_direct_search() -> None:
    rng = np.random.default_rng(3)
    v = rng.normal(size=300)
    y = np.where(rng.random(300) < 0.3, 0, rng.poisson(np.exp(1 + 0.5 * v)))
    x = np.stack([y, v], axis=1)

    def fall(at: Array) -> float:
        pi, log_rate = expit(at[0]), at[1] + at[2] * v
        law = np.exp(y * log_rate - np.exp(log_rate) - gammaln(y + 1))
        total = pi * (y == 0) + (1 - pi) * law
        return -float(np.log(np.maximum(total, 1e-300)).sum())

    best = optimize.minimize(fall, np.zeros(3), tol=1e-12)
    family = emframe.ZeroInflated("poisson-regression", response="y", predictors=("v",))
    fit = emframe.fit(emframe.Mixture(family), x, rng=0)
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-7)
    assert fit.params.components.rest.v[0] == pytest.approx(best.x[2], abs=1e-4)
    hurdle = emframe.Hurdle("poisson-regression", response="y", predictors=("v",))
    above = emframe.fit(emframe.Mixture(hurdle), x, rng=0)
    assert above.converged
    assert above.params.components.zeros[0] == pytest.approx((y == 0).mean(), rel=1e-12)


def test_two_components_with_zeros_of_their_own() -> None:
    rng = np.random.default_rng(5)
    x = np.concatenate(
        [
            np.where(rng.random(400) < 0.5, 0, rng.poisson(3, 400)),
            np.where(rng.random(600) < 0.1, 0, rng.poisson(25, 600)),
        ]
    ).astype(float)
    fit = emframe.fit(emframe.Mixture(emframe.Hurdle("poisson"), 2), x, rng=0)
    assert fit.converged
    assert np.sort(fit.params.components.rest.rates[:, 0]) == pytest.approx([3, 25], rel=0.1)


def test_what_is_held_or_shared_of_either_part() -> None:
    x = visits()
    held = emframe.fixed(emframe.ZeroInflated("poisson"), zeros=0.25)
    fit = emframe.fit(emframe.Mixture(held), x, rng=0)
    assert fit.params.components.zeros[0] == 0.25
    assert fit.n_parameters == 1
    rates = emframe.fixed(emframe.ZeroInflated("poisson"), **{"rest.rates": 2.5})
    fit = emframe.fit(emframe.Mixture(rates), x, rng=0)
    assert fit.params.components.rest.rates[0, 0] == 2.5
    shared = emframe.tied(emframe.ZeroInflated("poisson"), "zeros")
    both = np.concatenate([x, np.where(x > 0, x + 30, 0)])
    fit = emframe.fit(emframe.Mixture(shared, 2), both, rng=0)
    assert len(set(fit.params.components.zeros)) == 1


@pytest.mark.parametrize(
    "family",
    [emframe.ZeroInflated("poisson"), emframe.Hurdle("gamma"), emframe.Point((0.0, 1.0))],
    ids=lambda family: family.name,
)
def test_they_are_saved_and_loaded(family: Any, tmp_path: Any) -> None:
    x = {"point": np.tile([0.0, 1.0], (5, 1))}.get(family.name, visits())
    fit = emframe.fit(emframe.Mixture(family), x, rng=0)
    fit.save(tmp_path / "a.fit")
    again = emframe.load(tmp_path / "a.fit")
    assert again.model == fit.model
    assert np.array_equal(again.score_samples(x), fit.score_samples(x))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: emframe.ZeroInflated(3), "pass a plugin's name"),
        (lambda: emframe.ZeroInflated(emframe.family("poisson"), offset=1), "go with a family's"),
        (lambda: emframe.Hurdle(emframe.Grouped("poisson")), "are no runs"),
    ],
)
def test_what_is_no_family_is_refused(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


# ---- points and noise


@pytest.mark.parametrize("value", [np.nan, [[1.0]], []])
def test_a_point_is_a_finite_number(value: Any) -> None:
    with pytest.raises(ValueError, match="pass a finite number"):
        emframe.Point(value)


def test_a_point_has_nothing_to_estimate() -> None:
    x = rain()
    fit = emframe.fit(emframe.Mixture([emframe.Point(0.0), "gamma"]), x, rng=0)
    assert fit.n_parameters == 3
    assert fit.params.weights[0] == pytest.approx((x == 0).mean(), rel=1e-12)
    assert np.array_equal(fit.predict(x) == 0, x == 0)
    drawn, labels = fit.sample(50, rng=1)
    assert np.array_equal(drawn[:, 0] == 0.0, labels[:, 0] == 1.0)


def test_noise_over_the_volume_of_the_data_is_mclusts() -> None:
    """Fraley and Raftery's minefield: ``me(x, "EEV", z, Vinv = hypvol(x, reciprocal = TRUE))``."""
    x = column("chevron", ["x1", "x2"])
    clusters = emframe.family("gaussian", covariance="EEV")
    fit = emframe.fit(emframe.Mixture([clusters, "uniform"], [2, 1]), x, rng=0)
    assert not fit.spurious
    assert fit.log_likelihood == pytest.approx(-10525.2644466831, abs=1e-5)
    assert fit.params.components[1].densities[0] == pytest.approx(6.2414931928268e-05, rel=1e-10)
    assert fit.params.weights[2] == pytest.approx(0.754014820981814, rel=1e-4)
    assert fit.n_parameters == 10  # mclust counts the volume as one more


def test_the_volume_is_the_smaller_one_of_two_boxes() -> None:
    from emframe_families.noise.uniform import volume_of

    rng = np.random.default_rng(0)
    box = rng.uniform(size=(5000, 2)) * [1.0, 9.0]
    turn = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
    assert volume_of(box) == pytest.approx(np.prod(np.ptp(box, axis=0)), rel=0.05)
    assert volume_of(box @ turn) == pytest.approx(volume_of(box), rel=0.05)
    assert volume_of(box[:, :1]) == np.ptp(box[:, 0])


def test_a_uniform_within_limits() -> None:
    family = emframe.family("uniform", low=(0.0, -1.0), high=(2.0, 3.0))
    params = family.template({"K": 1, "d": 2})
    x = np.array([[1.0, 0.0], [2.0, 3.0], [2.1, 0.0]])
    expected = stats.uniform(0, 2).logpdf(x[:, 0]) + stats.uniform(-1, 4).logpdf(x[:, 1])
    assert family.log_density(params, x)[:, 0] == pytest.approx(expected)
    drawn = family.sample(params, np.zeros(4000, dtype=int), np.random.default_rng(0))
    for j, law in enumerate((stats.uniform(0, 2), stats.uniform(-1, 4))):
        assert stats.kstest(drawn[:, j], law.cdf).pvalue > 1e-6


def test_noise_everywhere_cannot_be_drawn_and_says_how() -> None:
    fit = emframe.fit(emframe.Mixture(["gaussian", "uniform"]), rain(), rng=0, n_starts=2)
    with pytest.raises(TypeError, match="pass low= and high="):
        fit.sample(3)


# ---- unlike supports


def test_components_of_unlike_supports_share_what_each_can_have() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-6, 1, 200), rng.gamma(9, 1, 300)])
    for families in (["gaussian", "gamma"], ["gamma", "gaussian"]):
        fit = emframe.fit(emframe.Mixture(families), x, rng=0)
        at = families.index("gamma")
        assert fit.params.weights[at] == pytest.approx(0.6, abs=0.01)
        assert (fit.predict_proba(x)[x < 0, at] == 0.0).all()


WIDER = {
    "alike": (("gamma", "weibull"), Positive()),
    "one within the other": (("gamma", "gaussian"), None),
    "counts and a point": ((emframe.Point(0.0), "poisson"), None),
    "a point outside": ((emframe.Point(0.0), "gamma"), AnyOf((Only(0.0), Positive()))),
    "overlapping": (("exponential", "beta"), None),
}


@pytest.mark.parametrize("name", WIDER)
def test_families_side_by_side_take_rows_of_any_of_them(name: str) -> None:
    given, union = WIDER[name]
    families = [emframe.family(one) if isinstance(one, str) else one for one in given]
    found = together(families)
    supports = {family.support for family in found}
    assert len(supports) == 1
    (space,) = supports
    if union is not None:
        assert space == union
    for family in families:
        rows = family.support.point(np.linspace(-3, 3, 41), (41, 1))
        assert np.asarray(space.contains(rows)).all()
    for before, after in zip(families, found, strict=True):
        assert after == before or after == Elsewhere(before, (space,))


def test_elsewhere_a_density_is_0_and_its_sums_are_those_of_its_own_rows() -> None:
    gamma = emframe.family("gamma")
    wide = Elsewhere(gamma, (Real(),))
    params = gamma.build({"shapes": [[2.0]], "rates": [[1.0]]})
    x = np.array([[-1.0], [2.0], [3.0], [0.0]])
    found = wide.log_density(params, x)[:, 0]
    assert np.isneginf(found[[0, 3]]).all()
    assert found[1:3] == pytest.approx(gamma.log_density(params, x[1:3])[:, 0])
    own = gamma.accumulate(x[1:3], np.ones((2, 1)))
    sums = wide.accumulate(x, np.ones((4, 1)))
    assert gamma.expected(sums, params) == pytest.approx(gamma.expected(own, params))
    nowhere = wide.log_density(params, x[:1])
    assert np.isneginf(nowhere).all()


def test_rows_that_no_component_can_have_are_refused_with_the_names() -> None:
    with pytest.raises(ValueError, match="exactly 0, or finite numbers above 0"):
        emframe.fit(emframe.Mixture([emframe.Point(0.0), "gamma"]), [1.0, -2.0, 0.0])


def test_points_beside_counts_or_densities_are_no_mixture_of_unlike_measures() -> None:
    emframe.Mixture([emframe.Point(0.0), "gamma"])  # warnings are errors here
    emframe.Mixture([emframe.Point(0.0), "poisson"])
    with pytest.warns(UserWarning, match="compares probabilities with densities"):
        emframe.Mixture(["poisson", "gaussian"])
    # Each column of a product is of one kind or the other, whatever the others are.
    both = [emframe.Product({0: one, 1: "poisson"}) for one in ("gaussian", "laplace")]
    emframe.Mixture(both)
    with pytest.warns(UserWarning, match="compares probabilities with densities"):
        emframe.Mixture([both[0], emframe.Product({1: "gaussian", 0: "gaussian"})])


@pytest.mark.parametrize(
    "space", [AnyOf((Only(2.0), Positive())), AnyOf((NonNegativeInteger(), Real())), Only(3.0)]
)
def test_spaces_of_several_hold_their_own_points(space: Any) -> None:
    shape = (7, 2)
    rng = np.random.default_rng(0)
    values = space.point(rng.normal(size=space.n_coordinates(shape)), shape)
    assert np.asarray(space.contains(values)).all()
    assert space.point(space.coordinates(values), shape) == pytest.approx(values)
    with pytest.raises(ValueError, match="several numbers"):
        AnyOf((emframe.Simplex(),))


# ---- the kit

A_POINT = "a point beside a density is not integrated"
EXCUSED = {
    "zero-inflated-gamma": dict.fromkeys(("normalised", "sample", "recovery"), A_POINT),
}


def test_the_kit_accepts_zeros_beside_a_density() -> None:
    results = check_family(
        emframe.ZeroInflated("gamma"),
        max_examples=8,
        expected_failures=EXCUSED["zero-inflated-gamma"],
    )
    assert not [str(result) for result in results if result.status == "failed"]


@pytest.mark.parametrize(
    "family",
    [
        emframe.Point(2.0),
        emframe.family("uniform", density=0.1),
        emframe.family("uniform", low=(0.0, 1.0), high=(3.0, 2.0)),
    ],
    ids=["point", "uniform", "box"],
)
def test_the_kit_accepts_what_has_nothing_to_estimate(family: Any) -> None:
    """But for what it says of densities that end, or have no end."""
    left_out = {"normalised", "finite"} if family.name == "uniform" else set()
    for check in CHECKS:
        if check.name not in left_out:
            found = examine(check, family, columns_of(family), 8, 0)
            assert found.status != "failed", str(found)
