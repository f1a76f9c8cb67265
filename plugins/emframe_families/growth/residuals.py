"""Residuals that are not independent: laws of R in y_i ~ N(X_i beta + Z_i b, sigma^2 R_i).

Every law is one of whitening, R_i^-1 = A_i'A_i: what a linear mixed model with independent
residuals does with rows, it does with A_i times the rows, and log|A_i| is added to the density.

    ar1             R_st = exp(-|time_s - time_t| / range), and A_i has two diagonals: given the
                    visit before, no earlier one says more (Jones 1993, Longitudinal Data with
                    Serial Correlation, chapter 3).  nlme's Phi is exp(-1 / range)
    compound        R_st = rho for all pairs of visits, which may be negative, from
                    -1 / (n_i - 1) on
    unstructured    sigma^2 R is any covariance of a few times that people have in common

One known case: where no two visits are correlated A is the identity.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emframe import Array, Degenerate, Interval, Positive, PositiveDefinite
from emframe.spaces import Space

MOST_TIMES = 20  # that an unstructured covariance has
SMALL, LONGEST, HALVINGS = 1e-3, 1.5, 20  # of steps along a coordinate
NOTHING = 1e-8  # of a variance is left where a covariance is singular, for digits are lost beyond
CLOSE = 1e-7  # a step that is shorter than this is none


@dataclass(frozen=True)
class InTime:
    """Visits of S people, end to end, each person's in order of time."""

    values: Array  # (n, c)  distinct terms and the response
    times: Array  # (n,)
    firsts: NDArray[np.intp]  # (S,)
    lengths: NDArray[np.intp]  # (S,)

    def totals(self, values: Array) -> Array:
        """Of each person, (S, ...), from values of visits (n, ...)."""
        return np.asarray(np.add.reduceat(values, self.firsts, axis=0))

    def spread(self, values: Array) -> Array:
        """For each visit the value of its person: (S, ...) -> (n, ...)."""
        return np.repeat(values, self.lengths, axis=0)

    @cached_property
    def gaps(self) -> Array:
        """Time since the person's visit before, (n,); infinite for the first."""
        found = np.diff(self.times, prepend=0.0)
        found[self.firsts] = np.inf
        return found

    def first_repeated(self) -> int | None:
        """A person with two visits at one time, or None."""
        same = np.flatnonzero(self.gaps <= 0.0)
        return int(np.searchsorted(self.firsts, same[0], "right") - 1) if len(same) else None

    @cached_property
    def patterns(self) -> list[NDArray[np.intp]]:
        """People who were seen at the same times, group by group."""
        found: dict[bytes, list[int]] = {}
        for person, (first, length) in enumerate(zip(self.firsts, self.lengths, strict=True)):
            found.setdefault(self.times[first : first + length].tobytes(), []).append(person)
        return [np.array(one, dtype=np.intp) for one in found.values()]

    def of(self, people: NDArray[np.intp]) -> NDArray[np.intp]:
        """Which visits are theirs, (m, t), for people with as many each."""
        return self.firsts[people][:, None] + np.arange(self.lengths[people[0]])


class Law(ABC):
    """One law of residuals."""

    field: ClassVar[str]  # what its parameter is called
    has_sigma: ClassVar[bool] = True  # whether sigma is a parameter beside it
    shape: tuple[int, ...] = ()  # of the parameter, of one component

    @property
    @abstractmethod
    def space(self) -> Space:
        """Where the parameter lives."""

    @abstractmethod
    def begun(self, visits: InTime, sigma: float) -> Any:
        """The parameter at a start, of `shape`."""

    @abstractmethod
    def whitened(self, value: Any, visits: InTime, rows: Array) -> tuple[Array, Array]:
        """A_i rows (n, c), and log|A_i| (S,); nan where the parameter is none for that person."""

    @abstractmethod
    def slope(
        self, value: Any, visits: InTime, left: Array, z: Array, spread: Array, shares: Array
    ) -> Any:
        """The derivative of the sum of shares times log density, by the parameter, of `shape`.

        Parameters
        ----------
        left : (n,) y - X beta - Z E[b | y], in units of sigma.
        z : (n, q)
        spread : (S, q, q) variance of b given y, in units of sigma^2.
        shares : (S,)
        """

    @abstractmethod
    def stepped(
        self, value: Any, count: float, slope: Callable[[Any], Any], height: Callable[[Any], float]
    ) -> Any:
        """A parameter at which `height`, whose derivative is `slope`, is no lower."""

    def is_singular(self, value: Any) -> bool:
        """Whether of a visit nothing is left, given the others."""
        return False

    def variance(self, value: Any, times: Array) -> Array:
        """The diagonal of R at these times."""
        return np.ones(len(times))


