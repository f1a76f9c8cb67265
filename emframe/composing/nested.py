"""A mixture as a component: a family whose density is itself a mixture.

    emframe.Mixture([emframe.Mixture("gaussian", 2), "poisson"])

Its log density is the marginal over the inner components,

    log f(x | theta_k) = log sum_j w_kj f_j(x | theta_kj),

and one step of EM on the inner mixture, with the outer responsibilities as row weights, raises its
part of Q: nested EM is generalised EM (Dempster, Laird and Rubin 1977, section 4.3, use it so).

One known case: with one inner component it is the inner family.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import add
from typing import Any

import numpy as np
from scipy.special import logsumexp

from emframe.composing.constraints import m_step_within
from emframe.core import Contract
from emframe.families import Family, Pieces, matched, refuse_empty
from emframe.families.numeric import Kept
from emframe.families.pieces import besides
from emframe.parameters import Declared, declarations
from emframe.recipes import MAKERS
from emframe.records import record
from emframe.spaces import Array, Claim, Simplex, Space


@dataclass(frozen=True)
class Nested(Family):
    """J inner components, each of a family of its own, in every outer component."""

    inner: tuple[Family, ...]  # (J,)

    maker = "mixture"
    contract = Contract.GENERALISED

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

    def settled(self, whole: Kept, columns: Sequence[str]) -> Nested:
        def own(family: Family) -> Any:
            return reduce(add, (family.whole(x, resp[:, 0]) for x, resp in whole.blocks))

        return Nested(tuple(family.settled(own(family), columns) for family in self.inner))

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        return next((one.covariates for one in self.inner if one.covariates), ())

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

    def accumulate(self, x: Array, resp: Array) -> Kept:
        return Kept.of_rows(x, resp)

    def expected(self, statistics: Kept, params: Any) -> float:
        return statistics.expected(partial(self.log_density, params))

    def m_step(self, statistics: Kept, previous: Any) -> Any:
        return self._m_step(statistics, previous, previous, (), ())

    def m_step_given(
        self,
        statistics: Kept,
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
        statistics: Kept,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any:
        if previous is None:
            shares, sums = self._split(statistics)
        else:
            shares, sums = self._e_step(statistics, previous)
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

    def gradient(self, statistics: Kept, params: Any) -> Array:
        """By Fisher's identity: that of the inner complete data, averaged."""
        shares, sums = self._e_step(statistics, params)
        slope = np.divide(shares, params.shares, out=np.zeros_like(shares), where=params.shares > 0)
        parts = [Simplex().pullback(params.shares, slope)]
        for j, family in enumerate(self.inner):
            parts.append(family.gradient(sums[j], getattr(params, f"inner{j}")))
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

    def _e_step(self, statistics: Kept, params: Any) -> tuple[Array, list[Any]]:
        """Counts (K, J) and each family's sums, from the inner posterior at `params`."""

        def split(x: Array) -> Array:
            joint = self.joint(params, x)
            highest = joint.max(axis=2, keepdims=True)
            share = np.exp(joint - np.where(np.isfinite(highest), highest, 0.0))
            total = share.sum(axis=2, keepdims=True)
            return np.asarray(np.divide(share, total, out=np.zeros_like(share), where=total > 0))

        return self._gather((x, resp, split(x)) for x, resp in statistics.blocks)

    def _split(self, statistics: Kept) -> tuple[Array, list[Any]]:
        """A start: the rows of each component cut into J along their direction of most spread."""
        x = np.concatenate([block for block, _ in statistics.blocks])
        resp = np.concatenate([resp for _, resp in statistics.blocks])
        n, j = len(x), len(self.inner)
        shares = np.zeros((*resp.shape, j))
        sd = x.std(axis=0)
        scaled = (x - x.mean(axis=0)) / np.where(sd > 0, sd, 1.0)
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
        assert n
        return self._gather([(x, resp, shares)])

    def _gather(self, blocks: Any) -> tuple[Array, list[Any]]:
        counts: Any = 0.0
        sums: list[Any] = [None] * len(self.inner)
        for x, resp, split in blocks:
            both = resp[:, :, None] * split
            counts = counts + both.sum(axis=0)
            for j, family in enumerate(self.inner):
                own = family.accumulate(x, both[:, :, j])
                sums[j] = own if sums[j] is None else sums[j] + own
        return np.asarray(counts), sums

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
