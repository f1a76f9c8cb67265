"""`converged` is never said of a point that a nudge leaves, and no maximum is left.

A smaller model embedded in a larger one, components alike, is where EM stands still and where no
maximum is.  What is higher next to it is found by the fit itself; the oracles are fits of the
smaller model, known maxima, and direct maximisation of the likelihood by scipy.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

import emframe
from emframe import Status
from emframe.fitting import expectation
from emframe.fitting.optima import is_higher
from emframe.fitting.saddles import Onward, escape
from emframe.fitting.search import Attempt, Begin
from emframe.models import Mixture
from emframe.models.parting import alike, parted

rng = np.random.default_rng(20)
TWO = np.concatenate([rng.normal(size=(80, 1)), 4 + rng.normal(size=(80, 1))])
FAR = np.concatenate([rng.normal(10, 0.05, (200, 1)), rng.normal(0, 0.05, (200, 1))])
PLANE = np.concatenate([rng.normal(size=(80, 3)), 3 + rng.normal(size=(80, 3))])
YES = (rng.random((200, 5)) < np.array([[0.2] * 5, [0.8] * 5])[rng.integers(2, size=200)]) * 1.0
COUNTS = np.concatenate([rng.poisson(2, 80), rng.poisson(9, 80)])[:, None] * 1.0
THREE = rng.integers(3, size=(200, 4)) * 1.0
THREE[:, 1:] = np.where(rng.random((200, 3)) < 0.6, THREE[:, :1], THREE[:, 1:])
AGE, HALF = rng.normal(size=200), rng.random(200) < 0.5
NOISE = 0.5 * rng.normal(size=200)
LINES = np.column_stack([np.where(HALF, 1 + 2 * AGE, -1 - AGE) + NOISE, AGE])
RATES = np.column_stack([rng.poisson(np.exp(np.where(HALF, 1 + AGE, 1 - AGE))), AGE])
SKEW = np.concatenate([rng.gamma(3, 1, 80), rng.gamma(30, 0.5, 80)])[:, None]
BOTH = np.column_stack([TWO, np.concatenate([rng.random(80) < 0.2, rng.random(80) < 0.8])]) * 1.0

FAMILIES = {
    "gaussian": (Mixture("gaussian"), TWO),
    "far": (Mixture("gaussian"), FAR),
    **{
        code: (Mixture("gaussian", covariance=code), PLANE)
        for code in ("EII", "VII", "VVI", "VEI", "EEE", "VVE", "VEV", "EVV", "VVV")
    },
    "student-t": (Mixture("student-t"), TWO),
    "bernoulli": (Mixture("bernoulli"), YES),
    "poisson": (Mixture("poisson"), COUNTS),
    "categorical": (Mixture("categorical"), THREE),
    "gaussian-regression": (Mixture("gaussian-regression"), LINES),
    "poisson-regression": (Mixture("poisson-regression"), RATES),
    "gamma": (Mixture(emframe.from_scipy("gamma")), SKEW),
    "product": (Mixture(emframe.Product({0: "gaussian", 1: "bernoulli"})), BOTH),
}


def of_size(model, k):
    return Mixture(model.family, k)


def embedded(model, fit, k):
    """The fit's parameters as those of k components, one of its own as often as it takes."""
    params = fit.params
    for size in range(fit.model.n_components, k):
        params = of_size(model, size + 1).embedded(of_size(model, size), params)
    return params


# ---- a smaller model is left


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("name", FAMILIES)
def test_one_component_told_as_several_is_left(name, k):
    model, X = FAMILIES[name]
    one = emframe.fit(model.settled(X), X, rng=0)
    model = one.model
    fit = emframe.fit(of_size(model, k), X, start=embedded(model, one, k), rng=1)
    assert fit.starts[0].status is Status.SADDLE
    assert fit.starts[1].kind == "nudged"
    assert is_higher(max(s.objective for s in fit.starts), one.objective)
    assert fit.status is not Status.CONVERGED or is_higher(fit.objective, one.objective)


