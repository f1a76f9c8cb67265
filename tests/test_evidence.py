"""An optimum is called an artefact on evidence: in any units, order, weights, and for any family.

The truth of each case is how it was made: rows of a cluster of their own are real, a handful that
were picked from one cloud because they lie together are not.
"""

import numpy as np
import pytest
from emframe_families.gaussian.structures import CODES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

import emframe
from emframe.fitting.evidence import CHANCE, artefacts, evidence
from emframe.fitting.grain import Grain, distinct, resolution
from emframe.models import Mixture, MixtureParameters

UNITS = st.sampled_from([1e-9, 1e-3, 1.0, 1e5, 1e12])


def judged(model, params, X, weights=None):
    model = model.settled(X, weights)
    return artefacts(model, params, model.rows(X, weights))


def fitted(model, X, labels, weights=None):
    """One ascent from labels; its parameters, and its verdict in words."""
    fit = emframe.fit(model, X, start=labels, rng=0, weights=weights, tol=1e-5)
    return fit.params, fit.starts[0].spurious


def moments(X, labels, weights=None):
    """Gaussian parameters of these groups of rows, by numpy."""
    w = np.ones(len(X)) if weights is None else weights
    groups = [labels == k for k in range(labels.max() + 1)]
    means = np.stack([np.average(X[g], axis=0, weights=w[g]) for g in groups])
    scatters = np.stack([np.cov(X[g].T, aweights=w[g], bias=True) for g in groups])
    d = X.shape[1]
    shares = np.array([w[g].sum() for g in groups]) / w.sum()
    kind = emframe.family("gaussian").parameters
    return MixtureParameters(shares, kind(means, scatters.reshape(-1, d, d)))


def cloud(rng, n, d):
    return rng.normal(size=(n, d))


def nearest(X, rng, m):
    """Labels that give the m rows about some row a component of their own."""
    near = np.argsort(((X - X[rng.integers(len(X))]) ** 2).sum(axis=1))[:m]
    labels = np.zeros(len(X), dtype=int)
    labels[near] = 1
    return labels


# ---- the law of chance


@pytest.mark.parametrize("m", [6.0, 20.0, 300.0])
@pytest.mark.parametrize("gain", [0.5, 3.0, 12.0])
@pytest.mark.parametrize("n", [50.0, 1e4])
def test_evidence_is_a_bound_of_the_poisson_tail(m, gain, n):
    q, p = 2, 2
    own = gain - p / (m - q - 1)
    rows, expected = m - q, n * np.exp(-max(own, 0.0))
    ways = special.gammaln(n + 1) - special.gammaln(q + 1) - special.gammaln(n - q + 1)
    found = evidence(m, q, p, gain, n) + ways
    if rows <= expected:
        assert found == pytest.approx(0.0, abs=1e-9)
        return
    # That of so many rows alone, by Stirling's formula, and of as many or more: Chernoff's bound.
    alone = -stats.poisson.logpmf(rows, expected) - 0.5 * np.log(2 * np.pi * rows)
    assert found == pytest.approx(alone, abs=1 / (6 * rows))
    tail = -stats.poisson.logsf(rows - 1, expected)
    assert found <= tail + 1e-9


def test_rows_that_fix_a_component_are_no_evidence_however_far():
    for m in (1.0, 2.0, 3.0):
        assert evidence(m, 2, 2, 1e5, 1e3) == -np.inf
    assert evidence(4.0, 2, 2, 1e5, 1e3) > CHANCE


def test_a_run_counts_by_its_rows():
    """Runs of length 1 are rows; one long run may be evidence, where one row is none."""
    assert evidence(9.0, 2.0, 2, 4.0, 100.0, 1.0) == evidence(9.0, 2, 2, 4.0, 100.0)
    assert evidence(1.0, 2 / 20, 2, 80.0, 100.0, 20.0) > CHANCE
    assert evidence(1.0, 2 / 2, 2, 80.0, 100.0, 2.0) == -np.inf


