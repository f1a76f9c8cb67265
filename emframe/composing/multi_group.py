"""Groups that are known, beside classes that are not: the same classes in several populations.

    f(x | g, z_k = 1) = f(x | theta_kg)        g the group of the row, a column of it

Class k has parameters of its own in each group, but for those that are `equal`.  With all of them
equal the measurement is the same in all groups (invariance); with none the groups have classes of
one number and no more in common, so that which is called k in one says nothing of the others.
What a group's classes weigh is a gate's: ``Gate("country")``.
(Clogg and Goodman 1984, JASA 79, 762; Joereskog 1971, Psychometrika 36, 409.)

Some columns only may differ: they stand in a product with the others,

    emframe.Product({("a", "b"): "bernoulli", ("country", "c"): emframe.MultiGroup("bernoulli")})

One known case: with one group it is the family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.composing.columns import AllBut, AtColumns, Home, RowsOf
from emframe.composing.copies import copied, filled, one_copy, together
from emframe.composing.declaring import tied
from emframe.core import Contract
from emframe.families import Completed, ConjugatePrior, Family, Pieces
from emframe.families.kernel import NoSampler
from emframe.families.stack import Sums
from emframe.host import family as named_family
from emframe.host.recipes import MAKERS
from emframe.parameters import leaves
from emframe.spaces import Array, Codes, Space

MOST_GROUPS = 1000  # where they are read off the data


@dataclass(frozen=True)
class GroupsSeen:
    """The family's sums of all rows, and the rows of each group; they add."""

    own: Any
    rows: Array  # (G,)

    def __add__(self, other: GroupsSeen) -> GroupsSeen:
        size = max(len(self.rows), len(other.rows))
        rows = (np.pad(one.rows, (0, size - len(one.rows))) for one in (self, other))
        return GroupsSeen(self.own + other.own, sum(rows, np.zeros(size)))


