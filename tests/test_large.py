"""Data that are never held whole: memory maps, blocks, Parquet, distinct rows, and streams."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import emframe
from emframe.core import Status
from emframe.parameters import leaves, to_vector

MODEL = emframe.Mixture("gaussian", n_components=2)


def clusters(n=3000, d=2, seed=0, dtype=float):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) + 5.0 * rng.integers(2, size=(n, 1))).astype(dtype)


def in_blocks(x, *cuts):
    return emframe.Blocks(lambda: np.split(x, cuts), *x.shape)


def same_parameters(one, other, rel=1e-6):
    for mine, theirs in zip(leaves(one.params), leaves(other.params), strict=True):
        assert mine.value == pytest.approx(theirs.value, rel=rel, abs=rel)


def sources(tmp_path, x):
    path = tmp_path / "x.npy"
    np.save(path, x)
    frame = tmp_path / "x.parquet"
    pd.DataFrame(x, columns=["a", "b"]).to_parquet(frame)
    return {
        "map": np.load(path, mmap_mode="r"),
        "fortran": np.asfortranarray(x),
        "reversed": x[::-1][::-1],
        "blocks": in_blocks(x, 700, 701, 2500),
        "parquet": emframe.read_parquet(frame, rows=999),
    }


@pytest.mark.parametrize("kind", ["map", "fortran", "reversed", "blocks", "parquet"])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_source_gives_the_fit_of_the_array(tmp_path, kind, weighted):
    x = clusters()
    weights = np.random.default_rng(1).integers(0, 3, len(x)) if weighted else None
    start = {"weights": [0.5, 0.5], "means": [[0, 0], [4, 4]], "covariances": [np.eye(2)] * 2}
    expected = emframe.fit(MODEL, x, weights=weights, start=start)
    source = sources(tmp_path, x)[kind]
    fit = emframe.fit(MODEL, source, weights=weights, start=start)
    assert fit.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-12)
    same_parameters(fit, expected)
    assert np.array_equal(fit.predict(source), expected.predict(x))
    assert fit.columns == (("a", "b") if kind == "parquet" else ("x0", "x1"))


def test_starts_are_drawn_from_blocks_as_well():
    x = clusters()
    fit = emframe.fit(MODEL, in_blocks(x, 1000), rng=0, n_starts=3)
    assert fit.status is Status.CONVERGED
    assert sorted(fit.params.components.means[:, 0]) == pytest.approx([0, 5], abs=0.2)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (emframe.Blocks(lambda: [np.ones((3, 2))], 4, 2), "gave 3 rows; `Blocks` announced 4"),
        (emframe.Blocks(lambda: [np.ones((5, 2))], 4, 2), "gave more than 4 rows"),
        (emframe.Blocks(lambda: [np.ones((4, 3))], 4, 2), r"shape \(4, 3\).*announced 2 columns"),
        (emframe.Blocks(iter([[np.ones((4, 2))], []]).__next__, 4, 2), "start over each time"),
        (emframe.Blocks(lambda: [[[1.0, 2.0]], [[np.nan, 1.0]]], 2, 2), "row 1, column 0.*nan"),
    ],
    ids=["few", "many", "columns", "once", "nan"],
)
def test_blocks_that_are_not_what_was_announced_are_refused(source, words):
    with pytest.raises(ValueError, match=words):
        emframe.fit(emframe.Mixture("gaussian"), source, rng=0, n_starts=1)


def test_a_parquet_file_without_the_column_says_which_it_has(tmp_path):
    pd.DataFrame({"a": [1.0]}).to_parquet(tmp_path / "one.parquet")
    with pytest.raises(ValueError, match="no column 'b'; it has a"):
        emframe.read_parquet(tmp_path / "one.parquet", ["b"])


# ---- distinct rows


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_repeated_rows_are_collapsed_and_nothing_else_changes(family):
    rng = np.random.default_rng(0)
    x = rng.integers(2 if family == "bernoulli" else 4, size=(4000, 3)).astype(float)
    weights = rng.uniform(0.5, 2.0, 4000)
    model = emframe.Mixture(family, n_components=2)
    rows = model.rows(x, weights)
    few = model.condense(rows)
    assert len(few) == len(np.unique(x, axis=0))
    assert few.total == pytest.approx(rows.total)
    params = next(p for _, p in model.starts(rows, rng))
    one, other = (model.expect(params, r.x, r.weights) for r in (rows, few))
    assert one.loglik == pytest.approx(other.loglik, rel=1e-12)
    assert one.entropy == pytest.approx(other.entropy, rel=1e-12)
    assert one.value(params) == pytest.approx(other.value(params), rel=1e-12)


@pytest.mark.parametrize("family", ["bernoulli", "categorical", "poisson"])
@pytest.mark.parametrize("prior", [None, "weak"])
def test_a_value_too_rare_for_the_rows_of_a_start_is_not_impossible(family, prior, monkeypatch):
    monkeypatch.setattr("emframe.models.component_starts.MOST_ROWS", 200)
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.2, 0.8, (2, 24))[rng.integers(2, size=3000)]
    x = (rng.random(shares.shape) < shares).astype(float)
    x[:, 0] = np.arange(len(x)) == 2222
    fit = emframe.fit(emframe.Mixture(family, 2), x, prior=prior, rng=0, n_starts=3)
    assert [start.status for start in fit.starts] == [emframe.Status.CONVERGED] * 3
    larger = emframe.select((family, [2, 3]), x, prior=prior, rng=0, n_starts=3).fits[1]
    assert all(start.status is emframe.Status.CONVERGED for start in larger.starts)


def test_rows_that_seldom_repeat_are_left_alone():
    x = np.random.default_rng(0).poisson(1e6, (500, 3))
    model = emframe.Mixture("poisson", n_components=2)
    rows = model.rows(x)
    assert model.condense(rows) is rows


def test_rows_with_numbers_that_are_not_whole_are_told_apart():
    """As digits of one number 9.0 and 0.1 of a column after a count from 0 to 9 would collide."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.integers(10, size=800), rng.integers(8, size=800) / 10])
    model = emframe.Mixture(emframe.Product({0: "poisson", 1: "gaussian"}), 1)
    few = model.condense(model.rows(x))
    assert len(few) == len(np.unique(x, axis=0))
    fit = emframe.fit(model, x, rng=0)
    assert fit.score_samples(x).sum() == pytest.approx(fit.log_likelihood, rel=1e-12)


