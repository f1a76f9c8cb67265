"""What is said of a fit before it is believed, against sums written out."""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

import emframe
from emframe.inference.classes import class_table

CARCINOMA = emframe.dataset("carcinoma")
RATINGS = CARCINOMA.X
THREE = emframe.fit(emframe.Mixture("bernoulli", 3), CARCINOMA, rng=0)
FOUND = THREE.diagnostics(CARCINOMA)


def density(fit, cell) -> float:
    """Of one row of yes/no answers, term by term."""
    total = 0.0
    for weight, probs in zip(fit.params.weights, fit.params.components.probs, strict=True):
        total += weight * np.prod([p if x else 1.0 - p for x, p in zip(cell, probs, strict=True)])
    return total


def test_classes_by_hand() -> None:
    resp = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    weights = np.array([1.0, 2.0, 1.0])
    found = class_table(resp, weights)
    assert found.errors == pytest.approx(np.array([[2.1, 0.2], [0.9, 0.8]]))
    assert found.sizes == pytest.approx([2.3 / 4, 1.7 / 4])
    assert found.assigned == pytest.approx([0.75, 0.25])
    assert found.average_posterior == pytest.approx([0.7, 0.8])
    odds = [0.7 / 0.3 / (2.3 / 1.7), 0.8 / 0.2 / (1.7 / 2.3)]
    assert found.odds == pytest.approx(odds)
    assert found.error_rate == pytest.approx((0.1 + 2 * 0.4 + 0.2) / 4)
    entropy = -sum(
        w * sum(r * np.log(r) for r in row) for row, w in zip(resp, weights, strict=True)
    )
    assert found.entropy_r2 == pytest.approx(1 - entropy / (4 * np.log(2)))


def test_a_component_that_no_row_is_assigned_to_has_no_average() -> None:
    found = class_table(np.array([[0.6, 0.4], [0.7, 0.3]]), np.ones(2))
    assert np.isnan(found.average_posterior[1])
    assert np.isnan(found.odds[1])
    assert found.sizes == pytest.approx([0.65, 0.35])


def test_criteria_by_their_formulas() -> None:
    ll, p, n = THREE.log_likelihood, THREE.n_parameters, 118
    resp = np.asarray(THREE.predict_proba(CARCINOMA))
    entropy = -np.sum(resp * np.log(np.where(resp > 0, resp, 1.0)))
    assert THREE.sabic == pytest.approx(-2 * ll + p * np.log((n + 2) / 24), rel=1e-12)
    assert THREE.caic == pytest.approx(-2 * ll + p * (np.log(n) + 1), rel=1e-12)
    assert FOUND.awe == pytest.approx(-2 * (ll - entropy) + 2 * p * (1.5 + np.log(n)), rel=1e-10)
    assert THREE.relative_entropy == pytest.approx(1 - entropy / (n * np.log(3)), rel=1e-9)
    assert FOUND.classes.entropy_r2 == pytest.approx(THREE.relative_entropy, rel=1e-9)


def test_a_table_of_counts_over_all_its_cells() -> None:
    """Its G2 is what poLCA's manual prints, section 6.1."""
    ratio = pearson = 0.0
    for cell in product((0, 1), repeat=7):
        count = float((cell == RATINGS).all(axis=1).sum())
        expected = 118 * density(THREE, cell)
        ratio += 2 * count * np.log(count / expected) if count else 0.0
        pearson += (count - expected) ** 2 / expected if expected > 0 else 0.0
    table = FOUND.table
    assert table.likelihood_ratio == pytest.approx(ratio, rel=1e-9)
    assert table.pearson == pytest.approx(pearson, rel=1e-9)
    assert table.likelihood_ratio == pytest.approx(15.26171, abs=2e-5)
    assert (table.cells, table.freedom) == (128, 128 - 1 - 23)
    assert table.p_values == pytest.approx(
        (chi2.sf(ratio, table.freedom), chi2.sf(pearson, table.freedom))
    )


CHEATING = pd.read_csv(Path(__file__).parent / "reference" / "cheating.csv").drop(columns="GPA")


@pytest.mark.parametrize(
    ("data", "k", "expected"),
    [(CARCINOMA, 2, 62.3654294), (CARCINOMA, 4, 6.4234524), (CHEATING, 2, 7.7642422)],
    ids=["carcinoma, 2", "carcinoma, 4", "cheating, 2"],
)
def test_g2_is_that_of_polca(data, k: int, expected: float) -> None:
    """`Gsq` of poLCA 1.6.0.2 at the best of many starts."""
    fit = emframe.fit(emframe.Mixture("bernoulli", k), data, rng=0)
    assert fit.diagnostics(data).table.likelihood_ratio == pytest.approx(expected, abs=1e-4)


