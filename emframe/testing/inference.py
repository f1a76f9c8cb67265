"""Checks of what follows from a density and its M-step together: scores, counts and estimates.

- Fisher's identity: at the point where Q was taken its gradient is that of the observed
  log-likelihood (Dempster, Laird and Rubin 1977, eq. 2.14), so the two are compared by differences
  of each, and with the gradient that the family hands to the acceleration.
- The scores of the rows span as many directions as there are free parameters; fewer, and AIC and
  BIC count what the density does not have.
- The estimate from a family's own draws is at least as likely as the truth, or else a maximum that
  is another one; and likelier by no more than chance: twice the gain is about chi-square (Wilks
  1938, Ann. Math. Stat. 9, 60).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import chi2

from emframe.core import Degenerate
from emframe.models import Mixture, MixtureParameters
from emframe.parameters import from_vector, n_free, to_vector, valid
from emframe.spaces import EPS, Array, slopes
from emframe.testing.cases import (
    Case,
    coordinate_data,
    gathered,
    inside,
    off_the_ends,
    stretched,
)
from emframe.testing.outcome import Fault, Inapplicable
from emframe.testing.runs import LONGEST, at, joined, own_copy, rows_of, with_rows
from emframe.testing.subject import Subject

# Difference quotients of two functions that are equal agree to about this.
SLOPES = 1e-5
DRAWS = 1500
CHANCE = 1e-10  # that an honest estimate gains more than allowed
CLIMBS = 200  # M-steps that a generalised family has for an estimate
INDEPENDENT = 1e-7  # singular values of scaled scores below this are rounding


def fisher(subject: Subject, case: Case) -> None:
    """Where Q was taken its gradient is that of the log-likelihood, and `gradient` is both."""
    model = Mixture(subject.family, n_components=case.k)
    weights = case.rng().dirichlet(np.full(case.k, 3.0))
    at = MixtureParameters(weights, case.params)
    row_weights = case.resp.sum(axis=1)

    def q(params: Any) -> Any:
        return model.expect(params, own_copy(case.x), row_weights)

    def loglik(params: Any) -> float:
        if subject.family.hides:  # to complete rows costs more than their density
            return float(row_weights @ model.posterior(params, own_copy(case.x))[0])
        return float(q(params).loglik)

    here, centre = q(at), to_vector(at)
    observed = quotients(lambda v: _finite(loglik(from_vector(at, v))), centre)
    complete = quotients(lambda v: _finite(here.value(from_vector(at, v))), centre)
    same_slopes(
        complete,
        observed,
        "the gradient of Q to be that of the observed log-likelihood (Fisher's identity)",
        "expected or accumulate (E), or log_density",
    )
    same_slopes(
        Slopes(here.gradient(), np.zeros(len(centre))),
        complete,
        "`gradient` to be the slope of expected in the coordinates of the spaces",
        "gradient",
    )


class Slopes(NamedTuple):
    """A gradient by differences, and how far it is to be trusted."""

    value: Array  # (m,)
    error: Array  # (m,)


def quotients(function: Callable[[Array], float], at: Array) -> Slopes:
    """Central differences over a step and half of it; what they disagree by is their error."""
    wide = slopes(function, at)
    narrow = slopes(lambda v: function(at + 0.5 * (v - at)), at) * 2.0
    return Slopes(narrow, np.abs(wide - narrow))


def _finite(value: float) -> float:
    if not np.isfinite(value):
        raise Inapplicable("a row that is impossible under a component leaves Q without a slope")
    return float(value)


def same_slopes(found: Slopes, wanted: Slopes, expected: str, culprit: str) -> None:
    """Raise `Fault` unless two gradients agree."""
    slack = SLOPES * (1.0 + np.abs(wanted.value).max(initial=0.0))
    far = ~(np.abs(found.value - wanted.value) <= slack + 4.0 * (found.error + wanted.error))
    if far.any():
        j = int(far.argmax())
        gap = f"{found.value[j]:.8g} and {wanted.value[j]:.8g} along coordinate {j}"
        raise Fault(expected, gap, culprit)


def information(subject: Subject, case: Case) -> None:
    """The density has as many free parameters as are declared and counted in AIC and BIC."""
    wanted = n_free(case.params)
    # Where parts of the parameters coincide a rank may fall; at a general point it does not.
    points = (case.params, *case.others())
    rank = max(_rank(subject, case, params) for params in points)
    if rank != wanted:
        raise Fault(
            f"{wanted} free parameters, as declared",
            f"that the density varies in {rank} directions at most, at {len(points)} points",
            "the declaration: a parameter that the density does not use, or two that do the "
            "same, or one that is shared or held and not declared so",
        )


def _rank(subject: Subject, case: Case, params: Any) -> int:
    """How many directions the scores of rows span."""
    x = case.x
    with suppress(Inapplicable):  # it has no sampler
        x = joined([x, _drawn(subject, case, 300, params)])
    x = _usable(case, x)
    centre = to_vector(params)
    scores, noise = np.empty((len(x), len(centre))), np.empty((len(x), len(centre)))
    for j in range(len(centre)):
        step = np.zeros(len(centre))
        step[j] = np.cbrt(np.finfo(float).eps) * max(1.0, abs(centre[j]))
        up, down = (from_vector(params, centre + side * step) for side in (1.0, -1.0))
        above, below = (subject.log_density(one, x)[:, 0] for one in (up, down))
        scores[:, j] = (above - below) / (2.0 * step[j])
        noise[:, j] = EPS * (np.abs(above) + np.abs(below)) / (2.0 * step[j])
    kept = np.isfinite(scores).all(axis=1)
    scores, noise = scores[kept], noise[kept]
    sizes = np.sqrt((scores**2).sum(axis=0))
    sizes = np.where(sizes > 0, sizes, 1.0)
    # A coordinate that hardly matters here has scores of which much is rounding.
    least = max(INDEPENDENT, float(np.linalg.norm(noise / sizes)))
    return int((np.linalg.svd(scores / sizes, compute_uv=False) > least).sum())


def recovery(subject: Subject, case: Case) -> None:
    """From a family's own draws the M-step finds parameters as likely as the true ones."""
    case = _elsewhere(subject, case)
    x = _usable(case, _drawn(subject, case, DRAWS, case.params))
    for previous in (None, case.others(1)[0]):
        _recovered(subject, x, previous, case)


