"""Checks at the edges: data without a maximum, other units, and files.

A degenerate data set has two honest answers, parameters within their spaces or `Degenerate`.  What
it may not give is a NaN, an infinite likelihood, or an exception of another kind.
"""

from __future__ import annotations

import json

import numpy as np

from emframe.core import Contract, Degenerate
from emframe.data.runs import per_row
from emframe.host.recipes import describe
from emframe.parameters import equal, frozen, nested, to_mapping
from emframe.testing.bookkeeping import terms
from emframe.testing.cases import Case
from emframe.testing.outcome import Fault, same
from emframe.testing.runs import at, rows_of, with_rows
from emframe.testing.subject import Subject


def degenerate(subject: Subject, case: Case) -> None:
    """Data without spread give valid parameters or `Degenerate`: no NaN, no infinity, no crash."""
    n, k = case.resp.shape
    first = at(case.x, np.zeros(n, dtype=np.intp))
    one_row = np.zeros((n, k))
    one_row[:, 0] = 1.0
    lonely = case.resp.copy()
    lonely[:, -1] = 0.0
    lonely[0, -1] = 1.0
    for what, x, resp in (
        ("rows that are all alike", first, case.resp),
        ("a component on a single row", case.x, lonely),
        ("one row", case.x[:1], one_row[:1]),
        ("weights as small as 1e-200", case.x, 1e-200 * case.resp),
    ):
        statistics = subject.accumulate(x, resp)
        for previous in (None, case.params):
            if previous is None and not (resp.sum(axis=0) > 0).all():
                continue
            try:
                found = subject.m_step(statistics, previous)
            except Degenerate:
                continue
            wrong = case.family.problem(found, case.dims)
            if wrong:
                raise Fault(
                    f"from {what} valid parameters, or Degenerate",
                    wrong,
                    "m_step: raise emframe.Degenerate where there is no finite maximum",
                )
            subject.expected(statistics, found)  # a Fault where it is nan or +inf


def units(subject: Subject, case: Case) -> None:
    """Rows in other units, or from another origin, give the same fit in those, where declared."""
    rows = rows_of(case.x)
    for name, moved, factor in (
        ("scale", with_rows(case.x, rows * 1e-3), 1e-3),
        ("scale", with_rows(case.x, rows * 1e3), 1e3),
        ("shift", with_rows(case.x, rows + 7.0), 1.0),
    ):
        if name not in subject.family.equivariant:
            continue
        try:
            one, two = (subject.stepped(x, case.resp, None) for x in (case.x, moved))
        except Degenerate:
            continue
        seen = (~np.isnan(rows)).sum(axis=1)
        jacobian = np.log(factor) * float(seen @ per_row(case.x, case.resp.sum(axis=1)))
        loose = 1.0 if subject.family.contract is Contract.EXACT else 1e3
        same(
            subject.reproduced(one, case.x, case.resp),
            subject.reproduced(two, moved, case.resp) + jacobian,
            loose * terms(subject.log_density(one, case.x), case.resp),
            f"the maximum of expected to follow a change of {name}, as `equivariant` declares",
            "m_step: an epsilon, a floor or a ridge in the units of one data set; or `equivariant`",
        )


def saves(subject: Subject, case: Case) -> None:
    """Parameters and settings go into a file and come back the same."""
    family = subject.family
    params = frozen(case.params)
    again = family.build(nested(to_mapping(params)))
    if not equal(frozen(again), params):
        raise Fault(
            "parameters that are written to a file and built again to be the same",
            f"{again}",
            "build",
        )
    try:
        json.dumps(describe(family))
    except (TypeError, ValueError) as error:
        raise Fault(
            "settings that a file without code can hold",
            f"{type(error).__name__}: {error}",
            "the settings: numbers, words, lists of them, spaces, families, and functions at the "
            "top of a module",
        ) from error