# ---- what is real


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("ratio", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("m", [30, 400])
def test_a_tight_cluster_of_its_own_is_real(d, ratio, m):
    rng = np.random.default_rng(7)
    X = np.concatenate([cloud(rng, 300, d), 0.5 + ratio * rng.normal(size=(m, d))])
    labels = np.repeat([0, 1], [300, m])
    assert judged(Mixture("gaussian", 2), moments(X, labels), X) == {}


@pytest.mark.parametrize("gap", [20.0, 1e3, 1e7])
@pytest.mark.parametrize("share", [0.02, 0.5])
def test_two_clusters_far_apart_are_real(gap, share):
    rng = np.random.default_rng(3)
    m = int(1000 * share)
    X = np.concatenate([cloud(rng, 1000 - m, 2), gap + cloud(rng, m, 2)])
    labels = np.repeat([0, 1], [1000 - m, m])
    assert judged(Mixture("gaussian", 2), moments(X, labels), X) == {}


def test_many_peaks_of_unlike_width_are_real():
    rng = np.random.default_rng(5)
    width = 0.05 * np.exp(0.7 * rng.normal(size=40))
    labels = np.repeat(np.arange(40), 15)
    X = (labels + width[labels] * rng.normal(size=600))[:, None]
    assert judged(Mixture("gaussian", 40), moments(X, labels), X) == {}


# ---- what is not


@pytest.mark.parametrize("d", [1, 2, 3, 6])
@pytest.mark.parametrize("covariance", ["full", "diag"])
@pytest.mark.parametrize("n", [100, 1000])
def test_a_few_rows_that_happen_to_lie_close_are_an_artefact(d, covariance, n):
    rng = np.random.default_rng([d, n])
    X = cloud(rng, n, d)
    q = 2 if covariance == "diag" or d == 1 else -(-(d + d * (d + 1) // 2) // d)
    labels = nearest(X, rng, q + 2)
    params = moments(X, labels)
    if covariance == "diag":
        kept = params.components.covariances * np.eye(d)
        kind = emframe.family("gaussian", covariance="diag").parameters
        params = MixtureParameters(params.weights, kind(params.components.means, kept))
    assert set(judged(Mixture("gaussian", 2, covariance=covariance), params, X)) == {1}


@pytest.mark.parametrize("rows", [2, 9, 40])
def test_a_value_that_rows_share_is_a_point(rows):
    rng = np.random.default_rng(0)
    X = np.round(cloud(rng, 200, 1), 1)
    X[:rows] = 0.3
    for sd in (1e-9, 1e-3):
        params = MixtureParameters(
            np.array([1 - rows / 200, rows / 200]),
            emframe.family("gaussian").parameters(
                np.array([[0.0], [0.3]]), np.array([[[1.0]], [[sd**2]]])
            ),
        )
        assert judged(Mixture("gaussian", 2), params, X) == {
            1: "it is narrower than its values are recorded"
        }


def test_a_point_among_values_that_were_recorded_finely_is_one():
    """The least step is far below its width, so that it is its single value that tells."""
    X = cloud(np.random.default_rng(0), 300, 1)
    X[:40] = 0.3
    labels = np.repeat([1, 0], [40, 260])
    X[:40] += np.linspace(-1e-4, 1e-4, 40)[:, None]
    params = moments(X, labels)  # about as wide as the 40 lay before
    assert judged(Mixture("gaussian", 2), params, X) == {}
    X[:40] = 0.3
    assert set(judged(Mixture("gaussian", 2), params, X)) == {1}


def test_no_density_counts_for_more_than_values_recorded_so_allow():
    """Rows on a line of the grid are as near it as their rounding, whatever their correlation."""
    X = np.round(cloud(np.random.default_rng(3), 400, 2), 1)
    labels = (X[:, 0] == X[:, 1]).astype(int)
    assert 5 < labels.sum() < 30
    near = X + 1e-7 * np.random.default_rng(4).normal(size=X.shape)  # so that there is a density
    params = moments(near, labels)
    assert set(judged(Mixture("gaussian", 2), params, X)) == {1}


@pytest.mark.parametrize(
    ("dist", "at", "narrow"),
    [
        ("gamma", {"a": [4.0, 2.7e14], "scale": [1.0, 5.0 / 2.7e14]}, 5.0),
        ("lognorm", {"s": [0.6, 1e-9], "scale": [4.0, 5.0]}, 5.0),
        ("weibull_min", {"c": [2.0, 1e9], "scale": [5.0, 5.0]}, 5.0),
    ],
)
def test_a_density_of_one_own_is_judged_alike(dist, at, narrow):
    rng = np.random.default_rng(1)
    x = np.round(rng.gamma(4.0, 1.0, size=120), 1) + 0.1
    x[:5] = narrow
    model = Mixture(emframe.from_scipy(dist), 2)
    params = model.build({"weights": [0.96, 0.04], **at})
    assert set(judged(model, params, x)) == {1}
    m = 60  # of a tight cluster of its own
    real = np.concatenate([x[5:], narrow * np.exp(1e-4 * rng.normal(size=m))])
    wide = {
        "gamma": {"a": [4.0, 1e8], "scale": [1.0, narrow / 1e8]},
        "lognorm": {"s": [0.6, 1e-4], "scale": [4.0, narrow]},
        "weibull_min": {"c": [2.0, 1.2e4], "scale": [5.0, narrow]},
    }[dist]
    params = model.build({"weights": [1 - m / len(real), m / len(real)], **wide})
    assert judged(model, params, real) == {}


def test_select_prefers_no_point_of_rounded_data():
    rng = np.random.default_rng(0)
    x = np.round(np.concatenate([rng.gamma(3, 1, 60), rng.gamma(20, 0.5, 60)]), 1)
    gammas = [Mixture(emframe.from_scipy("gamma"), k) for k in (2, 3)]
    chosen = emframe.select(gammas, np.maximum(x, 0.1), rng=0, n_starts=6)
    assert all(not fit.spurious and fit.converged for fit in chosen.fits)
    assert any(one.spurious for fit in chosen.fits for one in fit.optima)
    assert max(fit.components.a.max() for fit in (f.params for f in chosen.fits)) < 1e4


# ---- every family says what it has that can shrink

FULL, MEAN = [[[1.0, 0.0], [0.0, 1.0]]], [[0.0, 0.0]]


def hold(**values):
    return emframe.fixed(emframe.family("gaussian"), **values)


@pytest.mark.parametrize(
    ("family", "d", "freedom"),
    [
        *((emframe.family("gaussian", covariance=code), 3, 0) for code in CODES if code[0] == "E"),
        *(
            (emframe.family("gaussian", covariance=code), 3, free)
            for code, free in [
                # mean 3, volume 1, shape 2, orientation 3
                ("VII", 4),
                ("VEI", 4),
                ("VVI", 6),
                ("VEE", 4),
                ("VVE", 6),
                ("VEV", 7),
                ("VVV", 9),
            ]
        ),
        (emframe.family("student-t"), 2, 6),
        (emframe.family("student-t", dof=4.0), 2, 5),
        (emframe.family("student-t", dof="shared"), 2, 5),
        (emframe.family("student-t", covariance="tied"), 2, 0),
        (hold(covariances=FULL[0]), 2, 0),
        (hold(means=MEAN[0]), 2, 3),
        (emframe.tied(emframe.family("gaussian"), "covariances"), 2, 0),
        (emframe.tied(emframe.family("gaussian"), "means"), 2, 3),
        (emframe.fixed(emframe.family("gaussian", covariance="VEI"), means=MEAN[0]), 2, 1),
        (emframe.fixed(emframe.family("student-t"), scale_matrices=FULL[0]), 2, 0),
        (emframe.family("poisson"), 2, 0),
        (emframe.family("bernoulli"), 2, 0),
        (emframe.family("gaussian-regression"), 2, 3),
        (emframe.family("poisson-regression"), 2, 0),
        (emframe.family("binomial-regression"), 2, 0),
        (emframe.Product({(0, 1): "poisson-regression", 2: "gaussian"}), 3, 2),
        (emframe.from_scipy("gamma"), 1, 2),
        (emframe.from_scipy("gamma", fixed={"scale": 1.0}), 1, 1),
        (emframe.from_scipy("poisson"), 1, 0),
        (emframe.Product({(0, 1): "gaussian", 2: "bernoulli"}), 3, 5),
        (emframe.Product({0: "poisson", 1: "bernoulli"}), 2, 0),
        (emframe.Grouped("gaussian"), 1, 2),
    ],
    ids=str,
)
def test_freedom_is_what_can_shrink(family, d, freedom):
    params = family.template({"K": 2, "d": d})
    assert family.freedom(params, 2).tolist() == [freedom, freedom]


def test_a_list_of_families_and_inner_mixtures_have_pieces_of_their_own():
    held = hold(covariances=[[1.0]])
    model = Mixture([held, "gaussian", Mixture("gaussian", 2)])
    x = cloud(np.random.default_rng(0), 60, 1)
    params = emframe.fit(model, x, rng=0, n_starts=1, max_iter=3).params
    pieces = model.pieces(params, x)
    assert pieces.freedom.tolist() == [0, 2, 2, 2]
    assert pieces.owners.tolist() == [0, 1, 2, 2]
    assert np.allclose(pieces.shares.sum(axis=1), 1.0)


def test_an_inner_component_on_a_few_rows_is_told_by_its_owner():
    rng = np.random.default_rng(2)
    x = np.concatenate([cloud(rng, 200, 1), 30 + cloud(rng, 200, 1)])
    model = Mixture(Mixture("gaussian", 2), 2)
    near = np.sort(np.abs(x[:, 0] - x[0, 0]))[3]
    inner = emframe.family("gaussian").parameters
    one = inner(np.array([[0.0], [30.0]]), np.ones((2, 1, 1)))
    two = inner(np.array([[x[0, 0]], [30.5]]), np.array([[[(near / 4) ** 2]], [[1.0]]]))
    family = model.family
    params = family.parameters(np.array([[0.99, 0.01], [0.5, 0.5]]), one, two)
    found = judged(model, MixtureParameters(np.array([0.5, 0.5]), params), x)
    assert list(found) == [0]
    assert found[0].startswith("inner component 1: ")


def test_an_inner_component_of_a_column_is_told_too():
    """A product of which a column is a mixture itself has that mixture's components for pieces."""
    rng = np.random.default_rng(2)
    x = np.concatenate([cloud(rng, 200, 2), 30 + cloud(rng, 200, 2)])
    inner = Mixture("gaussian", 2).as_component()
    family = emframe.Product({0: inner, 1: "gaussian"})
    near = np.sort(np.abs(x[:, 0] - x[0, 0]))[3]
    normal = emframe.family("gaussian").parameters
    one = normal(np.array([[0.0], [30.0]]), np.ones((2, 1, 1)))
    two = normal(np.array([[x[0, 0]], [30.5]]), np.array([[[(near / 4) ** 2]], [[1.0]]]))
    mixed = inner.parameters(np.array([[0.99, 0.01], [0.5, 0.5]]), one, two)
    params = MixtureParameters(np.array([0.5, 0.5]), family.parameters(mixed, one))
    model = Mixture(family, 2)
    pieces = model.pieces(params, x)
    assert pieces.owners.tolist() == [0, 0, 1, 1]
    assert np.allclose(pieces.shares.sum(axis=1), 1.0)
    found = judged(model, params, x)
    assert list(found) == [0]
    assert found[0].startswith("inner component 1: ")


# ---- kinds of rows


@pytest.mark.parametrize("columns", [1, 12])
def test_discrete_columns_beside_real_ones_are_neither_evidence_nor_its_want(columns):
    """Probabilities that fit a handful of rows well do not make it real."""
    rng = np.random.default_rng(columns)
    answers = (rng.random((400, columns)) < 0.4).astype(float)
    X = np.concatenate([cloud(rng, 400, 1), answers], axis=1)
    real, items = emframe.family("gaussian"), emframe.family("bernoulli")
    family = emframe.Product({0: real, tuple(range(1, columns + 1)): items})
    for m, found in ((4, {1}), (60, set())):
        labels = nearest(X[:, :1], rng, m)
        rows = X.copy()
        if m == 60:
            rows[labels == 1, 0] = 0.4 + 1e-3 * rng.normal(size=m)
        shares = np.array([1 - m / 400, m / 400])
        normal = moments(rows[:, :1], labels).components
        rates = np.stack([rows[labels == k, 1:].mean(axis=0) for k in (0, 1)])
        each = (normal, items.parameters(rates))
        params = MixtureParameters(shares, family.parameters(*each))
        assert set(judged(Mixture(family, 2), params, rows)) == found


def test_answers_that_differ_make_no_two_places_of_a_point():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=300), rng.random(300) < 0.5]).astype(float)
    X[:40, 0] = 0.3
    family = emframe.Product({0: "gaussian", 1: "bernoulli"})
    normal = emframe.family("gaussian").parameters
    at = normal(np.array([[0.0], [0.3]]), np.array([[[1.0]], [[1e-8]]]))
    rates = emframe.family("bernoulli").parameters(np.array([[0.5], [0.5]]))
    params = MixtureParameters(np.array([0.87, 0.13]), family.parameters(at, rates))
    assert set(judged(Mixture(family, 2), params, X)) == {1}