class OneNumber(Law):
    """Base of laws with a single parameter."""

    @abstractmethod
    def turned(self, value: float, visits: InTime, rows: Array) -> tuple[Array, Array]:
        """Derivatives of `whitened` by the parameter."""

    def slope(
        self, value: float, visits: InTime, left: Array, z: Array, spread: Array, shares: Array
    ) -> float:
        rows = np.column_stack([left, z])
        white, turned = self.whitened(value, visits, rows)[0], self.turned(value, visits, rows)
        own = white[:, 0] * turned[0][:, 0]
        own += np.einsum("na,nab,nb->n", white[:, 1:], visits.spread(spread), turned[0][:, 1:])
        return float(shares @ (turned[1] - visits.totals(own)))

    def stepped(
        self,
        value: float,
        count: float,
        slope: Callable[[float], float],
        height: Callable[[float], float],
    ) -> float:
        """Newton's step in the coordinate of the space, halved until it rises."""

        def at(x: float) -> float:
            return float(self.space.point(np.array([x]), (1,))[0])

        def along(x: float) -> float:
            here = np.array([at(x)])
            return float(self.space.pullback(here, np.array([slope(here[0])]))[0])

        x = float(self.space.coordinates(np.array([value]))[0])
        first = along(x)
        bend = (along(x + SMALL) - along(x - SMALL)) / (2.0 * SMALL)
        step = -first / bend if bend < 0.0 else np.sign(first) * LONGEST
        step, before = float(np.clip(step, -LONGEST, LONGEST)), height(value)
        for _ in range(HALVINGS):
            if not abs(step) > CLOSE:
                break
            found = at(x + step)
            if height(found) > before:
                return found
            step *= 0.5
        return value


class Ar1(OneNumber):
    """Correlation that falls with the time between visits."""

    field = "range"
    space = Positive()

    def begun(self, visits: InTime, sigma: float) -> float:
        gaps = visits.gaps[np.isfinite(visits.gaps)]
        return float(np.median(gaps)) if len(gaps) else 1.0

    def _before(self, visits: InTime, rows: Array) -> Array:
        found = np.empty_like(rows)
        found[1:], found[0] = rows[:-1], 0.0
        found[visits.firsts] = 0.0
        return found

    def whitened(self, value: float, visits: InTime, rows: Array) -> tuple[Array, Array]:
        alike = np.exp(-visits.gaps / value)
        # 1 - alike^2, without the loss of digits where visits are close to each other
        left = np.sqrt(-np.expm1(-2.0 * visits.gaps / value))[:, None]
        white = (rows - alike[:, None] * self._before(visits, rows)) / left
        return white, -visits.totals(np.log(left[:, 0]))

    def turned(self, value: float, visits: InTime, rows: Array) -> tuple[Array, Array]:
        alike, gaps = np.exp(-visits.gaps / value), np.where(visits.gaps < np.inf, visits.gaps, 0.0)
        along = alike * gaps / value**2  # of the correlation, by the range
        left = np.sqrt(-np.expm1(-2.0 * visits.gaps / value))
        white, before = self.whitened(value, visits, rows)[0], self._before(visits, rows)
        by_alike = ((alike / left)[:, None] * white - before) / left[:, None]
        return along[:, None] * by_alike, visits.totals(along * alike / left**2)


