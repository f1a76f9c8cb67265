"""The first lane: families from a log density, and from the distributions of scipy.

Each is compared with something known: a closed form, a built-in family, or the truth behind a
sample.
"""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import autograd.numpy as anp
import autograd.scipy.special
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

import emframe
from emframe import Array, Contract, Interval, Positive, Real
from emframe.numeric import newton
from emframe.numeric.newton import ascend
from emframe.parameters import from_vector, to_vector
from emframe.spaces import slopes
from emframe.testing import check_family

FAITHFUL = emframe.dataset("faithful").X[:, 1]


def exponential(x: Array, rate: Array) -> Array:
    return np.log(rate) - rate * x


def its_mle(x: Array, weights: Array, previous: dict[str, Any]) -> dict[str, Any]:
    assert set(previous) == {"rate"}
    assert x.shape == weights.shape == (len(x),)
    return {"rate": weights.sum() / (weights @ x)}


def wrong_mle(x: Array, weights: Array, previous: dict[str, Any]) -> dict[str, Any]:
    return {"rate": 1.01 * weights.sum() / (weights @ x)}


def its_sampler(rng: np.random.Generator, rate: Array) -> Array:
    return rng.exponential(1 / rate)


def its_gradient(x: Array, rate: Array) -> dict[str, Array]:
    return {"rate": 1 / rate - x}


def differentiable(x: Array, shape: Array, rate: Array) -> Any:
    """A gamma density in the words of autograd."""
    density = shape * anp.log(rate) + (shape - 1) * anp.log(x) - rate * x
    return density - autograd.scipy.special.gammaln(shape)


def in_plain_numpy(x: Array, shape: Array, rate: Array) -> Any:
    return np.add(differentiable(x, shape, rate), np.array([float(one) for one in rate]) * 0)


def regression(x: Array, intercept: Array, slope: Array, sd: Array) -> Array:
    """The first column given the second, which is standard normal."""
    u = x[..., 1]
    residual = (x[..., 0] - intercept - slope * u) / sd
    return -0.5 * (residual**2 + u**2) - np.log(sd) - np.log(2 * np.pi)


def normal(x: Array, mean: Array, sd: Array) -> Array:
    return -0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)


def laplace(x: Array, middle: Array, scale: Array) -> Array:
    return -np.abs(x - middle) / scale - np.log(2 * scale)


def isotropic(x: Array, mean: Array, sd: Array) -> Array:
    square = ((x - mean) ** 2).sum(axis=-1) / sd**2
    return -0.5 * square - x.shape[-1] * np.log(sd * np.sqrt(2 * np.pi))


def isotropic_draws(rng: np.random.Generator, mean: Array, sd: Array) -> Array:
    return rng.normal(mean, sd[:, None])


EXPONENTIAL = emframe.from_logpdf(exponential, {"rate": Positive()}, Positive())
WITH_FIT = emframe.from_logpdf(
    exponential, {"rate": Positive()}, Positive(), fit=its_mle, sample=its_sampler
)
NORMAL = emframe.from_logpdf(normal, {"mean": Real(), "sd": Positive()})
LAPLACE = emframe.from_logpdf(laplace, {"middle": Real(), "scale": Positive()})
ISOTROPIC = emframe.from_logpdf(
    isotropic,
    {"mean": emframe.parameter(Real(), shape="d"), "sd": Positive()},
    sample=isotropic_draws,
)


@pytest.mark.parametrize(
    "family",
    [EXPONENTIAL, WITH_FIT, NORMAL, pytest.param(LAPLACE, marks=pytest.mark.deep), ISOTROPIC],
    ids=["exponential", "fit", "normal", "laplace", "isotropic"],
)
def test_densities_pass_the_kit(family: Any) -> None:
    results = check_family(family, max_examples=3)
    assert not [str(result) for result in results if result.status != "passed"]


