"""The fourteen structures of K covariances: volume, shape and orientation, alike or not.

    Sigma_k = lambda_k D_k A_k D_k',    |A_k| = 1, diagonal;  D_k orthogonal

Each of the three is E, equal for all components, V, variable, or I, the identity, which shape and
orientation may be: EII, VII, ..., VVV (Banfield and Raftery 1993, Biometrics 49, 803).  Given the
scatters of the rows about the means the M-step takes two steps (Celeux and Govaert 1995):

    axes     the columns (orientation I), those of each scatter (V), or those in common (E); along
             them only the diagonals of the scatters matter
    spread   of what is left, diagonals or whole matrices, by volume and shape

Where shape and orientation are both E or both V no axes are needed: the scatters stay whole.

One known case: for one component all structures of the same shape and orientation coincide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from emframe.core import Degenerate
from emframe.parameters import Declared
from emframe.spaces import Array
from emframe_families.gaussian.axes import Criterion, EqualVolume, OwnVolumes, common_axes
from emframe_families.gaussian.scatter import transposed
from emframe_families.gaussian.volumes import equal_volume, own_volumes

CODES = (
    *("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE"),
    *("VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV"),
)
NAMES_OF_SCIKIT_LEARN = {"full": "VVV", "diag": "VVI", "spherical": "VII", "tied": "EEE"}
NAMES_FOR_ONE_COLUMN = {"E": "EII", "V": "VII"}
BY_NAME = NAMES_OF_SCIKIT_LEARN | {code: code for code in CODES} | NAMES_FOR_ONE_COLUMN
# An eigenvalue below this share of the largest is rounding: axes, unlike triangles, mind the units.
THIN = 1e-14


@dataclass(frozen=True)
class Structure:
    """What the covariances of components have in common."""

    code: str  # one of CODES

    @cached_property
    def volume(self) -> str:
        return self.code[0]

    @cached_property
    def shape(self) -> str:
        return self.code[1]

    @cached_property
    def orientation(self) -> str:
        return self.code[2]

    @cached_property
    def is_diagonal(self) -> bool:
        """Whether all covariances are diagonal."""
        return self.orientation == "I"

    @cached_property
    def is_shared(self) -> bool:
        """Whether all components have one covariance."""
        return "V" not in self.code

    @cached_property
    def is_coupled(self) -> bool:
        """Whether each component has a covariance of its own that depends on the others'."""
        return "E" in self.code and not self.is_shared

    @cached_property
    def has_axes(self) -> bool:
        """Whether shape and orientation have to be told apart."""
        return not self.is_diagonal and self.shape != self.orientation

    @cached_property
    def form(self) -> str:
        """How the rows are met: "tied", "diag" or "full"; see `gaussian_kernels.FORMS`."""
        return "tied" if self.is_shared else "diag" if self.is_diagonal else "full"

    def n_free(self, k: int, d: int) -> int:
        """Free parameters of K covariances of d columns."""
        sizes = {"volume": 1, "shape": d - 1, "orientation": d * (d - 1) // 2}
        times = {"I": 0, "E": 1, "V": k}
        return sum(size * times[getattr(self, part)] for part, size in sizes.items())

    def freedom(self, d: int, centre: Declared, scale: Declared) -> int:
        """Free parameters of each component by itself; 0 where its volume is not.

        Parameters
        ----------
        centre, scale : what a mean and a covariance are declared to be, held or shared.
        """
        if self.volume == "E" or scale.fixed or scale.shared:
            return 0
        own = self.n_free(2, d) - self.n_free(1, d)
        return own if centre.fixed or centre.shared else own + d

    # ---- M

    def covariances(self, scatter: Array, dof: Array, axes: Array | None) -> Array:
        """The covariances (K, d, d) that maximise the likelihood; variances (K, d) where diagonal.

        Parameters
        ----------
        scatter : (K, d, d) about the means, or where all is diagonal (K, d).
        dof : (K,) the counts that divide them.
        axes : (d, d) where to begin looking for common axes, or None.

        Each scatter has full rank where shapes are variable, and is not 0 where volumes are.
        Raises `emframe.Degenerate` where there is no maximum all the same.
        """
        if self.is_diagonal:
            return self._spread(scatter, dof)
        if not self.has_axes:
            return symmetric(self._spread(scatter, dof))
        if self.orientation == "V":
            values, turned = np.linalg.eigh(scatter)
            values = np.maximum(values, 0.0)
        else:
            _refuse_thin(scatter.diagonal(0, 1, 2))  # which are no thinner than axes can be
            turned = self._common_axes(scatter, dof, axes)[None]
            values = (transposed(turned) @ scatter @ turned).diagonal(0, 1, 2)
        variances = self._spread(values, dof)
        _refuse_thin(variances)
        return along(turned, variances)

    def _common_axes(self, scatter: Array, dof: Array, axes: Array | None) -> Array:
        criterion: Criterion = EqualVolume(dof) if self.volume == "E" else OwnVolumes(dof)
        unit = np.einsum("kjj->k", scatter).max()  # keeps squares of reciprocals in range
        return common_axes(scatter / unit, criterion, axes)

    def _spread(self, scatter: Array, dof: Array) -> Array:
        """Covariances by volume and shape, or where `scatter` is diagonals their diagonals."""
        if self.shape == "I":
            scatter = np.broadcast_to(scatter.mean(axis=1, keepdims=True), scatter.shape)
        if self.volume == "E" and self.shape != "V":
            return np.broadcast_to(scatter.sum(axis=0) / dof.sum(), scatter.shape)
        if self.shape == "E":
            return own_volumes(scatter, dof)
        if self.volume == "E":
            return equal_volume(scatter, dof)
        return np.asarray((scatter.T / dof).T)


def _refuse_thin(variances: Array) -> None:
    """Raise where variances (K, d) of a component are so far apart that rounding hides some."""
    thin = variances.min(axis=1) <= THIN * variances.max(axis=1)
    if thin.any():
        k = int(thin.argmax())
        raise Degenerate(
            f"component {k} is singular along one of its axes, or the columns are in units too "
            "far apart to tell",
            k,
        )


@cache
def structure(name: str) -> Structure:
    """The structure of that name.  Raises ValueError for any other."""
    if name not in BY_NAME:
        raise ValueError(f"`covariance` is {name!r}; expected one of {', '.join(BY_NAME)}.")
    return Structure(BY_NAME[name])


def along(axes: Array, variances: Array) -> Array:
    """D diag(v) D' for axes D (K, d, d) or (1, d, d) and variances v (K, d)."""
    root = axes * np.sqrt(variances)[:, None, :]
    return symmetric(root @ transposed(root))


def symmetric(matrices: Array) -> Array:
    return np.asarray(0.5 * (matrices + transposed(matrices)))
