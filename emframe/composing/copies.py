"""A whole model as a component: a family of which each component is a copy of it.

    emframe.Mixture(emframe.model("hidden-markov", family="poisson", n_states=2), 2)

Its log density is the model's log-likelihood of a row, or a run, and its own latent is the model's
z: the E-step under the outer responsibilities is the model's E-step with these as weights, so that
the sums are K of the model's Qs, the entropy is theirs, and the M-step their maximisers.

One known case: with one component it is the model itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import reduce
from itertools import islice
from operator import add
from typing import Any

import numpy as np

from emframe.core import Contract, Degenerate
from emframe.data import Rows
from emframe.data.runs import SequenceRows
from emframe.families import Completed, ConjugatePrior, Family, Pieces, refuse_empty
from emframe.families.at_start import AtStart
from emframe.parameters import Declared, declarations, frozen, leaves
from emframe.parameters.records import record
from emframe.spaces import Array, Common, Space

STARTS, CLIMBS = 3, 5  # of each copy at a start, and EM steps of each of them


@dataclass(frozen=True)
class CopySums:
    """The Q of each copy, and a prior's terms; they add."""

    each: tuple[Any, ...]  # (K,)
    counts: Array  # (K,)  rows, or runs
    terms: tuple[Any, ...] = ()  # (K,)  of a prior

    def __add__(self, other: CopySums) -> CopySums:
        if not self.each or not other.each:  # one is a prior alone
            rows, prior = (self, other) if self.each else (other, self)
            return replace(rows, terms=prior.terms)
        each = tuple(a + b for a, b in zip(self.each, other.each, strict=True))
        return CopySums(each, self.counts + other.counts, self.terms or other.terms)

    def __mul__(self, factor: float) -> CopySums:
        each = tuple(q.scaled(factor) for q in self.each)
        return replace(self, each=each, counts=self.counts * factor)

    @property
    def with_prior(self) -> tuple[Any, ...]:
        """The Qs, with their prior's terms where there are any."""
        if not self.terms:
            return self.each
        return tuple(q + term for q, term in zip(self.each, self.terms, strict=True))


