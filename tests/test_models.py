"""Properties that every model has, whatever its z; and what is particular to one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from emframe_families.counting.poisson import Poisson
from emframe_families.gaussian.patterns import Hidden
from emframe_families.genes.gene_counting import Frequencies, GeneCounting
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import emframe
from emframe.core import Degenerate
from emframe.fitting import expectation
from emframe.latents import bands, paths, scans
from emframe.models import MixtureParameters
from emframe.parameters import equal, from_vector, nested, to_mapping, to_vector
from emframe.spaces import slopes

RNG = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def the_same_draws() -> None:
    """What a test draws does not depend on the tests that ran before it."""
    RNG.bit_generator.state = np.random.default_rng(12).bit_generator.state


def wide(n: int = 40) -> np.ndarray:
    """Rows of five columns with two factors behind them, in unlike units."""
    loadings = np.array([[2, 0], [1, 1], [0, 3], [1, -1], [0.5, 0.5]])
    rows = RNG.normal(size=(n, 2)) @ loadings.T + RNG.normal(size=(n, 5))
    return rows * [1, 10, 0.1, 1, 5] + [0, 100, 1, -3, 0]


def holes(x: np.ndarray, share: float = 0.25) -> np.ndarray:
    return np.where(RNG.random(x.shape) < share, np.nan, x)


def runs(count: Callable[[Any], Any], lengths: tuple[int, ...] = (30, 1, 12)) -> list[np.ndarray]:
    means = np.array([1.0, 6.0])
    return [count(means[(np.arange(n) // 4) % 2]).reshape(n, -1) for n in lengths]


def units(x: Any) -> list[np.ndarray]:
    """What weights count: runs, of which rows that stand alone are cut into some."""
    return x if isinstance(x, list) else list(np.array_split(x, 5))


@dataclass(frozen=True)
class Subject:
    """A model and data small enough to look at from all sides."""

    name: str
    options: dict[str, Any]
    X: Any

    @property
    def model(self) -> Any:
        return emframe.model(self.name, **self.options)

    def __str__(self) -> str:
        return "-".join([self.name, *(str(value) for value in self.options.values())])


SUBJECTS = [
    Subject("gene-counting", {"table": "abo"}, RNG.integers(0, 4, size=30).astype(float)),
    Subject("gene-counting", {"table": "linkage"}, RNG.integers(0, 4, size=30).astype(float)),
    Subject("factor-analysis", {"n_factors": 2}, wide()),
    Subject("factor-analysis", {"n_factors": 2, "noise": "shared"}, wide()),
    Subject("incomplete-gaussian", {}, holes(wide()[:, :3])),
    Subject("incomplete-gaussian", {"n_components": 2}, holes(wide(60)[:, :2])),
    Subject("incomplete-gaussian", {"n_components": 2, "covariance": "diag"}, holes(wide())),
    Subject("incomplete-gaussian", {"covariance": "tied"}, wide()[:, :2]),
    Subject("hidden-markov", {"family": "poisson", "n_states": 2}, runs(RNG.poisson)),
    Subject(
        "hidden-markov",
        {"family": "poisson", "n_states": 3, "initial": "stationary"},
        runs(RNG.poisson),
    ),
    Subject("hidden-markov", {"family": "gaussian", "n_states": 2}, runs(RNG.normal)),
    Subject(
        "hidden-markov",
        {"family": "gaussian", "n_states": 2, "covariance": "tied"},
        np.concatenate(runs(RNG.normal)),
    ),
]
every_model = pytest.mark.parametrize("subject", SUBJECTS, ids=map(str, SUBJECTS))


def start(subject: Subject, seed: int = 1, skip: int = 2) -> tuple[Any, Any, Any]:
    """The E-step over the data, and parameters that are neither a start nor a maximum."""
    model = subject.model
    rows = model.rows(subject.X)
    supply = (p for _, p in model.starts(rows, np.random.default_rng(seed)))
    sound = [p for p in itertools.islice(supply, skip + 1) if not isinstance(p, Degenerate)]
    expect = expectation(model, rows)
    return model, expect, expect(expect(sound[-1]).maximize()).maximize()


@every_model
def test_q_certifies_itself(subject):
    _, expect, params = start(subject)
    q = expect(params)
    assert q.value(params) + q.entropy == pytest.approx(q.loglik, rel=1e-10)


@every_model
def test_the_m_step_is_a_maximum(subject):
    _, expect, params = start(subject)
    q = expect(params)
    best = q.maximize()
    top, at = q.value(best), to_vector(best)
    assert top >= q.value(params)
    rng = np.random.default_rng(3)
    for size in (1e-3, 1e-2, 0.3):
        for _ in range(5):
            near = from_vector(best, at + size * rng.normal(size=len(at)))
            assert q.value(near) <= top + 1e-9 * abs(top)


@every_model
def test_fisher_s_identity(subject):
    """The gradient of Q at its own point is that of the log-likelihood, and no other."""
    _, expect, params = start(subject)
    q, at = expect(params), to_vector(params)
    steepest = slopes(lambda v: expect(from_vector(params, v)).loglik, at)
    own = slopes(lambda v: q.value(from_vector(params, v)), at)
    size = 1e-5 * (1.0 + np.abs(steepest).max())
    assert q.gradient() == pytest.approx(steepest, rel=1e-4, abs=size)
    assert q.gradient() == pytest.approx(own, rel=1e-4, abs=size)


@every_model
def test_q_adds_over_blocks_and_weights_are_frequencies(subject):
    model, _, params = start(subject)
    rows = model.rows(subject.X)
    n = len(rows)
    twice = model.expect(params, rows.x[0:n], np.full(n, 2.0))
    whole = model.expect(params, rows.x[0:n], np.ones(n))
    assert twice.loglik == pytest.approx(2 * whole.loglik, rel=1e-12)
    assert twice.entropy == pytest.approx(2 * whole.entropy, rel=1e-10, abs=1e-10)
    assert twice.value(params) == pytest.approx(2 * whole.value(params), rel=1e-10)
    if n > 1:
        cut = n // 3 or 1
        parts = [slice(0, cut), slice(cut, n)]
        first, second = (
            model.expect(params, rows.x[p], np.ones(len(range(*p.indices(n))))) for p in parts
        )
        both = first + second
        assert both.loglik == pytest.approx(whole.loglik, rel=1e-12)
        assert both.value(params) == pytest.approx(whole.value(params), rel=1e-10)
        assert to_vector(both.maximize()) == pytest.approx(
            to_vector(whole.maximize()), rel=1e-8, abs=1e-10
        )
    with pytest.raises(ValueError, match="same parameters"):
        whole + model.expect(from_vector(params, 0.9 * to_vector(params)), rows.x[0:n], np.ones(n))


@every_model
def test_weights_count_rows_in_any_unit(subject):
    """Weight 0 is a row removed, weight 2 a row twice; and a unit of weights changes nothing."""
    model, _, params = start(subject)
    X = subject.X if subject.name != "hidden-markov" else [np.asarray(x) for x in units(subject.X)]
    counts = np.arange(len(X)) % 3
    told = [row for row, count in zip(X, counts, strict=True) for _ in range(count)]
    told = told if isinstance(X, list) else np.array(told)
    plain = emframe.fit(model, told, start=params, max_iter=4)
    for unit in (1.0, 1e-300, 1e300):
        found = emframe.fit(model, X, weights=unit * counts, start=params, max_iter=4)
        assert found.log_likelihood / unit == pytest.approx(plain.log_likelihood, rel=1e-9)
        assert found.n_rows / unit == pytest.approx(plain.n_rows, rel=1e-12)
        assert to_vector(found.params) == pytest.approx(to_vector(plain.params), rel=1e-6, abs=1e-8)


@every_model
def test_a_fit_climbs_saves_loads_and_draws(subject, tmp_path):
    model = subject.model
    found = emframe.fit(model, subject.X, rng=0, n_starts=3)
    assert found.converged
    assert (np.diff(found.trace) >= 0).all()
    plain = emframe.fit(model, subject.X, start=found.params, accelerate=False)
    assert plain.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-5)
    assert found.score_samples(subject.X).sum() == pytest.approx(found.log_likelihood, rel=1e-10)
    found.save(tmp_path / "fit.em")
    again = emframe.load(tmp_path / "fit.em")
    assert again.model == model
    assert equal(again.params, found.params)
    assert again.log_likelihood == found.log_likelihood
    rows, z = again.sample(50, rng=4)
    other, _ = found.sample(50, rng=4)
    assert (rows == other).all()
    assert len(rows) == len(z) == 50
    assert np.isfinite(again.score_samples(rows)).all()
    assert np.isfinite(again.complete_log_likelihood(rows, z))
    assert subject.name in str(found)


@every_model
def test_parameters_from_a_mapping_are_a_start(subject):
    model = subject.model
    found = emframe.fit(model, subject.X, rng=0, n_starts=1)
    mapping = nested(to_mapping(found.params))
    again = emframe.fit(model, subject.X, start=mapping, max_iter=1)
    assert again.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-5)
    with pytest.raises((TypeError, ValueError)):
        emframe.fit(model, subject.X, start={"nothing": [1.0]})
    with pytest.raises((TypeError, ValueError), match=r"takes parameters|pass labels"):
        emframe.fit(model, subject.X, start=3)
    with pytest.raises(ValueError, match="knows"):
        emframe.fit(model, subject.X, prior="odd")


# ---- paths through states


@st.composite
def chain(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """A small chain, runs of unlike lengths, and emissions of a size up to underflow."""
    seed, k = draw(st.integers(0, 10_000)), draw(st.integers(1, 3))
    lengths = np.array(draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    rng = np.random.default_rng(seed)
    initial, matrix = rng.dirichlet(np.ones(k) / 2), rng.dirichlet(np.ones(k) / 2, size=k)
    sparse = np.where(matrix < draw(st.sampled_from([0.0, 0.3])), 0.0, matrix)
    matrix = sparse / sparse.sum(axis=1, keepdims=True)
    size = draw(st.sampled_from([1.0, 30.0, 2000.0]))
    return initial, matrix, size * rng.normal(size=(lengths.sum(), k)), lengths


def by_enumeration(initial: Any, matrix: Any, log_b: Any) -> tuple[Any, ...]:
    """Every path of one run: its log-likelihood, states, steps, entropy, and the best path."""
    n, k = log_b.shape
    every = list(itertools.product(range(k), repeat=n))
    with np.errstate(divide="ignore"):
        log_initial, log_matrix = np.log(initial), np.log(matrix)
    each = np.array(
        [
            log_initial[z[0]]
            + sum(log_matrix[i, j] for i, j in itertools.pairwise(z))
            + sum(log_b[t, state] for t, state in enumerate(z))
            for z in every
        ]
    )
    loglik = float(logsumexp(each))
    p = np.exp(each - loglik)
    states, steps = np.zeros((n, k)), np.zeros((k, k))
    for z, share in zip(every, p, strict=True):
        states[np.arange(n), z] += share
        for i, j in itertools.pairwise(z):
            steps[i, j] += share
    return loglik, states, steps, -float(p[p > 0] @ np.log(p[p > 0])), each.max()


@pytest.mark.parametrize("chunk", [0, 1, 2, 3])
@given(example=chain())
def test_paths_are_those_of_enumeration(chunk, example):
    """By numbers and by logarithms, whole and in chunks of any length; and the best path."""
    initial, matrix, log_b, lengths = example
    every = emframe.Sequences(np.zeros((len(log_b), 1)), lengths)
    weights = np.arange(1.0, len(lengths) + 1)
    known = [
        by_enumeration(initial, matrix, log_b[first : last + 1])
        for first, last in zip(every.firsts, every.lasts, strict=True)
    ]
    with pytest.MonkeyPatch.context() as patch:
        if chunk:
            # k = 0 asks for runs as a whole
            patch.setattr(scans, "_chunk_length", lambda lengths, k: chunk if k else lengths.max())
            patch.setattr(bands, "_LONGEST", chunk)
        scans._layout.cache_clear()
        found = []
        for is_banded in (True, False):
            patch.setattr(paths, "_suits_bands", lambda runs, k, is_banded=is_banded: is_banded)
            found.append(paths.path_posterior(initial, matrix, log_b, every, weights))
        found.append(paths._by_logs(initial, matrix, log_b, every, weights))
        best = paths.best_paths(initial, matrix, log_b, every)
    scans._layout.cache_clear()
    for one in found:
        assert one.loglik == pytest.approx([each[0] for each in known], rel=1e-9, abs=1e-9)
        assert one.states == pytest.approx(np.concatenate([k[1] for k in known]), abs=1e-8)
        steps = sum(weight * each[2] for weight, each in zip(weights, known, strict=True))
        assert one.steps == pytest.approx(steps, abs=1e-8)
        entropy = sum(weight * each[3] for weight, each in zip(weights, known, strict=True))
        assert one.entropy == pytest.approx(entropy, abs=1e-7)
    with np.errstate(divide="ignore"):
        for (first, last), each in zip(
            zip(every.firsts, every.lasts, strict=True), known, strict=True
        ):
            z, rows = best[first : last + 1], log_b[first : last + 1]
            score = np.log(initial[z[0]]) + np.log(matrix[z[:-1], z[1:]]).sum()
            score += rows[np.arange(len(z)), z].sum()
            assert score == pytest.approx(each[4], rel=1e-12, abs=1e-9)


def test_numbers_give_way_to_logarithms_where_they_underflow():
    """A path that the first rows all but exclude, and the later ones demand."""
    log_b = np.array([[0.0, -2000.0]] + [[-500.0, 0.0]] * 6)
    initial, matrix = np.array([0.5, 0.5]), np.eye(2)
    every, one = emframe.Sequences(np.zeros((7, 1))), np.ones(1)
    with np.errstate(all="ignore"):
        assert paths._by_numbers(initial, matrix, log_b, every, one) is None
    found = paths.path_posterior(initial, matrix, log_b, every, one)
    assert found.loglik == pytest.approx([np.log(0.5) - 2000.0])
    assert found.states[:, 1] == pytest.approx(np.ones(7))


def test_a_long_run_in_chunks_is_the_same_as_whole():
    rng = np.random.default_rng(0)
    matrix = rng.dirichlet(np.ones(4), size=4)
    log_b, initial = rng.normal(size=(5000, 4)) * 4, np.full(4, 0.25)
    every, one = emframe.Sequences(np.zeros((5000, 1))), np.ones(1)
    assert len(scans.layout(every.lengths, 4).run) > 10
    known = paths._by_logs(initial, matrix, log_b, every, one)
    for is_banded in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(paths, "_suits_bands", lambda runs, k, is_banded=is_banded: is_banded)
            found = paths._by_numbers(initial, matrix, log_b, every, one)
        assert found.loglik == pytest.approx(known.loglik, rel=1e-12)
        assert found.states == pytest.approx(known.states, abs=1e-10)
        assert found.steps == pytest.approx(known.steps, rel=1e-10)
        assert found.entropy == pytest.approx(known.entropy, rel=1e-10)


def test_a_block_in_which_too_much_is_lost_is_halved():
    """Every row speaks against what the rows before it foretell."""
    matrix, initial = np.full((2, 2), 1e-12) + np.eye(2), np.array([0.5, 0.5])
    matrix /= matrix.sum(axis=1, keepdims=True)
    log_b = np.where(np.arange(400)[:, None] % 2 == [0, 1], 0.0, -60.0)
    every, one = emframe.Sequences(np.zeros((400, 1))), np.ones(1)
    found = paths._by_numbers(initial, matrix, log_b, every, one)
    known = paths._by_logs(initial, matrix, log_b, every, one)
    assert found.loglik == pytest.approx(known.loglik, rel=1e-12)
    assert found.states == pytest.approx(known.states, abs=1e-10)


def test_runs_of_one_row_are_a_mixture():
    X = np.concatenate(runs(RNG.poisson))
    mixture = emframe.fit(emframe.Mixture("poisson", n_components=2), X, rng=0, n_starts=8)
    model = emframe.model("hidden-markov", family="poisson", n_states=2)
    alone = emframe.Sequences(X, np.ones(len(X), dtype=int))
    found = emframe.fit(model, alone, rng=0, n_starts=8)
    assert found.log_likelihood == pytest.approx(mixture.log_likelihood, abs=1e-6)
    assert np.sort(found.params.initial) == pytest.approx(np.sort(mixture.params.weights), abs=1e-4)


def test_runs_may_be_told_in_any_form():
    model = emframe.model("hidden-markov", family="poisson", n_states=2)
    X = runs(RNG.poisson)
    told = [
        X,
        [run[:, 0] for run in X],
        emframe.Sequences(np.concatenate(X), [len(run) for run in X]),
        emframe.Sequences(np.concatenate(X)[:, 0].tolist(), [len(run) for run in X]),
    ]
    found = [emframe.fit(model, one, rng=0, n_starts=2) for one in told]
    assert len({one.log_likelihood for one in found}) == 1
    assert found[0].score_samples(X).shape == (3,)
    assert found[0].predict_proba(X).shape == (43, 2)
    assert found[0].n_rows == 43
    # Frequencies belong to runs.
    heavy = emframe.fit(model, X, weights=[2, 1, 0], start=found[0].params, max_iter=0)
    parts = found[0].score_samples(X)
    assert heavy.log_likelihood == pytest.approx(2 * parts[0] + parts[1], rel=1e-12)
    assert heavy.n_rows == 61


def test_the_best_path_and_its_share_of_the_posterior():
    model = emframe.model("hidden-markov", family="poisson", n_states=2)
    X = runs(RNG.poisson)
    found = emframe.fit(model, X, rng=0, n_starts=2)
    path = model.viterbi(found.params, X)
    best = found.complete_log_likelihood(X, path)
    assert found.log_likelihood - best == pytest.approx(found.classification_uncertainty, rel=1e-9)
    flipped = path.copy()
    flipped[3] = 1 - flipped[3]
    assert found.complete_log_likelihood(X, flipped) < best


def test_stationary_paths_begin_as_they_go_on():
    model = emframe.model("hidden-markov", family="poisson", n_states=3, initial="stationary")
    found = emframe.fit(model, runs(RNG.poisson), rng=0, n_starts=2)
    initial, matrix = found.params.initial, found.params.transitions
    assert initial @ matrix == pytest.approx(initial, abs=1e-12)
    free = emframe.model("hidden-markov", family="poisson", n_states=3)
    assert emframe.fit(free, runs(RNG.poisson), rng=0, n_starts=1).n_parameters == 11
    assert found.n_parameters == 9


# ---- missing values and factors


def test_without_gaps_it_is_the_gaussian_mixture():
    X = wide(80)[:, :2]
    known = emframe.fit(emframe.Mixture("gaussian", n_components=2), X, rng=0, n_starts=4)
    model = emframe.model("incomplete-gaussian", n_components=2)
    found = emframe.fit(model, X, rng=0, n_starts=4)
    assert found.log_likelihood == pytest.approx(known.log_likelihood, abs=1e-7)


def test_the_likelihood_is_that_of_what_is_seen():
    X = holes(wide()[:, :3])
    model = emframe.model("incomplete-gaussian")
    found = emframe.fit(model, X, rng=0)
    mean, covariance = found.params.components.means[0], found.params.components.covariances[0]
    for row, score in zip(X, found.score_samples(X), strict=True):
        (seen,) = np.nonzero(~np.isnan(row))
        part = covariance[np.ix_(seen, seen)]
        exact = multivariate_normal.logpdf(row[seen], mean[seen], part) if len(seen) else 0.0
        assert score == pytest.approx(exact, rel=1e-9, abs=1e-12)
    filled = model.impute(found.params, X)
    assert (filled[~np.isnan(X)] == X[~np.isnan(X)]).all()
    assert not np.isnan(filled).any()


def test_what_is_missing_has_the_mean_over_all_components():
    """E[y | x] = sum_k p(k | x) (mu_ky + S_kyx / S_kxx (x - mu_kx)), of components that overlap."""
    model = emframe.model("incomplete-gaussian", n_components=2)
    weights, means = np.array([0.4, 0.6]), np.array([[0.0, 3.0], [1.0, -2.0]])
    covariances = np.array([[[1.0, 0.5], [0.5, 2.0]], [[1.5, -0.8], [-0.8, 1.0]]])
    params = model.build({"weights": weights, "means": means, "covariances": covariances})
    x = np.array([-1.0, 0.4, 0.9, 3.0])
    density = weights[:, None] * stats.norm.pdf(
        x, means[:, :1], np.sqrt(covariances[:, 0, 0])[:, None]
    )
    share = density / density.sum(axis=0)
    line = (covariances[:, 1, 0] / covariances[:, 0, 0])[:, None]
    wanted = (share * (means[:, 1:] + line * (x - means[:, :1]))).sum(axis=0)
    filled = model.impute(params, np.column_stack([x, np.full(4, np.nan)]))
    assert filled[:, 1] == pytest.approx(wanted, rel=1e-12)


def test_units_of_the_columns_change_nothing_but_a_constant():
    X, units = holes(wide()[:, :3]), np.array([1e-9, 1.0, 1e7])
    for name, data in (("incomplete-gaussian", X), ("factor-analysis", wide(300))):
        scale = units if name == "incomplete-gaussian" else np.array([1e-9, 1, 1e7, 1e3, 1])
        model = emframe.model(name)
        one = emframe.fit(model, data, rng=0, n_starts=1).log_likelihood
        other = emframe.fit(model, data * scale, rng=0, n_starts=1).log_likelihood
        shown = (~np.isnan(data)).sum(axis=0)
        assert other == pytest.approx(one - shown @ np.log(scale), rel=1e-8)


def test_gaps_of_several_kinds():
    pandas = pytest.importorskip("pandas")
    model = emframe.model("incomplete-gaussian")
    X = np.round(holes(wide()[:, :2]), 3)
    told = [
        X,
        [[None if np.isnan(v) else v for v in row] for row in X],
        np.ma.masked_invalid(X),
        pandas.DataFrame(X, columns=["a", "b"]),
    ]
    found = [emframe.fit(model, one, rng=0).log_likelihood for one in told]
    assert found == pytest.approx([found[0]] * 4, rel=1e-12)


@pytest.mark.parametrize("noise", ["columns", "shared"])
def test_the_m_step_of_factors_is_a_maximum_from_means_that_are_off(noise):
    """Far from the rows' means the factors have means too, which are part of the regression."""
    X = wide(200)
    model = emframe.model("factor-analysis", n_factors=2, noise=noise)
    at = emframe.fit(model, X, rng=0, n_starts=1).params
    off = replace(at, means=at.means + X.std(axis=0))
    q = model.expect(off, X, np.ones(len(X)))
    found = q.maximize()
    top, centre = q.value(found), to_vector(found)
    units = np.maximum(np.abs(centre), 1e-3)
    for j, unit in enumerate(units):
        for step in (-1e-3 * unit, 1e-3 * unit):
            moved = centre.copy()
            moved[j] += step
            beside = q.value(from_vector(found, moved))
            assert beside <= top + 1e-9 * abs(top)