def test_a_fit_of_many_answers_to_a_few_rows_is_no_evidence():
    rng = np.random.default_rng(5)
    X = np.concatenate([cloud(rng, 300, 1), rng.integers(2, size=(300, 150))], axis=1)
    labels = nearest(X[:, :1], rng, 7)
    items = emframe.family("bernoulli")
    family = emframe.Product({0: "gaussian", tuple(range(1, 151)): items})
    rates = np.stack([X[labels == k, 1:].mean(axis=0) for k in (0, 1)])
    each = (moments(X[:, :1], labels).components, items.parameters(rates))
    params = MixtureParameters(np.array([293, 7]) / 300, family.parameters(*each))
    assert set(judged(Mixture(family, 2), params, X)) == {1}


def with_gaps(X, rng, share):
    gaps = rng.random(X.shape) < share
    whole = gaps.all(axis=1)
    gaps[whole, rng.integers(X.shape[1], size=whole.sum())] = False
    return np.where(gaps, np.nan, X)


@pytest.mark.parametrize("scale", [(1.0, 1.0, 1.0), (1e9, 1.0, 1e-9)])
@pytest.mark.parametrize("kind", ["tight", "near", "one column"])
def test_rows_with_gaps_are_judged_by_what_they_show_in_any_units(kind, scale):
    rng = np.random.default_rng(4)
    X = cloud(rng, 300, 3)
    labels = nearest(X, rng, 7)
    if kind == "tight":
        X = np.concatenate([X, 0.3 + 1e-3 * rng.normal(size=(80, 3))])
        labels = np.repeat([0, 1], [300, 80])
    params = moments(X, labels)
    shown = with_gaps(X, rng, 0.3)
    if kind == "one column":  # of which one cluster shows one column, and the other all of them
        X = np.concatenate([cloud(rng, 200, 3), 9.0 + cloud(rng, 200, 3)])
        labels = np.repeat([0, 1], 200)
        params, shown = moments(X, labels), X.copy()
        shown[200:, 1:] = np.nan
    s = np.array(scale)
    normal = type(params.components)(
        params.components.means * s, params.components.covariances * np.outer(s, s)
    )
    model = emframe.model("incomplete-gaussian", n_components=2)
    found = judged(model, MixtureParameters(params.weights, normal), shown * s)
    assert set(found) == ({1} if kind == "near" else set())