def test_a_density_is_fitted_in_two_lines() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.exponential(1.0, 600), rng.exponential(12.0, 400)])
    fit = emframe.fit(emframe.Mixture(EXPONENTIAL, 2), x, rng=0, n_starts=3)
    exact = emframe.fit(emframe.Mixture(WITH_FIT, 2), x, rng=0, n_starts=3)
    assert fit.converged
    assert fit.n_parameters == 3
    assert fit.model.contract is Contract.GENERALISED
    assert exact.model.contract is Contract.EXACT
    assert fit.log_likelihood == pytest.approx(exact.log_likelihood, abs=1e-7)
    assert np.sort(1 / fit.params.components.rate) == pytest.approx([1.0, 12.0], rel=0.15)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_units_of_the_rows_do_not_matter(unit: float) -> None:
    x = unit * FAITHFUL
    ours = emframe.fit(emframe.Mixture(NORMAL, 2), x, rng=0, n_starts=2)
    built_in = emframe.fit(emframe.Mixture("gaussian", 2), x, rng=0, n_starts=2)
    assert ours.converged
    assert ours.log_likelihood == pytest.approx(built_in.log_likelihood, abs=1e-7)


@pytest.mark.parametrize("accelerate", [True, False])
def test_weights_count_rows(accelerate: bool) -> None:
    x, counts = np.unique(FAITHFUL, return_counts=True)
    model = emframe.Mixture(NORMAL, 2)
    how: dict[str, Any] = {"rng": 0, "n_starts": 2, "accelerate": accelerate}
    once = emframe.fit(model, FAITHFUL, **how)
    weighted = emframe.fit(model, x, weights=counts, **how)
    assert once.log_likelihood == pytest.approx(weighted.log_likelihood, rel=1e-9)


def test_a_kink_is_climbed_to() -> None:
    x = np.array([1.0, 2.0, 3.0, 5.0, 11.0])
    fit = emframe.fit(emframe.Mixture(LAPLACE), x, rng=0)
    assert fit.params.components.middle == pytest.approx([3.0], abs=1e-4)
    assert fit.params.components.scale == pytest.approx([2.6], rel=1e-4)


def test_a_component_that_shrinks_to_a_point_is_degenerate() -> None:
    x = np.concatenate([np.zeros(5) + 7.0, np.random.default_rng(0).normal(size=40)])
    labels = (np.arange(45) >= 5).astype(int)
    fit = emframe.fit(emframe.Mixture(NORMAL, 2), x, start=labels, rng=0)
    assert fit.status is emframe.Status.DEGENERATE
    assert "component 0" in fit.message


