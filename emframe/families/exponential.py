"""The exponential-family lane: E and M as one matrix product each.

    log f(x | theta) = T(x) . eta(theta) - A(theta) + h(x)

Weighted sums of T are all that the M-step needs, and the maximiser matches moments: the mean of T
under theta equals its weighted average over the rows (Barndorff-Nielsen 1978; Dempster, Laird and
Rubin 1977, section 2).  So a family states T, eta, A, and the inverse of the mean map.

One known case: Poisson has T = x, eta = log(rate), A = rate, h = -log x!, and the rate is the mean.

A natural parameter may be -inf where theta is on the boundary (the log of a probability that is
0); a row then has density zero if its statistic there is not 0, and 0 times -inf counts as 0.
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.families.axes import Axes
from emframe.families.base import Family, refuse_empty, refuse_kept
from emframe.families.kernel import Concluded, FamilyError, Kernel, NoDensity, RowProducts, Survey
from emframe.parameters import Leaf, is_frozen, keep, rebuild
from emframe.spaces import EPS, Array

NOTHING: Array = np.zeros((0, 0))


@dataclass(frozen=True)
class Moments:
    """Weighted sums over rows; they add."""

    totals: Array  # (K, P)  sum of resp * T
    counts: Array  # (K,)    sum of resp
    base: float  # sum of resp * h, which no parameter enters

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.totals + other.totals, self.counts + other.counts, self.base + other.base
        )

    def __mul__(self, factor: float) -> Moments:
        return Moments(self.totals * factor, self.counts * factor, self.base * factor)

    def repeated(self, times: int) -> Moments:
        """The same components so many times."""
        counts = np.tile(self.counts, times)
        return Moments(np.tile(self.totals, (times, 1)), counts, self.base * times)

    def taken(self, which: Any) -> Moments:
        """Some of the components; the base measure is of all rows."""
        return Moments(self.totals[which], self.counts[which], self.base)


@dataclass(frozen=True)
class Conclusion:
    """What a pass found, from its totals; no function of its own, so that a pass can travel."""

    base: float  # sum over rows of the log base measure

    def __call__(self, totals: Array, counts: Array) -> Concluded:
        return Concluded(Moments(totals, counts, self.base), counts, self.base)


@dataclass(frozen=True)
class WithBase:
    """T(x) and the log base measure beside it, (n, P + 1)."""

    family: ExponentialFamily

    def __call__(self, x: Array) -> Array:
        return np.column_stack([self.family._statistics(x), self.family._log_base(x)])


def conclude_with_base(totals: Array, counts: Array) -> Concluded:
    """What a pass found, the last of whose statistics is the log base measure."""
    return Concluded(Moments(totals[:, :-1], counts, float(totals[:, -1].sum())), counts)


class ExponentialFamily(Family):
    """Base of exponential families.  An axis P of length one may be dropped everywhere.

    Examples
    --------
    >>> family = emframe.family("bernoulli")
    >>> isinstance(family, emframe.ExponentialFamily)
    True
    >>> family.statistics(np.array([[1.0], [0.0]]))
    array([[1., 0.],
           [0., 1.]])
    """

    @abstractmethod
    def statistics(self, x: Array) -> Array:
        """T(x), (n, P)."""

    @abstractmethod
    def natural(self, params: Any) -> Array:
        """eta, (K, P)."""

    @abstractmethod
    def log_partition(self, params: Any) -> Array:
        """A, (K,)."""

    @abstractmethod
    def from_mean(self, mean: Array) -> Any:
        """The parameters under which T has this mean, (K, P) -> params."""

    def log_base(self, x: Array) -> Array:
        """h(x), (n,)."""
        return np.zeros(len(x))

    def log_density(self, params: Any, x: Array) -> Array:
        inner = _inner(self._statistics(x), self._natural(params))
        return inner - self._log_partition(params) + self._log_base(x)[:, None]

    def accumulate(self, x: Array, resp: Array) -> Moments:
        per_row = resp.sum(axis=1)
        return Moments(
            resp.T @ self._statistics(x), resp.sum(axis=0), float(per_row @ self._log_base(x))
        )

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """E and M as matrix products; the base measure, a row's own, is in the survey."""
        kind = type(self)
        own = (kind.log_density, kind.accumulate)
        if own != (ExponentialFamily.log_density, ExponentialFamily.accumulate):
            yield from super().kernels(params, constants, survey)  # it has ways of its own
            return
        natural, constant = self._natural(params), constants - self._log_partition(params)
        if not survey.partial:
            base: float = survey.statistics.base
            yield RowProducts(natural, constant, self._statistics, Conclusion(base))
        elif kind.log_base is ExponentialFamily.log_base:
            yield RowProducts(natural, constant, self._statistics, Conclusion(0.0))
        else:  # the base measure is one statistic more, whose natural parameter is 1
            natural = np.column_stack([natural, np.ones(len(natural))])
            yield RowProducts(natural, constant, WithBase(self), conclude_with_base)

    def expected(self, statistics: Moments, params: Any) -> float:
        totals, counts, eta = statistics.totals, statistics.counts, self._natural(params)
        if eta.min(initial=0.0) > -np.inf:
            inner = (totals * eta).sum(axis=1)
        else:
            # A total that is lost in the rounding of its count is no evidence against a boundary:
            # a probability of 1 - 1e-20 is stored as 1.
            lost = np.isneginf(eta) & (np.abs(totals) <= EPS * np.abs(counts)[:, None])
            inner = (np.where(lost, 0.0, totals) * np.where(lost, 0.0, eta)).sum(axis=1)
        return float((inner - counts * self._log_partition(params)).sum()) + statistics.base

    def m_step(self, statistics: Moments, previous: Any) -> Any:
        counts, totals = statistics.counts, statistics.totals
        empty = counts <= 0
        if not empty.any():
            return self._from_mean(totals / counts[:, None])
        if empty.all():  # nothing to pool either
            if previous is None:
                refuse_empty(empty)
            return previous
        pooled = totals.sum(axis=0) / counts.sum()
        mean = np.where(empty[:, None], pooled, totals / np.where(empty, 1.0, counts)[:, None])
        params = self._from_mean(mean)
        return params if previous is None else keep(empty, previous, params)

    def axes(self, params: Any, x: Array, kept: Sequence[str] = (), **options: Any) -> Axes:
        """With one statistic, the mean of T, from the lowest of a row to the highest.

        Along eta a row's log density rises by T - mean, so below the lowest T every row's rises
        with the mean, and above the highest every row's falls.
        """
        refuse_kept(self, kept, options)
        t = self._statistics(x)
        if t.shape[1] > 1:
            raise TypeError(
                f"the family {self.name!r} has {t.shape[1]} statistics. Bounds of its density over "
                "a range of parameters are known by themselves for one; for more, write its `axes`."
            )

        def slack(centre: Array, point: Array) -> Array:
            """m_c (eta_c - eta) - A_c + A: KL(f_c || f), with 0 times -inf as 0."""
            here, there = self._from_mean(centre), self._from_mean(point)
            mean, up, off = centre[:, 0], self._natural(here)[:, 0], self._natural(there)[:, 0]
            with np.errstate(invalid="ignore"):  # -inf less -inf, where the mean is 0
                inner = np.multiply(mean, up - off, out=np.zeros(len(mean)), where=mean != 0)
            return np.maximum(inner - self._log_partition(here) + self._log_partition(there), 0.0)

        return Axes(t.min(axis=0), t.max(axis=0), self._from_mean, slack)

    def _statistics(self, x: Array) -> Array:
        return _with_axis(self.statistics(x), len(x), f"{self.name}.statistics(x)")

    def _log_base(self, x: Array) -> Array:
        return _without_axis(self.log_base(x), len(x), f"{self.name}.log_base(x)")

    def _log_partition(self, params: Any) -> Array:
        values = np.asarray(self.log_partition(params))
        return _without_axis(values, len(values), f"{self.name}.log_partition(params)")

    def _from_mean(self, mean: Array) -> Any:
        def drop(leaf: Leaf) -> Array:
            value, axes = np.asarray(leaf.value), leaf.declared.axes()
            extra = value.ndim == len(axes) + 1 and value.shape[-1] == 1
            return value[..., 0] if extra else value

        return rebuild(self.from_mean(mean), drop)

    def _natural(self, params: Any) -> Array:
        """eta, (K, P), as it was stated; with the parameters it is kept, for they are values.

        One point asks for it three times: its densities, and two sums of the ledger.
        """
        store: dict[str, Any] = getattr(params, "__dict__", {})
        known: _Known | None = store.get("_natural")
        if known is not None and known.family is self:
            return known.eta
        eta = np.asarray(self.natural(params))
        eta = eta[:, None] if eta.ndim == 1 else eta
        if not eta.max(initial=-np.inf) < np.inf:  # which nan is not either
            raise NoDensity(f"{self.name}.natural(params) has NaN or +inf: {eta!r}")
        if dataclasses.is_dataclass(params) and is_frozen(params):
            store["_natural"] = _Known(self, eta)
        return eta


class _Known:
    """eta of some parameters in a family.  It follows from them, so copies and pickles go without.

    One known case: parameters can be pickled where their family cannot.
    """

    def __init__(self, family: Family | None = None, eta: Array = NOTHING) -> None:
        self.family, self.eta = family, eta

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return _Known, ()


def _with_axis(values: Array, n: int, what: str) -> Array:
    values = np.asarray(values)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or len(values) != n:
        raise FamilyError(f"{what} has shape {values.shape}; expected ({n}, P)")
    return values


def _without_axis(values: Array, n: int, what: str) -> Array:
    values = np.asarray(values)
    if values.shape not in {(n,), (n, 1)}:
        raise FamilyError(f"{what} has shape {values.shape}; expected ({n},)")
    return values.reshape(n)


def _inner(t: Array, eta: Array) -> Array:
    """t @ eta.T with 0 * -inf = 0."""
    impossible = np.isneginf(eta)
    if not impossible.any():
        return t @ eta.T
    hits = (t != 0).astype(float) @ impossible.T.astype(float)
    return np.where(hits > 0, -np.inf, t @ np.where(impossible, 0.0, eta).T)
