"""Finite mixtures: the latent z is one-hot, and picks the component that the row comes from.

    p(x, z | theta) = prod_k [ w_k f(x | theta_k) ] ^ z_k,        sum_k z_k = 1

Its posterior mean ``E[z_k | x]`` is the responsibility r_k, and because log p(x, z) is linear in z
that is all Q needs:

    Q(theta | at) = sum_ik r_ik [ log w_k + log f(x_i | theta_k) ]

(Bishop 2006, eq. 9.40; McLachlan and Peel 2000, section 2.8).

One known case: with K = 1 every responsibility is 1 and Q is the log-likelihood of the family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import chain
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from emframe.composing import Nested, fixed, tied
from emframe.core import Contract, Degenerate, Expectation
from emframe.data import Rows, filled, frequencies
from emframe.engines import Workspace, block_rows
from emframe.families import (
    ConjugatePrior,
    Densities,
    Family,
    Pieces,
    Survey,
    exchanged,
    likely,
    matched,
    refuse_empty,
)
from emframe.families.kernel import checked_density
from emframe.models import starts
from emframe.models.base import Covered, covered
from emframe.models.components import taken
from emframe.models.mixture_expectation import (
    HeldWeights,
    MixtureExpectation,
    MixtureParameters,
    MixturePrior,
    check_m_step,
    composed_problem,
    held_weights,
)
from emframe.models.mixture_parts import composed, parts, titled
from emframe.models.mixture_pass import MixturePass
from emframe.models.moves import crossed, split_and_merge, splits, taken_over
from emframe.models.nesting import Nesting, doubled, nesting
from emframe.models.parting import alike, parted
from emframe.models.reading import read
from emframe.models.reseeding import placed, without
from emframe.models.sequences import SequenceRows, as_sequences
from emframe.models.sparing import BROAD, SHARES, spared
from emframe.parameters import frozen, near, real_values
from emframe.recipes import describe
from emframe.refusals import refuse_beyond
from emframe.spaces import Array

# Rows that a start looks at, drawn from the data where they are more.
MOST_ROWS = 20_000


@dataclass(frozen=True, init=False)
class Mixture:
    """A finite mixture of the components of a family.

    Parameters
    ----------
    family : name of a plugin, a `Family`, a `Mixture` (each component is then itself one), or a
        list of them: one for each component, or one for each group of components.
    n_components : K; for a list of families a list of group sizes (default: one each).
    **options : settings of the family, when it is given by name, such as ``covariance="tied"``.

    Raises
    ------
    ValueError : for an unknown family, with the known ones and near misses; for a K below 1.
    """

    family: Family
    n_components: int
    weights: tuple[float, ...] | None = None  # (K,), where they are held; see `fixed`
    pseudo: MixturePrior | None = field(default=None, repr=False, compare=False)  # see `under`
    covered: Covered | None = field(default=None, repr=False, compare=False)  # see `given`

    def __init__(
        self,
        family: str | Family | Mixture | Sequence[str | Family | Mixture],
        n_components: int | Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        resolved, k = composed(family, n_components, options)
        object.__setattr__(self, "family", resolved)
        object.__setattr__(self, "n_components", k)

    def fixed(self, **values: Any) -> Mixture:
        """The same mixture with parameters held; see `emframe.fixed`.

        Weights of 1/K, or any others that sum to 1, are the mixture's own; all else its family's.
        """
        changes: dict[str, Any] = {}
        if "weights" in values:
            changes["weights"] = held_weights(values.pop("weights"), self.n_components)
        if values:
            changes["family"] = fixed(self.family, **values)
        return self._with(**changes)

    def as_component(self) -> Family:
        """The family of which each component is such a mixture."""
        if self.family.in_runs:
            raise TypeError(
                f"the rows of {self.family.name!r} are runs, and a component of runs is no mixture "
                "of its own; pass its families to the outer mixture, one by one."
            )
        nested = Nested(self.family.each(self.n_components))
        return nested if self.weights is None else fixed(nested, shares=self.weights)

    def tied(self, *names: str) -> Mixture:
        """The same mixture with parameters that all components share; see `emframe.tied`."""
        return self._with(family=tied(self.family, *names))

    def given(self, x: Any, weights: Array | None = None) -> Mixture:
        """The same mixture, with draws at covariates of rows x, by weights; see `Family.given`."""
        return self._with(covered=covered(self.family, x, weights))

    def _with(self, **changes: Any) -> Mixture:
        """The same mixture but for these fields."""
        other = copy(self)
        for name, value in changes.items():
            object.__setattr__(other, name, value)
        return other

    @property
    def contract(self) -> Contract:
        return self.family.contract

    @property
    def effort(self) -> float:
        return self.family.effort

    @property
    def sole_start(self) -> str:
        return "with one component all starts are the same" if self.n_components == 1 else ""

    # ---- data

    def settled(self, X: Any, weights: Any = None) -> Mixture:
        """The same mixture with what its family leaves to the data read off them.

        `emframe.fit` does that by itself; see ``fit.model``.
        """
        if self.family.is_settled:
            return self
        rows = self.rows(X, frequencies(X, weights))
        whole = self.survey(rows).statistics
        return self._with(family=self.family.settled(whole, rows.columns))

    def rows(self, X: Any, weights: Any = None, columns: Any = None) -> Any:
        """Validate data, rows or runs of rows; see `emframe.data.as_rows`."""
        given = as_sequences if self.family.in_runs else read
        return given(X, self.family, weights, columns)

    def independent(self, rows: Any) -> float:
        """Rows, or runs where the rows of a run share one z: a person counts once in BIC."""
        return float(rows.n_runs if isinstance(rows, SequenceRows) else rows.total)

    def require(self, rows: Rows) -> None:
        """Refuse fewer distinct rows than the components need."""
        k = self.n_components
        if self.family.in_runs:
            refuse_beyond("n_components", k, len(rows), "run")
            return
        refuse_beyond("n_components", k, len(rows), "row")
        refuse_beyond("n_components", k, rows.n_distinct(k), "distinct row")

    def condense(self, rows: Rows) -> Rows:
        """Distinct rows with their counts as weights, where the data are discrete and it pays."""
        return rows if self._is_real or self.family.in_runs else rows.distinct()

    def work(self, rows: Rows) -> int:
        return self.n_components * (len(rows.columns) + 4) * 2

    def survey(self, rows: Rows) -> Survey:
        """The family's statistics of all rows as one component."""
        blocks = rows.blocks(block_rows(self.work(rows)))
        try:
            whole = reduce(add, (self.family.whole(x, w) for x, w in blocks))
        except Exception as error:
            error.add_note(f"in the sums of the family {self.family.name!r} over all rows")
            raise
        return Survey(whole, len(rows))

    # ---- E

    def passes(self, params: MixtureParameters, survey: Survey) -> Iterator[MixturePass]:
        """The E-step by each of the family's kernels in turn."""
        for kernel in self.family.kernels(params.components, _log(params.weights), survey):
            yield MixturePass(self.family, params, kernel)

    def expect(self, params: MixtureParameters, x: Array, weights: Array) -> MixtureExpectation:
        """Q(. | params) of rows x (n, d) with frequency weights (n,)."""
        kernel = Densities(self.family, params.components, _log(params.weights))
        whole = MixturePass(self.family, params, kernel)
        q = whole.finish(whole.block((x, weights), Workspace()))
        assert q is not None  # plain densities lose no digits
        return q

    def posterior(self, params: MixtureParameters, x: Array) -> tuple[Array, Array]:
        """Log density of each row, (n,), and responsibilities p(z | x), (n, K).

        A row that is impossible under every component has -inf, and no responsibilities (nan).
        """
        joint = self.log_joint(params, x)
        highest = joint.max(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):  # a row impossible everywhere: -inf less -inf
            resp = np.exp(joint - highest)
            total = resp.sum(axis=1, keepdims=True)
            resp /= total
            row_loglik = (highest + np.log(total))[:, 0]
        row_loglik[np.isnan(row_loglik)] = -np.inf
        return row_loglik, resp

    def log_joint(self, params: MixtureParameters, x: Array) -> Array:
        """log p(x, z_k = 1 | params) of each row, (n, K)."""
        density = checked_density(self.family, params.components, x, self.n_components)
        return density + _log(params.weights)

    # ---- M

    def prior(self, prior: Any, survey: Survey) -> MixturePrior | None:
        """The term that ``prior=`` adds to Q: a name the family knows, or a ConjugatePrior."""
        if prior is None:
            return None
        term = (
            prior
            if isinstance(prior, ConjugatePrior)
            else self.family.conjugate_prior(prior, survey.statistics, self.n_components)
        )
        return MixturePrior(self.family, term)

    def under(self, prior: MixturePrior | None) -> Mixture:
        """The same mixture, whose starts are M-steps on the prior's pseudo-data as well."""
        return self._with(pseudo=prior)

    def from_responsibilities(
        self, rows: Rows, resp: Array, previous: MixtureParameters | None = None
    ) -> MixtureParameters:
        """The M-step from responsibilities (n, K), after previous parameters or without any."""
        counts = rows.weights @ resp
        refuse_empty(counts <= 0)

        def sums() -> Iterator[Any]:
            first = 0
            for x, weights in rows.blocks(block_rows(self.work(rows))):
                part = slice(first, first + len(x))
                yield self.family.accumulate(x, resp[part] * weights[:, None])
                first = part.stop

        pseudo = () if self.pseudo is None else (self.pseudo.components.statistics,)
        before = None if previous is None else previous.components
        components = self.family.m_step(reduce(add, chain(sums(), pseudo)), before)
        params = self._parameters(counts / counts.sum(), components)
        check_m_step(self.family, params, len(rows.columns))
        return frozen(params)

    def _parameters(self, weights: Array, components: Any) -> MixtureParameters:
        """These parameters, but for weights that are held."""
        if self.weights is None:
            return MixtureParameters(weights, components)
        return HeldWeights(np.array(self.weights), components)

    # ---- starts

    def starts(
        self, rows: Rows, rng: np.random.Generator
    ) -> Iterator[tuple[str, MixtureParameters | Exception]]:
        """Starts of several kinds in turn; one that has no M-step is told as what that raised.

        Of many rows a sample is enough: a start has to find a basin, not its bottom.  Where one
        degenerates on the sample, it is made anew on all rows: no part speaks for them.
        """
        if self.n_components == 1:
            yield "whole", self._from_responsibilities(rows, np.ones((len(rows), 1)))
            return
        model, some = self._sampled(rows, rng)
        supply = self._portfolio(some, rng)
        whole: Iterator[tuple[str, Array]] | None = None
        for kind, resp in supply:
            found = model._started(some, resp)
            if isinstance(found, Degenerate) and len(some) < len(rows) and rows.in_memory:
                whole = self._portfolio(rows, rng) if whole is None else whole
                anew = next(other for name, other in whole if name == kind)
                found = self._started(rows, anew)
            yield kind, found

    def _portfolio(self, rows: Rows, rng: np.random.Generator) -> Iterator[tuple[str, Array]]:
        points = self._points(rows)
        is_given = bool(self.family.covariates) and points.columns == rows.columns
        return starts.portfolio(points, self.n_components, rng, self._is_real, is_given)

    def _points(self, rows: Any) -> Rows:
        """Where starts measure distances: by the family, or the rows, or the middle of each run."""
        places = self.family.points(rows.x)
        if places is not None:
            return Rows(places, rows.weights, tuple(map(str, range(places.shape[1]))))
        return rows.means() if isinstance(rows, SequenceRows) else rows

    def moves(
        self, params: MixtureParameters, rows: Rows, rng: np.random.Generator
    ) -> Iterator[tuple[str, MixtureParameters | Exception]]:
        """Exchanges of unlike components, then splits and merges; see `emframe.models.moves`."""
        model, rows = self._sampled(rows, rng)
        resp = self.posterior(params, rows.x)[1]
        density = checked_density(self.family, params.components, rows.x, self.n_components)
        x = filled(self._points(rows).x, rows.weights)
        families = self.family.each(self.n_components)
        for changed in exchanged(families, rows.x, resp, rows.weights, self.weights):
            yield "exchange", model._from_responsibilities(rows, changed)
        for changed in split_and_merge(resp, density, x, rows.weights, rng):
            anew = np.flatnonzero((changed != resp).any(axis=0))  # the others keep their places
            yield "split and merge", model._started(rows, changed, anew)

    def crossed(
        self,
        params: MixtureParameters,
        other: MixtureParameters,
        rows: Rows,
        rng: np.random.Generator,
    ) -> Iterator[tuple[str, MixtureParameters | Exception]]:
        """Children of two optima, without end; see `emframe.models.moves`.  None where K < 3."""
        model, rows = self._sampled(rows, rng)
        one, two = (self.posterior(parent, rows.x)[1] for parent in (params, other))
        while self.n_components > 2:
            child = crossed(one, two, rows.weights, rng)
            yield "crossover", model._started(rows, child)

    def taken_over(
        self, params: MixtureParameters, rows: Rows, mine: NDArray[np.bool_]
    ) -> Iterator[tuple[str, MixtureParameters | Exception]]:
        """The rows `mine` in the place of each component in turn; see ``emframe.models.moves``."""
        resp = self.posterior(params, rows.x)[1]
        for changed in taken_over(resp, rows.weights, mine):
            yield "taken over", self._from_responsibilities(rows, changed)

    def widened(self, params: MixtureParameters, some: Rows, rows: Rows) -> MixtureParameters:
        """The M-step on some rows where all together are there as one more, if any is discrete."""
        if self._is_real:
            return params
        resp = self.posterior(params, some.x)[1]
        return self._knowing(rows).from_responsibilities(some, resp, params)

    def has_twins(self, params: MixtureParameters, rows: Rows) -> bool:
        """Whether some components share the rows alike; looked for on a sample of many."""
        stride = max(1, len(rows) // MOST_ROWS)
        each = [(x[::stride], w[::stride]) for x, w in rows.blocks(MOST_ROWS)]
        shares = np.concatenate([self.posterior(params, x)[1] for x, _ in each])
        return bool(alike(shares, np.concatenate([w for _, w in each])))

    def nudged(
        self, params: MixtureParameters, rows: Rows, rng: np.random.Generator
    ) -> MixtureParameters | None:
        """The M-step on shares that are disturbed, of many rows those of a sample.

        See `emframe.models.parting`.
        """
        if self.n_components == 1:
            return None
        model, rows = self._sampled(rows, rng)
        shares = self.posterior(params, rows.x)[1]
        x = filled(self._points(rows).x, rows.weights)
        changed = parted(shares, x, rows.weights, rng)
        return model.from_responsibilities(rows, changed, params)

    def spared(
        self, params: MixtureParameters, rows: Rows, rng: np.random.Generator
    ) -> MixtureParameters | None:
        """One of two alike components where it does more; see `emframe.models.sparing`."""
        can_shrink = self.family.freedom(params.components, self.n_components).any()
        of_all = BROAD if can_shrink else SHARES
        model, rows = self._sampled(rows, rng)
        row_loglik, shares = self.posterior(params, rows.x)
        families = self.family.each(self.n_components)
        for j, k, *_ in alike(shares, rows.weights):
            points = filled(self._points(rows).x, rows.weights)
            some = rows.x, points, rows.weights
            twins = int(j), int(k)
            changed = spared(families[k], shares, twins, row_loglik, *some, rng, of_all)
            if changed is not None:
                return model.from_responsibilities(rows, changed, params)
        return None

    def embedded(self, smaller: Any, params: Any) -> MixtureParameters | None:
        """The heaviest of the smaller mixture's components twice; see `emframe.models.nesting`."""
        found = self._nesting(smaller)
        if found is None:
            return None
        order, times = doubled(params.weights, found)
        twice = taken(params, order)
        return frozen(replace(twice, weights=twice.weights / times))

    def grown(
        self, smaller: Any, params: Any, rows: Rows, rng: np.random.Generator
    ) -> Iterator[tuple[str, MixtureParameters | Exception]]:
        """Splits of each of the smaller mixture's components; see `emframe.models.moves`."""
        found = self._nesting(smaller)
        if found is None:
            return
        model, rows = self._sampled(rows, rng)
        resp = smaller.posterior(params, rows.x)[1]
        density = checked_density(smaller.family, params.components, rows.x, smaller.n_components)
        x = filled(self._points(rows).x, rows.weights)
        for changed in splits(resp, density, x, rows.weights, *found, rng):
            started = model._from_responsibilities(rows, changed)
            yield f"split of K = {smaller.n_components}", started

    def _nesting(self, smaller: Any) -> Nesting | None:
        """How this mixture contains a smaller one; not where the weights of either are held."""
        if type(smaller) is not type(self) or (self.weights, smaller.weights) != (None, None):
            return None
        return nesting((smaller.family, smaller.n_components), (self.family, self.n_components))

    def _sampled(self, rows: Rows, rng: np.random.Generator) -> tuple[Mixture, Rows]:
        """Rows enough to start from, and this mixture, whose M-steps on them know of the others.

        All rows together are there as one more, so that a value too rare for the sample is
        improbable at the start, and not impossible, from where EM has no way.
        """
        some = rows.sample(MOST_ROWS, rng)
        if self._is_real or len(some) == len(rows):
            return self, some
        return self._knowing(rows), some

    def _knowing(self, rows: Rows) -> Mixture:
        """The same mixture, whose M-steps see all these rows together as one row more."""
        share = np.full(self.n_components, 1.0 / (self.n_components * rows.weights.sum()))
        blocks = rows.blocks(block_rows(self.work(rows)))
        whole = reduce(add, (self.family.accumulate(x, np.outer(w, share)) for x, w in blocks))
        if self.pseudo is not None:
            whole = whole + self.pseudo.components.statistics
        return self.under(MixturePrior(self.family, ConjugatePrior(whole, 0.0)))

    def reseeded(
        self, params: MixtureParameters, k: int, rows: Rows, rng: np.random.Generator
    ) -> MixtureParameters | Exception:
        """Component k given another place; see `emframe.models.reseeding`."""
        model, rows = self._sampled(rows, rng)
        with np.errstate(all="ignore"):  # what has degenerated may be anywhere
            log_b = np.nan_to_num(self.family.log_density(params.components, rows.x), nan=-np.inf)
            joint = likely(log_b) + _log(params.weights)
            resp = np.exp(joint - logsumexp(np.delete(joint, k, axis=1), axis=1, keepdims=True))
        points = filled(self._points(rows).x, rows.weights)
        family = self.family.each(self.n_components)[k]

        def step() -> MixtureParameters:
            rest = without(resp, k)
            new = placed(family, rest, k, rows.x, points, rows.weights, rng)
            return model.from_responsibilities(rows, new)

        return _tried(step)

    def _from_responsibilities(self, rows: Rows, resp: Array) -> MixtureParameters | Exception:
        return _tried(lambda: self.from_responsibilities(rows, resp))

    def _started(
        self, rows: Rows, resp: Array, places: NDArray[np.intp] | None = None
    ) -> MixtureParameters | Exception:
        """The M-step from clusters (n, K) in any order, or at some places in any order."""

        def step() -> MixtureParameters:
            families = self.family.each(self.n_components)
            order = matched(families, rows.x, resp, rows.weights, self.weights, places)
            return self.from_responsibilities(rows, order)

        return _tried(step)

    @property
    def _is_real(self) -> bool:
        return not any(space.discrete for space in self.family.supports)

    def start(self, start: Any, rows: Rows, rng: np.random.Generator) -> MixtureParameters:
        """Parameters from parameters, a mapping, responsibilities, labels, or a callable."""
        given = not callable(start)
        if not given:
            start = start(rows.x, rng)
        if isinstance(start, Mapping):
            try:
                start = self.build(start)
            except (TypeError, ValueError) as error:
                raise type(error)(f"`start`: {error}") from error
        if isinstance(start, MixtureParameters):
            start = near(start)
            wrong = self.problem(start, len(rows.columns))
            if wrong:
                raise ValueError(f"`start`: {wrong}.")
            return frozen(self._parameters(start.weights, start.components))
        # The user counts the rows that were given; a callable those that it was shown.
        n = rows.n_given if given else len(rows)
        resp = starts.as_responsibilities(start, n, self.n_components)
        return self.from_responsibilities(rows, resp[rows.numbers] if given else resp)

    def problem(self, params: MixtureParameters, d: int) -> str | None:
        """What is wrong with parameters of this model for data of d columns, or None."""
        found = composed_problem(self.family, params, {"K": self.n_components, "d": d})
        if found or self.weights is None or np.array_equal(params.weights, self.weights):
            return found
        return f"`weights` is {params.weights}; they are held at {self.weights}"

    def build(self, values: Mapping[str, Any]) -> MixtureParameters:
        """Parameters from ``{"weights": ..., "rates": ...}`` or ``{..., "components": {...}}``."""
        rest = {name: value for name, value in values.items() if name != "weights"}
        weights = values.get("weights", self.weights)
        if weights is None:
            raise ValueError("`weights`, the K prior probabilities, are missing.")
        components = rest["components"] if set(rest) == {"components"} else rest
        built = (
            components
            if not isinstance(components, (Mapping, list))
            else self.family.build(components)
        )
        given = MixtureParameters(real_values("weights", weights), built)
        return frozen(given if self.weights is None else HeldWeights(given.weights, built))

    # ---- after the fit

    def irregularities(self, q: Expectation[Any]) -> Mapping[int, str]:
        """None but artefacts, which are judged at the rows."""
        return {}

    def undetermined(self, q: Expectation[Any]) -> str:
        """Nothing that is seen from Q alone."""
        return ""

    def pieces(self, params: MixtureParameters, x: Any) -> Pieces:
        """Its components, or what they are mixtures of, at rows x."""
        return self.family.pieces(params.components, x, self.posterior(params, x)[1])

    def columns_modelled(self, d: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        return self.family.columns_modelled(d)

    def choices(self) -> int:
        return self.n_components

    def complete_log_likelihood(
        self, params: MixtureParameters, x: Array, z: np.ndarray[Any, Any]
    ) -> float:
        """Sum over rows of log p(x, z | params), for one-hot z (n, K) or labels (n,)."""
        joint = self.log_joint(params, x)
        hot = starts.as_one_hot(z, len(joint), self.n_components)
        return float(joint[hot == 1].sum())

    def sample(
        self, params: MixtureParameters, n: int, rng: np.random.Generator
    ) -> tuple[Array, np.ndarray[Any, Any]]:
        """n rows and their labels: first z by the weights, then x from the component z picks.

        Of a `Grouped` family they are one run, and have one z.
        """
        labels = rng.choice(self.n_components, size=n, p=params.weights)
        if self.family.in_runs:
            labels[:] = labels[:1]
        family = self.family if self.covered is None else self.covered.lend(self.family, n, rng)
        rows = np.asarray(family.sample(params.components, labels, rng), dtype=float)
        return (rows[:, None] if rows.ndim == 1 else rows), labels

    def describe(self) -> dict[str, Any]:
        """The model as JSON: names of registered families and their settings."""
        families, sizes = parts(self.family, self.n_components)
        return {
            "model": "mixture",
            "families": [describe(family) for family in families],
            "n_components": list(sizes),
            **({} if self.weights is None else {"weights": list(self.weights)}),
        }

    def title(self) -> str:
        """For example ``gaussian mixture, covariance=full, K = 3``."""
        held = ", weights held" * (self.weights is not None)
        return f"{titled(self.family)}, K = {self.n_components}{held}"


def _tried(step: Callable[[], MixtureParameters]) -> MixtureParameters | Exception:
    """An M-step, or what it raised: a start that has none need not end the search."""
    try:
        return step()
    except Exception as error:
        return error


def _log(weights: Array) -> Array:
    if weights.all():
        return np.asarray(np.log(weights))
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(weights))
