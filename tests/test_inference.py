"""Standard errors against formulas, other systems, units, and their own promise of coverage."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from test_reference import CASES, column, fit, rows_of

import emframe
from emframe import Regularity
from emframe.inference.resampling import matched
from emframe.inference.standard_errors import wald
from emframe.models.components import taken
from emframe.parameters import equal, leaves, n_free, rebuild
from emframe.showing.tidy import entries, flat, like

REFERENCES = json.loads((Path(__file__).parent / "reference" / "errors.json").read_text())
CURVATURE = ["observed", "scores", "sandwich"]


@pytest.mark.parametrize("reference", REFERENCES, ids=[one["case"] for one in REFERENCES])
def test_other_systems_agree(reference):
    case = next(one for one in CASES if one["case"] == reference["case"])
    found = fit(case)
    X = rows_of(case)
    weights = case["row_weights"] and column(case["data"], [case["row_weights"]])
    # To the last digit: along a flat direction 1e-8 nats are some share of a standard error.
    found = emframe.fit(found.model, X, weights=weights, start=found.params, tol=0)
    errors = found.standard_errors(X, weights=weights, method=reference["method"])
    name = reference["field"]
    theirs = np.array(reference["estimates"])
    apart = np.abs(getattr(found.params.components, name)[:, None] - theirs[None])
    distance = apart.reshape(*apart.shape[:2], -1).sum(axis=2)
    _, order = linear_sum_assignment(distance.T)
    for mine, expected in (
        (errors.params.weights[order], np.array(reference["weights"])),
        (getattr(errors.params.components, name)[order], np.array(reference["errors"])),
    ):
        boundary = expected < 1e-12  # where the other system says 0
        assert np.isnan(mine[boundary]).all()
        assert mine[~boundary] == pytest.approx(expected[~boundary], rel=2e-4)
    inside = errors.regularity is Regularity.REGULAR
    assert inside == (not np.isnan(flat(errors.params)).any())


def test_other_systems_agree_where_the_model_is_another():
    """Newcomb's light with free degrees of freedom, and linkage; observed information in R."""
    X = column("newcomb", ["time"])
    found = emframe.fit(emframe.Mixture(emframe.from_scipy("t")), X, rng=0)
    errors = found.standard_errors(X).params.components
    theirs = [0.608904903537553, 0.618935884297462, 0.662309389289382]
    assert [errors.loc[0], errors.scale[0], errors.df[0]] == pytest.approx(theirs, rel=2e-4)
    found = emframe.fit(emframe.Mixture("student-t"), X, rng=0)
    errors = found.standard_errors(X).params.components
    of_scale = errors.scale_matrices.item() / np.sqrt(4 * found.params.components.scale_matrices)
    ours = [errors.locations.item(), of_scale.item(), errors.dof.item()]
    assert ours == pytest.approx(theirs, rel=2e-4)
    table, counts = column("linkage", ["count"])[:, 0], np.arange(4)
    model = emframe.model("gene-counting", table="linkage")
    found = emframe.fit(model, counts, weights=table, rng=0)
    errors = found.standard_errors(counts, weights=table)
    assert errors.params.frequencies[0] == pytest.approx(0.0514673492008887, rel=2e-4)


def test_an_estimate_at_infinity_is_on_its_boundary():
    """Normal rows with a little less of a tail than they might have; drawn again, with more."""
    X = np.random.default_rng(5).normal(size=80)
    found = emframe.fit(emframe.Mixture("student-t"), X, rng=0)
    normal = emframe.fit(emframe.Mixture("gaussian"), X)
    assert np.isinf(found.params.components.dof)
    errors = found.standard_errors(X)
    assert errors.regularity is Regularity.BOUNDARY
    assert "dof[0]" in errors.message
    assert np.isnan(errors.params.components.dof).all()
    others = errors.params.components
    theirs = normal.standard_errors(X).params.components
    assert others.locations == pytest.approx(theirs.means, rel=1e-5)
    assert others.scale_matrices == pytest.approx(theirs.covariances, rel=1e-5)
    drawn = found.standard_errors(X, method="bootstrap", n_replicates=30, rng=0)
    assert "Infinite in some replicates, and so without a standard error: dof[0]" in drawn.message
    ends = drawn.confint()
    assert np.isfinite(ends.lower.components.dof)
    assert np.isinf(ends.upper.components.dof)


