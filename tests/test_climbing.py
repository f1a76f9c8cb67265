"""What a search of many starts goes by: the bar, climbing on, light components, doubt.

Each test is met by a spoilt line of the search, and says so.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm
from test_stacked import bed, begun

import emframe
from emframe import Status
from emframe.fitting import evidence, plans, stacked_plan
from emframe.fitting.evidence import artefacts
from emframe.fitting.result import Start
from emframe.fitting.search import Joining
from emframe.fitting.stacked_climb import climb
from emframe.fitting.stacked_ends import Ending, StackedEnd
from emframe.fitting.stacked_front import Rules
from emframe.fitting.stacked_plan import _is_doubtful
from emframe.fitting.stacked_search import Effort, Found, Reached, _Search, search
from emframe.models.flat_stack import FlatStack
from emframe.models.mixture_stack import MixtureStack

BEST, LOWER = -465.203, -479.593  # optima of three Gaussians on REAL


# ---- the bar


def test_an_artefact_is_no_bar_for_sound_starts():
    """Were the higher end, which is accused, to count, the lower one would be out of its reach."""
    model, rows, stack, expect = bed("gaussian-VVV")
    points = stack.join(begun(model, rows, 4, 1)[2:])
    free = climb(stack, points)
    assert [end.ending for end in free] == [Ending.ARRIVED, Ending.LEFT]

    def accused(params):
        return "it is too high" if expect(params).loglik > LOWER + 1.0 else ""

    high, low = climb(stack, points, suspect=accused)
    assert (high.ending, high.why) == (Ending.SUSPECT, "it is too high")
    assert low.ending is Ending.ARRIVED
    assert low.objective == pytest.approx(LOWER, abs=1e-3)


def test_a_start_that_comes_near_the_best_end_is_there_unless_it_goes_beyond():
    best = Start(0, "rows", Status.CONVERGED, -100.0, -100.0, 9, "")

    def told(objective, remaining):
        return Joining(best)([SimpleNamespace(objective=objective, remaining=remaining)])

    assert told(-100.005, 1e-3) is Status.JOINED
    assert told(-100.02, 1e-3) is None  # too far below
    assert told(-100.005, 0.02) is None  # too much ahead
    assert told(-100.0005, 0.009) is None  # on its way to another optimum
    assert told(-99.9, 1e-6) is None


def test_starts_one_by_one_join_and_eight_that_agree_are_enough():
    rng = np.random.default_rng(0)
    states = np.cumsum(rng.random(100) < 0.1) % 2
    x = emframe.Sequences(rng.normal(4.0 * states, 1.0)[:, None], [100])
    model = emframe.model("hidden-markov", family="gaussian", n_states=2)
    fit = emframe.fit(model, x, rng=0)
    assert [start.status for start in fit.starts] == [Status.CONVERGED, *[Status.JOINED] * 7]
    assert {start.objective for start in fit.starts} == {fit.objective}
    assert fit.n_found == 8
    whole = emframe.fit(model, x, rng=0, n_starts=3)
    assert {start.status for start in whole.starts} == {Status.CONVERGED}
    assert fit.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-10)


# ---- climbing on


SHORT = Effort(first=8, stay=6, rounds=2, rules=Rules(most=8), of_moves=Rules(plain=2, most=8))


def test_where_no_end_is_sound_the_highest_climb_on(monkeypatch):
    stack = bed("gaussian-VVV")[2]
    found = search(stack, np.random.default_rng(0), effort=SHORT, n_components=3)
    assert found.objective == pytest.approx(BEST, abs=1e-3)
    monkeypatch.setattr(_Search, "_further", lambda self: False)
    assert not search(stack, np.random.default_rng(0), effort=SHORT, n_components=3).best


def test_what_ran_out_of_passes_above_the_best_climbs_on():
    stack = bed("gaussian-VVV")[2]
    run = _Search(stack, np.random.default_rng(1), SHORT, None, None, 3, None)
    run._from_starts(8, 6)
    assert {peak.ending for peak in run.peaks} == {Ending.CAP}
    lower = StackedEnd(0, Ending.ARRIVED, -1000.0, -1000.0, 9)
    run.found.best = [lower]
    run._capped()
    assert run.found.objective > -1000.0
    above = [peak for peak in run.peaks if peak.objective > run.found.objective + 1e-3]
    assert not [peak for peak in above if peak.ending is Ending.CAP]


@pytest.mark.parametrize(("often", "rounds"), [(1, 1), (1000, 2)])
def test_one_quiet_round_is_enough_where_starts_found_the_best_often(often, rounds):
    """And where they did not, moves are made twice before they are believed."""
    flat = FlatStack.of(bed("gaussian-VVV")[2])
    effort = Effort(first=8, stay=6, moves=3, agree=2.0, often=often)
    run = _Search(flat, np.random.default_rng(0), effort.of(4, False), None, None, 4, None)
    assert run.run().rounds == rounds


# ---- light components


QUANTILES = norm.ppf((np.arange(200) + 0.5) / 200)


def beside(weight, mean, sd):
    """A narrow component beside the normal law that all rows follow."""
    model = emframe.Mixture("gaussian", 2)
    start = {
        "weights": [1.0 - weight, weight],
        "means": [[0.0], [mean]],
        "covariances": [[[1.0]], [[sd * sd]]],
    }
    return model, model.build(start)


@pytest.mark.parametrize(("weight", "mean", "is_odd"), [(0.02, 2.0, True), (0.06, 1.5, False)])
def test_a_light_component_need_be_less_narrow_to_be_an_artefact(monkeypatch, weight, mean, is_odd):
    model, params = beside(weight, mean, 0.15)
    rows = model.rows(QUANTILES)
    assert bool(artefacts(model, params, rows)) is is_odd
    monkeypatch.setattr(evidence, "BARELY", evidence.NARROW)
    assert not artefacts(model, params, rows)


@pytest.mark.parametrize(
    ("weight", "sd", "asks"), [(0.02, 0.15, True), (0.1, 0.15, False), (0.1, 0.05, True)]
)
def test_a_table_of_starts_asks_for_evidence_where_there_may_be_some(weight, sd, asks):
    model, params = beside(weight, 2.0, sd)
    rows = model.rows(QUANTILES)
    stack = FlatStack.of(MixtureStack.of(model, rows, model.survey(rows)))
    assert stack.doubtful(stack.join([params, beside(0.5, 1.0, 0.9)[1]])).tolist() == [asks, False]


# ---- doubt


@pytest.fixture
def brief(monkeypatch):
    """Starts one by one that are as few as may be."""
    monkeypatch.setitem(plans.LEVELS, "thorough", plans.LEVELS["quick"])


@pytest.mark.parametrize(
    ("times", "odd", "is_so"), [(1, 1, True), (2, 1, False), (1, 0, False), (0, 2, True)]
)
def test_a_best_end_found_once_among_artefacts_is_in_doubt(times, odd, is_so):
    endings = [Ending.SUSPECT, Ending.DEGENERATE][:odd] + [Ending.LEFT] * (4 - odd)
    ends = [StackedEnd(i, ending, -1.0, -1.0, 5) for i, ending in enumerate(endings)]
    found = Found(reached=[Reached("rows", end, None) for end in ends], times=times)
    assert _is_doubtful(found) is is_so


@pytest.mark.parametrize("doubt", [True, False])
def test_a_search_in_doubt_goes_on_start_by_start(monkeypatch, brief, doubt):
    monkeypatch.setattr(stacked_plan, "_is_doubtful", lambda found: doubt)
    fit = emframe.fit(emframe.Mixture("poisson", 2), [0, 1, 1, 0, 7, 8, 9], rng=0, n_starts="quick")
    polished = [start.is_polish for start in fit.starts].index(True)
    assert (len(fit.starts) > polished + 1) is doubt


def test_a_family_that_fails_in_a_stack_alone_is_told_of(monkeypatch, brief):
    def failing(self, points, **options):
        raise RuntimeError("not of so many")

    monkeypatch.setattr(MixtureStack, "look", failing)
    model = emframe.Mixture("poisson", 2)
    with pytest.warns(RuntimeWarning, match="one by one.*RuntimeError: not of so many"):
        fit = emframe.fit(model, [0, 1, 1, 0, 7, 8, 9], rng=0, n_starts="quick")
    assert fit.converged