def test_keys_of_rows_too_wide_for_one_number():
    rng = np.random.default_rng(0)
    patterns = rng.integers(2, size=(10, 200)).astype(float)
    x = patterns[rng.integers(10, size=1000)]
    model = emframe.Mixture("bernoulli", n_components=2)
    few = model.condense(model.rows(x))
    assert len(few) == 10
    assert {tuple(row) for row in few.x} == {tuple(row) for row in patterns}


# ---- memory


def test_a_pass_takes_constant_memory(tmp_path):
    """A file of 128 MB, mapped: the process grows by no more than the file and 64 MB."""
    script = textwrap.dedent(
        """
        import sys
        import numpy as np
        import emframe

        def peak():
            with open("/proc/self/status") as file:
                return next(int(l.split()[1]) for l in file if l.startswith("VmHWM")) / 1024

        model = emframe.Mixture("gaussian", n_components=3)
        small = np.random.default_rng(0).normal(size=(50_000, 8))
        emframe.fit(model, small, n_starts=1, max_iter=2, rng=0)
        before = peak()
        x = np.load(sys.argv[1], mmap_mode="r")
        emframe.fit(model, x, n_starts=1, max_iter=2, rng=0)
        print(peak() - before)
        """
    )
    path = tmp_path / "big.npy"
    big = np.lib.format.open_memmap(path, "w+", dtype=float, shape=(2_000_000, 8))
    rng = np.random.default_rng(0)
    for part in range(0, len(big), 250_000):
        big[part : part + 250_000] = rng.normal(size=(250_000, 8))
    big.flush()
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 128 + 64


# ---- streams