@given(st.integers(0, 2**16), st.floats(-4, 4), st.floats(-6, 6))
def test_an_m_step_reaches_the_weighted_moments(seed: int, decade: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    x = 10.0**decade * (rng.normal(size=(40, 1)) + shift)
    resp = rng.dirichlet([1.0, 1.0], size=40)
    params = NORMAL.m_step(NORMAL.accumulate(x, resp), None)
    mean = resp.T @ x[:, 0] / resp.sum(axis=0)
    sd = np.sqrt((resp * (x - mean) ** 2).sum(axis=0) / resp.sum(axis=0))
    np.testing.assert_allclose(params.mean, mean, atol=1e-6 * sd.max())
    np.testing.assert_allclose(params.sd, sd, rtol=1e-6)


@pytest.mark.parametrize(
    "family",
    [NORMAL, ISOTROPIC, emframe.from_logpdf(exponential, {"rate": Positive()}, grad=its_gradient)],
    ids=["normal", "isotropic", "given"],
)
def test_gradients_are_those_of_expected(family: Any) -> None:
    rng = np.random.default_rng(3)
    x, resp = rng.gamma(2.0, size=(30, 1)), rng.dirichlet([1.0, 2.0], size=30)
    statistics = family.accumulate(x, resp)
    guess = family.guess(statistics)
    params = from_vector(guess, to_vector(guess) + 0.3)
    found = family.gradient(statistics, params)
    wanted = slopes(
        lambda v: family.expected(statistics, from_vector(params, v)), to_vector(params)
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


def test_newton_leaves_a_saddle_and_holds_what_has_no_rows() -> None:
    def value(points: Array) -> Array:  # two components; maxima at +-1
        return -((points[..., 0] ** 2 - 1.0) ** 2)

    start = np.array([[1e-3], [0.2]])
    end = ascend(value, start, np.array([1.0, 0.0]), np.ones(1))
    assert abs(end[0, 0]) == pytest.approx(1.0, abs=1e-6)
    assert end[1, 0] == 0.2


# ---- what the first lane refuses, and how


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: emframe.from_logpdf(3, {"a": Real()}), TypeError, "`logpdf` is 3"),  # type: ignore[arg-type]
        (lambda: emframe.from_logpdf(normal, {}), TypeError, "mapping of names to spaces"),
        (lambda: emframe.from_logpdf(normal, {"mean": Real()}), TypeError, r"logpdf\(x, mean\)"),
        (lambda: emframe.from_logpdf(exponential, {"rate": 3}), TypeError, "pass a space"),
        (
            lambda: emframe.from_logpdf(exponential, {"rate": Positive()}, 3),  # type: ignore[arg-type]
            TypeError,
            "`support` is 3",
        ),
        (lambda: emframe.from_scipy(3), TypeError, "univariate distribution"),
        (lambda: emframe.from_scipy(stats.gamma, fixed={"b": 1}), TypeError, "a, loc, scale"),
        (lambda: emframe.from_scipy(stats.binom), ValueError, r'whole number.*\{"n": \.\.\.\}'),
        (lambda: emframe.from_scipy(stats.genpareto), ValueError, r'moves with c.*\{"c": \.\.\.\}'),
        (lambda: emframe.from_scipy(stats.norminvgauss), ValueError, r"bound each other.*hold"),
        (lambda: emframe.from_scipy(stats.uniform), ValueError, "no parameter of uniform is left"),
        (lambda: emframe.from_scipy(stats.vonmises_line), ValueError, "pass scipy.stats.vonmises,"),
        (lambda: emframe.from_scipy(stats.wrapcauchy), ValueError, 'from_logpdf, or .*"loc"'),
    ],
)
def test_misuse_is_refused(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_density_that_does_not_broadcast_is_named() -> None:
    family = emframe.from_logpdf(lambda x, m: np.zeros(3), {"m": Real()}, name="odd")
    with pytest.raises(emframe.FamilyError, match=r"odd: `logpdf` gave shape \(3,\).*broadcast"):
        emframe.fit(emframe.Mixture(family), FAITHFUL, start={"weights": [1.0], "m": [0.0]})


def test_a_fit_that_lowers_the_likelihood_is_told() -> None:
    family = emframe.from_logpdf(exponential, {"rate": Positive()}, Positive(), fit=wrong_mle)
    failed = {one.name for one in check_family(family, max_examples=6) if one.status == "failed"}
    assert "m_step" in failed


# ---- saving


@pytest.mark.parametrize(
    "family", [EXPONENTIAL, WITH_FIT, emframe.from_scipy(stats.gamma), emframe.from_scipy("expon")]
)
def test_fits_are_saved_by_import_path(family: Any, tmp_path: Path) -> None:
    fit = emframe.fit(emframe.Mixture(family, 2), FAITHFUL, rng=0, n_starts=1)
    fit.save(tmp_path / "a.fit")
    again = emframe.load(tmp_path / "a.fit", allow=[exponential, sys.modules[__name__]])
    assert again.model == fit.model
    np.testing.assert_array_equal(again.score_samples(FAITHFUL), fit.score_samples(FAITHFUL))
    assert pickle.loads(pickle.dumps(fit)).log_likelihood == fit.log_likelihood


def test_a_lambda_is_refused_by_name(tmp_path: Path) -> None:
    family = emframe.from_logpdf(lambda x, r: np.log(r) - r * x, {"r": Positive()}, Positive())
    fit = emframe.fit(emframe.Mixture(family), FAITHFUL, rng=0)
    with pytest.raises(ValueError, match=r"a lambda has no import path.*with def at the top"):
        fit.save(tmp_path / "a.fit")


def test_loading_imports_nothing_and_uses_the_functions_it_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nprint('imported')\ndef density(x, r): return np.log(r) - r * x\n"
    )
    head = "import sys, emframe; from emframe import Positive; "
    save = "import mine; emframe.fit(emframe.Mixture(emframe.from_logpdf(mine.density, "
    save += "{'r': Positive()}, Positive())), [1., 2.]).save('a.fit')"

    def python(code: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", head + code]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert python(save).returncode == 0
    alone = python("emframe.load('a.fit')")
    assert "imported" not in alone.stdout
    assert "allow=[mine.density]" in alone.stderr
    assert "allow=[mine.density]" in python("import mine; emframe.load('a.fit')").stderr
    for allowed in ("mine.density", "mine"):
        loaded = python(f"import mine; print(emframe.load('a.fit', allow=[{allowed}]).model)")
        assert "density" in loaded.stdout


# ---- scipy

FITTED = {
    "beta": {"a": [2.0, 9.0], "b": [6.0, 3.0]},
    "expon": {"scale": [1.0, 9.0]},
    "gamma": {"a": [2.0, 9.0], "scale": [1.0, 3.0]},
    "geom": {"p": [0.1, 0.7]},
    "gumbel_r": {"loc": [0.0, 9.0], "scale": [1.0, 2.0]},
    "invgauss": {"mu": [0.2, 0.1], "scale": [1.0, 99.0]},
    "logistic": {"loc": [0.0, 9.0], "scale": [1.0, 1.0]},
    "lognorm": {"s": [0.3, 0.5], "scale": [1.0, 9.0]},
    "nbinom": {"n": [3.0, 20.0], "p": [0.5, 0.4]},
    "norm": {"loc": [0.0, 5.0], "scale": [1.0, 2.0]},
    "pareto": {"b": [1.0, 20.0]},
    "poisson": {"mu": [1.0, 12.0]},
    "skellam": {"mu1": [2.0, 20.0], "mu2": [2.0, 3.0]},
    "t": {"df": [4.0, 9.0], "loc": [0.0, 12.0], "scale": [1.0, 1.0]},
    "weibull_max": {"c": [1.5, 4.0], "scale": [1.0, 9.0]},
    "weibull_min": {"c": [1.5, 4.0], "scale": [1.0, 9.0]},
    "zipf": {"a": [1.8, 4.0]},
}


@pytest.mark.parametrize("name", FITTED)
def test_a_distribution_of_scipy_is_fitted_beyond_the_truth(name: str) -> None:
    family = emframe.from_scipy(getattr(stats, name))
    model = emframe.Mixture(family, 2)
    truth = model.build({"weights": [0.5, 0.5], **FITTED[name]})
    rng = np.random.default_rng(1)
    x, _ = model.sample(truth, 300, rng)
    at_truth = model.expect(truth, x, np.ones(300)).loglik
    fit = emframe.fit(model, x, rng=0, n_starts=3)
    assert fit.converged
    assert at_truth < fit.log_likelihood < at_truth + 10.0


SINGLE = {
    "norm": stats.norm.fit,
    "expon": lambda x: stats.expon.fit(x, floc=0)[1:],
    "rayleigh": lambda x: stats.rayleigh.fit(x, floc=0)[1:],
    "laplace": stats.laplace.fit,
}


@pytest.mark.parametrize("name", SINGLE)
def test_one_component_is_scipys_own_estimate(name: str) -> None:
    fit = emframe.fit(emframe.Mixture(emframe.from_scipy(name)), FAITHFUL, rng=0)
    found = [float(np.ravel(leaf)[0]) for leaf in vars(fit.params.components).values()]
    assert found == pytest.approx(list(SINGLE[name](FAITHFUL)), rel=1e-4)


def test_what_is_held_is_held() -> None:
    for family in (
        emframe.from_scipy(stats.t, fixed={"df": 4}),
        emframe.from_scipy(stats.t, fdf=4),
        emframe.from_scipy(stats.t(df=4)),
    ):
        assert dict(family.held) == {"df": 4.0}
        assert [name for name, _ in family.fields] == ["loc", "scale"]
    assert dict(emframe.from_scipy(stats.gamma).held) == {"loc": 0.0}
    assert dict(emframe.from_scipy(stats.pareto).held) == {"loc": 0.0, "scale": 1.0}
    shifted = emframe.from_scipy(stats.gamma, floc=2.0)
    assert shifted.support == Interval(2.0, np.inf)
    assert emframe.from_scipy(stats.binom, fixed={"n": 5}).support.contains(
        np.array([5.0, 6.0])
    ).tolist() == [True, False]


@pytest.mark.parametrize("name", ["gamma", "nbinom"])
def test_distributions_of_scipy_pass_the_kit(name: str) -> None:
    family = emframe.from_scipy(name)
    results = check_family(family, max_examples=3)
    assert not [str(result) for result in results if result.status == "failed"]


GAMMA = {"shape": Positive(), "rate": Positive()}


def test_autograd_finds_what_differences_find() -> None:
    x = np.random.default_rng(0).gamma(np.repeat([2.0, 30.0], 200), np.repeat([1.0, 0.5], 200))
    plain, exact = (
        emframe.from_logpdf(differentiable, GAMMA, Positive(), grad=grad)
        for grad in (None, "autograd")
    )
    one, two = (
        emframe.fit(emframe.Mixture(family, 2), x, rng=0, n_starts=2) for family in (plain, exact)
    )
    assert two.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-7)
    resp = np.random.default_rng(1).dirichlet(np.ones(2), size=len(x))
    statistics = exact.accumulate(x[:, None], resp)
    params = one.params.components
    assert exact.gradient(statistics, params) == pytest.approx(
        plain.gradient(statistics, params), rel=1e-5, abs=1e-4
    )
    assert pickle.loads(pickle.dumps(exact)) == exact


