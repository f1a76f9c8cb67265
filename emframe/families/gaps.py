"""Values that were not observed, for families that drop the terms of what is not there.

    log f(x | theta_k) = sum over the columns j that a row shows of log f(x_j | theta_kj)

A family whose columns are independent given the component is the family of one column for each of
them, on the rows that show it; so sums, Q and M-step are column by column.  One that models a
single column given others has nothing to say of a row without it.  Nothing is imputed, and the
likelihood is that of what was seen, entries missing at random (Rubin 1976).

One known case: without gaps it is the family itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.families.base import Completed, ConjugatePrior, is_apart
from emframe.families.kernel import Densities, Kernel, Survey
from emframe.families.stack import Sums
from emframe.families.wrapped import Wrapped
from emframe.parameters import Leaf, declarations, leaves, rebuild
from emframe.spaces import Array, Claim, ColumnsIn, OrMissing, Space

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Gaps(Wrapped):
    """A family of which entries of a row may be missing; ``missing=True`` makes it.

    Raises TypeError for a family of several columns that depend on each other, or in runs.
    """

    maker = "gaps"

    def __post_init__(self) -> None:
        family = self.family
        is_one = not family.takes_columns or family.width == 1
        is_sole = len(self._modelled(family.width or 1)) == 1 and is_one
        is_given = bool(family.covariates) and len(self._modelled(family.width or 1)) == 1
        if not family.in_runs and family.is_settled and (self.by_column or is_sole or is_given):
            return
        raise TypeError(
            f"the family {family.name!r} has columns that depend on each other, or rows in runs, "
            "and cannot leave out the terms of what is missing; independent columns can, such as "
            "those of emframe.Product, and so does emframe.family('gaussian', missing=True)."
        )

    @property
    def by_column(self) -> bool:
        """Whether each column has parameters of its own, and nothing is given."""
        declared = declarations(self.family.parameters).values()
        each = all(one.shape == ("d",) and not one.fixed for one in declared)
        each &= not any(one.n_event_axes for one in self.family.supports)  # rows that are a whole
        return each and bool(declared) and is_apart(self.family.parameters) and not self.covariates

    def _modelled(self, d: int) -> list[int]:
        return [j for j in range(d) if j not in self.family.covariates]

    # ---- rows

    @property
    def support(self) -> Space:  # type: ignore[override]
        inner = self.family.support
        if not self.covariates:
            return OrMissing(inner)
        each = [inner.column(j) for j in range(self.family.width or 1)]
        (response,) = self._modelled(len(each))
        each[response] = OrMissing(each[response])
        return ColumnsIn(tuple(each))

    @property
    def supports(self) -> tuple[Space, ...]:
        return (self.support,)

    @property
    def gaps(self) -> str:  # type: ignore[override]
        return ""

    def claims(self) -> tuple[Claim, ...]:
        return (Claim(self.support, f"the family {self.name!r}"),)

    def support_given(self, row: Array) -> Space:
        return OrMissing(self.family.support_given(row))

    def _groups(self, d: int) -> list[tuple[list[int], int]]:
        """Columns that are there or not together with the last of the two, one of them."""
        if self.by_column:
            return [([j], j) for j in range(d)]
        return [(list(range(d)), self._modelled(d)[0])]

    def _of(self, params: Any, columns: Sequence[int]) -> Any:
        """The parameters of some columns."""
        if params is None or not self.by_column:
            return params

        def take(leaf: Leaf) -> Array:
            return leaf.value[:, list(columns)]

        return rebuild(params, take)

    def _shown(self, params: Any, x: Array) -> Iterator[tuple[Any, Array, Mask]]:
        """For each group its parameters, the rows that show it, and which these are."""
        for columns, told in self._groups(x.shape[1]):
            seen = ~np.isnan(x[:, told])
            yield self._of(params, columns), x[seen][:, columns], seen

    # ---- E

    def log_density(self, params: Any, x: Array) -> Array:
        found = np.zeros((len(x), len(leaves(params)[0].value)))
        for own, rows, seen in self._shown(params, x):
            if len(rows):
                found[seen] += self.family.log_density(own, rows)
        return found

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        yield Densities(self, params, constants)

    def accumulate(self, x: Array, resp: Array) -> Sums:
        each = self._shown(None, self._with_rows(x))
        return Sums(tuple(self.family.accumulate(r, self._own(resp, s)) for _, r, s in each))

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        each = [
            self.family.completed(own, rows, self._own(resp, seen))
            for own, rows, seen in self._shown(params, self._with_rows(x))
        ]
        return Completed(Sums(tuple(one.statistics for one in each)), sum(e.entropy for e in each))

    def whole(self, x: Array, weights: Array) -> Sums:
        each = self._shown(None, self._with_rows(x))
        own = weights[:, None]
        return Sums(tuple(self.family.whole(r, self._own(own, s)[:, 0]) for _, r, s in each))

    def _with_rows(self, x: Array) -> Array:
        """Rows followed by one that shows all, and weighs nothing: no sum is over no rows."""
        space, shape = self.family.support, (1, x.shape[1])
        anything = space.point(np.full(space.n_coordinates(shape), 0.5), shape)
        return np.concatenate([x, anything])

    def _own(self, resp: Array, seen: Mask) -> Array:
        return np.concatenate([resp, np.zeros((1, resp.shape[1]))])[seen]

    def expected(self, statistics: Sums, params: Any) -> float:
        pairs = enumerate(statistics.parts)
        return sum(self.family.expected(sums, self._of(params, [j])) for j, sums in pairs)

    # ---- M

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        pairs = enumerate(statistics.parts)
        return self._joined([self.family.m_step(s, self._of(previous, [j])) for j, s in pairs])

    def m_step_given(
        self,
        statistics: Sums,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any | None:
        each = [
            self.family.m_step_given(
                sums, self._of(previous, [j]), self._of(like, [j]), held, shared
            )
            for j, sums in enumerate(statistics.parts)
        ]
        return None if any(one is None for one in each) else self._joined(each)

    def _joined(self, each: list[Any]) -> Any:
        """Parameters of all columns, from those of each."""
        if not self.by_column:
            return each[0]
        names = declarations(self.family.parameters)
        columns = {name: [getattr(one, name) for one in each] for name in names}
        return self.parameters(
            **{name: np.concatenate(values, axis=1) for name, values in columns.items()}
        )

    def gradient(self, statistics: Sums, params: Any) -> Array:
        each = [
            self.family.gradient(sums, self._of(params, [j]))
            for j, sums in enumerate(statistics.parts)
        ]
        if not self.by_column:
            return each[0]
        # Each has its own numbers in order of fields and components; all have columns last.
        return np.stack(each, axis=1).ravel()

    def conjugate_prior(self, prior: Any, whole: Sums, k: int) -> ConjugatePrior[Sums]:
        found = [self.family.conjugate_prior(prior, own, k) for own in whole.parts]
        sums = Sums(tuple(one.statistics for one in found))
        return ConjugatePrior(sums, sum(one.log_constant for one in found))

    # ---- the rest

    def stacked(self, k: int) -> Any:
        """Itself where components are apart; else none."""
        return self if self.family.stacked(k) is self.family else None

    def flat(self, x: Array, weights: Array) -> None:
        """None: tables of rows have no gaps."""

    def imputed(self, params: Any, x: Array, shares: Array) -> Array:
        """E[x | what is seen of x], (n, d): the rows with the mean of what they hide.

        shares : (n, K) of the components.

        TypeError where the family does not tell its mean.
        """
        return np.where(np.isnan(x), shares @ self.family.mean(params), x)
