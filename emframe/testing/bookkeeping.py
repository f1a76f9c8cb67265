"""Checks of the E-step's books: statistics, their sum over blocks, weights and order of rows.

Everything is judged through ``expected``, so a family may keep whatever statistics it likes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from emframe.core import Contract, Degenerate
from emframe.models import Mixture, MixtureParameters
from emframe.parameters import Leaf, rebuild
from emframe.spaces import Array
from emframe.testing.cases import Case
from emframe.testing.outcome import Fault, same
from emframe.testing.runs import at, rows_of
from emframe.testing.subject import Subject

STATISTICS = "accumulate, then expected"
MANY = 9001  # rows: more than a block usually has, and no round number


def total(log_density: Array, resp: Array) -> float:
    """Sum of resp times log density, with 0 times -inf = 0."""
    return float(np.where(resp > 0, resp * log_density, 0.0)[resp > 0].sum())


def terms(log_density: Array, resp: Array) -> float:
    """The size of the terms of that sum: what its rounding is relative to."""
    sizes = np.abs(log_density[np.isfinite(log_density)]) * resp[np.isfinite(log_density)]
    return 1.0 + float(sizes.sum() + resp.sum())


def identity(subject: Subject, case: Case) -> None:
    """The statistics reproduce sum resp x log density at any parameters, and Q certifies itself."""
    if subject.family.hides:
        _completed_identity(subject, case)
        return
    statistics = subject.accumulate(case.x, case.resp)
    points = [("other parameters", params) for params in case.others(3)]
    points.append(("the parameters of the example", case.params))
    with suppress(Degenerate):  # without an M-step there is one point fewer to look at
        points.append(("the parameters of m_step", subject.m_step(statistics, case.params)))
    for where, params in points:
        density = subject.log_density(params, case.x)
        same(
            total(density, case.resp),
            subject.expected(statistics, params),
            terms(density, case.resp),
            f"expected(accumulate(x, resp), params) to be sum resp x log_density at {where}",
            f"{STATISTICS}, or log_density: a constant, a base measure, or what is summed",
            "log_density and expected give",
        )
    _certified(subject, case)


def _certified(subject: Subject, case: Case) -> None:
    model = Mixture(subject.family, n_components=case.k)
    weights = case.rng().dirichlet(np.full(case.k, 2.0))
    point = MixtureParameters(weights, case.params)
    q = model.expect(point, case.x, case.resp.sum(axis=1))
    same(
        q.loglik,
        q.value(point) + q.entropy,
        terms(subject.log_density(case.params, case.x), case.resp),
        "the log-likelihood of a mixture to be Q at its own point plus the posterior's entropy",
        f"log_density, or {STATISTICS}",
    )


def _completed_identity(subject: Subject, case: Case) -> None:
    """Of completed rows: with the entropy they come to the rows at their point, nowhere to more."""
    statistics, each = subject.completed(case.params, case.x, case.resp)
    entropy = float(np.sum(each))
    density = subject.log_density(case.params, case.x)
    same(
        total(density, case.resp),
        subject.expected(statistics, case.params) + entropy,
        terms(density, case.resp),
        "expected of the completed rows and the entropy of what completes them to be sum resp x "
        "log_density, at the same parameters",
        "completed (its sums or its entropy), expected, or log_density",
        "log_density and the two give",
    )
    for params in case.others(3):
        there = subject.log_density(params, case.x)
        bound, reached = total(there, case.resp), subject.expected(statistics, params) + entropy
        if not reached <= bound + 1e-9 * terms(there, case.resp):
            raise Fault(
                "expected of rows completed at one point, and the entropy, to be no more than sum "
                "resp x log_density at any other (Jensen)",
                f"{reached:.12g} and {bound:.12g}",
                "completed, or expected: what completes the rows is no posterior",
            )
    _certified(subject, case)


def blocks(subject: Subject, case: Case) -> None:
    """S of two blocks added is S of all rows: any split, either order, any grouping."""
    rng, x, resp = case.rng(), case.x, case.resp
    first, second = sorted(rng.integers(1, len(x), size=2))
    parts = [slice(0, first), slice(first, len(x))]
    a, b = (subject.accumulate(x[part], resp[part]) for part in parts)
    whole = subject.accumulate(x, resp)
    before = subject.expected(a, case.params), subject.expected(b, case.params)
    joined = subject.add(a, b)
    if before != (subject.expected(a, case.params), subject.expected(b, case.params)):
        raise Fault("+ to leave both summands as they were", "one was changed", "+")
    _same_statistics(subject, case, whole, joined, "S of two blocks, added")
    _same_statistics(subject, case, whole, subject.add(b, a), "S of two blocks, the second first")
    if first < second < len(x):
        cuts = [slice(0, first), slice(first, second), slice(second, len(x))]
        p, q, r = (subject.accumulate(x[part], resp[part]) for part in cuts)
        left = subject.add(subject.add(p, q), r)
        right = subject.add(p, subject.add(q, r))
        _same_statistics(subject, case, whole, left, "S of three blocks, (p + q) + r")
        _same_statistics(subject, case, whole, right, "S of three blocks, p + (q + r)")


def large(subject: Subject, case: Case) -> None:
    """Thousands of rows are each counted, as a few are."""
    times = -(-MANY // len(rows_of(case.x)))
    turn = case.rng().permutation(times * len(case.x)) % len(case.x)
    x, resp = (at(one, turn) for one in (case.x, case.resp))
    density = subject.log_density(case.params, case.x)
    many = subject.log_density(case.params, x)
    _same_density(
        density[turn],
        many,
        f"each row to have the same density among {len(x)} rows as among {len(case.x)}",
        "rows, where there are many",
    )
    few, whole = subject.accumulate(case.x, case.resp), subject.accumulate(x, resp)
    for params in (case.params, *case.others(1)):
        same(
            times * subject.expected(few, params),
            subject.expected(whole, params),
            times * terms(subject.log_density(params, case.x), case.resp),
            f"{len(case.x)} rows, each of them {times} times, to count {times} times",
            "accumulate: a part of the rows that is left out, or a type that overflows",
            "the few rows times their number and all rows give",
        )


def weights(subject: Subject, case: Case) -> None:
    """Weight 2 equals the row twice, weight 0 the row removed, and S is linear in weights."""
    rng, x, resp = case.rng(), case.x, case.resp
    counts = rng.integers(0, 4, size=len(x))
    counts[rng.permutation(len(x))[: len(x) // 2 + 1]] = rng.integers(1, 4)
    weighted = subject.accumulate(x, resp * counts[:, None])
    times = np.repeat(np.arange(len(x)), counts)
    repeated = subject.accumulate(at(x, times), resp[times])
    _same_statistics(subject, case, repeated, weighted, "rows weighted 0, 1, 2 or 3", 3.0)
    scaled = subject.accumulate(x, 0.37 * resp)
    whole = subject.accumulate(x, resp)
    for params in (case.params, *case.others()):
        same(
            0.37 * subject.expected(whole, params),
            subject.expected(scaled, params),
            terms(subject.log_density(params, x), resp),
            "expected to be proportional to the row weights",
            f"{STATISTICS}: a count of rows where a sum of resp belongs",
        )
    _mixture_weights(subject, case, counts)


def _mixture_weights(subject: Subject, case: Case, counts: Any) -> None:
    model = Mixture(subject.family, n_components=case.k)
    point = MixtureParameters(np.full(case.k, 1.0 / case.k), case.params)
    kept = counts > 0
    weighted = model.expect(point, at(case.x, kept), counts[kept].astype(float))
    rows = at(case.x, np.repeat(np.arange(len(case.x)), counts))
    repeated = model.expect(point, rows, np.ones(len(rows)))
    scale = terms(subject.log_density(case.params, rows), np.ones((len(rows), case.k)))
    for what in ("loglik", "entropy"):
        same(
            getattr(repeated, what),
            getattr(weighted, what),
            scale,
            f"the {what} of a mixture to be that of the repeated rows",
            "log_density: a row's density has to depend on that row alone",
        )


def order(subject: Subject, case: Case) -> None:
    """No order of the rows matters, and a row's density depends on that row alone."""
    rng, x, resp = case.rng(), case.x, case.resp
    shuffle = rng.permutation(len(x))
    density = subject.log_density(case.params, x)
    row = int(rng.integers(len(x)))
    for what, other in (
        (
            "with the rows permuted",
            subject.log_density(case.params, at(x, shuffle))[shuffle.argsort()],
        ),
        ("beside a few rows only", subject.log_density(case.params, x[: row + 1])),
        ("for each row alone", subject.log_density(case.params, x[row : row + 1])),
    ):
        here = density[row : row + 1] if len(other) == 1 else density[: len(other)]
        _same_density(here, other, f"log_density to give each row the same {what}", "the rows")
    whole = subject.accumulate(x, resp)
    permuted = subject.accumulate(at(x, shuffle), resp[shuffle])
    _same_statistics(subject, case, whole, permuted, "S of the rows in another order")


