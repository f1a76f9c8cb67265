"""Densities given covariates, as the checks see them: with covariates to draw at, or held at one.

A density of some columns given the others has no total over all of them, and no sampler before it
is told where the others lie.  Held at the covariates of one row it is a family like any other, of
the columns that it models.

One known case: a family without covariates is what it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emframe.families import Family
from emframe.spaces import Array, Space
from emframe.testing.cases import Case, coordinate_rows
from emframe.testing.subject import Subject

ROWS = 200  # to draw covariates from
NEARER = 0.3


def with_covariates(family: Family, d: int) -> Family:
    """The family, with covariates of the kit's own to draw at where it needs any."""
    if not family.covariates:
        return family
    return family.given(coordinate_rows(family, ROWS, d, np.random.default_rng(ROWS)))


def held(subject: Subject, case: Case) -> tuple[Subject, Case]:
    """Subject and case of the columns that are modelled, at the covariates of the first row."""
    family = case.family
    if not family.covariates:
        return subject, case
    # Nearer to the middle, where moderate parameters make a moderate density.
    at = NEARER * family.support.coordinates(case.x[:1])
    row = family.support.point(at, case.x[:1].shape)[0]
    one = Held(family, tuple(map(float, row)))
    rng = case.rng()
    y = coordinate_rows(one, len(case.x), one.width, rng)
    return Subject(one), replace(case, family=one, x=y)


@dataclass(frozen=True)
class Held(Family):
    """A family at the covariates of a row: a density of what it models, and no M-step."""

    family: Family
    row: tuple[float, ...]

    name = "held"

    @property
    def parameters(self) -> type:
        return self.family.parameters

    @property
    def support(self) -> Space:  # type: ignore[override]
        return self.family.support_given(np.array(self.row))

    @property
    def modelled(self) -> list[int]:
        """The places of the columns that are modelled."""
        return [j for j in range(len(self.row)) if j not in self.family.covariates]

    @property
    def width(self) -> int:  # type: ignore[override]
        return len(self.modelled)

    def log_density(self, params: Any, x: Array) -> Array:
        rows = np.tile(np.array(self.row), (len(x), 1))
        rows[:, self.modelled] = x
        return self.family.log_density(params, rows)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        there = self.family.given(np.array([self.row]))
        return np.asarray(there.sample(params, labels, rng))[:, self.modelled]

    def accumulate(self, x: Array, resp: Array) -> Any:
        return None

    def expected(self, statistics: Any, params: Any) -> float:
        return 0.0

    def m_step(self, statistics: Any, previous: Any) -> Any:
        return previous