def stream_of(family, rng, n):
    if family == "gaussian":
        return clusters(n, seed=rng)
    rates = np.array([[1.0, 8.0], [9.0, 2.0]])[rng.integers(2, size=n)]
    return rng.poisson(rates).astype(float)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_one_pass_over_a_stream_comes_near_the_maximum(family):
    rng = np.random.default_rng(3)
    blocks = [stream_of(family, rng, 500) for _ in range(60)]
    model = emframe.Mixture(family, n_components=2)
    online = emframe.Stepwise(model)
    stream = online.begin(blocks[0], rng=0)
    for block in blocks:
        stream = online.update(stream, block)
    best = emframe.fit(model, np.concatenate(blocks), start=stream.params)
    reached = model.expect(stream.params, *next(model.rows(np.concatenate(blocks)).blocks(10**6)))
    assert stream.n_rows == 30_000
    # Within a few times the loss of a maximum-likelihood estimate from as many rows.
    assert best.log_likelihood - reached.loglik < 20.0
    assert stream.mean_log_density == pytest.approx(best.log_likelihood / 30_000, abs=0.02)


def test_with_exponent_one_and_nothing_latent_the_average_is_of_all_rows():
    rng = np.random.default_rng(0)
    blocks = [rng.poisson(3.0, (100, 1)) for _ in range(5)]
    online = emframe.Stepwise(emframe.Mixture("poisson"), exponent=1.0)
    stream = online.begin(blocks[0], rng=0)
    for block in blocks[1:]:
        stream = online.update(stream, block)
    assert stream.params.components.rates[0, 0] == pytest.approx(np.concatenate(blocks).mean())


@pytest.mark.parametrize("weight", [1e-300, 1e-150, 1e150, 1e300])
def test_a_stream_is_the_same_in_any_unit_of_its_weights(weight):
    rng = np.random.default_rng(4)
    blocks = [stream_of("poisson", rng, 200) for _ in range(4)]
    online = emframe.Stepwise(emframe.Mixture("poisson", n_components=2))
    start = {"weights": [0.5, 0.5], "rates": [[1.0, 8.0], [9.0, 2.0]]}

    def learned(unit):
        heavy = [unit * (1.0 + np.arange(200) % 3) for _ in blocks]
        stream = online.begin(blocks[0], weights=heavy[0], start=start)
        for block, weights in zip(blocks, heavy, strict=True):
            stream = online.update(stream, block, weights=weights)
        return stream

    plain, found = learned(1.0), learned(weight)
    assert to_vector(found.params) == pytest.approx(to_vector(plain.params), rel=1e-6)
    assert found.n_rows == pytest.approx(weight * plain.n_rows, rel=1e-12)
    assert found.mean_log_density == pytest.approx(plain.mean_log_density, rel=1e-8)


def test_a_stream_keeps_its_parameters_where_the_average_has_no_maximum():
    online = emframe.Stepwise(emframe.Mixture("gaussian"), exponent=1.0)
    stream = online.begin(np.array([0.0, 1.0]), rng=0)
    forgetful = replace(stream, average=stream.average.scaled(0.0))
    flat = online.update(forgetful, np.full(3, 0.5))
    assert "kept" in flat.message
    assert flat.params is stream.params


@pytest.mark.parametrize("exponent", [0.5, 1.1, -1.0])
def test_a_rate_that_does_not_converge_is_refused(exponent):
    with pytest.raises(ValueError, match=r"above 0\.5"):
        emframe.Stepwise(MODEL, exponent=exponent)


def test_a_family_whose_statistics_do_not_scale_is_told_how():
    class Kept(emframe.Family):
        name = "kept"
        parameters = emframe.family("poisson").parameters

        def log_density(self, params, x):
            return emframe.family("poisson").log_density(params, x)

        def accumulate(self, x, resp):
            return [emframe.family("poisson").accumulate(x, resp)]

        def expected(self, statistics, params):
            return sum(emframe.family("poisson").expected(s, params) for s in statistics)

        def m_step(self, statistics, previous):
            total = statistics[0]
            for other in statistics[1:]:
                total = total + other
            return emframe.family("poisson").m_step(total, previous)

        def sample(self, params, labels, rng):
            return emframe.family("poisson").sample(params, labels, rng)

    with pytest.raises(TypeError, match="__mul__"):
        emframe.Stepwise(emframe.Mixture(Kept())).begin(np.arange(5.0), rng=0)


