"""Growth mixtures: against dense densities, scipy, nlme, lme4 and lcmm, and their symmetries."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings as profile
from scipy import interpolate, optimize, stats
from scipy.special import logsumexp
from test_reference import HERE

import emframe
import emframe.testing
from emframe import Array, Degenerate, Sequences, Status
from emframe.parameters import from_vector, leaves, to_vector

# What is looked for at length is for the deep tier; the others see some of the settings.
DEEP = profile.default.max_examples >= 200
ORTHODONT = {"response": "distance", "fixed": ("age",)}
SLEEP = {"response": "Reaction", "fixed": ("Days",)}
LEVEL, SLOPE = ("intercept",), ("intercept", "age")


@cache
def data(name: str) -> Sequences:
    if name == "orthodont":
        return Sequences.by(emframe.dataset("orthodont"), "child")
    frame = pd.read_csv(HERE / f"{name}.csv")
    return Sequences.by(frame, "Subject" if name == "sleepstudy" else "ID")


# Data, K, settings, and of the best fit known (nlme 3.1.162, lme4 1.1.31, lcmm 2.2.1, each
# polished): log-likelihood, parameters, and what else they print.
PAQUID = {
    "response": "BVRT",
    "fixed": ("age65",),
    "common": ("CEP",),
    "random": ("intercept", "age65"),
}
CASES: dict[str, tuple[str, int, dict[str, Any], float, int, dict[str, Any]]] = {
    "random slope": ("orthodont", 1, {**ORTHODONT, "random": SLOPE}, -219.605800639138, 6,
        {"intercept": [16.7611111111111], "age": [0.660185185185185], "sigma": [1.31004718460282],
         "random_covariance": [[[4.81362878958957, -0.274169839585775],
                                [-0.274169839585775, 0.0461889198632438]]]}),
    "by sex": ("orthodont", 1, {**ORTHODONT, "fixed": ("age", "male", "age:male"), "random": LEVEL},
        -214.319529009755, 6, {"intercept": [17.3727272727273], "age_male": [0.304829545454546],
                               "random_covariance": [[[3.03056169354683]]]}),
    "classes alone": ("orthodont", 2, {**ORTHODONT, "random": ()}, -236.4481078341272, 6,
        {"intercept": [16.0937057668281, 18.7091382471353], "age": [0.634592038566365,
         0.73488711734535], "sigma": [1.91835103136625] * 2}),
    "two with levels": ("orthodont", 2, {**ORTHODONT, "random": LEVEL}, -216.37718480139512, 7,
        {"intercept": [2.84527928173045, 17.2984528857541], "age": [1.94643668909266,
         0.610518253743428], "random_covariance": [[[4.39815140249261]]] * 2}),
    "three classes alone": ("orthodont", 3, {**ORTHODONT, "random": ()}, -222.66403731299724, 9,
        {"intercept": [15.9727759567194, 16.4954278924721, 19.2580377378091]}),
    "sleep, slope": ("sleepstudy", 1, {**SLEEP, "random": ("intercept", "Days")},
        -875.969672231599, 6, {"intercept": [251.405104848484], "Days": [10.4672859595955],
         "sigma": [25.5918158320228],
         "random_covariance": [[[565.515271042699, 11.0554144585638],
                                [11.0554144585638, 32.6821976138241]]]}),
    "sleep, level": ("sleepstudy", 1, {**SLEEP, "random": LEVEL}, -897.039321502613, 4,
        {"random_covariance": [[[1296.87004549211]]], "sigma": [30.8954338733111]}),
    "sleep, two": ("sleepstudy", 2, {**SLEEP, "random": LEVEL}, -881.3009791625476, 7,
        {"Days": [3.83817325014981, 14.1360587826801],
         "random_covariance": [[[836.263059621794]]] * 2}),
    "paquid": ("paquid_bvrt", 1, PAQUID, -4125.783112515539, 7,
        {"CEP": [1.92393410836915],
         "random_covariance": [[[2.91797939672391, -0.716334554370404],
                                [-0.716334554370404, 0.738351594923113]]]}),
    "paquid, two": ("paquid_bvrt", 2, PAQUID, -4115.676637539582, 10,
        {"intercept": [6.26015887146557, 11.371646057293], "CEP": [1.82081930329781] * 2}),
}  # fmt: skip


@cache
def fitted(case: str, seed: int) -> emframe.Fit:
    name, k, settings, *_ = CASES[case]
    return emframe.fit(emframe.Mixture("linear-mixed", k, **settings), data(name), rng=seed)


@pytest.mark.parametrize("seed", [0, 1] if DEEP else [0])
@pytest.mark.parametrize("case", CASES)
def test_the_default_call_reaches_the_best_fit_known(case: str, seed: int) -> None:
    _, k, _, log_likelihood, n_parameters, printed = CASES[case]
    fit = fitted(case, seed)
    assert fit.converged
    assert not fit.spurious
    assert fit.n_parameters == n_parameters
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=1e-6)
    first = next(name for name, value in printed.items() if name != "random_covariance")
    order = np.argsort(getattr(fit.params.components, first)) if k > 1 else slice(None)
    for name, value in printed.items():
        found = getattr(fit.params.components, name)[order]
        assert found == pytest.approx(np.array(value), rel=1e-3, abs=1e-4), name


def test_it_takes_few_passes() -> None:
    ends = [one for case in CASES for one in fitted(case, 0).starts if one.status.is_optimum]
    assert np.median([one.n_iter for one in ends]) <= 30


def test_standard_errors_are_those_printed() -> None:
    """lcmm 2.2.1, of the fixed effects and sigma of one and of two classes."""
    for case, printed in {
        "paquid": {"intercept": 0.20780194693326, "age65": 0.0911228288139929,
                   "CEP": 0.189718460896798, "sigma": 0.0338897211060656},
        "paquid, two": {"intercept": [0.811977894093042, 0.227908439058274],
                        "age65": [0.653791333460483, 0.120744531695565],
                        "CEP": 0.185629891948776, "sigma": 0.0334366890145887},
    }.items():  # fmt: skip
        fit = fitted(case, 0)
        errors = fit.standard_errors(data("paquid_bvrt")).params.components
        order = np.argsort(fit.params.components.intercept)
        for name, value in printed.items():
            assert getattr(errors, name)[order] == pytest.approx(value, rel=0.01), name


# ---- settings, on people who were seen at times of their own

SETTINGS: dict[str, dict[str, Any]] = {
    "level": {},
    "slope": {"random": ("intercept", "time")},
    "apart": {"random": ("intercept", "time"), "covariance": "diag"},
    "each": {"random": ("intercept", "time"), "between": "each", "sigma": "each"},
    "proportional": {"random": ("intercept", "time"), "between": "proportional"},
    "shares, each": {"between": "proportional", "sigma": "each", "random": ("intercept", "time")},
    "each, one sigma": {"between": "each", "covariance": "diag", "random": ("intercept", "time")},
    "sigma each": {"common": ("sex",), "sigma": "each"},
    "none": {"random": (), "common": ("sex",), "fixed": ("time", "time:time")},
    "slope alone": {"random": ("time",), "intercept": False, "common": ("intercept",)},
    "by sex": {"random": ("intercept", "time"), "common": ("sex", "time:sex")},
}
FEW = ("slope", "shares, each", "by sex")
every = pytest.mark.parametrize("setting", SETTINGS)
few = pytest.mark.parametrize("setting", SETTINGS if DEEP else FEW)
COLUMNS = ("y", "time", "sex")


def people(n: int = 40, seed: int = 0, noise: float = 0.5) -> pd.DataFrame:
    """Two kinds of people, seen once to six times."""
    rng = np.random.default_rng(seed)
    rows = []
    for person in range(n):
        times = np.sort(rng.uniform(0, 4, rng.integers(1, 7)))
        kind, sex = person % 3 == 0, person % 2
        b = rng.multivariate_normal([0, 0], [[0.5, 0.1], [0.1, 0.2]])
        line = (3 - times if kind else times) + 0.4 * sex + b[0] + b[1] * times
        y = line + noise * rng.standard_normal(len(times))
        rows += [(person, *row) for row in zip(y, times, np.full(len(times), sex), strict=True)]
    return pd.DataFrame(rows, columns=("who", *COLUMNS))


@cache
def sample(n: int = 40) -> Sequences:
    return Sequences.by(people(n), "who")


def mixture(setting: str, k: int = 2) -> emframe.Mixture:
    return emframe.Mixture("linear-mixed", k, **SETTINGS[setting])


def some_params(model: emframe.Mixture, seed: int = 0) -> Any:
    """Parameters somewhere, from a start on the sample and a step off it."""
    rows = model.rows(sample())
    start = next(model.starts(rows, np.random.default_rng(seed)))[1]
    vector = to_vector(start)
    return from_vector(
        start, vector + 0.2 * np.random.default_rng(seed).standard_normal(len(vector))
    )


def dense(model: emframe.Mixture, params: Any, runs: Sequences) -> Array:
    """Log density of each person under each component, (N, K), by matrices over all visits."""
    family, one = model.family, params.components
    frame = runs.x if isinstance(runs.x, pd.DataFrame) else pd.DataFrame(runs.x, columns=COLUMNS)
    frame = frame.assign(intercept=1.0)

    def column(term: str) -> Array:
        return np.prod([frame[name].to_numpy(float) for name in term.split(":")], axis=0)

    own = ("intercept",) * family.intercept + family.fixed + family.common
    x = np.column_stack([column(term) for term in own])
    z = np.column_stack([column(term) for term in family.random] or [np.zeros((len(frame), 0))])
    beta = np.stack([getattr(one, term.replace(":", "_")) for term in own], axis=1)
    found = np.zeros((len(runs), model.n_components))
    for i, (first, length) in enumerate(zip(runs.firsts, runs.lengths, strict=True)):
        part = slice(first, first + length)
        for k in range(model.n_components):
            cov = one.sigma[k] ** 2 * np.eye(length)
            if family.random:
                cov = cov + z[part] @ one.random_covariance[k] @ z[part].T
            mean = x[part] @ beta[k]
            y = frame[family.response].to_numpy(float)[part]
            found[i, k] = stats.multivariate_normal.logpdf(y, mean, cov)
    return found


@every
def test_the_density_is_the_normal_one_of_all_visits(setting: str) -> None:
    model = mixture(setting, 3)
    params = some_params(model)
    rows = model.rows(sample())
    found = model.family.log_density(params.components, rows.x)
    assert found == pytest.approx(dense(model, params, sample()), rel=1e-10, abs=1e-10)


@few
@pytest.mark.parametrize("k", [1, 2] if DEEP else [2])
def test_the_kit_finds_nothing(setting: str, k: int) -> None:
    for result in emframe.testing.check_model(mixture(setting, k), sample()):
        assert result.status != "failed", result


@few
def test_it_is_the_maximum_of_the_marginal_likelihood(setting: str) -> None:
    """Climbed by scipy from where it ended, by dense matrices alone: there is nothing higher."""
    model = mixture(setting)
    fit = emframe.fit(model, sample(), rng=0, n_starts=4)

    def marginal(params: Any) -> float:
        joint = dense(model, params, sample()) + np.log(params.weights)
        return float(logsumexp(joint, axis=1).sum())

    assert fit.log_likelihood == pytest.approx(marginal(fit.params), rel=1e-10)
    at = to_vector(fit.params)
    end = optimize.minimize(
        lambda v: -marginal(from_vector(fit.params, v)), at, method="BFGS", options={"maxiter": 30}
    )
    assert -end.fun - fit.log_likelihood < 1e-8 * abs(fit.log_likelihood)


@few
def test_weights_are_people_repeated(setting: str) -> None:
    runs = sample(20)
    weights = np.arange(len(runs)) % 3
    each = [np.asarray(runs[i : i + 1].x, dtype=float) for i in range(len(runs))]
    again = [one for one, times in zip(each, weights, strict=True) for _ in range(times)]
    model = mixture(setting)
    start = some_params(model)
    rows = Sequences(pd.DataFrame(np.concatenate(each), columns=COLUMNS), runs.lengths)
    more = pd.DataFrame(np.concatenate(again), columns=COLUMNS)
    many = Sequences(more, np.repeat(runs.lengths, weights))
    one = emframe.fit(model, rows, weights=weights, start=start)
    other = emframe.fit(model, many, start=start)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-6)
    assert one.bic == pytest.approx(other.bic, abs=1e-5)


@few
def test_no_order_of_rows_or_people_matters(setting: str) -> None:
    frame, model = people(), mixture(setting)
    shuffled = frame.sample(frac=1.0, random_state=3)
    start = some_params(model)
    one = emframe.fit(model, sample(), start=start)
    other = emframe.fit(model, Sequences.by(shuffled, "who"), start=start)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-10, abs=1e-7)


@few
def test_units_of_time_and_response_change_nothing_else(setting: str) -> None:
    frame, model = people(), mixture(setting)
    other = frame.assign(y=1e3 * frame.y, time=0.01 * frame.time)
    one = emframe.fit(model, sample(), rng=0, n_starts=2)
    two = emframe.fit(model, Sequences.by(other, "who"), rng=0, n_starts=2)
    expected = one.log_likelihood - len(frame) * np.log(1e3)
    assert two.log_likelihood == pytest.approx(expected, abs=1e-4)


def test_far_from_the_origin_no_digit_is_lost() -> None:
    """Years as times, and responses about a million: as from 0."""
    frame, model = people(), mixture("slope")
    far = frame.assign(y=frame.y + 1e6, time=frame.time + 2000.0)
    one = emframe.fit(model, sample(), rng=0, n_starts=2)
    two = emframe.fit(model, Sequences.by(far, "who"), rng=0, n_starts=2)
    assert two.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-4)


@pytest.mark.parametrize("setting", ["level", "slope", "apart"])
@pytest.mark.parametrize("seed", range(4) if DEEP else range(1))
def test_a_variance_of_zero_is_reached_and_told(setting: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    time = np.tile(np.arange(4.0), 30)
    y = 0.5 * time + rng.standard_normal(len(time))
    apart = np.repeat(rng.standard_normal(30), 4) * 0  # nobody differs from anybody
    rows = np.column_stack([y + apart - y.reshape(30, 4).mean(axis=1).repeat(4), time])
    model = emframe.Mixture("linear-mixed", 1, **SETTINGS[setting])
    fit = emframe.fit(model, Sequences(rows, np.full(30, 4)))
    assert fit.converged
    variance = fit.params.components.random_covariance[0]
    assert variance[0, 0] < 1e-4 * fit.params.components.sigma[0] ** 2 or setting == "slope"
    if setting == "level":
        line = np.polyfit(rows[:, 1], rows[:, 0], 1)
        left = rows[:, 0] - np.polyval(line, rows[:, 1])
        assert fit.log_likelihood == pytest.approx(
            stats.norm.logpdf(left, scale=left.std()).sum(), abs=1e-6
        )
        errors = fit.standard_errors(Sequences(rows, np.full(30, 4)))
        assert "boundary" in errors.message.lower()


def test_from_a_singular_variance_it_goes_on() -> None:
    """A start where D has rank one, and one where it is 0, are points like others."""
    model = mixture("slope", 1)
    for given in ([[1.0, 0.0], [0.5, 0.0]], [[0.0, 0.0], [0.0, 0.0]]):
        root = np.array(given)
        start = {
            "weights": [1.0],
            "intercept": [1.0],
            "time": [0.5],
            "random_covariance": [root @ root.T],
            "sigma": [1.0],
        }
        fit = emframe.fit(model, sample(), start=start)
        assert fit.status.usable
        assert np.isfinite(fit.log_likelihood)


def test_people_who_were_seen_once_have_a_class() -> None:
    runs = Sequences(np.column_stack([np.r_[np.zeros(9), 9 + np.arange(9)], np.arange(18.0) % 3,]),
                     np.ones(18, dtype=int))  # fmt: skip
    fit = emframe.fit(mixture("level"), runs, rng=0, n_starts=2)
    assert fit.status.usable
    assert fit.predict(runs).shape == (18,)


def test_visits_beyond_the_terms_cost_nothing_in_a_pass() -> None:
    """A person is as many numbers whether seen ten times or a thousand."""
    from emframe_families.growth.people import People

    family = emframe.family("linear-mixed")
    rng = np.random.default_rng(0)
    for visits in (10, 1000):
        runs = Sequences(rng.standard_normal((3 * visits, 2)), np.full(3, visits))
        assert People.of(family.terms, runs).roots.shape == (3, 3, 3)


# ---- refusals

REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no names": ({"fixed": (1,)}, TypeError, "names of columns"),
    "a response by number": ({"response": 0}, TypeError, "name of a column"),
    "an unknown structure": ({"covariance": "spherical"}, ValueError, "'full' or 'diag'"),
    "an unknown sigma": ({"sigma": "own"}, ValueError, "'shared' or 'each'"),
    "a residual structure": ({"residual": "ar2"}, ValueError, "expected 'independent'"),
    "twice": ({"fixed": ("time", "time")}, ValueError, "twice"),
    "fixed and common": ({"common": ("time",)}, ValueError, "twice"),
    "the response as a term": ({"fixed": ("y",)}, ValueError, "is the response"),
    "a name that is taken": ({"fixed": ("sigma",)}, ValueError, "cannot be called"),
    "nothing": ({"fixed": (), "intercept": False}, ValueError, "no fixed term"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_settings_that_are_none_are_refused(case: str) -> None:
    settings, kind, said = REFUSED[case]
    with pytest.raises(kind, match=said):
        emframe.Mixture("linear-mixed", 2, **settings)


def test_collinear_terms_are_named() -> None:
    frame = people().assign(twice=lambda one: 2 * one.time)
    model = emframe.Mixture("linear-mixed", 2, fixed=("time", "twice"))
    with pytest.raises(Degenerate, match=r"twice.*follows from intercept, time"):
        emframe.fit(model, Sequences.by(frame, "who"), rng=0)


def test_people_on_their_own_lines_are_degenerate() -> None:
    fit = emframe.fit(mixture("slope", 1), Sequences.by(people(noise=0.0), "who"), rng=0)
    assert fit.status is Status.DEGENERATE
    assert "lines of their own" in fit.message


def test_draws_are_people_of_the_fit() -> None:
    """Means, and the variance within and between people, of many draws at one design."""
    fit = fitted("random slope", 0)
    times = np.array([8.0, 10.0, 12.0, 14.0])
    model = fit.model.given(fit.model.rows(Sequences(np.column_stack([np.zeros(4), times]), [4])).x)
    family = model.family.given(np.column_stack([np.zeros(4), times]))
    rng = np.random.default_rng(0)
    one = fit.params.components
    drawn = np.array([family.sample(one, np.zeros(4, int), rng)[:, 0] for _ in range(5_000)])
    z = np.column_stack([np.ones(4), times])
    cov = z @ one.random_covariance[0] @ z.T + one.sigma[0] ** 2 * np.eye(4)
    mean = one.intercept[0] + one.age[0] * times
    assert drawn.mean(axis=0) == pytest.approx(mean, abs=5 * np.sqrt(cov.max() / 5_000))
    assert np.cov(drawn.T) == pytest.approx(cov, abs=0.5)


def test_a_fit_is_saved_and_read_again(tmp_path) -> None:
    fit = fitted("two with levels", 0)
    fit.save(tmp_path / "a.fit")
    again = emframe.load(tmp_path / "a.fit")
    assert again.bic == fit.bic
    for mine, theirs in zip(leaves(fit.params), leaves(again.params), strict=True):
        np.testing.assert_array_equal(mine.value, theirs.value)
    assert (again.predict(data("orthodont")) == fit.predict(data("orthodont"))).all()


def test_bic_counts_people() -> None:
    """As lcmm and Mplus do; by rows where asked for."""
    fit = fitted("two with levels", 0)
    assert fit.bic == pytest.approx(455.82522766482055, abs=1e-5)
    by_rows = -2 * fit.log_likelihood + 7 * np.log(108)
    assert fit.counting("rows").bic == pytest.approx(by_rows)


def test_from_k_to_one_more_it_does_not_end_lower() -> None:
    models = [emframe.Mixture("linear-mixed", k, **ORTHODONT) for k in (1, 2, 3)]
    chosen = emframe.select(models, data("orthodont"), rng=0, n_starts=4)
    ends = [fit.log_likelihood for fit in chosen.fits]
    assert ends == sorted(ends)
    assert any(one.kind.startswith("split") for one in chosen.fits[1].starts)


def test_coefficients_may_be_held_or_tied() -> None:
    model = emframe.Mixture("linear-mixed", 2, **ORTHODONT).tied("age")
    tied = emframe.fit(model, data("orthodont"), rng=0, n_starts=3)
    common = {"response": "distance", "fixed": (), "common": ("age",)}
    same = emframe.fit(
        emframe.Mixture("linear-mixed", 2, **common), data("orthodont"), rng=0, n_starts=3
    )
    assert tied.n_parameters == same.n_parameters
    assert tied.log_likelihood == pytest.approx(same.log_likelihood, abs=1e-5)


# ---- what is said of people, and of components over time


@every
def test_random_effects_are_their_posterior_means(setting: str) -> None:
    """D Z' V^-1 (y - X beta), and its variance, by matrices over all visits."""
    model = mixture(setting)
    params = some_params(model)
    fit = emframe.fit(model, sample(), start=params, max_iter=1)
    family, one, runs = fit.model.family, fit.params.components, sample()
    frame = runs.x.assign(intercept=1.0)
    found = fit.random_effects(runs)
    assert found.names == family.random
    beta = family.coefficients(one)
    for i in (0, 5, 11):
        part = frame.iloc[runs.firsts[i] : runs.firsts[i] + runs.lengths[i]]
        z = np.column_stack([part[name] for name in family.random] or [np.zeros((len(part), 0))])
        x = family.terms.values(part[list(family.columns)].to_numpy())[:, family.terms.x_places]
        for k in range(2):
            d = one.random_covariance[k] if family.random else np.zeros((0, 0))
            v = z @ d @ z.T + one.sigma[k] ** 2 * np.eye(len(part))
            left = part.y.to_numpy() - x @ beta[k]
            gain = d @ z.T @ np.linalg.inv(v)
            assert found.by_component[i, k] == pytest.approx(gain @ left, rel=1e-8, abs=1e-9)
            deviations = np.sqrt(np.diag(d - gain @ z @ d))
            assert found.deviations[i, k] == pytest.approx(deviations, rel=1e-7, abs=1e-8)
    shares = fit.predict_proba(runs).to_numpy()
    averaged = (shares[:, :, None] * found.by_component).sum(axis=1)
    assert np.asarray(found.means) == pytest.approx(averaged)
    assert list(found.means.index) == list(runs.keys)


