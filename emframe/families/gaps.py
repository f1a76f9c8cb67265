"""Values that were not observed, for families that drop the terms of what is not there.

    log f(x | theta_k) = sum over the columns j that a row shows of log f(x_j | theta_kj)

A family whose columns are independent given the component is the family of one column for each of
them, on the rows that show it; so sums, Q and M-step are column by column.  Any other has nothing
to say of a row that lacks what it models: a response, or all of its columns.  Nothing is imputed,
and the likelihood is that of what was seen, entries missing at random (Rubin 1976).

One known case: without gaps it is the family itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.families.base import Completed, ConjugatePrior, Family, is_apart
from emframe.families.conditional import Conditional, of_any_row
from emframe.families.kernel import Kernel, RowProducts, Survey
from emframe.families.rowwise import in_step
from emframe.families.shown import OnShown, ShownProducts
from emframe.families.stack import Sums
from emframe.families.wrapped import Wrapped
from emframe.parameters import Leaf, declarations, leaves, rebuild
from emframe.spaces import Array, Claim, ColumnsIn, OrMissing, OrNothing, Space

Mask = NDArray[np.bool_]

SAME = 1e-9  # sums of log densities of columns, and that of all of them, nats


@dataclass(frozen=True)
class Gaps(Wrapped):
    """A family of which entries of a row may be missing; ``missing=True`` makes it.

    Where columns depend on each other a row is missing as a whole, or not at all.

    Raises TypeError for a family in runs, or of several columns given others.
    """

    maker = "gaps"

    def __post_init__(self) -> None:
        family = self.family
        if family.in_runs:
            raise TypeError(
                f"the rows of {family.name!r} are runs, of any length each: leave out the rows "
                "that lack a value."
            )
        if family.covariates and len(self._modelled(family.width or 1)) > 1:
            raise TypeError(
                f"the family {family.name!r} models several columns given others, and cannot leave "
                "out one of them; a part of emframe.Product for each can."
            )

    @cached_property
    def by_column(self) -> bool:
        """Whether each column has parameters of its own, and nothing is given.

        That columns are independent is not taken on trust: log densities have to add up.
        """
        family = self.family
        if self.covariates or family.width == 1 or not family.is_settled:
            return False
        declared = declarations(family.parameters).values()
        each = all(one.shape == ("d",) and not one.fixed for one in declared)
        is_own = each and bool(declared) and is_apart(family.parameters)
        if not is_own or family.support.n_event_axes:
            return False
        params, space = family.template({"K": 1, "d": 2}), family.support
        rows = space.point(np.linspace(-0.8, 1.1, space.n_coordinates((2, 2))), (2, 2))
        whole = family.log_density(params, rows)
        apart = sum(family.log_density(self._column(params, j), rows[:, [j]]) for j in range(2))
        return bool(np.allclose(whole, np.asarray(apart), rtol=SAME, atol=SAME))

    def _modelled(self, d: int) -> list[int]:
        return [j for j in range(d) if j not in self.family.covariates]

    # ---- rows

    @property
    def support(self) -> Space:  # type: ignore[override]
        inner = self.family.support
        if not self.covariates:
            single = self.by_column or self.family.width == 1 or not self.family.takes_columns
            return OrMissing(inner) if single and not inner.n_event_axes else OrNothing(inner)
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
        space = self.support
        told = "make them nan in all columns" if isinstance(space, OrNothing) else ""
        return (Claim(space, f"the family {self.name!r}", told),)

    def support_given(self, row: Array) -> Space:
        inner = self.family.support_given(row)
        return self.support if inner.n_event_axes else OrMissing(inner)

    def settled(self, whole: Sums, columns: Sequence[str]) -> Gaps:
        return Gaps(self.family.settled(whole.parts[0], columns))

    def refuse(self, whole: Sums, columns: Sequence[str]) -> None:
        groups = self._groups(len(columns))
        for (places, _), own in zip(groups, whole.parts, strict=True):
            self.family.refuse(own, [columns[j] for j in places])

    def with_gaps(self) -> Gaps:
        return self

    def _groups(self, d: int) -> list[tuple[list[int], int]]:
        """Columns that are there or not together with the last of the two, one of them."""
        if self.by_column:
            return [([j], j) for j in range(d)]
        return [(list(range(d)), self._modelled(d)[0])]

    def _of(self, params: Any, columns: Sequence[int]) -> Any:
        """The parameters of some columns."""
        if params is None or not self.by_column:
            return params
        (column,) = columns
        return self._column(params, column)

    def _column(self, params: Any, column: int) -> Any:
        def take(leaf: Leaf) -> Array:
            return leaf.value[:, [column]]

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
        """Those of each group of columns on the rows that show it; see `emframe.families.shown`."""
        nothing = np.zeros_like(constants)
        parts = enumerate(survey.statistics.parts)
        each = (
            self.family.kernels(self._of(params, [j]), nothing, survey.of(whole))
            for j, whole in parts
        )
        for kernels in in_step(each):
            plain = [one for one in kernels if isinstance(one, RowProducts)]
            if self.by_column and len(plain) == len(kernels):
                yield ShownProducts.of(plain, constants, self._fill, Sums)
            else:
                yield OnShown(kernels, self._groups, self._anything, constants, Sums)

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
        if not self.family.is_settled:  # nor does it settle anything
            return x
        return np.concatenate([x, self._anything(x.shape[1])])

    def _anything(self, d: int) -> Array:
        """A row that shows all, (1, d)."""
        space = self.family.support
        return space.point(np.full(space.n_coordinates((1, d)), 0.5), (1, d))

    @property
    def _fill(self) -> float:
        """A value of any column, 0 where that is one."""
        zero = np.zeros((1, 1))
        return 0.0 if self.family.support.contains(zero).all() else float(self._anything(1)[0, 0])

    def _own(self, resp: Array, seen: Mask) -> Array:
        return np.concatenate([resp, np.zeros((len(seen) - len(resp), resp.shape[1]))])[seen]

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

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        if not self.by_column and len(hidden) < len(self._modelled(x.shape[1])):
            raise self._without("law of some of its columns given the others")
        if not self.covariates:
            return of_any_row(self.family, params, len(x), hidden)
        response = self._modelled(x.shape[1])

        def draw(labels: NDArray[Any], rng: np.random.Generator) -> Array:
            rows = self.family.given(self._filled(x)).sample(params, labels, rng)
            return np.asarray(rows)[:, response]

        try:
            means, deviations = self.family.response_at(params, self._filled(x))
        except TypeError:  # codes without an order have no mean, and are drawn all the same
            return Conditional(None, None, draw)
        return Conditional(means[:, :, None], deviations[:, :, None, None] ** 2, draw)

    def _filled(self, x: Array) -> Array:
        """Rows with some response, which is not looked at."""
        return np.where(np.isnan(x), self._anything(x.shape[1]), x)

    def imputed(self, params: Any, x: Array, shares: Array) -> Array:
        return Family.imputed(self, params, x, shares)


def refuse_inner_gaps(family: Family, said: str) -> None:
    """Raise TypeError for a family with gaps within one to which a missing value is a value."""
    if any(space.missing for space in family.supports):
        raise TypeError(
            f"the family {family.name!r} within {said} has missing values, which are missing of "
            f"the whole: emframe.Mixture({said}(...), missing=True)."
        )
