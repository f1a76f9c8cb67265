"""From a smaller model to a larger one that contains it: the same point, and on from there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest

import emframe
from emframe import Status
from emframe.fitting import plans
from emframe.fitting.optima import is_higher
from emframe.models.moves import splits
from emframe.parameters import n_free
from emframe.selecting import growing
from emframe.selecting.growing import Candidate, chains, joined

RNG = np.random.default_rng(3)
REAL = np.concatenate([RNG.normal(m, s, (40, 2)) for m, s in ((0, 1), (3, 0.4), (6, 2))])
COUNTS = RNG.poisson(np.repeat([[1.0, 8.0], [6.0, 2.0], [15.0, 4.0]], 40, axis=0)).astype(float)
BITS = (COUNTS > [3, 3]).astype(float)
BOTH = np.column_stack([REAL[:, 0], COUNTS[:, 1]])
CENTRES = np.repeat([-12.0, 0.0, 4.0], 80)
LINE = np.random.default_rng(5).normal(CENTRES, 1.0)


def mixture(family, **options):
    return lambda k: emframe.Mixture(family, n_components=k, **options)


def hidden(initial):
    return lambda k: emframe.model("hidden-markov", family="poisson", n_states=k, initial=initial)


CASES = {
    **{
        f"gaussian {kind}": (mixture("gaussian", covariance=kind), REAL)
        for kind in ("full", "diag", "spherical", "tied")
    },
    "bernoulli": (mixture("bernoulli"), BITS),
    "poisson": (mixture("poisson"), COUNTS),
    "product": (mixture(emframe.Product({"a": "gaussian", "b": "poisson"})), BOTH),
    "shared": (mixture(emframe.tied("gaussian", "covariances")), REAL),
    "held": (mixture(emframe.fixed("gaussian", means=3.0)), REAL),
    "of mixtures": (mixture(emframe.Mixture("poisson", 2)), COUNTS),
    "free chain": (hidden("free"), COUNTS),
    "stationary chain": (hidden("stationary"), COUNTS),
}


def side_by_side(*sizes):
    return emframe.Mixture(["gaussian", mixture("gaussian", covariance="diag")(1).family], sizes)


# ---- the point that is the smaller model


@pytest.mark.parametrize(("sizes"), [(1, 2), (2, 3), (2, 5)])
@pytest.mark.parametrize("name", CASES)
def test_every_row_has_the_same_density_there(name, sizes):
    make, X = CASES[name]
    small, large = map(make, sizes)
    rows = small.rows(X)
    fit = emframe.fit(small, X, rng=0, n_starts=1, max_iter=5)
    point = large.embedded(small, fit.params)
    assert large.problem(point, X.shape[1]) is None
    before, after = (m.posterior(p, rows.x)[0] for m, p in ((small, fit.params), (large, point)))
    assert after == pytest.approx(before, rel=1e-12, abs=1e-12)
    assert n_free(point) > n_free(fit.params)


def test_of_families_side_by_side_each_keeps_its_own():
    small, large = side_by_side(1, 2), side_by_side(2, 4)
    fit = emframe.fit(small, REAL, rng=0, n_starts=1, max_iter=5)
    point = large.embedded(small, fit.params)
    assert [len(one.means) for one in point.components] == [2, 4]
    assert large.posterior(point, REAL)[0] == pytest.approx(fit.score_samples(REAL), rel=1e-12)
    assert side_by_side(2, 1).embedded(small, fit.params) is None
    for _, params in large.grown(small, fit.params, large.rows(REAL), np.random.default_rng(0)):
        assert large.problem(params, 2) is None


def test_the_heaviest_stand_twice():
    model = emframe.Mixture("poisson", n_components=2)
    params = model.build({"weights": [0.2, 0.8], "rates": [[1.0], [9.0]]})
    point = emframe.Mixture("poisson", n_components=4).embedded(model, params)
    assert point.components.rates[:, 0].tolist() == [1.0, 9.0, 9.0, 9.0]
    assert point.weights == pytest.approx([0.2, 0.8 / 3, 0.8 / 3, 0.8 / 3])


POISSON = emframe.Mixture("poisson", n_components=2)
STRANGERS = [
    emframe.Mixture("poisson", n_components=2),
    emframe.Mixture("poisson", n_components=1),
    emframe.Mixture("gaussian", n_components=3),
    emframe.Mixture("poisson", n_components=3).fixed(weights=1 / 3),
    emframe.Mixture(emframe.fixed("poisson", rates=1.0), n_components=3),
    emframe.Mixture(["poisson", "poisson"], [1, 2]),
    hidden("free")(3),
    emframe.model("factor-analysis"),
]


@pytest.mark.parametrize("model", STRANGERS, ids=lambda model: model.title())
def test_a_model_that_does_not_contain_the_smaller_has_no_such_point(model):
    fit = emframe.fit(POISSON, COUNTS, rng=0, n_starts=1)
    assert model.embedded(POISSON, fit.params) is None
    assert not list(model.grown(POISSON, fit.params, POISSON.rows(COUNTS), None))


def test_components_of_held_weights_are_not_split():
    held = POISSON.fixed(weights=0.5)
    fit = emframe.fit(held, COUNTS, rng=0, n_starts=1)
    assert emframe.Mixture("poisson", n_components=3).embedded(held, fit.params) is None


# ---- splits


@pytest.mark.parametrize("room", [1, 2])
def test_splits_are_responsibilities_and_each_component_is_split(room):
    rng = np.random.default_rng(0)
    resp = rng.dirichlet(np.ones(3), size=len(REAL))
    density = rng.normal(size=resp.shape)
    weights = np.ones(len(REAL))
    kinds = np.zeros(3, dtype=int)
    found = list(splits(resp, density, REAL, weights, kinds, np.array([room]), rng))
    assert len(found) == 2 * 3  # across, and a core
    whole = set()
    for new in found:
        assert new.shape == (len(REAL), 3 + room)
        assert new.min() >= 0
        assert new.sum(axis=1) == pytest.approx(np.ones(len(REAL)))
        whole.add(
            tuple(any((new[:, j] == resp[:, k]).all() for j in range(3 + room)) for k in range(3))
        )
    if room == 1:
        assert whole == {(False, True, True), (True, False, True), (True, True, False)}


@pytest.mark.parametrize("power", [-400, 400])
def test_splits_are_the_same_in_any_unit(power):
    resp = np.random.default_rng(0).dirichlet(np.ones(3), size=len(REAL))
    rest = np.ones(len(REAL)), np.zeros(3, dtype=int), np.array([1])
    one, other = (
        list(splits(resp, np.log(resp), x, *rest, np.random.default_rng(1)))
        for x in (REAL, np.ldexp(REAL, power))
    )
    assert np.array_equal(one, other)


def test_a_component_without_rows_is_not_split():
    resp = np.column_stack([np.ones(len(REAL)), np.zeros(len(REAL))])
    args = (np.zeros_like(resp), REAL, np.ones(len(REAL)), np.zeros(2, dtype=int), np.array([1]))
    for new in splits(resp, *args, np.random.default_rng(0)):
        assert (new.sum(axis=0) > 0).tolist() == [True, True, False]


# ---- a fit that starts from a smaller one


def test_a_fit_starts_from_a_smaller_one():
    small = emframe.fit(emframe.Mixture("gaussian", n_components=2), REAL, rng=0, n_starts=3)
    large = emframe.Mixture("gaussian", n_components=3)
    fit = emframe.fit(large, REAL, start=small, rng=0)
    assert [one.kind for one in fit.starts] == [*["split of K = 2"] * 4, "polish"]
    assert all(one.grown and not one.is_own for one in fit.starts)
    assert fit.log_likelihood > small.log_likelihood
    assert fit.n_iter == sum(one.n_iter for one in fit.starts)
    assert fit.n_found == 1
    assert "from the optimum of a smaller model" in str(fit) or "start of its own" in str(fit)
    assert "no start of its own" in str(fit) or "start from another optimum only" in str(fit)
    one = emframe.fit(large, REAL, start=small, rng=0, n_starts=1)
    assert one.starts[0].kind == fit.starts[0].kind
    assert len(one.starts) == 1


def test_a_fit_of_the_same_model_is_its_parameters():
    fit = emframe.fit(POISSON, COUNTS, rng=0, n_starts=2)
    again, other = (emframe.fit(POISSON, COUNTS, start=s) for s in (fit, fit.params))
    assert again.trace.tolist() == other.trace.tolist()
    with pytest.raises(ValueError, match="`start`: `weights` has shape"):
        emframe.fit(emframe.Mixture("poisson", n_components=1), COUNTS, start=fit)


@dataclass(frozen=True, init=False)
class Barren(emframe.Mixture):
    """A mixture that knows few ways on from a smaller one, and none that is worth it."""

    ways = 0

    def grown(self, smaller, params, rows, rng):
        resp = rng.dirichlet(np.ones(self.n_components), size=len(rows))
        return iter([("astray", self.from_responsibilities(rows, resp))] * self.ways)


class Misled(Barren):
    ways = 2


@pytest.mark.parametrize("kind", [Barren, Misled])
def test_where_no_way_leads_as_high_the_smaller_model_itself_does(kind):
    small = emframe.fit(kind("gaussian", n_components=2), REAL, start=np.repeat([0, 0, 1], 40))
    large = kind("gaussian", n_components=3)
    fit = emframe.fit(large, REAL, start=small, max_iter=0, rng=0)
    assert [one.kind for one in fit.starts] == ["astray"] * kind.ways + ["smaller model"]
    assert fit.log_likelihood == pytest.approx(small.log_likelihood, rel=1e-12)
    assert fit.n_parameters > small.n_parameters


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_objectives_are_compared_in_one_unit(unit):
    """The smaller model's objective counts in the user's weights, the search in others."""
    weights = np.full(len(REAL), unit)
    small = emframe.fit(POISSON, COUNTS, weights=weights, rng=0, n_starts=2)
    fit = emframe.fit(emframe.Mixture("poisson", 3), COUNTS, weights=weights, start=small, rng=0)
    assert "smaller model" not in [one.kind for one in fit.starts]
    assert fit.log_likelihood > small.log_likelihood


def test_splits_keep_to_their_share_of_the_budget(monkeypatch):
    small = emframe.fit(emframe.Mixture("gaussian", n_components=2), REAL, rng=0, n_starts=3)
    monkeypatch.setattr(plans, "MOST_STEPS", 4)
    large = emframe.Mixture("gaussian", n_components=3)
    fit = emframe.fit(large, REAL, start=small, rng=0, accelerate="squarem")
    assert [one.kind for one in fit.starts] == ["split of K = 2"]


def test_a_checkpoint_of_such_a_fit_goes_on(tmp_path):
    small = emframe.fit(emframe.Mixture("gaussian", n_components=2), REAL, rng=0, n_starts=3)
    large, path = emframe.Mixture("gaussian", n_components=3), tmp_path / "grown"
    whole = emframe.fit(large, REAL, start=small, rng=0)

    def cut(step):
        if step.index == 0:
            raise KeyboardInterrupt

    with pytest.raises(emframe.Interrupted):
        emframe.fit(large, REAL, start=small, rng=0, checkpoint=path, callbacks=[cut])
    again = emframe.fit(large, REAL, start=small, rng=0, checkpoint=path)
    assert again.starts == whole.starts
    assert again.trace.tolist() == whole.trace.tolist()


# ---- a selection


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CASES)
def test_no_model_ends_below_one_that_it_contains(name, seed):
    make, X = CASES[name]
    fits = emframe.select([make(k) for k in range(1, 5)], X, rng=seed, n_starts=1).fits
    for small, large in pairwise(fits):
        if small.status.usable and not small.spurious:
            assert large.log_likelihood >= small.log_likelihood - 1e-9 * abs(small.log_likelihood)


@dataclass(frozen=True, init=False)
class Stuck(emframe.Mixture):
    """A mixture whose starts all lead to the same optimum, a poor one where K is above 2.

    One component has the two clusters on the right, and all others share the one on the left.
    A nudge would tell that this is no maximum, and so there is none.
    """

    def nudged(self, params, rows, rng):
        return None

    def spared(self, params, rows, rng):
        return None

    def starts(self, rows, rng):
        cuts = {2: [], 3: [-12.0], 4: [-12.6, -11.4]}[self.n_components]
        labels = np.searchsorted([*cuts, -6.0], LINE)
        while True:
            yield "poor", self.from_responsibilities(rows, np.eye(self.n_components)[labels])


def test_what_the_starts_miss_is_found_from_below(tmp_path):
    models = [Stuck("gaussian", n_components=k, covariance="tied") for k in (2, 3)]
    small, fit = emframe.select(models, LINE, rng=0, n_starts=2).fits
    alone = emframe.fit(models[1], LINE, rng=0, n_starts=2)
    assert fit.log_likelihood > alone.log_likelihood + 5
    best = emframe.fit(models[1], LINE, start=np.searchsorted([-6.0, 2.0], LINE))
    assert fit.log_likelihood == pytest.approx(best.log_likelihood, abs=1e-6)

    assert [one.kind for one in fit.starts] == ["poor"] * 2 + ["split of K = 2"] * 2
    assert [one.grown for one in fit.starts] == [False, False, True, True]
    assert [one.index for one in fit.starts] == [0, 1, 2, 3]
    assert fit.starts[:2] == alone.starts
    assert fit.starts[fit.best].grown
    assert fit.n_iter == sum(one.n_iter for one in fit.starts)
    assert fit.optima[0].times == 0
    assert fit.optima[0].moves == 1
    assert "2 starts and 2 starts from the optimum of a smaller model, " in str(fit)
    assert "found by a start from another optimum only; " in str(fit)
    assert not any(one.grown for one in small.starts)
    fit.save(tmp_path / "grown.fit")
    assert emframe.load(tmp_path / "grown.fit").starts == fit.starts
    assert len(fit.to_frame()) == len(alone.to_frame())


def test_what_one_start_misses_on_real_data_is_found_from_below():
    """Flowers with four and with five components, from one start each."""
    X = emframe.dataset("iris").X
    *_, four, five = emframe.select(("gaussian", range(2, 6)), X, rng=1, n_starts=1).fits
    for fit in (four, five):
        *own, grown = fit.starts  # the one start of five components ends at a saddle, and goes on
        assert fit.best == len(own)
        assert grown.kind == f"split of K = {fit.model.n_components - 1}"
        assert is_higher(grown.objective, max(one.objective for one in own))


def test_what_is_found_goes_on_upwards():
    """Four components start from the best three, which the search for three alone had missed."""
    models = [Stuck("gaussian", n_components=k, covariance="tied") for k in (2, 3, 4)]
    _, three, four = emframe.select(models, LINE, rng=0, n_starts=2).fits
    alone = emframe.fit(models[2], LINE, rng=0, n_starts=2)
    assert not is_higher(alone.log_likelihood, three.log_likelihood)
    assert four.log_likelihood > three.log_likelihood
    assert [one.kind for one in four.starts][2:] == ["split of K = 3"] * 2


def fitted(*models, X=COUNTS):
    """Candidates as a first search leaves them."""
    rng = np.random.default_rng(0)
    return [
        Candidate(model, emframe.fit(model, X, rng=0, n_starts=1), 0.0, stream)
        for model, stream in zip(models, rng.spawn(len(models)), strict=True)
    ]


POISSONS = [emframe.Mixture("poisson", n_components=k) for k in range(1, 5)]
BERNOULLI = [emframe.Mixture("bernoulli", n_components=k) for k in (1, 2)]


def steps(candidates):
    return [chain.steps for chain in chains(candidates, COUNTS, {})]


def test_each_model_grows_from_the_largest_below_it():
    one, two, three, four = fitted(*POISSONS)
    assert steps([one, two, three, four]) == [((1, 0), (2, 1), (3, 2))]
    assert steps([four, one, three]) == [((2, 1), (0, 2))]
    assert steps([two, two, three]) == [((2, 0),)]
    assert steps([one, three, three]) == [((1, 0), (2, 0))]
    assert steps([one]) == []
    bits = fitted(*BERNOULLI, X=BITS)
    assert steps([bits[0], one, bits[1], two]) == [((2, 0),), ((3, 1),)]


def test_none_grows_from_a_fit_that_is_not_sound():
    one, two, three, _ = fitted(*POISSONS)
    spoilt = replace(two.fit, starts=(replace(two.fit.starts[0], spurious="few rows"),))
    for bad in (None, spoilt, replace(two.fit, status=Status.DEGENERATE)):
        assert steps([one, two._replace(fit=bad), three]) == [((1, 0), (2, 0))]


def test_what_has_become_sound_meanwhile_is_grown_from():
    one, two, three, four = fitted(*POISSONS)
    spoilt = replace(three.fit, starts=(replace(three.fit.starts[0], spurious="few rows"),))
    candidates = [four, one, three._replace(fit=spoilt), two]
    (chain,) = chains(candidates, COUNTS, {"n_starts": 1})
    assert chain.steps == ((3, 1), (2, 3), (0, 3))
    fits = chain().fits
    assert not fits[2].spurious
    assert grown(fits[0])[0].kind == "split of K = 3"


def test_two_searches_are_one_fit():
    _, two, three, _ = fitted(*POISSONS)
    moved = replace(
        three.fit, starts=(*three.fit.starts, replace(three.fit.starts[0], index=1, parent=0))
    )
    grown = emframe.fit(POISSONS[2], COUNTS, start=two.fit, rng=0)
    both, turned = joined(grown, moved), joined(moved, grown)
    n = len(grown.starts)
    assert [one.index for one in both.starts] == list(range(n + 2))
    assert both.starts[-1].parent == n
    assert turned.starts[1].parent == 0
    for fit in (both, turned):
        assert fit.n_iter == grown.n_iter + moved.n_iter
        assert fit.objective == max(grown.objective, moved.objective)
        assert fit.starts[fit.best].objective == fit.objective
    assert joined(None, grown) is grown


@pytest.mark.parametrize("workers", [2, 3])
def test_the_second_search_is_the_same_with_any_number_of_workers(workers):
    models = [
        emframe.Mixture("gaussian", n_components=k, covariance=kind)
        for kind in ("full", "diag")
        for k in (1, 2, 3)
    ]
    one, more = (emframe.select(models, REAL, rng=0, n_starts=3, workers=n) for n in (1, workers))
    for mine, theirs in zip(one.fits, more.fits, strict=True):
        assert mine.starts == theirs.starts
        assert mine.trace.tolist() == theirs.trace.tolist()
        assert any(start.grown for start in mine.starts) == (mine.model.n_components > 1)


def grown(fit):
    return [one for one in fit.starts if one.grown]


BLOCKS = emframe.Blocks(lambda: np.array_split(COUNTS, 3), len(COUNTS), 2)
SETTINGS = [
    (COUNTS, {}),
    (COUNTS, {"weights": np.arange(len(COUNTS)) % 3}),
    (COUNTS, {"prior": "weak"}),
    (BLOCKS, {}),
    (COUNTS, {"accelerate": False}),
    (COUNTS, {"engine": 2}),
    (COUNTS, {"max_seconds": 600.0}),
    (COUNTS, {"progress": "auto"}),
    (COUNTS, {"criterion": "cv", "folds": 2}),
]


@pytest.mark.parametrize(("X", "options"), SETTINGS, ids=[str(list(one)) for _, one in SETTINGS])
def test_the_settings_of_a_fit_are_those_of_the_second_search(X, options):
    chosen = emframe.select(POISSONS[:3], X, rng=0, n_starts=2, **options)
    for fit in chosen.fits[1:]:
        assert [one.kind for one in grown(fit)][:2] == [
            f"split of K = {len(fit.params.weights) - 1}"
        ] * 2
        assert fit.prior == options.get("prior")
        assert fit.objective == max(one.objective for one in fit.starts)
    assert np.isfinite(chosen.values).all()


def test_weights_are_rows_in_the_second_search_too():
    times = np.arange(len(COUNTS)) % 3
    one, other = (
        emframe.select(POISSONS[:3], X, weights=weights, rng=0, n_starts=2).fits[2]
        for X, weights in ((COUNTS, times), (np.repeat(COUNTS, times, axis=0), None))
    )
    assert max(s.objective for s in grown(one)) == pytest.approx(
        max(s.objective for s in grown(other)), rel=1e-8
    )


def test_callbacks_see_the_second_search():
    starts = []
    chosen = emframe.select(
        POISSONS[:3],
        COUNTS,
        rng=0,
        n_starts=2,
        callbacks=[lambda step: starts.append(step.index == 0) and None],
    )
    assert sum(starts) == sum(len(fit.starts) for fit in chosen.fits)


def test_a_start_of_ones_own_is_the_only_one():
    labels = np.repeat([0, 1], 60)
    chosen = emframe.select([POISSONS[1]] * 2, COUNTS, start=labels)
    assert [len(fit.starts) for fit in chosen.fits] == [1, 1]


def test_what_time_is_left_is_what_the_first_search_left():
    (done,) = fitted(POISSONS[0])
    left = growing._with_time_left
    assert left({"tol": 1e-6}, done.fit, 50.0) == {"tol": 1e-6}
    assert left({"max_seconds": 60.0}, done.fit, 50.0) == {"max_seconds": 10.0}
    assert left({"max_seconds": 60.0}, None, 60.0) is None
    ended = replace(done.fit, starts=(replace(done.fit.starts[0], status=Status.MAX_SECONDS),))
    assert left({"max_seconds": 60.0}, ended, 59.9) is None


def test_a_model_that_failed_alone_may_succeed_from_below():
    @dataclass(frozen=True, init=False)
    class Hopeless(emframe.Mixture):
        def starts(self, rows, rng):
            yield from (
                (("none", emframe.Degenerate("no start", 0)),)
                if self.n_components > 1
                else super().starts(rows, rng)
            )

    models = [Hopeless("poisson", n_components=k) for k in (1, 2)]
    chosen = emframe.select(models, COUNTS, rng=0, n_starts=1)
    assert chosen.failures == ()
    assert [fit.model.n_components for fit in chosen.fits] == [1, 2]
    assert all(one.grown for one in chosen.fits[1].starts)


@pytest.mark.parametrize("starts", [4, 5, 6])
def test_ctrl_c_in_the_second_search_keeps_the_best(starts):
    """Two starts each for K = 2, 3 and 4, and then the splits; it comes at one of those."""
    began = []

    def cut(step):
        began.append(step.index == 0)
        if sum(began) > starts + 2 and step.index == 1:
            raise KeyboardInterrupt

    with pytest.raises(emframe.Interrupted) as stop:
        emframe.select(POISSONS[1:], COUNTS, rng=0, n_starts=2, callbacks=[cut], criterion="aic")
    whole = emframe.select(POISSONS[1:], COUNTS, rng=0, n_starts=2, criterion="aic")
    best = min(whole.fits, key=lambda fit: fit.aic)
    assert stop.value.fit.aic >= best.aic - 1e-9
    assert stop.value.fit.aic <= min(
        emframe.fit(m, COUNTS, rng=s, n_starts=2).aic
        for m, s in zip(POISSONS[1:], np.random.default_rng(0).spawn(3), strict=True)
    )


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_chain_that_is_cut_hands_in_what_it_has(at):
    """The first two starts are those of K = 2, the third is of K = 3."""
    candidates, began = fitted(*POISSONS[:3]), []

    def cut(step):
        began.append(step.index == 0)
        if sum(began) == at and step.index > 0:
            raise KeyboardInterrupt

    (chain,) = chains(candidates, COUNTS, {"callbacks": [cut], "n_starts": 2})
    fits, stopped = chain()
    assert stopped
    assert list(fits) == ([1] if at < 3 else [1, 2])
    last = fits[max(fits)].starts
    assert len(last) == (1 + at if at < 3 else 2)
    assert last[-1].grown
    assert last[-1].status is Status.INTERRUPTED


@pytest.mark.parametrize(
    ("models", "options"),
    [(POISSONS[:2], {}), (POISSONS[:1], {"criterion": "cv", "folds": 2})],
)
def test_a_checkpoint_is_of_one_search(models, options, tmp_path):
    path = tmp_path / "one"
    with pytest.raises(ValueError, match="`checkpoint` is a file of one search"):
        emframe.select(models, COUNTS, checkpoint=path, **options)
    assert not path.exists()
    for _ in range(2):
        chosen = emframe.select(POISSONS[1:2], COUNTS, checkpoint=path, rng=0, n_starts=2)
    assert (
        chosen.best.log_likelihood
        == emframe.fit(
            POISSONS[1], COUNTS, rng=np.random.default_rng(0).spawn(1)[0], n_starts=2
        ).log_likelihood
    )
