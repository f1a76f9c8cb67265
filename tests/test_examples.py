"""Every public name has an example in its docstring, and every example is run.

In them ``emframe`` and ``np`` (numpy) are imported.
"""

from __future__ import annotations

import doctest
import inspect
from typing import Any

import numpy as np
import pytest

import emframe

# What is no object of ours to describe: numbers of numpy's, a version, pluggy's marker.
NOT_OURS = {"Array", "__version__", "hookimpl"}
NAMES = sorted(set(emframe.__all__) - NOT_OURS)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def examples(name: str) -> doctest.DocTest:
    """The examples of a public name."""
    text = inspect.getdoc(getattr(emframe, name)) or ""
    own: dict[str, Any] = {"emframe": emframe, "np": np}
    return doctest.DocTestParser().get_doctest(text, own, name, None, None)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_an_example_that_runs(name: str) -> None:
    found = examples(name)
    assert found.examples, f"emframe.{name} has no example in its docstring"
    told: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(found, out=told.append)
    assert not result.failed, "".join(told)