def test_trajectories_have_their_intervals() -> None:
    """Of the mean x'b by x' Cov(b) x; of responses by z'Dz + sigma^2."""
    fit, errors = fitted("paquid", 0), fitted("paquid", 0).standard_errors(data("paquid_bvrt"))
    times = np.array([0.0, 0.5, 2.0])
    found = fit.trajectories(times, given={"CEP": 1.0}, errors=errors, interval=0.9)
    one = fit.params.components
    x = np.column_stack([np.ones(3), times, np.ones(3)])
    mean = x @ [one.intercept[0], one.age65[0], one.CEP[0]]
    assert found.means[0] == pytest.approx(mean)
    covariance = errors.covariance[1:4, 1:4]  # after the weight
    reach = stats.norm.ppf(0.95) * np.sqrt(np.einsum("ij,jk,ik->i", x, covariance, x))
    assert found.upper[0] - mean == pytest.approx(reach, rel=1e-5)
    assert mean - found.lower[0] == pytest.approx(reach, rel=1e-5)
    z = x[:, :2]
    spread = np.einsum("ij,jk,ik->i", z, one.random_covariance[0], z) + one.sigma[0] ** 2
    assert found.high[0] - mean == pytest.approx(stats.norm.ppf(0.95) * np.sqrt(spread))
    assert list(found.to_frame().columns) == [
        "component", "age65", "mean", "lower", "upper", "low", "high",
    ]  # fmt: skip


