"""Hostile data: each case ends in an ordinary answer, a status, or an error that names the place.

The rows of `made` are whole multiples of 1/1024, so that shifts and changes of units by powers of
two are exact: what differs afterwards is the fit's doing and not the data's.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import emframe
from emframe import Array, Fit, Status
from emframe.data import Table
from emframe.families.kernel import FamilyError
from emframe.parameters import leaves

STRUCTURES = ("full", "diag", "spherical", "tied", "VEE", "VVE")
OF_ONE_UNIT = {"spherical", "VVE"}  # those that a change of one column's unit takes apart
MODELS = {
    **{f"gaussian {c}": ("gaussian", {"covariance": c}) for c in STRUCTURES},
    "bernoulli": ("bernoulli", {}),
    "categorical": ("categorical", {"levels": (3, 4)}),
    "poisson": ("poisson", {}),
}
models = pytest.mark.parametrize("name", MODELS)
structures = pytest.mark.parametrize("covariance", STRUCTURES)


def mixture(name: str, k: int = 2) -> emframe.Mixture:
    family, options = MODELS[name]
    return emframe.Mixture(family, n_components=k, **options)


def made(name: str, n: int = 120, d: int = 2, seed: int = 0) -> tuple[Array, Array]:
    """Rows of two clusters that a model of this name takes, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    x = rng.normal(size=(n, d)) + 4.0 * labels[:, None]
    if name == "bernoulli":
        return (x > 2.5).astype(float), labels
    if name == "categorical":
        return np.clip(np.floor(x / 2.0), 0.0, 2.0), labels
    if name == "poisson":
        return np.floor(np.abs(x)), labels
    return np.round(x * 1024) / 1024, labels


def assert_sound(fit: Fit, X: Any) -> None:
    """A fit that says what it is: finite, ascending, and of the parameters that it returns."""
    assert fit.status.usable
    assert all(np.isfinite(leaf.value).all() for leaf in leaves(fit.params))
    assert (np.diff(fit.trace) >= 0).all()
    assert fit.trace[-1] == fit.objective
    assert fit.score_samples(X).sum() == pytest.approx(fit.log_likelihood, rel=1e-9, abs=1e-9)


# ---- units and size

OFFSETS = {"1e8": 2.0**27, "-1e8": -(2.0**27), "1e12": 2.0**40}


@structures
@pytest.mark.parametrize("offset", OFFSETS.values(), ids=OFFSETS)
def test_an_offset_changes_nothing(covariance: str, offset: float) -> None:
    name = f"gaussian {covariance}"
    X, labels = made(name)
    near, far = (emframe.fit(mixture(name), x, start=labels) for x in (X, X + offset))
    # Means near the offset are rounded to `step`, which costs (step / sd)^2 of a nat a row.
    step = np.spacing(abs(offset))
    expected = pytest.approx(near.log_likelihood, rel=1e-9, abs=len(X) * step**2)
    assert far.log_likelihood == expected
    assert far.converged
    shifted = far.params.components.means - offset
    assert shifted == pytest.approx(near.params.components.means, abs=1e-3)


UNITS = {"1e-145": [-480, -480], "1e145": [480, 480], "1e-6 beside 1e6": [-20, 20]}


@structures
@pytest.mark.parametrize("powers", UNITS.values(), ids=UNITS)
def test_a_change_of_units_adds_its_jacobian(covariance: str, powers: list[int]) -> None:
    name = f"gaussian {covariance}"
    if covariance in OF_ONE_UNIT and powers[0] != powers[1]:
        powers = [powers[0]] * 2
    X, labels = made(name)
    plain = emframe.fit(mixture(name), X, start=labels)
    scaled = emframe.fit(mixture(name), np.ldexp(X, powers), start=labels)
    jacobian = len(X) * np.log(2.0) * sum(powers)
    assert scaled.log_likelihood + jacobian == pytest.approx(plain.log_likelihood, rel=1e-9)
    assert scaled.converged


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e160, 1e300])
def test_numbers_whose_squares_leave_floating_point_are_refused(scale: float) -> None:
    table = Table(made("gaussian full")[0] * [1.0, scale], ("height", "width"), None)
    with pytest.raises(ValueError, match=r"column 1 \('width'\)"):
        emframe.fit(mixture("gaussian full"), table, rng=0)