@pytest.mark.parametrize(
    ("grad", "error", "said"),
    [("torch", ValueError, "'autograd' or 'jax'"), (3, TypeError, "pass a function")],
)
def test_other_ways_to_differentiate_are_refused(grad: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        emframe.from_logpdf(differentiable, GAMMA, Positive(), grad=grad)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "autograd", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'emframe\[autodiff\]'"):
        emframe.from_logpdf(differentiable, GAMMA, Positive(), grad="autograd")


def test_a_density_that_autograd_cannot_see_through() -> None:
    family = emframe.from_logpdf(in_plain_numpy, GAMMA, Positive(), grad="autograd")
    with pytest.raises(TypeError, match="autograd cannot differentiate"):
        emframe.fit(emframe.Mixture(family, 1), [1.0, 2.0, 4.0], n_starts=1)


def test_a_regression_takes_two_columns() -> None:
    rng = np.random.default_rng(0)
    u, z = rng.standard_normal(400), rng.integers(2, size=400)
    X = np.column_stack([np.where(z, 3.0 - 2.0 * u, u) + 0.3 * rng.standard_normal(400), u])
    spaces = {"intercept": Real(), "slope": Real(), "sd": Positive()}
    family = emframe.from_logpdf(regression, spaces, n_columns=2)
    fit = emframe.fit(emframe.Mixture(family, 2), X, rng=0, n_starts=4)
    assert np.sort(fit.params.components.slope) == pytest.approx([-2.0, 1.0], abs=0.1)
    with pytest.raises(ValueError, match="takes 2"):
        emframe.fit(emframe.Mixture(family, 2), np.zeros((9, 3)))
    with pytest.raises(TypeError, match="no sampler"):
        fit.sample(3)
    with pytest.raises(ValueError, match="width = 2"):
        check_family(NORMAL, n_columns=2)


def test_single_precision_is_refused() -> None:
    def narrow(x: Array, rate: Array) -> Array:
        return exponential(x, rate).astype(np.float32)

    family = emframe.from_logpdf(narrow, {"rate": Positive()}, Positive())
    with pytest.raises(emframe.FamilyError, match="single precision"):
        emframe.fit(emframe.Mixture(family, 1), [1.0, 2.0])


def test_a_step_from_where_rows_are_impossible() -> None:
    """Q is -inf there, and there is nothing to climb from."""
    family = emframe.from_scipy("gumbel_r")
    x = 1e4 * np.random.default_rng(0).gumbel(size=(50, 1))
    statistics = family.accumulate(x, np.ones((50, 1)))
    previous = family.build({"loc": [0.0], "scale": [1.0]})
    assert np.isneginf(family.expected(statistics, previous))
    assert np.isfinite(family.expected(statistics, family.m_step(statistics, previous)))


def test_jax_finds_what_differences_find() -> None:
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)

    def logpdf(x: Array, shape: Array, rate: Array) -> Any:
        density = shape * jax.numpy.log(rate) + (shape - 1) * jax.numpy.log(x) - rate * x
        return density - jax.scipy.special.gammaln(shape)

    plain, exact = (
        emframe.from_logpdf(logpdf, GAMMA, Positive(), grad=grad) for grad in (None, "jax")
    )
    rng = np.random.default_rng(0)
    x, resp = rng.gamma(3.0, size=(41, 1)), rng.dirichlet(np.ones(2), size=41)
    resp[:7, 0] = 0.0  # a component on fewer rows than there are
    statistics = exact.accumulate(x, resp)
    params = exact.m_step(statistics, None)
    other = plain.m_step(statistics, None)
    assert params.shape == pytest.approx(other.shape, rel=1e-5)
    away = exact.parameters(params.shape + 0.5, params.rate)
    assert exact.gradient(statistics, away) == pytest.approx(
        plain.gradient(statistics, away), rel=1e-6
    )


