"""Parameters by name, components side by side, and probabilities on their boundary."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

import emframe

ITEMS = pd.DataFrame({"a": [1, 1, 1, 1, 0], "b": [0, 1, 0, 1, 1], "c": [1, 1, 1, 1, 1]})
FIT = emframe.fit(emframe.Mixture("bernoulli", 2), ITEMS, rng=0)
NORMAL = emframe.fit(
    emframe.Mixture("gaussian", 2, covariance="tied"), np.c_[[0, 1, 2, 9, 10, 12.0]], rng=0
)


def test_a_parameter_by_its_name() -> None:
    assert np.array_equal(FIT["probs"], FIT.params.components.probs)
    assert np.array_equal(FIT["weights"], FIT.params.weights)
    with pytest.raises(KeyError, match="'means'; there are 'weights', 'probs'"):
        FIT["means"]
    with pytest.raises(TypeError):
        iter(FIT)


def test_a_name_of_several_parts_is_told_by_its_path() -> None:
    rng = np.random.default_rng(0)
    both = emframe.Product({"a": "gaussian", "b": "gaussian"})
    frame = pd.DataFrame(rng.normal(size=(30, 2)), columns=["a", "b"])
    fit = emframe.fit(emframe.Mixture(both, 1), frame, rng=0)
    paths = [name for name in fit.to_frame()["parameter"].unique() if name.endswith("means")]
    assert len(paths) == 2
    with pytest.raises(KeyError, match="several parameters are called 'means'"):
        fit["means"]
    assert fit[paths[0]].shape == (1, 1)


def test_components_side_by_side() -> None:
    found = FIT.profiles()
    frame = found.to_frame()
    assert list(frame.index) == ["weights", "probs[a]", "probs[b]", "probs[c]"]
    assert list(frame.columns) == ["component 0", "component 1"]
    expected = np.vstack([FIT["weights"], FIT["probs"].T])
    assert frame.to_numpy() == pytest.approx(expected, abs=1e-9)
    again = pd.read_csv(io.StringIO(found.to_csv()), index_col=0)
    assert again.to_numpy() == pytest.approx(expected, abs=1e-9)
    assert "probs[b]" in str(found)
    assert found._repr_html_().count("<tr>") == 5


def test_what_components_share_stands_in_each() -> None:
    frame = NORMAL.profiles().to_frame()
    shared = frame.loc[[name for name in frame.index if name.startswith("covariance")]]
    assert len(shared) == 1
    assert (shared["component 0"] == shared["component 1"]).all()
    assert frame.notna().all().all()


def test_probabilities_on_a_boundary_are_0_and_1() -> None:
    tiny = np.array([[1.0 - 1e-14, 0.25], [3e-17, 0.5]])
    params = type(FIT.params)(np.array([0.5, 0.5]), type(FIT.params.components)(tiny))
    fit = emframe.fit(emframe.Mixture("bernoulli", 2), ITEMS[["a", "b"]], start=params, max_iter=1)
    shown = type(fit)(**{**vars(fit), "params": params})
    assert "e-17" not in str(shown)
    assert "e-17" not in shown._repr_html_()
    assert shown.profiles().values[1].tolist() == [1.0, 0.0]
    assert shown.params.components.probs[1, 0] == 3e-17  # what is kept is as it was


def test_a_continuous_z_has_no_profiles() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    fit = emframe.fit(emframe.model("factor-analysis", n_factors=1), x, rng=0)
    with pytest.raises(TypeError, match="continuous"):
        fit.profiles()
