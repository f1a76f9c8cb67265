"""What the data say of the parameters, and what the missing z takes away: from Q alone.

At a maximum, let I be the observed information (minus the second derivative of the objective),
I_c that of the complete data (minus the second derivative of Q), and M the EM map.  Then

    dM = 1 - I_c^-1 I

(Dempster, Laird and Rubin 1977, eq. 3.15; Meng and Rubin 1991, JASA 86, 899), so the eigenvalues
of dM are the fractions of information that are missing: near 1 along a direction that the data
hardly determine, and along the worst of them EM shrinks its error by that ratio at each step.

The gradient of Q at its own point is the score (Fisher's identity), and one E-step gives it
together with M.  `sweep` takes central differences of both at once, two E-steps for each free
parameter.

One known case: for the linkage data I = 377.5 and I_c = 435.3, so that 13 % of the information is
missing, and EM gains a factor of 7.5 at each step (Dempster, Laird and Rubin 1977, section 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from emframe.core import Expectation
from emframe.engines import engine_for, one_blas_thread
from emframe.fitting import expectation
from emframe.fitting.movers import gradient
from emframe.fitting.result import Fit
from emframe.fitting.tabled import Tabled
from emframe.models import observed
from emframe.parameters import from_vector, leaves, n_free, to_vector, units, valid
from emframe.spaces import EPS, Array

# The steps of the differences, in standard errors of the complete data.  In that unit a score is
# curved on the scale of the root of the number of rows, so what is cut off is of the order 1e-7
# over the number of rows, and what is rounded off 1e-13 times its root.
STEP = 5e-4
_MOST_TRIALS = 60  # to find the unit: doublings across the range of floating point


@dataclass(frozen=True, repr=False)
class Information(Tabled):
    """The sweep: derivatives of the score and of the EM map, along p free directions.

    A direction is a column of `basis`; most are one coordinate each, and those of a simplex turn
    on its sphere.  Coordinates are those of `emframe.parameters.to_vector`.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> bool(0.0 <= fit.information(counts).rate < 1.0)
    True
    """

    at: Any  # the parameters
    basis: Array  # (m, p)  orthonormal, in the m coordinates
    scales: Array  # (p,)   standard error of each direction, were z known and the rest as they are
    score: Array  # (m,)   gradient of the objective at `at`: 0 at a maximum inside
    score_jacobian: Array  # (p, p)  derivative of the score; symmetric up to its error
    em_jacobian: Array  # (p, p)  derivative of the EM map
    n_fixed: int  # free parameters without a direction: they are on a boundary of their space

    @property
    def observed(self) -> Array:
        """Observed information, (p, p): minus the second derivative of the objective."""
        return -0.5 * (self.score_jacobian + self.score_jacobian.T)

    @property
    def error(self) -> float:
        """How far the sweep is from symmetric, in units of the complete data's information."""
        gap = self.score_jacobian - self.score_jacobian.T
        return float(np.abs(gap * np.outer(self.scales, self.scales)).max(initial=0.0))

    @property
    def missing(self) -> Array:
        """Fractions of missing information, (p,), largest first: the eigenvalues of dM."""
        return self._spectrum()[0]

    @property
    def rate(self) -> float:
        """By what factor a step of plain EM shrinks the distance to the maximum, near it."""
        return float(self.missing[0]) if len(self.missing) else 0.0

    @property
    def slowest(self) -> Array:
        """The worst determined direction, (m,): coordinates, each in its standard error."""
        if not len(self.scales):
            return np.zeros(len(self.basis))
        reach = self.basis * self.scales
        size = np.sqrt(np.square(reach).sum(axis=1))
        along = reach @ self._spectrum()[1][:, 0]
        return np.divide(along, size, out=np.zeros_like(along), where=size > 0)

    def poorly_determined(self, most: int = 3) -> dict[str, float]:
        """The parameters that move most along the slowest direction, and how far each does.

        They are named by their path and index, such as ``components.means[0, 1]``; the movement
        is in units of the standard error that each would have if z and the rest were known, the
        first being 1.
        """
        moves: dict[str, float] = {}
        for name, move in zip(labels(self.at), self.slowest, strict=True):
            if abs(move) >= abs(moves.get(name, 0.0)):
                moves[name] = float(move)
        largest = max(map(abs, moves.values()), default=0.0) or 1.0
        # Moves that differ by rounding alone stay in their own order.
        ranked = sorted(moves.items(), key=lambda item: -round(abs(item[1]) / largest, 6))[:most]
        return {name: move / ranked[0][1] for name, move in ranked if move}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The parameters that move most along the slowest direction, and how far each does."""
        worst = self.poorly_determined(len(self.basis)).items()
        return [{"parameter": name, "movement": move} for name, move in worst]

    @property
    def brief(self) -> str:
        return f"rate {self.rate:.4g}, {len(self.scales)} directions"

    def __str__(self) -> str:
        """The rate, and the parameters that the data determine worst."""
        which = ", ".join(f"{name} {move:+.2f}" for name, move in self.poorly_determined().items())
        lines = [
            f"An EM step leaves {self.rate:.4f} of the error: that fraction of the information is "
            "missing",
            f"along {which or 'no direction'}.",
        ]
        if self.n_fixed:
            lines.append(f"{self.n_fixed} parameters are on a boundary, and have no direction.")
        return "\n".join(lines)

    def _spectrum(self) -> tuple[Array, Array]:
        """Eigenvalues of dM, largest first, and its eigenvectors in units of `scales`."""
        values, vectors = np.linalg.eig(self.em_jacobian * self.scales / self.scales[:, None])
        order = np.argsort(-values.real)
        return values.real[order], vectors.real[:, order]


def information(fit: Fit, X: Any, weights: Any = None, engine: Any = None) -> Information:
    """The `Information` at the parameters of a fit, from the data that it was made from.

    Costs two E-steps for each free parameter.  See `sweep`.
    """
    model = fit.model
    rows = observed(model, X, weights, fit.columns)
    survey = model.survey(rows)
    runner = engine_for(engine, len(rows) * model.work(rows))
    expect = expectation(model, rows, model.prior(fit.prior, survey), survey, runner)
    with one_blas_thread():
        return sweep(expect, fit.params)


def sweep(expect: Callable[[Any], Expectation[Any]], params: Any) -> Information:
    """Derivatives of the score and of the EM map at `params`, by central differences.

    Parameters
    ----------
    expect : the E-step over all rows, a prior included, ``expect(params) -> Expectation``.
    params : where, usually at a maximum: elsewhere the second derivative depends on coordinates.

    `emframe.Degenerate`, raised by the model a step away from `params`, passes through.
    """
    x, q = to_vector(params), expect(params)
    basis = free_directions(params)
    own = units(params)
    scales = np.array(
        [_scale(q, x, along, 1.0 / float(np.linalg.norm(along / own))) for along in basis.T]
    )
    p = basis.shape[1]
    scores, maps = np.empty((p, p)), np.empty((p, p))
    for j, step in enumerate(STEP * scales):
        ahead, back = (
            _look(expect, from_vector(params, x + s * step * basis[:, j])) for s in (1.0, -1.0)
        )
        scores[:, j], maps[:, j] = (
            basis.T @ (up - down) / (2.0 * step) for up, down in zip(ahead, back, strict=True)
        )
    fixed = n_free(params) - p
    return Information(params, basis, scales, gradient(q), scores, maps, fixed)


def _look(expect: Callable[[Any], Expectation[Any]], params: Any) -> tuple[Array, Array]:
    """The score at a point, and the coordinates of where EM goes from there."""
    q = expect(params)
    return gradient(q), to_vector(q.maximize())


def free_directions(params: Any) -> Array:
    """An orthonormal basis (m, p) of the directions in which coordinates can move `params`.

    Going to a point and reading its coordinates again leaves out what is redundant (the radius
    of a simplex's sphere) and what cannot move to both sides (a probability that is 0).  The
    derivative of that is a projection, and its blocks are taken one by one, so that coordinates
    in different units are not mixed.
    """
    x = to_vector(params)
    step = np.cbrt(EPS) * units(params)
    there, back = (
        np.array([to_vector(from_vector(params, x + s * shift)) for shift in np.diag(step)]).T
        for s in (1.0, -1.0)
    )
    moved = (there - back).reshape(len(x), len(x)) / 2.0
    columns = []
    # The differences err by 1e-10, of each coordinate in its unit.
    for block in _blocks(np.abs(moved) > 1e-6 * step[:, None]):
        inner = moved[np.ix_(block, block)] / step[block]
        values, vectors = np.linalg.eigh(0.5 * (inner + inner.T))
        for vector in vectors[:, values > 0.5].T:
            column = np.zeros(len(x))
            column[block] = vector
            columns.append(column)
    return np.array(columns).reshape(-1, len(x)).T


def _blocks(linked: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Indices of the blocks of a matrix that is diagonal by blocks."""
    n, member = scipy.sparse.csgraph.connected_components(linked, directed=False)
    return [np.flatnonzero(member == block) for block in range(n)]


def _scale(q: Expectation[Any], x: Array, direction: Array, unit: float) -> float:
    """How far along a direction Q falls by half a nat: a standard error if z were known.

    `unit` is how far along it matters.  Found by Newton's rule for a parabola, within what is known
    to be too short and too far; costs no E-step.  A direction along which Q does not fall at all
    keeps the length it was tried at.
    """
    here, length = q.value(q.at), unit * math.sqrt(STEP)
    short, far = 0.0, math.inf
    for _ in range(_MOST_TRIALS):
        fall = here - 0.5 * sum(_value(q, x + s * length * direction) for s in (1.0, -1.0))
        if 0.25 < fall < 1.0:
            return length * math.sqrt(0.5 / fall)
        short, far = (max(short, length), far) if fall < 0.5 else (short, min(far, length))
        # A fall of 1e-4 may be rounding, and one that is not finite says nothing but too far.
        ratio = 1e-4 if not math.isfinite(fall) else math.sqrt(0.5 / max(fall, 5e-7))
        if short < length * ratio < far:
            length *= ratio
        else:
            length = (
                math.sqrt(short) * math.sqrt(far)
                if short and far < math.inf
                else length * (10.0 if fall < 0.5 else 0.1)
            )
    return length


def _value(q: Expectation[Any], x: Array) -> float:
    """Q at these coordinates; -inf where they are outside, as on the way a trial may be."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        params = from_vector(q.at, x)
        return float(q.value(params)) if valid(params) else -math.inf


def labels(params: Any) -> list[str]:
    """The name of each coordinate: the path of its array, and the index where it has one.

    Where coordinates are fewer than entries, as for a covariance, the index is the component's.
    """
    names: list[str] = []
    for leaf in leaves(params):
        shape = leaf.free_shape
        n = leaf.declared.space.n_coordinates(shape)
        shown = shape if n == prod(shape) else shape[:1]
        for index in np.ndindex(*shown):
            where = f"[{', '.join(map(str, index))}]" if index else ""
            names += [leaf.path + where] * (n // max(prod(shown), 1))
    return names
