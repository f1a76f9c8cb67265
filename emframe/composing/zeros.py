"""Families with zeros of their own: more of them than the family says, or as many as there are.

    zero-inflated     f(x) = pi [x = 0] + (1 - pi) g(x)
    hurdle            f(x) = pi [x = 0] + (1 - pi) g(x) [x > 0] / (1 - g(0))

Where a zero of a zero-inflated row comes from is a latent of the family's own; of a hurdle it is
no question, but how many zeros of g never came to be seen is one (Dempster, Laird and Rubin 1977,
section 4.2): beside each row there were N of them, p(N) = g(0)^N (1 - g(0)).  So both are EM, and
the inner family does its own M-step.  For numbers without gaps a zero never comes from g, and the
two are the same.

One known case: with pi = 0 a zero-inflated family is the family itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, xlog1py, xlogy

from emframe.composing.constraints import m_step_within
from emframe.core import Contract
from emframe.families import (
    Completed,
    ConjugatePrior,
    Family,
    Wrapped,
    refuse_empty,
    refuse_inner_gaps,
)
from emframe.families.base import log1mexp
from emframe.families.elsewhere import moved_in
from emframe.families.outcomes import Outcome
from emframe.host import family_of
from emframe.host.recipes import MAKERS
from emframe.parameters import Declared
from emframe.parameters.records import record
from emframe.spaces import AnyOf, Array, Only, Space, UnitInterval

MOST_DRAWS = 10_000


@dataclass(frozen=True)
class ZeroSums:
    """Zeros of the point, all rows, and the inner family's sums; they add."""

    zeros: Array  # (K,)
    counts: Array  # (K,)
    rest: Any

    def __add__(self, other: ZeroSums) -> ZeroSums:
        return ZeroSums(
            self.zeros + other.zeros, self.counts + other.counts, self.rest + other.rest
        )

    def __mul__(self, factor: float) -> ZeroSums:
        return ZeroSums(self.zeros * factor, self.counts * factor, self.rest * factor)