def test_distributions_that_integrate_say_so() -> None:
    with pytest.warns(UserWarning, match="levy_stable integrates numerically at each row"):
        emframe.from_scipy(stats.levy_stable)


def test_a_flat_parameter_does_not_hold_up_the_others() -> None:
    x = np.random.default_rng(0).normal(size=200)  # no heavier tails than normal: df goes to inf
    fit = emframe.fit(emframe.Mixture(emframe.from_scipy(stats.t)), x)
    normal = emframe.fit(emframe.Mixture("gaussian"), x)
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(normal.log_likelihood, abs=1e-3)


@pytest.mark.parametrize("name", ["dgamma", "dpareto_lognorm"])
def test_several_hills_are_climbed(name: str) -> None:
    true = {"dgamma": (1.1,), "dpareto_lognorm": (3.0, 1.2, 1.5, 2.0)}[name]
    dist = getattr(stats, name)
    x = dist.rvs(*true, size=300, random_state=np.random.default_rng(7))
    family = emframe.from_scipy(dist)
    fit = emframe.fit(emframe.Mixture(family), x)
    with np.errstate(all="ignore"):
        peer = dist.fit(x, **{"f" + key: value for key, value in family.held})
        assert fit.log_likelihood > dist.logpdf(x, *peer).sum() - 1e-4


