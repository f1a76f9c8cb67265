"""The structures of covariances: their names, their M-steps, and what they have in common."""

from __future__ import annotations

import numpy as np
import pytest
from emframe_families.gaussian.axes import (
    EqualVolume,
    OwnVolumes,
    Squares,
    _curvature,
    _slope,
    common_axes,
)
from emframe_families.gaussian.family import WIDE
from emframe_families.gaussian.scatter import (
    inverses,
    least_determinant,
    smallest_correlations,
)
from emframe_families.gaussian.spaces import CovarianceStack
from emframe_families.gaussian.structures import CODES, Structure
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

import emframe
from emframe.parameters import from_vector, leaves, n_free, to_vector

FREE = {  # of the covariances of 3 components with 4 columns, by the formulas of Celeux and Govaert
    "EII": 1, "VII": 3, "EEI": 4, "VEI": 6, "EVI": 10, "VVI": 12, "EEE": 10,
    "VEE": 12, "EVE": 16, "VVE": 18, "EEV": 22, "VEV": 24, "EVV": 28, "VVV": 30,
}  # fmt: skip
WIDER = [  # each is a special case of the next
    ("EII", "VII", "VEI", "VVI", "VVE", "VVV"),
    ("EII", "EEI", "EVI", "VVI"),
    ("EEI", "VEI", "VEE", "VEV", "VVV"),
    ("EEI", "EEE", "VEE"),
    ("EVI", "EVE", "EVV", "VVV"),
    ("EEE", "EVE", "VVE"),
    ("EEE", "EEV", "VEV"),
    ("EEV", "EVV"),
]
codes = pytest.mark.parametrize("code", CODES)
seeds = st.integers(0, 2**16)


def gaussian(code: str):
    return emframe.family("gaussian", covariance=code)