def test_what_is_left_between_two_columns() -> None:
    cells = np.array(list(product((0, 1), repeat=7)))
    expected = 118 * np.array([density(THREE, cell) for cell in cells])
    left = {}
    for i, j in combinations(range(7), 2):
        x2 = 0.0
        for a, b in product((0, 1), repeat=2):
            e = expected[(cells[:, i] == a) & (cells[:, j] == b)].sum()
            o = ((RATINGS[:, i] == a) & (RATINGS[:, j] == b)).sum()
            x2 += (o - e) ** 2 / e
        left["ABCDEFG"[i], "ABCDEFG"[j]] = x2
    assert {one.columns: one.residual for one in FOUND.pairs} == pytest.approx(left, rel=1e-6)
    sizes = [one.residual for one in FOUND.pairs]
    assert sizes == sorted(sizes, reverse=True)


def test_items_of_several_answers_and_gaps() -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, 3, (150, 4)).astype(float)
    x[:, 3] = rng.integers(0, 2, 150)
    fit = emframe.fit(emframe.Mixture("categorical", 1), x, rng=0)
    found = fit.diagnostics(x)
    assert found.table.cells == 27 * 2
    first = next(one for one in found.pairs if one.columns == ("x0", "x3"))
    counts = pd.crosstab(x[:, 0], x[:, 3]).to_numpy()
    expected = np.outer(counts.sum(1), counts.sum(0)) / 150
    assert first.statistic == pytest.approx(((counts - expected) ** 2 / expected).sum(), rel=1e-8)
    assert first.freedom == 2
    x[0, 0] = np.nan
    gaps = emframe.fit(emframe.Mixture("categorical", 1, missing=True), x, rng=0).diagnostics(x)
    assert gaps.table is None
    assert len(gaps.pairs) == 6


def test_p_values_from_tables_drawn() -> None:
    items = RATINGS[:, :3]
    fit = emframe.fit(emframe.Mixture("bernoulli", 1), items, rng=0)
    drawn = fit.diagnostics(items, n_replicates=19, rng=1).table
    assert drawn.replicates.shape == (19, 2)
    assert drawn.p_values == (1 / 20, 1 / 20)  # raters of the same slides are not independent
    again = fit.diagnostics(items, n_replicates=19, rng=1).table
    assert again.replicates == pytest.approx(drawn.replicates)


def test_a_row_twice_is_a_weight_of_two() -> None:
    counts = RATINGS[:, :4]
    rows, weights = np.unique(counts, axis=0, return_counts=True)
    fit = emframe.fit(emframe.Mixture("bernoulli", 2), counts, rng=0)
    one, other = fit.diagnostics(counts), fit.diagnostics(rows, weights=weights)
    assert other.classes.errors == pytest.approx(one.classes.errors)
    assert other.table.likelihood_ratio == pytest.approx(one.table.likelihood_ratio)


def test_a_unit_is_a_run_where_its_rows_share_a_component() -> None:
    rng = np.random.default_rng(1)
    kind = rng.integers(0, 2, 30)
    frame = pd.DataFrame(
        {"y": rng.normal(np.repeat(2.0 * kind, 4)), "who": np.repeat(range(30), 4)}
    )
    runs = emframe.Sequences.by(frame, "who")
    fit = emframe.fit(emframe.Mixture(emframe.Grouped("gaussian"), 2), runs, rng=0)
    found = fit.diagnostics(runs)
    assert found.classes.total == 30
    assert found.classes.entropy_r2 == pytest.approx(fit.relative_entropy, rel=1e-6)
    chain = emframe.fit(emframe.model("hidden-markov", family="gaussian"), runs, rng=0, n_starts=2)
    assert chain.diagnostics(runs).classes.total == pytest.approx(120)
    assert np.isnan(chain.relative_entropy)


def test_what_the_data_determine() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, 80), rng.normal(6, 1, 60)])
    fit = emframe.fit(emframe.Mixture("gaussian", 2), x, rng=0)
    assert fit.diagnostics(x).is_identified
    items = RATINGS[:, :2]
    many = emframe.fit(emframe.Mixture("bernoulli", 2), items, rng=0)
    found = many.diagnostics(items)
    assert not found.is_identified
    assert (found.freedom, many.n_parameters) == (3, 5)
    assert found.n_determined < 5 or found.freedom < 5
    assert "can determine 3 numbers at most, and the model has 5" in str(found)


def test_it_prints_and_makes_frames() -> None:
    text = str(FOUND)
    for word in ("average posterior", "entropy R2 0.9257", "G2 15.2617", "D x F", "sabic"):
        assert word in text
    frame = FOUND.to_frame()
    assert list(frame["component"]) == [0, 1, 2]
    assert frame["size"].sum() == pytest.approx(1.0)
    assert FOUND._repr_html_().count("<tr>") == 4


def test_what_is_refused() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    fit = emframe.fit(emframe.Mixture("gaussian", 1), x, rng=0)
    with pytest.raises(ValueError, match="`n_replicates` is 5, but there is no table of counts"):
        fit.diagnostics(x, n_replicates=5)
    factors = emframe.fit(emframe.model("factor-analysis", n_factors=1), x, rng=0)
    with pytest.raises(TypeError, match="continuous"):
        factors.diagnostics(x)
