"""Rows with heavy tails: each component a multivariate t distribution.

    x | u ~ Normal(mu, Sigma / u),    u ~ Gamma(dof / 2, rate dof / 2),    so    x ~ t(mu, Sigma, dof)

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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from math import inf, log, pi
from operator import add
from typing import Any

import numpy as np

from emframe import ConjugatePrior, Contract, Family, PositiveDefinite, Real
from emframe.parameters import Declared
from emframe.records import record
from emframe.spaces import Array
from emframe_families.gaussian import LARGEST, LEAST_RANGE, Gaussian
from emframe_families.gaussian_scatter import Scatter, distances
from emframe_families.student_tail import DegreesOfFreedom, Tail, log_tail, precision

STRUCTURES = {"full": "full", "diag": "diagonal", "spherical": "spherical", "tied": "full"}
# A start knows no tail yet; it tries this one, and takes a few cycles to settle.
FIRST, CYCLES = 8.0, 6


@dataclass(frozen=True)
class Held:
    """Rows and responsibilities, block by block; they add by lying side by side."""

    blocks: tuple[tuple[Array, Array], ...]  # x (b, d) and resp (K, b) of each
    pseudo: Scatter | None = None  # of a prior

    def __add__(self, other: Held) -> Held:
        both = [one.pseudo for one in (self, other) if one.pseudo is not None]
        return Held(self.blocks + other.blocks, reduce(add, both) if both else None)

    def __mul__(self, factor: float) -> Held:
        pseudo = None if self.pseudo is None else self.pseudo * factor
        return Held(tuple((x, resp * factor) for x, resp in self.blocks), pseudo)


@dataclass(frozen=True)
class StudentT(Family):
    """Any number of real columns, jointly t within each component.

    The parameters are ``locations`` (K, d), ``scale_matrices`` (K, d, d) and ``dof`` (K,), the
    degrees of freedom, which may be inf.  Where dof > 2 the covariance is dof / (dof - 2) times
    the scale matrix; where dof > 1 the mean is the location.

    Parameters
    ----------
    covariance : "full", "diag", "spherical" or "tied": the structure of the scale matrices.
    dof : where the degrees of freedom are held; None to estimate them.
    shared_dof : whether all components have the same.
    """

    covariance: str = "full"
    dof: float | None = None
    shared_dof: bool = False

    name = "student-t"
    support = Real(largest=LARGEST, least_range=LEAST_RANGE)
    contract = Contract.GENERALISED
    effort = 8.0
    priors = ("weak",)
    equivariant = ("scale", "shift")

    def __post_init__(self) -> None:
        if self.covariance not in STRUCTURES:
            raise ValueError(
                f"`covariance` is {self.covariance!r}; expected one of {', '.join(STRUCTURES)}."
            )
        if self.dof is not None and not self.dof > 0:
            raise ValueError(
                f"`dof` is {self.dof}; expected a number above 0 (inf for a normal "
                "distribution), or None to estimate it."
            )

    @property
    def parameters(self) -> type:
        tied, matrices = self.covariance == "tied", PositiveDefinite(STRUCTURES[self.covariance])
        fixed = self.dof is not None
        dof = Declared(DegreesOfFreedom(), shared=self._one_dof, fixed=fixed)
        return record(
            "StudentTParameters",
            {
                "locations": Declared(Real(), ("d",)),
                "scale_matrices": Declared(matrices, ("d", "d"), shared=tied),
                "dof": dof,
            },
        )

    @property
    def _one_dof(self) -> bool:
        return self.shared_dof or self.dof is not None

    @property
    def _gaussian(self) -> Gaussian:
        """The family of x given u = 1."""
        return Gaussian(self.covariance)

    def _normal(self, params: Any) -> Any:
        return self._gaussian.parameters(params.locations, params.scale_matrices)

    # ---- E

    def log_density(self, params: Any, x: Array) -> Array:
        normal, d = self._normal(params), x.shape[1]
        whiten, log_det = normal.whitening
        tail = log_tail(distances(x, normal.means, whiten), params.dof, d)
        return (tail - 0.5 * (d * log(2 * pi) + log_det[:, None])).T

    def accumulate(self, x: Array, resp: Array) -> Held:
        # The caller writes the next block's responsibilities where these are.
        return Held(((x, np.array(resp.T, order="C")),))

    # ---- M

    def expected(self, statistics: Held, params: Any) -> float:
        total = 0.0
        for x, resp in statistics.blocks:
            density = self.log_density(params, x).T
            total += float(np.vdot(resp, np.where(resp > 0, density, 0.0)))
        if statistics.pseudo is not None:
            total += self._gaussian.expected(statistics.pseudo, self._normal(params))
        return total

    def m_step(self, statistics: Held, previous: Any) -> Any:
        if previous is not None:
            return self._cycle(statistics, previous)
        ones = (np.ones(resp.shape) for _, resp in statistics.blocks)
        normal = self._gaussian.m_step(self._scatter(statistics, ones), None)
        dof = np.full(len(normal.means), FIRST if self.dof is None else self.dof)
        params = self.parameters(normal.means, normal.covariances, dof)
        for _ in range(CYCLES):
            params = self._cycle(statistics, params)
        return params

    def _cycle(self, statistics: Held, params: Any) -> Any:
        """One cycle of ECME: locations and scale matrices, then degrees of freedom."""
        old = self._normal(params)
        scatter = self._scatter(statistics, self._precisions(statistics, params))
        normal = self._gaussian.m_step(scatter, old)
        dof = params.dof
        if self.dof is None:
            dof = self._tail(statistics, normal).maximised(dof)
        return self.parameters(normal.means, normal.covariances, dof)

    def _precisions(self, statistics: Held, params: Any) -> Iterator[Array]:
        """E[u | x] of each block, (K, b)."""
        for x, distance in self._distances(statistics, self._normal(params)):
            yield precision(distance, params.dof, x.shape[1])

    def _distances(self, statistics: Held, normal: Any) -> Iterator[tuple[Array, Array]]:
        """The rows of each block, and their squared distances from the components, (K, b)."""
        whiten, _ = normal.whitening
        for x, _ in statistics.blocks:
            yield x, distances(x, normal.means, whiten)

    def _scatter(self, statistics: Held, precisions: Iterator[Array]) -> Scatter:
        """What a Gaussian M-step needs, with r u in the place of r.

        Where components share a scale matrix but not the degrees of freedom no one divisor but
        the plain count is an ascent for all; nor is any other where there are pseudo-data.
        """
        blocks = zip(statistics.blocks, precisions, strict=True)
        parts = [self._gaussian.accumulate(x, (resp * u).T) for (x, resp), u in blocks]
        found = reduce(add, parts)
        if statistics.pseudo is None and (self.covariance != "tied" or self._one_dof):
            return found
        counted = replace(found, dof=self._counts(statistics))
        return counted if statistics.pseudo is None else counted + statistics.pseudo

    def _counts(self, statistics: Held) -> Array:
        return np.asarray(sum(resp.sum(axis=1) for _, resp in statistics.blocks))

    def _tail(self, statistics: Held, normal: Any) -> Tail:
        """Q as a function of the degrees of freedom."""
        found = tuple(distance for _, distance in self._distances(statistics, normal))
        resp = tuple(resp for _, resp in statistics.blocks)
        d = normal.means.shape[1]
        return Tail(found, resp, self._counts(statistics), d, self.shared_dof)

    def gradient(self, statistics: Held, params: Any) -> Array:
        """That of the Gaussian with r u in the place of r; the tail's is 2 / s by log t = s^2."""
        normal = self._normal(params)
        scatter = self._scatter(statistics, self._precisions(statistics, params))
        if statistics.pseudo is None:
            scatter = replace(scatter, dof=self._counts(statistics))
        along = self._gaussian.gradient(scatter, normal)
        if self.dof is not None:
            return along
        t = 1.0 / params.dof
        slope = self._tail(statistics, normal).at(np.where(t > 0, t, 1.0))[1]
        tail = np.divide(2.0 * slope, np.sqrt(t), out=np.zeros_like(t), where=t > 0)
        return np.concatenate([along, tail[:1] if self.shared_dof else tail])

    # ---- the rest

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        centred = self._normal(params)
        centred = replace(centred, means=np.zeros_like(centred.means))
        normal = self._gaussian.sample(centred, labels, rng)
        half = 0.5 * params.dof[labels]
        finite = np.isfinite(half)
        shape = np.where(finite, half, 1.0)
        u = np.where(finite, rng.gamma(shape) / shape, 1.0)
        return np.asarray(params.locations[labels] + normal / np.sqrt(u)[:, None])

    def conjugate_prior(self, prior: Any, whole: Held, k: int) -> ConjugatePrior[Held]:
        """``"weak"``: that of the Gaussian family, on locations and scale matrices.

        It is conjugate given u; flat on the degrees of freedom.
        """
        if prior != "weak":
            return super().conjugate_prior(prior, whole, k)
        rows = reduce(add, (self._gaussian.accumulate(x, resp.T) for x, resp in whole.blocks))
        found = self._gaussian.conjugate_prior(prior, rows, k)
        return ConjugatePrior(Held((), found.statistics), found.log_constant)

    def irregularities(self, params: Any, statistics: Held) -> Mapping[int, str]:
        """As for the Gaussian family, each row counted as much as its component's tail lets it."""
        scatter = self._scatter(statistics, self._precisions(statistics, params))
        return self._gaussian.irregularities(self._normal(params), scatter)

    def problem(self, params: Any, dims: Mapping[str, int], prefix: str = "") -> str | None:
        wrong = super().problem(params, dims, prefix)
        if wrong or self.dof is None or (params.dof == self.dof).all():
            return wrong
        return f"`{prefix}dof` is {params.dof}; it is held at {self.dof}"

    def build(self, values: Any) -> Any:
        """Degrees of freedom that are held may be left out."""
        if self.dof is not None and "dof" not in values and "locations" in values:
            values = {**values, "dof": np.full(len(values["locations"]), self.dof)}
        return super().build(values)

    def template(self, dims: Mapping[str, int]) -> Any:
        if self.dof is None:
            return super().template(dims)
        normal, held = self._gaussian.template(dims), np.full(dims["K"], self.dof)
        return self.parameters(normal.means, normal.covariances, held)
