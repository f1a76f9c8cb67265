"""Parameters in order, and equations between them: the maximum is that of another kind of search.

Each log-likelihood is written out here in numbers that are free, an order by gaps that are bounded
by 0, and maximised by scipy from several places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy
from scipy import stats
from scipy.special import expit, logsumexp

import emframe
from emframe import Mixture, constrained, fixed, ordered, tied
from emframe.spaces import Array, Linear, NonNegative, Positive, Real, Rising, UnitInterval
from emframe.testing import check_family


class Case(NamedTuple):
    """A model, its data, and the log density of each component in free numbers."""

    model: Any
    x: Array
    densities: Callable[[Array], list[Array]]
    gaps: list[int]  # which numbers are 0 or above
    starts: list[list[float]]
    n_parameters: int
    labels: Any  # that the fit starts from


rng = np.random.default_rng(5)
Z = rng.integers(2, size=120)
# Columns of which one has its components in the other order.
CROSSED = rng.normal(np.array([[0.0, 2.0], [1.5, 0.0]])[Z], 1.0)
COUNTS = rng.poisson(np.array([[2.0, 5.0], [6.0, 3.0]])[Z]).astype(float)
HITS = (rng.random((120, 3)) < np.array([[0.2, 0.6, 0.1], [0.7, 0.3, 0.6]])[Z]).astype(float)
THREE = rng.normal(np.array([0.0, 3.0, 7.0])[rng.integers(3, size=120)], 0.7)
RANKS = np.digitize(THREE, [1.5, 5.0])
LIVES = rng.gamma(np.array([[1.0, 5.0], [4.0, 3.0]])[Z])
NORMAL = emframe.from_scipy("norm")


def normals(means: Any, log_sds: Any, x: Array) -> list[Array]:
    x = x.reshape(len(x), -1)
    return [
        -(0.5 * ((x - mean) / np.exp(sd)) ** 2 + sd + 0.5 * np.log(2.0 * np.pi)).sum(axis=1)
        for mean, sd in zip(means, log_sds, strict=True)
    ]


def rates(mu: Array) -> list[Array]:
    return [stats.poisson.logpmf(COUNTS, one).sum(axis=1) for one in mu]


def odds(p: Array) -> list[Array]:
    return [stats.bernoulli.logpmf(HITS, one).sum(axis=1) for one in p]


CASES = {
    "means, of which one column is against it": Case(
        ordered(Mixture("gaussian", 2, covariance="diag"), "means"),
        CROSSED,
        lambda t: normals([t[:2], t[:2] + t[2:4]], [t[4:6], t[6:8]], CROSSED),
        [2, 3],
        [[0.0, 1.0, 1.0, 0.5, 0, 0, 0, 0]],
        9,
        Z,
    ),
    "means, beside one covariance": Case(
        ordered(tied(Mixture("gaussian", 2, covariance="diag"), "covariances"), "means"),
        CROSSED,
        lambda t: normals([t[:2], t[:2] + t[2:4]], [t[4:6], t[4:6]], CROSSED),
        [2, 3],
        [[0.0, 1.0, 1.0, 0.5, 0.0, 0.0], [0.7, 0.0, 0.0, 2.0, 0.0, 0.0]],
        7,
        CROSSED[:, 1] > 1.0,
    ),
    "rates": Case(
        ordered(Mixture("poisson", 2), "rates"),
        COUNTS,
        lambda t: rates(np.array([t[:2], t[:2] + t[2:4]])),
        [0, 1, 2, 3],
        [[2.0, 4.0, 4.0, 0.5]],
        5,
        Z,
    ),
    "probabilities": Case(
        ordered(Mixture("bernoulli", 2), "probs"),
        HITS,
        lambda t: odds(expit(np.array([t[:3], t[:3] + t[3:6]]))),
        [3, 4, 5],
        [[-1.5, 0.0, -2.0, 2.0, 0.1, 2.0]],
        7,
        Z,
    ),
    "shapes of a gamma": Case(
        ordered(Mixture("gamma", 2), "shapes"),
        LIVES,
        lambda t: [
            stats.gamma.logpdf(LIVES, shapes, 0.0, np.exp(scales)).sum(axis=1)
            for shapes, scales in ((t[:2], t[4:6]), (t[:2] + t[2:4], t[6:8]))
        ],
        [0, 1, 2, 3],
        [[1.0, 4.0, 3.0, 0.5, 0.0, 0.0, 0.0, 0.0]],
        9,
        Z,
    ),
    "scales of a density, against its places": Case(
        ordered(fixed(Mixture(NORMAL, 2), loc=[3.0, -1.0]), "scale"),
        THREE[::2],
        lambda t: normals([3.0, -1.0], [t[0], t[0] + t[1]], THREE[::2]),
        [1],
        [[0.5, 0.5]],
        3,
        THREE[::2] < 1.5,
    ),
    "equal steps": Case(
        constrained(Mixture("gaussian", 3), means=[[1, -2, 1]]),
        THREE,
        lambda t: normals(t[0] + t[1] * np.arange(3), t[2:5], THREE),
        [],
        [[0.0, 3.0, 0.0, 0.0, 0.0], [7.0, -3.0, 0.0, 0.0, 0.0]],
        7,
        RANKS,
    ),
    "a difference that is known, beside one variance": Case(
        constrained(tied(Mixture("gaussian", 3), "covariances"), means=([[-1, 1, 0]], [3.5])),
        THREE,
        lambda t: normals([t[0], t[0] + 3.5, t[1]], [t[2]] * 3, THREE),
        [],
        [[0.0, 7.0, 0.0], [3.0, 0.0, 0.0], [0.0, 3.5, 0.0]],
        5,
        (RANKS + 2) % 3,
    ),
    "rates that sum to ten": Case(
        constrained(Mixture("poisson", 2), rates=([[1, 1]], [10.0])),
        COUNTS,
        lambda t: rates(np.array([t, 10.0 - t])),
        [],
        [[2.0, 5.0], [6.0, 3.0], [3.0, 6.0]],
        3,
        Z,
    ),
}  # fmt: skip


def maximum(case: Case) -> float:
    """The highest log-likelihood that a search along bounds finds."""
    k = case.model.n_components

    def fall(t: Array) -> float:
        with np.errstate(all="ignore"):
            shares = np.append(t[: k - 1], 0.0)
            joint = np.array(case.densities(t[k - 1 :])).T + shares - logsumexp(shares)
            total = -logsumexp(joint, axis=1).sum()
        return float(total) if np.isfinite(total) else 1e300

    best = np.inf
    for start in case.starts:
        at = np.append(np.zeros(k - 1), start)
        bounds = [(0.0 if j - k + 1 in case.gaps else None, None) for j in range(len(at))]
        steep = {"ftol": 1e-15, "gtol": 1e-9}
        simplex = {"xatol": 1e-9, "fatol": 1e-11, "maxfev": 800}
        for method, options in (("L-BFGS-B", steep), ("Nelder-Mead", simplex)):
            end = scipy.optimize.minimize(fall, at, bounds=bounds, method=method, options=options)
            at = end.x
        best = min(best, end.fun)
    return -best


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_maximum_under_it(case: Case) -> None:
    fit = emframe.fit(case.model, case.x, start=case.labels)
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(maximum(case), rel=1e-10)
    assert fit.n_parameters == case.n_parameters


def test_with_known_variances_it_is_isotonic_regression() -> None:
    """Means of six components with weights of their own, far from any order, in two columns."""
    rng = np.random.default_rng(1)
    x, shares = rng.normal(size=(60, 2)), rng.dirichlet(np.ones(6), size=60) ** 3
    family = ordered(fixed("gaussian", covariances=np.eye(2)), "means")
    found = family.m_step(family.accumulate(x, shares), None).means
    weights = shares.sum(axis=0)
    plain = shares.T @ x / weights[:, None]
    for column, own in zip(plain.T, found.T, strict=True):
        wanted = scipy.optimize.isotonic_regression(column, weights=weights)
        assert len(wanted.blocks) < 7
        np.testing.assert_allclose(own, wanted.x, rtol=1e-9)


@pytest.mark.parametrize(("name", "field"), [("gaussian", "means"), ("poisson", "rates")])
def test_it_is_a_family_like_any_other(name: str, field: str) -> None:
    """Components without rows and rates of 0 among its examples."""
    results = check_family(ordered(name, field), max_examples=2)
    assert not [str(one) for one in results if one.status != "passed"]


def test_an_order_that_nothing_is_against_changes_nothing() -> None:
    fit = emframe.fit(ordered(Mixture("gaussian", 3), "means"), THREE, rng=0, n_starts=3)
    free = emframe.fit(Mixture("gaussian", 3), THREE, start=RANKS)
    assert fit.log_likelihood == pytest.approx(free.log_likelihood, rel=1e-10)
    assert (np.diff(fit["means"], axis=0) > 0.0).all()
    assert fit.n_parameters == free.n_parameters
    assert emframe.relabelled(fit, descending=True)["means"][0] == fit["means"][0]


def test_states_of_a_chain_are_in_order_and_files_say_so(tmp_path) -> None:
    model = emframe.model("hidden-markov", family="gaussian", n_states=2, covariance="diag")
    fit = emframe.fit(ordered(model, "means"), CROSSED, rng=0, n_starts=2)
    assert fit.converged
    assert (np.diff(fit["means"], axis=0) >= 0.0).all()
    fit.save(tmp_path / "a.fit")
    assert emframe.load(tmp_path / "a.fit").model == fit.model
    both = constrained(Mixture("gaussian", 3), means=[[1, -2, 1]])
    line = emframe.fit(both, THREE, start=RANKS)
    line.save(tmp_path / "b.fit")
    assert emframe.load(tmp_path / "b.fit").model == both
    assert np.isfinite(line.standard_errors(THREE).params.components.means).all()


def test_a_part_of_a_product_is_in_order() -> None:
    parts = emframe.Product({0: "gaussian", 1: "gaussian"})
    model = ordered(Mixture(parts, 2), "x0.means", "x1.means")
    whole = CASES["means, of which one column is against it"]
    fit, other = (emframe.fit(one, CROSSED, start=Z) for one in (model, whole.model))
    assert fit.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-9)


@pytest.mark.parametrize(
    ("space", "values"),
    [
        (Rising(Real(), 2), [[0.0, 1.0], [2.0, 1.0], [2.0, 5.0]]),
        (Rising(Positive(), 1), [0.5, 0.5, 3.0]),
        (Rising(NonNegative(), 1), [0.0, 2.0, 3.0]),
        (Rising(UnitInterval(), 1), [0.0, 0.4, 1.0]),
        (Linear(Real(), 2, ((1.0, -2.0, 1.0),), (0.0,)), [[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]]),
        (Linear(Positive(), 1, ((1.0, 1.0, 0.0),), (3.0,)), [1.0, 2.0, 9.0]),
    ],
)
def test_coordinates_lead_back_and_any_are_in_it(space, values) -> None:
    values = np.array(values)
    at = space.coordinates(values)
    np.testing.assert_allclose(space.point(at, values.shape), values, rtol=1e-14, atol=1e-15)
    assert space.holds(values)
    assert not space.holds(np.roll(values, 1, axis=0))
    if isinstance(space, Rising):
        rng = np.random.default_rng(0)
        for _ in range(20):
            assert space.holds(space.point(3.0 * rng.normal(size=len(at)), values.shape))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ordered("gaussian", "covariances"), "which are several numbers each"),
        (lambda: ordered(tied("gaussian", "means"), "means"), "say one thing of it"),
        (lambda: fixed(ordered("gaussian", "means"), means=0.0), "in order or an equation"),
        (lambda: constrained("gaussian", means=[[0, 0]]), "pass contrasts"),
        (lambda: constrained("gaussian", means=([[1, 1], [2, 2]], [1.0, 3.0])), "contradict"),
        (lambda: constrained("gaussian", means=np.eye(2)), "leave nothing free"),
        (
            lambda: emframe.fit(constrained(Mixture("gaussian", 2), means=[[1, -2, 1]]), THREE),
            "contrasts of 3 components do not go with 2",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_start_that_is_against_the_order_is_refused() -> None:
    model = ordered(Mixture("poisson", 2), "rates")
    start = {"weights": [0.5, 0.5], "components": {"rates": [[3.0, 3.0], [2.0, 4.0]]}}
    with pytest.raises(ValueError, match="no less than of the one before"):
        emframe.fit(model, COUNTS, start=start)
