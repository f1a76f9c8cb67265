"""Three ways to take Gaussian components past the rows, and which to take.

quadratic   A Gaussian is an exponential family, with T(x) = (x_i x_j for i <= j, x, 1):

                log f(x) = T(x) . eta,    eta = (-1/2 L_ii, -L_ij, L mu, constant),  L = Sigma^-1

            so E and M are one matrix product each, at half the work of the direct form.  Rows are
            centred and scaled first.  Yet a square is expanded, and where a component is small
            against its distance from the centre digits cancel.
direct      |W (x - mu)|^2 with W' W = L, W a triangle; M is the scatter about the current means.
            Nothing cancels, and it is the faster one where columns are many.
linear      Where all components share Sigma, x' L x is a term of the row alone: it leaves the
            responsibilities, and its sum over rows is known from the total scatter.

`digits_at_risk` bounds what the expansion loses, and `kernels` offers the forms that are safe,
the cheapest first, by a model of their cost.  Where columns are many and clusters apart, M sums
over each component's own rows alone (`own_moments`).

One known case: components at the centre of the data with the data's own spread lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.engines import Workspace, block_rows, products
from emframe.families import LOG_ZERO, Concluded, Kernel, Survey, TiledProducts, own_rows
from emframe.spaces import Array
from emframe_families.gaussian_scatter import Scatter, transposed

# The terms of an expanded square may exceed the result by this factor: three digits of sixteen,
# so that log-likelihoods of both forms agree to 1e-9 with room to spare.
MOST_EXPANSION = 1e3
# After an M-step the new components may be smaller; beyond this half of all digits are gone, and
# the pass is made again in the direct form.
MOST_AFTER = 1e8
# Standard deviations between this and its inverse have squares, and squares of squares, in range.
SMALL_UNIT = 1e-30
TINY = float(np.finfo(float).tiny)
# The cost model: nanoseconds for a floating-point operation in a product of matrices, and in a
# batch of triangular ones; and for all the ways of one number through the caches.  Only their
# ratios matter.  tests/benchmarks/forms.py prints the times that they are read off.
PRODUCT, BATCHED, NUMBER = 0.027, 0.038, 2.3
# What a component costs in the direct form beyond its columns, in columns.
BESIDE = 4
# Nanoseconds that the expanded forms take longer to prepare and to finish.
PREPARE = 1e5


def kernels(covariance: str, params: Any, log_weights: Array, survey: Survey) -> Iterator[Kernel]:
    """The forms that are safe at these parameters, the cheapest first.

    covariance : "full", "diag", "spherical" or "tied".
    """
    diagonal = covariance in {"diag", "spherical"}
    (k, d), n = params.means.shape, survey.n_rows
    whiten, log_det = params.whitening
    constant = np.maximum(log_weights, LOG_ZERO) - 0.5 * (d * log(2 * pi) + log_det)
    expanded, count = EXPANDED[covariance]
    if PREPARE + n * product_cost(k, count(d)) < n * direct_cost(k, d, diagonal):
        frame = Frame.of(survey.statistics)
        if digits_at_risk(params.means - frame.centre, whiten) <= MOST_EXPANSION:
            yield expanded(params.means, whiten, constant, frame, survey.statistics)
    yield Direct(params.means, whiten, constant)


def product_cost(k: int, p: int) -> float:
    """Nanoseconds per row, the softmax aside, with p statistics and two products."""
    return p * (NUMBER + 4 * k * PRODUCT)


def direct_cost(k: int, d: int, diagonal: bool) -> float:
    """Nanoseconds per row, the softmax aside, of the direct form."""
    return k * (NUMBER * (d + BESIDE) + (0.0 if diagonal else 2.25 * d * d * BATCHED))


@dataclass(frozen=True)
class Frame:
    """Where the rows are centred and how they are scaled before they are squared."""

    centre: Array  # (d,)
    scale: Array  # (d,)

    @classmethod
    def of(cls, whole: Scatter) -> Frame:
        """About the mean of all rows, in their standard deviations.

        Digits are lost alike in any units; scaling keeps squares in the range of floating point,
        and where they are far within it the rows are left in their own units.
        """
        scatter = whole.scatter[0]
        variances = (scatter if scatter.ndim == 1 else np.diagonal(scatter)) / whole.counts[0]
        scale = np.sqrt(np.where(variances > 0, variances, 1.0))
        if scale.min() > SMALL_UNIT and scale.max() < 1 / SMALL_UNIT:
            scale = np.ones_like(scale)
        return cls(whole.means[0], scale)


def digits_at_risk(means: Array, whiten: Array) -> float:
    """The largest sum of absolute terms of a component's expanded square, per column.

    For rows within a standard deviation of its mean, where the square itself is about 1: times
    the rounding unit it bounds the error of a log density, and the relative error of a variance.

    means : (K, d) from the centre of the expansion.
    whiten : (K, d, d) or (K, d).
    """
    if whiten.ndim == 2:
        return float((1.0 + np.abs(means * whiten)).max(initial=0.0) ** 2)
    precision = np.abs(transposed(whiten) @ whiten)
    spread = np.linalg.inv(transposed(whiten) @ whiten)
    reach = np.abs(means) + np.sqrt(np.diagonal(spread, axis1=1, axis2=2))
    terms = reach * (precision @ reach[:, :, None])[:, :, 0]
    return float(terms.sum(axis=1).max()) / means.shape[1]


# ---- the expanded forms


def quadratic(
    means: Array, whiten: Array, constant: Array, frame: Frame, _: Scatter
) -> TiledProducts:
    """Squares and products of centred, scaled columns; their expectation is the M-step."""
    d, diagonal = means.shape[1], whiten.ndim == 2
    mu = (means - frame.centre) / frame.scale
    rows, columns = (np.arange(d),) * 2 if diagonal else np.triu_indices(d)
    if diagonal:
        root = whiten * frame.scale
        slope, square = root**2 * mu, -0.5 * root**2
    else:
        root = whiten * frame.scale
        precision = transposed(root) @ root
        slope = (precision @ mu[:, :, None])[:, :, 0]
        square = -precision[:, rows, columns]
        square[:, rows == columns] *= 0.5
    rest = constant - 0.5 * (slope * mu).sum(axis=1)
    natural = np.concatenate([square, slope, rest[:, None]], axis=1)

    def write(x: Array, out: Array) -> None:
        u = _centred(x, frame, out=out[:, len(rows) :])
        if diagonal:
            np.square(u, out=out[:, :d])
            return
        first = 0
        for j in range(d):
            np.multiply(u[:, j : j + 1], u[:, j:], out=out[:, first : first + d - j])
            first += d - j

    def conclude(sums: Array) -> Concluded | None:
        counts, first = sums[:, -1], sums[:, len(rows) : -1]
        mean = _per_count(first, counts)
        if diagonal:
            scatter = sums[:, :d] - first * mean
        else:
            scatter = np.empty((len(counts), d, d))
            scatter[:, rows, columns] = scatter[:, columns, rows] = sums[:, : len(rows)]
            scatter -= first[:, :, None] * mean[:, None, :]
        some = counts > TINY
        if not _keeps_digits(mean[some], (scatter[some].T / counts[some]).T):
            return None
        return Concluded(_in_units(counts, mean, scatter, frame), counts)

    # Where the products and sums are in a matrix of second moments of u and 1.
    places = np.append(rows * (d + 1) + columns, d * (d + 1) + np.arange(d + 1))

    def few(t: Array, resp: Array, own: NDArray[np.bool_]) -> Array:
        sums = np.zeros(natural.shape)
        for line, r, mine in zip(t[:, len(rows) :], resp, own, strict=True):  # u and 1
            moments = own_moments(line.T[np.nonzero(mine)[1]], r, mine)
            sums += moments.reshape(len(sums), -1).take(places, axis=1)
        return sums

    return TiledProducts("quadratic", natural, write, conclude, None if diagonal else few)


def linear(
    means: Array, whiten: Array, constant: Array, frame: Frame, whole: Scatter
) -> TiledProducts:
    """A shared covariance: only x' L mu tells the components apart."""
    k, d = means.shape
    mu = (means - frame.centre) / frame.scale
    root = whiten[0] * frame.scale
    slope = mu @ (root.T @ root)
    rest = constant - 0.5 * (slope * mu).sum(axis=1)
    total = whole.scatter[0] / frame.scale[:, None] / frame.scale  # about the centre
    row_terms = -0.5 * float(((root @ total) * root).sum())

    def write(x: Array, out: Array) -> None:
        _centred(x, frame, out=out)

    def conclude(sums: Array) -> Concluded | None:
        counts, first = sums[:, -1], sums[:, :-1]
        mean = _per_count(first, counts)
        within = total - first.T @ mean
        if not _keeps_digits(np.abs(mean).max(axis=0)[None], within[None] / counts.sum()):
            return None
        scatter = np.broadcast_to(within / k, (k, d, d))  # only the sum over components is of use
        return Concluded(_in_units(counts, mean, scatter, frame), counts, row_terms)

    return TiledProducts("linear", np.column_stack([slope, rest]), write, conclude)


