"""Passes are plain data: each is sent to another process by pickle alone, and finds the same sums.

A table of models and rows, with the form in which the first pass has to be; those of one family are
chosen so that each of its kernels has its turn.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import emframe
from emframe.engines import Workspace
from emframe.spaces import Array

MANY, FEW = 12_000, 120  # rows: some forms are worth preparing for many only


def real(n: int, d: int = 3) -> Array:
    return np.random.default_rng(1).normal(size=(n, d)) + np.arange(n)[:, None] % 3


def binary(n: int, d: int = 5) -> Array:
    return (real(n, d) > 1.0).astype(float)


def graded(n: int, d: int = 4) -> Array:
    return np.clip(np.floor(real(n, d)), 0, 2)


def counts(n: int, d: int = 2) -> Array:
    return np.floor(real(n, d) ** 2)


def positive(n: int, d: int = 2) -> Array:
    return np.exp(0.3 * real(n, d))


def inside(n: int, d: int = 2) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-real(n, d))))


def shares(n: int) -> Array:
    raw = positive(n, 3)
    return raw / raw.sum(axis=1, keepdims=True)


def gappy(x: Array) -> Array:
    x = x.copy()
    x[::7, 0] = np.nan
    return x


def counted_against(n: int) -> Array:
    return np.column_stack([counts(n, 1), real(n, 2)[:, 1]])


class Case(NamedTuple):
    model: Callable[[], Any]
    x: Callable[[], Any]
    form: str


def of(family: Any, x: Callable[[], Any], form: str = "densities", **options: Any) -> Case:
    return Case(lambda: emframe.Mixture(family, 3, **options), x, form)


def named(name: str, x: Callable[[], Any], form: str = "densities", **options: Any) -> Case:
    return of(emframe.family(name, **options), x, form)


CASES = {
    "gaussian, quadratic": named("gaussian", lambda: real(MANY), "quadratic"),
    "gaussian, many columns": named("gaussian", lambda: real(MANY, 40), "triangular"),
    "gaussian, few rows": named("gaussian", lambda: real(FEW), "direct"),
    "gaussian, diagonal": named("gaussian", lambda: real(MANY), "quadratic", covariance="diag"),
    "gaussian, spherical": named(
        "gaussian", lambda: real(MANY), "quadratic", covariance="spherical"
    ),
    "gaussian, tied": named("gaussian", lambda: real(MANY), "linear", covariance="tied"),
    "gaussian, EEI": named("gaussian", lambda: real(MANY), "linear", covariance="EEI"),
    "gaussian, EVE": named("gaussian", lambda: real(MANY), "quadratic", covariance="EVE"),
    "gaussian, gaps": named("gaussian", lambda: gappy(real(FEW)), "patterns", missing=True),
    "bernoulli, many rows": named("bernoulli", lambda: binary(MANY, 30), "log odds"),
    "bernoulli, few rows": named("bernoulli", lambda: binary(FEW), "products"),
    "bernoulli, gaps": named("bernoulli", lambda: gappy(binary(MANY, 30)), "lookups", missing=True),
    "categorical, many rows": named("categorical", lambda: graded(MANY, 20), "lookups", levels=3),
    "categorical, few rows": named("categorical", lambda: graded(FEW), "products", levels=3),
    "poisson": named("poisson", lambda: counts(FEW), "products"),
    "student-t": named("student-t", lambda: real(FEW), "rows"),
    "laplace": named("laplace", lambda: real(FEW, 1)),
    "exponential": named("exponential", lambda: positive(FEW, 1), "products"),
    "gamma": named("gamma", lambda: positive(FEW, 1), "products"),
    "weibull": named("weibull", lambda: positive(FEW, 1)),
    "lognormal": named("lognormal", lambda: positive(FEW), "direct"),
    "inverse-gaussian": named("inverse-gaussian", lambda: positive(FEW, 1), "products"),
    "beta": named("beta", lambda: inside(FEW, 1), "products"),
    "dirichlet": named("dirichlet", lambda: shares(FEW), "products"),
    "negative-binomial": named("negative-binomial", lambda: counts(FEW, 1)),
    "geometric": named("geometric", lambda: counts(FEW, 1), "products"),
    "poisson-regression": named("poisson-regression", lambda: counted_against(FEW)),
    "ordinal-regression": named(
        "ordinal-regression",
        lambda: np.column_stack([graded(FEW, 1), real(FEW, 2)[:, 1]]),
        levels=3,
    ),
    "zero-inflated": of(emframe.ZeroInflated("poisson"), lambda: counts(FEW, 1)),
    "a product": of(
        emframe.Product({0: "gaussian", 1: "bernoulli"}),
        lambda: np.column_stack([real(FEW, 1), binary(FEW, 1)]),
        "direct+products",
    ),
    "unlike components": Case(
        lambda: emframe.Mixture(["gaussian", "gaussian", "laplace"]),
        lambda: real(FEW, 1),
        "",
    ),
    "a chain": Case(
        lambda: emframe.model("hidden-markov", family="gaussian", n_states=3),
        lambda: emframe.Sequences(real(FEW), np.full(FEW // 20, 20)),
        "",
    ),
}


def passes_of(case: Case) -> tuple[Any, list[Any]]:
    """The rows, and all passes over them at parameters by labels."""
    model, x = case.model(), case.x()
    model = model.settled(x)
    rows = model.rows(x)
    model.require(rows)
    n = len(getattr(x, "x", x))
    params = model.start(np.arange(n) % 3, rows, np.random.default_rng(0))
    return rows, list(model.passes(params, model.survey(rows)))


def numbers(value: Any) -> list[bytes]:
    """All numbers that sums are made of, bit for bit."""
    if isinstance(value, (tuple, list)):
        return [found for one in value for found in numbers(one)]
    if hasattr(value, "__dataclass_fields__"):
        return numbers([getattr(value, name) for name in value.__dataclass_fields__])
    if isinstance(value, dict):
        return numbers(list(value.values()))
    return [np.asarray(value).tobytes()] if isinstance(value, (np.ndarray, float)) else []


@pytest.mark.parametrize("name", CASES)
def test_a_pass_is_data(name: str) -> None:
    """By pickle alone, which knows no closures; and to the same bits."""
    rows, passes = passes_of(CASES[name])
    if CASES[name].form:
        assert passes[0].kernel.form == CASES[name].form
    d = len(rows.columns)
    for one in passes:
        other = pickle.loads(pickle.dumps(one))
        for block in rows.blocks(one.rows(d)):
            here, there = one.block(block, Workspace()), other.block(block, Workspace())
            assert np.array_equal(here.loglik, there.loglik)
            assert np.array_equal(here.entropy, there.entropy)
            assert numbers(here.sums)
            assert numbers(here.sums) == numbers(there.sums)
            mine, theirs = one.finish(here), other.finish(there)
            assert (mine is None) == (theirs is None)
            if mine is not None:
                assert theirs.value(theirs.at) == mine.value(mine.at)


def test_kernels_hold_no_functions_of_their_own() -> None:
    """What a kernel is made of is declared: no field holds a closure."""

    def closures(value: Any) -> list[str]:
        if getattr(value, "__closure__", None):
            return [repr(value)]
        fields = () if isinstance(value, type) else getattr(value, "__dataclass_fields__", ())
        held = value if isinstance(value, tuple) else [getattr(value, name) for name in fields]
        return [found for one in held for found in closures(one)]

    for case in CASES.values():
        for one in passes_of(case)[1]:
            assert closures(one.kernel) == []