def test_scipys_formula_and_its_method_agree() -> None:
    for name in ("gamma", "weibull_min", "t", "nbinom"):
        family = emframe.from_scipy(getattr(stats, name))
        assert family.broadcasts
        plain = dataclasses.replace(family, broadcasts=False)
        params = family.template({"K": 3, "d": 1})
        x = np.array([[-1.0], [0.0], [0.5], [1.0], [40.0]])
        one, two = (each.log_density(params, x) for each in (family, plain))
        np.testing.assert_allclose(one, two, rtol=1e-13)


# ---- blocks


@pytest.mark.parametrize("size", [None, 50, 173, 311, 700])
def test_a_density_with_kinks_ends_at_the_same_maximum_in_any_blocks(size: int | None) -> None:
    """Against EM by hand: the M-step of Laplace densities is a weighted median and deviation."""
    rng = np.random.default_rng(0)
    x = rng.permutation(np.concatenate([rng.laplace(0, 1, 700), rng.laplace(6, 2, 500)]))
    resp = np.eye(2)[(x > 3).astype(int)]
    order, before, height = np.argsort(x), -np.inf, -1e300
    while height - before > 1e-11 * abs(height):
        before, log_joint = height, []
        for shares in resp.T:
            below = np.cumsum(shares[order])
            middle = x[order][np.searchsorted(below, 0.5 * below[-1])]
            scale = shares @ np.abs(x - middle) / below[-1]
            density = stats.laplace.logpdf(x, middle, scale)
            log_joint.append(density + np.log(below[-1] / len(x)))
        total = np.logaddexp(*log_joint)
        height, resp = float(total.sum()), np.exp(np.array(log_joint) - total).T

    def blocks() -> Any:
        return (x[i : i + (size or 1), None] for i in range(0, len(x), size or 1))

    X = x if size is None else emframe.Blocks(blocks, len(x), 1)
    model = emframe.Mixture(emframe.from_scipy("laplace"), 2)
    fit = emframe.fit(model, X, start=(x > 3).astype(int))
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(height, rel=1e-10)


