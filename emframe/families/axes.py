"""Components laid out along a few axes, so that their density can be bounded over a whole box.

Take any positive sum over rows, F(t) = sum_i a_i f(x_i | t), and a box of t.  If for each row
f(x_i | t) exp(s(t)) is convex along each axis, and s is nowhere negative, then

    F(t)  <=  F(t) exp(s(t))  <=  max over corners v of the box  F(v) exp(s(v))

for a sum of functions that are convex along each axis is one too, and its maximum over a box is
at a corner.  An exponential family has such an s for every centre c, the Kullback-Leibler
divergence, which is not negative:

    s(t)  =  KL(f_c || f_t)  =  m_c . (eta_c - eta_t) - A_c + A_t,        m_c the mean of T

In ``log f(x | t) + s(t) = (T(x) - m_c) . eta_t + constant`` the log-partition A cancels, so that
f exp(s) is the exponential of something linear in eta.  Convex along t or along eta makes no
difference where eta_j is a monotone function of t_j alone: the corners are the same.  The bound is
too high by half the square of half the box's size, that size in standard deviations of T.

One known case: Poisson has t = rate and s = c log(c / t) - c + t.  Around c = 0 it is s = t, and
over rates from 0 to b no sum of Poisson probabilities is above that at 0 or exp(b) times that at b.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emframe.spaces import Array


@dataclass(frozen=True)
class Curve:
    """Where t is the mean of p statistics, each with a natural parameter of its own.

    With it a small box is bounded from its centre too, to the third order of its size; see
    `emframe.fitting.expansion`.
    """

    statistics: Array  # (n, p)  T of the rows
    natural: Callable[[Array], Array]  # points (m, p) -> eta (m, p), maybe infinite at an end
    # low and high ends (m, p) of boxes -> the variance of each T is nowhere less within, (m, p)
    least_variance: Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Axes:
    """Single components of a family as points t in a box of p axes."""

    low: Array  # (p,)
    high: Array  # (p,)  whatever the rows weigh, the t of the largest F lies between the two
    at: Callable[[Array], Any]  # points (m, p) -> the parameters of m components
    # centres (m, p), points (m, p) -> s of each, (m,); inf where there is none
    slack: Callable[[Array, Array], Array]
    given: str = ""  # what else is asked of the components, in words: "variances of at least 2"
    holds_fit: bool = True  # whether the components of the fit are among them, or mixtures of them
    curve: Curve | None = None
