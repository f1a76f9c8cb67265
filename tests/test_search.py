"""The search for the best optimum: what is counted, and the way out of a poor one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import emframe
from emframe import Start, Status
from emframe.fitting import plans
from emframe.fitting.optima import is_higher, is_same, optima
from emframe.fitting.search import rank
from emframe.models import starts
from emframe.models.moves import PAIRS, SPLITS, _core, split_and_merge

RNG = np.random.default_rng(5)
CENTRES = (-15.0, -11.0, 0.0, 6.0)
X = np.concatenate([RNG.normal(centre, 1.0, 60) for centre in CENTRES])
BEST = np.repeat([0, 0, 1, 2], 60)
FEW = plans.LEVELS["default"].before_moves
POOR = np.repeat([0, 1, 2, 2], 60)  # two for the left, which is narrower, one for the right


@dataclass(frozen=True, init=False)
class Stuck(emframe.Mixture):
    """A mixture whose starts all lead to the same poor optimum."""

    def starts(self, rows, rng):
        while True:
            yield "poor", self.from_responsibilities(rows, np.eye(3)[POOR])


def end(objective, status=Status.CONVERGED, spurious="", parent=None):
    return Start(0, "rows", status, objective, objective - 1, 10, "", spurious, parent)


ENDS = [
    end(-10.0),
    end(-5.0, spurious="component 0 holds 2 rows"),
    end(-10.0 - 1e-9),
    end(-10.0, parent=0),
    end(-20.0),
    end(nan, Status.DEGENERATE),
    end(99.0, Status.DEGENERATE),
    end(-30.0, parent=1),
]


def test_the_table_of_optima():
    table = optima(ENDS)
    assert [(one.objective, one.times, one.moves, one.is_regular) for one in table] == [
        (-10.0, 2, 1, True),
        (-20.0, 1, 0, True),
        (-30.0, 0, 1, True),
        (-5.0, 1, 0, False),
        (99.0, 1, 0, False),
    ]
    assert table[0].log_likelihood == -11.0
    assert table[3].spurious == "component 0 holds 2 rows"
    assert table[4].status is Status.DEGENERATE
    assert optima([]) == ()


@given(st.permutations(ENDS))
def test_the_order_of_the_starts_does_not_matter(ends):
    found = [(one.times, one.moves) for one in optima(ends)]
    assert found == [(one.times, one.moves) for one in optima(ENDS)]


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6])
def test_what_is_higher_is_relative_to_the_objective(size):
    assert not is_higher(-size, -size - 1e-7 * size)
    assert is_higher(-size, -size - 1e-3 * (1 + size))
    assert not is_higher(-size - 1e-3 * (1 + size), -size)


def test_a_move_leads_out_of_a_poor_optimum(tmp_path):
    model = Stuck("gaussian", n_components=3)
    poor = emframe.fit(model, X, start=POOR)
    best = emframe.fit(model, X, start=BEST)
    assert best.log_likelihood > poor.log_likelihood + 5
    fit = emframe.fit(model, X, rng=0)
    assert fit.log_likelihood == pytest.approx(best.log_likelihood, abs=1e-6)
    first = next(start for start in fit.starts if is_same(start.objective, fit.objective))
    assert first.kind == "split and merge"
    assert is_same(fit.starts[first.parent].objective, poor.objective)
    assert fit.n_found == 1  # and not replicated, by however many moves
    assert fit.optima[0].moves >= 1
    assert fit.optima[1].times == FEW
    assert fit.optima[0].moves > 1
    assert f"found by {fit.optima[0].moves} moves and no start of its own, and more" in str(fit)
    assert f"{FEW} starts and " in str(fit)
    fit.save(tmp_path / "moved.fit")
    assert emframe.load(tmp_path / "moved.fit").optima == fit.optima


def test_moves_keep_to_the_budget(monkeypatch):
    model = Stuck("gaussian", n_components=3)
    monkeypatch.setattr(plans, "MOST_STEPS", 60)
    fit = emframe.fit(model, X, rng=0)
    assert fit.n_iter <= 60 + max(start.n_iter for start in fit.starts)
    monkeypatch.setattr(plans, "MOST_STEPS", 1)
    assert len(emframe.fit(model, X, rng=0).starts) == 1


def test_with_a_number_of_starts_there_are_no_moves():
    fit = emframe.fit(Stuck("gaussian", n_components=3), X, rng=0, n_starts=2)
    assert len(fit.starts) == fit.n_found == 2
    assert "the best optimum was found 2 times" in str(fit)


def test_an_optimum_found_once_is_not_replicated():
    class Twice(Stuck):
        def starts(self, rows, rng):
            for labels in (POOR, BEST):
                yield "labels", self.from_responsibilities(rows, np.eye(3)[labels])

    fit = emframe.fit(Twice("gaussian", n_components=3), X, rng=0, n_starts=2)
    assert fit.n_found == 1
    assert "found once; it is not replicated, and more n_starts may" in str(fit)
    assert "among 2 distinct regular ones" in str(fit)


def parts(params, model, rows):
    resp = model.posterior(params, rows.x)[1]
    density = model.log_joint(params, rows.x) - np.log(params.weights)
    return resp, density, rows.x, rows.weights


@pytest.mark.parametrize(("family", "k"), [("gaussian", 3), ("gaussian", 5), ("poisson", 4)])
def test_moves_are_responsibilities(family, k):
    model = emframe.Mixture(family, n_components=k)
    rows = model.rows(np.abs(np.rint(X)))
    params = next(p for _, p in model.starts(rows, np.random.default_rng(0)))
    old = parts(params, model, rows)
    one_round = min(PAIRS, k * (k - 1) // 2) * (1 + min(SPLITS, k - 2))
    moves = list(islice(split_and_merge(*old, np.random.default_rng(0)), 2 * one_round))
    kept = []
    for resp in moves:
        assert resp.sum(axis=1) == pytest.approx(np.ones(len(rows)))
        assert resp.min() >= 0
        kept.append((resp == old[0]).all(axis=0).sum())
    anew = 2 * min(PAIRS, k * (k - 1) // 2)
    assert kept.count(k - 2) == anew  # two began anew
    assert kept.count(k - 3) == len(moves) - anew  # two were merged, and one was split


def test_two_components_have_no_moves():
    model = emframe.Mixture("gaussian", n_components=2)
    rows = model.rows(X)
    params = next(p for _, p in model.starts(rows, np.random.default_rng(0)))
    assert not list(split_and_merge(*parts(params, model, rows), np.random.default_rng(0)))


def test_equal_components_are_merged_first():
    """At the poor optimum: the two on the left begin anew; then they are one, and the right two."""
    model = Stuck("gaussian", n_components=3)
    rows = model.rows(X)
    poor = emframe.fit(model, X, start=POOR).params
    old = parts(poor, model, rows)
    anew, split = islice(split_and_merge(*old, np.random.default_rng(0)), 2)
    assert anew[:, :2].sum(axis=1) == pytest.approx(old[0][:, :2].sum(axis=1))
    assert anew[:, 2] == pytest.approx(old[0][:, 2])
    assert split[:, 0] == pytest.approx(old[0][:, 0] + old[0][:, 1])
    assert split[:, 1] + split[:, 2] == pytest.approx(old[0][:, 2])


def test_clusters_side_by_side_show_in_the_whitened_frame():
    """Two sheets along a direction that both columns share, as sizes are shared by measures."""
    rng = np.random.default_rng(1)
    side = np.repeat([-1.0, 1.0], 60)
    size = rng.normal(0.0, 20.0, 120)
    sheets = np.column_stack([size + side, size - side]) + rng.normal(0.0, 0.1, (120, 2))
    rows = emframe.Mixture("gaussian").rows(sheets)
    supply = starts.portfolio(rows, 2, np.random.default_rng(0), is_real=True)
    found = [resp for kind, resp in islice(supply, 12) if kind == "k-means++"]
    shares = [((resp[:, 0] > 0.5) == (side > 0)).mean() for resp in found]
    agree = [max(share, 1.0 - share) for share in shares]
    assert agree[0] < 0.8  # in units of standard deviations only their size is seen
    assert agree[1] == 1.0
    other = emframe.Mixture("gaussian").rows(sheets * [1e-6, 1e3])  # other units, the same starts
    both = (starts.portfolio(one, 2, np.random.default_rng(0), True) for one in (rows, other))
    for (kind, resp), (_, again) in islice(zip(*both, strict=False), 12):
        assert resp == pytest.approx(again, abs=1e-6), kind


def test_a_core_is_cut_out_of_a_component_that_covers_it():
    """Whichever row the core is drawn around, near rows are more in it than far ones."""
    rng = np.random.default_rng(2)
    rows = np.concatenate([rng.normal(0.0, 10.0, (80, 2)), rng.normal(3.0, 0.1, (20, 2))])
    drawn = [_core(np.ones(100), rows, np.random.default_rng(seed)) for seed in range(20)]
    for side in drawn:
        centre = rows[side.argmax()]
        order = np.argsort(np.square((rows - centre) / rows.std(axis=0)).sum(axis=1))
        assert side.max() == 1.0
        assert (np.diff(side[order]) <= 1e-12).all()
        assert 0.05 < side.mean() < 0.8
    assert any(side[80:].min() > 0.9 and side[:80].mean() < 0.5 for side in drawn)
    assert (_core(np.ones(3), np.zeros((3, 1)), rng) == 1.0).all()  # rows all alike


def test_select_does_not_recommend_what_the_data_cannot_determine() -> None:
    """Two yes/no items are four cells, three numbers; two classes of them have five."""
    cells = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    counts = np.array([300.0, 40.0, 30.0, 200.0])
    items = [emframe.Mixture("bernoulli", k) for k in (1, 2)]
    selection = emframe.select(items, cells, weights=counts, rng=0)
    one, two = selection.fits
    assert two.bic < one.bic
    assert selection.undetermined == ("", "5 parameters on 3 degrees of freedom")
    assert selection.best is one
    assert "not determined: 5 parameters on 3 degrees of freedom" in str(selection)
    three = np.random.default_rng(0).integers(0, 2, size=(400, 3))
    assert emframe.select([emframe.Mixture("bernoulli", 2)], three, rng=0).undetermined == ("",)
    real = np.random.default_rng(0).normal(size=9)
    assert emframe.select(("gaussian", [1]), real, rng=0).undetermined == ("",)


def test_a_selection_takes_no_artefact_while_there_is_another() -> None:
    X = np.random.default_rng(0).normal(size=(60, 1))
    plain, wide = emframe.select(("gaussian", [1, 2]), X, rng=0, n_starts=2).fits
    low = min(start.log_likelihood for start in wide.starts)
    ends = tuple(
        replace(start, log_likelihood=low + 1e3, spurious="on a point") for start in wide.starts
    )
    higher = replace(wide, starts=ends, log_likelihood=low + 1e3)
    assert higher.spurious
    assert higher.bic < plain.bic
    assert emframe.Selection((higher, plain), "bic").best is plain
    assert emframe.Selection((higher,), "bic").best is higher
    one = replace(wide, starts=(*ends[:1], *(replace(s, spurious="") for s in wide.starts[1:])))
    assert "Set aside: 1 spurious" in str(one)


def counted(family: emframe.Family, k: int, X: np.ndarray | emframe.Sequences) -> tuple[int, str]:
    """Parameters of a mixture, and what a selection says of them."""
    selection = emframe.select([emframe.Mixture(family, k)], X, rng=0, n_starts=2)
    return selection.best.n_parameters, selection.undetermined[0]


def test_degrees_of_freedom_are_those_of_the_probabilities_that_data_show() -> None:
    rng = np.random.default_rng(0)
    z = rng.integers(2, size=(400, 1))
    items = (rng.random((400, 3)) < np.where(z == 0, 0.2, 0.8)).astype(float)
    family = emframe.family
    # A pair of answers in no order is 0, 1 or 2 yeses; a triple has three numbers.
    pairs, triples = (
        emframe.Sequences(items[:, :t].reshape(-1, 1), np.full(400, t)) for t in (2, 3)
    )
    grouped = emframe.Grouped("bernoulli")
    assert counted(grouped, 2, pairs) == (3, "3 parameters on 2 degrees of freedom")
    assert counted(grouped, 2, triples) == (3, "")
    mixed = np.concatenate([np.full(200, 1), np.full(300, 2)])  # singles are margins of pairs
    some = emframe.Sequences(items.ravel()[: mixed.sum(), None], mixed)
    assert counted(grouped, 2, some) == (3, "3 parameters on 2 degrees of freedom")
    # What is missing adds patterns, but no probability.
    gaps = np.where(rng.random((400, 2)) < 0.3, np.nan, items[:, :2])
    told = (5, "5 parameters on 3 degrees of freedom")
    assert counted(family("bernoulli", missing=True), 2, gaps) == told
    # Given a covariate, each of its values has probabilities of its own.
    line = family("binomial-regression")
    yes = np.column_stack([items[:, 0], rng.integers(0, 2, 400)])
    assert counted(line, 2, yes) == (5, "5 parameters on 2 degrees of freedom")
    assert counted(line, 1, yes) == (2, "")
    cells = emframe.Product({0: "bernoulli", 1: family("categorical", levels=3)})
    table = np.column_stack([items[:, 0], rng.integers(0, 3, 400)])
    assert counted(cells, 2, table) == (7, "7 parameters on 5 degrees of freedom")


def test_a_degenerate_end_is_below_every_sound_one():
    """However high it is, and whether evidence accuses its point or not."""
    degenerate = end(1e6, Status.DEGENERATE)
    assert rank(degenerate) < rank(end(-5.0, spurious="on a point")) < rank(end(-10.0))
