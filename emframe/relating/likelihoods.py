"""Log-likelihoods of the step that relates classes to other columns, row by row.

With log p(t | u_i) + log f(y_i | t) = a_it of the relation, and s, r, D of the first step,

    modal, proportional   sum_t s_it a_it                            takes the classes for known
    bch                   sum_t (s D^-1)_it a_it                     undoes the errors on average
    ml                    sum_s s_is log sum_t exp(a_it) D_ts        takes them into the likelihood
    two-step              log sum_t exp(a_it) f(x_i | t)             the measurement itself, held

(Bakk, Tekle and Vermunt 2013, Sociological Methodology 43, 272; Bakk and Kuha 2018, Psychometrika
83, 871.)  The slope of each by a row's terms weighs the classes in it, and their slopes by the
coefficients follow by the chain rule.  Densities are analytic functions, complex arguments too, so
that slopes come by a complex step to full precision (Squire and Trapp 1998, SIAM Review 40, 110).

One known case: with D = 1 the first four are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, softmax

from emframe.relating.first_step import Classes
from emframe.spaces import Array

METHODS = ("ml", "bch", "modal", "proportional", "two-step")
Terms = Callable[[NDArray[Any]], NDArray[Any]]
TINY = 1e-200  # of a complex step, whose slopes have no rounding


def contributions(method: str, classes: Classes, terms: NDArray[Any]) -> NDArray[Any]:
    """The log-likelihood of each row, (n,), from terms a (n, K)."""
    if method in ("modal", "proportional"):
        return (classes.assigned * terms).sum(axis=1)
    if method == "bch":
        weights = classes.assigned @ np.linalg.inv(classes.errors)
        return (weights * terms).sum(axis=1)
    if method == "two-step":
        return log_sum(terms + classes.log_density)
    with np.errstate(divide="ignore"):
        errors = np.log(classes.errors)
    each = [log_sum(terms + errors[:, s]) for s in range(errors.shape[1])]
    parts = np.stack(each, axis=1)
    return np.where(classes.assigned > 0, classes.assigned * parts, 0.0).sum(axis=1)


def by_terms(method: str, classes: Classes, terms: Array) -> Array:
    """The slope of each row's log-likelihood by its terms a (n, K), (n, K)."""
    if method in ("modal", "proportional"):
        return classes.assigned
    if method == "bch":
        return np.asarray(classes.assigned @ np.linalg.inv(classes.errors))
    if method == "two-step":
        return softmax(terms + classes.log_density, axis=1)
    with np.errstate(divide="ignore"):
        errors = np.log(classes.errors)
    found = np.zeros(terms.shape)
    for s, own in enumerate(classes.assigned.T):
        if own.any():
            found += own[:, None] * softmax(terms + errors[:, s], axis=1)
    return found


def log_sum(terms: NDArray[Any]) -> NDArray[Any]:
    """log sum_t exp of terms (n, K), which may be complex."""
    highest = terms.real.max(axis=1, keepdims=True)
    found: NDArray[Any] = np.log(np.exp(terms - highest).sum(axis=1)) + highest[:, 0]
    return found


def slopes(function: Terms, at: Array) -> Array:
    """Derivatives of the values (n, ...) of a function by each coefficient, (n, ..., m)."""
    columns = []
    for j in range(len(at)):
        moved = at.astype(complex)
        moved[j] += 1j * TINY
        columns.append(function(moved).imag / TINY)
    return np.stack(columns, axis=-1)


def log_shares(odds: NDArray[Any]) -> NDArray[Any]:
    """log p of log odds against the first, (n, K - 1), as (n, K)."""
    whole = np.concatenate([np.zeros((len(odds), 1), dtype=odds.dtype), odds], axis=1)
    found: NDArray[Any] = whole - log_sum(whole)[:, None]
    return found