@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "VVV", "gamma", "product"])
def test_a_component_told_twice_is_left(name):
    model, X = FAMILIES[name]
    two = emframe.fit(of_size(model, 2), X, rng=0, n_starts="quick")
    fit = emframe.fit(of_size(model, 3), X, start=embedded(model, two, 3), rng=1)
    assert fit.starts[0].status is Status.SADDLE
    assert fit.status is not Status.CONVERGED or is_higher(fit.objective, two.objective)


def test_far_clusters_are_found_from_their_common_centre():
    """Their maximum by arithmetic: each row under the moments of its own cluster, at half."""
    start = embedded(Mixture("gaussian"), emframe.fit(Mixture("gaussian"), FAR), 2)
    fit = emframe.fit(Mixture("gaussian", 2), FAR, start=start, rng=0)
    each = [stats.norm.logpdf(x, x.mean(), x.std()).sum() for x in (FAR[:200], FAR[200:])]
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(sum(each) + 400 * np.log(0.5), rel=1e-9)


def test_weights_are_rows_to_a_nudge():
    values, times = np.unique(COUNTS, return_counts=True)
    one = emframe.fit(Mixture("poisson"), values, weights=times)
    start = embedded(Mixture("poisson"), one, 2)
    fit = emframe.fit(Mixture("poisson", 2), values, weights=times, start=start, rng=0)
    rows = emframe.fit(Mixture("poisson", 2), COUNTS, rng=0)
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(rows.log_likelihood, rel=1e-7)


def test_a_prior_is_part_of_what_is_higher():
    model = Mixture("gaussian", 2)
    one = emframe.fit(Mixture("gaussian"), TWO)
    start = embedded(Mixture("gaussian"), one, 2)
    fit = emframe.fit(model, TWO, start=start, prior="weak", rng=0)
    best = emframe.fit(model, TWO, prior="weak", rng=0)
    assert fit.converged
    assert fit.objective == pytest.approx(best.objective, rel=1e-6)


@pytest.mark.parametrize("initial", ["free", "stationary"])
@pytest.mark.parametrize("k", [2, 3])
def test_states_that_are_alike_are_parted(initial, k):
    rng = np.random.default_rng(0)
    z = np.repeat(rng.integers(2, size=40), 5)
    y = (3.0 * z + rng.normal(size=200))[:, None]

    def chain(size):
        return emframe.model("hidden-markov", family="gaussian", n_states=size, initial=initial)

    one = emframe.fit(chain(1), [y], rng=0)
    params = one.params
    for size in range(1, k):
        params = chain(size + 1).embedded(chain(size), params)
    fit = emframe.fit(chain(k), [y], start=params, rng=0)
    assert fit.starts[0].status is Status.SADDLE
    assert fit.converged
    assert fit.log_likelihood > one.log_likelihood + 50


def test_of_many_rows_a_sample_is_disturbed_and_blocks_stay_blocks():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=30_000), 2.5 + rng.normal(size=30_000)])[:, None]
    sizes = []

    def read():
        for part in np.array_split(X, 12):
            sizes.append(len(part))
            yield part

    data = emframe.Blocks(read, len(X), 1)
    one = emframe.fit(Mixture("gaussian"), data)
    start = embedded(Mixture("gaussian"), one, 2)
    fit = emframe.fit(Mixture("gaussian", 2), data, start=start, rng=0)
    assert fit.starts[0].status is Status.SADDLE
    assert fit.converged
    assert fit.log_likelihood > one.log_likelihood + 100
    assert max(sizes) <= 5_000


# ---- models without components


def gapped(pairs, once, value, units):
    """Pairs of all four signs, and rows of which one value or the other is missing."""
    nan = np.nan
    alone = np.tile([value, -value], once)
    rows = [pairs * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1.0]])]
    rows += [np.column_stack([alone, np.full(2 * once, nan)])]
    rows += [np.column_stack([np.full(2 * once, nan), alone])]
    return np.concatenate(rows) * np.array(units)


