"""Weights that depend on covariates, against the maxima and coefficients of flexmix and poLCA.

Where the one on file is not the highest, the likelihood is written out here and maximised by scipy.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import gammaln, log_softmax, logsumexp

import emframe

HERE = Path(__file__).parent / "reference"
PATENT = pd.read_csv(HERE / "patent.csv")
CHEATING = pd.read_csv(HERE / "cheating.csv").dropna()  # as poLCA does
LINES: dict[str, Any] = {"response": "Patents", "predictors": ("lgRD",)}

# Model, rows, log-likelihood, parameters; the gate's coefficients in order of the intercepts of
# the components (patent), or from those who cheat less (cheating).
CASES = {
    "flexmix: patent": (
        emframe.Mixture("poisson-regression", 3, weights=emframe.Gate("RDS"), **LINES),
        PATENT,
        -197.675022174526,
        10,
    ),
    "poLCA: cheating": (
        emframe.Mixture("bernoulli", 2, weights=emframe.Gate("GPA")),
        CHEATING,
        -429.638384351774,
        10,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_default_call_ends_where_they_do(name: str) -> None:
    model, rows, log_likelihood, n_parameters = CASES[name]
    fit = emframe.fit(model, rows, rng=0)
    assert fit.converged
    assert fit.n_parameters == n_parameters
    # Both files have ends that their packages stopped short of by up to 1e-6.
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=2e-6)
    assert fit.log_likelihood > log_likelihood - 1e-9


def test_coefficients_are_those_of_polca() -> None:
    model, rows, *_ = CASES["poLCA: cheating"]
    fit = emframe.relabelled(emframe.fit(model, rows, rng=0), "probs")
    gate = fit.params.gate
    assert gate.intercept[1] - gate.intercept[0] == pytest.approx(0.113423643, abs=2e-3)
    assert gate.GPA[1] - gate.GPA[0] == pytest.approx(-0.842484624, abs=2e-3)


def test_a_common_slope_ends_above_the_best_on_file() -> None:
    """Patents with one slope: flexmix's best of 60 starts is -216.8235, with 8 parameters too."""
    model = CASES["flexmix: patent"][0].tied("lgRD")
    fit = emframe.fit(model, PATENT, rng=0)
    assert fit.converged
    assert fit.n_parameters == 8
    y, x, u = (PATENT[name].to_numpy()[:, None] for name in ("Patents", "lgRD", "RDS"))

    def fall(numbers: Any) -> float:
        odds = np.concatenate([[0.0], numbers[:2]]) + u * np.concatenate([[0.0], numbers[2:4]])
        eta = numbers[4:7] + numbers[7] * x
        density = y * eta - np.exp(eta) - gammaln(y + 1.0)
        return -float(logsumexp(log_softmax(odds, axis=1) + density, axis=1).sum())

    gate, lines = fit.params.gate, fit.params.components
    here = np.concatenate([gate.intercept[1:], gate.RDS[1:], lines.intercept, lines.lgRD[:1]])
    assert -fall(here) == pytest.approx(fit.log_likelihood, abs=1e-9)
    end = minimize(fall, here * 1.001 + 0.001, method="BFGS", options={"gtol": 1e-6})
    assert fit.log_likelihood == pytest.approx(-end.fun, abs=1e-6)
    assert fit.log_likelihood > -216.823514807328 + 5.0
