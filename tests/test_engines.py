"""Engines: the sum over blocks, whatever runs them; and the forms that an E-step may take."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from emframe_families.gaussian.scatter import own_rows
from hypothesis import example, given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

import emframe
from emframe.core import Status
from emframe.engines import (
    Serial,
    Threads,
    Workspace,
    block_rows,
    engine_for,
    one_blas_thread,
    products,
)
from emframe.families import Densities
from emframe.families.kernel import tiled
from emframe.fitting import expectation
from emframe.parameters import leaves

ENGINES = [Serial(), Threads(1), Threads(2), Threads(5)]


def letters(block, _):
    time.sleep(0.001 * (block % 3))  # later blocks may be done first
    return chr(ord("a") + block)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_the_sum_is_taken_in_the_order_of_the_blocks(engine):
    assert engine.sum(letters, range(20)) == "abcdefghijklmnopqrst"


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_what_a_block_raises_is_raised_and_all_threads_have_stopped(engine):
    def fails(block, _):
        if block == 7:
            raise ZeroDivisionError("block 7")
        return block

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError, match="block 7"):
        engine.sum(fails, range(1000))
    assert threading.active_count() == before


def test_a_source_that_fails_is_told_too():
    def blocks():
        yield 1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        Threads(3).sum(lambda block, _: block, blocks())


def test_no_thread_runs_far_ahead_of_the_sum():
    reached, first = [], threading.Event()

    def of_block(block, _):
        if block == 0:
            first.wait(0.2)
        reached.append(block)
        return 0

    engine = Threads(2)
    engine.sum(of_block, range(100))
    assert reached.index(0) <= 4
    assert sorted(reached) == list(range(100))


def test_workspaces_are_not_shared_between_threads_at_work():
    def of_block(block, work):
        mine = work("a", 8)
        mine[:] = block
        time.sleep(0.0005)
        assert (mine == block).all()
        return 1

    assert Threads(4).sum(of_block, range(64)) == 64


@pytest.mark.parametrize(
    ("given", "numbers", "expected"),
    [("serial", 10**9, Serial), (3, 10, Threads), (None, 10, Serial), (ENGINES[2], 1, Threads)],
)
def test_which_engine_a_name_stands_for(given, numbers, expected):
    assert isinstance(engine_for(given, numbers), expected)


@pytest.mark.parametrize("wrong", ["gpu", True, 2.5, 0])
def test_an_unknown_engine_is_refused(wrong):
    with pytest.raises((TypeError, ValueError), match="pass"):
        engine_for(wrong, 10)


def test_blocks_are_cut_by_the_shapes_alone():
    assert block_rows(1) > block_rows(100) > block_rows(10_000) >= 256


@given(n=st.integers(1, 5000), size=st.integers(1, 1000))
@example(n=1025, size=69)
def test_blocks_are_all_rows_in_order_and_share_them_out(n, size):
    model = emframe.Mixture("gaussian")
    blocks = [x[:, 0] for x, _ in model.rows(np.arange(1.0 * n)).blocks(size)]
    assert np.array_equal(np.concatenate(blocks), np.arange(n))
    first, last = len(blocks[0]), len(blocks[-1])
    assert {len(block) for block in blocks[:-1]} <= {first}
    assert 0 < last <= first <= size


def test_two_or_four_threads_end_together():
    rows = emframe.Mixture("gaussian").rows(np.zeros(100_000))
    assert [len(x) for x, _ in rows.blocks(32_768)] == [25_024] * 3 + [24_928]


@given(b=st.integers(1, 3000), most=st.integers(1, 800))
def test_tiles_hold_the_rows_and_repeat_the_last_to_fill_up(b, most):
    rows = np.arange(2.0 * b).reshape(b, 2)
    tiles = tiled(rows, most)
    assert tiles.shape[1] <= most
    flat = tiles.reshape(-1, 2)
    assert np.array_equal(flat[:b], rows)
    assert (flat[b:] == rows[-1]).all()
    assert len(flat) - b < len(tiles)
    if b % 64 == 0 and b <= 64 * most:
        assert np.shares_memory(tiles, rows)


SHAPES = [(1, 5, 20_000, 6), (3, 5, 4000, 7), (40, 5, 4000, 7), (3, 2, 10, 2), (2, 30, 2000, 30)]


@pytest.mark.parametrize(("s", "m", "n", "p"), SHAPES)
def test_products_of_stacks_are_those_of_their_matrices(s, m, n, p):
    rng = np.random.default_rng(s)
    a, b = rng.normal(size=(s, m, n)), rng.normal(size=(s, p, n)).transpose(0, 2, 1)
    found = products(a, b)
    assert found.shape == (s, m, p)
    assert np.allclose(found, np.einsum("smn,snp->smp", a, b), rtol=1e-12, atol=1e-12 * n)


@pytest.mark.parametrize(("s", "m", "n", "p"), [shape for shape in SHAPES if shape[2] > 1000])
def test_other_threads_run_during_products(s, m, n, p):
    a, b = np.ones((s, m, n)), np.ones((s, n, p))
    ran, done = [0], threading.Event()

    def other():
        while not done.is_set():
            ran[0] += 1
            time.sleep(0)

    usual = sys.getswitchinterval()
    thread = threading.Thread(target=other)
    thread.start()
    try:
        sys.setswitchinterval(60.0)  # whoever has the lock keeps it until they let go of it
        before = ran[0]
        for _ in range(2000):
            products(a, b)
            if ran[0] > before:
                break
        assert ran[0] > before
    finally:
        sys.setswitchinterval(usual)
        done.set()
        thread.join()


def test_blas_has_one_thread_inside_and_its_own_afterwards():
    def threads():
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    before = threads()
    with one_blas_thread():
        with one_blas_thread():
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert threads() == before


# ---- the same Q by every road

SHAPES = {
    "full": ("gaussian", {"covariance": "full"}),
    "diag": ("gaussian", {"covariance": "diag"}),
    "spherical": ("gaussian", {"covariance": "spherical"}),
    "tied": ("gaussian", {"covariance": "tied"}),
    "EEI": ("gaussian", {"covariance": "EEI"}),
    "VEE": ("gaussian", {"covariance": "VEE"}),
    "poisson": ("poisson", {}),
    "bernoulli": ("bernoulli", {}),
    "categorical": ("categorical", {"levels": 5, "missing": True}),
    "student-t": ("student-t", {}),
    "two families": (["gaussian", "gaussian"], {}),
}


def made(name, rng, n=6000, d=3, k=3):
    """A mixture, rows with weights, and parameters to take Q at."""
    family, options = SHAPES[name]
    x = rng.normal(size=(n, d)) + 3.0 * rng.integers(k, size=(n, 1))
    if family == "bernoulli":
        x = (x > 3).astype(float)
    if family == "poisson":
        x = np.floor(np.abs(x))
    if family == "categorical":
        x = np.where(rng.random(x.shape) < 0.1, np.nan, np.clip(np.floor(x), 0, 4))
    model = (
        emframe.Mixture(family)
        if isinstance(family, list)
        else emframe.Mixture(family, n_components=k, **options)
    )
    rows = model.rows(x, weights=rng.uniform(0.5, 2.0, n))
    return model, rows, next(p for _, p in model.starts(rows, rng))


def as_if_many(survey):
    """So that the faster forms are worth their preparation."""
    return replace(survey, n_rows=10**7)


def same_q(q, other, params, rel):
    assert q.loglik == pytest.approx(other.loglik, rel=rel)
    assert q.entropy == pytest.approx(other.entropy, rel=rel, abs=rel * abs(other.loglik))
    assert q.value(params) == pytest.approx(other.value(params), rel=rel)
    for mine, theirs in zip(leaves(q.maximize()), leaves(other.maximize()), strict=True):
        scale = np.abs(theirs.value).max()
        assert mine.value == pytest.approx(theirs.value, rel=rel, abs=rel * scale)


@pytest.mark.parametrize("name", SHAPES)
def test_every_pass_gives_the_q_that_plain_densities_give(name):
    model, rows, params = made(name, np.random.default_rng(0))
    plain = model.expect(params, rows.x, rows.weights)
    survey = as_if_many(model.survey(rows))
    forms = []
    for one in model.passes(params, survey):
        q = one.finish(Serial().sum(one.block, rows.blocks(1000)))
        forms.append(q.form)
        same_q(q, plain, params, rel=1e-10)
    assert len(set(forms)) == len(forms)


def test_sums_over_own_rows_are_those_over_all():
    """Clusters apart, of so many columns that each component's own rows are picked out."""
    rng = np.random.default_rng(3)
    d, k = 45, 20
    means = 1.5 * np.arange(k)[:, None] * np.ones(d)
    x = rng.normal(size=(2000, d)) + means[rng.permutation(2000) % k]
    model = emframe.Mixture("gaussian", n_components=k)
    rows = model.rows(x, weights=rng.uniform(0.5, 2.0, len(x)))
    start = {"weights": np.full(k, 1 / k), "means": means, "covariances": [np.eye(d)] * k}
    params = model.build(start)

    def sums(q):
        return q.statistics.means, q.statistics.scatter

    with one_blas_thread():
        plain = model.expect(params, rows.x, rows.weights)
        own = own_rows(model.posterior(params, rows.x)[1].T, d)
        assert own is not None
        assert len(x) < own.sum() < 5 * len(x)
        forms = set()
        for one in model.passes(params, as_if_many(model.survey(rows))):
            q = one.finish(Serial().sum(one.block, rows.blocks(900)))
            forms.add(q.form)
            assert q.sums == pytest.approx(plain.sums, rel=1e-12)
            for mine, theirs in zip(sums(q), sums(plain), strict=True):
                assert np.abs(mine - theirs).max() <= 1e-10 * np.abs(theirs).max()
    assert forms == {"triangular", "direct", "densities"}