def test_factors_may_be_turned():
    X = wide()
    model = emframe.model("factor-analysis", n_factors=2)
    found = emframe.fit(model, X, rng=0)
    turned = model.principal(found.params)
    assert model.covariance(turned) == pytest.approx(model.covariance(found.params), rel=1e-9)
    inner = turned.loadings.T @ (turned.loadings / turned.noise[:, None])
    assert abs(inner[0, 1]) < 1e-9 * inner[0, 0]
    density = multivariate_normal.logpdf(X, turned.means, model.covariance(turned))
    assert found.score_samples(X) == pytest.approx(density, rel=1e-9)
    assert found.latent(X).shape == (len(X), 2)


@pytest.mark.parametrize("noise", [1e-20, 1e-200])
def test_factors_that_depend_on_one_another_are_degenerate_and_no_accident(noise):
    """A run that comes near such a point ends there, and other starts go on."""
    x = np.random.default_rng(0).normal(size=(30, 6))
    model = emframe.model("factor-analysis", n_factors=2)
    params = emframe.fit(model, x, rng=0).params
    loadings = np.outer(np.ones(6), [1.0, 2.0])
    with pytest.raises(emframe.Degenerate, match="singular"):
        model.expect(replace(params, noise=np.full(6, noise), loadings=loadings), x, np.ones(30))


