"""Checks of the M-step: it maximises, EM climbs, and an empty component does no harm.

An exact M-step is compared with its neighbourhood: random steps, other parameters, and in each
coordinate the point to which Newton's method would go from it.  So a first-order mistake, such as
a divisor n - 1, is seen although it costs little.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from emframe.core import Contract, Degenerate, Expectation, Status, Step, iterate
from emframe.models import Mixture, MixtureParameters
from emframe.parameters import Leaf, equal, from_vector, n_free, rebuild, to_vector
from emframe.spaces import Array
from emframe.testing.bookkeeping import terms
from emframe.testing.cases import Case, gathered, stretched
from emframe.testing.outcome import SAME, Fault, Inapplicable
from emframe.testing.runs import own_copy
from emframe.testing.subject import Subject

STEPS = 8  # of EM, in one example
FINE = 1e-2  # of the slack, in steps that are no guesses
SCALES = (1e-3, 1e-2, 0.1, 0.3)  # of random steps in coordinates


def m_step(subject: Subject, case: Case) -> None:
    """The M-step maximises `expected`, or raises it if it is generalised."""
    contract = subject.family.contract
    if contract is Contract.STOCHASTIC:
        raise Inapplicable("a stochastic M-step promises nothing of a single step")
    case = _varied(case, subject)
    statistics = subject.accumulate(case.x, case.resp)
    befores = [case.params, *case.others(2)]
    rose = False
    for previous in (None, *befores):
        new = subject.m_step(statistics, previous)
        _valid(new, case, "m_step")
        reached = subject.expected(statistics, new)
        slack = SAME * terms(subject.log_density(new, case.x), case.resp)
        if previous is not None:
            before = subject.expected(statistics, previous)
            rose |= reached > before + slack
            if not reached >= before - slack:
                raise Fault(
                    "m_step not to lower expected",
                    f"{before:.12g} at previous, {reached:.12g} after it",
                    "m_step",
                )
        if contract is Contract.EXACT:
            gain, where = _best_nearby(subject, statistics, new, befores, case, slack)
            if gain > 0.0:
                raise Fault(
                    "m_step to maximise expected",
                    f"{reached:.12g} at its answer and {gain:.3g} nats more at {where}; "
                    f"it answered {new}",
                    "m_step (a divisor, a weight left out, a component mixed with another), or "
                    "what accumulate keeps for it",
                )
    if not rose and n_free(case.params):
        raise Fault(
            "m_step to raise expected from some of three arbitrary points",
            "it rose from none of them",
            "m_step: it may return `previous`",
        )


def _varied(case: Case, subject: Subject) -> Case:
    """The case, or in turn one of few rows with hard labels, or one in other units.

    Few rows put maxima on the boundary, where a clipped parameter shows; other units show an
    epsilon that has one; rows close together lead to extreme parameters.
    """
    few = slice(2 * case.k + 2)
    hard = case.resp * (case.resp == case.resp.max(axis=1, keepdims=True))
    unit = 1e-4 if case.seed % 2 and not subject.family.support.discrete else 1e4
    variants = [case, replace(case, x=case.x[few], resp=hard[few])]
    for moved in (stretched(case, case.x, unit), gathered(case, case.x)):
        if moved is not case.x:
            variants.append(replace(case, x=moved))
    varied = variants[case.seed % len(variants)]
    try:
        subject.m_step(subject.accumulate(varied.x, varied.resp), None)
    except Degenerate:
        return case
    return varied


def _best_nearby(
    subject: Subject, statistics: Any, new: Any, others: list[Any], case: Case, slack: float
) -> tuple[float, str]:
    """How much higher `expected` is around `new`, 0 where within the slack, and where.

    Of a gain that Newton's method foretold only a share `FINE` of the slack is forgiven: a
    probability kept off 0 by 1e-10 costs no more, and makes what is impossible possible.  What
    rounding does to `expected` nothing foretells.
    """
    centre, reached = to_vector(new), subject.expected(statistics, new)

    def gain(step: Array) -> float:
        return subject.expected(statistics, from_vector(new, centre + step)) - reached

    found = [(subject.expected(statistics, one) - reached, "other parameters") for one in others]
    rng = case.rng()
    for scale in SCALES:
        for _ in range(2):
            step = scale * rng.standard_normal(len(centre))
            found.append((gain(step), f"a random step of {scale:g} in coordinates"))
    steps, foretold = _newton_steps(gain, len(centre))
    found.append((gain(steps), "all coordinates moved by a Newton step"))
    found = [one for one in found if not one[0] <= slack]
    for j in np.flatnonzero(steps):
        step = np.zeros(len(centre))
        step[j] = steps[j]
        here = gain(step)
        as_foretold = 0.5 * foretold[j] < here < 2.0 * foretold[j]
        if not here <= (FINE * slack if as_foretold else slack):
            found.append((here, f"coordinate {j} moved by {steps[j]:.3g}"))
    return max(found, default=(0.0, ""))


def _newton_steps(gain: Any, size: int, h: float = 1e-3) -> tuple[Array, Array]:
    """The step of Newton's method in each coordinate by itself, and what it should gain.

    From central differences of a gain that is 0 at the centre.
    """
    steps, foretold = np.zeros(size), np.zeros(size)
    for j in range(size):
        shift = np.zeros(size)
        shift[j] = h
        up, down = gain(shift), gain(-shift)
        if not np.isfinite([up, down]).all():
            continue  # on the boundary of a closed space
        slope, curvature = (up - down) / (2 * h), (up + down) / h**2
        if curvature < 0:
            steps[j] = np.clip(-slope / curvature, -0.5, 0.5)
            foretold[j] = steps[j] * (slope + 0.5 * curvature * steps[j])
    return steps, foretold


def ascent(subject: Subject, case: Case) -> None:
    """Along a fit from an arbitrary start, no step lowers the objective or breaks the ledger."""
    family = subject.family
    rng = case.rng()
    model = Mixture(family, n_components=case.k)
    weights = rng.choice([0.5, 1.0, 2.0, 3.0], size=len(case.x))
    start = MixtureParameters(rng.dirichlet(np.full(case.k, 3.0)), case.params)

    def expect(params: MixtureParameters) -> Expectation[Any]:
        return model.expect(params, own_copy(case.x), weights)

    steps = iterate(expect, start, contract=model.contract)
    taken = 0
    last = -np.inf
    try:
        for step in islice(steps, STEPS + 1):
            fell = model.contract.ascends and step.objective < last - SAME * (1 + abs(last))
            if step.breach is not None or fell:
                gap = last - step.objective if step.breach is None else step.breach.amount
                if taken and gap <= 100.0 * _noise(expect, step, rng):
                    return  # the fit has run into a singularity, where digits end
                half = (
                    "log_density, accumulate or expected (E)"
                    if step.breach is not None and step.breach.status is Status.E_STEP_BREACH
                    else "m_step (M), or what accumulate keeps for it"
                )
                message = "the objective fell" if step.breach is None else step.breach.message
                raise Fault(
                    "every step of EM to keep the ledger balanced and the objective from falling",
                    f"at step {step.index}, {message}",
                    half,
                )
            last, taken = step.objective, step.index
    except Degenerate:
        if taken < 1:
            raise  # a fit that ended later has been looked at


def _noise(expect: Any, step: Step[Any], rng: np.random.Generator) -> float:
    """How much the objective moves when the parameters change in their last bits."""

    def nudge(leaf: Leaf) -> Array:
        bits = rng.choice([-1.0, 1.0], size=leaf.free_shape)
        if leaf.declared.space.n_event_axes >= 2:
            bits = 0.5 * (bits + np.swapaxes(bits, -1, -2))  # a matrix stays symmetric
        return leaf.value * (1.0 + np.finfo(float).eps * bits)

    moved = 0.0
    for _ in range(3):
        try:
            there = expect(rebuild(step.params, nudge))
        except (Degenerate, np.linalg.LinAlgError):
            return np.inf
        moved = max(moved, abs(float(there.loglik) - step.objective))
    return moved


def empty(subject: Subject, case: Case) -> None:
    """A component without rows leaves the parameters valid and the others maximised."""
    resp = case.resp.copy()
    lost = int(case.rng().integers(case.k))
    resp[:, lost] = 0.0
    statistics = subject.accumulate(case.x, resp)
    try:
        new = subject.m_step(statistics, case.params)
    except Degenerate as error:
        if error.component == lost:
            raise Fault(
                "a component without rows to keep its previous parameters",
                f"Degenerate: {error}",
                "m_step: a division by the count 0",
            ) from error
        raise
    _valid(new, case, f"m_step with no row for component {lost}")
    again = subject.m_step(subject.accumulate(case.x, resp), case.params)
    if not equal(new, again):
        raise Fault(
            "the same parameters from the same call where a component has no row",
            f"{new} and {again}",
            "m_step: randomness of its own; an empty component keeps its previous parameters",
        )
    reached, before = (subject.expected(statistics, at) for at in (new, case.params))
    slack = SAME * terms(subject.log_density(new, case.x), resp)
    if subject.family.contract.ascends and not reached >= before - slack:
        raise Fault(
            "m_step not to lower expected where one component has no row",
            f"{before:.12g} at previous, {reached:.12g} after it",
            "m_step, or expected: 0 times -inf",
        )


def _valid(params: Any, case: Case, where: str) -> None:
    if not isinstance(params, case.family.parameters):
        raise Fault(
            f"{where} to return {case.family.parameters.__name__}",
            type(params).__name__,
            "m_step",
        )
    wrong = case.family.problem(params, case.dims)
    if wrong:
        raise Fault(
            f"{where} to return parameters within their declared spaces",
            wrong,
            "m_step, or the spaces that the parameters declare",
        )