def test_splines_are_curves_along_the_column_they_were_made_from() -> None:
    """A formula's B-spline is scipy's; its curve and picture run along time."""
    pytest.importorskip("formulaic")
    frame = people(30)
    low, high = frame.time.min(), frame.time.max()
    inner = np.quantile(frame.time, 0.5)
    knots = np.r_[[low] * 4, inner, [high] * 4]

    def basis(times: Array) -> Array:
        return np.asarray(interpolate.BSpline.design_matrix(times, knots, 3).toarray())

    model = emframe.formula("y ~ bs(time, df=4)", random="~ 1", group="who")
    fit = emframe.fit(model, frame)
    columns = [f"b{j}" for j in range(5)]
    made = frame.assign(**dict(zip(columns, basis(frame.time.to_numpy()).T, strict=True)))
    plain = emframe.Mixture("linear-mixed", 1, fixed=tuple(columns), intercept=False)
    same = emframe.fit(plain, Sequences.by(made, "who"))
    assert fit.log_likelihood == pytest.approx(same.log_likelihood, abs=1e-7)
    times = np.linspace(low, high, 5)
    beta = [getattr(same.params.components, name)[0] for name in columns]
    curve = fit.trajectories(times)
    assert curve.column == "time"
    assert curve.means[0] == pytest.approx(basis(times) @ beta, abs=1e-4)
    with pytest.raises(ValueError, match="expected one of time"):
        fit.trajectories(times, column="bs_time_1")
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    ax = fit.plot(frame)
    assert ax.get_xlabel() == "time"
    assert len(ax.get_lines()) == 31
    matplotlib.pyplot.close("all")