class Compound(OneNumber):
    """One correlation of all pairs of visits."""

    field = "correlation"
    space = Interval(-1.0, 1.0)

    def begun(self, visits: InTime, sigma: float) -> float:
        return 0.1

    def _parts(self, value: float, visits: InTime, rows: Array) -> tuple[Array, Array, Array]:
        """Means of people (S, c), what is off them (n, c), and 1 + (n_i - 1) rho (S,)."""
        means = visits.totals(rows) / visits.lengths[:, None]
        whole = 1.0 + (visits.lengths - 1.0) * value
        return means, rows - visits.spread(means), np.where(whole > 0.0, whole, np.nan)

    def whitened(self, value: float, visits: InTime, rows: Array) -> tuple[Array, Array]:
        means, off, whole = self._parts(value, visits, rows)
        white = off / np.sqrt(1.0 - value) + visits.spread(means / np.sqrt(whole)[:, None])
        more = (visits.lengths - 1.0) * np.log1p(-value) + np.log(whole)
        return white, -0.5 * more

    def turned(self, value: float, visits: InTime, rows: Array) -> tuple[Array, Array]:
        means, off, whole = self._parts(value, visits, rows)
        others = visits.lengths - 1.0
        level = (-0.5 * others * whole**-1.5)[:, None] * means
        turned = 0.5 * (1.0 - value) ** -1.5 * off + visits.spread(level)
        return turned, 0.5 * (others / (1.0 - value) - others / whole)


@dataclass(frozen=True)
class Unstructured(Law):
    """Any covariance of visits at a few common times."""

    times: tuple[float, ...] = ()

    field = "residual_covariance"
    has_sigma = False
    space = PositiveDefinite()

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return (len(self.times),) * 2

    def begun(self, visits: InTime, sigma: float) -> Array:
        m = len(self.times)
        return sigma**2 * (0.5 * np.eye(m) + 0.5)

    def _places(self, times: Array) -> NDArray[np.intp]:
        if not self.times:
            raise ValueError(
                "the times of an unstructured covariance are read off the data; take the model of "
                "a fit, model.settled(X), or times=(...)."
            )
        known = np.array(self.times)
        found = np.minimum(np.searchsorted(known, times), len(known) - 1)
        strange = known[found] != times
        if strange.any():
            told = ", ".join(f"{one:g}" for one in known)
            raise ValueError(
                f"a visit is at {times[strange][0]:g}; an unstructured covariance knows those at "
                f"{told} alone."
            )
        return found

    def whitened(self, value: Array, visits: InTime, rows: Array) -> tuple[Array, Array]:
        white, more = np.empty_like(rows), np.empty(len(visits.firsts))
        for people in visits.patterns:
            which = visits.of(people)
            own = self._places(visits.times[which[0]])
            try:
                root = np.linalg.cholesky(value[np.ix_(own, own)])
            except np.linalg.LinAlgError as error:
                raise Degenerate(f"{self.field} has become singular") from error
            white[which] = np.linalg.solve(root, rows[which])
            more[people] = -np.log(np.diagonal(root)).sum()
        return white, more

    def slope(
        self, value: Array, visits: InTime, left: Array, z: Array, spread: Array, shares: Array
    ) -> Array:
        found = np.zeros_like(value)
        for people in visits.patterns:
            which = visits.of(people)
            own = self._places(visits.times[which[0]])
            inverse = np.linalg.inv(value[np.ix_(own, own)])
            e, weight = left[which], shares[people]
            square = (weight[:, None] * e).T @ e
            square += np.einsum(
                "i,ita,iab,isb->ts", weight, z[which], spread[people], z[which], optimize=True
            )
            found[np.ix_(own, own)] += inverse @ square @ inverse - weight.sum() * inverse
        return 0.5 * found

    def stepped(
        self,
        value: Array,
        count: float,
        slope: Callable[[Array], Array],
        height: Callable[[Array], float],
    ) -> Array:
        """Where EM leads, times at which people were not seen completed by the others."""
        found = value + value @ (2.0 / count * slope(value)) @ value if count > 0 else value
        return 0.5 * (found + found.T)

    def is_singular(self, value: Array) -> bool:
        unit = np.sqrt(np.diagonal(value))
        least: float = np.linalg.eigvalsh(value / unit / unit[:, None])[0]
        return not least > NOTHING

    def variance(self, value: Array, times: Array) -> Array:
        """Between the known times on straight lines."""
        return np.asarray(np.interp(times, self.times, np.diagonal(value)))


LAWS = {"ar1": Ar1, "compound": Compound, "unstructured": Unstructured}