def own_moments(vectors: Array, resp: Array, own: NDArray[np.bool_]) -> Array:
    """sum_i r_ik v_ik v_ik' over each component's own rows, (K, m, m).

    vectors : (N, m), one for each True of `own` (K, w), in its order; overwritten.
    """
    vectors *= np.sqrt(resp[own])[:, None]
    ends = np.cumsum(np.count_nonzero(own, axis=1))[:-1]
    return np.stack([v.T @ v for v in np.split(vectors, ends)])


def _centred(x: Array, frame: Frame, out: Array) -> Array:
    """Rows x (tiles, d, w) in the frame."""
    np.subtract(x, frame.centre[:, None], out=out)
    if (frame.scale != 1.0).any():
        out /= frame.scale[:, None]
    return out


def _per_count(sums: Array, counts: Array) -> Array:
    """Means from sums; 0 where there is nothing to average."""
    counts = counts[:, None]
    return np.divide(sums, counts, out=np.zeros(sums.shape), where=counts > TINY)


def _keeps_digits(means: Array, covariances: Array) -> bool:
    """Whether components with these sums behind them were still resolved by an expansion.

    means : (K, d) in the frame.
    covariances : (K, d, d), or variances (K, d).
    """
    diagonal = covariances.ndim == 2
    variances = covariances if diagonal else np.diagonal(covariances, axis1=1, axis2=2)
    if not (variances > 0).all():
        return False
    try:
        whiten = (
            1 / np.sqrt(variances) if diagonal else np.linalg.inv(np.linalg.cholesky(covariances))
        )
        return digits_at_risk(means, whiten) <= MOST_AFTER
    except np.linalg.LinAlgError:
        return False


