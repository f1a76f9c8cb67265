"""A mixture as a component: a family whose density is itself a mixture.

    emframe.Mixture([emframe.Mixture("gaussian", 2), "poisson"])

Its log density is the marginal over the inner components,

    log f(x | theta_k) = log sum_j w_kj f_j(x | theta_kj),

and which inner component a row comes from is a latent of the family's own.  Its posterior under the
outer responsibilities leaves counts and the inner families' sums, so EM is exact, with the entropy
of both choices in its books.

One known case: with one inner component it is the inner family.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, logsumexp, xlogy

from emframe.composing.constraints import m_step_within
from emframe.core import Contract
from emframe.data.gaps import filled
from emframe.families import (
    Completed,
    Conditional,
    ConjugatePrior,
    Family,
    Kernel,
    Outcome,
    Pieces,
    Survey,
    matched,
    refuse_empty,
)
from emframe.families.at_start import AtStart
from emframe.families.conditional import of_either
from emframe.families.joined import WithinKernel
from emframe.families.pieces import besides
from emframe.families.rowwise import in_step
from emframe.families.stack import Sums, common_priors, weakest
from emframe.host.recipes import MAKERS
from emframe.parameters import Declared, declarations
from emframe.parameters.records import record
from emframe.spaces import Array, Claim, Simplex, Space


@dataclass(frozen=True)
class NestedSums:
    """Counts of the inner components, and each inner family's sums; they add."""

    shares: Array  # (K, J)
    parts: tuple[Any, ...]  # (J,)

    def __add__(self, other: NestedSums) -> NestedSums:
        parts = tuple(a + b for a, b in zip(self.parts, other.parts, strict=True))
        return NestedSums(self.shares + other.shares, parts)

    def __mul__(self, factor: float) -> NestedSums:
        return NestedSums(self.shares * factor, tuple(part * factor for part in self.parts))

    def repeated(self, times: int) -> NestedSums:
        """The same components so many times."""
        parts = tuple(part.repeated(times) for part in self.parts)
        return NestedSums(np.tile(self.shares, (times, 1)), parts)