def closed_form(family, X, weights):
    """Standard errors by the textbook's formulas, one component."""
    n = weights.sum()
    mean = weights @ X / n
    scatter = (X - mean).T @ ((X - mean) * weights[:, None]) / n
    variances = np.diag(scatter)
    if family == "gaussian":
        return {
            "means": np.sqrt(variances / n),
            "covariances": np.sqrt((np.outer(variances, variances) + scatter**2) / n),
        }
    if family == "poisson":
        return {"rates": np.sqrt(mean / n)}
    return {"probs": np.sqrt(mean * (1 - mean) / n)}


def rows(family, n=80):
    rng = np.random.default_rng(3)
    if family == "gaussian":
        return rng.normal(size=(n, 3)) @ [[1.0, 0.5, 0.0], [0.0, 2.0, 1.0], [0.0, 0.0, 1.0]]
    if family == "poisson":
        return rng.poisson([1.0, 20.0], (n, 2)).astype(float)
    return rng.binomial(1, [0.2, 0.5, 0.9], (n, 3)).astype(float)


@pytest.mark.parametrize("family", ["gaussian", "poisson", "bernoulli"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_one_component_by_the_textbook_in_any_unit(family, scale):
    X = rows(family) * (scale if family == "gaussian" else 1.0)
    weights = np.random.default_rng(0).integers(0, 4, len(X)).astype(float)
    found = emframe.fit(emframe.Mixture(family), X, weights=weights, n_starts=1, rng=0)
    errors = found.standard_errors(X, weights=weights)
    assert errors.regularity is Regularity.REGULAR
    for name, expected in closed_form(family, X, weights).items():
        assert getattr(errors.params.components, name)[0] == pytest.approx(expected, rel=1e-5)
    assert errors.params.weights == [0.0]  # the only weight there is, known for certain
    assert found.confint(X, weights=weights).lower.weights == [1.0]


@dataclass(frozen=True)
class Rates:
    rates: emframe.Array = emframe.parameter(emframe.Positive())  # (K,)


class Exponential(emframe.ExponentialFamily):
    """Waiting times: a family of one's own that knows nothing of gradients or errors."""

    name, parameters, support = "exponential", Rates, emframe.Positive()

    def statistics(self, x):
        return x

    def natural(self, params):
        return -params.rates

    def log_partition(self, params):
        return -np.log(params.rates)

    def from_mean(self, mean):
        return Rates(1 / mean)

    def sample(self, params, labels, rng):
        return rng.exponential(1 / params.rates[labels])


@pytest.mark.parametrize("method", ["observed", "sandwich"])
def test_a_family_of_ones_own_has_them_for_nothing(method):
    X = np.random.default_rng(1).exponential(2.0, 300)
    found = emframe.fit(emframe.Mixture(Exponential()), X, n_starts=1)
    errors = found.standard_errors(X, method=method)
    rate = found.params.components.rates
    wrong = {"observed": 1.0, "sandwich": X.std() / X.mean()}[method]  # 1 were the model true
    assert errors.params.components.rates == pytest.approx(rate / np.sqrt(300) * wrong, rel=1e-5)


def test_what_is_held_is_known_and_the_rest_has_the_errors_of_its_part():
    X = rows("gaussian")
    held = emframe.fit(emframe.Mixture(emframe.fixed("gaussian", means=0.0)), X, n_starts=1)
    errors = held.standard_errors(X)
    assert errors.regularity is Regularity.REGULAR
    assert (errors.params.components.means == 0).all()
    second = X.T @ X / len(X)  # the covariance about 0
    expected = np.sqrt((np.outer(np.diag(second), np.diag(second)) + second**2) / len(X))
    assert errors.params.components.covariances[0] == pytest.approx(expected, rel=1e-5)


def test_a_product_has_the_errors_of_its_parts():
    parts = [rows("poisson")[:, :1], rows("bernoulli")[:, :1]]
    X = np.hstack(parts)
    model = emframe.Mixture(emframe.Product({0: "poisson", 1: "bernoulli"}))
    errors = emframe.fit(model, X, n_starts=1).standard_errors(X)
    rate, prob = (
        emframe.fit(emframe.Mixture(name), part, n_starts=1).standard_errors(part).params.components
        for name, part in zip(("poisson", "bernoulli"), parts, strict=True)
    )
    expected = [0.0, rate.rates[0, 0], prob.probs[0, 0]]
    assert flat(errors.params) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("method", CURVATURE)
def test_a_weight_of_two_is_a_row_twice(method):
    X, weights = rows("poisson"), np.arange(80) % 3
    model = emframe.Mixture("poisson", n_components=2)
    found = emframe.fit(model, X, weights=weights, rng=0, n_starts=4)
    weighted = found.standard_errors(X, weights=weights, method=method)
    repeated = found.standard_errors(np.repeat(X, weights, axis=0), method=method)
    assert flat(weighted.params) == pytest.approx(flat(repeated.params), rel=1e-6)


@pytest.mark.parametrize("covariance", ["full", "diag", "spherical", "tied", "VEI", "VVE", "VEV"])
def test_the_covariance_has_the_rank_of_the_free_parameters(covariance):
    X = emframe.dataset("faithful").X
    model = emframe.Mixture("gaussian", n_components=2, covariance=covariance)
    found = emframe.fit(model, X, rng=0, n_starts=4)
    errors = found.standard_errors(X)
    scale = np.sqrt(np.diag(errors.covariance)) + (np.diag(errors.covariance) == 0)
    rank = np.linalg.matrix_rank(errors.covariance / np.outer(scale, scale), tol=1e-9)
    assert rank == n_free(found.params)
    assert errors.params.weights[0] == pytest.approx(errors.params.weights[1])
    coupled = {"VEI": 4, "VVE": 6, "VEV": 6}  # covariances of which some follow from others
    free = 1 + 4 + coupled[covariance] if covariance in coupled else n_free(found.params)
    assert len(errors.table) == free + 1  # one weight more than is free
    if covariance == "tied":
        first, second = errors.params.components.covariances
        assert np.array_equal(first, second)


def test_what_the_data_do_not_determine_has_no_standard_error_and_the_rest_has():
    """Two components at the same place: no weight can be told, but the place can."""
    X = rows("poisson")
    mean = X.mean(axis=0)
    model = emframe.Mixture("poisson", n_components=2)
    found = emframe.fit(model, X, start={"weights": [0.5, 0.5], "rates": [mean, mean]})
    errors = found.standard_errors(X)
    assert errors.regularity is Regularity.FLAT
    assert np.isnan(errors.params.weights).all()
    assert np.isfinite(errors.params.components.rates).all()
    assert "do not determine weights[0], weights[1]" in str(errors)
    assert np.isnan(found.confint(X).lower.weights).all()


def test_a_rotation_of_factors_leaves_means_and_variances_determined():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 6)) + 0.5 * rng.normal(size=(200, 6))
    found = emframe.fit(emframe.model("factor-analysis", n_factors=2), X, rng=0, n_starts=2)
    errors = found.standard_errors(X)
    assert errors.regularity is Regularity.FLAT
    assert errors.params.means == pytest.approx(X.std(axis=0) / np.sqrt(200), rel=1e-2)
    assert np.isfinite(errors.params.noise).all()
    assert np.isnan(errors.params.loadings).all()


