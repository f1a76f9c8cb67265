"""Answers as codes: how many there are, which are missing, and what both come to."""

from __future__ import annotations

import pickle
from itertools import product

import numpy as np
import pandas as pd
import pytest
from emframe_families.items.lookups import MANY_ROWS, Lookups
from scipy import stats
from test_reference import column

import emframe
from emframe.families import Survey
from emframe.parameters import equal, from_vector, n_free, to_vector

RNG = np.random.default_rng(5)
LEVELS = (3, 2, 5, 3)
X = RNG.integers(0, np.where(np.arange(400)[:, None] < 150, (2, 2, 2, 3), LEVELS)).astype(float)
GAPS = np.where(RNG.random(X.shape) < 0.15, np.nan, X)
GAPS[7] = np.nan  # a row of which nothing was answered
PARTS = {
    "x0": "categorical",
    ("x1", "x2"): "categorical",
    "x3": emframe.family("categorical", levels=4),
}


def categorical(k: int, **options) -> emframe.Mixture:
    return emframe.Mixture("categorical", n_components=k, **options)


@pytest.mark.parametrize("data", ["carcinoma", "cheating"])
def test_two_levels_are_the_bernoulli_family(data):
    items = {"carcinoma": [*"ABCDEFG"], "cheating": ["LIEEXAM", "LIEPAPER", "FRAUD", "COPYEXAM"]}
    rows = column(data, items[data])
    codes = emframe.fit(categorical(2), rows, rng=0)
    bits = emframe.fit(emframe.Mixture("bernoulli", n_components=2), rows, rng=0)
    assert codes.log_likelihood == pytest.approx(bits.log_likelihood, rel=1e-12)
    assert codes.n_parameters == bits.n_parameters
    order = np.argsort(codes.params.weights), np.argsort(bits.params.weights)
    mine, theirs = codes.params.components.probs[order[0]], bits.params.components.probs[order[1]]
    assert mine == pytest.approx(np.stack([1 - theirs, theirs], axis=-1), abs=1e-6)


# ---- how many levels

READ = {
    "as many everywhere": (X[:, [0, 3]], 3),
    "unlike": (X, LEVELS),
    "one column": (X[:, 1], 2),
    "integers": (X[:, :2].astype(int), (3, 2)),
    "with gaps": (GAPS, LEVELS),
    "a frame": (pd.DataFrame(GAPS), LEVELS),
    "no row of weight 0": (np.vstack([X, [9, 9, 9, 9]]), LEVELS),
    "blocks": (emframe.Blocks(lambda: np.array_split(X, 7), len(X), 4), LEVELS),
}


@pytest.mark.parametrize("case", READ)
def test_levels_are_read_off_the_data(case):
    rows, levels = READ[case]
    weights = None
    if case == "no row of weight 0":
        weights = np.append(np.ones(len(X)), 0.0)
    model = categorical(2, missing=case in ("with gaps", "a frame"))
    settled = model.settled(rows, weights)
    assert settled.family.levels == levels
    assert settled.settled(rows, weights) is settled
    fit = emframe.fit(model, rows, weights=weights, rng=0, n_starts=1)
    assert fit.model == settled
    d = 1 if np.ndim(levels) == 0 and case == "one column" else len(fit.columns)
    assert fit.n_parameters == 1 + 2 * int((np.broadcast_to(levels, d) - 1).sum())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (X + 1, r"`X` column 'x0' has a 3 and no 0; code the answers that occur as 0, 1, 2, ..."),
        (np.where(X == 1, 2, X)[:, [2]], "column 'x0' has a 4 and no 1"),
        (np.array([[0, np.nan], [1, np.nan]]), "column 'x1' has no value at all; remove it"),
        (1000 * X, "outside the support .* it takes whole numbers from 0 to 999"),
        (-X, "row 0, column . .* outside the support"),
    ],
)
def test_levels_that_the_data_do_not_tell_are_asked_for(rows, message):
    with pytest.raises(ValueError, match=message):
        emframe.fit(categorical(1, missing=True), rows)