@pytest.mark.parametrize(("length", "runs", "found"), [(20, 1, set()), (5, 3, set()), (2, 1, {1})])
def test_runs_are_evidence_by_their_rows(length, runs, found):
    rng = np.random.default_rng(6)
    X = [rng.normal(size=(length, 1)) for _ in range(60)]
    X += [2.0 + 0.01 * rng.normal(size=(length, 1)) for _ in range(runs)]
    labels = np.repeat([0, 1], [60, runs])
    rows = np.concatenate(X)
    model = Mixture(emframe.Grouped("gaussian"), 2)
    params = moments(rows, np.repeat(labels, length))
    assert set(judged(model, params, X)) == found


@pytest.mark.parametrize("tight", [False, True])
def test_states_of_a_chain_are_judged_by_the_rows_of_all_runs(tight):
    rng = np.random.default_rng(8)
    labels = np.repeat(rng.integers(2, size=80), 5) if tight else np.zeros(400, dtype=int)
    x = np.where(labels == 1, 9 + 1e-4 * rng.normal(size=400), rng.normal(size=400))[:, None]
    if not tight:
        labels = nearest(x, rng, 4)
    model = emframe.model("hidden-markov", family="gaussian", n_states=2)
    normal = moments(x, labels).components
    rare = (labels == 1).mean()
    stay = [[0.8, 0.2], [0.2, 0.8]] if tight else [[1 - rare, rare], [1 - rare, rare]]
    at = {"initial": [0.5, 0.5], "transitions": stay}
    params = model.build(at | {"means": normal.means, "covariances": normal.covariances})
    runs = np.split(x, [100, 250])
    assert set(judged(model, params, runs)) == (set() if tight else {1})


