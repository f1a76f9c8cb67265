"""Values of which none beyond two ends ever reached the data, nor how many there were.

    emframe.Truncated("poisson", low=1)          emframe.Truncated("normal", low=0.0, high=2.5)

    log f(y) - log P(low <= Y <= high),          low <= y <= high

Beside each row that was seen there were N that were not, p(N) = (1 - P)^N P (Dempster, Laird and
Rubin 1977, section 4.2), of which `Truncated.unseen` tells the expected number.  To complete the
sums by them is slow where they are many, and loses all digits where they are nearly all; so M
climbs the likelihood of what was seen, and nothing is hidden.

One known case: with the ends of the support it is the family itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.composing.unseen import Rough, Unseen
from emframe.families import Family, refuse_inner_gaps
from emframe.families.between import log_between, tails
from emframe.host import family_of
from emframe.host.recipes import MAKERS
from emframe.spaces import Array, Bounds, Claim, ColumnsIn, Integers, Interval, Space, Within
from emframe.spaces.ends import limits

# Coordinates between which a value is looked for, and how often what is left of them is halved.
FARTHEST, HALVINGS = 60.0, 70

Tails = tuple[Array, Array]


@dataclass(frozen=True, init=False)
class Truncated(Unseen):
    """A family of which rows beyond two ends were never seen.

    The parameters are those of the family, of which some draws are lost; of a mixture the weights
    are those of rows that were seen.

    Parameters
    ----------
    family : name of a plugin, or a `Family`, of one column that is modelled, given any others.
    low, high : the least and the largest value that may be seen, themselves included.
    **options : settings of the family, when it is given by name.

    Raises
    ------
    TypeError : for a family of more than one column, or in runs, and for ends that are no numbers.
    ValueError : for ends between which the family has no value.

    Examples
    --------
    >>> family = emframe.Truncated("poisson", low=1)  # zeros never reach the data
    >>> fit = emframe.fit(emframe.Mixture(family, 1), [1, 1, 2, 1, 3])
    >>> float(fit["rates"][0, 0]) < 1.6
    True
    """

    family: Family
    low: float
    high: float

    maker = "truncated"

    def __init__(
        self,
        family: str | Family,
        *,
        low: float = -np.inf,
        high: float = np.inf,
        **options: Any,
    ) -> None:
        found = family_of(family, options)
        if not isinstance(found, Family) or found.in_runs:
            raise TypeError(
                f"`family` is {family!r}; pass a plugin's name, or a Family object whose rows are "
                "no runs."
            )
        refuse_inner_gaps(found, "Truncated")
        modelled = [j for j in range(found.width or 1) if j not in found.covariates]
        if len(modelled) != 1:
            raise TypeError(
                f"the family {found.name!r} models {len(modelled)} columns, and ends are of one; "
                "take a family of one column for each: emframe.Product({'a': "
                "emframe.Truncated(...), ...})."
            )
        for name, end in (("low", low), ("high", high)):
            if not isinstance(end, (int, float, np.integer, np.floating)) or np.isnan(end):
                raise TypeError(f"`{name}` is {end!r}; pass a number.")
        object.__setattr__(self, "family", found)
        object.__setattr__(self, "low", float(low))
        object.__setattr__(self, "high", float(high))
        bottom, top = limits(self._inner_space)
        first, last = max(self.low, bottom), min(self.high, top)
        empty = np.ceil(first) > np.floor(last) if self._inner_space.discrete else first >= last
        if empty:
            raise ValueError(
                f"`low` is {low:g} and `high` {high:g}, and {found.name!r} has no values between "
                f"them: it takes {self._inner_space.words}."
            )

    def ingredients(self) -> dict[str, Any]:
        return {"family": self.family, "low": self.low, "high": self.high}

    # ---- rows

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"truncated {self.family.name}"

    @property
    def inner_width(self) -> int:
        return self.family.width or 1

    @property
    def width(self) -> int:  # type: ignore[override]
        return self.inner_width

    @property
    def takes_columns(self) -> bool:
        return self.inner_width > 1

    @property
    def _modelled(self) -> int:
        return next(j for j in range(self.inner_width) if j not in self.family.covariates)

    @property
    def _inner_space(self) -> Space:
        return self.family.support.column(self._modelled)

    @property
    def _space(self) -> Space:
        """Where the values that are seen live."""
        space = self._inner_space
        if np.isneginf(self.low) and np.isposinf(self.high):
            return space
        if space.discrete:
            bottom, top = limits(space)
            return Integers(np.ceil(max(self.low, bottom)), np.floor(min(self.high, top)))
        return Within(space, self.low, self.high)

    @property
    def support(self) -> Space:  # type: ignore[override]
        if self.inner_width == 1:
            return self._space
        inner = self.family.support
        columns = [inner.column(j) for j in range(self.inner_width)]
        columns[self._modelled] = self._space
        return ColumnsIn(tuple(columns))

    @property
    def supports(self) -> tuple[Space, ...]:
        return (self.support,)

    def claims(self) -> tuple[Claim, ...]:
        return (Claim(self.support, f"the family {self.name!r}", self.gaps),)

    def support_given(self, row: Array) -> Space:
        return self._space

    def value(self, x: Array) -> Array:
        return np.asarray(x[:, self._modelled])

    def rough(self, x: Array) -> Rough:
        return Rough(x, np.arange(len(x)), np.ones(len(x)))

    # ---- E

    def log_density(self, params: Any, x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            density = self.family.log_density(params, x) - self.log_seen(params, x)
        return np.where(np.isnan(density), -np.inf, density)

    def log_seen(self, params: Any, x: Array) -> Array:
        """Log probability that a draw given the covariates of rows x is seen, (n, K) or (1, K)."""
        if np.isneginf(self.low) and np.isposinf(self.high):
            return np.zeros((1, 1))
        return log_between(*self._ends(params, self._given(x)))

    def _given(self, x: Array) -> Array:
        """One row where all have the same ends: nothing is given."""
        return x if self.family.covariates else x[:1]

    def _ends(self, params: Any, x: Array) -> tuple[Tails, Tails]:
        below = np.ceil(self.low) - 1.0 if self._inner_space.discrete else self.low
        above = np.floor(self.high) if self._inner_space.discrete else self.high
        return self._tails(params, x, below), self._tails(params, x, above)

    def _tails(self, params: Any, x: Array, end: float) -> Tails:
        space = self._inner_space
        bottom, top = limits(space)
        inside = np.isfinite(end) and bool(space.contains(np.array([end]))[0])
        outside = np.full(len(x), not inside)
        below, above = outside & (end <= bottom), outside & (end >= top)
        return tails(self.family, params, self._at(x, end) if inside else x, below, above)

    def _at(self, x: Array, value: Any) -> Array:
        rows = np.array(x, dtype=float)
        rows[:, self._modelled] = value
        return rows

    def unseen(self, params: Any, x: Array, shares: Array) -> Array:
        """How many rows of each component were never seen, as expected, (K,).

        Parameters
        ----------
        x, shares : the rows (n, d) that were, and the shares of components in them (n, K).
        """
        own = shares if self.family.covariates else shares.sum(axis=0, keepdims=True)
        return np.asarray((own * np.expm1(-self.log_seen(params, x))).sum(axis=0))

    # ---- draws

    def given(self, x: Array) -> Truncated:
        return replace(self, family=self.family.given(x)) if self.family.covariates else self

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        """Draws of the family, and in the place of those never seen others by inversion."""
        labels = np.asarray(labels)
        drawn = np.array(self.family.sample(params, labels, rng), dtype=float)
        rows = drawn.reshape(len(labels), self.inner_width)
        uniform = rng.random(len(labels))
        lost = (self.value(rows) < self.low) | (self.value(rows) > self.high)
        if lost.any():
            own = self._inverted(params, rows[lost], labels[lost], np.log(uniform[lost]))
            rows[lost, self._modelled] = own
        return rows

    def _inverted(self, params: Any, rows: Array, labels: Any, log_u: Array) -> Array:
        """The values that a draw exceeds with these log probabilities, (n,), by bisection."""
        space, each = self._space, np.arange(len(rows))
        line = Interval(*ends_of(space)) if space.discrete else space

        def falls_short(values: Array) -> NDArray[np.bool_]:
            return self.log_cdf(params, self._at(rows, values))[each, labels] < log_u

        low, high = np.full(len(rows), -FARTHEST), np.full(len(rows), FARTHEST)
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            short = falls_short(line.point(middle, middle.shape))
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        values = line.point(high, high.shape)
        # Of whole numbers the function steps at one, and is level beyond it.
        return np.clip(np.floor(values), *limits(space)) if space.discrete else values

    # ---- the distribution of a value that is seen

    def survival(self, params: Any, x: Array, times: Array) -> Array:
        return Family.survival(self, params, x, times)

    def bounds(self, x: Array) -> Bounds:
        return Family.bounds(self, x)

    def log_cdf(self, params: Any, x: Array) -> Array:
        low, _ = self._ends(params, x)
        found = log_between(low, self._beside(params, x)) - self.log_seen(params, x)
        return np.where(x[:, [self._modelled]] < self.low, -np.inf, np.minimum(found, 0.0))

    def log_sf(self, params: Any, x: Array) -> Array:
        _, high = self._ends(params, x)
        found = log_between(self._beside(params, x), high) - self.log_seen(params, x)
        return np.where(x[:, [self._modelled]] < self.low, 0.0, np.minimum(found, 0.0))

    def _beside(self, params: Any, x: Array) -> Tails:
        rows = self._at(x, np.minimum(self.value(x), self.high))
        nowhere = np.zeros(len(x), dtype=bool)
        return tails(self.family, params, rows, nowhere, nowhere)

    truncates = False

    def mean(self, params: Any) -> Array:
        raise self._without("mean in closed form")

    def variance(self, params: Any) -> Array:
        raise self._without("variance in closed form")

    def quantile(self, params: Any, p: Array) -> Array:
        raise self._without("quantiles in closed form")


def ends_of(space: Space) -> tuple[float, float]:
    """An open interval about whole numbers that are bounded on one side at least."""
    low, high = limits(space)
    return low - 1.0, high


MAKERS["truncated"] = Truncated