@dataclass(frozen=True)
class RelatedOutcome:
    """An outcome y of a kind, one distribution for each class."""

    kind: str
    y: Array  # (n,); of categories their codes
    k: int
    levels: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Coefficients of a class."""
        return {"normal": 2, "categorical": len(self.levels) - 1}.get(self.kind, 1)

    def terms(self, coefficients: NDArray[Any]) -> NDArray[Any]:
        """log p(t) + log f(y_i | t), (n, K)."""
        sizes = log_shares(coefficients[None, : self.k - 1])
        return sizes + self.densities(coefficients[self.k - 1 :].reshape(self.k, self.size))

    def densities(self, own: NDArray[Any]) -> NDArray[Any]:
        """log f(y_i | t), (n, K), from the coefficients of each class, (K, q)."""
        y = self.y[:, None]
        if self.kind == "normal":
            z = (y - own[:, 0]) * np.exp(-own[:, 1])
            return -0.5 * z * z - own[:, 1] - 0.5 * np.log(2 * np.pi)
        if self.kind == "count":
            return y * own[:, 0] - np.exp(own[:, 0]) - gammaln(y + 1)
        if self.kind == "binary":
            return np.where(y == 1, own[:, 0], 0.0) - _log1pexp(own[:, 0])
        each = log_shares(own)  # (K, C)
        return each[:, self.y.astype(int)].T

    def jacobian(self, coefficients: Array) -> Array:
        """Slopes of the terms by the coefficients, (n, K, m): each class has its own."""
        k, q, first = self.k, self.size, self.k - 1
        found = np.zeros((len(self.y), k, len(coefficients)))
        found[:, :, :first] = _odds_slopes(np.exp(log_shares(coefficients[None, :first])))
        own = coefficients[first:].reshape(k, q)
        for j in range(q):
            moved = own.astype(complex)
            moved[:, j] += 1j * TINY
            found[:, np.arange(k), first + j + q * np.arange(k)] = self.densities(moved).imag / TINY
        return found

    def start(self, shares: Array) -> Array:
        """Coefficients from the shares of classes in rows, (n, K)."""
        total = shares.sum(axis=0)
        odds = np.log(total[1:] / total[0])
        if self.kind == "categorical":
            hot = np.eye(len(self.levels))[self.y.astype(int)]
            cells = (shares.T @ hot + 0.5) / (total[:, None] + 0.5 * len(self.levels))
            return np.append(odds, np.log(cells[:, 1:] / cells[:, :1]).ravel())
        mean = shares.T @ self.y / total
        if self.kind == "normal":
            spread = (shares * (self.y[:, None] - mean) ** 2).sum(axis=0) / total
            return np.append(odds, np.column_stack([mean, 0.5 * np.log(spread)]).ravel())
        if self.kind == "count":
            return np.append(odds, np.log((mean * total + 0.5) / total))
        share = (mean * total + 0.5) / (total + 1.0)
        return np.append(odds, np.log(share / (1.0 - share)))

    def told(self, coefficients: NDArray[Any]) -> NDArray[Any]:
        """What is reported of each class, end to end: means, probabilities or rates."""
        own = coefficients[self.k - 1 :].reshape(self.k, self.size)
        if self.kind == "normal":
            return own[:, 0]
        if self.kind == "count":
            return np.exp(own[:, 0])
        if self.kind == "binary":
            return 1.0 / (1.0 + np.exp(-own[:, 0]))
        return np.exp(log_shares(own)).ravel()


@dataclass(frozen=True)
class Membership:
    """Class membership by a logit on covariates, against the first class."""

    design: Array  # (n, p), ones first
    k: int

    def terms(self, coefficients: NDArray[Any]) -> NDArray[Any]:
        """log p(t | u_i), (n, K)."""
        return log_shares(self.design @ coefficients.reshape(self.k - 1, -1).T)

    def jacobian(self, coefficients: Array) -> Array:
        """Slopes of the terms by the coefficients, (n, K, m)."""
        each = (
            _odds_slopes(np.exp(self.terms(coefficients)))[..., None] * self.design[:, None, None]
        )
        return np.asarray(each.reshape(len(each), self.k, -1))

    def start(self, shares: Array) -> Array:
        """Coefficients that say nothing but how large classes are."""
        total = shares.sum(axis=0)
        found = np.zeros((self.k - 1, self.design.shape[1]))
        found[:, 0] = np.log(total[1:] / total[0])
        return found.ravel()

    def told(self, coefficients: NDArray[Any]) -> NDArray[Any]:
        """The coefficients."""
        return coefficients


def _odds_slopes(shares: Array) -> Array:
    """Slopes of log p (n, K) by the log odds of all classes but the first, (n, K, K - 1)."""
    return np.asarray(np.eye(shares.shape[1])[:, 1:] - shares[:, None, 1:])


def _log1pexp(x: NDArray[Any]) -> NDArray[Any]:
    """log(1 + e^x) of numbers that may be complex."""
    high = np.maximum(x.real, 0.0)
    found: NDArray[Any] = high + np.log(np.exp(-high) + np.exp(x - high))
    return found
