"""Stopping rules beyond `tol`, `max_iter` and `max_seconds`, for ``emframe.fit(stopping=...)``.

    fit(model, X, stopping=[max_expectations(500), held_out(model, kept_aside)])

Each start stops at the first rule that says so, and its status names the rule.  Only the estimated
remaining gain is called convergence.  A rule of one's own is a function of the last two steps
that answers with a `Status`, or None to go on.

One known case: `together` of one rule is that rule.

>>> few = emframe.stopping.max_expectations(5)
>>> fit = emframe.fit(emframe.Mixture("poisson", 2), [0, 1, 7, 8, 2, 5], rng=0, stopping=[few])
>>> fit.n_iter > 0
True
"""

from __future__ import annotations

from typing import Any

from emframe.core import HeldOut, MaxExpectations, ParameterChange, Rule, Together
from emframe.fitting import expectation
from emframe.models import Model, observed
from emframe.parameters import to_vector

__all__ = ["held_out", "max_expectations", "parameter_change", "together"]


def max_expectations(n: int) -> MaxExpectations:
    """At most `n` E-steps for each start, those of rejected trials included."""
    if n < 1:
        raise ValueError(f"`n` is {n}; pass 1 E-step or more.")
    return MaxExpectations(n)


def parameter_change(tol: float) -> ParameterChange:
    """Stop where no coordinate of the parameters moved by more than `tol`.

    Relative to 1 + its size, in the coordinates that the parameters' spaces declare.
    """
    if not tol > 0:
        raise ValueError(f"`tol` is {tol}; pass a number above 0.")
    return ParameterChange(tol, to_vector)


def held_out(model: Model, X: Any, weights: Any = None) -> HeldOut:
    """Stop where the log-likelihood of the rows `X`, kept aside, begins to fall.

    It costs two passes over these rows at each step.
    """
    rows = observed(model, X, weights)
    expect = expectation(model, rows)
    return HeldOut(lambda params: expect(params).loglik)


def together(*rules: Rule) -> Together:
    """Stop once all of these rules would; the status is that of the first."""
    if not rules:
        raise ValueError("`together` was given no rule; pass one or more.")
    return Together(rules)
