"""Checks of the density as a function of the row: total mass 1, and numbers all the way out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from hypothesis import assume

from emframe.data.runs import Sequences
from emframe.families import Outcome
from emframe.numeric.quadrature import grid, plane
from emframe.parameters import from_vector, to_vector
from emframe.spaces import Array
from emframe.testing.bookkeeping import STATISTICS, terms, total
from emframe.testing.cases import Case, coordinate_rows, inside, off_the_ends
from emframe.testing.given import along, held, lines
from emframe.testing.outcome import Fault, Inapplicable, same
from emframe.testing.runs import at, joined, rows_of
from emframe.testing.subject import Subject

OVERFLOW = -1e100  # a log density beyond this may become -inf at the next step outwards
NEAR = 1e-6  # of itself: so short a way that a density in double precision is straight
DIGITS = 1e-10  # that a log density holds, relative to its size: single precision has 1e-7
EDGE = -200.0  # where a genuine edge of the support lies, some component is not yet below this


def normalised(subject: Subject, case: Case) -> None:
    """The density sums or integrates to 1 over the support, for one column and for two."""
    outcomes = subject.scheme.of_case(case.x)
    if outcomes is not None:
        _over_outcomes(subject, case, outcomes)
        return
    subject, case = held(subject, case)
    space = case.family.support.present
    if space.n_event_axes or case.d > 2:
        raise Inapplicable("there is no quadrature here for rows that are one value, or 3 columns")

    def log_density(x: Array) -> Array:
        return subject.log_density(case.params, x)

    if case.family.support.missing:
        _nothing_seen(subject, case)
    if case.d == 1:
        found = grid(space, log_density)
        mass = None if found is None else found.mass.sum(axis=0)
        tolerance = 1e-5
    else:
        mass, tolerance = plane(space, log_density), 1e-4
    assume(mass is not None)
    assert mass is not None
    wrong = np.abs(mass - 1.0) > tolerance
    if wrong.any():
        k = int(wrong.argmax())
        what = "sum" if space.discrete else "integrate"
        raise Fault(
            f"the density of component {k} to {what} to 1 over {space.words}, {case.d} column(s)",
            f"{mass[k]:.9g}: log_density is off by {np.log(mass[k]):.6g} nats",
            "log_density: the normalising constant, its dependence on the number of columns, or "
            "the support; for rows that tell of a value in part, or are given in part, see "
            "`outcomes` and `covariates` of the family, or `observed` and `given` of check_family",
        )


def _over_outcomes(subject: Subject, case: Case, outcomes: Sequence[Outcome]) -> None:
    """Raise where the density has another total than 1 over all that could have been seen."""
    mass = np.zeros(case.k)
    for one in outcomes:
        if one.space is None:
            mass += np.exp(subject.log_density(case.params, one.row[None])[0])
            continue
        part, moving = along(one, case)
        table = grid(one.space.present, partial(part.log_density, moving.params))
        assume(table is not None)
        assert table is not None
        mass += table.mass.sum(axis=0)
    wrong = np.abs(mass - 1.0) > 1e-5
    if wrong.any():
        k = int(wrong.argmax())
        raise Fault(
            f"the density of component {k} to have total 1 over the {len(outcomes)} outcomes in "
            f"the place of {rows_of(case.x)[0]}",
            f"{mass[k]:.9g}: log_density is off by {np.log(mass[k]):.6g} nats",
            "log_density, or the outcomes",
        )


def _nothing_seen(subject: Subject, case: Case) -> None:
    """Raise where a row of which nothing was observed has another density than 1.

    It is that of what was observed, so the total over all that is missing.
    """
    density = subject.log_density(case.params, np.full((1, case.d), np.nan))
    if np.abs(density).max() > 1e-12:
        raise Fault(
            "a row whose every value is missing to have density 1, that of nothing",
            f"a log density of {density[0]}",
            "log_density: a missing value is left out, not counted as some value",
        )


def finite(subject: Subject, case: Case) -> None:
    """Far rows have a finite log density that keeps falling and that the statistics reproduce."""
    rng = case.rng()
    for there, moving in lines(subject, case):
        for base in moving.x[:2]:
            for x in _rays(there, base, rng):
                density = there.log_density(moving.params, x)
                _look_outwards(density, x)
                if moving.d == 1 and not moving.family.support.bounded:
                    _look_for_a_floor(density, x)
    rows = _far_rows(case, rng)
    single = Sequences(rows, np.ones(len(rows), dtype=int)) if case.family.in_runs else rows
    far = joined([single, case.x]) if len(rows) else case.x
    density = subject.log_density(case.params, far)
    sound = np.isfinite(density).all(axis=1)
    far, density = at(far, sound), density[sound]
    assume(len(far) > 0)
    resp = rng.dirichlet(np.ones(case.k), size=len(far))
    same(
        total(density, resp),
        subject.reproduced(case.params, far, resp),
        10.0 * terms(density, resp),
        "expected(accumulate(x, resp), params) to be sum resp x log_density for far rows too",
        f"log_density far out (a floor, a clip), or {STATISTICS}",
        "log_density and expected give",
    )


def precision(subject: Subject, case: Case) -> None:
    """The log density follows the rows and the parameters to their last digits."""
    for there, moving in lines(subject, case):
        space, shape = moving.family.support, moving.x.shape
        if space.discrete or space.n_event_axes:
            continue
        reals = space.coordinates(moving.x)
        # Beside the end of a bounded support a number has few digits of its distance left.
        reals = np.clip(reals, -8.0, 8.0) if space.bounded else reals
        nudge = NEAR * np.maximum(np.abs(reals), 0.1)
        moved = [space.point(reals + j * nudge, shape) for j in range(5)]
        _smooth(np.array([_near(there, moving, case.params, x) for x in moved]), "a row")
    centre = to_vector(case.params)
    step = NEAR * np.maximum(np.abs(centre), 0.1)
    along = [from_vector(case.params, centre + j * step) for j in range(5)]
    _smooth(np.array([_near(subject, case, one, case.x) for one in along]), "the parameters")


def _near(subject: Subject, case: Case, params: Any, x: Any) -> Array:
    """(n, K), nan for rows outside the support."""
    held = inside(case.family, x)
    density = np.full((len(x), case.k), np.nan)
    if held.any():
        density[held] = subject.log_density(params, at(x, held))
    return density


def _smooth(density: Array, what: str) -> None:
    """Raise where five values in a row (5, n, K) do not lie on a curve of the third degree.

    A kink between two of them is improbable; a curve so bent in so short a way more so.
    """
    bent = np.abs(density[4] - 4 * density[3] + 6 * density[2] - 4 * density[1] + density[0])
    with np.errstate(invalid="ignore"):
        rough = bent > DIGITS * (1.0 + np.abs(density).max(axis=0))
    if rough.any():
        row, k = np.argwhere(rough)[0]
        raise Fault(
            f"a log density that changes smoothly with {what}, to ten digits",
            f"steps of {bent[row, k]:.3g} as {what} changes by {NEAR:g} of itself, for row {row} "
            f"under component {k}",
            "log_density: single precision, rounding, or noise",
        )


def _rays(subject: Subject, base: Array, rng: np.random.Generator) -> list[Array]:
    """Rows on the way from `base` out of the middle, each list in order."""
    space, d = subject.family.support, len(base)
    if space.n_event_axes:
        return []
    outwards = 10.0 ** np.linspace(-1, 6, 141)
    directions = [np.sign(rng.standard_normal(d)), np.ones(d), -np.ones(d)]
    rays = [base + outwards[:, None] * direction for direction in directions]
    # Towards an edge at 0 or at 1, which steps of a fixed size would jump over.
    inwards = 10.0 ** -np.linspace(0, 6, 61)[:, None]
    rays += [base * inwards, 1.0 - (1.0 - base) * inwards]
    if space.discrete:
        rays = [np.rint(ray) for ray in rays]
    held = [ray[inside(subject.family, ray)] for ray in rays]
    return [off_the_ends(subject.family, ray) for ray in held if len(ray)]


def _far_rows(case: Case, rng: np.random.Generator) -> Array:
    base = coordinate_rows(case.family, 6, case.d, rng)
    moved = base + 30.0 * np.sign(base)
    moved = np.rint(moved) if case.family.support.discrete else moved
    return moved[inside(case.family, moved)]


def _look_outwards(density: Array, x: Array) -> None:
    """Raise where a component becomes impossible too early.

    Two ends of a ray are honest: the log density itself overflows, or the row lies outside what
    the family takes under any parameters, all components agree, and it was no rarity before.
    """
    gone = np.isneginf(density)
    for k in np.flatnonzero(gone.any(axis=0)):
        first = int(gone[:, k].argmax())
        last = density[first - 1] if first else np.full(density.shape[1], -np.inf)
        if last[k] < OVERFLOW and first:
            continue
        if not gone[first].all() or last.max() < EDGE:
            raise Fault(
                "a finite log density at every row of the support, for parameters off their edge",
                f"-inf at {x[first]} under component {k}, after {last[k]:.6g} one step before",
                "log_density: the logarithm of a density that underflowed; compute in logs",
            )


def _look_for_a_floor(density: Array, x: Array) -> None:
    """Raise where the tail of one unbounded column does not fall faster than 1 / |x|."""
    size = np.abs(x[:, 0])
    beyond = np.flatnonzero(size >= 1e3)
    if not len(beyond) or size[beyond[-1]] < 1e5:
        return
    near, far = beyond[0], beyond[-1]
    tail = density + np.log(np.maximum(size, 1.0))[:, None]
    for k in np.flatnonzero(np.isfinite(density[near]) & np.isfinite(density[far])):
        if not tail[far, k] < tail[near, k]:
            raise Fault(
                "a density that falls faster than 1 / |x| far out, or it has no finite integral",
                f"log density {density[near, k]:.6g} at {x[near]} and {density[far, k]:.6g} at "
                f"{x[far]} under component {k}",
                "log_density: a floor under it, or a constant added before the logarithm",
            )