def test_a_heywood_case_is_told():
    """With two columns nearly equal one of them becomes the factor."""
    rng = np.random.default_rng(2)
    z = rng.normal(size=(30, 1))
    noisy = rng.normal(size=(30, 1))
    twin = emframe.fit("factor-analysis", np.hstack([z, z + 1e-6 * noisy, noisy]), rng=0)
    assert twin.status is emframe.Status.DEGENERATE
    assert "Heywood" in twin.message
    X = np.random.default_rng(5).normal(size=(25, 4))
    X[:, 1] += X[:, 0]
    found = emframe.fit("factor-analysis", X, rng=0)
    assert "Heywood" in found.spurious


# ---- what is refused

HMM = {"name": "hidden-markov", "family": "poisson"}


@pytest.mark.parametrize(
    ("options", "X", "words"),
    [
        ({"name": "gene-counting"}, [0, 4], "row 1 is class 4"),
        ({"name": "factor-analysis", "n_factors": 2}, wide()[:, :4], "tells at most 1"),
        ({"name": "incomplete-gaussian"}, [[1.0, np.nan]] * 4, r"column 1 \('x1'\) has no value"),
        ({"name": "incomplete-gaussian"}, [[1.0, np.inf]] * 4, "infinite"),
        ({**HMM, "n_states": 3}, [1, 2], "pass at most 2"),
        (HMM, [[1.5], [2]], "outside the support"),
        (HMM, [np.ones((3, 1)), np.ones((3, 2))], "as many columns in each"),
    ],
)
def test_unusable_data_are_refused(options, X, words):
    options = dict(options)
    model = emframe.model(options.pop("name"), **options)
    with pytest.raises(ValueError, match=words):
        emframe.fit(model, X)