def sums(code: str, seed: int, k: int = 3, d: int = 4, n: int = 60):
    """What the M-step of a structure sees of some rows."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    x += rng.normal(size=(k, d))[np.arange(n) % k]
    return gaussian(code).accumulate(x, rng.dirichlet(np.ones(k), size=n))


@given(seed=seeds, k=st.integers(1, 40), d=st.integers(1, 5))
def test_inverses_of_triangles_are_that_however_many_there_are(seed, k, d):
    lower = np.tril(np.random.default_rng(seed).uniform(0.5, 1.5, (k, d, d)))
    found = inverses(lower)
    assert found @ lower == pytest.approx(np.broadcast_to(np.eye(d), lower.shape), abs=1e-12)
    assert (found == np.tril(found)).all()


@given(seed=seeds, d=st.integers(2, 6))
def test_a_determinant_bounds_the_smallest_eigenvalue(seed, d):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(4, d + 1, d)) * 10.0 ** rng.uniform(-6, 6, d)
    matrices = rows.swapaxes(1, 2) @ rows
    sd = np.sqrt(matrices.diagonal(0, 1, 2))
    correlations = matrices / sd[:, :, None] / sd[:, None, :]
    assert least_determinant(matrices, sd) == pytest.approx(
        np.linalg.det(correlations).min(), rel=1e-6, abs=1e-14
    )
    assert smallest_correlations(matrices).min() * WIDE >= least_determinant(matrices, sd)
    assert least_determinant(np.zeros((1, d, d)), np.ones((1, d))) == 0.0


@codes
def test_free_parameters_are_counted(code: str) -> None:
    template = gaussian(code).template({"K": 3, "d": 4})
    assert n_free(template) - 12 == FREE[code] == Structure(code).n_free(3, 4)


@pytest.mark.parametrize("chain", WIDER, ids="<".join)
@given(seed=seeds)
def test_a_wider_structure_has_no_lower_maximum(chain: tuple[str, ...], seed: int) -> None:
    """Each M-step starts from the answer of the narrower one, and ends no lower."""
    best = -np.inf
    params = None
    for code in chain:
        family, statistics = gaussian(code), sums(code, seed)
        if params is not None:
            params = family.parameters(params.means, params.covariances)
        params = family.m_step(statistics, params)
        reached = family.expected(statistics, params)
        assert reached >= best - 1e-9 * abs(reached)
        best = reached


@codes
@given(seed=seeds)
def test_the_m_step_has_no_slope_left(code: str, seed: int) -> None:
    family, statistics = gaussian(code), sums(code, seed)
    params = family.m_step(statistics, None)
    assert np.abs(family.gradient(statistics, params)).max() < 1e-5
    again = family.m_step(statistics, params)
    for one, other in zip(leaves(params), leaves(again), strict=True):
        assert other.value == pytest.approx(one.value, rel=1e-5, abs=1e-5)


@codes
def test_one_component_has_the_structure_of_its_shape_and_orientation(code: str) -> None:
    """And none of its volume, which is then no restriction."""
    x = np.random.default_rng(0).normal(size=(50, 3)) @ np.diag([1.0, 2.0, 3.0])
    params = gaussian(code).m_step(gaussian(code).accumulate(x, np.ones((50, 1))), None)
    scatter = np.cov(x.T, ddof=0)
    kind = code[1:]
    if "I" in kind:
        scatter = np.diag(np.diag(scatter))
    if kind == "II":
        scatter = np.eye(3) * np.diag(scatter).mean()
    assert params.covariances[0] == pytest.approx(scatter, rel=1e-9, abs=1e-9)


@codes
def test_in_one_column_only_volumes_are_left(code: str) -> None:
    x = np.random.default_rng(1).normal(np.repeat([0.0, 5.0], 60), np.repeat([1.0, 2.0], 60))
    labels = np.repeat([0, 1], 60)
    mine, plain = (
        emframe.fit(emframe.Mixture("gaussian", 2, covariance=name), x, start=labels)
        for name in (code, "E" if "V" not in code[0] else "V")
    )
    widest = Structure(code).volume == "V" or code in {"EII", "EEI", "EEE"}
    assert mine.n_parameters == plain.n_parameters
    assert widest or mine.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "code"),
    [("full", "VVV"), ("diag", "VVI"), ("spherical", "VII"), ("tied", "EEE")],
)
def test_the_names_of_scikit_learn_are_the_same_models(name: str, code: str) -> None:
    X = emframe.dataset("faithful").X
    one, other = (
        emframe.fit(emframe.Mixture("gaussian", 2, covariance=c), X, rng=0, n_starts=2)
        for c in (name, code)
    )
    assert one.log_likelihood == other.log_likelihood
    assert np.array_equal(one.params.components.covariances, other.params.components.covariances)


def test_e_and_v_take_one_column() -> None:
    with pytest.raises(ValueError, match="takes 1"):
        emframe.fit(emframe.Mixture("gaussian", 2, covariance="E"), np.zeros((9, 2)), rng=0)


def test_an_unknown_structure_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'VVX'; expected one of full, .*EII, .*VVV, E, V"):
        gaussian("VVX")


@pytest.mark.parametrize("code", [code for code in CODES if Structure(code).is_coupled])
def test_a_start_outside_the_structure_is_refused(code: str) -> None:
    X = emframe.dataset("faithful").X
    start = {
        "weights": [0.5, 0.5],
        "means": [[2.0, 54.0], [4.3, 80.0]],
        "covariances": [[[0.1, 0.2], [0.2, 40.0]], [[0.3, 1.0], [1.0, 30.0]]],
    }
    with pytest.raises(ValueError, match=f"of the structure {code}"):
        emframe.fit(emframe.Mixture("gaussian", 2, covariance=code), X, start=start)


@pytest.mark.parametrize("code", [code for code in CODES if Structure(code).has_axes])
def test_axes_and_lengths_are_what_the_structure_says(code: str) -> None:
    structure = Structure(code)
    params = gaussian(code).m_step(sums(code, 5), None)
    logs = np.log(np.linalg.eigvalsh(params.covariances))
    alike = {
        "volume": np.ptp(logs.mean(axis=1)) < 1e-9,
        "shape": np.ptp(logs - logs.mean(axis=1, keepdims=True), axis=0).max() < 1e-9,
    }
    first, second, _ = params.covariances
    alike["orientation"] = bool(np.abs(first @ second - second @ first).max() < 1e-9)
    assert alike == {part: getattr(structure, part) == "E" for part in alike}


@pytest.mark.parametrize(
    "criterion",
    [OwnVolumes(np.array([3.0, 5.0])), EqualVolume(np.array([3.0, 5.0])), Squares()],
    ids=lambda one: type(one).__name__,
)
@given(seed=seeds, d=st.integers(1, 5))
def test_axes_in_common_are_found(criterion, seed: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    lengths = rng.uniform(0.2, 5.0, size=(2, d))
    found = common_axes((axes * lengths[:, None, :]) @ axes.T, criterion)
    assert found.T @ found == pytest.approx(np.eye(d), abs=1e-12)
    assert np.sort(np.abs(found.T @ axes).max(axis=0)) == pytest.approx(np.ones(d), abs=1e-6)


COUNTS = np.array([3.0, 5.0, 1.0])
CRITERIA = [OwnVolumes(COUNTS), EqualVolume(COUNTS), Squares()]
criteria = pytest.mark.parametrize("criterion", CRITERIA, ids=lambda one: type(one).__name__)


def unlike(seed: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Three matrices without common axes, and axes far from any of theirs."""
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(3, d, 2 * d)) * rng.uniform(0.2, 5.0, size=(3, d, 1))
    return roots @ roots.swapaxes(1, 2), np.linalg.qr(rng.normal(size=(d, d)))[0]


