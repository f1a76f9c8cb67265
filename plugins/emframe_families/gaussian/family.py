"""Gaussian rows, with covariances of any of the fourteen structures of `gaussian_structures`.

    log f(x | mu, Sigma) = -1/2 [ d log(2 pi) + log|Sigma| + (x - mu)' Sigma^-1 (x - mu) ]

The statistics are each component's count, mean and scatter about that mean.  Whether a covariance
is singular is judged on its correlations, with the columns' units taken out.

One known case: a single component has the sample mean and the covariance with divisor n.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log, pi
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import log_ndtr, multigammaln

from emframe import ConjugatePrior, Family, Real
from emframe.core import Contract, Degenerate
from emframe.families import Axes, Blurred, Kernel, Stand, Survey, refuse_empty
from emframe.families.flat import Flat
from emframe.parameters import declarations, keep, pullback
from emframe.parameters import held as stored
from emframe.spaces import Array
from emframe_families.gaussian import flat as gaussian_flat
from emframe_families.gaussian import kernels as gaussian_kernels
from emframe_families.gaussian.bounds import axes_of_means
from emframe_families.gaussian.parameters import PARAMETERS, of_spread
from emframe_families.gaussian.scatter import (
    AT_ONCE,
    SINGULAR,
    Scatter,
    diagonals,
    distances,
    least_determinant,
    smallest_correlations,
    transposed,
)
from emframe_families.gaussian.structures import (
    NAMES_FOR_ONE_COLUMN,
    Structure,
    structure,
)
from emframe_families.real import normal_between

EPS, TINY = float(np.finfo(float).eps), float(np.finfo(float).tiny)
# A standard deviation below this share of the mean is the rounding of the rows and their sum.
FLAT = 16 * EPS
# Nor is one this much smaller than the average distance of the rows from their mean: a sum of
# squares about one mean has no digits left about another.
POINT = 1e-12

# The other eigenvalues of a correlation matrix multiply to less than e: they sum to d at most.
WIDE = 3.0

# The least that stands for `SINGULAR` where covariances depend on each other: to round them takes
# them off their structure, and that changes Q to first order.
ROUGH = 1e-9

# The weight of a component without rows, of all rows, where others depend on its covariance.
FAINT = 1e-14

# Up to here squares of numbers and sums of many of them are in range, and so they are of
# differences from here on.
LARGEST, LEAST_RANGE = 1e148, 1e-150


@dataclass(frozen=True)
class Gaussian(Family):
    """Any number of real columns, jointly normal within each component.

    Parameters
    ----------
    covariance : "full", "diag", "spherical" or "tied", which are VVV, VVI, VII and EEE among the
        fourteen structures by mclust's names: EII, VII, EEI, VEI, EVI, VVI, EEE, VEE, EVE, VVE,
        EEV, VEV, EVV, VVV (volume, shape and orientation; E equal, V variable, I the identity).
        For one column also "E" and "V".
    """

    covariance: str = "full"

    name = "gaussian"
    support = Real(largest=LARGEST, least_range=LEAST_RANGE)
    equivariant = ("scale", "shift")
    truncates = True
    blurs = True
    gaps = "expect missing values: missing=True"

    def __post_init__(self) -> None:
        structure(self.covariance)

    @cached_property
    def structure(self) -> Structure:
        """What the covariances have in common."""
        return structure(self.covariance)

    @cached_property
    def parameters(self) -> type:
        return PARAMETERS[self.structure.code]

    @property
    def contract(self) -> Contract:  # type: ignore[override]
        """Common axes are a local maximum of Q; all else is the highest."""
        is_local = self.structure.has_axes and self.structure.orientation == "E"
        return Contract.GENERALISED if is_local else Contract.EXACT

    @property
    def priors(self) -> tuple[str, ...]:  # type: ignore[override]
        """None where covariances depend on each other: a product of densities is no density."""
        return () if self.structure.is_coupled else ("weak",)

    @property
    def width(self) -> int | None:  # type: ignore[override]
        return 1 if self.covariance in NAMES_FOR_ONE_COLUMN else None

    @cached_property
    def _diagonal(self) -> bool:
        return self.structure.is_diagonal

    def with_gaps(self) -> Gaussian:
        from emframe_families.gaussian.gaps import GaussianWithGaps  # which is one of these itself

        return GaussianWithGaps(self.covariance)

    # ---- E

    def log_density(self, params: Any, x: Array) -> Array:
        whiten, log_det = params.whitening
        distance = distances(x, params.means, whiten)
        return (-0.5 * (x.shape[1] * log(2 * pi) + log_det[:, None] + distance)).T

    def accumulate(self, x: Array, resp: Array) -> Scatter:
        counts = resp.sum(axis=0)
        safe = np.where(counts > 0, counts, 1.0)[:, None]
        # A first centring keeps the digits of the means when the data lie far from the origin.
        means = x[0] + (resp.T @ (x - x[0])) / safe
        scatter = np.concatenate([self._scatter(x, *one) for one in self._some(x, resp.T, means)])
        return Scatter(counts, means, scatter, counts)

    def _some(self, x: Array, resp: Array, means: Array) -> Iterator[tuple[Array, Array]]:
        """Shares (K, n) and means of so many components that their rows stay in memory."""
        step = max(1, AT_ONCE // max(1, x.size))
        for first in range(0, len(means), step):
            yield resp[first : first + step], means[first : first + step]

    def _scatter(self, x: Array, resp: Array, means: Array) -> Array:
        centred = x - means[:, None, :]  # (K, n, d)
        weighted = centred * resp[:, :, None]
        if self._diagonal:
            return np.asarray(np.einsum("knd,knd->kd", weighted, centred))
        return np.asarray(transposed(weighted) @ centred)

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """The forms of `emframe_families.gaussian.kernels`, the cheapest that is exact enough."""
        yield from gaussian_kernels.kernels(self.structure.form, params, constants, survey)
        yield from super().kernels(params, constants, survey)

    # ---- M

    def expected(self, statistics: Scatter, params: Any) -> float:
        whiten, log_det = params.whitening
        shift = statistics.means - params.means
        if self._diagonal:
            about = statistics.scatter + statistics.counts[:, None] * shift**2
            distance = np.vdot(about, whiten**2)
        else:
            off = (whiten @ shift[:, :, None])[:, :, 0]
            within = np.vdot(whiten @ statistics.scatter, whiten)
            distance = within + np.vdot(statistics.counts[:, None] * off, off)
        d = params.means.shape[1]
        return -0.5 * float(statistics.dof @ (d * log(2 * pi) + log_det) + distance)

    def m_step(self, statistics: Scatter, previous: Any) -> Any:
        # A count so small that its reciprocal overflows holds no row in any useful sense.
        empty = statistics.counts <= TINY
        used: slice | NDArray[np.bool_] = slice(None)
        scatter, dof = statistics.scatter, statistics.dof
        if previous is None:
            refuse_empty(empty)
        if empty.any():
            used = ~empty
            scatter, dof = self._with_previous(empty, scatter, dof, previous)
        axes = getattr(previous, "axes", None)
        if self.structure.is_coupled:
            self._refuse_collapse(statistics, scatter, dof, used)
        covariances = self.structure.covariances(scatter, dof, axes)
        if self.structure.is_shared:
            used = slice(0, 1)
        self._refuse_degenerate(statistics, covariances, used, shared=self.structure.is_shared)
        params = self._made(statistics.means, covariances)
        return keep(empty, previous, params) if empty.any() else params

    def _made(self, means: Array, spread: Array) -> Any:
        return of_spread(self.parameters, means, spread)

    def m_step_given(
        self,
        statistics: Scatter,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any | None:
        """Scatters about the means that are held; means alone where covariances are.

        One covariance for all components is that of the structure which says so.  None where means
        are shared, which depend on the covariances.
        """
        if "means" in shared:
            return None
        if "covariances" in held:
            return self._means_given(statistics, previous, like.covariances)
        if "means" in held:
            statistics = statistics.about(like.means)
        family = self._of_one_covariance if "covariances" in shared else self
        own = None
        if previous is not None:
            own = family._made(previous.means, stored(previous, "covariances"))
        found = family.m_step(statistics, own)
        return self._made(found.means, stored(found, "covariances"))

    def _means_given(self, statistics: Scatter, previous: Any, covariances: Array) -> Any:
        """The mean of a component's rows, whatever its covariance."""
        empty = statistics.counts <= TINY
        if previous is None:
            refuse_empty(empty)
        params = self.parameters(statistics.means, covariances)
        return keep(empty, previous, params) if empty.any() else params

    @property
    def _of_one_covariance(self) -> Gaussian:
        """The family of one covariance of this shape for all components."""
        if self._diagonal:
            return Gaussian("EII" if self.structure.shape == "I" else "EEI")
        return Gaussian("EEE")

    def _with_previous(
        self, empty: NDArray[np.bool_], scatter: Array, dof: Array, previous: Any
    ) -> tuple[Array, Array]:
        """Scatters and what divides them, where components without rows have those of before.

        At a weight that moves no other component: of what they have in common they decide nothing.
        """
        weight = 0.0 if self.structure.is_shared else FAINT * dof.sum()
        before = previous.spread
        mask = empty.reshape((-1,) + (1,) * (scatter.ndim - 1))
        return np.where(mask, weight * before, scatter), np.where(empty, weight, dof)

    def _refuse_collapse(
        self, statistics: Scatter, scatter: Array, dof: Array, used: slice | NDArray[np.bool_]
    ) -> None:
        """Raise where a component's own part is singular, before it comes to what they share."""
        own = (scatter.T / dof).T
        if self.structure.shape == "V":
            self._refuse_degenerate(statistics, own, used)
        elif self.structure.volume == "V":
            variances = own if own.ndim == 2 else own.diagonal(0, 1, 2)
            volume = variances.mean(axis=1, keepdims=True)
            one = np.broadcast_to(volume, variances.shape)
            self._refuse_degenerate(statistics, one if own.ndim == 2 else diagonals(one), used)
            together = np.broadcast_to(np.einsum("k,k...->...", dof / dof.sum(), own), own.shape)
            self._refuse_degenerate(statistics, together, slice(0, 1), shared=True)

    def _refuse_degenerate(
        self,
        statistics: Scatter,
        covariances: Array,
        used: slice | NDArray[np.bool_],
        shared: bool = False,
    ) -> None:
        """Raise where a covariance is singular to rounding, in the columns' own units.

        used : those to judge, as an index.
        shared : whether the first is that of all components.

        The length of a column is where a component lies, or how far the data spread: the origin
        is a place like any other.
        """
        variances = covariances if covariances.ndim == 2 else covariances.diagonal(0, 1, 2)
        all_sd = np.sqrt(variances)
        sd = all_sd[used]
        self.refuse_points(statistics, all_sd, sd, used, shared)
        if self._diagonal or sd.shape[1] == 1:
            return
        judged = covariances[used]
        least = ROUGH if self.structure.is_coupled else SINGULAR
        if least_determinant(judged, sd) > WIDE * least:
            return  # no eigenvalue can be as small as that
        regular = smallest_correlations(judged) > least
        if not regular.all():
            first = int(regular.argmin())
            correlation = judged[first] / sd[first][:, None] / sd[first]
            _, directions = np.linalg.eigh(correlation)
            among = np.flatnonzero(np.abs(directions[:, 0]) > 0.1)
            k = int(np.arange(len(statistics.counts))[used][first])
            raise Degenerate(
                f"{self._owner(k, shared)} is singular: its rows lie in a plane, with "
                "{columns} collinear, or are too few",
                k,
                among.tolist(),
            )

    def refuse_points(
        self,
        statistics: Scatter,
        all_sd: Array,
        sd: Array,
        used: slice | NDArray[np.bool_] = slice(None),
        shared: bool = False,
    ) -> None:
        """Raise where a standard deviation (K, d) is none beside where its component lies."""
        counts, means = statistics.counts, statistics.means
        # Twice the farthest mean and the largest deviation are no less than `spread` and `reach`.
        far = np.abs(means).max(axis=0) * 2.0
        far += all_sd.max(axis=0)
        if (all_sd.min(axis=0) > POINT * far).all():
            return
        share = counts / counts.sum()
        spread = share @ (np.abs(means - share @ means) + all_sd)
        reach = np.abs(means).max(axis=0) if shared else np.abs(means[used])
        spreads = sd > np.maximum(FLAT * reach, POINT * spread)
        if not spreads.all():
            row, column = np.unravel_index(int(spreads.argmin()), spreads.shape)
            k = int(np.arange(len(counts))[used][row])
            raise Degenerate(
                f"{self._owner(k, shared)} has no spread in {{columns}}: it sits on a point",
                k,
                [int(column)],
            )

    def _owner(self, k: int, shared: bool) -> str:
        what = "shape" if self.structure.is_coupled else "covariance"
        return f"the shared {what}" if shared else f"component {k}"

    def gradient(self, statistics: Scatter, params: Any) -> Array:
        whiten, _ = params.whitening
        shift = statistics.means - params.means
        moved, dof = statistics.counts[:, None] * shift, statistics.dof[:, None]
        if self._diagonal:
            precision = whiten**2
            along = precision * moved
            about = statistics.scatter + moved * shift
            spread = 0.5 * precision * (precision * about - dof)
        else:
            precision = transposed(whiten) @ whiten
            along = (precision @ moved[:, :, None])[:, :, 0]
            about = statistics.scatter + moved[:, :, None] * shift[:, None, :]
            excess = precision @ about
            excess.reshape(len(dof), -1)[:, :: shift.shape[1] + 1] -= dof  # the diagonals
            spread = 0.5 * excess @ precision
        return pullback(params, self._made(along, spread))

    # ---- the rest

    # ---- the distribution of a row

    def _law(self, params: Any) -> Any:
        """Of each column, (K, d)."""
        return scipy.stats.norm(params.means, np.sqrt(self.variance(params)))

    def log_cdf(self, params: Any, x: Array) -> Array:
        """Of one column, or of columns that are independent."""
        if x.shape[1] > 1 and not self._diagonal:
            raise self._without("distribution function of columns that depend on each other")
        return np.asarray(log_ndtr(self._away(params, x)).sum(axis=2))

    def log_sf(self, params: Any, x: Array) -> Array:
        if x.shape[1] > 1:
            return super().log_sf(params, x)
        return np.asarray(log_ndtr(-self._away(params, x))[:, :, 0])

    def _away(self, params: Any, x: Array) -> Array:
        """Rows from the means, in standard deviations, (n, K, d)."""
        return np.asarray((x[:, None, :] - params.means) / np.sqrt(self.variance(params)))

    def blurred(self, params: Any, x: Array, roots: Array) -> Blurred:
        from emframe_families.gaussian.blurred import blurred  # which knows rows with gaps

        return blurred(params.means, params.covariances, x, roots)

    def truncated(self, params: Any, low: Array, high: Array) -> Stand:
        """Of one column."""
        if low.shape[1] > 1:
            return super().truncated(params, low, high)
        sd = np.sqrt(params.covariances[:, 0, 0])
        return normal_between.stand(params.means[:, 0], sd, low, high)

    def mean(self, params: Any) -> Array:
        return np.asarray(params.means)

    def variance(self, params: Any) -> Array:
        return np.asarray(params.variances)

    def quantile(self, params: Any, p: Array) -> Array:
        return np.asarray(self._law(params).ppf(np.asarray(p, dtype=float)[:, None, None]))

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        normal = rng.standard_normal((len(labels), params.means.shape[1]))
        sd = np.sqrt(params.variances)
        if self._diagonal:
            return np.asarray(params.means[labels] + sd[labels] * normal)
        correlation = params.covariances / sd[:, :, None] / sd[:, None, :]
        factor = np.linalg.cholesky(correlation) * sd[:, :, None]
        return np.asarray(params.means[labels] + np.einsum("nij,nj->ni", factor[labels], normal))

    def conjugate_prior(self, prior: Any, whole: Scatter, k: int) -> ConjugatePrior[Scatter]:
        """``"weak"``: the normal-inverse-Wishart default of Fraley and Raftery (2007, section 3.2).

        mean ~ N(data mean, Sigma / 0.01), Sigma ~ inverse-Wishart(d + 2, S / K^(2/d)) with S the
        covariance of the data, or its diagonal where that is nearly singular; for diag and
        spherical the inverse gamma density of each variance with the same degrees of freedom and
        the average variance.  Flat on the weights.

        Data without spread in a column say nothing of its variance.  The only length they give is
        that of the value itself, so its square stands for the variance, in the column's own units;
        zeros have no unit, and with what squares to zero get 1.  A spherical variance asks for it
        only where no column has any spread.
        """
        if prior not in self.priors:
            return super().conjugate_prior(prior, whole, k)
        total, centre = float(whole.counts[0]), whole.means[0]
        d = len(centre)
        kappa, nu = 0.01, d + 2.0
        spread = whole.scatter[0] / (total - 1.0 if total > 1.0 else total)
        own = spread if self._diagonal else np.diag(spread)
        flat = ~(np.sqrt(own) > FLAT * np.abs(centre))
        magnitude = np.where(np.abs(centre) > LEAST_RANGE, centre**2, 1.0)
        if self.structure.shape == "I":
            scale: Array = np.full(d, magnitude.mean() if flat.all() else own.mean())
            variances = 1
        elif self._diagonal:
            scale, variances = np.where(flat, magnitude, own.mean()), d
        else:
            scale, variances = _without_singularity(spread, flat, magnitude), 0
        scale = scale / k ** (2.0 / d)
        return _normal_inverse_wishart(
            k, centre, kappa, nu, scale, variances, shared=self.structure.is_shared
        )

    def stacked(self, k: int) -> Gaussian:
        from emframe_families.gaussian.stacked import InGroups  # which is one of these itself

        coupled = self.structure.is_shared or self.structure.is_coupled
        return InGroups(self.covariance, k) if coupled else self

    def flat(self, x: Array, weights: Array) -> Flat | None:
        return gaussian_flat.flat(self.structure.code, self.parameters, x, weights)

    def axes(self, params: Any, x: Array, kept: Sequence[str] = (), **options: Any) -> Axes:
        """The means, of components with one covariance or a least one; see `gaussian_bounds`."""
        return axes_of_means(self, self.structure, params, x, kept, options)

    def freedom(self, params: Any, k: int) -> NDArray[np.intp]:
        """Of a mean, and of what a covariance has of its own, where that includes its volume.

        With one volume for all the likelihood has a bound.
        """
        kind: Any = type(params)
        declared = declarations(kind)
        own = declared["means"], declared["covariances"]
        return np.full(k, self.structure.freedom(params.means.shape[1], *own))


