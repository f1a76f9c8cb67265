"""The sweep of the score and of the EM map, against published and exact values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import entr, xlogy

import emframe
from emframe.inference.information import information, labels, sweep
from emframe.parameters import to_vector
from emframe.spaces import Array, UnitInterval

COUNTS = np.array([125.0, 18.0, 20.0, 34.0])
BEST = (15 + np.sqrt(53809)) / 394  # of the linkage data


@dataclass(frozen=True)
class Theta:
    theta: Array = emframe.parameter(UnitInterval(), per_component=False)


@dataclass(frozen=True)
class Linkage:
    """Q of the genetic linkage data (Dempster, Laird and Rubin 1977, section 1)."""

    at: Theta

    @property
    def share(self):
        return self.at.theta / (2 + self.at.theta)

    @property
    def loglik(self):
        t = self.at.theta
        return float(xlogy(COUNTS, [0.5 + t / 4, (1 - t) / 4, (1 - t) / 4, t / 4]).sum())

    @property
    def entropy(self):
        return float(COUNTS[0] * (entr(self.share) + entr(1 - self.share)))

    def value(self, params):
        t, z = params.theta, COUNTS[0] * self.share
        split = xlogy(z, t / 4) + xlogy(COUNTS[0] - z, 0.5)
        return float(split + xlogy(COUNTS[1] + COUNTS[2], (1 - t) / 4) + xlogy(COUNTS[3], t / 4))

    def maximize(self):
        z = COUNTS[0] * self.share
        return Theta((z + COUNTS[3]) / (z + COUNTS[1:].sum()))


def test_the_linkage_data():
    """I = 377.5 and I_c = 435.3 (McLachlan and Krishnan 2008, section 4.2.4)."""
    found = sweep(Linkage, Theta(np.array(BEST)))
    slope = 4 * BEST * (1 - BEST)  # (d theta / d angle)^2
    assert found.observed[0, 0] / slope == pytest.approx(377.516, rel=1e-5)
    assert 1 / found.scales[0] ** 2 / slope == pytest.approx(435.318, rel=0.02)
    z = COUNTS[0] * BEST / (2 + BEST)
    slope_of_map = 38 * 2 * COUNTS[0] / (2 + BEST) ** 2 / (z + 72) ** 2
    assert found.rate == pytest.approx(slope_of_map, rel=1e-7)
    assert found.rate == pytest.approx(1 - 377.516 / 435.318, rel=1e-4)
    assert found.poorly_determined() == {"theta": 1.0}
    assert found.n_fixed == 0


def faithful(**options):
    X = emframe.dataset("faithful").X
    fit = emframe.fit(emframe.Mixture("gaussian", 2, **options), X, rng=0, n_starts=4)
    return fit, X


def test_with_nothing_missing_it_is_the_textbook_information():
    """One Gaussian: the information of the mean is n / variance, and EM needs one step."""
    X = emframe.dataset("faithful").X[:, 1]
    fit = emframe.fit(emframe.Mixture("gaussian", 1), X)
    found = information(fit, X)
    variance = fit.params.components.covariances[0, 0, 0]
    expected = [len(X) / variance, 2 * len(X)]  # of the mean, and of log sd
    assert np.diag(found.observed) == pytest.approx(expected, rel=1e-6)
    assert found.missing == pytest.approx([0, 0], abs=1e-8)


@pytest.mark.parametrize("covariance", ["full", "tied", "spherical"])
def test_the_rate_is_the_one_that_em_shows(covariance):
    fit, X = faithful(covariance=covariance)
    found = information(fit, X)
    assert found.error < 1e-6
    assert len(found.missing) == fit.n_parameters
    assert found.missing.min() > -1e-6
    start = fit.model.build({"weights": [0.4, 0.6], **fields(fit)})
    slow = emframe.fit(fit.model, X, start=start, accelerate=False, tol=1e-10)
    ratios = slow.gains.sum(axis=1)
    seen = np.sqrt(ratios[-4] / ratios[-5])  # gains shrink by the square of the rate
    assert found.rate == pytest.approx(seen, rel=0.03)


def fields(fit):
    parts = fit.params.components
    return {"means": parts.means, "covariances": parts.covariances}


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_change_nothing(unit):
    fit, X = faithful()
    found = information(fit, X)
    parts = fit.params.components
    start = {
        "weights": fit.params.weights,
        "means": parts.means * unit,
        "covariances": parts.covariances * unit**2,
    }
    other = emframe.fit(fit.model, X * unit, start=start)
    scaled = information(other, X * unit)
    assert scaled.missing == pytest.approx(found.missing, abs=1e-6)
    assert scaled.poorly_determined() == pytest.approx(found.poorly_determined(), rel=0.05)


def test_the_redundant_coordinate_of_the_weights_is_no_direction():
    fit, X = faithful()
    found = information(fit, X)
    assert found.basis.shape == (len(to_vector(fit.params)), fit.n_parameters)
    assert found.basis.T @ found.basis == pytest.approx(np.eye(fit.n_parameters), abs=1e-12)
    assert np.linalg.eigvalsh(found.observed).min() > 0


def test_a_boundary_has_no_direction():
    X = (np.random.default_rng(0).random((200, 2)) < 0.5).astype(float)
    X[:, 1] = 0.0
    fit = emframe.fit(emframe.Mixture("bernoulli", 1), X)
    found = information(fit, X)
    assert found.n_fixed == 1
    assert "1 parameters are on a boundary" in str(found)
    assert found.basis.shape[1] == fit.n_parameters - 1


def test_the_slowest_direction_names_the_parameters():
    """Two Poisson rates that the death notices hardly tell apart."""
    data = emframe.dataset("death_notices")
    fit = emframe.fit(emframe.Mixture("poisson", 2), data, rng=0, n_starts=3)
    found = fit.information(data)
    assert "0.995" in str(found)
    assert found.rate == pytest.approx(0.9957, abs=1e-3)
    assert set(found.poorly_determined()) <= set(labels(fit.params))
    assert len(found.poorly_determined()) == 3
    assert information(fit, data.X, weights=data.weights).missing == pytest.approx(found.missing)


def test_a_prior_is_information():
    X = emframe.dataset("faithful").X
    model = emframe.Mixture("gaussian", 3)
    with_prior = emframe.fit(model, X, rng=0, n_starts=4, prior="weak")
    found = information(with_prior, X)
    assert np.abs(found.score).max() < 1e-2 * np.abs(1 / found.scales).max()
    assert found.error < 1e-6