@pytest.mark.parametrize(
    ("name", "options", "kind", "words"),
    [
        ("hidden-markow", {}, ValueError, "Did you mean 'hidden-markov'"),
        ("hidden-markov", {"family": "poisson", "n_states": 0}, ValueError, "pass 1 or more"),
        ("hidden-markov", {"family": "poisson", "initial": "fixed"}, ValueError, "`initial`"),
        ("hidden-markov", {}, TypeError, "its settings"),
        ("factor-analysis", {"noise": "none"}, ValueError, "`noise`"),
        ("factor-analysis", {"factors": 2}, TypeError, "its settings"),
        ("incomplete-gaussian", {"covariance": "odd"}, ValueError, "`covariance`"),
        ("gene-counting", {"table": "odd"}, ValueError, "`table`"),
    ],
)
def test_unusable_settings_are_refused(name, options, kind, words):
    with pytest.raises(kind, match=words):
        emframe.model(name, **options)


def test_lengths_have_to_fit_the_rows():
    for lengths in ([2, 2], [5, 0], [2.5, 2.5]):
        with pytest.raises(ValueError, match="`lengths`"):
            emframe.Sequences(np.ones(5), lengths)


def test_a_data_set_is_one_run():
    model = emframe.model("hidden-markov", family="poisson", n_states=2)
    quakes = emframe.dataset("earthquakes")
    found = emframe.fit(model, quakes, rng=0, n_starts=1)
    assert found.columns == quakes.columns
    assert found.log_likelihood == emframe.fit(model, quakes.X, rng=0, n_starts=1).log_likelihood