@dataclass(frozen=True)
class Copies(Family):
    """K copies of a model."""

    model: Any

    maker = "copies"
    hides = True

    # ---- what is known before the data

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"({self.model.title()})"

    def with_gaps(self) -> Copies:
        return replace(self, model=self.model.over(self.model.family.with_gaps()))

    @property
    def parameters(self) -> type:
        """Those of the model, each with the axis K before its own."""
        return copied(self.model.parameters, self._inner_kind, dict(self.model.dims))

    @property
    def contract(self) -> Contract:  # type: ignore[override]
        found: Contract = self.model.contract
        return found

    @property
    def effort(self) -> float:  # type: ignore[override]
        return float(self.model.effort)

    @property
    def _family(self) -> Family | None:
        """The family of the model's own components; None where it has none."""
        found: Family | None = getattr(self.model, "family", None)
        return found

    @property
    def priors(self) -> tuple[str, ...]:  # type: ignore[override]
        return () if self._family is None else tuple(self._family.priors)

    @property
    def support(self) -> Space:  # type: ignore[override]
        found: Space = (self._family or self.model).support
        return found

    @property
    def supports(self) -> tuple[Space, ...]:
        return (self.support,) if self._family is None else self._family.supports

    @property
    def takes_columns(self) -> bool:
        return bool((self._family or self.model).takes_columns)

    @property
    def columns(self) -> tuple[str, ...] | None:  # type: ignore[override]
        return None if self._family is None else self._family.columns

    @property
    def width(self) -> int | None:  # type: ignore[override]
        return None if self._family is None else self._family.width

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        return () if self._family is None else tuple(self._family.covariates)

    @property
    def in_runs(self) -> bool:  # type: ignore[override]
        return bool(getattr(self.model, "in_runs", False))

    @property
    def is_settled(self) -> bool:  # type: ignore[override]
        return self._family is None or self._family.is_settled

    def whole(self, x: Any, weights: Array) -> Any:
        """Its model's family's, of all rows as one component."""
        if self._family is None:
            return 0.0
        latent = self.model.latent
        return self._family.whole(latent.seen(x), latent.each(x, weights))

    def settled(self, whole: Any, columns: Sequence[str]) -> Copies:
        assert self._family is not None  # what has none is settled
        return Copies(self.model._with(family=self._family.settled(whole, columns)))

    def spelt(self, names: Mapping[str, tuple[str, ...]]) -> Copies:
        if self._family is None:
            return self
        return Copies(self.model._with(family=self._family.spelt(names)))

    def parts_of(self, columns: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        return {} if self._family is None else self._family.parts_of(columns)

    def refuse(self, whole: Any, columns: Sequence[str]) -> None:
        if self._family is not None:
            self._family.refuse(whole, columns)

    def given(self, x: Array) -> Copies:
        return Copies(self.model.given(x))

    # ---- E and M

    def log_density(self, params: Any, x: Any) -> Array:
        each = [self.model.posterior(one, x)[0] for one in self._apart(params)]
        return np.stack(each, axis=1)

    def accumulate(self, x: Any, resp: Array) -> AtStart:
        return AtStart.of_rows(x, resp)

    def completed(self, params: Any, x: Any, resp: Array) -> Completed:
        pairs = zip(self._apart(params), resp.T, strict=True)
        each = [self.model.expect(one, x, np.ascontiguousarray(share)) for one, share in pairs]
        return Completed(
            CopySums(tuple(each), resp.sum(axis=0)), np.array([q.entropy for q in each])
        )

    def expected(self, statistics: CopySums, params: Any) -> float:
        every = self._apart(params)
        rows = sum(q.value(one) for q, one in zip(statistics.each, every, strict=False))
        prior = (t.log_density(one) for t, one in zip(statistics.terms, every, strict=False))
        return float(rows + sum(prior))

    def m_step(self, statistics: Any, previous: Any) -> Any:
        if previous is None:
            return self._joined(self._begun(statistics))
        known = self._known(statistics, previous)
        pairs = zip(known.with_prior, self._apart(previous), known.counts, strict=True)
        # Of the sums at one point M-steps may be taken from another: the Q is told where.
        return self._joined([q.moved(at).maximize() if count > 0 else at for q, at, count in pairs])

    def gradient(self, statistics: CopySums, params: Any) -> Array:
        """Leaf by leaf, and within each copy after copy."""
        columns: list[list[Array]] = []
        for q, one in zip(statistics.with_prior, self._apart(params), strict=True):
            free = [leaf for leaf in leaves(one) if not leaf.declared.fixed]
            sizes = [leaf.declared.space.n_coordinates(leaf.free_shape) for leaf in free]
            columns.append(np.split(q.moved(one).gradient(), np.cumsum(sizes)[:-1]))
        return np.concatenate([np.concatenate(own) for own in zip(*columns, strict=True)])

    def stacked(self, k: int) -> None:
        """None: each copy is a model of its own."""

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        labels, each = np.asarray(labels), self._apart(params)
        rows: Array | None = None
        for k in np.unique(labels):
            mine = labels == k
            # One run, or rows of which the i-th has the i-th covariates.
            drawn = self.model.sample(each[k], len(labels), rng)[0][mine]
            rows = np.zeros((len(labels), drawn.shape[1])) if rows is None else rows
            rows[mine] = drawn
        return np.zeros((0, self.width or 1)) if rows is None else rows

    def conjugate_prior(self, prior: Any, whole: Any, k: int) -> ConjugatePrior[CopySums]:
        """That of the components of each copy; flat on where its z comes from."""
        if self._family is None:
            return super().conjugate_prior(prior, whole, k)
        own = self._family.conjugate_prior(prior, whole, self.model.latent.n)
        term = self.model.prior(own, None)
        return ConjugatePrior(CopySums((), np.zeros(k), (term,) * k), 0.0)

    # ---- the rest

    def pieces(self, params: Any, x: Any, shares: Array) -> Pieces:
        """The components of each copy: a share of a share."""
        if self._family is None:
            return super().pieces(params, x, shares)
        found = []
        for k, one in enumerate(self._apart(params)):
            inner = self.model.pieces(one, x)
            outer = self.model.latent.each(x, shares[:, k])
            found.append(inner._replace(shares=inner.shares * outer[:, None]))
        owners = [np.full(len(inner.owners), k) for k, inner in enumerate(found)]
        return Pieces(
            np.concatenate([inner.log_density for inner in found], axis=1),
            np.concatenate([inner.shares for inner in found], axis=1),
            np.concatenate([inner.freedom for inner in found]),
            np.concatenate([inner.others for inner in found]),
            np.concatenate(owners),
        )

    def ingredients(self) -> dict[str, Any]:
        return {"name": self.model.name, "options": self.model.ingredients()}

    def build(self, values: Any) -> Any:
        """From the fields of the model, each with the axis K before its own."""
        return filled(self.parameters, values)

    # ---- copies apart, and together

    @property
    def _inner_kind(self) -> Any:
        found: Any = None if self._family is None else self._family.parameters
        if found is tuple:
            raise TypeError(
                f"{self.model.title()} has components of several families, and a copy of it as a "
                "component is not known; pass a model of one family."
            )
        return found

    def _apart(self, params: Any) -> list[Any]:
        """The parameters of each copy."""
        k = len(next(iter(leaves(params))).value)
        return [one_copy(params, self.model.parameters, self._inner_kind, i) for i in range(k)]

    def _joined(self, each: Sequence[Any]) -> Any:
        return together(self.parameters, each)

    # ---- the first M-step

    def _known(self, statistics: Any, previous: Any) -> CopySums:
        """The sums of completed rows: those given, or of rows that are completed first."""
        if isinstance(statistics, CopySums):
            return statistics
        each = (self.completed(previous, x, resp).statistics for x, resp in statistics.blocks)
        return statistics.with_prior(reduce(add, each))

    def _begun(self, statistics: Any) -> list[Any]:
        """Each copy at the best of a few starts of its own, a few EM steps on."""
        if isinstance(statistics, CopySums):
            if not statistics.each:
                raise Degenerate("there is no row to begin with")
            return [q.maximize() for q in statistics.with_prior]
        x, shares = statistics.x, statistics.resp
        refuse_empty(shares.sum(axis=0) <= 0)
        rng = np.random.default_rng(0)  # an M-step from nothing is one thing, whoever asks
        k = shares.shape[1]
        terms = (None,) * k if statistics.prior is None else statistics.prior.terms
        pairs = zip(shares.T, terms, strict=True)
        return [self._best(self._rows(x, weights), term, rng) for weights, term in pairs]

    def _rows(self, x: Any, weights: Array) -> Any:
        """The rows, or runs, that a copy has a share of worth speaking of."""
        (mine,) = np.nonzero(weights > 1e-3 * weights.max())
        own = x.x if self.in_runs else x
        names = tuple(f"x{j}" for j in range(own.shape[1]))
        if not self.in_runs:
            return Rows(x[mine], weights[mine], names)
        every = SequenceRows(x, weights, names, np.arange(len(x)), len(x))
        return replace(every, x=every.at(mine), weights=weights[mine])

    def _best(self, rows: Any, term: Any, rng: np.random.Generator) -> Any:
        found, failed = [], None
        for _, start in islice(self.model.under(term).starts(rows, rng), STARTS):
            try:
                if isinstance(start, Exception):
                    raise start
                at = start
                for _ in range(CLIMBS):
                    q = self.model.expect(at, rows.x, rows.weights)
                    at = (q if term is None else q + term).maximize()
                found.append((q.loglik, at))
            except Degenerate as error:
                failed = error
        if not found:
            raise failed or Degenerate("no copy of the model has a start on these rows")
        return max(found, key=lambda one: one[0])[1]


def copied(kind: Any, inner: Any, dims: Mapping[str, int]) -> type:
    """The parameter class of K copies of a class whose components are of class `inner`."""
    declared = declarations(kind)
    parts: dict[str, Any] = {}
    for one in fields(kind):
        if one.name in declared:
            parts[one.name] = _with_axis(declared[one.name], dims)
        else:
            parts[one.name] = copied(_type_of(one, inner), None, dims)
    return record(f"Copied{kind.__name__}", parts)


def _type_of(one: Any, inner: Any) -> Any:
    return inner if one.name == "components" and inner is not None else one.type


def _with_axis(what: Declared, dims: Mapping[str, int]) -> Declared:
    """The same declaration with the axis K of the copies before the others."""
    if what.per_component and not what.shared and not what.is_own:
        raise TypeError(
            "components that depend on each other, such as covariances of equal volume, are not "
            "known within a copy of a model; use others."
        )
    axes = tuple(dims.get(axis, axis) if isinstance(axis, str) else axis for axis in what.axes())
    own = len(what.shape) - what.space.n_event_axes
    space = Common(what.space, own) if what.shared else what.space
    return Declared(space, axes, False, True, what.fixed)


def one_copy(params: Any, kind: Any, inner: Any, index: int) -> Any:
    """The parameters of one copy."""
    declared = declarations(kind)
    values = {
        one.name: np.ascontiguousarray(getattr(params, one.name)[index])
        if one.name in declared
        else one_copy(getattr(params, one.name), _type_of(one, inner), None, index)
        for one in fields(kind)
    }
    return frozen(kind(**values))


def together(kind: Any, each: Sequence[Any]) -> Any:
    """The parameters of several copies as those of their family."""
    declared = declarations(kind)
    values = {}
    for one in fields(kind):
        own = [getattr(params, one.name) for params in each]
        values[one.name] = np.stack(own) if one.name in declared else together(one.type, own)
    return kind(**values)


def filled(kind: Any, values: Any) -> Any:
    declared = declarations(kind)
    given: dict[str, Any] = {}
    for one in fields(kind):
        if one.name in declared:
            given[one.name] = np.array(values[one.name], dtype=float)
        else:
            inner = values.get(one.name, values)
            given[one.name] = inner if is_dataclass(inner) else filled(one.type, inner)
    return kind(**given)