@pytest.mark.parametrize("seed", [0, 2, 4])
def test_blocks_lead_to_the_same_end_among_many(seed: int) -> None:
    """Densities with kinks have optima side by side, and rounding may choose among them."""
    rng = np.random.default_rng(seed)
    x = rng.permutation(np.concatenate([rng.laplace(0, 1, 150), rng.laplace(4, 2, 100)]))
    model = emframe.Mixture(emframe.from_scipy("laplace"), 2)
    start = (x > 2).astype(int)
    plain = emframe.fit(model, x, start=start, rng=0)
    for size in (23, 60, 249):

        def blocks(size: int = size) -> Any:
            return (x[i : i + size, None] for i in range(0, len(x), size))

        found = emframe.fit(model, emframe.Blocks(blocks, len(x), 1), start=start, rng=0)
        assert found.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-12)


@pytest.mark.parametrize("runs", [False, True])
def test_the_order_of_rows_does_not_matter_at_kinks(runs: bool) -> None:
    """Q of a location has a kink on every row; also of states of a chain."""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.laplace(0, 1, 160), rng.laplace(5, 2, 80)]).reshape(24, 10)
    family = emframe.from_scipy("laplace")
    model = emframe.model("hidden-markov", family=family) if runs else emframe.Mixture(family, 2)
    found = []
    for order in (np.arange(24), rng.permutation(24), np.arange(24)[::-1]):
        rows = x[order].ravel()
        X: Any = emframe.Sequences(rows[:, None], np.full(24, 10)) if runs else rows
        fit = emframe.fit(model, X, start=(rows > 2.5).astype(int))
        found.append(fit.log_likelihood)
    assert found[1:] == pytest.approx(found[:1] * 2, rel=1e-10)


BOUND = {
    "shared": ({"shared": True}, r"emframe.tied\(family, 'sd'\)"),
    "held": ({"fixed": True}, r"emframe.fixed\(family, sd="),
    "no component's": ({"per_component": False}, r"emframe.tied\(family, 'sd'\)"),
}


@pytest.mark.parametrize(("settings", "remedy"), BOUND.values(), ids=BOUND)
def test_a_parameter_that_is_not_a_components_own_is_refused(settings: Any, remedy: str) -> None:
    def logpdf(x, mu, sd):
        return -0.5 * ((x - mu) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)

    bound = emframe.parameter(emframe.Positive(), **settings)
    with pytest.raises(TypeError, match=rf"`params\['sd'\]` has .*{remedy}"):
        emframe.from_logpdf(logpdf, params={"mu": emframe.Real(), "sd": bound})
    # What it names does what was wanted.
    own = emframe.from_logpdf(logpdf, params={"mu": emframe.Real(), "sd": emframe.Positive()})
    X = np.random.default_rng(0).normal(size=100)
    model = emframe.Mixture(emframe.tied(own, "sd"), 2)
    start = np.arange(100) % 2
    fit = emframe.fit(model, X, start=start)
    same = emframe.fit(emframe.Mixture("gaussian", 2, covariance="tied"), X, start=start)
    assert fit.n_parameters == same.n_parameters == 4
    assert fit.log_likelihood == pytest.approx(same.log_likelihood, abs=1e-5)


def test_newtons_shape_of_a_parabola_is_exact() -> None:
    """By values and by slopes: -1/2 (x - c)' A (x - c) for two components, each with its own A."""
    rng = np.random.default_rng(0)
    roots, centre = rng.normal(size=(2, 3, 5)), rng.normal(size=(2, 3))
    matrix = roots @ roots.swapaxes(1, 2)
    at = centre + rng.normal(size=(2, 3))

    def value(points: Array) -> Array:
        off = points - centre
        return -0.5 * np.einsum("mki,kij,mkj->mk", off, matrix, off)

    def slope(points: Array) -> Array:
        return -np.einsum("kij,mkj->mki", matrix, points - centre)

    beside = newton.look(value, at, np.full((2, 3), 1e-3))
    for shape in (newton.bent(value, at, beside), newton.bent_along(slope, at, beside)):
        assert shape.value == pytest.approx(value(at[None])[0])
        assert shape.slope == pytest.approx(slope(at[None])[0], rel=1e-6)
        assert shape.bend == pytest.approx(-matrix, rel=1e-6, abs=1e-6)
        step, gain = newton.newton(shape, np.zeros((2, 3), dtype=bool))
        assert at + step == pytest.approx(centre, abs=1e-4)
        assert gain == pytest.approx(-value(at[None])[0], rel=1e-5)