def test_a_family_of_one_s_own_comes_back_with_the_file(tmp_path):
    class Mine(Poisson):
        name = "mine"

    model = emframe.model("hidden-markov", family=Mine(), n_states=2)
    found = emframe.fit(model, runs(RNG.poisson), rng=0, n_starts=1)
    found.save(tmp_path / "fit.em")
    assert emframe.load(tmp_path / "fit.em", family=Mine()).model == model
    with pytest.raises(ValueError, match="no family is called 'mine'"):
        emframe.load(tmp_path / "fit.em")


def test_an_m_step_outside_its_spaces_is_told():
    class Wrong(GeneCounting):
        def m_step(self, statistics, previous):
            return Frequencies(statistics.genes)

    with pytest.raises(emframe.FamilyError, match="m_step: `frequencies`"):
        emframe.fit(Wrong(), [0, 1, 2, 3])


def test_weights_belong_to_runs():
    model = emframe.model("hidden-markov", family="poisson", n_states=2)
    with pytest.raises(ValueError, match="pass one weight per run"):
        emframe.fit(model, np.ones(9), weights=np.ones(9))


@pytest.mark.parametrize("name", ["incomplete-gaussian", "factor-analysis", "gene-counting"])
def test_runs_are_refused_where_every_row_is_its_own(name):
    with pytest.raises(TypeError, match="`X` is divided into runs, but to this model every row"):
        emframe.fit(name, emframe.Sequences(np.zeros((6, 1)), [4, 2]))


