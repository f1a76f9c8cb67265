"""Gaussian components of one known covariance, laid out by their means.

In coordinates in which that covariance S is the identity, the log density of a row is the sum over
axes of ``-(t_i - t)^2 / 2``, the natural parameters are the means, and the divergence between two
components is half their squared distance.  Outside the range of the rows along an axis every
density falls, so the best mean lies within it.

Where variances are free, one that closes in on a row has a density without bound, and adds more
than any number.  A least covariance S bounds it, and then no component does better than one that
has S itself: N(mu, Sigma) with Sigma - S positive semidefinite is a mixture of N(mu + e, S), with
e ~ N(0, Sigma - S), so mixtures of the one kind are mixtures of the other.

One known case: with S = 1 in one column the best further mean for two rows at -1 and 1 that weigh
the same is 0, between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from emframe import Family
from emframe.families import Axes, Curve, refuse_kept
from emframe.spaces import EPS, Array
from emframe_families.gaussian.structures import Structure

COVARIANCES = "covariances"
OPTION = "least_variance"
OWN = ("VII", "VVI", "VVV")  # each component has a covariance that depends on no other


def axes_of_means(
    family: Family,
    structure: Structure,
    params: Any,
    x: Array,
    kept: Sequence[str],
    options: Mapping[str, Any],
) -> Axes:
    """The means of a further component, at the covariance of the fit or at the least there is.

    Raises TypeError, ValueError as `Family.axes` does.
    """
    refuse_kept(family, [name for name in kept if name != COVARIANCES], {})
    least = options.get(OPTION)
    refuse_kept(family, (), {name: value for name, value in options.items() if name != OPTION})
    if structure.is_shared or kept:
        if least is not None:
            raise ValueError(
                f"`{OPTION}` is {least!r}, but all components have one covariance here, that of "
                "the fit; leave it out."
            )
        covariance = params.covariances[0]
        if not (params.covariances == covariance).all():
            raise ValueError(
                "the held covariances differ between components, and do not say which a further "
                "component has; hold one for all."
            )
        return _axes(family, covariance, x, "the covariance of the fit", True)
    if least is None:
        raise ValueError(
            "a further gaussian component with a variance of its own closes in on a single row "
            "and adds without bound, so there is no certificate. Pass the least variance that a "
            f'component may have, {OPTION}=; or fit with covariance="tied", or with '
            'emframe.fixed("gaussian", covariances=...).'
        )
    if structure.code not in OWN:
        raise ValueError(
            f'`{OPTION}` goes with covariance="full", "diag" or "spherical"; in {structure.code} '
            "a further covariance depends on the others."
        )
    variances = _checked(least, x.shape[1], alike=structure.code == "VII")
    sd = np.sqrt(variances)
    correlations = params.covariances / sd[:, None] / sd
    holds_fit = bool(np.linalg.eigvalsh(correlations).min() >= 1.0 - 64 * EPS)
    told = " and ".join(f"{one:g}" for one in np.unique(variances))
    return _axes(family, np.diag(variances), x, f"variances of at least {told}", holds_fit)


def _axes(family: Family, covariance: Array, x: Array, given: str, holds_fit: bool) -> Axes:
    sd = np.sqrt(np.diagonal(covariance))
    root = sd[:, None] * np.linalg.cholesky(covariance / sd[:, None] / sd)  # S = root root'
    centre = x[0] + (x - x[0]).mean(axis=0)
    white = solve_triangular(root, (x - centre).T, lower=True)  # (d, n)
    turn = np.linalg.eigh(white @ white.T)[1]  # along the rows, for the smallest box
    t = white.T @ turn
    back = (root @ turn).T

    def at(points: Array) -> Any:
        shape = (len(points), *covariance.shape)
        return family.parameters(centre + points @ back, np.broadcast_to(covariance, shape).copy())

    def slack(centres: Array, points: Array) -> Array:
        return np.asarray(0.5 * np.square(centres - points).sum(axis=1))

    curve = Curve(t, lambda means: means, lambda low, _: np.ones(low.shape))
    return Axes(t.min(axis=0), t.max(axis=0), at, slack, given, holds_fit, curve)


def _checked(least: Any, d: int, *, alike: bool) -> Array:
    """The least variance of each column, (d,)."""
    expected = "one variance above 0" + ("" if alike else ", or one for each column")
    try:
        found = np.broadcast_to(np.asarray(least, dtype=float), (d,))
    except (TypeError, ValueError):
        raise ValueError(f"`{OPTION}` is {least!r}; pass {expected}.") from None
    if not (np.isfinite(found) & (found > 0)).all() or (alike and np.ptp(found) > 0):
        raise ValueError(f"`{OPTION}` is {least!r}; pass {expected}.")
    return found