def highest(X):
    """The maximum over both standard deviations and the correlation, means at 0, by BFGS."""
    pairs = X[~np.isnan(X).any(axis=1)]
    alone = [X[np.isnan(X[:, 1 - j]), j] for j in (0, 1)]

    def deviance(at):
        sd, rho = np.exp(at[:2]), np.tanh(at[2])
        cov = np.outer(sd, sd) * np.array([[1, rho], [rho, 1]])
        found = stats.multivariate_normal.logpdf(pairs, np.zeros(2), cov).sum()
        return -found - sum(
            stats.norm.logpdf(x, 0, s).sum() for x, s in zip(alone, sd, strict=True)
        )

    logs = np.log(np.nanstd(X, axis=0))
    runs = [optimize.minimize(deviance, [*logs, rho]) for rho in (0.0, 0.7, -1.3)]
    return -min(one.fun for one in runs)


def test_murrays_data_end_at_a_maximum():
    """Murray 1977 (J. R. Stat. Soc. B 39, 27): a saddle at correlation 0, maxima at +-1/2."""
    X = gapped(1.0, 2, 2.0, (1.0, 1.0))
    fit = emframe.fit("incomplete-gaussian", X, rng=0)
    cov = fit.params.components.covariances[0]
    assert fit.converged
    assert fit.starts[0].status is Status.SADDLE
    assert fit.starts[0].log_likelihood == pytest.approx(-30.0333424, abs=1e-6)
    assert fit.log_likelihood == pytest.approx(-29.9742864, abs=1e-6)
    assert abs(cov[0, 1]) / np.sqrt(cov[0, 0] * cov[1, 1]) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("units", [(1.0, 1.0), (1e-9, 1e12)])
@pytest.mark.parametrize(("pairs", "once", "value"), [(1.0, 4, 2.5), (0.7, 3, 2.0), (1.5, 5, 1.2)])
def test_rows_with_gaps_end_at_the_highest_point(pairs, once, value, units):
    fit = emframe.fit("incomplete-gaussian", gapped(pairs, once, value, units), rng=0)
    plain = gapped(pairs, once, value, (1.0, 1.0))
    found = fit.log_likelihood + (~np.isnan(plain)).sum(axis=0) @ np.log(units)
    assert fit.converged
    assert found == pytest.approx(highest(plain), abs=1e-5)


# ---- a maximum is not


@pytest.mark.parametrize("k", [2, 3, 4])
def test_a_flat_maximum_is_none_to_leave(k):
    """Of counts that vary less than Poisson ones no mixture has more than one component's."""
    x = np.random.default_rng(k).binomial(20, 0.5, size=200)
    fit = emframe.fit(Mixture("poisson", k), x, rng=0)
    rate = x.mean()
    assert fit.converged
    assert all(start.status is not Status.SADDLE for start in fit.starts)
    assert fit.log_likelihood == pytest.approx(stats.poisson.logpmf(x, rate).sum(), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "k"), [("gaussian", 2), ("VVV", 2), ("bernoulli", 2), ("student-t", 2), ("gamma", 2)]
)
def test_a_maximum_is_not_left(name, k):
    model, X = FAMILIES[name]
    fit = emframe.fit(of_size(model, k), X, rng=0, n_starts="quick")
    again = emframe.fit(of_size(model, k), X, start=fit.params, rng=1)
    assert [one.status for one in again.starts] == [Status.CONVERGED]


def test_what_is_left_to_gain_within_tol_is_no_saddle():
    model, X = FAMILIES["gaussian"]
    for seed in range(4):
        fit = emframe.fit(of_size(model, 2), X, rng=seed, n_starts=2, tol=5.0)
        assert Status.SADDLE not in {start.status for start in fit.starts}


# ---- and where no way on is sound, that is told


class Stub:
    """A model with a saddle at 0 from which the ways lead to 1, 2, ... in turn."""

    contract = emframe.Contract.GENERALISED

    def __init__(self):
        self.calls = 0

    def has_twins(self, params, rows):
        return True

    def choices(self):
        return 2

    def nudged(self, params, rows, rng):
        self.calls += 1
        if self.calls == 1:
            raise emframe.Degenerate("nowhere", 0)
        return self.calls

    def spared(self, params, rows, rng):
        return None


class StubQ:
    def __init__(self, at):
        self.at, self.loglik, self.entropy = at, float(at), 0.0

    def value(self, params):
        return float(self.at)

    def maximize(self):
        return self.at


def end(index, status, objective, spurious=""):
    start = emframe.Start(index, "", status, objective, objective, 1, "", spurious=spurious)
    step = type("Step", (), {"params": 0})()
    return Attempt(start, type("Run", (), {"step": step})())