def test_a_continuous_z_has_no_probabilities():
    found = emframe.fit("factor-analysis", wide(), rng=0)
    with pytest.raises(TypeError, match="continuous"):
        found.predict_proba(wide())
    with pytest.raises(ValueError, match="factors of each row"):
        found.complete_log_likelihood(wide(), np.zeros(3))


@pytest.mark.parametrize(
    ("family", "k", "n"), [("gaussian", 40, 6001), ("gaussian", 2, 99_001), ("poisson", 2, 99_001)]
)
def test_chains_meet_their_rows_by_any_kernel(family: str, k: int, n: int) -> None:
    """Tiles that are filled up, and runs longer than a block, give the Q of plain densities."""
    rng = np.random.default_rng(0)
    d = 3 if k > 3 else 1
    x = rng.poisson(4.0, size=(n, d)).astype(float)
    x += 0.0 if family == "poisson" else rng.normal(size=x.shape)
    model = emframe.model("hidden-markov", family=family, n_states=k)
    rows = model.rows(emframe.Sequences(x, np.array([1000, n - 1000])), [1.0, 2.0])
    _, params = next(model.starts(rows, rng))
    q = expectation(model, rows)(params)
    plain = model.expect(params, rows.x, rows.weights)
    assert q.loglik == pytest.approx(plain.loglik, rel=1e-11)
    assert q.entropy == pytest.approx(plain.entropy, rel=1e-9)
    assert q.value(params) == pytest.approx(plain.value(params), rel=1e-11)
    one, two = (to_vector(each.maximize()) for each in (q, plain))
    np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-6)