def test_runs_of_rows_are_what_is_independent():
    """A hidden Markov model: its errors want no scores of single rows, and no rows drawn anew."""
    X = emframe.dataset("earthquakes").X
    model = emframe.model("hidden-markov", family="poisson", n_states=2)
    found = emframe.fit(model, X, rng=0, n_starts=2)
    errors = found.standard_errors(X)
    assert errors.regularity is Regularity.BOUNDARY  # it begins in one state for certain
    assert np.isnan(errors.params.initial).all()
    assert np.isfinite(errors.params.components.rates).all()
    with pytest.raises(ValueError, match=r"runs of rows\) cannot tell 4 parameters"):
        found.standard_errors(X, method="sandwich")
    with pytest.raises(ValueError, match="there is one"):
        found.standard_errors(X, method="bootstrap")
    runs = [found.sample(30, rng=seed)[0] for seed in range(20)]
    several = emframe.fit(model, runs, start=found.params)
    curved = several.standard_errors(runs).params.components.rates
    for method in ("sandwich", "bootstrap", "parametric"):
        errors = several.standard_errors(runs, method=method, n_replicates=30, rng=0)
        assert errors.params.components.rates == pytest.approx(curved, rel=0.5)


def test_a_point_below_the_maximum_is_told():
    X = emframe.dataset("earthquakes").X
    model = emframe.Mixture("poisson", n_components=2)
    start = {"weights": [0.5, 0.5], "rates": [[14.0], [26.0]]}
    early = emframe.fit(model, X, start=start, max_iter=1)
    errors = early.standard_errors(X)
    assert errors.regularity is Regularity.NO_MAXIMUM
    assert "let the fit converge" in errors.message
    found = emframe.fit(model, X, start=start)
    assert found.standard_errors(X).regularity is Regularity.REGULAR
    assert found.standard_errors(X[:60]).regularity is Regularity.NO_MAXIMUM  # other data