@dataclass(frozen=True, init=False)
class ZeroInflated(Family):
    """A family with a share of zeros beside it.

    The parameters are ``zeros`` (K,), the share of the point, and ``rest``, those of the family.
    A row is a zero where all columns that are modelled are 0.

    Parameters
    ----------
    family : name of a plugin, or a `Family`, such as "poisson" or "negative-binomial-regression".
    **options : settings of the family, when it is given by name.

    Raises TypeError for what is no family of rows.

    Examples
    --------
    >>> family = emframe.ZeroInflated("poisson")
    >>> fit = emframe.fit(emframe.Mixture(family, 1), [0, 0, 0, 0, 2, 3, 4, 3])
    >>> fit["zeros"].round(2)
    array([0.47])
    """

    family: Family

    maker = "zero_inflated"
    hides = True
    word = "zero-inflated"

    def __init__(self, family: str | Family, **options: Any) -> None:
        found = family_of(family, options)
        if not isinstance(found, Family) or found.in_runs:
            raise TypeError(
                f"`family` is {family!r}; pass a plugin's name, or a Family object whose rows are "
                "no runs."
            )
        refuse_inner_gaps(found, type(self).__name__)
        object.__setattr__(self, "family", found)

    # ---- what is known before the data

    @property
    def inner(self) -> Family:
        """The family of what the point leaves."""
        return self.family

    @property
    def splits_zeros(self) -> bool:
        """Whether a zero may be of the inner family too: where zero has a probability in it."""
        discrete, modelled = self.family.columns_modelled(self.family.width or 1)
        return bool(discrete[modelled].all())

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.word}-{self.family.name}"

    @property
    def contract(self) -> Contract:  # type: ignore[override]
        return self.inner.contract

    @property
    def priors(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.inner.priors

    @property
    def effort(self) -> float:  # type: ignore[override]
        return self.inner.effort

    @property
    def parameters(self) -> type:
        fields = {"zeros": Declared(UnitInterval()), "rest": self.inner.parameters}
        return record("ZerosParameters", fields)

    @property
    def support(self) -> Space:  # type: ignore[override]
        space = self.family.support
        zero = np.zeros((1, 1))
        if self.family.width is not None or space.n_event_axes or space.contains(zero).all():
            return space
        return AnyOf((Only(0.0), space))

    @property
    def supports(self) -> tuple[Space, ...]:
        held = self.family.supports
        return held if self.support is self.family.support else (self.support, *held[1:])

    @property
    def takes_columns(self) -> bool:
        return self.family.takes_columns

    @property
    def columns(self) -> tuple[str, ...] | None:  # type: ignore[override]
        return self.family.columns

    @property
    def width(self) -> int | None:  # type: ignore[override]
        return self.family.width

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.family.covariates

    @property
    def is_settled(self) -> bool:  # type: ignore[override]
        return self.family.is_settled

    def settled(self, whole: Any, columns: Sequence[str]) -> ZeroInflated:
        own = whole.rest if isinstance(whole, ZeroSums) else whole
        return type(self)(self.family.settled(own, columns))

    def spelt(self, names: Mapping[str, tuple[str, ...]]) -> ZeroInflated:
        return type(self)(self.family.spelt(names))

    def parts_of(self, columns: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        return self.family.parts_of(columns)

    def given(self, x: Array) -> ZeroInflated:
        return type(self)(self.family.given(x))

    def refuse(self, whole: ZeroSums, columns: Sequence[str]) -> None:
        self.inner.refuse(whole.rest, columns)

    def support_given(self, row: Array) -> Space:
        return self.family.support_given(row)

    def outcomes(self, row: Array) -> Sequence[Outcome] | None:
        """Beside a density of one column, the point alone and the line."""
        modelled = self._modelled(len(row))
        if self.splits_zeros or self.inner.hides or len(modelled) > 1:
            return None
        zero = np.array(row, dtype=float)
        zero[modelled] = 0.0
        space = self.family.support_given(row)
        return Outcome(zero), Outcome(zero, tuple(modelled), space)

    def ingredients(self) -> dict[str, Any]:
        return {"family": self.family}

    # ---- zeros

    def _modelled(self, d: int) -> list[int]:
        return [j for j in range(d) if j not in self.family.covariates]

    def _is_zero(self, x: Array) -> NDArray[np.bool_]:
        return np.asarray((x[:, self._modelled(x.shape[1])] == 0.0).all(axis=1))

    def _without_zeros(self, x: Array, zero: NDArray[np.bool_]) -> Array:
        """Rows of the inner family: where it has no zeros, others stand in their places."""
        return x if self.splits_zeros or not zero.any() else moved_in(self.family, x, ~zero)

    def _terms(self, params: Any, x: Array, zero: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Log density (n, K), and the share of the point in each row, (n, K)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            point, other = np.log(params.zeros), np.log1p(-params.zeros)
            rest = self.inner.log_density(params.rest, self._without_zeros(x, zero))
            if not self.splits_zeros:
                rest = np.where(zero[:, None], -np.inf, rest)
            density = other + rest
            total = np.logaddexp(point, density[zero])
            share = np.zeros_like(density)
            share[zero] = np.exp(np.where(np.isneginf(total), 0.0, point - total))
            density[zero] = total
        return density, share

    # ---- the five functions

    def log_density(self, params: Any, x: Array) -> Array:
        return self._terms(params, x, self._is_zero(x))[0]

    def accumulate(self, x: Array, resp: Array) -> ZeroSums:
        zero = self._is_zero(x)
        share = np.where(zero[:, None], 0.5 if self.splits_zeros else 1.0, 0.0)
        rows = self._without_zeros(x, zero)
        rest = self.inner.accumulate(rows, resp * (1.0 - share))
        return ZeroSums((resp * share).sum(axis=0), resp.sum(axis=0), rest)

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        zero = self._is_zero(x)
        _, share = self._terms(params, x, zero)
        rows = self._without_zeros(x, zero)
        rest = self.inner.completed(params.rest, rows, resp * (1.0 - share))
        entropy = (resp * (entr(share) + entr(1.0 - share))).sum(axis=0) + rest.entropy
        sums = ZeroSums((resp * share).sum(axis=0), resp.sum(axis=0), rest.statistics)
        return Completed(sums, entropy)

    def whole(self, x: Array, weights: Array) -> ZeroSums:
        zero = self._is_zero(x)
        own = weights if self.splits_zeros else np.where(zero, 0.0, weights)
        rest = self.inner.whole(self._without_zeros(x, zero), own)
        return ZeroSums(np.array([weights @ zero]), np.array([weights.sum()]), rest)

    def expected(self, statistics: ZeroSums, params: Any) -> float:
        zeros, others = statistics.zeros, np.maximum(statistics.counts - statistics.zeros, 0.0)
        split = xlogy(zeros, params.zeros) + xlog1py(others, -params.zeros)
        return float(split.sum()) + self.inner.expected(statistics.rest, params.rest)

    def m_step(self, statistics: ZeroSums, previous: Any) -> Any:
        return self._m_step(statistics, previous, previous, (), ())

    def m_step_given(
        self,
        statistics: ZeroSums,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any:
        """The same step, the inner family's given what of it is held or shared."""
        return self._m_step(statistics, previous, like, held, shared)

    def _m_step(
        self,
        statistics: ZeroSums,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any:
        zeros, counts = statistics.zeros, statistics.counts
        empty = counts <= 0.0
        if previous is None:
            refuse_empty(empty if self.splits_zeros else zeros >= counts)
        if "zeros" in shared:
            zeros, counts = (np.full(len(one), one.sum()) for one in (zeros, counts))
        share = np.minimum(np.divide(zeros, counts, out=np.zeros_like(zeros), where=counts > 0), 1)
        if previous is not None and "zeros" not in shared:
            share = np.where(empty, previous.zeros, share)
        if "zeros" in held:
            share = np.array(like.zeros, dtype=float)
        before, near = (None if one is None else one.rest for one in (previous, like))
        rest = m_step_within(self.inner, "rest.", statistics.rest, before, near, held, shared)
        return self.parameters(zeros=share, rest=rest)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        labels = np.asarray(labels)
        rows = _rows(self.inner.sample(params.rest, labels, rng))
        zero = rng.random(len(labels)) < params.zeros[labels]
        rows[np.ix_(zero, self._modelled(rows.shape[1]))] = 0.0
        return rows

    # ---- the rest

    def gradient(self, statistics: ZeroSums, params: Any) -> Array:
        pi, zeros = params.zeros, statistics.zeros
        others = statistics.counts - zeros
        up = np.divide(zeros, pi, out=np.zeros_like(pi), where=pi > 0.0)
        down = np.divide(others, 1.0 - pi, out=np.zeros_like(pi), where=pi < 1.0)
        own = UnitInterval().pullback(pi, up - down)
        return np.concatenate([own, self.inner.gradient(statistics.rest, params.rest)])

    def conjugate_prior(self, prior: Any, whole: ZeroSums, k: int) -> ConjugatePrior[ZeroSums]:
        """That of the family; flat on the share of the point."""
        found = self.inner.conjugate_prior(prior, whole.rest, k)
        sums = ZeroSums(np.zeros(k), np.zeros(k), found.statistics)
        return ConjugatePrior(sums, found.log_constant)

    def freedom(self, params: Any, k: int) -> NDArray[np.intp]:
        return self.inner.freedom(params.rest, k)

    def problem(self, params: Any, dims: Mapping[str, int], prefix: str = "") -> str | None:
        found = super().problem(params, dims, prefix)
        return found or self.inner.problem(params.rest, dims, f"{prefix}rest.")

    def build(self, values: Any) -> Any:
        if set(values) != {"zeros", "rest"}:
            raise TypeError(f"{self.name!r} takes zeros and rest, a mapping; got {list(values)}.")
        zeros = np.array(values["zeros"], dtype=float)
        return self.parameters(zeros=zeros, rest=self.inner.build(values["rest"]))

    def template(self, dims: Mapping[str, int]) -> Any:
        return self.parameters(zeros=np.full(dims["K"], 0.5), rest=self.inner.template(dims))

    # ---- the distribution of a row

    def log_cdf(self, params: Any, x: Array) -> Array:
        """Of columns that are never below 0 together with the point."""
        above = np.asarray((x >= 0.0).all(axis=1))[:, None]
        with np.errstate(divide="ignore"):
            rest = np.log1p(-params.zeros) + self.inner.log_cdf(params.rest, x)
            return np.logaddexp(rest, np.where(above, np.log(params.zeros), -np.inf))

    def mean(self, params: Any) -> Array:
        return (1.0 - params.zeros)[:, None] * self.inner.mean(params.rest)

    def variance(self, params: Any) -> Array:
        pi, mean = params.zeros[:, None], self.inner.mean(params.rest)
        return (1.0 - pi) * (self.inner.variance(params.rest) + pi * mean**2)


@dataclass(frozen=True, init=False)
class Hurdle(ZeroInflated):
    """A family whose zeros are told by a share of their own, and by that alone.

    The parameters are ``zeros`` (K,), the share of zeros, and ``rest``, those of the family, of
    which the rows that are not 0 are draws.

    Parameters
    ----------
    family : name of a plugin, or a `Family`, such as "poisson" or "gamma".
    **options : settings of the family, when it is given by name.

    Raises TypeError for what is no family of rows.

    Examples
    --------
    >>> family = emframe.Hurdle("poisson")
    >>> fit = emframe.fit(emframe.Mixture(family, 1), [0, 0, 0, 0, 2, 3, 4, 3])
    >>> fit["zeros"]
    array([0.5])
    """

    maker = "hurdle"
    word = "hurdle"

    @property
    def inner(self) -> Family:
        return WithoutZeros(self.family) if super().splits_zeros else self.family

    @property
    def splits_zeros(self) -> bool:
        return False


@dataclass(frozen=True)
class WithoutZeros(Wrapped):
    """A family of counts of which no zeros are seen; see `Hurdle`."""

    hides = True

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.family.name} above 0"

    @property
    def contract(self) -> Contract:  # type: ignore[override]
        return self.family.contract

    def _zeros(self, x: Array) -> Array:
        """Zeros given the covariates of rows x: one row where there are none."""
        rows = x.copy() if self.family.covariates else x[:1].copy()
        rows[:, [j for j in range(x.shape[1]) if j not in self.family.covariates]] = 0.0
        return rows

    def log_density(self, params: Any, x: Array) -> Array:
        seen = log1mexp(self.family.log_density(params, self._zeros(x)))
        lost = np.isneginf(seen)  # so near a point mass at 0 that no digit of the rest is left
        density = self.family.log_density(params, x) - np.where(lost, 0.0, seen)
        return np.where(lost | np.isnan(density), -np.inf, density)

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        rows = self._zeros(x)
        log_p = self.family.log_density(params, rows)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            seen = log1mexp(log_p)
            odds = np.where(np.isneginf(seen), 0.0, np.exp(log_p - seen))
            each = np.where(odds > 0.0, -odds * log_p, 0.0) - np.where(np.isneginf(seen), 0.0, seen)
        shares = resp if len(rows) == len(resp) else resp.sum(axis=0, keepdims=True)
        own = self.family.completed(params, x, resp)
        more = self.family.completed(params, rows, shares * odds)
        entropy = (shares * each).sum(axis=0) + own.entropy + more.entropy
        return Completed(own.statistics + more.statistics, entropy)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        """Draws of the family until none is 0."""
        labels = np.asarray(labels)
        rows = _rows(self.family.sample(params, labels, rng))
        modelled = [j for j in range(rows.shape[1]) if j not in self.family.covariates]
        for _ in range(MOST_DRAWS):
            zero = (rows[:, modelled] == 0.0).all(axis=1)
            if not zero.any():
                return rows
            if self.family.covariates:  # the i-th of all rows has the i-th covariates
                rows[zero] = _rows(self.family.sample(params, labels, rng))[zero]
            else:
                rows[zero] = _rows(self.family.sample(params, labels[zero], rng))
        raise ValueError(
            f"{self.name} was drawn {MOST_DRAWS} times and some rows were 0 each time: nearly all "
            "that the parameters say are zeros."
        )

    # ---- the distribution of a row

    def log_cdf(self, params: Any, x: Array) -> Array:
        unseen = self.family.log_density(params, self._zeros(x))
        with np.errstate(invalid="ignore", divide="ignore"):
            below = self.family.log_cdf(params, x)
            inside = below + log1mexp(np.minimum(unseen - below, 0.0)) - log1mexp(unseen)
        return np.where(below > unseen, inside, -np.inf)

    def mean(self, params: Any) -> Array:
        mean = self.family.mean(params)
        return mean / self._seen(params, mean)

    def variance(self, params: Any) -> Array:
        mean = self.family.mean(params)
        square = (self.family.variance(params) + mean**2) / self._seen(params, mean)
        return square - self.mean(params) ** 2

    def _seen(self, params: Any, mean: Array) -> Array:
        """1 - g(0), (K, 1)."""
        return -np.expm1(self.family.log_density(params, np.zeros((1, mean.shape[1])))).T


def _rows(drawn: Any) -> Array:
    """Draws as rows of their own, (n, d); a family of one column may give (n,)."""
    rows = np.array(drawn, dtype=float)
    return rows[:, None] if rows.ndim == 1 else rows


MAKERS["zero_inflated"] = ZeroInflated
MAKERS["hurdle"] = Hurdle