@every
def test_forecasts_are_conditional_normal_means(setting: str) -> None:
    """Of visits to come given visits seen, by one covariance of both, and of strangers."""
    model, frame = mixture(setting), people()
    fit = emframe.fit(model, sample(), start=some_params(model), max_iter=1)
    family, one = fit.model.family, fit.params.components
    at = pd.DataFrame({"who": [0, 0, 5, 99], "time": [5.0, 1.0, 4.5, 2.0], "sex": [0, 0, 1, 1]})
    found = fit.forecast(sample(), Sequences.by(at, "who"))
    assert list(found.index) == list(at.index)
    beta = family.coefficients(one)
    for row, (who, wanted) in enumerate(at.groupby(at.index)):
        key = wanted.who.iloc[0]
        seen = frame[frame.who == key]
        both = pd.concat([seen, wanted.assign(y=0.0)]).assign(intercept=1.0)
        values = family.terms.values(both[list(family.columns)].to_numpy(float))
        x, z = values[:, family.terms.x_places], values[:, family.terms.z_places]
        means, variances = np.zeros(2), np.zeros(2)
        for k in range(2):
            d = one.random_covariance[k] if family.random else np.zeros((0, 0))
            v = z @ d @ z.T + one.sigma[k] ** 2 * np.eye(len(both))
            gain = v[-1, :-1] @ np.linalg.inv(v[:-1, :-1])
            means[k] = x[-1] @ beta[k] + gain @ (seen.y.to_numpy() - x[:-1] @ beta[k])
            variances[k] = v[-1, -1] - gain @ v[:-1, -1]
        shares = fit.params.weights
        if len(seen):
            shares = fit.predict_proba(sample()).to_numpy()[key]
        mean = shares @ means
        deviation = np.sqrt(shares @ (variances + (means - mean) ** 2))
        assert found.iloc[row].to_numpy() == pytest.approx([mean, deviation], rel=1e-8)
        assert who == row


