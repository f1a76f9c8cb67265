"""Where a model with components starts, and how it leaves an optimum: the same for every latent.

Shares of components in rows, (n, K), are all that starts and moves speak of: one M-step of latent
and family makes parameters of them.  How the shares are made, see `starts`, `moves`, `parting`,
`sparing`, `reseeding`.

One known case: with one component all starts are the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from emframe.core import Degenerate
from emframe.data import Rows, filled, summed, swept
from emframe.data.runs import SequenceRows, Sequences
from emframe.engines import block_rows
from emframe.families import ConjugatePrior, Family, exchanged, likely, matched, refuse_empty
from emframe.families.kernel import checked_density
from emframe.latents import Latent
from emframe.models import starts
from emframe.models.components import taken
from emframe.models.expectation import ComponentPrior, check_m_step
from emframe.models.moves import crossed, split_and_merge, splits, taken_over
from emframe.models.nesting import Nesting, doubled, nesting
from emframe.models.parting import parted, spare
from emframe.models.reseeding import placed, without
from emframe.models.sparing import BROAD, SHARES, spared
from emframe.parameters import frozen
from emframe.spaces import Array

# Rows that a start looks at, drawn from the data where they are more.
MOST_ROWS = 20_000


def reweighted(model: Any, params: Any, rows: Any, rng: np.random.Generator) -> Any:
    """The M-step at the posterior at `params`, on rows with random weights about their own."""
    factors = rng.lognormal(size=len(rows))
    of_block = partial(_expected, model, params)
    return summed(rows, block_rows(model.work(rows)), of_block, factors).maximize()


def _expected(model: Any, params: Any, x: Any, weights: Array, factors: Array) -> Any:
    return model.expect(params, x, weights * factors)


class SeenRows(NamedTuple):
    """Rows as components see them."""

    x: Any  # (n, d), or runs
    weights: Array  # (n,)
    places: Rows  # where distances between them are measured
    are_given: bool = True  # whether covariates are among the columns of these, if there are any

    @property
    def points(self) -> Array:
        """The places, (n, d), with the gaps filled."""
        return filled(self.places.x, self.weights)


class ComponentStarts(ABC):
    """The part of a model with components that says where to begin."""

    family: Family  # what the components are
    pseudo: ComponentPrior | None

    @property
    @abstractmethod
    def latent(self) -> Latent:
        """Where z comes from."""

    @abstractmethod
    def posterior(self, params: Any, x: Any) -> tuple[Array, Array]:
        """Log density of each row, and the shares of components, (n, K)."""

    @abstractmethod
    def expect(self, params: Any, x: Any, weights: Array) -> Any:
        """Q(. | params) of rows."""

    @abstractmethod
    def work(self, rows: Any) -> int:
        """Numbers of work space for a row."""

    @property
    def _k(self) -> int:
        return self.latent.n

    @property
    def sole_start(self) -> str:
        if self._k > 1:
            return ""
        return f"with one {self.latent.noun} all starts are the same"

    @property
    def _is_real(self) -> bool:
        """Whether no column that is modelled is of counts or names."""
        d = self.family.width or 2 + max(self.family.covariates, default=-1)
        discrete, modelled = self.family.columns_modelled(d)
        return not discrete[modelled].any()

    def _with(self, **changes: Any) -> Self:
        """The same model but for these fields."""
        other = copy(self)
        vars(other).pop("latent", None)  # it follows from the fields
        for name, value in changes.items():
            object.__setattr__(other, name, value)
        return other

    def under(self, prior: ComponentPrior | None) -> Self:
        """The same model, whose starts are M-steps on the prior's pseudo-data as well."""
        return self._with(pseudo=prior)

    def seen(self, rows: Any) -> SeenRows:
        """Rows as the components see them."""
        x, weights = self.latent.seen(rows.x), self.latent.each(rows.x, rows.weights)
        columns = rows.columns[: self._width(rows)]
        if isinstance(x, Sequences):
            points = self.family.points(x)
            if points is not None:
                names = tuple(map(str, range(points.shape[1])))
                return SeenRows(x, weights, Rows(points, weights, names), are_given=False)
            own = rows if x is rows.x else replace(rows, x=x, columns=columns)
            return SeenRows(x, weights, own.means())
        places = self.family.located(x)
        if x is rows.x and places is x:
            return SeenRows(x, weights, rows)
        return SeenRows(x, weights, Rows(places, weights, columns))

    # ---- the M-step from shares

    def from_responsibilities(self, rows: Any, resp: Array, previous: Any = None) -> Any:
        """The M-step from shares (n, K) of what components see, after parameters or without."""
        return self._stepped(rows, resp, self.latent.begun(rows, resp), previous)

    def _stepped(self, rows: Any, resp: Array, own: Any, previous: Any = None) -> Any:
        size = block_rows(self.work(rows))
        refuse_empty(summed(rows, size, self._counted, resp) <= 0)
        sums = summed(rows, size, self._collected, resp)
        if self.pseudo is not None and self.pseudo.components is not None:
            sums = sums + self.pseudo.components.statistics
        before = None if previous is None else previous.components
        components = self.family.m_step(sums, before)
        params = self.latent.parameters(**own, components=components)
        check_m_step(self.family, params, self._k, self._width(rows))
        return frozen(params)

    def _counted(self, x: Any, weights: Array, resp: Array) -> Array:
        """What each component has of a block, (K,)."""
        return np.asarray(self.latent.each(x, weights) @ resp)

    def _collected(self, x: Any, weights: Array, resp: Array) -> Any:
        """The family's sums of a block under given shares (b, K)."""
        each = self.latent.each(x, weights)
        return self.family.accumulate(self.latent.seen(x), resp * each[:, None])

    def _n_seen(self, rows: Any) -> int:
        """How many rows components see: of streams, too, of which no row is here."""
        return int(rows.n_single) if self.latent.in_runs else len(rows)

    def _width(self, rows: Any) -> int:
        """How many columns the family sees."""
        return len(rows.columns) - self.latent.beside

    def _tried(self, step: Callable[[], Any]) -> Any:
        """An M-step, or what it raised: a start that has none need not end the search."""
        try:
            return step()
        except Exception as error:
            return error

    def _started(self, rows: Any, resp: Array, places: NDArray[np.intp] | None = None) -> Any:
        """The M-step from clusters (n, K) in any order, or at some places in any order."""

        def step() -> Any:
            return self.from_responsibilities(rows, self._matched(rows, resp, places))

        return self._tried(step)

    def _matched(self, rows: Any, resp: Array, places: NDArray[np.intp] | None = None) -> Array:
        """Clusters in the order of the components that fit them best."""
        own, families = self.seen(rows), self.family.each(self._k)
        found = matched(families, own.x, resp, own.weights, self.latent.held, places)
        order = self.family.arranged(own.x, found * own.weights[:, None])
        if order is not None:
            return self.latent.ordered(rows, found[:, order], alike=False)
        return self.latent.ordered(rows, found, len(set(families)) == 1)

    # ---- starts

    def starts(self, rows: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
        """Starts of several kinds in turn; one that has no M-step is told as what that raised.

        Of many rows a sample is enough: a start has to find a basin, not its bottom.  Where one
        degenerates on the sample, it is made anew on all rows: no part speaks for them.
        """
        if self._k == 1:
            one = np.ones((self._n_seen(rows), 1))
            yield "whole", self._tried(lambda: self.from_responsibilities(rows, one))
            return
        model, some = self._sampled(rows, rng)
        whole: Iterator[tuple[str, Array]] | None = None
        for turn, (kind, resp) in enumerate(self._portfolio(some, rng)):
            found = model._begun(some, resp, turn, rng)
            if isinstance(found, Degenerate) and len(some) < len(rows) and rows.in_memory:
                whole = self._portfolio(rows, rng) if whole is None else whole
                anew = next(other for name, other in whole if name == kind)
                found = self._begun(rows, anew, turn, rng)
            yield kind, found

    def _begun(self, rows: Any, resp: Array, turn: int, rng: np.random.Generator) -> Any:
        """The M-step from clusters, in the mood of the latent's turn."""

        def step() -> Any:
            order = self._matched(rows, resp)
            return self._stepped(rows, order, self.latent.begins(rows, order, turn, rng))

        return self._tried(step)

    def _portfolio(self, rows: Any, rng: np.random.Generator) -> Iterator[tuple[str, Array]]:
        seen = self.seen(rows)
        is_given = bool(self.family.covariates) and seen.are_given
        return starts.portfolio(seen.places, self._k, rng, self._is_real, is_given)

    def _sampled(self, rows: Any, rng: np.random.Generator) -> tuple[Self, Any]:
        """Rows enough to start from, and this model, whose M-steps on them know of the others.

        All rows together are there as one more, so that a value too rare for the sample is
        improbable at the start, and not impossible, from where EM has no way.
        """
        some = rows.sample(MOST_ROWS, rng)
        if self._is_real or len(some) == len(rows):
            return self, some
        return self._knowing(rows), some

    def _knowing(self, rows: Any) -> Self:
        """The same model, whose M-steps see all these rows together as one row more."""
        total = rows.total if self.latent.in_runs else rows.weight
        share = np.full(self._k, rows.unit / (self._k * total))
        whole = summed(rows, block_rows(self.work(rows)), partial(self._shared, share))
        prior = ComponentPrior(self.family, None) if self.pseudo is None else self.pseudo
        if prior.components is not None:
            whole = whole + prior.components.statistics
        return self.under(replace(prior, components=ConjugatePrior(whole, 0.0)))

    def _shared(self, share: Array, x: Any, weights: Array) -> Any:
        """The family's sums of a block, of which each component has the same share (K,)."""
        each = self.latent.each(x, weights)
        return self.family.accumulate(self.latent.seen(x), np.outer(each, share))

    # ---- ways out of an optimum

    def moves(self, params: Any, rows: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
        """Exchanges of unlike components, then splits and merges; see `emframe.models.moves`."""
        model, rows = self._sampled(rows, rng)
        own, resp = self.seen(rows), self.posterior(params, rows.x)[1]
        density = checked_density(self.family, params.components, own.x, self._k)
        families = self.family.each(self._k)
        for changed in exchanged(families, own.x, resp, own.weights, self.latent.held):
            yield "exchange", model._tried(partial(model.from_responsibilities, rows, changed))
        for changed in split_and_merge(resp, density, own.points, own.weights, rng):
            anew = np.flatnonzero((changed != resp).any(axis=0))  # the others keep their places
            yield "split and merge", model._started(rows, changed, anew)

    def crossed(
        self, params: Any, other: Any, rows: Any, rng: np.random.Generator
    ) -> Iterator[tuple[str, Any]]:
        """Children of two optima, without end; see `emframe.models.moves`.  None where K < 3."""
        model, rows = self._sampled(rows, rng)
        one, two = (self.posterior(parent, rows.x)[1] for parent in (params, other))
        weights = self.seen(rows).weights
        while self._k > 2:
            child = crossed(one, two, weights, rng)
            yield "crossover", model._started(rows, child)

    def taken_over(
        self, params: Any, rows: Any, mine: NDArray[np.bool_]
    ) -> Iterator[tuple[str, Any]]:
        """The rows `mine` in the place of each component in turn; see ``emframe.models.moves``."""
        if self.latent.in_runs:  # which rows of a run are overlooked says little of its path
            return
        resp = self.posterior(params, rows.x)[1]
        for changed in taken_over(resp, rows.weights, mine):
            step = self._tried(partial(self.from_responsibilities, rows, changed))
            yield "taken over", step

    def has_twins(self, params: Any, rows: Any) -> bool:
        """Whether some share the rows alike, or have none; looked for on a sample of many.

        Or whether there is one only, of a family with a latent of its own: it has saddles too.
        """
        if self._k == 1:
            return self.family.hides
        in_runs = rows.n_single > len(rows) or isinstance(rows, SequenceRows)
        stride = 1 if in_runs else max(1, len(rows) // MOST_ROWS)
        found = swept(rows, MOST_ROWS, partial(self._at_stride, params, stride))
        shares, weights = (np.concatenate(each) for each in zip(*found, strict=True))
        return bool(spare(shares, weights))

    def _at_stride(self, params: Any, stride: int, x: Any, weights: Array) -> tuple[Array, Array]:
        """Shares (b, K) and weights of every so many-th row of a block; of all runs."""
        if stride > 1:
            x, weights = x[::stride], weights[::stride]
        return self.posterior(params, x)[1], self.latent.each(x, weights)

    def nudged(self, params: Any, rows: Any, rng: np.random.Generator) -> Any | None:
        """The M-step on shares that are disturbed, of many rows those of a sample.

        See `emframe.models.parting`.  Of a single component that hides something, on rows with
        random weights.
        """
        if self._k == 1:
            return self._reweighted(params, rows, rng) if self.family.hides else None
        model, rows = self._sampled(rows, rng)
        own, shares = self.seen(rows), self.posterior(params, rows.x)[1]
        changed = parted(shares, own.points, own.weights, rng)
        return model.from_responsibilities(rows, changed, params)

    def _reweighted(self, params: Any, rows: Any, rng: np.random.Generator) -> Any:
        return reweighted(self, params, rows, rng)

    def spared(self, params: Any, rows: Any, rng: np.random.Generator) -> Any | None:
        """One of two alike components, or one without rows, where it does more; see
        `emframe.models.sparing`."""
        if self.latent.in_runs:  # the derivative is that of rows with a z of their own each
            return None
        can_shrink = self.family.freedom(params.components, self._k).any()
        of_all = BROAD if can_shrink else SHARES
        model, rows = self._sampled(rows, rng)
        row_loglik, shares = self.posterior(params, rows.x)
        families, own = self.family.each(self._k), self.seen(rows)
        for twins in spare(shares, rows.weights):
            some = own.x, own.points, own.weights
            changed = spared(families[twins[1]], shares, twins, row_loglik, *some, rng, of_all)
            if changed is not None:
                return model.from_responsibilities(rows, changed, params)
        return None

    def reseeded(self, params: Any, k: int, rows: Any, rng: np.random.Generator) -> Any:
        """Component k given another place; see `emframe.models.reseeding`."""
        model, rows = self._sampled(rows, rng)
        own = self.seen(rows)
        with np.errstate(all="ignore"):  # what has degenerated may be anywhere
            log_b = np.nan_to_num(self.family.log_density(params.components, own.x), nan=-np.inf)
            joint = likely(log_b) + np.log(self.latent.occupancy(params))
            resp = np.exp(joint - logsumexp(np.delete(joint, k, axis=1), axis=1, keepdims=True))
        family = self.family.each(self._k)[k]

        def step() -> Any:
            rest = without(resp, k)
            new = placed(family, rest, k, own.x, own.points, own.weights, rng)
            return model.from_responsibilities(rows, new)

        return self._tried(step)

    # ---- other data, other sizes

    def widened(self, params: Any, some: Any, rows: Any) -> Any:
        """The M-step on some rows where all together are there as one more.

        Where what is not among some is impossible for good; elsewhere the parameters stay.
        """
        if self._is_real and not self.latent.can_close:
            return params
        model = self if self._is_real else self._knowing(rows)
        q = model.expect(params, some.x, some.weights)
        more = q if model.pseudo is None else q + model.pseudo
        return replace(more, sums=self.latent.widened(q.sums)).maximize()

    def embedded(self, smaller: Any, params: Any) -> Any | None:
        """The heaviest of the smaller model's components twice; see `emframe.models.nesting`."""
        found = self._nesting(smaller)
        if found is None:
            return None
        order, times = doubled(smaller.latent.occupancy(params), found)
        twice = taken(params, order)
        return frozen(replace(twice, **self.latent.doubled(twice, times)))

    def grown(
        self, smaller: Any, params: Any, rows: Any, rng: np.random.Generator
    ) -> Iterator[tuple[str, Any]]:
        """Splits of each of the smaller model's components; see `emframe.models.moves`."""
        found = self._nesting(smaller)
        if found is None:
            return
        model, rows = self._sampled(rows, rng)
        own, resp = self.seen(rows), smaller.posterior(params, rows.x)[1]
        density = checked_density(smaller.family, params.components, own.x, smaller.latent.n)
        for changed in splits(resp, density, own.points, own.weights, *found, rng):
            step = model._tried(partial(model.from_responsibilities, rows, changed))
            yield f"split of K = {smaller.latent.n}", step

    def _nesting(self, smaller: Any) -> Nesting | None:
        """How this model contains a smaller one of the same latent."""
        other = getattr(smaller, "latent", None)
        if other is None or not self.latent.alike(other):
            return None
        return nesting((smaller.family, other.n), (self.family, self._k))
