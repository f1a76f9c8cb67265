"""Responses with a linear predictor and shapes of their own: the base, and Newton's method on Q.

    z ~ w,      y | x, z_k = 1  ~  f(y | eta_k, s_k),      eta_k = x'b_k + offset

A family states log f and its derivatives by eta and by the logarithms of its shapes s; all else is
here.  The coefficients are climbed in directions in which the component's rows spread alike, so
that no units matter.  No smaller statistic than the rows will do, so they stay in memory.

One known case: with an exponential response and the intercept alone, exp(b) is the weighted mean.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emframe import Contract, Degenerate, Real
from emframe.families import refuse_empty
from emframe.numeric.climbed import Kept
from emframe.parameters import keep, pullback
from emframe.spaces import EPS, Array, Space
from emframe_families.regressions.base import Column, Regression, triangles
from emframe_families.regressions.climb import STEPS, Look, climb
from emframe_families.regressions.poisson import MOST_OFFSET

TINY = float(np.finfo(float).tiny)
# How far one step may go: in units of the predictor's spread, and in logarithms of a shape.
REACH, SHAPE_REACH = 5.0, 2.0
# A shape that may be 0 is tried at it where it has come below the first; a climb from there begins
# at the second, for by logarithms nothing leads away.
EDGE, OFF_EDGE = 1e-7, 1e-6
POINT = 16.0  # a density this many times the spacing of numbers wide is one number
LINEAR = 1e-13  # of the responses' size: rows with no more than it left of them lie on their line

BRIEF = 3  # steps of an M-step that need not come to the top

Shapes = tuple[Array, ...]


@dataclass(frozen=True)
class ShapedRegression(Regression):
    """Base of regressions whose response has any number of shapes.

    offset : a column that is added to the linear predictor as it is; up to 100 in size.
    """

    offset: Column | None = None

    extra = "offset"
    effort = 8.0
    may_vanish: ClassVar[tuple[bool, ...]] = ()  # of each shape, whether it may be 0

    @property
    @abstractmethod
    def response_space(self) -> Space:
        """Where the response lives."""

    @abstractmethod
    def value(self, y: Array, eta: Array, shapes: Shapes) -> Array:
        """log f, nats, entry by entry."""

    @abstractmethod
    def derivatives(
        self, y: Array, eta: Array, shapes: Shapes
    ) -> tuple[list[Array], list[list[Array]]]:
        """First and second derivatives by eta and by the logarithm of each shape.

        Of the symmetric second ones those on and below the diagonal, row by row.
        """

    @abstractmethod
    def rough(self, y: Array) -> Array:
        """Linear predictors near what each response says by itself, (n,)."""

    def first(self, away: Array, share: Array) -> tuple[float, ...]:
        """Shapes to begin with, from what `rough` is off the line, (n,)."""
        return ()

    @abstractmethod
    def tails(self, y: Array, eta: Array, shapes: Shapes) -> tuple[Array, Array]:
        """Log probability up to y, and beyond it, nats, entry by entry."""

    def log_cdf(self, params: Any, x: Array) -> Array:
        return self._tails(params, x)[0]

    def log_sf(self, params: Any, x: Array) -> Array:
        return self._tails(params, x)[1]

    def _tails(self, params: Any, x: Array) -> tuple[Array, Array]:
        with np.errstate(all="ignore"):  # a tail may be no number by itself, and 0 in sums
            return self.tails(self.y(x)[:, None], self.eta(params, x), self.shapes(params))

    def told(self, shapes: Shapes) -> dict[str, Array]:
        """Shapes by the names of parameters."""
        return dict(zip(self.own, shapes, strict=True))

    def shapes(self, params: Any) -> Shapes:
        """Those of all components, (K,) each."""
        return tuple(getattr(params, name) for name in self.own)

    def by_shape(self, slopes: Shapes, shapes: Shapes) -> Shapes:
        """Derivatives by the logarithms of shapes as those by parameters; 0 at an edge."""
        pairs = zip(slopes, shapes, strict=True)
        return tuple(
            np.divide(a, s, out=np.zeros_like(a), where=np.asarray(s) > 0) for a, s in pairs
        )

    # ---- rows

    @property
    def spaces(self) -> tuple[Space, ...]:
        return (self.response_space, *[Real(MOST_OFFSET)] * len(self._extra))

    def offsets(self, x: Array) -> Array:
        """What is added to the linear predictor, (n,)."""
        return x[:, self.places[1]] if self._extra else np.zeros(len(x))

    def eta(self, params: Any, x: Array) -> Array:
        """Linear predictors, (n, K)."""
        return self.design(x) @ self.coefficients(params).T + self.offsets(x)[:, None]

    # ---- E

    def log_density(self, params: Any, x: Array) -> Array:
        return self.value(self.y(x)[:, None], self.eta(params, x), self.shapes(params))

    def accumulate(self, x: Array, resp: Array) -> Kept:
        return Kept.of_rows(x, resp)

    def expected(self, statistics: Kept, params: Any) -> float:
        return statistics.expected(partial(self.log_density, params))

    # ---- M

    def m_step(self, statistics: Kept, previous: Any) -> Any:
        k = len(statistics.counts)
        return self._maximised(statistics, previous, np.full((k, self._size), np.nan))

    def m_step_given(
        self,
        statistics: Kept,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any | None:
        """What is held of the coefficients is an offset to the rest."""
        if shared:
            return None
        shapes = zip(self.own, self.shapes(like), strict=True)
        kept = [s if name in held else np.full_like(s, np.nan) for name, s in shapes]
        known = np.column_stack([self.known(like, held), *kept])
        return self._maximised(statistics, previous, known)

    @property
    def _size(self) -> int:
        return len(self.terms) + len(self.own)

    def _maximised(self, statistics: Kept, previous: Any, known: Array) -> Any:
        """The M-step given coefficients and shapes `known` (K, p + q), nan where none is."""
        statistics = statistics.regular()
        empty = statistics.counts <= TINY
        if previous is None:
            refuse_empty(empty)
        before = None
        if previous is not None:
            before = np.column_stack([self.coefficients(previous), *self.shapes(previous)])
        found = np.ones((len(empty), self._size))
        for k in map(int, np.flatnonzero(~empty)):
            start = None if before is None else before[k]
            found[k] = self._climbed(*statistics.of(k), start, k, known[k])
        p = len(self.terms)
        params = self.made(found[:, :p], **self.told(tuple(found[:, p:].T)))
        return keep(empty, previous, params) if empty.any() else params

    def _climbed(self, x: Array, resp: Array, start: Array | None, k: int, known: Array) -> Array:
        """Coefficients and shapes (p + q,) at the top of Q of one component."""
        p, share, y = len(self.terms), resp / resp.sum(), self.y(x)
        free = np.isnan(known[:p])
        whole = self.design(x)
        design, offsets = whole[:, free], self.offsets(x) + whole[:, ~free] @ known[:p][~free]
        rough = self.rough(y) - offsets
        root = triangles((np.sqrt(share)[:, None] * np.column_stack([design, rough]))[None])[0]
        left, root = abs(root[-1, -1]), root[:-1, :-1]
        terms = [term for term, one in zip(self.terms, free, strict=True) if one]
        self.refuse_collinear(root, k, terms)
        if not self.response_space.discrete and not left > LINEAR * np.sqrt(share @ rough**2):
            raise Degenerate(f"the rows of component {k} lie on its line", k)
        # In these directions the rows spread alike: sum share u u' = 1.
        u = np.linalg.solve(root.T, design.T).T
        rows = OneComponent(self, y, share, u, offsets, known[p:], k)
        at = u.T @ (share * rough)
        starts = [rows.point(at, np.array(self.first(rough - u @ at, share)))]
        if start is not None:
            starts.append(rows.point(root @ start[:p][free], start[p:]))
        best = max(starts, key=rows.height)
        # A generalised M-step need not come to the top; from where it was a few steps are enough.
        brief = self.contract is Contract.GENERALISED and best is not starts[0]
        top, value = climb(rows.look, best, rows.reach, BRIEF if brief else STEPS)
        if not np.isfinite(value.value):
            raise Degenerate(f"the offsets or predictors of component {k} lie too far apart", k)
        coefficients, shapes = rows.at_edge(top)
        if start is not None:  # an edge that it came from may be higher than where it was left for
            before = (root @ start[:p][free], start[p:])
            if rows.value(*before) > rows.value(coefficients, shapes):
                coefficients, shapes = before
        found = known.copy()
        found[:p][free] = np.linalg.solve(root, coefficients)
        found[p:] = shapes
        return found

    def gradient(self, statistics: Kept, params: Any) -> Array:
        along: Any = 0.0
        shapes, rest = self.shapes(params), [np.zeros(len(s)) for s in self.shapes(params)]
        for x, resp in statistics.blocks:
            with np.errstate(all="ignore"):
                slopes, _ = self.derivatives(self.y(x)[:, None], self.eta(params, x), shapes)
            along = along + (resp * slopes[0]).T @ self.design(x)
            rest = [a + (resp * s).sum(axis=0) for a, s in zip(rest, slopes[1:], strict=True)]
        own = dict(zip(self.own, self.by_shape(tuple(rest), shapes), strict=True))
        return pullback(params, self.made(along, **own))

    # ---- draws

    def draw(
        self, params: Any, x: Array, labels: NDArray[np.intp], rng: np.random.Generator
    ) -> Array:
        eta = self.eta(params, x)[np.arange(len(x)), labels]
        return self.drawn(eta, tuple(s[labels] for s in self.shapes(params)), rng)

    @abstractmethod
    def drawn(self, eta: Array, shapes: Shapes, rng: np.random.Generator) -> Array:
        """A response for each linear predictor (n,)."""


@dataclass(frozen=True)
class OneComponent:
    """The rows of one component, and Q of it per row, by its coefficients along u and its shapes.

    A point is the coefficients, followed by the logarithms of the shapes that are not known.
    """

    family: ShapedRegression
    y: Array  # (n,)
    share: Array  # (n,)  which sum to 1
    u: Array  # (n, p)
    offsets: Array  # (n,)
    known: Array  # (q,)  shapes, nan where they are free
    k: int

    @property
    def free(self) -> NDArray[np.bool_]:
        """Which shapes are free, (q,)."""
        return np.isnan(self.known)

    @property
    def may_vanish(self) -> NDArray[np.bool_]:
        """Which of these may be 0, (q,)."""
        declared = self.family.may_vanish or (False,) * len(self.known)
        return np.array(declared, dtype=bool) & self.free

    @property
    def reach(self) -> Array:
        """How far one step may go along each coordinate of a point."""
        return np.repeat([REACH, SHAPE_REACH], [self.u.shape[1], int(self.free.sum())])

    def point(self, coefficients: Array, shapes: Array) -> Array:
        """A point to climb from: off an edge, where a slope by logarithms is 0."""
        inside = np.where(self.may_vanish, np.maximum(shapes, OFF_EDGE), shapes)
        return np.concatenate([coefficients, np.log(inside[self.free])])

    def split(self, point: Array) -> tuple[Array, Array]:
        """Its coefficients and all shapes."""
        p, shapes = self.u.shape[1], self.known.copy()
        with np.errstate(over="ignore"):
            shapes[self.free] = np.exp(point[p:])
        return point[:p], shapes

    def value(self, coefficients: Array, shapes: Array) -> float:
        """Q, -inf where it is no number."""
        with np.errstate(all="ignore"):
            eta = self.u @ coefficients + self.offsets
            found = float(self.share @ self.family.value(self.y, eta, tuple(shapes)))
        return found if np.isfinite(found) else -np.inf

    def height(self, point: Array) -> float:
        """Q at a point."""
        return self.value(*self.split(point))

    def look(self, point: Array) -> Look:
        """Q at a point with its derivatives.

        Raises `Degenerate` where a density is narrower than the last bits of a row.
        """
        coefficients, shapes = self.split(point)
        with np.errstate(all="ignore"):  # a trial point may lie anywhere
            eta = self.u @ coefficients + self.offsets
            density = self.family.value(self.y, eta, tuple(shapes))
            slopes, bends = self.family.derivatives(self.y, eta, tuple(shapes))
        if not self.family.response_space.discrete:
            highest = -np.log(POINT * EPS * np.maximum(np.abs(self.y), TINY))
            if (density > highest).any():
                raise Degenerate(f"component {self.k} has shrunk to a point on its line", self.k)
        value, share, u = float(self.share @ density), self.share, self.u
        p, which = u.shape[1], 1 + np.flatnonzero(self.free)
        slope, bend = np.zeros(p + len(which)), np.zeros((p + len(which),) * 2)
        slope[:p] = u.T @ (share * slopes[0])
        bend[:p, :p] = (u * (share * bends[0][0])[:, None]).T @ u
        for a, i in enumerate(which, start=p):
            slope[a] = share @ slopes[i]
            bend[:p, a] = bend[a, :p] = u.T @ (share * bends[i][0])
            for b, j in enumerate(which[: a - p + 1], start=p):
                bend[a, b] = bend[b, a] = share @ bends[i][j]
        if np.isfinite(value) and np.isfinite(slope).all() and np.isfinite(bend).all():
            return Look(value, slope, bend)
        return Look(-np.inf, np.zeros_like(slope), np.eye(len(slope)))

    def at_edge(self, top: Array) -> tuple[Array, Array]:
        """Coefficients and shapes at a top, with shapes at 0 that are no worse there."""
        coefficients, shapes = self.split(top)
        for index in np.flatnonzero(self.may_vanish & (shapes < EDGE)):
            without = shapes.copy()
            without[index] = 0.0
            if self.value(coefficients, without) >= self.value(coefficients, shapes) - LINEAR:
                shapes = without
        return coefficients, shapes