@pytest.mark.parametrize("levels", [0, -1, 2.5, (), (3, 0), ((2, 2), (2, 2)), "two"])
def test_levels_are_whole_numbers_above_0(levels):
    with pytest.raises(ValueError, match=r"`levels` is .* pass a whole number of answers"):
        emframe.family("categorical", levels=levels)


@pytest.mark.parametrize("family", ["bernoulli", "categorical"])
def test_missing_is_a_truth_value(family):
    with pytest.raises(TypeError, match="`missing` is 'yes'; pass True or False"):
        emframe.family(family, missing="yes")


def test_what_is_left_to_the_data_is_said_where_there_are_none():
    family = emframe.family("categorical")
    for ask in (lambda: family.parameters, lambda: family.log_density(None, X)):
        with pytest.raises(ValueError, match="left to the data, which were not seen yet"):
            ask()


def test_an_answer_that_nobody_gave_counts_where_it_is_announced():
    fit = emframe.fit(categorical(1, levels=6), X[:, :1])
    assert fit.n_parameters == 5
    assert fit.params.components.probs[0, 0, 3:] == pytest.approx([0, 0, 0], abs=0)
    with pytest.raises(ValueError, match="it takes whole numbers from 0 to 5"):
        fit.predict([[6.0]])


COMPOSED = {
    "product": (emframe.Product(PARTS), 2, 1 + 2 * (2 + 1 + 4 + 3)),
    "list": (["categorical", "categorical"], [1, 1], 1 + 2 * 9),
    "nested": (categorical(2), 1, 1 + 2 * 9),
}


@pytest.mark.parametrize("case", COMPOSED)
def test_a_family_of_families_leaves_them_to_the_data_too(case, tmp_path):
    family, k, n_parameters = COMPOSED[case]
    table = pd.DataFrame(X, columns=["x0", "x1", "x2", "x3"])
    fit = emframe.fit(emframe.Mixture(family, k), table, rng=0, n_starts=1, max_iter=20)
    assert fit.model.family.is_settled
    assert n_free(fit.params) == n_parameters
    assert equal(pickle.loads(pickle.dumps(fit.params)), fit.params)
    fit.save(tmp_path / "fit")
    again = emframe.load(tmp_path / "fit")
    assert again.model == fit.model
    assert np.array_equal(again.score_samples(table), fit.score_samples(table))


# ---- missing answers


@pytest.mark.parametrize("family", ["bernoulli", "categorical"])
def test_a_missing_answer_is_summed_over(family):
    """The density of a row with gaps is the sum over all that could stand there."""
    rows = np.minimum(GAPS, 1.0) if family == "bernoulli" else GAPS
    levels = (2,) * 4 if family == "bernoulli" else LEVELS
    fit = emframe.fit(emframe.Mixture(family, 2, missing=True), rows, rng=0, n_starts=2)
    for row in rows[np.isnan(rows).any(axis=1)][:5]:
        gaps = np.flatnonzero(np.isnan(row))
        filled = np.repeat(row[None], int(np.prod([levels[j] for j in gaps])), axis=0)
        filled[:, gaps] = list(product(*(range(levels[j]) for j in gaps)))
        expected = np.exp(fit.score_samples(filled)).sum()
        assert np.exp(fit.score_samples(row[None])) == pytest.approx([expected], rel=1e-12)
    empty = np.full((1, 4), np.nan)
    assert fit.score_samples(empty) == pytest.approx([0.0], abs=1e-12)
    assert fit.predict_proba(empty)[0] == pytest.approx(fit.params.weights)


@pytest.mark.parametrize("family", ["bernoulli", "categorical"])
def test_one_component_has_the_shares_of_the_answers_that_were_given(family):
    rows = np.minimum(GAPS, 1.0) if family == "bernoulli" else GAPS
    fit = emframe.fit(emframe.Mixture(family, missing=True), rows)
    ones = [np.mean(one[~np.isnan(one)] == 1) for one in rows.T]
    probs = fit.params.components.probs[0]
    assert (probs if family == "bernoulli" else probs[:, 1]) == pytest.approx(ones)