def turned(axes: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """The axes turned by a rotation whose logarithm has these entries above the diagonal."""
    d = len(axes)
    skew = np.zeros((d, d))
    skew[np.triu_indices(d, 1)] = turns
    return axes @ expm(skew - skew.T)


@criteria
@given(seed=seeds, d=st.integers(2, 5))
def test_axes_have_the_slopes_and_curvatures_of_what_they_minimise(criterion, seed: int, d: int):
    """Against difference quotients along rotations, whatever the axes."""
    matrices, axes = unlike(seed, d)
    own, m, h = axes.T @ matrices @ axes, d * (d - 1) // 2, 1e-3

    def value(turns: np.ndarray) -> float:
        there = turned(axes, turns)
        return criterion.value(np.einsum("ji,kjl,li->ki", there, matrices, there))

    steps = h * np.eye(m)
    size = 1.0 + abs(value(np.zeros(m)))
    slope = [(value(one) - value(-one)) / (2 * h) for one in steps]
    assert _slope(own, criterion) == pytest.approx(np.array(slope), rel=1e-3, abs=1e-3 * size)
    bend = [
        [(value(a + b) - value(a - b) - value(b - a) + value(-a - b)) / (4 * h * h) for b in steps]
        for a in steps
    ]
    scale = np.abs(bend).max() + size
    assert _curvature(own, criterion) == pytest.approx(np.array(bend), rel=1e-3, abs=1e-3 * scale)


@criteria
@given(seed=seeds, d=st.integers(2, 5))
def test_axes_end_at_a_minimum_below_where_they_began(criterion, seed: int, d: int) -> None:
    matrices, start = unlike(seed, d)
    seen: list[float] = []

    class Watched:
        def value(self, w: np.ndarray) -> float:
            seen.append(criterion.value(w))
            return seen[-1]

        slope, bend = staticmethod(criterion.slope), staticmethod(criterion.bend)

    found = common_axes(matrices, Watched(), start)
    last = criterion.value(np.einsum("ji,kjl,li->ki", found, matrices, found))
    room = 1e-9 * (1.0 + abs(last))
    assert last <= min(seen) + room  # no step that was tried and is higher is taken
    rng = np.random.default_rng(seed)
    for size in (1e-4, 1e-2):
        for turns in rng.normal(size=(10, d * (d - 1) // 2)):
            there = turned(found, size * turns)
            beside = criterion.value(np.einsum("ji,kjl,li->ki", there, matrices, there))
            assert beside >= last - room


def test_with_many_columns_the_curvature_of_each_pair_does() -> None:
    rng = np.random.default_rng(0)
    d = 26  # 325 pairs
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0]
    lengths = rng.uniform(0.5, 2.0, size=(2, d))
    near = axes @ np.linalg.qr(np.eye(d) + 0.05 * rng.normal(size=(d, d)))[0]
    found = common_axes((axes * lengths[:, None, :]) @ axes.T, OwnVolumes(np.ones(2)), near)
    assert np.abs(found.T @ axes).max(axis=0) == pytest.approx(np.ones(d), abs=1e-5)


@codes
def test_the_nearest_point_of_a_structure_is_itself(code: str) -> None:
    """From the coordinates of any stack: what would leave the structure is redundant."""
    like = gaussian(code).template({"K": 3, "d": 3})
    vector = np.random.default_rng(2).normal(size=len(to_vector(like)))
    once = from_vector(like, vector)
    twice = from_vector(once, to_vector(once))
    assert twice.covariances == pytest.approx(once.covariances, rel=1e-9, abs=1e-9)


AXES_AND_TRIANGLES = [code for code in CODES if Structure(code).is_coupled and code[2] != "I"]
UNITS = 10.0 ** np.array([-100, 0, 100])
THIN = [  # a start that has to be refused: columns in such units, or nearly collinear
    *[(code, UNITS) for code in CODES if Structure(code).has_axes],
    *[(code, None) for code in AXES_AND_TRIANGLES],
]


@pytest.mark.parametrize(("code", "units"), THIN)
def test_what_rounding_would_take_off_its_structure_is_degenerate(code: str, units) -> None:
    """And no warning of overflow, nor later a breach for which the M-step is blamed."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(180, 3)) + 2.0 * np.repeat([0, 1, 2], 60)[:, None]
    x = x * units if units is not None else x @ np.array([[1, 0, 1], [0, 1, 1], [0, 0, 6e-5]])
    with pytest.raises(emframe.Degenerate, match="singular"):
        emframe.fit(emframe.Mixture("gaussian", 3, covariance=code), x, start=np.arange(180) % 3)


@pytest.mark.parametrize("code", ["VEE", "EVV"])
def test_rounding_is_no_departure_from_a_structure(code: str) -> None:
    """However ill conditioned its matrices are, and be it that the pivots do not tell."""
    rng = np.random.default_rng(3)
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    x = rng.normal(size=(3, 60, 12))
    x[:, :, -1] *= 1e-5
    scatter = np.swapaxes(x @ turn.T, 1, 2) @ (x @ turn.T)
    covariances = Structure(code).covariances(scatter, rng.uniform(10, 90, size=3), None)
    assert CovarianceStack("full", code).contains(covariances)


@pytest.mark.parametrize("share", [0.0, 1e-30])
def test_a_scatter_that_is_all_rounding_is_degenerate(share: float) -> None:
    """It may be indefinite: here one with a negative trace among the others'."""
    rounding = share * np.diag([1.0, 1.0, -3.0])
    scatter = np.stack([np.eye(3), np.diag([1.0, 2.0, 3.0]), rounding])
    with pytest.raises(emframe.Degenerate, match="component 2 has no spread"):
        Structure("VEE").covariances(scatter, np.array([9.0, 9.0, 1e-9]), None)
