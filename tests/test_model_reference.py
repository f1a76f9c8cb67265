"""The default call on models that are not mixtures reaches the best optimum other systems know."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, minimize
from test_reference import HERE, column

import emframe
from emframe.parameters import leaves

CASES = json.loads((HERE / "models.json").read_text())

# emframe's optimum is higher than the one on file, by this much (nats), and regular.
FINDS = {"hmm_gaussian_sp500/m3": 0.549233700}


def with_gaps(data: str, names: list[str]) -> np.ndarray:
    """The columns of a file, nan where a cell is empty."""
    header, *rows = [line.split(",") for line in (HERE / f"{data}.csv").read_text().split()]
    at = [header.index(name) for name in names]
    return np.array([[float(row[j] or "nan") for j in at] for row in rows])


def fit(case: dict) -> emframe.Fit:
    """The default call, made once for all tests."""
    return _fit(json.dumps(case))


@cache
def _fit(text: str) -> emframe.Fit:
    case = json.loads(text)
    model = emframe.model(case["model"], **case["options"])
    read = with_gaps if case["model"] == "incomplete-gaussian" else column
    X = read(case["data"], case["columns"])
    if case["model"] == "gene-counting":  # the file counts its cells from 1
        X = X - 1
    weights = case["row_weights"] and column(case["data"], [case["row_weights"]])
    return emframe.fit(model, X, weights=weights, rng=0)


LONG = {"hmm_poisson_earthquakes/m4_stationary", "hmm_gaussian_sp500/m3"}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(one, marks=[pytest.mark.deep] if one["case"] in LONG else [], id=one["case"])
        for one in CASES
    ],
)
def test_default_call_reaches_the_best_known_optimum(case):
    found = fit(case)
    assert found.converged
    assert not found.spurious
    assert found.n_parameters == case["n_parameters"]
    find = FINDS.get(case["case"], 0.0)
    assert found.log_likelihood - find == pytest.approx(case["log_likelihood"], abs=2e-6)
    if not find:
        compare_parameters(found, case)


def compare_parameters(found: emframe.Fit, case: dict) -> None:
    """Within the tolerance on file, after matching components where there are several."""
    mine = {leaf.path.removeprefix("components."): leaf.value for leaf in leaves(found.params)}
    theirs = {name: np.array(value) for name, value in case["params"].items()}
    first = next((name for name in ("rates", "means") if name in theirs), "")
    order = slice(None)
    if first and theirs[first].ndim == 2:
        distance = np.abs(mine[first][:, None, :] - theirs[first][None, :, :]).sum(axis=2)
        _, order = linear_sum_assignment(distance.T)
    for name, expected in theirs.items():
        value = mine[name] if isinstance(order, slice) else mine[name][order]
        value = value[:, order] if name == "transitions" else value
        scale = case["params_rel"] * np.abs(expected).max()
        assert value == pytest.approx(expected, rel=case["params_rel"], abs=scale), name


def test_the_find_is_a_sound_optimum():
    """Plain EM from it gains nothing, and every state holds a good share of the months."""
    case = next(case for case in CASES if case["case"] in FINDS)
    found = fit(case)
    X = column(case["data"], case["columns"])
    again = emframe.fit(found.model, X, start=found.params, accelerate=False)
    assert again.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-7)
    assert float(found.score_samples(X)[0]) == pytest.approx(found.log_likelihood, rel=1e-12)
    assert found.log_likelihood > case["log_likelihood"]
    assert found.predict_proba(X).sum(axis=0).min() > 0.05 * len(X)


def test_blood_groups():
    """Clarke et al. (1959): the maximum found by a general optimiser, and known frequencies."""
    counts = np.array([186.0, 38.0, 13.0, 284.0])

    def fall(v: np.ndarray) -> float:
        p, q, r = np.square(v) / np.square(v).sum()
        return -float(counts @ np.log([p * p + 2 * p * r, q * q + 2 * q * r, 2 * p * q, r * r]))

    best = minimize(fall, np.ones(3), tol=1e-12)
    found = emframe.fit(emframe.model("gene-counting"), range(4), weights=counts, rng=0)
    assert found.log_likelihood == pytest.approx(-best.fun, abs=1e-7)
    assert found.params.frequencies == pytest.approx([0.2136, 0.0501, 0.7363], abs=5e-5)


def test_probabilistic_pca_has_a_closed_form():
    """Tipping and Bishop (1999), equation 8: the noise is the mean of the eigenvalues left over."""
    X = column("holzinger9", [f"x{j}" for j in range(1, 10)])
    model = emframe.model("factor-analysis", n_factors=3, noise="shared")
    found = emframe.fit(model, X, rng=0)
    eigenvalues = np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1]
    noise = eigenvalues[3:].mean()
    log_det = np.log(eigenvalues[:3]).sum() + 6 * np.log(noise)
    expected = -0.5 * len(X) * (9 * np.log(2 * np.pi) + log_det + 9)
    assert found.log_likelihood == pytest.approx(expected, abs=1e-7)
    assert found.params.noise == pytest.approx([noise], rel=1e-5)
    loadings = found.model.principal(found.params).loadings
    assert (loadings**2).sum(axis=0) == pytest.approx(eigenvalues[:3] - noise, rel=1e-4)
