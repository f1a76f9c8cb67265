"""Tests of hypotheses and functions of parameters, against formulas of a single component."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, norm

import emframe

RNG = np.random.default_rng(2)
X = RNG.normal([1.0, 2.0], [1.0, 3.0], (90, 2))
NORMAL = emframe.fit(emframe.Mixture("gaussian", 1), X, rng=0)
ERRORS = NORMAL.standard_errors(X)
MEAN, SPREAD = X.mean(axis=0), np.cov(X.T, bias=True)


@pytest.mark.parametrize(
    ("text", "contrast", "value"),
    [
        ("means[0, x0] = 0", [[1, 0]], [0.0]),
        ("means[0,x0] = means[0, x1]", [[1, -1]], [0.0]),
        ("3 * means[0, x1] - 1.5 = 2 * means[0, x0] + 1", [[-2, 3]], [2.5]),
        (["means[0, x0] = 1", "means[0, x1] = 2"], [[1, 0], [0, 1]], [1.0, 2.0]),
        ("means[0, x0] = means[0, x1] = 1", [[1, -1], [0, 1]], [0.0, 1.0]),
    ],
)
def test_wald(text, contrast, value) -> None:
    """W = (C m - c)' (C S C' / n)^-1 (C m - c)."""
    c = np.array(contrast, dtype=float)
    left = c @ MEAN - value
    expected = left @ np.linalg.solve(c @ SPREAD @ c.T / len(X), left)
    found = NORMAL.test(text, X)
    assert found.statistic == pytest.approx(expected, rel=1e-5)
    assert found.df == len(c)
    assert found.p_value == pytest.approx(chi2.sf(expected, len(c)), rel=1e-4)
    assert ERRORS.test(text).statistic == found.statistic


def test_a_name_is_no_part_of_a_longer_one() -> None:
    frame = pd.DataFrame({"y": RNG.normal(size=60), "x": RNG.normal(size=60)})
    frame["max"] = RNG.normal(size=60)
    model = emframe.Mixture("gaussian-regression", 1, response="y", predictors=("x", "max"))
    fit = emframe.fit(model, frame, rng=0)
    design = np.column_stack([np.ones(60), frame["x"], frame["max"]])
    b, rest = np.linalg.lstsq(design, frame["y"].to_numpy(), rcond=None)[:2]
    v = np.linalg.inv(design.T @ design) * rest[0] / 60
    found = fit.test("x[0] = max[0]", frame)
    expected = (b[1] - b[2]) ** 2 / (v[1, 1] + v[2, 2] - 2 * v[1, 2])
    assert found.statistic == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "function",
    [
        "means[0, x0] / means[0, x1]",
        lambda params: params.components.means[0, 0] / params.components.means[0, 1],
    ],
    ids=["text", "callable"],
)
def test_a_ratio_by_the_delta_method(function) -> None:
    slope = np.array([1 / MEAN[1], -MEAN[0] / MEAN[1] ** 2])
    error = np.sqrt(slope @ SPREAD @ slope / len(X))
    found = ERRORS.derived(function)
    assert found.estimates == pytest.approx([MEAN[0] / MEAN[1]])
    assert found.standard_errors == pytest.approx([error], rel=1e-5)
    half = norm.ppf(0.95) * error
    assert found.confint(0.9)[0] == pytest.approx(
        [found.estimates[0] - half, found.estimates[0] + half], rel=1e-5
    )


def test_functions_are_those_of_arithmetic() -> None:
    text = ["exp(means[0, x0])", "log(means[0, x1])", "sqrt(means[0, x1]) ** 2", "-means[0, x0]"]
    found = ERRORS.derived(text)
    expected = [np.exp(MEAN[0]), np.log(MEAN[1]), MEAN[1], -MEAN[0]]
    assert found.estimates == pytest.approx(expected)
    own = np.sqrt(SPREAD.diagonal() / len(X))
    slopes = np.array([np.exp(MEAN[0]), 1 / MEAN[1], 1.0, 1.0])
    assert found.standard_errors == pytest.approx(slopes * own[[0, 1, 1, 0]], rel=1e-5)
    assert list(found.to_frame()["term"]) == text
    assert "exp(means[0, x0])" in str(found)


def test_a_likelihood_ratio_of_nested_fits() -> None:
    """Independence of two normal columns: n log(1 / (1 - r^2))."""
    free = emframe.fit(emframe.Mixture("gaussian", 1), X, rng=0)
    less = emframe.fit(emframe.Mixture("gaussian", 1, covariance="diag"), X, rng=0)
    expected = -len(X) * np.log(1 - np.corrcoef(X.T)[0, 1] ** 2)
    for found in (free.test(less), less.test(free)):
        assert found.statistic == pytest.approx(expected, rel=1e-7)
        assert found.df == 1
        assert found.p_value == pytest.approx(chi2.sf(expected, 1), rel=1e-6)
        assert "likelihood ratio test" in str(found)


def test_rows_in_clusters_and_strata() -> None:
    """Of a mean: sums of x - m over clusters, squared; within strata about their own mean."""
    cluster, stratum = np.arange(90) // 3, np.arange(90) // 45
    apart = X[:, 0] - MEAN[0]
    sums = apart.reshape(30, 3).sum(axis=1)
    own = sums.reshape(2, 15)
    within = sums - np.repeat(own.mean(axis=1), 15)
    cases = [
        ({}, np.sum(apart**2)),
        ({"clusters": np.arange(90)}, np.sum(apart**2) * 90 / 89),
        ({"clusters": cluster}, np.sum(sums**2) * 30 / 29),
        ({"clusters": [f"c{c}" for c in cluster], "strata": stratum}, np.sum(within**2) * 15 / 14),
    ]
    for given, square in cases:
        found = NORMAL.standard_errors(X, method="sandwich", **given)
        assert found.params.components.means[0, 0] == pytest.approx(np.sqrt(square) / 90, rel=1e-4)


CLUSTERS = np.arange(90) // 3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"clusters": CLUSTERS, "method": "observed"}, "take 'sandwich'"),
        ({"clusters": CLUSTERS[:5]}, "has shape \\(5,\\); pass one label for each of the 90 rows"),
        ({"clusters": np.zeros(90)}, "1 independent clusters cannot tell"),
        ({"clusters": CLUSTERS, "strata": np.arange(90) % 2}, "another stratum than its cluster"),
        ({"strata": CLUSTERS == 0, "clusters": CLUSTERS}, "a stratum has one cluster only"),
        ({"clusters": np.where(CLUSTERS > 3, CLUSTERS, np.nan)}, "row 0 is missing"),
    ],
)
def test_designs_that_do_not_go(options, told) -> None:
    with pytest.raises(ValueError, match=told):
        NORMAL.standard_errors(X, **{"method": "sandwich", **options})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mean[0, x0] = 1", "did you mean means\\[0, x0\\]"),
        ("means[0, x0]", "is no equation"),
        ("means[0, x0] = ", "is no equation"),
        ("1 = 1", "is no question"),
        ("sin(means[0, x0]) = 1", "no function of these: exp, log, sqrt"),
        ("means[0, x0] +* 2 = 1", "is no expression"),
        ("means[0, x0] @ 2 = 1", "is no expression of"),
        ("exp(means[0, x0], 2) = 1", "takes one number"),
        ("(lambda: 1)() = 1", "takes one number"),
        (["means[0, x0] = 1", "means[0, x0] = 2"], "follow from one another, or contradict"),
        ("weights[0] = 1", "no parameter"),
    ],
)
def test_what_is_no_hypothesis(text, told) -> None:
    with pytest.raises(ValueError, match=told):
        ERRORS.test(text)


def test_what_is_not_nested() -> None:
    two = emframe.fit(emframe.Mixture("gaussian", 2), X, rng=0)
    with pytest.raises(ValueError, match=r"see emframe\.bootstrap_lrt"):
        NORMAL.test(two)
    with pytest.raises(ValueError, match="neither is within the other"):
        NORMAL.test(NORMAL)
    half = emframe.fit(emframe.Mixture("gaussian", 1), X[:40], rng=0)
    with pytest.raises(ValueError, match="fit both to the same data"):
        NORMAL.test(half)
    with pytest.raises(TypeError, match=r"fit\.test\(hypothesis, X\)"):
        NORMAL.test("means[0, x0] = 1")
    with pytest.raises(TypeError, match="pass text"):
        ERRORS.test([1])


def test_a_probability_on_its_boundary_has_no_wald_test() -> None:
    items = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    fit = emframe.fit(emframe.Mixture("bernoulli", 1), items, rng=0)
    errors = fit.standard_errors(items)
    assert errors.test("probs[0, x1] = 0.5").statistic == pytest.approx(0.01 / (0.24 / 5), rel=1e-5)
    with pytest.raises(ValueError, match=r"without a standard error.*boundary"):
        errors.test("probs[0, x0] = probs[0, x1]")
    assert np.isnan(errors.derived("probs[0, x0] - 1").standard_errors[0])


def test_drawing_stops_where_p_is_large_anyway() -> None:
    """The samples are the first of those that would be drawn without; p is 3 over their number."""
    x = np.random.default_rng(4).normal(size=60)
    call = [
        emframe.Mixture("gaussian", 1, covariance="E"),
        emframe.Mixture("gaussian", 2, covariance="E"),
        x,
    ]
    full = emframe.bootstrap_lrt(*call, n_replicates=19, rng=0)
    short = emframe.bootstrap_lrt(*call, n_replicates=19, rng=0, stop_at=3)
    n = len(short.replicates)
    larger = np.flatnonzero(full.replicates >= full.statistic)
    assert short.replicates == pytest.approx(full.replicates[:n])
    assert n == larger[2] + 1 < 19
    assert short.p_value == 3 / n
    assert full.p_value == (1 + len(larger)) / 20
    with pytest.raises(ValueError, match="`stop_at` is 0"):
        emframe.bootstrap_lrt(*call, stop_at=0)