def test_a_stream_of_rows_with_gaps_averages_them_as_a_mixture_does_without():
    rng = np.random.default_rng(1)
    blocks = [rng.normal([1.0, -2.0], [1.0, 3.0], (100, 2)) for _ in range(5)]
    online = emframe.Stepwise(emframe.model("incomplete-gaussian"), exponent=1.0)
    stream = online.begin(blocks[0], rng=0)
    for block in blocks[1:]:
        stream = online.update(stream, block)
    whole = np.concatenate(blocks)
    assert stream.params.components.means[0] == pytest.approx(whole.mean(axis=0))
    assert stream.params.components.covariances[0] == pytest.approx(np.cov(whole.T, bias=True))


def test_a_stream_of_runs_of_one_row_is_that_of_a_mixture():
    rng = np.random.default_rng(5)
    blocks = [stream_of("poisson", rng, 200) for _ in range(4)]
    rates = [[1.0, 8.0], [9.0, 2.0]]
    mixture = emframe.Stepwise(emframe.Mixture("poisson", n_components=2))
    chain = emframe.Stepwise(emframe.model("hidden-markov", family="poisson"))
    one = mixture.begin(blocks[0], start={"weights": [0.5, 0.5], "rates": rates}, tol=1e-12)
    half = np.full((2, 2), 0.5)
    start = {"initial": [0.5, 0.5], "transitions": half, "rates": rates}
    alone = np.ones(200, dtype=int)
    two = chain.begin(emframe.Sequences(blocks[0], alone), start=start, tol=1e-12)
    for block in blocks:
        one = mixture.update(one, block)
        two = chain.update(two, emframe.Sequences(block, alone))
    assert two.params.initial == pytest.approx(one.params.weights, rel=1e-5)
    assert two.params.components.rates == pytest.approx(one.params.components.rates, rel=1e-5)
    assert two.mean_log_density == pytest.approx(one.mean_log_density, rel=1e-7)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("factor-analysis", {"n_factors": 1}),
        ("incomplete-gaussian", {"n_components": 2}),
        ("hidden-markov", {"family": "gaussian"}),
        ("hidden-markov", {"family": "gaussian", "initial": "stationary"}),
    ],
)
def test_the_maximum_of_a_block_is_a_fixed_point_of_its_stream(name, options):
    x = clusters(300, seed=np.random.default_rng(2))
    x = np.column_stack([x, x.sum(axis=1) + np.random.default_rng(0).normal(size=300)])
    model = emframe.model(name, **options)
    fit = emframe.fit(model, x, rng=0, n_starts=2, tol=1e-11)
    online = emframe.Stepwise(model)
    stream = online.begin(x, start=fit.params, tol=1e-11)
    for _ in range(3):
        stream = online.update(stream, x)
    assert to_vector(stream.params) == pytest.approx(to_vector(fit.params), rel=1e-3, abs=1e-3)
    assert stream.mean_log_density == pytest.approx(fit.log_likelihood / 300, rel=1e-8)


def test_a_model_whose_sums_do_not_scale_is_refused_before_any_work(monkeypatch):
    factors = emframe.model("factor-analysis", n_factors=1)
    x = np.random.default_rng(0).normal(size=(40, 4))
    params = next(params for _, params in factors.starts(factors.rows(x), None))
    monkeypatch.delattr(type(factors.e_step(params, x, np.ones(40)).statistics), "__mul__")
    with pytest.raises(TypeError, match="the sums of the model 'factor-analysis' cannot"):
        emframe.Stepwise(factors).begin(x, callbacks=[lambda step: 1 / 0])
    with pytest.raises(TypeError, match="the statistics of the family 'gaussian' cannot"):
        emframe.Stepwise(emframe.Mixture("gaussian", 1)).begin(x, callbacks=[lambda step: 1 / 0])


def test_a_model_that_leaves_a_setting_to_the_data_is_refused_before_any_work():
    online = emframe.Stepwise(emframe.Mixture("categorical", 2))
    with pytest.raises(ValueError, match="leaves a setting to the data"):
        online.begin(np.arange(6) % 3, callbacks=[lambda step: 1 / 0])
