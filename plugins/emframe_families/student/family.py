"""Rows with heavy tails: each component a multivariate t distribution.

    u ~ Gamma(dof / 2, rate dof / 2),    x | u ~ Normal(mu, Sigma / u),    so x ~ t(mu, Sigma, dof)

A row far out has a small u, and counts for little.  So there are two latent variables, the z that
picks the component and the u within it, and two ways to EM (Peel and McLachlan 2000, Statistics
and Computing 10, 339).  Here u is integrated out: f is the t density, z alone is latent in Q, and
u lives inside the M-step.  Three reasons.  The less is missing, the fewer steps EM takes (Dempster,
Laird and Rubin 1977, section 3).  The degrees of freedom may then be found from the density itself,
where those from u converge slowest of all (Liu and Rubin 1995, Statistica Sinica 5, 19).  And a
normal component, dof = inf, is a point like any other; u has no density there, and EM with it could
never leave.  The price is that sums over rows are not enough: E keeps the rows.

The M-step is one cycle of ECME (Liu and Rubin 1994, Biometrika 81, 633) on the weighted rows:

    u_ik = (dof_k + d) / (dof_k + delta_ik),    delta_ik = (x_i - mu_k)' Sigma_k^-1 (x_i - mu_k)
    mu, Sigma:  a Gaussian M-step with r_ik u_ik in the place of r_ik
    dof:        the highest point of Q along it, at the new mu and Sigma

The scatter is divided by the sum of r u instead of that of r (Kent, Tyler and Vardi 1994, Comm.
Statist. B 23, 441): the fixed point is the same and the way there shorter, and no less an ascent
(Meng and van Dyk 1997, JRSS B 59, 511; Liu, Rubin and Wu 1998, Biometrika 85, 755).

One known case: where dof is held at inf every u is 1 and this is the Gaussian family.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from emframe import ConjugatePrior, Contract, Family, Real
from emframe.core import Degenerate
from emframe.families import Kernel, Survey
from emframe.parameters import Declared, declarations, held
from emframe.parameters.records import record
from emframe.spaces import Array
from emframe_families.gaussian.family import EPS, LARGEST, LEAST_RANGE, TINY, Gaussian
from emframe_families.gaussian.scatter import Scatter
from emframe_families.student.components import Components
from emframe_families.student.rows import Block, Held, Pseudo, StudentKernel
from emframe_families.student.tail import DegreesOfFreedom, Tail

ESTIMATED = ("each", "shared")
# A start knows no tail yet; it tries this one, and takes a few cycles to settle.
FIRST, CYCLES = 8.0, 6
# With fewer degrees of freedom half of the rows are 1e7 and more widths away from a core that is
# then no more than a point.
LEAST = 0.05
# Squared distances between which some of a component's rows lie, or it is on a point as well.
ON, FAR = 1e-10, 1e20


NORMAL = {"locations": "means", "scale_matrices": "covariances"}  # by the Gaussian's names


class Known(NamedTuple):
    """What an M-step is not to estimate, or to have in common for all components."""

    like: Any  # parameters, those that are held with their values
    held: tuple[str, ...]
    shared: tuple[str, ...]


FREE = Known(None, (), ())


@dataclass(frozen=True)
class StudentT(Family):
    """Any number of real columns, jointly t within each component; the rows stay in memory.

    The parameters are ``locations`` (K, d), ``scale_matrices`` (K, d, d) and ``dof`` (K,), the
    degrees of freedom, which may be inf.  Where dof > 2 the covariance is dof / (dof - 2) times
    the scale matrix; where dof > 1 the mean is the location.

    Parameters
    ----------
    covariance : "full", "diag", "spherical", "tied", or any other structure of `gaussian`, here of
        the scale matrices.
    dof : degrees of freedom: "each" component its own, "shared" by all, or the number that they
        are held at.
    """

    covariance: str = "full"
    dof: str | float = "each"

    name = "student-t"
    support = Real(largest=LARGEST, least_range=LEAST_RANGE)
    contract = Contract.GENERALISED
    effort = 5.0
    equivariant = ("scale", "shift")
    gaps = "expect missing values: missing=True"

    def __post_init__(self) -> None:
        Gaussian(self.covariance)  # it knows the structures
        dof: Any = self.dof
        is_number = isinstance(dof, numbers.Real) and not isinstance(dof, bool)
        if not (dof in ESTIMATED if isinstance(dof, str) else is_number and dof > 0):
            raise ValueError(
                f"`dof` is {self.dof!r}; expected 'each' or 'shared', which are estimated, or a "
                "number above 0 that is not (inf for normal components)."
            )
        if not isinstance(dof, (str, int, float)):
            object.__setattr__(self, "dof", float(dof))

    @cached_property
    def parameters(self) -> type:
        normal = declarations(self._gaussian.parameters)
        dof = Declared(DegreesOfFreedom(), shared=self.dof != "each", fixed=self._holds_dof)
        fields = {"locations": normal["means"], "scale_matrices": normal["covariances"], "dof": dof}
        return record("StudentTParameters", fields)

    @property
    def priors(self) -> tuple[str, ...]:  # type: ignore[override]
        return self._gaussian.priors

    @property
    def width(self) -> int | None:  # type: ignore[override]
        return self._gaussian.width

    @property
    def _holds_dof(self) -> bool:
        return self.dof not in ESTIMATED

    @cached_property
    def _gaussian(self) -> Gaussian:
        """The family of x given u = 1."""
        return Gaussian(self.covariance)

    def _at(self, params: Any) -> Components:
        return Components(self._gaussian, params)

    def with_gaps(self) -> StudentT:
        from emframe_families.student.gaps import StudentWithGaps  # which is one of these itself

        return StudentWithGaps(self.covariance, self.dof)

    # ---- E

    def log_density(self, params: Any, x: Array) -> Array:
        here = self._at(params)
        return here.log_density(here.distances(x)).T

    def accumulate(self, x: Array, resp: Array) -> Held:
        # The caller writes the next block's responsibilities where these are.
        return Held((Block(x, np.array(resp.T, order="C")),))

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """The one of `emframe_families.student.rows`."""
        yield StudentKernel(self._at(params), constants)

    # ---- M

    def expected(self, statistics: Held, params: Any) -> float:
        here, pseudo = self._at(params), statistics.pseudo
        total = 0.0
        for block, distance in zip(statistics.blocks, statistics.distances(here), strict=True):
            density = here.shown(block.x).log_density(distance)
            density = np.where(block.resp > 0, density, 0.0)
            total += float(np.vdot(block.resp, density))
        if pseudo is not None:
            total += self._gaussian.expected(pseudo.scatter, here.normal)
            total -= float((pseudo.rates / params.dof).sum())
        return total

    def m_step(self, statistics: Held, previous: Any) -> Any:
        return self._cycled(statistics, previous, FREE)

    def m_step_given(
        self,
        statistics: Held,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any | None:
        """Each half of a cycle given what is held and shared of what it estimates."""
        if "locations" in shared:
            return None
        return self._cycled(statistics, previous, Known(like, held, shared))

    def _cycled(self, statistics: Held, previous: Any, known: Known) -> Any:
        if previous is not None:
            return self._cycle(statistics, previous, known)
        params = self._begun(statistics, known)
        for _ in range(CYCLES):
            params = self._cycle(statistics, params, known)
        return params

    def _normal(self, scatter: Scatter, before: Any, known: Known) -> Any:
        """The Gaussian's M-step, given what is known."""
        if not known.held and not known.shared:
            return self._gaussian.m_step(scatter, before)
        like = self._at(known.like).normal
        fixed, shared = ([NORMAL[one] for one in names if one in NORMAL] for names in known[1:])
        return self._gaussian.m_step_given(scatter, before, like, tuple(fixed), tuple(shared))

    def _plainly(self, statistics: Held) -> Scatter:
        """The Gaussian's statistics of the rows."""
        each = (self._gaussian.accumulate(x, resp.T) for x, resp in statistics.blocks)
        return reduce(add, each)

    def _begun(self, statistics: Held, known: Known) -> Any:
        """Where every u is 1."""
        pseudo = statistics.pseudo
        rows = self._plainly(statistics)
        scatter = rows if pseudo is None else rows + pseudo.scatter
        normal = self._normal(scatter, None, known)
        dof = np.full(len(normal.means), self.dof if self._holds_dof else FIRST)
        dof = known.like.dof if "dof" in known.held else dof
        return self.parameters(normal.means, held(normal, "covariances"), dof)

    def _cycle(self, statistics: Held, params: Any, known: Known) -> Any:
        """One cycle of ECME: locations and scale matrices, then degrees of freedom."""
        here = self._at(params)
        is_shared = self._gaussian.structure.is_shared or "scale_matrices" in known.shared
        own_dof = self.dof == "each" and "dof" not in known.shared
        scatter = self._divided(statistics, statistics.met_at(here).scatter, is_shared and own_dof)
        normal = self._normal(scatter, here.normal, known)
        moved = self.parameters(normal.means, held(normal, "covariances"), params.dof)
        distances = statistics.distances(self._at(moved))
        tail = self._tail(statistics, distances, "dof" in known.shared)
        is_held = self._holds_dof or "dof" in known.held
        dof = params.dof if is_held else tail.maximised(params.dof)
        if statistics.pseudo is None and not ("scale_matrices" in known.held and is_held):
            _refuse_points(tail, dof)
        return replace(moved, dof=dof)

    def _divided(self, statistics: Held, scatter: Scatter, plain: bool) -> Scatter:
        """The same, told what divides it in the M-step, and with pseudo-data where there are any.

        Where components share a scale matrix but not the degrees of freedom, or a part of it alone,
        no divisor but the plain count is an ascent for all; nor is any other beside pseudo-data.
        """
        if statistics.pseudo is not None:
            return replace(scatter, dof=statistics.counts) + statistics.pseudo.scatter
        if self._gaussian.structure.is_coupled or plain:
            return replace(scatter, dof=statistics.counts)
        return scatter

    def _tail(self, statistics: Held, distances: tuple[Array, ...], shared: bool = False) -> Tail:
        """Q as a function of the degrees of freedom, at these squared distances."""
        resp = tuple(block.resp for block in statistics.blocks)
        rates = np.zeros(len(resp[0])) if statistics.pseudo is None else statistics.pseudo.rates
        widths = tuple(_width(block.x) for block in statistics.blocks)
        return Tail(distances, resp, widths, rates, shared or self.dof == "shared")

    def gradient(self, statistics: Held, params: Any) -> Array:
        """That of the Gaussian with r u in the place of r, and that of the tail.

        The coordinate of dof is s = dof^-1/2, and log t = 2 log s.
        """
        here, pseudo = self._at(params), statistics.pseudo
        met = statistics.met_at(here)
        scatter = replace(met.scatter, dof=statistics.counts)
        scatter = scatter if pseudo is None else scatter + pseudo.scatter
        along = self._gaussian.gradient(scatter, here.normal)
        if self._holds_dof:
            return along
        t = 1.0 / params.dof
        slope = self._tail(statistics, met.distances).at(np.where(t > 0, t, 1.0))[1]
        tail = np.divide(2.0 * slope, np.sqrt(t), out=np.zeros_like(t), where=t > 0)
        return np.concatenate([along, tail[:1] if self.dof == "shared" else tail])

    # ---- the rest

    # ---- the distribution of a row

    def _law(self, params: Any) -> Any:
        """Of each column, (K, d)."""
        widths = np.sqrt(np.diagonal(params.scale_matrices, axis1=1, axis2=2))
        return scipy.stats.t(params.dof[:, None], params.locations, widths)

    def log_cdf(self, params: Any, x: Array) -> Array:
        """Of one column: several share the tail, and no axes make them independent."""
        if x.shape[1] > 1:
            raise self._without("distribution function of more than one column")
        return np.asarray(self._law(params).logcdf(x[:, None, :])[:, :, 0])

    def log_sf(self, params: Any, x: Array) -> Array:
        if x.shape[1] > 1:
            return super().log_sf(params, x)
        return np.asarray(self._law(params).logsf(x[:, None, :])[:, :, 0])

    def mean(self, params: Any) -> Array:
        """nan where the tail has none."""
        return np.where(params.dof[:, None] > 1.0, params.locations, np.nan)

    def variance(self, params: Any) -> Array:
        """inf where the tail has none, or nan where it has no mean either."""
        return np.asarray(self._law(params).var())

    def quantile(self, params: Any, p: Array) -> Array:
        return np.asarray(self._law(params).ppf(np.asarray(p, dtype=float)[:, None, None]))

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        centred = replace(self._at(params).normal, means=np.zeros_like(params.locations))
        normal = self._gaussian.sample(centred, labels, rng)
        half = 0.5 * params.dof[labels]
        finite = np.isfinite(half)
        shape = np.where(finite, half, 1.0)
        u = np.where(finite, rng.gamma(shape) / shape, 1.0)
        return np.asarray(params.locations[labels] + normal / np.sqrt(u)[:, None])

    def conjugate_prior(self, prior: Any, whole: Held, k: int) -> ConjugatePrior[Held]:
        """``"weak"``: that of the Gaussian family on locations and scale matrices.

        It is conjugate given u.  And 1 / dof ~ Exponential(1), which says little but that a
        component is no point: without it Q has no bound as dof falls to 0.
        """
        if prior != "weak":
            return super().conjugate_prior(prior, whole, k)
        found = self._gaussian.conjugate_prior(prior, self._plainly(whole), k)
        rate = 0.0 if self._holds_dof else 1.0 / k if self.dof == "shared" else 1.0
        pseudo = Pseudo(found.statistics, np.full(k, rate))
        return ConjugatePrior(Held((), pseudo), found.log_constant)

    def freedom(self, params: Any, k: int) -> NDArray[np.intp]:
        """That of the Gaussian family; degrees of freedom shrink nothing."""
        kind: Any = type(params)
        declared = declarations(kind)
        location, scale, dof = (declared[name] for name in ("locations", "scale_matrices", "dof"))
        d = params.locations.shape[1]
        own = self._gaussian.structure.freedom(d, location, scale)
        return np.full(k, own + (not dof.fixed and not dof.shared) if own else 0)

    def problem(self, params: Any, dims: Mapping[str, int], prefix: str = "") -> str | None:
        wrong = super().problem(params, dims, prefix)
        if wrong or not self._holds_dof or (params.dof == self.dof).all():
            return wrong
        return f"`{prefix}dof` is {params.dof}; it is held at {self.dof}"

    def build(self, values: Any) -> Any:
        """Degrees of freedom that are held may be left out."""
        if self._holds_dof and "dof" not in values and "locations" in values:
            values = {**values, "dof": np.full(len(values["locations"]), self.dof)}
        return super().build(values)

    def template(self, dims: Mapping[str, int]) -> Any:
        if not self._holds_dof:
            return super().template(dims)
        normal, dof = self._gaussian.template(dims), np.full(dims["K"], self.dof)
        return self.parameters(normal.means, held(normal, "covariances"), dof)


def _width(x: Array) -> int:
    """How many columns the rows of a block show; they all show the same."""
    return x.shape[1] - int(np.isnan(x[:1]).sum())


def _refuse_points(tail: Tail, dof: Array) -> None:
    """Raise where a component goes to a point that rows share, with all others in its tail.

    The likelihood has no bound there (Fernandez and Steel 1999, Biometrika 86, 153).
    """
    around = np.zeros(len(dof))
    for distance, resp in zip(tail.distances, tail.resp, strict=True):
        around += (resp * ((distance > ON) & (distance < FAR))).sum(axis=1)
    on_point = (tail.counts > TINY) & ((around <= EPS * tail.counts) | (dof < LEAST))
    if on_point.any():
        k = int(on_point.argmax())
        raise Degenerate(
            f"component {k} sits on a point, with all other rows in a tail of {dof[k]:.2g} "
            "degrees of freedom",
            k,
        )