@pytest.mark.parametrize("columns", [1, 2])
def test_a_sampler_of_ones_own_may_draw_values_or_rows(columns: int) -> None:
    def density(x: Array, mean: Array) -> Array:
        total = x if columns == 1 else x.sum(axis=-1)
        return -0.5 * (total - mean) ** 2

    def draw(rng: np.random.Generator, mean: Array) -> Array:
        return mean if columns == 1 else np.stack([mean, -mean], axis=1)

    family = emframe.from_logpdf(density, {"mean": Real()}, sample=draw, n_columns=columns)
    params = family.build({"mean": [3.0, 5.0]})
    drawn = family.sample(params, np.array([1, 0, 1]), np.random.default_rng(0))
    wanted = np.array([[5.0, -5.0], [3.0, -3.0], [5.0, -5.0]])[:, :columns]
    assert np.array_equal(drawn, wanted)


def test_no_climb_begins_where_a_row_is_impossible() -> None:
    """Of the values that the rows suggest for an end, none beyond a row is in question."""

    def density(x: Array, end: Array, rate: Array) -> Array:
        return np.where(x >= end, np.log(rate) - rate * (x - end), -np.inf)

    family = emframe.from_logpdf(density, {"end": Real(), "rate": Positive()})
    x = np.random.default_rng(0).exponential(size=(60, 1)) + 2.0
    statistics = family.accumulate(x, np.ones((60, 1)))
    assert np.isfinite(family.log_density(family.guess(statistics), x)).all()


@pytest.mark.parametrize("direction", [3.1, -3.1, np.pi, 0.4])
def test_a_direction_is_fitted_wherever_it_points(direction: float) -> None:
    """The maximum is the mean direction, and the ratio of Bessel functions at kappa its length."""
    drawn = stats.vonmises.rvs(2.0, direction, size=400, random_state=1)
    x = np.angle(np.exp(1j * drawn))
    fit = emframe.fit(emframe.Mixture(emframe.from_scipy("vonmises"), 1), x, rng=0)
    resultant = np.exp(1j * x).mean()
    own = fit.params.components
    away = np.angle(np.exp(1j * own.loc[0]) / resultant)
    assert away == pytest.approx(0.0, abs=1e-6)
    ratio = special.ive(1, own.kappa[0]) / special.ive(0, own.kappa[0])
    assert ratio == pytest.approx(abs(resultant), rel=1e-6)
    with pytest.raises(ValueError, match=r"angles from -3.14159 to 3.14159.*numpy.angle"):
        emframe.fit(emframe.Mixture(emframe.from_scipy("vonmises"), 1), x + np.pi)


HOURS = emframe.from_scipy(stats.vonmises, fixed={"scale": 12.0 / np.pi})


@pytest.mark.deep
def test_directions_pass_the_kit() -> None:
    assert all(one.status != "failed" for one in check_family(HOURS))


def test_two_directions_of_hours_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    z = rng.integers(2, size=600)
    hours = stats.vonmises.rvs(np.array([4.0, 8.0])[z], np.array([3.0, -0.5])[z], random_state=rng)
    hours = 12.0 / np.pi * np.angle(np.exp(1j * hours))
    fit = emframe.fit(emframe.Mixture(HOURS, 2), hours, rng=0)
    order = fit.params.components.kappa.argsort()
    middle = fit.params.components.loc[order] * np.pi / 12.0
    assert np.cos(middle - [3.0, -0.5]) == pytest.approx([1.0, 1.0], abs=0.01)
    drawn, _ = fit.sample(2000, rng=0)
    assert np.abs(drawn).max() <= 12.0