def test_a_chain_over_a_product_takes_its_columns_by_name(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "other": rng.normal(size=90),
            "visits": rng.poisson(4.0, size=90),
            "height": rng.normal(170.0, 9.0, size=90),
        },
        index=np.arange(5, 95),
    )
    family = emframe.Product({"height": "gaussian", "visits": "poisson"})
    model = emframe.model("hidden-markov", family=family, n_states=2)
    fit = emframe.fit(model, frame, rng=0, n_starts=2)
    turned = emframe.fit(model, frame[["height", "visits"]], rng=0, n_starts=2)
    assert fit.log_likelihood == turned.log_likelihood
    assert fit.columns == ("height", "visits")
    assert fit.score_samples(frame).shape == (1,)
    assert list(fit.predict(frame).index) == list(frame.index)
    fit.save(tmp_path / "chain.fit")
    again = emframe.load(tmp_path / "chain.fit")
    assert np.array_equal(again.predict(frame), fit.predict(frame))
    runs = emframe.fit(model, [frame[:40], frame[40:]], rng=0, n_starts=2)
    assert runs.columns == fit.columns
    parts = [frame[:40], frame[["height", "visits", "other"]][40:]]
    assert emframe.fit(model, parts, rng=0, n_starts=2).log_likelihood == runs.log_likelihood
    nameless = emframe.model("hidden-markov", family="gaussian", n_states=2)
    with pytest.raises(ValueError, match=r"with the columns height, visits and visits, height; "):
        emframe.fit(nameless, [frame[["height", "visits"]], frame[["visits", "height"]]])
    with pytest.raises(ValueError, match="'height' is not there"):
        emframe.fit(model, frame[["visits", "other"]])


