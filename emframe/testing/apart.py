"""The check that components do not see each other but where the family says so.

Many starts of one mixture are moved at once as components of one family, `Family.stacked`: of the
family itself where each component's parameters are its own.  Then the M-step of one component must
not look at another's sums, nor a kernel at another's parameters: a start would depend on which
others it was begun with, and nothing else would tell.

One known case: an M-step that has a formula for each component passes as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emframe.core import Contract
from emframe.engines import Workspace
from emframe.families import Survey
from emframe.latents.softmax import softmax
from emframe.models import Mixture, MixtureParameters
from emframe.parameters import leaves, rebuild
from emframe.spaces import Array
from emframe.testing.bookkeeping import components_of, terms
from emframe.testing.cases import Case, responsibilities
from emframe.testing.outcome import Inapplicable, same
from emframe.testing.subject import Subject

MANY_ROWS = 10**7  # said to be there, so that a way that takes preparation is offered too
CULPRIT = (
    "m_step, or a kernel: a choice, a step or a scale that all components have in common; declare "
    "what they share, or have `stacked` return None"
)


def separate(subject: Subject, case: Case) -> None:
    """Components turn with their sums, and groups of them do not see each other in a stack."""
    if subject.family.contract is Contract.STOCHASTIC:
        raise Inapplicable("a stochastic M-step promises nothing of a single step")
    if not subject.family.has_places:
        for previous in (case.params, None):
            _turns(subject, case, previous)
    family = subject.family.stacked(case.k)
    if family is None:
        return
    other = responsibilities(len(case.x), case.k, case.rng())
    groups = [(case.resp, case.params), (other, case.others(1)[0])]
    stack = Subject(family)
    for previous in (True, False):
        _steps_alone(subject, stack, case, groups, previous)
    _meets_alone(subject, stack, case, [params for _, params in groups])


def _turns(subject: Subject, case: Case, previous: Any) -> None:
    """The M-step of components in another order is that of the components, in that order."""
    turn = case.rng().permutation(case.k)
    sums = subject.accumulate(case.x, case.resp)
    other = subject.about(components_of(case.params, turn))
    turned = other.accumulate(case.x, case.resp[:, turn])
    before = None if previous is None else components_of(previous, turn)
    one = components_of(subject.m_step(sums, previous), turn)
    two = subject.m_step(turned, before)
    same(
        subject.expected(turned, one),
        subject.expected(turned, two),
        terms(subject.log_density(one, case.x), case.resp[:, turn]),
        "the M-step of components in another order to be as good as theirs, in that order",
        CULPRIT,
        "in their order and in the other they give",
    )


def _steps_alone(
    subject: Subject,
    stack: Subject,
    case: Case,
    groups: Sequence[tuple[Array, Any]],
    previous: bool,
) -> None:
    """The M-step of two groups at once is that of each."""
    joined = _joined(stack, case, [params for _, params in groups])
    before = joined if previous else None
    every = np.concatenate([resp for resp, _ in groups], axis=1)
    both = stack.about(joined).accumulate(case.x, every)
    found = stack.m_step(both, before)
    for i, (resp, params) in enumerate(groups):
        sums = subject.about(params).accumulate(case.x, resp)
        alone = subject.m_step(sums, params if previous else None)
        own = slice(i * case.k, (i + 1) * case.k)
        among = _of_leaves(case.params, [leaf.value[own] for leaf in leaves(found)])
        same(
            subject.expected(sums, alone),
            subject.expected(sums, among),
            terms(subject.log_density(alone, case.x), resp),
            "the M-step of components to be the same beside those of another start",
            CULPRIT,
            "alone and beside others they give",
        )


def _meets_alone(subject: Subject, stack: Subject, case: Case, each: Sequence[Any]) -> None:
    """Every kernel of two groups arrives at the log-likelihood, entropy and sums of each."""
    model = Mixture(subject.family, n_components=case.k)
    weights, k = case.resp.sum(axis=1), case.k
    alone = [
        model.expect(MixtureParameters(np.full(k, 1.0 / k), params), case.x, weights)
        for params in each
    ]
    joined, others = (_joined(stack, case, params) for params in (each, case.others(2)))
    size = sum(terms(subject.log_density(params, case.x), case.resp) for params in each)
    beyond = sum(terms(subject.log_density(params, case.x), case.resp) for params in case.others(2))
    whole = subject.family.whole(case.x, weights)
    log_weights, judged = np.full(len(each) * k, -np.log(k)), set()
    for n_rows in (len(case.x), MANY_ROWS):
        for kernel in stack.family.kernels(joined, log_weights, Survey(whole, n_rows)):
            if kernel.form in judged:
                continue
            judged.add(kernel.form)
            joint, collect = kernel.meet(case.x, Workspace())
            total = softmax(joint, case.x, weights, Workspace(), len(each))
            found = kernel.finish(collect(total.resp))
            if found is None:  # it says itself that it lost too many digits here
                continue
            where = f"of a start beside another one, by the kernel {kernel.form!r}"
            for i, q in enumerate(alone):
                loglik = float(total.loglik[i]) + found.row_terms
                inner = np.broadcast_to(found.entropy, len(each) * k).reshape(-1, k)[i].sum()
                same(q.loglik, loglik, size, f"the log-likelihood {where}", CULPRIT)
                same(
                    q.entropy,
                    float(total.entropy[i] + inner),
                    size,
                    f"the entropy {where}",
                    CULPRIT,
                )
            # Terms of the rows alone are in the sums once, however many starts they serve.
            gains = [
                subject.expected(q.statistics, there) - subject.expected(q.statistics, here)
                for q, here, there in zip(alone, each, case.others(2), strict=True)
            ]
            gain = stack.expected(found.statistics, others)
            same(
                sum(gains),
                gain - stack.expected(found.statistics, joined),
                max(size, beyond),
                f"the sums {where}, seen through what expected gains at other parameters,",
                CULPRIT,
            )


def _joined(stack: Subject, case: Case, each: Sequence[Any]) -> Any:
    """Parameters of the stacked family: those of several groups, one after another."""
    like = stack.family.template({"K": len(each) * case.k, "d": case.d})
    every = zip(*(leaves(params) for params in each), strict=True)
    return _of_leaves(like, [np.concatenate([leaf.value for leaf in own]) for own in every])


def _of_leaves(like: Any, values: Sequence[Array]) -> Any:
    """Parameters of the form of `like` that have these values, field after field."""
    rest = iter(values)
    return rebuild(like, lambda _: next(rest))