@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_what_is_not_of_own_rows_is_lost_in_the_sum(k, b, seed):
    rng = np.random.default_rng(seed)
    resp = np.exp(-(10.0 ** rng.uniform(-2, 3, size=(k, b))))
    resp[rng.random((k, b)) < 0.2] = 0.0
    own = own_rows(resp, 100)
    if own is None:
        return
    assert 2 * own.sum() < own.size
    assert (np.where(own, resp, 0.0).sum(axis=1) == resp.sum(axis=1)).all()


@pytest.mark.parametrize("name", SHAPES)
def test_threads_give_the_same_bits(name):
    model, rows, params = made(name, np.random.default_rng(1), n=60_000)
    one, *others = [
        expectation(model, rows, engine=engine)(params) for engine in (Serial(), *ENGINES[1:])
    ]
    for other in others:
        assert (other.loglik, other.entropy) == (one.loglik, one.entropy)
        for mine, theirs in zip(leaves(other.maximize()), leaves(one.maximize()), strict=True):
            assert np.array_equal(mine.value, theirs.value)


@pytest.mark.parametrize(
    ("covariance", "d", "form"),
    [
        ("full", 3, "quadratic"),
        ("full", 10, "triangular"),
        ("diag", 3, "quadratic"),
        ("spherical", 3, "quadratic"),
        ("tied", 3, "linear"),
        ("EEI", 3, "linear"),
    ],
)
@given(
    offset=st.floats(-6, 6),
    scale=st.floats(-100, 100),
    condition=st.floats(0, 4),
    separation=st.floats(0, 2),
    seed=st.integers(0, 2**16),
)
@example(offset=0.0, scale=2.25, condition=4.0, separation=1.5, seed=0)
@example(offset=0.0, scale=0.0, condition=4.0, separation=1.5, seed=0)
def test_both_forms_agree_where_both_are_offered(
    covariance, d, form, offset, scale, condition, separation, seed
):
    rng = np.random.default_rng(seed)
    n, k = 3000, 3
    axes = np.linalg.qr(rng.normal(size=(d, d)))[0] * 10.0 ** (condition * np.arange(d) / (1 - d))
    x = rng.normal(size=(n, d)) @ axes.T
    x = x + 10.0**separation * rng.normal(size=(k, d))[rng.integers(k, size=n)]
    x = (x + 10.0**offset) * 10.0**scale
    model = emframe.Mixture("gaussian", n_components=k, covariance=covariance)
    rows = model.rows(x)
    try:
        params = model.from_responsibilities(rows, rng.dirichlet(np.full(k, 0.1), size=n))
    except emframe.Degenerate:
        return
    survey = as_if_many(model.survey(rows))
    qs = []
    for one in model.passes(params, survey):
        total = Serial().sum(one.block, rows.blocks(1024))
        q = one.finish(total)
        if q is not None:
            qs.append(q)
    assert {q.form for q in qs} <= {form, "direct", "densities"}
    size = sum(abs(v) for v in (qs[-1].loglik, qs[-1].entropy)) + n * d
    # Q sees the rounding of a scatter through the inverse covariance, whatever the form.
    amplified = max(1.0, np.linalg.cond(params.components.covariances).max() / 1e8)
    for q in qs[:-1]:
        assert abs(q.loglik - qs[-1].loglik) <= 1e-9 * size, q.form
        assert abs(q.value(params) - qs[-1].value(params)) <= 1e-9 * amplified * size, q.form
        q_at, other_at = q.maximize(), qs[-1].maximize()
        gap = abs(qs[-1].value(q_at) - qs[-1].value(other_at))
        assert gap <= 1e-9 * amplified * size, q.form