@dataclass(frozen=True, init=False)
class MultiGroup(Family):
    """A family with parameters by group, within each component.

    The parameters are those of the family with an axis more, (K, G, ...).

    Parameters
    ----------
    family : name of a plugin, or a `Family`, of the other columns.
    by : the column that tells the group, by its place in the rows; with a family that names its
        columns its name.  Words, or codes 0 to G - 1.
    n_groups : G; None for as many as the data have.
    equal : fields that the groups of a component have in common; of a product with its part's name
        before, ``"height.means"``.
    **options : settings of the family, when it is given by name.

    Raises
    ------
    TypeError : for what is no family of rows, and for `by` that does not go with its columns.
    ValueError : for `equal` that are no fields, and for fewer groups than one.

    Examples
    --------
    >>> rows = [[0, 1.0], [0, 2.0], [1, 5.0], [1, 7.0]]  # the group, then a value
    >>> family = emframe.MultiGroup("poisson", by=0, n_groups=2)
    >>> emframe.fit(emframe.Mixture(family, 1), rows)["rates"].ravel()
    array([1.5, 6. ])
    """

    family: Family
    by: int | str
    n_groups: int | None
    equal: tuple[str, ...]
    covered: Array | None = field(default=None, repr=False, compare=False)  # see `given`

    maker = "multi_group"

    def __init__(
        self,
        family: str | Family,
        by: int | str = 0,
        *,
        n_groups: int | None = None,
        equal: Sequence[str] | str = (),
        **options: Any,
    ) -> None:
        found = named_family(family, **options) if isinstance(family, str) else family
        if not isinstance(found, Family) or found.in_runs:
            raise TypeError(f"`family` is {family!r}; pass a plugin's name, or a Family of rows.")
        if options and not isinstance(family, str):
            raise TypeError(
                f"options {', '.join(options)} go with a family's name; this one is an object "
                "already."
            )
        named = found.columns is not None
        is_place = isinstance(by, (int, np.integer)) and not isinstance(by, bool) and by >= 0
        if not (isinstance(by, str) if named else is_place):
            wanted = "the name of a column, as the family has" if named else "a place, from 0"
            raise TypeError(f"`by` is {by!r}; pass {wanted}.")
        if n_groups is not None and not (isinstance(n_groups, int) and n_groups >= 1):
            raise ValueError(f"`n_groups` is {n_groups!r}; pass None, or a whole number above 0.")
        object.__setattr__(self, "family", found)
        object.__setattr__(self, "by", str(by) if named else int(by))
        object.__setattr__(self, "n_groups", n_groups)
        object.__setattr__(self, "equal", (equal,) if isinstance(equal, str) else tuple(equal))
        if found.is_settled and self.equal:
            tied(found, *self.equal)

    def ingredients(self) -> dict[str, Any]:
        names = ("family", "by", "n_groups")
        return {name: getattr(self, name) for name in names} | {"equal": list(self.equal)}

    def _with(self, **changes: Any) -> MultiGroup:
        own = {**self.ingredients(), **changes}
        made = MultiGroup(own.pop("family"), own.pop("by"), **own)
        object.__setattr__(made, "covered", self.covered)
        return made

    # ---- what is known before the data

    @property
    def name(self) -> str:  # type: ignore[override]
        told = f" (equal {', '.join(self.equal)})" if self.equal else ""
        return f"multi-group {self.family.name}{told}"

    @property
    def inner(self) -> Family:
        """The family whose components are the groups of one of its own."""
        found: Family = tied(self.family, *self.equal) if self.equal else self.family
        return found

    @property
    def contract(self) -> Contract:  # type: ignore[override]
        return self.inner.contract

    @property
    def effort(self) -> float:  # type: ignore[override]
        return self.family.effort

    @property
    def priors(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.inner.priors

    @property
    def hides(self) -> bool:  # type: ignore[override]
        return self.family.hides

    @property
    def _size(self) -> int:
        if self.n_groups is None:
            raise ValueError(
                "the number of groups is left to the data, which were not seen yet; pass "
                "n_groups=, or take what `settled(X)` of the model gives."
            )
        return self.n_groups

    @property
    def parameters(self) -> type:
        """The family's, each field with an axis for the groups after that of the components."""
        return copied(self.inner.parameters, None, {"K": self._size})

    @property
    def is_settled(self) -> bool:  # type: ignore[override]
        return self.n_groups is not None and self.family.is_settled

    def settled(self, whole: GroupsSeen, columns: Sequence[str]) -> MultiGroup:
        own = [name for j, name in enumerate(columns) if j != self.place]
        n_groups = len(whole.rows) if self.n_groups is None else self.n_groups
        family = self.family.settled(whole.own, own)
        return self._with(family=family, n_groups=n_groups)

    def refuse(self, whole: GroupsSeen, columns: Sequence[str]) -> None:
        n_groups = len(whole.rows) if self.n_groups is None else self.n_groups
        rows = np.pad(whole.rows, (0, max(0, n_groups - len(whole.rows))))
        if (rows <= 0.0).any():
            raise ValueError(
                f"`X` column {columns[self.place]!r} has no row of group {int(rows.argmin())}; "
                f"number the groups from 0 to {int((rows > 0).sum()) - 1}, or pass words."
            )
        self.family.refuse(whole.own, [c for j, c in enumerate(columns) if j != self.place])

    # ---- rows

    @property
    def place(self) -> int:
        """Where the group stands in a row: before the columns of a family that names them."""
        return 0 if isinstance(self.by, str) else self.by

    @property
    def columns(self) -> tuple[str, ...] | None:  # type: ignore[override]
        named = self.family.columns
        return None if named is None else (str(self.by), *named)

    @property
    def width(self) -> int | None:  # type: ignore[override]
        return None if self.family.width is None else self.family.width + 1

    @property
    def takes_columns(self) -> bool:
        return True

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.place, *(j + (j >= self.place) for j in self.family.covariates))

    @property
    def _codes(self) -> Space:
        return Codes(0, (self.n_groups or MOST_GROUPS) - 1)

    @property
    def support(self) -> Space:  # type: ignore[override]
        if self.family.width is None:
            return self.family.support
        others = tuple(j for j in range(self.family.width + 1) if j != self.place)
        own = Home("rows", self.family.support, others)
        return RowsOf((Home("group", self._codes, (self.place,)), own))

    @property
    def supports(self) -> tuple[Space, ...]:
        own = (AllBut(space, self.place) for space in self.family.supports)
        return (AtColumns(self._codes, (self.place,)), *own)

    def spelt(self, names: Mapping[str, tuple[str, ...]]) -> MultiGroup:
        return self._with(family=self.family.spelt(names))

    def given(self, x: Array) -> MultiGroup:
        made = self._with()
        object.__setattr__(made, "covered", np.array(x, dtype=float))
        return made

    def support_given(self, row: Array) -> Space:
        return self.family.support_given(np.delete(row, self.place))

    def located(self, x: Array) -> Array:
        """All groups in one place."""
        own = self.family.located(self._own(x))
        return np.insert(own, self.place, 0.0, axis=1)

    def _own(self, x: Array) -> Array:
        return x[:, 1:] if self.place == 0 else np.delete(x, self.place, axis=1)

    def _groups(self, x: Array) -> NDArray[np.intp]:
        return np.asarray(x[:, self.place], dtype=np.intp)

    def _shares(self, x: Array, resp: Array) -> list[Array]:
        """What each component's groups have of rows, K times (n, G)."""
        hot = np.eye(self._size)[self._groups(x)]
        return [share[:, None] * hot for share in resp.T]

    # ---- components, and their groups

    def _apart(self, params: Any) -> list[Any]:
        """The parameters of each component's groups."""
        kind, k = self.inner.parameters, len(leaves(params)[0].value)
        return [one_copy(params, kind, None, i) for i in range(k)]

    def _joined(self, each: Sequence[Any]) -> Any:
        return together(self.parameters, each)

    def _of_own(self, params: Any, x: Array, told: Callable[[Any, Array], Array]) -> Array:
        """What is told of each group, at that of each row, (n, K)."""
        rows, own, groups = np.arange(len(x)), self._own(x), self._groups(x)
        return np.stack([told(one, own)[rows, groups] for one in self._apart(params)], axis=1)

    def log_density(self, params: Any, x: Array) -> Array:
        return self._of_own(params, x, self.inner.log_density)

    def log_cdf(self, params: Any, x: Array) -> Array:
        return self._of_own(params, x, self.inner.log_cdf)

    def accumulate(self, x: Array, resp: Array) -> Sums:
        own = self._own(x)
        return Sums(tuple(self.inner.accumulate(own, some) for some in self._shares(x, resp)))

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        own, pairs = self._own(x), zip(self._apart(params), self._shares(x, resp), strict=True)
        each = [self.inner.completed(one, own, some) for one, some in pairs]
        entropy = np.array([np.sum(one.entropy) for one in each])
        return Completed(Sums(tuple(one.statistics for one in each)), entropy)

    def whole(self, x: Array, weights: Array) -> GroupsSeen:
        own = self.family.whole(self._own(x), weights)
        return GroupsSeen(own, np.bincount(self._groups(x), weights).astype(float))

    def expected(self, statistics: Sums, params: Any) -> float:
        pairs = zip(statistics.parts, self._apart(params), strict=True)
        return sum(self.inner.expected(own, one) for own, one in pairs)

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        before = [None] * len(statistics.parts) if previous is None else self._apart(previous)
        pairs = zip(statistics.parts, before, strict=True)
        return self._joined([self.inner.m_step(own, one) for own, one in pairs])

    def gradient(self, statistics: Sums, params: Any) -> Array:
        """Leaf by leaf, and within each component after component."""
        columns: list[list[Array]] = []
        for own, one in zip(statistics.parts, self._apart(params), strict=True):
            free = [leaf for leaf in leaves(one) if not leaf.declared.fixed]
            sizes = [leaf.declared.space.n_coordinates(leaf.free_shape) for leaf in free]
            columns.append(np.split(self.inner.gradient(own, one), np.cumsum(sizes)[:-1]))
        return np.concatenate([np.concatenate(own) for own in zip(*columns, strict=True)])

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        """Draws in the groups of the rows that are given, taken in turn."""
        if self.covered is None:
            raise NoSampler(
                f"{self.name} is a density given the group; pass rows that have one: "
                "fit.sample(n, given=X), fit.plot(X)."
            )
        labels = np.asarray(labels)
        rows = self.covered[np.arange(len(labels)) % len(self.covered)]
        own, groups = self._own(rows), self._groups(rows)
        family = self.inner.given(own) if self.family.covariates else self.inner
        others = [j for j in range(rows.shape[1]) if j != self.place]
        for k, one in enumerate(self._apart(params)):
            drawn = np.asarray(family.sample(one, groups, rng), dtype=float)
            drawn = drawn[:, None] if drawn.ndim == 1 else drawn
            rows[np.ix_(labels == k, others)] = drawn[labels == k]
        return rows

    # ---- the rest

    def conjugate_prior(self, prior: Any, whole: GroupsSeen, k: int) -> ConjugatePrior[Sums]:
        """That of the family for each group."""
        one = self.inner.conjugate_prior(prior, whole.own, self._size)
        return ConjugatePrior(Sums((one.statistics,) * k), k * one.log_constant)

    def freedom(self, params: Any, k: int) -> NDArray[np.intp]:
        return np.array([self.inner.freedom(one, self._size).max() for one in self._apart(params)])

    def pieces(self, params: Any, x: Any, shares: Array) -> Pieces:
        """The groups of each component, or what they are mixtures of."""
        own, pairs = self._own(x), zip(self._apart(params), self._shares(x, shares), strict=True)
        each = [self.inner.pieces(one, own, some) for one, some in pairs]
        return Pieces(
            np.concatenate([one.log_density for one in each], axis=1),
            np.concatenate([one.shares for one in each], axis=1),
            np.concatenate([one.freedom for one in each]),
            np.concatenate([one.others for one in each]),
            np.concatenate([np.full(len(one.owners), k) for k, one in enumerate(each)]),
        )

    def stacked(self, k: int) -> None:
        """None: components in groups are no components in starts."""

    def problem(self, params: Any, dims: Mapping[str, int], prefix: str = "") -> str | None:
        return super().problem(params, self._inner(dims), prefix)

    def template(self, dims: Mapping[str, int]) -> Any:
        one = self.inner.template({**self._inner(dims), "K": self._size})
        return self._joined([one] * dims["K"])

    def build(self, values: Any) -> Any:
        """From the fields of the family, (K, G, ...)."""
        return filled(self.parameters, values)

    def _inner(self, dims: Mapping[str, int]) -> dict[str, int]:
        return {**dims, "d": dims["d"] - 1} if "d" in dims else dict(dims)


MAKERS["multi_group"] = MultiGroup
