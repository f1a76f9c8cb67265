"""The family on trial.  Every call gets arrays of its own, so that one fault is told once.

A family that writes into its arguments would otherwise spoil the data of every other check; the
check of that very habit goes round this wrapper.  An exception becomes a `Fault` that names the
method and the line; `Degenerate` passes, since it is a legitimate answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from emframe.core import Degenerate
from emframe.families import Family
from emframe.families.kernel import NoSampler
from emframe.parameters import leaves, rebuild
from emframe.spaces import Array
from emframe.testing.outcome import Fault, Inapplicable, told
from emframe.testing.runs import drawn, own_copy, rows_of
from emframe.testing.scheme import Scheme


class Subject:
    """Calls the five functions of a family on copies, and looks at what comes back."""

    def __init__(self, family: Family, scheme: Scheme | None = None, at: Any = None) -> None:
        """
        Parameters
        ----------
        at : parameters at which a latent of the family's own completes rows.
        """
        self.family, self.at = family, at
        self.scheme = Scheme.of(family) if scheme is None else scheme

    def log_density(self, params: Any, x: Any) -> Array:
        """(n, K) without NaN or +inf, or a `Fault`."""
        wanted = (len(x), n_components(params))
        values = self._call("log_density", copied(params), own_copy(x))
        if np.shape(values) != wanted:
            raise Fault(
                f"log_density of shape (n, K) = {wanted}", f"{np.shape(values)}", "log_density"
            )
        values = np.array(values, dtype=float)
        bad = np.isnan(values) | (values == np.inf)
        if bad.any():
            row, k = np.unravel_index(int(bad.argmax()), bad.shape)
            raise Fault(
                "log_density to be a number or -inf wherever the declared spaces allow",
                f"{values[row, k]} for row {row}, {rows_of(x[row])}, under component {k}",
                "log_density, or the spaces declared for the parameters and the support",
            )
        return values

    def accumulate(self, x: Any, resp: Array) -> Any:
        """The sums of rows, completed where the family hides something and it is known how."""
        if self.family.hides and self.at is not None and n_components(self.at) == resp.shape[1]:
            return self.completed(self.at, x, resp).statistics
        return self._call("accumulate", own_copy(x), resp.copy())

    def completed(self, params: Any, x: Any, resp: Array) -> Any:
        return self._call("completed", copied(params), own_copy(x), resp.copy())

    def passed(self, params: Any, x: Any, resp: Array) -> tuple[Any, float]:
        """The sums of rows at these parameters, and by way of them resp times log density."""
        entropy: Any = 0.0
        if self.family.hides:
            statistics, entropy = self.completed(params, x, resp)
        else:
            statistics = self.accumulate(x, resp)
        return statistics, self.expected(statistics, params) + float(np.sum(entropy))

    def reproduced(self, params: Any, x: Any, resp: Array) -> float:
        """Sum of resp times log density of rows, by way of their sums."""
        return self.passed(params, x, resp)[1]

    def stepped(self, x: Any, resp: Array, previous: Any) -> Any:
        """Where the M-step leads from `previous`, or to from nothing."""
        return self.m_step(self.about(previous).accumulate(x, resp), previous)

    def about(self, params: Any) -> Subject:
        """The same, whose rows are completed at other parameters."""
        return Subject(self.family, self.scheme, params)

    def add(self, one: Any, other: Any) -> Any:
        """The sum of two statistics."""
        return _guarded("+ of the statistics", lambda: one + other)

    def expected(self, statistics: Any, params: Any) -> float:
        """A number or -inf, or a `Fault`."""
        value = self._call("expected", statistics, copied(params))
        if np.ndim(value) != 0:
            raise Fault("expected to be one number", f"shape {np.shape(value)}", "expected")
        number = float(value)
        if np.isnan(number) or number == np.inf:
            raise Fault("expected to be a number or -inf", f"{number}", "expected")
        return number

    def m_step(self, statistics: Any, previous: Any) -> Any:
        given = None if previous is None else copied(previous)
        return self._call("m_step", statistics, given)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Any:
        try:
            return self._call("sample", copied(params), labels.copy(), rng)
        except NoSampler as error:
            raise Inapplicable(str(error)) from error

    def drawn_runs(self, params: Any, labels: Any, x: Any, rng: np.random.Generator) -> Any:
        """Runs that have the lengths and terms of those of x, one for each label."""
        try:
            return _guarded("sample", lambda: drawn(self.family, copied(params), labels, x, rng))
        except NoSampler as error:
            raise Inapplicable(str(error)) from error

    def _call(self, method: str, *arguments: Any) -> Any:
        return _guarded(method, lambda: getattr(self.family, method)(*arguments))


def n_components(params: Any) -> int:
    """K, from the first array that has the axis."""
    return next(len(leaf.value) for leaf in leaves(params) if leaf.declared.per_component)


def copied(params: Any) -> Any:
    """The same parameters in arrays of their own."""
    return rebuild(params, lambda leaf: np.array(leaf.value, dtype=float))


def _guarded(method: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (Degenerate, Fault, NoSampler):
        raise
    except Exception as error:
        raise Fault(f"{method} to answer", told(error), method) from error