def test_other_ways_are_tried_from_a_saddle_whose_first_led_to_an_artefact():
    attempts = []
    onward = Onward(lambda _: iter([Begin("own", 0)]), Stub(), StubQ, np.zeros((3, 1)), rng)
    begun = onward(attempts)
    assert next(begun).kind == "own"
    attempts.append(end(0, Status.CONVERGED, 0.0))
    first = next(begun)
    assert (first.kind, first.params, first.parent, first.from_saddle) == ("nudged", 2, 0, True)
    attempts[0] = end(0, Status.SADDLE, 0.0)
    attempts.append(end(1, Status.CONVERGED, 50.0, spurious="component 0: a point"))
    second = next(begun)
    assert (second.params, second.parent) == (3, 0)
    attempts.append(end(2, Status.DEGENERATE, 60.0))
    assert len(list(begun)) == 3  # of five in all


def test_the_higher_point_is_in_hand():
    model = Mixture("gaussian", 2)
    one = emframe.fit(Mixture("gaussian"), TWO)
    start = embedded(Mixture("gaussian"), one, 2)
    rows = model.rows(TWO)
    attempt = end(0, Status.CONVERGED, one.objective)
    attempt.run.step.params = start
    found = escape(model, expectation(model, rows), attempt, rows, np.random.default_rng(0))
    assert expectation(model, rows)(found).loglik > one.log_likelihood


# ---- how components are parted


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(4, 40),
    d=st.integers(1, 3),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    unit=st.sampled_from([1e-9, 1.0, 1e12]),
)
def test_parted_shares_are_shares_and_the_same_in_any_units(seed, n, d, sizes, unit):
    rng = np.random.default_rng(seed)
    own = rng.dirichlet(np.ones(len(sizes)), size=n)
    shares = np.repeat(own / np.array(sizes), sizes, axis=1)
    x, weights = rng.normal(size=(n, d)), rng.integers(1, 4, size=n).astype(float)
    found = parted(shares, x, weights, np.random.default_rng(seed))
    assert (found >= 0).all()
    assert np.allclose(found.sum(axis=1), 1.0)
    other = parted(shares, unit * x, weights, np.random.default_rng(seed))
    assert np.allclose(found, other)


def test_twins_get_slices_of_their_own():
    x = np.linspace(-1, 1, 50)[:, None]
    shares = np.full((50, 3), 1 / 3)
    assert [list(group) for group in alike(shares, np.ones(50))] == [[0, 1, 2]]
    for seed in range(5):
        found = parted(shares, x, np.ones(50), np.random.default_rng(seed))
        assert (np.diff(found.argmax(axis=1)) != 0).sum() <= 2  # each a stretch of the line
        assert len(alike(found, np.ones(50))) == 0


def test_where_every_start_degenerates_the_table_of_models_says_what_is_no_maximum():
    """Two values have no mixture of two but of points; one component twice is no maximum."""
    x = np.repeat([0.0, 1.0], [12, 8])
    chosen = emframe.select(("gaussian", (1, 2)), x, rng=0)
    one, two = chosen.table
    assert one["log_likelihood"] == pytest.approx(stats.norm.logpdf(x, 0.4, x.std()).sum())
    assert two["log_likelihood"] == pytest.approx(one["log_likelihood"])
    assert (one["status"], two["status"]) == ("converged", "saddle")
    assert "saddle" in str(chosen)
    assert one["best"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_starts", ["quick", "default", 2])
def test_a_component_that_can_be_spared_goes_where_it_does_more(seed, n_starts):
    """Three Poisson components for the death notices: two alike is a ridge, not the maximum.

    No mixture of Poisson components, of however many, is above -1989.92710 (`Fit.gap`, and 60,000
    steps of EM on a grid of rates).
    """
    notices = emframe.dataset("death_notices")
    found = emframe.fit(emframe.Mixture("poisson", 3), notices, rng=seed, n_starts=n_starts)
    assert found.converged
    assert found.log_likelihood == pytest.approx(-1989.927105, abs=2e-6)
    assert found.gap(notices.X, weights=notices.weights).is_maximum