@models
@pytest.mark.parametrize("weight", [1e-300, 1e-200, 1e200, 1e300])
def test_weights_may_have_any_size(name: str, weight: float) -> None:
    X, labels = made(name)
    plain = emframe.fit(mixture(name), X, start=labels)
    weighted = emframe.fit(mixture(name), X, weights=np.full(len(X), weight), start=labels)
    assert weighted.log_likelihood / weight == pytest.approx(plain.log_likelihood, rel=1e-9)
    assert weighted.converged


@pytest.mark.parametrize("weight", [1e-90, 1e90])
@pytest.mark.parametrize("unit", [1e-120, 1e120])
def test_weights_and_columns_may_both_be_in_extreme_units(weight: float, unit: float) -> None:
    """And rows that weigh next to nothing beside the others are next to nothing."""
    X, labels = made("gaussian full")
    plain = emframe.fit(mixture("gaussian full"), X, start=labels)
    weights = np.repeat([weight, weight * 1e-200], len(X))
    again, start = np.tile(unit * X, (2, 1)), np.tile(labels, 2)
    found = emframe.fit(mixture("gaussian full"), again, weights=weights, start=start)
    moved = X.size * np.log(unit)
    assert found.log_likelihood / weight + moved == pytest.approx(plain.log_likelihood, rel=1e-9)
    told = found.classification_uncertainty / weight
    assert told == pytest.approx(plain.classification_uncertainty, rel=1e-3)
    assert found.n_iter <= plain.n_iter + 2


