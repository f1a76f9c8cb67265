"""Categorical columns: items with several answers, independent given the component.

    log f(x | probs) = sum_j log p_j(x_j)

A mixture of these is the latent class model (Lazarsfeld and Henry 1968; Goodman 1974, Biometrika
61, 215).  Answers are codes 0 .. m-1 that stand for no order.  Told as an exponential family with
one statistic per answer, whether it was given, and no log-partition: so probabilities of exactly
0, common at the maximum of such models, need no special case, and an answer that is missing has
statistics of 0.

One known case: with two levels it is the Bernoulli family, and the probabilities of a single
component are the shares of the answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from emframe import Array, ConjugatePrior, ExponentialFamily
from emframe.composing import AtColumns, Home, RowsOf
from emframe.families import Conditional, Kernel, Moments, Survey, of_any_row
from emframe.parameters import Declared, pullback
from emframe.parameters.records import record
from emframe.spaces import Codes, OrMissing, Simplex, Simplexes, Space
from emframe_families.items.answers import checked, shares, slope
from emframe_families.items.lookups import lookups

MOST_LEVELS = 1000  # where they are read off the data: numbers that count are no codes


@dataclass(frozen=True)
class Categorical(ExponentialFamily):
    """Any number of columns of codes.

    The parameters are ``probs`` (K, d, m): the probability of each answer to each item in each
    component, 0 beyond the levels of a column that has fewer than m.

    Parameters
    ----------
    levels : how many answers there are: one number for all columns, or one for each; None for
        those that the data have, each of which has to occur then.
    missing : whether answers may be missing (nan). Then the density of a row is that of the
        answers that were given, as if the others had never been asked.
    """

    levels: int | tuple[int, ...] | None = None
    missing: bool = False

    name = "categorical"
    priors = ("weak",)
    gaps = "expect missing answers: missing=True"

    def __post_init__(self) -> None:
        checked(self.missing)
        if self.levels is None:
            return
        one, given = np.ndim(self.levels) == 0, np.atleast_1d(np.asarray(self.levels))
        if given.dtype.kind not in "iu" or given.ndim != 1 or min(given, default=0) < 1:
            raise ValueError(
                f"`levels` is {self.levels!r}; pass a whole number of answers, 1 or more, or a "
                "tuple with one for each column."
            )
        levels = int(given[0]) if one else tuple(map(int, given))
        object.__setattr__(self, "levels", levels)

    # ---- how many answers

    @property
    def is_settled(self) -> bool:  # type: ignore[override]
        return self.levels is not None

    def settled(self, whole: Seen, columns: Sequence[str]) -> Categorical:
        if self.levels is not None:
            return self
        levels = [_levels(codes, name) for codes, name in zip(whole.codes.T, columns, strict=True)]
        alike = len(set(levels)) == 1
        return Categorical(levels[0] if alike else tuple(levels), self.missing)

    @property
    def _known(self) -> int | tuple[int, ...]:
        if self.levels is None:
            raise ValueError(
                "the levels of the family 'categorical' are left to the data, which were not seen "
                "yet; pass levels=, or take what `settled(X)` of the model gives."
            )
        return self.levels

    # ---- declarations

    @property
    def parameters(self) -> type:
        known = self._known
        if isinstance(known, int):
            probs = Declared(Simplex(), ("d", known))
        else:
            probs = Declared(Simplexes(known), ("d", max(known)))
        return record("CategoricalParameters", {"probs": probs})

    @property
    def width(self) -> int | None:  # type: ignore[override]
        return len(self.levels) if isinstance(self.levels, tuple) else None

    @property
    def takes_columns(self) -> bool:
        return self.width != 1

    @property
    def support(self) -> Space:  # type: ignore[override]
        if isinstance(self.levels, tuple):
            return RowsOf(self._alike())
        codes = Codes(0, (self.levels or MOST_LEVELS) - 1)
        return OrMissing(codes) if self.missing else codes

    @property
    def supports(self) -> tuple[Space, ...]:
        if isinstance(self.levels, tuple):
            return tuple(AtColumns(home.space, home.places) for home in self._alike())
        return (self.support,)

    def _alike(self) -> tuple[Home, ...]:
        """The columns in groups of as many levels each."""
        levels = np.array(self.levels)

        def home(m: int) -> Home:
            places = tuple(map(int, np.flatnonzero(levels == m)))
            return Home(f"{m} levels", Categorical(m, self.missing).support, places)

        return tuple(home(int(m)) for m in np.unique(levels))

    # ---- the exponential family, its statistics item by item and answer by answer

    def statistics(self, x: Array) -> Array:
        given = x[:, :, None] == np.arange(self._inside(x.shape[1]).shape[1])
        return self._answers(given).astype(float)

    def natural(self, params: Any) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(self._answers(params.probs))

    def log_partition(self, params: Any) -> Array:
        return np.zeros(len(params.probs))

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """With many rows by tables of joint answers; see `lookups`."""
        natural = self.natural(params)
        levels = self._inside(params.probs.shape[1]).sum(axis=1)
        yield from lookups(natural, constants, self.statistics, levels, self.missing, survey)
        yield from super().kernels(params, constants, survey)

    def with_gaps(self) -> Categorical:
        return replace(self, missing=True)

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        return of_any_row(self, params, len(x), hidden)

    def imputed(self, params: Any, x: Array, shares: Array) -> Array:
        """With the likeliest answer where one is missing: codes have no mean."""
        likeliest = np.einsum("nk,kjl->njl", shares, params.probs).argmax(axis=2)
        return np.where(np.isnan(x), likeliest, x)

    def from_mean(self, mean: Array) -> Any:
        totals = self._items(mean)
        inside = self._inside(totals.shape[1])
        return self.parameters(shares(totals, inside / inside.sum(axis=1, keepdims=True)))

    def whole(self, x: Array, weights: Array) -> Any:
        return super().whole(x, weights) if self.is_settled else seen(x)

    def m_step(self, statistics: Moments, previous: Any) -> Any:
        """An item that a component's rows do not answer keeps its probabilities."""
        if previous is None:
            return self.from_mean(statistics.totals)
        return self.parameters(shares(self._items(statistics.totals), previous.probs))

    def gradient(self, statistics: Moments, params: Any) -> Array:
        up = slope(self._items(statistics.totals), params.probs)
        return pullback(params, self.parameters(up))

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        below = np.cumsum(params.probs, axis=-1)[labels]
        drawn = rng.random((*below.shape[:-1], 1)) * below[..., -1:]
        return np.asarray((drawn >= below).sum(axis=-1), dtype=float)

    def conjugate_prior(self, prior: Any, whole: Moments, k: int) -> ConjugatePrior[Moments]:
        """``"weak"``: Dirichlet densities worth one row, with the data's shares as mode."""
        if prior != "weak":
            return super().conjugate_prior(prior, whole, k)
        share = np.repeat(self.from_mean(whole.totals).probs, k, axis=0)
        inside = self._inside(share.shape[1])
        # log B(1 + share), the normalising constant of each Dirichlet density.
        constant = np.where(inside, gammaln(1.0 + share), 0.0).sum(axis=-1)
        constant = constant - gammaln(1.0 + inside.sum(axis=1))
        # No log-partition, so the count of the pseudo-rows enters nowhere but the mean's scale.
        statistics = Moments(self._answers(share), np.ones(k), 0.0)
        return ConjugatePrior(statistics, -float(constant.sum()))

    # ---- arrays with an axis for items and one for their answers, and the same with one for both

    def _inside(self, d: int) -> NDArray[np.bool_]:
        """Which answers there are, (d, m)."""
        known = self._known
        return Simplexes((known,) * d if isinstance(known, int) else known).inside

    def _answers(self, items: NDArray[Any]) -> NDArray[Any]:
        """(n, d, m) -> (n, P), without what is beyond the levels of an item."""
        if isinstance(self._known, int):
            return items.reshape(len(items), -1)
        return items[:, self._inside(items.shape[1])]

    def _items(self, answers: Array) -> Array:
        """(n, P) -> (n, d, m), with 0 beyond the levels of an item."""
        known = self._known
        if isinstance(known, int):
            return answers.reshape(len(answers), -1, known)
        items = np.zeros((len(answers), len(known), max(known)))
        items[:, self._inside(len(known))] = answers
        return items


@dataclass(frozen=True)
class Seen:
    """Which codes occur in each column; what the levels are read off."""

    codes: NDArray[np.bool_]  # (c, d)

    def __add__(self, other: Seen) -> Seen:
        few, many = sorted((self.codes, other.codes), key=len)
        both = many.copy()
        both[: len(few)] |= few
        return Seen(both)


def seen(x: Array) -> Seen:
    """The codes that occur in rows x (n, d)."""
    most = int(np.fmax.reduce(x, axis=None, initial=-1.0))
    found = [(x == code).any(axis=0) for code in range(most + 1)]
    return Seen(np.array(found, dtype=bool).reshape(-1, x.shape[1]))


def _levels(codes: NDArray[np.bool_], column: str) -> int:
    """How many levels a column has, of which these codes occur."""
    found = np.flatnonzero(codes)
    if not len(found):
        raise ValueError(f"`X` column {column!r} has no value at all; remove it.")
    if not codes[: found[-1]].all():
        absent = int(codes.argmin())
        raise ValueError(
            f"`X` column {column!r} has a {found[-1]} and no {absent}; code the answers that occur "
            "as 0, 1, 2, ..., or pass levels=, which counts those that nobody gave too."
        )
    return int(found[-1]) + 1