def test_curves_of_words_are_asked_for_in_words() -> None:
    frame = people(30).assign(sex=lambda one: np.where(one.sex > 0, "m", "f"))
    model = emframe.Mixture("linear-mixed", 1, fixed=("time", "sex"))
    fit = emframe.fit(model, Sequences.by(frame, "who"))
    one = fit.params.components
    found = fit.trajectories([1.0], given={"sex": "m"})
    assert found.means[0, 0] == pytest.approx(one.intercept[0] + one.time[0] + one.sex_m[0])


def test_observed_means_and_residuals_are_sums_over_visits() -> None:
    """Of two classes with covariates, by sums written out over people, and for words and gates."""
    fit, frame = fitted("paquid, two", 0), pd.read_csv(HERE / "paquid_bvrt.csv")
    frame = frame.sample(frac=1.0, random_state=0)  # in any order
    runs = Sequences.by(frame, "ID")
    one, shares = fit.params.components, fit.predict_proba(runs).loc[frame.ID].to_numpy()
    curves = one.intercept + frame.age65.to_numpy()[:, None] * one.age65
    curves = curves + frame.CEP.to_numpy()[:, None] * one.CEP
    y = frame.BVRT.to_numpy(float)
    found = fit.observed_means(runs, windows=[0.0, 1.0, 2.0], interval=0.9)
    for k in range(2):
        for j, (low, high) in enumerate([(0.0, 1.0), (1.0, 2.0)]):
            there = (frame.age65.to_numpy() >= low) & (frame.age65.to_numpy() < high)
            own = shares[there, k]
            mean = own @ y[there] / own.sum()
            assert found.observed[k, j] == pytest.approx(mean)
            assert found.expected[k, j] == pytest.approx(own @ curves[there, k] / own.sum())
            assert found.at[k, j] == pytest.approx(own @ frame.age65[there] / own.sum())
            people = pd.Series(own * (y[there] - mean)).groupby(frame.ID[there].to_numpy()).sum()
            sizes = pd.Series(own).groupby(frame.ID[there].to_numpy()).sum()
            n = sizes.sum() ** 2 / (sizes**2).sum()
            error = np.sqrt((people**2).sum() * n / (n - 1)) / own.sum()
            assert found.upper[k, j] - mean == pytest.approx(stats.norm.ppf(0.95) * error)
    left = fit.visit_residuals(runs)
    assert list(left.index) == list(frame.index)
    marginal = curves @ fit.params.weights
    assert left.marginal_mean.to_numpy() == pytest.approx(marginal)
    assert (left.marginal_mean + left.marginal).to_numpy() == pytest.approx(y)
    assert (left.subject_mean + left.subject).to_numpy() == pytest.approx(y)
    # Where the likelihood has no slope by intercepts, nothing is left on average.
    assert left.subject.mean() == pytest.approx(0.0, abs=1e-6)
    seen = fit.forecast(runs, runs)  # of visits that were seen: what is left of them
    assert left.subject_mean.to_numpy() == pytest.approx(seen["mean"].to_numpy())
    weighted = fit.observed_means(runs, windows=1, weights=np.arange(len(runs)) % 3)
    again = [frame[key == frame.ID].assign(ID=f"{key}/{i}") for j, key in enumerate(runs.keys)
             for i in range(j % 3)]  # fmt: skip
    repeated = fit.observed_means(Sequences.by(pd.concat(again), "ID"), windows=1)
    for name in ("observed", "expected", "visits"):
        assert getattr(weighted, name) == pytest.approx(getattr(repeated, name))


