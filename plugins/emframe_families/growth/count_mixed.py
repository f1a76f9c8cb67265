"""Trajectories of counts: each component is a generalised linear mixed model.

    y_it | z_ik = 1, u_i  ~  f( . | eta_it ),      eta_it = x_it' beta_k + d_k z_it u_i,
    u_i ~ N(0, 1)

with f Poisson and eta the log of its rate, or f binomial and eta the log odds (Breslow and Clayton
1993, JASA 88, 9).  No integral over u has a closed form: densities are those of adaptive
Gauss-Hermite quadrature (``nodes``).  Q is of these densities, so it is what is climbed whatever
the number of nodes; the M-step is a step of Newton's for the completed data at the nodes, u
rescaled as by parameter expansion, and halved until Q rises: generalised EM.

One known case: with d = 0 it is the Poisson or binomial regression of all visits.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from emframe import (
    Array,
    Binary,
    Contract,
    Degenerate,
    Family,
    NonNegativeInteger,
    PositiveSemidefinite,
    Real,
)
from emframe.data.formulas import has_constant, is_formula
from emframe.engines import Workspace, block_rows
from emframe.families import Completed, Concluded, Kernel, Survey, refuse_empty
from emframe.families.kernel import Gathered, NoSampler
from emframe.parameters import Declared, equal, rebuild
from emframe.parameters.records import record
from emframe.spaces import ColumnsIn, Space
from emframe_families.counting.poisson import LARGEST as LARGEST_COUNT
from emframe_families.growth.beginning import line_of_all, standpoints
from emframe_families.growth.maximise import solved
from emframe_families.growth.nodes import Integrated, Visits, integrated
from emframe_families.growth.people import condensed
from emframe_families.growth.responses import BinomialResponse, PoissonResponse, Response
from emframe_families.growth.terms import CONSTANT, Terms, listed, spelt
from emframe_families.regressions.base import LARGEST, LEAST_RANGE

HALVINGS = 12
BEGINNING = 0.5  # the deviation of random effects at a start, in linear predictors
FIRST_STEPS = 8
LATEST = 2  # quadratures that are kept


@dataclass(frozen=True)
class Observed:
    """People with their responsibilities, and what the E-step found of them where there was one."""

    blocks: tuple[
        tuple[Any, Array, Any, Integrated | None], ...
    ]  # runs, (N, K), params, quadrature

    def __add__(self, other: Observed) -> Observed:
        return Observed(self.blocks + other.blocks)

    def __mul__(self, factor: float) -> Observed:
        each = ((runs, factor * resp, at, found) for runs, resp, at, found in self.blocks)
        return Observed(tuple(each))

    @property
    def counts(self) -> Array:
        """Sum of responsibilities, (K,)."""
        return np.asarray(sum(resp.sum(axis=0) for _, resp, *_ in self.blocks))


@dataclass(frozen=True)
class CountMixed(Family):
    """Base of families of counts with one random effect.

    Parameters
    ----------
    response : the column that is modelled.
    fixed, intercept : terms whose coefficients each component has for itself.
    random : the term whose coefficient varies from person to person: one, or none.
    common : terms whose coefficients all components share.
    between : whether components have one variance of it, ``"shared"``, or ``"each"`` its own.
    n_nodes : of the quadrature; more of them make its error smaller.

    Raises TypeError, ValueError for settings that are none.
    """

    response: str = "y"
    fixed: tuple[str, ...] = ("time",)
    random: tuple[str, ...] = (CONSTANT,)
    common: tuple[str, ...] = ()
    intercept: bool = True
    between: str = "shared"
    n_nodes: int = 21
    covered: Array | None = field(default=None, repr=False, compare=False, kw_only=True)

    contract = Contract.GENERALISED
    in_runs = True
    effort = 20.0
    extra: ClassVar[str] = ""  # the setting that names one more column
    kind: ClassVar[Response]

    def __post_init__(self) -> None:
        for name in ("response", *[self.extra] * (self._beside is not None)):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"`{name}` is {getattr(self, name)!r}; pass the name of a column.")
        if not isinstance(self.intercept, bool):
            raise TypeError(f"`intercept` is {self.intercept!r}; pass True or False.")
        if self.between not in ("shared", "each"):
            raise ValueError(f"`between` is {self.between!r}; expected 'shared' or 'each'.")
        if not isinstance(self.n_nodes, int) or isinstance(self.n_nodes, bool) or self.n_nodes < 1:
            raise ValueError(f"`n_nodes` is {self.n_nodes!r}; pass a whole number, such as 21.")
        for name in ("fixed", "common", "random"):
            object.__setattr__(self, name, listed(name, getattr(self, name)))
        if any(is_formula(term) and not has_constant(term) for term in self.fixed):
            object.__setattr__(self, "intercept", False)
        if len(self.random) > 1:
            raise ValueError(
                f"`random` is {list(self.random)}; {self.name} takes one term, or (). Of normal "
                "responses linear-mixed takes several."
            )
        if self._beside in self.terms.columns:
            raise ValueError(f"{self._beside!r} is `{self.extra}`, and cannot be in a term too.")

    # ---- columns

    @property
    def _beside(self) -> str | None:
        return getattr(self, self.extra)

    def spelt(self, names: Mapping[str, tuple[str, ...]]) -> CountMixed:
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
        return self.terms.columns + (() if self._beside is None else (self._beside,))

    @property
    def width(self) -> int:  # type: ignore[override]
        return len(self.columns)

    @property
    def takes_columns(self) -> bool:
        return True

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(range(1, self.width))

    @property
    @abstractmethod
    def spaces(self) -> tuple[Space, Space]:
        """Where the response lives, and the column beside it."""

    @property
    def support(self) -> Space:  # type: ignore[override]
        first, last = self.spaces
        each = [first] + [Real(LARGEST, LEAST_RANGE)] * (len(self.terms.columns) - 1)
        return ColumnsIn(tuple(each) + (() if self._beside is None else (last,)))

    def support_given(self, row: Array) -> Space:
        return self.spaces[0]

    @abstractmethod
    def plain(self, n: int) -> Array:
        """What stands for the column beside where there is none, (n,)."""

    def visits(self, runs: Any) -> Visits:
        """The visits of `emframe.Sequences`, their terms worked out once."""

        def made() -> Visits:
            values = self.terms.values(runs.x)
            z = values[:, self.terms.z_places[0]] if self.random else np.zeros(len(values))
            beside = runs.x[:, -1] if self._beside is not None else self.plain(len(values))
            x = np.ascontiguousarray(values[:, self.terms.x_places])
            return Visits(x, z, values[:, -1], beside, runs.firsts, runs.lengths)

        return runs.derived((type(self), self.terms, self._beside), made)

    # ---- parameters

    @cached_property
    def parameters(self) -> type:
        """A field for each coefficient; ``random_covariance`` (K, 1, 1), if any."""
        return record(f"{type(self).__name__}Parameters", self._declared)

    @cached_property
    def _declared(self) -> dict[str, Declared]:
        terms = self.terms
        found = {
            name: Declared(Real(), shared=j >= len(terms.own))
            for j, name in enumerate(terms.coefficients)
        }
        if self.random:
            space = PositiveSemidefinite()
            found["random_covariance"] = Declared(space, (1, 1), shared=self.between == "shared")
        return found

    def arrays(self, params: Any) -> tuple[Array, Array]:
        """Coefficients (K, p) and deviations d (K,) of the random effect."""
        beta = np.stack([getattr(params, name) for name in self.terms.coefficients], axis=1)
        if not self.random:
            return beta, np.zeros(len(beta))
        return beta, np.sqrt(params.random_covariance[:, 0, 0])

    def made(self, beta: Array, deviation: Array, extras: Array) -> Any:
        """Parameters from coefficients (K, p), deviations (K,) and `extras`."""
        return self.parameters(**self.told(beta, deviation))

    def told(self, beta: Array, deviation: Array) -> dict[str, Array]:
        """Coefficients and variances by name."""
        found = dict(zip(self.terms.coefficients, np.ascontiguousarray(beta.T), strict=True))
        if self.random:
            found["random_covariance"] = (deviation**2)[:, None, None]
        return found

    # ---- what a response may have beside a linear predictor

    def kind_at(self, params: Any, visits: Visits) -> Response:
        """The law of the responses of visits."""
        return self.kind

    def extras(self, params: Any) -> Array:
        """Numbers that the law has beside, by which Q is climbed too, (K, e)."""
        return np.zeros((len(self.arrays(params)[0]), 0))

    @property
    def extras_shared(self) -> bool:
        """Whether all components have the same ones."""
        return True

    def extra_sums(self, statistics: Any, params: Any) -> tuple[Array, Array]:
        """Slope of Q by them, (K, e), and its bend by beta, d and them, (K, p + 1 + e, e)."""
        k, p = self.arrays(params)[0].shape
        return np.zeros((k, 0)), np.zeros((k, p + 1, 0))

    # ---- E

    def integrals(self, params: Any, runs: Any) -> Integrated:
        """The quadrature of the people of `emframe.Sequences`.

        That of the last few parameters is kept with the runs: a step is asked for by the M-step,
        the ledger and the next E-step, and is as dear as all else.
        """
        latest = runs.derived((type(self), self.terms, self._beside, self.n_nodes), list)
        for at, found in tuple(latest):
            if equal(at, params):
                return found
        visits = self.visits(runs)
        beta, deviation = self.arrays(params)
        n_nodes = self.n_nodes if deviation.any() else 1
        swing = deviation[:, None] * visits.z
        kind = self.kind_at(params, visits)
        found = integrated(kind, visits, beta @ visits.x.T, swing, n_nodes)
        mine = rebuild(params, lambda leaf: np.array(leaf.value))  # the caller's may be written to
        latest[:] = [(mine, found), *latest[: LATEST - 1]]
        return found

    def log_density(self, params: Any, x: Any) -> Array:
        """Of each person, (N, K), their random effect integrated out."""
        return self.integrals(params, x).log_density.T

    def accumulate(self, x: Any, resp: Array) -> Observed:
        return Observed(((x, np.array(resp), None, None),))

    def completed(self, params: Any, x: Any, resp: Array) -> Completed:
        found = self.integrals(params, x)
        return Completed(Observed(((x, np.array(resp), params, found),)), 0.0)

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        yield ByQuadrature(self, params, constants)

    def _found(self, block: tuple[Any, Array, Any, Integrated | None], params: Any) -> Integrated:
        """The quadrature of a block, which its E-step may have made."""
        runs, _, at, found = block
        return found if found is not None and equal(at, params) else self.integrals(params, runs)

    def expected(self, statistics: Observed, params: Any) -> float:
        total = 0.0
        for block in statistics.blocks:
            density = self._found(block, params).log_density.T
            total += float((block[1] * np.where(block[1] > 0, density, 0.0)).sum())
        return total

    # ---- M

    def _sums(self, statistics: Observed, params: Any) -> tuple[Array, Array, Array]:
        """Slope (K, p + 1 + e) and bend of Q in beta, d and `extras`, and mean u^2, (K,).

        Of the data completed by u at the nodes; the slope is that of Q itself (Fisher).
        """
        beta, deviation = self.arrays(params)
        k, p = beta.shape
        slope, bend, size = np.zeros((k, p + 1)), np.zeros((k, p + 1, p + 1)), np.zeros(k)
        for block in statistics.blocks:
            visits, found = self.visits(block[0]), self._found(block, params)
            eta, swing = beta @ visits.x.T, deviation[:, None] * visits.z
            kind = self.kind_at(params, visits)
            first = np.zeros((2, *eta.shape))  # E of the slope by eta, and times u
            second = np.zeros((3, *eta.shape))  # E of the bend by eta, times u, and times u^2
            for node, share in zip(found.nodes, found.shares, strict=True):
                u, own = visits.spread(node), visits.spread(share * block[1].T)
                rise, curve = kind.slopes(visits.y, visits.beside, eta + swing * u)
                first += np.stack([own * rise, own * rise * u])
                second += own * np.stack([curve, curve * u, curve * u * u])
            x, z = visits.x, visits.z
            slope[:, :p] += first[0] @ x
            slope[:, p] += first[1] @ z
            bend[:, :p, :p] += np.einsum("kn,ni,nj->kij", second[0], x, x, optimize=True)
            bend[:, :p, p] += (second[1] * z) @ x
            bend[:, p, p] += second[2] @ z**2
            moment = found.mean**2 + found.variance
            size += (moment * block[1].T).sum(axis=1)
        bend[:, p, :p] = bend[:, :p, p]
        more, crossed = self.extra_sums(statistics, params)
        if more.shape[1]:
            slope = np.concatenate([slope, more], axis=1)
            upper = np.concatenate([bend, crossed[:, : p + 1].swapaxes(1, 2)], axis=1)
            bend = np.concatenate([upper, crossed], axis=2)
        counts = statistics.counts
        return slope, bend, size / np.where(counts > 0, counts, 1.0)

    def gradient(self, statistics: Observed, params: Any) -> Array:
        slope, _, _ = self._sums(statistics, params)
        parts = [
            slope[:, j].sum(keepdims=True) if j >= len(self.terms.own) else slope[:, j]
            for j in range(len(self.terms.fixed))
        ]
        if self.random:
            along = slope[:, len(self.terms.fixed)]
            parts.append(along.sum(keepdims=True) if self.between == "shared" else along)
        more = slope[:, len(self.terms.fixed) + 1 :]
        return np.concatenate([*parts, (more.sum(axis=0) if self.extras_shared else more).ravel()])

    def m_step(self, statistics: Observed, previous: Any) -> Any:
        if previous is None:
            previous = self._begun(statistics)
            for _ in range(FIRST_STEPS):
                previous, is_over = self._raised(statistics, previous)
                if is_over:
                    break
            beta, deviation = self.arrays(previous)
            rms = np.sqrt(np.mean([np.mean(self.visits(b[0]).z ** 2) for b in statistics.blocks]))
            deviation = np.full(len(deviation), BEGINNING / rms if rms > 0 else 0.0)
            return self.made(beta, deviation, self.extras(previous))
        return self._raised(statistics, previous)[0]

    def _raised(self, statistics: Observed, previous: Any) -> tuple[Any, bool]:
        """Parameters at which Q is higher, and whether there are none that a step leads to."""
        beta, deviation = self.arrays(previous)
        k, p = beta.shape
        slope, bend, size = self._sums(statistics, previous)
        slots = self.terms.slots(k)
        width = int(slots.max(initial=-1)) + 1
        own = np.arange(k) if self.between == "each" else np.zeros(k, dtype=np.intp)
        extras = self.extras(previous)
        e = extras.shape[1]
        more = width + k + np.arange(k * e).reshape(k, e)
        slots = np.concatenate([slots, (width + own)[:, None], more], axis=1)
        if self.extras_shared:
            slots[:, p + 1 :] = slots[:1, p + 1 :]
        if not deviation.any():
            slots[:, p] = -1  # along d there is nothing to see at d = 0
        size_all = width + k + k * e
        whole, pull = np.zeros((size_all, size_all)), np.zeros(size_all)
        for one in range(k):
            free = np.flatnonzero(slots[one] >= 0)
            whole[np.ix_(slots[one, free], slots[one, free])] += bend[one][np.ix_(free, free)]
            pull[slots[one, free]] += slope[one, free]
        step = np.append(solved(whole, pull), 0.0)[slots]
        counts = statistics.counts
        if self.between == "shared":
            size = np.full(k, (counts @ size) / counts.sum())
            counts = np.full(k, counts.sum())
        expansion = np.sqrt(np.where(counts > 0, size, 1.0)) if deviation.any() else np.ones(k)
        before, length = self.expected(statistics, previous), 1.0
        for _ in range(HALVINGS):
            scaled = np.abs(deviation + length * step[:, p]) * expansion**length
            further = extras + length * step[:, p + 1 :]
            params = self.made(beta + length * step[:, :p], scaled, further)
            if (
                self.problem(params, {"K": k}) is None
                and self.expected(statistics, params) > before
            ):
                return params, False
            length *= 0.5
        return previous, True

    def _begun(self, statistics: Observed) -> Any:
        """Least squares of what single counts say, everybody together as one person more."""
        k, m = statistics.counts.shape[0], len(self.terms.fixed)
        refuse_empty(statistics.counts <= 0)
        slots = self.terms.slots(k)
        size = int(slots.max()) + 1
        whole, pull = np.zeros((size, size)), np.zeros(size)
        n = sum(len(runs) for runs, *_ in statistics.blocks)
        people = []
        for runs, resp, *_ in statistics.blocks:
            visits = self.visits(runs)
            rough = self.kind.rough(visits.y, visits.beside)
            people.append(self._rough_people(runs))
            for one in range(k):
                weights = visits.spread(resp[:, one] + 1.0 / n)
                at = slots[one]
                moments = (visits.x * weights[:, None]).T @ visits.x
                whole[np.ix_(at, at)] += moments
                pull[at] += (visits.x * weights[:, None]).T @ rough
        line_of_all(self.terms, people)  # refuses terms that follow from others
        beta = solved(whole, pull)[slots]
        if not np.isfinite(beta).all():
            raise Degenerate("the counts say nothing of the coefficients")
        assert beta.shape == (k, m)
        return self.made(beta, np.zeros(k), self.extras_begun(statistics, k))

    def extras_begun(self, statistics: Observed, k: int) -> Array:
        """`extras` at a start, (K, e)."""
        return np.zeros((k, 0))

    def _rough_people(self, runs: Any) -> Any:
        """The people as if what single counts say were normal responses."""
        visits, rows = self.visits(runs), np.array(runs.x)
        rows[:, 0] = self.kind.rough(visits.y, visits.beside)
        return condensed(self.terms, rows, runs.lengths)

    # ---- the rest

    def points(self, x: Any) -> Array | None:
        return standpoints(self.terms, self._rough_people(x)) if self.terms.own else None

    def random_effects(self, params: Any, x: Any) -> tuple[tuple[str, ...], Array, Array]:
        if not self.random:
            return (), np.zeros((len(x), 0, 0)), np.zeros((len(x), 0, 0))
        found, deviation = self.integrals(params, x), self.arrays(params)[1][:, None]
        means, deviations = deviation * found.mean, deviation * np.sqrt(found.variance)
        return self.random, means.T[:, :, None], deviations.T[:, :, None]

    def course(self, response: Any = None) -> tuple[int, tuple[int, ...]]:
        return 0, self.covariates

    def response_at(self, params: Any, x: Array, response: Any = None) -> tuple[Array, Array]:
        """Mean and deviation of responses, over people whose random effects differ."""
        points, weights = np.polynomial.hermite_e.hermegauss(self.n_nodes)
        shares = weights / weights.sum()
        mean, variance = self._over(params, x, points[:, None, None], shares[:, None, None])
        return mean, np.sqrt(variance)

    def forecast(self, params: Any, x: Any, at: Any, owners: Any) -> tuple[Array, Array]:
        found, unseen = self.integrals(params, x), owners < 0
        points, weights = np.polynomial.hermite_e.hermegauss(len(found.nodes))
        shares = weights / weights.sum()
        each = np.repeat(np.arange(len(at)), at.lengths)
        nodes, shares = (
            np.where(unseen, prior[:, None, None], own[:, :, owners])[:, :, each].swapaxes(1, 2)
            for prior, own in ((points, found.nodes), (shares, found.shares))
        )
        return self._over(params, at.x, nodes, shares)

    def _over(self, params: Any, x: Array, nodes: Array, shares: Array) -> tuple[Array, Array]:
        """Means and variances of responses at rows x over values of u, (n, K); those (m, n, K)."""
        values, (beta, deviation) = self.terms.values(x), self.arrays(params)
        eta = values[:, self.terms.x_places] @ beta.T
        z = values[:, self.terms.z_places[0]] if self.random else np.zeros(len(x))
        means, spread = self.moments_at(params, x, eta + nodes * (z[:, None] * deviation))
        mean = (shares * means).sum(axis=0)
        return mean, (shares * (spread + (means - mean) ** 2)).sum(axis=0)

    def moments_at(self, params: Any, x: Array, eta: Array) -> tuple[Array, Array]:
        """Means and variances of responses at linear predictors eta (m, n, K)."""
        beside = x[:, -1] if self._beside is not None else self.plain(len(x))
        means = self.kind.mean(beside[:, None], eta)
        return means, self.kind.variance(beside[:, None], means)

    def given(self, x: Array) -> CountMixed:
        return replace(self, covered=np.array(x, dtype=float))

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        """The visits of one person, who is of the component that the labels name, (n, d)."""
        if self.covered is None:
            raise NoSampler(
                f"{self.name} is a density given covariates, and has none to draw at; pass rows "
                "that have them: fit.sample(n, given=X), fit.plot(X)."
            )
        rows, labels = self.covered[np.arange(len(labels)) % len(self.covered)], np.asarray(labels)
        if not len(rows):
            return rows
        values, (beta, deviation), k = self.terms.values(rows), self.arrays(params), int(labels[0])
        eta = values[:, self.terms.x_places] @ beta[k]
        if self.random:
            own = deviation[k] * rng.standard_normal()
            eta = eta + own * values[:, self.terms.z_places[0]]
        rows[:, 0] = self.drawn(params, rows, eta, k, rng)
        return rows

    def drawn(
        self, params: Any, rows: Array, eta: Array, k: int, rng: np.random.Generator
    ) -> Array:
        """Responses of component k at linear predictors eta (n,)."""
        beside = rows[:, -1] if self._beside is not None else self.plain(len(rows))
        return self.kind.draw(beside, eta, rng)

    def ingredients(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "covered"}


@dataclass(frozen=True)
class PoissonMixed(CountMixed):
    """Counts whose log rate varies from person to person.

    offset : a column that is added to the log rate as it is, such as the log of an exposure.
    """

    offset: str | None = None

    name = "poisson-mixed"
    extra = "offset"
    kind = PoissonResponse()

    @property
    def spaces(self) -> tuple[Space, Space]:
        return NonNegativeInteger(LARGEST_COUNT), Real(100.0)

    def plain(self, n: int) -> Array:
        return np.zeros(n)


@dataclass(frozen=True)
class BinomialMixed(CountMixed):
    """Successes whose log odds vary from person to person.

    trials : the column that has their number; each row is one trial if None.
    """

    trials: str | None = None

    name = "binomial-mixed"
    extra = "trials"
    kind = BinomialResponse()

    @property
    def spaces(self) -> tuple[Space, Space]:
        if self.trials is None:
            return Binary(), Binary()
        return NonNegativeInteger(LARGEST_COUNT), NonNegativeInteger(LARGEST_COUNT)

    def plain(self, n: int) -> Array:
        return np.ones(n)


@dataclass(frozen=True)
class ByQuadrature:
    """The kernel: people's densities, with the quadrature kept for the M-step."""

    family: CountMixed
    params: Any
    constants: Array  # (K,)

    form = "quadrature"

    def rows(self, d: int) -> int:
        return block_rows(len(self.constants) * (d + self.family.n_nodes))

    def meet(self, x: Any, work: Workspace) -> tuple[Array, Callable[[Array], Gathered]]:
        found = self.family.integrals(self.params, x)
        joint = work("joint", *found.log_density.shape)
        np.add(found.log_density, self.constants[:, None], out=joint)

        def collect(resp: Array) -> Gathered:
            own = Observed(((x, resp.T.copy(), self.params, found),))
            return Gathered(own, 0.0, resp.sum(axis=1))

        return joint, collect

    def finish(self, sums: Gathered) -> Concluded:
        return Concluded(sums.statistics, sums.counts, entropy=sums.entropy)
