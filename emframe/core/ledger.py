"""The ledger: what each step gained, where the gain came from, and whether the books balance.

From one point to the next the objective J gains exactly

    J(new) - J(old) = [Q(new | old) - Q(old | old)] + KL( p(z | x, old) || p(z | x, new) )

The first bracket is what the M-step earned; an honest M-step never earns less than nothing.  The
second is what the change of posterior adds, and no posterior can make it negative.  So when
something is wrong the two columns say which half of EM to blame.  The sum is checked as well, at
each point: ``objective == value(at) + entropy``.

One known case: at a fixed point of EM both columns are zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from emframe.core.expectation import Contract, Expectation, log_prior, objective, value_where
from emframe.core.methods import Move
from emframe.core.status import Status
from emframe.core.tolerance import FALL, IDENTITY, within

P = TypeVar("P")


@dataclass(frozen=True)
class Breach:
    """A broken promise: whose, by how many nats, and in words."""

    status: Status  # E_STEP_BREACH or M_STEP_BREACH
    amount: float
    message: str


@dataclass(frozen=True)
class Step(Generic[P]):
    """One line of the ledger: a point that EM reached, and what reaching it gained.

    All amounts are in nats, summed over the rows.

    Examples
    --------
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> model = emframe.Mixture("poisson", 2)
    >>> seen = []
    >>> fit = emframe.fit(model, counts, rng=0, n_starts=1, callbacks=[seen.append])
    >>> isinstance(seen[0], emframe.Step)
    True
    """

    index: int  # 0 is the start
    expectation: Expectation[P]
    objective: float  # log-likelihood here, plus the log prior where there is one
    log_prior: float
    q_at: float  # Q at its own point: objective less entropy, if the books balance
    gain_q: float  # Q(here | previous) - Q(previous | previous); nan at the start
    gain_entropy: float  # KL from the previous posterior to this one; nan at the start
    remaining: float  # the method's estimate of the gain still ahead; inf while unknown
    n_expectations: int  # E-steps spent so far, rejected trials included
    breach: Breach | None = None
    is_bound: bool = False  # `remaining` is no estimate but a bound on what fifty EM steps gain

    @property
    def params(self) -> P:
        """The parameters at this point."""
        return self.expectation.at


def open_ledger(q: Expectation[P]) -> Step[P]:
    """The first line, for a start; its books are balanced like any other's."""
    nan = math.nan
    value = q.value(q.at) if math.isfinite(objective(q)) else nan
    return Step(0, q, objective(q), log_prior(q), value, nan, nan, math.inf, 1, identity(q, value))


def enter(previous: Step[P], move: Move[P], contract: Contract) -> Step[P]:
    """The next line: audit the step from `previous` to the point that `move` reached."""
    old, new = previous.expectation, move.expectation
    reached = objective(new)
    breach: Breach | None
    if math.isfinite(reached):
        gain_q = value_where(old, new) - previous.q_at
        gain_entropy = reached - previous.objective - gain_q
        q_at = new.value(new.at)
        breach = identity(new, q_at) or (
            _descent(previous, reached, gain_q, gain_entropy, move) if contract.ascends else None
        )
    else:
        q_at = gain_q = gain_entropy = math.nan
        breach = identity(new, math.nan)
    return Step(
        previous.index + 1,
        new,
        reached,
        log_prior(new),
        q_at,
        gain_q,
        gain_entropy,
        move.remaining,
        previous.n_expectations + move.cost,
        breach,
        move.is_bound,
    )


def identity(q: Expectation[Any], value_at: float) -> Breach | None:
    """Check ``objective == value(at) + entropy`` at the point where `q` was taken."""
    reached = objective(q)
    if not math.isfinite(reached):
        return Breach(Status.E_STEP_BREACH, math.inf, f"the E-step gave an objective of {reached}")
    gap = reached - (value_at + q.entropy)
    if abs(gap) <= within(IDENTITY, reached, value_at, q.entropy):
        return None
    return Breach(
        Status.E_STEP_BREACH,
        abs(gap),
        f"the log-likelihood is {reached:.10g}, but Q at its own point plus the entropy of the "
        f"posterior is {value_at + q.entropy:.10g}: they differ by {gap:.3g} nats",
    )


def _descent(
    previous: Step[Any], after: float, gain_q: float, gain_entropy: float, move: Move[Any]
) -> Breach | None:
    """Check that neither column of the ledger, nor their sum, is negative beyond rounding.

    An accelerated move answers for the objective alone: it need not raise Q.
    """
    before = previous.objective
    slack = within(IDENTITY, previous.q_at, before)
    fell = before - after > within(FALL, before, after)
    if move.is_em and (gain_q < -slack or (fell and gain_q < gain_entropy)):
        return Breach(Status.M_STEP_BREACH, -gain_q, f"the M-step lowered Q by {-gain_q:.3g} nats")
    if gain_entropy < -slack or fell:
        return Breach(
            Status.E_STEP_BREACH,
            -gain_entropy,
            f"the objective moved by {after - before:.3g} nats where Q moved by {gain_q:.3g}: the "
            "posterior or the accumulation behind Q is not the one behind the log-likelihood",
        )
    return None
