"""What a family is tried on, drawn from its declarations alone.

Parameters are real coordinates mapped into their declared spaces; rows are real coordinates
mapped into the support, and rows that the family itself draws.  Hypothesis varies the sizes and
the coordinates of the parameters, and shrinks them; the many numbers of the rows come from a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from emframe.data.gaps import filled, there
from emframe.data.runs import Sequences, per_row
from emframe.families import Family
from emframe.parameters import from_vector, leaves, to_vector
from emframe.spaces import Array
from emframe.testing.runs import (
    at,
    drawn,
    laid_out,
    own_copy,
    rows_of,
    whole_runs,
    with_rows,
)

# Added to every coordinate: closed spaces have their boundary at round coordinates, and a
# family's density need not exist there.
INTERIOR = 0.0837
MOST_COLUMNS = 4  # of a family that takes any number


@dataclass(frozen=True)
class Plan:
    """The sizes that a check wants.  Coordinates of parameters lie within `reach`."""

    components: tuple[int, int] = (1, 4)
    columns: tuple[int, int] = (1, 4)
    rows: tuple[int, int] = (1, 30)
    reach: float = 2.0
    wide: bool = False  # now and then coordinates of four times the reach
    few: bool = False  # more columns are out of the question, for a family that takes no fewer too

    def possible(self, columns: Sequence[int]) -> list[int]:
        """Which of the numbers of columns that a family is checked with suit this check."""
        low, high = self.columns
        suited = [d for d in columns if low <= d <= high]
        return suited or ([] if self.few else list(columns))


@dataclass(frozen=True)
class Case:
    """One example: parameters, rows, and a seed for whatever else a check draws."""

    family: Family
    params: Any  # K components
    x: Any  # (n, d) rows, or n runs of rows
    resp: Array  # (n, K), row weights included: rows need not sum to 1
    seed: int

    @property
    def k(self) -> int:
        return self.resp.shape[1]

    @property
    def d(self) -> int:
        return rows_of(self.x).shape[1]

    @property
    def dims(self) -> dict[str, int]:
        return {"K": self.k, "d": self.d}

    @property
    def size(self) -> int:
        """How much there is to read in it."""
        return self.resp.size + rows_of(self.x).size

    def rng(self) -> np.random.Generator:
        """The same stream at each call."""
        return np.random.default_rng([self.seed, 1])

    def others(self, count: int = 2) -> list[Any]:
        """Other valid parameters for the same rows."""
        return [
            any_params(self.params, np.random.default_rng([self.seed, 2, i])) for i in range(count)
        ]

    def __str__(self) -> str:
        lines = [f"K = {self.k}, d = {self.d}, n = {len(self.x)}, seed {self.seed}"]
        lines += [f"{leaf.path} = {_shown(leaf.value)}" for leaf in leaves(self.params)]
        if isinstance(self.x, Sequences):
            lines.append(f"runs of {_shown(self.x.lengths)} rows")
        return "\n".join([*lines, f"x = {_shown(rows_of(self.x))}", f"resp = {_shown(self.resp)}"])


def cases(family: Family, columns: Sequence[int], plan: Plan) -> st.SearchStrategy[Case]:
    """Cases for a family that is checked with these numbers of columns."""
    possible = plan.possible(columns)

    @st.composite
    def draw(pick: st.DrawFn) -> Case:
        k = pick(st.integers(*plan.components))
        d = pick(st.sampled_from(possible))
        n = pick(st.integers(*plan.rows)) * -(-d // MOST_COLUMNS)  # wide rows need more of them
        reach = plan.reach * (pick(st.sampled_from([1, 1, 4])) if plan.wide else 1)
        seed = pick(st.integers(0, 2**16))
        like = family.template({"K": k, "d": d})
        size = len(to_vector(like))
        reals = st.floats(-reach, reach, allow_subnormal=False)
        coordinates = pick(st.lists(reals, min_size=size, max_size=size))
        params = from_vector(like, np.array(coordinates) + INTERIOR)
        rng = np.random.default_rng(seed)
        x = _rows(family, params, k, n, d, rng)
        return Case(family, params, x, responsibilities(len(x), k, rng), seed)

    return draw()


def any_params(like: Any, rng: np.random.Generator, reach: float = 1.0) -> Any:
    """Valid parameters of the same form, at random coordinates."""
    size = len(to_vector(like))
    return from_vector(like, reach * rng.standard_normal(size) + INTERIOR)


def responsibilities(n: int, k: int, rng: np.random.Generator) -> Array:
    """Weighted responsibilities (n, K): positive, and rows that do not sum to 1."""
    return np.asarray(rng.dirichlet(np.ones(k), size=n) * rng.uniform(0.3, 3.0, size=(n, 1)))


def coordinate_data(family: Family, n: int, d: int, rng: np.random.Generator) -> Any:
    """n rows of the support at random coordinates; or n runs of such, where a family is of runs."""
    x = laid_out(family, n, rng)
    return with_rows(x, coordinate_rows(family, len(rows_of(x)), d, rng))


def coordinate_rows(family: Family, n: int, d: int, rng: np.random.Generator) -> Array:
    """n rows of the support at random coordinates."""
    size = family.support.n_coordinates((n, d))
    spread = rng.choice([0.7, 1.5, 2.5])
    reals = spread * rng.standard_normal(size) + INTERIOR
    return off_the_ends(family, np.asarray(family.support.point(reals, (n, d)), dtype=float))


def off_the_ends(family: Family, x: Array) -> Array:
    """Rows with values at an end of a continuous support moved in by the last bit.

    Rounding puts rows there that are never there in theory: 1 for a beta deviate near it.  A
    density may be infinite at a closed end, and an open one is outside.
    """
    space = family.support
    if space.discrete or space.n_event_axes:
        return x
    for outwards in (-np.inf, np.inf):
        further, back = np.nextafter(x, outwards), np.nextafter(x, -outwards)
        at_end = ~space.contains(further) & (space.contains(x) | space.contains(back))
        x = np.where(at_end, back, x)
    return x


def gathered(case: Case, x: Any) -> Any:
    """The rows fifty times closer to their middle; as they are where that leaves the support."""
    rows = rows_of(x)
    middle = np.median(filled(rows, np.ones(len(rows))), axis=0)
    return _moved(case, x, with_rows(x, middle + (rows - middle) / 50.0))


def stretched(case: Case, x: Any, unit: float = 1e4) -> Any:
    """The rows in other units; as they are where the support does not have those."""
    space, far = case.family.support, with_rows(x, rows_of(x) * unit)
    # Counts may have an end that the declared support does not tell.
    if space.bounded or (space.discrete and not _possible(case.family, case.params, far).all()):
        return x
    return _moved(case, x, far)


def _moved(case: Case, x: Any, moved: Any) -> Any:
    return moved if len(moved) and inside(case.family, moved).all() else x


def inside(family: Family, x: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows, or runs, lie in the support, (n,)."""
    rows = rows_of(x)
    held = np.asarray(there(rows, family.supports).all(axis=1))
    for space in family.supports:
        held &= np.asarray(space.contains(rows)).reshape(len(rows), -1).all(axis=1)
    return whole_runs(x, held)