def _without_singularity(spread: Array, flat: NDArray[np.bool_], magnitude: Array) -> Array:
    """A covariance (d, d) with other variances where it is flat; its diagonal if nearly singular.

    A component under the prior may be thinner than the data, so there has to be room to spare.
    """
    variances = np.where(flat, magnitude, np.diag(spread))
    between = np.where(flat | flat[:, None], 0.0, spread)
    np.fill_diagonal(between, variances)
    sd = np.sqrt(variances)
    least = np.linalg.eigvalsh(between / sd / sd[:, None])[0]
    return between if least > 100 * SINGULAR else np.diag(variances)


def _normal_inverse_wishart(
    k: int, centre: Array, kappa: float, nu: float, scale: Array, variances: int, shared: bool
) -> ConjugatePrior[Scatter]:
    """Pseudo-data whose `expected` is the log density of the prior, up to the constant returned.

    With p = d + 1 for a covariance matrix and p = 2 for each of `variances` separate variances,
    the exponent of |Sigma| is -(nu + p) / 2 from the covariance and -1/2 from the mean.
    """
    d = len(centre)
    normal = 0.5 * d * log(kappa / (2 * pi))  # the mean's constant
    if variances == 0:
        exponent = nu + d + 1.0
        sd = np.sqrt(np.diag(scale))
        log_det = float(np.linalg.slogdet(scale / sd / sd[:, None])[1] + 2.0 * np.log(sd).sum())
        wishart = 0.5 * nu * (log_det - d * log(2.0)) - float(multigammaln(0.5 * nu, d))
    else:
        # -(nu / 2 + 1) log variance for each; Scatter gives dof / 2 to each of d log variances.
        exponent = (nu + 2.0) * variances / d
        half = 0.5 * nu
        each = half * np.log(0.5 * scale[:variances]) - float(multigammaln(half, 1))
        wishart = float(each.sum())
        scale = scale * variances / d
    copies = 1.0 / k if shared else 1.0
    dof = np.full(k, exponent * copies + 1.0)
    statistics = Scatter(
        np.full(k, kappa), np.tile(centre, (k, 1)), np.stack([scale * copies] * k), dof
    )
    # `expected` adds -dof d log(2 pi) / 2, which the prior does not have.
    surplus = 0.5 * d * log(2 * pi) * float(dof.sum())
    return ConjugatePrior(statistics, surplus + k * normal + wishart * (1 if shared else k))