def test_the_form_changes_where_an_expansion_would_lose_digits():
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(size=(40_000, 2)), 1e5 + rng.normal(size=(40_000, 2))])
    labels = np.repeat([0, 1], 40_000)
    model = emframe.Mixture("gaussian", n_components=2)
    near = emframe.fit(model, x[:, :1] * 0 + rng.normal(size=(80_000, 1)), start=labels, max_iter=1)
    far = emframe.fit(model, x, start=labels)
    assert near.form == "quadratic"
    assert far.form == "direct"
    assert far.status is Status.CONVERGED
    assert far.params.components.means == pytest.approx(np.array([[0, 0], [1e5, 1e5]]), abs=0.05)


@pytest.mark.parametrize("k", [1, 2])
def test_a_family_may_keep_the_responsibilities_it_is_shown(k):
    """Those of the workspace are written over by the next block."""
    kept = []
    poisson = emframe.family("poisson")

    class Keeps(type(poisson)):
        def accumulate(self, x, resp):
            kept.append(resp)
            return super().accumulate(x, resp)

    params = poisson.build({"rates": np.ones((k, 1))})
    _, collect = Densities(Keeps(), params, np.zeros(k)).meet(np.ones((3, 1)), Workspace())
    resp = np.full((k, 3), 0.5)
    collect(resp)
    resp[:] = 9.0
    assert (kept[0] == 0.5).all()


def test_components_that_are_each_badly_conditioned_are_met_by_triangles():
    """No frame serves all of them, yet what a triangle loses is the root of what squares lose."""
    rng = np.random.default_rng(0)
    n, d, k = 2000, 16, 4
    roots = rng.normal(size=(k, d, d))
    labels = np.arange(n) % k
    x = 1.5 * rng.normal(size=(k, d))[labels]
    x = x + (roots[labels] @ rng.normal(size=(n, d, 1)))[:, :, 0]
    model = emframe.Mixture("gaussian", n_components=k)
    rows = model.rows(x)
    params = model.start(labels, rows, rng)
    first, second, *_ = (
        one.finish(Serial().sum(one.block, rows.blocks(1024)))
        for one in model.passes(params, as_if_many(model.survey(rows)))
    )
    assert (first.form, second.form) == ("triangular", "direct")
    assert first.loglik == pytest.approx(second.loglik, rel=1e-13)
    white = params.components.whitening[0]
    gap = first.maximize().components.covariances - second.maximize().components.covariances
    assert np.abs(white @ gap @ white.swapaxes(1, 2)).max() < 1e-9