def _rows(family: Family, params: Any, k: int, n: int, d: int, rng: np.random.Generator) -> Any:
    """About half from coordinates, half from the sampler; none that is impossible throughout.

    A sampler that fails here is left to the checks of sampling.
    """
    x = coordinate_data(family, n, d, rng)
    own = _drawn(family, params, rng.integers(k, size=n), x, rng)
    if own is not None and inside(family, own).all():
        chosen = per_row(x, rng.random(n))[:, None] < 0.5
        x = with_rows(x, np.where(chosen, rows_of(own), rows_of(x)))
    possible = _possible(family, params, x)
    if possible.any() or own is None:
        return at(x, possible) if possible.any() else x
    return own


def _possible(family: Family, params: Any, x: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    try:
        density = np.asarray(family.log_density(params, own_copy(x)))
        return np.asarray((density > -np.inf).reshape(len(x), -1).any(axis=1))
    except Exception:  # the checks will meet it where they can report it
        return np.ones(len(x), dtype=bool)


def _drawn(family: Family, params: Any, labels: Any, x: Any, rng: np.random.Generator) -> Any:
    """What the family draws in the place of x, off the ends; None where it draws nothing."""
    try:
        found = drawn(family, params, labels, x, rng)
        return with_rows(x, off_the_ends(family, rows_of(found).reshape(rows_of(x).shape)))
    except Exception:  # the checks of sampling will meet it where they can report it
        return None


def _shown(values: Array) -> str:
    text = np.array2string(np.asarray(values), precision=6, threshold=30, edgeitems=3)
    return text.replace("\n", "\n    ")