def test_a_prior_is_part_of_the_curvature():
    X = rows("gaussian")
    model = emframe.Mixture("gaussian")
    plain, weak = (emframe.fit(model, X, prior=p, n_starts=1, rng=0) for p in (None, "weak"))
    with_prior, without = (flat(one.standard_errors(X).params) for one in (weak, plain))
    assert (with_prior[1:] < without[1:]).all()
    with pytest.raises(ValueError, match="has a prior"):
        weak.standard_errors(X, method="scores")


@given(
    st.floats(-1e3, 1e3),
    st.floats(1e-6, 1e3),
    st.floats(0.01, 0.99),
    st.sampled_from(["none", "lower", "upper", "both"]),
)
@example(0.0, 1.0, 0.5, "both")
def test_intervals_stay_within_limits_and_hold_the_estimate(origin, width, share, limits):
    estimate = np.array([origin + share * width])
    low = np.array([origin if limits in {"lower", "both"} else -np.inf])
    high = np.array([origin + width if limits in {"upper", "both"} else np.inf])
    for reach in (1e-3 * width, width):
        lower, upper = wald(estimate, np.array([reach]), low, high)
        assert low <= lower < estimate < upper <= high
    lower, upper = wald(estimate, np.array([1e-6 * width]), low, high)
    assert upper - lower == pytest.approx(2e-6 * width, rel=1e-3, abs=1e-12 * abs(origin))


@pytest.mark.parametrize("method", ["bootstrap", "parametric"])
def test_the_bootstrap_agrees_with_the_curvature_where_that_holds(method):
    data = emframe.dataset("faithful")
    found = emframe.fit(emframe.Mixture("gaussian", n_components=2), data, rng=0, n_starts=3)
    curved = flat(found.standard_errors(data).params)
    drawn = found.standard_errors(data, method=method, n_replicates=60, rng=1)
    assert drawn.message == ""
    shown = [entry.position for entry in entries(found.params)]
    assert flat(drawn.params)[shown] == pytest.approx(curved[shown], rel=0.5)
    again = found.standard_errors(data, method=method, n_replicates=60, rng=1)
    assert np.array_equal(again.replicates, drawn.replicates)
    intervals = drawn.confint(0.9)
    lower, upper = flat(intervals.lower)[shown], flat(intervals.upper)[shown]
    assert (lower < upper).all()
    inside = (drawn.replicates[:, shown] >= lower) & (drawn.replicates[:, shown] <= upper)
    assert inside.mean() == pytest.approx(0.9, abs=0.02)


def test_components_are_put_back_in_order():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(m, 1, (40, 2)) for m in (0, 8, 16)])
    for model in (
        emframe.Mixture("gaussian", n_components=3),
        emframe.Mixture(["gaussian", "gaussian"], [2, 1]),
        emframe.Mixture("gaussian", 3, weights=emframe.Gate(1)),
    ):
        found = emframe.fit(model, X, rng=0, n_starts=2)
        data = model.rows(X)
        order = np.array([1, 0, 2])
        other = taken(found.params, order)
        assert not equal(other, found.params)
        put_back = matched(model, found.params, other, data)
        assert flat(put_back) == pytest.approx(flat(found.params), rel=1e-12, abs=1e-12)
        assert model.posterior(other, X)[0] == pytest.approx(found.score_samples(X))