def _in_units(counts: Array, mean: Array, scatter: Array, frame: Frame) -> Scatter:
    """Counts, means and scatter, from the frame back to the data's own units."""
    scale = frame.scale
    units = scale * scale if scatter.ndim == 2 else scale[:, None] * scale
    return Scatter(counts, frame.centre + scale * mean, scatter * units, counts)


# ---- the direct form


@dataclass(frozen=True)
class Direct:
    """Rows centred at each component, then whitened."""

    means: Array  # (K, d)
    whiten: Array  # (K, d, d) lower triangles, or (K, d)
    constant: Array  # (K,)

    form = "direct"

    def rows(self, d: int) -> int:
        return block_rows(2 * len(self.means) * (d + 1) + d)

    def meet(self, x: Array, work: Workspace) -> tuple[Array, Callable[[Array], Array]]:
        (k, d), b = self.means.shape, len(x)
        moved = work("moved", k, d + 1, b)  # with a last row for the counts
        centred, white = moved[:, :d], work("white", k, d, b)
        turned = work("x", d, b)
        np.copyto(turned, x.T)
        np.subtract(turned, self.means[:, :, None], out=centred)
        if self.whiten.ndim == 2:
            np.multiply(centred, self.whiten[:, :, None], out=white)
        else:
            _triangular_product(self.whiten, centred, out=white)
        np.square(white, out=white)
        joint = np.add.reduce(white, axis=1, out=work("joint", k, b))
        joint *= -0.5
        joint += self.constant[:, None]
        return joint, lambda resp: self._collect(moved, resp)

    def _collect(self, moved: Array, resp: Array) -> Array:
        """Second moments about the current means of the centred row and 1, (K, d+1, d+1)."""
        moved[:, -1] = 1.0
        if self.whiten.ndim == 2:
            first = products(moved, resp[:, :, None])
            second = products(np.square(moved, out=moved), resp[:, :, None])
            return np.concatenate([first, second], axis=2)
        own = own_rows(resp, moved.shape[1] * (moved.shape[1] + 1) // 2)
        if own is not None:
            component, row = np.nonzero(own)
            return own_moments(moved[component, :, row], resp, own)
        moved *= np.sqrt(resp)[:, None, :]
        return products(moved, transposed(moved))

    def finish(self, sums: Array) -> Concluded | None:
        counts, first = sums[:, -1, -1], sums[:, :-1, -1]
        if self.whiten.ndim == 2:
            first, second = sums[:, :-1, 0], sums[:, :-1, 1]
        else:
            second = sums[:, :-1, :-1]
        shift = _per_count(first, counts)
        if self.whiten.ndim == 2:
            spread = scatter = second - first * shift
        else:
            scatter = second - first[:, :, None] * shift[:, None, :]
            spread = scatter.diagonal(0, 1, 2)
        if not (first * shift / MOST_AFTER <= spread).all():
            return None
        return Concluded(Scatter(counts, self.means + shift, scatter, counts), counts)


def _triangular_product(lower: Array, x: Array, out: Array) -> None:
    """``lower @ x`` for stacks of lower triangles, strip by strip, most of the zeros left out."""
    d = lower.shape[1]
    strip = max(32, -(-d // 8))
    for first in range(0, d, strip):
        last = min(first + strip, d)
        np.matmul(lower[:, first:last, :last], x[:, :last], out=out[:, first:last])


# The expanded form of each structure, and how many statistics it has for d columns.
EXPANDED: dict[str, tuple[Callable[..., TiledProducts], Callable[[int], int]]] = {
    "full": (quadratic, lambda d: d * (d + 3) // 2 + 1),
    "diag": (quadratic, lambda d: 2 * d + 1),
    "spherical": (quadratic, lambda d: 2 * d + 1),
    "tied": (linear, lambda d: d + 1),
}
