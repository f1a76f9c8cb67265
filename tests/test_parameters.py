"""Spaces and parameters: a table of spaces x the properties that every space has."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, make_dataclass, replace

import numpy as np
import pytest
from emframe_families.gaussian.spaces import CovarianceStack
from emframe_families.growth.proportional import Proportional
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import emframe
from emframe import (
    Array,
    NonNegative,
    Positive,
    PositiveDefinite,
    PositiveSemidefinite,
    Real,
    Simplex,
    UnitInterval,
    parameter,
)
from emframe.parameters import (
    build,
    declarations,
    equal,
    from_vector,
    frozen,
    held,
    is_frozen,
    leaves,
    n_free,
    nested,
    packing,
    problem,
    pullback,
    rebuild,
    template,
    to_mapping,
    to_vector,
    units,
    valid,
)
from emframe.spaces import (
    Binary,
    Increasing,
    NonNegativeInteger,
    PartlyHeld,
    Space,
    cholesky,
    slopes,
)

SPACES = {  # space: (shape, dimension, a value outside)
    "real": (Real(), (3, 2), 6, np.inf),
    "positive": (Positive(), (3, 2), 6, 0.0),
    "non-negative": (NonNegative(), (3, 2), 6, -1e-9),
    "unit interval": (UnitInterval(), (3, 2), 6, 1.0000001),
    "simplex": (Simplex(), (3, 4), 9, 0.9),
    "full": (PositiveDefinite(), (2, 3, 3), 12, 0.0),
    "diagonal": (PositiveDefinite("diagonal"), (2, 3, 3), 6, 0.5),
    "spherical": (PositiveDefinite("spherical"), (2, 3, 3), 2, 0.5),
    "increasing": (Increasing(), (2, 4), 8, 9.0),
    "partly held": (PartlyHeld(Real(), 2, ((0.0, None), (None, 2.0))), (2, 2), 2, 5.0),
    "semidefinite": (PositiveSemidefinite(), (2, 3, 3), 12, 0.0),
    "variances": (PositiveSemidefinite("diagonal"), (2, 3, 3), 6, -0.5),
    "proportional": (Proportional(), (2, 3, 3), 6 + 1, 0.0),
    "proportional variances": (Proportional("diagonal"), (3, 2, 2), 2 + 2, -0.5),
    "VEI": (CovarianceStack("diagonal", "VEI"), (2, 3, 3), 2 + 2, 0.5),
    "EVI": (CovarianceStack("diagonal", "EVI"), (2, 3, 3), 1 + 4, 0.5),
    "VEE": (CovarianceStack("full", "VEE"), (2, 3, 3), 2 + 2 + 3, 0.0),
    "EVV": (CovarianceStack("full", "EVV"), (2, 3, 3), 1 + 4 + 6, 0.0),
    "EVE": (CovarianceStack("full", "EVE"), (3, 2, 2), 1 + 3 + 1, 0.0),
    "VVE": (CovarianceStack("full", "VVE"), (3, 2, 2), 3 + 3 + 1, 0.0),
    "EEV": (CovarianceStack("full", "EEV"), (3, 2, 2), 1 + 1 + 3, 0.0),
    "VEV": (CovarianceStack("full", "VEV"), (3, 2, 2), 3 + 1 + 3, 0.0),
}
spaces = pytest.mark.parametrize(
    ("space", "shape", "dimension", "outside"), SPACES.values(), ids=SPACES
)


def vectors(n: int) -> st.SearchStrategy[Array]:
    return arrays(float, n, elements=st.floats(-3, 3).map(lambda x: round(x, 3)))


@spaces
@given(data=st.data())
def test_every_real_vector_is_a_point_and_every_point_has_coordinates(
    space, shape, dimension, outside, data
):
    vector = data.draw(vectors(space.n_coordinates(shape)))
    point = space.point(vector, shape)
    assert point.shape == shape
    assert space.contains(point).all()
    assert space.holds(point)
    again = space.point(space.coordinates(point), shape)
    assert again == pytest.approx(point, rel=1e-9, abs=1e-12)
    assert space.n_free(shape) == dimension


@spaces
@given(data=st.data())
def test_pullback_is_the_derivative_of_point(space, shape, dimension, outside, data):
    # Away from the folds of the coordinates, where a root or an angle turns round.
    size = space.n_coordinates(shape)
    vector = data.draw(arrays(float, size, elements=st.floats(0.2, 1.3)))
    gradient = data.draw(arrays(float, shape, elements=st.floats(-2, 2)))
    point = space.point(vector, shape)
    pulled = space.pullback(point, gradient)
    numeric = Space.pullback(space, point, gradient)
    assert pulled == pytest.approx(numeric, rel=1e-6, abs=1e-6 * (1 + np.abs(point).max()))


@spaces
def test_values_outside_are_refused(space, shape, dimension, outside):
    values = space.point(np.full(space.n_coordinates(shape), 0.3), shape)
    assert space.contains(values).all()
    values = values.copy()
    values[(0,) * len(shape)] = outside
    if isinstance(space, PositiveDefinite) and space.structure == "diagonal":
        values[0, 0, 1] = outside
    assert not np.ravel(space.contains(values))[0]
    assert not space.holds(values)
    assert np.ravel(space.contains(values))[1:].sum() >= np.size(space.contains(values)) - 1 - (
        space.n_event_axes == 0
    )
    values[(0,) * len(shape)] = np.nan
    assert not np.ravel(space.contains(values))[0]
    assert not space.holds(values)


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (UnitInterval(), 0.0),
        (UnitInterval(), 1.0),
        (NonNegative(), 0.0),
        (PositiveSemidefinite(), np.zeros((2, 2))),
        (PositiveSemidefinite(), np.ones((2, 2))),
        (PositiveSemidefinite("diagonal"), np.diag([0.0, 2.0])),
        (Proportional(), np.zeros((3, 2, 2))),
        (Proportional(), np.array([np.eye(2), np.zeros((2, 2))])),
    ],
    ids=repr,
)
def test_closed_boundaries_have_finite_coordinates(space, value):
    values = np.atleast_1d(value)
    assert space.contains(values).all()
    at = space.coordinates(values)
    assert np.isfinite(at).all()
    assert space.point(at, values.shape) == pytest.approx(values, abs=1e-15)


@pytest.mark.parametrize("space", [Binary(), NonNegativeInteger()], ids=repr)
@given(vector=vectors(5))
def test_discrete_spaces_round_reals_to_values(space, vector):
    values = space.point(vector, (5,))
    assert space.contains(values).all()
    assert space.point(space.coordinates(values), (5,)) == pytest.approx(values)


def test_a_covariance_of_tiny_scale_is_still_positive_definite():
    covariance = np.diag([1e-300, 1.0, 1e300])
    assert PositiveDefinite().contains(covariance)
    assert not PositiveDefinite().contains(np.ones((2, 2)))
    assert not PositiveDefinite().contains(np.array([[1.0, 0.5], [0.4, 1.0]]))


@dataclass(frozen=True)
class Example:
    means: Array = parameter(Real(), shape="d")
    scale: Array = parameter(Positive())
    shared: Array = parameter(PositiveDefinite(), shape=("d", "d"), shared=True)
    shares: Array = parameter(Simplex(), shape="K", per_component=False)


@dataclass(frozen=True)
class Outer:
    top: Array = parameter(Simplex(), shape="K", per_component=False)
    inner: object = None


DIMS = {"K": 3, "d": 2}


def test_declarations_say_everything():
    assert list(declarations(Example)) == ["means", "scale", "shared", "shares"]
    params = template(Example, DIMS)
    assert problem(params, DIMS) is None
    assert n_free(params) == 6 + 3 + 3 + 2
    assert [leaf.path for leaf in leaves(Outer(params.shares, (params, params)))][:3] == [
        "top",
        "inner.0.means",
        "inner.0.scale",
    ]


@given(vectors(6 + 3 + 3 + 3))
def test_vectors_and_parameters_correspond(vector):
    like = Outer(np.full(3, 1 / 3), (template(Example, DIMS),))
    params = from_vector(like, np.concatenate([np.ones(3), vector]))
    assert problem(params, DIMS) is None
    again = from_vector(like, to_vector(params))
    for one, other in zip(leaves(params), leaves(again), strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-9, abs=1e-12)
    assert equal(params, params)
    assert equal(params, pickle.loads(pickle.dumps(params)))
    assert not equal(params, rebuild(params, lambda leaf: np.asarray(leaf.value) + 1))


def test_a_vector_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match="16 coordinates; these parameters take 15"):
        from_vector(template(Example, DIMS), np.zeros(16))


def test_shared_parameters_count_and_pull_back_once():
    params = template(Example, DIMS)
    gradient = Example(np.zeros((3, 2)), np.zeros(3), np.ones((3, 2, 2)), np.zeros(3))
    one = PositiveDefinite().pullback(params.shared[:1], np.full((1, 2, 2), 3.0))
    assert pullback(params, gradient)[9:12] == pytest.approx(one)


def changed(**fields):
    params = template(Example, DIMS)
    values = {name: np.array(getattr(params, name)) for name in declarations(Example)}
    return Example(**{**values, **fields})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            changed(means=np.zeros((3, 3))),
            r"`means` has shape \(3, 3\); expected \(K, d\) = \(3, 2\)",
        ),
        (changed(means=np.zeros(3)), r"`means` has shape \(3,\)"),
        (
            changed(scale=np.array([1, -2, 1.0])),
            r"`scale\[1\]` is -2.*; expected finite numbers",
        ),
        (changed(scale=np.array([1, 1, np.nan])), r"`scale\[2\]` is nan"),
        (changed(scale=np.array(["a", "b", "c"])), "dtype <U1; pass real numbers"),
        (changed(shared=np.ones((3, 2, 2))), r"`shared\[0\]` is .*positive definite"),
        (changed(shared=np.eye(2) * [[[1]], [[2]], [[1]]]), "differs between components"),
        (
            changed(shares=np.array([0.5, 0.5, 0.5])),
            r"`shares` is \[0.5, 0.5, 0.5\]; exp",
        ),
    ],
    ids=range(8),
)
def test_problems_are_located(params, message):
    import re

    found = problem(params, DIMS)
    assert found is not None
    assert re.search(message, found)


def test_build_names_missing_and_unknown_fields_and_copies():
    with pytest.raises(TypeError, match="missing: scale, shared, shares; not known: mean"):
        build(Example, {"mean": 1, "means": 2})
    values = {name: np.array(value) for name, value in to_mapping(template(Example, DIMS)).items()}
    params = build(Example, values)
    values["scale"][0] = 99
    assert params.scale[0] != 99
    with pytest.raises(ValueError, match="read-only"):
        params.scale[0] = 5
    assert nested({"a.b": 1, "a.c.d": 2, "e": 3}) == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


def test_frozen_leaves_the_original_writable():
    params = changed()
    frozen(params)
    params.scale[0] = 2.0


def test_what_is_frozen_already_stays_the_same_object():
    params = Outer(np.full(3, 1 / 3), (changed(),))
    once = frozen(params)
    assert once is not params
    assert frozen(once) is once
    assert is_frozen(once)
    assert not is_frozen(params)
    assert is_frozen(from_vector(params, to_vector(params)))


def test_validity_in_one_look_is_that_of_each_place():
    like = changed()
    assert valid(like)
    assert valid(like, changed())
    assert not valid(changed(means=np.zeros((3, 3))), like)
    assert not valid(changed(scale=np.array([1.0, -1.0, 1.0])), like)
    assert not valid(Outer(np.ones(3) / 3, (like,)), Outer(np.ones(3) / 3, (like, like)))


@given(seed=st.integers(0, 2**16))
def test_factors_are_remembered_by_the_numbers(seed):
    rows = np.random.default_rng(seed).normal(size=(3, 9, 2))
    matrices = rows.swapaxes(1, 2) @ rows
    factors = cholesky(matrices)
    assert factors @ factors.swapaxes(1, 2) == pytest.approx(matrices)
    assert cholesky(matrices.copy()) is factors
    matrices *= 4.0  # in the same memory
    assert cholesky(matrices) == pytest.approx(2.0 * factors)
    with pytest.raises(ValueError, match="read-only"):
        factors[0, 0, 0] = 1.0
    with pytest.raises(np.linalg.LinAlgError):
        cholesky(-matrices)


def test_natural_parameters_are_kept_for_their_family_alone_and_not_pickled():
    family = emframe.family("bernoulli")
    params = frozen(family.build({"probs": [[0.2, 0.7]]}))
    plain, x = pickle.dumps(params), np.array([[1.0, 0.0]])
    density = family.log_density(params, x)
    assert density == pytest.approx(np.log([[0.2 * 0.3]]))
    again = pickle.loads(pickle.dumps(params))
    assert not any(held is family for held in vars(again).values())
    assert b"missing" not in pickle.dumps(params)  # the family's setting
    assert family.log_density(again, x) == density
    assert equal(again, pickle.loads(plain))
    missing = emframe.family("bernoulli", missing=True)
    assert missing.log_density(params, np.array([[1.0, np.nan]])) == pytest.approx(np.log([[0.2]]))


def test_a_field_needs_a_dataclass():
    with pytest.raises(TypeError, match="frozen dataclass"):
        declarations(int)


class Rising(Space):
    """Pairs (a, b) with a < b, by a and the logarithm of b - a: one with a unit, one without."""

    words = "two rising numbers"
    n_event_axes = 1

    def contains(self, values):
        return values[..., 0] < values[..., 1]

    def coordinates(self, values):
        return np.stack([values[..., 0], np.log(values[..., 1] - values[..., 0])], -1).ravel()

    def point(self, vector, shape):
        first, gap = np.moveaxis(np.reshape(vector, shape), -1, 0)
        return np.stack([first, first + np.exp(gap)], -1)


@pytest.mark.parametrize("unit", [1e-145, 1e-13, 1e-9, 1.0, 1e9, 1e145])
def test_what_a_space_leaves_to_differences_has_no_units(unit):
    values = np.array([[1.0, 3.0], [-2.0, 2.0]]) * unit
    space = Rising()
    assert np.abs(np.log10(space.units(values) / [unit, 1, unit, 1])).max() < 3
    slope = np.array([[2.0, 5.0], [3.0, -1.0]])
    gaps = values[:, 1] - values[:, 0]  # da = slope_a + slope_b; d log gap = slope_b gap
    expected = np.stack([slope.sum(axis=1), slope[:, 1] * gaps], -1).ravel()
    found = space.pullback(values, slope)
    assert found / [1, unit, 1, unit] == pytest.approx(expected / [1, unit, 1, unit], rel=1e-8)

    def parabola(x):
        return float((x[0] / unit - 3.0) ** 2 + np.exp(x[1]))

    # A number in units, and a plain one near 0.
    found = slopes(parabola, np.array([2.0 * unit, 1e-9]))
    assert found * [unit, 1.0] == pytest.approx([-2.0, 1.0], rel=1e-6)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("structure", ["diagonal", "spherical"])
def test_diagonals_are_stored_and_matrices_told(structure: str, shared: bool) -> None:
    """(K, d) numbers in memory, (K, d, d) for whoever asks, and the same in every question."""
    declared = parameter(PositiveDefinite(structure), shape=("d", "d"), shared=shared)
    kinds = [make_dataclass("Widths", [("sigma", Array, declared)], frozen=True) for _ in "ab"]
    plain, stored = kinds[0], packing(kinds[1])
    rng = np.random.default_rng(0)
    variances = np.repeat(rng.gamma(2.0, size=(3, 1)), 4, axis=1)
    if structure == "diagonal":
        variances = rng.gamma(2.0, size=(3, 4))
    variances = np.repeat(variances[:1], 3, axis=0) if shared else variances
    whole = variances[:, :, None] * np.eye(4)
    one, other, same = plain(whole), stored(whole), stored(variances)
    np.testing.assert_array_equal(held(other, "sigma"), variances)
    for params in (other, same, frozen(same), replace(same)):
        np.testing.assert_array_equal(params.sigma, whole)
    assert equal(other, same)
    np.testing.assert_array_equal(to_vector(same), to_vector(one))
    np.testing.assert_array_equal(units(same), units(one))
    assert n_free(same) == n_free(one)
    assert leaves(same)[0].free_shape == leaves(one)[0].free_shape
    slope = rng.normal(size=(3, 4))
    np.testing.assert_array_equal(
        pullback(same, stored(slope)), pullback(one, plain(slope[:, :, None] * np.eye(4)))
    )
    moved = from_vector(same, to_vector(same) + 0.5)
    np.testing.assert_array_equal(moved.sigma, from_vector(one, to_vector(one) + 0.5).sigma)
    assert held(moved, "sigma").ndim == 2
    assert valid(moved, like=same)
    assert not valid(stored(whole + 0.1), like=same)
    assert problem(moved, {"K": 3, "d": 4}) is None
    for wrong, dims in ((-variances, {"K": 3, "d": 4}), (variances, {"K": 3, "d": 5})):
        told = [
            problem(kind(wrong[:, :, None] * np.eye(4) + 0.0), dims) for kind in (plain, stored)
        ]
        assert told[0] == told[1] == problem(stored(wrong), dims)
        assert told[0]
    crooked = whole + 0.1
    np.testing.assert_array_equal(stored(crooked).sigma, crooked)
    assert problem(stored(crooked), {}) == problem(plain(crooked), {})


def test_many_columns_of_diagonal_components_are_no_matrices() -> None:
    """What a fit holds for 3 components of 400 columns is 1200 variances, and they are right."""
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(3), 40)
    x = rng.normal(size=(120, 400)) + 3.0 * labels[:, None]
    for family, name in (("gaussian", "covariances"), ("student-t", "scale_matrices")):
        mixture = emframe.Mixture(family, 3, covariance="diag")
        fit = emframe.fit(mixture, x, start=labels, max_iter=2)
        assert held(fit.params.components, name).shape == (3, 400)
        if family == "gaussian":
            wanted = np.stack([x[labels == k].var(axis=0) for k in range(3)])
            np.testing.assert_allclose(held(fit.params.components, name), wanted, rtol=1e-9)
