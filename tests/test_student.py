"""The t family where it is more than a row of the tables: its tail, and both ends of it."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from emframe_families.student.tail import Tail, normaliser
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.special import gammaln
from scipy.stats import multivariate_t

import emframe
from emframe.core import Status

INF = np.inf
GEYSER = emframe.dataset("faithful").X
SCATTERED = np.random.default_rng(1).normal(size=18)


def at(family, location, matrix, dof):
    """Parameters of one component."""
    return family.parameters(np.array([location]), np.array([matrix]), np.array([dof]))


@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("dof", [0.3, 1.0, 4.5, 60.0, 1e4, 1e9, 1e14, INF])
def test_the_density_is_that_of_the_t_and_of_the_normal_distribution(d, dof):
    rng = np.random.default_rng(d)
    root = rng.normal(size=(d, d))
    matrix, x = root @ root.T + np.eye(d), 3.0 * rng.normal(size=(6, d))
    family = emframe.family("student-t")
    found = family.log_density(at(family, np.ones(d), matrix, dof), x)[:, 0]
    theirs = multivariate_t(np.ones(d), matrix, dof if dof < 1e9 else INF)
    rel = 1e-11 if dof < 1e4 else 1e-7  # there scipy's gamma functions cancel
    assert found == pytest.approx(theirs.logpdf(x), rel=rel)


@pytest.mark.parametrize("d", [1, 2, 3, 6])
@pytest.mark.parametrize("t", [1e-12, 1e-3, 0.0199, 0.0201, 0.5, 40.0])
def test_the_normaliser_and_its_slopes_have_all_their_digits(d, t):
    def exact(log_t):
        z = mpmath.exp(-log_t) / 2
        half = mpmath.mpf(d) / 2
        return mpmath.loggamma(z + half) - mpmath.loggamma(z) - half * mpmath.log(z)

    with mpmath.workdps(60):
        where = mpmath.log(mpmath.mpf(t))
        wanted = [float(mpmath.diff(exact, where, order)) for order in range(3)]
    assert normaliser(np.array([t]), d)[:, 0] == pytest.approx(wanted, rel=1e-9, abs=1e-25)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("before", [0.2, 5.0, 1e6, INF])
def test_degrees_of_freedom_go_to_the_top_and_to_inf_where_the_kurtosis_is_no_more(before, shared):
    """By a bounded search; rows of a flat, a normal, a t and a Cauchy kind."""
    rng, d, n = np.random.default_rng(0), 2, 300
    rows = np.stack([
        rng.uniform(-1, 1, (n, d)), rng.normal(size=(n, d)),
        rng.standard_t(5.0, (n, d)), rng.standard_cauchy((n, d)),
    ])  # fmt: skip
    distance = np.square(rows).sum(axis=2)
    distance *= d / np.median(distance, axis=1, keepdims=True)
    resp = rng.uniform(0.5, 1.5, distance.shape)
    tail = Tail((distance,), (resp,), (d,), np.zeros(4), shared)
    found = tail.maximised(np.full(4, before))
    if shared:
        assert (found == found[0]).all()
    for k, dof in enumerate(found):

        def fall(log_t, k=k):
            return -tail.at(np.full(4, np.exp(log_t)))[0, k]

        best = minimize_scalar(fall, bounds=(-14, 4), method="bounded", options={"xatol": 1e-9})
        normal, slope = tail.at_normal()[:, k]
        assert np.isinf(dof) == (slope <= 0)
        reached = normal if np.isinf(dof) else -fall(-np.log(dof))
        assert reached >= -best.fun - 1e-9 * abs(best.fun)


def test_with_infinitely_many_degrees_of_freedom_it_is_the_gaussian_family():
    ours = emframe.fit(emframe.Mixture("student-t", 2, dof=INF), GEYSER, rng=0, n_starts=4)
    theirs = emframe.fit(emframe.Mixture("gaussian", 2), GEYSER, rng=0, n_starts=4)
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood, rel=1e-12)
    assert ours.n_parameters == theirs.n_parameters


@pytest.mark.parametrize(
    ("own", "composed"),
    [
        ({"dof": 5.0}, emframe.fixed("student-t", dof=5.0)),
        ({"dof": "shared"}, emframe.tied("student-t", "dof")),
        (
            {"dof": "shared", "covariance": "tied"},
            emframe.tied("student-t", "dof", "scale_matrices"),
        ),
    ],
    ids=["held", "shared", "shared and tied"],
)
def test_what_it_holds_and_shares_is_what_fixed_and_tied_do(own, composed):
    start = GEYSER[:, 0] > 3
    ours = emframe.fit(emframe.Mixture("student-t", 2, **own), GEYSER, start=start)
    theirs = emframe.fit(emframe.Mixture(composed, 2), GEYSER, start=start)
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood, rel=1e-10)
    assert ours.n_parameters == theirs.n_parameters


@pytest.mark.parametrize("shift", [0.0, 3.7])
@pytest.mark.parametrize("accelerate", [True, False])
@pytest.mark.parametrize(
    ("dof", "alike", "bounded"),
    [(0.2, 12, False), (0.5, 12, False), (1.0, 12, True), ("each", 4, True), ("each", 30, False)],
)
def test_a_point_that_many_rows_share_is_degenerate(dof, alike, bounded, accelerate, shift):
    """Beside 18 others: the likelihood has no bound for dof below alike / 18."""
    model = emframe.Mixture("student-t", 1, dof=dof)
    rows = 2.0 * np.concatenate([np.zeros(alike), SCATTERED]) + shift
    fit = emframe.fit(model, rows, rng=0, accelerate=accelerate)
    assert fit.status is (Status.CONVERGED if bounded else Status.DEGENERATE)
    assert bounded or "sits on a point" in fit.message


def test_a_prior_bounds_what_has_no_bound():
    rows = np.random.default_rng(0).normal(size=(12, 5))
    for options in ({}, {"dof": "shared"}, {"covariance": "tied"}):
        model = emframe.Mixture("student-t", 2, **options)
        fit = emframe.fit(model, rows, prior="weak", rng=0, n_starts=3)
        assert fit.converged
        assert fit.params.components.dof.min() > 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"covariance": "round"}, "`covariance` is 'round'; expected one of full, diag"),
        ({"dof": "free"}, "`dof` is 'free'; expected 'each' or 'shared'"),
        ({"dof": True}, "`dof` is True; expected"),
        ({"dof": 0.0}, "`dof` is 0.0"),
        ({"dof": np.nan}, "`dof` is nan"),
        ({"dof": None}, "`dof` is None"),
    ],
)
def test_settings_that_are_none_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        emframe.family("student-t", **options)


@pytest.mark.parametrize("dof", [np.float32(4), np.int64(4), 4])
def test_degrees_of_freedom_are_numbers_of_any_kind(dof, tmp_path):
    x = np.random.default_rng(0).standard_t(4, size=50)
    fit = emframe.fit(emframe.Mixture("student-t", 1, dof=dof), x)
    fit.save(tmp_path / "saved.fit")
    assert emframe.load(tmp_path / "saved.fit").model == emframe.Mixture("student-t", 1, dof=4)


def test_degrees_of_freedom_that_are_held_need_not_be_given_and_may_not_be_others():
    model = emframe.Mixture("student-t", 2, dof=5.0)
    start = {
        "weights": [0.5, 0.5],
        "locations": [[2.0, 54.0], [4.3, 80.0]],
        "scale_matrices": np.stack([np.diag([0.1, 36.0])] * 2),
    }
    fit = emframe.fit(model, GEYSER, start=start)
    assert (fit.params.components.dof == 5.0).all()
    with pytest.raises(ValueError, match=r"`components.dof` is .*; it is held at 5"):
        emframe.fit(model, GEYSER, start={**start, "dof": [6.0, 6.0]})


# ---- the tail where there is none


@pytest.mark.parametrize("d", [1, 2, 6])
@pytest.mark.parametrize("dof", [8.0, np.inf, 0.05])
@pytest.mark.parametrize(
    "distance", [[0.0, 0.0, 0.0], [1e-30, 0.0, 0.0], [1e200, 1.0, 2.0], [1e308, 0.0, 0.0]]
)
def test_a_tail_of_rows_at_one_point_or_far_off_is_climbed_in_silence(
    d: int, dof: float, distance: list[float]
) -> None:
    """Q of the tail by scipy's gamma functions: no lower at the end than where it began."""
    found = Tail((np.array([distance]),), (np.ones((1, 3)),), (d,), np.zeros(1)).maximised(
        np.array([dof])
    )

    def height(nu: float) -> float:
        y = np.array(distance, dtype=float)
        if np.isinf(nu):
            return -0.5 * float(y.sum())
        start = gammaln(0.5 * (nu + d)) - gammaln(0.5 * nu) - 0.5 * d * np.log(0.5 * nu)
        with np.errstate(divide="ignore"):
            tail = np.logaddexp(0.0, np.log(y) - np.log(nu))
        return float(3 * start - 0.5 * ((nu + d) * tail).sum())

    assert found > 0
    assert height(found[0]) >= height(dof) - 1e-9 * max(1.0, abs(height(dof)))