@models
def test_weights_of_all_sizes_go_together(name: str) -> None:
    X, labels = made(name)
    X, labels = np.vstack([X, X]), np.concatenate([labels, labels])
    weights = np.repeat([1e300, 1e-300], len(X) // 2)
    plain = emframe.fit(mixture(name), X[: len(X) // 2], start=labels[: len(X) // 2])
    weighted = emframe.fit(mixture(name), X, weights=weights, start=labels)
    assert weighted.log_likelihood / 1e300 == pytest.approx(plain.log_likelihood, rel=1e-9)
    uncertain = plain.classification_uncertainty
    assert weighted.classification_uncertainty / 1e300 == pytest.approx(uncertain, abs=1e-6)


def far_ones(rng: np.random.Generator, places: list[list[float]]) -> Array:
    return np.vstack([made("gaussian full")[0], np.array(places)])


def thin(rng: np.random.Generator) -> Array:
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    x = rng.normal(size=(300, 3)) * [1.0, 1e-5, 1.0]
    return (x + 4.0 * (np.arange(300) % 2)[:, None] * [1.0, 0.0, 0.0]) @ turn


ODD = {
    "an outlier at 1e12": lambda rng: far_ones(rng, [[1e12, 0.0]]),
    "points at 1e6 sd": lambda rng: far_ones(rng, [[1e6, 1e6], [-1e6, 1e6], [1e6, 0.0]]),
    "condition 1e10": thin,
    "coinciding clusters": lambda rng: (
        rng.normal(size=(300, 2)) + 1e-3 * rng.integers(2, size=(300, 1))
    ),
    "a point mass": lambda rng: np.vstack([made("gaussian full")[0], np.full((40, 2), 2.0)]),
}


REFUSED = {  # of 1e24 no axes can be told; and no rounded matrices have something in common
    ("VVE", "an outlier at 1e12"): "units too far apart",
    ("VVE", "condition 1e10"): "singular",
    ("VEE", "condition 1e10"): "singular",
}


@structures
@pytest.mark.parametrize("odd", ODD)
def test_odd_data_have_an_ordinary_answer(covariance: str, odd: str) -> None:
    X = ODD[odd](np.random.default_rng(3))
    if (covariance, odd) in REFUSED:
        with pytest.raises(emframe.Degenerate, match=REFUSED[covariance, odd]):
            emframe.fit(mixture(f"gaussian {covariance}"), X, rng=0, n_starts=8)
        return
    fit = emframe.fit(mixture(f"gaussian {covariance}"), X, rng=0, n_starts=8)
    if fit.status is Status.DEGENERATE:  # an outlier of its own: no finite maximum
        assert re.search(r"component \d has no spread in column 0 \('x0'\)", fit.message)
        return
    assert_sound(fit, X)
    rounded = odd == "condition 1e10" and fit.status is Status.STALLED  # its last digits are noise
    assert fit.converged or rounded
    # A component on one row, or on a point, is never passed off as a regular optimum.
    assert fit.spurious or fit.params.weights.min() * len(X) > 2 or covariance == "tied"


@pytest.mark.parametrize("seed", range(4))
def test_where_the_gradient_has_lost_its_digits_a_step_that_leads_up_is_no_end(seed: int) -> None:
    """There the slope along an EM step came out negative, and was taken for arrival."""
    X = thin(np.random.default_rng(3))
    model = mixture("gaussian tied")
    start = next(model.starts(model.rows(X), np.random.default_rng(seed)))[1]
    fit = emframe.fit(model, X, start=start)
    more = emframe.fit(model, X, start=fit.params, accelerate=False, max_iter=50)
    assert more.log_likelihood - fit.log_likelihood < 1e-5


def test_a_covariance_of_condition_1e10_keeps_its_digits() -> None:
    """The maximum has -2 log L = n (d log 2 pi + log|S| + d); singular values know log|S|."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    X = (rng.normal(size=(300, 3)) * [1.0, 1e-5, 1.0]) @ turn
    n, d = X.shape
    log_det = 2 * np.log(np.linalg.svd(X - X.mean(axis=0), compute_uv=False)).sum() - d * np.log(n)
    fit = emframe.fit(emframe.Mixture("gaussian"), X)
    exact = -0.5 * n * (d * np.log(2 * np.pi) + log_det + d)
    assert fit.log_likelihood == pytest.approx(exact, rel=1e-7)


RATES = {  # of two components; the last ones are far apart for the rows of one column
    "1e3": (1e3, 1.3e3),
    "1e9": (1e9, 1e9 + 3e5),
    "1e12": (1e12, 1e12 + 1e7),
    "1e15": (1e15, 2e15),
    "10 and 5e4": (10.0, 5e4),
    "3 and 1e12": (3.0, 1e12),
}


@pytest.mark.parametrize("rates", RATES.values(), ids=RATES)
def test_counts_of_any_size_keep_their_digits(rates: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    X = rng.poisson(rates, size=(50, 2)).reshape(-1, 1).astype(float)
    fit = emframe.fit(mixture("poisson"), X, rng=0, n_starts=4)
    assert fit.converged
    assert fit.params.components.rates.max() == pytest.approx(X[1::2].mean(), rel=1e-2)
    exact = exact_log_likelihood(fit, X)
    assert fit.log_likelihood == pytest.approx(exact, rel=1e-12)
    assert fit.score_samples(X).sum() == pytest.approx(exact, rel=1e-12)


def test_counts_that_float64_cannot_tell_apart_are_refused() -> None:
    table = Table(np.array([[1.0, 2.0], [3.0, 2.0**54]]), ("a", "b"), None)
    with pytest.raises(
        ValueError, match=r"row 1, column 1 \('b'\) is 1.8014398509481984e\+16.*rescale"
    ):
        emframe.fit(mixture("poisson"), table, rng=0)


# ---- degenerate data

EIGHT = np.random.default_rng(1).normal(size=(8, 2))
NAMES = ("height", "width", "depth")
DEGENERATE: dict[str, tuple[Any, int, str]] = {
    "constant column": (lambda: np.c_[made("")[0], np.full(120, 7.0)], 2, r"column 2 \('depth'\)"),
    "a column of zeros": (lambda: np.c_[made("")[0], np.zeros(120)], 2, r"column 2 \('depth'\)"),
    "collinear columns": (
        lambda: np.c_[made("")[0], made("")[0] @ [2.0, 0.0]],
        2,
        r"columns 0 \('height'\), 2 \('depth'\)",
    ),
    "all rows equal": (lambda: np.full((30, 2), 3.0), 1, r"column 0 \('height'\)"),
    "equal and far away": (lambda: np.full((30, 2), 1e12), 1, r"column 0 \('height'\)"),
    "all rows zero": (lambda: np.zeros((30, 2)), 1, r"column 0 \('height'\)"),
    "few distinct rows": (lambda: np.repeat(EIGHT[:2], 9, axis=0), 3, "pass at most 2"),
    "a component for each row": (lambda: EIGHT[:4], 4, r"column"),
    "more components than rows": (lambda: EIGHT[:3], 5, "pass at most 3"),
    "one row": (lambda: EIGHT[:1], 1, r"column 0 \('height'\)"),
    "one row, more components": (lambda: EIGHT[:1], 3, "pass at most 1"),
    "more columns than rows": (lambda: np.random.default_rng(2).normal(size=(6, 9)), 2, "column"),
}
degenerate = pytest.mark.parametrize(
    ("rows", "k", "words"), DEGENERATE.values(), ids=list(DEGENERATE)
)


def table(X: Array) -> Table:
    d = X.shape[1]
    return Table(X, NAMES[:d] if d <= 3 else tuple(f"c{j}" for j in range(d)), None)


@structures
@degenerate
def test_degenerate_data_are_told_or_fitted(covariance: str, rows: Any, k: int, words: str) -> None:
    """Where a structure has a finite maximum the answer is ordinary; else it names the place."""
    data = table(rows())
    model = mixture(f"gaussian {covariance}", k)
    try:
        fit = emframe.fit(model, data, rng=0, n_starts=6)
    except (ValueError, emframe.Degenerate) as error:
        told = str(error)
    else:
        if fit.status.usable:
            assert_sound(fit, data)
            assert covariance in {"spherical", "diag"} or fit.spurious
            return
        assert fit.status is Status.DEGENERATE
        told = fit.message
    assert re.search(words, told), told
    assert "pass at most" in told or re.search("component|shared (covariance|shape)", told)
    assert "pass at most" in told or "eave out columns" in told


@structures
@degenerate
def test_under_a_weak_prior_degenerate_data_give_a_model(
    covariance: str, rows: Any, k: int, words: str
) -> None:
    data, model = table(rows()), mixture(f"gaussian {covariance}", k)
    if covariance in {"VEE", "VVE"}:
        with pytest.raises(ValueError, match="the family 'gaussian' knows: none"):
            emframe.fit(model, data, prior="weak", rng=0)
        return
    fit = emframe.fit(model, data, prior="weak", rng=0, n_starts=6)
    assert_sound(fit, data)
    assert fit.status in {Status.CONVERGED, Status.STALLED}
    assert not fit.spurious
    assert np.isfinite(fit.log_prior)
    assert fit.sample(5, rng=0)[0].shape == (5, data.X.shape[1])


@pytest.mark.parametrize("prior", [None, "weak"])
@pytest.mark.parametrize("name", ["bernoulli", "poisson"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_discrete_data_without_variety_have_a_maximum(name: str, value: float, prior: Any) -> None:
    """A probability of 0 or 1 and a rate of 0 are inside their spaces."""
    X = np.full((20, 2), value)
    fit = emframe.fit(mixture(name, 1), X, prior=prior, rng=0)
    assert_sound(fit, X)
    if prior is None:
        (values,) = (leaf.value for leaf in leaves(fit.params.components))
        assert values == pytest.approx(np.full((1, 2), value))
    with pytest.raises(ValueError, match="pass at most 1"):
        emframe.fit(mixture(name, 2), X, rng=0)
    assert_sound(emframe.fit(mixture(name, 2), X, prior="weak", rng=0, n_starts=6), X)


@models
def test_a_component_that_no_row_belongs_to_is_told(name: str) -> None:
    X, _ = made(name)
    with pytest.raises(emframe.Degenerate, match="`start`: component 1 starts without a row"):
        emframe.fit(mixture(name), X, start=np.zeros(len(X), dtype=int))


def test_the_scale_of_a_prior_follows_the_units_of_a_flat_column() -> None:
    """The variance of a column of one value stands for that value's square."""
    X = np.c_[made("")[0], np.full(120, 3.0)]
    one, other = (
        emframe.fit(emframe.Mixture("gaussian"), X * [1, 1, unit], prior="weak")
        for unit in (1.0, 2.0**30)
    )
    before, after = (np.diag(fit.params.components.covariances[0]) for fit in (one, other))
    assert after / before == pytest.approx(np.array([1.0, 1.0, 2.0**60]))


# ---- weights


@models
def test_weight_zero_is_a_row_removed_whatever_it_holds(name: str) -> None:
    X, labels = made(name)
    weights = np.ones(len(X))
    weights[[3, 50]] = 0.0
    kept = weights > 0
    X[3], X[50] = np.nan, -np.inf
    with_zeros = emframe.fit(mixture(name), X, weights=weights, start=labels)
    without = emframe.fit(mixture(name), X[kept], start=labels[kept])
    assert with_zeros.log_likelihood == pytest.approx(without.log_likelihood, rel=1e-12)
    assert with_zeros.n_rows == len(X) - 2


@models
def test_weight_two_is_a_row_twice(name: str) -> None:
    X, labels = made(name)
    counts = 1 + (np.arange(len(X)) % 3 == 0)
    weighted = emframe.fit(mixture(name), X, weights=counts, start=labels)
    twice = emframe.fit(mixture(name), np.repeat(X, counts, axis=0), start=labels.repeat(counts))
    assert weighted.log_likelihood == pytest.approx(twice.log_likelihood, rel=1e-9)
    assert weighted.n_rows == twice.n_rows


WRONG_WEIGHTS = {
    "short": (np.ones(3), r"`weights` has shape \(3,\), data has 120 rows"),
    "negative": (np.r_[-1.0, np.ones(119)], r"`weights\[0\]` is -1"),
    "nan": (np.r_[np.ones(119), np.nan], r"`weights\[119\]` is nan"),
    "infinite": (np.r_[1.0, np.inf, np.ones(118)], r"`weights\[1\]` is inf"),
    "all zero": (np.zeros(120), "all zero"),
}


@pytest.mark.parametrize(("weights", "words"), WRONG_WEIGHTS.values(), ids=list(WRONG_WEIGHTS))
def test_wrong_weights_are_refused(weights: Array, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        emframe.fit(mixture("poisson"), made("poisson")[0], weights=weights)


# ---- honesty


def exact_log_likelihood(fit: Fit, X: Array) -> float:
    """The log-likelihood of a fit's parameters in 60 digits."""
    with mpmath.workdps(60):
        parts = fit.params.components
        total = mpmath.mpf(0)
        for row in X:
            x = [mpmath.mpf(float(v)) for v in row]
            joint = mpmath.mpf(0)
            for k, weight in enumerate(fit.params.weights):
                joint += mpmath.mpf(float(weight)) * mpmath.exp(_log_density(parts, k, x))
            total += mpmath.log(joint)
        return float(total)


def _log_density(parts: Any, k: int, x: list[Any]) -> Any:
    if hasattr(parts, "rates"):
        rates = [mpmath.mpf(float(rate)) for rate in parts.rates[k]]
        return sum(
            v * mpmath.log(rate) - rate - mpmath.loggamma(v + 1)
            for v, rate in zip(x, rates, strict=True)
        )
    if hasattr(parts, "probs") and parts.probs.ndim == 3:
        each = [mpmath.mpf(float(p[int(v)])) for v, p in zip(x, parts.probs[k], strict=True)]
        return mpmath.log(mpmath.fprod(each)) if all(each) else mpmath.mpf("-inf")
    if hasattr(parts, "probs"):
        probs = [mpmath.mpf(float(p)) for p in parts.probs[k]]
        each = [p if v == 1 else 1 - p for v, p in zip(x, probs, strict=True)]
        return mpmath.log(mpmath.fprod(each)) if all(each) else mpmath.mpf("-inf")
    cov = mpmath.matrix(parts.covariances[k].tolist())
    off = mpmath.matrix([v - mpmath.mpf(float(m)) for v, m in zip(x, parts.means[k], strict=True)])
    distance = (off.T * mpmath.lu_solve(cov, off))[0]
    return -(len(x) * mpmath.log(2 * mpmath.pi) + mpmath.log(mpmath.det(cov)) + distance) / 2


@models
@pytest.mark.parametrize("max_iter", [0, 1, 3, 10_000])
def test_the_log_likelihood_is_that_of_the_parameters_returned(name: str, max_iter: int) -> None:
    X, _ = made(name, n=24)
    fit = emframe.fit(mixture(name), X, rng=0, n_starts=2, max_iter=max_iter)
    assert fit.log_likelihood == pytest.approx(exact_log_likelihood(fit, X), rel=1e-9)


@structures
def test_it_is_so_far_from_the_origin_too(covariance: str) -> None:
    X = made("gaussian full", n=24)[0] + OFFSETS["1e8"]
    fit = emframe.fit(mixture(f"gaussian {covariance}"), X, rng=0, n_starts=2)
    assert fit.log_likelihood == pytest.approx(exact_log_likelihood(fit, X), rel=1e-9)


@models
@pytest.mark.parametrize("max_iter", [2, 10_000])
def test_converged_is_a_statement_about_fifty_more_steps(name: str, max_iter: int) -> None:
    X, _ = made(name)
    capped = emframe.fit(mixture(name), X, rng=1, n_starts=8, max_iter=max_iter)
    more = emframe.fit(mixture(name), X, start=capped.params, accelerate=False, tol=0, max_iter=50)
    gain = more.log_likelihood - capped.log_likelihood
    assert gain < 1e-8 or not capped.converged
    assert capped.converged or max_iter == 2


def test_the_status_is_that_of_the_start_returned() -> None:
    """The first start is stopped at the highest point; the others converge lower."""
    fit = emframe.fit(
        emframe.Mixture("gaussian", 3),
        emframe.dataset("faithful"),
        rng=2,
        n_starts=3,
        callbacks=[lambda step: step.objective > -1115.0],
    )
    assert [one.status for one in fit.starts] == [Status.STOPPED, *[Status.CONVERGED] * 2]
    assert (fit.best, fit.status, fit.converged) == (0, Status.STOPPED, False)
    assert fit.objective == max(one.objective for one in fit.starts) > -1115.0


def test_a_degenerate_end_is_never_the_best_while_there_is_another() -> None:
    """Near a point mass the likelihood is as high as one likes."""
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(100, 2)), np.zeros((50, 2))])
    model = emframe.Mixture("gaussian", 2, covariance="diag")
    fit = emframe.fit(model, X, rng=0, n_starts=12)
    ends = {one.status for one in fit.starts}
    assert Status.DEGENERATE in ends
    if ends != {Status.DEGENERATE}:
        assert fit.status.usable
    for one in fit.starts:
        if one.status is Status.DEGENERATE:
            assert re.search(r"component \d has no spread in column \d \('x\d'\)", one.message)


def test_a_prior_counts_once_whatever_the_blocks() -> None:
    X = np.random.default_rng(0).normal(size=(40_000, 3))
    model = emframe.Mixture("gaussian", 1)
    whole = emframe.fit(model, X, prior="weak")
    assert whole.objective == pytest.approx(whole.log_likelihood + whole.log_prior, rel=1e-12)
    twice = emframe.fit(model, X[:20_000], prior="weak", start=whole.params, max_iter=0)
    rest = emframe.fit(model, X[20_000:], prior="weak", start=whole.params, max_iter=0)
    assert whole.log_likelihood == pytest.approx(twice.log_likelihood + rest.log_likelihood)


def test_draws_follow_the_weights() -> None:
    start = {"weights": [0.9, 0.1], "rates": [[1.0], [9.0]]}
    fit = emframe.fit(mixture("poisson"), [0, 1, 9, 8], start=start, max_iter=0)
    _, z = fit.sample(4000, rng=0)
    assert z.mean(axis=0) == pytest.approx([0.9, 0.1], abs=0.02)


# ---- determinism


def same_bits(one: Fit, other: Fit) -> bool:
    pairs = zip(leaves(one.params), leaves(other.params), strict=True)
    return np.array_equal(one.trace, other.trace) and all(
        np.array_equal(mine.value, theirs.value) for mine, theirs in pairs
    )


@models
def test_any_number_of_threads_gives_the_same_bits(name: str) -> None:
    X, labels = made(name, n=20_000)

    def found(engine: Any) -> Fit:
        return emframe.fit(mixture(name), X, start=labels, engine=engine, max_iter=4)

    first = found("serial")
    for engine in (2, 5):
        assert same_bits(found(engine), first)
    with threadpool_limits(2, user_api="blas"):
        assert same_bits(found("serial"), first)


@models
def test_two_fits_at_once_do_not_see_each_other(name: str) -> None:
    X, _ = made(name, n=400)

    def found(seed: int) -> Fit:
        return emframe.fit(mixture(name), X, rng=seed, n_starts=3, max_iter=20)

    alone = [found(seed) for seed in (0, 1)]
    at_once: dict[int, Fit] = {}

    def put(seed: int) -> None:
        at_once[seed] = found(seed)

    threads = [threading.Thread(target=put, args=(seed,)) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same_bits(at_once[seed], alone[seed]) for seed in (0, 1))


@models
def test_the_global_random_state_is_neither_read_nor_touched(name: str) -> None:
    X, _ = made(name)
    found = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        before = np.random.get_state()[1:]  # noqa: NPY002
        fit = emframe.fit(mixture(name), X, rng=0, n_starts=5)
        fit.sample(5, rng=0)
        after = np.random.get_state()[1:]  # noqa: NPY002
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        found.append(fit)
    assert same_bits(*found)


def test_a_fit_that_the_first_version_saved_is_loaded():
    found = emframe.load(Path(__file__).parent / "fixtures" / "format-1.fit")
    assert found.log_likelihood == pytest.approx(-1130.263960184741, abs=1e-9)
    data = emframe.dataset("faithful").X
    assert float(np.sum(found.score_samples(data))) == pytest.approx(found.log_likelihood, rel=1e-9)


@dataclass(frozen=True)
class Places:
    places: Any = emframe.parameter(emframe.Real(), shape="d")  # (K, d)


class Narrow(emframe.Family):
    """Declares a place for each column, and answers with one for all."""

    name, parameters, support = "narrow", Places, emframe.Real()

    def log_density(self, params, x):
        return -0.5 * np.square(x[:, None, :] - params.places[:, :1]).sum(axis=2)

    def accumulate(self, x, resp):
        return np.column_stack([resp.sum(axis=0), resp.T @ x])

    def expected(self, statistics, params):
        return 0.0

    def m_step(self, statistics, previous):
        return Places(statistics[:, 1:2] / statistics[:, :1])

    def sample(self, params, labels, rng):
        return params.places[labels]


def test_a_declared_shape_that_an_m_step_does_not_keep_is_refused() -> None:
    X = np.random.default_rng(0).normal(size=(30, 3))
    with pytest.raises(FamilyError, match=r"narrow.m_step: .*shape \(2, 1\).*\(K, d\) = \(2, 3\)"):
        emframe.fit(emframe.Mixture(Narrow(), 2), X, rng=0, n_starts=1)


def test_choices_that_are_no_method_are_refused() -> None:
    with pytest.raises(TypeError, match="choices` is no method"):

        class Odd(emframe.LatentModel):
            choices = property(lambda self: 2)