def components(subject: Subject, case: Case) -> None:
    """Column k of the density belongs to component k alone, whatever its place."""
    density = subject.log_density(case.params, case.x)
    turn = case.rng().permutation(case.k)
    turned = subject.log_density(components_of(case.params, turn), case.x)
    _same_density(
        density[:, turn], turned, "columns of log_density to move with components", "components"
    )
    for k in range(case.k):
        alone = subject.log_density(components_of(case.params, np.array([k])), case.x)
        _same_density(
            density[:, [k]], alone, f"component {k} to have its density alone", "components"
        )


def components_of(params: Any, which: Any) -> Any:
    """The parameters of some of the components, in this order."""

    def take(leaf: Leaf) -> Array:
        return leaf.value[which] if leaf.declared.per_component else leaf.value

    return rebuild(params, take)


def _same_density(one: Array, other: Array, expected: str, mixed: str) -> None:
    size = 1.0 + np.where(np.isfinite(one), np.abs(one), 0.0)
    apart = (one != other) & ~(np.abs(one - other) <= 1e-9 * size)
    if apart.any():
        row, k = np.unravel_index(int(apart.argmax()), apart.shape)
        raise Fault(
            expected,
            f"{one[row, k]:.12g} and {other[row, k]:.12g} for row {row}, component {k}",
            f"log_density: it mixes {mixed}",
        )


def _same_statistics(
    subject: Subject, case: Case, whole: Any, other: Any, what: str, weight: float = 1.0
) -> None:
    """Two statistics of the same rows give the same `expected` and equally good M-steps."""
    found = "directly and so they give"
    for params in (case.params, *case.others()):
        same(
            subject.expected(whole, params),
            subject.expected(other, params),
            weight * terms(subject.log_density(params, case.x), case.resp),
            f"{what} to be S of the rows themselves, seen through expected",
            "accumulate, or + of the statistics",
            found,
        )
    if subject.family.contract is not Contract.EXACT:
        return
    try:
        one = subject.m_step(whole, case.params)
        two = subject.m_step(other, case.params)
    except Degenerate:
        return
    same(
        subject.expected(whole, one),
        subject.expected(whole, two),
        weight * terms(subject.log_density(one, case.x), case.resp),
        f"{what} to have an equally good m_step, seen through expected",
        "accumulate, or + of the statistics: a part that only m_step reads",
        found,
    )
