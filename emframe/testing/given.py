"""What is observed and what is given, as the checks see it.

A density of some columns given the others has no total over all of them, and no sampler before it
is told where the others lie.  Held at the covariates of one row it is a family like any other, of
the columns that it models.  And where a row says how much of a value was seen, its density is one
over all that could have been: single rows, and lines of them, each a family of one column.

One known case: a family without covariates is what it was.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emframe.data.runs import Sequences
from emframe.families import Family, Outcome
from emframe.families.kernel import NoSampler
from emframe.spaces import Array, Space
from emframe.testing.cases import Case, coordinate_rows
from emframe.testing.runs import rows_of
from emframe.testing.subject import Subject

NEARER = 0.3
MOST_MODELLED = 2  # columns that a run is looked at in, where it can be cut short


@dataclass(frozen=True)
class FamilyPart(Family):
    """A family at some of what a row holds: a density of the rest, and no M-step."""

    family: Family
    row: tuple[float, ...]

    name = "part"

    @property
    def parameters(self) -> type:
        return self.family.parameters

    @abstractmethod
    def rows(self, x: Array) -> Any:
        """Rows of the family (n, d), or n runs of such, that have values x (n, width)."""

    def log_density(self, params: Any, x: Array) -> Array:
        return self.family.log_density(params, self.rows(x))

    def accumulate(self, x: Array, resp: Array) -> Any:
        return None

    def expected(self, statistics: Any, params: Any) -> float:
        return 0.0

    def m_step(self, statistics: Any, previous: Any) -> Any:
        return previous


@dataclass(frozen=True)
class HeldFamily(FamilyPart):
    """At the columns that are given: of a row, or of all rows of a run, end to end."""

    given_at: tuple[int, ...] = ()
    length: int = 1  # rows of the run

    @property
    def own_rows(self) -> Array:
        """The rows of the run, (m, d)."""
        return np.array(self.row).reshape(self.length, -1)

    @property
    def support(self) -> Space:  # type: ignore[override]
        return self.family.support_given(self.own_rows[0])

    @property
    def modelled(self) -> list[int]:
        """The places in a row of the columns that are modelled."""
        return [j for j in range(self.own_rows.shape[1]) if j not in self.given_at]

    @property
    def width(self) -> int:  # type: ignore[override]
        return self.length * len(self.modelled)

    def rows(self, x: Array) -> Any:
        rows = np.tile(self.own_rows, (len(x), 1, 1))
        rows[:, :, self.modelled] = x.reshape(len(x), self.length, -1)
        rows = rows.reshape(len(x) * self.length, -1)
        return Sequences(rows, np.full(len(x), self.length)) if self.family.in_runs else rows

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        if self.family.in_runs:
            there = self.family.given(self.own_rows)
            each = [there.sample(params, np.full(self.length, k), rng) for k in labels]
            found = np.array(each, dtype=float).reshape(len(labels) * self.length, -1)
        else:
            found = drawn_at(self.family, self.own_rows[0], params, labels, rng)
        return found[:, self.modelled].reshape(len(labels), self.width)


@dataclass(frozen=True)
class Along(FamilyPart):
    """Along a line of outcomes: one column."""

    together: tuple[int, ...]  # the columns that have its value
    support: Space  # type: ignore[misc]

    width = 1

    def rows(self, x: Array) -> Array:
        return Outcome(np.array(self.row), self.together, self.support).rows(x[:, 0])

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        raise NoSampler("a line of outcomes is not drawn by itself")


def drawn_at(
    family: Family, row: Array, params: Any, labels: Any, rng: np.random.Generator
) -> Array:
    """Rows (n, d) that a family draws where a row's terms are given; NoSampler where it cannot."""
    if type(family).given is Family.given:
        raise NoSampler(
            f"{family.name} draws without being told what is given; override `given` to have its "
            "sampler checked"
        )
    drawn = np.asarray(family.given(row[None]).sample(params, labels, rng), dtype=float)
    return drawn.reshape(len(labels), -1)


def held(subject: Subject, case: Case) -> tuple[Subject, Case]:
    """Subject and case of the columns that are modelled, at the covariates of the first row.

    Of a run of rows these are those of its first rows, side by side.
    """
    family, given = case.family, subject.scheme.given
    if not given and not family.in_runs:
        return subject, case
    length = 1
    if family.in_runs:  # no more of its rows than there is quadrature for
        length = min(case.x.lengths[0], max(1, MOST_MODELLED // (case.d - len(given))))
    rows = rows_of(case.x)[:length]
    # Nearer to the middle, where moderate parameters make a moderate density.
    near = NEARER * family.support.coordinates(rows)
    run = family.support.point(near, rows.shape)
    return _at(HeldFamily(family, _numbers(run.ravel()), given, int(length)), case)


def lines(subject: Subject, case: Case) -> list[tuple[Subject, Case]]:
    """Subjects and cases of columns that have a density, none of which is given or settled."""
    found = subject.scheme.of_case(case.x) if len(case.x) else None
    if found is None:
        return [held(subject, case)]
    return [along(one, case) for one in found if one.space is not None]


def along(line: Outcome, case: Case) -> tuple[Subject, Case]:
    """Subject and case of one line of outcomes."""
    assert line.space is not None
    return _at(Along(case.family, _numbers(line.row), line.columns, line.space), case)


def _at(part: FamilyPart, case: Case) -> tuple[Subject, Case]:
    assert part.width is not None
    y = coordinate_rows(part, len(case.x), part.width, case.rng())
    return Subject(part), replace(case, family=part, x=y)


def _numbers(row: Array) -> tuple[float, ...]:
    return tuple(map(float, row))