def test_intervals_cover_as_often_as_they_say():
    """120 samples from two Poisson components: 95 % intervals, with room for chance."""
    model = emframe.Mixture("poisson", n_components=2)
    truth = model.build({"weights": [0.4, 0.6], "rates": [[2.0], [9.0]]})
    covered = []
    for stream in np.random.default_rng(5).spawn(120):
        X, _ = model.sample(truth, 400, stream)
        found = emframe.fit(model, X, start=truth)
        for method in ("observed", "sandwich"):
            ends = found.confint(X, 0.95, method=method)
            inside = (flat(ends.lower) <= flat(truth)) & (flat(truth) <= flat(ends.upper))
            covered.append(inside)
    share = np.mean(covered, axis=0)
    assert (share > 0.89).all()
    assert (share < 0.99).all()


def test_parameters_as_numbers_and_back():
    found = emframe.fit(emframe.Mixture("poisson", 2), rows("poisson"), n_starts=1, rng=0)
    assert equal(like(found.params, flat(found.params)), found.params)
    labels = [entry.label for entry in entries(found.params, ("a", "b"))]
    assert labels[:3] == ["weights[0]", "weights[1]", "rates[0, a]"]
    numbers = flat(found.params)
    for leaf in leaves(found.params):
        mine = [e for e in entries(found.params) if leaf.path.endswith(e.parameter)]
        assert [numbers[e.position] for e in mine] == leaf.value.ravel().tolist()


def test_the_likelihood_ratio_finds_components_that_are_there_and_no_others():
    rng = np.random.default_rng(2)
    X = np.concatenate([rng.poisson(2, 60), rng.poisson(15, 60)])
    one, two, three = (emframe.Mixture("poisson", n_components=k) for k in (1, 2, 3))
    found = emframe.bootstrap_lrt(one, two, X, n_replicates=19, rng=0)
    assert found.p_value == pytest.approx(1 / 20)
    gain = found.alternative.log_likelihood - found.null.log_likelihood
    assert found.statistic == pytest.approx(2 * gain)
    assert "p = 0.05" in str(found)
    assert emframe.bootstrap_lrt(two, three, X, n_replicates=9, n_starts=2, rng=0).p_value > 0.1
    with pytest.raises(ValueError, match="pass the smaller model first"):
        emframe.bootstrap_lrt(two, one, X, n_replicates=1)
    with pytest.raises(ValueError, match="`n_replicates` is 0; pass a whole number, 1 or above"):
        emframe.bootstrap_lrt(one, two, X, n_replicates=0)
    with pytest.raises(TypeError, match=r"`n_replicates` is 9\.5; pass a whole number"):
        emframe.bootstrap_lrt(one, two, X, n_replicates=9.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda fit, X: fit.standard_errors(X, method="hessian"), "expected one of observed"),
        (lambda fit, X: fit.confint(X, 95), "pass a number between 0 and 1"),
        (lambda fit, X: fit.standard_errors(X, method="bootstrap", n_replicates=1), "2 or above"),
        (lambda fit, X: fit.standard_errors(X, method="bootstrap", n_replicates=2.5), "whole"),
    ],
)
def test_misuse_is_told(call, message):
    X = rows("poisson")
    found = emframe.fit(emframe.Mixture("poisson"), X, n_starts=1)
    with pytest.raises((TypeError, ValueError), match=message):
        call(found, X)


UNITS = [1e-145, 1e-60, 1e-13, 1e-11, 10**-8.5, 1e-6, 1.0, 1e8, 1e60, 1e145]


