"""Arguments by the names that other packages give them, and what a report of a bug needs."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pandas as pd
import pytest

import emframe
from emframe.messages.words import MEANT, WHY

X = np.random.default_rng(0).normal(size=(30, 2))
TWO = emframe.Mixture("gaussian", 2)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: emframe.fit(TWO, X, random_state=0), "'random_state'. Did you mean rng?"),
        (lambda: emframe.fit(TWO, X, n_init=3), "Did you mean n_starts?"),
        (lambda: emframe.fit(TWO, X, reg_covar=1e-6), "Did you mean prior='weak'"),
        (lambda: emframe.fit(TWO, X, wieghts=None), "Did you mean weights?"),
        (lambda: emframe.fit(TWO, X, n_clusters=2), "n_components of the model"),
        (lambda: emframe.fit(TWO, X, quux=2), "It takes model, X, weights"),
        (lambda: emframe.select(("gaussian", [1]), X, n_init=3), "Did you mean n_starts?"),
        (lambda: emframe.bootstrap_lrt(TWO, TWO, X, seed=1), "Did you mean rng?"),
        (lambda: emframe.Mixture("gaussian", n_clusters=2), "Did you mean n_components?"),
        (lambda: emframe.Mixture("gaussian", 2, covariance_type="diag"), "you mean covariance?"),
        (lambda: emframe.Mixture("gaussian", 2, random_state=1), "rng of emframe.fit?"),
        (lambda: emframe.fit(X, TWO), "shape (30, 2); the model comes first"),
        (lambda: emframe.fit(pd.DataFrame(X), TWO), "emframe.fit(model, X)"),
    ],
)
def test_what_is_meant(call, told: str) -> None:
    with pytest.raises(TypeError) as caught:
        call()
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


OF_FIT = [name for name, ours in MEANT.items() if ours in inspect.signature(emframe.fit).parameters]


@pytest.mark.parametrize("theirs", OF_FIT)
def test_every_word_is_answered_with_an_argument_of_fit(theirs: str) -> None:
    told = WHY.get(MEANT[theirs], MEANT[theirs])
    with pytest.raises(TypeError, match=re.escape(f"Did you mean {told}")):
        emframe.fit(TWO, X, **{theirs: 1})


def test_versions_are_told(capsys) -> None:
    emframe.show_versions()
    told = capsys.readouterr().out
    assert np.__version__ in told
    assert "emframe_families" in told
    assert all(name in told for name in ("python", "scipy", "threads of"))
