"""Rows with known errors of measurement: the density is that of the rows without them.

    x_i = y_i + e_i,      e_i ~ N(0, S_i),      y_i ~ f(. | theta_k)

What a row hides is y, of which E takes the mean and the covariance given x; the M-step is that of
rows without error, which is exact EM (extreme deconvolution: Bovy, Hogg and Roweis 2011, Ann. Appl.
Stat. 5, 1657).

One known case: with errors of 0 it is the family itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.composing.columns import AtColumns, Home, RowsOf
from emframe.families import (
    Completed,
    Conditional,
    Densities,
    Family,
    Kernel,
    Survey,
    Wrapped,
    refuse_inner_gaps,
)
from emframe.families.at_start import AtStart
from emframe.families.kernel import NoSampler
from emframe.host import family_of
from emframe.host.recipes import MAKERS
from emframe.spaces import (
    ROUNDED,
    Array,
    Claim,
    NonNegative,
    OrMissing,
    PackedSemidefinite,
    Space,
    packed,
    triangular_root,
    unpacked,
)

Column = str | int


@dataclass(frozen=True, init=False)
class Noisy(Wrapped):
    """A family of rows that were measured with errors of known size.

    The parameters are those of the family, of rows without error.

    Parameters
    ----------
    family : name of a plugin, or a `Family`, that knows how errors blur it: "gaussian".
    values : the columns that were measured, by name or index.
    errors : as many columns with the standard deviation of the error of each; 0 for none.
    covariances : or, for errors that depend on each other, the columns of their covariance matrix,
        its lower triangle row by row: of two values var(1), cov(2, 1), var(2). See `rows`.
    missing : whether values may be missing (nan); how large their errors are then does not matter.
    **options : settings of the family, when it is given by name.

    The columns are the values, then the errors or covariances; or where their indices say.

    Raises
    ------
    TypeError, ValueError : for columns that do not pair, or a family that knows no errors.

    Examples
    --------
    >>> rows = [[1.0, 0.1], [2.0, 0.1], [3.0, 0.1], [2.5, 0.1]]  # values, and their errors
    >>> family = emframe.Noisy("gaussian", values=0, errors=1)
    >>> emframe.fit(emframe.Mixture(family, 1), rows)["means"].round(3)
    array([[2.125]])
    """

    family: Family
    values: tuple[Column, ...]
    errors: tuple[Column, ...]
    covariances: tuple[Column, ...] = ()
    missing: bool = False

    maker = "noisy"
    hides = True

    def __init__(
        self,
        family: str | Family,
        *,
        values: Sequence[Column] | Column,
        errors: Sequence[Column] | Column = (),
        covariances: Sequence[Column] | Column = (),
        missing: bool = False,
        **options: Any,
    ) -> None:
        found = family_of(family, options)
        if not isinstance(found, Family) or not found.blurs:
            raise TypeError(
                f"`family` is {family!r}, which does not know how errors blur it; pass 'gaussian'."
            )
        refuse_inner_gaps(found, "Noisy")
        if missing not in (True, False):
            raise TypeError(f"`missing` is {missing!r}; pass True or False.")
        told = [
            (one,) if isinstance(one, (str, int)) else tuple(one)
            for one in (values, errors, covariances)
        ]
        every, d = told[0] + told[1] + told[2], len(told[0])
        named = all(isinstance(one, str) for one in every)
        if not named and not all(isinstance(one, (int, np.integer)) for one in every):
            raise TypeError(f"columns are all names or all indices; got {list(every)}.")
        if (len(told[1]), len(told[2])) not in ((d, 0), (0, d * (d + 1) // 2)) or d == 0:
            raise ValueError(
                f"`values` is {told[0]}, `errors` {told[1]} and `covariances` {told[2]}; pass an "
                "error for each value, or the d (d + 1) / 2 columns of their covariances."
            )
        if len(set(every)) < len(every):
            raise ValueError(f"a column is a value or says how large errors are; got {every}.")
        if not named and sorted(every) != list(range(len(every))):
            raise ValueError(
                f"indices name every column, from 0 to {len(every) - 1}; got {sorted(every)}."
            )
        if found.width not in (None, len(told[0])):
            raise ValueError(f"{found.name!r} takes {found.width} columns; got {told[0]}.")
        object.__setattr__(self, "family", found)
        object.__setattr__(self, "values", told[0])
        object.__setattr__(self, "errors", told[1])
        object.__setattr__(self, "covariances", told[2])
        object.__setattr__(self, "missing", bool(missing))
        object.__setattr__(self, "_covered", None)

    def ingredients(self) -> dict[str, Any]:
        told = {"errors": self.errors} if self.errors else {"covariances": self.covariances}
        own = {"family": self.family, "values": self.values, **told}
        return {**own, "missing": True} if self.missing else own

    @staticmethod
    def rows(x: Any, covariances: Any) -> Array:
        """Rows (n, d) with the lower triangles of the covariances of their errors (n, d, d).

            data = emframe.Noisy.rows(x, S)
            emframe.Noisy("gaussian", values=(0, 1), covariances=(2, 3, 4))

        Raises ValueError for shapes that do not go together, or a matrix that is not symmetric.
        """
        values, each = np.asarray(x, dtype=float), np.asarray(covariances, dtype=float)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or each.shape != (*values.shape, values.shape[1]):
            raise ValueError(
                f"`x` has shape {np.shape(x)} and `covariances` {each.shape}; pass (n, d) and "
                "(n, d, d)."
            )
        off = np.abs(each - each.swapaxes(1, 2)).max(axis=(1, 2))
        wrong = off > ROUNDED * np.abs(each).max(axis=(1, 2))
        if wrong.any():
            raise ValueError(
                f"`covariances` {int(wrong.argmax())} is not symmetric; pass the covariances of "
                "the errors."
            )
        return np.concatenate([values, packed(each)], axis=1)

    def with_gaps(self) -> Noisy:
        return Noisy(**{**self.ingredients(), "missing": True})

    # ---- rows

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"noisy {self.family.name}"

    @property
    def columns(self) -> tuple[str, ...] | None:  # type: ignore[override]
        every = self.values + self._told
        return tuple(map(str, every)) if isinstance(every[0], str) else None

    @property
    def width(self) -> int:  # type: ignore[override]
        return len(self.values) + len(self._told)

    @property
    def _told(self) -> tuple[Column, ...]:
        """The columns that say how large errors are."""
        return self.errors or self.covariances

    @property
    def takes_columns(self) -> bool:
        return True

    @property
    def _measured(self) -> tuple[int, ...]:
        d = len(self.values)
        return tuple(range(d)) if self.columns else tuple(int(one) for one in self.values)

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        d = len(self.values)
        return tuple(range(d, self.width)) if self.columns else tuple(map(int, self._told))

    @property
    def support(self) -> Space:  # type: ignore[override]
        return RowsOf(
            (
                Home("values", self._space, self._measured),
                Home("errors", self._sizes, self.covariates),
            )
        )

    @property
    def _space(self) -> Space:
        return OrMissing(self.family.support) if self.missing else self.family.support

    @property
    def _sizes(self) -> Space:
        return NonNegative() if self.errors else PackedSemidefinite()

    @property
    def supports(self) -> tuple[Space, ...]:
        return (
            AtColumns(self._space, self._measured),
            AtColumns(self._sizes, self.covariates),
        )

    def claims(self) -> tuple[Claim, ...]:
        return tuple(Claim(space, f"the family {self.name!r}") for space in self.supports)

    def support_given(self, row: Array) -> Space:
        return self._space

    def located(self, x: Array) -> Array:
        points = np.zeros(x.shape)
        points[:, self._measured] = x[:, self._measured]
        return points

    def _split(self, x: Array) -> tuple[Array, Array]:
        """The values (n, d), and a root R (n, d, d) of the covariances R R' of their errors."""
        told = x[:, self.covariates]
        if self.errors:
            return x[:, self._measured], told[:, :, None] * np.eye(told.shape[1])
        return x[:, self._measured], triangular_root(unpacked(told))

    def _measures(self, x: Array) -> Array:
        """The values, with their column's mean where there is none: to begin with, (n, d)."""
        values = x[:, self._measured]
        seen = ~np.isnan(values)
        if seen.all():
            return values
        means = np.where(seen, values, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        return np.where(seen, values, means)

    # ---- E

    def log_density(self, params: Any, x: Array) -> Array:
        return self.family.blurred(params, *self._split(x)).log_density

    def accumulate(self, x: Array, resp: Array) -> AtStart:
        return AtStart.of_rows(x, resp)

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        """2 d rows stand for each y: their mean and their scatter are those of y given x.

        Beside the entropy of y stands the expected log density of its error, which no parameter
        enters; both come to log p(x) - E log f(y).
        """
        found = self.family.blurred(params, *self._split(x))
        (n, k), d = resp.shape, len(self.values)
        entropy = (resp * np.where(resp > 0, found.log_density, 0.0)).sum(axis=0)
        parts = []
        for one in range(k):
            aside = np.sqrt(d) * np.moveaxis(found.roots[:, one], 2, 0)  # (d, n, d)
            about = found.means[:, one]
            rows = np.concatenate([about + aside, about - aside]).reshape(2 * d * n, d)
            shares = np.zeros((len(rows), k))
            shares[:, one] = np.tile(resp[:, one], 2 * d) / (2 * d)
            entropy[one] -= shares[:, one] @ self.family.log_density(params, rows)[:, one]
            parts.append(self.family.accumulate(rows, shares))
        return Completed(reduce(add, parts), entropy)

    def whole(self, x: Array, weights: Array) -> Any:
        return self.family.whole(self._measures(x), weights)

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        yield Densities(self, params, constants)

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        """What would be measured of some columns without an error."""
        found = self.family.blurred(params, *self._split(x))
        own = [self._measured.index(j) for j in hidden]
        means, roots = found.means[:, :, own], found.roots[:, :, own]

        def draw(labels: NDArray[Any], rng: np.random.Generator) -> Array:
            each = np.arange(len(labels))
            off = roots[each, labels] @ rng.standard_normal((len(labels), roots.shape[3], 1))
            return np.asarray(means[each, labels] + off[:, :, 0])

        return Conditional(means, roots @ roots.swapaxes(2, 3), draw)

    def imputed(self, params: Any, x: Array, shares: Array) -> Array:
        return Family.imputed(self, params, x, shares)

    # ---- M

    def m_step(self, statistics: Any, previous: Any) -> Any:
        return self.family.m_step(self._known(statistics, previous), previous)

    def m_step_given(
        self,
        statistics: Any,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any | None:
        sums = self._known(statistics, previous)
        return self.family.m_step_given(sums, previous, like, held, shared)

    def _known(self, statistics: Any, previous: Any) -> Any:
        """The family's sums; at a start those of the rows as they were measured."""
        if not isinstance(statistics, AtStart):
            return statistics
        if previous is not None:
            each = (self.completed(previous, x, r).statistics for x, r in statistics.blocks)
            return statistics.with_prior(reduce(add, each))
        measured = self._measures(statistics.x)
        return statistics.with_prior(self.family.accumulate(measured, statistics.resp))

    def stacked(self, k: int) -> Any:
        """Itself where components are apart; else none."""
        return self if self.family.stacked(k) is self.family else None

    def flat(self, x: Array, weights: Array) -> None:
        """None: tables know no errors."""

    def template(self, dims: Any) -> Any:
        return self.family.template({**dims, "d": len(self.values)})

    def problem(self, params: Any, dims: Any, prefix: str = "") -> str | None:
        return self.family.problem(params, {**dims, "d": len(self.values)}, prefix)

    # ---- draws

    def given(self, x: Array) -> Noisy:
        """Draws have the errors of rows x, taken in turn."""
        other = copy(self)
        object.__setattr__(other, "_covered", np.array(x, dtype=float))
        return other

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        """Rows as they would be measured, with the errors that are given."""
        labels, covered = np.asarray(labels), vars(self)["_covered"]
        if covered is None:
            raise NoSampler(
                f"{self.name} is a density given errors, and has none to draw with; pass rows that "
                "have them: fit.sample(n, given=X), fit.plot(X)."
            )
        rows = covered[np.arange(len(labels)) % len(covered)]
        drawn = np.asarray(self.family.sample(params, labels, rng), dtype=float)
        values, roots = self._split(rows)
        off = roots @ rng.standard_normal((*values.shape, 1))
        measured = drawn.reshape(values.shape) + off[:, :, 0]
        rows[:, self._measured] = np.where(np.isnan(values), np.nan, measured)
        return rows


MAKERS["noisy"] = Noisy