def _recovered(subject: Subject, x: Array, previous: Any, case: Case) -> None:
    """Raise unless M-steps end where `expected` is as high as at the parameters of the draws."""
    n, ones = len(x), np.ones((len(x), 1))

    def height(params: Any) -> float:
        return subject.reproduced(params, x, ones)

    truth = height(case.params)
    found = subject.stepped(x, ones, previous)
    sums, reached = subject.passed(found, x, ones)
    if not np.isfinite([truth, reached]).all():
        raise Fault(
            f"a finite log-likelihood of {n} draws from the density itself",
            f"{truth:.6g} at the true parameters and {reached:.6g} at {found}",
            "log_density or expected: a term that overflows or underflows at such parameters",
        )
    rising = True
    for _ in range(CLIMBS):
        if reached >= truth or not rising:
            break
        found, before = subject.m_step(sums, found), reached
        sums, reached = subject.passed(found, x, ones)
        rising = reached > before
    gain, most = reached - truth, 0.5 * float(chi2.isf(CHANCE, max(n_free(case.params), 1)))
    slack = 1e-6 * (1.0 + abs(truth))
    if gain < -slack and not rising and _rises_beside(height, found, slack):
        raise Fault(
            f"m_step to end at a point as likely as the parameters behind {n} draws",
            f"{-gain:.6g} nats less at {found}, which is no maximum either",
            "m_step: it may leave a parameter where it starts, or stop short of a maximum",
        )
    if gain > most:
        raise Fault(
            f"the estimate from {n} draws to gain no more than chance on the truth",
            f"{gain:.4g} nats, where {most:.4g} happen once in {1 / CHANCE:.0e} times; "
            f"it is {found}",
            "sample, or log_density: the draws are not from the density that is fitted",
        )


def _rises_beside(height: Callable[[Any], float], params: Any, slack: float) -> bool:
    """Whether one coordinate, moved a little, makes the rows likelier by more than `slack`.

    Where none does, the M-steps ended at a maximum, if at another than that behind the draws; a
    likelihood may have several.
    """
    at, here = to_vector(params), height(params)
    for j, size in product(range(len(at)), (1e-3, -1e-3, 1e-2, -1e-2, 0.1, -0.1)):
        moved = at.copy()
        moved[j] += size * max(1.0, abs(at[j]))
        beside = from_vector(params, moved)
        if valid(beside) and height(beside) > here + slack:
            return True
    return False


def _elsewhere(subject: Subject, case: Case) -> Case:
    """The case, or in turn one with the parameters of rows that lie close together or far out.

    Nothing says how extreme a parameter may be, but data do: those that gathering or stretching
    a family's own rows leads to are parameters that a fit may arrive at.
    """
    turn = case.seed % 3
    if turn == 0:
        return case
    x = _usable(case, _drawn(subject, case, DRAWS, case.params))
    moved = gathered(case, x) if turn == 1 else stretched(case, x)
    try:
        params = subject.m_step(subject.accumulate(moved, np.ones((len(moved), 1))), None)
        there = replace(case, params=params)
        _usable(case, _drawn(subject, there, 100, params))
    except (Degenerate, Fault):  # so far out it need not have an answer
        return case
    return there


def _drawn(subject: Subject, case: Case, n: int, params: Any) -> Any:
    """n rows of component 0, or about half as many in runs, of which each is drawn by itself."""
    rng, d = np.random.default_rng(case.seed), case.d
    if case.family.in_runs:
        x = coordinate_data(case.family, n // LONGEST, d, rng)
        return subject.drawn_runs(params, np.zeros(len(x), dtype=np.intp), x, rng)
    drawn = subject.sample(params, np.zeros(n, dtype=np.intp), rng)
    return np.asarray(drawn, dtype=float).reshape(n, d)


def _usable(case: Case, x: Any) -> Any:
    """Rows inside the support, off its closed ends; those elsewhere are told by other checks."""
    x = with_rows(x, off_the_ends(case.family, rows_of(x)))
    x = at(x, inside(case.family, x))
    if len(x) < 2:
        raise Degenerate("the sampler gives no rows of the support")
    return x