@pytest.mark.parametrize("options", [{}, {"dof": "shared"}, {"covariance": "diag"}])
@pytest.mark.parametrize("k", [1, 2])
def test_fewer_rows_than_columns_are_a_status_in_silence(options: dict[str, Any], k: int) -> None:
    """Five rows in six columns, of which the last is the sum of two: no covariance has full rank.

    Only the diagonal ones have a maximum, for one component.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 6))
    x[:, 5] = x[:, 0] + x[:, 1]
    model = emframe.Mixture("student-t", k, **options)
    if "covariance" not in options:
        with pytest.raises(emframe.Degenerate, match="singular"):
            emframe.fit(model, x, rng=0)
        return
    fit = emframe.fit(model, x, rng=0)
    if k == 1:
        assert fit.converged
        scale = np.sqrt(fit.params.components.scale_matrices[0].diagonal())
        off = (x - fit.params.components.locations[0]) / scale
        nu = fit.params.components.dof[0]
        wanted = stats.multivariate_t(np.zeros(6), np.eye(6), nu).logpdf(off).sum()
        assert fit.log_likelihood == pytest.approx(wanted - 5 * np.log(scale).sum(), rel=1e-9)


def test_a_component_of_one_row_beside_a_common_scale_ends_in_silence() -> None:
    """Its distances are 0, so its own tail has no end."""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(size=(12, 6)), [[40.0] * 6]])
    model = emframe.Mixture("student-t", 2, covariance="tied")
    with pytest.raises(emframe.Degenerate):
        emframe.fit(model, x, start=np.append(np.zeros(12, dtype=int), 1))


@pytest.mark.parametrize("shared", [False, True])
def test_degrees_of_freedom_do_not_leave_a_heavy_tail_for_a_lower_normal_one(shared):
    """Q falls from the normal end on, and is higher still where the tail is heavy enough."""
    distance, resp, d = np.array([[0.0, 7.66]] * 2), np.array([[0.22, 0.78]] * 2), 8
    tail = Tail((distance,), (resp,), (d,), np.zeros(2), shared)
    before = np.full(2, 0.3)
    normal, slope = tail.at_normal()
    there = tail.at(1.0 / before)[0]
    assert (slope < 0).all()
    assert (there > normal).all()
    found = tail.maximised(before)
    assert (tail.at(1.0 / found)[0] >= there).all()
