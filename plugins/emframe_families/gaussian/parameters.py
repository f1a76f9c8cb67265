"""Parameters of Gaussian components: means, and covariances that live where their structure does.

One known case: of two components with two columns each the means are 4 numbers, and of the
covariances VVV has 6 free, EEE 3 and EII 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from emframe import PositiveDefinite, Real, parameter
from emframe.parameters import declarations, held, packing
from emframe.spaces import Array
from emframe_families.gaussian.scatter import diagonals, whitening
from emframe_families.gaussian.spaces import CovarianceStack

SQUARE = ("d", "d")


class Whitened:
    """What every structure has; parameters are values, so it is worked out but once for each."""

    means: Array
    covariances: Array
    diagonal: ClassVar[bool] = False
    shared: ClassVar[bool] = False

    @property
    def spread(self) -> Array:
        """The covariances (K, d, d) or, of a diagonal structure, the variances (K, d)."""
        return self.variances if self.diagonal else self.covariances

    @property
    def variances(self) -> Array:
        """Of each column, (K, d)."""
        found: Array = held(self, "covariances")
        return found if found.ndim == 2 else found.diagonal(0, 1, 2)

    @cached_property
    def whitening(self) -> tuple[Array, Array]:
        """W with W Sigma W' = 1, (K, d, d) or its diagonal (K, d), and log|Sigma|, (K,)."""
        spread = self.spread
        if not self.shared:
            return whitening(spread)
        one, log_det = whitening(spread[:1])
        k = len(spread)
        return np.broadcast_to(one, (k, *one.shape[1:])), np.broadcast_to(log_det, k)


@dataclass(frozen=True)
class FullParameters(Whitened):
    """Each component has a covariance of its own."""

    means: Array = parameter(Real(), shape="d")  # (K, d)
    covariances: Array = parameter(PositiveDefinite(), shape=SQUARE)  # (K, d, d)


@packing
@dataclass(frozen=True)
class DiagonalParameters(Whitened):
    """Each component has a variance for each column."""

    means: Array = parameter(Real(), shape="d")  # (K, d)
    covariances: Array = parameter(PositiveDefinite("diagonal"), shape=SQUARE)  # (K, d, d)
    diagonal = True


@packing
@dataclass(frozen=True)
class SphericalParameters(Whitened):
    """Each component has one variance for all columns."""

    means: Array = parameter(Real(), shape="d")  # (K, d)
    covariances: Array = parameter(PositiveDefinite("spherical"), shape=SQUARE)  # (K, d, d)
    diagonal = True


@dataclass(frozen=True)
class TiedParameters(Whitened):
    """All components share one covariance."""

    means: Array = parameter(Real(), shape="d")  # (K, d)
    covariances: Array = parameter(PositiveDefinite(), shape=SQUARE, shared=True)  # (K, d, d)
    shared = True


@dataclass(frozen=True)
class TiedDiagonalParameters(DiagonalParameters):
    """All components share a variance for each column."""

    covariances: Array = parameter(PositiveDefinite("diagonal"), shape=SQUARE, shared=True)
    shared = True


@dataclass(frozen=True)
class TiedSphericalParameters(SphericalParameters):
    """All components share one variance for all columns."""

    covariances: Array = parameter(PositiveDefinite("spherical"), shape=SQUARE, shared=True)
    shared = True


@dataclass(frozen=True)
class VEI(DiagonalParameters):
    """Diagonals that are multiples of one."""

    covariances: Array = parameter(CovarianceStack("diagonal", "VEI"), shape=SQUARE)


@dataclass(frozen=True)
class EVI(DiagonalParameters):
    """Diagonals of one determinant."""

    covariances: Array = parameter(CovarianceStack("diagonal", "EVI"), shape=SQUARE)


@dataclass(frozen=True)
class VEE(FullParameters):
    """Multiples of one covariance."""

    covariances: Array = parameter(CovarianceStack("full", "VEE"), shape=SQUARE)


@dataclass(frozen=True)
class VVE(FullParameters):
    """Covariances with common axes."""

    covariances: Array = parameter(CovarianceStack("full", "VVE"), shape=SQUARE)

    @cached_property
    def axes(self) -> Array:
        """The common axes, (d, d), one to a column."""
        return CovarianceStack("full", "VVE").axes(self.covariances)


@dataclass(frozen=True)
class EVE(VVE):
    """Covariances of one determinant with common axes."""

    covariances: Array = parameter(CovarianceStack("full", "EVE"), shape=SQUARE)


@dataclass(frozen=True)
class EEV(FullParameters):
    """One covariance, turned."""

    covariances: Array = parameter(CovarianceStack("full", "EEV"), shape=SQUARE)


@dataclass(frozen=True)
class VEV(FullParameters):
    """Multiples of one covariance, turned."""

    covariances: Array = parameter(CovarianceStack("full", "VEV"), shape=SQUARE)


@dataclass(frozen=True)
class EVV(FullParameters):
    """Covariances of one determinant."""

    covariances: Array = parameter(CovarianceStack("full", "EVV"), shape=SQUARE)


def of_spread(kind: Any, means: Array, spread: Array) -> Any:
    """Parameters of a class from means and covariances (K, d, d), or variances (K, d)."""
    if spread.ndim == 2 and not declarations(kind)["covariances"].is_packed(spread):
        spread = diagonals(spread)
    return kind(means, spread)


PARAMETERS: dict[str, type] = {
    "EII": TiedSphericalParameters,
    "VII": SphericalParameters,
    "EEI": TiedDiagonalParameters,
    "VEI": VEI,
    "EVI": EVI,
    "VVI": DiagonalParameters,
    "EEE": TiedParameters,
    "VEE": VEE,
    "EVE": EVE,
    "VVE": VVE,
    "EEV": EEV,
    "VEV": VEV,
    "EVV": EVV,
    "VVV": FullParameters,
}