def test_an_exact_line_is_no_point_and_a_few_rows_on_one_are():
    rng = np.random.default_rng(9)
    X = cloud(rng, 300, 2)  # the response first
    model = Mixture("gaussian-regression", 2)

    def lines(labels):
        each = []
        for k in (0, 1):
            mine = X[labels == k]
            design = np.column_stack([np.ones(len(mine)), mine[:, 1]])
            beta, *_ = np.linalg.lstsq(design, mine[:, 0], rcond=None)
            sigma = np.sqrt(((mine[:, 0] - design @ beta) ** 2).mean())
            each.append([len(mine) / len(X), *beta, sigma])
        names = ("weights", "intercept", "x1", "sigma")
        return model.build(dict(zip(names, np.transpose(each), strict=True)))

    slope = (X[1, 0] - X[0, 0]) / (X[1, 1] - X[0, 1])
    off = np.abs(X[:, 0] - X[0, 0] - slope * (X[:, 1] - X[0, 1]))
    labels = np.zeros(300, dtype=int)
    labels[np.argsort(off)[:5]] = 1
    assert set(judged(model, lines(labels), X)) == {1}
    X = np.concatenate([X, np.column_stack([3 - X[:80, 1], X[:80, 1]])])
    X[300:, 0] += 1e-6 * rng.normal(size=80)
    assert judged(model, lines(np.repeat([0, 1], [300, 80])), X) == {}


