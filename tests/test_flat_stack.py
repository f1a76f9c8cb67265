"""Starts as one table of coordinates: a pass is that of the stack that it stands for."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

import emframe
from emframe.data import frequencies
from emframe.fitting.stacked_search import search
from emframe.models.flat_stack import FlatStack
from emframe.models.mixture_stack import MixtureStack
from emframe.parameters import leaves

RNG = np.random.default_rng(3)
REAL = RNG.normal([[0.0, 0.0], [4.0, 1.0], [1.0, 5.0]], 1.0, (40, 3, 2)).reshape(-1, 2)
CODES = ["VVV", "EEE", "VVI", "EEI", "VII", "EII"]
forms = pytest.mark.parametrize("code", CODES)


def bed(code, x=REAL):
    """A model, some of its starts, its stack and its table, of weighted rows."""
    model = emframe.Mixture("gaussian", 3, covariance=code).settled(x)
    weights = np.random.default_rng(0).integers(1, 4, len(x))
    rows = model.rows(x, frequencies(x, weights))
    exact = MixtureStack.of(model, rows, model.survey(rows))
    each = [params for _, params in islice(model.starts(rows, np.random.default_rng(0)), 4)]
    return model, each, exact, FlatStack.of(exact)


def close(one, other):
    for mine, theirs in zip(leaves(one), leaves(other), strict=True):
        assert mine.value == pytest.approx(theirs.value, rel=1e-9, abs=1e-11)


@forms
def test_coordinates_lead_back(code):
    model, each, _, table = bed(code)
    points = table.join(each)
    for start, params in enumerate(each):
        there = table.one(points, start)
        assert type(there) is type(params)
        assert model.problem(there, 2) is None
        close(there, params)


@forms
def test_a_pass_is_that_of_the_exact_stack(code):
    _, each, exact, table = bed(code)
    mine, theirs = table.look(table.join(each)), exact.look(exact.join(each))
    assert mine.sound.all()
    assert mine.objective == pytest.approx(theirs.objective, rel=1e-11)
    for start in range(len(each)):
        close(table.one(mine.em, start), exact.one(theirs.em, start))


@forms
def test_the_gradient_is_the_slope_of_the_objective(code):
    _, each, _, table = bed(code)
    points = table.join(each)
    x, slope = table.vectors(points), table.look(points).gradient
    way = np.random.default_rng(1).normal(size=points.shape)
    if code.startswith("E"):  # what is shared moves alike
        way[..., 3:] = way[:, :1, 3:]
    way = way.reshape(x.shape)
    up, down = (table.look(table.at(points, x + h * way)[0]).objective for h in (1e-6, -1e-6))
    assert (slope * way).sum(axis=1) == pytest.approx((up - down) / 2e-6, rel=1e-5)


def test_what_loses_digits_goes_on_in_the_exact_stack():
    """Clusters a million standard deviations apart are found all the same."""
    x = np.concatenate([REAL, 1e6 + REAL, np.array([1e6, -1e6]) + REAL])
    _, _, _, table = bed("VVV", x)
    found = search(table, np.random.default_rng(0), n_components=3)
    assert found.best
    fit = emframe.fit(emframe.Mixture("gaussian", 3), x, rng=0)
    assert sorted(fit.params.weights) == pytest.approx([1 / 3] * 3, abs=1e-9)
