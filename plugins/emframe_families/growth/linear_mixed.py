"""Trajectories: each component is a linear mixed model of a person's repeated measurements.

    z_i ~ w,    y_i | z_ik = 1, b_i  ~  N(X_i beta_k + Z_i b_i, sigma_k^2 I),    b_i ~ N(0, D_k)

A row of the mixture is a person: a run of rows, as many and at such times as they were seen.  With
random effects this is the growth mixture model (Muthen and Shedden 1999, Biometrics 55, 463;
Verbeke and Lesaffre 1996, JASA 91, 217), without any latent class growth analysis (Nagin 1999,
Psychological Methods 4, 139).

Known cases: with one component it is the linear mixed model of Laird and Ware (1982), by maximum
likelihood; without random effects, least squares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, reduce
from operator import add
from typing import Any

import numpy as np

from emframe import Array, Contract, Degenerate, Family, Positive, PositiveSemidefinite, Real
from emframe.data.formulas import has_constant, is_formula
from emframe.engines import Workspace, block_rows
from emframe.families import Completed, Concluded, Kernel, Survey, refuse_empty
from emframe.families.kernel import Gathered, NoSampler
from emframe.numeric.climbed import Kept
from emframe.parameters import Declared
from emframe.parameters.records import record
from emframe.spaces import Space, triangular_root
from emframe_families.growth import bound, maximise
from emframe_families.growth.beginning import begun, standpoints
from emframe_families.growth.effects import EffectPoint, Effects, effects
from emframe_families.growth.people import People
from emframe_families.growth.proportional import Proportional, rescaled
from emframe_families.growth.sums import GrowthSums, PersonMoments, gathered
from emframe_families.growth.terms import CONSTANT, Terms, listed, spelt
from emframe_families.regressions.base import LARGEST, LEAST_RANGE

SETTINGS = {
    "covariance": ("full", "diag"),
    "between": ("shared", "proportional", "each"),
    "sigma": ("shared", "each"),
    "residual": ("independent", "ar1", "compound", "unstructured"),
}
# People lie on lines of their own where no more is left than this share of what random effects make
# up, for densities lose their digits beyond; or so much less than with other components.
ON_THE_LINE, BESIDE_OTHERS = 1e-4, 1e-9
TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class LinearMixed(Family):
    """A response whose course over time varies from person to person.

    Parameters
    ----------
    response : the column that is modelled.
    fixed : terms whose coefficients each component has for itself.
    intercept : whether each component has an intercept of its own beside them.
    common : terms whose coefficients all components share.
    random : terms whose coefficients vary from person to person, ``"intercept"`` among them or not.
    covariance : of the random effects, ``"full"`` or ``"diag"``.
    between : whether components have one such covariance, ``"shared"``, multiples of one,
        ``"proportional"``, or ``"each"`` its own.
    sigma : whether they have one residual standard deviation, ``"shared"``, or ``"each"`` its own.
    residual : how a person's visits are correlated given the random effects: ``"independent"``;
        ``"ar1"``, less the further apart in time; ``"compound"``, all alike; ``"unstructured"``,
        any covariance of a few common times, in place of random effects.  One for all components,
        or each its own, as `sigma` says.
    along : the column of times, for such residuals; the first of a term if None.
    times : those that an unstructured covariance has; read off the data if None.

    A term is the name of a column, or a product of columns such as ``"time:time"``; a column of
    words stands for an indicator of each of its values but the first.  Or a formula, as in
    ``fixed="~ time * sex", random="~ time"`` (extra ``formula``).  Rows without
    names have their columns in the order of `columns`.

    Raises TypeError, ValueError for settings that are none.
    """

    response: str = "y"
    fixed: tuple[str, ...] = ("time",)
    random: tuple[str, ...] = (CONSTANT,)
    common: tuple[str, ...] = ()
    intercept: bool = True
    covariance: str = "full"
    between: str = "shared"
    sigma: str = "shared"
    residual: str = "independent"
    along: str | None = None
    times: tuple[float, ...] | None = None
    covered: Array | None = field(default=None, repr=False, compare=False, kw_only=True)

    name = "linear-mixed"
    contract = Contract.GENERALISED
    in_runs = True
    hides = True
    effort = 3.0

    def __new__(cls, *_: Any, residual: str = "independent", **__: Any) -> LinearMixed:
        if cls is LinearMixed and residual in SETTINGS["residual"][1:]:
            from emframe_families.growth.correlated import CorrelatedMixed

            return object.__new__(CorrelatedMixed)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        if not isinstance(self.response, str):
            raise TypeError(f"`response` is {self.response!r}; pass the name of a column.")
        if not isinstance(self.intercept, bool):
            raise TypeError(f"`intercept` is {self.intercept!r}; pass True or False.")
        for name, known in SETTINGS.items():
            if getattr(self, name) not in known:
                choices = " or ".join(map(repr, known))
                raise ValueError(f"`{name}` is {getattr(self, name)!r}; expected {choices}.")
        for name in ("fixed", "common", "random"):
            object.__setattr__(self, name, listed(name, getattr(self, name)))
        if any(is_formula(term) and not has_constant(term) for term in self.fixed):
            object.__setattr__(self, "intercept", False)
        object.__setattr__(self, "response", str(self.response))
        if self.times is not None:
            object.__setattr__(self, "times", tuple(map(float, self.times)))
        assert self.terms  # which refuses what does not go together

    # ---- columns

    def spelt(self, names: Mapping[str, tuple[str, ...]]) -> LinearMixed:
        return replace(
            self,
            fixed=spelt("fixed", self.fixed, names),
            random=spelt("random", self.random, names),
            common=spelt("common", self.common, names),
        )

    @cached_property
    def terms(self) -> Terms:
        own = ((CONSTANT,) if self.intercept else ()) + self.fixed
        return Terms(self.response, own, self.common, self.random)

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.terms.columns

    @property
    def width(self) -> int:  # type: ignore[override]
        return len(self.terms.columns)

    @property
    def takes_columns(self) -> bool:
        return True

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(range(1, self.width))

    @property
    def support(self) -> Space:  # type: ignore[override]
        return Real(LARGEST, LEAST_RANGE)

    # ---- parameters

    @cached_property
    def parameters(self) -> type:
        """A field for each coefficient; ``random_covariance`` (K, q, q), if any; ``sigma`` (K,)."""
        return record("LinearMixedParameters", self._declared)

    @property
    def has_sigma(self) -> bool:
        """Whether sigma is a parameter."""
        return True

    @cached_property
    def _declared(self) -> dict[str, Declared]:
        terms, q = self.terms, len(self.random)
        found = {
            name: Declared(Real(), shared=j >= len(terms.own))
            for j, name in enumerate(terms.coefficients)
        }
        if q:
            found["random_covariance"] = Declared(
                self._covariances, (q, q), shared=self.between == "shared"
            )
        found["sigma"] = Declared(Positive(), shared=self.sigma == "shared")
        return found

    @property
    def _covariances(self) -> PositiveSemidefinite:
        kind = Proportional if self.between == "proportional" else PositiveSemidefinite
        return kind("diagonal" if self.covariance == "diag" else "full")

    def coefficients(self, params: Any) -> Array:
        """Those of all components, (K, p), in the order of ``terms.fixed``."""
        return np.stack([getattr(params, name) for name in self.terms.coefficients], axis=1)

    def point(self, params: Any) -> EffectPoint:
        """Parameters as arrays."""
        k, q = len(params.sigma), len(self.random)
        roots = triangular_root(params.random_covariance) if q else np.zeros((k, 0, 0))
        return EffectPoint(self.coefficients(params), roots, params.sigma)

    def made(self, coefficients: Array, covariance: Array, sigma: Array) -> Any:
        """Parameters from coefficients (K, p), covariances (K, q, q) and deviations (K,)."""
        names = self.terms.coefficients
        found = dict(zip(names, np.ascontiguousarray(coefficients.T), strict=True))
        if self.random:
            found["random_covariance"] = covariance
        return self.parameters(**found, sigma=sigma)

    # ---- E

    def effects(self, params: Any, runs: Any) -> Effects:
        """The random effects of the people of `emframe.Sequences` given their rows."""
        alike = self.sigma == "shared" and (self.between == "shared" or not self.random)
        return effects(People.of(self.terms, runs), self.point(params), alike)

    def log_density(self, params: Any, x: Any) -> Array:
        """Of each person, (N, K), their random effects integrated out."""
        return self.effects(params, x).log_density.T

    def completed(self, params: Any, x: Any, resp: Array) -> Completed:
        return Completed(*gathered(self.effects(params, x), resp.T))

    def accumulate(self, x: Any, resp: Array) -> Kept:
        """People and responsibilities as they are: a start has no random effects to sum over."""
        return Kept.of_rows(x, resp)

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        yield PerPerson(self, params, constants)

    # ---- M

    def expected(self, statistics: Any, params: Any) -> float:
        return bound.value(statistics, self.point(params), self.between != "each")

    def gradient(self, statistics: Any, params: Any) -> Array:
        point = self.point(params)
        found = bound.slope(statistics, point, self.between != "each")
        parts = []
        for j, name in enumerate(self.terms.coefficients):
            along = found.coefficients[:, j]
            parts.append(along.sum(keepdims=True) if name in self._common else along)
        if self.random:
            space, roots = self._covariances, found.roots
            if isinstance(space, Proportional):
                parts.append(space.from_roots(params.random_covariance, roots))
            else:
                shared = self.between == "shared"
                parts.append(space.from_root(roots.sum(axis=0)[None] if shared else roots))
        if self.has_sigma:
            along = found.sigma * point.sigma
            parts.append(along.sum(keepdims=True) if self.sigma == "shared" else along)
        return np.concatenate(parts)

    @property
    def _common(self) -> tuple[str, ...]:
        return self.terms.coefficients[len(self.terms.own) :]

    def m_step(self, statistics: Any, previous: Any) -> Any:
        return self.m_step_given(statistics, previous, previous, (), ())

    def m_step_given(
        self,
        statistics: Any,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any:
        """The same three steps, each of what is left to estimate."""
        if not isinstance(statistics, Kept):
            return self._stepped(statistics, previous, like, held, shared)
        if previous is None:
            refuse_empty(statistics.counts <= 0)
            point = begun(self.terms, statistics.blocks)
            if not point.sigma.min() > 0.0:
                raise Degenerate("the rows lie on the lines of their components")
            covariance = point.roots @ point.roots.swapaxes(1, 2)
            previous = self.made(point.coefficients, covariance, point.sigma)
            if not held and not shared:
                return previous
            previous = replace(previous, **{name: getattr(like, name) for name in held})
        each = (self.completed(previous, *block).statistics for block in statistics.blocks)
        return self._stepped(reduce(add, each), previous, like, held, shared)

    def _stepped(
        self,
        sums: GrowthSums,
        previous: Any,
        like: Any,
        held: tuple[str, ...],
        shared: tuple[str, ...],
    ) -> Any:
        """The M-step from the sums of an E-step; from where that was made if `previous` is None."""
        if previous is None:
            refuse_empty(sums.counts <= 0)
            previous = self._where(sums, like, held)
        point, diagonal = self.point(previous), self.covariance == "diag"
        together = self.between != "each" or "random_covariance" in shared
        proportional = self.between == "proportional" and "random_covariance" not in shared
        slots = self.terms.slots(len(point.sigma), held, shared)
        beta = maximise.best_coefficients(sums, point, slots)
        moments = sums.at(beta)
        if "random_covariance" in held:
            loading, covariance = point.roots, like.random_covariance
        else:
            scales = self._scales(point) if proportional else np.ones(len(point.sigma))
            loading = maximise.best_loadings(moments, point, scales if together else None, diagonal)
            if proportional:
                loading = rescaled(moments, loading, maximise.LEAST)
            before = point.roots @ point.roots.swapaxes(1, 2)
            covariance = maximise.spread_of(moments, loading, before, together, diagonal)
        if "sigma" in held:
            sigma = like.sigma
        else:
            common = self.sigma == "shared" or "sigma" in shared
            sigma = maximise.best_sigma(moments, loading, point.sigma, common)
            self.refuse_lines(moments, sums, loading, sigma)
        return self.made(beta, covariance, sigma)

    def _where(self, sums: GrowthSums, like: Any, held: tuple[str, ...]) -> Any:
        """Parameters about which sums are told, with the sigma that is best there."""
        moments = sums.at(sums.centre)
        nothing = np.zeros(len(sums.counts))
        sigma = maximise.best_sigma(moments, sums.base, nothing, self.sigma == "shared")
        self.refuse_lines(moments, sums, sums.base, sigma)
        found = self.made(sums.centre, sums.base @ sums.base.swapaxes(1, 2), sigma)
        return replace(found, **{name: getattr(like, name) for name in held})

    def _scales(self, point: EffectPoint) -> Array:
        """By how much each component's root is that of the mean, (K,)."""
        space, values = self._covariances, point.roots @ point.roots.swapaxes(1, 2)
        assert isinstance(space, Proportional)
        return np.asarray(np.sqrt(len(values) * space.parts(values)[1]))

    def refuse_lines(
        self, moments: PersonMoments, sums: GrowthSums, loading: Array, sigma: Array
    ) -> None:
        """Raise where people lie on their own lines, as far as rounding can tell."""
        visits = np.where(sums.visits > 0.0, sums.visits, 1.0)
        effects = (moments.bent(loading) * loading).sum(axis=(1, 2))
        size = np.sqrt(np.maximum(effects + moments.square, 0.0) / visits)
        used = sums.visits > 0.0
        usual = np.sqrt((sums.visits * sigma**2).sum() / max(sums.visits.sum(), TINY))
        flat = used & ~(sigma > np.maximum(ON_THE_LINE * size, BESIDE_OTHERS * usual))
        if flat.any():
            k = int(flat.argmax())
            which = None if self.sigma == "shared" else k
            raise Degenerate("people lie on lines of their own, and sigma goes to 0", which)

    # ---- the rest

    def points(self, x: Any) -> Array | None:
        return standpoints(self.terms, People.of(self.terms, x)) if self.terms.own else None

    def course(self, response: Any = None) -> tuple[int, tuple[int, ...]]:
        return 0, self.covariates

    def response_at(self, params: Any, x: Array, response: Any = None) -> tuple[Array, Array]:
        """The components' curves, and how far responses of their people are spread about them."""
        values, point = self.terms.values(x), self.point(params)
        means = values[:, self.terms.x_places] @ point.coefficients.T
        swings = values[:, self.terms.z_places] @ point.roots  # (K, n, q)
        return means, np.sqrt((swings**2).sum(axis=2) + point.sigma[:, None] ** 2).T

    def forecast(self, params: Any, x: Any, at: Any, owners: Any) -> tuple[Array, Array]:
        found, point, values = self.effects(params, x), self.point(params), self.terms.values(at.x)
        k, q = len(point.sigma), len(self.random)
        unseen = owners < 0
        mean = np.where(unseen[:, None], 0.0, found.mean[:, owners])  # (K, S, q)  of u
        variance = np.where(unseen[:, None, None], np.eye(q), found.variance[:, owners])
        variance = np.broadcast_to(variance, (k, *variance.shape[1:]))
        swing = np.einsum("na,kab->knb", values[:, self.terms.z_places], point.roots)
        each = np.repeat(np.arange(len(at)), at.lengths)
        means = values[:, self.terms.x_places] @ point.coefficients.T
        means = means + np.einsum("knb,knb->nk", swing, mean[:, each])
        spread = np.einsum("kna,knab,knb->nk", swing, variance[:, each], swing)
        return means, spread + point.sigma**2

    def random_effects(self, params: Any, x: Any) -> tuple[tuple[str, ...], Array, Array]:
        return self.random, *self.told(self.effects(params, x))

    def told(self, found: Effects) -> tuple[Array, Array]:
        """Means and deviations of b, (N, K, q), from those of u."""
        roots = found.at.roots
        means = (roots[:, None] @ found.mean[..., None])[..., 0]  # (K, N, q)
        spread = roots[:, None] @ found.variance @ roots[:, None].swapaxes(2, 3)
        deviations = np.sqrt(np.diagonal(spread, axis1=2, axis2=3))
        return means.swapaxes(0, 1), deviations.swapaxes(0, 1)

    def given(self, x: Array) -> LinearMixed:
        return replace(self, covered=np.array(x, dtype=float))

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        """The visits of one person, who is of the component that the labels name, (n, d)."""
        if self.covered is None:
            raise NoSampler(
                "linear-mixed is a density given covariates, and has none to draw at; pass rows "
                "that have them: fit.sample(n, given=X), fit.plot(X)."
            )
        rows, labels = self.covered[np.arange(len(labels)) % len(self.covered)], np.asarray(labels)
        if not len(rows):
            return rows
        values, point, k = self.terms.values(rows), self.point(params), int(labels[0])
        u = rng.standard_normal(len(self.random))
        errors = self.errors(params, rows, k, rng)
        line = values[:, self.terms.x_places] @ point.coefficients[k]
        own = values[:, self.terms.z_places] @ (point.roots[k] @ u)
        rows[:, 0] = line + own + errors
        return rows

    def errors(self, params: Any, rows: Array, k: int, rng: np.random.Generator) -> Array:
        """Residuals of the visits of one person, of component k, (n,)."""
        return np.asarray(params.sigma[k] * rng.standard_normal(len(rows)))

    def ingredients(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "covered"}


@dataclass(frozen=True)
class PerPerson:
    """The kernel: people's densities, and what their random effects were found to be with them."""

    family: LinearMixed
    params: Any
    constants: Array  # (K,)

    form = "triangles"

    def rows(self, d: int) -> int:
        return block_rows(len(self.constants) * (d + 1) ** 2)

    def meet(self, x: Any, work: Workspace) -> tuple[Array, Callable[[Array], Gathered]]:
        found = self.family.effects(self.params, x)
        joint = np.add(
            found.log_density, self.constants[:, None], out=work("joint", *found.log_density.shape)
        )

        def collect(resp: Array) -> Gathered:
            return Gathered(*gathered(found, resp), resp.sum(axis=1))

        return joint, collect

    def finish(self, sums: Gathered) -> Concluded:
        """The sums; `Degenerate` at a point that no M-step would come to, but a longer step may."""
        point = self.family.point(self.params)
        moments = sums.statistics.at(point.coefficients)
        self.family.refuse_lines(moments, sums.statistics, point.roots, point.sigma)
        return Concluded(sums.statistics, sums.counts, entropy=sums.entropy)
