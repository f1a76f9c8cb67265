"""The table of checks.  Each is one property, tried on many examples, with one name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emframe.testing import (
    apart,
    bookkeeping,
    densities,
    extremes,
    hygiene,
    inference,
    maximising,
    passing,
    pieces,
    sampling,
)
from emframe.testing.cases import Case, Plan
from emframe.testing.subject import Subject

MANY = (20, 40)  # rows enough that an M-step exists for four components of four columns


@dataclass(frozen=True)
class Check:
    """A property: `body` raises `Fault` where an example lacks it."""

    name: str
    body: Callable[[Subject, Case], None]
    plan: Plan
    share: float = 1.0  # of the number of examples, for checks that are dear

    @property
    def summary(self) -> str:
        """What it asserts, in a sentence."""
        return (self.body.__doc__ or "").splitlines()[0]


CHECKS: tuple[Check, ...] = (
    Check("declaration", hygiene.declaration, Plan(rows=MANY)),
    Check("ascent", maximising.ascent, Plan(components=(1, 3), columns=(1, 3), rows=MANY)),
    Check("identity", bookkeeping.identity, Plan()),
    Check("m_step", maximising.m_step, Plan(rows=MANY)),
    Check("blocks", bookkeeping.blocks, Plan(rows=(3, 30))),
    Check("large", bookkeeping.large, Plan(rows=(2, 30)), share=0.2),
    Check("weights", bookkeeping.weights, Plan(rows=(2, 30))),
    Check("order", bookkeeping.order, Plan(rows=(2, 30))),
    Check("components", bookkeeping.components, Plan(components=(2, 4))),
    # A component by itself may be given more care: a climb from several places, say.
    Check("separate", apart.separate, Plan(components=(2, 3), rows=MANY), share=0.4),
    Check(
        "normalised",
        densities.normalised,
        Plan(components=(1, 2), columns=(1, 2), rows=(1, 1), reach=1.0, wide=True, few=True),
        share=0.6,
    ),
    Check(
        "draws",
        sampling.draws,
        Plan(rows=(1, 1)),
    ),
    Check(
        "sample",
        sampling.sample,
        Plan(components=(4, 4), columns=(1, 3), rows=(1, 1), reach=1.0),
        share=0.3,
    ),
    Check("precision", densities.precision, Plan(components=(1, 3), rows=(1, 8)), share=0.4),
    Check("finite", densities.finite, Plan(components=(2, 4), rows=(2, 6))),
    Check("mutation", hygiene.mutation, Plan(rows=MANY), share=0.4),
    Check("stateless", hygiene.stateless, Plan(rows=MANY), share=0.4),
    Check("pickle", hygiene.pickles, Plan(rows=MANY), share=0.2),
    Check("empty", maximising.empty, Plan(components=(2, 4), rows=MANY)),
    Check("degenerate", extremes.degenerate, Plan(components=(1, 3), rows=(2, 12)), share=0.2),
    Check("units", extremes.units, Plan(components=(1, 3), columns=(1, 3), rows=MANY), share=0.4),
    Check("fisher", inference.fisher, Plan(components=(1, 3), columns=(1, 3), rows=(4, 20)), 0.4),
    Check("information", inference.information, Plan(components=(1, 1), rows=MANY), share=0.4),
    Check(
        "recovery",
        inference.recovery,
        Plan(components=(1, 1), columns=(1, 3), rows=(1, 1), reach=1.0),
        share=0.36,
    ),
    Check("saves", extremes.saves, Plan(components=(2, 4), rows=(1, 5)), share=0.5),
    Check("pieces", pieces.pieces, Plan(components=(1, 3), rows=(2, 30)), share=0.2),
    Check("passes", passing.passes, Plan(components=(1, 3), rows=(2, 30)), share=0.6),
)
