"""A check of the family's kernels: a faster way past the rows has to arrive at the same Q.

So has a kernel that can meet rows on a device, there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from emframe.core import Degenerate
from emframe.engines import Device, Workspace
from emframe.families.kernel import can_meet
from emframe.models import Mixture, MixtureParameters
from emframe.models.device_pass import device_sums
from emframe.testing.bookkeeping import terms
from emframe.testing.cases import Case
from emframe.testing.outcome import Inapplicable, same
from emframe.testing.subject import Subject

DEVICE = "numpy"  # the library of the device that kernels are tried on
MANY_ROWS = 10**7  # said to be there, so that a way that takes preparation is offered too


def passes(subject: Subject, case: Case) -> None:
    """Every kernel arrives at the Q that log_density and accumulate give."""
    model = Mixture(subject.family, n_components=case.k)
    weights = case.resp.sum(axis=1)
    at = MixtureParameters(case.rng().dirichlet(np.full(case.k, 2.0)), case.params)
    plain = model.expect(at, case.x, weights)
    rows = model.rows(case.x, weights)
    survey = model.survey(rows)
    size = _size(subject, case, case.params)
    judged = set()
    for told in (survey, replace(survey, n_rows=MANY_ROWS)):
        for one in model.passes(at, told):
            if one.kernel.form in judged:
                continue
            judged.add(one.kernel.form)
            cut = len(case.x) // 2
            parts = [(case.x[:cut], weights[:cut]), (case.x[cut:], weights[cut:])]
            halves = [one.block(part, Workspace()) for part in parts if len(part[0])]
            found = {"": halves[0] if len(halves) == 1 else halves[0] + halves[1]}
            if can_meet(one.kernel):
                found[" on a device"] = device_sums(Device(DEVICE), one, rows, cut)
            for place, sums in found.items():
                q = one.finish(sums)
                if q is None:  # it says itself that it lost too many digits here
                    continue
                where = f"of the kernel {one.kernel.form!r}{place}"
                culprit = "kernels: what a kernel collects, finishes, or leaves out of the rows"
                same(plain.loglik, q.loglik, size, f"the log-likelihood {where}", culprit)
                same(plain.entropy, q.entropy, size, f"the entropy {where}", culprit)
                for params in (case.params, *case.others(2)):
                    other = MixtureParameters(at.weights, params)
                    try:
                        values = plain.value(other), q.value(other)
                    except Degenerate as error:
                        raise Inapplicable(str(error)) from error
                    there = _size(subject, case, params)
                    same(*values, max(size, there), f"Q at other parameters, {where}", culprit)


def _size(subject: Subject, case: Case, params: Any) -> float:
    return terms(subject.log_density(params, case.x), case.resp)
