"""The Rayleigh family against scipy, its closed-form estimate, and emframe's conformance kit."""

from __future__ import annotations

import numpy as np
import pytest
from emframe_rayleigh import Rayleigh, RayleighParameters
from scipy import stats

import emframe
from emframe.testing import FamilyConformance


class TestRayleigh(FamilyConformance):
    """Everything that emframe asks of a family."""

    family = Rayleigh()


def test_it_is_installed() -> None:
    assert isinstance(emframe.family("rayleigh"), Rayleigh)


def test_its_density_is_scipys() -> None:
    x = np.array([[1e-6], [0.3], [2.0], [40.0]])
    scale = np.array([0.5, 3.0])
    ours = Rayleigh().log_density(RayleighParameters(scale), x)
    np.testing.assert_allclose(ours, stats.rayleigh.logpdf(x, scale=scale), rtol=1e-12)


def test_one_component_is_the_root_mean_square() -> None:
    x = np.array([0.5, 1.5, 2.5, 4.0])
    fit = emframe.fit(emframe.Mixture("rayleigh"), x, rng=0)
    assert fit.params.components.scale == pytest.approx([np.sqrt(np.mean(x**2) / 2)])


def test_two_components_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.rayleigh(1.0, 3000), rng.rayleigh(10.0, 2000)])
    fit = emframe.fit(emframe.Mixture("rayleigh", n_components=2), x, rng=0)
    assert fit.converged
    assert sorted(fit.params.components.scale) == pytest.approx([1.0, 10.0], rel=0.05)
    assert sorted(fit.params.weights) == pytest.approx([0.4, 0.6], abs=0.03)