def test_a_selection_reads_the_levels_once_and_splits_components_of_rows_with_gaps():
    models = [categorical(k, missing=True) for k in (1, 2, 3)]
    chosen = emframe.select(models, GAPS, rng=0, n_starts=2, criterion="cv")
    assert [fit.model.family.levels for fit in chosen.fits] == [LEVELS] * 3
    kinds = {start.kind for start in chosen.fits[2].starts}
    assert "split of K = 2" in kinds
    assert np.isfinite(chosen.held_out).all()


def test_rows_alike_are_one_row_with_gaps_too():
    model = categorical(2, levels=LEVELS, missing=True)
    some = np.tile(GAPS[:20], (30, 1))
    rows = model.rows(some)
    assert len(model.condense(rows)) == len(pd.DataFrame(some).drop_duplicates())
    assert rows.n_distinct(100) == len(model.condense(rows))
    start = np.arange(len(some)) % 2
    assert emframe.fit(model, some, start=start).log_likelihood == pytest.approx(
        emframe.fit(model, some[::-1], start=start[::-1]).log_likelihood, rel=1e-10
    )


@pytest.mark.parametrize(
    ("family", "options", "remedy"),
    [
        ("bernoulli", {}, "or expect missing answers: missing=True"),
        ("categorical", {}, "or expect missing answers: missing=True"),
        ("categorical", {"levels": LEVELS}, "or expect missing answers: missing=True"),
        ("gaussian", {}, r"or expect missing values: missing=True\.$"),
    ],
)
def test_missing_answers_are_refused_unless_they_are_expected(family, options, remedy):
    message = rf"`X` row \d+, column \d .* is nan: missing or infinite .* {remedy}"
    with pytest.raises(ValueError, match=message):
        emframe.fit(emframe.Mixture(family, 2, **options), GAPS)


def test_a_product_takes_them_where_a_part_does():
    parts = {"a": "gaussian", "b": emframe.family("categorical", missing=True)}
    model = emframe.Mixture(emframe.Product(parts), 2)
    table = pd.DataFrame({"a": RNG.normal(size=len(GAPS)), "b": GAPS[:, 2]})
    assert emframe.fit(model, table, rng=0, n_starts=1).model.family.parts[1].family.levels == 5
    with pytest.raises(ValueError, match=r"row 3, column 0 \('a'\) is nan"):
        emframe.fit(model, table.assign(a=np.where(np.arange(len(table)) == 3, np.nan, table["a"])))


def test_what_is_infinite_is_never_missing():
    with pytest.raises(ValueError, match=r"row 0, column 0 .* is inf: missing or infinite"):
        emframe.fit(categorical(1, missing=True), np.where(np.isnan(GAPS), np.nan, np.inf))


def test_rows_drawn_for_a_bootstrap_hide_what_the_data_hide():
    """One answer in ten hides nine tenths of what a complete column would tell."""
    rows = np.where(np.arange(400)[:, None] % 10 == 0, X[:, :1], np.nan)
    fit = emframe.fit(categorical(1, missing=True), rows)
    exact = fit.standard_errors(rows).params.components.probs
    drawn = fit.standard_errors(rows, method="parametric", n_replicates=60, rng=0)
    assert drawn.params.components.probs == pytest.approx(exact, rel=0.4)


def test_states_of_a_chain_may_answer_or_not():
    model = emframe.model("hidden-markov", family="categorical", n_states=2, missing=True)
    fit = emframe.fit(model, GAPS, rng=0, n_starts=2)
    assert fit.model.family.levels == LEVELS
    assert fit.converged
    assert fit.predict_proba(GAPS).sum(axis=1) == pytest.approx(np.ones(len(GAPS)))


# ---- tables of joint answers