def test_windows_of_few_times_are_those_times() -> None:
    fit, runs = fitted("two with levels", 0), data("orthodont")
    found = fit.observed_means(runs)
    assert found.at == pytest.approx(np.tile([8.0, 10.0, 12.0, 14.0], (2, 1)))
    order = np.argsort(fit.params.weights)
    assert np.isnan(found.lower[order[0]]).all()  # one boy is no sample
    assert np.isfinite(found.lower[order[1]]).all()
    for windows, said in ((0, "their number"), ([2.0, 1.0], "rising edges")):
        with pytest.raises(ValueError, match=said):
            fit.observed_means(runs, windows=windows)
    with pytest.raises(ValueError, match="expected one of age"):
        fit.observed_means(runs, column="male")
    rows = [[1.0, 2.0], [2.0, 3.0], [3.0, 4.5]]
    regression = emframe.fit(emframe.Mixture("gaussian-regression", 1), rows)
    with pytest.raises(TypeError, match="no people"):
        regression.visit_residuals(rows)


@pytest.mark.parametrize("kind", ["observed", "visits"])
def test_pictures_of_what_is_left_show_it(kind: str) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    fit, runs = fitted("two with levels", 0), data("orthodont")
    ax = fit.plot(runs, kind)
    if kind == "observed":
        expected = fit.observed_means(runs).expected
        curves = [line.get_ydata() for line in ax.get_lines() if len(line.get_xdata()) == 4]
        assert any(np.allclose(one, expected[1]) for one in curves)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("age", "mean of distance")
    else:
        left = np.asarray(fit.visit_residuals(runs))
        panels = ax.child_axes
        assert len(panels) == 4
        for row in range(2):
            points = panels[2 * row].get_lines()[0]
            assert points.get_ydata() == pytest.approx(left[:, 2 * row + 1])
            ordered = panels[2 * row + 1].get_lines()[-1].get_ydata()
            assert ordered == pytest.approx(np.sort(ordered))
            assert np.std(ordered) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=f"fit.plot\\(X, '{kind}'\\)"):
        emframe.fit(emframe.Mixture("poisson", 1), [1, 2, 2]).plot(kind=kind)
    matplotlib.pyplot.close("all")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no value": ({}, "'CEP' has no value"),
    "the column itself": ({"given": {"CEP": 1.0, "age65": 1.0}}, "'age65' is not one of them"),
    "no such column": ({"column": "age"}, "expected one of age65, CEP"),
    "no level": ({"given": {"CEP": 1.0}, "interval": 95}, "between 0 and 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_trajectories_say_what_they_need(case: str) -> None:
    options, said = WRONG[case]
    with pytest.raises(ValueError, match=said):
        fitted("paquid", 0).trajectories([0.0], **options)


def test_other_models_have_no_such_thing() -> None:
    fit = emframe.fit(emframe.Mixture("poisson", 1), [[1.0], [2.0]])
    with pytest.raises(TypeError, match="no random effects"):
        fit.random_effects([[1.0]])
    with pytest.raises(TypeError, match="given no column"):
        fit.trajectories([0.0])


def test_the_picture_has_people_and_curves() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    fit, runs = fitted("two with levels", 0), data("orthodont")
    ax = fit.plot(runs)
    lines = ax.get_lines()
    assert len(lines) == len(runs) + 2
    curve = fit.trajectories(lines[-1].get_xdata()).means[1]
    assert lines[-1].get_ydata() == pytest.approx(curve)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("age", "distance")
    with pytest.raises(TypeError, match=r"fit.plot\(X\)"):
        fit.plot(kind="trajectories")
    matplotlib.pyplot.close("all")


AWKWARD = {
    "years as times": {"shift": 2000.0},
    "seen once or twice": {"most": 2},
    "seen once": {"most": 1},
    "hardly any noise": {"noise": 0.01},
    "other units": {"scale": 1e3, "shift": 50.0},
}


@pytest.mark.parametrize(
    "setting", ["slope", "apart", "each", "proportional"] if DEEP else ["slope"]
)
@pytest.mark.parametrize("case", AWKWARD)
def test_no_start_is_lost_to_singular_systems(case: str, setting: str) -> None:
    """Each of six ends at an optimum, where rounding hides its last digits, or where sigma is 0."""
    how = {"shift": 0.0, "most": 5, "noise": 0.5, "scale": 1.0, **AWKWARD[case]}
    rng, rows = np.random.default_rng(1), []
    for person in range(25):
        times = rng.integers(0, 6, rng.integers(1, how["most"] + 1))
        own = rng.standard_normal(2)
        y = person % 3 + own[0] + (person % 3 - 1 + own[1]) * times * 0.5
        y = how["scale"] * (y + how["noise"] * rng.standard_normal(len(times)))
        rows += [(person, *row) for row in zip(y, times + how["shift"], strict=True)]
    frame = pd.DataFrame(rows, columns=("who", "y", "time"))
    fit = emframe.fit(mixture(setting, 3), Sequences.by(frame, "who"), rng=0, n_starts=6)
    ends = {one.status for one in fit.starts}
    assert ends <= {Status.CONVERGED, Status.DEGENERATE, Status.JOINED, Status.STALLED}
