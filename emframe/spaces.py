"""Where parameters and data live.

A space says which values belong to it, in words for messages, and gives coordinates: a map from
flat real vectors onto the space and back.  The coordinates are those that steady the variance of
the usual estimates (a rate by its root, a probability by its angle, a simplex by the sphere, a
covariance by its log-Cholesky factor), so a quasi-Newton step or a difference quotient is equally
meaningful everywhere.  Every real vector is mapped into the space, and every value has finite
coordinates, those on the boundary of a closed space included.

One known case: ``UnitInterval().point(angle)`` is ``sin(angle) ** 2``, the arcsine transform of
Bartlett (1947, Biometrics 3, 39).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import isfinite, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Shape = tuple[int, ...]
EPS = float(np.finfo(float).eps)


@cache
def _lower(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Places of the lower triangle among the numbers of a (d, d) matrix, and of the diagonal in it.

    Both row by row.
    """
    rows, columns = np.tril_indices(d)
    return rows * d + columns, np.flatnonzero(rows == columns)


def _triangle(matrices: NDArray[Any]) -> Array:
    """Lower triangles row by row, (..., d, d) -> (..., d (d + 1) / 2)."""
    d = matrices.shape[-1]
    return matrices.reshape(*matrices.shape[:-2], d * d).take(_lower(d)[0], axis=-1)


def _factors(matrices: Array) -> bool:
    """Whether all are symmetric to the last bit and have a Cholesky factor: the usual case."""
    if not (matrices == matrices.swapaxes(-1, -2)).all():
        return False
    try:
        factor = np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        return False
    return isfinite(np.vdot(factor, factor))  # the sum of their traces


def slopes(function: Callable[[Array], float], at: Array) -> Array:
    """Gradient of a function of a vector by central differences, (m,).

    The step is the cube root of the rounding unit, where truncation and rounding errors meet.
    """
    gradient = np.empty_like(at)
    for j in range(len(at)):
        step = np.cbrt(EPS) * max(1.0, abs(at[j]))
        up, down = at.copy(), at.copy()
        up[j] += step
        down[j] -= step
        gradient[j] = (function(up) - function(down)) / (2.0 * step)
    return gradient


class Space:
    """Base of all spaces.  A new one states `words`, `contains`, `coordinates` and `point`.

    ``n_event_axes`` trailing axes of an array make up one value (0: each entry is a value).
    """

    words = "values"
    n_event_axes = 0
    discrete = False
    bounded = False
    least_range: float = 0.0
    lower, upper = -np.inf, np.inf  # what limits each entry of a value, attained or not

    def contains(self, values: Array) -> NDArray[np.bool_]:
        """Whether each value belongs: an array without the event axes."""
        raise NotImplementedError

    def coordinates(self, values: Array) -> Array:
        """A flat real vector that `point` maps back to `values`."""
        raise NotImplementedError

    def point(self, vector: Array, shape: Shape) -> Array:
        """The values of the given shape at these coordinates; any real vector will do."""
        raise NotImplementedError

    def pullback(self, values: Array, gradient: Array) -> Array:
        """A gradient with respect to `values`, as one with respect to their coordinates.

        By central differences of `point`, unless a space knows better.
        """
        return slopes(
            lambda vector: float((self.point(vector, values.shape) * gradient).sum()),
            self.coordinates(values),
        )

    def n_coordinates(self, shape: Shape) -> int:
        """Length of the coordinate vector of values of this shape."""
        return prod(shape)

    def n_free(self, shape: Shape) -> int:
        """Number of free parameters (dimensions of the space) for values of this shape."""
        return self.n_coordinates(shape)

    def limits(self, shape: Shape) -> tuple[Array, Array]:
        """Lower and upper limit of each entry, attained or not: two arrays of this shape."""
        return np.full(shape, self.lower), np.full(shape, self.upper)

    def distinct(self, shape: Shape) -> NDArray[np.bool_]:
        """Which entries to show: not those that repeat another or are fixed by the structure."""
        return np.ones(shape, dtype=bool)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), tuple(vars(self).items())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Elementwise(Space):
    """A space of single numbers: subclasses map an array of reals of the same shape."""

    def forward(self, values: Array) -> Array:
        raise NotImplementedError

    def backward(self, reals: Array) -> Array:
        raise NotImplementedError

    def slope(self, values: Array) -> Array:
        """Derivative of `backward`, at the coordinates of `values`."""
        raise NotImplementedError

    def pullback(self, values: Array, gradient: Array) -> Array:
        return np.asarray(self.slope(values) * gradient).ravel()

    def coordinates(self, values: Array) -> Array:
        return np.asarray(self.forward(np.asarray(values, dtype=float)), dtype=float).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        return np.asarray(self.backward(np.reshape(vector, shape)), dtype=float)


