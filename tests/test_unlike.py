"""Unlike components: each gets the cluster that it describes best, and the default finds the best.

What is expected comes from the labels that the rows were drawn with: the highest end over all ways
to hand them to the components.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import emframe
from emframe import Mixture, Product, fixed, from_scipy
from emframe.families import distinct, fitted, likely, matched
from emframe.spaces import Array

Draw = Callable[[np.random.Generator, int], Any]


def normal(mean: float, sd: float) -> Draw:
    return lambda rng, n: rng.normal(mean, sd, n)


def laplace(mean: float, scale: float) -> Draw:
    return lambda rng, n: rng.laplace(mean, scale, n)


def counts(rate: float) -> Draw:
    return lambda rng, n: rng.poisson(rate, n)


def plane(mean: tuple[float, float], sd: float) -> Draw:
    return lambda rng, n: np.array(mean) + sd * rng.normal(size=(n, 2))


def halves(one: Draw, other: Draw) -> Draw:
    return lambda rng, n: np.concatenate([one(rng, n // 2), other(rng, n - n // 2)])


LAPLACE = from_scipy("laplace")
BROAD = fixed("gaussian", means=[[0.0]], covariances=300.0)
BROAD_PLANE = fixed("gaussian", means=[[0.0, 0.0]], covariances=[100.0 * np.eye(2)])

CASES: dict[str, tuple[Mixture, list[tuple[Draw, int]]]] = {
    "one mean held": (
        Mixture([fixed("gaussian", means=[[0.0]]), "gaussian"]),
        [(normal(0, 1), 200), (normal(8, 1), 200)],
    ),
    "one mean held, the wider": (
        Mixture([fixed("gaussian", means=[[0.0]]), "gaussian"]),
        [(normal(0, 3), 100), (normal(8, 1), 300)],
    ),
    "a mean held for each": (
        Mixture(fixed("gaussian", means=[[20.0], [0.0], [5.0]]), 3),
        [(normal(20, 2), 100), (normal(0, 1), 50), (normal(5, 1), 200)],
    ),
    "weights held": (
        Mixture("gaussian", 3).fixed(weights=[0.7, 0.25, 0.05]),
        [(normal(5, 1), 700), (normal(0, 1), 250), (normal(-6, 1), 50)],
    ),
    "two families": (
        Mixture([LAPLACE, "gaussian"]),
        [(laplace(0, 1), 700), (normal(6, 2), 700)],
    ),
    "two families in the other order": (
        Mixture(["gaussian", LAPLACE]),
        [(normal(6, 2), 250), (laplace(0, 1), 250)],
    ),
    "three families": (
        Mixture([LAPLACE, "gaussian", "student-t"]),
        [(laplace(0, 1), 150), (normal(10, 2), 150), (lambda r, n: r.standard_t(3, n) - 12, 150)],
    ),
    "two of each": (
        Mixture([LAPLACE, "gaussian"], [2, 2]),
        [
            *((laplace(0, 1), 80), (laplace(12, 1), 80)),
            *((normal(-10, 1), 80), (normal(25, 2), 80)),
        ],
    ),
    "zero inflation": (
        Mixture([fixed("poisson", rates=0.0), "poisson"], [1, 2]),
        [(lambda rng, n: np.zeros(n), 300), (counts(4), 400), (counts(20), 300)],
    ),
    "a point": (
        Mixture([fixed("gaussian", means=[[3.0]], covariances=1e-4), "gaussian"]),
        [(normal(3, 0.01), 100), (normal(0, 2), 400)],
    ),
    "noise in the plane": (
        Mixture([BROAD_PLANE, "gaussian"], [1, 2]),
        [(plane((0, 0), 10), 150), (plane((5, 5), 0.7), 150), (plane((-6, 3), 0.7), 150)],
    ),
    "noise on the line": (
        Mixture(["gaussian", BROAD], [3, 1]),
        [(normal(-15, 0.5), 150), (normal(0, 0.7), 150), (normal(12, 1), 150), (normal(0, 17), 99)],
    ),
    "nested, alike": (
        Mixture(Mixture("gaussian", 2), 2),
        [(halves(normal(0, 1), normal(4, 1)), 200), (halves(normal(20, 1), normal(27, 1)), 200)],
    ),
    "nested, unlike": (
        Mixture([Mixture([LAPLACE, "gaussian"]), "gaussian"]),
        [(halves(laplace(0, 1), normal(7, 2)), 200), (normal(30, 1), 100)],
    ),
    "nested, held": (
        Mixture(Mixture(fixed("gaussian", means=[[0.0], [9.0]]), 2), 2),
        [
            (halves(normal(0, 1), normal(9, 1)), 300),
            (halves(normal(0, 3), normal(9, 0.3)), 300),
        ],
    ),
    "a part of a product held": (
        Mixture(Product({0: fixed("gaussian", means=[[5.0], [0.0]]), 1: "gaussian"}), 2),
        [(plane((5, 1), 1), 200), (plane((0, 0), 1), 200)],
    ),
}


def drawn(parts: list[tuple[Draw, int]], seed: int) -> tuple[Array, NDArray[np.intp]]:
    """Rows and the labels they were drawn with."""
    rng = np.random.default_rng(seed)
    rows = [np.asarray(draw(rng, n), dtype=float).reshape(n, -1) for draw, n in parts]
    return np.concatenate(rows), np.repeat(np.arange(len(rows)), [n for _, n in parts])


def best_known(model: Mixture, X: Array, labels: NDArray[np.intp]) -> float:
    """The highest end that the labels lead to, however they are handed to the components."""
    k = model.n_components
    each = list(zip(model.family.each(k), model.weights or [0] * k, strict=True))
    kind = [each.index(one) for one in each]
    reached, seen = [], set()
    for order in permutations(range(k)):
        handed = tuple(sorted((kind[one], label) for label, one in enumerate(order)))
        if handed in seen:  # the same but for components that are alike
            continue
        seen.add(handed)
        try:
            fit = emframe.fit(model, X, start=np.array(order)[labels])
        except emframe.Degenerate:  # a held component is impossible for the rows it got
            continue
        reached += [fit.log_likelihood] if fit.status.usable else []
    return max(reached)


# Whole searches of the dearest are for the deep tier.
DEAR = {
    "two of each",
    "three families",
    "nested, unlike",
    "two families",
    "two families in the other order",
}
SEARCHES = [
    pytest.param(name, n, marks=[pytest.mark.deep] if n != 2 and name in DEAR else [])
    for name in CASES
    for n in (2, "default")
]


@pytest.mark.parametrize(("name", "n_starts"), SEARCHES)
def test_no_permutation_of_the_labels_is_better(name: str, n_starts: Any) -> None:
    model, parts = CASES[name]
    X, labels = drawn(parts, 100)
    fit = emframe.fit(model, X, rng=0, n_starts=n_starts)
    assert fit.converged
    assert fit.log_likelihood > best_known(model, X, labels) - 1e-5


@pytest.mark.parametrize("seed", range(2))
def test_many_rows_with_a_single_start(seed: int) -> None:
    """Of 20,000 rows the budget leaves a start or two."""
    model = Mixture([LAPLACE, "gaussian"])
    X, labels = drawn([(laplace(0, 1), 10_000), (normal(6, 2), 10_000)], seed)
    fit = emframe.fit(model, X, rng=seed, n_starts=1)
    assert fit.log_likelihood > best_known(model, X, labels) - 1e-4


def test_states_of_a_chain() -> None:
    rng = np.random.default_rng(3)
    states = np.repeat(rng.integers(2, size=40), 10)
    X = np.where(states == 0, 6.0, 0.0) + rng.normal(size=400)
    family = fixed("gaussian", means=[[6.0], [0.0]])
    fits = [
        emframe.fit(emframe.model("hidden-markov", family=family, n_states=2), X, rng=s, n_starts=1)
        for s in range(4)
    ]
    swapped = fixed("gaussian", means=[[0.0], [6.0]])
    other = emframe.fit(emframe.model("hidden-markov", family=swapped, n_states=2), X, rng=0)
    assert [fit.log_likelihood for fit in fits] == pytest.approx([other.log_likelihood] * 4)


# ---- what the families say


@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        (Mixture("gaussian", 3), [[0, 1, 2]]),
        (Mixture(["gaussian", LAPLACE], [2, 1]), [[0, 1], [2]]),
        (Mixture(["gaussian", LAPLACE, "gaussian"]), [[0, 2], [1]]),
        (Mixture(fixed("gaussian", means=0.0), 3), [[0, 1, 2]]),
        (Mixture(fixed("gaussian", means=[[0.0], [1.0], [0.0]]), 3), [[0, 2], [1]]),
        (Mixture(fixed("gaussian", means=[[0.0]], covariances=[[[1.0]], [[2.0]]]), 2), [[0], [1]]),
        (Mixture(emframe.tied("gaussian", "covariances"), 2), [[0, 1]]),
        (Mixture(Product({0: "poisson", 1: fixed("gaussian", means=[[0], [1]])}), 2), [[0], [1]]),
        (Mixture(emframe.Grouped(fixed("gaussian", means=[[0.0], [1.0]])), 2), [[0], [1]]),
        (Mixture(Mixture(["gaussian", LAPLACE]), 2), [[0, 1]]),
        (Mixture("gaussian", 2, covariance="tied"), [[0, 1]]),
    ],
)  # fmt: skip
def test_which_components_are_interchangeable(model: Mixture, kinds: list[list[int]]) -> None:
    assert distinct(model.family.each(model.n_components)) == kinds


def test_a_component_by_itself_keeps_what_it_holds() -> None:
    x = np.array([[0.0], [2.0], [10.0]])
    family = fixed("gaussian", means=[[0.0], [9.0]])
    own = family.each(2)[1]
    params = own.m_step(own.accumulate(x, np.ones((3, 1))), None)
    assert params.means == pytest.approx(np.array([[9.0]]))
    assert params.covariances.ravel() == pytest.approx([np.mean((x - 9.0) ** 2)])


def test_components_that_are_alike_stay_as_they_are() -> None:
    family = Mixture("gaussian", 3).family
    resp = np.eye(3)[[0, 1, 2, 0]]
    assert matched(family.each(3), np.arange(4.0)[:, None], resp, np.ones(4)) is resp


def test_the_assignment_is_the_best_of_all() -> None:
    """By hand: the density of each row under each component, fitted to each cluster."""
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(m, s, 30) for m, s in ((0, 1), (5, 2), (9, 1))])[:, None]
    resp, weights = rng.dirichlet(np.full(3, 0.3), size=90), rng.uniform(0.5, 2.0, 90)
    family = Mixture([LAPLACE, fixed("gaussian", means=[[5.0]]), "gaussian"]).family
    each = family.each(3)

    def total(order: Any) -> float:
        value = 0.0
        for one, cluster in zip(each, order, strict=True):
            own = resp[:, [cluster]] * weights[:, None]
            params = one.m_step(one.accumulate(X, own), None)
            value += float((own * one.log_density(params, X)).sum())
        return value

    best = max(permutations(range(3)), key=total)
    new = matched(each, X, resp, weights)
    np.testing.assert_array_equal(new, resp[:, list(best)])


def test_only_the_columns_named_change_places() -> None:
    X = np.array([0.0, 0.1, 8.0, 8.1, 20.0, 20.1])[:, None]
    family = fixed("gaussian", means=[[20.0], [0.0], [8.0]])
    resp = np.eye(3)[[0, 0, 1, 1, 2, 2]]
    each, ones = family.each(3), np.ones(6)
    np.testing.assert_array_equal(matched(each, X, resp, ones), resp[:, [2, 0, 1]])
    some = matched(each, X, resp, ones, places=np.array([0, 2]))
    np.testing.assert_array_equal(some, resp[:, [2, 1, 0]])


def test_a_cluster_that_cannot_be_fitted_is_impossible() -> None:
    x = np.array([[0.0], [0.0], [1.0], [2.0]])
    family = Mixture("gaussian", 2).family
    density = fitted(family, x, np.array([[1.0, 0], [1.0, 0], [0, 1.0], [0, 1.0]]))
    assert (density[:, 0] == -np.inf).all()
    assert np.isfinite(density[:, 1]).all()
    assert np.isfinite(likely(density)).all()


# ---- moves


def test_unlike_components_are_exchanged() -> None:
    """Of two components there is no other move."""
    model = Mixture([LAPLACE, "gaussian"])
    X, labels = drawn([(laplace(0, 1), 2500), (normal(6, 2), 2500)], 0)
    wrong = emframe.fit(model, X, start=1 - labels)
    right = emframe.fit(model, X, start=labels)
    assert right.log_likelihood > wrong.log_likelihood + 100
    rows = model.rows(X)
    (move,) = model.moves(wrong.params, rows, np.random.default_rng(0))
    assert move[0] == "exchange"
    moved = emframe.fit(model, X, start=move[1])
    assert moved.log_likelihood == pytest.approx(right.log_likelihood, abs=1e-6)
    alike = Mixture("gaussian", 2)
    at = emframe.fit(alike, X, start=labels).params
    assert not list(alike.moves(at, rows, np.random.default_rng(0)))
