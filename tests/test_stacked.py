"""Many starts as one: their passes, their climbs, and the search that they make together."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from emframe_families.gaussian.structures import CODES
from hypothesis import given, settings
from hypothesis import strategies as st

import emframe
from emframe.core import Degenerate, MaxIterations, RemainingGain, run
from emframe.core.expectation import objective
from emframe.data import frequencies
from emframe.families import ConjugatePrior
from emframe.fitting import expectation
from emframe.fitting.movers import method_for
from emframe.fitting.stacked_climb import climb
from emframe.fitting.stacked_ends import Ending
from emframe.fitting.stacked_front import Rules
from emframe.fitting.stacked_search import Effort, search
from emframe.models.many_starts import many_moves, many_starts
from emframe.models.mixture_stack import MixtureStack
from emframe.parameters import to_vector
from emframe.spaces import Groups, Positive, PositiveDefinite

RNG = np.random.default_rng(3)
LABELS = np.arange(120) % 3
REAL = RNG.normal([[0.0, 0.0], [4.0, 1.0], [1.0, 5.0]], 1.0, (40, 3, 2)).reshape(-1, 2)
BINARY = (RNG.random((120, 5)) < np.array([0.2, 0.5, 0.8])[LABELS][:, None]).astype(float)
COUNTS = RNG.poisson(np.array([[1.0, 9.0], [5.0, 2.0], [20.0, 4.0]])[LABELS]).astype(float)
CODED = np.minimum(COUNTS, 3.0)
LINES = np.column_stack([REAL[:, 0] * np.array([1.0, -2.0, 3.0])[LABELS] + REAL[:, 1], REAL[:, 0]])
MIXED = np.column_stack([REAL, COUNTS[:, 0]])


def cauchy(x, centre, width):
    return -np.log(np.pi * width * (1.0 + ((x - centre) / width) ** 2))


def made(family, k=3, **options):
    return lambda: emframe.Mixture(family() if callable(family) else family, k, **options)


TABLE = {
    **{f"gaussian-{c}": (made("gaussian", covariance=c), REAL) for c in CODES},
    "bernoulli": (made("bernoulli"), BINARY),
    "poisson": (made("poisson"), COUNTS),
    "categorical": (made("categorical"), CODED),
    "product": (
        made(
            lambda: emframe.Product(
                {(0, 1): emframe.family("gaussian", covariance="tied"), 2: "poisson"}
            )
        ),
        MIXED,
    ),
    "from_logpdf": (
        made(
            lambda: emframe.from_logpdf(
                cauchy, params={"centre": emframe.Real(), "width": emframe.Positive()}
            ),
            2,
        ),
        REAL[:, :1],
    ),
    "student-t": (made("student-t", 2), REAL),
    "student-t-held": (made("student-t", 2, dof=4.0), REAL),
    "gaussian-regression": (made("gaussian-regression", response=0, predictors=(1,)), LINES),
    "poisson-regression": (
        made("poisson-regression", 2, response=0, predictors=(1,)),
        np.column_stack([COUNTS[:, 0], REAL[:, 0]]),
    ),
    "nested": (made(lambda: emframe.Mixture("gaussian", 2).as_component(), 2), REAL),
    "held-weights": (lambda: emframe.Mixture("gaussian", 3).fixed(weights=1 / 3), REAL),
}
NONE = {
    "fixed": lambda: emframe.Mixture(emframe.fixed("gaussian", means=1.0), 2),
    "unlike": lambda: emframe.Mixture(["gaussian", "student-t"]),
    "tied-dof": lambda: emframe.Mixture("student-t", 2, dof="shared"),
    "hidden-markov": lambda: emframe.model("hidden-markov", family="gaussian", n_states=2),
}
table = pytest.mark.parametrize("name", TABLE)
few = pytest.mark.parametrize("name", ["gaussian-VVV", "gaussian-EEE", "bernoulli", "poisson"])


def bed(name, weights=None, prior=None, x=None):
    """A model of the table, its data, its stack and its E-step."""
    make, data = TABLE[name]
    data = data if x is None else x
    model = make().settled(data)
    rows = model.rows(data, None if weights is None else frequencies(data, weights))
    survey = model.survey(rows)
    term = model.prior(prior, survey)
    stack = MixtureStack.of(model.under(term), rows, survey, term)
    return model.under(term), rows, stack, expectation(model, rows, term, survey)


def begun(model, rows, n=4, seed=0):
    supply = model.starts(rows, np.random.default_rng(seed))
    return [params for _, params in islice(supply, n) if not isinstance(params, Degenerate)]


# ---- one pass


@table
@pytest.mark.parametrize("prior", [None, "weak"])
def test_a_pass_is_that_of_each_start_alone(name, prior):
    try:
        model, rows, stack, expect = bed(name, prior=prior)
    except ValueError:
        pytest.skip("the family has no such prior")
    each = begun(model, rows)
    points = stack.join(each)
    looks = stack.look(points)
    assert looks.sound.all()
    for start, params in enumerate(each):
        q = expect(params)
        em = q.maximize()
        assert looks.objective[start] == pytest.approx(objective(q), rel=1e-11)
        assert looks.log_likelihood[start] == pytest.approx(q.loglik, rel=1e-11)
        assert looks.em_x[start] == pytest.approx(to_vector(em), rel=1e-7, abs=1e-9)
        slope = q.gradient()
        assert looks.gradient[start] == pytest.approx(slope, abs=1e-6 * (1 + np.abs(slope).max()))
        alone = stack.one(looks.em, start)
        assert type(alone) is type(em)
        assert model.problem(alone, rows.source.shape[1]) is None


@table
def test_coordinates_lead_back(name):
    model, rows, stack, _ = bed(name)
    points = stack.join(begun(model, rows))
    x = stack.vectors(points)
    assert x == pytest.approx(np.array([to_vector(one) for one in begun(model, rows)]))
    there, inside = stack.at(points, x)
    assert inside.all()
    assert stack.vectors(there) == pytest.approx(x, abs=1e-9)
    x[1] = np.nan
    there, inside = stack.at(points, x)
    assert list(inside) == [True, False, *[True] * (len(x) - 2)]
    assert stack.vectors(there)[1] == pytest.approx(stack.vectors(points)[1])


@few
def test_the_entropy_of_each_start_closes_its_books(name):
    model, rows, stack, expect = bed(name)
    each = begun(model, rows)
    sums = stack._e_step(stack.join(each))
    assert sums.entropy == pytest.approx([expect(one).entropy for one in each], rel=1e-9)


def test_blocks_add_up(monkeypatch):
    model, rows, stack, _ = bed("gaussian-VVV")
    points = stack.join(begun(model, rows))
    whole = stack.look(points)
    monkeypatch.setattr("emframe.models.model_pass.ModelPass.rows", lambda self, d: 17)
    parts = stack.look(points)
    assert parts.objective == pytest.approx(whole.objective, rel=1e-12)
    assert parts.em_x == pytest.approx(whole.em_x, rel=1e-9)


@pytest.mark.parametrize("name", NONE)
def test_what_has_no_stack_says_so(name):
    model = NONE[name]()
    assert MixtureStack.of(model, None, None) is None


def test_a_prior_of_unknown_statistics_is_declined():
    model, rows, _, _ = bed("gaussian-VVV")
    survey = model.survey(rows)

    class Unknown:
        def __add__(self, other):
            return other

    term = model.prior(ConjugatePrior(Unknown(), 0.0), survey)
    assert MixtureStack.of(model, rows, survey, term) is None


def test_groups_of_one_are_the_space_itself():
    space = Groups(PositiveDefinite(), 2)
    one = np.array([[2.0, 0.5], [0.5, 1.0]])
    values = np.stack([one, one, 3 * one, 3 * one])
    assert space.contains(values).tolist() == [True, True]
    at = space.coordinates(values)
    assert at.tolist() == PositiveDefinite().coordinates(values[::2]).tolist()
    assert space.point(at, values.shape) == pytest.approx(values)
    assert space.n_coordinates(values.shape) == space.n_free(values.shape) == 6
    each = np.arange(16.0).reshape(4, 2, 2)
    both = each[::2] + each[1::2]
    assert space.pullback(values, each) == pytest.approx(
        PositiveDefinite().pullback(values[::2], both)
    )
    assert Groups(Positive(), 3).n_coordinates((6,)) == 2


# ---- climbs

TO_THE_END = Rules(late=1e12, bound=1e12, tol=1e-10, last=1e-10, most=2000, few=0, check=1)


@table
def test_ends_are_those_of_the_ordinary_loop(name):
    """Of the same starts; one that joins another is where the other is."""
    model, rows, stack, expect = bed(name)
    each = begun(model, rows, 5)
    ends = climb(stack, stack.join(each), TO_THE_END)
    assert [end.index for end in ends] == list(range(len(each)))
    rules = [RemainingGain(1e-10), MaxIterations(5000)]
    method = method_for(True, model.contract)
    reached = [run(expect, one, rules=rules, method=method).step for one in each]
    heights = np.array([step.objective for step in reached])
    for end in ends:
        if end.ending in (Ending.ARRIVED, Ending.STALLED):
            further = run(expect, end.params, rules=rules, method=method).step.objective
            assert end.objective == pytest.approx(further, rel=1e-8)
            assert end.objective == pytest.approx(objective(expect(end.params)), rel=1e-10)
        else:
            assert end.ending is Ending.JOINED
    # Another way up may lead elsewhere, but not from all starts.
    best = max(end.objective for end in ends)
    assert best >= heights.max() - 1e-8 * abs(heights.max())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), name=st.sampled_from(["gaussian-VVV", "poisson", "bernoulli"]))
def test_no_objective_ever_falls(seed, name):
    model, rows, stack, _ = bed(name)
    each = begun(model, rows, 4, seed)
    if not each:
        return
    heights = {}
    ends = []
    for most in range(1, 30, 2):
        ends = climb(stack, stack.join(each), Rules(most=most, late=1e12, bound=1e12, few=0))
        for end in ends:
            assert end.objective >= heights.get(end.index, -np.inf)
            heights[end.index] = end.objective
    assert ends


@few
def test_weights_are_repeated_rows(name):
    data = TABLE[name][1]
    weights = np.random.default_rng(0).integers(1, 4, len(data))
    model, rows, stack, _ = bed(name, weights=weights)
    other = bed(name, x=np.repeat(data, weights, axis=0))
    each = begun(model, rows)
    one = climb(stack, stack.join(each), TO_THE_END)
    two = climb(other[2], other[2].join(each), TO_THE_END)
    for a, b in zip(one, two, strict=True):
        assert a.objective == pytest.approx(b.objective, abs=0.011)
        if a.ending is b.ending is Ending.ARRIVED:
            assert a.objective == pytest.approx(b.objective, rel=1e-9)


@few
def test_the_order_of_the_rows_does_not_matter(name):
    data = TABLE[name][1]
    order = np.random.default_rng(1).permutation(len(data))
    model, rows, stack, _ = bed(name)
    _, _, other, _ = bed(name, x=data[order])
    points = begun(model, rows)
    one, two = (s.look(s.join(points)) for s in (stack, other))
    assert one.objective == pytest.approx(two.objective, rel=1e-12)


def test_a_degenerate_start_leaves_the_others_alone():
    """One start has a component on a single row; the others end where they would without it."""
    model, rows, stack, _ = bed("gaussian-VVV")
    each = begun(model, rows, 3)
    bad = each[0].components
    means = np.array(bad.means)
    means[1] = REAL[0]
    covariances = np.array(bad.covariances)
    covariances[1] = 1e-12 * np.eye(2)
    spoilt = type(each[0])(each[0].weights, type(bad)(means, covariances))
    ends = climb(stack, stack.join([each[0], spoilt, each[1], each[2]]))
    assert ends[1].ending is Ending.DEGENERATE
    assert "component" in ends[1].why
    alone = climb(stack, stack.join(each))
    for a, b in zip([ends[0], *ends[2:]], alone, strict=True):
        assert a.objective == pytest.approx(b.objective, abs=0.02)
    only = climb(stack, stack.join([spoilt]))
    assert [end.ending for end in only] == [Ending.DEGENERATE]


def test_a_start_that_is_dominated_leaves_early():
    model, rows, stack, _ = bed("gaussian-VVV")
    each = begun(model, rows, 3)
    points = stack.join(each)
    best = max(end.objective for end in climb(stack, points))
    ends = climb(stack, points, floor=best + 1000.0)
    assert {end.ending for end in ends} == {Ending.LEFT}
    assert max(end.n_steps for end in ends) <= 4


def test_a_suspect_start_is_no_measure_for_others():
    model, rows, stack, _ = bed("gaussian-VVV")
    points = stack.join(begun(model, rows, 6))
    ends = climb(stack, points, suspect=lambda params: True)
    assert all(end.ending in (Ending.SUSPECT, Ending.DEGENERATE) for end in ends)


@pytest.mark.parametrize("unit", [1e-9, 1e12])
def test_units_do_not_matter(unit):
    heights = []
    for scale in (1.0, unit):
        stack = bed("gaussian-VVV", x=scale * REAL)[2]
        effort = Effort(first=8, stay=6)
        found = search(stack, np.random.default_rng(0), effort=effort, n_components=3)
        heights.append(found.objective + REAL.size * np.log(scale))
    assert heights[1] == pytest.approx(heights[0], abs=1e-5)


# ---- starts, moves and the search


@pytest.mark.parametrize("is_real", [True, False])
@pytest.mark.parametrize("is_given", [True, False])
def test_starts_are_responsibilities(is_real, is_given):
    rows = emframe.Mixture("gaussian", 3).rows(REAL)
    rng = np.random.default_rng(0)
    kinds, resp = many_starts(rows, 3, 17, rng, is_real, is_given)
    assert len(kinds) == len(resp) == 17
    assert resp.shape == (17, 3, len(REAL))
    assert resp.min() >= 0.0
    assert resp.sum(axis=1) == pytest.approx(np.ones((17, len(REAL))))
    _, again = many_starts(rows, 3, 17, np.random.default_rng(0), is_real, is_given)
    assert (again == resp).all()


def test_too_few_distinct_rows_are_seeds_all_the_same():
    rows = emframe.Mixture("gaussian", 3).rows(np.repeat([[0.0], [1.0]], 10, axis=0))
    _, resp = many_starts(rows, 3, 16, np.random.default_rng(0), True)
    assert np.isfinite(resp).all()


@pytest.mark.parametrize("k", [3, 5])
def test_moves_are_responsibilities(k):
    rng = np.random.default_rng(0)
    resp = rng.dirichlet(np.ones(k), size=len(REAL)).T
    density = rng.normal(size=resp.shape)
    moves = many_moves(resp, density, REAL, np.ones(len(REAL)), 12, rng)
    assert moves.shape == (12, k, len(REAL))
    assert moves.min() >= 0.0
    assert moves.sum(axis=1) == pytest.approx(np.ones((12, len(REAL))))
    kept = [(move == resp).all(axis=1).sum() for move in moves]
    assert set(kept) <= {k - 2, k - 3}  # two begin anew, or two are merged and one is split


SEARCHED = ["gaussian-VVV", "gaussian-EEE", "gaussian-VEV", "bernoulli", "poisson", "student-t"]


@pytest.mark.parametrize("name", SEARCHED)
def test_a_search_finds_what_many_starts_find(name):
    model, rows, stack, expect = bed(name)
    found = search(stack, np.random.default_rng(0), n_components=model.n_components)
    rules, method = [RemainingGain(1e-9), MaxIterations(3000)], method_for(True, model.contract)
    heights = []
    for one in begun(model, rows, 12, 5):
        done = run(expect, one, rules=rules, method=method)
        if done.status.usable and not model.irregularities(done.step.expectation):
            heights.append(done.step.objective)
    assert found.objective >= max(heights) - 1e-6
    best = found.best[0]
    further = run(expect, best.params, rules=rules, method=method)
    assert further.step.objective == pytest.approx(best.objective, rel=1e-9)
    assert found.times >= 1
    indices = [reached.end.index for reached in found.reached]
    assert indices == list(range(len(indices)))
    for reached in found.reached:
        assert reached.end.ending is not Ending.DEGENERATE or reached.end.why
        if reached.parent is not None:
            assert reached.kind == ("spare" if model.n_components == 2 else "split and merge")


def test_the_same_seed_gives_the_same_bits():
    def once():
        stack = bed("gaussian-VVV")[2]
        found = search(stack, np.random.default_rng(7), n_components=3)
        return [(one.kind, one.end.ending, one.end.objective) for one in found.reached]

    assert once() == once()


def test_one_component_has_one_start():
    model = emframe.Mixture("gaussian", 1)
    rows = model.rows(REAL)
    stack = MixtureStack.of(model, rows, model.survey(rows))
    found = search(stack, np.random.default_rng(0), n_components=1)
    assert len(found.reached) == 1
    assert found.objective == pytest.approx(emframe.fit(model, REAL).log_likelihood, rel=1e-10)


def test_two_components_go_on_with_new_starts():
    model = emframe.Mixture("gaussian", 2)
    rows = model.rows(REAL)
    stack = MixtureStack.of(model, rows, model.survey(rows))
    effort = Effort(agree=2.0, rounds=1)
    found = search(stack, np.random.default_rng(0), n_components=2, effort=effort)
    assert found.rounds == 1
    spares = [one for one in found.reached if one.kind == "spare"]
    assert 0 < len(spares) <= effort.moves + 6
    starts = [one for one in found.reached if one.parent is None]
    assert len(starts) == 24 + 24 == len(found.reached) - len(spares)


@pytest.mark.parametrize("after", [4, 9, 25])
def test_the_keyboard_ends_a_search_with_what_it_has(monkeypatch, after):
    model, _, stack, _ = bed("gaussian-VVV")
    look, passes = MixtureStack.look, []

    def interrupted(self, points, **options):
        passes.append(points)
        if len(passes) == after:
            raise KeyboardInterrupt
        return look(self, points, **options)

    monkeypatch.setattr(MixtureStack, "look", interrupted)
    if after < 6:  # within the opening
        with pytest.raises(KeyboardInterrupt):
            search(stack, np.random.default_rng(0), n_components=3)
        return
    found = search(stack, np.random.default_rng(0), n_components=3)
    assert found.is_interrupted
    highest = max(found.reached, key=lambda one: one.end.objective).end
    assert model.problem(highest.params, 2) is None


def test_a_search_stops_when_the_time_is_up():
    stack = bed("gaussian-VVV")[2]
    asked = []

    def stop():
        asked.append(True)
        return len(asked) > 1

    found = search(stack, np.random.default_rng(0), n_components=3, stop=stop)
    assert len(asked) <= 3
    assert not found.is_interrupted
    assert any(one.end.ending is Ending.CAP for one in found.reached)


def test_tight_clusters_far_apart_and_far_from_the_origin():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(10.0, 0.05, 200), rng.normal(0.0, 0.05, 200)])[:, None]
    for shift in (0.0, 1e6):
        model = emframe.Mixture("gaussian", 2)
        rows = model.rows(x + shift)
        stack = MixtureStack.of(model, rows, model.survey(rows))
        found = search(stack, np.random.default_rng(0), n_components=2)
        each = [part - part.mean() for part in (x[:200], x[200:])]
        wanted = -400 * np.log(2.0) - 200 * sum(
            np.log(2 * np.pi * np.mean(own**2)) / 2 + 0.5 for own in each
        )
        assert found.objective == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("family", ["gaussian", "bernoulli", "poisson", "student-t"])
def test_the_default_call_takes_the_stack(family):
    """What a stack raises sends a fit to its starts one by one: it has to have raised nothing."""
    rng = np.random.default_rng(0)
    rows = {
        "gaussian": rng.normal(size=(120, 2)) + 4 * rng.integers(2, size=(120, 1)),
        "student-t": rng.standard_t(4, (120, 2)) + 6 * rng.integers(2, size=(120, 1)),
        "bernoulli": (rng.random((120, 5)) < 0.2 + 0.6 * rng.integers(2, size=(120, 1))) * 1.0,
        "poisson": rng.poisson(2 + 8 * rng.integers(2, size=(120, 1))) * 1.0,
    }[family]
    fit = emframe.fit(emframe.Mixture(family, 2), rows, rng=0)
    statuses = [one.status for one in fit.starts]
    assert emframe.Status.LEFT in statuses or emframe.Status.JOINED in statuses
    assert fit.starts[fit.best].kind == "polish"