@dataclass(frozen=True, repr=False)
class Real(_Elementwise):
    """The real line, or as much of it as arithmetic can handle.

    Parameters
    ----------
    largest : the largest absolute value.
    least_range : data in this space whose column spans less than this, but not nothing, are
        refused: what is made of their differences would underflow.
    """

    largest: float = float(np.finfo(float).max)
    least_range: float = 0.0

    @property
    def words(self) -> str:  # type: ignore[override]
        most = f" up to {self.largest:g} in size" if self.largest < np.finfo(float).max else ""
        return f"finite real numbers{most}"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.abs(values) <= self.largest

    def forward(self, values: Array) -> Array:
        return values

    def backward(self, reals: Array) -> Array:
        return reals

    def slope(self, values: Array) -> Array:
        return np.ones(values.shape)


class Positive(_Elementwise):
    """The open half line (0, inf), by its logarithm."""

    words = "finite numbers above 0"
    lower = 0.0

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.isfinite(values) & (values > 0)

    def forward(self, values: Array) -> Array:
        return np.log(values)

    def backward(self, reals: Array) -> Array:
        with np.errstate(over="ignore"):  # inf is no member, and is treated as that
            return np.exp(reals)

    def slope(self, values: Array) -> Array:
        return values


class NonNegative(_Elementwise):
    """The closed half line [0, inf), by its square root (steady for rates)."""

    words = "finite numbers, 0 or above"
    lower = 0.0

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.isfinite(values) & (values >= 0)

    def forward(self, values: Array) -> Array:
        return np.sqrt(values)

    def backward(self, reals: Array) -> Array:
        return np.square(reals)

    def slope(self, values: Array) -> Array:
        return 2.0 * np.sqrt(values)


class UnitInterval(_Elementwise):
    """The closed interval [0, 1], by the angle (steady for probabilities)."""

    words = "numbers from 0 to 1"
    bounded = True
    lower, upper = 0.0, 1.0

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return (values >= 0) & (values <= 1)

    def forward(self, values: Array) -> Array:
        return np.arcsin(np.sqrt(values))

    def backward(self, reals: Array) -> Array:
        return np.square(np.sin(reals))

    def slope(self, values: Array) -> Array:
        return 2.0 * np.sqrt(values * (1.0 - values))


@dataclass(frozen=True, repr=False)
class NonNegativeInteger(_Elementwise):
    """Counts 0, 1, 2, ..., up to `largest`; a space of data."""

    largest: float = float(np.finfo(float).max)

    discrete = True

    @property
    def words(self) -> str:  # type: ignore[override]
        most = f" up to {self.largest:g}" if self.largest < np.finfo(float).max else ", 0 or above"
        return f"whole numbers{most}"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return (values >= 0) & (values <= self.largest) & (values == np.floor(values))

    def forward(self, values: Array) -> Array:
        return np.sqrt(values)

    def backward(self, reals: Array) -> Array:
        return np.rint(np.square(reals))


class Binary(_Elementwise):
    """0 or 1; a space of data."""

    words = "0 or 1"
    discrete = True
    bounded = True

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return (values == 0) | (values == 1)

    def forward(self, values: Array) -> Array:
        return values - 0.5

    def backward(self, reals: Array) -> Array:
        return (reals > 0).astype(float)


