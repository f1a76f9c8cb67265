"""Lines of our own that are spoilt one at a time: each turns a test red that names the promise.

The tests themselves pass with the code as it is; that is said by their own runs.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mutation import SPOILT, reports, spoil

HERE = Path(__file__).parent
FAILED = "1"  # pytest's exit status where tests ran, and some failed


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The runs of all mutants, each told in a file."""
    if not hasattr(os, "fork"):
        pytest.skip("each mutant is a fork of one process")
    folder = tmp_path_factory.mktemp("mutants")
    plain = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    subprocess.run(
        [sys.executable, str(HERE / "mutation.py"), str(folder), *SPOILT],
        cwd=HERE.parent,
        env=plain | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=True,
    )
    return reports(folder)


@pytest.mark.parametrize("name", SPOILT)
def test_the_spoilt_line_is_there(name: str) -> None:
    spec = importlib.util.find_spec(SPOILT[name].module)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    assert spoil(name, source) != source


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_line_turns_a_test_red(name: str, told: dict[str, Path]) -> None:
    *lines, status = told[name].read_text(encoding="utf-8").splitlines()
    assert status == FAILED, "\n".join([*lines, status])
    assert any("failed" in line for line in lines[-3:])
