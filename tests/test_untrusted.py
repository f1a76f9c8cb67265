"""A plugin's family is never trusted: what it does wrong is named, and harms nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from mutants import Normal

import emframe
from emframe.spaces import Array

X = np.asarray(emframe.dataset("faithful").X)[::4]


class RaisesInDensity(Normal):
    def log_density(self, params: Any, x: Array) -> Array:
        raise RuntimeError("no licence")


class RaisesInMStep(Normal):
    def m_step(self, statistics: Any, previous: Any) -> Any:
        if previous is not None:
            raise KeyError("mean")
        return super().m_step(statistics, previous)


class NaNDensity(Normal):
    def log_density(self, params: Any, x: Array) -> Array:
        density = super().log_density(params, x)
        density[3, 1] = np.nan
        return density


class InfiniteDensity(Normal):
    def log_density(self, params: Any, x: Array) -> Array:
        density = super().log_density(params, x)
        density[3, 1] = np.inf
        return density


class TurnedDensity(Normal):
    def log_density(self, params: Any, x: Array) -> Array:
        return super().log_density(params, x).T


class NaNMStep(Normal):
    def m_step(self, statistics: Any, previous: Any) -> Any:
        params = super().m_step(statistics, previous)
        return replace(params, means=params.means * np.nan)


class NegativeMStep(Normal):
    def m_step(self, statistics: Any, previous: Any) -> Any:
        params = super().m_step(statistics, previous)
        return replace(params, variances=-params.variances)


class ShortMStep(Normal):
    def m_step(self, statistics: Any, previous: Any) -> Any:
        params = super().m_step(statistics, previous)
        return replace(params, means=params.means[:, :1].T)


class MappingMStep(Normal):
    def m_step(self, statistics: Any, previous: Any) -> Any:
        return vars(super().m_step(statistics, previous))


class WritesRows(Normal):
    def log_density(self, params: Any, x: Array) -> Array:
        x -= x.mean(axis=0)
        return super().log_density(params, x)


class WritesSummedRows(Normal):
    def accumulate(self, x: Array, resp: Array) -> Any:
        x -= x.mean(axis=0)
        return super().accumulate(x, resp)


class WritesParameters(Normal):
    def log_density(self, params: Any, x: Array) -> Array:
        params.variances[...] = 1.0
        return super().log_density(params, x)


UNTRUSTED: dict[type[Normal], tuple[type[Exception], str, str]] = {
    RaisesInDensity: (RuntimeError, "no licence", "at the start"),
    RaisesInMStep: (KeyError, "mean", "after step 0"),
    NaNDensity: (emframe.FamilyError, "gave nan for row 3, component 1", "start 0"),
    InfiniteDensity: (emframe.FamilyError, "gave inf for row 3, component 1", "start 0"),
    TurnedDensity: (emframe.FamilyError, r"shape \(2, 68\); expected \(n, K\)", "start 0"),
    NaNMStep: (emframe.FamilyError, r"m_step: `components.means\[0, 0\]` is nan", "start 0"),
    NegativeMStep: (emframe.FamilyError, "m_step: .* expected finite numbers above 0", "start 0"),
    ShortMStep: (emframe.FamilyError, r"m_step: .* shape \(1, 2\)", "start 0"),
    MappingMStep: (emframe.FamilyError, "m_step returned a dict; expected Normal", "start 0"),
    WritesRows: (ValueError, "read-only", "copy the array first"),
    WritesSummedRows: (ValueError, "read-only", "in the sums of the family 'normal'"),
    WritesParameters: (ValueError, "read-only", "copy the array first"),
}


@pytest.mark.parametrize(
    ("kind", "told"), UNTRUSTED.items(), ids=lambda one: getattr(one, "__name__", "")
)
def test_what_a_family_does_wrong_is_named(
    kind: type[Normal], told: tuple[type[Exception], str, str]
) -> None:
    error, message, note = told
    before = X.copy()
    with pytest.raises(error, match=message) as caught:
        emframe.fit(emframe.Mixture(kind(), 2), X, rng=0, n_starts=1)
    notes = " ".join(caught.value.__notes__)
    assert "normal" in notes
    assert note in notes
    np.testing.assert_array_equal(X, before)
    # Nothing is left over for others.
    sound = emframe.fit(emframe.Mixture(Normal(), 2), X, rng=0, n_starts=1)
    assert sound.status.usable