@pytest.mark.parametrize("d", [1, 4, 23])
@pytest.mark.parametrize("missing", [False, True])
def test_tables_and_products_give_the_same_q(d, missing):
    """Also where probabilities are 0, and an answer is impossible under a component."""
    rng = np.random.default_rng(d)
    levels = tuple(int(m) for m in rng.integers(1, 6, size=d))
    family = emframe.family("categorical", levels=levels, missing=missing)
    params = family.parameters(
        np.stack([[np.append(rng.dirichlet(np.ones(m)), np.zeros(max(levels) - m)) for m in levels]
                  for _ in range(3)])
    )  # fmt: skip
    params.probs[0, 0, : levels[0]] = np.eye(levels[0])[0]
    model = emframe.Mixture(family, 3)
    x = family.sample(params, rng.integers(3, size=500), rng)
    x = np.where(missing & (rng.random(x.shape) < 0.2), np.nan, x)
    weights = rng.uniform(0.5, 2.0, len(x))
    at = model.build({"weights": [0.2, 0.3, 0.5], "components": params})
    survey = Survey(family.whole(x, weights), MANY_ROWS)
    forms = list(model.passes(at, survey))
    assert isinstance(forms[0].kernel, Lookups)
    assert [one.kernel.form for one in forms] == ["lookups", "products"]
    fast, plain = (
        one.finish(one.block((x, weights), emframe.engines.Workspace())) for one in forms
    )
    assert fast.loglik == pytest.approx(plain.loglik, rel=1e-12)
    assert fast.entropy == pytest.approx(plain.entropy, rel=1e-9, abs=1e-9)
    assert fast.sums == pytest.approx(plain.sums, rel=1e-12)
    assert fast.statistics.totals == pytest.approx(plain.statistics.totals, rel=1e-10, abs=1e-12)


def test_an_item_of_too_many_answers_has_no_table():
    family = emframe.family("categorical", levels=(300, 2))
    survey = Survey(family.whole(X[:, :2] % 2, np.ones(len(X))), MANY_ROWS)
    params = family.template({"K": 1, "d": 2})
    assert [one.form for one in family.kernels(params, np.zeros(1), survey)] == ["products"]


@pytest.mark.parametrize("levels", [3, (3, 2, 5, 3)])
def test_the_weak_prior_is_a_product_of_dirichlet_densities(levels):
    """With the shares of all rows as mode, worth one row; by scipy."""
    family = emframe.family("categorical", levels=levels)
    rows = X[:, [0, 3]] if levels == 3 else X
    prior = family.conjugate_prior("weak", family.whole(rows, np.ones(len(rows))), 2)
    like = family.template({"K": 2, "d": rows.shape[1]})
    at = from_vector(like, np.random.default_rng(1).normal(size=len(to_vector(like))))
    wanted = 0.0
    for item, column_of in enumerate(rows.T):
        m = levels if isinstance(levels, int) else levels[item]
        shares = np.bincount(column_of.astype(int), minlength=m) / len(rows)
        for probs in at.probs[:, item, :m]:
            wanted += stats.dirichlet.logpdf(probs, 1.0 + shares)
    found = family.expected(prior.statistics, at) + prior.log_constant
    assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("levels", [3, (3, 3)])
def test_an_item_that_a_component_never_answers_keeps_its_probabilities(levels):
    family = emframe.family("categorical", levels=levels, missing=True)
    rows = np.array([[0.0, np.nan], [2.0, np.nan], [1.0, 1.0], [1.0, 2.0]])
    resp = np.repeat(np.eye(2), 2, axis=0)
    before = family.build({"probs": [[[0.2, 0.3, 0.5], [0.1, 0.2, 0.7]]] * 2})
    found = family.m_step(family.accumulate(rows, resp), before).probs
    assert found[0] == pytest.approx(np.array([[0.5, 0.0, 0.5], [0.1, 0.2, 0.7]]))
    assert found[1] == pytest.approx(np.array([[0.0, 1.0, 0.0], [0.0, 0.5, 0.5]]))