@pytest.mark.parametrize("unit", [*[[u, u] for u in UNITS], [1e-13, 1e13], [1e145, 1e-145]])
def test_a_covariance_has_the_standard_errors_of_the_textbook_in_any_units(unit):
    """sd / root n of a mean, root (s_ij^2 + s_ii s_jj) / root n of a (co)variance (Wishart)."""
    rng = np.random.default_rng(4)
    X = rng.multivariate_normal([1.0, -1.0], [[1.0, 0.6], [0.6, 2.0]], 150)
    found = emframe.fit(emframe.Mixture("gaussian"), X * unit, rng=0)
    errors = found.standard_errors(X * unit)
    assert errors.regularity is Regularity.REGULAR
    S = np.cov(X.T, bias=True)
    of_means = np.sqrt(S.diagonal() / len(X))
    of_covariances = np.sqrt((S**2 + np.outer(S.diagonal(), S.diagonal())) / len(X))
    found = errors.params.components
    assert found.means[0] / unit == pytest.approx(of_means, rel=1e-6)
    assert found.covariances[0] / unit / np.transpose([unit]) == pytest.approx(
        of_covariances, rel=1e-6
    )


POWERS = {"locations": 1, "scale_matrices": 2, "means": 1, "covariances": 2, "loadings": 1}
POWERS |= {"noise": 2, "coefficients": 1, "variances": 2}
WITH_UNITS = {
    "overlapping": emframe.Mixture("gaussian", 2),
    **{code: emframe.Mixture("gaussian", 2, covariance=code) for code in ("VEE", "EEV", "VVE")},
    "student-t": emframe.Mixture("student-t", 2),
    "incomplete": emframe.model("incomplete-gaussian", n_components=2),
    "chain": emframe.model("hidden-markov", family="gaussian", n_states=2),
    "factors": emframe.model("factor-analysis", n_factors=1),
}


@pytest.mark.parametrize("name", WITH_UNITS)
def test_standard_errors_follow_the_units(name):
    model, rng = WITH_UNITS[name], np.random.default_rng(0)
    parts = [([0, 0, 0], [[1, 0.5, 0], [0.5, 2, 0], [0, 0, 1]]), ([3, 3, 1], np.eye(3) + 0.3)]
    X = np.concatenate([rng.multivariate_normal(mean, of, 200) for mean, of in parts])
    if name == "student-t":
        X = X / np.sqrt(rng.chisquare(5, size=(len(X), 1)) / 5)
    plain = emframe.fit(model, X, rng=0)
    expected = plain.standard_errors(X)
    wanted = {leaf.path: leaf.value for leaf in leaves(expected.params)}
    for power in (-480, -45, -33, 200):

        def unit(leaf, power=power):
            return 2.0 ** (power * POWERS.get(leaf.path.split(".")[-1], 0))

        start = rebuild(plain.params, lambda leaf: leaf.value * unit(leaf))
        errors = emframe.fit(model, np.ldexp(X, power), start=start).standard_errors(
            np.ldexp(X, power)
        )
        assert errors.regularity is expected.regularity
        for leaf in leaves(errors.params):
            told = leaf.value / unit(leaf)
            assert told == pytest.approx(wanted[leaf.path], rel=1e-4, nan_ok=True)


def test_a_bootstrap_draws_rows_as_often_as_their_weights_say() -> None:
    """Of a mean: the standard deviation of n rows over the root of n, weights being n_i rows."""
    x, weights = np.array([0.0, 1.0, 5.0, 30.0]), np.array([900.0, 600.0, 96.0, 4.0])
    found = emframe.fit(emframe.Mixture("poisson", 1), x, weights=weights)
    drawn = found.standard_errors(x, weights=weights, method="bootstrap", n_replicates=400, rng=0)
    mean = weights @ x / weights.sum()
    spread = np.sqrt(weights @ (x - mean) ** 2 / weights.sum())
    wanted = spread / np.sqrt(weights.sum())
    # A standard deviation of 400 normal values is right to 1 / sqrt(800).
    assert drawn.params.components.rates[0, 0] == pytest.approx(wanted, rel=5.0 / np.sqrt(800))


@pytest.mark.parametrize("method", ["bootstrap", "parametric"])
def test_a_standard_error_of_replicates_has_one_degree_of_freedom_less(method) -> None:
    found = emframe.fit(emframe.Mixture("poisson", 1), np.arange(9.0))
    drawn = found.standard_errors(np.arange(9.0), method=method, n_replicates=3, rng=0)
    assert flat(drawn.params) == pytest.approx(drawn.replicates.std(axis=0, ddof=1), rel=1e-12)
