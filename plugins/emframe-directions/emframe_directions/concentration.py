"""How much directions keep together: the normaliser in kappa, its slope, and that one's inverse.

    G_d(kappa) = log of the mean of exp(kappa u_1) over the unit sphere in d dimensions
               = log( Gamma(nu + 1) (2 / kappa)^nu I_nu(kappa) ),        nu = d / 2 - 1
    A_d(kappa) = G_d'(kappa) = I_(nu + 1)(kappa) / I_nu(kappa)

A_d is the mean length of the resultant, and rises from 0 to 1.  The Bessel function I_nu is taken
from its power series where kappa is small, from Hankel's expansion where it is large, from
Debye's where nu is large (Abramowitz and Stegun 1964, 9.6.10, 9.7.1, 9.7.7), and from scipy
between these.  None of them under- or overflows.

One known case: in three dimensions A is coth(kappa) - 1 / kappa.
"""

from __future__ import annotations

from math import log, pi

import numpy as np
from numpy.polynomial import Polynomial
from scipy.special import gammaln, ive

from emframe.spaces import EPS, Array

SMALL, LARGE, HIGH = 5.0, 1e4, 25.0  # of kappa, of kappa, of nu: where the expansions take over
SERIES, HANKEL, DEBYE = 40, 12, 12  # terms, which have all digits there
STEPS = 100
CLOSE = 1e-9  # of a value: so short a step of Newton's leaves an error in its square


def log_normaliser(d: int, kappa: Array) -> Array:
    """G_d, entry by entry, nats; 0 at kappa = 0."""
    nu = 0.5 * d - 1.0
    small = kappa <= SMALL
    far = np.where(small, SMALL, kappa)
    beyond = far + log_scaled_bessel(nu, far) + gammaln(nu + 1.0) - nu * np.log(0.5 * far)
    return np.where(small, np.log1p(power_series(nu, np.where(small, kappa, 0.0))), beyond)


def mean_length(d: int, kappa: Array) -> Array:
    """A_d, entry by entry."""
    nu = 0.5 * d - 1.0
    small = kappa <= SMALL
    near, far = np.where(small, kappa, 0.0), np.where(small, SMALL, kappa)
    series = (1.0 + power_series(nu + 1.0, near)) / (1.0 + power_series(nu, near))
    ratio = np.exp(log_scaled_bessel(nu + 1.0, far) - log_scaled_bessel(nu, far))
    return np.where(small, near / d * series, ratio)


def concentration(d: int, length: Array) -> Array:
    """The kappa with A_d(kappa) = length, entry by entry, for lengths from 0 to below 1.

    Newton's method from the approximation of Banerjee et al. (2005).  A_d is concave, so every
    step but the first is upwards.
    """
    kappa = length * (d - length**2) / ((1.0 - length) * (1.0 + length))
    for _ in range(STEPS):
        a = mean_length(d, kappa)
        quotient = np.divide(a, kappa, out=np.full_like(kappa, 1.0 / d), where=kappa > 0.0)
        # The slope is the variance of u_1, of which rounding leaves nothing far out.
        with np.errstate(divide="ignore"):
            slope = np.where(
                kappa > LARGE * d, 0.5 * (d - 1) / kappa**2, 1.0 - a**2 - (d - 1) * quotient
            )
        new = np.maximum(kappa - (a - length) / slope, 0.1 * kappa)
        # A length is told to its last bit, and so is kappa to kappa times that.
        done = np.abs(new - kappa) <= (CLOSE + 8.0 * EPS * kappa) * kappa
        kappa = new
        if done.all():
            break
    return kappa


def power_series(nu: float, kappa: Array) -> Array:
    """Gamma(nu + 1) (2 / kappa)^nu I_nu(kappa) - 1."""
    quarter = 0.25 * np.square(kappa)
    term, total = np.ones_like(quarter), np.zeros_like(quarter)
    for n in range(1, SERIES):
        term = term * quarter / (n * (n + nu))
        total = total + term
    return total


def log_scaled_bessel(nu: float, kappa: Array) -> Array:
    """log I_nu(kappa) - kappa for kappa from SMALL on."""
    if nu >= HIGH:
        return _debye(nu, kappa)
    large = kappa > LARGE
    between = np.log(ive(nu, np.where(large, SMALL, kappa)))
    return np.where(large, _hankel(nu, np.where(large, kappa, LARGE)), between)


def _hankel(nu: float, kappa: Array) -> Array:
    """For kappa large against nu^2."""
    term, rest = np.ones_like(kappa), np.zeros_like(kappa)
    for n in range(1, HANKEL):
        term = -term * (4.0 * nu**2 - (2 * n - 1) ** 2) / (8.0 * n * kappa)
        rest = rest + term
    return np.log1p(rest) - 0.5 * np.log(2.0 * pi * kappa)


def _debye(nu: float, kappa: Array) -> Array:
    """For large nu, and any kappa."""
    root = np.hypot(nu, kappa)
    # root - kappa without the difference of large numbers.
    eta = nu * (nu / (root + kappa)) + nu * np.log(kappa / (nu + root))
    total = np.sum([u(nu / root) / nu**n for n, u in enumerate(CORRECTIONS, 1)], axis=0)
    return eta - 0.5 * (log(2.0 * pi) + np.log(root)) + np.log1p(total)


def _corrections() -> list[Polynomial]:
    """Debye's polynomials u_1, u_2, ..., by their recurrence (9.3.10 there)."""
    t, u, found = Polynomial([0.0, 1.0]), Polynomial([1.0]), []
    for _ in range(DEBYE):
        u = 0.5 * t**2 * (1.0 - t**2) * u.deriv() + 0.125 * ((1.0 - 5.0 * t**2) * u).integ()
        found.append(u)
    return found


CORRECTIONS = _corrections()
