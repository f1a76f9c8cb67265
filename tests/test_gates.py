"""Weights that depend on covariates, against the likelihood written out and maximised by scipy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, xlogy
from scipy.stats import binom, norm, poisson, t

import emframe
from emframe.latents import logit
from emframe.parameters import from_vector, n_free, to_vector

N = 240


def odds(n=N, seed=0, q=1):
    """Covariates, and labels drawn by a logit on them."""
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(n, q))
    return u, (rng.random(n) < 1.0 / (1.0 + np.exp(-0.3 - 1.2 * u[:, 0]))).astype(int), rng


def gaussian(p, x):
    return norm.logpdf(x[:, :1], p.means[:, 0], np.sqrt(p.covariances[:, 0, 0]))


def counts(p, x):
    return poisson.logpmf(x[:, :1], p.rates[:, 0])


def items(p, x):
    return (xlogy(x[:, None], p.probs) + xlogy(1 - x[:, None], 1 - p.probs)).sum(axis=2)


def answers(p, x):
    codes = x.astype(int)
    return sum(np.log(p.probs[:, j, codes[:, j]]).T for j in range(x.shape[1]))


def student(p, x):
    return t.logpdf(x[:, :1], p.dof, p.locations[:, 0], np.sqrt(p.scale_matrices[:, 0, 0]))


def line(p, x):
    return norm.logpdf(x[:, :1], p.intercept + p.x1 * x[:, 1:2], p.sigma)


def log_line(p, x):
    return poisson.logpmf(x[:, :1], np.exp(p.intercept + p.x1 * x[:, 1:2]))


def logit_line(p, x):
    eta = p.intercept + p.x2 * x[:, 2:3]
    return binom.logpmf(x[:, :1], x[:, 1:2], 1.0 / (1.0 + np.exp(-eta)))


def exponential(p, x):
    return np.log(p.rate) - p.rate * x[:, :1]


def drawn(name):
    """Rows of two components, and the covariate that tells them apart."""
    u, z, rng = odds()
    v = rng.normal(size=N)
    x = {
        "gaussian": lambda: rng.normal(3.0 * z, 1.0 + z),
        "poisson": lambda: rng.poisson(np.array([2.0, 7.0])[z]),
        "bernoulli": lambda: rng.random((N, 4)) < np.array([[0.2], [0.8]])[z],
        "categorical": lambda: np.column_stack(
            [
                (rng.random(N) + 1.1 * z > cut).astype(int) + (rng.random(N) < 0.3)
                for cut in (1, 0.8)
            ]
        ),
        "student-t": lambda: rng.standard_t(5, size=N) + 4.0 * z,
        "gaussian-regression": lambda: np.column_stack(
            [rng.normal(np.array([0.0, 2.0])[z] + np.array([1.0, -1.0])[z] * v, 0.7), v]
        ),
        "poisson-regression": lambda: np.column_stack(
            [rng.poisson(np.exp(np.array([0.3, 2.0])[z] + np.array([0.5, -0.2])[z] * v)), v]
        ),
        "binomial-regression": lambda: np.column_stack(
            [rng.binomial(9, 1 / (1 + np.exp(-np.array([-2.0, 1.0])[z] - v))), np.full(N, 9), v]
        ),
        "exponential": lambda: rng.exponential(np.array([0.5, 6.0])[z]),
    }[name]()
    return np.column_stack([np.asarray(x, dtype=float), u])


EXPONENTIAL = emframe.from_logpdf(
    lambda x, rate: np.log(rate) - rate * x,
    {"rate": emframe.Positive()},
    support=emframe.NonNegative(),
)
FAMILIES = {
    "gaussian": ("gaussian", {}, gaussian),
    "poisson": ("poisson", {}, counts),
    "bernoulli": ("bernoulli", {}, items),
    "categorical": ("categorical", {}, answers),
    "student-t": ("student-t", {"dof": 5.0}, student),
    "gaussian-regression": ("gaussian-regression", {"response": 0, "predictors": (1,)}, line),
    "poisson-regression": ("poisson-regression", {"response": 0, "predictors": (1,)}, log_line),
    "binomial-regression": (
        "binomial-regression",
        {"response": 0, "trials": 1, "predictors": (2,)},
        logit_line,
    ),
    "exponential": (EXPONENTIAL, {}, exponential),
}


def prior(params, u):
    b = np.stack(list(vars(params.gate).values()), axis=1)  # (K, p)
    return log_softmax(np.column_stack([np.ones(len(u)), u]) @ b.T, axis=1)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_maximum_is_that_of_the_likelihood(name):
    family, options, density = FAMILIES[name]
    X = drawn(name)
    d = X.shape[1] - 1
    model = emframe.Mixture(family, 2, weights=emframe.Gate(d), **options)
    fit = emframe.fit(model, X, rng=0, tol=1e-11)
    assert fit.converged, fit.message

    def loglik(params):
        return logsumexp(
            prior(params, X[:, d:]) + density(params.components, X[:, :d]), axis=1
        ).sum()

    assert fit.log_likelihood == pytest.approx(loglik(fit.params), abs=1e-9)

    def loss(vector):
        return -loglik(from_vector(fit.params, vector))

    best = minimize(
        loss, to_vector(fit.params) * 1.01 + 0.01, jac="3-point", options={"gtol": 1e-7}
    )
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-8)


GATED = emframe.Mixture("poisson", 2, weights=emframe.Gate(1))
ROWS = drawn("poisson")


@pytest.fixture(scope="module")
def plain():
    return emframe.fit(GATED, ROWS, rng=0, tol=1e-10)


def test_probabilities_are_those_of_bayes(plain):
    joint = prior(plain.params, ROWS[:, 1:]) + counts(plain.params.components, ROWS)
    assert plain.prior_proba(ROWS) == pytest.approx(np.exp(prior(plain.params, ROWS[:, 1:])))
    assert plain.predict_proba(ROWS) == pytest.approx(np.exp(log_softmax(joint, axis=1)), abs=1e-12)
    hot = np.eye(2)[plain.predict(ROWS)]
    assert plain.complete_log_likelihood(ROWS, hot) == pytest.approx((joint * hot).sum())


def with_words(n=N):
    u, z, rng = odds(n, seed=3)
    word = np.array(["north", "south", "west"])[(u[:, 0] > 0).astype(int) + (rng.random(n) < 0.3)]
    age = rng.normal(40, 9, size=n)
    return pd.DataFrame({"age": age, "y": rng.poisson(2 + 6 * z), "where": word})


def test_words_are_indicators_of_all_but_the_first():
    frame = with_words()
    by_hand = pd.get_dummies(frame, columns=["where"], drop_first=True, dtype=float)
    named = emframe.Gate("age", "where_south", "where_west")
    told = emframe.fit(
        emframe.Mixture("poisson", 2, weights=emframe.Gate("age", "where")), frame, rng=0
    )
    made = emframe.fit(emframe.Mixture("poisson", 2, weights=named), by_hand, rng=0)
    assert told.log_likelihood == pytest.approx(made.log_likelihood, abs=1e-9)
    assert list(vars(told.params.gate)) == ["intercept", "age", "where_south", "where_west"]
    assert told.predict_proba(frame[::2]).to_numpy() == pytest.approx(
        made.predict_proba(by_hand[::2]).to_numpy(), abs=1e-6
    )
    assert told.component_columns == ("y",)
    # Rows without names have the numbers that are made of the words behind the others.
    numbers = by_hand[["y", "age", "where_south", "where_west"]].to_numpy()
    assert told.score_samples(numbers) == pytest.approx(told.score_samples(frame).to_numpy())
    strange = frame.assign(where="east")
    with pytest.raises(ValueError, match="'east', which is none of the values that were fitted"):
        told.predict(strange)


def test_categories_come_in_their_own_order_and_polars_is_welcome():
    polars = pytest.importorskip("polars")
    frame = with_words()
    order = ["west", "south", "north", "nowhere"]
    kinds = frame.assign(where=pd.Categorical(frame["where"], categories=order))
    gate = emframe.Gate("where").settled(kinds)
    assert gate.levels == (("west", "south", "north"),)
    assert emframe.Gate("where").settled(polars.from_pandas(frame)).levels == (
        ("north", "south", "west"),
    )


def test_a_column_may_be_read_by_the_family_too():
    X = drawn("poisson-regression")
    frame = pd.DataFrame(X, columns=["y", "v", "u"])
    model = emframe.Mixture(
        "poisson-regression", 2, response="y", predictors=("v", "u"), weights=emframe.Gate("u", "v")
    )
    fit = emframe.fit(model, frame, rng=0)
    p = fit.params.components
    eta = p.intercept + p.v * X[:, 1:2] + p.u * X[:, 2:3]
    joint = prior(fit.params, X[:, [2, 1]]) + poisson.logpmf(X[:, :1], np.exp(eta))
    assert fit.log_likelihood == pytest.approx(logsumexp(joint, axis=1).sum(), abs=1e-8)
    assert fit.n_parameters == 9


@pytest.mark.parametrize("engine", ["serial", 2])
def test_weights_are_frequencies_and_blocks_and_threads_change_nothing(plain, engine):
    times = np.random.default_rng(5).integers(0, 4, size=N)
    start = plain.params
    weighted = emframe.fit(GATED, ROWS, weights=times, start=start, engine=engine)
    repeated = np.repeat(ROWS, times, axis=0)
    alike = emframe.fit(GATED, repeated, start=start)
    blocks = emframe.Blocks(
        lambda: (repeated[k : k + 50] for k in range(0, len(repeated), 50)), len(repeated), 2
    )
    streamed = emframe.fit(GATED, blocks, start=start, engine=engine)
    for other in (alike, streamed):
        assert other.log_likelihood == pytest.approx(weighted.log_likelihood, abs=1e-8)
        assert to_vector(other.params) == pytest.approx(to_vector(weighted.params), abs=1e-4)


def test_without_columns_it_is_the_mixture():
    bare = emframe.fit(emframe.Mixture("poisson", 2, weights=emframe.Gate()), ROWS[:, :1], rng=0)
    usual = emframe.fit(emframe.Mixture("poisson", 2), ROWS[:, :1], rng=0)
    assert bare.log_likelihood == pytest.approx(usual.log_likelihood, abs=1e-7)
    assert bare.n_parameters == usual.n_parameters
    weights = np.exp(bare.params.gate.intercept)
    assert np.sort(weights / weights.sum()) == pytest.approx(
        np.sort(usual.params.weights), abs=1e-4
    )


def test_a_model_with_one_component_more_begins_at_the_smaller_one(plain):
    larger = emframe.Mixture("poisson", 3, weights=emframe.Gate(1)).settled(ROWS)
    point = larger.embedded(plain.model, plain.params)
    rows = larger.rows(ROWS)
    q = larger.expect(point, rows.x, rows.weights)
    assert q.loglik == pytest.approx(plain.log_likelihood, abs=1e-9)
    grown = emframe.fit(larger, ROWS, start=plain)
    assert grown.log_likelihood >= plain.log_likelihood * (1 + 1e-12)  # which is below 0


def test_a_saved_fit_is_the_same(plain, tmp_path):
    told = emframe.fit(
        emframe.Mixture("poisson", 2, weights=emframe.Gate("where")),
        with_words()[["y", "where"]],
        rng=0,
    )
    for fit, X in ((plain, ROWS), (told, with_words())):
        fit.save(tmp_path / "one.fit")
        back = emframe.load(tmp_path / "one.fit")
        assert np.array_equal(back.predict_proba(X), fit.predict_proba(X))
        assert back.model == fit.model
        assert str(back) == str(fit)


def test_draws_are_made_at_covariates(plain):
    drawn_rows, z = plain.sample(4000, 0, labels=True, given=ROWS[:1])
    assert (drawn_rows[:, 1] == ROWS[0, 1]).all()
    share = plain.prior_proba(ROWS[:1])[0, 1]
    assert abs(z.mean() - share) < 4 * np.sqrt(share * (1 - share) / 4000)
    for k in (0, 1):
        own = drawn_rows[z == k, 0]
        rate = plain.params.components.rates[k, 0]
        assert abs(own.mean() - rate) < 4 * np.sqrt(rate / len(own))
    with pytest.raises(TypeError, match="given=X"):
        plain.sample(3, 0)


def test_standard_errors_are_those_of_the_curvature(plain):
    errors = plain.standard_errors(ROWS)
    flat = to_vector(plain.params)

    def loglik(vector):
        params = from_vector(plain.params, vector)
        joint = prior(params, ROWS[:, 1:]) + counts(params.components, ROWS)
        return logsumexp(joint, axis=1).sum()

    m, h = len(flat), 1e-4
    steps = h * np.eye(m)
    curvature = np.array(
        [
            [
                loglik(flat + a + b)
                - loglik(flat + a - b)
                - loglik(flat - a + b)
                + loglik(flat - a - b)
                for a in steps
            ]
            for b in steps
        ]
    ) / (4 * h * h)
    expected = np.sqrt(np.linalg.inv(-curvature).diagonal())[:2]
    found = [errors.params.gate.intercept[1], errors.params.gate.x1[1]]
    assert found == pytest.approx(expected, rel=1e-3)
    assert errors.params.gate.x1[0] == 0.0


COMPOSED = {
    "list": (
        emframe.Mixture(["gaussian", "student-t"], weights=emframe.Gate(1)),
        drawn("gaussian"),
    ),
    "nested": (
        emframe.Mixture([emframe.Mixture("gaussian", 2), "gaussian"], weights=emframe.Gate(1)),
        drawn("gaussian"),
    ),
    "held": (
        emframe.Mixture(emframe.fixed("gaussian", covariances=1.0), 2, weights=emframe.Gate(1)),
        drawn("gaussian"),
    ),
    "tied": (
        emframe.Mixture(emframe.tied("gaussian", "covariances"), 2, weights=emframe.Gate(1)),
        drawn("gaussian"),
    ),
    "product": (
        emframe.Mixture(
            emframe.Product({"a": "gaussian", "b": "poisson"}), 2, weights=emframe.Gate(2)
        ),
        np.column_stack([drawn("gaussian")[:, 0], drawn("poisson")]),
    ),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_any_family_may_be_gated(name):
    model, X = COMPOSED[name]
    fit = emframe.fit(model, X, rng=0)
    assert fit.converged, fit.message
    d = X.shape[1] - 1
    density = model.family.log_density(fit.params.components, X[:, :d])
    joint = density + prior(fit.params, X[:, d:])
    assert fit.log_likelihood == pytest.approx(logsumexp(joint, axis=1).sum(), abs=1e-7)
    flat = emframe.fit(emframe.Mixture(model.family, 2), X[:, :d], rng=0)
    assert fit.log_likelihood > flat.log_likelihood


def test_runs_that_share_a_component_have_one_prior():
    rng = np.random.default_rng(2)
    u, z, _ = odds(80)
    y = rng.normal(2.5 * np.repeat(z, 4), 1.0)
    runs = emframe.Sequences(np.column_stack([y, np.repeat(u[:, 0], 4)]), np.full(80, 4))
    model = emframe.Mixture(emframe.Grouped("gaussian"), 2, weights=emframe.Gate(1))
    fit = emframe.fit(model, runs, rng=0, tol=1e-10)
    density = gaussian(fit.params.components, y[:, None]).reshape(80, 4, 2).sum(axis=1)
    joint = density + prior(fit.params, u)
    assert fit.log_likelihood == pytest.approx(logsumexp(joint, axis=1).sum(), abs=1e-8)
    assert np.shape(fit.prior_proba(runs)) == (80, 2)
    unlike = emframe.Sequences(np.column_stack([y, rng.normal(size=320)]), np.full(80, 4))
    with pytest.raises(ValueError, match="column 'x1' differs between the rows of run 0"):
        emframe.fit(model, unlike, rng=0)


def test_rows_may_come_as_a_stream(plain):
    online = emframe.Stepwise(GATED.settled(ROWS))
    stream = online.begin(ROWS[:80], start=plain.params)
    for part in np.array_split(ROWS[80:], 4):
        stream = online.update(stream, part)
    assert not stream.message
    there = GATED.expect(stream.params, ROWS, np.ones(N)).loglik
    assert there == pytest.approx(plain.log_likelihood, abs=2.0)


def test_separation_is_told_by_component_and_column():
    rng = np.random.default_rng(1)
    u = rng.normal(size=120)
    y = np.where(u > 0.3, rng.normal(9.0, 1.0, size=120), rng.normal(0.0, 1.0, size=120))
    X = np.column_stack([y, rng.normal(size=120), u])
    model = emframe.Mixture("gaussian", 2, weights=emframe.Gate(1, 2))
    fit = emframe.fit(model, X, rng=0, n_starts=2)
    assert fit.status is emframe.Status.SEPARATED
    assert "is told from the others by 'x2' without error (separation)" in fit.message


def test_a_value_in_which_a_component_has_no_row_is_separation():
    frame = with_words(400)
    frame["y"] = np.random.default_rng(0).poisson(np.where(frame["where"] == "west", 0.2, 30.0))
    half = np.random.default_rng(1).random(400) < 0.5
    frame.loc[half, "y"] = 0
    model = emframe.Mixture("poisson", 2, weights=emframe.Gate("where"))
    fit = emframe.fit(model, frame[["y", "where"]], rng=0, n_starts=2)
    assert fit.status is emframe.Status.SEPARATED
    assert "by 'where_west' without error" in fit.message


def frame_of(**columns):
    return pd.DataFrame(columns)


Y = [1.0, 2.0, 3.0, 2.0]
REFUSED = {
    "a name twice": (lambda: emframe.Gate("a", "a"), ValueError, "named once"),
    "names and indices": (lambda: emframe.Gate("a", 1), TypeError, "all names or all indices"),
    "no column": (lambda: emframe.Gate(1.5), TypeError, "by name, or by index"),
    "a column that is not there": (
        lambda: fitted(emframe.Gate("b"), frame_of(y=Y, a=Y)),
        ValueError,
        "no 'b'",
    ),
    "an index beyond": (
        lambda: fitted(emframe.Gate(2), np.ones((4, 2))),
        ValueError,
        "no column 2",
    ),
    "one word": (
        lambda: fitted(emframe.Gate("a"), frame_of(y=Y, a=list("bbbb"))),
        ValueError,
        "'b' in every row",
    ),
    "a word that is missing": (
        lambda: fitted(emframe.Gate("a"), frame_of(y=Y, a=["b", "c", None, "b"])),
        ValueError,
        "row 2, column 'a' is missing",
    ),
    "a number that is missing": (
        lambda: fitted(emframe.Gate("a"), frame_of(y=Y, a=[1.0, np.nan, 2.0, 3.0])),
        ValueError,
        "row 1, column 1 .'a'. is nan: missing",
    ),
    "columns that follow": (
        lambda: fitted(emframe.Gate("a", "b"), frame_of(y=Y, a=[1.0, 2, 3, 5], b=[2.0, 4, 6, 10])),
        ValueError,
        "'b' follows from intercept, a",
    ),
    "a constant": (
        lambda: fitted(emframe.Gate("a"), frame_of(y=Y, a=[3.0, 3, 3, 3])),
        ValueError,
        "'a' follows from intercept",
    ),
    "nothing for the family": (
        lambda: fitted(emframe.Gate("y"), frame_of(y=Y)),
        ValueError,
        "leaves 0 columns",
    ),
    "two coefficients alike": (
        lambda: fitted(emframe.Gate("a_b", "a"), frame_of(y=Y, a_b=Y, a=list("abab"))),
        ValueError,
        "two coefficients would be called 'a_b'",
    ),
    "a gate within a component": (
        lambda: emframe.Mixture(GATED, 2),
        TypeError,
        "let `weights=` of the outer one be the gate",
    ),
    "a start without the gate": (
        lambda: emframe.fit(GATED, ROWS, start={"rates": [[1.0], [2.0]]}),
        ValueError,
        "expected a mapping of intercept, x1",
    ),
}


def fitted(gate, X):
    return emframe.fit(emframe.Mixture("poisson", 2, weights=gate), X, rng=0)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_with_a_remedy(name):
    act, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        act()


# ---- the picture


def test_membership_is_drawn_along_a_column_with_its_interval():
    figure = pytest.importorskip("matplotlib.figure")
    frame = with_words()
    fit = fitted(emframe.Gate("age", "where"), frame)
    errors = fit.standard_errors(frame)
    ax = fit.plot(frame, "membership", errors=errors, ax=figure.Figure().subplots())
    curves = [line.get_xydata() for line in ax.lines]
    assert len(curves) == 2
    age, chance = curves[1].T
    mean = frame.assign(age=0.0).pipe(pd.get_dummies, columns=["where"], dtype=float).mean()
    b = np.stack(list(vars(fit.params.gate).values()), axis=1)[1]
    odds = b[0] + b[1] * age + b[2] * mean["where_south"] + b[3] * mean["where_west"]
    assert chance == pytest.approx(1 / (1 + np.exp(-odds)))
    covariance = errors.derived(
        ["gate.intercept[1]", "gate.age[1]", "gate.where_south[1]", "gate.where_west[1]"]
    ).covariance
    at = np.array([1.0, age[0], mean["where_south"], mean["where_west"]])
    half = 1.959964 * np.sqrt(at @ covariance @ at)
    band = ax.collections[1].get_paths()[0].vertices
    ends = band[np.isclose(band[:, 0], age[0])][:, 1]
    assert [ends.min(), ends.max()] == pytest.approx(
        1 / (1 + np.exp(-odds[0] + np.array([half, -half]))), rel=1e-4
    )
    words = fit.plot(frame, "membership", column="where", ax=figure.Figure().subplots())
    assert [tick.get_text() for tick in words.get_xticklabels()] == ["north", "south", "west"]
    for act, message in (
        (lambda: fit.plot(frame, "membership", column="y"), "the gate reads 'age', 'where'"),
        (lambda: fit.plot(None, "membership"), "pass rows"),
        (lambda: fit.plot(frame, "density", column="age"), "goes with kind='membership'"),
    ):
        with pytest.raises(ValueError, match=message):
            act()


# ---- the logit by itself


def sums_of(seed, n, k, q):
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(n, q)) * rng.uniform(0.1, 50.0, size=q)
    shares = rng.dirichlet(np.full(k, 0.7), size=n).T * rng.uniform(0.2, 3.0, size=n)
    return u, shares, logit.summed(u, shares), rng.normal(size=(k, q + 1)) / 25.0


def by_rows(u, shares, b):
    return (shares * log_softmax(np.column_stack([np.ones(len(u)), u]) @ b.T, axis=1).T).sum()


cases = given(st.integers(0, 10_000), st.integers(5, 60), st.integers(2, 4), st.integers(0, 3))


@cases
@settings(max_examples=40, deadline=None)
def test_value_slope_and_curvature_are_those_of_the_rows(seed, n, k, q):
    u, shares, sums, b = sums_of(seed, n, k, q)
    b -= b[:1]
    assert logit.value(sums, b) == pytest.approx(by_rows(u, shares, b), rel=1e-10)
    for name, found in (("slope", logit.slope(sums, b)[1:].ravel()),):
        step = 1e-5
        expected = []
        for j in range(found.size):
            move = np.zeros(found.size)
            move[j] = step
            move = np.vstack([np.zeros(q + 1), move.reshape(k - 1, q + 1)])
            expected.append(
                (by_rows(u, shares, b + move) - by_rows(u, shares, b - move)) / step / 2
            )
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-4), name
    about = sums.expanded(b)
    moves = np.eye(found.size) * 1e-5
    rows = [np.vstack([np.zeros(q + 1), one.reshape(k - 1, q + 1)]) for one in moves]
    quotients = [
        (logit.slope(sums, b - one) - logit.slope(sums, b + one))[1:].ravel() for one in rows
    ]
    assert about.curvature == pytest.approx(np.array(quotients) / 2e-5, rel=1e-4, abs=1e-3)


@cases
@settings(max_examples=30, deadline=None)
def test_steps_rise_to_the_maximum_and_blocks_add(seed, n, k, q):
    u, shares, sums, b = sums_of(seed, n, k, q)
    b -= b[:1]
    half = n // 2
    parts = logit.summed(u[:half], shares[:, :half]) + logit.summed(u[half:], shares[:, half:])
    here, values = b, [logit.value(parts, b)]
    for _ in range(30):
        here = logit.climbed(parts, here).coefficients
        values.append(by_rows(u, shares, here))
    assert np.diff(values).min() >= -1e-10 * abs(values[0])
    assert logit.slope(parts, here) == pytest.approx(
        np.zeros((k, q + 1)), abs=1e-5 * np.abs(u).max(initial=1.0) * shares.sum()
    )
    assert logit.value(parts * 0.5, b) == pytest.approx(0.5 * logit.value(sums, b))


@pytest.mark.parametrize("steep", [1.0, 40.0, 1e4])
def test_log_odds_of_any_size_have_their_sum_and_a_short_step_its_promise(steep):
    u, shares, sums, b = sums_of(5, 300, 3, 2)
    b = steep * (b - b[:1])
    about, t = sums.expanded(b), shares.sum(axis=0)
    odds = np.column_stack([np.ones(len(u)), u]) @ b.T
    assert about.away == pytest.approx(logsumexp(odds, axis=1) @ t, rel=1e-12)
    alike = logit.LogitSums(sums.cross, ((u, np.ones(len(u))),)).expanded(b)
    assert alike.away == pytest.approx(logsumexp(odds, axis=1).sum(), rel=1e-12)
    far = np.maximum(odds.max(axis=0), 0.0) - np.minimum(odds.min(axis=0), 0.0)
    assert about.reach(0 * b) == pytest.approx(far.max(), rel=1e-12)
    step = np.linspace(-1.0, 1.0, 9).reshape(3, 3) / np.abs(u).max()
    apart = np.ptp(np.column_stack([np.ones(len(u)), u]) @ step.T, axis=1).max()
    assert apart <= about.spread(step) <= 4.0 * apart


def test_with_the_intercept_alone_probabilities_are_shares():
    _, shares, sums, _ = sums_of(3, 50, 3, 0)
    here = np.zeros((3, 1))
    for _ in range(10):
        here = logit.climbed(sums, here).coefficients
    odds_found = np.exp(here[:, 0])
    expected = shares.sum(axis=1) / shares.sum()
    assert odds_found / odds_found.sum() == pytest.approx(expected)
    assert n_free(emframe.Gate().made(np.zeros((3, 1)))) == 2


def test_covariates_stay_where_they_were_in_what_is_drawn_and_drawn_anew():
    turned = ROWS[:, ::-1]
    model = emframe.Mixture("poisson", 2, weights=emframe.Gate(0))
    fit = emframe.fit(model, turned, rng=0)
    rows, _ = fit.sample(50, 0, given=turned)
    assert np.isin(rows[:, 0], turned[:, 0]).all()
    assert fit.predict_proba(rows).shape == (50, 2)
    gate = {"intercept": fit.params.gate.intercept, "x1": fit.params.gate.x0}
    straight = emframe.fit(GATED, ROWS, start={"gate": gate, "rates": fit.params.components.rates})
    options = {"method": "bootstrap", "n_replicates": 6}
    one = fit.standard_errors(turned, rng=1, **options)
    two = straight.standard_errors(ROWS, rng=1, **options)
    assert to_vector(one.params) == pytest.approx(to_vector(two.params), rel=1e-2)


@pytest.mark.parametrize("kind", [None, "density", "uncertainty", "trace"])
def test_pictures_are_of_what_components_see(plain, kind):
    pytest.importorskip("matplotlib").use("Agg")
    axes = plain.plot(None if kind == "trace" else ROWS, kind)
    assert axes.get_xlabel() != "x1"
    with pytest.raises(TypeError, match="no bounds are known for such mixtures"):
        plain.gap(ROWS)