# ---- it is the rows that speak: no units, order, weights or blocks do


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    unit=UNITS,
    shift=st.sampled_from([0.0, 3.0, -200.0]),
    m=st.integers(3, 40),
    d=st.integers(1, 3),
)
def test_the_verdict_has_no_units_order_or_copies(seed, unit, shift, m, d):
    rng = np.random.default_rng(seed)
    X = cloud(rng, 200, d)
    labels = nearest(X, rng, m + d)
    params = moments(X, labels)
    model = Mixture("gaussian", 2)
    plain = judged(model, params, X)
    kind = type(params.components)
    other = MixtureParameters(
        params.weights,
        kind(unit * (params.components.means + shift), unit**2 * params.components.covariances),
    )
    turn = rng.permutation(200)
    assert judged(model, other, (unit * (X + shift))[turn]) == plain
    times = rng.integers(1, 4, size=200)
    twice = judged(model, params, np.repeat(X, times, axis=0))
    assert judged(model, params, X, times.astype(float)) == twice


def test_blocks_of_a_file_are_judged_as_the_array_is():
    rng = np.random.default_rng(1)
    X = cloud(rng, 50_000, 2)
    labels = nearest(X, rng, 6)
    params, model = moments(X, labels), Mixture("gaussian", 2)
    found = judged(model, params, X)
    assert list(found) == [1]
    sizes = []

    def read():
        for part in np.array_split(X, 7):
            sizes.append(len(part))
            yield part

    assert judged(model, params, emframe.Blocks(read, 50_000, 2)) == found
    assert max(sizes) < 10_000