@dataclass(frozen=True)
class Interval(_Elementwise):
    """The open interval between two ends, of which one may be infinite.

    By the logarithm of the distance from the end, or the log odds of the distances from both.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"`low` is {self.low} and `high` {self.high}; pass low < high.")
        if np.isinf(self.low) and np.isinf(self.high):
            raise ValueError("an interval without an end is emframe.Real().")

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def words(self) -> str:  # type: ignore[override]
        if np.isinf(self.high):
            return f"finite numbers above {self.low:g}"
        if np.isinf(self.low):
            return f"finite numbers below {self.high:g}"
        return f"numbers between {self.low:g} and {self.high:g}, the ends left out"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        return np.isfinite(values) & (values > self.low) & (values < self.high)

    def forward(self, values: Array) -> Array:
        above = np.log(values - self.low) if np.isfinite(self.low) else 0.0
        below = np.log(self.high - values) if np.isfinite(self.high) else 0.0
        return np.asarray(above - below)

    def backward(self, reals: Array) -> Array:
        with np.errstate(over="ignore"):  # a value at an end is no member, and is treated as that
            if np.isinf(self.high):
                return self.low + np.exp(reals)
            if np.isinf(self.low):
                return self.high - np.exp(-reals)
            # From the nearer end, so that no digit of the distance is lost there.
            near = (self.high - self.low) / (1.0 + np.exp(np.abs(reals)))
            return np.where(reals < 0, self.low + near, self.high - near)

    def slope(self, values: Array) -> Array:
        above, below = values - self.low, self.high - values
        if np.isinf(self.high):
            return above
        return below if np.isinf(self.low) else above * below / (self.high - self.low)


@dataclass(frozen=True)
class Integers(_Elementwise):
    """Whole numbers from `low` to `high`, both included; a space of data."""

    low: float = -np.inf
    high: float = np.inf

    discrete = True

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def words(self) -> str:  # type: ignore[override]
        ends = [f"from {self.low:g}"] if np.isfinite(self.low) else []
        ends += [f"to {self.high:g}"] if np.isfinite(self.high) else []
        return " ".join(["whole numbers", *ends])

    def contains(self, values: Array) -> NDArray[np.bool_]:
        whole = np.isfinite(values) & (values == np.floor(values))
        return np.asarray(whole & (values >= self.low) & (values <= self.high))

    def forward(self, values: Array) -> Array:
        if np.isfinite(self.low):
            return np.sqrt(values - self.low)
        return np.sqrt(self.high - values) if np.isfinite(self.high) else values

    def backward(self, reals: Array) -> Array:
        if np.isfinite(self.low):
            values = self.low + np.rint(np.square(reals))
        else:
            values = self.high - np.rint(np.square(reals)) if np.isfinite(self.high) else reals
        return np.clip(np.rint(values), self.low, self.high)


class Simplex(Space):
    """Probability vectors along the last axis, by the sphere: w = v**2 / sum(v**2).

    The radius is redundant, so there is one coordinate more than free parameters.
    """

    words = "probabilities that sum to 1"
    n_event_axes = 1
    bounded = True
    lower, upper = 0.0, 1.0

    def contains(self, values: Array) -> NDArray[np.bool_]:
        off = np.abs(np.add.reduce(values, axis=-1) - 1)
        ulps = 8 * EPS * values.shape[-1]  # rounding of the division and the sum
        return np.asarray((values >= 0).all(axis=-1) & (off <= ulps))

    def coordinates(self, values: Array) -> Array:
        return np.sqrt(values).ravel()

    def point(self, vector: Array, shape: Shape) -> Array:
        reals = np.reshape(vector, shape)
        reals = np.where((reals == 0).all(axis=-1, keepdims=True), 1.0, reals)
        squares = np.square(reals / np.abs(reals).max(axis=-1, keepdims=True))
        return np.asarray(squares / squares.sum(axis=-1, keepdims=True))

    def pullback(self, values: Array, gradient: Array) -> Array:
        mean = (values * gradient).sum(axis=-1, keepdims=True)
        return np.asarray((2.0 * np.sqrt(values) * (gradient - mean)).ravel())

    def n_free(self, shape: Shape) -> int:
        return prod(shape[:-1]) * (shape[-1] - 1)

    def distinct(self, shape: Shape) -> NDArray[np.bool_]:
        return np.full(shape, shape[-1] > 1)


@dataclass(frozen=True, repr=False)
class PositiveDefinite(Space):
    """Symmetric positive definite matrices, by the Cholesky factor with a log diagonal.

    ``structure`` restricts them: "full", "diagonal", or "spherical" (one variance for all
    columns).  The matrices are stored whole whatever the structure.
    """

    structure: str = "full"
    n_event_axes = 2

    @property
    def words(self) -> str:  # type: ignore[override]
        kind = {"full": "", "diagonal": "diagonal ", "spherical": "spherical "}[self.structure]
        return f"{kind}symmetric positive definite matrices"

    def contains(self, values: Array) -> NDArray[np.bool_]:
        if self.structure == "full" and _factors(values):
            return np.ones(values.shape[:-2], dtype=bool)
        variances = np.diagonal(values, axis1=-2, axis2=-1)
        if not (np.isfinite(values).all() and (variances > 0).all()):
            # Judge the others alone, so that one bad matrix spoils no factorisation.
            finite = np.isfinite(values).all(axis=(-2, -1)) & (variances > 0).all(axis=-1)
            inside = np.zeros(finite.shape, dtype=bool)
            inside[finite] = self.contains(values[finite]) if finite.any() else False
            return inside
        if self.structure != "full":
            plain = (values == variances[..., None] * np.eye(values.shape[-1])).all(axis=(-2, -1))
            one = self.structure == "diagonal" or (variances == variances[..., :1]).all(axis=-1)
            return np.asarray(plain & one)
        # Scaling to correlation matrices makes the test independent of the columns' units.
        scale = np.sqrt(variances)
        correlation = values / scale[..., :, None] / scale[..., None, :]
        gap = np.abs(correlation - np.swapaxes(correlation, -1, -2)).max(axis=(-2, -1))
        symmetric = gap <= 8 * EPS * values.shape[-1]
        try:
            np.linalg.cholesky(correlation)
        except np.linalg.LinAlgError:  # some are not, and it does not say which
            return np.asarray(symmetric & (np.linalg.eigvalsh(correlation)[..., 0] > 0))
        return np.asarray(symmetric)

    def coordinates(self, values: Array) -> Array:
        if self.structure == "full":
            entries = _triangle(np.linalg.cholesky(values))
            diagonal = _lower(values.shape[-1])[1]
            entries[..., diagonal] = np.log(entries[..., diagonal])
            return entries.ravel()
        variances = np.diagonal(values, axis1=-2, axis2=-1)
        if self.structure == "spherical":
            variances = variances[..., :1]
        return np.asarray(0.5 * np.log(variances).ravel())

    def point(self, vector: Array, shape: Shape) -> Array:
        *batch, d, _ = shape
        if self.structure == "full":
            places, diagonal = _lower(d)
            entries = np.array(vector, dtype=float).reshape(*batch, len(places))
            entries[..., diagonal] = np.exp(entries[..., diagonal])
            factor = np.zeros((*batch, d * d))
            factor[..., places] = entries
            factor = factor.reshape(shape)
            return factor @ factor.swapaxes(-1, -2)
        variances = np.exp(2.0 * np.reshape(vector, (*batch, -1)))
        return np.asarray(np.broadcast_to(variances, (*batch, d))[..., None] * np.eye(d))

    def pullback(self, values: Array, gradient: Array) -> Array:
        if self.structure == "full":
            factor = np.linalg.cholesky(values)
            entries = _triangle((gradient + gradient.swapaxes(-1, -2)) @ factor)
            entries[..., _lower(values.shape[-1])[1]] *= factor.diagonal(0, -2, -1)
            return entries.ravel()
        each = 2.0 * np.diagonal(values * gradient, axis1=-2, axis2=-1)
        if self.structure == "spherical":
            each = each.sum(axis=-1)
        return np.asarray(each.ravel())

    def n_coordinates(self, shape: Shape) -> int:
        *batch, d, _ = shape
        per_matrix = {"full": d * (d + 1) // 2, "diagonal": d, "spherical": 1}[self.structure]
        return prod(batch) * per_matrix

    def limits(self, shape: Shape) -> tuple[Array, Array]:
        on_diagonal = np.broadcast_to(np.eye(shape[-1], dtype=bool), shape)
        return np.where(on_diagonal, 0.0, -np.inf), np.full(shape, np.inf)

    def distinct(self, shape: Shape) -> NDArray[np.bool_]:
        shown = np.tri(shape[-1], dtype=bool)
        if self.structure != "full":
            shown &= np.eye(shape[-1], dtype=bool)
        if self.structure == "spherical":
            shown[1:] = False
        return np.broadcast_to(shown, shape)

    def __repr__(self) -> str:
        return f"PositiveDefinite({self.structure!r})"