# ---- gaps


@pytest.mark.parametrize("seed", [3, 5, 23])
def test_answers_with_gaps_that_follow_from_one_another_end_in_a_status(seed):
    """Five items of one trait, a quarter missing: a component soon has fewer rows than columns."""
    rng = np.random.default_rng(seed)
    trait = rng.normal(size=(60, 1))
    X = np.clip(np.round(3 + trait + 0.6 * rng.normal(size=(60, 5))), 1, 5)
    X[rng.random(X.shape) < 0.25] = np.nan
    X = X[~np.isnan(X).all(axis=1)]
    model = emframe.model("incomplete-gaussian", n_components=2)
    found = emframe.fit(model, X, rng=seed, n_starts=2, max_iter=300)
    assert found.status in {emframe.Status.DEGENERATE, emframe.Status.CONVERGED}
    assert np.isfinite(found.log_likelihood)


def test_what_a_row_hides_is_normal_given_what_it_shows():
    """Against scipy's densities, and the textbook's conditional moments, column by column."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(2, 4, 4))
    covariances = root @ np.swapaxes(root, 1, 2) * np.array([1.0, 1e-6, 30.0, 1.0]) ** 0.5
    covariances = 0.5 * (covariances + np.swapaxes(covariances, 1, 2)) + 1e2 * np.eye(4)
    means = rng.normal(size=(2, 4))
    model = emframe.model("incomplete-gaussian", n_components=2)
    params = model.build({"weights": [0.4, 0.6], "means": means, "covariances": covariances})
    x = rng.normal(size=(6, 4))
    for gaps in ([], [0], [1, 3], [0, 1, 2]):
        hidden = np.isin(np.arange(4), gaps)
        rows = np.where(hidden, np.nan, x)
        seen = Hidden.of(means, covariances, hidden)
        log_density = model.log_density(params, rows)
        for k in range(2):
            S, o, m = covariances[k], np.flatnonzero(~hidden), np.flatnonzero(hidden)
            wanted = stats.multivariate_normal(means[k, o], S[np.ix_(o, o)]).logpdf(x[:, o])
            np.testing.assert_allclose(log_density[:, k], wanted, rtol=1e-10)
            slope = S[np.ix_(m, o)] @ np.linalg.pinv(S[np.ix_(o, o)])
            left = S[np.ix_(m, m)] - slope @ S[np.ix_(o, m)]
            filled = means[k, m] + (x[:, o] - means[k, o]) @ slope.T
            np.testing.assert_allclose(seen.filled(rows)[k][:, m], filled, rtol=1e-9)
            np.testing.assert_allclose(seen.left[k], left, rtol=1e-9)
            entropy = stats.multivariate_normal(np.zeros(len(m)), left).entropy() if gaps else 0.0
            assert seen.entropy[k] == pytest.approx(entropy, rel=1e-10, abs=1e-12)


def test_a_covariance_that_is_singular_to_rounding_is_degenerate_whatever_shows():
    """Three columns of which the third is the sum of the others, to the last bits."""
    model = emframe.model("incomplete-gaussian")
    base = np.array([[1.0, 0.3], [0.3, 1.0]])
    turn = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    params = MixtureParameters(
        np.ones(1), model.family.parameters(np.zeros((1, 3)), (turn @ base @ turn.T)[None])
    )
    for row in ([0.1, 0.2, 0.3], [0.1, np.nan, 0.3], [np.nan, np.nan, 0.3]):
        with pytest.raises(Degenerate, match="component 0 is singular to rounding"):
            model.expect(params, np.array([row]), np.ones(1))