def test_a_narrow_component_between_the_rows_of_a_sample_is_seen():
    """Every second row of 60,000 is looked at first, and the few are all odd."""
    rng = np.random.default_rng(1)
    X = cloud(rng, 60_000, 1)
    X[1:9:2] = 0.5 + 1e-9 * rng.normal(size=(4, 1))
    labels = np.zeros(60_000, dtype=int)
    labels[1:9:2] = 1
    params = moments(X, labels)
    assert list(judged(Mixture("gaussian", 2), params, X)) == [1]


# ---- how fine values are recorded


def test_the_grain_is_the_least_step_of_each_column():
    x = np.array([[0.1, 5.0, 1e9], [0.3, 5.0, 1e9 + 2], [0.30000000000000004, 5.0, np.nan]])
    assert resolution(x) == pytest.approx([0.2, np.inf, 2.0])
    rows = Mixture("gaussian", 1).rows(x[:2, [0, 2]])
    assert Grain(rows).steps == pytest.approx([0.2, 2.0])
    assert not Grain(rows).has_gaps


def test_the_spread_of_a_column_is_that_of_what_is_seen():
    rng = np.random.default_rng(0)
    X = with_gaps(rng.normal(size=(500, 3)) * [1e-6, 1.0, 1e8], rng, 0.4)
    grain = Grain(emframe.model("incomplete-gaussian").rows(X))
    assert grain.has_gaps
    assert grain.log_spread == pytest.approx(np.log(np.nanstd(X, axis=0)), rel=1e-10)


def test_the_spread_is_the_same_in_blocks():
    X = np.random.default_rng(0).normal(size=(90, 2)) + np.repeat([0.0, 1e3, -50.0], 30)[:, None]
    rows = Mixture("gaussian", 1).rows(emframe.Blocks(lambda: np.split(X, 3), 90, 2))
    assert Grain(rows).log_spread == pytest.approx(np.log(X.std(axis=0)), rel=1e-10)


def test_rows_that_are_equal_to_rounding_are_one_place():
    x = np.array([[1.0, np.nan], [1.0 + 1e-16, np.nan], [1.0, 2.0], [3.0, 2.0]])
    places, shares = distinct(x, np.array([0.3, 0.9, 0.5, 1.0]))
    assert len(places) == 3
    assert shares.sum() == pytest.approx(0.9 + 0.5 + 1.0)


def gamma_density(x, shape, rate):
    return shape * np.log(rate) + (shape - 1) * np.log(x) - rate * x - special.gammaln(shape)


ROUNDED = {
    "beta": (lambda rng: rng.beta(2, 5, 120), lambda: emframe.from_scipy("beta"), 1),
    "invgauss": (
        lambda rng: rng.wald(2.0, 6.0, 120),
        lambda: emframe.from_scipy("invgauss"),
        1,
    ),
    "from_logpdf": (
        lambda rng: rng.gamma(4.0, 0.7, 120),
        lambda: emframe.from_logpdf(
            gamma_density,
            params={"shape": emframe.Positive(), "rate": emframe.Positive()},
            support=emframe.Positive(),
        ),
        1,
    ),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_points_of_rounded_data_are_not_preferred_in_the_density_lane(name: str) -> None:
    draw, family, wanted = ROUNDED[name]
    x = np.round(draw(np.random.default_rng(0)), 1)
    x = np.clip(x, 0.1, 0.9 if name == "beta" else np.inf)
    selection = emframe.select([Mixture(family(), k) for k in (1, 2)], x, rng=0, n_starts=6)
    assert not selection.best.spurious
    assert selection.best.model.n_components == wanted
