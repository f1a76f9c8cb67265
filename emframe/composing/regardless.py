"""A family beside one that is given columns: it reads what that one models, and nothing else.

    f(y | u, z = 1) = f_1(y | u)    a regression on u
    f(y | u, z = 0) = f_0(y)        a point mass at 0, noise, counts of one rate

So components that look at covariates and components that do not are densities of the same thing.

One known case: a regression beside it whose slopes are 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.composing.columns import AtColumns, Home, RowsOf
from emframe.families import Completed, Family, Kernel, Pieces, Survey, Wrapped
from emframe.families.base import Stand
from emframe.families.joined import Multiplied
from emframe.families.kernel import NoSampler
from emframe.families.outcomes import Outcome
from emframe.host.recipes import MAKERS
from emframe.spaces import Array, Claim, ColumnsIn, Space


@dataclass(frozen=True)
class Regardless(Wrapped):
    """A family, of the rows of another one, whose covariates it does not look at.

    Parameters
    ----------
    family : of the columns that `other` models, in their order.
    other : what it stands beside, a family that is given columns.
    """

    other: Family
    covered: Array | None = field(default=None, repr=False, compare=False, kw_only=True)

    maker = "regardless"

    def ingredients(self) -> dict[str, Any]:
        return {"family": self.family, "other": self.other}

    # ---- columns

    @property
    def columns(self) -> tuple[str, ...] | None:  # type: ignore[override]
        return self.other.columns

    @property
    def width(self) -> int | None:  # type: ignore[override]
        return self.other.width

    @property
    def takes_columns(self) -> bool:
        return True

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.other.covariates

    def spelt(self, names: Mapping[str, tuple[str, ...]]) -> Regardless:
        return replace(self, other=self.other.spelt(names))

    @property
    def modelled(self) -> tuple[int, ...]:
        """The columns that the family reads."""
        return tuple(j for j in range(self.other.width or 0) if j not in self.other.covariates)

    def _own(self, x: Array) -> Array:
        return x[:, list(self.modelled)]

    def _across(self, space: Space) -> Space:
        """A space of the family's columns as one of whole rows, covariates as the other has it."""
        modelled, outside = self.modelled, self.covariates
        if isinstance(space, AtColumns):
            return AtColumns(space.space, tuple(modelled[place] for place in space.places))
        around = {j: self.other.support.column(j) for j in outside}
        if space.n_event_axes:
            others = ColumnsIn(tuple(around.values()))
            return RowsOf((Home("given", others, outside), Home("modelled", space, modelled)))
        own = {j: space.column(place) for place, j in enumerate(modelled)}
        return ColumnsIn(tuple((own | around)[j] for j in range(self.width or 0)))

    @property
    def support(self) -> Space:  # type: ignore[override]
        return self._across(self.family.support)

    @property
    def supports(self) -> tuple[Space, ...]:
        return tuple(map(self._across, self.family.supports))

    def claims(self) -> tuple[Claim, ...]:
        return Family.claims(self)

    def settled(self, whole: Any, columns: Sequence[str]) -> Regardless:
        own = [columns[j] for j in self.modelled]
        return replace(self, family=self.family.settled(whole, own))

    def refuse(self, whole: Any, columns: Sequence[str]) -> None:
        self.family.refuse(whole, [columns[j] for j in self.modelled])

    def given(self, x: Array) -> Regardless:
        return replace(self, covered=np.array(x, dtype=float))

    def support_given(self, row: Array) -> Space:
        return self.family.support_given(row[list(self.modelled)])

    def located(self, x: Array) -> Array:
        points = np.array(x)
        points[:, list(self.modelled)] = self.family.located(self._own(x))
        return points

    def outcomes(self, row: Array) -> Sequence[Outcome] | None:
        found = self.family.outcomes(row[list(self.modelled)])
        if found is None:
            return None

        def across(one: Outcome) -> Outcome:
            whole = np.array(row, dtype=float)
            whole[list(self.modelled)] = one.row
            return Outcome(whole, tuple(self.modelled[j] for j in one.columns), one.space)

        return tuple(map(across, found))

    # ---- E and M

    def log_density(self, params: Any, x: Array) -> Array:
        return self.family.log_density(params, self._own(x))

    def accumulate(self, x: Array, resp: Array) -> Any:
        return self.family.accumulate(self._own(x), resp)

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        return self.family.completed(params, self._own(x), resp)

    def whole(self, x: Array, weights: Array) -> Any:
        return self.family.whole(self._own(x), weights)

    def imputed(self, params: Any, x: Array, shares: Array) -> Array:
        filled = np.array(x)
        filled[:, list(self.modelled)] = self.family.imputed(params, self._own(x), shares)
        return filled

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """Those of the family, on its columns."""
        for kernel in self.family.kernels(params, constants, survey):
            yield Multiplied((kernel,), (self.modelled,), itemgetter(0))

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        """Draws at the covariates of the rows that are given, taken in turn."""
        if self.covered is None:
            raise NoSampler(
                f"{self.name} stands beside a density given covariates, and has none to draw at; "
                "pass rows that have them: fit.sample(n, given=X), fit.plot(X)."
            )
        rows = self.covered[np.arange(len(labels)) % len(self.covered)]
        drawn = np.asarray(self.family.sample(params, labels, rng), dtype=float)
        rows[:, list(self.modelled)] = drawn[:, None] if drawn.ndim == 1 else drawn
        return rows

    def pieces(self, params: Any, x: Any, shares: Array) -> Pieces:
        return self.family.pieces(params, self._own(x), shares)

    # ---- the distribution of a row

    def log_cdf(self, params: Any, x: Array) -> Array:
        return self.family.log_cdf(params, self._own(x))

    def log_sf(self, params: Any, x: Array) -> Array:
        return self.family.log_sf(params, self._own(x))

    def truncated(self, params: Any, low: Array, high: Array) -> Stand:
        return self.family.truncated(params, self._own(low), self._own(high))

    def course(self, response: Any = None) -> tuple[int, tuple[int, ...]]:
        return self.modelled[0], self.covariates

    def response_at(self, params: Any, x: Array, response: Any = None) -> tuple[Array, Array]:
        """Of one column: its mean and deviation, the same at all rows."""
        if len(self.modelled) > 1:
            return super().response_at(params, x, response)
        mean, variance = self.family.mean(params)[:, 0], self.family.variance(params)[:, 0]
        shape = (len(x), len(mean))
        return np.broadcast_to(mean, shape), np.broadcast_to(np.sqrt(variance), shape)

    # ---- parameters

    def _inner(self, dims: Mapping[str, int]) -> dict[str, int]:
        return {**dims, "d": len(self.modelled)}

    def problem(self, params: Any, dims: Mapping[str, int], prefix: str = "") -> str | None:
        return self.family.problem(params, self._inner(dims), prefix)

    def template(self, dims: Mapping[str, int]) -> Any:
        return self.family.template(self._inner(dims))

    def columns_modelled(self, d: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return Family.columns_modelled(self, d)


def beside(families: Sequence[Family]) -> list[Family]:
    """The families, those that name no covariates beside one that does as `Regardless`."""
    other = next((one for one in families if one.covariates and one.width), None)
    if other is None:
        return list(families)
    names = None if other.columns is None else _modelled_names(other)
    n_modelled = (other.width or 0) - len(other.covariates)

    def made(one: Family) -> Family:
        fits = one.width in (None, n_modelled) and one.columns in (None, names)
        apart = one.covariates or one.in_runs != other.in_runs or other.in_runs
        return one if apart or not fits else Regardless(one, other)

    return [made(one) for one in families]


def _modelled_names(family: Family) -> tuple[str, ...]:
    columns = family.columns or ()
    return tuple(name for j, name in enumerate(columns) if j not in family.covariates)


MAKERS["regardless"] = Regardless