@dataclass(frozen=True)
class Nested(Family):
    """J inner components, each of a family of its own, in every outer component."""

    inner: tuple[Family, ...]  # (J,)

    maker = "mixture"
    hides = True

    @property
    def contract(self) -> Contract:  # type: ignore[override]
        return weakest(self.inner)

    @property
    def priors(self) -> tuple[str, ...]:  # type: ignore[override]
        return common_priors(self.inner)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"({'+'.join(family.name for family in self.inner)})"

    @property
    def effort(self) -> float:  # type: ignore[override]
        return max(family.effort for family in self.inner)

    @property
    def support(self) -> Space:  # type: ignore[override]
        return self.inner[0].support

    @property
    def supports(self) -> tuple[Space, ...]:
        return tuple(space for family in self.inner for space in family.supports)

    def claims(self) -> tuple[Claim, ...]:
        return tuple(
            replace(one, owner=f"inner component {j}, {one.owner}")
            for j, family in enumerate(self.inner)
            for one in family.claims()
        )

    @property
    def takes_columns(self) -> bool:
        return all(family.takes_columns for family in self.inner)

    @property
    def columns(self) -> tuple[str, ...] | None:  # type: ignore[override]
        return next((one.columns for one in self.inner if one.columns is not None), None)

    @property
    def width(self) -> int | None:  # type: ignore[override]
        return next((one.width for one in self.inner if one.width is not None), None)

    @property
    def is_settled(self) -> bool:  # type: ignore[override]
        return all(family.is_settled for family in self.inner)

    def with_gaps(self) -> Nested:
        return replace(self, inner=tuple(one.with_gaps() for one in self.inner))

    def settled(self, whole: Sums, columns: Sequence[str]) -> Nested:
        pairs = zip(self.inner, whole.parts, strict=True)
        return Nested(tuple(family.settled(own, columns) for family, own in pairs))

    def spelt(self, names: Mapping[str, tuple[str, ...]]) -> Nested:
        return Nested(tuple(family.spelt(names) for family in self.inner))

    def parts_of(self, columns: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        return {k: names for one in self.inner for k, names in one.parts_of(columns).items()}

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        return next((one.covariates for one in self.inner if one.covariates), ())

    def support_given(self, row: Array) -> Space:
        return self.inner[0].support_given(row)

    def outcomes(self, row: Array) -> Sequence[Outcome] | None:
        found = (family.outcomes(row) for family in self.inner)
        return next((one for one in found if one is not None), None)

    def given(self, x: Array) -> Nested:
        return Nested(tuple(family.given(x) for family in self.inner))

    @property
    def parameters(self) -> type:
        """``shares`` (K, J) of the inner components, and ``inner0``, ``inner1``, ..."""
        fields: dict[str, Any] = {"shares": Declared(Simplex(), (len(self.inner),))}
        fields |= {f"inner{j}": family.parameters for j, family in enumerate(self.inner)}
        return record("NestedParameters", fields)

    # ---- the five functions

    def joint(self, params: Any, x: Array) -> Array:
        """log w_kj + log f_j(x_i | theta_kj), (n, K, J)."""
        each = [f.log_density(getattr(params, f"inner{j}"), x) for j, f in enumerate(self.inner)]
        with np.errstate(divide="ignore"):
            return np.asarray(np.stack(each, axis=2) + np.log(params.shares))

    def log_density(self, params: Any, x: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.asarray(logsumexp(self.joint(params, x), axis=2))

    def accumulate(self, x: Array, resp: Array) -> AtStart:
        return AtStart.of_rows(x, resp)

    def split(self, params: Any, x: Array) -> Array:
        """What the inner components have of each row of an outer one, (n, K, J)."""
        joint = self.joint(params, x)
        highest = joint.max(axis=2, keepdims=True)
        split = np.exp(joint - np.where(np.isfinite(highest), highest, 0.0))
        total = split.sum(axis=2, keepdims=True)
        return np.divide(split, total, out=np.zeros_like(split), where=total > 0)

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        """That of the inner components, by what these have of a row given what it shows."""
        each = [
            f.conditional(getattr(params, f"inner{j}"), x, hidden) for j, f in enumerate(self.inner)
        ]
        return of_either(each, self.split(params, x))

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        split = self.split(params, x)
        both = resp[:, :, None] * split
        entropy = (entr(split).sum(axis=2) * resp).sum(axis=0)
        parts = []
        for j, family in enumerate(self.inner):
            own = family.completed(getattr(params, f"inner{j}"), x, both[:, :, j])
            parts.append(own.statistics)
            entropy = entropy + own.entropy
        return Completed(NestedSums(both.sum(axis=0), tuple(parts)), entropy)

    def whole(self, x: Array, weights: Array) -> Sums:
        return Sums(tuple(family.whole(x, weights) for family in self.inner))

    def refuse(self, whole: Sums, columns: Sequence[str]) -> None:
        for family, own in zip(self.inner, whole.parts, strict=True):
            family.refuse(own, columns)

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """Those of its inner families, each on one inner component of every outer one."""
        with np.errstate(divide="ignore"):
            shares = np.log(params.shares)
        each = (
            family.kernels(
                getattr(params, f"inner{j}"), constants + shares[:, j], survey.of_some(whole)
            )
            for j, (family, whole) in enumerate(
                zip(self.inner, survey.statistics.parts, strict=True)
            )
        )
        for kernels in in_step(each):
            yield WithinKernel(kernels, NestedSums)

    def expected(self, statistics: NestedSums, params: Any) -> float:
        each = zip(self.inner, statistics.parts, strict=True)
        inner = (
            family.expected(own, getattr(params, f"inner{j}"))
            for j, (family, own) in enumerate(each)
        )
        return float(xlogy(statistics.shares, params.shares).sum()) + sum(inner)

    def conjugate_prior(self, prior: Any, whole: Sums, k: int) -> ConjugatePrior[NestedSums]:
        """That of each inner component; flat on the shares."""
        if prior not in self.priors:
            return super().conjugate_prior(prior, whole, k)
        pairs = zip(self.inner, whole.parts, strict=True)
        each = [family.conjugate_prior(prior, own, k) for family, own in pairs]
        sums = NestedSums(np.zeros((k, len(each))), tuple(one.statistics for one in each))
        return ConjugatePrior(sums, sum(one.log_constant for one in each))

    def m_step(self, statistics: Any, previous: Any) -> Any:
        return self._m_step(statistics, previous, previous, (), ())

    def m_step_given(
        self,
        statistics: Any,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any:
        """The same step, each inner family's given what of it is held or shared."""
        if "shares" in shared:
            return None
        return self._m_step(statistics, previous, like, held, shared)

    def _m_step(
        self,
        statistics: Any,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any:
        known = self._known(statistics, previous)
        shares, sums = known.shares, known.parts
        total = shares.sum(axis=1, keepdims=True)
        empty = total[:, 0] <= 0
        if previous is None:
            refuse_empty(empty)
        values: dict[str, Any] = {"shares": shares / np.where(total > 0, total, 1.0)}
        if previous is not None:
            values["shares"] = np.where(empty[:, None], previous.shares, values["shares"])
        if "shares" in held:
            values["shares"] = like.shares
        for j, family in enumerate(self.inner):
            name = f"inner{j}"
            before, near = (None if one is None else getattr(one, name) for one in (previous, like))
            values[name] = m_step_within(family, f"{name}.", sums[j], before, near, held, shared)
        return self.parameters(**values)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        labels = np.asarray(labels)
        below = np.cumsum(params.shares, axis=1)[labels]
        inner = (rng.random(len(labels))[:, None] * below[:, -1:] >= below).sum(axis=1)
        rows: Array | None = None
        for j, family in enumerate(self.inner):
            mine = inner == j
            own = getattr(params, f"inner{j}")
            if family.covariates:  # the i-th of all rows has the i-th covariates
                drawn = family.sample(own, labels, rng)[mine]
            else:
                drawn = family.sample(own, labels[mine], rng)
            drawn = np.asarray(drawn, dtype=float).reshape(int(mine.sum()), -1 if mine.any() else 0)
            if not mine.any():
                continue
            rows = np.zeros((len(labels), drawn.shape[1])) if rows is None else rows
            rows[mine] = drawn
        return np.zeros((0, self._columns_of(params))) if rows is None else rows

    # ---- the rest

    def gradient(self, statistics: NestedSums, params: Any) -> Array:
        shares = statistics.shares
        slope = np.divide(shares, params.shares, out=np.zeros_like(shares), where=params.shares > 0)
        parts = [Simplex().pullback(params.shares, slope)]
        for j, (family, own) in enumerate(zip(self.inner, statistics.parts, strict=True)):
            parts.append(family.gradient(own, getattr(params, f"inner{j}")))
        return np.concatenate(parts)

    def pieces(self, params: Any, x: Any, shares: Array) -> Pieces:
        """The inner components of each outer one: a share of a share of the row."""
        joint = self.joint(params, x)  # (n, K, J)
        n, k, j = joint.shape
        inner = np.exp(joint - self.log_density(params, x)[:, :, None])
        own = [getattr(params, f"inner{i}") for i in range(j)]
        each = [family.freedom(inner, k) for family, inner in zip(self.inner, own, strict=True)]
        others = [besides(inner, freedom) for inner, freedom in zip(own, each, strict=True)]
        with np.errstate(divide="ignore"):
            density = joint - np.log(params.shares)
        return Pieces(
            density.reshape(n, k * j),
            (shares[:, :, None] * np.where(np.isfinite(inner), inner, 0.0)).reshape(n, k * j),
            np.stack(each, axis=1).ravel(),
            np.stack(others, axis=1).ravel(),
            np.repeat(np.arange(k), j),
        )

    def problem(self, params: Any, dims: Mapping[str, int], prefix: str = "") -> str | None:
        found = super().problem(params, dims, prefix)
        for j, family in enumerate(self.inner):
            own = getattr(params, f"inner{j}")
            found = found or family.problem(own, dims, f"{prefix}inner{j}.")
        return found

    def build(self, values: Any) -> Any:
        names = {f"inner{j}": family for j, family in enumerate(self.inner)}
        if set(values) != {"shares", *names}:
            raise TypeError(f"a nested mixture takes shares, {', '.join(names)}.")
        built = {name: family.build(values[name]) for name, family in names.items()}
        return self.parameters(shares=np.array(values["shares"], dtype=float), **built)

    def template(self, dims: Mapping[str, int]) -> Any:
        j = len(self.inner)
        shares = np.full((dims["K"], j), 1.0 / j)
        each = {f"inner{i}": family.template(dims) for i, family in enumerate(self.inner)}
        return self.parameters(shares=shares, **each)

    # ---- the inner E-step

    def _known(self, statistics: Any, previous: Any) -> NestedSums:
        """The sums of completed rows: those given, or of rows that have to be split first."""
        if isinstance(statistics, NestedSums):
            return statistics
        if previous is None:
            return statistics.with_prior(self._split(statistics.x, statistics.resp))
        each = (self.completed(previous, x, resp).statistics for x, resp in statistics.blocks)
        return statistics.with_prior(reduce(add, each))

    def _split(self, x: Array, resp: Array) -> NestedSums:
        """A start: the rows of each component cut into J along their direction of most spread."""
        j = len(self.inner)
        shares = np.zeros((*resp.shape, j))
        points = filled(self.inner[0].located(x), resp.sum(axis=1))
        sd = points.std(axis=0)
        scaled = (points - points.mean(axis=0)) / np.where(sd > 0, sd, 1.0)
        for k, weights in enumerate(resp.T):
            if not weights.any():
                continue
            centred = scaled - np.average(scaled, axis=0, weights=weights)
            spread = (centred * weights[:, None]).T @ centred
            order = np.argsort(centred @ np.linalg.eigh(spread)[1][:, -1], kind="stable")
            below = (np.cumsum(weights[order]) - 0.5 * weights[order]) / weights.sum()
            # Soft cuts: every inner component sees some of every row, and none is left empty.
            cut = np.minimum((below * j).astype(int), j - 1)
            shares[order, k] = 0.1 / j + 0.9 * np.eye(j)[cut]
            shares[:, k] = matched(self.inner, x, shares[:, k], weights)
        both = resp[:, :, None] * shares
        parts = (family.accumulate(x, both[:, :, i]) for i, family in enumerate(self.inner))
        return NestedSums(both.sum(axis=0), tuple(parts))

    def _columns_of(self, params: Any) -> int:
        """Columns of the rows, where no row tells it."""
        kind: Any = type(params.inner0)
        for name, declared in declarations(kind).items():
            if "d" in declared.shape:
                axis = declared.axes().index("d")
                return int(np.shape(getattr(params.inner0, name))[axis])
        return self.width or 1


def _again(inner: list[Family]) -> Nested:
    return Nested(tuple(inner))


MAKERS["mixture"] = _again
