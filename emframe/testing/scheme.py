"""What of a row is observed, and what is given.

One known case: of a family that says nothing a row is one value of each column, all observed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emframe.families import Family, Outcome
from emframe.spaces import Array
from emframe.testing.cases import coordinate_rows
from emframe.testing.outcome import Fault, Inapplicable, told
from emframe.testing.runs import rows_of

ROWS = 200  # to draw at
Observed = Callable[[Array], Sequence[Outcome] | None]


@dataclass(frozen=True)
class Scheme:
    """What of a row is observed: by the family's declarations, unless somebody says otherwise."""

    family: Family
    given: tuple[int, ...]  # places of columns that are no random variables
    observed: Observed  # what could have been seen in the place of a row (d,)

    @classmethod
    def of(
        cls, family: Family, given: Sequence[int] | None = None, observed: Observed | None = None
    ) -> Scheme:
        """That of a family, with other columns given, or other outcomes, where these are passed."""
        places = family.covariates if given is None else tuple(given)
        return cls(family, places, family.outcomes if observed is None else observed)

    def outcomes(self, row: Array) -> tuple[Outcome, ...] | None:
        """What could have been seen in the place of a row (d,), or a `Fault` for what is none."""
        culprit = "outcomes, or what was passed as `observed`"
        try:
            found = self.observed(row.copy())
        except Exception as error:
            what = "all that could have been seen in the place of a row"
            raise Fault(what, told(error), culprit) from error
        if found is None:
            return None
        if not isinstance(found, Sequence) or not found:
            raise Fault("a list of emframe.families.Outcome", f"{found!r}", culprit)
        for one in found:
            if not isinstance(one, Outcome):
                raise Fault("a list of emframe.families.Outcome", f"{one!r} in it", culprit)
            if len(one.row) != len(row):
                raise Fault(f"rows of {len(row)} columns", f"{one.row}", culprit)
        return tuple(found)

    def of_case(self, x: Any) -> tuple[Outcome, ...] | None:
        """What could have been seen in the place of the first row, or run, of an example.

        `Inapplicable` where that were combinations of what its rows tell in part.
        """
        found = self.outcomes(rows_of(x)[0])
        if found is not None and self.family.in_runs:
            raise Inapplicable("what several rows tell in part is not listed here")
        return found

    def is_partial(self, d: int) -> bool:
        """Whether a density of rows of d columns has no total over their support."""
        row = coordinate_rows(self.family, 1, d, np.random.default_rng(ROWS))[0]
        return bool(self.given) or self.outcomes(row) is not None

    def with_terms(self, d: int) -> Scheme:
        """The scheme of the family that is given rows of the kit's own to draw at."""
        rows = coordinate_rows(self.family, ROWS, d, np.random.default_rng(ROWS))
        return replace(self, family=self.family.given(rows))
