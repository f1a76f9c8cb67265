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
from emframe.parameters import Leaf, equal, from_vector, rebuild, to_vector
from emframe.spaces import Array
from emframe.testing.bookkeeping import terms
from emframe.testing.cases import Case, gathered, stretched
from emframe.testing.outcome import SAME, Fault, Inapplicable
from emframe.testing.subject import Subject

STEPS = 8  # of EM, in one example
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
            best, where = _best_nearby(subject, statistics, new, befores, case)
            if not best <= reached + slack:
                raise Fault(
                    "m_step to maximise expected",
                    f"{reached:.12g} at its answer and {best - reached:.3g} nats more at {where}; "
                    f"it answered {new}",
                    "m_step (a divisor, a weight left out, a component mixed with another), or "
                    "what accumulate keeps for it",
                )
    if not rose:
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
    subject: Subject, statistics: Any, new: Any, others: list[Any], case: Case
) -> tuple[float, str]:
    """The highest `expected` found around `new`, and where."""
    centre = to_vector(new)

    def value(vector: Array) -> float:
        return subject.expected(statistics, from_vector(new, vector))

    found = [(subject.expected(statistics, other), "other parameters") for other in others]
    rng = case.rng()
    for scale in SCALES:
        for _ in range(2):
            step = scale * rng.standard_normal(len(centre))
            found.append((value(centre + step), f"a random step of {scale:g} in coordinates"))
    newton = _newton_steps(value, centre)
    for j in np.flatnonzero(newton):
        step = np.zeros(len(centre))
        step[j] = newton[j]
        found.append((value(centre + step), f"coordinate {j} moved by {newton[j]:.3g}"))
    found.append((value(centre + newton), "all coordinates moved by a Newton step"))
    return max(found)


def _newton_steps(value: Any, centre: Array, h: float = 1e-3) -> Array:
    """The step of Newton's method in each coordinate by itself, from central differences."""
    here, steps = value(centre), np.zeros(len(centre))
    for j in range(len(centre)):
        shift = np.zeros(len(centre))
        shift[j] = h
        up, down = value(centre + shift), value(centre - shift)
        if not np.isfinite([here, up, down]).all():
            continue  # on the boundary of a closed space
        slope, curvature = (up - down) / (2 * h), (up - 2 * here + down) / h**2
        if curvature < 0:
            steps[j] = np.clip(-slope / curvature, -0.5, 0.5)
    return steps


def ascent(subject: Subject, case: Case) -> None:
    """Along a fit from an arbitrary start, no step lowers the objective or breaks the ledger."""
    family = subject.family
    rng = case.rng()
    model = Mixture(family, n_components=case.k)
    weights = rng.choice([0.5, 1.0, 2.0, 3.0], size=len(case.x))
    start = MixtureParameters(rng.dirichlet(np.full(case.k, 3.0)), case.params)

    def expect(params: MixtureParameters) -> Expectation[Any]:
        return model.expect(params, case.x.copy(), weights)

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
        if leaf.declared.space.n_event_axes == 2:
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
