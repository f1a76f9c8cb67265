"""Different families side by side: a family whose K components are those of several others.

Its density columns are theirs end to end, its statistics a tuple of theirs, its expected
log-likelihood their sum.  So a mixture of unlike components needs nothing of its own.

One known case: a stack of a family with itself is that family with more components.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.core import Contract
from emframe.families.base import Completed, ConjugatePrior, Family
from emframe.families.conditional import Conditional, of_unlike
from emframe.families.joined import SideBySide
from emframe.families.kernel import Kernel, Survey
from emframe.families.outcomes import Outcome
from emframe.families.pieces import Pieces
from emframe.families.rowwise import in_step
from emframe.spaces import Array, Claim, Space


@dataclass(frozen=True)
class Sums:
    """The statistics of each family; they add part by part."""

    parts: tuple[Any, ...]

    def __add__(self, other: Sums) -> Sums:
        return Sums(tuple(a + b for a, b in zip(self.parts, other.parts, strict=True)))

    def __mul__(self, factor: float) -> Sums:
        return Sums(tuple(part * factor for part in self.parts))

    def repeated(self, times: int) -> Sums:
        """The same components so many times."""
        return Sums(tuple(part.repeated(times) for part in self.parts))


def weakest(families: Iterable[Family]) -> Contract:
    """The contract that several families keep together."""
    return max((family.contract for family in families), key=list(Contract).index)


def common_priors(families: Iterable[Family]) -> tuple[str, ...]:
    """The names of priors that all of the families know."""
    first, *others = (family.priors for family in families)
    return tuple(name for name in first if all(name in other for other in others))


def _told(own: slice) -> str:
    """Which components, in words."""
    last = own.stop - 1
    return f"component {last}" if own.start == last else f"components {own.start} to {last}"


@dataclass(frozen=True)
class Stack(Family):
    """Components 0 .. sizes[0]-1 are of families[0], the next sizes[1] of families[1], ..."""

    families: tuple[Family, ...]
    sizes: tuple[int, ...]

    @property
    def name(self) -> str:  # type: ignore[override]
        return "+".join(family.name for family in self.families)

    @property
    def priors(self) -> tuple[str, ...]:  # type: ignore[override]
        return common_priors(self.families)

    @property
    def parameters(self) -> type:
        """A tuple: the parameters of each family."""
        return tuple

    @property
    def contract(self) -> Contract:  # type: ignore[override]
        """The weakest of the contracts."""
        return weakest(self.families)

    @property
    def effort(self) -> float:  # type: ignore[override]
        return max(family.effort for family in self.families)

    @property
    def supports(self) -> tuple[Space, ...]:
        return tuple(space for family in self.families for space in family.supports)

    def located(self, x: Array) -> Array:
        """As the first of them has it: a row says as much to all."""
        return self.families[0].located(x)

    def claims(self) -> tuple[Claim, ...]:
        """Those of each family, by the components that have it."""
        return tuple(
            replace(one, owner=f"{_told(own)}, {one.owner}")
            for family, own in self._slices()
            for one in family.claims()
        )

    @property
    def takes_columns(self) -> bool:
        return all(family.takes_columns for family in self.families)

    @property
    def columns(self) -> tuple[str, ...] | None:  # type: ignore[override]
        return next((one.columns for one in self.families if one.columns is not None), None)

    @property
    def width(self) -> int | None:  # type: ignore[override]
        return next((one.width for one in self.families if one.width is not None), None)

    @property
    def is_settled(self) -> bool:  # type: ignore[override]
        return all(family.is_settled for family in self.families)

    def with_gaps(self) -> Stack:
        return replace(self, families=tuple(one.with_gaps() for one in self.families))

    def conditional(self, params: Any, x: Array, hidden: NDArray[np.intp]) -> Conditional:
        pairs = zip(self.families, params, strict=True)
        return of_unlike([family.conditional(own, x, hidden) for family, own in pairs], self.sizes)

    def settled(self, whole: Sums, columns: Sequence[str]) -> Stack:
        each = zip(self.families, whole.parts, strict=True)
        return Stack(tuple(family.settled(own, columns) for family, own in each), self.sizes)

    def spelt(self, names: Mapping[str, tuple[str, ...]]) -> Stack:
        return Stack(tuple(family.spelt(names) for family in self.families), self.sizes)

    def parts_of(self, columns: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        return {k: names for one in self.families for k, names in one.parts_of(columns).items()}

    @property
    def in_runs(self) -> bool:  # type: ignore[override]
        return any(one.in_runs for one in self.families)

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        return next((one.covariates for one in self.families if one.covariates), ())

    def support_given(self, row: Array) -> Space:
        return self.families[0].support_given(row)

    def outcomes(self, row: Array) -> Sequence[Outcome] | None:
        found = (family.outcomes(row) for family in self.families)
        return next((one for one in found if one is not None), None)

    def given(self, x: Array) -> Stack:
        return replace(self, families=tuple(one.given(x) for one in self.families))

    def _slices(self) -> Iterator[tuple[Family, slice]]:
        start = 0
        for family, size in zip(self.families, self.sizes, strict=True):
            yield family, slice(start, start + size)
            start += size

    def each(self, k: int) -> tuple[Family, ...]:
        pairs = zip(self.families, self.sizes, strict=True)
        return tuple(one for family, size in pairs for one in family.each(size))

    def log_density(self, params: Any, x: Array) -> Array:
        parts = zip(self.families, params, strict=True)
        return np.concatenate([family.log_density(own, x) for family, own in parts], axis=1)

    def accumulate(self, x: Array, resp: Array) -> Sums:
        return Sums(tuple(f.accumulate(x, resp[:, own]) for f, own in self._slices()))

    def whole(self, x: Array, weights: Array) -> Sums:
        return Sums(tuple(family.whole(x, weights) for family in self.families))

    @property
    def hides(self) -> bool:  # type: ignore[override]
        return any(family.hides for family in self.families)

    def completed(self, params: Any, x: Array, resp: Array) -> Completed:
        pairs = zip(self._slices(), params, strict=True)
        each = [family.completed(theirs, x, resp[:, own]) for (family, own), theirs in pairs]
        sizes = zip(each, self.sizes, strict=True)
        entropy = [np.broadcast_to(one.entropy, size) for one, size in sizes]
        return Completed(Sums(tuple(one.statistics for one in each)), np.concatenate(entropy))

    def refuse(self, whole: Sums, columns: Sequence[str]) -> None:
        for family, own in zip(self.families, whole.parts, strict=True):
            family.refuse(own, columns)

    def kernels(self, params: Any, constants: Array, survey: Survey) -> Iterator[Kernel]:
        """Those of its families, on their components."""
        parts = zip(self._slices(), params, survey.statistics.parts, strict=True)
        each = (
            family.kernels(theirs, constants[own], survey.of_some(whole))
            for (family, own), theirs, whole in parts
        )
        for kernels in in_step(each):
            yield SideBySide(kernels, self.sizes, Sums)

    def expected(self, statistics: Sums, params: Any) -> float:
        parts = zip(self.families, statistics.parts, params, strict=True)
        return sum(family.expected(part, own) for family, part, own in parts)

    def m_step(self, statistics: Sums, previous: Any) -> Any:
        old = [None] * len(self.families) if previous is None else previous
        parts = zip(self.families, statistics.parts, old, strict=True)
        return tuple(family.m_step(part, own) for family, part, own in parts)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        rows: Array | None = None
        for (family, own), theirs in zip(self._slices(), params, strict=True):
            mine = (labels >= own.start) & (labels < own.stop)
            if family.covariates:  # the i-th of all rows has the i-th covariates
                drawn = family.sample(theirs, np.where(mine, labels - own.start, 0), rng)[mine]
            else:
                drawn = family.sample(theirs, labels[mine] - own.start, rng)
            drawn = drawn[:, None] if drawn.ndim == 1 else drawn
            rows = np.zeros((len(labels), drawn.shape[1])) if rows is None else rows
            rows[mine] = drawn
        assert rows is not None
        return rows

    def gradient(self, statistics: Sums, params: Any) -> Array:
        parts = zip(self.families, statistics.parts, params, strict=True)
        return np.concatenate([family.gradient(part, own) for family, part, own in parts])

    def conjugate_prior(self, prior: Any, whole: Sums, k: int) -> ConjugatePrior[Sums]:
        parts = [
            family.conjugate_prior(prior, part, size)
            for family, part, size in zip(self.families, whole.parts, self.sizes, strict=True)
        ]
        return ConjugatePrior(
            Sums(tuple(part.statistics for part in parts)), sum(part.log_constant for part in parts)
        )

    def freedom(self, params: Any, k: int) -> NDArray[np.intp]:
        pairs = zip(self.families, params, self.sizes, strict=True)
        return np.concatenate([family.freedom(own, size) for family, own, size in pairs])

    def pieces(self, params: Any, x: Any, shares: Array) -> Pieces:
        pairs = list(zip(self._slices(), params, strict=True))
        each = [family.pieces(theirs, x, shares[:, own]) for (family, own), theirs in pairs]
        owners = [own.start + one.owners for ((_, own), _), one in zip(pairs, each, strict=True)]
        return Pieces(
            np.concatenate([one.log_density for one in each], axis=1),
            np.concatenate([one.shares for one in each], axis=1),
            np.concatenate([one.freedom for one in each]),
            np.concatenate([one.others for one in each]),
            np.concatenate(owners),
        )

    def stacked(self, k: int) -> None:
        """None: components that are unlike do not stand in the order of groups."""

    def problem(self, params: Any, dims: Mapping[str, int], prefix: str = "") -> str | None:
        parts = enumerate(zip(self.families, self.sizes, params, strict=True))
        found = (
            family.problem(own, {**dims, "K": size}, f"{prefix}{i}.")
            for i, (family, size, own) in parts
        )
        return next((text for text in found if text), None)

    def build(self, values: Any) -> Any:
        items = (
            [values[str(i)] for i in range(len(self.families))]
            if isinstance(values, Mapping)
            else values
        )
        return tuple(f.build(own) for f, own in zip(self.families, items, strict=True))
